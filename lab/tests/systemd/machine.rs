//! One machine with a real systemd, from boot to power-off.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stacks::route::{LINE_CLONE_TOKEN, LINE_RUNNER};

/// Folder of the roots, which `cargo xtask test boot-suite` makes and names.
const ENV_ROOTS: &str = "CI_TEST_ROOTS";
/// Folder for what machines ask of AWS, for the judges.
const ENV_RECORDING: &str = "CI_TEST_BOOT_RECORDING";
/// What no machine of these tests takes: they boot in two seconds and do little.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// A Debian release that is booted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Root {
    /// systemd 252, curl 7.88.
    Debian12,
    /// systemd 257, curl 8.14.
    Debian13,
}

impl Root {
    fn suite(self) -> &'static str {
        match self {
            Self::Debian12 => "bookworm",
            Self::Debian13 => "trixie",
        }
    }

    /// Where it is; `None` where this is not run by the step that makes it.
    pub(crate) fn folder(self) -> Option<PathBuf> {
        let Some(roots) = std::env::var_os(ENV_ROOTS) else {
            let why = format!("{ENV_ROOTS} is not set: `cargo xtask test boot-suite` sets it");
            assert!(
                std::env::var_os("CI").is_none(),
                "this test can't run here, and CI is set: {why}"
            );
            eprintln!("SKIPPED: {why}");
            return None;
        };
        let folder = Path::new(&roots).join(self.suite());
        assert!(
            folder.join("made").exists(),
            "there is no {}",
            folder.display()
        );
        Some(folder)
    }

    /// One machine at a time has a root.
    fn lock(self) -> &'static Mutex<()> {
        static LOCKS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
        match self {
            Self::Debian12 => &LOCKS[0],
            Self::Debian13 => &LOCKS[1],
        }
    }
}

/// What a machine is booted with.
pub(crate) struct Boot<'a> {
    pub(crate) user_data: &'a str,
    pub(crate) job: &'a str,
    /// Whether the forge has a job for it.
    pub(crate) has_job: bool,
    /// How the cloud behaves: the fields of `plan.json`.
    pub(crate) plan: Value,
}

/// What became of it.
pub(crate) struct Ended {
    pub(crate) console: String,
    pub(crate) job: String,
    seen: Vec<Value>,
    pub(crate) took: Duration,
}

impl Ended {
    /// The marks, in the order of the alphabet: two are sent in the background.
    pub(crate) fn marks(&self) -> Vec<&str> {
        let of_route = self.seen.iter().filter(|one| one["kind"] == "route");
        let mut marks: Vec<&str> = of_route.filter_map(|one| one["mark"].as_str()).collect();
        marks.sort_unstable();
        marks
    }

    /// What of this kind the cloud saw.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        let seen = self.seen.iter();
        seen.filter(|one| one["kind"] == kind).collect()
    }

    /// Everything that left the machine.
    pub(crate) fn told(&self) -> String {
        let logs = self.of_kind("logs");
        let routes = self.of_kind("route");
        format!("{}\n{logs:?}\n{routes:?}", self.console)
    }
}

impl Boot<'_> {
    /// Boots it and waits until it has powered off by itself.
    pub(crate) fn run(&self, root: Root, folder: &Path) -> Ended {
        let _alone = root.lock().lock().unwrap_or_else(PoisonError::into_inner);
        let state = tempfile::tempdir().unwrap();
        self.write(state.path());
        let begin = Instant::now();
        let how = boot(folder, state.path());
        let took = begin.elapsed();
        let text = |name: &str| fs::read_to_string(state.path().join(name)).unwrap_or_default();
        let console = text("console.log");
        assert_eq!(
            how,
            Some(0),
            "it did not power off by itself: {console}\n{}",
            text("screen")
        );
        let seen = text("seen.jsonl");
        let seen = seen.lines().map(|line| serde_json::from_str(line).unwrap());
        let ended = Ended {
            console,
            job: text("job"),
            seen: seen.collect(),
            took,
        };
        record(&text("requests.jsonl"));
        nothing_is_left(folder);
        ended
    }

    fn write(&self, state: &Path) {
        let document = json!({
            "id": 1, "uuid": "00000000-1111-2222-3333-444444444444", "token": TOKEN,
            "name": "i-0123456789abcdef0", "address": lab::FORGE_URL, "labels": ["lab:host"],
            "ephemeral": true,
        });
        let mut plan = self.plan.clone();
        plan["answer"] = json!(format!(
            "{LINE_RUNNER} {document}\n{LINE_CLONE_TOKEN} fedcba9876543210fedcba9876543210fedcba98\n"
        ));
        for (name, text) in [
            ("plan.json", plan.to_string().as_str()),
            ("cloud.py", include_str!("cloud.py")),
            ("runner.sh", include_str!("runner.sh")),
            ("user-data.sh", self.user_data),
            ("job.sh", self.job),
        ] {
            fs::write(state.join(name), text).unwrap();
        }
        if !self.has_job {
            fs::write(state.join("no-job"), "").unwrap();
        }
        // The runner's user writes here too.
        let open = |path: &Path, mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        open(state, 0o777);
        open(&state.join("runner.sh"), 0o755);
    }
}

/// Boots the root with an overlay in memory; its exit status, if it ended in time.
fn boot(root: &Path, state: &Path) -> Option<i32> {
    let mut nspawn = format!(
        "systemd-nspawn --quiet --directory={} --volatile=overlay --boot --private-network --register=no \
         --keep-unit --bind={state}:/state --bind-ro={state}/runner.sh:/usr/local/bin/gitea-runner \
         --hostname=i-0123456789abcdef0 --console=interactive",
        root.display(),
        state = state.display(),
    );
    let mut script = Command::new("script");
    // Where the host has the older control groups, the machine gets those too.
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        script.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0");
        nspawn.push_str(" --setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1");
    }
    let screen = fs::File::create(state.join("screen")).unwrap();
    // It wants a terminal: with pipes it hangs.
    let mut child = script
        .args(["-qec", &nspawn, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(screen.try_clone().unwrap())
        .stderr(screen)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            // The terminal goes away, and with it the machine.
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Keeps what was asked of AWS, for the judges.
fn record(lines: &str) {
    if let Some(folder) = std::env::var_os(ENV_RECORDING) {
        let folder = Path::new(&folder);
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(format!("{}.jsonl", fastrand::u64(..)));
        fs::write(path, lines).unwrap();
    }
}

/// No process and no mount of a machine outlives it.
fn nothing_is_left(root: &Path) {
    let root = root.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&root), "{mounts}");
    for entry in fs::read_dir("/proc").unwrap() {
        let line = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let is_left = line.contains("systemd-nspawn") && line.contains(&root);
        assert!(!is_left, "{line}");
    }
}
