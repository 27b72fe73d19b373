//! How long the ways to send messages take.

use super::*;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Name, whether BDAT is used, whether the server counts as distant.
const WAYS: [(&str, Chunking, bool); 3] =
    [("DATA", Chunking::No, false), ("early envelopes", Chunking::No, true), ("BDAT", Chunking::Yes, true)];

fn settings_for(port: u16, (_, chunking, distant): (&str, Chunking, bool)) -> DeliverySettings {
    let mut settings = settings(port);
    settings.xverp = false;
    settings.target.chunking = chunking;
    settings.target.distant = Some(distant);
    settings
}

/// `cargo test --release -p postrider-tests --test outgoing -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn the_ways_side_by_side() {
    with_delay(20);
    if let Some(machine) = machine("side by side", Layer::postfix) {
        let main_cf = "transport_maps = inline:{{discard.example = discard:}}\nin_flow_delay = 0\n";
        let _postfix = Postfix::start(&machine, main_cf).unwrap();
        measure("Postfix", &machine, 800);
    }
    if let Some(machine) = machine("side by side", Exim::layer) {
        let exim = Exim::configure(&machine, EximLayout::Plain, "127.0.0.1");
        machine.shell("sed -i '1i queue_only = true' /etc/exim4/exim4.conf");
        exim.start();
        measure("Exim", &machine, 160);
    }
}

fn measure(name: &str, machine: &MtaBox, count: usize) {
    for (kind, sender, octets) in [
        ("VERP 4 KiB", verp(), 4096),
        ("VERP 60 KiB", verp(), 60_000),
        ("bulk 100, 4 KiB", EnvelopeSender::Fixed(BOUNCES.into()), 4096),
    ] {
        let count = if kind.starts_with("bulk") { count * 5 } else { count };
        let text = format!("Subject: x\r\n\r\n{}", "0123456789012345678901234567890\r\n".repeat(octets / 33));
        let recipients: Vec<String> = (0..count).map(|n| format!("u{n}@discard.example")).collect();
        let mut seconds = WAYS.map(|_| Vec::new());
        for _ in 0..3 {
            for (way, seconds) in WAYS.into_iter().zip(&mut seconds) {
                let letters = vec![letter(sender.clone(), &text, &recipients)];
                let begun = Instant::now();
                let results = deliver(machine, settings_for(25, way), letters);
                seconds.push(begun.elapsed().as_secs_f64());
                assert!(results.values().all(|result| *result == DeliveryResult::Delivered));
            }
        }
        println!("{name}, {kind}, {count} recipients:");
        for ((way, ..), mut seconds) in WAYS.into_iter().zip(seconds) {
            seconds.sort_by(f64::total_cmp);
            println!("  {way:16} {:.2} s ({:.2} to {:.2})", seconds[1], seconds[0], seconds[2]);
        }
    }
}

/// The same into a sink that is so many milliseconds away, there and back.
fn with_delay(round_trip: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sink = Sink::start(Script::default().with("CHUNKING")).await.unwrap();
        let far = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, address) = (far.local_addr().unwrap().port(), sink.address());
        let delay = Duration::from_millis(round_trip / 2);
        tokio::spawn(async move {
            while let Ok((near, _)) = far.accept().await {
                let there = tokio::net::TcpStream::connect(address).await.unwrap();
                near.set_nodelay(true).and(there.set_nodelay(true)).unwrap();
                let ((from_near, to_near), (from_there, to_there)) = (near.into_split(), there.into_split());
                tokio::spawn(later(from_near, to_there, delay));
                tokio::spawn(later(from_there, to_near, delay));
            }
        });
        for each in [1, 50] {
            println!("sink, {round_trip} ms away, {each} a message, 200 messages:");
            for way in WAYS {
                let mut settings = settings_for(port, way);
                settings.max_recipients = each;
                let queue = Arc::new(MemoryQueue::new(false));
                let sender = if each == 1 { verp() } else { EnvelopeSender::Fixed(BOUNCES.into()) };
                queue.push(&letter(sender, &"0123456789\r\n".repeat(340), &people(200 * each)), Duration::ZERO);
                let deliverer = Deliverer::new(settings, Arc::clone(&queue), Outgoing::Smtp);
                let begun = Instant::now();
                deliverer.run(queue.wait_until(|queue| queue.open() == 0)).await;
                println!("  {:16} {:.2} s", way.0, begun.elapsed().as_secs_f64());
            }
        }
    });
}

/// Hands on what it reads, later.
async fn later(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (on_its_way, mut arriving) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, octets)) = arriving.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&octets).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let _ = on_its_way.send((tokio::time::Instant::now() + delay, buffer[..read].to_vec()));
    }
}
