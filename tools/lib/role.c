// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a certificate of the RSP profile may do: roles, usage, dates, and whom an issuer may certify.
 * Sources: SGP.22 v2.5 4.5.2 and v3.1 4.5.2 (a second set of roles with sub-CAs), RFC 5280 4.2.1.
 */
#include "cert.h"

#include <string.h>

#include "eid.h"

#define EIN_DIGITS_MIN 8

static const guint8 oid_key_usage[] = { 0x55, 0x1D, 0x0F };
static const guint8 oid_basic_constraints[] = { 0x55, 0x1D, 0x13 };
static const guint8 oid_alt_name[] = { 0x55, 0x1D, 0x11 };
static const guint8 oid_name_constraints[] = { 0x55, 0x1D, 0x1E };
static const guint8 oid_policies[] = { 0x55, 0x1D, 0x20 };
static const guint8 oid_permitted_eins[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x02, 0x00 };
static const guint8 oid_serial_number[] = { 0x55, 0x04, 0x05 };

/* ------------------------------------------------------------ roles */

/* id-rspRole, 2.23.146.1.2.1, and what stands below it in v2 (one arc) and v3. */
static const guint8 oid_role[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x01 };
static const struct {
	CertKind kind;
	guint8 len, arcs[5];
} roles[] = {
	{ CERT_CI, 1, { 0 } },
	{ CERT_EUICC, 1, { 1 } },
	{ CERT_EUM, 1, { 2 } },
	{ CERT_DP_AUTH, 1, { 4 } },
	{ CERT_DP_PB, 1, { 5 } },
	{ CERT_CI_SUB, 2, { 0, 0 } },
	{ CERT_EUM, 3, { 0, 0, 0 } },
	{ CERT_EUM_SUB, 4, { 0, 0, 0, 0 } },
	{ CERT_EUICC, 5, { 0, 0, 0, 0, 0 } },
	{ CERT_DP_SUB, 3, { 0, 0, 1 } },
	{ CERT_DP_AUTH, 4, { 0, 0, 1, 1 } },
	{ CERT_DP_PB, 4, { 0, 0, 1, 2 } },
};

static const char *const kind_names[] = {
	[CERT_CI] = "CI",	[CERT_CI_SUB] = "CI sub-CA",	     [CERT_EUM] = "EUM",
	[CERT_EUM_SUB] = "EUM sub-CA", [CERT_EUICC] = "eUICC",	     [CERT_DP_SUB] = "SM-DP+ sub-CA",
	[CERT_DP_AUTH] = "SM-DP+ authentication", [CERT_DP_PB] = "SM-DP+ profile binding",
};

#define BIT(kind) (1u << (kind))
#define ANY_CI (BIT(CERT_CI) | BIT(CERT_CI_SUB))
#define ANY_EUM (BIT(CERT_EUM) | BIT(CERT_EUM_SUB))
#define ANY_DP_ISSUER (ANY_CI | BIT(CERT_DP_SUB))

/* Who may issue one of @kind. */
static guint issuers_of(CertKind kind)
{
	switch (kind) {
	case CERT_CI_SUB:
		return ANY_CI;
	case CERT_EUM:
	case CERT_EUM_SUB:
		return ANY_CI | ANY_EUM;
	case CERT_EUICC:
		return ANY_EUM;
	case CERT_DP_SUB:
		return ANY_CI;
	case CERT_DP_AUTH:
	case CERT_DP_PB:
		return ANY_DP_ISSUER;
	default:
		return ANY_CI | ANY_EUM | BIT(CERT_DP_SUB);
	}
}

static CertKind kind_of_role(IfppRole role)
{
	switch (role) {
	case IFPP_ROLE_CI:
		return CERT_CI;
	case IFPP_ROLE_EUICC:
		return CERT_EUICC;
	case IFPP_ROLE_EUM:
		return CERT_EUM;
	case IFPP_ROLE_DP_AUTH:
		return CERT_DP_AUTH;
	case IFPP_ROLE_DP_PB:
		return CERT_DP_PB;
	}
	return CERT_OTHER;
}

static CertKind kind_of_oid(IfppSpan oid, gboolean *v3)
{
	if (oid.len <= sizeof(oid_role) || memcmp(oid.data, oid_role, sizeof(oid_role)) != 0)
		return CERT_NONE;
	oid = (IfppSpan){ oid.data + sizeof(oid_role), oid.len - sizeof(oid_role) };
	for (guint i = 0; i < G_N_ELEMENTS(roles); i++) {
		if (!ifpp_span_equal(oid, (IfppSpan){ roles[i].arcs, roles[i].len }))
			continue;
		*v3 |= roles[i].len > 1;
		return roles[i].kind;
	}
	return CERT_OTHER;
}

