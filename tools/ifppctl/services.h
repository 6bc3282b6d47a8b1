/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The station's units that ended badly, as systemd knows them: what to tell a person, and what to start again. */
#ifndef IFPPCTL_SERVICES_H
#define IFPPCTL_SERVICES_H

#include <gio/gio.h>

#include "output.h"

typedef struct {
	char *unit;		/* "ifppd@cdc-wdm0.service" */
	char *node;		/* "cdc-wdm0", or "" */
	gboolean waiting;	/* it is started again by itself, after a pause */
	gboolean done;		/* it did not fail: a provisioning that went well */
	gboolean running;	/* it has not ended */
	int exit;		/* IfppExit, or negative: killed by that signal */
	guint tries;		/* that failed since it was last started by anything but a pause */
	gint64 started, ended;	/* us, real time: its last start and end; 0: not yet */
	char *message;		/* the program's own words, or "" */
} CtlService;

void ctl_service_free(CtlService *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlService, ctl_service_free)

typedef enum {
	CTL_SERVICES_DONE = 1,		/* provisionings that went well too */
	CTL_SERVICES_STARTING = 2,	/* daemons too that failed and are being tried again right now */
	CTL_SERVICES_RUNNING = 4,	/* provisionings too that have not ended */
} CtlServices;

/**
 * ctl_systemd() - the bus on which systemd is
 *
 * @error: there is none
 *
 * Return: a reference to it.
 */
GDBusConnection *ctl_systemd(GError **error);

/**
 * ctl_services() - units whose last run failed and whose device is still there
 * @more: what else, CtlServices
 *
 * @error: systemd cannot be asked
 *
 * Return: of CtlService, in systemd's order.
 */
GPtrArray *ctl_services(guint more, GError **error);

/**
 * ctl_systemd_follow() - hear of it when the state of a unit changes, whichever it is
 * @bus: of ctl_systemd()
 * @changed: called in the main loop
 * @user: for it
 *
 * @error: systemd cannot be asked
 */
gboolean ctl_systemd_follow(GDBusConnection *bus, GDBusSignalCallback changed, gpointer user, GError **error);

/* Start it again, running or not, and do not wait for it. */
gboolean ctl_service_restart(GDBusConnection *bus, const CtlService *service, GError **error);

/* The one of a node that failed, else one that has not ended; NULL: none. */
const CtlService *ctl_services_of(GPtrArray *services, const char *node);

/**
 * ctl_to_do() - what is still to be done with a chip, in a few words
 * @state: the driver's, enum ifpp_state
 * @installed: packages in this visit
 * @service: ctl_services_of() its node
 */
const char *ctl_to_do(guint32 state, guint64 installed, const CtlService *service);

/* It went wrong and has not begun again. */
gboolean ctl_service_failed(const CtlService *service);

/* One line for people: what failed, why, and what becomes of it; free it. */
char *ctl_service_line(CtlOutput *out, const CtlService *service);
/* The same as an object of type "service"; free it. */
char *ctl_service_json(const CtlService *service);

#endif
