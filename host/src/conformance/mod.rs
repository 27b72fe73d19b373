//! What a plugin must keep, tested from outside: `postrider plugin check`.
//!
//! For authors and packagers of plugins, in whatever language: all that is needed is this program and the
//! plugin's file. No source, no root, no network, no mail server; nothing is written.
//!
//! What it promises:
//! - Each test is a process of its own, with a limit of time and memory: a plugin that crashes, hangs or
//!   ends the process fails that one test, and the others still run.
//! - What is random comes from a seed, which every report has; the same seed gives the same questions.
//! - The rules are the host's own: a plan is judged by what takes plans (`hookup/collect.rs`), steps for
//!   the MTA by what takes those (`hookup/instructions/`), injections by what runs them. Nothing is
//!   written down here a second time.
//! - No adapter delivers mail here, and no program of an MTA runs: adapters are asked with stand-ins.
//!
//! What it cannot promise: that the mail server understands the tables. Only the real one shows that.
//!
//! | file | its one job |
//! |---|---|
//! | `run` | a process for each test, and what became of it |
//! | `alone` | the other side: one test, in its own process |
//! | `case` | what a test has: the plugin, settings, lists; what it says |
//! | `lists`, `tools`, `faults` | stand-ins: lists, programs of an MTA, a host that fails in the middle |
//! | `process` | what a process has that a plugin must leave alone |
//! | `loading` | tests: may it be loaded? |
//! | `described` | tests: name, descriptions, settings |
//! | `plans` | tests: plans keep the rules, repeat, and pass errors on |
//! | `changes` | test: plans of changes add up to the plan of everything |
//! | `addresses` | test: whose addresses are in the tables |
//! | `large` | test: 100,000 lists |
//! | `machine` | tests: `probe`, `check`, and the steps for the MTA |
//! | `outgoing` | tests: programs and injections |
//! | `guest` | tests: threads, descriptors, output: a good guest in the process |

mod addresses;
mod alone;
mod case;
mod changes;
mod described;
mod faults;
mod guest;
mod large;
mod lists;
mod loading;
mod machine;
mod outgoing;
mod plans;
mod process;
mod run;
mod tools;

pub use alone::alone;
pub use case::{AdapterId, Failure};
pub use run::{Options, Outcome, Report, Status, Usage, run};

use case::Case;

/// What a test is about, and with that, how often it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The file; once. When it fails, no later test can run.
    Gate,
    /// The file; once.
    File,
    /// The plugin as a whole; once.
    Plugin,
    /// Each adapter.
    Adapter,
    /// Each incoming adapter.
    Incoming,
    /// Each outgoing adapter.
    Outgoing,
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            About::Gate | About::File => "file",
            About::Plugin => "plugin",
            About::Adapter => "adapter",
            About::Incoming => "incoming",
            About::Outgoing => "outgoing",
        })
    }
}

/// One test.
pub struct Test {
    /// How it is called, for people: `changes-agree`.
    pub name: &'static str,
    /// What it proves; a sentence.
    pub proves: &'static str,
    /// What it is about.
    pub about: About,
    /// Seconds that it may take, and MiB of memory that its process may have, unless told otherwise.
    limits: (u64, u64),
    body: fn(&mut Case) -> Result<(), Failure>,
}

/// How many lists a large site has.
pub const LARGE_SITE: u32 = 100_000;

/// For most tests.
const USUAL: (u64, u64) = (60, 2048);
/// For those with many lists.
const LARGE: (u64, u64) = (300, 4096);

