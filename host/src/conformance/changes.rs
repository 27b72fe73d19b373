//! Plans of changes add up to the plan of everything.
//!
//! A history is a random row of additions and removals. After each step, or after several that come together, the
//! adapter plans each change, the host's rules say what is then published, and the plan of everything must say the
//! same. Several are published as one, or one after the other while the lists are ahead of them. A history that
//! shows a difference is made as short as it goes before it is told.

use super::case::{Case, Failure, NoPlan, Subject};
use super::lists::{self, Lists};
use crate::hookup::collect::{Plan, PlannedTable};
use crate::hookup::roster::Roster;
use crate::hookup::together::told;
use crate::lists::{DomainName, ListAddress, RosterChange, Subject as Changed};
use postrider_plugin_api::sdk::{Change, Extent};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// Histories for all choices of settings together.
const HISTORIES: usize = 160;
/// Fewest histories for one choice.
const FEWEST: usize = 5;
/// Steps of a history.
const STEPS: usize = 14;
/// So many steps at once, where not one at a time.
const AT_ONCE: usize = 3;

/// Names that get into each other's way.
const NAMES: [&str; 9] =
    ["ants", "ants-request", "ants-bounces", "a.b", "a-b", "bees", "bees-default", "default", "ants-request-owner"];
const DOMAINS: [&str; 4] = ["a.example", "b.example", "c.example", "d.example"];
const ALIASES: [&str; 4] = ["", "", "x.example", "y.example"];

/// How changes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Alone,
    /// Several, published as one.
    Together,
    /// Several, published one after the other.
    Behind,
}

impl Pace {
    fn at_once(self) -> usize {
        if self == Pace::Alone { 1 } else { AT_ONCE }
    }

    fn words(self) -> &'static str {
        match self {
            Pace::Alone => "",
            Pace::Together => " (three at once)",
            Pace::Behind => " (the lists being up to two changes ahead)",
        }
    }
}

/// One change. What cannot be done (a list that is there already) is left out, so that any part of a history is
/// a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    AddDomain { name: &'static str, alias: &'static str },
    RemoveDomain(&'static str),
    AddList { local: &'static str, domain: &'static str },
    RemoveList { local: &'static str, domain: &'static str },
}

impl Step {
    fn random(random: &mut StdRng, domains: usize) -> Self {
        let mut pick = |words: &[&'static str]| words[random.random_range(0..words.len())];
        let (local, domain, alias) = (pick(&NAMES), pick(&DOMAINS[..domains]), pick(&ALIASES));
        match random.random_range(0..10) {
            0..=1 => Step::AddDomain { name: domain, alias },
            2 => Step::RemoveDomain(domain),
            3..=7 => Step::AddList { local, domain },
            _ => Step::RemoveList { local, domain },
        }
    }

    /// The lists after it; `None` if it cannot be done.
    fn after(self, before: &Lists) -> Option<Lists> {
        let mut after = before.clone();
        match self {
            Step::AddDomain { name, alias } => {
                let new = after.domains.insert(name.to_owned(), alias.to_owned()).is_none();
                new.then_some(after)
            }
            Step::RemoveDomain(name) => {
                let empty = !before.lists.iter().any(|(domain, _)| domain == name);
                (empty && after.domains.remove(name).is_some()).then_some(after)
            }
            Step::AddList { local, domain } => {
                after.add(local, domain);
                (after.lists.len() > before.lists.len()).then_some(after)
            }
            Step::RemoveList { local, domain } => {
                after.lists.remove(&(domain.to_owned(), local.to_owned()));
                (after.lists.len() < before.lists.len()).then_some(after)
            }
        }
    }

    /// What the host knows of it.
    fn change(self, before: &Lists, after: &Lists) -> Option<RosterChange> {
        let list = |local: &str, domain: &str| ListAddress::parse(&format!("{local}@{domain}")).ok().map(Changed::List);
        let (subject, domain, lists, added) = match self {
            Step::AddDomain { name, .. } => (Changed::Domain(DomainName::parse(name).ok()?), name, after, true),
            Step::RemoveDomain(name) => (Changed::Domain(DomainName::parse(name).ok()?), name, before, false),
            Step::AddList { local, domain } => (list(local, domain)?, domain, after, true),
            Step::RemoveList { local, domain } => (list(local, domain)?, domain, before, false),
        };
        Some(RosterChange { subject, alias: DomainName::parse(lists.domain(domain).alias).ok(), added })
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::AddDomain { name, alias: "" } => write!(f, "domain {name} added"),
            Step::AddDomain { name, alias } => write!(f, "domain {name} with the alias domain {alias} added"),
            Step::RemoveDomain(name) => write!(f, "domain {name} removed"),
            Step::AddList { local, domain } => write!(f, "list {local}@{domain} added"),
            Step::RemoveList { local, domain } => write!(f, "list {local}@{domain} removed"),
        }
    }
}

