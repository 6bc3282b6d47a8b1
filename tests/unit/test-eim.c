// SPDX-License-Identifier: GPL-2.0-or-later
/* IoT eUICCs (SGP.32) at a station: locked, known to its eIM, and in use. */
#include <poll.h>
#include <string.h>

#include <glib/gstdio.h>

#include "chipmem.h"
#include "compact.h"
#include "eim.h"
#include "error.h"
#include "file.h"
#include "steps.h"

static World *world;

/* { 80 eimId, 81 FQDN, 83 counterValue, 84 associationToken: make one, A5 { A0 { key } } } */
static GBytes *config(const char *id)
{
	static const guint8 key[] = { 0xA0, 0x06, 0x30, 0x01, 0x06, 0x03, 0x01, 0x00 };
	g_autoptr(GByteArray) value = g_byte_array_new(), out = g_byte_array_new();
	g_autofree char *fqdn = g_strdup_printf("%s.example.com", id);

	ifpp_tlv_put(value, 0x80, id, strlen(id));
	ifpp_tlv_put(value, 0x81, fqdn, strlen(fqdn));
	ifpp_tlv_put_uint(value, 0x83, 0);
	ifpp_tlv_put(value, 0x84, (guint8[]){ IFPP_EIM_NEW_TOKEN }, 1);
	ifpp_tlv_put(value, 0xA5, key, sizeof(key));
	ifpp_tlv_put(out, 0x30, value->data, value->len);
	return g_bytes_new(out->data, out->len);
}

/* ------------------------------------------------------------------ its configuration */

#define KEY "a506a00430003000"

static void parsing(void)
{
	static const struct {
		const char *hex, *says;	/* NULL: sound */
	} cases[] = {
		{ "300b800161" KEY, NULL },
		{ "3011800161840103" "870106" KEY, "not in its place" },
		{ "3014800161810162830100840101" KEY "8900", "it is not one SEQUENCE" },
		{ "3016800161810162830100840101" KEY "8900", NULL },
		{ "300e800161800161" KEY, "there twice" },
		{ "300e800161" KEY "8b0100", "unknown" },
		{ "300a8000" KEY, "1 to 128 bytes" },
		{ "300b8001ff" KEY, "1 to 128 bytes" },
		{ "300b800100" KEY, "1 to 128 bytes" },
		{ "3003800161", "no eimPublicKeyData" },
		{ "3007800161a502a000", "neither a key nor a certificate" },
		{ "300b800161a606a00430003000", "no eimPublicKeyData" },
		{ "300b800161" KEY "00", "not one SEQUENCE" },
		{ "300b800161a507a00430003000", "cut short" },
		{ "310b800161" KEY, "not one SEQUENCE" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) der = ifpp_unhex(cases[i].hex);
		g_autoptr(GError) error = NULL;
		IfppEim eim;

		g_assert_nonnull(der);
		g_assert_cmpint(ifpp_eim_parse(ifpp_span_bytes(der), &eim, &error), ==, !cases[i].says);
		if (!cases[i].says)
			continue;
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TLV);
		if (!strstr(error->message, cases[i].says))
			g_error("%s: %s, wanted %s", cases[i].hex, error->message, cases[i].says);
	}
}

static gboolean same(const char *a, const char *b)
{
	g_autoptr(GBytes) one = ifpp_unhex(a), other = ifpp_unhex(b);
	IfppEim eim_a, eim_b;

	g_assert_true(ifpp_eim_parse(ifpp_span_bytes(one), &eim_a, NULL));
	g_assert_true(ifpp_eim_parse(ifpp_span_bytes(other), &eim_b, NULL));
	return ifpp_eim_same(&eim_a, &eim_b);
}

/* What the eUICC decides does not count, everything else does. */
static void comparing(void)
{
	g_assert_true(same("300b800161" KEY, "300b800161" KEY));
	g_assert_true(same("300e8001618401ff" KEY, "3011800161" "830107" "840105" KEY));
	g_assert_true(same("300b800161" KEY, "300e800161" KEY "880155"));
	g_assert_false(same("300e800161" KEY "880155", "300e800161" KEY "880156"));
	g_assert_false(same("300e800161" KEY "880155", "300b800161" KEY));
	g_assert_false(same("300b800161" KEY, "300b800162" KEY));
	g_assert_false(same("300b800161" KEY, "300e800161810162" KEY));
	g_assert_false(same("300b800161" KEY, "300d800161" KEY "8900"));
	g_assert_false(same("300b800161" KEY, "300b800161a506a00430003001"));
}

