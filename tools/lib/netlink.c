// SPDX-License-Identifier: LGPL-2.1-or-later
#include "netlink.h"
#include "error.h"
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Room for the events of a full station between two turns of a busy main loop. */
#define EVENT_BUFFER (256 * 1024)

struct _IfppNetlink {
	struct nl_sock *request;
	struct nl_sock *events;		/* NULL until watched */
	int family;
	GHashTable *eids;		/* by index of the node, as last seen */
	GSource *source;
	IfppNlEventFunc func;
	gpointer user;
	gboolean done;			/* the running request has its last message */
	int error;			/* of the running request, positive errno */
	char *reason;			/* what the kernel says to it, or NULL */
};

static struct nla_policy dev_policy[IFPP_A_DEV_MAX + 1] = {
	[IFPP_A_DEV_INDEX] = { .type = NLA_U32 },
	[IFPP_A_DEV_STATE] = { .type = NLA_U32 },
	[IFPP_A_DEV_KEYS_UNSPENT] = { .type = NLA_U32 },
	[IFPP_A_DEV_KEYS_UNKNOWN] = { .type = NLA_U32 },
	[IFPP_A_DEV_KEYS_SPENT] = { .type = NLA_U32 },
	[IFPP_A_DEV_ONLINE] = { .type = NLA_U32 },
	[IFPP_A_DEV_LOADS] = { .minlen = 4, .maxlen = 8 },
	[IFPP_A_DEV_INSTALLED] = { .minlen = 4, .maxlen = 8 },
	[IFPP_A_DEV_FAILED] = { .minlen = 4, .maxlen = 8 },
	[IFPP_A_DEV_REFUSED] = { .minlen = 4, .maxlen = 8 },
};

static struct nla_policy host_policy[IFPP_A_HOST_MAX + 1] = {
	[IFPP_A_HOST_VERSION] = { .type = NLA_U16, .maxlen = sizeof(guint16) },
	[IFPP_A_HOST_STATE] = { .type = NLA_U32 },
	[IFPP_A_HOST_ANCHOR] = { .type = NLA_U32 },
	[IFPP_A_HOST_CHIPS] = { .type = NLA_U32 },
	[IFPP_A_HOST_CHIPS_LOCKED] = { .type = NLA_U32 },
};

static struct nla_policy load_policy[IFPP_A_LOAD_MAX + 1] = {
	[IFPP_A_LOAD_INDEX] = { .type = NLA_U32 },
	[IFPP_A_LOAD_KEY_ID] = { .minlen = IFPP_KEY_ID_LEN, .maxlen = IFPP_KEY_ID_LEN },
	[IFPP_A_LOAD_STATUS] = { .type = NLA_S32 },
	[IFPP_A_LOAD_REASON] = { .type = NLA_U32 },
	[IFPP_A_LOAD_KEYS_LEFT] = { .type = NLA_U32 },
	[IFPP_A_LOAD_DURATION] = { .minlen = 4, .maxlen = 8 },
	[IFPP_A_LOAD_QUEUE] = { .minlen = 4, .maxlen = 8 },
	[IFPP_A_LOAD_VERIFY] = { .minlen = 4, .maxlen = 8 },
	[IFPP_A_LOAD_CHIP] = { .minlen = 4, .maxlen = 8 },
};

static struct nla_policy tamper_policy[IFPP_A_TAMPER_MAX + 1] = {
	[IFPP_A_TAMPER_INDEX] = { .type = NLA_U32 },
	[IFPP_A_TAMPER_KIND] = { .type = NLA_U32 },
};

static guint32 get_u32(struct nlattr *attr)
{
	return attr ? nla_get_u32(attr) : 0;
}

/* The kernel's "uint": four bytes when they suffice, else eight. */
static guint64 get_uint(struct nlattr *attr)
{
	guint64 value;

	if (!attr)
		return 0;
	if (nla_len(attr) < 8)
		return nla_get_u32(attr);
	memcpy(&value, nla_data(attr), sizeof(value));
	return value;
}

