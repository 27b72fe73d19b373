//! The log: one line an event, to the journal, standard error or a file.
//!
//! [`init`] is called once by the daemon, [`init_command`] by every other command. The filter can
//! be changed while the program runs ([`Log::apply`], for SIGHUP); a log file that was renamed is
//! opened anew with [`Log::reopen`]. Line ends and other control characters that come in with mail
//! are written as escapes, so nobody can forge a line. A line that cannot be written (disk full) is
//! lost; mail goes on.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogTarget, Logging};

/// The environment variable that overrides `[logging] filter`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` or `[logging] filter` is wrong.
    #[error("{origin}: `{filter}` is no log filter: {reason}; write a level such as info, or info,lmtp=debug")]
    Filter {
        /// Where it was set.
        origin: &'static str,
        /// What was set.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log file cannot be opened.
    #[error(
        "the log file {} cannot be opened: {source}; correct [logging] target, or make its directory and give it to \
         the user of Postrider", path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// There is no journal.
    #[error("the journal cannot be reached: {0}; set [logging] target to stderr or to a file")]
    Journal(io::Error),
    /// The program has set up its log already.
    #[error("the log has been set up already")]
    Twice,
}

/// The log of this program, to change it while it runs.
#[derive(Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    file: Option<LogFile>,
    on_stderr: bool,
}

/// Sets up the daemon's log.
///
/// # Errors
/// The filter is wrong, or the target cannot be opened.
pub fn init(logging: &Logging) -> Result<Log, LoggingError> {
    let (log, subscriber) = build(logging, std::env::var(FILTER_VARIABLE).ok())?;
    subscriber.try_init().map_err(|_| LoggingError::Twice)?;
    Ok(log)
}

/// Sets up the log of a command that somebody typed: warnings on standard error, or what
/// `RUST_LOG` says.
///
/// # Errors
/// `RUST_LOG` is wrong.
pub fn init_command() -> Result<Log, LoggingError> {
    init(&Logging { filter: "warn".to_owned(), target: LogTarget::Stderr })
}

impl Log {
    /// Takes over `[logging] filter`; `RUST_LOG` still wins. The target stays.
    ///
    /// # Errors
    /// The filter is wrong; the old one stays.
    pub fn apply(&self, logging: &Logging) -> Result<(), LoggingError> {
        self.change(filter(logging, std::env::var(FILTER_VARIABLE).ok())?);
        Ok(())
    }

    /// Opens the log file anew, after it was renamed (logrotate).
    ///
    /// # Errors
    /// It cannot be opened; lines go on into the old one.
    pub fn reopen(&self) -> Result<(), LoggingError> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }

    /// Whether who sees standard error has read an error that was logged.
    pub fn shows_errors_on_stderr(&self) -> bool {
        self.on_stderr && tracing::enabled!(tracing::Level::ERROR)
    }

    fn change(&self, filter: EnvFilter) {
        // Fails only when the subscriber is gone, and then nothing is logged anyway.
        let _ = self.filter.reload(filter);
    }
}

type Boxed =
    Box<dyn Layer<tracing_subscriber::layer::Layered<reload::Layer<EnvFilter, Registry>, Registry>> + Send + Sync>;

