// SPDX-License-Identifier: LGPL-2.1-or-later
#include "error.h"

#include <stdio.h>
#include <string.h>

G_DEFINE_QUARK(ifpp-error-quark, ifpp_error)

#define SEAL_AGAIN "Ask the Key Maker to seal it again"

static const struct {
	IfppError code;
	IfppExit exit;
	const char *name;
	const char *hint;
} errors[] = {
	{ IFPP_ERROR_HEADER, IFPP_EXIT_INPUT, "header",
	  "Check that it is the right file (a sealed package .ifpp, a delivery .ifppd), of a version this program knows" },
	{ IFPP_ERROR_LENGTH, IFPP_EXIT_INPUT, "length",
	  "The file is damaged in transit; copy it again from where it was sealed" },
	{ IFPP_ERROR_TOO_LARGE, IFPP_EXIT_INPUT, "too-large", "Check that it is the right file" },
	{ IFPP_ERROR_CMS, IFPP_EXIT_INPUT, "cms",
	  "The file is damaged; copy it again from where it was sealed" },
	{ IFPP_ERROR_CMS_STRICT, IFPP_EXIT_REFUSED, "cms-strict",
	  "The file was damaged or altered; copy it again from where it was sealed" },
	{ IFPP_ERROR_CMS_SIGNATURE, IFPP_EXIT_REFUSED, "cms-signature",
	  "The file was damaged or altered; copy it again, and if that does not help tell the Key Maker" },
	{ IFPP_ERROR_CHAIN, IFPP_EXIT_REFUSED, "chain",
	  "Install the CI root that the sender uses in /etc/ifpp/ci, if it is to be trusted" },
	{ IFPP_ERROR_EXPIRED, IFPP_EXIT_REFUSED, "expired",
	  "Check this machine's clock, then ask the owner of the certificate for a new one" },
	{ IFPP_ERROR_NOT_YET_VALID, IFPP_EXIT_REFUSED, "not-yet-valid", "Check this machine's clock" },
	{ IFPP_ERROR_REVOKED, IFPP_EXIT_REFUSED, "revoked",
	  "Do not use it; ask the Key Maker for packages sealed under another certificate" },
	{ IFPP_ERROR_CRL, IFPP_EXIT_REFUSED, "crl", "Install the CI's current CRL in /etc/ifpp/ci" },
	{ IFPP_ERROR_ROLE, IFPP_EXIT_REFUSED, "role",
	  "Use a certificate that was issued for this purpose" },
	{ IFPP_ERROR_KEY_USAGE, IFPP_EXIT_REFUSED, "key-usage",
	  "Use a certificate that was issued for this purpose" },
	{ IFPP_ERROR_CONSTRAINT, IFPP_EXIT_REFUSED, "constraint",
	  "Set the chip aside and tell its maker: the certificate is not allowed to name this EID" },
	{ IFPP_ERROR_HEADER_MISMATCH, IFPP_EXIT_REFUSED, "header-mismatch",
	  "The file was altered; copy it again from where it was sealed" },
	{ IFPP_ERROR_WRONG_EID, IFPP_EXIT_REFUSED, "wrong-eid",
	  "Use the package that was sealed for this chip" },
	{ IFPP_ERROR_UNKNOWN_KEY, IFPP_EXIT_REFUSED, "unknown-key",
	  "Send this chip's eUICC data to the Key Maker and have a package sealed for one of its keys" },
	{ IFPP_ERROR_SPENT_KEY, IFPP_EXIT_REFUSED, "spent-key",
	  "A package loads once; use one that was sealed to another of this chip's keys" },
	{ IFPP_ERROR_ATTESTATION, IFPP_EXIT_REFUSED, "attestation",
	  "Do not use this data; read it from the chip again" },
	{ IFPP_ERROR_SMDP_SIGN, IFPP_EXIT_REFUSED, "smdp-sign", SEAL_AGAIN },
	{ IFPP_ERROR_BPP, IFPP_EXIT_REFUSED, "bpp", SEAL_AGAIN },
	{ IFPP_ERROR_TLV, IFPP_EXIT_INPUT, "tlv",
	  "The data is damaged; get it again from where it was made" },
	{ IFPP_ERROR_POINT, IFPP_EXIT_REFUSED, "point", "Do not use this key; have a new one made" },
	{ IFPP_ERROR_PIR, IFPP_EXIT_CHIP, "pir", "Set the chip aside: its result cannot be read" },
	{ IFPP_ERROR_PIR_SIGNATURE, IFPP_EXIT_REFUSED, "pir-signature",
	  "Set the chip aside: its result is not proven" },
	{ IFPP_ERROR_PIR_MISMATCH, IFPP_EXIT_REFUSED, "pir-mismatch",
	  "Set the chip aside: its result belongs to another chip or package" },
	{ IFPP_ERROR_RECEIPT, IFPP_EXIT_REFUSED, "receipt",
	  "The chip is not proven to be locked; lock it again" },
	{ IFPP_ERROR_EID, IFPP_EXIT_INPUT, "eid",
	  "Give the 32 digits as printed on the chip or shown by ifppctl info" },
	{ IFPP_ERROR_ICCID, IFPP_EXIT_INPUT, "iccid", "Give 18 to 20 digits" },
	{ IFPP_ERROR_UPP, IFPP_EXIT_INPUT, "upp", "Check that the file is a DER profile package" },
	{ IFPP_ERROR_EUICC_DATA, IFPP_EXIT_INPUT, "euicc-data", "Read the data from the chip again" },
	{ IFPP_ERROR_SECURITY, IFPP_EXIT_REFUSED, "security", SEAL_AGAIN },
	{ IFPP_ERROR_ELIGIBILITY, IFPP_EXIT_REFUSED, "eligibility",
	  "Use a chip that fulfils the profile owner's rules" },
	{ IFPP_ERROR_KEY_BOUND, IFPP_EXIT_REFUSED, "key-bound",
	  "Use another one-time key, or another chip" },
	{ IFPP_ERROR_TOKEN, IFPP_EXIT_TOKEN, "token",
	  "Check that the token is present (p11tool --list-tokens) and named right" },
	{ IFPP_ERROR_PIN, IFPP_EXIT_TOKEN, "pin",
	  "Check the PIN before trying again: tokens lock after a few wrong ones" },
	{ IFPP_ERROR_IO, IFPP_EXIT_INPUT, "io", "Check the path" },
	{ IFPP_ERROR_NO_SPACE, IFPP_EXIT_IO, "no-space", "Free space on that file system; neither the chip nor the modem is at fault" },
	{ IFPP_ERROR_ACCESS, IFPP_EXIT_ACCESS, "access",
	  "Run it as root, or as a member of the group that may" },
	{ IFPP_ERROR_NO_DEVICE, IFPP_EXIT_NO_DEVICE, "no-device",
	  "Check that the modem is plugged in and the ifpp module is loaded" },
	{ IFPP_ERROR_NO_EUICC, IFPP_EXIT_NO_DEVICE, "no-euicc",
	  "Check that the modem has an eUICC in the chosen slot" },
	{ IFPP_ERROR_MODEM, IFPP_EXIT_CHIP, "modem", "Reset or replug the modem and try again" },
	{ IFPP_ERROR_CHIP, IFPP_EXIT_CHIP, "chip",
	  "Reset or replug the modem and try again; if it stays, set the unit aside" },
	{ IFPP_ERROR_TIMEOUT, IFPP_EXIT_CHIP, "timeout", "Reset or replug the modem and try again" },
	{ IFPP_ERROR_LOCKED, IFPP_EXIT_LOCKED, "locked", "Nothing unlocks it: this is for life" },
	{ IFPP_ERROR_USAGE, IFPP_EXIT_USAGE, "usage", "See --help" },
	{ IFPP_ERROR_INTERNAL, IFPP_EXIT_FAILED, "internal", "Please report this as a bug" },
	{ IFPP_ERROR_LEDGER, IFPP_EXIT_REFUSED, "ledger",
	  "Nothing is sealed until it is sound: restore its newest backup, or run ifpp-smdpf ledger adopt" },
	{ IFPP_ERROR_JSON, IFPP_EXIT_INPUT, "json", "The file is damaged or of another kind; get it again from where it was made" },
	{ IFPP_ERROR_CERTIFICATE, IFPP_EXIT_REFUSED, "certificate",
	  "Ask its owner for a certificate of the RSP profile (SGP.22 4.5.2), on NIST P-256 with SHA-256" },
	{ IFPP_ERROR_KEY_MAKER, IFPP_EXIT_REFUSED, "key-maker",
	  "If this factory ordered from it, name it in /etc/ifpp/key-makers by the ski or subject of its certificate" },
	{ IFPP_ERROR_CONFINED, IFPP_EXIT_ACCESS, "confined",
	  "Something forbids it that no rights of root lift: a device cgroup (allow the container or unit this node, as with "
	  "DeviceAllow=), a security module, or an immutable file" },
	{ IFPP_ERROR_DISK, IFPP_EXIT_IO, "disk",
	  "The file system there fails or is mounted read-only; neither the chip nor the modem is at fault. Look at "
	  "findmnt and journalctl -k, then run this again" },
	{ IFPP_ERROR_UNSUPPORTED, IFPP_EXIT_NO_DEVICE, "unsupported",
	  "Put the modem into another mode, or give it other firmware: see 'Will it work with my modem' in the manual" },
	{ IFPP_ERROR_TIME_UNKNOWN, IFPP_EXIT_TIME, "time-unknown",
	  "Nothing is lost: what waits goes on by itself when the clock is set (date -s, NTP). For a machine without a clock say "
	  "Clock=floor in its policy" },
	{ IFPP_ERROR_ORDER, IFPP_EXIT_REFUSED, "order", "If it is to go on after all, ifpp-smdpf order resume takes it up again" },
	{ IFPP_ERROR_NO_REWORK, IFPP_EXIT_REFUSED, "no-rework",
	  "Nothing was deleted. A chip of codec version 1 or 2 stays as it is; a profile that is enabled must be disabled first" },
	{ IFPP_ERROR_DATABASE, IFPP_EXIT_IO, "database",
	  "Check the database, its URL and its disk, then run this again: what was begun goes on" },
	{ IFPP_ERROR_SECOND, IFPP_EXIT_REFUSED, "second-package",
	  "Call back one of them before it is loaded, and set its ICCID free with ifpp-smdpf void" },
	{ IFPP_ERROR_POLICY, IFPP_EXIT_INPUT, "policy", "See POLICY in ifppctl(1)" },
};

