//! `qmail-lmtp` as qmail-local calls it: environment, message on standard input, exit code and one line.

use postrider_tests::installation::{Installation, build_dir, wait_for};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Seek as _, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_mins(1);
const HEAD: &str = "Return-Path: <alice@remote.example>\r\nDelivered-To: mailman-ants@lists.example.com\r\n";
const MESSAGE: &[u8] = b"Received: x\nSubject: hello\n\nbody\n";

/// What the LMTP server says; with its line end unless it is to hang up (empty) or to hang (`...`).
#[derive(Clone)]
struct Manners {
    banner: &'static str,
    lhlo: &'static str,
    mail: &'static str,
    rcpt: &'static str,
    data: &'static str,
    end: &'static str,
    /// Octet by octet.
    trickle: bool,
    /// Hangs up after so many octets of the message.
    patience: usize,
}

const GOOD: Manners = Manners {
    banner: "220 good",
    lhlo: "250-good\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 100000000",
    mail: "250 2.1.0 ok",
    rcpt: "250 2.1.5 ok",
    data: "354 go on",
    end: "250 2.0.0 kept",
    trickle: false,
    patience: usize::MAX,
};

/// What a server was told.
#[derive(Default)]
struct Heard {
    commands: Vec<String>,
    /// The message as it came over the wire, without the final dot.
    message: Option<Vec<u8>>,
    /// Connections that are over.
    over: usize,
}

/// A server that behaves so towards everybody.
struct Server {
    port: u16,
    state: Arc<(Mutex<Heard>, Condvar)>,
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

impl Server {
    fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<(Mutex<Heard>, Condvar)>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream: TcpStream = stream.expect("connection");
                stream.set_nodelay(true).expect("nodelay");
                let (shared, manners) = (Arc::clone(&shared), manners.clone());
                thread::spawn(move || converse(&manners, Box::new(stream), &shared));
            }
        });
        Server { port, state }
    }

    fn heard<T>(&self, what: impl Fn(&Heard) -> Option<T>) -> T {
        let (state, changed) = &*self.state;
        let mut heard = state.lock().expect("state");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = what(&heard) {
                return found;
            }
            let left = end.checked_duration_since(Instant::now()).expect("the server never heard it");
            heard = changed.wait_timeout(heard, left).expect("state").0;
        }
    }

    fn message(&self) -> Vec<u8> {
        self.heard(|heard| heard.message.clone())
    }
}

/// Notes down what a server hears.
type Tell<'a> = dyn Fn(&dyn Fn(&mut Heard)) + 'a;

/// One connection, from banner to end.
fn converse(manners: &Manners, stream: Box<dyn Stream>, state: &(Mutex<Heard>, Condvar)) {
    let tell = |change: &dyn Fn(&mut Heard)| {
        change(&mut state.0.lock().expect("state"));
        state.1.notify_all();
    };
    // A client that hangs up is no concern of the test's.
    let _ = talk(manners, BufReader::new(stream), &tell);
    tell(&|heard| heard.over += 1);
}

fn talk(manners: &Manners, mut stream: BufReader<Box<dyn Stream>>, tell: &Tell<'_>) -> Option<()> {
    say(&mut stream, manners, manners.banner)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|&read| read > 0)?;
        tell(&|heard| heard.commands.push(line.trim_end().to_owned()));
        let reply = match line.get(..4)? {
            "LHLO" => manners.lhlo,
            "MAIL" => manners.mail,
            "RCPT" => manners.rcpt,
            "DATA" => manners.data,
            _ => "221 bye",
        };
        say(&mut stream, manners, reply)?;
        if !line.starts_with("DATA") || !reply.starts_with("354") {
            continue;
        }
        let mut message = Vec::new();
        loop {
            let before = message.len();
            stream.read_until(b'\n', &mut message).ok().filter(|&read| read > 0)?;
            if &message[before..] == b".\r\n" {
                message.truncate(before);
                break;
            }
            if message.len() > manners.patience {
                return say(&mut stream, manners, manners.end);
            }
        }
        tell(&|heard| heard.message = Some(message.clone()));
        say(&mut stream, manners, manners.end)?;
    }
}

