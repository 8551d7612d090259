//! From `[pool.NAME]` to a [`Pool`].

use stacks::pool::{CapacityType, CpuCredits, Label, Scope};

use super::read::Section;
use super::{Image, Pool, syntax};

/// Most runners: what one ledger and one region's request quota are built for.
pub(super) const RUNNERS_MAX: u32 = 1000;
/// A day: longer builds want a machine of their own.
const LIFETIME_MAX_MINUTES: u32 = 1440;
/// What the field's slowest images need, several times over.
const BOOT_TIMEOUT_MAX_MINUTES: u32 = 30;
/// An idle runner costs as much as a busy one.
const IDLE_TIMEOUT_MAX_MINUTES: u32 = 60;
/// Most labels and types of a pool: its document is a parameter of 4 KB.
const WORDS_MAX: usize = 24;

/// A pool and where it stands.
pub(super) struct Found {
    pub(super) pool: Pool,
    pub(super) line: usize,
    /// Line of each label, in the order of `pool.labels`.
    pub(super) label_lines: Vec<usize>,
}

pub(super) fn all(root: &mut Section<'_, '_>, max_runners: u32) -> Vec<Found> {
    let Some(mut section) = root.named_sections("pool") else {
        root.problem(
            "pool",
            "is missing: at least one [pool.NAME] has to serve jobs",
        );
        return Vec::new();
    };
    let mut pools: Vec<Found> = section
        .sections()
        .into_iter()
        .map(|(name, pool)| one(name, pool, max_runners))
        .collect();
    if pools.is_empty() {
        root.problem("pool", "has no pools");
    }
    pools.sort_by(|a, b| a.pool.name.cmp(&b.pool.name));
    pools
}

fn one(name: String, mut section: Section<'_, '_>, max_runners: u32) -> Found {
    let line = section.line();
    if !syntax::is_name(&name, 24) {
        section.problem_here(format_args!(
            "the name must be lower-case letters, digits and single dashes, 24 at most"
        ));
    }
    let (labels, label_lines) = labels(&mut section);
    let max_lifetime_minutes = section
        .number("max_lifetime_minutes", 2..=LIFETIME_MAX_MINUTES)
        .unwrap_or(60);
    let boot_timeout_minutes = section
        .number("boot_timeout_minutes", 1..=BOOT_TIMEOUT_MAX_MINUTES)
        .unwrap_or(5);
    let idle_timeout_minutes = section
        .number("idle_timeout_minutes", 1..=IDLE_TIMEOUT_MAX_MINUTES)
        .unwrap_or(5);
    if boot_timeout_minutes + idle_timeout_minutes > max_lifetime_minutes {
        section.problem(
            "max_lifetime_minutes",
            format_args!(
                "is {max_lifetime_minutes}, which \
             boot_timeout_minutes ({boot_timeout_minutes}) and \
             idle_timeout_minutes ({idle_timeout_minutes}) use up together"
            ),
        );
    }
    let instance_types = instance_types(&mut section);
    let pool = Pool {
        labels,
        image: image(&mut section),
        arch: syntax::arch(&mut section),
        cpu_credits: cpu_credits(&mut section, &instance_types),
        instance_types,
        root_volume_gb: section.number("root_volume_gb", 8..=2000).unwrap_or(20),
        capacity: capacity(&mut section),
        max_runners: section
            .number("max_runners", 1..=RUNNERS_MAX)
            .unwrap_or(max_runners),
        max_lifetime_minutes,
        boot_timeout_minutes,
        idle_timeout_minutes,
        permissions: section.string("permissions").map(|at| at.value),
        scope: scope(&mut section),
        repositories: repositories(&mut section),
        accepts_unlabelled: section.boolean("accepts_unlabelled", false),
        clone_token: section.boolean("clone_token", false),
        name,
    };
    section.finish();
    Found {
        pool,
        line,
        label_lines,
    }
}

fn labels(section: &mut Section<'_, '_>) -> (Vec<Label>, Vec<usize>) {
    let Some(mut table) = section.section("labels") else {
        section.problem(
            "labels",
            "is missing: a table of label = \"host\" or \"docker://IMAGE\"",
        );
        return (Vec::new(), Vec::new());
    };
    let mut labels = Vec::new();
    for (name, serve) in table.entries() {
        if !syntax::is_word(&name.value, "-._/+", 64) {
            table.problem(&name.value, "must be letters, digits and -._/+, 64 at most");
        }
        if !syntax::is_serve(&serve) {
            table.problem(
                &name.value,
                "must be served as \"host\" or \"docker://IMAGE\"",
            );
        }
        labels.push((
            Label {
                name: name.value,
                serve,
            },
            name.line,
        ));
    }
    if labels.is_empty() || labels.len() > WORDS_MAX {
        section.problem("labels", format_args!("must be from 1 to {WORDS_MAX}"));
    }
    labels.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    labels.into_iter().unzip()
}

