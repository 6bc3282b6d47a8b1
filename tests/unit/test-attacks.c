// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The attack table: forged, damaged, stale, swapped and malicious packages, certificates, CRLs,
 * eUICC data, results and receipts, each named after what it violates, and the code that refuses it.
 * Each is built to be right in everything but the one thing, so that the check meant is the check met.
 * Then the programs get the same bytes (attack-table.c), and what they did with them is the table, which
 * must be the one in Documentation/attacks.rst.
 */
#include <stdlib.h>
#include <string.h>

#include <gnutls/pkcs7.h>

#include "attack-table.h"
#include "error.h"
#include "euicc.h"
#include "package.h"
#include "profile.h"
#include "seal.h"
#include "testpki.h"

/* One line of the table. The attack returns TRUE if it got through. */
typedef struct {
	const char *name;
	gboolean (*attack)(gconstpointer arg, GError **error);
	gconstpointer arg;
	IfppError code;
} Attack;

#define CHIP_KEYS 8	/* the first is never spent */

static TestPki *pki, *stranger;
static TestId *otk, *otk2, *keys[CHIP_KEYS];
static AttackTable *table;

/* The bytes that the attack at hand comes down to. */
static struct {
	enum { PACKAGE, EUICC, PIR, RECEIPT } kind;
	GBytes *bytes, *crl;
} shown;

static void show(int kind, IfppSpan bytes)
{
	g_clear_pointer(&shown.bytes, g_bytes_unref);
	shown.kind = kind;
	shown.bytes = g_bytes_new(bytes.data, bytes.len);
}
static guint8 eid[16], otpk[65], otpk2[65], challenge[16] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static GBytes *bpp, *good, *with_attributes, *factory_info;

/* ------------------------------------------------------------ tools of the trade */

static GBytes *new_bytes(IfppSpan span)
{
	return g_bytes_new(span.data, span.len);
}

static GBytes *flip(GBytes *bytes, gsize at)
{
	gsize len;
	guint8 *copy = g_memdup2(g_bytes_get_data(bytes, &len), g_bytes_get_size(bytes));

	copy[at] ^= 1;
	return g_bytes_new_take(copy, len);
}

static GBytes *append(GBytes *bytes, const char *hex)
{
	GByteArray *out = g_byte_array_new();
	g_autoptr(GBytes) more = ifpp_unhex(hex);

	g_byte_array_append(out, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
	g_byte_array_append(out, g_bytes_get_data(more, NULL), g_bytes_get_size(more));
	return g_byte_array_free_to_bytes(out);
}

static GBytes *replace(GBytes *bytes, const char *find, const char *put)
{
	g_autofree char *text = ifpp_hex(ifpp_span_bytes(bytes));
	char *at = strstr(text, find);

	g_assert_nonnull(at);
	g_assert_cmpuint(strlen(find), ==, strlen(put));
	memcpy(at, put, strlen(put));
	return ifpp_unhex(text);
}

/*
 * Edit a tree of TLVs: @path is child numbers from the root, "1.0.3". The node there becomes @put;
 * with @put NULL it goes away; with a path ending in "+", @put becomes its last child. The
 * lengths around it are made right again.
 */
static void edit(GByteArray *out, IfppSpan node, const char *path, GBytes *put)
{
	g_autoptr(GByteArray) value = g_byte_array_new();
	IfppTlv tlv, child;
	char *rest;
	guint64 wanted;

	g_assert_true(ifpp_tlv_next(&node, &tlv, NULL));
	if (*path == '+') {
		g_byte_array_append(value, tlv.value.data, tlv.value.len);
		g_byte_array_append(value, g_bytes_get_data(put, NULL), g_bytes_get_size(put));
		ifpp_tlv_put(out, tlv.tag, value->data, value->len);
		return;
	}
	wanted = strtoull(path, &rest, 10);
	rest += *rest == '.';
	for (guint i = 0; tlv.value.len; i++) {
		g_assert_true(ifpp_tlv_next(&tlv.value, &child, NULL));
		if (i != wanted)
			g_byte_array_append(value, child.whole.data, child.whole.len);
		else if (*rest)
			edit(value, child.whole, rest, put);
		else if (put)
			g_byte_array_append(value, g_bytes_get_data(put, NULL), g_bytes_get_size(put));
	}
	ifpp_tlv_put(out, tlv.tag, value->data, value->len);
}

/* The TLV at @path. */
static IfppSpan node_at(IfppSpan node, const char *path)
{
	IfppTlv tlv = { 0 };

	while (*path) {
		guint64 wanted = strtoull(path, (char **)&path, 10);

		path += *path == '.';
		g_assert_true(ifpp_tlv_next(&node, &tlv, NULL));
		node = tlv.value;
		for (guint64 i = 0; i <= wanted; i++)
			g_assert_true(ifpp_tlv_next(&node, &tlv, NULL));
		node = tlv.whole;
	}
	return node;
}

static IfppSpan body_of(GBytes *file)
{
	IfppSpan span = ifpp_span_bytes(file);

	return (IfppSpan){ span.data + IFPP_HEADER_LEN, span.len - IFPP_HEADER_LEN };
}

/* A file around @body whose header is right for this chip. */
static GBytes *file_of(IfppSpan body)
{
	IfppHeader header = { .body_len = body.len };
	g_autoptr(GBytes) bytes = new_bytes(body);
	guint8 raw[IFPP_HEADER_LEN];

	memcpy(header.eid, eid, sizeof(eid));
	ifpp_key_id(otpk, header.key_id);
	ifpp_header_write(&header, raw);
	return test_package_wrap(raw, bytes);
}

static gboolean gate(GBytes *file, IfppTrust *trust, GError **error)
{
	g_autoptr(IfppPackage) package = ifpp_package_open(file, trust, error);

	show(PACKAGE, ifpp_span_bytes(file));
	return package && ifpp_package_check_chip(package, eid, otpk, error);
}

/* ------------------------------------------------------------ the file */

static gboolean file_bytes(gconstpointer arg, GError **error)
{
	gsize len = GPOINTER_TO_SIZE(arg);
	g_autoptr(GBytes) file = g_bytes_new_from_bytes(good, 0, len);

	return gate(file, pki->trust, error);
}

static gboolean half_file(gconstpointer arg, GError **error)
{
	return file_bytes(GSIZE_TO_POINTER(g_bytes_get_size(good) / 2), error);
}

static gboolean file_more(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) file = append(good, arg);

	return gate(file, pki->trust, error);
}

static gboolean file_huge(gconstpointer arg, GError **error)
{
	g_autofree guint8 *zeros = g_malloc0(IFPP_PACKAGE_MAX);
	g_autoptr(GBytes) file = file_of((IfppSpan){ zeros, IFPP_PACKAGE_MAX });

	return gate(file, pki->trust, error);
}

static gboolean file_flip(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) file = flip(good, GPOINTER_TO_SIZE(arg));

	return gate(file, pki->trust, error);
}

static gboolean file_not_cms(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) file = file_of(ifpp_span_bytes(bpp));

	return gate(file, pki->trust, error);
}

/* Sealed right, for another chip or key; the file offered to ours as it is, or with our header. */
static gboolean cloned(gconstpointer arg, GError **error)
{
	guint8 other[16];
	g_autoptr(GBytes) file = NULL;

	memcpy(other, eid, 16);
	other[15] ^= 1;
	file = test_package_new(pki->dppb, NULL, other, otpk, bpp);
	if (arg) {
		g_autoptr(GBytes) relabelled = file_of(body_of(file));

		return gate(relabelled, pki->trust, error);
	}
	return gate(file, pki->trust, error);
}

