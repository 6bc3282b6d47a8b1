// SPDX-License-Identifier: GPL-2.0-or-later
/* An ordinary SGP.22 download with both its ends, beside our offline load; and what an LPA does later. */
#include <string.h>
#include <unistd.h>

#include "download.h"
#include "eid.h"
#include "peer.h"

static World *world;

static guint64 total_us(const DownloadRow *row)
{
	return row->wire_us + row->apdu_us + row->chip_us;
}

static void test_side_by_side(void)
{
	DownloadRow rows[DOWNLOAD_ROWS];

	download_compare(world, NULL, 11500, rows);
	for (guint i = 0; i < DOWNLOAD_ROWS; i++)
		g_test_message("%-9s: SM-DP+ %u, QMI %u, APDUs %u, bytes %u + %u, counted %.2f s", rows[i].name,
			       (guint)rows[i].server, (guint)rows[i].requests, (guint)rows[i].apdus,
			       (guint)rows[i].bytes, (guint)rows[i].response_bytes, total_us(&rows[i]) / 1e6);
	g_assert_cmpuint(rows[0].server, ==, 0);
	/* InitiateAuthentication, AuthenticateClient, GetBoundProfilePackage, HandleNotification */
	g_assert_cmpuint(rows[1].server, ==, 4);
	g_assert_cmpuint(rows[1].server_bytes, >, 14000);
	/* The profile dominates: but no server is asked, and less is signed and sent. */
	for (guint i = 1; i < DOWNLOAD_ROWS; i++) {
		g_assert_cmpuint(rows[0].requests, <, rows[i].requests);
		g_assert_cmpuint(rows[0].apdus, <, rows[i].apdus);
		g_assert_cmpuint(rows[0].bytes, <, rows[i].bytes);
		g_assert_cmpuint(rows[0].response_bytes, <, rows[i].response_bytes);
		g_assert_cmpuint(rows[0].chip_us, <, rows[i].chip_us);
		g_assert_cmpuint(total_us(&rows[0]), <, total_us(&rows[i]));
	}
	g_assert_cmpuint(rows[1].chip_us, ==, rows[2].chip_us);
	g_assert_cmpuint(rows[1].apdus, <, rows[2].apdus);
}

/* The modem is as late as it says. */
static void test_real_time(void)
{
	Station *station = station_new(world, 0);
	gint64 begin, took, counted;
	Lpa *lpa;

	station->modem_options = "--link t1,pps=95,apdu=20000,sign=100000";
	station_modem_start(station);
	begin = g_get_monotonic_time();
	counted = station_stat(station, "wire_us") + station_stat(station, "apdu_us") +
		  station_stat(station, "chip_us");
	lpa = lpa_open(station->socket);
	for (guint i = 0; i < 5; i++) {
		g_autofree char *hex = lpa_hex(lpa, "bf3e035c015a");

		g_assert_true(g_str_has_prefix(hex, "bf3e125a10"));
	}
	lpa_close(lpa);
	took = g_get_monotonic_time() - begin;
	counted = station_stat(station, "wire_us") + station_stat(station, "apdu_us") +
		  station_stat(station, "chip_us") - counted;
	/* 13 APDUs of 20 ms and their characters; a busy machine may be slower, never faster */
	g_assert_cmpint(counted, >, 13 * 20000);
	g_assert_cmpint(counted, <, 13 * 25000);
	g_assert_cmpint(took, >=, counted - 13 * 1000);
	station_free(station);
}

/* An SM-DP+ of this world with one profile to give, which lives as long as @upp and @metadata. */
static SmDp *server(Station *station, guint64 serial, guint8 iccid[10], GByteArray **upp, GByteArray **metadata)
{
	SmDp *dp = smdp_new(world->pki, station->dir);

	profile_builtin_iccid(serial, iccid);
	*upp = profile_builtin(serial, NULL);
	*metadata = profile_metadata(iccid, "IFPP", "Life", PROFILE_OPERATIONAL);
	dp->upp = (IfppSpan){ (*upp)->data, (*upp)->len };
	dp->metadata = (IfppSpan){ (*metadata)->data, (*metadata)->len };
	return dp;
}

