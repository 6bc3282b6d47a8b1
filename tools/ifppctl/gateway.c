// SPDX-License-Identifier: GPL-2.0-or-later
#include "gateway.h"
#include "explain.h"
#include "outbox.h"

#include <eid.h>
#include <file.h>
#include <string.h>
#include <unistd.h>

#define GROUP "Gateway"
#define FILE_MAX (16 * 1024)
#define CHIPS_MAX 64

void ctl_gateway_clear(CtlGateway *gateway)
{
	g_clear_pointer(&gateway->ports, g_strfreev);
}

const char *ctl_gateway_file(void)
{
	if (!access(CTL_GATEWAY_ETC, F_OK))
		return CTL_GATEWAY_ETC;
	return access(CTL_GATEWAY_USR, F_OK) ? NULL : CTL_GATEWAY_USR;
}

static gboolean wrong(GError **error, const char *path, const char *what)
{
	g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: %s. Write [" GROUP "] and below it Chips=N, the number of eSIM "
		    "chips of this machine, or Ports=A;B; see FILES in ifppctl(1)", path, what);
	return FALSE;
}

static gboolean read_ports(GKeyFile *kf, const char *path, CtlGateway *gateway, GError **error)
{
	gsize n = 0;

	gateway->ports = g_key_file_get_string_list(kf, GROUP, "Ports", &n, NULL);
	if (!gateway->ports || !n || n > CHIPS_MAX)
		return wrong(error, path, "Ports is not a list of 1 to 64 ports, separated by ;");
	for (gsize i = 0; i < n; i++) {
		g_strstrip(gateway->ports[i]);
		if (!*gateway->ports[i] || strchr(gateway->ports[i], '/'))
			return wrong(error, path, "Ports has a name that is no USB or PCI port's, such as 1-1.2");
		for (gsize j = 0; j < i; j++)
			if (g_str_equal(gateway->ports[i], gateway->ports[j]))
				return wrong(error, path, "Ports has a port twice");
	}
	gateway->chips = n;
	return TRUE;
}

gboolean ctl_gateway_read(const char *path, CtlGateway *gateway, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, FILE_MAX, error);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *chips = NULL;
	g_autoptr(GError) local = NULL;
	g_auto(GStrv) groups = NULL, keys = NULL;
	guint64 n;

	if (!file)
		return FALSE;
	if (!g_bytes_get_size(file))
		return wrong(error, path, "it is empty and does not say what this machine has");
	if (!g_key_file_load_from_bytes(kf, file, G_KEY_FILE_NONE, &local))
		return wrong(error, path, local->message);
	groups = g_key_file_get_groups(kf, NULL);
	keys = g_key_file_get_keys(kf, GROUP, NULL, NULL);
	if (g_strv_length(groups) != 1 || !keys || g_strv_length(keys) != 1)
		return wrong(error, path, "it does not have one group with one key");
	if (g_str_equal(keys[0], "Ports"))
		return read_ports(kf, path, gateway, error);
	chips = g_key_file_get_string(kf, GROUP, "Chips", NULL);
	if (!chips || !g_ascii_string_to_unsigned(chips, 10, 1, CHIPS_MAX, &n, NULL))
		return wrong(error, path, chips ? "Chips is not a number from 1 to 64" : "its key is neither Chips nor Ports");
	gateway->chips = n;
	return TRUE;
}

/* Has the port a modem? Its QMI port's place in sysfs goes through the port, or one of its interfaces ("1-1.2:1.4"). */
static gboolean has_modem(const char *sys, const char *port)
{
	static const char *const classes[] = { "usbmisc", "wwan" };

	for (guint c = 0; c < G_N_ELEMENTS(classes); c++) {
		g_autofree char *dir = g_build_filename(sys, "class", classes[c], NULL);
		g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
		const char *name;

		while (entries && (name = g_dir_read_name(entries))) {
			g_autofree char *link = g_build_filename(dir, name, NULL);
			g_autofree char *target = g_file_read_link(link, NULL);
			g_auto(GStrv) parts = target ? g_strsplit(target, "/", -1) : NULL;

			if (parts && g_strv_contains((const char *const *)parts, port))
				return TRUE;
		}
	}
	return FALSE;
}

