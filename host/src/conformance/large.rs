//! A site with 100,000 lists, or as many as were asked for.

use super::case::{Case, Failure};
use super::lists::{Lists, list, list_id, list_view};
use super::process;
use crate::hookup::roster::Roster;
use crate::lists::{DomainName, ListAddress, ListName};
use postrider_plugin_api::sdk::Change;
use std::time::{Duration, Instant};

const DOMAINS: usize = 10;
/// Generous: a site of this size has its plan in a few seconds from the plugins that come with Postrider.
const TIME: Duration = Duration::from_secs(120);
/// KiB.
const MEMORY: u64 = 2 << 20;

pub(super) fn site(case: &mut Case) -> Result<(), Failure> {
    let subject = case.ordinary()?;
    let lists = case.large_site;
    let roster = roster(lists);
    let begin = process::memory();
    let started = Instant::now();
    let plan =
        subject.plan(&roster, Change::Everything).map_err(|none| none.failure().when(&format!("{lists} lists")))?;
    let took = started.elapsed();
    let used = process::most_memory().saturating_sub(begin);
    let rows: usize = plan.tables.iter().map(|table| table.rows.len()).sum();
    drop(plan);

    let one = Lists::new(&[], &["list0@d0.example"]);
    let id = list_id("d0.example", "list0");
    let change = Change::ListAdded(list_view(&one, "d0.example", "list0", &id));
    let started = Instant::now();
    subject.plan(&roster, change).map_err(|none| none.failure().when(&format!("{lists} lists, one of them new")))?;
    let single = started.elapsed();

    case.note(format!(
        "{lists} lists, {rows} rows in {:.2} s, {} MiB at most (the host's copy of the plan among them); one new list {:.3} s",
        took.as_secs_f64(),
        used >> 10,
        single.as_secs_f64()
    ));
    let too_much = |seen: String| {
        Failure::new(
            seen,
            format!("at most {} s and {} MiB", TIME.as_secs(), MEMORY >> 10),
            "hand rows over while you visit the lists, and look nothing up by going through all of them",
        )
    };
    if took > TIME || single > TIME {
        return Err(too_much(format!("the plan of {lists} lists took {:.1} s", took.max(single).as_secs_f64())));
    }
    if used > MEMORY {
        return Err(too_much(format!("the plan of {lists} lists took {} MiB", used >> 10)));
    }
    Ok(())
}

fn roster(lists: u32) -> Roster {
    let domains: Vec<DomainName> =
        (0..DOMAINS).filter_map(|number| DomainName::parse(&format!("d{number}.example")).ok()).collect();
    let lists = (0..lists as usize).filter_map(|number| {
        let name = ListName::parse(&format!("list{number}")).ok()?;
        Some(list(ListAddress { name, domain: domains[number % DOMAINS].clone() }))
    });
    Roster::new(Vec::new(), lists.collect())
}
