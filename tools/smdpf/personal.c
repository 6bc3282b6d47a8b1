// SPDX-License-Identifier: GPL-2.0-or-later
/* A subscriber's data put into a template. Files and elements as in the TCA profile package, 2.3. */
#include "profile.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "bsp.h"
#include "eid.h"
#include "error.h"
#include "upp.h"

#define KEY_LEN 16
#define TOPC_LEN 32
#define CODE_LEN 8		/* PIN, PUK, ADM */
#define DIAL_LEN 14		/* at the end of a record of EF.MSISDN */
#define SMSP_LEN 28		/* at the end of one of EF.SMSP */

enum { PE_PUK = 0xA3, PE_AKA = 0xA4, PE_PIN = 0xA2, PE_SD = 0xA6, PE_USIM = 0xB3, PE_OPT_USIM = 0xB4, PE_ISIM = 0xB5 };
enum {
	EF_IMSI = 0xA3, EF_SMSP = 0xAB, EF_SPN = 0xAD, EF_ACC = 0xB2, EF_AD = 0xB5,	/* of usim */
	EF_MSISDN = 0xA7,								/* of opt-usim */
	EF_IMPI = 0xA3, EF_IMPU = 0xA4, EF_DOMAIN = 0xA5,				/* of isim */
};
enum { ALGORITHM_MILENAGE = 1, ALGORITHM_TUAK = 2, ALGORITHM_TEST = 3 };

static gboolean no_place(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "profile: no %s of the right length to fill in", what);
	return FALSE;
}

/* Overwrite a value that @tlv found inside a copy of ours. */
static void overwrite(const IfppTlv *tlv, const void *data)
{
	memcpy((guint8 *)tlv->value.data, data, tlv->value.len);
}

/* First fillFileContent of a File, when it has @len bytes. */
static gboolean find_content(IfppSpan pe, guint32 file, gsize len, IfppTlv *out)
{
	IfppTlv members;

	return ifpp_tlv_find(pe, file, &members) && ifpp_tlv_find(members.value, 0x83, out) &&
	       out->value.len == len;
}

static gboolean put_iccid(IfppSpan upp, const char *digits, GError **error)
{
	guint8 swapped[IFPP_ICCID_BYTES], straight[IFPP_ICCID_BYTES];
	gboolean header_done = FALSE, file_done = FALSE;
	IfppTlv pe, tlv;

	if (!ifpp_iccid_parse(digits, swapped, error))
		return FALSE;
	memcpy(straight, swapped, sizeof(straight));
	ifpp_nibble_swap(straight, sizeof(straight));
	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL)) {
		if (pe.tag == 0xA0 && ifpp_tlv_find(pe.value, 0x83, &tlv)) {
			overwrite(&tlv, straight);
			header_done = TRUE;
		} else if (pe.tag == 0xB0 && find_content(pe.value, 0xA4, IFPP_ICCID_BYTES, &tlv)) {
			overwrite(&tlv, swapped);
			file_done = TRUE;
		}
	}
	return (header_done && file_done) || no_place(error, "EF.ICCID");
}

/* EF.IMSI (TS 31.102 4.2.2) and the access class that belongs to it. */
static gboolean put_imsi(IfppSpan upp, const char *digits, GError **error)
{
	gsize n = strlen(digits);
	gboolean done = FALSE;
	guint8 imsi[9];
	guint16 class;
	IfppTlv pe, tlv;

	if (n < 6 || n > 15 || strspn(digits, "0123456789") != n) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "IMSI %s: not 6 to 15 digits", digits);
		return FALSE;
	}
	memset(imsi, 0xFF, sizeof(imsi));
	imsi[0] = n / 2 + 1;
	imsi[1] = (digits[0] - '0') << 4 | (n % 2 ? 9 : 1);
	for (gsize i = 1; i < n; i++) {
		guint8 *byte = &imsi[1 + (i + 1) / 2], d = digits[i] - '0';

		*byte = i % 2 ? (*byte & 0xF0) | d : (*byte & 0x0F) | d << 4;
	}
	class = GUINT16_TO_BE(1 << (digits[n - 1] - '0'));

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL)) {
		if (pe.tag != PE_USIM || !find_content(pe.value, EF_IMSI, sizeof(imsi), &tlv))
			continue;
		overwrite(&tlv, imsi);
		done = TRUE;
		if (find_content(pe.value, EF_ACC, sizeof(class), &tlv))
			overwrite(&tlv, &class);
	}
	return done || no_place(error, "EF.IMSI");
}

