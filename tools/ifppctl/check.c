// SPDX-License-Identifier: GPL-2.0-or-later
/* check: which of the packages that wait would the daemon refuse today? After a new CRL or list of Key Makers. */
#include "ctl.h"
#include "explain.h"
#include "outbox.h"

#include <eid.h>
#include <file.h>
#include <package.h>

static void show(CtlOutput *out, const CtlPackage *package, const GError *why)
{
	char eid[33], key[17];

	if (out->json) {
		JsonBuilder *b = ifpp_json_new("check");

		ifpp_json_string(b, "file", package->path);
		if (!package->error) {
			ifpp_json_eid(b, package->header.eid);
			ifpp_json_hex(b, "key_id", IFPP_SPAN(package->header.key_id));
		}
		ifpp_json_string(b, "outcome", why ? ifpp_error_name(why->code) : "ok");
		ifpp_json_string(b, "detail", why ? why->message : NULL);
		ifpp_json_print(b);
	} else if (why && package->error) {
		ctl_say(out, "refused  %s", why->message);
	} else if (why) {
		ctl_show_eid(out, package->header.eid, eid);
		ctl_short_key(package->header.key_id, key);
		ctl_say(out, "refused  %s  key %s  %s: %s", eid, key, ifpp_error_name(why->code), why->message);
	}
}

/* FALSE: it would be refused. */
static gboolean check(CtlOutput *out, const CtlPackage *package, IfppTrust *trust)
{
	g_autoptr(GError) why = package->error ? g_error_copy(package->error) : NULL;
	g_autoptr(GBytes) file = why ? NULL : ifpp_file_read(package->path, IFPP_PACKAGE_MAX, &why);
	g_autoptr(IfppPackage) opened = file ? ifpp_package_open(file, trust, &why) : NULL;

	show(out, package, why);
	return opened != NULL;
}

int ctl_cmd_check(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *dir = NULL, *trust_dir = NULL;
	const GOptionEntry entries[] = {
		{ "packages", 0, 0, G_OPTION_ARG_FILENAME, &dir, "Sealed packages; default: " CTL_PACKAGES, "DIR" },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust_dir, "CI roots and CRLs; default: " CTL_TRUST, "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GPtrArray) packages = NULL;
	g_autoptr(IfppTrust) trust = NULL;
	guint refused = 0;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Verify the packages that wait, as the daemon would today, and name those that it would refuse: "
		       "after a new CRL, or a change of the list of Key Makers.", error))
		return 0;
	if (argc != 1) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_USAGE, "check: it takes options only");
		return 0;
	}
	trust = ifpp_trust_new_from_dir(trust_dir ?: CTL_TRUST, error);
	packages = trust ? ctl_packages_scan(dir ?: CTL_PACKAGES, NULL, error) : NULL;
	if (!packages)
		return 0;
	for (guint i = 0; i < packages->len; i++) {
		refused += !check(&ctl->out, packages->pdata[i], trust);
		ctl_progress(&ctl->out, "%u of %u packages", i + 1, packages->len);
	}
	ctl_progress_end(&ctl->out);
	if (refused)
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED,
			    "%u of %u packages would be refused. Order these anew, or mend what they name in %s", refused,
			    packages->len, trust_dir ?: CTL_TRUST);
	else if (!ctl->out.json)
		ctl_say(&ctl->out, "%u packages, all good.", packages->len);
	return IFPP_EXIT_OK;
}
