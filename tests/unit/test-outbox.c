// SPDX-License-Identifier: GPL-2.0-or-later
/* The daemon's outbox: attempts, the old layout, and a disk that fails at every step. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/ifpp.h>

#include "eid.h"
#include "error.h"
#include "outbox.h"

static const guint8 eid[16] = { 0x89, 0x04, 0x90, 0x32, 0x12, 0x34, 0x51, 0x23,
				0x45, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x35 };

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_tree(child);
	}
	g_remove(path);
}

static guint count_files(const char *state, const char *suffix)
{
	char digits[33];
	g_autofree char *path = NULL;
	g_autoptr(GDir) dir = NULL;
	const char *name;
	guint n = 0;

	ifpp_eid_format(eid, digits);
	path = g_build_filename(state, "outbox", digits, NULL);
	dir = g_dir_open(path, 0, NULL);
	g_assert_nonnull(dir);
	while ((name = g_dir_read_name(dir)))
		n += g_str_has_suffix(name, suffix);
	return n;
}

static GBytes *hex(const char *text)
{
	GBytes *bytes = ifpp_unhex(text);

	g_assert_nonnull(bytes);
	return bytes;
}

/* The functions that change a disk stand before libc's: the nth call fails, or the process ends there. */
static struct {
	gboolean on, crash;
	int err;
	guint at, n;
} disk;

static gboolean disk_fails(void)
{
	if (!disk.on || ++disk.n != disk.at)
		return FALSE;
	if (disk.crash)
		_exit(9);
	errno = disk.err;
	return TRUE;
}

int fsync(int fd)
{
	return disk_fails() ? -1 : syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	return disk_fails() ? -1 : syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
	return disk_fails() ? -1 : syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t len)
{
	return disk_fails() ? -1 : syscall(SYS_ftruncate, fd, len);
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (fd > 2 && disk.on && disk.n + 1 == disk.at && len > 1)
		syscall(SYS_write, fd, data, len / 2);	/* half a record */
	return fd > 2 && disk_fails() ? -1 : syscall(SYS_write, fd, data, len);
}

static gboolean fallocate_works = TRUE;

int posix_fallocate(int fd, off_t offset, off_t len)
{
	if (!fallocate_works)
		return EOPNOTSUPP;
	return disk_fails() ? (disk.crash ? 0 : disk.err) : fallocate(fd, 0, offset, len) ? errno : 0;
}

static const guint8 key_a[32] = { 'a' }, key_b[32] = { 'b' };

/* As the chip's word of its keys: the first @n of them are unspent. */
static IfppFactoryInfo *chip_says(guint state, guint64 spent, const guint8 *const *keys, guint n)
{
	IfppFactoryInfo *info = g_new0(IfppFactoryInfo, 1);

	info->state = state;
	info->spent = spent;
	info->keys = g_array_new(FALSE, TRUE, sizeof(IfppOtk));
	for (guint i = 0; i < n; i++) {
		IfppOtk otk = { 0 };

		memcpy(otk.key_id, keys[i], 32);
		g_array_append_val(info->keys, otk);
	}
	return info;
}

static void info_free(IfppFactoryInfo *info)
{
	g_array_unref(info->keys);
	g_free(info);
}

/* Settle with key a unspent (@a), key b unspent (@b), the chip in @state with @spent keys used. */
static guint settle(Outbox *outbox, guint state, guint64 spent, gboolean a, gboolean b)
{
	const guint8 *keys[2];
	IfppFactoryInfo *info;
	guint n = 0, lost;

	if (a)
		keys[n++] = key_a;
	if (b)
		keys[n++] = key_b;
	info = chip_says(state, spent, keys, n);
	lost = outbox_settle(outbox, info, TRUE);
	info_free(info);
	return lost;
}

static void end(IfppAttempt *attempt, guint64 seq, int status, guint reason)
{
	attempt->status = status;
	attempt->reason = reason;
	attempt->spent = status ? IFPP_SPENT_UNKNOWN : IFPP_SPENT_YES;
	attempt->seq = seq;
	attempt->pir = hex("bf3700");
	attempt->apdus = 12;
	attempt->chip_ns = G_GUINT64_CONSTANT(5000000000);
}

static Outbox *open_outbox(const char *state)
{
	g_autoptr(GError) error = NULL;
	Outbox *outbox = outbox_open(state, eid, &error);

	g_assert_no_error(error);
	return outbox;
}