static gboolean put_key(IfppSpan upp, guint32 tag, const guint8 *key, gsize len, const char *what, GError **error)
{
	gboolean done = FALSE;
	IfppTlv pe, choice, algorithm, tlv;

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL)) {
		if (pe.tag != PE_AKA || !ifpp_tlv_find(pe.value, 0xA1, &choice) ||
		    !ifpp_tlv_find(choice.value, 0xA1, &algorithm) ||
		    !ifpp_tlv_find(algorithm.value, tag, &tlv) || tlv.value.len != len)
			continue;
		overwrite(&tlv, key);
		done = TRUE;
	}
	return done || no_place(error, what);
}

/* ------------------------------------------------------------ keys */

/* A keyObject has an identifier, a version and components of a type each (TCA profile package, PE-SecurityDomain). */
static gboolean put_component(IfppSpan components, const ProfileSdKey *key)
{
	gboolean done = FALSE;
	IfppTlv one, type, data;

	while (components.len && ifpp_tlv_next(&components, &one, NULL)) {
		if (!ifpp_tlv_find(one.value, 0x80, &type) || type.value.len != 1 ||
		    (key->type && type.value.data[0] != key->type) ||
		    !ifpp_tlv_find(one.value, 0x86, &data) || data.value.len != key->len)
			continue;
		overwrite(&data, key->key);
		done = TRUE;
	}
	return done;
}

static gboolean put_sd_key(IfppSpan upp, const ProfileSdKey *key, GError **error)
{
	IfppTlv pe, list, one, id, version, components;
	gboolean done = FALSE;

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL)) {
		if (pe.tag != PE_SD || !ifpp_tlv_find(pe.value, 0xA2, &list))
			continue;
		while (list.value.len && ifpp_tlv_next(&list.value, &one, NULL))
			if (ifpp_tlv_find(one.value, 0x82, &id) && id.value.len == 1 && id.value.data[0] == key->id &&
			    ifpp_tlv_find(one.value, 0x83, &version) && version.value.len == 1 &&
			    version.value.data[0] == key->version && ifpp_tlv_find(one.value, 0x30, &components))
				done |= put_component(components.value, key);
	}
	return done || no_place(error, key->name);
}

static gboolean is_tuak(IfppSpan upp)
{
	IfppTlv pe, choice, algorithm, tlv;

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL))
		if (pe.tag == PE_AKA && ifpp_tlv_find(pe.value, 0xA1, &choice) &&
		    ifpp_tlv_find(choice.value, 0xA1, &algorithm) && ifpp_tlv_find(algorithm.value, 0x80, &tlv) &&
		    tlv.value.len == 1 && tlv.value.data[0] == ALGORITHM_TUAK)
			return TRUE;
	return FALSE;
}

/* Milenage with a key of one's own is what OPc is for: the test algorithm has none. */
static void set_milenage(IfppSpan upp)
{
	IfppTlv pe, choice, algorithm, tlv;

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL))
		if (pe.tag == PE_AKA && ifpp_tlv_find(pe.value, 0xA1, &choice) &&
		    ifpp_tlv_find(choice.value, 0xA1, &algorithm) && ifpp_tlv_find(algorithm.value, 0x80, &tlv) &&
		    tlv.value.len == 1 && tlv.value.data[0] == ALGORITHM_TEST)
			overwrite(&tlv, (const guint8[]){ ALGORITHM_MILENAGE });
}

gboolean profile_opc(const guint8 ki[16], const guint8 op[16], guint8 opc[16])
{
	guint8 iv[KEY_LEN] = {};
	const gnutls_datum_t key = { (guint8 *)ki, KEY_LEN }, zero = { iv, sizeof(iv) };
	gnutls_cipher_hd_t aes;
	gboolean ok;

	/* one block, so CBC with a zero IV is ECB */
	if (gnutls_cipher_init(&aes, GNUTLS_CIPHER_AES_128_CBC, &key, &zero) < 0)
		return FALSE;
	ok = gnutls_cipher_encrypt2(aes, op, KEY_LEN, opc, KEY_LEN) >= 0;
	gnutls_cipher_deinit(aes);
	for (guint i = 0; i < KEY_LEN; i++)
		opc[i] ^= op[i];
	return ok;
}

