# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for ifppctl

_ifppctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' word i
	local commands='list info request import check load provision keys rework lock handover retry monitor fetch deliver report hook metrics selftest help'
	local common='--device --json --show-ids --yes --help'
	COMPREPLY=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-d | --device) ((i++)) ;;
		-*) ;;
		*)
			command=$word
			break
			;;
		esac
	done

	case $prev in
	-d | --device)
		word='ifpp[0-9]*'
		[ "$command" = selftest ] && word='cdc-wdm[0-9]*'
		mapfile -t COMPREPLY < <(compgen -W "$(cd /dev && compgen -G "$word")" -- "$cur")
		return
		;;
	-s | --source | --to | --cache | --outbox | --packages | --trust)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	-o | --output | -p | --policy | --gateway | --scan-file | --ifppd | --show | --text | --signature | --cert | --key | --ca)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac

	case $command in
	'') word="$commands $common --version" ;;
	info) word="$common --trust $(cd /dev && compgen -G 'ifpp[0-9]*')" ;;
	request)
		if [[ $cur != -* ]]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -X '!*.euicc' -- "$cur"; compgen -d -- "$cur")
			return
		fi
		word="$common --output --order --outbox --show --text --signature"
		;;
	import)
		if [[ $cur != -* ]]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -X '!*.ifppd' -- "$cur"; compgen -d -- "$cur")
			return
		fi
		word="$common --to --trust --check"
		;;
	load)
		if [[ $cur != -* ]]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -X '!*.ifpp' -- "$cur"; compgen -d -- "$cur")
			return
		fi
		word=$common
		;;
	provision) word="$common --source --lock --scan --codes --scan-file --expect-eid --expect-imei --expect-serial --board-serial --work-order --policy --gateway --handover --station --outbox --trust --cache --keep --cert --key --ca" ;;
	keys) word="$common list delete" ;;
	rework) word="$common --outbox" ;;
	lock) word="$common --host --if-finished --gateway --outbox" ;;
	handover) word="$common --check" ;;
	retry) word="$common --packages --source --settle" ;;
	monitor) word="$common --lines --count --seconds --outbox" ;;
	fetch) word="$common --source --to --cert --key --ca" ;;
	deliver) word="$common --to --outbox --cache --keep --cert --key --ca" ;;
	hook) word="$common --timeout" ;;
	check) word="$common --packages --trust" ;;
	report) word="$common --output --outbox --packages" ;;
	metrics) word="$common --output --outbox --packages --trust" ;;
	selftest) word="$common --slot --trust --ifppd" ;;
	*) word=$common ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}
complete -F _ifppctl ifppctl