static char *outbox_dir(const char *state)
{
	char digits[33];

	ifpp_eid_format(eid, digits);
	return g_build_filename(state, "outbox", digits, NULL);
}

static void put_file(const char *state, const char *name, const char *text)
{
	g_autofree char *dir = outbox_dir(state), *path = g_build_filename(dir, name, NULL);

	g_mkdir_with_parents(dir, 0755);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static const IfppUnit unit_of = { .field = {
	[IFPP_UNIT_IMEI] = "359072061234562", [IFPP_UNIT_MODEL] = "EG25-G", [IFPP_UNIT_FIRMWARE] = "EG25GGBR07A08M2G",
	[IFPP_UNIT_USB_PATH] = "1-2.3", [IFPP_UNIT_STATION] = "bench-4",
} };

static void assert_unit(const IfppUnit *unit, const char *board)
{
	for (guint i = 0; i < IFPP_UNIT_BOARD_SERIAL; i++)
		g_assert_cmpstr(unit->field[i], ==, unit_of.field[i]);
	g_assert_cmpstr(unit->field[IFPP_UNIT_BOARD_SERIAL], ==, board);
	g_assert_null(unit->field[IFPP_UNIT_WORK_ORDER]);
}

/* The unit's identity is in each record from its beginning on, and in no other's. */
static void test_unit(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	g_autofree char *dir = outbox_dir(state);
	g_auto(IfppUnit) noted = { 0 };
	g_autoptr(Outbox) outbox = open_outbox(state);
	IfppAttempt *attempt;

	/* One of before, and of a daemon that knew no modem. */
	attempt = outbox_begin(outbox, key_b, IFPP_SPAN("txb"), 0, 0, NULL, NULL);
	g_assert_true(ifpp_unit_is_empty(&attempt->unit));
	outbox_set_unit(outbox, &unit_of);
	put_file(state, IFPP_UNIT_SCAN_FILE, "[Unit]\nBoardSerial=B-0007\nImei=1\nWorkOrder=\x1b[2J\n");
	attempt = outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL);
	assert_unit(&attempt->unit, "B-0007");
	outbox_free(g_steal_pointer(&outbox));

	/* The station ends here; what is scanned later is of later records. */
	put_file(state, IFPP_UNIT_SCAN_FILE, "[Unit]\nBoardSerial=another\n");
	outbox = open_outbox(state);
	attempt = outbox_pending(outbox, IFPP_SPAN("txa"));
	assert_unit(&attempt->unit, "B-0007");
	end(attempt, 7, -EREMOTEIO, 8);
	g_assert_true(outbox_store(outbox, attempt, NULL));
	g_assert_cmpuint(settle(outbox, 0, 1, FALSE, TRUE), ==, 0);
	outbox_free(g_steal_pointer(&outbox));
	outbox = open_outbox(state);
	attempt = ifpp_attempts_find_signed(outbox_attempts(outbox), IFPP_SPAN("txa"), 7);
	g_assert_cmpint(attempt->spent, ==, IFPP_SPENT_YES);
	assert_unit(&attempt->unit, "B-0007");

	ifpp_unit_load(&noted, dir, IFPP_UNIT_FILE);
	assert_unit(&noted, NULL);
	remove_tree(state);
}

static void make_link(const char *root, const char *class, const char *name, const char *device)
{
	g_autofree char *dir = g_build_filename(root, "class", class, NULL), *link = g_build_filename(dir, name, NULL);
	g_autofree char *target = g_build_filename(root, "devices", device, class, name, NULL);

	g_mkdir_with_parents(dir, 0755);
	g_mkdir_with_parents(target, 0755);
	g_assert_cmpint(symlink(target, link), ==, 0);
}

static void assert_port(const char *root, const char *device, const char *want)
{
	g_autofree char *dir = g_build_filename(root, "class", NULL), *path = ifpp_port_path(dir, device);

	g_assert_cmpstr(path, ==, want);
}

