/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One domain for every refusal, each with a name for machines and a hint for people. */
#ifndef IFPP_ERROR_H
#define IFPP_ERROR_H

#include <glib.h>

#define IFPP_ERROR ifpp_error_quark()
GQuark ifpp_error_quark(void);

/**
 * enum IfppError - why something was refused
 *
 * From 256 up, so that a code can travel in struct ifpp_result's reason beside
 * the chip's own SGP.22 errorReason (1..127). Numbers are never reused.
 */
typedef enum {
	IFPP_ERROR_HEADER = 256,	/* not a sealed package, version, flags */
	IFPP_ERROR_LENGTH,		/* truncated, or bytes after the end */
	IFPP_ERROR_TOO_LARGE,
	IFPP_ERROR_CMS,			/* not a CMS SignedData we can read */
	IFPP_ERROR_CMS_STRICT,		/* readable, but not the strict form */
	IFPP_ERROR_CMS_SIGNATURE,
	IFPP_ERROR_CHAIN,		/* does not lead to a configured CI root */
	IFPP_ERROR_EXPIRED,
	IFPP_ERROR_NOT_YET_VALID,
	IFPP_ERROR_REVOKED,
	IFPP_ERROR_CRL,			/* CRL unreadable, forged or too old */
	IFPP_ERROR_ROLE,		/* certificate policy is not the wanted role */
	IFPP_ERROR_KEY_USAGE,
	IFPP_ERROR_CONSTRAINT,		/* EID outside what the EUM may issue */
	IFPP_ERROR_HEADER_MISMATCH,	/* signed header is not the file's header */
	IFPP_ERROR_WRONG_EID,		/* sealed for another chip */
	IFPP_ERROR_UNKNOWN_KEY,		/* key id not one of this chip's */
	IFPP_ERROR_SPENT_KEY,
	IFPP_ERROR_ATTESTATION,		/* otPK not attested by this chip */
	IFPP_ERROR_SMDP_SIGN,
	IFPP_ERROR_BPP,			/* BF36 structure */
	IFPP_ERROR_TLV,
	IFPP_ERROR_POINT,		/* public key not on the curve */
	IFPP_ERROR_PIR,			/* installation result malformed */
	IFPP_ERROR_PIR_SIGNATURE,
	IFPP_ERROR_PIR_MISMATCH,	/* of another chip or package */
	IFPP_ERROR_RECEIPT,		/* lock receipt malformed, forged or of another chip */
	IFPP_ERROR_EID,			/* not an EID */
	IFPP_ERROR_ICCID,
	IFPP_ERROR_UPP,			/* profile package structure */
	IFPP_ERROR_EUICC_DATA,
	IFPP_ERROR_SECURITY,		/* BSP: MAC or padding wrong */
	IFPP_ERROR_ELIGIBILITY,
	IFPP_ERROR_KEY_BOUND,		/* one-time key already bound to a profile */
	IFPP_ERROR_TOKEN,		/* PKCS#11 token missing or failing */
	IFPP_ERROR_PIN,
	IFPP_ERROR_IO,			/* a path that leads to no such file */
	IFPP_ERROR_NO_SPACE,
	IFPP_ERROR_ACCESS,
	IFPP_ERROR_NO_DEVICE,
	IFPP_ERROR_NO_EUICC,
	IFPP_ERROR_MODEM,		/* QMI failed */
	IFPP_ERROR_CHIP,		/* unexpected status word or answer */
	IFPP_ERROR_TIMEOUT,
	IFPP_ERROR_LOCKED,
	IFPP_ERROR_USAGE,
	IFPP_ERROR_INTERNAL,
	IFPP_ERROR_JSON,		/* not a JSON object */
	IFPP_ERROR_CERTIFICATE,		/* not of the RSP profile, or of a kind that is not supported */
	IFPP_ERROR_KEY_MAKER,		/* not one of those that this factory ordered from */
	IFPP_ERROR_DISK,		/* the file system fails or is read-only, whoever asks */
	IFPP_ERROR_LEDGER,		/* the Key Maker's ledger is missing, older or altered */
	IFPP_ERROR_POLICY,		/* a policy file that makes no sense */
	IFPP_ERROR_CONFINED,		/* EPERM: not a matter of rights, but of a container, device cgroup or security module */
	IFPP_ERROR_UNSUPPORTED,		/* a port or modem that offers no way to its eUICC */
	IFPP_ERROR_TIME_UNKNOWN,	/* the clock is behind what is proven to be past */
	IFPP_ERROR_ORDER,		/* cancelled */
	IFPP_ERROR_NO_REWORK,		/* a chip that cannot delete its profiles in the factory, or not now */
	IFPP_ERROR_DATABASE,		/* the Key Maker's ledger cannot be reached or written now */
	IFPP_ERROR_SECOND,		/* two packages of one key, or with one ICCID */
} IfppError;

/**
 * ifpp_fail() - set an error of this domain
 * @error: where to, may be NULL
 * @code: an IfppError
 * @format: printf() format of the message
 *
 * Return: FALSE, so that a check can end with it.
 */
gboolean ifpp_fail(GError **error, IfppError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * ifpp_error_name() - stable short name of a code, for logs and JSON
 * @code: an IfppError
 *
 * Return: lower case with dashes ("wrong-eid"); "unknown" for any other number.
 */
const char *ifpp_error_name(int code);

/**
 * ifpp_error_hint() - what the operator should do about a code
 * @code: an IfppError
 *
 * Return: one sentence, never NULL.
 */
const char *ifpp_error_hint(int code);

/**
 * enum IfppExit - exit codes of every program of the project
 */
typedef enum {
	IFPP_EXIT_OK = 0,
	IFPP_EXIT_FAILED = 1,
	IFPP_EXIT_USAGE = 2,
	IFPP_EXIT_NO_DEVICE = 3,	/* no modem, no eUICC, no driver */
	IFPP_EXIT_ACCESS = 4,		/* no rights */
	IFPP_EXIT_INPUT = 5,		/* a file is missing, damaged or not what it should be */
	IFPP_EXIT_REFUSED = 6,		/* a sound file that must not be accepted */
	IFPP_EXIT_LOCKED = 7,
	IFPP_EXIT_CHIP = 8,		/* chip or modem failed */
	IFPP_EXIT_IO = 9,		/* disk full, failing or read-only */
	IFPP_EXIT_TOKEN = 10,		/* token missing or PIN wrong */
	IFPP_EXIT_TIME = 11,		/* this machine does not know the time yet */
	IFPP_EXIT_BUSY = 75,		/* try again */
} IfppExit;

/**
 * ifpp_error_exit() - print an error as one line on standard error
 * @program: name in front
 * @error: what happened; its message names the thing, the hint of its code follows
 *
 * Return: the IfppExit that fits the code.
 */
int ifpp_error_exit(const char *program, const GError *error);

#endif
