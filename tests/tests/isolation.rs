//! Plugins in worker processes: whatever one does is an error of one call, told in words, and harms nobody else.
#![allow(clippy::unwrap_used)] // tests

use postrider::plugins::worker::Limits;
use postrider::plugins::{PluginError, PluginRegistry};
use postrider_plugin_api::sdk::*;
use postrider_tests::c;
use postrider_tests::fixtures::{PluginDir, built};
use postrider_tests::installation::{build_dir, wait_for};
use postrider_tests::stand_ins::{Echo, OnRows, TestLog, named};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits { memory: 64 << 20, start: 3 * SECOND, answer: SECOND, batch: SECOND, idle: Duration::from_mins(1) }
}

fn registry(dir: &PluginDir, limits: Limits) -> PluginRegistry {
    PluginRegistry::new(vec![dir.path().to_owned()]).with_workers(build_dir().join("postrider"), limits)
}

/// The plugin `deeds`, each time in workers of its own.
struct Deeds {
    _dir: PluginDir,
    registry: PluginRegistry,
    log: TestLog,
}

impl Deeds {
    fn new(limits: Limits) -> Self {
        let dir = PluginDir::new();
        dir.install("deeds");
        Deeds { registry: registry(&dir, limits), _dir: dir, log: TestLog::default() }
    }

    fn adapter(&self, method: &str, deed: &str) -> std::result::Result<Box<dyn IncomingAdapter>, PluginError> {
        let settings: Settings = [("method", method), ("deed", deed)].into_iter().collect();
        self.registry.incoming(&named("deeds", "Deeds"), Box::new(self.log.clone()), &settings)
    }

    fn plan(&self, deed: &str) -> Result<Vec<String>> {
        plan(&*self.adapter("plan", deed).unwrap(), &Lists::of(3))
    }
}

/// So many lists, and what was asked of them.
#[derive(Default)]
struct Lists {
    count: u64,
    tours: AtomicUsize,
    questions: AtomicUsize,
}

impl Lists {
    fn of(count: u64) -> Self {
        Lists { count, ..Lists::default() }
    }
}

impl Roster for Lists {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        visit(&DomainView::new("example.org", ""))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        self.tours.fetch_add(1, Ordering::Relaxed);
        (0..self.count).try_for_each(|number| {
            let (local, id) = (format!("ants{number}"), format!("ants{number}.example.org"));
            visit(&ListView::new(&local, DomainView::new("example.org", ""), &id))
        })
    }

    fn list_count(&self) -> u64 {
        self.count
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        Ok(Some(format!("{local}.{domain}")).filter(|_| local.starts_with("ants")))
    }

    fn for_each_domain_routed_to(&self, _: &str, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.for_each_domain(visit)
    }
}

fn site() -> Site {
    Site::new(LmtpAddress::Tcp { host: "localhost".into(), port: 8024 }, "/var/lib/postrider")
}

fn plan(adapter: &dyn IncomingAdapter, roster: &Lists) -> Result<Vec<String>> {
    plan_change(adapter, roster, Change::Everything)
}

fn plan_change(adapter: &dyn IncomingAdapter, roster: &Lists, change: Change<'_>) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut sink = OnRows(|rows: &[Row<'_>]| {
        keys.extend(rows.iter().map(|row| row.key.to_owned()));
        Ok(())
    });
    adapter.plan(Context::new(&site(), &Facts::new(), roster), change, &mut sink)?;
    Ok(keys)
}

