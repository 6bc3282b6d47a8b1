// SPDX-License-Identifier: GPL-2.0-or-later
#include "attack-table.h"

#include <errno.h>
#include <string.h>

#include <gio/gio.h>
#include <glib/gstdio.h>

#include "chipmem.h"
#include "error.h"
#include "euicc.h"
#include "package.h"
#include "station.h"

#define FORCE_MAX (150 * 1024)		/* what a SEQPACKET socket surely takes */

/* What a program is to say of something that was put into a file for it. */
typedef struct {
	char *name;
	GBytes *bytes;
	guint8 challenge[16];
	gboolean is_receipt;
	char *message;
	int code;
} Exhibit;

struct _AttackTable {
	World *world;
	Station *station;
	GBytes *data;		/* eUICC data of the chip */
	IfppSpan info2;		/* in it */
	GString *text;
	GPtrArray *euicc, *report;
	guint8 first_key[32];
};

static void exhibit_free(gpointer p)
{
	Exhibit *e = p;

	g_free(e->name);
	g_free(e->message);
	g_bytes_unref(e->bytes);
	g_free(e);
}

/* A line: who refused it, with which errno or exit status, why, and what the chip saw of it. */
static void put_line(AttackTable *table, const char *name, const char *who, const char *status, const char *why,
		     const char *apdus, const char *behind)
{
	g_string_append_printf(table->text, "%-31s %-7s %-12s %-21s %5s%s%s\n", name, who, status, why, apdus,
			       *behind ? "  " : "", behind);
}

static const char *errno_name(int err)
{
	static const struct { int err; const char *name; } names[] = {
		{ 0, "-" }, { EPERM, "EPERM" }, { EIO, "EIO" }, { EXDEV, "EXDEV" }, { EBADMSG, "EBADMSG" },
		{ EMSGSIZE, "EMSGSIZE" }, { ENOKEY, "ENOKEY" }, { EKEYEXPIRED, "EKEYEXPIRED" },
		{ EKEYREJECTED, "EKEYREJECTED" }, { EREMOTEIO, "EREMOTEIO" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		if (names[i].err == err)
			return names[i].name;
	return g_strerror(err);
}

/* ------------------------------------------------------------ the chip */

static IfppEcKey *secret_of(TestId *id)
{
	gnutls_datum_t k = {};
	guint8 scalar[32] = {};
	IfppEcKey *key;

	g_assert_cmpint(gnutls_privkey_export_ecc_raw2(id->key, NULL, NULL, NULL, &k, GNUTLS_EXPORT_FLAG_NO_LZ), ==, 0);
	g_assert_cmpuint(k.size, <=, 32);
	memcpy(scalar + 32 - k.size, k.data, k.size);
	gnutls_free(k.data);
	key = ifpp_ec_key_import(scalar, NULL);
	g_assert_nonnull(key);
	return key;
}

static void make_chip(AttackTable *table, TestPki *pki, const guint8 eid[16], TestId **keys, guint n_keys,
		      GBytes *factory_info)
{
	IfppChipMem *mem = ifpp_chipmem_new(table->station->chip, eid, secret_of(pki->euicc));
	g_autoptr(GByteArray) info2 = g_byte_array_new();
	guint8 parsed[16];
	IfppSpan ff21;

	mem->cert_euicc = g_bytes_ref(pki->euicc->der);
	mem->cert_eum = g_bytes_ref(pki->eum->der);
	mem->ci = g_bytes_ref(pki->ci->der);
	for (guint i = 0; i < n_keys; i++) {
		g_autoptr(IfppEcKey) key = secret_of(keys[i]);

		g_assert_true(ifpp_chipmem_add_key(mem, key, NULL));
	}
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
	ifpp_chipmem_put_info2(mem, info2);
	table->data = ifpp_euicc_data_build(eid, ifpp_span_bytes(factory_info), (IfppSpan){ info2->data, info2->len });
	g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(table->data), parsed, &ff21, &table->info2, NULL));
	ifpp_chipmem_free(mem);
}

