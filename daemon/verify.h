/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold before a byte reaches the chip, and before a result of the chip is believed. */
#ifndef IFPPD_VERIFY_H
#define IFPPD_VERIFY_H

#include "euicc.h"
#include "package.h"

/**
 * verify_package() - everything that a package must be before it goes to this chip
 * @file: the sealed package
 * @trust: CI roots and CRLs, up to date: a CRL may have come in
 * @eid: of this chip
 * @full: this chip's verified full export, where the one-time public keys are
 * @now: what the chip has now
 * @offered: whether the chip still has the key; if not, the package is genuine and for this chip, and cannot be loaded
 * @error: as ifpp_package_open() and ifpp_package_check_chip()
 */
IfppPackage *verify_package(GBytes *file, IfppTrust *trust, const guint8 eid[16], IfppFactoryInfo *full,
			    IfppFactoryInfo *now, gboolean *offered, GError **error);

/**
 * verify_pir() - a ProfileInstallationResult of this chip
 * @bytes: the BF37 TLV
 * @cert_euicc: this chip's verified certificate
 * @transaction: what it must answer, or an empty span for any
 * @error: IFPP_ERROR_PIR, PIR_SIGNATURE, PIR_MISMATCH, TLV
 */
IfppPir *verify_pir(GBytes *bytes, GBytes *cert_euicc, IfppSpan transaction, GError **error);

/**
 * verify_progress() - may a chip that said @before say @after?
 * @before: an earlier report, or NULL
 * @after: a later one
 * @error: IFPP_ERROR_CHIP
 *
 * The report is not signed, so a garbled one must not reach the kernel: there it would look
 * like tampering. Keys only go, each is spent or deleted, and deleting takes all of them.
 */
gboolean verify_progress(IfppFactoryInfo *before, IfppFactoryInfo *after, GError **error);

/* The errno that a refusal or failure gives the client. */
int verify_errno(const GError *error);

#endif
