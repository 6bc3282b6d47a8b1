// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl.h"
#include "explain.h"

#include <eid.h>
#include <netlink.h>
#include <options.h>
#include <stdio.h>
#include <string.h>

gboolean ctl_parse(Ctl *ctl, int *argc, char ***argv, const GOptionEntry *entries, const char *usage,
		   const char *summary, GError **error)
{
	const GOptionEntry common[] = {
		{ "device", 'd', 0, G_OPTION_ARG_STRING, &ctl->device, "Node or EID of the chip; default: the only one",
		  "ifppN" },
		{ "json", 'j', 0, G_OPTION_ARG_NONE, &ctl->out.json, "One JSON object per line", NULL },
		{ "show-ids", 0, 0, G_OPTION_ARG_NONE, &ctl->out.show_ids, "Print whole EIDs into logs too", NULL },
		{ "yes", 'y', 0, G_OPTION_ARG_NONE, &ctl->yes, "Do not ask before what cannot be undone", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context = g_option_context_new(usage);
	g_autofree char *name = g_strconcat("ifppctl ", (*argv)[0], NULL);

	/* The usage line names the command too. */
	g_set_prgname(name);
	g_option_context_set_summary(context, summary);
	if (entries)
		g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_add_main_entries(context, common, NULL);
	if (!ifpp_options_check(entries, *argc, *argv, error) || !ifpp_options_check(common, *argc, *argv, error) ||
	    !g_option_context_parse(context, argc, argv, error))
		return FALSE;
	ctl_error_mask(!ctl->out.terminal && !ctl->out.show_ids);
	return TRUE;
}

gboolean ctl_confirm(Ctl *ctl, const char *what, GError **error)
{
	g_autofree char *question = g_strconcat(what, " This cannot be undone.", NULL);

	if (ctl->yes)
		return TRUE;
	if (ctl->out.json || !ifpp_can_ask()) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_USAGE, "%s This cannot be undone, and nobody can be asked here: nothing "
			    "was done. Run it on a terminal, or add --yes if it is meant", what);
		return FALSE;
	}
	if (ifpp_ask(question))
		return TRUE;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_FAILED, "nothing was done");
	return FALSE;
}

void ctl_chip_free(CtlChip *chip)
{
	if (!chip)
		return;
	g_clear_pointer(&chip->device, ctl_device_free);
	g_free(chip->node);
	g_free(chip);
}

/* The node of the chip with @eid, or of the only chip; NULL and @error set. */
static char *find_node(const guint8 *eid, GError **error)
{
	g_autoptr(IfppNetlink) nl = ifpp_netlink_new(error);
	g_autoptr(GArray) devs = nl ? ifpp_netlink_dump(nl, error) : NULL;
	g_autoptr(GString) names = g_string_new(NULL);
	guint found = 0, index = 0;

	if (!devs)
		return NULL;
	for (guint i = 0; i < devs->len; i++) {
		IfppNlDev *dev = &g_array_index(devs, IfppNlDev, i);

		if (eid && memcmp(dev->eid, eid, IFPP_EID_LEN))
			continue;
		index = dev->index;
		g_string_append_printf(names, "%sifpp%u", found++ ? ", " : "", index);
	}
	if (found == 1)
		return g_strdup_printf("/dev/ifpp%u", index);
	if (found)
		g_set_error(error, CTL_ERROR, IFPP_EXIT_USAGE, "several chips are here: %s. Name one with -d",
			    names->str);
	else
		g_set_error(error, CTL_ERROR, IFPP_EXIT_NO_DEVICE,
			    "%s. Plug its modem in; if it is, look at systemctl status 'ifppd@*'",
			    eid ? "this chip is not here" : "no chip is here");
	return NULL;
}

CtlChip *ctl_chip_open(Ctl *ctl, GError **error)
{
	g_autoptr(CtlChip) chip = g_new0(CtlChip, 1);
	g_autofree char *path = NULL;
	g_autoptr(GError) local = NULL;
	guint8 eid[16];
	int err;

	if (!ctl->device)
		path = find_node(NULL, error);
	else if (strchr(ctl->device, '/'))
		path = g_strdup(ctl->device);
	else if (ifpp_eid_parse(ctl->device, eid, NULL))
		path = find_node(eid, error);
	else
		path = g_strconcat("/dev/", ctl->device, NULL);
	if (!path)
		return NULL;

	chip->node = g_path_get_basename(path);
	chip->device = ctl_device_open(path, &local);
	if (!chip->device && local->code == IFPP_EXIT_NO_DEVICE) {
		/* Without the driver there is no node at all: say that instead. */
		g_autoptr(IfppNetlink) nl = ifpp_netlink_new(error);

		if (!nl)
			return NULL;
	}
	if (!chip->device) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	err = ctl_device_info(chip->device, &chip->info);
	if (err) {
		ctl_set_errno(error, err, path);
		return NULL;
	}
	return g_steal_pointer(&chip);
}
