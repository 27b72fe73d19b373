//! The table of a list's settings: what `postrider set` takes, what `postrider info` shows.

use super::{ListAddress, ListSettings, Personalize, PostAction};
use crate::nearest::nearest;
use crate::personal::{Template, TemplateError};

/// One setting of a list.
pub struct ListSetting {
    /// Its name.
    pub name: &'static str,
    /// What a value is: `text`, `lines` (a text of several), `number`, `boolean`, `action`, `choice`.
    pub kind: &'static str,
    /// The unit of a number; may be empty.
    pub unit: &'static str,
    /// The default; `Ants` stands for the list's name.
    pub default: &'static str,
    /// What is allowed; completes "allowed is …".
    pub allowed: &'static str,
    /// What it does; whole sentences.
    pub help: &'static str,
    show: fn(&ListSettings) -> String,
    set: fn(&mut ListSettings, &str) -> Option<()>,
}

/// Why a setting was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("a list has no setting `{key}`; {hint}")]
    Unknown {
        /// What was asked for.
        key: String,
        /// The nearest, or all.
        hint: String,
    },
    /// The value is not allowed.
    #[error("`{}` is no value for `{key}`; allowed is {allowed}", value.escape_debug())]
    Value {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A header or footer is no template.
    #[error("the {key} cannot be so: {error}")]
    Template {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        error: TemplateError,
    },
    /// A header or footer has what only a copy of one's own can have.
    #[error(
        "the {key} has `{variable}`, which is different for each member, but all members get the same copy; set \
         personalize=individual (or full) with it, or take it out"
    )]
    NotPersonal {
        /// The setting.
        key: &'static str,
        /// As it is written.
        variable: String,
    },
}

/// Every setting, in the order in which they are shown.
pub static LIST_SETTINGS: [ListSetting; 10] = [
    ListSetting {
        name: "display_name",
        kind: "text",
        unit: "",
        default: "Ants",
        allowed: "one line of at most 200 characters, not empty",
        help: "What people call the list; stands in List-Id and in mail to members.",
        show: |settings| settings.display_name.clone(),
        set: |settings, value| {
            settings.display_name = line(value).filter(|text| !text.is_empty())?;
            Some(())
        },
    },
    ListSetting {
        name: "description",
        kind: "text",
        unit: "",
        default: "",
        allowed: "one line of at most 200 characters",
        help: "One line about the list.",
        show: |settings| settings.description.clone(),
        set: |settings, value| {
            settings.description = line(value)?;
            Some(())
        },
    },
    ListSetting {
        name: "subject_prefix",
        kind: "text",
        unit: "",
        default: "[Ants] ",
        allowed: "one line of at most 200 characters; empty for none",
        help: "Put before the subject of every post, with one blank behind it.",
        show: |settings| settings.subject_prefix.clone(),
        set: |settings, value| {
            let text = line(value)?;
            settings.subject_prefix = if text.is_empty() { text } else { text + " " };
            Some(())
        },
    },
    ListSetting {
        name: "header",
        kind: "lines",
        unit: "",
        default: "",
        allowed: LINES,
        help: "Put before the text of every post. Breaks the author's DKIM signature, as every change does.",
        show: |settings| settings.header.clone(),
        set: |settings, value| {
            value.clone_into(&mut settings.header);
            Some(())
        },
    },
    ListSetting {
        name: "footer",
        kind: "lines",
        unit: "",
        default: "",
        allowed: LINES,
        help: "Put behind the text of every post. Breaks the author's DKIM signature, as every change does.",
        show: |settings| settings.footer.clone(),
        set: |settings, value| {
            value.clone_into(&mut settings.footer);
            Some(())
        },
    },
    ListSetting {
        name: "personalize",
        kind: "choice",
        unit: "",
        default: "none",
        allowed: "none (the same copy for all), individual (each member's own, with his values in header and footer) or \
                  full (To: names him too)",
        help: "Whether each member gets a copy of his own. Such copies go out one by one.",
        show: |settings| settings.personalize.as_str().to_owned(),
        set: |settings, value| {
            settings.personalize = Personalize::parse(value)?;
            Some(())
        },
    },
    ListSetting {
        name: "max_message_size",
        kind: "number",
        unit: "KiB",
        default: "40",
        allowed: "a whole number of KiB from 0 to 1048576; 0 for no limit",
        help: "The largest post that passes; a larger one is held.",
        show: |settings| settings.max_message_size.to_string(),
        set: |settings, value| {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            settings.max_message_size = value.parse().ok().filter(|size| digits && *size <= LARGEST_MESSAGE)?;
            Some(())
        },
    },
    ListSetting {
        name: "skip_addressed",
        kind: "boolean",
        unit: "",
        default: "no",
        allowed: "yes or no",
        help: "Whether members that a post names in To or Cc get no second copy through the list.",
        show: |settings| if settings.skip_addressed { "yes" } else { "no" }.to_owned(),
        set: |settings, value| {
            settings.skip_addressed = match value.to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" | "1" => true,
                "no" | "false" | "off" | "0" => false,
                _ => return None,
            };
            Some(())
        },
    },
    ListSetting {
        name: "nonmember_action",
        kind: "action",
        unit: "",
        default: "hold",
        allowed: ACTIONS,
        help: "What becomes of posts from people who are not members.",
        show: |settings| settings.nonmember_action.as_str().to_owned(),
        set: |settings, value| {
            settings.nonmember_action = PostAction::parse(value)?;
            Some(())
        },
    },
    ListSetting {
        name: "member_action",
        kind: "action",
        unit: "",
        default: "accept",
        allowed: ACTIONS,
        help: "What becomes of posts from members.",
        show: |settings| settings.member_action.as_str().to_owned(),
        set: |settings, value| {
            settings.member_action = PostAction::parse(value)?;
            Some(())
        },
    },
];

