// SPDX-License-Identifier: GPL-2.0-or-later
/* list, info and keys: what is there. */
#include "ctl.h"
#include "explain.h"
#include "gateway.h"
#include "inspect.h"
#include "outbox.h"
#include "services.h"
#include "sockets.h"

#include <eid.h>
#include <netlink.h>
#include <stdio.h>
#include <string.h>
#include <x509.h>

static const char *state_means(guint32 state)
{
	switch (state) {
	case IFPP_STATE_FACTORY:
		return "one-time keys are left, packages can be loaded";
	case IFPP_STATE_DRAINED:
		return "no one-time key is left, not locked yet";
	case IFPP_STATE_LOCKING:
		return "being locked, irrevocably; finish it with ifppctl lock";
	case IFPP_STATE_LOCKED:
		return "locked for life";
	default:
		return "a state this program does not know";
	}
}

static const char *anchor_means(guint32 anchor)
{
	switch (anchor) {
	case IFPP_ANCHOR_NONE:
		return "no anchor: a host lock ends with the next reboot";
	case IFPP_ANCHOR_CLEAN:
		return "anchor ready: a host lock survives reboots";
	case IFPP_ANCHOR_BURNT:
		return "anchor burnt: locked across reboots";
	case IFPP_ANCHOR_UNREADABLE:
		return "its anchor cannot be read, so nothing is loaded and nothing is locked. dmesg names it: check its "
		       "driver, and anchor_nvmem, anchor_offset and anchor_len in /etc/modprobe.d";
	case IFPP_ANCHOR_UNUSABLE:
		return "its anchor holds what is not ours, or cannot be burnt, so nothing is loaded and nothing is locked. "
		       "dmesg names it: clear that place if it is yours, else name another";
	case IFPP_ANCHOR_PARAMETER:
		return "locked by a parameter of the module";
	case IFPP_ANCHOR_CMDLINE:
		return "locked by the kernel command line";
	default:
		return "anchor in a state this program does not know";
	}
}

const char *ctl_anchor_name(guint32 anchor)
{
	static const char *const names[] = { "none", "clean", "burnt", "unreadable", "cmdline", "unusable",
					     "parameter" };

	return anchor < G_N_ELEMENTS(names) ? names[anchor] : "unknown";
}

void ctl_json_dev(JsonBuilder *b, const IfppNlDev *dev)
{
	g_autofree char *node = g_strdup_printf("ifpp%u", dev->index);

	ifpp_json_string(b, "device", node);
	ifpp_json_eid(b, dev->eid);
	ifpp_json_string(b, "state", ifpp_state_name(dev->state));
	ifpp_json_bool(b, "online", dev->online);
	ifpp_json_int(b, "keys_unspent", dev->keys_unspent);
	ifpp_json_int(b, "keys_unknown", dev->keys_unknown);
	ifpp_json_int(b, "keys_spent", dev->keys_spent);
	ifpp_json_int(b, "loads", dev->loads);
	ifpp_json_int(b, "installed", dev->installed);
	ifpp_json_int(b, "failed", dev->failed);
	ifpp_json_int(b, "refused", dev->refused);
}

void ctl_json_host(JsonBuilder *b, const IfppNlHost *host)
{
	ifpp_json_string(b, "state", ifpp_state_name(host->state));
	ifpp_json_string(b, "anchor", ctl_anchor_name(host->anchor));
	ifpp_json_int(b, "chips", host->chips);
	ifpp_json_int(b, "chips_locked", host->chips_locked);
}

void ctl_say_host(CtlOutput *out, const IfppNlHost *host)
{
	ctl_say(out, "This machine: %s, %s; %u chip%s on record, %u locked.",
		host->state == IFPP_STATE_FACTORY ? "not locked" : ifpp_state_name(host->state),
		anchor_means(host->anchor), host->chips, host->chips == 1 ? "" : "s", host->chips_locked);
}

/* What failed, and is not seen in the driver: a modem without a chip, a chip that was not provisioned. */
static void list_services(CtlOutput *out, GPtrArray *services)
{
	for (guint i = 0; services && i < services->len; i++) {
		const CtlService *service = services->pdata[i];
		g_autofree char *text = NULL;

		if (!ctl_service_failed(service))
			continue;
		text = out->json ? ctl_service_json(service) : ctl_service_line(out, service);
		printf("%s\n", text);
	}
}

static void json_progress(JsonBuilder *b, const char *to_do, const CtlService *service)
{
	g_autofree char *when = service && service->ended ? ctl_time(service->ended) : NULL;

	ifpp_json_string(b, "to_do", to_do);
	if (!service || !ctl_service_failed(service))
		return;
	ifpp_json_string(b, "last_error", service->message);
	ifpp_json_string(b, "last_error_at", when);
}

