//! What the administrator does once: two files, one line in `smtpd.conf`, one restart.
//!
//! OpenSMTPD does not start when a table is missing or a line is wrong, so the tables are looked for, and the new
//! `smtpd.conf` is read by `smtpd -n` beside the present one, before anything takes its place.

use crate::{configuration, facts, settings::Config, settings::TableType, tables};
use postrider_plugin_api::sdk::{Context, Result, Snippet};

/// Puts the line before the first rule that takes mail. Rules that refuse (`match ... reject`) stay first. A line
/// that ends in a backslash goes on; `keep` has the part of a rule that was read.
const BEFORE_THE_FIRST_RULE: &str = r#"awk -v line='INCLUDE' '
    { keep = keep $0 "\n" }
    /\\$/ { next }
    !done && keep ~ /^[ \t]*match[ \t\\]/ && keep !~ /[ \t]reject[ \t]*\n$/ { print line; done = 1 }
    { printf "%s", keep; keep = "" }
    END { printf "%s", keep; if (!done) print line }
' FILE.postrider-old >> FILE.postrider-new
"#;

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let conf = &config.smtpd_conf;
    let include = format!("include \"{}\"", config.included_file());
    let relaying = configuration::relaying(context.site, facts::outgoing(config, context.facts))?;
    let whose = match context.site.lmtp.other_host() {
        Some(_) => {
            "The list server is another machine: do all this on the one where OpenSMTPD runs, to which the tables have \
             been copied (README of the plugin, \"Two hosts\"). "
        }
        None => "",
    };
    let ours: Vec<&str> = std::iter::once(include.as_str()).chain(relaying.as_deref()).collect();

    let mut install = tables_are_there(config, context);
    install.push_str(&without(conf, &ours));
    install.push_str(&BEFORE_THE_FIRST_RULE.replace("INCLUDE", &include).replace("FILE", conf));
    if let Some(rule) = &relaying {
        install.push_str(&format!("printf '%s\\n' '{rule}' >> {conf}.postrider-new\n"));
    }
    install.push_str(&take_effect(config));

    let mut undo = without(conf, &ours);
    undo.push_str(&format!("cat {conf}.postrider-old >> {conf}.postrider-new\n"));
    undo.push_str(&take_effect(config));
    undo.push_str(&format!("rm -f {conf}.before-postrider\n"));

    Ok(vec![
        Snippet::file(
            config.included_file(),
            configuration::included(config, context)?,
            format!("{whose}The tables, the rules that look into them, and the action for lists."),
        ),
        Snippet::file(
            config.script_file(),
            configuration::script(config, context.site)?,
            "Hands a message to the list server, as the user that the table names. It tells refusals for good from \
             temporary ones, which OpenSMTPD's own mail.lmtp does not.",
        ),
        Snippet::commands(
            install,
            format!(
                "Adds `{include}` to {conf} before the first rule that takes mail{relay}. OpenSMTPD reads the new file first \
                 (smtpd -n); if it finds an error it says which, and everything stays as it is. {conf}.before-postrider is the \
                 file as it was. A running OpenSMTPD is restarted: it reads its configuration at its start only.",
                relay = if relaying.is_some() { ", and at the end one that lets the list server relay" } else { "" },
            ),
        )
        .with_undo(undo),
    ])
}

/// Without its tables OpenSMTPD does not start, and then nobody gets mail.
fn tables_are_there(config: &Config, context: Context<'_>) -> String {
    let directory = context.site.table_dir.trim_end_matches('/');
    let suffix = match config.table_type {
        TableType::Db => ".db",
        TableType::File => "",
    };
    let advice = match context.site.lmtp.other_host() {
        Some(_) => "copy the tables here and run makemap first",
        None => "run postrider aliases first",
    };
    let paths: Vec<String> = [tables::ADDRESSES, tables::DOMAINS, tables::SHARED]
        .iter()
        .map(|table| format!("{directory}/{table}{suffix}"))
        .collect();
    format!(
        "for table in {}; do\n\
         \x20   test -f \"$table\" || {{ echo \"$table is not there: {advice}\" >&2; exit 1; }}\n\
         done\n",
        paths.join(" ")
    )
}

