//! Whether the parts of the daemon still turn.
//!
//! A part has a [`Pulse`], which is one arm of its loop: it answers only when the loop comes around to it, so a part
//! that is stuck does not answer. Whoever wants to know asks all of them at once ([`Hearts::round`]). Nothing
//! happens unless somebody asks; without a watchdog nobody does.
//!
//! What takes long for a good reason and has a time limit of its own (loading plugins) is told with
//! [`Pulse::excuse`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// All parts that are watched. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Hearts {
    watched: Arc<Mutex<Vec<Heart>>>,
}

/// One part, seen from outside.
#[derive(Clone, Debug)]
struct Heart {
    name: String,
    questions: mpsc::Sender<oneshot::Sender<()>>,
    excused: watch::Receiver<Option<Instant>>,
}

/// With it a part shows that it is alive.
#[derive(Debug)]
pub struct Pulse {
    questions: mpsc::Receiver<oneshot::Sender<()>>,
    excused: watch::Sender<Option<Instant>>,
}

/// While it lives, its part need not answer.
#[derive(Debug)]
pub struct Excuse(watch::Sender<Option<Instant>>);

/// One question to all parts, and who has not answered it yet.
#[derive(Debug)]
pub struct Round {
    answers: JoinSet<usize>,
    missing: Vec<Option<String>>,
}

impl Hearts {
    /// Watches a part from now on, until its pulse is dropped.
    pub fn watch(&self, name: impl Into<String>) -> Pulse {
        let (ask, questions) = mpsc::channel(1);
        let (excused, seen) = watch::channel(None);
        let heart = Heart { name: name.into(), questions: ask, excused: seen };
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(heart);
        Pulse { questions, excused }
    }

    /// Asks all parts.
    pub fn round(&self) -> Round {
        let mut round = Round { answers: JoinSet::new(), missing: Vec::new() };
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|heart| !heart.questions.is_closed());
        for heart in watched.iter().cloned() {
            round.ask(&heart.name.clone(), heart.answer());
        }
        round
    }
}

impl Heart {
    /// Ready when the part has answered, is excused, or is gone (whoever started it sees to that).
    async fn answer(mut self) {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            if self.questions.send(reply).await.is_ok() {
                let _ = answer.await;
            }
        };
        tokio::select! {
            () = asked => {}
            Ok(_) = self.excused.wait_for(|until| until.is_some_and(|until| until > Instant::now())) => {}
        }
    }
}

impl Round {
    /// Asks one more, in its own way: `answer` is ready when it has answered.
    pub fn ask(&mut self, name: &str, answer: impl Future<Output = ()> + Send + 'static) {
        let number = self.missing.len();
        self.missing.push(Some(name.to_owned()));
        self.answers.spawn(async move {
            answer.await;
            number
        });
    }

    /// Ready when all have answered. May be dropped and called again.
    pub async fn answered(&mut self) {
        while let Some(answered) = self.answers.join_next().await {
            if let Ok(number) = answered
                && let Some(name) = self.missing.get_mut(number)
            {
                *name = None;
            }
        }
    }

    /// Who has not answered, as far as [`Round::answered`] has seen.
    pub fn missing(&self) -> Vec<&str> {
        self.missing.iter().flatten().map(String::as_str).collect()
    }
}

impl Pulse {
    /// Of a part that nobody watches.
    pub fn unwatched() -> Self {
        Hearts::default().watch("")
    }

    /// An arm of the part's loop: ready after a question was answered. Nothing is lost when it is dropped before.
    pub async fn asked(&mut self) {
        match self.questions.recv().await {
            // Nobody waits for the answer any more: that is the asker's business.
            Some(reply) => drop(reply.send(())),
            None => std::future::pending().await,
        }
    }

    /// The part does something that may take so long, and need not answer until it is done.
    pub fn excuse(&self, limit: Duration) -> Excuse {
        self.excused.send_replace(Some(Instant::now() + limit));
        Excuse(self.excused.clone())
    }
}

impl Drop for Excuse {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for whoever turns.
    const SOON: Duration = Duration::from_millis(100);

    async fn missing_after(hearts: &Hearts, time: Duration) -> Vec<String> {
        let mut round = hearts.round();
        let _ = tokio::time::timeout(time, round.answered()).await;
        round.missing().into_iter().map(str::to_owned).collect()
    }

    fn turning(mut pulse: Pulse) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                pulse.asked().await;
            }
        })
    }

    #[tokio::test]
    async fn only_those_who_are_stuck_are_missing() {
        let hearts = Hearts::default();
        let alive = turning(hearts.watch("alive"));
        let stuck = hearts.watch("stuck");
        let gone = hearts.watch("gone");
        drop(gone);
        assert_eq!(missing_after(&hearts, SOON).await, ["stuck"]);
        assert_eq!(missing_after(&hearts, SOON).await, ["stuck"], "asked again, still stuck");
        let late = turning(stuck);
        assert!(missing_after(&hearts, SOON).await.is_empty(), "it turns again");
        alive.abort();
        late.abort();
        let _ = (alive.await, late.await);
        assert!(missing_after(&hearts, SOON).await.is_empty(), "nobody is left");
    }

    #[tokio::test]
    async fn an_excuse_holds_until_it_is_dropped_or_its_time_is_over() {
        let hearts = Hearts::default();
        let pulse = hearts.watch("busy");
        let excuse = pulse.excuse(Duration::from_mins(1));
        assert!(missing_after(&hearts, SOON).await.is_empty());
        drop(excuse);
        assert_eq!(missing_after(&hearts, SOON).await, ["busy"]);
        let _excuse = pulse.excuse(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(missing_after(&hearts, SOON).await, ["busy"], "for ever is no excuse");
    }

    #[tokio::test]
    async fn who_is_not_watched_is_never_asked() {
        let mut pulse = Pulse::unwatched();
        assert!(tokio::time::timeout(SOON, pulse.asked()).await.is_err());
    }
}