static void reading(void)
{
	g_autoptr(GBytes) der = config("one"), first = NULL, second = NULL;
	g_autofree char *path = g_build_filename(world->dir, "eim", NULL), *base64 = NULL, *text = NULL;
	static const char *const bad[] = { "", "MAA", "MAA=", "no base64!", "MAsBgAFh" };

	base64 = g_base64_encode(g_bytes_get_data(der, NULL), g_bytes_get_size(der));
	text = g_strdup_printf("%.10s\n %s \r\n", base64, base64 + 10);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	first = ifpp_eim_read(path, NULL);
	g_assert_true(g_file_set_contents(path, g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL));
	second = ifpp_eim_read(path, NULL);
	g_assert_true(first && second && g_bytes_equal(first, der) && g_bytes_equal(second, der));
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(g_file_set_contents(path, bad[i], -1, NULL));
		g_assert_null(ifpp_eim_read(path, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TLV);
		g_assert_nonnull(strstr(error->message, path));
	}
}

/* ------------------------------------------------------------------ a station with its policy */

/* Enable, when it names a profile, and the eIM of this name in a file beside the policy. */
static void set_policy(Station *station, const char *id, const char *enable)
{
	g_autofree char *path = g_build_filename(station->dir, "policy", NULL);
	g_autofree char *file = g_build_filename(station->dir, "eim.der", NULL);
	g_autofree char *line = enable ? g_strdup_printf("Enable=%s\n", enable) : g_strdup("");
	g_autofree char *text = g_strdup_printf("[Target]\nLock=unit\n%s%s", id ? "Eim=eim.der\n" : "", line);
	g_autoptr(GBytes) der = config(id ? id : "none");

	g_assert_true(g_file_set_contents(file, g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL));
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static Station *begin(guint n_packages, GPtrArray **packages)
{
	Station *station = station_new(world, 3);

	if (n_packages)
		*packages = station_seal(station, n_packages);
	station->options = g_build_filename(station->dir, "policy", NULL);
	station->policy = station->options;
	set_policy(station, NULL, NULL);
	station_modem_start(station);
	return station;
}

/* The daemon has nothing more to do and says so. */
static void ends(Station *station)
{
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
}

static void start_to_end(Station *station)
{
	station_daemon_up(station);
	ends(station);
}

static void lock(Station *station)
{
	g_autoptr(GBytes) one = steps_challenge(1);

	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	ends(station);
}

/* Names of the eIMs in the chip's memory, with a blank after each; and the first profile that is enabled. */
static char *eims(Station *station, char **enabled)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	g_autoptr(GString) names = g_string_new("");
	IfppChipProfile *profile;
	IfppSpan in;
	IfppTlv tlv;
	IfppEim eim;

	g_assert_nonnull(mem);
	in = (IfppSpan){ mem->eims->data, mem->eims->len };
	while (ifpp_tlv_take(&in, 0x30, &tlv)) {
		g_autofree char *name = NULL;

		g_assert_true(ifpp_eim_parse(tlv.whole, &eim, NULL));
		name = ifpp_eim_name(&eim);
		g_string_append_printf(names, "%s ", name);
	}
	g_assert_cmpuint(in.len, ==, 0);
	profile = ifpp_chipmem_enabled(mem);
	if (enabled)
		*enabled = profile && ifpp_tlv_find(ifpp_span_bytes(profile->metadata), 0x92, &tlv) ?
				   g_strndup((const char *)tlv.value.data, tlv.value.len) : NULL;
	return g_string_free(g_steal_pointer(&names), FALSE);
}

static void assert_eims(Station *station, const char *want)
{
	g_autofree char *names = eims(station, NULL);

	g_assert_cmpstr(names, ==, want);
}

static char *log_of(Station *station)
{
	char *text = NULL;

	g_assert_true(g_file_get_contents(station->log, &text, NULL, NULL));
	return text;
}

