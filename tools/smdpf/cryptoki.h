/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PKCS#11 itself: one logged-in session with each token, for signatures, keys and the ledger's head alike. GnuTLS
 * would take several, and does not open one anew that the token has closed.
 */
#ifndef SMDPF_CRYPTOKI_H
#define SMDPF_CRYPTOKI_H

#include <glib.h>
#include <p11-kit/pkcs11.h>

typedef CK_RV (*CryptokiOp)(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user);

/**
 * cryptoki_run() - do something in a session
 * @module: path of the PKCS#11 module, or NULL: those that p11-kit knows
 * @token: its label
 * @pin: tells the PIN, or NULL and sets @error
 * @op: may run several times: a session that the token closed is opened anew
 * @user: for @op
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN
 */
gboolean cryptoki_run(const char *module, const char *token, const char *(*pin)(const char *token, GError **error),
		      CryptokiOp op, gpointer user, GError **error);
void cryptoki_close(void);
/* This process is one that others can do without: it does not wait for its first session. */
void cryptoki_spare(void);
/*
 * Another token can do what is asked for next, or none can: then one that is gone is waited for longer, and one that a wrong PIN was
 * given to before is tried again.
 */
void cryptoki_others(gboolean can);

/* Did this token refuse its PIN, so that it is not tried again? And have it so. */
gboolean cryptoki_refused(const char *module, const char *token);
void cryptoki_refuse(const char *module, const char *token);

/*
 * While something is written in the token. SoftHSM does that at each login too, and in place: who is ended
 * in the middle of it leaves a token behind that is empty.
 */
void cryptoki_hold_signals(gboolean hold);

/* Counts sessions: handles of another one than that in use are void. */
guint cryptoki_generation(void);
/* What the last cryptoki_run() ended with. */
CK_RV cryptoki_last(void);

#endif
