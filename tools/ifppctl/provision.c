// SPDX-License-Identifier: GPL-2.0-or-later
/* provision: bring one chip to its target, however often it takes. */
#include "ctl.h"
#include "explain.h"
#include "gateway.h"
#include "hook.h"
#include "lease.h"
#include "load.h"
#include "lock.h"
#include "scan.h"
#include "source.h"
#include "target.h"

#include <eid.h>
#include <errno.h>
#include <netlink.h>
#include <string.h>

typedef struct {
	guint packages, installed, done, failed;
	guint deletions;	/* in the outbox when it began */
	int exit;		/* of the first thing that went wrong */
	GPtrArray *present;	/* paths of packages that the chip has and that are here; borrowed */
	GPtrArray *missing;	/* names of profiles that it should have and has not; borrowed */
} Tally;

typedef struct {
	const char *source, *outbox, *trust;	/* source: the directory that the packages are in */
	IfppPolicy policy;
	CtlLease *lease;	/* NULL: no other station has these packages */
	const char *gateway;	/* what this machine expects, for Lock=host; NULL: it does not say */
	gboolean handover;	/* Lock=host is left to ifpp-handover.service */
} Target;

static void count(Tally *tally, CtlOutcome outcome, int exit)
{
	tally->packages++;
	tally->installed += outcome == CTL_INSTALLED;
	tally->done += outcome == CTL_DONE;
	tally->failed += outcome == CTL_REFUSED || outcome == CTL_FAILED;
	if (!tally->exit)
		tally->exit = exit;
}

/* Returns FALSE when the other packages would meet the same. */
static gboolean one_package(Ctl *ctl, CtlChip *chip, const CtlPackage *package, const Target *target, Tally *tally)
{
	const IfppHeader *header = &package->header;
	const char *outbox = target->outbox;
	g_auto(CtlLoad) load = { 0 };
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) error = NULL;
	IfppHeader again;
	gboolean found = FALSE;
	int key;

	if (package->error) {
		count(tally, CTL_REFUSED, ctl_error_exit(package->error));
		return TRUE;
	}

	if (!ctl_lease_hold(target->lease, &error)) {
		count(tally, CTL_REFUSED, ctl_error_exit(error));
		return FALSE;
	}

	/* A key that can still be used is loaded, whatever was written down about it. */
	key = ctl_key_state(chip, header->key_id);
	if (key != IFPP_KEY_UNSPENT && key != IFPP_KEY_UNKNOWN)
		found = ctl_load_lookup(outbox, chip, package->path, header, &load);
	if (!found) {
		file = ctl_package_read(package->path, &again, &error);
		if (!file) {
			count(tally, CTL_REFUSED, ctl_error_exit(error));
			return TRUE;
		}
		ctl_load(ctl, chip, package->path, file, &again, &load);
		if (load.err == EKEYEXPIRED && !load.result.status) {
			/* Spent meanwhile, by a load whose result somebody else read: it is in the outbox. */
			g_auto(CtlLoad) earlier = { 0 };

			if (ctl_load_lookup(outbox, chip, package->path, header, &earlier)) {
				CtlLoad swap = load;

				load = earlier;
				earlier = swap;
			}
		}
	}
	count(tally, load.outcome, ctl_load_tell(ctl, chip, package->path, header, &load));
	/* What is gone has been looked at, and its class is in the outbox. */
	if ((load.outcome == CTL_INSTALLED || load.outcome == CTL_DONE) && !package->gone)
		g_ptr_array_add(tally->present, package->path);
	return !load.err || load.result.status || load.stored || !ctl_errno_is_final(load.err);
}

