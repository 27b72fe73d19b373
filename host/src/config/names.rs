//! Names of adapters, as Postrider and as Mailman write them.
//!
//! | value | means |
//! |---|---|
//! | `postfix.LMTP`, `dylib:postfix.LMTP` | adapter `LMTP` of the plugin `postfix` |
//! | `dylib:/opt/acme/libacme.so:LMTP` | that file, that adapter |
//! | `mailman.mta.postfix.LMTP`, also with `python:` before it | the same as `postfix.LMTP` |
//! | `null.NullMTA`, `mailman.mta.null.NullMTA` | no adapter: the MTA needs not be told |
//! | `deliver`, `mailman.mta.deliver.deliver` | outgoing only: the host's own SMTP delivery |

use std::fmt;
use std::path::{Path, PathBuf};

use super::types::{AdapterConfiguration, AdapterName, OutgoingName};

const MAILMAN_PACKAGE: &str = "mailman.mta.";
/// What stands before the name of a plugin in `configuration`: ours, and Mailman's.
pub(super) const PLUGIN_PREFIXES: [&str; 2] = ["plugin:", "python:mailman.config."];

impl AdapterName {
    /// Parses the value of `incoming`.
    ///
    /// # Errors
    /// What is wrong with the name; empty when it is in no known form.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix("dylib:/") {
            let (file, adapter) = file
                .rsplit_once(':')
                .ok_or_else(|| format!("`{text}` does not name the adapter; write dylib:/FILE.so:ADAPTER"))?;
            check_adapter(adapter)?;
            if file.is_empty() {
                return Err(format!("`{text}` names no file"));
            }
            return Ok(AdapterName::File { file: Path::new("/").join(file), adapter: adapter.to_owned() });
        }
        let plain = text.strip_prefix("dylib:").or_else(|| text.strip_prefix("python:")).unwrap_or(text);
        let name = plain.strip_prefix(MAILMAN_PACKAGE).unwrap_or(plain);
        let Some((plugin, adapter)) = name.split_once('.') else {
            return Err(format!("`{text}` names no adapter; write PLUGIN.ADAPTER, for instance postfix.LMTP"));
        };
        if adapter.contains('.') {
            return Err(format!("`{text}` looks like a Python class, and those cannot be loaded"));
        }
        check_plugin(plugin)?;
        check_adapter(adapter)?;
        if (plugin, adapter) == ("null", "NullMTA") {
            return Ok(AdapterName::Null);
        }
        if plugin == "deliver" {
            return Err(format!("`{text}` delivers outgoing mail; it cannot be used for incoming mail"));
        }
        Ok(AdapterName::Named { plugin: plugin.to_owned(), adapter: adapter.to_owned() })
    }
}

impl OutgoingName {
    /// Parses the value of `outgoing`.
    ///
    /// # Errors
    /// What is wrong with the name; empty when it is in no known form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text.strip_prefix("python:").unwrap_or(text);
        if matches!(plain.strip_prefix(MAILMAN_PACKAGE).unwrap_or(plain), "deliver" | "deliver.deliver") {
            return Ok(OutgoingName::Deliver);
        }
        match AdapterName::parse(text)? {
            AdapterName::Null => Err(format!("`{text}` delivers nothing; it cannot be used for outgoing mail")),
            name => Ok(OutgoingName::Adapter(name)),
        }
    }
}

impl AdapterConfiguration {
    /// Parses the value of `configuration`.
    ///
    /// # Errors
    /// What is wrong with the value; empty when it is in no known form.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(AdapterConfiguration::Defaults);
        }
        if let Some(plugin) = PLUGIN_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            check_plugin(plugin)?;
            return Ok(AdapterConfiguration::Defaults);
        }
        if let Some(module) = text.strip_prefix("python:") {
            return Err(format!("`{module}` is a Python module, and those cannot be loaded"));
        }
        if text.starts_with('/') {
            return Ok(AdapterConfiguration::File(PathBuf::from(text)));
        }
        Err(String::new())
    }
}

