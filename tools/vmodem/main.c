// SPDX-License-Identifier: GPL-2.0-or-later
/* ifpp-vmodem: a virtual cellular modem with a virtual eUICC inside. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <glib-unix.h>

#include "control.h"
#include "error.h"
#include "gadget.h"
#include "modem.h"
#include "options.h"
#include "transport.h"

#define PROGRAM "ifpp-vmodem"

typedef struct {
	char *chip, *socket, *pty, *protocol_name, *functionfs, *gadget, *udc, *control, *link, *quirks;
	int max_clients, max_channels;
	ModemProtocol protocol;
	gboolean qrtr, version;
} Options;

static gboolean on_signal(gpointer user)
{
	g_main_loop_quit(user);
	return G_SOURCE_REMOVE;
}

static gboolean parse_protocol(Options *o)
{
	static const char *const names[] = {
		[MODEM_QMI] = "qmi", [MODEM_MBIM_QMI] = "mbim-qmi", [MODEM_MBIM] = "mbim",
	};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		if (g_strcmp0(o->protocol_name, names[i]))
			continue;
		o->protocol = i;
		return TRUE;
	}
	return !o->protocol_name;
}

static gboolean parse_options(Options *o, int *argc, char ***argv, GError **error)
{
	GOptionEntry entries[] = {
		{ "chip", 0, 0, G_OPTION_ARG_FILENAME, &o->chip, "Chip memory made by ifpp-eum", "FILE" },
		{ "socket", 0, 0, G_OPTION_ARG_FILENAME, &o->socket,
		  "Be a modem on this Unix socket; libqmi wants \"qmux_socket\" in its path", "PATH" },
		{ "pty", 0, 0, G_OPTION_ARG_FILENAME, &o->pty,
		  "Be a modem on a pseudo terminal, to which PATH becomes a link; libmbim opens that", "PATH" },
		{ "qrtr", 0, 0, G_OPTION_ARG_NONE, &o->qrtr, "Be a modem on QRTR, with this machine's own node", NULL },
		{ "protocol", 0, 0, G_OPTION_ARG_STRING, &o->protocol_name,
		  "qmi (default), mbim-qmi: MBIM with QMI inside, or mbim: without", "NAME" },
		{ "functionfs", 0, 0, G_OPTION_ARG_FILENAME, &o->functionfs,
		  "Be a USB modem on this functionfs mount", "DIR" },
		{ "gadget", 0, 0, G_OPTION_ARG_STRING, &o->gadget,
		  "The USB gadget of --functionfs; made and mounted if need be", "NAME" },
		{ "udc", 0, 0, G_OPTION_ARG_STRING, &o->udc, "USB device controller (first free one)",
		  "NAME" },
		{ "control", 0, 0, G_OPTION_ARG_FILENAME, &o->control, "Socket for control commands",
		  "PATH" },
		{ "max-clients", 0, 0, G_OPTION_ARG_INT, &o->max_clients, "QMI client ids per service (16)",
		  "N" },
		{ "max-channels", 0, 0, G_OPTION_ARG_INT, &o->max_channels, "Logical channels (19)", "N" },
		{ "link", 0, 0, G_OPTION_ARG_STRING, &o->link,
		  "Be as slow as a real card: \"default\", or t0, t1, pps=96, clock=4000,...", "MODEL" },
		{ "quirks", 0, 0, G_OPTION_ARG_FILENAME, &o->quirks,
		  "Have the character of this file, for ever", "FILE" },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context = g_option_context_new("");
	g_autoptr(GError) inner = NULL;

	g_option_context_set_summary(context,
		"A virtual cellular modem with a virtual eUICC inside, for tests.\n\n"
		"  ifpp-vmodem gadget up|down|bind|unbind --name NAME [--functionfs DIR] [--udc NAME]\n"
		"  ifpp-vmodem control PATH WORD...");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!ifpp_options_check(entries, *argc, *argv, error))
		return FALSE;
	if (!g_option_context_parse(context, argc, argv, &inner))
		return ifpp_usage_error(error, inner->message);
	if (o->version)
		return TRUE;
	if (*argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: no such command", (*argv)[1]);
		return FALSE;
	}
	if (!o->chip)
		return ifpp_usage_error(error, "--chip is missing");
	if (!!o->socket + !!o->pty + !!o->functionfs + o->qrtr != 1)
		return ifpp_usage_error(error, "give one of --socket, --pty, --qrtr and --functionfs");
	if (!parse_protocol(o))
		return ifpp_usage_error(error, "--protocol is qmi, mbim-qmi or mbim");
	if ((o->functionfs || o->qrtr) && o->protocol != MODEM_QMI)
		return ifpp_usage_error(error, "--functionfs and --qrtr speak QMI only");
	if (o->gadget && !o->functionfs)
		return ifpp_usage_error(error, "--gadget goes with --functionfs");
	if (o->max_clients < 1 || o->max_clients > 254)
		return ifpp_usage_error(error, "--max-clients is 1 to 254");
	if (o->max_channels < 1 || o->max_channels > CHIP_CHANNELS - 1)
		return ifpp_usage_error(error, "--max-channels is 1 to 19");
	return TRUE;
}

static gboolean run(Options *o, GError **error)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(Modem) modem = NULL;
	g_autoptr(Control) control = NULL;
	g_autoptr(Transport) transport = NULL;
	Quirks quirks = { 0 };
	WireModel wire;
	Chip *chip;

	if (o->quirks && !quirks_load(o->quirks, &quirks, error))
		return FALSE;
	if (o->link && !wire_parse(o->link, &wire, error))
		return FALSE;
	chip = chip_new(o->chip, error);
	if (!chip)
		return FALSE;
	chip_set_max_channels(chip, o->max_channels);
	modem = modem_new(chip);
	modem_set_quirks(modem, &quirks);
	modem_set_max_clients(modem, o->max_clients);
	modem_set_protocol(modem, o->protocol);
	if (o->link)
		modem_set_wire(modem, &wire);
	if (o->control) {
		control = control_new(modem, o->control, error);
		if (!control)
			return FALSE;
	}
	transport = o->socket ? transport_new_socket(modem, o->socket, error) :
		    o->pty ? transport_new_pty(modem, o->pty, error) :
		    o->qrtr ? transport_new_qrtr(modem, error) :
			     transport_new_functionfs(modem, o->functionfs, o->gadget, o->udc, error);
	if (!transport)
		return FALSE;
	g_unix_signal_add(SIGTERM, on_signal, loop);
	g_unix_signal_add(SIGINT, on_signal, loop);
	puts(PROGRAM ": ready");
	fflush(stdout);
	g_main_loop_run(loop);
	return TRUE;
}

static int modem_main(int argc, char **argv)
{
	Options o = { .max_clients = 16, .max_channels = CHIP_CHANNELS - 1 };
	g_autoptr(GError) error = NULL;
	gboolean ok;

	ok = parse_options(&o, &argc, &argv, &error);
	if (ok && o.version)
		puts(PROGRAM " " IFPP_VERSION);
	else if (ok)
		ok = run(&o, &error);
	g_free(o.chip);
	g_free(o.socket);
	g_free(o.pty);
	g_free(o.protocol_name);
	g_free(o.functionfs);
	g_free(o.gadget);
	g_free(o.udc);
	g_free(o.control);
	g_free(o.link);
	g_free(o.quirks);
	return ok ? IFPP_EXIT_OK : ifpp_error_exit(PROGRAM, error);
}

static int control_main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *answer = NULL;

	if (argc < 3) {
		ifpp_usage_error(&error, "usage: " PROGRAM " control PATH WORD...");
		return ifpp_error_exit(PROGRAM, error);
	}
	answer = control_ask(argv[1], argv + 2, &error);
	if (!answer)
		return ifpp_error_exit(PROGRAM, error);
	puts(answer);
	return g_str_has_prefix(answer, "{\"error\"") ? IFPP_EXIT_FAILED : IFPP_EXIT_OK;
}

static int gadget_main(int argc, char **argv)
{
	g_autofree char *name = NULL, *dir = NULL, *udc = NULL;
	g_autoptr(GOptionContext) context = g_option_context_new("up|down|bind|unbind");
	g_autoptr(GError) error = NULL;
	GOptionEntry entries[] = {
		{ "name", 0, 0, G_OPTION_ARG_STRING, &name, "Name of the gadget in configfs", "NAME" },
		{ "functionfs", 0, 0, G_OPTION_ARG_FILENAME, &dir, "Where to mount (/run/ifpp-vmodem/NAME)",
		  "DIR" },
		{ "udc", 0, 0, G_OPTION_ARG_STRING, &udc, "USB device controller (first free one)", "NAME" },
		G_OPTION_ENTRY_NULL
	};
	gboolean ok;

	g_option_context_add_main_entries(context, entries, NULL);
	ok = ifpp_options_check(entries, argc, argv, &error) && g_option_context_parse(context, &argc, &argv, &error);
	if (!ok || argc != 2 || !name) {
		g_clear_error(&error);
		ifpp_usage_error(&error, "usage: " PROGRAM " gadget up|down|bind|unbind --name NAME");
		return ifpp_error_exit(PROGRAM, error);
	}
	if (!dir)
		dir = g_build_filename("/run/ifpp-vmodem", name, NULL);
	if (!strcmp(argv[1], "up"))
		ok = gadget_up(name, dir, &error);
	else if (!strcmp(argv[1], "down"))
		ok = gadget_down(name, dir, &error);
	else if (!strcmp(argv[1], "bind"))
		ok = gadget_bind(name, udc, &error);
	else if (!strcmp(argv[1], "unbind"))
		ok = gadget_unbind(name, &error);
	else
		ok = ifpp_usage_error(&error, "gadget: up, down, bind or unbind");
	return ok ? IFPP_EXIT_OK : ifpp_error_exit(PROGRAM, error);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_set_prgname(PROGRAM);
	if (argc > 1 && !strcmp(argv[1], "control"))
		return control_main(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "gadget"))
		return gadget_main(argc - 1, argv + 1);
	return modem_main(argc, argv);
}
