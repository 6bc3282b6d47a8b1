/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a modem can do for an eUICC, whatever protocol it speaks. One port, at most one logical channel.
 * Whatever happens to this process, the modem must not run out of channels, or of what else it hands out.
 */
#ifndef IFPPD_MODEM_H
#define IFPPD_MODEM_H

#include <gio/gio.h>
#include "block.h"
#include "tlv.h"

typedef struct _Modem Modem;
typedef void (*ModemGoneFunc)(gpointer user);

typedef enum {
	MODEM_PROTOCOL_AUTO,	/* the kernel's word for the port */
	MODEM_PROTOCOL_QMI,
	MODEM_PROTOCOL_MBIM,
} ModemProtocol;

/**
 * struct ModemOptions - which modem, and how to use it
 * @device: /dev/cdc-wdm0, a Unix socket whose path contains qmux_socket, or qrtr://N, a node on QRTR
 * @protocol: which the port speaks
 * @state_dir: block sizes are remembered below it, in modem/
 * @run_dir: what belongs to this boot; NULL: beside the block sizes
 * @slot: physical slot, 0: the first active one with a card
 * @switch_slot: the slot may be made the active one
 * @timeout: seconds for one message
 * @proxy: share the port through qmi-proxy or mbim-proxy
 * @guest: close no channel that is not our own; else what a predecessor left open is closed
 */
typedef struct {
	const char *device;
	ModemProtocol protocol;
	const char *state_dir;
	const char *run_dir;
	guint slot;
	gboolean switch_slot;
	guint timeout;
	gboolean proxy;
	gboolean guest;
} ModemOptions;

/* Each is NULL if the modem does not tell it. */
typedef struct {
	char *model;
	char *revision;		/* of its firmware */
	char *imei;
	char *serial;
} ModemIdentity;

/**
 * struct ModemOps - one protocol
 * @free: everything but the base, which modem_free() frees
 * @open: modem_open_async(); @task returns a boolean
 * @channel_open: ask once, for at most @wait seconds, for a channel to @aid; @task returns a boolean, and base.channel is set. If a
 *	channel may be open all the same, base.suspect is. Its error is the library's, or ours if asking again cannot help
 * @channel_close: ask once, for at most @wait seconds; @task returns a boolean, its error is the library's
 * @refused: was @error the modem's own answer, and not about the client that asked?
 * @error: the library's error in our domain, while @what was done; NULL: no usable answer
 * @lost: has the modem forgotten the client that asked; @error NULL: is there none? NULL: the protocol has no clients
 * @renew: have clients, new ones if they were lost; @task returns a boolean
 * @transmit: one APDU; @task returns GBytes
 * @switch_slot: make a physical slot the active one, and see that it is; @task returns a boolean
 * @versions: what the protocol's services are; @task returns a string
 * @close: give back what was handed out, close the port; @task returns a boolean, and never an error
 * @gone_error: why the port is gone, while @what was done
 *
 * @first_channel: the sweep begins there
 * @our_channels: the last one that a predecessor is likely to have left open
 * @last_channel: that there may be
 *
 * Each of them returns @task, in the end, and gives up its reference. No message is waited for beyond
 * @deadline, in microseconds of the monotonic clock (modem_wait()).
 */
typedef struct {
	void (*free)(Modem *modem);
	void (*open)(Modem *modem, gint64 deadline, GTask *task);
	void (*channel_open)(Modem *modem, IfppSpan aid, guint wait, GTask *task);
	void (*channel_close)(Modem *modem, guint8 channel, guint wait, GTask *task);
	gboolean (*refused)(const GError *error);
	GError *(*error)(Modem *modem, const char *what, const GError *cause);
	gboolean (*lost)(Modem *modem, const GError *error);
	void (*renew)(Modem *modem, gint64 deadline, GTask *task);
	void (*transmit)(Modem *modem, IfppSpan apdu, guint timeout, gint64 deadline, GTask *task);
	void (*switch_slot)(Modem *modem, guint slot, gint64 deadline, GTask *task);
	void (*versions)(Modem *modem, gint64 deadline, GTask *task);
	void (*close)(Modem *modem, gint64 deadline, GTask *task);
	GError *(*gone_error)(Modem *modem, const char *what);
	guint8 first_channel, our_channels, last_channel;
} ModemOps;

/* The base of every modem; its fields are the protocol's to set, and nobody else's. */
struct _Modem {
	const ModemOps *ops;
	Modem *candidate;	/* for the protocol that may be inside of this one; owned */
	Modem *inside;		/* the same, once it is known to be: then it does everything */
	GError *refusal;	/* why it cannot be opened, or NULL */
	char *device;
	gboolean no_node;	/* nothing in the file system is its port */
	char *modem_dir, *run_dir;
	guint want_slot;
	gboolean may_switch;
	guint switch_to;	/* physical slot that is to be made active before anything else; 0: none */
	guint switching;	/* the slot that was asked for, until the modem says that it is active; 0: none */
	gboolean card_expected;	/* in it: it takes a while to start */
	guint timeout;
	gboolean proxy;
	gboolean guest;
	ModemGoneFunc gone_func;
	gpointer gone_user;

