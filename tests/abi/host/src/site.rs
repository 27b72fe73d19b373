//! What this host lends to adapters; each object says in the transcript what it was asked.

use postrider_plugin_api::sdk::*;
use std::sync::{Arc, Mutex};

/// The lines of a transcript, in the order in which things happened.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn say(&self, line: String) {
        self.0.lock().expect("no panic while it is held").push(line);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic while it is held"))
    }
}

impl HostLog for Lines {
    fn log(&self, level: LogLevel, message: &str) {
        self.say(format!("  log {level:?} {message}"));
    }

    #[cfg(feature = "next")]
    fn count(&self, what: &str, by: u64) -> bool {
        self.say(format!("  count {what} {by}"));
        true
    }
}

pub const NASTY: &str = "ü€😀\n\t\"'\u{0} end";

pub fn site() -> Site {
    let mut site = Site::new(LmtpAddress::Tcp { host: "::1".into(), port: 8024 }, "/var/lib/tables");
    site.user = "postrider".into();
    site.delimiter = "+".into();
    site.subaddresses = vec![Subaddress::new("owner", false), Subaddress::new(NASTY, true)];
    site.smtp_host = "smtp.example.org".into();
    site.smtp_port = 587;
    #[cfg(feature = "next")]
    site.host_name.get_or_insert_with(|| "mail.example.org".into());
    site
}

/// Two domains, three lists.
pub struct Lists {
    pub lines: Lines,
    pub empty: bool,
    /// Panics instead of visiting.
    pub broken: bool,
}

impl Lists {
    pub fn new(lines: &Lines) -> Self {
        Lists { lines: lines.clone(), empty: false, broken: false }
    }
}

const DOMAINS: [(&str, &str); 2] = [("example.org", ""), ("lists.example.com", "example.com")];

impl Roster for Lists {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        DOMAINS.iter().try_for_each(|(name, alias)| visit(&DomainView::new(name, alias)))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        assert!(!self.broken, "boom in the host's roster");
        for (name, alias) in DOMAINS {
            visit(&ListView::new("ants", DomainView::new(name, alias), "ants.id"))?;
        }
        visit(&ListView::new(NASTY, DomainView::new("example.org", ""), ""))
    }

    fn list_count(&self) -> u64 {
        if self.empty { 0 } else { u64::MAX }
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        match local {
            "ants" => Ok(Some(format!("{local}.{domain}"))),
            "fail" => Err(Error::failed("no such database").with_hint(NASTY)),
            _ => Ok(None),
        }
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) })
    }

    #[cfg(feature = "next")]
    fn domain_count(&self) -> Option<u64> {
        Some(2)
    }

    #[cfg(feature = "next")]
    fn visitor_knows_the_end(&self, knows: bool) {
        self.lines.say(format!("  next: visitor.end {knows}"));
    }
}

/// Writes down what is planned.
pub struct Plan(pub Lines);

impl PlanSink for Plan {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.0.say(format!("  {table:?}"));
        if table.path == "refuse" {
            return Err(Error::new(ErrorKind::InvalidSetting, "this table is refused").with_hint(NASTY));
        }
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        self.0.say(format!("  {} rows", rows.len()));
        rows.iter().for_each(|row| self.0.say(format!("    {row:?}")));
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        self.0.say(format!("  absent {keys:?}"));
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.0.say(format!("  {guard:?}"));
        Ok(())
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.0.say(format!("  file {path} {mode:o} {contents:?}"));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.0.say(format!("  remove {path}"));
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.0.say(format!("  {command:?}"));
        Ok(())
    }

    #[cfg(feature = "next")]
    fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.0.say(format!("  symlink {path} {target}"));
        Ok(())
    }
}

/// A machine with one program and one file.
pub struct Machine;

impl Tools for Machine {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        if argv.is_empty() {
            return Err(Error::failed("nothing to run"));
        }
        Ok(ProgramOutput::new(-3, format!("{argv:?} {stdin}"), NASTY))
    }

    fn read_file(&self, path: &str) -> Result<String> {
        if self.exists(path) { Ok(NASTY.to_owned()) } else { Err(Error::failed(format!("{path}: not there"))) }
    }

    fn exists(&self, path: &str) -> bool {
        path == "/etc/file"
    }

    #[cfg(feature = "next")]
    fn link_target(&self, path: &str) -> Result<String> {
        Ok(format!("{path}.target"))
    }
}
