// SPDX-License-Identifier: GPL-2.0-or-later
#include "choose.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "bsp.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "orders.h"
#include "package.h"
#include "upp.h"

enum { UNKNOWN, TAKEN, BROKEN, ASSIGNED };

void chosen_clear(Chosen *chosen)
{
	ifpp_secret_free(chosen->upp);
	protected_free(chosen->protected);
	g_free(chosen->name);
	*chosen = (Chosen){};
}

void choice_init(Choice *choice, const BindOrder *order, Ledger *ledger)
{
	*choice = (Choice){
		.order = order,
		.ledger = ledger,
		.pool = order->profiles && (order->profiles->len > 1 || order->assignments),
	};
	if (choice->pool)
		choice->state = g_new0(guint8, order->profiles->len);
	/* They are for their chips, and for no other. */
	for (guint i = 0; order->assignments && i < order->assignments->all->len; i++)
		choice->state[g_array_index(order->assignments->all, Assignment, i).profile] = ASSIGNED;
}

void choice_clear(Choice *choice)
{
	g_clear_pointer(&choice->state, g_free);
}

void choice_again(Choice *choice, guint next)
{
	choice->next = next;
	choice->empty = FALSE;
	for (guint i = 0; choice->pool && i < choice->order->profiles->len; i++)
		if (choice->state[i] == TAKEN)
			choice->state[i] = UNKNOWN;
}

void choice_seek(Choice *choice, guint chip)
{
	if (choice->pool)
		choice->next = (guint64)chip * choice->order->options->count % choice->order->profiles->len;
}

/* May this ICCID go to this chip? A test profile that was given may be on many chips, others on one. */
static gboolean iccid_free(Choice *choice, LedgerEntry *entry, gboolean *free, GError **error)
{
	gboolean test = choice->order->options->class == PROFILE_TEST && choice->order->profiles && !choice->pool, held;

	entry->hold = test ? LEDGER_HELD_TEST : LEDGER_HELD;
	choice->kept = FALSE;
	if (!ledger_holder(choice->ledger, entry->iccid, entry->eid, test, &choice->holder, &held, error))
		return FALSE;
	if (!held && !ledger_freed(choice->ledger, entry->iccid, &choice->holder, &held, error))
		return FALSE;
	*free = !held;
	/* Test profiles are everybody's. */
	if (!test && !held && !orders_keep(choice->ledger, entry->iccid, &choice->kept, error))
		return FALSE;
	*free = !held && !choice->kept;
	choice->any_kept |= choice->kept;
	return TRUE;
}

static gboolean load_protected(LedgerEntry *entry, Chosen *chosen, const char *path, ProfileClass class, GError **error)
{
	chosen->protected = protected_read(path, error);
	if (!chosen->protected || !protected_check_class(chosen->protected, class, error))
		return FALSE;
	memcpy(entry->iccid, chosen->protected->iccid, 10);
	chosen->name = g_strdup(chosen->protected->name);
	return TRUE;
}

static gboolean load_clear(LedgerEntry *entry, Chosen *chosen, const char *path, const BindOptions *o, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, IFPP_PACKAGE_MAX, error);
	g_autoptr(IfppUpp) upp = NULL;
	IfppSpan span;

	if (!file)
		return FALSE;
	span = ifpp_span_bytes(file);
	upp = ifpp_upp_parse(span, error);
	if (!upp) {
		g_prefix_error(error, "%s: ", path);
		return FALSE;
	}
	chosen->upp = g_byte_array_sized_new(span.len);
	g_byte_array_append(chosen->upp, span.data, span.len);
	gnutls_memset((guint8 *)span.data, 0, span.len);
	memcpy(entry->iccid, upp->iccid, 10);
	chosen->name = g_steal_pointer(&upp->profile_type);
	span = (IfppSpan){ chosen->upp->data, chosen->upp->len };
	if (!profile_check_class(span, o->class, error) || !metadata_check_owner(o->metadata, span, error)) {
		g_prefix_error(error, "%s: ", path);
		return FALSE;
	}
	return TRUE;
}

