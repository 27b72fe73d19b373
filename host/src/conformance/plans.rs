//! Plans keep the rules, repeat, and pass errors on.

use super::case::{Case, Failure, NoPlan, Setup, Subject, difference, told};
use super::faults::{self, Fuse};
use super::lists::{self, Lists, list_id, list_view};
use crate::hookup::roster::{OwnedChange, Roster};
use postrider_plugin_api::sdk::{Change, ErrorKind, Result as AdapterResult, Site};

/// Most places at which the host fails, of each kind.
const MOST_FAULTS: u32 = 24;

/// Everything, and one change of each kind: with words, and the lists after it. Somebody is always left.
pub(super) fn changes(lists: &Lists) -> Vec<(&'static str, Lists, OwnedChange)> {
    let mut changes = vec![("everything", lists.clone(), OwnedChange::Everything)];
    if let Some((domain, local)) = lists.lists.iter().next() {
        let id = list_id(domain, local);
        let view = list_view(lists, domain, local, &id);
        changes.push(("a list was added", lists.clone(), Change::ListAdded(view).into()));
        if lists.lists.len() > 1 {
            changes.push(("a list was removed", lists.without(domain, local), Change::ListRemoved(view).into()));
        }
    }
    if let Some((name, alias)) = lists.domains.iter().next() {
        let view = postrider_plugin_api::sdk::DomainView::new(name, alias);
        changes.push(("a domain was added", lists.clone(), Change::DomainAdded(view).into()));
        let mut without = lists.clone();
        without.domains.remove(name);
        without.lists.retain(|(domain, _)| domain != name);
        if !without.domains.is_empty() {
            changes.push(("a domain was removed", without, Change::DomainRemoved(view).into()));
        }
    }
    changes
}

pub(super) fn keeps_rules(case: &mut Case) -> Result<(), Failure> {
    let (mut plans, mut refusals) = (0, 0);
    let setups = case.setups()?;
    let mut sites = vec![("", lists::site())];
    sites.extend(lists::other_sites());
    for (number, setup) in setups.iter().enumerate() {
        // Other installations with the defaults and each single choice; that is enough.
        let sites = if number < 12 { &sites[..] } else { &sites[..1] };
        for (site_words, site) in sites {
            let Some(subject) = case.subject(setup, site)? else {
                refusals += 1;
                continue;
            };
            let must = setup.words.is_empty() && site_words.is_empty();
            for (kind, lists) in lists::kinds() {
                for (change_words, after, change) in changes(&lists) {
                    let circumstances =
                        subject.circumstances(&[kind, change_words, site_words].map(str::trim).join(", "));
                    match subject.plan(&after.roster(), change.view()) {
                        Ok(_) => plans += 1,
                        Err(NoPlan::Refused(_)) if !must || lists.may_be_refused() => refusals += 1,
                        Err(none) => return Err(none.failure().when(circumstances.trim_end_matches(", "))),
                    }
                }
            }
        }
    }
    case.note(format!("{plans} plans, {refusals} refused"));
    Ok(())
}

