//! Can the programs of an adapter do what they are for?
//!
//! Many MTAs take mail from programs that are set-user-id or set-group-id (`postdrop`, `qmail-queue`,
//! Exim). Where that has no effect they fail in the dark, or hang, with every message: better refused at
//! the start, with the reason.

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::process::{getegid, geteuid};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
/// Without it, the set-group-id bit means mandatory locking, see stat(2).
const GROUP_EXECUTE: u32 = 0o010;

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramProblem {
    /// It is not there, or cannot be run.
    #[error("{program} cannot be run: {why}")]
    Unusable {
        /// Its path.
        program: String,
        /// What is wrong.
        why: String,
    },
    /// Its set-id bits have no effect.
    #[error("{program} is {kind} and that has no effect here: {reason}; {cure}, or use `outgoing: deliver` (SMTP)")]
    Powerless {
        /// Its path.
        program: String,
        /// Which of the bits.
        kind: &'static str,
        /// Why.
        reason: String,
        /// What to do.
        cure: &'static str,
    },
}

/// Sees whether programs can be used: the first must be there, the others may be.
///
/// # Errors
/// The first problem.
pub fn check(programs: &[String]) -> Result<(), ProgramProblem> {
    let unrestricted = !rustix::thread::no_new_privs().unwrap_or(false);
    for (number, program) in programs.iter().enumerate() {
        match std::fs::metadata(program) {
            Ok(found) => {
                if number == 0 {
                    check_usable(program, &found)?;
                }
                check_powers(program, &found, unrestricted)?;
            }
            Err(error) if number == 0 => return Err(unusable(program, error.to_string())),
            // One that we may not see may still be run by the first.
            Err(_) => {}
        }
    }
    Ok(())
}

/// What to do under systemd, if one of the programs is set-user-id or set-group-id: whoever asks may have
/// powers that the service has not.
pub fn notice(programs: &[String]) -> Option<String> {
    let (program, kind) = programs.iter().find_map(|program| Some((program, set_id(&std::fs::metadata(program).ok()?, None, None)?)))?;
    Some(format!(
        "{program} is {kind}, which has no effect in the hardened service: under systemd, put postrider-injection.conf (in the documentation \
         directory) into /etc/systemd/system/postrider.service.d and set ReadWritePaths= in it, unless that is done already"
    ))
}

fn check_usable(program: &str, found: &Metadata) -> Result<(), ProgramProblem> {
    if !Path::new(program).is_absolute() {
        return Err(unusable(program, "it is no absolute path".to_owned()));
    }
    if !found.is_file() {
        return Err(unusable(program, "it is no file".to_owned()));
    }
    access(program, Access::EXEC_OK).map_err(|error| unusable(program, error.to_string()))
}

fn check_powers(program: &str, found: &Metadata, unrestricted: bool) -> Result<(), ProgramProblem> {
    let Some(kind) = set_id(found, Some(geteuid().as_raw()), Some(getegid().as_raw())) else { return Ok(()) };
    let powerless = |reason, cure| ProgramProblem::Powerless { program: program.to_owned(), kind, reason, cure };
    if !unrestricted {
        return Err(powerless(
            "this process runs with no_new_privs".to_owned(),
            "under systemd, put postrider-injection.conf (in the documentation directory) into \
             /etc/systemd/system/postrider.service.d: NoNewPrivileges=no alone is not enough, because each of \
             RestrictSUIDSGID=, RestrictNamespaces=, RestrictRealtime=, RestrictAddressFamilies=, LockPersonality=, \
             SystemCallArchitectures=, PrivateDevices= and some of Protect…= implies it in a unit with User=",
        ));
    }
    if statvfs(program).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOSUID)) {
        return Err(powerless(
            "its file system is mounted nosuid".to_owned(),
            "mount it without (systemd does it in a unit with NoNewPrivileges=yes)",
        ));
    }
    Ok(())
}

/// Whether running it would change whose rights somebody with these ids has, and how.
fn set_id(found: &Metadata, user: Option<u32>, group: Option<u32>) -> Option<&'static str> {
    if found.mode() & SET_UID != 0 && Some(found.uid()) != user {
        return Some("set-user-id");
    }
    let set_gid = found.mode() & (SET_GID | GROUP_EXECUTE) == SET_GID | GROUP_EXECUTE;
    (set_gid && Some(found.gid()) != group).then_some("set-group-id")
}

fn unusable(program: &str, why: String) -> ProgramProblem {
    ProgramProblem::Unusable { program: program.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn problem(programs: &[&str]) -> String {
        let programs: Vec<String> = programs.iter().map(|&one| one.to_owned()).collect();
        check(&programs).expect_err("a problem").to_string()
    }

    #[test]
    fn the_first_program_must_be_there_and_the_others_may() {
        assert!(check(&[]).is_ok());
        assert!(check(&["/bin/sh".into(), "/nowhere/postdrop".into()]).is_ok());
        let text = problem(&["/nowhere/sendmail", "/bin/sh"]);
        assert!(text.starts_with("/nowhere/sendmail cannot be run: No such file"), "{text}");
        assert_eq!(problem(&["/"]), "/ cannot be run: it is no file");
        assert!(problem(&["/etc/passwd"]).starts_with("/etc/passwd cannot be run: "));
    }

    #[test]
    fn set_id_programs_are_refused_only_where_the_bits_have_no_effect() {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("postdrop");
        std::fs::write(&file, "#!/bin/sh\n").expect("file");
        let program = file.to_str().expect("path");
        // Only root can give a file away; a set-id bit for ourselves changes nothing.
        if std::os::unix::fs::chown(&file, Some(65534), Some(65534)).is_err() {
            return;
        }
        for (mode, kind) in [(0o755, None), (0o4755, Some("user")), (0o2755, Some("group")), (0o2745, None)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("mode");
            let found = std::fs::metadata(&file).expect("file");
            assert!(check_powers(program, &found, true).is_ok(), "{mode:o}");
            let told = notice(&["/nowhere/sendmail".to_owned(), program.to_owned()]);
            assert_eq!(told.is_some(), kind.is_some(), "{mode:o}: {told:?}");
            match (check_powers(program, &found, false), kind) {
                (Ok(()), None) => {}
                (Err(problem), Some(kind)) => {
                    let text = problem.to_string();
                    for part in [program, &format!("set-{kind}-id"), "no_new_privs", "NoNewPrivileges=no", "SMTP"] {
                        assert!(text.contains(part), "{part} is missing: {text}");
                    }
                }
                (other, _) => panic!("{mode:o}: {other:?}"),
            }
        }
    }
}
