# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "In-factory provisioning of eSIM profiles (GSMA SGP.41), station"
LICENSE = "GPL-2.0-or-later & LGPL-2.1-or-later"
LIC_FILES_CHKSUM = "file://README.md;beginline=1;endline=1;md5=69347facd305ba66d869006f0ea1aa9c"

inherit meson pkgconfig systemd useradd externalsrc

EXTERNALSRC = "${IFPP_SOURCE}"
DEPENDS = "glib-2.0 gnutls json-glib libnl libmbim libqmi"
RRECOMMENDS:${PN} = "kernel-module-ifpp libqmi-proxy"

PACKAGECONFIG ?= "${@bb.utils.filter('DISTRO_FEATURES', 'systemd', d)}"
PACKAGECONFIG[systemd] = "-Dsystemd=enabled,-Dsystemd=disabled,systemd"
PACKAGECONFIG[qrtr] = "-Dqrtr=enabled,-Dqrtr=disabled,libqrtr-glib"
PACKAGECONFIG[depot-client] = "-Ddepot-client=enabled,-Ddepot-client=disabled,curl"

EXTRA_OEMESON = "-Dsocket-relay=false -Ddepot=disabled -Dkeymaker=disabled -Dvirtual=disabled --libexecdir=${libexecdir}"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --home-dir /var/lib/ifpp --shell /sbin/nologin ifpp"

FILES:${PN} += "${nonarch_libdir}/udev ${systemd_system_unitdir} ${nonarch_libdir}/sysusers.d ${nonarch_libdir}/tmpfiles.d"
