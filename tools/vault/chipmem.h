/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libifpp-secret: the non-volatile memory of a virtual eUICC. One file, replaced whole, so that
 * a power cut leaves the old state or the new one. The EUM writes the first state, the chip the rest.
 */
#ifndef IFPP_CHIPMEM_H
#define IFPP_CHIPMEM_H

#include "bsp.h"
#include "euicc.h"

#define IFPP_CHIP_NVM (512 * 1024)	/* bytes for profiles */
#define IFPP_CHIP_KEYS_MAX 256		/* one-time keys, as in the kernel's record */
#define IFPP_CHIP_CODEC_MAX 3		/* newest version of the factory services */
#define IFPP_CHIP_EIMS_MAX (16 * 1024)	/* bytes of eIM configurations */
#define IFPP_CHIP_NOTES_MAX 64		/* notifications kept; the oldest goes first */
#define IFPP_CHIP_PROFILE_COST 1024	/* NVM an ISD-P takes besides its UPP */

typedef enum {
	IFPP_CHIP_FACTORY = 0,		/* one-time keys left */
	IFPP_CHIP_DRAINED = 1,
	IFPP_CHIP_LOCKED = 2,		/* for ever */
} IfppChipState;

/* A one-time key, private half and all. */
typedef struct {
	guint8 key_id[32];
	guint8 scalar[32];
	guint8 point[65];
	guint8 attestation[64];
} IfppChipKey;

typedef struct {
	guint8 iccid[10];
	guint8 aid[16];			/* of the ISD-P */
	gboolean enabled;
	gboolean ousted;		/* by the test profile that is enabled: it alone may come back */
	guint profile_class;		/* 0 test, 1 provisioning, 2 operational */
	GBytes *metadata;		/* value of BF25 */
	GBytes *upp;			/* the clear profile; wiped when freed */
	char *nickname;			/* NULL: none */
} IfppChipProfile;

typedef struct {
	guint64 seq;
	guint8 events;			/* first byte of the BIT STRING: install 80, enable 40, ... */
	char *address;
	gboolean has_iccid;
	guint8 iccid[10];
	GBytes *bytes;			/* the whole signed BF37 or 30 TLV */
} IfppChipNote;

typedef enum {
	IFPP_CHIPMEM_WRITE,
	IFPP_CHIPMEM_CUT_BEFORE,	/* power is lost and the file keeps the old state */
	IFPP_CHIPMEM_CUT_DURING,	/* power is lost with half of the new state beside the old one */
	IFPP_CHIPMEM_CUT_AFTER,		/* power is lost right after the new state is in place */
} IfppChipMemFate;

typedef struct _IfppChipMem IfppChipMem;
typedef IfppChipMemFate (*IfppChipMemHook)(IfppChipMem *mem, gpointer user);

/* Fields are the state in RAM; they reach the file with ifpp_chipmem_commit(). */
struct _IfppChipMem {
	char *path;
	guint8 eid[16];
	IfppEcKey *sk;			/* SK.EUICC */
	GBytes *cert_euicc;
	GBytes *cert_eum;
	GBytes *cas;		/* the CAs between that one and the CI, DER one after the other; NULL: none */
	GBytes *ci;			/* the trusted CI root */
	GArray *keys;			/* of IfppChipKey, unspent; wiped */
	guint64 spent;			/* keys used by loads */
	GArray *dead;			/* of guint8[32]: ids of keys spent or deleted */
	gboolean locked;
	guint64 lock_counter;
	GPtrArray *profiles;		/* of IfppChipProfile */
	guint64 next_seq;		/* never reset */
	GPtrArray *notes;		/* of IfppChipNote, oldest first */
	char *dp_address;		/* default SM-DP+, may be empty */

	guint codec;			/* version of the factory services, 1 to IFPP_CHIP_CODEC_MAX */
	gboolean iot;			/* SGP.32 as well as SGP.22 */
	gboolean immediate;		/* immediate enabling is configured; its maker does so */
	guint64 tokens;			/* associationTokens given out */
	GByteArray *eims;		/* EimConfigurationData, one 30 TLV after the other */

