// SPDX-License-Identifier: GPL-2.0-or-later
#include "lock.h"
#include "explain.h"
#include "gateway.h"
#include "inspect.h"
#include "outbox.h"

#include <eid.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define HOST_WAIT_S 120			/* for the attached chips, after the host is locked */

/* 30 { 80 EID, 81 challenge, ... } 5F37 signature */
static gboolean receipt_answers(GBytes *receipt, const guint8 *eid, const guint8 *challenge)
{
	IfppSpan in = ifpp_span_bytes(receipt);
	IfppTlv body, tlv, signature;

	return ifpp_tlv_expect(&in, 0x30, "receipt", &body, NULL) &&
	       ifpp_tlv_expect(&in, 0x5F37, "signature", &signature, NULL) && !in.len &&
	       ifpp_tlv_find(body.value, 0x80, &tlv) &&
	       ifpp_span_equal(tlv.value, (IfppSpan){ eid, IFPP_EID_LEN }) &&
	       ifpp_tlv_find(body.value, 0x81, &tlv) &&
	       ifpp_span_equal(tlv.value, (IfppSpan){ challenge, IFPP_CHALLENGE_LEN });
}

gboolean ctl_lock_has_begun(guint32 state, const CtlReceipt *proof)
{
	return state == IFPP_STATE_LOCKING || (state == IFPP_STATE_LOCKED && proof);
}

gboolean ctl_lock(Ctl *ctl, CtlChip *chip, const char *outbox, GError **error)
{
	guint8 challenge[IFPP_CHALLENGE_LEN];
	g_autoptr(CtlReceipt) stored = NULL;
	g_autoptr(GBytes) receipt = NULL;
	g_autoptr(GError) local = NULL;
	g_autofree char *thing = g_strdup_printf("%s: locking has begun and cannot be undone, but is not proven",
						 chip->node);
	struct ifpp_info info;
	int err;

	if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge)) {
		ctl_set_errno(error, errno, "random numbers");
		return FALSE;
	}
	ctl_progress(&ctl->out, "%s: locking ...", chip->node);
	err = ctl_device_lock(chip->device, challenge, &receipt);
	ctl_progress_end(&ctl->out);
	if (err) {
		gboolean begun = !ctl_device_info(chip->device, &info) && info.state >= IFPP_STATE_LOCKING;

		ctl_set_errno(error, err, begun ? thing : chip->node);
		return FALSE;
	}
	if (!receipt_answers(receipt, chip->info.eid, challenge)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT,
			    "%s: the lock receipt is not this chip's answer to our challenge", chip->node);
		return FALSE;
	}

	stored = ctl_outbox_receipt(outbox, chip->info.eid, &local);
	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("lock");

		ifpp_json_string(b, "device", chip->node);
		ifpp_json_eid(b, chip->info.eid);
		ifpp_json_string(b, "state", ifpp_state_name(IFPP_STATE_LOCKED));
		ifpp_json_hex(b, "challenge", IFPP_SPAN(challenge));
		ifpp_json_base64(b, "receipt", ifpp_span_bytes(receipt));
		ifpp_json_bool(b, "stored", stored != NULL);
		ifpp_json_print(b);
	}
	ctl_say(&ctl->out, "%s: locked for life. The chip's signed receipt (%zu bytes) is %s.", chip->node,
		g_bytes_get_size(receipt), stored ? "in the outbox" : "verified");
	/* The lock holds either way; without the record nobody can prove it later. */
	if (!stored) {
		g_autofree char *why = local ? g_strdup(local->message) :
				       g_strdup_printf("%s holds no lock receipt of this chip", outbox);

		g_set_error(error, CTL_ERROR, IFPP_EXIT_IO, "%s: locked, but %s. Run ifppctl lock again to have it "
			    "signed and stored again, or give the right --outbox", chip->node, why);
		return FALSE;
	}
	return TRUE;
}

typedef struct {
	CtlOutput *out;
	GMainLoop *loop;
	gboolean timeout;
} HostLock;

/* Chips with a node that are not locked yet. */
static guint unlocked(IfppNetlink *nl)
{
	g_autoptr(GArray) devs = ifpp_netlink_dump(nl, NULL);
	guint n = 0;

	for (guint i = 0; devs && i < devs->len; i++)
		n += g_array_index(devs, IfppNlDev, i).state != IFPP_STATE_LOCKED;
	return n;
}

static void on_host_event(const IfppNlEvent *event, gpointer user)
{
	HostLock *lock = user;

	if (event->command == IFPP_CMD_DEV_CHANGE_NTF && event->dev.state == IFPP_STATE_LOCKED)
		ctl_say(lock->out, "ifpp%u: locked for life.", event->dev.index);
	if (event->command == IFPP_CMD_DEV_CHANGE_NTF || event->command == IFPP_CMD_DEV_DEL_NTF ||
	    event->command == IFPP_CMD_HOST_CHANGE_NTF)
		g_main_loop_quit(lock->loop);
}

static gboolean on_host_timeout(gpointer user)
{
	HostLock *lock = user;

	lock->timeout = TRUE;
	g_main_loop_quit(lock->loop);
	return G_SOURCE_REMOVE;
}

