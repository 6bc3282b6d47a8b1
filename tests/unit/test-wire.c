// SPDX-License-Identifier: GPL-2.0-or-later
/* The time that card and modem take, by hand. */
#include <string.h>

#include "error.h"
#include "wire.h"

static void test_parse(void)
{
	static const char *const bad[] = { "", "t2", "pps", "pps=", "pps=7F", "pps=90", "pps=100", "clock=0", "clock=1e3",
					   "apdu=-1", "default,,t0", "nvm=99999999", "speed=1" };
	g_autoptr(GError) error = NULL;
	WireModel m;

	g_assert_true(wire_parse("default", &m, &error));
	g_assert_true(m.wait);
	m.wait = FALSE;
	g_assert_cmpmem(&m, sizeof(m), &wire_default, sizeof(wire_default));
	g_assert_true(wire_parse("t1,pps=97,clock=5000,apdu=1,sign=2,verify=3,point=4,cipher=5,nvm=6,count", &m,
				 &error));
	g_assert_true(m.t1 && !m.wait && m.pps == 0x97 && m.clock_khz == 5000 && m.apdu_us == 1);
	g_assert_true(m.sign_us == 2 && m.verify_us == 3 && m.point_us == 4 && m.cipher_ns == 5 && m.nvm_ns == 6);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_false(wire_parse(bad[i], &m, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
		g_clear_error(&error);
	}
}

static guint64 ns(const char *model, const guint8 *apdu, gsize len, gsize response)
{
	WireModel m;

	g_assert_true(wire_parse(model, &m, NULL));
	return wire_characters_ns(&m, (IfppSpan){ apdu, len }, response);
}

static void test_characters(void)
{
	guint8 store[260] = { 0x81, 0xE2, 0x11, 0x00, 255 }, get[5] = { 0x81, 0xC0, 0x00, 0x00, 0x15 };

	/* T=0, 16 clocks a bit at 4 MHz: 4 us. Case 3: 263 characters, three turns; case 2: 29 and one. */
	g_assert_cmpuint(ns("pps=96,clock=4000", store, 260, 2), ==, (263 * 12 + 3 * 4) * 4000);
	g_assert_cmpuint(ns("pps=96,clock=4000", get, 5, 0x15 + 2), ==, (29 * 12 + 4) * 4000);
	/* case 4: the modem fetches, five characters and a status word more */
	g_assert_cmpuint(ns("pps=96,clock=4000", store, 260, 0x15 + 2), ==, (263 * 12 + 29 * 12 + 5 * 4) * 4000);
	/* a bare status word */
	g_assert_cmpuint(ns("pps=96,clock=4000", get, 4, 2), ==, (7 * 12 + 4) * 4000);
	/* twice as fast at 97, 372 clocks at the default of ISO 7816-3 */
	g_assert_cmpuint(ns("pps=97,clock=4000", store, 260, 2), ==, (263 * 12 + 3 * 4) * 2000);
	g_assert_cmpuint(ns("pps=11,clock=3720", get, 4, 2), ==, (7 * 12 + 4) * 100000);
	/* T=1: two blocks out, the first acknowledged, one back */
	g_assert_cmpuint(ns("t1,pps=97,clock=4000", store, 260, 2), ==, ((260 + 2 + 4 * 4) * 11 + 4 * 11) * 2000);
	g_assert_cmpuint(ns("t1,pps=97,clock=4000", get, 5, 0x15 + 2), ==, ((5 + 23 + 2 * 4) * 11 + 2 * 11) * 2000);
}

/* What the chip did between two looks at its counters, and one after the other on one wire. */
static void test_exchange(void)
{
	ChipStats before = { .signs = 5, .cipher_bytes = 100 };
	ChipStats after = { .signs = 6, .verifies = 2, .agreements = 1, .cipher_bytes = 1100, .nvm_bytes = 10 };
	const guint8 apdu[4] = { 0 };
	g_autoptr(GByteArray) response = g_byte_array_append(g_byte_array_new(), (const guint8 *)"\x90\x00", 2);
	Wire wire = { 0 };
	guint first;

	g_assert_true(wire_parse("pps=96,clock=4000,apdu=1000,sign=10000,verify=20000,point=30000,cipher=7,nvm=9",
				 &wire.model, NULL));
	wire_exchange(&wire, (IfppSpan){ apdu, 4 }, response, &before, &after);
	g_assert_cmpuint(wire.time.wire_ns, ==, (7 * 12 + 4) * 4000);
	g_assert_cmpuint(wire.time.apdu_ns, ==, 1000000);
	g_assert_cmpuint(wire.time.chip_ns, ==, 10000000 + 2 * 20000000 + 30000000 + 1000 * 7 + 10 * 9);
	first = wire_take_delay(&wire);
	g_assert_cmpuint(first, ==, 81);
	g_assert_cmpuint(wire_take_delay(&wire), ==, 0);
	wire_exchange(&wire, (IfppSpan){ apdu, 4 }, NULL, &after, &after);
	g_assert_cmpuint(wire_take_delay(&wire), >, 40);	/* the first is still at it */
	wire.model.wait = FALSE;
	wire_exchange(&wire, (IfppSpan){ apdu, 4 }, response, &before, &after);
	g_assert_cmpuint(wire_take_delay(&wire), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/parse", test_parse);
	g_test_add_func("/wire/characters", test_characters);
	g_test_add_func("/wire/exchange", test_exchange);
	return g_test_run();
}
