//! Data that crosses. Every struct begins with its size and ends without padding (rules 2 and 4).

use std::os::raw::c_char;

// ---- What the host lends to the plugin

/// A sub-address that every list has, `LIST-NAME@DOMAIN`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_subaddress {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// What follows the dash, for instance `bounces`.
    pub name: *const c_char,
    /// 1: a detail may follow, `LIST-bounces+DETAIL@DOMAIN` (VERP, confirmation tokens). 0: not.
    pub detail: u32,
    /// 0.
    pub reserved: u32,
}

/// The installation.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_site {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// Where the MTA reaches the list server's LMTP service, as configured: see `lmtp_kind`, and
    /// postrider_host.reachable_host for what to make of a host.
    pub lmtp_host: *const c_char,
    /// POSTRIDER_LMTP_...; a plugin that does not know the number must fail.
    pub lmtp_kind: u32,
    /// TCP port of the LMTP service; 0 for a Unix socket.
    pub lmtp_port: u32,
    /// Absolute path of the directory in which the files of a plan are published.
    pub table_dir: *const c_char,
    /// The user whose rights the host has when it publishes plans.
    pub user: *const c_char,
    /// What separates an address from its detail, usually `+`.
    pub delimiter: *const c_char,
    /// The sub-addresses of every list; NULL behind the last.
    pub subaddresses: *const *const postrider_subaddress,
    /// Where outgoing mail goes: host name or IP address.
    pub smtp_host: *const c_char,
    /// Where outgoing mail goes: TCP port.
    pub smtp_port: u32,
    /// 0.
    pub reserved: u32,
}

/// A mail domain that has (or may have) lists.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_domain {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The domain of the list addresses, lower case, A-labels (RFC 5890).
    pub name: *const c_char,
    /// The domain that the MTA really routes to the list server when it differs (`alias_domain`); else empty.
    pub alias: *const c_char,
    /// The alias if there is one, else the name: the domain that the MTA routes to the list server.
    pub routed: *const c_char,
}

/// A mailing list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_list {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The local part of the posting address, lower case, only `[-_.0-9a-z]`.
    pub local: *const c_char,
    /// The domain of the posting address, see postrider_domain.name.
    pub domain: *const c_char,
    /// See postrider_domain.alias.
    pub alias: *const c_char,
    /// See postrider_domain.routed.
    pub routed: *const c_char,
    /// The list-id (RFC 2919), without brackets.
    pub list_id: *const c_char,
}

/// An address, `LOCAL@ROUTED`, and whose it is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_address {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The local part, without a detail: `ants` or `ants-bounces`.
    pub local: *const c_char,
    /// The domain, as the MTA routes it.
    pub routed: *const c_char,
    /// Whose address it is. NULL: no list has it (only from for_each_address_of).
    pub list: *const postrider_list,
    /// Which of the list's sub-addresses; NULL for the posting address, and when no list has it.
    pub subaddress: *const postrider_subaddress,
}

/// What happened to the lists since the adapter was last asked. An adapter may always plan everything; the change
/// only allows it to save work.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_change {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// POSTRIDER_CHANGE_...
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// The list, for LIST_ADDED and LIST_REMOVED; else NULL.
    pub list: *const postrider_list,
    /// The domain, for DOMAIN_ADDED and DOMAIN_REMOVED; else NULL.
    pub domain: *const postrider_domain,
}

/// What a program did.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_output {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// Standard output; octets that are not UTF-8 are replaced. A NUL stands behind it, and more may stand in it.
    pub output: *const c_char,
    /// Octets of `output`, without the NUL behind it.
    pub output_size: usize,
    /// Standard error, in the same way.
    pub errors: *const c_char,
    /// Octets of `errors`, without the NUL behind it.
    pub errors_size: usize,
    /// Exit status; -1 when it was killed by a signal or by the time limit.
    pub status: i32,
    /// 0.
    pub reserved: u32,
}

