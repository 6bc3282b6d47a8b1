// SPDX-License-Identifier: GPL-2.0-or-later
#include "peer.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "error.h"
#include "pki.h"

static void put_whole(GByteArray *out, IfppSpan span)
{
	g_byte_array_append(out, span.data, span.len);
}

static IfppSpan span_of(const GByteArray *array)
{
	return (IfppSpan){ array->data, array->len };
}

static GByteArray *wrap(guint32 tag, GByteArray *value)
{
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(out, tag, value->data, value->len);
	g_byte_array_unref(value);
	return out;
}

static void put_signature(GByteArray *out, IfppEcKey *key, const IfppSpan *parts, gsize n)
{
	guint8 sig[64];

	g_assert_true(ifpp_ec_key_sign(key, parts, n, sig, NULL));
	ifpp_tlv_put(out, 0x5F37, sig, sizeof(sig));
}

/* ------------------------------------------------------------------ SM-DP+ */

SmDp *smdp_new(const char *pki, const char *dir)
{
	return smdp_new_named(pki, dir, "2.999.10");
}

SmDp *smdp_new_named(const char *pki, const char *dir, const char *oid)
{
	SmDp *dp = g_new0(SmDp, 1);
	g_autoptr(PkiEum) eum = NULL;
	g_autoptr(GError) error = NULL;

	dp->auth_key = ifpp_ec_key_generate(&error);
	g_assert_no_error(error);
	dp->pb_key = ifpp_ec_key_generate(&error);
	g_assert_no_error(error);
	dp->auth_cert = kit_certify(pki, dir, IFPP_ROLE_DP_AUTH, dp->auth_key, oid);
	dp->pb_cert = kit_certify(pki, dir, IFPP_ROLE_DP_PB, dp->pb_key, oid);
	eum = pki_eum_open(pki, &error);
	g_assert_no_error(error);
	dp->ci = g_bytes_ref(pki_eum_ci(eum));
	dp->trust = ifpp_trust_new();
	g_assert_true(ifpp_trust_add_root(dp->trust, ifpp_span_bytes(dp->ci), &error));
	dp->address = "dp.example.com";
	return dp;
}

static void session_clear(SmDp *dp)
{
	g_clear_pointer(&dp->cert_euicc, g_bytes_unref);
	g_clear_pointer(&dp->signed2, g_bytes_unref);
	g_clear_pointer(&dp->pir, ifpp_pir_free);
}

void smdp_free(SmDp *dp)
{
	session_clear(dp);
	ifpp_ec_key_free(dp->auth_key);
	ifpp_ec_key_free(dp->pb_key);
	g_bytes_unref(dp->auth_cert);
	g_bytes_unref(dp->pb_cert);
	g_bytes_unref(dp->ci);
	ifpp_trust_free(dp->trust);
	g_free(dp);
}

static void count(SmDp *dp, gsize asked, gsize answered)
{
	dp->requests++;
	dp->bytes += asked + answered;
}

/* SKI lists of EUICCInfo1: the chip must know our CI, both to verify us and to have a certificate under it. */
static void check_info1(SmDp *dp, IfppSpan in)
{
	IfppTlv info, svn, verification, signing, id;
	guint8 ski[20];

	g_assert_true(ifpp_cert_ski(ifpp_span_bytes(dp->ci), ski, NULL));
	g_assert_true(ifpp_tlv_take(&in, 0xBF20, &info));
	g_assert_true(ifpp_tlv_take(&info.value, 0x82, &svn));
	g_assert_cmpuint(svn.value.len, ==, 3);
	g_assert_true(ifpp_tlv_take(&info.value, 0xA9, &verification));
	g_assert_true(ifpp_tlv_take(&info.value, 0xAA, &signing));
	g_assert_true(ifpp_tlv_find(verification.value, 0x04, &id));
	g_assert_true(ifpp_span_equal(id.value, IFPP_SPAN(ski)));
	g_assert_true(ifpp_tlv_find(signing.value, 0x04, &id));
	g_assert_true(ifpp_span_equal(id.value, IFPP_SPAN(ski)));
}

