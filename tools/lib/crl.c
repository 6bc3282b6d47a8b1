// SPDX-License-Identifier: LGPL-2.1-or-later
#include "crl.h"

#include <string.h>

#include "file.h"
#include "floor.h"

#define PARTS_MAX 64

static const guint8 oid_aki[] = { 0x55, 0x1D, 0x23 };
static const guint8 oid_crl_number[] = { 0x55, 0x1D, 0x14 };
static const guint8 oid_delta[] = { 0x55, 0x1D, 0x1B };
static const guint8 oid_idp[] = { 0x55, 0x1D, 0x1C };
static const guint8 oid_crl_points[] = { 0x55, 0x1D, 0x1F };
/* id-rspExt totalPartialCrlNumber, partialCrlNumber: 2.23.146.1.2.0.2 and .3 */
static const guint8 oid_parts[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x00, 0x02 };
static const guint8 oid_part[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x00, 0x03 };

struct _Crl {
	GBytes *bytes;
	char *where;
	char *broken;			/* why it can only refuse; else NULL */
	CertSigned s;
	IfppSpan issuer;		/* empty: not known */
	gnutls_x509_crl_t crl;
	gboolean has_aki;
	guint8 aki[CERT_ID_LEN];
	GBytes *signer;			/* as in Cert */
	Cert *proven_by;		/* root that may sign it and did */
	/* its scope */
	IfppSpan idp;			/* the whole extension, empty if there is none */
	IfppSpan names;			/* of its distribution point: GeneralNames, may be empty */
	gboolean only_users, only_cas, some_reasons, attributes;
	guint part, parts;		/* 0: not in parts */
};

void crl_free(Crl *crl)
{
	if (crl->crl)
		gnutls_x509_crl_deinit(crl->crl);
	g_clear_pointer(&crl->signer, g_bytes_unref);
	g_clear_pointer(&crl->bytes, g_bytes_unref);
	g_free(crl->where);
	g_free(crl->broken);
	g_free(crl);
}

/* ------------------------------------------------------------ reading */

static gboolean is_true(IfppSpan value)
{
	return value.len == 1 && value.data[0] == 0xFF;
}

/*
 * IssuingDistributionPoint ::= SEQUENCE { [0] distributionPoint, [1] onlyContainsUserCerts,
 * [2] onlyContainsCACerts, [3] onlySomeReasons, [4] indirectCRL, [5] onlyContainsAttributeCerts }, RFC 5280 5.2.5
 */
static gboolean read_idp(Crl *crl, GError **error)
{
	IfppTlv all, tlv, name;
	IfppSpan in = crl->idp;

	if (!ifpp_tlv_take(&in, 0x30, &all) || in.len)
		return ifpp_fail(error, IFPP_ERROR_CRL, "its issuing distribution point cannot be read");
	while (all.value.len) {
		if (!ifpp_tlv_next(&all.value, &tlv, NULL))
			return ifpp_fail(error, IFPP_ERROR_CRL, "its issuing distribution point cannot be read");
		switch (tlv.tag) {
		case 0xA0:
			/* fullName; a name relative to the issuer's is one that no certificate here repeats */
			if (ifpp_tlv_take(&tlv.value, 0xA0, &name))
				crl->names = name.value;
			break;
		case 0x81:
			crl->only_users = is_true(tlv.value);
			break;
		case 0x82:
			crl->only_cas = is_true(tlv.value);
			break;
		case 0x83:
			crl->some_reasons = TRUE;
			break;
		case 0x84:
			if (is_true(tlv.value))
				return ifpp_fail(error, IFPP_ERROR_CRL,
						 "an indirect CRL, which is not supported: install the CRL of each issuer");
			break;
		case 0x85:
			crl->attributes = is_true(tlv.value);
			break;
		default:
			return ifpp_fail(error, IFPP_ERROR_CRL, "its issuing distribution point cannot be read");
		}
	}
	return TRUE;
}

static guint small_number(Crl *crl, IfppSpan oid, gboolean *bad)
{
	IfppSpan value;
	IfppTlv number;

	if (!cert_find_extension(crl->s.extensions, oid, &value, NULL))
		return 0;
	if (ifpp_tlv_take(&value, 0x02, &number) && !value.len && number.value.len == 1 && number.value.data[0] &&
	    number.value.data[0] <= PARTS_MAX)
		return number.value.data[0];
	*bad = TRUE;
	return 0;
}

