//! One library with an adapter for each mistake that `postrider plugin check` finds.
//!
//! Each adapter is a good one but for its one mistake, and makes that only where just the test that is meant to
//! find it looks.

use postrider_plugin_api::sdk::*;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What is wrong with an adapter.
mod fault {
    pub const NONE: usize = 0;
    pub const HELP: usize = 1;
    pub const DEFAULT: usize = 2;
    pub const NEW_PANICS: usize = 3;
    pub const PROBE_PANICS: usize = 4;
    pub const PROBE_UNDECLARED: usize = 5;
    pub const DOT_DOT: usize = 6;
    pub const ABSOLUTE: usize = 7;
    pub const TWICE: usize = 8;
    pub const COMMAND: usize = 9;
    pub const NOTHING_PANICS: usize = 10;
    pub const COUNTS: usize = 11;
    pub const FORGETS: usize = 12;
    pub const STRANGER: usize = 13;
    pub const MISSES: usize = 14;
    pub const LOOSE: usize = 15;
    pub const SLOW: usize = 16;
    pub const HUGE: usize = 17;
    pub const UNEXPLAINED: usize = 18;
    pub const NO_SHELL: usize = 19;
    pub const CRASHES: usize = 20;
    pub const EXITS: usize = 21;
    pub const HANGS: usize = 22;
    pub const OVERFLOWS: usize = 23;
    pub const CHECK_PANICS: usize = 24;
    pub const SWALLOWS: usize = 25;
    pub const REWORDS: usize = 26;
    pub const ONE_AT_A_TIME: usize = 27;
    pub const LEAKS_FILES: usize = 28;
    pub const LEAKS_THREADS: usize = 29;
    pub const LEAKS_MEMORY: usize = 30;
    pub const PRINTS: usize = 31;
    pub const SIMILAR: usize = 32;
    pub const OWN_PATH: usize = 33;
}

static COUNTER: AtomicUsize = AtomicUsize::new(0);
static BUSY: AtomicBool = AtomicBool::new(false);

/// An incoming adapter with this fault.
struct Misfit<const FAULT: usize>;

impl<const FAULT: usize> IncomingAdapter for Misfit<FAULT> {
    fn settings() -> Vec<SettingSpec> {
        let word = match FAULT {
            fault::HELP => SettingSpec::new("word", SettingKind::Text, "x", "a word"),
            fault::DEFAULT => {
                let choice = SettingKind::Choice(vec!["one".into(), "two".into()]);
                SettingSpec::new("word", choice, "three", "One of two words.")
            }
            _ => SettingSpec::new("word", SettingKind::Text, "x", "A word."),
        };
        vec![word, SettingSpec::new("program", SettingKind::Program, "/usr/sbin/misfit", "The mail server.")]
    }

    fn new(_: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        match FAULT {
            fault::NEW_PANICS => assert!(settings.value("word").len() < 1000, "the word is too long"),
            fault::LEAKS_FILES => std::mem::forget(File::open("/dev/null")),
            fault::LEAKS_THREADS if COUNTER.fetch_add(1, Ordering::SeqCst) % 100 == 1 => {
                let sleep = || std::thread::sleep(Duration::from_secs(1000));
                std::thread::Builder::new()
                    .stack_size(64 << 10)
                    .spawn(sleep)
                    .map_err(|e| Error::failed(e.to_string()))?;
            }
            fault::LEAKS_MEMORY => std::mem::forget(vec![1u8; 64 << 10]),
            _ => {}
        }
        Ok(Misfit)
    }

