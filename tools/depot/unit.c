// SPDX-License-Identifier: GPL-2.0-or-later
/* What stations have told of the units that chips are in. */
#include "depot.h"
#include "rows.h"

void depot_result_clear(DepotResult *result)
{
	ifpp_unit_clear(&result->unit);
}

gboolean rows_note_unit(Db *db, const guint8 eid[16], const IfppUnit *unit, const char *station, gboolean newest,
			gint64 at, GError **error)
{
	char *const *f = unit->field;

	/* Of an older station, which tells none. */
	if (ifpp_unit_is_empty(unit))
		return TRUE;
	return DB_RUN(db,
		      newest ? "INSERT INTO unit (eid, imei, model, firmware, serial, usb_path, station, board_serial, "
			       "work_order, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (eid) DO UPDATE SET "
			       "imei = $2, model = $3, firmware = $4, serial = $5, usb_path = $6, station = $7, "
			       "board_serial = $8, work_order = $9, at = $10" :
			       "INSERT INTO unit (eid, imei, model, firmware, serial, usb_path, station, board_serial, "
			       "work_order, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (eid) DO NOTHING",
		      NULL, NULL, NULL, error, DB_B(eid, 16), db_text(f[IFPP_UNIT_IMEI]), db_text(f[IFPP_UNIT_MODEL]),
		      db_text(f[IFPP_UNIT_FIRMWARE]), db_text(f[IFPP_UNIT_SERIAL]), db_text(f[IFPP_UNIT_USB_PATH]),
		      db_text(f[IFPP_UNIT_STATION] ?: station), db_text(f[IFPP_UNIT_BOARD_SERIAL]),
		      db_text(f[IFPP_UNIT_WORK_ORDER]), DB_I(at));
}

static gboolean take_unit(const DbValue *row, guint n, gpointer user, GError **error)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		if (row[i].type == DB_TEXT)
			ifpp_unit_set(user, i, row[i].data);
	return TRUE;
}

gboolean depot_unit(Depot *depot, const guint8 eid[16], IfppUnit *unit, GError **error)
{
	return DB_RUN(depot->db,
		      "SELECT imei, model, firmware, serial, usb_path, station, board_serial, work_order FROM unit "
		      "WHERE eid = $1", take_unit, unit, NULL, error, DB_B(eid, 16)) &&
	       !ifpp_unit_is_empty(unit);
}
