/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles protected before their chips are known (SGP.22 PPK mode): the bulk of the work is done
 * early, and what lies on the disk until then is of no use without the token.
 */
#ifndef SMDPF_PROTECT_H
#define SMDPF_PROTECT_H

#include <gnutls/abstract.h>

#include "home.h"
#include "profile.h"
#include "tlv.h"

#define PPK_LEN 48		/* MCV, ENC, CMAC */

/*
 * A file: 30 { 02 version 2, 5A ICCID, 0C name, 95 class, 04 wrapped, A3 { 86... } }. Wrapped is RSA by the
 * home's wrapping key over PPKs || SHA-256 of the TLVs 5A, 0C, 95 and A3. The class is test when it may be no
 * other (profile_check_class()), else operational. Version 1 has none.
 */
typedef struct {
	char *path;
	GBytes *file;
	guint8 iccid[10];
	char *name;		/* the profile's, UTF-8; may be empty */
	gboolean test_only;	/* it has keys that everybody knows */
	IfppSpan wrapped;
	IfppSpan segments;	/* the 86s */
	guint8 digest[32];
} Protected;

/**
 * protect_profiles() - protect clear profiles with keys of their own
 * @home: gets a wrapping key in the token and its public half on first use
 * @pin_file: as token_init(); the token is needed on first use only
 * @upp: clear profiles, or directories of *.der and *.upp
 * @out: directory, gets ICCID.ppp for each
 * @test: test profiles: their keys may be published
 * @count: their number
 * @error: IFPP_ERROR_UPP, IO, ACCESS, NO_SPACE; as token_open()
 */
gboolean protect_profiles(Home *home, const char *pin_file, char **upp, const char *out, gboolean test, guint *count,
			  GError **error);

/* The private half, which stays in the token. */
gnutls_privkey_t protect_open_key(const Home *home, GError **error);

Protected *protected_read(const char *path, GError **error);	/* IFPP_ERROR_UPP, IO, ACCESS */
void protected_free(Protected *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Protected, protected_free)

/* May it be of this class? IFPP_ERROR_UPP, as profile_check_class() says of clear ones. */
gboolean protected_check_class(const Protected *profile, ProfileClass class, GError **error);

/* Its PPKs, to be wiped. IFPP_ERROR_TLV: of another token, or altered. */
gboolean protected_unwrap(const Protected *profile, gnutls_privkey_t key, guint8 ppk[PPK_LEN], GError **error);

#endif
