//! Whose mail is whose in domains of lists, of people, and of both.

use super::site::{ANTS, Site, machine};
use postrider_tests::mta_box::EximLayout::{self, Plain, Single, Split};

#[test]
fn in_a_domain_of_lists_there_is_nobody_else() {
    let Some(machine) = machine("in_a_domain_of_lists_there_is_nobody_else") else { return };
    let site = Site::hooked_up(&machine, Split, "");
    // Both are users of the machine, and root is an alias, too.
    for person in ["anna@lists.example.com", "root@lists.example.com"] {
        let reply = site.rcpt(person);
        assert!(reply.code == 550 && reply.text.contains("No such list here"), "{person}: {reply:?}");
    }
    site.is_answered("postmaster@lists.example.com", 250);
}

#[test]
fn lists_and_people_may_share_a_domain() {
    let Some(machine) = machine("lists_and_people_may_share_a_domain") else { return };
    let site = Site::hooked_up(&machine, Split, "");
    site.run(&["create", "crew@mta.example.com"]);
    for known in [
        "crew@mta.example.com",
        "crew-bounces+a=b@mta.example.com",
        "anna@mta.example.com",
        "postmaster@mta.example.com",
    ] {
        site.is_answered(known, 250);
    }
    for unknown in ["nosuch@mta.example.com", "anna-owner@mta.example.com", "crew+x@mta.example.com", "crew@localhost"]
    {
        site.is_answered(unknown, 550);
    }
}

#[test]
fn a_list_that_is_made_while_a_stranger_waits_is_there() {
    let Some(machine) = machine("a_list_that_is_made_while_a_stranger_waits_is_there") else { return };
    let site = Site::hooked_up(&machine, Split, "");
    let mut session = site.stranger();
    for address in ["late@lists.example.com", "late@new.example"] {
        session.rcpt(address).unwrap().expect(550);
        site.run(&["create", address]);
        session.rcpt(address).unwrap().expect(250);
    }
    site.run(&["remove", "late@lists.example.com"]);
    session.rcpt("late@lists.example.com").unwrap().expect(550);
}

#[test]
fn no_path_leads_out_of_the_tables() {
    let Some(machine) = machine("no_path_leads_out_of_the_tables") else { return };
    // Without Debian's rule against such characters, which a site may change.
    let site = Site::installed(&machine, Split, "");
    machine.shell("echo 'CHECK_RCPT_LOCAL_LOCALPARTS = ^[.]' > /etc/exim4/conf.d/main/000_site; update-exim4.conf");
    site.run(&["create", ANTS]);
    site.hook_up();
    site.is_answered(ANTS, 250);
    for path in [
        "foo/../ants@lists.example.com",
        "../exim4_lists/ants@lists.example.com",
        "./ants@lists.example.com",
        "/ants@lists.example.com",
        "ants/@lists.example.com",
        "foo/../ants-bounces+a=b@lists.example.com",
        "ants-owner/../ants@lists.example.com",
        "..@lists.example.com",
        "\"../exim4_domains/lists.example.com\"@lists.example.com",
        "\"ants@lists.example.com/../ants\"@lists.example.com",
    ] {
        let reply = site.rcpt(path);
        assert!((500..600).contains(&reply.code), "{path}: {reply:?}");
    }
    // In a detail it is the member's own address.
    site.is_answered("ants-bounces+a/../b=c.example@lists.example.com", 250);
}

#[test]
fn mailboxes_of_another_host_are_left_to_it() {
    let Some(machine) = machine("mailboxes_of_another_host_are_left_to_it") else { return };
    let site = Site::hooked_up(&machine, Split, "real_domains: no");
    site.run(&["domain", "add", "real.example", "--alias-domain", "virt.example"]);
    site.run(&["create", "crew@real.example"]);
    site.is_answered("crew@virt.example", 250);
    site.is_answered("nosuch@virt.example", 550);
    let reply = site.rcpt("crew@real.example");
    assert!(reply.code == 550 && reply.text.contains("relay not permitted"), "{reply:?}");
}

/// Does this Exim take mail for this address, and relay it?
#[track_caller]
fn is_relayed(site: &Site<'_>, address: &str) -> bool {
    site.is_answered(address, 250);
    String::from_utf8_lossy(&site.exim.route(address).stdout).contains("router = world")
}

fn people_of_other_hosts_keep_their_mail(layout: EximLayout, settings: &str) {
    let Some(machine) = machine("people_of_other_hosts_keep_their_mail") else { return };
    let site = Site::installed(&machine, layout, settings);
    machine.shell(match layout {
        Split | Single => {
            "sed -i \"s/^dc_relay_domains=.*/dc_relay_domains='relayed.example'/\" /etc/exim4/update-exim4.conf.conf
             update-exim4.conf"
        }
        Plain => "sed -i 's/^domainlist relay_to_domains =.*/& relayed.example/' /etc/exim4/exim4.conf",
    });
    site.exim.stop();
    site.exim.start();
    assert!(is_relayed(&site, "carla@relayed.example"));
    for list in [ANTS, "crew@relayed.example"] {
        site.run(&["create", list]);
    }
    site.hook_up();
    assert!(is_relayed(&site, "carla@relayed.example"));
    if settings.is_empty() {
        for list in ["crew@relayed.example", "crew-bounces+a=b@relayed.example", ANTS] {
            assert!(!is_relayed(&site, list), "{list}");
        }
        site.is_answered("nosuch@lists.example.com", 550);
        site.run(&["remove", "crew@relayed.example"]);
    }
    // Without a list of that name it is a person's, or nobody's: the other host knows.
    assert!(is_relayed(&site, "crew@relayed.example"));
}

#[test]
fn people_of_other_hosts_keep_their_mail_split() {
    people_of_other_hosts_keep_their_mail(Split, "");
}

#[test]
fn people_of_other_hosts_keep_their_mail_single() {
    people_of_other_hosts_keep_their_mail(Single, "");
}

#[test]
fn people_of_other_hosts_keep_their_mail_plain() {
    people_of_other_hosts_keep_their_mail(Plain, "");
}

#[test]
fn people_of_other_hosts_keep_their_mail_with_callouts() {
    people_of_other_hosts_keep_their_mail(Split, "recipients: callout");
}

/// Postrider's own notes lie beside the files of lists and domains.
#[test]
fn a_note_is_neither_a_domain_nor_a_list() {
    let Some(machine) = machine("a_note_is_neither_a_domain_nor_a_list") else { return };
    let site = Site::hooked_up(&machine, Split, "");
    for directory in ["exim4_domains", "exim4_lists"] {
        machine.write(&format!("/var/lib/postrider/data/{directory}/.postrider"), "a note\n").unwrap();
    }
    site.is_answered(ANTS, 250);
    for address in ["ants@.postrider", ".postrider@lists.example.com", "ants@.postrider."] {
        let reply = site.rcpt(address);
        assert!((500..600).contains(&reply.code), "{address}: {reply:?}");
        // What programs of this machine hand in goes another way.
        let output = site.exim.route(address);
        let routed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && !routed.contains("postrider_list"), "{address}: {routed}");
    }
}