GBytes *smdp_initiate_authentication(SmDp *dp, IfppSpan info1, IfppSpan challenge)
{
	GByteArray *signed1 = g_byte_array_new(), *out;
	guint8 ski[20];
	IfppSpan part;

	session_clear(dp);
	check_info1(dp, info1);
	g_assert_cmpuint(challenge.len, ==, sizeof(dp->euicc_challenge));
	memcpy(dp->euicc_challenge, challenge.data, challenge.len);
	gnutls_rnd(GNUTLS_RND_NONCE, dp->transaction, sizeof(dp->transaction));
	gnutls_rnd(GNUTLS_RND_NONCE, dp->challenge, sizeof(dp->challenge));

	ifpp_tlv_put(signed1, 0x80, dp->transaction, sizeof(dp->transaction));
	ifpp_tlv_put_span(signed1, 0x81, dp->wrong.challenge ? IFPP_SPAN(dp->challenge) : challenge);
	ifpp_tlv_put(signed1, 0x83, dp->address, strlen(dp->address));
	ifpp_tlv_put(signed1, 0x84, dp->challenge, sizeof(dp->challenge));
	out = wrap(0x30, signed1);
	part = span_of(out);
	put_signature(out, dp->wrong.signature ? dp->pb_key : dp->auth_key, &part, 1);
	g_assert_true(ifpp_cert_ski(ifpp_span_bytes(dp->ci), ski, NULL));
	ski[0] ^= dp->wrong.ci;
	ifpp_tlv_put(out, 0x04, ski, sizeof(ski));
	put_whole(out, ifpp_span_bytes(dp->wrong.role ? dp->pb_cert : dp->auth_cert));
	count(dp, info1.len + challenge.len, out->len);
	return g_byte_array_free_to_bytes(out);
}

/* CERT.EUICC under CERT.EUM under the CI, and the EID in it. */
static void check_chip(SmDp *dp, IfppSpan cert_euicc, IfppSpan cert_eum)
{
	g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(others, g_bytes_new(cert_eum.data, cert_eum.len));
	ifpp_trust_verify(dp->trust, cert_euicc, others, IFPP_ROLE_EUICC, &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_cert_eid(cert_euicc, dp->eid, &error));
	g_clear_pointer(&dp->cert_euicc, g_bytes_unref);
	dp->cert_euicc = g_bytes_new(cert_euicc.data, cert_euicc.len);
}

static void check_signature(SmDp *dp, const IfppSpan *parts, gsize n, IfppSpan sig)
{
	guint8 point[65];

	g_assert_true(ifpp_cert_point(ifpp_span_bytes(dp->cert_euicc), point, NULL));
	g_assert_true(ifpp_ecdsa_verify(point, parts, n, sig));
}

static void hash_code(SmDp *dp, guint8 hash[32])
{
	guint8 inner[32 + 16];

	gnutls_hash_fast(GNUTLS_DIG_SHA256, dp->code, strlen(dp->code), inner);
	memcpy(inner + 32, dp->transaction, 16);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, inner, sizeof(inner), hash);
}

