//! What a test has in its process, and what it says.

use super::lists;
use super::tools::Machine;
use crate::hookup::collect::{Collector, Plan};
use crate::hookup::outputs::Outputs;
use crate::hookup::programs::Programs;
use crate::plugins::{AdapterKind, Loaded, PluginInfo, load_from_anywhere};
use postrider_plugin_api::sdk::{
    Change, Context, Error, ErrorKind, Facts, HostLog, IncomingAdapter, LogLevel, OutgoingAdapter, Roster, SettingKind,
    SettingSpec, Settings, Site,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most choices of settings that are tried for one adapter.
const MAX_SETUPS: usize = 48;

/// What a test has seen and should not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was seen, and where.
    pub seen: String,
    /// What was expected instead.
    pub expected: String,
    /// What the author of the plugin can do.
    pub advice: String,
}

impl Failure {
    pub(super) fn new(seen: impl Into<String>, expected: impl Into<String>, advice: impl Into<String>) -> Self {
        Failure { seen: seen.into(), expected: expected.into(), advice: advice.into() }
    }

    /// A panic reached the border of the plugin.
    pub(super) fn panicked(doing: &str, error: &Error) -> Self {
        Failure::new(
            format!("{doing}: {}", error.message),
            "an answer or an error",
            "a panic is caught, but the adapter is then made anew and its work is lost: return Err(Error::failed(…)) \
             with words for the administrator instead",
        )
    }

    /// In these circumstances.
    pub(super) fn when(mut self, circumstances: &str) -> Self {
        if !circumstances.is_empty() {
            self.seen = format!("{} ({circumstances})", self.seen);
        }
        self
    }
}

/// An adapter of the plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterId {
    /// `LMTP`.
    pub name: String,
    /// Incoming; otherwise outgoing.
    pub incoming: bool,
}

/// All that a test found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    pub(super) failures: Vec<Failure>,
    /// What an author should know though it is no failure.
    pub(super) warnings: Vec<String>,
    /// Measured figures and the like.
    pub(super) notes: Vec<String>,
    /// Why nothing was tested.
    pub(super) skipped: Option<String>,
    /// What the plugin says about itself: name, version, adapters that this host can use.
    pub(super) plugin: Option<Described>,
}

/// What a plugin says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) interface: String,
    pub(super) built_with: String,
    pub(super) adapters: Vec<AdapterId>,
}

/// A test in its process.
pub(super) struct Case {
    pub(super) file: PathBuf,
    /// The adapter, for tests that are about one.
    pub(super) adapter: Option<AdapterId>,
    /// Only these adapters; all if it is empty.
    pub(super) only: Vec<String>,
    pub(super) seed: u64,
    /// How many lists a large site has.
    pub(super) large_site: u32,
    pub(super) findings: Findings,
    loaded: Option<Arc<Loaded>>,
}

impl Case {
    pub(super) fn new(file: &Path, adapter: Option<AdapterId>, only: Vec<String>, seed: u64) -> Self {
        Case {
            file: file.to_owned(),
            adapter,
            only,
            seed,
            large_site: super::LARGE_SITE,
            findings: Findings::default(),
            loaded: None,
        }
    }

