// SPDX-License-Identifier: GPL-2.0-or-later
/* Each variant of SGP.26 on the whole way: personalise, seal, load, signed result; with a CRL of each CA there is. */
#include <glib.h>

#include "station.h"

static void install_crl(World *world, const char *ca)
{
	g_autofree char *cert = g_strdup_printf("%s/%s.pem", world->pki, ca);
	g_autofree char *crl = g_strdup_printf("%s/%s.crl", world->trust, ca);

	if (g_file_test(cert, G_FILE_TEST_EXISTS))
		g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--issuer", ca, "--out", crl, NULL), ==, 0);
}

static void test_variant(gconstpointer variant)
{
	static const char *const cas[] = { "ci", "ci-sub", "eum", "eum-sub", "dp-sub" };
	World *world = world_of(variant);
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 2, 1, &packages);
	guint reason;

	for (guint i = 0; i < G_N_ELEMENTS(cas); i++)
		install_crl(world, cas[i]);
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, 0);
	g_assert_cmpuint(reason, ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_free(station);
	world_free(world);
}

int main(int argc, char **argv)
{
	static const char *const variants[] = { "O", "Ov3", "A", "B", "C" };

	g_test_init(&argc, &argv, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(variants); i++) {
		g_autofree char *path = g_strdup_printf("/variants/%s-loads", variants[i]);

		g_test_add_data_func(path, variants[i], test_variant);
	}
	return g_test_run();
}
