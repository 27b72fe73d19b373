//! Numbers with names. Sets of them may grow: a plugin that meets a number which it does not know does what its
//! documentation says.

/// The interface that this header describes: version 1 in the upper half, 0 in the lower: 1.0.
pub const POSTRIDER_INTERFACE: u32 = 0x0001_0000;

/// How many octets a text may have, without the NUL at its end: 16 MiB.
pub const POSTRIDER_TEXT_MAX: usize = 16_777_216;

/// How many entries an array of texts may have, without the NULL at its end.
pub const POSTRIDER_ARRAY_MAX: usize = 65_536;

/// What became of a call, postrider_status:
///
/// It worked.
pub const POSTRIDER_OK: u32 = 0;
/// It did not work; trying again without a change is useless. A number that is none of these means the same.
pub const POSTRIDER_FAILED: u32 = 1;
/// It did not work this time; trying again later may help.
pub const POSTRIDER_TEMPORARY: u32 = 2;
/// The other side does not offer this.
pub const POSTRIDER_UNSUPPORTED: u32 = 3;
/// A setting has a value that the adapter cannot use.
pub const POSTRIDER_INVALID_SETTING: u32 = 4;
/// The adapter found itself in a state in which it cannot go on. The host destroys it and makes a new one for the
/// next call; calls that are under way finish with the old one.
pub const POSTRIDER_BROKEN: u32 = 5;

/// How important a line of the log is, postrider_host.log:
///
/// For developers.
pub const POSTRIDER_LOG_DEBUG: u32 = 1;
/// Normal. A number that is none of these means the same.
pub const POSTRIDER_LOG_INFO: u32 = 2;
/// Should be looked at.
pub const POSTRIDER_LOG_WARN: u32 = 3;
/// Something failed.
pub const POSTRIDER_LOG_ERROR: u32 = 4;

/// What the value of a setting looks like, postrider_setting.kind:
///
/// Any text, may be empty.
pub const POSTRIDER_SETTING_TEXT: u32 = 1;
/// The absolute path of a program that exists or not.
pub const POSTRIDER_SETTING_PROGRAM: u32 = 2;
/// An absolute path.
pub const POSTRIDER_SETTING_PATH: u32 = 3;
/// A whole number.
pub const POSTRIDER_SETTING_INTEGER: u32 = 4;
/// `yes` or `no`.
pub const POSTRIDER_SETTING_BOOLEAN: u32 = 5;
/// One of the words in `choices`.
pub const POSTRIDER_SETTING_CHOICE: u32 = 6;
/// The absolute path of a directory into which plans may write besides the table directory.
pub const POSTRIDER_SETTING_OUTPUT_DIRECTORY: u32 = 7;

/// How the MTA reaches the list server, postrider_site.lmtp_kind:
///
/// `lmtp_host` is a host name or an IP address (IPv6 without brackets), `lmtp_port` a TCP port.
pub const POSTRIDER_LMTP_TCP: u32 = 1;
/// `lmtp_host` is the absolute path of a Unix socket.
pub const POSTRIDER_LMTP_UNIX: u32 = 2;

/// What happened, postrider_change.kind; for a number that is none of these plan everything. Of changes that came
/// together each is planned by a call of its own; the roster is that after all of them (if others come meanwhile, a
/// newer one), and the plans may be published as one. So a plan says what is true now of the list or domain that it is
/// told of, and never guesses what was there before: the only list of a domain need not be its first one.
///
/// Anything may have changed: plan everything.
pub const POSTRIDER_CHANGE_EVERYTHING: u32 = 1;
/// `list` is new.
pub const POSTRIDER_CHANGE_LIST_ADDED: u32 = 2;
/// `list` is gone; it is no longer in the roster.
pub const POSTRIDER_CHANGE_LIST_REMOVED: u32 = 3;
/// `domain` is new.
pub const POSTRIDER_CHANGE_DOMAIN_ADDED: u32 = 4;
/// `domain` is gone; it is no longer in the roster.
pub const POSTRIDER_CHANGE_DOMAIN_REMOVED: u32 = 5;

/// How a table is stored, and with that, how it is published, postrider_table.format:
///
/// A text file, published by rename.
pub const POSTRIDER_FORMAT_TEXT: u32 = 1;
/// A text file and a compiled file beside it, whose name has `format_text` (`.db`) behind it: compiled from a staged
/// copy, then both are renamed.
pub const POSTRIDER_FORMAT_COMPILED_RENAME: u32 = 2;
/// A text file and a compiled file that running daemons hold open and that must therefore never be replaced by
/// another inode (LMDB): compiled on trial from a staged copy, then compiled in place. `format_text` as above.
pub const POSTRIDER_FORMAT_COMPILED_IN_PLACE: u32 = 3;
/// An SQLite database with the table `map(key TEXT PRIMARY KEY COLLATE NOCASE, value TEXT NOT NULL)`, written by
/// the host in place, in one transaction.
pub const POSTRIDER_FORMAT_SQLITE: u32 = 4;
/// A directory with one file for each row: the key is its name, the value its contents (it may have several lines;
/// a last line end is added if there is none). `format_text` is the first line of every file, which says whose it
/// is. Files that do not begin with it are somebody else's: they are left alone, and a row that would replace one
/// is an error. Empty or NULL: the directory and all that is in it belong to the host.
pub const POSTRIDER_FORMAT_DIRECTORY: u32 = 5;