/* certificatePolicies: SEQUENCE OF SEQUENCE { OID, qualifiers OPTIONAL } */
static gboolean read_kind(Cert *cert, GError **error)
{
	IfppTlv all, policy, oid;
	IfppSpan value;

	cert->kind = CERT_NONE;
	cert->v3 = FALSE;
	if (!cert_find_extension(cert->s.extensions, IFPP_SPAN(oid_policies), &value, NULL))
		return TRUE;
	if (!ifpp_tlv_take(&value, 0x30, &all) || value.len)
		goto bad;
	while (all.value.len) {
		CertKind kind;

		if (!ifpp_tlv_take(&all.value, 0x30, &policy) || !ifpp_tlv_take(&policy.value, 0x06, &oid))
			goto bad;
		kind = kind_of_oid(oid.value, &cert->v3);
		if (kind != CERT_NONE)
			cert->kind = cert->kind == CERT_NONE || cert->kind == kind ? kind : CERT_OTHER;
	}
	return TRUE;
bad:
	return ifpp_fail(error, IFPP_ERROR_ROLE, "%s: its certificate policies cannot be read", cert->name);
}

static gboolean check_kind(Cert *cert, guint wanted, GError **error)
{
	g_autoptr(GString) names = g_string_new(NULL);

	if (wanted & BIT(cert->kind))
		return TRUE;
	for (guint i = CERT_CI; i < G_N_ELEMENTS(kind_names); i++)
		if (wanted & BIT(i))
			g_string_append_printf(names, "%s%s", names->len ? " or " : "", kind_names[i]);
	if (cert->kind == CERT_NONE)
		return ifpp_fail(error, IFPP_ERROR_ROLE, "%s: does not have the role of %s", cert->name, names->str);
	return ifpp_fail(error, IFPP_ERROR_ROLE, "%s: has another role than %s", cert->name, names->str);
}

gboolean cert_check_kinds(GPtrArray *path, IfppRole role, GError **error)
{
	for (guint i = 0; i < path->len; i++) {
		Cert *cert = path->pdata[i];

		if (!read_kind(cert, error))
			return FALSE;
		/* In v2 a sub-CA of the CI bears the CI's own role. */
		if (cert->kind == CERT_CI && i + 1 < path->len)
			cert->kind = CERT_CI_SUB;
	}
	for (guint i = path->len; i-- > 0;) {
		Cert *below = i ? path->pdata[i - 1] : NULL;
		guint wanted = below ? issuers_of(below->kind) : BIT(kind_of_role(role));

		if (!check_kind(path->pdata[i], wanted, error))
			return FALSE;
	}
	return TRUE;
}

/* ------------------------------------------------------------ usage, dates */

