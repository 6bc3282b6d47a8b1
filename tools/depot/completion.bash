# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for ifpp-depot

_ifpp_depot()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word
	local filter='--eid --iccid --operator --batch --state'
	COMPREPLY=()

	case $prev in
	--state)
		mapfile -t COMPREPLY < <(compgen -W 'free reserved sent installed failed burnt' -- "$cur")
		return
		;;
	--db | --cert | --key | --client-ca | --client-crl | --access-log | -o | --output | import | backup | restore)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--to | --trust | collect)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	esac
	if [ "$COMP_CWORD" = 1 ]; then
		word='init import chips keys status list history claim release export collect doubts burn unburn station token reject backup restore check report serve --help --version'
	else
		word='--db --json --help'
		case ${COMP_WORDS[1]} in
		import) word+=' --trust --operator --wait' ;;
		chips) word+=' list export --output' ;;
		keys) word+=' assign list --for --keys --batch --order --profile --to' ;;
		list) word+=" $filter --key" ;;
		claim) word+=' --station --lease' ;;
		release) word+=' --station' ;;
		export) word+=" $filter --station --lease --to" ;;
		collect) word+=' --station --trust' ;;
		burn | unburn) word+=' --why' ;;
		station) word+=' add revoke list --batch --quota' ;;
		token) word+=' add revoke list' ;;
		restore) word+=' --done' ;;
		report) word+=" $filter --output" ;;
		serve) word+=' --listen --cert --key --client-ca --client-crl --refuse-stale-crl --proxy-from --dashboard --api --access-log --trust --lease --threads --connections --rate --timeout' ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}
complete -F _ifpp_depot ifpp-depot