/// Our own children, workers all.
fn children() -> Vec<(i32, char)> {
    let ours = std::process::id().to_string();
    let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    let of_us = |stat: String| {
        let (pid, rest) = (stat.split(' ').next()?.parse().ok()?, stat.rsplit_once(") ")?.1.to_owned());
        let mut fields = rest.split(' ');
        let state = fields.next()?.chars().next()?;
        (fields.next()? == ours).then_some((pid, state))
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(stat).filter_map(of_us).collect()
}

/// Tests that count what this process has run alone.
static ALONE: std::sync::RwLock<()> = std::sync::RwLock::new(());

macro_rules! among_others {
    () => {
        let _guard = ALONE.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    };
}

// ---- What a plugin can do to itself

#[test]
fn whatever_a_plugin_does_is_an_error_of_that_call_in_words() {
    among_others!();
    for (deed, words) in [
        ("segv", "signal 11 (SIGSEGV)"),
        ("abort", "signal 6 (SIGABRT)"),
        ("exit", "exit status 3"),
        ("killed", "signal 9 (SIGKILL, sent from outside"),
        ("loop", "did not return within 1 s and was killed"),
        ("flood", "did not return within 1 s and was killed"),
        ("overflow", "stack overflow"),
        ("memory", "(it may use 64 MiB, see [plugins] worker_memory)"),
        ("close", "it closed or misused its connection"),
        ("garbage", "it sent what is no answer"),
        ("nonsense", "it sent what is no answer"),
    ] {
        let deeds = Deeds::new(limits());
        let error = deeds.plan(deed).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("the plugin deeds crashed in plan(): "), "{deed}: {text}");
        assert!(text.contains(words) && text.ends_with("; it is started again"), "{deed}: {text}");
        assert_eq!((error.kind, text.lines().count()), (ErrorKind::Temporary, 1), "{deed}: {text}");
        // The next call is served, and it is not the same process.
        assert_eq!(deeds.plan("nothing").unwrap(), ["ants0", "ants1", "ants2"], "{deed}");
    }
}

#[test]
fn every_method_may_crash() {
    among_others!();
    let context_free = |deeds: &Deeds, method: &str| -> Result<()> {
        let adapter = deeds.adapter(method, "segv").map_err(|error| Error::failed(error.to_string()))?;
        let (site, facts, lists) = (site(), Facts::new(), Lists::of(1));
        let context = Context::new(&site, &facts, &lists);
        match method {
            "probe" => adapter.probe(&site, &Echo).map(drop),
            "snippets" => adapter.snippets(context).map(drop),
            "check" => adapter.check(context, &Echo).map(drop),
            _ => plan(&*adapter, &lists).map(drop),
        }
    };
    for method in ["new", "probe", "plan", "snippets", "check"] {
        let deeds = Deeds::new(limits());
        let error = context_free(&deeds, method).unwrap_err().to_string();
        assert!(error.contains(&format!("crashed in {method}(): signal 11")), "{method}: {error}");
    }
    // `drop` crashes with nobody to tell; the worker is replaced when it is needed again.
    let deeds = Deeds::new(limits());
    drop(deeds.adapter("drop", "segv").unwrap());
    let error = deeds.plan("nothing").unwrap_err().to_string();
    assert!(error.contains("crashed in drop(): signal 11"), "{error}");
    assert!(deeds.plan("nothing").is_ok());
}

#[test]
fn settings_and_constructors_that_do_not_come_back_are_ended() {
    among_others!();
    let dir = PluginDir::new();
    let octets = fs::read(built("constructor")).unwrap();
    for name in ["crash", "exit", "panic", "loop"] {
        dir.install_bytes(&format!("constructor_{name}"), &octets);
    }
    dir.install("good");
    dir.install("silent");
    let registry = registry(&dir, limits());
    let list = registry.list();
    let reason = |name: &str| {
        let report = list.iter().find(|report| report.name == name).unwrap();
        report.usable.as_ref().err().map(ToString::to_string).unwrap_or_default()
    };
    for (name, words) in [("crash", "signal 11 (SIGSEGV)"), ("exit", "exit status 5"), ("panic", "signal 6 (SIGABRT)")]
    {
        let reason = reason(&format!("constructor_{name}"));
        assert!(reason.contains("crashed while it was loaded: ") && reason.contains(words), "{name}: {reason}");
        assert!(reason.contains(&format!("libpostrider_constructor_{name}.so")), "{reason}");
    }
    assert_eq!(reason("good"), "");
    let error = registry.incoming_settings(&named("silent", "Silent")).unwrap_err().to_string();
    assert!(error.contains("crashed in settings(): it did not return within 3 s and was killed"), "{error}");
}

