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
		.pool = order->profiles && (inputs_count(order->profiles) > 1 || order->assignments),
	};
	if (choice->pool) {
		choice->state = g_new0(guint8, inputs_count(order->profiles));
		choice->next = g_new0(guint, order->kinds->all->len);
		choice->marked = g_new0(guint, order->kinds->all->len);
		choice->empty = g_new0(gboolean, order->kinds->all->len);
	}
	/* They are for their chips, and for no other. */
	for (guint i = 0; order->assignments && i < order->assignments->all->len; i++)
		choice->state[g_array_index(order->assignments->all, Assignment, i).profile] = ASSIGNED;
}

void choice_clear(Choice *choice)
{
	g_clear_pointer(&choice->state, g_free);
	g_clear_pointer(&choice->next, g_free);
	g_clear_pointer(&choice->marked, g_free);
	g_clear_pointer(&choice->empty, g_free);
}

void choice_mark(Choice *choice)
{
	if (choice->pool)
		memcpy(choice->marked, choice->next, choice->order->kinds->all->len * sizeof(guint));
}

void choice_again(Choice *choice)
{
	if (!choice->pool)
		return;
	memcpy(choice->next, choice->marked, choice->order->kinds->all->len * sizeof(guint));
	memset(choice->empty, 0, choice->order->kinds->all->len * sizeof(gboolean));
	for (guint i = 0; i < inputs_count(choice->order->profiles); i++)
		if (choice->state[i] == TAKEN)
			choice->state[i] = UNKNOWN;
}

void choice_seek(Choice *choice, guint chip)
{
	for (guint i = 0; choice->pool && i < choice->order->kinds->all->len; i++) {
		const Kind *kind = choice->order->kinds->all->pdata[i];

		choice->next[i] = (guint64)chip * choice->order->options->count % kind->members->len;
	}
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
	chosen->name = g_strdup(PROFILE_BUILTIN_TYPE);
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
	g_autofree char *path = inputs_path(choice->order->profiles, number);
	gboolean free;

	if (!load(choice, entry, chosen, path, error) ||
	    !iccid_free(choice, entry, &free, error))
		return FALSE;
	if (!free)
		refuse_taken(choice, entry, error);
	return free;
}

/* The next of one kind that is nobody's; *@found is FALSE if there is none. */
static gboolean choose_of(Choice *choice, const Kind *kind, LedgerEntry *entry, Chosen *chosen, gboolean *found,
			  void (*broken)(GError *why, gpointer user), gpointer user, GError **error)
{
	const Inputs *profiles = choice->order->profiles;
	guint *next = &choice->next[kind->number];

	for (guint looked = 0; !choice->empty[kind->number] && looked < kind->members->len; looked++) {
		g_autofree char *path = NULL;
		guint at = g_array_index(kind->members, guint, *next);
		GError *why = NULL;

		*next = (*next + 1) % kind->members->len;
		if (choice->state[at])
			continue;
		path = inputs_path(profiles, at);
		if (!load(choice, entry, chosen, path, &why)) {
			chosen_clear(chosen);
			choice->state[at] = BROKEN;
			broken(why, user);
			continue;
		}
		if (!iccid_free(choice, entry, found, error))
			return FALSE;
		if (*found)
			return TRUE;
		chosen_clear(chosen);
		choice->state[at] = TAKEN;
	}
	choice->empty[kind->number] = TRUE;
	return TRUE;
}

gboolean choose_profile(Choice *choice, const KindsChip *chip, LedgerEntry *entry, Chosen *chosen,
			void (*broken)(GError *why, gpointer user), gpointer user, GError **error)
{
	const Assignment *assigned = assign_find(choice->order->assignments, entry->eid);
	const Kinds *kinds = choice->order->kinds;
	gboolean found = FALSE;

	if (assigned)
		return kinds_check(kinds, assigned->profile, chip, error) && choose_one(choice, entry, chosen, assigned->profile, error);
	if (!choice->order->profiles)
		return choose_builtin(choice, entry, chosen, error);
	if (!choice->pool)
		return choose_one(choice, entry, chosen, 0, error);
	for (guint i = 0; i < kinds->all->len && !found; i++)
		if (kind_fits(kinds->all->pdata[i], chip) &&
		    !choose_of(choice, kinds->all->pdata[i], entry, chosen, &found, broken, user, error))
			return FALSE;
	if (found)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "no profile left%s%s: every one given is sealed already%s%s",
		    chip->profile == RULES_ANY ? "" : " of type ", chip->profile == RULES_ANY ? "" : rules_name(kinds->rules, chip->profile),
		    choice->order->assignments ? ", or assigned to another chip" : "",
		    choice->any_kept ? ", or a cancelled order's" : "");
	return FALSE;
}
