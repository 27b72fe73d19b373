//! Tells the MTA what changed, and the person what came of it.

use super::{Exit, Session, output};
use crate::control::Request;
use crate::hookup::{self, Change, Options, Report};

/// Brings the MTA's tables up to date after a change that is already in the store.
///
/// A failure here does not undo the change: the list is there, the MTA does not know it yet, and
/// `aliases` (or the daemon) finishes the work.
pub async fn publish(session: &Session, change: Change) -> Exit {
    let done = async {
        let hookup = session.hookup()?;
        Ok::<_, anyhow::Error>(hookup::bring_up_to_date(session.store().await?, hookup, change, Options::default()).await?)
    };
    match done.await {
        Ok(report) => tell(&report),
        Err(error) => {
            output::error(&error);
            session.wake(Request::Lists).await; // the daemon tries again too
            output::note("the MTA does not know of it yet; when the cause is gone, run `postrider aliases`");
            Exit::MtaBehind
        }
    }
}

/// Prints what was published and what is left to do.
pub fn tell(report: &Report) -> Exit {
    for line in report.lines() {
        output::line(&line);
    }
    if report.is_complete() { Exit::Done } else { Exit::MtaBehind }
}