#[test]
fn a_panic_is_told_as_ever_and_the_adapter_made_anew() {
    among_others!();
    let deeds = Deeds::new(limits());
    let adapter = deeds.adapter("plan", "panic").unwrap();
    for _ in 0..2 {
        let error = plan(&*adapter, &Lists::of(1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Panic);
        assert!(error.message.contains("deeds.rs:") && error.message.ends_with(": boom"), "{error}");
    }
    let lines = deeds.log.lines().join("\n");
    assert!(lines.contains("Info planning") && lines.contains("it is made anew"), "{lines}");
}

#[test]
fn a_plugin_that_dies_again_and_again_rests_and_is_then_tried_again() {
    among_others!();
    let deeds = Deeds::new(limits());
    let (bad, good) = (deeds.adapter("plan", "exit").unwrap(), deeds.adapter("plan", "").unwrap());
    let lists = Lists::of(1);
    assert!(plan(&*bad, &lists).unwrap_err().message.ends_with("it is started again"));
    let second = plan(&*bad, &lists).unwrap_err();
    assert!(second.message.ends_with("it is started again in 1 s"), "{second}");
    let resting = plan(&*good, &lists).unwrap_err();
    assert_eq!(resting.kind, ErrorKind::Temporary);
    assert_eq!(resting.message, "the plugin deeds crashes again and again; it is tried again in 1 s");
    let start = Instant::now();
    wait_for("another try", 5 * SECOND, || plan(&*good, &lists).ok());
    assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
    assert!(plan(&*bad, &lists).unwrap_err().message.ends_with("it is started again"), "a success ends the row");
}

// ---- What a plugin cannot do to others

#[test]
fn a_worker_has_nothing_but_its_socket() {
    among_others!();
    // Something that a careless host leaves open for its children.
    let left_open = fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let seen = Deeds::new(limits()).plan("look").unwrap_err().message;
    let (open, rest) = seen.split_once(" environment ").unwrap();
    assert!(open.starts_with("open [") && !open.contains("passwd"), "{seen}");
    let open: Vec<&str> = open.trim_start_matches("open [").trim_end_matches(']').split(", ").collect();
    // Its socket has one for each direction.
    assert_eq!(open.len(), 6, "{seen}");
    assert_eq!((&open[..2], &open[3..]), (&["\"/dev/null\""; 2][..], &["\"pipe\"", "\"socket\"", "\"socket\""][..]));
    assert!(open.iter().any(|file| file.contains("libpostrider_deeds.so")), "{seen}");
    assert!(rest.starts_with("[] Umask: 0077 NoNewPrivs: 1 Seccomp: 2 directory gone"), "{seen}");
}

#[test]
fn a_worker_runs_no_program_writes_no_file_and_signals_nobody() {
    among_others!();
    let deeds = Deeds::new(limits());
    let told = |deed: &str| deeds.plan(deed).unwrap_err().message;
    assert_eq!(told("exec"), "exec: Operation not permitted (os error 1)");
    assert_eq!(told("fork"), "fork: -1 Operation not permitted (os error 1)");
    assert_eq!(told("write"), "write: No such file or directory (os error 2); File too large (os error 27)");
    let refused = ["-1 Operation not permitted (os error 1)"; 3].join(", ");
    assert_eq!(told("kill"), format!("kill: {refused}"));
    // Threads are its own affair.
    assert!(deeds.plan("thread").is_ok());
    assert!(deeds.plan("print").is_ok());
}

#[test]
fn a_plan_without_end_stops_at_the_rule_that_it_breaks() {
    among_others!();
    let deeds = Deeds::new(Limits { answer: 30 * SECOND, ..limits() });
    let adapter = deeds.adapter("plan", "rows").unwrap();
    let mut taken = 0;
    let mut sink = OnRows(|rows: &[Row<'_>]| {
        taken += rows.len();
        if taken > 100 { Err(Error::failed("the table is too large")) } else { Ok(()) }
    });
    let (site, facts, lists) = (site(), Facts::new(), Lists::of(1));
    let planned = adapter.plan(Context::new(&site, &facts, &lists), Change::Everything, &mut sink);
    assert_eq!(planned.unwrap_err().message, "the table is too large");
    assert_eq!(taken, 101);
}

#[test]
fn questions_within_answers_have_an_end() {
    among_others!();
    let error = Deeds::new(limits()).plan("nested").unwrap_err();
    assert_eq!(error.message, "lists are asked for within lists, too deep");
}

// ---- What crosses

#[test]
fn a_large_roster_crosses_whole_and_in_order() {
    among_others!();
    let deeds = Deeds::new(Limits { answer: Duration::from_secs(30), ..limits() });
    let (adapter, lists) = (deeds.adapter("", "").unwrap(), Lists::of(20_001));
    let keys = plan(&*adapter, &lists).unwrap();
    assert_eq!(keys.len(), 20_001);
    assert!(keys.iter().enumerate().all(|(number, key)| *key == format!("ants{number}")));
    assert_eq!(lists.tours.load(Ordering::Relaxed), 1);
}

#[test]
fn a_single_change_asks_for_what_it_needs_and_tours_no_lists() {
    among_others!();
    let dir = PluginDir::new();
    dir.install_bytes("postfix", &fs::read(build_dir().join("libpostrider_postfix.so")).unwrap());
    let planned = |registry: &PluginRegistry, lists: &Lists| {
        let name = named("postfix", "LMTP");
        let specs = registry.incoming_settings(&name).unwrap();
        let value = |spec: SettingSpec| match spec.name.as_str() {
            "transport_file_type" => (spec.name, "sqlite".to_owned()),
            _ => (spec.name, spec.default),
        };
        let settings: Settings = specs.into_iter().map(value).collect();
        let adapter = registry.incoming(&name, Box::new(TestLog::default()), &settings).unwrap();
        let ants = ListView::new("ants1", DomainView::new("example.org", ""), "ants1.example.org");
        plan_change(&*adapter, lists, Change::ListAdded(ants)).unwrap()
    };
    let (here, there) = (Lists::of(100_000), Lists::of(100_000));
    let expected = planned(&PluginRegistry::new(vec![dir.path().to_owned()]), &here);
    assert_eq!(planned(&registry(&dir, limits()), &there), expected);
    assert!(!expected.is_empty());
    assert_eq!(there.tours.load(Ordering::Relaxed), 0);
    assert_eq!(there.questions.load(Ordering::Relaxed), here.questions.load(Ordering::Relaxed));
}

// ---- Processes

#[test]
fn calls_at_the_same_time_do_not_wait_for_one_that_hangs() {
    among_others!();
    let deeds = Deeds::new(Limits { answer: Duration::from_secs(3), ..limits() });
    let (hangs, good) = (deeds.adapter("plan", "loop").unwrap(), deeds.adapter("", "").unwrap());
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| plan(&*hangs, &Lists::of(1)).unwrap_err());
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        for _ in 0..20 {
            plan(&*good, &Lists::of(1)).unwrap();
        }
        assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
        assert!(hanging.join().unwrap().message.contains("did not return within 3 s"));
    });
}

