//! What became of every recipient of every post: lost, doubled, by which kill.
//!
//! The promise of `host/src/deliver/mod.rs`: on each connection a kill can double at most the transaction in
//! flight, the results whose commit is under way, and those that wait for it. That is [`MOST_BULK`] transactions
//! of bulk mail, [`MOST_VERP`] messages with VERP. What the sink took and was not heard to take, because it broke
//! off just then, may come again too.

use super::load::{Answer, LISTS, number_of};
use super::record::{Bounces, Fault, Record, Taken, fault_of, list_at};
use super::trigger::When;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

/// Bulk transactions of one connection that one kill may double: one being committed, one in flight.
pub const MOST_BULK: usize = 2;
/// The same with VERP: two groups of at most 50 results, and the one in flight.
pub const MOST_VERP: usize = 101;

/// One end of a daemon by SIGKILL.
pub struct Kill {
    pub when: When,
    /// How long it had lived.
    pub life: Duration,
    /// Since the record was begun.
    pub at: Duration,
    /// Connections of the sink with lower numbers were of this daemon or earlier ones.
    pub boundary: usize,
}

/// A line of `queue bounces --json`.
pub struct Bounce {
    pub list: String,
    pub recipient: String,
    pub message_id: String,
    pub reply: String,
}

/// Post, list, member.
type Pair = (usize, usize, usize);

/// Transactions of one connection whose results were lost with a kill.
#[derive(Default)]
struct Forgotten {
    bulk: BTreeSet<usize>,
    verp: BTreeSet<usize>,
}

#[derive(Default)]
pub struct Account {
    /// What must not be; empty when all is well.
    pub wrong: Vec<String>,
    posts: usize,
    accepted: usize,
    unanswered: usize,
    unanswered_arrived: usize,
    recipients: usize,
    bounced: usize,
    pub lost: usize,
    /// Recipients that got it once more than they should, by kill.
    doubled: BTreeMap<usize, usize>,
    doubled_by_the_sink: usize,
    /// The longest time between a transaction and the kill with which its result was lost.
    oldest: Duration,
    /// By step of the dialogue.
    faults: BTreeMap<String, usize>,
    /// By kill and connection.
    forgotten: BTreeMap<(usize, usize), Forgotten>,
}

impl Account {
    pub fn make(
        answers: &BTreeMap<(usize, usize), Answer>,
        record: &Record,
        bounces: &[Bounce],
        kills: &[Kill],
    ) -> Self {
        let mut account = Account::default();
        let (taken, faults) = (record.taken(), record.faults());
        for fault in &faults {
            *account.faults.entry(format!("{:?}", fault.step)).or_default() += 1;
        }
        account.wrong.extend(record.nonsense());
        let mut arrivals: HashMap<Pair, Vec<usize>> = HashMap::new();
        for (number, one) in taken.iter().enumerate() {
            for member in &one.members {
                arrivals.entry((one.post, one.list, *member)).or_default().push(number);
            }
        }
        let bounced = account.bounces(bounces, &faults);
        account.posts(answers, &arrivals, &bounced);
        account.twice(&taken, &arrivals, &bounced, kills);
        account.verdicts(&faults, &bounced, kills);
        account.bounds();
        account
    }

    /// Every bounce has its reason in what the sink said, and comes once.
    fn bounces(&mut self, bounces: &[Bounce], faults: &[Fault]) -> HashMap<Pair, usize> {
        let mut bounced = HashMap::new();
        for bounce in bounces {
            let told = format!("{} of {}: {}", bounce.recipient, bounce.message_id, bounce.reply);
            let place = list_at(&bounce.list).and_then(|list| {
                Some((number_of(&bounce.message_id)?, list, LISTS[list].member_number(&bounce.recipient)?))
            });
            let (Some(pair), Some(number)) = (place, fault_of(&bounce.reply)) else {
                self.wrong.push(format!("a bounce without reason: {told}"));
                continue;
            };
            let good = faults.get(number).is_some_and(|fault| {
                fault.bounces != Bounces::No
                    && (fault.recipients.is_empty() || fault.recipients.contains(&bounce.recipient))
                    && fault.post.is_none_or(|(post, list, _)| (post, list) == (pair.0, pair.1))
            });
            if !good {
                self.wrong.push(format!("the sink did not refuse for ever {told}"));
            }
            if bounced.insert(pair, number).is_some() {
                self.wrong.push(format!("bounced twice: {told}"));
            }
        }
        self.bounced = bounced.len();
        bounced
    }

