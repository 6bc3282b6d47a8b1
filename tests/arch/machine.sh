# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by what boots a kernel in QEMU to run the driver's tests on it: one machine whose
# initramfs holds a static busybox, ifpp.ko and the test programs, see init, and the judgement of
# what the tests and the kernel said. The caller sets:
#
#   what      name of the machine in messages
#   qemu      array: QEMU with machine, processors and memory; the first serial port is the console
#   port      array: options for the port of the tests, from a character device "tests"
#   append    kernel command line: console=, and ifpp_tty= for the port of the tests
#   kernel busybox        files
#   bin programs          directory, and names of programs in it
#   out       directory for logs and the initramfs
#   extra     directory whose files go into the initramfs, or nothing
#   again     array: -no-reboot, or empty for a machine that may start again

# On a busy host QEMU may die of SIGSEGV with a thread for each processor. An x86 machine is no slower with one, unless one
# looks for races: that wants threads=multi.
passed=0 failed=0 extra='' again=(-no-reboot) threads=single
bad() { echo "not ok $what: $*"; failed=$((failed + 1)); }

# The machine counts the host's cycles, and would take a wrong measure of them on a busy host.
x86_clock() { awk '/^cpu MHz/ { printf "tsc_early_khz=%d", $4 * 1000; exit }' /proc/cpuinfo; }

# x86 KERNEL: a PC
x86() {
	kernel=$1
	busybox=/bin/busybox
	qemu=(qemu-system-x86_64 -machine q35 -smp '2,sockets=2' -m 1024 -cpu 'max,-svm')
	port=(-serial chardev:tests)
	append="console=ttyS0 ifpp_tty=ttyS1 tsc=reliable no_timer_check mitigations=off $(x86_clock)"
}

# initramfs MODULE COMMAND...: writes $out/initrd; the machine runs the commands one after the other
initramfs() {
	local ko=$1 root
	shift
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,proc,sys,dev,tmp}
	cp "$busybox" "$root/bin/busybox"
	cp "$top/tests/arch/init" "$root/init"
	# shellcheck disable=SC2086 # names
	(cd "$bin" && cp $programs "$root/")
	cp "$ko" "$root/ifpp.ko"
	[ ! "$extra" ] || cp -a "$extra/." "$root/"
	printf '%s\n' "$@" >"$root/commands"
	(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initrd"
	rm -rf "$root"
}

# run_machine NAME SECONDS: $ended is QEMU's exit status
run_machine() {
	local name=$1
	# A file that "cp" has not cut off has a log of the run before.
	rm -f "$out/$name".{log,console}
	timeout --foreground "$2" "${qemu[@]}" -accel "tcg,thread=$threads" -nodefaults -display none -no-user-config "${again[@]}" \
		-kernel "$kernel" -initrd "$out/initrd" -append "$append panic=-1 ${IFPP_KARGS:-}" \
		-serial "file:$out/$name.console" \
		-chardev "stdio,id=tests,signal=on" "${port[@]}" </dev/null 2>"$out/$name.errors" |
		tr -d '\r' >"$out/$name.log"
	ended=${PIPESTATUS[0]}
	sed -i 's/\r$//; s/^\[[^]]*\] //' "$out/$name.console"
}

# machine NAME SECONDS MODULE COMMAND...
machine() {
	local name=$1 limit=$2
	shift 2
	initramfs "$@"
	run_machine "$name" "$limit"
	if [ $threads = multi ] && [ "$ended" = 139 ]; then
		echo "# $name: QEMU itself died of SIGSEGV, as it may with thread=multi; once more"
		run_machine "$name" "$limit"
	fi
}

# What the kernel complained of since the tests began; KCSAN speaks of
# the whole kernel: ours is a race between accesses of the driver, not below what it calls.
complaints() {
	sed -n '/ifpp: the tests begin/,$p' | awk '/^=+$/ { if (block != "") { if (block !~ /KCSAN/ || block ~ /data-race in [^\n]*ifpp_/) printf "%s", block; block = ""; next }
			block = "\n"; next }
		block != "" { block = block $0 "\n"; next }
		{ print }' | grep -aE -A40 'BUG:|WARNING:|KASAN|KCSAN:|UBSAN|INFO: |Oops|Kernel panic|possible .*deadlock'
}

# judge NAME N: N commands ran on a machine; print and count what they and the kernel said
judge() {
	local name=$1 console=$out/$1.console log=$out/$1.log ends status
	sed -nE "s/^( *(not )?ok )([0-9]+ )?/\1$what: /p
		/^# ([^ ]+:[0-9]+:|exit|insmod|kernel|leak|locks|processors|tainted)/p" "$log"

	passed=$((passed + $(grep -aE '^ *ok ' "$log" | grep -avc '# SKIP' || true)))
	failed=$((failed + $(grep -acE '^ *not ok |^ *ok .*# SKIP' "$log" || true)))
	if [ "$ended" != 0 ] || ! grep -qa '^# the end' "$log"; then
		tail -n 30 "$console" | sed 's/^/# /'
		bad "$name: the machine died, and QEMU ended with $ended. Read ${console#"$top"/}."
	fi
	sed 's/^/# QEMU: /' "$out/$name.errors"
	ends=$(grep -ac '^# exit 0' "$log" || true)
	[ "$ends" = "$2" ] || bad "$name: $(($2 - ends)) of $2 programs did not end well"
	grep -qa '^# processors 2' "$log" || bad "$name: there are not two processors"
	grep -qa '^# insmod 0' "$log" || bad "$name: the module did not load"
	! grep -qa '^# leak:' "$log" || bad "$name: leaks"
	! grep -qa '^# locks 0' "$log" || bad "$name: a locking report"
	# Warning, bad page, oops and lockup; out-of-tree and test taints are no fault.
	status=$(sed -n 's/^# tainted //p' "$log")
	[ $((${status:-512} & (512 | 32 | 128 | 16384))) = 0 ] || bad "$name: tainted $status"
	if complaints <"$console" >"$out/complaints"; then
		head -n 120 "$out/complaints"
		bad "$name: the kernel complained. Read ${console#"$top"/}."
	fi
}

# the_end: the sum, and the exit status
the_end() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ] && [ $passed -gt 0 ]
}
