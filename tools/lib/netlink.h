/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libifpp-netlink: the driver's generic netlink family over libnl, on the GLib main loop. */
#ifndef IFPP_NETLINK_H
#define IFPP_NETLINK_H

#include <glib.h>
#include <linux/ifpp.h>
#include <linux/ifpp_netlink.h>

typedef struct {
	guint32 index;
	guint8 eid[IFPP_EID_LEN];	/* zeroes where the caller may not open the node */
	guint32 state;			/* enum ifpp_state */
	guint32 keys_unspent, keys_unknown, keys_spent;
	gboolean online;
	guint64 loads, installed, failed, refused;
} IfppNlDev;

typedef struct {
	guint32 state;			/* enum ifpp_state */
	guint32 anchor;			/* enum ifpp_anchor */
	guint32 chips, chips_locked;
} IfppNlHost;

typedef struct {
	guint32 command;		/* IFPP_CMD_*_NTF: says which member holds */
	union {
		IfppNlDev dev;
		IfppNlHost host;
		struct {
			guint32 index;
			guint8 eid[IFPP_EID_LEN];
			guint8 key_id[IFPP_KEY_ID_LEN];
			gint32 status;
			guint32 reason, keys_left;
			guint64 duration_ns;
			guint64 queue_ns, verify_ns, chip_ns;	/* parts of it */
		} load;
		struct {
			guint32 index;	/* of the node that the chip has, or was to get */
			guint32 kind;	/* enum ifpp_tamper_kind */
		} tamper;
	};
} IfppNlEvent;

struct nlmsghdr;
typedef struct _IfppNetlink IfppNetlink;
typedef void (*IfppNlEventFunc)(const IfppNlEvent *event, gpointer user);

/* IFPP_ERROR_NO_DEVICE: the module is not loaded. */
IfppNetlink *ifpp_netlink_new(GError **error);
void ifpp_netlink_free(IfppNetlink *nl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppNetlink, ifpp_netlink_free)

GArray *ifpp_netlink_dump(IfppNetlink *nl, GError **error);	/* of IfppNlDev */
gboolean ifpp_netlink_host_get(IfppNetlink *nl, IfppNlHost *out, GError **error);
gboolean ifpp_netlink_host_lock(IfppNetlink *nl, IfppNlHost *out, GError **error);	/* ACCESS without CAP_SYS_ADMIN */
/* Subscribe to the group "events"; @func runs from the thread-default main context until free. */
gboolean ifpp_netlink_watch(IfppNetlink *nl, IfppNlEventFunc func, gpointer user, GError **error);

/**
 * ifpp_netlink_parse_event() - one message of the group "events"
 * @hdr: a whole generic netlink message
 * @event: filled
 *
 * Return: FALSE for a message that is no event, or lacks what its kind must have.
 */
gboolean ifpp_netlink_parse_event(struct nlmsghdr *hdr, IfppNlEvent *event);

const char *ifpp_state_name(guint32 state);	/* "FACTORY", "DRAINED", "LOCKING", "LOCKED", "CLOSED" */

#endif