#[test]
fn a_worker_that_is_killed_from_outside_is_one_error_and_an_idle_one_none() {
    let _alone = ALONE.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let deeds = Deeds::new(limits());
    let adapter = deeds.adapter("plan", "loop").unwrap();
    let good = deeds.adapter("", "").unwrap();
    let send = |signal| {
        for (pid, _) in children() {
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
        }
    };
    let kill = || send(Signal::KILL);
    // What a whole service is told is none of a worker's business.
    std::thread::scope(|scope| {
        let call = scope.spawn(|| deeds.plan("sleep"));
        std::thread::sleep(Duration::from_millis(100));
        [Signal::HUP, Signal::INT, Signal::TERM].into_iter().for_each(send);
        assert_eq!(call.join().unwrap().unwrap().len(), 3);
    });
    std::thread::scope(|scope| {
        let call = scope.spawn(|| plan(&*adapter, &Lists::of(1)).unwrap_err().message);
        std::thread::sleep(Duration::from_millis(200));
        kill();
        let error = call.join().unwrap();
        assert!(error.contains("crashed in plan(): signal 9 (SIGKILL, sent from outside"), "{error}");
    });
    plan(&*good, &Lists::of(1)).unwrap();
    kill();
    wait_for("a death", SECOND, || children().iter().all(|(_, state)| *state == 'Z').then_some(()));
    plan(&*good, &Lists::of(1)).unwrap();
}

#[test]
fn many_calls_and_crashes_leave_no_processes_and_no_descriptors() {
    let _alone = ALONE.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let round = || {
        let deeds = Deeds::new(limits());
        let adapter = deeds.adapter("", "").unwrap();
        for _ in 0..50 {
            plan(&*adapter, &Lists::of(3)).unwrap();
        }
        deeds.plan("segv").unwrap_err();
        deeds.plan("").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| deeds.plan("sleep").unwrap());
            }
        });
    };
    round();
    let before = open();
    for _ in 0..5 {
        round();
    }
    // The threads that read the plugins' standard error see its end a moment later.
    wait_for("closed descriptors", SECOND, || (open() <= before).then_some(()));
    assert_eq!(children(), []);
}

