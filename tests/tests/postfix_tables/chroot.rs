//! Postfix as Debian installs it: its SMTP server, router and LMTP client live in a chroot.

use crate::{LIMIT, MESSAGE, SendOne as _, accepted, assert_no_problems, rcpt, site::ListServer, stranger, tcp};
use postrider_plugin_api::sdk::LmtpAddress;
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, Postfix};
use postrider_tests::require::{self, MTA_BOX};
use std::path::PathBuf;

const ANTS: &str = "ants@lists.example.com";

fn debian(machine: &MtaBox) -> Postfix<'_> {
    let postfix = Postfix::configure(machine, "").unwrap();
    postfix.use_debians_services();
    postfix.launch().unwrap();
    postfix
}

/// Tables are opened before a process enters its chroot, and must be noticed from in there when they change.
fn tables_are_seen_from_a_chroot(table_type: &str) {
    if !require::all(&format!("tables_are_seen_from_a_chroot ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let lists = Catcher::lmtp(&machine, "127.0.0.1:8024").unwrap();
    let postfix = debian(&machine);
    let mut server = ListServer::new(&machine, table_type, tcp("127.0.0.1"));
    server.roster.add(ANTS);
    server.roster.add("staff@mta.example.com");
    server.write_tables();
    server.hook_up();
    accepted(&machine, ANTS).unwrap();
    stranger(&machine).send_one("ants-bounces+a=b@lists.example.com", MESSAGE);
    for list in ["bees@lists.example.com", "bees@mta.example.com", "bees@new.example"] {
        server.roster.add(list);
        server.publish(true);
        accepted(&machine, list).unwrap_or_else(|late| panic!("{table_type}: {late}\n{}", postfix.log_tail()));
        stranger(&machine).send_one(list, MESSAGE);
        lists.wait_for(list, LIMIT);
    }
    assert_eq!(rcpt(&machine, "nosuch@lists.example.com"), 550);
    server.roster.remove("bees@lists.example.com");
    server.publish(true);
    crate::answered(&machine, "127.0.0.1:25", "bees@lists.example.com", 550).unwrap();
    lists.wait_for("ants-bounces+a=b@lists.example.com", LIMIT);
    assert!(!postfix.log().contains("=deferred"), "{}", postfix.log_tail());
    assert_no_problems(&server);
}

#[test]
fn hash_tables_are_seen_from_a_chroot() {
    tables_are_seen_from_a_chroot("hash");
}

#[test]
fn lmdb_tables_are_seen_from_a_chroot() {
    tables_are_seen_from_a_chroot("lmdb");
}

#[test]
fn regexp_tables_are_seen_from_a_chroot() {
    tables_are_seen_from_a_chroot("regexp");
}

#[test]
fn sqlite_tables_are_seen_from_a_chroot() {
    tables_are_seen_from_a_chroot("sqlite");
}

#[test]
fn texthash_tables_are_seen_from_a_chroot() {
    tables_are_seen_from_a_chroot("texthash");
}

/// A list server at this socket, which only its owner and the owner's group may open.
fn reaches_socket(test: &str, path: &str, chroot_after: &str) {
    if !require::all(test, MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    machine.run(&["useradd", "--system", "--user-group", "--no-create-home", "postrider"]);
    let postfix = debian(&machine);
    let main_cf = || machine.run(&["postconf", "-n"]) + &machine.run(&["postconf", "-M"]);
    let before = main_cf();
    let mut server = ListServer::new(&machine, "hash", LmtpAddress::unix(path));
    server.roster.add(ANTS);
    server.write_tables();
    let way_back = server.hook_up();
    // The directory outside the queue is the list server's own business.
    machine.shell(&format!("install -d -o postrider -g postrider {}", path.rsplit_once('/').unwrap().0));
    let outside: PathBuf = format!("/proc/{}/root{path}", machine.pid()).into();
    let lists = Catcher::lmtp_unix(&outside).unwrap();
    machine.shell(&format!("chown postrider:postrider {path}; chmod 0660 {path}"));
    accepted(&machine, ANTS).unwrap();
    stranger(&machine).send_one(ANTS, MESSAGE);
    let log = postfix.wait_for_log("to=<ants@lists.example.com>", LIMIT);
    assert!(log.contains("status=sent"), "{log}");
    lists.wait_for(ANTS, LIMIT);
    assert_eq!(
        machine.run(&["postconf", "-F", "lmtp/unix/chroot"]).trim(),
        format!("lmtp/unix/chroot = {chroot_after}")
    );
    assert_no_problems(&server);

    way_back.go();
    assert_eq!(main_cf(), before);
    assert!(!machine.run(&["id", "-Gn", "postfix"]).contains("postrider"));
}

#[test]
fn a_socket_in_run_is_reached_after_the_client_has_left_its_chroot() {
    reaches_socket("a_socket_in_run_is_reached", "/run/postrider/lmtp", "n");
}

#[test]
fn a_socket_in_the_queue_directory_is_reached_from_the_chroot() {
    reaches_socket("a_socket_in_the_queue_directory_is_reached", "/var/spool/postfix/postrider/lmtp", "y");
}