GBytes *smdp_authenticate_client(SmDp *dp, IfppSpan response)
{
	guint8 signature1[67] = { 0x5F, 0x37, 0x40 };
	IfppTlv bf38, ok, signed1, sig, euicc, eum, tlv;
	GByteArray *signed2 = g_byte_array_new(), *out;
	IfppSpan in = response, parts[2];
	guint8 required = dp->code ? 0xFF : 0, id[16];

	g_assert_true(ifpp_tlv_take(&in, 0xBF38, &bf38));
	g_assert_cmpuint(in.len, ==, 0);
	g_assert_true(ifpp_tlv_take(&bf38.value, 0xA0, &ok));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x30, &signed1));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x5F37, &sig));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x30, &euicc));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x30, &eum));
	g_assert_cmpuint(ok.value.len, ==, 0);
	check_chip(dp, euicc.whole, eum.whole);
	check_signature(dp, &signed1.whole, 1, sig.value);
	in = signed1.value;
	g_assert_true(ifpp_tlv_take(&in, 0x80, &tlv));
	g_assert_true(ifpp_span_equal(tlv.value, IFPP_SPAN(dp->transaction)));
	g_assert_true(ifpp_tlv_take(&in, 0x83, &tlv));
	g_assert_cmpmem(tlv.value.data, tlv.value.len, dp->address, strlen(dp->address));
	g_assert_true(ifpp_tlv_take(&in, 0x84, &tlv));
	g_assert_true(ifpp_span_equal(tlv.value, IFPP_SPAN(dp->challenge)));
	g_assert_true(ifpp_tlv_take(&in, 0xBF22, &tlv));
	g_assert_true(ifpp_tlv_take(&in, 0xA0, &tlv));
	g_assert_cmpuint(in.len, ==, 0);
	memcpy(dp->signature1, sig.value.data, 64);

	memcpy(id, dp->transaction, sizeof(id));
	id[15] ^= dp->wrong.transaction;
	ifpp_tlv_put(signed2, 0x80, id, sizeof(id));
	ifpp_tlv_put(signed2, 0x01, &required, 1);
	if (dp->retry)
		ifpp_tlv_put(signed2, 0x5F49, dp->retry, 65);
	out = wrap(0x30, signed2);
	memcpy(signature1 + 3, dp->signature1, 64);
	parts[0] = span_of(out);
	parts[1] = IFPP_SPAN(signature1);
	put_signature(out, dp->wrong.signature ? dp->auth_key : dp->pb_key, parts, 2);
	g_clear_pointer(&dp->signed2, g_bytes_unref);
	dp->signed2 = g_bytes_new(out->data, out->len);
	if (dp->code && !dp->wrong.hash) {		/* the LPA's, from the user */
		guint8 hash[32];

		hash_code(dp, hash);
		ifpp_tlv_put(out, 0x04, hash, sizeof(hash));
	}
	put_whole(out, ifpp_span_bytes(dp->wrong.role ? dp->auth_cert : dp->pb_cert));
	count(dp, response.len, out->len + dp->metadata.len);
	return g_byte_array_free_to_bytes(out);
}

static gboolean sign_bpp(const IfppSpan *parts, gsize n, guint8 sig[64], gpointer user, GError **error)
{
	return ifpp_ec_key_sign(((SmDp *)user)->pb_key, parts, n, sig, error);
}

