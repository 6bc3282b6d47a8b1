// SPDX-License-Identifier: GPL-2.0-or-later
#include "suci.h"

#include <string.h>

#include "bsp.h"
#include "error.h"

#define TAG_SCHEMES 0xA0
#define TAG_KEYS 0xA1
#define TAG_KEY_ID 0x80
#define TAG_KEY 0x81

#define refuse(error, ...) ifpp_fail(error, IFPP_ERROR_USAGE, __VA_ARGS__)

/* ------------------------------------------------------------ keys */

/* Where the x-coordinate is, or all of an X25519 key. */
static IfppSpan coordinate(IfppSpan key)
{
	return key.len == 32 ? key : (IfppSpan){ key.data + 1, MIN(key.len - 1, 32) };
}

gboolean suci_key_is_weak(IfppSpan key)
{
	/* TS 33.501 C.4: the home network's keys and the ephemeral ones, of profiles A and B */
	static const char *const published[] = {
		"5a8d38864820197c3394b92613b20b91633cbd897119273bf8e4a6f4eec0a650",
		"b2e92f836055a255837debf850b528997ce0201cb82adfe4be1f587d07d8457d",
		"72da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1",
		"9aab8376597021e855679a9778ea0b67396e68c66df32c0f41e9acca2da9b9d1",
	};

	for (guint i = 0; i < G_N_ELEMENTS(published); i++) {
		g_autoptr(GBytes) known = ifpp_unhex(published[i]);

		if (ifpp_span_equal(coordinate(key), ifpp_span_bytes(known)))
			return TRUE;
	}
	return !ifpp_public_key_sound(key);
}

gboolean suci_is_weak(IfppSpan content)
{
	IfppTlv schemes, list, tlv;

	/* what is after them is no TLV */
	if (!ifpp_tlv_take(&content, TAG_SCHEMES, &schemes) || !ifpp_tlv_take(&content, TAG_KEYS, &list))
		return FALSE;
	while (list.value.len && ifpp_tlv_next(&list.value, &tlv, NULL))
		if (tlv.tag == TAG_KEY && suci_key_is_weak(tlv.value))
			return TRUE;
	return FALSE;
}

/* ------------------------------------------------------------ words */

static gboolean parse_schemes(char **words, guint8 out[SUCI_SCHEMES], guint *n, GError **error)
{
	static const char *const names[SUCI_SCHEMES][2] = { { "null", "0" }, { "A", "1" }, { "B", "2" } };
	guint seen = 0;

	for (guint i = 0; words[i]; i++) {
		guint8 scheme = 0;

		while (scheme < SUCI_SCHEMES && g_ascii_strcasecmp(words[i], names[scheme][0]) && strcmp(words[i], names[scheme][1]))
			scheme++;
		if (scheme == SUCI_SCHEMES || seen & 1 << scheme)
			return refuse(error, "SUCI-SCHEME: %s is not A, B or null, or is there twice", words[i]);
		if (seen & 1 << SUCI_NULL)
			return refuse(error, "SUCI-SCHEME: null comes last: what is after it is never used");
		seen |= 1 << scheme;
		out[(*n)++] = scheme;
	}
	return *n || refuse(error, "SUCI-SCHEME is not A, B or null");
}

static gboolean parse_key(const char *word, guint8 scheme, gboolean test, GByteArray *out, GError **error)
{
	g_autoptr(GBytes) key = ifpp_unhex(word);
	IfppSpan span = key ? ifpp_span_bytes(key) : (IfppSpan){};

	if (scheme == SUCI_A ? span.len != 32 : span.len != 33 && span.len != 65)
		return refuse(error, "SUCI-KEY: %s is not a key of profile %s", word,
			      scheme == SUCI_A ? "A, X25519: 64 hex digits" : "B, P-256: 66 hex digits, or 130 uncompressed");
	if (!ifpp_public_key_sound(span))
		return refuse(error, "SUCI-KEY: %s is no public key of %s", word, scheme == SUCI_A ? "X25519" : "P-256");
	if (!test && suci_key_is_weak(span))
		return refuse(error, "SUCI-KEY: %s is published with its private key (TS 33.501, annex C): everybody could read the "
			      "subscriber's identity (--class test takes it)", word);
	ifpp_tlv_put_span(out, TAG_KEY, span);
	return TRUE;
}

static gboolean parse_keys(char **keys, char **ids, const guint8 *schemes, guint n, gboolean test, GByteArray *out, GError **error)
{
	guint64 last = 256, id;

	for (guint i = 0; i < n; i++) {
		if (!g_ascii_string_to_unsigned(ids[i], 10, 0, 255, &id, NULL) || id == last)
			return refuse(error, "SUCI-KEY-ID: %s is not a number from 0 to 255, or is there twice", ids[i]);
		last = id;
		ifpp_tlv_put(out, TAG_KEY_ID, (guint8[]){ id }, 1);
		if (!parse_key(keys[i], schemes[i], test, out, error))
			return FALSE;
	}
	return TRUE;
}

/* Words with one space or more between them. */
static char **words_of(const char *text)
{
	g_auto(GStrv) parts = g_strsplit_set(text ? text : "", " \t", -1);
	g_autoptr(GStrvBuilder) out = g_strv_builder_new();

	for (guint i = 0; parts[i]; i++)
		if (*parts[i])
			g_strv_builder_add(out, parts[i]);
	return g_strv_builder_end(out);
}

gboolean suci_parse(const char *schemes, const char *keys, const char *ids, gboolean test, Suci *suci, GError **error)
{
	g_auto(GStrv) scheme_words = words_of(schemes), key_words = words_of(keys), id_words = words_of(ids);
	g_autoptr(GByteArray) out = g_byte_array_new(), body = g_byte_array_new();
	guint8 order[SUCI_SCHEMES];
	guint n = 0, n_keys;

	*suci = (Suci){};
	if (!parse_schemes(scheme_words, order, &n, error))
		return FALSE;
	n_keys = n - (order[n - 1] == SUCI_NULL);
	if (g_strv_length(key_words) != n_keys || g_strv_length(id_words) != n_keys)
		return refuse(error, "SUCI-SCHEME %s needs %u keys in SUCI-KEY and as many numbers in SUCI-KEY-ID, with spaces between "
			      "them", schemes, n_keys);
	for (guint i = 0; i < n; i++) {
		g_byte_array_append(body, (guint8[]){ order[i], order[i] == SUCI_NULL ? 0 : i + 1 }, 2);
		suci->schemes |= 1 << order[i];
	}
	ifpp_tlv_put(out, TAG_SCHEMES, body->data, body->len);
	g_byte_array_set_size(body, 0);
	if (!parse_keys(key_words, id_words, order, n_keys, test, body, error))
		return FALSE;
	if (n_keys)
		ifpp_tlv_put(out, TAG_KEYS, body->data, body->len);
	g_assert(out->len <= sizeof(suci->content));
	memcpy(suci->content, out->data, out->len);
	suci->len = out->len;
	return TRUE;
}

/* Digits two in a byte, and two bytes that are not used. */
gboolean suci_routing(const char *digits, guint8 out[4], GError **error)
{
	gsize n = strlen(digits);

	if (!n || n > 4 || strspn(digits, "0123456789") != n)
		return refuse(error, "ROUTING-INDICATOR %s is not 1 to 4 digits", digits);
	memset(out, 0xFF, 4);
	for (gsize i = 0; i < n; i++) {
		guint8 d = digits[i] - '0';

		out[i / 2] = i % 2 ? (out[i / 2] & 0x0F) | d << 4 : (out[i / 2] & 0xF0) | d;
	}
	return TRUE;
}