/* Locked is also proven: the receipt is in the outbox. */
static gboolean lock_chip(Ctl *ctl, CtlChip *chip, const char *outbox, GError **error)
{
	g_autoptr(CtlReceipt) receipt = NULL;
	struct ifpp_info info;
	int err = ctl_device_info(chip->device, &info);

	if (err) {
		ctl_set_errno(error, err, chip->node);
		return FALSE;
	}
	if (info.state == IFPP_STATE_LOCKED)
		receipt = ctl_outbox_receipt(outbox, info.eid, NULL);
	if (receipt) {
		ctl_say(&ctl->out, "%s: locked already, the receipt of %s is in the outbox.", chip->node,
			receipt->time);
		return TRUE;
	}
	return ctl_lock(ctl, chip, outbox, error);
}

/* What counts here as installed must not be deleted by a rework that nobody can read, or that ran meanwhile. */
static gboolean check_deletions(CtlChip *chip, const Target *target, const Tally *tally, GError **error)
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) all = ctl_outbox_deletions(target->outbox, chip->info.eid, damaged);

	if (damaged->len)
		g_set_error(error, CTL_ERROR, IFPP_EXIT_IO, "%s: not locked, because nobody can tell which profiles were deleted in "
			    "it by a rework: %s. Restore that file; or see to it that the chip has its profiles, and use ifppctl lock",
			    chip->node, (char *)damaged->pdata[0]);
	else if (all->len != tally->deletions)
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "%s: not locked, because its profiles were deleted meanwhile (ifppctl "
			    "rework). Run this again", chip->node);
	return !damaged->len && all->len == tally->deletions;
}

/* Does the chip have what it should have? One that is being locked already can only be finished. */
static gboolean may_lock(CtlChip *chip, const Target *target, const Tally *tally, GError **error)
{
	g_autoptr(CtlReceipt) proof = ctl_outbox_receipt(target->outbox, chip->info.eid, NULL);
	guint present = tally->installed + tally->done;

	if (ctl_lock_has_begun(chip->info.state, proof))
		return TRUE;
	if (!check_deletions(chip, target, tally, error))
		return FALSE;
	if (tally->missing->len) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: not locked, because it has not the profile %s. Put a "
			    "package with it, for one of its %u unused keys, into %s", chip->node,
			    (char *)tally->missing->pdata[0], chip->info.keys_unspent, target->source);
		return FALSE;
	}
	if (target->policy.profiles)
		;	/* all there, and how many packages that took says nothing */
	else if (target->policy.packages >= 0 ? present < (guint)target->policy.packages : present < tally->packages) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: not locked, because it has %u of %u profiles. See to "
			    "the others and run this again", chip->node, present,
			    MAX(target->policy.packages, (int)tally->packages));
		return FALSE;
	}
	if (!present && target->policy.packages) {
		/* More likely the wrong directory than a chip that is meant to stay empty. */
		g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: not locked, because %s has no package for it. "
			    "Put its packages there; to lock it empty use ifppctl lock", chip->node, target->source);
		return FALSE;
	}
	for (guint i = 0; !target->policy.allow_test && i < tally->present->len; i++)
		if (!ctl_policy_check_class(tally->present->pdata[i], target->trust, error))
			return FALSE;
	if (!ctl_policy_check_eim(&target->policy, target->outbox, chip->info.eid, error))
		return FALSE;
	return target->policy.allow_test ||
	       ctl_policy_check_outbox(target->outbox, chip->info.eid, tally->present, error);
}

/* Before the chip is locked: a machine that cannot be locked after it would leave the factory open. */
static gboolean host_lock_stated(const Target *target, GError **error)
{
	g_auto(CtlGateway) gateway = { 0 };

	if (target->policy.lock != IFPP_POLICY_LOCK_HOST)
		return TRUE;
	if (target->gateway)
		return ctl_gateway_read(target->gateway, &gateway, error);
	g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "not locked: the policy says Lock=host, and nobody says which chips this "
		    "machine has. Write [Gateway] and Chips=N into " CTL_GATEWAY_ETC);
	return FALSE;
}

