//! Values that are right one by one and wrong together.

use std::path::Path;

use regex::Regex;

use super::adapter::configured_plugins;
use super::error::{ConfigError, Notice};
use super::load::{Loaded, Origin};
use super::names::PLUGIN_PREFIXES;
use super::template::{TemplatePart, template_parts};
use super::types::{AdapterConfiguration, AdapterName, Config, SecureMode, SmtpAuth, Verp};
use crate::deliver::verp::VerpFormat;
use crate::lists::EmailAddress;
use crate::nearest::nearest;

/// What is wrong; the error is put at the first of the keys involved that the file has.
pub fn check(config: &Config, origins: &[Origin], file: &str) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut found = |keys: &[&str], message: String| {
        let origin = keys.iter().filter_map(|key| mta(origins, key)).find(|origin| origin.place.is_some());
        errors.push(match origin.and_then(|origin| Some((origin, origin.place.as_ref()?))) {
            Some((origin, place)) => ConfigError::at(place, message).with_key(&origin.section, origin.setting.key),
            None => ConfigError::in_file(file, message),
        });
    };
    let mta = &config.mta;
    let password = match (mta.smtp_pass.0.is_empty(), &mta.smtp_pass_file) {
        (false, Some(_)) => {
            found(&["smtp_pass_file"], "the password stands in `smtp_pass` too; set one of the two".to_owned());
            Some("smtp_pass_file")
        }
        (false, None) => Some("smtp_pass"),
        (true, Some(_)) => Some("smtp_pass_file"),
        (true, None) => None,
    };
    match (mta.smtp_user.is_empty(), password) {
        (true, Some(has)) => found(&[has], "SMTP AUTH needs `smtp_user` too; set both or neither".to_owned()),
        (false, None) => {
            found(
                &["smtp_user"],
                "SMTP AUTH needs `smtp_pass` (or smtp_pass_file) too; set both or neither".to_owned(),
            );
        }
        (true, None) if mta.smtp_auth != SmtpAuth::Auto => {
            found(&["smtp_auth"], "SMTP AUTH needs `smtp_user` and `smtp_pass` (or smtp_pass_file)".to_owned());
        }
        _ => {}
    }
    if mta.smtp_host.starts_with('/') && mta.smtp_secure_mode != SecureMode::Smtp {
        found(
            &["smtp_secure_mode"],
            "smtp_host is a Unix socket, which nobody can listen in on and which has no name that a certificate could be \
             for; set smtp_secure_mode to smtp"
                .to_owned(),
        );
    }
    for (format_key, regexp_key, problem) in verp(&mta.verp) {
        found(&[regexp_key, format_key, "verp_delimiter"], problem);
    }
    errors
}

/// Key of the format, key of the expression, the expression, what the format makes of a sample,
/// what that must begin with, and what the groups must be.
type Pair<'a> = (&'static str, &'static str, &'a str, String, &'a str, &'a [(&'a str, &'a str)]);

/// The three pairs of a format and an expression, each tried on a sample.
fn verp(verp: &Verp) -> Vec<(&'static str, &'static str, String)> {
    let mut problems = Vec::new();
    let sample = VerpFormat::parse(&verp.format).ok().zip(EmailAddress::parse("anne@example.com").ok());
    let verped = sample.map(|(format, anne)| format.expand("ants-bounces@lists.example.com", &anne));
    let confirm = fill(&verp.confirm_format, &[("address", "ants-confirm"), ("cookie", "0123456789abcdef")])
        + "@lists.example.com";
    let probe = fill(
        &verp.probe_format,
        &[("bounces", "ants-bounces"), ("token", "0123456789abcdef"), ("domain", "lists.example.com")],
    );
    let pairs: [Pair<'_>; 3] = [
        (
            "verp_format",
            "verp_regexp",
            &verp.regexp,
            verped.unwrap_or_default(),
            "ants-bounces",
            &[("bounces", "ants-bounces"), ("local", "anne"), ("domain", "example.com")],
        ),
        (
            "verp_confirm_format",
            "verp_confirm_regexp",
            &verp.confirm_regexp,
            confirm,
            "ants-confirm",
            &[("addr", "ants-confirm"), ("cookie", "0123456789abcdef")],
        ),
        (
            "verp_probe_format",
            "verp_probe_regexp",
            &verp.probe_regexp,
            probe,
            "ants-bounces",
            &[("bounces", "ants-bounces"), ("token", "0123456789abcdef")],
        ),
    ];
    for (format_key, regexp_key, regexp, address, base, expected) in pairs {
        let delimiter = &verp.delimiter;
        if !address.starts_with(&format!("{base}{delimiter}")) {
            problems.push((
                format_key,
                format_key,
                format!(
                    "{format_key} makes `{address}`, which verp_delimiter `{delimiter}` does not take apart; put \
                     `{delimiter}` behind {base}"
                ),
            ));
            continue;
        }
        let captures = Regex::new(regexp).ok();
        let captures = captures.as_ref().and_then(|regexp| regexp.captures(&address));
        let fits = captures.as_ref().is_some_and(|captures| {
            expected.iter().all(|(name, value)| captures.name(name).is_some_and(|part| part.as_str() == *value))
        });
        if !fits {
            problems.push((
                format_key,
                regexp_key,
                format!("{regexp_key} does not take apart what {format_key} makes, for instance `{address}`; adapt one of the two"),
            ));
        }
    }
    problems
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let parts = template_parts(template).unwrap_or_default();
    let value = |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
    parts
        .into_iter()
        .map(|part| match part {
            TemplatePart::Text(text) => text,
            TemplatePart::Name(name) => value(name),
        })
        .collect()
}