static gboolean other_key(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) bpp2 = test_bpp_new(pki->dppb, otpk2);
	g_autoptr(GBytes) file = test_package_new(pki->dppb, NULL, eid, otpk2, bpp2);

	if (arg) {
		g_autoptr(GBytes) relabelled = file_of(body_of(file));

		return gate(relabelled, pki->trust, error);
	}
	return gate(file, pki->trust, error);
}

/* ------------------------------------------------------------ the envelope */

typedef struct {
	const char *path;	/* in the body */
	const char *put;	/* hex, or NULL */
	gboolean other;		/* the package with signed attributes, the result of a failure */
} Edit;

static gboolean body_edit(gconstpointer arg, GError **error)
{
	const Edit *change = arg;
	g_autoptr(GBytes) put = change->put ? ifpp_unhex(change->put) : NULL;
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GBytes) file = NULL;

	edit(body, body_of(change->other ? with_attributes : good), change->path, put);
	file = file_of((IfppSpan){ body->data, body->len });
	return gate(file, pki->trust, error);
}

/* Put a copy of what is at @arg behind it. */
static gboolean body_twice(gconstpointer arg, GError **error)
{
	const char *path = arg;
	g_autoptr(GBytes) child = NULL;
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autofree char *parent = g_strdup(path);
	g_autofree char *at = NULL;
	g_autoptr(GBytes) file = NULL;

	*strrchr(parent, '.') = '\0';
	at = g_strconcat(parent, ".+", NULL);
	child = new_bytes(node_at(body_of(good), path));
	edit(body, body_of(good), at, child);
	file = file_of((IfppSpan){ body->data, body->len });
	return gate(file, pki->trust, error);
}

/* CRLs where CMS has a place for them. */
static gboolean body_crls(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) signers = new_bytes(node_at(body_of(good), "1.0.4"));
	g_autoptr(GBytes) crls = ifpp_unhex("a100");
	g_autofree char *hex = ifpp_hex(ifpp_span_bytes(signers));
	g_autoptr(GBytes) both = append(crls, hex);
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GBytes) file = NULL;

	edit(body, body_of(good), "1.0.4", both);
	file = file_of((IfppSpan){ body->data, body->len });
	return gate(file, pki->trust, error);
}

static gboolean body_more(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) body = new_bytes(body_of(good));
	g_autoptr(GBytes) longer = append(body, arg);
	g_autoptr(GBytes) file = file_of(ifpp_span_bytes(longer));

	return gate(file, pki->trust, error);
}

/* The outermost length in a form that only BER knows. */
static gboolean body_ber(gconstpointer arg, GError **error)
{
	IfppSpan body = body_of(good), value;
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) file = NULL;
	guint32 tag;
	gsize hdr, len;

	g_assert_true(ifpp_tlv_header(body, &tag, &hdr, &len, NULL));
	value = (IfppSpan){ body.data + hdr, len };
	if (arg) {
		const guint8 indefinite[] = { 0x30, 0x80 }, end[] = { 0, 0 };

		g_byte_array_append(out, indefinite, 2);
		g_byte_array_append(out, value.data, value.len);
		g_byte_array_append(out, end, 2);
	} else {
		const guint8 long_form[] = { 0x30, 0x83, 0, len >> 8, len };

		g_byte_array_append(out, long_form, sizeof(long_form));
		g_byte_array_append(out, value.data, value.len);
	}
	file = file_of((IfppSpan){ out->data, out->len });
	return gate(file, pki->trust, error);
}

static gboolean cms_of(IfppSpan content, unsigned int flags, GError **error)
{
	g_autoptr(GBytes) cms = test_cms_new(pki->dppb, NULL, content, flags);
	g_autoptr(GBytes) file = file_of(ifpp_span_bytes(cms));

	return gate(file, pki->trust, error);
}

static gboolean cms_flags(gconstpointer arg, GError **error)
{
	return cms_of(node_at(body_of(good), "1.0.2.1.0"), GPOINTER_TO_UINT(arg), error);
}

static gboolean cms_other_content(gconstpointer arg, GError **error)
{
	return cms_of(ifpp_span_bytes(bpp), GNUTLS_PKCS7_EMBED_DATA | GNUTLS_PKCS7_INCLUDE_CERT, error);
}

/* The signature of one package under the content of another one. */
static gboolean signature_moved(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) bpp2 = test_bpp_new(pki->dppb, otpk2);
	g_autoptr(GBytes) other = test_package_new(pki->dppb, NULL, eid, otpk2, bpp2);
	g_autoptr(GBytes) sig = new_bytes(node_at(body_of(other), "1.0.4.0.4"));
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GBytes) file = NULL;

	edit(body, body_of(good), "1.0.4.0.4", sig);
	file = file_of((IfppSpan){ body->data, body->len });
	return gate(file, pki->trust, error);
}

/* ------------------------------------------------------------ who signed it */

static gboolean signed_by(TestId *signer, TestId **others, GError **error)
{
	g_autoptr(GBytes) own = test_bpp_new(signer, otpk);
	g_autoptr(GBytes) file = test_package_new(signer, others, eid, otpk, own);

	return gate(file, pki->trust, error);
}

static gboolean signer_of_pki(gconstpointer arg, GError **error)
{
	return signed_by(*(TestId *const *)arg, NULL, error);
}

static gboolean stranger_signs(gconstpointer arg, GError **error)
{
	return signed_by(stranger->dppb, NULL, error);
}

/* A stranger's chain, root and all. */
static gboolean stranger_with_root(gconstpointer arg, GError **error)
{
	TestId *others[] = { stranger->ci, NULL };

	return signed_by(stranger->dppb, others, error);
}

static gboolean own_root_too(gconstpointer arg, GError **error)
{
	TestId *others[] = { pki->ci, NULL };

	return signed_by(pki->dppb, others, error);
}

static gboolean signer_spec(gconstpointer arg, GError **error)
{
	g_autoptr(TestId) signer = test_id_new(arg, pki->ci);

	return signed_by(signer, NULL, error);
}

/* A stranger makes a CI with the name of ours. */
static gboolean same_name_ci(gconstpointer arg, GError **error)
{
	g_autoptr(TestId) ci = test_id_new(&test_spec_ci, NULL);
	g_autoptr(TestId) signer = test_id_new(&test_spec_dppb, ci);

	return signed_by(signer, NULL, error);
}

static gboolean sub_ca_spec(gconstpointer arg, GError **error)
{
	g_autoptr(TestId) ca = test_id_new(arg, pki->ci);
	g_autoptr(TestId) signer = test_id_new(&test_spec_dppb, ca);
	TestId *others[] = { ca, NULL };

	return signed_by(signer, others, error);
}

static gboolean path_too_long(gconstpointer arg, GError **error)
{
	const TestSpec spec = { .cn = "sub", .role = IFPP_ROLE_CI, .ca = TRUE, .pathlen = 1, .serial = 30 };
	g_autoptr(TestId) ca = test_id_new(&spec, pki->ci);
	g_autoptr(TestId) ca2 = test_id_new(&spec, ca);
	g_autoptr(TestId) signer = test_id_new(&test_spec_dppb, ca2);
	TestId *others[] = { ca, ca2, NULL };

	return signed_by(signer, others, error);
}

