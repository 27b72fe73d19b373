//! Both sides in one process: what the host gives is what the adapter gets, and back.

use crate::sdk::*;
use crate::{export, host};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct TestLog(Mutex<Vec<(LogLevel, String)>>);

impl HostLog for TestLog {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.lock().unwrap().push((level, message.to_owned()));
    }
}

struct TwoLists;

const DOMAIN: DomainView<'_> = DomainView { name: "example.org", alias: "lists.example.org" };
const ANTS: ListView<'_> = ListView { local: "ants", domain: DOMAIN, list_id: "ants.example.org" };
const BEES: ListView<'_> = ListView { local: "bees", domain: DOMAIN, list_id: "bees.example.org" };

impl Roster for TwoLists {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        visit(&DOMAIN)
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        visit(&ANTS)?;
        visit(&BEES)
    }

    fn list_count(&self) -> u64 {
        2
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        let is_list = domain == "example.org" && (local == "ants" || local == "bees");
        Ok(is_list.then(|| format!("{}.{}", local, domain)))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        if routed == DOMAIN.alias {
            visit(&DOMAIN)?;
        }
        Ok(())
    }
}

/// Writes down what it is told, one line a call.
#[derive(Default)]
struct Recorder(Vec<String>);

impl PlanSink for Recorder {
    fn table(&mut self, table: &Table) -> Result<()> {
        if table.path.starts_with('/') {
            return Err(Error::failed("table path is absolute").with_hint("make it relative"));
        }
        self.0.push(format!("{:?}", table));
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        self.0.push(format!("{:?}", rows));
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        self.0.push(format!("absent {:?}", keys));
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.0.push(format!("{:?}", guard));
        Ok(())
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.0.push(format!("file {} {:o} {:?}", path, mode, contents));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.0.push(format!("remove {}", path));
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.0.push(format!("{:?}", command));
        Ok(())
    }
}

struct Echo;

impl Tools for Echo {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        Ok(ProgramOutput { status: 7, stdout: argv.join(" "), stderr: stdin.to_owned() })
    }

    fn read_file(&self, path: &str) -> Result<String> {
        Err(Error::new(ErrorKind::Temporary, format!("cannot read {}", path)))
    }

    fn exists(&self, path: &str) -> bool {
        path == "/etc/acme"
    }
}

fn site() -> Site {
    Site {
        lmtp: LmtpAddress::tcp("::1", 8024),
        table_dir: "/var/lib/postrider/data".into(),
        user: "postrider".into(),
        delimiter: "+".into(),
        subaddresses: vec![
            Subaddress { name: "bounces".into(), detail: true },
            Subaddress { name: "owner".into(), detail: false },
        ],
        smtp_host: "localhost".into(),
        smtp_port: 25,
    }
}

fn every_kind_of_table() -> Vec<Table> {
    let formats = vec![
        TableFormat::Text,
        TableFormat::CompiledRename { suffix: ".db".into() },
        TableFormat::CompiledInPlace { suffix: ".lmdb".into() },
        TableFormat::Sqlite,
        TableFormat::Directory { mark: "# ours".into() },
    ];
    let roles = vec![
        TableRole::Routing,
        TableRole::Rewriting,
        TableRole::Domains,
        TableRole::Acceptance,
        TableRole::Acceptance,
    ];
    let extents = vec![Extent::Whole, Extent::Whole, Extent::Whole, Extent::Changes, Extent::Changes];
    let all = formats.into_iter().zip(roles).zip(extents);
    all.map(|((format, role), extent)| Table { path: "t".into(), extent, format, role, comment: "two\nlines".into() })
        .collect()
}

fn commands() -> Vec<Command> {
    vec![
        Command {
            phase: Phase::Compile,
            argv: vec!["/bin/compile".into(), "{file}".into()],
            stdin: CommandInput::Table,
            tables: vec!["t".into()],
            need: Need::Required,
            privilege: Privilege::Owner,
            settle: None,
            reason: "to compile".into(),
        },
        Command {
            phase: Phase::Activate,
            argv: vec!["/bin/reload".into()],
            stdin: CommandInput::Nothing,
            tables: vec![],
            need: Need::Advised,
            privilege: Privilege::Root,
            settle: Some(Duration::from_millis(1500)),
            reason: "".into(),
        },
    ]
}

