# What both scripts need. FILE is the mail server's; PART is a file beside this script.
# FILE.before-postrider is FILE as it was before our first step; FILE.absent-before-postrider says that there was none.
# FILE.lines-of-postrider, FILE.lines-of-postrider-2 ... are lines that we added to FILE. What has no such mark was
# not done by us, and is not taken back. The marks lie there so that any later kit finds them.

say() {
    printf '%s\n' "$*"
}

# real FILE: FILE, or what it leads to if it is a symbolic link.
real() {
    if [ -d "$1" ]; then
        say "$1 is a directory, but must be a file; move it away" >&2
        return 1
    fi
    readlink -f -- "$1"
}

# room_for FILE: makes the directory of FILE.
room_for() {
    mkdir -p -- "$(dirname -- "$1")"
}

# replace NEW FILE: FILE is at every moment wholly old or wholly new, and newer than what was made of it.
replace() {
    touch -- "$1"
    mv -f -- "$1" "$2"
}

# kept FILE: whether a step has written it or added to it.
kept() {
    [ -e "$1.before-postrider" ] || [ -e "$1.absent-before-postrider" ]
}

# keep FILE: as it is before the first of our steps.
keep() {
    if kept "$1"; then
        return 0
    fi
    if [ -e "$1" ]; then
        cp -p -- "$1" "$1.before-postrider.new"
        mv -f -- "$1.before-postrider.new" "$1.before-postrider"
    else
        : > "$1.absent-before-postrider"
    fi
}

# write_file PART FILE
write_file() {
    room_for "$2"
    real=$(real "$2")
    if [ -e "$real" ] && cmp -s -- "$1" "$real"; then
        say "    it is there already"
        return 0
    fi
    keep "$2"
    install -m 0644 -- "$1" "$real.new-postrider"
    replace "$real.new-postrider" "$real"
}

# unwrite_file FILE: brings back what was there before.
unwrite_file() {
    if [ ! -d "$(dirname -- "$1")" ]; then
        return 0
    fi
    real=$(real "$1")
    if [ -e "$1.before-postrider" ]; then
        cp -p -- "$1.before-postrider" "$real.new-postrider"
        replace "$real.new-postrider" "$real"
        rm -f -- "$1.before-postrider"
        say "    it is what it was before"
    elif [ -e "$1.absent-before-postrider" ]; then
        rm -f -- "$real" "$1.absent-before-postrider"
    elif [ -e "$real" ]; then
        say "    install.sh did not write it, so it stays"
    fi
}

# without_lines PART FILE: prints FILE without the last place where the lines of PART stand. Status 1: they stand nowhere.
without_lines() {
    PART=$1 FILE=$2 LC_ALL=C awk '
        BEGIN {
            while ((got = (getline line < ENVIRON["PART"])) > 0) part[++parts] = line ""
            if (got < 0 || !parts) exit 2
            while ((got = (getline line < ENVIRON["FILE"])) > 0) file[++lines] = line ""
            if (got < 0) exit 2
            for (start = lines - parts + 1; start > 0; start--) {
                for (n = 1; n <= parts && file[start + n - 1] "" == part[n] ""; n++) ;
                if (n > parts) break
            }
            for (n = 1; n <= lines; n++) if (start <= 0 || n < start || n >= start + parts) print file[n]
            exit (start <= 0)
        }'
}

# record_of PART FILE: prints the name of the mark that says that we added these lines. Status 1: we did not.
record_of() {
    for record in "$2".lines-of-postrider*; do
        if [ -e "$record" ] && cmp -s -- "$1" "$record"; then
            say "$record"
            return 0
        fi
    done
    return 1
}

# record PART FILE: makes that mark.
record() {
    if record_of "$1" "$2" > /dev/null; then
        return 0
    fi
    record=$2.lines-of-postrider
    number=1
    while [ -e "$record" ]; do
        number=$((number + 1))
        record=$2.lines-of-postrider-$number
    done
    rm -f -- "$2.record-of-postrider.new"
    cp -- "$1" "$2.record-of-postrider.new"
    mv -f -- "$2.record-of-postrider.new" "$record"
}

