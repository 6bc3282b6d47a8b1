/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The delivery bundle: sealed packages in one file with a signed inventory (Documentation/bundle.rst). */
#ifndef IFPP_BUNDLE_H
#define IFPP_BUNDLE_H

#include "x509.h"

#define IFPP_BUNDLE_HEADER_LEN 16
#define IFPP_BUNDLE_PACKAGES_MAX 100000
#define IFPP_BUNDLE_TEXT_MAX 64		/* bytes of an order's or a profile's name */

typedef struct {
	guint8 eid[16];
	guint8 key_id[32];
	guint8 sha256[32];
	guint32 len;
	guint64 offset;		/* in the file; the inventory does not tell it */
	char iccid[21];		/* masked */
	char profile[IFPP_BUNDLE_TEXT_MAX + 1];
} IfppBundleItem;

typedef struct {
	char *order;		/* or NULL */
	GArray *items;		/* of IfppBundleItem, ascending by EID, then key id */
} IfppInventory;

IfppInventory *ifpp_inventory_new(const char *order);
void ifpp_inventory_free(IfppInventory *inventory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppInventory, ifpp_inventory_free)

/* The text that is signed. */
GBytes *ifpp_inventory_format(const IfppInventory *inventory);

/**
 * ifpp_inventory_parse() - read the text back
 * @text: what was signed; anything that ifpp_inventory_format() would write otherwise is refused
 * @error: IFPP_ERROR_HEADER
 */
IfppInventory *ifpp_inventory_parse(IfppSpan text, GError **error);

/* 1 to IFPP_BUNDLE_TEXT_MAX bytes of printable UTF-8: it goes to terminals. */
gboolean ifpp_bundle_text_valid(const char *text);

void ifpp_bundle_header_write(guint32 envelope_len, guint8 out[IFPP_BUNDLE_HEADER_LEN]);

typedef struct _IfppBundle IfppBundle;

/**
 * ifpp_bundle_open() - read the inventory of a bundle and verify it
 * @path: the file
 * @trust: CI roots and CRLs
 * @error: as ifpp_envelope_open(), and IFPP_ERROR_IO, ACCESS, HEADER, LENGTH
 *
 * Afterwards the inventory is proven, and the file has the length it tells. What is in the packages
 * is proven by ifpp_bundle_read().
 */
IfppBundle *ifpp_bundle_open(const char *path, IfppTrust *trust, GError **error);
void ifpp_bundle_free(IfppBundle *bundle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppBundle, ifpp_bundle_free)

const IfppInventory *ifpp_bundle_inventory(const IfppBundle *bundle);

/**
 * ifpp_bundle_read() - one package, proven to be the one that the inventory tells
 * @bundle: opened
 * @i: index of its item
 * @error: IFPP_ERROR_IO, LENGTH; HEADER_MISMATCH: not what was signed
 */
GBytes *ifpp_bundle_read(IfppBundle *bundle, guint i, GError **error);

#endif