/// Whom a message is from and for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_envelope {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// Envelope sender (RFC 5321 reverse-path without brackets); empty for `<>`.
    pub sender: *const c_char,
    /// If not empty, each recipient shall get the message from a sender of its own (VERP): `LOCAL` + this delimiter +
    /// `RECIPIENT-LOCAL=RECIPIENT-DOMAIN` + `@DOMAIN`, where `LOCAL@DOMAIN` is `sender`. Only adapters with the
    /// ability `verp` ever see it.
    pub verp_delimiter: *const c_char,
    /// Envelope recipients, at least one; NULL behind the last.
    pub recipients: *const *const c_char,
    /// How many.
    pub recipient_count: usize,
    /// Octets of the message, with CRLF as line ends.
    pub message_size: u64,
    /// 1: the body has octets above 127 (RFC 6152). 0: not.
    pub eight_bit: u32,
    /// 1: an address of this envelope is not ASCII, so that only servers that announce SMTPUTF8 can take it (RFC 6531).
    /// 0: all are.
    pub smtp_utf8: u32,
}

/// A message for some recipients.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_batch {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// Envelope sender (RFC 5321 reverse-path without brackets); empty for `<>`.
    pub sender: *const c_char,
    /// Envelope recipients, at least one; NULL behind the last.
    pub recipients: *const *const c_char,
    /// How many.
    pub recipient_count: usize,
    /// The message, lines end in CRLF, not dot-stuffed. No NUL stands behind it.
    pub message: *const u8,
    /// Octets of the message.
    pub message_size: usize,
    /// As in postrider_envelope.
    pub smtp_utf8: u32,
    /// 0.
    pub reserved: u32,
}

// ---- What the plugin lends to the host, each until the function to which it was given returns

/// One key that an adapter reads. The section of the file is the plugin's name.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_setting {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The key.
    pub name: *const c_char,
    /// What it does, for the administrator; whole sentences.
    pub help: *const c_char,
    /// POSTRIDER_SETTING_...; the host checks values before the adapter sees them.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// The value when the key is absent. NULL: empty.
    pub default_value: *const c_char,
    /// The words of POSTRIDER_SETTING_CHOICE, NULL behind the last. Each entry is the word and, after `=`, the word
    /// that it is an older name of: `regex=regexp`. NULL: none.
    pub choices: *const *const c_char,
}

/// One step of hooking up an MTA. The steps are done in the order given, and taken back in the reverse.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_snippet {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// POSTRIDER_SNIPPET_...
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// The lines or commands themselves, ready to be copied.
    pub text: *const c_char,
    /// Why, in one or two sentences.
    pub explanation: *const c_char,
    /// The file (absolute path) that gets the lines or is written; NULL or empty for commands.
    pub file: *const c_char,
    /// Commands for `sh -e` that take this step back, as the superuser. NULL or empty: for lines, to take them out
    /// again; for a file, to remove it; for commands, that there is nothing to take back.
    pub undo: *const c_char,
}

/// One result of a check.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_finding {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// POSTRIDER_SEVERITY_...
    pub severity: u32,
    /// 0.
    pub reserved: u32,
    /// What was looked at, for instance `main.cf: relay_domains`.
    pub subject: *const c_char,
    /// What was seen there.
    pub seen: *const c_char,
    /// What was expected. NULL: empty.
    pub expected: *const c_char,
    /// What the administrator should do. NULL: nothing.
    pub advice: *const c_char,
}

/// A table to be generated. For a change other than EVERYTHING a plan may leave out tables that stay as they are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_table {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The file or directory, relative to postrider_site.table_dir, no `..`; or an absolute path that is, or is
    /// inside, the value of a setting of the kind OUTPUT_DIRECTORY.
    pub path: *const c_char,
    /// POSTRIDER_FORMAT_...
    pub format: u32,
    /// POSTRIDER_ROLE_...
    pub role: u32,
    /// See POSTRIDER_FORMAT_...: the suffix of a compiled file with its dot, the mark of a directory. NULL: empty.
    pub format_text: *const c_char,
    /// Comment lines for the head of a text file, without `#`. NULL: none.
    pub comment: *const c_char,
    /// POSTRIDER_EXTENT_..., 0 for WHOLE.
    pub extent: u32,
    /// 0.
    pub reserved: u32,
}

