//! Numbers of open sets that this version does not know, as a later one may send them; and those that it knows, which
//! never change.

use super::*;
use crate::abi::*;
use crate::host;
use std::sync::{Arc, Mutex};

const NEW: u32 = 99;

fn is_unsupported<T: std::fmt::Debug>(result: sdk::Result<T>, what: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, sdk::ErrorKind::Unsupported, "{}", error);
    assert!(error.message.contains(&format!("{} number 99", what)), "{}", error);
    assert!(!error.hint.is_empty());
}

fn a_table() -> Table<'static> {
    Table {
        path: "t".into(),
        extent: Extent::WHOLE,
        format: TableFormat::TEXT,
        format_text: "".into(),
        role: TableRole::ROUTING,
        comment: "".into(),
        extra: RSlice::EMPTY,
    }
}

fn a_command() -> Command<'static> {
    Command {
        phase: Phase::ACTIVATE,
        need: Need::REQUIRED,
        privilege: Privilege::OWNER,
        argv: RSlice::EMPTY,
        stdin: CommandInput::NOTHING,
        tables: RSlice::EMPTY,
        settle_ms: ROption::RNone,
        reason: "".into(),
        extra: RSlice::EMPTY,
    }
}

fn an_injection() -> Injection {
    sdk::Injection::new(["/bin/true"])
        .with_input(0, sdk::Content::MessageLf)
        .with_exits(0..=0, sdk::Outcome::Delivered, "")
        .into()
}

#[test]
fn an_unknown_table_fails_the_plan() {
    assert!(table(a_table()).is_ok());
    is_unsupported(table(Table { extent: Extent(NEW), ..a_table() }), "table extent");
    is_unsupported(table(Table { format: TableFormat(NEW), ..a_table() }), "table format");
    is_unsupported(table(Table { role: TableRole(NEW), ..a_table() }), "table role");
}

#[test]
fn an_unknown_command_fails_the_plan() {
    assert!(command(a_command()).is_ok());
    is_unsupported(command(Command { phase: Phase(NEW), ..a_command() }), "phase");
    is_unsupported(command(Command { need: Need(NEW), ..a_command() }), "need");
    is_unsupported(command(Command { privilege: Privilege(NEW), ..a_command() }), "privilege");
    is_unsupported(command(Command { stdin: CommandInput(NEW), ..a_command() }), "command input");
}

#[test]
fn an_unknown_change_is_a_change_of_everything() {
    let list = sdk::ListView::new("ants", sdk::DomainView::new("example.org", ""), "ants.example.org");
    let known: ListChange<'_> = sdk::Change::ListAdded(list).into();
    assert!(matches!(sdk::Change::from(known), sdk::Change::ListAdded(_)));
    assert!(matches!(sdk::Change::from(ListChange { kind: ChangeKind(NEW), ..known }), sdk::Change::Everything));
}

#[test]
fn an_unknown_place_of_the_lmtp_service_fails_the_call() {
    let tcp: LmtpAddress = (&sdk::LmtpAddress::tcp("::1", 24)).into();
    assert_eq!(lmtp_address(tcp.clone()), Ok(sdk::LmtpAddress::tcp("::1", 24)));
    is_unsupported(lmtp_address(LmtpAddress { kind: LmtpKind(NEW), ..tcp }), "LMTP address kind");
}

#[test]
fn an_unknown_step_fails_the_whole_hookup() {
    let lines: Snippet = sdk::Snippet::lines("/etc/main.cf", "a\n", "because").into();
    assert!(snippet(lines.clone()).is_ok());
    is_unsupported(snippet(Snippet { kind: SnippetKind(NEW), ..lines }), "snippet kind");
}

#[test]
fn an_unknown_severity_is_a_warning() {
    let fine: Finding = sdk::Finding::new(sdk::Severity::Ok, "main.cf", "there").into();
    let finding = sdk::Finding::from(Finding { severity: Severity(NEW), ..fine });
    assert_eq!(finding, sdk::Finding::new(sdk::Severity::Warning, "main.cf", "there"));
}

#[test]
fn an_unknown_kind_of_setting_is_text_for_the_host() {
    let path: SettingSpec = sdk::SettingSpec::new("home", sdk::SettingKind::Path, "/", "").into();
    let spec = sdk::SettingSpec::from(SettingSpec { kind: SettingKind(NEW), ..path });
    assert_eq!(spec, sdk::SettingSpec::new("home", sdk::SettingKind::Text, "/", ""));
}