static void test_port_path(void)
{
	g_autofree char *root = g_dir_make_tmp("sysfs-XXXXXX", NULL);
	char imei[] = "359072061234562", other[] = "35907206";

	make_link(root, "usbmisc", "cdc-wdm0", "pci0000:00/0000:00:14.0/usb1/1-2/1-2.3/1-2.3:1.4");
	make_link(root, "wwan", "wwan0qmi0", "pci0000:00/0000:00:1c.0/0000:01:00.0/mhi0/wwan/wwan0");
	make_link(root, "wwan", "wwan1qmi0", "virtual");
	assert_port(root, "/dev/cdc-wdm0", "1-2.3");
	assert_port(root, "/dev/wwan0qmi0", "0000:01:00.0");
	assert_port(root, "/dev/wwan1qmi0", NULL);
	assert_port(root, "/dev/cdc-wdm1", NULL);
	assert_port(root, "/tmp/qmux_socket", NULL);
	ifpp_imei_mask(imei);
	ifpp_imei_mask(other);
	g_assert_cmpstr(imei, ==, "35907206.....62");
	g_assert_cmpstr(other, ==, "35907206");
	remove_tree(root);
}

static void test_outbox(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	guint8 challenge[16], got[16];
	g_autoptr(GBytes) pir = hex("bf3700");
	g_autoptr(GBytes) receipt = hex("3000"), second = hex("3001ff");
	g_autoptr(GBytes) read = NULL, data = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(Outbox) outbox = open_outbox(state);
	IfppAttempt *attempt;

	memset(challenge, 0x77, sizeof(challenge));
	g_assert_cmpuint(outbox_attempts(outbox)->len, ==, 0);

	/* Two loads are begun; one is stored, of the other nobody knows. */
	attempt = outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, &error);
	g_assert_true(outbox_begin(outbox, key_b, IFPP_SPAN("txb"), 0, 0, NULL, &error));
	g_assert_cmpuint(count_files(state, ".pending"), ==, 2);
	g_assert_cmpuint(count_files(state, ".reserve"), ==, 2);
	g_assert_true(outbox_pending(outbox, IFPP_SPAN("txa")) == attempt);
	end(attempt, 7, -EREMOTEIO, 8);
	g_assert_true(outbox_store(outbox, attempt, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(count_files(state, ".pending"), ==, 1);
	g_assert_cmpuint(count_files(state, ".reserve"), ==, 1);
	g_assert_cmpuint(count_files(state, ".result"), ==, 1);

	/* A successor finds the same. */
	outbox_free(g_steal_pointer(&outbox));
	outbox = open_outbox(state);
	g_assert_cmpuint(outbox_attempts(outbox)->len, ==, 2);
	g_assert_null(outbox_pending(outbox, IFPP_SPAN("txa")));
	attempt = ifpp_attempts_find_signed(outbox_attempts(outbox), IFPP_SPAN("txa"), 7);
	g_assert_true(attempt && attempt->stored);
	g_assert_cmpint(attempt->status, ==, -EREMOTEIO);
	g_assert_cmpuint(attempt->reason, ==, 8);
	g_assert_cmpuint(attempt->apdus, ==, 12);
	g_assert_cmpuint(attempt->chip_ns, ==, G_GUINT64_CONSTANT(5000000000));
	g_assert_cmpint(attempt->profile_class, ==, 2);
	g_assert_cmpint(attempt->spent, ==, IFPP_SPENT_UNKNOWN);
	g_assert_true(g_bytes_equal(attempt->pir, pir));
	attempt = outbox_pending(outbox, IFPP_SPAN("txb"));
	g_assert_true(attempt && !attempt->stored);
	g_assert_cmpint(attempt->profile_class, ==, 0);

	/* The chip says b never happened, and a is spent. */
	g_assert_cmpuint(settle(outbox, 0, 1, FALSE, TRUE), ==, 0);
	g_assert_null(outbox_find_transaction(outbox, IFPP_SPAN("txb")));
	g_assert_true(outbox_is_spent(outbox, key_a));
	g_assert_cmpuint(count_files(state, ".pending"), ==, 0);
	g_assert_cmpuint(count_files(state, ".reserve"), ==, 0);
	g_assert_cmpuint(count_files(state, ".result"), ==, 1);
	outbox_cancel(outbox, outbox_find_transaction(outbox, IFPP_SPAN("txa")));	/* it is stored */
	g_assert_cmpuint(count_files(state, ".result"), ==, 1);

	/* A second receipt does not replace the first. */
	g_assert_null(outbox_receipt(outbox, got));
	g_assert_true(outbox_store_receipt(outbox, challenge, receipt, &error));
	g_assert_true(outbox_store_receipt(outbox, challenge, second, &error));
	read = outbox_receipt(outbox, got);
	g_assert_nonnull(read);
	g_assert_true(g_bytes_equal(read, second));
	g_assert_cmpmem(got, 16, challenge, 16);
	g_assert_cmpuint(count_files(state, ".receipt"), ==, 2);

	g_assert_null(outbox_euicc_data(outbox));
	g_assert_true(outbox_store_euicc_data(outbox, pir, &error));
	data = outbox_euicc_data(outbox);
	g_assert_true(g_bytes_equal(data, pir));

	/* The note of a lock stays, and is written before anything else. */
	g_assert_false(outbox_lock_begun(outbox));
	g_assert_true(outbox_begin_lock(outbox, challenge, &error));
	g_assert_true(outbox_lock_begun(outbox));
	remove_tree(state);
}

/* One package, refused with its key unspent, then loaded: two signed results, each told for its own attempt. */
static void test_attempts_both_kept(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	g_autoptr(Outbox) outbox = open_outbox(state);
	IfppAttempt *attempt;

	attempt = outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL);
	end(attempt, 1, -EREMOTEIO, 2);
	g_assert_true(outbox_store(outbox, attempt, NULL));
	settle(outbox, 0, 0, TRUE, TRUE);
	g_assert_false(outbox_is_spent(outbox, key_a));
	g_assert_cmpint(attempt->spent, ==, IFPP_SPENT_NO);

	attempt = outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL);
	g_assert_cmpuint(count_files(state, ".pending"), ==, 1);
	/* A daemon that is killed here leaves the second to its successor. */
	outbox_free(g_steal_pointer(&outbox));
	outbox = open_outbox(state);
	attempt = outbox_pending(outbox, IFPP_SPAN("txa"));
	g_assert_nonnull(attempt);
	end(attempt, 2, 0, 0);
	g_assert_true(outbox_store(outbox, attempt, NULL));
	settle(outbox, 0, 1, FALSE, TRUE);
	outbox_free(g_steal_pointer(&outbox));

	outbox = open_outbox(state);
	g_assert_cmpuint(outbox_attempts(outbox)->len, ==, 2);
	g_assert_cmpuint(count_files(state, ".result"), ==, 2);
	g_assert_cmpuint(count_files(state, ".pending") + count_files(state, ".reserve"), ==, 0);
	attempt = ifpp_attempts_find_signed(outbox_attempts(outbox), IFPP_SPAN("txa"), 1);
	g_assert_true(attempt && attempt->reason == 2 && attempt->spent == IFPP_SPENT_NO);
	attempt = ifpp_attempts_find_signed(outbox_attempts(outbox), IFPP_SPAN("txa"), 2);
	g_assert_true(attempt && !attempt->status && attempt->spent == IFPP_SPENT_YES);
	/* What is told of the key is what spent it. */
	g_assert_true(ifpp_attempts_find(outbox_attempts(outbox), key_a) == attempt);
	remove_tree(state);
}