/* When it was, what, and what becomes of it. */
static void say_progress(CtlOutput *out, const char *to_do, const CtlService *service)
{
	ctl_say(out, "  To do         %s", to_do);
	if (service && ctl_service_failed(service)) {
		g_autofree char *when = service->ended ? ctl_time(service->ended) : g_strdup("at an unknown time"),
				*line = ctl_service_line(out, service);

		ctl_say(out, "  Last error    %s, %s", when, line);
	}
}

static void say_gateway(CtlOutput *out, IfppNetlink *nl)
{
	const char *file = ctl_gateway_file();
	g_autoptr(GError) error = NULL;

	if (!file)
		return;
	if (ctl_gateway_finished(file, CTL_OUTBOX, nl, &error))
		ctl_say(out, "%s: every chip that this machine expects is locked.", file);
	else
		ctl_say(out, "%s.", error->message);
}

/* What the outbox has of a chip that is not as it should be; nothing if it cannot be read by this user. */
static void outbox_trouble(const guint8 eid[16], guint *quarantine, guint *missing)
{
	g_autoptr(GPtrArray) aside = ctl_outbox_quarantine(CTL_OUTBOX, eid);
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) attempts = ctl_outbox_attempts(CTL_OUTBOX, eid, damaged, NULL);

	*quarantine = aside->len + damaged->len;
	*missing = attempts ? ctl_outbox_missing(CTL_OUTBOX, eid, attempts) : 0;
}

/* Which unit it is in, and where that is plugged. */
static void json_unit(JsonBuilder *b, const guint8 eid[16])
{
	g_auto(IfppUnit) unit = { 0 };
	g_autofree char *socket = NULL;

	ctl_unit_read(CTL_OUTBOX, eid, &unit);
	socket = ctl_socket_name(NULL, unit.field[IFPP_UNIT_USB_PATH]);
	ifpp_json_unit(b, &unit);
	ifpp_json_string(b, "socket", socket);
}

static void say_unit(CtlOutput *out, const guint8 eid[16])
{
	g_auto(IfppUnit) unit = { 0 };
	g_autofree char *socket = NULL;
	char *const *f = unit.field;

	ctl_unit_read(CTL_OUTBOX, eid, &unit);
	socket = ctl_socket_name(NULL, f[IFPP_UNIT_USB_PATH]);
	if (!out->terminal && !out->show_ids && f[IFPP_UNIT_IMEI])
		ifpp_imei_mask(f[IFPP_UNIT_IMEI]);
	if (socket)
		ctl_say(out, "  Socket        %s%s%s%s", socket, strcmp(socket, f[IFPP_UNIT_USB_PATH]) ? " (" : "",
			strcmp(socket, f[IFPP_UNIT_USB_PATH]) ? f[IFPP_UNIT_USB_PATH] : "",
			strcmp(socket, f[IFPP_UNIT_USB_PATH]) ? ")" : "");
	if (!ifpp_unit_is_empty(&unit))
		ctl_say(out, "  Modem         %s, firmware %s, IMEI %s, serial number %s", f[IFPP_UNIT_MODEL] ?: "unknown",
			f[IFPP_UNIT_FIRMWARE] ?: "unknown", f[IFPP_UNIT_IMEI] ?: "unknown", f[IFPP_UNIT_SERIAL] ?: "unknown");
	if (f[IFPP_UNIT_BOARD_SERIAL] || f[IFPP_UNIT_WORK_ORDER])
		ctl_say(out, "  Scanned       board %s, work order %s", f[IFPP_UNIT_BOARD_SERIAL] ?: "-",
			f[IFPP_UNIT_WORK_ORDER] ?: "-");
}

