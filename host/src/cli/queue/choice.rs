//! Which entries are meant: by number, list, state or recipient.

use super::super::output;
use super::Session;
use super::entry::{Direction, Entry, Word, entries, usage};
use crate::lists::ListAddress;
use crate::spool::{
    Arrival, ArrivalFilter, ArrivalState, OutgoingFilter, OutgoingState, QueuedOutgoing, Spool, SpoolError,
};
use crate::store::StoreError;

/// So many changes are made at a time.
const TOGETHER: usize = 500;

/// State of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum State {
    /// In: to be processed
    New,
    /// In: kept for a function that processes it later
    Kept,
    /// In: could not be processed
    Shunted,
    /// Out: somebody is to be delivered to now
    #[value(alias = "active", alias = "waiting")]
    Due,
    /// Out: everybody waits for a later try
    Deferred,
}

impl State {
    pub(super) fn arrival(self) -> Option<ArrivalState> {
        match self {
            State::New => Some(ArrivalState::New),
            State::Kept => Some(ArrivalState::Kept),
            State::Shunted => Some(ArrivalState::Shunted),
            State::Due | State::Deferred => None,
        }
    }

    pub(super) fn outgoing(self) -> Option<OutgoingState> {
        match self {
            State::Due => Some(OutgoingState::Due),
            State::Deferred => Some(OutgoingState::Deferred),
            State::New | State::Kept | State::Shunted => None,
        }
    }
}

/// The same for all actions.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only of this list
    #[arg(long, value_name = "LIST")]
    pub list: Option<String>,
    /// Only in this state
    #[arg(long, value_enum, value_name = "STATE")]
    pub state: Option<State>,
    /// Only for this recipient
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
}

impl Filter {
    /// Whether everything is meant.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_none() && self.state.is_none() && self.recipient.is_none()
    }

    /// For each queue; `None` where nothing of it can be meant.
    pub(super) async fn resolved(
        &self,
        session: &Session,
    ) -> anyhow::Result<(Option<ArrivalFilter>, Option<OutgoingFilter>)> {
        let list = match &self.list {
            Some(name) => Some(list_address(session, name).await?),
            None => None,
        };
        let recipient = self.recipient.clone();
        let state = self.state.map(|state| (state.arrival(), state.outgoing()));
        let arrivals = match state {
            Some((None, _)) => None,
            _ => Some(ArrivalFilter {
                list: list.clone(),
                recipient: recipient.clone(),
                state: state.and_then(|(arrival, _)| arrival),
            }),
        };
        let outgoing = match state {
            Some((_, None)) => None,
            _ => Some(OutgoingFilter { list, recipient, state: state.and_then(|(_, outgoing)| outgoing) }),
        };
        Ok((arrivals, outgoing))
    }
}

/// Mail of a list can wait although the list is gone.
pub(super) async fn list_address(session: &Session, name: &str) -> anyhow::Result<String> {
    match session.store().await?.find_list(name).await {
        Ok(list) => Ok(list.address.to_string()),
        Err(error @ StoreError::ListUnknown { .. }) => match ListAddress::parse(name) {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Named entries, or those that a filter leaves.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Choice {
    /// `in NUMBER` or `out NUMBER` (or `in12`), as `queue` prints them; several at once: `in 7 8 out 3`
    #[arg(value_name = "ENTRY", conflicts_with_all = ["list", "state"])]
    words: Vec<Word>,
    #[command(flatten)]
    pub filter: Filter,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub arrivals: Vec<Arrival>,
    pub outgoing: Vec<QueuedOutgoing>,
    /// Named, but not there.
    pub unknown: Vec<Entry>,
}

impl Choice {
    /// The named entries; ends the program when the words make no sense.
    pub(super) fn entries(&self, action: &str) -> Vec<Entry> {
        entries(&self.words).unwrap_or_else(|what| usage(action, what))
    }

    /// Whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.filter.is_empty()
    }

    /// Whether entries were named by their numbers.
    pub(super) fn is_by_number(&self) -> bool {
        !self.words.is_empty()
    }

    /// Finds them.
    pub(super) async fn find(&self, action: &str, session: &Session, spool: &Spool) -> anyhow::Result<Chosen> {
        let entries = self.entries(action);
        if entries.is_empty() {
            let (arrivals, outgoing) = self.filter.resolved(session).await?;
            let found = spool.look(move |queues| {
                let mut chosen = Chosen::default();
                if let Some(filter) = arrivals {
                    queues.each_arrival(&filter, |arrival| chosen.arrivals.push(arrival))?;
                }
                if let Some(filter) = outgoing {
                    queues.each_outgoing(&filter, |message| chosen.outgoing.push(message))?;
                }
                Ok(chosen)
            });
            return Ok(found.await?);
        }
        let found = spool.look(move |queues| {
            let mut chosen = Chosen::default();
            for entry in entries {
                let found = match entry.direction {
                    Direction::In => queues.arrival(entry.number)?.map(|one| chosen.arrivals.push(one)),
                    Direction::Out => queues.outgoing(entry.number)?.map(|one| chosen.outgoing.push(one)),
                };
                if found.is_none() {
                    chosen.unknown.push(entry);
                }
            }
            Ok(chosen)
        });
        Ok(found.await?)
    }
}

impl Chosen {
    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.outgoing.is_empty()
    }

    /// Says which entries are not there. `true`: all are.
    pub(super) fn tell_unknown(&self) -> bool {
        self.unknown.iter().for_each(|entry| output::error(&entry.unknown()));
        self.unknown.is_empty()
    }
}

/// Changes that share commits: one sync to disk serves many of them. Outcomes in order.
pub(super) async fn together<T, F>(changes: impl Iterator<Item = F>) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, SpoolError>> + Send + 'static,
{
    let mut changes = changes.peekable();
    let mut outcomes = Vec::new();
    while changes.peek().is_some() {
        let some: Vec<_> = changes.by_ref().take(TOGETHER).map(tokio::spawn).collect();
        for one in some {
            outcomes.push(one.await??);
        }
    }
    Ok(outcomes)
}
