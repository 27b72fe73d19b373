//! `recipients: callout`: Exim asks Postrider while the sender waits.

use super::site::{ANTS, Site, machine};
use postrider_tests::mta_box::EximLayout::{self, Plain, Single, Split};

fn exim_asks_postrider(layout: EximLayout) {
    let Some(machine) = machine("exim_asks_postrider") else { return };
    let site = Site::hooked_up(&machine, layout, "recipients: callout");
    // Nobody to ask: neither accepted nor refused.
    site.is_answered(ANTS, 451);
    site.is_answered("nosuch@lists.example.com", 451);
    site.is_answered("anna@mta.example.com", 250);

    let daemon = site.serve();
    for known in [ANTS, "Ants-BOUNCES+a=b@lists.example.com", "ants-owner@LISTS.example.com"] {
        site.is_answered(known, 250);
    }
    site.is_answered("late@lists.example.com", 550);
    site.run(&["create", "late@lists.example.com"]);
    // It was refused a moment ago, and that is not remembered.
    site.is_answered("late@lists.example.com", 250);
    for unknown in ["nosuch@lists.example.com", "ants-nosuch@lists.example.com", "foo/../ants@lists.example.com"] {
        site.is_answered(unknown, 550);
    }
    let told = site.run(&["hookup", "--check"]);
    assert!(told.contains("RCPT TO:<ants@lists.example.com>: 250"), "{told}");
    site.stop(daemon);
    site.is_answered(ANTS, 451);
    site.undo();
    site.is_answered("anna@mta.example.com", 250);
}

#[test]
fn split() {
    exim_asks_postrider(Split);
}

#[test]
fn single() {
    exim_asks_postrider(Single);
}

#[test]
fn plain() {
    exim_asks_postrider(Plain);
}

#[test]
fn the_sites_own_conditions_at_debians_hook_are_kept() {
    let Some(machine) = machine("the_sites_own_conditions_at_debians_hook_are_kept") else { return };
    let site = Site::installed(&machine, Split, "recipients: callout");
    machine.shell(
        "echo 'CHECK_RCPT_LOCAL_ACL_FILE = /etc/exim4/site.acl' > /etc/exim4/conf.d/main/000_site
         printf '  deny local_parts = anna\\n    message = on holiday\\n' > /etc/exim4/site.acl
         update-exim4.conf",
    );
    site.run(&["create", ANTS]);
    site.hook_up();
    let daemon = site.serve();
    site.is_answered(ANTS, 250);
    site.is_answered("nosuch@lists.example.com", 550);
    assert!(site.rcpt("anna@mta.example.com").text.contains("on holiday"));
    site.stop(daemon);
}

#[test]
fn with_a_unix_socket_it_is_refused_at_once() {
    let Some(machine) = machine("with_a_unix_socket_it_is_refused_at_once") else { return };
    let site = Site::installed(&machine, Split, "recipients: callout");
    machine.run(&["sed", "-i", "s|^lmtp_host:.*|lmtp_host: /run/postrider/lmtp|", "/etc/postrider/postrider.cfg"]);
    site.run(&["create", ANTS]);
    let told = site.ends(1, &["hookup"]);
    assert!(told.contains("recipients: callout") && told.contains("/run/postrider/lmtp"), "{told}");
}