#[test]
fn an_unknown_outcome_is_tried_again_later_wherever_it_stands() {
    let result: RecipientResult = sdk::RecipientResult::new(sdk::Outcome::PermanentFailure, "550 no").into();
    let result = sdk::RecipientResult::from(RecipientResult { outcome: Outcome(NEW), ..result });
    assert_eq!(result, sdk::RecipientResult::new(sdk::Outcome::TemporaryFailure, "550 no"));

    let mut crossing = an_injection();
    crossing.otherwise = Outcome(NEW);
    crossing.exits[0].outcome = Outcome(NEW);
    let injection = injection(crossing).unwrap();
    assert_eq!(injection.otherwise, sdk::Outcome::TemporaryFailure);
    assert_eq!(injection.exits[0].outcome, sdk::Outcome::TemporaryFailure);
}

#[test]
fn unknown_content_fails_the_injection() {
    assert!(injection(an_injection()).is_ok());
    let mut crossing = an_injection();
    crossing.inputs[0].kind = ContentKind(NEW);
    is_unsupported(injection(crossing), "content kind");
}

#[test]
fn an_unknown_kind_of_error_is_a_failure() {
    let error: Error = sdk::Error::new(sdk::ErrorKind::Temporary, "no").with_hint("wait").into();
    let error = sdk::Error::from(Error { kind: ErrorKind(NEW), ..error });
    assert_eq!(error, sdk::Error::failed("no").with_hint("wait"));
}

#[test]
fn a_log_line_of_an_unknown_level_is_normal() {
    struct Lines(Mutex<Vec<(sdk::LogLevel, String)>>);
    impl sdk::HostLog for Lines {
        fn log(&self, level: sdk::LogLevel, message: &str) {
            self.0.lock().unwrap().push((level, message.to_owned()));
        }
    }
    let lines = Arc::new(Lines(Mutex::new(Vec::new())));
    let log = host::host_box(Arc::clone(&lines) as Arc<dyn sdk::HostLog>);
    log.log(LogLevel(NEW), "new".into());
    log.log(LogLevel::ERROR, "known".into());
    let expected = [(sdk::LogLevel::Info, "new".to_owned()), (sdk::LogLevel::Error, "known".to_owned())];
    assert_eq!(*lines.0.lock().unwrap(), expected);
}

#[test]
fn abilities_of_a_later_version_mean_nothing_here() {
    let names = |names: &[&str]| names.iter().map(|name| RString::from(*name)).collect();
    assert_eq!(abilities(names(&["dsn", "verp"])), sdk::Abilities::default().with_verp(true));
    assert_eq!(abilities(names(&["dsn"])), sdk::Abilities::default());
    assert_eq!(abilities_out(sdk::Abilities::default().with_verp(true)), names(&["verp"]));
}

#[test]
fn what_stands_in_extra_is_no_trouble_for_a_side_that_does_not_know_it() {
    let extra = [Tuple2(RStr::from("since_1_7"), RStr::from("x"))];
    assert!(table(Table { extra: extra[..].into(), ..a_table() }).is_ok());
    assert!(command(Command { extra: extra[..].into(), ..a_command() }).is_ok());
}

