//! The scripts are run for real, by root, on temporary paths.
#![allow(clippy::unwrap_used)] // tests

use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

fn snippet(kind: SnippetKind, file: impl Into<String>, text: &str, undo: &str) -> Snippet {
    Snippet::new(kind, file, text, "It is so.").with_undo(undo)
}

fn lines(file: impl Into<String>, text: &str) -> Snippet {
    snippet(SnippetKind::Lines, file, text, "")
}

fn file(file: impl Into<String>, text: &str) -> Snippet {
    snippet(SnippetKind::File, file, text, "")
}

fn commands(text: &str, undo: &str) -> Snippet {
    snippet(SnippetKind::Commands, "", text, undo)
}

fn refusal(snippets: &[Snippet]) -> String {
    Instructions::parse("good.LMTP", snippets).unwrap_err().message
}

/// A machine's files, and the kit for them, in directories with a name that shells stumble over.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// `None` without the superuser's rights, which the scripts want.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs the superuser");
            return None;
        }
        let machine = Machine { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.root()).unwrap();
        Some(machine)
    }

    /// Below which all files of the steps lie.
    fn root(&self) -> PathBuf {
        self.directory.path().join("-it's \"$HOME\" \\n `x`; *=1")
    }

    fn path(&self, name: &str) -> String {
        self.root().join(name).into_os_string().into_string().unwrap()
    }

    fn put(&self, name: &str, contents: &str) {
        fs::create_dir_all(self.root().join(name).parent().unwrap()).unwrap();
        fs::write(self.root().join(name), contents).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    fn kit(&self) -> PathBuf {
        self.directory.path().join("the kit's \"place\"")
    }

    fn write(&self, snippets: &[Snippet]) -> Instructions {
        let instructions = Instructions::parse("good.LMTP", snippets).unwrap();
        instructions.write(&self.kit()).unwrap();
        instructions
    }

    fn output(&self, script: &str, args: &[&str]) -> Output {
        Command::new("sh").arg(self.kit().join(script)).args(args).output().unwrap()
    }

    fn run(&self, script: &str) -> String {
        let output = self.output(script, &[]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        text
    }

    /// Every file with its contents, mode, number and time of change.
    fn state(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32, u64, i64)> {
        let mut state = BTreeMap::new();
        let mut left = vec![self.root()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::metadata(&path).unwrap();
                if metadata.is_dir() {
                    left.push(path);
                } else {
                    let seen = (fs::read(&path).unwrap(), metadata.mode(), metadata.ino(), metadata.mtime_nsec());
                    state.insert(path, seen);
                }
            }
        }
        state
    }

    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state().into_iter().map(|(path, (contents, ..))| (path, contents)).collect()
    }
}

