//! What the sink saw, and the faults that it committed.

use super::load::{LISTS, Post};
use super::random::Random;
use super::trigger::{Trigger, When};
use postrider::deliver::sink::{Answer, Moment, Script, Step};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A transaction whose message the sink has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub post: usize,
    pub list: usize,
    /// Numbers of its members.
    pub members: Vec<usize>,
    pub verp: bool,
    /// Which connection, and which of its transactions.
    pub session: usize,
    pub transaction: usize,
    /// Since the record was begun.
    pub at: Duration,
    /// The sink has said so. If not, it broke off at this very moment, and nobody can blame the client for trying again.
    pub said: bool,
}

/// Something else than a good server would have done.
#[derive(Clone, Debug)]
pub struct Fault {
    pub step: Step,
    pub bounces: Bounces,
    /// Whom it was about: addresses; empty: everybody of the transaction.
    pub recipients: Vec<String>,
    /// Post, list and whether with VERP, once they are known: its message was seen to its end.
    pub post: Option<(usize, usize, bool)>,
    pub session: usize,
    pub transaction: usize,
}

/// Whether those whom a fault was about must become bounces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounces {
    No,
    /// 552 to RCPT, which may mean 452 (RFC 5321, section 4.5.3.1.10).
    Perhaps,
    Yes,
}

#[derive(Default)]
struct Seen {
    taken: Vec<Taken>,
    pairs: HashSet<(usize, usize, usize)>,
    faults: Vec<Fault>,
    /// Faults of the transaction that each session is at.
    open: HashMap<usize, Vec<usize>>,
    nonsense: Vec<String>,
}

pub struct Record {
    seed: u64,
    start: Instant,
    trigger: Arc<Trigger>,
    seen: Mutex<Seen>,
    pairs: AtomicUsize,
    /// How long it takes for each message while it is not told to behave.
    slow: Option<Duration>,
    behaves: AtomicBool,
    /// Whether faults are committed now, and what decides which.
    faulty: AtomicBool,
    random: Mutex<Random>,
}

impl Record {
    pub fn new(seed: u64, trigger: Arc<Trigger>, faulty: bool, slow: Option<Duration>) -> Arc<Self> {
        Arc::new(Record {
            seed,
            start: Instant::now(),
            trigger,
            seen: Mutex::default(),
            pairs: AtomicUsize::new(0),
            faulty: AtomicBool::new(faulty),
            slow,
            behaves: AtomicBool::new(false),
            random: Mutex::new(Random::new(seed, 2)),
        })
    }

    /// The sink's behaviour.
    pub fn script(self: &Arc<Self>) -> Script {
        let record = Arc::clone(self);
        Script { keep: false, ..Script::new(move |moment| record.answer(moment)) }
    }

    /// From now on the sink is as a good server.
    pub fn behave(&self) {
        self.faulty.store(false, Ordering::SeqCst);
        self.behaves.store(true, Ordering::SeqCst);
    }

    /// How many recipients have got something, twice counted once.
    pub fn pairs(&self) -> usize {
        self.pairs.load(Ordering::SeqCst)
    }

