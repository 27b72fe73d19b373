//! Asking the real Sendmail: `sendmail -bt` (address test mode) with the commands on its standard input.

use postrider_plugin_api::sdk::{Result, Tools};

/// Where Sendmail sends an address, by ruleset 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The mailer: `postrider`, `local`, `error`.
    pub(crate) mailer: String,
    /// All that ruleset 0 answered, with Sendmail's blanks between the tokens.
    pub(crate) answer: String,
}

/// Asks where an address goes: `3,0 ADDRESS`.
///
/// # Errors
/// When the program cannot be run. `Ok(Err)`: what it said instead of an answer.
pub(crate) fn resolve(
    tools: &dyn Tools,
    sendmail: &str,
    cf_file: &str,
    address: &str,
) -> Result<std::result::Result<Resolved, String>> {
    let output = tools.run(&[sendmail, "-C", cf_file, "-bt"], &format!("3,0 {address}\n"))?;
    let answer = output.stdout.lines().rev().find_map(|line| {
        let (ruleset, answer) = line.trim_start_matches("> ").split_once("returns:")?;
        Some(answer.trim()).filter(|_| ruleset.trim() == "parse")
    });
    Ok(match answer {
        Some(answer) => {
            let mailer = answer.strip_prefix("$#").map_or("", str::trim_start).split(' ').next().unwrap_or_default();
            Ok(Resolved { mailer: mailer.to_lowercase(), answer: answer.into() })
        }
        None => Err(said(&output.stdout, &output.stderr)),
    })
}

/// Looks a key up in a map: `/map NAME KEY`. `Ok(Err)`: the map cannot be read, in Sendmail's words.
///
/// # Errors
/// When the program cannot be run.
pub(crate) fn look_up(
    tools: &dyn Tools,
    sendmail: &str,
    cf_file: &str,
    map: &str,
    key: &str,
) -> Result<std::result::Result<Option<String>, String>> {
    let output = tools.run(&[sendmail, "-C", cf_file, "-bt"], &format!("/map {map} {key}\n"))?;
    let answer = output.stdout.lines().find_map(|line| {
        let (_, rest) = line.split_once("map_lookup:")?;
        if let Some((_, found)) = rest.split_once(" returns ") {
            return Some(Some(found.rsplit_once(" (").map_or(found, |(value, _)| value).to_string()));
        }
        rest.contains("no match (0)").then_some(None)
    });
    Ok(answer.ok_or_else(|| said(&output.stdout, &output.stderr)))
}

/// What is left when the noise is taken away.
fn said(stdout: &str, stderr: &str) -> String {
    const NOISE: [&str; 4] = ["ADDRESS TEST MODE", "Enter <ruleset>", "WARNING: Ruleset", "map_lookup:"];
    let lines = stderr.lines().chain(stdout.lines()).map(|line| line.trim_start_matches('>').trim());
    let telling = |line: &&str| !line.is_empty() && !NOISE.iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = lines.filter(telling).collect();
    if lines.is_empty() {
        "Sendmail says nothing".into()
    } else {
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTools;

    fn tools(stdout: &str) -> TestTools {
        let head = "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\nEnter <ruleset> <address>\n";
        TestTools::default().answer("/s -C /c -bt", 0, &format!("{head}{stdout}> "), "")
    }

    #[test]
    fn the_last_answer_of_ruleset_0_counts() {
        let answer = "> canonify           input: a @ b\nparse            returns: $# postrider $@ [ 127 . 0 . 0 . 1 ] $: a < @ b . >\n";
        let resolved = resolve(&tools(answer), "/s", "/c", "a@b").unwrap().unwrap();
        assert_eq!(resolved.mailer, "postrider");
        let answer = "> parse            returns: $# error $@ 5 . 1 . 1 $: \"550 No such mailing list\"\n";
        assert_eq!(resolve(&tools(answer), "/s", "/c", "a@b").unwrap().unwrap().mailer, "error");
        let nothing = resolve(&tools("/c: line 1: unknown configuration line\n"), "/s", "/c", "a@b").unwrap();
        assert_eq!(nothing, Err("/c: line 1: unknown configuration line".into()));
    }

    #[test]
    fn a_key_is_there_or_not_or_the_map_cannot_be_read() {
        let ask = |stdout: &str| look_up(&tools(stdout), "/s", "/c", "m", "k").unwrap();
        assert_eq!(ask("> map_lookup: m (k) returns ants.e.org (0)\n"), Ok(Some("ants.e.org".into())));
        assert_eq!(ask("> map_lookup: m (k) no match (0)\n"), Ok(None));
        let unsafe_map =
            "> hash map \"m\": unsafe map file /t.db: Permission denied\nmap_lookup: m (k) no match (75)\n";
        assert_eq!(ask(unsafe_map), Err("hash map \"m\": unsafe map file /t.db: Permission denied".into()));
    }
}
