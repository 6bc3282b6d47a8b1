// SPDX-License-Identifier: GPL-2.0-or-later
/* request: what chips say about themselves, in one file for the Key Maker. */
#include "assign.h"
#include "ctl.h"
#include "outbox.h"
#include "sockets.h"

#include <bundle.h>
#include <eid.h>
#include <error.h>
#include <euicc.h>
#include <file.h>
#include <request-bundle.h>
#include <stdio.h>
#include <string.h>

/* A chip whose data goes into the request. */
typedef struct {
	IfppRequestItem item;
	char *path;
	IfppRequest *batch;	/* @path is an EUM's batch, and this chip the one at @index in it; not ours */
	guint index;
	GArray *keep;		/* of 32 bytes: the keys that go in; NULL: all */
} Chip;

static void chip_free(gpointer p)
{
	Chip *chip = p;

	if (chip->keep)
		g_array_unref(chip->keep);
	g_free(chip->path);
	g_free(chip);
}

/* What of this chip goes into the request. */
static GBytes *chip_bytes(const Chip *chip, GError **error)
{
	g_autoptr(GBytes) data = chip->batch ? ifpp_request_read(chip->batch, chip->index, error) :
					       ifpp_file_read(chip->path, IFPP_REQUEST_DATA_MAX, error);

	if (!data || !chip->keep)
		return g_steal_pointer(&data);
	return ifpp_euicc_data_keep(ifpp_span_bytes(data), (const guint8(*)[32])chip->keep->data, chip->keep->len, error);
}

typedef struct {
	GPtrArray *chips;	/* of Chip */
	GPtrArray *batches;	/* of IfppRequest, open as long as their chips are used */
	IfppTrust *trust;	/* for them, once there is one */
	const char *trust_dir;
} Sources;

static void sources_clear(Sources *sources)
{
	g_ptr_array_unref(sources->chips);
	g_ptr_array_unref(sources->batches);
	g_clear_pointer(&sources->trust, ifpp_trust_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sources, sources_clear)

static int by_eid(gconstpointer a, gconstpointer b)
{
	const Chip *const *x = a, *const *y = b;

	return memcmp((*x)->item.eid, (*y)->item.eid, 16);
}

static gboolean add_chip(Sources *sources, const char *path, IfppRequest *batch, guint index, GError **error)
{
	Chip *chip = g_new0(Chip, 1);
	g_autoptr(GBytes) data = NULL;

	chip->path = g_strdup(path);
	chip->batch = batch;
	chip->index = index;
	g_ptr_array_add(sources->chips, chip);
	data = chip_bytes(chip, error);
	if (!data)
		return FALSE;
	if (ifpp_request_item(data, &chip->item, error))
		return TRUE;
	g_prefix_error(error, "%s: ", path);
	return FALSE;
}

/* An EUM's batch is verified before anything of it is used. */
static gboolean add_batch(Sources *sources, const char *path, GError **error)
{
	IfppRequest *batch = ifpp_request_open(path, error);

	if (!batch)
		return FALSE;
	g_ptr_array_add(sources->batches, batch);
	if (!sources->trust)
		sources->trust = ifpp_trust_new_from_dir(sources->trust_dir, error);
	if (!sources->trust || !ifpp_batch_verify(batch, sources->trust, error))
		return FALSE;
	for (guint i = 0; i < ifpp_request_items(batch)->len; i++)
		if (!add_chip(sources, path, batch, i, error))
			return FALSE;
	return TRUE;
}

static gboolean add_file(Sources *sources, const char *path, GError **error)
{
	if (g_str_has_suffix(path, ".ifppe"))
		return add_batch(sources, path, error);
	return add_chip(sources, path, NULL, 0, error);
}

/* A file, an EUM's batch, or a directory of *.euicc as ifpp-eum writes them. */
static gboolean add_path(Sources *sources, const char *path, GError **error)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	guint before = sources->chips->len;

	if (!g_file_test(path, G_FILE_TEST_IS_DIR))
		return add_file(sources, path, error);
	dir = ctl_dir_open(path, error);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		if (g_str_has_suffix(name, ".euicc") && !add_file(sources, file, error))
			return FALSE;
	}
	if (dir && sources->chips->len == before)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: no *.euicc in it", path);
	return dir && sources->chips->len > before;
}

