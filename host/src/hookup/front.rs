//! What commands and the daemon call.
//!
//! All of it blocks (disk, programs, at worst minutes); asynchronous callers use
//! `spawn_blocking`, as [`bring_up_to_date`](super::bring_up_to_date) does.

use super::assess::{self, Assessed};
use super::collect::{Collector, Plan};
use super::command;
use super::diff;
use super::error::HookupError;
use super::lock::Lock;
use super::marker::{Marker, Unfinished, was_interrupted};
use super::outputs::Outputs;
use super::programs::Programs;
use super::publish::Publication;
use super::published::{self, LeftByHand, Published};
use super::render;
use super::report::{ByHand, Report, Waiting};
use super::roster::{OwnedChange, Roster};
use super::schedule::{Extra, schedule};
use super::signals::Uninterrupted;
use super::steps::{Observer, Steps};
use super::together;
use super::tools::HostTools;
use crate::cli::privileges::check_output;
use crate::clock::unix_now;
use crate::lists::RosterChange;
use crate::plugins::{ANSWER, Watch};
use crate::store::Generation;
use postrider_plugin_api::sdk::{
    Context, Error, ErrorKind, Facts, Finding, IncomingAdapter, Phase, Result as AdapterResult, SettingSpec, Settings,
    Site, Snippet, TableFormat,
};
use sha1::{Digest, Sha1};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long we wait for another run: longer than any healthy one takes.
const PATIENCE: Duration = Duration::from_mins(10);

/// An incoming adapter and the place of its tables.
pub struct Hookup {
    adapter: Arc<dyn IncomingAdapter>,
    /// The adapter's.
    name: String,
    watch: Watch,
    /// What may be run in its name.
    programs: Programs,
    /// Where it may write besides the table directory.
    outputs: Outputs,
    /// Plugin, adapter and settings: whatever changes a row besides the lists, the installation and the facts.
    made_by: String,
    site: Site,
    lock_dir: PathBuf,
    superuser: bool,
    /// What the adapter found out about the MTA; asked once.
    facts: Mutex<Option<Facts>>,
    /// The step at which runs stop as if killed, for those who cannot pass an observer; 0: none.
    #[cfg(test)]
    pub(crate) stop_at: std::sync::atomic::AtomicU32,
}

/// The step of those who follow a store, for [`Hookup::stop_at`], before they mark a generation as applied: a higher
/// number than those of steps in a run.
#[cfg(test)]
pub(crate) const CARRIED_OUT: u32 = 10_000;

/// A plan, and what an earlier run left.
#[derive(Debug)]
pub(crate) struct Next {
    plan: Plan,
    before: Option<Unfinished>,
}

impl Next {
    /// Whether a table is planned as a whole, so that it costs the more the more lists there are.
    pub(crate) fn is_whole(&self) -> bool {
        self.plan.tables.iter().any(|planned| !planned.has_changes())
    }
}

/// Is told what was left to the administrator, when all is published and the run can still be found unfinished.
pub(crate) type Noting<'a> = &'a dyn Fn(&[ByHand]) -> Result<(), HookupError>;

/// How a plan is carried out.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// The administrator says that the command for which an earlier run waits has been run.
    pub activated: bool,
    /// Sees every step; for crash tests.
    pub observer: Option<Observer<'a>>,
    /// Keeps what must be known of a run that has ended.
    pub(crate) noting: Option<Noting<'a>>,
}

/// What [`Hookup::apply`] would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Every table of the plan.
    pub tables: Vec<TablePreview>,
    /// Files that would be written or removed.
    pub files: Vec<FilePreview>,
    /// Commands that would run after publication.
    pub commands: Vec<String>,
    /// An earlier run was interrupted; all tables would be published again.
    pub unfinished: bool,
    /// An earlier run waits for these.
    pub waiting: Vec<Waiting>,
}

/// How a table would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePreview {
    /// Relative to the table directory.
    pub path: String,
    /// Rows with new keys.
    pub added: usize,
    /// Rows with new values.
    pub changed: usize,
    /// Rows that would go.
    pub removed: usize,
    /// Whether it would be published, be it because its compiled file is missing or damaged.
    pub differs: bool,
    /// A unified diff of the text form; empty when no text changes.
    pub diff: String,
}

/// How a file would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePreview {
    /// Relative to the table directory.
    pub path: String,
    /// Whether it would go.
    pub removed: bool,
}

impl Preview {
    /// Whether nothing would be done.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && !self.unfinished
            && self.waiting.is_empty()
            && self.tables.iter().all(|table| !table.differs)
    }
}

