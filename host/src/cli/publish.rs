//! Tells the MTA what changed, and the person what came of it.

use super::{Exit, Session, output};
use crate::control::Request;
use crate::hookup::{self, ByHand, Outcome, Report, Wish};

/// Brings the MTA's tables up to date after a change that is already in the store.
///
/// A failure here does not undo the change: the list is there, the MTA does not know it yet, and
/// `aliases` (or the daemon) finishes the work.
///
/// `made_after` is the generation that was wanted before it.
pub async fn publish(session: &Session, made_after: i64, quiet: bool) -> Exit {
    match bring_up_to_date(session, Wish { made_after: Some(made_after), ..Wish::default() }).await {
        Ok(Outcome::AlreadyApplied(by_hand)) => tell_what_is_left(&Report { by_hand, ..Report::default() }, quiet),
        Ok(Outcome::Done(report)) => tell_what_is_left(&report, quiet),
        Err(error) => {
            output::error(&error);
            session.wake(Request::Lists).await; // the daemon tries again too
            output::note("the MTA does not know of it yet; when the cause is gone, run `postrider aliases`");
            Exit::MtaBehind
        }
    }
}

/// Brings the MTA's tables up to date.
pub async fn bring_up_to_date(session: &Session, wish: Wish) -> anyhow::Result<Outcome> {
    let hookup = session.hookup()?;
    Ok(hookup::bring_up_to_date(session.store().await?, hookup, wish).await?)
}

/// Prints all that was published and what is left to do.
pub fn tell(report: &Report) -> Exit {
    output::line(&report.to_string());
    exit_of(report)
}

/// Prints what is left to do.
fn tell_what_is_left(report: &Report, quiet: bool) -> Exit {
    for command in report.by_hand.iter().filter(|command| !quiet || command.required || command.leaves_mta_behind()) {
        output::line(&command.to_string());
    }
    report.waiting.iter().for_each(|waiting| output::line(&waiting.to_string()));
    exit_of(report)
}

fn exit_of(report: &Report) -> Exit {
    if report.waiting.is_some() || report.by_hand.iter().any(ByHand::leaves_mta_behind) {
        Exit::MtaBehind
    } else {
        Exit::Done
    }
}
