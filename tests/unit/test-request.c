// SPDX-License-Identifier: GPL-2.0-or-later
/* The request bundle: the file, and its way from the factory's program to the Key Maker's. */
#include <string.h>

#include <glib/gstdio.h>

#include "error.h"
#include "euicc.h"
#include "file.h"
#include "request-bundle.h"
#include "station.h"
#include "testpki.h"
#include "unit.h"

#define CHIPS 3

static World *world;
static Station *stations[CHIPS];
static char *path, *data_dir;

static char *in_world(const char *name)
{
	return g_build_filename(world->dir, name, NULL);
}

/* ------------------------------------------------------------ the file */

static void write_bytes(const char *to, const guint8 *bytes, gsize len)
{
	g_assert_true(g_file_set_contents(to, (const char *)bytes, len, NULL));
}

/* Everything that a reader looks at; FALSE and the code when it is refused. */
static gboolean whole(const char *file, GError **error)
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, error);

	if (!request)
		return FALSE;
	for (guint i = 0; i < ifpp_request_items(request)->len; i++) {
		g_autoptr(GBytes) data = ifpp_request_read(request, i, error);

		if (!data)
			return FALSE;
	}
	return TRUE;
}

static guint count_bytes(GBytes *in, GBytes *what)
{
	IfppSpan all = ifpp_span_bytes(in), part = ifpp_span_bytes(what);
	guint n = 0;

	for (gsize at = 0; at + part.len <= all.len; at++)
		n += !memcmp(all.data + at, part.data, part.len);
	return n;
}

/* What the chips have in common is in the file once; a file of version 1, with all of it in each chip's data, is still read. */
static void test_chain_once(void)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, 1 << 20, NULL), data = NULL;
	g_autoptr(IfppRequest) request = ifpp_request_open(path, NULL);
	g_autoptr(IfppFactoryInfo) info = NULL;
	g_autoptr(GByteArray) old = g_byte_array_new();
	g_autofree char *name = in_world("version-1.ifppr");
	g_autoptr(GError) error = NULL;
	IfppSpan ff21, bf22, text;
	guint8 eid[16];

	data = ifpp_request_read(request, 0, NULL);
	g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, NULL));
	info = ifpp_factory_info_parse(ff21, NULL);
	g_assert_cmpuint(count_bytes(data, info->cert_eum), ==, 1);
	g_assert_cmpuint(count_bytes(file, info->cert_eum), ==, 1);
	g_assert_cmpuint(count_bytes(file, info->cert_euicc), ==, 1);

	text = ifpp_span_bytes(ifpp_request_text(request));
	g_byte_array_append(old, g_bytes_get_data(file, NULL), IFPP_REQUEST_HEADER_LEN);
	old->data[5] = 1;
	g_byte_array_append(old, text.data, text.len);
	for (guint i = 0; i < CHIPS; i++) {
		g_autoptr(GBytes) one = ifpp_request_read(request, i, NULL);

		g_byte_array_append(old, g_bytes_get_data(one, NULL), g_bytes_get_size(one));
	}
	g_assert_cmpuint(old->len, >, g_bytes_get_size(file) + g_bytes_get_size(info->cert_eum));
	write_bytes(name, old->data, old->len);
	g_assert_true(whole(name, &error));
	g_assert_no_error(error);
}

static void test_file(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppRequest) request = ifpp_request_open(path, &error);
	GArray *items;

	g_assert_no_error(error);
	g_assert_cmpstr(ifpp_request_order(request), ==, "line-7");
	g_assert_null(ifpp_request_signature(request));
	items = ifpp_request_items(request);
	g_assert_cmpuint(items->len, ==, CHIPS);
	for (guint i = 0; i < CHIPS; i++) {
		g_autoptr(GBytes) data = ifpp_request_read(request, i, &error), file = NULL;
		g_autofree char *text = ifpp_hex(IFPP_SPAN(g_array_index(items, IfppRequestItem, i).eid));
		gboolean found = FALSE;

		g_assert_no_error(error);
		g_assert_cmpuint(g_array_index(items, IfppRequestItem, i).keys, ==, 2);
		for (guint k = 0; k < CHIPS; k++) {
			if (strcmp(stations[k]->eid, text))
				continue;
			found = TRUE;
			file = ifpp_file_read(stations[k]->data, 65536, NULL);
			g_assert_true(g_bytes_equal(file, data));
		}
		g_assert_true(found);
	}
}

