// SPDX-License-Identifier: LGPL-2.1-or-later
/* Outer structure of a profile package: which elements, in which order, and the header. */
#include "upp.h"
#include "eid.h"
#include "error.h"

#include <string.h>

/* File, Fcp and ProprietaryEFInfo */
#define FILE_NOT 0x80
#define FILE_FCP 0xA1
#define FILL_OFFSET 0x82
#define FILL_CONTENT 0x83
#define FCP_SIZE 0x80
#define FCP_AID 0x84
#define FCP_INFO 0xA5
#define INFO_FILL 0xC1
#define INFO_REPEAT 0xC2
#define MEMBER_ADF 2	/* of usim, isim and csim */
#define FILE_MAX 4096	/* bytes a size or an offset may lead to */

#define NO_PLMN "\xFF\xFF\xFF\0\0"
#define PLMN_LIST NO_PLMN NO_PLMN NO_PLMN NO_PLMN NO_PLMN NO_PLMN NO_PLMN NO_PLMN

enum {
	HEADER = 0xA0, PUK = 0xA3, AKA = 0xA4, CDMA = 0xA5, END = 0xAA, MF = 0xB0, CD = 0xB1, TELECOM = 0xB2,
	USIM = 0xB3, OPT_USIM = 0xB4, ISIM = 0xB5, OPT_ISIM = 0xB6, PHONEBOOK = 0xB7, GSM_ACCESS = 0xB8,
	CSIM = 0xB9, OPT_CSIM = 0xBA, EAP = 0xBB, DF_5GS = 0xBC, DF_SAIP = 0xBD, DF_SNPN = 0xBE,
	DF_5GPROSE = 0xBF1F, IOT = 0xBF20, OPT_IOT = 0xBF21,
};

static const struct element {
	guint32 tag;
	const char *name;
	gboolean once;
	guint32 parent;	 /* must come with it */
	guint32 parent2; /* or with this one */
} elements[] = {
	{ .tag = HEADER, .name = "header", .once = TRUE },
	{ .tag = 0xA1, .name = "genericFileManagement" },
	{ .tag = 0xA2, .name = "pinCodes" },
	{ .tag = PUK, .name = "pukCodes" },
	{ .tag = AKA, .name = "akaParameter" },
	{ .tag = CDMA, .name = "cdmaParameter" },
	{ .tag = 0xA6, .name = "securityDomain" },
	{ .tag = 0xA7, .name = "rfm" },
	{ .tag = 0xA8, .name = "application" },
	{ .tag = 0xA9, .name = "nonStandard" },
	{ .tag = END, .name = "end", .once = TRUE },
	{ .tag = MF, .name = "mf", .once = TRUE },
	{ .tag = CD, .name = "cd", .once = TRUE },
	{ .tag = TELECOM, .name = "telecom", .once = TRUE },
	{ .tag = USIM, .name = "usim", .once = TRUE },
	{ .tag = OPT_USIM, .name = "opt-usim", .once = TRUE, .parent = USIM },
	{ .tag = ISIM, .name = "isim", .once = TRUE },
	{ .tag = OPT_ISIM, .name = "opt-isim", .once = TRUE, .parent = ISIM },
	{ .tag = PHONEBOOK, .name = "phonebook", .parent = TELECOM, .parent2 = USIM },
	{ .tag = GSM_ACCESS, .name = "gsm-access", .parent = USIM },
	{ .tag = CSIM, .name = "csim", .once = TRUE },
	{ .tag = OPT_CSIM, .name = "opt-csim", .once = TRUE, .parent = CSIM },
	{ .tag = EAP, .name = "eap", .parent = USIM, .parent2 = ISIM },
	{ .tag = DF_5GS, .name = "df-5gs", .once = TRUE, .parent = USIM },
	{ .tag = DF_SAIP, .name = "df-saip", .once = TRUE, .parent = USIM },
	{ .tag = DF_SNPN, .name = "df-snpn", .parent = USIM },
	{ .tag = DF_5GPROSE, .name = "df-5gprose", .parent = USIM },
	{ .tag = IOT, .name = "iot" },
	{ .tag = OPT_IOT, .name = "opt-iot", .parent = IOT },
};

