// SPDX-License-Identifier: GPL-2.0-or-later
/* Rework (SGP.41 A.4): before the lock a chip deletes what was loaded, signs a record of it, and is provisioned anew. */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include <glib/gstdio.h>

#include "chipmem.h"
#include "deletion.h"
#include "error.h"
#include "steps.h"

static World *world;

/* What the chip itself has: profiles, unspent keys, and notifications that wait. */
static void assert_chip(Station *station, guint profiles, guint keys, guint notes)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);

	g_assert_nonnull(mem);
	g_assert_cmpuint(mem->profiles->len, ==, profiles);
	g_assert_cmpuint(mem->keys->len, ==, keys);
	g_assert_cmpuint(mem->notes->len, ==, notes);
}

static void set_chip(Station *station, guint codec, gboolean enabled)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	IfppChipProfile *first = mem->profiles->len ? mem->profiles->pdata[0] : NULL;

	mem->codec = codec;
	if (first)
		first->enabled = enabled;
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
}

static guint rework(Station *station, int status, guint reason)
{
	RelaySimResult result;
	guint deleted;

	station_request(station, IFPP_REQ_REWORK, NULL, &result);
	steps_result(&result, status, reason);
	deleted = result.reply.deleted;
	relay_sim_result_clear(&result);
	return deleted;
}

/* Run the Key Maker's program; what it prints, if it ends so. */
static char *key_maker(Station *station, int expect, ...) G_GNUC_NULL_TERMINATED;
static char *key_maker(Station *station, int expect, ...)
{
	g_autofree char *program = station_program("ifpp-smdpf");
	g_autoptr(GPtrArray) argv = NULL;
	char *text = NULL;
	va_list args;
	int status;

	va_start(args, expect);
	argv = station_argv(program, args);
	va_end(args);
	g_assert_true(g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &text, NULL, &status, NULL));
	g_assert_true(g_spawn_check_wait_status(status, NULL) == !expect);
	return text;
}

/* Its report, which nobody has taken yet. */
static char *station_tells(Station *station)
{
	g_autofree char *file = g_build_filename(station->dir, "tells.json", NULL);
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL);
	char *text = NULL;

	g_assert_cmpint(station_run("ifppctl", "report", "--outbox", outbox, "--output", file, NULL), ==, 0);
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	return text;
}

/* Whoever alters a report can make its digest right. */
static char *verify(Station *station, const char *report, int expect)
{
	g_autofree char *file = g_build_filename(station->dir, "report.json", NULL), *text = g_strdup(report), *sum = NULL;
	char *digest = g_strrstr(text, "\"sha256\":\""), *end;

	g_assert_nonnull(digest);
	end = g_strrstr_len(text, digest - text, "\n") + 1;
	sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guint8 *)text, end - text);
	memcpy(digest + strlen("\"sha256\":\""), sum, 64);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
	return key_maker(station, expect, "verify-report", "--home", station->world->home, "--json", file, NULL);
}

static guint count(const char *text, const char *word)
{
	guint n = 0;

	for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
		n++;
	return n;
}

/* The only package in this directory. */
static GBytes *only_package(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	GBytes *found = NULL;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		char *data;
		gsize len;

		if (!g_str_has_suffix(name, ".ifpp"))
			continue;
		g_assert_null(found);
		g_assert_true(g_file_get_contents(file, &data, &len, NULL));
		found = g_bytes_new_take(data, len);
	}
	return found;
}

/* The profile of the first package again, for whichever key is left. */
static GBytes *seal_again(Station *station, const char *order)
{
	g_autofree char *profiles = g_build_filename(station->dir, "profiles", NULL);
	g_autofree char *out = g_build_filename(station->dir, order, NULL), *one = NULL;
	g_autoptr(GDir) dir = g_dir_open(profiles, 0, NULL);
	const char *name, *first = NULL;

	while ((name = g_dir_read_name(dir)))
		if (!first || strcmp(name, first) < 0) {
			g_free(one);
			one = g_build_filename(profiles, name, NULL);
			first = strrchr(one, '/') + 1;
		}
	g_free(key_maker(station, 0, "seal", "--home", world->home, "--pin-file", world->pin, "--euicc", station->data, "--count",
			 "1", "--order", order, "--out", out, "--upp", one, NULL));
	return only_package(out);
}

