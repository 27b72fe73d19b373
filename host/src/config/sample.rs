//! The annotated sample file, `packaging/postrider.cfg.sample`.

use std::fmt::Write as _;

use super::ini;
use super::load::Loaded;
use super::table::{SECTIONS, Setting};
use super::types::Config;

const HEAD: &str = "\
The configuration of Postrider. Every key is shown with its default and
needs to be set only where you want something else: remove the `#` directly
before the key. The form is that of mailman.cfg, whose sections and keys are
understood: `key: value` or `key = value`; a value goes on in lines that are
indented deeper than its key; comments are lines of their own.
`postrider conf` shows what is in effect, `postrider conf --check` whether it
is right.
";

/// Columns of a comment line, without its `# `.
const WIDTH: usize = 76;

/// The sample file: every section and key with explanation and default, the keys commented out.
pub fn sample_config() -> String {
    let loaded = Config::built_in();
    let mut text = comment(HEAD);
    for (section, about) in SECTIONS {
        text.push('\n');
        text.push_str(&comment(about));
        // Writing to a string does not fail, here and below.
        let _ = writeln!(text, "[{}]", shown_section(&loaded, section));
        for origin in loaded.origins.iter().filter(|origin| origin.setting.section == section) {
            let setting = origin.setting;
            let default = shown_default(setting).replace('\n', ini::CONTINUATION);
            let blank = if default.is_empty() { "" } else { " " };
            let _ = writeln!(text, "\n{}#{}:{blank}{default}", explain(setting), setting.key);
        }
    }
    text
}

/// The default as it is documented: paths as in the layout `fhs`, before substitution.
pub fn shown_default(setting: &Setting) -> &'static str {
    let path = super::paths::built_in("fhs", setting.key).filter(|_| setting.section == "paths");
    path.unwrap_or(setting.default)
}

/// The comment lines that explain a setting.
pub fn explain(setting: &Setting) -> String {
    let unit = if setting.unit.is_empty() { String::new() } else { format!(" Unit: {}.", setting.unit) };
    comment(setting.help) + &comment(&format!("Allowed: {}.{unit} {}", setting.kind.allowed, setting.effect.sentence()))
}

fn shown_section<'a>(loaded: &'a Loaded, section: &'a str) -> &'a str {
    loaded.origins.iter().find(|origin| origin.setting.section == section).map_or(section, |origin| &origin.section)
}

/// Wrapped, with `# ` before each line.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length <= WIDTH {
            lines.push(' ');
            width += 1 + length;
        } else {
            lines.push_str(if lines.is_empty() { "# " } else { "\n# " });
            width = length;
        }
        lines.push_str(word);
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(loaded: &Loaded) -> Vec<(&str, &str, &str)> {
        loaded.origins.iter().map(|o| (o.section.as_str(), o.setting.key, o.text.as_str())).collect()
    }

    #[test]
    fn the_sample_loads_and_says_the_defaults_with_and_without_its_number_signs() {
        let sample = sample_config();
        let defaults = Config::built_in();
        let loaded = Config::from_text("sample", &sample).expect("sample");
        assert!(loaded.origins.iter().all(|origin| origin.place.is_none()));
        let uncommented: String = sample
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let loaded = Config::from_text("sample", &uncommented).expect(&uncommented);
        assert_eq!(texts(&loaded), texts(&defaults));
        assert!(loaded.origins.iter().all(|origin| origin.place.is_some()), "a key is missing in the sample");
    }

    #[test]
    fn the_packaged_sample_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/postrider.cfg.sample");
        if std::env::var_os("WRITE_SAMPLE").is_some() {
            std::fs::write(path, sample_config()).expect("packaging/ can be written");
        }
        let packaged = std::fs::read_to_string(path).unwrap_or_default();
        assert!(packaged == sample_config(), "{path} is not the present sample; run this test with WRITE_SAMPLE=1");
    }
}
