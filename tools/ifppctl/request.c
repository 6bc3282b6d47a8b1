// SPDX-License-Identifier: GPL-2.0-or-later
/* request: what chips say about themselves, in one file for the Key Maker. */
#include "ctl.h"
#include "outbox.h"

#include <bundle.h>
#include <eid.h>
#include <error.h>
#include <file.h>
#include <request.h>
#include <stdio.h>
#include <string.h>

/* A chip whose data goes into the request. */
typedef struct {
	IfppRequestItem item;
	char *path;
} Chip;

static void chip_free(gpointer p)
{
	Chip *chip = p;

	g_free(chip->path);
	g_free(chip);
}

static int by_eid(gconstpointer a, gconstpointer b)
{
	const Chip *const *x = a, *const *y = b;

	return memcmp((*x)->item.eid, (*y)->item.eid, 16);
}

static gboolean add_file(GPtrArray *chips, const char *path, GError **error)
{
	g_autoptr(GBytes) data = ifpp_file_read(path, IFPP_REQUEST_DATA_MAX, error);
	Chip *chip;

	if (!data)
		return FALSE;
	chip = g_new0(Chip, 1);
	chip->path = g_strdup(path);
	g_ptr_array_add(chips, chip);
	if (ifpp_request_item(data, &chip->item, error))
		return TRUE;
	g_prefix_error(error, "%s: ", path);
	return FALSE;
}

/* A file, or a directory of *.euicc as ifpp-eum writes them. */
static gboolean add_path(GPtrArray *chips, const char *path, GError **error)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	guint before = chips->len;

	if (!g_file_test(path, G_FILE_TEST_IS_DIR))
		return add_file(chips, path, error);
	dir = ctl_dir_open(path, error);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		if (g_str_has_suffix(name, ".euicc") && !add_file(chips, file, error))
			return FALSE;
	}
	if (dir && chips->len == before)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: no *.euicc in it", path);
	return dir && chips->len > before;
}

/* Every chip that the daemon has met. */
static gboolean add_outbox(GPtrArray *chips, const char *outbox, GError **error)
{
	g_autoptr(GPtrArray) units = ctl_outbox_units(outbox, error);

	for (guint i = 0; units && i < units->len; i++) {
		g_autofree char *path = g_build_filename(outbox, units->pdata[i], "euicc.data", NULL);

		if (g_file_test(path, G_FILE_TEST_EXISTS) && !add_file(chips, path, error))
			return FALSE;
	}
	if (units && !chips->len)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: no chip has been seen here yet", outbox);
	return units && chips->len;
}

/* Ascending, each once; one chip with two different data is somebody's mistake. */
static gboolean sort_chips(GPtrArray *chips, GError **error)
{
	g_ptr_array_sort(chips, by_eid);
	for (guint i = 1; i < chips->len;) {
		const Chip *a = chips->pdata[i - 1], *b = chips->pdata[i];

		if (memcmp(a->item.eid, b->item.eid, 16)) {
			i++;
		} else if (!memcmp(a->item.sha256, b->item.sha256, 32)) {
			g_ptr_array_remove_index(chips, i);
		} else {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s and %s: different data of one chip", a->path,
				    b->path);
			return FALSE;
		}
	}
	if (chips->len <= IFPP_REQUEST_CHIPS_MAX)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%u chips are more than a request holds (%d)", chips->len,
		    IFPP_REQUEST_CHIPS_MAX);
	return FALSE;
}

static GBytes *chip_data(guint i, gpointer user, GError **error)
{
	GPtrArray *chips = user;
	const Chip *chip = chips->pdata[i];
	g_autoptr(GBytes) data = ifpp_file_read(chip->path, IFPP_REQUEST_DATA_MAX, error);
	IfppRequestItem now = {};

	if (!data || !ifpp_request_item(data, &now, error))
		return NULL;
	if (memcmp(now.sha256, chip->item.sha256, 32)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: has changed meanwhile; run this again", chip->path);
		return NULL;
	}
	return g_steal_pointer(&data);
}

static GBytes *read_data(guint i, gpointer user, GError **error)
{
	return ifpp_request_read(user, i, error);
}

static void told(Ctl *ctl, const char *file, IfppRequest *request, const char *outcome)
{
	const char *order = ifpp_request_order(request);

	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("request");

		ifpp_json_string(b, "file", file);
		ifpp_json_string(b, "order", order);
		ifpp_json_int(b, "chips", ifpp_request_items(request)->len);
		ifpp_json_bool(b, "signed", ifpp_request_signature(request) != NULL);
		ifpp_json_string(b, "outcome", outcome);
		ifpp_json_print(b);
		return;
	}
	ctl_say(&ctl->out, "%s: %u chips%s%s, %s, %s.", file, ifpp_request_items(request)->len, order ? ", order " : "",
		order ? order : "", ifpp_request_signature(request) ? "signed" : "not signed", outcome);
}