    /// Adds a failure and goes on.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.findings.failures.push(failure);
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.findings.warnings.push(warning.into());
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.findings.notes.push(note.into());
    }

    pub(super) fn skip(&mut self, reason: impl Into<String>) {
        self.findings.skipped = Some(reason.into());
    }

    /// The same random numbers whenever the seed is the same.
    pub(super) fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// The plugin, loaded when it is first wanted.
    pub(super) fn plugin(&mut self) -> Result<Arc<Loaded>, Failure> {
        if let Some(loaded) = &self.loaded {
            return Ok(Arc::clone(loaded));
        }
        let loaded = load_from_anywhere(&self.file).map_err(|error| {
            Failure::new(error.to_string(), "a plugin that this host can load", "see the tests before this one")
        })?;
        Ok(Arc::clone(self.loaded.insert(Arc::new(loaded))))
    }

    pub(super) fn info(&mut self) -> Result<PluginInfo, Failure> {
        Ok(self.plugin()?.library.info().clone())
    }

    /// Whether a test of the whole plugin looks at this adapter.
    pub(super) fn looks_at(&self, adapter: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == adapter)
    }

    fn id(&self) -> Result<AdapterId, Failure> {
        self.adapter.clone().ok_or_else(|| Failure::new("no adapter was named", "one", "use --adapter"))
    }

    /// The settings of the adapter that this test is about.
    pub(super) fn specs(&mut self) -> Result<Vec<SettingSpec>, Failure> {
        let id = self.id()?;
        let kind = if id.incoming { AdapterKind::Incoming } else { AdapterKind::Outgoing };
        let specs = self.plugin()?.library.settings(&id.name, kind);
        specs.map_err(|error| failed("settings", &error, "the settings that the adapter reads"))
    }

    /// Every choice of settings that is tried: the defaults first, then each other word of a choice, and each
    /// pair of those.
    pub(super) fn setups(&mut self) -> Result<Vec<Setup>, Failure> {
        Ok(setups(&self.specs()?))
    }

    /// The defaults alone.
    pub(super) fn defaults(&mut self) -> Result<Setup, Failure> {
        Ok(Setup::new(&self.specs()?, &[]))
    }

    /// The incoming adapter, made of these settings.
    pub(super) fn incoming(&mut self, settings: &Settings) -> Result<Result<Box<dyn IncomingAdapter>, Error>, Failure> {
        let id = self.id()?;
        Ok(self.plugin()?.library.incoming(&id.name, Arc::new(Deaf), settings))
    }

    /// The outgoing adapter, made of these settings.
    pub(super) fn outgoing(&mut self, settings: &Settings) -> Result<Result<Box<dyn OutgoingAdapter>, Error>, Failure> {
        let id = self.id()?;
        Ok(self.plugin()?.library.outgoing(&id.name, Arc::new(Deaf), settings))
    }

    /// The incoming adapter with what it found out about a machine without a mail server. `None` if it refuses
    /// these settings, which only the defaults must not be.
    pub(super) fn subject(&mut self, setup: &Setup, site: &Site) -> Result<Option<Subject>, Failure> {
        let adapter = match self.incoming(&setup.settings)? {
            Ok(adapter) => adapter,
            Err(error) if error.kind == ErrorKind::Panic => {
                return Err(Failure::panicked("new", &error).when(&setup.words));
            }
            Err(error) if setup.words.is_empty() => return Err(refused("new", &error)),
            Err(_) => return Ok(None),
        };
        let facts = match adapter.probe(site, &Machine::without_mta(setup.programs())) {
            Err(error) if error.kind == ErrorKind::Panic => {
                return Err(Failure::panicked("probe", &error).when(&setup.words));
            }
            facts => facts.unwrap_or_default(),
        };
        Ok(Some(Subject { adapter, setup: setup.clone(), site: site.clone(), facts }))
    }

    /// The adapter with its defaults in an ordinary installation.
    pub(super) fn ordinary(&mut self) -> Result<Subject, Failure> {
        let setup = self.defaults()?;
        let site = lists::site();
        let subject = self.subject(&setup, &site)?;
        subject.ok_or_else(|| Failure::new("it refuses its defaults", "an adapter", "take the defaults"))
    }
}

/// What a call gave that must not fail.
pub(super) fn failed(doing: &str, error: &Error, expected: &str) -> Failure {
    if error.kind == ErrorKind::Panic {
        return Failure::panicked(doing, error);
    }
    Failure::new(format!("{doing}: {error}"), expected, "see the error")
}

/// An adapter that refuses what is ordinary.
pub(super) fn refused(doing: &str, error: &Error) -> Failure {
    failed(doing, error, "an adapter that works with the defaults of its settings on a machine without a mail server")
}

/// Hears nothing.
pub(super) struct Deaf;

impl HostLog for Deaf {
    fn log(&self, _: LogLevel, _: &str) {}
}

/// A choice of settings.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// What differs from the defaults: `recipients: file, file_type: cdb`; empty for nothing.
    pub(super) words: String,
    pub(super) specs: Vec<SettingSpec>,
    pub(super) settings: Settings,
}

impl Setup {
    pub(super) fn new(specs: &[SettingSpec], changed: &[(&str, &str)]) -> Self {
        let value = |spec: &SettingSpec| {
            changed.iter().find(|(name, _)| *name == spec.name).map_or(spec.default.clone(), |(_, v)| (*v).to_owned())
        };
        Setup {
            words: changed.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", "),
            specs: specs.to_vec(),
            settings: specs.iter().map(|spec| (spec.name.clone(), value(spec))).collect(),
        }
    }

    pub(super) fn programs(&self) -> Programs {
        Programs::declared(&self.specs, &self.settings)
    }

    pub(super) fn outputs(&self) -> Outputs {
        Outputs::declared(&self.specs, &self.settings)
    }
}

