/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles protected before their chips are known (SGP.22 PPK mode): the bulk of the work is done
 * early, and what lies on the disk until then is of no use without the token.
 */
#ifndef SMDPF_PROTECT_H
#define SMDPF_PROTECT_H

#include "home.h"
#include "profile.h"
#include "tlv.h"
#include "wrap.h"

#define PPK_LEN 48		/* MCV, ENC, CMAC */

/*
 * A file: 30 { 02 version 5, 5A ICCID, 0C name, 95 class, 80 method, 82 version of the package, 04 wrapped, A3 { 86... } }. Wrapped,
 * by WrapMethod, is PPKs || SHA-256 of the TLVs 5A, 0C, 95, 80, 82 and A3. The class is test when it may be no other
 * (profile_check_class()), else operational.
 *
 * In a home with several tokens it is wrapped by each of them: 80 has a method for each, then comes 81 with the id
 * (home_key_id()) of each, which is hashed too, and a 04 for each.
 *
 * Version 4 is that of several tokens without 82, version 3 that of one. Version 2 has no method, which is WRAP_PKCS1 then, and
 * version 1 no class either.
 */
typedef struct {
	char *path;
	GBytes *file;
	guint8 iccid[10];
	char *name;		/* the profile's, UTF-8; may be empty */
	gboolean test_only;	/* it has keys that everybody knows */
	guint n;		/* how often it is wrapped */
	WrapMethod method[HOME_KEYS_MAX];
	IfppSpan wrapped[HOME_KEYS_MAX];
	IfppSpan ids;		/* of the keys, 8 bytes each; empty: not said */
	IfppSpan segments;	/* the 86s */
	guint8 digest[32];
} Protected;

/**
 * protect_profiles() - protect clear profiles with keys of their own
 * @home: gets a wrapping key in each token on first use; all of them must be there
 * @pin_file: as token_init()
 * @upp: clear profiles, or directories of *.der and *.upp
 * @out: directory, gets ICCID.ppp for each
 * @test: test profiles: their keys may be published
 * @count: their number
 * @error: IFPP_ERROR_UPP, IO, ACCESS, NO_SPACE; as wrap_choose()
 */
gboolean protect_profiles(Home *home, const char *pin_file, char **upp, const char *out, gboolean test, guint *count,
			  GError **error);

Protected *protected_read(const char *path, GError **error);	/* IFPP_ERROR_UPP, IO, ACCESS */
void protected_free(Protected *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Protected, protected_free)

/* May it be of this class? IFPP_ERROR_UPP, as profile_check_class() says of clear ones. */
gboolean protected_check_class(const Protected *profile, ProfileClass class, GError **error);

/* A Wrap for each key of the home; nothing is opened yet. */
GPtrArray *protected_wraps(const Home *home);

/**
 * protected_unwrap() - the PPKs of a protected profile
 * @profile: it
 * @home: its key in use is asked first, then the others
 * @wraps: of protected_wraps()
 * @ppk: gets them, to be wiped
 * @error: IFPP_ERROR_TLV: altered, or of a token that is not there; as wrap_take() of the key in use
 */
gboolean protected_unwrap(const Protected *profile, const Home *home, GPtrArray *wraps, guint8 ppk[PPK_LEN], GError **error);

#endif