/* The whole of it: two profiles go, their ICCIDs are sealed again, the chip has one of them with another key. */
static void test_signed_deletion(void)
{
	Station *station = station_new(world, 4);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	g_autofree char *before = NULL, *report = NULL, *told = NULL, *again = NULL, *later = NULL, *last = NULL, *extract = NULL;
	g_autoptr(GBytes) anew = NULL, third = NULL;

	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpuint(rework(station, 0, 0), ==, 0);	/* there is nothing yet */
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	before = station_report(station);
	g_free(verify(station, before, 0));

	g_assert_cmpuint(rework(station, 0, 0), ==, 2);
	assert_chip(station, 0, 2, 0);
	g_assert_cmpuint(station_outbox(station, ".deletion"), ==, 2);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 2);
	g_assert_cmpuint(rework(station, 0, 0), ==, 0);
	/* Spent is spent. */
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, -EKEYEXPIRED);

	report = station_report(station);
	g_assert_cmpuint(count(report, "\"record\""), ==, 2);
	told = verify(station, report, 0);
	g_assert_cmpuint(count(told, "\"outcome\":\"deleted\""), ==, 2);
	g_assert_cmpuint(count(told, "\"outcome\":\"installed\""), ==, 0);
	again = verify(station, report, 0);
	g_assert_cmpuint(count(again, "\"outcome\":\"deleted\""), ==, 2);
	/* What was written before it is no news, and no clone. */
	later = verify(station, before, 0);
	g_assert_cmpuint(count(later, "\"outcome\":\"deleted\""), ==, 2);

	anew = seal_again(station, "anew");
	steps_ask(station, IFPP_REQ_LOAD, anew, 0, 0);
	assert_chip(station, 1, 1, 0);
	g_free(report);
	report = station_report(station);
	last = verify(station, report, 0);
	g_assert_cmpuint(count(last, "\"outcome\":\"deleted\""), ==, 2);
	g_assert_cmpuint(count(last, "\"outcome\":\"installed\""), ==, 1);

	/* And once more: the same ICCID, with the key that is left. */
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	g_free(report);
	report = station_report(station);
	g_free(verify(station, report, 0));
	extract = key_maker(station, 0, "extract", "--home", world->home, "--order", "anew", "--json", NULL);
	g_assert_cmpuint(count(extract, "\"state\":\"void\",\"reason\":\"deleted\""), ==, 1);
	third = seal_again(station, "third");
	steps_ask(station, IFPP_REQ_LOAD, third, 0, 0);
	assert_chip(station, 1, 0, 0);
	g_free(key_maker(station, 0, "ledger", "check", "--home", world->home, "--pin-file", world->pin, NULL));
	g_free(verify(station, before, 0));
	steps_end(station);
}

/* In the report's JSON: the value of the first member with that name, of which a character is another one then. */
static char *altered(const char *report, const char *name)
{
	char *copy = g_strdup(report), *at = strstr(copy, name);

	g_assert_nonnull(at);
	at = strchr(at + strlen(name), ':');
	at = strchr(at, '"') + 20;
	*at = *at == 'A' ? 'B' : 'A';
	return copy;
}

/* The results of the report, taken out of it. */
static char *without_results(const char *report)
{
	g_auto(GStrv) parts = g_strsplit(report, "\"results\":[", 2);
	const char *end = strstr(parts[1], "],");

	g_assert_nonnull(end);
	return g_strconcat(parts[0], "\"results\":[", end, NULL);
}

/* A record alone does not tell which installation it takes back. */
static void test_record_alone(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *report = NULL, *alone = NULL, *told = NULL, *both = NULL;

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	report = station_tells(station);
	g_free(verify(station, report, 0));
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	g_free(report);
	report = station_tells(station);
	alone = without_results(report);
	told = verify(station, alone, 1);	/* its totals are wrong as well */
	g_assert_cmpuint(count(told, "its result is not in this report"), ==, 1);
	g_assert_cmpuint(count(told, "\"outcome\":\"deleted\""), ==, 0);
	both = verify(station, report, 0);
	g_assert_cmpuint(count(both, "its result is not in this report"), ==, 0);
	g_assert_cmpuint(count(both, "\"outcome\":\"deleted\""), ==, 1);
	steps_end(station);
}