static void assert_log(Station *station, const char *what)
{
	g_autofree char *text = log_of(station);

	if (!strstr(text, what))
		g_error("the log has not '%s': %s", what, text);
}

static void assert_report(Station *station, const char *what)
{
	g_autofree char *text = station_report(station);

	if (!strstr(text, what))
		g_error("the report has not '%s': %s", what, text);
}

/* Of the only profile in the chip. */
static char *profile_name(Station *station, guint index)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	IfppChipProfile *profile;
	IfppTlv tlv;

	g_assert_cmpuint(mem->profiles->len, >, index);
	profile = mem->profiles->pdata[index];
	g_assert_true(ifpp_tlv_find(ifpp_span_bytes(profile->metadata), 0x92, &tlv));
	return g_strndup((const char *)tlv.value.data, tlv.value.len);
}

/* ------------------------------------------------------------------ the eIM */

/* The whole way of a gateway with an IoT eUICC: loaded, locked, known to its eIM and in use, in one go. */
static void eim_added(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, &packages);
	g_autofree char *name = NULL, *enabled = NULL, *names = NULL, *record = NULL, *later = NULL, *path = NULL;
	gint64 writes;

	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	name = profile_name(station, 0);
	set_policy(station, "eim.one", name);
	assert_eims(station, "");
	lock(station);
	names = eims(station, &enabled);
	g_assert_cmpstr(names, ==, "eim.one ");
	g_assert_cmpstr(enabled, ==, name);
	assert_log(station, "it has the eIM eim.one");
	assert_log(station, "it took ImmediateEnable");
	assert_report(station, "\"known\":true");
	path = g_build_filename(station->state, "outbox", station->eid, "eim.record", NULL);
	g_assert_true(g_file_get_contents(path, &record, NULL, NULL));

	/* Once more changes nothing, neither in the chip nor on the disk. */
	writes = station_stat(station, "writes");
	start_to_end(station);
	g_assert_cmpint(station_stat(station, "writes"), ==, writes);
	assert_eims(station, "eim.one ");
	g_assert_true(g_file_get_contents(path, &later, NULL, NULL));
	g_assert_cmpstr(later, ==, record);
	steps_clean(station);
	station_free(station);
}

/* What the chip's eIM is cannot be taken from it here: it is named, and stays. Failures are told, and can be made good. */
static void eim_not_replaced(void)
{
	Station *station = begin(0, NULL);

	set_policy(station, "eim.one", NULL);
	station_daemon_up(station);
	lock(station);
	assert_eims(station, "eim.one ");

	set_policy(station, "eim.two", NULL);
	start_to_end(station);
	assert_eims(station, "eim.one ");
	assert_log(station, "the eIM eim.two could not be put in: the chip has another eIM already, eim.one, and not eim.two");
	assert_report(station, "\"known\":false");
	assert_report(station, "the chip has another eIM already, eim.one");

	set_policy(station, "eim.one", NULL);
	start_to_end(station);
	assert_report(station, "\"known\":true");
	steps_clean(station);
	station_free(station);
}

/* A policy whose eIM cannot be read is told before anything is done, by the daemon and by ifppctl. */
static void eim_unreadable(void)
{
	Station *station = begin(0, NULL);
	g_autofree char *file = g_build_filename(station->dir, "eim.der", NULL);

	set_policy(station, "eim.one", NULL);
	g_assert_true(g_file_set_contents(file, "MAA=", -1, NULL));
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_INPUT);
	assert_log(station, "eim.der: not the configuration of an eIM (EimConfigurationData): its eimId is not");
	g_assert_cmpint(g_unlink(file), ==, 0);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_INPUT);
	station_free(station);
}

/* A consumer eUICC knows no eIM, and no immediate enabling: said, and the profile is enabled all the same. */
static void eim_of_consumer_chip(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	g_autofree char *name = NULL, *enabled = NULL, *names = NULL;
	Station *station;

	world->iot = FALSE;
	station = begin(1, &packages);
	world->iot = TRUE;
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	name = profile_name(station, 0);
	set_policy(station, "eim.one", name);
	lock(station);
	names = eims(station, &enabled);
	g_assert_cmpstr(names, ==, "");
	g_assert_cmpstr(enabled, ==, name);
	assert_log(station, "the eIM eim.one could not be put in: the chip is no IoT eUICC");
	assert_report(station, "the chip is no IoT eUICC");
	steps_clean(station);
	station_free(station);
}