fn instance_types(section: &mut Section<'_, '_>) -> Vec<String> {
    let instance_types: Vec<String> = section
        .strings("instance_types")
        .into_iter()
        .map(|at| at.value)
        .collect();
    if instance_types.is_empty() || instance_types.len() > WORDS_MAX {
        section.problem(
            "instance_types",
            format_args!("must be from 1 to {WORDS_MAX} instance types"),
        );
    }
    for instance_type in &instance_types {
        if !syntax::is_instance_type(instance_type) {
            section.problem(
                "instance_types",
                format_args!("`{instance_type}` must be an instance type such as t3.small"),
            );
        }
        if instance_types
            .iter()
            .filter(|other| *other == instance_type)
            .count()
            > 1
        {
            section.problem(
                "instance_types",
                format_args!("`{instance_type}` stands there twice"),
            );
        }
    }
    let arch = syntax::arch(section);
    for instance_type in &instance_types {
        if syntax::is_graviton(instance_type) != (arch == super::Arch::Arm64) {
            section.problem(
                "instance_types",
                format_args!("`{instance_type}` is not {}, the pool's arch", arch.name()),
            );
        }
    }
    instance_types
}

fn image(section: &mut Section<'_, '_>) -> Image {
    const SHAPE: &str =
        "must be one of { ami = \"ami-…\" }, { ssm = \"/path\" } or { stock = \"al2023\" }";
    let Some(mut table) = section.section("image") else {
        section.problem("image", SHAPE);
        return Image::StockAl2023;
    };
    let (ami, ssm, stock) = (
        table.string("ami"),
        table.string("ssm"),
        table.string("stock"),
    );
    table.finish();
    match (ami, ssm, stock) {
        (Some(ami), None, None) if syntax::is_ec2_id(&ami.value, "ami-") => Image::Ami(ami.value),
        (None, Some(path), None)
            if path.value.starts_with('/') && syntax::is_word(&path.value, "-._/", 1011) =>
        {
            Image::Parameter(path.value)
        }
        (None, None, Some(stock)) if stock.value == "al2023" => Image::StockAl2023,
        _ => {
            section.problem("image", SHAPE);
            Image::StockAl2023
        }
    }
}

fn capacity(section: &mut Section<'_, '_>) -> CapacityType {
    match section.string("capacity").map(|at| at.value).as_deref() {
        None | Some("spot-then-on-demand") => CapacityType::SpotThenOnDemand,
        Some("spot") => CapacityType::Spot,
        Some("on-demand") => CapacityType::OnDemand,
        Some(_) => {
            section.problem("capacity", "must be spot, spot-then-on-demand or on-demand");
            CapacityType::SpotThenOnDemand
        }
    }
}

fn cpu_credits(section: &mut Section<'_, '_>, instance_types: &[String]) -> Option<CpuCredits> {
    let burstable = instance_types
        .iter()
        .any(|instance_type| syntax::is_burstable(instance_type));
    let mode = match section.string("cpu_credits").map(|at| at.value).as_deref() {
        None => None,
        Some("standard") => Some(CpuCredits::Standard),
        Some("unlimited") => Some(CpuCredits::Unlimited),
        Some(_) => {
            section.problem("cpu_credits", "must be standard or unlimited");
            return None;
        }
    };
    match (burstable, mode) {
        (true, None) => section.problem(
            "cpu_credits",
            "is missing: T types need standard, or unlimited (which charges for busy minutes \
             beyond the baseline)",
        ),
        (false, Some(_)) => {
            section.problem("cpu_credits", "is for T types only, and the pool has none");
        }
        (true, Some(_)) | (false, None) => {}
    }
    mode
}

fn scope(section: &mut Section<'_, '_>) -> Scope {
    let Some(text) = section.string("scope").map(|at| at.value) else {
        return Scope::Global;
    };
    match text.split_once(':') {
        None if text == "global" => return Scope::Global,
        Some(("organization", name)) if syntax::is_word(name, "-._", 100) => {
            return Scope::Organization(name.to_owned());
        }
        Some(("repository", name))
            if name.contains('/') && !name.contains('*') && syntax::is_repository_pattern(name) =>
        {
            return Scope::Repository(name.to_owned());
        }
        _ => section.problem(
            "scope",
            "must be global, organization:NAME or repository:OWNER/NAME",
        ),
    }
    Scope::Global
}

fn repositories(section: &mut Section<'_, '_>) -> Vec<String> {
    let found = section.strings("repositories");
    if found.is_empty() {
        return vec!["*".to_owned()];
    }
    for pattern in &found {
        if !syntax::is_repository_pattern(&pattern.value) {
            section.problem(
                "repositories",
                format_args!("`{}` must be *, OWNER/* or OWNER/NAME", pattern.value),
            );
        }
    }
    found.into_iter().map(|at| at.value).collect()
}