static gboolean load(Choice *choice, LedgerEntry *entry, Chosen *chosen, const char *path, GError **error)
{
	const BindOptions *o = choice->order->options;

	return o->protected ? load_protected(entry, chosen, path, o->class, error) :
			      load_clear(entry, chosen, path, o, error);
}

static gboolean choose_builtin(Choice *choice, LedgerEntry *entry, Chosen *chosen, GError **error)
{
	gboolean free = FALSE;

	while (!free) {
		gint64 serial;

		if (!ledger_serial(choice->ledger, &serial, error))
			return FALSE;
		serial += choice->order->home->series * 1000000000ll;
		profile_builtin_iccid(serial, entry->iccid);
		/* after an adoption the series begins again */
		if (!iccid_free(choice, entry, &free, error))
			return FALSE;
		if (free)
			chosen->upp = profile_builtin(serial, error);
	}
	chosen->name = g_strdup("IFPP minimal");
	return chosen->upp &&
	       profile_check_class((IfppSpan){ chosen->upp->data, chosen->upp->len }, choice->order->options->class, error) &&
	       metadata_check_owner(choice->order->options->metadata, (IfppSpan){ chosen->upp->data, chosen->upp->len }, error);
}

static void refuse_taken(Choice *choice, const LedgerEntry *entry, GError **error)
{
	gboolean test = choice->order->options->class == PROFILE_TEST;
	char iccid[21], eid[33];

	ifpp_iccid_format(entry->iccid, iccid);
	ifpp_eid_format(choice->holder.eid, eid);
	if (choice->kept)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ORDER, "ICCID %s is a cancelled order's, which keeps it from others; "
			    "ifpp-smdpf void gives it up", iccid);
	else if (!memcmp(choice->holder.eid, entry->eid, 16))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "the profile with ICCID %s is sealed to another key already, of this chip", iccid);
	else if (test)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "the profile with ICCID %s is sealed to another key already, for chip %s, and not as --class test",
			    iccid, eid);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "the profile with ICCID %s is sealed to another key already, for chip %s "
			    "(only --class test may be on several chips)",
			    iccid, eid);
}

static gboolean choose_one(Choice *choice, LedgerEntry *entry, Chosen *chosen, guint number, GError **error)
{
	gboolean free;

	if (!load(choice, entry, chosen, choice->order->profiles->pdata[number], error) ||
	    !iccid_free(choice, entry, &free, error))
		return FALSE;
	if (!free)
		refuse_taken(choice, entry, error);
	return free;
}

gboolean choose_profile(Choice *choice, LedgerEntry *entry, Chosen *chosen, void (*broken)(GError *why, gpointer user),
			gpointer user, GError **error)
{
	const Assignment *assigned = assign_find(choice->order->assignments, entry->eid);
	GPtrArray *profiles = choice->order->profiles;

	if (assigned)
		return choose_one(choice, entry, chosen, assigned->profile, error);
	if (!profiles)
		return choose_builtin(choice, entry, chosen, error);
	if (!choice->pool)
		return choose_one(choice, entry, chosen, 0, error);
	for (guint looked = 0; !choice->empty && looked < profiles->len; looked++) {
		guint at = choice->next;
		GError *why = NULL;
		gboolean free;

		choice->next = (at + 1) % profiles->len;
		if (choice->state[at])
			continue;
		if (!load(choice, entry, chosen, profiles->pdata[at], &why)) {
			chosen_clear(chosen);
			choice->state[at] = BROKEN;
			broken(why, user);
			continue;
		}
		if (!iccid_free(choice, entry, &free, error))
			return FALSE;
		if (free)
			return TRUE;
		chosen_clear(chosen);
		choice->state[at] = TAKEN;
	}
	choice->empty = TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "no profile left: every one given is sealed already%s%s",
		    choice->order->assignments ? ", or assigned to another chip" : "",
		    choice->any_kept ? ", or a cancelled order's" : "");
	return FALSE;
}