/* ------------------------------------------------------------------ enabling */

/* ImmediateEnable takes the profile that came last; the policy may mean another one. */
static void enable_named(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(2, &packages);
	g_autofree char *first = NULL, *enabled = NULL, *names = NULL, *log = NULL;
	guint8 iccid[10];

	station_daemon_up(station);
	for (guint i = 0; i < packages->len; i++)
		steps_ask(station, IFPP_REQ_LOAD, packages->pdata[i], 0, 0);
	first = profile_name(station, 0);
	set_policy(station, "eim.one", first);
	{
		g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);

		memcpy(iccid, ((IfppChipProfile *)mem->profiles->pdata[0])->iccid, sizeof(iccid));
	}
	lock(station);
	{
		g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
		IfppChipProfile *profile = ifpp_chipmem_enabled(mem);

		g_assert_nonnull(profile);
		g_assert_cmpmem(profile->iccid, 10, iccid, 10);
	}
	log = log_of(station);
	g_assert_null(strstr(log, "it took ImmediateEnable"));
	assert_eims(station, "eim.one ");
	steps_clean(station);
	station_free(station);
}

/* After a power cut the chip does not know any more which profile came last: it is enabled by name. */
static void enable_after_power_cut(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, &packages);
	g_autofree char *name = NULL, *enabled = NULL, *names = NULL;

	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	name = profile_name(station, 0);
	lock(station);
	station_modem_stop(station);
	station_modem_start(station);
	set_policy(station, "eim.one", name);
	start_to_end(station);
	names = eims(station, &enabled);
	g_assert_cmpstr(names, ==, "eim.one ");
	g_assert_cmpstr(enabled, ==, name);
	assert_log(station, "at once: ImmediateEnable: the chip refuses with result 4: no profile was loaded since power-up");
	steps_clean(station);
	station_free(station);
}

/* ------------------------------------------------------------------ compact results */

/* How many commands a load takes, up to the one that is answered with the result. */
static guint commands_of_load(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, &packages);
	guint apdus;

	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, &apdus), ==, 0);
	steps_end(station);
	return apdus;
}

static guint notes_in_chip(Station *station)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);

	g_assert_nonnull(mem);
	return mem->notes->len;
}

/*
 * The chip lists its results in compact form, as an IoT eUICC may. The daemon is killed before it has the answer to command
 * @n of a load, so that the list is all there is; with @power the chip loses its power as well, and signs an interruption.
 */
static void compact_after(guint n, gboolean power)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_new(world, 1);
	g_autofree char *options = g_strdup_printf("--quirks %s/compact.conf", g_getenv("IFPP_QUIRKS"));
	gint64 before;

	packages = station_seal(station, 1);
	station->modem_options = options;
	station_modem_start(station);
	station_daemon_up(station);
	before = station_stat(station, "apdus");
	station_fault(station, "apdu %u " STATION_LATE, n);
	station_submit(station, packages->pdata[0]);
	station_until(station, "apdus", before + n);
	station_daemon_kill(station);
	if (power) {
		station_modem_stop(station);
		station_modem_start(station);
	}
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 1);
	g_assert_cmpuint(notes_in_chip(station), ==, 1);

	station_daemon_up(station);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	g_assert_cmpuint(notes_in_chip(station), ==, 0);
	assert_log(station, power ? "not installed: interruption" : "installed");
	/* It is the whole result that goes to the Key Maker, and verifies there. */
	assert_report(station, power ? "\"reason_name\":\"interruption\"" : "\"reason_name\":\"ok\"");
	steps_end(station);
}

