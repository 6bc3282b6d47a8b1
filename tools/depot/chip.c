// SPDX-License-Identifier: GPL-2.0-or-later
/* What chips say of themselves, and the receipts of their locks. */
#include "depot.h"

#include <string.h>

#include "depot-error.h"
#include "rows.h"

void depot_chip_free(DepotChip *chip)
{
	if (!chip)
		return;
	g_clear_pointer(&chip->euicc_data, g_bytes_unref);
	g_free(chip->lock);
	g_free(chip->proof);
	g_free(chip);
}

static gboolean take_chip(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotChip *chip = g_new0(DepotChip, 1);

	if (row[0].type == DB_BLOB)
		chip->euicc_data = g_bytes_new(row[0].data, row[0].len);
	chip->euicc_proven = row[1].num != 0;
	chip->lock = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	chip->lock_proven = row[3].num != 0;
	chip->proof = g_strdup(db_get_text(&row[4]));
	*(DepotChip **)user = chip;
	return TRUE;
}

static gboolean get_chip(Db *db, const guint8 eid[16], DepotChip **chip, GError **error)
{
	if (!DB_RUN(db, "SELECT euicc_data, euicc_proven, lock_record, lock_proven, proof FROM chip WHERE eid = $1",
		    take_chip, chip, NULL, error, DB_B(eid, 16)))
		return FALSE;
	if (*chip)
		memcpy((*chip)->eid, eid, 16);
	return TRUE;
}

DepotChip *depot_chip(Depot *depot, const guint8 eid[16], GError **error)
{
	DepotChip *chip = NULL;

	get_chip(depot->db, eid, &chip, error);
	return chip;
}

typedef struct {
	const char *station;
	const DepotChip *chip;
	GPtrArray *items;
	gboolean stored;
} Put;

/* Of two, that which is proven; of two alike, the one on record for data, the later one for a lock. */
static gboolean put_chip(Db *db, gpointer user, GError **error)
{
	Put *put = user;
	const DepotChip *new = put->chip;
	g_autoptr(DepotChip) have = NULL;
	gboolean take_data, take_lock;
	gint64 at, times = 0;
	gsize len = 0;
	const void *data;
	const DepotChip *from;

	put->stored = FALSE;
	if (!db->ops->now(db, &at, error) || !rows_of_chip(db, new->eid, put->items, error))
		return FALSE;
	for (guint i = 0; i < put->items->len && !times; i++)
		if (!rows_had(db, put->station, put->items->pdata[i], &times, error))
			return FALSE;
	if (!put->items->len || (!times && !new->euicc_proven)) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no chip that this station has claimed");
		return FALSE;
	}
	if (!get_chip(db, new->eid, &have, error))
		return FALSE;
	take_data = new->euicc_data &&
		    (!have || !have->euicc_data || (!have->euicc_proven && new->euicc_proven) ||
		     (have->euicc_proven == new->euicc_proven && !have->euicc_proven &&
		      !g_bytes_equal(have->euicc_data, new->euicc_data)));
	take_lock = new->lock && (!have || !have->lock || (new->lock_proven >= have->lock_proven &&
							   g_strcmp0(new->lock, have->lock)));
	if (have && !take_data && !take_lock)
		return TRUE;
	from = take_data || !have ? new : have;
	data = from->euicc_data ? g_bytes_get_data(from->euicc_data, &len) : NULL;
	put->stored = TRUE;
	return DB_RUN(db,
		      "INSERT INTO chip (eid, euicc_data, euicc_proven, lock_record, lock_proven, proof, station, at) "
		      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (eid) DO UPDATE SET euicc_data = $2, "
		      "euicc_proven = $3, lock_record = $4, lock_proven = $5, proof = $6, station = $7, at = $8",
		      NULL, NULL, NULL, error, DB_B(new->eid, 16), data ? DB_B(data, len) : (DbValue){ .type = DB_NULL },
		      DB_I(from->euicc_proven), db_text(take_lock || !have ? new->lock : have->lock),
		      DB_I(take_lock || !have ? new->lock_proven : have->lock_proven), db_text(new->proof),
		      db_text(put->station), DB_I(at));
}

gboolean depot_put_chip(Depot *depot, const char *station, const DepotChip *chip, gboolean *stored, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Put put = { .station = station, .chip = chip, .items = items };

	if (!db_transaction(depot->db, put_chip, &put, error))
		return FALSE;
	*stored = put.stored;
	return TRUE;
}
