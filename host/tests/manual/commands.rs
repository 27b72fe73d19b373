//! postrider(1): the command line as clap knows it, and the settings of a list.

use super::roff::{Page, bold, italic};
use clap::{Arg, ArgAction, Command};
use postrider::cli;
use postrider::config::{DEFAULT_FILE, FILE_VARIABLE};
use postrider::conformance;
use postrider::lists::LIST_SETTINGS;

/// The page.
pub fn page() -> String {
    let command = cli::definition();
    let mut page = Page::new("postrider", 1, "mailing lists beside a mail server");
    page.section("SYNOPSIS");
    page.paragraphs("`postrider` [`-C` FILE] COMMAND [ARGUMENT …]");
    page.section("DESCRIPTION");
    page.paragraphs(DESCRIPTION);
    page.section("OPTIONS");
    options(&mut page, &command);
    page.entry(&format!("{}, {}", bold("-h"), bold("--help")), "Show help; after a command, help for it.");
    page.entry(&format!("{}, {}", bold("-V"), bold("--version")), "Show the version.");
    page.section("COMMANDS");
    page.paragraphs(
        "A LIST is named by its posting address, `ants@lists.example.com`, or by its list-id, \
         `ants.lists.example.com`. Every command that lists has `--json`.",
    );
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        describe(&mut page, one);
    }
    page.section("\"SETTINGS OF A LIST\"");
    page.paragraphs("`postrider info` shows them, `postrider set` changes them.");
    for setting in &LIST_SETTINGS {
        let default = if setting.default.is_empty() { "empty".to_owned() } else { format!("`{}`", setting.default) };
        let meaning = format!("{} Allowed: {}. Default: {default}.", setting.help, setting.allowed);
        let example = if setting.default.contains("Ants") { " (for the list `ants`)" } else { "" };
        page.entry(&bold(setting.name), &format!("{}{example}.", meaning.trim_end_matches('.')));
    }
    page.section("\"HEADER AND FOOTER\"");
    page.paragraphs(TEMPLATES);
    for (name, meaning) in VARIABLES {
        page.entry(&bold(&format!("${name}")), meaning);
    }
    page.section("\"TESTS OF PLUGIN CHECK\"");
    page.paragraphs(CHECKS);
    for test in conformance::TESTS {
        page.entry(&bold(test.name), test.proves);
    }
    page.section("QUEUES");
    page.paragraphs(QUEUES);
    for (keys, meaning) in QUEUE_KEYS {
        page.entry(&bold(keys), meaning);
    }
    page.section("\"EXIT STATUS\"");
    for (status, meaning) in EXITS {
        page.entry(&bold(&status.to_string()), meaning);
    }
    page.section("SIGNALS");
    page.paragraphs("To `postrider serve`:");
    page.entry(
        "SIGTERM, SIGINT",
        "Stop: no new connections; messages that are just coming in are finished and answered; what waits stays in \
         the spool and goes on at the next start.",
    );
    page.entry(
        "SIGHUP",
        "Read the configuration again, and open the log file again. A wrong configuration changes nothing and is \
         logged. Settings that need a restart are named in the log.",
    );
    page.section("ENVIRONMENT");
    page.entry(&bold(FILE_VARIABLE), &format!("The configuration file, when there is no `-C`. Else `{DEFAULT_FILE}`."));
    page.entry(&bold("RUST_LOG"), "Which lines are logged, in place of `filter` in section `[logging]`.");
    page.entry(
        "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS, LISTEN_PID, JOURNAL_STREAM",
        "Set by systemd: readiness and how far the queues are is told, signs of life go to its watchdog, sockets are taken \
         over (`lmtp_listen: systemd`), lines go to the journal.",
    );
    page.section("FILES");
    for (file, meaning) in FILES {
        page.entry(&italic(file), meaning);
    }
    page.section("EXAMPLES");
    page.paragraphs("Check the configuration, make a list with two members, see what Postfix is told:");
    page.literal(EXAMPLE);
    page.paragraphs("Decide about what waits for a moderator, and send what could not be sent once more:");
    page.literal("postrider held\npostrider held accept 3\npostrider queue\npostrider queue retry");
    page.section("\"SEE ALSO\"");
    page.paragraphs("`postrider.cfg`(5), `postfix`(1), `postmap`(1), `systemd.socket`(5)");
    page.finish()
}

const DESCRIPTION: &str = "\
Postrider distributes mail to the members of mailing lists. It runs beside a mail server (MTA), which hands it mail \
for the lists by LMTP and takes mail from it by SMTP. A plugin tells the MTA which addresses are lists, by the lookup \
tables that this MTA reads.

`postrider serve` is the daemon. The other commands work on its database directly, whether it runs or not, and tell it \
what changed. Started by root, every command becomes the owner of `data_dir` before it opens anything.";

