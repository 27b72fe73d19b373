//! The rules that a plan keeps.

use super::Plan;
use crate::hookup::outputs::Outputs;
use postrider_plugin_api::sdk::{
    Command, CommandInput, Error, Extent, Phase, Privilege, Result, Row, Table, TableFormat,
};

/// Most octets of one part of a path; temporary names need the rest of the usual 255.
const MAX_NAME: usize = 200;
/// Most octets of a key.
const MAX_KEY: usize = 4096;
/// Most octets of a file name.
const MAX_FILE_NAME: usize = 255;
/// Most octets of a value.
const MAX_VALUE: usize = 32 * 1024;

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::failed(message).with_hint("this is a mistake of the plugin; tell its author")
}

pub(super) fn too_large(table: &Table, key: &str) -> Error {
    wrong(format!("table {} becomes larger than 512 MiB at the key {key:?}", table.path))
}

pub(super) fn check_format(table: &Table) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("table {} {reason}", table.path)));
    match &table.format {
        TableFormat::Directory { mark } if mark.chars().any(char::is_control) || mark.len() > MAX_NAME => {
            bad("has a mark that is not one line of at most 200 octets")
        }
        TableFormat::Text
        | TableFormat::CompiledRename { .. }
        | TableFormat::CompiledInPlace { .. }
        | TableFormat::Directory { .. }
        | TableFormat::Sqlite => Ok(()),
        _ => bad("has a format that this version of Postrider does not know"),
    }
}

pub(super) fn check_extent(table: &Table, single: bool) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("table {} {reason}", table.path)));
    match table.extent {
        Extent::Changes if !single => bad("has only changed rows, but everything was asked for"),
        Extent::Changes if !matches!(table.format, TableFormat::Sqlite | TableFormat::Directory { .. }) => {
            bad("has only changed rows; that is possible for SQLite databases and directories alone")
        }
        Extent::Whole | Extent::Changes => Ok(()),
        _ => bad("has an extent that this version of Postrider does not know"),
    }
}

/// A path stays inside the table directory, or an output directory, and touches nothing of the host's own.
pub(super) fn check_path(path: &str, outputs: &Outputs) -> Result<()> {
    let bad = |reason: &str| Err(wrong(format!("the path {path:?} cannot be used: {reason}")));
    let relative = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return bad("it is empty");
    }
    if path.chars().any(char::is_control) {
        return bad("it contains a control character");
    }
    for part in relative.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return bad("it contains an empty part, `.` or `..`");
        }
        if part.len() > MAX_NAME {
            return bad("a part of it is longer than 200 octets");
        }
    }
    let below = if path.starts_with('/') { outputs.below(path) } else { Some(path) };
    let Some(below) = below else {
        return bad(&format!(
            "it must be relative to the table directory, or be in a directory that a setting of the adapter names ({})",
            outputs.shown()
        ));
    };
    // The table directory is the data directory, as in Mailman, and holds our own databases too.
    let first = below.split('/').next().unwrap_or_default();
    if first.starts_with(".postrider")
        || first.starts_with("postrider.")
        || first == "spool"
        || first.starts_with("spool.")
    {
        return bad("Postrider's own files have such names");
    }
    Ok(())
}

pub(super) fn check_key(table: &Table, key: &str) -> Result<()> {
    let bad = |reason: &str| {
        let key = &key[..key.floor_char_boundary(64)];
        Err(wrong(format!("table {}: the key {key:?} {reason}", table.path)))
    };
    if key.is_empty() {
        return bad("is empty");
    }
    if key.len() > MAX_KEY {
        return bad("is longer than 4096 octets");
    }
    if key.chars().any(char::is_control) {
        return bad("contains a control character (a newline, NUL or tab, for instance)");
    }
    if let TableFormat::Directory { .. } = table.format {
        if key.contains('/') || key == "." || key == ".." || key.starts_with(".postrider") {
            return bad("cannot be the name of a file");
        }
        if key.len() > MAX_FILE_NAME {
            return bad("is longer than 255 octets, as no name of a file can be");
        }
    }
    Ok(())
}

