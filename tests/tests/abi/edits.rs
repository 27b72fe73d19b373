//! Changes of a source tree, written down so that they read well and survive changes around them.
//!
//! ```text
//! what stands before the first line of this form is prose, and so is, anywhere, a line like the next:
//! === why this is so
//! @@ src/abi/objects.rs append to: pub trait Host: Send + Sync {
//!     fn what_is_put_before_the_closing_brace(&self);
//! @@ src/export.rs replace
//! - these lines, wherever they stand
//! + by these
//! ```
//!
//! An item to append to is found by the beginning of its first line; leading spaces never matter. What is
//! not found exactly once is an error.

use std::fs;
use std::path::Path;

/// One change of one file.
struct Edit<'a> {
    file: &'a str,
    append_to: Option<&'a str>,
    body: Vec<&'a str>,
}

/// Makes the changes in the tree `root`.
///
/// # Panics
/// When an anchor is not there, or more than once, naming it.
pub fn apply(script: &str, root: &Path) {
    for edit in parse(script) {
        let path = root.join(edit.file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lines: Vec<&str> = text.lines().collect();
        let changed = match edit.append_to {
            Some(item) => append(&lines, item, &edit.body),
            None => replace(&lines, &edit.body),
        };
        let changed = changed.unwrap_or_else(|what| panic!("{}: {what}", path.display()));
        fs::write(&path, changed.join("\n") + "\n").unwrap();
    }
}

fn parse(script: &str) -> Vec<Edit<'_>> {
    let mut edits: Vec<Edit<'_>> = Vec::new();
    for line in script.lines() {
        if let Some(head) = line.strip_prefix("@@ ") {
            let (file, what) = head.split_once(' ').unwrap_or_else(|| panic!("{line:?}: a file and what to do"));
            let append_to = what.strip_prefix("append to: ");
            assert!(append_to.is_some() || what == "replace", "{line:?}: `append to: …` or `replace`");
            edits.push(Edit { file, append_to, body: Vec::new() });
        } else if let (Some(edit), false) = (edits.last_mut(), line.starts_with("===")) {
            edit.body.push(line);
        }
    }
    edits
}

fn append(lines: &[&str], item: &str, body: &[&str]) -> Result<Vec<String>, String> {
    let starts: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].trim_start().starts_with(item)).collect();
    let &[start] = starts.as_slice() else {
        return Err(format!("`{item}` begins {} lines, expected one", starts.len()));
    };
    let body: Vec<&str> = body.iter().copied().filter(|line| !line.trim().is_empty()).collect();
    let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    if let Some(open) = lines[start].trim_end().strip_suffix('}') {
        // All in one line, as small sets are.
        let inside = open.trim_end().trim_end_matches(',');
        changed[start] = format!("{inside}, {} }}", body.join(" ").trim());
        return Ok(changed);
    }
    let indentation = &lines[start][..lines[start].len() - lines[start].trim_start().len()];
    let close = (start..lines.len())
        .find(|&at| lines[at].trim_end() == format!("{indentation}}}"))
        .ok_or_else(|| format!("`{item}` has no end"))?;
    changed.splice(close..close, body.iter().map(|line| (*line).to_owned()));
    Ok(changed)
}

fn replace(lines: &[&str], body: &[&str]) -> Result<Vec<String>, String> {
    let marked = |mark: char| -> Vec<&str> { body.iter().filter_map(|line| line.strip_prefix(mark)).collect() };
    let (old, new) = (marked('-'), marked('+'));
    let found: Vec<usize> = lines
        .windows(old.len())
        .enumerate()
        .filter(|(_, window)| window.iter().zip(&old).all(|(line, old)| line.trim() == old.trim()))
        .map(|(at, _)| at)
        .collect();
    let &[at] = found.as_slice() else {
        return Err(format!("found {} times, expected once: {}", found.len(), old.join("\n")));
    };
    let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    changed.splice(at..at + old.len(), new.iter().map(|line| (*line).to_owned()));
    Ok(changed)
}

#[test]
fn lines_are_appended_replaced_and_missed() {
    let lines = ["trait A {", "    fn a();", "}", "set! { B { X = 1 } }"];
    assert_eq!(append(&lines, "trait A", &["    fn b();"]).unwrap()[2], "    fn b();");
    let inner = ["set! {", "    B { X = 1, }", "}"];
    assert_eq!(append(&inner, "B {", &["Y = 2"]).unwrap()[1], "    B { X = 1, Y = 2 }");
    assert_eq!(replace(&lines, &["-fn a();", "+fn c();"]).unwrap()[1], "fn c();");
    assert!(append(&lines, "trait B", &[]).unwrap_err().contains("0 lines"));
    assert!(replace(&lines, &["-fn z();"]).unwrap_err().contains("0 times"));
}
