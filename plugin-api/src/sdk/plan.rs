//! What an adapter wants done: tables, files, removals and commands, as data.
//!
//! The host stages everything, runs checks and compilers on the staged files, publishes in an
//! order in which no address is answered with a permanent failure meanwhile, and undoes
//! everything when a step fails.
//!
//! Rules for all paths of a plan: no empty part, no `.` or `..`, no control characters, at most 200 octets a part, each
//! named once, none of the host's own (`postrider.*`, `.postrider*`, `spool*` at the top of the directory).

use super::{DomainView, ListView, Result};
use std::time::Duration;

/// What happened to the lists since the adapter was last asked.
///
/// An adapter may always plan everything; the change only allows it to save work. Of changes that came together each is
/// planned alone, by a call of its own; the roster is that after all of them (if others come meanwhile, a newer one), and the
/// plans may be published as one. So a plan says what is true now of the list or domain that it is told of, and never guesses
/// what was there before: the only list of a domain need not be its first one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Change<'a> {
    /// Anything may have changed: plan everything.
    Everything,
    /// This list is new, and maybe its domain too. It is in the roster.
    ListAdded(ListView<'a>),
    /// This list is gone; it is no longer in the roster.
    ListRemoved(ListView<'a>),
    /// This domain is new. It is in the roster.
    DomainAdded(DomainView<'a>),
    /// This domain is gone; it is no longer in the roster.
    DomainRemoved(DomainView<'a>),
}

/// How a table is stored, and with that, how it must be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TableFormat {
    /// A text file, published by rename.
    Text,
    /// A text file and a compiled file beside it (`PATH` + suffix, for instance `.db`); compiled
    /// from a staged copy, then both are renamed.
    CompiledRename {
        /// What the compiler appends to the file name, with its dot; at most 32 octets.
        suffix: String,
    },
    /// A text file and a compiled file that running daemons hold open and that therefore must
    /// never be replaced by another inode (`.lmdb`): compiled on trial from a staged copy, then
    /// compiled in place.
    CompiledInPlace {
        /// What the compiler appends to the file name, with its dot.
        suffix: String,
    },
    /// A directory with one file for each row: the key is its name, the value its contents (it may have
    /// several lines; a last line end is added if there is none). Files are replaced by rename.
    Directory {
        /// The first line of every file, which says whose it is, for instance
        /// `# made by Postrider, do not edit`. Files of the directory that do not begin with it are
        /// somebody else's: they are left alone, and it is an error if a row would replace one. One line, at most 200
        /// octets. Empty: the directory and all that is in it belong to the host.
        mark: String,
    },
    /// An SQLite database `PATH` with the table `map(key TEXT PRIMARY KEY COLLATE NOCASE, value
    /// TEXT NOT NULL)`, written by the host in place, in one transaction.
    Sqlite,
}

/// What a table is for. It decides the order of publication: when an address is added, routing
/// first and acceptance last; when it is removed, the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TableRole {
    /// Where mail for a domain or an address goes.
    Routing,
    /// Rewriting of addresses, for instance from an alias domain.
    Rewriting,
    /// For which domains mail is accepted.
    Domains,
    /// Which addresses are accepted.
    Acceptance,
}

/// Which rows of a table a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Extent {
    /// All of them: what else is in the table goes.
    Whole,
    /// Those that a [`Change`] may have touched: rows to be there ([`PlanSink::rows`]) and keys not to
    /// be there ([`PlanSink::absent`]); all others stay as they are. Only for the formats
    /// [`TableFormat::Sqlite`] and [`TableFormat::Directory`], and never for [`Change::Everything`].
    Changes,
}

/// A table to be generated.
///
/// For a [`Change`] other than `Everything` a plan may leave out tables that stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Table {
    /// The file or directory, relative to [`Site::table_dir`](super::Site::table_dir), no `..`; or an
    /// absolute path that is, or is inside, the value of a setting of the kind
    /// [`SettingKind::OutputDirectory`](super::SettingKind::OutputDirectory).
    pub path: String,
    /// Which rows follow.
    pub extent: Extent,
    /// How it is stored.
    pub format: TableFormat,
    /// What it is for.
    pub role: TableRole,
    /// Comment lines for the head of a text file, separated by LF, without `#`.
    pub comment: String,
}

impl Table {
    /// A table that is planned as a whole.
    pub fn new(path: impl Into<String>, format: TableFormat, role: TableRole) -> Self {
        Table { path: path.into(), extent: Extent::Whole, format, role, comment: String::new() }
    }

    /// Says which rows follow.
    #[must_use]
    pub fn with_extent(mut self, extent: Extent) -> Self {
        self.extent = extent;
        self
    }

    /// Adds comment lines for the head of a text file, without `#`.
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = comment.into();
        self
    }
}

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row<'a> {
    /// The key, as the MTA looks it up: at most 4096 octets, no control characters; in text files no blanks and no `#` in
    /// front; in directories the name of a file. Keys of one table must differ, where the MTA folds case also without
    /// regard to it.
    pub key: &'a str,
    /// The value: at most 32 KiB, no control characters but LF in the files of a directory; in text files no blanks at
    /// either end and no `#` in front.
    pub value: &'a str,
    /// In a text file, the column (from 0) in which the value starts, for the reader's eye. At
    /// least one blank is always written. No other effect.
    pub column: u16,
}

impl<'a> Row<'a> {
    /// A row, its value one blank behind the key.
    pub const fn new(key: &'a str, value: &'a str) -> Self {
        Row { key, value, column: 0 }
    }

