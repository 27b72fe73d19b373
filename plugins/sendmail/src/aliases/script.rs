//! The two programs of the hookup, for the shell of POSIX.

use super::config::Config;
use crate::names;
use postrider_plugin_api::sdk::{reachable_host, Error, LmtpAddress, Result, Site};

pub(crate) const IMPORT: &str = "/etc/mail/import-postrider-aliases";

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
case $1@$2 in
    *[!-_.0-9a-z@]*|@*|*@) echo "550 5.1.3 postrider-lmtp: $1@$2 is no address of a list" >&2; exit 64 ;;
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
pub(crate) fn import(config: &Config, site: &Site) -> Result<String> {
    names::check_path("the table directory", &site.table_dir)?;
    let (aliases, sendmail, cf_file) = (&config.alias_file, &config.sendmail, &config.cf_file);
    let table = format!("{}/{}", site.table_dir.trim_end_matches('/'), super::adapter::TABLE);
    let program = config.program();
    Ok(format!(
        r#"#!/bin/sh
# Takes the aliases that Postrider wants into {aliases}. Made by `postrider hookup`.
set -eu
umask 022
new={aliases}.postrider-new
good='^[-_.0-9a-z]+: +"\|{program} [-_.0-9a-z]+ [-.0-9a-z]+"$'
test -f {table} || {{ echo '{table} is not there: run postrider aliases first' >&2; exit 66; }}
# A copy first: what is looked over must be what is taken.
lines=$(grep -v -e '^#' -e '^$' {table} || [ $? -eq 1 ])
if bad=$(printf '%s\n' "$lines" | grep -E -v -e "$good" -e '^$'); then
    printf '%s\n' "{table}: these lines are no aliases of lists:" "$bad" >&2
    exit 65
fi
cp -p {aliases} "$new"
sed '/^# begin of postrider$/,/^# end of postrider$/d' {aliases} > "$new"
# An alias of the site's own is not to be hidden or doubled.
taken=$(printf '%s\n' "$lines" | awk -F '[ \t]*:' '
    NR == FNR {{ own[tolower($1)] = $0; next }}
    $1 in own {{ print own[$1] }}' "$new" -)
if [ -n "$taken" ]; then
    printf '%s\n' "{aliases} has aliases of its own with the names of lists:" "$taken" >&2
    rm -f "$new"
    exit 65
fi
{{ echo '# begin of postrider'; printf '%s\n' "$lines"; echo '# end of postrider'; }} >> "$new"
mv "$new" {aliases}
{sendmail} -C {cf_file} -bi > /dev/null
"#
    ))
}
