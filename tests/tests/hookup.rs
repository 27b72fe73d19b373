//! What an administrator is told about the MTA's own configuration.

use postrider_tests::installation::Installation;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A Postfix that is installed and has never heard of lists.
const POSTCONF: &str = "#!/bin/sh\n\
    for name in \"$@\"; do case $name in\n\
    -m) echo hash; echo sqlite ;;\n\
    -*) ;;\n\
    mydestination) echo 'mydestination = mail.example.com' ;;\n\
    transport_maps) echo 'transport_maps = inline:{{old.example.com=smtp:}}' ;;\n\
    *) echo \"$name =\" ;;\n\
    esac; done\n";

fn installation(postconf: &str) -> Installation {
    let installation = Installation::new();
    let postconf = postconf.replace("$DIR", &installation.path().display().to_string());
    installation
        .write("postfix.cfg", &format!("[postfix]\ntransport_file_type: sqlite\npostconf_command: {postconf}\n"));
    installation.write("postconf", POSTCONF);
    let script = installation.path().join("postconf");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("mode");
    installation.run(&["create", "ants@lists.example.com"]);
    installation
}

#[test]
fn the_lines_for_main_cf_name_our_tables_and_keep_what_is_there() {
    let installation = installation("$DIR/postconf");
    let lines = installation.run(&["hookup"]);
    let data = installation.data();
    let routes = format!(
        "transport_maps = inline:{{{{old.example.com=smtp:}}}}, sqlite:{}/postfix_transport.cf",
        data.display()
    );
    assert!(lines.contains(&routes), "{routes}\n{lines}");
    assert!(lines.contains(&format!("sqlite:{}/postfix_recipients.cf", data.display())), "{lines}");
}

#[test]
fn a_postfix_that_does_not_ask_our_tables_is_found_out() {
    let installation = installation("$DIR/postconf");
    let output = installation.output(&["hookup", "--check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().any(|line| line.starts_with("error") && line.contains("relay_domains")), "{text}");
}

#[test]
fn without_postfix_the_lines_are_shown_and_the_check_says_that_it_could_not_ask() {
    let installation = installation("$DIR/nothing");
    assert!(installation.run(&["hookup"]).contains("postfix_transport.cf"));
    let found: serde_json::Value =
        serde_json::from_str(&installation.run(&["hookup", "--check", "--json"])).expect("JSON");
    assert_eq!((&found[0]["severity"], found.as_array().map(Vec::len)), (&"warning".into(), Some(1)));
}