int ctl_lock_host(Ctl *ctl, GError **error)
{
	g_autoptr(IfppNetlink) nl = ifpp_netlink_new(error);
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) local = NULL;
	HostLock lock = { .out = &ctl->out, .loop = loop };
	IfppNlHost host;
	guint timer;

	if (!nl)
		return 0;
	/* Watch first, so that no chip is locked unseen. */
	if (!ifpp_netlink_watch(nl, on_host_event, &lock, error))
		return 0;
	if (!ifpp_netlink_host_lock(nl, &host, &local)) {
		if (g_error_matches(local, IFPP_ERROR, IFPP_ERROR_ACCESS)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return 0;
		}
		g_set_error(error, CTL_ERROR, IFPP_EXIT_FAILED, "host lock: %s. From the request on nothing is "
			    "loaded any more; see ifppctl list and journalctl -k, then run this again to finish it",
			    local->message);
		return 0;
	}

	timer = g_timeout_add_seconds(HOST_WAIT_S, on_host_timeout, &lock);
	while (unlocked(nl) && !lock.timeout)
		g_main_loop_run(loop);
	if (!lock.timeout)
		g_source_remove(timer);
	if (!ifpp_netlink_host_get(nl, &host, error))
		return 0;

	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("host");

		ctl_json_host(b, &host);
		ifpp_json_print(b);
	}
	ctl_say_host(&ctl->out, &host);
	if (host.state != IFPP_STATE_LOCKED || unlocked(nl)) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "host lock: it has begun and cannot be undone, but %s. "
			    "Run this again to finish it", host.state == IFPP_STATE_LOCKED ?
			    "not every attached chip is proven locked" : "the anchor is not burnt yet");
		return 0;
	}
	return IFPP_EXIT_OK;
}

/* What a host lock will hit, for who is asked. */
static char *describe_host(Ctl *ctl, IfppNetlink *nl, const IfppNlHost *host)
{
	g_autoptr(GArray) devs = ifpp_netlink_dump(nl, NULL);
	GString *text = g_string_new("This machine will be locked for life: no package can be loaded into any chip that it has or "
				     "ever gets.");
	guint n = 0;

	for (guint i = 0; devs && i < devs->len; i++) {
		const IfppNlDev *dev = &g_array_index(devs, IfppNlDev, i);
		char eid[33];

		if (dev->state == IFPP_STATE_LOCKED)
			continue;
		ctl_show_eid(&ctl->out, dev->eid, eid);
		g_string_append_printf(text, "%sifpp%u (EID %s, %s, %u unused one-time keys, which are deleted)",
				       n++ ? ", " : " Locked with it: ", dev->index, eid, ifpp_state_name(dev->state),
				       dev->keys_unspent);
	}
	g_string_append_printf(text, "%s Chips on record: %u, locked: %u. Anchor: %s.", n ? "." : " No chip here is open.",
			       host->chips, host->chips_locked, ctl_anchor_name(host->anchor));
	return g_string_free(text, FALSE);
}

static int lock_host(Ctl *ctl, gboolean if_finished, const char *gateway, const char *outbox, GError **error)
{
	g_autoptr(IfppNetlink) nl = ifpp_netlink_new(error);
	g_autofree char *what = NULL;
	IfppNlHost host;

	if (!nl || !ifpp_netlink_host_get(nl, &host, error))
		return 0;
	/* A person may lock a machine that expects nothing; what it does expect binds everybody. */
	if ((gateway || if_finished) && !ctl_gateway_finished(gateway, outbox, nl, error))
		return 0;
	what = describe_host(ctl, nl, &host);
	if (host.state != IFPP_STATE_LOCKING && host.state != IFPP_STATE_LOCKED && !ctl_confirm(ctl, what, error))
		return 0;
	return ctl_lock_host(ctl, error);
}

int ctl_cmd_lock(Ctl *ctl, int argc, char **argv, GError **error)
{
	gboolean host = FALSE, if_finished = FALSE;
	g_autofree char *given = NULL, *gateway = NULL;
	const GOptionEntry entries[] = {
		{ "host", 0, 0, G_OPTION_ARG_NONE, &host, "This machine: every chip it has or ever gets", NULL },
		{ "if-finished", 0, 0, G_OPTION_ARG_NONE, &if_finished,
		  "With --host: only if the gateway file is there, and all that it expects is locked", NULL },
		{ "gateway", 0, 0, G_OPTION_ARG_FILENAME, &gateway, "Which chips this machine has; default: " CTL_GATEWAY_ETC,
		  "FILE" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &given, "Where the daemon keeps results", "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(CtlChip) chip = NULL;
	g_autoptr(CtlReceipt) proof = NULL;
	g_autofree char *what = NULL;
	const char *outbox;
	char eid[33];

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Lock one chip for life, or with --host this machine. Repeat to finish or to prove it again.",
		       error))
		return 0;
	if (argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "lock: %s is too much; name a chip with -d", argv[1]);
		return 0;
	}
	outbox = given ?: CTL_OUTBOX;
	if (host)
		return lock_host(ctl, if_finished, gateway ?: ctl_gateway_file(), outbox, error);

	chip = ctl_chip_open(ctl, error);
	if (!chip)
		return 0;
	ctl_show_eid(&ctl->out, chip->info.eid, eid);
	proof = ctl_outbox_receipt(outbox, chip->info.eid, NULL);
	what = g_strdup_printf("%s: this chip, EID %s, will be locked for life, its %u unused one-time keys are deleted.%s",
			       chip->node, eid, chip->info.keys_unspent, chip->info.state == IFPP_STATE_LOCKED ?
			       " It says that it is locked already, and has not signed that here." : "");
	if (!ctl_lock_has_begun(chip->info.state, proof) && !ctl_confirm(ctl, what, error))
		return 0;
	ctl_catch_signals();
	return ctl_lock(ctl, chip, outbox, error) ? IFPP_EXIT_OK : 0;
}
