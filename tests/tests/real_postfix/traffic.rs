//! Strangers who post without pause while something changes.

use super::site::{STRANGER, message};
use postrider_tests::mta_box::{MtaBox, SmtpSession};
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// One attempt that got an answer.
#[derive(Debug)]
pub struct Attempt {
    /// When its connection was begun.
    pub begun: Instant,
    /// The last reply: to `RCPT` if that was no 250, else to the message.
    pub code: u16,
    pub subject: String,
}

/// Posts to a list, each time with a connection and a subject of its own, until told to stop.
pub fn post_without_pause(machine: &MtaBox, list: &str, stop: &AtomicBool) -> Vec<Attempt> {
    post_again_and_again(machine, list, Duration::ZERO, stop)
}

/// The same with a pause after each.
pub fn post_again_and_again(machine: &MtaBox, list: &str, pause: Duration, stop: &AtomicBool) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (begun, subject) = (Instant::now(), format!("{list} {number}"));
        // A reload may cut the connection; nothing has been accepted then.
        if let Ok(code) = post(machine, list, &subject) {
            attempts.push(Attempt { begun, code, subject });
        }
        thread::sleep(pause);
    }
    attempts
}

/// Posts once as a stranger.
pub fn post(machine: &MtaBox, list: &str, subject: &str) -> io::Result<u16> {
    let mut session = SmtpSession::connect(machine, STRANGER, "127.0.0.1:25")?;
    session.mail("someone@remote.example")?;
    let code = session.rcpt(list)?.code;
    if code != 250 {
        return Ok(code);
    }
    Ok(session.data(&message("someone@remote.example", subject))?.code)
}

/// Subjects of what was accepted.
pub fn accepted(attempts: &[Attempt]) -> Vec<String> {
    attempts.iter().filter(|attempt| attempt.code == 250).map(|attempt| attempt.subject.clone()).collect()
}
