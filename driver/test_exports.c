// SPDX-License-Identifier: GPL-2.0-only
/* What the KUnit suites call, which are a module of their own. Built only for them. */
#include <linux/export.h>

#include "ifpp.h"
#include "netlink_gen.h"

EXPORT_SYMBOL_GPL(ifpp_core_header);
EXPORT_SYMBOL_GPL(ifpp_core_report_shape);
EXPORT_SYMBOL_GPL(ifpp_core_room);
EXPORT_SYMBOL_GPL(ifpp_core_report);
EXPORT_SYMBOL_GPL(ifpp_core_open);
EXPORT_SYMBOL_GPL(ifpp_core_submit);
EXPORT_SYMBOL_GPL(ifpp_core_dispatch);
EXPORT_SYMBOL_GPL(ifpp_core_reply);
EXPORT_SYMBOL_GPL(ifpp_core_lock);
EXPORT_SYMBOL_GPL(ifpp_timeout_ms);
EXPORT_SYMBOL_GPL(ifpp_devs);
EXPORT_SYMBOL_GPL(ifpp_attach);
EXPORT_SYMBOL_GPL(ifpp_detach);
EXPORT_SYMBOL_GPL(ifpp_request_new);
EXPORT_SYMBOL_GPL(ifpp_request_put);
EXPORT_SYMBOL_GPL(ifpp_queue_may);
EXPORT_SYMBOL_GPL(ifpp_queue_put);
EXPORT_SYMBOL_GPL(ifpp_queue_take);
EXPORT_SYMBOL_GPL(ifpp_queue_taken);
EXPORT_SYMBOL_GPL(ifpp_queue_reply);
EXPORT_SYMBOL_GPL(ifpp_unit_lock);
EXPORT_SYMBOL_GPL(ifpp_fuse_look);
EXPORT_SYMBOL_GPL(ifpp_fuse_burn);
EXPORT_SYMBOL_GPL(ifpp_fill_dev);
EXPORT_SYMBOL_GPL(ifpp_fill_host);
EXPORT_SYMBOL_GPL(ifpp_nl_family);
