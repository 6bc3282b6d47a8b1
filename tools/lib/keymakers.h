/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libifpp: the list of Key Makers whose packages are taken (SGP.41 MCE01), the file "key-makers"
 * beside the directory of CI roots.
 */
#ifndef IFPP_KEYMAKERS_H
#define IFPP_KEYMAKERS_H

#include "cert.h"

typedef struct _KeyMakers KeyMakers;

/**
 * key_makers_parse() - read the list
 * @text: its bytes; a line is empty, a comment (#), "ski HEX" (subjectKeyIdentifier, 40 digits) or
 *	"subject TYPE=VALUE, ..." (CN, O, OU, C, serialNumber; each must stand in the certificate's subject so)
 * @path: for messages
 * @error: IFPP_ERROR_KEY_MAKER: a line that is none of these
 *
 * Return: the list, or NULL.
 */
KeyMakers *key_makers_parse(IfppSpan text, const char *path, GError **error);
void key_makers_free(KeyMakers *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyMakers, key_makers_free)

/* An empty list names nobody, and so takes anybody under the CI. IFPP_ERROR_KEY_MAKER */
gboolean key_makers_check(const KeyMakers *list, Cert *dppb, GError **error);
guint key_makers_count(const KeyMakers *list);

#endif