fn say(stream: &mut BufReader<Box<dyn Stream>>, manners: &Manners, text: &str) -> Option<()> {
    match text {
        "" => return None,
        "..." => {
            let mut rest = Vec::new();
            // Until the client has enough of it.
            let _ = stream.read_to_end(&mut rest);
            return None;
        }
        _ => {}
    }
    let text = format!("{text}\r\n");
    for octets in text.as_bytes().chunks(if manners.trickle { 1 } else { text.len() }) {
        stream.get_mut().write_all(octets).ok()?;
    }
    Some(())
}

/// As qmail-local calls it for mail from alice to ants.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(build_dir().join("qmail-lmtp"));
    command.args(arguments).env_clear().envs([
        ("USER", "mailman"),
        ("SENDER", "alice@remote.example"),
        ("LOCAL", "mailman-ants"),
        ("EXT", "ants"),
        ("DEFAULT", "ants"),
        ("HOST", "lists.example.com"),
        ("RPLINE", "Return-Path: <alice@remote.example>\n"),
        ("DTLINE", "Delivered-To: mailman-ants@lists.example.com\n"),
    ]);
    command.stdout(Stdio::piped());
    command
}

fn file(message: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().expect("file");
    file.write_all(message).expect("message");
    file.rewind().expect("file");
    file
}

/// With the message in a file, as qmail-local has it.
fn start(command: &mut Command, message: &[u8]) -> Child {
    command.stdin(Stdio::from(file(message))).spawn().expect("the program qmail-lmtp; use tests/run")
}

/// Exit code and what it printed, which is one line.
fn end(child: Child) -> (i32, String) {
    let output = child.wait_with_output().expect("its end");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
    (output.status.code().expect("exit code"), text.trim_end().to_owned())
}

fn run(command: &mut Command, message: &[u8]) -> (i32, String) {
    end(start(command, message))
}

/// One delivery to a server of these manners.
fn deliver(manners: Manners) -> (i32, String) {
    let server = Server::start(manners);
    run(&mut command(&[&server.port.to_string(), "1", "--timeout", "60"]), MESSAGE)
}

#[test]
fn replies_become_exit_codes_and_texts() {
    let no = "550 5.1.1 no such list";
    let later = "451 4.3.0 later";
    let cases = [
        (GOOD, 0, "250 2.0.0 kept"),
        (Manners { banner: "554 closed", ..GOOD }, 111, "554 closed"),
        (Manners { lhlo: "500 what?", ..GOOD }, 111, "500 what? (in reply to LHLO: is it an LMTP server?)"),
        (Manners { mail: "550 5.7.1 not you", ..GOOD }, 100, "550 5.7.1 not you (in reply to MAIL FROM)"),
        (Manners { mail: later, ..GOOD }, 111, "451 4.3.0 later (in reply to MAIL FROM)"),
        (Manners { rcpt: no, data: "503 5.5.1 no recipients", ..GOOD }, 100, no),
        (Manners { rcpt: no, ..GOOD }, 100, no),
        (Manners { rcpt: "550-5.1.1 no\r\n550 such\x1b list", ..GOOD }, 100, "550 5.1.1 no such  list"),
        (Manners { rcpt: later, data: "503 5.5.1 no recipients", ..GOOD }, 111, later),
        (Manners { rcpt: "503 5.5.1 MAIL first", ..GOOD }, 111, "503 5.5.1 MAIL first"),
        (Manners { data: "554 5.7.1 no", ..GOOD }, 100, "554 5.7.1 no (in reply to DATA)"),
        (Manners { data: "250 odd", ..GOOD }, 111, "250 odd (in reply to DATA)"),
        (Manners { end: "552 5.3.4 too large", ..GOOD }, 100, "552 5.3.4 too large"),
        (Manners { end: later, ..GOOD }, 111, later),
        (Manners { end: "354 more?", ..GOOD }, 111, "354 more?"),
        (Manners { end: "250-a\r\n550 b", ..GOOD }, 111, "the lines of its reply disagree: 250 and then 550"),
        (Manners { rcpt: "hello", ..GOOD }, 111, "\"hello\" is no reply"),
        (Manners { banner: "", ..GOOD }, 111, "the connection was closed"),
        (Manners { mail: "", ..GOOD }, 111, "the connection"),
        (Manners { end: "", ..GOOD }, 111, "the connection was closed, after the whole message was sent"),
    ];
    for pipelining in [true, false] {
        for (manners, code, text) in &cases {
            let mut manners = manners.clone();
            if !pipelining && manners.lhlo == GOOD.lhlo {
                manners.lhlo = "250 poor";
            }
            let (seen, printed) = deliver(manners);
            assert_eq!(seen, *code, "{printed}");
            assert!(
                printed.starts_with("ants@lists.example.com: ") && printed.contains(text),
                "{printed:?}, not {text:?}"
            );
        }
    }
}