#[test]
fn idle_workers_end() {
    let _alone = ALONE.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Long enough for a busy machine to find the worker of one call idle at the next.
    let deeds = Deeds::new(Limits { idle: 2 * SECOND, ..limits() });
    let adapter = deeds.adapter("", "").unwrap();
    plan(&*adapter, &Lists::of(1)).unwrap();
    assert_eq!(children().len(), 1);
    wait_for("the end of the worker", 5 * SECOND, || children().is_empty().then_some(()));
    plan(&*adapter, &Lists::of(1)).unwrap();
    assert_eq!(children().len(), 1);
}

// ---- Another file

/// The plugin `good` with another version.
fn newer() -> Vec<u8> {
    let mut octets = fs::read(built("good")).unwrap();
    let places: Vec<usize> =
        octets.windows(5).enumerate().filter(|(_, five)| *five == b"0.3.1").map(|(at, _)| at).collect();
    for at in places {
        octets[at..at + 5].copy_from_slice(b"0.3.2");
    }
    octets
}

#[test]
fn a_plugin_is_loaded_anew_when_that_is_asked_for_and_not_before() {
    among_others!();
    let dir = PluginDir::new();
    let file = dir.install("good");
    let registry = registry(&dir, Limits { idle: Duration::from_millis(50), ..limits() });
    let name = named("good", "Memory");
    let version = |registry: &PluginRegistry| registry.list()[0].usable.as_ref().unwrap().version.clone();
    let make = || registry.outgoing(&name, Box::new(TestLog::default()), &Settings::default()).unwrap();
    let old = make();
    dir.install_bytes("good", &newer());
    // Workers that are started meanwhile are of the old file, which has no name any more.
    std::thread::sleep(Duration::from_millis(200));
    assert!(old.deliver(Batch::new("", &["a@x"], b"")).is_ok());
    assert_eq!(version(&registry), "0.3.1");

    let reloaded = registry.reload(None).unwrap().commit();
    assert_eq!(reloaded.len(), 1);
    assert_eq!((reloaded[0].version.as_deref(), &reloaded[0].file), (Ok("0.3.2"), &file));
    assert_eq!(version(&registry), "0.3.2");
    assert!(registry.reload(None).unwrap().commit().is_empty(), "nothing has changed since");
    assert!(old.deliver(Batch::new("", &["a@x"], b"")).is_ok(), "whoever has the old one keeps it");
    assert!(make().deliver(Batch::new("", &["a@x"], b"")).is_ok());

    // What cannot be loaded changes nothing.
    dir.install_bytes("good", b"rubbish");
    let kept = registry.reload(Some("good")).unwrap().commit();
    assert!(matches!(kept[0].version, Err(PluginError::NotALibrary { .. })));
    assert!(make().deliver(Batch::new("", &["a@x"], b"")).is_ok());
    let unknown = registry.reload(Some("god")).err().unwrap().to_string();
    assert_eq!(unknown, "the plugin \"god\" is not in use; did you mean \"good\"?");
}

#[test]
fn what_was_loaded_anew_and_is_not_wanted_after_all_leaves_everything_as_it_was() {
    among_others!();
    let dir = PluginDir::new();
    dir.install("good");
    let registry = registry(&dir, limits());
    let version = || registry.list()[0].usable.as_ref().unwrap().version.clone();
    let make =
        || registry.outgoing(&named("good", "Memory"), Box::new(TestLog::default()), &Settings::default()).unwrap();
    let old = make();
    dir.install_bytes("good", &newer());
    let anew = registry.reload(None).unwrap();
    assert_eq!((anew.plugins().len(), version().as_str()), (1, "0.3.2"));
    drop(anew);
    assert_eq!(version(), "0.3.1");
    assert!(
        old.deliver(Batch::new("", &["a@x"], b"")).is_ok() && make().deliver(Batch::new("", &["a@x"], b"")).is_ok()
    );
    // It is still another file, so the next time it is tried again.
    assert_eq!(registry.reload(None).unwrap().commit()[0].version.as_deref(), Ok("0.3.2"));
    assert_eq!(version(), "0.3.2");
}

