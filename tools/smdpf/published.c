// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys that everybody knows, and what a profile with one of them may be. */
#include "profile.h"

#include <string.h>

#include "error.h"
#include "upp.h"

#define KEY_LEN 16

enum { PE_AKA = 0xA4, PE_SD = 0xA6 };
enum { ALGORITHM_TEST = 3 };

gboolean profile_key_is_weak(const guint8 *key, gsize len)
{
	/* TS 34.108, a counting pattern, TS 35.208 set 1; RAM and RFM keys of TS.48, three */
	static const guint8 published[][KEY_LEN] = {
		{ 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f },
		{ 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff },
		{ 0x46, 0x5b, 0x5c, 0xe8, 0xb1, 0x99, 0xb4, 0x9f, 0xaa, 0x5f, 0x0a, 0x2e, 0xe2, 0x38, 0xa6, 0xbc },
		{ 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0x11, 0x22, 0x33, 0x44, 0x55, 0xee, 0xff, 0x10 },
		{ 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x10 },
		{ 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x10, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 },
	};
	gboolean same = TRUE;

	/* of a longer one, too: nobody draws such a half */
	for (guint i = 0; i < G_N_ELEMENTS(published) && len >= KEY_LEN; i++)
		if (!memcmp(key, published[i], KEY_LEN))
			return TRUE;
	for (gsize i = 1; i < len; i++)
		same &= key[i] == key[0];
	return same;
}

static const char *weak_aka(IfppSpan pe)
{
	IfppTlv choice, algorithm, tlv;

	if (!ifpp_tlv_find(pe, 0xA1, &choice) || !ifpp_tlv_find(choice.value, 0xA1, &algorithm))
		return NULL;	/* a mapping to another one's parameters has no key of its own */
	if (ifpp_tlv_find(algorithm.value, 0x80, &tlv) && tlv.value.len == 1 && tlv.value.data[0] == ALGORITHM_TEST)
		return "the test algorithm, which no operator's network lets in: give records with Ki and OPc";
	if (ifpp_tlv_find(algorithm.value, 0x82, &tlv) && tlv.value.len >= KEY_LEN &&
	    profile_key_is_weak(tlv.value.data, tlv.value.len))
		return "a Ki that is published or no key at all: give records with Ki and OPc";
	return NULL;
}

/* With such a key anybody can manage the card over the air. The version tells which column is missing. */
static char *weak_sd(IfppSpan pe)
{
	IfppTlv list, one, version, components, component, data;

	if (!ifpp_tlv_find(pe, 0xA2, &list))
		return NULL;
	while (list.value.len && ifpp_tlv_next(&list.value, &one, NULL)) {
		if (!ifpp_tlv_find(one.value, 0x83, &version) || version.value.len != 1 ||
		    !ifpp_tlv_find(one.value, 0x30, &components))
			continue;
		while (components.value.len && ifpp_tlv_next(&components.value, &component, NULL))
			if (ifpp_tlv_find(component.value, 0x86, &data) && data.value.len >= KEY_LEN &&
			    profile_key_is_weak(data.value.data, data.value.len))
				return g_strdup_printf("a security domain with a key that is published or no key at all: give "
						       "records with the keys of version %02X", version.value.data[0]);
	}
	return NULL;
}

/* A terminal that conceals with such a key conceals nothing. */
static gboolean weak_suci(IfppSpan upp)
{
	g_autoptr(GByteArray) terminal = ifpp_upp_file(upp, IFPP_UPP_SUCI), usim = ifpp_upp_file(upp, IFPP_UPP_SUCI_USIM);

	return (terminal && suci_is_weak((IfppSpan){ terminal->data, terminal->len })) ||
	       (usim && suci_is_weak((IfppSpan){ usim->data, usim->len }));
}

gboolean profile_check_class(IfppSpan upp, ProfileClass class, GError **error)
{
	IfppTlv pe;

	if (class != PROFILE_TEST && weak_suci(upp)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "profile: has an EF.SUCI_Calc_Info with a home network key that is published "
			    "or no key at all: give records with SUCI-KEY, or say --class test");
		return FALSE;
	}
	while (class != PROFILE_TEST && upp.len && ifpp_tlv_next(&upp, &pe, NULL)) {
		g_autofree char *what = pe.tag == PE_AKA ? g_strdup(weak_aka(pe.value)) :
					pe.tag == PE_SD  ? weak_sd(pe.value) : NULL;

		if (!what)
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "profile: has %s, or say --class test", what);
		return FALSE;
	}
	return TRUE;
}