/* An EUM, or another Key Maker, issues itself a Key Maker. */
static gboolean issued_by(gconstpointer arg, GError **error)
{
	TestId *issuer = *(TestId *const *)arg;
	g_autoptr(TestId) signer = test_id_new(&test_spec_dppb, issuer);
	TestId *others[] = { issuer, NULL };

	return signed_by(signer, others, error);
}

/* ------------------------------------------------------------ CRLs */

typedef struct {
	gint64 from, to;
	gboolean revoked;
	gboolean forged;
	gboolean damaged;
} Crl;

static gboolean with_crl(gconstpointer arg, GError **error)
{
	const Crl *c = arg;
	TestId *issuer = c->forged ? stranger->ci : pki->ci;
	g_autoptr(GBytes) crl =
		test_crl_new(issuer, c->revoked ? pki->dppb : NULL, TEST_NOW + c->from, TEST_NOW + c->to);
	g_autoptr(IfppTrust) trust = ifpp_trust_new();

	ifpp_trust_set_time(trust, TEST_NOW + test_shift);
	g_assert_true(ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL));
	show(PACKAGE, ifpp_span_bytes(good));
	shown.crl = g_bytes_ref(crl);
	if (c->damaged) {
		g_autoptr(GBytes) changed = flip(crl, g_bytes_get_size(crl) / 2);

		g_bytes_unref(shown.crl);
		shown.crl = g_bytes_ref(changed);
		return ifpp_trust_add_crl(trust, ifpp_span_bytes(changed), error) && gate(good, trust, error);
	}
	if (c->forged) {
		/* the stranger's signature under our CI's key identifier */
		guint8 ours[20], theirs[20];
		g_autofree char *a = NULL, *b = NULL;
		g_autoptr(GBytes) changed = NULL;

		g_assert_true(ifpp_cert_ski(test_id_span(pki->ci), ours, NULL));
		g_assert_true(ifpp_cert_ski(test_id_span(stranger->ci), theirs, NULL));
		a = ifpp_hex(IFPP_SPAN(theirs));
		b = ifpp_hex(IFPP_SPAN(ours));
		changed = replace(crl, a, b);
		g_bytes_unref(shown.crl);
		shown.crl = g_bytes_ref(changed);
		return ifpp_trust_add_crl(trust, ifpp_span_bytes(changed), error);
	}
	return ifpp_trust_add_crl(trust, ifpp_span_bytes(crl), error) && gate(good, trust, error);
}

/* ------------------------------------------------------------ the profile inside */

/* The envelope is the Key Maker's own: what is wrong is in the package it signed. */
static gboolean inner_replace(gconstpointer arg, GError **error)
{
	const char *const *pair = arg;
	g_autoptr(GBytes) wrong = replace(bpp, pair[0], pair[1]);
	g_autoptr(GBytes) file = test_package_new(pki->dppb, NULL, eid, otpk, wrong);

	return gate(file, pki->trust, error);
}

static gboolean inner_edit(gconstpointer arg, GError **error)
{
	const Edit *change = arg;
	g_autoptr(GBytes) put = change->put ? ifpp_unhex(change->put) : NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) wrong = NULL;
	g_autoptr(GBytes) file = NULL;

	edit(out, ifpp_span_bytes(bpp), change->path, put);
	wrong = g_bytes_new(out->data, out->len);
	file = test_package_new(pki->dppb, NULL, eid, otpk, wrong);
	return gate(file, pki->trust, error);
}

static gboolean inner_of(TestId *signer, const guint8 key[65], GError **error)
{
	g_autoptr(GBytes) other = test_bpp_new(signer, key);
	g_autoptr(GBytes) file = test_package_new(pki->dppb, NULL, eid, otpk, other);

	return gate(file, pki->trust, error);
}

static gboolean inner_stranger(gconstpointer arg, GError **error)
{
	return inner_of(stranger->dppb, otpk, error);
}

static gboolean inner_other_key(gconstpointer arg, GError **error)
{
	return inner_of(pki->dppb, otpk2, error);
}

/* ------------------------------------------------------------ what a chip says */

static gboolean info_gate(IfppSpan ff21, IfppTrust *trust, GError **error)
{
	g_autoptr(IfppFactoryInfo) info = ifpp_factory_info_parse(ff21, error);

	show(EUICC, ff21);
	return info && ifpp_factory_info_verify(info, eid, trust, error);
}

/* paths: 2.0 is the key entry, 2.0.0 its id, .1 its point, .2 the attestation; 4.0 EUM, 4.1 eUICC */
static gboolean info_edit(gconstpointer arg, GError **error)
{
	const Edit *change = arg;
	g_autoptr(GBytes) put = change->put ? ifpp_unhex(change->put) : NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();

	edit(out, ifpp_span_bytes(factory_info), change->path, put);
	return info_gate((IfppSpan){ out->data, out->len }, pki->trust, error);
}

static gboolean info_put(const char *path, GBytes *put, GError **error)
{
	g_autoptr(GByteArray) out = g_byte_array_new();

	edit(out, ifpp_span_bytes(factory_info), path, put);
	return info_gate((IfppSpan){ out->data, out->len }, pki->trust, error);
}

/* A key of our own making, attested by @signer. */
static gboolean info_key(TestId *signer, gboolean right_id, guint8 spoil, GError **error)
{
	g_autoptr(GByteArray) entry = g_byte_array_new();
	guint8 key_id[32], sig[64], point[65];
	g_autoptr(GBytes) tbs = NULL;
	g_autoptr(GBytes) put = NULL;

	memcpy(point, otpk2, 65);
	point[64] ^= spoil;
	ifpp_key_id(right_id ? point : otpk, key_id);
	tbs = ifpp_attestation_tbs(key_id, point, eid);
	test_id_sign(signer, ifpp_span_bytes(tbs), sig);
	ifpp_tlv_put(entry, 0x80, key_id, 32);
	ifpp_tlv_put(entry, 0x5F49, point, 65);
	ifpp_tlv_put(entry, 0x5F37, sig, 64);
	{
		g_autoptr(GByteArray) all = g_byte_array_new();

		ifpp_tlv_put(all, 0x30, entry->data, entry->len);
		put = g_bytes_new(all->data, all->len);
	}
	return info_put("2.0", put, error);
}

static gboolean info_foreign_key(gconstpointer arg, GError **error)
{
	return info_key(stranger->euicc, TRUE, 0, error);
}

static gboolean info_wrong_id(gconstpointer arg, GError **error)
{
	return info_key(pki->euicc, FALSE, 0, error);
}

static gboolean info_bad_point(gconstpointer arg, GError **error)
{
	return info_key(pki->euicc, TRUE, 1, error);
}

static gboolean info_key_twice(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) key = new_bytes(node_at(ifpp_span_bytes(factory_info), "2.0"));

	return info_put("2.+", key, error);
}

/* A chip whose certificate is not by the EUM shown, or is of a stranger altogether. */
static gboolean info_foreign_chip(gconstpointer arg, GError **error)
{
	return info_put("4.1", stranger->euicc->der, error);
}

static gboolean info_foreign(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) ff21 = NULL;
	gboolean ok;
	TestId *key;

	ff21 = test_factory_info_new(stranger, 1, &key);
	ok = info_gate(ifpp_span_bytes(ff21), pki->trust, error);
	test_id_free(key);
	return ok;
}

