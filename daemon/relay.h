/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The relay: /dev/ifpp-relay, one open file for one chip. */
#ifndef IFPPD_RELAY_H
#define IFPPD_RELAY_H

#include <linux/ifpp.h>
#include <glib.h>

typedef struct _Relay Relay;

typedef struct {
	struct ifpp_req req;
	GBytes *data;
} RelayRequest;

void relay_request_free(RelayRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RelayRequest, relay_request_free)

/* @request: owned by the callee, or NULL when the relay is gone, with @error saying why. */
typedef void (*RelayFunc)(RelayRequest *request, const GError *error, gpointer user);

/* IFPP_ERROR_NO_DEVICE: the module is not loaded; ACCESS */
Relay *relay_open(const char *path, GError **error);
void relay_free(Relay *relay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Relay, relay_free)

/**
 * relay_attach() - announce the chip
 * @relay: open
 * @attach: everything but @keys; @index is filled
 * @keys: attach->n_keys of them
 * @error: IFPP_ERROR_MODEM another relay serves this chip; IFPP_ERROR_CHIP the chip contradicts
 *	the kernel's record
 */
gboolean relay_attach(Relay *relay, struct ifpp_attach *attach, const struct ifpp_key *keys, GError **error);

/* Call @func for every request. After one the relay waits for relay_reply(): one at a time. */
void relay_watch(Relay *relay, RelayFunc func, gpointer user);

/**
 * relay_reply() - answer the request in hand and take the next
 * @relay: attached
 * @reply: lengths are filled in
 * @keys: reply->n_keys of them
 * @data: PIR or receipt, may be NULL
 * @error: the kernel did not take it: too late (the request was given up), or a contradiction
 */
gboolean relay_reply(Relay *relay, struct ifpp_reply *reply, const struct ifpp_key *keys, GBytes *data,
		     GError **error);

#endif