    /// Each post came wholly or, if nothing was promised, not at all.
    fn posts(
        &mut self,
        answers: &BTreeMap<(usize, usize), Answer>,
        arrivals: &HashMap<Pair, Vec<usize>>,
        bounced: &HashMap<Pair, usize>,
    ) {
        let known: HashSet<(usize, usize)> = answers.keys().copied().collect();
        for (post, list, _) in arrivals.keys().chain(bounced.keys()) {
            if !known.contains(&(*post, *list)) {
                self.wrong.push(format!("post {post} to {} was never sent", LISTS[*list].name));
            }
        }
        let mut by_post: BTreeMap<usize, Vec<(usize, &Answer)>> = BTreeMap::new();
        for ((post, list), answer) in answers {
            by_post.entry(*post).or_default().push((*list, answer));
        }
        for (post, lists) in by_post {
            self.posts += 1;
            let promised = lists.iter().any(|(_, answer)| **answer == Answer::Accepted);
            let refused = lists.iter().any(|(_, answer)| matches!(answer, Answer::Refused(_)));
            let (mut all, mut done) = (0, 0);
            for (list, answer) in &lists {
                if let Answer::Refused(reply) = answer {
                    self.wrong.push(format!("post {post} was refused: {reply}"));
                }
                let pairs = (0..LISTS[*list].members).map(|member| (post, *list, member));
                all += LISTS[*list].members;
                done += pairs.filter(|pair| arrivals.contains_key(pair) || bounced.contains_key(pair)).count();
            }
            self.recipients += done;
            match (promised, refused) {
                (true, _) => {
                    self.accepted += 1;
                    if done < all {
                        self.lost += all - done;
                        self.wrong
                            .push(format!("post {post} was answered 250; lost: {} of {all} recipients", all - done));
                    }
                }
                (false, false) => {
                    self.unanswered += 1;
                    self.unanswered_arrived += usize::from(done > 0);
                    if done != 0 && done != all {
                        self.wrong.push(format!("post {post} was not answered and came to {done} of {all} recipients"));
                    }
                }
                (false, true) if done > 0 => self.wrong.push(format!("post {post} was refused and came")),
                (false, true) => {}
            }
        }
    }

    /// Whoever got something again got it because of a kill, or because the sink broke off.
    fn twice(
        &mut self,
        taken: &[Taken],
        arrivals: &HashMap<Pair, Vec<usize>>,
        bounced: &HashMap<Pair, usize>,
        kills: &[Kill],
    ) {
        for (pair, times) in arrivals {
            let bounce = bounced.contains_key(pair);
            for (number, first) in times.iter().enumerate() {
                let next = times.get(number + 1);
                if next.is_none() && !bounce {
                    continue;
                }
                let first = &taken[*first];
                if !first.said {
                    self.doubled_by_the_sink += 1;
                    continue;
                }
                let life = generation(kills, first.session);
                let again = next.map_or(kills.len(), |next| generation(kills, taken[*next].session));
                if life == kills.len() || (again == life && next.is_some()) {
                    let (one, other) = (first, next.map(|next| &taken[*next]));
                    self.wrong.push(format!("{pair:?} twice without a kill in between: {one:?} {other:?}"));
                    continue;
                }
                *self.doubled.entry(life).or_default() += 1;
                self.oldest = self.oldest.max(kills[life].at.saturating_sub(first.at));
                self.forget(life, first.session, first.transaction, first.verp);
            }
        }
    }

