// SPDX-License-Identifier: GPL-2.0-or-later
#include "rules.h"

#include <string.h>

#include <gnutls/x509.h>

#include "eid.h"
#include "error.h"
#include "file.h"
#include "x509.h"

#define ELIGIBILITY "Eligibility"
#define PROFILE "Profile "		/* and its name */
#define RULES_MAX (1024 * 1024)
#define IMEI_DIGITS 15
#define TAC_DIGITS 8			/* at the front of an IMEI (TS 23.003 6.2.1) */
#define SKI_LEN 20
#define NOT_ELIGIBLE "not eligible: "

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

enum { EIDS, TACS, IMEIS, N_RANGES };

/* Numbers by their first digits. */
static const struct {
	const char *key;
	guint digits;
} numbers[N_RANGES] = { { "EIDs", IFPP_EID_DIGITS }, { "TACs", TAC_DIGITS }, { "IMEIs", IMEI_DIGITS } };

/* UICCCapability of EUICCInfo2, by bit (TCA profile package, 3.1). */
static const char *const capabilities[] = {
	"contactless", "usim", "isim", "csim", "milenage", "cave", "tuak128", "tuak256", "usim-test-algorithm", "", "gba-usim",
	"gba-isim", "mbms", "eap", "javacard", "multos", "multiple-usim", "multiple-isim", "multiple-csim", "ber-tlv", "df-link",
	"cat-tp", "get-identity", "profile-a-x25519", "profile-b-p256", "suci-calculator-api", "dns", "scp11ac", "scp11c-authorization",
	"s16", "eaka", "iot-minimal",
};

/* One group. */
typedef struct {
	char *name;			/* of a type of profile */
	GArray *ranges[N_RANGES];	/* of Range; empty: any */
	char **eums;			/* NULL: any */
	guint32 capabilities;		/* bit for each that is needed */
	guint classes;			/* bit for each; 0: any */
	guint32 min[N_VERSIONS];	/* major << 16 | minor << 8 | revision */
	guint64 free_memory;
} Group;

struct _Rules {
	GPtrArray *profiles;	/* Group */
	Group *all;		/* which every chip must fit, or NULL */
};

static void group_free(gpointer p)
{
	Group *group = p;

	if (!group)
		return;
	for (guint i = 0; i < N_RANGES; i++)
		g_array_unref(group->ranges[i]);
	g_strfreev(group->eums);
	g_free(group->name);
	g_free(group);
}

/* A file being read. */
typedef struct {
	const char *path, *group;
	GKeyFile *file;
	GError **error;
} Load;