#[test]
fn installing_twice_is_installing_once_and_undoing_brings_everything_back() {
    let Some(machine) = Machine::new() else { return };
    machine.put("etc/ours.conf", "somebody else's\n");
    machine.put("etc/main.mc", "one\ntwo"); // no end of its last line
    fs::set_permissions(machine.root().join("etc/main.mc"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = machine.contents();

    let touched = machine.path("commands ran");
    let quoted = format!("'{}'", touched.replace('\'', r"'\''"));
    let steps = [
        file(machine.path("etc/ours.conf"), "ours\n"),
        file(machine.path("etc/new/deep/it's new.conf"), "$HOME `id` 'x' \"y\" \\\n"),
        lines(machine.path("etc/main.mc"), "dnl three\ntwo\n"),
        lines(machine.path("etc/main.mc"), "four"),
        lines(machine.path("etc/missing.lines"), "alone\n"),
        commands(
            &format!("x=1\ncd /tmp\necho $x >> {quoted}\ncat <<EOF > /dev/null\n  it's\nEOF"),
            &format!("rm {quoted}"),
        ),
    ];
    let instructions = machine.write(&steps);
    assert!(instructions.compare().iter().any(|one| matches!(one.difference, Difference::Some(_))));
    let said = machine.run("install.sh");
    assert!(said.contains("Step 6 of 6: run x=1 ..."), "{said}");
    assert_eq!(machine.read("etc/ours.conf"), "ours\n");
    assert_eq!(machine.read("etc/ours.conf.before-postrider"), "somebody else's\n");
    assert_eq!(machine.read("etc/new/deep/it's new.conf"), "$HOME `id` 'x' \"y\" \\\n");
    assert_eq!(machine.read("etc/main.mc"), "one\ntwo\ndnl three\ntwo\nfour\n");
    assert_eq!(fs::metadata(machine.path("etc/main.mc")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(machine.path("etc/ours.conf")).unwrap().mode() & 0o777, 0o644);
    assert_eq!(machine.read("etc/missing.lines"), "alone\n");
    assert!(instructions.compare().iter().all(|one| matches!(one.difference, Difference::None | Difference::Unknown)));

    fs::remove_file(&touched).unwrap();
    let once = machine.state();
    machine.run("install.sh");
    assert_eq!(machine.read("commands ran"), "1\n");
    fs::remove_file(&touched).unwrap();
    assert_eq!(machine.state(), once);

    fs::write(&touched, "").unwrap();
    machine.run("undo.sh");
    assert_eq!(machine.contents(), before);
    assert_eq!(fs::metadata(machine.path("etc/main.mc")).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn lines_are_ours_only_where_all_of_them_stand_together() {
    let Some(machine) = Machine::new() else { return };
    machine.put("conf", "b\na\n\nb\nx\na\nb\n");
    let steps = [lines(machine.path("conf"), "a\n\nb\n")];
    machine.write(&steps);
    assert!(machine.run("install.sh").contains("they are there already"));
    machine.put("conf", "a\nb\n0\n0.0\n");
    machine.run("install.sh");
    assert_eq!(machine.read("conf"), "a\nb\n0\n0.0\na\n\nb\n");
    machine.put("conf", "a\nb\n0\n0.0\na\n\nb\nmore of the administrator's\n");
    let said = machine.run("undo.sh");
    assert_eq!(machine.read("conf"), "a\nb\n0\n0.0\nmore of the administrator's\n");
    assert!(said.contains("others changed it too"), "{said}");
    assert_eq!(machine.read("conf.before-postrider"), "a\nb\n0\n0.0\n");
    assert!(machine.run("undo.sh").contains("install.sh did not add them"));

    // As numbers they would be equal.
    machine.put("numbers", "1.0\n");
    machine.write(&[lines(machine.path("numbers"), "1\n")]);
    machine.run("install.sh");
    assert_eq!(machine.read("numbers"), "1.0\n1\n");
}

#[test]
fn what_was_there_before_is_not_taken_back() {
    let Some(machine) = Machine::new() else { return };
    machine.put("names", "lists.example.com\nother.example\n");
    machine.put("same", "x\n");
    machine.put("by commands", "y\n");
    let before = machine.contents();
    let remove = |name: &str| format!("rm '{}'", machine.path(name).replace('\'', r"'\''"));
    machine.write(&[
        lines(machine.path("names"), "lists.example.com\n"),
        file(machine.path("same"), "x\n"),
        snippet(SnippetKind::File, machine.path("by commands"), "y\n", &remove("by commands")),
        snippet(SnippetKind::Lines, machine.path("names"), "other.example\n", &remove("names")),
    ]);
    machine.run("install.sh");
    assert_eq!(machine.contents(), before);
    machine.run("undo.sh");
    assert_eq!(machine.contents(), before);
}

#[test]
fn a_newer_kit_replaces_our_own_lines_and_takes_them_all_back() {
    let Some(machine) = Machine::new() else { return };
    machine.put("names", "mine.example\na.example\n");
    let names = |text: &str| lines(machine.path("names"), text);
    let installed = |steps: &[Snippet]| {
        machine.write(steps);
        machine.run("install.sh");
        let once = machine.state();
        machine.run("install.sh");
        assert_eq!(machine.state(), once);
        let compared = Instructions::parse("good.LMTP", steps).unwrap().compare();
        assert!(compared.iter().all(|one| one.difference == Difference::None), "{compared:?}");
        machine.read("names")
    };
    // The administrator's own `a.example` is never ours.
    assert_eq!(installed(&[names("a.example\nb.example\n")]), "mine.example\na.example\na.example\nb.example\n");
    assert_eq!(installed(&[names("b.example\n")]), "mine.example\na.example\nb.example\n");
    let two = [names("b.example\nc.example\n"), names("include\n")];
    assert_eq!(installed(&two), "mine.example\na.example\nb.example\nc.example\ninclude\n");
    let swapped = [names("include\n"), names("d.example\n")];
    assert_eq!(installed(&swapped), "mine.example\na.example\ninclude\nd.example\n");
    assert_eq!(installed(&[names("d.example\n")]), "mine.example\na.example\nd.example\n");

    // Lines that are to go are a difference too, though all that are wanted stand there.
    let compared = Instructions::parse("good.LMTP", &[names("a.example\n")]).unwrap().compare();
    let Difference::Some(text) = &compared[0].difference else { panic!("{compared:?}") };
    assert!(text.ends_with("\n-d.example\n+a.example\n"), "{text}");

    // A kit that is newer than what is installed takes that back too.
    machine.write(&[names("e.example\n")]);
    machine.run("undo.sh");
    assert_eq!(machine.read("names"), "mine.example\na.example\n");
    assert_eq!(machine.contents().len(), 1);

    // Lines that somebody changed since are left alone, and told.
    installed(&[names("x.example\ny.example\n")]);
    machine.put("names", "mine.example\nx.example\n# y.example\n");
    machine.write(&[names("z.example\n")]);
    let said = machine.run("install.sh");
    assert!(said.contains("not there any more as install.sh added them:\n        x.example\n"), "{said}");
    assert_eq!(machine.read("names"), "mine.example\nx.example\n# y.example\nz.example\n");
}

#[test]
fn a_newer_kit_replaces_our_own_file_and_what_was_there_first_comes_back() {
    let Some(machine) = Machine::new() else { return };
    machine.put("foreign", "first\n");
    for text in ["ours 1\n", "ours 2\n", "ours 3\n"] {
        machine.write(&[file(machine.path("foreign"), text), file(machine.path("fresh"), text)]);
        machine.run("install.sh");
        assert_eq!((machine.read("foreign"), machine.read("fresh")), (text.to_owned(), text.to_owned()));
    }
    assert_eq!(machine.read("foreign.before-postrider"), "first\n");
    machine.run("undo.sh");
    let left: Vec<_> = machine.contents().into_keys().collect();
    assert_eq!(left, [machine.root().join("foreign")]);
    assert_eq!(machine.read("foreign"), "first\n");
}

#[test]
fn a_symbolic_link_stays_one() {
    let Some(machine) = Machine::new() else { return };
    machine.put("real/conf", "first\n");
    machine.put("real/added", "first\n");
    for name in ["conf", "added"] {
        symlink(machine.root().join("real").join(name), machine.path(name)).unwrap();
    }
    machine.write(&[file(machine.path("conf"), "ours\n"), lines(machine.path("added"), "ours\n")]);
    machine.run("install.sh");
    assert_eq!((machine.read("real/conf"), machine.read("real/added")), ("ours\n".into(), "first\nours\n".into()));
    machine.run("undo.sh");
    assert_eq!((machine.read("real/conf"), machine.read("real/added")), ("first\n".into(), "first\n".into()));
    assert!(fs::symlink_metadata(machine.path("conf")).unwrap().is_symlink());
    assert_eq!(machine.contents().len(), 4);
}

#[test]
fn a_failing_step_stops_everything_and_says_how_to_go_on_or_back() {
    let Some(machine) = Machine::new() else { return };
    let steps = [
        file(machine.path("one"), "1\n"),
        commands("false\necho not reached", "echo 'undone: two'"),
        commands("echo not reached", "echo 'undone: three'; false"),
    ];
    machine.write(&steps);
    let output = machine.output("install.sh", &[]);
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}{error}");
    assert!(!said.contains("not reached"), "{said}");
    assert!(error.contains("step 2 of 3 failed"), "{error}");
    assert!(error.contains("undo.sh' 2"), "{error}");
    // Only what was done.
    let output = machine.output("undo.sh", &["2"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("undone: two") && !said.contains("undone: three"), "{said}");
    assert!(machine.contents().is_empty());

    let error = machine.output("undo.sh", &[]).stderr;
    assert!(String::from_utf8_lossy(&error).contains("taking back step 3 failed"));
    assert_eq!(machine.output("undo.sh", &["x"]).status.code(), Some(2));
}

#[test]
fn commands_of_a_step_take_it_back_when_the_adapter_gives_them() {
    let Some(machine) = Machine::new() else { return };
    machine.put("kept", "first\n");
    let quoted = |name: &str| format!("'{}'", machine.path(name).replace('\'', r"'\''"));
    let steps = ["kept", "fresh"].map(|name| {
        snippet(SnippetKind::File, machine.path(name), "ours\n", &format!("rm {}; echo reloaded", quoted(name)))
    });
    machine.write(&steps);
    machine.run("install.sh");
    assert!(machine.run("undo.sh").contains("reloaded"));
    assert_eq!(machine.contents().into_values().collect::<Vec<_>>(), [b"first\n"]);
}

#[test]
fn without_root_the_scripts_do_nothing() {
    let Some(machine) = Machine::new() else { return };
    machine.write(&[file(machine.path("one"), "1\n")]);
    for script in ["install.sh", "undo.sh"] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "sh", "-s"]);
        let child = command.stdin(fs::File::open(machine.kit().join(script)).unwrap()).output().unwrap();
        let error = String::from_utf8_lossy(&child.stderr).into_owned();
        assert_eq!((child.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains(&format!("{script}: this must be run by root")), "{error}");
    }
    assert!(machine.contents().is_empty());
}

#[test]
fn a_directory_in_place_of_a_file_is_told() {
    let Some(machine) = Machine::new() else { return };
    fs::create_dir(machine.path("dir")).unwrap();
    for step in [file(machine.path("dir"), "1\n"), lines(machine.path("dir"), "1\n")] {
        machine.write(&[step]);
        let output = machine.output("install.sh", &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains("is a directory, but must be a file"), "{error}");
    }
    assert!(fs::read_dir(machine.path("dir")).unwrap().next().is_none());
}

#[test]
fn a_plugins_mistakes_are_told_with_the_step() {
    let good = || file("/etc/good.conf", "x");
    assert_eq!(refusal(&[good(), file("etc/x", "x")]), "step 2 of good.LMTP: the file \"etc/x\" has no absolute path");
    for (path, problem) in [
        ("", "names no file"),
        ("/etc/../x", "has `.` or `..`"),
        ("/etc/./x", "has `.` or `..`"),
        ("/etc/x/", "is a directory"),
        ("/etc/x\n", "control character"),
        ("/etc/\0x", "control character"),
    ] {
        for step in [file(path, "x"), lines(path, "x")] {
            assert!(refusal(&[step]).contains(problem), "{path:?}");
        }
    }
    assert!(refusal(&[commands(" \n", "")]).contains("its text is empty"));
    assert!(refusal(&[lines("/etc/x", "\n")]).contains("its text is empty"));
    assert!(refusal(&[commands("a\0b", "")]).contains("its text has a NUL"));
    assert!(refusal(&[commands("a", "b\0")]).contains("its undo has a NUL"));
    assert!(refusal(&[snippet(SnippetKind::Commands, "/etc/x", "a", "")]).contains("/etc/x"));
    assert_eq!(
        refusal(&[good(), lines("/etc/good.conf", "y")]),
        "steps 1 and 2 of good.LMTP both write /etc/good.conf"
    );
    assert!(
        Instructions::parse("good.LMTP", &[lines("/etc/x", "1"), lines("/etc/x", "2"), file("/etc/y", "")]).is_ok()
    );
}

#[test]
fn the_text_has_the_steps_in_order_and_the_way_back_in_reverse() {
    let steps = [
        lines("/etc/main.mc", "one\n\ntwo\n"),
        file("/etc/ours", "\tx\t \n"),
        commands("make -C /etc/mail\n", ""),
        snippet(SnippetKind::Commands, "", "service mta restart", "service mta reload"),
    ];
    let text = Instructions::parse("good.LMTP", &steps).unwrap().text();
    let expected = "\
1. Add to the end of /etc/main.mc:
   # It is so.
   one

   two
2. Write the file /etc/ours:
   # It is so.
   \tx\t\x20
3. Run as root:
   # It is so.
   make -C /etc/mail
4. Run as root:
   # It is so.
   service mta restart

To undo it, in this order:

4. Run as root:
   service mta reload
2. Remove /etc/ours, or bring back the one that was there before.
1. Take the lines of step 1 out of /etc/main.mc.
";
    assert_eq!(text, expected);
}

#[test]
fn an_explanation_is_wrapped_and_its_paths_are_not() {
    let path = "/var/lib/a-path-with-dashes";
    let long = Snippet::commands("true", [path; 12].join("\r\n\u{1b}"));
    let text = Instructions::parse("good.LMTP", &[long]).unwrap().text();
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    assert!(text.lines().filter(|line| line.starts_with("   # ")).count() > 3, "{text}");
    assert_eq!(text.matches(path).count(), 12, "{text}");
}

#[test]
fn only_a_directory_of_ours_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let kit = dir.path().join("a/b");
    let write = |steps: &[Snippet]| Instructions::parse("good.LMTP", steps).unwrap().write(&kit);
    // `/install.sh` and the like must not replace what is ours.
    let steps = [
        file("/etc/x/y", "1"),
        lines("/etc/z", "2"),
        lines("/etc/z", "3"),
        file("/install.sh", "4"),
        file("//etc//w", "5"),
    ];
    write(&steps).unwrap();
    let read = |name: &str| fs::read_to_string(kit.join(name)).unwrap();
    let parts = ["etc/x/y", "etc/z.lines", "etc/z.lines-2", "install.sh-2", "etc/w"];
    assert_eq!(parts.map(read), ["1\n", "2\n", "3\n", "4\n", "5\n"]);
    for script in ["install.sh", "undo.sh"] {
        assert_eq!(fs::metadata(kit.join(script)).unwrap().mode() & 0o777, 0o755, "{script}");
        assert!(Command::new("sh").arg("-n").arg(kit.join(script)).status().unwrap().success());
    }
    assert!(read("README").contains("1. Write the file /etc/x/y:"));

    // As an interruption leaves it.
    fs::write(kit.join(".postrider-hookup.new"), "half").unwrap();
    write(&[file("/opt/new", "6")]).unwrap();
    assert_eq!(read("opt/new"), "6\n");
    let mut left: Vec<_> = fs::read_dir(&kit).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".postrider-hookup", "README", "install.sh", "opt", "undo.sh"]);

    fs::write(kit.join("opt/mine"), "precious").unwrap();
    let error = write(&steps).unwrap_err().to_string();
    assert!(error.contains("holds opt/mine, which is not of an earlier"), "{error}");
    assert_eq!(read("opt/mine"), "precious");
    fs::remove_file(kit.join("opt/mine")).unwrap();
    symlink("/etc", kit.join("etc")).unwrap();
    assert!(write(&steps).is_err(), "a link would lead out");

    // A note that somebody else wrote cannot make us remove what is elsewhere.
    let victim = dir.path().join("victim");
    fs::write(&victim, "").unwrap();
    fs::remove_file(kit.join("etc")).unwrap();
    fs::write(kit.join(".postrider-hookup"), format!("#\n../../victim\n{}\n", victim.display())).unwrap();
    assert!(write(&steps).is_err(), "the files are in no note now");
    assert!(victim.exists());
}