/* On a unit that has left the factory, locked: a confirmation code, a nickname, enable, notifications to the operator, disable, delete. */
static void test_life(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(GByteArray) upp = NULL, metadata = NULL;
	g_autoptr(SmDp) dp = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autofree char *iccid_hex = NULL, *list = NULL, *command = NULL;
	static const struct {
		const char *before, *after, *answer;
	} steps[] = {
		{ "bf29125a0a", "90046c696665", "bf2903800100" },
		{ "bf3111a00c5a0a", "810100", "bf3103800100" },
		{ "bf330c5a0a", "", "bf3303800102" },		/* enabled */
		{ "bf3211a00c5a0a", "810100", "bf3203800100" },
		{ "bf3211a00c5a0a", "810100", "bf3203800102" },
		{ "bf330c5a0a", "", "bf3303800100" },
		{ "bf330c5a0a", "", "bf3303800101" },
	};
	guint8 iccid[10];
	Lpa *lpa;

	station_modem_start(station);
	dp = server(station, 99, iccid, &upp, &metadata);
	iccid_hex = ifpp_hex(IFPP_SPAN(iccid));
	dp->code = "4711";
	lpa = lpa_open(station->socket);
	list = lpa_hex(lpa, "ff2412" "8010" "000102030405060708090a0b0c0d0e0f");
	g_assert_true(g_str_has_prefix(list, "ff24"));
	g_free(list);
	pir = lpa_download(lpa, dp);
	g_assert_true(pir->success);
	g_assert_cmpmem(pir->iccid.data, pir->iccid.len, iccid, 10);
	/* the same again is refused, and the server is told */
	{
		g_autoptr(IfppPir) again = lpa_download(lpa, dp);

		g_assert_false(again->success);
		g_assert_cmpuint(again->reason, ==, 9);
		g_assert_cmpuint(dp->pir->reason, ==, 9);
		g_assert_cmpuint(again->seq, ==, pir->seq + 1);
	}
	list = lpa_hex(lpa, "bf2d00");
	g_assert_nonnull(strstr(list, iccid_hex));
	g_assert_nonnull(strstr(list, "9f700100"));
	command = g_strconcat("bf3111a00c5a0a", iccid_hex, "8101ff", NULL);
	g_free(list);
	list = lpa_hex(lpa, command);
	g_assert_cmpstr(list, ==, "bf3103800100");
	/* REFRESH: once the answer is fetched the card is reset, and the channel is gone with it. */
	for (guint i = 0; i < 3000 && station_stat(station, "channels_open"); i++)
		g_usleep(20000);
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	lpa_abandon(lpa);

	/* The answer left lying: the REFRESH comes with the next command, here the closing of the channel. */
	lpa = lpa_open(station->socket);
	g_free(command);
	command = g_strconcat("bf3211a00c5a0a", iccid_hex, "8101ff", NULL);
	lpa_leave(lpa, command);
	lpa_close(lpa);

	/* An LPA opens another, and goes on to the end of the profile's life. */
	lpa = lpa_open(station->socket);
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
		g_autofree char *request = g_strconcat(steps[i].before, iccid_hex, steps[i].after, NULL);
		g_autofree char *answer = lpa_hex(lpa, request);

		g_assert_cmpstr(answer, ==, steps[i].answer);
	}
	g_free(list);
	list = lpa_hex(lpa, "bf2d00");
	g_assert_cmpstr(list, ==, "bf2d02a000");
	lpa_close(lpa);
	g_assert_cmpint(station_stat(station, "profiles"), ==, 0);
	g_assert_cmpint(station_stat(station, "clients"), ==, 1);	/* what was abandoned */
	station_free(station);
}

/*
 * The LPA is killed after the package was bound, and the power goes: the second try gets the same one-time
 * key, as SGP.22 3.1.3.2 has it, installs with it, and leaves none.
 */
static void test_second_try(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(GByteArray) upp = NULL, metadata = NULL;
	g_autoptr(SmDp) dp = NULL;
	g_autoptr(GBytes) authenticated = NULL, prepared = NULL, bpp = NULL, again = NULL, second = NULL;
	g_autoptr(IfppChipMem) mem = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autofree char *drained = NULL;
	guint8 iccid[10], first[65], byte;
	Lpa *lpa;

	station_modem_start(station);
	dp = server(station, 98, iccid, &upp, &metadata);
	lpa = lpa_open(station->socket);
	drained = lpa_hex(lpa, "ff2300");
	authenticated = lpa_authenticate(lpa, dp);
	prepared = lpa_prepare(lpa, dp, authenticated);
	bpp = smdp_get_bound_profile_package(dp, ifpp_span_bytes(prepared));
	memcpy(first, dp->otpk, sizeof(first));
	g_free(station_control(station, "power-cut"));
	while (read(lpa->fd, &byte, 1) > 0)	/* until the port is gone */
		;
	lpa_abandon(lpa);

	dp->retry = first;
	lpa = lpa_open(station->socket);
	again = lpa_authenticate(lpa, dp);
	/* the user has no time just now */
	{
		g_autoptr(GBytes) client = smdp_authenticate_client(dp, ifpp_span_bytes(again));

		g_assert_nonnull(client);
		g_assert_cmpuint(lpa_cancel(lpa, dp, 1), ==, 0);
	}
	g_clear_pointer(&again, g_bytes_unref);
	again = lpa_authenticate(lpa, dp);
	second = lpa_prepare(lpa, dp, again);
	pir = lpa_finish(lpa, dp, second);
	g_assert_true(pir->success);
	g_assert_cmpmem(first, sizeof(first), dp->otpk, sizeof(dp->otpk));
	lpa_close(lpa);
	g_assert_cmpint(station_stat(station, "profiles"), ==, 1);
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	station_modem_stop(station);
	mem = ifpp_chipmem_load(station->chip, NULL);
	g_assert_nonnull(mem);
	g_assert_null(mem->retry);
	g_assert_cmpuint(mem->notes->len, ==, 0);
	station_free(station);
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/download/side-by-side", test_side_by_side);
	g_test_add_func("/download/real-time", test_real_time);
	g_test_add_func("/download/life", test_life);
	g_test_add_func("/download/second-try", test_second_try);
	status = g_test_run();
	world_free(world);
	return status;
}
