//! The results as a table for people.
//!
//! Every point that ends adds a line (JSON) to `target/mta-matrix/results.jsonl`. When the whole contract
//! has been run these lines become `docs/mta-matrix.md`: the committed file must show the same results;
//! versions and times, which differ from machine to machine, stand in a part that is not compared.

use crate::mta::{Mta, Point};
use crate::points::Outcome;
use postrider_tests::mta_box::cache_dir;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

const COMMAND: &str = "WRITE_MATRIX=1 cargo test -p postrider-tests --test mta";
/// From here on the file is not compared.
const MEASURED: &str = "## Versions and times";

/// One point of one subject.
#[derive(Debug)]
pub struct Record {
    pub subject: &'static str,
    pub version: String,
    pub point: Point,
    pub verdict: Verdict,
    pub outcome: Outcome,
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    /// The MTA cannot do this, for this reason.
    Not(String),
    /// With all that may tell why.
    Failed(String),
}

impl Record {
    pub fn new(mta: &dyn Mta, point: Point, verdict: Verdict) -> Self {
        let (outcome, took) = (Outcome::default(), Duration::ZERO);
        Record { subject: mta.name(), version: String::new(), point, verdict, outcome, took }
    }

    pub fn test(&self) -> String {
        test_name(self.subject, self.point)
    }
}

/// The name by which a test is chosen on the command line: without blanks.
pub fn test_name(subject: &str, point: Point) -> String {
    format!("{}::{}", subject.replace(' ', "_"), point.name())
}

/// Forgets the results of the last run.
pub fn begin() {
    let file = results();
    fs::create_dir_all(file.parent().expect("a directory")).expect("target/mta-matrix");
    fs::write(file, "").expect("results");
}

/// Adds a result.
pub fn write(record: &Record) {
    let (verdict, why) = match &record.verdict {
        Verdict::Kept => ("kept", ""),
        Verdict::Not(why) => ("not", why.as_str()),
        Verdict::Failed(_) => ("failed", ""),
    };
    let times: Vec<_> = record.outcome.times.iter().map(|(what, time)| json!([what, time.as_secs_f64()])).collect();
    let line = json!({
        "subject": record.subject,
        "version": record.version,
        "point": record.point.name(),
        "verdict": verdict,
        "why": why,
        "remarks": record.outcome.remarks,
        "times": times,
        "took": record.took.as_secs_f64(),
    });
    // One write a line: several threads share the file.
    let mut file = fs::File::options().append(true).open(results()).expect("results");
    file.write_all(format!("{line}\n").as_bytes()).expect("results");
}

/// Makes the table from a whole run and compares it with the committed one, or writes that.
///
/// # Errors
/// They differ; with the first line that does, and the command that writes it anew.
pub fn finish(subjects: &[Box<dyn Mta>]) -> Result<(), String> {
    let text = fs::read_to_string(results()).map_err(|error| error.to_string())?;
    let results: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let matrix = Matrix { subjects: subjects.iter().map(|mta| mta.name()).collect(), results };
    let text = matrix.text();
    if std::env::var_os("WRITE_MATRIX").is_some() {
        fs::create_dir_all(committed().parent().expect("a directory")).map_err(|error| error.to_string())?;
        return fs::write(committed(), text).map_err(|error| format!("{}: {error}", committed().display()));
    }
    let before = fs::read_to_string(committed()).unwrap_or_default();
    let compared = |text: &str| text.split(MEASURED).next().unwrap_or_default().to_owned();
    let (before, now) = (compared(&before), compared(&text));
    if before == now {
        return Ok(());
    }
    let differs = before.lines().zip(now.lines()).find(|(before, now)| before != now);
    let (before, now) = differs.unwrap_or(("(it ends)", "(it ends)"));
    Err(format!(
        "docs/mta-matrix.md does not show what this run has shown.\n  there: {before}\n  now:   {now}\nTo write it anew: {COMMAND}"
    ))
}

/// Whether the committed table has a line for each subject; needs no MTA.
pub fn names(subjects: &[Box<dyn Mta>]) -> Result<(), String> {
    let text = fs::read_to_string(committed()).unwrap_or_default();
    match subjects.iter().find(|mta| !text.contains(&format!("| {} |", mta.name()))) {
        None => Ok(()),
        Some(mta) => Err(format!("docs/mta-matrix.md has no line for {}; as root: {COMMAND}", mta.name())),
    }
}

fn results() -> PathBuf {
    cache_dir().with_file_name("mta-matrix").join("results.jsonl")
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mta-matrix.md")
}

struct Matrix {
    subjects: Vec<&'static str>,
    results: Vec<Value>,
}