const TEMPLATES: &str = "\
The settings `header` and `footer` of a list are texts of several lines; `postrider set LIST --file footer=FILE` takes one \
from a file. They stand before and behind the text of a post that is one plain text; else they are parts before and \
behind it, and the post stays one part as it was, so that a PGP or S/MIME signature over it stays good. Encrypted posts \
are left alone. A DKIM signature breaks with every change, so both are empty by default.

With `personalize=individual` each member gets a copy of his own, in which the last three of these variables are \
his; without, `set` refuses them. `full` puts him into To: too. Such copies go out one by one, and always with VERP if \
`verp_personalized_deliveries` says so. `$name` and `${name}` are the same, `$$` is a dollar.";

/// Each is known to `Template`; a test compares.
const VARIABLES: [(&str, &str); 13] = [
    ("list_name", "What stands before the `@` of the list's address; also `$short_listname`."),
    ("short_listname", "The same."),
    ("fqdn_listname", "The list's address; also `$listname`."),
    ("listname", "The same."),
    ("list_id", "The list-id."),
    ("domain", "The list's domain."),
    ("display_name", "What people call the list."),
    ("description", "Its description."),
    ("request_email", "The address for commands."),
    ("owner_email", "The address of its owners."),
    ("user_email", "The member's address in lower case."),
    ("user_delivered_to", "The member's address as it was given."),
    ("user_name", "The member's display name; may be empty."),
];

const CHECKS: &str = "\
`postrider plugin check` asks a plugin what a host would ask, and what nobody expects. Each test is a process of its own with a \
limit of time and memory, so a plugin that crashes, hangs or ends the process fails that one test. It needs no root, no \
network, no mail server and no configuration, and writes nothing. It runs the code of the plugin with your rights: check only \
what you trust as much. What fails is told with what was seen, what was expected, what to do, and the command that shows it \
again.";

const QUEUES: &str = "\
Mail that came in waits in one queue until it is processed (`new`), is `kept` for a function that processes it later, or \
could not be processed (`shunted`, with the reason). Mail that goes out waits in the other, with one row for each recipient \
who still has to get it: `due` when somebody is to be delivered to now, `deferred` when everybody waits for a later try.

