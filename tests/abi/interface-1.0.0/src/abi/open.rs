//! Open sets: a `u32` with names. Each may get further names in a minor version.
//!
//! A receiver can meet a number that it does not know. What it then does stands beside each set; `convert.rs` is where it
//! is done, and where there is no answer with which no mail is lost, the call fails with [`ErrorKind::UNSUPPORTED`].
//! No set has the number 0, so that what was forgotten is not taken for a value.

use crate::sdk;
use abi_stable::StableAbi;

/// Declares an open set; with `as Sdk`, also the way from and to the SDK's enum of the same meaning.
macro_rules! open_set {
    ($(#[$doc:meta])* $set:ident { $($(#[$of_name:meta])* $name:ident = $value:literal),* $(,)? }) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $set(
            /// The number that crosses.
            pub u32,
        );

        impl $set {
            $($(#[$of_name])* pub const $name: $set = $set($value);)*
        }
    };
    ($(#[$doc:meta])* $set:ident as $sdk:ident { $($name:ident = $value:literal is $variant:ident),* $(,)? }) => {
        open_set! {
            $(#[$doc])*
            $set {
                $(
                    #[doc = concat!("[`sdk::", stringify!($sdk), "::", stringify!($variant), "`].")]
                    $name = $value
                ),*
            }
        }

        impl From<sdk::$sdk> for $set {
            fn from(value: sdk::$sdk) -> Self {
                match value {
                    $(sdk::$sdk::$variant => $set::$name,)*
                }
            }
        }

        impl $set {
            /// The SDK's value; `None` if this side is too old to know it.
            pub fn known(self) -> Option<sdk::$sdk> {
                match self {
                    $($set::$name => Some(sdk::$sdk::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

open_set! {
    /// What an adapter is for. Unknown: the host shows the adapter and does not use it.
    AdapterKind {
        /// It teaches an MTA which addresses are lists: [`Incoming`](super::Incoming).
        INCOMING = 1,
        /// It hands mail to an MTA: [`Outgoing`](super::Outgoing).
        OUTGOING = 2,
    }
}

open_set! {
    /// What kind of failure. Unknown: [`FAILED`](ErrorKind::FAILED).
    ErrorKind as ErrorKind {
        FAILED = 1 is Failed,
        TEMPORARY = 2 is Temporary,
        UNSUPPORTED = 3 is Unsupported,
        INVALID_SETTING = 4 is InvalidSetting,
        PANIC = 5 is Panic,
    }
}

open_set! {
    /// How important a log line is. Unknown: [`INFO`](LogLevel::INFO).
    LogLevel as LogLevel { DEBUG = 1 is Debug, INFO = 2 is Info, WARN = 3 is Warn, ERROR = 4 is Error }
}

open_set! {
    /// How the MTA reaches the LMTP service. Unknown: the call fails.
    LmtpKind {
        /// [`sdk::LmtpAddress::Tcp`].
        TCP = 1,
        /// [`sdk::LmtpAddress::Unix`].
        UNIX = 2,
    }
}

open_set! {
    /// What happened to the lists. Unknown: the plugin plans [`EVERYTHING`](ChangeKind::EVERYTHING).
    ChangeKind {
        /// [`sdk::Change::Everything`].
        EVERYTHING = 1,
        /// [`sdk::Change::ListAdded`].
        LIST_ADDED = 2,
        /// [`sdk::Change::ListRemoved`].
        LIST_REMOVED = 3,
        /// [`sdk::Change::DomainAdded`].
        DOMAIN_ADDED = 4,
        /// [`sdk::Change::DomainRemoved`].
        DOMAIN_REMOVED = 5,
    }
}

open_set! {
    /// How a table is stored. Unknown: the plan fails.
    TableFormat {
        /// [`sdk::TableFormat::Text`].
        TEXT = 1,
        /// [`sdk::TableFormat::CompiledRename`].
        COMPILED_RENAME = 2,
        /// [`sdk::TableFormat::CompiledInPlace`].
        COMPILED_IN_PLACE = 3,
        /// [`sdk::TableFormat::Sqlite`].
        SQLITE = 4,
        /// [`sdk::TableFormat::Directory`].
        DIRECTORY = 5,
    }
}

open_set! {
    /// Which rows of a table a plan has. Unknown: the plan fails, as taking some rows for all would remove the others.
    Extent as Extent { WHOLE = 1 is Whole, CHANGES = 2 is Changes }
}

open_set! {
    /// What a command reads from its standard input. Unknown: the plan fails.
    CommandInput as CommandInput { NOTHING = 1 is Nothing, TABLE = 2 is Table }
}

open_set! {
    /// What a program reads from a descriptor. Unknown: the injection fails, and is tried again later.
    ContentKind {
        /// [`sdk::Content::MessageCrLf`].
        MESSAGE_CRLF = 1,
        /// [`sdk::Content::MessageLf`].
        MESSAGE_LF = 2,
        /// [`sdk::Content::Bytes`].
        BYTES = 3,
    }
}

open_set! {
    /// What a table is for. Unknown: the plan fails, as nobody would know when to publish the table.
    TableRole as TableRole {
        ROUTING = 1 is Routing,
        REWRITING = 2 is Rewriting,
        DOMAINS = 3 is Domains,
        ACCEPTANCE = 4 is Acceptance,
    }
}

open_set! {
    /// When a command runs. Unknown: the plan fails.
    Phase as Phase { CHECK = 1 is Check, COMPILE = 2 is Compile, ACTIVATE = 3 is Activate }
}

open_set! {
    /// Whether a command must run. Unknown: the plan fails.
    Need as Need { REQUIRED = 1 is Required, ADVISED = 2 is Advised }
}

open_set! {
    /// Whose rights a command needs. Unknown: the plan fails.
    Privilege as Privilege { OWNER = 1 is Owner, ROOT = 2 is Root }
}

open_set! {
    /// What a snippet is. Unknown: the whole answer fails, as steps of a hookup cannot be left out.
    SnippetKind as SnippetKind { LINES = 1 is Lines, COMMANDS = 2 is Commands, FILE = 3 is File }
}

open_set! {
    /// How bad a finding is. Unknown: [`WARNING`](Severity::WARNING).
    Severity as Severity { OK = 1 is Ok, INFO = 2 is Info, WARNING = 3 is Warning, ERROR = 4 is Error }
}

open_set! {
    /// What a setting's value looks like. Unknown: [`TEXT`](SettingKind::TEXT); the adapter itself then checks the value.
    SettingKind {
        /// [`sdk::SettingKind::Text`].
        TEXT = 1,
        /// [`sdk::SettingKind::Program`].
        PROGRAM = 2,
        /// [`sdk::SettingKind::Path`].
        PATH = 3,
        /// [`sdk::SettingKind::Integer`].
        INTEGER = 4,
        /// [`sdk::SettingKind::Boolean`].
        BOOLEAN = 5,
        /// [`sdk::SettingKind::Choice`].
        CHOICE = 6,
        /// [`sdk::SettingKind::OutputDirectory`].
        OUTPUT_DIRECTORY = 7,
    }
}

open_set! {
    /// What became of one recipient. Unknown: [`TEMPORARY_FAILURE`](Outcome::TEMPORARY_FAILURE).
    Outcome as Outcome {
        DELIVERED = 1 is Delivered,
        TEMPORARY_FAILURE = 2 is TemporaryFailure,
        PERMANENT_FAILURE = 3 is PermanentFailure,
        UNAVAILABLE = 4 is Unavailable,
    }
}
