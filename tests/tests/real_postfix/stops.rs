//! Postrider is stopped and started while mail comes in.

use super::site::{ANTS, LIMIT, Site, machine, message};

pub fn what_comes_while_postrider_is_stopped_waits_in_postfix(table_type: &'static str) {
    let Some(machine) = machine("what_comes_while_postrider_is_stopped_waits_in_postfix", table_type) else { return };
    let site = Site::hooked_up(&machine, table_type);
    site.run(&["create", "bees@lists.example.com"]);
    site.wait_until_accepted("bees@lists.example.com");
    site.add_members(ANTS, "carla@remote.example\n");
    site.serve().stop();

    // One message to both lists; when Postrider comes back, one of them is gone.
    let mut session = site.stranger("carla@remote.example");
    for list in [ANTS, "bees@lists.example.com"] {
        session.rcpt(list).unwrap().expect(250);
    }
    session.data(&message("carla@remote.example", "patience")).unwrap().expect(250);
    let tried = site.postfix.wait_for_log("status=deferred", LIMIT);
    assert!(tried.contains("Connection refused"), "{tried}");
    assert!(site.postfix.queue().contains(ANTS));
    site.run(&["remove", "bees@lists.example.com"]);

    let daemon = site.serve();
    machine.run(&["postqueue", "-f"]);
    let messages = site.world.wait_for_count(2, LIMIT);
    let (post, notice): (Vec<_>, Vec<_>) = messages.iter().partition(|message| !message.sender.is_empty());
    assert_eq!(post[0].sender, "ants-bounces+carla=remote.example@lists.example.com");
    assert_eq!(notice[0].recipients, ["carla@remote.example"]);
    let text = notice[0].text();
    assert!(text.contains("<bees@lists.example.com>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1"), "{text}");
    assert!(!text.contains("<ants@lists.example.com>: "), "{text}");
    site.wait_for("Postfix's empty queue", || site.postfix.queue().contains("Mail queue is empty").then_some(()));
    site.wait_until_idle();
    assert_eq!(site.world.caught().len(), 2);
    daemon.stop();
}