`queue retry` makes waiting mail due, has shunted mail processed once more (Mailman's `unshunt`), and ends the pause of a \
daemon that leaves the mail server alone because it was away. `queue drop` throws away what was not sent; recipients who \
are being delivered to at that moment get the message all the same, and their results are passed over.

`queue export` writes what is needed to put mail back, here or on another machine: a line of JSON each for a message and its \
recipients, with the octets of the message, or an mbox with the same in header fields `X-Postrider-...`. The first line \
of JSON has the version, `{\"postrider_queue\":1,...}`, the last one counts, so a file that was cut off is refused. \
`queue import` checks all of the file, then queues each entry in one transaction. An entry that was imported in the last 30 \
days, or that is in the queue still, is passed over. Mail that came in needs its list; mail that goes out is \
delivered without it. An entry that was exported and delivered meanwhile would be sent again: stop the daemon before \
`queue export --remove`.

The watchdog of systemd (`WatchdogSec=` in the unit) hears of a daemon whose parts all turn and whose spool can be written. \
A mail server that is slow, a long fan-out or a plugin that uses up its time limit is no reason for a restart; a disk \
that does not finish a sync, or another process that holds the spool for longer than that time, is one.

`--json` gives these keys, which stay as they are; times are Unix seconds.";

const QUEUE_KEYS: [(&str, &str); 7] = [
    ("queue list", "One object with `in`, `out` (arrays with one element a line) and `summary`."),
    (
        "in",
        "`id`, `state` (new, kept, shunted), `list`, `function`, `recipient`, `sender` (null: none), `received`, `size`, \
         `reason`.",
    ),
    (
        "out",
        "`id`, `state` (due, deferred), `list`, `message_id`, `sender`, `waiting` and of these `deferred`, `done`, `queued`, \
         `next_try`, `last_reply`, `size`, `personal` (each recipient gets a copy of his own); while the daemon delivers it also `in_flight`, `per_second`, `seconds_left` (null: \
         it stands still).",
    ),
    (
        "summary",
        "Of all that waits: `in`, `new`, `kept`, `shunted`, `oldest_in`, `out`, `recipients`, `oldest_out` (null: none).",
    ),
    (
        "queue show",
        "The same keys and `message_id`, `age` (seconds), `header` (pairs of name and decoded value); for `out` also \
         `recipients`, `replies` and `bounces`, with `--recipients` also `recipient_list` (`address`, `state`, `attempts`, \
         `next_try`, `reply`).",
    ),
    (
        "recipients, replies",
        "How many are `delivered`, `failed`, `in_flight`, `due`, `deferred`; the deferred by their last reply: `reply` (`*` \
         stands for the recipient's address), `recipients`, `attempts` and `next_try` (least and most), `examples`.",
    ),
    (
        "queue bounces",
        "An array of `id`, `list`, `recipient`, `reply`, `status` and `diagnostic_code` (RFC 3464), `message_id`, `time`.",
    ),
];

/// What clap ends with when the command line is wrong.
const USAGE: u8 = 2;

const EXITS: [(u8, &str); 4] = [
    (cli::Exit::Done.status(), "Done."),
    (
        cli::Exit::Failed.status(),
        "Failed; the reason is on standard error. Nothing was changed, except by commands that are given several \
         things at once (members, numbers of posts): these do what they can and name the rest.",
    ),
    (USAGE, "The command line is wrong; nothing was done."),
    (
        cli::Exit::MtaBehind.status(),
        "Done in the database, but the MTA does not know of it yet. What to do stands on standard error; the daemon \
         tries again by itself.",
    ),
];

const FILES: [(&str, &str); 7] = [
    (DEFAULT_FILE, "The configuration, see `postrider.cfg`(5)."),
    ("/var/lib/postrider/data/postrider.db", "Domains, lists, members, held posts (SQLite)."),
    (
        "/var/lib/postrider/data/spool.db",
        "Mail that came in and mail that goes out (SQLite); large messages lie in `spool/` beside it. Copy both \
         databases with `postrider backup` only.",
    ),
    ("/var/lib/postrider/data/postfix_*", "The tables for Postfix."),
    ("/var/lib/postrider/locks/", "Locks between commands that write tables."),
    ("/var/lib/postrider/postrider.sock", "The daemon's own socket, for its user only."),
    ("/usr/lib/postrider/plugins/libpostrider_*.so", "The plugins."),
];

const EXAMPLE: &str = "\
postrider conf --check
postrider create ants@lists.example.com --owner anne@example.com
printf 'bart@example.com\\nCris <cris@example.com>\\n' | postrider addmembers - ants@lists.example.com
postrider aliases --dry-run";

fn describe(page: &mut Page, command: &Command) {
    page.subsection(&usage(command, ""));
    page.paragraphs(&sentence(command.get_about()));
    options(page, command);
    for action in command.get_subcommands() {
        page.entry(&usage(action, command.get_name()), &sentence(action.get_about()));
        page.inner();
        options(page, action);
        page.outer();
        if let Some(more) = action.get_after_help() {
            page.inner();
            page.paragraphs(&more.to_string());
            page.outer();
        }
    }
    if let Some(more) = command.get_after_help() {
        page.paragraphs(&more.to_string());
    }
}

/// `domain add HOST`, with what is fixed in bold and what is put in in italics.
fn usage(command: &Command, parent: &str) -> String {
    let mut words = vec![bold(format!("{parent} {}", command.get_name()).trim_start())];
    for arg in command.get_positionals() {
        let name = value(arg);
        let name = if matches!(arg.get_action(), ArgAction::Append) { format!("{name}\\ ...") } else { name };
        words.push(if arg.is_required_set() { name } else { format!("[{name}]") });
    }
    words.join(" ")
}

fn options(page: &mut Page, command: &Command) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        if arg.is_positional() {
            page.entry(&value(arg), &help(arg));
            continue;
        }
        let names: Vec<String> = arg
            .get_short()
            .map(|short| bold(&format!("-{short}")))
            .into_iter()
            .chain(arg.get_long().map(|long| bold(&format!("--{long}"))))
            .collect();
        let value = if arg.get_action().takes_values() { format!(" {}", value(arg)) } else { String::new() };
        page.entry(&format!("{}{value}", names.join(", ")), &help(arg));
    }
}

/// What is put in: `FILE`, or `in|out`.
fn value(arg: &Arg) -> String {
    let possible = arg.get_possible_values();
    if arg.get_action().takes_values() && !possible.is_empty() {
        return possible.iter().map(|one| bold(one.get_name())).collect::<Vec<_>>().join("|");
    }
    match arg.get_value_names() {
        Some(names) => names.iter().map(|name| italic(name)).collect::<Vec<_>>().join(" "),
        None => italic(&arg.get_id().as_str().to_uppercase()),
    }
}

fn help(arg: &Arg) -> String {
    let help = sentence(arg.get_help());
    let default: Vec<_> = arg.get_default_values().iter().map(|one| one.to_string_lossy()).collect();
    if arg.get_action().takes_values() && default.iter().any(|one| !one.is_empty()) {
        format!("{help} Default: `{}`.", default.join(" "))
    } else {
        help
    }
}

/// clap's texts have no period at their end.
fn sentence(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    if help.is_empty() || help.ends_with(['.', '?']) { help } else { format!("{help}.") }
}

#[test]
fn every_variable_of_a_template_has_its_entry() {
    let documented: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(documented, postrider::personal::Template::variables().collect::<Vec<_>>());
}
