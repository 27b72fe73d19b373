#!/bin/sh
# Made by `postrider hookup`. Brings qmail's virtualdomains and rcpthosts into step with the domains that have
# mailing lists. Run it as root whenever Postrider asks for it; running it once more does no harm.
#
#     postrider-qmail          take the domains from Postrider's table
#     postrider-qmail FILE     from a copy of that table, on a mail server that Postrider does not run on
#     postrider-qmail undo     take all of its lines out again
#
# It removes no line that it has not added: it keeps those in postrider.virtualdomains and postrider.rcpthosts
# beside the control files.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin
LC_ALL=C
export PATH LC_ALL

table=@DOMAINS@
control=@CONTROL@
prefix=@PREFIX@
needed=@NEEDED@

fail() {
	echo "postrider-qmail: $*" >&2
	exit 1
}

tell_qmail_send() {
	@RELOAD@
}

# The lines of a control file that qmail sees.
lines() {
	if [ -f "$1" ]; then
		sed 's/[ 	]*$//; /^#/d; /^$/d' "$1"
	fi
}

# replace FILE: puts standard input in its place, with its owner and mode.
replace() {
	if [ -e "$1" ]; then
		cp -p "$1" "$1.postrider-new"
	fi
	cat >"$1.postrider-new"
	mv -f "$1.postrider-new" "$1"
}

# remove FILE WANTED: takes out of FILE the lines of ours that are not wanted any more.
remove() {
	lines "$1" >"$work/now"
	lines "$ours$(basename "$1")" >"$work/ours"
	sort -u "$2" >"$work/wanted"
	sort -u "$work/ours" | comm -23 - "$work/wanted" >"$work/gone"
	[ -s "$work/gone" ] || return 0
	if grep -qxFf "$work/gone" "$work/now"; then
		changed=yes
		awk 'NR == FNR { gone[$0]; next } { line = $0; sub(/[ \t]+$/, "", line) } !(line in gone)' \
			"$work/gone" "$1" | replace "$1"
	fi
	sort -u "$work/ours" | comm -12 - "$work/wanted" | replace "$ours$(basename "$1")"
}

# add FILE WANTED: adds the wanted lines that are not there, and remembers them as ours.
add() {
	lines "$1" | tr 'A-Z' 'a-z' | sort -u >"$work/now"
	sort -u "$2" | comm -23 - "$work/now" >"$work/new"
	[ -s "$work/new" ] || return 0
	changed=yes
	# Before the file itself: a line that we are said to have added is looked for again, one that we do not
	# know is never removed.
	{
		lines "$ours$(basename "$1")"
		cat "$work/new"
	} | sort -u | replace "$ours$(basename "$1")"
	{
		if [ -f "$1" ]; then
			awk 1 "$1"
		fi
		cat "$work/new"
	} >"$work/whole"
	replace "$1" <"$work/whole"
}

[ -d "$control" ] || fail "there is no $control: is qmail installed elsewhere? Set qmail_home, and run postrider hookup again"
ours=$control/postrider.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

case ${1-} in
undo) : >"$work/domains" ;;
*)
	table=${1:-$table}
	if [ ! -f "$table" ]; then
		echo "postrider-qmail: $table is not there yet; postrider aliases writes it" >&2
		exit 0
	fi
	# The table is not root's: nothing of it is used before it is known to be domains, and nothing is printed.
	grep -v '^#' "$table" >"$work/table" || :
	awk -v prefix="$prefix" 'NF != 2 || $2 != prefix || length($1) > 253 ||
		$1 !~ /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/ { exit 1 }' "$work/table" ||
		fail "$table has a line that is not DOMAIN $prefix; if the setting prefix was changed, run postrider hookup again"
	awk '{ print $1 }' "$work/table" | sort -u >"$work/domains"
	;;
esac
sed "s/\$/:$prefix/" "$work/domains" >"$work/routes"

if [ -s "$work/domains" ]; then
	[ -e "$needed" ] || fail "$needed is not there, so qmail would bounce the mail; postrider aliases writes it"

	# A domain in locals is never looked for in virtualdomains.
	if [ -f "$control/locals" ]; then
		lines "$control/locals"
	elif [ -f "$control/me" ]; then
		head -n 1 "$control/me"
	fi | tr 'A-Z' 'a-z' | sort -u | comm -12 - "$work/domains" >"$work/clash"
	[ ! -s "$work/clash" ] ||
		fail "$(tr '\n' ' ' <"$work/clash")is in locals, where virtualdomains does not count: take it out, or give it an alias domain"

	lines "$control/virtualdomains" | tr 'A-Z' 'a-z' |
		awk -F: -v prefix="$prefix" 'NR == FNR { wanted[$1]; next } ($1 in wanted) && $2 != prefix { print $1 }' \
			"$work/domains" - >"$work/clash"
	[ ! -s "$work/clash" ] ||
		fail "$(tr '\n' ' ' <"$work/clash")belongs to somebody else in virtualdomains: take that line out, or give the lists a domain of their own"
fi

# What is no longer accepted must not be routed; what is accepted must be routed already.
changed=no
if [ -f "$control/rcpthosts" ]; then
	remove "$control/rcpthosts" "$work/domains"
fi

changed=no
remove "$control/virtualdomains" "$work/routes"
add "$control/virtualdomains" "$work/routes"
if [ "$changed" = yes ]; then
	: >"${ours}untold"
fi
if [ -e "${ours}untold" ]; then
	tell_qmail_send
	# A signal that arrives just before qmail-send begins to wait is noticed only with the next event, and that
	# may be the first message for the new domain. The second signal is such an event.
	sleep 1
	tell_qmail_send
	rm -f "${ours}untold"
fi

if [ -f "$control/rcpthosts" ]; then
	lines "$control/morercpthosts" | tr 'A-Z' 'a-z' | sort -u | comm -13 - "$work/domains" >"$work/hosts"
	add "$control/rcpthosts" "$work/hosts"
elif [ -s "$work/domains" ]; then
	echo "postrider-qmail: there is no $control/rcpthosts: qmail-smtpd relays mail of everybody to everybody" >&2
fi
