/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files named one by one, or by their directory. */
#ifndef SMDPF_INPUTS_H
#define SMDPF_INPUTS_H

#include <glib.h>

/**
 * input_files() - files as given; a directory stands for what in it has one of the suffixes, sorted by name
 * @names: files and directories
 * @suffix1: with its dot
 * @suffix2: another, or the same
 * @error: IFPP_ERROR_IO: a directory without any
 */
GPtrArray *input_files(char **names, const char *suffix1, const char *suffix2, GError **error);

#endif
