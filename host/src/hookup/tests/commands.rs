//! Compilers, checks and what makes the MTA see its tables.

use super::{EVERY_FORMAT, Lab, Options, apply, mode, required};
use crate::hookup::lock::Lock;
use crate::hookup::report::TableOutcome;
use crate::hookup::testing::{Activation, compiled, in_place, roster};
use crate::plugins::Watch;
use postrider_plugin_api::sdk::{Need, Privilege, TableFormat};
use std::time::Duration;

#[test]
fn a_failing_compiler_leaves_every_byte_as_it_was() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        apply(&lab, &["ants@example.com"]).expect("applied");
        let before = lab.all_files();
        lab.fail("always");
        let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
        assert_eq!(lab.all_files(), before);
        let file = lab.tables().join("routing");
        assert!(error.starts_with(&format!("compiling {} with", file.display())), "{error}");
        assert!(error.contains("exit status 1") && error.contains("No space left on device"), "{error}");
        assert!(error.contains("the published tables were not touched"), "{error}");
        lab.heal();
        apply(&lab, &["bees@other.example"]).expect("healed");
        assert_eq!(lab.keys("routing"), ["other.example"]);
    }
}

#[test]
fn a_compiler_that_makes_nothing_hangs_or_is_missing_is_told() {
    let lab = Lab::new(compiled());
    lab.fail("silent");
    let error = apply(&lab, &["ants@example.com"]).expect_err("fails").to_string();
    assert!(error.contains("exit status 0, but it made no"), "{error}");
    lab.fail("slow");
    let error = apply(&lab, &["ants@example.com"]).expect_err("fails").to_string();
    assert!(error.contains("not ready after 3 seconds, killed"), "{error}");
    lab.set(|setup| setup.compiler = "/nonexistent/postmap".into());
    let error = apply(&lab, &["ants@example.com"]).expect_err("fails").to_string();
    assert!(error.contains("cannot be started") && error.contains("install it"), "{error}");
    assert!(lab.all_files().is_empty());
}

#[test]
fn a_compiler_that_fails_only_in_place_brings_text_and_compiled_file_back() {
    let lab = Lab::new(in_place());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let before = lab.all_files();
    lab.fail("in-place"); // once
    let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
    assert!(error.contains("fatal: in place") && error.contains("previous tables are back in place"), "{error}");
    assert_eq!(lab.all_files(), before);
}

#[test]
fn a_compiler_may_read_the_table_from_its_input() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        lab.set(|setup| setup.stdin = true);
        apply(&lab, &["ants@example.com"]).expect("applied");
        assert_eq!(lab.keys("accepted").len(), 9);
    }
}

#[test]
fn a_compiled_file_can_be_read_whatever_the_compiler_thinks() {
    for format in [compiled(), in_place()] {
        let lab = Lab::new(format);
        lab.fail("private");
        apply(&lab, &["ants@example.com"]).expect("applied");
        assert_eq!(mode(&lab.tables().join("accepted.cmp")), 0o644);
        apply(&lab, &["bees@example.com"]).expect("applied");
        assert_eq!(mode(&lab.tables().join("accepted.cmp")), 0o644);
    }
}

#[test]
fn a_check_sees_the_staged_file_and_can_refuse_it() {
    let lab = Lab::new(TableFormat::Text);
    apply(&lab, &["ants@example.com"]).expect("applied");
    let before = lab.all_files();
    let argv = lab.script("! grep -n 'bees@' \"$1\" >&2");
    lab.set(|setup| setup.check = Some(argv));
    let error = apply(&lab, &["bees@example.com"]).expect_err("refused").to_string();
    assert!(error.starts_with("checking ") && error.contains("bees@example.com"), "{error}");
    assert_eq!(lab.all_files(), before);
    apply(&lab, &["cats@example.com"]).expect("passes");
}

#[test]
fn a_failing_activation_brings_the_previous_files_back_and_activates_again() {
    for format in EVERY_FORMAT() {
        let lab = Lab::new(format.clone());
        apply(&lab, &["ants@example.com"]).expect("applied");
        let (before, keys) = (lab.all_files(), (lab.keys("routing"), lab.keys("accepted")));
        let argv = lab.script(&format!(
            "[ -e {0}/once ] || {{ touch {0}/once; echo bad >&2; exit 75; }}",
            lab.dir.path().display()
        ));
        lab.set(|setup| setup.activate = Some(required(argv, &["accepted"])));
        let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
        assert!(error.contains("exit status 75, \"bad\""), "{error}");
        assert!(error.ends_with("the previous tables are back in place"), "{error}");
        assert_eq!(lab.activations(), 2, "it failed, and the old state was activated");
        assert_eq!((lab.keys("routing"), lab.keys("accepted")), keys);
        if format != TableFormat::Sqlite {
            assert_eq!(lab.all_files(), before, "{format:?}");
        }
        apply(&lab, &["bees@other.example"]).expect("the second time it works");
    }
}

#[test]
fn an_activation_that_fails_twice_is_told_twice_and_the_next_run_does_everything() {
    let lab = Lab::new(compiled());
    apply(&lab, &["ants@example.com"]).expect("applied");
    let argv = lab.script("exit 1");
    lab.set(|setup| setup.activate = Some(required(argv, &["routing"])));
    let error = apply(&lab, &["bees@other.example"]).expect_err("fails").to_string();
    assert!(error.contains("back in place, but this failed too"), "{error}");
    assert_eq!(lab.keys("routing"), ["example.com"]);
    let argv = lab.script("");
    lab.set(|setup| setup.activate = Some(required(argv, &["routing"])));
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert!(report.recovered && report.ran.len() == 1, "{report}");
}

