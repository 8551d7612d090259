//! What of a lab is there, counted in `/proc` and nowhere else: the lab's own books could be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::folder::{ENV_MARK, Folder};
use crate::machine::groups::groups_of;

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Processes of instances, inside their namespaces or holding them.
    pub processes: usize,
    /// Mounts of instances, wherever they are visible.
    pub mounts: usize,
    /// Network namespaces of instances.
    pub namespaces: usize,
    /// Control groups of instances with Docker or a systemd.
    pub groups: usize,
    /// The lab's own processes: daemon, emulator, functions. None after `down`.
    pub services: usize,
}

impl Leftovers {
    /// What is left of instances.
    #[must_use]
    pub fn of_instances(&self) -> usize {
        self.processes + self.mounts + self.namespaces + self.groups
    }

    /// All that is left.
    #[must_use]
    pub fn total(&self) -> usize {
        self.of_instances() + self.services
    }
}

/// One process of a lab.
pub(crate) struct Found {
    pub(crate) pid: i32,
    instance: bool,
    /// The mount and network namespaces that it lives in.
    mounts: String,
    network: String,
}

/// Counts what is there of the lab in `folder`.
#[must_use]
pub fn leftovers(folder: &Folder) -> Leftovers {
    let found = processes(folder);
    let (own_mounts, own_network) = (namespace("self", "mnt"), namespace("self", "net"));
    let mut tables: BTreeMap<&str, i32> = BTreeMap::new();
    let mut networks = BTreeSet::new();
    for process in found.iter().filter(|process| process.instance) {
        if process.mounts != own_mounts {
            tables.insert(&process.mounts, process.pid);
        }
        if process.network != own_network {
            networks.insert(&process.network);
        }
    }
    let foreign: usize = tables
        .values()
        .map(|pid| mounts(&pid.to_string(), folder.path()))
        .sum();
    let processes = found.iter().filter(|process| process.instance).count();
    Leftovers {
        processes,
        mounts: foreign + mounts("self", folder.path()),
        namespaces: networks.len(),
        groups: groups_of(folder).len(),
        services: found.len() - processes,
    }
}

/// The processes of the lab in `folder`: those that carry its mark, and those whose root is made of
/// its image (what an instance starts carries no mark, as on a real one).
pub(crate) fn processes(folder: &Folder) -> Vec<Found> {
    let own_pid = std::process::id().to_string();
    let own_mounts = namespace("self", "mnt");
    let mark = format!("{ENV_MARK}={}", folder.path().display());
    let instance_mark = format!("{}=", crate::machine::ENV_INSTANCE);
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut inside: BTreeMap<String, bool> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else {
            continue;
        };
        if name == own_pid {
            continue;
        }
        let environment = fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let marked = variables.any(|variable| variable == mark.as_bytes());
        let mounts_id = namespace(&name, "mnt");
        let in_image = mounts_id != own_mounts
            && !mounts_id.is_empty()
            && *inside
                .entry(mounts_id.clone())
                .or_insert_with(|| mounts(&name, folder.path()) > 0);
        if !marked && !in_image {
            continue;
        }
        let mut variables = environment.split(|byte| *byte == 0);
        let instance = in_image || variables.any(|it| it.starts_with(instance_mark.as_bytes()));
        found.push(Found {
            pid,
            instance,
            mounts: mounts_id,
            network: namespace(&name, "net"),
        });
    }
    found
}

fn namespace(process: &str, kind: &str) -> String {
    fs::read_link(format!("/proc/{process}/ns/{kind}"))
        .map(|link| link.display().to_string())
        .unwrap_or_default()
}

/// Mounts that the process sees and that are made of the lab's folder.
fn mounts(process: &str, folder: &Path) -> usize {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    let folder = format!("{}/", folder.display());
    text.lines().filter(|line| line.contains(&folder)).count()
}
