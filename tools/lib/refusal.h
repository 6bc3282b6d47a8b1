/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refusals: what the daemon notes of a package that it did not load, and why (ESBPP03). Nothing of it is signed; the
 * next one of the same key replaces it (Documentation/daemon.rst, Files).
 */
#ifndef IFPP_REFUSAL_H
#define IFPP_REFUSAL_H

#include "tlv.h"

#define IFPP_REFUSAL_SUFFIX ".refused"

/**
 * struct IfppRefusal - a package that was not loaded
 * @key_id: of the package
 * @reason: IfppError
 * @why: for people
 * @time: ISO 8601
 */
typedef struct {
	guint8 key_id[32];
	guint reason;
	char *why;
	char *time;
} IfppRefusal;

void ifpp_refusal_free(IfppRefusal *refusal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppRefusal, ifpp_refusal_free)

/**
 * ifpp_refusal_write() - note it beside the attempts of the chip
 * @dir: of the chip's outbox
 * @eid: of the chip
 * @refusal: what there is to say
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 */
gboolean ifpp_refusal_write(const char *dir, const guint8 eid[16], const IfppRefusal *refusal, GError **error);

/**
 * ifpp_refusals_read() - all of one chip
 * @dir: of the chip's outbox; none: no refusals
 * @eid: of the chip
 *
 * One that cannot be read is passed over: it is nobody's evidence.
 *
 * Return: of IfppRefusal, sorted by key
 */
GPtrArray *ifpp_refusals_read(const char *dir, const guint8 eid[16]);

#endif