/* ------------------------------------------------------------ codes */

/* An INTEGER: 0x81 has two bytes, and one where somebody took it for a byte. */
static gboolean is_reference(IfppSpan value, guint8 reference)
{
	return (value.len == 1 || (value.len == 2 && !value.data[0])) && value.data[value.len - 1] == reference;
}

/* A code by its key reference: in pukCodes a list, in pinCodes one within a choice. */
static guint put_code_in(IfppSpan list, guint8 reference, const guint8 code[CODE_LEN])
{
	IfppTlv one, ref, value;
	guint n = 0;

	while (list.len && ifpp_tlv_next(&list, &one, NULL)) {
		if (one.tag == 0x30 && ifpp_tlv_find(one.value, 0x80, &ref) && is_reference(ref.value, reference) &&
		    ifpp_tlv_find(one.value, 0x81, &value) && value.value.len == CODE_LEN) {
			overwrite(&value, code);
			n++;
		} else if (one.tag == 0xA0 || one.tag == 0xA1 || one.tag == 0x30) {
			n += put_code_in(one.value, reference, code);
		}
	}
	return n;
}

static gboolean put_code(IfppSpan upp, guint32 element, guint8 reference, const guint8 *code, const char *what,
			 GError **error)
{
	guint n = 0;
	IfppTlv pe;

	if (!code)
		return TRUE;
	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL))
		if (pe.tag == element)
			n += put_code_in(pe.value, reference, code);
	return n || no_place(error, what);
}

/* ------------------------------------------------------------ files of another length */

/* Length of a record, from the file's own descriptor; 0: it has none, or is transparent. */
static guint record_len(IfppSpan file)
{
	IfppTlv fcp, descriptor;

	if (!ifpp_tlv_find(file, 0xA1, &fcp) || !ifpp_tlv_find(fcp.value, 0x82, &descriptor) || descriptor.value.len != 4)
		return 0;
	return descriptor.value.data[2] << 8 | descriptor.value.data[3];
}

/* efFileSize is an OCTET STRING. */
static void put_size(GByteArray *out, gsize len)
{
	const guint8 bytes[] = { len >> 8, len };
	guint at = len < 0x100;

	ifpp_tlv_put(out, 0x80, bytes + at, sizeof(bytes) - at);
}

/* The descriptor, with room for @len bytes in a transparent file. */
static void put_fcp(GByteArray *out, IfppSpan in, gsize len, gboolean transparent)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	gboolean sized = !transparent;
	IfppTlv tlv;
	guint64 size;

	while (in.len && ifpp_tlv_next(&in, &tlv, NULL)) {
		gboolean after = tlv.tag == 0x86 || tlv.tag == 0x88 || tlv.tag == 0xA5 || tlv.tag == 0x87;

		if (tlv.tag == 0x80 && !sized && (!ifpp_upp_size(tlv.whole, &size) || size < len)) {
			put_size(body, len);
			sized = TRUE;
			continue;
		}
		if (after && !sized)
			put_size(body, len);
		sized |= after || tlv.tag == 0x80;
		g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
	}
	if (!sized)
		put_size(body, len);
	ifpp_tlv_put(out, 0xA1, body->data, body->len);
}

/* The file with this content alone. */
static void put_file(GByteArray *out, const IfppTlv *file, const guint8 *content, gsize len)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	gboolean transparent = !record_len(file->value);
	IfppSpan in = file->value;
	IfppTlv tlv;

	/* what is all the template's may be too small */
	if (!ifpp_tlv_find(file->value, 0xA1, &tlv) && transparent)
		put_fcp(body, (IfppSpan){}, len, transparent);
	while (in.len && ifpp_tlv_next(&in, &tlv, NULL)) {
		if (tlv.tag == 0xA1)
			put_fcp(body, tlv.value, len, transparent);
		else if (tlv.tag != 0x82 && tlv.tag != 0x83)
			g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
	}
	ifpp_tlv_put(body, 0x83, content, len);
	ifpp_tlv_put(out, file->tag, body->data, body->len);
}

