/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults on demand: what goes wrong at the n-th QMI request, Send APDU or memory write from now. */
#ifndef VMODEM_FAULTS_H
#define VMODEM_FAULTS_H

#include <glib.h>

typedef enum {
	FAULT_AT_QMI,		/* requests of the host, CTL included */
	FAULT_AT_APDU,		/* UIM Send APDU */
	FAULT_AT_WRITE,		/* of the chip's memory file */
	FAULT_AT_MBIM,		/* messages of the host, those with QMI inside included */
	FAULT_N_PLACES
} FaultPlace;

typedef enum {
	FAULT_NONE,
	FAULT_DROP,		/* qmi, mbim: done, but the answer is lost */
	FAULT_LOSE,		/* qmi, mbim: the request is lost */
	FAULT_DELAY,		/* qmi, mbim, apdu: the answer comes late, @arg ms */
	FAULT_TRUNCATE,		/* qmi, mbim: the answer is cut in half */
	FAULT_CORRUPT,		/* qmi, mbim: one byte of the answer is wrong */
	FAULT_DUPLICATE,	/* qmi, mbim: the answer comes twice */
	FAULT_GARBLE,		/* qmi, mbim, apdu: byte @arg of the request is wrong, counted round */
	FAULT_ERROR,		/* qmi, mbim: error @arg of it instead of doing it; apdu: instead of sending it */
	FAULT_SW,		/* apdu: status word @arg, the chip never sees the command */
	FAULT_PIR,		/* apdu: the load ends here with errorReason @arg */
	FAULT_HANG,		/* qmi, mbim, apdu: silent until reset */
	FAULT_RESET,		/* qmi, mbim, apdu: modem reset before it */
	FAULT_RESET_AFTER,	/* apdu: the chip did it, then the modem resets */
	FAULT_UNPLUG,		/* qmi, mbim, apdu */
	FAULT_POWER_CUT,	/* before it; write: old state stays */
	FAULT_POWER_CUT_DURING,	/* of a write: half of it is on the disk */
	FAULT_POWER_CUT_AFTER,	/* apdu, write: done, then dark */
} FaultKind;

typedef struct _Faults Faults;

Faults *faults_new(void);
void faults_free(Faults *faults);

/**
 * faults_add() - arm one fault
 * @faults: where
 * @words: PLACE N KIND [ARG], N counted from 1 for the next
 * @error: IFPP_ERROR_USAGE
 */
gboolean faults_add(Faults *faults, char **words, GError **error);
void faults_clear(Faults *faults);
guint faults_armed(const Faults *faults);
/* Count one event; the fault that strikes at it, each only once. */
FaultKind faults_next(Faults *faults, FaultPlace place, guint *arg);

#endif