/* The chip is locked. Its machine follows with the last chip that it expects. */
static int finish_host(Ctl *ctl, const Target *target, GError **error)
{
	g_autoptr(IfppNetlink) nl = NULL;

	if (target->handover) {
		ctl_say(&ctl->out, "This machine is locked by ifpp-handover.service, once every chip that it expects is.");
		return IFPP_EXIT_OK;
	}
	nl = ifpp_netlink_new(error);
	return nl && ctl_gateway_finished(target->gateway, target->outbox, nl, error) ? ctl_lock_host(ctl, error) : 0;
}

static void finish(Ctl *ctl, CtlChip *chip, const Target *target, Tally *tally)
{
	g_autoptr(GError) error = NULL;
	int exit = 0;

	if (ctl_lease_hold(target->lease, &error) && host_lock_stated(target, &error) && may_lock(chip, target, tally, &error) &&
	    lock_chip(ctl, chip, target->outbox, &error) && target->policy.lock == IFPP_POLICY_LOCK_HOST)
		exit = finish_host(ctl, target, &error);
	if (error)
		exit = ctl_error_exit(error);
	if (!tally->exit)
		tally->exit = exit;
}

static void tell(Ctl *ctl, CtlChip *chip, const Tally *tally)
{
	struct ifpp_info info;
	char eid[33];

	/* The daemon leaves once its chip is locked; the driver still knows the record. */
	if (ctl_device_info(chip->device, &info))
		info = chip->info;
	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("provision");

		ifpp_json_string(b, "device", chip->node);
		ifpp_json_eid(b, info.eid);
		ifpp_json_string(b, "state", ifpp_state_name(info.state));
		ifpp_json_int(b, "packages", tally->packages);
		ifpp_json_int(b, "installed", tally->installed);
		ifpp_json_int(b, "done", tally->done);
		ifpp_json_int(b, "failed", tally->failed);
		ifpp_json_int(b, "left", tally->packages - tally->installed - tally->done - tally->failed);
		ifpp_json_int(b, "keys_left", info.keys_unspent);
		ifpp_json_int(b, "exit", tally->exit);
		ifpp_json_print(b);
	}
	ctl_show_eid(&ctl->out, info.eid, eid);
	ctl_say(&ctl->out, "%s: EID %s: %u of %u packages installed%s, %u failed; one-time keys left: %u; chip %s.",
		chip->node, eid, tally->installed + tally->done, tally->packages, tally->done ? " (some before)" : "",
		tally->failed, info.keys_unspent, ifpp_state_name(info.state));
}

static gboolean installed_before(CtlChip *chip, const CtlPackage *package, const char *outbox)
{
	g_autoptr(IfppAttempt) result = ctl_outbox_result(outbox, chip->info.eid, package->header.key_id, NULL);

	return result && !result->status;
}

/* Each profile once, whichever package brings it: the others are spares, for a key that a broken load burns. */
static void one_profile(Ctl *ctl, CtlChip *chip, const Target *target, GPtrArray *packages, const int *found,
			int profile, Tally *tally)
{
	const char *name = target->policy.profiles[profile];

	/* What an earlier run installed comes first, or a spare would be loaded beside it. */
	for (int before = 1; before >= 0; before--) {
		for (guint i = 0; i < packages->len && !ctl_interrupted(); i++) {
			CtlPackage *package = packages->pdata[i];
			guint present = tally->installed + tally->done;

			if (found[i] != profile || installed_before(chip, package, target->outbox) != before)
				continue;
			if (!one_package(ctl, chip, package, target, tally))
				goto missing;
			if (tally->installed + tally->done > present)
				return;
		}
	}
missing:
	g_ptr_array_add(tally->missing, (char *)name);
}

