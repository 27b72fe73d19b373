//! The whole way from plan to disk, with a fake adapter and a fake compiler.

mod changes;
mod commands;
mod directories;
mod fake_store;
mod generations;
mod guards;
mod killed;
mod rosters;
mod tables;

use super::Report;
use super::error::HookupError;
use super::front::Options;
use super::generation::Outcome;
use super::testing::{Activation, Lab, compiled, directory, in_place, marked_directory, roster};
use postrider_plugin_api::sdk::{Need, Privilege, TableFormat};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const EVERY_FORMAT: fn() -> [TableFormat; 6] =
    || [TableFormat::Text, compiled(), in_place(), TableFormat::Sqlite, directory(), marked_directory()];

fn apply(lab: &Lab, lists: &[&str]) -> Result<Report, HookupError> {
    lab.hookup.apply(&roster(lists), Options::default())
}

fn required(argv: Vec<String>, tables: &[&'static str]) -> Activation {
    Activation { argv, need: Need::Required, privilege: Privilege::Owner, settle: None, tables: tables.to_vec() }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

/// What was done; something was to be done.
fn published(outcome: Result<Outcome, HookupError>) -> Report {
    match outcome.expect("published") {
        Outcome::Done(report) => report,
        Outcome::AlreadyApplied(_) => panic!("nothing was to be done"),
    }
}