pub(super) fn agree(case: &mut Case) -> Result<(), Failure> {
    let setups = case.setups()?;
    let each = (HISTORIES / setups.len().max(1)).max(FEWEST);
    let mut random = case.random();
    let mut count = Count::default();
    for setup in &setups {
        let Some(subject) = case.subject(setup, &lists::site())? else { continue };
        for number in 0..each {
            // A third of them has one domain: some MTAs know no more.
            let domains = if number % 3 == 0 { 1 } else { DOMAINS.len() };
            let history: Vec<Step> = (0..STEPS).map(|_| Step::random(&mut random, domains)).collect();
            let pace = [Pace::Alone, Pace::Together, Pace::Behind][(number + number / 3) % 3];
            let Err(_) = follow(&subject, &history, pace, &mut count) else { continue };
            let (history, pace, failure) = shortest(&subject, history, pace);
            let told: Vec<String> = (1..).zip(history).map(|(number, step)| format!("{number}. {step}")).collect();
            let mut failure = failure;
            failure.seen = format!("{}; after{}: {}", failure.seen, pace.words(), told.join(", "));
            return Err(failure.when(&setup.words));
        }
    }
    if count.planned == 0 {
        return Err(Failure::new(format!("all {} plans were refused", count.refused), "plans", "see plan-keeps-rules"));
    }
    case.note(format!(
        "{} changes agree ({} planned row by row, {} refused)",
        count.planned, count.row_by_row, count.refused
    ));
    Ok(())
}

#[derive(Default)]
struct Count {
    planned: u32,
    row_by_row: u32,
    refused: u32,
}

/// Leaves out steps as long as what is left still fails, if it can with single ones.
fn shortest(subject: &Subject, mut history: Vec<Step>, pace: Pace) -> (Vec<Step>, Pace, Failure) {
    let alone = follow(subject, &history, Pace::Alone, &mut Count::default()).is_err();
    let pace = if alone { Pace::Alone } else { pace };
    let fails = |history: &[Step]| follow(subject, history, pace, &mut Count::default()).err();
    let mut failure = fails(&history)
        .unwrap_or_else(|| Failure::new("the history failed once and not again", "equal answers", "see plan-repeats"));
    let mut size = history.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < history.len() {
            let mut shorter = history.clone();
            shorter.drain(at..(at + size).min(history.len()));
            match fails(&shorter) {
                Some(still) => (history, failure) = (shorter, still),
                None => at += size,
            }
        }
        size /= 2;
    }
    // What was left out of it says nothing.
    let mut lists = Lists::default();
    history.retain(|step| {
        step.after(&lists).is_some_and(|after| {
            lists = after;
            true
        })
    });
    (history, pace, failure)
}

fn follow(subject: &Subject, history: &[Step], pace: Pace, count: &mut Count) -> Result<(), Failure> {
    let mut lists = Lists::default();
    let mut published = Published::default();
    match subject.plan(&lists.roster(), Change::Everything) {
        Ok(plan) => published.publish(&plan),
        Err(NoPlan::Refused(_)) => {}
        Err(none) => return Err(none.failure()),
    }
    for steps in history.chunks(pace.at_once()) {
        let mut after = lists.clone();
        let mut changes = Vec::new();
        for step in steps {
            let Some(next) = step.after(&after) else { continue };
            changes.extend(step.change(&after, &next));
            after = next;
        }
        if changes.is_empty() {
            continue;
        }
        let roster = after.roster();
        let whole = subject.plan(&roster, Change::Everything);
        match (whole, plans_of(subject, pace, &changes, &roster, &published)) {
            (Err(NoPlan::Refused(_)), Err(NoPlan::Refused(_))) => count.refused += 1,
            (Err(NoPlan::Refused(error)), Ok(_)) => {
                return Err(Failure::new(
                    format!("the change is planned, but everything is refused: {error}"),
                    "the same answer to both",
                    "refuse the change too",
                ));
            }
            (Ok(_), Err(NoPlan::Refused(error))) => {
                return Err(Failure::new(
                    format!("everything is planned, but the change is refused: {error}"),
                    "the same answer to both",
                    "plan everything when a change cannot be planned alone",
                ));
            }
            (Err(none), _) | (_, Err(none)) => return Err(none.failure()),
            (Ok(whole), Ok(plans)) => {
                count.planned += 1;
                count.row_by_row += u32::from(plans.iter().any(Plan::has_changes));
                for plan in &plans {
                    published.publish(plan);
                }
                published.compare(&whole)?;
                lists = after;
            }
        }
    }
    Ok(())
}

/// The plans of changes, or of everything if they have rows for a table that was never published, as the host does it.
fn plans_of(
    subject: &Subject,
    pace: Pace,
    changes: &[RosterChange],
    roster: &Roster,
    published: &Published,
) -> Result<Vec<Plan>, NoPlan> {
    let told = told(changes);
    let plans = told.iter().map(|change| subject.plan(roster, change.view())).collect::<Result<Vec<_>, _>>()?;
    let plans = match pace {
        Pace::Alone | Pace::Behind => plans,
        Pace::Together => {
            let both = plans.into_iter().map(Some).reduce(|earlier, later| earlier?.and_then(later?));
            both.flatten().into_iter().collect()
        }
    };
    let has_base = |plan: &Plan| {
        plan.tables.iter().all(|table| !table.has_changes() || published.tables.contains_key(&table.table.path))
    };
    if !plans.is_empty() && plans.iter().all(has_base) {
        return Ok(plans);
    }
    Ok(vec![subject.plan(roster, Change::Everything)?])
}

