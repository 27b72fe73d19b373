//! What the administrator does once: one file of m4, one line in `sendmail.mc`, one build.
//!
//! Before anything of the site's own is touched, the maps are looked for and the new configuration is built of a
//! copy and read by Sendmail: whatever fails leaves nothing behind but our own file.

use super::{config::Config, destination, facts, fragment, tables};
use crate::programs;
use postrider_plugin_api::sdk::{Context, Result, Snippet};

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let (mc, cf, fragment_file) = (&config.mc_file, &config.cf_file, config.fragment_file());
    let build = Build { config, cf_dir: facts::cf_dir(config, context.facts) };
    let elsewhere = destination::of(&context.site.lmtp)?.client.is_some();
    let include = format!("include(`{fragment_file}')dnl");
    let commands =
        |text: String, explanation: String, undo: String| Snippet::commands(text, explanation).with_undo(undo);
    let whose = if elsewhere {
        "The list server is another machine: do all this on the one where Sendmail runs, to which the maps have been copied \
         (README of the plugin, \"Two hosts\"). "
    } else {
        ""
    };
    Ok(vec![
        Snippet::file(
            fragment_file,
            fragment::text(config, context.site)?,
            format!(
                "{whose}The maps, the rules that look into them, and the mailer that speaks LMTP. Between the two sides \
                 of a rule there must be tabs, so copy the file, not what you see of it."
            ),
        ),
        commands(
            format!(
                "{tables}cp {mc} {mc}.postrider-new\n\
                 grep -qxF {include_quoted} {mc}.postrider-new || printf '\\n%s\\n' {include_quoted} >> {mc}.postrider-new\n\
                 {new_cf}{has_mailer}rm {mc}.postrider-new {cf}.postrider-new\n\
                 test -e {cf}.before-postrider || cp -p {cf} {cf}.before-postrider\n",
                tables = build.tables_are_there(&context.site.table_dir, elsewhere),
                include_quoted = format_args!("\"{}\"", include.replace('`', "\\`")),
                new_cf = build.new_cf(&format!("{mc}.postrider-new")),
                has_mailer = build.has_mailer(),
            ),
            format!(
                "Are the maps there (without them Sendmail answers 451 to everything), and does Sendmail read a \
                 configuration with that file? Then keeps {cf} as it is now. Taking everything back builds it anew from {mc}, \
                 so that what you change there meanwhile stays."
            ),
            // Steps are taken back in the reverse order: when this one is, the line is out of sendmail.mc again.
            format!("{}{}rm -f {cf}.before-postrider {mc}.postrider-new\n", build.new_cf(mc), build.install()),
        ),
        Snippet::lines(
            mc.clone(),
            format!("{include}\n"),
            "Includes that file; it has to stand after MAILER(`smtp'), and may be the last line. What the system's own \
             tools do later (Debian's sendmailconfig, make in /etc/mail) keeps it.",
        ),
        commands(
            format!("{}{}{}", build.new_cf(mc), build.has_mailer(), build.install()),
            "Builds the configuration beside the present one, has Sendmail read it, and only then puts it in its place and \
             tells the daemon (SIGHUP)."
                .into(),
            String::new(),
        ),
    ])
}

struct Build<'a> {
    config: &'a Config,
    cf_dir: Option<&'a str>,
}

impl Build<'_> {
    fn tables_are_there(&self, table_dir: &str, elsewhere: bool) -> String {
        let advice =
            if elsewhere { "copy the tables here and run makemap first" } else { "run postrider aliases first" };
        let (directory, suffix) = (table_dir.trim_end_matches('/'), self.config.map_type.suffix());
        let mut text = String::new();
        for table in [tables::DOMAINS, tables::ADDRESSES] {
            let file = format!("{directory}/{table}{suffix}");
            text.push_str(&format!("test -f {file} || {{ echo '{file} is not there: {advice}' >&2; exit 1; }}\n"));
        }
        text
    }

    /// A copy first, so that owner and mode stay what they are.
    fn new_cf(&self, mc_file: &str) -> String {
        let Config { m4, cf_file, sendmail, .. } = self.config;
        let base = self.cf_dir.map_or(String::new(), |dir| format!(" -D_CF_DIR_={dir}/ {dir}/m4/cf.m4"));
        format!(
            "cp -p {cf_file} {cf_file}.postrider-new\n\
             {m4}{base} {mc_file} > {cf_file}.postrider-new\n\
             said=$({sendmail} -C {cf_file}.postrider-new -bt < /dev/null 2>&1) || {{ echo \"$said\" >&2; exit 1; }}\n"
        )
    }

    fn has_mailer(&self) -> String {
        let Config { mc_file, cf_file, .. } = self.config;
        format!(
            "grep -q '^M{mailer},' {cf_file}.postrider-new || {{ echo 'm4 made nothing of the line at the end of {mc_file}' >&2; exit 1; }}\n",
            mailer = fragment::MAILER
        )
    }

    fn install(&self) -> String {
        let Config { cf_file, sendmail, .. } = self.config;
        format!("mv {cf_file}.postrider-new {cf_file}\n{}", programs::reload(sendmail, cf_file))
    }
}
