// SPDX-License-Identifier: GPL-2.0-or-later
#include "rates.h"

#include <stdio.h>
#include <string.h>

#include "depot.h"

#define BURST_US (2 * G_USEC_PER_SEC)
#define PARTS 8			/* what comes in an eighth of a second is charged together */
#define UNCHARGED_LEAST 10
#define GROUP_MAX 64
#define GATHER_US 20000		/* between two transactions */
#define PATIENCE_US G_USEC_PER_SEC
#define LOCK_MS 1000

/* Each request takes @cost of time. It is let in unless that leads further ahead of the clock than the burst. */
typedef struct {
	char *station;
	gint64 full_at;		/* when all that was let in is made up for; monotonic, us */
	guint uncharged;	/* let in, and not in the database yet */
	gboolean due;		/* enough to be charged */
} Account;

struct _Rates {
	guint rate, portion, uncharged_most;
	gint64 cost;
	GMutex lock;		/* of all that follows, but not of the depot */
	GHashTable *accounts;	/* by station */
	Depot *depot;		/* the thread's; NULL: nothing is shared */
	GThread *thread;
	GCond changed;
	GQueue due;		/* of Account */
	gint64 since;		/* some are due */
	gboolean stop, failed;
};

static void account_free(gpointer data)
{
	Account *account = data;

	g_free(account->station);
	g_free(account);
}

/* With the lock. */
static Account *account_of(Rates *rates, const char *station)
{
	Account *account = g_hash_table_lookup(rates->accounts, station);

	if (account)
		return account;
	account = g_new0(Account, 1);
	account->station = g_strdup(station);
	g_hash_table_insert(rates->accounts, account->station, account);
	return account;
}

/* With the lock. A database that does not answer keeps nobody out: each front end counts by itself then. */
static gboolean database_will_tell(const Rates *rates, gint64 now)
{
	return rates->depot && !rates->failed && now - rates->since < PATIENCE_US;
}

/* With the lock. */
static void make_due(Rates *rates, Account *account, gint64 now)
{
	if (account->due || account->uncharged < rates->portion)
		return;
	if (!rates->due.length)
		rates->since = now;
	account->due = TRUE;
	g_queue_push_tail(&rates->due, account);
	g_cond_signal(&rates->changed);
}

gboolean rates_take(Rates *rates, const char *station)
{
	gint64 now = g_get_monotonic_time();
	Account *account;
	gboolean ok;

	g_mutex_lock(&rates->lock);
	account = account_of(rates, station);
	account->full_at = MAX(account->full_at, now);
	ok = account->full_at + rates->cost <= now + BURST_US &&
	     (account->uncharged < rates->uncharged_most || !database_will_tell(rates, now));
	if (ok) {
		account->full_at += rates->cost;
		/* What came while nobody kept the account is not charged later. */
		if (rates->depot && account->uncharged < rates->uncharged_most)
			account->uncharged++;
		if (rates->depot)
			make_due(rates, account, now);
	}
	g_mutex_unlock(&rates->lock);
	return ok;
}

guint rates_limit(const Rates *rates)
{
	return rates->rate;
}

/* ------------------------------------------------------------ the account in the database */

/* With the lock: at most until @us have passed, or it is to end. */
static void rest(Rates *rates, gint64 us)
{
	gint64 until = g_get_monotonic_time() + us;

	while (!rates->stop && g_cond_wait_until(&rates->changed, &rates->lock, until))
		;
}

static int by_station(const void *a, const void *b)
{
	return strcmp(((const DepotCharge *)a)->station, ((const DepotCharge *)b)->station);
}

/* With the lock. In one order, so that two front ends do not wait for each other. */
static guint gather(Rates *rates, DepotCharge *charges)
{
	guint n = 0;

	for (GList *l = rates->due.head; l && n < GROUP_MAX; l = l->next) {
		const Account *account = l->data;

		charges[n++] = (DepotCharge){ .station = account->station, .requests = account->uncharged,
					      .us = account->uncharged * rates->cost };
	}
	qsort(charges, n, sizeof(*charges), by_station);
	return n;
}

/* With the lock. */
static void settle(Rates *rates, const DepotCharge *charges, guint n)
{
	gint64 now = g_get_monotonic_time();

	rates->since = now;
	for (guint i = 0; i < n; i++) {
		Account *account = account_of(rates, charges[i].station);

		account->uncharged -= charges[i].requests;
		account->full_at = now + charges[i].behind + account->uncharged * rates->cost;
		account->due = FALSE;
		g_queue_remove(&rates->due, account);
		make_due(rates, account, now);
	}
}

static gpointer charge_all(gpointer user)
{
	DepotCharge charges[GROUP_MAX];
	Rates *rates = user;

	g_mutex_lock(&rates->lock);
	while (!rates->stop) {
		g_autoptr(GError) error = NULL;
		guint n = gather(rates, charges);
		gboolean ok;

		if (!n) {
			g_cond_wait(&rates->changed, &rates->lock);
			continue;
		}
		g_mutex_unlock(&rates->lock);
		ok = depot_charge(rates->depot, charges, n, &error);
		if (!ok && !rates->failed)
			fprintf(stderr, "ifpp-depot: rate: %s; until the database answers each front end counts by itself\n",
				error->message);
		g_mutex_lock(&rates->lock);
		rates->failed = !ok;
		if (ok)
			settle(rates, charges, n);
		rest(rates, ok ? GATHER_US : PATIENCE_US);
	}
	g_mutex_unlock(&rates->lock);
	return NULL;
}

Rates *rates_new(const char *db, guint rate, GError **error)
{
	Rates *rates = g_new0(Rates, 1);

	rates->rate = rate;
	rates->cost = G_USEC_PER_SEC / rate;
	rates->portion = MAX(rate / PARTS, 1);
	rates->uncharged_most = MAX(rate / 2, UNCHARGED_LEAST);
	rates->accounts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, account_free);
	g_mutex_init(&rates->lock);
	g_cond_init(&rates->changed);
	g_queue_init(&rates->due);
	if (!db_is_server(db))
		return rates;
	rates->depot = depot_open(db, TRUE, error);
	if (!rates->depot || !depot_limit(rates->depot, LOCK_MS, error)) {
		rates_free(rates);
		return NULL;
	}
	rates->thread = g_thread_new("rates", charge_all, rates);
	return rates;
}

void rates_free(Rates *rates)
{
	if (!rates)
		return;
	g_mutex_lock(&rates->lock);
	rates->stop = TRUE;
	g_cond_signal(&rates->changed);
	g_mutex_unlock(&rates->lock);
	if (rates->thread)
		g_thread_join(rates->thread);
	depot_close(rates->depot);
	g_queue_clear(&rates->due);
	g_hash_table_unref(rates->accounts);
	g_cond_clear(&rates->changed);
	g_mutex_clear(&rates->lock);
	g_free(rates);
}