    fn probe(&self, _: &Site, tools: &dyn Tools) -> Result<Facts> {
        if FAULT == fault::PROBE_UNDECLARED {
            let _ = tools.run(&["/bin/sh", "-c", "id"], "");
        }
        let output = tools.run(&["/usr/sbin/misfit", "-V"], "");
        if FAULT == fault::PROBE_PANICS {
            let garbage = output.map_or(false, |output| output.stdout.contains('\0'));
            assert!(!garbage, "no version");
        }
        Ok(Facts::new())
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        if FAULT == fault::ONE_AT_A_TIME && BUSY.swap(true, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Temporary, "busy with another plan"));
        }
        let result = match (FAULT, plan::<FAULT>(context, change, sink)) {
            (fault::SWALLOWS, _) => Ok(()),
            (fault::REWORDS, Err(_)) => Err(Error::failed("something went wrong")),
            (_, result) => result,
        };
        if FAULT == fault::ONE_AT_A_TIME {
            std::thread::sleep(Duration::from_millis(2));
            BUSY.store(false, Ordering::SeqCst);
        }
        result
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let (text, explanation) = match FAULT {
            fault::UNEXPLAINED => ("true\n", ""),
            fault::NO_SHELL => ("if true; then\n", "It looks well."),
            _ => ("true\n", "Nothing is to be done, and this does it."),
        };
        // Only the test of snippets asks about such a site.
        if context.site.delimiter.is_empty() {
            match FAULT {
                fault::CRASHES => crash(),
                fault::EXITS => std::process::exit(0),
                fault::HANGS => std::thread::sleep(Duration::from_secs(1000)),
                fault::OVERFLOWS => drop(overflow(1)),
                _ => {}
            }
        }
        Ok(vec![Snippet::commands(text, explanation)])
    }

    fn check(&self, _: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        let said = tools.run(&["/usr/sbin/misfit", "-V"], "").map_or_else(|_| String::new(), |output| output.stdout);
        assert!(FAULT != fault::CHECK_PANICS || !said.contains('\0'), "no version");
        Ok(vec![Finding::new(Severity::Info, "misfit", "it is there, or not")])
    }
}

fn plan<const FAULT: usize>(context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let Context { site, roster, .. } = context;
    // Only the test of rules plans for such a site.
    let unix = matches!(site.lmtp, LmtpAddress::Unix(_));
    let path = match FAULT {
        fault::DOT_DOT if unix => "../misfit",
        fault::ABSOLUTE if unix => "/etc/misfit",
        fault::OWN_PATH if unix => "postrider.db",
        _ => "misfit",
    };
    if FAULT == fault::NOTHING_PANICS {
        let mut domains = 0;
        roster.for_each_domain(&mut |_| {
            domains += 1;
            Ok(())
        })?;
        let last = matches!(change, Change::DomainRemoved(domain) if domain.name == "lists.example.com");
        assert!(domains > 0 || !last, "nobody is left");
    }
    if roster.list_count() > 1000 {
        match FAULT {
            fault::SLOW => std::thread::sleep(Duration::from_secs(1000)),
            fault::HUGE => drop(vec![1u8; 5 << 30]),
            _ => {}
        }
    }
    if FAULT == fault::PRINTS {
        println!("planning");
    }
    if FAULT == fault::FORGETS {
        return forgets(context, change, sink);
    }
    let mut table = Table::new(path, TableFormat::Text, TableRole::Acceptance);
    roster.for_each_domain(&mut |domain| {
        if FAULT == fault::COUNTS && domain.name.starts_with("xn--") {
            table.comment = format!("Plan number {}", COUNTER.fetch_add(1, Ordering::SeqCst));
        }
        Ok(())
    })?;
    sink.table(&table)?;
    for_each_address(site, roster, &mut |address| {
        let domain = address.list.domain.routed();
        if FAULT == fault::MISSES && address.list.local.contains('.') {
            return Ok(());
        }
        if FAULT == fault::STRANGER && address.local == "bees" {
            sink.rows(&[Row::new(&format!("beekeeper@{}", domain), "nobody")])?;
        }
        let key = match FAULT {
            fault::LOOSE => format!("/^{}@{}$/", address.local, domain),
            _ => format!("{}@{}", address.local, domain),
        };
        let list_id = match FAULT {
            // Takes a list that is called so for the sub-address of another one.
            fault::SIMILAR if address.local == "foo-request" => "foo.a.example",
            _ => address.list.list_id,
        };
        sink.rows(&[Row::new(&key, list_id)])
    })?;
    match FAULT {
        fault::TWICE if unix => sink.file("misfit", 0o644, b"again"),
        fault::COMMAND if unix => sink.command(&Command::new(Phase::Activate, ["/bin/sh", "-c", "id"], "to be seen")),
        _ => sink.command(&Command::new(Phase::Activate, ["/usr/sbin/misfit", "reload"], "to be seen").for_table(path)),
    }
}

