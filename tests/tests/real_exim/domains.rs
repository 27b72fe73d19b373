//! Whose mail is whose in domains of lists, of people, and of both.

use super::site::{ANTS, Site, machine};
use postrider_tests::mta_box::EximLayout::Split;

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