static gboolean refuse(const Load *load, const char *key, const char *what)
{
	/* the usual group goes without saying */
	if (!strcmp(load->group, ELIGIBILITY) || !strcmp(load->group, key))
		g_set_error(load->error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: %s: %s", load->path, key, what);
	else
		g_set_error(load->error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: [%s]: %s: %s", load->path, load->group, key, what);
	return FALSE;
}

/* 8904 stands for 8904 00…0 to 8904 99…9. */
static gboolean parse_range(const char *text, guint digits, Range *out)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);

	for (guint i = 0; ends[i]; i++) {
		gsize len = strlen(g_strstrip(ends[i]));

		if (!len || len > digits || strspn(ends[i], "0123456789") != len)
			return FALSE;
	}
	if (!ends[0])
		return FALSE;
	memset(out->first, '0', digits);
	memset(out->last, '9', digits);
	out->first[digits] = out->last[digits] = '\0';
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

static gboolean parse_ranges(const Load *load, char **words, guint which, Group *group)
{
	for (guint i = 0; words[i]; i++) {
		Range range;

		if (!parse_range(words[i], numbers[which].digits, &range))
			return refuse(load, numbers[which].key, "not a list of prefixes or FIRST-LAST");
		g_array_append_val(group->ranges[which], range);
	}
	return group->ranges[which]->len || refuse(load, numbers[which].key, "empty");
}

static gboolean parse_capabilities(const Load *load, char **words, Group *group)
{
	for (guint i = 0; words[i]; i++) {
		const char *word = g_strstrip(words[i]);
		guint bit = 0;

		while (bit < G_N_ELEMENTS(capabilities) && strcmp(word, capabilities[bit]))
			bit++;
		if (bit == G_N_ELEMENTS(capabilities) || !*word)
			return refuse(load, "Capabilities", "not a list of usim, isim, milenage, tuak128, ... (ifpp-smdpf(1) has all)");
		group->capabilities |= 1u << bit;
	}
	return group->capabilities || refuse(load, "Capabilities", "empty");
}

static gboolean parse_eums(const Load *load, char **words, Group *group)
{
	for (guint i = 0; words[i]; i++)
		if (!*g_strstrip(words[i]))
			return refuse(load, "EUMs", "has an empty name");
	if (!words[0])
		return refuse(load, "EUMs", "empty");
	group->eums = g_strdupv(words);
	return TRUE;
}

static gboolean parse_rule(const Load *load, const char *key, Group *group)
{
	g_autofree char *text = g_key_file_get_string(load->file, load->group, key, NULL);
	g_auto(GStrv) words = g_key_file_get_string_list(load->file, load->group, key, NULL, NULL);

	if (!text || !words)
		return refuse(load, key, "not text");
	for (guint i = 0; i < N_RANGES; i++)
		if (!strcmp(key, numbers[i].key))
			return parse_ranges(load, words, i, group);
	if (!strcmp(key, "Classes"))
		return parse_classes(words, &group->classes) || refuse(load, key, "not a list of operational, test, provisioning");
	if (!strcmp(key, "Capabilities"))
		return parse_capabilities(load, words, group);
	if (!strcmp(key, "EUMs"))
		return parse_eums(load, words, group);
	if (!strcmp(key, "MinFreeMemory"))
		return g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT32, &group->free_memory, NULL) ||
		       refuse(load, key, "not a number of bytes");
	for (guint i = 0; i < N_VERSIONS; i++)
		if (!strcmp(key, versions[i].key))
			return parse_version(text, &group->min[i]) || refuse(load, key, "not a version like 2.1.0");
	return refuse(load, key, "not a rule that this program knows");
}

static gboolean parse_group(const Load *load, Rules *rules)
{
	g_auto(GStrv) keys = g_key_file_get_keys(load->file, load->group, NULL, NULL);
	gboolean profile = g_str_has_prefix(load->group, PROFILE) && load->group[strlen(PROFILE)];
	Group *group;

	if (!profile && strcmp(load->group, ELIGIBILITY))
		return refuse(load, load->group, "not a group that this program knows: [Eligibility] and [Profile NAME] are");
	group = g_new0(Group, 1);
	for (guint i = 0; i < N_RANGES; i++)
		group->ranges[i] = g_array_new(FALSE, FALSE, sizeof(Range));
	if (profile) {
		group->name = g_strdup(load->group + strlen(PROFILE));
		g_ptr_array_add(rules->profiles, group);
	} else {
		rules->all = group;
	}
	for (guint i = 0; keys && keys[i]; i++)
		if (!parse_rule(load, keys[i], group))
			return FALSE;
	return TRUE;
}

Rules *rules_load(const char *path, GError **error)
{
	g_autoptr(Rules) rules = g_new0(Rules, 1);
	g_autoptr(GBytes) text = ifpp_file_read(path, RULES_MAX, error);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_auto(GStrv) groups = NULL;

	rules->profiles = g_ptr_array_new_with_free_func(group_free);
	if (!text)
		return NULL;
	if (!g_key_file_load_from_bytes(file, text, 0, NULL)) {
		refuse(&(Load){ path, ELIGIBILITY, file, error }, ELIGIBILITY, "not a key file");
		return NULL;
	}
	groups = g_key_file_get_groups(file, NULL);
	if (!groups[0]) {
		refuse(&(Load){ path, ELIGIBILITY, file, error }, ELIGIBILITY, "there is no rule");
		return NULL;
	}
	for (guint i = 0; groups[i]; i++)
		if (!parse_group(&(Load){ path, groups[i], file, error }, rules))
			return NULL;
	return g_steal_pointer(&rules);
}

