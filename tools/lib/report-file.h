/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Profile Loading Report as a file, version 3 of Documentation/report.rst: lines of JSON, of which the first says what
 * it is, each further one is a unit, and the last has the totals and the SHA-256 of all before it. It is written and read a
 * line at a time. Versions 1 and 2, one JSON object each, are read whole.
 */
#ifndef IFPP_REPORT_FILE_H
#define IFPP_REPORT_FILE_H

#include "json.h"

/* ------------------------------------------------------------ writing */

typedef struct _IfppReportWriter IfppReportWriter;

/* Puts the units, in order of their EIDs, and then the end. */
typedef gboolean (*IfppReportBody)(IfppReportWriter *writer, gpointer user, GError **error);

/**
 * ifpp_report_write() - write a report, whole or not at all
 * @path: its name; "-": standard output
 * @mode: permission bits of a new file
 * @created: time of the report, ISO 8601
 * @body: called once
 * @user: for @body
 * @error: as ifpp_file_write(), or what @body set
 */
gboolean ifpp_report_write(const char *path, int mode, const char *created, IfppReportBody body, gpointer user, GError **error);

/* One unit; takes @b. IFPP_ERROR_NO_SPACE, IO, DISK */
gboolean ifpp_report_put_unit(IfppReportWriter *writer, JsonBuilder *b, GError **error);
/* The last line, which has member "totals"; takes @b, and adds the SHA-256. */
gboolean ifpp_report_put_end(IfppReportWriter *writer, JsonBuilder *b, GError **error);

/* ------------------------------------------------------------ reading */

typedef struct _IfppReport IfppReport;

/**
 * ifpp_report_open() - see that a report is one, and whole
 * @path: its name
 * @error: IFPP_ERROR_JSON: it is none, was cut off or altered; IO, ACCESS, DISK, TOO_LARGE
 */
IfppReport *ifpp_report_open(const char *path, GError **error);
void ifpp_report_free(IfppReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppReport, ifpp_report_free)

/* A unit; NULL: what stands in its place is no object, and @wrong names the line. Both live until it returns. */
typedef gboolean (*IfppReportUnit)(JsonObject *unit, const char *wrong, gpointer user, GError **error);

/**
 * ifpp_report_foreach() - every unit
 * @report: of ifpp_report_open()
 * @func: FALSE with @error set ends the walk
 * @user: for @func
 * @error: what @func set; IFPP_ERROR_IO: the file was changed meanwhile; DISK
 */
gboolean ifpp_report_foreach(IfppReport *report, IfppReportUnit func, gpointer user, GError **error);

/* What the report says of itself; NULL: nothing, which versions 1 and 2 may. */
JsonObject *ifpp_report_totals(IfppReport *report);

/**
 * ifpp_report_hash() - of the file as it is
 * @report: of ifpp_report_open()
 * @algorithm: a gnutls_digest_algorithm_t
 * @hash: as many bytes as it has
 * @error: IFPP_ERROR_DISK
 */
gboolean ifpp_report_hash(IfppReport *report, int algorithm, guint8 *hash, GError **error);

#endif
