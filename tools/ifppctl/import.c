// SPDX-License-Identifier: GPL-2.0-or-later
/* import: a delivery of the Key Maker becomes a directory of sealed packages. No secret is needed. */
#include "ctl.h"
#include "explain.h"
#include "file.h"
#include "outbox.h"

#include <bundle.h>
#include <eid.h>
#include <error.h>
#include <errno.h>
#include <fcntl.h>
#include <file.h>
#include <glib/gstdio.h>
#include <package.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DEFAULT_DIR CTL_STATE_DIR "/packages"

typedef struct {
	Ctl *ctl;
	IfppBundle *bundle;
	const GArray *items;
	const char *dir;
	gboolean check_only;
	guint written, there;
} Import;

static const IfppBundleItem *item_at(const Import *import, guint i)
{
	return &g_array_index(import->items, IfppBundleItem, i);
}

/* Everything is proven before the first file is written. */
static gboolean verify_all(Import *import, GError **error)
{
	for (guint i = 0; i < import->items->len; i++) {
		g_autoptr(GBytes) package = ifpp_bundle_read(import->bundle, i, error);

		if (!package)
			return FALSE;
		ctl_progress(&import->ctl->out, "verifying %u of %u packages", i + 1, import->items->len);
	}
	ctl_progress_end(&import->ctl->out);
	return TRUE;
}

static void show(Import *import, guint i, const char *state)
{
	const IfppBundleItem *item = item_at(import, i);
	CtlOutput *out = &import->ctl->out;
	char eid[33], key[17];

	if (out->json) {
		g_autofree char *name = ifpp_package_file_name(item->eid, item->key_id);
		JsonBuilder *b = ifpp_json_new("delivered");

		ifpp_json_eid(b, item->eid);
		ifpp_json_string(b, "file", name);
		ifpp_json_hex(b, "key_id", IFPP_SPAN(item->key_id));
		ifpp_json_string(b, "iccid", item->iccid);
		ifpp_json_string(b, "profile", item->profile);
		ifpp_json_int(b, "bytes", item->len);
		ifpp_json_hex(b, "sha256", IFPP_SPAN(item->sha256));
		ifpp_json_string(b, "outcome", state);
		ifpp_json_print(b);
		return;
	}
	ctl_show_eid(out, item->eid, eid);
	ctl_short_key(item->key_id, key);
	ctl_say(out, "%-8s %s  key %s  ICCID %s  %6u bytes  %s", state, eid, key, item->iccid, item->len,
		item->profile);
}

static gboolean write_one(Import *import, guint i, const char **state, GError **error)
{
	const IfppBundleItem *item = item_at(import, i);
	g_autofree char *name = ifpp_package_file_name(item->eid, item->key_id);
	g_autofree char *path = g_build_filename(import->dir, name, NULL);
	g_autoptr(GBytes) package = ifpp_bundle_read(import->bundle, i, error);
	g_autoptr(GBytes) have = NULL;

	if (!package)
		return FALSE;
	have = ifpp_file_read(path, IFPP_PACKAGE_MAX, NULL);
	if (have && g_bytes_equal(have, package)) {
		*state = "there";
		import->there++;
		return TRUE;
	}
	if (!ifpp_file_write(path, g_bytes_get_data(package, NULL), g_bytes_get_size(package), 0644, error))
		return FALSE;
	*state = "written";
	import->written++;
	return TRUE;
}

/* A temporary file of ifpp_file_write() for a package: .EID-KEYID.ifpp.XXXXXX */
static gboolean is_leftover(const char *name)
{
	static const char form[] = ".EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE-KKKKKKKKKKKKKKKK.ifpp.XXXXXX";

	if (strlen(name) != strlen(form))
		return FALSE;
	for (guint i = 0; form[i]; i++)
		if (form[i] == 'E' ? !g_ascii_isdigit(name[i]) :
		    form[i] == 'K' ? !g_ascii_isxdigit(name[i]) :
		    form[i] == 'X' ? !g_ascii_isalnum(name[i]) :
				     form[i] != name[i])
			return FALSE;
	return TRUE;
}

