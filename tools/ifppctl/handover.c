// SPDX-License-Identifier: GPL-2.0-or-later
/* handover: from the factory to the field, for ifpp-handover.service. */
#include "ctl.h"
#include "explain.h"
#include "gateway.h"
#include "lock.h"

#include <file.h>

/* udev and the units look at these. The first is of this boot, the second only spares the next one the question. */
#define MARK_BOOT "/run/ifpp-field/handed-over"
#define MARK_CACHE "/var/lib/ifpp/field"

/* Is this machine one of the field? Its chips and its anchor say so, not a file. */
static gboolean is_due(IfppNetlink *nl, GError **error)
{
	const char *file = ctl_gateway_file();
	IfppNlHost host;

	if (!ifpp_netlink_host_get(nl, &host, error))
		return FALSE;
	if (host.state == IFPP_STATE_FACTORY && !file) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "handover: nothing to do, this machine is a station: there is no "
			    CTL_GATEWAY_ETC);
		return FALSE;
	}
	if (host.state != IFPP_STATE_LOCKED)
		return ctl_gateway_finished(file, CTL_OUTBOX, nl, error);
	/* Locked before: a chip that is broken or gone by now keeps no modem from the field, one that is still open does. */
	if (host.chips_locked == host.chips)
		return TRUE;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "handover: not yet, %u of %u chips are locked", host.chips_locked,
		    host.chips);
	return FALSE;
}

static gboolean put_mark(Ctl *ctl, const char *path)
{
	static const char text[] = "The chips of this machine are locked for life. This file may be deleted.\n";
	g_autoptr(GError) error = NULL;

	if (ifpp_file_write(path, text, sizeof(text) - 1, 0644, &error))
		return TRUE;
	ctl_say(&ctl->out, "%s: not written: %s.", path, error->message);
	return FALSE;
}

int ctl_cmd_handover(Ctl *ctl, int argc, char **argv, GError **error)
{
	gboolean check = FALSE, boot, cache;
	const GOptionEntry entries[] = {
		{ "check", 0, 0, G_OPTION_ARG_NONE, &check, "Only tell whether its chips are finished", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(IfppNetlink) nl = NULL;
	int exit;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Lock this machine when every chip that it expects is locked, and mark it as one of the field. "
		       "ifpp-handover.service does it; what the machine expects is in " CTL_GATEWAY_ETC ".", error))
		return 0;
	if (argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "handover: it takes options only");
		return 0;
	}
	nl = ifpp_netlink_new(error);
	if (!nl || !is_due(nl, error) || check)
		return IFPP_EXIT_OK;
	exit = ctl_lock_host(ctl, error);
	if (exit || *error)
		return exit;
	/* A machine without one of them finds out again, each boot. */
	boot = put_mark(ctl, MARK_BOOT);
	cache = put_mark(ctl, MARK_CACHE);
	if (boot || cache)
		return IFPP_EXIT_OK;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_IO, "handover: the machine is locked, and neither " MARK_BOOT " nor " MARK_CACHE
		    " can be written. Make one of them writable");
	return 0;
}