static gboolean find_file(IfppSpan upp, guint32 element, guint32 member, IfppTlv *file)
{
	IfppTlv pe;

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL))
		if (pe.tag == element && ifpp_tlv_find(pe.value, member, file))
			return TRUE;
	return FALSE;
}

/* Each such file gets the content; every length around it follows. */
static void set_file(GByteArray **upp, guint32 element, guint32 member, const guint8 *content, gsize len)
{
	IfppSpan in = { (*upp)->data, (*upp)->len };
	GByteArray *out = g_byte_array_sized_new(in.len + len + 16);
	IfppTlv pe, tlv;

	while (in.len && ifpp_tlv_next(&in, &pe, NULL)) {
		g_autoptr(GByteArray) body = NULL;
		IfppSpan members = pe.value;

		if (pe.tag != element) {
			g_byte_array_append(out, pe.whole.data, pe.whole.len);
			continue;
		}
		body = g_byte_array_new();
		while (members.len && ifpp_tlv_next(&members, &tlv, NULL)) {
			if (tlv.tag == member)
				put_file(body, &tlv, content, len);
			else
				g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
		}
		ifpp_tlv_put(out, pe.tag, body->data, body->len);
	}
	ifpp_secret_free(*upp);
	*upp = out;
}

/* A transparent file's content, to its end: nothing of what the template had in it is left. */
static gboolean set_all(GByteArray **upp, guint32 element, guint8 member, const guint8 *content, gsize len, const char *what,
			GError **error)
{
	g_autoptr(GByteArray) file = ifpp_upp_file((IfppSpan){ (*upp)->data, (*upp)->len }, element, member);

	if (!file) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "profile: the template has no %s to fill in", what);
		return FALSE;
	}
	memset(file->data, 0xFF, file->len);
	g_byte_array_set_size(file, MAX(file->len, len));
	memcpy(file->data, content, len);
	set_file(upp, element, 0xA0 | member, file->data, file->len);
	return TRUE;
}

/* 80 LENGTH TEXT, as the ISIM's files have it; a record is filled up. */
static gboolean put_text(GByteArray **upp, guint32 member, const char *text, const char *what, GError **error)
{
	g_autoptr(GByteArray) content = g_byte_array_new();
	guint record;
	IfppTlv file;

	if (!find_file((IfppSpan){ (*upp)->data, (*upp)->len }, PE_ISIM, member, &file))
		return no_place(error, what);
	record = record_len(file.value);
	ifpp_tlv_put(content, 0x80, text, strlen(text));
	if (!record)
		return set_all(upp, PE_ISIM, member & 0x1F, content->data, content->len, what, error);
	if (content->len > record)
		return no_place(error, what);
	while (content->len < record)
		g_byte_array_append(content, (const guint8[]){ 0xFF }, 1);
	set_file(upp, PE_ISIM, member, content->data, content->len);
	return TRUE;
}

/* Length, TON and NPI, and digits two in a byte: TS 31.102 4.2.26, TS 31.102 4.2.27. */
static gboolean put_number(const char *digits, guint8 out[12], GError **error)
{
	gboolean international = *digits == '+';
	gsize n;

	digits += international;
	n = strlen(digits);
	if (!n || n > 20 || strspn(digits, "0123456789") != n) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "number %s: not 1 to 20 digits, with + before them or not", digits);
		return FALSE;
	}
	memset(out, 0xFF, 12);
	out[0] = 1 + (n + 1) / 2;
	out[1] = international ? 0x91 : 0x81;
	for (gsize i = 0; i < n; i++) {
		guint8 *byte = &out[2 + i / 2], d = digits[i] - '0';

		*byte = i % 2 ? (*byte & 0x0F) | d << 4 : (*byte & 0xF0) | d;
	}
	return TRUE;
}

