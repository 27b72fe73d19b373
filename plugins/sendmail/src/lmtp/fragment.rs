//! The file of m4 that `sendmail.mc` includes.
//!
//! Each part goes to its place by the macros of `cf/README` (`LOCAL_CONFIG`, `LOCAL_RULE_0`, `LOCAL_RULESETS`,
//! `MAILER_DEFINITIONS`), so the line that includes the file may be the last one. The rules:
//!
//! - **Ruleset 0** (`LOCAL_RULE_0`) looks up the domain, then the address, then the address with `+*` for its
//!   detail. A list goes to the mailer `postrider`. Anything else in a domain of lists is refused with 550,
//!   unless the domain is the site's own too (class w, class VirtHost, or `shared` in the map), or one of
//!   people behind this gateway (mailertable, class R): then all goes on as if we were not there. Postmaster
//!   is the site's in every domain (RFC 5321, 4.5.1), unless a list has that name. A map that cannot be read is a 451 for every recipient, because nobody can
//!   tell then what is a list. (`-T<TMPF>` makes it so; with `-o` it would be 550.) Senders are not looked up.
//! - **Rcpt_ok** says whether a client may relay to a recipient. Ours runs after Sendmail's own rules (a
//!   ruleset that is begun twice is appended to) and permits what ruleset 0 gave to the mailer `postrider`,
//!   and the local postmaster, so no class R and no access map has to know the domains, and nothing else is ever permitted. It does
//!   not say OK in `Local_check_rcpt` or `Local_Relay_Auth`: with FEATURE(`delay_checks') that would switch
//!   off the checks of the sender.

use super::{
    config::Config,
    destination::{self, Client, Destination},
    tables,
};
use crate::names;
use postrider_plugin_api::sdk::{Result, Site};
use std::fmt::Write;

/// The name of the mailer, and the beginning of the names of the maps.
pub(crate) const MAILER: &str = "postrider";
pub(crate) const DOMAINS_MAP: &str = "postrider_domains";
pub(crate) const ADDRESSES_MAP: &str = "postrider_addresses";

/// # Errors
/// When the table directory or the list server's address cannot be written in Sendmail's configuration.
pub(crate) fn text(config: &Config, site: &Site) -> Result<String> {
    names::check_path("the table directory", &site.table_dir)?;
    tables::check_delimiter(&site.delimiter)?;
    let destination = destination::of(&site.lmtp)?;
    let mut out = String::from(HEAD);
    section(&mut out, "LOCAL_CONFIG", &maps(config, site));
    section(&mut out, "LOCAL_RULE_0", &ruleset_0(site, &destination));
    section(&mut out, "LOCAL_RULESETS", &(rcpt_ok(&destination) + &if_mailertable(ROUTED)));
    section(&mut out, "MAILER_DEFINITIONS", &mailer(&destination));
    Ok(out)
}

