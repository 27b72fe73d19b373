//! Numbered posts, and the clients that hand them in by LMTP.
//!
//! What a post looks like and where it goes follows from the seed and its number alone, so that whoever sees one
//! can say whether it is whole.

use super::random::Random;
use super::trigger::{Trigger, When};
use postrider_tests::installation::Installation;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Result, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A list of the load.
pub struct List {
    pub name: &'static str,
    /// Members, Anne included, who writes all posts.
    pub members: usize,
    /// Posts to it are at most so many octets long.
    pub largest: usize,
}

/// Small lists get large posts, which are files in the spool; large lists get small ones.
pub const LISTS: [List; 3] = [
    List { name: "few", members: 8, largest: 600_000 },
    List { name: "some", members: 60, largest: 40_000 },
    List { name: "many", members: 250, largest: 3_000 },
];

const AUTHOR: &str = "anne@example.org";

impl List {
    pub fn address(&self) -> String {
        format!("{}@lists.example.com", self.name)
    }

    pub fn member(&self, number: usize) -> String {
        if number == 0 { AUTHOR.to_owned() } else { format!("{}.{number}@example.org", self.name) }
    }

    /// The inverse of [`List::member`].
    pub fn member_number(&self, address: &str) -> Option<usize> {
        if address == AUTHOR {
            return Some(0);
        }
        let rest = address.strip_prefix(self.name)?.strip_prefix('.')?.strip_suffix("@example.org")?;
        rest.parse().ok().filter(|number| (1..self.members).contains(number))
    }
}

/// Makes the lists.
pub fn make_lists(installation: &Installation) {
    for list in &LISTS {
        let members: Vec<String> = (0..list.members).map(|number| list.member(number)).collect();
        installation.run(&["create", &list.address()]);
        installation.run_with_input(&["addmembers", "-", &list.address()], &members.join("\n"));
        installation.run(&["set", &list.address(), "max_message_size=0"]);
    }
}

/// What a post is.
pub struct Post {
    number: usize,
    /// Numbers in [`LISTS`].
    pub lists: Vec<usize>,
    size: usize,
}

impl Post {
    pub fn new(seed: u64, number: usize) -> Self {
        let mut random = Random::new(seed, number as u64 + 1000);
        let lists = match random.below(10) {
            0..=3 => vec![0],
            4..=6 => vec![1],
            7 | 8 => vec![2],
            _ => vec![0, 1],
        };
        let largest = lists.iter().map(|list| LISTS[*list].largest).min().unwrap_or(0);
        let size = if random.chance(300) { largest / 2 + random.below(largest / 2) } else { random.below(3_000) };
        Post { number, lists, size }
    }

    /// Lines end in CRLF; dots are not doubled.
    pub fn message(&self) -> String {
        let to: Vec<String> = self.lists.iter().map(|list| LISTS[*list].address()).collect();
        format!(
            "From: Anne <{AUTHOR}>\r\nTo: {}\r\nSubject: Post\r\nMessage-ID: {}\r\n\
             Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n{}",
            to.join(", "),
            self.message_id(),
            self.body()
        )
    }

    pub fn message_id(&self) -> String {
        format!("<post.{}@crash.example>", self.number)
    }

    fn body(&self) -> String {
        let mut body = String::new();
        let mut line = 0;
        while body.len() < self.size {
            let dot = if line % 7 == 3 { "." } else { "" };
            let filling = "postrider ".repeat(6);
            // Writing into a string cannot fail.
            let _ = write!(body, "{dot}{} {line} {filling}\r\n", self.number);
            line += 1;
        }
        body + &format!("end of post {}\r\n", self.number)
    }

    /// Which post this is, if it is one and whole.
    pub fn recognise(seed: u64, message: &[u8]) -> std::result::Result<usize, String> {
        let header = String::from_utf8_lossy(&message[..message.len().min(4000)]).into_owned();
        let number = number_of(&header).ok_or_else(|| format!("no post of ours: {header}"))?;
        let body = Post::new(seed, number).body();
        if message.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
            Ok(number)
        } else {
            Err(format!("post {number} is not as it was sent: {} octets", message.len()))
        }
    }
}