GBytes *smdp_get_bound_profile_package(SmDp *dp, IfppSpan response)
{
	static const guint8 bf24[] = { 0xBF, 0x24, 0x00 }, host[] = "smdp";
	IfppSealInput seal = { .upp = dp->upp, .metadata = dp->metadata, .configure = IFPP_SPAN(bf24),
			       .transaction_id = IFPP_SPAN(dp->transaction), .host_id = IFPP_SPAN(host),
			       .eid = dp->eid, .otpk = dp->otpk, .sign = sign_bpp, .sign_user = dp };
	IfppTlv bf21, ok, signed2, sig, tlv;
	IfppSpan in = response, parts[2];
	g_autoptr(GError) error = NULL;
	guint8 ppk[48], hash[32];
	GBytes *bpp;

	g_assert_true(ifpp_tlv_take(&in, 0xBF21, &bf21));
	g_assert_cmpuint(in.len, ==, 0);
	g_assert_true(ifpp_tlv_take(&bf21.value, 0xA0, &ok));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x30, &signed2));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x5F37, &sig));
	g_assert_cmpuint(ok.value.len, ==, 0);
	/* signed over euiccSigned2 and smdpSignature2, with its header */
	in = ifpp_span_bytes(dp->signed2);
	g_assert_true(ifpp_tlv_take(&in, 0x30, &tlv));
	parts[0] = signed2.whole;
	parts[1] = in;
	check_signature(dp, parts, 2, sig.value);
	in = signed2.value;
	g_assert_true(ifpp_tlv_take(&in, 0x80, &tlv));
	g_assert_true(ifpp_span_equal(tlv.value, IFPP_SPAN(dp->transaction)));
	g_assert_true(ifpp_tlv_take(&in, 0x5F49, &tlv));
	g_assert_cmpuint(tlv.value.len, ==, sizeof(dp->otpk));
	memcpy(dp->otpk, tlv.value.data, sizeof(dp->otpk));
	if (dp->code) {
		hash_code(dp, hash);
		g_assert_true(ifpp_tlv_take(&in, 0x04, &tlv));
		g_assert_true(ifpp_span_equal(tlv.value, IFPP_SPAN(hash)));
	}
	g_assert_cmpuint(in.len, ==, 0);

	gnutls_rnd(GNUTLS_RND_KEY, ppk, sizeof(ppk));
	seal.ppk = dp->session_keys ? NULL : ppk;
	bpp = ifpp_seal(&seal, &error);
	g_assert_no_error(error);
	count(dp, response.len, g_bytes_get_size(bpp));
	return bpp;
}

/* Our OID, as both certificates name it. */
static void check_oid(SmDp *dp, IfppSpan value)
{
	g_autoptr(GBytes) oid = ifpp_cert_registered_id(ifpp_span_bytes(dp->auth_cert));

	g_assert_true(ifpp_span_equal(value, ifpp_span_bytes(oid)));
}

void smdp_cancel_session(SmDp *dp, IfppSpan response, guint reason)
{
	IfppTlv bf41, ok, fields, sig, tlv;
	guint64 number;
	IfppSpan in;

	count(dp, response.len, 0);
	g_assert_true(ifpp_tlv_take(&response, 0xBF41, &bf41));
	g_assert_cmpuint(response.len, ==, 0);
	g_assert_true(ifpp_tlv_take(&bf41.value, 0xA0, &ok));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x30, &fields));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x5F37, &sig));
	g_assert_cmpuint(ok.value.len, ==, 0);
	check_signature(dp, &fields.whole, 1, sig.value);
	in = fields.value;
	g_assert_true(ifpp_tlv_take(&in, 0x80, &tlv));
	g_assert_true(ifpp_span_equal(tlv.value, IFPP_SPAN(dp->transaction)));
	g_assert_true(ifpp_tlv_take(&in, 0x81, &tlv));
	check_oid(dp, tlv.value);
	g_assert_true(ifpp_tlv_take(&in, 0x82, &tlv));
	g_assert_true(ifpp_tlv_uint(&tlv, &number, NULL));
	g_assert_cmpuint(number, ==, reason);
	g_assert_cmpuint(in.len, ==, 0);
}

void smdp_handle_notification(SmDp *dp, IfppSpan notification)
{
	g_autoptr(GBytes) bytes = g_bytes_new(notification.data, notification.len);
	g_autoptr(GError) error = NULL;
	IfppTlv tlv;

	g_clear_pointer(&dp->pir, ifpp_pir_free);
	dp->pir = ifpp_pir_parse(bytes, &error);
	g_assert_no_error(error);
	ifpp_pir_verify(dp->pir, ifpp_span_bytes(dp->cert_euicc), &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_span_equal(dp->pir->transaction_id, IFPP_SPAN(dp->transaction)));
	/* it names us: address and OID */
	g_assert_cmpstr(dp->pir->address, ==, dp->address);
	notification = dp->pir->signed_data;
	g_assert_true(ifpp_tlv_take(&notification, 0xBF27, &tlv));
	g_assert_true(ifpp_tlv_find(tlv.value, 0x06, &tlv));
	check_oid(dp, tlv.value);
	count(dp, g_bytes_get_size(bytes), 0);
}

