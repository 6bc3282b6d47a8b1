// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keymakers.h"

#include <string.h>

#define ATTRIBUTES_MAX 8

/* One line: a key, or attributes that all stand in the subject. */
typedef struct {
	gboolean is_ski;
	guint8 ski[CERT_ID_LEN];
	guint n;
	struct {
		guint8 type[3];
		char *value;
	} attributes[ATTRIBUTES_MAX];
} Rule;

struct _KeyMakers {
	char *path;
	GPtrArray *rules;
};

static void rule_free(gpointer p)
{
	Rule *rule = p;

	for (guint i = 0; i < rule->n; i++)
		g_free(rule->attributes[i].value);
	g_free(rule);
}

void key_makers_free(KeyMakers *list)
{
	g_ptr_array_unref(list->rules);
	g_free(list->path);
	g_free(list);
}

static gboolean parse_ski(Rule *rule, const char *text)
{
	g_autoptr(GBytes) ski = ifpp_unhex(text);

	if (!ski || g_bytes_get_size(ski) != CERT_ID_LEN)
		return FALSE;
	rule->is_ski = TRUE;
	memcpy(rule->ski, g_bytes_get_data(ski, NULL), CERT_ID_LEN);
	return TRUE;
}

static gboolean parse_attribute(Rule *rule, char *text)
{
	static const struct {
		const char *name;
		guint8 type[3];
	} types[] = {
		{ "CN", { 0x55, 0x04, 0x03 } },		  { "O", { 0x55, 0x04, 0x0A } }, { "OU", { 0x55, 0x04, 0x0B } },
		{ "C", { 0x55, 0x04, 0x06 } }, { "serialNumber", { 0x55, 0x04, 0x05 } },
	};
	char *value = strchr(text, '=');

	if (!value || rule->n == ATTRIBUTES_MAX)
		return FALSE;
	*value++ = '\0';
	for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
		if (!g_str_equal(g_strstrip(text), types[i].name))
			continue;
		memcpy(rule->attributes[rule->n].type, types[i].type, 3);
		rule->attributes[rule->n++].value = g_strdup(g_strstrip(value));
		return *value;
	}
	return FALSE;
}

static gboolean parse_line(KeyMakers *list, char *line)
{
	Rule *rule = g_new0(Rule, 1);
	gboolean ok;

	g_ptr_array_add(list->rules, rule);
	if (g_str_has_prefix(line, "ski "))
		return parse_ski(rule, g_strstrip(line + 4));
	if (!g_str_has_prefix(line, "subject "))
		return FALSE;
	/* A comma in a value is written \, */
	ok = TRUE;
	for (char *p = line + 8, *from = p; ok; p++) {
		if (*p == '\\' && p[1] == ',') {
			memmove(p, p + 1, strlen(p));
		} else if (*p == ',' || !*p) {
			gboolean last = !*p;

			*p = '\0';
			ok = parse_attribute(rule, from);
			from = p + 1;
			if (last)
				break;
		}
	}
	return ok;
}

KeyMakers *key_makers_parse(IfppSpan text, const char *path, GError **error)
{
	g_autoptr(KeyMakers) list = g_new0(KeyMakers, 1);
	g_autofree char *copy = g_strndup((const char *)text.data, text.len);
	g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);

	list->path = g_strdup(path);
	list->rules = g_ptr_array_new_with_free_func(rule_free);
	for (guint i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);

		if (!*line || *line == '#' || parse_line(list, line))
			continue;
		ifpp_fail(error, IFPP_ERROR_KEY_MAKER, "%s: line %u is neither \"ski HEX\" nor \"subject CN=..., O=...\"", path,
			  i + 1);
		return NULL;
	}
	if (strlen(copy) == text.len)
		return g_steal_pointer(&list);
	ifpp_fail(error, IFPP_ERROR_KEY_MAKER, "%s: is not text", path);
	return NULL;
}

static gboolean subject_has(Cert *cert, const guint8 type[3], const char *wanted)
{
	IfppSpan name = cert->subject, rdn = { NULL, 0 }, found, value;
	IfppTlv rdns;

	if (!ifpp_tlv_take(&name, 0x30, &rdns))
		return FALSE;
	while (cert_next_attribute(&rdns.value, &rdn, &found, &value))
		if (ifpp_span_equal(found, (IfppSpan){ type, 3 }) &&
		    ifpp_span_equal(value, (IfppSpan){ (const guint8 *)wanted, strlen(wanted) }))
			return TRUE;
	return FALSE;
}

static gboolean fits(const Rule *rule, Cert *cert)
{
	if (rule->is_ski)
		return memcmp(rule->ski, cert->ski, CERT_ID_LEN) == 0;
	for (guint i = 0; i < rule->n; i++)
		if (!subject_has(cert, rule->attributes[i].type, rule->attributes[i].value))
			return FALSE;
	return TRUE;
}

gboolean key_makers_check(const KeyMakers *list, Cert *dppb, GError **error)
{
	g_autofree char *ski = NULL;

	for (guint i = 0; i < list->rules->len; i++)
		if (fits(list->rules->pdata[i], dppb))
			return TRUE;
	if (!list->rules->len)
		return TRUE;
	ski = ifpp_hex((IfppSpan){ dppb->ski, CERT_ID_LEN });
	return ifpp_fail(error, IFPP_ERROR_KEY_MAKER, "%s (ski %s): %s does not name this Key Maker", dppb->name, ski,
			 list->path);
}

guint key_makers_count(const KeyMakers *list)
{
	return list->rules->len;
}
