/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What systemd hears of a service; built without it, nobody hears and nobody hands over a socket. */
#ifndef IFPP_NOTIFY_H
#define IFPP_NOTIFY_H

#if IFPP_SYSTEMD
#include <systemd/sd-daemon.h>
#else
#include <stdint.h>

#define SD_LISTEN_FDS_START 3

static inline int sd_notify(int unset, const char *state)
{
	return 0;
}

__attribute__((format(printf, 2, 3))) static inline int sd_notifyf(int unset, const char *format, ...)
{
	return 0;
}

static inline int sd_watchdog_enabled(int unset, uint64_t *usec)
{
	return 0;
}

static inline int sd_listen_fds(int unset)
{
	return 0;
}

static inline int sd_is_socket(int fd, int family, int type, int listening)
{
	return 0;
}
#endif

#endif
