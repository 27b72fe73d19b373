//! The domains: a table for the superuser's program, and the program itself.
//!
//! `virtualdomains` and `rcpthosts` are root's, so Postrider never writes them. It writes the domains into
//! `qmail_domains`, and `control.sh` (installed by `postrider hookup`) takes them from there.

use crate::{
    facts,
    settings::{Config, Recipients},
    snippets::quoted,
};
use postrider_plugin_api::sdk::{
    Change, Command, Context, Phase, PlanSink, Privilege, Result, Roster, Row, Site, Table, TableFormat, TableRole,
};
use std::collections::BTreeSet;

/// The table of domains.
pub(crate) const DOMAINS: &str = "qmail_domains";

pub(crate) fn plan(config: &Config, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    // A list may be new together with its domain; a domain that loses its last list is one still.
    if matches!(change, Change::ListRemoved(_)) {
        return Ok(());
    }
    let comment = format!(
        "The domains of the lists, and what qmail puts before their addresses.\n\
         {} brings virtualdomains and rcpthosts into step with this.",
        config.control_command
    );
    // Accepting a domain's mail comes after the .qmail files, and goes before them.
    sink.table(&Table::new(DOMAINS, TableFormat::Text, TableRole::Acceptance).with_comment(comment))?;
    let domains = domains(context.roster)?;
    let rows: Vec<Row<'_>> = domains.iter().map(|domain| Row::new(domain, &config.prefix).with_column(40)).collect();
    sink.rows(&rows)?;
    // A qmail that is not hooked up need not be told; the last step of hooking it up does that.
    if facts::has_control_command(context.facts) {
        sink.command(&command(config))?;
    }
    Ok(())
}

/// Each domain that qmail is to hand over, once, sorted.
pub(crate) fn domains(roster: &dyn Roster) -> Result<BTreeSet<String>> {
    let mut domains = BTreeSet::new();
    roster.for_each_domain(&mut |domain| {
        domains.insert(domain.routed().to_owned());
        Ok(())
    })?;
    Ok(domains)
}

fn command(config: &Config) -> Command {
    Command::new(
        Phase::Activate,
        [&config.control_command],
        "so that qmail takes mail for the domain (virtualdomains, rcpthosts, HUP of qmail-send)",
    )
    .for_table(DOMAINS)
    .with_privilege(Privilege::Root)
}

/// The superuser's program, with this site's values.
pub(crate) fn program(config: &Config, site: &Site) -> String {
    let home = config.home(site);
    let must_be_there = match config.recipients {
        Recipients::Default => format!("{}/{}", home, crate::dot_qmail::DEFAULT),
        Recipients::PerList => home,
    };
    include_str!("control.sh")
        .replace("@DOMAINS@", &quoted(&format!("{}/{}", site.table_dir.trim_end_matches('/'), DOMAINS)))
        .replace("@CONTROL@", &quoted(&format!("{}/control", config.qmail_home)))
        .replace("@PREFIX@", &config.prefix)
        .replace("@NEEDED@", &quoted(&must_be_there))
        .replace("@RELOAD@", &config.reload_command)
}

#[cfg(test)]
mod tests;
