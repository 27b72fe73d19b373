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
#
# A domain whose mail goes elsewhere now (locals, somebody else's line in virtualdomains, rcpthosts, smtproutes) is
# left as it is and named; all other domains are brought into step. The exit status is 1 when such a domain is seen
# for the first time, so that whoever has just made it hears of it, and 0 when it was told before
# (postrider.clashes), so that it keeps no other domain waiting. A line DOMAIN:@PREFIX@ that you add to
# virtualdomains yourself says that the lists are to take the domain over.
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
	# What it may start must not keep the lock.
	(
		@RELOAD@
	) 9>&-
}

# The lines of a control file that qmail sees.
lines() {
	if [ -f "$1" ]; then
		sed 's/[ 	]*$//; /^#/d; /^$/d' "$1"
	fi
}

# The lines of a control file that are not ours, in lower case.
foreign() {
	lines "$ours$1" | sort -u >"$work/mine"
	lines "$control/$1" | tr 'A-Z' 'a-z' | sort -u | comm -23 - "$work/mine"
}

# One run at a time: two would overwrite each other's lines.
lock() {
	if command -v flock >/dev/null; then
		exec 9>"${ours}lock"
		flock -w 60 9 || fail "another run is busy with the control files, and has not ended within a minute"
		return
	fi
	tries=60
	until mkdir "${ours}lock.d" 2>/dev/null; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "another run is busy with the control files; if there is none, remove ${ours}lock.d"
		sleep 1
	done
	locked=${ours}lock.d
}

# unlock: takes away what a run leaves in the file system.
unlock() {
	rm -rf "$work"
	[ -z "$locked" ] || rmdir "$locked"
}

# Reads tagged lines, and prints DOMAIN and the file that says that its mail goes elsewhere. In control files a name
# with a dot before it stands for all domains below.
find_clashes() {
	{
		if [ -f "$control/locals" ]; then
			lines "$control/locals"
		elif [ -f "$control/me" ]; then
			head -n 1 "$control/me"
		fi | sed 's/^/local /'
		lines "$control/virtualdomains" | sed 's/^/route /'
		foreign virtualdomains | sed 's/^/foreign /'
		{
			foreign rcpthosts
			lines "$control/morercpthosts"
		} | sed 's/^/rcpthosts /'
		lines "$control/smtproutes" | sed 's/:.*//; s/^/smtproutes /'
		sort -u "$work/domains" "$work/told" | sed 's/^/wanted /'
	} | tr 'A-Z' 'a-z' | awk -v prefix="$prefix" '
		function above(set, name,  at) {
			while (at = index(name, ".")) {
				name = substr(name, at)
				if (name in set) return 1
				name = substr(name, 2)
			}
			return 0
		}
		$1 == "local" { here[$2] }
		$1 == "route" { routes[$2] }
		$1 == "foreign" {
			at = index($2, ":")
			if (substr($2, at + 1) != prefix) others[substr($2, 1, at - 1)]
		}
		$1 == "rcpthosts" { accepted[$2] }
		$1 == "smtproutes" { sent[$2] }
		$1 == "wanted" {
			if ($2 in here) print $2, "locals"
			else if ($2 in others) print $2, "virtualdomains"
			else if ($2 ":" prefix in routes) next
			else if (above(others, $2)) print $2, "virtualdomains"
			else if ($2 in sent || above(sent, $2)) print $2, "smtproutes"
			else if ($2 in accepted || above(accepted, $2)) print $2, "rcpthosts"
		}'
}

# tell_clashes: names those that are wanted, with the cure.
tell_clashes() {
	while read -r domain file; do
		grep -qxF "$domain" "$work/domains" || continue
		case $file in
		locals) why="is in locals, where virtualdomains does not count: take it out, or give it an alias domain" ;;
		virtualdomains)
			why="belongs to somebody else in virtualdomains: take that line out, or give the lists a domain of their own" ;;
		*)
			why="is in $file, so its people are on another host: give the lists a domain of their own; or, if they are to have this one, add the line $domain:$prefix to virtualdomains and run this again" ;;
		esac
		echo "postrider-qmail: $domain $why" >&2
	done
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
locked=
work=$(mktemp -d)
trap unlock EXIT
trap 'exit 1' HUP INT TERM
lock

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

lines "${ours}clashes" | sort -u >"$work/told"
: >"$work/clashes"
if [ "${1-}" != undo ]; then
	[ ! -s "$work/domains" ] || [ -e "$needed" ] ||
		fail "$needed is not there, so qmail would bounce the mail; postrider aliases writes it"
	find_clashes >"$work/clashes"
	tell_clashes <"$work/clashes"
fi
awk '{ print $1 }' "$work/clashes" | sort -u >"$work/clashing"
comm -23 "$work/domains" "$work/clashing" >"$work/free"
# A domain that clashes keeps what it has: whoever put it elsewhere may count on our line in rcpthosts.
sed "s/\$/:$prefix/" "$work/domains" >"$work/routes"
sed "s/\$/:$prefix/" "$work/free" >"$work/free_routes"

# What is no longer accepted must not be routed; what is accepted must be routed already.
changed=no
if [ -f "$control/rcpthosts" ]; then
	remove "$control/rcpthosts" "$work/domains"
fi

changed=no
remove "$control/virtualdomains" "$work/routes"
add "$control/virtualdomains" "$work/free_routes"
# A domain that clashes no more has a new line by hand, perhaps, of which qmail-send has not been told.
if [ "$changed" = yes ] || comm -12 "$work/told" "$work/free" | grep -q .; then
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
	lines "$control/morercpthosts" | tr 'A-Z' 'a-z' | sort -u | comm -13 - "$work/free" >"$work/hosts"
	add "$control/rcpthosts" "$work/hosts"
elif [ -s "$work/domains" ]; then
	echo "postrider-qmail: there is no $control/rcpthosts: qmail-smtpd relays mail of everybody to everybody" >&2
fi

if ! cmp -s "$work/told" "$work/clashing"; then
	replace "${ours}clashes" <"$work/clashing"
fi
comm -12 "$work/domains" "$work/clashing" | comm -23 - "$work/told" >"$work/unheard"
[ ! -s "$work/unheard" ] || fail "$(tr '\n' ' ' <"$work/unheard")cannot be taken now; all other domains are in step"
