//! What `postrider hookup` writes, done and taken back.

use crate::site::Site;
use postrider_tests::qmail_stand_in::Fate;
use std::{collections::BTreeMap, fs, path::Path};

/// Files and their contents.
fn contents(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn undo_brings_back_what_was_there() {
    let site = Site::new("", "");
    fs::write(site.qmail.home().join("users/assign"), "=ann:ann:1000:1000:/home/ann:::\n.\n").unwrap();
    let before = [contents(&site.qmail.home().join("control")), contents(&site.qmail.home().join("users"))];
    site.hook_up();
    site.create("ants@lists.example.com");
    assert!(site.qmail.accepts("ants@lists.example.com"));
    // Once more does no harm.
    site.hook_up();
    site.unhook();
    assert_eq!(site.receive("ants@lists.example.com"), Fate::Refused);
    assert!(!site.installation.path().join("sbin/postrider-qmail").exists());
    let mut after = [contents(&site.qmail.home().join("control")), contents(&site.qmail.home().join("users"))];
    for name in ["postrider.virtualdomains", "postrider.rcpthosts", "virtualdomains"] {
        assert_eq!(after[0].remove(name).as_deref(), Some(""), "{name}");
    }
    after[0].remove("postrider.lock");
    after[1].remove("cdb");
    assert_eq!(after, before);
}

#[test]
fn a_domain_of_somebody_else_is_named_and_nothing_is_taken_away() {
    let site = Site::with_ants("", "");
    let virtualdomains = site.qmail.home().join("control/virtualdomains");
    let text = fs::read_to_string(&virtualdomains).unwrap();
    fs::write(&virtualdomains, format!("{text}joe.example:joe\n")).unwrap();
    let output = site.installation.output(&["create", "ants@joe.example"]);
    assert!(!output.status.success(), "root is told by the program, others when they run it");
    assert_eq!(fs::read_to_string(&virtualdomains).unwrap(), format!("{text}joe.example:joe\n"));
    assert!(!site.qmail.accepts("ants@joe.example"));
}

#[test]
fn the_check_names_what_is_missing_and_its_cure() {
    let site = Site::with_ants("", "");
    fs::write(site.qmail.home().join("control/virtualdomains"), "").unwrap();
    let output = site.installation.output(&["hookup", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("lists.example.com is missing") && said.contains("sbin/postrider-qmail as root"), "{said}");
}

#[test]
fn postrider_makes_the_home_in_its_table_directory() {
    for recipients in ["default", "per-list"] {
        let site = Site::new("", &format!("home:\nrecipients: {recipients}\n"));
        site.create("ants@lists.example.com");
        let home = site.installation.data().join("qmail");
        let file = if recipients == "default" { ".qmail-default" } else { ".qmail-ants-default" };
        assert!(fs::read_to_string(home.join(file)).unwrap().contains("/qmail-lmtp --host 127.0.0.1 --port "));
        site.hook_up();
        assert!(site.qmail.accepts("ants@lists.example.com"));
        let assign = fs::read_to_string(site.qmail.home().join("users/assign")).unwrap();
        assert!(assign.contains(&format!(":{}:-::\n", home.display())), "{assign}");
    }
}