const HEAD: &str = "\
dnl Mailing lists of Postrider. Made by `postrider hookup`; include it at the end of sendmail.mc.
ifdef(`_MAILER_smtp_', , `errprint(`postrider.m4: include this file after MAILER(`smtp')
')m4exit(`1')')dnl
";

/// What is pushed and popped is where the text of `sendmail.mc` goes meanwhile.
fn section(out: &mut String, place: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = write!(out, "PUSHDIVERT(-1)\n{place}\n`{text}'POPDIVERT`'dnl\n");
}

fn maps(config: &Config, site: &Site) -> String {
    let (kind, directory) = (config.map_type.name(), site.table_dir.trim_end_matches('/'));
    format!(
        "# Mailing lists: which domains, which addresses\n\
         K{DOMAINS_MAP} {kind} -T<TMPF> {directory}/{domains}\n\
         K{ADDRESSES_MAP} {kind} -T<TMPF> {directory}/{addresses}\n",
        domains = tables::DOMAINS,
        addresses = tables::ADDRESSES,
    )
}

const UNAVAILABLE: &str = "$#error $@ 4.3.0 $: \"451 The tables of the mailing lists cannot be read\"";

/// Lines for a `sendmail.mc` with FEATURE(`mailertable'): elsewhere there is no such map. Double quotes, because m4
/// reads what `ifdef` gives once more.
fn if_mailertable(rules: &str) -> String {
    format!("{CONDITION}{rules}'')`# mailing lists: whatever sendmail.mc has\n")
}

/// How such lines begin.
pub(crate) const CONDITION: &str = "'ifdef(`_MAILER_TABLE_', ``# mailing lists: with a mailertable\n";

/// Has the mailertable this domain (`a.example.com`), or one above it (`.example.com`)?
const ROUTED: &str = "\
SPostrider_routed
R$*				$: $1 $| $( mailertable $1 $: ? $)
R. $- . $+ $| ?			$@ $>Postrider_routed . $2
R$- . $+ $| ?			$@ $>Postrider_routed . $2
R$* $| ?			$@ no
R$*				$@ yes
";

const GATEWAY: &str = "\
R< lists > < ? > $+ < @ $+ . >	$: $1 < @ $2 . > $| $>Postrider_routed $2
R$+ < @ $+ . > $| yes		$: $1 < @ $2 . >
R$+ < @ $+ . > $| no		$: < lists > < ? > $1 < @ $2 . >
";

fn ruleset_0(site: &Site, destination: &Destination) -> String {
    let host = &destination.host;
    let mut text = format!(
        "# mailing lists: < what the domain is > < the list > address\n\
         R$*\t\t\t\t$: $&{{addr_type}} $| $1\n\
         Re s $| $*\t\t\t$@ $1\n\
         R$* $| $*\t\t\t$: $2\n\
         R$+ < @ $+ . >\t\t\t$: < $( {DOMAINS_MAP} $2 $: ? $) > $1 < @ $2 . >\n\
         R$+ < @ $* $~. >\t\t$: < $( {DOMAINS_MAP} $2 $3 $: ? $) > $1 < @ $2 $3 >\n\
         R< ? > $*\t\t\t$: $1\n\
         R< $* <TMPF> > $*\t\t{UNAVAILABLE}\n\
         R< $+ > $+ < @ $* $~. >\t\t$: < $1 > $2 < @ $3 $4 . >\n\
         R< $+ > $+ < @ $+ . >\t\t$: < $1 > < $( {ADDRESSES_MAP} $2 @ $3 $: ? $) > $2 < @ $3 . >\n"
    );
    if !site.delimiter.is_empty() {
        // Only one form fits: the plus sign is a token of its own.
        let _ = writeln!(
            text,
            "R< $+ > < ? > $+ + $* < @ $+ . >\t$: < $1 > < $( {ADDRESSES_MAP} $2 + * @ $4 $: ? $) > $2 + $3 < @ $4 . >"
        );
    }
    let _ = write!(
        text,
        "R< $+ > < $* <TMPF> > $*\t{UNAVAILABLE}\n\
         R< lists > < ? > $+ < @ $=w . >\t$: $1 < @ $2 . >\n\
         R< lists > < ? > $+ < @ $={{VirtHost}} . >\t$: $1 < @ $2 . >\n\
         R< lists > < ? > $+ < @ $=R . >\t$: $1 < @ $2 . >\n\
         {gateway}\
         R< shared > < ? > $*\t\t$: $1\n\
         R< lists > < ? > postmaster < @ $+ . >\t$#local $: postmaster\n\
         R< $+ > < ? > $*\t\t$#error $@ 5.1.1 $: \"550 No such mailing list\"\n\
         R< $+ > < $+ > $+ < @ $+ . >\t$#{MAILER} $@ {host} $: $3 < @ $4 . >\n",
        gateway = if_mailertable(GATEWAY)
    );
    text
}

fn rcpt_ok(destination: &Destination) -> String {
    let mut text = format!(
        "# mailing lists may be relayed to: what Sendmail itself has not decided yet\n\
         SRcpt_ok\n\
         R$*\t\t\t\t$: <{MAILER}> $| $&{{rcpt_mailer}} $| $&{{rcpt_addr}} $| $1\n\
         R<{MAILER}> $| {MAILER} $| $* $| $*\t$@ RELAY\n\
         R<{MAILER}> $| local $| postmaster $| $*\t$@ RELAY\n\
         R<{MAILER}> $| $* $| $* $| $*\t$: $3\n"
    );
    match &destination.client {
        None => {}
        Some(Client::Address(forms)) => {
            text.push_str("# and the list server may relay\n");
            for form in forms {
                let _ = write!(
                    text,
                    "R$*\t\t\t\t$: <{MAILER}> $| $&{{client_addr}} $| $1\n\
                     R<{MAILER}> $| {form} $| $*\t$@ RELAY\n\
                     R<{MAILER}> $| $* $| $*\t\t$: $2\n"
                );
            }
        }
        Some(Client::Name(name)) => {
            let _ = write!(
                text,
                "# and the list server may relay\n\
                 R$*\t\t\t\t$: <{MAILER}> $| $&{{client_resolve}} $| $&{{client_name}} $| $1\n\
                 R<{MAILER}> $| OK $| {name} $| $*\t$@ RELAY\n\
                 R<{MAILER}> $| $* $| $* $| $*\t$: $3\n"
            );
        }
    }
    text
}

/// The flags: `z` LMTP, `m` several recipients at once, `u` and `h` keep the case, `X` dots are stuffed, `k` no
/// look whether the greeting has our own name (the list server may be on this machine), `8` octets stay as
/// they are, `D` `F` `M` add what RFC 5322 wants where it lacks. `L=0`: lines are not broken.
fn mailer(destination: &Destination) -> String {
    format!(
        "# the list server, by LMTP\n\
         M{MAILER},\t\tP=[IPC], F=mDFMuhXzk8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, L=0,\n\
         \t\tT=DNS/RFC822/SMTP,\n\
         \t\tA={}\n",
        destination.arguments
    )
}
