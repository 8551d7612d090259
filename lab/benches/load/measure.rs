//! Quantiles, and who used the processors.

use std::path::Path;
use std::time::Duration;

use lab::Lab;

/// Ticks of `/proc/PID/stat` a second: Linux's, whatever its kernel's own clock.
const TICKS_A_SECOND: f64 = 100.0;

/// The value below which `share` of `times` are.
pub(crate) fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "some thousands"
    )]
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index]
}

/// Median, 95 % and maximum, in milliseconds.
pub(crate) fn spread(times: &[Duration]) -> String {
    let ms = |share| quantile(times, share).as_secs_f64() * 1e3;
    format!("{:7.1} {:7.1} {:7.1}", ms(0.5), ms(0.95), ms(1.0))
}

/// Who used the processors: the emulator, the function (as the emulator's children, or as this
/// process, which calls it), the lab's daemon with EC2 and the front door, and all else.
pub(crate) struct Meter {
    emulator: u32,
    daemon: u32,
    at: Used,
}

/// Processor time in seconds.
#[derive(Clone, Copy)]
struct Used {
    emulator: f64,
    function: f64,
    daemon: f64,
    machine: f64,
    idle: f64,
}

impl Meter {
    pub(crate) fn start(lab: &Lab) -> Self {
        let (emulator, daemon) = (emulator(lab), lab.file().pid.unsigned_abs());
        Self {
            emulator,
            daemon,
            at: Used::now(emulator, daemon),
        }
    }

    /// Each one's time for one of `count` deliveries, and how busy the machine was.
    pub(crate) fn read(&self, count: u64) -> String {
        let (now, then) = (Used::now(self.emulator, self.daemon), self.at);
        let count = f64::from(u32::try_from(count).unwrap());
        let ms = |of: fn(Used) -> f64| (of(now) - of(then)) / count * 1e3;
        let all = now.machine - then.machine;
        let ours: fn(Used) -> f64 = |used| used.emulator + used.function + used.daemon;
        format!(
            "processor ms a delivery: emulator {:.1}, function {:.1}, EC2 and front door {:.1}; \
             the machine was {:.0} % busy, {:.0} % with this",
            ms(|used| used.emulator),
            ms(|used| used.function),
            ms(|used| used.daemon),
            100.0 * (1.0 - (now.idle - then.idle) / all),
            100.0 * (ours(now) - ours(then)) / all
        )
    }
}

impl Used {
    fn now(emulator: u32, daemon: u32) -> Self {
        let machine = std::fs::read_to_string("/proc/stat").unwrap();
        let ticks: Vec<f64> = machine
            .lines()
            .next()
            .unwrap()
            .split(' ')
            .skip(2)
            .map(|n| n.parse().unwrap())
            .collect();
        Self {
            emulator: used_s(emulator),
            function: used_s(std::process::id()) + children_s(emulator),
            daemon: used_s(daemon),
            // User, nice, system, idle, waiting for a disk, interrupts, stolen.
            machine: ticks[..8].iter().sum::<f64>() / TICKS_A_SECOND,
            idle: (ticks[3] + ticks[4]) / TICKS_A_SECOND,
        }
    }
}

/// The emulator's process: the one that listens where the lab says.
fn emulator(lab: &Lab) -> u32 {
    let mark = format!("CI_LAB={}", lab.folder().path().display());
    let of_lab = |folder: &Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        let command = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let has = |text: &[u8], words: &str| {
            let mut windows = text.windows(words.len());
            windows.any(|window| window == words.as_bytes())
        };
        has(&environment, &mark) && has(&command, "bin/python") && has(&command, "bin/ministack")
    };
    let mut found = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let pid = entry.file_name().to_str()?.parse().ok()?;
        of_lab(&entry.path()).then_some(pid)
    });
    found.next().expect("the lab runs its emulator")
}

/// Processor time that a process has used, in seconds.
fn used_s(pid: u32) -> f64 {
    let fields = fields(&pid.to_string());
    let used = fields.iter().skip(11).take(2);
    used.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND
}

/// What the children of `parent` have used.
fn children_s(parent: u32) -> f64 {
    let parent = parent.to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok()?.parse().ok())
        .filter(|pid: &u32| fields(&pid.to_string()).get(1) == Some(&parent))
        .map(used_s)
        .sum()
}

/// The fields of `/proc/PID/stat` after the name.
fn fields(pid: &str) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    after_name.split(' ').map(str::to_owned).collect()
}
