// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtual chip: a sequence of APDUs, ES10 commands, cold starts, power cuts and downloads. A record is a
 * kind, a length of two bytes and the bytes. Beside the crash there is what no sequence may do: use a key twice, unlock,
 * count backwards, install what nobody sealed, or leave a file that is not a chip's.
 */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "eid.h"
#include "peer.h"
#include "profile.h"

enum {
	APDU_BY_CLASS,		/* the channel is in CLA */
	APDU_BY_CHANNEL,	/* the bits above say which */
	ES10,			/* a whole command, or a segment, in blocks */
	POWER,			/* first byte: off and on, or at which fate the next write meets it */
	DOWNLOAD,		/* an ordinary one: flags, reason to cancel, and which byte of the package is other by how much */
	KINDS,
};

enum {
	RETRY = 0x01,		/* with the key of the last one */
	SESSION_KEYS = 0x02,
	PREPARE_ONLY = 0x04,
	CANCEL = 0x08,
};

static const guint8 open_channel[] = { 0x00, 0x70, 0x00, 0x00, 0x01 };
static const guint8 select_isdr[] = { 0x00, 0xA4, 0x04, 0x0C, 0x10, 0xA0, 0x00, 0x00, 0x05, 0x59, 0x10,
				      0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x01, 0x00 };

typedef struct {
	Chip *chip;
	guint keys;		/* that it was born with */
	guint64 seq, lock_counter, spent;
	gboolean locked;
	IfppChipMemFate fate;	/* of the next write */
} Bench;

static GBytes *memory, *upp;
static GByteArray *metadata;
static SmDp *dp;
static char *path;

static IfppChipMemFate write_hook(IfppChipMem *mem, gpointer user)
{
	Bench *bench = user;
	IfppChipMemFate fate = bench->fate;

	bench->fate = IFPP_CHIPMEM_WRITE;
	return fate;
}

/* What must hold after every command. */
static void check(Bench *bench)
{
	const IfppChipMem *mem = chip_memory(bench->chip);

	g_assert_cmpuint(mem->keys->len + mem->dead->len, ==, bench->keys);
	g_assert_cmpuint(mem->spent, >=, bench->spent);
	g_assert_cmpuint(mem->spent, <=, mem->dead->len);
	g_assert_cmpuint(mem->next_seq, >=, bench->seq);
	g_assert_cmpuint(mem->lock_counter, >=, bench->lock_counter);
	g_assert_cmpuint(mem->lock_counter, <=, 1);
	g_assert_true(mem->locked || !bench->locked);
	g_assert_true(!mem->locked || !mem->keys->len);
	g_assert_cmpuint(mem->notes->len, <=, IFPP_CHIP_NOTES_MAX);
	/* the key of a download is for what has not begun */
	g_assert_true(!mem->loading || !mem->retry);
	/* one profile is all there is to seal, for a key of the factory or in a download */
	g_assert_cmpuint(mem->profiles->len, <=, 1);
	for (guint i = 0; i < mem->profiles->len; i++)
		g_assert_true(g_bytes_equal(((IfppChipProfile *)mem->profiles->pdata[i])->upp, upp));
	bench->spent = mem->spent;
	bench->seq = mem->next_seq;
	bench->lock_counter = mem->lock_counter;
	bench->locked = mem->locked;
}

static void power_on(Bench *bench)
{
	g_autoptr(GError) error = NULL;

	/* A cut while it comes up: once more, and the file must be a chip's. */
	if (!chip_power_on(bench->chip, NULL) && !chip_power_on(bench->chip, &error))
		g_error("no chip any more: %s", error->message);
}

/* One APDU. Return: its status word; 0: the chip went dark, and is back. */
static guint16 transmit(Bench *bench, int channel, const guint8 *apdu, gsize len)
{
	g_autoptr(GByteArray) r = chip_transmit(bench->chip, channel, (IfppSpan){ apdu, len });

	if (r) {
		g_assert_cmpuint(r->len, >=, 2);
		g_assert_cmpuint(r->len, <=, 258);
		check(bench);
		return r->data[r->len - 2] << 8 | r->data[r->len - 1];
	}
	power_on(bench);
	check(bench);
	return 0;
}

static void begin(Bench *bench)
{
	transmit(bench, 0, open_channel, sizeof(open_channel));
	transmit(bench, 1, select_isdr, sizeof(select_isdr));
}

static void es10(Bench *bench, IfppSpan command)
{
	guint8 apdu[5 + 255] = { 0x80, 0xE2 };
	guint16 sw = SW_OK;

	for (guint p2 = 0; command.len && sw == SW_OK; p2++) {
		gsize n = MIN(command.len, 255);

		apdu[2] = command.len > n ? 0x11 : 0x91;
		apdu[3] = p2;
		apdu[4] = n;
		memcpy(apdu + 5, command.data, n);
		sw = transmit(bench, 1, apdu, 5 + n);
		command.data += n;
		command.len -= n;
	}
	while (sw >> 8 == 0x61) {
		const guint8 get[] = { 0x80, 0xC0, 0x00, 0x00, sw };

		sw = transmit(bench, 1, get, sizeof(get));
	}
}

static void power(Bench *bench, IfppSpan in)
{
	guint8 what = in.len ? in.data[0] % 4 : 0;

	bench->fate = (IfppChipMemFate)what;
	if (what)
		return;
	chip_power_off(bench->chip);
	power_on(bench);
	check(bench);
	begin(bench);
}

/*
 * The SM-DP+ and the LPA are in order, the package perhaps not. Only a chip that has left the factory serves them;
 * it starts cold, so that there is a channel.
 */
