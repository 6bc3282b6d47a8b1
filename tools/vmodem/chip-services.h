/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chip's services, each on top of chip-base.h. */
#ifndef VMODEM_CHIP_SERVICES_H
#define VMODEM_CHIP_SERVICES_H

#include "chip-base.h"

#define CHIP_TAG_GET_CERTS 0xBF56

/* A row of a table of services; the last one's tag is 0. */
typedef struct {
	guint32 tag;
	enum {
		SERVE_WITH_KEYS = 1,	/* also while a one-time key is left */
		SERVE_IN_LOAD = 2,	/* also between two segments of a load */
	} when;
	/* @value: of the command's TLV. Appends the response to @out. Return: status word */
	guint16 (*serve)(Chip *chip, guint channel, IfppSpan value, GByteArray *out);
} ChipService;

extern const ChipService chip_factory_services[];	/* FF21 to FF26 */
extern const ChipService chip_session_services[];	/* ES10b: BF2E, BF38, BF21, BF41 */
extern const ChipService chip_field_services[];		/* ES10c, and what is left of ES10a and ES10b */
extern const ChipService chip_iot_services[];		/* SGP.32, of an IoT eUICC only */

/* chip-field.c: sign that @profile is deleted, in the factory: for nobody's address. FALSE: as chip_commit() */
gboolean chip_note_rework(Chip *chip, IfppChipProfile *profile);
/* What an IPA can have as well as an LPA. Status word SW_OK or SW_MEMORY_FAILURE; @result: as of ES10c */
guint16 chip_enable(Chip *chip, IfppChipProfile *profile, gboolean refresh, guint8 *result);

/* Bits of eUICCMemoryReset */
#define CHIP_RESET_OPERATIONAL 0x80
#define CHIP_RESET_TEST 0x40
#define CHIP_RESET_DP_ADDRESS 0x20
#define CHIP_RESET_PRELOADED_TEST 0x10	/* from here on SGP.32; no test profile is preloaded */
#define CHIP_RESET_PROVISIONING 0x08
#define CHIP_RESET_EIMS 0x04
#define CHIP_RESET_IMMEDIATE 0x02

guint16 chip_reset(Chip *chip, guint8 what, guint8 *result);
/* SetDefaultDpAddress: 80 address. FALSE: wrong data. */
gboolean chip_take_dp_address(Chip *chip, IfppSpan value, gboolean *stored);

/* chip-load.c */
/* Is this the tag of a segment? */
gboolean chip_load_tag(guint32 tag);
guint16 chip_load_segment(Chip *chip, guint channel, IfppSpan segment, GByteArray *out);
/* The channel was closed or reset under a load: sign what became of it. FALSE: as chip_commit() */
gboolean chip_load_interrupt(Chip *chip);
/* After power-up: sign the result of a load that was cut off. */
gboolean chip_load_recover(Chip *chip);

/* chip-es10.c: one whole ES10 command, or BPP segment, to the ISD-R. Appends the response to @out. Return: status word */
guint16 chip_es10(Chip *chip, guint channel, IfppSpan command, GByteArray *out);

#endif