/* eUICC-Mandatory-services whose element must be there; 8D to 8F also allow several. */
static const struct {
	guint8 service;
	guint32 element;
	gboolean multiple;
} services[] = {
	{ .service = 0x81, .element = USIM },
	{ .service = 0x82, .element = ISIM },
	{ .service = 0x83, .element = CSIM },
	{ .service = 0x84, .element = AKA },
	{ .service = 0x85, .element = AKA },
	{ .service = 0x86, .element = CDMA },
	{ .service = 0x87, .element = USIM },
	{ .service = 0x88, .element = ISIM },
	{ .service = 0x8D, .element = USIM, .multiple = TRUE },
	{ .service = 0x8E, .element = ISIM, .multiple = TRUE },
	{ .service = 0x8F, .element = CSIM, .multiple = TRUE },
	{ .service = 0x90, .element = AKA },
	{ .service = 0x91, .element = AKA },
};

#define MAX_ID 32767

typedef struct {
	IfppUpp *upp;
	guint counts[G_N_ELEMENTS(elements)];
	gboolean multiple[G_N_ELEMENTS(elements)];
	IfppSpan services;
	guint8 ids[(MAX_ID + 1) / 8];
} Walk;

#define refuse(error, ...) ifpp_fail(error, IFPP_ERROR_UPP, "profile: " __VA_ARGS__)

static guint find(guint32 tag)
{
	guint i;

	for (i = 0; i < G_N_ELEMENTS(elements) && elements[i].tag != tag; i++)
		;
	return i;
}

/* ICCID in reading order, padded with F, to the swapped form of EF.ICCID and metadata. */
static gboolean read_iccid(IfppSpan value, guint8 iccid[10])
{
	gboolean padding = FALSE;
	guint digits = 0;

	if (value.len != 10)
		return FALSE;
	for (guint i = 0; i < 20; i++) {
		guint nibble = i % 2 ? value.data[i / 2] & 15 : value.data[i / 2] >> 4;

		if (nibble == 15)
			padding = TRUE;
		else if (nibble > 9 || padding)
			return FALSE;
		else
			digits++;
	}
	memcpy(iccid, value.data, 10);
	ifpp_nibble_swap(iccid, 10);
	return digits >= 18;
}

static gboolean one_byte(IfppSpan *in, guint32 tag, const char *what, guint8 *out, GError **error)
{
	IfppTlv tlv;

	if (!ifpp_tlv_take(in, tag, &tlv) || tlv.value.len != 1)
		return refuse(error, "header: %s missing or not one byte", what);
	*out = tlv.value.data[0];
	return TRUE;
}

static gboolean read_header(Walk *walk, IfppSpan in, GError **error)
{
	IfppUpp *upp = walk->upp;
	IfppTlv tlv;

	if (!one_byte(&in, 0x80, "major version", &upp->version_major, error) ||
	    !one_byte(&in, 0x81, "minor version", &upp->version_minor, error))
		return FALSE;
	if (ifpp_tlv_take(&in, 0x82, &tlv)) {
		if (!tlv.value.len || tlv.value.len > 100 ||
		    !g_utf8_validate_len((const char *)tlv.value.data, tlv.value.len, NULL))
			return refuse(error, "header: profileType is not 1 to 100 bytes of UTF-8");
		upp->profile_type = g_strndup((const char *)tlv.value.data, tlv.value.len);
	} else {
		upp->profile_type = g_strdup("");
	}
	if (!ifpp_tlv_take(&in, 0x83, &tlv) || !read_iccid(tlv.value, upp->iccid))
		return refuse(error, "header: ICCID missing or not 18 to 20 digits");
	ifpp_tlv_take(&in, 0x84, &tlv);
	if (!ifpp_tlv_take(&in, 0xA5, &tlv))
		return refuse(error, "header: mandatory services missing");
	walk->services = tlv.value;
	if (!ifpp_tlv_take(&in, 0xA6, &tlv))
		return refuse(error, "header: mandatory templates missing");
	return TRUE;
}

/* PEHeader A0 { 80 mandated?, 81 identification }; the identification must be its own. */
static gboolean read_pe_header(Walk *walk, const IfppTlv *pe, const char *name, gsize offset, GError **error)
{
	IfppSpan in = pe->value;
	IfppTlv header, tlv;
	guint64 id;

	if (!ifpp_tlv_take(&in, 0xA0, &header))
		return refuse(error, "%s at byte %zu: has no header", name, offset);
	in = header.value;
	if (ifpp_tlv_take(&in, 0x80, &tlv) && tlv.value.len)
		return refuse(error, "%s at byte %zu: mandated is not NULL", name, offset);
	if (!ifpp_tlv_take(&in, 0x81, &tlv) || in.len || !ifpp_tlv_uint(&tlv, &id, NULL) || id > MAX_ID)
		return refuse(error, "%s at byte %zu: has no identification from 0 to %d", name, offset, MAX_ID);
	if (walk->ids[id / 8] & 1 << id % 8)
		return refuse(error, "%s at byte %zu: identification %u is not its own", name, offset, (guint)id);
	walk->ids[id / 8] |= 1 << id % 8;
	return TRUE;
}

