/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which device a chip is in, as requests have told it: a line "EID IMEI" for each chip, in a file beside their data. */
#ifndef SMDPF_DEVICES_H
#define SMDPF_DEVICES_H

#include <glib.h>

typedef struct _Devices Devices;

Devices *devices_new(void);
void devices_free(Devices *devices);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Devices, devices_free)

/* Add those of a directory, which need not have any. IFPP_ERROR_IO, ACCESS: what is there cannot be read, or was altered */
gboolean devices_load(Devices *devices, const char *dir, GError **error);

/* What is told last counts. */
void devices_set(Devices *devices, const guint8 eid[16], const char *imei);

/* The IMEI, or NULL: nobody has told it. */
const char *devices_find(Devices *devices, const guint8 eid[16]);

/* All of them into a directory. IFPP_ERROR_IO, ACCESS, NO_SPACE */
gboolean devices_save(Devices *devices, const char *dir, GError **error);

#endif
