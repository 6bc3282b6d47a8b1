/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver's generic netlink family by hand, without a library. */
#ifndef IFPP_NL_H
#define IFPP_NL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/genetlink.h>
#include <linux/ifpp_netlink.h>
#include <linux/netlink.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "ifpp_test.h"

#define ATTRS	16

struct msg {
	struct nlmsghdr n;
	struct genlmsghdr g;
	char data[4096];
};

struct attrs {
	int cmd;
	int err;			/* of NLMSG_ERROR */
	int done;
	int len[ATTRS];
	const void *val[ATTRS];
	struct msg m;
};

static inline int nl_open(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK };
	struct timeval t = { .tv_sec = 5 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return bind(fd, (void *)&a, sizeof(a)) ? -1 : fd;
}

static inline int nl_send(int fd, int type, int flags, int cmd, int attr, const void *val, int len)
{
	struct msg m = {};
	struct nlattr *a = (void *)m.data;

	m.n.nlmsg_type = type;
	m.n.nlmsg_flags = NLM_F_REQUEST | flags;
	m.n.nlmsg_seq = 7;
	m.g.cmd = cmd;
	m.g.version = 1;
	m.n.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	if (attr) {
		a->nla_type = attr;
		a->nla_len = NLA_HDRLEN + len;
		memcpy(a + 1, val, len);
		m.n.nlmsg_len += NLA_ALIGN(a->nla_len);
	}
	return send(fd, &m, m.n.nlmsg_len, 0) == (ssize_t)m.n.nlmsg_len ? 0 : -1;
}

/* One message of what has been received, parsed. @buf keeps the rest. */
struct nl_in {
	char buf[16384];
	int len, at;
};

static inline int nl_next(int fd, struct nl_in *in, struct attrs *out)
{
	struct nlmsghdr *n;
	struct nlattr *a;
	int left;

	if (in->at >= in->len) {
		in->len = recv(fd, in->buf, sizeof(in->buf), 0);
		in->at = 0;
		if (in->len <= 0)
			return -1;
	}
	n = (void *)(in->buf + in->at);
	in->at += NLMSG_ALIGN(n->nlmsg_len);
	memset(out, 0, sizeof(*out));
	memcpy(&out->m, n, n->nlmsg_len);
	n = &out->m.n;
	if (n->nlmsg_type == NLMSG_ERROR) {
		out->err = *(int *)NLMSG_DATA(n);
		out->done = 1;
		return 0;
	}
	if (n->nlmsg_type == NLMSG_DONE) {
		out->done = 1;
		return 0;
	}
	out->cmd = out->m.g.cmd;
	a = (void *)out->m.data;
	left = n->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	while (left >= NLA_HDRLEN) {
		int type = a->nla_type & NLA_TYPE_MASK;

		if (type < ATTRS) {
			out->val[type] = a + 1;
			out->len[type] = a->nla_len - NLA_HDRLEN;
		}
		left -= NLA_ALIGN(a->nla_len);
		a = (void *)((char *)a + NLA_ALIGN(a->nla_len));
	}
	return 0;
}

static inline __u32 u32_of(const struct attrs *a, int type)
{
	__u32 v = 0xdeadbeef;

	if (a->len[type] == sizeof(v))
		memcpy(&v, a->val[type], sizeof(v));
	return v;
}

/* The ids of our family and its group, from the controller. */
static inline int nl_family(int fd, int *group)
{
	struct nl_in in = {};
	struct attrs a;
	const char *p, *end;

	if (nl_send(fd, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, IFPP_FAMILY_NAME,
		    sizeof(IFPP_FAMILY_NAME)) || nl_next(fd, &in, &a) || a.err)
		return -1;
	/* One group, nested twice: its id is the attribute of that type in there. */
	p = a.val[CTRL_ATTR_MCAST_GROUPS];
	end = p + a.len[CTRL_ATTR_MCAST_GROUPS];
	for (p += NLA_HDRLEN; p < end; p += NLA_ALIGN(((struct nlattr *)p)->nla_len))
		if (((struct nlattr *)p)->nla_type == CTRL_ATTR_MCAST_GRP_ID)
			*group = *(__u32 *)(p + NLA_HDRLEN);
	return *(__u16 *)a.val[CTRL_ATTR_FAMILY_ID];
}

#endif