static void write_file(const char *dir, const char *name, GBytes *bytes)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_true(g_file_set_contents(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL));
}

AttackTable *attack_table_new(TestPki *pki, const guint8 eid[16], TestId **keys, guint n_keys, GBytes *factory_info)
{
	AttackTable *table = g_new0(AttackTable, 1);
	g_autofree char *home_ci = NULL, *trust = NULL;
	guint8 point[65];

	table->world = world_new();
	table->text = g_string_new(NULL);
	table->euicc = g_ptr_array_new_with_free_func(exhibit_free);
	table->report = g_ptr_array_new_with_free_func(exhibit_free);
	/* Everybody trusts the CI of the attacks, and daemon and chip only that one. */
	home_ci = g_build_filename(table->world->home, "ci", NULL);
	trust = g_build_filename(table->world->dir, "attack-trust", NULL);
	g_assert_cmpint(g_mkdir(trust, 0700), ==, 0);
	write_file(home_ci, "attacks.der", pki->ci->der);
	write_file(trust, "attacks.der", pki->ci->der);
	table->station = station_bare(table->world, "attacked", TEST_EID);
	table->station->trust = g_steal_pointer(&trust);
	make_chip(table, pki, eid, keys, n_keys, factory_info);
	test_id_point(keys[0], point);
	ifpp_key_id(point, table->first_key);
	station_modem_start(table->station);
	station_daemon_up(table->station);
	g_assert_cmpuint(table->station->sim->rec.unspent, ==, n_keys);
	return table;
}

void attack_table_free(AttackTable *table)
{
	char *trust = (char *)table->station->trust;

	if (table->station->daemon)
		g_assert_cmpint(station_daemon_stop(table->station), ==, 0);
	g_assert_cmpuint(table->station->sim->tampers, ==, 0);
	station_free(table->station);
	world_free(table->world);
	g_free(trust);
	g_bytes_unref(table->data);
	g_ptr_array_unref(table->euicc);
	g_ptr_array_unref(table->report);
	g_string_free(table->text, TRUE);
	g_free(table);
}

/* ------------------------------------------------------------ packages */

/* The daemon's own refusal. */
static void check_daemon(AttackTable *table, RelaySimResult *result, gint64 before, int code)
{
	g_assert_cmpint(result->reply.status, <, 0);
	g_assert_cmpstr(ifpp_error_name(result->reply.reason), ==, ifpp_error_name(code));
	g_assert_cmpuint(result->reply.apdus, ==, 0);
	g_assert_cmpint(station_stat(table->station, "apdus"), ==, before);
	relay_sim_result_clear(result);
}

void attack_table_package(AttackTable *table, const char *name, GBytes *file, GBytes *crl, int code)
{
	Station *station = table->station;
	gint64 before = station_stat(station, "apdus"), apdus;
	g_autofree char *crl_path = g_build_filename(station->trust, "attack.crl", NULL);
	g_autofree char *seen = NULL, *behind = NULL;
	guint unspent = station->sim->rec.unspent;
	RelaySimResult result = {};
	int err;

	if (crl)
		write_file(station->trust, "attack.crl", crl);
	err = station_request(station, IFPP_REQ_LOAD, file, &result);
	g_assert_cmpint(err, <, 0);
	apdus = station_stat(station, "apdus") - before;
	seen = g_strdup_printf("%" G_GINT64_FORMAT, apdus);
	if (result.data) {
		int status = -result.reply.status;

		check_daemon(table, &result, before, code);
		put_line(table, name, "daemon", errno_name(status), ifpp_error_name(code), seen, "");
	} else if (g_bytes_get_size(file) && g_bytes_get_size(file) < FORCE_MAX) {
		/* Were the driver not there: */
		relay_sim_force(station->sim, file, STATION_WAIT_MS);
		g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
		check_daemon(table, &result, before, code);
		behind = g_strdup_printf("daemon: %s", ifpp_error_name(code));
		put_line(table, name, "kernel", errno_name(-err), "-", seen, behind);
	} else {
		put_line(table, name, "kernel", errno_name(-err), "-", seen, "");
	}
	g_unlink(crl_path);
	g_assert_cmpint(apdus, ==, 0);
	g_assert_cmpuint(station->sim->rec.unspent, ==, unspent);
}