/* ------------------------------------------------------------------ QMI */

static guint16 get16(const guint8 *p)
{
	return p[0] | p[1] << 8;
}

static void put_tlv(GByteArray *out, guint8 type, const void *data, gsize len)
{
	g_byte_array_append(out, (guint8[]){ type, len, len >> 8 }, 3);
	g_byte_array_append(out, data, len);
}

static gboolean find_tlv(IfppSpan tlvs, guint8 type, IfppSpan *value)
{
	while (tlvs.len >= 3) {
		gsize len = get16(tlvs.data + 1);

		g_assert_cmpuint(len, <=, tlvs.len - 3);
		*value = (IfppSpan){ tlvs.data + 3, len };
		if (tlvs.data[0] == type)
			return TRUE;
		tlvs.data += 3 + len;
		tlvs.len -= 3 + len;
	}
	return FALSE;
}

static void read_all(int fd, guint8 *data, gsize len)
{
	while (len) {
		ssize_t n = read(fd, data, len);

		g_assert_cmpint(n, >, 0);
		data += n;
		len -= n;
	}
}

/* One request, its answer's TLVs; @tlvs is freed. Indications in between are passed over. */
static GByteArray *request(Lpa *lpa, guint8 service, guint16 message, GByteArray *tlvs)
{
	guint8 cid = service ? lpa->cid : 0;
	gsize head = service ? 7 : 6, len = 5 + head + tlvs->len;
	GByteArray *frame = g_byte_array_new(), *answer;
	guint8 start[6];
	IfppSpan result;

	lpa->transaction = service ? lpa->transaction + 1 : lpa->transaction % 255 + 1;
	g_byte_array_append(frame, (guint8[]){ 1, len, len >> 8, 0, service, cid, 0, lpa->transaction }, 8);
	if (service)
		g_byte_array_append(frame, (guint8[]){ lpa->transaction >> 8 }, 1);
	g_byte_array_append(frame, (guint8[]){ message, message >> 8, tlvs->len, tlvs->len >> 8 }, 4);
	g_byte_array_append(frame, tlvs->data, tlvs->len);
	g_byte_array_unref(tlvs);
	g_assert_cmpint(write(lpa->fd, frame->data, frame->len), ==, frame->len);
	for (;;) {
		read_all(lpa->fd, start, sizeof(start));
		g_byte_array_set_size(frame, get16(start + 1) - 5);
		read_all(lpa->fd, frame->data, frame->len);
		if (start[4] == service && start[5] == cid && frame->data[0] == (service ? 2 : 1))
			break;
	}
	g_assert_cmpuint(frame->data[1], ==, lpa->transaction & 0xFF);
	g_assert_cmpuint(get16(frame->data + head - 4), ==, message);
	answer = g_byte_array_append(g_byte_array_new(), frame->data + head, frame->len - head);
	g_byte_array_unref(frame);
	g_assert_true(find_tlv(span_of(answer), 0x02, &result));
	g_assert_cmpuint(get16(result.data + 2), ==, 0);
	return answer;
}

/* ------------------------------------------------------------------ LPA */

