//! Activations: the commands that make the MTA see what was published.
//!
//! A command that may not run here (it needs the superuser, or its program is not installed) is not
//! a failure. If the MTA notices by itself after some time, we wait that long before the next table;
//! if it never does, the later tables are not published before the administrator says that it is done.

use super::command;
use super::error::HookupError;
use super::publish::Publication;
use super::report::{ByHand, Waiting};
use super::schedule::{Item, Version};
use super::undo::Undo;
use postrider_plugin_api::sdk::{Command, Need, Phase, Privilege};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// An activation that did not run here.
pub(super) struct Owed {
    pub(super) command: usize,
    /// When the MTA has noticed by itself; `None`: never.
    pub(super) settled: Option<Instant>,
}

impl Publication<'_> {
    /// The activations that are due when item `at` of a pass is published.
    pub(super) fn due_after(&self, items: &[Item], at: usize) -> Vec<usize> {
        let belongs = |command: &Command, item: &Item| match item {
            Item::Table(number, _) => command.tables.iter().any(|name| name == self.tables[*number].name()),
            _ => false,
        };
        let due = |command: &Command| {
            command.phase == Phase::Activate
                && belongs(command, &items[at])
                && !items[at + 1..].iter().any(|item| belongs(command, item))
        };
        (0..self.plan.commands.len()).filter(|number| due(&self.plan.commands[*number])).collect()
    }

    pub(super) fn activate(&mut self, number: usize) -> Result<(), HookupError> {
        let command = &self.plan.commands[number];
        self.owed.retain(|owed| owed.command != number);
        let obstacle = if command.privilege == Privilege::Root && !self.superuser {
            "it needs the superuser".to_owned()
        } else {
            match command::run(command, None, "") {
                Ok(()) => {
                    self.report.ran.push(command::shown(command, None));
                    self.undo.push(Undo::Activation(number));
                    return self.steps.done("activated", Path::new(&command.argv[0]));
                }
                Err(failure) if failure.program_is_missing() => format!("there is no {} here", command.argv[0]),
                Err(failure) if command.need == Need::Advised => failure.to_string(),
                Err(failure) => {
                    self.undo.push(Undo::Activation(number));
                    return Err(HookupError::Command(failure));
                }
            }
        };
        let settled = command.settle.map(|settle| Instant::now() + settle);
        if settled.is_some() || command.need == Need::Required {
            self.owed.push(Owed { command: number, settled });
        }
        let by_hand = ByHand {
            command: command::shown(command, None),
            reason: command.reason.clone(),
            required: command.need == Need::Required,
            settle: command.settle,
            obstacle,
            is_here: Path::new(&command.argv[0]).exists(),
        };
        if !self.report.by_hand.contains(&by_hand) {
            self.report.by_hand.push(by_hand);
        }
        Ok(())
    }

    /// Before an item is published: earlier tables must have been noticed by the MTA, be it by waiting.
    /// An item whose own activation is outstanding need not wait: the same command serves both.
    pub(super) fn await_activations(&mut self, next: Item) -> Option<Waiting> {
        if matches!(next, Item::Table(_, Version::AsIs)) {
            return None;
        }
        let mut until: Option<Instant> = None;
        for owed in &self.owed {
            let command = &self.plan.commands[owed.command];
            if let Item::Table(number, _) = next
                && command.tables.iter().any(|name| name == self.tables[number].name())
            {
                continue;
            }
            let Some(settled) = owed.settled else {
                return Some(Waiting::for_command(command));
            };
            until = until.max(Some(settled));
        }
        if let Some(left) = until.map(|until| until.saturating_duration_since(Instant::now()))
            && !left.is_zero()
        {
            tracing::info!(seconds = left.as_secs_f64(), "waiting until the MTA has noticed the published tables");
            thread::sleep(left);
            self.report.settled += left;
        }
        None
    }

    pub(super) fn awaiting_administrator(&self) -> Vec<String> {
        let outstanding = self.owed.iter().filter(|owed| owed.settled.is_none());
        let mut tables: Vec<String> =
            outstanding.flat_map(|owed| self.plan.commands[owed.command].tables.iter().cloned()).collect();
        tables.sort();
        tables.dedup();
        tables
    }
}
