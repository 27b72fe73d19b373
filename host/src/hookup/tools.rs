//! What the host does for an adapter that looks at its MTA.

use super::programs::Programs;
use super::run::{self, End, Limits};
use postrider_plugin_api::sdk::{Error, ProgramOutput, Result, Tools};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Largest file that [`Tools::read_file`] reads, in octets.
const MAX_FILE: u64 = 16 << 20;

/// The host's tools. Programs get 30 seconds.
#[derive(Clone, Debug, Default)]
pub struct HostTools {
    programs: Programs,
}

impl HostTools {
    /// Runs these programs only.
    pub(crate) fn allowing(programs: Programs) -> Self {
        HostTools { programs }
    }
}

impl Tools for HostTools {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        let Some(program) = argv.first().filter(|program| program.starts_with('/')) else {
            return Err(Error::failed(format!("the program of {argv:?} is no absolute path")));
        };
        self.programs.check(program)?;
        let output = run::run(argv, stdin, Limits::QUESTION)
            .map_err(|error| Error::failed(format!("cannot start {program}: {error}")))?;
        let (status, note) = match output.end {
            End::Exit(status) => (status, String::new()),
            End::Signal(signal) => (-1, format!("killed by signal {signal}\n")),
            End::TimeLimit(time) => (-1, format!("killed after {} seconds\n", time.as_secs())),
        };
        Ok(ProgramOutput::new(status, output.stdout, output.stderr + &note))
    }

    fn read_file(&self, path: &str) -> Result<String> {
        let failed = |error| Error::failed(format!("cannot read {path}: {error}"));
        // Before it is opened: opening a FIFO would wait for its other end.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::failed(format!("cannot read {path}: it is no regular file")));
        }
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Error::failed(format!("cannot read {path}: it is larger than 16 MiB")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_by_absolute_path() {
        assert!(
            HostTools::default()
                .run(&["sh", "-c", "true"], "")
                .expect_err("relative")
                .message
                .contains("no absolute path")
        );
        assert!(HostTools::default().run(&[], "").is_err());
        let error = HostTools::default().run(&["/nonexistent/postconf"], "").expect_err("missing");
        assert!(error.message.contains("cannot start /nonexistent/postconf"), "{error}");
    }

    #[test]
    fn a_program_that_was_not_declared_is_not_run() {
        let tools = HostTools::allowing(Programs::only(["/bin/true".to_owned()]));
        assert!(tools.run(&["/bin/true"], "").is_ok());
        assert!(
            tools
                .run(&["/bin/echo"], "")
                .expect_err("refused")
                .message
                .contains("no program that the adapter declared")
        );
    }

    #[test]
    fn a_failing_program_is_an_answer() {
        let output = HostTools::default().run(&["/bin/sh", "-c", "echo no >&2; exit 2"], "").expect("ran");
        assert_eq!((output.status, output.stderr.as_str()), (2, "no\n"));
    }

    #[test]
    fn files_are_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("main.cf");
        std::fs::write(&path, b"a = \xff\n").expect("written");
        assert_eq!(HostTools::default().read_file(path.to_str().expect("UTF-8")).expect("read"), "a = \u{fffd}\n");
        let large = dir.path().join("large");
        File::create(&large).expect("made").set_len(MAX_FILE + 1).expect("sparse");
        assert!(
            HostTools::default()
                .read_file(large.to_str().expect("UTF-8"))
                .expect_err("large")
                .message
                .contains("16 MiB")
        );
        assert!(HostTools::default().read_file("/dev/zero").expect_err("device").message.contains("regular file"));
        assert!(HostTools::default().exists("/") && !HostTools::default().exists("/nonexistent"));
    }
}