static gboolean check_services(Walk *walk, GError **error)
{
	IfppSpan in = walk->services;

	while (in.len) {
		IfppTlv tlv;

		if (!ifpp_tlv_next(&in, &tlv, NULL) || tlv.value.len)
			return refuse(error, "header: mandatory services: not a list of NULLs");
		for (guint i = 0; i < G_N_ELEMENTS(services); i++) {
			guint at = find(services[i].element);

			if (services[i].service != tlv.tag)
				continue;
			if (!walk->counts[at])
				return refuse(error, "mandatory service %02X has no element %s", tlv.tag,
					      elements[at].name);
			walk->multiple[at] |= services[i].multiple;
		}
	}
	return TRUE;
}

static gboolean check_counts(Walk *walk, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(elements); i++) {
		const struct element *e = &elements[i];

		if (!walk->counts[i])
			continue;
		if (e->once && walk->counts[i] > 1 && !walk->multiple[i])
			return refuse(error, "%u elements %s", walk->counts[i], e->name);
		if (e->parent && !walk->counts[find(e->parent)] &&
		    (!e->parent2 || !walk->counts[find(e->parent2)]))
			return refuse(error, "%s without %s", e->name, elements[find(e->parent)].name);
	}
	return TRUE;
}

static gboolean walk_elements(Walk *walk, IfppSpan in, GError **error)
{
	const guint8 *start = in.data;
	const char *name = NULL;
	guint32 last = 0;
	guint n = 0;

	for (; in.len; n++) {
		gsize offset = in.data - start;
		g_autoptr(GError) local = NULL;
		IfppTlv pe;
		guint at;

		if (last == END)
			return refuse(error, "byte %zu: %zu bytes after the end element", offset, in.len);
		if (!ifpp_tlv_next(&in, &pe, &local))
			return refuse(error, "element %u at byte %zu: %s", n + 1, offset, local->message);
		at = find(pe.tag);
		if (at == G_N_ELEMENTS(elements))
			return refuse(error, "element %u at byte %zu: unknown tag %02X", n + 1, offset, pe.tag);
		name = elements[at].name;
		if ((n == 0) != (pe.tag == HEADER))
			return refuse(error, "element %u at byte %zu: %s, but %s", n + 1, offset, name,
				      n ? "a header comes first only" : "the header comes first");
		if ((n == 1) != (pe.tag == MF))
			return refuse(error, "element %u at byte %zu: %s, but mf comes second", n + 1, offset,
				      name);
		if (n ? !read_pe_header(walk, &pe, name, offset, error) : !read_header(walk, pe.value, error))
			return FALSE;
		walk->counts[at]++;
		last = pe.tag;
	}
	if (!n)
		return refuse(error, "is empty");
	if (last != END)
		return refuse(error, "ends with %s instead of an end element", name);
	walk->upp->n_elements = n;
	return TRUE;
}

IfppUpp *ifpp_upp_parse(IfppSpan upp, GError **error)
{
	g_autoptr(IfppUpp) out = g_new0(IfppUpp, 1);
	g_autofree Walk *walk = g_new0(Walk, 1);

	walk->upp = out;
	if (!walk_elements(walk, upp, error) || !check_services(walk, error) || !check_counts(walk, error))
		return NULL;
	return g_steal_pointer(&out);
}

void ifpp_upp_free(IfppUpp *upp)
{
	if (!upp)
		return;
	g_free(upp->profile_type);
	g_free(upp);
}

/*
 * Transparent files that the templates of USIM, optional USIM, 5GS and ISIM have (TCA profile package 2.3, 9.5, 9.6): how
 * long they are if the profile does not say, and what is in them then; the last byte goes on to the end. @made: the template
 * makes them whether the profile names them or not.
 */
