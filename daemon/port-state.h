/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a successor must know of a QMI port, so that the modem loses no client id. It belongs to one boot. */
#ifndef IFPPD_PORT_STATE_H
#define IFPPD_PORT_STATE_H

#include <glib.h>

/**
 * struct PortState - which client ids are ours
 * @path: file
 * @instance: of the port's node: client ids do not outlive it
 * @uim: client id, 0: none
 * @dms: client id, 0: none
 * @allocating: one was asked for, and may be known to the modem only
 */
typedef struct {
	char *path;
	char *instance;
	guint8 uim, dms;
	gboolean allocating;
} PortState;

/* Read what a predecessor left for @device in @dir; what belongs to another boot or node does not count. */
void port_state_load(PortState *state, const char *dir, const char *device);
/* Nothing is kept of a port whose state was never loaded. IFPP_ERROR_NO_SPACE, ACCESS, IO */
gboolean port_state_save(PortState *state, GError **error);
void port_state_clear(PortState *state);

#endif
