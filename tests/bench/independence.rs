//! What is not involved costs nothing: the same work with few lists and members, and with a million.

use crate::Bench;
use crate::compare::{Side, compare};
use crate::network::Network;
use crate::peers::CountingSink;
use crate::publication::{Subject, installed};
use crate::report::whole;
use crate::sites::{self, LIST};
use postrider_tests::installation::{Dialogue, Installation};
use std::time::Duration;

/// RCPTs of one transaction.
const RCPTS: usize = 500;
/// The ratio is wanted to be 1; more than this much below it is a cost.
const SAME: f64 = 0.9;
/// A list with many members that gets no post.
const BEES: &str = "bees@lists.example.com";

/// All of it: the first side has much beside it, the other ones little; the ratio should be near 1.
pub fn measure(bench: &mut Bench<'_>) {
    let sizes: [usize; 3] = if bench.effort.quick { [10, 1_000, 10_000] } else { [10, 100_000, 1_000_000] };
    bench.report.section("What is not involved (ratio near 1: it costs nothing)", "a second");
    rcpt(bench, sizes);
    create(bench, sizes);
    post(bench, sizes[2]);
}

fn named(lists: usize) -> String {
    format!("{} lists", whole(lists))
}

/// An address among few lists and among many.
fn rcpt(bench: &mut Bench<'_>, [few, _, many]: [usize; 3]) {
    let sites = [many, few].map(|lists| sites::site(lists, 0, "incoming: null.NullMTA\n"));
    let daemons = sites.each_ref().map(Installation::serve);
    let [lots, some] = &sites;
    let sides =
        vec![Side::new(named(many), |count| rcpts(lots, count)), Side::new(named(few), |count| rcpts(some, count))];
    let figures = compare(bench.effort, RCPTS, sides);
    bench.report.compared(&format!("RCPT, {}", named(many)), &figures, &[(&named(few), SAME)]);
    drop(daemons);
}

/// One more list, where the MTA learns of it by a table, by a file of its own, and by asking us.
fn create(bench: &mut Bench<'_>, sizes: [usize; 3]) {
    let [few, some, many] = sizes;
    let subjects = [
        Subject::new("postfix.LMTP sqlite", "postfix", "transport_file_type: sqlite\n"),
        Subject::new("exim4.LMTP directory", "exim4", "recipients: directory\n"),
        Subject::new("exim4.LMTP callout (live lookups)", "exim4", "recipients: callout\n"),
    ];
    let templates = sizes.map(|lists| sites::site(lists, 0, "incoming: null.NullMTA\n"));
    for subject in &subjects {
        let made = |template: &Installation| {
            let installation = installed(subject, template);
            // What is there already must be in the tables before one more is measured.
            installation.run(&["aliases"]);
            installation
        };
        let sites = templates.each_ref().map(made);
        let side = |at: usize| Side::new(named(sizes[at]), creates(&sites[at]));
        let figures = compare(bench.effort, 5, vec![side(2), side(1), side(0)]);
        let what = format!("`create`, {}, {}", subject.what, named(many));
        bench.report.compared(&what, &figures, &[(&named(some), SAME), (&named(few), SAME)]);
    }
}

/// A post to ten, beside a list of many.
fn post(bench: &mut Bench<'_>, many: usize) {
    let mta = "incoming: null.NullMTA\nmax_recipients: 100\n";
    let (lots, few) = (sites::site(1, 10, mta), sites::site(1, 10, mta));
    lots.run(&["create", BEES]);
    sites::add_members(&lots.data().join("postrider.db"), BEES, many);
    let sinks = [&lots, &few].map(|ours| {
        let sink = CountingSink::smtp(bench.peers, &Network::Near);
        sites::send_to(ours, sink.at());
        sink
    });
    let daemons = [lots.serve(), few.serve()];
    let sides = vec![
        Side::new(format!("{} members elsewhere", whole(many)), |count| posts(&lots, &sinks[0], count)),
        Side::new("nobody elsewhere", |count| posts(&few, &sinks[1], count)),
    ];
    let figures = compare(bench.effort, 1, sides);
    let what = format!("posts to 10 members, one by one, {} members elsewhere", whole(many));
    bench.report.compared(&what, &figures, &[("nobody elsewhere", SAME)]);
    drop(daemons);
}

fn rcpts(ours: &Installation, count: usize) -> Duration {
    let mut lmtp: Dialogue = ours.lmtp();
    let group = format!("RCPT TO:<{LIST}>\r\n").repeat(RCPTS);
    sites::timed(|| {
        for _ in 0..count / RCPTS {
            lmtp.expect("MAIL FROM:<anne@example.org>", "250");
            lmtp.write(group.as_bytes());
            for _ in 0..RCPTS {
                let reply = lmtp.reply();
                assert!(reply.starts_with("250"), "{reply}");
            }
            lmtp.expect("RSET", "250");
        }
    })
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
    sites::timed(|| {
        for number in 0..count {
            let before = sink.messages();
            sites::hand_in(ours, LIST, &format!("{number}.{before}"));
            sink.wait_for(before, 1);
        }
    })
}