/// All tests, in the order in which they run.
#[rustfmt::skip] // a table
pub const TESTS: &[Test] = &[
    test("file-name", "The file is called libpostrider_NAME.so, as the host looks for it.", About::File, loading::file_name),
    test("file-place", "Only root and the user that runs Postrider could have written the file; otherwise it is not loaded. Here, where authors check what they have just built, that is a warning.", About::File, loading::file_place),
    test("file-whole", "It is a shared library for this machine, and not cut short.", About::Gate, loading::file_whole),
    test("exports", "It exports the one symbol by which it is found, and (else a warning) no other.", About::Gate, loading::exports),
    test("opens", "The dynamic linker opens it, and what runs then neither crashes nor hangs.", About::Gate, loading::opens),
    test("interface", "It is built against the plugin interface of this host, older or newer.", About::Gate, loading::interface),
    test("layout", "Every type that crosses is laid out as in this host.", About::Gate, loading::layout),
    test("starts", "It starts: its description of itself can be had.", About::Gate, loading::starts),
    test("panics-unwind", "Its panics can be caught (panic = \"unwind\").", About::Gate, loading::panics_unwind),
    test("plugin-name", "Its own name is that of its file.", About::Plugin, described::plugin_name),
    test("start-leaves-no-trace", "Loading it starts no thread, opens no file, and changes neither signal handlers nor umask, working directory or environment.", About::Plugin, guest::start_leaves_no_trace),
    test("adapters-described", "It has adapters, each of a kind that this host knows, with a name of its own and a line for people.", About::Plugin, described::adapters_described),
    test("settings-documented", "Each setting has a name, a default that is allowed, and whole sentences of help; adapters of one plugin agree.", About::Plugin, described::settings_documented),
    test("settings-read", "An adapter can be made from its defaults; odd values of its settings are answered with an error or taken, never with a panic.", About::Adapter, described::settings_read),
    test("probe-copes", "probe copes with programs that are missing, fail, hang, or print nothing, garbage or megabytes, and asks only for programs that a setting names.", About::Incoming, machine::probe_copes),
    test("plan-keeps-rules", "Plans stay in the table directory and the declared output directories, name nothing twice, run declared programs only, and keep the host's other rules; for all kinds of lists, installations and choices of settings.", About::Incoming, plans::keeps_rules),
    test("plan-of-nothing", "Without any list or domain the plan is one, as is the removal of the last list.", About::Incoming, plans::of_nothing),
    test("plan-repeats", "Equal lists give equal plans, asked twice, from a new adapter, and whatever was planned before.", About::Incoming, plans::repeats),
    test("changes-agree", "After any history of lists and domains that come and go, one at a time or several at once, plans of the changes have given what the plan of everything gives.", About::Incoming, changes::agree),
    test("addresses-right", "Every list has its address in the tables, nobody else has one, and a list called like a sub-address of another one wins.", About::Incoming, addresses::right),
    Test { name: "large-site", proves: "100,000 lists are planned within 120 seconds and 2 GiB; the figures are shown.", about: About::Incoming, limits: LARGE, body: large::site },
    test("snippets-documented", "The steps for the MTA are ones that the host can show and carry out, each with its reason; shell commands are shell, and nothing in them plays with the terminal.", About::Incoming, machine::snippets_documented),
    test("check-copes", "check copes with what probe copes with, and says what it looked at.", About::Incoming, machine::check_copes),
    test("errors-passed-on", "When the host fails in the middle (a full disk, a database that is away), its error comes back and is not swallowed.", About::Incoming, plans::passes_errors_on),
    test("programs-declared", "Programs are absolute paths, each once; programs and abilities are the same whenever asked.", About::Outgoing, outgoing::programs_declared),
    test("injections-runnable", "Whatever the envelope, an injection is one that the host can run: it has the message and every recipient, keeps recipients out of the options, and knows success.", About::Outgoing, outgoing::injections_runnable),
    test("calls-at-once", "Four threads at a time get the same answers as one.", About::Adapter, guest::calls_at_once),
    test("leaves-nothing-behind", "An adapter that is made, used and dropped 1,000 times leaves no descriptors, threads or memory behind, nor other changes of the process.", About::Adapter, guest::leaves_nothing_behind),
    test("keeps-quiet", "Nothing is written to standard output or standard error, which are the host's.", About::Adapter, guest::keeps_quiet),
];

const fn test(
    name: &'static str,
    proves: &'static str,
    about: About,
    body: fn(&mut Case) -> Result<(), Failure>,
) -> Test {
    Test { name, proves, about, limits: USUAL, body }
}

/// The test of this name.
fn named(name: &str) -> Option<&'static Test> {
    TESTS.iter().find(|test| test.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn tests_have_names_of_their_own_and_sentences() {
        let names: HashSet<&str> = TESTS.iter().map(|test| test.name).collect();
        assert_eq!(names.len(), TESTS.len());
        for test in TESTS {
            assert!(test.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", test.name);
            assert!(test.proves.ends_with('.'), "{}", test.name);
        }
    }

    #[test]
    fn what_is_about_the_file_comes_first() {
        let first_of_plugin = TESTS.iter().position(|test| !matches!(test.about, About::Gate | About::File));
        let last_of_file = TESTS.iter().rposition(|test| matches!(test.about, About::Gate | About::File));
        assert!(last_of_file < first_of_plugin);
    }
}