# forget PART FILE: removes that mark.
forget() {
    if record=$(record_of "$1" "$2"); then
        rm -f -- "$record"
    fi
}

# take_out LINES FILE: where they stand last.
take_out() {
    if [ ! -e "$2" ]; then
        return 0
    fi
    real=$(real "$2")
    rm -f -- "$real.new-postrider"
    cp -p -- "$real" "$real.new-postrider"
    status=0
    without_lines "$1" "$real" > "$real.new-postrider" || status=$?
    case $status in
        0) replace "$real.new-postrider" "$real" ;;
        1) rm -f -- "$real.new-postrider"; say "    not there any more as install.sh added them:"; sed 's/^/        /' "$1" ;;
        *) rm -f -- "$real.new-postrider"; say "$real cannot be read" >&2; return 1 ;;
    esac
}

# renew_lines FILE PART...: takes out what we added to FILE, if an earlier kit had other lines than these.
renew_lines() {
    file=$1
    shift
    obsolete=
    for record in "$file".lines-of-postrider*; do
        if [ ! -e "$record" ]; then
            continue
        fi
        wanted=
        for part in "$@"; do
            if cmp -s -- "$part" "$record"; then
                wanted=yes
            fi
        done
        if [ -z "$wanted" ]; then
            obsolete=yes
        fi
    done
    if [ -z "$obsolete" ]; then
        return 0
    fi
    say "    takes out what an earlier install.sh added"
    for record in "$file".lines-of-postrider*; do
        take_out "$record" "$file"
        rm -f -- "$record"
    done
}

# add_lines PART FILE: at the end, unless they stand in it one after the other.
add_lines() {
    room_for "$2"
    real=$(real "$2")
    if [ -e "$real" ]; then
        status=0
        without_lines "$1" "$real" > /dev/null || status=$?
        case $status in
            0) say "    they are there already"; return 0 ;;
            1) ;;
            *) say "$real cannot be read" >&2; return 1 ;;
        esac
    fi
    keep "$2"
    # Before the change, so that undo.sh knows of it wherever this is interrupted.
    record "$1" "$2"
    rm -f -- "$real.new-postrider"
    if [ -e "$real" ]; then
        cp -p -- "$real" "$real.new-postrider"
        # Its last line may lack its end.
        if [ -n "$(tail -c 1 -- "$real")" ]; then
            say >> "$real.new-postrider"
        fi
    fi
    cat -- "$1" >> "$real.new-postrider"
    replace "$real.new-postrider" "$real"
}

# take_lines PART FILE
take_lines() {
    if ! record_of "$1" "$2" > /dev/null; then
        say "    install.sh did not add them, so what is there stays"
        return 0
    fi
    take_out "$1" "$2"
    forget "$1" "$2"
}

# all_taken FILE: no lines of ours are in it any more.
all_taken() {
    if [ -e "$1.absent-before-postrider" ]; then
        real=$(real "$1")
        if [ ! -s "$real" ]; then
            rm -f -- "$real"
        fi
        rm -f -- "$1.absent-before-postrider"
    elif [ -e "$1.before-postrider" ] && [ -e "$1" ]; then
        real=$(real "$1")
        # Its last line may have lacked its end.
        if LC_ALL=C awk 1 "$1.before-postrider" | cmp -s - "$real"; then
            cp -p -- "$1.before-postrider" "$real.new-postrider"
            replace "$real.new-postrider" "$real"
            rm -f -- "$1.before-postrider"
        else
            say "    others changed it too; see $1.before-postrider, and remove that when all is well"
        fi
    fi
}

# undone FILE: the commands of the step have taken it back.
undone() {
    rm -f -- "$1.absent-before-postrider"
    if [ -e "$1.before-postrider" ]; then
        if [ -e "$1" ]; then
            say "    see $1.before-postrider for how it was before, and remove that when all is well"
        else
            unwrite_file "$1"
        fi
    fi
}
