//! `.qmail` files: how they are called and what stands in them (dot-qmail(5)).
//!
//! For the address `postrider-ants-bounces+user=dom` qmail-local looks for `.qmail-ants-bounces+user=dom`, then
//! for `.qmail-ants-default` and `.qmail-default`. So a list needs `.qmail-ants` for its posting address and
//! `.qmail-ants-default` for its sub-addresses, with or without a detail.
//!
//! All files of a site have the same contents, because `qmail-lmtp` learns the address from its environment.
//! So it does no harm that two lists may need the same file (`.qmail-ants-default` is needed by `ants`, and by a
//! list that is really called `ants-default`), or that `ants` of one domain has a file that lets `ants` of
//! another domain through: Postrider answers for each address whether it is a list.

use crate::{settings::Config, snippets::quoted};
use postrider_plugin_api::sdk::{reachable_host, LmtpAddress, Site};

/// The first line of every file of ours.
pub(crate) const MARK: &str = "# Written by Postrider; what is changed here by hand is lost.";

/// The file for all addresses that have no file of their own.
pub(crate) const DEFAULT: &str = ".qmail-default";

/// The names of a list's files. In file names a colon stands for a dot: qmail looks for it so.
pub(crate) fn names(local: &str) -> [String; 2] {
    let name = format!(".qmail-{}", local.replace('.', ":"));
    let default = format!("{}-default", name);
    [name, default]
}

/// The lists (local parts) that need the file which is named after this local part: itself, and the list whose
/// sub-addresses it is for.
pub(crate) fn needed_by(local: &str) -> impl Iterator<Item = &str> {
    std::iter::once(local).chain(local.strip_suffix("-default").filter(|list| !list.is_empty()))
}

/// What stands in a file, without [`MARK`].
pub(crate) fn instruction(config: &Config, site: &Site) -> String {
    let program = quoted(&config.lmtp_command);
    match &site.lmtp {
        LmtpAddress::Tcp { host, port } => {
            format!("|{} --host {} --port {}", program, quoted(&reachable_host(host)), port)
        }
        LmtpAddress::Unix(path) => format!("|{} --socket {}", program, quoted(path)),
        // What a later host may offer cannot be told to qmail-lmtp of this version.
        _ => format!("|{}", program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::site;

    fn config(pairs: &[(&str, &str)]) -> Config {
        Config::parse(&pairs.iter().copied().collect()).unwrap()
    }

    #[test]
    fn a_list_has_a_file_for_itself_and_one_for_its_subaddresses() {
        assert_eq!(names("ants"), [".qmail-ants", ".qmail-ants-default"]);
        assert_eq!(names("dev.team-x"), [".qmail-dev:team-x", ".qmail-dev:team-x-default"]);
    }

    #[test]
    fn a_file_may_be_needed_by_two_lists() {
        assert_eq!(needed_by("ants").collect::<Vec<_>>(), ["ants"]);
        assert_eq!(needed_by("ants-default").collect::<Vec<_>>(), ["ants-default", "ants"]);
        assert_eq!(needed_by("-default").collect::<Vec<_>>(), ["-default"]);
        assert_eq!(needed_by("default").collect::<Vec<_>>(), ["default"]);
    }

    #[test]
    fn the_instruction_names_the_lmtp_server() {
        assert_eq!(instruction(&config(&[]), &site()), "|/usr/bin/qmail-lmtp --host 127.0.0.1 --port 8024");
        for (listens, reached) in [("LOCALHOST", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
            let site = site().with_lmtp(LmtpAddress::tcp(listens, 24));
            let expected = format!("|/usr/bin/qmail-lmtp --host {} --port 24", reached);
            assert_eq!(instruction(&config(&[]), &site), expected, "{}", listens);
        }
        let unix = site().with_lmtp(LmtpAddress::unix("/run/postrider/lmtp"));
        assert_eq!(instruction(&config(&[]), &unix), "|/usr/bin/qmail-lmtp --socket /run/postrider/lmtp");
    }

    #[test]
    fn the_shell_that_runs_the_instruction_sees_words_and_nothing_else() {
        let config = config(&[("lmtp_command", "/opt/my tools/it's/qmail-lmtp")]);
        let unix = site().with_lmtp(LmtpAddress::unix("/run/$(id)/`x`;y"));
        assert_eq!(instruction(&config, &unix), r#"|'/opt/my tools/it'\''s/qmail-lmtp' --socket '/run/$(id)/`x`;y'"#);
    }
}
