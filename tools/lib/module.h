/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IFPP_MODULE_H
#define IFPP_MODULE_H

#include <glib.h>

/**
 * ifpp_module_advice() - why the driver may not be loaded, and what to do
 * @root: where to look, "" but in tests
 * @release: of the running kernel, as uname -r says it
 *
 * Return: a clause for an error's message: no module was built, the kernel takes only signed ones, or it can be loaded.
 */
char *ifpp_module_advice(const char *root, const char *release);

#endif