/// What is on disk when plans are carried out.
#[derive(Default)]
struct Published {
    tables: BTreeMap<String, Table>,
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

#[derive(Default)]
struct Table {
    /// By key as the table compares keys: key and value as they are written.
    rows: BTreeMap<String, (String, String)>,
    /// The order and the head, where they are written.
    text: Option<String>,
}

impl Published {
    fn publish(&mut self, plan: &Plan) {
        for planned in &plan.tables {
            let table = self.tables.entry(planned.table.path.clone()).or_default();
            if planned.table.extent == Extent::Whole {
                *table = Table { rows: BTreeMap::new(), text: text(planned) };
            }
            for row in planned.rows.iter() {
                table.rows.insert(folded(planned, row.key), (row.key.to_owned(), row.value.to_owned()));
            }
            for row in planned.absent.iter() {
                table.rows.remove(&folded(planned, row.key));
            }
        }
        for file in &plan.files {
            self.files.insert(file.path.clone(), (file.mode, file.contents.clone()));
        }
        for path in &plan.removals {
            self.files.remove(path);
            self.tables.remove(path);
        }
    }

    /// Whether this is what the plan of everything gives.
    fn compare(&self, whole: &Plan) -> Result<(), Failure> {
        let mut expected = Published::default();
        expected.publish(whole);
        let differ = |seen: String| {
            Err(Failure::new(
                seen,
                "plans of changes that add up to what Change::Everything plans",
                "plan what for_each_address_of shows for the changed list; if in doubt plan the table as a whole",
            ))
        };
        for (path, table) in &expected.tables {
            let Some(ours) = self.tables.get(path) else {
                return differ(format!("the table {path} was never published"));
            };
            for (key, (written, value)) in &table.rows {
                match ours.rows.get(key) {
                    None => return differ(format!("table {path} has no row {written:?}, which should be {value:?}")),
                    Some((_, other)) if other != value => {
                        return differ(format!("table {path}: {written:?} is {other:?}, not {value:?}"));
                    }
                    Some(_) => {}
                }
            }
            if let Some((written, value)) =
                ours.rows.iter().find(|(key, _)| !table.rows.contains_key(*key)).map(|row| row.1)
            {
                return differ(format!("table {path} still has the row {written:?} ({value:?})"));
            }
            if let (Some(a), Some(b)) = (&ours.text, &table.text)
                && a != b
            {
                return differ(format!("table {path} is written differently: {}", super::case::difference(a, b)));
            }
        }
        if let Some(path) = self.tables.keys().find(|path| !expected.tables.contains_key(*path)) {
            return differ(format!("the table {path} stays behind"));
        }
        for (path, file) in &expected.files {
            match self.files.get(path) {
                Some(ours) if ours == file => {}
                Some(_) => return differ(format!("the file {path} has other contents or another mode")),
                None => return differ(format!("the file {path} was never published")),
            }
        }
        match self.files.keys().find(|path| !expected.files.contains_key(*path)) {
            Some(path) => differ(format!("the file {path} stays behind")),
            None => Ok(()),
        }
    }
}

fn folded(planned: &PlannedTable, key: &str) -> String {
    if planned.rows.folds() { key.to_ascii_lowercase() } else { key.to_owned() }
}

/// A text file has an order and a head; other tables do not.
fn text(planned: &PlannedTable) -> Option<String> {
    use postrider_plugin_api::sdk::TableFormat;
    use std::fmt::Write as _;
    if matches!(planned.table.format, TableFormat::Sqlite | TableFormat::Directory { .. }) {
        return None;
    }
    let mut text = format!("{}\n", planned.table.comment);
    for row in planned.rows.iter() {
        let _ = writeln!(text, "{} {}", row.key, row.value);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_same_seed_gives_the_same_history() {
        let history = |seed| -> Vec<Step> {
            let mut random = StdRng::seed_from_u64(seed);
            (0..50).map(|_| Step::random(&mut random, 4)).collect()
        };
        assert_eq!(history(7), history(7));
        assert_ne!(history(7), history(8));
    }

    #[test]
    fn steps_that_cannot_be_done_are_none() {
        let lists = Lists::new(&[("a.example", "x.example")], &["ants@b.example"]);
        assert!(Step::AddDomain { name: "a.example", alias: "" }.after(&lists).is_none());
        assert!(Step::RemoveDomain("b.example").after(&lists).is_none(), "it has a list");
        assert!(Step::RemoveDomain("c.example").after(&lists).is_none());
        assert!(Step::AddList { local: "ants", domain: "b.example" }.after(&lists).is_none());
        assert!(Step::RemoveList { local: "bees", domain: "b.example" }.after(&lists).is_none());
        let after = Step::AddList { local: "bees", domain: "c.example" }.after(&lists).expect("a new domain with it");
        assert!(after.domains.contains_key("c.example"));
    }
}