/* Only what the chip has signed frees an ICCID. */
static void test_forged_record(void)
{
	Station *station = station_new(world, 2), *other = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1), foreign = station_seal(other, 1);
	g_autofree char *report = NULL, *bad = NULL, *told = NULL, *theirs = NULL, *mixed = NULL, *twice = NULL;
	g_auto(GStrv) parts = NULL, mine = NULL;

	station_modem_start(station);
	station_daemon_up(station);
	station_modem_start(other);
	station_daemon_up(other);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	steps_ask(other, IFPP_REQ_LOAD, foreign->pdata[0], 0, 0);
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	g_assert_cmpuint(rework(other, 0, 0), ==, 1);
	report = station_tells(station);
	bad = altered(report, "\"record\"");
	told = verify(station, bad, 1);
	g_assert_cmpuint(count(told, "\"outcome\":\"forged\""), ==, 1);
	g_assert_cmpuint(count(told, "\"outcome\":\"installed\""), ==, 1);
	g_assert_cmpuint(count(told, "\"outcome\":\"deleted\""), ==, 0);

	/* Another chip's record. */
	theirs = station_tells(other);
	parts = g_strsplit(theirs, "\"record\":\"", 2);
	mine = g_strsplit(report, "\"record\":\"", 2);
	mixed = g_strdup_printf("%s\"record\":\"%.*s%s", mine[0], (int)strcspn(parts[1], "\""), parts[1], strchr(mine[1], '"'));
	twice = verify(station, mixed, 1);
	g_assert_cmpuint(count(twice, "\"outcome\":\"forged\""), ==, 1);
	g_assert_cmpuint(count(twice, "\"outcome\":\"deleted\""), ==, 0);
	steps_end(station);
	steps_end(other);
}

/* What one station has reworked and reported, another one locks: the Key Maker knows of every spent key. */
static void test_other_station(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL), *report = NULL, *told = NULL;
	g_autoptr(GBytes) one = steps_challenge(1);

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	report = station_tells(station);
	g_free(verify(station, report, 0));
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_remove(outbox);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_free(report);
	report = station_tells(station);
	told = verify(station, report, 0);
	g_assert_cmpuint(count(told, "\"lock\":\"proven\""), ==, 1);
	g_assert_cmpuint(count(told, "\"outcome\":\"installed\""), ==, 1);
	steps_clean(station);
	station_free(station);
}

static guint files_with(Station *station, const char *text)
{
	g_autofree char *path = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL), *content = NULL;

		if (g_str_has_suffix(name, ".result") && g_file_get_contents(file, &content, NULL, NULL))
			n += strstr(content, text) != NULL;
	}
	return n;
}

/* Loaded here, reworked elsewhere, and back: what the chip does not list is not taken for installed. */
static void test_reworked_elsewhere(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(GPtrArray) packages = station_seal(station, 3);
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL), *kept = g_strconcat(outbox, ".here", NULL);

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);
	g_assert_cmpuint(files_with(station, "Gone=true"), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_cmpint(g_rename(outbox, kept), ==, 0);
	station_daemon_up(station);
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_remove(outbox);
	g_assert_cmpint(g_rename(kept, outbox), ==, 0);

	station_daemon_up(station);
	g_assert_cmpuint(files_with(station, "Gone=true"), ==, 1);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);
	g_assert_cmpuint(files_with(station, "Gone=true"), ==, 1);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 2);
	steps_end(station);
}

/* Report=field: the field is not told of a profile that is gone. */
static void test_deferred(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);

	g_assert_true(g_file_set_contents(policy, "[Target]\nReport=field\n", -1, NULL));
	station->policy = policy;
	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	assert_chip(station, 1, 1, 1);
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	assert_chip(station, 0, 1, 0);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);
	assert_chip(station, 1, 0, 1);
	steps_end(station);
}

/* A disk that takes no record is found before anything is deleted. */
static void test_full_disk(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *ballast = g_build_filename(station->state, "ballast", NULL), *junk = g_malloc0(4096);
	FILE *file;

	if (mount("none", station->state, "tmpfs", 0, "size=256k,mode=0700")) {
		g_test_skip("not allowed to mount");
		station_free(station);
		return;
	}
	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	file = fopen(ballast, "w");
	setbuf(file, NULL);
	while (fwrite(junk, 4096, 1, file) == 1)
		;
	fclose(file);
	rework(station, -ENOSPC, IFPP_ERROR_NO_SPACE);
	assert_chip(station, 1, 1, 0);
	g_unlink(ballast);
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	assert_chip(station, 0, 1, 0);
	g_assert_cmpuint(station_outbox(station, ".reserve"), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);
	g_assert_cmpint(umount(station->state), ==, 0);
	station_free(station);
}

