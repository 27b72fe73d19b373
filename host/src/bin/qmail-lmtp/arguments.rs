//! The command line: `qmail-lmtp PORT [STRIP [HOST]]`, or options.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const HELP: &str = "\
Usage: qmail-lmtp PORT [STRIP [HOST]]
       qmail-lmtp [OPTION]...

Delivers the message on standard input by LMTP; to be called from a .qmail file.

  PORT               port of the LMTP server
  STRIP              leave out so many dash-separated parts at the front of $LOCAL;
                     `-` or nothing: take $EXT as it is
  HOST               host of the LMTP server (127.0.0.1)

  --port PORT        the same
  --strip STRIP      the same
  --host HOST        the same
  --socket PATH      a Unix socket instead of host and port
  --timeout SECONDS  how long to wait for each reply (300)
  --help             print this
  --version          print the version

Exit code: 0 delivered, 100 bounce, 111 try again later. See qmail-lmtp(1).
";
const VERSION: &str = concat!("qmail-lmtp ", env!("CARGO_PKG_VERSION"), "\n");
/// RFC 5321, section 4.5.3.2.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Two numbers tell by their size which is which.
const LEAST_PORT: u32 = 25;
const MOST_STRIP: u32 = 9;

/// Where the LMTP server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By TCP.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What to do with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to.
    pub place: Place,
    /// Parts of `LOCAL` to leave out; `None`: `EXT` is the local part.
    pub strip: Option<u32>,
    /// For each reply.
    pub timeout: Duration,
}

/// What the caller wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// A delivery.
    Delivery(Options),
    /// A text, printed.
    Text(&'static str),
}

/// Reads the command line.
///
/// # Errors
/// A sentence.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut arguments =
        arguments.map(|one| one.into_string().map_err(|one| format!("`{}` is not UTF-8", one.display())));
    let (mut plain, mut given) = (Vec::new(), Given::default());
    while let Some(argument) = arguments.next().transpose()? {
        let Some(option) = argument.strip_prefix("--") else {
            plain.push(argument);
            continue;
        };
        let (name, mut value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        match name {
            "help" => return Ok(Asked::Text(HELP)),
            "version" => return Ok(Asked::Text(VERSION)),
            "port" | "strip" | "host" | "socket" | "timeout" => {}
            _ => return Err(format!("there is no option --{name}")),
        }
        if value.is_none() {
            value = arguments.next().transpose()?;
        }
        let value = value.ok_or_else(|| format!("--{name} needs a value"))?;
        given.set(name, value)?;
    }
    given.take_plain(plain)?;
    given.options().map(Asked::Delivery)
}

#[derive(Default)]
struct Given {
    port: Option<String>,
    strip: Option<String>,
    host: Option<String>,
    socket: Option<String>,
    timeout: Option<String>,
}

