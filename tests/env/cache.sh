# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts beside it: where things are kept, and how a thing is made once.
#
# Whatever is made here is named by a hash of what it is made from, appears under that name
# only when it is whole, and a file NAME.path in the cache says which one is the present one.

top=$(cd "$(dirname "$0")/../.." && pwd)
cache=${IFPP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ifpp}
mkdir -p "$cache" "$top/build"

say() { if [ -t 2 ]; then printf '\033[1m==>\033[0m %s\n' "$*" >&2; else echo "==> $*" >&2; fi; }
die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# packages FILE: the package names in FILE, separated by commas
packages() { sed 's/#.*//' "$1" | tr -s ' \n' ',' | sed 's/^,//; s/,$//'; }

# hash_of FILE... : twelve digits that change when one of them does
hash_of() { cat "$@" | sha256sum | cut -c1-12; }

# publish TEMP NAME: TEMP is whole: give it its name, and make it the present one of its kind
publish() {
	mv -T "$1" "$cache/$2"
	point "${2%-*}" "$cache/$2"
}

# point KIND PATH
point() {
	if [ "$(cat "$cache/$1.path" 2>/dev/null)" != "$2" ]; then
		echo "$2" >"$cache/$1.path.$$"
		mv "$cache/$1.path.$$" "$cache/$1.path"
	fi
}

# logged LOG SECONDS TEXT COMMAND... : say what is done and about how long it takes, keep its
# output in build/LOG.log, and show the end of it if it fails
logged() {
	log=$top/build/$1.log about=$2 text=$3
	shift 3
	say "$text (about $about, see ${log#"$top"/})"
	begun=$(date +%s)
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		die "$text: failed. Read $log."
	fi
	say "  done in $(($(date +%s) - begun)) s"
}

need_root() {
	[ "$(id -u)" = 0 ] || die "needs root, to make and enter a Debian root. Run it with sudo."
}

# mmdebstrap is all that is asked of the machine
need_mmdebstrap() {
	command -v mmdebstrap >/dev/null && return
	command -v apt-get >/dev/null || die "mmdebstrap: not installed, and this is no Debian. Install it."
	logged host-packages '30 s' 'installing mmdebstrap' sh -c '
		export DEBIAN_FRONTEND=noninteractive
		apt-get update && apt-get install -y --no-install-recommends mmdebstrap'
}