/* A chip of version 1 or 2, a profile in use, a chip that is locked: refused by name, and nothing is gone. */
static void test_refused(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autoptr(GBytes) one = steps_challenge(1);

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	for (guint codec = 1; codec <= 3; codec++) {
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
		station_modem_stop(station);
		set_chip(station, codec, codec == 3);
		station_modem_start(station);
		station_daemon_up(station);
		rework(station, -EOPNOTSUPP, IFPP_ERROR_NO_REWORK);
		assert_chip(station, 1, 1, 0);
	}
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_modem_stop(station);
	set_chip(station, 3, FALSE);
	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	assert_chip(station, 1, 0, 0);
	/* The driver asks for no more. */
	g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_REWORK, NULL, 0, STATION_WAIT_MS), <, 0);
	g_assert_cmpuint(station_outbox(station, ".deletion"), ==, 0);
	steps_clean(station);
	station_free(station);
}

/* A chip without a key has the wrong profile as well; here it lists what it has signed in compact form. */
static void test_drained(void)
{
	g_autofree char *options = g_strdup_printf("--quirks %s/compact.conf", g_getenv("IFPP_QUIRKS"));
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *report = NULL, *told = NULL;

	station->modem_options = options;
	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	assert_chip(station, 0, 0, 0);
	report = station_report(station);
	told = verify(station, report, 0);
	g_assert_cmpuint(count(told, "\"outcome\":\"deleted\""), ==, 1);
	steps_end(station);
}

/* What has the name of a new record, and is none of it, is kept beside it. */
static void test_name_taken(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *dir = NULL, *path = NULL, *aside = NULL, *kept = NULL, *report = NULL, *told = NULL;
	const char *junk = "[Deletion]\nVersion=1\nhalf of what a chip";

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	dir = g_build_filename(station->state, "outbox", station->eid, NULL);
	path = g_build_filename(dir, "2.deletion", NULL);	/* its result was 1 */
	aside = g_build_filename(dir, "quarantine", "2.deletion", NULL);
	g_assert_true(g_file_set_contents(path, junk, -1, NULL));
	g_assert_cmpuint(rework(station, 0, 0), ==, 1);
	g_assert_true(g_file_get_contents(aside, &kept, NULL, NULL));
	g_assert_cmpstr(kept, ==, junk);
	report = station_report(station);
	told = verify(station, report, 0);
	g_assert_cmpuint(count(told, "\"outcome\":\"deleted\""), ==, 1);
	steps_end(station);
}

static guint apdus_of_rework(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	gint64 before;
	guint n;

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	before = station_stat(station, "send_apdus");
	g_assert_cmpuint(rework(station, 0, 0), ==, 2);
	n = station_stat(station, "send_apdus") - before;
	steps_end(station);
	return n;
}

/* Power and daemon go at each command: all of it has happened and is proven, or nothing has. */
static void test_interrupted(void)
{
	guint apdus = apdus_of_rework(), done = 0;

	for (guint n = 1; n <= apdus; n++) {
		Station *station = station_new(world, 3);
		g_autoptr(GPtrArray) packages = station_seal(station, 2);
		gint64 before;
		guint records;

		g_test_message("command %u", n);
		station_modem_start(station);
		station_daemon_up(station);
		steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
		steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
		before = station_stat(station, "send_apdus");
		station_fault(station, "apdu %u " STATION_LATE, n);
		g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_REWORK, NULL, 0, STATION_WAIT_MS), ==, 0);
		station_until(station, "send_apdus", before + n);
		station_daemon_kill(station);
		station_modem_stop(station);
		station_modem_start(station);
		station_daemon_up(station);
		records = station_outbox(station, ".deletion");
		g_assert_true(records == 0 || records == 2);
		assert_chip(station, 2 - records, 1, 0);
		done += records == 2;
		g_assert_cmpuint(rework(station, 0, 0), ==, 2 - records);
		g_assert_cmpuint(station_outbox(station, ".deletion"), ==, 2);
		steps_end(station);
	}
	g_assert_cmpuint(done, >, 0);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/rework/rework_signed_deletion", test_signed_deletion);
	g_test_add_func("/rework/forged_record_frees_nothing", test_forged_record);
	g_test_add_func("/rework/record_alone", test_record_alone);
	g_test_add_func("/rework/other_station_knows_spent_keys", test_other_station);
	g_test_add_func("/rework/reworked_elsewhere_is_not_installed", test_reworked_elsewhere);
	g_test_add_func("/rework/deferred_result_goes", test_deferred);
	g_test_add_func("/rework/full_disk_deletes_nothing", test_full_disk);
	g_test_add_func("/rework/refused", test_refused);
	g_test_add_func("/rework/drained", test_drained);
	g_test_add_func("/rework/name_taken_is_kept", test_name_taken);
	g_test_add_func("/rework/interrupted", test_interrupted);
	code = g_test_run();
	world_free(world);
	return code;
}
