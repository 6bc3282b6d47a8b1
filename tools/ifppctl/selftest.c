// SPDX-License-Identifier: GPL-2.0-or-later
/* The modem and its chip are the daemon's business: it tests them itself, we only call it. */
#include "ctl.h"

#include <errno.h>
#include <error.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

/* Where ports of QMI and MBIM are: -d, or the only one that this machine has. */
static char *find_port(const char *given, GError **error)
{
	glob_t ports = { 0 };
	char *path = NULL;

	if (given)
		return strchr(given, '/') ? g_strdup(given) : g_strconcat("/dev/", given, NULL);
	glob("/dev/cdc-wdm[0-9]*", 0, NULL, &ports);
	glob("/dev/wwan[0-9]*qmi[0-9]*", ports.gl_pathc ? GLOB_APPEND : 0, NULL, &ports);
	glob("/dev/wwan[0-9]*mbim[0-9]*", ports.gl_pathc ? GLOB_APPEND : 0, NULL, &ports);
	if (ports.gl_pathc > 1)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "several ports are here, %s and others; name one with --device",
			    ports.gl_pathv[0]);
	else if (ports.gl_pathc)
		path = g_strdup(ports.gl_pathv[0]);
	else
		path = g_strdup("/dev/cdc-wdm0");	/* the test says that it is not there */
	globfree(&ports);
	return path;
}

int ctl_cmd_selftest(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *ifppd = NULL;
	g_autofree char *trust = NULL;
	g_autofree char *port = NULL;
	g_autofree char *slot_text = NULL;
	g_autoptr(GPtrArray) args = g_ptr_array_new();
	int slot = 0, err;
	const GOptionEntry entries[] = {
		{ "slot", 0, 0, G_OPTION_ARG_INT, &slot, "Physical SIM slot (default: the active one)", "N" },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust, "CI roots and CRLs (default /etc/ifpp/ci)",
		  "DIR" },
		{ "ifppd", 0, 0, G_OPTION_ARG_FILENAME, &ifppd, "The daemon that knows modems", "PATH" },
		G_OPTION_ENTRY_NULL
	};

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Tell whether this modem and its chip can be provisioned, and if not, why and what to do.\n"
		       "Here --device is the modem's QMI port, such as /dev/cdc-wdm0. It takes a client of the modem's and one logical "
		       "channel of the card, and gives both back; channels and clients of others are left alone.",
		       error))
		return 0;
	if (argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: a word too many", argv[1]);
		return 0;
	}
	port = find_port(ctl->device, error);
	if (!port)
		return 0;
	if (!ifppd)
		ifppd = g_strdup(IFPPD_PATH);
	slot_text = g_strdup_printf("%d", slot);
	g_ptr_array_add(args, ifppd);
	g_ptr_array_add(args, (char *)"--selftest");
	g_ptr_array_add(args, (char *)"--device");
	g_ptr_array_add(args, port);
	g_ptr_array_add(args, (char *)"--slot");
	g_ptr_array_add(args, slot_text);
	if (trust) {
		g_ptr_array_add(args, (char *)"--trust");
		g_ptr_array_add(args, trust);
	}
	if (ctl->out.json)
		g_ptr_array_add(args, (char *)"--json");
	if (ctl->out.json || ctl->out.terminal || ctl->out.show_ids)
		g_ptr_array_add(args, (char *)"--show-ids");
	g_ptr_array_add(args, NULL);
	execv(ifppd, (char **)args->pdata);
	err = errno;
	g_set_error(error, IFPP_ERROR, err == EACCES ? IFPP_ERROR_ACCESS : IFPP_ERROR_IO, "%s: %s", ifppd,
		    g_strerror(err));
	return 0;
}
