//! LMTP and SMTP servers for tests: they take every message and remember it.
//!
//! By default every recipient is accepted. A test that wants refusals gives replies of its own, to
//! `RCPT` or after the message, for ever or once: [`Catcher::refuse`], [`Catcher::refuse_message`].

use super::MtaBox;
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, Permissions},
    io::{self, BufRead as _, BufReader, Read, Write},
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Replies by recipient, in lower case.
type Refusals = Mutex<BTreeMap<String, (String, Times)>>;

/// How often something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The first time only.
    Once,
    /// Whenever it comes.
    Always,
}

/// One message as it arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Caught {
    /// Envelope sender, without brackets.
    pub sender: String,
    /// What followed the sender, for instance `SIZE=300 BODY=8BITMIME`.
    pub sender_parameters: String,
    /// Envelope recipients for whom it was taken, without brackets, exactly as sent.
    pub recipients: Vec<String>,
    /// The message, dots unstuffed, line ends as sent.
    pub data: Vec<u8>,
}

impl Caught {
    /// The message as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

/// With the message as text, for people who read why a test failed.
impl fmt::Debug for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caught")
            .field("sender", &self.sender)
            .field("sender_parameters", &self.sender_parameters)
            .field("recipients", &self.recipients)
            .field("data", &self.text())
            .finish()
    }
}

/// A server that remembers what it is given. Ends when dropped.
#[derive(Debug)]
pub struct Catcher {
    listener: Arc<OwnedFd>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    caught: Mutex<Vec<Caught>>,
    arrival: Condvar,
    /// Replies to `RCPT`.
    refusals: Refusals,
    /// LMTP's replies after the message.
    message_refusals: Refusals,
    /// Connections that are open, by number, to be ended with the server.
    connections: Mutex<BTreeMap<u64, OwnedFd>>,
}

/// The reply with which this recipient is refused now, if it is.
fn refusal(refusals: &Refusals, recipient: &str) -> Option<String> {
    let (mut refusals, recipient) = (lock(refusals), recipient.to_ascii_lowercase());
    let (reply, times) = refusals.get(&recipient)?.clone();
    if times == Times::Once {
        refusals.remove(&recipient);
    }
    Some(reply)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Lmtp,
    Smtp,
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A connection, and a second handle by which it can be ended.
type Accepted = (Box<dyn Stream>, OwnedFd);

impl Catcher {
    /// An LMTP server (RFC 2033) at an address of the box: stands for the list server.
    pub fn lmtp(machine: &MtaBox, address: &str) -> io::Result<Self> {
        Self::tcp(machine, address, Protocol::Lmtp)
    }

    /// An SMTP server at an address of the box: stands for the rest of the world.
    pub fn smtp(machine: &MtaBox, address: &str) -> io::Result<Self> {
        Self::tcp(machine, address, Protocol::Smtp)
    }

    /// An SMTP server at an address of this machine, outside of any box.
    pub fn smtp_at(address: &str) -> io::Result<Self> {
        Self::on(TcpListener::bind(address)?, Protocol::Smtp)
    }

    /// An LMTP server at a Unix socket, for instance in [`MtaBox::shared`].
    pub fn lmtp_unix(path: &Path) -> io::Result<Self> {
        Self::lmtp_unix_with_mode(path, 0o666)
    }

    /// The same with this mode of the socket: Postrider's own is 0660, so that whoever connects needs its group.
    pub fn lmtp_unix_with_mode(path: &Path, mode: u32) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Self::serve(listener.try_clone()?.into(), Protocol::Lmtp, move || {
            let (stream, _) = listener.accept()?;
            let handle = stream.try_clone()?.into();
            Ok((Box::new(stream) as Box<dyn Stream>, handle))
        })
    }

    fn tcp(machine: &MtaBox, address: &str, protocol: Protocol) -> io::Result<Self> {
        Self::on(machine.listen(address)?, protocol)
    }

    fn on(listener: TcpListener, protocol: Protocol) -> io::Result<Self> {
        Self::serve(listener.try_clone()?.into(), protocol, move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let handle = stream.try_clone()?.into();
            Ok((Box::new(stream) as Box<dyn Stream>, handle))
        })
    }

    fn serve(
        listener: OwnedFd,
        protocol: Protocol,
        accept: impl Fn() -> io::Result<Accepted> + Send + 'static,
    ) -> io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::Builder::new().name("catcher".into()).spawn(move || {
            for number in 0.. {
                let Ok((stream, handle)) = accept() else { break };
                let state = Arc::clone(&shared);
                lock(&state.connections).insert(number, handle);
                thread::spawn(move || {
                    // A client that hangs up is no concern of the test's.
                    let _ = Session { stream: BufReader::new(stream), protocol, state: &state }.run();
                    lock(&state.connections).remove(&number);
                });
            }
        })?;
        Ok(Catcher { listener: Arc::new(listener), state })
    }

    /// From now on answers `RCPT` for this address with `reply`, for instance `550 5.1.1 no such
    /// list`.
    pub fn refuse(&self, recipient: &str, reply: &str, times: Times) {
        lock(&self.state.refusals).insert(recipient.to_ascii_lowercase(), (reply.into(), times));
    }

    /// Takes this address by `RCPT`, but answers so when the message has come (LMTP only): the
    /// message is not caught for it.
    pub fn refuse_message(&self, recipient: &str, reply: &str, times: Times) {
        lock(&self.state.message_refusals).insert(recipient.to_ascii_lowercase(), (reply.into(), times));
    }

    /// What has arrived so far.
    pub fn caught(&self) -> Vec<Caught> {
        lock(&self.state.caught).clone()
    }

    /// Forgets what has arrived so far.
    pub fn clear(&self) {
        lock(&self.state.caught).clear();
    }

    /// Waits for a message that has this recipient.
    ///
    /// # Panics
    /// When none arrives within `limit`; shows what did.
    #[track_caller]
    pub fn wait_for(&self, recipient: &str, limit: Duration) -> Caught {
        self.wait_until(limit, |caught| {
            caught.iter().find(|message| message.recipients.iter().any(|seen| seen == recipient)).cloned()
        })
        .unwrap_or_else(|seen| panic!("nothing arrived for {recipient} within {limit:?}; what arrived: {seen:?}"))
    }

    /// Waits for this many messages in all.
    ///
    /// # Panics
    /// When they do not arrive within `limit`; shows what did.
    #[track_caller]
    pub fn wait_for_count(&self, count: usize, limit: Duration) -> Vec<Caught> {
        self.wait_until(limit, |caught| (caught.len() >= count).then(|| caught.to_vec()))
            .unwrap_or_else(|seen| panic!("{count} messages expected within {limit:?}; what arrived: {seen:?}"))
    }

    /// Waits until the messages have this many recipients in all.
    ///
    /// # Panics
    /// When they do not within `limit`; says how many they have.
    #[track_caller]
    pub fn wait_until_recipients(&self, count: usize, limit: Duration) {
        let recipients = |caught: &[Caught]| caught.iter().map(|message| message.recipients.len()).sum::<usize>();
        if let Err(seen) = self.wait_until(limit, |caught| (recipients(caught) >= count).then_some(())) {
            panic!("{count} recipients expected within {limit:?}, {} came", recipients(&seen));
        }
    }

    fn wait_until<T>(&self, limit: Duration, find: impl Fn(&[Caught]) -> Option<T>) -> Result<T, Vec<Caught>> {
        let end = Instant::now() + limit;
        let mut caught = lock(&self.state.caught);
        loop {
            if let Some(found) = find(&caught) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(caught.clone());
            }
            caught = self.state.arrival.wait_timeout(caught, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        // Wakes the accepting thread, which then ends.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        // Mail servers keep connections: the next message must not come to a server that has ended.
        for connection in lock(&self.state.connections).values() {
            let _ = rustix::net::shutdown(connection, rustix::net::Shutdown::Both);
        }
    }
}

