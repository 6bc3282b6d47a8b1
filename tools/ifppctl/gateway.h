/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a machine says of its own chips: the one place that decides whether a machine may be locked for life. */
#ifndef IFPPCTL_GATEWAY_H
#define IFPPCTL_GATEWAY_H

#include <netlink.h>

/* The machine's own file, or else the one that its image brings. */
#define CTL_GATEWAY_ETC "/etc/ifpp/gateway"
#define CTL_GATEWAY_USR "/usr/lib/ifpp/gateway"

typedef struct {
	guint chips;		/* that this machine has */
	char **ports;		/* where their modems are: USB or PCI names as in sysfs ("1-1.2"); NULL: anywhere */
} CtlGateway;

void ctl_gateway_clear(CtlGateway *gateway);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlGateway, ctl_gateway_clear)

/* The file to read: CTL_GATEWAY_ETC, else CTL_GATEWAY_USR; NULL: this machine is no gateway. */
const char *ctl_gateway_file(void);

/**
 * ctl_gateway_read() - read what a machine expects
 * @path: a key file with one group, [Gateway], and Chips=N, or Ports=A;B, in it
 * @gateway: filled
 * @error: IFPP_ERROR_IO, ACCESS; CTL_ERROR: what it says makes no sense, or it says nothing
 *
 * An empty file, as gateways had before the file had a format, says nothing: a number that is guessed would be burnt.
 */
gboolean ctl_gateway_read(const char *path, CtlGateway *gateway, GError **error);

/**
 * ctl_gateway_judge() - is every chip that a machine expects finished?
 * @gateway: what it expects
 * @host: what the driver has on record
 * @sys: where sysfs is
 * @error: CTL_ERROR, IFPP_EXIT_BUSY: not yet, and what is missing
 *
 * All chips on record must be locked, and there must be as many as expected; each port that is named must have its modem.
 */
gboolean ctl_gateway_judge(const CtlGateway *gateway, const IfppNlHost *host, const char *sys, GError **error);

/**
 * ctl_gateway_proven() - have the locked chips signed that they are?
 * @outbox: where their receipts are
 * @devs: the chips that are here, of IfppNlDev
 * @host: what the driver has on record
 * @error: CTL_ERROR, IFPP_EXIT_BUSY: which is not; IFPP_ERROR_ACCESS, IO: the outbox cannot be read
 *
 * The driver has the state of a chip that comes from the chip's report, which nobody signs.
 */
gboolean ctl_gateway_proven(const char *outbox, const GArray *devs, const IfppNlHost *host, GError **error);

/**
 * ctl_gateway_finished() - may this machine be locked by itself?
 * @path: as of ctl_gateway_file(), or NULL
 * @outbox: where the chips' lock receipts are
 * @nl: the driver
 * @error: CTL_ERROR: IFPP_EXIT_BUSY not yet, IFPP_EXIT_INPUT nobody said what to expect; as ctl_gateway_read()
 *
 * Every way to the host lock asks here. A machine whose lock has begun can only be finished.
 */
gboolean ctl_gateway_finished(const char *path, const char *outbox, IfppNetlink *nl, GError **error);

#endif