gboolean ctl_gateway_judge(const CtlGateway *gateway, const IfppNlHost *host, const char *sys, GError **error)
{
	g_autoptr(GString) missing = g_string_new(NULL);

	for (guint i = 0; gateway->ports && gateway->ports[i]; i++)
		if (!has_modem(sys, gateway->ports[i]))
			g_string_append_printf(missing, "; no modem on port %s", gateway->ports[i]);
	if (!missing->len && host->chips >= gateway->chips && host->chips_locked >= host->chips)
		return TRUE;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "host lock: not yet, this machine has %u chip%s, %u %s been met since it was "
		    "started, and %u %s locked%s. Finish the others first; ifppctl list shows them", gateway->chips,
		    gateway->chips == 1 ? "" : "s", host->chips, host->chips == 1 ? "has" : "have", host->chips_locked,
		    host->chips_locked == 1 ? "is" : "are", missing->str);
	return FALSE;
}

static gboolean has_receipt(const char *outbox, const guint8 eid[16])
{
	g_autoptr(CtlReceipt) receipt = ctl_outbox_receipt(outbox, eid, NULL);

	return receipt != NULL;
}

gboolean ctl_gateway_proven(const char *outbox, const GArray *devs, const IfppNlHost *host, GError **error)
{
	g_autoptr(GPtrArray) units = ctl_outbox_units(outbox, error);
	guint proven = 0;
	guint8 eid[16];

	if (!units)
		return FALSE;
	for (guint i = 0; i < devs->len; i++) {
		const IfppNlDev *dev = &g_array_index(devs, IfppNlDev, i);

		if (dev->state != IFPP_STATE_LOCKED || has_receipt(outbox, dev->eid))
			continue;
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "host lock: not yet, ifpp%u says that it is locked, and %s has no signed "
			    "receipt of it. ifppctl lock -d ifpp%u has the chip sign one", dev->index, outbox, dev->index);
		return FALSE;
	}
	/* The others have left, as a daemon does once its chip has signed. */
	for (guint i = 0; i < units->len; i++)
		proven += ifpp_eid_parse(units->pdata[i], eid, NULL) && has_receipt(outbox, eid);
	if (proven >= host->chips_locked)
		return TRUE;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "host lock: not yet, chips that say that they are locked: %u, and %s has signed "
		    "receipts of %u. Plug the modems in again, ifppctl lock has their chips sign", host->chips_locked, outbox, proven);
	return FALSE;
}

gboolean ctl_gateway_finished(const char *path, const char *outbox, IfppNetlink *nl, GError **error)
{
	g_auto(CtlGateway) gateway = { 0 };
	g_autoptr(GArray) devs = NULL;
	IfppNlHost host;

	if (!ifpp_netlink_host_get(nl, &host, error))
		return FALSE;
	/* A guess is no reason to lock a machine for life. */
	if (host.state == IFPP_STATE_CLOSED) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "host lock: this machine's anchor cannot be read or is not its own. "
			    "ifppctl list says what to mend");
		return FALSE;
	}
	if (host.state != IFPP_STATE_FACTORY)
		return TRUE;
	if (!path) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "host lock: this machine does not say which chips it has. If it is a "
			    "gateway, write [" GROUP "] and Chips=N into " CTL_GATEWAY_ETC);
		return FALSE;
	}
	if (!ctl_gateway_read(path, &gateway, error) || !ctl_gateway_judge(&gateway, &host, "/sys", error))
		return FALSE;
	devs = ifpp_netlink_dump(nl, error);
	return devs && ctl_gateway_proven(outbox, devs, &host, error);
}
