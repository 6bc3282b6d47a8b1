// SPDX-License-Identifier: GPL-2.0-or-later
#include "packages.h"
#include "outbox.h"

#include <eid.h>
#include <error.h>
#include <fcntl.h>
#include <file.h>
#include <linux/ifpp.h>
#include <string.h>
#include <unistd.h>

GBytes *ctl_package_read(const char *path, IfppHeader *header, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, IFPP_PACKAGE_MAX, error);

	if (!file)
		return NULL;
	if (!g_bytes_get_size(file)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LENGTH, "%s: is empty", path);
		return NULL;
	}
	if (!ifpp_header_parse(ifpp_span_bytes(file), header, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	return g_steal_pointer(&file);
}

static void package_free(gpointer data)
{
	CtlPackage *package = data;

	g_free(package->path);
	g_clear_error(&package->error);
	g_free(package->gone);
	g_free(package);
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The EID in the first bytes of a file, so that thousands of other chips' packages are not read whole. */
static gboolean peek_eid(const char *path, guint8 eid[16])
{
	struct ifpp_pkg_hdr hdr;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	gboolean ok = fd >= 0 && read(fd, &hdr, sizeof(hdr)) == sizeof(hdr) && !memcmp(&hdr, "IFPP", 4);

	if (fd >= 0)
		close(fd);
	if (ok)
		memcpy(eid, hdr.eid, 16);
	return ok;
}

/* The EID that a name of the usual form begins with. */
static gboolean name_eid(const char *name, guint8 eid[16])
{
	g_autofree char *digits = NULL;

	if (strspn(name, "0123456789") != IFPP_EID_DIGITS || name[IFPP_EID_DIGITS] != '-')
		return FALSE;
	digits = g_strndup(name, IFPP_EID_DIGITS);
	return ifpp_eid_parse(digits, eid, NULL);
}

GPtrArray *ctl_packages_scan(const char *dir, const guint8 *eid, GError **error)
{
	g_autoptr(GPtrArray) packages = g_ptr_array_new_with_free_func(package_free);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) d = ctl_dir_open(dir, error);
	const char *name;

	if (!d)
		return NULL;
	while ((name = g_dir_read_name(d)))
		if (g_str_has_suffix(name, ".ifpp") && name[0] != '.')
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, by_name);

	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);
		g_autoptr(GBytes) file = NULL;
		guint8 named[16], peeked[16];
		gboolean is_named = name_eid(names->pdata[i], named);
		gboolean ours = !eid || (is_named && !memcmp(named, eid, 16));
		CtlPackage *package;

		if (!ours && peek_eid(path, peeked) ? memcmp(peeked, eid, 16) : !ours && is_named)
			continue;
		package = g_new0(CtlPackage, 1);
		g_ptr_array_add(packages, package);
		package->path = g_steal_pointer(&path);
		file = ctl_package_read(package->path, &package->header, &package->error);
		if (file && is_named && memcmp(named, package->header.eid, 16) && (!eid || ours))
			g_set_error(&package->error, IFPP_ERROR, IFPP_ERROR_WRONG_EID,
				    "%s: sealed for another chip than its name tells", package->path);
	}
	return g_steal_pointer(&packages);
}

static gboolean has_key(const GPtrArray *packages, const guint8 key_id[32])
{
	for (guint i = 0; i < packages->len; i++) {
		const CtlPackage *package = packages->pdata[i];

		if (!package->error && !memcmp(package->header.key_id, key_id, 32))
			return TRUE;
	}
	return FALSE;
}

void ctl_packages_add_gone(GPtrArray *packages, const char *outbox, const guint8 eid[16])
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) attempts = ctl_outbox_attempts(outbox, eid, damaged, NULL);
	char digits[33];

	ifpp_eid_format(eid, digits);
	for (guint i = 0; attempts && i < attempts->len; i++) {
		const IfppAttempt *attempt = attempts->pdata[i];
		g_autofree char *name = ctl_attempt_name(attempt);
		g_auto(CtlNote) note = { 0 };
		CtlPackage *package;

		if (!ctl_outbox_note_read(outbox, digits, name, &note) || !note.profile ||
		    has_key(packages, attempt->key_id))
			continue;
		package = g_new0(CtlPackage, 1);
		package->path = ifpp_package_file_name(eid, attempt->key_id);
		memcpy(package->header.eid, eid, 16);
		memcpy(package->header.key_id, attempt->key_id, 32);
		package->gone = g_steal_pointer(&note.profile);
		g_ptr_array_add(packages, package);
	}
}

void ctl_packages_drop_deleted(GPtrArray *packages, const char *outbox, const guint8 eid[16])
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) attempts = ctl_outbox_attempts(outbox, eid, damaged, NULL);
	g_autoptr(GPtrArray) deletions = ctl_outbox_deletions(outbox, eid, NULL);

	for (guint i = packages->len; attempts && i-- > 0;) {
		const CtlPackage *package = packages->pdata[i];
		const IfppAttempt *attempt = package->error ? NULL : ifpp_attempts_find(attempts, package->header.key_id);

		if (attempt && ctl_attempt_deleted(attempt, deletions))
			g_ptr_array_remove_index(packages, i);
	}
}
