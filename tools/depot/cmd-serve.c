// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.h"

#include <error.h>

#include "serve.h"

gboolean cmd_serve(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *trust_dir = NULL, *listen = NULL, *cert = NULL, *key = NULL, *ca = NULL, *crl = NULL, *log = NULL, *proxy = NULL, *dashboard = NULL, *api = NULL;
	ServeOptions o = { .lease = 3600, .threads = 2, .connections = 512, .rate = 200, .timeout = 60 };
	GOptionEntry entries[] = {
		COMMON,
		{ "listen", 0, 0, G_OPTION_ARG_STRING, &listen, "Address; default: the socket of systemd", "HOST:PORT" },
		{ "cert", 0, 0, G_OPTION_ARG_FILENAME, &cert, "The server's certificate and its chain", "FILE" },
		{ "key", 0, 0, G_OPTION_ARG_FILENAME, &key, "Its private key", "FILE" },
		{ "client-ca", 0, 0, G_OPTION_ARG_FILENAME, &ca, "Who certifies stations; the subject's CN is the name", "FILE" },
		{ "client-crl", 0, 0, G_OPTION_ARG_FILENAME, &crl, "Station certificates that were revoked", "FILE" },
		{ "refuse-stale-crl", 0, 0, G_OPTION_ARG_NONE, &o.refuse_stale_crl, "Refuse stations when the CRL is out of date", NULL },
		{ "proxy-from", 0, 0, G_OPTION_ARG_STRING, &proxy, "Balancers that speak the PROXY protocol; only from them", "ADDRESS,..." },
		{ "dashboard", 0, 0, G_OPTION_ARG_STRING, &dashboard, "A page of figures, and /metrics, over HTTP; default: none", "HOST:PORT" },
		{ "api", 0, 0, G_OPTION_ARG_STRING, &api, "Units and results for systems with a token, over HTTPS; default: none", "HOST:PORT" },
		{ "access-log", 0, 0, G_OPTION_ARG_FILENAME, &log, "Every refusal and change; default: standard error", "FILE" },
		TRUST(trust_dir),
		LEASE(o.lease, "3600"),
		{ "threads", 0, 0, G_OPTION_ARG_INT, &o.threads, "That work, each with its own connection to the database; one more commits (2)", "N" },
		{ "connections", 0, 0, G_OPTION_ARG_INT, &o.connections, "At most (512)", "N" },
		{ "rate", 0, 0, G_OPTION_ARG_INT, &o.rate, "Requests a second of one station (200)", "N" },
		{ "timeout", 0, 0, G_OPTION_ARG_INT, &o.timeout, "For one request, from its first byte on (60)", "SECONDS" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, NULL, "Serves stations over HTTPS, until it is told to end.", &argc, &argv, 0,
				error))
		return FALSE;
	if (!cert || !key || !ca)
		return ifpp_usage_error(error, "--cert, --key and --client-ca are needed");
	if (o.lease < 1 || o.lease > DEPOT_LEASE_MAX || o.threads < 1 || o.threads > 64 || o.connections < o.threads ||
	    o.connections > 65536 || o.rate < 1 || o.timeout < 1 || o.timeout > 3600)
		return ifpp_usage_error(error, "a limit is out of its range, see ifpp-depot(1)");
	o.db = args_db();
	o.listen = listen;
	o.cert = cert;
	o.key = key;
	o.client_ca = ca;
	o.client_crl = crl;
	o.dashboard = g_strcmp0(dashboard, "none") ? dashboard : NULL;
	o.api = api;
	o.access_log = log;
	o.proxy_from = proxy;
	o.trust = trust_dir ?: ARGS_TRUST;
	return depot_serve(&o, error);
}
