//! Plans the `.qmail` files.

use crate::{
    dot_qmail,
    settings::{Config, Recipients},
};
use postrider_plugin_api::sdk::{
    for_each_address, Change, Context, Extent, Guard, ListView, PlanSink, Result, Roster, Row, Table, TableFormat,
    TableRole,
};
use std::collections::BTreeSet;

/// So many rows are handed over at once.
const BATCH: usize = 1024;

/// A home that is sticky tells qmail to leave it alone (dot-qmail(5), "safe qmail editing").
const STICKY: u32 = 0o1000;

pub(crate) fn plan(config: &Config, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    match (config.recipients, change) {
        // A domain's files are those of its lists, which come and go with changes of their own.
        (_, Change::DomainAdded(_)) | (_, Change::DomainRemoved(_)) => Ok(()),
        // The one file depends on no list.
        (Recipients::Default, Change::ListAdded(_)) | (Recipients::Default, Change::ListRemoved(_)) => Ok(()),
        (Recipients::Default, _) => {
            let instruction = dot_qmail::instruction(config, context.site);
            begin(config, Extent::Whole, sink)?;
            sink.rows(&[Row::new(dot_qmail::DEFAULT, &instruction)])
        }
        (Recipients::PerList, Change::ListAdded(list)) | (Recipients::PerList, Change::ListRemoved(list)) => {
            changed(config, context, list, sink)
        }
        (Recipients::PerList, _) => all(config, context, sink),
    }
}

fn begin(config: &Config, extent: Extent, sink: &mut dyn PlanSink) -> Result<()> {
    let home = config.planned_home();
    sink.guard(&Guard::new(home, STICKY))?;
    sink.table(
        &Table::new(home, TableFormat::Directory { mark: dot_qmail::MARK.into() }, TableRole::Routing)
            .with_extent(extent),
    )
}

/// Every file, each once however many lists need it.
fn all(config: &Config, context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let mut names = BTreeSet::new();
    for_each_address(context.site, context.roster, &mut |address| {
        if address.subaddress.is_none() {
            names.extend(dot_qmail::names(address.local));
        }
        Ok(())
    })?;
    let instruction = dot_qmail::instruction(config, context.site);
    begin(config, Extent::Whole, sink)?;
    let rows: Vec<Row<'_>> = names.iter().map(|key| Row::new(key, &instruction)).collect();
    rows.chunks(BATCH).try_for_each(|rows| sink.rows(rows))
}

/// The files that this list has, or had.
fn changed(config: &Config, context: Context<'_>, list: ListView<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let instruction = dot_qmail::instruction(config, context.site);
    begin(config, Extent::Changes, sink)?;
    let [posting, default] = dot_qmail::names(list.local);
    for (name, local) in [(posting, list.local.to_owned()), (default, format!("{}-default", list.local))] {
        if is_needed(&local, context.roster)? {
            sink.rows(&[Row::new(&name, &instruction)])?;
        } else {
            sink.absent(&[&name])?;
        }
    }
    Ok(())
}

/// Whether any list in any domain needs the file that is named after this local part.
fn is_needed(local: &str, roster: &dyn Roster) -> Result<bool> {
    let mut needed = false;
    roster.for_each_domain(&mut |domain| {
        for list in dot_qmail::needed_by(local) {
            needed = needed || roster.is_list(list, domain.name)?;
        }
        Ok(())
    })?;
    Ok(needed)
}

#[cfg(test)]
mod tests;