/// Leaves the addresses of lists that are gone in the table.
fn forgets(context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let table = Table::new("misfit", TableFormat::Directory { mark: String::new() }, TableRole::Acceptance);
    let row = |address: &Address<'_>, sink: &mut dyn PlanSink| {
        let key = format!("{}@{}", address.local, address.list.domain.routed());
        sink.rows(&[Row::new(&key, address.list.list_id)])
    };
    match change {
        Change::ListAdded(list) | Change::ListRemoved(list) => {
            sink.table(&table.with_extent(Extent::Changes))?;
            for_each_address_of(list, context.site, context.roster, &mut |_, address| {
                address.map_or(Ok(()), |address| row(address, sink))
            })
        }
        _ => {
            sink.table(&table)?;
            for_each_address(context.site, context.roster, &mut |address| row(address, sink))
        }
    }
}

fn crash() {
    extern "C" {
        fn raise(signal: i32) -> i32;
    }
    // SAFETY: it takes a number and ends the process.
    unsafe { raise(11) };
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let room = [depth; 1000];
    overflow(depth + 1) + room[depth as usize % 1000]
}

/// An outgoing adapter with this fault.
struct Sender<const FAULT: usize>;

mod out {
    pub const NONE: usize = 0;
    pub const RELATIVE: usize = 1;
    pub const NO_MESSAGE: usize = 2;
    pub const OPTIONS: usize = 3;
    pub const NO_SUCCESS: usize = 4;
    pub const LOSES: usize = 5;
    pub const SHELL: usize = 6;
    pub const PANICS: usize = 7;
}

impl<const FAULT: usize> OutgoingAdapter for Sender<FAULT> {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Sender)
    }

    fn programs(&self) -> Vec<String> {
        let other = if FAULT == out::RELATIVE { "postdrop" } else { "/usr/sbin/postdrop" };
        vec!["/usr/sbin/sendmail".into(), other.into()]
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        assert!(FAULT != out::PANICS || !envelope.sender.is_empty(), "nobody sent it");
        if envelope.recipients.iter().any(|recipient| recipient.contains('\0')) {
            return Err(Error::failed("a recipient has a NUL"));
        }
        let mut argv = vec!["/usr/sbin/sendmail".to_owned()];
        if FAULT == out::SHELL {
            argv = vec!["/bin/sh".to_owned()];
        }
        if FAULT != out::OPTIONS {
            argv.push("--".into());
        }
        let most = if FAULT == out::LOSES { 999 } else { usize::MAX };
        argv.extend(envelope.recipients.iter().take(most).map(|recipient| recipient.to_string()));
        let injection = Injection::new(argv);
        let injection = if FAULT == out::NO_MESSAGE { injection } else { injection.with_input(0, Content::MessageLf) };
        let first = if FAULT == out::NO_SUCCESS { 1 } else { 0 };
        Ok(injection.with_exits(first..=first, Outcome::Delivered, "2.0.0 taken"))
    }
}

