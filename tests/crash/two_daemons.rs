//! A second daemon on the same data is refused while the first is at work, also by another way to the directory.

use super::random;
use super::siege::Siege;
use postrider_tests::installation::{Installation, free_port};

const REFUSED: &str = "another postrider daemon serves this data directory; stop it first";

#[test]
fn a_second_daemon_is_refused_under_load_and_the_first_goes_on_unharmed() {
    let siege = Siege {
        title: "a second daemon under load",
        seed: random::seed(),
        kills: 0,
        faulty: false,
        slow: None,
        backlog: 1500,
    };
    siege.lay_while(|installation, _, _| {
        let daemon = installation.serve();
        let linked = by_a_link(installation);
        let pid = daemon.pid();
        for _ in 0..4 {
            let error = installation.fails_to_serve(&[]);
            assert!(error.contains(REFUSED), "{error}");
            let error = installation.fails_to_serve(&["-C", &linked]);
            assert!(error.contains(REFUSED), "{error}");
        }
        assert!(installation.run(&["status"]).contains(&pid.to_string()), "the first one answers");
        daemon.stop();
        Vec::new()
    });
}

/// A configuration of the same site with other sockets and ports, whose directories are reached by a symbolic link.
fn by_a_link(installation: &Installation) -> String {
    let link = installation.path().join("link");
    std::os::unix::fs::symlink(installation.path().join("var"), &link).expect("link");
    let config = std::fs::read_to_string(installation.config()).expect("configuration");
    let config = config
        .replace(&installation.path().join("var").display().to_string(), &link.display().to_string())
        .replace("lock_dir:", &format!("socket: {}/other.sock\nlock_dir:", installation.path().display()))
        .replace(&format!("lmtp_port: {}", installation.lmtp_port), &format!("lmtp_port: {}", free_port()));
    installation.write("linked.cfg", &config);
    installation.path().join("linked.cfg").display().to_string()
}