/* @tail at the end of the first record. */
static gboolean put_record(GByteArray **upp, guint32 element, guint32 member, const guint8 *tail, gsize len,
			   const char *what, GError **error)
{
	g_autofree guint8 *record = NULL;
	IfppTlv file;
	guint size;

	if (!find_file((IfppSpan){ (*upp)->data, (*upp)->len }, element, member, &file))
		return no_place(error, what);
	size = record_len(file.value);
	if (size < len)
		return no_place(error, what);
	record = g_malloc(size);
	memset(record, 0xFF, size);
	memcpy(record + size - len, tail, len);
	set_file(upp, element, member, record, size);
	return TRUE;
}

static gboolean put_msisdn(GByteArray **upp, const char *digits, GError **error)
{
	guint8 tail[DIAL_LEN] = {};

	tail[12] = tail[13] = 0xFF;
	return put_number(digits, tail, error) &&
	       put_record(upp, PE_OPT_USIM, EF_MSISDN, tail, sizeof(tail), "EF.MSISDN", error);
}

/* Of the parameters the service centre alone: its bit in the indicator is 0. */
static gboolean put_smsc(GByteArray **upp, const char *digits, GError **error)
{
	guint8 tail[SMSP_LEN];

	memset(tail, 0xFF, sizeof(tail));
	tail[0] = 0xFD;
	return put_number(digits, tail + 13, error) &&
	       put_record(upp, PE_USIM, EF_SMSP, tail, sizeof(tail), "EF.SMSP", error);
}

static gboolean put_spn(GByteArray **upp, const char *name, GError **error)
{
	guint8 content[17];

	memset(content, 0xFF, sizeof(content));
	content[0] = 0;
	memcpy(content + 1, name, MIN(strlen(name), 16));
	return set_all(upp, PE_USIM, EF_SPN & 0x1F, content, sizeof(content), "EF.SPN", error);
}

/* ------------------------------------------------------------ the ISIM's identities */

/* ims.mncMMM.mccCCC.3gppnetwork.org (TS 23.003 13.2); how many digits the MNC has, EF.AD says. */
static char *home_domain(IfppSpan upp, const char *imsi)
{
	IfppTlv file, content;
	guint digits = 2;

	if (find_file(upp, PE_USIM, EF_AD, &file) && ifpp_tlv_find(file.value, 0x83, &content) && content.value.len >= 4 &&
	    (content.value.data[3] & 15) == 3)
		digits = 3;
	return digits == 3 ? g_strdup_printf("ims.mnc%.3s.mcc%.3s.3gppnetwork.org", imsi + 3, imsi) :
			     g_strdup_printf("ims.mnc0%.2s.mcc%.3s.3gppnetwork.org", imsi + 3, imsi);
}

static gboolean put_isim(GByteArray **upp, const ProfileRecord *r, GError **error)
{
	g_autofree char *domain = NULL, *impi = NULL, *impu = NULL;
	IfppTlv file;
	gboolean has = find_file((IfppSpan){ (*upp)->data, (*upp)->len }, PE_ISIM, EF_IMPI, &file);

	if (r->imsi && has) {
		domain = home_domain((IfppSpan){ (*upp)->data, (*upp)->len }, r->imsi);
		impi = g_strdup_printf("%s@%s", r->imsi, domain);
		impu = g_strdup_printf("sip:%s", impi);
	}
	return (!(r->domain || domain) ||
		put_text(upp, EF_DOMAIN, r->domain ? r->domain : domain, "EF.DOMAIN of the ISIM", error)) &&
	       (!(r->impi || impi) || put_text(upp, EF_IMPI, r->impi ? r->impi : impi, "EF.IMPI", error)) &&
	       (!(r->impu || impu) || put_text(upp, EF_IMPU, r->impu ? r->impu : impu, "EF.IMPU", error));
}

/* ------------------------------------------------------------ services, and the concealed identity */

/* Services of TS 31.102 4.2.8 without which a terminal does not look at what a column fills in. */
enum { SERVICE_SMSP = 12, SERVICE_SPN = 19, SERVICE_MSISDN = 21, SERVICE_SUCI = 124, SERVICE_SUCI_USIM = 125 };

static gboolean has_service(const GByteArray *table, guint service)
{
	return (service - 1) / 8 < table->len && table->data[(service - 1) / 8] & 1 << (service - 1) % 8;
}

