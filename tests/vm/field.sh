# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced on the gateway after story.sh: ModemManager, before the lock and after it, and an ordinary
# LPA that works beside it through the same qmi-proxy.

# Every process that has the QMI port open, by name.
port_users() {
	find /proc/[0-9]*/fd -lname /dev/cdc-wdm0 -printf '%h\n' 2>/dev/null | while read -r dir; do
		cat "${dir%/fd}/comm"
	done | sort -u
}

# What a connection manager asks first; our daemon never does.
radio_requests() {
	local stats
	stats=$(ifpp-vmodem control /run/vmodem.control stats)
	echo $(($(number "$stats" nas) + $(number "$stats" wds) + $(number "$stats" wda)))
}

hidden() {
	holds "ModemManager runs, $(ModemManager --version 2>&1 | sed -n 's/^ModemManager //p' | head -n 1)" \
		await 120 mmcli -L
	fails "and has no modem (mmcli -L)" - 'no modems' sh -c 'mmcli -L; mmcli -m any'
	show "$(mmcli -L)"
	holds "it never asked this one anything: no NAS, WDS or WDA request" test "$(radio_requests)" = 0
	holds "nobody but the daemon has the port open" test "$(port_users)" = ifppd
}

proxied() { qmicli ${qmi:--p -d /dev/cdc-wdm0} "$@" 2>&1; }
isdr_open() {
	channel=$(proxied --uim-open-logical-channel=1,A0000005591010FFFFFFFF8900000100 |
		sed -n 's/.*[Cc]hannel.*: *\([0-9]*\).*/\1/p' | head -n 1)
	[ "$channel" ]
}
isdr_close() { proxied --uim-close-logical-channel="1,$channel" >/dev/null; }
# isdr HEX: one ES10 command; prints its answer and status word
isdr() {
	local cla answer
	cla=$(printf %02X $((0x80 | channel)))
	answer=$(isdr_apdu "${cla}E29100$(printf %02X $((${#1} / 2)))$1")
	case $answer in 61*) answer=$(isdr_apdu "${cla}C00000${answer:2:2}") ;; esac
	echo "$answer"
}
isdr_apdu() {
	proxied --uim-send-apdu="1,$channel,$1" | sed -n '/completed/,$p' | sed 's/.*completed: *//' | tr -d ': \n'
}

# ES10c: list the profiles, enable the first with refresh
enable_profile() {
	local list answer iccid
	isdr_open || return
	list=$(isdr BF2D00)
	iccid=$(grep -o 'E3..5A0A.\{20\}' <<<"$list" | head -n 1 | cut -c9-)
	echo "profiles: $list"
	note iccid "$iccid"
	answer=$(isdr "BF3111A00C5A0A${iccid}8101FF")
	echo "enable: $answer"
	isdr_close
	[ "$answer" = BF3103800100910B ]
}

# The nibbles of an ICCID are swapped in the card; ModemManager leaves some of the filling.
has_sim() {
	local text iccid
	iccid=$(noted iccid)
	text=$(mmcli -i any 2>/dev/null) || return
	[ "$iccid" ] && grep -qE 'imsi: *[0-9]{6,15}$' <<<"$text" &&
	grep -q "iccid: *$(sed 's/\(.\)\(.\)/\2\1/g; s/F*$//' <<<"$iccid")F*$" <<<"$text"
}

# mmcli's colours
plain() { sed 's/\x1b\[[0-9;]*m//g'; }

handed_over() {
	chapter "The modem is handed to the field"
	holds "the gateway locks itself, now that the daemon's work is done, and is marked as a machine of the field" \
		await 60 test -e /run/ifpp-field/handed-over
	holds "ModemManager takes the modem, whose card has no SIM enabled: sim-missing" \
		await 90 sh -c 'mmcli -m any | grep -q sim-missing'
	show "$( (mmcli -L; mmcli -m any | sed -n '/Hardware/,/current:/p; /Status/,/power/p') | plain)"
	holds "an ordinary LPA enables the profile, through ModemManager's qmi-proxy" enable_profile
	show "$said"
	holds "and ModemManager has the SIM, with the profile's ICCID and IMSI" await 60 has_sim
	show "$( (mmcli -m any | sed -n '/Status/,/power/p'; mmcli -i any) | plain)"
	holds "and switches the modem on: it searches, and hears nobody" \
		sh -c 'mmcli -m any --enable && mmcli -m any | tee /dev/stderr | grep -qE "state: *.*(searching|enabled)"'
	holds "qmicli beside it: the USIM is ready" \
		sh -c 'qmicli -p -d /dev/cdc-wdm0 --uim-get-card-status | tee /dev/stderr | grep -q "Application state: .ready"'
	holds "the port is the proxy's alone" test "$(port_users)" = qmi-proxy
}