/// The number of the post with this Message-ID somewhere in the text.
pub fn number_of(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("<post.")?;
    rest.split_once("@crash.example>")?.0.parse().ok()
}

/// What the daemon said about a post to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was killed before it said anything.
    None,
    /// 250: the post is its own.
    Accepted,
    /// Anything else.
    Refused(String),
}

/// All posts so far, and those who send them.
pub struct Load {
    pub seed: u64,
    port: u16,
    next: AtomicUsize,
    stop: AtomicBool,
    /// By post and list.
    answers: Mutex<BTreeMap<(usize, usize), Answer>>,
    /// Recipients of posts that were answered 250.
    accepted: AtomicUsize,
    trigger: Arc<Trigger>,
}

impl Load {
    pub fn new(seed: u64, installation: &Installation, trigger: Arc<Trigger>) -> Self {
        Load {
            seed,
            port: installation.lmtp_port,
            next: AtomicUsize::new(1),
            stop: AtomicBool::new(false),
            answers: Mutex::default(),
            accepted: AtomicUsize::new(0),
            trigger,
        }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn answers(&self) -> BTreeMap<(usize, usize), Answer> {
        self.answers.lock().expect("lock").clone()
    }

    /// Sends posts, one after the other over one connection as long as that lives, until it is told to stop; waits
    /// while `full` says so.
    pub fn send(&self, full: impl Fn() -> bool) {
        let mut client = None;
        while !self.is_stopped() {
            if full() {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let Some(mut open) = client.take().or_else(|| Client::open(self.port).ok()) else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            if self.send_one(&mut open).is_ok() {
                client = Some(open);
            }
        }
    }

    fn send_one(&self, client: &mut Client) -> Result<()> {
        // A number is used up only when the message itself is sent.
        client.ask(&format!("MAIL FROM:<{AUTHOR}>"), "250")?;
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let post = Post::new(self.seed, number);
        for list in &post.lists {
            client.ask(&format!("RCPT TO:<{}>", LISTS[*list].address()), "250")?;
        }
        client.ask("DATA", "354")?;
        for list in &post.lists {
            self.note(number, *list, Answer::None);
        }
        let mut message = post.message().replace("\r\n.", "\r\n..");
        message.push_str(".\r\n");
        client.stream.write_all(message.as_bytes())?;
        self.trigger.happens(When::Offered);
        for list in &post.lists {
            let reply = client.reply()?;
            if reply.starts_with("250") {
                self.note(number, *list, Answer::Accepted);
                self.accepted.fetch_add(LISTS[*list].members, Ordering::SeqCst);
                self.trigger.happens(When::Answered);
            } else {
                self.note(number, *list, Answer::Refused(reply));
            }
        }
        Ok(())
    }

    fn note(&self, post: usize, list: usize, answer: Answer) {
        self.answers.lock().expect("lock").insert((post, list), answer);
    }
}

/// An LMTP client for whom the end of the server is no surprise.
struct Client {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Client {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let mut client = Client { replies: BufReader::new(stream.try_clone()?), stream };
        client.reply()?;
        client.ask("LHLO mta.example.com", "250")?;
        Ok(client)
    }

    fn reply(&mut self) -> Result<String> {
        loop {
            let mut line = String::new();
            if self.replies.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // A line without its end is what a kill left of one.
            if !line.ends_with('\n') {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    fn ask(&mut self, command: &str, code: &str) -> Result<()> {
        self.stream.write_all(format!("{command}\r\n").as_bytes())?;
        let reply = self.reply()?;
        if reply.starts_with(code) { Ok(()) } else { Err(Error::other(format!("{command}: {reply}"))) }
    }
}
