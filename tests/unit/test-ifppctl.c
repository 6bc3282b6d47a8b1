// SPDX-License-Identifier: GPL-2.0-or-later
/* ifppctl against a driver of our own: the calls of device.h are answered here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "board.h"
#include "ctl.h"
#include "eid.h"
#include "euicc.h"
#include "explain.h"
#include "file.h"
#include "lease.h"
#include "monitor.h"
#include "outbox.h"
#include "packages.h"
#include "target.h"
#include "report.h"
#include "scan.h"
#include "sockets.h"

#define EID "89049032123451234512345678901235"
#define OTHER_EID "89049032000000000000000000000000"
#define N_KEYS 3

/* -------------------------------------------------------------- the driver */

struct _CtlDevice {
	int dummy;
};

static struct {
	struct ifpp_info info;
	struct ifpp_key keys[N_KEYS];
	gboolean in_flight;
	struct ifpp_result result;
	int submit_err[4];	/* of the next submits, 0 ends */
	int wait_err;		/* of the next wait */
	int unknown_turns;	/* waits until an unknown key turns out spent */
	gint32 status;		/* of the next loads */
	guint32 reason;
	int lock_err;
	int rework_err;
	guint32 reworked;
	gboolean rework_in_load;	/* by somebody else */
	gboolean lock_lies;
	guint submits, locks;
	gboolean store;		/* the daemon keeps what it should */
	char *outbox;
} fake;

static char *base;	/* of this test's files */

static void put_record(const char *name, const char *group, const char *rest)
{
	g_autofree char *dir = g_build_filename(fake.outbox, EID, NULL);
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autofree char *text = g_strdup_printf("[%s]\nVersion=1\nEID=" EID "\n%s", group, rest);

	g_mkdir_with_parents(dir, 0755);
	g_assert_true(ifpp_file_write(path, text, strlen(text), 0644, NULL));
}

static void put_text(const char *name, const char *text)
{
	g_autofree char *dir = g_build_filename(fake.outbox, EID, NULL), *path = g_build_filename(dir, name, NULL);

	g_mkdir_with_parents(dir, 0755);
	g_assert_true(ifpp_file_write(path, text, strlen(text), 0644, NULL));
}

static void put_result(const guint8 *key_id, int status, guint reason)
{
	g_autofree char *hex = ifpp_hex((IfppSpan){ key_id, 32 });
	g_autofree char *name = g_strconcat(hex, ".result", NULL);
	g_autofree char *rest = g_strdup_printf("KeyId=%s\nTransactionId=0102\nStatus=%d\nReason=%u\nApdus=55\n"
		"ApduBytes=13000\nVerifyNs=7\nChipNs=9\nTime=2026-11-23T00:00:00Z\nPIR=vzcA\n", hex, status, reason);

	put_record(name, "Result", rest);
}

CtlDevice *ctl_device_open(const char *node, GError **error)
{
	if (g_str_equal(node, "/dev/ifpp0"))
		return g_new0(CtlDevice, 1);
	ctl_set_errno(error, EACCES, node);
	return NULL;
}

void ctl_device_free(CtlDevice *device)
{
	g_free(device);
}

static struct ifpp_key *find_key(const guint8 *id)
{
	for (guint i = 0; i < N_KEYS; i++)
		if (!memcmp(fake.keys[i].id, id, IFPP_KEY_ID_LEN))
			return &fake.keys[i];
	return NULL;
}

int ctl_device_info(CtlDevice *device, struct ifpp_info *info)
{
	fake.info.keys_unspent = 0;
	for (guint i = 0; i < N_KEYS; i++)
		fake.info.keys_unspent += fake.keys[i].state == IFPP_KEY_UNSPENT;
	*info = fake.info;
	return 0;
}

int ctl_device_keys(CtlDevice *device, GArray **keys)
{
	*keys = g_array_new(FALSE, FALSE, sizeof(struct ifpp_key));
	g_array_append_vals(*keys, fake.keys, N_KEYS);
	return 0;
}

static void put_deleted(guint8 seq);

int ctl_device_submit(CtlDevice *device, GBytes *package)
{
	const struct ifpp_pkg_hdr *hdr = g_bytes_get_data(package, NULL);
	struct ifpp_key *key = find_key(hdr->key_id);
	int err = fake.submit_err[0];

	memmove(fake.submit_err, fake.submit_err + 1, sizeof(fake.submit_err) - sizeof(int));
	fake.submits++;
	if (fake.rework_in_load)
		put_deleted(9);
	if (err)
		return err;
	if (fake.info.state >= IFPP_STATE_LOCKING)
		return EPERM;
	if (memcmp(hdr->eid, fake.info.eid, IFPP_EID_LEN))
		return EXDEV;
	if (!key || key->state == IFPP_KEY_UNKNOWN)
		return EKEYREJECTED;
	if (key->state == IFPP_KEY_SPENT)
		return EKEYEXPIRED;

	fake.result = (struct ifpp_result){ .status = fake.status, .reason = fake.reason, .apdus = 55 };
	if (fake.reason >= IFPP_ERROR_HEADER) {
		fake.result.apdus = 0;
	} else {
		key->state = IFPP_KEY_SPENT;
		if (fake.store)
			put_result(key->id, fake.status, fake.reason);
	}
	fake.in_flight = TRUE;
	return 0;
}

int ctl_device_result(CtlDevice *device, struct ifpp_result *result)
{
	if (!fake.in_flight)
		return ENODATA;
	fake.in_flight = FALSE;
	*result = fake.result;
	return 0;
}

int ctl_device_wait(CtlDevice *device, short events, int timeout_ms)
{
	int err = fake.wait_err;

	fake.wait_err = 0;
	if (events & POLLPRI && fake.unknown_turns && --fake.unknown_turns == 0)
		for (guint i = 0; i < N_KEYS; i++)
			if (fake.keys[i].state == IFPP_KEY_UNKNOWN)
				fake.keys[i].state = IFPP_KEY_SPENT;
	return err;
}

int ctl_device_delete_keys(CtlDevice *device, guint32 *deleted)
{
	*deleted = 0;
	for (guint i = 0; i < N_KEYS; i++)
		if (fake.keys[i].state == IFPP_KEY_UNSPENT) {
			fake.keys[i].state = IFPP_KEY_SPENT;
			++*deleted;
		}
	fake.info.state = MAX(fake.info.state, IFPP_STATE_DRAINED);
	return 0;
}

int ctl_device_rework(CtlDevice *device, guint32 *deleted)
{
	*deleted = fake.reworked;
	return fake.rework_err;
}

int ctl_device_lock(CtlDevice *device, const guint8 challenge[IFPP_CHALLENGE_LEN], GBytes **receipt)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GByteArray) out = g_byte_array_new();
	guint8 signature[64] = { 0 };

	fake.locks++;
	fake.info.state = MAX(fake.info.state, IFPP_STATE_LOCKING);
	if (fake.lock_err)
		return fake.lock_err;
	fake.info.state = IFPP_STATE_LOCKED;
	ifpp_tlv_put(body, 0x80, fake.info.eid, IFPP_EID_LEN);
	ifpp_tlv_put(body, 0x81, fake.lock_lies ? signature : challenge, IFPP_CHALLENGE_LEN);
	ifpp_tlv_put(out, 0x30, body->data, body->len);
	ifpp_tlv_put(out, 0x5F37, signature, sizeof(signature));
	*receipt = g_bytes_new(out->data, out->len);
	if (fake.store)
		put_record("lock.receipt", "Receipt", "Challenge=00\nReceipt=MAA=\nTime=2026-11-23T00:00:01Z\n");
	return 0;
}

void ctl_catch_signals(void)
{
}

gboolean ctl_interrupted(void)
{
	return FALSE;
}

/* ------------------------------------------------------------- the station */

typedef struct {
	int exit;
	char *out, *err;
} Ran;

static void ran_clear(Ran *ran)
{
	g_free(ran->out);
	g_free(ran->err);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Ran, ran_clear)

/* Run a subcommand as main() would, with what it prints kept. */
static Ran run(gboolean json, int (*command)(Ctl *, int, char **, GError **), ...)
{
	g_autofree char *out_path = g_build_filename(base, "stdout", NULL);
	g_autofree char *err_path = g_build_filename(base, "stderr", NULL);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	Ctl ctl = { .out.json = json, .device = g_strdup("ifpp0") };
	int saved[2], exit;
	Ran ran = { 0 };
	va_list args;
	char *arg;

	g_ptr_array_add(argv, (char *)"command");
	va_start(args, command);
	while ((arg = va_arg(args, char *)))
		g_ptr_array_add(argv, arg);
	va_end(args);
	g_ptr_array_add(argv, NULL);

	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		int fd = open(i ? err_path : out_path, O_RDWR | O_CREAT | O_TRUNC, 0600);

		saved[i] = dup(i + 1);
		dup2(fd, i + 1);
		close(fd);
	}
	exit = command(&ctl, argv->len - 1, (char **)argv->pdata, &error);
	ran.exit = error ? ctl_error_exit(error) : exit;
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	g_file_get_contents(out_path, &ran.out, NULL, NULL);
	g_file_get_contents(err_path, &ran.err, NULL, NULL);
	g_free(ctl.device);
	/* An error is one line that begins with the program's name. */
	if (*ran.err) {
		g_auto(GStrv) lines = g_strsplit(ran.err, "\n", -1);

		for (guint i = 0; lines[i] && *lines[i]; i++)
			g_assert_true(g_str_has_prefix(lines[i], "ifppctl: "));
	}
	return ran;
}

#define assert_has(text, part) do { \
		if (!strstr(text, part)) \
			g_error("'%s' does not say '%s'", text, part); \
	} while (0)

static char *put_package(const char *eid_digits, int key, const char *name)
{
	guint8 file[IFPP_HEADER_LEN + 10] = { 0 };
	IfppHeader header = { .body_len = 10 };
	char *path;

	g_assert_true(ifpp_eid_parse(eid_digits, header.eid, NULL));
	memset(header.key_id, key, sizeof(header.key_id));
	ifpp_header_write(&header, file);
	path = name ? g_build_filename(base, "packages", name, NULL) :
	       g_strdup_printf("%s/packages/%s-%02x%02x%02x%02x%02x%02x%02x%02x.ifpp", base, eid_digits, key, key, key,
			       key, key, key, key, key);
	g_assert_true(ifpp_file_write(path, file, sizeof(file), 0644, NULL));
	return path;
}

