// SPDX-License-Identifier: GPL-2.0-or-later
#include "metadata.h"

#include <string.h>

#include "error.h"
#include "file.h"
#include "upp.h"

#define GROUP "metadata"
#define FILE_MAX (64 * 1024)
#define ICON_MAX 1024		/* SGP.22 5.5.3 */
#define GID_MAX 16
#define ADDRESS_MAX 255
#define ADDRESSES_MAX 16
#define VENDOR_MAX 1024		/* bytes in all; no specification says */

enum { ICON_JPEG = 0, ICON_PNG = 1 };

typedef struct {
	const char *path;
	GKeyFile *keys;
	GError **error;
} Load;

static gboolean refuse(const Load *load, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean refuse(const Load *load, const char *key, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(load->error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: %s: %s", load->path, key, text);
	return FALSE;
}

static char *value_of(const Load *load, const char *key)
{
	char *value = g_key_file_get_string(load->keys, GROUP, key, NULL);

	return value ? g_strstrip(value) : NULL;
}

/* ------------------------------------------------------------ each of them */

static gboolean take_icon(const Load *load, Metadata *metadata)
{
	static const guint8 png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n' }, jpeg[] = { 0xFF, 0xD8, 0xFF };
	g_autofree char *name = value_of(load, "icon"), *dir = g_path_get_dirname(load->path), *path = NULL;
	g_autoptr(GBytes) file = NULL;
	const guint8 *data;
	guint8 type;
	gsize len;

	if (!name)
		return TRUE;
	path = g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(dir, name, NULL);
	file = ifpp_file_read(path, 16 * 1024 * 1024, load->error);
	if (!file) {
		g_prefix_error(load->error, "%s: icon: ", load->path);
		return FALSE;
	}
	data = g_bytes_get_data(file, &len);
	if (len > sizeof(png) && !memcmp(data, png, sizeof(png)))
		type = ICON_PNG;
	else if (len > sizeof(jpeg) && !memcmp(data, jpeg, sizeof(jpeg)))
		type = ICON_JPEG;
	else
		return refuse(load, "icon", "%s is neither PNG nor JPEG", name);
	if (len > ICON_MAX)
		return refuse(load, "icon", "%s has %zu bytes; SGP.22 allows %d", name, len, ICON_MAX);
	ifpp_tlv_put(metadata->icon, 0x93, &type, 1);
	ifpp_tlv_put(metadata->icon, 0x94, data, len);
	return TRUE;
}

static gboolean valid_address(const char *address)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	g_auto(GStrv) labels = g_strsplit(address, ".", -1);

	for (guint i = 0; labels[i]; i++)
		if (!*labels[i] || strlen(labels[i]) > 63 || strspn(labels[i], letters) != strlen(labels[i]) ||
		    *labels[i] == '-' || labels[i][strlen(labels[i]) - 1] == '-')
			return FALSE;
	return labels[0] && labels[1] && strlen(address) <= ADDRESS_MAX;
}

static gboolean take_addresses(const Load *load, Metadata *metadata)
{
	static const struct {
		const char *key;
		guint8 event;		/* of the BIT STRING notificationEvent */
	} events[] = {
		{ "notify-install", 0x80 }, { "notify-enable", 0x40 }, { "notify-disable", 0x20 }, { "notify-delete", 0x10 },
	};
	g_autoptr(GByteArray) list = g_byte_array_new();
	guint count = 0;

	for (guint i = 0; i < G_N_ELEMENTS(events); i++) {
		g_auto(GStrv) addresses = g_key_file_get_string_list(load->keys, GROUP, events[i].key, NULL, NULL);

		for (guint k = 0; addresses && addresses[k]; k++) {
			g_autoptr(GByteArray) entry = g_byte_array_new();
			const char *address = g_strstrip(addresses[k]);

			if (!valid_address(address))
				return refuse(load, events[i].key, "%s is not the name of a server, such as smdp.example.com", address);
			if (++count > ADDRESSES_MAX)
				return refuse(load, events[i].key, "more than %d addresses in all", ADDRESSES_MAX);
			/* a BIT STRING's trailing zeros are left out in DER: three bits are unused at least */
			ifpp_tlv_put(entry, 0x80, (guint8[]){ __builtin_ctz(events[i].event), events[i].event }, 2);
			ifpp_tlv_put(entry, 0x81, address, strlen(address));
			ifpp_tlv_put(list, 0x30, entry->data, entry->len);
		}
		if (addresses && !addresses[0])
			return refuse(load, events[i].key, "is empty");
	}
	if (list->len)
		ifpp_tlv_put(metadata->rest, 0xB6, list->data, list->len);
	return TRUE;
}

static gboolean take_gid(const Load *load, const char *key, guint32 tag, GByteArray *owner)
{
	g_autofree char *text = value_of(load, key);
	g_autoptr(GBytes) gid = text && *text ? ifpp_unhex(text) : NULL;

	if (!text)
		return TRUE;
	if (!gid || g_bytes_get_size(gid) > GID_MAX)
		return refuse(load, key, "%s is not 1 to %d bytes in hex", text, GID_MAX);
	ifpp_tlv_put_span(owner, tag, ifpp_span_bytes(gid));
	return TRUE;
}

/* MCC and MNC as TS 24.008 10.5.1.13 has them. */
static gboolean take_owner(const Load *load, Metadata *metadata)
{
	g_autofree char *text = value_of(load, "mcc-mnc");
	g_autoptr(GByteArray) owner = g_byte_array_new();
	guint8 id[3];
	gsize n;

	if (!text) {
		for (const char *const *key = (const char *const[]){ "gid1", "gid2", NULL }; *key; key++)
			if (g_key_file_has_key(load->keys, GROUP, *key, NULL))
				return refuse(load, *key, "goes with mcc-mnc, which is not there");
		return TRUE;
	}
	n = strlen(text);
	if ((n != 5 && n != 6) || strspn(text, "0123456789") != n)
		return refuse(load, "mcc-mnc", "%s is not 5 or 6 digits, such as 26201", text);
	id[0] = (text[1] - '0') << 4 | (text[0] - '0');
	id[1] = (n == 6 ? text[5] - '0' : 0xF) << 4 | (text[2] - '0');
	id[2] = (text[4] - '0') << 4 | (text[3] - '0');
	ifpp_tlv_put(owner, 0x80, id, sizeof(id));
	if (!take_gid(load, "gid1", 0x81, owner) || !take_gid(load, "gid2", 0x82, owner))
		return FALSE;
	ifpp_tlv_put(metadata->rest, 0xB7, owner->data, owner->len);
	metadata->owned = TRUE;
	return TRUE;
}

static gboolean take_rules(const Load *load, Metadata *metadata)
{
	static const struct {
		const char *name;
		guint8 bit;
	} rules[] = { { "update-control", 0x80 }, { "ppr1", 0x40 }, { "ppr2", 0x20 } };
	g_auto(GStrv) words = g_key_file_get_string_list(load->keys, GROUP, "policy-rules", NULL, NULL);
	guint8 bits = 0;

	for (guint k = 0; words && words[k]; k++) {
		const char *word = g_strstrip(words[k]);
		guint i = 0;

		while (i < G_N_ELEMENTS(rules) && strcmp(word, rules[i].name))
			i++;
		if (i == G_N_ELEMENTS(rules))
			return refuse(load, "policy-rules", "%s is not known: ppr1 (cannot be disabled), ppr2 (cannot be deleted) "
				      "and update-control are", word);
		bits |= rules[i].bit;
	}
	if (!words)
		return TRUE;
	if (!bits)
		return refuse(load, "policy-rules", "is empty");
	/* SGP.22 2.9.2.1: who may, the chip's rules authorisation table says by owner */
	if (!metadata->owned && (bits & 0x60))
		return refuse(load, "policy-rules", "without a profile owner no chip takes them: give mcc-mnc");
	ifpp_tlv_put(metadata->rest, 0x99, (guint8[]){ __builtin_ctz(bits), bits }, 2);
	return TRUE;
}

/* "1.3.6.1.4.1.99999" as the value of an OBJECT IDENTIFIER. */
static gboolean put_oid(GByteArray *out, const char *text)
{
	g_auto(GStrv) arcs = g_strsplit(text, ".", -1);
	guint64 first, second, arc;
	guint n = g_strv_length(arcs);

	if (n < 3 || !g_ascii_string_to_unsigned(arcs[0], 10, 0, 2, &first, NULL) ||
	    !g_ascii_string_to_unsigned(arcs[1], 10, 0, first < 2 ? 39 : 47, &second, NULL))
		return FALSE;
	for (guint i = 1; i < n; i++) {
		guint8 bytes[5];
		guint at = sizeof(bytes);

		if (!g_ascii_string_to_unsigned(arcs[i], 10, 0, G_MAXUINT32, &arc, NULL))
			return FALSE;
		arc = i == 1 ? first * 40 + second : arc;
		bytes[--at] = arc & 0x7F;
		while (arc >>= 7)
			bytes[--at] = (arc & 0x7F) | 0x80;
		g_byte_array_append(out, bytes + at, sizeof(bytes) - at);
	}
	return TRUE;
}

/* OID:TLV of one who has defined such data; what it means is not ours to know. */
static gboolean put_vendor(const Load *load, const char *word, GByteArray *list)
{
	g_auto(GStrv) parts = g_strsplit(word, ":", 2);
	g_autoptr(GBytes) data = parts[0] && parts[1] ? ifpp_unhex(parts[1]) : NULL;
	g_autoptr(GByteArray) oid = g_byte_array_new(), entry = g_byte_array_new();
	IfppSpan in = data ? ifpp_span_bytes(data) : (IfppSpan){};
	IfppTlv tlv;

	if (!parts[0] || !put_oid(oid, parts[0]))
		return refuse(load, "vendor-data", "%s does not begin with an object identifier, such as 1.3.6.1.4.1.99999:0401AA", word);
	if (!ifpp_tlv_next(&in, &tlv, NULL) || in.len)
		return refuse(load, "vendor-data", "%s: what is after the colon is not one DER TLV in hex", word);
	ifpp_tlv_put(entry, 0x80, oid->data, oid->len);
	ifpp_tlv_put_span(entry, 0xA1, ifpp_span_bytes(data));
	ifpp_tlv_put(list, 0x30, entry->data, entry->len);
	return list->len <= VENDOR_MAX || refuse(load, "vendor-data", "has more than %d bytes in all", VENDOR_MAX);
}

/* serviceSpecificDataStoredInEuicc, a VendorSpecificExtension. */
static gboolean take_vendor(const Load *load, Metadata *metadata)
{
	g_auto(GStrv) words = g_key_file_get_string_list(load->keys, GROUP, "vendor-data", NULL, NULL);
	g_autoptr(GByteArray) list = g_byte_array_new();

	for (guint k = 0; words && words[k]; k++)
		if (!put_vendor(load, g_strstrip(words[k]), list))
			return FALSE;
	if (!words)
		return TRUE;
	if (!list->len)
		return refuse(load, "vendor-data", "is empty");
	ifpp_tlv_put(metadata->rest, 0xBF22, list->data, list->len);
	return TRUE;
}

static gboolean take_fallback(const Load *load, Metadata *metadata)
{
	g_autofree char *text = value_of(load, "fallback");

	if (!text)
		return TRUE;
	if (strcmp(text, "allowed") && strcmp(text, "forbidden"))
		return refuse(load, "fallback", "%s is not known: allowed and forbidden are", text);
	metadata->fallback = TRUE;
	ifpp_tlv_put(metadata->rest, 0x9F67, (guint8[]){ strcmp(text, "allowed") ? 0x00 : 0xFF }, 1);
	return TRUE;
}

/* ------------------------------------------------------------ the file */

static gboolean check_names(const Load *load)
{
	static const char *const known[] = { "mcc-mnc", "gid1", "gid2", "policy-rules", "icon", "notify-install", "notify-enable",
					     "notify-disable", "notify-delete", "vendor-data", "fallback", NULL };
	g_auto(GStrv) groups = g_key_file_get_groups(load->keys, NULL);
	g_auto(GStrv) names = g_key_file_get_keys(load->keys, GROUP, NULL, NULL);

	for (guint i = 0; groups[i]; i++)
		if (strcmp(groups[i], GROUP))
			return refuse(load, groups[i], "no group but [" GROUP "] is known");
	if (!names || !names[0])
		return refuse(load, GROUP, "there is nothing in this group");
	for (guint i = 0; names[i]; i++)
		if (!g_strv_contains(known, names[i]))
			return refuse(load, names[i], "is not known (ifpp-smdpf(1) lists what is)");
	return TRUE;
}

Metadata *metadata_load(const char *path, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, FILE_MAX, error);
	g_autoptr(GKeyFile) keys = g_key_file_new();
	Load load = { path, keys, error };
	Metadata *metadata;

	if (!file)
		return NULL;
	if (!g_key_file_load_from_bytes(keys, file, G_KEY_FILE_NONE, NULL)) {
		refuse(&load, GROUP, "not a key file");
		return NULL;
	}
	if (!check_names(&load))
		return NULL;
	metadata = g_new0(Metadata, 1);
	metadata->icon = g_byte_array_new();
	metadata->rest = g_byte_array_new();
	if (take_icon(&load, metadata) && take_addresses(&load, metadata) && take_owner(&load, metadata) &&
	    take_rules(&load, metadata) && take_vendor(&load, metadata) && take_fallback(&load, metadata))
		return metadata;
	metadata_free(metadata);
	return NULL;
}

