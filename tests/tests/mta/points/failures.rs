//! Tables that are missing, unreadable or old, and a program of the MTA that fails: mail for a list is put
//! off, never refused for good, and Postrider says what is wrong.

use super::Outcome;
use crate::mta::{Asked, WithoutTable};
use crate::site::{ANTS, CARLA, LIMIT, STAFF, Site, subjects};
use postrider_tests::mta_box::Catcher;
use std::os::unix::fs::PermissionsExt as _;
use std::{fs, thread, time::Duration};

const ASKED: [Asked; 4] = [Asked::Posting, Asked::Verp, Asked::Owner, Asked::Alias];
/// Where tables are put aside.
const ASIDE: &str = "/root/aside";
/// More than an MTA needs that starts.
const TIME_TO_START: Duration = Duration::from_secs(1);

pub fn check(site: &Site<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let lists = site.lists();
    let mut damage = Damage { site, outcome: &mut outcome, taken: Vec::new() };
    damage.without_a_table();
    damage.with_an_unreadable_table();
    let taken = damage.taken;
    arrive(site, &lists, &taken);
    if let Some(why) = site.mta.needs_tables_to_start() {
        it_does_not_start(site);
        outcome.remark(why);
    }
    with_old_tables(site);
    with_a_failing_program(site, &mut outcome);
    drop(lists);
    outcome
}

/// What is done to the tables, and what was taken meanwhile.
struct Damage<'s, 'b> {
    site: &'s Site<'b>,
    outcome: &'s mut Outcome,
    /// Subjects of messages that were taken and must arrive.
    taken: Vec<String>,
}