    /// Says in which column of a text file the value starts.
    #[must_use]
    pub fn with_column(mut self, column: u16) -> Self {
        self.column = column;
        self
    }
}

/// When a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Phase {
    /// On the staged files, before anything is published. Failure changes nothing.
    Check,
    /// Makes the compiled form of a table from its staged text. Failure changes nothing.
    Compile,
    /// After publication: reload, `newaliases`, a site's own command. Failure brings the previous
    /// files back.
    Activate,
}

/// What a command reads from its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CommandInput {
    /// Nothing.
    Nothing,
    /// The (staged) text file of its table; only in the phases `Check` and `Compile`.
    Table,
}

/// Whether a command must run for the plan to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Need {
    /// Without it the change is not (wholly) seen by the MTA.
    Required,
    /// Without it the change takes effect too, only later.
    Advised,
}

/// Whose rights a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Privilege {
    /// The user that owns the host's data.
    Owner,
    /// The superuser. When the host is not the superuser the command is printed instead.
    Root,
}

/// A program to be run by the host: no shell, a clean environment (`PATH`, `LC_ALL=C`), working directory `/`, a time limit
/// of some minutes. It succeeds with the exit status 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Command {
    /// When it runs.
    pub phase: Phase,
    /// Program (absolute path, the value of a setting of the kind
    /// [`SettingKind::Program`](super::SettingKind::Program)) and arguments. In phases `Check` and `Compile` the text `{file}`
    /// inside an argument stands for the (staged) file of the table that the command belongs to; with
    /// [`CommandInput::Table`] it need not be there.
    pub argv: Vec<String>,
    /// What it reads from its standard input.
    pub stdin: CommandInput,
    /// Paths ([`Table::path`]) of the tables that it belongs to. `Check` and `Compile` run once
    /// for each of them that changes. `Activate` runs once, right after the last of them is
    /// published and before any later table is, and only if the contents of one of them changed.
    /// Empty with `Activate`: after everything, if anything changed.
    pub tables: Vec<String>,
    /// Must it run?
    pub need: Need,
    /// Whose rights does it need? Only `Activate` can need the superuser's.
    pub privilege: Privilege,
    /// If the command cannot be run here: how long the MTA needs to notice the published
    /// tables by itself. The host then waits that long before it publishes later tables.
    /// `None`: it never notices by itself. Counted in milliseconds.
    pub settle: Option<Duration>,
    /// Why, in a few words, shown to the administrator: `so that Postfix reads the new table`.
    pub reason: String,
}

impl Command {
    /// A command that must run, with the owner's rights, and reads nothing. `reason` is shown to the
    /// administrator: `so that Postfix reads the new table`.
    pub fn new<I>(phase: Phase, argv: I, reason: impl Into<String>) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Command {
            phase,
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: CommandInput::Nothing,
            tables: Vec::new(),
            need: Need::Required,
            privilege: Privilege::Owner,
            settle: None,
            reason: reason.into(),
        }
    }

    /// Adds a table that it belongs to.
    #[must_use]
    pub fn for_table(mut self, table: impl Into<String>) -> Self {
        self.tables.push(table.into());
        self
    }

    /// Adds tables that it belongs to.
    #[must_use]
    pub fn for_tables<I>(mut self, tables: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.tables.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Says what it reads.
    #[must_use]
    pub fn with_stdin(mut self, stdin: CommandInput) -> Self {
        self.stdin = stdin;
        self
    }

    /// Says whether it must run.
    #[must_use]
    pub fn with_need(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    /// Says whose rights it needs.
    #[must_use]
    pub fn with_privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// Says how long the MTA needs to notice by itself.
    #[must_use]
    pub fn with_settle(mut self, settle: Duration) -> Self {
        self.settle = Some(settle);
        self
    }
}

/// Permission bits that a directory has while the files of a plan change, and loses afterwards, however
/// the change ends: it tells an MTA to leave alone what it would read there.
///
/// qmail defers mail for a user whose home directory is sticky (dot-qmail(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Guard {
    /// The directory; the same rules as for [`Table::path`].
    pub path: String,
    /// The bits, for instance `0o1000`; only those of `0o7000`, at least one.
    pub mode: u32,
}

impl Guard {
    /// These bits for this directory.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Guard { path: path.into(), mode }
    }
}

/// Where a plan goes. The host implements this.
///
/// # Errors
/// Each method fails when the plan breaks a rule (path outside the directory, table not begun, program not declared,
/// more than 100 tables, more than 512 MiB in one); pass that error on. The first one sticks: whatever comes after it
/// fails too, and nothing of the plan is carried out.
pub trait PlanSink {
    /// Begins a table; the rows that follow belong to it.
    fn table(&mut self, table: &Table) -> Result<()>;
    /// Adds rows to the table that was begun last.
    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()>;
    /// Says which keys must not be in the table that was begun last, which has [`Extent::Changes`].
    fn absent(&mut self, keys: &[&str]) -> Result<()>;
    /// Wants a directory guarded while anything in it changes.
    fn guard(&mut self, guard: &Guard) -> Result<()>;
    /// Wants this file with exactly these contents, at most 16 MiB. `path` as for [`Table::path`]; `mode` are its
    /// permission bits, `0o400` to `0o775` without `0o002`.
    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()>;
    /// Wants this file (of an earlier plan) gone. One that is not there is no error.
    fn remove(&mut self, path: &str) -> Result<()>;
    /// Wants this program run.
    fn command(&mut self, command: &Command) -> Result<()>;
}
