// SPDX-License-Identifier: GPL-2.0-or-later
/* Totals, and whatever does not add up. */
#include "depot.h"

#include <string.h>

#include <tlv.h>

#include "rows.h"

static gboolean take_state(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotTotals *totals = user;

	if (row[0].num < 0 || row[0].num >= DEPOT_N_STATES)
		return rows_damaged("package", error);
	totals->packages[row[0].num] = row[1].num;
	totals->bytes += row[2].num;
	return TRUE;
}

static gboolean take_pair(const DbValue *row, guint n, gpointer user, GError **error)
{
	gint64 **pair = user;

	*pair[0] = row[0].num;
	*pair[1] = row[1].num;
	return TRUE;
}

gboolean depot_totals(Depot *depot, DepotTotals *totals, GError **error)
{
	gint64 *deliveries[] = { &totals->deliveries, &totals->delivered };
	gint64 *others[] = { &totals->doubts, &totals->stations };
	gint64 *results[] = { &totals->results, &totals->proven }, *chips[] = { &totals->chips, &totals->locked };

	memset(totals, 0, sizeof(*totals));
	return db_run(depot->db, "SELECT state, COUNT(*), CAST(SUM(bytes) AS BIGINT) FROM package GROUP BY state", NULL,
		      0, take_state, totals, NULL, error) &&
	       db_run(depot->db, "SELECT COUNT(*), CAST(COALESCE(SUM(packages), 0) AS BIGINT) FROM delivery WHERE done <> 3", NULL, 0,
		      take_pair, deliveries, NULL, error) &&
	       db_run(depot->db, "SELECT COUNT(*), CAST(COALESCE(SUM(proven), 0) AS BIGINT) FROM result", NULL, 0,
		      take_pair, results, NULL, error) &&
	       db_run(depot->db, "SELECT (SELECT COUNT(*) FROM doubt), (SELECT COUNT(*) FROM station WHERE revoked = 0)", NULL, 0,
		      take_pair, others, NULL, error) &&
	       db_run(depot->db, "SELECT COUNT(*), COUNT(lock_record) FROM chip", NULL, 0, take_pair, chips, NULL, error);
}

typedef struct {
	void (*tell)(const char *line, gpointer user);
	gpointer user;
	const char *what;
} Reconcile;

static gboolean tell_key(const DbValue *row, guint n, gpointer user, GError **error)
{
	const Reconcile *r = user;
	g_autofree char *key = ifpp_hex((IfppSpan){ row[0].data, row[0].len });
	g_autofree char *line = g_strdup_printf("%s %s", key, r->what);

	r->tell(line, r->user);
	return TRUE;
}

static gboolean tell_doubt(const DbValue *row, guint n, gpointer user, GError **error)
{
	Reconcile r = *(const Reconcile *)user;
	g_autofree char *what = g_strdup_printf("is in doubt since station %s: %s", db_get_text(&row[2]), db_get_text(&row[1]));

	r.what = what;
	return tell_key(row, n, &r, error);
}

static gboolean tell_delivery(const DbValue *row, guint n, gpointer user, GError **error)
{
	const Reconcile *r = user;
	g_autofree char *id = ifpp_hex((IfppSpan){ row[0].data, row[0].len });
	g_autofree char *line = g_strdup_printf("delivery %.16s%s%s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
						" packages are here; %s", id,
						*db_get_text(&row[1]) ? " of order " : "", db_get_text(&row[1]),
						row[3].num, row[2].num, row[4].num == DEPOT_DELIVERY_CONFLICT ?
						"others are for keys that have a package already: ifpp-depot reject ends that" :
						"import it again to finish it");

	r->tell(line, r->user);
	return TRUE;
}

gboolean depot_reconcile(Depot *depot, void (*tell)(const char *line, gpointer user), gpointer user, GError **error)
{
	Reconcile r = { tell, user, NULL };

	if (!db_run(depot->db,
		    "SELECT d.id, d.batch, d.packages, COUNT(p.key_id), d.done FROM delivery d LEFT JOIN package p ON p.delivery = "
		    "d.id GROUP BY d.id, d.batch, d.packages, d.done HAVING d.done IN (0, 2)",
		    NULL, 0, tell_delivery, &r, NULL, error))
		return FALSE;
	r.what = "has no bytes";
	if (!db_run(depot->db, "SELECT key_id FROM package p WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.key_id = p.key_id)", NULL, 0,
		    tell_key, &r, NULL, error))
		return FALSE;
	r.what = "is installed or failed without a result";
	if (!db_run(depot->db,
		    "SELECT key_id FROM package p WHERE state IN (3, 4) AND NOT EXISTS (SELECT 1 FROM result r WHERE "
		    "r.key_id = p.key_id)", NULL, 0,
		    tell_key, &r, NULL, error))
		return FALSE;
	r.what = "has a result and is not ended";
	if (!db_run(depot->db, "SELECT r.key_id FROM result r LEFT JOIN package p ON p.key_id = r.key_id WHERE "
		    "p.state IS NULL OR p.state < 3", NULL, 0, tell_key, &r, NULL, error))
		return FALSE;
	return db_run(depot->db, "SELECT key_id, why, station FROM doubt ORDER BY key_id, at", NULL, 0, tell_doubt, &r, NULL,
		      error);
}