/* The chip of another EUM, or with another EID, of our own CI. */
static gboolean info_chip(gconstpointer arg, GError **error)
{
	const TestSpec *specs = arg;
	TestPki other = *pki;
	g_autoptr(GBytes) ff21 = NULL;
	gboolean ok;
	TestId *key;

	other.eum = test_id_new(&specs[0], pki->ci);
	other.euicc = test_id_new(&specs[1], other.eum);
	ff21 = test_factory_info_new(&other, 1, &key);
	ok = info_gate(ifpp_span_bytes(ff21), pki->trust, error);
	test_id_free(key);
	test_id_free(other.eum);
	test_id_free(other.euicc);
	return ok;
}

static gboolean pir_gate(GBytes *bytes, GError **error)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, error);

	show(PIR, ifpp_span_bytes(bytes));
	return pir && ifpp_pir_verify(pir, test_id_span(pki->euicc), error);
}

static gboolean pir_of(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) pir = test_pir_new(*(TestId *const *)arg, TRUE);

	return pir_gate(pir, error);
}

static gboolean pir_of_stranger(gconstpointer arg, GError **error)
{
	return pir_of(&stranger->euicc, error);
}

static gboolean pir_edit(gconstpointer arg, GError **error)
{
	const Edit *change = arg;
	g_autoptr(GBytes) pir = test_pir_new(pki->euicc, !change->other);
	g_autoptr(GBytes) put = change->put ? ifpp_unhex(change->put) : NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) changed = NULL;

	edit(out, ifpp_span_bytes(pir), change->path, put);
	changed = g_bytes_new(out->data, out->len);
	return pir_gate(changed, error);
}

static gboolean pir_short(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) pir = test_pir_new(pki->euicc, TRUE);
	g_autoptr(GBytes) cut = g_bytes_new_from_bytes(pir, 0, g_bytes_get_size(pir) - 1);

	return pir_gate(cut, error);
}

static gboolean receipt_gate(GBytes *bytes, GError **error)
{
	show(RECEIPT, ifpp_span_bytes(bytes));
	return ifpp_receipt_verify(ifpp_span_bytes(bytes), test_id_span(pki->euicc), eid, challenge, NULL,
				   error);
}

static gboolean receipt_of_stranger(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) receipt = test_receipt_new(stranger->euicc, eid, challenge);

	return receipt_gate(receipt, error);
}

static gboolean receipt_replayed(gconstpointer arg, GError **error)
{
	const guint8 yesterday[16] = { 9 };
	g_autoptr(GBytes) receipt = test_receipt_new(pki->euicc, eid, yesterday);

	return receipt_gate(receipt, error);
}

static gboolean receipt_of_other_eid(gconstpointer arg, GError **error)
{
	guint8 other[16];
	g_autoptr(GBytes) receipt = NULL;

	memcpy(other, eid, 16);
	other[0] ^= 1;
	receipt = test_receipt_new(pki->euicc, other, challenge);
	return receipt_gate(receipt, error);
}

static gboolean receipt_edit(gconstpointer arg, GError **error)
{
	const Edit *change = arg;
	g_autoptr(GBytes) receipt = test_receipt_new(pki->euicc, eid, challenge);
	g_autoptr(GBytes) put = ifpp_unhex(change->put);
	IfppSpan span = ifpp_span_bytes(receipt);
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) changed = NULL;
	IfppTlv data;

	g_assert_true(ifpp_tlv_next(&span, &data, NULL));
	edit(out, data.whole, change->path, put);
	g_byte_array_append(out, span.data, span.len);
	changed = g_bytes_new(out->data, out->len);
	return receipt_gate(changed, error);
}

/* Something else that the chip has signed, passed off as its receipt. */
static gboolean receipt_from_pir(gconstpointer arg, GError **error)
{
	g_autoptr(GBytes) pir = test_pir_new(pki->euicc, TRUE);
	IfppSpan in = ifpp_span_bytes(pir);
	g_autoptr(GBytes) value = NULL;
	IfppTlv tlv;

	g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
	value = new_bytes(tlv.value);
	return receipt_gate(value, error);
}

/* ------------------------------------------------------------ the table */

#define EDIT(at, hex) (&(const Edit){ .path = at, .put = hex })
#define EDIT_OTHER(at, hex) (&(const Edit){ .path = at, .put = hex, .other = TRUE })
#define SPEC(...) (&(const TestSpec){ .cn = "DPpb", .serial = 40, .rid = "2.999.10", __VA_ARGS__ })
#define V3 "2.23.146.1.2.1.0.0"
#define SUB(...) (&(const TestSpec){ .cn = "sub", .serial = 41, __VA_ARGS__ })
#define CRL(first, last, ...) (&(const Crl){ .from = first, .to = last, __VA_ARGS__ })
#define PAIR(find, put) ((const char *const[]){ find, put })
#define CHIP(...) ((const TestSpec[2]){ __VA_ARGS__ })
#define ZEROS_32 "0000000000000000000000000000000000000000000000000000000000000000"
/* an attribute that sorts behind the usual ones */
#define FOREIGN_ATTRIBUTE "303106092a864886f70d010907312404220000" ZEROS_32
#define CERTS "1.0.3"
#define SIGNER "1.0.4.0"
#define OUR_EUM                                                                                              \
	{.cn = "EUM",                                                                                        \
	 .role = IFPP_ROLE_EUM, .pathlen = 1,                                                                             \
	 .ca = TRUE,                                                                                         \
	 .prefix = "89049032",                                                                               \
	 .prefix_org = "O",                                                                                  \
	 .serial = 50}

static void attack(gconstpointer arg)
{
	const Attack *a = arg;
	g_autoptr(GError) error = NULL;
	gboolean through = a->attack(a->arg, &error);

	g_assert_false(through);
	g_test_message("%-32s %-16s %s", a->name, error ? ifpp_error_name(error->code) : "",
		       error ? error->message : "");
	g_assert_error(error, IFPP_ERROR, (int)a->code);

	switch (shown.kind) {
	case PACKAGE:
		attack_table_package(table, a->name, shown.bytes, shown.crl, a->code);
		break;
	case EUICC:
		attack_table_euicc(table, a->name, shown.bytes, error);
		break;
	case PIR:
		attack_table_pir(table, a->name, shown.bytes, error);
		break;
	case RECEIPT:
		attack_table_receipt(table, a->name, shown.bytes, challenge, error);
		break;
	}
	g_clear_pointer(&shown.crl, g_bytes_unref);
}

/* ------------------------------------------------------------ what only the chip can see */

static gboolean sign_inner(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	return ifpp_ecdsa_sign(user, parts, n_parts, sig, error);
}

/* An element that fills two segments goes in before the end. */
static GByteArray *two_segments(void)
{
	g_autoptr(GByteArray) upp = profile_builtin(1, NULL);
	g_autoptr(GByteArray) filling = g_byte_array_new(), body = g_byte_array_new();
	static const guint8 head[] = { 0xA0, 0x05, 0x80, 0x00, 0x81, 0x01, 0x63, 0x81, 0x06,
				       0x67, 0x81, 0x0F, 0x01, 0x02, 0x01 };
	GByteArray *out = g_byte_array_new();
	IfppSpan in = { upp->data, upp->len };
	guint8 zeros[1500] = {};
	IfppTlv tlv;

	g_byte_array_append(body, head, sizeof(head));
	ifpp_tlv_put(body, 0x82, zeros, sizeof(zeros));
	ifpp_tlv_put(filling, 0xA9, body->data, body->len);
	while (in.len) {
		g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
		if (!in.len)
			g_byte_array_append(out, filling->data, filling->len);
		g_byte_array_append(out, tlv.whole.data, tlv.whole.len);
	}
	return out;
}

