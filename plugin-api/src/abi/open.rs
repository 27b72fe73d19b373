//! Open sets: a `u32` with names. Each may get further names in a minor version.

use crate::sdk;
use abi_stable::StableAbi;

/// Declares an open set; with `as Sdk`, also the way from and to the SDK's enum of the same meaning.
macro_rules! open_set {
    ($(#[$doc:meta])* $set:ident { $($name:ident = $value:literal),* $(,)? }) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $set(pub u32);

        #[allow(missing_docs)]
        impl $set {
            $(pub const $name: $set = $set($value);)*
        }
    };
    ($(#[$doc:meta])* $set:ident as $sdk:ty { $($name:ident = $value:literal is $variant:ident),* $(,)? }) => {
        open_set! { $(#[$doc])* $set { $($name = $value),* } }

        impl From<$sdk> for $set {
            fn from(value: $sdk) -> Self {
                match value {
                    $(<$sdk>::$variant => $set::$name,)*
                }
            }
        }

        impl $set {
            /// The SDK's value; `None` if this side is too old to know it.
            pub fn known(self) -> Option<$sdk> {
                match self {
                    $($set::$name => Some(<$sdk>::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

open_set! {
    /// What an adapter is for.
    AdapterKind { INCOMING = 1, OUTGOING = 2 }
}

open_set! {
    /// What kind of failure.
    ErrorKind as sdk::ErrorKind {
        FAILED = 1 is Failed,
        TEMPORARY = 2 is Temporary,
        UNSUPPORTED = 3 is Unsupported,
        INVALID_SETTING = 4 is InvalidSetting,
        PANIC = 5 is Panic,
    }
}

open_set! {
    /// How important a log line is.
    LogLevel as sdk::LogLevel { DEBUG = 1 is Debug, INFO = 2 is Info, WARN = 3 is Warn, ERROR = 4 is Error }
}

open_set! {
    /// How the MTA reaches the LMTP service.
    LmtpKind { TCP = 1, UNIX = 2 }
}

open_set! {
    /// What happened to the lists. A plugin that does not know a kind plans everything.
    ChangeKind {
        EVERYTHING = 1,
        LIST_ADDED = 2,
        LIST_REMOVED = 3,
        DOMAIN_ADDED = 4,
        DOMAIN_REMOVED = 5,
    }
}

open_set! {
    /// How a table is stored.
    TableFormat { TEXT = 1, COMPILED_RENAME = 2, COMPILED_IN_PLACE = 3, SQLITE = 4, DIRECTORY = 5 }
}

open_set! {
    /// Which rows of a table a plan has.
    Extent as sdk::Extent { WHOLE = 1 is Whole, CHANGES = 2 is Changes }
}

open_set! {
    /// What a command reads from its standard input.
    CommandInput as sdk::CommandInput { NOTHING = 1 is Nothing, TABLE = 2 is Table }
}

open_set! {
    /// What a program reads from a descriptor.
    ContentKind { MESSAGE_CRLF = 1, MESSAGE_LF = 2, BYTES = 3 }
}

open_set! {
    /// What a table is for.
    TableRole as sdk::TableRole {
        ROUTING = 1 is Routing,
        REWRITING = 2 is Rewriting,
        DOMAINS = 3 is Domains,
        ACCEPTANCE = 4 is Acceptance,
    }
}

open_set! {
    /// When a command runs.
    Phase as sdk::Phase { CHECK = 1 is Check, COMPILE = 2 is Compile, ACTIVATE = 3 is Activate }
}

open_set! {
    /// Whether a command must run.
    Need as sdk::Need { REQUIRED = 1 is Required, ADVISED = 2 is Advised }
}

open_set! {
    /// Whose rights a command needs.
    Privilege as sdk::Privilege { OWNER = 1 is Owner, ROOT = 2 is Root }
}

open_set! {
    /// What a snippet is.
    SnippetKind as sdk::SnippetKind { LINES = 1 is Lines, COMMANDS = 2 is Commands, FILE = 3 is File }
}

open_set! {
    /// How bad a finding is.
    Severity as sdk::Severity { OK = 1 is Ok, INFO = 2 is Info, WARNING = 3 is Warning, ERROR = 4 is Error }
}

open_set! {
    /// What a setting's value looks like.
    SettingKind { TEXT = 1, PROGRAM = 2, PATH = 3, INTEGER = 4, BOOLEAN = 5, CHOICE = 6, OUTPUT_DIRECTORY = 7 }
}

open_set! {
    /// What became of one recipient.
    Outcome as sdk::Outcome {
        DELIVERED = 1 is Delivered,
        TEMPORARY_FAILURE = 2 is TemporaryFailure,
        PERMANENT_FAILURE = 3 is PermanentFailure,
        UNAVAILABLE = 4 is Unavailable,
    }
}
