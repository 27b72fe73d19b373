//! Machines to ask adapters about: programs that are missing, fail, or say odd things.

use crate::hookup::programs::Programs;
use postrider_plugin_api::sdk::{Error, ProgramOutput, Result, Tools};
use std::cell::{Cell, RefCell};

/// What every program says, and every file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// There is nothing.
    Missing,
    /// Programs fail; files cannot be read.
    Fails,
    /// Programs were killed because their time was up.
    TimesOut,
    /// Nothing.
    Empty,
    /// This.
    Says(&'static str),
    /// One line of this many octets.
    Long(usize),
    /// This many empty lines.
    Lines(usize),
}

/// A stand-in for a machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) words: &'static str,
    answer: Answer,
    programs: Programs,
    /// What was asked for and may not be.
    broken: RefCell<Option<String>>,
    /// How many questions there were.
    pub(super) asked: Cell<u32>,
}

impl Machine {
    /// Without a mail server: no program is there, nor any file.
    pub(super) fn without_mta(programs: Programs) -> Self {
        Machine::new("no program and no file is there", Answer::Missing, &programs)
    }

    /// All kinds; those that say a lot only when `long`.
    pub(super) fn all(programs: &Programs, long: bool) -> Vec<Machine> {
        let new = |words, answer| Machine::new(words, answer, programs);
        let mut all = vec![
            new("no program and no file is there", Answer::Missing),
            new("every program fails", Answer::Fails),
            new("every program runs out of time", Answer::TimesOut),
            new("programs print nothing", Answer::Empty),
            new(
                "programs print garbage",
                Answer::Says(
                    "\u{fffd}\0=\n===\n:::\n\u{1b}[2J = \t\r\n= =\n\"\n'\n\\\n$(id)\n%s%n\n[[[\n{}\n-1\n\u{202e}",
                ),
            ),
            new("programs print numbers", Answer::Says("99999999999999999999999999\n-1\n0x\n1.2.3.4.5\n")),
            new("programs print names and values", Answer::Says("mail_version = \nversion\n = 3\nname = a = b\n")),
        ];
        if long {
            // As much as the host keeps.
            all.push(new("programs print 4 MiB without a line end", Answer::Long(4 << 20)));
            all.push(new("programs print 100,000 empty lines", Answer::Lines(100_000)));
        }
        all
    }

    fn new(words: &'static str, answer: Answer, programs: &Programs) -> Self {
        Machine { words, answer, programs: programs.clone(), broken: RefCell::default(), asked: Cell::new(0) }
    }

    /// A rule of the host that the adapter broke by what it asked for.
    pub(super) fn broken_rule(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn text(&self) -> Option<String> {
        Some(match self.answer {
            Answer::Missing => return None,
            Answer::Fails | Answer::TimesOut | Answer::Empty => String::new(),
            Answer::Says(text) => text.to_owned(),
            Answer::Long(length) => "x".repeat(length),
            Answer::Lines(number) => "\n".repeat(number),
        })
    }

    fn ask(&self) {
        self.asked.set(self.asked.get() + 1);
    }
}

impl Tools for Machine {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        self.ask();
        let refused = match argv.first() {
            Some(program) if program.starts_with('/') => self.programs.check(program).err(),
            _ => Some(Error::failed(format!("the program of {argv:?} is no absolute path"))),
        };
        let nul = argv.iter().chain([&stdin]).any(|text| text.contains('\0'));
        let refused = refused.or_else(|| nul.then(|| Error::failed(format!("{argv:?} contains a NUL"))));
        if let Some(error) = refused {
            self.broken.borrow_mut().get_or_insert_with(|| error.message.clone());
            return Err(error);
        }
        match (self.answer, self.text()) {
            (_, None) => Err(Error::failed(format!(
                "cannot start {}: No such file or directory (os error 2)",
                argv.first().copied().unwrap_or_default()
            ))),
            (Answer::Fails, _) => Ok(ProgramOutput::new(1, "", "fatal: something is wrong\n")),
            (Answer::TimesOut, _) => Ok(ProgramOutput::new(-1, "", "killed after 30 seconds\n")),
            (_, Some(text)) => Ok(ProgramOutput::new(0, text, "")),
        }
    }

    fn read_file(&self, path: &str) -> Result<String> {
        self.ask();
        match (self.answer, self.text()) {
            (Answer::Missing, _) => {
                Err(Error::failed(format!("cannot read {path}: No such file or directory (os error 2)")))
            }
            (Answer::Fails | Answer::TimesOut, _) => {
                Err(Error::failed(format!("cannot read {path}: Permission denied (os error 13)")))
            }
            (_, text) => Ok(text.unwrap_or_default()),
        }
    }

    fn exists(&self, _: &str) -> bool {
        self.ask();
        self.answer != Answer::Missing
    }
}
