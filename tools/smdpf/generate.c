// SPDX-License-Identifier: GPL-2.0-or-later
#include "generate.h"

#include <string.h>

#include <glib/gstdio.h>
#include <gnutls/gnutls.h>

#include "bsp.h"
#include "error.h"
#include "file.h"
#include "package.h"
#include "profile.h"
#include "upp.h"

#define CSV_MAX (256 * 1024 * 1024)
#define KEY_LEN 16

enum { ICCID, IMSI, KI, OPC, N_COLUMNS };

static const char *const column_names[N_COLUMNS] = { "ICCID", "IMSI", "Ki", "OPc" };

typedef struct {
	IfppSpan template;
	const char *path;	/* of the records, for messages */
	int columns[16];	/* meaning of each, in the order of the file */
	guint n_columns;
	GHashTable *seen;	/* ICCIDs and IMSIs */
	const char *out;	/* NULL: only check */
	guint line, count;
} Generate;

static gboolean refuse(Generate *g, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean refuse(Generate *g, GError **error, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: line %u: %s", g->path, g->line, text);
	return FALSE;
}

static gboolean read_header(Generate *g, char *line, GError **error)
{
	gboolean have[N_COLUMNS] = {};
	char *word;

	while ((word = strsep(&line, ","))) {
		int i;

		g_strstrip(word);
		for (i = 0; i < N_COLUMNS && g_ascii_strcasecmp(word, column_names[i]); i++)
			;
		if (i == N_COLUMNS || have[i])
			return refuse(g, error, "%s: not a column's name, or there twice (ICCID,IMSI,Ki,OPc)", word);
		have[i] = TRUE;
		g->columns[g->n_columns++] = i;
	}
	return have[ICCID] || refuse(g, error, "no column ICCID");
}

static gboolean parse_key(Generate *g, const char *text, guint8 key[KEY_LEN], const char *name, GError **error)
{
	gsize len = strlen(text);

	if (len != 2 * KEY_LEN || strspn(text, "0123456789abcdefABCDEF") != len)
		return refuse(g, error, "%s is not 32 hex digits", name);
	for (guint i = 0; i < KEY_LEN; i++)
		key[i] = g_ascii_xdigit_value(text[2 * i]) << 4 | g_ascii_xdigit_value(text[2 * i + 1]);
	return TRUE;
}

static gboolean unique(Generate *g, const char *name, const char *value, GError **error)
{
	return g_hash_table_add(g->seen, g_strdup_printf("%s %s", name, value)) ||
	       refuse(g, error, "%s %s is there twice", name, value);
}

static gboolean check_iccid(Generate *g, const char *iccid, GError **error)
{
	gsize len = strlen(iccid);
	g_autofree char *body = NULL;

	if (len < 18 || len > 20 || strspn(iccid, "0123456789") != len)
		return refuse(g, error, "ICCID %s is not 18 to 20 digits", iccid);
	if (len == 18)
		return TRUE; /* without check digit */
	body = g_strndup(iccid, len - 1);
	return profile_luhn(body) == iccid[len - 1] ||
	       refuse(g, error, "ICCID %s should end with the check digit %c", iccid, profile_luhn(body));
}

static gboolean write_profile(Generate *g, const char *iccid, GByteArray *upp, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.der", g->out, iccid);

	return ifpp_file_write(path, upp->data, upp->len, 0600, error);
}

static gboolean read_record(Generate *g, char *line, GError **error)
{
	const char *fields[N_COLUMNS] = {};
	guint8 ki[KEY_LEN], opc[KEY_LEN];
	ProfileRecord record = {};
	GByteArray *upp = NULL;
	gboolean ok = TRUE;
	guint n = 0;
	char *word;

	while ((word = strsep(&line, ","))) {
		g_strstrip(word);
		if (n == g->n_columns)
			return refuse(g, error, "more than %u fields", n);
		fields[g->columns[n++]] = *word ? word : NULL;
	}
	if (n < g->n_columns)
		return refuse(g, error, "%u fields instead of %u", n, g->n_columns);
	if (!fields[ICCID])
		return refuse(g, error, "no ICCID");
	if (!check_iccid(g, fields[ICCID], error) ||
	    (!g->out && (!unique(g, "ICCID", fields[ICCID], error) ||
			 (fields[IMSI] && !unique(g, "IMSI", fields[IMSI], error)))))
		return FALSE;

	record.iccid = fields[ICCID];
	record.imsi = fields[IMSI];
	if (fields[KI])
		ok = parse_key(g, fields[KI], ki, "Ki", error);
	if (ok && fields[OPC])
		ok = parse_key(g, fields[OPC], opc, "OPc", error);
	record.ki = fields[KI] ? ki : NULL;
	record.opc = fields[OPC] ? opc : NULL;
	if (ok) {
		upp = profile_personalise(g->template, &record, error);
		if (!upp)
			g_prefix_error(error, "%s: line %u: ", g->path, g->line);
		ok = upp && (!g->out || write_profile(g, record.iccid, upp, error));
	}
	ifpp_secret_free(upp);
	gnutls_memset(ki, 0, sizeof(ki));
	gnutls_memset(opc, 0, sizeof(opc));
	g->count += ok;
	return ok;
}

/* One walk through the file. Blank lines and lines that begin with # do not count. */
static gboolean walk(Generate *g, const char *text, gsize len, GError **error)
{
	const char *end = text + len;
	gboolean ok = TRUE, header = FALSE;

	g->line = g->count = g->n_columns = 0;
	while (ok && text < end) {
		const char *nl = memchr(text, '\n', end - text);
		gsize n = (nl ? nl : end) - text;
		char *line = g_strndup(text, n);

		g->line++;
		text += n + 1;
		g_strchomp(line);
		if (*line && *line != '#') {
			ok = header ? read_record(g, line, error) : read_header(g, line, error);
			header = TRUE;
		}
		gnutls_memset(line, 0, n); /* it held a Ki */
		g_free(line);
	}
	if (ok && !g->count)
		return refuse(g, error, "no record");
	return ok;
}

gboolean generate_profiles(const char *template, const char *records, const char *out, guint *count, GError **error)
{
	g_autoptr(GBytes) upp = ifpp_file_read(template, IFPP_PACKAGE_MAX, error);
	g_autoptr(GBytes) csv = upp ? ifpp_file_read(records, CSV_MAX, error) : NULL;
	g_autoptr(IfppUpp) parsed = NULL;
	Generate g = { .path = records };
	const char *text;
	gboolean ok;
	gsize len;

	if (!csv)
		return FALSE;
	g.template = ifpp_span_bytes(upp);
	parsed = ifpp_upp_parse(g.template, error);
	if (!parsed) {
		g_prefix_error(error, "%s: ", template);
		return FALSE;
	}
	g.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	text = g_bytes_get_data(csv, &len);
	ok = walk(&g, text, len, error);
	ok = ok && ifpp_make_dir(out, 0700, error);
	g.out = out;
	ok = ok && walk(&g, text, len, error);
	*count = g.count;
	g_hash_table_unref(g.seen);
	if (len)
		gnutls_memset((char *)text, 0, len);
	return ok;
}
