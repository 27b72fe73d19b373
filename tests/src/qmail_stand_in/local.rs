//! In place of qmail-local and qmail-lspawn: finds the `.qmail` file for an address and carries it out.

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A user without rights.
pub const NOBODY: u32 = 65534;

/// What qmail-local reads and runs programs as.
#[derive(Clone, Debug)]
pub struct User {
    /// Account name.
    pub name: String,
    /// Its number. Deliveries as root are refused; where the test is not root itself, everything runs as the test.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Where the `.qmail` files are.
    pub home: PathBuf,
    /// `-`, or nothing for the user's own address.
    pub dash: String,
    /// What follows the dash in the names of `.qmail` files.
    pub ext: String,
}

/// What qmail-lspawn says of a delivery, with the words that go into the log or the bounce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// `K`.
    Success(String),
    /// `Z`: it will be tried again.
    Deferral(String),
    /// `D`: the sender gets a bounce with this text.
    Failure(String),
}

/// Most octets of a report.
const LONGEST_REPORT: usize = 3000;
/// What makes a home or `.qmail` file writable for strangers (`conf-patrn`).
const PATRN: u32 = 0o002;

/// The sender that one recipient sees: `list-@host-@[]` is expanded (VERP).
pub fn for_one_recipient(sender: &str, recipient: &str) -> String {
    let parts = sender.strip_suffix("-@[]").and_then(|rest| rest.rsplit_once('@'));
    match (parts, recipient.rsplit_once('@')) {
        (Some((list, host)), Some((user, at))) => format!("{list}{user}={at}@{host}"),
        _ => sender.to_owned(),
    }
}

/// Delivers a message (LF line ends, no `Return-Path` of this delivery) to `local@host`.
///
/// # Panics
/// The stand-in cannot make its temporary file or run `/bin/sh`.
pub fn deliver(user: &User, local: &str, host: &str, sender: &str, message: &[u8]) -> Report {
    if user.uid == 0 {
        return Report::Deferral("Not allowed to perform deliveries as root.\n".to_owned());
    }
    let mut said = Vec::new();
    let status = match carry_out(user, local, host, sender, message, &mut said) {
        Ok(()) => 0,
        Err(Stop(status, words)) => {
            said.extend(words.bytes());
            status
        }
    };
    said.truncate(said.iter().position(|octet| *octet == 0).unwrap_or(said.len()).min(LONGEST_REPORT));
    let text = String::from_utf8_lossy(&said).into_owned();
    match status {
        0 => Report::Success(text),
        111 => Report::Deferral(text),
        _ => Report::Failure(text),
    }
}

/// What `qmail-local -n` prints: exit code, standard output, standard error.
pub fn explain(user: &User) -> (i32, String, String) {
    let sticky = fs::metadata(&user.home).is_ok_and(|home| home.permissions().mode() & 0o1000 != 0);
    let warning = if sticky { "Warning: home directory is sticky.\n" } else { "" };
    let found = match check_home(&user.home).or_else(|stop| if sticky { Ok(()) } else { Err(stop) }) {
        Ok(()) => search(user),
        Err(stop) => Err(stop),
    };
    match found {
        Ok(Some(found)) => {
            let programs: Vec<_> = found.text.lines().filter_map(|line| line.strip_prefix('|')).collect();
            if found.forward_only && !programs.is_empty() {
                return (
                    111,
                    String::new(),
                    "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n".to_owned(),
                );
            }
            let lines = programs.iter().fold(String::new(), |lines, program| lines + "program " + program + "\n");
            (0, format!("{lines}did 0+0+{}\n", programs.len()), warning.to_owned())
        }
        Ok(None) => (100, String::new(), "Sorry, no mailbox here by that name. (#5.1.1)\n".to_owned()),
        Err(Stop(status, words)) => (status, String::new(), words),
    }
}

/// qmail-local ends with this exit code, after these words.
struct Stop(i32, String);

fn stop<T>(status: i32, words: impl Into<String>) -> Result<T, Stop> {
    Err(Stop(status, words.into() + "\n"))
}