/// Passes on everything that it gets.
struct Mirror {
    log: Box<dyn HostLog>,
    greeting: String,
}

impl IncomingAdapter for Mirror {
    fn settings() -> Vec<SettingSpec> {
        let spec = |name: &str, kind| SettingSpec { name: name.into(), kind, default: "d".into(), help: "h".into() };
        vec![
            spec("text", SettingKind::Text),
            spec("program", SettingKind::Program),
            spec("path", SettingKind::Path),
            spec("integer", SettingKind::Integer),
            spec("boolean", SettingKind::Boolean),
            spec("choice", SettingKind::Choice(vec!["regex=regexp".into(), "hash".into()])),
        ]
    }

    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        match settings.value("greeting") {
            "" => Err(Error::setting("greeting is empty").with_hint("greet somebody")),
            greeting => Ok(Mirror { log, greeting: greeting.to_owned() }),
        }
    }

    fn probe(&self, site: &Site, tools: &dyn Tools) -> Result<Facts> {
        let output = tools.run(&["/bin/echo", "a b"], "in")?;
        let missing = tools.read_file("/none").unwrap_err();
        Ok([
            ("site", format!("{:?}", site)),
            ("output", format!("{:?}", output)),
            ("missing", format!("{:?}", missing)),
            ("exists", format!("{} {}", tools.exists("/etc/acme"), tools.exists("/etc/other"))),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        self.log.log(LogLevel::Warn, &self.greeting);
        sink.file("change", 0o640, format!("{:?}", change).as_bytes())?;
        sink.file("facts", 0o640, format!("{:?}", context.facts).as_bytes())?;
        for table in every_kind_of_table() {
            sink.table(&table)?;
        }
        let mut keys = Vec::new();
        context.roster.for_each_list(&mut |list| {
            keys.push(format!("{}@{}", list.local, list.domain.routed()));
            sink.rows(&[Row { key: list.local, value: list.list_id, column: 4 }])
        })?;
        context.roster.for_each_domain(&mut |domain| sink.remove(domain.name))?;
        let rows: Vec<Row<'_>> = keys.iter().map(|key| Row { key, value: "v", column: 0 }).collect();
        sink.rows(&rows)?;
        for command in commands() {
            sink.command(&command)?;
        }
        let roster = context.roster;
        let counts =
            format!("{} {} {}", roster.list_count(), roster.is_list("ants", DOMAIN.name)?, roster.is_list("x", "y")?);
        sink.absent(&["gone", "away"])?;
        sink.guard(&Guard { path: "home".into(), mode: 0o1000 })?;
        let mut routed = Vec::new();
        roster.for_each_domain_routed_to(DOMAIN.alias, &mut |domain| {
            routed.push(domain.name.to_owned());
            Ok(())
        })?;
        sink.remove(&routed.join(" "))?;
        sink.remove(&counts)
    }

    fn snippets(&self, _: Context<'_>) -> Result<Vec<Snippet>> {
        Ok(snippets())
    }

    fn check(&self, _: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        tools.read_file("/none").map(|_| Vec::new()).or_else(|_| Ok(findings()))
    }
}

fn snippets() -> Vec<Snippet> {
    let snippet = |kind, file: &str| Snippet {
        kind,
        file: file.into(),
        text: "t\n".into(),
        explanation: "e".into(),
        undo: "u\n".into(),
    };
    vec![
        snippet(SnippetKind::Lines, "/etc/main.cf"),
        snippet(SnippetKind::Commands, ""),
        snippet(SnippetKind::File, "/etc/ours"),
    ]
}

fn findings() -> Vec<Finding> {
    let all = vec![Severity::Ok, Severity::Info, Severity::Warning, Severity::Error];
    let finding = |severity| Finding {
        severity,
        subject: "main.cf".into(),
        seen: "a".into(),
        expected: "b".into(),
        advice: "c".into(),
    };
    all.into_iter().map(finding).collect()
}

fn mirror(log: &Arc<TestLog>) -> host::Incoming {
    let adapter = export::incoming::<Mirror>("Mirror", "for tests");
    let settings: Settings = vec![("greeting", "hello")].into_iter().collect();
    host::Incoming::new(adapter, Arc::clone(log) as Arc<dyn HostLog>, &settings).unwrap()
}

#[test]
fn a_plan_arrives_as_it_was_made() {
    let (log, site, facts) = (Arc::new(TestLog::default()), site(), Facts::from([("k".into(), "v".into())]));
    let adapter = mirror(&log);
    for change in [
        Change::Everything,
        Change::ListAdded(ANTS),
        Change::ListRemoved(BEES),
        Change::DomainAdded(DOMAIN),
        Change::DomainRemoved(DOMAIN),
    ] {
        let mut seen = Recorder::default();
        adapter.plan(Context { site: &site, facts: &facts, roster: &TwoLists }, change, &mut seen).unwrap();

        let mut expected = Recorder::default();
        expected.file("change", 0o640, format!("{:?}", change).as_bytes()).unwrap();
        expected.file("facts", 0o640, format!("{:?}", facts).as_bytes()).unwrap();
        for table in every_kind_of_table() {
            expected.table(&table).unwrap();
        }
        expected.rows(&[Row { key: "ants", value: "ants.example.org", column: 4 }]).unwrap();
        expected.rows(&[Row { key: "bees", value: "bees.example.org", column: 4 }]).unwrap();
        expected.remove("example.org").unwrap();
        let value = |key| Row { key, value: "v", column: 0 };
        expected.rows(&[value("ants@lists.example.org"), value("bees@lists.example.org")]).unwrap();
        for command in commands() {
            expected.command(&command).unwrap();
        }
        expected.absent(&["gone", "away"]).unwrap();
        expected.guard(&Guard { path: "home".into(), mode: 0o1000 }).unwrap();
        expected.remove("example.org").unwrap();
        expected.remove("2 true false").unwrap();
        assert_eq!(seen.0, expected.0);
    }
    assert_eq!(log.0.lock().unwrap()[0], (LogLevel::Warn, "hello".to_owned()));
}

#[test]
fn site_tools_snippets_and_findings_arrive_as_they_were_made() {
    let (site, facts) = (site(), Facts::new());
    let adapter = mirror(&Arc::new(TestLog::default()));
    let context = Context { site: &site, facts: &facts, roster: &TwoLists };

    let probed = adapter.probe(&site, &Echo).unwrap();
    assert_eq!(probed["site"], format!("{:?}", site));
    assert_eq!(probed["output"], format!("{:?}", Echo.run(&["/bin/echo", "a b"], "in").unwrap()));
    assert_eq!(probed["missing"], format!("{:?}", Echo.read_file("/none").unwrap_err()));
    assert_eq!(probed["exists"], "true false");

    let unix = Site { lmtp: LmtpAddress::unix("/run/lmtp"), ..site.clone() };
    assert_eq!(adapter.probe(&unix, &Echo).unwrap()["site"], format!("{:?}", unix));

    assert_eq!(adapter.snippets(context).unwrap(), snippets());
    assert_eq!(adapter.check(context, &Echo).unwrap(), findings());
}

#[test]
fn settings_are_declared_and_a_bad_one_is_told_in_the_adapters_words() {
    let adapter = export::incoming::<Mirror>("Mirror", "for tests");
    assert_eq!(host::settings(adapter).unwrap(), Mirror::settings());

    let error = host::Incoming::new(adapter, Arc::new(TestLog::default()), &Settings::default()).err().unwrap();
    assert_eq!(error, Error::setting("greeting is empty").with_hint("greet somebody"));
    let error = host::Outgoing::new(adapter, Arc::new(TestLog::default()), &Settings::default()).err().unwrap();
    assert_eq!(error.message, "adapter Mirror is not an outgoing adapter");
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Panics wherever it can.
struct Bomb;

impl IncomingAdapter for Bomb {
    fn settings() -> Vec<SettingSpec> {
        panic!("settings!")
    }
    fn new(_: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        match settings.value("new") {
            "" => Ok(Bomb),
            text => std::panic::panic_any(text.to_owned()),
        }
    }
    fn probe(&self, _: &Site, _: &dyn Tools) -> Result<Facts> {
        std::panic::panic_any(PanicsWhenDropped)
    }
    fn plan(&self, context: Context<'_>, _: Change<'_>, _: &mut dyn PlanSink) -> Result<()> {
        context.roster.for_each_list(&mut |list| panic!("at {}", list.local))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
        panic!("drop!");
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("the payload!");
    }
}

#[test]
fn every_panic_of_an_adapter_becomes_an_error() {
    let log: Arc<dyn HostLog> = Arc::new(TestLog::default());
    let adapter = export::incoming::<Bomb>("Bomb", "for tests");
    let (site, facts) = (site(), Facts::new());
    let context = Context { site: &site, facts: &facts, roster: &TwoLists };

    let error = host::settings(adapter).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panic, "settings panicked: settings!"));

    let bad: Settings = vec![("new", "boom")].into_iter().collect();
    let error = host::Incoming::new(adapter, Arc::clone(&log), &bad).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panic, "new panicked: boom"));

    let bomb = host::Incoming::new(adapter, log, &Settings::default()).unwrap();
    for _ in 0..2 {
        let error = bomb.plan(context, Change::Everything, &mut Recorder::default()).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panic, "for_each_list panicked: at ants"));
        let error = bomb.probe(&site, &Echo).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panic, "probe panicked: (a panic without words)"));
    }
    drop(bomb);
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
}