#[test]
fn a_library_that_was_written_over_is_not_loaded() {
    among_others!();
    let dir = PluginDir::new();
    let file = dir.install("good");
    let registry = registry(&dir, Limits { idle: Duration::from_millis(20), ..limits() });
    assert!(registry.list()[0].usable.is_ok());
    std::thread::sleep(Duration::from_millis(200));
    // As `cp` does it; the host has it open, so its workers see the new octets.
    fs::write(&file, newer()).unwrap();
    let refused = registry.outgoing(&named("good", "Memory"), Box::new(TestLog::default()), &Settings::default());
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("was written over since it was loaded; install plugins by renaming"), "{refused}");
    registry.reload(None).unwrap().commit();
    assert_eq!(registry.list()[0].usable.as_ref().unwrap().version, "0.3.2");
}

#[test]
fn a_replaced_library_that_needs_what_lay_beside_it_says_what_to_do() {
    among_others!();
    let dir = PluginDir::new();
    let companion = dir.path().join("libcompanion.so");
    let soname = ["-Wl,-soname,libcompanion.so"];
    fs::write(&companion, c::build("plugins/examples/c/acme.c", &c::include_dir(), &soname)).unwrap();
    fs::set_permissions(&companion, fs::Permissions::from_mode(0o644)).unwrap();
    let beside = format!("-L{}", dir.path().display());
    let flags = [&beside, "-Wl,--no-as-needed", "-lcompanion", "-Wl,-rpath,$ORIGIN"];
    let octets = c::build("plugins/examples/c/acme.c", &c::include_dir(), &flags);
    dir.install_bytes("acme", &octets);
    let registry = registry(&dir, Limits { idle: Duration::from_millis(20), ..limits() });
    let make = || registry.incoming(&named("acme", "LMTP"), Box::new(TestLog::default()), &Settings::default());
    registry.incoming_settings(&named("acme", "LMTP")).unwrap();
    dir.install_bytes("acme", &octets);
    std::thread::sleep(Duration::from_millis(200));
    let refused = make().err().unwrap().to_string();
    assert!(refused.contains("was replaced since it was loaded") && refused.contains("libcompanion.so"), "{refused}");
    assert!(refused.ends_with("run `postrider plugins reload`"), "{refused}");
    assert!(registry.reload(None).unwrap().commit()[0].version.is_ok());
    registry.incoming_settings(&named("acme", "LMTP")).unwrap();
}

#[test]
fn a_link_that_leads_elsewhere_is_followed_when_that_is_asked_for_and_not_before() {
    among_others!();
    let (dir, versions) = (PluginDir::new(), PluginDir::new());
    let (first, second) = (versions.install("good"), versions.install_bytes("second", &newer()));
    let link = dir.path().join("libpostrider_good.so");
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let registry = registry(&dir, limits());
    let version = || registry.list()[0].usable.as_ref().unwrap().version.clone();
    assert_eq!(version(), "0.3.1");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&second, &link).unwrap();
    fs::remove_file(&first).unwrap();
    assert_eq!(version(), "0.3.1", "not before it is asked for");
    let reloaded = registry.reload(None).unwrap().commit();
    assert_eq!((reloaded.len(), reloaded[0].version.as_deref(), &reloaded[0].file), (1, Ok("0.3.2"), &link));
    assert_eq!(version(), "0.3.2");
    assert!(registry.reload(None).unwrap().commit().is_empty(), "nothing has changed since");
}

#[test]
fn a_plugin_in_our_own_process_cannot_be_loaded_anew() {
    among_others!();
    let dir = PluginDir::new();
    dir.install("good");
    let registry = PluginRegistry::new(vec![dir.path().to_owned()]);
    registry.outgoing(&named("good", "Memory"), Box::new(TestLog::default()), &Settings::default()).unwrap();
    dir.install("good");
    let kept = registry.reload(None).unwrap().commit();
    let error = kept[0].version.as_ref().unwrap_err().to_string();
    assert!(error.ends_with("restart the daemon to use the new file"), "{error}");
}

#[test]
fn no_code_of_a_plugin_is_mapped_into_the_host() {
    // The other tests of this program load some into it on purpose.
    let dir = PluginDir::new();
    let file: PathBuf = dir.install("deeds");
    let registry = registry(&dir, limits());
    assert!(registry.list()[0].usable.is_ok());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains(file.file_name().and_then(|name| name.to_str()).unwrap()), "{maps}");
    assert!(Path::new(&file).exists());
}