static void download(Bench *bench, IfppSpan in)
{
	guint8 flags = in.len > 0 ? in.data[0] : 0, reason = in.len > 1 ? in.data[1] : 0;
	gsize at = in.len > 3 ? in.data[2] | in.data[3] << 8 : 0, len;
	guint8 other = in.len > 4 ? in.data[4] : 0;
	Kit kit = { .chip = bench->chip, .channel = 1, .block = 255 };
	g_autoptr(GBytes) authenticated = NULL, prepared = NULL, sealed = NULL, package = NULL;
	g_autoptr(IfppBpp) bpp = NULL;
	guint8 retry[65], *bytes;
	gboolean kept, had;
	Lpa *lpa;

	if (chip_memory(bench->chip)->keys->len)
		return;
	bench->fate = IFPP_CHIPMEM_WRITE;
	power(bench, (IfppSpan){ 0 });
	had = chip_memory(bench->chip)->profiles->len;
	kept = chip_memory(bench->chip)->retry != NULL;
	if (kept)
		ifpp_ec_key_point(chip_memory(bench->chip)->retry, retry);
	dp->retry = flags & RETRY && kept ? retry : NULL;
	dp->session_keys = flags & SESSION_KEYS;
	lpa = lpa_of_kit(&kit);
	authenticated = lpa_authenticate(lpa, dp);
	prepared = lpa_prepare(lpa, dp, authenticated);
	sealed = smdp_get_bound_profile_package(dp, ifpp_span_bytes(prepared));
	g_assert_cmpint(dp->retry && !memcmp(dp->otpk, retry, sizeof(retry)), ==, dp->retry != NULL);
	if (flags & CANCEL)
		g_assert_cmpuint(lpa_cancel(lpa, dp, reason), ==, 0);
	lpa_close(lpa);
	check(bench);
	g_assert_cmpint(chip_memory(bench->chip)->retry != NULL, ==, !(flags & CANCEL) || reason == 1 || reason == 2);
	if (flags & (CANCEL | PREPARE_ONLY))
		return;
	bytes = g_memdup2(g_bytes_get_data(sealed, NULL), g_bytes_get_size(sealed));
	len = g_bytes_get_size(sealed);
	bytes[at % len] ^= other;
	package = g_bytes_new_take(bytes, len);
	bpp = ifpp_bpp_parse(package, NULL);
	for (guint i = 0; bpp && i < ifpp_bpp_n_segments(bpp); i++)
		es10(bench, ifpp_bpp_segment(bpp, i));
	if (!other) {
		g_assert_cmpuint(chip_memory(bench->chip)->profiles->len, ==, 1);
		g_assert_null(chip_memory(bench->chip)->retry);
	} else {	/* no byte can be other without a MAC or a signature that is */
		g_assert_cmpuint(chip_memory(bench->chip)->profiles->len, ==, had);
	}
}

static void make_server(void)
{
	g_autofree char *pki = g_build_filename(g_getenv("IFPP_FUZZ_SEEDS"), "pki", NULL);
	g_autofree char *dir = g_strdup_printf("/dev/shm/ifpp-fuzz-apdu-%d.d", getpid());
	guint8 iccid[10];

	if (g_mkdir_with_parents(dir, 0700) < 0)
		g_error("%s: cannot be made", dir);
	dp = smdp_new(pki, dir);
	kit_remove(dir);
	profile_builtin_iccid(1, iccid);
	metadata = profile_metadata(iccid, "Fuzz", "Field", PROFILE_OPERATIONAL);
	dp->upp = ifpp_span_bytes(upp);
	dp->metadata = (IfppSpan){ metadata->data, metadata->len };
}

static void start(Bench *bench)
{
	g_autoptr(GError) error = NULL;
	gsize len;
	const char *data;

	if (!memory) {
		memory = fuzz_file("chip", "memory");
		upp = fuzz_file("chip", "upp");
		path = g_strdup_printf("/dev/shm/ifpp-fuzz-apdu-%d", getpid());
		make_server();
	}
	data = g_bytes_get_data(memory, &len);
	if (!g_file_set_contents_full(path, data, len, G_FILE_SET_CONTENTS_NONE, 0600, &error))
		g_error("%s", error->message);
	bench->chip = chip_new(path, &error);
	if (!bench->chip)
		g_error("%s", error->message);
	bench->keys = chip_memory(bench->chip)->keys->len;
	chip_set_write_hook(bench->chip, write_hook, bench);
	begin(bench);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	IfppSpan in = { data, len };
	Bench bench = { 0 };

	start(&bench);
	while (in.len >= 3) {
		guint8 kind = in.data[0];
		gsize n = in.data[1] | in.data[2] << 8;
		IfppSpan record;

		in.data += 3;
		in.len -= 3;
		record = (IfppSpan){ in.data, MIN(n, in.len) };
		in.data += record.len;
		in.len -= record.len;
		switch (kind % KINDS) {
		case APDU_BY_CLASS:
			transmit(&bench, -1, record.data, record.len);
			break;
		case APDU_BY_CHANNEL:
			transmit(&bench, kind / KINDS % CHIP_CHANNELS, record.data, record.len);
			break;
		case ES10:
			es10(&bench, record);
			break;
		case POWER:
			power(&bench, record);
			break;
		case DOWNLOAD:
			download(&bench, record);
		}
	}
	/* and after all that the file is what the chip says */
	bench.fate = IFPP_CHIPMEM_WRITE;
	chip_power_off(bench.chip);
	power_on(&bench);
	check(&bench);
	chip_free(bench.chip);
	unlink(path);
	return 0;
}