/* Every chip that the daemon has met. */
static gboolean add_outbox(Sources *sources, const char *outbox, GError **error)
{
	g_autoptr(GPtrArray) units = ctl_outbox_units(outbox, error);

	for (guint i = 0; units && i < units->len; i++) {
		g_autofree char *path = g_build_filename(outbox, units->pdata[i], "euicc.data", NULL);

		if (g_file_test(path, G_FILE_TEST_EXISTS) && !add_file(sources, path, error))
			return FALSE;
	}
	if (units && !sources->chips->len)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: no chip has been seen here yet", outbox);
	return units && sources->chips->len;
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

/* Of each chip only the keys that are @head's Key Maker's, or that are nobody's if it names none. */
static gboolean assign(GPtrArray *chips, Assignments *assignments, const IfppRequestHead *head, GError **error)
{
	for (guint i = 0; i < chips->len;) {
		Chip *chip = chips->pdata[i];
		g_autoptr(GBytes) data = chip_bytes(chip, error), kept = NULL;
		g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, 32), keep = g_array_new(FALSE, FALSE, 32);
		g_autoptr(IfppFactoryInfo) info = NULL;
		IfppSpan ff21, bf22;
		guint8 eid[16];

		if (!data || !ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, error) ||
		    !(info = ifpp_factory_info_parse(ff21, error)))
			return FALSE;
		for (guint k = 0; k < info->keys->len; k++)
			g_array_append_val(ids, g_array_index(info->keys, IfppOtk, k).key_id);
		if (!head->key_maker) {
			for (guint k = 0; k < ids->len; k++)
				if (!assign_owner(assignments, (guint8 *)ids->data + 32 * k))
					g_array_append_vals(keep, ids->data + 32 * k, 1);
		} else if (!assign_take(assignments, eid, (const guint8(*)[32])ids->data, ids->len, head->key_maker,
					head->keys_each, keep, error)) {
			char digits[33];

			ifpp_eid_format(eid, digits);
			g_prefix_error(error, "chip %s: ", digits);
			return FALSE;
		}
		if (!keep->len) {
			g_ptr_array_remove_index(chips, i);
			continue;
		}
		i++;
		chip->keep = g_steal_pointer(&keep);
		kept = chip_bytes(chip, error);
		if (!kept || !ifpp_request_item(kept, &chip->item, error))
			return FALSE;
	}
	if (!chips->len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY, "every key of these chips is assigned to a Key Maker");
		return FALSE;
	}
	/* On disk before anybody is asked to seal for them. */
	return !head->key_maker || assign_commit(assignments, error);
}

static GBytes *chip_data(guint i, gpointer user, GError **error)
{
	GPtrArray *chips = user;
	const Chip *chip = chips->pdata[i];
	g_autoptr(GBytes) data = chip_bytes(chip, error);
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
	const IfppRequestHead *head = ifpp_request_head(request);
	const char *order = head->order;

	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new(head->batch ? "batch" : "request");

		ifpp_json_string(b, "file", file);
		ifpp_json_string(b, "order", order);
		ifpp_json_string(b, "key_maker", head->key_maker);
		ifpp_json_string(b, "profile", head->profile);
		ifpp_json_int(b, "chips", ifpp_request_items(request)->len);
		ifpp_json_bool(b, "signed", ifpp_request_signature(request) != NULL);
		ifpp_json_string(b, "outcome", outcome);
		ifpp_json_print(b);
		return;
	}
	ctl_say(&ctl->out, "%s: %s%u chips%s%s%s%s, %s, %s.", file, head->batch ? "a batch of an EUM, " : "",
		ifpp_request_items(request)->len, order ? ", order " : "", order ? order : "",
		head->key_maker ? ", for " : "", head->key_maker ? head->key_maker : "",
		ifpp_request_signature(request) ? "signed" : "not signed", outcome);
}

/* The same request again leaves the file as it is, signature and all. */
static gboolean make(Ctl *ctl, GPtrArray *chips, const IfppRequestHead *head, const char *out, GError **error)
{
	g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(IfppRequestItem));
	g_autoptr(IfppRequest) there = ifpp_request_open(out, NULL), written = NULL;
	g_autoptr(GBytes) text = NULL;
	gboolean same;

	for (guint i = 0; i < chips->len; i++)
		g_array_append_val(items, ((Chip *)chips->pdata[i])->item);
	text = ifpp_request_format(head, items);
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
		char eid[33], imei[16];

		if (!data)
			return FALSE;
		if (ctl->out.json) {
			JsonBuilder *b = ifpp_json_new("requested");

			ifpp_json_eid(b, item->eid);
			if (*item->imei)
				ifpp_json_string(b, "imei", item->imei);
			ifpp_json_int(b, "keys", item->keys);
			ifpp_json_int(b, "bytes", item->len);
			ifpp_json_hex(b, "sha256", IFPP_SPAN(item->sha256));
			ifpp_json_print(b);
			continue;
		}
		ctl_show_eid(&ctl->out, item->eid, eid);
		g_strlcpy(imei, item->imei, sizeof(imei));
		if (!ctl->out.terminal && !ctl->out.show_ids)
			ifpp_imei_mask(imei);
		ctl_say(&ctl->out, "%s  %3u keys  %6u bytes%s%s", eid, item->keys, item->len, *imei ? "  IMEI " : "", imei);
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

