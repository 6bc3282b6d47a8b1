// SPDX-License-Identifier: LGPL-2.1-or-later
#include "deletion.h"

#include <string.h>

#include "cert.h"
#include "eid.h"
#include "error.h"
#include "file.h"

#define GROUP "Deletion"
#define VERSION 1
#define RECORD_MAX (32 * 1024)
#define TAG_WHOLE 0x30
#define TAG_COMPACT 0xA1
#define EVENT_DELETE 0x10	/* NotificationEvent, first byte of the BIT STRING */

void ifpp_deletion_free(IfppDeletion *deletion)
{
	g_clear_pointer(&deletion->bytes, g_bytes_unref);
	ifpp_unit_clear(&deletion->unit);
	g_free(deletion->time);
	g_free(deletion);
}

/* ------------------------------------------------------------ the record */

static gboolean bad(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "deletion record: %s", what);
	return FALSE;
}

/* What is signed, and the signature. */
static gboolean take_apart(const IfppDeletion *deletion, IfppTlv *metadata, IfppTlv *signature)
{
	IfppSpan in = ifpp_span_bytes(deletion->bytes);
	IfppTlv whole;

	return ifpp_tlv_next(&in, &whole, NULL) && !in.len && (whole.tag == TAG_WHOLE || whole.tag == TAG_COMPACT) &&
	       ifpp_tlv_take(&whole.value, 0xBF2F, metadata) && ifpp_tlv_take(&whole.value, 0x5F37, signature) &&
	       signature->value.len == 64;
}

IfppDeletion *ifpp_deletion_parse(GBytes *bytes, GError **error)
{
	g_autoptr(IfppDeletion) deletion = g_new0(IfppDeletion, 1);
	IfppTlv metadata, signature, seq, event, address, iccid;
	IfppSpan in;

	deletion->bytes = g_bytes_ref(bytes);
	if (!take_apart(deletion, &metadata, &signature)) {
		bad(error, "is not a signed notification");
		return NULL;
	}
	in = metadata.value;
	if (!ifpp_tlv_take(&in, 0x80, &seq) || !ifpp_tlv_uint(&seq, &deletion->seq, NULL) ||
	    !ifpp_tlv_take(&in, 0x81, &event) || !ifpp_tlv_take(&in, 0x0C, &address) || !ifpp_tlv_take(&in, 0x5A, &iccid) ||
	    iccid.value.len != sizeof(deletion->iccid) || in.len) {
		bad(error, "has not the members of one");
		return NULL;
	}
	if (event.value.len != 2 || event.value.data[1] != EVENT_DELETE || address.value.len) {
		bad(error, "tells of something else, or is for the field");
		return NULL;
	}
	memcpy(deletion->iccid, iccid.value.data, sizeof(deletion->iccid));
	return g_steal_pointer(&deletion);
}

gboolean ifpp_deletion_verify(const IfppDeletion *deletion, IfppSpan cert_euicc, GError **error)
{
	IfppTlv metadata, signature;
	guint8 point[65];

	if (!ifpp_cert_point(cert_euicc, point, error))
		return FALSE;
	if (take_apart(deletion, &metadata, &signature) && ifpp_ecdsa_verify(point, &metadata.whole, 1, signature.value))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR_SIGNATURE, "deletion record: not signed by this chip");
	return FALSE;
}

const IfppDeletion *ifpp_deletions_find(const GPtrArray *deletions, IfppSpan iccid, guint64 seq)
{
	for (guint i = 0; deletions && i < deletions->len; i++) {
		const IfppDeletion *deletion = deletions->pdata[i];

		if (deletion->seq > seq && ifpp_span_equal(iccid, IFPP_SPAN(deletion->iccid)))
			return deletion;
	}
	return NULL;
}

/* ------------------------------------------------------------ its file */

char *ifpp_deletion_name(const IfppDeletion *deletion)
{
	return g_strdup_printf("%" G_GUINT64_FORMAT IFPP_DELETION_SUFFIX, deletion->seq);
}

gboolean ifpp_deletion_write(const char *dir, const guint8 eid[16], const IfppDeletion *deletion, GError **error)
{
	g_autofree char *name = ifpp_deletion_name(deletion), *path = g_build_filename(dir, name, NULL);
	g_autofree char *base64 = g_base64_encode(g_bytes_get_data(deletion->bytes, NULL), g_bytes_get_size(deletion->bytes));
	g_autoptr(GString) text = g_string_new("[" GROUP "]\n");
	char digits[33];

	ifpp_eid_format(eid, digits);
	g_string_append_printf(text, "Version=%d\nEID=%s\nRecord=%s\nTime=%s\n", VERSION, digits, base64, deletion->time);
	if (!ifpp_unit_is_empty(&deletion->unit)) {
		g_string_append(text, "\n[Unit]\n");
		ifpp_unit_write(&deletion->unit, text);
	}
	return ifpp_file_write(path, text->str, text->len, 0640, error);
}

static IfppDeletion *read_file(GBytes *text, const guint8 eid[16], const char *name, GError **error)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *unit = NULL, *base64 = NULL, *time = NULL, *own = NULL;
	g_autoptr(IfppDeletion) deletion = NULL;
	g_autoptr(GBytes) bytes = NULL;
	char digits[33];

	if (!g_key_file_load_from_bytes(kf, text, G_KEY_FILE_NONE, error))
		return NULL;
	ifpp_eid_format(eid, digits);
	unit = g_key_file_get_string(kf, GROUP, "EID", NULL);
	base64 = g_key_file_get_string(kf, GROUP, "Record", NULL);
	time = g_key_file_get_string(kf, GROUP, "Time", NULL);
	if (g_key_file_get_integer(kf, GROUP, "Version", NULL) != VERSION || g_strcmp0(unit, digits) || !base64 || !*base64 ||
	    !time) {
		bad(error, "not one of this chip in a version known here");
		return NULL;
	}
	bytes = ifpp_unbase64(base64);
	if (!bytes) {
		bad(error, "is not whole in base64");
		return NULL;
	}
	deletion = ifpp_deletion_parse(bytes, error);
	own = deletion ? ifpp_deletion_name(deletion) : NULL;
	if (own && !g_str_equal(own, name)) {
		bad(error, "has another number than its name says");
		return NULL;
	}
	if (!deletion)
		return NULL;
	deletion->time = g_steal_pointer(&time);
	ifpp_unit_read(&deletion->unit, kf, "Unit");
	return g_steal_pointer(&deletion);
}

static int by_seq(gconstpointer a, gconstpointer b)
{
	const IfppDeletion *x = *(IfppDeletion *const *)a, *y = *(IfppDeletion *const *)b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

GPtrArray *ifpp_deletions_read(const char *dir, const guint8 eid[16], GPtrArray *damaged)
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_deletion_free);
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		g_autoptr(GError) error = NULL;
		g_autoptr(GBytes) text = NULL;
		IfppDeletion *deletion;

		if (*name == '.' || !g_str_has_suffix(name, IFPP_DELETION_SUFFIX))
			continue;
		text = ifpp_file_read(path, RECORD_MAX, &error);
		deletion = text ? read_file(text, eid, name, &error) : NULL;
		if (deletion)
			g_ptr_array_add(all, deletion);
		else if (damaged)
			g_ptr_array_add(damaged, text ? g_strdup_printf("%s: %s", path, error->message) : g_strdup(error->message));
	}
	g_ptr_array_sort(all, by_seq);
	return all;
}