/* Nothing but a whole one is one. */
static void compact_parsing(void)
{
	static const char *const whole =
		"a062a01d8001aa020103a215a0134f020010040d300ba009300780010081020001" "5f3740"
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	g_autoptr(GBytes) bytes = ifpp_unhex(whole), facts = ifpp_unhex("0603883701" "5a0a98990900000000000000" "0c0161");
	IfppSpan span = ifpp_span_bytes(bytes);
	IfppCompactPir compact;
	guint64 seq;

	g_assert_true(ifpp_compact_pir_parse(span, &compact, NULL));
	g_assert_true(ifpp_compact_pir_seq(&compact, &seq));
	g_assert_cmpuint(seq, ==, 3);
	g_assert_true(compact.with_iccid);
	g_assert_cmpuint(compact.sima.len, ==, 13);
	/* signed by nobody, and there is nothing to try it with */
	g_assert_null(ifpp_compact_pir_expand(&compact, ifpp_span_bytes(facts), (IfppSpan){ NULL, 0 }));
	g_assert_null(ifpp_compact_pir_expand(&compact, (IfppSpan){ NULL, 0 }, (IfppSpan){ NULL, 0 }));
	for (gsize len = 0; len < span.len; len++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(ifpp_compact_pir_parse((IfppSpan){ span.data, len }, &compact, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_PIR);
	}
}

static void compact_results(void)
{
	guint n = commands_of_load();

	compact_after(n, FALSE);
	compact_after(n - 3, TRUE);
}

/* ------------------------------------------------------------------ certificates from GetCerts */

/* A chip that has its certificates in the answer to GetCerts alone. */
static Station *of_getcerts(void)
{
	Station *station = station_new(world, 2);

	station->options = g_strdup_printf("--quirks %s/getcerts.conf", g_getenv("IFPP_QUIRKS"));
	station->modem_options = station->options;
	return station;
}

/* What it tells is what its EUM told of it, byte for byte: a request with it is taken, and what is sealed for it loads. */
static void getcerts_alone(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = of_getcerts();
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL), *ours = NULL, *theirs = NULL;
	g_autofree char *request = g_build_filename(station->dir, "line.ifppr", NULL), *order = g_strdup(station->eid + 22);
	char *gathered = g_build_filename(outbox, station->eid, "euicc.data", NULL);
	gsize len, n;

	station_modem_start(station);
	station_daemon_up(station);
	g_assert_true(g_file_get_contents(gathered, &ours, &n, NULL));
	g_assert_true(g_file_get_contents(station->data, &theirs, &len, NULL));
	g_assert_cmpmem(ours, n, theirs, len);
	g_assert_cmpint(station_run("ifppctl", "request", "--outbox", outbox, "--order", order, "-o", request, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "import", "--home", world->home, request, NULL), ==, 0);
	g_free(station->data);
	station->data = gathered;
	packages = station_seal(station, 1);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	assert_report(station, "\"reason_name\":\"ok\"");
	steps_end(station);
}

/* Put other certificates into the chip. */
static void forge(Station *station, Station *from, gboolean eum)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL), other = ifpp_chipmem_load(from->chip, NULL);

	g_assert_true(mem && other);
	g_clear_pointer(&mem->cert_euicc, g_bytes_unref);
	mem->cert_euicc = g_bytes_ref(other->cert_euicc);
	if (eum) {
		g_clear_pointer(&mem->cert_eum, g_bytes_unref);
		mem->cert_eum = g_bytes_ref(other->cert_eum);
	}
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
}

static void is_refused(Station *station, const char *why)
{
	station_modem_start(station);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), >, 0);
	assert_log(station, why);
	g_assert_cmpuint(station_outbox(station, ""), ==, 0);
	steps_clean(station);
	station_free(station);
}

/* They are believed no more than those of GetFactoryInfo. */
static void getcerts_verified(void)
{
	World *ours = world, *foreign = world_new();
	Station *station = of_getcerts(), *other = station_new(world, 1), *stranger;

	forge(station, other, FALSE);
	station_free(other);
	is_refused(station, "the certificate is another chip's");

	foreign->chips = world->chips;
	world = foreign;
	stranger = station_new(foreign, 1);
	world = ours;
	station = of_getcerts();
	forge(station, stranger, TRUE);
	station_free(stranger);
	world_free(foreign);
	is_refused(station, "which is not a configured CI root");
}

/* ------------------------------------------------------------------ cut at any message */

typedef struct {
	Station *station;
	char *born;		/* the chip's memory when it was locked */
	char *name;		/* of its profile */
	guint start, messages;	/* of the daemon until it attaches, and until it ends */
} Locked;

static void again(Locked *locked)
{
	station_modem_stop(locked->station);
	station_copy(locked->born, locked->station->chip);
	station_modem_start(locked->station);
}

