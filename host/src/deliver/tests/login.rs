//! AUTH: what is given, and that it is shown nowhere.

use super::*;
use crate::config::{Secret, SmtpAuth};
use crate::deliver::login::Password;
use crate::deliver::session::Session;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

const SECRET: &str = "correct-horse-battery";

fn login(password: Password, how: SmtpAuth) -> Login {
    Login { user: "anne@example.com".into(), password, how }
}

fn literal(password: &str) -> Password {
    Password::Literal(Secret(password.into()))
}

async fn server(mechanisms: &'static str) -> Sink {
    sink(Script {
        login: Some(("anne@example.com".into(), SECRET.into())),
        mechanisms,
        ..Script::new(|moment| match moment.step {
            // A server that repeats what it was sent.
            Step::Auth if moment.line.contains("AUTH XOAUTH2 ") && !moment.line.ends_with(&good_token()) => {
                Answer::say(format!("535 5.7.8 bad {}", moment.line))
            }
            _ => Answer::Usual,
        })
    })
    .await
}

fn good_token() -> String {
    BASE64.encode(format!("user=anne@example.com\u{1}auth=Bearer {SECRET}\u{1}\u{1}"))
}

#[tokio::test]
async fn each_mechanism_logs_in() {
    for (how, mechanisms, command) in [
        (SmtpAuth::Auto, "LOGIN PLAIN XOAUTH2", "AUTH PLAIN "),
        (SmtpAuth::Auto, "LOGIN XOAUTH2", "AUTH LOGIN"),
        (SmtpAuth::Plain, "LOGIN PLAIN", "AUTH PLAIN "),
        (SmtpAuth::Login, "PLAIN LOGIN", "AUTH LOGIN"),
        (SmtpAuth::Xoauth2, "PLAIN LOGIN XOAUTH2", "AUTH XOAUTH2 "),
    ] {
        let sink = server(mechanisms).await;
        let mut settings = settings(&sink);
        settings.target.login = Some(login(literal(SECRET), how));
        let running = Running::start(settings, Outgoing::Smtp);
        push(&running, &people(1));
        assert_eq!(delivered(&running.results(1).await), 1, "{how:?}");
        assert_eq!(sink.messages()[0].user.as_deref(), Some("anne@example.com"));
        assert!(sink.dialogues()[0].iter().any(|line| line.starts_with(command)), "{how:?}: {:?}", sink.dialogues());
    }
}

#[tokio::test]
async fn what_is_not_offered_is_told_with_what_is() {
    for (how, mechanisms, wanted) in [
        (SmtpAuth::Auto, "XOAUTH2 CRAM-MD5", "needs AUTH PLAIN or LOGIN"),
        (SmtpAuth::Xoauth2, "PLAIN", "needs AUTH XOAUTH2"),
        (SmtpAuth::Plain, "LOGIN", "needs AUTH PLAIN;"),
    ] {
        let sink = server(mechanisms).await;
        let mut settings = settings(&sink);
        settings.target.login = Some(login(literal(SECRET), how));
        let problem = Session::open(&settings.target).await.expect_err("no").to_string();
        assert!(problem.contains(&format!("offers AUTH {mechanisms}")) && problem.contains(wanted), "{problem}");
    }
}

#[tokio::test]
async fn a_token_is_read_anew_at_each_login() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("token");
    let sink = server("XOAUTH2").await;
    let mut settings = settings(&sink);
    settings.target.login = Some(login(Password::File(file.clone()), SmtpAuth::Xoauth2));
    let open = || Session::open(&settings.target);

    let problem = open().await.expect_err("no file").to_string();
    assert!(problem.contains("smtp_pass_file") && problem.contains(&file.display().to_string()), "{problem}");
    std::fs::write(&file, "\n").expect("written");
    assert!(open().await.expect_err("empty").to_string().contains("first line is empty"));
    std::fs::write(&file, format!("{SECRET}\n{}", "x".repeat(64 << 10))).expect("written");
    assert!(open().await.expect_err("too large").to_string().contains("larger than 64 KiB"));
    std::fs::remove_file(&file).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("FIFO");
    assert!(open().await.expect_err("nobody writes").to_string().contains("no regular file"));
    std::fs::remove_file(&file).expect("removed");
    std::fs::write(&file, "expired\n").expect("written");
    let problem = open().await.expect_err("old").to_string();
    assert!(problem.contains("535") && !problem.contains("expired"), "{problem}");
    std::fs::write(&file, format!("{SECRET}\r\nand more\n")).expect("written");
    assert!(open().await.is_ok());
}

#[tokio::test]
async fn no_error_shows_what_was_sent() {
    for (how, mechanisms) in [(SmtpAuth::Plain, "PLAIN"), (SmtpAuth::Login, "LOGIN"), (SmtpAuth::Xoauth2, "XOAUTH2")] {
        // Long enough not to stand in a text by chance.
        let wrong = "a-wrong-password";
        for echo in [false, true] {
            let rule = move |moment: &Moment<'_>| match moment.step {
                Step::Auth if echo => {
                    Answer::say(format!("535 5.7.8 bad {} {} {wrong}", moment.line, BASE64.encode(wrong)))
                }
                _ => Answer::Usual,
            };
            let known = Some(("anne@example.com".to_owned(), SECRET.to_owned()));
            let sink = sink(Script { login: known, mechanisms, ..Script::new(rule) }).await;
            let mut settings = settings(&sink);
            settings.target.login = Some(login(literal(wrong), how));
            let error = Session::open(&settings.target).await.expect_err("wrong");
            for text in [error.to_string(), format!("{error:?}")] {
                let initial = BASE64.encode(format!("\0anne@example.com\0{wrong}"));
                let token = BASE64.encode(format!("user=anne@example.com\u{1}auth=Bearer {wrong}\u{1}\u{1}"));
                for secret in [wrong, &BASE64.encode(wrong), &initial, &token] {
                    assert!(!text.contains(secret), "{how:?}: {text}");
                }
                assert!(text.contains("535"), "{text}");
            }
        }
    }
    assert!(!format!("{:?}", login(literal(SECRET), SmtpAuth::Auto)).contains(SECRET));
}

/// Collects what is logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    /// Waits until a line says this.
    async fn wait_for(&self, text: &str) {
        let says = || String::from_utf8_lossy(&self.0.lock().expect("log")).contains(text);
        for _ in 0..2_000 {
            if says() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no line says {text:?}:\n{}", self.take());
    }

    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().expect("log"))).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_shows_what_was_sent() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut seen = String::new();
    for (how, mechanisms) in [(SmtpAuth::Plain, "PLAIN"), (SmtpAuth::Login, "LOGIN"), (SmtpAuth::Xoauth2, "XOAUTH2")] {
        for password in [SECRET, "a-wrong-password"] {
            let sink = server(mechanisms).await;
            let mut settings = settings(&sink);
            settings.target.login = Some(login(literal(password), how));
            let running = Running::start(settings, Outgoing::Smtp);
            push(&running, &people(1));
            // The dispatcher logs after the recipient was recorded or given back.
            log.wait_for(if password == SECRET { "delivered=1" } else { "it refused smtp_user" }).await;
            running.stop().await;
            seen.push_str(&log.take());
        }
    }
    for password in [SECRET, "a-wrong-password"] {
        let plain = format!("\0anne@example.com\0{password}");
        let token = format!("user=anne@example.com\u{1}auth=Bearer {password}\u{1}\u{1}");
        for secret in [password.to_owned(), BASE64.encode(password), BASE64.encode(plain), BASE64.encode(token)] {
            assert!(!seen.contains(&secret), "{secret} stands in\n{seen}");
        }
    }
}