    /// Since the record was begun.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.seen.lock().expect("lock").taken.clone()
    }

    pub fn faults(&self) -> Vec<Fault> {
        self.seen.lock().expect("lock").faults.clone()
    }

    /// What should not have come.
    pub fn nonsense(&self) -> Vec<String> {
        self.seen.lock().expect("lock").nonsense.clone()
    }

    fn answer(&self, moment: &Moment<'_>) -> Answer {
        if moment.step == Step::EndOfData {
            self.trigger.happens(When::FinalDot);
        }
        let fault = self.faulty.load(Ordering::SeqCst).then(|| self.fault(moment)).flatten();
        match moment.step {
            Step::EndOfData => self.end_of_data(moment, fault),
            Step::Connect if fault.is_none() => Answer::say(banner(moment.session)),
            Step::Mail => {
                self.seen.lock().expect("lock").open.remove(&moment.session);
                self.note(moment, fault.as_ref());
                fault.map_or(Answer::Usual, |fault| fault.answer)
            }
            _ => {
                self.note(moment, fault.as_ref());
                fault.map_or(Answer::Usual, |fault| fault.answer)
            }
        }
    }

    fn end_of_data(&self, moment: &Moment<'_>, fault: Option<Planned>) -> Answer {
        self.note(moment, fault.as_ref());
        let mut seen = self.seen.lock().expect("lock");
        let faults = seen.open.remove(&moment.session).unwrap_or_default();
        let said = fault.as_ref().is_none_or(|fault| fault.taken == Some(true));
        let (post, list, verp) = match self.recognise(moment) {
            Ok(found) => found,
            Err(why) => {
                seen.nonsense.push(why);
                return Answer::Usual;
            }
        };
        for number in faults {
            seen.faults[number].post = Some((post, list, verp));
        }
        if fault.as_ref().is_none_or(|fault| fault.taken.is_some()) {
            let members: Option<Vec<usize>> =
                moment.recipients.iter().map(|address| LISTS[list].member_number(address)).collect();
            let Some(members) = members else {
                seen.nonsense.push(format!("post {post} to {:?}", moment.recipients));
                return Answer::Usual;
            };
            for member in &members {
                if seen.pairs.insert((post, list, *member)) {
                    self.pairs.fetch_add(1, Ordering::SeqCst);
                }
            }
            let at = self.now();
            let (session, transaction) = (moment.session, moment.transaction);
            seen.taken.push(Taken { post, list, members, verp, session, transaction, at, said });
        }
        match fault {
            Some(fault) => fault.answer,
            None if self.slow.is_some() && !self.behaves.load(Ordering::SeqCst) => {
                Answer::After(self.slow.unwrap_or_default(), Box::new(Answer::Usual))
            }
            // A little time now and then, as a disk would take.
            None if self.random.lock().expect("lock").chance(100) => Answer::After(
                self.random.lock().expect("lock").shorter_than(Duration::from_millis(4)),
                Box::new(Answer::Usual),
            ),
            None => Answer::Usual,
        }
    }

    /// Post, list, and whether it came with VERP.
    fn recognise(&self, moment: &Moment<'_>) -> Result<(usize, usize, bool), String> {
        let post = Post::recognise(self.seed, moment.message)?;
        let (list, verp) = list_of(moment.sender).ok_or_else(|| format!("post {post} from {}", moment.sender))?;
        if Post::new(self.seed, post).lists.contains(&list) {
            Ok((post, list, verp))
        } else {
            Err(format!("post {post} came through the list {}", LISTS[list].name))
        }
    }

    fn note(&self, moment: &Moment<'_>, fault: Option<&Planned>) {
        let Some(fault) = fault else { return };
        let recipients = match moment.step {
            Step::Rcpt => vec![path(moment.line).unwrap_or_default().to_owned()],
            Step::Data | Step::EndOfData => moment.recipients.to_vec(),
            _ => Vec::new(),
        };
        let mut seen = self.seen.lock().expect("lock");
        let number = seen.faults.len();
        assert_eq!(number, fault.number, "faults are planned and noted one by one");
        seen.faults.push(Fault {
            step: moment.step,
            bounces: fault.bounces,
            recipients,
            post: None,
            session: moment.session,
            transaction: moment.transaction,
        });
        seen.open.entry(moment.session).or_default().push(number);
    }

    fn fault(&self, moment: &Moment<'_>) -> Option<Planned> {
        let mut random = self.random.lock().expect("lock");
        let (often, kinds) = match moment.step {
            Step::Connect | Step::Ehlo => (60, 6),
            Step::Mail | Step::Data | Step::EndOfData => (30, 9),
            Step::Rcpt => (15, 10),
            _ => return None,
        };
        if !random.chance(often) {
            return None;
        }
        // The one runtime thread of the sink plans and notes one fault after the other.
        let number = self.seen.lock().expect("lock").faults.len();
        let mut planned = Planned { number, answer: Answer::Usual, bounces: Bounces::No, taken: None };
        let say = |code: &str| Answer::say(format!("{code} fault {number}."));
        let end = moment.step == Step::EndOfData;
        planned.answer = match random.below(kinds) {
            0 => {
                planned.taken = (end && random.chance(500)).then_some(false);
                Answer::Close
            }
            1 => Answer::say_and_close(format!("421 4.3.2 fault {number}.")),
            2 => {
                let usual =
                    if moment.step == Step::Connect { Answer::say(banner(moment.session)) } else { Answer::Usual };
                planned.taken = end.then_some(true);
                Answer::After(
                    Duration::from_millis(200) + random.shorter_than(Duration::from_millis(600)),
                    Box::new(usual),
                )
            }
            3 => {
                let (first, then) = if random.chance(500) { ("250", "451") } else { ("451", "250") };
                Answer::say(format!("{first}-fault {number}.\r\n{then} fault {number}."))
            }
            4 => say("451 4.3.0"),
            5 => {
                if !matches!(moment.step, Step::Connect | Step::Ehlo) {
                    planned.bounces = Bounces::Yes;
                }
                say("554 5.7.1")
            }
            6 => say("452 4.2.2"),
            7 => {
                planned.bounces = if moment.step == Step::Rcpt { Bounces::Perhaps } else { Bounces::Yes };
                say("552 5.2.2")
            }
            // It takes the message and goes.
            8 if end => {
                planned.taken = Some(true);
                Answer::say_and_close("250 2.0.0 taken")
            }
            8 => say("450 4.2.1"),
            _ => Answer::say(format!("452 4.5.3 too many recipients, fault {number}.")),
        };
        Some(planned)
    }
}

/// A fault before it is committed.
struct Planned {
    number: usize,
    answer: Answer,
    bounces: Bounces,
    /// At the final dot: `None`: the message is not taken. Else it is, and whether that is said.
    taken: Option<bool>,
}

/// The fault that a reply tells of.
pub fn fault_of(reply: &str) -> Option<usize> {
    reply.split_once("fault ")?.1.split_once('.')?.0.parse().ok()
}

fn banner(session: usize) -> String {
    format!("220 sink.example session {session}")
}

/// Connects to the sink while no daemon is there; returns the number of this connection: all with lower numbers are
/// of daemons that are gone.
pub fn boundary(sink: (&str, u16)) -> usize {
    for _ in 0..100 {
        let Ok(stream) = TcpStream::connect(sink) else { continue };
        let mut line = String::new();
        // The sink may be at fault here too.
        if BufReader::new(stream).read_line(&mut line).is_ok()
            && let Some((_, number)) = line.trim_end().split_once("session ")
        {
            return number.parse().expect("a number");
        }
    }
    panic!("the sink does not greet")
}

fn path(line: &str) -> Option<&str> {
    Some(line.split_once('<')?.1.rsplit_once('>')?.0)
}

/// From the envelope sender: the list, and whether it is VERP.
fn list_of(sender: &str) -> Option<(usize, bool)> {
    LISTS.iter().enumerate().find_map(|(number, list)| {
        let rest = sender.strip_prefix(list.name)?.strip_prefix("-bounces")?.strip_suffix("@lists.example.com")?;
        Some((number, !rest.is_empty()))
    })
}

/// The list at which mail with this posting address is.
pub fn list_at(address: &str) -> Option<usize> {
    LISTS.iter().position(|list| list.address() == address)
}
