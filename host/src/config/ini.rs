//! Ini text becomes sections, keys and values, each with its file and line.
//!
//! The form is that of `mailman.cfg`: `[section]`, `key: value` or `key = value` (the first of the
//! two separators counts), comments in lines of their own that begin with `#` or `;`, values that
//! go on in lines indented deeper than their key. Values are taken literally: no quotes, no
//! escapes, no comments behind them. What cannot be read is reported with its line and left out;
//! reading goes on, so that one run finds every mistake.
//!
//! The reader is our own because ini crates keep no line numbers and misread some of these forms
//! (the tests below name them). Writing is done by the crate `ini`, see [`write()`].

use std::collections::HashMap;
use std::sync::Arc;

use super::error::{ConfigError, Place};

/// A file, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IniFile {
    /// The sections in their order. Keys before any section are in one whose name is empty.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What stands between the brackets.
    pub name: String,
    /// The line of its `[name]`.
    pub place: Place,
    /// Its keys in their order.
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Lower case, as Mailman folds it.
    pub key: String,
    /// Blanks around it removed; lines of a longer value are joined by `\n`.
    pub value: String,
    /// The line of the key.
    pub place: Place,
    /// The line on which the value goes on first, if it does.
    pub continued: Option<usize>,
}

/// Whether keys may stand before any section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareKeys {
    /// That is an error.
    Refused,
    /// They go into a section without name.
    Allowed,
}

/// Reads ini text. What is wrong is in the second part of the answer.
pub fn parse(file: &str, bytes: &[u8], bare_keys: BareKeys) -> (IniFile, Vec<ConfigError>) {
    let mut reader = Reader {
        file: file.into(),
        bare_keys,
        result: IniFile::default(),
        errors: Vec::new(),
        sections: HashMap::new(),
        current: None,
        open: Open::Nothing,
    };
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        reader.line(index + 1, line);
    }
    (reader.result, reader.errors)
}

/// Writes sections in the form that [`parse`] reads. This is the work that we leave to the ini
/// crate: nothing is escaped, because nothing is unescaped when it is read.
pub fn write<'a>(sections: impl IntoIterator<Item = (&'a str, Vec<(&'a str, String)>)>) -> String {
    let mut ini = ini::Ini::new();
    for (section, entries) in sections {
        let mut setter = ini.with_section(Some(section));
        for (key, value) in entries {
            setter.add(key, value.replace('\n', CONTINUATION));
        }
    }
    let option = ini::WriteOption {
        escape_policy: ini::EscapePolicy::Nothing,
        line_separator: ini::LineSeparator::CR, // which the crate defines as "\n"
        kv_separator: ": ",
    };
    let mut text = Vec::new();
    // Writing to memory does not fail, and what was made of strings is UTF-8.
    let _ = ini.write_to_opt(&mut text, option);
    String::from_utf8_lossy(&text).into_owned()
}

/// What stands between two lines of a value in a file that we write.
pub const CONTINUATION: &str = "\n    ";

struct Reader {
    file: Arc<str>,
    bare_keys: BareKeys,
    result: IniFile,
    errors: Vec<ConfigError>,
    /// Section name to its index.
    sections: HashMap<String, usize>,
    /// Index of the section that we are in.
    current: Option<usize>,
    open: Open,
}

/// What a line that is indented deeper would continue.
#[derive(Clone, Copy)]
enum Open {
    Nothing,
    /// The value of the current section's entry with this index.
    Entry {
        entry: usize,
        indent: usize,
    },
    /// A line that was wrong.
    Mistake {
        indent: usize,
    },
}

