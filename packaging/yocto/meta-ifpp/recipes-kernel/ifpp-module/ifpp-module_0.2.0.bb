# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "In-factory provisioning of eSIM profiles (GSMA SGP.41), kernel module"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://Kbuild;beginline=1;endline=1;md5=829e563511c9a1d6d41f17a7a4989d6a"

inherit module externalsrc

EXTERNALSRC = "${IFPP_SOURCE}"
EXTERNALSRC_BUILD = "${IFPP_SOURCE}"
RPROVIDES:${PN} += "kernel-module-ifpp"

do_compile() {
	oe_runmake -C ${STAGING_KERNEL_DIR} O=${STAGING_KERNEL_BUILDDIR} M=${S} modules
}

do_install() {
	oe_runmake -C ${STAGING_KERNEL_DIR} O=${STAGING_KERNEL_BUILDDIR} M=${S} \
		INSTALL_MOD_PATH=${D}${root_prefix} modules_install
}