/* A key that is gone was spent or deleted; the chip's count tells which. */
static void test_outbox_settle(void)
{
	static const struct {
		guint state;
		guint64 spent;
		gboolean a, b;
		IfppSpent want_a, want_b;
	} cases[] = {
		{ 0, 0, TRUE, TRUE, IFPP_SPENT_NO, IFPP_SPENT_NO },
		{ 0, 1, FALSE, TRUE, IFPP_SPENT_YES, IFPP_SPENT_NO },
		{ 1, 2, FALSE, FALSE, IFPP_SPENT_YES, IFPP_SPENT_YES },		/* the last key was used */
		{ 2, 0, FALSE, FALSE, IFPP_SPENT_NO, IFPP_SPENT_NO },		/* locked: both were deleted */
		{ 2, 1, FALSE, FALSE, IFPP_SPENT_UNKNOWN, IFPP_SPENT_UNKNOWN },	/* one of the two */
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
		g_autoptr(Outbox) outbox = open_outbox(state);
		IfppAttempt *attempt;

		attempt = outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL);
		end(attempt, 1, -EREMOTEIO, 8);
		g_assert_true(outbox_store(outbox, attempt, NULL));
		attempt = outbox_begin(outbox, key_b, IFPP_SPAN("txb"), 2, 0, NULL, NULL);
		end(attempt, 2, -EREMOTEIO, 2);
		g_assert_true(outbox_store(outbox, attempt, NULL));
		settle(outbox, cases[i].state, cases[i].spent, cases[i].a, cases[i].b);
		outbox_free(g_steal_pointer(&outbox));
		outbox = open_outbox(state);
		g_assert_cmpint(ifpp_attempts_find(outbox_attempts(outbox), key_a)->spent, ==, cases[i].want_a);
		g_assert_cmpint(ifpp_attempts_find(outbox_attempts(outbox), key_b)->spent, ==, cases[i].want_b);
		remove_tree(state);
	}
}

