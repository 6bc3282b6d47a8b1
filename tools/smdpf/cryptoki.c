// SPDX-License-Identifier: GPL-2.0-or-later
#include "cryptoki.h"

#include <signal.h>
#include <string.h>

#include <p11-kit/p11-kit.h>

#include "error.h"

#define TRIES 8
#define PATIENCE_US (10 * G_USEC_PER_SEC)
#define PATIENCE_OTHERS_US G_USEC_PER_SEC
#define SLOTS_MAX 64
#define LINKS_MAX 8
#define PIN_DOUBTFUL (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)
#define NOT_TRIED (CKR_VENDOR_DEFINED | 0x49465050)	/* our own: a wrong PIN was given to this token before */

/* A token, and the session with it. */
typedef struct {
	char *token;
	char *module;			/* or NULL: those of p11-kit */
	CK_FUNCTION_LIST *own;		/* the module, while it is loaded */
	CK_FUNCTION_LIST *at;		/* of the session */
	CK_SESSION_HANDLE session;
	guint generation;
	gboolean used;			/* something worked: the token is the right one, and may come back */
	CK_RV refused;			/* the PIN, how: tokens lock, never try it again */
} Link;

static CK_FUNCTION_LIST **modules;	/* those of p11-kit */
static Link links[LINKS_MAX];
static guint n_links;
static Link *in_use = links;		/* the one in use */
static guint generations;
static gboolean eager = TRUE;		/* to wait for a session */
static gboolean others;			/* can do it too */
static CK_RV last;
static volatile sig_atomic_t holding, held;	/* the second: a signal that came in between */

static CK_RV start(Link *link)
{
	if (!link->module) {
		modules = modules ? modules : p11_kit_modules_load_and_initialize(0);
		return modules ? CKR_OK : CKR_GENERAL_ERROR;
	}
	if (link->own)
		return CKR_OK;
	link->own = p11_kit_module_load(link->module, 0);
	if (!link->own)
		return CKR_GENERAL_ERROR;
	if (p11_kit_module_initialize(link->own) == CKR_OK)
		return CKR_OK;
	p11_kit_module_release(link->own);
	link->own = NULL;
	return CKR_GENERAL_ERROR;
}

/* All of them: what one token needs, C_Finalize, ends the sessions of every token of its module. */
void cryptoki_close(void)
{
	for (guint i = 0; i < n_links; i++) {
		if (links[i].session)
			links[i].at->C_CloseSession(links[i].session);
		links[i].at = NULL;
		links[i].session = 0;
	}
	if (modules)
		p11_kit_modules_finalize_and_release(modules);
	modules = NULL;
	for (guint i = 0; i < n_links; i++) {
		if (links[i].own) {
			p11_kit_module_finalize(links[i].own);
			p11_kit_module_release(links[i].own);
		}
		links[i].own = NULL;
	}
}

static Link *find_link(const char *module, const char *token)
{
	for (guint i = 0; i < n_links; i++)
		if (!strcmp(links[i].token, token) && !g_strcmp0(links[i].module, module))
			return &links[i];
	if (n_links == LINKS_MAX)
		g_error("more tokens than a pool has");
	links[n_links] = (Link){ .token = g_strdup(token), .module = g_strdup(module) };
	return &links[n_links++];
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

static gboolean find_slot(CK_FUNCTION_LIST *f, const char *label, CK_SLOT_ID *slot, gboolean *doubtful)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX;

	if (f->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK)
		return FALSE;
	for (CK_ULONG i = 0; i < n; i++) {
		CK_TOKEN_INFO info;

		if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK && has_label(&info, label)) {
			*slot = slots[i];
			*doubtful = (info.flags & PIN_DOUBTFUL) != 0;
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

static CK_RV log_in(Link *link, CK_FUNCTION_LIST *f, CK_SLOT_ID slot, const char *pin)
{
	CK_RV rv = f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &link->session);

	if (rv != CKR_OK) {
		link->session = 0;
		return rv;
	}
	link->at = f;
	link->generation = ++generations;
	cryptoki_hold_signals(TRUE);
	rv = f->C_Login(link->session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin));
	cryptoki_hold_signals(FALSE);
	return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

static CK_RV open_session(Link *link, const char *pin)
{
	CK_RV rv = start(link);
	CK_FUNCTION_LIST *one[] = { link->own, NULL };
	gboolean doubtful;
	CK_SLOT_ID slot;

	if (rv != CKR_OK || link->session)
		return rv;
	for (CK_FUNCTION_LIST **f = link->own ? one : modules; *f; f++) {
		if (!find_slot(*f, link->token, &slot, &doubtful))
			continue;
		/* every run would take a try away from it, while another token does the work and nobody looks */
		return doubtful && others && !link->used ? NOT_TRIED : log_in(link, *f, slot, pin);
	}
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

void cryptoki_others(gboolean can)
{
	others = can;
}

gboolean cryptoki_refused(const char *module, const char *token)
{
	return find_link(module, token)->refused != CKR_OK;
}

void cryptoki_refuse(const char *module, const char *token)
{
	find_link(module, token)->refused = CKR_PIN_INCORRECT;
}

guint cryptoki_generation(void)
{
	return in_use->generation;
}

CK_RV cryptoki_last(void)
{
	return last;
}

/* Has it been away for too long? A token that once worked is given more time: it may be plugged in again. */
static gboolean give_up(const Link *link, gint64 since, int try)
{
	gint64 waited = g_get_monotonic_time() - since;

	if (link->refused || last == NOT_TRIED || (last == CKR_SESSION_COUNT && !eager && !link->used))
		return TRUE;
	if ((link->used && last != CKR_OBJECT_HANDLE_INVALID) || last == CKR_SESSION_COUNT)
		return waited > (others ? PATIENCE_OTHERS_US : PATIENCE_US);
	return try >= TRIES;
}

static void refuse(const Link *link, GError **error)
{
	if (link->refused)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "token %s: %s", link->token,
			    link->refused == CKR_PIN_LOCKED ? "PIN is locked" : "wrong PIN");
	else if (last == NOT_TRIED)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN,
			    "token %s: was given a wrong PIN before, and is not tried again before ifpp-smdpf token list was run",
			    link->token);
	else if (last == CKR_TOKEN_NOT_PRESENT)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: not there", link->token);
	else if (last == CKR_SESSION_COUNT)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN,
			    "token %s: has no session left; end the programs that have them, or wait until it drops those of dead ones",
			    link->token);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: %s", link->token, p11_kit_strerror(last));
}

gboolean cryptoki_run(const char *module, const char *token, const char *(*pin)(const char *token, GError **error),
		      CryptokiOp op, gpointer user, GError **error)
{
	gint64 since = g_get_monotonic_time();
	const char *secret = pin(token, error);
	Link *link;

	if (!secret)
		return FALSE;
	link = in_use = find_link(module, token);
	for (int try = 1; !link->refused; try++) {
		last = open_session(link, secret);
		link->refused = is_pin(last) ? last : CKR_OK;
		if (last == CKR_OK)
			last = op(link->at, link->session, user);
		link->used |= last == CKR_OK;
		if (last == CKR_OK)
			return TRUE;
		/*
		 * The token dropped the session, or is away, or is rewritten by another's login: only to begin from the start
		 * helps for some.
		 */
		cryptoki_close();
		if (give_up(link, since, try))
			break;
		g_usleep(g_random_int_range(10000, 50000));
	}
	refuse(link, error);
	return FALSE;
}
