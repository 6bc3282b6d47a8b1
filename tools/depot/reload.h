/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Certificates, CRLs and CI roots that change while the depot serves. What cannot be read, or is being written, leaves in
 * use what was read before; that it is so is told in the log and in the figures until it can be read.
 */
#ifndef IFPP_DEPOT_RELOAD_H
#define IFPP_DEPOT_RELOAD_H

#include <package.h>

#include "tls.h"

typedef struct _Reload Reload;

/* What was read, and is to be used from here on. */
enum { RELOAD_CERTIFICATES = 1 << 0, RELOAD_CI_ROOTS = 1 << 1 };

/**
 * reload_new() - read everything for the first time
 * @files: certificates and CRLs
 * @trust: directory of CI roots and CRLs; both must outlive it
 * @tell: called with each line for the log
 * @error: as tls_load(), or IFPP_ERROR_IO, CHAIN: there is no CI root
 */
Reload *reload_new(const TlsFiles *files, const char *trust, void (*tell)(const char *line), GError **error);
void reload_free(Reload *reload);

/* The certificates in use, of which the caller gets a reference. */
Tls *reload_tls(Reload *reload);

/**
 * reload_look() - have the files changed?
 * @reload: what was read
 * @asked: read them in any case
 *
 * Called once a second. A file that has changed is read when it has not changed for that long: so it is not read half.
 *
 * Return: RELOAD_CERTIFICATES, RELOAD_CI_ROOTS, both or 0
 */
guint reload_look(Reload *reload, gboolean asked);

/**
 * reload_trust() - read the CI roots again
 * @trust: those in use; replaced, if nothing is wrong with the files that was not wrong before
 * @dir: their directory
 * @error: what is wrong; @trust is as it was
 */
gboolean reload_trust(IfppTrust **trust, const char *dir, GError **error);

/**
 * reload_trouble() - is something else in use than what the files say?
 * @reload: what was read
 * @since: set to Unix ms of the first attempt that failed; 0: none
 * @at: set to Unix ms of the last attempt that did not fail
 *
 * Any thread.
 *
 * Return: why, to be freed; NULL: all is read
 */
char *reload_trouble(Reload *reload, gint64 *since, gint64 *at);

#endif
