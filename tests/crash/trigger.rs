//! Kills the daemon in the very moment at which something happens.

use rustix::process::{Pid, Signal, kill_process};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// When the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// At any time after its start, its start included.
    Anytime,
    /// A client has just sent its final dot.
    Offered,
    /// A client has just read 250.
    Answered,
    /// The sink has just read a final dot.
    FinalDot,
}

impl When {
    pub const ALL: [When; 4] = [When::Anytime, When::Offered, When::Answered, When::FinalDot];

    pub fn name(self) -> &'static str {
        match self {
            When::Anytime => "any time",
            When::Offered => "a post was sent",
            When::Answered => "250 was read",
            When::FinalDot => "the sink got a dot",
        }
    }
}

#[derive(Default)]
pub struct Trigger {
    armed: Mutex<Option<Armed>>,
    fired: Condvar,
}

struct Armed {
    when: When,
    /// So many times nothing happens first.
    skip: usize,
    process: Pid,
}

impl Trigger {
    /// It happens: whoever waits for it kills.
    pub fn happens(&self, when: When) {
        let mut armed = self.armed.lock().expect("lock");
        let Some(one) = armed.as_mut().filter(|one| one.when == when) else { return };
        if one.skip > 0 {
            one.skip -= 1;
            return;
        }
        // It may have ended by itself; whoever started it finds that out.
        let _ = kill_process(one.process, Signal::KILL);
        *armed = None;
        self.fired.notify_all();
    }

    /// Kills this process when it happens next, after `skip` times; gives up after `limit`. `true`: it was killed.
    pub fn kill_when(&self, when: When, skip: usize, process: i32, limit: Duration) -> bool {
        let mut armed = self.armed.lock().expect("lock");
        *armed = Some(Armed { when, skip, process: Pid::from_raw(process).expect("a process") });
        let (mut armed, timeout) = self.fired.wait_timeout_while(armed, limit, |armed| armed.is_some()).expect("lock");
        *armed = None;
        !timeout.timed_out()
    }
}