static char *other_eid(void)
{
	char *digits = g_strdup(OTHER_EID);

	ifpp_eid_check_digits(digits);
	return digits;
}

static void remove_tree(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		if (g_file_test(child, G_FILE_TEST_IS_DIR))
			remove_tree(child);
		else
			g_unlink(child);
	}
	if (dir)
		g_dir_close(dir);
	g_rmdir(path);
}

/* A fresh chip with keys 1, 2 and 3, an empty outbox and no packages. */
static void reset(void)
{
	g_autofree char *packages = NULL;

	if (base)
		remove_tree(base);
	else
		base = g_dir_make_tmp("test-ifppctl.XXXXXX", NULL);
	g_free(fake.outbox);
	memset(&fake, 0, sizeof(fake));
	fake.outbox = g_build_filename(base, "outbox", NULL);
	fake.store = TRUE;
	packages = g_build_filename(base, "packages", NULL);
	g_mkdir_with_parents(packages, 0755);
	g_mkdir_with_parents(fake.outbox, 0755);
	g_assert_true(ifpp_eid_parse(EID, fake.info.eid, NULL));
	fake.info.flags = IFPP_INFO_ONLINE;
	for (guint i = 0; i < N_KEYS; i++)
		memset(fake.keys[i].id, i + 1, IFPP_KEY_ID_LEN);
}

static Ran provision(gboolean json, const char *more)
{
	g_autofree char *packages = g_build_filename(base, "packages", NULL);
	g_autofree char *policy = g_build_filename(base, "policy", NULL);

	g_file_set_contents(policy, "[Target]\nAllowTestProfiles=true\n", -1, NULL);
	/* These packages hold nothing: nobody could tell whether it is for tests. */
	return run(json, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--policy", policy, more,
		   NULL);
}

static Ran load(const char *file)
{
	return run(FALSE, ctl_cmd_load, file, NULL);
}

static void test_explain(void)
{
	static const struct {
		int err, exit;
	} table[] = {
		{ EPERM, IFPP_EXIT_LOCKED }, { EXDEV, IFPP_EXIT_REFUSED }, { ENOKEY, IFPP_EXIT_REFUSED },
		{ EKEYREJECTED, IFPP_EXIT_REFUSED }, { EKEYEXPIRED, IFPP_EXIT_REFUSED },
		{ EBADMSG, IFPP_EXIT_INPUT }, { EMSGSIZE, IFPP_EXIT_INPUT }, { EBUSY, IFPP_EXIT_BUSY },
		{ EAGAIN, IFPP_EXIT_BUSY }, { ENOTCONN, IFPP_EXIT_NO_DEVICE }, { ENODEV, IFPP_EXIT_NO_DEVICE },
		{ EREMOTEIO, IFPP_EXIT_CHIP }, { ETIMEDOUT, IFPP_EXIT_CHIP },
	};
	g_autoptr(GError) other = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autoptr(GError) error = NULL;

		ctl_set_errno(&error, table[i].err, "THING");
		g_assert_error(error, CTL_ERROR, table[i].exit);
		g_assert_true(g_str_has_prefix(error->message, "THING: "));
		/* What is wrong, then what to do, and no C library's wording of either. */
		assert_has(error->message, ". ");
		g_assert_null(strstr(error->message, g_strerror(table[i].err)));
	}
	ctl_set_errno(&other, EXFULL, "THING");
	g_assert_error(other, CTL_ERROR, IFPP_EXIT_FAILED);
}

static void test_reasons(void)
{
	g_autoptr(GError) daemon = NULL, chip = NULL, unspent = NULL, unknown = NULL, none = NULL;

	ctl_set_result(&daemon, -EBADMSG, IFPP_ERROR_CMS_SIGNATURE, IFPP_SPENT_UNKNOWN, "THING");
	g_assert_error(daemon, IFPP_ERROR, IFPP_ERROR_CMS_SIGNATURE);
	assert_has(daemon->message, "cms-signature");
	ctl_set_result(&chip, -EREMOTEIO, 8, IFPP_SPENT_YES, "THING");
	g_assert_error(chip, CTL_ERROR, IFPP_EXIT_CHIP);
	assert_has(chip->message, ifpp_reason_name(8));
	assert_has(chip->message, "key is spent; have");
	/* The chip says of each key what it is: a refusal does not always cost one. */
	ctl_set_result(&unspent, -EREMOTEIO, 2, IFPP_SPENT_NO, "THING");
	assert_has(unspent->message, "key is not spent, so the package can be loaded again");
	ctl_set_result(&unknown, -EREMOTEIO, 2, IFPP_SPENT_UNKNOWN, "THING");
	assert_has(unknown->message, "ifppctl keys list shows whether");
	ctl_set_result(&none, -ETIMEDOUT, 0, IFPP_SPENT_UNKNOWN, "THING");
	g_assert_error(none, CTL_ERROR, IFPP_EXIT_CHIP);
	g_assert_cmpstr(ifpp_reason_name(0), ==, "ok");
}

