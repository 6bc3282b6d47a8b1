// SPDX-License-Identifier: GPL-2.0-or-later
#include "assign.h"

#include <stdlib.h>
#include <string.h>

#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "table.h"

#define FILE_MAX (256u * 1024 * 1024)
#define EUICC_DATA_MAX (256 * 1024)

/* A profile of the order, to be found by its ICCID. */
typedef struct {
	guint8 iccid[10];
	guint number;
} Profile;

typedef struct {
	Assignments *out;
	GArray *profiles;	/* sorted */
	GByteArray *eids;	/* of the chips, 16 bytes each, sorted */
	int eid, iccid;		/* columns; -1: the header is not read yet */
	guint n_columns, line;
	GError *error;
} Load;

static gboolean refuse(Load *load, const char *column, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean refuse(Load *load, const char *column, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(&load->error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: line %u%s%s: %s", load->out->path, load->line,
		    column ? ", column " : "", column ? column : "", text);
	return FALSE;
}

static int by_eid(gconstpointer a, gconstpointer b)
{
	return memcmp(((const Assignment *)a)->eid, ((const Assignment *)b)->eid, 16);
}

static int by_iccid(gconstpointer a, gconstpointer b)
{
	return memcmp(((const Assignment *)a)->iccid, ((const Assignment *)b)->iccid, 10);
}

static int by_line(gconstpointer a, gconstpointer b)
{
	return (int)((const Assignment *)a)->line - (int)((const Assignment *)b)->line;
}

static int compare_profiles(gconstpointer a, gconstpointer b)
{
	return memcmp(((const Profile *)a)->iccid, ((const Profile *)b)->iccid, 10);
}

static int compare_eids(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* ------------------------------------------------------------ the file */

static gboolean read_header(Load *load, GPtrArray *fields)
{
	load->n_columns = fields->len;
	for (guint i = 0; i < fields->len; i++) {
		int *column = !g_ascii_strcasecmp(fields->pdata[i], "eid") ? &load->eid :
			      !g_ascii_strcasecmp(fields->pdata[i], "iccid") ? &load->iccid : NULL;

		if (!column)
			return refuse(load, fields->pdata[i], "is neither eid nor iccid");
		if (*column >= 0)
			return refuse(load, fields->pdata[i], "is there twice");
		*column = i;
	}
	return (load->eid >= 0 && load->iccid >= 0) || refuse(load, NULL, "the columns eid and iccid are needed");
}

static gboolean read_row(GPtrArray *fields, guint line, gpointer user)
{
	Assignment row = { .line = line };
	const Profile *profile;
	Profile wanted = {};
	Load *load = user;

	load->line = line;
	if (load->eid < 0)
		return read_header(load, fields);
	if (fields->len != load->n_columns)
		return refuse(load, NULL, "%u fields instead of %u", fields->len, load->n_columns);
	if (!ifpp_eid_parse(fields->pdata[load->eid], row.eid, NULL))
		return refuse(load, "eid", "%s is no EID: 32 digits, the last two of which check it",
			      (const char *)fields->pdata[load->eid]);
	if (!ifpp_iccid_parse(fields->pdata[load->iccid], row.iccid, NULL))
		return refuse(load, "iccid", "%s is no ICCID: 18 to 20 digits", (const char *)fields->pdata[load->iccid]);
	if (!bsearch(row.eid, load->eids->data, load->eids->len / 16, 16, compare_eids))
		return refuse(load, "eid", "chip %s is not one of this order", (const char *)fields->pdata[load->eid]);
	memcpy(wanted.iccid, row.iccid, sizeof(wanted.iccid));
	profile = bsearch(&wanted, load->profiles->data, load->profiles->len, sizeof(Profile), compare_profiles);
	if (!profile)
		return refuse(load, "iccid", "no profile of this order has ICCID %s", (const char *)fields->pdata[load->iccid]);
	row.profile = profile->number;
	g_array_append_val(load->out->all, row);
	return TRUE;
}

/* The later of two lines that say the same is the one that is wrong; stable, so that it is found. */
static gboolean check_twice(Load *load, int (*compare)(gconstpointer, gconstpointer), const char *column)
{
	GArray *all = load->out->all;

	g_array_sort(all, by_line);
	g_array_sort(all, compare);
	for (guint i = 1; i < all->len; i++) {
		const Assignment *a = &g_array_index(all, Assignment, i - 1), *b = &g_array_index(all, Assignment, i);

		if (compare(a, b))
			continue;
		load->line = MAX(a->line, b->line);
		return refuse(load, column, "the same as in line %u", MIN(a->line, b->line));
	}
	return TRUE;
}

static void read_eids(Load *load, const Inputs *chips)
{
	for (guint i = 0; i < inputs_count(chips); i++) {
		g_autofree char *path = inputs_path(chips, i);
		g_autoptr(GBytes) file = ifpp_file_read(path, EUICC_DATA_MAX, NULL);
		IfppSpan ff21, bf22;
		guint8 eid[16];

		/* One that cannot be read is told when it is to be sealed. */
		if (file && ifpp_euicc_data_parse(ifpp_span_bytes(file), eid, &ff21, &bf22, NULL))
			g_byte_array_append(load->eids, eid, sizeof(eid));
	}
	qsort(load->eids->data, load->eids->len / 16, 16, compare_eids);
}

static void index_profiles(Load *load, GByteArray *iccids)
{
	static const guint8 unknown[10];

	for (guint i = 0; i < iccids->len / 10; i++) {
		Profile profile = { .number = i };

		memcpy(profile.iccid, iccids->data + 10 * i, sizeof(profile.iccid));
		if (memcmp(profile.iccid, unknown, sizeof(unknown)))
			g_array_append_val(load->profiles, profile);
	}
	g_array_sort(load->profiles, compare_profiles);
}

Assignments *assign_load(const char *path, const Inputs *chips, GByteArray *iccids, GError **error)
{
	g_autoptr(GBytes) text = ifpp_file_read(path, FILE_MAX, error);
	g_autoptr(Assignments) out = g_new0(Assignments, 1);
	g_autoptr(GArray) profiles = g_array_new(FALSE, FALSE, sizeof(Profile));
	g_autoptr(GByteArray) eids = g_byte_array_new();
	Load load = { .out = out, .profiles = profiles, .eids = eids, .eid = -1, .iccid = -1 };
	const char *wrong;

	out->path = g_strdup(path);
	out->all = g_array_new(FALSE, FALSE, sizeof(Assignment));
	if (!text)
		return NULL;
	read_eids(&load, chips);
	index_profiles(&load, iccids);
	wrong = table_read(g_bytes_get_data(text, NULL), g_bytes_get_size(text), &load.line, read_row, &load);
	if (wrong)
		refuse(&load, NULL, "%s", wrong);
	else if (!load.error && !out->all->len)
		refuse(&load, NULL, "nothing is assigned");
	/* by EID in the end, as assign_find() needs them */
	if (load.error || !check_twice(&load, by_iccid, "iccid") || !check_twice(&load, by_eid, "eid")) {
		g_propagate_error(error, load.error);
		return NULL;
	}
	return g_steal_pointer(&out);
}

void assign_free(Assignments *assignments)
{
	if (!assignments)
		return;
	g_array_unref(assignments->all);
	g_free(assignments->path);
	g_free(assignments);
}

const Assignment *assign_find(const Assignments *assignments, const guint8 eid[16])
{
	Assignment wanted = {};

	if (!assignments)
		return NULL;
	memcpy(wanted.eid, eid, sizeof(wanted.eid));
	return bsearch(&wanted, assignments->all->data, assignments->all->len, sizeof(Assignment), by_eid);
}

/* ------------------------------------------------------------ the ledger */

typedef struct {
	const Assignment *row;
	const guint8 *order;
	LedgerEntry other;	/* what the chip has of this order instead */
	gboolean differs;
} Chip;

static gboolean look_at_chip(const LedgerEntry *entry, gpointer user, GError **error)
{
	Chip *chip = user;

	if (!memcmp(entry->order, chip->order, 8) && memcmp(entry->iccid, chip->row->iccid, 10)) {
		chip->other = *entry;
		chip->differs = TRUE;
	}
	return TRUE;
}

static gboolean bound(const Assignments *a, const Assignment *row, const char *column, GError **error, const char *what,
		      const LedgerEntry *entry)
{
	char eid[33], iccid[21];

	ifpp_eid_format(entry->eid, eid);
	ifpp_iccid_format(entry->iccid, iccid);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND, "%s: line %u, column %s: %s: ICCID %s is sealed for chip %s", a->path,
		    row->line, column, what, iccid, eid);
	return FALSE;
}

gboolean assign_check(const Assignments *assignments, Ledger *ledger, const guint8 order[8], GError **error)
{
	for (guint i = 0; i < assignments->all->len; i++) {
		const Assignment *row = &g_array_index(assignments->all, Assignment, i);
		Chip chip = { .row = row, .order = order };
		gboolean held = FALSE;
		LedgerEntry holder;
		GError *local = NULL;

		if (!ledger_holder(ledger, row->iccid, row->eid, FALSE, &holder, &held, &local) ||
		    !ledger_chip(ledger, row->eid, look_at_chip, &chip, &local))
			return ledger_error(ledger->home, local, error);
		if (held && (memcmp(holder.eid, row->eid, 16) || memcmp(holder.order, order, 8)))
			return bound(assignments, row, "iccid", error, "is taken", &holder);
		if (chip.differs)
			return bound(assignments, row, "eid", error, "the chip has another one of this order", &chip.other);
	}
	return TRUE;
}