static void set_service(GByteArray *table, guint service, gboolean available)
{
	guint at = (service - 1) / 8, len = table->len;

	if (at >= len) {
		g_byte_array_set_size(table, at + 1);
		memset(table->data + len, 0, at + 1 - len);
	}
	table->data[at] = (table->data[at] & ~(1 << (service - 1) % 8)) | available << (service - 1) % 8;
}

/* "124 -125" into a table; @told gets those that are named. */
static gboolean parse_services(GByteArray *table, GByteArray *told, const char *text, const char *column, GError **error)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
	guint n = 0;

	for (guint i = 0; words[i]; i++) {
		gboolean off = *words[i] == '-';
		guint64 service;

		if (!*words[i])
			continue;
		if (!g_ascii_string_to_unsigned(words[i] + off, 10, 1, 255, &service, NULL) || has_service(told, service)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
				    "%s: %s is not a service, 1 to 255, with - before it or not, or is there twice", column, words[i]);
			return FALSE;
		}
		set_service(told, service, TRUE);
		set_service(table, service, !off);
		n++;
	}
	if (!n)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s is not a list of services, such as 124 -125", column);
	return n != 0;
}

/* What the columns fill in is available then; a column that says otherwise contradicts itself. */
static gboolean imply_services(GByteArray *table, const GByteArray *told, const ProfileRecord *r, GError **error)
{
	const struct {
		gboolean given;
		guint service;
		const char *column;
	} implied[] = {
		{ r->smsc != NULL, SERVICE_SMSP, "SMSC" }, { r->spn != NULL, SERVICE_SPN, "SPN" },
		{ r->msisdn != NULL, SERVICE_MSISDN, "MSISDN" }, { r->suci != NULL, SERVICE_SUCI, "SUCI-SCHEME" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(implied); i++) {
		if (!implied[i].given)
			continue;
		if (has_service(told, implied[i].service) && !has_service(table, implied[i].service)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "UST: without service %u no terminal looks at what %s is for",
				    implied[i].service, implied[i].column);
			return FALSE;
		}
		set_service(table, implied[i].service, TRUE);
	}
	return TRUE;
}

/* The chip must be told that it has to have this, or a chip without it conceals nothing. */
static gboolean demands(IfppSpan upp, guint32 service)
{
	IfppTlv header, list, tlv;

	return ifpp_tlv_next(&upp, &header, NULL) && ifpp_tlv_find(header.value, 0xA5, &list) &&
	       ifpp_tlv_find(list.value, service, &tlv);
}

/* TS 31.102 4.4.11.8: by service 125 the USIM conceals, with a file that the terminal does not see. */
static gboolean put_suci(GByteArray **upp, const Suci *suci, gboolean by_usim, GError **error)
{
	static const struct {
		guint8 service;		/* of eUICC-Mandatory-services */
		guint schemes;
		const char *name;
	} needed[] = {
		{ 0x95, 1 << SUCI_A | 1 << SUCI_B, "get-identity" }, { 0x96, 1 << SUCI_A, "profile-a-x25519" },
		{ 0x97, 1 << SUCI_B, "profile-b-p256" },
	};

	for (guint i = 0; by_usim && i < G_N_ELEMENTS(needed); i++) {
		if (!(suci->schemes & needed[i].schemes) || demands((IfppSpan){ (*upp)->data, (*upp)->len }, needed[i].service))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "profile: by service 125 the USIM conceals, but the header does not demand "
			    "%s of the chip: take another template, or say -125 in UST", needed[i].name);
		return FALSE;
	}
	return by_usim ? set_all(upp, IFPP_UPP_SUCI_USIM, suci->content, suci->len,
				 "EF.SUCI_Calc_Info of DF.SAIP (by service 125 the USIM conceals)", error) :
			 set_all(upp, IFPP_UPP_SUCI, suci->content, suci->len, "EF.SUCI_Calc_Info of DF.5GS", error);
}

