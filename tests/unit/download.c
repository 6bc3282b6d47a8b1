// SPDX-License-Identifier: GPL-2.0-or-later
#include "download.h"

#include <string.h>

#include "chipmem.h"
#include "eid.h"
#include "peer.h"
#include "upp.h"

#define END_PE_LEN 9

typedef struct {
	const char *name;
	gsize at;
} Field;

static const Field fields[] = {
	{ "requests", G_STRUCT_OFFSET(DownloadRow, requests) },
	{ "apdus", G_STRUCT_OFFSET(DownloadRow, apdus) },
	{ "bytes", G_STRUCT_OFFSET(DownloadRow, bytes) },
	{ "response_bytes", G_STRUCT_OFFSET(DownloadRow, response_bytes) },
	{ "wire_us", G_STRUCT_OFFSET(DownloadRow, wire_us) },
	{ "apdu_us", G_STRUCT_OFFSET(DownloadRow, apdu_us) },
	{ "chip_us", G_STRUCT_OFFSET(DownloadRow, chip_us) },
};

/* Counters are taken away at the beginning and come back at the end. */
static void count(Station *station, DownloadRow *row, int sign)
{
	for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
		guint64 *value = G_STRUCT_MEMBER_P(row, fields[i].at);

		*value += sign * station_stat(station, fields[i].name);
	}
	row->wall_us += sign * g_get_monotonic_time();
}

/* The built-in profile with a nonStandard element before its end. */
static GByteArray *make_profile(gsize filling)
{
	GByteArray *upp = profile_builtin(4711, NULL), *value = g_byte_array_new(), *text = g_byte_array_new();
	guint8 end[END_PE_LEN];

	g_assert_nonnull(upp);
	memcpy(end, upp->data + upp->len - END_PE_LEN, END_PE_LEN);
	g_byte_array_set_size(upp, upp->len - END_PE_LEN);
	ifpp_tlv_put(value, 0xA0, "\x80\x00\x81\x01\x70", 5);
	ifpp_tlv_put(value, 0x81, "\x67\x81\x0F\x01\x02\x01", 6);
	g_byte_array_set_size(text, filling);
	memset(text->data, 'x', filling);
	ifpp_tlv_put(value, 0x82, text->data, text->len);
	ifpp_tlv_put(upp, 0xA9, value->data, value->len);
	g_byte_array_append(upp, end, END_PE_LEN);
	g_byte_array_unref(value);
	g_byte_array_unref(text);
	return upp;
}

/* However it came: this one profile, and no result left behind. */
static void check_installed(Station *station, const GByteArray *upp)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppChipMem) mem = NULL;
	IfppChipProfile *profile;

	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	station_modem_stop(station);
	mem = ifpp_chipmem_load(station->chip, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(mem->profiles->len, ==, 1);
	profile = mem->profiles->pdata[0];
	g_assert_cmpmem(g_bytes_get_data(profile->upp, NULL), g_bytes_get_size(profile->upp), upp->data,
			upp->len);
	g_assert_cmpuint(mem->notes->len, ==, 0);
	g_assert_cmpuint(mem->keys->len, ==, 0);
}

static void offline(World *world, const char *link, const GByteArray *upp, DownloadRow *row)
{
	Station *station = station_new(world, 1);
	g_autofree char *file = g_build_filename(station->dir, "upp", NULL);
	g_autoptr(GPtrArray) packages = NULL;
	RelaySimResult result;

	g_assert_true(g_file_set_contents(file, (char *)upp->data, upp->len, NULL));
	g_setenv("IFPP_UPP", file, TRUE);
	packages = station_seal(station, 1);
	g_unsetenv("IFPP_UPP");
	station->modem_options = link;
	station_modem_start(station);
	station_daemon_up(station);
	row->name = "offline";
	count(station, row, -1);
	g_assert_cmpint(station_request(station, IFPP_REQ_LOAD, packages->pdata[0], &result), ==, 0);
	count(station, row, 1);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	check_installed(station, upp);
	station_free(station);
}

/* EUICCF04 both ways on the way: while a key is left no LPA is served, and then an ordinary one is. */
static void drain(Station *station)
{
	Lpa *lpa = lpa_open(station->socket);
	g_autofree char *deleted = NULL;
	guint16 sw;

	g_assert_null(lpa_es10(lpa, ((IfppSpan){ (const guint8 *)"\xBF\x2E", 3 }), &sw));
	g_assert_cmphex(sw, ==, SW_CONDITIONS);
	deleted = lpa_hex(lpa, "ff2300");
	g_assert_cmpstr(deleted, ==, "ff2306800100810101");
	lpa_close(lpa);
}

static void ordinary(World *world, const char *link, const GByteArray *upp, guint block, DownloadRow *row)
{
	Station *station = station_new(world, 1);
	g_autoptr(SmDp) dp = smdp_new(world->pki, station->dir);
	g_autoptr(IfppUpp) parsed = ifpp_upp_parse((IfppSpan){ upp->data, upp->len }, NULL);
	g_autoptr(GByteArray) metadata = profile_metadata(parsed->iccid, "IFPP", "Test", PROFILE_OPERATIONAL);
	g_autoptr(IfppPir) pir = NULL;
	Lpa *lpa;

	station->modem_options = link;
	station_modem_start(station);
	drain(station);
	dp->upp = (IfppSpan){ upp->data, upp->len };
	dp->metadata = (IfppSpan){ metadata->data, metadata->len };
	row->name = block == 255 ? "sgp22-255" : "sgp22-120";
	count(station, row, -1);
	lpa = lpa_open(station->socket);
	lpa->block = block;
	pir = lpa_download(lpa, dp);
	lpa_close(lpa);
	count(station, row, 1);
	g_assert_true(pir->success);
	g_assert_true(dp->pir->success);
	row->server = dp->requests;
	row->server_bytes = dp->bytes;
	check_installed(station, upp);
	station_free(station);
}

void download_compare(World *world, const char *link, gsize filling, DownloadRow rows[DOWNLOAD_ROWS])
{
	g_autoptr(GByteArray) upp = make_profile(filling);

	memset(rows, 0, DOWNLOAD_ROWS * sizeof(*rows));
	offline(world, link, upp, &rows[0]);
	ordinary(world, link, upp, 255, &rows[1]);
	ordinary(world, link, upp, 120, &rows[2]);
}
