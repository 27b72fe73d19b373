//! The stand-in as a program of its own: the test's executable, called again with other arguments.

use super::{Qmail, local, send, smtpd, write_program};
use std::{fs, net::TcpListener, path::Path, process::ExitCode, sync::Arc, thread};

/// What tells such a call from one by cargo.
pub const FIRST_ARGUMENT: &str = "qmail-stand-in";

/// Where `tcprules` of the stand-in stands, which copies the text.
const TCPRULES: &str = "/usr/local/bin/tcprules";

/// Carries out `install HOME`, `serve HOME ADDRESS` or `local` (`qmail-local -n …`); the arguments are those after
/// [`FIRST_ARGUMENT`]. A server runs until it is killed.
///
/// # Panics
/// The arguments are others; files cannot be written; the port is taken.
pub fn program(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["install", home] => {
            install(Path::new(home));
            ExitCode::SUCCESS
        }
        ["serve", home, address] => serve(Path::new(home), address),
        ["local", "-n", user, home, _, dash, ext, ..] => {
            let (name, home) = (user.to_owned(), home.into());
            let (dash, ext) = (dash.to_owned(), ext.to_owned());
            let user = local::User { name, uid: local::NOBODY, gid: local::NOBODY, home, dash, ext };
            let (status, output, errors) = local::explain(&user);
            print!("{output}");
            eprint!("{errors}");
            ExitCode::from(u8::try_from(status).unwrap_or(1))
        }
        _ => panic!("{FIRST_ARGUMENT}: {arguments:?}"),
    }
}

fn install(home: &Path) {
    Qmail::install(home);
    fs::create_dir_all(home.join("queue")).expect("a directory");
    let this = std::env::current_exe().expect("this program");
    let local = format!("#!/bin/sh\nexec '{}' {FIRST_ARGUMENT} local \"$@\"\n", this.display());
    write_program(&home.join("bin/qmail-local"), &local);
    // tcprules CDB TEMPORARY <RULES
    write_program(Path::new(TCPRULES), "#!/bin/sh\nset -e\ncat >\"$2\"\nmv \"$2\" \"$1\"\n");
}

fn serve(home: &Path, address: &str) -> ExitCode {
    let qmail = Arc::new(Qmail::open(home));
    let listener = TcpListener::bind(address).expect("the port");
    let sender = Arc::clone(&qmail);
    thread::spawn(move || send::run(&sender));
    for client in listener.incoming().map_while(Result::ok) {
        let qmail = Arc::clone(&qmail);
        thread::spawn(move || {
            // A client that hangs up has got no reply to its message, or does not want one.
            let _ = smtpd::session(&qmail, client);
        });
    }
    ExitCode::FAILURE
}