/* SGP.22 4.5.2.1.0 has these critical. The policies of v3's CAs are told from v2's by their arcs alone. */
static gboolean check_critical(Cert *cert, gboolean ca, GError **error)
{
	const struct {
		IfppSpan oid;
		const char *name;
		gboolean applies;
	} wanted[] = {
		{ IFPP_SPAN(oid_key_usage), "keyUsage", TRUE },
		{ IFPP_SPAN(oid_basic_constraints), "basicConstraints", ca },
		{ IFPP_SPAN(oid_name_constraints), "nameConstraints", TRUE },
		{ IFPP_SPAN(oid_policies), "certificatePolicies", !ca || !cert->v3 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
		gboolean critical = TRUE;
		IfppSpan value;

		if (wanted[i].applies &&
		    cert_find_extension(cert->s.extensions, wanted[i].oid, &value, &critical) && !critical)
			return ifpp_fail(error, IFPP_ERROR_CERTIFICATE, "%s: its %s is not critical", cert->name,
					 wanted[i].name);
	}
	return TRUE;
}

gboolean cert_check_usage(Cert *cert, gboolean ca, int below, gboolean root, GError **error)
{
	unsigned int usage, is_ca = 0;
	int pathlen = -1;
	int rc = gnutls_x509_crt_get_key_usage(cert->crt, &usage, NULL);

	if (rc < 0)
		return ifpp_fail(error, IFPP_ERROR_KEY_USAGE, "%s: has no key usage", cert->name);
	rc = gnutls_x509_crt_get_basic_constraints(cert->crt, NULL, &is_ca, &pathlen);
	if (rc < 0 && rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its basic constraints cannot be read",
				 cert->name);
	if (!ca) {
		if (!(usage & GNUTLS_KEY_DIGITAL_SIGNATURE) || usage & GNUTLS_KEY_KEY_CERT_SIGN)
			return ifpp_fail(error, IFPP_ERROR_KEY_USAGE,
					 "%s: its key usage is not digitalSignature", cert->name);
		if (rc >= 0 && is_ca)
			return ifpp_fail(error, IFPP_ERROR_KEY_USAGE, "%s: is a CA certificate", cert->name);
		return check_critical(cert, FALSE, error);
	}
	if (!(usage & GNUTLS_KEY_KEY_CERT_SIGN))
		return ifpp_fail(error, IFPP_ERROR_KEY_USAGE, "%s: may not sign certificates", cert->name);
	if (rc < 0 || !is_ca)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: is not a CA certificate", cert->name);
	if (pathlen >= 0 && pathlen < below)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: the path below it is too long", cert->name);
	if (root)
		return TRUE;
	/* What an EUM issues is not to become a CA's hierarchy of its own. */
	if (pathlen < 0 && BIT(cert->kind) & ANY_EUM)
		return ifpp_fail(error, IFPP_ERROR_CERTIFICATE, "%s: has no path length constraint", cert->name);
	return check_critical(cert, TRUE, error);
}

gboolean cert_check_root(Cert *root, GError **error)
{
	return read_kind(root, error) && check_kind(root, BIT(CERT_CI), error) &&
	       cert_check_usage(root, TRUE, 0, TRUE, error);
}

gboolean cert_check_dates(Cert *cert, gint64 now, GError **error)
{
	if (now < 0)
		return TRUE;
	if (cert->from == -1 || cert->to == -1)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its dates cannot be read", cert->name);
	if (now < cert->from)
		return ifpp_fail(error, IFPP_ERROR_NOT_YET_VALID, "%s: is not valid yet", cert->name);
	if (now > cert->to)
		return ifpp_fail(error, IFPP_ERROR_EXPIRED, "%s: has expired", cert->name);
	return TRUE;
}

/*
 * SGP.22 4.5.2.1.0: an SM-DP+ is named by the registeredID of its subjectAltName, its OID; a chip looks
 * for it and refuses the certificate without.
 */
gboolean cert_check_leaf(Cert *leaf, GError **error)
{
	guint found = 0;
	IfppTlv names, name;
	IfppSpan value;

	if (leaf->kind != CERT_DP_PB && leaf->kind != CERT_DP_AUTH)
		return TRUE;
	if (cert_find_extension(leaf->s.extensions, IFPP_SPAN(oid_alt_name), &value, NULL)) {
		if (!ifpp_tlv_take(&value, 0x30, &names) || value.len)
			return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its subjectAltName cannot be read", leaf->name);
		while (names.value.len) {
			if (!ifpp_tlv_next(&names.value, &name, NULL))
				return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its subjectAltName cannot be read",
						 leaf->name);
			found += name.tag == 0x88;
		}
	}
	return found == 1 || ifpp_fail(error, IFPP_ERROR_CERTIFICATE,
				       "%s: has %s registeredID in its subjectAltName, every chip wants one", leaf->name,
				       found ? "more than one" : "no");
}

/* ------------------------------------------------------------ what an issuer may name */

static gboolean is_prefix(IfppSpan prefix, IfppSpan digits)
{
	if (prefix.len < EIN_DIGITS_MIN || prefix.len > digits.len)
		return FALSE;
	for (gsize i = 0; i < prefix.len; i++)
		if (!g_ascii_isdigit(prefix.data[i]))
			return FALSE;
	return memcmp(prefix.data, digits.data, prefix.len) == 0;
}

static gboolean has_value(IfppSpan name, IfppSpan type, IfppSpan value)
{
	IfppSpan rdn = { NULL, 0 }, t, v;
	IfppTlv rdns;

	if (!ifpp_tlv_take(&name, 0x30, &rdns) || name.len)
		return FALSE;
	while (cert_next_attribute(&rdns.value, &rdn, &t, &v))
		if (ifpp_span_equal(t, type) && v.len && ifpp_span_equal(v, value))
			return TRUE;
	return FALSE;
}

/*
 * SGP.22 4.5.2.1.0.2: every attribute of the constraint stands in the subject; serialNumber is the
 * beginning of the EIDs, and has nothing to say of a subject that is no eUICC (@eid empty).
 * @eids is set when the constraint says which EIDs.
 */
static gboolean name_fits(IfppSpan constraint, IfppSpan subject, IfppSpan eid, gboolean *eids)
{
	IfppSpan rdn = { NULL, 0 }, type, value;
	gboolean says = FALSE;
	IfppTlv rdns;

	if (!ifpp_tlv_take(&constraint, 0x30, &rdns) || constraint.len)
		return FALSE;
	while (rdns.value.len || rdn.len) {
		if (!cert_next_attribute(&rdns.value, &rdn, &type, &value))
			return FALSE;
		if (ifpp_span_equal(type, IFPP_SPAN(oid_serial_number))) {
			if (eid.len && !is_prefix(value, eid))
				return FALSE;
			says = TRUE;
		} else if (!value.len || !has_value(subject, type, value)) {
			return FALSE;
		}
	}
	*eids |= says && eid.len;
	return TRUE;
}