/* One import at a time in a directory, so that what an interrupted one left half-written can go. */
static int lock_dir(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (fd < 0) {
		ifpp_file_error(path, NULL, error);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY,
			    "%s: another import is writing there. Run this again when it is done", path);
		close(fd);
		return -1;
	}
	dir = g_dir_open(path, 0, NULL);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		if (is_leftover(name))
			g_unlink(file);
	}
	return fd;
}

static gboolean write_all(Import *import, GError **error)
{
	for (guint i = 0; i < import->items->len; i++) {
		const char *state;

		if (!write_one(import, i, &state, error))
			return FALSE;
		show(import, i, state);
		ctl_progress(&import->ctl->out, "%u of %u packages", i + 1, import->items->len);
	}
	ctl_progress_end(&import->ctl->out);
	return TRUE;
}

static gboolean import_all(Import *import, GError **error)
{
	gboolean ok;
	int lock;

	if (!verify_all(import, error))
		return FALSE;
	if (import->check_only) {
		for (guint i = 0; i < import->items->len; i++)
			show(import, i, "sound");
		return TRUE;
	}
	if (!ifpp_make_dir(import->dir, 0755, error) || (lock = lock_dir(import->dir, error)) < 0)
		return FALSE;
	ok = write_all(import, error);
	close(lock);
	return ok;
}

static void summary(const Import *import, const char *file, const char *order)
{
	CtlOutput *out = &import->ctl->out;

	if (out->json) {
		JsonBuilder *b = ifpp_json_new("import");

		ifpp_json_string(b, "file", file);
		ifpp_json_string(b, "order", order);
		ifpp_json_string(b, "directory", import->check_only ? NULL : import->dir);
		ifpp_json_int(b, "packages", import->items->len);
		ifpp_json_int(b, "written", import->written);
		ifpp_json_int(b, "there", import->there);
		ifpp_json_print(b);
	} else if (import->check_only) {
		ctl_say(out, "%s: signed by a trusted Key Maker, %u packages%s%s, all whole.", file, import->items->len,
			order ? " of order " : "", order ? order : "");
	} else {
		ctl_say(out, "%s: %u packages%s%s in %s, %u written now, %u there already.", file, import->items->len,
			order ? " of order " : "", order ? order : "", import->dir, import->written, import->there);
	}
}

int ctl_cmd_import(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *to = NULL, *trust_dir = NULL;
	gboolean check_only = FALSE;
	const GOptionEntry entries[] = {
		{ "to", 0, 0, G_OPTION_ARG_FILENAME, &to, "Where the packages go; default: " DEFAULT_DIR, "DIR" },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust_dir, "CI roots and CRLs; default: " CTL_TRUST, "DIR" },
		{ "check", 0, 0, G_OPTION_ARG_NONE, &check_only, "Verify and list it, write nothing", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(IfppTrust) trust = NULL;
	g_autoptr(IfppBundle) bundle = NULL;
	Import import = { .ctl = ctl };

	if (!ctl_parse(ctl, &argc, &argv, entries, "FILE",
		       "Verify a delivery of the Key Maker and put its packages into a directory. Run it again to "
		       "finish what was interrupted.", error))
		return 0;
	if (argc != 2) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "import: name one delivery (.ifppd)");
		return 0;
	}
	trust = ifpp_trust_new_from_dir(trust_dir ?: CTL_TRUST, error);
	bundle = trust ? ifpp_bundle_open(argv[1], trust, error) : NULL;
	if (!bundle)
		return 0;
	import.bundle = bundle;
	import.items = ifpp_bundle_inventory(bundle)->items;
	import.dir = to ?: DEFAULT_DIR;
	import.check_only = check_only;
	if (import_all(&import, error))
		summary(&import, argv[1], ifpp_bundle_inventory(bundle)->order);
	return IFPP_EXIT_OK;
}
