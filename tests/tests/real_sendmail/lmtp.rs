//! `sendmail.LMTP`.

use crate::site::{CARLA, LIMIT, Site, machine};
use postrider_tests::{
    mta_box::{Catcher, SmtpSession},
    names::{self, Kind, Lists},
};

const LMTP: &str = "incoming: sendmail.LMTP\n";
const ANTS: &str = "ants@lists.example.com";

#[test]
fn a_session_that_is_open_sees_a_new_list_and_the_end_of_it() {
    let Some(machine) = machine("a_session_that_is_open_sees_a_new_list_and_the_end_of_it") else { return };
    let site = Site::installed(&machine, LMTP);
    site.run(&["create", ANTS]);
    site.hook_up();
    let mut session = site.stranger();
    let mut rcpt = |address: &str| {
        session.command("RSET").unwrap().expect(250);
        session.mail(CARLA).unwrap().expect(250);
        session.rcpt(address).unwrap().code
    };
    for list in ["bees@lists.example.com", "cats@lists.example.com", "dogs@new.example"] {
        assert_eq!((rcpt(ANTS), rcpt(list)), (250, 550));
        site.run(&["create", list]);
        assert_eq!((rcpt(ANTS), rcpt(list)), (250, 250), "{list}");
    }
    site.run(&["remove", "bees@lists.example.com"]);
    assert_eq!((rcpt(ANTS), rcpt("bees@lists.example.com")), (250, 550));
}

#[test]
fn nasty_names_match_just_themselves() {
    let Some(machine) = machine("nasty_names_match_just_themselves") else { return };
    let site = Site::installed(&machine, LMTP);
    let seed = names::seed();
    let lists = Lists::new(names::names(seed, 30));
    for (local, domain) in lists.names() {
        site.run(&["create", &format!("{local}@{domain}")]);
    }
    site.hook_up();
    let goes_to_lists = |addresses: &[String]| {
        let questions = format!("3,0 {}\n", addresses.join("\n3,0 "));
        let said = site.sendmail.test_mode(&questions, &[]);
        said.lines().filter(|line| line.starts_with("parse ") && line.contains("returns: $# postrider ")).count()
    };
    let of_all = |addresses: &dyn Fn(&str, &str) -> Vec<String>| -> Vec<String> {
        lists.names().flat_map(|(local, domain)| addresses(local, domain)).collect()
    };
    let misses = |local: &str, domain: &str| -> Vec<_> {
        lists.near_misses(local, domain).into_iter().filter(|miss| miss.kind != Kind::Routing).collect()
    };
    let addresses = of_all(&|local, domain| lists.addresses(local, domain).into_iter().collect());
    assert_eq!(goes_to_lists(&addresses), addresses.len(), "seed {seed}: {addresses:?}");
    let missed = of_all(&|local, domain| misses(local, domain).into_iter().map(|miss| miss.address).collect());
    assert_eq!(goes_to_lists(&missed), 0, "seed {seed}: {missed:?}");
    for (local, domain) in lists.names() {
        let mut session = site.stranger();
        for address in lists.addresses(local, domain) {
            let reply = session.rcpt(&address).unwrap();
            assert_eq!(reply.code, 250, "seed {seed}: {address}: {reply:?}");
        }
        for miss in misses(local, domain) {
            let reply = session.rcpt(&miss.address).unwrap();
            assert!((500..600).contains(&reply.code), "seed {seed}: {miss:?}: {reply:?}");
        }
    }
}

#[test]
fn lists_and_people_share_a_domain_and_strangers_relay_nothing() {
    let Some(machine) = machine("lists_and_people_share_a_domain_and_strangers_relay_nothing") else { return };
    let site = Site::installed(&machine, LMTP);
    site.run(&["create", "crew@mta.example.com"]);
    site.hook_up();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let mut session = site.stranger();
    session.rcpt("crew-bounces+a=b@mta.example.com").unwrap().expect(250);
    session.rcpt("ben@mta.example.com").unwrap().expect(250);
    for refused in ["nosuch@mta.example.com", "a@elsewhere.example", "a%elsewhere.example@mta.example.com"] {
        let reply = session.rcpt(refused).unwrap();
        assert!((500..600).contains(&reply.code), "{refused}: {reply:?}");
    }
    session.data("Subject: to both\n\nhello\n").unwrap().expect(250);
    lists.wait_for("crew-bounces+a=b@mta.example.com", LIMIT);
    site.wait_for_mailbox("ben", "Subject: to both");
    // Sendmail itself goes on relaying for its own machine.
    let mut own = SmtpSession::connect(&machine, "127.0.0.1", "127.0.0.1:25").unwrap();
    own.send("anna@mta.example.com", &[CARLA], "Subject: out\n\nhello\n").unwrap();
    site.world.wait_for(CARLA, LIMIT);
}

#[test]
fn octets_and_lines_stay_as_they_are() {
    let Some(machine) = machine("octets_and_lines_stay_as_they_are") else { return };
    let site = Site::installed(&machine, LMTP);
    site.run(&["create", ANTS]);
    site.hook_up();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let body = format!("gr\u{fc}n\n{}\nFrom me\n..\n", "x".repeat(3000));
    let message = format!("Subject: x\nDate: Sun, 22 Nov 2026 10:00:00 +0000\nMessage-ID: <a@b>\n\n{body}");
    site.post(CARLA, "ANTS@lists.example.com", &message);
    let caught = lists.wait_for("ANTS@lists.example.com", LIMIT);
    assert!(caught.text().ends_with(&body.replace('\n', "\r\n")), "{}", caught.text());
}

