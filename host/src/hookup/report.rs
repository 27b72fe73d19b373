//! What a publication did, for the administrator.

use super::command;
use postrider_plugin_api::sdk::Command;
use std::fmt;
use std::time::Duration;

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every table of the plan.
    pub tables: Vec<TableReport>,
    /// Files (not tables) that were written or removed, relative to the table directory.
    pub files: Vec<String>,
    /// Activation commands that ran and succeeded.
    pub ran: Vec<String>,
    /// Commands that could not run here, or that ran and failed but were only advised.
    pub by_hand: Vec<ByHand>,
    /// How long we waited for the MTA to notice something by itself.
    pub settled: Duration,
    /// An earlier run was killed; this one did its work again.
    pub recovered: bool,
    /// If set, the later tables are not published and the generation is not applied.
    pub waiting: Option<Waiting>,
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Relative to the table directory.
    pub path: String,
    /// How many rows the plan has of it: all, or those that the change touches.
    pub rows: usize,
    /// What was done.
    pub outcome: TableOutcome,
}

/// What was done to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableOutcome {
    /// Nothing.
    Unchanged,
    /// Published.
    Published {
        /// Rows with new keys.
        added: usize,
        /// Rows with new values.
        changed: usize,
        /// Rows that are gone.
        removed: usize,
    },
    /// It is to be changed, but something else must happen first ([`Report::waiting`]).
    Held,
}

/// A command for the administrator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ByHand {
    /// As it is to be typed.
    pub command: String,
    /// What it is good for.
    pub reason: String,
    /// Whether the MTA does not see the change without it.
    pub required: bool,
    /// Within this time the MTA notices by itself.
    pub settle: Option<Duration>,
    /// Why it did not run here.
    pub obstacle: String,
    /// Whether its program is on this host, and with it the MTA, as far as anybody can tell.
    pub is_here: bool,
}

impl ByHand {
    /// Whether the MTA does not see the change, or not everywhere, until somebody runs this. What is only
    /// advised counts where the MTA is: Postfix knows a new domain in an `SQLite` table at once, but not in
    /// the processes that were asked for it before.
    pub fn leaves_mta_behind(&self) -> bool {
        self.settle.is_none() && (self.required || self.is_here)
    }
}

/// The rest of the plan waits for a command that only the administrator can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// As it is to be typed.
    pub command: String,
    /// What it is good for.
    pub reason: String,
    /// How the plan is then carried on.
    pub how_to_go_on: String,
}

impl Waiting {
    pub(crate) fn for_command(command: &Command) -> Self {
        Waiting {
            command: command::shown(command, None),
            reason: command.reason.clone(),
            how_to_go_on: "`postrider aliases --activated`".to_owned(),
        }
    }
}

impl Report {
    /// Whether anything was published.
    pub fn changed(&self) -> bool {
        !self.files.is_empty()
            || self.tables.iter().any(|table| matches!(table.outcome, TableOutcome::Published { .. }))
    }

    pub(crate) fn add_by_hand(&mut self, commands: Vec<ByHand>) {
        for command in commands {
            if !self.by_hand.contains(&command) {
                self.by_hand.push(command);
            }
        }
    }
}

impl fmt::Display for TableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match self.outcome {
            TableOutcome::Unchanged => f.write_str("unchanged"),
            TableOutcome::Held => f.write_str("held back"),
            TableOutcome::Published { added: 0, changed: 0, removed: 0 } => f.write_str("written again"),
            TableOutcome::Published { added, changed, removed } => {
                let mut separator = "";
                for (sign, count) in [('+', added), ('~', changed), ('-', removed)] {
                    if count > 0 {
                        write!(f, "{separator}{sign}{count}")?;
                        separator = " ";
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.required { "run" } else { "you may run" };
        write!(f, "{verb} `{}`", self.command)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        if let Some(settle) = self.settle.filter(|settle| !settle.is_zero()) {
            write!(f, " (without it: within {} seconds)", settle.as_secs_f64().ceil())?;
        }
        write!(f, "; it was not run because {}", self.obstacle)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not effective yet: run `{}`", self.command)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        write!(f, ", then {}", self.how_to_go_on)
    }
}

impl fmt::Display for Report {
    /// One line each, without a last newline; nothing for an empty plan.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        if self.recovered {
            lines.push("an earlier run was interrupted; its work was done again".to_owned());
        }
        lines.extend(self.tables.iter().map(ToString::to_string));
        lines.extend(self.files.iter().map(|file| format!("{file}: changed")));
        lines.extend(self.ran.iter().map(|command| format!("ran `{command}`")));
        if !self.settled.is_zero() {
            lines.push(format!("waited {:.1} seconds until the MTA noticed", self.settled.as_secs_f64()));
        }
        let said_below = |one: &ByHand| self.waiting.as_ref().is_some_and(|waiting| waiting.command == one.command);
        lines.extend(self.by_hand.iter().filter(|one| !said_below(one)).map(ToString::to_string));
        lines.extend(self.waiting.iter().map(ToString::to_string));
        f.write_str(&lines.join("\n"))
    }
}
