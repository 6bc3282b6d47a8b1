// SPDX-License-Identifier: GPL-2.0-or-later
#include "figures.h"

#include <string.h>

#include <euicc.h>
#include <json.h>

#include "rows.h"

#define HOUR_MS ((gint64)3600 * 1000)

const char *const figures_unit_names[FIGURES_N_UNITS] = { "untouched", "open", "done", "lost" };
const char *const figures_delivery_names[4] = { "begun", "done", "conflict", "rejected" };

typedef struct {
	Figures *figures;
	GHashTable *stock, *stations, *failures;	/* key -> element of the array in figures */
	gint64 first_hour, now_hour;			/* hours since 1970 */
} Sum;

static const char *text(Sum *sum, const char *words)
{
	return g_string_chunk_insert_const(sum->figures->strings, words);
}

void figures_free(Figures *figures)
{
	if (!figures)
		return;
	g_ptr_array_unref(figures->stock);
	g_ptr_array_unref(figures->stations);
	g_ptr_array_unref(figures->failures);
	g_ptr_array_unref(figures->refusals);
	g_ptr_array_unref(figures->firmware);
	g_ptr_array_unref(figures->doubt);
	g_string_chunk_free(figures->strings);
	g_free(figures);
}

static FiguresStock *stock_of(Sum *sum, const char *order, const char *operator, const char *profile)
{
	/* The separator stands in none of them. */
	g_autofree char *key = g_strjoin("\x1f", order, operator, profile, NULL);
	FiguresStock *stock = g_hash_table_lookup(sum->stock, key);

	if (!stock) {
		stock = g_new0(FiguresStock, 1);
		stock->order = text(sum, order);
		stock->operator = text(sum, operator);
		stock->profile = text(sum, profile);
		g_hash_table_insert(sum->stock, g_steal_pointer(&key), stock);
		g_ptr_array_add(sum->figures->stock, stock);
	}
	return stock;
}

static FiguresStation *station_of(Sum *sum, const char *name)
{
	FiguresStation *station = g_hash_table_lookup(sum->stations, name);

	if (!station) {
		station = g_new0(FiguresStation, 1);
		station->name = text(sum, name);
		g_hash_table_insert(sum->stations, (char *)station->name, station);
		g_ptr_array_add(sum->figures->stations, station);
	}
	return station;
}

static void add_failures(Sum *sum, GPtrArray *to, gint64 packages, const char *reason, const char *station,
			 const char *firmware)
{
	g_autofree char *key = g_strjoin("\x1f", to == sum->figures->refusals ? "refused" : "lost", reason, station, firmware, NULL);
	FiguresFailure *failure = g_hash_table_lookup(sum->failures, key);

	if (!failure) {
		failure = g_new0(FiguresFailure, 1);
		failure->reason = text(sum, reason);
		failure->station = text(sum, station);
		failure->firmware = text(sum, firmware);
		g_hash_table_insert(sum->failures, g_steal_pointer(&key), failure);
		g_ptr_array_add(to, failure);
	}
	failure->packages += packages;
}

/* Where in hours[] it belongs, or -1: longer ago. A clock that was ahead counts for now. */
static int hour_of(const Sum *sum, gint64 hour)
{
	return hour < sum->first_hour ? -1 : (int)(sum->now_hour - MIN(hour, sum->now_hour));
}

static gboolean take_packages(const DbValue *row, guint n, gpointer user, GError **error)
{
	Sum *sum = user;
	gint64 state = row[3].num, count = row[6].num, changed = row[7].num;
	const char *station = db_get_text(&row[4]);
	int hour = hour_of(sum, row[5].num);
	FiguresStock *stock;

	if (state < 0 || state >= DEPOT_N_STATES)
		return rows_damaged("package", error);
	stock = stock_of(sum, db_get_text(&row[0]), db_get_text(&row[1]), db_get_text(&row[2]));
	stock->packages[state] += count;
	stock->changed = MAX(stock->changed, changed);
	sum->figures->packages[state] += count;
	if (hour >= 0 && state == DEPOT_INSTALLED)
		sum->figures->hours[hour].packages += count;
	if (hour >= 0 && state > DEPOT_INSTALLED)
		sum->figures->hours[hour].lost += count;
	if (*station) {
		FiguresStation *of = station_of(sum, station);

		of->last = MAX(of->last, changed);
		of->installed += state == DEPOT_INSTALLED ? count : 0;
		of->failed += state == DEPOT_FAILED ? count : 0;
		of->burnt += state == DEPOT_BURNT ? count : 0;
	}
	return TRUE;
}

static gboolean take_last_hour(const DbValue *row, guint n, gpointer user, GError **error)
{
	station_of(user, db_get_text(&row[0]))->hour = row[1].num;
	return TRUE;
}

static gboolean take_leases(const DbValue *row, guint n, gpointer user, GError **error)
{
	FiguresStation *station = station_of(user, db_get_text(&row[0]));

	station->chips = row[1].num;
	station->packages = row[2].num;
	station->sent = row[3].num;
	return TRUE;
}

