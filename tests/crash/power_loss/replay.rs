//! Goes through a record, has the power fail at many moments of it, and adds up what is found.

use super::disk::{Disk, Entries, Luck, State};
use super::expected::Expected;
use super::load::Recording;
use super::record::Event;
use super::verdict::{self, Verdict};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// So many moments, spread over the record; those after a sync, a reply or a mark are preferred.
    pub moments: usize,
    /// At each, so many throws of the dice, besides nothing and everything.
    pub throws: u64,
    /// Ends after so many bad states.
    pub enough: usize,
    /// First number for the dice.
    pub seed: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub moments: usize,
    pub states: usize,
    /// Posts answered 250, added up over all states, that were looked for.
    pub looked_for: usize,
    /// Of states.
    pub damaged: usize,
    pub with_losses: usize,
    /// Most recipients in one state that would get a message twice.
    pub twice: usize,
    /// What was seen first.
    pub examples: Vec<String>,
}

impl Findings {
    pub fn bad(&self) -> usize {
        self.damaged.max(self.with_losses)
    }
}

struct Task {
    state: State,
    expected: Arc<Expected>,
    what: String,
}

/// Replays `events`, which are those of the recording or fewer.
pub fn replay(recording: &Recording, events: &[Event], entries: Entries, effort: Effort) -> Findings {
    let (send, tasks) = mpsc::sync_channel::<Task>(4);
    let tasks = Mutex::new(tasks);
    let findings = Mutex::new(Findings::default());
    let moments = moments(events, effort);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| work(&tasks, &findings));
        }
        let mut disk = Disk::new(recording.root, entries);
        let mut expected = Expected::default();
        let mut moments_left = moments.iter().copied().peekable();
        for (time, event) in events.iter().enumerate() {
            disk.happen(event);
            expected.happen(event, &recording.posts);
            if moments_left.next_if_eq(&time).is_none() {
                continue;
            }
            findings.lock().expect("findings").moments += 1;
            let promised = Arc::new(expected.clone());
            let dice = (0..effort.throws).map(|throw| Luck::Dice(effort.seed + (time as u64) * 1000 + throw));
            let fixed: &[Luck] = match disk.pending() {
                0 => &[Luck::Everything],
                _ if time % 3 == 0 => &[Luck::Nothing, Luck::Everything, Luck::Names, Luck::Octets],
                _ => &[Luck::Nothing, Luck::Everything],
            };
            let dice = dice.take(if disk.pending() == 0 { 0 } else { usize::MAX });
            for luck in fixed.iter().copied().chain(dice) {
                let what = format!(
                    "power loss after event {time} of {} ({entries:?}, {luck:?}, {} changes unsynced)",
                    events.len(),
                    disk.pending()
                );
                let task = Task { state: disk.power_loss(luck), expected: promised.clone(), what };
                if send.send(task).is_err() {
                    break;
                }
            }
            if findings.lock().expect("findings").bad() >= effort.enough {
                break;
            }
        }
        drop(send);
    });
    findings.into_inner().expect("findings")
}

/// After which events the power fails.
fn moments(events: &[Event], effort: Effort) -> Vec<usize> {
    let is_boundary = |event: &Event| {
        matches!(event, Event::SyncEnds { .. } | Event::SyncBegins { .. } | Event::Reply(_) | Event::Mark(_))
    };
    let spread = |from: Vec<usize>, count: usize| -> Vec<usize> {
        let count = count.min(from.len());
        (0..count).map(|number| from[number * from.len() / count]).collect()
    };
    let (boundaries, others): (Vec<usize>, Vec<usize>) =
        (0..events.len()).partition(|number| is_boundary(&events[*number]));
    let mut chosen = spread(boundaries, effort.moments * 3 / 4);
    chosen.extend(spread(others, effort.moments / 4));
    chosen.sort_unstable();
    chosen
}

fn work(tasks: &Mutex<Receiver<Task>>, findings: &Mutex<Findings>) {
    let base = quick_directory();
    loop {
        let Ok(Task { state, expected, what }) = tasks.lock().expect("tasks").recv() else { return };
        let directory = tempfile::Builder::new().prefix("postrider-power-").tempdir_in(&base).expect("a directory");
        verdict::write(&state, directory.path());
        let Verdict { damaged, lost, twice } = verdict::judge(&directory.path().join("data"), &expected);
        let mut findings = findings.lock().expect("findings");
        findings.states += 1;
        findings.looked_for += expected.answered;
        findings.twice = findings.twice.max(twice);
        findings.damaged += usize::from(!damaged.is_empty());
        findings.with_losses += usize::from(!lost.is_empty());
        if (!damaged.is_empty() || !lost.is_empty()) && findings.examples.len() < 3 {
            let mut text = what;
            for (kind, list) in [("damaged", damaged), ("lost", lost)] {
                for one in list.iter().take(5) {
                    let _ = write!(text, "\n  {kind}: {one}");
                }
            }
            for (path, contents) in &state {
                let _ = write!(text, "\n  {} {:?}", path.display(), contents.as_ref().map(Vec::len));
            }
            findings.examples.push(text);
        }
    }
}

/// In memory, where there is enough of it for some states: what is tested is never on a real disk.
fn quick_directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    if free > 512 << 20 { memory.to_owned() } else { std::env::temp_dir() }
}
