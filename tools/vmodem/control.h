/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bench's hand on the modem: one line in, one line of JSON out (Documentation/virtual-modem.rst). */
#ifndef VMODEM_CONTROL_H
#define VMODEM_CONTROL_H

#include "modem.h"

typedef struct _Control Control;

Control *control_new(Modem *modem, const char *path, GError **error);
void control_free(Control *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Control, control_free)

/* One command. Return: the answer without a newline. */
char *control_run(Modem *modem, const char *line);

/* Send @words as a line to a running modem and return its answer. */
char *control_ask(const char *path, char **words, GError **error);

#endif
