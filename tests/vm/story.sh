# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the parts of the story, outside and on the gateway: how it is told, and how each
# step is held to what it should show. $share is the directory that both sides see.

bold='' dim='' red='' green='' plain=''
if [ "${IFPP_STORY_COLOUR-}" ]; then
	bold=$'\033[1m' dim=$'\033[2m' red=$'\033[31m' green=$'\033[32m' plain=$'\033[0m'
fi

chapter() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
tell() { printf '  %s\n' "$@"; }
# show TEXT: what a program said
show() { sed "s/^/      $dim/; s/\$/$plain/" <<<"$1"; }

verdict() { # verdict ok|'not ok' TEXT
	echo "$1 $2" >>"$share/verdicts"
	if [ "$1" = ok ]; then
		printf '  %s✓%s %s\n' "$green" "$plain" "$2"
	else
		printf '  %s✗ %s%s\n' "$red" "$2" "$plain"
	fi
}

# holds TEXT COMMAND...: the step TEXT holds if the command succeeds; its output is in $said
holds() {
	local text=$1
	shift
	if said=$("$@" 2>&1 </dev/null); then
		verdict ok "$text"
	else
		status=$?
		verdict 'not ok' "$text"
		show "$* (exit $status): $said"
		return 1
	fi
}

# fails TEXT EXIT PATTERN COMMAND...: the step TEXT holds if the command ends with the status EXIT
# (any but 0 if EXIT is -) and says PATTERN, in one line
fails() {
	local text=$1 exit=$2 pattern=$3 status
	shift 3
	said=$("$@" 2>&1 </dev/null)
	status=$?
	if [ $status != 0 ] && { [ "$exit" = - ] || [ "$exit" = $status ]; } &&
	   grep -qiE -- "$pattern" <<<"$said"; then
		verdict ok "$text"
	else
		verdict 'not ok' "$text"
		show "$* (exit $status, wanted $exit and \"$pattern\"): $said"
		return 1
	fi
}

# note NAME VALUE: for the table at the end
note() { echo "$1=$2" >>"$share/notes"; }
noted() { sed -n "s/^$1=//p" "$share/notes" | tail -n 1; }

# await SECONDS COMMAND...: the story may wait for what the product does by itself; on a machine that
# is slower to emulate so many times longer
await() {
	local end=$((SECONDS + $1 * ${IFPP_STORY_SLOW:-1}))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# host_is STATE ANCHOR: what the driver says of this machine
host_is() { [ "$(cat /sys/class/ifpp/host_state) $(cat /sys/class/ifpp/anchor)" = "$1 $2" ]; }

# key FILE NAME: a value of a GKeyFile
key() { sed -n "s/^$2=//p" "$1" | head -n 1; }
# number JSON NAME
number() { sed -n "s/.*\"$2\": *\(-\{0,1\}[0-9]*\).*/\1/p" <<<"$1" | head -n 1; }