static gboolean parse_dev(struct nlmsghdr *hdr, IfppNlDev *dev)
{
	struct nlattr *a[IFPP_A_DEV_MAX + 1];

	if (genlmsg_parse(hdr, 0, a, IFPP_A_DEV_MAX, dev_policy) < 0 || !a[IFPP_A_DEV_INDEX] ||
	    !a[IFPP_A_DEV_STATE])
		return FALSE;
	dev->index = get_u32(a[IFPP_A_DEV_INDEX]);
	dev->state = get_u32(a[IFPP_A_DEV_STATE]);
	dev->keys_unspent = get_u32(a[IFPP_A_DEV_KEYS_UNSPENT]);
	dev->keys_unknown = get_u32(a[IFPP_A_DEV_KEYS_UNKNOWN]);
	dev->keys_spent = get_u32(a[IFPP_A_DEV_KEYS_SPENT]);
	dev->online = get_u32(a[IFPP_A_DEV_ONLINE]) != 0;
	dev->loads = get_uint(a[IFPP_A_DEV_LOADS]);
	dev->installed = get_uint(a[IFPP_A_DEV_INSTALLED]);
	dev->failed = get_uint(a[IFPP_A_DEV_FAILED]);
	dev->refused = get_uint(a[IFPP_A_DEV_REFUSED]);
	return TRUE;
}

static gboolean parse_host(struct nlmsghdr *hdr, IfppNlHost *host)
{
	struct nlattr *a[IFPP_A_HOST_MAX + 1];

	if (genlmsg_parse(hdr, 0, a, IFPP_A_HOST_MAX, host_policy) < 0 || !a[IFPP_A_HOST_STATE] ||
	    !a[IFPP_A_HOST_VERSION] || nla_get_u16(a[IFPP_A_HOST_VERSION]) != IFPP_ABI_VERSION)
		return FALSE;
	host->state = get_u32(a[IFPP_A_HOST_STATE]);
	host->anchor = get_u32(a[IFPP_A_HOST_ANCHOR]);
	host->chips = get_u32(a[IFPP_A_HOST_CHIPS]);
	host->chips_locked = get_u32(a[IFPP_A_HOST_CHIPS_LOCKED]);
	return TRUE;
}

static gboolean parse_load(struct nlmsghdr *hdr, IfppNlEvent *event)
{
	struct nlattr *a[IFPP_A_LOAD_MAX + 1];

	if (genlmsg_parse(hdr, 0, a, IFPP_A_LOAD_MAX, load_policy) < 0 || !a[IFPP_A_LOAD_INDEX] ||
	    !a[IFPP_A_LOAD_KEY_ID] || !a[IFPP_A_LOAD_STATUS])
		return FALSE;
	event->load.index = get_u32(a[IFPP_A_LOAD_INDEX]);
	memcpy(event->load.key_id, nla_data(a[IFPP_A_LOAD_KEY_ID]), IFPP_KEY_ID_LEN);
	event->load.status = nla_get_s32(a[IFPP_A_LOAD_STATUS]);
	event->load.reason = get_u32(a[IFPP_A_LOAD_REASON]);
	event->load.keys_left = get_u32(a[IFPP_A_LOAD_KEYS_LEFT]);
	event->load.duration_ns = get_uint(a[IFPP_A_LOAD_DURATION]);
	event->load.queue_ns = get_uint(a[IFPP_A_LOAD_QUEUE]);
	event->load.verify_ns = get_uint(a[IFPP_A_LOAD_VERIFY]);
	event->load.chip_ns = get_uint(a[IFPP_A_LOAD_CHIP]);
	return TRUE;
}

static gboolean parse_tamper(struct nlmsghdr *hdr, IfppNlEvent *event)
{
	struct nlattr *a[IFPP_A_TAMPER_MAX + 1];

	if (genlmsg_parse(hdr, 0, a, IFPP_A_TAMPER_MAX, tamper_policy) < 0 || !a[IFPP_A_TAMPER_INDEX])
		return FALSE;
	event->tamper.index = get_u32(a[IFPP_A_TAMPER_INDEX]);
	event->tamper.kind = get_u32(a[IFPP_A_TAMPER_KIND]);
	return TRUE;
}

