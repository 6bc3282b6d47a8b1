// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A PKCS#11 module in front of SoftHSM2 that behaves as HSMs on a bad day. What it does is in the environment:
 *
 * IFPP_P11_FAULTS	words of the form NAME=NUMBER, separated by spaces:
 *	drop		after so many signatures every session is void, until C_Finalize
 *	error		each so many-th signature ends with CKR_DEVICE_ERROR
 *	away		after so many signatures the token is not there, for away_ms (300)
 *	gone		the token is not there at all
 *	sessions	so many sessions may be open
 *	pin		the so many-th login is told that the PIN is wrong, and all after it
 *	sign_ms		what a signature takes
 *	hide		this mechanism is not there (a number; as hide2, hide3 for more)
 *	oaep256		RSA-OAEP takes SHA-256 as well (SoftHSM2 does it with SHA-1 then: who reads it asks here too)
 *	die		the process ends at the so many-th signature, with status 3
 * IFPP_P11_TOKEN	label of the token that it is about; every one if unset
 * IFPP_P11_LOG		file that gets the number of sessions left open, of logins and of signatures at each C_Finalize
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

#define SESSIONS_MAX 64

static CK_FUNCTION_LIST *real, ours;
static const char *victim;
static CK_SESSION_HANDLE hit[SESSIONS_MAX];	/* sessions with the victim */
static long gone_for_good, drop, error_each, away, away_ms, sessions, wrong_pin, sign_ms, die, hide[3], oaep256;
static long signs, since_start, open_sessions, logins;
static int void_all;
static struct timespec gone;
static int is_gone;

static long setting(const char *name, long otherwise)
{
	const char *text = getenv("IFPP_P11_FAULTS");
	size_t len = strlen(name);

	for (const char *p = text; p && *p; p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL)
		if (!strncmp(p, name, len) && p[len] == '=')
			return atol(p + len + 1);
	return otherwise;
}

static long ms_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then->tv_sec) * 1000 + (now.tv_nsec - then->tv_nsec) / 1000000;
}

static int token_gone(void)
{
	is_gone = gone_for_good || (is_gone && ms_since(&gone) < away_ms);
	return is_gone;
}

static int hits_slot(CK_SLOT_ID slot)
{
	CK_TOKEN_INFO info;

	return !victim || (real->C_GetTokenInfo(slot, &info) == CKR_OK && !strncmp((char *)info.label, victim, strlen(victim)));
}

static int hits(CK_SESSION_HANDLE session)
{
	for (int i = 0; i < SESSIONS_MAX; i++)
		if (hit[i] == session)
			return 1;
	return !victim;
}

static void note_session(CK_SESSION_HANDLE was, CK_SESSION_HANDLE now)
{
	for (int i = 0; i < SESSIONS_MAX; i++) {
		if (hit[i] != was)
			continue;
		hit[i] = now;
		return;
	}
}

static CK_RV initialize(void *args)
{
	void_all = 0;
	since_start = 0;
	memset(hit, 0, sizeof(hit));
	return real->C_Initialize(args);
}

static CK_RV finalize(void *reserved)
{
	const char *path = getenv("IFPP_P11_LOG");
	FILE *log = path ? fopen(path, "a") : NULL;

	if (log) {
		fprintf(log, "%ld %ld %ld\n", void_all || is_gone ? 0 : open_sessions, logins, signs);
		fclose(log);
	}
	open_sessions = 0;
	return real->C_Finalize(reserved);
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_RV rv = real->C_GetSlotList(present, slots, count);
	CK_ULONG n = 0;

	if (!token_gone() || rv != CKR_OK || !slots)
		return rv;
	for (CK_ULONG i = 0; i < *count; i++)
		if (!hits_slot(slots[i]))
			slots[n++] = slots[i];
	*count = n;
	return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *user, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	CK_RV rv;

	if (token_gone() && hits_slot(slot))
		return CKR_TOKEN_NOT_PRESENT;
	if (void_all)
		return CKR_DEVICE_ERROR;
	if (sessions && open_sessions >= sessions)
		return CKR_SESSION_COUNT;
	rv = real->C_OpenSession(slot, flags, user, notify, session);
	open_sessions += rv == CKR_OK;
	if (rv == CKR_OK && hits_slot(slot))
		note_session(0, *session);
	return rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	CK_RV rv = real->C_CloseSession(session);

	open_sessions -= rv == CKR_OK;
	note_session(session, 0);
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE type, CK_UTF8CHAR *pin, CK_ULONG len)
{
	if (void_all)
		return CKR_SESSION_HANDLE_INVALID;
	if (wrong_pin && hits(session) && ++logins >= wrong_pin)
		return CKR_PIN_INCORRECT;
	logins += !wrong_pin;
	return real->C_Login(session, type, pin, len);
}

