/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual chip in process, with its PKI and a Key Maker's signing key, for tests. */
#ifndef CHIPKIT_H
#define CHIPKIT_H

#include "bpp.h"
#include "chip.h"
#include "seal.h"

#define KIT_EID "89049032123451234512345678901235"

typedef struct {
	char *dir;		/* of everything; removed at the end */
	char *pki;
	char *chip_file;
	char *data_file;
	guint8 eid[16];
	IfppEcKey *dp_key;
	GBytes *dp_cert;
	IfppTrust *trust;
	Chip *chip;
	guint channel;		/* open, ISD-R selected */
	guint block;		/* STORE DATA block size, default 255 */
	guint64 serial;		/* of the next profile */
} Kit;

Kit *kit_new(guint keys);
Kit *kit_new_iot(guint keys);	/* SGP.32 */
void kit_free(Kit *kit);
/* A directory and all in it. */
void kit_remove(const char *dir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kit, kit_free)

/* A certificate of a Key Maker or SM-DP+ for its key, under a PKI; files are left in @dir. */
GBytes *kit_certify(const char *pki, const char *dir, IfppRole role, IfppEcKey *ec, const char *oid);

/* Power on if need be, open a channel, select the ISD-R. */
void kit_open(Kit *kit);
void kit_close(Kit *kit);
/* One APDU; response without its status word. NULL: the chip is dark. */
GByteArray *kit_apdu(Kit *kit, int channel, const guint8 *apdu, gsize len, guint16 *sw);
/* One ES10 command in STORE DATA blocks, answer fetched with GET RESPONSE. @sw 0: the chip went dark. */
GBytes *kit_es10(Kit *kit, IfppSpan command, guint16 *sw);
/* The same from hex; the answer as hex. */
char *kit_hex(Kit *kit, const char *command, guint16 *sw);

IfppFactoryInfo *kit_info(Kit *kit, gboolean full);
guint8 kit_prepare(Kit *kit, const guint8 key_id[32]);	/* its result */

/* What is sealed; all fields may stay 0. */
typedef struct {
	gboolean session_keys;
	const guint8 *transaction;	/* 16 bytes; NULL: always the same */
	guint64 serial;		/* 0: the next one */
	guint64 metadata_serial;/* 0: as the profile */
	int profile_class;	/* 0: operational */
	GByteArray *upp;	/* instead of the built-in one; not taken */
	GByteArray *metadata;	/* instead */
} KitSeal;

GBytes *kit_seal(Kit *kit, const guint8 point[65], const KitSeal *how);
/* Replace @len bytes at @at of a BPP's BF23 value and sign it again for @point. */
GBytes *kit_resign(Kit *kit, GBytes *bpp, const guint8 point[65], gsize at, const guint8 *bytes, gsize len);
/* Segment by segment until the chip answers more than 9000. NULL: no PIR, @sw says why. */
IfppPir *kit_load(Kit *kit, GBytes *bpp, guint16 *sw);
/* Prepare and load with the chip's first key. */
IfppPir *kit_load_next(Kit *kit, const KitSeal *how, guint16 *sw);
void kit_check_pir(Kit *kit, IfppPir *pir, gboolean success, guint command, guint reason);

#endif