fn carry_out(
    user: &User,
    local: &str,
    host: &str,
    sender: &str,
    message: &[u8],
    said: &mut Vec<u8>,
) -> Result<(), Stop> {
    check_home(&user.home)?;
    let dtline = format!("Delivered-To: {local}@{host}").replace('\n', "_") + "\n";
    if head(message).any(|line| line == dtline.as_bytes()) {
        return stop(100, "This message is looping: it already has my Delivered-To line. (#5.4.6)");
    }
    let mut environment = environment(user, local, host, sender, &dtline);
    let Some(found) = search(user)? else {
        if user.dash.is_empty() {
            return append(&user.home.join("Mailbox"), &environment, message);
        }
        return stop(100, "Sorry, no mailbox here by that name. (#5.1.1)");
    };
    if let Some(default) = found.default {
        environment.push(("DEFAULT", default));
    }
    environment.push(("NEWSENDER", new_sender(user, local, host, sender)));
    let text = if found.text.is_empty() { "./Mailbox\n".to_owned() } else { found.text };
    let (mut deliveries, mut programs) = (0, 0);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end_matches([' ', '\t']);
        match line.chars().next() {
            None if number == 0 => return stop(111, "Uh-oh: first line of .qmail file is blank. (#4.2.1)"),
            None | Some('#') => {}
            Some('|') => {
                programs += 1;
                if found.forward_only {
                    return stop(111, "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)");
                }
                if run(user, &line[1..], &environment, message, said)? == Next::Skip {
                    break;
                }
            }
            Some('.' | '/') => {
                deliveries += 1;
                if found.forward_only {
                    return stop(111, "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)");
                }
                append(&user.home.join(line), &environment, message)?;
            }
            Some(_) => panic!("the stand-in for qmail-local does not forward: {line}"),
        }
    }
    said.extend(format!("did {deliveries}+0+{programs}\n").bytes());
    Ok(())
}

fn check_home(home: &Path) -> Result<(), Stop> {
    let mode = match fs::metadata(home) {
        Ok(directory) => directory.permissions().mode(),
        Err(error) => return stop(111, format!("Unable to switch to {}: {error}. (#4.3.0)", home.display())),
    };
    if mode & PATRN != 0 {
        return stop(111, "Uh-oh: home directory is writable. (#4.7.0)");
    }
    if mode & 0o1000 != 0 {
        return stop(111, "Home directory is sticky: user is editing his .qmail file. (#4.2.1)");
    }
    Ok(())
}

/// The lines of the header, with their line ends.
fn head(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message.split_inclusive(|octet| *octet == b'\n').take_while(|line| line.len() > 1)
}

/// The variables of qmail-command(8), but for `DEFAULT` and `NEWSENDER`.
fn environment(user: &User, local: &str, host: &str, sender: &str, dtline: &str) -> Vec<(&'static str, String)> {
    let after_dash = |text: &str| text.split_once('-').map_or(String::new(), |(_, rest)| rest.to_owned());
    let above = |host: &str| host.rsplit_once('.').map_or(host, |(rest, _)| rest).to_owned();
    let (ext2, host2) = (after_dash(&user.ext), above(host));
    let (ext3, host3) = (after_dash(&ext2), above(&host2));
    let (ext4, host4) = (after_dash(&ext3), above(&host3));
    let from = if sender.is_empty() { "MAILER-DAEMON".to_owned() } else { sender.replace([' ', '\t', '\n'], "-") };
    vec![
        ("USER", user.name.clone()),
        ("HOME", user.home.display().to_string()),
        ("LOCAL", local.to_owned()),
        ("HOST", host.to_owned()),
        ("HOST2", host2),
        ("HOST3", host3),
        ("HOST4", host4),
        ("RECIPIENT", format!("{local}@{host}")),
        ("DTLINE", dtline.to_owned()),
        ("SENDER", sender.to_owned()),
        ("RPLINE", format!("Return-Path: <{}>", quoted(sender)).replace('\n', "_") + "\n"),
        ("UFLINE", format!("From {from} Sun Nov 22 15:42:53 2026\n")),
        ("EXT", user.ext.clone()),
        ("EXT2", ext2),
        ("EXT3", ext3),
        ("EXT4", ext4),
    ]
}

/// An address as it is written in a message (RFC 822): the local part in quotes if it needs them.
fn quoted(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else { return address.to_owned() };
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if !local.is_empty() && local.chars().all(plain) && !dots {
        return address.to_owned();
    }
    let escaped: String = local
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\' | '\r' | '\n').then_some('\\').into_iter().chain([c]))
        .collect();
    format!("\"{escaped}\"@{domain}")
}

struct Found {
    text: String,
    /// The file has an x bit.
    forward_only: bool,
    default: Option<String>,
}

