//! What systemd is told, see `sd_notify(3)`: readiness, the end, signs of life for its watchdog, and how far the queues are.
//!
//! With `WatchdogSec=` in the unit (`WATCHDOG_USEC` in our environment) it gets `WATCHDOG=1` twice in that time, but
//! only after every part has shown that it turns and the spool's writer has done an empty job. A part that does not
//! answer is named in the log; when it goes on not answering, systemd ends us and starts us again. Slow mail servers,
//! long fan-outs and plugins at their time limits are no reason: none of them keeps a part from turning.
//!
//! Without these variables nothing of this runs.

use crate::cli::output;
use crate::pulse::Hearts;
use crate::spool::{QueueSummary, Spool};
use sd_notify::NotifyState;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, info, warn};

/// The status line changes no more often than this.
const STATUS_PAUSE: Duration = Duration::from_secs(5);

/// What runs beside the daemon's parts for systemd; ended with [`Reports::end`].
pub(super) struct Reports(Vec<JoinHandle<()>>);

impl Reports {
    /// Tells that we are ready, and begins to report, as far as systemd wants to know.
    pub(super) fn ready(hearts: &Hearts, spool: &Spool) -> Self {
        tell(&NotifyState::Ready);
        let mut reports = Vec::new();
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Reports(reports);
        }
        reports.push(tokio::spawn(status(spool.clone())));
        if let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) {
            info!("systemd's watchdog gets a sign of life every {} s", (limit / 2).as_secs_f64());
            let spool = spool.clone();
            let ask_writer = move || {
                let spool = spool.clone();
                async move { spool.turn_over().await }
            };
            // Should it ever panic, the signs of life end, as they should.
            let watch = watch(hearts.clone(), limit, ask_writer, || tell(&NotifyState::Watchdog));
            reports.push(tokio::spawn(watch));
        }
        Reports(reports)
    }

    /// From here on a stop takes the time that the unit gives it (`TimeoutStopSec=`).
    pub(super) fn end(self) {
        self.0.iter().for_each(JoinHandle::abort);
        tell(&NotifyState::Stopping);
    }
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        warn!("systemd cannot be told {}: {error}", state.to_string().trim_end());
    }
}

/// Gives a sign of life twice in `limit` while everything turns.
async fn watch<F>(hearts: Hearts, limit: Duration, ask_writer: impl Fn() -> F, sign_of_life: impl Fn())
where
    F: Future<Output = ()> + Send + 'static,
{
    let pause = limit / 2;
    // After this there is still time to write down who is stuck.
    let patience = limit / 4;
    loop {
        let begun = Instant::now();
        let mut round = hearts.round();
        round.ask("the spool's writer", ask_writer());
        if timeout(patience, round.answered()).await.is_err() {
            error!(
                "no answer for {} s from: {}; without one within {} s systemd's watchdog starts Postrider again",
                patience.as_secs_f64(),
                round.missing().join(", "),
                pause.saturating_sub(patience).as_secs_f64()
            );
            round.answered().await;
            info!("everything answers again, after {:.1} s", begun.elapsed().as_secs_f64());
        }
        sign_of_life();
        sleep_until(begun + pause).await;
    }
}

/// One line about the queues for `systemctl status`, told when it changes.
async fn status(spool: Spool) {
    let mut told = String::new();
    loop {
        match spool.summary().await {
            Ok(summary) => {
                let text = status_line(&summary);
                if text != told {
                    tell(&NotifyState::Status(&text));
                    told = text;
                }
            }
            Err(error) => tracing::debug!("no status line: {error}"),
        }
        sleep(STATUS_PAUSE).await;
        spool.committed().notified().await;
    }
}

/// A time of day, not an age: nobody writes the line anew while nothing happens.
fn status_line(summary: &QueueSummary) -> String {
    let mut parts = Vec::new();
    if summary.new > 0 {
        parts.push(format!("{} to be processed", output::count(summary.new)));
    }
    if summary.recipients > 0 {
        parts.push(format!("{} recipients wait", output::count(summary.recipients)));
    }
    if let Some(oldest) = summary.oldest() {
        parts.push(format!("oldest since {}", output::time(oldest)));
    }
    if summary.shunted > 0 {
        parts.push(format!("{} shunted (postrider queue list --state shunted)", output::count(summary.shunted)));
    }
    if parts.is_empty() { "No mail waits".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Twice in this time.
    const LIMIT: Duration = Duration::from_millis(100);
    const SOON: Duration = Duration::from_secs(20);

    /// A watch over these parts and a writer that can get stuck.
    struct Watched {
        signs: Arc<AtomicUsize>,
        writer_stuck: Arc<AtomicBool>,
        watch: tokio::task::JoinHandle<()>,
    }

    fn watched(hearts: &Hearts) -> Watched {
        let (signs, writer_stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stuck) = (signs.clone(), writer_stuck.clone());
        let ask_writer = move || {
            let stuck = stuck.clone();
            async move {
                while stuck.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let sign = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        Watched { signs, writer_stuck, watch: tokio::spawn(watch(hearts.clone(), LIMIT, ask_writer, sign)) }
    }

    impl Watched {
        /// Waits for so many more signs of life.
        async fn gives(&self, more: usize) {
            let wanted = self.signs.load(Ordering::SeqCst) + more;
            let given = async {
                while self.signs.load(Ordering::SeqCst) < wanted {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(SOON, given).await.expect("signs of life");
        }

        /// After the round that was begun there is none.
        async fn gives_none(&self) {
            sleep(LIMIT).await;
            let before = self.signs.load(Ordering::SeqCst);
            sleep(LIMIT * 5).await;
            assert_eq!(self.signs.load(Ordering::SeqCst), before);
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.watch.abort();
        }
    }

    #[tokio::test]
    async fn signs_of_life_come_twice_in_the_limit_and_stop_while_a_part_is_stuck() {
        let hearts = Hearts::default();
        let mut pulse = hearts.watch("a part");
        let (stick, mut stuck) = tokio::sync::watch::channel(false);
        let _part = tokio::spawn(async move {
            loop {
                let _ = stuck.wait_for(|stuck| !stuck).await;
                tokio::select! {
                    () = pulse.asked() => {}
                    _ = stuck.changed() => {}
                }
            }
        });
        let begun = Instant::now();
        let watched = watched(&hearts);
        watched.gives(6).await;
        assert!(begun.elapsed() >= LIMIT / 2 * 5, "no more often than twice in the limit");
        stick.send_replace(true);
        watched.gives_none().await;
        stick.send_replace(false);
        watched.gives(3).await;
    }

    #[tokio::test]
    async fn a_writer_that_is_stuck_stops_the_signs_of_life() {
        let watched = watched(&Hearts::default());
        watched.gives(3).await;
        watched.writer_stuck.store(true, Ordering::SeqCst);
        watched.gives_none().await;
        watched.writer_stuck.store(false, Ordering::SeqCst);
        watched.gives(3).await;
    }

    #[test]
    fn the_status_line_says_what_waits() {
        let mut summary = QueueSummary::default();
        assert_eq!(status_line(&summary), "No mail waits");
        summary.recipients = 1204;
        summary.outgoing = 2;
        summary.oldest_outgoing = Some(0);
        summary.shunted = 1;
        let line = status_line(&summary);
        assert!(line.starts_with("1,204 recipients wait, oldest since 19") || line.contains("since 1970"), "{line}");
        assert!(line.ends_with("1 shunted (postrider queue list --state shunted)"), "{line}");
    }
}
