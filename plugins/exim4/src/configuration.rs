//! What goes into Exim's configuration: one block for each of its sections.

use crate::{
    destination, facts,
    lookup::{self, Lists},
    settings::{Config, Layout},
};
use postrider_plugin_api::sdk::{Context, Error, Result, Site};

/// The section of Exim's configuration file that a block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Main,
    Acl,
    Router,
    Transport,
    Retry,
}

impl Section {
    /// The name of the block's file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Section::Main => "main",
            Section::Acl => "acl",
            Section::Router => "router",
            Section::Transport => "transport",
            Section::Retry => "retry",
        }
    }

    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Section::Main => "The domains of lists, which become domains of this Exim.",
            Section::Acl => "Exim asks the list server whether an address exists before it accepts mail for it.",
            Section::Router => {
                "Addresses of lists go to the list server; all others in domains that have nothing but lists are refused."
            }
            Section::Transport => "The way to the list server: LMTP (RFC 2033).",
            Section::Retry => "How often Exim tries again when the list server is away.",
        }
    }
}

/// The directory, in that of Exim's configuration, for the files of the blocks.
pub(crate) const DIRECTORY: &str = "postrider";
/// The first line of each block, and with it the mark by which blocks are found again.
pub(crate) const BEGIN: &str = "# begin Postrider";
/// The last line of each block.
pub(crate) const END: &str = "# end Postrider";

/// All blocks of this site, in the order of Exim's sections.
pub(crate) fn blocks(config: &Config, context: Context<'_>) -> Result<Vec<(Section, String)>> {
    let site = context.site;
    let layout = facts::layout(config, context.facts);
    let lists = Lists::of(config, site, context.facts)?;
    let mut blocks = vec![(Section::Main, main(config, layout, lists.is_none(), context)?)];
    let router = match &lists {
        Some(lists) => routers(lists, site)?,
        None => {
            if let postrider_plugin_api::sdk::LmtpAddress::Unix(path) = &site.lmtp {
                return Err(Error::setting(format!("recipients: callout: Exim cannot ask at a Unix socket ({path})"))
                    .with_hint(
                        "let the list server listen at a TCP port (lmtp_host, lmtp_port), or use recipients: directory",
                    ));
            }
            blocks.push((Section::Acl, callout(layout, config)));
            router_by_domain()
        }
    };
    blocks.push((Section::Router, router));
    blocks.push((Section::Transport, destination::transport(site)?));
    blocks.push((Section::Retry, RETRY.into()));
    for (section, text) in &mut blocks {
        *text = format!("{BEGIN}: {}\n# {}\n{text}{END}\n", section.name(), section.purpose());
    }
    Ok(blocks)
}

fn main(config: &Config, layout: Layout, by_callout: bool, context: Context<'_>) -> Result<String> {
    let site = context.site;
    let mut text = format!(
        "# A file for each domain, looked for each time: new ones need no change here and no restart.\n\
         domainlist postrider_domains = {}\n\
         # Domains for which this Exim relays have their people on other hosts: only their lists are ours.\n\
         domainlist postrider_local_domains = ! +{relayed} : +postrider_domains\n\
         # Domains that have nothing but lists.\n\
         domainlist postrider_own_domains = ! +postrider_site_domains : +postrider_local_domains\n",
        lookup::domains(site, context.facts)?,
        relayed = config.relay_domains(layout),
    );
    let relay = destination::other_host(site)?.map(|host| {
        // An IPv6 address has colons, which separate the items of a list.
        let (mark, between) = if host.contains(':') { ("<; ", ';') } else { ("", ':') };
        format!("{mark}+postrider_site_relays {between} {host}")
    });
    if layout == Layout::Plain {
        text.push_str(&format!(
            "# The list that was called {name} is called postrider_site_domains now.\n\
             domainlist {name} = +postrider_site_domains : +postrider_local_domains\n",
            name = config.local_domains
        ));
        if let Some(relay) = relay {
            text.push_str(&format!(
                "# The list server may send mail to everybody.\nhostlist {} = {relay}\n",
                config.relay_hosts
            ));
        }
        return Ok(text);
    }
    text.push_str(
        "# update-exim4.conf writes the site's values after a line that begins so; what the site has\n\
         # set itself wins over them, as ever.\n\
         UPEX4CmacrosUPEX4C_postrider = 1\n\
         domainlist postrider_site_domains = MAIN_LOCAL_DOMAINS\n\
         MAIN_LOCAL_DOMAINS == +postrider_site_domains : +postrider_local_domains\n",
    );
    if let Some(relay) = relay {
        text.push_str(&format!(
            "# The list server may send mail to everybody.\n\
             hostlist postrider_site_relays = MAIN_RELAY_NETS\nMAIN_RELAY_NETS == {relay}\n"
        ));
    }
    if by_callout {
        text.push_str(&format!(
            "# Debian's hook for conditions of the site's own, which are kept.\n\
             .ifdef CHECK_RCPT_LOCAL_ACL_FILE\n\
             POSTRIDER_SITE_ACL_FILE = CHECK_RCPT_LOCAL_ACL_FILE\n\
             CHECK_RCPT_LOCAL_ACL_FILE == {file}\n\
             .else\n\
             CHECK_RCPT_LOCAL_ACL_FILE = {file}\n\
             .endif\n",
            file = acl_file(config),
        ));
    }
    Ok(text)
}

