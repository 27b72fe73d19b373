//! The two files beside `smtpd.conf`: the rules that it includes, and the script that hands messages over.
//!
//! The rules, in their order:
//!
//! - In a domain of lists a detail may follow the delimiter only where Postrider knows one (`ants-bounces+...`).
//!   OpenSMTPD itself would cut it off anywhere.
//! - All else in a domain of lists is looked up in the addresses; what is not there is refused (524). Postmaster is
//!   the site's.
//! - In other domains the addresses of lists are taken out, and what is left goes on to the site's own rules.
//!
//! The script is there because `mail.lmtp` of OpenSMTPD 6.8 reports every refusal as a temporary failure: mail that
//! the list server will never take would wait for days.

use crate::{names, settings::Config, settings::TableType, tables};
use postrider_plugin_api::sdk::{reachable_host, Context, Error, LmtpAddress, Result, Site};
use std::net::IpAddr;

/// The name of the action, and the beginning of the names of the tables.
pub(crate) const ACTION: &str = "postrider";

/// The name under which `smtpd.conf` (and `smtpctl update table`) knows a table.
pub(crate) fn name_of(table: &str) -> &'static str {
    match table {
        tables::ADDRESSES => "postrider_addresses",
        tables::DOMAINS => "postrider_domains",
        _ => "postrider_shared",
    }
}

/// # Errors
/// When something cannot be written there.
pub(crate) fn included(config: &Config, context: Context<'_>) -> Result<String> {
    let site = context.site;
    names::check_path("the table directory", &site.table_dir)?;
    check_delimiter(&site.delimiter)?;
    let mut text = format!(
        "# Mailing lists of Postrider. Made by `postrider hookup`; included by {} before its other rules.\n",
        config.smtpd_conf
    );
    for table in [tables::ADDRESSES, tables::DOMAINS, tables::SHARED] {
        text.push_str(&format!("table {} {}\n", name_of(table), source(config, site, table)));
    }
    let (addresses, domains, shared) = (name_of(tables::ADDRESSES), name_of(tables::DOMAINS), name_of(tables::SHARED));
    text.push_str(&format!(
        "action \"{ACTION}\" mda \"/bin/sh {script}\" virtual <{addresses}>\n\
         match from any for domain <{domains}> ! rcpt-to regex \"{forms}\" reject\n\
         match from any for domain <{domains}> ! rcpt-to \"postmaster\" action \"{ACTION}\"\n\
         match from any for rcpt-to <{shared}> action \"{ACTION}\"\n",
        script = config.script_file(),
        forms = forms(site),
    ));
    Ok(text)
}

/// Where OpenSMTPD finds a table.
pub(crate) fn source(config: &Config, site: &Site, table: &str) -> String {
    let directory = site.table_dir.trim_end_matches('/');
    match config.table_type {
        TableType::Db => format!("db:{directory}/{table}.db"),
        TableType::File => format!("file:{directory}/{table}"),
    }
}

/// Addresses without a detail, and those with one where it belongs; an extended regular expression, in which
/// OpenSMTPD tells no capitals from small letters.
fn forms(site: &Site) -> String {
    let details: Vec<&str> = site.subaddresses.iter().filter(|one| one.detail).map(|one| one.name.as_str()).collect();
    if details.is_empty() || site.delimiter.is_empty() {
        return "^[^+@]+@".into();
    }
    format!("^([^+@]+|[^@]+-({})[+].*)@", details.join("|"))
}

/// # Errors
/// When the address cannot be written there.
pub(crate) fn script(config: &Config, site: &Site) -> Result<String> {
    Ok(format!(
        "#!/bin/sh\n\
         # Hands a message of OpenSMTPD to the list server. Made by `postrider hookup`.\n\
         # mail.lmtp ends with 75 (try again) whatever it is told; a refusal for good (5xx) must be one here too.\n\
         if said=$({program} -d '{destination}' -r 2>&1); then\n    exit 0\nfi\n\
         printf '%s\\n' \"$said\" >&2\n\
         case $said in\n    'mail.lmtp: LMTP server error: 5'*) exit 69 ;;\nesac\n\
         exit 75\n",
        program = config.mail_lmtp,
        destination = destination(&site.lmtp)?,
    ))
}

/// As `mail.lmtp -d` takes it.
///
/// # Errors
/// When it cannot.
pub(crate) fn destination(lmtp: &LmtpAddress) -> Result<String> {
    match lmtp {
        LmtpAddress::Tcp { host, port } => {
            let host = reachable_host(host);
            match host.parse::<IpAddr>() {
                Ok(IpAddr::V6(address)) => Ok(format!("[{address}]:{port}")),
                Ok(address) => Ok(format!("{address}:{port}")),
                Err(_) => {
                    names::check_word("lmtp_host", &host)?;
                    Ok(format!("{host}:{port}"))
                }
            }
        }
        LmtpAddress::Unix(path) => {
            names::check_path("lmtp_host", path)?;
            Ok(path.clone())
        }
        _ => Err(Error::setting("OpenSMTPD reaches an LMTP server by TCP or by a Unix socket only")),
    }
}

/// OpenSMTPD cuts addresses at `+`, unless `smtpd.conf` says otherwise.
///
/// # Errors
/// When Postrider has another character.
pub(crate) fn check_delimiter(delimiter: &str) -> Result<()> {
    if matches!(delimiter, "" | "+") {
        return Ok(());
    }
    Err(Error::setting(format!("OpenSMTPD does not take addresses apart at `{delimiter}` (verp_delimiter)"))
        .with_hint("set verp_delimiter: +"))
}

