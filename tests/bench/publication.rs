//! What a new list costs, by adapter and by the number of lists that are there already.

use crate::Bench;
use crate::compare::median;
use crate::peers::Peers;
use crate::sites::{self, timed};
use postrider_tests::installation::{Installation, build_dir};
use std::{fs, process::Stdio};

/// An adapter with a way to keep its tables.
pub struct Subject {
    /// For people.
    pub what: &'static str,
    plugin: &'static str,
    settings: String,
}

impl Subject {
    /// A plugin's `LMTP` with these settings.
    pub fn new(what: &'static str, plugin: &'static str, settings: impl Into<String>) -> Self {
        Subject { what, plugin, settings: settings.into() }
    }
}

/// `aliases`, one more `create`, and ten at once, in milliseconds. The programs of the mail servers that
/// compile tables are the real ones; no mail server runs that could be told to reload.
pub fn measure(bench: &mut Bench<'_>) {
    bench.report.table("Publication, ms", &["adapter, lists", "`aliases`", "one `create`", "ten `create` at once"]);
    let sizes: &[usize] = if bench.effort.quick { &[10, 1_000] } else { &[10, 100_000] };
    for &lists in sizes {
        let template = sites::site(lists, 0, "incoming: null.NullMTA\n");
        for subject in subjects(bench.peers) {
            let installation = installed(&subject, &template);
            let aliases = timed(|| drop(installation.run(&["aliases"])));
            let create = |name: String| timed(|| drop(installation.run(&["create", &name]))).as_secs_f64();
            let one = median((0..3).map(|number| create(format!("more{number}@lists.example.com"))).collect());
            let ten = timed(|| create_together(&installation, 10));
            bench.report.row(&[
                &format!("{}, {lists} lists", subject.what),
                &aliases.as_millis().to_string(),
                &format!("{:.0}", one * 1000.0),
                &ten.as_millis().to_string(),
            ]);
        }
    }
}

fn subjects(peers: &Peers) -> Vec<Subject> {
    let postfix = |what, kind: &str| {
        let postmap = peers.postmap();
        let settings = format!(
            "transport_file_type: {kind}\npostmap_command: {}\npostfix_command: /bin/true\n",
            postmap.display()
        );
        Subject::new(what, "postfix", settings)
    };
    let other = |what, plugin, settings: String| Subject::new(what, plugin, settings);
    vec![
        postfix("postfix.LMTP sqlite", "sqlite"),
        postfix("postfix.LMTP texthash", "texthash"),
        postfix("postfix.LMTP hash", "hash"),
        postfix("postfix.LMTP lmdb", "lmdb"),
        other("exim4.LMTP directory", "exim4", "recipients: directory\n".into()),
        other("exim4.LMTP file (lsearch)", "exim4", "recipients: file\n".into()),
        other("sendmail.LMTP", "sendmail", format!("makemap_command: {}\n", peers.makemap().display())),
        other("qmail.LMTP one file", "qmail", "recipients: default\ncontrol_command: /bin/true\n".into()),
        other("qmail.LMTP files per list", "qmail", "recipients: per-list\ncontrol_command: /bin/true\n".into()),
    ]
}

/// An installation with that adapter and the lists of another.
pub fn installed(subject: &Subject, template: &Installation) -> Installation {
    let plugin = subject.plugin;
    let installation = Installation::with_mta(&format!("incoming: {plugin}.LMTP\nconfiguration: $DIR/{plugin}.cfg\n"));
    installation.write(&format!("{plugin}.cfg"), &format!("[{plugin}]\n{}", subject.settings));
    let library = format!("libpostrider_{plugin}.so");
    installation.install_plugin(&build_dir().join(&library), &library);
    fs::create_dir_all(installation.data()).expect("data directory");
    fs::copy(template.data().join("postrider.db"), installation.data().join("postrider.db")).expect("database");
    installation
}

fn create_together(installation: &Installation, count: usize) {
    let start = |number: usize| {
        let name = format!("together{number}@lists.example.com");
        installation.command(&["create", &name]).stdout(Stdio::null()).spawn().expect("postrider")
    };
    let children: Vec<_> = (0..count).map(start).collect();
    for mut child in children {
        let status = child.wait().expect("postrider");
        assert!(status.success(), "create: {status}");
    }
}