/* SEQUENCE OF GeneralSubtree: does one of them fit? FALSE for a form that is not understood. */
static gboolean subtrees(IfppSpan list, IfppSpan subject, IfppSpan eid, gboolean *fits, gboolean *eids)
{
	IfppTlv subtree, name;

	*fits = FALSE;
	while (list.len) {
		if (!ifpp_tlv_take(&list, 0x30, &subtree) || !ifpp_tlv_take(&subtree.value, 0xA4, &name) ||
		    subtree.value.len)
			return FALSE;
		*fits |= name_fits(name.value, subject, eid, eids);
	}
	return TRUE;
}

/* NameConstraints: SEQUENCE { [0] permittedSubtrees, [1] excludedSubtrees } */
static gboolean names_permit(Cert *ca, IfppSpan constraints, Cert *below, IfppSpan eid, gboolean *eids, GError **error)
{
	gboolean fits = TRUE, understood = TRUE, none = FALSE;
	IfppTlv all, part;

	if (!ifpp_tlv_take(&constraints, 0x30, &all) || constraints.len)
		return ifpp_fail(error, IFPP_ERROR_CONSTRAINT, "%s: its name constraints cannot be read", ca->name);
	if (ifpp_tlv_take(&all.value, 0xA0, &part))
		understood = subtrees(part.value, below->subject, eid, &fits, eids);
	if (understood && fits && ifpp_tlv_take(&all.value, 0xA1, &part)) {
		gboolean excluded;

		understood = subtrees(part.value, below->subject, eid, &excluded, &none);
		fits = !excluded;
	}
	if (!understood || (fits && all.value.len))
		return ifpp_fail(error, IFPP_ERROR_CONSTRAINT,
				 "%s: has name constraints of a form that is not understood", ca->name);
	return fits || ifpp_fail(error, IFPP_ERROR_CONSTRAINT, "%s: its name constraints do not cover %s", ca->name,
				 eid.len ? "this eUICC" : below->name);
}

/* SGP.22 v3: SEQUENCE OF PrintableString */
static gboolean eins_permit(IfppSpan list, IfppSpan eid)
{
	gboolean fits = FALSE;
	IfppTlv all, ein;

	if (!ifpp_tlv_take(&list, 0x30, &all) || list.len)
		return FALSE;
	while (all.value.len) {
		if (!ifpp_tlv_take(&all.value, 0x13, &ein))
			return FALSE;
		fits |= is_prefix(ein.value, eid);
	}
	return fits;
}

/* Everything that this CA says of those below it in the path. */
static gboolean check_ca_names(GPtrArray *path, guint i, IfppSpan digits, gboolean *eids, GError **error)
{
	Cert *ca = path->pdata[i];
	IfppSpan names, eins;

	if (cert_find_extension(ca->s.extensions, IFPP_SPAN(oid_name_constraints), &names, NULL)) {
		for (guint below = 0; below < i; below++)
			if (!names_permit(ca, names, path->pdata[below], below ? (IfppSpan){ NULL, 0 } : digits, eids,
					  error))
				return FALSE;
	}
	if (digits.len && cert_find_extension(ca->s.extensions, IFPP_SPAN(oid_permitted_eins), &eins, NULL)) {
		*eids = TRUE;
		if (!eins_permit(eins, digits))
			return ifpp_fail(error, IFPP_ERROR_CONSTRAINT, "%s: its permitted EINs do not cover this EID",
					 ca->name);
	}
	return TRUE;
}

gboolean cert_check_names(GPtrArray *path, GError **error)
{
	Cert *leaf = path->pdata[0], *eum = path->len > 1 ? path->pdata[1] : NULL;
	IfppSpan digits = { NULL, 0 }, names;
	gboolean eids = FALSE;
	guint8 eid[16];

	if (leaf->kind == CERT_EUICC && !cert_subject_eid(leaf, &digits, eid))
		return ifpp_fail(error, IFPP_ERROR_CONSTRAINT, "%s: its subject has no valid EID", leaf->name);
	if ((leaf->kind == CERT_EUICC || leaf->kind == CERT_DP_PB || leaf->kind == CERT_DP_AUTH) &&
	    cert_find_extension(leaf->s.extensions, IFPP_SPAN(oid_name_constraints), &names, NULL))
		return ifpp_fail(error, IFPP_ERROR_CONSTRAINT, "%s: has name constraints but is no CA certificate",
				 leaf->name);
	for (guint i = path->len; i-- > 1;)
		if (!check_ca_names(path, i, digits, &eids, error))
			return FALSE;
	return leaf->kind != CERT_EUICC || eids ||
	       ifpp_fail(error, IFPP_ERROR_CONSTRAINT, "%s: does not say which EIDs it may issue", eum->name);
}
