// SPDX-License-Identifier: LGPL-2.1-or-later
#include "report-file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "error.h"
#include "file.h"

#define FORMAT "ifpp-report"
#define VERSION 3
#define WHOLE_MAX (1024u * 1024 * 1024)	/* bytes of a report of version 1 or 2 */
#define HEAD_MAX 4096			/* of the first line */
#define UNIT_MAX (64u * 1024 * 1024)	/* of any other */
#define BLOCK (64u * 1024)
#define DEPTH_MAX 16

static gnutls_hash_hd_t hash_new(int algorithm)
{
	gnutls_hash_hd_t hash;

	if (gnutls_hash_init(&hash, algorithm) < 0)
		g_error("out of memory");
	return hash;
}

static void hash_add(gnutls_hash_hd_t hash, const void *data, gsize len)
{
	if (gnutls_hash(hash, data, len) < 0)
		g_error("SHA-256 failed");
}

/* ------------------------------------------------------------ writing */

struct _IfppReportWriter {
	const char *path, *created;
	int fd;
	gnutls_hash_hd_t hash;
	GString *buf;
	IfppReportBody body;
	gpointer user;
};

static gboolean flush(IfppReportWriter *w, GError **error)
{
	gboolean ok = ifpp_file_put(w->fd, w->path, (IfppSpan){ (const guint8 *)w->buf->str, w->buf->len }, error);

	g_string_truncate(w->buf, 0);
	return ok;
}

/* Takes @b. */
static gboolean put_line(IfppReportWriter *w, JsonBuilder *b, GError **error)
{
	g_autofree char *text = ifpp_json_text(b);
	gsize before = w->buf->len;

	g_string_append(w->buf, text);
	g_string_append_c(w->buf, '\n');
	hash_add(w->hash, w->buf->str + before, w->buf->len - before);
	return w->buf->len < BLOCK || flush(w, error);
}

gboolean ifpp_report_put_unit(IfppReportWriter *writer, JsonBuilder *b, GError **error)
{
	return put_line(writer, b, error);
}

gboolean ifpp_report_put_end(IfppReportWriter *writer, JsonBuilder *b, GError **error)
{
	guint8 sha256[32];

	gnutls_hash_output(writer->hash, sha256);
	ifpp_json_hex(b, "sha256", IFPP_SPAN(sha256));
	return put_line(writer, b, error) && flush(writer, error);
}

static gboolean write_body(int fd, const char *path, gpointer user, GError **error)
{
	IfppReportWriter *w = user;
	JsonBuilder *b = ifpp_json_new(NULL);

	w->fd = fd;
	ifpp_json_string(b, "format", FORMAT);
	ifpp_json_int(b, "version", VERSION);
	ifpp_json_string(b, "created", w->created);
	return put_line(w, b, error) && w->body(w, w->user, error);
}

gboolean ifpp_report_write(const char *path, int mode, const char *created, IfppReportBody body, gpointer user, GError **error)
{
	g_autoptr(GString) buf = g_string_new(NULL);
	IfppReportWriter w = { path, created, -1, hash_new(GNUTLS_DIG_SHA256), buf, body, user };
	gboolean ok;

	if (g_str_equal(path, "-")) {
		w.path = "standard output";
		fflush(stdout);
		ok = write_body(STDOUT_FILENO, w.path, &w, error);
	} else {
		ok = ifpp_file_write_by(path, mode, write_body, &w, error);
	}
	gnutls_hash_deinit(w.hash, NULL);
	return ok;
}

/* ------------------------------------------------------------ reading */

struct _IfppReport {
	char *path;
	GBytes *text;		/* of version 1 or 2, with what is in it */
	JsonObject *whole;
	int fd;			/* of version 3 */
	JsonObject *end;
};

/* The lines of a file, one at a time; of the one at hand it is known whether another follows. */
typedef struct {
	const IfppReport *report;
	GByteArray *buf;
	gsize at, len;		/* the line, with its line feed if it has one */
	guint number;
	gboolean read_all;
} Lines;

#define bad(error, ...) ifpp_fail(error, IFPP_ERROR_JSON, __VA_ARGS__)