pub(super) fn of_nothing(case: &mut Case) -> Result<(), Failure> {
    let nothing = Lists::default();
    let last = Lists::new(&[], &["ants@lists.example.com"]);
    let id = list_id("lists.example.com", "ants");
    let view = list_view(&last, "lists.example.com", "ants", &id);
    let mut only_domain = last.clone();
    only_domain.lists.clear();
    for setup in case.setups()? {
        let Some(subject) = case.subject(&setup, &lists::site())? else { continue };
        let asked: [(&str, Roster, Change<'_>); 4] = [
            ("no lists and no domains", nothing.roster(), Change::Everything),
            ("a domain without lists", only_domain.roster(), Change::Everything),
            ("the last list was removed", only_domain.roster(), Change::ListRemoved(view)),
            ("the last domain was removed", nothing.roster(), Change::DomainRemoved(view.domain)),
        ];
        for (words, roster, change) in asked {
            match subject.plan(&roster, change) {
                Ok(_) => {}
                Err(NoPlan::Refused(_)) if !setup.words.is_empty() => {}
                Err(none) => return Err(none.failure().when(&subject.circumstances(words))),
            }
        }
    }
    Ok(())
}

pub(super) fn repeats(case: &mut Case) -> Result<(), Failure> {
    let site = lists::site();
    for setup in case.setups()? {
        let Some(subject) = case.subject(&setup, &site)? else { continue };
        for (kind, lists) in lists::kinds() {
            let Some(first) = text(&subject, &lists)? else { continue };
            let other = Lists::new(&[("other.example", "")], &["zebras@other.example"]);
            let again = text(&subject, &lists)?;
            let _ = text(&subject, &other)?;
            let after_another = text(&subject, &lists)?;
            let from_another = match anew(case, &setup, &site)? {
                Some(another) => text(&another, &lists)?,
                None => None,
            };
            let asked =
                [("asked twice", again), ("after another plan", after_another), ("a new adapter", from_another)];
            for (words, second) in asked {
                let second = second.unwrap_or_default();
                if second != first {
                    return Err(Failure::new(
                        format!("the plans differ ({words}): {}", difference(&first, &second)),
                        "equal plans for equal lists: the host compares them with what is published",
                        "sort what comes from a HashMap, leave out dates, process numbers and counters, keep no state \
                         between calls",
                    )
                    .when(&subject.circumstances(kind)));
                }
            }
        }
    }
    Ok(())
}

fn anew(case: &mut Case, setup: &Setup, site: &Site) -> Result<Option<Subject>, Failure> {
    case.subject(setup, site)
}

/// The plan in a text; `None` if there is none, which other tests judge.
fn text(subject: &Subject, lists: &Lists) -> Result<Option<String>, Failure> {
    match subject.plan(&lists.roster(), Change::Everything) {
        Ok(plan) => Ok(Some(told(&plan))),
        Err(NoPlan::Panic(error)) => Err(Failure::panicked("plan", &error)),
        Err(_) => Ok(None),
    }
}

pub(super) fn passes_errors_on(case: &mut Case) -> Result<(), Failure> {
    let lists = Lists::new(
        &[("example.org", "lists.example.org")],
        &["ants@lists.example.com", "bees@lists.example.com", "cats@example.org"],
    );
    let mut faults = 0;
    for setup in case.setups()?.into_iter().take(12) {
        let Some(subject) = case.subject(&setup, &lists::site())? else { continue };
        for (words, after, change) in changes(&lists) {
            let roster = after.roster();
            faults += sink_fails(&subject, &roster, &change, words)?;
            faults += lists_fail(&subject, &roster, words, "plan", |lists| {
                let mut sink = subject.collector(&change.view());
                subject.adapter.plan(subject.context(lists), change.view(), &mut sink)
            })?;
        }
        let roster = lists.roster();
        faults += lists_fail(&subject, &roster, "", "snippets", |lists| {
            subject.adapter.snippets(subject.context(lists)).map(drop)
        })?;
        let tools = super::tools::Machine::without_mta(setup.programs());
        faults += lists_fail(&subject, &roster, "", "check", |lists| {
            subject.adapter.check(subject.context(lists), &tools).map(drop)
        })?;
    }
    case.note(format!("{faults} errors of the host came back"));
    Ok(())
}

fn sink_fails(subject: &Subject, roster: &Roster, change: &OwnedChange, words: &str) -> Result<u32, Failure> {
    let plan = |fuse| {
        let mut sink = faults::Sink::new(subject, &change.view(), fuse);
        let result = subject.adapter.plan(subject.context(roster), change.view(), &mut sink);
        (result, sink.fuse)
    };
    let calls = plan(Fuse::new(0)).1.calls();
    let places = places(calls);
    for at in &places {
        let (result, fuse) = plan(Fuse::new(*at));
        judge(&result, &fuse, &format!("plan, when the host cannot take part {at} of {calls} of the plan"))
            .map_err(|failure| failure.when(&subject.circumstances(words)))?;
    }
    Ok(places.len() as u32)
}

fn lists_fail(
    subject: &Subject,
    roster: &Roster,
    words: &str,
    method: &str,
    ask: impl Fn(&faults::Lists<'_>) -> AdapterResult<()>,
) -> Result<u32, Failure> {
    let lists = |at| faults::Lists { whole: roster, fuse: Fuse::new(at) };
    let whole = lists(0);
    let _ = ask(&whole);
    let places = places(whole.fuse.calls());
    for at in &places {
        let broken = lists(*at);
        let result = ask(&broken);
        judge(&result, &broken.fuse, &format!("{method}, when the lists cannot be read (question {at})"))
            .map_err(|failure| failure.when(&subject.circumstances(words)))?;
    }
    Ok(places.len() as u32)
}

/// Which calls fail: the first ones, the last ones, and some between.
fn places(calls: u32) -> Vec<u32> {
    if calls <= MOST_FAULTS {
        return (1..=calls).collect();
    }
    let third = MOST_FAULTS / 3;
    let step = ((calls - 2 * third) / third).max(1);
    let between = (0..third).map(|number| third + 1 + number * step);
    let mut places: Vec<u32> = (1..=third).chain(between).chain(calls - third + 1..=calls).collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn judge(result: &AdapterResult<()>, fuse: &Fuse, doing: &str) -> Result<(), Failure> {
    const ADVICE: &str =
        "pass every error of sink, roster and tools on with `?`; do not turn it into a default, and do not go on";
    match result {
        _ if !fuse.blown() => Ok(()),
        Err(error) if error.kind == ErrorKind::Panic => Err(Failure::panicked(doing, error)),
        Err(error) if error.message.contains(faults::WORDS) => Ok(()),
        Err(error) => Err(Failure::new(
            format!("{doing}: the error became {:?}", error.message),
            format!("the host's own error, {:?}", faults::WORDS),
            ADVICE,
        )),
        Ok(()) => Err(Failure::new(
            format!("{doing}: the error was swallowed, and the adapter said that all is well"),
            format!("the host's own error, {:?}", faults::WORDS),
            ADVICE,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_spread_over_all_calls() {
        assert_eq!(places(0), []);
        assert_eq!(places(3), [1, 2, 3]);
        let many = places(1000);
        assert!(many.len() as u32 <= MOST_FAULTS && many.contains(&1) && many.contains(&1000), "{many:?}");
        assert!(many.iter().any(|at| (300..700).contains(at)), "{many:?}");
    }
}
