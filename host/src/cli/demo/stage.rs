//! The demo's temporary installation and its processes.

use super::{PATIENCE, say};
use crate::control::{self, Request};
use crate::deliver::sink::{Script, Sink};
use anyhow::{Context, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// A temporary installation; gone when dropped.
pub(super) struct Stage {
    directory: TempDir,
    program: PathBuf,
    sink: Sink,
    lmtp_port: u16,
}

impl Stage {
    /// Sets everything up.
    pub(super) async fn set(plugins: Option<&Path>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own file is not known")?;
        let directory = tempfile::Builder::new().prefix("postrider-demo-").tempdir()?;
        let from = plugins.or(program.parent()).unwrap_or(Path::new("/"));
        copy_plugins(from, &directory.path().join("plugins"))?;
        let sink = Sink::start(Script::default()).await?;
        // Free a moment ago; taken by the daemon a moment later.
        let lmtp_port = TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port();
        let stage = Stage { directory, program, sink, lmtp_port };
        stage.configure("sqlite", "postrider.cfg")?;
        stage.configure("texthash", "text.cfg")?;
        Ok(stage)
    }

    fn configure(&self, tables: &str, name: &str) -> anyhow::Result<()> {
        let dir = self.path().display();
        let adapter = format!("{dir}/postfix-{tables}.cfg");
        fs::write(&adapter, format!("[postfix]\ntransport_file_type: {tables}\n"))?;
        let text = format!(
            "[mailman]\nsite_owner: postmaster@example.com\nlayout: demo\n\n\
             [paths.demo]\nvar_dir: {dir}/var\nlog_dir: {dir}/var/log\n\n\
             [plugins]\npath: {dir}/plugins\n\n\
             [logging]\nfilter: warn\n\n\
             [mta]\nincoming: postfix.LMTP\nconfiguration: {adapter}\nlmtp_host: 127.0.0.1\nlmtp_port: {}\n\
             smtp_host: 127.0.0.1\nsmtp_port: {}\nverp_delivery_interval: 1\n",
            self.lmtp_port,
            self.sink.address().port()
        );
        fs::write(self.path().join(name), text)?;
        Ok(())
    }

    /// The directory of everything.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The private copy of the plugins.
    pub(super) fn plugins(&self) -> PathBuf {
        self.path().join("plugins")
    }

    /// The sink that stands in the MTA's place.
    pub(super) fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Where the daemon takes mail.
    pub(super) fn lmtp_port(&self) -> u16 {
        self.lmtp_port
    }

    /// Runs a command of this program as a person would, and shows both.
    pub(super) async fn show(&self, args: &[&str], input: &str) -> anyhow::Result<()> {
        let typed: Vec<_> =
            args.iter().map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() }).collect();
        say(&format!("  $ postrider {}", typed.join(" ")));
        let printed = self.run("postrider.cfg", args, input).await?;
        for line in printed.lines() {
            say(&format!("    {line}"));
        }
        Ok(())
    }

    /// A table of Postfix as text.
    pub(super) async fn table(&self, name: &str) -> anyhow::Result<String> {
        let tables = self.path().join("tables");
        self.run("text.cfg", &["aliases", "--output", &tables.display().to_string()], "").await?;
        Ok(fs::read_to_string(tables.join(name))?)
    }

    fn command(&self, config: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-C").arg(self.path().join(config)).env_remove("RUST_LOG").kill_on_drop(true);
        command
    }

    async fn run(&self, config: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = self
            .command(config)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let done =
            tokio::time::timeout(PATIENCE, child.wait_with_output()).await.context("a command did not end")??;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            bail!("`postrider {}` ended with {}: {}", args.join(" "), done.status, said.trim_end());
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Starts the daemon and waits until it answers.
    pub(super) async fn serve(&self) -> anyhow::Result<Daemon> {
        let child = self.command("postrider.cfg").arg("serve").stdin(Stdio::null()).spawn()?;
        let mut daemon = Daemon { child };
        let socket = self.path().join("var/postrider.sock");
        let begun = tokio::time::Instant::now();
        while control::send(&socket, Request::Status).await.ok().flatten().is_none() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the daemon ended at once with {status}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("the daemon does not answer");
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Ok(daemon)
    }
}

/// The running daemon; killed when dropped.
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Asks it to stop and waits for its end.
    pub(super) async fn stop(&mut self, stage: &Stage) -> anyhow::Result<()> {
        control::send(&stage.path().join("var/postrider.sock"), Request::Stop).await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the daemon did not stop")??;
        if !status.success() {
            bail!("the daemon ended with {status}");
        }
        Ok(())
    }
}

/// Only what lies in a private directory is loaded; a checkout may lie in a group-writable home.
fn copy_plugins(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    let mut found = false;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("libpostrider_") && text.ends_with(".so") {
            fs::copy(entry.path(), to.join(&name))?;
            fs::set_permissions(to.join(&name), fs::Permissions::from_mode(0o644))?;
            found = true;
        }
    }
    if !found {
        bail!(
            "there are no plugins (libpostrider_*.so) in {}; build them, or name their directory with --plugins",
            from.display()
        );
    }
    Ok(())
}