impl Hookup {
    /// Publishes in [`Site::table_dir`]. `name` is the adapter's, for errors; what the adapter may
    /// have run is in `programs`.
    pub(crate) fn new(
        adapter: Box<dyn IncomingAdapter>,
        name: &str,
        programs: Programs,
        site: Site,
        lock_dir: PathBuf,
    ) -> Self {
        let superuser = rustix::process::geteuid().is_root();
        let watch = Watch::over(&format!("the incoming adapter {name}"), ANSWER);
        Hookup {
            adapter: adapter.into(),
            watch,
            programs,
            outputs: Outputs::default(),
            made_by: String::new(),
            name: name.to_owned(),
            site,
            lock_dir,
            superuser,
            facts: Mutex::new(None),
            #[cfg(test)]
            stop_at: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// With what the administrator set for the adapter, and what tells its plugin from others.
    pub(crate) fn with_settings(mut self, specs: &[SettingSpec], settings: &Settings, plugin: &str) -> Self {
        self.outputs = Outputs::declared(specs, settings);
        self.made_by = format!("{plugin} {settings:?}");
        self
    }

    /// With another watch over the adapter's calls.
    pub(crate) fn with_watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// For tests of what happens without the superuser's rights, whoever runs them.
    #[cfg(test)]
    pub(crate) fn with_superuser(mut self, superuser: bool) -> Self {
        self.superuser = superuser;
        self
    }

    /// The installation, as the adapter sees it.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Waits until nobody else publishes.
    pub fn lock(&self) -> Result<Lock, HookupError> {
        Lock::wait(&self.lock_dir, PATIENCE)
    }

    /// Waits until nobody else publishes, or until it is told to give up.
    pub(crate) fn lock_unless(&self, given_up: &AtomicBool) -> Result<Lock, HookupError> {
        Lock::wait_unless(&self.lock_dir, PATIENCE, given_up)
    }

    /// Makes the MTA's tables those of this roster.
    pub fn apply(&self, roster: &Roster, options: Options<'_>) -> Result<Report, HookupError> {
        self.apply_locked(&self.lock()?, roster, options)
    }

    /// The same, for a caller that holds the lock already.
    pub fn apply_locked(&self, lock: &Lock, roster: &Roster, options: Options<'_>) -> Result<Report, HookupError> {
        self.carry_out(lock, &self.plan_all(lock, roster)?, options)
    }

    /// Plans what must be done whatever may have changed.
    pub(crate) fn plan_all(&self, _lock: &Lock, roster: &Roster) -> Result<Next, HookupError> {
        let before = Marker::in_directory(Path::new(&self.site.table_dir)).read()?;
        Ok(Next { plan: self.plan_everything(&self.site, roster)?, before })
    }

    /// Plans what must be done for these changes alone. `None`: all must be planned, because something is to be
    /// repaired, the changes depend on each other, or whole tables are so large that (of several changes, or if it
    /// must be `quick`) it is better done once.
    pub(crate) fn plan_changes(
        &self,
        _lock: &Lock,
        roster: &Roster,
        changes: &[RosterChange],
        quick: bool,
    ) -> Result<Option<Next>, HookupError> {
        let table_dir = Path::new(&self.site.table_dir);
        // After an interruption the adapter must not save work by trusting what is there.
        if Marker::in_directory(table_dir).read()?.is_some() {
            return Ok(None);
        }
        let most = (quick || changes.len() > 1).then_some(together::MANY_ROWS);
        let mut told = together::told(changes).into_iter();
        let Some(first) = told.next() else { return Ok(None) };
        let Some(mut plan) = self.plan(&self.site, roster, first, most)? else { return Ok(None) };
        for change in told {
            let Some(later) = self.plan(&self.site, roster, change, most)? else { return Ok(None) };
            let Some(both) = plan.and_then(later) else { return Ok(None) };
            plan = both;
        }
        if plan.has_changes() && !assess::changes_have_a_base(table_dir, &plan) {
            tracing::info!("a table is missing or damaged; all of them are compared");
            return Ok(None);
        }
        Ok(Some(Next { plan, before: None }))
    }

    fn plan_everything(&self, site: &Site, roster: &Roster) -> Result<Plan, HookupError> {
        // Domains and lists of two moments would be tables that no later change sets right.
        roster.load().map_err(HookupError::lists)?;
        let all_rows = None;
        let plan = self.plan(site, roster, OwnedChange::Everything, all_rows)?;
        plan.ok_or_else(|| HookupError::adapter("plan")(Error::failed("it was stopped, and nobody had asked for that")))
    }

    /// Whether a run has left the note of one that publishes. To be asked under the lock: without it, that run may
    /// well be at work.
    pub(crate) fn was_interrupted(&self) -> bool {
        was_interrupted(Path::new(&self.site.table_dir))
    }

    /// Carries out what was planned under the same lock. No signal ends us before it is through.
    pub(crate) fn carry_out(&self, _lock: &Lock, next: &Next, options: Options<'_>) -> Result<Report, HookupError> {
        #[cfg(test)]
        let stop = |step: super::steps::Step<'_>| match self.stop_at.load(std::sync::atomic::Ordering::Relaxed) {
            at if at == step.number => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        };
        #[cfg(test)]
        let options = Options { observer: options.observer.or(Some(&stop)), ..options };
        let table_dir = Path::new(&self.site.table_dir);
        for directory in self.outputs.used_by(&next.plan) {
            check_output(directory).map_err(|refused| HookupError::Untrusted(format!("{refused:#}")))?;
        }
        let _through = Uninterrupted::begin();
        publish(table_dir, &next.plan, next.before.clone(), self.superuser, options)
    }

    /// For tests: stops as if killed after [`CARRIED_OUT`].
    #[cfg(test)]
    pub(crate) fn stop_once_carried_out(&self) -> Result<(), HookupError> {
        let wanted = self.stop_at.load(std::sync::atomic::Ordering::Relaxed);
        if wanted == CARRIED_OUT { Err(HookupError::Stopped) } else { Ok(()) }
    }

    /// Whether the tables are just those that this adapter, with these settings, made of this generation, by its id.
    pub(crate) fn has_published(&self, generation: &str) -> Result<bool, HookupError> {
        Ok(self.published().is(generation, &self.fingerprint()?))
    }

    /// Notes that they are, and what was left to the administrator, be it for changes `until` a later generation. What
    /// earlier publications left is not forgotten before it is `activated`.
    pub(crate) fn note_published(
        &self,
        generation: &Generation,
        until: i64,
        commands: &[ByHand],
        activated: bool,
    ) -> Result<(), HookupError> {
        let (published, fingerprint) = (self.published(), self.fingerprint()?);
        let before = published.by_hand(&fingerprint);
        let mut left = if activated { Vec::new() } else { before.clone() };
        let new = LeftByHand { after: generation.applied, until, noted: unix_now(), commands: commands.to_vec() };
        published::add(&mut left, new, generation.wanted);
        // An adapter without tables may never have made the directory.
        let same = published.is(&generation.id, &fingerprint) && left == before;
        if same || !Path::new(&self.site.table_dir).is_dir() {
            return Ok(());
        }
        published.write(&generation.id, &fingerprint, &left)
    }

    /// What was left to the administrator for changes after one generation up to another one.
    pub(crate) fn left_by_hand(&self, after: i64, until: i64) -> Result<Vec<ByHand>, HookupError> {
        let mut commands = Vec::new();
        let left = self
            .published()
            .by_hand(&self.fingerprint()?)
            .into_iter()
            .filter(|one| one.after < until && after < one.until);
        for command in left.flat_map(|one| one.commands) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        Ok(commands)
    }

    fn published(&self) -> Published {
        Published::in_directory(Path::new(&self.site.table_dir))
    }

    /// Of all that has an influence on rows, besides domains and lists.
    fn fingerprint(&self) -> Result<String, HookupError> {
        let host = env!("CARGO_PKG_VERSION");
        let all = format!("{:?}", (host, &self.name, &self.made_by, &self.site, self.facts()?));
        Ok(data_encoding::HEXLOWER.encode(&Sha1::digest(all)))
    }

    /// What [`Hookup::apply`] would change. Writes nothing.
    pub fn preview(&self, roster: &Roster) -> Result<Preview, HookupError> {
        let table_dir = Path::new(&self.site.table_dir);
        let plan = self.plan_everything(&self.site, roster)?;
        let tables = assess_all(table_dir, &plan)?;
        let note = Marker::in_directory(table_dir).read()?;
        let unfinished = matches!(note, Some(Unfinished::Publishing(_)));
        let waiting = match &note {
            Some(Unfinished::Waiting(names)) => awaited(&plan, names),
            _ => Vec::new(),
        };
        let mut preview = Preview { unfinished, waiting, ..Preview::default() };
        for table in &tables {
            preview.tables.push(preview_of(table)?);
        }
        let work = extra_work(table_dir, &plan, &tables, None, false)?;
        let file = |path: &String, removed| FilePreview { path: path.clone(), removed };
        preview.files.extend(work.files.iter().map(|number| file(&plan.files[*number].path, false)));
        preview.files.extend(work.removals.iter().map(|number| file(&plan.removals[*number], true)));
        let any = !preview.is_empty();
        let runs = |tables_of: &[String]| {
            any && (tables_of.is_empty()
                || unfinished
                || tables.iter().any(|table| table.differs && tables_of.iter().any(|name| name == table.name())))
        };
        let commands = plan.commands.iter().filter(|one| one.phase == Phase::Activate && runs(&one.tables));
        preview.commands = commands.map(|one| command::shown(one, None)).collect();
        Ok(preview)
    }

    /// Writes the plan's files into another directory. Compiles where the compiler is there, and
    /// activates nothing; what did not run here is in [`Report::by_hand`].
    pub fn write_to(&self, directory: &Path, roster: &Roster) -> Result<Report, HookupError> {
        let _lock = self.lock()?;
        std::fs::create_dir_all(directory).map_err(HookupError::file("make", directory))?;
        let directory = directory.canonicalize().map_err(HookupError::file("find", directory))?;
        let site = self.site.clone().with_table_dir(directory.to_string_lossy().into_owned());
        let mut plan = self.plan_everything(&site, roster)?;
        plan.commands.retain(|command| command.phase != Phase::Activate);
        plan.removals.clear();
        plan.guards.clear();
        plan.move_inside();
        let by_hand = leave_out_missing_programs(&directory, &mut plan);
        let before = Marker::in_directory(&directory).read()?;
        let mut report = publish(&directory, &plan, before, self.superuser, Options::default())?;
        report.by_hand.extend(by_hand);
        Ok(report)
    }

    /// What the administrator puts into the MTA's own configuration.
    pub fn snippets(&self, roster: &Roster) -> Result<Vec<Snippet>, HookupError> {
        let (facts, site, roster) = (self.facts()?, self.site.clone(), roster.clone());
        self.ask("snippets", "give its snippets", move |adapter| {
            let snippets = adapter.snippets(Context::new(&site, &facts, &roster))?;
            roster.whole_answers().map(|()| snippets)
        })
    }

    /// Asks the MTA whether it knows the lists.
    pub fn check(&self, roster: &Roster) -> Result<Vec<Finding>, HookupError> {
        let (facts, site, roster) = (self.facts()?, self.site.clone(), roster.clone());
        let tools = HostTools::allowing(self.programs.clone());
        self.ask("check", "check the mail server", move |adapter| {
            let findings = adapter.check(Context::new(&site, &facts, &roster), &tools)?;
            roster.whole_answers().map(|()| findings)
        })
    }

    /// `None`: whole tables of it have more rows than `most`.
    fn plan(
        &self,
        site: &Site,
        roster: &Roster,
        change: OwnedChange,
        most: Option<usize>,
    ) -> Result<Option<Plan>, HookupError> {
        let (facts, site, roster) = (self.facts()?, site.clone(), roster.clone());
        let single = !matches!(change, OwnedChange::Everything);
        let sink = Collector::allowing(self.programs.clone(), self.outputs.clone()).for_a_single_change(single);
        let mut sink = sink.with_whole_rows_up_to(most);
        self.ask("plan", "plan", move |adapter| {
            let planned = adapter.plan(Context::new(&site, &facts, &roster), change.view(), &mut sink);
            roster.whole_answers()?;
            if sink.has_too_many_whole_rows() {
                return Ok(None);
            }
            planned?;
            sink.finish().map(Some)
        })
    }

    fn facts(&self) -> Result<Facts, HookupError> {
        let mut kept = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = &*kept {
            return Ok(facts.clone());
        }
        let (site, tools) = (self.site.clone(), HostTools::allowing(self.programs.clone()));
        let facts = self.ask("probe", "probe the mail server", move |adapter| match adapter.probe(&site, &tools) {
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(Facts::new()),
            result => result,
        })?;
        Ok(kept.insert(facts).clone())
    }

    /// Asks the adapter, on a thread that can be left behind.
    fn ask<T: Send + 'static>(
        &self,
        method: &'static str,
        doing: &'static str,
        question: impl FnOnce(&dyn IncomingAdapter) -> AdapterResult<T> + Send + 'static,
    ) -> Result<T, HookupError> {
        let adapter = Arc::clone(&self.adapter);
        let answer = self.watch.call(method, move || question(&*adapter));
        answer.unwrap_or_else(|none| Err(Error::failed(none.to_string()))).map_err(HookupError::adapter(doing))
    }
}

