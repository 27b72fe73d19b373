//! Runs the contract: subjects side by side, each group of points in a box of its own.

use crate::{
    matrix::{self, Record, Verdict},
    mta::{Demand, Mta, Point},
    points::Outcome,
    site::{Lmtp, Site},
};
use postrider_tests::{
    mta_box::MtaBox,
    require::{self, MTA_BOX},
};
use std::{
    any::Any,
    collections::VecDeque,
    io::Write as _,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

/// Subjects mostly wait for one another's programs, hardly for a processor.
const WORKERS: usize = 4;
/// The name of the last test: the committed matrix is what this run has shown.
const MATRIX: &str = "matrix";

/// Where panics happened, by their message: who catches one only gets that.
static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

pub fn main(subjects: &[Box<dyn Mta>]) -> ExitCode {
    let options = Options::of(std::env::args().skip(1));
    let tests = || subjects.iter().flat_map(|mta| Point::ALL.map(|point| (&**mta, point)));
    if options.list {
        tests().map(|(mta, point)| name(mta, point)).chain([MATRIX.into()]).for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let selected: Vec<_> = tests().filter(|(mta, point)| options.selects(&name(*mta, *point))).collect();
    if selected.is_empty() && !options.selects(MATRIX) {
        return ExitCode::SUCCESS;
    }
    if !require::all("the contract of the MTAs (mta)", MTA_BOX) {
        return matrix::names(subjects).map_or_else(|why| failed(&why), |()| ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    panic::set_hook(Box::new(|info| {
        lock(&PANICS).push((text_of(info.payload()), info.location().map(ToString::to_string).unwrap_or_default()));
    }));
    matrix::begin();
    println!("\nrunning {} tests", selected.len());
    let records = run(&selected, options.workers);
    let failures: Vec<_> = records.iter().filter(|record| matches!(record.verdict, Verdict::Failed(_))).collect();
    for record in &failures {
        if let Verdict::Failed(report) = &record.verdict {
            println!("\n---- {} ----\n{report}", record.test());
        }
    }
    let whole = records.len() == tests().count();
    let mut result = if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if whole
        && failures.is_empty()
        && let Err(why) = matrix::finish(subjects)
    {
        result = failed(&why);
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; finished in {:.1} s\n",
        if result == ExitCode::SUCCESS { "ok" } else { "FAILED" },
        records.len() - failures.len(),
        failures.len(),
        begun.elapsed().as_secs_f32()
    );
    result
}

fn failed(why: &str) -> ExitCode {
    println!("\n---- {MATRIX} ----\n{why}");
    ExitCode::FAILURE
}

/// The name by which a test is chosen: without blanks.
fn name(mta: &dyn Mta, point: Point) -> String {
    matrix::test_name(mta.name(), point)
}

fn run(selected: &[(&dyn Mta, Point)], workers: usize) -> Vec<Record> {
    // What shares a site is one piece of work; the longest first.
    let mut work: VecDeque<(&dyn Mta, Lmtp, VecDeque<Point>)> = VecDeque::new();
    for lmtp in [Lmtp::Port, Lmtp::SecondHost, Lmtp::Socket] {
        for (mta, point) in selected.iter().filter(|(_, point)| point.lmtp() == lmtp) {
            match work.iter_mut().find(|(other, same, _)| other.name() == mta.name() && *same == lmtp) {
                Some((.., points)) => points.push_back(*point),
                None => work.push_back((*mta, lmtp, VecDeque::from([*point]))),
            }
        }
    }
    let (work, records) = (Mutex::new(work), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((mta, lmtp, points)) = lock(&work).pop_front() else { break };
                    together(mta, lmtp, points, &|record: Record| {
                        record.tell();
                        lock(&records).push(record);
                    });
                }
            });
        }
    });
    records.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Points that share a site, one after the other. After a failure the rest get a new one.