/// `CONF.postrider-old` gets the file without these lines; `CONF.postrider-new` is empty, with its owner and mode.
fn without(conf: &str, lines: &[&str]) -> String {
    let patterns: String = lines.iter().map(|line| format!(" -e '{line}'")).collect();
    format!(
        "cp -p {conf} {conf}.postrider-new\n: > {conf}.postrider-new\n\
         grep -vxF{patterns} {conf} > {conf}.postrider-old || test -e {conf}.postrider-old\n"
    )
}

/// Commands that put the new file in its place if OpenSMTPD likes it, and restart OpenSMTPD if it runs.
fn take_effect(config: &Config) -> String {
    let Config { smtpd_conf: conf, smtpd, smtpctl, .. } = config;
    format!(
        "rm -f {conf}.postrider-old\n\
         {smtpd} -n -f {conf}.postrider-new || {{ rm -f {conf}.postrider-new; exit 1; }}\n\
         if cmp -s {conf} {conf}.postrider-new; then\n\
         \x20   rm -f {conf}.postrider-new\n\
         else\n\
         \x20   test -e {conf}.before-postrider || cp -p {conf} {conf}.before-postrider\n\
         \x20   mv {conf}.postrider-new {conf}\n\
         fi\n\
         if {smtpctl} show status > /dev/null 2>&1; then\n\
         {restart}\
         \x20   tries=0\n\
         \x20   until {smtpctl} show status > /dev/null 2>&1; do\n\
         \x20       tries=$((tries + 1))\n\
         \x20       test $tries -lt 50 || {{ echo 'OpenSMTPD did not come up again: see its log' >&2; exit 1; }}\n\
         \x20       sleep 0.2\n\
         \x20   done\n\
         fi\n",
        restart = restart(config),
    )
}

