/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Somebody between daemon and modem, who changes what passes. */
#ifndef TAP_H
#define TAP_H

#include "station.h"

/**
 * TapEdit - look at, and change, what passes
 * @data: some bytes of the stream, mostly one frame
 * @len: of them
 * @to_modem: which way they go
 * @left: how often it may still act; shared with the test
 */
typedef void (*TapEdit)(guint8 *data, gsize len, gboolean to_modem, guint *left);

typedef struct _Tap Tap;

/* The modem is running, and no daemon. @times: first value of @left */
Tap *tap_new(Station *station, TapEdit edit, guint times);
guint tap_left(Tap *tap);
void tap_set_left(Tap *tap, guint times);
void tap_free(Tap *tap);

#endif