/// Debian's ACL includes a file by its name.
pub(crate) fn acl_file(config: &Config) -> String {
    format!("{}/{DIRECTORY}/{}", config.config_directory, Section::Acl.name())
}

fn routers(lists: &Lists, site: &Site) -> Result<String> {
    let detail = Detail::of(&site.delimiter)?;
    Ok(format!(
        "postrider_list:
  driver = accept
  domains = +postrider_domains
  local_parts = ! ^.*/
  address_data = {posting}
  transport = postrider_lmtp

# An address that is a list of its own has come by above and is nobody's sub-address.
postrider_subaddress:
  driver = accept
  domains = +postrider_domains
  local_part_suffix = {suffixes}
  local_parts = ! ^.*/
  address_data = {posting}
  condition = {not_a_list}
  transport = postrider_lmtp

{UNKNOWN}",
        posting = lists.find("$local_part@$domain"),
        suffixes = suffixes(site, &detail),
        not_a_list = lists.is_absent(&format!("$local_part{}@$domain", detail.suffix_without())),
    ))
}

/// For domains that have nothing but lists; postmaster (RFC 5321 section 4.5.1) is for the site's routers.
///
/// What was accepted before a list went away is for the list server to answer: only it knows whether the
/// list was still there.
const UNKNOWN: &str = "# What has been accepted is delivered even if the list has gone meanwhile.
postrider_accepted:
  driver = accept
  domains = +postrider_own_domains
  local_parts = ! postmaster
  no_verify
  no_address_test
  transport = postrider_lmtp

postrider_unknown:
  driver = redirect
  domains = +postrider_own_domains
  local_parts = ! postmaster
  allow_fail
  data = :fail: No such list here
";

fn router_by_domain() -> String {
    "# The list server says which addresses exist; so domains with mailboxes cannot have lists too.
postrider_list:
  driver = accept
  domains = +postrider_own_domains
  local_parts = ! postmaster
  transport = postrider_lmtp
"
    .into()
}

/// Without a cache: an address that does not exist may do so a moment later.
fn callout(layout: Layout, config: &Config) -> String {
    let strangers = if layout == Layout::Plain {
        format!("    ! hosts = +{}\n    ! authenticated = *\n", config.relay_hosts)
    } else {
        String::new()
    };
    let site = if layout == Layout::Plain {
        ""
    } else {
        ".ifdef POSTRIDER_SITE_ACL_FILE\n.include POSTRIDER_SITE_ACL_FILE\n.endif\n"
    };
    format!(
        "  deny
{strangers}    domains = +postrider_own_domains
    local_parts = ! postmaster
    ! verify = recipient/callout=30s,no_cache
    message = No such list here
{site}"
    )
}

/// The first rule that matches counts, so this one stands before the site's.
/// Other hosts, to which the site relays, are left to its rules.
const RETRY: &str = "*@+postrider_local_domains  *  F,5d,1m\n";

/// What may follow a sub-address.
struct Detail {
    delimiters: Vec<char>,
}

impl Detail {
    fn of(delimiter: &str) -> Result<Detail> {
        let delimiters: Vec<char> = delimiter.chars().collect();
        match delimiters.iter().find(|c| !"+=#~^&".contains(**c)) {
            Some(c) => {
                Err(Error::setting(format!("verp_delimiter: `{c}` cannot separate a detail in Exim's configuration"))
                    .with_hint("use +"))
            }
            None => Ok(Detail { delimiters }),
        }
    }

    /// The suffix without the detail, in Exim's string expansion.
    fn suffix_without(&self) -> String {
        if self.delimiters.is_empty() {
            return "$local_part_suffix".into();
        }
        let class: String = self.delimiters.iter().map(|c| format!("\\{c}")).collect();
        format!("${{sg {{$local_part_suffix}} {{\\N[{class}].*\\N}} {{}}}}")
    }
}

/// The sub-addresses, those with a detail first: Exim takes the first that fits.
fn suffixes(site: &Site, detail: &Detail) -> String {
    let with_detail = site.subaddresses.iter().filter(|one| one.detail);
    let with_detail = with_detail.flat_map(|one| detail.delimiters.iter().map(move |c| format!("-{}{c}*", one.name)));
    with_detail.chain(site.subaddresses.iter().map(|one| format!("-{}", one.name))).collect::<Vec<_>>().join(" : ")
}