postrider_plugin_api::export_plugin! {
    name: "misfits",
    version: "1",
    incoming: [
        "Good" = Misfit<{ fault::NONE }>, "No mistake at all",
        "NoDescription" = Misfit<{ fault::NONE }>, "",
        "Help" = Misfit<{ fault::HELP }>, "A setting's help is no sentence",
        "Default" = Misfit<{ fault::DEFAULT }>, "A default is no choice",
        "NewPanics" = Misfit<{ fault::NEW_PANICS }>, "Panics for a long setting",
        "ProbePanics" = Misfit<{ fault::PROBE_PANICS }>, "Panics for garbage",
        "ProbeUndeclared" = Misfit<{ fault::PROBE_UNDECLARED }>, "Runs a shell",
        "DotDot" = Misfit<{ fault::DOT_DOT }>, "Leaves the table directory",
        "Absolute" = Misfit<{ fault::ABSOLUTE }>, "Writes in /etc",
        "OwnPath" = Misfit<{ fault::OWN_PATH }>, "Writes over the database",
        "Twice" = Misfit<{ fault::TWICE }>, "Names a path twice",
        "Command" = Misfit<{ fault::COMMAND }>, "Plans a command that is not declared",
        "NothingPanics" = Misfit<{ fault::NOTHING_PANICS }>, "Panics when no domain is left",
        "Counts" = Misfit<{ fault::COUNTS }>, "No plan is like the one before",
        "Forgets" = Misfit<{ fault::FORGETS }>, "Removed lists stay",
        "Stranger" = Misfit<{ fault::STRANGER }>, "Takes mail for nobody",
        "Misses" = Misfit<{ fault::MISSES }>, "Has no lists with dots",
        "Loose" = Misfit<{ fault::LOOSE }>, "Dots stand for anything",
        "Similar" = Misfit<{ fault::SIMILAR }>, "Takes a list for a sub-address",
        "Slow" = Misfit<{ fault::SLOW }>, "Takes its time",
        "Huge" = Misfit<{ fault::HUGE }>, "Takes 5 GiB",
        "Unexplained" = Misfit<{ fault::UNEXPLAINED }>, "A step without explanation",
        "NoShell" = Misfit<{ fault::NO_SHELL }>, "Commands that are none",
        "Crashes" = Misfit<{ fault::CRASHES }>, "SIGSEGV",
        "Exits" = Misfit<{ fault::EXITS }>, "Ends the process",
        "Hangs" = Misfit<{ fault::HANGS }>, "Never answers",
        "Overflows" = Misfit<{ fault::OVERFLOWS }>, "Stack overflow",
        "CheckPanics" = Misfit<{ fault::CHECK_PANICS }>, "Panics for garbage",
        "Swallows" = Misfit<{ fault::SWALLOWS }>, "All is well, whatever happens",
        "Rewords" = Misfit<{ fault::REWORDS }>, "Tells errors in its own words",
        "OneAtATime" = Misfit<{ fault::ONE_AT_A_TIME }>, "One plan at a time",
        "LeaksFiles" = Misfit<{ fault::LEAKS_FILES }>, "Leaves files open",
        "LeaksThreads" = Misfit<{ fault::LEAKS_THREADS }>, "Leaves threads running",
        "LeaksMemory" = Misfit<{ fault::LEAKS_MEMORY }>, "Leaves memory behind",
        "Prints" = Misfit<{ fault::PRINTS }>, "Prints on standard output",
    ],
    outgoing: [
        "SendsWell" = Sender<{ out::NONE }>, "No mistake at all",
        "Relative" = Sender<{ out::RELATIVE }>, "A program without a path",
        "NoMessage" = Sender<{ out::NO_MESSAGE }>, "Sends nothing",
        "Options" = Sender<{ out::OPTIONS }>, "Recipients among the options",
        "NoSuccess" = Sender<{ out::NO_SUCCESS }>, "Never succeeds",
        "Loses" = Sender<{ out::LOSES }>, "Forgets the last recipient",
        "Shell" = Sender<{ out::SHELL }>, "Runs what it did not declare",
        "SenderPanics" = Sender<{ out::PANICS }>, "Panics for the empty sender",
    ],
}
