//! Postrider as packages install it: with a user of its own, who may not reload Postfix.

use super::post::SendTo as _;
use super::site::{ANTS, Site, machine, message};
use super::traffic::{accepted, post_again_and_again};
use postrider_tests::set_on_drop::SetOnDrop;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Between posts to the domain that is to come.
const PAUSE: Duration = Duration::from_millis(50);

pub fn without_root_the_rest_is_said_and_nothing_is_refused(table_type: &'static str) {
    let Some(machine) = machine("without_root_the_rest_is_said_and_nothing_is_refused", table_type) else { return };
    machine.run(&["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "postrider"]);
    // The first list of an installation needs no reload: Postfix knows nothing of the tables yet.
    let site = Site::hooked_up(&machine, table_type);
    let daemon = site.serve();
    let user_of = |what: &[&str]| machine.run(what).trim().to_owned();
    assert_eq!(user_of(&["ps", "-o", "user=", "-p", &daemon.pid()]), "postrider");
    for file in ["postrider.db", "postfix_domains"] {
        let path = site.data().join(file).display().to_string();
        assert_eq!(user_of(&["stat", "-c", "%U", &path]), "postrider");
    }
    let reload = "`/usr/sbin/postfix reload`";

    // A new list in a domain that Postfix knows.
    if table_type == "regexp" {
        let (text, _) = site.ends(3, &["create", "bees@lists.example.com"]);
        assert!(text.contains(&format!("run {reload}")) && text.contains("needs the superuser"), "{text}");
        machine.run(&["postfix", "reload"]);
        site.wait_until_accepted("bees@lists.example.com");
    } else {
        let text = site.run(&["create", "bees@lists.example.com"]);
        assert!(!text.contains("reload"), "{text}");
        let created = Instant::now();
        assert_eq!(site.rcpt("bees@lists.example.com"), 250, "{:?} after create", created.elapsed());
    }

    // A new domain, to which people write already.
    let (machine, stop) = (&machine, &AtomicBool::new(false));
    let attempts = thread::scope(|scope| {
        let _ends = SetOnDrop(stop);
        let writer = scope.spawn(move || post_again_and_again(machine, "cats@new.example", PAUSE, stop));
        if table_type == "lmdb" {
            let (text, _) = site.ends(3, &["create", "cats@new.example"]);
            assert!(text.contains(&format!("you may run {reload}")), "{text}");
        } else {
            let (text, _) = site.ends(3, &["create", "cats@new.example"]);
            let way_on = "then `postrider aliases --activated`";
            assert!(text.contains(&format!("not effective yet: run {reload}")) && text.contains(way_on), "{text}");
            thread::sleep(Duration::from_secs(1));
            assert_eq!(site.rcpt("cats@new.example"), 454, "it waits for the administrator");
            // Who says it again without doing it is told again.
            site.ends(3, &["aliases"]);
            machine.run(&["postfix", "reload"]);
            if table_type == "regexp" {
                // The addresses before their domain.
                let (text, _) = site.ends(3, &["aliases", "--activated"]);
                assert!(text.contains(&format!("not effective yet: run {reload}")) && text.contains(way_on), "{text}");
                assert_eq!(site.rcpt("cats@new.example"), 454, "it waits for the administrator once more");
                machine.run(&["postfix", "reload"]);
            }
            let (text, _) = site.ends(3, &["aliases", "--activated"]);
            assert!(text.contains(&format!("run {reload}")) && !text.contains("not effective yet"), "{text}");
        }
        machine.run(&["postfix", "reload"]);
        site.wait_until_accepted("cats@new.example");
        thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.code >= 500).collect();
    assert!(refused.is_empty(), "{table_type}: {refused:?}");
    let accepted = accepted(&attempts);
    assert!(!accepted.is_empty());
    site.wait_until_held(&accepted);
    site.run(&["aliases"]);
    assert_eq!(site.json(&["status", "--json"])["mta_up_to_date"], true);

    site.stranger("someone@remote.example").send_to(ANTS, &message("someone@remote.example", "as ever"));
    site.wait_for("the post to ants", || site.held().contains(&"as ever".into()).then_some(()));
    site.assert_nothing_bounced_or_deferred();
    daemon.stop();
}
