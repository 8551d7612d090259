//! From `[pool.NAME]` to a [`Pool`].

use std::fmt::Display;

use stacks::pool::{CapacityType, CpuCredits, Label, Pool as PoolDocument, Scope};

use super::read::{Problems, Section};
use super::{Arch, Image, Pool, Stock, host, syntax};

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

impl Found {
    /// A problem of the pool (`key` empty) or with a key that does not fit what else the file says.
    pub(super) fn problem(&self, problems: &Problems<'_>, key: &str, message: impl Display) {
        let (name, dot) = (
            &self.pool.document.name,
            if key.is_empty() { "" } else { "." },
        );
        problems.add(self.line, format!("pool.{name}{dot}{key}: {message}"));
    }
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
    pools.sort_by(|a, b| a.pool.document.name.cmp(&b.pool.document.name));
    pools
}

fn one(name: String, mut section: Section<'_, '_>, max_runners: u32) -> Found {
    let line = section.line();
    if !syntax::is_name(&name, 24) {
        section.problem_here(
            "the name must be lower-case letters, digits and single dashes, 24 at most",
        );
    }
    let (labels, label_lines) = labels(&mut section);
    let max_lifetime_minutes = section.number("max_lifetime_minutes", 2..=LIFETIME_MAX_MINUTES, 60);
    let boot_timeout_minutes =
        section.number("boot_timeout_minutes", 1..=BOOT_TIMEOUT_MAX_MINUTES, 5);
    let idle_timeout_minutes =
        section.number("idle_timeout_minutes", 1..=IDLE_TIMEOUT_MAX_MINUTES, 5);
    if boot_timeout_minutes + idle_timeout_minutes > max_lifetime_minutes {
        section.problem(
            "max_lifetime_minutes",
            format_args!(
                "is {max_lifetime_minutes}, which boot_timeout_minutes ({boot_timeout_minutes}) and \
                 idle_timeout_minutes ({idle_timeout_minutes}) use up together"
            ),
        );
    }
    // In the order in which an unknown key is told of those that are known.
    let instance_types = section.strings("instance_types");
    let arch = syntax::arch(&mut section);
    check_types(&section, &instance_types, arch);
    let image = image(&mut section);
    let cpu_credits = cpu_credits(&mut section, &instance_types);
    let root_volume_gb = section.number("root_volume_gb", 8..=2000, 20);
    let capacity = capacity(&mut section);
    let max_runners = section.number("max_runners", 1..=RUNNERS_MAX, max_runners);
    let permissions = section.string("permissions");
    let document = PoolDocument {
        name,
        labels,
        instance_types,
        capacity,
        cpu_credits,
        max_runners,
        max_lifetime_minutes,
        boot_timeout_minutes,
        idle_timeout_minutes,
        scope: scope(&mut section),
        repositories: repositories(&mut section),
        accepts_unlabelled: section.boolean("accepts_unlabelled", false),
        clone_token: section.boolean("clone_token", false),
        subnets: String::new(),
        template_id: String::new(),
        template_version: String::new(),
    };
    let pool = Pool {
        document,
        image,
        arch,
        root_volume_gb,
        permissions,
        host: host::of(&mut section),
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
        if !syntax::is_word(&name, "-._/+", 64) {
            table.problem(&name, "must be letters, digits and -._/+, 64 at most");
        }
        if !syntax::is_serve(&serve) {
            table.problem(&name, "must be served as \"host\" or \"docker://IMAGE\"");
        }
        let line = table.line_of(&name);
        labels.push((Label { name, serve }, line));
    }
    if labels.is_empty() || labels.len() > WORDS_MAX {
        section.problem("labels", format_args!("must be from 1 to {WORDS_MAX}"));
    }
    labels.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    labels.into_iter().unzip()
}

fn check_types(section: &Section<'_, '_>, types: &[String], arch: Arch) {
    const KEY: &str = "instance_types";
    if types.is_empty() || types.len() > WORDS_MAX {
        let message = format_args!("must be from 1 to {WORDS_MAX} instance types");
        section.problem(KEY, message);
    }
    for (place, one) in types.iter().enumerate() {
        if !syntax::is_instance_type(one) {
            let message = format_args!("`{one}` must be an instance type such as t3.small");
            section.problem(KEY, message);
        }
        if types[..place].contains(one) {
            section.problem(KEY, format_args!("`{one}` stands there twice"));
        }
        if syntax::is_graviton(one) != (arch == Arch::Arm64) {
            let message = format_args!("`{one}` is not {}, the pool's arch", arch.name());
            section.problem(KEY, message);
        }
    }
}

fn image(section: &mut Section<'_, '_>) -> Image {
    const SHAPE: &str = "must be one of { name = \"go\" }, { ami = \"ami-…\" }, { ssm = \"/path\" }, \
                         { stock = \"ubuntu\" } or { stock = \"al2023\" }";
    const ELSE: Image = Image::Stock(Stock::Al2023);
    let Some(mut table) = section.section("image") else {
        section.problem("image", SHAPE);
        return ELSE;
    };
    let (name, ami, ssm, stock) = (
        table.string("name"),
        table.string("ami"),
        table.string("ssm"),
        table.string("stock"),
    );
    table.finish();
    if let (Some(name), None, None) = (&name, &ami, &ssm)
        && syntax::is_name(name, 24)
        && let Some(stock) = stock.as_deref().map_or(Some(Stock::Al2023), Stock::parse)
    {
        return Image::Built {
            name: name.clone(),
            stock,
        };
    }
    match (ami, ssm, stock) {
        _ if name.is_some() => {
            section.problem("image", SHAPE);
            ELSE
        }
        (Some(ami), None, None) if syntax::is_ec2_id(&ami, "ami-") => Image::Ami(ami),
        (None, Some(path), None)
            if path.starts_with('/') && syntax::is_word(&path, "-._/", 1011) =>
        {
            Image::Parameter(path)
        }
        (None, None, Some(word)) if Stock::parse(&word).is_some() => {
            Stock::parse(&word).map_or(ELSE, Image::Stock)
        }
        _ => {
            section.problem("image", SHAPE);
            ELSE
        }
    }
}

fn capacity(section: &mut Section<'_, '_>) -> CapacityType {
    match section.string("capacity").as_deref() {
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
    let mode = match section.string("cpu_credits").as_deref() {
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
    let Some(text) = section.string("scope") else {
        return Scope::Global;
    };
    match text.split_once(':') {
        None if text == "global" => Scope::Global,
        Some(("organization", name)) if syntax::is_word(name, "-._", 100) => {
            Scope::Organization(name.to_owned())
        }
        Some(("repository", name))
            if name.contains('/') && !name.contains('*') && syntax::is_repository_pattern(name) =>
        {
            Scope::Repository(name.to_owned())
        }
        _ => {
            let shapes = "must be global, organization:NAME or repository:OWNER/NAME";
            section.problem("scope", shapes);
            Scope::Global
        }
    }
}

fn repositories(section: &mut Section<'_, '_>) -> Vec<String> {
    let found = section.strings("repositories");
    for pattern in &found {
        if !syntax::is_repository_pattern(pattern) {
            let message = format_args!("`{pattern}` must be *, OWNER/* or OWNER/NAME");
            section.problem("repositories", message);
        }
    }
    if found.is_empty() {
        return vec!["*".to_owned()];
    }
    found
}