static const struct template {
	guint32 element;
	guint8 member;
	gboolean made;
	guint8 size;		/* 0: as long as its content */
	guint8 content_len;
	const char *content;
} templates[] = {
	{ USIM, 3, FALSE, 9, 0, NULL },			/* IMSI */
	{ USIM, 5, TRUE, 33, 2, "\7\xFF" },		/* Keys */
	{ USIM, 6, TRUE, 33, 2, "\7\xFF" },		/* KeysPS */
	{ USIM, 7, TRUE, 1, 1, "\x0A" },			/* HPPLMN */
	{ USIM, 8, FALSE, 14, 0, NULL },		/* UST */
	{ USIM, 12, TRUE, 2, 1, "\xFF" },		/* SMSS */
	{ USIM, 13, FALSE, 17, 0, NULL },		/* SPN */
	{ USIM, 14, FALSE, 1, 0, NULL },		/* EST */
	{ USIM, 15, TRUE, 6, 6, "\xF0\0\0\xF0\0\0" },	/* START-HFN */
	{ USIM, 16, TRUE, 3, 1, "\xFF" },		/* THRESHOLD */
	{ USIM, 17, TRUE, 14, 14, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\xFF\1" },	/* PSLOCI */
	{ USIM, 18, FALSE, 2, 0, NULL },		/* ACC */
	{ USIM, 19, TRUE, 12, 1, "\xFF" },		/* FPLMN */
	{ USIM, 20, TRUE, 11, 11, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\xFF\1" },	/* LOCI */
	{ USIM, 21, TRUE, 4, 4, "\0\0\0\2" },		/* AD */
	{ USIM, 23, TRUE, 128, 1, "\xFF" },		/* NETPAR */
	{ USIM, 24, TRUE, 18, 18,			/* EPSLOCI */
	  "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\1" },
	{ OPT_USIM, 2, FALSE, 6, 1, "\xFF" },		/* LI */
	{ OPT_USIM, 5, FALSE, 8, 0, NULL },		/* GID1 */
	{ OPT_USIM, 6, FALSE, 8, 0, NULL },		/* GID2 */
	{ OPT_USIM, 15, FALSE, 40, 40, PLMN_LIST },	/* PLMNwAcT */
	{ OPT_USIM, 16, FALSE, 40, 40, PLMN_LIST },	/* OPLMNwAcT */
	{ OPT_USIM, 17, FALSE, 5, 5, PLMN_LIST },	/* HPLMNwAcT */
	{ ISIM, 6, FALSE, 14, 0, NULL },		/* IST */
	{ DF_5GS, 12, FALSE, 4, 2, "\xF0\xFF" },	/* Routing_Indicator */
};

static const struct template *find_template(guint32 element, guint8 member)
{
	for (guint i = 0; i < G_N_ELEMENTS(templates); i++)
		if (templates[i].element == element && templates[i].member == member)
			return &templates[i];
	return NULL;
}

/* From @from to the end with @pattern: over and over, or once and then its last byte. */
static void fill(GByteArray *content, gsize from, IfppSpan pattern, gboolean repeat)
{
	for (gsize i = from; i < content->len; i++)
		content->data[i] = !pattern.len ? 0xFF :
				   repeat ? pattern.data[(i - from) % pattern.len] :
					    pattern.data[MIN(i - from, pattern.len - 1)];
}

/* UInt16 */
static gboolean small_uint(const IfppTlv *tlv, guint64 *value)
{
	guint64 n;

	if (!ifpp_tlv_uint(tlv, &n, NULL) || n > G_MAXUINT16)
		return FALSE;
	*value = n;
	return TRUE;
}

gboolean ifpp_upp_size(IfppSpan fcp, guint64 *size)
{
	IfppTlv tlv;

	if (!ifpp_tlv_find(fcp, FCP_SIZE, &tlv) || !tlv.value.len || tlv.value.len > 4)
		return FALSE;
	*size = 0;
	for (gsize i = 0; i < tlv.value.len; i++)
		*size = *size << 8 | tlv.value.data[i];
	return TRUE;
}

/* What the file is made with: its size and pattern, the profile's word before the template's. */
static GByteArray *initial(IfppSpan members, const struct template *template)
{
	GByteArray *content = g_byte_array_new();
	IfppTlv fcp, info, pattern;
	guint64 size = template ? template->size : 0;
	gboolean repeat = FALSE, own = FALSE;

	if (ifpp_tlv_find(members, FILE_FCP, &fcp)) {
		guint64 own_size;

		if (ifpp_upp_size(fcp.value, &own_size) && own_size <= G_MAXUINT16)
			size = own_size;
		if (ifpp_tlv_find(fcp.value, FCP_INFO, &info)) {
			repeat = ifpp_tlv_find(info.value, INFO_REPEAT, &pattern);
			own = repeat || ifpp_tlv_find(info.value, INFO_FILL, &pattern);
		}
	}
	g_byte_array_set_size(content, MIN(MAX(size, own ? pattern.value.len : 0), FILE_MAX));
	if (own)
		fill(content, 0, pattern.value, repeat);
	else if (template)
		fill(content, 0, (IfppSpan){ (const guint8 *)template->content, template->content_len }, FALSE);
	else
		fill(content, 0, (IfppSpan){ NULL, 0 }, FALSE);
	return content;
}

static GByteArray *make_file(IfppSpan members, const struct template *template)
{
	GByteArray *content = initial(members, template);
	guint64 at = 0, skip;
	IfppTlv tlv;

	while (members.len && ifpp_tlv_next(&members, &tlv, NULL)) {
		if (tlv.tag == FILL_OFFSET && small_uint(&tlv, &skip)) {
			at += skip;
		} else if (tlv.tag == FILL_CONTENT && at + tlv.value.len <= FILE_MAX) {
			gsize before = content->len;

			if (before < at + tlv.value.len) {
				g_byte_array_set_size(content, at + tlv.value.len);
				fill(content, before, (IfppSpan){ NULL, 0 }, FALSE);
			}
			memcpy(content->data + at, tlv.value.data, tlv.value.len);
			at += tlv.value.len;
		}
	}
	return content;
}

GByteArray *ifpp_upp_file(IfppSpan upp, guint32 element, guint8 member)
{
	const struct template *template = find_template(element, member);
	IfppTlv pe, file, none;

	while (upp.len && ifpp_tlv_next(&upp, &pe, NULL)) {
		if (pe.tag != element)
			continue;
		if (ifpp_tlv_find(pe.value, 0xA0 | member, &file))
			return ifpp_tlv_find(file.value, FILE_NOT, &none) ? NULL : make_file(file.value, template);
		if (template && template->made)
			return make_file((IfppSpan){ NULL, 0 }, template);
	}
	return NULL;
}

/* MCC and MNC as TS 24.008 10.5.1.13 has them, of EF.IMSI (TS 31.102 4.2.2). */
static gboolean same_operator(const guint8 id[3], const GByteArray *imsi)
{
	const guint8 *digits = imsi->data;

	if (imsi->len < 5)
		return FALSE;
	return (id[0] & 0x0F) == digits[1] >> 4 && id[0] >> 4 == (digits[2] & 0x0F) &&
	       (id[1] & 0x0F) == digits[2] >> 4 && id[2] == digits[3] &&
	       (id[1] >> 4 == 0x0F || id[1] >> 4 == (digits[4] & 0x0F));
}

/* A group identifier and its file, which may be longer (TS 31.102 4.2.10). */
static gboolean same_group(IfppSpan id, const GByteArray *file)
{
	if (!file || file->len < id.len || memcmp(file->data, id.data, id.len))
		return FALSE;
	for (gsize i = id.len; i < file->len; i++)
		if (file->data[i] != 0xFF)
			return FALSE;
	return TRUE;
}

gboolean ifpp_upp_owner_matches(IfppSpan metadata, IfppSpan upp)
{
	g_autoptr(GByteArray) imsi = ifpp_upp_file(upp, IFPP_UPP_IMSI);
	g_autoptr(GByteArray) gid1 = ifpp_upp_file(upp, IFPP_UPP_GID1);
	g_autoptr(GByteArray) gid2 = ifpp_upp_file(upp, IFPP_UPP_GID2);
	IfppTlv owner, tlv;

	if (!ifpp_tlv_find(metadata, 0xB7, &owner))
		return TRUE;
	if (imsi && (!ifpp_tlv_find(owner.value, 0x80, &tlv) || !same_operator(tlv.value.data, imsi)))
		return FALSE;
	if (ifpp_tlv_find(owner.value, 0x81, &tlv) && !same_group(tlv.value, gid1))
		return FALSE;
	return !ifpp_tlv_find(owner.value, 0x82, &tlv) || same_group(tlv.value, gid2);
}

guint ifpp_upp_applications(IfppSpan upp, IfppUppApplication out[IFPP_UPP_APPLICATIONS])
{
	static const guint32 kinds[] = { [IFPP_UPP_USIM] = USIM, [IFPP_UPP_ISIM] = ISIM, [IFPP_UPP_CSIM] = CSIM };
	IfppTlv pe, adf, fcp, aid;
	guint n = 0;

	while (n < IFPP_UPP_APPLICATIONS && upp.len && ifpp_tlv_next(&upp, &pe, NULL))
		for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
			if (pe.tag == kinds[i] && ifpp_tlv_find(pe.value, 0xA0 | MEMBER_ADF, &adf) &&
			    ifpp_tlv_find(adf.value, FILE_FCP, &fcp) && ifpp_tlv_find(fcp.value, FCP_AID, &aid) &&
			    aid.value.len >= 5 && aid.value.len <= 16)
				out[n++] = (IfppUppApplication){ i, aid.value };
	return n;
}
