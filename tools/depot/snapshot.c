// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot.h"

#include <stdio.h>

#define FRESH_US (2 * G_USEC_PER_SEC)
#define PATIENCE_US (2 * G_USEC_PER_SEC)
#define EXPIRY_US (60 * G_USEC_PER_SEC)
#define SHARE 20		/* a twentieth of the time is spent on adding up */
#define LOCK_MS 1500

struct _Snapshot {
	SnapshotOptions options;
	GThread *thread;
	Depot *depot;		/* the thread's */
	GMutex lock;		/* of what follows */
	GCond changed;
	gboolean stop, wanted;
	gint64 at, looked;	/* monotonic, us: of the last attempt, and when files were last looked at */
	gint64 fresh;		/* us for which an attempt is good enough */
	Figures *figures;
	char *trouble;
	gint64 trouble_since;
	GPtrArray *expiry;
};

static Figures *add_up(Snapshot *snapshot, GError **error)
{
	if (!snapshot->depot) {
		snapshot->depot = depot_open(snapshot->options.db, FALSE, error);
		if (!snapshot->depot || !depot_limit(snapshot->depot, LOCK_MS, error)) {
			g_clear_pointer(&snapshot->depot, depot_close);
			return NULL;
		}
	}
	return depot_figures(snapshot->depot, error);
}

static void renew(Snapshot *snapshot)
{
	g_autoptr(GError) error = NULL;
	gint64 begun = g_get_monotonic_time();
	g_autoptr(GPtrArray) expiry = begun - snapshot->looked < EXPIRY_US ? NULL :
				      expiry_read(snapshot->options.files, snapshot->options.trust);
	Figures *figures = add_up(snapshot, &error);

	g_mutex_lock(&snapshot->lock);
	if (expiry) {
		g_ptr_array_unref(snapshot->expiry);
		snapshot->expiry = g_steal_pointer(&expiry);
		snapshot->looked = begun;
	}
	if (figures) {
		figures_free(snapshot->figures);
		snapshot->figures = figures;
		g_clear_pointer(&snapshot->trouble, g_free);
	} else {
		if (!snapshot->trouble) {
			snapshot->trouble_since = g_get_real_time() / 1000;
			fprintf(stderr, "ifpp-depot: figures: %s\n", error->message);
		}
		g_free(snapshot->trouble);
		snapshot->trouble = g_strdup(error->message);
	}
	snapshot->at = g_get_monotonic_time();
	snapshot->fresh = MAX(FRESH_US, SHARE * (snapshot->at - begun));
	snapshot->wanted = FALSE;
	g_cond_broadcast(&snapshot->changed);
	g_mutex_unlock(&snapshot->lock);
}

static gpointer work(gpointer user)
{
	Snapshot *snapshot = user;

	for (;;) {
		gboolean stop;

		g_mutex_lock(&snapshot->lock);
		while (!snapshot->wanted && !snapshot->stop)
			g_cond_wait(&snapshot->changed, &snapshot->lock);
		stop = snapshot->stop;
		g_mutex_unlock(&snapshot->lock);
		if (stop)
			return NULL;
		renew(snapshot);
	}
}

Snapshot *snapshot_new(const SnapshotOptions *options)
{
	Snapshot *snapshot = g_new0(Snapshot, 1);

	snapshot->options = *options;
	g_mutex_init(&snapshot->lock);
	g_cond_init(&snapshot->changed);
	snapshot->expiry = g_ptr_array_new();
	snapshot->looked = -EXPIRY_US;
	snapshot->thread = g_thread_new("figures", work, snapshot);
	return snapshot;
}

void snapshot_free(Snapshot *snapshot)
{
	if (!snapshot)
		return;
	g_mutex_lock(&snapshot->lock);
	snapshot->stop = TRUE;
	g_cond_broadcast(&snapshot->changed);
	g_mutex_unlock(&snapshot->lock);
	g_thread_join(snapshot->thread);
	depot_close(snapshot->depot);
	figures_free(snapshot->figures);
	g_ptr_array_unref(snapshot->expiry);
	g_free(snapshot->trouble);
	g_mutex_clear(&snapshot->lock);
	g_cond_clear(&snapshot->changed);
	g_free(snapshot);
}

void snapshot_tell(Snapshot *snapshot, void (*tell)(const SnapshotView *view, gpointer user), gpointer user)
{
	gint64 until = g_get_monotonic_time() + PATIENCE_US;
	SnapshotView view = { .engine = db_is_server(snapshot->options.db) ? "PostgreSQL" : "SQLite" };
	g_autofree char *reload = reload_trouble(snapshot->options.reload, &view.reload_since, &view.reload_at);

	view.reload_trouble = reload;
	g_mutex_lock(&snapshot->lock);
	if (!snapshot->at || g_get_monotonic_time() - snapshot->at >= snapshot->fresh) {
		gint64 before = snapshot->at;

		snapshot->wanted = TRUE;
		g_cond_broadcast(&snapshot->changed);
		while (snapshot->at == before && g_cond_wait_until(&snapshot->changed, &snapshot->lock, until))
			;
	}
	view.figures = snapshot->figures;
	view.trouble = snapshot->trouble;
	view.trouble_since = snapshot->trouble_since;
	if (!view.figures && !view.trouble) {
		view.trouble = "the figures are being added up for the first time";
		view.trouble_since = g_get_real_time() / 1000;
	}
	view.expiry = snapshot->expiry;
	tell(&view, user);
	g_mutex_unlock(&snapshot->lock);
}
