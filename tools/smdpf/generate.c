// SPDX-License-Identifier: GPL-2.0-or-later
#include "generate.h"

#include <string.h>

#include <glib/gstdio.h>
#include <gnutls/gnutls.h>

#include "bsp.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "package.h"
#include "profile.h"
#include "table.h"
#include "transport.h"
#include "upp.h"

#define CSV_MAX (256 * 1024 * 1024)
#define KEY_LEN 16
#define LONG_KEY_LEN 32
#define SD_KEYS_MAX 24
#define CODE_LEN 8
#define COLUMNS_MAX 48

enum { ICCID, IMSI, KI, OPC, OP, TOPC, ACC, MSISDN, IMPI, IMPU, DOMAIN, SMSC, SPN, PIN1, PIN2, PUK1, PUK2, ADM,
       SUCI_SCHEME, SUCI_KEY, SUCI_KEY_ID, ROUTING, UST, IST, N_COLUMNS };

/* The first is ours, the others are those of pySim's tools. */
static const char *const column_names[N_COLUMNS][3] = {
	[ICCID] = { "ICCID" }, [IMSI] = { "IMSI" }, [KI] = { "Ki", "K" }, [OPC] = { "OPc" }, [OP] = { "OP" },
	[TOPC] = { "TOPc" },
	[ACC] = { "ACC" }, [MSISDN] = { "MSISDN" }, [IMPI] = { "IMPI" }, [IMPU] = { "IMPU" },
	[DOMAIN] = { "DOMAIN", "IMS_DOMAIN" }, [SMSC] = { "SMSC", "SMSP", "SMSP-TP-SC-ADDR" }, [SPN] = { "SPN" },
	[PIN1] = { "PIN1" }, [PIN2] = { "PIN2" }, [PUK1] = { "PUK1" }, [PUK2] = { "PUK2" }, [ADM] = { "ADM", "ADM1" },
	[SUCI_SCHEME] = { "SUCI-SCHEME", "PROT_SCHEME_ID" }, [SUCI_KEY] = { "SUCI-KEY", "HNET_PUBKEY" },
	[SUCI_KEY_ID] = { "SUCI-KEY-ID", "HNET_PUBKEY_IDENTIFIER" }, [ROUTING] = { "ROUTING-INDICATOR", "ROUTING_INDICATOR" },
	[UST] = { "UST" }, [IST] = { "IST" },
};

typedef struct {
	IfppSpan template;
	const GenerateOptions *options;
	int columns[COLUMNS_MAX];	/* meaning of each, in the order of the file */
	guint n_columns;
	GPtrArray *transports;		/* keys of encrypted columns */
	Transport *encrypted[COLUMNS_MAX];	/* by which, or NULL */
	ProfileSdKey sd_keys[SD_KEYS_MAX];	/* of the header; column N_COLUMNS + i is the key of the i-th */
	guint n_sd_keys;
	gsize iccid_len;		/* of the first record: spreadsheets cut digits off */
	GHashTable *seen;		/* ICCIDs, IMSIs, keys */
	GArray *left;			/* guint: lines that were left out, in their order */
	guint skipped;			/* of them, while writing */
	int exit_code;			/* of the first of them */
	gboolean writing;		/* else: only check */
	guint line, count;
	GPtrArray *fields;		/* of the row at hand */
	GError *error;
} Generate;

