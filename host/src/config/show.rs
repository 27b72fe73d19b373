//! What `postrider conf` prints.
//!
//! The text form is ini that reads back to the same configuration; where a value came from stands
//! in a comment above it, values without such a comment are defaults. Secrets are masked unless
//! they are asked for.

use std::fmt::Write as _;

use serde::Serialize;

use super::ini;
use super::load::{Loaded, Origin};
use super::table::{self, SECTIONS};
use super::types::Config;
use crate::nearest::nearest;

/// How it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// JSON instead of ini.
    pub json: bool,
    /// Passwords in the clear.
    pub secrets: bool,
}

/// What was asked for does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShowError {
    /// No such section.
    #[error("there is no section `{section}`; {hint}")]
    Section {
        /// What was asked for.
        section: String,
        /// What there is.
        hint: String,
    },
    /// No such key.
    #[error("there is no key `{key}`{place}; {hint}")]
    Key {
        /// What was asked for.
        key: String,
        /// ` in [section]`, or nothing.
        place: String,
        /// What there is.
        hint: String,
    },
}

/// Everything.
pub fn print_all(loaded: &Loaded, show: Show) -> String {
    print(loaded, &loaded.origins.iter().collect::<Vec<_>>(), show)
}

/// One section; `mailman` is as good as `postrider`.
///
/// # Errors
/// There is no such section.
pub fn print_section(loaded: &Loaded, section: &str, show: Show) -> Result<String, ShowError> {
    Ok(print(loaded, &of_section(loaded, section)?, show))
}

/// One key with its explanation, in one section or in every section that has it.
///
/// # Errors
/// There is no such section or key.
pub fn print_key(loaded: &Loaded, section: Option<&str>, key: &str, show: Show) -> Result<String, ShowError> {
    let found = find_key(loaded, section, key)?;
    if show.json {
        return Ok(json(&found, show));
    }
    let mut text = String::new();
    for origin in found {
        let setting = origin.setting;
        let separator = if text.is_empty() { "" } else { "\n" };
        let from =
            origin.place.as_ref().map_or_else(|| "This is the default.".to_owned(), |place| format!("From {place}."));
        // Writing to a string does not fail, here and below.
        let _ = writeln!(text, "{separator}[{}]\n{}# {from}", origin.section, super::sample::explain(setting));
        text.push_str(&line(origin, show));
    }
    Ok(text)
}

/// The bare value of one key, for scripts; masked when it is a secret.
///
/// # Errors
/// There is no such section or key.
pub fn value(loaded: &Loaded, section: Option<&str>, key: &str) -> Result<String, ShowError> {
    Ok(find_key(loaded, section, key)?.first().map(|origin| shown(origin, Show::default())).unwrap_or_default())
}

/// The built-in defaults as a whole file.
pub fn defaults(show: Show) -> String {
    let loaded = Config::built_in();
    if show.json {
        return print_all(&loaded, show);
    }
    ini::write(by_section(&loaded.origins.iter().collect::<Vec<_>>()).into_iter().map(|(section, origins)| {
        (section, origins.into_iter().map(|origin| (origin.setting.key, shown(origin, show))).collect())
    }))
}

/// The annotated sample file.
pub fn sample() -> String {
    super::sample::sample_config()
}

fn print(loaded: &Loaded, origins: &[&Origin], show: Show) -> String {
    if show.json {
        return json(origins, show);
    }
    let mut text = match &loaded.config.file {
        Some(file) => format!("# The configuration as read from {}.\n", file.display()),
        None => "# The configuration without a file.\n".to_owned(),
    };
    text.push_str("# Values without a remark are defaults.\n");
    for (section, origins) in by_section(origins) {
        let _ = writeln!(text, "\n[{section}]");
        for origin in origins {
            if let Some(place) = &origin.place {
                let _ = writeln!(text, "# {place}");
            }
            text.push_str(&line(origin, show));
        }
    }
    text
}

fn line(origin: &Origin, show: Show) -> String {
    let value = shown(origin, show).replace('\n', ini::CONTINUATION);
    let blank = if value.is_empty() { "" } else { " " };
    format!("{}:{blank}{value}\n", origin.setting.key)
}

fn shown(origin: &Origin, show: Show) -> String {
    if origin.setting.kind.secret && !show.secrets && !origin.text.is_empty() {
        return "********".to_owned();
    }
    origin.text.clone()
}

/// Runs of values of one section.
fn by_section<'a>(origins: &[&'a Origin]) -> Vec<(&'a str, Vec<&'a Origin>)> {
    let mut sections: Vec<(&str, Vec<&Origin>)> = Vec::new();
    for origin in origins {
        match sections.last_mut() {
            Some((section, known)) if *section == origin.section => known.push(origin),
            _ => sections.push((&origin.section, vec![origin])),
        }
    }
    sections
}

fn of_section<'a>(loaded: &'a Loaded, section: &str) -> Result<Vec<&'a Origin>, ShowError> {
    let name = if section == "mailman" { "postrider" } else { section };
    let found: Vec<&Origin> =
        loaded.origins.iter().filter(|origin| origin.section == name || origin.setting.section == name).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let known = SECTIONS.iter().map(|(name, _)| *name);
    let hint = match nearest(section, known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Err(ShowError::Section { section: section.to_owned(), hint })
}