#[test]
fn the_check_names_a_directory_that_sendmail_does_not_trust_and_the_cure() {
    let Some(machine) = machine("the_check_names_a_directory_that_sendmail_does_not_trust_and_the_cure") else {
        return;
    };
    let site = Site::installed(&machine, LMTP);
    site.run(&["create", ANTS]);
    site.hook_up();
    site.run(&["hookup", "--check"]);
    machine.run(&["chmod", "g+w", "/var/lib/postrider/data"]);
    let output = machine.output(&["/usr/bin/postrider", "hookup", "--check"]).unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("chmod g-w /var/lib/postrider/data (its mode is 775)"), "{told}");
    assert_eq!(site.rcpt(ANTS).code, 451);
    machine.run(&["chmod", "g-w", "/var/lib/postrider/data"]);
    site.run(&["hookup", "--check"]);
}

#[test]
fn debians_own_tools_keep_the_hookup_and_undo_takes_it_back() {
    let Some(machine) = machine("debians_own_tools_keep_the_hookup_and_undo_takes_it_back") else { return };
    let site = Site::installed(&machine, LMTP);
    site.run(&["create", ANTS]);
    let before = machine.read("/etc/mail/sendmail.mc").unwrap();
    site.hook_up();
    assert_eq!(site.rcpt(ANTS).code, 250);
    machine.shell("touch /etc/mail/sendmail.mc; make -C /etc/mail >/dev/null 2>&1");
    assert!(machine.read("/etc/mail/sendmail.cf").unwrap().contains("\nMpostrider,"));
    // Twice is once.
    site.hook_up();
    assert_eq!(machine.read("/etc/mail/sendmail.mc").unwrap().matches("postrider.m4").count(), 1);
    site.undo();
    assert_eq!(machine.read("/etc/mail/sendmail.mc").unwrap(), before);
    assert!(!machine.read("/etc/mail/sendmail.cf").unwrap().contains("\nMpostrider,"));
    assert_eq!(site.rcpt(ANTS).code, 550);
}

#[test]
fn people_behind_this_gateway_keep_their_mail_and_every_domain_has_a_postmaster() {
    let Some(machine) = machine("people_behind_this_gateway_keep_their_mail_and_every_domain_has_a_postmaster") else {
        return;
    };
    let mc = "FEATURE(`mailertable', `hash -o /etc/mail/mailertable')dnl\nRELAY_DOMAIN(`routed.example')dnl\n";
    let site = Site::with_mc_lines(&machine, LMTP, mc);
    let table = "gw.example\trelay:[127.0.0.1]\n.wild.example\trelay:[127.0.0.1]\n";
    machine.write("/etc/mail/mailertable", table).unwrap();
    machine.shell("makemap hash /etc/mail/mailertable </etc/mail/mailertable");
    machine.shell("sed -i '/^postmaster:/d' /etc/aliases; echo 'postmaster: anna' >>/etc/aliases; newaliases");
    let domains = ["gw.example", "a.b.wild.example", "routed.example"];
    for domain in domains {
        site.sendmail.set_rule(&format!("To:{domain}"), Some("RELAY")).unwrap();
        site.run(&["create", &format!("crew@{domain}")]);
    }
    site.run(&["create", ANTS]);
    site.hook_up();
    site.run(&["hookup", "--check"]);
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    for domain in domains {
        let (crew, person) = (format!("crew@{domain}"), format!("person@{domain}"));
        site.post(CARLA, &crew, "Subject: to the crew\n\nhello\n");
        lists.wait_for(&crew, LIMIT);
        site.post(CARLA, &person, "Subject: to a person\n\nhello\n");
        site.world.wait_for(&person, LIMIT);
    }
    assert_eq!(site.rcpt("person@lists.example.com").code, 550);
    site.post(CARLA, "Postmaster@lists.example.com", "Subject: to postmaster\n\nhello\n");
    site.wait_for_mailbox("anna", "Subject: to postmaster");
    assert!((500..600).contains(&site.rcpt("postmaster@elsewhere.example").code));
}

#[test]
fn what_fails_before_the_build_leaves_sendmail_mc_as_it_was() {
    let Some(machine) = machine("what_fails_before_the_build_leaves_sendmail_mc_as_it_was") else { return };
    let site = Site::installed(&machine, LMTP);
    site.run(&["create", ANTS]);
    site.run(&["hookup", "--write", "/root/hookup"]);
    let refused = |reason: &str| {
        let (mc, cf) = ("/etc/mail/sendmail.mc", "/etc/mail/sendmail.cf");
        let before = (machine.read(mc).unwrap(), machine.read(cf).unwrap());
        let output = machine.output(&["sh", "/root/hookup/install.sh"]).unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success() && told.contains(reason), "{told}");
        assert_eq!((machine.read(mc).unwrap(), machine.read(cf).unwrap()), before, "{told}");
    };
    machine.run(&["mv", "/var/lib/postrider/data/sendmail_domains.db", "/root/aside.db"]);
    refused("run postrider aliases first");
    machine.run(&["mv", "/root/aside.db", "/var/lib/postrider/data/sendmail_domains.db"]);
    machine.shell("cp -p /etc/mail/sendmail.mc /root/mc; sed -i '/^MAILER(.smtp/d' /etc/mail/sendmail.mc");
    refused("include this file after MAILER");
    machine.run(&["mv", "/root/mc", "/etc/mail/sendmail.mc"]);
    site.hook_up();
    assert_eq!(site.rcpt(ANTS).code, 250);
}
