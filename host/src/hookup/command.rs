//! Runs the commands of a plan.

use super::error::{CommandFailure, FailureReason, HookupError};
use super::run::{self, End, Limits};
use postrider_plugin_api::sdk::{Command, CommandInput};
use std::path::Path;

/// The command as it is typed, for `file` if it is for one.
pub(crate) fn shown(command: &Command, file: Option<&Path>) -> String {
    let mut words: Vec<String> = arguments(command, file).iter().map(|argument| quoted(argument)).collect();
    if let (CommandInput::Table, Some(file)) = (command.stdin, file) {
        words.push(format!("< {}", quoted(&file.to_string_lossy())));
    }
    words.join(" ")
}

/// Runs the command, for `file` if it is for one; anything but exit status 0 is a failure.
///
/// `published` is the name under which the administrator knows the file.
pub(crate) fn run(command: &Command, file: Option<&Path>, published: &str) -> Result<(), CommandFailure> {
    let argv = arguments(command, file);
    let output = match file.filter(|_| command.stdin == CommandInput::Table) {
        Some(file) => run::run_on_file(&argv, file, limits()),
        None => run::run(&argv, "", limits()),
    };
    match output {
        Ok(output) if output.end == End::Exit(0) => Ok(()),
        Ok(output) => Err(CommandFailure::ended(shown(command, file), command.phase, published, &output)),
        Err(error) => Err(CommandFailure {
            command: shown(command, file),
            phase: command.phase,
            file: published.to_owned(),
            reason: FailureReason::NotStarted(error),
            stderr: String::new(),
        }),
    }
}

/// Runs the compiler of a table; checks that it made the file it should.
pub(crate) fn compile(command: &Command, file: &Path, result: &Path, published: &str) -> Result<(), HookupError> {
    run(command, Some(file), published).map_err(HookupError::Command)?;
    if result.exists() {
        return Ok(());
    }
    Err(HookupError::Command(CommandFailure {
        command: shown(command, Some(file)),
        phase: command.phase,
        file: published.to_owned(),
        reason: FailureReason::NoResult(result.to_owned()),
        stderr: String::new(),
    }))
}

fn arguments(command: &Command, file: Option<&Path>) -> Vec<String> {
    let file = file.map(Path::to_string_lossy);
    command
        .argv
        .iter()
        .enumerate()
        .map(|(place, argument)| match &file {
            Some(file) if place > 0 => argument.replace("{file}", file),
            _ => argument.clone(),
        })
        .collect()
}

/// Quoted for a shell if it needs be.
fn quoted(argument: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:=@%+,".contains(&b);
    if !argument.is_empty() && argument.bytes().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

fn limits() -> Limits {
    // Tests must not wait for two minutes to see a command that takes too long.
    if cfg!(test) { Limits { time: std::time::Duration::from_secs(3), ..Limits::COMMAND } } else { Limits::COMMAND }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::{CommandInput, Phase};

    #[test]
    fn commands_are_shown_as_they_can_be_typed() {
        let command = Command::new(Phase::Compile, ["/usr/sbin/postmap", "hash:{file}", "it's"], "");
        assert_eq!(shown(&command, Some(Path::new("/srv/a b"))), r"/usr/sbin/postmap 'hash:/srv/a b' 'it'\''s'");
        let command = Command::new(Phase::Compile, ["/usr/sbin/makemap", "hash", "{file}"], "");
        let command = command.with_stdin(CommandInput::Table);
        assert_eq!(shown(&command, Some(Path::new("/srv/a b"))), "/usr/sbin/makemap hash '/srv/a b' < '/srv/a b'");
    }
}
