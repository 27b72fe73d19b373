//! What the administrator does once: one file of m4, one line in `sendmail.mc`, one build.

use super::{config::Config, facts, fragment, tables};
use crate::programs;
use postrider_plugin_api::sdk::{Context, Result, Snippet, SnippetKind};

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let (mc, cf, fragment_file) = (&config.mc_file, &config.cf_file, config.fragment_file());
    let build = Build { config, cf_dir: facts::cf_dir(config, context.facts) };
    Ok(vec![
        Snippet {
            kind: SnippetKind::Commands,
            file: String::new(),
            text: format!("cp -np {cf} {cf}.before-postrider\n"),
            explanation: format!(
                "Keeps the configuration as it is now. Taking everything back builds {cf} anew from {mc}, so that \
                 what you change there meanwhile stays."
            ),
            // Steps are taken back in the reverse order: when this one is, the line is out of sendmail.mc again.
            undo: format!("{}{}rm -f {cf}.before-postrider\n", build.new_cf(), build.install()),
        },
        Snippet {
            kind: SnippetKind::File,
            file: fragment_file.clone(),
            text: fragment::text(config, context.site)?,
            explanation: "The maps, the rules that look into them, and the mailer that speaks LMTP. Between the two \
                          sides of a rule there must be tabs, so copy the file, not what you see of it."
                .into(),
            undo: String::new(),
        },
        Snippet {
            kind: SnippetKind::Lines,
            file: mc.clone(),
            text: format!("include(`{fragment_file}')dnl\n"),
            explanation: "Includes that file; it has to stand after MAILER(`smtp'), and may be the last line. What \
                          the system's own tools do later (Debian's sendmailconfig, make in /etc/mail) keeps it."
                .into(),
            undo: String::new(),
        },
        Snippet {
            kind: SnippetKind::Commands,
            file: String::new(),
            text: format!(
                "{}{}{}{}",
                build.tables_are_there(&context.site.table_dir),
                build.new_cf(),
                build.has_mailer(),
                build.install()
            ),
            explanation: format!(
                "Builds the configuration beside the present one, has Sendmail read it, and only then puts it in its \
                 place and tells the daemon (SIGHUP). The maps must be there first (postrider aliases writes them): \
                 without them Sendmail answers 451 to everything."
            ),
            undo: String::new(),
        },
    ])
}

struct Build<'a> {
    config: &'a Config,
    cf_dir: Option<&'a str>,
}

impl Build<'_> {
    fn tables_are_there(&self, table_dir: &str) -> String {
        let (directory, suffix) = (table_dir.trim_end_matches('/'), self.config.map_type.suffix());
        let mut text = String::new();
        for table in [tables::DOMAINS, tables::ADDRESSES] {
            let file = format!("{directory}/{table}{suffix}");
            text.push_str(&format!(
                "test -f {file} || {{ echo '{file} is not there: run postrider aliases first' >&2; exit 1; }}\n"
            ));
        }
        text
    }

    /// A copy first, so that owner and mode stay what they are.
    fn new_cf(&self) -> String {
        let Config { m4, mc_file, cf_file, sendmail, .. } = self.config;
        let base = self.cf_dir.map_or(String::new(), |dir| format!(" -D_CF_DIR_={dir}/ {dir}/m4/cf.m4"));
        format!(
            "cp -p {cf_file} {cf_file}.postrider-new\n\
             {m4}{base} {mc_file} > {cf_file}.postrider-new\n\
             said=$({sendmail} -C {cf_file}.postrider-new -bt < /dev/null 2>&1) || {{ echo \"$said\" >&2; exit 1; }}\n"
        )
    }

    fn has_mailer(&self) -> String {
        format!("grep -q '^M{},' {}.postrider-new\n", fragment::MAILER, self.config.cf_file)
    }

    fn install(&self) -> String {
        let Config { cf_file, sendmail, .. } = self.config;
        format!("mv {cf_file}.postrider-new {cf_file}\n{}", programs::reload(sendmail, cf_file))
    }
}
