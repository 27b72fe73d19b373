//! Lists come and go while the MTA runs and people write: nobody is refused for good who must not
//! be, nothing that was taken is lost, doubled or bounced.

use super::{Outcome, incoming::SendTo as _};
use crate::site::{ANTS, CARLA, LIMIT, Site, subjects};
use postrider_tests::{
    mta_box::{Catcher, Caught},
    set_on_drop::SetOnDrop,
};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// So many posts to a new list are waited for.
const ENOUGH: usize = 10;
/// People who write to a list before it exists.
const IMPATIENCE: Duration = Duration::from_millis(300);
/// Between two posts to the list that is there all the time.
const PAUSE: Duration = Duration::from_millis(50);

/// One attempt that got an answer.
#[derive(Debug)]
struct Attempt {
    begun: Instant,
    answered: Instant,
    /// The last reply: to `RCPT` if that was no 250, else to the message.
    code: u16,
    subject: String,
}

pub fn check(site: &Site<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let lists = site.lists();
    let stop = &AtomicBool::new(false);
    let taken = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let ends = SetOnDrop(stop);
        let steady = scope.spawn(move || post_until(site, ANTS, PAUSE, stop, taken));

        let known_domain = created_while_posted_to(site, "bees@lists.example.com");
        let new_domain = created_while_posted_to(site, "cats@new.example");
        for (created, what) in [(&known_domain, "a new list"), (&new_domain, "a new list in a new domain")] {
            if !created.by_root.is_empty() {
                outcome.remark(format!(
                    "For {what} `create` ends with 3 and says what root has to do before it takes effect \
                     (`{}`); for a moment afterwards it may still be refused.",
                    created.by_root.join("`, `")
                ));
            }
        }
        outcome.times.push(("new list", known_domain.first_accepted));
        outcome.times.push(("new list in a new domain", new_domain.first_accepted));

        if bounces_unknown(site) {
            // Else what still waits is returned as soon as the list is gone.
            arrive(site, &lists, &known_domain.accepted);
        }
        // What the MTA takes while it forgets the list is still delivered.
        let mut accepted = [known_domain.accepted, new_domain.accepted].concat();
        accepted.extend(removed_while_posted_to(site, "bees@lists.example.com"));

        drop(ends);
        let attempts = steady.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.code >= 500).collect();
        assert!(refused.is_empty(), "a list that was there all the time was refused: {refused:?}");
        accepted.extend(accepted_of(&attempts));
        each_arrives_once(site, &lists, &accepted);
    });
    drop(lists);
    site.begin_point();
    removed_while_mail_waits(site, &mut outcome);
    outcome
}

/// Mail that was taken for a list which is then removed comes back to its sender; it does not vanish.
fn removed_while_mail_waits(site: &Site<'_>, outcome: &mut Outcome) {
    let (list, subject) = ("wasps@lists.example.com", "too late for the wasps");
    let daemon = site.serve();
    site.change(&["create", list]);
    site.wait_for("the list to be taken", || (site.rcpt(list) == 250).then_some(()));
    site.stop(daemon);
    site.stranger_as(CARLA).send_to(&[list], subject);
    site.wait_for("the MTA to keep the mail", || (!site.mta.queue_is_empty(site.machine)).then_some(()));
    site.change(&["remove", list]);
    let daemon = site.serve();
    let bounce = site.wait_flushing("the bounce of what waited for a removed list", || {
        site.bounces().into_iter().find(|bounce| bounce.text().contains(subject))
    });
    assert_eq!(bounce.recipients, [CARLA], "{bounce:?}");
    assert!(bounce.text().contains(list), "the bounce names the list:\n{}", bounce.text());
    // Postrider's words, whichever way the MTA breaks the lines.
    let words: Vec<String> = bounce.text().split_whitespace().map(str::to_owned).collect();
    let who = if words.join(" ").contains("no such list") { "Postrider refuses" } else { "the MTA returns" };
    outcome.remark(format!("Mail that waits while its list is removed: {who} it, and its sender gets a bounce."));
    site.wait_until_delivered();
    let of_it = |bounce: &Caught| bounce.text().contains(subject);
    assert_eq!(site.bounces().into_iter().filter(of_it).count(), 1, "{:?}", site.bounces());
    site.stop(daemon);
}

struct Created {
    /// Subjects of what was accepted.
    accepted: Vec<String>,
    /// From the return of `create` to the first 250 for a message.
    first_accepted: Duration,
    /// What root had to do, for Postrider may not.
    by_root: Vec<String>,
}