/// One row of a table.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_row {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The key, as the MTA looks it up. Keys of one table must differ.
    pub key: *const c_char,
    /// The value.
    pub value: *const c_char,
    /// In a text file the column (from 0, at most 65535) in which the value starts, for the reader's eye. At least
    /// one blank is always written. No other effect.
    pub column: u32,
    /// 0.
    pub reserved: u32,
}

/// A program to be run by the host: no shell, a clean environment, a time limit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_command {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// POSTRIDER_PHASE_...: when it runs.
    pub phase: u32,
    /// POSTRIDER_NEED_..., 0 for REQUIRED.
    pub need: u32,
    /// Program (absolute path) and arguments, NULL behind the last. In the phases CHECK and COMPILE the text `{file}`
    /// inside an argument stands for the (staged) file of the table that the command belongs to; with
    /// POSTRIDER_COMMAND_INPUT_TABLE it need not be there.
    pub argv: *const *const c_char,
    /// Why, in a few words, shown to the administrator: `so that Postfix reads the new table`.
    pub reason: *const c_char,
    /// postrider_table.path of the tables that it belongs to, NULL behind the last. CHECK and COMPILE run once for
    /// each of them that changes. ACTIVATE runs once, right after the last of them is published and before any
    /// later table is, and only if one of them changed. NULL or empty, with ACTIVATE: after everything, if anything
    /// changed.
    pub tables: *const *const c_char,
    /// POSTRIDER_COMMAND_INPUT_..., 0 for NOTHING.
    pub input: u32,
    /// POSTRIDER_PRIVILEGE_..., 0 for OWNER.
    pub privilege: u32,
    /// If the command cannot be run here: how many milliseconds the MTA needs to notice the published tables by
    /// itself; the host then waits that long before it publishes later tables. Or POSTRIDER_SETTLE_...
    pub settle_ms: u64,
}

/// A program that the host runs to hand over one message: no shell, no descriptors but those named, a time limit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_injection {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// Program (absolute path, one of those that `programs` names) and arguments, NULL behind the last.
    pub argv: *const *const c_char,
    /// Environment, `NAME=VALUE`, NULL behind the last; the host adds `PATH`. NULL: nothing else.
    pub environment: *const *const c_char,
    /// What an exit code means of which no postrider_exit speaks: POSTRIDER_OUTCOME_..., 0 for TEMPORARY_FAILURE;
    /// DELIVERED is not allowed. Being killed is always a temporary failure, and so is not ending within the time
    /// limit.
    pub otherwise: u32,
    /// 0.
    pub reserved: u32,
}

/// What the program of an injection reads from one descriptor: a file that is complete before the program starts,
/// open for reading at its beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_input {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The descriptor, 0 to 9, but not 2. Standard output is caught unless it is named here; standard error always is.
    pub descriptor: u32,
    /// POSTRIDER_CONTENT_...
    pub content: u32,
    /// The octets of POSTRIDER_CONTENT_BYTES; else NULL.
    pub bytes: *const u8,
    /// How many.
    pub byte_count: usize,
}

/// What exit codes of the program of an injection mean; of several that fit the first counts. The outcome is that
/// of every recipient, except that a permanent failure of several recipients judges none: each half of them is
/// handed over by itself, down to one. A program must therefore not fail for good when it has taken the message for
/// some of its recipients.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_exit {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The first exit code, 0 to 255.
    pub first: u32,
    /// The last exit code, 0 to 255.
    pub last: u32,
    /// What became of the message: POSTRIDER_OUTCOME_...
    pub outcome: u32,
    /// 0.
    pub reserved: u32,
    /// In words, for a program that printed nothing, with an enhanced status code (RFC 3463) in front: `5.3.4
    /// message too large`. NULL: empty.
    pub text: *const c_char,
}
