// SPDX-License-Identifier: GPL-2.0-or-later
#include "explain.h"
#include "output.h"

#include <errno.h>
#include <euicc.h>
#include <stdio.h>

G_DEFINE_QUARK(ctl-error-quark, ctl_error)

static const struct {
	int err;
	IfppExit exit;
	gboolean final;
	const char *what;
	const char *next;
} table[] = {
	{ EPERM, IFPP_EXIT_LOCKED, TRUE, "the chip or this machine is locked, for ever",
	  "Nothing more can be loaded; ifppctl list shows which of the two it is" },
	{ ENOMEDIUM, IFPP_EXIT_ACCESS, TRUE, "this machine's anchor cannot be read or is not its own, so it may be locked",
	  "ifppctl list and dmesg say what to mend; nothing has been locked" },
	{ EXDEV, IFPP_EXIT_REFUSED, FALSE, "sealed for another chip",
	  "Take the package that carries this chip's EID, shown by ifppctl info" },
	{ ENOKEY, IFPP_EXIT_REFUSED, TRUE, "the chip has no one-time key left",
	  "Nothing more can be loaded into this chip; finish it with ifppctl lock" },
	{ EKEYREJECTED, IFPP_EXIT_REFUSED, FALSE,
	  "sealed to a key that this chip does not have, or whose fate is still unknown",
	  "Look at ifppctl keys list: if the key is there as unknown, wait until the daemon has asked the chip; "
	  "else send the chip's eUICC data to the Key Maker for a new package" },
	{ EKEYEXPIRED, IFPP_EXIT_REFUSED, FALSE, "its one-time key is spent, a package loads only once",
	  "The station that loaded it has its result in the outbox, ifppctl report collects it; "
	  "for another profile use a package sealed to another of this chip's keys" },
	{ EBADMSG, IFPP_EXIT_INPUT, FALSE, "not a whole sealed package",
	  "Copy it again from where it was sealed" },
	{ EMSGSIZE, IFPP_EXIT_INPUT, FALSE, "larger than the driver accepts",
	  "Check that it is the right file; ifppctl info shows the limit, a parameter of the ifpp module" },
	{ EBUSY, IFPP_EXIT_BUSY, TRUE, "busy, an earlier request has not ended",
	  "Try again when ifppctl monitor shows that it has ended" },
	{ EAGAIN, IFPP_EXIT_BUSY, TRUE, "busy with another package",
	  "Try again when ifppctl monitor shows that it has ended" },
	{ ENOTCONN, IFPP_EXIT_NO_DEVICE, TRUE, "no daemon serves the chip",
	  "Look at systemctl status 'ifppd@*'" },
	{ ENODEV, IFPP_EXIT_NO_DEVICE, TRUE, "the chip is gone: unplugged, reset, or its daemon ended",
	  "Run this again when ifppctl list shows it; what was loaded by then is in the outbox" },
	{ ENXIO, IFPP_EXIT_NO_DEVICE, TRUE, "the chip is gone: unplugged, reset, or its daemon ended",
	  "Run this again when ifppctl list shows it" },
	{ ENOENT, IFPP_EXIT_NO_DEVICE, TRUE, "there is no such chip",
	  "ifppctl list shows those that are there" },
	{ EREMOTEIO, IFPP_EXIT_CHIP, TRUE, "the chip or the modem failed",
	  "Look at journalctl -u 'ifppd@*', replug the modem and run this again" },
	{ ETIMEDOUT, IFPP_EXIT_CHIP, TRUE, "the chip or the modem did not answer in time",
	  "Look at journalctl -u 'ifppd@*', replug the modem and run this again" },
	{ EACCES, IFPP_EXIT_ACCESS, TRUE, "you may not use it",
	  "Run it as root or as a member of the group ifpp" },
	{ EINTR, IFPP_EXIT_BUSY, TRUE, "interrupted; what the chip was asked to do goes on",
	  "Run this again to see how it ended" },
	{ ENOSPC, IFPP_EXIT_IO, TRUE, "no room for the chip's result",
	  "Free space in the daemon's outbox, /var/lib/ifpp/outbox, and run this again" },
	{ ENOTTY, IFPP_EXIT_NO_DEVICE, TRUE, "not a chip's node, or one of another driver version",
	  "Name a node that ifppctl list shows; if it was one, install driver and ifppctl of one version" },
	{ EOPNOTSUPP, IFPP_EXIT_FAILED, TRUE, "the driver does not know this operation",
	  "Install driver and ifppctl of one version" },
	{ EINVAL, IFPP_EXIT_FAILED, TRUE, "the driver does not take this request",
	  "Install driver and ifppctl of one version" },
};

static int find(int err)
{
	for (guint i = 0; i < G_N_ELEMENTS(table); i++)
		if (table[i].err == err)
			return i;
	return -1;
}

void ctl_set_errno(GError **error, int err, const char *thing)
{
	int i = find(err);

	if (i < 0)
		g_set_error(error, CTL_ERROR, IFPP_EXIT_FAILED,
			    "%s: %s. Look at journalctl -k and journalctl -u 'ifppd@*'", thing, g_strerror(err));
	else
		g_set_error(error, CTL_ERROR, table[i].exit, "%s: %s. %s", thing, table[i].what, table[i].next);
}

gboolean ctl_errno_is_final(int err)
{
	int i = find(err);

	return i < 0 || table[i].final;
}

void ctl_set_result(GError **error, gint32 status, guint32 reason, IfppSpent spent, const char *thing)
{
	static const char *const next[] = {
		[IFPP_SPENT_UNKNOWN] = "ifppctl keys list shows whether its one-time key is spent",
		[IFPP_SPENT_NO] = ("Its one-time key is not spent, so the package can be loaded again; if the chip refuses it "
				   "again, have the profile sealed anew"),
		[IFPP_SPENT_YES] = "Its one-time key is spent; have the profile sealed to another of the chip's keys",
	};

	if (reason >= IFPP_ERROR_HEADER)
		g_set_error(error, IFPP_ERROR, reason, "%s: refused by the daemon, reason %s", thing,
			    ifpp_error_name(reason));
	else if (reason)
		g_set_error(error, CTL_ERROR, IFPP_EXIT_CHIP,
			    "%s: the chip refused it, reason %u %s. %s", thing, reason, ifpp_pir_reason_name(reason),
			    next[spent]);
	else
		ctl_set_errno(error, -status, thing);
}

static gboolean masked;

void ctl_error_mask(gboolean on)
{
	masked = on;
}

int ctl_error_exit(const GError *error)
{
	g_autoptr(GError) copy = g_error_copy(error);
	g_autofree char *status = NULL;

	if (masked)
		ctl_mask(copy->message);
	for (char *p = copy->message; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = ' ';
	status = g_strconcat(copy->message, ". ", copy->domain == IFPP_ERROR ? ifpp_error_hint(copy->code) : NULL, NULL);
	ctl_status(g_strchomp(status));
	if (copy->domain != CTL_ERROR)
		return ifpp_error_exit("ifppctl", copy);
	fprintf(stderr, "ifppctl: %s.\n", copy->message);
	return copy->code;
}