fn build(logging: &Logging, variable: Option<String>) -> Result<(Log, impl SubscriberInitExt + use<>), LoggingError> {
    let (filter, handle) = reload::Layer::new(filter(logging, variable)?);
    let mut file = None;
    let layer: Boxed = match &logging.target {
        LogTarget::Journal => journal()?,
        // Nobody asked for the journal by name, so without it standard error is good enough.
        LogTarget::Auto if stderr_is_journal() => journal().unwrap_or_else(|_| to_stderr()),
        LogTarget::Auto | LogTarget::Stderr => to_stderr(),
        LogTarget::File(path) => {
            let opened = LogFile::open(path)?;
            file = Some(opened.clone());
            lines(opened)
        }
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    // systemd sends standard error where `auto` writes to.
    let on_stderr = matches!(logging.target, LogTarget::Auto | LogTarget::Stderr);
    Ok((Log { filter: handle, file, on_stderr }, subscriber))
}

fn filter(logging: &Logging, variable: Option<String>) -> Result<EnvFilter, LoggingError> {
    let (origin, filter) = match variable.filter(|value| !value.is_empty()) {
        Some(value) => (FILTER_VARIABLE, value),
        None => ("[logging] filter", logging.filter.clone()),
    };
    EnvFilter::try_new(&filter).map_err(|error| LoggingError::Filter { origin, filter, reason: error.to_string() })
}

fn journal() -> Result<Boxed, LoggingError> {
    let layer = tracing_subscriber::fmt::layer().event_format(OneLine::new(Time::Omitted)).with_ansi(false);
    Ok(layer.with_writer(Journal::open()?).boxed())
}

fn to_stderr() -> Boxed {
    lines(io::stderr)
}

fn lines<W>(writer: W) -> Boxed
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .event_format(OneLine::new(Time::Written))
        .with_ansi(false)
        .with_writer(writer)
        .boxed()
}

/// Whether standard error goes to the journal: systemd tells its device and inode in
/// `JOURNAL_STREAM` (see systemd.exec(5)). The variable alone is not enough: children inherit it
/// together with another standard error.
fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let stat = rustix::fs::fstat(io::stderr()).ok();
    stream.zip(stat).is_some_and(|(stream, stat)| is_stream(&stream, stat.st_dev, stat.st_ino))
}

fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// The compact form, with control characters made harmless.
struct OneLine {
    compact: Format<Compact, ()>,
    time: Time,
}

/// Whether a line begins with the time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Written,
    /// The journal notes it itself.
    Omitted,
}

impl OneLine {
    fn new(time: Time) -> Self {
        OneLine { compact: Format::default().compact().without_time(), time }
    }
}

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.compact.format_event(context, Writer::new(&mut line), event)?;
        if self.time == Time::Written {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        for c in line.trim().chars() {
            // U+2028 and U+2029 end lines in some viewers.
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                write!(writer, "{}", c.escape_default())?;
            } else {
                writer.write_char(c)?;
            }
        }
        writer.write_char('\n')
    }
}

/// A log file that can be opened anew.
#[derive(Clone)]
struct LogFile {
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LoggingError> {
        Ok(LogFile { path: path.into(), file: Arc::new(Mutex::new(open(path)?)) })
    }

