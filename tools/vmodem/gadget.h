/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The USB gadget around the modem's function: configfs, and the functionfs mount. Needs root. */
#ifndef VMODEM_GADGET_H
#define VMODEM_GADGET_H

#include <glib.h>

/* Identity of a Quectel EC25 with one function, mounted at @dir. What exists already is left as it is. */
gboolean gadget_up(const char *name, const char *dir, GError **error);
/* Take it all apart again; parts that are missing are no error. */
gboolean gadget_down(const char *name, const char *dir, GError **error);
/* Plug in, to @udc or to the first free USB device controller. */
gboolean gadget_bind(const char *name, const char *udc, GError **error);
/* Pull the plug; no error when it is out already. */
gboolean gadget_unbind(const char *name, GError **error);

#endif