/// What is allowed and probably not meant.
pub fn notices(config: &Config, origins: &[Origin]) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut found = |key: &str, message: &str| {
        if let Some(place) = mta(origins, key).and_then(|origin| origin.place.clone()) {
            notices.push(Notice { place, message: message.to_owned() });
        }
    };
    let mta = &config.mta;
    let local = matches!(mta.smtp_host.as_str(), "localhost" | "::1")
        || mta.smtp_host.starts_with('/')
        || mta.smtp_host.starts_with("127.");
    if !mta.smtp_user.is_empty() && mta.smtp_secure_mode == SecureMode::Smtp && !local {
        found(
            "smtp_user",
            "name and password go over the network in the clear; set smtp_secure_mode to starttls or smtps",
        );
    }
    notices.extend(other_plugins_defaults(config, origins));
    notices
}

/// Tells of `configuration: plugin:NAME` when `[mta]` names no such plugin. Mailman would not find the module; here
/// it only shows that somebody mistyped the name or forgot to change it.
fn other_plugins_defaults(config: &Config, origins: &[Origin]) -> Option<Notice> {
    let origin = mta(origins, "configuration")?;
    let (prefix, named) =
        PLUGIN_PREFIXES.iter().find_map(|prefix| Some((*prefix, origin.text.strip_prefix(prefix)?)))?;
    let configured = configured_plugins(config);
    // What a file's plugin is called shows only when it is loaded.
    if configured.is_empty() || configured.contains(named) || matches!(config.mta.incoming, AdapterName::File { .. }) {
        return None;
    }
    let used: Vec<&str> = configured.iter().map(String::as_str).collect();
    let message = format!(
        "[mta] configuration: {} names the plugin `{named}`, which neither incoming nor outgoing does; used are the \
         defaults of {} ({prefix}{})",
        origin.text,
        used.join(" and "),
        nearest(named, used.iter().copied()).unwrap_or(used[0]),
    );
    Some(Notice { place: origin.place.clone()?, message })
}

/// Tells of a `configuration` file that cannot be opened. No error yet: only the adapter needs
/// it, and a command that calls no adapter must work without it.
pub fn missing_file(loaded: &Loaded) -> Option<Notice> {
    let AdapterConfiguration::File(file) = &loaded.config.mta.configuration else { return None };
    let place = mta(&loaded.origins, "configuration")?.place.clone()?;
    let message = unreadable(file)?;
    Some(Notice { place, message: format!("[mta] configuration: {message}") })
}

/// Why this file cannot be read, and what is allowed.
pub fn unreadable(file: &Path) -> Option<String> {
    let problem = match std::fs::File::open(file).and_then(|opened| opened.metadata()) {
        Ok(metadata) if metadata.is_dir() => "it is a directory".to_owned(),
        Ok(_) => return None,
        Err(error) => error.to_string(),
    };
    Some(format!(
        "`{}` cannot be read: {problem}; allowed is an existing file, or plugin:NAME for the plugin's own defaults",
        file.display()
    ))
}

fn mta<'a>(origins: &'a [Origin], key: &str) -> Option<&'a Origin> {
    origins.iter().find(|origin| origin.setting.section == "mta" && origin.setting.key == key)
}
