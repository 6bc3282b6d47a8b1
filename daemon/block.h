/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long an APDU a modem takes: remembered for its model and firmware, and tried again from time to time. */
#ifndef IFPPD_BLOCK_H
#define IFPPD_BLOCK_H

#include <glib.h>

#define BLOCK_MAX 255		/* bytes of data in a short APDU */

typedef struct _Block Block;

/**
 * block_new() - what is remembered of a modem
 * @dir: where, one file for each model and firmware
 * @model: as the modem says it, or NULL
 * @revision: of its firmware, or NULL
 */
Block *block_new(const char *dir, const char *model, const char *revision);
void block_free(Block *block);

/* Bytes of data that are known to work; BLOCK_MAX for a modem never met. */
guint block_size(Block *block);

/**
 * block_for() - the size with which a command begins
 * @block: of the modem
 * @len: bytes of the command
 * @may_try: the command may be repeated, so a larger size than the known one may be tried with it
 */
guint block_for(Block *block, gsize len, gboolean may_try);

/* The next size below @size that also is below @len; 0: there is none. */
guint block_below(guint size, gsize len);

/**
 * block_took() - blocks of this size were taken
 * @block: of the modem
 * @size: of a block that the modem and the chip accepted
 * @refused: a larger one was refused before, in the same command
 */
void block_took(Block *block, guint size, gboolean refused);

#endif