#[test]
fn replies_may_come_octet_by_octet() {
    let slow = Manners { trickle: true, ..GOOD };
    assert_eq!(deliver(slow.clone()), (0, "ants@lists.example.com: 250 2.0.0 kept".into()));
    let refused = Manners { rcpt: "550-5.1.1 no\r\n550 such list", ..slow };
    assert_eq!(deliver(refused), (100, "ants@lists.example.com: 550 5.1.1 no such list".into()));
}

#[test]
fn a_server_that_hangs_is_left_in_the_end() {
    let hangs = [
        Manners { banner: "...", ..GOOD },
        Manners { lhlo: "...", ..GOOD },
        Manners { mail: "...", ..GOOD },
        Manners { rcpt: "...", lhlo: "250 poor", ..GOOD },
        Manners { data: "...", ..GOOD },
        Manners { end: "...", ..GOOD },
    ];
    for manners in hangs {
        let server = Server::start(manners);
        let (code, text) = run(&mut command(&[&server.port.to_string(), "--timeout=1"]), MESSAGE);
        assert!(code == 111 && text.contains("no reply in time"), "{code} {text}");
    }
}

#[test]
fn nobody_there_is_a_reason_to_wait() {
    let port = postrider_tests::installation::free_port().to_string();
    let (code, text) = run(&mut command(&[&port, "1"]), MESSAGE);
    assert_eq!(code, 111);
    let expected = format!("ants@lists.example.com: LMTP server 127.0.0.1:{port}: Connection refused");
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(run(&mut command(&["8024", "1", "host.invalid"]), MESSAGE).0, 111);
    assert_eq!(run(&mut command(&["--socket", "/nowhere/lmtp"]), MESSAGE).0, 111);
}

#[test]
fn a_message_arrives_octet_by_octet_as_it_was() {
    let cases: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b"Subject: x\n\nbody\n", b"Subject: x\r\n\r\nbody\r\n"),
        (b"Subject: x\n\n.\n..\n.dot\nno end", b"Subject: x\r\n\r\n..\r\n...\r\n..dot\r\nno end\r\n"),
        (b"Subject: x\r\n\r\na\rb\r\r\n.\r.\n", b"Subject: x\r\n\r\na\r\nb\r\n\r\n..\r\n..\r\n"),
        (b"Subject: \xfc\0\n\n\n", b"Subject: \xfc\0\r\n\r\n\r\n"),
        (b".", b"..\r\n"),
    ];
    for (message, expected) in cases {
        for from_pipe in [false, true] {
            let server = Server::start(GOOD);
            let mut command = command(&["1", &server.port.to_string()]);
            let outcome = if from_pipe {
                let mut child = command.stdin(Stdio::piped()).spawn().expect("qmail-lmtp");
                child.stdin.take().expect("stdin").write_all(message).expect("message");
                end(child)
            } else {
                run(&mut command, message)
            };
            assert_eq!(outcome, (0, "ants@lists.example.com: 250 2.0.0 kept".into()));
            let whole = [HEAD.as_bytes(), expected].concat();
            assert_eq!(server.message(), whole, "{:?}", String::from_utf8_lossy(message));
            let size = whole.len() - expected.split(|&o| o == b'\n').filter(|line| line.starts_with(b".")).count();
            let eight_bit = !message.is_ascii() || from_pipe;
            let mail = server.heard(|heard| heard.commands.iter().find(|line| line.starts_with("MAIL")).cloned());
            let size = if from_pipe { String::new() } else { format!(" SIZE={size}") };
            let body = if eight_bit { " BODY=8BITMIME" } else { "" };
            assert_eq!(mail, format!("MAIL FROM:<alice@remote.example>{size}{body}"));
        }
    }
}

