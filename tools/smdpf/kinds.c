// SPDX-License-Identifier: GPL-2.0-or-later
#include "kinds.h"

#include <string.h>

#include "error.h"

#define TAG_PROFILE_VERSION 0x81
#define TAG_MORE_VERSIONS 0xAF	/* additionalProfilePackageVersions: the newest of each further major version (SGP.22 v3) */

static void kind_free(gpointer p)
{
	Kind *kind = p;

	g_array_unref(kind->members);
	g_free(kind);
}

Kinds *kinds_new(const Rules *rules)
{
	Kinds *kinds = g_new0(Kinds, 1);

	kinds->rules = rules;
	kinds->all = g_ptr_array_new_with_free_func(kind_free);
	kinds->of = g_ptr_array_new();
	return kinds;
}

void kinds_free(Kinds *kinds)
{
	if (!kinds)
		return;
	g_ptr_array_unref(kinds->all);
	g_ptr_array_unref(kinds->of);
	g_free(kinds);
}

void kinds_add(Kinds *kinds, const char *type, const guint8 version[2])
{
	const Kind wanted = { .profile = type ? rules_find(kinds->rules, type) : RULES_ANY, .unreadable = !type,
			      .version = { version[0], version[1] } };
	guint number = kinds->of->len;
	Kind *kind = NULL;

	for (guint i = 0; i < kinds->all->len && !kind; i++) {
		Kind *one = kinds->all->pdata[i];

		if (one->profile == wanted.profile && one->unreadable == wanted.unreadable &&
		    !memcmp(one->version, wanted.version, sizeof(one->version)))
			kind = one;
	}
	if (!kind) {
		kind = g_memdup2(&wanted, sizeof(wanted));
		kind->members = g_array_new(FALSE, FALSE, sizeof(guint));
		g_ptr_array_add(kinds->all, kind);
	}
	g_array_append_val(kind->members, number);
	g_ptr_array_add(kinds->of, kind);
}

static int newest_first(gconstpointer a, gconstpointer b)
{
	const Kind *x = *(Kind *const *)a, *y = *(Kind *const *)b;

	return x->unreadable != y->unreadable ? y->unreadable - x->unreadable : memcmp(y->version, x->version, sizeof(x->version));
}

void kinds_sort(Kinds *kinds)
{
	g_ptr_array_sort(kinds->all, newest_first);
	for (guint i = 0; i < kinds->all->len; i++)
		((Kind *)kinds->all->pdata[i])->number = i;
}

/* ------------------------------------------------------------ a chip */

static void take_version(const IfppTlv *tlv, KindsChip *out)
{
	if (tlv->value.len == 3 && out->n_versions < KINDS_VERSIONS)
		memcpy(out->versions[out->n_versions++], tlv->value.data, 2);
}

static void take_versions(IfppSpan info2, KindsChip *out)
{
	IfppTlv bf22, list, tlv;

	if (!ifpp_tlv_take(&info2, 0xBF22, &bf22))
		return;
	if (ifpp_tlv_find(bf22.value, TAG_PROFILE_VERSION, &tlv))
		take_version(&tlv, out);
	if (!ifpp_tlv_find(bf22.value, TAG_MORE_VERSIONS, &list))
		return;
	while (list.value.len && ifpp_tlv_next(&list.value, &tlv, NULL))
		take_version(&tlv, out);
}

static gboolean takes_version(const KindsChip *chip, const guint8 version[2])
{
	for (guint i = 0; i < chip->n_versions; i++)
		if (chip->versions[i][0] == version[0] && chip->versions[i][1] >= version[1])
			return TRUE;
	return !version[0] && !version[1];
}

gboolean kind_fits(const Kind *kind, const KindsChip *chip)
{
	return kind->unreadable || ((chip->profile == RULES_ANY || kind->profile == chip->profile) && takes_version(chip, kind->version));
}

static void put_version(GString *text, const guint8 version[2])
{
	g_string_append_printf(text, "%s%u.%u", text->len ? ", " : "", version[0], version[1]);
}

/* Which of the two it is: no such type in the order, or none in a version that the chip takes. */
static gboolean refuse(const Kinds *kinds, const KindsChip *chip, GError **error)
{
	g_autoptr(GString) takes = g_string_new(NULL), has = g_string_new(NULL);
	const char *name = chip->profile == RULES_ANY ? NULL : rules_name(kinds->rules, chip->profile);

	for (guint i = 0; i < chip->n_versions; i++)
		put_version(takes, chip->versions[i]);
	for (guint i = 0; i < kinds->all->len; i++) {
		const Kind *kind = kinds->all->pdata[i];

		if (chip->profile == RULES_ANY || kind->profile == chip->profile)
			put_version(has, kind->version);
	}
	if (!has->len)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY, "not eligible: by its rules the chip gets a profile %s, and the "
			    "order has none", name);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY, "not eligible: the chip takes profile packages of version %s, and "
			    "the order has %s of %s alone", takes->len ? takes->str : "none that it tells", name ? name : "them", has->str);
	return FALSE;
}

gboolean kinds_chip(const Kinds *kinds, const RulesChip *chip, ProfileClass class, KindsChip *out, GError **error)
{
	*out = (KindsChip){};
	if (!rules_check(kinds->rules, chip, class, &out->profile, error))
		return FALSE;
	take_versions(chip->info2, out);
	for (guint i = 0; i < kinds->all->len; i++)
		if (kind_fits(kinds->all->pdata[i], out))
			return TRUE;
	return refuse(kinds, out, error);
}

gboolean kinds_check(const Kinds *kinds, guint number, const KindsChip *chip, GError **error)
{
	const Kind *kind = kinds->of->pdata[number];

	if (kind_fits(kind, chip))
		return TRUE;
	if (chip->profile != RULES_ANY && kind->profile != chip->profile)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY, "not eligible: by its rules the chip gets a profile %s, and the "
			    "one that it is assigned is none", rules_name(kinds->rules, chip->profile));
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY, "not eligible: the chip takes no profile package of version %u.%u, "
			    "as the one that it is assigned", kind->version[0], kind->version[1]);
	return FALSE;
}