/// What a table is for, postrider_table.role. When an address is added the host publishes in this order, when it
/// is removed in the reverse, so that no address is refused meanwhile:
///
/// Where mail for a domain or an address goes.
pub const POSTRIDER_ROLE_ROUTING: u32 = 1;
/// Rewriting of addresses, for instance from an alias domain.
pub const POSTRIDER_ROLE_REWRITING: u32 = 2;
/// For which domains mail is accepted.
pub const POSTRIDER_ROLE_DOMAINS: u32 = 3;
/// Which addresses are accepted.
pub const POSTRIDER_ROLE_ACCEPTANCE: u32 = 4;

/// Which rows follow, postrider_table.extent:
///
/// All rows of the table follow: what else is in it goes. 0 means the same.
pub const POSTRIDER_EXTENT_WHOLE: u32 = 1;
/// Only what the change may have touched follows: rows that must be there (`row`) and keys that must not
/// (`absent`). Only for the formats SQLITE and DIRECTORY, and never for POSTRIDER_CHANGE_EVERYTHING.
pub const POSTRIDER_EXTENT_CHANGES: u32 = 2;

/// When a command runs, postrider_command.phase:
///
/// On the staged files, before anything is published. Failure changes nothing.
pub const POSTRIDER_PHASE_CHECK: u32 = 1;
/// Makes the compiled form of a table from its staged text. Failure changes nothing.
pub const POSTRIDER_PHASE_COMPILE: u32 = 2;
/// After publication: reload and the like. Failure brings the previous files back.
pub const POSTRIDER_PHASE_ACTIVATE: u32 = 3;

/// Whether a command must run, postrider_command.need:
///
/// Without it the change is not (wholly) seen by the MTA. 0 means the same.
pub const POSTRIDER_NEED_REQUIRED: u32 = 1;
/// Without it the change takes effect too, only later.
pub const POSTRIDER_NEED_ADVISED: u32 = 2;

/// Whose rights a command needs, postrider_command.privilege:
///
/// With the rights of the user that owns the host's data. 0 means the same.
pub const POSTRIDER_PRIVILEGE_OWNER: u32 = 1;
/// As the superuser. When the host is not the superuser the command is printed instead.
pub const POSTRIDER_PRIVILEGE_ROOT: u32 = 2;

/// What a command reads, postrider_command.input:
///
/// The command reads nothing. 0 means the same.
pub const POSTRIDER_COMMAND_INPUT_NOTHING: u32 = 1;
/// The command reads the (staged) text file of its table; only in the phases CHECK and COMPILE.
pub const POSTRIDER_COMMAND_INPUT_TABLE: u32 = 2;

/// When an MTA notices published tables, postrider_command.settle_ms:
///
/// The MTA never notices published tables by itself.
pub const POSTRIDER_SETTLE_NEVER: u64 = 0;
/// The MTA notices published tables at once.
pub const POSTRIDER_SETTLE_AT_ONCE: u64 = u64::MAX;

/// What a step is, postrider_snippet.kind:
///
/// Lines at the end of a configuration file that has others too.
pub const POSTRIDER_SNIPPET_LINES: u32 = 1;
/// Commands for `sh -e`, to be run as the superuser.
pub const POSTRIDER_SNIPPET_COMMANDS: u32 = 2;
/// A whole file that nobody else writes to.
pub const POSTRIDER_SNIPPET_FILE: u32 = 3;

/// How bad a finding is, postrider_finding.severity; a number that is none of these is taken as a warning:
///
/// As it should be.
pub const POSTRIDER_SEVERITY_OK: u32 = 1;
/// Good to know.
pub const POSTRIDER_SEVERITY_INFO: u32 = 2;
/// Works, but something should be changed.
pub const POSTRIDER_SEVERITY_WARNING: u32 = 3;
/// Mail will not flow.
pub const POSTRIDER_SEVERITY_ERROR: u32 = 4;

/// What became of a recipient; a number that is none of these is taken as a temporary failure, so that nothing is
/// lost:
///
/// The MTA has taken responsibility.
pub const POSTRIDER_OUTCOME_DELIVERED: u32 = 1;
/// Try again later.
pub const POSTRIDER_OUTCOME_TEMPORARY_FAILURE: u32 = 2;
/// Never try again.
pub const POSTRIDER_OUTCOME_PERMANENT_FAILURE: u32 = 3;
/// The MTA itself cannot take mail now (disk full, not configured): nobody is judged, and all mail waits until the
/// MTA is asked again. Not for what may be about one message or one recipient: that would hold up all others. In
/// the results of `deliver` it means this only if every recipient has it.
pub const POSTRIDER_OUTCOME_UNAVAILABLE: u32 = 4;

/// What a program reads, postrider_input.content:
///
/// The message, lines end in CRLF, not dot-stuffed.
pub const POSTRIDER_CONTENT_MESSAGE_CRLF: u32 = 1;
/// The message, lines end in LF, not dot-stuffed.
pub const POSTRIDER_CONTENT_MESSAGE_LF: u32 = 2;
/// The octets `bytes`.
pub const POSTRIDER_CONTENT_BYTES: u32 = 3;