	/* A load between the spending of its key and its result. */
	gboolean loading;
	GBytes *load_transaction;
	GBytes *load_oid;

	/* otSK.EUICC of an ordinary download that was prepared and not loaded: good for a second try. */
	IfppEcKey *retry;		/* NULL: none */
	GBytes *retry_oid;		/* of the SM-DP+ that it was made for */

	guint64 writes;			/* commits since this file was loaded */
	IfppChipMemHook hook;
	gpointer hook_user;
};

/* An empty memory for a chip that is being born; @sk is taken. */
IfppChipMem *ifpp_chipmem_new(const char *path, const guint8 eid[16], IfppEcKey *sk);

/**
 * ifpp_chipmem_load() - power on: read the whole memory
 * @path: the file; what a cut write has left beside it is removed
 * @error: IFPP_ERROR_IO, ACCESS; IFPP_ERROR_EUICC_DATA when it is not a chip memory or damaged
 */
IfppChipMem *ifpp_chipmem_load(const char *path, GError **error);
void ifpp_chipmem_free(IfppChipMem *mem);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppChipMem, ifpp_chipmem_free)

/**
 * ifpp_chipmem_commit() - make the state in RAM the state in the file
 * @mem: the memory
 * @error: IFPP_ERROR_NO_SPACE, IO, ACCESS; IFPP_ERROR_INTERNAL when the hook cut the power
 *
 * After a failure the state in RAM may be ahead of the file: load it again before going on.
 */
gboolean ifpp_chipmem_commit(IfppChipMem *mem, GError **error);

IfppChipState ifpp_chipmem_state(const IfppChipMem *mem);

/* Take a generated one-time key in: computes its id, SK.EUICC attests it. */
gboolean ifpp_chipmem_add_key(IfppChipMem *mem, IfppEcKey *key, GError **error);
/* Index among the unspent keys, or -1. */
int ifpp_chipmem_find_key(const IfppChipMem *mem, const guint8 key_id[32]);
gboolean ifpp_chipmem_key_dead(const IfppChipMem *mem, const guint8 key_id[32]);
/* Erase one unspent key; its id is remembered as dead. */
void ifpp_chipmem_kill_key(IfppChipMem *mem, guint index);

/* Keep the one-time key of a download in place of any other; NULL: keep none. Takes both. */
void ifpp_chipmem_set_retry(IfppChipMem *mem, IfppEcKey *key, GBytes *oid);

IfppChipProfile *ifpp_chipmem_find_iccid(const IfppChipMem *mem, const guint8 iccid[10]);
IfppChipProfile *ifpp_chipmem_find_aid(const IfppChipMem *mem, IfppSpan aid);
IfppChipProfile *ifpp_chipmem_enabled(const IfppChipMem *mem);
/* First ISD-P AID not in use. */
void ifpp_chipmem_free_aid(const IfppChipMem *mem, guint8 aid[16]);
guint32 ifpp_chipmem_free_nvm(const IfppChipMem *mem);

/* Append a notification; the oldest is dropped when the list is full. Takes everything in @note. */
void ifpp_chipmem_add_note(IfppChipMem *mem, IfppChipNote *note);

void ifpp_chip_profile_free(IfppChipProfile *profile);
void ifpp_chip_note_free(IfppChipNote *note);

/* Append one key as GetFactoryInfo has it; @secret: with its private half, as the file has it. */
void ifpp_chipmem_put_key(GByteArray *out, const IfppChipKey *key, gboolean secret);

/* Append the response of GetFactoryInfo (in full, with or without certificates), BF20 EUICCInfo1 or BF22 EUICCInfo2, whole TLV. */
void ifpp_chipmem_put_factory_info(const IfppChipMem *mem, gboolean full, gboolean certs, GByteArray *out);
void ifpp_chipmem_put_info1(const IfppChipMem *mem, GByteArray *out);
void ifpp_chipmem_put_info2(const IfppChipMem *mem, GByteArray *out);

/* Wipe the bytes before the last reference goes. Only for bytes nobody else holds. */
void ifpp_secret_bytes_free(GBytes *bytes);

#endif