Lpa *lpa_open(const char *path)
{
	static const guint8 isdr[] = { 16, 0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF,
				       0xFF, 0x89, 0x00, 0x00, 0x01, 0x00 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	Lpa *lpa = g_new0(Lpa, 1);
	g_autoptr(GByteArray) allocated = NULL;
	g_autoptr(GByteArray) opened = NULL;
	GByteArray *tlvs = g_byte_array_new();
	IfppSpan value;

	g_assert_cmpuint(g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path)), <, sizeof(addr.sun_path));
	lpa->block = 120;
	lpa->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* After a reset the port is gone for a moment. */
	for (guint i = 0; connect(lpa->fd, (struct sockaddr *)&addr, sizeof(addr)); i++) {
		g_assert_cmpuint(i, <, 6000);
		g_usleep(10000);
	}
	put_tlv(tlvs, 0x01, (guint8[]){ 0x0B }, 1);
	allocated = request(lpa, 0x00, 0x0022, tlvs);
	g_assert_true(find_tlv(span_of(allocated), 0x01, &value));
	lpa->cid = value.data[1];
	tlvs = g_byte_array_new();
	put_tlv(tlvs, 0x01, (guint8[]){ 1 }, 1);
	put_tlv(tlvs, 0x10, isdr, sizeof(isdr));
	opened = request(lpa, 0x0B, 0x0042, tlvs);
	g_assert_true(find_tlv(span_of(opened), 0x10, &value));
	lpa->channel = value.data[0];
	return lpa;
}

Lpa *lpa_of_kit(Kit *kit)
{
	Lpa *lpa = g_new0(Lpa, 1);

	lpa->kit = kit;
	lpa->fd = -1;
	return lpa;
}

void lpa_close(Lpa *lpa)
{
	GByteArray *tlvs;

	if (lpa->kit) {
		lpa_abandon(lpa);
		return;
	}
	tlvs = g_byte_array_new();

	put_tlv(tlvs, 0x01, (guint8[]){ 1 }, 1);
	put_tlv(tlvs, 0x11, &lpa->channel, 1);
	g_byte_array_unref(request(lpa, 0x0B, 0x003F, tlvs));
	tlvs = g_byte_array_new();
	put_tlv(tlvs, 0x01, (guint8[]){ 0x0B, lpa->cid }, 2);
	g_byte_array_unref(request(lpa, 0x00, 0x0023, tlvs));
	lpa_abandon(lpa);
}

void lpa_abandon(Lpa *lpa)
{
	if (lpa->fd >= 0)
		close(lpa->fd);
	g_free(lpa);
}

static GByteArray *send_apdu(Lpa *lpa, const guint8 *apdu, gsize len, guint16 *sw)
{
	GByteArray *tlvs = g_byte_array_new(), *value = g_byte_array_new(), *out = g_byte_array_new();
	g_autoptr(GByteArray) answer = NULL;
	IfppSpan response;

	g_byte_array_append(value, (guint8[]){ len, len >> 8 }, 2);
	g_byte_array_append(value, apdu, len);
	put_tlv(tlvs, 0x01, (guint8[]){ 1 }, 1);
	put_tlv(tlvs, 0x02, value->data, value->len);
	put_tlv(tlvs, 0x10, &lpa->channel, 1);
	g_byte_array_unref(value);
	answer = request(lpa, 0x0B, 0x003B, tlvs);
	g_assert_true(find_tlv(span_of(answer), 0x10, &response));
	g_assert_cmpuint(response.len, >=, 4);
	g_assert_cmpuint(get16(response.data), ==, response.len - 2);
	*sw = response.data[response.len - 2] << 8 | response.data[response.len - 1];
	return g_byte_array_append(out, response.data + 2, response.len - 4);
}

GBytes *lpa_es10(Lpa *lpa, IfppSpan command, guint16 *sw)
{
	GByteArray *all;
	guint8 p2 = 0;

	if (lpa->kit)
		return kit_es10(lpa->kit, command, sw);
	all = g_byte_array_new();
	do {
		gsize n = MIN(command.len, lpa->block);
		guint8 apdu[5 + 255] = { 0x80 | lpa->channel, 0xE2, command.len > n ? 0x11 : 0x91, p2++, n };

		memcpy(apdu + 5, command.data, n);
		g_byte_array_unref(all);
		all = send_apdu(lpa, apdu, 5 + n, sw);
		command.data += n;
		command.len -= n;
	} while (command.len && *sw == SW_OK);
	while (*sw >> 8 == 0x61) {
		const guint8 get[] = { 0x80 | lpa->channel, 0xC0, 0x00, 0x00, *sw };
		g_autoptr(GByteArray) part = send_apdu(lpa, get, sizeof(get), sw);

		g_byte_array_append(all, part->data, part->len);
	}
	if (all->len)
		return g_byte_array_free_to_bytes(all);
	g_byte_array_unref(all);
	return NULL;
}