typedef struct {
	const char *name;
	guint reason;		/* 0: it is installed */
	guint key;
	const char *path;	/* in BF36: what is changed after the Key Maker protected it */
	enum { NOTHING, FLIP, DROP, SWAP, OTHER_KEY, OTHER_ICCID, NO_PROFILE } how;
} Inner;

/* Bound, signed and enveloped by the real Key Maker: the gates before the chip see nothing wrong. */
static GBytes *seal_inner(const Inner *inner)
{
	static const guint8 configure[] = { 0xBF, 0x24, 0x00 }, no_profile[1600] = { 0xA0, 0x01, 0x00 };
	g_autoptr(GByteArray) upp = two_segments(), metadata = NULL, out = g_byte_array_new();
	guint8 iccid[10], point[65], wrong[65], ppk[48] = { 1, 2, 3 };
	g_autoptr(GBytes) bf36 = NULL, changed = NULL;
	g_autoptr(GError) error = NULL;
	IfppSealInput in = {
		.upp = { upp->data, upp->len },
		.configure = IFPP_SPAN(configure),
		.transaction_id = IFPP_SPAN(challenge),
		.host_id = { eid, 8 },
		.ppk = ppk,
		.eid = eid,
		.otpk = point,
		.sign = sign_inner,
		.sign_user = pki->dppb->key,
	};

	profile_builtin_iccid(inner->how == OTHER_ICCID ? 2 : 1, iccid);
	metadata = profile_metadata(iccid, "IFPP", "Attack", PROFILE_TEST);
	in.metadata = (IfppSpan){ metadata->data, metadata->len };
	test_id_point(keys[inner->key], point);
	if (inner->how == NO_PROFILE)
		in.upp = IFPP_SPAN(no_profile);
	bf36 = ifpp_seal(&in, &error);
	g_assert_no_error(error);
	if (inner->how == OTHER_KEY) {
		/* the segments of one BPP behind the signed head of another */
		g_autoptr(GBytes) head = NULL, head_node = NULL;

		test_id_point(otk2, wrong);
		in.otpk = wrong;
		g_bytes_unref(bf36);
		bf36 = ifpp_seal(&in, &error);
		in.otpk = point;
		head = ifpp_seal(&in, &error);
		head_node = new_bytes(node_at(ifpp_span_bytes(head), "0"));
		edit(out, ifpp_span_bytes(bf36), "0", head_node);
	} else if (inner->how == SWAP) {
		g_autoptr(GBytes) a = new_bytes(node_at(ifpp_span_bytes(bf36), "4.0"));
		g_autoptr(GBytes) b = new_bytes(node_at(ifpp_span_bytes(bf36), "4.1"));
		g_autoptr(GByteArray) half = g_byte_array_new();

		edit(half, ifpp_span_bytes(bf36), "4.0", b);
		edit(out, (IfppSpan){ half->data, half->len }, "4.1", a);
	} else if (inner->path) {
		g_autoptr(GBytes) node = new_bytes(node_at(ifpp_span_bytes(bf36), inner->path));
		g_autoptr(GBytes) put = inner->how == FLIP ? flip(node, g_bytes_get_size(node) - 1) : NULL;

		edit(out, ifpp_span_bytes(bf36), inner->path, put);
	}
	if (out->len)
		changed = g_bytes_new(out->data, out->len);
	return test_package_new(pki->dppb, NULL, eid, point, changed ? changed : bf36);
}

static void attack_inside(gconstpointer arg)
{
	g_autoptr(GBytes) file = seal_inner(arg);
	const Inner *inner = arg;

	attack_table_chip(table, inner->name, file, inner->reason);
	if (!inner->reason)
		attack_table_package(table, "replay", file, NULL, IFPP_ERROR_SPENT_KEY);
}

static void attack_data(void)
{
	attack_table_seal(table);
}

static void attack_report(void)
{
	attack_table_report(table);
}

static void attack_locked(void)
{
	attack_table_locked(table, "after-the-lock", good);
}

/* The page shows what was measured now, or somebody has to look. */
static void page(void)
{
	static const char head[] =
		"attack                          who     status       code                  APDUs  behind it\n"
		"------------------------------- ------- ------------ --------------------- -----  ---------\n";
	const char *doc = g_getenv("IFPP_ATTACKS_PAGE"), *to = g_getenv("IFPP_ATTACKS_TABLE");
	g_autofree char *text = attack_table_text(table), *all = g_strconcat(head, text, NULL), *shown_text = NULL;
	g_auto(GStrv) lines = g_strsplit(all, "\n", 0);

	g_assert_nonnull(doc);
	g_assert_nonnull(to);
	g_strchomp(all);
	g_assert_true(g_file_set_contents(to, all, -1, NULL));
	g_assert_true(g_file_get_contents(doc, &shown_text, NULL, NULL));
	for (guint i = 0; lines[i]; i++) {
		g_autofree char *line = g_strchomp(g_strconcat("  ", lines[i], NULL));

		g_test_message("%s", lines[i]);
		if (*line && !strstr(shown_text, line))
			g_error("%s does not show \"%s\"; the whole table is in %s", doc, lines[i], to);
	}
}