static void only_profiles(Ctl *ctl, CtlChip *chip, const Target *target, GPtrArray *packages, Tally *tally)
{
	g_autofree int *found = g_new(int, packages->len + 1);

	for (guint i = 0; i < packages->len; i++) {
		CtlPackage *package = packages->pdata[i];
		g_autoptr(GError) error = NULL;

		if (package->gone)
			found[i] = ctl_policy_find(&target->policy, (IfppSpan){ (const guint8 *)package->gone,
										strlen(package->gone) });
		else
			found[i] = package->error ? -1 :
				   ctl_policy_profile(&target->policy, package->path, target->trust, &error);
		if (package->error || error)
			count(tally, CTL_REFUSED, ctl_error_exit(package->error ?: error));
	}
	for (int i = 0; target->policy.profiles[i]; i++)
		one_profile(ctl, chip, target, packages, found, i, tally);
	/* The target is reached: what failed on the way has been told, and is in the outbox. */
	if (!tally->missing->len)
		tally->exit = 0;
	else if (!tally->exit)
		tally->exit = IFPP_EXIT_INPUT;
	for (guint i = 0; i < tally->missing->len; i++)
		ctl_say(&ctl->out, "%s: the profile %s is not installed.", chip->node,
			(char *)tally->missing->pdata[i]);
}

/* A run that found all done has nothing to tell. */
static gboolean has_news(CtlChip *chip, const Tally *tally)
{
	struct ifpp_info info;

	return tally->installed || (chip->info.state != IFPP_STATE_LOCKED && !ctl_device_info(chip->device, &info) &&
				    info.state == IFPP_STATE_LOCKED);
}

static void provision(Ctl *ctl, CtlChip *chip, const Target *target, GPtrArray *packages, Tally *tally)
{
	if (target->policy.profiles) {
		only_profiles(ctl, chip, target, packages, tally);
	} else {
		for (guint i = 0; i < packages->len && !ctl_interrupted(); i++)
			if (!one_package(ctl, chip, packages->pdata[i], target, tally))
				break;
		tally->packages = packages->len;
	}

	if (!packages->len)
		ctl_say(&ctl->out, "%s: no package for this chip in %s.", chip->node, target->source);
	if (target->policy.lock && !ctl_interrupted())
		finish(ctl, chip, target, tally);
	if (ctl_interrupted() && !tally->exit)
		tally->exit = IFPP_EXIT_BUSY;
	tell(ctl, chip, tally);
}

static guint count_deletions(CtlChip *chip, const char *outbox)
{
	g_autoptr(GPtrArray) all = ctl_outbox_deletions(outbox, chip->info.eid, NULL);

	return all->len;
}

/* A unit at a time: what a person scans, and what somebody scanned before. */
static gboolean read_codes(Ctl *ctl, gboolean scan, guint codes, const char *file, CtlScan *scanned, GError **error)
{
	gboolean ok;
	FILE *in;

	if (scan) {
		ctl_say(&ctl->out, "Scan the label of the unit.");
		if (!ctl_scan_read(scanned, stdin, "the scanner", codes, error))
			return FALSE;
	}
	if (!file)
		return TRUE;
	in = fopen(file, "re");
	if (!in) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: cannot read it: %s", file, g_strerror(errno));
		return FALSE;
	}
	ok = ctl_scan_read(scanned, in, file, 0, error);
	fclose(in);
	return ok;
}