impl Damage<'_, '_> {
    /// Each by itself, then all of them, each time with an MTA that is just being started.
    fn without_a_table(&mut self) {
        let site = self.site;
        let tables = put_aside(site);
        for table in &tables {
            start_with(site, &|| drop(site.machine.run(&["rm", "-rf", table])));
            self.is_answered(&format!("without {table}"), &|asked| site.mta.without_table(table, asked));
            trouble_is_told(site, table, "missing");
        }
        start_with(site, &|| drop(site.machine.shell(&format!("rm -rf {}", tables.join(" ")))));
        self.is_answered("without any table", &|asked| {
            let answers: Vec<_> = tables.iter().map(|table| site.mta.without_table(table, asked)).collect();
            // Whatever needs one of them needs all.
            let (taken, mut needed): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|answer| *answer == WithoutTable::Taken);
            needed.sort_by_key(|answer| *answer == WithoutTable::PutOff);
            needed.into_iter().chain(taken).next().unwrap_or(WithoutTable::PutOff)
        });
        // What the check advises.
        site.run(&["aliases"]);
        is_mended(site);
    }

    fn with_an_unreadable_table(&mut self) {
        let site = self.site;
        for table in put_aside(site) {
            start_with(site, &|| site.mta.make_unreadable(site.machine, &table));
            self.is_answered(&format!("with {table} unreadable"), &|asked| site.mta.without_table(&table, asked));
            // A text from which the MTA's own table was made once is still good for root, and the MTA needs it no more.
            let needed = ASKED.iter().any(|asked| site.mta.without_table(&table, *asked) != WithoutTable::Taken);
            if needed || !site.machine.output(&["test", "-e", &table]).expect("test").status.success() {
                trouble_is_told(site, &table, "unreadable");
            }
        }
        start_with(site, &|| ());
        is_mended(site);
    }

    /// Every kind of address is answered as the MTA's description says, within the limit.
    fn is_answered(&mut self, state: &str, expected: &(dyn Fn(Asked) -> WithoutTable + Sync)) {
        let site = self.site;
        let address = |asked: Asked| match asked {
            Asked::Posting => ANTS.to_owned(),
            Asked::Verp => "ants-bounces+user=remote.example@lists.example.com".to_owned(),
            Asked::Owner => "ants-owner@lists.example.com".to_owned(),
            Asked::Alias => format!("crew@{}", STAFF.0),
        };
        // At the same time: some answers are slow in coming.
        let answers: Vec<_> = thread::scope(|scope| {
            let ask = |asked: Asked| {
                let (answer, address) = (expected(asked), address(asked));
                let subject = format!("{address} {state}");
                scope.spawn(move || {
                    let code = match answer {
                        WithoutTable::PutOff => site.rcpt_within(&address, LIMIT),
                        WithoutTable::NoReply(_) => site.rcpt(&address),
                        WithoutTable::Taken | WithoutTable::Bounced(_) => site
                            .wait_for(&format!("a reply for {address} {state}"), || site.post(&address, &subject).ok()),
                    };
                    (answer, subject, code)
                })
            };
            let asking: Vec<_> = ASKED.into_iter().map(ask).collect();
            let answers = asking.into_iter().map(thread::ScopedJoinHandle::join);
            answers.map(|answer| answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let codes: Vec<u16> = answers.iter().map(|(.., code)| *code).collect();
        let mut bounced = false;
        for (answer, subject, code) in answers {
            let fits = match answer {
                WithoutTable::PutOff => (400..500).contains(&code),
                // Whom it reaches in time depends on who else asks: all but a refusal for good.
                WithoutTable::NoReply(_) => [0, 250].contains(&code) || (400..500).contains(&code),
                WithoutTable::Taken | WithoutTable::Bounced(_) => code == 250,
            };
            assert!(fits, "{subject}: {code} instead of {answer:?}; posting, VERP, owner, alias: {codes:?}");
            match answer {
                WithoutTable::Taken => self.taken.push(subject),
                WithoutTable::PutOff => {}
                WithoutTable::NoReply(_) if code != 0 => {}
                WithoutTable::NoReply(why) => {
                    self.outcome.remark(format!("Without a table the client gets no reply and tries again: {why}"));
                }
                WithoutTable::Bounced(why) => {
                    self.outcome.remark(format!("Without its tables mail for lists is bounced: {why}"));
                    let bounce = || site.bounces().iter().any(|bounce| bounce.text().contains(&subject)).then_some(());
                    site.wait_flushing(&format!("the bounce of {subject}"), bounce);
                    bounced = true;
                }
            }
        }
        // All at once: they may come in any order.
        if bounced {
            site.world.clear();
        }
    }
}

/// What was taken while a table was gone arrives when it is back, and nobody gets a bounce.
fn arrive(site: &Site<'_>, lists: &Catcher, taken: &[String]) {
    site.wait_flushing(&format!("{} messages that were taken", taken.len()), || {
        let seen = subjects(&lists.caught());
        taken.iter().all(|subject| seen.contains_key(subject)).then_some(())
    });
    assert!(site.bounces().iter().all(|bounce| bounce.recipients != [CARLA]), "bounced: {:?}", site.bounces());
}

/// Keeps a copy of the tables; returns their paths.
fn put_aside(site: &Site<'_>) -> Vec<String> {
    let tables = site.table_paths();
    assert!(!tables.is_empty(), "there are no tables like {:?}", site.mta.tables());
    site.machine.shell(&format!("rm -rf {ASIDE}; mkdir {ASIDE}; cp -a --parents {} {ASIDE}", tables.join(" ")));
    tables
}

/// Starts the MTA anew with the tables that were put aside, after `damage`; or before it, if it would not start.
fn start_with(site: &Site<'_>, damage: &dyn Fn()) {
    site.mta.stop(site.machine);
    for table in site.table_paths() {
        site.machine.run(&["rm", "-rf", &table]);
    }
    site.machine.shell(&format!("cp -a {ASIDE}/. /"));
    let needs_tables = site.mta.needs_tables_to_start().is_some();
    if needs_tables {
        site.start_mta();
        // It may listen before it has opened them.
        is_mended(site);
    }
    damage();
    if !needs_tables {
        site.start_mta();
    }
}

/// Who does not start without tables does not refuse anything either.
fn it_does_not_start(site: &Site<'_>) {
    site.mta.stop(site.machine);
    site.machine.shell(&format!("rm -rf {}", site.table_paths().join(" ")));
    site.mta.start(site.machine);
    thread::sleep(TIME_TO_START);
    assert_eq!(site.rcpt(ANTS), 0, "{} answers without its tables", site.mta.name());
    // What the check advises.
    site.run(&["aliases"]);
    site.start_mta();
    is_mended(site);
}

/// Tables that are older than the MTA's start are still good.
fn with_old_tables(site: &Site<'_>) {
    site.mta.stop(site.machine);
    for table in site.table_paths() {
        site.machine.run(&["touch", "-d", "2 days ago", &table]);
    }
    site.start_mta();
    let code = site.rcpt_within(ANTS, LIMIT);
    assert!(code == 250, "old tables: {ANTS}: {code}");
    is_mended(site);
}

fn with_a_failing_program(site: &Site<'_>, outcome: &mut Outcome) {
    let setting = match site.mta.program_setting() {
        Ok(setting) => setting,
        Err(why) => return outcome.remark(format!("No program can fail: {why}")),
    };
    let broken = site.machine.shared().join("broken");
    fs::write(&broken, "#!/bin/sh\necho 'broken: no room for you' >&2\nexit 1\n").expect("written");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("mode");
    site.set_settings(&format!("{setting}: {}\n", broken.display()));
    let told = site.ends(3, &["create", "dogs@lists.example.com"]);
    for part in [broken.to_str().expect("UTF-8"), "no room for you", "postrider aliases"] {
        assert!(told.contains(part), "{part:?} is missing in: {told}");
    }
    assert_eq!(site.rcpt_within(ANTS, LIMIT), 250, "the lists that were there are still there");
    site.set_settings("");
    site.run(&["aliases"]);
    site.wait_for("dogs to be taken", || (site.rcpt("dogs@lists.example.com") == 250).then_some(()));
}

fn is_mended(site: &Site<'_>) {
    site.wait_for("the list to be taken again", || (site.rcpt(ANTS) == 250).then_some(()));
}

/// The check finds an error and names the table; or else `aliases`, which mends it, does.
fn trouble_is_told(site: &Site<'_>, table: &str, state: &str) {
    let name = table.rsplit('/').next().unwrap_or_default();
    // The administrator knows a map by its name without the ending that its type adds.
    let stem = name.split('.').next().unwrap_or_default();
    let output = site.command(&["hookup", "--check"]).output().expect("the program postrider");
    let checked = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() && checked.lines().any(|line| line.starts_with("error")) && checked.contains(stem) {
        return;
    }
    let output = site.command(&["aliases"]).output().expect("the program postrider");
    let mended = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let told = mended.lines().any(|line| line.contains(stem) && !line.contains("unchanged"));
    assert!(told, "nobody says that {name} is {state}.\nhookup --check: {checked}\naliases: {mended}");
}