/* What the attacks start from is sound: they fail by what they change. */
static void nothing_wrong(void)
{
	g_autoptr(GBytes) receipt = test_receipt_new(pki->euicc, eid, challenge);
	GError *error = NULL;

	g_assert_true(gate(good, pki->trust, &error));
	g_assert_no_error(error);
	g_assert_true(gate(with_attributes, pki->trust, &error));
	g_assert_no_error(error);
	g_assert_true(with_crl(CRL(-TEST_DAY, TEST_DAY), &error));
	g_assert_no_error(error);
	g_assert_true(sub_ca_spec(SUB(.role = IFPP_ROLE_CI, .ca = TRUE), &error));
	g_assert_no_error(error);
	g_assert_true(sub_ca_spec(SUB(.policy = V3 ".1", .ca = TRUE, .pathlen = 1), &error));
	g_assert_no_error(error);
	g_assert_true(info_gate(ifpp_span_bytes(factory_info), pki->trust, &error));
	g_assert_no_error(error);
	g_assert_true(info_key(pki->euicc, TRUE, 0, &error));
	g_assert_no_error(error);
	g_assert_true(info_chip(CHIP(OUR_EUM, { .cn = "c", .org = "O", .serial_number = TEST_EID,
						.role = IFPP_ROLE_EUICC, .serial = 52 }), &error));
	g_assert_no_error(error);
	g_assert_true(pir_of(&pki->euicc, &error));
	g_assert_no_error(error);
	g_assert_true(receipt_gate(receipt, &error));
	g_assert_no_error(error);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	/* The programs ask the clock. */
	test_shift = g_get_real_time() / G_USEC_PER_SEC - TEST_NOW;
	pki = test_pki_new();
	stranger = test_pki_new();
	otk2 = test_otk_new();
	test_eid(eid);
	factory_info = test_factory_info_new(pki, CHIP_KEYS, keys);
	otk = keys[0];
	test_id_point(otk, otpk);
	test_id_point(otk2, otpk2);
	bpp = test_bpp_new(pki->dppb, otpk);
	good = test_package_new(pki->dppb, NULL, eid, otpk, bpp);
	with_attributes = test_package_new_with_attributes(pki->dppb, NULL, eid, otpk, bpp);
	table = attack_table_new(pki, eid, keys, CHIP_KEYS, factory_info);

	const Attack attacks[] = {
		/* the file */
		{"file-empty", file_bytes, GSIZE_TO_POINTER(0), IFPP_ERROR_LENGTH},
		{"file-only-magic", file_bytes, GSIZE_TO_POINTER(4), IFPP_ERROR_LENGTH},
		{"file-only-header", file_bytes, GSIZE_TO_POINTER(64), IFPP_ERROR_LENGTH},
		{"file-cut-in-half", half_file, NULL, IFPP_ERROR_LENGTH},
		{"file-byte-too-many", file_more, "00", IFPP_ERROR_LENGTH},
		{"file-too-large", file_huge, NULL, IFPP_ERROR_TOO_LARGE},
		{"header-other-magic", file_flip, GSIZE_TO_POINTER(0), IFPP_ERROR_HEADER},
		{"header-other-version", file_flip, GSIZE_TO_POINTER(5), IFPP_ERROR_HEADER},
		{"header-other-length", file_flip, GSIZE_TO_POINTER(7), IFPP_ERROR_HEADER},
		{"header-unknown-flag", file_flip, GSIZE_TO_POINTER(15), IFPP_ERROR_HEADER},
		{"header-body-length", file_flip, GSIZE_TO_POINTER(11), IFPP_ERROR_LENGTH},
		{"header-eid-changed", file_flip, GSIZE_TO_POINTER(31), IFPP_ERROR_HEADER_MISMATCH},
		{"header-key-id-changed", file_flip, GSIZE_TO_POINTER(63), IFPP_ERROR_HEADER_MISMATCH},
		{"clone", cloned, NULL, IFPP_ERROR_WRONG_EID},
		{"clone-relabelled", cloned, "", IFPP_ERROR_HEADER_MISMATCH},
		{"key-of-another-package", other_key, NULL, IFPP_ERROR_UNKNOWN_KEY},
		{"key-relabelled", other_key, "", IFPP_ERROR_HEADER_MISMATCH},
		/* the envelope */
		{"body-not-cms", file_not_cms, NULL, IFPP_ERROR_CMS},
		{"body-indefinite-length", body_ber, "", IFPP_ERROR_CMS},
		{"body-long-length", body_ber, NULL, IFPP_ERROR_CMS},
		{"body-bytes-after", body_more, "0500", IFPP_ERROR_CMS_STRICT},
		{"cms-version-3", body_edit, EDIT("1.0.0", "020103"), IFPP_ERROR_CMS_STRICT},
		{"cms-two-digests", body_twice, "1.0.1.0", IFPP_ERROR_CMS_STRICT},
		{"cms-digest-sha1", body_edit, EDIT("1.0.1.0", "300706052b0e03021a"), IFPP_ERROR_CMS_STRICT},
		{"cms-digest-parameters", body_edit, EDIT("1.0.1.0", "300d06096086480165030402010500"),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-other-content-type", body_edit, EDIT("1.0.2.0", "06092a864886f70d010702"),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-detached", cms_flags, GUINT_TO_POINTER(GNUTLS_PKCS7_INCLUDE_CERT),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-without-certificate", cms_flags, GUINT_TO_POINTER(GNUTLS_PKCS7_EMBED_DATA),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-certificate-twice", body_twice, CERTS ".0", IFPP_ERROR_CMS_STRICT},
		{"cms-crls-inside", body_crls, NULL, IFPP_ERROR_CMS_STRICT},
		{"cms-more-behind", body_edit, EDIT("1.0.+", "a100"), IFPP_ERROR_CMS_STRICT},
		{"cms-no-signer", body_edit, EDIT("1.0.4", "3100"), IFPP_ERROR_CMS_STRICT},
		{"cms-two-signers", body_twice, SIGNER, IFPP_ERROR_CMS_STRICT},
		{"cms-signer-version-3", body_edit, EDIT(SIGNER ".0", "020103"), IFPP_ERROR_CMS_STRICT},
		{"cms-signer-by-key-id", body_edit, EDIT(SIGNER ".1", "800101"), IFPP_ERROR_CMS_STRICT},
		{"cms-signer-unknown", body_edit, EDIT(SIGNER ".1.1", "020107"), IFPP_ERROR_CMS_STRICT},
		{"cms-signer-digest-sha512", body_edit, EDIT(SIGNER ".2", "300b0609608648016503040203"),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-algorithm-parameters", body_edit, EDIT(SIGNER ".3", "300c06082a8648ce3d0403020500"),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-algorithm-rsa", body_edit, EDIT(SIGNER ".3", "300b06092a864886f70d01010b"),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-unsigned-attributes", body_edit, EDIT(SIGNER ".+", "a100"), IFPP_ERROR_CMS_STRICT},
		{"cms-foreign-attribute", body_edit, EDIT_OTHER(SIGNER ".3.+", FOREIGN_ATTRIBUTE),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-attribute-dropped", body_edit, EDIT_OTHER(SIGNER ".3.0", NULL), IFPP_ERROR_CMS_STRICT},
		{"cms-time-dropped", body_edit, EDIT_OTHER(SIGNER ".3.1", NULL), IFPP_ERROR_CMS_SIGNATURE},
		{"cms-attributes-dropped", body_edit, EDIT_OTHER(SIGNER ".3", NULL),
		 IFPP_ERROR_CMS_SIGNATURE},
		{"cms-signature-empty", body_edit, EDIT(SIGNER ".4", "0400"), IFPP_ERROR_CMS_STRICT},
		{"cms-signature-zero", body_edit, EDIT(SIGNER ".4", "04083006020100020100"),
		 IFPP_ERROR_CMS_STRICT},
		{"cms-signature-one", body_edit, EDIT(SIGNER ".4", "04083006020101020101"),
		 IFPP_ERROR_CMS_SIGNATURE},
		{"cms-signature-of-another", signature_moved, NULL, IFPP_ERROR_CMS_SIGNATURE},
		{"cms-content-changed", body_edit, EDIT("1.0.2.1.0", "0402abcd"), IFPP_ERROR_CMS_SIGNATURE},
		{"cms-content-changed-attributes", body_edit, EDIT_OTHER("1.0.2.1.0", "0402abcd"),
		 IFPP_ERROR_CMS_SIGNATURE},
		{"cms-content-without-header", cms_other_content, NULL, IFPP_ERROR_TLV},
		/* who signed it */
		{"signer-stranger", stranger_signs, NULL, IFPP_ERROR_CHAIN},
		{"signer-stranger-brings-root", stranger_with_root, NULL, IFPP_ERROR_CHAIN},
		{"signer-ci-of-same-name", same_name_ci, NULL, IFPP_ERROR_CHAIN},
		{"signer-brings-our-root", own_root_too, NULL, IFPP_ERROR_CHAIN},
		{"signer-is-a-chip", signer_of_pki, &pki->euicc, IFPP_ERROR_CHAIN},
		{"signer-is-the-eum", signer_of_pki, &pki->eum, IFPP_ERROR_ROLE},
		{"signer-is-dpauth", signer_spec, SPEC(.role = IFPP_ROLE_DP_AUTH), IFPP_ERROR_ROLE},
		{"signer-has-no-role", signer_spec, SPEC(.policy = ""), IFPP_ERROR_ROLE},
		{"signer-expired", signer_spec, SPEC(.role = IFPP_ROLE_DP_PB, .to = TEST_NOW - 1),
		 IFPP_ERROR_EXPIRED},
		{"signer-not-yet-valid", signer_spec, SPEC(.role = IFPP_ROLE_DP_PB, .from = TEST_NOW + TEST_DAY),
		 IFPP_ERROR_NOT_YET_VALID},
		{"signer-may-not-sign", signer_spec,
		 SPEC(.role = IFPP_ROLE_DP_PB, .usage = GNUTLS_KEY_KEY_AGREEMENT), IFPP_ERROR_KEY_USAGE},
		{"signer-is-a-ca", signer_spec,
		 SPEC(.role = IFPP_ROLE_DP_PB, .ca = TRUE, .usage = GNUTLS_KEY_DIGITAL_SIGNATURE),
		 IFPP_ERROR_KEY_USAGE},
		{"signer-unknown-critical", signer_spec,
		 SPEC(.role = IFPP_ROLE_DP_PB, .extra_oid = "1.2.3.4", .extra_critical = TRUE),
		 IFPP_ERROR_CERTIFICATE},
		{"signer-without-registered-id", signer_spec,
		 &((const TestSpec){ .cn = "DPpb", .serial = 40, .role = IFPP_ROLE_DP_PB }),
		 IFPP_ERROR_CERTIFICATE},
		{"signer-usage-not-critical", signer_spec,
		 SPEC(.role = IFPP_ROLE_DP_PB, .not_critical = "2.5.29.15"), IFPP_ERROR_CERTIFICATE},
		{"signer-without-aki", signer_spec, SPEC(.role = IFPP_ROLE_DP_PB, .no_aki = TRUE),
		 IFPP_ERROR_CHAIN},
		{"signer-is-dpauth-of-v3", signer_spec, SPEC(.policy = V3 ".1.1"), IFPP_ERROR_ROLE},
		{"signer-on-p-384", signer_spec, SPEC(.role = IFPP_ROLE_DP_PB, .curve = GNUTLS_ECC_CURVE_SECP384R1),
		 IFPP_ERROR_CERTIFICATE},
		{"issuer-is-the-eum", issued_by, &pki->eum, IFPP_ERROR_ROLE},
		{"issuer-is-a-dppb", issued_by, &pki->dppb, IFPP_ERROR_ROLE},
		{"sub-ca-no-ca", sub_ca_spec, SUB(.role = IFPP_ROLE_CI, .usage = GNUTLS_KEY_KEY_CERT_SIGN),
		 IFPP_ERROR_CHAIN},
		{"sub-ca-may-not-sign", sub_ca_spec,
		 SUB(.role = IFPP_ROLE_CI, .ca = TRUE, .usage = GNUTLS_KEY_CRL_SIGN), IFPP_ERROR_KEY_USAGE},
		{"sub-ca-expired", sub_ca_spec, SUB(.role = IFPP_ROLE_CI, .ca = TRUE, .to = TEST_NOW - 1),
		 IFPP_ERROR_EXPIRED},
		{"sub-ca-not-yet-valid", sub_ca_spec, SUB(.policy = V3 ".1", .ca = TRUE, .pathlen = 1, .from = TEST_NOW + TEST_DAY),
		 IFPP_ERROR_NOT_YET_VALID},
		{"sub-ca-of-an-eum", sub_ca_spec, SUB(.policy = V3 ".0.0", .ca = TRUE, .pathlen = 1), IFPP_ERROR_ROLE},
		{"sub-ca-of-an-sm-ds", sub_ca_spec, SUB(.policy = V3 ".2", .ca = TRUE, .pathlen = 1), IFPP_ERROR_ROLE},
		{"sub-ca-has-no-role", sub_ca_spec, SUB(.policy = "", .ca = TRUE, .pathlen = 1), IFPP_ERROR_ROLE},
		{"sub-ca-on-p-384", sub_ca_spec,
		 SUB(.policy = V3 ".1", .ca = TRUE, .pathlen = 1, .curve = GNUTLS_ECC_CURVE_SECP384R1), IFPP_ERROR_CERTIFICATE},
		{"sub-ca-unknown-critical", sub_ca_spec,
		 SUB(.policy = V3 ".1", .ca = TRUE, .pathlen = 1, .extra_oid = "1.2.3.4", .extra_critical = TRUE),
		 IFPP_ERROR_CERTIFICATE},
		{"sub-ca-without-ski", sub_ca_spec, SUB(.policy = V3 ".1", .ca = TRUE, .pathlen = 1, .no_ski = TRUE), IFPP_ERROR_CHAIN},
		{"sub-ca-basics-not-critical", sub_ca_spec,
		 SUB(.policy = V3 ".1", .ca = TRUE, .pathlen = 1, .not_critical = "2.5.29.19"), IFPP_ERROR_CERTIFICATE},
		{"sub-ca-too-deep", path_too_long, NULL, IFPP_ERROR_CHAIN},
		/* CRLs */
		{"crl-revokes", with_crl, CRL(-TEST_DAY, TEST_DAY, .revoked = TRUE), IFPP_ERROR_REVOKED},
		{"crl-revokes-but-old", with_crl, CRL(-9 * TEST_DAY, -8 * TEST_DAY, .revoked = TRUE),
		 IFPP_ERROR_REVOKED},
		{"crl-out-of-date", with_crl, CRL(-9 * TEST_DAY, -1), IFPP_ERROR_CRL},
		{"crl-of-the-future", with_crl, CRL(2 * TEST_DAY, 3 * TEST_DAY), IFPP_ERROR_TIME_UNKNOWN},
		{"crl-forged", with_crl, CRL(-TEST_DAY, TEST_DAY, .forged = TRUE), IFPP_ERROR_CRL},
		{"crl-damaged", with_crl, CRL(-TEST_DAY, TEST_DAY, .revoked = TRUE, .damaged = TRUE),
		 IFPP_ERROR_CRL},
		/* the profile inside, in an envelope that is right */
		{"bpp-bound-by-a-stranger", inner_stranger, NULL, IFPP_ERROR_SMDP_SIGN},
		{"bpp-bound-to-another-key", inner_other_key, NULL, IFPP_ERROR_SMDP_SIGN},
		{"bpp-other-host-id", inner_replace, PAIR("49465050484f5354", "49465050484f5355"),
		 IFPP_ERROR_SMDP_SIGN},
		{"bpp-other-transaction", inner_replace, PAIR("8010000102", "8010ff0102"),
		 IFPP_ERROR_SMDP_SIGN},
		{"bpp-otpk-off-the-curve", inner_replace, PAIR("026252fc3a7", "026252fc3a6"),
		 IFPP_ERROR_POINT},
		{"bpp-other-operation", inner_replace, PAIR("82010180", "82010280"), IFPP_ERROR_BPP},
		{"bpp-weak-key-type", inner_replace, PAIR("800188", "800180"), IFPP_ERROR_BPP},
		{"bpp-length-too-long", inner_replace, PAIR("a34a8648", "a34a8649"), IFPP_ERROR_TLV},
		{"bpp-half-a-block", inner_edit, EDIT("4.0", "86100102030405060708090a0b0c0d0e0f10"),
		 IFPP_ERROR_BPP},
		{"bpp-no-profile", inner_edit, EDIT("4", NULL), IFPP_ERROR_TLV},
		{"bpp-no-metadata", inner_edit, EDIT("2", NULL), IFPP_ERROR_TLV},
		{"bpp-empty-profile", inner_edit, EDIT("4", "a300"), IFPP_ERROR_BPP},
		{"bpp-more-behind", inner_edit, EDIT("+", "a300"), IFPP_ERROR_BPP},
		{"bpp-wrong-command", inner_edit,
		 EDIT("4.+", "87188d0102030405060708090a0b0c0d0e0f1011121314151617"), IFPP_ERROR_TLV},
		/* eUICC data */
		{"otk-not-attested", info_edit, EDIT("2.0.2", "5f3740" ZEROS_32 ZEROS_32),
		 IFPP_ERROR_ATTESTATION},
		{"otk-attested-by-another-chip", info_foreign_key, NULL, IFPP_ERROR_ATTESTATION},
		{"otk-id-of-another", info_wrong_id, NULL, IFPP_ERROR_ATTESTATION},
		{"otk-off-the-curve", info_bad_point, NULL, IFPP_ERROR_POINT},
		{"otk-twice", info_key_twice, NULL, IFPP_ERROR_EUICC_DATA},
		{"otk-without-point", info_edit, EDIT("2.0.1", NULL), IFPP_ERROR_TLV},
		{"euicc-no-certificates", info_edit, EDIT("4", NULL), IFPP_ERROR_EUICC_DATA},
		{"euicc-foreign-certificate", info_foreign_chip, NULL, IFPP_ERROR_CHAIN},
		{"euicc-of-a-strange-ci", info_foreign, NULL, IFPP_ERROR_CHAIN},
		{"euicc-codec-4", info_edit, EDIT("0", "800104"), IFPP_ERROR_EUICC_DATA},
		{"euicc-outside-the-eum", info_chip,
		 CHIP({.cn = "EUM",
		       .role = IFPP_ROLE_EUM, .pathlen = 1,
		       .ca = TRUE,
		       .prefix = "89049033",
		       .prefix_org = "O",
		       .serial = 51},
		      {.cn = "c",
		       .org = "O",
		       .serial_number = TEST_EID,
		       .role = IFPP_ROLE_EUICC,
		       .serial = 52}),
		 IFPP_ERROR_CONSTRAINT},
		{"euicc-eum-unconstrained", info_chip,
		 CHIP({.cn = "EUM", .role = IFPP_ROLE_EUM, .ca = TRUE, .pathlen = 1, .serial = 51},
		      {.cn = "c",
		       .org = "O",
		       .serial_number = TEST_EID,
		       .role = IFPP_ROLE_EUICC,
		       .serial = 52}),
		 IFPP_ERROR_CONSTRAINT},
		{"euicc-of-another-eid", info_chip,
		 CHIP(OUR_EUM, {.cn = "c",
				.org = "O",
				.serial_number = "89049032123451234512345678901332",
				.role = IFPP_ROLE_EUICC,
				.serial = 52}),
		 IFPP_ERROR_WRONG_EID},
		{"euicc-role-dppb", info_chip,
		 CHIP(OUR_EUM, {.cn = "c",
				.org = "O",
				.serial_number = TEST_EID,
				.role = IFPP_ROLE_DP_PB,
				.serial = 52}),
		 IFPP_ERROR_ROLE},
		/* installation results */
		{"pir-of-another-chip", pir_of_stranger, NULL, IFPP_ERROR_PIR_SIGNATURE},
		{"pir-signed-by-the-eum", pir_of, &pki->eum, IFPP_ERROR_PIR_SIGNATURE},
		{"pir-failure-made-success", pir_edit,
		 EDIT_OTHER("0.3.0", "a01d4f10a0000005591010ffffffff890000110004093007a0053003800100"),
		 IFPP_ERROR_PIR_SIGNATURE},
		{"pir-other-transaction", pir_edit, EDIT("0.0", "800101"), IFPP_ERROR_PIR_SIGNATURE},
		{"pir-sequence-rewound", pir_edit, EDIT("0.1.0", "800100"), IFPP_ERROR_PIR_SIGNATURE},
		{"pir-of-a-deletion", pir_edit, EDIT("0.1.1", "81020410"), IFPP_ERROR_PIR},
		{"pir-failure-without-reason", pir_edit, EDIT_OTHER("0.3.0.1", "810100"), IFPP_ERROR_PIR},
		{"pir-unsigned", pir_edit, EDIT("1", NULL), IFPP_ERROR_TLV},
		{"pir-cut", pir_short, NULL, IFPP_ERROR_TLV},
		/* lock receipts */
		{"receipt-of-a-stranger", receipt_of_stranger, NULL, IFPP_ERROR_RECEIPT},
		{"receipt-of-another-eid", receipt_of_other_eid, NULL, IFPP_ERROR_RECEIPT},
		{"receipt-replayed", receipt_replayed, NULL, IFPP_ERROR_RECEIPT},
		{"receipt-counter-changed", receipt_edit, EDIT("2", "820102"), IFPP_ERROR_RECEIPT},
		{"receipt-from-a-result", receipt_from_pir, NULL, IFPP_ERROR_RECEIPT},
	};

	/* In an envelope that is right, signed by the Key Maker that is: what the chip itself must find. */
	const Inner inside[] = {
		{"inside-mac-changed", 8, 1, "4.0", FLIP},
		{"inside-segment-dropped", 8, 2, "4.0", DROP},
		{"inside-segments-swapped", 8, 3, NULL, SWAP},
		{"inside-keys-of-another", 8, 4, NULL, OTHER_KEY},
		{"inside-another-iccid", 13, 5, NULL, OTHER_ICCID},
		{"inside-no-profile", 12, 6, NULL, NO_PROFILE},
		{"nothing-wrong", 0, 7, NULL, NOTHING},
	};

	for (guint i = 0; i < G_N_ELEMENTS(attacks); i++) {
		g_autofree char *path = g_strconcat("/attacks/", attacks[i].name, NULL);

		g_test_add_data_func(path, &attacks[i], attack);
	}
	for (guint i = 0; i < G_N_ELEMENTS(inside); i++) {
		g_autofree char *path = g_strconcat("/attacks/", inside[i].name, NULL);

		g_test_add_data_func(path, &inside[i], attack_inside);
	}
	g_test_add_func("/attacks/none", nothing_wrong);
	g_test_add_func("/attacks/seal", attack_data);
	g_test_add_func("/attacks/report", attack_report);
	g_test_add_func("/attacks/locked", attack_locked);
	g_test_add_func("/attacks/page", page);
	rc = g_test_run();
	attack_table_free(table);
	g_clear_pointer(&shown.bytes, g_bytes_unref);
	for (guint i = 0; i < CHIP_KEYS; i++)
		test_id_free(keys[i]);
	g_bytes_unref(factory_info);
	g_bytes_unref(with_attributes);
	g_bytes_unref(good);
	g_bytes_unref(bpp);
	test_id_free(otk2);
	test_pki_free(stranger);
	test_pki_free(pki);
	return rc;
}