#[test]
fn recipients_and_senders_come_from_the_environment() {
    // Arguments, environment, the two commands.
    type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str, &'static str);
    let cases: [Case; 6] = [
        (
            &[],
            &[("EXT", "Ants-Bounces+u=d.example")],
            "MAIL FROM:<alice@remote.example> ",
            "RCPT TO:<Ants-Bounces+u=d.example@lists.example.com>",
        ),
        (
            &["2"],
            &[("LOCAL", "mailman-lists-ants-owner")],
            "MAIL FROM:<alice@remote.example> ",
            "RCPT TO:<ants-owner@lists.example.com>",
        ),
        (&["-"], &[("SENDER", ""), ("HOST", "LISTS.example.com")], "MAIL FROM:<> ", "RCPT TO:<ants@LISTS.example.com>"),
        (&["0"], &[("SENDER", "#@[]")], "MAIL FROM:<> ", "RCPT TO:<mailman-ants@lists.example.com>"),
        (
            &[],
            &[("EXT", "a b"), ("SENDER", "x\"y@z")],
            "MAIL FROM:<\"x\\\"y\"@z> ",
            "RCPT TO:<\"a b\"@lists.example.com>",
        ),
        (&[], &[("EXT", "ämter")], "MAIL FROM:<alice@remote.example> ", "RCPT TO:<ämter@lists.example.com>"),
    ];
    for (arguments, environment, mail, rcpt) in cases {
        let server = Server::start(GOOD);
        let port = server.port.to_string();
        let arguments = [&[port.as_str()], arguments].concat();
        let (code, text) = run(command(&arguments).envs(environment.iter().copied()), MESSAGE);
        assert_eq!(code, 0, "{text}");
        let commands = server.heard(|heard| (heard.commands.len() >= 4).then(|| heard.commands.clone()));
        assert!(commands[1].starts_with(mail), "{commands:?}");
        assert_eq!(commands[2], rcpt);
        assert_eq!(commands[1].ends_with(" SMTPUTF8"), !rcpt.is_ascii());
    }
    let poor = Server::start(Manners { lhlo: "250 poor", ..GOOD });
    let (code, text) = run(command(&[&poor.port.to_string()]).env("EXT", "ämter"), MESSAGE);
    assert!(code == 100 && text.contains("550 5.6.7"), "{text}");
}

#[test]
fn mistakes_in_the_qmail_file_cost_no_mail() {
    for arguments in [
        &[][..],
        &["8024", "8025"],
        &["1", "2"],
        &["8024", "12"],
        &["24", "1"],
        &["--nope"],
        &["8024", "1", "localhost", "more"],
        &["--help"],
        &["--version"],
    ] {
        let (code, text) = run(&mut command(arguments), MESSAGE);
        assert!(code == 111 && text.starts_with("qmail-lmtp: "), "{arguments:?}: {code} {text}");
    }
    for name in ["EXT", "HOST", "SENDER", "RPLINE", "DTLINE"] {
        let (code, text) = run(command(&["8024"]).env_remove(name), MESSAGE);
        assert!(code == 111 && text.contains(name), "{name}: {code} {text}");
    }
    let (code, text) = run(command(&["8024", "1"]).env_remove("LOCAL"), MESSAGE);
    assert!(code == 111 && text.contains("LOCAL"), "{code} {text}");
    let server = Server::start(GOOD);
    let nothing = command(&[&server.port.to_string()]).stdin(Stdio::null()).spawn().expect("qmail-lmtp");
    let (code, text) = end(nothing);
    assert!(code == 111 && text.contains("standard input is a device"), "{code} {text}");
    for (option, begin) in [("--help", "Usage: qmail-lmtp PORT"), ("--version", "qmail-lmtp ")] {
        let output = command(&[option]).env_clear().output().expect("qmail-lmtp");
        assert!(output.status.success() && output.stdout.starts_with(begin.as_bytes()), "{output:?}");
    }
}

#[test]
fn a_loop_ends_with_a_bounce_and_no_delivery() {
    let message = b"Received: x\nDelivered-To: mailman-ants@lists.example.com\nSubject: y\n\nbody\n";
    for from_pipe in [false, true] {
        let server = Server::start(GOOD);
        let mut command = command(&[&server.port.to_string()]);
        let (code, text) = if from_pipe {
            let mut child = command.stdin(Stdio::piped()).spawn().expect("qmail-lmtp");
            child.stdin.take().expect("stdin").write_all(message).expect("message");
            let ended = end(child);
            server.heard(|heard| (heard.over == 1).then_some(()));
            ended
        } else {
            run(&mut command, message)
        };
        assert!(code == 100 && text.contains("554 5.4.6 mail loop"), "{code} {text}");
        assert!(server.heard(|heard| Some(heard.message.is_none())), "it was delivered");
    }
}

