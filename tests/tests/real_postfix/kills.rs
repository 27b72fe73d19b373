//! The host is killed while it tells Postfix of a new list.

use super::site::{ANTS, Site, machine};
use super::traffic::{post, post_again_and_again};
use postrider_tests::set_on_drop::SetOnDrop;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// More steps than any publication has.
const TOO_MANY: u32 = 100;
/// Between posts to the list that is there all the time.
const PAUSE: Duration = Duration::from_millis(150);

pub fn killed_after_any_step_nothing_is_refused_and_the_next_run_finishes(table_type: &'static str) {
    let Some(machine) = machine("killed_after_any_step_nothing_is_refused_and_the_next_run_finishes", table_type)
    else {
        return;
    };
    let site = &Site::hooked_up(&machine, table_type);
    let (machine, stop) = (&machine, &AtomicBool::new(false));
    let mut accepted = Vec::new();
    thread::scope(|scope| {
        let _ends = SetOnDrop(stop);
        let writer = scope.spawn(move || post_again_and_again(machine, ANTS, PAUSE, stop));
        let mut daemon = Some(site.serve());
        let (mut step, mut killed, mut finished) = (0, 0, 0);
        // The daemon that has just started may do the work first, so that nobody is killed: only several in a
        // row mean that there are no more steps.
        while finished < 3 {
            step += 1;
            assert!(step < TOO_MANY);
            // New domains have the most steps.
            let list = format!("bees@n{step}.example");
            let aborted = create_killed_after(site, step, &list);
            // Whoever writes to it now is told to come again, or is taken at his word.
            let (subject, mut codes) = (format!("early {step}"), BTreeSet::new());
            for again in 0..3 {
                let code = post(machine, &list, &format!("{subject} {again}")).unwrap_or(0);
                if code == 250 {
                    accepted.push(format!("{subject} {again}"));
                }
                codes.insert(code);
            }
            assert!(codes.iter().all(|code| *code < 500), "{table_type}: killed after step {step}: {codes:?}");
            if step % 2 == 0 {
                site.run(&["aliases"]);
            } else {
                daemon.take().unwrap().stop();
                daemon = Some(site.serve());
            }
            site.wait_for(&format!("{list} after a kill at step {step}"), || {
                post(machine, &list, &format!("late {step}")).is_ok_and(|code| code == 250).then_some(())
            });
            accepted.push(format!("late {step}"));
            (killed, finished) = if aborted { (killed + 1, 0) } else { (killed, finished + 1) };
        }
        assert!(killed > 10, "{table_type}: only {killed} of {step} were killed");
        stop.store(true, Ordering::Relaxed);
        let attempts = writer.join().unwrap();
        let refused: Vec<_> = attempts.iter().filter(|attempt| attempt.code >= 500).collect();
        assert!(refused.is_empty(), "{table_type}: a list that was there all the time was refused: {refused:?}");
        accepted.extend(super::traffic::accepted(&attempts));

        machine.run(&["postqueue", "-f"]);
        site.assert_nothing_bounced();
        site.wait_until_held(&accepted);
        assert_eq!(site.json(&["status", "--json"])["mta_up_to_date"], true);
        daemon.take().unwrap().stop();
    });
}

/// Whether it was killed; if not, it must have succeeded.
fn create_killed_after(site: &Site<'_>, step: u32, list: &str) -> bool {
    let mut command = site.command(&["create", list]);
    let output = command.env("POSTRIDER_ABORT_AT_HOOKUP_STEP", step.to_string()).output().unwrap();
    let (text, error) = super::site::texts(&output);
    let aborted = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(6);
    assert!(aborted || output.status.success(), "{}: {text}\n{error}", output.status);
    aborted
}
