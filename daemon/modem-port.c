// SPDX-License-Identifier: GPL-2.0-or-later
#include "modem-port.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "modem-mbim.h"
#include "modem-qmi.h"

#define NAME_IT "if it speaks QMI or MBIM all the same, say so with --protocol"

gboolean modem_protocol_parse(const char *name, ModemProtocol *protocol)
{
	static const char *const names[] = {
		[MODEM_PROTOCOL_AUTO] = "auto", [MODEM_PROTOCOL_QMI] = "qmi", [MODEM_PROTOCOL_MBIM] = "mbim",
	};

	*protocol = MODEM_PROTOCOL_AUTO;
	while (name && *protocol < G_N_ELEMENTS(names) && strcmp(name, names[*protocol]))
		(*protocol)++;
	return *protocol < G_N_ELEMENTS(names);
}

static gboolean found(const char *type, const char *qmi, const char *mbim, ModemProtocol *protocol)
{
	if (strcmp(type, qmi) && strcmp(type, mbim))
		return FALSE;
	*protocol = !strcmp(type, qmi) ? MODEM_PROTOCOL_QMI : MODEM_PROTOCOL_MBIM;
	return TRUE;
}

gboolean modem_port_protocol(const char *device, const char *sysfs, ModemProtocol *protocol, GError **error)
{
	g_autofree char *node = realpath(device, NULL);
	g_autofree char *name = g_path_get_basename(node ? node : device);
	g_autofree char *type_path = g_build_filename(sysfs, "class/wwan", name, "type", NULL);
	g_autofree char *link = g_build_filename(sysfs, "class/usbmisc", name, "device/driver", NULL);
	g_autofree char *target = g_file_read_link(link, NULL);
	g_autofree char *driver = target ? g_path_get_basename(target) : NULL;
	g_autofree char *type = NULL;

	*protocol = MODEM_PROTOCOL_QMI;
	if (g_file_get_contents(type_path, &type, NULL, NULL)) {
		if (found(g_strstrip(type), "QMI", "MBIM", protocol))
			return TRUE;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UNSUPPORTED,
			    "%s: a WWAN port of type %s; give the modem's port of type QMI or MBIM, or %s", device, type, NAME_IT);
		return FALSE;
	}
	if (!driver || found(driver, "qmi_wwan", "cdc_mbim", protocol))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_UNSUPPORTED,
		    "%s: its driver is %s, not qmi_wwan or cdc_mbim; %s", device, driver, NAME_IT);
	return FALSE;
}

Modem *modem_new(const ModemOptions *options, ModemGoneFunc gone, gpointer user)
{
	ModemProtocol protocol = options->protocol;
	GError *error = NULL;
	Modem *modem;

	if (protocol == MODEM_PROTOCOL_AUTO)
		modem_port_protocol(options->device, "/sys", &protocol, &error);
#if IFPP_MBIM
	if (protocol == MODEM_PROTOCOL_MBIM)
		return modem_mbim_new(options, gone, user);
#else
	if (protocol == MODEM_PROTOCOL_MBIM)
		error = g_error_new(IFPP_ERROR, IFPP_ERROR_UNSUPPORTED,
				    "%s: the port speaks MBIM, and this ifppd was built without", options->device);
#endif
	modem = modem_qmi_new(options, gone, user);
	modem->refusal = error;
	return modem;
}
