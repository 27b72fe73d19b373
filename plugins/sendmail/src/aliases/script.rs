//! The two programs of the hookup, for the shell of POSIX.

use super::config::Config;
use crate::names;
use postrider_plugin_api::sdk::{reachable_host, Error, LmtpAddress, Result, Site};

pub(crate) const IMPORT: &str = "/etc/mail/import-postrider-aliases";
/// The marks in the alias file.
pub(crate) const BEGIN: &str = "# begin of postrider";
pub(crate) const END: &str = "# end of postrider";

/// Called as `postrider-lmtp LOCAL DOMAIN`, with what Sendmail's mailer prog passes: first the line `From SENDER
/// DATE`, then the message. Exit codes are those of sysexits.h, for any other would be a bounce.
///
/// # Errors
/// When the list server's address cannot be written in a shell script.
pub(crate) fn deliver(config: &Config, site: &Site) -> Result<String> {
    let place = match &site.lmtp {
        LmtpAddress::Unix(path) => {
            names::check_path("lmtp_host", path)?;
            format!("--socket {path}")
        }
        LmtpAddress::Tcp { host, port } => {
            let host = reachable_host(host);
            if host.is_empty() || !host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b':' | b'-')) {
                return Err(Error::setting(format!("the LMTP host `{host}` is neither an address nor a host name")));
            }
            format!("--host {host} --port {port}")
        }
        _ => return Err(Error::setting("qmail-lmtp reaches an LMTP server by TCP or by a Unix socket only")),
    };
    let command = &config.lmtp_command;
    Ok(format!(
        r#"#!/bin/sh
# Hands a message from Sendmail's mailer prog to the list server of Postrider, by LMTP.
# Made by `postrider hookup`. Usage: postrider-lmtp LOCAL DOMAIN
LC_ALL=C
case $1@$2 in
    *[!-_.0-9A-Za-z@]*|@*|*@) echo "550 5.1.3 postrider-lmtp: $1@$2 is no address of a list" >&2; exit 64 ;;
esac
IFS= read -r from || exit 75
case $from in
    'From '*) sender=${{from#From }}; sender=${{sender%% *}} ;;
    *) echo '451 4.3.5 postrider-lmtp: no From line: is mailer prog without the flag n?' >&2; exit 75 ;;
esac
# How Sendmail writes the empty sender there.
case $sender in
    MAILER-DAEMON|MAILER-DAEMON@*|'<>') sender= ;;
esac
LOCAL=$1 HOST=$2 SENDER=$sender
RPLINE="Return-Path: <$sender>
"
DTLINE="Delivered-To: $1@$2
"
export LOCAL HOST SENDER RPLINE DTLINE
{command} {place} --strip 0
case $? in
    0) exit 0 ;;
    100) exit 69 ;;
    *) exit 75 ;;
esac
"#
    ))
}

/// Looks every line over, then puts them between two marks of the alias file, and has the database made anew.
/// Run by root (cron, sudo, Postrider itself); takes no arguments.
///
/// # Errors
/// When a path or the user's name cannot be written in a shell script.
pub(crate) fn import(config: &Config, site: &Site) -> Result<String> {
    names::check_path("the table directory", &site.table_dir)?;
    names::check_user(&site.user)?;
    let (aliases, sendmail, cf_file, user) = (&config.alias_file, &config.sendmail, &config.cf_file, &site.user);
    let table = format!("{}/{}", site.table_dir.trim_end_matches('/'), super::adapter::TABLE);
    let program = config.program();
    let (begin, end) = (BEGIN, END);
    Ok(format!(
        r#"#!/bin/sh
# Takes the aliases that Postrider wants into {aliases}. Made by `postrider hookup`.
set -eu
umask 022
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
table={table}
new={aliases}.postrider-new
good='^[-_.0-9a-z]+: +"\|{program} [-_.0-9a-z]+ [-_.0-9A-Za-z]+"$'
# With the rights of {user}, who could have put a link to any other file in its place. And once: what is
# looked over must be what is taken.
read_table() {{
    if [ "$(id -un)" = {user} ]; then cat "$table"; else SHELL=/bin/sh su -m {user} -c "cat $table" < /dev/null; fi
}}
text=$(read_table) || {{ echo "$table cannot be read by {user}: run postrider aliases first" >&2; exit 66; }}
# Only numbers: nothing of the file is shown to whoever may run this.
bad=$(printf '%s\n' "$text" | grep -E -n -v -e "$good" -e '^#' -e '^$' | cut -d : -f 1 | tr '\n' ' ')
if [ -n "$bad" ]; then
    echo "$table: no aliases of lists are in these lines: $bad" >&2
    exit 65
fi
cp -p {aliases} "$new"
sed '/^{begin}$/,/^{end}$/d' {aliases} > "$new"
# An alias of the site's own is neither hidden nor doubled; the others are taken, and the end is a good one: after
# any other Postrider would take the whole change back.
lines=$(printf '%s\n' "$text" | awk -F '[ \t]*:' '
    /^#/ || /^$/ {{ next }}
    {{ name = tolower($1); gsub(/"/, "", name) }}
    !ours {{ own[name] = 1; next }}
    !(name in own) {{ print; next }}
    {{ print "{aliases} has an alias of its own called " name ": the list goes without" | "cat >&2" }}
' ours=0 "$new" ours=1 -)
{{ echo '{begin}'; printf '%s\n' "$lines"; echo '{end}'; }} >> "$new"
mv "$new" {aliases}
{sendmail} -C {cf_file} -bi > /dev/null
"#
    ))
}
