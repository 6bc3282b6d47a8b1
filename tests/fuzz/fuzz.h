/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: the keys that tests/fuzz/seeds made, and the one property that counts
 * beside not crashing: what verifies is one of the seeds, byte for byte.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "tlv.h"
#include "x509.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Files of $IFPP_FUZZ_SEEDS/keys */
extern GBytes *fuzz_ci, *fuzz_dppb, *fuzz_euicc, *fuzz_eum, *fuzz_otpk;
extern IfppTrust *fuzz_trust;
extern guint8 fuzz_eid[16];

/* Abort unless @data is a file in $IFPP_FUZZ_SEEDS/@target. */
void fuzz_must_be_seed(const char *target, IfppSpan data);
GPtrArray *fuzz_seeds(const char *target);
/* One file of $IFPP_FUZZ_SEEDS. */
GBytes *fuzz_file(const char *sub, const char *name);

#endif