static CK_RV find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG n)
{
	if (token_gone() && hits(session))
		return CKR_DEVICE_REMOVED;
	return void_all ? CKR_SESSION_HANDLE_INVALID : real->C_FindObjectsInit(session, template, n);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	if (token_gone() && hits(session))
		return CKR_DEVICE_REMOVED;
	return void_all ? CKR_SESSION_HANDLE_INVALID : real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *sig, CK_ULONG *sig_len)
{
	const struct timespec pause = { sign_ms / 1000, sign_ms % 1000 * 1000000 };

	if (!hits(session))
		return real->C_Sign(session, data, len, sig, sig_len);
	signs++;
	since_start++;
	if (drop && since_start > drop)
		void_all = 1;
	if (away && signs == away) {
		is_gone = 1;
		clock_gettime(CLOCK_MONOTONIC, &gone);
		return CKR_DEVICE_REMOVED;
	}
	if (die && signs == die)
		_exit(3);	/* as libraries do that give up for everybody */
	if (void_all)
		return CKR_SESSION_HANDLE_INVALID;
	if (error_each && signs % error_each == 0)
		return CKR_DEVICE_ERROR;
	if (sign_ms)
		nanosleep(&pause, NULL);
	return real->C_Sign(session, data, len, sig, sig_len);
}

/* ------------------------------------------------------------ what it offers */

static int hidden(CK_MECHANISM_TYPE type)
{
	return (hide[0] && type == (CK_ULONG)hide[0]) || (hide[1] && type == (CK_ULONG)hide[1]) ||
	       (hide[2] && type == (CK_ULONG)hide[2]);
}

static CK_RV get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	return hidden(type) ? CKR_MECHANISM_INVALID : real->C_GetMechanismInfo(slot, type, info);
}

static CK_MECHANISM *offered(CK_MECHANISM *mechanism, CK_MECHANISM *copy, CK_RSA_PKCS_OAEP_PARAMS *params)
{
	*copy = *mechanism;
	if (!oaep256 || mechanism->mechanism != CKM_RSA_PKCS_OAEP)
		return copy;
	*params = *(CK_RSA_PKCS_OAEP_PARAMS *)mechanism->pParameter;
	if (params->hashAlg == CKM_SHA256 && params->mgf == CKG_MGF1_SHA256) {
		params->hashAlg = CKM_SHA_1;
		params->mgf = CKG_MGF1_SHA1;
	}
	copy->pParameter = params;
	return copy;
}

static CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	CK_RSA_PKCS_OAEP_PARAMS params;
	CK_MECHANISM copy;

	return hidden(mechanism->mechanism) ? CKR_MECHANISM_INVALID :
					      real->C_EncryptInit(session, offered(mechanism, &copy, &params), key);
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	CK_RSA_PKCS_OAEP_PARAMS params;
	CK_MECHANISM copy;

	return hidden(mechanism->mechanism) ? CKR_MECHANISM_INVALID :
					      real->C_DecryptInit(session, offered(mechanism, &copy, &params), key);
}

static CK_RV wrap_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key,
		      CK_BYTE *out, CK_ULONG *len)
{
	return hidden(mechanism->mechanism) ? CKR_MECHANISM_INVALID : real->C_WrapKey(session, mechanism, by, key, out, len);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	CK_RV (*get)(CK_FUNCTION_LIST **list);
	void *module;

	if (!real) {
		module = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
		get = module ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(module, "C_GetFunctionList") : NULL;
		if (!get || get(&real) != CKR_OK)
			return CKR_GENERAL_ERROR;
		victim = getenv("IFPP_P11_TOKEN");
		gone_for_good = setting("gone", 0);
		drop = setting("drop", 0);
		error_each = setting("error", 0);
		away = setting("away", 0);
		away_ms = setting("away_ms", 300);
		sessions = setting("sessions", 0);
		wrong_pin = setting("pin", 0);
		sign_ms = setting("sign_ms", 0);
		die = setting("die", 0);
		hide[0] = setting("hide", 0);
		hide[1] = setting("hide2", 0);
		hide[2] = setting("hide3", 0);
		oaep256 = setting("oaep256", 0);
		ours = *real;
		ours.C_Initialize = initialize;
		ours.C_Finalize = finalize;
		ours.C_GetFunctionList = C_GetFunctionList;
		ours.C_GetSlotList = get_slot_list;
		ours.C_OpenSession = open_session;
		ours.C_CloseSession = close_session;
		ours.C_Login = login;
		ours.C_FindObjectsInit = find_objects_init;
		ours.C_SignInit = sign_init;
		ours.C_Sign = sign;
		ours.C_GetMechanismInfo = get_mechanism_info;
		ours.C_EncryptInit = encrypt_init;
		ours.C_DecryptInit = decrypt_init;
		ours.C_WrapKey = wrap_key;
	}
	*list = &ours;
	return CKR_OK;
}
