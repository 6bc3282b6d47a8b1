/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clear profiles: a built-in minimal one, and a subscriber's data put into a template. */
#ifndef SMDPF_PROFILE_H
#define SMDPF_PROFILE_H

#include "suci.h"

/* A key of a security domain (GlobalPlatform Card Specification 2.3, 11.1.8), with its name in error messages. */
typedef struct {
	const char *name;
	guint8 version, id;
	guint8 type;		/* 0x80 DES, 0x85 PSK of TLS, 0x88 AES; 0: whichever it is */
	guint8 key[32];
	gsize len;
} ProfileSdKey;

/* What makes one subscriber's profile out of a template; NULL fields stay as the template has them. */
typedef struct {
	const char *iccid;	/* 18 to 20 digits */
	const char *imsi;	/* 6 to 15 digits */
	const guint8 *ki;	/* into every AKA element */
	gsize ki_len;		/* 16 if not given, of TUAK 32 too */
	const guint8 *topc;	/* 32 bytes, of TUAK (TS 35.231) */
	const guint8 *opc;	/* 16 bytes, likewise; with a Ki the algorithm is Milenage */
	const char *impi, *impu, *domain;	/* of the ISIM; from the IMSI if not given (TS 23.003 13) */
	const char *msisdn, *smsc;		/* digits, + before them: international */
	const char *spn;			/* of EF.SPN, up to 16 bytes */
	const guint8 *pin1, *pin2, *puk1, *puk2, *adm;	/* 8 bytes each, PINs filled up with FF */
	const ProfileSdKey *sd_keys;	/* into each security domain that has them */
	guint n_sd_keys;
	const guint8 *acc;	/* access classes, 2 bytes; from the IMSI if not given */
	const Suci *suci;	/* to where the services say: the terminal or the USIM conceals */
	const guint8 *routing;	/* EF.Routing_Indicator, 4 bytes */
	const char *ust, *ist;	/* services that are available, and with - before them are not: "124 -125"; the others stay */
} ProfileRecord;

/* OPc of an OP (TS 35.206 4.1). */
gboolean profile_opc(const guint8 ki[16], const guint8 op[16], guint8 opc[16]);

/* Published, or all bytes alike. */
gboolean profile_key_is_weak(const guint8 *key, gsize len);

/*
 * ICCID, name and version of the package as a clear or protected profile says in front; none is set if it is no such file, the
 * version also if a protected one does not say it.
 */
void profile_glance(IfppSpan file, guint8 iccid[10], char **name, guint8 version[2]);

#define PROFILE_BUILTIN_TYPE "IFPP minimal"	/* profileType in the header of profile_builtin(), of version 2.3 */

typedef enum {
	PROFILE_TEST = 0,
	PROFILE_PROVISIONING = 1,
	PROFILE_OPERATIONAL = 2,
} ProfileClass;

/**
 * profile_check_class() - may a profile be of this class?
 * @upp: its structure is sound
 * @class: only a test profile may have keys that everybody knows
 * @error: IFPP_ERROR_UPP: which key, and the way out
 */
gboolean profile_check_class(IfppSpan upp, ProfileClass class, GError **error);

/**
 * profile_personalise() - a copy of a template with a subscriber's data in it
 * @template: a UPP; its structure is checked
 * @record: what to put in
 * @error: IFPP_ERROR_UPP: the template is not sound or has no place for it, ICCID, USAGE
 *
 * ICCID goes into header and EF.ICCID, IMSI into EF.IMSI, EF.ACC and the identities of an ISIM.
 *
 * Return: the profile; free it with ifpp_secret_free().
 */
GByteArray *profile_personalise(IfppSpan template, const ProfileRecord *record, GError **error);

/**
 * profile_builtin() - a small sound profile: MF, USIM, ISIM, PINs, test algorithm with its published key
 * @serial: makes ICCID (89999…, Luhn digit) and IMSI (99970…) unique; at most 14 digits
 * @error: IFPP_ERROR_INTERNAL
 */
GByteArray *profile_builtin(guint64 serial, GError **error);

/* The ICCID that profile_builtin() gives to @serial, nibble-swapped. */
void profile_builtin_iccid(guint64 serial, guint8 iccid[10]);

/* The BF25 of StoreMetadata. */
GByteArray *profile_metadata(const guint8 iccid[10], const char *spn, const char *name, ProfileClass class);

#endif
