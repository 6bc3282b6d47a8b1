// SPDX-License-Identifier: GPL-2.0-or-later
#include "steps.h"

#include <string.h>

#include "error.h"
#include "euicc.h"

void steps_result(RelaySimResult *result, int status, guint reason)
{
	if (result->reply.reason != reason)
		g_test_message("reason: %s", ifpp_error_name(result->reply.reason));
	g_assert_cmpint(result->status, ==, status);
	g_assert_cmpuint(result->reply.reason, ==, reason);
	g_assert_cmpuint(result->reply.flags, ==, IFPP_REPLY_REPORT);
}

void steps_pir(RelaySimResult *result, gboolean success)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppPir) pir = ifpp_pir_parse(result->data, &error);

	g_assert_no_error(error);
	g_assert_cmpint(pir->success, ==, success);
}

/* Nothing of ours may be left in the modem when no daemon runs. */
void steps_clean(Station *station)
{
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	g_assert_cmpint(station_stat(station, "clients"), ==, 0);
	g_assert_cmpuint(station->sim->tampers, ==, 0);
}

void steps_end(Station *station)
{
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);
	station_free(station);
}

/* One request that is answered so, of which nothing else is looked at. */
void steps_ask(Station *station, enum ifpp_req_type type, GBytes *data, int status, guint reason)
{
	RelaySimResult result;

	station_request(station, type, data, &result);
	steps_result(&result, status, reason);
	relay_sim_result_clear(&result);
}

/* Past the driver's checks, straight to the daemon. */
int steps_force(Station *station, GBytes *package, RelaySimResult *result)
{
	struct ifpp_record saved = station->sim->rec;
	guint8 header[IFPP_PKG_HDR_LEN];
	int status;

	memcpy(header, g_bytes_get_data(package, NULL), sizeof(header));
	relay_sim_force(station->sim, package, STATION_WAIT_MS);
	g_assert_cmpint(relay_sim_wait(station->sim, result, STATION_WAIT_MS), ==, 0);
	status = result->reply.status;
	g_assert_cmpuint(station->sim->rec.spent_count, ==, saved.spent_count);
	return status;
}

GBytes *steps_flipped(GBytes *package, gsize at, guint8 bits)
{
	gsize len;
	const guint8 *data = g_bytes_get_data(package, &len);
	guint8 *copy = g_memdup2(data, len);

	g_assert_cmpuint(at, <, len);
	copy[at] ^= bits;
	return g_bytes_new_take(copy, len);
}

GBytes *steps_challenge(guint8 fill)
{
	guint8 bytes[IFPP_CHALLENGE_LEN];

	memset(bytes, fill, sizeof(bytes));
	return g_bytes_new(bytes, sizeof(bytes));
}
