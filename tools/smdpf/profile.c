// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile.h"

#include <string.h>

#include "eid.h"

/* One line of comment per profile element. */
static const char builtin[] =
	/* header: version 2.3, services usim and usim-test-algorithm */
	"a038800102810103820c49465050206d696e696d616c830a89999000000000000000a50481009100a6100606"
	"67810f010201060667810f010204"
	/* mf: EF.ICCID, EF.DIR with the USIM, EF.ARR */
	"b081aba0058000810101810667810f010201a20ba1098b032f0601c602010aa40c830a989909000000000000"
	"00a52ca11282044221002683022f008b032f0602800126831661144f0ca0000000871002ff49ff0589500455"
	"53494da651a11282044221001883022f068b032f0602800148830b80015ea40683010a95010882010d831080"
	"0101900080011aa40683010a9501088201088316800103a40683010195010880015aa40683010a950108"
	/* pukCodes: PUK 1 */
	"a318a0058000810102a10f300d80010181083131313131313131"
	/* pinCodes: PIN 1 0000, ADM 1 */
	"a236a0058000810103a12da02b3013800101810830303030ffffffff820101830106301480010a8108353535"
	"3535353535830103840200aa"
	/* usim: EF.IMSI, EF.ARR, EF.UST, EF.SPN, EF.EST, EF.ACC, EF.ECC */
	"b381e9a0058000810104810667810f010204a21da11b83027fd0840ca0000000871002ff49ff05898b032f06"
	"01c602010aa30b8309080999990700000000a451a11282044221001883026f068b036f0602800148830b8001"
	"5ea40683010a95010882010d8310800101900080011aa40683010a9501088201088316800103a40683010195"
	"010880015aa40683010a950108a81383110a00000000000000000000000000000000ad1383110049465050ff"
	"ffffffffffffffffffffffae03830100b20483020001b624a11282044221000e83026fb78b036f060280010e"
	"830e11f2ffffffffffffffffffffff00"
	/* akaParameter: the test algorithm of TS 34.108 with its published key */
	"a435a0058000810105a12ca12a8001038101028210000102030405060708090a0b0c0d0e0f83100000000000"
	"0000000000000000000000"
	/* end */
	"aa07a0058000810106";

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
