//! What the daemon can be asked.

use postrider_plugin_api::export::is_plugin_name;
use std::fmt;
use std::str::FromStr;

/// One request line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Are you there?
    Ping,
    /// There is something new in the spool.
    Spool,
    /// Domains, lists or members have changed.
    Lists,
    /// Read the configuration again.
    Reload,
    /// Load this plugin anew, or all whose files have changed.
    Plugins(Option<String>),
    /// How far deliveries are: of this outgoing message, or of all that are being delivered.
    Progress(Option<i64>),
    /// Say how you are.
    Status,
    /// Finish and end.
    Stop,
}

/// Each request and its word.
const WORDS: [(Request, &str); 8] = [
    (Request::Ping, "ping"),
    (Request::Spool, "spool"),
    (Request::Lists, "lists"),
    (Request::Reload, "reload"),
    (Request::Plugins(None), "plugins"),
    (Request::Progress(None), "progress"),
    (Request::Status, "status"),
    (Request::Stop, "stop"),
];

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no request; there are ping, spool, lists, reload, plugins, plugins NAME, progress, progress NUMBER, status and stop"
)]
pub struct UnknownRequest(pub String);

impl FromStr for Request {
    type Err = UnknownRequest;

    fn from_str(line: &str) -> Result<Self, UnknownRequest> {
        let word = line.trim_ascii();
        if let Some(plugin) = word.strip_prefix("plugins ").filter(|name| is_plugin_name(name)) {
            return Ok(Request::Plugins(Some(plugin.to_owned())));
        }
        if let Some(outgoing) = word.strip_prefix("progress ").and_then(|number| number.parse().ok()) {
            return Ok(Request::Progress(Some(outgoing)));
        }
        WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(request, _)| request.clone())
            .ok_or_else(|| UnknownRequest(word.chars().take(40).collect()))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Request::Plugins(Some(name)) = self {
            return write!(f, "plugins {name}");
        }
        if let Request::Progress(Some(outgoing)) = self {
            return write!(f, "progress {outgoing}");
        }
        let (_, word) = WORDS.iter().find(|(request, _)| request == self).ok_or(fmt::Error)?;
        f.write_str(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_a_word_that_means_it() {
        for (request, word) in WORDS {
            assert_eq!(request.to_string(), word);
            assert_eq!(format!(" {word}\r").parse(), Ok(request));
        }
        let one = Request::Plugins(Some("postfix".to_owned()));
        assert_eq!((one.to_string().parse(), one.to_string().as_str()), (Ok(one), "plugins postfix"));
        let one = Request::Progress(Some(12));
        assert_eq!((one.to_string().parse(), one.to_string().as_str()), (Ok(one), "progress 12"));
        for line in ["PING x", "progress x", "plugins ../x", "plugins a b"] {
            assert!(line.parse::<Request>().is_err(), "{line}");
        }
    }
}
