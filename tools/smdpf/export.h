/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deliveries: sealed packages in one signed file for a factory without a network. */
#ifndef SMDPF_EXPORT_H
#define SMDPF_EXPORT_H

#include "home.h"

/**
 * export_delivery() - write what waits to be loaded into a delivery bundle
 * @home: with trust loaded
 * @order: name of an order, or NULL for every package
 * @out: the file; left alone when it is this very delivery already
 * @pin_file: as token_init(); the token is used only when something is signed
 * @exit_code: IFPP_EXIT_OK, or BUSY when more is being sealed
 * @error: IFPP_ERROR_USAGE nothing to deliver; HEADER_MISMATCH a package in the home is damaged;
 *	IO, ACCESS, NO_SPACE; as token_open()
 *
 * A package whose result is known is left out: its key is spent.
 */
gboolean export_delivery(Home *home, const char *order, const char *out, const char *pin_file, int *exit_code,
			 GError **error);

#endif