/* A load without a result is lost only if its key was spent; and a loss that was none is forgotten. */
static void test_outbox_lost(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	g_autoptr(Outbox) outbox = open_outbox(state);
	IfppAttempt *attempt, *found;

	g_assert_nonnull(outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL));
	g_assert_cmpuint(settle(outbox, 2, 0, FALSE, FALSE), ==, 0);	/* deleted by a lock */
	g_assert_cmpuint(outbox_attempts(outbox)->len, ==, 0);

	g_assert_nonnull(outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL));
	g_assert_cmpuint(settle(outbox, 0, 1, FALSE, TRUE), ==, 1);
	attempt = ifpp_attempts_find(outbox_attempts(outbox), key_a);
	g_assert_true(attempt && attempt->stored && !attempt->pir && attempt->spent == IFPP_SPENT_YES);
	g_assert_cmpuint(attempt->reason, ==, IFPP_ERROR_CHIP);
	g_assert_cmpuint(settle(outbox, 0, 1, FALSE, TRUE), ==, 0);	/* told once */

	/* The chip, or its modem, has not told the truth: the key is there, so nothing has spent it. */
	settle(outbox, 0, 0, TRUE, TRUE);
	g_assert_cmpint(attempt->spent, ==, IFPP_SPENT_NO);
	g_assert_false(outbox_is_spent(outbox, key_a));

	found = ifpp_attempt_new(eid, key_a, IFPP_SPAN("txa"));
	end(found, 3, -EREMOTEIO, 11);
	g_assert_true(outbox_store(outbox, found, NULL));
	ifpp_attempt_unref(found);
	g_assert_cmpuint(count_files(state, ".result"), ==, 1);
	g_assert_nonnull(ifpp_attempts_find(outbox_attempts(outbox), key_a)->pir);
	remove_tree(state);
}

/* Records of version 1, and of both versions after a crash, are carried over; nothing is lost or told twice. */
static void test_outbox_old(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	g_autofree char *a = ifpp_hex(IFPP_SPAN(key_a)), *b = ifpp_hex(IFPP_SPAN(key_b));
	g_autofree char *name = g_strconcat(a, ".result", NULL), *note = g_strconcat(a, ".delivered", NULL);
	g_autofree char *new_note = g_strconcat(a, "-747861-0.delivered", NULL);
	g_autofree char *new_name = g_strconcat(a, "-747861-0.result", NULL);
	g_autofree char *pending = g_strconcat(b, ".pending", NULL), *reserve = g_strconcat(b, ".reserve", NULL);
	g_autofree char *stale = g_strconcat(a, ".pending", NULL), *stale_reserve = g_strconcat(a, ".reserve", NULL);
	g_autofree char *dir = outbox_dir(state);
	g_autofree char *new_path = g_build_filename(dir, new_name, NULL);
	g_autofree char *new_note_path = g_build_filename(dir, new_note, NULL);
	char digits[33];

	ifpp_eid_format(eid, digits);
	for (guint round = 0; round < 2; round++) {
		g_autofree char *old = g_strdup_printf("[Result]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=747861\n"
			"Status=-121\nReason=2\nApdus=5\nProfileClass=2\nTime=2026-11-23T00:00:00Z\nPIR=vzcA\n", digits, a);
		g_autofree char *begun = g_strdup_printf("[Pending]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=747862\n"
			"ProfileClass=1\nTime=2026-11-23T00:00:00Z\n", digits, b);
		g_autofree char *ended = g_strdup_printf("[Pending]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=747861\n"
			"ProfileClass=1\nTime=2026-11-23T00:00:00Z\n", digits, a);
		g_autoptr(Outbox) outbox = NULL;
		IfppAttempt *attempt;

		/* The second time the new record is there already: the crash came before the old one was deleted. */
		put_file(state, name, old);
		if (!round)
			put_file(state, note, "sum place\nprofile Telco\n");
		put_file(state, pending, begun);
		put_file(state, reserve, "space");
		put_file(state, stale, ended);
		put_file(state, stale_reserve, "space");
		put_file(state, ".something.result.AbCdEf", "half");
		outbox = open_outbox(state);
		g_assert_cmpuint(outbox_attempts(outbox)->len, ==, 2);
		attempt = ifpp_attempts_find(outbox_attempts(outbox), key_a);
		g_assert_true(attempt && attempt->reason == 2 && attempt->apdus == 5 && attempt->version == 2);
		g_assert_true(g_file_test(new_path, G_FILE_TEST_EXISTS));
		g_assert_true(g_file_test(new_note_path, G_FILE_TEST_EXISTS));
		g_assert_cmpuint(count_files(state, ".result"), ==, 1);
		g_assert_cmpuint(count_files(state, ".delivered"), ==, 1);
		g_assert_cmpuint(count_files(state, ".pending"), ==, 1);
		g_assert_cmpuint(count_files(state, ".reserve"), ==, 1);
		g_assert_cmpuint(count_files(state, ".AbCdEf"), ==, 0);
		attempt = outbox_pending(outbox, (IfppSpan){ (const guint8 *)"txb", 3 });
		g_assert_true(attempt && attempt->profile_class == 1);
	}
	remove_tree(state);
}

