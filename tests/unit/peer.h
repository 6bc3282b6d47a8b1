/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both ends of an ordinary SGP.22 download: an SM-DP+ that checks all that a chip signs, and an LPA that
 * speaks QMI to a modem on a Unix socket, or to a chip in this process. The HTTPS between them is a
 * function call.
 */
#ifndef PEER_H
#define PEER_H

#include "chipkit.h"
#include "profile.h"

/* ------------------------------------------------------------------ SM-DP+ */

/* What an SM-DP+ that is not in order gets wrong. */
typedef struct {
	gboolean challenge, ci, signature, role, transaction, hash;
} SmDpWrong;

typedef struct {
	IfppEcKey *auth_key, *pb_key;
	GBytes *auth_cert, *pb_cert;
	GBytes *ci;
	IfppTrust *trust;
	const char *address;
	const char *code;		/* confirmation code, or NULL */
	IfppSpan upp, metadata;		/* what it has to give */
	gboolean session_keys;		/* protect the profile with them, instead of keys of its own */
	const guint8 *retry;		/* otPK.EUICC of an earlier try, 65 bytes, to be used again; or NULL */
	SmDpWrong wrong;
	guint requests;			/* ES9+ functions called */
	gsize bytes;			/* of their arguments and answers, in TLVs */
	/* one session */
	guint8 transaction[16], challenge[16], euicc_challenge[16];
	guint8 eid[16];
	GBytes *cert_euicc;
	guint8 signature1[64];		/* euiccSignature1 */
	GBytes *signed2;		/* smdpSigned2 and smdpSignature2 */
	guint8 otpk[65];
	IfppPir *pir;			/* of HandleNotification */
} SmDp;

/* Keys of its own, certified under @pki; @dir for files. */
SmDp *smdp_new(const char *pki, const char *dir);
SmDp *smdp_new_named(const char *pki, const char *dir, const char *oid);
void smdp_free(SmDp *dp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SmDp, smdp_free)

/*
 * ES9+ (SGP.22 5.6.1 to 5.6.4). Each asserts that what the chip signed is right, and answers with the
 * TLVs that the LPA hands on: what BF38 begins with; what BF21 holds; the BF36.
 */
GBytes *smdp_initiate_authentication(SmDp *dp, IfppSpan info1, IfppSpan challenge);
GBytes *smdp_authenticate_client(SmDp *dp, IfppSpan response);
GBytes *smdp_get_bound_profile_package(SmDp *dp, IfppSpan response);
void smdp_handle_notification(SmDp *dp, IfppSpan notification);
void smdp_cancel_session(SmDp *dp, IfppSpan response, guint reason);

/* ------------------------------------------------------------------ LPA */

typedef struct {
	Kit *kit;		/* NULL: by QMI */
	int fd;
	guint8 cid, channel;
	guint16 transaction;
	guint block;		/* STORE DATA block size; lpac's is 120 */
} Lpa;

/* Connect, allocate a client id, open a channel to the ISD-R. */
Lpa *lpa_open(const char *socket);
/* One that talks to a chip in this process, on the channel that is open there. */
Lpa *lpa_of_kit(Kit *kit);
/* Close, release, go. */
void lpa_close(Lpa *lpa);
/* Go without a word, as a killed one does: its client id stays taken. */
void lpa_abandon(Lpa *lpa);
/* One ES10 command; NULL: nothing but a status word, which is in @sw. */
GBytes *lpa_es10(Lpa *lpa, IfppSpan command, guint16 *sw);
/* The same from hex, and 9000 expected; the answer as hex. */
char *lpa_hex(Lpa *lpa, const char *command);
/* One block with a command, from hex, whose answer is not fetched. */
void lpa_leave(Lpa *lpa, const char *command);
/* The steps of a download, each with the chip's answer: BF38, BF21, BF37. */
GBytes *lpa_authenticate(Lpa *lpa, SmDp *dp);
GBytes *lpa_prepare(Lpa *lpa, SmDp *dp, GBytes *authenticated);
GBytes *lpa_load(Lpa *lpa, GBytes *bpp);
/* The result code in an answer; 0: none. */
guint lpa_refusal(GBytes *response, guint32 tag);
/* CancelSession. Return: lpa_refusal() */
guint lpa_cancel(Lpa *lpa, SmDp *dp, guint reason);
/* From GetEuiccChallenge to the removed notification. Return: what the chip said at the last segment. */
IfppPir *lpa_download(Lpa *lpa, SmDp *dp);
/* The same from where PrepareDownload has answered. */
IfppPir *lpa_finish(Lpa *lpa, SmDp *dp, GBytes *prepared);

#endif
