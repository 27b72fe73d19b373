//! `make bench`: Postrider beside others that do the same work, in one run.
//!
//! `postrider-bench TOOLS [--quick] [SECTION...]`: TOOLS is the directory of unpacked peers that `tests/bench/run`
//! makes; without a section all are measured.

mod compare;
mod fan_out;
mod forwarder;
mod independence;
mod intake;
mod isolation;
mod latency;
mod network;
mod peers;
mod plot;
mod publication;
mod report;
mod resources;
mod sites;

use compare::Effort;
use peers::Peers;
use report::Report;
use std::path::Path;

/// What all sections need.
pub struct Bench<'a> {
    peers: &'a Peers,
    effort: Effort,
    report: Report,
    /// Peers that give up root must have it first.
    root: bool,
}

type Section = (&'static str, fn(&mut Bench<'_>));

const SECTIONS: [Section; 9] = [
    ("intake", intake::measure),
    ("fan-out", fan_out::measure),
    ("far-away", fan_out::measure_far),
    ("xverp", fan_out::measure_xverp),
    ("latency", latency::measure),
    ("resources", resources::measure),
    ("independence", independence::measure),
    ("publication", publication::measure),
    ("isolation", isolation::measure),
];

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let names = SECTIONS.map(|(name, _)| name).join(", ");
    if args.is_empty() {
        eprintln!("usage: postrider-bench TOOLS [--quick] [SECTION...]; use tests/bench/run. Sections: {names}");
        std::process::exit(2);
    }
    let peers = Peers::unpacked_at(args.remove(0));
    let quick = args.iter().any(|arg| arg == "--quick");
    args.retain(|arg| arg != "--quick");
    if let Some(unknown) = args.iter().find(|arg| SECTIONS.iter().all(|(name, _)| name != arg)) {
        eprintln!("no section {unknown}; there are: {names}");
        std::process::exit(2);
    }
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let report = Report::new(Path::new("target/bench"), effort);
    let mut bench = Bench { peers: &peers, effort, report, root: rustix::process::geteuid().is_root() };
    if !bench.root {
        bench.report.line("\nNot run as root: Postfix and Dovecot were not measured.");
    }
    for (name, measure) in SECTIONS {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            measure(&mut bench);
        }
    }
    bench.report.finish();
}