const LINES: &str = "a text of at most 8,192 octets with $variables, as postrider(1) lists them; empty for none";
const ACTIONS: &str = "accept, hold (for a moderator), reject (sent back) or discard (thrown away)";
/// 1 GiB, in KiB: more never comes in by LMTP.
const LARGEST_MESSAGE: u64 = 1 << 20;
/// Longest text of a setting, in characters: it becomes part of headers.
const LONGEST_TEXT: usize = 200;

/// What Mailman calls them.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("default_nonmember_action", "nonmember_action"),
    ("default_member_action", "member_action"),
    ("msg_header", "header"),
    ("msg_footer", "footer"),
];

impl ListSettings {
    /// What a new list begins with: `display_name` is its name with a capital, and
    /// `subject_prefix` is that in brackets.
    pub fn defaults_for(address: &ListAddress) -> Self {
        let mut display_name = address.name.as_str().to_owned();
        // Names of lists are ASCII.
        if let Some(first) = display_name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        ListSettings { subject_prefix: format!("[{display_name}] "), display_name, ..ListSettings::default() }
    }

    /// Changes a setting, by its name here or Mailman's.
    ///
    /// # Errors
    /// There is no such setting, or the value is not allowed; nothing was changed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = find(key)?;
        let error = || SettingError::Value { key: setting.name, value: value.to_owned(), allowed: setting.allowed };
        if setting.kind == "lines" {
            let lines = lines(value);
            Template::parse(&lines).map_err(|error| SettingError::Template { key: setting.name, error })?;
            return (setting.set)(self, &lines).ok_or_else(error);
        }
        (setting.set)(self, value.trim()).ok_or_else(error)
    }

    /// Whether the settings fit each other. Asked when all that change together are set.
    ///
    /// # Errors
    /// [`SettingError::NotPersonal`].
    pub fn check(&self) -> Result<(), SettingError> {
        if self.personalize != Personalize::None {
            return Ok(());
        }
        for (key, text) in [("header", &self.header), ("footer", &self.footer)] {
            let template = Template::parse(text).map_err(|error| SettingError::Template { key, error })?;
            if let Some(variable) = template.first_own() {
                return Err(SettingError::NotPersonal { key, variable: variable.to_owned() });
            }
        }
        Ok(())
    }

    /// The value of a setting in the form that [`ListSettings::set`] takes.
    ///
    /// # Errors
    /// There is no such setting.
    pub fn value(&self, key: &str) -> Result<String, SettingError> {
        Ok((find(key)?.show)(self))
    }

    /// Every setting with its value, in the order in which they are shown.
    pub fn values(&self) -> impl Iterator<Item = (&'static ListSetting, String)> + '_ {
        LIST_SETTINGS.iter().map(|setting| (setting, (setting.show)(self)))
    }
}

fn find(key: &str) -> Result<&'static ListSetting, SettingError> {
    let folded = key.trim().to_lowercase();
    let name = OTHER_NAMES.iter().find(|(other, _)| *other == folded).map_or(folded.as_str(), |(_, name)| name);
    LIST_SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        let names = || LIST_SETTINGS.iter().map(|setting| setting.name);
        let hint = match nearest(key, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        SettingError::Unknown { key: key.to_owned(), hint }
    })
}

/// A text of lines as it is kept: they end in LF, the last has no end; nothing if there is nothing to see.
fn lines(value: &str) -> String {
    let text = value.replace("\r\n", "\n");
    if text.trim().is_empty() { String::new() } else { text.trim_end_matches('\n').to_owned() }
}

