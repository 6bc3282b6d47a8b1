// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"

GBytes *fuzz_ci, *fuzz_dppb, *fuzz_euicc, *fuzz_eum, *fuzz_otpk;
IfppTrust *fuzz_trust;
guint8 fuzz_eid[16];
static const char *dir;

GBytes *fuzz_file(const char *sub, const char *name)
{
	g_autofree char *path = g_build_filename(dir, sub, name, NULL);
	g_autoptr(GError) error = NULL;
	GBytes *bytes = ifpp_file_read(path, 1 << 20, &error);

	if (!bytes)
		g_error("%s", error->message);
	return bytes;
}

GPtrArray *fuzz_seeds(const char *target)
{
	g_autofree char *path = g_build_filename(dir, target, NULL);
	g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
	GPtrArray *seeds = g_ptr_array_new();
	const char *name;

	if (!d)
		g_error("%s: no seeds there", path);
	while ((name = g_dir_read_name(d)))
		g_ptr_array_add(seeds, fuzz_file(target, name));
	return seeds;
}

void fuzz_must_be_seed(const char *target, IfppSpan data)
{
	static GPtrArray *seeds;

	if (!seeds)
		seeds = fuzz_seeds(target);
	for (guint i = 0; i < seeds->len; i++)
		if (ifpp_span_equal(data, ifpp_span_bytes(seeds->pdata[i])))
			return;
	g_error("%s: something that nobody signed was accepted", target);
}

/* The daemon's pauses are for people's patience, and for modems: tests/fuzz/meson.build has it call this. */
guint __wrap_g_timeout_add(guint interval, GSourceFunc func, gpointer user);
guint __wrap_g_timeout_add(guint interval, GSourceFunc func, gpointer user)
{
	return g_idle_add(func, user);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_autoptr(GBytes) now = NULL;
	g_autoptr(GBytes) eid = NULL;

	dir = getenv("IFPP_FUZZ_SEEDS");
	if (!dir)
		g_error("IFPP_FUZZ_SEEDS must name the directory that tests/fuzz/seeds filled");
	fuzz_ci = fuzz_file("keys", "ci");
	fuzz_eum = fuzz_file("keys", "eum");
	fuzz_euicc = fuzz_file("keys", "euicc");
	fuzz_dppb = fuzz_file("keys", "dppb");
	fuzz_otpk = fuzz_file("keys", "otpk");
	eid = fuzz_file("keys", "eid");
	memcpy(fuzz_eid, g_bytes_get_data(eid, NULL), sizeof(fuzz_eid));
	now = fuzz_file("keys", "now");
	fuzz_trust = ifpp_trust_new();
	ifpp_trust_set_time(fuzz_trust, g_ascii_strtoll(g_bytes_get_data(now, NULL), NULL, 10));
	if (!ifpp_trust_add_root(fuzz_trust, ifpp_span_bytes(fuzz_ci), NULL))
		g_error("the test CI is not usable");
	return 0;
}
