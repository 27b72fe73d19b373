//! `postrider plugin check`

use crate::cli::{Exit, output};
use crate::conformance::{self, Options, Outcome, Report, Status, TESTS};
use clap::CommandFactory as _;
use serde_json::json;
use std::path::PathBuf;

/// Test whether a plugin keeps what a host relies on
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each test runs in a process of its own. Exit status: 0 all passed; 1 something failed; 2 wrong usage."
)]
pub struct Check {
    /// The plugin, for instance target/release/libpostrider_acme.so
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Only this test; may be given several times
    #[arg(long = "test", value_name = "NAME")]
    tests: Vec<String>,
    /// Not this test; may be given several times
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
    /// Only this adapter; may be given several times
    #[arg(long = "adapter", value_name = "NAME")]
    adapters: Vec<String>,
    /// Where random histories begin; the same number gives the same ones. Without it a new one is taken and shown
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Longest time for a test, in seconds, in place of its own limit
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,
    /// Most memory for a test, in MiB, in place of its own limit; 0 for none, as sanitizers need it
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// How many lists the test large-site has, where 100,000 take too long: an unoptimised build, a sanitizer
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    lists: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show the tests and what each proves
    #[arg(long)]
    list: bool,
    /// Run one test in this process; how the tests are run
    #[arg(long, hide = true, value_name = "TASK")]
    alone: Option<String>,
}

impl Check {
    /// Runs it.
    pub fn run(self) -> anyhow::Result<Exit> {
        if self.list {
            list(self.json);
            return Ok(Exit::Done);
        }
        let file = self.file.unwrap_or_default(); // clap asks for it
        if let Some(task) = &self.alone {
            return conformance::alone(&file, task).map(|()| Exit::Done);
        }
        let options = Options {
            file,
            tests: self.tests,
            skip: self.skip,
            adapters: self.adapters,
            seed: self.seed.unwrap_or_else(|| rand::random_range(0..1_000_000)),
            time: self.time,
            memory: self.memory,
            lists: self.lists,
        };
        if !self.json {
            output::line(&format!("{} (seed {})", options.file.display(), options.seed));
        }
        let report = conformance::run(&options, &mut |outcome| {
            if !self.json {
                output::line(&output::clean(&line(outcome)));
            }
        });
        let report = report.unwrap_or_else(|usage| {
            crate::cli::Cli::command().error(clap::error::ErrorKind::ValueValidation, usage.to_string()).exit()
        });
        if self.json {
            output::json(&report.json(&options));
        } else {
            explain(&report);
        }
        Ok(if report.passed() { Exit::Done } else { Exit::Failed })
    }
}

fn list(json: bool) {
    if json {
        let test = |test: &conformance::Test| json!({"name": test.name, "about": test.about.to_string(), "proves": test.proves});
        output::json(&json!(TESTS.iter().map(test).collect::<Vec<_>>()));
        return;
    }
    for test in TESTS {
        output::line(&format!("{} ({})", test.name, test.about));
        for line in textwrap::wrap(test.proves, 96) {
            output::line(&format!("    {line}"));
        }
    }
}

/// `ok       LMTP  plan-repeats`, with what there is to say.
fn line(outcome: &Outcome) -> String {
    let word = if outcome.status == Status::Failed { "FAILED" } else { outcome.status.word() };
    let about = outcome.adapter.as_ref().map_or_else(String::new, |adapter| format!("{}: ", adapter.name));
    let remarks = outcome.remarks.join("; ");
    let remarks = if remarks.is_empty() { String::new() } else { format!(" ({remarks})") };
    format!("{word:<8} {about}{}{remarks}", outcome.test)
}

fn explain(report: &Report) {
    for outcome in report.outcomes.iter().filter(|outcome| outcome.status == Status::Failed) {
        let about = outcome.adapter.as_ref().map_or_else(String::new, |adapter| format!("{}: ", adapter.name));
        output::line(&format!("\nFAILED   {about}{}", outcome.test));
        for failure in &outcome.failures {
            for (what, text) in [("seen", &failure.seen), ("expected", &failure.expected), ("do", &failure.advice)] {
                output::line(&format!("    {what:<9} {}", output::clean(text)));
            }
        }
        output::line(&format!("    {:<9} {}", "replay", outcome.replay));
    }
    let count = |status| report.count(status);
    output::line(&format!(
        "\n{} passed, {} with a warning, {} failed, {} skipped",
        count(Status::Ok) + count(Status::Warning),
        count(Status::Warning),
        count(Status::Failed),
        count(Status::Skipped)
    ));
}