static void test_scan(void)
{
	g_autoptr(GPtrArray) mine = NULL, all = NULL;
	g_autofree char *packages = NULL, *foreign = other_eid(), *broken = NULL, *liar = NULL;
	g_autofree char *a = NULL, *b = NULL, *c = NULL, *d = NULL, *other = NULL, *hidden = NULL;
	GError *error = NULL;

	reset();
	packages = g_build_filename(base, "packages", NULL);
	a = put_package(EID, 2, NULL);
	b = put_package(EID, 1, NULL);
	c = put_package(foreign, 1, NULL);
	d = put_package(EID, 3, "odd name.ifpp");
	g_free(put_package(foreign, 3, "other.ifpp"));
	/* Named for this chip, sealed for another: somebody renamed it. */
	liar = put_package(foreign, 2, EID "-0000000000000000.ifpp");
	/* And the other way about. */
	other = g_strconcat(foreign, "-0000000000000000.ifpp", NULL);
	hidden = put_package(EID, 3, other);
	broken = g_build_filename(packages, "broken.ifpp", NULL);
	g_file_set_contents(broken, "IFPP", 4, NULL);
	/* Broken, and another chip's by its name: not ours to tell. */
	g_free(other);
	other = g_strdup_printf("%s/%s-1111111111111111.ifpp", packages, foreign);
	g_file_set_contents(other, "IFPP", 4, NULL);

	mine = ctl_packages_scan(packages, fake.info.eid, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(mine->len, ==, 6);
	g_assert_cmpstr(((CtlPackage *)mine->pdata[0])->path, ==, hidden);
	g_assert_no_error(((CtlPackage *)mine->pdata[0])->error);
	g_assert_error(((CtlPackage *)mine->pdata[1])->error, IFPP_ERROR, IFPP_ERROR_WRONG_EID);
	g_assert_cmpstr(((CtlPackage *)mine->pdata[1])->path, ==, liar);
	g_assert_cmpstr(((CtlPackage *)mine->pdata[2])->path, ==, b);
	g_assert_cmpstr(((CtlPackage *)mine->pdata[3])->path, ==, a);
	g_assert_error(((CtlPackage *)mine->pdata[4])->error, IFPP_ERROR, IFPP_ERROR_LENGTH);
	g_assert_cmpstr(((CtlPackage *)mine->pdata[5])->path, ==, d);

	all = ctl_packages_scan(packages, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(all->len, ==, 9);

	g_assert_null(ctl_packages_scan(broken, NULL, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
	g_clear_error(&error);
}

static void test_load(void)
{
	g_autofree char *one = NULL, *two = NULL, *three = NULL, *foreign = other_eid(), *wrong = NULL;
	g_auto(Ran) ok = { 0 }, replay = { 0 }, clone = { 0 }, refused = { 0 }, failed = { 0 }, locked = { 0 };

	reset();
	one = put_package(EID, 1, NULL);
	two = put_package(EID, 2, NULL);
	three = put_package(EID, 3, NULL);
	wrong = put_package(foreign, 1, NULL);

	ok = load(one);
	g_assert_cmpint(ok.exit, ==, IFPP_EXIT_OK);
	assert_has(ok.out, "installed, 55 APDUs");
	/* A log does not tell EIDs. */
	g_assert_null(strstr(ok.out, EID));
	replay = load(one);
	g_assert_cmpint(replay.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(replay.err, "spent");
	assert_has(replay.err, "89049032......................35-0101010101010101.ifpp");
	clone = load(wrong);
	g_assert_cmpint(clone.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(clone.err, "another chip");

	fake.status = -EKEYREJECTED;
	fake.reason = IFPP_ERROR_REVOKED;
	refused = load(two);
	g_assert_cmpint(refused.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(refused.err, "revoked");
	g_assert_cmpuint(fake.keys[1].state, ==, IFPP_KEY_UNSPENT);

	fake.status = -EREMOTEIO;
	fake.reason = 8;
	failed = load(three);
	g_assert_cmpint(failed.exit, ==, IFPP_EXIT_CHIP);
	assert_has(failed.err, ifpp_reason_name(8));

	fake.info.state = IFPP_STATE_LOCKED;
	locked = load(two);
	g_assert_cmpint(locked.exit, ==, IFPP_EXIT_LOCKED);
	assert_has(locked.err, "for ever");
}

static void test_load_waits(void)
{
	g_autofree char *one = NULL, *two = NULL, *three = NULL;
	g_auto(Ran) busy = { 0 }, unread = { 0 }, gone = { 0 }, spent = { 0 };

	reset();
	one = put_package(EID, 1, NULL);
	two = put_package(EID, 2, NULL);
	three = put_package(EID, 3, NULL);

	/* Others are loading: twice in the way, then free. */
	fake.submit_err[0] = fake.submit_err[1] = EAGAIN;
	busy = load(one);
	g_assert_cmpint(busy.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(fake.submits, ==, 3);

	/* A result nobody read is read, and is not taken for ours. */
	fake.submit_err[0] = EBUSY;
	fake.in_flight = TRUE;
	fake.result.status = -EREMOTEIO;
	unread = load(two);
	g_assert_cmpint(unread.exit, ==, IFPP_EXIT_OK);

	/* The key was in doubt and turns out spent. */
	fake.keys[2].state = IFPP_KEY_UNKNOWN;
	fake.unknown_turns = 2;
	spent = load(three);
	g_assert_cmpint(spent.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(spent.err, "spent");

	fake.keys[2].state = IFPP_KEY_UNSPENT;
	fake.wait_err = ENODEV;
	gone = load(three);
	g_assert_cmpint(gone.exit, ==, IFPP_EXIT_NO_DEVICE);
	assert_has(gone.err, "gone");
}

static void test_bad_files(void)
{
	static const struct {
		const char *name, *content, *says;
	} bad[] = {
		{ "empty.ifpp", "", "is empty" },
		{ "text.ifpp", "this is a text that is long enough to be a header of a package, or is it? It is now.", "" },
		{ "short.ifpp", "IFPP", "" },
	};

	reset();
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *path = g_build_filename(base, bad[i].name, NULL);
		g_auto(Ran) ran = { 0 };

		g_file_set_contents(path, bad[i].content, -1, NULL);
		ran = load(path);
		g_assert_cmpint(ran.exit, ==, IFPP_EXIT_INPUT);
		assert_has(ran.err, bad[i].name);
		assert_has(ran.err, bad[i].says);
	}
	{
		g_autofree char *whole = put_package(EID, 1, NULL);
		g_auto(Ran) dir = load(base), none = load("/no/such.ifpp"), cut = { 0 };

		g_assert_cmpint(dir.exit, ==, IFPP_EXIT_INPUT);
		assert_has(dir.err, "a directory");
		g_assert_cmpint(none.exit, ==, IFPP_EXIT_INPUT);
		assert_has(none.err, "/no/such.ifpp");
		g_assert_cmpint(truncate(whole, 70), ==, 0);
		cut = load(whole);
		g_assert_cmpint(cut.exit, ==, IFPP_EXIT_INPUT);
	}
	{
		g_auto(Ran) rights = run(FALSE, ctl_cmd_info, "/dev/ifpp9", NULL);

		g_assert_cmpint(rights.exit, ==, IFPP_EXIT_ACCESS);
		assert_has(rights.err, "group ifpp");
	}
	g_assert_cmpuint(fake.submits, ==, 0);
}

/* What was left for the hook, and the last of it. */
static guint hook_notes(const char *spool, char **last)
{
	g_autoptr(GDir) dir = g_dir_open(spool, 0, NULL);
	g_autofree char *newest = NULL;
	const char *name;
	guint n = 0;

	for (; (name = g_dir_read_name(dir)); n++) {
		if (g_strcmp0(name, newest) > 0) {
			g_free(newest);
			newest = g_strdup(name);
		}
	}
	if (newest) {
		g_autofree char *path = g_build_filename(spool, newest, NULL);

		g_clear_pointer(last, g_free);
		g_assert_true(g_file_get_contents(path, last, NULL, NULL));
	}
	return n;
}

/* The hook hears of each end once, without being run by the provisioning; without a hook nothing is left. */
static void test_provision_hook(void)
{
	g_autofree char *a = NULL, *spool = g_dir_make_tmp("hook-XXXXXX", NULL), *last = NULL;
	g_auto(Ran) none = { 0 }, lost = { 0 }, first = { 0 }, again = { 0 }, lock = { 0 }, relock = { 0 };

	reset();
	g_setenv("IFPP_HOOK_SPOOL", spool, TRUE);
	g_setenv("IFPP_HOOK", "/no/such/hook", TRUE);
	a = put_package(EID, 1, NULL);
	none = provision(FALSE, NULL);
	g_assert_cmpint(none.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(hook_notes(spool, &last), ==, 0);

	reset();
	g_setenv("IFPP_HOOK", "/bin/false", TRUE);
	g_free(put_package(EID, 1, NULL));
	g_setenv("IFPP_HOOK_SPOOL", "/no/such/directory", TRUE);
	lost = provision(FALSE, NULL);
	g_assert_cmpint(lost.exit, ==, IFPP_EXIT_OK);
	assert_has(lost.out, "the hook is not told");

	reset();
	g_setenv("IFPP_HOOK_SPOOL", spool, TRUE);
	g_free(put_package(EID, 1, NULL));
	first = provision(FALSE, NULL);
	g_assert_cmpint(first.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(hook_notes(spool, &last), ==, 1);
	assert_has(last, "\"type\":\"unit-done\",\"version\":1,");
	assert_has(last, "\"eid\":\"" EID "\",\"locked\":false,\"results\":[");
	again = provision(FALSE, NULL);
	g_assert_cmpint(again.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(hook_notes(spool, &last), ==, 1);
	lock = provision(FALSE, "--lock");
	g_assert_cmpint(lock.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(hook_notes(spool, &last), ==, 2);
	assert_has(last, "\"locked\":true");
	relock = provision(FALSE, "--lock");
	g_assert_cmpint(relock.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(hook_notes(spool, &last), ==, 2);
	g_unsetenv("IFPP_HOOK");
	g_unsetenv("IFPP_HOOK_SPOOL");
	remove_tree(spool);
}

static void test_provision(void)
{
	g_autofree char *a = NULL, *b = NULL, *c = NULL, *foreign = other_eid();
	g_auto(Ran) first = { 0 }, again = { 0 }, lock = { 0 }, relock = { 0 }, late = { 0 };

	reset();
	a = put_package(EID, 1, NULL);
	b = put_package(EID, 2, NULL);
	c = put_package(foreign, 3, NULL);

	first = provision(TRUE, NULL);
	g_assert_cmpint(first.exit, ==, IFPP_EXIT_OK);
	assert_has(first.out, "\"outcome\":\"installed\"");
	assert_has(first.out, "\"type\":\"provision\"");
	assert_has(first.out, "\"installed\":2,\"done\":0,\"failed\":0");
	g_assert_cmpuint(fake.submits, ==, 2);

	/* The client was killed, or the unit came back: nothing is loaded twice. */
	again = provision(TRUE, NULL);
	g_assert_cmpint(again.exit, ==, IFPP_EXIT_OK);
	assert_has(again.out, "\"installed\":0,\"done\":2,\"failed\":0");
	g_assert_cmpuint(fake.submits, ==, 2);

	lock = provision(FALSE, "--lock");
	g_assert_cmpint(lock.exit, ==, IFPP_EXIT_OK);
	assert_has(lock.out, "locked for life");
	relock = provision(FALSE, "--lock");
	g_assert_cmpint(relock.exit, ==, IFPP_EXIT_OK);
	assert_has(relock.out, "locked already");
	g_assert_cmpuint(fake.locks, ==, 1);

	/* A package that comes after the lock is told, not silently left. */
	g_free(put_package(EID, 3, NULL));
	late = provision(FALSE, NULL);
	g_assert_cmpint(late.exit, ==, IFPP_EXIT_LOCKED);
	g_assert_cmpuint(fake.submits, ==, 3);
}

static void test_provision_failures(void)
{
	g_autofree char *a = NULL, *b = NULL, *bad = NULL;
	g_auto(Ran) nothing = { 0 }, failed = { 0 }, again = { 0 }, unproven = { 0 }, lie = { 0 }, lost = { 0 };
	g_auto(Ran) no_dir = { 0 };

	/* No package at all: more likely the wrong directory than a chip meant to stay empty. */
	reset();
	nothing = provision(FALSE, "--lock");
	g_assert_cmpint(nothing.exit, ==, IFPP_EXIT_INPUT);
	assert_has(nothing.err, "not locked");
	g_assert_cmpuint(fake.locks, ==, 0);

	/* One fails in the chip, the other is loaded all the same; no lock. */
	a = put_package(EID, 1, NULL);
	fake.status = -EREMOTEIO;
	fake.reason = 8;
	failed = provision(FALSE, "--lock");
	g_assert_cmpint(failed.exit, ==, IFPP_EXIT_CHIP);
	fake.status = 0;
	fake.reason = 0;
	b = put_package(EID, 2, NULL);
	bad = g_build_filename(base, "packages", EID "-bad.ifpp", NULL);
	g_file_set_contents(bad, "x", 1, NULL);
	again = provision(FALSE, "--lock");
	g_assert_cmpint(again.exit, ==, IFPP_EXIT_CHIP);
	assert_has(again.err, "loaded at 2026");
	assert_has(again.out, "installed, 55 APDUs");
	assert_has(again.err, "not locked, because it has 1 of 3 profiles");
	assert_has(again.out, "1 of 3 packages installed, 2 failed");
	g_assert_cmpuint(fake.locks, ==, 0);

	/* A lock that began is finished, whatever else is missing. */
	fake.info.state = IFPP_STATE_LOCKING;
	fake.lock_err = ETIMEDOUT;
	unproven = provision(FALSE, "--lock");
	g_assert_cmpuint(fake.locks, ==, 1);
	assert_has(unproven.err, "cannot be undone");
	fake.lock_err = 0;
	fake.lock_lies = TRUE;
	fake.store = FALSE;
	lie = run(FALSE, ctl_cmd_lock, "--outbox", fake.outbox, NULL);
	g_assert_cmpint(lie.exit, ==, IFPP_EXIT_REFUSED);
	fake.lock_lies = FALSE;
	lost = run(FALSE, ctl_cmd_lock, "--yes", "--outbox", fake.outbox, NULL);
	g_assert_cmpint(lost.exit, ==, IFPP_EXIT_IO);
	assert_has(lost.err, "no lock receipt");

	no_dir = run(FALSE, ctl_cmd_provision, "--source", "/no/such/dir", NULL);
	g_assert_cmpint(no_dir.exit, ==, IFPP_EXIT_INPUT);
}

/* A chip says that it is locked and has signed nothing: that is no reason to lock it, unasked or before it has its packages. */
static void test_lock_on_unsigned_word(void)
{
	g_auto(Ran) asked = { 0 }, value = { 0 }, unit = { 0 }, told = { 0 }, again = { 0 };

	reset();
	fake.info.state = IFPP_STATE_LOCKED;
	asked = run(FALSE, ctl_cmd_lock, "--outbox", fake.outbox, NULL);
	g_assert_cmpint(asked.exit, ==, IFPP_EXIT_USAGE);
	assert_has(asked.err, "has not signed that here");
	value = run(FALSE, ctl_cmd_lock, "--yes=no", "--outbox", fake.outbox, NULL);
	g_assert_cmpint(value.exit, ==, IFPP_EXIT_USAGE);
	unit = provision(FALSE, "--lock");
	g_assert_cmpint(unit.exit, ==, IFPP_EXIT_INPUT);
	assert_has(unit.err, "not locked");
	g_assert_cmpuint(fake.locks, ==, 0);
	/* Told to, it signs; from then on nobody need be asked. */
	told = run(FALSE, ctl_cmd_lock, "--yes", "--outbox", fake.outbox, NULL);
	g_assert_cmpint(told.exit, ==, IFPP_EXIT_OK);
	again = run(FALSE, ctl_cmd_lock, "--outbox", fake.outbox, NULL);
	g_assert_cmpint(again.exit, ==, IFPP_EXIT_OK);
	g_assert_cmpuint(fake.locks, ==, 2);
}

/* The depot cannot be reached: what was fetched before is enough, nothing at all is not. */
static void test_provision_offline(void)
{
	g_autofree char *cache = NULL, *pem = NULL, *a = NULL;
	g_auto(Ran) nothing = { 0 }, cached = { 0 }, no_key = { 0 };

	reset();
	cache = g_build_filename(base, "packages", NULL);
	pem = g_build_filename(base, "pem", NULL);
	g_assert_true(g_file_set_contents(pem, "", 0, NULL));
	nothing = run(FALSE, ctl_cmd_provision, "--source", "https://127.0.0.1:1", "--cache", cache, "--outbox", fake.outbox,
		      "--cert", pem, "--key", pem, "--ca", pem, NULL);
	g_assert_cmpint(nothing.exit, ==, IFPP_EXIT_BUSY);
	assert_has(nothing.err, "cannot be reached");
	g_assert_cmpuint(fake.submits, ==, 0);

	a = put_package(EID, 1, NULL);
	cached = run(FALSE, ctl_cmd_provision, "--source", "https://127.0.0.1:1", "--cache", cache, "--outbox", fake.outbox,
		     "--cert", pem, "--key", pem, "--ca", pem, NULL);
	g_assert_cmpint(cached.exit, ==, IFPP_EXIT_OK);
	assert_has(cached.out, "going on with 1 packages from before");
	assert_has(cached.out, "wait in the outbox");
	g_assert_cmpuint(fake.submits, ==, 1);

	no_key = run(FALSE, ctl_cmd_provision, "--source", "https://127.0.0.1:1", "--cache", cache, NULL);
	g_assert_cmpint(no_key.exit, ==, IFPP_EXIT_ACCESS);
	assert_has(no_key.err, "station.pem");
}

static Ran provision_as(const char *station)
{
	g_autofree char *packages = g_build_filename(base, "packages", NULL);

	return run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--station", station, NULL);
}

/* Two stations on one directory: a chip is the one's that has it, until it is done or its lease has ended. */
static void test_provision_shared(void)
{
	g_autofree char *packages = NULL, *leases = NULL, *chip = NULL, *a = NULL;
	g_auto(Ran) alone = { 0 }, first = { 0 }, second = { 0 }, third = { 0 }, unnamed = { 0 }, bad = { 0 };
	g_autoptr(CtlLease) one = NULL, two = NULL;
	g_autoptr(GError) error = NULL;

	reset();
	packages = g_build_filename(base, "packages", NULL);
	leases = g_build_filename(packages, "leases", NULL);
	a = put_package(EID, 1, NULL);
	/* One station needs none of it. */
	alone = provision(FALSE, NULL);
	g_assert_cmpint(alone.exit, ==, IFPP_EXIT_OK);
	g_assert_false(g_file_test(leases, G_FILE_TEST_EXISTS));

	one = ctl_lease_new(packages, "one", &error);
	g_assert_no_error(error);
	g_assert_true(ctl_lease_take(one, fake.info.eid, 600000, &error));
	g_free(put_package(EID, 2, NULL));
	second = provision_as("two");
	g_assert_cmpint(second.exit, ==, IFPP_EXIT_BUSY);
	assert_has(second.err, "the station one has this chip until 20");
	g_assert_cmpuint(fake.submits, ==, 1);
	/* The same station goes on, and ends its lease when it is through: then the other may. */
	first = provision_as("one");
	g_assert_cmpint(first.exit, ==, IFPP_EXIT_OK);
	assert_has(first.out, "2 of 2 packages installed");
	third = provision_as("two");
	g_assert_cmpint(third.exit, ==, IFPP_EXIT_OK);

	/* A lease that has ended is anybody's, and whose it was is told so at the next step. */
	g_assert_true(ctl_lease_take(one, fake.info.eid, 600000, &error));
	two = ctl_lease_new(packages, "two", &error);
	g_assert_false(ctl_lease_take(two, fake.info.eid, 600000, &error));
	g_assert_error(error, CTL_ERROR, IFPP_EXIT_BUSY);
	g_clear_error(&error);
	g_assert_true(ctl_lease_take(one, fake.info.eid, 20, &error));
	g_usleep(40000);
	g_assert_true(ctl_lease_take(two, fake.info.eid, 600000, &error));
	g_assert_false(ctl_lease_hold(one, &error));
	g_assert_error(error, CTL_ERROR, IFPP_EXIT_BUSY);
	g_clear_error(&error);
	/* It cannot end what is another's. */
	ctl_lease_end(one);
	g_assert_false(ctl_lease_take(one, fake.info.eid, 600000, &error));
	g_clear_error(&error);

	/* Who does not say who he is takes part all the same; a machine without an id has to say it. */
	unnamed = provision(FALSE, NULL);
	g_assert_true(unnamed.exit == IFPP_EXIT_BUSY || unnamed.exit == IFPP_EXIT_USAGE);
	assert_has(unnamed.err, unnamed.exit == IFPP_EXIT_BUSY ? "the station two has this chip" : "--station");

	/* The directory is there and what should be in it is not: told, nothing is taken. */
	chip = g_build_filename(leases, EID, NULL);
	remove_tree(chip);
	g_mkdir(chip, 0755);
	g_assert_false(ctl_lease_take(one, fake.info.eid, 600000, &error));
	assert_has(error->message, "remove that directory");
	bad = provision_as("a/b");
	g_assert_cmpint(bad.exit, ==, IFPP_EXIT_USAGE);
	assert_has(bad.err, "--station");
}

/* What deliver leaves of a package whose result the depot has: its profile's name. */
static void put_gone(int key, const char *profile)
{
	g_autofree char *hex = NULL;
	CtlNote note = { (char *)"sum https://depot:8443", (char *)profile };
	guint8 id[32];

	memset(id, key, sizeof(id));
	hex = ifpp_hex(IFPP_SPAN(id));
	g_assert_true(ctl_outbox_note_write(fake.outbox, EID, hex, &note, NULL));
}

/* A unit whose packages were deleted, since the depot has their results, is as done as before. */
static void test_provision_gone(void)
{
	g_auto(Ran) first = { 0 }, again = { 0 }, failed = { 0 }, spare = { 0 }, offline = { 0 };
	g_autofree char *a = NULL, *b = NULL, *policy = NULL, *packages = NULL, *pem = NULL;

	reset();
	policy = g_build_filename(base, "policy", NULL);
	packages = g_build_filename(base, "packages", NULL);
	pem = g_build_filename(base, "pem", NULL);
	a = put_package(EID, 1, NULL);
	b = put_package(EID, 2, NULL);
	first = provision(TRUE, NULL);
	g_assert_cmpint(first.exit, ==, IFPP_EXIT_OK);
	/* A note without a profile is of one that is there, or was never deleted by deliver. */
	put_gone(1, NULL);
	g_unlink(a);
	g_unlink(b);
	put_gone(2, "Roaming");
	again = provision(TRUE, NULL);
	assert_has(again.out, "\"packages\":1,\"installed\":0,\"done\":1,\"failed\":0");
	put_gone(1, "Telco Basic");

	/* The profile is there: its spare is not loaded beside it. */
	g_free(put_package(EID, 3, NULL));
	g_file_set_contents(policy, "[Target]\nProfiles=Telco Basic;Roaming\nAllowTestProfiles=true\nLock=unit\n", -1, NULL);
	spare = run(TRUE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--policy", policy, "--trust",
		    base, NULL);
	assert_has(spare.out, "\"installed\":0,\"done\":2");
	assert_has(spare.out, "\"state\":\"LOCKED\"");
	g_assert_cmpuint(fake.submits, ==, 2);

	/* Nor is the depot needed to finish such a unit. */
	g_assert_true(g_file_set_contents(pem, "", 0, NULL));
	fake.info.state = IFPP_STATE_FACTORY;
	offline = run(FALSE, ctl_cmd_provision, "--source", "https://127.0.0.1:1", "--cache", fake.outbox, "--outbox",
		      fake.outbox, "--cert", pem, "--key", pem, "--ca", pem, NULL);
	assert_has(offline.out, "going on with 2 packages from before");
	assert_has(offline.out, "2 of 2 packages installed");

	/* One that failed has failed, and keeps the unit from being locked, as it did when it was there. */
	put_result(fake.keys[1].id, -EREMOTEIO, 8);
	failed = provision(FALSE, "--lock");
	g_assert_cmpint(failed.exit, ==, IFPP_EXIT_CHIP);
	assert_has(failed.err, "not locked, because it has 2 of 3 profiles");
}

static void test_policy(void)
{
	static const char *const bad[] = {
		"", "Lock=unit\n", "[Target]\nLock=chip\n", "[Target]\nLok=unit\n", "[Target]\nPackages=-1\n",
		"[Target]\nPackages=two\n", "[Target]\nClock=right\n", "[Target]\nReport=never\n", "[Target]\nTest=61\n", "[Target]\nTest=x\n",
		"[Target]\nAllowTestProfiles=yes\n", "[Target]\nLock=no\n[More]\n",
		"[Target]\nProfiles=\n", "[Target]\nProfiles=A;A\n", "[Target]\nProfiles=A;;B\n",
		"[Target]\nProfiles=A\nPackages=1\n", "[Target]\nProfiles=A;B\nEnable=C\n", "[Target]\nEnable=\n", "[Target]\nEim=\n", "[Target]\nEim=/dev/null\n", "[Target]\nEim=nowhere\n",
		"[Target]\nSwitchSlot=0\n", "[Target]\nSwitchBack=1\n", "[Target]\nLock=\\q\n", "[Target]\nEnable=\xff\n",
		"[Target]\nLock=no\nLock=host\n", "[Target]\nLock=no\n[Target]\nLock =host\n", "[Target]\nLock[de]=host\n",
		"[Target]\nlock=unit\n", "[Target]\nLock=\n", "[Target]\nLock=unit host\n", "\xef\xbb\xbf[Target]\nLock=unit\n",
	};
	g_autofree char *path = NULL, *packages = NULL;
	g_auto(IfppPolicy) policy = IFPP_POLICY_DEFAULT, named = IFPP_POLICY_DEFAULT;
	g_auto(Ran) unknown = { 0 }, few = { 0 }, enough = { 0 };
	GError *error = NULL;

	reset();
	path = g_build_filename(base, "policy", NULL);
	packages = g_build_filename(base, "packages", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_auto(IfppPolicy) worse = IFPP_POLICY_DEFAULT;

		g_file_set_contents(path, bad[i], -1, NULL);
		g_assert_false(ifpp_policy_read(path, &worse, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_POLICY);
		assert_has(error->message, path);
		g_clear_error(&error);
	}
	g_file_set_contents(path, "[Target]\nLock=no\0\nLock=host\n", 29, NULL);
	g_assert_false(ifpp_policy_read(path, &policy, NULL));
	g_file_set_contents(path, "[Target]\r\nLock=unit\r\n", -1, NULL);	/* of another system's editor */
	g_assert_true(ifpp_policy_read(path, &policy, NULL));
	g_assert_cmpint(policy.lock, ==, IFPP_POLICY_LOCK_UNIT);
	g_file_set_contents(path, "[Target]\n# both\nPackages=2\nLock=unit\nAllowTestProfiles=true\n", -1, NULL);
	g_assert_true(ifpp_policy_read(path, &policy, &error));
	g_assert_cmpint(policy.packages, ==, 2);
	g_assert_cmpint(policy.lock, ==, IFPP_POLICY_LOCK_UNIT);
	g_assert_true(policy.allow_test);
	g_file_set_contents(path, "[Target]\nProfiles=Telco Basic; Roaming\nEnable=Roaming\nLock=host\n", -1, NULL);
	g_assert_true(ifpp_policy_read(path, &named, &error));
	g_assert_cmpuint(g_strv_length(named.profiles), ==, 2);
	g_assert_cmpstr(named.profiles[0], ==, "Telco Basic");
	g_assert_cmpstr(named.profiles[1], ==, "Roaming");
	g_assert_cmpstr(named.enable, ==, "Roaming");
	g_file_set_contents(path, "[Target]\n# both\nPackages=2\nLock=unit\nAllowTestProfiles=true\n", -1, NULL);

	/* One of two is not enough; a second one is, although a third fails. */
	g_free(put_package(EID, 1, NULL));
	few = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--policy", path, NULL);
	g_assert_cmpint(few.exit, ==, IFPP_EXIT_INPUT);
	assert_has(few.err, "it has 1 of 2 profiles");
	g_free(put_package(EID, 2, NULL));
	g_free(put_package(EID, 77, NULL));
	enough = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--policy", path, NULL);
	g_assert_cmpint(enough.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(enough.out, "locked for life");
	g_assert_cmpuint(fake.locks, ==, 1);

	/* What cannot be read might be a test profile. */
	reset();
	g_free(put_package(EID, 1, NULL));
	unknown = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--trust", base, "--lock",
		      NULL);
	g_assert_cmpint(unknown.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(unknown.err, "nobody can tell");
	g_assert_cmpuint(fake.locks, ==, 0);
}

/* A test profile that came in by another way than this run's packages is found in the outbox. */
static void test_policy_outbox(void)
{
	static const struct {
		const char *record;
		int status;
		const char *says;	/* NULL: it may be locked */
	} cases[] = {
		{ "ProfileClass=0\n", 0, "this is a test profile" },
		{ "ProfileClass=2\n", 0, NULL },
		{ "ProfileClass=0\n", -121, NULL },	/* not installed */
		{ "", 0, "its package is not here" },
	};
	g_autofree char *hex = NULL, *name = NULL;

	reset();
	hex = ifpp_hex(IFPP_SPAN(fake.keys[1].id));
	name = g_strconcat(hex, ".result", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) checked = g_ptr_array_new();
		g_autoptr(GError) error = NULL;
		g_autofree char *rest = g_strdup_printf("KeyId=%s\nTransactionId=01\nTime=now\nStatus=%d\nPIR=vzcA\n%s", hex, cases[i].status,
							cases[i].record);
		gboolean ok;

		put_record(name, "Result", rest);
		ok = ctl_policy_check_outbox(fake.outbox, fake.info.eid, checked, &error);
		g_assert_cmpint(ok, ==, !cases[i].says);
		if (cases[i].says)
			assert_has(error->message, cases[i].says);
	}
	/* unless the very package was looked at */
	{
		g_autofree char *path = put_package(EID, 2, NULL);
		g_autoptr(GPtrArray) checked = g_ptr_array_new();

		g_ptr_array_add(checked, path);
		g_assert_true(ctl_policy_check_outbox(fake.outbox, fake.info.eid, checked, NULL));
	}
}

/* An eIM is for an IoT eUICC; whether the chip is one is asked before the lock. */
static void test_policy_eim(void)
{
	static const guint8 ff21[] = { 0xFF, 0x21, 0x00 }, consumer[] = { 0xBF, 0x22, 0x05, 0x82, 0x03, 2, 2, 2 };
	static const guint8 iot[] = { 0xBF, 0x22, 0x07, 0x82, 0x03, 2, 2, 2, 0xB4, 0x00 };
	const IfppSpan infos[] = { IFPP_SPAN(consumer), IFPP_SPAN(iot) };
	g_auto(IfppPolicy) policy = IFPP_POLICY_DEFAULT, plain = IFPP_POLICY_DEFAULT;
	g_autofree char *dir = NULL, *path = NULL;

	reset();
	policy.eim = g_bytes_new_static("0", 1);
	put_record("lock.receipt", "Receipt", "");
	dir = g_build_filename(fake.outbox, EID, NULL);
	path = g_build_filename(dir, "euicc.data", NULL);
	g_unlink(path);
	g_assert_true(ctl_policy_check_eim(&policy, fake.outbox, fake.info.eid, NULL));
	for (guint i = 0; i < G_N_ELEMENTS(infos); i++) {
		g_autoptr(GBytes) data = ifpp_euicc_data_build(fake.info.eid, IFPP_SPAN(ff21), infos[i]);
		g_autoptr(GError) error = NULL;

		g_assert_true(g_file_set_contents(path, g_bytes_get_data(data, NULL), g_bytes_get_size(data), NULL));
		g_assert_cmpint(ctl_policy_check_eim(&policy, fake.outbox, fake.info.eid, &error), ==, i == 1);
		g_assert_true(ctl_policy_check_eim(&plain, fake.outbox, fake.info.eid, NULL));
		if (!i)
			assert_has(error->message, "no IoT eUICC");
	}
	g_unlink(path);
}

static void test_keys(void)
{
	g_auto(Ran) list = { 0 }, delete = { 0 }, wrong = { 0 };

	reset();
	fake.keys[0].state = IFPP_KEY_SPENT;
	list = run(TRUE, ctl_cmd_keys, "list", NULL);
	g_assert_cmpint(list.exit, ==, IFPP_EXIT_OK);
	assert_has(list.out, "\"state\":\"spent\"");
	assert_has(list.out, "\"state\":\"unspent\"");
	delete = run(TRUE, ctl_cmd_keys, "delete", "--yes", NULL);
	g_assert_cmpint(delete.exit, ==, IFPP_EXIT_OK);
	assert_has(delete.out, "\"deleted\":2");
	wrong = run(TRUE, ctl_cmd_keys, "frobnicate", NULL);
	g_assert_cmpint(wrong.exit, ==, IFPP_EXIT_USAGE);
}

/* Signed notification metadata: number, event, no address, ICCID. */
static GByteArray *metadata(guint8 seq, guint8 unused, guint8 event)
{
	static const guint8 iccid[10] = { 0x98, 0x99, 0x99, 0x10, 0x32, 0x54, 0x76, 0x98, 0x10, 0xF2 };
	g_autoptr(GByteArray) body = g_byte_array_new();
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put_uint(body, 0x80, seq);
	ifpp_tlv_put(body, 0x81, (guint8[]){ unused, event }, 2);
	ifpp_tlv_put(body, 0x0C, "", 0);
	ifpp_tlv_put(body, 0x5A, iccid, sizeof(iccid));
	ifpp_tlv_put(out, 0xBF2F, body->data, body->len);
	return out;
}

static void put_signature(GByteArray *out)
{
	static const guint8 zeroes[64];

	ifpp_tlv_put(out, 0x5F37, zeroes, sizeof(zeroes));
}

/* The chip's result of key 1, installed with the number @seq. */
static void put_installed(guint8 seq)
{
	static const guint8 rest[] = { 0xA2, 0x0C, 0xA0, 0x0A, 0x4F, 0x05, 1, 2, 3, 4, 5, 0x04, 0x01, 0x00 };
	g_autoptr(GByteArray) data = g_byte_array_new(), whole = g_byte_array_new(), pir = g_byte_array_new();
	g_autoptr(GByteArray) note = metadata(seq, 7, 0x80);
	g_autofree char *hex = ifpp_hex((IfppSpan){ fake.keys[0].id, 32 }), *base64 = NULL, *name = NULL, *text = NULL;

	ifpp_tlv_put(data, 0x80, "\1\2", 2);
	g_byte_array_append(data, note->data, note->len);
	g_byte_array_append(data, rest, sizeof(rest));
	ifpp_tlv_put(whole, 0xBF27, data->data, data->len);
	put_signature(whole);
	ifpp_tlv_put(pir, IFPP_TAG_PIR, whole->data, whole->len);
	base64 = g_base64_encode(pir->data, pir->len);
	name = g_strdup_printf("%s-0102-%u.result", hex, seq);
	text = g_strdup_printf("[Result]\nVersion=2\nEID=" EID "\nKeyId=%s\nTransactionId=0102\nProfileClass=0\n"
			       "Time=2026-11-23T00:00:00Z\nStatus=0\nSpent=yes\nSeq=%u\nPIR=%s\n", hex, seq, base64);
	put_text(name, text);
}

static void put_deleted(guint8 seq)
{
	g_autoptr(GByteArray) body = metadata(seq, 4, 0x10), record = g_byte_array_new();
	g_autofree char *base64 = NULL, *name = g_strdup_printf("%u.deletion", seq), *text = NULL;

	put_signature(body);
	ifpp_tlv_put(record, 0x30, body->data, body->len);
	base64 = g_base64_encode(record->data, record->len);
	text = g_strdup_printf("Record=%s\nTime=2026-11-24T00:00:00Z\n", base64);
	put_record(name, "Deletion", text);
}

/* What was deleted is not there: no lock counts on it, no test profile of before holds the lock up, and others are loaded. */
static void test_rework(void)
{
	g_auto(Ran) unasked = { 0 }, old = { 0 }, ran = { 0 }, locked = { 0 }, usage = { 0 };
	g_auto(Ran) empty = { 0 }, anew = { 0 }, before = { 0 }, report = { 0 };
	g_autofree char *packages = NULL, *pack = NULL, *text = NULL, *file = NULL;

	reset();
	packages = g_build_filename(base, "packages", NULL);
	file = g_build_filename(base, "report.json", NULL);
	unasked = run(FALSE, ctl_cmd_rework, "--outbox", fake.outbox, NULL);
	g_assert_cmpint(unasked.exit, ==, IFPP_EXIT_USAGE);
	assert_has(unasked.err, "every profile in this chip");
	usage = run(FALSE, ctl_cmd_rework, "ifpp0", NULL);
	g_assert_cmpint(usage.exit, ==, IFPP_EXIT_USAGE);
	fake.rework_err = EOPNOTSUPP;
	old = run(FALSE, ctl_cmd_rework, "--yes", "--outbox", fake.outbox, NULL);
	g_assert_cmpint(old.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(old.err, "Nothing was deleted");
	fake.rework_err = 0;

	put_installed(5);
	fake.keys[0].state = IFPP_KEY_SPENT;
	pack = put_package(EID, 1, NULL);
	before = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--lock", NULL);
	assert_has(before.err, "test profile");	/* it is there, and keeps the chip from being locked */
	put_deleted(4);				/* of one that was there before it */
	g_clear_pointer(&before.err, g_free);
	g_clear_pointer(&before.out, g_free);
	before = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--lock", NULL);
	assert_has(before.err, "test profile");

	put_deleted(6);
	fake.reworked = 1;
	ran = run(TRUE, ctl_cmd_rework, "--yes", "--outbox", fake.outbox, NULL);
	g_assert_cmpint(ran.exit, ==, IFPP_EXIT_OK);
	assert_has(ran.out, "\"type\":\"profile-deleted\"");
	assert_has(ran.out, "\"iccid\":\"8999990123456789012\",\"seq\":6");
	empty = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--lock", NULL);
	g_assert_cmpint(empty.exit, ==, IFPP_EXIT_INPUT);
	assert_has(empty.err, "has no package for it");
	g_assert_cmpuint(fake.locks, ==, 0);
	report = run(TRUE, ctl_cmd_report, "--outbox", fake.outbox, "--output", file, NULL);
	assert_has(report.out, "\"deleted\":2");
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	assert_has(text, "\"deletions\"");

	g_free(put_package(EID, 2, NULL));
	anew = provision(TRUE, "--lock");
	assert_has(anew.out, "\"packages\":1,\"installed\":1,\"done\":0,\"failed\":0");
	assert_has(anew.out, "\"state\":\"LOCKED\"");
	locked = run(FALSE, ctl_cmd_rework, "--yes", "--outbox", fake.outbox, NULL);
	g_assert_cmpint(locked.exit, ==, IFPP_EXIT_LOCKED);
}

/* The daemon has noted that the chip does not list it, and there is no record of why. */
static void test_gone(void)
{
	g_autofree char *dir = NULL, *packages = NULL;
	g_auto(Ran) ran = { 0 };
	g_autoptr(GDir) d = NULL;
	const char *name;

	reset();
	packages = g_build_filename(base, "packages", NULL);
	dir = g_build_filename(fake.outbox, EID, NULL);
	put_installed(5);
	fake.keys[0].state = IFPP_KEY_SPENT;
	g_free(put_package(EID, 1, NULL));
	d = g_dir_open(dir, 0, NULL);
	while ((name = g_dir_read_name(d))) {
		g_autofree char *file = g_build_filename(dir, name, NULL), *text = NULL, *gone = NULL;

		if (!g_str_has_suffix(name, ".result"))
			continue;
		g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
		gone = g_strconcat(text, "Gone=true\n", NULL);
		put_text(name, gone);
	}
	ran = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--lock", NULL);
	g_assert_cmpint(ran.exit, ==, IFPP_EXIT_INPUT);
	assert_has(ran.err, "has no package for it");
	g_assert_cmpuint(fake.locks, ==, 0);
}

/* Which profiles are gone must be known before a lock, of a rework before it and of one beside it. */
static void test_rework_unread(void)
{
	static const char *const damaged[] = { "", "[Deletion]\n", "[Deletion]\nVersion=1\nEID=" EID "\nRecord=MIIB\nTime=x\n" };
	g_autofree char *path = NULL;

	reset();
	g_free(put_package(EID, 1, NULL));
	path = g_build_filename(fake.outbox, EID, "7.deletion", NULL);
	for (guint i = 0; i <= G_N_ELEMENTS(damaged); i++) {
		g_auto(Ran) ran = { 0 };

		if (i < G_N_ELEMENTS(damaged))
			put_text("7.deletion", damaged[i]);
		else
			g_assert_cmpint(g_unlink(path) | g_mkdir(path, 0755), ==, 0);
		ran = provision(FALSE, "--lock");
		g_assert_cmpint(ran.exit, ==, IFPP_EXIT_IO);
		assert_has(ran.err, "nobody can tell which profiles were deleted");
		g_assert_cmpuint(fake.locks, ==, 0);
	}
	g_assert_cmpint(g_rmdir(path), ==, 0);

	g_free(put_package(EID, 2, NULL));
	fake.rework_in_load = TRUE;
	for (guint i = 0; i < 2; i++) {
		g_auto(Ran) ran = provision(FALSE, "--lock");

		g_assert_cmpint(ran.exit, ==, i ? IFPP_EXIT_OK : IFPP_EXIT_BUSY);
		g_assert_cmpuint(fake.locks, ==, i);
		if (!i)
			assert_has(ran.err, "deleted meanwhile");
	}
}

/* The lines of a report, each as an object. */
static GPtrArray *read_lines(const char *file)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);

	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i] && *lines[i]; i++) {
		JsonObject *object = ifpp_json_parse((IfppSpan){ (guint8 *)lines[i], strlen(lines[i]) }, 8, NULL);

		g_assert_nonnull(object);
		g_ptr_array_add(out, object);
	}
	return out;
}

static void test_report(void)
{
	g_autofree char *packages = NULL, *file = NULL, *text = NULL, *foreign = other_eid(), *bad = NULL;
	g_autoptr(GPtrArray) report = NULL;
	g_auto(Ran) ran = { 0 }, damaged = { 0 };
	JsonObject *unit, *result;
	CtlReportTotals t;
	GError *error = NULL;

	reset();
	packages = g_build_filename(base, "packages", NULL);
	file = g_build_filename(base, "report.json", NULL);
	g_free(put_package(EID, 1, NULL));
	g_free(put_package(EID, 2, NULL));
	g_free(put_package(foreign, 9, NULL));
	put_result(fake.keys[0].id, 0, 0);
	put_record("lock.receipt", "Receipt", "Challenge=0011\nReceipt=MAA=\nTime=2026-11-23T00:00:01Z\n");
	put_text("unit.identity", "[Unit]\nImei=359072061234569\nUsbPath=1-2.3\n");
	put_text("unit.scanned", "[Unit]\nBoardSerial=B-0007\n");

	ctl_report(fake.outbox, packages, NULL, &t, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(t.units, ==, 2);
	g_assert_cmpuint(t.results, ==, 1);
	g_assert_cmpuint(t.installed, ==, 1);
	g_assert_cmpuint(t.pending, ==, 2);
	g_assert_cmpuint(t.locked, ==, 1);
	g_assert_cmpuint(t.damaged, ==, 0);
	g_assert_cmpuint(t.unseen, ==, 1);
	ran = run(FALSE, ctl_cmd_report, "--outbox", fake.outbox, "--packages", packages, "-o", file, NULL);
	g_assert_cmpint(ran.exit, ==, IFPP_EXIT_OK);
	assert_has(ran.out, "2 units, 1 results (1 installed), 2 packages without a result, 1 units locked");
	report = read_lines(file);
	g_assert_cmpuint(report->len, ==, 4);
	g_assert_cmpstr(json_object_get_string_member(report->pdata[0], "format"), ==, "ifpp-report");
	g_assert_cmpint(json_object_get_int_member(report->pdata[0], "version"), ==, 3);
	unit = json_object_get_object_member(report->pdata[3], "totals");
	g_assert_cmpint(json_object_get_int_member(unit, "packages"), ==, 3);
	g_assert_cmpint(json_object_get_int_member(unit, "files"), ==, 3);
	g_assert_false(json_object_has_member(report->pdata[3], "damaged"));
	/* The unit that nobody has seen is there as well. */
	unit = report->pdata[1];
	g_assert_cmpstr(json_object_get_string_member(unit, "eid"), ==, foreign);
	g_assert_true(json_object_get_null_member(unit, "lock"));
	unit = report->pdata[2];
	g_assert_cmpstr(json_object_get_string_member(unit, "eid"), ==, EID);
	result = json_array_get_object_element(json_object_get_array_member(unit, "results"), 0);
	g_assert_cmpstr(json_object_get_string_member(result, "pir"), ==, "vzcA");
	g_assert_cmpstr(json_object_get_string_member(result, "reason_name"), ==, "ok");
	g_assert_cmpint(json_object_get_int_member(result, "apdus"), ==, 55);
	g_assert_cmpuint(json_array_get_length(json_object_get_array_member(unit, "pending")), ==, 1);
	g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(unit, "lock"), "challenge"), ==,
			"0011");
	g_assert_cmpstr(json_object_get_string_member(unit, "socket"), ==, "1-2.3");
	g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(unit, "unit"), "imei"), ==,
			"359072061234569");
	g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(unit, "unit"), "board_serial"), ==,
			"B-0007");

	/* What cannot be read is accounted for, and the rest is still there. */
	bad = g_strdup_printf("%s/%s/%064d.result", fake.outbox, EID, 7);
	g_file_set_contents(bad, "nonsense", -1, NULL);
	damaged = run(FALSE, ctl_cmd_report, "--outbox", fake.outbox, "--packages", packages, "-o", file, NULL);
	g_assert_cmpint(damaged.exit, ==, IFPP_EXIT_INPUT);
	assert_has(damaged.err, "1 records or packages cannot be read");
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	assert_has(text, "damaged");
	assert_has(text, "vzcA");
}

/* Two attempts of one package are two results of one package; what is in quarantine is told, and no failure. */
static void test_report_attempts(void)
{
	g_autofree char *packages = NULL, *file = NULL, *hex = NULL, *refused = NULL, *loaded = NULL, *a = NULL, *b = NULL;
	g_autofree char *quarantine = NULL, *bin = NULL, *txt = NULL;
	g_autoptr(GPtrArray) report = NULL;
	g_autoptr(IfppAttempt) told = NULL;
	g_auto(Ran) ran = { 0 };
	JsonObject *unit, *first, *second, *aside;
	JsonArray *results;
	CtlReportTotals t;
	GError *error = NULL;

	reset();
	packages = g_build_filename(base, "packages", NULL);
	file = g_build_filename(base, "report.json", NULL);
	g_free(put_package(EID, 1, NULL));
	hex = ifpp_hex(IFPP_SPAN(fake.keys[0].id));
	a = g_strdup_printf("%s-0102-3.result", hex);
	b = g_strdup_printf("%s-0102-12.result", hex);
	refused = g_strdup_printf("[Result]\nVersion=2\nEID=" EID "\nKeyId=%s\nTransactionId=0102\nStatus=-121\nReason=2\n"
				  "Spent=no\nSeq=3\nTime=2026-11-23T00:00:00Z\nPIR=vzcA\n", hex);
	loaded = g_strdup_printf("[Result]\nVersion=2\nEID=" EID "\nKeyId=%s\nTransactionId=0102\nStatus=0\nReason=0\n"
				 "Spent=yes\nSeq=12\nTime=2026-11-23T00:00:00Z\nPIR=vzcA\n", hex);
	put_text(a, refused);
	put_text(b, loaded);
	quarantine = g_build_filename(fake.outbox, EID, "quarantine", NULL);
	bin = g_build_filename(quarantine, "ab.bin", NULL);
	txt = g_build_filename(quarantine, "ab.txt", NULL);
	g_mkdir(quarantine, 0755);
	g_assert_true(g_file_set_contents(bin, "\xbf\x37\xff", 3, NULL));
	g_assert_true(g_file_set_contents(txt, "EID=x\nTime=now\nReason=not readable\n", -1, NULL));

	ctl_report(fake.outbox, packages, NULL, &t, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(t.results, ==, 2);
	g_assert_cmpuint(t.packages, ==, 1);
	g_assert_cmpuint(t.pending, ==, 0);
	g_assert_cmpuint(t.quarantine, ==, 1);
	ran = run(FALSE, ctl_cmd_report, "--outbox", fake.outbox, "--packages", packages, "-o", file, NULL);
	g_assert_cmpint(ran.exit, ==, IFPP_EXIT_OK);
	assert_has(ran.out, "1 things that chips gave as results are in quarantine");
	report = read_lines(file);
	unit = report->pdata[1];
	results = json_object_get_array_member(unit, "results");
	first = json_array_get_object_element(results, 0);
	second = json_array_get_object_element(results, 1);
	g_assert_cmpint(json_object_get_int_member(first, "seq"), ==, 3);
	g_assert_cmpstr(json_object_get_string_member(first, "spent"), ==, "no");
	g_assert_cmpint(json_object_get_int_member(second, "seq"), ==, 12);
	g_assert_cmpstr(json_object_get_string_member(second, "spent"), ==, "yes");
	aside = json_array_get_object_element(json_object_get_array_member(unit, "quarantine"), 0);
	g_assert_cmpstr(json_object_get_string_member(aside, "why"), ==, "not readable");
	g_assert_cmpstr(json_object_get_string_member(aside, "bytes"), ==, "vzf/");

	/* What is told of the key is what spent it. */
	told = ctl_outbox_result(fake.outbox, fake.info.eid, fake.keys[0].id, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(told->seq, ==, 12);
}

static void test_outbox_unsound(void)
{
	static const char *const bad[] = {
		"KeyId=00\nStatus=0\nPIR=vzcA\n",				/* another key */
		"Status=0\nPIR=vzcA\n",
		"KeyId=%s\nPIR=vzcA\n",						/* no status */
		"KeyId=%s\nStatus=0\n",						/* success without proof */
		"KeyId=%s\nStatus=0\nPIR=v z\n",				/* not base64 */
	};

	reset();
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *hex = ifpp_hex(IFPP_SPAN(fake.keys[0].id));
		g_autofree char *name = g_strconcat(hex, ".result", NULL);
		g_auto(GStrv) parts = g_strsplit(bad[i], "%s", 2);
		g_autofree char *rest = g_strjoinv(hex, parts);
		g_autoptr(GError) error = NULL;

		put_record(name, "Result", rest);
		g_assert_null(ctl_outbox_result(fake.outbox, fake.info.eid, fake.keys[0].id, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_PIR);
	}
	g_assert_null(ctl_outbox_result(fake.outbox, fake.info.eid, fake.keys[1].id, NULL));
}

static CtlScan scan(const char *text, guint codes, const char *says)
{
	g_autofree char *copy = g_strdup(text);
	FILE *in = fmemopen(copy, strlen(copy), "r");
	g_autoptr(GError) error = NULL;
	CtlScan found = { 0 };
	gboolean ok = ctl_scan_read(&found, in, "scanner", codes, &error);

	fclose(in);
	if (says) {
		g_assert_false(ok);
		g_assert_cmpint(error->code, ==, IFPP_EXIT_INPUT);
		assert_has(error->message, says);
	} else {
		g_assert_no_error(error);
	}
	return found;
}

static void test_scan_codes(void)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "", "before a code came" },
		{ "\r\n", "before a code came" },
		{ "IMEI:359072061234563\n", "IMEI with right check digits" },
		{ "EID:89049032123451234512345678901236\n", "EID with right check digits" },
		{ "IMEI:359072061234569\nimei=490154203237518\n", "One unit at a time" },
		{ "BOARD:\x1b[2J\x1b[1;1H\n", "\\033[2J" },
		{ "SERIAL:\n", "1 to 64 bytes" },
		{ "\xff\xfe\n", "\\377\\376" },
		{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "1 to 64 bytes" },
	};
	g_autofree char *flood = g_strnfill(100000, 'A'), *many = NULL;
	g_autoptr(GString) lines = g_string_new(NULL);
	g_auto(CtlScan) all = scan(EID "\r\n\r\nignored", 0, NULL), one = scan("\n 359072-06-123456-9 \nSERIAL:x\n", 1, NULL);
	g_auto(CtlScan) rest = scan("eid=" EID "\nSERIAL: P1Q24\nBOARD:B 7\nORDER=WO/1\nP1Q24", 0, NULL);

	g_assert_cmpstr(all.eid, ==, EID);
	g_assert_cmpstr(one.unit.field[IFPP_UNIT_IMEI], ==, "359072061234569");
	g_assert_null(one.unit.field[IFPP_UNIT_SERIAL]);
	g_assert_cmpstr(rest.eid, ==, EID);
	g_assert_cmpstr(rest.unit.field[IFPP_UNIT_SERIAL], ==, "P1Q24");
	g_assert_cmpstr(rest.unit.field[IFPP_UNIT_BOARD_SERIAL], ==, "B 7");
	g_assert_cmpstr(rest.unit.field[IFPP_UNIT_WORK_ORDER], ==, "WO/1");
	for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_auto(CtlScan) bad = scan(wrong[i].text, 0, wrong[i].says);
	}
	{
		g_auto(CtlScan) bad = scan(flood, 0, "more than 128 bytes without an end of line");
		g_autofree char *stuck = g_strnfill(3000, '\n');
		g_auto(CtlScan) none = scan(stuck, 1, "more than 1000 lines without a code");
	}
	for (guint i = 0; i < 40; i++)
		g_string_append(lines, "P1\n");
	{
		g_auto(CtlScan) bad = scan(lines->str, 0, "more than 32 codes");
	}
}

#define IMEI "359072061234569"
#define OTHER_IMEI "490154203237518"

static void test_scan_wrong_unit(void)
{
	g_autofree char *other = other_eid(), *scans = NULL, *scanned = NULL, *kept = NULL;
	const struct {
		const char *option, *value;
		int exit;
		const char *says;
	} tries[] = {
		{ "--expect-eid", other, IFPP_EXIT_REFUSED, "the wrong unit" },
		{ "--expect-eid", "123", IFPP_EXIT_USAGE, "is not an EID" },
		{ "--expect-imei", OTHER_IMEI, IFPP_EXIT_REFUSED, "the wrong unit" },
		{ "--expect-serial", "P1Q25", IFPP_EXIT_REFUSED, "P1Q25 was scanned or given, and this modem's is P1Q24" },
		{ "--scan-file", "/nonexistent", IFPP_EXIT_INPUT, "/nonexistent" },
		{ "--board-serial", "a\x1b[2J", IFPP_EXIT_USAGE, "not text" },
	};
	g_autofree char *packages = NULL;
	g_auto(Ran) right = { 0 }, unknown = { 0 }, file = { 0 };

	reset();
	packages = g_build_filename(base, "packages", NULL);
	g_free(put_package(EID, 1, NULL));
	unknown = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--expect-imei", IMEI, NULL);
	g_assert_cmpint(unknown.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(unknown.err, "has not told its IMEI");
	put_text("unit.identity", "[Unit]\nImei=" IMEI "\nSerial=P1Q24\nUsbPath=1-2.3\n");
	for (guint i = 0; i < G_N_ELEMENTS(tries); i++) {
		g_auto(Ran) ran = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--lock", "--board-serial",
				      "B-7", tries[i].option, tries[i].value, NULL);

		g_assert_cmpint(ran.exit, ==, tries[i].exit);
		assert_has(ran.err, tries[i].says);
		/* Neither is in the log as a whole. */
		g_assert_true(!strstr(ran.err, IMEI) && !strstr(ran.err, EID));
	}
	scans = g_build_filename(base, "codes", NULL);
	g_assert_true(g_file_set_contents(scans, "IMEI:" OTHER_IMEI "\nBOARD:B-7\n", -1, NULL));
	file = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--lock", "--scan-file", scans, NULL);
	g_assert_cmpint(file.exit, ==, IFPP_EXIT_REFUSED);
	assert_has(file.err, "ifpp0 in 1-2.3: the wrong unit: IMEI 49015420.....18 was scanned");
	g_assert_cmpuint(fake.submits + fake.locks, ==, 0);
	scanned = g_build_filename(fake.outbox, EID, "unit.scanned", NULL);
	g_assert_false(g_file_test(scanned, G_FILE_TEST_EXISTS));

	/* The right one; a modem may add the version of its software. */
	put_text("unit.identity", "[Unit]\nImei=3590720612345678\nSerial=P1Q24\n");
	g_assert_true(g_file_set_contents(scans, EID "\nIMEI:" IMEI "\nP1Q24\nBOARD:B-7\nORDER:WO 1\n", -1, NULL));
	right = run(FALSE, ctl_cmd_provision, "--source", packages, "--outbox", fake.outbox, "--scan-file", scans, NULL);
	g_assert_cmpuint(fake.submits, ==, 1);
	g_assert_true(g_file_get_contents(scanned, &kept, NULL, NULL));
	g_assert_cmpstr(kept, ==, "[Unit]\nBoardSerial=B-7\nWorkOrder=WO 1\n");
}

static void test_sockets(void)
{
	g_autofree char *file = NULL, *named = NULL, *unnamed = NULL, *none = NULL, *bad = NULL, *absent = NULL;

	reset();
	file = g_build_filename(base, "sockets", NULL);
	g_assert_true(g_file_set_contents(file, "# fixture 2\n1-2.3   left front # the worn one\n1-2.4\n1-2.5 \x1b[2J\n\n", -1, NULL));
	named = ctl_socket_name(file, "1-2.3");
	unnamed = ctl_socket_name(file, "1-2.4");
	bad = ctl_socket_name(file, "1-2.5");
	none = ctl_socket_name(file, NULL);
	absent = ctl_socket_name("/nonexistent", "1-2.3");
	g_assert_cmpstr(named, ==, "left front");
	g_assert_cmpstr(unnamed, ==, "1-2.4");
	g_assert_cmpstr(bad, ==, "1-2.5");
	g_assert_null(none);
	g_assert_cmpstr(absent, ==, "1-2.3");
}

static void test_monitor(void)
{
	CtlOutput out = { .show_ids = TRUE };
	g_autoptr(CtlBoard) board = NULL;
	g_autofree char *text = NULL, *line = NULL, *json = NULL, *quiet = NULL, *gone = NULL, *unit_line = NULL,
		*unit_json = NULL, *load_json = NULL, *small = NULL;
	IfppNlEvent add = { .command = IFPP_CMD_DEV_ADD_NTF }, done = { .command = IFPP_CMD_LOAD_DONE_NTF };
	IfppNlEvent tamper = { .command = IFPP_CMD_TAMPER_NTF };
	const gint64 begin = 1000000;
	g_autofree char *narrow = NULL;
	g_auto(GStrv) lines = NULL;
	const CtlUnit *unit;
	CtlOutput log = { 0 };

	reset();
	put_text("unit.identity", "[Unit]\nUsbPath=1-2.3\n");
	board = ctl_board_new(&out, fake.outbox);
	add.dev.index = 4;
	add.dev.keys_unspent = 3;
	memcpy(add.dev.eid, fake.info.eid, 16);
	memcpy(done.load.eid, fake.info.eid, 16);
	g_assert_null(ctl_board_event(board, &add, begin));
	done.load.index = 4;
	done.load.duration_ns = 2000000000;
	done.load.queue_ns = 100000000;
	done.load.chip_ns = 1500000000;
	memset(done.load.key_id, 0xAB, 32);
	{
		g_autofree char *hex = ifpp_hex(IFPP_SPAN(done.load.key_id));
		g_autofree char *name = g_strconcat(hex, ".result", NULL);
		g_autofree char *rest = g_strdup_printf("KeyId=%s\nTransactionId=01\nTime=now\nStatus=0\nPIR=vzcA\nChipNs=1500000000\nModemNs=500000000\n",
							hex);

		put_record(name, "Result", rest);
	}
	/* It was submitted a second after the chip came. */
	g_assert_null(ctl_board_event(board, &done, begin + 3000000));
	text = ctl_board_text(board, NULL, 3600, 0, 0);
	assert_has(text, "ifpp4    1-2.3        " EID "  FACTORY     3    1    0  key abababababababab installed in 2.0 s");
	assert_has(text, "Since 3600 s: 1 units, 0 finished, 0 of them locked\nAt work for 2 s: 0 units per hour of work");
	assert_has(text, "Packages: 1 installed, 0 failed; 1800 installed per hour of work,\n2.00 s for each after its submission");
	assert_has(text, "Seconds each: client 1.00, kernel 0.10, daemon 0.40, modem 0.50, chip 1.00");
	load_json = ctl_event_json(&done);
	assert_has(load_json, "\"queue_ns\":100000000");

	done.load.status = -EREMOTEIO;
	done.load.reason = IFPP_ERROR_REVOKED;
	done.load.key_id[0] = 0xAC;	/* nothing in the outbox */
	ctl_board_event(board, &done, begin + 5000000);
	ctl_board_event(board, &done, begin + 7000000);
	add.command = IFPP_CMD_DEV_CHANGE_NTF;
	add.dev.state = IFPP_STATE_LOCKED;
	g_assert_null(ctl_board_event(board, &add, begin + 7000000));
	tamper.tamper.kind = IFPP_TAMPER_KIND_KEY_RESURRECTED;
	ctl_board_event(board, &tamper, begin + 7000000);

	g_free(text);
	text = ctl_board_text(board, NULL, 7200, 0, 0);
	assert_has(text, "ifpp4    1-2.3        " EID "  LOCKED      3    1    2  key acababababababab failed: revoked");
	assert_has(text, "1 finished, 1 of them locked\nAt work for 6 s: 600 units per hour of work");
	assert_has(text, "1 installed, 2 failed; 600 installed per hour of work");
	assert_has(text, "modem and chip 1.50");
	assert_has(text, "TAMPERING 1 x");
	assert_has(text, "  2 x revoked");
	add.command = IFPP_CMD_DEV_DEL_NTF;
	unit = ctl_board_event(board, &add, begin + 10000000);
	g_assert_nonnull(unit);
	unit_line = ctl_unit_line(&out, unit);
	assert_has(unit_line, "ifpp4: EID " EID ": gone after 10.0 s, LOCKED, 1 installed, 2 failed; seconds: client 1.00,");
	unit_json = ctl_unit_json(unit);
	assert_has(unit_json, "\"type\":\"unit\"");
	assert_has(unit_json, "\"here_ns\":10000000000");
	assert_has(unit_json, "\"kernel_ns\":300000000");
	gone = ctl_board_text(board, NULL, 7200, 0, 0);
	assert_has(gone, "done     1-2.3        " EID);
	narrow = ctl_board_text(board, NULL, 7200, 0, 80);
	lines = g_strsplit(narrow, "\n", -1);
	for (guint i = 0; lines[i]; i++)
		g_assert_cmpuint(g_utf8_strlen(lines[i], -1), <=, 80);
	assert_has(narrow, "done     1-2.3      ");
	assert_has(narrow, "  1    2  failed: revoked\n");

	/* Another chip on the same node; and a terminal with too little room. */
	add.command = IFPP_CMD_DEV_ADD_NTF;
	add.dev.state = IFPP_STATE_FACTORY;
	add.dev.eid[14] ^= 1;
	ctl_board_event(board, &add, begin + 11000000);
	add.dev.index = 5;
	add.dev.eid[13] ^= 1;
	ctl_board_event(board, &add, begin + 11000000);
	g_free(text);
	text = ctl_board_text(board, NULL, 7200, 0, 0);
	g_assert_true(strstr(text, "ifpp4") < strstr(text, "ifpp5") && strstr(text, "ifpp5") < strstr(text, "done"));
	small = ctl_board_text(board, NULL, 7200, 4, 0);
	assert_has(small, "... and 2 more");
	assert_has(small, "ifpp4");

	add.command = IFPP_CMD_DEV_DEL_NTF;
	memcpy(add.dev.eid, fake.info.eid, 16);
	add.dev.index = 4;
	line = ctl_event_line(&out, &add);
	g_assert_cmpstr(line, ==, "ifpp4: EID " EID ": gone, FACTORY");
	quiet = ctl_event_line(&log, &add);
	g_assert_null(strstr(quiet, EID));
	json = ctl_event_json(&tamper);
	assert_has(json, "\"event\":\"tamper\"");
	assert_has(json, "\"kind\":\"key-resurrected\"");
}

int main(int argc, char **argv)
{
	int ret;

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ifppctl/explain/errno", test_explain);
	g_test_add_func("/ifppctl/explain/reasons", test_reasons);
	g_test_add_func("/ifppctl/packages", test_scan);
	g_test_add_func("/ifppctl/load/outcomes", test_load);
	g_test_add_func("/ifppctl/load/waits", test_load_waits);
	g_test_add_func("/ifppctl/load/bad-files", test_bad_files);
	g_test_add_func("/ifppctl/provision/idempotent", test_provision);
	g_test_add_func("/ifppctl/provision/hook", test_provision_hook);
	g_test_add_func("/ifppctl/provision/failures", test_provision_failures);
	g_test_add_func("/ifppctl/provision/offline", test_provision_offline);
	g_test_add_func("/ifppctl/provision/shared", test_provision_shared);
	g_test_add_func("/ifppctl/provision/gone", test_provision_gone);
	g_test_add_func("/ifppctl/provision/policy", test_policy);
	g_test_add_func("/ifppctl/lock/no_lock_on_unsigned_word", test_lock_on_unsigned_word);
	g_test_add_func("/ifppctl/provision/policy-outbox", test_policy_outbox);
	g_test_add_func("/ifppctl/provision/policy_eim", test_policy_eim);
	g_test_add_func("/ifppctl/keys", test_keys);
	g_test_add_func("/ifppctl/rework", test_rework);
	g_test_add_func("/ifppctl/gone_is_not_installed", test_gone);
	g_test_add_func("/ifppctl/rework_unread_is_not_locked", test_rework_unread);
	g_test_add_func("/ifppctl/provision/scan_codes", test_scan_codes);
	g_test_add_func("/ifppctl/provision/scan_wrong_unit", test_scan_wrong_unit);
	g_test_add_func("/ifppctl/sockets", test_sockets);
	g_test_add_func("/ifppctl/report", test_report);
	g_test_add_func("/ifppctl/report/attempts_both_kept", test_report_attempts);
	g_test_add_func("/ifppctl/outbox-unsound", test_outbox_unsound);
	g_test_add_func("/ifppctl/monitor", test_monitor);
	ret = g_test_run();
	remove_tree(base);
	g_free(base);
	g_free(fake.outbox);
	return ret;
}