void attack_table_chip(AttackTable *table, const char *name, GBytes *file, guint reason)
{
	Station *station = table->station;
	guint unspent = station->sim->rec.unspent;
	g_autofree char *seen = NULL;
	RelaySimResult result = {};

	station_request(station, IFPP_REQ_LOAD, file, &result);
	g_assert_nonnull(result.data);
	g_assert_cmpstr(ifpp_pir_reason_name(result.reply.reason), ==, ifpp_pir_reason_name(reason));
	g_assert_cmpint(result.reply.status, ==, reason ? -EREMOTEIO : 0);
	g_assert_cmpuint(result.reply.apdus, >, 0);
	/* One key, one try. */
	g_assert_cmpuint(station->sim->rec.unspent, ==, unspent - 1);
	seen = g_strdup_printf("%u", result.reply.apdus);
	put_line(table, name, reason ? "chip" : "nobody", errno_name(-result.reply.status),
		 ifpp_pir_reason_name(result.reply.reason), seen, "");
	relay_sim_result_clear(&result);
}

void attack_table_locked(AttackTable *table, const char *name, GBytes *file)
{
	static const guint8 challenge[16] = { 1 };
	g_autoptr(GBytes) bytes = g_bytes_new_static(challenge, sizeof(challenge));
	Station *station = table->station;
	RelaySimResult result = {};
	gint64 before;
	int err;

	g_assert_cmpint(station_request(station, IFPP_REQ_LOCK, bytes, &result), ==, 0);
	relay_sim_result_clear(&result);
	/* There is nothing left for the daemon to do. */
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	before = station_stat(station, "apdus");
	err = station_request(station, IFPP_REQ_LOAD, file, &result);
	g_assert_cmpint(err, ==, -EPERM);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	put_line(table, name, "kernel", errno_name(-err), "-", "0", "");
}

/* ------------------------------------------------------------ what chips say */

static void show(GPtrArray *to, const char *name, GBytes *bytes, const guint8 *challenge, const GError *why)
{
	Exhibit *e = g_new0(Exhibit, 1);

	e->name = g_strdup(name);
	e->bytes = g_bytes_ref(bytes);
	e->is_receipt = challenge != NULL;
	if (challenge)
		memcpy(e->challenge, challenge, 16);
	e->message = g_strdup(why->message);
	e->code = why->code;
	g_ptr_array_add(to, e);
}

void attack_table_euicc(AttackTable *table, const char *name, GBytes *ff21, const GError *why)
{
	show(table->euicc, name, ff21, NULL, why);
}

void attack_table_pir(AttackTable *table, const char *name, GBytes *pir, const GError *why)
{
	show(table->report, name, pir, NULL, why);
}

void attack_table_receipt(AttackTable *table, const char *name, GBytes *receipt, const guint8 challenge[16],
			  const GError *why)
{
	show(table->report, name, receipt, challenge, why);
}

/* The exit status; all that the program said. */
static int run(char **out, const char *program, ...)
{
	g_autofree char *err = NULL, *stdout_text = NULL;
	g_autoptr(GPtrArray) argv = NULL;
	g_autoptr(GError) error = NULL;
	va_list args;
	int status;

	va_start(args, program);
	argv = station_argv(program, args);
	va_end(args);
	g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &stdout_text, &err, &status, &error);
	g_assert_no_error(error);
	*out = g_strconcat(stdout_text, err, NULL);
	return g_spawn_check_wait_status(status, NULL) ? 0 : WEXITSTATUS(status);
}

/* The line of @text that begins with @begin; NULL if there is none. */
static char *find_line(const char *text, const char *begin)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", 0);

	for (guint i = 0; lines[i]; i++)
		if (g_str_has_prefix(lines[i], begin))
			return g_strdup(lines[i]);
	return NULL;
}