fn setups(specs: &[SettingSpec]) -> Vec<Setup> {
    let mut others: Vec<(&str, &str)> = Vec::new();
    for spec in specs {
        match &spec.kind {
            SettingKind::Boolean => others.push((&spec.name, if spec.default == "yes" { "no" } else { "yes" })),
            SettingKind::Choice(words) => {
                let words = words.iter().map(String::as_str).filter(|word| !word.contains('='));
                others.extend(words.filter(|word| *word != spec.default).map(|word| (spec.name.as_str(), word)));
            }
            SettingKind::OutputDirectory => others.push((&spec.name, "/srv/conformance/lists")),
            _ => {}
        }
    }
    let mut setups = vec![Setup::new(specs, &[])];
    setups.extend(others.iter().map(|one| Setup::new(specs, &[*one])));
    for (number, one) in others.iter().enumerate() {
        let pairs = others[number + 1..].iter().filter(|other| other.0 != one.0);
        setups.extend(pairs.map(|other| Setup::new(specs, &[*one, *other])));
    }
    setups.truncate(MAX_SETUPS);
    setups
}

/// An incoming adapter in an installation.
pub(super) struct Subject {
    pub(super) adapter: Box<dyn IncomingAdapter>,
    pub(super) setup: Setup,
    pub(super) site: Site,
    pub(super) facts: Facts,
}

/// Why there is no plan.
pub(super) enum NoPlan {
    /// It breaks a rule of the host.
    Rule(Error),
    /// The adapter panicked.
    Panic(Error),
    /// The adapter says that it cannot.
    Refused(Error),
}

impl NoPlan {
    pub(super) fn failure(&self) -> Failure {
        match self {
            NoPlan::Rule(error) => Failure::new(
                format!("plan: {}", error.message),
                "a plan that keeps the host's rules",
                "the host carries out no part of such a plan; the rules are told at Table, Command and PlanSink of \
                 postrider-plugin-api",
            ),
            NoPlan::Panic(error) => Failure::panicked("plan", error),
            NoPlan::Refused(error) => refused("plan", error),
        }
    }
}

impl Subject {
    pub(super) fn context<'a>(&'a self, roster: &'a dyn Roster) -> Context<'a> {
        Context::new(&self.site, &self.facts, roster)
    }

    pub(super) fn collector(&self, change: &Change<'_>) -> Collector {
        let single = !matches!(change, Change::Everything);
        Collector::allowing(self.setup.programs(), self.setup.outputs()).for_a_single_change(single)
    }

    /// The plan, judged by the host's own rules.
    pub(super) fn plan(&self, roster: &dyn Roster, change: Change<'_>) -> Result<Plan, NoPlan> {
        let mut sink = self.collector(&change);
        let result = self.adapter.plan(self.context(roster), change, &mut sink);
        match result {
            Err(error) if error.kind == ErrorKind::Panic => Err(NoPlan::Panic(error)),
            Err(error) => match sink.failure() {
                Some(rule) => Err(NoPlan::Rule(rule.clone())),
                None => Err(NoPlan::Refused(error)),
            },
            Ok(()) => sink.finish().map_err(NoPlan::Rule),
        }
    }

    /// Where it is and what was chosen, for a failure.
    pub(super) fn circumstances(&self, lists: &str) -> String {
        let setup = self.setup.words.as_str();
        [lists, setup].iter().filter(|words| !words.is_empty()).copied().collect::<Vec<_>>().join("; ")
    }
}

/// All of a plan in one text, to compare plans by.
pub(super) fn told(plan: &Plan) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for planned in &plan.tables {
        let _ = writeln!(text, "{:?}", planned.table);
        for row in planned.rows.iter() {
            let _ = writeln!(text, "  {:?} is {:?} at {}", row.key, row.value, row.column);
        }
        for row in planned.absent.iter() {
            let _ = writeln!(text, "  {:?} is absent", row.key);
        }
    }
    for file in &plan.files {
        let _ = writeln!(text, "file {} {:o} {}", file.path, file.mode, String::from_utf8_lossy(&file.contents));
    }
    let _ = writeln!(text, "{:#?} {:#?} {:#?}", plan.removals, plan.commands, plan.guards);
    text
}

/// The first line in which two texts differ.
pub(super) fn difference(first: &str, second: &str) -> String {
    let short = |line: &str| line.trim().chars().take(160).collect::<String>();
    let mut lines = (first.lines(), second.lines());
    loop {
        match (lines.0.next(), lines.1.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return format!("`{}`, then `{}`", short(a), short(b)),
            (Some(a), None) => return format!("`{}`, then nothing", short(a)),
            (None, Some(b)) => return format!("nothing, then `{}`", short(b)),
            (None, None) => return "no difference".to_owned(),
        }
    }
}
