// SPDX-License-Identifier: GPL-2.0-or-later
#include "known.h"

#include <string.h>

#define WAY "see 'Will it work with my modem' in the manual"

/* First come, first served: what is known of one model stands before what is known of all. */
static const struct {
	const char *model, *revision;	/* glob; NULL: any */
	const char *message;		/* part of it */
	const char *help;
} known[] = {
	{ "*EM05-G*", NULL, "neither QMI nor",
	  "Firmware of the EM05-G was seen like this: put the modem into QMI mode with its maker's AT command for the USB mode" },
	{ NULL, NULL, "neither QMI nor",
	  "Put the modem into QMI mode with its maker's AT command for the USB mode, or give it firmware that has one of the two; " WAY },
	{ NULL, NULL, "'AccessDenied'",
	  "This firmware lets no host at the card, and a reset does not change that: firmware made for one operator or one maker of "
	  "laptops was seen like this, the module maker's generic firmware helped" },
	{ NULL, NULL, "'ClientIdsExhausted'",
	  "Other programs have taken all client ids and not given them back: end them, then cut the modem's power" },
	{ NULL, NULL, "'InsufficientResources'",
	  "Others hold every logical channel: end programs that use the card, then cut the modem's power" },
	{ NULL, NULL, "'NotSupported'", "This firmware does not have the service: try a newer revision; " WAY },
	{ NULL, NULL, "'InvalidQmiCommand'", "This firmware does not know the message: try a newer revision; " WAY },
	{ NULL, NULL, "'NoLogicalChannels'",
	  "Others hold every logical channel: end programs that use the card, then cut the modem's power" },
};

static gboolean is(const char *pattern, const char *text)
{
	return !pattern || (text && g_pattern_match_simple(pattern, text));
}

const char *known_help(const ModemIdentity *identity, const char *message)
{
	for (guint i = 0; i < G_N_ELEMENTS(known); i++)
		if (strstr(message, known[i].message) && is(known[i].model, identity->model) &&
		    is(known[i].revision, identity->revision))
			return known[i].help;
	return NULL;
}
