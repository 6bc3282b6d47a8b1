/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The identity of a unit: what its modem says of itself, where it was plugged, and what was scanned. A
 * station's word, which the chip has not signed: it finds units, and proves nothing.
 */
#ifndef IFPP_UNIT_H
#define IFPP_UNIT_H

#include <glib.h>

/* Beside a chip's records: what the daemon has read last, and what was scanned. */
#define IFPP_UNIT_FILE "unit.identity"
#define IFPP_UNIT_SCAN_FILE "unit.scanned"
#define IFPP_UNIT_TEXT_MAX 64	/* bytes of a field */

typedef enum {
	IFPP_UNIT_IMEI,
	IFPP_UNIT_MODEL,
	IFPP_UNIT_FIRMWARE,	/* revision of the modem's firmware */
	IFPP_UNIT_SERIAL,	/* of the module */
	IFPP_UNIT_USB_PATH,	/* "1-2.3"; or a PCI address, or the name of a port */
	IFPP_UNIT_STATION,	/* that worked on it */
	IFPP_UNIT_BOARD_SERIAL,	/* scanned, as the next one is */
	IFPP_UNIT_WORK_ORDER,
	IFPP_UNIT_FIELDS
} IfppUnitField;

/* Each is NULL if nobody has told it. */
typedef struct {
	char *field[IFPP_UNIT_FIELDS];
} IfppUnit;

/* In JSON and in databases: "imei". */
extern const char *const ifpp_unit_names[IFPP_UNIT_FIELDS];
/* In key files: "Imei". */
extern const char *const ifpp_unit_keys[IFPP_UNIT_FIELDS];

/* Printable UTF-8, no blank at an end, 1 to IFPP_UNIT_TEXT_MAX bytes. */
gboolean ifpp_unit_text_valid(const char *text);

/**
 * ifpp_unit_set() - what one field is
 * @unit: gets a copy
 * @field: which
 * @text: blanks at its ends do not count; NULL or empty: nobody has told it
 *
 * Return: FALSE: it is not fit for a record, and the field is as it was
 */
gboolean ifpp_unit_set(IfppUnit *unit, IfppUnitField field, const char *text);
/* Fields of @from that @unit has not. */
void ifpp_unit_fill(IfppUnit *unit, const IfppUnit *from);
gboolean ifpp_unit_is_empty(const IfppUnit *unit);
void ifpp_unit_clear(IfppUnit *unit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IfppUnit, ifpp_unit_clear)

/* From a group of a key file, or to its text; what is not there, or not fit, is not told. */
void ifpp_unit_read(IfppUnit *unit, GKeyFile *kf, const char *group);
void ifpp_unit_write(const IfppUnit *unit, GString *text);

/* A file with nothing but group [Unit]; what is told already stays. */
void ifpp_unit_load(IfppUnit *unit, const char *dir, const char *file);
/**
 * ifpp_unit_save() - write such a file, unless it says the same already
 * @unit: what it is to say
 * @dir: where
 * @file: its name
 * @error: IFPP_ERROR_ACCESS, NO_SPACE, IO, DISK
 */
gboolean ifpp_unit_save(const IfppUnit *unit, const char *dir, const char *file, GError **error);

/**
 * ifpp_port_path() - where a modem's port is plugged
 * @class_dir: /sys/class
 * @device: /dev/cdc-wdm0
 *
 * Return: "1-2.3" of its USB device, else "0000:01:00.0" of its PCI device, else NULL
 */
char *ifpp_port_path(const char *class_dir, const char *device);

/*
 * 15 digits whose last one checks the others (ITU-T E.118 annex B), as they are; of 16 the last two are the software's version, which
 * is not the device: they give way to the check digit. FALSE: @text is neither.
 */
gboolean ifpp_imei_read(const char *text, char imei[16]);

/* An IMEI as logs have it: eight digits, dots, two digits. In place; what is none stays. */
void ifpp_imei_mask(char *imei);

#endif
