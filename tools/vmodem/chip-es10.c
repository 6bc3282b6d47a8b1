// SPDX-License-Identifier: GPL-2.0-or-later
/* Which service answers an ES10 command, and whether it may now. */
#include "chip-services.h"

static const ChipService *const tables[] = { chip_factory_services, chip_session_services, chip_field_services,
					     chip_iot_services };

static const ChipService *find_service(Chip *chip, guint32 tag)
{
	gboolean iot = chip->mem->iot || (chip->quirks.getcerts && tag == CHIP_TAG_GET_CERTS);

	for (guint i = 0; i < G_N_ELEMENTS(tables) - !iot; i++)
		for (const ChipService *service = tables[i]; service->tag; service++)
			if (service->tag == tag)
				return service;
	return NULL;
}

guint16 chip_es10(Chip *chip, guint channel, IfppSpan command, GByteArray *out)
{
	const ChipService *service;
	IfppSpan rest = command;
	gsize hdr, len;
	guint32 tag;
	IfppTlv tlv;

	if (!ifpp_tlv_header(command, &tag, &hdr, &len, NULL))
		return SW_WRONG_DATA;
	if (chip_load_tag(tag))
		return chip_load_segment(chip, channel, command, out);
	if (!ifpp_tlv_next(&rest, &tlv, NULL) || rest.len)
		return SW_WRONG_DATA;
	service = find_service(chip, tag);
	/* SGP.22 5.7.6: few commands do not disturb a load between two of its segments. */
	if (chip_load_running(chip) && !(service && service->when & SERVE_IN_LOAD))
		return SW_CONDITIONS;
	if (chip->mem->keys->len && !(service ? service->when & SERVE_WITH_KEYS : (tag & 0xFF00) == 0xFF00))
		return SW_CONDITIONS;
	return service ? service->serve(chip, channel, tlv.value, out) : SW_NO_REFERENCE;
}
