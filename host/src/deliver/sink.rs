//! A small SMTP server that keeps what it gets, for `postrider demo` and for tests.
//!
//! It speaks enough of RFC 5321 for a client to believe in it (PIPELINING, SIZE, 8BITMIME,
//! SMTPUTF8, STARTTLS, AUTH PLAIN, LOGIN and XOAUTH2; if a script wants it CHUNKING, XVERP, or LMTP
//! instead), stores messages in memory and shows them. A [`Script`] can make it as rude as real servers
//! are. It is no server for production: it has few limits and delivers nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Longest command, in octets.
const MAX_COMMAND: usize = 4096;
/// Largest message, in octets.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Which connection it came over, counted from 1.
    pub session: usize,
    /// Envelope sender without brackets; empty for `<>`.
    pub sender: String,
    /// What followed the sender in MAIL, such as `SIZE=100 BODY=8BITMIME`.
    pub parameters: String,
    /// Envelope recipients without brackets.
    pub recipients: Vec<String>,
    /// The message, without stuffed dots and final dot.
    pub message: Vec<u8>,
    /// Whether it came encrypted.
    pub encrypted: bool,
    /// The name that the client logged in with.
    pub user: Option<String>,
    /// Whether more was at hand behind it before it was answered.
    pub followed: bool,
}

/// A point of the dialogue at which the sink may behave oddly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The connection is open; the banner is due.
    Connect,
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS.
    Starttls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The content was read to its end. With LMTP it is asked for each recipient.
    EndOfData,
    /// QUIT.
    Quit,
    /// Anything else.
    Other,
}

/// What a script is told.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Where in the dialogue.
    pub step: Step,
    /// Which connection, counted from 1.
    pub session: usize,
    /// How many MAIL commands this connection has had, this one included.
    pub transaction: usize,
    /// The command line; empty for [`Step::Connect`], and for [`Step::EndOfData`] after DATA.
    pub line: &'a str,
    /// The envelope sender, once MAIL was accepted.
    pub sender: &'a str,
    /// Recipients that were accepted in this transaction; with LMTP at [`Step::EndOfData`] the one.
    pub recipients: &'a [String],
    /// At [`Step::EndOfData`] the message, without stuffed dots and final dot.
    pub message: &'a [u8],
}

/// What the sink does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As a good server does.
    Usual,
    /// Says this instead (a line end is added). Its code decides what happened: 2xx to RCPT is an
    /// accepted recipient, 3xx to DATA starts the content, 2xx to the final dot stores the message.
    Say(String),
    /// The same, then closes the connection.
    SayAndClose(String),
    /// Closes the connection without a word. At [`Step::EndOfData`] the message was stored.
    Close,
    /// Says nothing and waits for more.
    Silence,
    /// Hangs for so long, then does this.
    After(Duration, Box<Answer>),
}

impl Answer {
    /// [`Answer::Say`].
    pub fn say(text: impl Into<String>) -> Self {
        Answer::Say(text.into())
    }

    /// [`Answer::SayAndClose`].
    pub fn say_and_close(text: impl Into<String>) -> Self {
        Answer::SayAndClose(text.into())
    }
}

