//! postrider.cfg(5): the table of all settings.

use super::roff::{Page, bold};
use postrider::config::{DEFAULT_FILE, Effect, FILE_VARIABLE, SECTIONS, SETTINGS, Setting, shown_default};

/// The page.
pub fn page() -> String {
    let mut page = Page::new("postrider.cfg", 5, "configuration of Postrider");
    page.section("DESCRIPTION");
    page.paragraphs(&format!(
        "The file is named with `postrider -C`, else by the environment variable `{FILE_VARIABLE}`, else it is \
         `{DEFAULT_FILE}`. Every setting has a default; `postrider conf` shows what is in effect and where it comes \
         from, `postrider conf --check` what is wrong."
    ));
    page.paragraphs(FORM);
    page.paragraphs(
        "In the daemon, a change takes effect after a reload (SIGHUP, `systemctl reload postrider`) or after a restart, \
         as is said below; commands read the file anew each time.",
    );
    for (section, about) in SECTIONS {
        page.section(&format!("\"SECTION [{}]\"", if section == "paths" { "paths.NAME" } else { section }));
        page.paragraphs(about);
        for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
            page.entry(&bold(setting.key), setting.help);
            let [allowed, default] = facts(setting);
            page.line(&allowed);
            page.line(&default);
        }
    }
    page.section("\"SETTINGS OF PLUGINS\"");
    page.paragraphs(
        "A plugin has settings of its own, in the file that `configuration` in `[mta]` names, in the section that has \
         the plugin's name. Those of Postfix are in the README of the plugin.",
    );
    page.section("EXAMPLES");
    page.literal(EXAMPLE);
    page.section("\"SEE ALSO\"");
    page.paragraphs("`postrider`(1)");
    page.finish()
}

const FORM: &str = "\
The form is that of GNU Mailman's `mailman.cfg`, whose sections and keys are understood: sections in brackets, then \
lines `key: value` or `key = value`. A value goes on in lines that are indented deeper than its key. Comments are lines \
of their own that begin with `#` or `;`. A key or section that stands there twice, and a key that is not known, is an \
error; a section of Mailman's that means nothing here is passed over with a notice.

Sizes are in octets, or have K, M or G (powers of 1024) behind them. Durations have units: w, d, h, m, s.";

const EXAMPLE: &str = "\
[mailman]
site_owner: postmaster@example.com

[mta]
incoming: postfix.LMTP
lmtp_host: 127.0.0.1
lmtp_port: 8024
smtp_host: localhost
smtp_port: 25";

/// What is allowed; the default, and when a change takes effect.
fn facts(setting: &Setting) -> [String; 2] {
    let default = match shown_default(setting) {
        "" => "empty".to_owned(),
        default => format!("`{default}`"),
    };
    let unit = if setting.unit.is_empty() { String::new() } else { format!(" Unit: {}.", setting.unit) };
    let effect = match setting.effect {
        Effect::Reload => "takes effect after a reload",
        Effect::Restart => "takes effect after a restart",
        Effect::Later => "nothing uses it yet",
    };
    [format!("Allowed: {}.{unit}", setting.kind.allowed), format!("Default: {default}; {effect}.")]
}
