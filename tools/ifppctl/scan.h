/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a scanner says of a unit, held against what the unit says of itself. */
#ifndef IFPPCTL_SCAN_H
#define IFPPCTL_SCAN_H

#include <stdio.h>

#include "ctl.h"

/**
 * struct CtlScan - a unit as its labels have it
 * @eid: digits, or NULL
 * @unit: imei and serial must be the unit's; board_serial and work_order go into its records
 */
typedef struct {
	char *eid;
	IfppUnit unit;
} CtlScan;

void ctl_scan_clear(CtlScan *scan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlScan, ctl_scan_clear)

/* Options for it; @s: a CtlScan. */
#define CTL_SCAN_OPTIONS(s) \
	{ "expect-eid", 0, 0, G_OPTION_ARG_STRING, &(s).eid, "Do nothing to a chip with another EID", "DIGITS" }, \
	{ "expect-imei", 0, 0, G_OPTION_ARG_STRING, &(s).unit.field[IFPP_UNIT_IMEI], \
	  "Do nothing to a modem with another IMEI", "DIGITS" }, \
	{ "expect-serial", 0, 0, G_OPTION_ARG_STRING, &(s).unit.field[IFPP_UNIT_SERIAL], \
	  "Do nothing to a modem with another serial number", "TEXT" }, \
	{ "board-serial", 0, 0, G_OPTION_ARG_STRING, &(s).unit.field[IFPP_UNIT_BOARD_SERIAL], \
	  "For the unit's records: serial number of the board", "TEXT" }, \
	{ "work-order", 0, 0, G_OPTION_ARG_STRING, &(s).unit.field[IFPP_UNIT_WORK_ORDER], \
	  "For the unit's records: what it is built for", "TEXT" }

/**
 * ctl_scan_read() - read codes, one a line
 * @scan: gets them
 * @in: the scanner, or a file of codes
 * @name: what to call it
 * @codes: to end after; 0: at an empty line or the end of @in
 * @error: CTL_ERROR, IFPP_EXIT_INPUT: a line that is too long or not text, a code that is none, two that
 *	disagree, no code at all
 *
 * EID:, IMEI:, SERIAL:, BOARD: and ORDER: may stand before a code, or = for the colon. Without, 32 digits are an
 * EID, 15 an IMEI, and all else is the modem's serial number.
 */
gboolean ctl_scan_read(CtlScan *scan, FILE *in, const char *name, guint codes, GError **error);

/**
 * ctl_scan_check() - is it the unit that was scanned?
 * @scan: what was scanned or given
 * @chip: that something is to be done to
 * @outbox: where the daemon has noted the unit
 * @error: CTL_ERROR, IFPP_EXIT_REFUSED: it is another one, or cannot be told; IFPP_EXIT_INPUT: an option is
 *	not what it should be; of ifpp_unit_save()
 *
 * Notes what goes into the unit's records, once everything agrees.
 */
gboolean ctl_scan_check(CtlScan *scan, const CtlChip *chip, const char *outbox, GError **error);

#endif
