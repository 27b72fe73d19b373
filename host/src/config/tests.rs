//! The configuration as a whole: what loads, what is refused with which words.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn load(text: &str) -> Loaded {
    Config::from_text("postrider.cfg", text).unwrap_or_else(|errors| panic!("{errors}\nin\n{text}"))
}

fn errors(text: &str) -> Vec<String> {
    match Config::from_text("postrider.cfg", text) {
        Ok(_) => panic!("loads:\n{text}"),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

fn error(text: &str) -> String {
    let mut found = errors(text);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn named(plugin: &str, adapter: &str) -> AdapterName {
    AdapterName::Named { plugin: plugin.into(), adapter: adapter.into() }
}

#[test]
fn the_defaults_are_mailmans() {
    let Loaded { config, notices, origins } = Config::built_in();
    let mta = &config.mta;
    assert_eq!(mta.incoming, named("postfix", "LMTP"));
    assert_eq!(mta.outgoing, OutgoingName::Deliver);
    assert_eq!(mta.configuration, AdapterConfiguration::Defaults);
    assert_eq!((mta.lmtp_host.as_str(), mta.lmtp_port), ("127.0.0.1", 8024));
    assert_eq!(mta.lmtp_listen, []);
    assert_eq!((mta.smtp_host.as_str(), mta.smtp_port), ("localhost", 25));
    assert_eq!((mta.smtp_user.as_str(), mta.smtp_pass.0.as_str()), ("", ""));
    assert_eq!(mta.smtp_secure_mode, SecureMode::Smtp);
    assert_eq!((mta.smtp_protocol, mta.smtp_auth, &mta.smtp_pass_file), (SmtpProtocol::Smtp, SmtpAuth::Auto, &None));
    assert!(mta.smtp_chunking == Chunking::Auto && mta.smtp_xverp);
    assert!(mta.smtp_verify_cert && mta.smtp_verify_hostname);
    assert_eq!((mta.max_recipients, mta.max_sessions_per_connection, mta.max_delivery_threads), (10, 0, 0));
    assert_eq!(mta.delivery_retry_period, Duration::from_hours(5 * 24));
    assert_eq!(mta.verp.delimiter, "+");
    assert_eq!(mta.verp.format, "${bounces}+${local}=${domain}");
    assert_eq!(mta.verp.regexp, r"^(?P<bounces>[^+]+?)\+(?P<local>[^=]+)=(?P<domain>[^@]+)@.*$");
    assert_eq!(mta.verp.delivery_interval, 0);
    assert!(!mta.verp.personalized_deliveries && mta.verp.confirmations && !mta.verp.probes);
    assert_eq!(mta.verp.confirm_format, "$address+$cookie");
    assert_eq!(mta.verp.confirm_regexp, r"^(.*<)?(?P<addr>[^+]+?)\+(?P<cookie>[^@]+)@.*$");
    assert_eq!(mta.verp.probe_format, "$bounces+$token@$domain");
    assert_eq!(mta.verp.probe_regexp, r"^(?P<bounces>[^+]+?)\+(?P<token>[^@]+)@.*$");
    assert_eq!(config.site.noreply_address, "noreply");
    assert!(config.file.is_none() && notices.is_empty());
    assert!(origins.iter().all(|origin| origin.place.is_none()));
    assert_eq!(origins.len(), SETTINGS.len());
}

#[test]
fn what_is_not_mailmans_has_defaults_of_ours() {
    let config = Config::built_in().config;
    assert_eq!(config.paths.var_dir, PathBuf::from("/var/lib/postrider"));
    assert_eq!(config.paths.data_dir, PathBuf::from("/var/lib/postrider/data"));
    assert_eq!(config.paths.table_dir, config.paths.data_dir);
    assert_eq!(config.paths.log_dir, PathBuf::from("/var/log/postrider"));
    assert_eq!(config.paths.lock_dir, PathBuf::from("/var/lib/postrider/locks"));
    assert_eq!(config.paths.socket, PathBuf::from("/var/lib/postrider/postrider.sock"));
    assert_eq!(config.database, DatabaseUrl::Sqlite("/var/lib/postrider/data/postrider.db".into()));
    let plugins = ["/usr/lib/postrider/plugins", "/usr/local/lib/postrider/plugins"].map(PathBuf::from);
    assert_eq!(config.plugins.path, plugins);
    assert_eq!((config.logging.filter.as_str(), config.logging.target), ("info", LogTarget::Auto));
    assert_eq!(config.lmtp.max_message_size, 32 << 20);
    assert_eq!(config.lmtp.min_free_space, 100 << 20);
    assert_eq!(config.lmtp.timeout, Duration::from_mins(5));
    assert_eq!(config.lmtp.min_data_rate, 500);
}

#[test]
fn the_sections_of_mailmans_documentation_load_unchanged() {
    let host = "mail.example.com";
    let defaults = load(include_str!("../../tests/mailman/default.cfg")).config.mta;
    assert_eq!(defaults.incoming, named("postfix", "LMTP"));
    let hash = load(include_str!("../../tests/mailman/postfix-hash.cfg"));
    assert_eq!(hash.config.mta.incoming, named("postfix", "LMTP"));
    assert_eq!(hash.config.mta.outgoing, OutgoingName::Deliver);
    assert_eq!((hash.config.mta.lmtp_host.as_str(), hash.config.mta.smtp_host.as_str()), (host, host));
    let regexp = load(include_str!("../../tests/mailman/postfix-regexp.cfg"));
    assert_eq!(regexp.config.mta.configuration, AdapterConfiguration::File("/path/to/postfix-mailman.cfg".into()));
    let exim = load(include_str!("../../tests/mailman/exim4.cfg"));
    assert_eq!(exim.config.mta.incoming, named("exim4", "LMTP"));
    assert_eq!(exim.config.mta.lmtp_host, "localhost");
    assert_eq!(exim.config.mta.configuration, AdapterConfiguration::Defaults);
    let qmail = load(include_str!("../../tests/mailman/qmail.cfg"));
    assert_eq!(qmail.config.mta.incoming, AdapterName::Null);
    for loaded in [hash, regexp, exim, qmail] {
        assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
    }
}

#[test]
fn every_key_can_be_set_and_reaches_its_field() {
    let config = load(
        "[mta]\nincoming: dylib:/opt/acme/libacme.so:LMTP\noutgoing = qmail.Queue\nconfiguration: plugin:acme\n\
         lmtp_host: [::1]\nlmtp_port: 24\nlmtp_listen: 127.0.0.1:8024\n  unix:/run/p.sock:0600\n\
         smtp_host: relay.example.net\nsmtp_port: 587\nsmtp_user: u\nsmtp_pass: a;b#c\\\nsmtp_secure_mode: STARTTLS\n\
         smtp_protocol: LMTP\nsmtp_auth: XOAuth2\nsmtp_chunking: no\nsmtp_xverp: no\n\
         smtp_verify_cert: off\nsmtp_verify_hostname: 0\nmax_recipients: 500\nmax_sessions_per_connection: 30\n\
         max_delivery_threads: 4\ndelivery_retry_period: 1h30m\nverp_delimiter: =\n\
         verp_format: ${bounces}=${local}=at=${domain}\n\
         verp_regexp: ^(?P<bounces>[^=]+?)=(?P<local>.+)=at=(?P<domain>[^@]+)@.*$\nverp_delivery_interval: 3\n\
         verp_personalized_deliveries: yes\nverp_confirmations: no\nverp_confirm_format: $address=$cookie\n\
         verp_confirm_regexp: ^(?P<addr>[^=]+)=(?P<cookie>[^@]+)@\nverp_probes: true\n\
         verp_probe_format: $bounces=$token@$domain\nverp_probe_regexp: ^(?P<bounces>[^=]+)=(?P<token>[^@]+)@\n\
         [postrider]\nsite_owner: owner@example.com\nnoreply_address: no-reply@example.com\nlayout: mine\n\
         [paths.mine]\nvar_dir: /srv/p\ndata_dir: ${var_dir}/d\ntable_dir: /etc/tables\nlog_dir: $var_dir/l\n\
         lock_dir: $VAR_DIR/k\nsocket: /run/p/s\n[database]\nurl: sqlite:////srv/x.db\n\
         [logging]\nlevel: warn\ntarget: $log_dir/p.log\n[plugins]\npath: /a:/b\n\
         [lmtp]\nmax_message_size: 50M\nmax_connections: 7\ntimeout: 60s\nmax_recipients: 200\nmin_free_space: 0\n",
    )
    .config;
    let mta = &config.mta;
    assert_eq!(mta.incoming, AdapterName::File { file: "/opt/acme/libacme.so".into(), adapter: "LMTP".into() });
    assert_eq!(mta.outgoing, OutgoingName::Adapter(named("qmail", "Queue")));
    assert_eq!((mta.lmtp_host.as_str(), mta.lmtp_port), ("::1", 24));
    assert_eq!(
        mta.lmtp_listen,
        [ListenAddress::Tcp("127.0.0.1".into(), 8024), ListenAddress::Unix("/run/p.sock".into(), 0o600)]
    );
    assert_eq!((mta.smtp_host.as_str(), mta.smtp_port), ("relay.example.net", 587));
    assert_eq!((mta.smtp_user.as_str(), mta.smtp_pass.0.as_str()), ("u", "a;b#c\\"));
    assert_eq!(mta.smtp_secure_mode, SecureMode::Starttls);
    assert_eq!((mta.smtp_protocol, mta.smtp_auth), (SmtpProtocol::Lmtp, SmtpAuth::Xoauth2));
    assert!(mta.smtp_chunking == Chunking::No && !mta.smtp_xverp);
    assert!(!mta.smtp_verify_cert && !mta.smtp_verify_hostname);
    assert_eq!((mta.max_recipients, mta.max_sessions_per_connection, mta.max_delivery_threads), (500, 30, 4));
    assert_eq!(mta.delivery_retry_period, Duration::from_mins(90));
    assert_eq!((mta.verp.delimiter.as_str(), mta.verp.delivery_interval), ("=", 3));
    assert!(mta.verp.personalized_deliveries && !mta.verp.confirmations && mta.verp.probes);
    assert_eq!(config.site.site_owner, "owner@example.com");
    assert_eq!(config.paths.data_dir, PathBuf::from("/srv/p/d"));
    assert_eq!(config.paths.table_dir, PathBuf::from("/etc/tables"));
    assert_eq!(config.paths.lock_dir, PathBuf::from("/srv/p/k"));
    assert_eq!(config.paths.socket, PathBuf::from("/run/p/s"));
    assert_eq!(config.database, DatabaseUrl::Sqlite("/srv/x.db".into()));
    assert_eq!(config.logging.filter, "warn");
    assert_eq!(config.logging.target, LogTarget::File("/srv/p/l/p.log".into()));
    assert_eq!(config.plugins.path, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!((config.lmtp.max_message_size, config.lmtp.max_connections), (50 << 20, 7));
    assert_eq!((config.lmtp.max_recipients, config.lmtp.min_free_space), (200, 0));
}

#[test]
fn sections_of_mailmans_that_do_not_concern_us_are_accepted_with_a_notice() {
    let sections = [
        "shell",
        "runner.in",
        "archiver.hyperkitty",
        "webservice",
        "language.de",
        "digests",
        "dmarc",
        "nntp",
        "styles",
        "ARC",
        "antispam",
        "bounces",
        "logging.root",
        "passwords",
        "urlpatterns",
        "plugin.mine",
        "devmode",
    ];
    for section in sections {
        let loaded = load(&format!("[mta]\nsmtp_port: 2525\n[{section}]\nwhatever: 1\n"));
        let notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
        assert_eq!(
            notices,
            [format!("postrider.cfg:3: [{section}] is a section of Mailman's that Postrider does not use")]
        );
    }
    let loaded =
        load("[mailman]\ndefault_language: de\n[mta]\nremove_dkim_headers: yes\n[paths.fhs]\nqueue_dir: $var_dir/q\n");
    assert_eq!(loaded.notices.len(), 3, "{:?}", loaded.notices);
}

#[test]
fn an_unknown_key_names_file_line_key_and_the_nearest_known_key() {
    assert_eq!(
        error("[mta]\nincoming: postfix.LMTP\nsmpt_host: x\n"),
        "postrider.cfg:3: [mta] smpt_host: no such key; did you mean `smtp_host`?"
    );
    assert!(error("[lmtp]\nsite_owner: a@b.example\n").ends_with("it belongs into [postrider]"));
    assert!(error("[database]\nxyzzy: 1\n").ends_with("known are url"));
    assert!(error("[paths.here]\nvardir: /x\n").contains("did you mean `var_dir`?"));
}

#[test]
fn an_unknown_section_names_the_nearest() {
    assert_eq!(error("[mat]\nx: 1\n"), "postrider.cfg:1: [mat] is no known section; did you mean [mta]?");
    assert_eq!(error("[MTA]\nx: 1\n"), "postrider.cfg:1: [MTA] is no known section; did you mean [mta]?");
    assert_eq!(error("[postridder]\n"), "postrider.cfg:1: [postridder] is no known section; did you mean [postrider]?");
    assert_eq!(error("[xyzzyq]\n"), "postrider.cfg:1: [xyzzyq] is no known section");
    assert!(error("[paths]\n").contains("[paths.fhs]"));
}

#[test]
fn a_wrong_value_says_what_is_allowed() {
    for (line, words) in [
        ("smtp_port: 70000", "`70000` is not allowed; allowed is a number from 1 to 65535"),
        ("smtp_port:", "the value is empty; allowed is a number from 1 to 65535"),
        ("lmtp_port: 0", "a number from 1 to 65535"),
        ("smtp_secure_mode: tls", "smtp (no TLS), smtps (TLS from the start) or starttls"),
        ("smtp_verify_cert: maybe", "yes or no"),
        ("delivery_retry_period: 5 days", "for instance 5d, 15m or 1h30m"),
        ("max_recipients: many", "a whole number from 0"),
        ("max_delivery_threads: -1", "a whole number from 0"),
        ("incoming: postfix", "write PLUGIN.ADAPTER, for instance postfix.LMTP"),
        ("incoming: my.module.Class", "looks like a Python class"),
        ("outgoing: null.NullMTA", "cannot be used for outgoing mail"),
        ("configuration: postfix.cfg", "the absolute path of a file"),
        ("configuration: python:my.module", "Python module"),
        ("smtp_host: mail.example.com:25", "has a port"),
        ("lmtp_listen: 8024", "HOST:PORT"),
        ("verp_format: ${bounces}", "`${bounces}` must contain `${local}` exactly once"),
        ("verp_format: $bounces+$x=$domain", "`${x}` is unknown"),
        ("verp_regexp: ^(?P<bounces>.*)$", "lacks the group (?P<local>…)"),
        ("verp_regexp: (", "is no regular expression"),
        ("verp_confirm_format: $address", "`$cookie` exactly once"),
        ("verp_probe_regexp: x", "(?P<bounces>…)"),
        ("verp_delimiter: -", "can be part of a list's name"),
        ("verp_delivery_interval: 1.5", "a whole number"),
        ("smtp_user: u", "smtp_pass"),
    ] {
        let error = error(&format!("[mta]\n{line}\n"));
        let key = line.split(':').next().unwrap_or_default();
        assert!(error.starts_with(&format!("postrider.cfg:2: [mta] {key}: ")), "{error}");
        assert!(error.contains(words), "{error}");
    }
    for (text, words) in [
        ("[postrider]\nsite_owner: nobody\n", "an email address"),
        ("[postrider]\nnoreply_address: a b\n", "the part before the @"),
        ("[postrider]\nlayout: nope\n", "there is no layout `nope`; allowed is fhs, local, here, dev"),
        ("[database]\nurl: postgresql://h/d\n", "PostgreSQL is not supported yet; allowed is sqlite:////"),
        ("[database]\nurl: sqlite:///p.db\n", "not absolute"),
        ("[paths.fhs]\nvar_dir: $vardir\n", "`$vardir` is unknown (did you mean `$var_dir`?)"),
        ("[paths.fhs]\nlog_dir: logs\n", "`logs` is not absolute; allowed is an absolute path"),
        ("[plugins]\npath: plugins\n", "`plugins` is not absolute"),
        ("[logging]\nfilter: a=b=c=d\n", "is no filter"),
        ("[logging]\ntarget: syslog\n", "auto, stderr, journal"),
        ("[lmtp]\nmax_message_size: 10\n", "from 64K"),
        ("[lmtp]\ntimeout: 1s\n", "from 10s to 1h"),
        ("[lmtp]\nmax_recipients: 5\n", "from 100"),
    ] {
        assert!(errors(text)[0].contains(words), "{:?}", errors(text));
    }
}

#[test]
fn all_errors_are_shown_at_once_in_the_order_of_the_lines() {
    let found =
        errors("before: 1\n[mta]\nsmtp_port: 70000\nsmpt_host: x\nlmtp_port\n[nope]\n[lmtp]\ntimeout: x\n[mta]\n");
    let places: Vec<&str> = found.iter().map(|error| error.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(places, [1, 3, 4, 5, 6, 8, 9].map(|line| format!("postrider.cfg:{line}")), "{found:?}");
}

#[test]
fn an_indented_key_is_told_to_be_part_of_the_value_before_it() {
    let error = error("[mta]\nsmtp_host: a\n  smtp_port: 25\n");
    assert!(
        error.contains("the value goes on in line 3, because that line is indented deeper than the key"),
        "{error}"
    );
    assert_eq!(load("[mta]\n  smtp_host: a\n  smtp_port: 26\n").config.mta.smtp_port, 26);
}

#[test]
fn mailman_and_postrider_are_one_section() {
    assert_eq!(load("[mailman]\nsite_owner: a@b.example\n").config.site.site_owner, "a@b.example");
    let loaded = load("[mailman]\nsite_owner: a@b.example\n[postrider]\nnoreply_address: n\n");
    assert_eq!(loaded.config.site.noreply_address, "n");
    let error = error("[mailman]\nsite_owner: a@b.example\n[postrider]\nsite_owner: c@d.example\n");
    assert!(error.contains("lines 2 and 4"), "{error}");
    assert!(self::error("[logging]\nlevel: info\nfilter: warn\n").contains("lines 2 and 3"));
}

#[test]
fn layouts_are_mailmans_with_directories_of_ours() {
    let cwd = std::env::current_dir().expect("current directory");
    assert_eq!(load("[mailman]\nlayout: here\n").config.paths.var_dir, cwd.join("var"));
    let local = load("[mailman]\nlayout: local\n").config.paths;
    assert_eq!(local.log_dir, PathBuf::from("/var/local/postrider/logs"));
    assert!(error("[mailman]\nlayout: dev\n").contains("there is no configuration file"));
    let own = load("[mailman]\nlayout: own\n[paths.own]\nvar_dir: /srv/own\n[paths.here]\nvar_dir: /x\n");
    assert_eq!(own.config.paths.data_dir, PathBuf::from("/srv/own/data"));
    let notice = own.notices.iter().map(ToString::to_string).collect::<String>();
    assert!(notice.contains("[paths.here] is not used, because the layout is own"), "{notice}");
    let master = load("[paths.master]\nvar_dir: /srv/m\nlog_dir: /never\n").config.paths;
    assert_eq!((master.var_dir, master.log_dir), ("/srv/m".into(), "/var/log/postrider".into()));
    let mailmans = load("[paths.fhs]\netc_dir: /srv/etc\ntable_dir: $etc_dir/tables\n");
    assert_eq!(mailmans.config.paths.table_dir, PathBuf::from("/srv/etc/tables"));
}

#[test]
fn the_dev_layout_lies_beside_the_directory_of_the_file() {
    let root = tempfile::tempdir().expect("directory");
    let file = root.path().join("etc/postrider.cfg");
    std::fs::create_dir(root.path().join("etc")).expect("directory");
    std::fs::write(&file, "\u{feff}[postrider]\r\nlayout: dev\r\n").expect("write");
    let loaded = Config::load(Some(&file)).expect("loads");
    assert_eq!(loaded.config.paths.var_dir, root.path());
    assert_eq!(loaded.config.file.as_deref(), Some(file.as_path()));
}

#[test]
fn a_missing_adapter_file_is_a_notice_when_loading() {
    let root = tempfile::tempdir().expect("directory");
    let file = root.path().join("postrider.cfg");
    std::fs::write(&file, "[mta]\nconfiguration: /nonexistent/p.cfg\n").expect("write");
    let notices = Config::load(Some(&file)).expect("loads").notices;
    assert_eq!(notices.len(), 1);
    assert!(notices[0].message.contains("`/nonexistent/p.cfg` cannot be read"), "{notices:?}");
}

#[test]
fn a_file_that_is_not_utf_8_names_its_line() {
    let root = tempfile::tempdir().expect("directory");
    let file = root.path().join("postrider.cfg");
    std::fs::write(&file, b"[mta]\n# gr\xfc\xdfe\n").expect("write");
    let error = Config::load(Some(&file)).expect_err("Latin-1").to_string();
    assert!(error.contains("postrider.cfg:2: the line is not UTF-8"), "{error}");
}

#[test]
fn formats_expressions_and_delimiter_must_fit_together() {
    for (text, words) in [
        ("verp_delimiter: =\n", "verp_delimiter `=` does not take apart"),
        ("verp_format: ${bounces}+${domain}=${local}\n", "does not take apart what verp_format makes"),
        ("verp_confirm_format: $address+x$cookie\n", "what verp_confirm_format makes"),
        ("verp_probe_format: $bounces+$token+$domain\n", "what verp_probe_format makes"),
    ] {
        let found = errors(&format!("[mta]\n{text}"));
        assert!(found[0].starts_with("postrider.cfg:2: [mta] verp_") && found[0].contains(words), "{found:?}");
    }
}

#[test]
fn a_password_is_in_one_place_and_has_a_name() {
    let login = "smtp_user: u\n";
    for (text, words) in [
        ("smtp_user: u\n", "needs `smtp_pass` (or smtp_pass_file)"),
        ("smtp_pass: p\n", "needs `smtp_user` too"),
        ("smtp_pass_file: /etc/p\n", "needs `smtp_user` too"),
        ("smtp_auth: xoauth2\n", "needs `smtp_user` and `smtp_pass`"),
        ("smtp_user: u\nsmtp_pass: p\nsmtp_pass_file: /etc/p\n", "stands in `smtp_pass` too"),
    ] {
        assert!(error(&format!("[mta]\n{text}")).contains(words), "{text}");
    }
    assert_eq!(
        load(&format!("[mta]\n{login}smtp_pass_file: $var_dir/token\n")).config.mta.smtp_pass_file,
        Some("/var/lib/postrider/token".into())
    );
}

#[test]
fn a_unix_socket_takes_outgoing_mail_without_tls() {
    let text = "[mta]\nsmtp_host: /run/mta\n";
    assert_eq!(load(text).config.mta.smtp_host, "/run/mta");
    assert!(load(&format!("{text}smtp_user: u\nsmtp_pass: p\n")).notices.is_empty());
    for mode in ["smtps", "starttls"] {
        assert!(error(&format!("{text}smtp_secure_mode: {mode}\n")).contains("smtp_host is a Unix socket"));
    }
}

#[test]
fn a_password_in_the_clear_is_told() {
    let text = "[mta]\nsmtp_user: u\nsmtp_pass: p\nsmtp_host: mail.example.com\n";
    assert!(load(text).notices[0].message.contains("in the clear"));
    assert!(load(&format!("{text}smtp_secure_mode: smtps\n")).notices.is_empty());
}

#[test]
fn every_setting_is_fit_to_be_shown() {
    for setting in SETTINGS {
        assert!(setting.help.ends_with('.') && setting.help.len() > 8, "{}: help", setting.key);
        assert!(!setting.kind.allowed.is_empty() && !setting.kind.name.is_empty(), "{}: kind", setting.key);
        let same = SETTINGS.iter().filter(|other| (other.section, other.key) == (setting.section, setting.key));
        assert_eq!(same.count(), 1, "{} stands twice", setting.key);
    }
}

#[test]
fn the_defaults_of_a_plugin_that_is_not_used_are_a_notice() {
    let told =
        |mta: &str| -> Vec<String> { load(&format!("[mta]\n{mta}")).notices.iter().map(ToString::to_string).collect() };
    for good in [
        "incoming: exim4.LMTP\nconfiguration: plugin:exim4\n",
        "incoming: exim4.LMTP\nconfiguration: python:mailman.config.exim4\n",
        "incoming: exim4.LMTP\noutgoing: sendmail.Program\nconfiguration: plugin:sendmail\n",
        "incoming: null.NullMTA\nconfiguration: python:mailman.config.postfix\n",
        "incoming: dylib:/opt/libacme.so:LMTP\nconfiguration: plugin:acme\n",
    ] {
        assert_eq!(told(good), Vec::<String>::new(), "{good}");
    }
    for prefix in ["plugin:", "python:mailman.config."] {
        let told = told(&format!("incoming: exim4.LMTP\nconfiguration: {prefix}exim\n"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(":3: [mta] configuration: ") && told[0].contains("`exim`"), "{told:?}");
        assert!(told[0].ends_with(&format!("the defaults of exim4 ({prefix}exim4)")), "{told:?}");
    }
}
