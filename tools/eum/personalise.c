// SPDX-License-Identifier: GPL-2.0-or-later
#include "personalise.h"

#include <glib/gstdio.h>

#include "chipmem.h"
#include "eid.h"
#include "error.h"
#include "file.h"

static gboolean make_keys(IfppChipMem *mem, guint keys, GError **error)
{
	while (keys--) {
		g_autoptr(IfppEcKey) key = ifpp_ec_key_generate(error);

		if (!key || !ifpp_chipmem_add_key(mem, key, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean write_data(IfppChipMem *mem, const char *path, GError **error)
{
	g_autoptr(GByteArray) ff21 = g_byte_array_new();
	g_autoptr(GByteArray) bf22 = g_byte_array_new();
	g_autoptr(GBytes) data = NULL;
	gconstpointer bytes;
	gsize len;

	ifpp_chipmem_put_factory_info(mem, TRUE, TRUE, ff21);
	ifpp_chipmem_put_info2(mem, bf22);
	data = ifpp_euicc_data_build(mem->eid, (IfppSpan){ ff21->data, ff21->len },
				     (IfppSpan){ bf22->data, bf22->len });
	bytes = g_bytes_get_data(data, &len);
	return ifpp_file_write(path, bytes, len, 0644, error);
}

gboolean personalise(PkiEum *eum, const guint8 eid[16], guint keys, guint codec, gboolean iot, const char *chip, const char *data,
		     GError **error)
{
	g_autoptr(IfppChipMem) mem = NULL;
	guint8 point[65];
	IfppEcKey *sk;

	/* A chip is born once; a second birth would leave sealed packages without their keys. */
	if (g_file_test(chip, G_FILE_TEST_EXISTS)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "%s: exists already; remove it to make this chip anew", chip);
		return FALSE;
	}
	sk = ifpp_ec_key_generate(error);
	if (!sk)
		return FALSE;
	ifpp_ec_key_point(sk, point);
	mem = ifpp_chipmem_new(chip, eid, sk);
	mem->codec = codec;
	mem->iot = mem->immediate = iot;
	mem->cert_euicc = pki_eum_certify(eum, eid, point, error);
	if (!mem->cert_euicc)
		return FALSE;
	mem->cert_eum = g_bytes_ref(pki_eum_cert(eum));
	if (pki_eum_cas(eum))
		mem->cas = g_bytes_ref(pki_eum_cas(eum));
	mem->ci = g_bytes_ref(pki_eum_ci(eum));
	if (!make_keys(mem, keys, error) || !ifpp_chipmem_commit(mem, error))
		return FALSE;
	/* Without its public data a chip is of no use to anyone: make both or neither. */
	if (!write_data(mem, data, error)) {
		g_unlink(chip);
		return FALSE;
	}
	return TRUE;
}

gboolean next_eid(guint8 eid[16])
{
	char text[IFPP_EID_DIGITS + 1];
	int i;

	ifpp_eid_format(eid, text);
	/* Digits 9 to 30 number the chips of one EUM. */
	for (i = 29; i >= 8 && text[i] == '9'; i--)
		text[i] = '0';
	if (i < 8)
		return FALSE;
	text[i]++;
	ifpp_eid_check_digits(text);
	return ifpp_eid_parse(text, eid, NULL);
}