/* Whatever lies in the outbox is named and stays; what has the name of a new record is moved aside. */
static void test_outbox_bad(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	g_autofree char *a = ifpp_hex(IFPP_SPAN(key_a)), *dir = outbox_dir(state);
	g_autofree char *half = g_strconcat(a, "-747861-1.result", NULL);
	g_autofree char *folder = g_strdup_printf("%s/%s-747861.pending", dir, a);
	g_autofree char *inside = g_build_filename(folder, "file", NULL);
	g_autofree char *kept = g_strdup_printf("%s/quarantine/%s-747861-1.result", dir, a);
	g_autofree char *moved = g_strdup_printf("%s/quarantine/%s-747861.pending/file", dir, a);
	g_autofree char *text = NULL;
	g_autoptr(GBytes) odd = hex("bf37ff");
	g_autoptr(Outbox) outbox = NULL;
	IfppAttempt *attempt;

	put_file(state, "junk.result", "[Result]\nKeyId=zz\n");
	put_file(state, half, "[Result]\nVersion=2\nEID=89");
	g_mkdir_with_parents(folder, 0755);
	g_assert_true(g_file_set_contents(inside, "x", -1, NULL));
	for (guint i = 0; i < 3; i++)
		g_test_expect_message("ifppd", G_LOG_LEVEL_WARNING, "*left as it is*");
	outbox = open_outbox(state);
	g_test_assert_expected_messages();
	g_assert_cmpuint(outbox_attempts(outbox)->len, ==, 0);

	g_test_expect_message("ifppd", G_LOG_LEVEL_WARNING, "*.pending: not readable; moved to*");
	attempt = outbox_begin(outbox, key_a, (IfppSpan){ (const guint8 *)"txa", 3 }, 2, 0, NULL, NULL);
	g_assert_nonnull(attempt);
	end(attempt, 1, 0, 0);
	g_test_expect_message("ifppd", G_LOG_LEVEL_WARNING, "*-1.result: not readable; moved to*");
	g_assert_true(outbox_store(outbox, attempt, NULL));
	g_test_assert_expected_messages();
	g_assert_true(g_file_get_contents(kept, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "[Result]\nVersion=2\nEID=89");
	g_assert_true(g_file_test(moved, G_FILE_TEST_EXISTS));

	/* What the chip gives and nobody can read: once, byte for byte. */
	g_assert_false(outbox_is_aside(outbox, odd));
	g_assert_true(outbox_set_aside(outbox, odd, "reason of the test", NULL));
	g_assert_true(outbox_set_aside(outbox, odd, "reason of the test", NULL));
	g_assert_true(outbox_is_aside(outbox, odd));
	remove_tree(state);
}

/* A note of a lock is what makes a start lock a chip again: nothing else may be taken for one, and nothing be in its way. */
static void test_lock_note(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL), *dir = outbox_dir(state), *whole = NULL, *other = NULL;
	g_autofree char *path = g_build_filename(dir, "lock.begun", NULL), *data = g_build_filename(dir, "euicc.data", NULL);
	const guint8 challenge[16] = { 7 };
	g_autoptr(GBytes) bytes = hex("bf3700"), read = NULL;
	g_autoptr(Outbox) outbox = open_outbox(state);
	const char *end;
	gsize len;

	g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
	g_assert_cmpint(mkfifo(data, 0600), ==, 0);
	g_assert_false(outbox_lock_begun(outbox));
	g_test_expect_message("ifppd", G_LOG_LEVEL_WARNING, "*lock.begun: not readable; moved to*");
	g_assert_true(outbox_begin_lock(outbox, challenge, NULL));
	g_test_expect_message("ifppd", G_LOG_LEVEL_WARNING, "*euicc.data: not readable; moved to*");
	g_assert_true(outbox_store_euicc_data(outbox, bytes, NULL));
	g_test_assert_expected_messages();
	read = outbox_euicc_data(outbox);
	g_assert_true(g_bytes_equal(read, bytes));
	g_assert_true(outbox_lock_begun(outbox));

	/* Half a note at every length; one of another chip; a pipe. */
	g_assert_true(g_file_get_contents(path, &whole, &len, NULL));
	end = strstr(whole, "Time=");
	for (const char *cut = whole; cut < end; cut++) {
		g_assert_true(g_file_set_contents(path, whole, cut - whole, NULL));
		g_assert_true(outbox_lock_begun(outbox) == (cut >= end - 1));
	}
	other = g_strdup(whole);
	strstr(other, "EID=")[8] ^= 1;
	g_assert_true(g_file_set_contents(path, other, len, NULL));
	g_assert_false(outbox_lock_begun(outbox));
	g_unlink(path);
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	g_assert_false(outbox_lock_begun(outbox));
	remove_tree(state);
}