static gboolean put_usim_services(GByteArray **upp, const ProfileRecord *r, GError **error)
{
	g_autoptr(GByteArray) table = ifpp_upp_file((IfppSpan){ (*upp)->data, (*upp)->len }, IFPP_UPP_UST);
	g_autoptr(GByteArray) told = g_byte_array_new();
	gboolean by_usim;

	if (!r->ust && !r->suci && !(table && (r->smsc || r->spn || r->msisdn)))
		return TRUE;
	if (!table)
		return no_place(error, "EF.UST");
	if ((r->ust && !parse_services(table, told, r->ust, "UST", error)) || !imply_services(table, told, r, error))
		return FALSE;
	by_usim = has_service(table, SERVICE_SUCI_USIM);
	return set_all(upp, IFPP_UPP_UST, table->data, table->len, "EF.UST", error) &&
	       (!r->suci || put_suci(upp, r->suci, by_usim, error));
}

static gboolean put_isim_services(GByteArray **upp, const char *text, GError **error)
{
	g_autoptr(GByteArray) table = ifpp_upp_file((IfppSpan){ (*upp)->data, (*upp)->len }, IFPP_UPP_IST);
	g_autoptr(GByteArray) told = g_byte_array_new();

	if (!table)
		return no_place(error, "EF.IST");
	return parse_services(table, told, text, "IST", error) &&
	       set_all(upp, IFPP_UPP_IST, table->data, table->len, "EF.IST", error);
}

/* ------------------------------------------------------------ all of it */

/* What keeps its length, in place. */
static gboolean put_in_place(IfppSpan upp, const ProfileRecord *r, GError **error)
{
	IfppTlv pe, tlv;
	gboolean acc = !r->acc;

	if ((r->iccid && !put_iccid(upp, r->iccid, error)) || (r->imsi && !put_imsi(upp, r->imsi, error)) ||
	    (r->ki && !put_key(upp, 0x82, r->ki, r->ki_len ? r->ki_len : KEY_LEN, "AKA key", error)) ||
	    (r->opc && !put_key(upp, 0x83, r->opc, KEY_LEN, "AKA OPc", error)) ||
	    (r->topc && !(is_tuak(upp) ? put_key(upp, 0x83, r->topc, TOPC_LEN, "AKA TOPc", error) : no_place(error, "TUAK element"))))
		return FALSE;
	for (guint i = 0; i < r->n_sd_keys; i++)
		if (!put_sd_key(upp, &r->sd_keys[i], error))
			return FALSE;
	if (r->ki && r->opc)
		set_milenage(upp);
	for (IfppSpan in = upp; !acc && in.len && ifpp_tlv_next(&in, &pe, NULL);) {
		if (pe.tag == PE_USIM && find_content(pe.value, EF_ACC, 2, &tlv)) {
			overwrite(&tlv, r->acc);
			acc = TRUE;
		}
	}
	return (acc || no_place(error, "EF.ACC")) && put_code(upp, PE_PIN, 0x01, r->pin1, "PIN 1", error) &&
	       put_code(upp, PE_PIN, 0x81, r->pin2, "PIN 2", error) &&
	       put_code(upp, PE_PUK, 0x01, r->puk1, "PUK 1", error) &&
	       put_code(upp, PE_PUK, 0x81, r->puk2, "PUK 2", error) &&
	       put_code(upp, PE_PIN, 0x0A, r->adm, "ADM 1", error);
}

GByteArray *profile_personalise(IfppSpan template, const ProfileRecord *record, GError **error)
{
	g_autoptr(IfppUpp) check = ifpp_upp_parse(template, error);
	GByteArray *out;

	if (!check)
		return NULL;
	out = g_byte_array_sized_new(template.len);
	g_byte_array_append(out, template.data, template.len);
	if (put_in_place((IfppSpan){ out->data, out->len }, record, error) && put_isim(&out, record, error) &&
	    (!record->msisdn || put_msisdn(&out, record->msisdn, error)) &&
	    (!record->smsc || put_smsc(&out, record->smsc, error)) && (!record->spn || put_spn(&out, record->spn, error)) &&
	    put_usim_services(&out, record, error) && (!record->ist || put_isim_services(&out, record->ist, error)) &&
	    (!record->routing || set_all(&out, IFPP_UPP_ROUTING, record->routing, 4, "EF.Routing_Indicator of DF.5GS", error)))
		return out;
	ifpp_secret_free(out);
	return NULL;
}
