//! What a plugin in C does wrongly is an error that names adapter and function, also when it overlooks every status.

use super::lent::*;
use postrider_plugin_api::sdk::*;

/// The end of a plan of `every.All` with this setting `do`.
fn plan(adapter: &dyn IncomingAdapter) -> Result<()> {
    let (site, facts, roster) = (site(), Facts::new(), roster(1));
    adapter.plan(Context::new(&site, &facts, &roster), Change::Everything, &mut Trace::default())
}

#[test]
fn each_wrong_is_told_and_none_becomes_a_success() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let size = "expected 32 as sizeof gives it";
    let wrongs = [
        ("row NULL", "called row wrongly: row is NULL"),
        ("key NULL", "called row wrongly: row->key is NULL"),
        ("key not UTF-8", "called row wrongly: row->key is not UTF-8 (octet 4)"),
        ("key without end", "called row wrongly: row->key has more than 16777216 octets, or no NUL at its end"),
        ("size 0", &format!("called row wrongly: row has the size 0, {size}")),
        ("size too small", &format!("called row wrongly: row has the size 16, {size}")),
        ("column", "called row wrongly: row->column is 65536, expected at most 65535"),
        ("not aligned", "called row wrongly: row is not aligned"),
        ("format", "called table wrongly: table->format is 99, which this host does not know"),
        ("role", "called table wrongly: table->role is 0, which this host does not know"),
        ("extent", "called table wrongly: table->extent is 99, which this host does not know"),
        ("argv empty", "called command wrongly: command->argv is empty"),
        ("argv NULL", "called command wrongly: command->argv is empty"),
        (
            "argv without end",
            "called command wrongly: command->argv has more than 65536 entries, or no NULL at its end",
        ),
        ("phase", "called command wrongly: command->phase is 0, which this host does not know"),
        ("need", "called command wrongly: command->need is 99, which this host does not know"),
        ("contents NULL", "called file wrongly: contents is NULL, with the length 5"),
        ("visit NULL", "called for_each_list wrongly: visit is NULL"),
        ("another call's function", "called run wrongly: it is not for this call"),
        ("another call's answer", "called answer_ability wrongly: it is for abilities only"),
        ("another thread", "gave its call to another thread; a call belongs to the thread that was called"),
        ("fail silently", "failed with 2 and did not say why"),
        ("fail with a strange number", "failed with 4711 and did not say why"),
    ];
    for (task, expected) in wrongs {
        let error = plan(&*plugin.every(task, &TestLog::default())).expect_err(task);
        assert_eq!(error.to_string(), format!("every.All: plan {expected}"), "{task}");
        let kind = if task == "fail silently" { ErrorKind::Temporary } else { ErrorKind::Failed };
        assert_eq!(error.kind, kind, "{task}");
    }
    let error = plan(&*plugin.every("size is nonsense", &TestLog::default())).unwrap_err().to_string();
    assert!(
        error.starts_with("every.All: plan called row wrongly: row has the size ") && error.ends_with(size),
        "{error}"
    );
}

#[test]
fn what_the_plugin_says_and_what_the_host_says_reach_the_administrator() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let ends = |task: &str| plan(&*plugin.every(task, &TestLog::default()));
    let temporary = Error::new(ErrorKind::Temporary, "the plan failed").with_hint("wait");
    assert_eq!(ends("fail"), Err(temporary), "in one line");
    assert_eq!(ends("fail and forget"), Err(Error::failed("the plan failed")));
    assert_eq!(ends("row before table"), Err(Error::failed("a row before any table").with_hint("begin one")));
    assert_eq!(ends("stop a visit"), Ok(()));
}

#[test]
fn an_adapter_that_says_that_it_is_broken_is_made_anew() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let log = TestLog::default();
    let adapter = plugin.every("break", &log);
    for round in 1..3 {
        let error = plan(&*adapter).unwrap_err();
        assert_eq!(error, Error::new(ErrorKind::Panic, "all is lost"));
        let destroyed = log.lines().iter().filter(|line| *line == "Warn destroyed").count();
        assert_eq!(destroyed, round);
    }
}