/// As whom messages are handed over: by TCP anybody can, a Unix socket is Postrider's. `mail.lmtp` refuses to be root.
///
/// # Errors
/// When the user's name cannot be written in a table.
pub(crate) fn delivery_user(config: &Config, site: &Site) -> Result<String> {
    let user = match (&site.lmtp, config.delivery_user.as_str()) {
        (LmtpAddress::Unix(_), "") if site.user != "root" => site.user.as_str(),
        (_, "") => "nobody",
        (_, user) => user,
    };
    names::check_word("the user who hands messages over", user)?;
    Ok(user.to_owned())
}

/// What lets the list server on another machine relay, if it is one: a line for the end of `smtpd.conf`.
///
/// # Errors
/// When the machine has no address there, or nobody knows how mail leaves.
pub(crate) fn relaying(site: &Site, action: Option<&str>) -> Result<Option<String>> {
    let host = match site.lmtp.other_host() {
        Some(host) => host,
        None => return Ok(None),
    };
    if host.parse::<IpAddr>().is_err() {
        return Err(Error::setting(format!("the LMTP host `{host}` is no IP address, and OpenSMTPD trusts no names"))
            .with_hint("set lmtp_host to the address of the list server"));
    }
    let action = action.ok_or_else(|| {
        Error::setting("smtpd.conf has no rule `match ... for any`, so nobody knows by which action mail leaves")
            .with_hint("set relay_action")
    })?;
    names::check_word("relay_action", action)?;
    Ok(Some(format!("match from src \"{host}\" for any action \"{action}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::{
        sdk::Facts,
        testing::{self, TestRoster},
    };

    fn config(pairs: &[(&str, &str)]) -> Config {
        Config::parse(&pairs.iter().copied().collect()).unwrap()
    }

    fn tcp(host: &str) -> LmtpAddress {
        LmtpAddress::Tcp { host: host.into(), port: 8024 }
    }

    #[test]
    fn the_included_file_has_tables_action_and_rules_in_this_order() {
        let (site, facts, roster) = (testing::site(), Facts::new(), TestRoster::new(&[], &[]));
        let text = included(&config(&[]), Context::new(&site, &facts, &roster)).unwrap();
        assert_eq!(
            text,
            "# Mailing lists of Postrider. Made by `postrider hookup`; included by /etc/smtpd.conf before its other rules.\n\
             table postrider_addresses db:/var/lib/postrider/data/opensmtpd_addresses.db\n\
             table postrider_domains db:/var/lib/postrider/data/opensmtpd_domains.db\n\
             table postrider_shared db:/var/lib/postrider/data/opensmtpd_shared.db\n\
             action \"postrider\" mda \"/bin/sh /etc/smtpd.postrider-lmtp.sh\" virtual <postrider_addresses>\n\
             match from any for domain <postrider_domains> ! rcpt-to regex \"^([^+@]+|[^@]+-(bounces|confirm)[+].*)@\" reject\n\
             match from any for domain <postrider_domains> ! rcpt-to \"postmaster\" action \"postrider\"\n\
             match from any for rcpt-to <postrider_shared> action \"postrider\"\n"
        );
        let text = included(&config(&[("table_type", "file")]), Context::new(&site, &facts, &roster)).unwrap();
        assert!(text.contains("file:/var/lib/postrider/data/opensmtpd_domains\n"), "{text}");
    }

    #[test]
    fn where_no_detail_belongs_none_is_taken() {
        let mut site = testing::site();
        site.subaddresses.iter_mut().for_each(|one| one.detail = false);
        assert_eq!(forms(&site), "^[^+@]+@");
    }

    #[test]
    fn the_list_server_is_reached_however_it_is_written() {
        let cases = [
            (tcp("localhost"), "127.0.0.1:8024"),
            (tcp("0.0.0.0"), "127.0.0.1:8024"),
            (tcp("::"), "[::1]:8024"),
            (tcp("[2001:db8::2]"), "[2001:db8::2]:8024"),
            (tcp("lists.example.net"), "lists.example.net:8024"),
            (LmtpAddress::Unix("/run/postrider/lmtp".into()), "/run/postrider/lmtp"),
        ];
        for (lmtp, expected) in cases {
            assert_eq!(destination(&lmtp).unwrap(), expected);
        }
        for host in ["", "a b", "a'b", "$(id)", "a:b", "-h"] {
            assert!(destination(&tcp(host)).is_err(), "{host:?}");
        }
        for path in ["run/lmtp", "/run/a b", "/run/a'b"] {
            assert!(destination(&LmtpAddress::Unix(path.into())).is_err(), "{path:?}");
        }
    }

    #[test]
    fn another_machine_may_relay_by_its_address() {
        let mut site = testing::site();
        assert_eq!(relaying(&site, None), Ok(None));
        site.lmtp = tcp("192.0.2.7");
        let rule = "match from src \"192.0.2.7\" for any action \"out\"";
        assert_eq!(relaying(&site, Some("out")).unwrap().as_deref(), Some(rule));
        assert!(relaying(&site, None).unwrap_err().to_string().contains("relay_action"));
        site.lmtp = tcp("lists.example.net");
        assert!(relaying(&site, Some("out")).unwrap_err().to_string().contains("lmtp_host"));
    }

    #[test]
    fn nobody_hands_mail_over_as_root() {
        let mut site = testing::site();
        site.lmtp = LmtpAddress::Unix("/run/l".into());
        site.user = "root".into();
        assert_eq!(delivery_user(&config(&[]), &site).unwrap(), "nobody");
        site.user = "a b".into();
        assert!(delivery_user(&config(&[]), &site).is_err());
    }

    #[test]
    fn other_delimiters_are_refused() {
        assert!(check_delimiter("-").unwrap_err().to_string().contains("verp_delimiter"));
    }
}
