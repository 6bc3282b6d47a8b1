# SPDX-License-Identifier: GPL-2.0-or-later
################################################################################
#
# ifpp
#
################################################################################

IFPP_SITE = $(BR2_EXTERNAL_IFPP_PATH)/../..
IFPP_SITE_METHOD = local
IFPP_LICENSE = GPL-2.0 (module), GPL-2.0+ (programs), LGPL-2.1+ (library)
IFPP_DEPENDENCIES = host-pkgconf gnutls json-glib libglib2 libmbim libnl libqmi
IFPP_CONF_OPTS = -Dsocket-relay=false -Ddepot=disabled -Dkeymaker=disabled -Dvirtual=disabled

ifeq ($(BR2_PACKAGE_IFPP_DEPOT_CLIENT),y)
IFPP_DEPENDENCIES += libcurl
IFPP_CONF_OPTS += -Ddepot-client=enabled
else
IFPP_CONF_OPTS += -Ddepot-client=disabled
endif

ifeq ($(BR2_PACKAGE_LIBQRTR_GLIB),y)
IFPP_DEPENDENCIES += libqrtr-glib
IFPP_CONF_OPTS += -Dqrtr=enabled
else
IFPP_CONF_OPTS += -Dqrtr=disabled
endif

ifeq ($(BR2_PACKAGE_SYSTEMD),y)
IFPP_DEPENDENCIES += systemd
IFPP_CONF_OPTS += -Dsystemd=enabled
else
IFPP_CONF_OPTS += -Dsystemd=disabled
endif

define IFPP_USERS
	ifpp -1 ifpp -1 * /var/lib/ifpp - - In-Factory Profile Provisioning
endef

define IFPP_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NVMEM)
	$(call KCONFIG_ENABLE_OPT,CONFIG_USB_NET_QMI_WWAN)
endef

$(eval $(kernel-module))
$(eval $(meson-package))
