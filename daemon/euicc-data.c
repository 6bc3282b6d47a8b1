// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "euicc-data.h"

IfppFactoryInfo *euicc_data_add_certs(GBytes **full, GBytes *response, GError **error)
{
	g_autoptr(GBytes) eum = NULL, euicc = NULL, before = *full;

	if (!es10_get_certs_parse(response, &eum, &euicc, error)) {
		*full = g_steal_pointer(&before);
		return NULL;
	}
	*full = ifpp_factory_info_add_certs(ifpp_span_bytes(before), eum, euicc);
	return ifpp_factory_info_parse(ifpp_span_bytes(*full), error);
}

gboolean euicc_data_sound(IfppSpan info2)
{
	IfppSpan in = info2;
	IfppTlv whole, tlv;

	if (!ifpp_tlv_expect(&in, 0xbf22, "EUICCInfo2", &whole, NULL) || in.len)
		return FALSE;
	for (in = whole.value; in.len;) {
		if (!ifpp_tlv_next(&in, &tlv, NULL))
			return FALSE;
	}
	return ifpp_tlv_find(whole.value, 0x82, &tlv) && tlv.value.len == 3;
}

gboolean euicc_data_stored(Chip *chip)
{
	g_autoptr(GBytes) data = outbox_euicc_data(chip->outbox);
	IfppSpan ff21, bf22;
	guint8 eid[16];

	return data && ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, NULL) &&
	       !memcmp(eid, chip->eid, sizeof(eid)) && euicc_data_sound(bf22);
}

gboolean euicc_data_iot(Chip *chip)
{
	g_autoptr(GBytes) data = outbox_euicc_data(chip->outbox);

	return data && ifpp_euicc_data_is_iot(ifpp_span_bytes(data));
}

gboolean euicc_data_store(Chip *chip, GBytes *full, GBytes *info2, GError **error)
{
	g_autoptr(GBytes) data = ifpp_euicc_data_build(chip->eid, ifpp_span_bytes(full), ifpp_span_bytes(info2));

	return outbox_store_euicc_data(chip->outbox, data, error);
}
