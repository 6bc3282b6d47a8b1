/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operator says about a profile besides its names: owner, policy rules, notification addresses, icon, data of a vendor (SGP.22, 5.5.3), fallback (SGP.32). */
#ifndef SMDPF_METADATA_H
#define SMDPF_METADATA_H

#include "tlv.h"

typedef struct {
	GByteArray *icon;	/* iconType and icon, or empty */
	GByteArray *rest;	/* from notificationConfigurationInfo to fallbackAllowed */
	gboolean owned;		/* has a profileOwner */
	gboolean fallback;	/* has fallbackAllowed, which no other than an IoT eUICC knows */
} Metadata;

/**
 * metadata_load() - from a file of keys
 * @path: group [metadata] with any of mcc-mnc, gid1, gid2, policy-rules, icon, and notify-install, notify-enable, notify-disable,
 *	notify-delete, vendor-data, fallback; an icon's name is relative to it
 * @error: IFPP_ERROR_USAGE: which key, and what is wrong; IFPP_ERROR_IO
 */
Metadata *metadata_load(const char *path, GError **error);
void metadata_free(Metadata *metadata);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Metadata, metadata_free)

/* Put it into a BF25 of profile_metadata(). */
void metadata_add(const Metadata *metadata, GByteArray *bf25);

/**
 * metadata_check_owner() - a chip refuses a profile with another IMSI or group than its owner's, and spends the key
 * @metadata: or NULL
 * @upp: clear
 * @error: IFPP_ERROR_UPP
 */
gboolean metadata_check_owner(const Metadata *metadata, IfppSpan upp, GError **error);

/* May a chip get it, which is an IoT eUICC or is not? IFPP_ERROR_ELIGIBILITY */
gboolean metadata_check_chip(const Metadata *metadata, gboolean iot, GError **error);

#endif
