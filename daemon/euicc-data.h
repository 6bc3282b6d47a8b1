/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chip's data for the Key Maker, as it exported them at the first meeting. */
#ifndef IFPPD_EUICC_DATA_H
#define IFPPD_EUICC_DATA_H

#include "chip.h"

/*
 * The full export of a chip that has its certificates in GetCerts alone: @full, bytes of GetFactoryInfo, gets them out of
 * @response, and is parsed. Errors: of es10_get_certs_parse() and ifpp_factory_info_parse()
 */
IfppFactoryInfo *euicc_data_add_certs(GBytes **full, GBytes *response, GError **error);
/* EUICCInfo2 can be read: TLVs, with the version that each chip has. */
gboolean euicc_data_sound(IfppSpan info2);
/* What is on disk is of this chip, and can be read. */
gboolean euicc_data_stored(Chip *chip);
/* An IoT eUICC (SGP.32), as it said of itself then. */
gboolean euicc_data_iot(Chip *chip);
/* Replaces what is there. Errors: of outbox_store_euicc_data() */
gboolean euicc_data_store(Chip *chip, GBytes *full, GBytes *info2, GError **error);

#endif