/// Names of plugins become file names, so nothing but `[a-z0-9_]+` is taken.
fn check_plugin(name: &str) -> Result<(), String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Ok(());
    }
    Err(format!("`{name}` is no name of a plugin; such a name has lower case letters, digits and underscores only"))
}

pub(crate) fn check_adapter(name: &str) -> Result<(), String> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(format!("`{name}` is no name of an adapter; such a name has letters, digits and underscores only"))
}

impl fmt::Display for AdapterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdapterName::Named { plugin, adapter } => write!(f, "{plugin}.{adapter}"),
            AdapterName::File { file, adapter } => write!(f, "dylib:{}:{adapter}", file.display()),
            AdapterName::Null => f.write_str("null.NullMTA"),
        }
    }
}

impl fmt::Display for OutgoingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutgoingName::Deliver => f.write_str("deliver"),
            OutgoingName::Adapter(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailmans_names_and_ours_mean_the_same() {
        let postfix = AdapterName::Named { plugin: "postfix".into(), adapter: "LMTP".into() };
        for text in
            ["postfix.LMTP", "dylib:postfix.LMTP", "mailman.mta.postfix.LMTP", "python:mailman.mta.postfix.LMTP"]
        {
            assert_eq!(AdapterName::parse(text), Ok(postfix.clone()), "{text}");
        }
        assert_eq!(
            AdapterName::parse("mailman.mta.exim4.LMTP").map(|name| name.to_string()),
            Ok("exim4.LMTP".to_owned())
        );
        for text in ["null.NullMTA", "mailman.mta.null.NullMTA"] {
            assert_eq!(AdapterName::parse(text), Ok(AdapterName::Null), "{text}");
        }
        for text in ["deliver", "deliver.deliver", "mailman.mta.deliver.deliver", "python:mailman.mta.deliver.deliver"]
        {
            assert_eq!(OutgoingName::parse(text), Ok(OutgoingName::Deliver), "{text}");
        }
        assert_eq!(OutgoingName::parse("qmail.Queue").map(|name| name.to_string()), Ok("qmail.Queue".to_owned()));
    }

    #[test]
    fn a_file_is_named_with_its_adapter() {
        let name = AdapterName::File { file: "/opt/acme/libacme.so".into(), adapter: "LMTP".into() };
        assert_eq!(AdapterName::parse("dylib:/opt/acme/libacme.so:LMTP"), Ok(name.clone()));
        assert_eq!(AdapterName::parse(&name.to_string()), Ok(name));
        for text in ["dylib:/opt/acme/libacme.so", "dylib:/:LMTP", "dylib:/opt/a.so:", "dylib:opt/a.so:LMTP"] {
            assert!(AdapterName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_could_leave_the_plugin_path_cannot_be_made() {
        for text in [
            "",
            "postfix",
            "Postfix.LMTP",
            "../evil.LMTP",
            "post-fix.LMTP",
            ".LMTP",
            "postfix.",
            "a b.LMTP",
            "my.own.Class",
            "postfix.LM/TP",
            "deliver.deliver",
            "/opt/acme/libacme.so:LMTP",
        ] {
            assert!(AdapterName::parse(text).is_err(), "{text:?}");
        }
        assert!(OutgoingName::parse("null.NullMTA").is_err());
    }

    #[test]
    fn adapters_are_configured_by_default_or_by_an_absolute_file() {
        for text in ["", "plugin:postfix", "python:mailman.config.postfix", "python:mailman.config.exim4"] {
            assert_eq!(AdapterConfiguration::parse(text), Ok(AdapterConfiguration::Defaults), "{text}");
        }
        assert_eq!(
            AdapterConfiguration::parse("/etc/postrider/postfix.cfg"),
            Ok(AdapterConfiguration::File("/etc/postrider/postfix.cfg".into()))
        );
        for text in ["postfix.cfg", "python:my.module", "plugin:", "plugin:../x"] {
            assert!(AdapterConfiguration::parse(text).is_err(), "{text}");
        }
    }
}
