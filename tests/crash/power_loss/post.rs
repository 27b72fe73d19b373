//! Numbered posts whose octets can be told from their number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// To them all posts go.
pub const ANTS: &str = "ants@lists.example.com";
/// Never gets anything: the MTA says "later" for it each time.
pub const LATER: &str = "later@example.org";
/// Writes the posts that are distributed.
pub const MEMBER: &str = "m0@example.org";
/// Writes the posts that are held.
pub const STRANGER: &str = "stranger@example.net";

/// The members of ants: so many, and [`LATER`].
pub const MEMBERS: usize = 23;

/// A post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Post {
    /// Its number.
    pub number: u32,
    /// So long its text is, about.
    pub size: usize,
    /// It waits for a moderator.
    pub held: bool,
}

/// All who get the posts.
pub fn members() -> Vec<String> {
    (0..MEMBERS).map(|number| format!("m{number}@example.org")).chain([LATER.to_owned()]).collect()
}

impl Post {
    pub fn sender(&self) -> &'static str {
        if self.held { STRANGER } else { MEMBER }
    }

    /// As the MTA hands it over.
    pub fn message(&self) -> Vec<u8> {
        let (number, sender) = (self.number, self.sender());
        let mut message = format!(
            "From: <{sender}>\r\nTo: {ANTS}\r\nSubject: post {number}\r\nMessage-ID: <{number}@example.org>\r\n\
             Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n"
        )
        .into_bytes();
        message.extend_from_slice(&self.text());
        message
    }

    /// Its text: begins with number and size; no part of it is like another part or another post. Made once.
    fn text(&self) -> Arc<[u8]> {
        static TEXTS: Mutex<BTreeMap<Post, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
        TEXTS.lock().expect("texts").entry(*self).or_insert_with(|| self.write().into()).clone()
    }

    fn write(&self) -> Vec<u8> {
        let mut text = format!("{BEGIN}{} of {} octets\r\n", self.number, self.size).into_bytes();
        let mut line = 0_u64;
        while text.len() < self.size {
            let word = (u64::from(self.number) << 32 | line).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            text.extend_from_slice(format!("{line} {word:016x} {:016x}\r\n", !word.rotate_left(21)).as_bytes());
            line += 1;
        }
        text.extend_from_slice(format!("end of post {}\r\n", self.number).as_bytes());
        text
    }

    /// The post that this message is; `None` for a notice of Postrider's own.
    ///
    /// # Errors
    /// It is none, or not all of it.
    pub fn of(message: &[u8]) -> Result<Option<Post>, String> {
        let shown = || String::from_utf8_lossy(&message[..message.len().min(300)]).into_owned();
        let end_of_header = position(message, b"\r\n\r\n").ok_or_else(|| format!("no header: {:?}", shown()))?;
        let (header, text) = message.split_at(end_of_header + 4);
        let Some(first) = text.strip_prefix(BEGIN.as_bytes()) else {
            let is_notice = position(header, b"Auto-Submitted: auto-generated").is_some() && text.ends_with(b"\n");
            return if is_notice {
                Ok(None)
            } else {
                Err(format!("{} octets that are no post: {:?}", message.len(), shown()))
            };
        };
        let line = String::from_utf8_lossy(&first[..first.len().min(40)]).into_owned();
        let mut words = line.split(' ').step_by(2).map(str::parse::<u32>);
        let (Some(Ok(number)), Some(Ok(size))) = (words.next(), words.next()) else {
            return Err(format!("a damaged post: {:?}", shown()));
        };
        let held = position(header, STRANGER.as_bytes()).is_some();
        let post = Post { number, size: size as usize, held };
        let whole = post.text();
        if text != &whole[..] {
            let same = text.iter().zip(&whole[..]).take_while(|(left, right)| left == right).count();
            let (have, all) = (text.len(), whole.len());
            return Err(format!("post {number} is not whole: {have} of {all} octets, wrong from {same} on"));
        }
        Ok(Some(post))
    }
}

fn position(octets: &[u8], part: &[u8]) -> Option<usize> {
    octets.windows(part.len()).position(|window| window == part)
}

const BEGIN: &str = "text of post ";