static gssize read_block(const IfppReport *report, guint8 *block, GError **error)
{
	gssize n;

	do
		n = read(report->fd, block, BLOCK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		ifpp_file_error(report->path, "cannot read", error);
	return n;
}

static gboolean fill(Lines *lines, GError **error)
{
	gsize have;
	gssize n;

	/* only what is not a line yet is kept */
	g_byte_array_remove_range(lines->buf, 0, lines->at);
	lines->at = 0;
	have = lines->buf->len;
	if (have > UNIT_MAX)
		return bad(error, "%s: line %u: longer than the %u bytes it may have", lines->report->path, lines->number + 1,
			   UNIT_MAX);
	g_byte_array_set_size(lines->buf, have + BLOCK);
	n = read_block(lines->report, lines->buf->data + have, error);
	g_byte_array_set_size(lines->buf, have + (gsize)MAX(n, 0));
	lines->read_all = n == 0;
	return n >= 0;
}

static gboolean next_line(Lines *lines, GError **error)
{
	gsize looked = 0;

	lines->at += lines->len;
	lines->len = 0;
	for (;;) {
		const guint8 *from = lines->buf->data ? lines->buf->data + lines->at : NULL;
		gsize left = lines->buf->len - lines->at;
		const guint8 *nl = left > looked ? memchr(from + looked, '\n', left - looked) : NULL;

		if (nl || lines->read_all) {
			lines->len = nl ? (gsize)(nl + 1 - from) : left;
			lines->number += lines->len != 0;
			return TRUE;
		}
		looked = left;
		if (!fill(lines, error))
			return FALSE;
	}
}

static IfppSpan line_span(const Lines *lines)
{
	return (IfppSpan){ lines->buf->data + lines->at, lines->len };
}

static gboolean is_last(Lines *lines, gboolean *last, GError **error)
{
	while (!lines->read_all && lines->buf->len == lines->at + lines->len)
		if (!fill(lines, error))
			return FALSE;
	*last = lines->buf->len == lines->at + lines->len;
	return TRUE;
}

static gboolean tell_unit(const Lines *lines, IfppReportUnit func, gpointer user, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autoptr(JsonObject) unit = ifpp_json_parse(line_span(lines), DEPTH_MAX, &why);
	g_autofree char *wrong = unit ? NULL : g_strdup_printf("line %u: %s", lines->number, why->message);

	return func(unit, wrong, user, error);
}

/* A line that is no JSON any more can be told; one that still is, cannot. */
static gboolean name_wrong(JsonObject *unit, const char *wrong, gpointer user, GError **error)
{
	return unit || bad(error, "%s: %s: altered on its way", (const char *)user, wrong);
}

static gboolean check_end(IfppReport *report, const Lines *lines, const guint8 sha256[32], GError **error)
{
	g_autoptr(JsonObject) end = ifpp_json_parse(line_span(lines), DEPTH_MAX, NULL);
	const char *said = end ? ifpp_json_get_string(end, "sha256") : NULL;
	g_autofree char *hex = ifpp_hex((IfppSpan){ sha256, 32 });

	if (!said || !ifpp_json_get_object(end, "totals") || lines->buf->data[lines->at + lines->len - 1] != '\n')
		return bad(error, "%s: it ends with line %u, which is not the one with totals and SHA-256: cut off on its way",
			   report->path, lines->number);
	if (report->end && g_strcmp0(said, ifpp_json_get_string(report->end, "sha256"))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: was changed while it was read", report->path);
		return FALSE;
	}
	g_clear_pointer(&report->end, json_object_unref);
	report->end = g_steal_pointer(&end);
	return g_str_equal(said, hex) ||
	       bad(error, "%s: its last line says another SHA-256 than that of the lines before it: altered or cut on its way",
		   report->path);
}

/* Every line of version 3 but the last, which is checked @to_end; @func may be NULL. */
static gboolean walk(IfppReport *report, IfppReportUnit func, gpointer user, gboolean to_end, GError **error)
{
	g_autoptr(GByteArray) buf = g_byte_array_new();
	gnutls_hash_hd_t hash = hash_new(GNUTLS_DIG_SHA256);
	Lines lines = { .report = report, .buf = buf };
	gboolean last = FALSE, ok;
	guint8 sha256[32];

	ok = lseek(report->fd, 0, SEEK_SET) == 0 || ifpp_file_error(report->path, "cannot read", error);
	while (ok && !last) {
		ok = next_line(&lines, error) && is_last(&lines, &last, error);
		if (!ok || last)
			break;
		hash_add(hash, line_span(&lines).data, lines.len);
		ok = lines.number == 1 || !func || tell_unit(&lines, func, user, error);
	}
	gnutls_hash_deinit(hash, sha256);
	return ok && (!to_end || check_end(report, &lines, sha256, error));
}

static gboolean not_known(const IfppReport *report, GError **error)
{
	return bad(error, "%s: not a Profile Loading Report of version 1 to %d", report->path, VERSION);
}

static gboolean take_whole(IfppReport *report, GError **error)
{
	gint64 version;

	report->text = ifpp_file_read(report->path, WHOLE_MAX, error);
	if (!report->text)
		return FALSE;
	report->whole = ifpp_json_parse(ifpp_span_bytes(report->text), DEPTH_MAX, error);
	if (!report->whole) {
		g_prefix_error(error, "%s: ", report->path);
		return FALSE;
	}
	return (!g_strcmp0(ifpp_json_get_string(report->whole, "format"), FORMAT) &&
		ifpp_json_get_int(report->whole, "version", 1, VERSION - 1, &version) && ifpp_json_get_array(report->whole, "units")) ||
	       not_known(report, error);
}

/* What its first line says; 0: it is not one of a report that has lines. */
static gint64 read_version(const IfppReport *report)
{
	g_autoptr(JsonObject) head = NULL;
	guint8 block[HEAD_MAX];
	gssize n = pread(report->fd, block, sizeof(block), 0);
	const guint8 *nl = n > 0 ? memchr(block, '\n', n) : NULL;
	gint64 version = 0;

	head = nl ? ifpp_json_parse((IfppSpan){ block, nl - block }, DEPTH_MAX, NULL) : NULL;
	if (head && !g_strcmp0(ifpp_json_get_string(head, "format"), FORMAT))
		ifpp_json_get_int(head, "version", VERSION, G_MAXINT64, &version);
	return version;
}

IfppReport *ifpp_report_open(const char *path, GError **error)
{
	g_autoptr(IfppReport) report = g_new0(IfppReport, 1);
	GError *why = NULL;
	gint64 version;
	gsize size;

	report->path = g_strdup(path);
	report->fd = ifpp_file_open(path, &size, error);
	if (report->fd < 0)
		return NULL;
	version = read_version(report);
	if (version > VERSION) {
		not_known(report, error);
		return NULL;
	}
	if (!version)
		return take_whole(report, error) ? g_steal_pointer(&report) : NULL;
	if (walk(report, NULL, NULL, TRUE, &why))
		return g_steal_pointer(&report);
	if (why->code == IFPP_ERROR_JSON && !walk(report, name_wrong, report->path, FALSE, error))
		g_error_free(why);
	else
		g_propagate_error(error, why);
	return NULL;
}

void ifpp_report_free(IfppReport *report)
{
	g_clear_pointer(&report->text, g_bytes_unref);
	g_clear_pointer(&report->whole, json_object_unref);
	g_clear_pointer(&report->end, json_object_unref);
	if (report->fd >= 0)
		close(report->fd);
	g_free(report->path);
	g_free(report);
}

gboolean ifpp_report_foreach(IfppReport *report, IfppReportUnit func, gpointer user, GError **error)
{
	JsonArray *units = report->whole ? ifpp_json_get_array(report->whole, "units") : NULL;
	gboolean ok = TRUE;

	if (!units)
		return walk(report, func, user, TRUE, error);
	for (guint i = 0; ok && i < json_array_get_length(units); i++) {
		JsonObject *unit = ifpp_json_get_element(units, i);
		g_autofree char *wrong = unit ? NULL : g_strdup_printf("unit %u: not an object", i + 1);

		ok = func(unit, wrong, user, error);
	}
	return ok;
}

JsonObject *ifpp_report_totals(IfppReport *report)
{
	return ifpp_json_get_object(report->whole ? report->whole : report->end, "totals");
}

gboolean ifpp_report_hash(IfppReport *report, int algorithm, guint8 *hash, GError **error)
{
	gnutls_hash_hd_t handle = hash_new(algorithm);
	g_autofree guint8 *block = g_malloc(BLOCK);
	gssize n = 0;

	if (report->text)
		hash_add(handle, g_bytes_get_data(report->text, NULL), g_bytes_get_size(report->text));
	else if (lseek(report->fd, 0, SEEK_SET) < 0 && !ifpp_file_error(report->path, "cannot read", error))
		n = -1;
	while (!report->text && n >= 0 && (n = read_block(report, block, error)) > 0)
		hash_add(handle, block, n);
	gnutls_hash_deinit(handle, hash);
	return n >= 0;
}
