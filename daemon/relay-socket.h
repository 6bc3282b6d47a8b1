/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests only: a Unix SEQPACKET socket that speaks the relay's records, where a product has /dev/ifpp-relay alone. The first
 * message is struct ifpp_attach with its keys behind it, answered by an s32 status and a u32 index. A daemon built without the
 * option socket-relay has none of it.
 */
#ifndef IFPPD_RELAY_SOCKET_H
#define IFPPD_RELAY_SOCKET_H

#include <glib.h>
#include <linux/ifpp.h>

#ifdef IFPP_SOCKET_RELAY

gboolean relay_socket_is(const char *path);
int relay_socket_open(const char *path);	/* -1 with errno */
/* 0 or an errno; @attach gets its index */
int relay_socket_attach(int fd, struct ifpp_attach *attach, const struct ifpp_key *keys);
gssize relay_socket_send(int fd, GByteArray *record);

#else

#define relay_socket_is(path) FALSE
#define relay_socket_open(path) -1
#define relay_socket_attach(fd, attach, keys) ENODEV
#define relay_socket_send(fd, record) -1

#endif

#endif