fn publish(
    table_dir: &Path,
    plan: &Plan,
    before: Option<Unfinished>,
    superuser: bool,
    options: Options<'_>,
) -> Result<Report, HookupError> {
    let tables = assess_all(table_dir, plan)?;
    let extra = extra_work(table_dir, plan, &tables, before.as_ref(), options.activated)?;
    let passes = schedule(&tables, &extra);
    let steps = Steps::new(options.observer);
    Publication::new(table_dir, plan, &tables, passes, before, superuser, steps).with_noting(options.noting).run()
}

fn assess_all<'p>(table_dir: &Path, plan: &'p Plan) -> Result<Vec<Assessed<'p>>, HookupError> {
    plan.tables.iter().map(|planned| assess::table(table_dir, planned)).collect()
}

fn extra_work(
    table_dir: &Path,
    plan: &Plan,
    tables: &[Assessed<'_>],
    before: Option<&Unfinished>,
    activated: bool,
) -> Result<Extra, HookupError> {
    let everything = matches!(before, Some(Unfinished::Publishing(_)));
    let mut extra = Extra { everything, ..Extra::default() };
    for (number, file) in plan.files.iter().enumerate() {
        if assess::file_differs(table_dir, file)? || everything {
            extra.files.push(number);
        }
    }
    for (number, path) in plan.removals.iter().enumerate() {
        if assess::is_there(table_dir, path)? {
            extra.removals.push(number);
        }
    }
    if let (Some(Unfinished::Waiting(names)), false) = (before, activated) {
        extra.owed =
            (0..tables.len()).filter(|number| names.iter().any(|name| name == tables[*number].name())).collect();
    }
    Ok(extra)
}

fn preview_of(table: &Assessed<'_>) -> Result<TablePreview, HookupError> {
    let path = &table.place.path;
    let reading = |source| HookupError::File { doing: "read", path: path.clone(), source };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let diff = if !table.differs {
        String::new()
    } else if table.directory().is_some() {
        diff::of_names(table.name(), &table.old, &table.planned.rows, &table.diff)
    } else if table.is_sqlite() {
        let lines = |rows: &super::rows::Rows| -> io::Result<String> {
            let mut out = Vec::new();
            for number in rows.by_key() {
                render::write_row(rows.row(*number), &mut out)?;
            }
            Ok(text(out))
        };
        diff::unified(table.name(), &lines(&table.old).map_err(reading)?, &lines(&table.planned.rows).map_err(reading)?)
    } else {
        let old = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(reading)?,
        };
        let mut new = Vec::new();
        render::render(&table.planned.table, table.planned.rows.iter(), &mut new).map_err(reading)?;
        diff::unified(table.name(), &text(old), &text(new))
    };
    Ok(TablePreview {
        path: table.name().to_owned(),
        added: table.diff.added.len(),
        changed: table.diff.changed.len(),
        removed: table.diff.removed.len(),
        differs: table.differs,
        diff,
    })
}

