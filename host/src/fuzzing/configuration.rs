//! A configuration file of any content is read or refused, and what was read can be shown and read again.

use crate::config::Config;
use crate::config::ini::{self, BareKeys};

/// Input: the file.
pub(super) fn run(input: &[u8]) {
    let (file, _) = ini::parse("fuzz.cfg", input, BareKeys::Refused);
    for entry in file.sections.iter().flat_map(|section| &section.entries) {
        assert!(
            !entry.key.is_empty() && entry.key == entry.key.trim() && entry.value == entry.value.trim(),
            "{entry:?}"
        );
        assert!(!entry.value.contains(['\r', '\0']) && !entry.key.contains(char::is_control), "{entry:?}");
    }
    let text = String::from_utf8_lossy(input);
    match Config::from_text("fuzz.cfg", &text) {
        Ok(loaded) => {
            let mta = &loaded.config.mta;
            for value in [&mta.smtp_host, &mta.lmtp_host] {
                assert!(!value.chars().any(char::is_control), "{value:?} would go into a log or command");
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty(), "a refusal has a reason"),
    }
}