static gboolean take_named(const DbValue *row, guint n, gpointer user, GError **error)
{
	FiguresStation *station = station_of(user, db_get_text(&row[0]));

	station->named = TRUE;
	station->quota = row[1].num;
	station->revoked = row[2].num != 0;
	return TRUE;
}

FiguresUnit figures_unit(gint64 least, gint64 most)
{
	return most == DEPOT_FREE ? FIGURES_UNTOUCHED : least < DEPOT_INSTALLED ? FIGURES_OPEN :
	       most == DEPOT_INSTALLED ? FIGURES_DONE : FIGURES_LOST;
}

static gboolean take_units(const DbValue *row, guint n, gpointer user, GError **error)
{
	Sum *sum = user;
	gint64 count = row[3].num;
	int hour = hour_of(sum, row[0].num);
	FiguresUnit unit = figures_unit(row[1].num, row[2].num);

	sum->figures->units[unit] += count;
	if (hour >= 0 && unit == FIGURES_DONE)
		sum->figures->hours[hour].units += count;
	return TRUE;
}

/* The reason is in the record, which only the two engines' own functions could look into. */
static gboolean take_failure(const DbValue *row, guint n, gpointer user, GError **error)
{
	g_autoptr(JsonObject) record = NULL;
	const char *name = "burnt";
	gint64 reason = 0;
	Sum *sum = user;

	if (row[0].num != DEPOT_BURNT) {
		record = ifpp_json_parse((IfppSpan){ row[1].data, row[1].type == DB_TEXT ? row[1].len : 0 }, 4, NULL);
		name = record && ifpp_json_get_int(record, "reason", 0, G_MAXUINT32, &reason) ? ifpp_pir_reason_name(reason) : "unknown";
	}
	add_failures(sum, sum->figures->failures, 1, name, db_get_text(&row[2]), db_get_text(&row[3]));
	return TRUE;
}

static gboolean take_refusals(const DbValue *row, guint n, gpointer user, GError **error)
{
	Sum *sum = user;

	/* Reasons of a newer program have one name. */
	add_failures(sum, sum->figures->refusals, row[3].num, ifpp_reason_name(row[0].num), db_get_text(&row[1]), db_get_text(&row[2]));
	return TRUE;
}

static gboolean take_firmware(const DbValue *row, guint n, gpointer user, GError **error)
{
	Sum *sum = user;
	FiguresFirmware *firmware = g_new0(FiguresFirmware, 1);

	firmware->name = text(sum, db_get_text(&row[0]));
	firmware->results = row[1].num;
	g_ptr_array_add(sum->figures->firmware, firmware);
	return TRUE;
}

static gboolean take_doubt(const DbValue *row, guint n, gpointer user, GError **error)
{
	Sum *sum = user;
	FiguresDoubt *doubt = g_new0(FiguresDoubt, 1);

	doubt->why = text(sum, db_get_text(&row[0]));
	doubt->station = text(sum, db_get_text(&row[1]));
	doubt->count = row[2].num;
	doubt->since = row[3].num;
	sum->figures->doubts += doubt->count;
	if (*doubt->station)
		station_of(sum, doubt->station)->doubts += doubt->count;
	g_ptr_array_add(sum->figures->doubt, doubt);
	return TRUE;
}

static gboolean take_delivery(const DbValue *row, guint n, gpointer user, GError **error)
{
	Sum *sum = user;

	if (row[0].num < 0 || row[0].num >= (gint64)G_N_ELEMENTS(sum->figures->deliveries))
		return rows_damaged("delivery", error);
	sum->figures->deliveries[row[0].num] = row[1].num;
	return TRUE;
}

static int by_change(gconstpointer a, gconstpointer b)
{
	const FiguresStock *x = *(FiguresStock *const *)a, *y = *(FiguresStock *const *)b;

	return x->changed != y->changed ? (x->changed < y->changed ? 1 : -1) : g_strcmp0(x->order, y->order) ?: g_strcmp0(x->profile, y->profile);
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return g_strcmp0((*(FiguresStation *const *)a)->name, (*(FiguresStation *const *)b)->name);
}

static int by_packages(gconstpointer a, gconstpointer b)
{
	const FiguresFailure *x = *(FiguresFailure *const *)a, *y = *(FiguresFailure *const *)b;

	return x->packages != y->packages ? (x->packages < y->packages ? 1 : -1) : g_strcmp0(x->reason, y->reason) ?: g_strcmp0(x->station, y->station) ?:
		g_strcmp0(x->firmware, y->firmware);
}

/* Those that have changed last are told; all others are one. */
static void fold_stock(GPtrArray *stock)
{
	FiguresStock *others;

	g_ptr_array_sort(stock, by_change);
	if (stock->len <= FIGURES_STOCK_MAX)
		return;
	others = g_new0(FiguresStock, 1);
	others->order = others->operator = others->profile = "";
	for (guint i = FIGURES_STOCK_MAX; i < stock->len; i++) {
		const FiguresStock *one = stock->pdata[i];

		for (guint j = 0; j < DEPOT_N_STATES; j++)
			others->packages[j] += one->packages[j];
		others->changed = MAX(others->changed, one->changed);
	}
	g_ptr_array_set_size(stock, FIGURES_STOCK_MAX);
	g_ptr_array_add(stock, others);
}

