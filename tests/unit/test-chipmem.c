// SPDX-License-Identifier: GPL-2.0-or-later
/* The chip's memory file: what is written is read, and nothing else is. */
#include <string.h>

#include <glib/gstdio.h>

#include "chipkit.h"
#include "error.h"
#include "file.h"

static IfppChipNote *make_note(guint64 seq, gboolean iccid)
{
	IfppChipNote *note = g_new0(IfppChipNote, 1);

	note->seq = seq;
	note->events = 0x80;
	note->address = g_strdup("dp.test");
	note->has_iccid = iccid;
	memset(note->iccid, 0x98, 10);
	note->bytes = g_bytes_new_static("note", 4);
	return note;
}

static void fill(IfppChipMem *mem)
{
	for (guint i = 0; i < 2; i++) {
		IfppChipProfile *profile = g_new0(IfppChipProfile, 1);

		memset(profile->iccid, 0x10 + i, 10);
		ifpp_chipmem_free_aid(mem, profile->aid);
		profile->enabled = i == 1;
		profile->profile_class = 2 - i;
		profile->metadata = g_bytes_new("metadata", 8);
		profile->upp = g_bytes_new("profile", 7);
		profile->nickname = i ? g_strdup("nick") : NULL;
		g_ptr_array_add(mem->profiles, profile);
	}
	ifpp_chipmem_add_note(mem, make_note(300, TRUE));
	ifpp_chipmem_add_note(mem, make_note(301, FALSE));
	mem->next_seq = 302;
	mem->spent = 5;
	mem->locked = TRUE;
	mem->lock_counter = 1;
	mem->loading = TRUE;
	mem->load_transaction = g_bytes_new("transaction", 11);
	mem->load_oid = g_bytes_new("\x88\x37\x0a", 3);
	g_free(mem->dp_address);
	mem->dp_address = g_strdup("default.test");
}