gboolean ifpp_netlink_parse_event(struct nlmsghdr *hdr, IfppNlEvent *event)
{
	memset(event, 0, sizeof(*event));
	if (!genlmsg_valid_hdr(hdr, 0))
		return FALSE;

	event->command = genlmsg_hdr(hdr)->cmd;
	switch (event->command) {
	case IFPP_CMD_DEV_ADD_NTF:
	case IFPP_CMD_DEV_DEL_NTF:
	case IFPP_CMD_DEV_CHANGE_NTF:
		return parse_dev(hdr, &event->dev);
	case IFPP_CMD_HOST_CHANGE_NTF:
		return parse_host(hdr, &event->host);
	case IFPP_CMD_LOAD_DONE_NTF:
		return parse_load(hdr, event);
	case IFPP_CMD_TAMPER_NTF:
		return parse_tamper(hdr, event);
	default:
		return FALSE;
	}
}

/* Keep the errno itself: libnl's own codes fold several into one. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *user)
{
	IfppNetlink *nl = user;
	struct nlmsghdr *hdr = (struct nlmsghdr *)((char *)err - NLMSG_HDRLEN);
	struct nlattr *a[NLMSGERR_ATTR_MSG + 1];
	int offset = sizeof(*err);

	nl->error = -err->error;
	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	/* The extended answer follows the request, which comes back whole unless capped. */
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		offset += (int)err->msg.nlmsg_len - NLMSG_HDRLEN;
	if (offset >= (int)sizeof(*err) && nlmsg_valid_hdr(hdr, offset) &&
	    !nlmsg_parse(hdr, NLMSG_ALIGN(offset), a, NLMSGERR_ATTR_MSG, NULL) && a[NLMSGERR_ATTR_MSG] &&
	    nla_len(a[NLMSGERR_ATTR_MSG]) > 0) {
		g_free(nl->reason);
		nl->reason = g_strndup(nla_data(a[NLMSGERR_ATTR_MSG]), nla_len(a[NLMSGERR_ATTR_MSG]));
	}
	return NL_STOP;
}

static int on_done(struct nl_msg *msg, void *user)
{
	((IfppNetlink *)user)->done = TRUE;
	return NL_STOP;
}

/* Send one command and let @on_valid see its answers, up to the ACK or the end of the dump. */
static gboolean request(IfppNetlink *nl, int command, int flags, nl_recvmsg_msg_cb_t on_valid, gpointer user,
			GError **error)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct nl_msg *msg = nlmsg_alloc();
	int ret;

	nl->done = FALSE;
	nl->error = 0;
	g_clear_pointer(&nl->reason, g_free);
	if (!cb || !msg ||
	    !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0, flags, command, IFPP_FAMILY_VERSION))
		g_error("netlink: out of memory");
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, user);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_done, nl);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_done, nl);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, nl);

	ret = nl_send_auto(nl->request, msg);
	while (ret >= 0 && !nl->done && !nl->error)
		ret = nl_recvmsgs(nl->request, cb);
	/* Chips came or went during a dump: each one told is right by itself, and that is all we need. */
	if (ret == -NLE_DUMP_INTR)
		ret = 0;
	nlmsg_free(msg);
	nl_cb_put(cb);

	if (nl->error == EPERM || nl->error == EACCES) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS,
			    "the ifpp driver: this operation needs the capability CAP_SYS_ADMIN, outside of containers");
	} else if (nl->error == ENOENT || nl->error == EOPNOTSUPP) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "the ifpp driver: it was unloaded meanwhile");
	} else if (nl->error) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "the ifpp driver: %s",
			    nl->reason ?: g_strerror(nl->error));
	} else if (ret < 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "the ifpp driver's netlink family: %s",
			    nl_geterror(ret));
	} else {
		return TRUE;
	}
	return FALSE;
}

static struct nl_sock *connect_socket(void)
{
	struct nl_sock *sock = nl_socket_alloc();

