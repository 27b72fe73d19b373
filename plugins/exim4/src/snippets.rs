//! The steps of hooking Exim up: the blocks as files, the rights to read the tables, and the script that
//! tries the new configuration before it takes the place of the old one.

use crate::{
    configuration::{self, Section},
    facts,
    layout::Place,
    settings::{plain_path, Config, Layout},
    tables,
};
use postrider_plugin_api::sdk::{Context, Result, Snippet};

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let blocks = configuration::blocks(config, context)?;
    let place = Place::of(config, context.site, context.facts)?;
    let layout = facts::layout(config, context.facts);
    let sections: Vec<Section> = blocks.iter().map(|(section, _)| *section).collect();

    let mut snippets = vec![tables_are_there(config, context)?, directory(&place), rights(config, &place, context)?];
    for (section, text) in blocks {
        snippets.push(Snippet::file(place.block(section), text, section.purpose()));
    }
    snippets.push(
        Snippet::commands(place.install(&sections), explanation(layout, &place)).with_undo(place.undo(&sections)),
    );
    Ok(snippets)
}

fn commands(text: String, explanation: &str, undo: String) -> Snippet {
    Snippet::commands(text, explanation).with_undo(undo)
}

/// The steps may be carried out long after they were asked for, or on another host.
fn tables_are_there(config: &Config, context: Context<'_>) -> Result<Snippet> {
    let table_dir = plain_path(context.site.table_dir.trim_end_matches('/'))?;
    let paths: Vec<String> = tables::read(config).iter().map(|table| format!("{table_dir}/{table}")).collect();
    Ok(commands(
        format!(
            "for table in {}; do\n\
             \x20 test -e \"$table\" || {{\n\
             \x20   echo \"$table is not there: write the tables first, with: postrider aliases\" >&2\n\
             \x20   exit 1\n\x20 }}\ndone\n",
            paths.join(" ")
        ),
        "Without its tables Exim cannot tell lists from other addresses, and would put off all mail (451).",
        String::new(),
    ))
}

fn directory(place: &Place<'_>) -> Snippet {
    let directory = place.blocks();
    commands(
        format!("mkdir -p {directory}\n"),
        "A directory for what follows. Exim does not read it: the last step takes the files from here.",
        format!("rmdir --ignore-fail-on-non-empty {directory}\n"),
    )
}

/// Exim looks into the tables as a user of its own, and needs nothing but the way there.
fn rights(config: &Config, place: &Place<'_>, context: Context<'_>) -> Result<Snippet> {
    let table_dir = plain_path(context.site.table_dir.trim_end_matches('/'))?;
    let ends = table_dir.char_indices().filter(|(at, c)| *c == '/' && *at > 0).map(|(at, _)| at);
    let way: Vec<&str> = ends.chain([table_dir.len()]).map(|end| &table_dir[..end]).collect();
    let opened = format!("{}/opened", place.blocks());
    Ok(commands(
        format!(
            "user=$({exim} -bP exim_user | sed 's/.*= *//')\n\
             for directory in {way}; do\n\
             \x20 setpriv --reuid \"$user\" --regid \"$(id -g \"$user\")\" --init-groups test -x \"$directory\" || {{\n\
             \x20   changed=$(chmod -c o+x \"$directory\")\n\
             \x20   test -z \"$changed\" || echo \"$directory\" >> {opened}\n\
             \x20 }}\n\
             done\n",
            exim = config.exim,
            way = way.join(" "),
        ),
        "Exim's user must be able to reach the tables. Where it cannot pass a directory on the way, everybody may pass \
         it after this, but not list it; the databases there have mode 600. Which directories were changed is noted for \
         the undo.",
        format!(
            "if [ -e {opened} ]; then\n\
             \x20 while read -r directory; do\n\
             \x20   test ! -d \"$directory\" || chmod o-x \"$directory\"\n\
             \x20 done < {opened}\n\
             \x20 rm -f {opened}\n\
             fi\n"
        ),
    ))
}

fn explanation(layout: Layout, place: &Place<'_>) -> String {
    let what = match layout {
        Layout::Split => {
            "Copies the files to conf.d and runs update-exim4.conf, first in a copy of the whole configuration"
        }
        Layout::Single => {
            "Puts the files into exim4.conf.template, each at the begin of its section, and runs update-exim4.conf, first \
             in a copy of the whole configuration"
        }
        Layout::Plain => {
            "Puts the files into Exim's configuration, each at the begin of its section, and renames the list of local \
             domains there so that it becomes a part of a new one, first in a copy"
        }
    };
    format!(
        "{what}. Exim reads that copy (-bV); if it finds an error it says which, and everything stays as it is. A running \
         Exim is then told to read its configuration again. What is in {} can be changed and installed again by the same \
         commands.",
        place.blocks()
    )
}

#[cfg(test)]
mod tests;