void rules_free(Rules *rules)
{
	if (!rules)
		return;
	g_ptr_array_unref(rules->profiles);
	group_free(rules->all);
	g_free(rules);
}

int rules_find(const Rules *rules, const char *name)
{
	if (!rules || !rules->profiles->len)
		return RULES_ANY;
	for (guint i = 0; i < rules->profiles->len; i++)
		if (!strcmp(((Group *)rules->profiles->pdata[i])->name, name))
			return i;
	return RULES_NONE;
}

const char *rules_name(const Rules *rules, int profile)
{
	return ((Group *)rules->profiles->pdata[profile])->name;
}

/* ------------------------------------------------------------ a chip */

#define not_eligible(error, ...) ifpp_fail(error, IFPP_ERROR_ELIGIBILITY, NOT_ELIGIBLE __VA_ARGS__)

static gboolean in_ranges(const GArray *ranges, const char *number)
{
	for (guint i = 0; i < ranges->len; i++) {
		const Range *range = &g_array_index(ranges, Range, i);

		if (strcmp(number, range->first) >= 0 && strcmp(number, range->last) <= 0)
			return TRUE;
	}
	return !ranges->len;
}

static gboolean check_eid(const Group *group, const guint8 eid[16], GError **error)
{
	char text[IFPP_EID_DIGITS + 1];

	ifpp_eid_format(eid, text);
	return in_ranges(group->ranges[EIDS], text) || not_eligible(error, "EID %s is in none of the EIDs", text);
}

static gboolean check_device(const Group *group, const char *imei, GError **error)
{
	char tac[TAC_DIGITS + 1];

	if (!group->ranges[TACS]->len && !group->ranges[IMEIS]->len)
		return TRUE;
	if (!imei)
		return not_eligible(error, "the IMEI of its device is not known: no request has told it");
	g_strlcpy(tac, imei, sizeof(tac));
	if (!in_ranges(group->ranges[TACS], tac))
		return not_eligible(error, "TAC %s is in none of the TACs", tac);
	return in_ranges(group->ranges[IMEIS], imei) || not_eligible(error, "IMEI %s is in none of the IMEIs", imei);
}

/* Organisation in the subject of a certificate, or NULL. */
static char *organisation(IfppSpan der)
{
	gnutls_datum_t data = { (guint8 *)der.data, der.len };
	gnutls_x509_crt_t crt;
	char text[256];
	gsize len = sizeof(text);
	char *name = NULL;

	if (gnutls_x509_crt_init(&crt) < 0)
		g_error("out of memory");
	if (gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_DER) >= 0 &&
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, 0, text, &len) >= 0)
		name = g_strndup(text, len);
	gnutls_x509_crt_deinit(crt);
	return name;
}

static gboolean check_eum(const Group *group, IfppSpan cert, GError **error)
{
	g_autofree char *name = NULL;
	guint8 ski[SKI_LEN], wanted[SKI_LEN];

	if (!group->eums)
		return TRUE;
	if (!cert.len || !ifpp_cert_ski(cert, ski, NULL))
		return not_eligible(error, "its EUM's certificate is not in its data");
	name = organisation(cert);
	for (guint i = 0; group->eums[i]; i++)
		if (!g_strcmp0(name, group->eums[i]) ||
		    (ifpp_unhex_into(group->eums[i], wanted, SKI_LEN) && !memcmp(wanted, ski, SKI_LEN)))
			return TRUE;
	return not_eligible(error, "its EUM, %s, is none of the EUMs", name ? name : "which has no name");
}

