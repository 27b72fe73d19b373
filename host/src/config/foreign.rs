//! Sections and keys of Mailman's that mean nothing here. They are accepted, so that a
//! `mailman.cfg` can be used as it is, and each is told in a notice.

/// Sections that do not concern us; a name that ends in a dot stands for all that begin with it.
const SECTIONS: [&str; 17] = [
    "ARC",
    "antispam",
    "archiver.",
    "bounces",
    "devmode",
    "digests",
    "dmarc",
    "language.",
    "logging.",
    "nntp",
    "passwords",
    "plugin.",
    "runner.",
    "shell",
    "styles",
    "urlpatterns",
    "webservice",
];

/// Keys that do not concern us, in sections that do.
const KEYS: [(&str, &[&str]); 4] = [
    ("mta", &["max_autoresponses_per_day", "remove_dkim_headers"]),
    (
        "postrider",
        &[
            "anonymous_list_keep_headers",
            "cache_life",
            "check_max_size_on_filtered_message",
            "default_language",
            "dsn_lifetime",
            "email_commands_max_lines",
            "filter_report",
            "filtered_messages_are_preservable",
            "hold_digest",
            "html_to_plain_text_command",
            "listname_chars",
            "masthead_threshold",
            "moderator_request_life",
            "pending_request_life",
            "post_hook",
            "pre_hook",
            "run_tasks_every",
            "sender_headers",
        ],
    ),
    ("database", &["class", "debug"]),
    (
        "paths",
        &[
            "archive_dir",
            "bin_dir",
            "cache_dir",
            "etc_dir",
            "ext_dir",
            "list_data_dir",
            "lock_file",
            "messages_dir",
            "pid_file",
            "queue_dir",
            "template_dir",
        ],
    ),
];

/// Whether Mailman has this section and we do not.
pub fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|known| match known.strip_suffix('.') {
        Some(_) => name.len() > known.len() && name.starts_with(known),
        None => *known == name,
    })
}

/// Whether Mailman has this key in this section of ours and we do not.
pub fn is_key(section: &str, key: &str) -> bool {
    KEYS.iter().any(|(known, keys)| *known == section && keys.contains(&key))
}

/// Sections with whole names, to find the nearest of.
pub fn sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.into_iter().filter(|name| !name.ends_with('.'))
}
