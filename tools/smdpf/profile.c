// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile.h"

#include <string.h>

#include "eid.h"

/* One line of comment per profile element. There is a place for every column of a subscriber (generate.c) but keys for the air. */
static const char builtin[] =
	/* header: version 2.3; services usim, isim and usim-test-algorithm; templates of MF, USIM, opt-USIM, ISIM and 5GS */
	"a052800102810103820c49465050206d696e696d616c830a89999000000000000000a506810082009100a62806066781"
	"0f010201060667810f010204060667810f010205060667810f010208060667810f01020d"
	/* mf: EF.ICCID, EF.DIR with both applications, EF.ARR */
	"b081c6a0058000810101810667810f010201a20ba1098b032f0601c602010aa40c830a98990900000000000000a547a1"
	"1282044221002683022f008b032f060280014c831661144f0ca0000000871002ff49ff058950045553494d8201108316"
	"61144f0ca0000000871004ff49ff058950044953494da651a11282044221001883022f068b032f0602800148830b8001"
	"5ea40683010a95010882010d8310800101900080011aa40683010a9501088201088316800103a4068301019501088001"
	"5aa40683010a950108"
	/* pukCodes: PUK 1 and 2 */
	"a328a0058000810102a11f300d80010181083131313131313131300e8002008181083232323232323232"
	/* pinCodes: PIN 1 0000, ADM 1 */
	"a236a0058000810103a12da02b3013800101810830303030ffffffff820101830106301480010a810835353535353535"
	"35830103840200aa"
	/* usim: EF.IMSI, EF.ARR, EF.UST, EF.SMSP, EF.SPN, EF.EST, EF.ACC, EF.ECC */
	"b381fca0058000810104810667810f010204a21ea11c83027fd0840ca0000000871002ff49ff05898b032f0601c60381"
	"010aa30b8309080999990700000000a451a11282044221001883026f068b036f0602800148830b80015ea40683010a95"
	"010882010d8310800101900080011aa40683010a9501088201088316800103a40683010195010880015aa40683010a95"
	"0108a818a10380011183110a00000000000000000000000000000000ab0ba10982044221001c80011cad138311004946"
	"5050ffffffffffffffffffffffffae03830100b20483020001b624a11282044221000e83026fb78b036f060280010e83"
	"0e11f2ffffffffffffffffffffff00"
	/* pinCodes of the USIM: PIN 2 9999 */
	"a222a0058000810105a119a017301580020081810839393939ffffffff82020081830103"
	/* opt-usim: EF.MSISDN */
	"b41ca0058000810106810667810f010205a70ba10982044221001c80011c"
	/* df-5gs: EF.SUCI_Calc_Info with room for two keys, EF.Routing_Indicator */
	"bc2ca005800081010c810667810f01020da210a10e83025fc08b036f0601c60381010aa905a103800176ac02a100"
	/* akaParameter: the test algorithm of TS 34.108 with its published key */
	"a435a0058000810107a12ca12a8001038101028210000102030405060708090a0b0c0d0e0f8310000000000000000000"
	"00000000000000"
	/* isim: EF.IMPI, EF.IMPU, EF.DOMAIN, the table of services, EF.ARR */
	"b581aca0058000810108810667810f010208a21ea11c83027fb0840ca0000000871004ff49ff05898b032f0601c60381"
	"010aa30aa1088b036f0601800140a410a10e8204422100408b036f0601800140a50aa1088b036f0601800130a60ea108"
	"8b036f060280010283020000a841a11282044221001883026f068b036f06028001308316800101a40683010195010880"
	"015aa40683010a9501088201028310800101900080011aa40683010a950108"
	/* pinCodes of the ISIM: PIN 2 */
	"a222a0058000810109a119a017301580020081810839393939ffffffff82020081830103"
	/* akaParameter of the ISIM: those of the USIM */
	"a41ca005800081010aa113a011800106810ca0000000871002ff49ff0589"
	/* end */
	"aa07a005800081010b";

static char *builtin_digits(guint64 serial)
{
	g_autofree char *digits = g_strdup_printf("89999%014" G_GUINT64_FORMAT, serial % 100000000000000);

	return g_strdup_printf("%s%c", digits, ifpp_luhn(digits));
}

void profile_builtin_iccid(guint64 serial, guint8 iccid[10])
{
	g_autofree char *digits = builtin_digits(serial);

	ifpp_iccid_parse(digits, iccid, NULL);
}

GByteArray *profile_builtin(guint64 serial, GError **error)
{
	g_autoptr(GBytes) template = ifpp_unhex(builtin);
	g_autofree char *iccid = builtin_digits(serial);
	g_autofree char *imsi = g_strdup_printf("99970%010" G_GUINT64_FORMAT, serial % 10000000000);

	return profile_personalise(ifpp_span_bytes(template),
				   &(ProfileRecord){ .iccid = iccid, .imsi = imsi }, error);
}

GByteArray *profile_metadata(const guint8 iccid[10], const char *spn, const char *name, ProfileClass class)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	GByteArray *out = g_byte_array_new();
	guint8 value = class;

	ifpp_tlv_put(body, 0x5A, iccid, IFPP_ICCID_BYTES);
	ifpp_tlv_put(body, 0x91, spn, strlen(spn));
	ifpp_tlv_put(body, 0x92, name, strlen(name));
	ifpp_tlv_put(body, 0x95, &value, 1);
	ifpp_tlv_put(out, 0xBF25, body->data, body->len);
	return out;
}

void profile_glance(IfppSpan file, guint8 iccid[10], char **name, guint8 version[2])
{
	IfppTlv first, id, major, minor, text = {};
	gboolean clear;

	if (!ifpp_tlv_take(&file, 0xA0, &first) && !ifpp_tlv_take(&file, 0x30, &first))
		return;
	clear = first.tag == 0xA0;
	if (!ifpp_tlv_find(first.value, clear ? 0x83 : 0x5A, &id) || id.value.len != IFPP_ICCID_BYTES)
		return;
	memcpy(iccid, id.value.data, IFPP_ICCID_BYTES);
	if (clear)
		ifpp_nibble_swap(iccid, IFPP_ICCID_BYTES);
	if (clear && ifpp_tlv_find(first.value, 0x80, &major) && ifpp_tlv_find(first.value, 0x81, &minor) && major.value.len == 1 &&
	    minor.value.len == 1) {
		version[0] = major.value.data[0];
		version[1] = minor.value.data[0];
	} else if (!clear && ifpp_tlv_find(first.value, 0x82, &major) && major.value.len == 2) {
		memcpy(version, major.value.data, 2);
	}
	if (ifpp_tlv_find(first.value, clear ? 0x82 : 0x0C, &text) &&
	    g_utf8_validate((const char *)text.value.data, text.value.len, NULL))
		*name = g_strndup((const char *)text.value.data, text.value.len);
	else
		*name = g_strdup("");
}