#[test]
fn an_advised_activation_that_fails_is_only_told() {
    let lab = Lab::new(TableFormat::Text);
    let argv = lab.script("exit 1");
    lab.set(|setup| setup.activate = Some(Activation { need: Need::Advised, ..required(argv, &["routing"]) }));
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.by_hand.len(), 1);
    assert!(report.to_string().contains("you may run") && report.to_string().contains("exit status 1"), "{report}");
    assert_eq!(lab.keys("accepted").len(), 9);
}

#[test]
fn without_the_superuser_the_later_tables_wait_for_the_administrator() {
    let lab = Lab::new(compiled());
    let argv = lab.script("");
    lab.set(|setup| setup.activate = Some(Activation { privilege: Privilege::Root, ..required(argv, &["routing"]) }));
    let report = apply(&lab, &["ants@example.com"]).expect("waits");
    let waiting = report.waiting.as_ref().expect("waiting").to_string();
    assert!(waiting.contains("activate") && waiting.ends_with("then `postrider aliases --activated`"), "{waiting}");
    assert_eq!(report.tables[0].outcome, TableOutcome::Held);
    assert_eq!((lab.keys("routing"), lab.keys("accepted")), (vec!["example.com".to_owned()], vec![]));

    // Nobody has run it: the next one waits too.
    let report = apply(&lab, &["ants@example.com"]).expect("waits");
    assert!(report.waiting.is_some() && lab.keys("accepted").is_empty());

    // Another domain comes: what was activated is not what is published now.
    let activated = Options { activated: true, ..Options::default() };
    let two = roster(&["ants@example.com", "bees@other.example"]);
    let report = lab.hookup.apply(&two, activated).expect("waits");
    assert!(report.waiting.is_some() && lab.keys("accepted").is_empty());

    let report = lab.hookup.apply(&two, activated).expect("goes on");
    assert_eq!(report.waiting, None);
    assert_eq!(lab.keys("accepted").len(), 18);
    assert_eq!(lab.activations(), 0);
    assert!(!apply(&lab, &["ants@example.com", "bees@other.example"]).expect("applied").changed());
}

#[test]
fn a_preview_says_for_what_an_earlier_run_waits() {
    let lab = Lab::new(TableFormat::Text);
    let argv = lab.script("");
    lab.set(|setup| {
        setup.activate = Some(Activation { privilege: Privilege::Root, ..required(argv, &["routing"]) });
    });
    assert!(apply(&lab, &["ants@example.com"]).expect("waits").waiting.is_some());
    let preview = lab.hookup.preview(&roster(&["ants@example.com"])).expect("preview");
    assert!(!preview.unfinished);
    let waiting = preview.waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(waiting.contains("/activate") && waiting.contains("postrider aliases --activated"), "{waiting}");
}

#[test]
fn a_command_for_the_last_table_is_advice_and_nothing_waits() {
    let lab = Lab::new(TableFormat::Text);
    let argv = vec!["/nonexistent/postfix".to_owned(), "reload".to_owned()];
    lab.set(|setup| setup.activate = Some(required(argv, &["routing", "accepted"])));
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert_eq!(report.waiting, None);
    let advice = report.by_hand[0].to_string();
    let expected = "run `/nonexistent/postfix reload` so that the test sees it; it was not run because there is no /nonexistent/postfix here";
    assert_eq!(advice, expected);
}

#[test]
fn an_mta_that_notices_by_itself_is_given_the_time() {
    let lab = Lab::new(TableFormat::Text);
    let argv = lab.script("");
    let settle = Some(Duration::from_millis(30));
    lab.set(|setup| {
        setup.activate = Some(Activation { privilege: Privilege::Root, settle, ..required(argv, &["routing"]) });
    });
    let report = apply(&lab, &["ants@example.com"]).expect("applied");
    assert!(report.waiting.is_none() && !report.settled.is_zero(), "{report}");
    assert_eq!(lab.keys("accepted").len(), 9);
    let report = apply(&lab, &["ants@example.com", "bees@example.com"]).expect("applied");
    assert!(report.settled.is_zero() && report.by_hand.is_empty(), "routing did not change: {report}");
}

#[test]
fn an_adapter_that_hangs_is_left_behind_and_not_asked_again() {
    let lab = Lab::new(TableFormat::Text);
    let watch = Watch::over("the incoming adapter hangs.Test", Duration::from_millis(50));
    let hookup = lab.with_tables_in(&lab.tables()).with_watch(watch);
    let plan = || hookup.apply(&roster(&["ants@example.com"]), Options::default());
    lab.set(|setup| setup.hangs = true);
    let error = plan().expect_err("overdue").to_string();
    assert!(error.contains("the incoming adapter hangs.Test did not return from plan()"), "{error}");
    lab.set(|setup| setup.hangs = false);
    let error = plan().expect_err("refused").to_string();
    assert!(error.contains("hangs.Test is not asked, because it has not returned from plan()"), "{error}");
    Lock::wait(&lab.dir.path().join("locks"), Duration::ZERO).expect("it does not keep the lock");
}