static gboolean refuse(Generate *g, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean refuse(Generate *g, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(&g->error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: line %u: %s", g->options->records, g->line, text);
	return FALSE;
}

/* ------------------------------------------------------------ one record */

static int column_of(const char *word)
{
	for (int i = 0; i < N_COLUMNS; i++)
		for (guint j = 0; j < 3 && column_names[i][j]; j++)
			if (!g_ascii_strcasecmp(word, column_names[i][j]))
				return i;
	return N_COLUMNS;
}

/* "SCP80-KVN01-AES-ENC", as pySim's tools name it; the type may be left out. */
static gboolean parse_sd_name(const char *word, ProfileSdKey *key)
{
	static const struct {
		const char *name;
		guint8 id;
	} ids[] = { { "ENC", 1 }, { "KIC", 1 }, { "MAC", 2 }, { "KID", 2 }, { "DEK", 3 }, { "KIK", 3 }, { "TLSPSK", 1 } };
	static const struct {
		const char *name;
		guint8 first, last;	/* versions that GlobalPlatform and TS 102 225 reserve for it */
	} protocols[] = { { "SCP80", 0x01, 0x0F }, { "SCP81", 0x40, 0x4F }, { "SCP02", 0x20, 0x2F }, { "SCP03", 0x30, 0x3F } };
	g_auto(GStrv) parts = g_strsplit(word, "-", 4);
	guint n = g_strv_length(parts), protocol = 0;
	const char *last = n >= 3 ? parts[n - 1] : "";
	guint8 version;

	while (n >= 3 && protocol < G_N_ELEMENTS(protocols) && g_ascii_strcasecmp(parts[0], protocols[protocol].name))
		protocol++;
	if (n < 3 || protocol == G_N_ELEMENTS(protocols) || g_ascii_strncasecmp(parts[1], "KVN", 3) ||
	    !ifpp_unhex_into(parts[1] + 3, &version, 1) ||
	    !((version >= protocols[protocol].first && version <= protocols[protocol].last) ||
	      (version == 0xFF && !g_ascii_strcasecmp(parts[0], "SCP02"))))
		return FALSE;
	*key = (ProfileSdKey){ .name = word, .version = version };
	if (n == 4)
		key->type = !g_ascii_strcasecmp(parts[2], "AES") ? 0x88 : !g_ascii_strcasecmp(parts[2], "DES") ? 0x80 : 0;
	if (n == 4 && !key->type)
		return FALSE;
	for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
		if (!g_ascii_strcasecmp(last, ids[i].name))
			key->id = ids[i].id;
	if (!g_ascii_strcasecmp(last, "TLSPSK"))
		key->type = 0x85;
	/* SCP81 has two: the PSK and a DEK (GlobalPlatform Amendment B) */
	if (key->id == 3 && version >> 4 == 4)
		key->id = 2;
	return key->id != 0;
}

static gboolean same_sd_key(const ProfileSdKey *a, const ProfileSdKey *b)
{
	return a->version == b->version && a->id == b->id && (a->type == b->type || !a->type || !b->type);
}

/* Its column's number; -1: no name of one, or there already. */
static int sd_column(Generate *g, const char *word)
{
	ProfileSdKey key;

	if (g->n_sd_keys == SD_KEYS_MAX || !parse_sd_name(word, &key))
		return -1;
	for (guint i = 0; i < g->n_sd_keys; i++)
		if (same_sd_key(&g->sd_keys[i], &key))
			return -1;
	key.name = g_intern_string(word);
	g->sd_keys[g->n_sd_keys] = key;
	return N_COLUMNS + g->n_sd_keys++;
}

/* What is whole blocks of AES in hex: the format has no padding. */
static gboolean may_be_encrypted(int column)
{
	return column == KI || column == OPC || column == OP || column == TOPC || column >= N_COLUMNS;
}

static const char *name_of(const Generate *g, int column)
{
	return column < N_COLUMNS ? column_names[column][0] : g->sd_keys[column - N_COLUMNS].name;
}

/* Which columns are encrypted, and by the right keys, before the first record is looked at. */
static gboolean find_transports(Generate *g)
{
	memset(g->encrypted, 0, sizeof(g->encrypted));
	for (guint i = 0; i < g->transports->len; i++) {
		Transport *transport = g->transports->pdata[i];
		const char *column = transport_column(transport);
		gboolean found = FALSE;

		for (guint k = 0; k < g->n_columns; k++) {
			int c = g->columns[k];

			if (!transport_covers(transport, g->fields->pdata[k]) && (c >= N_COLUMNS || column_of(column) != c))
				continue;
			if (!may_be_encrypted(c))
				return refuse(g, "column %s cannot be encrypted: only keys are whole blocks of AES", name_of(g, c));
			if (g->encrypted[k])
				return refuse(g, "column %s has two transport keys", name_of(g, c));
			g->encrypted[k] = transport;
			found = TRUE;
		}
		if (!found)
			return refuse(g, "no column %s, for which there is a transport key", column);
		if (!g->writing && !transport_check(transport, &g->error)) {
			g_prefix_error(&g->error, "%s: column %s: ", g->options->records, column);
			return FALSE;
		}
	}
	return TRUE;
}

/* The row's fields in clear; they are wiped with it. */
static gboolean decrypt_row(Generate *g)
{
	for (guint i = 0; i < g->n_columns; i++) {
		char *clear;

		if (!g->encrypted[i])
			continue;
		clear = transport_decrypt(g->encrypted[i], g->fields->pdata[i], &g->error);
		if (!clear) {
			g_prefix_error(&g->error, "%s: line %u: column %s: ", g->options->records, g->line, name_of(g, g->columns[i]));
			return FALSE;
		}
		g_free(g->fields->pdata[i]);
		g->fields->pdata[i] = clear;
	}
	return TRUE;
}

static gboolean read_header(Generate *g)
{
	gboolean have[N_COLUMNS] = {};

	if (g->fields->len > COLUMNS_MAX)
		return refuse(g, "more than %d columns", COLUMNS_MAX);
	for (guint k = 0; k < g->fields->len; k++) {
		const char *word = g->fields->pdata[k];
		int i = column_of(word);

		if (i == N_COLUMNS)
			i = sd_column(g, word);
		if (i < 0 || (i < N_COLUMNS && have[i]))
			return refuse(g, "%s: not a column's name, or there twice (ifpp-smdpf(1) lists them)", word);
		if (i < N_COLUMNS)
			have[i] = TRUE;
		g->columns[g->n_columns++] = i;
	}
	return (have[ICCID] || refuse(g, "no column ICCID")) && find_transports(g);
}

static gboolean parse_hex(Generate *g, const char *text, guint8 *out, gsize len, const char *name)
{
	return ifpp_unhex_into(text, out, len) || refuse(g, "%s is not %zu hex digits", name, 2 * len);
}

static gboolean unique(Generate *g, const char *name, const char *value)
{
	g_autofree char *lower = g_ascii_strdown(value, -1);

	/* a key is not kept for this, nor told */
	if (!strcmp(name, "Ki")) {
		g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lower, -1);

		gnutls_memset(lower, 0, strlen(lower));
		return g_hash_table_add(g->seen, g_strdup(sum)) || refuse(g, "the same Ki as on a line before");
	}
	return g_hash_table_add(g->seen, g_strdup_printf("%s %s", name, lower)) || refuse(g, "%s %s is there twice", name, value);
}

static gboolean check_iccid(Generate *g, const char *iccid)
{
	gsize len = strlen(iccid);
	g_autofree char *body = NULL;

	if (len < 18 || len > 20 || strspn(iccid, "0123456789") != len)
		return refuse(g, "ICCID %s is not 18 to 20 digits (a spreadsheet must take the column for text)", iccid);
	if (len == 18 && !g->options->no_check_digit)
		return refuse(g, "ICCID %s has 18 digits: the check digit %c is missing, or say --no-check-digit", iccid,
			      ifpp_luhn(iccid));
	g->iccid_len = g->iccid_len ? g->iccid_len : len;
	if (len == 18)
		return TRUE;
	body = g_strndup(iccid, len - 1);
	return ifpp_luhn(body) == iccid[len - 1] ||
	       refuse(g, "ICCID %s should end with the check digit %c", iccid, ifpp_luhn(body));
}

/* A column of numbers loses its zeros in a spreadsheet, without a word. */
static gboolean check_imsi(Generate *g, const char *imsi)
{
	gsize len = strlen(imsi);

	if (strspn(imsi, "0123456789") != len || len < 6 || len > 15)
		return refuse(g, "IMSI %s is not 15 digits", imsi);
	return len == 15 || g->options->short_imsi ||
	       refuse(g, "IMSI %s has %zu digits instead of 15: were zeros before it lost in a spreadsheet? If it is really "
		      "so short, say --short-imsi", imsi, len);
}

static gboolean parse_code(Generate *g, const char *text, guint8 out[CODE_LEN], guint min, const char *name)
{
	gsize len = strlen(text);

	if (min == 0 && len == 2 * CODE_LEN)
		return parse_hex(g, text, out, CODE_LEN, name);
	if (len > CODE_LEN || len < MAX(min, 4) || strspn(text, "0123456789") != len)
		return refuse(g, "%s is not %s digits", name, min == CODE_LEN ? "8" : min ? "4 to 8" : "4 to 8 digits or 16 hex");
	memset(out, 0xFF, CODE_LEN);
	memcpy(out, text, len);
	return TRUE;
}

typedef struct {
	guint8 ki[LONG_KEY_LEN], opc[KEY_LEN], op[KEY_LEN], topc[LONG_KEY_LEN], acc[2];
	guint8 codes[5][CODE_LEN];
	guint8 routing[4];
	Suci suci;
	ProfileRecord record;
} Subscriber;

static gboolean parse_keys(Generate *g, const char *const *fields, Subscriber *s)
{
	ProfileRecord *r = &s->record;

	if (fields[OP] && (fields[OPC] || !fields[KI]))
		return refuse(g, "OP goes with Ki, and not with OPc");
	if (fields[TOPC] && (fields[OPC] || fields[OP]))
		return refuse(g, "TOPc is TUAK's, OPc and OP are Milenage's: not both");
	r->ki_len = fields[TOPC] && strlen(fields[KI] ? fields[KI] : "") == 2 * LONG_KEY_LEN ? LONG_KEY_LEN : KEY_LEN;
	if ((fields[KI] && !parse_hex(g, fields[KI], s->ki, r->ki_len, "Ki")) ||
	    (fields[TOPC] && !parse_hex(g, fields[TOPC], s->topc, LONG_KEY_LEN, "TOPc")) ||
	    (fields[OPC] && !parse_hex(g, fields[OPC], s->opc, KEY_LEN, "OPc")) ||
	    (fields[OP] && !parse_hex(g, fields[OP], s->op, KEY_LEN, "OP")))
		return FALSE;
	if (fields[KI] && !g->options->test && profile_key_is_weak(s->ki, r->ki_len))
		return refuse(g, "this Ki is published, or no key at all (--class test takes it)");
	if (fields[OP] && !profile_opc(s->ki, s->op, s->opc))
		return refuse(g, "OPc cannot be computed");
	r->ki = fields[KI] ? s->ki : NULL;
	r->opc = fields[OPC] || fields[OP] ? s->opc : NULL;
	r->topc = fields[TOPC] ? s->topc : NULL;
	return TRUE;
}

static gboolean parse_sd_key(Generate *g, ProfileSdKey *key, const char *text)
{
	key->len = strlen(text) / 2;
	if (key->len != 16 && key->len != 24 && key->len != 32)
		return refuse(g, "%s is not 32, 48 or 64 hex digits", key->name);
	if (!parse_hex(g, text, key->key, key->len, key->name))
		return FALSE;
	return g->options->test || !profile_key_is_weak(key->key, key->len) ||
	       refuse(g, "this %s is published, or no key at all (--class test takes it)", key->name);
}

static gboolean parse_codes(Generate *g, const char *const *fields, Subscriber *s)
{
	static const struct {
		int column;
		guint min;
		gsize offset;
	} codes[] = {
		{ PIN1, 4, G_STRUCT_OFFSET(ProfileRecord, pin1) }, { PIN2, 4, G_STRUCT_OFFSET(ProfileRecord, pin2) },
		{ PUK1, CODE_LEN, G_STRUCT_OFFSET(ProfileRecord, puk1) }, { PUK2, CODE_LEN, G_STRUCT_OFFSET(ProfileRecord, puk2) },
		{ ADM, 0, G_STRUCT_OFFSET(ProfileRecord, adm) },
	};

	for (guint i = 0; i < G_N_ELEMENTS(codes); i++) {
		const char *text = fields[codes[i].column];

		if (!text)
			continue;
		if (!parse_code(g, text, s->codes[i], codes[i].min, column_names[codes[i].column][0]))
			return FALSE;
		G_STRUCT_MEMBER(const guint8 *, &s->record, codes[i].offset) = s->codes[i];
	}
	if (fields[ACC] && !parse_hex(g, fields[ACC], s->acc, 2, "ACC"))
		return FALSE;
	s->record.acc = fields[ACC] ? s->acc : NULL;
	return TRUE;
}

static gboolean parse_5gs(Generate *g, const char *const *fields, Subscriber *s)
{
	ProfileRecord *r = &s->record;

	if (!fields[SUCI_SCHEME] && (fields[SUCI_KEY] || fields[SUCI_KEY_ID]))
		return refuse(g, "SUCI-KEY and SUCI-KEY-ID go with SUCI-SCHEME");
	if ((fields[SUCI_SCHEME] && !suci_parse(fields[SUCI_SCHEME], fields[SUCI_KEY], fields[SUCI_KEY_ID], g->options->test,
						&s->suci, &g->error)) ||
	    (fields[ROUTING] && !suci_routing(fields[ROUTING], s->routing, &g->error))) {
		g_prefix_error(&g->error, "%s: line %u: ", g->options->records, g->line);
		return FALSE;
	}
	r->suci = fields[SUCI_SCHEME] ? &s->suci : NULL;
	r->routing = fields[ROUTING] ? s->routing : NULL;
	r->ust = fields[UST];
	r->ist = fields[IST];
	return TRUE;
}

static gboolean write_profile(Generate *g, const char *iccid, GByteArray *upp)
{
	g_autofree char *path = g_strdup_printf("%s/%s.der", g->options->out, iccid);

	return ifpp_file_write(path, upp->data, upp->len, 0600, &g->error);
}

static gboolean make_profile(Generate *g, Subscriber *s)
{
	GByteArray *upp = profile_personalise(g->template, &s->record, &g->error);
	gboolean ok = upp && profile_check_class((IfppSpan){ upp->data, upp->len },
						 g->options->test ? PROFILE_TEST : PROFILE_OPERATIONAL, &g->error);

	if (!ok)
		g_prefix_error(&g->error, "%s: line %u: ", g->options->records, g->line);
	ok = ok && (!g->writing || write_profile(g, s->record.iccid, upp));
	ifpp_secret_free(upp);
	g->count += ok;
	return ok;
}

static gboolean read_record(Generate *g)
{
	const char *fields[N_COLUMNS] = {};
	Subscriber s = {};
	gboolean ok;

	if (g->fields->len != g->n_columns)
		return refuse(g, "%u fields instead of %u", g->fields->len, g->n_columns);
	for (guint i = 0; i < g->n_columns; i++) {
		const char *field = g->fields->pdata[i];

		if (!*field)
			return refuse(g, "column %s is empty: what would be in it would be the template's, for everybody",
				      name_of(g, g->columns[i]));
	}
	if (!decrypt_row(g))
		return FALSE;
	for (guint i = 0; i < g->n_columns; i++) {
		const char *field = g->fields->pdata[i];

		if (g->columns[i] < N_COLUMNS)
			fields[g->columns[i]] = field;
		else if (!parse_sd_key(g, &g->sd_keys[g->columns[i] - N_COLUMNS], field))
			return FALSE;
	}
	if (!check_iccid(g, fields[ICCID]) || (fields[IMSI] && !check_imsi(g, fields[IMSI])))
		return FALSE;
	if (strlen(fields[ICCID]) != g->iccid_len)
		return refuse(g, "ICCID %s has %zu digits, the first one %zu", fields[ICCID], strlen(fields[ICCID]), g->iccid_len);
	if (!g->writing && (!unique(g, "ICCID", fields[ICCID]) || (fields[IMSI] && !unique(g, "IMSI", fields[IMSI])) ||
			    (fields[KI] && !g->options->test && !unique(g, "Ki", fields[KI]))))
		return FALSE;
	if (fields[SPN] && (strlen(fields[SPN]) > 16 || !g_str_is_ascii(fields[SPN])))
		return refuse(g, "SPN %s is not 1 to 16 letters of ASCII", fields[SPN]);
	s.record.iccid = fields[ICCID];
	s.record.imsi = fields[IMSI];
	s.record.msisdn = fields[MSISDN];
	s.record.smsc = fields[SMSC];
	s.record.spn = fields[SPN];
	s.record.impi = fields[IMPI];
	s.record.impu = fields[IMPU];
	s.record.domain = fields[DOMAIN];
	s.record.sd_keys = g->sd_keys;
	s.record.n_sd_keys = g->n_sd_keys;
	ok = parse_keys(g, fields, &s) && parse_codes(g, fields, &s) && parse_5gs(g, fields, &s) && make_profile(g, &s);
	gnutls_memset(&s, 0, sizeof(s));
	return ok;
}

/* ------------------------------------------------------------ the file */

/* Not when it is the token's trouble, or nobody asked for it. */
static gboolean leave_out(Generate *g)
{
	int code;

	if (!g->options->leave_out || g->writing || g->error->code == IFPP_ERROR_TOKEN || g->error->code == IFPP_ERROR_PIN)
		return FALSE;
	code = ifpp_error_exit("ifpp-smdpf", g->error);
	if (!g->left->len)
		g->exit_code = code;
	g_array_append_val(g->left, g->line);
	g_clear_error(&g->error);
	return TRUE;
}

static gboolean take_row(GPtrArray *fields, guint line, gpointer user)
{
	Generate *g = user;

	g->fields = fields;
	g->line = line;
	if (!g->n_columns)
		return read_header(g);
	if (g->writing && g->skipped < g->left->len && g_array_index(g->left, guint, g->skipped) == line) {
		g->skipped++;
		return TRUE;
	}
	return read_record(g) || leave_out(g);
}

/* One walk through the file. */
static gboolean walk(Generate *g, const char *text, gsize len)
{
	const char *wrong;

	g->count = g->n_columns = g->n_sd_keys = g->iccid_len = 0;
	wrong = table_read(text, len, &g->line, take_row, g);
	if (wrong)
		return refuse(g, "%s", wrong);
	return g->error ? FALSE : g->count || refuse(g, "no record");
}

static gboolean take_column_keys(Generate *g)
{
	for (guint i = 0; g->options->column_keys && g->options->column_keys[i]; i++) {
		Transport *transport = transport_new(g->options->column_keys[i], &g->error);

		if (!transport)
			return FALSE;
		g_ptr_array_add(g->transports, transport);
	}
	return TRUE;
}

gboolean generate_profiles(const GenerateOptions *options, guint *count, int *exit_code, GError **error)
{
	g_autoptr(GBytes) upp = ifpp_file_read(options->template, IFPP_PACKAGE_MAX, error);
	g_autoptr(GBytes) csv = upp ? ifpp_file_read(options->records, CSV_MAX, error) : NULL;
	g_autoptr(IfppUpp) parsed = NULL;
	Generate g = { .options = options };
	const char *text;
	gboolean ok;
	gsize len;

	if (!csv)
		return FALSE;
	g.template = ifpp_span_bytes(upp);
	parsed = ifpp_upp_parse(g.template, error);
	if (!parsed) {
		g_prefix_error(error, "%s: ", options->template);
		return FALSE;
	}
	g.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g.left = g_array_new(FALSE, FALSE, sizeof(guint));
	g.transports = g_ptr_array_new_with_free_func((GDestroyNotify)transport_free);
	text = g_bytes_get_data(csv, &len);
	ok = take_column_keys(&g) && walk(&g, text, len) && ifpp_make_dir(options->out, 0700, &g.error);
	g.writing = TRUE;
	ok = ok && walk(&g, text, len);
	*count = g.count;
	if (g.left->len)
		*exit_code = g.exit_code;
	g_array_unref(g.left);
	g_hash_table_unref(g.seen);
	g_ptr_array_unref(g.transports);
	gnutls_memset(g.sd_keys, 0, sizeof(g.sd_keys));
	if (len)
		gnutls_memset((char *)text, 0, len);
	if (!ok)
		g_propagate_error(error, g.error);
	return ok;
}