#[test]
fn what_is_larger_than_the_server_takes_bounces_at_once() {
    let server = Server::start(Manners { lhlo: "250-x\r\n250-PIPELINING\r\n250 SIZE 1000", ..GOOD });
    let message = [MESSAGE, &[b'x'; 2000]].concat();
    let (code, text) = run(&mut command(&[&server.port.to_string()]), &message);
    assert!(code == 100 && text.contains("552 5.3.4 the message has 21") && text.ends_with("takes 1000"), "{text}");
    assert_eq!(server.heard(|heard| Some(heard.commands.len())), 1, "only LHLO");
}

#[test]
fn what_a_server_says_before_it_hangs_up_counts() {
    let message = b"0123456789abcdef\n".repeat(500_000);
    for (reply, expected) in [("552 5.3.4 enough", 100), ("452 4.3.1 disk full", 111), ("", 111)] {
        let server = Server::start(Manners { end: reply, patience: 100_000, ..GOOD });
        let (code, text) = run(&mut command(&[&server.port.to_string()]), &message);
        // The connection may be reset before the reply was read; that is no bounce.
        assert!(code == expected && text.contains(reply) || code == 111, "{code} {text}");
    }
}

/// Most memory that the process has had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn memory_does_not_depend_on_the_size_of_the_message() {
    let message = [MESSAGE, &b".23456789 123456789 123456789 123456789\n".repeat((50 << 20) / 40)].concat();
    let long_line = [MESSAGE, &vec![b'x'; 50 << 20]].concat();
    for message in [&message, &long_line] {
        let server = Server::start(Manners { end: "...", ..GOOD });
        let child = start(&mut command(&[&server.port.to_string(), "--timeout", "1"]), message);
        let pid = child.id();
        let sent = server.message().len();
        assert!(sent >= 50 << 20, "{sent}");
        let peak = peak(pid);
        println!("{} octets: at most {peak} KiB", message.len());
        assert!(peak < 20 * 1024, "{peak} KiB");
        assert_eq!(end(child).0, 111);
    }
}

#[test]
fn it_starts_quickly() {
    // Printed, not asserted: the machine may be busy.
    let times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(run(&mut command(&["8024", "8025"]), b"").0, 111);
            begun.elapsed()
        })
        .collect();
    println!("from start to end: at best {:?}", times.iter().min());
}

#[test]
fn a_unix_socket_will_do() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("lmtp");
    let listener = UnixListener::bind(&path).expect("socket");
    let state = Arc::<(Mutex<Heard>, Condvar)>::default();
    let shared = Arc::clone(&state);
    let server = thread::spawn(move || converse(&GOOD, Box::new(listener.accept().expect("connection").0), &shared));
    let (code, text) = run(&mut command(&["--socket", path.to_str().expect("path"), "--strip=1"]), MESSAGE);
    assert_eq!(code, 0, "{text}");
    server.join().expect("server");
    assert!(state.0.lock().expect("state").message.is_some());
}

#[test]
fn postrider_takes_mail_for_its_lists_and_refuses_the_rest() {
    let installation = Installation::new();
    installation.run(&["create", "ants@lists.example.com", "--owner", "olga@example.org"]);
    let daemon = installation.serve();
    let port = installation.lmtp_port.to_string();
    let ask = |ext: &str| run(command(&[&port]).env("EXT", ext), b"From: alice@remote.example\nSubject: x\n\n.\nbody");
    let (code, text) = ask("ants");
    assert!(code == 0 && text.starts_with("ants@lists.example.com: 250 2."), "{code} {text}");
    for known in ["ants-bounces+user=dom", "ants-confirm+0123abcd", "ANTS-owner"] {
        assert_eq!(ask(known).0, 0, "{known}");
    }
    for unknown in ["bees", "ants-nosuch", "foo/../ants"] {
        let (code, text) = ask(unknown);
        assert!(code == 100 && text.contains(unknown) && text.contains(": 550 5.1.1 "), "{code} {text}");
    }
    wait_for("the held post", PATIENCE, || installation.json(&["held", "--json"])[0]["id"].as_i64().map(|_| ()));
    daemon.stop();
    assert_eq!(ask("ants").0, 111);
}