/// The numbers of 1.0.0. A line that changes here is a new major version; new lines may come.
#[test]
fn numbers_never_change() {
    let incoming_and_outgoing = [AdapterKind::INCOMING, AdapterKind::OUTGOING];
    assert_eq!(incoming_and_outgoing.map(|kind| kind.0), [1, 2]);

    use sdk::ErrorKind::{Failed, InvalidSetting, Panic, Temporary, Unsupported};
    let kinds = [Failed, Temporary, Unsupported, InvalidSetting, Panic];
    assert_eq!(kinds.map(|kind| ErrorKind::from(kind).0), [1, 2, 3, 4, 5]);
    assert_eq!([1, 2, 3, 4, 5].map(|number| ErrorKind(number).known()), kinds.map(Some));

    let levels = [sdk::LogLevel::Debug, sdk::LogLevel::Info, sdk::LogLevel::Warn, sdk::LogLevel::Error];
    assert_eq!(levels.map(|level| LogLevel::from(level).0), [1, 2, 3, 4]);
    assert_eq!([1, 2, 3, 4].map(|number| LogLevel(number).known()), levels.map(Some));

    assert_eq!([LmtpKind::TCP, LmtpKind::UNIX].map(|kind| kind.0), [1, 2]);

    use ChangeKind as Change;
    let changes =
        [Change::EVERYTHING, Change::LIST_ADDED, Change::LIST_REMOVED, Change::DOMAIN_ADDED, Change::DOMAIN_REMOVED];
    assert_eq!(changes.map(|kind| kind.0), [1, 2, 3, 4, 5]);

    use TableFormat as Format;
    let formats = [Format::TEXT, Format::COMPILED_RENAME, Format::COMPILED_IN_PLACE, Format::SQLITE, Format::DIRECTORY];
    assert_eq!(formats.map(|format| format.0), [1, 2, 3, 4, 5]);

    let extents = [sdk::Extent::Whole, sdk::Extent::Changes];
    assert_eq!(extents.map(|extent| Extent::from(extent).0), [1, 2]);
    assert_eq!([1, 2].map(|number| Extent(number).known()), extents.map(Some));

    let inputs = [sdk::CommandInput::Nothing, sdk::CommandInput::Table];
    assert_eq!(inputs.map(|input| CommandInput::from(input).0), [1, 2]);
    assert_eq!([1, 2].map(|number| CommandInput(number).known()), inputs.map(Some));

    let contents = [ContentKind::MESSAGE_CRLF, ContentKind::MESSAGE_LF, ContentKind::BYTES];
    assert_eq!(contents.map(|kind| kind.0), [1, 2, 3]);

    use sdk::TableRole::{Acceptance, Domains, Rewriting, Routing};
    let roles = [Routing, Rewriting, Domains, Acceptance];
    assert_eq!(roles.map(|role| TableRole::from(role).0), [1, 2, 3, 4]);
    assert_eq!([1, 2, 3, 4].map(|number| TableRole(number).known()), roles.map(Some));

    let phases = [sdk::Phase::Check, sdk::Phase::Compile, sdk::Phase::Activate];
    assert_eq!(phases.map(|phase| Phase::from(phase).0), [1, 2, 3]);
    assert_eq!([1, 2, 3].map(|number| Phase(number).known()), phases.map(Some));

    let needs = [sdk::Need::Required, sdk::Need::Advised];
    assert_eq!(needs.map(|need| Need::from(need).0), [1, 2]);
    assert_eq!([1, 2].map(|number| Need(number).known()), needs.map(Some));

    let privileges = [sdk::Privilege::Owner, sdk::Privilege::Root];
    assert_eq!(privileges.map(|privilege| Privilege::from(privilege).0), [1, 2]);
    assert_eq!([1, 2].map(|number| Privilege(number).known()), privileges.map(Some));

    let snippets = [sdk::SnippetKind::Lines, sdk::SnippetKind::Commands, sdk::SnippetKind::File];
    assert_eq!(snippets.map(|kind| SnippetKind::from(kind).0), [1, 2, 3]);
    assert_eq!([1, 2, 3].map(|number| SnippetKind(number).known()), snippets.map(Some));

    let severities = [sdk::Severity::Ok, sdk::Severity::Info, sdk::Severity::Warning, sdk::Severity::Error];
    assert_eq!(severities.map(|severity| Severity::from(severity).0), [1, 2, 3, 4]);
    assert_eq!([1, 2, 3, 4].map(|number| Severity(number).known()), severities.map(Some));

    use SettingKind as Setting;
    let settings = [
        Setting::TEXT,
        Setting::PROGRAM,
        Setting::PATH,
        Setting::INTEGER,
        Setting::BOOLEAN,
        Setting::CHOICE,
        Setting::OUTPUT_DIRECTORY,
    ];
    assert_eq!(settings.map(|kind| kind.0), [1, 2, 3, 4, 5, 6, 7]);

    use sdk::Outcome::{Delivered, PermanentFailure, TemporaryFailure, Unavailable};
    let outcomes = [Delivered, TemporaryFailure, PermanentFailure, Unavailable];
    assert_eq!(outcomes.map(|outcome| Outcome::from(outcome).0), [1, 2, 3, 4]);
    assert_eq!([1, 2, 3, 4].map(|number| Outcome(number).known()), outcomes.map(Some));
}