	if (sock && genl_connect(sock) < 0)
		g_clear_pointer(&sock, nl_socket_free);
	return sock;
}

IfppNetlink *ifpp_netlink_new(GError **error)
{
	g_autoptr(IfppNetlink) nl = g_new0(IfppNetlink, 1);
	int on = 1;

	nl->eids = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	nl->request = connect_socket();
	if (!nl->request) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "generic netlink: no socket: %s",
			    g_strerror(errno));
		return NULL;
	}
	setsockopt(nl_socket_get_fd(nl->request), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	nl->family = genl_ctrl_resolve(nl->request, IFPP_FAMILY_NAME);
	if (nl->family < 0) {
		struct utsname kernel;
		g_autofree char *advice = ifpp_module_advice("", uname(&kernel) == 0 ? kernel.release : "");

		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "the ifpp driver: it is not loaded; %s", advice);
		return NULL;
	}
	return g_steal_pointer(&nl);
}

void ifpp_netlink_free(IfppNetlink *nl)
{
	if (!nl)
		return;
	if (nl->source) {
		g_source_destroy(nl->source);
		g_source_unref(nl->source);
	}
	g_clear_pointer(&nl->events, nl_socket_free);
	g_clear_pointer(&nl->request, nl_socket_free);
	g_clear_pointer(&nl->eids, g_hash_table_unref);
	g_free(nl->reason);
	g_free(nl);
}

/*
 * The kernel tells an EID to whoever may open the chip's node, and to nobody else. What is told of
 * a node later is of the chip that it had @first, even if the node has gone, or is another's by now.
 */
static void fill_eid(IfppNetlink *nl, guint32 index, gboolean first, guint8 eid[IFPP_EID_LEN])
{
	g_autofree char *node = g_strdup_printf("/dev/ifpp%u", index);
	struct ifpp_info info = { .size = sizeof(info) };
	const guint8 *known;
	int fd = -1;

	if (first)
		g_hash_table_remove(nl->eids, GUINT_TO_POINTER(index));
	if (!g_hash_table_contains(nl->eids, GUINT_TO_POINTER(index)))
		fd = open(node, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && !ioctl(fd, IFPP_IOC_INFO, &info))
		g_hash_table_insert(nl->eids, GUINT_TO_POINTER(index), g_memdup2(info.eid, IFPP_EID_LEN));
	if (fd >= 0)
		close(fd);
	known = g_hash_table_lookup(nl->eids, GUINT_TO_POINTER(index));
	if (known)
		memcpy(eid, known, IFPP_EID_LEN);
}

static void other_version(GError **error)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "the ifpp driver: the one that is loaded is of another release than "
		    "this program. Install both of one release, then: modprobe -r ifpp; modprobe ifpp");
}

typedef struct {
	IfppNetlink *nl;
	GArray *devs;
	gboolean unsound;
} Dump;

static int on_dump(struct nl_msg *msg, void *user)
{
	Dump *dump = user;
	IfppNlDev dev = { 0 };

	if (parse_dev(nlmsg_hdr(msg), &dev)) {
		fill_eid(dump->nl, dev.index, TRUE, dev.eid);
		g_array_append_val(dump->devs, dev);
	} else {
		dump->unsound = TRUE;
	}
	return NL_OK;
}

GArray *ifpp_netlink_dump(IfppNetlink *nl, GError **error)
{
	g_autoptr(GArray) devs = g_array_new(FALSE, FALSE, sizeof(IfppNlDev));
	Dump dump = { nl, devs, FALSE };

	if (!request(nl, IFPP_CMD_DEV_GET, NLM_F_DUMP, on_dump, &dump, error))
		return NULL;
	if (dump.unsound) {
		other_version(error);
		return NULL;
	}
	return g_steal_pointer(&devs);
}

typedef struct {
	IfppNlHost *out;
	gboolean seen;
} HostAnswer;

static int on_host(struct nl_msg *msg, void *user)
{
	HostAnswer *answer = user;

	answer->seen = parse_host(nlmsg_hdr(msg), answer->out);
	return NL_OK;
}