impl Given {
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let place = match name {
            "port" => &mut self.port,
            "strip" => &mut self.strip,
            "host" => &mut self.host,
            "socket" => &mut self.socket,
            _ => &mut self.timeout,
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is given twice")),
        }
    }

    fn take_plain(&mut self, plain: Vec<String>) -> Result<(), String> {
        let mut plain = plain.into_iter();
        if let Some(mut port) = plain.next() {
            let mut strip = plain.next();
            if let Some(second) = &mut strip {
                order(&mut port, second)?;
            }
            self.set("port", port)?;
            strip.map_or(Ok(()), |strip| self.set("strip", strip))?;
        }
        if let Some(host) = plain.next() {
            self.set("host", host)?;
        }
        plain.next().map_or(Ok(()), |extra| Err(format!("{extra:?} is one argument too many")))
    }

    fn options(self) -> Result<Options, String> {
        let strip = match self.strip.as_deref() {
            None | Some("-") => None,
            Some(text) => match text.parse() {
                Ok(strip @ 0..=MOST_STRIP) => Some(strip),
                _ => return Err(format!("{text:?} is no count of parts to strip (0 to {MOST_STRIP}, or `-`)")),
            },
        };
        let timeout = match self.timeout.as_deref() {
            None => TIMEOUT,
            Some(text) => match text.parse() {
                Ok(seconds @ 1..) => Duration::from_secs(seconds),
                _ => return Err(format!("{text:?} is no time in seconds")),
            },
        };
        let place = match (self.socket, self.port) {
            (Some(_), Some(_)) => return Err("give either a socket or a port".to_owned()),
            (Some(_), None) if self.host.is_some() => return Err("give either a socket or a host".to_owned()),
            (Some(path), None) => Place::Unix(path.into()),
            (None, Some(text)) => {
                let port = text.parse().ok().filter(|&port: &u16| u32::from(port) >= LEAST_PORT);
                let port = port.ok_or_else(|| format!("{text:?} is no port ({LEAST_PORT} to 65535)"))?;
                let host = self.host.unwrap_or_else(|| "127.0.0.1".to_owned());
                if host.is_empty() || host.contains(char::is_whitespace) {
                    return Err(format!("{host:?} is no host"));
                }
                Place::Tcp(host, port)
            }
            (None, None) => return Err("the port of the LMTP server is missing".to_owned()),
        };
        Ok(Options { place, strip, timeout })
    }
}

/// Some documents have the two numbers the other way round.
fn order(port: &mut String, strip: &mut String) -> Result<(), String> {
    if strip == "-" {
        return Ok(());
    }
    if port == "-" {
        std::mem::swap(port, strip);
        return Ok(());
    }
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text:?} is not a number"));
    let (first, second) = (number(port)?, number(strip)?);
    if first <= MOST_STRIP && second >= LEAST_PORT {
        std::mem::swap(port, strip);
        return Ok(());
    }
    if first >= LEAST_PORT && second <= MOST_STRIP {
        return Ok(());
    }
    Err(format!(
        "{first} and {second}: which is the port? It must be at least {LEAST_PORT}, and STRIP at most {MOST_STRIP}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn delivery(line: &str) -> (Place, Option<u32>) {
        match read(line) {
            Ok(Asked::Delivery(options)) => (options.place, options.strip),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp(host.to_owned(), port)
    }

    #[test]
    fn numbers_are_taken_in_either_order() {
        for line in ["8024 1", "1 8024", "--port 8024 --strip=1", "8024 --strip 1"] {
            assert_eq!(delivery(line), (tcp("127.0.0.1", 8024), Some(1)), "{line}");
        }
        assert_eq!(delivery("24000 0 lists.example.com"), (tcp("lists.example.com", 24000), Some(0)));
        for line in ["8024", "8024 -", "- 8024", "--port=8024"] {
            assert_eq!(delivery(line), (tcp("127.0.0.1", 8024), None), "{line}");
        }
        assert_eq!(delivery("--socket /run/l --strip 2"), (Place::Unix("/run/l".into()), Some(2)));
        assert_eq!(delivery("8024 - ::1"), (tcp("::1", 8024), None));
    }

    #[test]
    fn what_could_mean_two_things_or_nothing_is_refused() {
        for line in [
            "",
            "1",
            "10",
            "24",
            "1 2",
            "8024 8025",
            "8024 10",
            "8024 24",
            "10 8024",
            "70000 1",
            "8024 -1",
            "8024 x",
            "x 1",
            "8024 1 h extra",
            "--port",
            "--nope",
            "-x 8024",
            "8024 --port 8025",
            "--socket /x --port 8024",
            "--socket /x --host h",
            "--strip 1",
            "8024 --timeout 0",
            "8024 --timeout x",
            "--port 8024 --host=",
        ] {
            assert!(read(line).is_err(), "{line}: {:?}", read(line));
        }
    }

    #[test]
    fn help_and_version_are_texts() {
        assert_eq!(read("8024 --help"), Ok(Asked::Text(HELP)));
        assert!(matches!(read("--version"), Ok(Asked::Text(text)) if text.starts_with("qmail-lmtp ")));
    }
}
