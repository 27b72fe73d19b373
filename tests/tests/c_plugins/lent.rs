//! What the tests lend to adapters.

use postrider::plugins::PluginRegistry;
use postrider_plugin_api::sdk::*;
use postrider_tests::c;
use postrider_tests::fixtures::PluginDir;
pub use postrider_tests::stand_ins::{TestLog, named};

/// A plugin of `tests/c` that is installed, and its registry.
pub struct Installed {
    pub registry: PluginRegistry,
    _dir: PluginDir,
}

/// Builds and installs a plugin.
pub fn installed(name: &str, source: &str, flags: &[&str]) -> Installed {
    let dir = PluginDir::new();
    dir.install_bytes(name, &c::build(source, &c::include_dir(), flags));
    Installed { registry: PluginRegistry::new(vec![dir.path().to_owned()]), _dir: dir }
}

impl Installed {
    /// The incoming adapter `every.All` with this setting `do`.
    pub fn every(&self, task: &str, log: &TestLog) -> Box<dyn IncomingAdapter> {
        let settings: Settings = [("do", task)].into_iter().collect();
        self.registry.incoming(&named("every", "All"), Box::new(log.clone()), &settings).unwrap()
    }

    pub fn every_outgoing(&self) -> Box<dyn OutgoingAdapter> {
        self.registry.outgoing(&named("every", "All"), Box::new(TestLog::default()), &Settings::default()).unwrap()
    }
}

pub fn site() -> Site {
    let mut site = Site::new(LmtpAddress::Tcp { host: "localhost".into(), port: 8024 }, "/var/lib/postrider/data");
    site.subaddresses =
        vec![Subaddress::new("bounces", true), Subaddress::new("request", false), Subaddress::new("owner", false)];
    site
}

/// Keeps all that is planned as it comes; refuses rows before tables as the host does, and panics at the key `panic`.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Trace(pub Vec<String>);

impl PlanSink for Trace {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.0.push(format!("{table:?}"));
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::failed("a row before any table").with_hint("begin one"));
        }
        self.0.extend(rows.iter().map(|row| format!("{row:?}")));
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        self.0.extend(keys.iter().map(|key| format!("absent {key}")));
        Ok(())
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.0.push(format!("{guard:?}"));
        Ok(())
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.0.push(format!("file {path} {mode:o} {:?}", String::from_utf8_lossy(contents)));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.0.push(format!("remove {path}"));
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.0.push(format!("{command:?}"));
        Ok(())
    }
}

/// A machine with one program and one file.
pub struct Machine;

impl Tools for Machine {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        if argv[0] == "/bin/missing" {
            return Err(Error::failed("/bin/missing: not there"));
        }
        Ok(ProgramOutput::new(3, argv.join(" "), format!("read {stdin}")))
    }

    fn read_file(&self, path: &str) -> Result<String> {
        Ok(format!("contents of {path}"))
    }

    fn exists(&self, path: &str) -> bool {
        path == "/etc/every"
    }
}

/// A roster of few domains with aliases, and lists that are called like each other's sub-addresses.
pub fn roster(seed: u64) -> postrider_plugin_api::testing::TestRoster {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let all = ["a.example", "b.example", "c.example", "xn--bcher-kva.example"];
    let aliases = ["", "x.example", "a.example"];
    let domains: Vec<(&str, &str)> = all
        .iter()
        .map(|name| (*name, aliases[usize::try_from(next(3)).unwrap()]))
        .filter(|(name, alias)| name != alias)
        .collect();
    let words = ["ants", "bees", "owner", "request", "a", "1"];
    let mut lists = std::collections::BTreeSet::new();
    for _ in 0..next(20) {
        let mut local = words[usize::try_from(next(6)).unwrap()].to_owned();
        for _ in 0..next(3) {
            local.push('-');
            local.push_str(words[usize::try_from(next(6)).unwrap()]);
        }
        let domain = domains[usize::try_from(next(domains.len() as u64)).unwrap()].0;
        lists.insert(format!("{local}@{domain}"));
    }
    let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
    postrider_plugin_api::testing::TestRoster::new(&domains, &lists)
}