int ctl_cmd_list(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autoptr(IfppNetlink) nl = NULL;
	g_autoptr(GArray) devs = NULL;
	g_autoptr(GPtrArray) services = NULL;
	CtlOutput *out = &ctl->out;
	IfppNlHost host;

	if (!ctl_parse(ctl, &argc, &argv, NULL, "", "Chips that are here, and this machine's lock.", error))
		return 0;
	nl = ifpp_netlink_new(error);
	devs = nl ? ifpp_netlink_dump(nl, error) : NULL;
	if (!devs || !ifpp_netlink_host_get(nl, &host, error))
		return 0;
	/* Where nobody runs systemd there is nothing to tell. */
	services = ctl_services(CTL_SERVICES_RUNNING, NULL);

	if (devs->len)
		ctl_say(out, "%-8s %-32s  %-8s %9s %9s %6s  %-12s  %s", "CHIP", "EID", "STATE", "KEYS/ALL", "INSTALLED",
			"FAILED", "SOCKET", "TO DO");
	else
		ctl_say(out, "No chip is here. A modem that is plugged in appears when its daemon has read its chip: "
			"systemctl status 'ifppd@*'");
	for (guint i = 0; i < devs->len; i++) {
		IfppNlDev *dev = &g_array_index(devs, IfppNlDev, i);
		g_autofree char *node = g_strdup_printf("ifpp%u", dev->index);
		g_autofree char *keys = g_strdup_printf("%u/%u", dev->keys_unspent, dev->keys_unspent +
							dev->keys_unknown + dev->keys_spent);
		g_autofree char *socket = ctl_socket(CTL_OUTBOX, dev->eid);
		const CtlService *service = ctl_services_of(services, node);
		const char *to_do = ctl_to_do(dev->state, dev->installed, service);
		guint quarantine, missing;
		char eid[33];

		ctl_show_eid(out, dev->eid, eid);
		ctl_say(out, "%-8s %-32s  %-8s %9s %9" G_GUINT64_FORMAT " %6" G_GUINT64_FORMAT "  %-12s  %s", node,
			eid, ifpp_state_name(dev->state), keys, dev->installed, dev->failed, socket ?: "", to_do);
		outbox_trouble(dev->eid, &quarantine, &missing);
		if (quarantine)
			ctl_say(out, "         %u results in quarantine or not readable: ifppctl report has them with the reasons",
				quarantine);
		if (missing)
			ctl_say(out, "         %u keys spent without a result here: ifppctl report", missing);
		if (out->json) {
			JsonBuilder *b = ifpp_json_new("device");

			ctl_json_dev(b, dev);
			json_unit(b, dev->eid);
			ifpp_json_int(b, "quarantine", quarantine);
			ifpp_json_int(b, "missing_results", missing);
			json_progress(b, to_do, service);
			ifpp_json_print(b);
		}
	}
	list_services(out, services);
	ctl_say_host(out, &host);
	say_gateway(out, nl);
	if (out->json) {
		JsonBuilder *b = ifpp_json_new("host");

		ctl_json_host(b, &host);
		ifpp_json_print(b);
	}
	return IFPP_EXIT_OK;
}

/* Nothing of a directory that cannot be used: the daemon complains about it. */
static GPtrArray *trust_ends(const char *dir)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(dir, NULL);

	return trust ? ifpp_trust_ends(trust) : g_ptr_array_new();
}

static void json_ends(JsonBuilder *b, GPtrArray *ends)
{
	json_builder_set_member_name(b, "trust_ends");
	json_builder_begin_array(b);
	for (guint i = 0; i < ends->len; i++)
		json_builder_add_string_value(b, ends->pdata[i]);
	json_builder_end_array(b);
}

int ctl_cmd_info(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *node = NULL, *trust_dir = NULL;
	const GOptionEntry entries[] = {
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust_dir, "CI roots and CRLs; default: " CTL_TRUST, "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(CtlChip) chip = NULL;
	g_autoptr(GPtrArray) services = NULL, ends = NULL;
	const CtlService *service;
	CtlOutput *out = &ctl->out;
	struct ifpp_info *info;
	const char *to_do;
	char eid[33];

	if (!ctl_parse(ctl, &argc, &argv, entries, "[CHIP]",
		       "What the driver knows of one chip, and which CI roots and CRLs of this station end soon.", error))
		return 0;
	if (argc > 2) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "info: one chip at a time");
		return 0;
	}
	if (argc == 2) {
		g_free(ctl->device);
		ctl->device = g_strdup(argv[1]);
	}
	chip = ctl_chip_open(ctl, error);
	if (!chip)
		return 0;
	info = &chip->info;
	node = g_strdup_printf("ifpp%u", info->index);
	services = ctl_services(CTL_SERVICES_RUNNING, NULL);
	service = ctl_services_of(services, node);
	to_do = ctl_to_do(info->state, info->installed, service);
	ends = trust_ends(trust_dir ?: CTL_TRUST);

	if (out->json) {
		JsonBuilder *b = ifpp_json_new("info");
		IfppNlDev dev = {
			.index = info->index, .state = info->state, .keys_unspent = info->keys_unspent,
			.keys_unknown = info->keys_unknown, .keys_spent = info->keys_spent,
			.online = (info->flags & IFPP_INFO_ONLINE) != 0, .loads = info->loads,
			.installed = info->installed, .failed = info->failed, .refused = info->refused,
		};

		memcpy(dev.eid, info->eid, sizeof(dev.eid));
		ctl_json_dev(b, &dev);
		json_unit(b, info->eid);
		ifpp_json_string(b, "host_state", ifpp_state_name(info->host_state));
		ifpp_json_int(b, "package_max", info->pkg_max);
		json_progress(b, to_do, service);
		json_ends(b, ends);
		ifpp_json_print(b);
		return IFPP_EXIT_OK;
	}
	ctl_show_eid(out, info->eid, eid);
	ctl_say(out, "%s", chip->node);
	ctl_say(out, "  EID           %s", eid);
	say_unit(out, info->eid);
	ctl_say(out, "  State         %s: %s", ifpp_state_name(info->state), state_means(info->state));
	say_progress(out, to_do, service);
	ctl_say(out, "  One-time keys %u left, %u spent%s", info->keys_unspent, info->keys_spent,
		info->keys_unknown ? ", others unknown until the chip is asked" : "");
	ctl_say(out, "  Loads         %" G_GUINT64_FORMAT " sent to the chip's daemon: %" G_GUINT64_FORMAT
		" installed, %" G_GUINT64_FORMAT " failed; %" G_GUINT64_FORMAT " refused before", (guint64)info->loads,
		(guint64)info->installed, (guint64)info->failed, (guint64)info->refused);
	ctl_say(out, "  Daemon        %s", info->flags & IFPP_INFO_ONLINE ? "serves the chip" : "is gone");
	ctl_say(out, "  Package size  at most %u bytes", info->pkg_max);
	ctl_say(out, "  This machine  %s", info->host_state == IFPP_STATE_FACTORY ? "not locked" :
		ifpp_state_name(info->host_state));
	for (guint i = 0; i < ends->len; i++)
		ctl_say(out, "  %-13s %s", i ? "" : "Trust", (char *)ends->pdata[i]);
	return IFPP_EXIT_OK;
}

