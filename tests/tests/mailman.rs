//! The sections that Mailman's documentation prints, word for word, on the command line.

use postrider_tests::fixtures::repository;
use postrider_tests::installation::{Installation, build_dir};
use std::fs;

/// An installation whose `[mta]` section is that of a file in `host/tests/mailman`.
fn printed(name: &str, plugin: Option<&str>) -> Installation {
    let installation = Installation::new();
    if let Some(plugin) = plugin {
        let library = format!("libpostrider_{plugin}.so");
        installation.install_plugin(&build_dir().join(&library), &library);
    }
    let ours = fs::read_to_string(installation.config()).expect("configuration");
    let (ours, _) = ours.split_once("[mta]").expect("a section for the MTA");
    let section = fs::read_to_string(repository().join("host/tests/mailman").join(name)).expect(name);
    installation.write("postrider.cfg", &format!("{ours}{section}"));
    installation
}

#[test]
fn exims_section_is_the_exim_plugin_with_its_defaults() {
    let installation = printed("exim4.cfg", Some("exim4"));
    assert!(installation.run(&["conf", "--check"]).ends_with("The configuration is good.\n"));
    let hookup = installation.run(&["hookup"]);
    assert!(hookup.contains("8024"), "the port of the section:\n{hookup}");
    assert_eq!(hookup, installation.run(&["hookup", "mailman.mta.exim4.LMTP"]));
    assert_eq!(hookup, installation.run(&["hookup", "exim4.LMTP"]));

    // Our name of the defaults, and a file, mean the same as Mailman's.
    let text = fs::read_to_string(installation.config()).expect("configuration");
    installation.write("exim4.cfg", "[exim4]\n");
    let file = installation.path().join("exim4.cfg");
    for configuration in ["plugin:exim4", file.to_str().expect("UTF-8")] {
        installation.write("postrider.cfg", &text.replace("python:mailman.config.exim4", configuration));
        assert_eq!(hookup, installation.run(&["hookup"]), "{configuration}");
    }
    // A key of another plugin's is an error with the place.
    fs::write(&file, "[exim4]\ntransport_file_type: hash\n").expect("file");
    let error = installation.fails(1, &["hookup"]);
    assert!(error.contains("exim4.cfg:2: [exim4] transport_file_type: no such key"), "{error}");
}

#[test]
fn qmails_section_needs_no_plugin_and_makes_lists() {
    let installation = printed("qmail.cfg", None);
    assert!(installation.run(&["conf", "--check"]).ends_with("The configuration is good.\n"));
    installation.run(&["create", "ants@lists.example.com"]);
    installation.run(&["aliases"]);
    assert!(installation.run(&["hookup"]).contains("null.NullMTA has nothing to be told to the MTA"));
    let kit = installation.path().join("kit");
    installation.run(&["hookup", "--write", kit.to_str().expect("UTF-8")]);
    assert!(!kit.exists(), "there is nothing to install");
    installation.run(&["hookup", "--diff"]);
    installation.run(&["hookup", "--check"]);
}