struct BrokenHost;

impl Roster for BrokenHost {
    fn for_each_domain(&self, _: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        panic!("roster!")
    }
    fn for_each_list(&self, _: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        Ok(())
    }
    fn list_count(&self) -> u64 {
        panic!("roster!")
    }
    fn list_id(&self, _: &str, _: &str) -> Result<Option<String>> {
        panic!("no such index")
    }
    fn for_each_domain_routed_to(&self, _: &str, _: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        Ok(())
    }
}

/// Believes what the host says, and never looks at errors.
struct Credulous;

impl IncomingAdapter for Credulous {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Credulous)
    }
    fn plan(&self, context: Context<'_>, _: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        if !context.roster.is_list("ants", "example.org").unwrap_or(false) {
            let _ = sink.remove("ants");
        }
        Ok(())
    }
}

#[test]
fn a_panic_of_the_host_in_a_callback_fails_the_call_and_is_not_blamed_on_the_adapter() {
    let adapter = export::incoming::<Credulous>("Credulous", "for tests");
    let adapter = host::Incoming::new(adapter, Arc::new(TestLog::default()), &Settings::default()).unwrap();
    let (site, facts) = (site(), Facts::new());
    let context = Context { site: &site, facts: &facts, roster: &BrokenHost };
    let error = adapter.plan(context, Change::Everything, &mut Recorder::default()).unwrap_err();
    assert_eq!(error, Error::failed("the host's roster panicked: no such index"));
}