int ctl_cmd_provision(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *where = NULL, *outbox = NULL, *trust = NULL, *policy = NULL, *cache = NULL;
	g_autofree char *cert = NULL, *key = NULL, *ca = NULL, *station = NULL, *gateway = NULL;
	g_autofree char *scan_file = NULL;
	g_auto(CtlScan) scanned = { 0 };
	gboolean lock = FALSE, keep = FALSE, handover = FALSE, scan = FALSE;
	int codes = 1;
	const GOptionEntry entries[] = {
		{ "source", 's', 0, G_OPTION_ARG_FILENAME, &where, "Directory of sealed packages, or https://HOST:PORT of a depot",
		  "DIR|URL" },
		{ "lock", 'l', 0, G_OPTION_ARG_NONE, &lock, "Lock the chip when all its packages are installed", NULL },
		{ "policy", 'p', 0, G_OPTION_ARG_FILENAME, &policy, "What the unit should be, see ifppctl(1)", "FILE" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "Where the daemon keeps results", "DIR" },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust, "CI roots, to tell test profiles before a lock", "DIR" },
		{ "cache", 0, 0, G_OPTION_ARG_FILENAME, &cache, "Where packages of a depot are kept", "DIR" },
		{ "keep", 0, 0, G_OPTION_ARG_NONE, &keep, "Keep them there when the depot has their results", NULL },
		{ "gateway", 0, 0, G_OPTION_ARG_FILENAME, &gateway, "Which chips this machine has, for Lock=host; default: "
		  CTL_GATEWAY_ETC, "FILE" },
		{ "handover", 0, 0, G_OPTION_ARG_NONE, &handover, "Leave Lock=host to ifpp-handover.service", NULL },
		{ "station", 0, 0, G_OPTION_ARG_STRING, &station, "Share the directory: this station's name", "NAME" },
		{ "scan", 0, 0, G_OPTION_ARG_NONE, &scan, "First read codes from a scanner: standard input", NULL },
		{ "codes", 0, 0, G_OPTION_ARG_INT, &codes, "How many; 0: until an empty line", "N" },
		{ "scan-file", 0, 0, G_OPTION_ARG_FILENAME, &scan_file, "Codes that were scanned already, one a line", "FILE" },
		CTL_SCAN_OPTIONS(scanned),
		CTL_DEPOT_OPTIONS(cert, key, ca),
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(CtlLease) lease = NULL;
	g_autoptr(GError) local = NULL;
	g_autoptr(CtlChip) chip = NULL;
	g_autoptr(GPtrArray) packages = NULL, present = g_ptr_array_new(), missing = g_ptr_array_new();
	g_auto(IfppPolicy) wanted = IFPP_POLICY_DEFAULT;
	Target target = { 0 };
	CtlSource source;
	Tally tally = { .present = present, .missing = missing };

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Bring a chip to its target: load every package of a directory or depot that is sealed for it and "
		       "not loaded yet, then lock it if told to. Run it as often as you like.", error))
		return 0;
	if (!where || argc > 1 || codes < 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "provision: %s", codes < 0 ? "--codes is a number from 0" :
			    where ? "it takes options only" : "say where the packages are with --source DIR");
		return 0;
	}
	source = (CtlSource){ where, cache ?: CTL_PACKAGES, outbox ?: CTL_OUTBOX, keep, { cert, key, ca } };
	target.source = ctl_source_dir(&source);
	target.outbox = source.outbox;
	target.trust = trust ?: CTL_TRUST;
	if (policy && !ifpp_policy_read(policy, &wanted, error))
		return 0;
	if (lock && wanted.lock == IFPP_POLICY_LOCK_NO)
		wanted.lock = IFPP_POLICY_LOCK_UNIT;
	target.policy = wanted;		/* borrows */
	target.gateway = gateway ?: ctl_gateway_file();
	target.handover = handover;
	/* A depot tells its stations apart by their certificates. */
	if (!ctl_depot_is_url(where))
		lease = ctl_lease_new(where, station, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return 0;
	}
	target.lease = lease;
	if (!read_codes(ctl, scan, codes, scan_file, &scanned, error))
		return 0;
	chip = ctl_chip_open(ctl, error);
	/* Before anything is claimed, fetched or done. */
	if (chip && !ctl_scan_check(&scanned, chip, target.outbox, error))
		return 0;
	if (chip && lease && !ctl_lease_take(lease, chip->info.eid, CTL_LEASE_MS, error))
		return 0;
	if (chip)
		tally.deletions = count_deletions(chip, target.outbox);
	packages = chip ? ctl_source_packages(ctl, &source, chip->info.eid, error) : NULL;
	if (!packages)
		return 0;

	ctl_catch_signals();
	provision(ctl, chip, &target, packages, &tally);
	if (!tally.exit && has_news(chip, &tally))
		ctl_hook_note(ctl, chip, target.outbox);
	ctl_lease_end(lease);
	ctl_source_deliver(ctl, &source);
	return tally.exit;
}
