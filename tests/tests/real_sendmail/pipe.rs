//! `sendmail.Pipe`, through the host.

use crate::site::{CARLA, LIMIT, Site, machine};

#[test]
fn posts_go_out_through_the_program_with_the_sender_of_each_member() {
    let Some(machine) = machine("posts_go_out_through_the_program_with_the_sender_of_each_member") else { return };
    let site = Site::installed(&machine, "incoming: sendmail.LMTP\noutgoing: sendmail.Pipe\n");
    site.run(&["create", "ants@lists.example.com"]);
    site.hook_up();
    site.add_members("ants@lists.example.com", &format!("{CARLA}\nanna@mta.example.com\n-bs@remote.example\n"));
    let mut daemon = site.serve();
    let message = format!(
        "From: {CARLA}\nTo: ants@lists.example.com\nSubject: by the program\nMessage-ID: <x@remote.example>\n\n.\n.a line with a dot\n"
    );
    site.post(CARLA, "ants@lists.example.com", &message);
    site.wait_for_mailbox("anna", "Return-Path: <ants-bounces+anna=mta.example.com@lists.example.com>");
    let caught = site.world.wait_for(CARLA, LIMIT);
    assert_eq!(caught.sender, "ants-bounces+carla=remote.example@lists.example.com");
    assert!(caught.text().contains("\r\n.\r\n.a line with a dot\r\n"), "{}", caught.text());
    site.world.wait_for("-bs@remote.example", LIMIT);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}
