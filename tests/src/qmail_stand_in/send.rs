//! In place of qmail-queue and qmail-send: a directory with one file for each recipient, and whoever empties it.

use super::{Fate, Qmail, Report, remote};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What qmail waits before its second try.
const RETRY_AFTER: Duration = Duration::from_secs(100);
/// Between two looks at the queue.
const PAUSE: Duration = Duration::from_millis(20);

/// Puts a message into the queue, for one recipient: sender, recipient, and the message after two line ends.
pub(super) fn enqueue(qmail: &Qmail, sender: &str, recipient: &str, message: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Names in the order of arrival, also over restarts.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let name = format!("{:024}-{:08}", now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed));
    let staged = qmail.home().join(format!("staged.{name}"));
    fs::write(&staged, [format!("{sender}\n{recipient}\n").as_bytes(), message].concat())?;
    fs::rename(staged, qmail.home().join("queue").join(name))
}

/// Sends what is in the queue until the process ends. What was deferred waits, unless the file `alarm` grows
/// meanwhile (ALRM makes qmail-send try everything at once).
pub(super) fn run(qmail: &Qmail) {
    let mut waiting: HashMap<PathBuf, Instant> = HashMap::new();
    let mut alarms = 0;
    loop {
        let now = fs::metadata(qmail.home().join("alarm")).map_or(0, |file| file.len());
        if now != alarms {
            alarms = now;
            waiting.clear();
        }
        for path in queued(&qmail.home().join("queue")) {
            if waiting.get(&path).is_some_and(|since| since.elapsed() < RETRY_AFTER) {
                continue;
            }
            if attempt(qmail, &path).expect("the queue") {
                waiting.remove(&path);
                fs::remove_file(&path).expect("the queue");
            } else {
                waiting.insert(path, Instant::now());
            }
        }
        thread::sleep(PAUSE);
    }
}

fn queued(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the queue").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    paths
}

/// Tries once; is it done with?
fn attempt(qmail: &Qmail, path: &Path) -> io::Result<bool> {
    let octets = fs::read(path)?;
    let mut parts = octets.splitn(3, |octet| *octet == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (sender, recipient, message) = (next(), next(), next());
    let (sender, recipient) = (String::from_utf8_lossy(sender), String::from_utf8_lossy(recipient));
    let fate = match qmail.send(&sender, &recipient, message) {
        Fate::Remote => remote::send(qmail, &sender, &recipient, message),
        Fate::Local(report) => report,
        Fate::Refused => Report::Failure("refused\n".to_owned()),
    };
    println!("{sender} -> {recipient}: {fate:?}");
    match fate {
        Report::Success(_) => Ok(true),
        Report::Deferral(_) => Ok(false),
        // A bounce that bounces is the postmaster's, whom the stand-in does not have.
        Report::Failure(_) if sender.is_empty() => Ok(true),
        Report::Failure(reason) => {
            let bounce = format!(
                "From: MAILER-DAEMON@mta.example.com\nTo: {sender}\nSubject: failure notice\n\n\
                 This is a stand-in for qmail-send. The message below was not delivered.\n\n\
                 <{recipient}>:\n{reason}\n--- The message:\n\n"
            );
            enqueue(qmail, "", &sender, &[bounce.as_bytes(), message].concat())?;
            Ok(true)
        }
    }
}