char *lpa_hex(Lpa *lpa, const char *command)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(command);
	g_autoptr(GBytes) response = NULL;
	guint16 sw;

	response = lpa_es10(lpa, ifpp_span_bytes(bytes), &sw);
	g_assert_cmphex(sw >> 12, ==, 9);	/* 91xx: and a REFRESH is to come */
	return response ? ifpp_hex(ifpp_span_bytes(response)) : NULL;
}

void lpa_leave(Lpa *lpa, const char *command)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(command);
	gsize len = g_bytes_get_size(bytes);
	guint8 apdu[5 + 255] = { 0x80 | lpa->channel, 0xE2, 0x91, 0x00, len };
	guint16 sw;

	memcpy(apdu + 5, g_bytes_get_data(bytes, NULL), len);
	g_byte_array_unref(send_apdu(lpa, apdu, 5 + len, &sw));
	g_assert_cmphex(sw >> 8, ==, 0x61);
}

static GBytes *ask(Lpa *lpa, GByteArray *command)
{
	GBytes *response;
	guint16 sw;

	response = lpa_es10(lpa, span_of(command), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	g_byte_array_unref(command);
	return response;
}

static GByteArray *bytes_array(const void *data, gsize len)
{
	return g_byte_array_append(g_byte_array_new(), data, len);
}

/* AuthenticateServer: what the server sent, and ctxParams1 with matching id, TAC and no capabilities. */
GBytes *lpa_authenticate(Lpa *lpa, SmDp *dp)
{
	static const guint8 device[] = { 0x80, 0x04, 0x35, 0x29, 0x06, 0x11, 0xA1, 0x00 };
	g_autoptr(GBytes) challenge = ask(lpa, bytes_array("\xBF\x2E\x00", 3));
	g_autoptr(GBytes) info1 = ask(lpa, bytes_array("\xBF\x20\x00", 3));
	g_autoptr(GBytes) server = NULL;
	GByteArray *bf38, *context = g_byte_array_new(), *whole;
	IfppSpan in = ifpp_span_bytes(challenge);
	IfppTlv tlv;

	g_assert_true(ifpp_tlv_take(&in, 0xBF2E, &tlv));
	g_assert_true(ifpp_tlv_take(&tlv.value, 0x80, &tlv));
	server = smdp_initiate_authentication(dp, ifpp_span_bytes(info1), tlv.value);
	bf38 = bytes_array(g_bytes_get_data(server, NULL), g_bytes_get_size(server));
	ifpp_tlv_put(context, 0x80, "MATCHING-1", 10);
	ifpp_tlv_put(context, 0xA1, device, sizeof(device));
	whole = wrap(0xA0, context);
	put_whole(bf38, span_of(whole));
	g_byte_array_unref(whole);
	return ask(lpa, wrap(0xBF38, bf38));
}

/* Segment by segment until the chip has its say. */
GBytes *lpa_load(Lpa *lpa, GBytes *bytes)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppBpp) bpp = ifpp_bpp_parse(bytes, &error);
	GBytes *response = NULL;
	guint16 sw;

	g_assert_no_error(error);
	for (guint i = 0; i < ifpp_bpp_n_segments(bpp) && !response; i++) {
		response = lpa_es10(lpa, ifpp_bpp_segment(bpp, i), &sw);
		if (!response && sw == 0)	/* the chip went dark */
			return NULL;
		g_assert_cmphex(sw, ==, SW_OK);
	}
	g_assert_nonnull(response);
	return response;
}

