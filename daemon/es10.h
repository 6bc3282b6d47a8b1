/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ES10: commands to the ISD-R as runs of STORE DATA (SGP.22 5.7.2), and the SGP.22 commands we need. */
#ifndef IFPPD_ES10_H
#define IFPPD_ES10_H

#include "euicc.h"
#include "modem.h"

typedef struct _Es10 Es10;

typedef struct {
	guint32 apdus;		/* command APDUs sent */
	guint32 bytes;		/* their bytes */
} Es10Count;

Es10 *es10_new(Modem *modem);
void es10_free(Es10 *es10);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Es10, es10_free)

/* Select the ISD-R on a logical channel of its own, before @deadline (monotonic microseconds). */
void es10_open_async(Es10 *es10, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
gboolean es10_open_finish(GAsyncResult *res, GError **error);

typedef enum {
	ES10_COMMAND,		/* may be begun again: a larger block than the known one may be tried with it */
	ES10_SEGMENT,		/* of a BPP */
} Es10Kind;

/**
 * es10_send_async() - one command, or one segment of a BPP
 * @es10: open
 * @what: its name, for errors; static
 * @command: the bytes
 * @kind: what it is
 * @deadline: monotonic microseconds after which no APDU is sent, and no answer waited for
 *
 * The run of blocks ends with the last block or with the first answer that carries data:
 * a chip may have its result ready early. A modem that takes no block of this size gets
 * a smaller one, which is remembered (block.h).
 */
void es10_send_async(Es10 *es10, const char *what, IfppSpan command, Es10Kind kind, gint64 deadline,
		     GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
/* The response without status word, may be empty. CHIP, MODEM, TIMEOUT, NO_DEVICE */
GBytes *es10_send_finish(Es10 *es10, GAsyncResult *res, GError **error);
/* Status word that ended the last command, 0 when it ended otherwise. */
guint es10_sw(Es10 *es10);
Es10Count es10_count(Es10 *es10);

/* The one TLV that a response must be; @what for errors. CHIP, TLV */
gboolean es10_whole(GBytes *response, guint32 tag, const char *what, IfppTlv *out, GError **error);

GBytes *es10_get_eid(void);
gboolean es10_get_eid_parse(GBytes *response, guint8 eid[16], GError **error);
GBytes *es10_get_info2(void);
GBytes *es10_get_certs(void);			/* of an IoT eUICC, SGP.32 5.9.10; under which CI is its choice */
/* Certificates, DER; nothing is proven of them. CHIP: it has none, and says why. TLV */
gboolean es10_get_certs_parse(GBytes *response, GBytes **eum, GBytes **euicc, GError **error);
GBytes *es10_list_results(void);		/* RetrieveNotificationsList */
/*
 * GPtrArray of GBytes: every ProfileInstallationResult (BF37) in the answer, every compact one (A0, SGP.32 5.9.11), and every record
 * of a deletion in the factory (deletion.h).
 */
GPtrArray *es10_list_results_parse(GBytes *response, GError **error);
GBytes *es10_remove(guint64 seq);
/* TRUE also when there is nothing to remove: somebody, perhaps we, did so already. */
gboolean es10_remove_parse(GBytes *response, GError **error);
GBytes *es10_list_profiles(void);		/* GetProfilesInfo, ICCIDs only */
/* The ICCIDs, each behind the other; NULL: it is no list of them. */
GByteArray *es10_profiles_parse(GBytes *response);

#endif
