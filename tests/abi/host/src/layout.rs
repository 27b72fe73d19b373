//! The layout of the plugin interface as text: every type that crosses, every field, every method with
//! the types of its parameters, as the loader compares them; and what it does not compare: the names of
//! parameters, and the names and numbers of the open sets.

use abi_stable::StableAbi;
use abi_stable::std_types::UTypeId;
use abi_stable::type_layout::{TLData, TypeLayout};
use postrider_plugin_api::abi::Plugin_Ref;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::Path;

/// Everything, for the interface that this program was built with; `source` is where its source lies.
///
/// # Errors
/// When the source cannot be read.
pub fn of_interface(source: &Path) -> std::io::Result<String> {
    let head = format!("# The plugin interface {}\n\n## Layout\n\n", postrider_plugin_api::VERSION);
    Ok(head + &types() + &of_source(source)?)
}

/// The part that is read from the source.
///
/// # Errors
/// When the source cannot be read.
pub fn of_source(source: &Path) -> std::io::Result<String> {
    let abi = source.join("src/abi");
    let mut text = "## Open sets\n\n".to_owned();
    let open = std::fs::read_to_string(abi.join("open.rs"))?;
    // How a number crosses.
    text += &declarations(open.split("($(#[$doc:meta])* $set:ident as").next().unwrap_or_default());
    text += &open_sets(&open);
    text += "## Declarations\n";
    for file in ["data.rs", "objects.rs", "plugin.rs"] {
        text += &declarations(&std::fs::read_to_string(abi.join(file))?);
    }
    Ok(text)
}

/// The types behind `Plugin_Ref`, ordered by name.
fn types() -> String {
    let mut texts = BTreeSet::new();
    visit(<Plugin_Ref as StableAbi>::LAYOUT, &mut HashSet::new(), &mut texts);
    texts.into_iter().map(|text| text + "\n").collect()
}

fn visit(layout: &'static TypeLayout, seen: &mut HashSet<UTypeId>, texts: &mut BTreeSet<String>) {
    if !seen.insert(layout.get_utypeid()) {
        return;
    }
    // Of abi_stable's own types, which are pinned, only those say more that hold our objects.
    if layout.package() == "postrider-plugin-api" || layout.extra_checks().is_some() {
        texts.insert(describe(layout));
    }
    for next in layout.shared_vars().type_layouts() {
        visit(next(), seen, texts);
    }
}

fn describe(layout: &'static TypeLayout) -> String {
    let mut lines = vec![format!(
        "{:?}, {:?}, {} octets, aligned to {}",
        layout.data_discriminant(),
        layout.repr_attr(),
        layout.size(),
        layout.alignment()
    )];
    if let Some(checks) = layout.extra_checks() {
        lines.push(one_line(&checks.to_string()));
    }
    if let TLData::PrefixType(prefix) = layout.data() {
        lines.push(format!("the first {} are those of version 1.0", prefix.first_suffix_field));
    }
    for field in layout.get_fields().into_iter().flatten().chain(layout.phantom_fields()) {
        let lifetimes = lifetimes(&format!("{:?}", field.lifetime_indices()));
        lines.push(one_line(&format!("{}: {}{lifetimes}", field.name(), field.full_type())));
        for function in field.function_range() {
            let text = one_line(&function.to_string());
            let (text, indices) = text.split_once(" lifetime indices:").unwrap_or((&text, ""));
            lines.push(format!("    {text}{}", self::lifetimes(indices)));
        }
    }
    let head = format!("{} ({})\n", layout.full_type(), layout.package());
    lines.iter().fold(head, |text, line| text + "    " + line + "\n")
}

/// The lifetimes of a field or function, from `abi_stable`'s debug text, which has no better.
fn lifetimes(debug: &str) -> String {
    let words: Vec<&str> = debug
        .split(|c: char| !(c.is_alphanumeric() || "()_".contains(c)))
        .filter(|word| word.starts_with("Param(") || ["STATIC", "ANONYMOUS"].contains(word))
        .collect();
    if words.is_empty() { String::new() } else { format!("  [lifetimes {}]", words.join(" ")) }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names and numbers of the open sets.
fn open_sets(source: &str) -> String {
    let code: Vec<&str> = source.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    let code = code.join(" ");
    let mut text = String::new();
    for set in code.split("open_set! {").skip(1) {
        let Some((head, names)) = set.split_once('{') else { continue };
        let Some(name) = head.split_whitespace().next().filter(|name| name.starts_with(char::is_uppercase)) else {
            continue; // the macro's own rules
        };
        let names = names.split('}').next().unwrap_or_default();
        let _ = writeln!(text, "{name}");
        for name in names.split(',') {
            let words = one_line(name.split(" is ").next().unwrap_or_default());
            if !words.is_empty() {
                let _ = writeln!(text, "    {words}");
            }
        }
        text.push('\n');
    }
    text
}

/// The code of a file, without comments and imports.
fn declarations(source: &str) -> String {
    let mut text = String::new();
    let mut in_use = false;
    for line in source.lines() {
        let code = line.split(" //").next().unwrap_or_default().trim_end();
        in_use |= code.starts_with("use ");
        if !in_use && !code.is_empty() && !code.trim_start().starts_with("//") {
            if !code.starts_with([' ', '}', ')']) && !text.ends_with("]\n") {
                text.push('\n');
            }
            text += code;
            text.push('\n');
        }
        in_use &= !code.ends_with(';');
    }
    text
}