struct Session<'s> {
    stream: BufReader<Box<dyn Stream>>,
    protocol: Protocol,
    state: &'s State,
}

impl Session<'_> {
    fn run(mut self) -> io::Result<()> {
        self.say("220 catcher.example ready")?;
        let (mut sender, mut parameters, mut recipients) = (String::new(), String::new(), Vec::new());
        loop {
            let Some(line) = self.line()? else { return Ok(()) };
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "LHLO" | "EHLO" if (verb == "LHLO") == (self.protocol == Protocol::Lmtp) => {
                    self.say(
                        "250-catcher.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 52428800",
                    )?;
                }
                "MAIL" => {
                    let (address, rest) = path(&line);
                    (sender, parameters) = (address, rest);
                    recipients.clear();
                    self.say("250 2.1.0 ok")?;
                }
                "RCPT" => {
                    let (recipient, _) = path(&line);
                    if let Some(reply) = refusal(&self.state.refusals, &recipient) {
                        self.say(&reply)?;
                    } else {
                        recipients.push(recipient);
                        self.say("250 2.1.5 ok")?;
                    }
                }
                "DATA" if recipients.is_empty() => self.say("503 5.5.1 no recipients")?,
                "DATA" => {
                    self.say("354 go on")?;
                    let data = self.body()?;
                    let (mut replies, mut kept) = (Vec::new(), Vec::new());
                    for recipient in recipients.drain(..) {
                        let lmtp = self.protocol == Protocol::Lmtp;
                        if let Some(reply) = refusal(&self.state.message_refusals, &recipient).filter(|_| lmtp) {
                            replies.push(reply);
                        } else {
                            replies.push("250 2.0.0 kept".into());
                            kept.push(recipient);
                        }
                    }
                    if self.protocol == Protocol::Smtp {
                        replies.truncate(1);
                    }
                    if !kept.is_empty() {
                        let (sender, sender_parameters) =
                            (std::mem::take(&mut sender), std::mem::take(&mut parameters));
                        lock(&self.state.caught).push(Caught { sender, sender_parameters, recipients: kept, data });
                        self.state.arrival.notify_all();
                    }
                    for reply in replies {
                        self.say(&reply)?;
                    }
                }
                "RSET" | "NOOP" => self.say("250 2.0.0 ok")?,
                "QUIT" => return self.say("221 2.0.0 bye"),
                _ => self.say("500 5.5.1 what?")?,
            }
        }
    }

    fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            if line == b".\r\n" {
                return Ok(data);
            }
            data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        Ok((self.stream.read_until(b'\n', &mut line)? > 0).then_some(line))
    }

    fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())
    }
}

/// The address between the outermost brackets, and what follows them.
fn path(line: &str) -> (String, String) {
    match (line.find('<'), line.rfind('>')) {
        (Some(begin), Some(end)) if begin < end => (line[begin + 1..end].into(), line[end + 1..].trim().into()),
        _ => (line.into(), String::new()),
    }
}

/// A test that panicked elsewhere must not hide what was caught.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