static gboolean add_up(Db *db, Sum *sum, GError **error)
{
	gint64 now, hours_ago;

	if (!db->ops->now(db, &now, error))
		return FALSE;
	sum->figures->at = now;
	sum->now_hour = now / HOUR_MS;
	sum->first_hour = sum->now_hour - FIGURES_HOURS + 1;
	hours_ago = sum->first_hour * HOUR_MS;
	return DB_RUN(db,
		      "SELECT batch, operator, profile, state, station, CASE WHEN changed >= $1 THEN changed / 3600000 ELSE 0 END, "
		      "COUNT(*), MAX(changed) FROM package GROUP BY 1, 2, 3, 4, 5, 6",
		      take_packages, sum, NULL, error, DB_I(hours_ago)) &&
	       DB_RUN(db, "SELECT station, COUNT(*) FROM package WHERE station IS NOT NULL AND state = 3 AND changed > $1 GROUP BY station",
		      take_last_hour, sum, NULL, error, DB_I(now - HOUR_MS)) &&
	       DB_RUN(db,
		      "SELECT station, COUNT(DISTINCT eid), COUNT(*), COUNT(CASE WHEN state = 2 THEN 1 END) FROM package "
		      "WHERE station IS NOT NULL AND lease > $1 AND lease <= $2 AND state IN (1, 2) GROUP BY station",
		      take_leases, sum, NULL, error, DB_I(now), DB_I(now + DEPOT_LEASE_MAX * (gint64)1000)) &&
	       DB_RUN(db,
		      "SELECT CASE WHEN ended >= $1 THEN ended / 3600000 ELSE 0 END, least, most, COUNT(*) FROM (SELECT MAX(changed) "
		      "AS ended, MIN(state) AS least, MAX(state) AS most FROM package GROUP BY eid) AS unit GROUP BY 1, 2, 3",
		      take_units, sum, NULL, error, DB_I(hours_ago)) &&
	       db_run(db,
		      "SELECT p.state, r.record, COALESCE(r.station, p.station, ''), COALESCE(r.firmware, u.firmware, '') FROM package p "
		      "LEFT JOIN result r ON r.key_id = p.key_id LEFT JOIN unit u ON u.eid = p.eid WHERE p.state IN (4, 5)", NULL, 0, take_failure, sum, NULL, error) &&
	       db_run(db,
		      "SELECT r.reason, r.station, COALESCE(u.firmware, ''), COUNT(*) FROM refusal r JOIN package p ON p.key_id = r.key_id "
		      "LEFT JOIN unit u ON u.eid = p.eid WHERE " ROWS_REFUSED " GROUP BY 1, 2, 3", NULL, 0, take_refusals, sum, NULL, error) &&
	       db_run(db, "SELECT firmware, COUNT(*) FROM result GROUP BY firmware ORDER BY 2 DESC", NULL, 0, take_firmware, sum, NULL,
		      error) &&
	       db_run(db, "SELECT why, station, COUNT(*), MIN(at) FROM doubt GROUP BY why, station ORDER BY 3 DESC", NULL, 0,
		      take_doubt, sum, NULL, error) &&
	       db_run(db, "SELECT done, COUNT(*) FROM delivery GROUP BY done", NULL, 0, take_delivery, sum, NULL, error) &&
	       db_run(db, "SELECT name, quota, revoked FROM station", NULL, 0, take_named, sum, NULL, error);
}

Figures *depot_figures(Depot *depot, GError **error)
{
	g_autoptr(Figures) figures = g_new0(Figures, 1);
	Sum sum = { .figures = figures };
	gint64 begun = g_get_monotonic_time();
	gboolean ok;

	figures->strings = g_string_chunk_new(4096);
	figures->stock = g_ptr_array_new_with_free_func(g_free);
	figures->stations = g_ptr_array_new_with_free_func(g_free);
	figures->failures = g_ptr_array_new_with_free_func(g_free);
	figures->refusals = g_ptr_array_new_with_free_func(g_free);
	figures->firmware = g_ptr_array_new_with_free_func(g_free);
	figures->doubt = g_ptr_array_new_with_free_func(g_free);
	sum.stock = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	sum.failures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	sum.stations = g_hash_table_new(g_str_hash, g_str_equal);
	ok = add_up(depot->db, &sum, error);
	g_hash_table_unref(sum.stock);
	g_hash_table_unref(sum.failures);
	g_hash_table_unref(sum.stations);
	if (!ok)
		return NULL;
	fold_stock(figures->stock);
	g_ptr_array_sort(figures->stations, by_name);
	g_ptr_array_sort(figures->failures, by_packages);
	g_ptr_array_sort(figures->refusals, by_packages);
	figures->took = g_get_monotonic_time() - begun;
	return g_steal_pointer(&figures);
}

const char *figures_doing(const FiguresStation *station)
{
	return station->revoked ? "revoked" : station->sent ? "working" : station->packages ? "claimed" : "idle";
}