static gboolean read_scope(Crl *crl, GError **error)
{
	gboolean bad = FALSE;
	IfppSpan value;

	if (cert_find_extension(crl->s.extensions, IFPP_SPAN(oid_delta), &value, NULL))
		return ifpp_fail(error, IFPP_ERROR_CRL, "a delta CRL, which is not supported: install the full CRL");
	if (cert_find_extension(crl->s.extensions, IFPP_SPAN(oid_idp), &crl->idp, NULL) && !read_idp(crl, error))
		return FALSE;
	crl->parts = small_number(crl, IFPP_SPAN(oid_parts), &bad);
	crl->part = small_number(crl, IFPP_SPAN(oid_part), &bad);
	if (bad || !crl->parts != !crl->part || crl->part > crl->parts)
		return ifpp_fail(error, IFPP_ERROR_CRL, "which part of a CRL it is cannot be read");
	return TRUE;
}

static gboolean split_crl(IfppSpan der, Crl *crl, GError **error)
{
	static const guint8 v2[] = { 0x02, 0x01, 0x01 };
	IfppSpan known[] = { IFPP_SPAN(oid_aki), IFPP_SPAN(oid_crl_number), IFPP_SPAN(oid_idp), IFPP_SPAN(oid_parts),
			     IFPP_SPAN(oid_part) };
	IfppTlv tbs, tlv, list;
	IfppSpan in;

	if (!cert_split_signed(der, &crl->s, error))
		return FALSE;
	in = crl->s.tbs;
	if (!ifpp_tlv_expect(&in, 0x30, "CRL", &tbs, error))
		return FALSE;
	in = tbs.value;
	if (!ifpp_tlv_expect(&in, 0x02, "version", &tlv, error))
		return FALSE;
	if (!ifpp_span_equal(tlv.whole, IFPP_SPAN(v2)))
		return ifpp_fail(error, IFPP_ERROR_CRL, "not a version 2 CRL");
	if (!ifpp_tlv_expect(&in, 0x30, "signature algorithm", &tlv, error))
		return FALSE;
	if (!cert_is_ecdsa_sha256(tlv.whole))
		return ifpp_fail(error, IFPP_ERROR_CRL, "two different signature algorithms");
	if (!ifpp_tlv_expect(&in, 0x30, "issuer", &tlv, error))
		return FALSE;
	crl->issuer = tlv.whole;
	while (in.len) {
		if (!ifpp_tlv_next(&in, &tlv, error))
			return FALSE;
		if (tlv.tag == 0xA0) {
			if (!ifpp_tlv_expect(&tlv.value, 0x30, "extensions", &list, error))
				return FALSE;
			if (in.len || tlv.value.len)
				return ifpp_fail(error, IFPP_ERROR_CRL, "bytes after the extensions");
			crl->s.extensions = list.value;
		}
	}
	crl->has_aki = cert_aki(crl->s.extensions, crl->aki);
	return read_scope(crl, error) && cert_check_extensions(crl->s.extensions, known, G_N_ELEMENTS(known), error);
}

static gboolean read_crl(Crl *crl, GError **error)
{
	gnutls_datum_t data = cert_datum(ifpp_span_bytes(crl->bytes));
	int rc;

	if (!split_crl(ifpp_span_bytes(crl->bytes), crl, error))
		return FALSE;
	if (!crl->has_aki)
		return ifpp_fail(error, IFPP_ERROR_CRL, "has no authority key identifier of 20 bytes");
	if (gnutls_x509_crl_init(&crl->crl) < 0)
		g_error("out of memory");
	rc = gnutls_x509_crl_import(crl->crl, &data, GNUTLS_X509_FMT_DER);
	if (rc < 0)
		return ifpp_fail(error, IFPP_ERROR_CRL, "cannot be read: %s", gnutls_strerror(rc));
	return TRUE;
}

Crl *crl_unreadable(const char *where, const char *why)
{
	Crl *crl = g_new0(Crl, 1);

	crl->where = g_strdup(where);
	crl->broken = g_strdup(why);
	crl->bytes = g_bytes_new(NULL, 0);
	return crl;
}

Crl *crl_new(IfppSpan der, const char *where, GError **error)
{
	Crl *crl = g_new0(Crl, 1);
	g_autoptr(GError) why = NULL;

	crl->bytes = g_bytes_new(der.data, der.len);
	crl->where = g_strdup(where ?: "CRL");
	if (!read_crl(crl, &why)) {
		crl->broken = g_strdup(why->message);
		ifpp_fail(error, IFPP_ERROR_CRL, "CRL: %s", why->message);
	}
	return crl;
}

