/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the selftest speaks: a line for each check, for people or as JSON. */
#ifndef IFPPD_SELFTEST_TELL_H
#define IFPPD_SELFTEST_TELL_H

#include "es10.h"
#include "selftest.h"
#include "x509.h"

typedef enum { TRUST, TIME, PORT, QMI, SLOTS, CHANNELS, ISD_R, BLOCK, CODEC, KEYS, TIMING, N_CHECKS } Check;
typedef enum { PASSED, WARNED, FAILED, SKIPPED, N_VERDICTS } Verdict;

typedef struct {
	const ModemOptions *modem;
	const SelftestOptions *options;
	GCancellable *cancellable;
	GAsyncResult *answer;
	Modem *port;
	Es10 *es10;
	guint8 eid[16];
	guint count[N_VERDICTS];
	gboolean said[N_CHECKS];
	IfppTrust *trust;	/* NULL: there is none to be had */
	GError *error;		/* of the first check that failed */
} Selftest;

/* @value: what was measured, or -1; @hint: what to do, NULL: nothing */
void tell(Selftest *test, Check check, Verdict verdict, gint64 value, const char *hint, const char *text);
void pass(Selftest *test, Check check, gint64 value, const char *format, ...) G_GNUC_PRINTF(4, 5);
/* Takes @error. What others found to help stands before @hint. Certificates name the chip: no EID in full unless asked. */
void fail_hint(Selftest *test, Check check, GError *error, const char *hint);
/* The same with the hint of its code. */
void fail(Selftest *test, Check check, GError *error);
/* How many checks ended how; for people only whether the modem will do. */
void tell_end(Selftest *test);

#endif
