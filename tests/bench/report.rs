//! What was measured: a table on the screen and in `bench.md`, all figures in `bench.json`, and a plot of
//! the ratios in `bench.svg`, below `target/bench/`.

use crate::compare::{Effort, Figures};
use crate::plot;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Collects what is measured, and writes it anew after each line: a run that is broken off leaves what it had.
pub struct Report {
    directory: PathBuf,
    effort: Effort,
    text: String,
    ratios: Vec<Ratio>,
    values: Vec<Value>,
    missed: Vec<String>,
    notes: Vec<String>,
}

/// Ours beside one peer's.
#[derive(Clone, Debug)]
pub struct Ratio {
    /// What was done.
    pub what: String,
    /// Who else did it.
    pub peer: String,
    /// Median of ours by median of theirs; more is better.
    pub times: f64,
    /// The smallest and the largest ratio of one round.
    pub spread: (f64, f64),
    /// What we want to reach.
    pub target: Option<f64>,
}

impl Report {
    /// An empty one, in this directory.
    pub fn new(directory: &Path, effort: Effort) -> Self {
        fs::create_dir_all(directory).expect("directory of the report");
        let mut report = Report {
            directory: directory.to_owned(),
            effort,
            text: String::new(),
            ratios: Vec::new(),
            values: Vec::new(),
            missed: Vec::new(),
            notes: Vec::new(),
        };
        report.line(&format!(
            "# Postrider {} measured\n\n{} rounds of at least {} s for each side, in turns; what arrived was counted at the \
             receiver (in Postfix by its 250, or in its queue). {} processors.{}",
            env!("CARGO_PKG_VERSION"),
            effort.rounds,
            effort.least.as_secs_f64(),
            std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            if effort.quick { " **Quick: not good enough to be quoted.**" } else { "" },
        ));
        report
    }

    /// A line of text.
    pub fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
        self.write();
    }

    /// Something that was left out; told at the end, where it breaks no table.
    pub fn note(&mut self, note: &str) {
        eprintln!("{note}");
        self.notes.push(note.to_owned());
    }

    /// The head of a table of comparisons.
    pub fn section(&mut self, title: &str, unit: &str) {
        self.line(&format!(
            "\n## {title}\n\n| {unit} | Postrider (lowest to highest) | beside it (lowest to highest) | ratio | target |\n\
             |---|---|---|---|---|"
        ));
    }

    /// A table of single figures.
    pub fn table(&mut self, title: &str, heads: &[&str]) {
        let rule = "---|".repeat(heads.len());
        self.line(&format!("\n## {title}\n\n| {} |\n|{rule}", heads.join(" | ")));
    }

    /// A row of such a table.
    pub fn row(&mut self, cells: &[&str]) {
        self.line(&format!("| {} |", cells.join(" | ")));
        self.values.push(json!(cells));
    }

    /// The first of the figures is ours. `targets`: what the ratio to a side of that name should be at least.
    pub fn compared(&mut self, what: &str, figures: &[Figures], targets: &[(&str, f64)]) {
        let Some((ours, others)) = figures.split_first() else { return };
        self.values.push(json!({
            "what": what,
            "sides": figures.iter().map(|one| json!({
                "name": one.name, "rates": one.rates, "shortest_run_s": one.shortest.as_secs_f64(),
            })).collect::<Vec<_>>(),
        }));
        if others.is_empty() {
            self.line(&format!("| {what} | {} | | | |", shown(ours)));
        }
        for other in others {
            let rounds: Vec<f64> = ours.rates.iter().zip(&other.rates).map(|(ours, theirs)| ours / theirs).collect();
            let target = targets.iter().find(|(name, _)| *name == other.name).map(|(_, target)| *target);
            let ratio = Ratio {
                what: what.to_owned(),
                peer: other.name.clone(),
                times: ours.median() / other.median(),
                spread: rounds.iter().fold((f64::INFINITY, 0.0), |(low, high), one| (low.min(*one), high.max(*one))),
                target,
            };
            let short = ours.shortest.min(other.shortest) < self.effort.least;
            let wanted = match target {
                _ if short => "a run was too short to count".to_owned(),
                None => String::new(),
                Some(target) => format!("≥ {target} {}", if ratio.times >= target { "reached" } else { "**missed**" }),
            };
            self.line(&format!(
                "| {what} | {} | {}: {} | {:.2} | {wanted} |",
                shown(ours),
                other.name,
                shown(other),
                ratio.times
            ));
            self.ratios.push(ratio);
        }
        self.write();
    }

    /// A row of such a table with a figure that should be at most so much.
    pub fn at_most(&mut self, what: &str, figure: f64, unit: &str, most: f64) {
        let reached = figure <= most;
        let verdict = if reached { "reached" } else { "**missed**" };
        self.row(&[what, &format!("{figure:.1}{unit}"), &format!("≤ {most}{unit} {verdict}")]);
        if !reached {
            self.missed.push(format!("- {what}: {figure:.1}{unit}, at most {most}{unit} is wanted"));
        }
    }

    /// Which targets were missed.
    pub fn finish(&mut self) {
        let mut missed = std::mem::take(&mut self.missed);
        let ratios = self.ratios.iter().filter(|one| one.target.is_some_and(|target| one.times < target)).map(|one| {
            format!("- {} beside {}: {:.2} of {}", one.what, one.peer, one.times, one.target.unwrap_or_default())
        });
        missed.extend(ratios);
        let mut text = String::from("\n## Targets\n\n");
        if missed.is_empty() {
            text.push_str("All that were measured are reached.");
        } else {
            let _ = write!(text, "Missed:\n\n{}", missed.join("\n"));
        }
        for note in std::mem::take(&mut self.notes) {
            let _ = write!(text, "\n\n{note}");
        }
        self.line(&text);
        println!("\nwritten: {}/bench.md, bench.svg, bench.json", self.directory.display());
    }

    fn write(&self) {
        let path = |name: &str| self.directory.join(name);
        fs::write(path("bench.md"), &self.text).expect("bench.md");
        fs::write(path("bench.svg"), plot::ratios(&self.ratios)).expect("bench.svg");
        let all = json!({ "quick": self.effort.quick, "measured": self.values });
        fs::write(path("bench.json"), format!("{all:#}\n")).expect("bench.json");
    }
}

fn shown(figures: &Figures) -> String {
    let (low, high) = figures.spread();
    format!("{} ({} to {})", thousands(figures.median()), thousands(low), thousands(high))
}

/// `12,345`; small figures keep a decimal.
pub fn thousands(figure: f64) -> String {
    if figure < 100.0 { format!("{figure:.1}") } else { grouped(&format!("{figure:.0}")) }
}

/// `12,345`.
pub fn whole(number: usize) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