void metadata_free(Metadata *metadata)
{
	if (!metadata)
		return;
	g_byte_array_unref(metadata->icon);
	g_byte_array_unref(metadata->rest);
	g_free(metadata);
}

void metadata_add(const Metadata *metadata, GByteArray *bf25)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	IfppSpan in = { bf25->data, bf25->len };
	IfppTlv whole, tlv;

	if (!ifpp_tlv_take(&in, 0xBF25, &whole))
		return;
	/* in the order of the type: what has its place before the class, and what has it after */
	while (whole.value.len && ifpp_tlv_next(&whole.value, &tlv, NULL)) {
		if (tlv.tag == 0x95)
			g_byte_array_append(body, metadata->icon->data, metadata->icon->len);
		g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
	}
	g_byte_array_append(body, metadata->rest->data, metadata->rest->len);
	g_byte_array_set_size(bf25, 0);
	ifpp_tlv_put(bf25, 0xBF25, body->data, body->len);
}

gboolean metadata_check_owner(const Metadata *metadata, IfppSpan upp, GError **error)
{
	if (!metadata || ifpp_upp_owner_matches((IfppSpan){ metadata->rest->data, metadata->rest->len }, upp))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP,
		    "profile: its IMSI or group identifiers are not those of the owner in --metadata: a chip would refuse it");
	return FALSE;
}

gboolean metadata_check_chip(const Metadata *metadata, gboolean iot, GError **error)
{
	if (!metadata || !metadata->fallback || iot)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY,
		    "not eligible: --metadata says fallback, which is of IoT eUICCs (SGP.32), and this chip does not say that it is one");
	return FALSE;
}
