//! Injections of a shell script, in place of the program of an MTA.

use super::*;
use postrider_plugin_api::sdk::{ExitMeaning, Input};
use std::sync::Arc;
use std::time::Instant;

const LONG: Duration = Duration::from_mins(1);
const SHELL: &str = "/bin/sh";

fn script(text: &str, inputs: Vec<(u32, Content)>) -> Injection {
    let mut injection = Injection::new([SHELL, "-c", text])
        .with_variable("GREETING", "hello")
        .with_exits(0..=0, Outcome::Delivered, "")
        .with_exits(11..=11, Outcome::TemporaryFailure, "4.1.1 eleven")
        .with_exits(11..=40, Outcome::PermanentFailure, "5.3.4 message\ntoo large");
    injection.inputs = inputs.into_iter().map(|(descriptor, content)| Input::new(descriptor, content)).collect();
    injection
}

async fn run_with(injection: Injection, message: &[u8], limit: Duration) -> Ran {
    run(injection, &[SHELL.to_owned()], &Message::new(Arc::from(message)), limit).await
}

/// What became of a message of two lines that is on standard input.
async fn verdict(text: &str) -> Verdict {
    match run_with(script(text, vec![(0, Content::MessageLf)]), b"one\r\ntwo\r\n", LONG).await {
        Ran::Verdict(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

fn temporary(text: &str) -> Verdict {
    Verdict::Temporary(text.to_owned())
}

/// Runs a script that exits with 20 after it has printed something, and returns that.
async fn printed(text: &str, inputs: Vec<(u32, Content)>, message: &[u8]) -> String {
    match run_with(script(&format!("{text}\nexit 20"), inputs), message, LONG).await {
        Ran::Verdict(Verdict::Permanent(reply)) => {
            reply.strip_suffix(" (/bin/sh exited with 20)").unwrap_or_else(|| panic!("{reply}")).to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_exit_code_decides_and_the_first_meaning_counts() {
    for code in 0..=255 {
        let expected = match code {
            0 => Verdict::Delivered,
            11 => temporary("4.1.1 eleven (/bin/sh exited with 11)"),
            12..=40 => Verdict::Permanent(format!("5.3.4 message too large (/bin/sh exited with {code})")),
            _ => temporary(&format!("/bin/sh exited with {code}")),
        };
        assert_eq!(verdict(&format!("exit {code}")).await, expected);
    }
}

#[tokio::test]
async fn what_the_program_printed_is_the_reply() {
    let said = verdict("echo no; printf 'ro\\033om\\377\\n' >&2; exit 12").await;
    assert_eq!(said, Verdict::Permanent("no ro om\u{fffd} (/bin/sh exited with 12)".into()));
    assert_eq!(verdict("echo fine; exit 0").await, Verdict::Delivered);
}

#[tokio::test]
async fn a_signal_is_a_temporary_failure_even_if_other_exits_are_permanent() {
    let mut injection = script("kill -9 $$", Vec::new());
    injection.otherwise = Outcome::PermanentFailure;
    let ran = run_with(injection, b"", LONG).await;
    assert_eq!(ran, Ran::Verdict(temporary("/bin/sh was killed by signal 9")));
}

#[tokio::test]
async fn a_program_that_never_ends_is_killed_with_what_it_started() {
    let injection = script("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1; done", Vec::new());
    let Ran::Verdict(Verdict::Temporary(reply)) = run_with(injection, b"", Duration::from_millis(500)).await else {
        panic!("not temporary")
    };
    let (child, rest) = reply.split_once(' ').expect("the child's number");
    assert_eq!(rest, "(/bin/sh did not end within 0.5 s and was killed)");
    assert_ends(child).await;
}

#[tokio::test]
async fn who_breaks_off_leaves_nothing_running() {
    let dir = tempfile::tempdir().expect("directory");
    let (pid, whole) = (dir.path().join("pid"), dir.path().join("whole"));
    let text = format!("echo $$ > {}; sleep 1; cat > /dev/null; echo > {}", pid.display(), whole.display());
    let message = vec![b'x'; 1 << 20];
    let injection = script(&text, vec![(0, Content::MessageLf)]);
    let running = tokio::spawn(async move { run_with(injection, &message, LONG).await });
    let number = loop {
        match std::fs::read_to_string(&pid) {
            Ok(number) if number.ends_with('\n') => break number.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    running.abort();
    assert!(running.await.is_err());
    assert_ends(&number).await;
    assert!(!whole.exists(), "it took the part for the whole");
}

async fn assert_ends(process: &str) {
    let started = Instant::now();
    let lives = || std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while lives() {
        assert!(started.elapsed() < LONG, "process {process} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn big_messages_arrive_whole_and_need_not_be_read() {
    let line = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    let message = line.repeat((20 << 20) / line.len());
    let lf = message.len() - message.len() / line.len();
    let stdin = vec![(0, Content::MessageLf)];
    assert_eq!(printed("wc -c", stdin.clone(), &message).await, lf.to_string());
    assert_eq!(printed("wc -c", vec![(0, Content::MessageCrLf)], &message).await, message.len().to_string());
    for text in ["exit 0", "exec <&-; exit 0", "exec <&-; sleep 0.1", "head -c 100 >/dev/null"] {
        let ran = run_with(script(text, stdin.clone()), &message, LONG).await;
        assert_eq!(ran, Ran::Verdict(Verdict::Delivered), "{text}");
    }
}

#[tokio::test]
async fn megabytes_of_output_neither_block_nor_are_kept() {
    let text = "head -c 5000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero | tr '\\0' y >&2; cat >/dev/null";
    let reply = printed(text, vec![(0, Content::MessageLf)], &vec![b'm'; 1 << 20]).await;
    assert!(reply.len() < 512 && reply.bytes().all(|octet| octet == b'x'), "{reply}");
}

#[tokio::test]
async fn descriptors_are_where_the_adapter_wants_them() {
    let bytes = |text: &str| Content::Bytes(text.as_bytes().to_vec());
    // As qmail-queue reads them: the message from 0, the envelope from 1.
    let inputs = vec![(1, bytes("Fa@x\0Tb@y\0\0")), (0, Content::MessageLf)];
    let text = "cat >&2; tr '\\0' '|' <&1 >&2";
    assert_eq!(printed(text, inputs, b"one\r\ntwo\r\n").await, "one two Fa@x|Tb@y||");
    let inputs = (3..=9).map(|number| (number, bytes(&format!("n{number}")))).chain([(0, Content::MessageCrLf)]);
    let text = "cat; for n in 9 3 4 5 6 7 8; do eval \"cat <&$n\"; echo; done";
    assert_eq!(printed(text, inputs.collect(), b"x\n").await, "x n9 n3 n4 n5 n6 n7 n8");
}

#[tokio::test]
async fn inputs_can_be_read_in_any_order_and_again() {
    let inputs = vec![(0, Content::MessageLf), (1, Content::Bytes(vec![b'e'; 1 << 20]))];
    let text = "wc -c <&1 >&2; wc -c >&2; wc -c </proc/self/fd/0 >&2";
    assert_eq!(printed(text, inputs, &vec![b'm'; 1 << 20]).await, "1048576 1048577 1048577");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_no_verdict_about_anybody() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("program");
    std::fs::write(&file, "not a program").expect("file");
    let program = |path: &str| {
        let mut injection = script("", vec![(3, Content::MessageLf)]);
        injection.argv[0] = path.to_owned();
        (injection, [path.to_owned()])
    };
    let plain = file.to_str().expect("path").to_owned();
    for path in ["/nowhere/sendmail", "/", &plain] {
        let (injection, programs) = program(path);
        match run(injection, &programs, &Message::new(Arc::from(&b""[..])), LONG).await {
            Ran::Away(reason) => assert!(reason.starts_with(&format!("{path} cannot be started: ")), "{reason}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn too_many_arguments_are_told_apart() {
    let mut injection = script("", Vec::new());
    injection.argv.extend((0..100).map(|_| "x".repeat(100_000)));
    assert_eq!(run_with(injection, b"", LONG).await, Ran::TooManyArguments);
}

#[tokio::test]
async fn the_program_finds_a_clean_place() {
    let said =
        printed("env | sort | tr '\\n' ' '; pwd; umask; ps -o pgid= -p $$ | tr -d ' '; echo $$", Vec::new(), b"");
    let said = said.await;
    let words: Vec<&str> = said.split(' ').collect();
    assert_eq!(words[0], "GREETING=hello");
    // The shell adds PWD by itself, and some shells more.
    let known = |word: &&str| ["PATH=", "PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|name| word.starts_with(name));
    let rest: Vec<&str> = words[1..].iter().copied().skip_while(known).collect();
    assert_eq!(rest[..2], ["/", "0022"], "{said}");
    assert_eq!(rest[2], rest[3], "a process group of its own");
}

#[tokio::test]
async fn no_other_descriptor_is_open() {
    // As any other of the daemon's.
    let dir = tempfile::tempdir().expect("directory");
    let _ours: Vec<_> = (0..20).map(|n| std::fs::File::create(dir.path().join(n.to_string())).expect("file")).collect();
    let inputs = vec![(0, Content::MessageLf), (5, Content::Bytes(b"x".to_vec()))];
    let said = printed("for n in /proc/$$/fd/*; do readlink $n; done; echo /proc/$$/fd/*", inputs, b"").await;
    assert!(!said.contains(dir.path().to_str().expect("path")), "{said}");
    assert!(said.contains("/fd/5"), "{said}");
}

#[tokio::test]
async fn something_that_stays_behind_does_not_hold_us_up() {
    let started = Instant::now();
    assert_eq!(verdict("sleep 50 & exit 0").await, Verdict::Delivered);
    assert!(started.elapsed() < Duration::from_secs(45));
}

#[tokio::test]
async fn what_the_plugin_must_not_plan_is_put_off_with_the_reason() {
    let mut injection = script("exit 0", Vec::new());
    injection.argv[0] = "/bin/other".to_owned();
    let Ran::Verdict(Verdict::Temporary(reply)) = run_with(injection, b"", LONG).await else { panic!("not put off") };
    assert!(reply.contains("/bin/other is none of its programs (/bin/sh); this is a mistake in the plugin"), "{reply}");
}

#[tokio::test]
async fn the_message_is_whole_before_the_program_starts() {
    // No pipe, whose end would come early if the daemon died.
    let inputs = vec![(0, Content::MessageLf), (3, Content::Bytes(b"envelope".to_vec()))];
    let said = printed("stat -L -c '%F %s' /dev/fd/0 /dev/fd/3", inputs, b"one\r\ntwo\r\n").await;
    assert_eq!(said, "regular file 8 regular file 8");
}

#[tokio::test]
async fn an_mta_that_takes_no_mail_at_all_judges_nobody() {
    let mut injection = script("echo the disk is full; exit 53", Vec::new());
    injection.exits[1] = ExitMeaning::new(53..=53, Outcome::Unavailable, "");
    let said = "the disk is full (/bin/sh exited with 53)".to_owned();
    assert_eq!(run_with(injection, b"", LONG).await, Ran::Away(said));
}

#[tokio::test]
async fn what_a_program_says_after_our_signal_counts_for_nothing() {
    for code in [0, 12] {
        let injection = script(&format!("trap 'exit {code}' TERM; sleep 50 & wait"), Vec::new());
        let ran = run_with(injection, b"", Duration::from_millis(500)).await;
        assert_eq!(ran, Ran::Verdict(temporary("/bin/sh did not end within 0.5 s and was killed")));
    }
}
