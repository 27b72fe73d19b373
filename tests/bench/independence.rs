//! What is not involved costs nothing: the same work with few lists and members, and with a million.

use crate::Bench;
use crate::compare::{Side, compare};
use crate::peers::CountingSink;
use crate::report::thousands;
use crate::sites::{self, LIST};
use postrider_tests::installation::{Dialogue, Installation};
use std::time::{Duration, Instant};

/// RCPTs of one transaction.
const RCPTS: usize = 500;

/// All of it: the first side has little beside it, the other one much; the ratio should be near 1.
pub fn measure(bench: &mut Bench<'_>) {
    let many = if bench.effort.quick { 10_000 } else { 1_000_000 };
    let text = thousands(many as f64);
    bench.report.section("What is not involved (ratio near 1: it costs nothing)", "a second");

    let (few, lots) =
        (sites::site(10, 0, "incoming: null.NullMTA\n"), sites::site(many, 0, "incoming: null.NullMTA\n"));
    let daemons = [few.serve(), lots.serve()];
    let sides = vec![
        Side::new("10 lists", |count| rcpts(&few, count)),
        Side::new(format!("{text} lists"), |count| rcpts(&lots, count)),
    ];
    let figures = compare(bench.effort, RCPTS, sides);
    bench.report.compared("RCPT", &figures, &[]);
    let sides = vec![Side::new("10 lists", creates(&few)), Side::new(format!("{text} lists"), creates(&lots))];
    let figures = compare(bench.effort, 5, sides);
    bench.report.compared("`create`, no tables", &figures, &[]);
    drop((daemons, few, lots));

    // With the tables of a real MTA: the rows must be in them before one more is measured.
    let with_tables = if bench.effort.quick { 1_000 } else { 100_000 };
    let tables = "incoming: postfix.LMTP\nconfiguration: $DIR/postfix.cfg\n";
    let (few, lots) = (sites::site(10, 0, tables), sites::site(with_tables, 0, tables));
    lots.run(&["aliases"]);
    let sides = vec![
        Side::new("10 lists", creates(&few)),
        Side::new(format!("{} lists", thousands(with_tables as f64)), creates(&lots)),
    ];
    let figures = compare(bench.effort, 5, sides);
    bench.report.compared("`create`, Postfix's tables in SQLite", &figures, &[]);

    let mta = "incoming: null.NullMTA\nmax_recipients: 100\n";
    let (few, lots) = (sites::site(1, 10, mta), sites::site(1, 10, mta));
    lots.run(&["create", "bees@lists.example.com"]);
    sites::add_members(&lots.data().join("postrider.db"), "bees@lists.example.com", many);
    let sinks = [&few, &lots].map(|ours| CountingSink::smtp(bench.peers, ours.smtp_port));
    let daemons = [few.serve(), lots.serve()];
    let sides = vec![
        Side::new("nobody else", |count| posts(&few, &sinks[0], count)),
        Side::new(format!("{text} members elsewhere"), |count| posts(&lots, &sinks[1], count)),
    ];
    let figures = compare(bench.effort, 1, sides);
    bench.report.compared("posts to 10 members, one by one", &figures, &[]);
    drop(daemons);
}

fn rcpts(ours: &Installation, count: usize) -> Duration {
    let mut lmtp: Dialogue = ours.lmtp();
    let group = format!("RCPT TO:<{LIST}>\r\n").repeat(RCPTS);
    let start = Instant::now();
    for _ in 0..count / RCPTS {
        lmtp.expect("MAIL FROM:<anne@example.org>", "250");
        lmtp.write(group.as_bytes());
        for _ in 0..RCPTS {
            let reply = lmtp.reply();
            assert!(reply.starts_with("250"), "{reply}");
        }
        lmtp.expect("RSET", "250");
    }
    start.elapsed()
}

fn creates(ours: &Installation) -> impl FnMut(usize) -> Duration + '_ {
    let mut number = 0;
    move |count| {
        sites::timed(|| {
            for _ in 0..count {
                number += 1;
                ours.run(&["create", &format!("new{number}@lists.example.com")]);
            }
        })
    }
}

fn posts(ours: &Installation, sink: &CountingSink, count: usize) -> Duration {
    let start = Instant::now();
    for number in 0..count {
        let before = sink.messages();
        sites::hand_in(ours, LIST, &format!("{number}.{before}"));
        sink.wait_for(before, 1);
    }
    start.elapsed()
}