    /// A 5xx whose result is missing was lost with a kill, as one that was delivered would be.
    fn verdicts(&mut self, faults: &[Fault], bounced: &HashMap<Pair, usize>, kills: &[Kill]) {
        for (number, fault) in faults.iter().enumerate() {
            let (Bounces::Yes, Some((post, list, verp))) = (fault.bounces, fault.post) else { continue };
            for address in &fault.recipients {
                let Some(member) = LISTS[list].member_number(address) else { continue };
                if bounced.get(&(post, list, member)) == Some(&number) {
                    continue;
                }
                let life = generation(kills, fault.session);
                if life == kills.len() {
                    self.wrong.push(format!("{address} was refused for ever and did not bounce: {fault:?}"));
                } else {
                    self.forget(life, fault.session, fault.transaction, verp);
                }
            }
        }
    }

    fn forget(&mut self, kill: usize, session: usize, transaction: usize, verp: bool) {
        let forgotten = self.forgotten.entry((kill, session)).or_default();
        let kind = if verp { &mut forgotten.verp } else { &mut forgotten.bulk };
        kind.insert(transaction);
    }

    fn bounds(&mut self) {
        for ((kill, session), one) in &self.forgotten {
            if one.bulk.len() > MOST_BULK || one.verp.len() > MOST_VERP {
                self.wrong.push(format!(
                    "kill {kill} doubled {} bulk transactions and {} messages with VERP of connection {session}; \
                     promised are at most {MOST_BULK} and {MOST_VERP}: {:?} {:?}",
                    one.bulk.len(),
                    one.verp.len(),
                    one.bulk,
                    one.verp
                ));
            }
        }
    }

    /// For people.
    pub fn table(&self, title: &str, kills: &[Kill], every_kill: bool) -> String {
        let mut text = format!("\n{title}\n");
        let _ = writeln!(
            text,
            "  kills {}, posts sent {}: answered 250 {}, without an answer {} (of these came all the same {})",
            kills.len(),
            self.posts,
            self.accepted,
            self.unanswered,
            self.unanswered_arrived
        );
        let _ = writeln!(
            text,
            "  recipients {}: lost {}, bounced {}, doubled by kills {}, by a sink that broke off {}; faults of the sink {:?}",
            self.recipients,
            self.lost,
            self.bounced,
            self.doubled.values().sum::<usize>(),
            self.doubled_by_the_sink,
            self.faults
        );
        if kills.is_empty() {
            return text;
        }
        let _ = writeln!(
            text,
            "  {:<20} {:>6} {:>14} {:>19} {:>22} {:>22}",
            "killed when",
            "kills",
            "that doubled",
            "recipients doubled",
            "most bulk/connection",
            "most VERP/connection"
        );
        for when in When::ALL {
            let of = |kill: &usize| kills.get(*kill).is_some_and(|kill| kill.when == when);
            let most = |count: fn(&Forgotten) -> usize| {
                self.forgotten.iter().filter(|((kill, _), _)| of(kill)).map(|(_, one)| count(one)).max().unwrap_or(0)
            };
            let _ = writeln!(
                text,
                "  {:<20} {:>6} {:>14} {:>19} {:>14} (of {MOST_BULK:>2}) {:>14} (of {MOST_VERP})",
                when.name(),
                kills.iter().filter(|kill| kill.when == when).count(),
                self.doubled.keys().filter(|kill| of(kill)).count(),
                self.doubled.iter().filter(|(kill, _)| of(kill)).map(|(_, count)| count).sum::<usize>(),
                most(|one| one.bulk.len()),
                most(|one| one.verp.len()),
            );
        }
        let _ = writeln!(text, "  oldest transaction doubled: {:.3} s before its kill", self.oldest.as_secs_f64());
        if every_kill {
            for (kill, doubled) in &self.doubled {
                let connections = self.forgotten.range((*kill, 0)..(*kill + 1, 0)).map(|((_, session), one)| {
                    format!("connection {session}: {} bulk, {} VERP", one.bulk.len(), one.verp.len())
                });
                let Kill { when, life, .. } = &kills[*kill];
                let _ = writeln!(
                    text,
                    "  kill {kill} ({}, {:.3} s old): {doubled} recipients; {}",
                    when.name(),
                    life.as_secs_f64(),
                    connections.collect::<Vec<_>>().join("; ")
                );
            }
        }
        text
    }
}

/// Which daemon had this connection of the sink, counted from 0.
fn generation(kills: &[Kill], session: usize) -> usize {
    kills.partition_point(|kill| kill.boundary < session)
}