/* All of them to one seal: each is named with its reason, and not one package is made. */
void attack_table_seal(AttackTable *table)
{
	World *world = table->world;
	g_autofree char *dir = g_build_filename(world->dir, "attack-data", NULL);
	g_autofree char *out = g_build_filename(world->dir, "attack-packages", NULL), *said = NULL;
	g_autoptr(GDir) made = NULL;
	int status;

	g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
	for (guint i = 0; i < table->euicc->len; i++) {
		const Exhibit *e = table->euicc->pdata[i];
		g_autofree char *name = g_strconcat(e->name, ".euicc", NULL);
		g_autoptr(GByteArray) all = g_byte_array_new();
		guint8 eid[16];
		g_autoptr(GBytes) data = NULL;

		test_eid(eid);
		data = ifpp_euicc_data_build(eid, ifpp_span_bytes(e->bytes), table->info2);
		write_file(dir, name, data);
	}
	status = run(&said, "ifpp-smdpf", "seal", "--home", world->home, "--pin-file", world->pin, "--euicc", dir,
		     "--class", "test", "--out", out, NULL);
	g_assert_cmpint(status, !=, 0);
	for (guint i = 0; i < table->euicc->len; i++) {
		const Exhibit *e = table->euicc->pdata[i];
		g_autofree char *begin = g_strdup_printf("ifpp-smdpf: %s/%s.euicc: %s", dir, e->name, e->message);
		g_autofree char *line = find_line(said, begin);

		if (!line)
			g_error("%s: seal did not say \"%s\" but: %s", e->name, begin, said);
		put_line(table, e->name, "seal", "left out", ifpp_error_name(e->code), "-", "");
	}
	made = g_dir_open(out, 0, NULL);
	g_assert_true(!made || !g_dir_read_name(made));
}

/* Each as the report of a factory that has nothing else to tell. */
void attack_table_report(AttackTable *table)
{
	g_autofree char *path = g_build_filename(table->world->dir, "attack-report.json", NULL);
	g_autofree char *data = g_base64_encode(g_bytes_get_data(table->data, NULL), g_bytes_get_size(table->data));

	for (guint i = 0; i < table->report->len; i++) {
		const Exhibit *e = table->report->pdata[i];
		g_autofree char *b64 = g_base64_encode(g_bytes_get_data(e->bytes, NULL), g_bytes_get_size(e->bytes));
		g_autofree char *challenge = ifpp_hex(IFPP_SPAN(e->challenge)), *key = ifpp_hex(IFPP_SPAN(table->first_key));
		g_autofree char *result = NULL, *text = NULL, *said = NULL, *status_text = NULL;
		g_autoptr(GString) report = g_string_new("{\"format\":\"ifpp-report\",\"version\":1,\"units\":[{");
		int status;

		g_string_append_printf(report, "\"eid\":\"" TEST_EID "\",\"euicc_data\":\"%s\",", data);
		if (e->is_receipt)
			g_string_append_printf(report, "\"results\":[],\"lock\":{\"challenge\":\"%s\",\"receipt\":\"%s\"}",
					       challenge, b64);
		else
			g_string_append_printf(report, "\"results\":[{\"key_id\":\"%s\",\"status\":0,\"pir\":\"%s\"}],"
					       "\"lock\":null", key, b64);
		g_string_append(report, "}]}");
		g_assert_true(g_file_set_contents(path, report->str, report->len, NULL));
		status = run(&said, "ifpp-smdpf", "verify-report", "--home", table->world->home, path, NULL);
		g_assert_cmpint(status, ==, IFPP_EXIT_REFUSED);
		text = find_line(said, "forged");
		if (!text || !g_str_has_suffix(text, e->message))
			g_error("%s: verify-report did not say \"%s\" but: %s", e->name, e->message, said);
		status_text = g_strdup_printf("exit %d", status);
		put_line(table, e->name, "report", status_text, ifpp_error_name(e->code), "-", "");
	}
}

char *attack_table_text(AttackTable *table)
{
	return g_strdup(table->text->str);
}