/// Decides what the sink does next.
pub type Rule = Arc<dyn Fn(&Moment<'_>) -> Answer + Send + Sync>;

/// How the sink behaves.
#[derive(Clone)]
pub struct Script {
    /// What EHLO offers besides STARTTLS and AUTH.
    pub extensions: Vec<String>,
    /// Certificate and key for TLS; offers STARTTLS unless `tls_from_start`.
    pub tls: Option<TlsAcceptor>,
    /// TLS begins with the connection.
    pub tls_from_start: bool,
    /// LMTP (RFC 2033) instead of SMTP.
    pub lmtp: bool,
    /// Offers AUTH and takes mail only from this name and password.
    pub login: Option<(String, String)>,
    /// AUTH mechanisms that are offered.
    pub mechanisms: &'static str,
    /// More recipients of a transaction get 452.
    pub max_recipients: usize,
    /// Replies are sent octet by octet.
    pub trickle: bool,
    /// Who sends something behind a message before it is answered hears this instead of the answer, and the connection is
    /// closed.
    pub in_step: Option<String>,
    /// Messages and dialogues are kept. A test that runs for long looks at them in its rule instead.
    pub keep: bool,
    /// What is asked at each [`Step`].
    pub rule: Rule,
}

impl Default for Script {
    fn default() -> Self {
        let extensions = ["PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];
        Script {
            extensions: extensions.map(str::to_owned).to_vec(),
            tls: None,
            tls_from_start: false,
            lmtp: false,
            login: None,
            mechanisms: "PLAIN LOGIN",
            max_recipients: usize::MAX,
            trickle: false,
            in_step: None,
            keep: true,
            rule: Arc::new(|_| Answer::Usual),
        }
    }
}

impl Script {
    /// Behaves as this says, wherever it does not answer [`Answer::Usual`].
    pub fn new(rule: impl Fn(&Moment<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Script { rule: Arc::new(rule), ..Script::default() }
    }

    /// With this extension too.
    #[must_use]
    pub fn with(mut self, extension: &str) -> Self {
        self.extensions.push(extension.to_owned());
        self
    }

    /// Without this extension.
    #[must_use]
    pub fn without(mut self, extension: &str) -> Self {
        self.extensions.retain(|offered| offered.split(' ').next() != Some(extension));
        self
    }
}

/// The server; it ends when this is dropped.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Notify,
}

#[derive(Default)]
struct Kept {
    messages: Vec<Captured>,
    /// The command lines of each connection.
    dialogues: Vec<Vec<String>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Self::serve(listener, script)
    }

    /// Serves this listener.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn serve(listener: TcpListener, script: Script) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(accept(listener, script, Arc::clone(&shared)));
        Ok(Sink { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every message so far.
    pub fn messages(&self) -> Vec<Captured> {
        self.shared.lock().messages.clone()
    }

    /// Every recipient of every message so far, sorted; one that got two messages is there twice.
    pub fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.shared.lock().messages.iter().flat_map(|one| one.recipients.iter().cloned()).collect();
        all.sort();
        all
    }

    /// The command lines of each connection so far.
    pub fn dialogues(&self) -> Vec<Vec<String>> {
        self.shared.lock().dialogues.clone()
    }

    /// Returns when so many recipients got a message.
    pub async fn wait_for(&self, recipients: usize) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.lock().messages.iter().map(|one| one.recipients.len()).sum::<usize>() >= recipients {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, script: Script, shared: Arc<Shared>) {
    // Dropped with this task, and the connections with it.
    let mut sessions = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { return };
        // A demo that cannot switch Nagle's delay off is slower, no more.
        let _ = tcp.set_nodelay(true);
        let number = {
            let mut kept = shared.lock();
            kept.dialogues.push(Vec::new());
            kept.dialogues.len()
        };
        let (script, shared) = (script.clone(), Arc::clone(&shared));
        sessions.spawn(async move {
            // A client that goes away is no news.
            let _ = Session::run(Box::new(tcp), script, shared, number).await;
        });
        while sessions.try_join_next().is_some() {}
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

struct Session {
    io: Option<BufReader<Box<dyn Io>>>,
    script: Script,
    shared: Arc<Shared>,
    number: usize,
    out: Vec<u8>,
    encrypted: bool,
    user: Option<String>,
    transaction: usize,
    /// Commands may come behind others without waiting.
    pipelining: bool,
    /// Sender and parameters, once MAIL was accepted.
    sender: Option<(String, String)>,
    recipients: Vec<String>,
    /// The message whose final dot was read, while it is decided what becomes of it.
    message: Vec<u8>,
    /// How long to hang before the replies that wait go out.
    pause: Duration,
    /// The chunks of BDAT so far.
    chunks: Vec<u8>,
    /// Something came behind the last message before it was answered.
    followed: bool,
}

/// Whether the dialogue goes on.
type Flow = std::ops::ControlFlow<()>;

impl Session {
    async fn run(tcp: Box<dyn Io>, script: Script, shared: Arc<Shared>, number: usize) -> io::Result<()> {
        let mut session = Session {
            io: Some(BufReader::new(tcp)),
            script,
            shared,
            number,
            out: Vec::new(),
            encrypted: false,
            user: None,
            transaction: 0,
            pipelining: false,
            sender: None,
            recipients: Vec::new(),
            message: Vec::new(),
            pause: Duration::ZERO,
            chunks: Vec::new(),
            followed: false,
        };
        if session.script.tls_from_start {
            session.encrypt().await?;
        }
        let (_, mut flow) = session.answer(Step::Connect, "", || "220 sink.example ESMTP".to_owned());
        while flow.is_continue() {
            let Some(line) = session.line(MAX_COMMAND).await? else { return Ok(()) };
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if session.script.keep
                && let Some(dialogue) = session.shared.lock().dialogues.get_mut(number - 1)
            {
                dialogue.push(line.clone());
            }
            flow = session.command(&line).await?;
        }
        session.flush().await
    }

    async fn command(&mut self, line: &str) -> io::Result<Flow> {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        // As Exim has it. Behind BDAT its chunk must stand.
        if !self.pipelining && verb != "BDAT" && self.io.as_ref().is_some_and(|io| !io.buffer().is_empty()) {
            self.say("554 SMTP synchronization error");
            return Ok(Flow::Break(()));
        }
        let flow = match verb.as_str() {
            "EHLO" | "HELO" if self.script.lmtp => {
                self.answer(Step::Other, line, || "500 5.5.1 this is LMTP, say LHLO".to_owned()).1
            }
            "EHLO" | "LHLO" if self.script.lmtp == (verb == "LHLO") => {
                self.reset();
                self.pipelining = self.offers("PIPELINING");
                let offer = self.offer();
                self.answer(Step::Ehlo, line, || offer).1
            }
            "HELO" => {
                self.reset();
                self.pipelining = false;
                self.answer(Step::Helo, line, || "250 sink.example".to_owned()).1
            }
            "STARTTLS" if self.script.tls.is_some() && !self.encrypted => {
                let (said, flow) = self.answer(Step::Starttls, line, || "220 2.0.0 go ahead".to_owned());
                if flow.is_continue() && said == Some(2) {
                    self.flush().await?;
                    self.encrypt().await?;
                }
                flow
            }
            "AUTH" => self.auth(line).await?,
            "MAIL" => self.mail(line),
            "RCPT" => self.rcpt(line),
            "DATA" => self.data(line).await?,
            "BDAT" if self.offers("CHUNKING") => self.bdat(line).await?,
            "RSET" => {
                self.reset();
                self.answer(Step::Other, line, || "250 2.0.0 Ok".to_owned()).1
            }
            "NOOP" => self.answer(Step::Other, line, || "250 2.0.0 Ok".to_owned()).1,
            "QUIT" => {
                let _ = self.answer(Step::Quit, line, || "221 2.0.0 Bye".to_owned());
                Flow::Break(())
            }
            _ => self.answer(Step::Other, line, || "502 5.5.2 unknown command".to_owned()).1,
        };
        Ok(flow)
    }

    fn offer(&self) -> String {
        let mut lines = vec!["sink.example".to_owned()];
        lines.extend(self.script.extensions.iter().cloned());
        if self.script.tls.is_some() && !self.encrypted {
            lines.push("STARTTLS".to_owned());
        }
        if self.script.login.is_some() {
            lines.push(format!("AUTH {}", self.script.mechanisms));
        }
        let last = lines.len() - 1;
        let lines: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n < last { '-' } else { ' ' }))
            .collect();
        lines.join("\r\n")
    }

    fn offers(&self, extension: &str) -> bool {
        self.script.extensions.iter().any(|offered| offered.split(' ').next() == Some(extension))
    }

    fn mail(&mut self, line: &str) -> Flow {
        self.transaction += 1;
        let path = path(line);
        let usual = match &path {
            _ if self.script.login.is_some() && self.user.is_none() => "530 5.7.0 Authentication required",
            None => "501 5.5.4 MAIL FROM:<address>",
            Some((_, parameters)) if parameters.contains("XVERP") && !self.offers("XVERP") => {
                "555 5.5.4 Unsupported option: XVERP=+="
            }
            Some(_) if self.sender.is_some() => "503 5.5.1 nested MAIL command",
            Some(_) => "250 2.1.0 Ok",
        };
        let (said, flow) = self.answer(Step::Mail, line, || usual.to_owned());
        if said == Some(2) {
            self.sender = path;
        }
        flow
    }

    fn rcpt(&mut self, line: &str) -> Flow {
        let path = path(line);
        let usual = match &path {
            _ if self.sender.is_none() => "503 5.5.1 need MAIL command",
            None => "501 5.5.4 RCPT TO:<address>",
            Some(_) if self.recipients.len() >= self.script.max_recipients => "452 4.5.3 too many recipients",
            Some(_) => "250 2.1.5 Ok",
        };
        let (said, flow) = self.answer(Step::Rcpt, line, || usual.to_owned());
        if let (Some(2), Some((address, _))) = (said, path) {
            self.recipients.push(address);
        }
        flow
    }

    async fn data(&mut self, line: &str) -> io::Result<Flow> {
        let usual = match () {
            // As Exim and Sendmail have it: nothing may stand behind DATA (RFC 2920, section 3.1).
            () if self.io.as_ref().is_some_and(|io| !io.buffer().is_empty()) => {
                self.say("554 5.5.0 SMTP synchronization error");
                return Ok(Flow::Break(()));
            }
            () if self.recipients.is_empty() => "554 5.5.1 no valid recipients",
            () => "354 go ahead",
        };
        let (said, flow) = self.answer(Step::Data, line, || usual.to_owned());
        if said != Some(3) || flow.is_break() {
            return Ok(flow);
        }
        let mut message = Vec::new();
        loop {
            let Some(line) = self.line(MAX_MESSAGE).await? else { return Ok(Flow::Break(())) };
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            if message.len() > MAX_MESSAGE {
                return Ok(Flow::Break(()));
            }
        }
        self.followed = self.io.as_ref().is_some_and(|io| !io.buffer().is_empty());
        if let Some(reply) = self.script.in_step.clone().filter(|_| self.followed) {
            self.say(&reply);
            return Ok(Flow::Break(()));
        }
        Ok(self.end_of_data("", message))
    }

    /// One chunk. Its octets are read whatever is said about them (RFC 3030, section 2).
    async fn bdat(&mut self, line: &str) -> io::Result<Flow> {
        let mut words = line.split(' ').skip(1);
        let length = words.next().and_then(|word| word.parse().ok()).filter(|length| *length <= MAX_MESSAGE);
        let Some(length) = length else { return Ok(Flow::Break(())) };
        self.flush_unless_at_hand().await?;
        let Some(io) = &mut self.io else { return Ok(Flow::Break(())) };
        let mut chunk = vec![0; length];
        if io.read_exact(&mut chunk).await.is_err() {
            return Ok(Flow::Break(()));
        }
        self.chunks.extend_from_slice(&chunk);
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST")) {
            let message = std::mem::take(&mut self.chunks);
            return Ok(self.end_of_data(line, message));
        }
        Ok(self.answer(Step::Data, line, || "250 2.0.0 more".to_owned()).1)
    }

    fn end_of_data(&mut self, line: &str, message: Vec<u8>) -> Flow {
        let usual = match &self.sender {
            None => "503 5.5.1 need MAIL command",
            Some(_) if self.recipients.is_empty() => "554 5.5.1 no valid recipients",
            Some(_) => "250 2.0.0 Ok: kept",
        };
        let mut taken = Vec::new();
        let mut flow = Flow::Continue(());
        let recipients = self.recipients.clone();
        self.message = message;
        let groups = if self.script.lmtp { recipients.chunks(1) } else { recipients.chunks(recipients.len().max(1)) };
        for group in groups {
            self.recipients = group.to_vec();
            let said;
            (said, flow) = self.answer(Step::EndOfData, line, || usual.to_owned());
            if matches!(said, Some(2) | None) {
                taken.append(&mut self.recipients);
            }
            if flow.is_break() {
                break;
            }
        }
        if recipients.is_empty() {
            flow = self.answer(Step::EndOfData, line, || usual.to_owned()).1;
        }
        self.recipients.clear();
        let (sender, parameters) = self.sender.take().unwrap_or_default();
        let message = std::mem::take(&mut self.message);
        if !taken.is_empty() && self.script.keep {
            self.shared.lock().messages.push(Captured {
                session: self.number,
                sender,
                parameters,
                recipients: taken,
                message,
                encrypted: self.encrypted,
                user: self.user.clone(),
                followed: self.followed,
            });
            self.shared.changed.notify_waiters();
        }
        flow
    }

    async fn auth(&mut self, line: &str) -> io::Result<Flow> {
        let mut words = line.split(' ').skip(1);
        let (mechanism, initial) = (words.next().unwrap_or_default().to_ascii_uppercase(), words.next());
        let given = match (mechanism.as_str(), initial) {
            ("PLAIN", Some(initial)) => {
                let text = decode(initial);
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                parts.next().zip(parts.next())
            }
            ("LOGIN", None) => {
                let mut asked = Vec::new();
                for question in ["Username:", "Password:"] {
                    self.say(&format!("334 {}", BASE64.encode(question)));
                    let Some(line) = self.line(MAX_COMMAND).await? else { return Ok(Flow::Break(())) };
                    asked.push(decode(String::from_utf8_lossy(&line).trim()));
                }
                let mut asked = asked.into_iter();
                asked.next().zip(asked.next())
            }
            ("XOAUTH2", Some(initial)) => {
                let given = xoauth2(&decode(initial));
                if given != self.script.login {
                    // It tells why, and the client must answer before it is refused.
                    self.say(&format!("334 {}", BASE64.encode("{\"status\":\"400\"}")));
                    let Some(line) = self.line(MAX_COMMAND).await? else { return Ok(Flow::Break(())) };
                    if line != b"\r\n" {
                        return Ok(Flow::Break(()));
                    }
                }
                given
            }
            _ => None,
        };
        let good = given.is_some() && given == self.script.login;
        let usual = if good { "235 2.7.0 Authentication successful" } else { "535 5.7.8 Authentication failed" };
        let (said, flow) = self.answer(Step::Auth, line, || usual.to_owned());
        if said == Some(2) {
            self.user = given.map(|(user, _)| user);
        }
        Ok(flow)
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        self.chunks.clear();
    }

    /// Asks the script, queues the reply; returns the first digit of its code, if any was said.
    fn answer(&mut self, step: Step, line: &str, usual: impl FnOnce() -> String) -> (Option<u8>, Flow) {
        let moment = Moment {
            step,
            session: self.number,
            transaction: self.transaction,
            line,
            sender: self.sender.as_ref().map_or("", |(sender, _)| sender),
            recipients: &self.recipients,
            message: &self.message,
        };
        let mut answer = (self.script.rule)(&moment);
        while let Answer::After(pause, then) = answer {
            self.pause += pause;
            answer = *then;
        }
        let (text, flow) = match answer {
            Answer::Usual => (usual(), Flow::Continue(())),
            Answer::Say(text) => (text, Flow::Continue(())),
            Answer::SayAndClose(text) => (text, Flow::Break(())),
            Answer::Close => return (None, Flow::Break(())),
            // The loop above has no such answer left.
            Answer::Silence | Answer::After(..) => return (None, Flow::Continue(())),
        };
        self.say(&text);
        let digit = text.bytes().next().filter(u8::is_ascii_digit).map(|b| b - b'0');
        (digit, flow)
    }

    fn say(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// The next line with its end. Replies go out as soon as no further line is at hand.
    async fn line(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        self.flush_unless_at_hand().await?;
        let Some(io) = &mut self.io else { return Ok(None) };
        let mut line = Vec::new();
        loop {
            let part = io.fill_buf().await?;
            if part.is_empty() || line.len() > limit {
                return Ok(None);
            }
            let (length, done) = match memchr::memchr(b'\n', part) {
                Some(at) => (at + 1, true),
                None => (part.len(), false),
            };
            line.extend_from_slice(&part[..length]);
            io.consume(length);
            if done {
                return Ok(Some(line));
            }
        }
    }

    async fn flush_unless_at_hand(&mut self) -> io::Result<()> {
        let at_hand = self.io.as_ref().is_some_and(|io| io.buffer().contains(&b'\n'));
        if at_hand { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.pause.is_zero() {
            tokio::time::sleep(std::mem::take(&mut self.pause)).await;
        }
        let Some(io) = &mut self.io else { return Ok(()) };
        if self.script.trickle {
            for octet in &self.out {
                io.write_all(std::slice::from_ref(octet)).await?;
                io.flush().await?;
                tokio::task::yield_now().await;
            }
        } else if !self.out.is_empty() {
            io.write_all(&self.out).await?;
        }
        self.out.clear();
        io.flush().await
    }

    async fn encrypt(&mut self) -> io::Result<()> {
        let (Some(tls), Some(io)) = (self.script.tls.clone(), self.io.take()) else { return Ok(()) };
        let encrypted = tls.accept(io.into_inner()).await?;
        self.io = Some(BufReader::new(Box::new(encrypted)));
        self.encrypted = true;
        self.reset();
        Ok(())
    }
}

/// What stands between the first `<` and the last `>`, and what follows.
fn path(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once('<')?;
    let (address, parameters) = rest.rsplit_once('>')?;
    Some((address.to_owned(), parameters.trim().to_owned()))
}

/// Name and token of `user=NAME^Aauth=Bearer TOKEN^A^A`.
fn xoauth2(text: &str) -> Option<(String, String)> {
    let (user, rest) = text.strip_prefix("user=")?.split_once("\u{1}auth=Bearer ")?;
    Some((user.to_owned(), rest.strip_suffix("\u{1}\u{1}")?.to_owned()))
}

fn decode(text: &str) -> String {
    BASE64.decode(text).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default()
}