/* A BIT STRING: unused bits, then from the most significant one on. */
static gboolean has_capability(IfppSpan bits, guint bit)
{
	return 1 + bit / 8 < bits.len && bits.data[1 + bit / 8] & 0x80 >> bit % 8;
}

static gboolean check_capabilities(const Group *group, IfppSpan bf22, GError **error)
{
	IfppTlv bits = {};

	if (!group->capabilities)
		return TRUE;
	if (!ifpp_tlv_find(bf22, 0x85, &bits))
		return not_eligible(error, "the chip does not tell its capabilities");
	for (guint i = 0; i < G_N_ELEMENTS(capabilities); i++)
		if (group->capabilities & 1u << i && !has_capability(bits.value, i))
			return not_eligible(error, "the chip lacks %s of the Capabilities", capabilities[i]);
	return TRUE;
}

static gboolean check_info(const Group *group, IfppSpan bf22, GError **error)
{
	IfppTlv tlv, memory;

	for (guint i = 0; i < N_VERSIONS; i++) {
		guint32 have;

		if (!group->min[i])
			continue;
		if (!ifpp_tlv_find(bf22, versions[i].tag, &tlv) || tlv.value.len != 3)
			return not_eligible(error, "the chip does not tell its %s", versions[i].what);
		have = tlv.value.data[0] << 16 | tlv.value.data[1] << 8 | tlv.value.data[2];
		if (have < group->min[i])
			return not_eligible(error, "%s %u.%u.%u is below %s", versions[i].what, tlv.value.data[0],
					    tlv.value.data[1], tlv.value.data[2], versions[i].key);
	}
	if (group->free_memory) {
		guint64 have = 0;

		/* extCardResource: 82 is free non-volatile memory, an unsigned number of any width */
		if (!ifpp_tlv_find(bf22, 0x84, &tlv) || !ifpp_tlv_find(tlv.value, 0x82, &memory) ||
		    !memory.value.len || memory.value.len > 8)
			return not_eligible(error, "the chip does not tell its free memory");
		for (gsize i = 0; i < memory.value.len; i++)
			have = have << 8 | memory.value.data[i];
		if (have < group->free_memory)
			return not_eligible(error, "%" G_GUINT64_FORMAT " bytes free are below MinFreeMemory", have);
	}
	return TRUE;
}

static gboolean check_group(const Group *group, const RulesChip *chip, ProfileClass class, GError **error)
{
	IfppSpan in = chip->info2;
	IfppTlv bf22 = {};

	if (group->classes && !(group->classes & 1 << class))
		return not_eligible(error, "the profile's class is in none of the Classes");
	ifpp_tlv_take(&in, 0xBF22, &bf22);
	return check_eid(group, chip->eid, error) && check_eum(group, chip->cert_eum, error) &&
	       check_device(group, chip->imei, error) && check_capabilities(group, bf22.value, error) &&
	       check_info(group, bf22.value, error);
}

gboolean rules_check(const Rules *rules, const RulesChip *chip, ProfileClass class, int *profile, GError **error)
{
	g_autoptr(GString) why = g_string_new(NULL);

	*profile = RULES_ANY;
	if (!rules)
		return TRUE;
	if (rules->all && !check_group(rules->all, chip, class, error))
		return FALSE;
	for (guint i = 0; i < rules->profiles->len; i++) {
		const Group *group = rules->profiles->pdata[i];
		g_autoptr(GError) refusal = NULL;

		if (check_group(group, chip, class, &refusal)) {
			*profile = i;
			return TRUE;
		}
		g_string_append_printf(why, "; %s: %s", group->name, refusal->message + strlen(NOT_ELIGIBLE));
	}
	return !rules->profiles->len || not_eligible(error, "no profile is for this chip%s", why->str);
}
