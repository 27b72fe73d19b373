# What both scripts need. FILE is the mail server's; PART is a file beside this script.
# FILE.before-postrider is FILE as it was before our first step; FILE.absent-before-postrider says that there was none.

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

# keep FILE: as it is before the first of our steps.
keep() {
    if [ -e "$1.before-postrider" ] || [ -e "$1.absent-before-postrider" ]; then
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

# unwrite_file PART FILE: brings back what was there before.
unwrite_file() {
    if [ ! -d "$(dirname -- "$2")" ]; then
        return 0
    fi
    real=$(real "$2")
    if [ -e "$2.before-postrider" ]; then
        cp -p -- "$2.before-postrider" "$real.new-postrider"
        replace "$real.new-postrider" "$real"
        rm -f -- "$2.before-postrider"
        say "    it is what it was before"
    elif [ -e "$2.absent-before-postrider" ] || { [ -e "$real" ] && cmp -s -- "$1" "$real"; }; then
        rm -f -- "$real" "$2.absent-before-postrider"
    elif [ -e "$real" ]; then
        say "    it is not the file of this step, and stays"
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
        1) rm -f -- "$real.new-postrider"; say "    they are not there" ;;
        *) rm -f -- "$real.new-postrider"; say "$real cannot be read" >&2; return 1 ;;
    esac
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
            unwrite_file /dev/null "$1"
        fi
    fi
}
