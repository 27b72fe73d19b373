//! Is a planned injection one that can be run, and may be?

use postrider_plugin_api::sdk::{Content, Injection, Outcome};
use std::collections::BTreeSet;

/// Descriptors that a program can be given input on, besides 2.
const LAST_DESCRIPTOR: u32 = 9;

/// Says what is wrong with it.
pub(crate) fn check(injection: &Injection, programs: &[String]) -> Result<(), String> {
    let Some(program) = injection.argv.first() else { return Err("it has no program".to_owned()) };
    if !program.starts_with('/') {
        return Err(format!("the program {program:?} is no absolute path"));
    }
    if !programs.contains(program) {
        return Err(format!("{program} is none of its programs ({})", programs.join(", ")));
    }
    if injection.argv.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument contains a NUL".to_owned());
    }
    let mut names = BTreeSet::new();
    for (name, value) in &injection.environment {
        if !is_name(name) {
            return Err(format!("{name:?} is no name for a variable of the environment"));
        }
        if value.contains('\0') {
            return Err(format!("the variable {name} contains a NUL"));
        }
        if !names.insert(name) {
            return Err(format!("the variable {name} is there twice"));
        }
    }
    let mut descriptors = BTreeSet::new();
    for input in &injection.inputs {
        let number = input.descriptor;
        if number > LAST_DESCRIPTOR || number == 2 {
            return Err(format!("descriptor {number} cannot be an input (0, 1 and 3 to {LAST_DESCRIPTOR} can)"));
        }
        if !descriptors.insert(number) {
            return Err(format!("descriptor {number} is there twice"));
        }
        if !matches!(input.content, Content::MessageCrLf | Content::MessageLf | Content::Bytes(_)) {
            return Err(format!("the content of descriptor {number} is of a kind that this host does not know"));
        }
    }
    if let Some(exit) = injection.exits.iter().find(|exit| exit.first > exit.last) {
        return Err(format!("exit codes from {} to {} are none", exit.first, exit.last));
    }
    if injection.otherwise == Outcome::Delivered {
        return Err("any unknown exit code would mean success".to_owned());
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let mut octets = name.bytes();
    octets.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && octets.all(|octet| octet == b'_' || octet.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::ExitMeaning;

    fn good() -> Injection {
        Injection::new(["/bin/true", "--"])
            .with_variable("LANG", "C")
            .with_input(0, Content::MessageLf)
            .with_input(1, Content::MessageLf)
            .with_input(9, Content::MessageLf)
    }

    fn refused(change: impl FnOnce(&mut Injection)) -> String {
        let mut injection = good();
        change(&mut injection);
        check(&injection, &["/bin/true".into()]).expect_err("refused")
    }

    #[test]
    fn only_declared_programs_by_absolute_path_are_run() {
        assert_eq!(check(&good(), &["/bin/sh".into(), "/bin/true".into()]), Ok(()));
        assert_eq!(refused(|it| it.argv.clear()), "it has no program");
        assert_eq!(refused(|it| it.argv[0] = "true".into()), "the program \"true\" is no absolute path");
        assert_eq!(refused(|it| it.argv[0] = "/bin/sh".into()), "/bin/sh is none of its programs (/bin/true)");
        assert_eq!(refused(|it| it.argv[0] = "/bin/../bin/true".into()).split(' ').next(), Some("/bin/../bin/true"));
    }

    #[test]
    fn what_no_program_can_be_given_is_refused() {
        assert!(refused(|it| it.argv[1] = "a\0b".into()).contains("NUL"));
        for name in ["", "A=B", "1A", "A B", "Ä", "A\0"] {
            assert!(refused(|it| it.environment[0].0 = name.into()).contains("no name"), "{name:?}");
        }
        assert!(refused(|it| it.environment[0].1 = "\0".into()).contains("LANG contains a NUL"));
        assert!(refused(|it| it.environment.push(("LANG".into(), "C".into()))).contains("LANG is there twice"));
        for number in [2, 10, u32::MAX] {
            let text = refused(|it| it.inputs[0].descriptor = number);
            assert!(text.starts_with(&format!("descriptor {number} cannot")), "{text}");
        }
        assert_eq!(refused(|it| it.inputs[0].descriptor = 1), "descriptor 1 is there twice");
    }

    #[test]
    fn an_unknown_exit_code_never_means_success() {
        assert!(refused(|it| it.otherwise = Outcome::Delivered).contains("success"));
        let mut exit = ExitMeaning::new(2..=2, Outcome::Delivered, "");
        exit.last = 1;
        assert_eq!(refused(|it| it.exits.push(exit)), "exit codes from 2 to 1 are none");
    }
}
