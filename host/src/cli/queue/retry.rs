//! `postrider queue retry`

use super::super::output;
use super::choice::{Choice, State, together};
use super::{Exit, Session};
use crate::control::Request;
use crate::spool::{Arrival, ArrivalState, RecipientFilter};

/// Try again now: mail that waits for a later try, and shunted mail
#[derive(Debug, clap::Args)]
#[command(after_help = "Without ENTRY and options: everything that waits for a later try, and all shunted mail \
                        (Mailman's `unshunt`). A running daemon that leaves the mail server alone for a while asks it \
                        at once.")]
pub(super) struct Retry {
    #[command(flatten)]
    choice: Choice,
    /// Only recipients whose last reply contains this text
    #[arg(long, value_name = "TEXT")]
    reply: Option<String>,
}

impl Retry {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let spool = session.spool().await?;
        let found = self.choice.find("retry", session, spool).await?;
        let meant = |arrival: &&Arrival| {
            let wanted = self.choice.is_by_number()
                || arrival.state == ArrivalState::Shunted
                || self.choice.filter.state.is_some_and(|state| state.arrival() == Some(arrival.state));
            self.reply.is_none() && wanted && arrival.state != ArrivalState::New
        };
        let again = |arrival: &Arrival| {
            // What is not kept of a message stays said.
            let reason = if arrival.state == ArrivalState::Kept { arrival.reason.clone() } else { String::new() };
            let (spool, id) = (spool.clone(), arrival.id);
            async move { spool.set_state(id, ArrivalState::New, &reason).await }
        };
        let arrivals = together(found.arrivals.iter().filter(meant).map(again)).await?;
        let arrivals = arrivals.into_iter().filter(|done| *done).count() as u64;
        let filter = RecipientFilter { address: self.choice.filter.recipient.clone(), reply: self.reply.clone() };
        let (mut recipients, mut due) = (0, 0);
        for message in &found.outgoing {
            recipients += spool.retry_recipients(message.id, &filter).await?;
            due += message.waiting - message.deferred;
        }
        session.wake(Request::Spool).await;
        let all_known = found.tell_unknown();
        if all_known || !found.is_empty() {
            let mut told = format!("{} will be tried again now", output::count(arrivals + recipients));
            if recipients > 0 && arrivals > 0 {
                told = format!(
                    "{told}: {} in, {} out",
                    output::counted(arrivals, "message"),
                    output::counted(recipients, "recipient")
                );
            }
            if due > 0 && self.reply.is_none() && self.choice.filter.state != Some(State::Deferred) {
                told = format!("{told}; {} due already", output::count(due));
            }
            output::line(&told);
        }
        Ok(if all_known { Exit::Done } else { Exit::Failed })
    }
}