	gboolean gone;
	guint8 channel;		/* 0: none is open */
	gboolean suspect;	/* one may be open that we do not know of */
	ModemIdentity identity;
	char *slots;		/* what the modem said of them, for people */
	guint64 round_trip_ns;	/* of a request that it answers without the chip */
	Block *block;
};

/**
 * modem_free() - NULL is allowed
 * @modem: closed, or never opened
 */
void modem_free(Modem *modem);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Modem, modem_free)

/* Its node is there, whether or not the port works. */
gboolean modem_is_there(Modem *modem);
/* Why the port is gone, while @what was done: unplugged, or somebody else reads it. */
GError *modem_gone_error(Modem *modem, const char *what);

/**
 * modem_open_async() - open the port, find the slot, close the channels that a predecessor left open
 * @deadline: monotonic microseconds
 *
 * Errors: NO_DEVICE, ACCESS, MODEM, TIMEOUT, NO_EUICC (no card), UNSUPPORTED (no way to its card)
 */
void modem_open_async(Modem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
		      gpointer user);
gboolean modem_open_finish(GAsyncResult *res, GError **error);

/* Open a logical channel to an application. NO_EUICC: there is no such application. */
void modem_channel_open_async(Modem *modem, IfppSpan aid, gint64 deadline, GCancellable *cancellable,
			      GAsyncReadyCallback cb, gpointer user);
gboolean modem_channel_open_finish(GAsyncResult *res, GError **error);
void modem_channel_close_async(Modem *modem, gint64 deadline, GCancellable *cancellable,
			       GAsyncReadyCallback cb, gpointer user);
gboolean modem_channel_close_finish(GAsyncResult *res, GError **error);

/**
 * modem_transmit_async() - one command APDU on the open channel
 * @apdu: header, data, Le
 * @timeout: seconds that the modem may take for it; 0: modem_timeout()
 * @deadline: monotonic microseconds
 *
 * Errors: NO_DEVICE, MODEM, TIMEOUT; IFPP_ERROR_TOO_LARGE: the modem says that the APDU is too long, and has
 * not sent it to the card
 */
void modem_transmit_async(Modem *modem, IfppSpan apdu, guint timeout, gint64 deadline, GCancellable *cancellable,
			  GAsyncReadyCallback cb, gpointer user);
/* The response, which ends with SW1 SW2. */
GBytes *modem_transmit_finish(GAsyncResult *res, GError **error);

/**
 * modem_switch_slot_async() - make a physical slot the active one
 * @slot: from 1
 * @deadline: monotonic microseconds
 *
 * Whoever uses the card of the slot that was active is cut off. Done when the modem says that the slot is
 * active, and has its card if it had one. The same slot again is no error. NO_EUICC: no such slot; MODEM, TIMEOUT, NO_DEVICE
 */
void modem_switch_slot_async(Modem *modem, guint slot, gint64 deadline, GCancellable *cancellable,
			     GAsyncReadyCallback cb, gpointer user);
gboolean modem_switch_slot_finish(GAsyncResult *res, GError **error);

/* Close the channel, give back what was handed out, close the port. Never fails: what is stuck is left. */
void modem_close_async(Modem *modem, GAsyncReadyCallback cb, gpointer user);
void modem_close_finish(GAsyncResult *res);

/* Versions of the services: "ctl 1.5, uim 1.46". The port must be open. MODEM, TIMEOUT, NO_DEVICE */
void modem_versions_async(Modem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
			  gpointer user);
char *modem_versions_finish(GAsyncResult *res, GError **error);

const char *modem_model(Modem *modem);
const ModemIdentity *modem_identity(Modem *modem);
const char *modem_slots(Modem *modem);
guint modem_channel(Modem *modem);
guint64 modem_round_trip(Modem *modem);
guint modem_timeout(Modem *modem);
/* APDU block sizes of this model and firmware. */
Block *modem_block(Modem *modem);

/* ------------------------------------------------------ for the protocols */

/* Model and firmware revision, if they are known, follow the message of @error: the next one with it may be another modem. */
void modem_name_in_error(Modem *modem, GError *error);

/* Fill the base. */
void modem_init(Modem *modem, const ModemOps *ops, const ModemOptions *options, ModemGoneFunc gone, gpointer user);
/* The port has disappeared. */
void modem_set_gone(Modem *modem);

/**
 * modem_wait() - how long the next message may take
 * @timeout: seconds at most; 0: modem_timeout()
 * @deadline: monotonic microseconds
 * @what: is done, for the error; static
 * @error: IFPP_ERROR_TIMEOUT
 *
 * Return: seconds; 0: no time is left
 */
guint modem_wait(Modem *modem, guint timeout, gint64 deadline, const char *what, GError **error);

/* The logical channel (modem-channel.c). Each takes @task, which returns a boolean. */
void modem_channel_begin(Modem *modem, IfppSpan aid, gint64 deadline, GTask *task);
void modem_channel_end(Modem *modem, gint64 deadline, GTask *task);
/* Close channels up to @last, whoever opened them; a guest leaves alone what is not its own. The error is the library's. */
void modem_sweep_async(Modem *modem, guint last, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
		       gpointer user);

#endif