/* No fallocate, as with musl on UBIFS, JFFS2 or NFSv3: the space is taken in the plain way. */
static void test_no_fallocate(void)
{
	g_autofree char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL), *dir = outbox_dir(state);
	g_autofree char *a = ifpp_hex(IFPP_SPAN(key_a)), *path = g_strdup_printf("%s/%s-747861.reserve", dir, a);
	g_autoptr(Outbox) outbox = open_outbox(state);
	g_autoptr(GError) error = NULL;
	IfppAttempt *attempt;
	struct stat st;

	fallocate_works = FALSE;
	attempt = outbox_begin(outbox, key_a, (IfppSpan){ (const guint8 *)"txa", 3 }, 2, 0, NULL, &error);
	fallocate_works = TRUE;
	g_assert_no_error(error);
	g_assert_nonnull(attempt);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_blocks * 512, >=, 2 * IFPP_PIR_MAX);
	end(attempt, 1, 0, 0);
	g_assert_true(outbox_store(outbox, attempt, &error));
	g_assert_no_error(error);
	remove_tree(state);
}

/* From begin to end of a load whose package was refused once before. FALSE: something was not stored. */
static gboolean whole_load(const char *state, gboolean *begun, gboolean *stored)
{
	g_autoptr(Outbox) outbox = outbox_open(state, eid, NULL);
	IfppAttempt *attempt = outbox ? outbox_begin(outbox, key_a, IFPP_SPAN("txa"), 2, 0, NULL, NULL) : NULL;

	*begun = attempt != NULL;
	*stored = FALSE;
	if (!attempt)
		return FALSE;
	end(attempt, 2, 0, 0);
	*stored = outbox_store(outbox, attempt, NULL);
	if (!*stored)
		g_clear_pointer(&attempt->pir, g_bytes_unref);
	settle(outbox, 0, 1, FALSE, TRUE);
	return *stored;
}

static char *state_with_refusal(void)
{
	char *state = g_dir_make_tmp("ifppd-XXXXXX", NULL);
	g_autofree char *a = ifpp_hex(IFPP_SPAN(key_a)), *name = g_strconcat(a, ".result", NULL), *old = NULL;
	char digits[33];

	ifpp_eid_format(eid, digits);
	old = g_strdup_printf("[Result]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=74786100\nStatus=-121\nReason=2\n"
			      "Apdus=5\nProfileClass=2\nTime=2026-11-23T00:00:00Z\nPIR=vzcA\n", digits, a);
	put_file(state, name, old);
	return state;
}

