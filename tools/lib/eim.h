/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration of an eIM, the remote manager of an IoT eUICC: EimConfigurationData (SGP.32, 2.11.1.1). */
#ifndef IFPP_EIM_H
#define IFPP_EIM_H

#include "tlv.h"

#define IFPP_EIM_MAX (8 * 1024)		/* bytes of one, a certificate and a TLS certificate included */
#define IFPP_EIM_NEW_TOKEN 0xFF		/* associationToken -1: the eUICC makes one */

/**
 * struct IfppEim - one EimConfigurationData, taken apart
 * @whole: the 30 TLV
 * @id: eimId
 * @token: associationToken, as its bytes; empty: none
 * @ci: euiccCiPKId; empty: none
 */
typedef struct {
	IfppSpan whole;
	IfppSpan id;
	IfppSpan token;
	IfppSpan ci;
} IfppEim;

/**
 * ifpp_eim_parse() - take one EimConfigurationData apart
 * @in: the 30 TLV and nothing after it; must outlive @eim
 * @eim: filled, points into @in
 * @error: IFPP_ERROR_TLV: not one, or not as AddInitialEim needs it
 *
 * Members stand in the order of the ASN.1, each at most once. There is an eimId of 1 to 128 bytes UTF-8, and an
 * eimPublicKeyData: an eUICC that took an eIM without a key would never obey it.
 */
gboolean ifpp_eim_parse(IfppSpan in, IfppEim *eim, GError **error);

/**
 * ifpp_eim_same() - is that the eIM that was wanted?
 * @wanted: as its operator gave it
 * @there: as an eUICC gives it back
 *
 * What the eUICC decides itself does not count: counterValue, which rises with each package of the eIM's, associationToken,
 * and an euiccCiPKId that was not asked for.
 */
gboolean ifpp_eim_same(const IfppEim *wanted, const IfppEim *there);

/* eimId for people: as it is if it is printable ASCII, else escaped. */
char *ifpp_eim_name(const IfppEim *eim);

/**
 * ifpp_eim_read() - read the configuration of an eIM from a file
 * @path: DER, or that in base64 with any white space
 * @error: IFPP_ERROR_IO, ACCESS, TOO_LARGE; TLV: as ifpp_eim_parse(), with the file's name
 *
 * Return: the 30 TLV
 */
GBytes *ifpp_eim_read(const char *path, GError **error);

#endif