gboolean crl_is_of(Crl *crl, Cert *issuer)
{
	return crl->has_aki && memcmp(crl->aki, issuer->ski, CERT_ID_LEN) == 0;
}

/* ------------------------------------------------------------ who signed it */

static gboolean proven(Crl *crl, Cert *issuer, GError **error)
{
	unsigned int usage;

	if (crl->proven_by == issuer)
		return TRUE;
	if (gnutls_x509_crt_get_key_usage(issuer->crt, &usage, NULL) < 0 || !(usage & GNUTLS_KEY_CRL_SIGN))
		return ifpp_fail(error, IFPP_ERROR_CRL, "%s: %s may not sign CRLs", crl->where, issuer->name);
	if (!cert_signed(&crl->s, issuer, &crl->signer))
		return ifpp_fail(error, IFPP_ERROR_CRL, "%s: not signed by %s", crl->where, issuer->name);
	return TRUE;
}

gboolean crl_prove(Crl *crl, Cert *root, GError **error)
{
	if (!proven(crl, root, error))
		return FALSE;
	crl->proven_by = root;
	return TRUE;
}

void crl_forget(Crl *crl, Cert *root)
{
	if (crl->proven_by == root)
		crl->proven_by = NULL;
}

/* ------------------------------------------------------------ what it says */

static gboolean lists(Crl *crl, Cert *cert)
{
	gnutls_x509_crl_iter_t iter = NULL;
	guint8 listed[64];
	IfppSpan in = cert->serial;
	gboolean found = FALSE;
	IfppTlv serial;

	if (!ifpp_tlv_take(&in, 0x02, &serial))
		return TRUE;
	for (;;) {
		gsize len = sizeof(listed);
		int rc = gnutls_x509_crl_iter_crt_serial(crl->crl, &iter, listed, &len, NULL);

		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		/* One too long for us is not this one; an entry that cannot be read might be. */
		if (rc == GNUTLS_E_SHORT_MEMORY_BUFFER && serial.value.len <= sizeof(listed))
			continue;
		if (rc < 0 || ifpp_span_equal(serial.value, (IfppSpan){ listed, len })) {
			found = TRUE;
			break;
		}
	}
	if (iter)
		gnutls_x509_crl_iter_deinit(iter);
	return found;
}

/* Does one of these GeneralNames stand in a distribution point of the certificate? */
static gboolean names_meet(IfppSpan names, IfppSpan points)
{
	IfppTlv all, point, field, full, name, other;

	if (!ifpp_tlv_take(&points, 0x30, &all))
		return TRUE;
	while (ifpp_tlv_take(&all.value, 0x30, &point)) {
		if (!ifpp_tlv_take(&point.value, 0xA0, &field) || !ifpp_tlv_take(&field.value, 0xA0, &full))
			continue;
		while (full.value.len && ifpp_tlv_next(&full.value, &other, NULL))
			for (IfppSpan rest = names; rest.len && ifpp_tlv_next(&rest, &name, NULL);)
				if (ifpp_span_equal(name.whole, other.whole))
					return TRUE;
	}
	return FALSE;
}

/* Would this certificate be on this CRL if it were revoked, for whatever reason? */
static gboolean covers(Crl *crl, Cert *cert, gboolean ca)
{
	IfppSpan points;

	if (crl->attributes || crl->some_reasons || (crl->only_users && ca) || (crl->only_cas && !ca))
		return FALSE;
	return !crl->names.len ||
	       !cert_find_extension(cert->s.extensions, IFPP_SPAN(oid_crl_points), &points, NULL) ||
	       names_meet(crl->names, points);
}

static gboolean same_scope(Crl *a, Crl *b)
{
	return a->part == b->part && a->parts == b->parts && ifpp_span_equal(a->idp, b->idp);
}

static gint64 issued(Crl *crl)
{
	return gnutls_x509_crl_get_this_update(crl->crl);
}

gint64 crl_proves(Crl *crl, const char **what)
{
	*what = crl->where ?: "a CRL";
	return crl->proven_by && !crl->broken ? MAX(issued(crl), 0) : 0;
}

static gboolean of_and_covers(Crl *crl, Cert *cert, gboolean ca, Cert *issuer)
{
	return !crl->broken && crl_is_of(crl, issuer) && covers(crl, cert, ca);
}

