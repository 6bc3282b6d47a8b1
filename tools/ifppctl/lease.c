// SPDX-License-Identifier: GPL-2.0-or-later
#include "lease.h"
#include "explain.h"
#include "file.h"

#include <eid.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <file.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRIES 200	/* to see a file that others rename */
#define PAUSE_US 500
#define STALE_S (24 * 3600)
#define MACHINE_ID "/etc/machine-id"

typedef struct {
	char *name;
	guint64 generation;
	gint64 until;
	const char *station;	/* in @name */
} Token;

static void token_clear(Token *token)
{
	g_clear_pointer(&token->name, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Token, token_clear)

static gboolean is_name(const char *name)
{
	gsize len = strlen(name);

	return len && len <= 64 && strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == len;
}

/* A name that no other machine has, although hosts of one image may be called alike. */
static char *own_name(GError **error)
{
	g_autofree char *id = NULL, *sum = NULL, *host = g_strndup(g_get_host_name(), 48), *name = NULL;

	if (!g_file_get_contents(MACHINE_ID, &id, NULL, NULL) || strspn(g_strstrip(id), "0123456789abcdef") != 32) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "the packages are shared with other stations, and this "
			    "machine has no " MACHINE_ID " to tell it from them. Name it with --station");
		return NULL;
	}
	/* machine-id(5) asks not to show it. */
	sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
	name = g_strdup_printf("%s-%.12s", g_strcanon(host, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-", '-'), sum);
	return g_steal_pointer(&name);
}

/* What a process that was killed has left under a name with a dot. Taken too early, it costs its owner a turn. */
static void sweep(const char *leases)
{
	g_autoptr(GDir) dir = g_dir_open(leases, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(leases, name, NULL);
		g_autoptr(GDir) inside = NULL;
		const char *file;
		struct stat st;

		if (*name != '.' || lstat(path, &st) < 0 || st.st_mtim.tv_sec + STALE_S > g_get_real_time() / G_USEC_PER_SEC)
			continue;
		inside = S_ISDIR(st.st_mode) ? g_dir_open(path, 0, NULL) : NULL;
		while (inside && (file = g_dir_read_name(inside))) {
			g_autofree char *child = g_build_filename(path, file, NULL);

			g_unlink(child);
		}
		g_remove(path);
	}
}

CtlLease *ctl_lease_new(const char *dir, const char *station, GError **error)
{
	g_autofree char *leases = g_build_filename(dir, "leases", NULL);
	g_autofree char *name = NULL;
	CtlLease *lease;

	if (station && !is_name(station)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "--station: 1 to 64 letters, digits, dots, dashes and "
			    "underscores");
		return NULL;
	}
	if (!station && !g_file_test(leases, G_FILE_TEST_IS_DIR))
		return NULL;
	name = station ? g_strdup(station) : own_name(error);
	if (!name)
		return NULL;
	if (g_mkdir(leases, 0775) < 0 && errno != EEXIST) {
		ifpp_file_error(leases, "cannot make it", error);
		return NULL;
	}
	sweep(leases);
	lease = g_new0(CtlLease, 1);
	lease->leases = g_steal_pointer(&leases);
	lease->station = g_steal_pointer(&name);
	return lease;
}

void ctl_lease_free(CtlLease *lease)
{
	if (!lease)
		return;
	g_free(lease->leases);
	g_free(lease->station);
	g_free(lease->chip);
	g_free(lease);
}

/* What time it is where the files are. */
static gboolean file_time(const CtlLease *lease, gint64 *ms, GError **error)
{
	g_autofree char *path = g_build_filename(lease->leases, ".time.XXXXXX", NULL);
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
	struct stat st;
	gboolean ok;

	if (fd < 0)
		return ifpp_file_error(lease->leases, "cannot make a file there", error);
	ok = (futimens(fd, NULL) == 0 && fstat(fd, &st) == 0) || ifpp_file_error(path, "cannot tell the time", error);
	if (ok)
		*ms = (gint64)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	close(fd);
	g_unlink(path);
	return ok;
}

static gboolean parse(const char *name, Token *token)
{
	char *end;

	if (!g_ascii_isdigit(*name))
		return FALSE;
	token->generation = g_ascii_strtoull(name, &end, 10);
	if (*end != '.' || !g_ascii_isdigit(end[1]))
		return FALSE;
	token->until = g_ascii_strtoll(end + 1, &end, 10);
	if (*end != '.' || !is_name(end + 1))
		return FALSE;
	token->name = g_strdup(name);
	token->station = token->name + (end + 1 - name);
	return TRUE;
}

