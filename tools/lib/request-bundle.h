/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request bundle: public data of many chips in one file, with an inventory that a person can read and that
 * whoever asks may sign with any CMS tool; and in the same form an EUM's batch of eUICC data (Documentation/bundle.rst).
 */
#ifndef IFPP_REQUEST_H
#define IFPP_REQUEST_H

#include "tlv.h"
#include "x509.h"

#define IFPP_REQUEST_HEADER_LEN 16
#define IFPP_REQUEST_CHIPS_MAX 100000
#define IFPP_REQUEST_DATA_MAX (256 * 1024)	/* bytes of one chip's data */
#define IFPP_REQUEST_SIGNATURE_MAX (64 * 1024)

typedef struct {
	guint8 eid[16];
	guint8 sha256[32];
	guint32 keys;		/* one-time keys in it */
	guint32 len;
	guint64 offset;		/* in the file; the inventory does not tell it */
	char imei[16];		/* of the device that it is in, by the factory's word; "": not told, and never in a batch */
} IfppRequestItem;

/* What the inventory says of one chip's data, but for the device. IFPP_ERROR_TLV, EUICC_DATA; nothing is proven by it. */
gboolean ifpp_request_item(GBytes *data, IfppRequestItem *item, GError **error);

/**
 * struct IfppRequestHead - what stands above the chips
 * @batch: not a request of a factory but an EUM's batch of eUICC data (SGP.41 Esed), which the EUM signs
 * @order: what it is called, 1 to 64 bytes of printable UTF-8, or NULL
 * @key_maker: whom the keys in it are assigned to, likewise, or NULL: nobody
 * @profile: which type of profile is asked for, likewise, or NULL
 * @keys_each: how many profiles for each chip; 0: not said
 */
typedef struct {
	gboolean batch;
	const char *order, *key_maker, *profile;
	guint32 keys_each;
} IfppRequestHead;

/**
 * ifpp_request_format() - the inventory, which is what is signed
 * @head: what stands above the chips
 * @items: IfppRequestItem, ascending by EID
 */
GBytes *ifpp_request_format(const IfppRequestHead *head, GArray *items);

/* Data of item @i, whoever has it. */
typedef GBytes *(*IfppRequestData)(guint i, gpointer user, GError **error);

/**
 * ifpp_request_write() - write a request, or leave the file as it is on failure
 * @path: its name
 * @text: of ifpp_request_format()
 * @signature: detached CMS SignedData over @text in DER, or NULL
 * @n: number of items
 * @data: called for each in turn
 * @user: for @data
 * @error: IFPP_ERROR_IO, ACCESS, NO_SPACE, and what @data says
 */
gboolean ifpp_request_write(const char *path, GBytes *text, GBytes *signature, guint n, IfppRequestData data,
			    gpointer user, GError **error);

typedef struct _IfppRequest IfppRequest;

/**
 * ifpp_request_open() - read the inventory; its signature is the caller's to verify
 * @path: the file
 * @error: IFPP_ERROR_IO, ACCESS, HEADER, LENGTH
 */
IfppRequest *ifpp_request_open(const char *path, GError **error);
void ifpp_request_free(IfppRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppRequest, ifpp_request_free)

const IfppRequestHead *ifpp_request_head(const IfppRequest *request);
const char *ifpp_request_order(const IfppRequest *request);	/* or NULL */
GArray *ifpp_request_items(const IfppRequest *request);		/* IfppRequestItem */
GBytes *ifpp_request_text(const IfppRequest *request);
GBytes *ifpp_request_signature(const IfppRequest *request);	/* or NULL */

/**
 * ifpp_request_read() - eUICC data of one chip, the very bytes that the inventory tells
 * @request: opened
 * @i: index of its item
 * @error: IFPP_ERROR_IO, LENGTH; HEADER_MISMATCH: other bytes, or of another chip
 */
GBytes *ifpp_request_read(IfppRequest *request, guint i, GError **error);

/**
 * ifpp_batch_verify() - is this batch whole, and signed by the EUM of its chips?
 * @request: opened; a batch
 * @trust: CI roots and CRLs
 * @error: IFPP_ERROR_CMS_SIGNATURE; what ifpp_request_read() and ifpp_factory_info_verify() say of its first chip;
 *	EUICC_DATA: it has chips of another EUM; USAGE: a request, no batch
 *
 * Every chip's data is looked at, and that its certificate is of the EUM who signed. The attestations of the keys
 * are left to whoever uses them.
 */
gboolean ifpp_batch_verify(IfppRequest *request, IfppTrust *trust, GError **error);

#endif