/// Debian's init script starts the new server before the old one has gone, and then there is none: so without
/// systemd this waits in between.
fn restart(config: &Config) -> String {
    if !config.restart.is_empty() {
        return format!("    {}\n", config.restart);
    }
    format!(
        "    if [ -d /run/systemd/system ]; then\n\
         \x20       systemctl restart opensmtpd\n\
         \x20   else\n\
         \x20       service opensmtpd stop\n\
         \x20       tries=0\n\
         \x20       while pidof {} > /dev/null && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.2; done\n\
         \x20       service opensmtpd start\n\
         \x20   fi\n",
        config.smtpd
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::{
        sdk::{Facts, LmtpAddress, SnippetKind},
        testing::{self, TestRoster},
    };
    use std::{fs, path::Path, process::Command};

    fn snippets(settings: &[(&str, &str)], lmtp: Option<LmtpAddress>) -> Vec<Snippet> {
        let (facts, roster) = (Facts::new(), TestRoster::new(&[], &[]));
        let mut site = testing::site();
        site.lmtp = lmtp.unwrap_or(site.lmtp);
        let config = Config::parse(&settings.iter().copied().collect()).unwrap();
        all(&config, Context::new(&site, &facts, &roster)).unwrap()
    }

    #[test]
    fn the_files_come_before_what_needs_them() {
        let snippets = snippets(&[], None);
        let kinds: Vec<SnippetKind> = snippets.iter().map(|snippet| snippet.kind).collect();
        assert_eq!(kinds, [SnippetKind::File, SnippetKind::File, SnippetKind::Commands]);
        assert!(!snippets[2].undo.is_empty());
    }

    /// Runs commands with a `smtpd` and a `smtpctl` that say yes; what `smtpd.conf` is afterwards.
    fn run(directory: &Path, commands: &str) -> String {
        let status = Command::new("sh").args(["-ec", commands]).status().unwrap();
        assert!(status.success(), "{}\n{}", status, commands);
        fs::read_to_string(directory.join("smtpd.conf")).unwrap()
    }

    fn in_a_directory(name: &str, conf: &str, lmtp: Option<LmtpAddress>, test: &dyn Fn(&Path, &Snippet)) {
        let directory = std::env::temp_dir().join(format!("postrider-opensmtpd-{}-{}", name, std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = |file: &str| directory.join(file).to_str().unwrap().to_owned();
        fs::write(path("smtpd.conf"), conf).unwrap();
        let settings = [
            ("smtpd_conf", &*path("smtpd.conf")),
            ("smtpd_command", "/bin/true"),
            ("smtpctl_command", "/bin/true"),
            ("restart_command", &*format!("echo restarted >> {}", path("restarts"))),
            ("relay_action", "out"),
        ];
        let mut commands = snippets(&settings, lmtp).remove(2);
        for table in [tables::ADDRESSES, tables::DOMAINS, tables::SHARED] {
            fs::write(path(&format!("{table}.db")), "").unwrap();
        }
        commands.text = commands.text.replace("/var/lib/postrider/data", directory.to_str().unwrap());
        test(&directory, &commands);
        fs::remove_dir_all(&directory).unwrap();
    }

    const CONF: &str = "table bad { \"192.0.2.9\" }\nlisten on lo\naction \"out\" relay\n\
                        match from src <bad> for any \\\n\treject\nmatch for local action \"local\"\nmatch for any action \"out\"\n";

    #[test]
    fn the_line_stands_before_the_first_rule_that_takes_mail_and_goes_again() {
        in_a_directory("line", CONF, None, &|directory, commands| {
            let include = format!("include \"{}/smtpd.postrider.conf\"\n", directory.display());
            let expected = CONF.replace("match for local", &format!("{include}match for local"));
            assert_eq!(run(directory, &commands.text), expected);
            assert_eq!(run(directory, &commands.text), expected, "a second time changes nothing");
            assert_eq!(fs::read_to_string(directory.join("smtpd.conf.before-postrider")).unwrap(), CONF);
            assert_eq!(run(directory, &commands.undo), CONF);
            let restarts = fs::read_to_string(directory.join("restarts")).unwrap();
            assert_eq!(restarts.lines().count(), 3);
            let left = |file: &str| directory.join(file).exists();
            assert!(!left("smtpd.conf.postrider-new") && !left("smtpd.conf.postrider-old"));
            assert!(!left("smtpd.conf.before-postrider"));
        });
    }

    #[test]
    fn without_a_rule_the_line_stands_at_the_end() {
        in_a_directory("end", "listen on lo\n", None, &|directory, commands| {
            assert!(run(directory, &commands.text).starts_with("listen on lo\ninclude \""));
        });
    }

    #[test]
    fn a_list_server_on_another_machine_may_relay_behind_all_other_rules() {
        let lmtp = LmtpAddress::Tcp { host: "192.0.2.7".into(), port: 8024 };
        in_a_directory("relay", CONF, Some(lmtp), &|directory, commands| {
            let seen = run(directory, &commands.text);
            assert!(seen.ends_with("\nmatch from src \"192.0.2.7\" for any action \"out\"\n"), "{seen}");
            assert_eq!(run(directory, &commands.undo), CONF);
        });
    }

    #[test]
    fn what_opensmtpd_does_not_like_changes_nothing() {
        in_a_directory("wrong", CONF, None, &|directory, commands| {
            let text = commands.text.replace("/bin/true -n", "/bin/false -n");
            assert!(!Command::new("sh").args(["-ec", &text]).status().unwrap().success());
            assert_eq!(fs::read_to_string(directory.join("smtpd.conf")).unwrap(), CONF);
            assert!(!directory.join("restarts").exists());
        });
    }

    #[test]
    fn without_tables_nothing_is_changed() {
        in_a_directory("tables", CONF, None, &|directory, commands| {
            fs::remove_file(directory.join("opensmtpd_domains.db")).unwrap();
            let output = Command::new("sh").args(["-ec", &commands.text]).output().unwrap();
            assert!(String::from_utf8_lossy(&output.stderr)
                .contains("opensmtpd_domains.db is not there: run postrider aliases"));
            assert_eq!(fs::read_to_string(directory.join("smtpd.conf")).unwrap(), CONF);
        });
    }
}