impl Reader {
    fn line(&mut self, number: usize, bytes: &[u8]) {
        let place = Place { file: self.file.clone(), line: number };
        let Ok(line) = std::str::from_utf8(bytes) else {
            self.errors.push(ConfigError::at(&place, "the line is not UTF-8; save the file in that encoding"));
            return;
        };
        let line = line.trim_end_matches([' ', '\t', '\r']);
        let text = line.trim_start_matches([' ', '\t']);
        if text.is_empty() || text.starts_with(['#', ';']) {
            return;
        }
        if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
            self.errors.push(ConfigError::at(
                &place,
                format!("the line contains the control character U+{:04X}; remove it", control as u32),
            ));
            return;
        }
        let indent = line.len() - text.len();
        match self.open {
            Open::Entry { entry, indent: of_key } if indent > of_key => return self.continuation(entry, &place, text),
            Open::Mistake { indent: of_mistake } if indent > of_mistake => return,
            _ => {}
        }
        self.open = Open::Mistake { indent };
        if let Some(header) = text.strip_prefix('[') {
            self.header(place, header);
        } else {
            self.key(place, indent, text);
        }
    }

    fn continuation(&mut self, entry: usize, place: &Place, text: &str) {
        let entry = self.current.and_then(|section| self.result.sections[section].entries.get_mut(entry));
        if let Some(entry) = entry {
            if !entry.value.is_empty() {
                entry.value.push('\n');
            }
            entry.value.push_str(text);
            entry.continued.get_or_insert(place.line);
        }
    }

    fn header(&mut self, place: Place, header: &str) {
        let Some((name, rest)) = header.split_once(']') else {
            self.errors.push(ConfigError::at(&place, format!("`[{header}` lacks its closing bracket: [section]")));
            return;
        };
        let (name, rest) = (name.trim(), rest.trim_start());
        if name.is_empty() {
            self.errors.push(ConfigError::at(&place, "`[]` names no section"));
            return;
        }
        if !rest.is_empty() && !rest.starts_with(['#', ';']) {
            self.errors
                .push(ConfigError::at(&place, format!("`{rest}` stands behind [{name}]; write it into the next line")));
        }
        self.open = Open::Nothing;
        if let Some(&first) = self.sections.get(name) {
            let first_line = self.result.sections[first].place.line;
            self.errors.push(ConfigError::at(
                &place,
                format!(
                    "[{name}] stands in line {first_line} already; put its keys there (lines {first_line} and {})",
                    place.line
                ),
            ));
            self.current = Some(first);
            return;
        }
        self.add_section(name, place);
    }

    fn key(&mut self, place: Place, indent: usize, text: &str) {
        let Some(separator) = text.find([':', '=']) else {
            // The rest of the line is not shown: it may be a password.
            let first = text.split([' ', '\t']).next().unwrap_or(text);
            self.errors.push(ConfigError::at(
                &place,
                format!(
                    "`{first}` has neither `:` nor `=`; write `key: value`, or indent the line if it continues a value"
                ),
            ));
            return;
        };
        let key = text[..separator].trim().to_lowercase();
        if key.is_empty() {
            self.errors.push(ConfigError::at(&place, format!("`{text}` has no key; write `key: value`")));
            return;
        }
        if key.contains('\t') {
            let key = key.escape_debug();
            self.errors
                .push(ConfigError::at(&place, format!("a tab stands within the key `{key}`; write `key: value`")));
            return;
        }
        let section = match self.current {
            Some(section) => section,
            None if self.bare_keys == BareKeys::Allowed => self.add_section("", place.clone()),
            None => {
                self.errors.push(ConfigError::at(
                    &place,
                    format!("`{key}` stands before any section; begin with a line such as [mta]"),
                ));
                return;
            }
        };
        let section = &mut self.result.sections[section];
        if let Some(first) = section.entries.iter().find(|entry| entry.key == key) {
            self.errors.push(
                ConfigError::at(
                    &place,
                    format!(
                        "the key stands in line {} already; keep one of the two (lines {} and {})",
                        first.place.line, first.place.line, place.line
                    ),
                )
                .with_key(&section.name, &key),
            );
            return;
        }
        self.open = Open::Entry { entry: section.entries.len(), indent };
        let value = text[separator + 1..].trim_matches([' ', '\t']).to_owned();
        section.entries.push(Entry { key, value, place, continued: None });
    }

    fn add_section(&mut self, name: &str, place: Place) -> usize {
        let index = self.result.sections.len();
        self.result.sections.push(Section { name: name.to_owned(), place, entries: Vec::new() });
        self.sections.insert(name.to_owned(), index);
        self.current = Some(index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> IniFile {
        let (file, errors) = parse("t.cfg", text.as_bytes(), BareKeys::Refused);
        assert_eq!(errors, [], "{text}");
        file
    }

    fn entries(text: &str) -> Vec<(String, String, usize)> {
        read(text)
            .sections
            .into_iter()
            .flat_map(|section| section.entries)
            .map(|entry| (entry.key, entry.value, entry.place.line))
            .collect()
    }

    fn errors(text: &[u8]) -> Vec<String> {
        parse("t.cfg", text, BareKeys::Refused).1.iter().map(ToString::to_string).collect()
    }

    fn entry(key: &str, value: &str, line: usize) -> (String, String, usize) {
        (key.into(), value.into(), line)
    }

    #[test]
    fn both_separators_are_read_and_the_first_counts() {
        assert_eq!(
            entries("[s]\na: 1\nb = 2\nc:d=e\nf=g:h\nverp_format: ${bounces}+${local}=${domain}\n"),
            [
                entry("a", "1", 2),
                entry("b", "2", 3),
                entry("c", "d=e", 4),
                entry("f", "g:h", 5),
                entry("verp_format", "${bounces}+${local}=${domain}", 6),
            ]
        );
    }

    #[test]
    fn values_are_taken_literally() {
        assert_eq!(
            entries("[s]\nsmtp_pass: a;b#c\nk: ends in \\\nnext: \"quoted\" # no comment\nempty:\n"),
            [
                entry("smtp_pass", "a;b#c", 2),
                entry("k", "ends in \\", 3),
                entry("next", "\"quoted\" # no comment", 4),
                entry("empty", "", 5),
            ]
        );
    }

    #[test]
    fn keys_of_one_indent_are_keys_and_deeper_lines_continue() {
        assert_eq!(entries("[s]\n  a: 1\n  b: 2\n"), [entry("a", "1", 2), entry("b", "2", 3)]);
        assert_eq!(entries("[s]\n    a: 1\n  b: 2\n"), [entry("a", "1", 2), entry("b", "2", 3)]);
        assert_eq!(entries("[s]\na: 1\n  2\n\t3: x\nb: 4\n"), [entry("a", "1\n2\n3: x", 2), entry("b", "4", 5)]);
        assert_eq!(entries("[s]\na:\n  1\n"), [entry("a", "1", 2)]);
        assert_eq!(read("[s]\na:\n\n  1\n  2\n").sections[0].entries[0].continued, Some(4));
    }

    #[test]
    fn comments_are_lines_of_their_own_also_inside_a_value() {
        assert_eq!(entries("# c\n; c\n[s] # c\n  # c\na: 1\n# c\n  2\n  ; c = d\n\n  3\n"), [entry("a", "1\n2\n3", 5)]);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_do_not_matter() {
        assert_eq!(entries("\u{feff}[s]\r\na: 1\r\n"), [entry("a", "1", 2)]);
    }

    #[test]
    fn keys_are_folded_to_lower_case_and_sections_are_not() {
        let file = read("[ARC]\nEnabled: No\n");
        assert_eq!(file.sections[0].name, "ARC");
        assert_eq!(file.sections[0].entries[0].key, "enabled");
    }

    #[test]
    fn duplicates_are_errors_that_name_both_lines() {
        let found = errors(b"[s]\na: 1\n[t]\n[s]\na: 2\nA = 3\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("t.cfg:4: [s] stands in line 1 already"), "{found:?}");
        assert!(found[1].starts_with("t.cfg:5: [s] a: the key stands in line 2 already"), "{found:?}");
        assert!(found[2].contains("lines 2 and 6"), "{found:?}");
    }

    #[test]
    fn what_is_no_ini_is_told_with_its_line_and_everything_at_once() {
        let found = errors(
            b"a: 1\n[s]\nno separator\n  goes on\n: no key\n[open\nx: \xff\ny: a\0b\n[] \n[t] junk\nz: 1\na\tb: 1\n",
        );
        let lines: Vec<_> = found.iter().map(|error| error.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(
            lines,
            ["t.cfg:1", "t.cfg:3", "t.cfg:5", "t.cfg:6", "t.cfg:7", "t.cfg:8", "t.cfg:9", "t.cfg:10", "t.cfg:12"],
            "{found:?}"
        );
        assert!(found[0].contains("before any section"), "{found:?}");
        assert!(found[4].contains("UTF-8"), "{found:?}");
        assert!(found[5].contains("U+0000"), "{found:?}");
        assert!(found[8].contains(r"the key `a\tb`"), "{found:?}");
    }

    #[test]
    fn bare_keys_can_be_allowed() {
        let (file, errors) = parse("p.cfg", b"transport_file_type: regex\n[postfix]\na: 1\n", BareKeys::Allowed);
        assert_eq!(errors, []);
        let names: Vec<_> = file.sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["", "postfix"]);
    }

    #[test]
    fn what_we_write_reads_back_the_same() {
        let values = vec![
            ("plain", "x".to_owned()),
            ("pass", "a;b#c\\".to_owned()),
            ("long", "/a\n/b\n/c".to_owned()),
            ("quotes", "\"a\" 'b' = : ${x}".to_owned()),
            ("empty", String::new()),
        ];
        let text = write([("one", values.clone()), ("two", vec![("k", "v".to_owned())])]);
        let file = read(&text);
        let back: Vec<_> =
            file.sections[0].entries.iter().map(|entry| (entry.key.as_str(), entry.value.clone())).collect();
        assert_eq!(back, values, "{text}");
        assert_eq!(file.sections[1].entries[0].value, "v");
    }
}
