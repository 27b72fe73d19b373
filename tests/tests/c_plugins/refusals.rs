//! Plugins in C that are refused, each in one line.

use super::lent::named;
use postrider::plugins::PluginRegistry;
use postrider_tests::c;
use postrider_tests::fixtures::PluginDir;

/// What the registry says of `tests/c/bad.c`, built with this wrong; the file's path shown as `FILE`.
fn refusal(flags: &[&str]) -> String {
    let dir = PluginDir::new();
    let file = dir.install_bytes("bad", &c::build("tests/c/bad.c", &c::include_dir(), flags));
    let registry = PluginRegistry::new(vec![dir.path().to_owned()]);
    let error = registry.incoming_settings(&named("bad", "LMTP")).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.replace(file.to_str().unwrap(), "FILE")
}

#[test]
fn the_plugin_that_is_built_without_a_wrong_is_fine() {
    let dir = PluginDir::new();
    dir.install_bytes("bad", &c::build("tests/c/bad.c", &c::include_dir(), &[]));
    let registry = PluginRegistry::new(vec![dir.path().to_owned()]);
    assert_eq!(registry.incoming_settings(&named("bad", "LMTP")), Ok(Vec::new()));
    let info = registry.list().remove(0).usable.unwrap();
    assert_eq!((info.api_version.as_str(), info.built_with.as_str()), ("C 1.0", "an unknown compiler"));
    // One name for both kinds is no clash.
    let names: Vec<&str> = info.adapters.iter().map(|adapter| adapter.name.as_str()).collect();
    assert_eq!(names, ["LMTP", "Second", "LMTP"]);
}

#[test]
fn other_versions_are_refused() {
    let other = |found: &str| {
        format!(
            "FILE: is built against plugin interface {found}, this host speaks C 1.0; get the plugin's version for this postrider"
        )
    };
    assert_eq!(refusal(&["-DINTERFACE=0x20003"]), other("C 2.3"));
    assert_eq!(refusal(&["-DINTERFACE=0"]), other("C 0.0"));
    assert_eq!(refusal(&["-DSYMBOL=postrider_plugin_v2"]), other("C 2.0"));
    assert_eq!(
        refusal(&["-DRESULT=NULL"]),
        "FILE: failed to start: postrider_plugin_v1 returned NULL, so it does not want to work with this host; ask its author"
    );
    assert_eq!(
        refusal(&["-DSYMBOL=something_else"]),
        "FILE: is a shared library but exports no plugin; build it with export_plugin! of postrider-plugin-api 1.0.0, \
         or in C with postrider_plugin_v1() of postrider_plugin.h"
    );
}

#[test]
fn wrong_descriptions_are_refused() {
    let long = format!("-DDESCRIPTION=\"{}\"", "x".repeat(1001));
    let wrongs = [
        ("-DSIZE=8", "postrider_plugin has the size 8, expected 56 as sizeof gives it"),
        ("-DSIZE=0", "postrider_plugin has the size 0, expected 56 as sizeof gives it"),
        ("-DSIZE=51", "postrider_plugin has the size 51, expected 56 as sizeof gives it"),
        ("-DNAME=NULL", "the plugin's name is NULL"),
        ("-DNAME=\"b\\xe4\" \"d\"", "the plugin's name is not UTF-8 (octet 2)"),
        ("-DNAME=\"Bad\"", "the plugin's name is \"Bad\"; such a name has only a-z, 0-9 and _"),
        ("-DNAME=\"\"", "the plugin's name is \"\"; such a name has only a-z, 0-9 and _"),
        ("-DVERSION=NULL", "the plugin's version is NULL"),
        ("-DVERSION=\"1\\n2\"", "the plugin's version is not one line of at most 1000 octets"),
        ("-DADAPTER_SIZE=40", "incoming adapter 0 has the size 40, expected 80 as sizeof gives it"),
        ("-DADAPTER=NULL", "the name of incoming adapter 0 is NULL"),
        ("-DADAPTER=\"a.b\"", "the name of incoming adapter 0 is \"a.b\"; such a name has only letters, digits and _"),
        ("-DADAPTER=\"\"", "the name of incoming adapter 0 is \"\"; such a name has only letters, digits and _"),
        ("-DSECOND=\"LMTP\"", "there are two incoming adapters LMTP"),
        ("-DSECOND=\"\\xff\"", "the name of incoming adapter 1 is not UTF-8 (octet 1)"),
        ("-DDESCRIPTION=NULL", "the description of incoming adapter LMTP is NULL"),
        (&long, "the description of incoming adapter LMTP is not one line of at most 1000 octets"),
        ("-DCREATE=NULL", "incoming adapter LMTP lacks the function create"),
        ("-DPLAN=NULL", "incoming adapter LMTP lacks the function plan"),
        ("-DINJECT=NULL", "outgoing adapter LMTP lacks the function inject and deliver"),
    ];
    for (flag, reason) in wrongs {
        assert_eq!(
            refusal(&[flag]),
            format!("FILE: {reason}; correct the plugin as postrider_plugin.h says"),
            "{flag}"
        );
    }
    assert_eq!(
        refusal(&["-DINCOMING=NULL", "-DOUTGOING=NULL"]),
        "FILE: the plugin offers no adapter; correct the plugin as postrider_plugin.h says"
    );
    assert_eq!(
        refusal(&["-DNAME=\"other\""]),
        "FILE: is the plugin \"other\", expected \"bad\"; rename the file to libpostrider_other.so"
    );
}