#[test]
fn a_directory_that_others_could_change_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let kit = dir.path().join("kit");
    let instructions = Instructions::parse("good.LMTP", &[file("/etc/x", "1")]).unwrap();
    let write = || instructions.write(&kit).map_err(|error| error.to_string());
    let mode = |path: &str, mode| fs::set_permissions(kit.join(path), fs::Permissions::from_mode(mode)).unwrap();
    write().unwrap();
    for path in ["", "etc"] {
        for (bits, shown) in [(0o775, "775"), (0o1777, "1777")] {
            mode(path, bits);
            let error = write().unwrap_err();
            assert!(error.contains(&format!("by others (mode {shown})")), "{error}");
        }
        mode(path, 0o755);
    }
    // A link with the name of a file of ours leads elsewhere all the same.
    fs::remove_file(kit.join("etc/x")).unwrap();
    symlink("/etc/passwd", kit.join("etc/x")).unwrap();
    assert!(write().unwrap_err().contains("holds etc/x, which is not of"));
    fs::remove_file(kit.join("etc/x")).unwrap();
    write().unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(kit.join("etc"), Some(65534), None).unwrap();
        let error = write().unwrap_err();
        assert!(error.contains("kit/etc belongs to the user with the number 65534"), "{error}");
    }
}

#[test]
fn a_difference_is_shown_as_diff_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("file"), "a\nb\n").unwrap();
    fs::write(path("lines"), "two\nthree\none\n").unwrap();
    fs::create_dir(path("dir")).unwrap();
    let steps = [
        file(path("file"), "a\nc\n"),
        file(path("missing"), "x\n"),
        lines(path("lines"), "one\nfour\n"),
        lines(path("lines"), "one\ntwo\n"),
        lines(path("lines"), "two\nthree\n"),
        lines(path("dir"), "x"),
        commands("true", ""),
    ];
    let found = Instructions::parse("good.LMTP", &steps).unwrap().compare();
    let shown = |number: usize| match &found[number - 1].difference {
        Difference::Some(text) => text.replace(&dir.path().display().to_string(), ""),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(1), "--- /file (installed)\n+++ /file (wanted)\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
    assert_eq!(shown(2), "--- /missing (missing)\n+++ /missing (wanted)\n@@ -0,0 +1 @@\n+x\n");
    assert_eq!(shown(3), "--- /lines (installed)\n+++ /lines (wanted at the end)\n+four\n");
    assert!(shown(4).contains("not one after the other"), "{}", shown(4));
    assert_eq!(found[4].difference, Difference::None);
    assert!(matches!(found[5].difference, Difference::Unreadable(_)));
    assert_eq!(found[6].difference, Difference::Unknown);
}