#[test]
fn a_call_that_is_over_leads_nowhere() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let adapter = plugin.every("an old call", &TestLog::default());
    assert_eq!(plan(&*adapter), Ok(()));
    assert_eq!(plan(&*adapter), Ok(()), "the old one did nothing, and this one did nothing wrong");
}

#[test]
fn a_program_that_is_missing_must_be_forgiven() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let site = site();
    let adapter = plugin.every("overlook the missing program", &TestLog::default());
    assert_eq!(adapter.probe(&site, &Machine), Err(Error::failed("/bin/missing: not there")));
    assert!(plugin.every("", &TestLog::default()).probe(&site, &Machine).is_ok());
}

#[test]
fn create_can_refuse_and_what_it_overlooks_is_destroyed() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let make = |task: &str, log: &TestLog| {
        let settings: Settings = [("do", task)].into_iter().collect();
        plugin.registry.incoming(&named("every", "All"), Box::new(log.clone()), &settings).err().unwrap().to_string()
    };
    let log = TestLog::default();
    assert_eq!(make("refuse", &log), "adapter every.All: do is refuse; write something else");
    assert_eq!(log.lines(), [""; 0], "nothing was made, so nothing is destroyed");
    let error = make("create wrongly", &log);
    assert_eq!(error, "adapter every.All: every.All: create called row wrongly: row is NULL");
    assert_eq!(log.lines().last().unwrap(), "Warn destroyed");
}

#[test]
fn a_panic_of_the_host_stays_in_the_host_and_outranks_the_plugin() {
    struct Panics;
    impl Roster for Panics {
        fn for_each_domain(&self, _: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
            Ok(())
        }
        fn for_each_list(&self, _: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
            panic!("the roster broke")
        }
        fn list_count(&self) -> u64 {
            0
        }
        fn list_id(&self, _: &str, _: &str) -> Result<Option<String>> {
            Ok(None)
        }
        fn for_each_domain_routed_to(&self, _: &str, _: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
            Ok(())
        }
    }
    let plugin = installed("every", "tests/c/every.c", &[]);
    let (site, facts) = (site(), Facts::new());
    for task in ["", "stop a visit"] {
        let adapter = plugin.every(task, &TestLog::default());
        let context = Context::new(&site, &facts, &Panics);
        let error = adapter.plan(context, Change::Everything, &mut Trace::default()).unwrap_err();
        assert_eq!(error, Error::failed("the host's for_each_list panicked: the roster broke"), "{task}");
    }
}

#[test]
fn a_text_of_the_host_that_c_cannot_read_is_an_error() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let (mut site, roster) = (site(), roster(1));
    let adapter = plugin.every("", &TestLog::default());
    let facts = Facts::from([("file".into(), "a\0b".into())]);
    let error =
        adapter.plan(Context::new(&site, &facts, &roster), Change::Everything, &mut Trace::default()).unwrap_err();
    assert!(error.message.contains("has a NUL in it"), "{error}");
    site.user = "a\0b".into();
    assert!(adapter.probe(&site, &Machine).unwrap_err().message.contains("has a NUL in it"));
    let outgoing = plugin.every_outgoing();
    assert!(outgoing.inject(Envelope::new("", &["a\0@example.org"], 1)).is_err());
}

#[test]
fn wrong_injections_and_results_are_refused() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let adapter = plugin.every_outgoing();
    let inject = |sender: &str| adapter.inject(Envelope::new(sender, &["a@example.org"], 7)).unwrap_err().to_string();
    let wrongly = "every.All: inject called ";
    assert_eq!(inject("input-first"), format!("{wrongly}answer_input wrongly: answer_injection comes first"));
    assert_eq!(inject("twice"), format!("{wrongly}answer_injection wrongly: it was called before"));
    assert_eq!(inject("exit"), format!("{wrongly}answer_exit wrongly: exit codes 10 to 256 go beyond 255"));
    let variable = "answer_injection wrongly: injection->environment has \"=x\", expected NAME=VALUE";
    assert_eq!(inject("variable"), format!("{wrongly}{variable}"));
    assert_eq!(inject("nothing"), "every.All: inject succeeded without answer_injection");
    let error = adapter.deliver(Batch::new("too few", &["a@example.org"], b"")).unwrap_err();
    assert_eq!(error.to_string(), "every.All: deliver gave 0 results for 1 recipients");
}