static void test_round_trip(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppChipMem) a = ifpp_chipmem_load(kit->chip_file, &error);
	g_autoptr(IfppChipMem) b = NULL;
	IfppChipProfile *profile;
	IfppChipNote *note;
	guint8 killed[32], sk_a[32], sk_b[32];

	g_assert_no_error(error);
	fill(a);
	memcpy(killed, g_array_index(a->keys, IfppChipKey, 1).key_id, 32);
	ifpp_chipmem_kill_key(a, 1);
	ifpp_chipmem_commit(a, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(a->writes, ==, 1);

	b = ifpp_chipmem_load(kit->chip_file, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(a->eid, 16, b->eid, 16);
	g_assert_true(ifpp_ec_key_export(a->sk, sk_a, NULL) && ifpp_ec_key_export(b->sk, sk_b, NULL));
	g_assert_cmpmem(sk_a, 32, sk_b, 32);
	g_assert_true(g_bytes_equal(a->cert_euicc, b->cert_euicc));
	g_assert_true(g_bytes_equal(a->cert_eum, b->cert_eum));
	g_assert_true(g_bytes_equal(a->ci, b->ci));
	g_assert_cmpuint(b->keys->len, ==, 2);
	g_assert_cmpmem(a->keys->data, 2 * sizeof(IfppChipKey), b->keys->data, 2 * sizeof(IfppChipKey));
	g_assert_cmpint(ifpp_chipmem_find_key(b, killed), ==, -1);
	g_assert_true(ifpp_chipmem_key_dead(b, killed));
	g_assert_false(ifpp_chipmem_key_dead(b, g_array_index(b->keys, IfppChipKey, 0).key_id));
	g_assert_cmpuint(b->spent, ==, 5);
	g_assert_true(b->locked);
	g_assert_cmpint(ifpp_chipmem_state(b), ==, IFPP_CHIP_LOCKED);
	g_assert_cmpuint(b->lock_counter, ==, 1);
	g_assert_cmpuint(b->next_seq, ==, 302);
	g_assert_cmpstr(b->dp_address, ==, "default.test");
	g_assert_true(b->loading);
	g_assert_true(g_bytes_equal(a->load_transaction, b->load_transaction));
	g_assert_true(g_bytes_equal(a->load_oid, b->load_oid));

	g_assert_cmpuint(b->profiles->len, ==, 2);
	profile = g_ptr_array_index(b->profiles, 1);
	g_assert_true(profile == ifpp_chipmem_enabled(b));
	g_assert_cmpuint(profile->profile_class, ==, 1);
	g_assert_cmpstr(profile->nickname, ==, "nick");
	g_assert_cmphex(profile->aid[14], ==, 0x11);
	g_assert_true(profile == ifpp_chipmem_find_aid(b, IFPP_SPAN(profile->aid)));
	g_assert_true(profile == ifpp_chipmem_find_iccid(b, profile->iccid));
	g_assert_cmpuint(ifpp_chipmem_free_nvm(b), ==, IFPP_CHIP_NVM - 2 * (IFPP_CHIP_PROFILE_COST + 7));
	g_assert_cmpuint(b->notes->len, ==, 2);
	note = g_ptr_array_index(b->notes, 1);
	g_assert_cmpuint(note->seq, ==, 301);
	g_assert_false(note->has_iccid);
	g_assert_cmpstr(note->address, ==, "dp.test");
}

static void test_notes_full(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(kit->chip_file, NULL);

	for (guint i = 1; i <= IFPP_CHIP_NOTES_MAX + 3; i++)
		ifpp_chipmem_add_note(mem, make_note(i, TRUE));
	g_assert_cmpuint(mem->notes->len, ==, IFPP_CHIP_NOTES_MAX);
	g_assert_cmpuint(((IfppChipNote *)g_ptr_array_index(mem->notes, 0))->seq, ==, 4);
}

/* Any flipped byte and any missing end is found; the message names the file. */
static void test_damaged(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autoptr(GBytes) good = ifpp_file_read(kit->chip_file, 1 << 20, NULL);
	gsize len = g_bytes_get_size(good);
	g_autofree char *copy = g_memdup2(g_bytes_get_data(good, NULL), len);

	for (gsize i = 0; i < len; i++) {
		g_autoptr(GError) error = NULL;

		copy[i] ^= 0x20;
		g_assert_true(g_file_set_contents_full(kit->chip_file, copy, len, G_FILE_SET_CONTENTS_NONE,
						       0600, NULL));
		g_assert_null(ifpp_chipmem_load(kit->chip_file, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA);
		g_assert_nonnull(strstr(error->message, kit->chip_file));
		copy[i] ^= 0x20;
	}
	for (gsize i = 0; i < len; i += 7) {
		g_autoptr(GError) error = NULL;

		g_assert_true(g_file_set_contents_full(kit->chip_file, copy, i, G_FILE_SET_CONTENTS_NONE,
						       0600, NULL));
		g_assert_null(ifpp_chipmem_load(kit->chip_file, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA);
	}
	g_assert_true(g_file_set_contents(kit->chip_file, copy, len, NULL));
	chip_free(kit->chip);
	kit->chip = chip_new(kit->chip_file, NULL);
	g_assert_nonnull(kit->chip);
}

static IfppChipMemFate hook(IfppChipMem *mem, gpointer user)
{
	return *(IfppChipMemFate *)user;
}

/* Files that begin with a dot: what a write leaves until it is whole. */
static guint unfinished(Kit *kit)
{
	g_autoptr(GDir) dir = g_dir_open(kit->dir, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(dir)))
		n += *name == '.';
	return n;
}

static void test_cut(void)
{
	g_autoptr(Kit) kit = kit_new(2);
	static const IfppChipMemFate fates[] = { IFPP_CHIPMEM_CUT_BEFORE, IFPP_CHIPMEM_CUT_DURING,
						 IFPP_CHIPMEM_CUT_AFTER };

	for (guint i = 0; i < G_N_ELEMENTS(fates); i++) {
		IfppChipMemFate fate = fates[i];
		g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(kit->chip_file, NULL);
		g_autoptr(IfppChipMem) again = NULL;
		g_autoptr(GError) error = NULL;

		mem->hook = hook;
		mem->hook_user = &fate;
		ifpp_chipmem_kill_key(mem, 0);
		g_assert_false(ifpp_chipmem_commit(mem, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL);
		g_assert_cmpuint(unfinished(kit), ==, fate == IFPP_CHIPMEM_CUT_DURING);
		again = ifpp_chipmem_load(kit->chip_file, NULL);
		g_assert_cmpuint(again->keys->len, ==, fate == IFPP_CHIPMEM_CUT_AFTER ? 1 : 2);
		g_assert_cmpuint(unfinished(kit), ==, 0);
	}
}

static void test_full_house(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(kit->chip_file, NULL);
	g_autoptr(IfppEcKey) key = ifpp_ec_key_generate(NULL);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(ifpp_chipmem_state(mem), ==, IFPP_CHIP_DRAINED);
	for (guint i = 0; i < IFPP_CHIP_KEYS_MAX; i++)
		g_assert_true(ifpp_chipmem_add_key(mem, key, NULL));
	g_assert_cmpint(ifpp_chipmem_state(mem), ==, IFPP_CHIP_FACTORY);
	g_assert_false(ifpp_chipmem_add_key(mem, key, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
	ifpp_chipmem_free(g_steal_pointer(&mem));
	mem = ifpp_chipmem_load(kit->chip_file, NULL);
	g_assert_cmpuint(mem->keys->len, ==, IFPP_CHIP_KEYS_MAX);
}

static void test_mode(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	GStatBuf st;

	g_assert_cmpint(g_stat(kit->chip_file, &st), ==, 0);
	g_assert_cmphex(st.st_mode & 0777, ==, 0600);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/chipmem/round-trip", test_round_trip);
	g_test_add_func("/chipmem/notes-full", test_notes_full);
	g_test_add_func("/chipmem/damaged", test_damaged);
	g_test_add_func("/chipmem/cut", test_cut);
	g_test_add_func("/chipmem/full-house", test_full_house);
	g_test_add_func("/chipmem/mode", test_mode);
	return g_test_run();
}