static gboolean host_request(IfppNetlink *nl, int command, IfppNlHost *out, GError **error)
{
	HostAnswer answer = { .out = out };

	memset(out, 0, sizeof(*out));
	if (!request(nl, command, NLM_F_ACK, on_host, &answer, error))
		return FALSE;
	if (!answer.seen)
		other_version(error);
	return answer.seen;
}

gboolean ifpp_netlink_host_get(IfppNetlink *nl, IfppNlHost *out, GError **error)
{
	return host_request(nl, IFPP_CMD_HOST_GET, out, error);
}

gboolean ifpp_netlink_host_lock(IfppNetlink *nl, IfppNlHost *out, GError **error)
{
	return host_request(nl, IFPP_CMD_HOST_LOCK, out, error);
}

static int on_event(struct nl_msg *msg, void *user)
{
	IfppNetlink *nl = user;
	IfppNlEvent event;

	if (!ifpp_netlink_parse_event(nlmsg_hdr(msg), &event))
		return NL_OK;
	if (event.command == IFPP_CMD_LOAD_DONE_NTF)
		fill_eid(nl, event.load.index, FALSE, event.load.eid);
	else if (event.command != IFPP_CMD_HOST_CHANGE_NTF && event.command != IFPP_CMD_TAMPER_NTF)
		fill_eid(nl, event.dev.index, event.command == IFPP_CMD_DEV_ADD_NTF, event.dev.eid);
	nl->func(&event, nl->user);
	return NL_OK;
}

/* Events were lost: tell where everything stands now, which is what a follower needs. */
static void resync(IfppNetlink *nl)
{
	g_autoptr(GArray) devs = ifpp_netlink_dump(nl, NULL);
	IfppNlEvent event = { .command = IFPP_CMD_HOST_CHANGE_NTF };

	if (ifpp_netlink_host_get(nl, &event.host, NULL))
		nl->func(&event, nl->user);
	for (guint i = 0; devs && i < devs->len; i++) {
		event = (IfppNlEvent){ .command = IFPP_CMD_DEV_CHANGE_NTF };
		event.dev = g_array_index(devs, IfppNlDev, i);
		nl->func(&event, nl->user);
	}
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user)
{
	IfppNetlink *nl = user;
	int ret = nl_recvmsgs_default(nl->events);

	if (ret == -NLE_NOMEM)		/* ENOBUFS: the socket ran over */
		resync(nl);
	return G_SOURCE_CONTINUE;
}

gboolean ifpp_netlink_watch(IfppNetlink *nl, IfppNlEventFunc func, gpointer user, GError **error)
{
	int group = genl_ctrl_resolve_grp(nl->request, IFPP_FAMILY_NAME, IFPP_MCGRP_EVENTS);

	g_return_val_if_fail(!nl->events, FALSE);
	nl->events = connect_socket();
	if (!nl->events || group < 0 || nl_socket_add_membership(nl->events, group) < 0) {
		g_clear_pointer(&nl->events, nl_socket_free);
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "the ifpp driver's events: cannot subscribe");
		return FALSE;
	}
	nl->func = func;
	nl->user = user;
	nl_socket_disable_seq_check(nl->events);
	nl_socket_set_nonblocking(nl->events);
	nl_socket_set_buffer_size(nl->events, EVENT_BUFFER, 0);
	nl_socket_modify_cb(nl->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, nl);

	nl->source = g_unix_fd_source_new(nl_socket_get_fd(nl->events), G_IO_IN);
	g_source_set_callback(nl->source, G_SOURCE_FUNC(on_readable), nl, NULL);
	g_source_attach(nl->source, g_main_context_get_thread_default());
	return TRUE;
}

const char *ifpp_state_name(guint32 state)
{
	static const char *const names[] = { "FACTORY", "DRAINED", "LOCKING", "LOCKED", "CLOSED" };

	return state < G_N_ELEMENTS(names) ? names[state] : "UNKNOWN";
}
