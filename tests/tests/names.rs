//! Which lists and domains can be made, and what is said of the others.

use postrider_tests::installation::Installation;
use std::process::Output;

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn refused(installation: &Installation, args: &[&str]) -> String {
    let Output { status, stderr, .. } = installation.output(args);
    let error = text(&stderr);
    assert_eq!(status.code(), Some(1), "{args:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{args:?}: {error}");
    assert!(!error.contains(|c: char| c.is_control() && c != '\n'), "{args:?}: {error:?}");
    error
}

#[test]
fn a_list_whose_name_means_something_to_others_cannot_be_made() {
    let installation = Installation::new();
    for name in [
        "a*",
        "a+b",
        "a.b*",
        "a$b",
        "${a}",
        "a{b",
        "a:b",
        "a\"b",
        "'a",
        "a%b",
        "a\nb",
        "a/b",
        "../a",
        "/a",
        "a|b",
        "a;b",
        "a b",
        "a\\b",
        "a=b",
        "a(b",
        "a[b",
        "a^",
        "naïve",
        "ants\u{202e}",
        "a..b",
        ".a",
        "a.",
        "a-",
        "-a",
        "-bounces",
        "--help",
        "",
    ] {
        let address = format!("{name}@lists.example.com");
        // `--` as every command line wants it before what begins with a dash.
        let error = refused(&installation, &["create", "--", &address]);
        assert!(error.contains("cannot be the name of a list"), "{name:?}: {error}");
    }
    for address in ["ants", "ants@a@b", "@"] {
        assert!(refused(&installation, &["create", address]).contains("cannot be the "), "{address}");
    }
    let long = format!("{}@lists.example.com", "a".repeat(53));
    assert!(refused(&installation, &["create", &long]).contains("longer than 52"));
    assert_eq!(
        installation.output(&["create", "-bounces@lists.example.com"]).status.code(),
        Some(2),
        "it is no option"
    );
    assert_eq!(installation.run(&["domains"]).trim(), "No domains", "nothing was made on the way");
}

#[test]
fn a_domain_whose_name_means_something_to_others_cannot_be_made() {
    let installation = Installation::new();
    for name in [
        "*",
        "*.example.com",
        ".example.com",
        "example.com.",
        "a..b",
        "-a.example",
        "a_b.example",
        "a b.example",
        "a:b",
        "a/b",
        "${domain}",
        "a\nb",
        "[192.0.2.1]",
        "192.0.2.1",
        "a%b",
        "+mm_domains",
        "!a.example",
        "xn--a.example",
        "",
    ] {
        let error = refused(&installation, &["domain", "add", "--", name]);
        assert!(error.contains("cannot be the name of a domain"), "{name:?}: {error}");
        refused(&installation, &["create", "--", &format!("ants@{name}")]);
        let alias = ["domain", "add", "lists.example.com", &format!("--alias-domain={name}")];
        assert!(refused(&installation, &alias).contains("cannot be the name of a domain"), "{name:?}");
    }
    assert_eq!(installation.run(&["domains"]).trim(), "No domains");
}

#[test]
fn names_that_look_like_sub_addresses_are_lists_like_others() {
    let installation = Installation::new();
    for name in ["a", "a-bounces", "a-bounces-bounces", "owner-a", "default", "_", "a--b", "2024"] {
        installation.run(&["create", &format!("{name}@lists.example.com")]);
    }
    assert_eq!(installation.run(&["lists"]).lines().filter(|line| line.contains("@lists.example.com")).count(), 8);
}

#[test]
fn an_international_domain_is_kept_as_the_mail_server_sees_it() {
    let installation = Installation::new();
    let said = installation.run(&["create", "Ants@BÜCHER.example"]);
    assert!(said.contains("ants@xn--bcher-kva.example"), "{said}");
    // The same domain, and so the same list.
    let error = refused(&installation, &["create", "ants@xn--bcher-kva.example"]);
    assert!(error.contains("exists"), "{error}");
    installation.run(&["info", "ants@bücher.example"]);
}
