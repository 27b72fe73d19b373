//! Names of lists and domains that cannot be, are taken, or are not known.

use super::site::{ANTS, bare};

#[test]
fn names_that_cannot_be_lists_are_refused_and_nothing_is_made() {
    let installation = bare();
    let long = format!("{}@lists.example.com", "a".repeat(300));
    for (name, reason) in [
        ("a/b@lists.example.com", "only the letters a-z"),
        ("../../etc/passwd@lists.example.com", "only the letters a-z"),
        ("a\nb@lists.example.com", "only the letters a-z"),
        ("a\"b@lists.example.com", "only the letters a-z"),
        ("a'b@lists.example.com", "only the letters a-z"),
        ("a+b@lists.example.com", "only the letters a-z"),
        ("a b@lists.example.com", "only the letters a-z"),
        ("$(id)@lists.example.com", "only the letters a-z"),
        ("ünï@lists.example.com", "only the letters a-z"),
        ("ants@@lists.example.com", "more than one @"),
        (&long, "longer than 52"),
        ("ants", "write LIST@DOMAIN"),
        ("@lists.example.com", "empty"),
        ("ants@", "empty"),
        ("ants@lists..example.com", "domain"),
        ("ants@lists/example.com", "domain"),
        ("ants@[127.0.0.1]", "domain"),
        ("ants.@lists.example.com", "dash or dot"),
    ] {
        let error = installation.fails(1, &["create", name]);
        assert!(error.contains(reason), "{name:?}: {error}");
        assert_eq!(error.lines().count(), 1, "one line whatever was asked for: {error:?}");
        assert!(error.starts_with("postrider: "), "{error}");
    }
    let error = installation.fails(1, &["create", "--", "-ants@lists.example.com"]);
    assert!(error.contains("begins or ends with a dash"), "{error}");
    // Without the `--` it is taken for an option.
    installation.fails(2, &["create", "-ants@lists.example.com"]);
    let error = installation.fails(1, &["create", ANTS, "--owner", "olga"]);
    assert!(error.contains("\"olga\" is not an email address"), "{error}");

    assert_eq!(installation.json(&["lists", "--json"]), serde_json::json!([]));
    assert_eq!(installation.json(&["domains", "--json"]), serde_json::json!([]));
}

#[test]
fn a_list_that_exists_cannot_be_made_again() {
    let installation = bare();
    installation.run(&["create", ANTS]);
    for again in [ANTS, "ANTS@Lists.Example.COM"] {
        let error = installation.fails(1, &["create", again]);
        assert!(error.contains("the list ants@lists.example.com exists already"), "{error}");
    }
    // a.b@c and a@b.c would have the same list-id.
    installation.run(&["create", "a.b@example.com"]);
    let error = installation.fails(1, &["create", "a@b.example.com"]);
    assert!(error.contains("list-id a.b.example.com") && error.contains("a.b@example.com"), "{error}");
    assert_eq!(installation.json(&["lists", "--json"]).as_array().map(Vec::len), Some(2));
}

#[test]
fn an_unknown_list_is_refused_by_every_command_with_the_nearest_name() {
    let installation = bare();
    installation.run(&["create", ANTS]);
    installation.write("people", "anne@example.org\n");
    installation.write("post", "From: anne@example.org\n\nHi.\n");
    let people = installation.path().join("people").display().to_string();
    let post = installation.path().join("post").display().to_string();
    let unknown = "antz@lists.example.com";
    for args in [
        &["info", unknown][..],
        &["remove", unknown],
        &["set", unknown, "description=x"],
        &["addmembers", &people, unknown],
        &["delmembers", unknown, "anne@example.org"],
        &["members", unknown],
        &["inject", unknown, &post],
        &["held", "--list", unknown],
    ] {
        let error = installation.fails(1, args);
        assert!(error.contains(&format!("no list {unknown}; did you mean {ANTS}?")), "{args:?}: {error}");
    }
    let error = installation.fails(1, &["info", "completely@different.example"]);
    assert!(error.contains("postrider lists"), "{error}");
    // The list-id is as good as the address.
    assert!(installation.run(&["info", "ants.lists.example.com"]).contains(ANTS));
}

#[test]
fn domains_are_made_with_their_first_list_unless_that_is_forbidden() {
    let installation = bare();
    let error = installation.fails(1, &["create", "--no-domain", ANTS]);
    assert!(error.contains("domain lists.example.com does not exist"), "{error}");
    assert!(error.contains("postrider domain add lists.example.com"), "{error}");
    assert_eq!(installation.json(&["domains", "--json"]), serde_json::json!([]));
    installation.run(&["domain", "add", "lists.example.com", "--description", "Ours"]);
    installation.run(&["create", "--no-domain", ANTS]);
    let domains = installation.json(&["domains", "--json"]);
    assert_eq!((&domains[0]["domain"], &domains[0]["description"]), (&"lists.example.com".into(), &"Ours".into()));
    assert!(installation.run(&["lists", "--domain", "lists.example.com"]).contains(ANTS));
    assert!(installation.run(&["lists", "--domain", "other.example"]).contains("No matching"));
}

#[test]
fn a_domain_with_lists_stays() {
    let installation = bare();
    installation.run(&["create", ANTS]);
    let error = installation.fails(1, &["domain", "remove", "lists.example.com"]);
    assert!(error.contains("still has 1 list") && error.contains("remove"), "{error}");
    installation.run(&["remove", ANTS]);
    installation.run(&["domain", "remove", "lists.example.com"]);
    let error = installation.fails(1, &["domain", "remove", "lists.example.com"]);
    assert!(error.contains("does not exist"), "{error}");
    let error = installation.fails(1, &["domain", "add", "x..y"]);
    assert!(error.contains("\"x..y\" cannot be the name of a domain"), "{error}");
}

#[test]
fn an_alias_domain_means_one_domain_only() {
    let installation = bare();
    installation.run(&["domain", "add", "lists.example.com", "--alias-domain", "mm.example.com"]);
    assert_eq!(installation.json(&["domains", "--json"])[0]["alias_domain"], "mm.example.com");
    for (args, taken) in [
        (&["domain", "add", "mm.example.com"][..], "mm.example.com"),
        (&["domain", "add", "other.example", "--alias-domain", "lists.example.com"], "lists.example.com"),
        (&["domain", "add", "other.example", "--alias-domain", "mm.example.com"], "mm.example.com"),
        (&["create", "bees@mm.example.com"], "mm.example.com"),
    ] {
        let error = installation.fails(1, args);
        assert!(
            error.contains(&format!("{taken} is already the name or alias of the domain lists.example.com")),
            "{error}"
        );
    }
    let error = installation.fails(1, &["domain", "add", "self.example", "--alias-domain", "self.example"]);
    assert!(error.contains("alias domain of self.example"), "{error}");
    assert_eq!(installation.json(&["domains", "--json"]).as_array().map(Vec::len), Some(1));
}