    fn reopen(&self) -> Result<(), LoggingError> {
        let file = open(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

/// Mail addresses stand in the log, so it is not for everybody.
fn open(path: &Path) -> Result<File, LoggingError> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    opened.map_err(|source| LoggingError::File { path: path.to_owned(), source })
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl<'w> MakeWriter<'w> for LogFile {
    type Writer = &'w LogFile;

    fn make_writer(&'w self) -> Self::Writer {
        self
    }
}

/// Where journald listens, systemd-journald.service(8).
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Longest line that is sent, in octets; a datagram has its limits.
const LONGEST_LINE: usize = 32 << 10;

/// The journal, in its native protocol. Each event is one record whose MESSAGE is the whole line
/// with its fields, because that is what `journalctl` shows.
struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    fn open() -> Result<Self, LoggingError> {
        Journal::at(Path::new(JOURNAL)).map_err(LoggingError::Journal)
    }

    fn at(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        // Not connected for good: journald may be started again.
        Ok(Journal { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

/// One record on its way.
struct Record<'j> {
    journal: &'j Journal,
    priority: u8,
}

impl Write for Record<'_> {
    /// Sends a whole line, as the formatter writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = &text[..text.len().min(LONGEST_LINE)];
        let mut record = format!("PRIORITY={}\nSYSLOG_IDENTIFIER=postrider\nMESSAGE=", self.priority).into_bytes();
        record.extend_from_slice(text);
        record.push(b'\n');
        self.journal.socket.send_to(&record, &self.journal.path)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Journal {
    type Writer = Record<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        Record { journal: self, priority: 6 }
    }

    /// Priorities are those of syslog(3).
    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Self::Writer {
        let priority = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        Record { journal: self, priority }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_file(path: &Path, filter: &str) -> Logging {
        Logging { filter: filter.to_owned(), target: LogTarget::File(path.to_owned()) }
    }

    fn lines_of(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_is_one_line_whatever_it_contains() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("p.log");
        let (_, subscriber) = build(&to_file(&path, "info"), None).expect("log");
        let _guard = subscriber.set_default();
        tracing::info!(list = "ants", subject = "a\nINFO forged\u{1b}[2J\u{2028}", "post\r\naccepted");
        tracing::debug!("not shown");
        let lines = lines_of(&path);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(" INFO ") && lines[0].contains("list=\"ants\""), "{lines:?}");
        assert!(lines[0].contains("post\\r\\naccepted"), "{lines:?}");
        assert!(!lines[0].contains(|c: char| c.is_control() || c == '\u{2028}'), "{lines:?}");
    }

    #[test]
    fn the_filter_can_be_changed_and_the_file_renamed_while_the_program_runs() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("p.log");
        let (log, subscriber) = build(&to_file(&path, "warn"), None).expect("log");
        let _guard = subscriber.set_default();
        tracing::info!("one");
        log.change(filter(&to_file(&path, "info"), None).expect("filter"));
        tracing::info!("two");
        std::fs::rename(&path, directory.path().join("p.log.1")).expect("rename");
        log.reopen().expect("reopen");
        tracing::info!("three");
        let (old, new) = (lines_of(&directory.path().join("p.log.1")), lines_of(&path));
        assert!(old.len() == 1 && old[0].ends_with("two"), "{old:?}");
        assert!(new.len() == 1 && new[0].ends_with("three"), "{new:?}");
    }

    #[test]
    fn the_variable_wins_and_mistakes_name_their_origin() {
        let logging = Logging { filter: "info".into(), target: LogTarget::Stderr };
        assert_eq!(filter(&logging, Some("debug".into())).expect("filter").to_string(), "debug");
        assert_eq!(filter(&logging, Some(String::new())).expect("filter").to_string(), "info");
        let error = filter(&logging, Some("a=b=c=d".into())).expect_err("filter").to_string();
        assert!(error.starts_with("RUST_LOG: `a=b=c=d` is no log filter"), "{error}");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_says_what_to_do() {
        let error = build(&to_file(Path::new("/nonexistent/p.log"), "info"), None).err().expect("error").to_string();
        assert!(error.contains("/nonexistent/p.log") && error.contains("[logging] target"), "{error}");
    }

    #[test]
    fn a_journal_record_has_its_priority_and_the_whole_line() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).expect("socket");
        let layer = tracing_subscriber::fmt::layer()
            .event_format(OneLine::new(Time::Omitted))
            .with_ansi(false)
            .with_writer(Journal::at(&path).expect("journal"));
        let _guard = tracing_subscriber::registry().with(layer).set_default();
        tracing::warn!(list = "ants", "post\nPRIORITY=0");
        let mut buffer = [0; 1000];
        let length = journald.recv(&mut buffer).expect("record");
        let record = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(record.starts_with("PRIORITY=4\nSYSLOG_IDENTIFIER=postrider\nMESSAGE=WARN "), "{record}");
        assert!(record.ends_with("post\\nPRIORITY=0 list=\"ants\"\n"), "{record}");
        assert_eq!(record.lines().count(), 3, "{record}");
    }

    #[test]
    fn the_journal_is_recognised_by_device_and_inode() {
        assert!(is_stream("8:1234", 8, 1234));
        for stream in ["8:1235", "9:1234", "8", "", "x:y"] {
            assert!(!is_stream(stream, 8, 1234), "{stream}");
        }
    }
}