fn together(mta: &dyn Mta, lmtp: Lmtp, mut points: VecDeque<Point>, tell: &dyn Fn(Record)) {
    points.retain(|point| match mta.demand(*point) {
        Demand::Whole => true,
        Demand::Not(why) => {
            tell(Record::new(mta, *point, Verdict::Not(why.into())));
            false
        }
    });
    while !points.is_empty() {
        let machine = caught(|| {
            let layer = mta.layer().unwrap_or_else(|error| panic!("{error}"));
            MtaBox::start(&layer).unwrap_or_else(|error| panic!("{error}"))
        });
        let machine = match machine {
            Ok(machine) => machine,
            Err(why) => {
                return points.iter().for_each(|point| tell(Record::new(mta, *point, Verdict::Failed(why.clone()))));
            }
        };
        let version = caught(|| mta.version(&machine)).unwrap_or_else(|why| why);
        let site = match caught(|| Site::beside(mta, &machine, lmtp)) {
            Ok(site) => site,
            Err(why) => {
                return points.iter().for_each(|point| tell(Record::new(mta, *point, Verdict::Failed(why.clone()))));
            }
        };
        if let Err(why) = caught(|| site.hook_up()) {
            let why = format!("the MTA cannot be hooked up: {why}\n{}", report(&site));
            return points.iter().for_each(|point| tell(Record::new(mta, *point, Verdict::Failed(why.clone()))));
        }
        while let Some(point) = points.pop_front() {
            site.begin_point();
            let begun = Instant::now();
            let result = caught(|| point.check(&site));
            let (verdict, outcome) = match result {
                Ok(outcome) => (Verdict::Kept, outcome),
                Err(why) => (Verdict::Failed(format!("{why}\n{}", report(&site))), Outcome::default()),
            };
            let failed = matches!(verdict, Verdict::Failed(_));
            tell(Record {
                version: version.clone(),
                outcome,
                took: begun.elapsed(),
                ..Record::new(mta, point, verdict)
            });
            if failed {
                break;
            }
        }
    }
}

fn report(site: &Site<'_>) -> String {
    caught(|| site.report()).unwrap_or_else(|why| format!("(no report: {why})"))
}

/// What a test's panic said, and where it was.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = text_of(&*payload);
        let panics = lock(&PANICS);
        let place = panics.iter().rev().find(|(said, _)| *said == text).map(|(_, place)| place.as_str());
        format!("{}: {text}", place.unwrap_or("somewhere"))
    })
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no text)").to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    fn tell(&self) {
        let word = match &self.verdict {
            Verdict::Kept => "ok".to_owned(),
            Verdict::Not(why) => format!("n/a: {why}"),
            Verdict::Failed(why) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
        };
        println!("test {} ... {word} ({:.1} s)", self.test(), self.took.as_secs_f32());
        let _ = std::io::stdout().flush();
        matrix::write(self);
    }
}

/// What of cargo's command line concerns us; the rest is accepted and has no effect.
struct Options {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    workers: usize,
}

impl Options {
    fn of(args: impl Iterator<Item = String>) -> Self {
        let mut options =
            Options { filters: Vec::new(), skip: Vec::new(), exact: false, list: false, workers: WORKERS };
        let mut args = args.flat_map(|arg| match arg.split_once('=') {
            Some((option, value)) if option.starts_with("--") => vec![option.to_owned(), value.to_owned()],
            _ => vec![arg],
        });
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--skip" => options.skip.extend(args.next()),
                "--test-threads" => {
                    options.workers = args.next().and_then(|number| number.parse().ok()).unwrap_or(WORKERS).max(1);
                }
                "--format" | "--color" | "--logfile" | "--report-time" | "-Z" => drop(args.next()),
                option if option.starts_with('-') => {}
                _ => options.filters.push(arg),
            }
        }
        options
    }

    fn selects(&self, name: &str) -> bool {
        let fits = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(fits)) && !self.skip.iter().any(fits)
    }
}
