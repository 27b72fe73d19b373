//! The command line: one file a subcommand, named as in Mailman where Mailman has it.
//!
//! Exit status: 0 done; 1 failed, wholly or in part: the messages say what; 2 wrong usage; 3 done, but the MTA does not know
//! of it yet (the last lines say what to do).

mod aliases;
mod backup;
mod conf;
mod create;
mod demo;
mod domains;
mod held;
mod hookup;
mod info;
mod inject;
mod lists;
mod lost;
mod members;
pub(crate) mod output;
mod plugin;
mod plugins;
pub(crate) mod privileges;
mod publish;
mod queue;
mod remove;
mod serve;
mod session;
mod set;
mod status;
mod version;

pub(crate) use lost::refuse_lost_store;
pub use session::Session;

use crate::logging;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// How long blocking calls may go on when everything else of the daemon has ended.
pub(crate) const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed, wholly or in part; what and why was printed.
    Failed,
    /// Done, but the MTA does not know of it yet.
    MtaBehind,
}

impl Exit {
    /// The process's exit status.
    pub const fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::MtaBehind => 3,
        }
    }
}

/// A mailing-list server whose hookup to the mail server is a plugin.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 done; 1 failed, wholly or in part: the messages say what; 2 wrong usage; 3 done, but the MTA does not know \
                        of it yet."
)]
pub struct Cli {
    /// The configuration file
    #[arg(short = 'C', long, value_name = "FILE", env = "POSTRIDER_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a list, and its domain if needed, and tell the MTA
    Create(create::Create),
    /// Remove a list, and tell the MTA
    Remove(remove::Remove),
    /// Show all lists
    Lists(lists::Lists),
    /// Show a list and its settings
    Info(info::Info),
    /// Change settings of a list
    Set(set::Set),
    /// Show all domains
    Domains(domains::Domains),
    /// Add or remove a domain
    #[command(subcommand)]
    Domain(domains::Domain),
    /// Add members to a list
    Addmembers(members::Addmembers),
    /// Remove members from a list
    Delmembers(members::Delmembers),
    /// Show the members of a list
    Members(members::Members),
    /// Write the MTA's tables anew
    Aliases(aliases::Aliases),
    /// Show what the MTA must be told once, or check whether it knows the lists
    Hookup(hookup::Hookup),
    /// Show or check the configuration
    Conf(conf::Conf),
    /// Show the plugins that can be found, or why they cannot be used
    Plugins(plugins::Plugins),
    /// Tools for those who write plugins
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Put a message into a list's queue, as if the MTA had delivered it
    Inject(inject::Inject),
    /// Show held posts and decide about them
    Held(held::Held),
    /// Show what waits in the queues and act on it
    Queue(queue::Queue),
    /// Copy databases and queues to a new directory, while running
    Backup(backup::Backup),
    /// Is the daemon running, and how far is it?
    Status(status::Status),
    /// Print the version
    Version(version::Version),
    /// Run the daemon
    Serve(serve::Serve),
    /// See a list work, on embedded defaults
    Demo(demo::Demo),
}

/// Runs the command line; the answer is the process's exit status.
pub fn main() -> u8 {
    // Not for people, so not in the command line's definition; and it needs nothing of what commands need.
    if std::env::args_os().nth(1).is_some_and(|word| word == "plugin-worker") {
        return crate::plugins::worker::main();
    }
    let cli = Cli::parse();
    match run(cli) {
        Ok(exit) => exit.status(),
        Err(error) => {
            output::error(&error);
            Exit::Failed.status()
        }
    }
}

/// The command line's definition, for the man page.
pub fn definition() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    // What needs neither a configuration nor another user's rights.
    if !matches!(cli.command, Command::Serve(_)) {
        logging::init_command()?;
    }
    match cli.command {
        Command::Version(version) => return version.run(),
        Command::Demo(demo) => return runtime(true)?.block_on(demo.run()),
        Command::Plugin(plugin) => return plugin.run(),
        Command::Conf(conf) => return conf.run(cli.config.as_deref()),
        Command::Hookup(hookup) if hookup.keeps_our_rights() => return hookup.with_our_rights(cli.config.as_deref()),
        _ => {}
    }
    let session = match cli.command {
        Command::Hookup(_) => Session::look(cli.config.as_deref())?,
        _ => Session::begin(cli.config.as_deref())?,
    };
    if let Command::Serve(serve) = cli.command {
        let runtime = runtime(true)?;
        let done = runtime.block_on(serve.run(session));
        // A plugin or program that does not answer must not keep a stopped daemon.
        runtime.shutdown_timeout(LAST_PATIENCE);
        return done;
    }
    runtime(false)?.block_on(async {
        let exit = match cli.command {
            Command::Create(command) => command.run(&session).await,
            Command::Remove(command) => command.run(&session).await,
            Command::Lists(command) => command.run(&session).await,
            Command::Info(command) => command.run(&session).await,
            Command::Set(command) => command.run(&session).await,
            Command::Domains(command) => command.run(&session).await,
            Command::Domain(command) => command.run(&session).await,
            Command::Addmembers(command) => command.run(&session).await,
            Command::Delmembers(command) => command.run(&session).await,
            Command::Members(command) => command.run(&session).await,
            Command::Aliases(command) => command.run(&session).await,
            Command::Hookup(command) => command.run(&session).await,
            Command::Plugins(command) => command.run(&session).await,
            Command::Inject(command) => command.run(&session).await,
            Command::Held(command) => command.run(&session).await,
            Command::Queue(command) => command.run(&session).await,
            Command::Backup(command) => command.run(&session).await,
            Command::Status(command) => command.run(&session).await,
            Command::Serve(_) | Command::Version(_) | Command::Demo(_) | Command::Plugin(_) | Command::Conf(_) => {
                Ok(Exit::Done)
            }
        };
        session.end().await;
        exit
    })
}

/// Commands are short and need one thread; the daemon takes all cores.
fn runtime(daemon: bool) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = if daemon {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    Ok(builder.enable_all().build()?)
}
