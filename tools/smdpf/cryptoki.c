// SPDX-License-Identifier: GPL-2.0-or-later
#include "cryptoki.h"

#include <signal.h>
#include <string.h>

#include <p11-kit/p11-kit.h>

#include "error.h"

#define TRIES 8
#define PATIENCE_US (10 * G_USEC_PER_SEC)
#define SLOTS_MAX 64

static CK_FUNCTION_LIST **modules;	/* those of p11-kit */
static CK_FUNCTION_LIST *own;		/* or the one that was named */
static CK_FUNCTION_LIST *at;		/* of the session */
static CK_SESSION_HANDLE session;
static guint generation;
static gboolean eager = TRUE;		/* to wait for a session */
static gboolean used;			/* something worked: the token is the right one, and may come back */
static CK_RV last;
static volatile sig_atomic_t holding, held;	/* the second: a signal that came in between */
static gboolean refused;		/* the PIN: tokens lock, never try it again */

static CK_RV start(const char *module)
{
	if (!module) {
		modules = modules ? modules : p11_kit_modules_load_and_initialize(0);
		return modules ? CKR_OK : CKR_GENERAL_ERROR;
	}
	if (own)
		return CKR_OK;
	own = p11_kit_module_load(module, 0);
	if (!own)
		return CKR_GENERAL_ERROR;
	if (p11_kit_module_initialize(own) == CKR_OK)
		return CKR_OK;
	p11_kit_module_release(own);
	own = NULL;
	return CKR_GENERAL_ERROR;
}

void cryptoki_close(void)
{
	if (at && session)
		at->C_CloseSession(session);
	at = NULL;
	session = 0;
	if (modules)
		p11_kit_modules_finalize_and_release(modules);
	modules = NULL;
	if (own) {
		p11_kit_module_finalize(own);
		p11_kit_module_release(own);
	}
	own = NULL;
}

static gboolean has_label(const CK_TOKEN_INFO *info, const char *label)
{
	gsize len = strlen(label);

	if (len > sizeof(info->label) || memcmp(info->label, label, len))
		return FALSE;
	for (gsize i = len; i < sizeof(info->label); i++)
		if (info->label[i] != ' ' && info->label[i])
			return FALSE;
	return TRUE;
}

static gboolean find_slot(CK_FUNCTION_LIST *f, const char *label, CK_SLOT_ID *slot)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX;

	if (f->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK)
		return FALSE;
	for (CK_ULONG i = 0; i < n; i++) {
		CK_TOKEN_INFO info;

		if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK && has_label(&info, label)) {
			*slot = slots[i];
			return TRUE;
		}
	}
	return FALSE;
}

/* A mask would not do: libraries have threads, and a signal takes any that lets it. */
static void wait_or_die(int number)
{
	if (holding) {
		held = number;
		return;
	}
	signal(number, SIG_DFL);
	raise(number);
}

void cryptoki_hold_signals(gboolean hold)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction ours = { .sa_handler = wait_or_die, .sa_flags = SA_RESTART }, now;

	for (guint i = 0; hold && i < G_N_ELEMENTS(numbers); i++)
		if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaction(numbers[i], &ours, NULL);
	holding = hold;
	if (!hold && held)
		wait_or_die(held);
}

static CK_RV log_in(CK_FUNCTION_LIST *f, CK_SLOT_ID slot, const char *pin)
{
	CK_RV rv = f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);

	if (rv != CKR_OK) {
		session = 0;
		return rv;
	}
	at = f;
	generation++;
	cryptoki_hold_signals(TRUE);
	rv = f->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin));
	cryptoki_hold_signals(FALSE);
	return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

static CK_RV open_session(const char *module, const char *token, const char *pin)
{
	CK_RV rv = start(module);
	CK_SLOT_ID slot;

	if (rv != CKR_OK || session)
		return rv;
	if (own)
		return find_slot(own, token, &slot) ? log_in(own, slot, pin) : CKR_TOKEN_NOT_PRESENT;
	for (guint i = 0; modules[i]; i++)
		if (find_slot(modules[i], token, &slot))
			return log_in(modules[i], slot, pin);
	return CKR_TOKEN_NOT_PRESENT;
}

static gboolean is_pin(CK_RV rv)
{
	return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE ||
	       rv == CKR_PIN_EXPIRED;
}

void cryptoki_spare(void)
{
	eager = FALSE;
}

guint cryptoki_generation(void)
{
	return generation;
}

CK_RV cryptoki_last(void)
{
	return last;
}

/* Has it been away for too long? A token that once worked is given more time: it may be plugged in again. */
static gboolean give_up(gint64 since, int try)
{
	gint64 waited = g_get_monotonic_time() - since;

	if (refused || (last == CKR_SESSION_COUNT && !eager && !used))
		return TRUE;
	return (used && last != CKR_OBJECT_HANDLE_INVALID) || last == CKR_SESSION_COUNT ? waited > PATIENCE_US : try >= TRIES;
}

static void refuse(const char *token, GError **error)
{
	if (refused)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "token %s: %s", token,
			    last == CKR_PIN_LOCKED ? "PIN is locked" : "wrong PIN");
	else if (last == CKR_TOKEN_NOT_PRESENT)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: not there", token);
	else if (last == CKR_SESSION_COUNT)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN,
			    "token %s: has no session left; end the programs that have them, or wait until it drops those of dead ones",
			    token);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: %s", token, p11_kit_strerror(last));
}

gboolean cryptoki_run(const char *module, const char *token, const char *(*pin)(const char *token, GError **error),
		      CryptokiOp op, gpointer user, GError **error)
{
	gint64 since = g_get_monotonic_time();
	const char *secret = pin(token, error);

	if (!secret)
		return FALSE;
	for (int try = 1; !refused; try++) {
		last = open_session(module, token, secret);
		refused = is_pin(last);
		if (last == CKR_OK)
			last = op(at, session, user);
		used |= last == CKR_OK;
		if (last == CKR_OK)
			return TRUE;
		/*
		 * The token dropped the session, or is away, or is rewritten by another's login: only to begin from the start
		 * helps for some.
		 */
		cryptoki_close();
		if (give_up(since, try))
			break;
		g_usleep(g_random_int_range(10000, 50000));
	}
	refuse(token, error);
	return FALSE;
}
