// SPDX-License-Identifier: GPL-2.0-or-later
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "error.h"
#include "file.h"

#define HOLD_TRIES 100

static void remove_dir(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		g_unlink(file);
	}
	g_rmdir(path);
}

/* Where a lock on DIR/run is seen: this boot of this kernel, and that very directory. */
static char *place(Ledger *ledger)
{
	g_autofree char *boot = NULL;
	struct stat st = {};

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
		boot = g_strdup(g_get_host_name());
	if (stat(ledger->runs, &st) < 0)
		return g_strdup("");
	return g_strdup_printf("%.36s %" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, boot, (guint64)st.st_dev,
			       (guint64)st.st_ino);
}

/* Nobody holds the lock on this directory, or it is not there. */
static gboolean abandoned(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean free;

	if (fd < 0)
		return errno == ENOENT;
	free = flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return free;
}

typedef struct {
	Ledger *ledger;
	char *here;
	gint64 now;
	GPtrArray *dead;	/* names */
} Burial;

static gboolean judge(const DbValue *row, guint n, gpointer user, GError **error)
{
	Burial *burial = user;
	g_autofree char *name = NULL, *path = NULL;
	guint8 id[8];

	if (!db_get_blob(&row[0], id, sizeof(id)) || !memcmp(id, burial->ledger->run, sizeof(id)))
		return TRUE;
	name = ifpp_hex(IFPP_SPAN(id));
	path = g_build_filename(burial->ledger->runs, name, NULL);
	if (g_str_equal(db_get_text(&row[1]), burial->here) ? abandoned(path) : row[2].num < burial->now)
		g_ptr_array_add(burial->dead, g_steal_pointer(&name));
	return TRUE;
}

static gboolean forget(Ledger *ledger, const guint8 id[8], GError **error)
{
	return DB_RUN(ledger->db, "DELETE FROM binding WHERE run = $1 AND state = 0", NULL, NULL, NULL, error,
		      DB_B(id, 8)) &&
	       DB_RUN(ledger->db, "DELETE FROM run WHERE id = $1", NULL, NULL, NULL, error, DB_B(id, 8));
}

gboolean ledger_bury_dead(Ledger *ledger, GError **error)
{
	g_autofree char *here = place(ledger);
	g_autoptr(GPtrArray) dead = g_ptr_array_new_with_free_func(g_free);
	Burial burial = { .ledger = ledger, .here = here, .dead = dead };

	if (!ledger->db->ops->now(ledger->db, &burial.now, error) ||
	    !DB_RUN(ledger->db, "SELECT id, place, until FROM run", judge, &burial, NULL, error))
		return FALSE;
	for (guint i = 0; i < dead->len; i++) {
		g_autofree char *path = g_build_filename(ledger->runs, dead->pdata[i], NULL);
		guint8 id[8];

		/* half-made packages go with it */
		remove_dir(path);
		if (!ifpp_unhex_into(dead->pdata[i], id, sizeof(id)) || !forget(ledger, id, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean start_body(Db *db, gpointer user, GError **error)
{
	Ledger *ledger = user;
	g_autofree char *here = place(ledger);
	gint64 now;

	return db->ops->now(db, &now, error) &&
	       DB_RUN(db, "INSERT INTO run (id, place, host, until) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
		      NULL, NULL, NULL, error, DB_B(ledger->run, 8), db_text(here), db_text(g_get_host_name()),
		      DB_I(now + LEDGER_LEASE * 1000)) &&
	       ledger_bury_dead(ledger, error);
}

/* Another one that sweeps may have it for a moment, or have taken it for a dead one's before it was locked. */
static gboolean hold_dir(Ledger *ledger)
{
	for (guint i = 0; i < HOLD_TRIES; i++) {
		int fd;

		if (g_mkdir(ledger->run_dir, 0700) < 0 && errno != EEXIST)
			return FALSE;
		fd = open(ledger->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && g_file_test(ledger->run_dir, G_FILE_TEST_IS_DIR)) {
			ledger->run_fd = fd;
			return TRUE;
		}
		if (fd >= 0)
			close(fd);
		g_usleep(1000);
	}
	return FALSE;
}

/* Directories of those who died before the database knew of them. */
static void sweep(Ledger *ledger)
{
	g_autoptr(GDir) dir = g_dir_open(ledger->runs, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(ledger->runs, name, NULL);
		int fd = strcmp(name, ledger->run_name) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

		/* locked while it goes, so that nobody begins in it */
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && !ledger_run_alive(ledger, name))
			remove_dir(path);
		if (fd >= 0)
			close(fd);
	}
}

gboolean ledger_start_run(Ledger *ledger, GError **error)
{
	ledger->runs = home_path(ledger->home, "run");
	gnutls_rnd(GNUTLS_RND_NONCE, ledger->run, sizeof(ledger->run));
	ledger->run_name = ifpp_hex(IFPP_SPAN(ledger->run));
	ledger->run_dir = g_build_filename(ledger->runs, ledger->run_name, NULL);
	/* Before the database knows of it: nobody takes it for a dead one's. */
	if (!hold_dir(ledger))
		return ifpp_file_error(ledger->run_dir, NULL, error);
	if (!ledger_transaction(ledger, start_body, ledger, error))
		return FALSE;
	sweep(ledger);
	return TRUE;
}

static gboolean renew_body(Db *db, gpointer user, GError **error)
{
	Ledger *ledger = user;
	gint64 now;

	return db->ops->now(db, &now, error) &&
	       DB_RUN(db, "UPDATE run SET until = $2 WHERE id = $1", NULL, NULL, NULL, error, DB_B(ledger->run, 8),
		      DB_I(now + LEDGER_LEASE * 1000));
}

gboolean ledger_renew(Ledger *ledger, GError **error)
{
	return ledger_transaction(ledger, renew_body, ledger, error);
}

static gboolean count_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	(*(guint *)user)++;
	return TRUE;
}

gboolean ledger_run_alive(Ledger *ledger, const char *name)
{
	guint8 id[8];
	guint found = 0;

	/* in doubt, yes */
	return ifpp_unhex_into(name, id, sizeof(id)) &&
	       (!DB_RUN(ledger->db, "SELECT 1 FROM run WHERE id = $1", count_row, &found, NULL, NULL, DB_B(id, 8)) || found);
}

static gboolean end_body(Db *db, gpointer user, GError **error)
{
	Ledger *ledger = user;

	return forget(ledger, ledger->run, error);
}

void run_end(Ledger *ledger)
{
	if (ledger->run_fd >= 0) {
		db_transaction(ledger->db, end_body, ledger, NULL);
		remove_dir(ledger->run_dir);
		close(ledger->run_fd);
	}
	g_free(ledger->run_dir);
	g_free(ledger->run_name);
	g_free(ledger->runs);
}
