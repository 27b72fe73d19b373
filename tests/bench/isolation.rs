//! What a process of its own costs a plugin.

use crate::Bench;
use crate::compare::median;
use crate::report::Report;
use crate::sites::memory;
use postrider::config::AdapterName;
use postrider::hookup::Roster;
use postrider::lists::{Domain, DomainName, List, ListAddress, ListSettings};
use postrider::plugins::PluginRegistry;
use postrider::plugins::worker::Limits;
use postrider_plugin_api::sdk::{
    Batch, Change, Context, Facts, IncomingAdapter, LmtpAddress, OutgoingAdapter, Result, Row, Settings, Site,
};
use postrider_tests::fixtures::{PluginDir, built};
use postrider_tests::installation::build_dir;
use postrider_tests::stand_ins::{OnRows, TestLog};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// In process and through a worker: a call, a start, a plan of 100,000 lists, memory.
pub fn measure(bench: &mut Bench<'_>) {
    let dir = PluginDir::new();
    dir.install_bytes("postfix", &fs::read(build_dir().join("libpostrider_postfix.so")).expect("the Postfix plugin"));
    // A debug build, but all that its `deliver` does is to copy a few octets.
    dir.install_bytes("good", &fs::read(built("good")).expect("the plugin good"));
    let paths: Vec<PathBuf> = vec![dir.path().to_owned()];
    let remote = || PluginRegistry::new(paths.clone()).with_workers(build_dir().join("postrider"), Limits::default());

    let report = &mut bench.report;
    report.table("Plugins in processes of their own", &["what", "in process", "through a worker"]);
    let starts: Vec<f64> = (0..30)
        .map(|_| {
            let registry = remote();
            let start = Instant::now();
            let adapter = outgoing(&registry);
            adapter.deliver(Batch::new("", &["a@example.org"], b"x")).expect("delivered");
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let here = PluginRegistry::new(paths.clone());
    let start = Instant::now();
    let adapter = outgoing(&here);
    adapter.deliver(Batch::new("", &["a@example.org"], b"x")).expect("delivered");
    report.line(&format!(
        "| start, load, first call, ms | {:.2} | {:.2} |",
        start.elapsed().as_secs_f64() * 1e3,
        median(starts)
    ));

    let there = remote();
    let far = outgoing(&there);
    report.line(&format!(
        "| one call (deliver, 1 recipient, empty), us | {:.2} | {:.2} |",
        call(&*adapter, b""),
        call(&*far, b"")
    ));
    let message = vec![b'x'; 1 << 20];
    // The plugin keeps what it gets; it is started anew before that counts.
    let (near, away) = (big(&*adapter, &message), big(&*far, &message));
    report.line(&format!("| one call with a message of 1 MiB, us | {near:.0} | {away:.0} |"));

    let lists = lists(100_000);
    report.line(&format!(
        "| plan of 1 new list among 100,000, us | {:.0} | {:.0} |",
        one(&here, &lists),
        one(&there, &lists)
    ));
    let ((rows, octets, near), (same, _, away)) = (everything(&here, &lists), everything(&there, &lists));
    assert_eq!(rows, same, "both plan the same");
    report.line(&format!("| plan of 100,000 lists ({rows} rows, {} MiB), ms | {near:.0} | {away:.0} |", octets >> 20));

    drop((adapter, far, there));
    let registry = remote();
    let adapter = incoming(&registry);
    adapter.probe(&site(), &NoTools).expect("facts");
    let worker = worker_of(std::process::id());
    report.line(&format!(
        "| idle worker with the Postfix plugin, MiB | | RSS {:.1}, PSS {:.1}, private {:.1} |",
        memory(worker, "VmRSS"),
        smaps(worker, &["Pss:"]),
        smaps(worker, &["Private_Clean:", "Private_Dirty:"])
    ));
    daemons(report);
}

/// The daemon with Postfix as incoming adapter, a minute and more after its start would be without any worker.
fn daemons(report: &mut Report) {
    use postrider_tests::installation::Installation;
    let of = |isolation: &str| {
        let installation = Installation::new();
        let text = fs::read_to_string(installation.config()).expect("configuration");
        let text = text.replace("[plugins]\n", &format!("[plugins]\nisolation: {isolation}\n"));
        fs::write(installation.config(), text).expect("configuration");
        let daemon = installation.serve();
        std::thread::sleep(std::time::Duration::from_secs(1));
        let pid = daemon.pid().cast_unsigned();
        (memory(pid, "VmRSS"), smaps(pid, &["Pss:"]))
    };
    let ((near, near_pss), (far, far_pss)) = (of("in-process"), of("process"));
    report.line(&format!("| daemon, MiB | RSS {near:.1}, PSS {near_pss:.1} | RSS {far:.1}, PSS {far_pss:.1} |"));
}

struct NoTools;

impl postrider_plugin_api::sdk::Tools for NoTools {
    fn run(&self, _: &[&str], _: &str) -> Result<postrider_plugin_api::sdk::ProgramOutput> {
        Err(postrider_plugin_api::sdk::Error::failed("no program"))
    }

    fn read_file(&self, _: &str) -> Result<String> {
        Err(postrider_plugin_api::sdk::Error::failed("no file"))
    }

    fn exists(&self, _: &str) -> bool {
        false
    }
}

fn site() -> Site {
    Site::new(LmtpAddress::Tcp { host: "127.0.0.1".into(), port: 8024 }, "/var/lib/postrider")
}

fn outgoing(registry: &PluginRegistry) -> Box<dyn OutgoingAdapter> {
    let name = AdapterName::Named { plugin: "good".into(), adapter: "Memory".into() };
    registry.outgoing(&name, Box::new(TestLog::default()), &Settings::default()).expect("good.Memory")
}

fn incoming(registry: &PluginRegistry) -> Box<dyn IncomingAdapter> {
    let name = AdapterName::Named { plugin: "postfix".into(), adapter: "LMTP".into() };
    let specs = registry.incoming_settings(&name).expect("settings");
    let settings: Settings = specs
        .into_iter()
        .map(|spec| match spec.name.as_str() {
            "transport_file_type" => (spec.name, "sqlite".to_owned()),
            _ => (spec.name, spec.default),
        })
        .collect();
    registry.incoming(&name, Box::new(TestLog::default()), &settings).expect("postfix.LMTP")
}

/// Median of a call, in microseconds.
fn call(adapter: &dyn OutgoingAdapter, message: &[u8]) -> f64 {
    let deliver = || {
        let start = Instant::now();
        adapter.deliver(Batch::new("", &["a@example.org"], message)).expect("delivered");
        start.elapsed().as_secs_f64() * 1e6
    };
    for _ in 0..1_000 {
        deliver();
    }
    median((0..10_000).map(|_| deliver()).collect())
}

fn big(adapter: &dyn OutgoingAdapter, message: &[u8]) -> f64 {
    let deliver = |_| {
        let start = Instant::now();
        adapter.deliver(Batch::new("", &["a@example.org"], message)).expect("delivered");
        start.elapsed().as_secs_f64() * 1e6
    };
    median((0..50).map(deliver).collect())
}

fn lists(count: usize) -> Roster {
    let name = DomainName::parse("lists.example.com").expect("a domain");
    let domain = Domain { name, alias: None, description: String::new() };
    let list = |number: usize| -> List {
        let address = ListAddress::parse(&format!("list{number}@lists.example.com")).expect("an address");
        let list_id = address.list_id();
        List { id: number as i64, address, list_id, settings: ListSettings::default(), post_count: 0, created: 0 }
    };
    Roster::new(vec![domain], (0..count).map(list).collect())
}

fn one(registry: &PluginRegistry, lists: &Roster) -> f64 {
    use postrider_plugin_api::sdk::{DomainView, ListView};
    let (adapter, site, facts) = (incoming(registry), site(), Facts::new());
    let list = ListView::new("list7", DomainView::new("lists.example.com", ""), "list7.lists.example.com");
    let plan = |_| {
        let start = Instant::now();
        let context = Context::new(&site, &facts, lists);
        adapter.plan(context, Change::ListAdded(list), &mut OnRows(|_: &[Row<'_>]| Ok(()))).expect("planned");
        start.elapsed().as_secs_f64() * 1e6
    };
    median((0..1_000).map(plan).collect())
}

/// Rows, octets, milliseconds.
fn everything(registry: &PluginRegistry, lists: &Roster) -> (usize, usize, f64) {
    let (adapter, site, facts) = (incoming(registry), site(), Facts::new());
    let (mut count, mut octets) = (0, 0);
    let plan = |_| {
        (count, octets) = (0, 0);
        let mut sink = OnRows(|rows: &[Row<'_>]| {
            count += rows.len();
            octets += rows.iter().map(|row| row.key.len() + row.value.len()).sum::<usize>();
            Ok(())
        });
        let start = Instant::now();
        adapter.plan(Context::new(&site, &facts, lists), Change::Everything, &mut sink).expect("planned");
        start.elapsed().as_secs_f64() * 1e3
    };
    let time = median((0..5).map(plan).collect());
    (count, octets, time)
}

/// The youngest child.
fn worker_of(parent: u32) -> u32 {
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let threads = fs::read_dir(format!("/proc/{parent}/task")).expect("/proc");
    let all: Vec<String> = threads.flatten().filter_map(children).collect();
    let pids = all.iter().flat_map(|text| text.split_whitespace()).filter_map(|pid| pid.parse().ok());
    pids.max().expect("a worker")
}

/// The sum of these lines of `smaps_rollup`, in MiB.
fn smaps(process: u32, keys: &[&str]) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("smaps_rollup");
    let value = |line: &str| -> Option<f64> {
        let mut words = line.split_whitespace();
        keys.contains(&words.next()?).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(value).sum::<f64>() / 1024.0
}