#[test]
fn the_hosts_refusal_of_a_plan_reaches_the_adapter_and_comes_back_unchanged() {
    struct Absolute;
    impl IncomingAdapter for Absolute {
        fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
            Ok(Absolute)
        }
        fn plan(&self, _: Context<'_>, _: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
            let mut table = every_kind_of_table().remove(0);
            table.path = "/etc/passwd".into();
            sink.table(&table)
        }
    }
    let adapter = export::incoming::<Absolute>("Absolute", "for tests");
    let adapter = host::Incoming::new(adapter, Arc::new(TestLog::default()), &Settings::default()).unwrap();
    let (site, facts) = (site(), Facts::new());
    let context = Context { site: &site, facts: &facts, roster: &TwoLists };
    let error = adapter.plan(context, Change::Everything, &mut Recorder::default()).unwrap_err();
    assert_eq!(error, Error::failed("table path is absolute").with_hint("make it relative"));
    let error = adapter.check(context, &Echo).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

/// Answers for as many recipients as its setting says.
struct Counter(usize);

impl OutgoingAdapter for Counter {
    fn new(_: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        settings.value("answers").parse().map(Counter).map_err(|_| Error::setting("answers is no number"))
    }
    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        let outcomes = vec![Outcome::Delivered, Outcome::TemporaryFailure, Outcome::PermanentFailure];
        let size = batch.message.len();
        let result = |(outcome, to): (Outcome, &&str)| RecipientResult {
            outcome,
            reply: format!("{} to {}, {} octets", batch.sender, to, size),
        };
        Ok(outcomes.into_iter().zip(batch.recipients).take(self.0).map(result).collect())
    }
}

