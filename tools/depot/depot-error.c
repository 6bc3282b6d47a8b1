// SPDX-License-Identifier: GPL-2.0-or-later
#include "depot-error.h"

#include <stdio.h>
#include <string.h>

#include <error.h>

#include "db.h"

G_DEFINE_QUARK(depot-error-quark, depot_error)

struct explained {
	guint http;
	IfppExit exit;
	const char *name, *hint;
};

static const struct explained errors[] = {
	[DEPOT_ERROR_UNKNOWN] = { 404, IFPP_EXIT_INPUT, "unknown",
				  "Claim the packages of the chip by its EID first; there may be none for it" },
	[DEPOT_ERROR_CONFLICT] = { 409, IFPP_EXIT_REFUSED, "conflict",
				   "What the depot has on record stays; ifpp-depot history shows it" },
	[DEPOT_ERROR_INPUT] = { 400, IFPP_EXIT_INPUT, "input", "See Documentation/depot.rst for what is expected" },
	[DEPOT_ERROR_TOO_LARGE] = { 413, IFPP_EXIT_INPUT, "too-large", "Send no more than the documentation allows" },
	[DEPOT_ERROR_RATE] = { 429, IFPP_EXIT_BUSY, "rate", "Wait a second, then go on more slowly" },
	[DEPOT_ERROR_METHOD] = { 405, IFPP_EXIT_INPUT, "method", "See Documentation/depot.rst for what can be asked" },
	[DEPOT_ERROR_STATION] = { 403, IFPP_EXIT_ACCESS, "station",
				  "Use a certificate that the depot's station CA has issued and not revoked" },
	[DEPOT_ERROR_AUTHORITY] = { 403, IFPP_EXIT_ACCESS, "authority",
				    "The operator of the depot names stations with ifpp-depot station add" },
	[DEPOT_ERROR_QUOTA] = { 429, IFPP_EXIT_BUSY, "quota",
				"Deliver results or release chips; ifpp-depot station add --quota changes the number" },
	[DEPOT_ERROR_RECONCILE] = { 500, IFPP_EXIT_FAILED, "reconcile",
				    "Account for what is named; ifpp-depot history tells what is known of a package" },
	[DEPOT_ERROR_KEYS] = { 409, IFPP_EXIT_REFUSED, "keys",
			       "Ask for fewer keys, or for other chips; ifpp-depot keys list shows whose keys are" },
	[DEPOT_ERROR_FILES] = { 503, IFPP_EXIT_ACCESS, "files",
				"Put a whole file in PEM there; certificate and key, station CA and CRL belong together" },
};

static const struct explained db_errors[] = {
	[DB_ERROR_FAILED] = { 503, IFPP_EXIT_IO, "database", "Check the database, its URL and its disk, then try again" },
	[DB_ERROR_DAMAGED] = { 503, IFPP_EXIT_IO, "damaged", "Restore the database from a backup" },
	[DB_ERROR_FULL] = { 503, IFPP_EXIT_IO, "no-space", "Free space where the database is, then try again" },
	[DB_ERROR_AWAY] = { 503, IFPP_EXIT_IO, "database", "Check the database, its URL and its disk, then try again" },
	[DB_ERROR_REPLACED] = { 503, IFPP_EXIT_IO, "replaced", "Stop what works on the depot before its file is replaced, then start again" },
	[DB_ERROR_BUSY] = { 503, IFPP_EXIT_BUSY, "busy", "Others are at work there; try again" },
};

/* NULL: an error of the library */
static const struct explained *explain(const GError *error)
{
	if (error->domain == DEPOT_ERROR)
		return &errors[error->code];
	return error->domain == DB_ERROR ? &db_errors[error->code] : NULL;
}

guint depot_error_http(const GError *error, const char **name, const char **hint)
{
	const struct explained *known = explain(error);

	if (known) {
		*name = known->name;
		*hint = known->hint;
		return known->http;
	}
	*name = ifpp_error_name(error->code);
	*hint = ifpp_error_hint(error->code);
	switch (error->code) {
	case IFPP_ERROR_IO:
	case IFPP_ERROR_DISK:
	case IFPP_ERROR_NO_SPACE:
	case IFPP_ERROR_ACCESS:
	case IFPP_ERROR_CONFINED:
		return 503;
	case IFPP_ERROR_INTERNAL:
		return 500;
	}
	return 400;
}

int depot_error_exit(const GError *error)
{
	const struct explained *known = explain(error);
	g_autofree char *message = NULL;
	gsize len;

	if (!known)
		return ifpp_error_exit("ifpp-depot", error);
	/* One error is one line, whatever a database says. */
	message = g_strdup(error->message);
	for (char *p = message; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = ' ';
	g_strchomp(message);
	len = strlen(message);
	if (len && message[len - 1] == '.')
		message[len - 1] = '\0';
	fprintf(stderr, "ifpp-depot: %s. %s.\n", message, known->hint);
	return known->exit;
}
