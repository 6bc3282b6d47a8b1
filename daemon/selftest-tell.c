// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "eid.h"
#include "error.h"
#include "known.h"
#include "selftest-tell.h"

static const char *const check_names[N_CHECKS] = { "trust", "time",  "port",  "qmi",  "slots", "channels",
						   "isd-r", "block", "codec", "keys", "timing" };
static const char *const verdict_names[N_VERDICTS] = { "ok", "warning", "failed", "skipped" };

static void put_json(const char *name, const char *text)
{
	printf(",\"%s\":", name);
	if (!text) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			putchar('\\');
		putchar(g_ascii_iscntrl(*p) ? ' ' : *p);
	}
	putchar('"');
}

void tell(Selftest *test, Check check, Verdict verdict, gint64 value, const char *hint, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	test->count[verdict]++;
	test->said[check] = TRUE;
	if (test->options->json) {
		fputs("{\"type\":\"selftest\"", stdout);
		put_json("check", check_names[check]);
		put_json("result", verdict_names[verdict]);
		put_json("detail", valid);
		put_json("hint", hint);
		if (value >= 0)
			printf(",\"value\":%" G_GINT64_FORMAT "}\n", value);
		else
			fputs(",\"value\":null}\n", stdout);
	} else {
		printf("%-8s %-9s %s\n", verdict_names[verdict], check_names[check], valid);
		if (hint)
			printf("%-18s %s.\n", "", hint);
	}
	fflush(stdout);
}

void pass(Selftest *test, Check check, gint64 value, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	tell(test, check, PASSED, value, NULL, text);
}

void fail_hint(Selftest *test, Check check, GError *error, const char *hint)
{
	const char *help = known_help(modem_identity(test->port), error->message);
	char digits[33], masked[33];

	if (!test->options->show_ids) {
		g_autoptr(GString) text = g_string_new(error->message);

		ifpp_eid_format(test->eid, digits);
		ifpp_eid_mask(test->eid, masked);
		g_string_replace(text, digits, masked, 0);
		g_free(error->message);
		error->message = g_string_free(g_steal_pointer(&text), FALSE);
	}
	tell(test, check, FAILED, -1, help ? help : hint, error->message);
	if (test->error)
		g_error_free(error);
	else
		test->error = error;
}

void fail(Selftest *test, Check check, GError *error)
{
	fail_hint(test, check, error, ifpp_error_hint(error->code));
}

void tell_end(Selftest *test)
{
	if (test->options->json) {
		fputs("{\"type\":\"selftest-end\"", stdout);
		put_json("device", test->modem->device);
		for (guint i = 0; i < N_VERDICTS; i++)
			printf(",\"%s\":%u", verdict_names[i], test->count[i]);
		puts("}");
	} else if (!test->error) {
		printf("This modem can be provisioned%s.\n",
		       test->count[WARNED] ? ", with the warnings above" : "");
	}
	fflush(stdout);
}