#[test]
fn each_recipient_gets_its_own_result() {
    let adapter = export::outgoing::<Counter>("Counter", "for tests");
    let batch = Batch::new("ants-bounces@example.org", &["a@x", "b@x", "c@x"], b"1\r\n\xff\0");
    let make = |answers: &str| {
        let settings: Settings = vec![("answers", answers)].into_iter().collect();
        host::Outgoing::new(adapter, Arc::new(TestLog::default()), &settings).unwrap()
    };
    let results = make("3").deliver(batch).unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0].outcome, Outcome::Delivered);
    assert_eq!(results[1].outcome, Outcome::TemporaryFailure);
    assert_eq!(results[2].outcome, Outcome::PermanentFailure);
    assert_eq!(results[1].reply, "ants-bounces@example.org to b@x, 5 octets");

    let error = make("2").deliver(batch).unwrap_err();
    assert_eq!(error.message, "the adapter gave 2 results for 3 recipients");
}

/// Says what it was told of a message, in place of a result.
struct Telltale;

impl OutgoingAdapter for Telltale {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Telltale)
    }
    fn abilities(&self) -> Abilities {
        Abilities::default().with_verp(true)
    }
    fn programs(&self) -> Vec<String> {
        vec!["/usr/sbin/sendmail".into()]
    }
    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        Ok(injection().with_variable("TOLD", format!("{:?}", envelope)))
    }
    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        Err(Error::failed(format!("{:?}", batch)))
    }
}

fn injection() -> Injection {
    Injection::new(["/usr/sbin/sendmail", "--"])
        .with_input(0, Content::MessageLf)
        .with_input(1, Content::MessageCrLf)
        .with_input(3, Content::Bytes(b"\0\xff".to_vec()))
        .with_exits(0..=0, Outcome::Delivered, "2.0.0 taken")
        .with_exits(64..=78, Outcome::PermanentFailure, "5.0.0 refused")
        .with_otherwise(Outcome::Unavailable)
}

#[test]
fn envelopes_batches_and_injections_arrive_as_they_were_made() {
    let adapter = export::outgoing::<Telltale>("Telltale", "for tests");
    let adapter = host::Outgoing::new(adapter, Arc::new(TestLog::default()), &Settings::default()).unwrap();
    assert_eq!(adapter.abilities(), Telltale.abilities());
    assert_eq!(adapter.programs(), Telltale.programs());

    let plain = Envelope::new("", &["a@x"], 17);
    let full = Envelope::new("ants@example.org", &["a@x", "ü@x"], u64::MAX).with_verp("+").with_smtp_utf8(true);
    for envelope in [plain, full, full.with_eight_bit(true).with_smtp_utf8(false)] {
        let expected = injection().with_variable("TOLD", format!("{:?}", envelope));
        assert_eq!(adapter.inject(envelope).unwrap(), expected);
    }
    let batch = Batch::new("ants@example.org", &["a@x", "ü@x"], b"1\r\n");
    for batch in [batch, batch.with_smtp_utf8(true)] {
        assert_eq!(adapter.deliver(batch).unwrap_err(), Error::failed(format!("{:?}", batch)));
    }
}

#[test]
fn a_plugins_name_is_checked_when_it_is_compiled() {
    assert!(export::is_plugin_name("postfix_2"));
    for bad in ["", "Postfix", "post-fix", "../x", "a b"] {
        assert!(!export::is_plugin_name(bad), "{:?}", bad);
    }
}

/// What authors write as a literal, or match without `_`, could never grow within a major version.
#[test]
fn whatever_is_public_in_the_sdk_may_grow() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sdk");
    let mut seen = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut attributes = String::new();
        for line in text.lines() {
            // A struct without public fields (`Settings(…)`) cannot be written as a literal anyway.
            let is_open = line.starts_with("pub enum ") || (line.starts_with("pub struct ") && line.ends_with('{'));
            if is_open {
                seen += 1;
                assert!(attributes.contains("#[non_exhaustive]"), "{}: {}", path.display(), line);
            }
            if line.starts_with("#[") {
                attributes.push_str(line);
            } else {
                attributes.clear();
            }
        }
    }
    assert!(seen > 30, "{}", seen);
}
