//! The plan, for plugins in C. Safety as in `host.rs`.

use super::call::{Call, Failure, argument, needed, status, within};
use super::read;
use postrider_plugin_api::abi;
use postrider_plugin_api::c::{
    POSTRIDER_SETTLE_AT_ONCE, POSTRIDER_SETTLE_NEVER, postrider_call, postrider_command, postrider_row,
    postrider_status, postrider_table,
};
use postrider_plugin_api::sdk::{
    Command, CommandInput, Error, Extent, Guard, Need, PlanSink, Privilege, Result, Row, Table, TableFormat,
};
use std::ffi::c_char;
use std::time::Duration;

/// Gives something to the plan of this call.
fn give(call: &Call<'_>, give: impl FnOnce(&mut dyn PlanSink) -> Result<()>) -> std::result::Result<(), Failure> {
    let sink = needed(call.sink.as_ref())?;
    let busy = |_| Failure::Host(Error::failed("the plan is busy"));
    give(&mut **sink.try_borrow_mut().map_err(busy)?).map_err(Failure::Host)
}

/// A number that has no meaning for us.
pub(super) fn unknown(what: &str, number: u32) -> Failure {
    Failure::Wrong(format!("{what} is {number}, which this host does not know"))
}

/// The meaning of a number; 0 stands for the default.
fn or_default<T>(what: &str, number: u32, known: Option<T>, default: T) -> std::result::Result<T, Failure> {
    if number == 0 { Ok(default) } else { known.ok_or_else(|| unknown(what, number)) }
}

pub(super) unsafe extern "C" fn table(call: *mut postrider_call, table: *const postrider_table) -> postrider_status {
    status(within(call, "table", |call| {
        // SAFETY: the plugin gives a struct with texts, says the header.
        let (table, path, format_text, comment) = unsafe {
            let table = read::structure(table).map_err(argument("table"))?;
            (
                table,
                read::text(table.path).map_err(argument("table->path"))?,
                read::text_or_empty(table.format_text).map_err(argument("table->format_text"))?,
                read::text_or_empty(table.comment).map_err(argument("table->comment"))?,
            )
        };
        let format = match abi::TableFormat(table.format) {
            abi::TableFormat::TEXT => TableFormat::Text,
            abi::TableFormat::COMPILED_RENAME => TableFormat::CompiledRename { suffix: format_text.to_owned() },
            abi::TableFormat::COMPILED_IN_PLACE => TableFormat::CompiledInPlace { suffix: format_text.to_owned() },
            abi::TableFormat::SQLITE => TableFormat::Sqlite,
            abi::TableFormat::DIRECTORY => TableFormat::Directory { mark: format_text.to_owned() },
            abi::TableFormat(number) => return Err(unknown("table->format", number)),
        };
        let role = abi::TableRole(table.role).known().ok_or_else(|| unknown("table->role", table.role))?;
        // Taking some rows for all would remove the others.
        let extent = or_default("table->extent", table.extent, abi::Extent(table.extent).known(), Extent::Whole)?;
        let table = Table::new(path, format, role).with_extent(extent).with_comment(comment);
        give(call, |sink| sink.table(&table))
    }))
}

pub(super) unsafe extern "C" fn row(call: *mut postrider_call, row: *const postrider_row) -> postrider_status {
    status(within(call, "row", |call| {
        // SAFETY: the plugin gives a struct with texts, says the header.
        let (row, key, value) = unsafe {
            let row = read::structure(row).map_err(argument("row"))?;
            (
                row,
                read::text(row.key).map_err(argument("row->key"))?,
                read::text(row.value).map_err(argument("row->value"))?,
            )
        };
        let column = u16::try_from(row.column)
            .map_err(|_| Failure::Wrong(format!("row->column is {}, expected at most 65535", row.column)))?;
        give(call, |sink| sink.rows(&[Row::new(key, value).with_column(column)]))
    }))
}

pub(super) unsafe extern "C" fn absent(call: *mut postrider_call, key: *const c_char) -> postrider_status {
    status(within(call, "absent", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let key = unsafe { read::text(key) }.map_err(argument("key"))?;
        give(call, |sink| sink.absent(&[key]))
    }))
}

pub(super) unsafe extern "C" fn guard(call: *mut postrider_call, path: *const c_char, mode: u32) -> postrider_status {
    status(within(call, "guard", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let path = unsafe { read::text(path) }.map_err(argument("path"))?;
        give(call, |sink| sink.guard(&Guard::new(path, mode)))
    }))
}

pub(super) unsafe extern "C" fn file(
    call: *mut postrider_call,
    path: *const c_char,
    mode: u32,
    contents: *const u8,
    length: usize,
) -> postrider_status {
    status(within(call, "file", |call| {
        // SAFETY: the plugin gives a text and so many octets, says the header.
        let (path, contents) = unsafe {
            (read::text(path).map_err(argument("path"))?, read::octets(contents, length).map_err(argument("contents"))?)
        };
        give(call, |sink| sink.file(path, mode, contents))
    }))
}

pub(super) unsafe extern "C" fn remove(call: *mut postrider_call, path: *const c_char) -> postrider_status {
    status(within(call, "remove", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let path = unsafe { read::text(path) }.map_err(argument("path"))?;
        give(call, |sink| sink.remove(path))
    }))
}

pub(super) unsafe extern "C" fn command(
    call: *mut postrider_call,
    command: *const postrider_command,
) -> postrider_status {
    status(within(call, "command", |call| {
        // SAFETY: the plugin gives a struct with texts and arrays of texts, says the header.
        let (command, argv, tables, reason) = unsafe {
            let command = read::structure(command).map_err(argument("command"))?;
            (
                command,
                read::texts(command.argv).map_err(argument("command->argv"))?,
                read::texts(command.tables).map_err(argument("command->tables"))?,
                read::text(command.reason).map_err(argument("command->reason"))?,
            )
        };
        if argv.is_empty() {
            return Err(Failure::Wrong("command->argv is empty".to_owned()));
        }
        let phase = abi::Phase(command.phase).known().ok_or_else(|| unknown("command->phase", command.phase))?;
        let need = or_default("command->need", command.need, abi::Need(command.need).known(), Need::Required)?;
        let privilege = abi::Privilege(command.privilege).known();
        let privilege = or_default("command->privilege", command.privilege, privilege, Privilege::Owner)?;
        let input = abi::CommandInput(command.input).known();
        let input = or_default("command->input", command.input, input, CommandInput::Nothing)?;

        let planned = Command::new(phase, argv, reason).with_need(need).with_privilege(privilege).with_stdin(input);
        let planned = tables.into_iter().fold(planned, Command::for_table);
        let planned = match command.settle_ms {
            POSTRIDER_SETTLE_NEVER => planned,
            POSTRIDER_SETTLE_AT_ONCE => planned.with_settle(Duration::ZERO),
            milliseconds => planned.with_settle(Duration::from_millis(milliseconds)),
        };
        give(call, |sink| sink.command(&planned))
    }))
}
