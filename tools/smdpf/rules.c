// SPDX-License-Identifier: GPL-2.0-or-later
#include "rules.h"

#include <string.h>

#include "eid.h"
#include "error.h"
#include "file.h"

#define GROUP "Eligibility"
#define RULES_MAX (1024 * 1024)

typedef struct {
	char first[IFPP_EID_DIGITS + 1], last[IFPP_EID_DIGITS + 1];
} Range;

enum { PROFILE_VERSION, SVN, FIRMWARE, N_VERSIONS };

/* Versions in EUICCInfo2 that a rule can be about. */
static const struct {
	const char *key, *what;
	guint32 tag;
} versions[N_VERSIONS] = {
	{ "MinProfileVersion", "profile package version", 0x81 },
	{ "MinSVN", "SGP.22 version", 0x82 },
	{ "MinFirmware", "firmware version", 0x83 },
};

struct _Rules {
	GArray *ranges;			/* of Range; empty: any EID */
	guint classes;			/* bit for each; 0: any */
	guint32 min[N_VERSIONS];	/* major << 16 | minor << 8 | revision */
	guint64 free_memory;
};

static gboolean refuse(const char *path, const char *key, GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: %s: %s", path, key, what);
	return FALSE;
}

/* 8904 stands for 8904 00…0 to 8904 99…9. */
static gboolean parse_range(const char *text, Range *out)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);

	for (guint i = 0; ends[i]; i++) {
		gsize len = strlen(ends[i]);

		if (!len || len > IFPP_EID_DIGITS || strspn(ends[i], "0123456789") != len)
			return FALSE;
	}
	if (!ends[0])
		return FALSE;
	memset(out->first, '0', IFPP_EID_DIGITS);
	memset(out->last, '9', IFPP_EID_DIGITS);
	out->first[IFPP_EID_DIGITS] = out->last[IFPP_EID_DIGITS] = '\0';
	memcpy(out->first, ends[0], strlen(ends[0]));
	memcpy(out->last, ends[1] ? ends[1] : ends[0], strlen(ends[1] ? ends[1] : ends[0]));
	return strcmp(out->first, out->last) <= 0;
}

static gboolean parse_version(const char *text, guint32 *out)
{
	g_auto(GStrv) parts = g_strsplit(text, ".", -1);

	*out = 0;
	if (g_strv_length(parts) != 3)
		return FALSE;
	for (guint i = 0; i < 3; i++) {
		guint64 n;

		if (!g_ascii_string_to_unsigned(parts[i], 10, 0, 255, &n, NULL))
			return FALSE;
		*out = *out << 8 | n;
	}
	return TRUE;
}

static gboolean parse_classes(char **words, guint *out)
{
	static const char *const names[] = { "test", "provisioning", "operational" };

	for (guint i = 0; words[i]; i++) {
		guint j;

		for (j = 0; j < G_N_ELEMENTS(names) && strcmp(words[i], names[j]); j++)
			;
		if (j == G_N_ELEMENTS(names))
			return FALSE;
		*out |= 1 << j;
	}
	return *out != 0;
}

static gboolean parse_rule(Rules *rules, GKeyFile *file, const char *path, const char *key, GError **error)
{
	g_autofree char *text = g_key_file_get_string(file, GROUP, key, NULL);

	if (!text)
		return refuse(path, key, error, "not text");
	if (!strcmp(key, "EIDs") || !strcmp(key, "Classes")) {
		g_auto(GStrv) words = g_key_file_get_string_list(file, GROUP, key, NULL, NULL);

		if (!strcmp(key, "Classes"))
			return parse_classes(words, &rules->classes) ||
			       refuse(path, key, error, "not a list of operational, test, provisioning");
		for (guint i = 0; words[i]; i++) {
			Range range;

			if (!parse_range(words[i], &range))
				return refuse(path, key, error, "not a list of prefixes or FIRST-LAST");
			g_array_append_val(rules->ranges, range);
		}
		return rules->ranges->len || refuse(path, key, error, "empty");
	}
	if (!strcmp(key, "MinFreeMemory"))
		return g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT32, &rules->free_memory, NULL) ||
		       refuse(path, key, error, "not a number of bytes");
	for (guint i = 0; i < N_VERSIONS; i++)
		if (!strcmp(key, versions[i].key))
			return parse_version(text, &rules->min[i]) ||
			       refuse(path, key, error, "not a version like 2.1.0");
	return refuse(path, key, error, "not a rule that this program knows");
}

