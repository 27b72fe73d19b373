//! How fast delivery alone is: a queue in memory, one message, an SMTP server that throws it away.
//!
//! ```text
//! smtp-sink -c 127.0.0.1:2525 1000 &
//! cargo run --release --example bench_deliver -- 127.0.0.1:2525 [recipients] [octets] [rounds]
//! ```
//! Prints recipients a second: bulk with 10 and 100 recipients a transaction, and VERP.

use postrider::deliver::memory::MemoryQueue;
use postrider::deliver::session::Target;
use postrider::deliver::{Deliverer, DeliverySettings, Outgoing};
use postrider::lists::EmailAddress;
use postrider::spool::{EnvelopeSender, Outgoing as Message};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server: SocketAddr =
        arguments.next().ok_or_else(|| anyhow::anyhow!("usage: bench_deliver IP:PORT"))?.parse()?;
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (recipients, octets, rounds) = (number(10_000)?, number(4096)?, number(5)?);
    let addresses: Vec<EmailAddress> =
        (0..recipients).map(|n| EmailAddress::parse(&format!("user{n}@example.com"))).collect::<Result<_, _>>()?;
    let mut message = b"From: a@example.com\r\nSubject: bench\r\n\r\n".to_vec();
    while message.len() < octets {
        message.extend_from_slice(b"The quick brown fox jumps over the lazy dog, again and again.\r\n");
    }
    let message: Arc<[u8]> = message.into();
    println!("{recipients} recipients, {octets} octets, {rounds} rounds, recipients/s: median (least, most)");
    for (name, sender, batch) in [
        ("bulk, 10 a transaction", EnvelopeSender::Fixed("ants-bounces@lists.example.com".into()), 10),
        ("bulk, 100 a transaction", EnvelopeSender::Fixed("ants-bounces@lists.example.com".into()), 100),
        ("VERP", EnvelopeSender::Verp("ants-bounces@lists.example.com".into()), 10),
    ] {
        for connections in [1, 4] {
            let mut rates = Vec::new();
            for _ in 0..rounds {
                let letter = Message {
                    list: None,
                    list_address: "ants@lists.example.com".into(),
                    message_id: "<bench@example.com>".into(),
                    sender: sender.clone(),
                    message: Arc::clone(&message),
                    recipients: addresses.clone(),
                    personal: None,
                };
                rates.push(recipients as f64 / round(server, letter, batch, connections).await?.as_secs_f64());
            }
            rates.sort_by(f64::total_cmp);
            let (median, least, most) = (rates[rates.len() / 2], rates[0], rates[rates.len() - 1]);
            println!("{name:24} {connections} connection(s): {median:>9.0} ({least:.0}, {most:.0})");
        }
    }
    Ok(())
}

/// From the first lease to the record of the last result.
async fn round(server: SocketAddr, letter: Message, batch: usize, connections: usize) -> anyhow::Result<Duration> {
    let queue = Arc::new(MemoryQueue::new(false));
    queue.push(&letter, Duration::ZERO);
    let settings = DeliverySettings {
        max_recipients: batch,
        connections,
        ..DeliverySettings::for_target(Target::plain(server.ip().to_string(), server.port()))
    };
    let deliverer = Deliverer::new(settings, Arc::clone(&queue), Outgoing::Smtp);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let begun = Instant::now();
    let task = tokio::spawn(deliverer.run(async {
        let _ = stopped.await;
    }));
    queue.wait_until(|queue| queue.open() == 0).await;
    let took = begun.elapsed();
    let _ = stop.send(());
    task.await?;
    Ok(took)
}