/* What the chip keeps of the result goes to the server, and only then away. */
static void notify(Lpa *lpa, SmDp *dp, guint64 seq, GBytes *result)
{
	GByteArray *search = g_byte_array_new(), *remove = g_byte_array_new();
	g_autoptr(GBytes) kept = NULL;
	g_autoptr(GBytes) removed = NULL;
	IfppTlv bf2b, list, note;
	IfppSpan in;

	ifpp_tlv_put_uint(search, 0x80, seq);
	kept = ask(lpa, wrap(0xBF2B, wrap(0xA0, search)));
	in = ifpp_span_bytes(kept);
	g_assert_true(ifpp_tlv_take(&in, 0xBF2B, &bf2b));
	g_assert_true(ifpp_tlv_take(&bf2b.value, 0xA0, &list));
	g_assert_true(ifpp_tlv_take(&list.value, IFPP_TAG_PIR, &note));
	g_assert_cmpuint(list.value.len, ==, 0);
	g_assert_true(ifpp_span_equal(note.whole, ifpp_span_bytes(result)));
	smdp_handle_notification(dp, note.whole);
	ifpp_tlv_put_uint(remove, 0x80, seq);
	removed = ask(lpa, wrap(0xBF30, remove));
	g_assert_cmpmem(g_bytes_get_data(removed, NULL), g_bytes_get_size(removed), "\xBF\x30\x03\x80\x01\x00", 6);
}

GBytes *lpa_prepare(Lpa *lpa, SmDp *dp, GBytes *authenticated)
{
	g_autoptr(GBytes) client = smdp_authenticate_client(dp, ifpp_span_bytes(authenticated));

	return ask(lpa, wrap(0xBF21, bytes_array(g_bytes_get_data(client, NULL), g_bytes_get_size(client))));
}

guint lpa_refusal(GBytes *response, guint32 tag)
{
	IfppSpan in = ifpp_span_bytes(response);
	IfppTlv whole, error;
	guint64 code;

	g_assert_true(ifpp_tlv_take(&in, tag, &whole));
	if (ifpp_tlv_take(&whole.value, 0xA0, &error))
		return 0;
	if (ifpp_tlv_take(&whole.value, 0xA1, &error))	/* with the transactionId */
		g_assert_true(ifpp_tlv_find(error.value, 0x02, &error));
	else
		g_assert_true(ifpp_tlv_take(&whole.value, 0x81, &error));
	g_assert_true(ifpp_tlv_uint(&error, &code, NULL));
	return code;
}

guint lpa_cancel(Lpa *lpa, SmDp *dp, guint reason)
{
	GByteArray *value = g_byte_array_new();
	g_autoptr(GBytes) response = NULL;
	guint refusal;

	ifpp_tlv_put(value, 0x80, dp->transaction, sizeof(dp->transaction));
	ifpp_tlv_put_uint(value, 0x81, reason);
	response = ask(lpa, wrap(0xBF41, value));
	refusal = lpa_refusal(response, 0xBF41);
	if (!refusal)
		smdp_cancel_session(dp, ifpp_span_bytes(response), reason);
	return refusal;
}

IfppPir *lpa_finish(Lpa *lpa, SmDp *dp, GBytes *prepared)
{
	g_autoptr(GBytes) bpp = smdp_get_bound_profile_package(dp, ifpp_span_bytes(prepared));
	g_autoptr(GBytes) result = lpa_load(lpa, bpp);
	g_autoptr(GError) error = NULL;
	IfppPir *pir;

	g_assert_nonnull(result);
	pir = ifpp_pir_parse(result, &error);
	g_assert_no_error(error);
	notify(lpa, dp, pir->seq, result);
	return pir;
}

IfppPir *lpa_download(Lpa *lpa, SmDp *dp)
{
	g_autoptr(GBytes) authenticated = lpa_authenticate(lpa, dp);
	g_autoptr(GBytes) prepared = lpa_prepare(lpa, dp, authenticated);

	return lpa_finish(lpa, dp, prepared);
}
