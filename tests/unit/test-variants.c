// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each variant of SGP.26 on the whole way: personalise, seal, load, signed result; with a CRL of each CA there is. And each of its
 * certificates revoked by its issuer: what hangs on it is refused, nothing is spent, and it is taken again once that CRL is gone.
 */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "error.h"
#include "station.h"

/* Who issues whom: the first of these that the variant has. */
static const struct {
	const char *name, *issuers[3];
	gboolean of_chip, of_maker;
} certs[] = {
	{ "ci-sub", { "ci" }, TRUE, TRUE },
	{ "eum", { "ci-sub", "ci" }, TRUE, FALSE },
	{ "eum-sub", { "eum" }, TRUE, FALSE },
	{ "dp-sub", { "ci-sub", "ci" }, FALSE, TRUE },
	{ "dppb", { "dp-sub", "ci-sub", "ci" }, FALSE, TRUE },
};

static char *file_of(World *world, const char *name)
{
	return g_strdup_printf("%s/%s.pem", g_str_equal(name, "dppb") ? world->dir : world->pki, name);
}

static gboolean is_there(World *world, const char *name)
{
	g_autofree char *path = file_of(world, name);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* @revoked: file of a certificate, or NULL */
static void install_crl(World *world, const char *ca, const char *revoked)
{
	g_autofree char *crl = g_strdup_printf("%s/%s.crl", world->trust, ca);

	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--issuer", ca, "--out", crl, revoked ? "--revoke" : NULL,
				    revoked, NULL), ==, 0);
}

/* The driver's daemon has read the chip: a load is refused. */
static void package_is_refused(Station *station, GBytes *package)
{
	gint64 before = station_stat(station, "apdus");
	guint reason;

	g_assert_cmpint(station_load(station, package, &reason, NULL), ==, -EKEYREJECTED);
	g_assert_cmpuint(reason, ==, IFPP_ERROR_REVOKED);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
}

static void chip_is_refused(Station *station)
{
	g_autofree char *log = NULL;

	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), >, 0);
	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	g_assert_nonnull(strstr(log, "revoked"));
}

static void revoke_one(Station *station, guint which, GBytes *package)
{
	World *world = station->world;
	g_autofree char *file = file_of(world, certs[which].name);
	const char *const *issuer = certs[which].issuers;

	while (!is_there(world, *issuer))
		issuer++;
	install_crl(world, *issuer, file);
	if (certs[which].of_maker)
		package_is_refused(station, package);
	if (certs[which].of_chip)
		chip_is_refused(station);
	install_crl(world, *issuer, NULL);
	if (certs[which].of_chip)
		station_daemon_up(station);
}

static void test_variant(gconstpointer variant)
{
	static const char *const cas[] = { "ci", "ci-sub", "eum", "eum-sub", "dp-sub" };
	World *world = world_of(variant);
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 2, 1, &packages);
	guint reason, refused = 0;

	for (guint i = 0; i < G_N_ELEMENTS(cas); i++)
		if (is_there(world, cas[i]))
			install_crl(world, cas[i], NULL);
	for (guint i = 0; i < G_N_ELEMENTS(certs); i++) {
		if (!is_there(world, certs[i].name))
			continue;
		revoke_one(station, i, packages->pdata[0]);
		refused += certs[i].of_chip + certs[i].of_maker;
	}
	g_print("# variant %s: revoked in turn, %u refused\n", (const char *)variant, refused);
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