fn find_key<'a>(loaded: &'a Loaded, section: Option<&str>, key: &str) -> Result<Vec<&'a Origin>, ShowError> {
    let candidates: Vec<&Origin> = match section {
        Some(section) => of_section(loaded, section)?,
        None => loaded.origins.iter().collect(),
    };
    let folded = key.to_lowercase();
    let matches = |origin: &&Origin| {
        table::setting(origin.setting.section, &folded).is_some_and(|setting| std::ptr::eq(setting, origin.setting))
    };
    let found: Vec<&Origin> = candidates.iter().copied().filter(matches).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let hint = match nearest(key, candidates.iter().map(|origin| origin.setting.key)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "see `postrider conf` for all".to_owned(),
    };
    let place = section.map(|section| format!(" in [{section}]")).unwrap_or_default();
    Err(ShowError::Key { key: key.to_owned(), place, hint })
}

/// One value in JSON.
#[derive(Serialize)]
struct Shown<'a> {
    section: &'a str,
    key: &'a str,
    value: String,
    is_default: bool,
    file: Option<&'a str>,
    line: Option<usize>,
    #[serde(rename = "type")]
    kind: &'a str,
    unit: &'a str,
    allowed: &'a str,
    default: &'a str,
    takes_effect: &'a str,
    help: &'a str,
}

fn json(origins: &[&Origin], show: Show) -> String {
    let values: Vec<Shown<'_>> = origins
        .iter()
        .map(|origin| Shown {
            section: &origin.section,
            key: origin.setting.key,
            value: shown(origin, show),
            is_default: origin.place.is_none(),
            file: origin.place.as_ref().map(|place| &*place.file),
            line: origin.place.as_ref().map(|place| place.line),
            kind: origin.setting.kind.name,
            unit: origin.setting.unit,
            allowed: origin.setting.kind.allowed,
            default: origin.setting.default,
            takes_effect: origin.setting.effect.as_str(),
            help: origin.setting.help,
        })
        .collect();
    // Strings, numbers and booleans always become JSON.
    serde_json::to_string_pretty(&values).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[mta]\nsmtp_host: mail.example.com\nsmtp_user: u\nsmtp_pass: a;b#c\nsmtp_secure_mode: starttls\n[plugins]\npath:\n  /a\n  /b\n";

    fn loaded() -> Loaded {
        Config::from_text("t.cfg", TEXT).expect("config")
    }

    fn texts(loaded: &Loaded) -> Vec<(&str, &str, &str)> {
        loaded.origins.iter().map(|o| (o.section.as_str(), o.setting.key, o.text.as_str())).collect()
    }

    #[test]
    fn what_is_printed_reads_back_to_the_same_values() {
        let loaded = loaded();
        let text = print_all(&loaded, Show { secrets: true, json: false });
        let again = Config::from_text("printed", &text).expect(&text);
        assert_eq!(texts(&again), texts(&loaded));
        let text = defaults(Show::default());
        let again = Config::from_text("defaults", &text).expect(&text);
        assert_eq!(texts(&again), texts(&Config::built_in()));
    }

    #[test]
    fn every_value_tells_where_it_came_from() {
        let text = print_all(&loaded(), Show::default());
        assert!(text.contains("# t.cfg:2\nsmtp_host: mail.example.com\n"), "{text}");
        assert!(text.contains("\nsmtp_port: 25\n"), "{text}");
        assert!(
            text.contains("[paths.fhs]\nvar_dir: /var/lib/postrider\ndata_dir: /var/lib/postrider/data\n"),
            "{text}"
        );
        let json: serde_json::Value =
            serde_json::from_str(&print_all(&loaded(), Show { json: true, secrets: false })).expect("JSON");
        let host = json.as_array().and_then(|all| all.iter().find(|one| one["key"] == "smtp_host")).expect("host");
        assert_eq!((&host["file"], &host["line"], &host["is_default"]), (&"t.cfg".into(), &2.into(), &false.into()));
        let port = json.as_array().and_then(|all| all.iter().find(|one| one["key"] == "smtp_port")).expect("port");
        assert_eq!((&port["value"], &port["line"], &port["is_default"]), (&"25".into(), &().into(), &true.into()));
    }

    #[test]
    fn secrets_are_masked_unless_asked_for() {
        for json in [false, true] {
            assert!(!print_all(&loaded(), Show { json, secrets: false }).contains("a;b#c"));
            assert!(print_all(&loaded(), Show { json, secrets: true }).contains("a;b#c"));
        }
        assert!(!format!("{:?}", loaded()).contains("a;b#c"));
    }

    #[test]
    fn one_section_and_one_key() {
        let loaded = loaded();
        let section = print_section(&loaded, "mailman", Show::default()).expect("section");
        assert!(section.contains("[postrider]") && section.contains("site_owner") && !section.contains("[mta]"));
        assert!(print_section(&loaded, "paths.fhs", Show::default()).expect("paths").contains("data_dir"));
        let key = print_key(&loaded, Some("mta"), "max_recipients", Show::default()).expect("key");
        assert!(key.contains("# This is the default.\nmax_recipients: 10\n"), "{key}");
        let both = print_key(&loaded, None, "max_recipients", Show::default()).expect("key");
        assert!(both.contains("[mta]") && both.contains("[lmtp]"), "{both}");
        assert_eq!(value(&loaded, None, "SMTP_HOST").as_deref(), Ok("mail.example.com"));
    }

    #[test]
    fn what_does_not_exist_names_the_nearest() {
        let loaded = loaded();
        let error = print_section(&loaded, "mtaa", Show::default()).expect_err("section").to_string();
        assert_eq!(error, "there is no section `mtaa`; did you mean `mta`?");
        let error = print_key(&loaded, Some("mta"), "smtp_hots", Show::default()).expect_err("key").to_string();
        assert_eq!(error, "there is no key `smtp_hots` in [mta]; did you mean `smtp_host`?");
    }
}
