// SPDX-License-Identifier: GPL-2.0-or-later
#include "faults.h"

#include <string.h>

#include "error.h"

typedef struct {
	FaultPlace place;
	guint64 at;
	FaultKind kind;
	guint arg;
} Fault;

struct _Faults {
	GArray *armed;
	guint64 count[FAULT_N_PLACES];
};

#define QMI (1 << FAULT_AT_QMI)
#define APDU (1 << FAULT_AT_APDU)
#define WRITE (1 << FAULT_AT_WRITE)
#define MBIM (1 << FAULT_AT_MBIM)

static const char *const places[FAULT_N_PLACES] = { "qmi", "apdu", "write", "mbim" };

static const struct {
	const char *name;
	FaultKind kind;
	guint places;
	int arg_base;		/* 0: no argument */
} kinds[] = {
	{ "drop", FAULT_DROP, QMI | MBIM, 0 },
	{ "lose", FAULT_LOSE, QMI | MBIM, 0 },
	{ "delay", FAULT_DELAY, QMI | MBIM | APDU, 10 },
	{ "truncate", FAULT_TRUNCATE, QMI | MBIM, 0 },
	{ "corrupt", FAULT_CORRUPT, QMI | MBIM, 0 },
	{ "duplicate", FAULT_DUPLICATE, QMI | MBIM, 0 },
	{ "garble", FAULT_GARBLE, QMI | MBIM | APDU, 10 },
	{ "error", FAULT_ERROR, QMI | MBIM | APDU, 10 },
	{ "sw", FAULT_SW, APDU, 16 },
	{ "pir", FAULT_PIR, APDU, 10 },
	{ "hang", FAULT_HANG, QMI | MBIM | APDU, 0 },
	{ "reset", FAULT_RESET, QMI | MBIM | APDU, 0 },
	{ "reset-after", FAULT_RESET_AFTER, APDU, 0 },
	{ "unplug", FAULT_UNPLUG, QMI | MBIM | APDU, 0 },
	{ "power-cut", FAULT_POWER_CUT, QMI | MBIM | APDU | WRITE, 0 },
	{ "power-cut-during", FAULT_POWER_CUT_DURING, WRITE, 0 },
	{ "power-cut-after", FAULT_POWER_CUT_AFTER, APDU | WRITE, 0 },
};

Faults *faults_new(void)
{
	Faults *faults = g_new0(Faults, 1);

	faults->armed = g_array_new(FALSE, FALSE, sizeof(Fault));
	return faults;
}

void faults_free(Faults *faults)
{
	g_array_unref(faults->armed);
	g_free(faults);
}

void faults_clear(Faults *faults)
{
	g_array_set_size(faults->armed, 0);
}

guint faults_armed(const Faults *faults)
{
	return faults->armed->len;
}

static gboolean bad(GError **error, const char *word, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "fault: %s: %s", word, what);
	return FALSE;
}

gboolean faults_add(Faults *faults, char **words, GError **error)
{
	guint n = g_strv_length(words), place, i;
	guint64 at, arg = 0;

	if (n < 3)
		return bad(error, n ? words[0] : "nothing", "PLACE N KIND [ARG] is needed");
	for (place = 0; place < FAULT_N_PLACES && strcmp(words[0], places[place]); place++)
		;
	if (place == FAULT_N_PLACES)
		return bad(error, words[0], "not qmi, mbim, apdu or write");
	if (!g_ascii_string_to_unsigned(words[1], 10, 1, G_MAXUINT32, &at, NULL))
		return bad(error, words[1], "not a count from 1");
	for (i = 0; i < G_N_ELEMENTS(kinds) && strcmp(words[2], kinds[i].name); i++)
		;
	if (i == G_N_ELEMENTS(kinds))
		return bad(error, words[2], "no such kind");
	if (!(kinds[i].places & 1u << place))
		return bad(error, words[2], "cannot happen there");
	if (n != (kinds[i].arg_base ? 4 : 3))
		return bad(error, words[2], kinds[i].arg_base ? "needs a number" : "takes no number");
	if (kinds[i].arg_base &&
	    !g_ascii_string_to_unsigned(words[3], kinds[i].arg_base, 0, G_MAXUINT32 / 2, &arg, NULL))
		return bad(error, words[3], "not a number");

	Fault fault = { place, faults->count[place] + at, kinds[i].kind, arg };

	g_array_append_val(faults->armed, fault);
	return TRUE;
}

FaultKind faults_next(Faults *faults, FaultPlace place, guint *arg)
{
	guint64 now = ++faults->count[place];

	for (guint i = 0; i < faults->armed->len; i++) {
		Fault fault = g_array_index(faults->armed, Fault, i);

		if (fault.place != place || fault.at != now)
			continue;
		g_array_remove_index(faults->armed, i);
		if (arg)
			*arg = fault.arg;
		return fault.kind;
	}
	return FAULT_NONE;
}
