/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chip codec: how the factory-only functions look as bytes. SGP.42 is not public, so this
 * is one struct of functions that another one can replace (Documentation/chip-codec.rst).
 */
#ifndef IFPPD_CODEC_H
#define IFPPD_CODEC_H

#include "euicc.h"

/**
 * struct Codec - requests are built, responses are taken apart; neither sends anything
 * @name: of the codec
 * @get_info: GetFactoryInfo; @full: with public keys, attestations and certificates
 * @parse_info: its response
 * @prepare_load: PrepareFactoryLoad with the key's id and CERT.DPpb, sub-CAs
 * @parse_prepare: its response; an error says why the chip will not load
 * @delete_keys: DeleteOneTimeKeys
 * @parse_delete: its response; @deleted: how many keys
 * @lock: LockFactoryServices with a challenge
 * @parse_lock: its response; returns the lock receipt
 * @has_test: does the chip offer TestProfile (EUICCF05)?
 * @test: enable the profile with @iccid for a test of @seconds; 0 seconds: end it
 * @parse_test: its response
 * @has_rework: can the chip delete its profiles in the factory?
 * @rework: delete them all; a signed record of each comes into the list of notifications
 * @parse_rework: its response; @deleted: how many profiles
 */
typedef struct {
	const char *name;
	GBytes *(*get_info)(gboolean full);
	IfppFactoryInfo *(*parse_info)(GBytes *response, GError **error);
	GBytes *(*prepare_load)(const guint8 key_id[32], GPtrArray *chain);
	gboolean (*parse_prepare)(GBytes *response, GError **error);
	GBytes *(*delete_keys)(void);
	gboolean (*parse_delete)(GBytes *response, guint *deleted, GError **error);
	GBytes *(*lock)(const guint8 challenge[16]);
	GBytes *(*parse_lock)(GBytes *response, GError **error);
	gboolean (*has_test)(const IfppFactoryInfo *info);
	GBytes *(*test)(guint seconds, const guint8 iccid[10]);
	gboolean (*parse_test)(GBytes *response, GError **error);
	gboolean (*has_rework)(const IfppFactoryInfo *info);
	GBytes *(*rework)(void);
	gboolean (*parse_rework)(GBytes *response, guint *deleted, GError **error);
} Codec;

extern const Codec ifpp_codec;

#endif