/* The devices of those chips that the outbox knows one of. */
static void tell_devices(GPtrArray *chips, const char *outbox)
{
	for (guint i = 0; i < chips->len; i++) {
		Chip *chip = chips->pdata[i];
		g_auto(IfppUnit) unit = { 0 };

		ctl_unit_read(outbox, chip->item.eid, &unit);
		if (!unit.field[IFPP_UNIT_IMEI] || !ifpp_imei_read(unit.field[IFPP_UNIT_IMEI], chip->item.imei))
			*chip->item.imei = '\0';
	}
}

static gboolean make_from(Ctl *ctl, Sources *sources, char **paths, const char *outbox, gboolean imei, const IfppRequestHead *head,
			  const char *assignments_file, const char *out, GError **error)
{
	g_autoptr(Assignments) assignments = NULL;
	gboolean ok = TRUE;

	for (guint i = 0; ok && paths[i]; i++)
		ok = add_path(sources, paths[i], error);
	if (!paths[0])
		ok = add_outbox(sources, outbox, error);
	if (!ok || !sort_chips(sources->chips, error))
		return FALSE;
	/* Where nothing was ever assigned, all keys are nobody's. */
	if (head->key_maker || g_file_test(assignments_file, G_FILE_TEST_EXISTS)) {
		assignments = assign_open(assignments_file, error);
		if (!assignments || !assign(sources->chips, assignments, head, error))
			return FALSE;
	}
	if (imei)
		tell_devices(sources->chips, outbox);
	return make(ctl, sources->chips, head, out, error);
}

static gboolean check_head(const IfppRequestHead *head, gint keys, GError **error)
{
	const char *const texts[] = { head->order, head->key_maker, head->profile };
	static const char *const names[] = { "--order", "--for", "--profile" };

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
		if (texts[i] && !ifpp_bundle_text_valid(texts[i])) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: not 1 to 64 bytes of printable UTF-8", names[i]);
			return FALSE;
		}
	if (!head->key_maker == !keys && keys >= 0 && keys <= 256)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "request: --for KEYMAKER and --keys N (1 to 256) go together");
	return FALSE;
}

int ctl_cmd_request(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *order = NULL, *out = NULL, *outbox = NULL, *show_file = NULL, *text_file = NULL, *signature = NULL;
	g_autofree char *key_maker = NULL, *profile = NULL, *assignments = NULL, *trust = NULL;
	gboolean imei = FALSE;
	gint keys = 0;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &out, "The request to write", "FILE" },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order, "What the order is called", "NAME" },
		{ "for", 0, 0, G_OPTION_ARG_STRING, &key_maker, "Assign keys to this Key Maker, and ask with them only", "KEYMAKER" },
		{ "keys", 0, 0, G_OPTION_ARG_INT, &keys, "How many of each chip", "N" },
		{ "profile", 0, 0, G_OPTION_ARG_STRING, &profile, "Which type of profile is asked for", "TYPE" },
		{ "assignments", 0, 0, G_OPTION_ARG_FILENAME, &assignments,
		  "Which key is whose; default: " CTL_ASSIGNMENTS, "FILE" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "The daemon's outbox; default: " CTL_OUTBOX, "DIR" },
		{ "imei", 0, 0, G_OPTION_ARG_NONE, &imei, "Tell the IMEI of each device that the outbox knows, for Key Makers that choose by it",
		  NULL },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust, "CI roots, for an EUM's batch; default: " CTL_TRUST, "DIR" },
		{ "show", 0, 0, G_OPTION_ARG_FILENAME, &show_file, "List and check a request or a batch", "FILE" },
		{ "text", 0, 0, G_OPTION_ARG_FILENAME, &text_file, "Print what of a request is to be signed", "FILE" },
		{ "signature", 0, 0, G_OPTION_ARG_FILENAME, &signature, "Put this signature into the request -o", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	g_auto(Sources) sources = { .chips = g_ptr_array_new_with_free_func(chip_free),
				    .batches = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_request_free) };
	IfppRequestHead head;

	if (!ctl_parse(ctl, &argc, &argv, entries, "[DATA...]",
		       "Put the public data of chips into one file for the Key Maker: of all that the daemon has met, or "
		       "from files and directories of *.euicc, or an EUM's batch *.ifppe.", error))
		return 0;
	head = (IfppRequestHead){ .order = order, .key_maker = key_maker, .profile = profile, .keys_each = keys };
	sources.trust_dir = trust ?: CTL_TRUST;
	if (!!show_file + !!text_file + !!out != 1 || (argc > 1 && (!out || signature)) ||
	    (signature && (order || key_maker || profile)) || (imei && (!out || signature))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "request: name one file with --output, --show or --text; data goes with --output only");
		return 0;
	}
	if (!check_head(&head, keys, error))
		return 0;
	if (show_file)
		show(ctl, show_file, error);
	else if (text_file)
		text(text_file, error);
	else if (signature)
		attach(ctl, out, signature, error);
	else
		make_from(ctl, &sources, argv + 1, outbox ?: CTL_OUTBOX, imei, &head, assignments ?: CTL_ASSIGNMENTS, out, error);
	return IFPP_EXIT_OK;
}