/// The text when it may become part of a header.
fn line(value: &str) -> Option<String> {
    let good = value.chars().count() <= LONGEST_TEXT && !value.chars().any(char::is_control);
    good.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ListSettings {
        ListSettings::defaults_for(&ListAddress::parse("ants@example.com").expect("address"))
    }

    #[test]
    fn a_new_list_has_mailmans_defaults() {
        let settings = settings();
        for (setting, value) in settings.values() {
            assert_eq!(value, setting.default, "{}", setting.name);
        }
        let dotted = ListSettings::defaults_for(&ListAddress::parse("dev.team@example.com").expect("address"));
        assert_eq!(dotted.subject_prefix, "[Dev.team] ");
    }

    #[test]
    fn every_setting_can_be_set_and_is_shown_as_it_was_set() {
        let mut settings = settings();
        for (key, value, shown) in [
            ("display_name", "The Ants", "The Ants"),
            ("description", "All about ants", "All about ants"),
            ("subject_prefix", "[A]", "[A] "),
            ("max_message_size", "0", "0"),
            ("skip_addressed", "ON", "yes"),
            ("nonmember_action", "Discard", "discard"),
            ("member_action", "hold", "hold"),
            ("default_nonmember_action", "reject", "reject"),
            ("header", " \n\n", ""),
            ("footer", "\n-- \r\n$list_name\r\n\r\n", "\n-- \n$list_name"),
            ("msg_header", "x", "x"),
            ("personalize", "Full", "full"),
        ] {
            settings.set(key, value).expect(key);
            assert_eq!(settings.value(key).as_deref(), Ok(shown), "{key}");
        }
        settings.set("subject_prefix", "").expect("empty");
        assert_eq!(settings.subject_prefix, "");
        for setting in &LIST_SETTINGS {
            let mut copy = settings.clone();
            copy.set(setting.name, &settings.value(setting.name).expect("value")).expect(setting.name);
            assert_eq!(copy, settings);
        }
    }

    #[test]
    fn an_unknown_setting_names_the_nearest() {
        let error = settings().set("subject_prefx", "x").expect_err("unknown").to_string();
        assert_eq!(error, "a list has no setting `subject_prefx`; did you mean `subject_prefix`?");
        assert!(settings().set("xyzzy", "x").expect_err("unknown").to_string().contains("there are display_name,"));
    }

    #[test]
    fn a_wrong_value_says_what_is_allowed_and_changes_nothing() {
        let mut changed = settings();
        let long = "x".repeat(201);
        for (key, value) in [
            ("display_name", ""),
            ("display_name", "a\r\nBcc: x@example.com"),
            ("description", &long),
            ("subject_prefix", "a\nb"),
            ("max_message_size", "40M"),
            ("max_message_size", "+4"),
            ("max_message_size", "-1"),
            ("max_message_size", "1048577"),
            ("skip_addressed", "maybe"),
            ("nonmember_action", "defer"),
            ("personalize", "yes"),
        ] {
            let error = changed.set(key, value).expect_err(key).to_string();
            assert!(error.contains("; allowed is "), "{error}");
        }
        assert_eq!(changed, settings());
    }

    #[test]
    fn a_wrong_template_says_where_and_changes_nothing() {
        let mut changed = settings();
        for (value, told) in [
            (
                "a\n$user_nam",
                "the footer cannot be so: line 2: there is no variable `$user_nam`; did you mean `$user_name`?",
            ),
            ("a\0", "line 1: it contains the control character"),
            (&"x".repeat(9000), "9000 octets"),
        ] {
            let error = changed.set("footer", value).expect_err(value).to_string();
            assert!(error.contains(told), "{error}");
        }
        assert_eq!(changed, settings());
    }

    #[test]
    fn what_is_each_members_own_needs_a_copy_of_his_own() {
        for key in ["header", "footer"] {
            let mut settings = settings();
            settings.set(key, "For ${user_email}").expect(key);
            let error = settings.check().expect_err(key).to_string();
            assert!(error.starts_with(&format!("the {key} has `${{user_email}}`, which is different")), "{error}");
            settings.set("personalize", "individual").expect("individual");
            assert_eq!(settings.check(), Ok(()));
            settings.set("personalize", "none").expect("none");
            settings.set(key, "For $list_name, 5 $$user_email").expect(key);
            assert_eq!(settings.check(), Ok(()));
        }
    }

    #[test]
    fn settings_of_older_and_newer_versions_are_read() {
        let json = serde_json::to_string(&settings()).expect("JSON");
        assert!(json.contains("\"nonmember_action\":\"hold\""), "{json}");
        assert_eq!(serde_json::from_str::<ListSettings>(&json).expect("reads back"), settings());
        let other: ListSettings = serde_json::from_str(r#"{"display_name":"X","from_the_future":[1]}"#).expect("reads");
        assert_eq!((other.display_name.as_str(), other.max_message_size), ("X", 40));
    }
}
