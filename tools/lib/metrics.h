/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures in the text format of Prometheus, version 0.0.4: for its server, and for node_exporter's textfiles. */
#ifndef IFPP_METRICS_H
#define IFPP_METRICS_H

#include <glib.h>

#define IFPP_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/**
 * ifpp_metric() - begin a metric: its samples follow
 * @out: the text
 * @name: in base units; of a counter, with _total at its end
 * @type: "gauge" or "counter"
 * @help: one sentence
 */
void ifpp_metric(GString *out, const char *name, const char *type, const char *help);

/**
 * ifpp_sample() - one value of a metric
 * @out: the text
 * @name: of the metric
 * @value: what it is
 * @...: label and value in turns, ended by NULL; what is not UTF-8 in a value is replaced
 */
void ifpp_sample(GString *out, const char *name, double value, ...) G_GNUC_NULL_TERMINATED;

#endif