gboolean crl_ends(GPtrArray *crls, Crl *crl, gint64 *when, const char **where)
{
	if (crl->broken)
		return FALSE;
	for (guint i = 0; i < crls->len; i++) {
		Crl *other = crls->pdata[i];

		if (!other->broken && ifpp_span_equal(other->issuer, crl->issuer) && same_scope(crl, other) &&
		    issued(other) > issued(crl))
			return FALSE;
	}
	*when = gnutls_x509_crl_get_next_update(crl->crl);
	*where = crl->where;
	return *when >= 0;
}

/* Is there a newer one for the same certificates? */
static gboolean superseded(GPtrArray *crls, Crl *crl, Cert *cert, gboolean ca, Cert *issuer)
{
	for (guint i = 0; i < crls->len; i++) {
		Crl *other = crls->pdata[i];

		if (of_and_covers(other, cert, ca, issuer) && same_scope(crl, other) && issued(other) > issued(crl))
			return TRUE;
	}
	return FALSE;
}

static gboolean check_current(Crl *crl, Cert *issuer, gint64 now, GError **error)
{
	if (now < 0)
		return TRUE;
	if (issued(crl) >= now + IFPP_FLOOR_SLACK)
		return ifpp_fail(error, IFPP_ERROR_CRL,
				 "%s: CRL of %s: is of the future, or the clock of this machine is slow", crl->where,
				 issuer->name);
	if (gnutls_x509_crl_get_next_update(crl->crl) < now && issued(crl) <= now)
		return ifpp_fail(error, IFPP_ERROR_CRL, "%s: CRL of %s: is out of date", crl->where, issuer->name);
	return TRUE;
}

/* Of a CRL in parts all must be there: the certificate may be listed in any of them. */
static gboolean check_parts(Crl *crl, guint64 present, Cert *issuer, GError **error)
{
	for (guint part = 1; part <= crl->parts; part++)
		if (!(present & (G_GUINT64_CONSTANT(1) << (part - 1))))
			return ifpp_fail(error, IFPP_ERROR_CRL, "%s: CRL of %s: part %u of %u is missing", crl->where,
					 issuer->name, part, crl->parts);
	return TRUE;
}

gboolean crl_check(GPtrArray *crls, Cert *cert, gboolean ca, Cert *issuer, gboolean required, gint64 now, GError **error)
{
	Crl *doubtful = NULL, *in_parts = NULL;
	gboolean current = FALSE;
	guint64 present = 0;

	for (guint i = 0; i < crls->len; i++) {
		Crl *crl = crls->pdata[i];
		gboolean named = ifpp_span_equal(crl->issuer, issuer->subject);

		if (crl->broken && (crl_is_of(crl, issuer) || (named && !crl->has_aki)))
			return ifpp_fail(error, IFPP_ERROR_CRL, "%s: CRL of %s: %s", crl->where, issuer->name, crl->broken);
		if (!crl_is_of(crl, issuer)) {
			/* Nobody's that we know: one of ours that is damaged just there, perhaps. */
			if (!crl->proven_by && (named || !crl->issuer.len))
				doubtful = crl;
			continue;
		}
		if (!proven(crl, issuer, error))
			return FALSE;
		if (lists(crl, cert))
			return ifpp_fail(error, IFPP_ERROR_REVOKED, "%s: is revoked by %s", cert->name,
					 issuer->name);
	}
	for (guint i = 0; i < crls->len; i++) {
		Crl *crl = crls->pdata[i];

		if (!of_and_covers(crl, cert, ca, issuer) || superseded(crls, crl, cert, ca, issuer))
			continue;
		if (!check_current(crl, issuer, now, error))
			return FALSE;
		current = TRUE;
		if (crl->parts && (!in_parts || crl->parts == in_parts->parts)) {
			in_parts = crl;
			present |= G_GUINT64_CONSTANT(1) << (crl->part - 1);
		}
	}
	if (in_parts && !check_parts(in_parts, present, issuer, error))
		return FALSE;
	if (!current && doubtful)
		return ifpp_fail(error, IFPP_ERROR_CRL, "%s: %s, so that it might be the CRL of %s", doubtful->where,
				 doubtful->broken ?: "names another key", issuer->name);
	if (!current && required)
		return ifpp_fail(error, IFPP_ERROR_CRL, "%s: has no CRL here, and require-crl says it must",
				 issuer->name);
	return TRUE;
}
