//! Putting the blocks into place: a script for each layout that makes the new configuration somewhere else,
//! has Exim read it, and only then replaces the old one.
//!
//! The blocks are files in a directory `postrider` beside Exim's configuration. Exim itself does not read
//! them there, so a wrong one does no harm.

use crate::{
    configuration::{Section, BEGIN, DIRECTORY, END},
    destination, facts,
    settings::{Config, Layout},
};
use postrider_plugin_api::sdk::{Facts, Result, Site};

/// What a shell needs to know about the place of the configuration.
pub(crate) struct Place<'a> {
    config: &'a Config,
    layout: Layout,
    /// The directory of Exim's configuration.
    directory: String,
    /// The file of the layouts single and plain.
    file: String,
    /// Does the list server need the right to relay?
    relays: bool,
}

/// What the site's own lists are called, once there are lists around them.
const SITE_DOMAINS: &str = "postrider_site_domains";
const SITE_RELAYS: &str = "postrider_site_relays";

/// An edit of sed that gives a named list another name.
fn renamed(kind: &str, from: &str, to: &str) -> String {
    format!("-e 's/^\\([[:space:]]*{kind}[[:space:]]\\{{1,\\}}\\){from}\\([[:space:]]*=\\)/\\1{to}\\2/'")
}

impl<'a> Place<'a> {
    pub(crate) fn of(config: &'a Config, site: &Site, facts: &Facts) -> Result<Place<'a>> {
        let relays = destination::other_host(site)?.is_some();
        let layout = facts::layout(config, facts);
        let (directory, file) = match layout {
            Layout::Plain => {
                let file = facts::config_file(config, facts)?;
                let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
                (directory, file)
            }
            Layout::Single | Layout::Split => {
                (config.config_directory.clone(), format!("{}/exim4.conf.template", config.config_directory))
            }
        };
        Ok(Place { config, layout, directory, file, relays })
    }

    /// The directory with the files of the blocks.
    pub(crate) fn blocks(&self) -> String {
        format!("{}/{DIRECTORY}", self.directory)
    }

    pub(crate) fn block(&self, section: Section) -> String {
        format!("{}/{}", self.blocks(), section.name())
    }

    /// A script that puts these blocks into place.
    pub(crate) fn install(&self, sections: &[Section]) -> String {
        let sections: Vec<Section> = sections.iter().copied().filter(|section| !self.is_included(*section)).collect();
        match self.layout {
            Layout::Split => self.install_split(&sections),
            Layout::Single => self.install_single(&sections),
            Layout::Plain => self.install_plain(&sections),
        }
    }

    /// A script that takes them out again.
    pub(crate) fn undo(&self, sections: &[Section]) -> String {
        let (exim, update) = (&self.config.exim, &self.config.update);
        match self.layout {
            Layout::Split => {
                let files: Vec<String> = sections.iter().filter_map(|section| self.part(*section)).collect();
                let files: Vec<String> = files.iter().map(|part| format!("{}/conf.d/{part}", self.directory)).collect();
                format!("rm -f {}\n{update}\n{}", files.join(" "), self.reload())
            }
            Layout::Single => {
                format!("sed -i '/^{BEGIN}/,/^{END}/d' {}\n{update}\n{}", self.file, self.reload())
            }
            Layout::Plain => format!(
                "new={file}.postrider-undo\ncp -p {file} \"$new\"\n\
                 sed -e '/^{BEGIN}/,/^{END}/d' {} {file} > \"$new\"\n\
                 {exim} -C \"$new\" -bV > /dev/null\nmv -f \"$new\" {file}\n{}",
                self.renamed_back(),
                self.reload(),
                file = self.file,
            ),
        }
    }

    /// Debian's ACL includes its file by name.
    fn is_included(&self, section: Section) -> bool {
        section == Section::Acl && self.layout != Layout::Plain
    }

    /// The file below `conf.d` of Debian's split configuration. Files are read in the order of their names:
    /// the block of the main section has to come before what uses its macros, the others before what
    /// would match as well.
    fn part(&self, section: Section) -> Option<String> {
        match section {
            Section::Main => Some("main/00_postrider".into()),
            Section::Router => Some(format!("router/{}", self.config.router_file)),
            Section::Transport => Some("transport/20_postrider".into()),
            Section::Retry => Some("retry/20_postrider".into()),
            Section::Acl => None,
        }
    }

    fn install_split(&self, sections: &[Section]) -> String {
        let mut copies = String::new();
        for section in sections {
            if let Some(part) = self.part(*section) {
                copies.push_str(&format!("  install -m 644 {} \"$1/conf.d/{part}\"\n", self.block(*section)));
            }
        }
        format!(
            "{}put() {{\n{copies}}}\n{}put \"$staged\"\n{}put {dir}\n{update}\n{}",
            self.expect_split("true"),
            self.stage(),
            self.try_staged(),
            self.reload(),
            dir = self.directory,
            update = self.config.update,
        )
    }

    fn install_single(&self, sections: &[Section]) -> String {
        format!(
            "{}{}{}{}{}\
             cat \"$staged/new\" > \"$staged/exim4.conf.template\"\n{}\
             cp -p {file} {file}.postrider-new\ncat \"$staged/new\" > {file}.postrider-new\n\
             mv -f {file}.postrider-new {file}\n{update}\n{}",
            self.expect_split("false"),
            self.stage(),
            self.keep_the_first(),
            self.sections_are_there(&["routers", "transports", "retry"]),
            self.insert(sections, &[]),
            self.try_staged(),
            self.reload(),
            file = self.file,
            update = self.config.update,
        )
    }

    fn install_plain(&self, sections: &[Section]) -> String {
        let file = &self.file;
        let (exim, list, relays) = (&self.config.exim, &self.config.local_domains, &self.config.relay_hosts);
        let relayed = self.config.relay_domains(self.layout);
        let needs_relays = self.relays || sections.contains(&Section::Acl);
        // Back first: what an earlier time renamed need not be renamed now.
        let mut rename = vec![self.renamed_back(), renamed("domainlist", list, SITE_DOMAINS)];
        if self.relays {
            rename.push(renamed("hostlist", relays, SITE_RELAYS));
        }
        format!(
            "staged=$(mktemp -d)\ntrap 'rm -rf \"$staged\"' EXIT\n\
             {}{}{}{}{}{}\
             {exim} -C \"$staged/new\" -bV > /dev/null\n\
             cp -p {file} {file}.postrider-new\ncat \"$staged/new\" > {file}.postrider-new\n\
             mv -f {file}.postrider-new {file}\n{}",
            self.keep_the_first(),
            self.list_is_there("domainlist", list, Some(SITE_DOMAINS), "local_domains", ""),
            self.list_is_there(
                "domainlist",
                relayed,
                None,
                "relay_domains",
                &format!("; if this Exim relays to no other host, add the line 'domainlist {relayed} ='"),
            ),
            if needs_relays {
                self.list_is_there("hostlist", relays, Some(SITE_RELAYS), "relay_hosts", "")
            } else {
                String::new()
            },
            self.sections_are_there(&["routers", "transports"]),
            self.insert(sections, &rename),
            self.reload(),
        )
    }

    fn renamed_back(&self) -> String {
        let back = [
            ("domainlist", SITE_DOMAINS, &self.config.local_domains),
            ("hostlist", SITE_RELAYS, &self.config.relay_hosts),
        ];
        back.iter().map(|(kind, from, to)| renamed(kind, from, to)).collect::<Vec<_>>().join(" ")
    }

    /// The snippet was made for one of Debian's layouts: is it still that?
    fn expect_split(&self, wanted: &str) -> String {
        let dir = &self.directory;
        format!(
            ". {dir}/update-exim4.conf.conf\n\
             if [ \"${{dc_use_split_config:-false}}\" != {wanted} ]; then\n\
             \x20 echo \"{dir}/update-exim4.conf.conf: dc_use_split_config is not '{wanted}': ask for these steps again\" >&2\n\
             \x20 exit 1\nfi\n"
        )
    }

    fn stage(&self) -> String {
        format!("staged=$(mktemp -d)\ntrap 'rm -rf \"$staged\"' EXIT\ncp -a {}/. \"$staged\"\n", self.directory)
    }

    fn try_staged(&self) -> String {
        format!(
            "{} --confdir \"$staged\" --output \"$staged/result\"\n{} -C \"$staged/result\" -bV > /dev/null\n",
            self.config.update, self.config.exim
        )
    }

    /// The file as it was before we came, whatever is installed later. (`cp -n` would do; since coreutils 9.2 it
    /// fails when there is nothing to do.)
    fn keep_the_first(&self) -> String {
        format!("test -e {file}.before-postrider || cp -p {file} {file}.before-postrider\n", file = self.file)
    }

    /// Exim notices only at work that it does not know a list.
    fn list_is_there(&self, kind: &str, name: &str, renamed: Option<&str>, setting: &str, or: &str) -> String {
        let names = renamed.map_or_else(|| name.to_owned(), |renamed| format!("({name}|{renamed})"));
        format!(
            "grep -Eq '^[[:space:]]*{kind}[[:space:]]+{names}[[:space:]]*=' {file} || {{\n\
             \x20 echo \"{file} has no {kind} {name}: set {setting} to the name of its list{or}\" >&2\n\
             \x20 exit 1\n}}\n",
            file = self.file
        )
    }

    /// Where these are in files of their own only the administrator knows where ours belong.
    fn sections_are_there(&self, names: &[&str]) -> String {
        format!(
            "for section in {}; do\n\
             \x20 grep -Eq \"^[[:space:]]*begin[[:space:]]+$section[[:space:]]*$\" {file} || {{\n\
             \x20   echo \"{file} has no line 'begin $section': put the files of {blocks} where they belong\" >&2\n\
             \x20   exit 1\n\x20 }}\ndone\n",
            names.join(" "),
            file = self.file,
            blocks = self.blocks(),
        )
    }

    /// Makes `$staged/new` from the file: the blocks of an earlier time out, those of now in, each at the
    /// begin of its section.
    fn insert(&self, sections: &[Section], changes: &[String]) -> String {
        let after = |section: Section, name: &str| {
            format!("-e '/^[[:space:]]*begin[[:space:]]\\{{1,\\}}{name}[[:space:]]*$/r {}'", self.block(section))
        };
        let mut script =
            format!("sed -e '/^{BEGIN}/,/^{END}/d' {} {} > \"$staged/bare\"\n", changes.join(" "), self.file);
        let mut edits = Vec::new();
        for section in sections {
            match section {
                Section::Main => {}
                Section::Acl => {
                    // The ACL that is in force at RCPT, whatever it is called.
                    script.push_str(
                        "acl=$(sed -n 's/^[[:space:]]*acl_smtp_rcpt[[:space:]]*=[[:space:]]*\\([A-Za-z0-9_]*\\)[[:space:]]*$/\\1/p' \"$staged/bare\")\n",
                    );
                    edits.push(format!(
                        "-e \"/^[[:space:]]*${{acl:?not found in this file}}[[:space:]]*:/r {}\"",
                        self.block(*section)
                    ));
                }
                Section::Router => edits.push(after(*section, "routers")),
                Section::Transport => edits.push(after(*section, "transports")),
                Section::Retry => edits.push(after(*section, "retry")),
            }
        }
        if self.layout == Layout::Plain {
            // Without that section every failure is for good. The end of the block that follows is its end.
            script.push_str(&format!(
                "grep -Eq '^[[:space:]]*begin[[:space:]]+retry[[:space:]]*$' \"$staged/bare\" ||\n\
                 \x20 printf '%s\\n' '{BEGIN}: a section of its own' 'begin retry' >> \"$staged/bare\"\n"
            ));
        }
        script.push_str(&format!(
            "sed {} \"$staged/bare\" | cat {} - > \"$staged/new\"\n",
            edits.join(" \\\n  "),
            self.block(Section::Main),
        ));
        script
    }

    /// Running daemons read the configuration again; each connection and each delivery does so anyway.
    fn reload(&self) -> String {
        format!(
            "pid=$({} -bP pid_file_path | sed 's/.*= *//')\n\
             if [ -s \"$pid\" ]; then kill -HUP \"$(cat \"$pid\")\" || true; fi\n",
            self.config.exim
        )
    }
}