static int find(int code)
{
	for (guint i = 0; i < G_N_ELEMENTS(errors); i++)
		if ((int)errors[i].code == code)
			return i;
	return -1;
}

gboolean ifpp_fail(GError **error, IfppError code, const char *format, ...)
{
	va_list args;

	if (!error)
		return FALSE;
	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(IFPP_ERROR, code, format, args));
	va_end(args);
	return FALSE;
}

const char *ifpp_error_name(int code)
{
	int i = find(code);

	return i < 0 ? "unknown" : errors[i].name;
}

const char *ifpp_error_hint(int code)
{
	int i = find(code);

	return i < 0 ? "See the program's log" : errors[i].hint;
}

int ifpp_error_exit(const char *program, const GError *error)
{
	g_autofree char *message = g_strstrip(g_strdup(error->message));
	gsize len = strlen(message);
	int i = -1;

	/* One error is one line, whatever a file name or a library's message holds. */
	for (char *p = message; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = ' ';
	if (len && message[len - 1] == '.')
		message[len - 1] = '\0';

	if (error->domain == IFPP_ERROR)
		i = find(error->code);
	else if (error->domain == G_OPTION_ERROR)
		i = find(IFPP_ERROR_USAGE);
	if (i < 0) {
		fprintf(stderr, "%s: %s.\n", program, message);
		return IFPP_EXIT_FAILED;
	}
	fprintf(stderr, "%s: %s. %s.\n", program, message, errors[i].hint);
	return errors[i].exit;
}
