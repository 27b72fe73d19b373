//! Where plugins come from: nothing of a file runs before it is known who could have put it there.
//!
//! Each test installs a library whose constructor leaves a mark, and looks for the mark after `postrider` refused it.
#![allow(clippy::unwrap_used)] // tests

use postrider::plugins::{PluginRegistry, Trust};
use postrider_tests::installation::Installation;
use postrider_tests::require::skip;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// An installation with this library as its plugin `marker`.
struct Site {
    installation: Installation,
    marks: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        // Not below the installation, whose directories the tests spoil.
        let marks = tempfile::tempdir().unwrap();
        fs::set_permissions(marks.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let installation = Installation::with_mta("incoming: null.NullMTA\n");
        let site = Site { installation, marks };
        let library = site.build(&["-DSYMBOL=_1as_0lib_1header_0root_bmodule_bloader"]);
        fs::rename(library, site.plugin()).unwrap();
        site
    }

    fn mark(&self) -> PathBuf {
        self.marks.path().join("ran")
    }

    fn plugins(&self) -> PathBuf {
        self.installation.path().join("plugins")
    }

    fn plugin(&self) -> PathBuf {
        self.plugins().join("libpostrider_marker.so")
    }

    /// A library that makes the mark as soon as it is opened.
    fn build(&self, arguments: &[&str]) -> PathBuf {
        let (source, library) = (self.marks.path().join("marker.c"), self.marks.path().join("marker.so"));
        let text = "#include <fcntl.h>\n\
                    __attribute__((constructor)) static void run(void) { open(MARK, O_CREAT | O_WRONLY, 0666); }\n\
                    const char SYMBOL[256] = \"no header of a plugin\";\n";
        fs::write(&source, text).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        cc.arg(format!("-DMARK=\"{}\"", self.mark().display())).args(arguments);
        assert!(cc.status().unwrap().success());
        library
    }

    /// What `postrider plugins` says of it.
    fn told(&self) -> String {
        self.installation.run(&["plugins"])
    }

    fn refused_before_it_ran(&self, words: &str) {
        let told = self.told();
        assert!(told.contains("marker cannot be used") && told.contains(words), "{words}: {told}");
        assert!(!self.mark().exists(), "the constructor ran: {told}");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let root = rustix::process::geteuid().is_root();
        if !root {
            skip("only root can give files away");
        }
        root
    })
}

#[test]
fn a_file_in_order_is_opened_so_the_mark_is_a_sign() {
    // Everything below would pass if the constructor never ran at all.
    let site = Site::new();
    let told = site.told();
    assert!(told.contains("marker cannot be used"), "{told}");
    assert!(site.mark().exists(), "{told}");
}

#[test]
fn who_else_could_have_written_it_is_asked_before_anything_of_it_runs() {
    let site = Site::new();
    chmod(&site.plugin(), 0o664);
    site.refused_before_it_ran("it can be written by group or others (mode 0664)");
    chmod(&site.plugin(), 0o644);
    chmod(&site.plugins(), 0o777);
    site.refused_before_it_ran("on the way to it can be written by group or others (mode 0777)");
    chmod(&site.plugins(), 0o755);
    chmod(site.installation.path(), 0o770);
    site.refused_before_it_ran("on the way to it can be written by group or others (mode 0770)");
    chmod(site.installation.path(), 0o755);

    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("x.so");
    fs::rename(site.plugin(), &target).or_else(|_| fs::copy(site.plugin(), &target).map(drop)).unwrap();
    let _ = fs::remove_file(site.plugin());
    symlink(&target, site.plugin()).unwrap();
    chmod(elsewhere.path(), 0o777);
    site.refused_before_it_ran(&format!("{} on the way to it can be written", elsewhere.path().display()));
    assert!(!site.mark().exists());
}

#[test]
fn whose_it_is_is_asked_before_anything_of_it_runs() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    chown(site.plugin(), Some(65534), None).unwrap();
    site.refused_before_it_ran("it is owned by user id 65534, expected root; run `chown root");
    chown(site.plugin(), Some(0), None).unwrap();
    chown(site.plugins(), Some(65534), None).unwrap();
    site.refused_before_it_ran("on the way to it is owned by user id 65534, expected root");
}