Rules *rules_load(const char *path, GError **error)
{
	g_autoptr(Rules) rules = g_new0(Rules, 1);
	g_autoptr(GBytes) text = ifpp_file_read(path, RULES_MAX, error);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_auto(GStrv) groups = NULL, keys = NULL;

	rules->ranges = g_array_new(FALSE, FALSE, sizeof(Range));
	if (!text)
		return NULL;
	if (!g_key_file_load_from_bytes(file, text, 0, NULL)) {
		refuse(path, GROUP, error, "not a key file");
		return NULL;
	}
	groups = g_key_file_get_groups(file, NULL);
	keys = g_key_file_get_keys(file, GROUP, NULL, NULL);
	if (!keys || g_strv_length(groups) != 1) {
		refuse(path, GROUP, error, "not the only group");
		return NULL;
	}
	for (guint i = 0; keys[i]; i++)
		if (!parse_rule(rules, file, path, keys[i], error))
			return NULL;
	return g_steal_pointer(&rules);
}

void rules_free(Rules *rules)
{
	if (!rules)
		return;
	g_array_unref(rules->ranges);
	g_free(rules);
}

static gboolean not_eligible(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean not_eligible(GError **error, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY, "not eligible: %s", text);
	return FALSE;
}

static gboolean check_eid(const Rules *rules, const guint8 eid[16], GError **error)
{
	char text[IFPP_EID_DIGITS + 1];

	ifpp_eid_format(eid, text);
	for (guint i = 0; i < rules->ranges->len; i++) {
		const Range *range = &g_array_index(rules->ranges, Range, i);

		if (strcmp(text, range->first) >= 0 && strcmp(text, range->last) <= 0)
			return TRUE;
	}
	return !rules->ranges->len || not_eligible(error, "EID %s is in none of the EIDs", text);
}

static gboolean check_info(const Rules *rules, IfppSpan info2, GError **error)
{
	IfppTlv bf22 = {}, tlv, memory;

	ifpp_tlv_take(&info2, 0xBF22, &bf22);
	for (guint i = 0; i < N_VERSIONS; i++) {
		guint32 have;

		if (!rules->min[i])
			continue;
		if (!ifpp_tlv_find(bf22.value, versions[i].tag, &tlv) || tlv.value.len != 3)
			return not_eligible(error, "the chip does not tell its %s", versions[i].what);
		have = tlv.value.data[0] << 16 | tlv.value.data[1] << 8 | tlv.value.data[2];
		if (have < rules->min[i])
			return not_eligible(error, "%s %u.%u.%u is below %s", versions[i].what, tlv.value.data[0],
					    tlv.value.data[1], tlv.value.data[2], versions[i].key);
	}
	if (rules->free_memory) {
		guint64 have = 0;

		/* extCardResource: 82 is free non-volatile memory, an unsigned number of any width */
		if (!ifpp_tlv_find(bf22.value, 0x84, &tlv) || !ifpp_tlv_find(tlv.value, 0x82, &memory) ||
		    !memory.value.len || memory.value.len > 8)
			return not_eligible(error, "the chip does not tell its free memory");
		for (gsize i = 0; i < memory.value.len; i++)
			have = have << 8 | memory.value.data[i];
		if (have < rules->free_memory)
			return not_eligible(error, "%" G_GUINT64_FORMAT " bytes free are below MinFreeMemory", have);
	}
	return TRUE;
}

gboolean rules_check(const Rules *rules, const guint8 eid[16], IfppSpan euicc_info2, ProfileClass class,
		     GError **error)
{
	if (!rules)
		return TRUE;
	if (rules->classes && !(rules->classes & 1 << class))
		return not_eligible(error, "the profile's class is in none of the Classes");
	return check_eid(rules, eid, error) && check_info(rules, euicc_info2, error);
}