pub(super) fn check_row(table: &Table, row: Row<'_>) -> Result<()> {
    check_key(table, row.key)?;
    let bad = |what: &str, text: &str, reason: &str| {
        Err(wrong(format!("table {}, key {:?}: the {what} {text:?} {reason}", table.path, row.key)))
    };
    if row.value.len() > MAX_VALUE {
        return bad("value", &row.value[..row.value.floor_char_boundary(64)], "is longer than 32 KiB");
    }
    let is_directory = matches!(table.format, TableFormat::Directory { .. });
    if row.value.chars().any(|c| c.is_control() && !(is_directory && c == '\n')) {
        return bad("value", row.value, "contains a control character (a newline, NUL or tab, for instance)");
    }
    if is_directory || table.format == TableFormat::Sqlite {
        return Ok(());
    }
    // What follows would be read as another row, a comment or a continuation.
    if row.key.contains(char::is_whitespace) {
        return bad("key", row.key, "contains a blank");
    }
    for (what, text) in [("key", row.key), ("value", row.value)] {
        if text.starts_with('#') {
            return bad(what, text, "begins with #");
        }
    }
    if row.value.trim() != row.value {
        return bad("value", row.value, "begins or ends with a blank");
    }
    if row.value.is_empty() && table.format != TableFormat::Text {
        return bad("value", row.value, "is empty");
    }
    Ok(())
}

pub(super) fn check_command(command: &Command) -> Result<()> {
    let shown = command.argv.join(" ");
    let bad = |reason: &str| Err(wrong(format!("the command {shown:?} cannot be used: {reason}")));
    let Some(program) = command.argv.first() else { return bad("it has no program") };
    if !program.starts_with('/') || program.ends_with('/') || program.contains("/../") {
        return bad("its program is no absolute path");
    }
    if command.argv.iter().any(|argument| argument.contains('\0')) {
        return bad("it contains a NUL");
    }
    if !matches!(command.phase, Phase::Check | Phase::Compile | Phase::Activate) {
        return bad("this version of Postrider does not know its phase");
    }
    if command.phase != Phase::Activate {
        if command.tables.is_empty() {
            return bad("a check or compile command belongs to a table");
        }
        if command.privilege == Privilege::Root {
            return bad("a check or compile command runs with the rights of the owner of the data");
        }
        let names_file = command.argv[1..].iter().any(|argument| argument.contains("{file}"));
        if !names_file && command.stdin != CommandInput::Table {
            return bad("no argument contains {file}, and it does not read the table from its standard input");
        }
    }
    match command.stdin {
        CommandInput::Table if command.phase == Phase::Activate => bad("an activation cannot read a table"),
        CommandInput::Nothing | CommandInput::Table => Ok(()),
        _ => bad("this version of Postrider does not know what it reads"),
    }
}

pub(super) fn check_tables_of(command: &Command, plan: &Plan) -> Result<()> {
    let shown = command.argv.join(" ");
    for name in &command.tables {
        let Some(planned) = plan.tables.iter().find(|planned| planned.table.path == *name) else {
            return Err(wrong(format!("the command {shown:?} belongs to the table {name}, which the plan has not")));
        };
        if command.phase == Phase::Compile && planned.suffix().is_none() {
            return Err(wrong(format!("the command {shown:?} compiles the table {name}, which has no compiled form")));
        }
        if command.phase == Phase::Check && planned.table.format == TableFormat::Sqlite {
            return Err(wrong(format!("the command {shown:?} checks the SQLite table {name}, which is never staged")));
        }
        if command.phase == Phase::Check && planned.mark().is_some() {
            return Err(wrong(format!("the command {shown:?} checks the directory {name}, which is no single file")));
        }
    }
    Ok(())
}
