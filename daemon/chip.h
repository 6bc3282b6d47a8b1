/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a chip is: all that this process knows of it. What is done to it is job.h's. */
#ifndef IFPPD_CHIP_H
#define IFPPD_CHIP_H

#include <linux/ifpp.h>
#include "codec.h"
#include "es10.h"
#include "outbox.h"

#define CHIP_LOCKED 2		/* the codec's state, IfppFactoryInfo */

/**
 * struct Chip - one chip in one modem
 * @modem: open; not owned
 * @es10: commands to it
 * @codec: how its factory functions look as bytes
 * @trust_dir: CI roots and CRLs
 * @trust: as last read
 * @state_dir: where its outbox is
 * @policy: of the station, given, or NULL: see ifpp_policy_find(); not owned
 * @show_ids: EIDs and ICCIDs in full to the log
 * @eid: once it was asked
 * @name: its EID for logs, masked unless asked
 * @full: its full export, verified; NULL until it has been met (ask.h)
 * @now: its last word; unsigned
 * @now_valid: nothing was sent since that could have changed it
 * @proven: a lock receipt that verifies is in the outbox
 * @outbox: what it signed, on disk
 * @disk: why something that it signed could not be stored, the last time it was asked; or NULL
 */
typedef struct {
	Modem *modem;
	Es10 *es10;
	const Codec *codec;
	char *trust_dir;
	IfppTrust *trust;
	char *state_dir;
	const char *policy;
	gboolean show_ids;
	guint8 eid[16];
	char name[33];
	IfppFactoryInfo *full;
	IfppFactoryInfo *now;
	gboolean now_valid;
	gboolean proven;
	Outbox *outbox;
	GError *disk;
} Chip;

/*
 * Read the CI roots, CRLs, the list of Key Makers and what is known of the time again if they have changed; a file that
 * is not used is named in the log, once. As ifpp_trust_reload().
 */
gboolean chip_read_trust(Chip *chip, GError **error);

/* Its outbox, in which records tell the unit that its modem is. As outbox_open() */
Outbox *chip_open_outbox(Chip *chip, GError **error);

Chip *chip_new(Modem *modem, const Codec *codec, const char *trust_dir, const char *state_dir, gboolean show_ids);
void chip_free(Chip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chip, chip_free)

const guint8 *chip_eid(Chip *chip);
const char *chip_name(Chip *chip);
void chip_set_eid(Chip *chip, const guint8 eid[16]);
/* An ICCID for the log, masked unless asked */
void chip_iccid_name(Chip *chip, const guint8 iccid[10], char name[21]);
/* A copy of a message in which the chip's EID and the modem's IMEI are masked unless asked: paths and certificates name it. */
char *chip_redact(Chip *chip, const char *text);
guint32 chip_state(Chip *chip);		/* enum ifpp_state */
guint32 chip_spent(Chip *chip);
guint chip_unspent(Chip *chip);
/* struct ifpp_key: the unspent keys; @with_spent: then those known to be spent, at most as many as the chip says it spent. */
GArray *chip_keys(Chip *chip, gboolean with_spent);
gboolean chip_proven(Chip *chip);

/* Send one command (taken) of the step machine of @task, which goes to @cb. */
void chip_send(Chip *chip, GTask *task, const char *what, GBytes *command, gint64 deadline, GAsyncReadyCallback cb);

/**
 * chip_keep_pir() - bring a verified result into the outbox
 * @chip: met
 * @attempt: that it ends; its counters are kept
 * @bytes: of the result
 * @pir: the same, parsed
 * @error: of outbox_store(); the result must stay in the chip then
 *
 * With Report=field in the policy it stays in the chip anyway, and the attempt is marked so.
 */
gboolean chip_keep_pir(Chip *chip, IfppAttempt *attempt, GBytes *bytes, IfppPir *pir, GError **error);
/* Keep a copy of what is not ours, or cannot be read or proven. Told once; it stops nothing, and stays in the chip. */
void chip_set_aside(Chip *chip, GBytes *bytes, const char *why);

#endif