fn created_while_posted_to(site: &Site<'_>, list: &str) -> Created {
    let stop = &AtomicBool::new(false);
    let taken = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let _ends = SetOnDrop(stop);
        // They ask before the list exists, so that the MTA has an answer to remember.
        let writer = scope.spawn(move || post_until(site, list, Duration::ZERO, stop, taken));
        thread::sleep(IMPATIENCE);
        let by_root = site.change(&["create", list]);
        let created = Instant::now();
        if bounces_unknown(site) {
            taken.store(0, Ordering::SeqCst);
        }
        site.wait_for(&format!("posts to {list} to be taken"), || {
            (taken.load(Ordering::SeqCst) >= ENOUGH || writer.is_finished()).then_some(())
        });
        stop.store(true, Ordering::SeqCst);
        let mut attempts = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if bounces_unknown(site) {
            // What it took for a list that did not exist yet comes back.
            attempts.retain(|attempt| attempt.begun > created);
        }
        let first = attempts.iter().find(|attempt| attempt.code == 250).expect("some were taken");
        // Where root activates it by hand nothing waits until every process of the MTA has noticed: for a moment some
        // still refuse a list that is not effective yet.
        let refused: Vec<_> = attempts
            .iter()
            .filter(|attempt| by_root.is_empty() && attempt.begun > created && attempt.code >= 500)
            .take(3)
            .collect();
        assert!(refused.is_empty(), "{list} was refused after create had returned: {refused:?}");
        Created {
            first_accepted: first.answered.saturating_duration_since(created),
            accepted: accepted_of(&attempts),
            by_root,
        }
    })
}

/// Returns what was taken meanwhile.
fn removed_while_posted_to(site: &Site<'_>, list: &str) -> Vec<String> {
    let stop = &AtomicBool::new(false);
    let taken = &AtomicUsize::new(0);
    thread::scope(|scope| {
        let _ends = SetOnDrop(stop);
        let writer = scope.spawn(move || post_until(site, &list.to_uppercase(), PAUSE, stop, taken));
        thread::sleep(IMPATIENCE);
        site.change(&["remove", list]);
        if site.mta.refusal(crate::mta::Unknown::List) == crate::mta::Refusal::AtRcpt {
            site.wait_for(&format!("{list} to be refused"), || (site.rcpt(list) >= 500).then_some(()));
        }
        stop.store(true, Ordering::SeqCst);
        let attempts = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What it took before the removal, and had not handed over yet, comes back as well.
        if bounces_unknown(site) { Vec::new() } else { accepted_of(&attempts) }
    })
}

/// The MTA takes mail for lists that do not exist, and returns it.
fn bounces_unknown(site: &Site<'_>) -> bool {
    matches!(site.mta.refusal(crate::mta::Unknown::List), crate::mta::Refusal::Bounced(_))
}

fn arrive(site: &Site<'_>, lists: &Catcher, accepted: &[String]) {
    site.wait_flushing(&format!("{} posts that were taken", accepted.len()), || {
        let seen = subjects(&lists.caught());
        accepted.iter().all(|subject| seen.contains_key(subject)).then_some(())
    });
}

/// Everything that was taken has arrived exactly once, and nobody got a bounce.
fn each_arrives_once(site: &Site<'_>, lists: &Catcher, accepted: &[String]) {
    arrive(site, lists, accepted);
    site.wait_until_delivered();
    let seen = subjects(&lists.caught());
    let doubled: Vec<_> = accepted.iter().filter(|subject| seen[*subject] > 1).collect();
    assert!(doubled.is_empty(), "arrived more than once: {doubled:?}");
    let mut bounces = site.bounces();
    if bounces_unknown(site) {
        let is_of = |text: &str| accepted.iter().any(|subject| text.contains(&format!("Subject: {subject}\r\n")));
        bounces.retain(|bounce| is_of(&bounce.text()));
    }
    assert!(bounces.is_empty(), "bounced: {bounces:?}");
}

/// Posts again and again, each time with a connection and a subject of its own, until told to stop.
fn post_until(site: &Site<'_>, list: &str, pause: Duration, stop: &AtomicBool, taken: &AtomicUsize) -> Vec<Attempt> {
    let (mut attempts, started) = (Vec::new(), Instant::now());
    for number in 0.. {
        // The limit is for a test that fails elsewhere.
        if stop.load(Ordering::SeqCst) || started.elapsed() > 3 * LIMIT {
            break;
        }
        let (begun, subject) = (Instant::now(), format!("{list} {number}"));
        // A reload may cut the connection; nothing has been taken then.
        if let Ok(code) = site.post(list, &subject) {
            if code == 250 {
                taken.fetch_add(1, Ordering::SeqCst);
            }
            attempts.push(Attempt { begun, answered: Instant::now(), code, subject });
        }
        thread::sleep(pause);
    }
    attempts
}

fn accepted_of(attempts: &[Attempt]) -> Vec<String> {
    attempts.iter().filter(|attempt| attempt.code == 250).map(|attempt| attempt.subject.clone()).collect()
}
