/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Columns of subscriber records that are encrypted (GSMA FS.28), as pySim's tools do it: AES-CBC over the bytes of the hex digits,
 * without padding, with an initial vector of sixteen bytes 23. The transport key never leaves its token.
 */
#ifndef SMDPF_TRANSPORT_H
#define SMDPF_TRANSPORT_H

#include <glib.h>

typedef struct _Transport Transport;

/**
 * transport_new() - one transport key, and what it is for
 * @text: COLUMN=pkcs11:token=…;object=…#KCV
 * @error: IFPP_ERROR_USAGE
 *
 * A cipher without integrity tells no wrong key from a right one, so the key's check value must be given: the first three
 * bytes of a block of zeros encrypted by it.
 */
Transport *transport_new(const char *text, GError **error);
void transport_free(Transport *transport);

/* COLUMN, which names a column or the beginning of several. */
const char *transport_column(const Transport *transport);

/* Is a column of this name meant, or one of its group: "SCP80-KVN01" has SCP80-KVN01-ENC? */
gboolean transport_covers(const Transport *transport, const char *name);

/**
 * transport_check() - is it the right key, and does it stay in the token?
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN
 */
gboolean transport_check(Transport *transport, GError **error);

/**
 * transport_decrypt() - a field in clear
 * @text: what is in the file
 * @error: IFPP_ERROR_USAGE: not whole blocks in hex; IFPP_ERROR_TOKEN, PIN
 *
 * Return: hex digits; to be wiped
 */
char *transport_decrypt(Transport *transport, const char *text, GError **error);

#endif
