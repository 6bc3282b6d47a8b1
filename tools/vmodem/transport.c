// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport-priv.h"

void transport_replug(Transport *transport, ModemEvent event)
{
	g_autoptr(GError) error = NULL;

	transport->unplug(transport);
	if (event != MODEM_UNPLUG && !transport->plug(transport, &error))
		g_warning("%s", error->message);
}

static void on_modem_event(ModemEvent event, gpointer user)
{
	Transport *transport = user;

	transport->event(transport, event);
}

void transport_follow(Transport *transport, Modem *modem)
{
	modem_set_event_func(modem, on_modem_event, transport);
}

void transport_free(Transport *transport)
{
	if (transport)
		transport->free(transport);
}