impl Matrix {
    fn of(&self, subject: &str, point: Point) -> Option<&Value> {
        self.results.iter().find(|result| result["subject"] == subject && result["point"] == point.name())
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# What each MTA keeps of the contract\n\n\
             This file is written by a run of the contract against the real programs, from Debian's packages, each on port 25 of a\n\
             private machine, hooked up by what `postrider hookup --write` writes and by nothing else. Do not edit it; to write it\n\
             anew: `{COMMAND}`.\n\n\
             Postrider works as root there, but for the last two. Strangers come from an address that the MTA does not trust. A number points to a remark.\n\n"
        );
        for point in Point::ALL {
            let _ = writeln!(text, "- **{}**: {}", heading(point), meaning(point));
        }
        text += "\n## Results\n\n| adapter |";
        for point in Point::ALL {
            let _ = write!(text, " {} |", heading(point));
        }
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(Point::ALL.len()));
        let mut remarks: Vec<String> = Vec::new();
        for subject in &self.subjects {
            let _ = write!(text, "| {subject} |");
            for point in Point::ALL {
                let _ = write!(
                    text,
                    " {} |",
                    self.of(subject, point).map_or_else(|| "missing".into(), |result| cell(result, &mut remarks))
                );
            }
            text.push('\n');
        }
        text.push('\n');
        for (number, remark) in remarks.iter().enumerate() {
            let _ = writeln!(text, "{}. {remark}", number + 1);
        }
        let _ = write!(
            text,
            "\n{MEASURED}\n\n\
             How long after `postrider create` had returned the first message to the new list was taken, while people wrote to it\n\
             without pause, before it existed and afterwards. On a shared machine with two processors: the order of magnitude counts.\n\n"
        );
        self.measured(&mut text);
        text
    }

    fn measured(&self, text: &mut String) {
        *text += "| adapter | program | new list | new list in a new domain |\n|---|---|---|---|\n";
        for subject in &self.subjects {
            let own = || self.results.iter().filter(|result| result["subject"] == *subject);
            let version = own().filter_map(|result| result["version"].as_str()).find(|version| !version.is_empty());
            let times: Vec<String> = own()
                .filter_map(|result| result["times"].as_array())
                .flatten()
                .filter_map(|time| time[1].as_f64())
                .map(
                    |seconds| {
                        if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
                    },
                )
                .collect();
            let time = |index: usize| times.get(index).map_or("", String::as_str);
            let _ = writeln!(text, "| {subject} | {} | {} | {} |", version.unwrap_or_default(), time(0), time(1));
        }
    }
}

/// `yes`, or `no`, with the numbers of its remarks.
fn cell(result: &Value, remarks: &mut Vec<String>) -> String {
    let mut number = |remark: &str| {
        let known = remarks.iter().position(|known| known == remark);
        let index = known.unwrap_or_else(|| {
            remarks.push(remark.to_owned());
            remarks.len() - 1
        });
        (index + 1).to_string()
    };
    match result["verdict"].as_str() {
        Some("not") => format!("no ({})", number(result["why"].as_str().unwrap_or_default())),
        Some("kept") => {
            let own = result["remarks"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let numbers: Vec<String> = own.map(number).collect();
            if numbers.is_empty() { "yes".into() } else { format!("yes ({})", numbers.join(", ")) }
        }
        _ => "FAILED".into(),
    }
}

fn heading(point: Point) -> &'static str {
    match point {
        Point::Incoming => "incoming",
        Point::Refusals => "refusals",
        Point::Changes => "changes",
        Point::Outgoing => "outgoing",
        Point::Failures => "failures",
        Point::Stopped => "stopped",
        Point::AliasDomains => "alias domains",
        Point::TwoHosts => "two hosts",
        Point::UnixSocket => "Unix socket",
        Point::Packaged => "packaged",
    }
}

fn meaning(point: Point) -> &'static str {
    match point {
        Point::Incoming => {
            "mail of a stranger to a list, to each of its functions, to VERP and confirmation addresses, in any case, reaches\n  \
             LMTP as it was addressed; 250, 550 and 451, at `RCPT` or after the message, are honoured for each recipient"
        }
        Point::Refusals => {
            "unknown lists and functions, details where none belong, addresses with slashes and other domains are refused at\n  \
             `RCPT` with 5xx"
        }
        Point::Changes => {
            "a list, a list in a new domain and the removal of one take effect without a restart, while people write without\n  \
             pause: after `create` has returned they get success or 4xx only, and all that was taken arrives exactly once"
        }
        Point::Outgoing => {
            "a post reaches a local mailbox and the outside world exactly once, with a VERP sender; a member whom the MTA refuses\n  \
             with 550 becomes a bounce event, one whom it puts off with 451 gets the post later; a post that holds what some\n  \
             servers take for the end of a message stays one message"
        }
        Point::Failures => {
            "with tables that are missing, unreadable or old, each by itself and all together, and with a program that fails, mail\n  \
             for a list is put off with 4xx, never refused with 5xx, and Postrider says what is wrong"
        }
        Point::Stopped => "while Postrider is stopped the MTA keeps the mail, and delivers it when Postrider is back",
        Point::AliasDomains => {
            "lists in a domain that is routed to Postrider under another name, also where people have mailboxes in it"
        }
        Point::TwoHosts => "MTA and Postrider on two hosts with addresses of their own, both directions",
        Point::UnixSocket => {
            "LMTP over a Unix socket (mode 0660) to Postrider as the user `postrider`, both directions"
        }
        Point::Packaged => {
            "*changes*, while Postrider is the user `postrider`: what it may not do itself, `create` says (exit 3), and root\n  \
             does it"
        }
    }
}
