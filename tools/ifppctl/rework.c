// SPDX-License-Identifier: GPL-2.0-or-later
/* rework: take out what was loaded, before the lock, so that the unit can be provisioned anew (SGP.41 A.4). */
#include "ctl.h"
#include "explain.h"
#include "outbox.h"

#include <eid.h>
#include <errno.h>
#include <linux/ifpp.h>

static gboolean confirm(Ctl *ctl, CtlChip *chip, GError **error)
{
	g_autofree char *what = NULL;
	char eid[33];

	ctl_show_eid(&ctl->out, chip->info.eid, eid);
	what = g_strdup_printf("%s: every profile in this chip, EID %s, will be deleted. Spent one-time keys stay spent: %u are left "
			       "to load other packages.", chip->node, eid, chip->info.keys_unspent);
	return ctl_confirm(ctl, what, error);
}

/* What the chip has signed just now: the last @n records. */
static void tell(Ctl *ctl, CtlChip *chip, const char *outbox, guint n)
{
	g_autoptr(GPtrArray) all = ctl_outbox_deletions(outbox, chip->info.eid, NULL);

	for (guint i = all->len > n ? all->len - n : 0; i < all->len; i++) {
		const IfppDeletion *deletion = all->pdata[i];
		gboolean whole = ctl->out.terminal || ctl->out.show_ids;
		char iccid[21], shown[21];

		ifpp_iccid_format(deletion->iccid, iccid);
		ifpp_iccid_mask(deletion->iccid, shown);
		ctl_say(&ctl->out, "%s: profile %s deleted, the chip's signed record is in the outbox.", chip->node,
			whole ? iccid : shown);
		if (ctl->out.json) {
			JsonBuilder *b = ifpp_json_new("profile-deleted");

			ifpp_json_string(b, "device", chip->node);
			ifpp_json_eid(b, chip->info.eid);
			ifpp_json_string(b, "iccid", iccid);
			ifpp_json_int(b, "seq", deletion->seq);
			ifpp_json_string(b, "time", deletion->time);
			ifpp_json_print(b);
		}
	}
}

int ctl_cmd_rework(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *outbox = NULL;
	const GOptionEntry entries[] = {
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "Where the daemon keeps results", "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(CtlChip) chip = NULL;
	guint32 deleted;
	int err;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Delete every profile that was loaded into a chip, before its lock. The chip signs a record of each, with "
		       "which the Key Maker frees its ICCID.", error))
		return 0;
	if (argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "rework: it takes options only; -d names the chip");
		return 0;
	}
	chip = ctl_chip_open(ctl, error);
	if (!chip)
		return 0;
	if (chip->info.state >= IFPP_STATE_LOCKING) {
		ctl_set_errno(error, EPERM, chip->node);
		return 0;
	}
	if (!confirm(ctl, chip, error))
		return 0;
	ctl_catch_signals();
	ctl_progress(&ctl->out, "%s: deleting its profiles ...", chip->node);
	err = ctl_device_rework(chip->device, &deleted);
	ctl_progress_end(&ctl->out);
	if (err == EOPNOTSUPP) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_REWORK, "%s: this chip has no rework, or a profile of it is enabled; "
			    "journalctl -u 'ifppd@*' says which", chip->node);
		return 0;
	}
	if (err) {
		ctl_set_errno(error, err, chip->node);
		return 0;
	}
	tell(ctl, chip, outbox ?: CTL_OUTBOX, deleted);
	ctl_say(&ctl->out, "%s: %u profiles deleted. Bring ifppctl report to the Key Maker, who frees their ICCIDs with it.",
		chip->node, deleted);
	return IFPP_EXIT_OK;
}
