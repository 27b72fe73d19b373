//! In place of qmail-queue: keeps what comes on the descriptors 0 and 1, and exits as it is told.

use super::local;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A program that is called like qmail-queue.
#[derive(Debug)]
pub struct Queue {
    directory: PathBuf,
}

/// What one run was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// Envelope sender, as given: with VERP it ends in `-@[]`.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// The message.
    pub message: Vec<u8>,
}

impl Injected {
    /// Each recipient with the sender that it sees.
    pub fn deliveries(&self) -> Vec<(String, String)> {
        let one = |recipient: &String| (local::for_one_recipient(&self.sender, recipient), recipient.clone());
        self.recipients.iter().map(one).collect()
    }
}

impl Queue {
    /// Puts the program at this path and what it is given into this directory.
    ///
    /// # Panics
    /// They cannot be written.
    pub fn install(program: &Path, directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let shown = directory.display();
        // The message first, as the real one does it; a run that ends early leaves no envelope.
        let text = format!(
            "#!/bin/sh\nset -e\numask 022\nkept=$(mktemp -d '{shown}/run.XXXXXX')\ncat >\"$kept/message\"\n\
             cat <&1 >\"$kept/envelope\"\nread code <'{shown}/code'\ntest \"$code\" = 0 || exit \"$code\"\n\
             mv \"$kept\" '{shown}/queued.'\"${{kept##*.}}\"\n"
        );
        super::write_program(program, &text);
        let queue = Queue { directory: directory.to_owned() };
        queue.exit_with(0);
        queue
    }

    /// From now on it exits so and queues nothing, unless the code is 0.
    ///
    /// # Panics
    /// The code cannot be written.
    pub fn exit_with(&self, code: u8) {
        fs::write(self.directory.join("code"), format!("{code}\n")).expect("the code");
    }

    /// What was queued, in no order.
    ///
    /// # Panics
    /// An envelope is not as qmail-queue(8) wants it: then the real one had exited with the code that the panic
    /// names.
    pub fn queued(&self) -> Vec<Injected> {
        self.runs("queued.")
    }

    /// What came while it refused.
    ///
    /// # Panics
    /// As [`Queue::queued`].
    pub fn refused(&self) -> Vec<Injected> {
        self.runs("run.")
    }

    fn runs(&self, beginning: &str) -> Vec<Injected> {
        let entries = fs::read_dir(&self.directory).expect("the directory").map(|entry| entry.expect("an entry"));
        let runs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning));
        runs.filter_map(|run| {
            // A run that goes on has no envelope yet, or not the whole.
            let envelope = fs::read(run.path().join("envelope")).ok().filter(|envelope| envelope.ends_with(b"\0\0"))?;
            let (sender, recipients) = parse(&envelope).unwrap_or_else(|code| panic!("exit code {code}: {envelope:?}"));
            Some(Injected { sender, recipients, message: fs::read(run.path().join("message")).ok()? })
        })
        .collect()
    }
}

/// Most octets of an address and its NUL.
const LONGEST: usize = 1003;

/// Sender and recipients, or the exit code of qmail-queue.
fn parse(envelope: &[u8]) -> Result<(String, Vec<String>), u8> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut rest = envelope;
    let mut next = |kind: u8| -> Result<Option<Vec<u8>>, u8> {
        match rest.first() {
            None => Err(54),
            Some(0) if kind == b'T' => Ok(None),
            Some(first) if *first != kind => Err(91),
            Some(_) => {
                let end = rest.iter().position(|octet| *octet == 0).ok_or(54)?;
                if end > LONGEST {
                    return Err(11);
                }
                let address = rest[1..end].to_vec();
                rest = &rest[end + 1..];
                Ok(Some(address))
            }
        }
    };
    let sender = next(b'F')?.unwrap_or_default();
    let mut recipients = Vec::new();
    while let Some(recipient) = next(b'T')? {
        recipients.push(text(&recipient));
    }
    Ok((text(&sender), recipients))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_judged_as_qmail_queue_does_it() {
        assert_eq!(parse(b"Fa@b\0Tc@d\0Te@f\0\0"), Ok(("a@b".into(), vec!["c@d".into(), "e@f".into()])));
        assert_eq!(parse(b"F\0\0"), Ok((String::new(), vec![])));
        assert_eq!(parse(b"Fa@b\0Tc@d\0"), Err(54), "the end is missing");
        assert_eq!(parse(b"Fa@b\0Tc@d"), Err(54));
        assert_eq!(parse(b"Ta@b\0\0"), Err(91));
        assert_eq!(parse(b"Fa@b\0Fc@d\0\0"), Err(91));
        let long = [b"F", "a".repeat(1003).as_bytes(), b"\0\0"].concat();
        assert_eq!(parse(&long), Err(11));
    }
}
