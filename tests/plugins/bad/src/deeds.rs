//! Does whatever its settings say, in the method that they name: crashes, loops, misuses what the process has.

use postrider_plugin_api::sdk::*;
use std::io::Write;
use std::os::raw::{c_int, c_void};
use std::process::Command as Process;

extern "C" {
    fn abort() -> !;
    fn close(descriptor: c_int) -> c_int;
    fn fork() -> c_int;
    fn getppid() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn raise(signal: c_int) -> c_int;
    fn write(descriptor: c_int, octets: *const c_void, count: usize) -> isize;
}

fn last_error() -> String {
    std::io::Error::last_os_error().to_string()
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let room = [depth; 1000];
    // SAFETY: it is ours. Volatile, so that the room is really there.
    let first = unsafe { std::ptr::read_volatile(&room[0]) };
    overflow(first + 1) + room[999]
}

/// Does a deed; what can be told of it is the error.
fn act(deed: &str) -> Result<()> {
    match deed {
        "" | "nothing" => return Ok(()),
        "panic" => panic!("boom"),
        "thread" => {
            let _ = std::thread::spawn(|| panic!("boom in a thread")).join();
            return Ok(());
        }
        // SAFETY: it is not; that is what this is for. Likewise below.
        "segv" => unsafe { std::ptr::write_volatile(8 as *mut u32, 1) },
        "abort" => unsafe { abort() },
        "exit" => std::process::exit(3),
        "killed" => {
            unsafe { raise(9) };
        }
        "loop" => loop {
            std::hint::spin_loop();
        },
        "sleep" => std::thread::sleep(std::time::Duration::from_millis(300)),
        "overflow" => return Err(Error::failed(overflow(0).to_string())),
        "memory" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(vec![1; 1 << 20]);
            }
        }
        "close" => (0..256).for_each(|descriptor| {
            unsafe { close(descriptor) };
        }),
        "garbage" => {
            let octets = [0xffu8; 64];
            (3..256).for_each(|descriptor| {
                unsafe { write(descriptor, octets.as_ptr().cast(), octets.len()) };
            });
        }
        // A frame that is one, and says nothing that can be understood.
        "nonsense" => {
            let octets = [3u8, 0, 0, 0, 99, 99, 99];
            (3..256).for_each(|descriptor| {
                unsafe { write(descriptor, octets.as_ptr().cast(), octets.len()) };
            });
        }
        "print" => {
            println!("to nobody");
            eprintln!("to the log\x1b[31m");
        }
        "flood" => loop {
            let _ = std::io::stderr().write_all(&[b'x'; 65536]);
        },
        "exec" => {
            let run = Process::new("/bin/true").status();
            return Err(Error::failed(format!("exec: {}", run.map_or_else(|e| e.to_string(), |s| s.to_string()))));
        }
        "fork" => {
            let child = unsafe { fork() };
            return Err(Error::failed(format!("fork: {} {}", child, last_error())));
        }
        "kill" => {
            // Its group, everybody, its parent.
            let killed: Vec<String> = [0, -1, unsafe { getppid() }]
                .iter()
                .map(|process| format!("{} {}", unsafe { kill(*process, 9) }, last_error()))
                .collect();
            return Err(Error::failed(format!("kill: {}", killed.join(", "))));
        }
        "write" => {
            let here = std::fs::write("here", "x").map_or_else(|e| e.to_string(), |()| "written".into());
            let path = format!("/tmp/postrider-deeds-{}", std::process::id());
            let there = std::fs::write(&path, "x").map_or_else(|e| e.to_string(), |()| "written".into());
            let _ = std::fs::remove_file(path);
            return Err(Error::failed(format!("write: {}; {}", here, there)));
        }
        "look" => {
            let mut open: Vec<String> = std::fs::read_dir("/proc/self/fd")
                .map_err(|e| Error::failed(e.to_string()))?
                .flatten()
                .filter_map(|entry| std::fs::read_link(entry.path()).ok())
                .map(|target| target.display().to_string().split(':').next().unwrap_or_default().to_owned())
                .filter(|target| !target.starts_with("/proc/"))
                .collect();
            open.sort();
            let environment: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let of = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
            let directory = std::env::current_dir().map_or_else(|_| "gone".into(), |dir| dir.display().to_string());
            return Err(Error::failed(format!(
                "open {:?} environment {:?} {} {} {} directory {}",
                open,
                environment,
                of("Umask"),
                of("NoNewPrivs"),
                of("Seccomp:"),
                directory
            )));
        }
        other => return Err(Error::failed(format!("no such deed: {}", other))),
    }
    Ok(())
}

