# SPDX-License-Identifier: GPL-2.0-or-later
# What can be done here. Nothing but make, git and (for the virtual machines) root is needed:
# the rest is fetched through apt into a Debian root of its own, once (see tests/env).

enter := tests/env/enter
parts := style unit kunit kselftest mutants ctl depot web model fuzz faults arch series packages cross vm

all:		## build the packages, unpack them in build/stage and install them in the gateway's build/layer
	@tests/env/buildroot
	@tests/env/stage

demo:		## the whole story on a virtual gateway; UPP=FILE loads that profile; ARCH=arm64: with a fuse in its device tree
	@IFPP_DEMO_ARCH=$(ARCH) tests/vm/demo $(UPP)

check:		## every test there is
	@tests/check $(parts)

check-quick:	## the unit tests without sanitizers, and KUnit: about a minute, while you work
	@tests/check quick

# check-style check-unit check-kunit check-kselftest check-mutants check-ctl check-depot check-web check-model check-fuzz check-faults check-arch check-series check-vm
$(addprefix check-,$(parts)): check-%:
	@tests/check $*

coverage:	## lines and branches of the driver that its tests execute
	@tests/env/buildroot
	@tests/env/uml >/dev/null
	@$(enter) tests/kselftest/coverage

soak: soak-driver soak-mutants soak-sealing soak-faults soak-fuzz	## what has no end, for an hour each; MINUTES=N

soak-driver:	# the driver under its fuzzer, on three debug kernels
	@tests/kselftest/soak $(or $(MINUTES),60)

soak-mutants:	# every mutant of the driver
	@tests/env/buildroot
	@tests/env/uml >/dev/null
	@$(enter) tests/mutants/run --all

soak-sealing:	# 10,000 packages sealed, with ten kills
	@tests/env/buildroot
	@$(enter) tests/soak/run

soak-faults:	# faults on the real kernel, then pairs of them at random over the socket
	@tests/env/buildroot
	@tests/vm/faults campaign
	@$(enter) tests/faults/run --soak $(or $(MINUTES),60)

soak-fuzz:	# every parser under its fuzzer
	@tests/env/buildroot
	@$(enter) tests/fuzz/run --soak $(or $(MINUTES),60)

bench:		## tables of what things cost, build/bench.json, and a plot in build/bench.svg
	@tests/bench/run

series:		## the driver as patches for the kernel's tree, in DIR (default: build/series/patches)
	@tests/env/buildroot
	@tests/env/ksrc >/dev/null
	@$(enter) tests/series/write $(or $(DIR),build/series/patches)

docs:		## the manual, in build/docs
	@tests/env/buildroot
	@tests/env/ksrc >/dev/null
	@tests/env/packager >/dev/null
	@$(enter) --root packager Documentation/build build/docs

screens:	# the pictures of the dashboard in Documentation/images, made again
	@tests/check web
	@cp build/screens/good-1280.png build/screens/bad-1280.png Documentation/images/

plot: bench	# the plot of the ratios in Documentation/images, made again
	@cp build/bench.svg Documentation/images/

picture:	## make demo, recorded: Documentation/demo.svg
	@mkdir -p build
	@script -qec tests/vm/demo --log-out build/demo.log --log-timing build/demo.timing
	@$(enter) Documentation/terminal build/demo.log build/demo.timing >build/demo.svg
	@mv build/demo.svg Documentation/demo.svg

ynl:		## generate the netlink code from Documentation/netlink/specs
	@tests/env/buildroot
	@ksrc=$$(tests/env/ksrc) && $(enter) tests/env/ynl "$$ksrc"

# On a product or a station this is all that is needed, with the packages that meson.build asks
# for; the kernel module is DKMS's (dkms.conf).
DESTDIR ?=
install:	## install the userspace and the module's source for DKMS
	meson setup build/install --prefix=/usr --sysconfdir=/etc --localstatedir=/var \
		--libexecdir=libexec -Dsocket-relay=false $(if $(wildcard build/install/build.ninja),--reconfigure)
	DESTDIR="$(abspath $(DESTDIR))" meson install -C build/install
	tests/env/install-source "$(DESTDIR)"

deb:		## the Debian packages, in build/deb
	@tests/env/buildroot
	@tests/env/packager >/dev/null
	@$(enter) --root packager tests/env/deb build/deb

clean:		## what was built here; the cache of roots stays
	rm -rf build

help:		## this
	@sed -n 's/^\([a-z]*\):.*\t## /  make \1\t/p' Makefile
	@echo '  make check-PART	one of: $(parts)'

.PHONY: all demo check check-quick $(addprefix check-,$(parts)) coverage series soak soak-driver soak-mutants soak-sealing soak-faults soak-fuzz bench docs screens plot picture ynl install deb clean help