static void count_messages(Locked *locked)
{
	Station *station = locked->station;
	struct pollfd attaching = { .fd = station->sim->listen_fd, .events = POLLIN };
	gint64 before;

	again(locked);
	before = station_stat(station, station_messages(station));
	station_daemon_start(station);
	g_assert_cmpint(poll(&attaching, 1, STATION_WAIT_MS), ==, 1);
	locked->start = station_stat(station, station_messages(station)) - before;
	g_assert_cmpint(relay_sim_attach_of(station->sim, &station->daemon, STATION_WAIT_MS), ==, 0);
	ends(station);
	locked->messages = station_stat(station, station_messages(station)) - before;
}

/* Start the daemon, and kill it when the modem has its message @n. */
static void kill_at(Locked *locked, guint n)
{
	Station *station = locked->station;
	gint64 before = station_stat(station, station_messages(station));

	station_fault(station, "%s %u delay 120", station_place(station), n);
	station_daemon_start(station);
	if (n > locked->start)
		g_assert_cmpint(relay_sim_attach_of(station->sim, &station->daemon, STATION_WAIT_MS), ==, 0);
	station_until(station, station_messages(station), before + n);
	station_daemon_kill(station);
}

/*
 * A chip that is locked and has neither eIM nor profile in use, again and again; the daemon is killed at each message of the
 * way from there to the end; with @power, from the attach on, the chip loses its power then.
 */
static void cut_everywhere(gboolean power)
{
	g_autoptr(GPtrArray) packages = NULL;
	Locked locked = { .station = begin(1, &packages) };
	Station *station = locked.station;
	guint none = 0, one = 0;

	locked.born = g_build_filename(station->dir, "born", NULL);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	locked.name = profile_name(station, 0);
	lock(station);
	station_copy(station->chip, locked.born);
	set_policy(station, "eim.one", locked.name);
	count_messages(&locked);

	for (guint n = power ? locked.start + 1 : 1; n <= locked.messages; n++) {
		g_autofree char *names = NULL, *enabled = NULL, *after = NULL;

		again(&locked);
		kill_at(&locked, n);
		if (power) {
			station_modem_stop(station);
			station_modem_start(station);
		}
		after = eims(station, NULL);
		g_assert_true(g_str_equal(after, "") || g_str_equal(after, "eim.one "));
		none += !*after;
		one += *after != 0;
		start_to_end(station);
		names = eims(station, &enabled);
		g_assert_cmpstr(names, ==, "eim.one ");
		g_assert_cmpstr(enabled, ==, locked.name);
		steps_clean(station);
	}
	g_test_message("cut at each of %u messages: %u times no eIM was there, %u times one, and at the end always one", locked.messages, none, one);
	/* Of the messages before the eIM's, few come after the attach. */
	g_assert_cmpuint(none, >, power ? 0 : 5);
	g_assert_cmpuint(one, >, 2);
	station_free(station);
	g_free(locked.born);
	g_free(locked.name);
}

static void killed_everywhere(void)
{
	cut_everywhere(FALSE);
}

static void power_everywhere(void)
{
	cut_everywhere(TRUE);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	world->iot = TRUE;
	g_test_add_func("/eim/parsing", parsing);
	g_test_add_func("/eim/comparing", comparing);
	g_test_add_func("/eim/reading", reading);
	g_test_add_func("/eim/eim_added", eim_added);
	g_test_add_func("/eim/not_replaced", eim_not_replaced);
	g_test_add_func("/eim/unreadable", eim_unreadable);
	g_test_add_func("/eim/of_consumer_chip", eim_of_consumer_chip);
	g_test_add_func("/eim/enable_named", enable_named);
	g_test_add_func("/eim/enable_after_power_cut", enable_after_power_cut);
	g_test_add_func("/eim/compact_parsing", compact_parsing);
	g_test_add_func("/eim/compact_results", compact_results);
	g_test_add_func("/eim/getcerts_alone", getcerts_alone);
	g_test_add_func("/eim/getcerts_verified", getcerts_verified);
	g_test_add_func("/eim/killed_everywhere", killed_everywhere);
	g_test_add_func("/eim/power_everywhere", power_everywhere);
	code = g_test_run();
	world_free(world);
	return code;
}
