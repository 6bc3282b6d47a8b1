/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual eUICC behind its APDU interface (SGP.22 ES10, Documentation/chip-codec.rst). */
#ifndef VMODEM_CHIP_H
#define VMODEM_CHIP_H

#include "chipmem.h"
#include "quirks.h"
#include "upp.h"

#define CHIP_CHANNELS 20	/* logical channels 0 to 19 */

#define SW_OK 0x9000
#define SW_PROACTIVE 0x9100	/* done, and a proactive command of so many bytes waits */
#define SW_MEMORY_FAILURE 0x6581
#define SW_WRONG_LENGTH 0x6700
#define SW_NO_CHANNEL 0x6881
#define SW_CONDITIONS 0x6985
#define SW_WRONG_DATA 0x6A80
#define SW_NO_FREE_CHANNEL 0x6A81
#define SW_NOT_FOUND 0x6A82
#define SW_NO_MEMORY 0x6A84
#define SW_WRONG_P1P2 0x6A86
#define SW_NO_REFERENCE 0x6A88
#define SW_WRONG_INS 0x6D00
#define SW_WRONG_CLA 0x6E00

typedef struct _Chip Chip;

/**
 * chip_new() - a chip on its memory file, powered
 * @path: made by ifpp-eum
 * @error: as ifpp_chipmem_load()
 */
Chip *chip_new(const char *path, GError **error);
void chip_free(Chip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chip, chip_free)

/* Cold start: RAM is gone, the file is the state. A load that was cut off gets its result here. */
gboolean chip_power_on(Chip *chip, GError **error);
void chip_power_off(Chip *chip);
/* Off for a reset of the card, as REFRESH asks for: a test of connectivity outlives it. */
void chip_power_reset(Chip *chip);
gboolean chip_powered(const Chip *chip);

/**
 * chip_transmit() - one command APDU
 * @chip: the chip
 * @channel: logical channel, as the modem knows it; -1: read it from CLA
 * @apdu: the command
 *
 * Return: response data and status word, wipe-free; NULL when the chip has no power, or lost it
 * while it worked.
 */
GByteArray *chip_transmit(Chip *chip, int channel, IfppSpan apdu);

/* What a modem reads off the card or keeps about it. Only while powered. */
const IfppChipMem *chip_memory(const Chip *chip);
/* The enabled profile, for a test of connectivity or by the chip's memory; NULL: none, or no power. */
IfppChipProfile *chip_enabled(const Chip *chip);
/* Applications of the enabled profile; none is enabled: 0. */
guint chip_applications(const Chip *chip, IfppUppApplication out[IFPP_UPP_APPLICATIONS]);
guint chip_channels_open(const Chip *chip);	/* without the basic channel */
void chip_set_max_channels(Chip *chip, guint max);	/* 1..19 besides the basic one */
/* Kept across power cycles; its [Chip] half counts here. */
void chip_set_quirks(Chip *chip, const Quirks *quirks);
/* Watch, and cut, writes of the memory file. Kept across power cycles. */
void chip_set_write_hook(Chip *chip, IfppChipMemHook hook, gpointer user);

/**
 * chip_fail_load() - end the load on a channel as the chip itself might
 * @chip: the chip
 * @channel: of the load
 * @reason: errorReason to sign
 *
 * Return: the ProfileInstallationResult and 9000, as chip_transmit() would; NULL when no load runs there.
 */
GByteArray *chip_fail_load(Chip *chip, int channel, guint reason);

typedef struct {
	guint64 apdus, bytes;		/* commands received, and their bytes */
	guint64 response_bytes;		/* of the answers, status words included */
	guint64 loads;			/* verified BF23s: one-time keys used */
	guint64 installed;
	guint64 writes;			/* of the memory file */
	/* Work that takes a real chip time; link.c knows how much. */
	guint64 signs, verifies;	/* ECDSA P-256 */
	guint64 agreements;		/* ECDH, or the making of a key pair: one point multiplication */
	guint64 cipher_bytes;		/* through AES: decrypted once, or MACed once */
	guint64 nvm_bytes;		/* written to non-volatile memory: what changed, not the whole file */
} ChipStats;

const ChipStats *chip_stats(const Chip *chip);

#endif
