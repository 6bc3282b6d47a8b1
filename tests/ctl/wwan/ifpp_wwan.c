// SPDX-License-Identifier: GPL-2.0-only
/*
 * A WWAN port in front of a modem on a Unix stream socket, so that a kernel
 * without USB has a node for QMI, /dev/wwan0qmi0, or for MBIM.
 */
#include <linux/device.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/un.h>
#include <linux/wwan.h>
#include <net/net_namespace.h>

#define CHUNK	2048

static char *path = "/tmp/qmux_socket";
module_param_named(socket, path, charp, 0444);
MODULE_PARM_DESC(socket, "Where the modem listens");

static char *type = "qmi";
module_param(type, charp, 0444);
MODULE_PARM_DESC(type, "Of the port: qmi, mbim or at");

static bool beside;
module_param(beside, bool, 0444);
MODULE_PARM_DESC(beside, "A port of type AT before it, which answers nothing");

static struct device *parent;
static struct wwan_port *port, *first;
static struct socket *sock;
static struct task_struct *reader;

static int ifpp_wwan_read(void *data)
{
	struct wwan_port *to = data;

	for (;;) {
		struct msghdr msg = {};
		struct sk_buff *skb = alloc_skb(CHUNK, GFP_KERNEL);
		struct kvec iov;
		int n;

		if (!skb)
			break;
		iov.iov_base = skb->data;
		iov.iov_len = CHUNK;
		n = kernel_recvmsg(sock, &msg, &iov, 1, CHUNK, 0);
		if (n <= 0) {
			kfree_skb(skb);
			break;
		}
		skb_put(skb, n);
		wwan_port_rx(to, skb);
	}
	/* The modem hung up, or we did: wait to be told. */
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static int ifpp_wwan_start(struct wwan_port *to)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err;

	if (strscpy(addr.sun_path, path) < 0)
		return -ENAMETOOLONG;
	err = sock_create_kern(&init_net, AF_UNIX, SOCK_STREAM, 0, &sock);
	if (err)
		return err;
	err = kernel_connect(sock, (struct sockaddr *)&addr, sizeof(addr), 0);
	if (err)
		goto release;
	reader = kthread_run(ifpp_wwan_read, to, "ifpp_wwan");
	if (IS_ERR(reader)) {
		err = PTR_ERR(reader);
		goto release;
	}
	return 0;

release:
	sock_release(sock);
	return err;
}

static void ifpp_wwan_stop(struct wwan_port *to)
{
	kernel_sock_shutdown(sock, SHUT_RDWR);
	kthread_stop(reader);
	sock_release(sock);
}

static int ifpp_wwan_tx(struct wwan_port *to, struct sk_buff *skb)
{
	struct msghdr msg = {};
	struct kvec iov = { skb->data, skb->len };
	int n = kernel_sendmsg(sock, &msg, &iov, 1, skb->len);

	if (n < 0)
		return n;
	consume_skb(skb);
	return 0;
}

static const struct wwan_port_ops ops = {
	.start = ifpp_wwan_start,
	.stop = ifpp_wwan_stop,
	.tx = ifpp_wwan_tx,
};

static int ifpp_wwan_mute_start(struct wwan_port *to)
{
	return 0;
}

static void ifpp_wwan_mute_stop(struct wwan_port *to)
{
}

static int ifpp_wwan_mute_tx(struct wwan_port *to, struct sk_buff *skb)
{
	consume_skb(skb);
	return 0;
}

static const struct wwan_port_ops mute = {
	.start = ifpp_wwan_mute_start,
	.stop = ifpp_wwan_mute_stop,
	.tx = ifpp_wwan_mute_tx,
};

static int __init ifpp_wwan_init(void)
{
	int kind = !strcmp(type, "mbim") ? WWAN_PORT_MBIM : !strcmp(type, "at") ? WWAN_PORT_AT : WWAN_PORT_QMI;

	parent = root_device_register("ifpp_wwan");
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	if (beside) {
		first = wwan_create_port(parent, WWAN_PORT_AT, &mute, NULL, NULL);
		if (IS_ERR(first)) {
			root_device_unregister(parent);
			return PTR_ERR(first);
		}
	}
	port = wwan_create_port(parent, kind, &ops, NULL, NULL);
	if (IS_ERR(port)) {
		if (first)
			wwan_remove_port(first);
		root_device_unregister(parent);
		return PTR_ERR(port);
	}
	return 0;
}
module_init(ifpp_wwan_init);

static void __exit ifpp_wwan_exit(void)
{
	wwan_remove_port(port);
	if (first)
		wwan_remove_port(first);
	root_device_unregister(parent);
}
module_exit(ifpp_wwan_exit);

MODULE_DESCRIPTION("WWAN port in front of a Unix socket, for tests");
MODULE_LICENSE("GPL");