/* The same request again leaves the file as it is, signature and all. */
static gboolean make(Ctl *ctl, GPtrArray *chips, const char *order, const char *out, GError **error)
{
	g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(IfppRequestItem));
	g_autoptr(IfppRequest) there = ifpp_request_open(out, NULL), written = NULL;
	g_autoptr(GBytes) text = NULL;
	gboolean same;

	for (guint i = 0; i < chips->len; i++)
		g_array_append_val(items, ((Chip *)chips->pdata[i])->item);
	text = ifpp_request_format(order, items);
	same = there && g_bytes_equal(ifpp_request_text(there), text);
	for (guint i = 0; same && i < items->len; i++) {
		g_autoptr(GBytes) data = ifpp_request_read(there, i, NULL);

		same = data != NULL;
	}
	if (!same && !ifpp_request_write(out, text, NULL, items->len, chip_data, chips, error))
		return FALSE;
	written = ifpp_request_open(out, error);
	if (!written)
		return FALSE;
	told(ctl, out, written, same ? "there already" : "written");
	return TRUE;
}

static gboolean show(Ctl *ctl, const char *file, GError **error)
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, error);
	GArray *items;

	if (!request)
		return FALSE;
	items = ifpp_request_items(request);
	for (guint i = 0; i < items->len; i++) {
		const IfppRequestItem *item = &g_array_index(items, IfppRequestItem, i);
		g_autoptr(GBytes) data = ifpp_request_read(request, i, error);
		char eid[33];

		if (!data)
			return FALSE;
		if (ctl->out.json) {
			JsonBuilder *b = ifpp_json_new("requested");

			ifpp_json_eid(b, item->eid);
			ifpp_json_int(b, "keys", item->keys);
			ifpp_json_int(b, "bytes", item->len);
			ifpp_json_hex(b, "sha256", IFPP_SPAN(item->sha256));
			ifpp_json_print(b);
			continue;
		}
		ctl_show_eid(&ctl->out, item->eid, eid);
		ctl_say(&ctl->out, "%s  %3u keys  %6u bytes", eid, item->keys, item->len);
	}
	told(ctl, file, request, "whole");
	return TRUE;
}

/* What is signed, to standard output, byte for byte. */
static gboolean text(const char *file, GError **error)
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, error);
	IfppSpan span;

	if (!request)
		return FALSE;
	span = ifpp_span_bytes(ifpp_request_text(request));
	if (fwrite(span.data, span.len, 1, stdout) == 1 && fflush(stdout) == 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "cannot write the inventory");
	return FALSE;
}

/* Only whoever is asked knows whether it is the right one. */
static gboolean attach(Ctl *ctl, const char *file, const char *signature, GError **error)
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, error), signed_one = NULL;
	g_autoptr(GBytes) cms = request ? ifpp_file_read(signature, IFPP_REQUEST_SIGNATURE_MAX, error) : NULL;
	const guint8 *bytes;
	gsize len;

	if (!cms)
		return FALSE;
	bytes = g_bytes_get_data(cms, &len);
	if (!len || bytes[0] != 0x30) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CMS, "%s: not a CMS signature in DER", signature);
		return FALSE;
	}
	if (!ifpp_request_write(file, ifpp_request_text(request), cms, ifpp_request_items(request)->len, read_data, request,
				error))
		return FALSE;
	signed_one = ifpp_request_open(file, error);
	if (!signed_one)
		return FALSE;
	told(ctl, file, signed_one, "written");
	return TRUE;
}

int ctl_cmd_request(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *order = NULL, *out = NULL, *outbox = NULL, *show_file = NULL, *text_file = NULL, *signature = NULL;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &out, "The request to write", "FILE" },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order, "What the order is called", "NAME" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "The daemon's outbox; default: " CTL_OUTBOX, "DIR" },
		{ "show", 0, 0, G_OPTION_ARG_FILENAME, &show_file, "List and check a request", "FILE" },
		{ "text", 0, 0, G_OPTION_ARG_FILENAME, &text_file, "Print what of a request is to be signed", "FILE" },
		{ "signature", 0, 0, G_OPTION_ARG_FILENAME, &signature, "Put this signature into the request -o", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GPtrArray) chips = g_ptr_array_new_with_free_func(chip_free);

	if (!ctl_parse(ctl, &argc, &argv, entries, "[DATA...]",
		       "Put the public data of chips into one file for the Key Maker: of all that the daemon has met, or "
		       "from files and directories of *.euicc.", error))
		return 0;
	if (!!show_file + !!text_file + !!out != 1 || (argc > 1 && (!out || signature)) || (signature && order)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "request: name one file with --output, --show or --text; data goes with --output only");
		return 0;
	}
	if (order && !ifpp_bundle_text_valid(order)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "--order: not 1 to 64 bytes of printable UTF-8");
		return 0;
	}
	if (show_file) {
		show(ctl, show_file, error);
	} else if (text_file) {
		text(text_file, error);
	} else if (signature) {
		attach(ctl, out, signature, error);
	} else {
		gboolean ok = TRUE;

		for (int i = 1; ok && i < argc; i++)
			ok = add_path(chips, argv[i], error);
		if (argc == 1)
			ok = add_outbox(chips, outbox ?: CTL_OUTBOX, error);
		if (ok && sort_chips(chips, error))
			make(ctl, chips, order, out, error);
	}
	return IFPP_EXIT_OK;
}
