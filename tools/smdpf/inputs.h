/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files named one by one, or by their directory. Of an order there may be millions: their names are in a temporary file. */
#ifndef SMDPF_INPUTS_H
#define SMDPF_INPUTS_H

#include <glib.h>

typedef struct _Inputs Inputs;

/**
 * inputs_open() - files as given; a directory stands for what in it has one of the suffixes, sorted by name
 * @names: files and directories
 * @suffix1: with its dot
 * @suffix2: another, or the same
 * @error: IFPP_ERROR_IO: a directory without any; DISK, NO_SPACE
 *
 * What forks from this process may use it too.
 */
Inputs *inputs_open(char **names, const char *suffix1, const char *suffix2, GError **error);
void inputs_free(Inputs *inputs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inputs, inputs_free)

guint inputs_count(const Inputs *inputs);
/* Name of file @number, from 0; free it. */
char *inputs_path(const Inputs *inputs, guint number);

#endif