/// What the administrator has to do before the later tables are published.
fn awaited(plan: &Plan, tables: &[String]) -> Vec<Waiting> {
    let concerns = |one: &&postrider_plugin_api::sdk::Command| {
        one.phase == Phase::Activate && one.tables.iter().any(|name| tables.contains(name))
    };
    plan.commands.iter().filter(concerns).map(Waiting::for_command).collect()
}

/// Turns tables whose compiler is not installed here into plain text, and says how to compile them.
fn leave_out_missing_programs(directory: &Path, plan: &mut Plan) -> Vec<ByHand> {
    let missing = |command: &postrider_plugin_api::sdk::Command| !Path::new(&command.argv[0]).exists();
    let mut by_hand = Vec::new();
    for command in plan.commands.iter().filter(|command| missing(command)) {
        for table in &mut plan.tables {
            if command.tables.contains(&table.table.path) {
                let file = directory.join(&table.table.path);
                by_hand.push(ByHand {
                    command: command::shown(command, Some(&file)),
                    reason: command.reason.clone(),
                    required: true,
                    settle: None,
                    obstacle: format!("there is no {} here", command.argv[0]),
                    is_here: false,
                });
                if command.phase == Phase::Compile {
                    if let Some(suffix) = table.suffix().map(str::to_owned) {
                        // What an earlier run compiled would not be that of this text.
                        plan.removals.push(format!("{}{suffix}", table.table.path));
                    }
                    table.table.format = TableFormat::Text;
                }
            }
        }
    }
    plan.commands.retain(|command| !missing(command));
    by_hand
}