/* After any failure: the first result is there once, the second is if it was said to be, no litter. */
static void check_after(const char *state, gboolean stored)
{
	g_autoptr(Outbox) outbox = open_outbox(state);
	guint first = 0, second = 0;

	for (guint i = 0; i < outbox_attempts(outbox)->len; i++) {
		IfppAttempt *attempt = outbox_attempts(outbox)->pdata[i];

		first += attempt->stored && attempt->pir && attempt->reason == 2;
		second += attempt->stored && attempt->pir && !attempt->status;
	}
	g_assert_cmpuint(first, ==, 1);
	g_assert_cmpuint(second, <=, 1);
	if (stored)
		g_assert_cmpuint(second, ==, 1);
	/* The chip's word settles what is open; its result comes again, since it was not removed there. */
	if (!second && outbox_find_transaction(outbox, IFPP_SPAN("txa"))) {
		IfppAttempt *open = outbox_pending(outbox, IFPP_SPAN("txa"));
		g_autoptr(IfppAttempt) late = open ? ifpp_attempt_ref(open) : ifpp_attempt_new(eid, key_a, IFPP_SPAN("txa"));

		end(late, 2, 0, 0);
		g_assert_true(outbox_store(outbox, late, NULL));
	}
	settle(outbox, 0, 1, FALSE, TRUE);
	g_assert_cmpuint(count_files(state, ".pending"), ==, 0);
	g_assert_cmpuint(count_files(state, ".reserve"), ==, 0);
	g_assert_cmpuint(count_files(state, ".result"), ==, 2);
}

/* Old layout, begin, store, settle: cut off at each write, rename, sync and delete; then each of them fails. */
static void test_outbox_faults(void)
{
	static const int errors[] = { 0, ENOSPC, EROFS, EIO };	/* 0: the process is killed there */
	guint points = 0;

	for (guint k = 0; k < G_N_ELEMENTS(errors); k++) {
		for (guint at = 1;; at++) {
			g_autofree char *state = state_with_refusal();
			gboolean begun, stored;
			int status, over;
			pid_t pid = fork();

			if (!pid) {
				g_assert_true(freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr));
				g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
				disk.crash = !errors[k];
				disk.err = errors[k];
				disk.at = at;
				disk.n = 0;
				disk.on = TRUE;
				whole_load(state, &begun, &stored);
				disk.on = FALSE;
				_exit(disk.n < at ? 3 : stored ? 1 : 2);
			}
			g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
			g_assert_true(WIFEXITED(status));
			over = WEXITSTATUS(status);
			if (over == 3) {
				remove_tree(state);
				break;
			}
			g_assert_true(over == 1 || over == 2 || over == 9);
			check_after(state, over == 1);
			remove_tree(state);
			points++;
		}
	}
	g_test_message("%u failures", points);
	g_assert_cmpuint(points, >, 60);
}

/* What was being written when a daemon was killed goes at the next start; a file that is whole stays. */
static void test_litter(void)
{
	static const char *const names[] = { "00.result", "00-74.pending", "00.refused", "lock.receipt", "euicc.data", "eim.record" };
	g_autofree char *state = g_dir_make_tmp("ifpp-XXXXXX", NULL);
	g_autofree char *dir = outbox_dir(state), *whole = g_build_filename(dir, "00.refused", NULL);
	g_autoptr(Outbox) outbox = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *part = g_strdup_printf(".%s.AbCdEf", names[i]);

		put_file(state, part, "half");
	}
	put_file(state, "00.refused", "whole");
	g_assert_cmpuint(count_files(state, ".AbCdEf"), ==, G_N_ELEMENTS(names));
	outbox = open_outbox(state);
	g_assert_cmpuint(count_files(state, ".AbCdEf"), ==, 0);
	g_assert_true(g_file_test(whole, G_FILE_TEST_EXISTS));
	remove_tree(state);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/outbox/store", test_outbox);
	g_test_add_func("/outbox/unit_travels", test_unit);
	g_test_add_func("/outbox/port_path", test_port_path);
	g_test_add_func("/outbox/attempts_both_kept", test_attempts_both_kept);
	g_test_add_func("/outbox/settle", test_outbox_settle);
	g_test_add_func("/outbox/lost", test_outbox_lost);
	g_test_add_func("/outbox/old", test_outbox_old);
	g_test_add_func("/outbox/bad", test_outbox_bad);
	g_test_add_func("/outbox/no_lock_on_unsigned_word", test_lock_note);
	g_test_add_func("/outbox/no_fallocate", test_no_fallocate);
	g_test_add_func("/outbox/litter", test_litter);
	g_test_add_func("/outbox/faults", test_outbox_faults);
	return g_test_run();
}