/// `.qmail-ext`, then `.qmail-…default` from the longest to the shortest.
fn search(user: &User) -> Result<Option<Found>, Stop> {
    let ext = &user.ext;
    let safe = ext.to_ascii_lowercase().replace('.', ":");
    let named = |rest: &str| user.home.join(format!(".qmail{}{rest}", user.dash));
    if let Some((text, forward_only)) = open(&named(&safe))? {
        let default = safe.ends_with("default").then(|| ext[ext.len() - "default".len()..].to_owned());
        return Ok(Some(Found { text, forward_only, default }));
    }
    for end in (0..=safe.len()).rev().filter(|end| *end == 0 || safe.as_bytes()[end - 1] == b'-') {
        let beginning = String::from_utf8_lossy(&safe.as_bytes()[..end]).into_owned();
        if let Some((text, forward_only)) = open(&named(&format!("{beginning}default")))? {
            let default = String::from_utf8_lossy(&ext.as_bytes()[end..]).into_owned();
            return Ok(Some(Found { text, forward_only, default: Some(default) }));
        }
    }
    Ok(None)
}

fn open(path: &Path) -> Result<Option<(String, bool)>, Stop> {
    let unable = |error: std::io::Error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Stop(111, format!("Unable to open {name}: {error}. (#4.3.0)\n"))
    };
    let mode = match fs::metadata(path) {
        Ok(file) if file.is_file() => file.permissions().mode(),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(unable(error)),
        _ => return Ok(None),
    };
    if mode & PATRN != 0 {
        return stop(111, "Uh-oh: .qmail file is writable. (#4.7.0)");
    }
    let text = fs::read_to_string(path).map_err(unable)?;
    Ok(Some((text, mode & 0o100 != 0)))
}

/// The sender of what is forwarded.
fn new_sender(user: &User, local: &str, host: &str, sender: &str) -> String {
    let safe = user.ext.to_ascii_lowercase().replace('.', ":");
    let exists = |suffix: &str| user.home.join(format!(".qmail{}{safe}{suffix}", user.dash)).exists();
    if sender.is_empty() || sender == "#@[]" || !exists("-owner") {
        sender.to_owned()
    } else if exists("-owner-default") {
        format!("{local}-owner-@{host}-@[]")
    } else {
        format!("{local}-owner@{host}")
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    /// The rest of the file does not count (exit code 99).
    Skip,
}

/// A program line: by `/bin/sh` in the home, with the rights of the user, the message (at its beginning) as standard
/// input, and both outputs in the report.
fn run(
    user: &User,
    line: &str,
    environment: &[(&'static str, String)],
    message: &[u8],
    said: &mut Vec<u8>,
) -> Result<Next, Stop> {
    let mut input = tempfile::tempfile().expect("a temporary file");
    input.write_all(message).and_then(|()| input.seek(SeekFrom::Start(0))).expect("the message");
    let mut output = tempfile::tempfile().expect("a temporary file");
    let both = || Stdio::from(output.try_clone().expect("a descriptor"));
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(line).current_dir(&user.home).env_clear().env("PATH", "/var/qmail/bin:/usr/bin:/bin");
    shell.envs(environment.iter().map(|(name, value)| (name, value)));
    shell.stdin(input).stdout(both()).stderr(both());
    if rustix::process::getuid().is_root() {
        shell.uid(user.uid).gid(user.gid);
    }
    let status = shell.status().expect("/bin/sh");
    output.seek(SeekFrom::Start(0)).and_then(|_| std::io::Read::read_to_end(&mut output, said)).expect("its output");
    match status.code() {
        None => stop(111, "Aack, child crashed. (#4.3.0)"),
        Some(0) => Ok(Next::GoOn),
        Some(99) => Ok(Next::Skip),
        Some(64 | 65 | 70 | 76 | 77 | 78 | 100 | 112) => Err(Stop(100, String::new())),
        Some(_) => Err(Stop(111, String::new())),
    }
}

/// An mbox line, without locks.
fn append(path: &Path, environment: &[(&'static str, String)], message: &[u8]) -> Result<(), Stop> {
    let value = |wanted: &str| environment.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::options().create(true).append(true).open(path)?;
        for line in ["UFLINE", "RPLINE", "DTLINE"] {
            file.write_all(value(line).as_bytes())?;
        }
        file.write_all(message)?;
        file.write_all(b"\n")
    };
    write().or_else(|error| stop(111, format!("Unable to open {}: {error}. (#4.2.1)", path.display())))
}
