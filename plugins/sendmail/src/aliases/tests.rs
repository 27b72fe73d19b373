//! The aliases and the two programs, against the files in `tests/golden/aliases`; and the programs run.

use super::*;
use crate::testing::{site, TestRoster, TestSink};
use postrider_plugin_api::sdk::{
    Change, Context, Facts, HostLog, IncomingAdapter, LogLevel, Privilege, Settings, Snippet, SnippetKind,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

struct NoLog;

impl HostLog for NoLog {
    fn log(&self, _: LogLevel, _: &str) {}
}

fn adapter(pairs: &[(&str, &str)]) -> Aliases {
    Aliases::new(Box::new(NoLog), &pairs.iter().copied().collect::<Settings>()).unwrap()
}

fn roster() -> TestRoster {
    TestRoster::new(
        &[("lists.example.org", ""), ("example.com", "")],
        &["ants@lists.example.org", "bees.x@example.com"],
    )
}

fn plan(adapter: &Aliases, roster: &TestRoster) -> postrider_plugin_api::sdk::Result<TestSink> {
    let mut sink = TestSink::default();
    let (site, facts) = (site(), Facts::new());
    adapter.plan(Context::new(&site, &facts, roster), Change::Everything, &mut sink)?;
    assert!(sink.absent.is_empty() && sink.guards.is_empty());
    Ok(sink)
}

fn snippets(adapter: &Aliases, site: &postrider_plugin_api::sdk::Site) -> Vec<Snippet> {
    adapter.snippets(Context::new(site, &Facts::new(), &roster())).unwrap()
}

/// With `WRITE_GOLDEN=1` writes the file instead.
#[track_caller]
fn assert_golden(name: &str, seen: &str) {
    let path = format!("{}/tests/golden/aliases/{}", env!("CARGO_MANIFEST_DIR"), name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        fs::write(&path, seen).unwrap();
    }
    assert_eq!(seen, fs::read_to_string(&path).unwrap(), "{path}");
}

#[test]
fn every_address_is_an_alias_for_the_program() {
    assert_golden("sendmail_aliases", &plan(&adapter(&[]), &roster()).unwrap().text("sendmail_aliases"));
}

#[test]
fn the_two_programs_are_files_of_the_hookup() {
    let snippets = snippets(&adapter(&[]), &site());
    let files: Vec<&Snippet> = snippets.iter().filter(|snippet| snippet.kind == SnippetKind::File).collect();
    assert_eq!(files[0].file, "/etc/mail/smrsh/postrider-lmtp");
    assert_golden("postrider-lmtp", &files[0].text);
    assert_eq!(files[1].file, "/etc/mail/import-postrider-aliases");
    assert_golden("import-postrider-aliases", &files[1].text);
}

#[test]
fn the_loss_of_the_detail_is_told_before_anything_is_done() {
    let first = &snippets(&adapter(&[]), &site())[0].explanation;
    assert!(first.contains("plus sign is lost") && first.contains("know no domains"), "{first}");
}

#[test]
fn two_lists_that_differ_in_their_domain_only_are_refused() {
    let roster = TestRoster::new(&[("a.example", ""), ("b.example", "")], &["ants@a.example", "ants@b.example"]);
    let error = plan(&adapter(&[]), &roster).err().unwrap().to_string();
    assert!(error.contains("ants@a.example and ants@b.example") && error.contains("sendmail.LMTP"), "{error}");
}

#[test]
fn the_update_is_roots_unless_the_site_has_a_command_of_its_own() {
    let commands = plan(&adapter(&[]), &roster()).unwrap().commands;
    assert_eq!(commands[0].argv, ["/etc/mail/import-postrider-aliases"]);
    assert_eq!(commands[0].privilege, Privilege::Root);
    let pairs = [("update_command", "/usr/bin/sudo"), ("update_arguments", "-n /etc/mail/import-postrider-aliases")];
    let commands = plan(&adapter(&pairs), &roster()).unwrap().commands;
    assert_eq!(commands[0].argv, ["/usr/bin/sudo", "-n", "/etc/mail/import-postrider-aliases"]);
    assert_eq!(commands[0].privilege, Privilege::Owner);
}

#[test]
fn before_the_hookup_nothing_is_updated() {
    let (site, roster, mut sink) = (site(), roster(), TestSink::default());
    let facts = adapter(&[]).probe(&site, &crate::testing::TestTools::default()).unwrap();
    adapter(&[]).plan(Context::new(&site, &facts, &roster), Change::Everything, &mut sink).unwrap();
    assert!(sink.commands.is_empty() && sink.tables.len() == 1);
}

/// A directory that vanishes.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("postrider-sendmail-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn program(&self, name: &str, text: &str) -> String {
        let file = self.file(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The import program of a site whose files are all in `directory`, run.
fn import(directory: &Directory, table: &str, aliases: &str) -> (Output, String) {
    fs::write(directory.file("sendmail_aliases"), table).unwrap();
    import_as(directory, &whoami(), aliases)
}

/// Who runs this test.
fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The same with the table that is there, and Postrider's data owned by `user`.
fn import_as(directory: &Directory, user: &str, aliases: &str) -> (Output, String) {
    let sendmail = directory.program("sendmail", "#!/bin/sh\nexit 0\n");
    fs::write(directory.file("aliases"), aliases).unwrap();
    let alias_file = directory.file("aliases");
    let adapter = adapter(&[("sendmail_command", sendmail.as_str()), ("alias_file", alias_file.as_str())]);
    let mut site = site();
    site.table_dir = directory.0.display().to_string();
    site.user = user.into();
    let script = directory.program("import", &snippets(&adapter, &site)[1].text);
    let output = Command::new("sh").arg(script).stdin(Stdio::null()).output().unwrap();
    (output, fs::read_to_string(alias_file).unwrap())
}

const SITE: &str = "root: anna\n# a comment\nants-fans: anna\n";

#[test]
fn import_keeps_what_the_site_has_and_replaces_what_is_ours() {
    let directory = Directory::new("import");
    let first = "# head\nants:   \"|/etc/mail/smrsh/postrider-lmtp ants lists.example.org\"\n";
    let (output, aliases) = import(&directory, first, SITE);
    assert!(output.status.success(), "{output:?}");
    let ours = first.lines().nth(1).unwrap();
    let expected = |ours: &str| format!("{SITE}# begin of postrider\n{ours}\n# end of postrider\n");
    assert_eq!(aliases, expected(ours));
    let second = first.replace("ants", "bees");
    let (output, aliases) = import(&directory, &second, &aliases);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(aliases, expected(second.lines().nth(1).unwrap()));
    let (output, aliases) = import(&directory, "# no lists\n", &aliases);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(aliases, expected(""));
}

#[test]
fn import_takes_no_line_that_could_run_anything_else() {
    let directory = Directory::new("boundary");
    for line in [
        "ants: \"|/bin/sh -c id\"",
        "ants: \"|/etc/mail/smrsh/postrider-lmtp ants lists.example.org; id\"",
        "ants: \"|/etc/mail/smrsh/postrider-lmtp $(id) lists.example.org\"",
        "ants: \"|/etc/mail/smrsh/postrider-lmtpx ants lists.example.org\"",
        "ants: :include:/etc/shadow",
        "ants: /etc/passwd",
        "ants: anna",
        " continued",
    ] {
        let (output, aliases) = import(&directory, &format!("# head\n\n{line}\n"), SITE);
        assert_eq!(output.status.code(), Some(65), "{line}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.ends_with("in these lines: 3 \n") && !said.contains(line.trim()), "{said}");
        assert_eq!(aliases, SITE, "{line}");
    }
}

#[test]
fn import_leaves_out_the_names_of_the_sites_own_aliases_and_takes_the_others() {
    let directory = Directory::new("taken");
    let line = |name: &str| format!("{name}: \"|/etc/mail/smrsh/postrider-lmtp {name} lists.example.org\"\n");
    let own = "Support : anna\n\"help\": ben\n";
    let table = line("ants") + &line("help") + &line("support") + &line("support-owner");
    let (output, aliases) = import(&directory, &table, own);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("called support:") && said.contains("called help:"), "{said}");
    assert!(!said.contains("anna") && !said.contains("support-owner"), "{said}");
    let expected = line("ants") + &line("support-owner");
    assert_eq!(aliases, format!("{own}# begin of postrider\n{expected}# end of postrider\n"));
    // An alias file that has nothing of the site's own.
    let (output, aliases) = import(&directory, &line("ants"), "");
    assert!(output.status.success(), "{output:?}");
    assert!(aliases.contains(&line("ants")), "{aliases}");
}

#[test]
fn import_takes_every_domain_that_a_plan_can_have() {
    let directory = Directory::new("domain");
    let roster = TestRoster::new(&[("My_lists.example", "")], &["ants@My_lists.example"]);
    let table = plan(&adapter(&[]), &roster).unwrap().text("sendmail_aliases");
    let (output, aliases) = import(&directory, &table, SITE);
    assert!(output.status.success(), "{output:?}");
    assert!(aliases.contains("postrider-lmtp ants-owner My_lists.example\"\n"), "{aliases}");
    assert_eq!(deliver(&directory, 0, ["ants", "My_lists.example"], MAIL).0, Some(0));
}

#[test]
fn import_reads_the_table_with_the_rights_of_its_owner() {
    if whoami() != "root" {
        return; // nobody else can take the rights of another
    }
    let directory = Directory::new("link");
    let secret = directory.file("secret");
    fs::write(&secret, "root:$6$hash:\nants: \"|/etc/mail/smrsh/postrider-lmtp ants lists.example.org\"\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&secret, directory.file("sendmail_aliases")).unwrap();
    let (output, aliases) = import_as(&directory, "nobody", SITE);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hash"), "{output:?}");
    assert_eq!(aliases, SITE);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let (output, _) = import_as(&directory, "nobody", SITE);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.ends_with("in these lines: 1 \n"), "{said}");
}

#[test]
fn the_hookup_is_taken_back_without_a_bounce() {
    let snippets = snippets(&adapter(&[]), &site());
    let undone: Vec<(SnippetKind, &str)> =
        snippets.iter().rev().map(|snippet| (snippet.kind, &*snippet.undo)).collect();
    assert!(undone[0].1.contains("sed ") && undone[0].1.contains(" -bi\n"), "first the aliases: {undone:?}");
    assert_eq!(undone[1].0, SnippetKind::Lines, "then the domains");
    assert!(undone[2].1.contains("kill -HUP"), "which Sendmail is told: {undone:?}");
    assert!(undone[3..].iter().all(|(kind, _)| *kind == SnippetKind::File), "the programs are the last");
}

#[test]
fn the_check_names_lists_whose_alias_is_the_sites_own_or_missing() {
    let mut tools = crate::testing::TestTools::default().answer("/usr/sbin/sendmail", 0, "", "");
    let aliases = "root: anna\nAnts: anna\n# begin of postrider\nbees.x: x\n# end of postrider\n";
    tools.files.insert("/etc/aliases".into(), aliases.into());
    let roster = TestRoster::new(&[("e.org", "")], &["ants@e.org", "bees.x@e.org"]);
    let (site, facts) = (site(), Facts::new());
    let context = Context::new(&site, &facts, &roster);
    let findings = adapter(&[]).check(context, &tools).unwrap();
    let seen = |subject: &str| findings.iter().find(|finding| finding.subject == subject).map(|finding| &*finding.seen);
    assert_eq!(seen("ants@e.org"), Some("/etc/aliases has an alias of its own with that name"));
    assert_eq!(seen("ants-owner@e.org"), Some("it is not in /etc/aliases"));
    assert_ne!(seen("bees.x@e.org"), Some("it is not in /etc/aliases"));
}

/// The delivery program with a `qmail-lmtp` that shows what it is given and ends with `code`.
fn deliver(directory: &Directory, code: u8, arguments: [&str; 2], input: &str) -> (Option<i32>, String) {
    let command = directory.program(
        "qmail-lmtp",
        &format!("#!/bin/sh\nprintf '%s|' \"$*\" \"$LOCAL\" \"$HOST\" \"$SENDER\" \"$RPLINE\" \"$DTLINE\"; cat\nexit {code}\n"),
    );
    let adapter = adapter(&[("lmtp_command", command.as_str())]);
    let script = directory.program("postrider-lmtp", &snippets(&adapter, &site())[0].text);
    fs::write(directory.file("input"), input).unwrap();
    let input = fs::File::open(Path::new(&directory.file("input"))).unwrap();
    let output = Command::new(script).args(arguments).stdin(input).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

const MAIL: &str = "From carla@remote.example  Sun Nov 22 21:00:00 2026\nSubject: x\n\nFrom me\n";

#[test]
fn the_program_passes_sender_recipient_and_message_on() {
    let directory = Directory::new("deliver");
    let (code, seen) = deliver(&directory, 0, ["ants-owner", "lists.example.org"], MAIL);
    assert_eq!(code, Some(0));
    assert_eq!(
        seen,
        "--host 127.0.0.1 --port 8024 --strip 0|ants-owner|lists.example.org|carla@remote.example|\
         Return-Path: <carla@remote.example>\n|Delivered-To: ants-owner@lists.example.org\n|Subject: x\n\nFrom me\n"
    );
}

#[test]
fn the_empty_sender_is_known_by_sendmails_name_for_it() {
    let directory = Directory::new("empty");
    for from in ["MAILER-DAEMON", "MAILER-DAEMON@mta.example.com", "<>"] {
        let mail = MAIL.replace("carla@remote.example", from);
        let (code, seen) = deliver(&directory, 0, ["ants-bounces", "lists.example.org"], &mail);
        assert_eq!(code, Some(0));
        assert!(seen.contains("|lists.example.org||Return-Path: <>\n|"), "{seen}");
    }
}

#[test]
fn exit_codes_become_those_that_sendmail_knows() {
    let directory = Directory::new("codes");
    for (code, expected) in [(0, 0), (100, 69), (111, 75), (1, 75), (127, 75)] {
        assert_eq!(deliver(&directory, code, ["ants", "lists.example.org"], MAIL).0, Some(expected), "{code}");
    }
    assert_eq!(deliver(&directory, 0, ["ants;id", "lists.example.org"], MAIL).0, Some(64));
    assert_eq!(deliver(&directory, 0, ["ants", "lists.example.org"], "Subject: x\n\n").0, Some(75));
}