/* The one file in a chip's directory; FALSE: not seen, which may be because it is being renamed. */
static gboolean look(const char *chip, Token *token)
{
	g_autoptr(GDir) dir = g_dir_open(chip, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (parse(name, token))
			return TRUE;
	return FALSE;
}

static char *next_name(const CtlLease *lease, guint64 generation, gint64 until)
{
	return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GINT64_FORMAT ".%s", generation, until, lease->station);
}

/* Goes on while the machine sleeps, as the lease does. */
static gint64 own_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* LOST: another was faster. On a network it may have been we, and the answer was lost: the next look tells. */
typedef enum { TAKEN, LOST, ERROR } Try;

/* The chip's first lease. */
static Try begin(const CtlLease *lease, const char *chip, const char *name, GError **error)
{
	g_autofree char *base = g_path_get_basename(chip);
	g_autofree char *pattern = g_strdup_printf(".%s.XXXXXX", base);
	g_autofree char *tmp = g_build_filename(lease->leases, pattern, NULL), *file = NULL;
	struct stat st;
	Try done = ERROR;
	int fd;

	if (!g_mkdtemp(tmp)) {
		ifpp_file_error(lease->leases, "cannot make a directory there", error);
		return ERROR;
	}
	file = g_build_filename(tmp, name, NULL);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
	/* Whoever may use the leases may use this one; a file system without modes says EPERM. */
	if (fd < 0 || stat(lease->leases, &st) < 0 || (chmod(tmp, st.st_mode & 0777) < 0 && errno != EPERM))
		ifpp_file_error(tmp, "cannot make it", error);
	else if (g_rename(tmp, chip) == 0)
		done = TAKEN;
	else if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT)
		done = LOST;
	else
		ifpp_file_error(chip, "cannot make it", error);
	if (fd >= 0)
		close(fd);
	if (done != TAKEN) {
		g_unlink(file);
		g_rmdir(tmp);
	} else {
		ifpp_sync_dir(chip, NULL);
		ifpp_sync_dir(lease->leases, NULL);
	}
	return done;
}

static Try go_on(const char *chip, const Token *token, const char *name, GError **error)
{
	g_autofree char *from = g_build_filename(chip, token->name, NULL), *to = g_build_filename(chip, name, NULL);

	if (g_rename(from, to) == 0) {
		ifpp_sync_dir(chip, NULL);
		return TAKEN;
	}
	if (errno == ENOENT)
		return LOST;
	ifpp_file_error(from, "cannot rename it", error);
	return ERROR;
}

static gboolean is_busy(const Token *token, GError **error)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(token->until / 1000);
	g_autofree char *until = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("the end of time");

	g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "the station %s has this chip until %s. Go on there, or come again "
		    "then", token->station, until);
	return FALSE;
}

gboolean ctl_lease_take(CtlLease *lease, const guint8 eid[16], guint ms, GError **error)
{
	g_autofree char *chip = NULL;
	char digits[33];

	ifpp_eid_format(eid, digits);
	chip = g_build_filename(lease->leases, digits, NULL);
	for (guint i = 0; i < TRIES; i++) {
		g_autofree char *name = NULL;
		g_auto(Token) token = { 0 };
		gboolean there = look(chip, &token);
		gint64 now = 0;
		Try done;

		if (!there && g_file_test(chip, G_FILE_TEST_EXISTS)) {
			g_usleep(PAUSE_US);
			continue;
		}
		if (!file_time(lease, &now, error))
			return FALSE;
		if (there && strcmp(token.station, lease->station) && token.until > now)
			return is_busy(&token, error);
		name = next_name(lease, token.generation + 1, now + ms);
		done = there ? go_on(chip, &token, name, error) : begin(lease, chip, name, error);
		if (done == ERROR)
			return FALSE;
		if (done == LOST)
			continue;
		memcpy(lease->eid, eid, 16);
		g_free(lease->chip);
		lease->chip = g_steal_pointer(&chip);
		lease->generation = token.generation + 1;
		lease->since = now;
		lease->until = now + ms;
		lease->renew = own_time() + (gint64)ms * 1000 / 2;
		return TRUE;
	}
	g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "%s: no lease is to be seen there, and others may be at it. Come again; "
		    "if it stays empty, remove that directory", chip);
	return FALSE;
}

gboolean ctl_lease_hold(CtlLease *lease, GError **error)
{
	return !lease || !lease->chip || own_time() < lease->renew ||
	       ctl_lease_take(lease, lease->eid, lease->until - lease->since, error);
}

void ctl_lease_end(CtlLease *lease)
{
	g_autofree char *name = NULL;
	g_auto(Token) token = { 0 };

	if (!lease || !lease->chip)
		return;
	if (look(lease->chip, &token) && token.generation == lease->generation && !strcmp(token.station, lease->station)) {
		name = next_name(lease, token.generation + 1, 0);
		go_on(lease->chip, &token, name, NULL);
	}
	g_clear_pointer(&lease->chip, g_free);
}