struct Deeds {
    log: Box<dyn HostLog>,
    method: String,
    deed: String,
}

impl Deeds {
    fn act(&self, method: &str) -> Result<()> {
        if self.method == method {
            act(&self.deed)
        } else {
            Ok(())
        }
    }
}

impl Drop for Deeds {
    fn drop(&mut self) {
        let _ = self.act("drop");
    }
}

impl IncomingAdapter for Deeds {
    fn settings() -> Vec<SettingSpec> {
        vec![
            SettingSpec::new("method", SettingKind::Text, "", "Where."),
            SettingSpec::new("deed", SettingKind::Text, "", "What."),
        ]
    }

    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        let deeds = Deeds { log, method: settings.value("method").to_owned(), deed: settings.value("deed").to_owned() };
        deeds.act("new")?;
        Ok(deeds)
    }

    fn probe(&self, _: &Site, _: &dyn Tools) -> Result<Facts> {
        self.act("probe").map(|()| Facts::new())
    }

    fn plan(&self, context: Context<'_>, _: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        self.log.log(LogLevel::Info, "planning");
        sink.table(&Table::new("deeds", TableFormat::Text, TableRole::Acceptance))?;
        if self.method == "plan" && self.deed == "rows" {
            // Values differ, for the host keeps one that is repeated only once.
            let mut value = "x".repeat(30_000);
            for number in 0u64.. {
                let key = format!("{number:020}");
                value.replace_range(..key.len(), &key);
                sink.rows(&[Row::new(&key, &value)])?;
            }
        }
        if self.method == "plan" && self.deed == "nested" {
            fn tour(roster: &dyn Roster) -> Result<()> {
                roster.for_each_list(&mut |_| tour(roster))
            }
            return tour(context.roster);
        }
        self.act("plan")?;
        context.roster.for_each_list(&mut |list| sink.rows(&[Row::new(list.local, list.list_id)]))
    }

    fn snippets(&self, _: Context<'_>) -> Result<Vec<Snippet>> {
        self.act("snippets").map(|()| Vec::new())
    }

    fn check(&self, _: Context<'_>, _: &dyn Tools) -> Result<Vec<Finding>> {
        self.act("check").map(|()| Vec::new())
    }
}

/// Does the deed that the local part of one of the recipients names.
fn act_for(recipients: &[&str]) -> Result<()> {
    let deeds = recipients.iter().filter_map(|one| one.split('@').next());
    deeds.filter(|deed| ["segv", "loop", "exit"].contains(deed)).try_for_each(act)
}

/// Delivers by itself.
struct ByRecipient;

impl OutgoingAdapter for ByRecipient {
    fn settings() -> Vec<SettingSpec> {
        vec![SettingSpec::new("refuse_file", SettingKind::Text, "", "While it is there, no adapter is made.")]
    }

    fn new(_: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        let file = settings.value("refuse_file");
        if !file.is_empty() && std::path::Path::new(file).exists() {
            return Err(Error::failed("no adapter is made now"));
        }
        Ok(ByRecipient)
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        act_for(batch.recipients)?;
        Ok(batch.recipients.iter().map(|_| RecipientResult::new(Outcome::Delivered, "250 yes")).collect())
    }
}

/// Has a program run.
struct Program;

impl OutgoingAdapter for Program {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Program)
    }

    fn programs(&self) -> Vec<String> {
        vec!["/bin/true".to_owned()]
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        act_for(envelope.recipients)?;
        Ok(Injection::new(["/bin/true"]).with_exits(0..=0, Outcome::Delivered, ""))
    }
}

postrider_plugin_api::export_plugin! {
    name: "deeds",
    version: "0",
    incoming: ["Deeds" = Deeds, "Does what its settings say"],
    outgoing: [
        "ByRecipient" = ByRecipient, "Does what its recipients say",
        "Program" = Program, "Does what its recipients say before a program runs",
    ],
}
