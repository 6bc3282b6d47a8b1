/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libifpp: the data of many chips in one file, with each certificate of an issuer once
 * (Documentation/bundle.rst). What goes in comes out, byte for byte.
 */
#ifndef IFPP_REQUEST_BODY_H
#define IFPP_REQUEST_BODY_H

#include "tlv.h"

typedef struct _RequestBody RequestBody;

RequestBody *request_body_new(void);
void request_body_free(RequestBody *body);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RequestBody, request_body_free)

/* The next chip's data, at the end of what is written. IFPP_ERROR_IO, ACCESS, NO_SPACE */
gboolean request_body_put(RequestBody *body, int fd, const char *path, GBytes *data, GError **error);

/**
 * request_body_next() - look at the next chip's record
 * @body: has seen all before it
 * @fd: the file
 * @offset: of the record
 * @len: bytes of the chip's data
 * @end: set: the offset behind it
 * @error: IFPP_ERROR_IO, LENGTH; HEADER: malformed
 */
gboolean request_body_next(RequestBody *body, int fd, guint64 offset, guint32 len, guint64 *end, GError **error);
/* The data of a record that request_body_next() has seen. */
GBytes *request_body_read(RequestBody *body, int fd, guint64 offset, guint32 len, GError **error);

#endif