#[test]
fn a_plugin_of_the_service_s_own_user_is_taken_only_with_a_configuration_of_its_own() {
    if !is_root() {
        return;
    }
    // The library that this user owns is refused by its header, so what is asked here is asked before that.
    let site = Site::new();
    let nobody = 65534;
    for place in [site.installation.path().to_owned(), site.plugins(), site.plugin()] {
        chown(place, Some(nobody), Some(nobody)).unwrap();
    }
    let as_nobody = |owner_of_configuration: u32| {
        chown(site.installation.config(), Some(owner_of_configuration), None).unwrap();
        chmod(&site.installation.config(), 0o644);
        let mut command = site.installation.command(&["plugins"]);
        std::os::unix::process::CommandExt::uid(&mut command, nobody);
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    let told = as_nobody(0);
    assert!(told.contains("is owned by user id 65534, expected root;"), "{told}");
    assert!(!site.mark().exists(), "{told}");
    let told = as_nobody(nobody);
    assert!(!told.contains("is owned by") && told.contains("marker cannot be used"), "{told}");
    assert!(site.mark().exists(), "{told}");
}

#[test]
fn what_is_no_plugin_is_refused_before_anything_of_it_runs() {
    let site = Site::new();
    fs::rename(site.build(&["-DSYMBOL=something_else"]), site.plugin()).unwrap();
    site.refused_before_it_ran("is a shared library but exports no plugin");
    fs::write(site.plugin(), fs::read(site.plugin()).unwrap().split_at(5000).0).unwrap();
    site.refused_before_it_ran("is cut short");
}

#[test]
fn what_it_needs_is_not_searched_where_others_can_put_it() {
    let site = Site::new();
    let symbol = "-DSYMBOL=_1as_0lib_1header_0root_bmodule_bloader";
    fs::rename(site.build(&[symbol, "-Wl,-rpath,lib"]), site.plugin()).unwrap();
    site.refused_before_it_ran("has libraries searched in lib, which is no absolute path");
    let open = site.marks.path().join("open");
    fs::create_dir(&open).unwrap();
    chmod(&open, 0o777);
    fs::rename(site.build(&[symbol, &format!("-Wl,-rpath,{}", open.display())]), site.plugin()).unwrap();
    site.refused_before_it_ran("can be written by group or others (mode 0777)");
}

#[test]
fn no_variable_of_the_environment_changes_where_plugins_come_from() {
    let site = Site::new();
    // The same name in other places that such variables usually mean.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(site.plugin(), elsewhere.path().join("libpostrider_marker.so")).unwrap();
    let mut command = site.installation.command(&["plugins"]);
    for name in ["LD_LIBRARY_PATH", "POSTRIDER_PLUGIN_PATH", "POSTRIDER_PLUGINS", "PLUGIN_PATH", "PATH", "HOME"] {
        command.env(name, elsewhere.path());
    }
    let output = command.current_dir(elsewhere.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !told.contains("marker"), "{told}");
    assert!(!site.mark().exists(), "{told}");
}

#[test]
fn a_relative_plugin_path_is_an_error_of_the_configuration() {
    let installation = Installation::with_mta("incoming: null.NullMTA\n");
    let text = fs::read_to_string(installation.config()).unwrap();
    let absolute = installation.path().join("plugins").display().to_string();
    installation.write("postrider.cfg", &text.replace(&absolute, "plugins"));
    let error = installation.fails(1, &["plugins"]);
    assert!(error.contains("path") && error.contains("absolute"), "{error}");
    let installation = Installation::with_mta("incoming: dylib:libx.so:LMTP\n");
    let error = installation.fails(1, &["plugins"]);
    assert!(error.contains("incoming") && error.contains('/'), "{error}");
}

#[test]
fn root_s_word_is_enough_and_nobody_else_s_when_only_root_is_trusted() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    let list = || PluginRegistry::new(vec![site.plugins()]).trusting(Trust::Root).list();
    assert!(!list()[0].usable.clone().unwrap_err().to_string().contains("owned"));
    chown(site.plugin(), Some(1234), None).unwrap();
    assert!(list()[0].usable.clone().unwrap_err().to_string().contains("owned by user id 1234, expected root;"));
}
