//! Listeners, limits, start and stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::ListenAddress;
use crate::open_files;
use crate::pulse::{Hearts, Pulse};

use super::connection::{Stop, stop_asked};
use super::listen::{self, BoundAddress, ListenError, Listener, Peer, Stream};
use super::reply::Refusal;
use super::seats::{Seat, Seats};
use super::session;
use super::settings::Settings;
use super::traits::{Directory, Intake};

/// How many connections above the limit are told so at a time; others are just closed.
const REFUSALS_AT_A_TIME: usize = 100;
/// How long it may take to tell them.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How long sessions may take to say their last words after the grace of a stop is over.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long to wait when the system gives no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The same when it is out of file descriptors.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The LMTP server, not yet listening.
pub struct Server<D, I> {
    shared: Arc<Shared<D, I>>,
}

/// What all sessions share.
pub(super) struct Shared<D, I> {
    pub settings: Settings,
    pub seats: Seats,
    pub directory: D,
    pub intake: I,
}

impl<D, I> Shared<D, I> {
    pub(super) fn new(settings: Settings, directory: D, intake: I) -> Self {
        let seats = Seats::new(settings.max_connections, settings.timeout);
        Shared { settings, seats, directory, intake }
    }
}

impl<D: Directory, I: Intake> Server<D, I> {
    /// A server that looks recipients up in `directory` and puts mail into `intake`.
    pub fn new(settings: Settings, directory: D, intake: I) -> Self {
        Server { shared: Arc::new(Shared::new(settings, directory, intake)) }
    }

    /// Opens all sockets. Clients can connect from here on; they are served by
    /// [`BoundServer::run`].
    ///
    /// # Errors
    /// When one of them cannot be opened; then none is.
    pub async fn bind(self, addresses: &[ListenAddress]) -> Result<BoundServer<D, I>, ListenError> {
        let listeners = listen::open(addresses).await?;
        let mut bound = Vec::with_capacity(listeners.len());
        for (index, listener) in listeners.iter().enumerate() {
            let number = index + 1;
            bound.push(listener.address().map_err(|source| ListenError::Activation { number, source })?);
        }
        Ok(BoundServer { shared: self.shared, listeners, addresses: bound, hearts: Hearts::default() })
    }
}

/// The LMTP server with its sockets open.
pub struct BoundServer<D, I> {
    shared: Arc<Shared<D, I>>,
    listeners: Vec<Listener>,
    addresses: Vec<BoundAddress>,
    hearts: Hearts,
}

impl<D: Directory, I: Intake> BoundServer<D, I> {
    /// Where it listens.
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// Each listener shows that it takes connections.
    #[must_use]
    pub fn watched(self, hearts: &Hearts) -> Self {
        BoundServer { hearts: hearts.clone(), ..self }
    }

    /// Serves until `stop` becomes true (or its sender is gone). Then nothing more is accepted,
    /// sockets are removed, idle sessions get 421, messages in transfer have
    /// [`Settings::stop_grace`] to end; returns when all sessions have ended.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (tell, told) = watch::channel(None);
        let limit = match self.shared.settings.max_connections {
            0 => REFUSALS_AT_A_TIME,
            limit => limit.min(REFUSALS_AT_A_TIME),
        };
        // Where few connections fit, few refusals do.
        let refusals = Arc::new(Semaphore::new(limit));
        let mut doors = JoinSet::new();
        for (listener, address) in self.listeners.into_iter().zip(self.addresses) {
            tracing::info!(target: "lmtp", "listening at {address}");
            let (shared, refusals) = (self.shared.clone(), refusals.clone());
            let pulse = self.hearts.watch(format!("LMTP at {address}"));
            doors.spawn(Door { shared, refusals, stop: told.clone(), pulse }.keep(listener));
        }
        let _ = stop.wait_for(|stop| *stop).await;
        tell.send_replace(Some(Instant::now() + self.shared.settings.stop_grace));
        while let Some(ended) = doors.join_next().await {
            log_panic(ended);
        }
    }
}

/// What one listener needs to let connections in.
struct Door<D, I> {
    shared: Arc<Shared<D, I>>,
    /// One permit a connection that is being refused.
    refusals: Arc<Semaphore>,
    stop: Stop,
    pulse: Pulse,
}

impl<D: Directory, I: Intake> Door<D, I> {
    /// Lets connections in until a stop, then waits for them.
    async fn keep(mut self, listener: Listener) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop_asked(&mut self.stop, false) => break,
                () = self.pulse.asked() => {}
                Some(ended) = sessions.join_next() => log_panic(ended),
                accepted = listener.accept() => match accepted {
                    Ok(Stream::Tcp(stream, peer)) => self.admit(stream, peer, &mut sessions),
                    Ok(Stream::Unix(stream)) => self.admit(stream, Peer::Unix, &mut sessions),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(listener);
        let deadline = (*self.stop.borrow()).unwrap_or_else(Instant::now) + LAST_WORDS;
        while let Ok(Some(ended)) = timeout_at(deadline, sessions.join_next()).await {
            log_panic(ended);
        }
        if !sessions.is_empty() {
            tracing::warn!(target: "lmtp", "cut {} session(s) that did not end in time", sessions.len());
        }
        sessions.shutdown().await;
    }

    fn admit<S>(&self, stream: S, peer: Peer, sessions: &mut JoinSet<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(seat) = self.shared.seats.take() {
            let (shared, stop) = (self.shared.clone(), self.stop.clone());
            sessions.spawn(async move {
                let _given_back = GiveBack(&shared, &seat);
                session::serve(stream, peer, &shared, stop, &seat).await;
            });
        } else if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            let host = self.shared.settings.hostname.clone();
            tracing::info!(target: "lmtp", %peer, "refused: 421 4.3.2 more than {} connections",
                self.shared.settings.max_connections);
            sessions.spawn(refuse(stream, host, permit));
        }
    }
}

/// Gives a seat back, also when its session panics.
struct GiveBack<'a, D, I>(&'a Shared<D, I>, &'a Arc<Seat>);

impl<D, I> Drop for GiveBack<'_, D, I> {
    fn drop(&mut self) {
        self.0.seats.give_back(self.1);
    }
}

async fn refuse<S: AsyncWrite + Unpin>(mut stream: S, host: String, _permit: OwnedSemaphorePermit) {
    let mut reply = Vec::new();
    Refusal::TooManyConnections { host }.reply().write_to(&mut reply);
    let _ = timeout(REFUSAL_TIME, async {
        stream.write_all(&reply).await?;
        stream.shutdown().await
    })
    .await;
}

/// A client that was gone before we took it is nothing; without file descriptors we must wait.
async fn pause_after(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        let advice = open_files::advice(error);
        let more = advice.map(|advice| format!("; clients wait, {advice}")).unwrap_or_default();
        tracing::error!(target: "lmtp", "cannot accept a connection: {error}{more}");
        // Descriptors come back when sessions end, not in a moment.
        sleep(if advice.is_some() { FULL_PAUSE } else { ACCEPT_PAUSE }).await;
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(target: "lmtp", "a session ended by a defect of Postrider, please report it: {error}");
        // The server lives on; a test must not.
        #[cfg(test)]
        if let Ok(panic) = error.try_into_panic() {
            std::panic::resume_unwind(panic);
        }
    }
}
