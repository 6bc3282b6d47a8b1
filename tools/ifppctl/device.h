/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One chip's node, /dev/ifppN: every call that ifppctl makes into it, and nothing else. */
#ifndef IFPPCTL_DEVICE_H
#define IFPPCTL_DEVICE_H

#include <glib.h>
#include <linux/ifpp.h>
#include <poll.h>

typedef struct _CtlDevice CtlDevice;

/* @node: a path. Returns NULL and sets CTL_ERROR. */
CtlDevice *ctl_device_open(const char *node, GError **error);
void ctl_device_free(CtlDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlDevice, ctl_device_free)

/* All of these return 0 or a positive errno. */
int ctl_device_info(CtlDevice *device, struct ifpp_info *info);
int ctl_device_keys(CtlDevice *device, GArray **keys);	/* of struct ifpp_key */
int ctl_device_submit(CtlDevice *device, GBytes *package);
int ctl_device_result(CtlDevice *device, struct ifpp_result *result);
int ctl_device_delete_keys(CtlDevice *device, guint32 *deleted);
int ctl_device_rework(CtlDevice *device, guint32 *deleted);	/* profiles */
int ctl_device_lock(CtlDevice *device, const guint8 challenge[IFPP_CHALLENGE_LEN], GBytes **receipt);

/**
 * ctl_device_wait() - wait for poll() events
 * @device: the node
 * @events: POLLIN, POLLOUT, POLLPRI
 * @timeout_ms: bound of the wait
 *
 * Return: 0 when one of @events is there, ETIMEDOUT, ENODEV when the relay is gone and none
 * of @events is there, EINTR once SIGINT or SIGTERM came.
 */
int ctl_device_wait(CtlDevice *device, short events, int timeout_ms);

/* From here on SIGINT and SIGTERM only end waits: what was begun is reported first. */
void ctl_catch_signals(void);
gboolean ctl_interrupted(void);

#endif
