/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Failures of modems that others have met, and what helped them. */
#ifndef IFPPD_KNOWN_H
#define IFPPD_KNOWN_H

#include "modem.h"

/**
 * known_help() - is this failure known?
 * @identity: of the modem
 * @message: of the failure
 *
 * Return: what helped, as a sentence without its full stop; NULL: nobody has told of it
 */
const char *known_help(const ModemIdentity *identity, const char *message);

#endif
