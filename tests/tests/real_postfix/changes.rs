//! Lists come and go while Postfix runs.

use super::post::SendTo as _;
use super::site::{ANTS, LIMIT, STRANGER, Site, machine, message};
use super::traffic::{accepted, post_without_pause};
use postrider_tests::mta_box::{Catcher, Caught, SmtpSession};
use postrider_tests::set_on_drop::SetOnDrop;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

pub fn a_new_list_takes_mail_from_the_moment_create_returns(table_type: &'static str) {
    let Some(machine) = machine("a_new_list_takes_mail_from_the_moment_create_returns", table_type) else { return };
    let site = Site::hooked_up(&machine, table_type);
    let daemon = site.serve();
    takes_mail_at_once(&site, &["bees@lists.example.com", "cats@new.example"]);
    daemon.stop();
}

/// In `mydestination`, where the route of each list is its own.
pub fn a_new_list_beside_mailboxes_takes_mail_from_the_moment_create_returns(table_type: &'static str) {
    let Some(machine) = machine("a_new_list_beside_mailboxes_takes_mail_from_the_moment_create_returns", table_type)
    else {
        return;
    };
    let site = Site::installed(&machine, table_type);
    for list in [ANTS, "staff@mta.example.com"] {
        site.run(&["create", list]);
    }
    site.hook_up();
    let daemon = site.serve();
    takes_mail_at_once(&site, &["bees@mta.example.com"]);
    // Who lives there has the mail still.
    site.stranger("carla@remote.example").send_to("root@mta.example.com", &message("carla@remote.example", "to root"));
    site.postfix.wait_for_log("to=<root@mta.example.com>, relay=local", LIMIT);
    assert_eq!(site.rcpt("nosuch@mta.example.com"), 550);
    site.run(&["remove", "bees@mta.example.com"]);
    site.wait_for("bees to be refused", || (site.rcpt("bees@mta.example.com") == 550).then_some(()));
    assert_eq!(site.rcpt("staff-bounces+a=b@mta.example.com"), 250);
    daemon.stop();
}

/// Strangers post to lists without pause while these come into being: nothing is refused once `create` has
/// returned, and what is accepted arrives, at once and once.
fn takes_mail_at_once(site: &Site<'_>, lists: &[&str]) {
    let (machine, table_type) = (site.machine, site.table_type);
    for list in lists {
        let stop = &AtomicBool::new(false);
        let (created, attempts) = thread::scope(|scope| {
            let _ends = SetOnDrop(stop);
            // Impatient: they ask long before the list exists, so that Postfix has an answer to remember.
            let writer = scope.spawn(move || post_without_pause(machine, list, stop));
            thread::sleep(Duration::from_millis(500));
            site.run(&["create", list]);
            let created = Instant::now();
            // A machine with much else to do may take its time to reload.
            site.wait_until_accepted(list);
            thread::sleep(Duration::from_secs(3));
            stop.store(true, Ordering::Relaxed);
            (created, writer.join().unwrap())
        });
        let refused = |attempt: &&super::traffic::Attempt| attempt.begun > created && attempt.code >= 500;
        let refused: Vec<_> = attempts.iter().filter(refused).collect();
        assert!(refused.is_empty(), "{table_type}: refused after create had returned: {refused:?}");
        let accepted = accepted(&attempts);
        let last = &attempts[attempts.len().saturating_sub(5)..];
        assert!(
            !accepted.is_empty(),
            "{table_type}: none of {}, {last:?}\n{}",
            attempts.len(),
            site.postfix.log_tail()
        );
        site.wait_until_held(&accepted);
        let held = site.held();
        let doubled = accepted.iter().find(|subject| held.iter().filter(|held| held == subject).count() > 1);
        assert_eq!(doubled, None, "{table_type}");
    }
    site.assert_nothing_bounced_or_deferred();
}

pub fn a_removed_list_is_refused_and_what_it_had_accepted_is_delivered(table_type: &'static str) {
    let Some(machine) = machine("a_removed_list_is_refused_and_what_it_had_accepted_is_delivered", table_type) else {
        return;
    };
    let site = Site::hooked_up(&machine, table_type);
    site.run(&["create", "bees@lists.example.com"]);
    site.wait_until_accepted("bees@lists.example.com");
    site.add_members("bees@lists.example.com", "carla@remote.example\n");
    // Nobody is there yet who takes what Postrider sends.
    site.configure(2526);
    let daemon = site.serve();
    site.stranger("carla@remote.example").send_to("bees@lists.example.com", &message("carla@remote.example", "buzz"));
    site.wait_for("the post on its way out", || {
        site.json(&["queue", "--json"])["out"].as_array().filter(|out| !out.is_empty()).map(drop)
    });

    site.run(&["remove", "bees@lists.example.com"]);
    site.wait_for("bees to be refused", || (site.rcpt("bees@lists.example.com") == 550).then_some(()));
    let mut session = SmtpSession::connect(&machine, STRANGER, "127.0.0.1:25").unwrap();
    session.mail("someone@remote.example").unwrap().expect(250);
    for address in ["bees", "bees-owner", "bees-bounces+user=remote.example"] {
        session.rcpt(&format!("{address}@lists.example.com")).unwrap().expect(550);
    }
    session.rcpt(ANTS).unwrap().expect(250);
    session.data(&message("someone@remote.example", "still here")).unwrap().expect(250);
    site.wait_for("the post to ants", || site.held().contains(&"still here".into()).then_some(()));

    let outside = Catcher::smtp(&machine, "127.0.0.1:2526").unwrap();
    site.run(&["queue", "retry"]);
    let caught = outside.wait_for("carla@remote.example", LIMIT);
    assert_eq!(caught.sender, "bees-bounces+carla=remote.example@lists.example.com");
    site.wait_until_idle();
    let to_carla = |message: &&Caught| message.recipients == ["carla@remote.example"];
    assert_eq!(outside.caught().iter().filter(to_carla).count(), 1, "{:#?}", outside.caught());
    site.assert_nothing_bounced_or_deferred();
    daemon.stop();
}
