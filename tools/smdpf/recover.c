// SPDX-License-Identifier: GPL-2.0-or-later
#include "recover.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include <glib/gstdio.h>

#include "anchor.h"
#include "chain.h"
#include "error.h"
#include "file.h"
#include "ledger.h"
#include "store.h"

gboolean recover_check(const Home *home, gboolean token, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open(home, error);
	g_autofree char *agrees = NULL;
	guint agree;

	if (!ledger || !chain_check(ledger, TRUE, error) || (token && !anchor_check(ledger, home, &agree, error)))
		return FALSE;
	if (home->keys->len > 1)
		agrees = g_strdup_printf(", and %u of %u tokens agree", agree, home->keys->len);
	printf("%s: the ledger is sound: %" G_GINT64_FORMAT " keys bound in %" G_GINT64_FORMAT " events%s\n", home->dir,
	       ledger->head.bound, ledger->head.seq, !token ? "; the token was not asked" : agrees ? agrees : ", and the token agrees");
	return TRUE;
}

gboolean recover_backup(const Home *home, const char *out, GError **error)
{
	g_autofree char *tmp = g_strdup_printf("%s.part", out), *dir = g_path_get_dirname(out);
	g_autofree char *old = db_sqlite_in_the_way(out);
	g_autoptr(Ledger) ledger = NULL;
	GError *local = NULL;

	if (home->ledger) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: is kept by a server; copy it with pg_dump", home->dir);
		return FALSE;
	}
	if (old) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: is there already; a backup is a new file", old);
		return FALSE;
	}
	ledger = ledger_open(home, error);
	if (!ledger)
		return FALSE;
	db_sqlite_remove(tmp);
	umask(077);
	if (!DB_RUN(ledger->db, "VACUUM INTO $1", NULL, NULL, NULL, &local, db_text(tmp))) {
		db_sqlite_remove(tmp);
		return ledger_error(home, local, error);
	}
	if (!store_sync(dir, error))
		return FALSE;
	if (rename(tmp, out) < 0)
		return ifpp_file_error(out, NULL, error);
	printf("%s: %" G_GINT64_FORMAT " keys bound in %" G_GINT64_FORMAT " events\n", out, ledger->head.bound,
	       ledger->head.seq);
	return ifpp_sync_dir(dir, error);
}

typedef struct {
	const Home *home;
	gint64 pruned;
} Prune;

static gboolean prune_entry(const LedgerEntry *entry, gpointer user, GError **error)
{
	g_autofree char *path = NULL;
	Prune *prune = user;

	if (entry->state == LEDGER_BOUND)
		return TRUE;
	path = store_path(prune->home, entry->eid, entry->key_id);
	if (g_unlink(path) == 0)
		prune->pruned++;
	else if (errno != ENOENT)
		return ifpp_file_error(path, NULL, error);
	return TRUE;
}

gboolean recover_prune(const Home *home, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open(home, error);
	Prune prune = { .home = home };

	if (!ledger || !ledger_foreach(ledger, NULL, prune_entry, &prune, error))
		return FALSE;
	printf("%s: %" G_GINT64_FORMAT " packages with a proven result deleted\n", home->dir, prune.pruned);
	return TRUE;
}