/* Any byte changed, cut off or added. A changed order or hash is a sound file that says something else. */
static void test_damaged(void)
{
	g_autoptr(GBytes) good = ifpp_file_read(path, 1 << 20, NULL);
	g_autofree char *bad = in_world("bad.ifppr");
	gsize len, order;
	const guint8 *bytes = g_bytes_get_data(good, &len);
	g_autofree guint8 *copy = g_memdup2(bytes, len);

	order = IFPP_REQUEST_HEADER_LEN + strlen("IFPP request 1\n");
	g_assert_cmpint(memcmp(bytes + order, "Order: line-7\n", 14), ==, 0);
	for (gsize at = 0; at < len; at += at < 512 ? 1 : 37) {
		g_autoptr(GError) error = NULL;

		if (at >= order + 7 && at < order + 13)
			continue;
		copy[at] ^= 0x21;
		write_bytes(bad, copy, len);
		copy[at] ^= 0x21;
		if (whole(bad, &error))
			g_error("byte %zu (%02x) may be changed", at, bytes[at]);
		g_assert_true(error && error->domain == IFPP_ERROR);
	}
	for (gsize cut = 0; cut < len; cut += cut < 512 ? 1 : 211) {
		g_autoptr(GError) error = NULL;

		write_bytes(bad, bytes, cut);
		g_assert_false(whole(bad, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_LENGTH);
	}
	{
		g_autofree guint8 *longer = g_malloc0(len + 1);
		g_autoptr(GError) error = NULL;

		memcpy(longer, bytes, len);
		write_bytes(bad, longer, len + 1);
		g_assert_false(whole(bad, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_LENGTH);
	}
}

/* ------------------------------------------------------------ the programs */

static int import(const char *file)
{
	return station_run("ifpp-smdpf", "import", "--home", world->home, file, NULL);
}

static void test_again(void)
{
	g_autoptr(GBytes) before = ifpp_file_read(path, 1 << 20, NULL), after = NULL;
	g_autofree char *dir = g_build_filename(world->home, "requests", "line-7", NULL), *gone = NULL, *half = NULL;

	g_assert_cmpint(station_run("ifppctl", "request", "-o", path, "--order", "line-7", data_dir, NULL), ==, 0);
	after = ifpp_file_read(path, 1 << 20, NULL);
	g_assert_true(g_bytes_equal(before, after));

	g_assert_cmpint(import(path), ==, 0);
	gone = g_strdup_printf("%s/%s.euicc", dir, stations[1]->eid);
	g_assert_cmpint(g_unlink(gone), ==, 0);
	/* half of it, by one that was killed */
	half = g_strdup_printf("%s/.%s.euicc.new", dir, stations[1]->eid);
	write_bytes(half, (const guint8 *)"half", 4);
	g_assert_cmpint(import(path), ==, 0);
	g_assert_true(g_file_test(gone, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
}

/* A chip of a strange CI is left out, the others are taken. */
static void test_foreign(void)
{
	g_autoptr(TestPki) stranger = test_pki_new();
	g_autofree char *file = in_world("foreign.euicc"), *request = in_world("foreign.ifppr"), *left_out = NULL;
	g_autofree char *dir = g_build_filename(world->home, "requests", "foreign", NULL), *taken = NULL;
	static const guint8 bf22[] = { 0xBF, 0x22, 0x00 };
	g_autoptr(TestId) key = NULL;
	g_autoptr(GBytes) ff21 = test_factory_info_new(stranger, 1, &key), data = NULL;
	guint8 eid[16];

	test_eid(eid);
	data = ifpp_euicc_data_build(eid, ifpp_span_bytes(ff21), IFPP_SPAN(bf22));
	write_bytes(file, g_bytes_get_data(data, NULL), g_bytes_get_size(data));
	g_assert_cmpint(station_run("ifppctl", "request", "-o", request, file, stations[0]->data, NULL), ==, 0);
	g_assert_cmpint(import(request), ==, IFPP_EXIT_REFUSED);
	left_out = g_strdup_printf("%s/" TEST_EID ".euicc", dir);
	taken = g_strdup_printf("%s/%s.euicc", dir, stations[0]->eid);
	g_assert_false(g_file_test(left_out, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(taken, G_FILE_TEST_EXISTS));
}

static void sign_it(TestId *signer, const char *request)
{
	g_autoptr(IfppRequest) opened = ifpp_request_open(request, NULL);
	g_autoptr(GBytes) cms = test_cms_new(signer, NULL, ifpp_span_bytes(ifpp_request_text(opened)), 0);
	g_autofree char *sig = in_world("request.sig");

	write_bytes(sig, g_bytes_get_data(cms, NULL), g_bytes_get_size(cms));
	g_assert_cmpint(station_run("ifppctl", "request", "-o", request, "--signature", sig, NULL), ==, 0);
}

static void test_signed(void)
{
	const TestSpec line7 = { .cn = "Line 7", .role = IFPP_ROLE_DP_AUTH, .serial = 1 };
	const TestSpec old = { .cn = "Line 6", .role = IFPP_ROLE_DP_AUTH, .serial = 2, .to = TEST_NOW - 1 };
	g_autofree char *cert = in_world("line7.der"), *old_cert = in_world("line6.der"), *other = in_world("other.ifppr");
	g_autofree char *report = in_world("report.json"), *report_sig = in_world("report.sig"), *out = in_world("out");
	static const char text[] = "{\"format\":\"ifpp-report\",\"version\":1,\"units\":[]}";
	g_autoptr(TestId) signer = NULL, stranger = NULL, expired = NULL;
	g_autoptr(GBytes) cms = NULL;
	g_autoptr(GDir) packages = NULL;
	guint n = 0;

	test_shift = g_get_real_time() / G_USEC_PER_SEC - TEST_NOW;
	signer = test_id_new(&line7, NULL);
	stranger = test_id_new(&line7, NULL);
	expired = test_id_new(&old, NULL);
	write_bytes(cert, g_bytes_get_data(signer->der, NULL), g_bytes_get_size(signer->der));
	write_bytes(old_cert, g_bytes_get_data(expired->der, NULL), g_bytes_get_size(expired->der));
	write_bytes(report, (const guint8 *)text, strlen(text));
	g_assert_cmpint(station_run("ifpp-smdpf", "verify-report", "--home", world->home, report, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "requester", "--home", world->home, old_cert, NULL), ==,
			IFPP_EXIT_REFUSED);
	g_assert_cmpint(station_run("ifpp-smdpf", "requester", "--home", world->home, cert, NULL), ==, 0);

	/* not signed, signed by another of the same name, signed right, and another one's signature */
	g_assert_cmpint(import(path), !=, 0);
	sign_it(stranger, path);
	g_assert_cmpint(import(path), !=, 0);
	sign_it(signer, path);
	g_assert_cmpint(import(path), ==, 0);
	g_assert_cmpint(station_run("ifppctl", "request", "-o", other, "--order", "line-8", data_dir, NULL), ==, 0);
	g_assert_cmpint(import(other), !=, 0);
	{
		g_autoptr(IfppRequest) opened = ifpp_request_open(path, NULL);
		g_autofree char *sig = in_world("moved.sig");
		GBytes *moved = ifpp_request_signature(opened);

		write_bytes(sig, g_bytes_get_data(moved, NULL), g_bytes_get_size(moved));
		g_assert_cmpint(station_run("ifppctl", "request", "-o", other, "--signature", sig, NULL), ==, 0);
	}
	g_assert_cmpint(import(other), !=, 0);

	/* a report likewise */
	g_assert_cmpint(station_run("ifpp-smdpf", "verify-report", "--home", world->home, report, NULL), !=, 0);
	cms = test_cms_new(signer, NULL, (IfppSpan){ (const guint8 *)text, strlen(text) }, 0);
	write_bytes(report_sig, g_bytes_get_data(cms, NULL), g_bytes_get_size(cms));
	g_assert_cmpint(station_run("ifpp-smdpf", "verify-report", "--home", world->home, "--signature", report_sig,
				    report, NULL), ==, 0);
	write_bytes(report, (const guint8 *)"{}", 2);
	g_assert_cmpint(station_run("ifpp-smdpf", "verify-report", "--home", world->home, "--signature", report_sig,
				    report, NULL), !=, 0);

	/* what was taken in can be sealed for */
	g_assert_cmpint(station_run("ifpp-smdpf", "seal", "--home", world->home, "--pin-file", world->pin, "--request",
				    "line-7", "--out", out, NULL), ==, 0);
	packages = g_dir_open(out, 0, NULL);
	while (g_dir_read_name(packages))
		n++;
	g_assert_cmpuint(n, ==, CHIPS);
	g_assert_cmpint(station_run("ifpp-smdpf", "seal", "--home", world->home, "--pin-file", world->pin, "--request",
				    "line-9", "--out", out, NULL), ==, IFPP_EXIT_INPUT);
	test_shift = 0;
}

/* Names that would lead elsewhere stay in the home. */
static void test_names(void)
{
	static const char *const names[] = { "..", ".", "../../x", "a/b", "n\303\251" };
	g_autofree char *escaped = in_world("x"), *requests = g_build_filename(world->home, "requests", NULL);
	guint n = 0;
	g_autoptr(GDir) dir = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpint(station_run("ifpp-smdpf", "import", "--home", world->home, "--name", names[i], path, NULL),
				==, 0);
	g_assert_false(g_file_test(escaped, G_FILE_TEST_EXISTS));
	dir = g_dir_open(requests, 0, NULL);
	while (g_dir_read_name(dir))
		n++;
	/* these, "line-7", "devices", "foreign" and others */
	g_assert_cmpuint(n, ==, G_N_ELEMENTS(names) + 5);
}

/* ------------------------------------------------------------ which devices */

#define IMEI_0 "351234561234568"
#define IMEI_1 "869999990000013"

/* What a station's daemon has read of the modem that this chip is in. */
static void in_outbox(const char *outbox, const char *eid, const char *imei)
{
	g_autofree char *dir = g_build_filename(outbox, eid, NULL);
	g_auto(IfppUnit) unit = { 0 };

	g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
	g_assert_true(ifpp_unit_set(&unit, IFPP_UNIT_IMEI, imei));
	g_assert_true(ifpp_unit_save(&unit, dir, IFPP_UNIT_FILE, NULL));
}

static const IfppRequestItem *item_of(IfppRequest *request, const char *eid)
{
	GArray *items = ifpp_request_items(request);

	for (guint i = 0; i < items->len; i++) {
		const IfppRequestItem *item = &g_array_index(items, IfppRequestItem, i);
		g_autofree char *text = ifpp_hex(IFPP_SPAN(item->eid));

		if (!strcmp(text, eid))
			return item;
	}
	g_error("%s is not in the request", eid);
}

static int seal_by(const char *rules, const char *order)
{
	g_autofree char *file = in_world("rules"), *out = in_world("by-device");

	g_assert_true(g_file_set_contents(file, rules, -1, NULL));
	return station_run("ifpp-smdpf", "seal", "--home", world->home, "--pin-file", world->pin, "--request", "devices", "--rules", file,
			   "--order", order, "--json", "--out", out, NULL);
}

static guint count_sealed(void)
{
	g_autofree char *out = in_world("by-device");
	g_autoptr(GDir) dir = g_dir_open(out, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

/* The inventory with one thing in it changed: not taken. */
static void expect_malformed(const char *file, const char *from, const char *to)
{
	g_autofree char *bad = in_world("bad-imei.ifppr");
	g_autoptr(GBytes) good = ifpp_file_read(file, 1 << 20, NULL);
	gsize len;
	const guint8 *bytes = g_bytes_get_data(good, &len);
	g_autofree guint8 *copy = g_memdup2(bytes, len);
	guint8 *at = memmem(copy, len, from, strlen(from));

	g_assert_nonnull(at);
	g_assert_cmpuint(strlen(from), ==, strlen(to));
	memcpy(at, to, strlen(to));
	write_bytes(bad, copy, len);
	g_assert_false(whole(bad, NULL));
}

/* With --imei a request tells the devices that the outbox knows, and the Key Maker's rules may be about them. */
static void test_devices(void)
{
	g_autofree char *outbox = in_world("outbox"), *file = in_world("devices.ifppr"), *plain = in_world("plain.ifppr");
	g_autofree char *kept = g_build_filename(world->home, "requests", "devices", "devices", NULL), *text = NULL;
	g_autoptr(IfppRequest) request = NULL;
	g_autoptr(GBytes) inventory = NULL;

	in_outbox(outbox, stations[0]->eid, IMEI_0);
	in_outbox(outbox, stations[1]->eid, "86999999000001" "07");	/* with the software's version */
	in_outbox(outbox, stations[2]->eid, "123456789012345");	/* whose last digit is wrong */
	g_assert_cmpint(station_run("ifppctl", "request", "-o", plain, "--order", "devices", "--outbox", outbox, data_dir, NULL), ==, 0);
	g_assert_cmpint(station_run("ifppctl", "request", "-o", file, "--order", "devices", "--imei", "--outbox", outbox, data_dir,
				    NULL), ==, 0);
	/* asked for, and by nobody else seen */
	request = ifpp_request_open(plain, NULL);
	g_assert_cmpstr(item_of(request, stations[0]->eid)->imei, ==, "");
	g_clear_pointer(&request, ifpp_request_free);
	request = ifpp_request_open(file, NULL);
	inventory = g_bytes_ref(ifpp_request_text(request));
	g_assert_cmpint(memcmp(g_bytes_get_data(inventory, NULL), "IFPP request 3\nOrder: devices\n", 30), ==, 0);
	g_assert_cmpstr(item_of(request, stations[0]->eid)->imei, ==, IMEI_0);
	g_assert_cmpstr(item_of(request, stations[1]->eid)->imei, ==, IMEI_1);
	g_assert_cmpstr(item_of(request, stations[2]->eid)->imei, ==, "");
	expect_malformed(file, "IFPP request 3", "IFPP request 2");
	expect_malformed(file, "IFPP request 3", "IFPP request 4");
	expect_malformed(file, IMEI_0, "351234561234566");
	expect_malformed(file, "IMEI: ", "IMEl: ");

	/* without an IMEI nothing is sealed by it; then to the one device that is meant */
	g_assert_cmpint(import(plain), ==, 0);
	g_assert_false(g_file_test(kept, G_FILE_TEST_EXISTS));
	g_assert_cmpint(seal_by("[Eligibility]\nTACs=35123456\n", "none"), ==, IFPP_EXIT_REFUSED);
	g_assert_cmpuint(count_sealed(), ==, 0);
	g_assert_cmpint(import(file), ==, 0);
	g_assert_true(g_file_get_contents(kept, &text, NULL, NULL));
	g_assert_cmpuint(strlen(text), ==, 2 * 49);
	g_assert_cmpint(seal_by("[Eligibility]\nTACs=35123455;35123457-35999999\n", "none"), ==, IFPP_EXIT_REFUSED);
	g_assert_cmpuint(count_sealed(), ==, 0);
	g_assert_cmpint(seal_by("[Eligibility]\nTACs=35123456\n", "tac"), ==, IFPP_EXIT_REFUSED);
	g_assert_cmpuint(count_sealed(), ==, 1);
	/* of a type for its device, and of no other; the third chip's device is not known */
	g_assert_cmpint(seal_by("[Profile Other]\nTACs=35\n[Profile IFPP minimal]\nIMEIs=869999990000000-869999990000099\n", "imei"), ==,
			IFPP_EXIT_REFUSED);
	g_assert_cmpuint(count_sealed(), ==, 2);
	/* an earlier request of the same name takes nothing away; what was altered is not believed */
	g_assert_cmpint(import(plain), ==, 0);
	g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
	text[40] ^= 1;
	g_assert_true(g_file_set_contents(kept, text, -1, NULL));
	g_assert_cmpint(seal_by("[Eligibility]\nTACs=35123456\n", "tac"), ==, IFPP_EXIT_INPUT);
	g_assert_true(g_unlink(kept) == 0);
	g_assert_cmpint(import(file), ==, 0);
	g_assert_cmpint(seal_by("[Eligibility]\nTACs=35123456\n", "tac"), ==, IFPP_EXIT_REFUSED);
}

/* ------------------------------------------------------------ whose keys */

static guint keys_in(const char *file, guint chip, guint8 ids[][32])
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, NULL);
	g_autoptr(GBytes) data = ifpp_request_read(request, chip, NULL);
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16];

	g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, NULL));
	info = ifpp_factory_info_parse(ff21, NULL);
	for (guint i = 0; i < info->keys->len; i++)
		memcpy(ids[i], g_array_index(info->keys, IfppOtk, i).key_id, 32);
	return info->keys->len;
}

static int ask(const char *out, const char *key_maker, const char *keys)
{
	g_autofree char *assignments = in_world("assignments");

	if (key_maker)
		return station_run("ifppctl", "request", "-o", out, "--for", key_maker, "--keys", keys, "--profile", "consumer",
				   "--assignments", assignments, data_dir, NULL);
	return station_run("ifppctl", "request", "-o", out, "--assignments", assignments, data_dir, NULL);
}

/* Two Key Makers, two keys: each is asked with its own, a third with none; again gives the same. */
static void test_assigned(void)
{
	g_autofree char *a = in_world("a.ifppr"), *b = in_world("b.ifppr"), *c = in_world("c.ifppr");
	g_autofree char *assignments = in_world("assignments"), *text = NULL;
	g_autoptr(GBytes) before = NULL, after = NULL;
	g_autoptr(IfppRequest) request = NULL;
	guint8 of_a[2][32], of_b[2][32];

	g_assert_cmpint(ask(a, "Key Maker A", "1"), ==, 0);
	before = ifpp_file_read(a, 1 << 20, NULL);
	g_assert_cmpint(ask(b, "Key Maker B", "1"), ==, 0);
	for (guint i = 0; i < CHIPS; i++) {
		g_assert_cmpuint(keys_in(a, i, of_a), ==, 1);
		g_assert_cmpuint(keys_in(b, i, of_b), ==, 1);
		g_assert_cmpint(memcmp(of_a[0], of_b[0], 32), !=, 0);
	}
	request = ifpp_request_open(a, NULL);
	g_assert_cmpstr(ifpp_request_head(request)->key_maker, ==, "Key Maker A");
	g_assert_cmpstr(ifpp_request_head(request)->profile, ==, "consumer");
	g_assert_cmpuint(ifpp_request_head(request)->keys_each, ==, 1);
	/* nothing is left: not for a third, not for more, and without a name no key of theirs goes out */
	g_assert_cmpint(ask(c, "Key Maker C", "1"), ==, IFPP_EXIT_REFUSED);
	g_assert_cmpint(ask(c, "Key Maker A", "2"), ==, IFPP_EXIT_REFUSED);
	g_assert_false(g_file_test(c, G_FILE_TEST_EXISTS));
	g_assert_cmpint(ask(c, NULL, NULL), ==, IFPP_EXIT_REFUSED);
	g_assert_cmpint(ask(a, "Key Maker A", "1"), ==, 0);
	after = ifpp_file_read(a, 1 << 20, NULL);
	g_assert_true(g_bytes_equal(before, after));
	g_assert_cmpint(import(a), ==, 0);
	/* a damaged file assigns nothing */
	g_assert_true(g_file_get_contents(assignments, &text, NULL, NULL));
	text[3] = 'x';
	g_assert_true(g_file_set_contents(assignments, text, -1, NULL));
	g_assert_cmpint(ask(c, "Key Maker A", "1"), ==, IFPP_EXIT_INPUT);
	g_unlink(assignments);
	g_assert_cmpint(station_run("ifppctl", "request", "-o", c, "--for", "Key Maker A", data_dir, NULL), ==,
			IFPP_EXIT_USAGE);
}

/* ------------------------------------------------------------ an EUM's batch */

static void test_batch(void)
{
	g_autofree char *batch = in_world("b.ifppe"), *request = in_world("of-batch.ifppr"), *bad = in_world("bad.ifppe");
	g_autofree char *taken = g_strdup_printf("%s/requests/lot-1/%s.euicc", world->home, stations[2]->eid);
	g_autoptr(GBytes) good = NULL;
	g_autoptr(IfppRequest) opened = NULL;
	g_autofree guint8 *copy = NULL;
	gsize len;

	g_assert_cmpint(station_run("ifpp-eum", "batch", data_dir, "--pki", world->pki, "--name", "lot-1", "--out", batch, NULL),
			==, 0);
	opened = ifpp_request_open(batch, NULL);
	g_assert_true(ifpp_request_head(opened)->batch);
	g_assert_cmpuint(ifpp_request_items(opened)->len, ==, CHIPS);
	g_assert_cmpint(station_run("ifppctl", "request", "-o", request, "--trust", world->trust, "--order", "line-7", batch,
				    NULL), ==, 0);
	{
		g_autoptr(GBytes) a = ifpp_file_read(path, 1 << 20, NULL), b = ifpp_file_read(request, 1 << 20, NULL);

		g_assert_true(g_bytes_equal(a, b));
	}
	g_assert_cmpint(station_run("ifpp-smdpf", "import", "--home", world->home, batch, NULL), ==, 0);
	g_assert_true(g_file_test(taken, G_FILE_TEST_EXISTS));

	/* altered, unsigned, or with a chip's name changed: nothing of it is used */
	good = ifpp_file_read(batch, 1 << 20, NULL);
	copy = g_memdup2(g_bytes_get_data(good, &len), g_bytes_get_size(good));
	copy[IFPP_REQUEST_HEADER_LEN + strlen("IFPP batch 1\nOrder: lot-")] = '2';
	write_bytes(bad, copy, len);
	g_assert_cmpint(station_run("ifpp-smdpf", "import", "--home", world->home, bad, NULL), ==, IFPP_EXIT_REFUSED);
	g_assert_cmpint(station_run("ifppctl", "request", "-o", bad, "--trust", world->trust, bad, NULL), ==,
			IFPP_EXIT_REFUSED);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	data_dir = in_world("asked");
	path = in_world("line-7.ifppr");
	g_assert_cmpint(g_mkdir(data_dir, 0700), ==, 0);
	for (guint i = 0; i < CHIPS; i++) {
		g_autofree char *copy = NULL;

		stations[i] = station_new(world, 2);
		copy = g_strdup_printf("%s/%s.euicc", data_dir, stations[i]->eid);
		station_copy(stations[i]->data, copy);
	}
	g_assert_cmpint(station_run("ifppctl", "request", "-o", path, "--order", "line-7", data_dir, NULL), ==, 0);

	g_test_add_func("/request/file", test_file);
	g_test_add_func("/request/chain_once", test_chain_once);
	g_test_add_func("/request/damaged", test_damaged);
	g_test_add_func("/request/again", test_again);
	g_test_add_func("/request/devices", test_devices);
	g_test_add_func("/request/two_key_makers-keys", test_assigned);
	g_test_add_func("/request/batch-of-an-eum", test_batch);
	g_test_add_func("/request/foreign", test_foreign);
	g_test_add_func("/request/signed", test_signed);
	g_test_add_func("/request/names", test_names);
	rc = g_test_run();
	for (guint i = 0; i < CHIPS; i++)
		station_free(stations[i]);
	world_free(world);
	g_free(path);
	g_free(data_dir);
	return rc;
}