static int list_keys(Ctl *ctl, CtlChip *chip, GError **error)
{
	static const char *const states[] = { "unspent", "unknown", "spent" };
	g_autoptr(GArray) keys = NULL;
	int err = ctl_device_keys(chip->device, &keys);

	if (err) {
		ctl_set_errno(error, err, chip->node);
		return 0;
	}
	for (guint i = 0; i < keys->len; i++) {
		struct ifpp_key *key = &g_array_index(keys, struct ifpp_key, i);
		g_autofree char *id = ifpp_hex(IFPP_SPAN(key->id));
		const char *state = key->state < G_N_ELEMENTS(states) ? states[key->state] : "?";

		ctl_say(&ctl->out, "%s  %s", id, state);
		if (ctl->out.json) {
			JsonBuilder *b = ifpp_json_new("key");

			ifpp_json_string(b, "device", chip->node);
			ifpp_json_eid(b, chip->info.eid);
			ifpp_json_string(b, "key_id", id);
			ifpp_json_string(b, "state", state);
			ifpp_json_print(b);
		}
	}
	if (!keys->len)
		ctl_say(&ctl->out, "%s: the driver knows of no one-time key.", chip->node);
	return IFPP_EXIT_OK;
}

static int delete_keys(Ctl *ctl, CtlChip *chip, GError **error)
{
	g_autofree char *what = NULL;
	char eid[33];
	guint32 deleted;
	int err;

	ctl_show_eid(&ctl->out, chip->info.eid, eid);
	what = g_strdup_printf("%s: the %u unused one-time keys of this chip, EID %s, will be deleted; no further package can be "
			       "loaded.", chip->node, chip->info.keys_unspent, eid);
	if (!ctl_confirm(ctl, what, error))
		return 0;
	ctl_catch_signals();
	ctl_progress(&ctl->out, "%s: deleting its one-time keys ...", chip->node);
	err = ctl_device_delete_keys(chip->device, &deleted);
	ctl_progress_end(&ctl->out);
	if (err) {
		ctl_set_errno(error, err, chip->node);
		return 0;
	}
	ctl_say(&ctl->out, "%s: %u one-time keys deleted, none is left.", chip->node, deleted);
	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("keys-deleted");

		ifpp_json_string(b, "device", chip->node);
		ifpp_json_eid(b, chip->info.eid);
		ifpp_json_int(b, "deleted", deleted);
		ifpp_json_print(b);
	}
	return IFPP_EXIT_OK;
}

int ctl_cmd_keys(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autoptr(CtlChip) chip = NULL;
	gboolean delete;

	if (!ctl_parse(ctl, &argc, &argv, NULL, "list|delete",
		       "One-time keys of a chip: list them, or delete every unused one.", error))
		return 0;
	delete = argc == 2 && g_str_equal(argv[1], "delete");
	if (!delete && (argc != 2 || !g_str_equal(argv[1], "list"))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "keys: say list or delete");
		return 0;
	}
	chip = ctl_chip_open(ctl, error);
	if (!chip)
		return 0;
	return delete ? delete_keys(ctl, chip, error) : list_keys(ctl, chip, error);
}
