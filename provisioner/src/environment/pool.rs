//! From `[pool.NAME]` to a [`Pool`].

use stacks::pool::{Credit, Label, Market, Scope};

use super::read::Section;
use super::{Image, Pool, parse, syntax};

/// Most runners: what one ledger and one region's request quota are built for.
pub(super) const RUNNERS_MAX: u32 = 1000;
/// A day: longer builds want a machine of their own.
const LIMIT_MAX_MINUTES: u32 = 1440;
/// What the field's slowest images need, several times over.
const BOOT_LIMIT_MAX_MINUTES: u32 = 30;
/// An idle runner costs as much as a busy one.
const IDLE_LIMIT_MAX_MINUTES: u32 = 60;
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
    let Some(mut section) = root.section("pool") else {
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
    let limit_minutes = section
        .number("limit_minutes", 2..=LIMIT_MAX_MINUTES)
        .unwrap_or(60);
    let boot_limit_minutes = section
        .number("boot_limit_minutes", 1..=BOOT_LIMIT_MAX_MINUTES)
        .unwrap_or(5);
    let idle_limit_minutes = section
        .number("idle_limit_minutes", 1..=IDLE_LIMIT_MAX_MINUTES)
        .unwrap_or(5);
    if boot_limit_minutes + idle_limit_minutes > limit_minutes {
        section.problem("limit_minutes", format_args!(
            "is {limit_minutes}, which the boot limit ({boot_limit_minutes}) and the idle limit ({idle_limit_minutes}) use up together"
        ));
    }
    let types = types(&mut section);
    let pool = Pool {
        labels,
        image: image(&mut section),
        arch: parse::arch(&mut section),
        credit: credit(&mut section, &types),
        types,
        disk_gb: section.number("disk_gb", 8..=2000).unwrap_or(20),
        market: market(&mut section),
        max_runners: section
            .number("max_runners", 1..=RUNNERS_MAX)
            .unwrap_or(max_runners),
        limit_minutes,
        boot_limit_minutes,
        idle_limit_minutes,
        rights: section.string("rights").map(|at| at.value),
        scope: scope(&mut section),
        repositories: repositories(&mut section),
        default: section.boolean("default", false),
        git_token: section.boolean("git_token", false),
        name,
    };
    section.finish(&[
        "labels",
        "image",
        "types",
        "arch",
        "disk_gb",
        "market",
        "credit",
        "max_runners",
        "limit_minutes",
        "boot_limit_minutes",
        "idle_limit_minutes",
        "rights",
        "scope",
        "repositories",
        "default",
        "git_token",
    ]);
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

fn types(section: &mut Section<'_, '_>) -> Vec<String> {
    let types: Vec<String> = section
        .strings("types")
        .into_iter()
        .map(|at| at.value)
        .collect();
    if types.is_empty() || types.len() > WORDS_MAX {
        section.problem(
            "types",
            format_args!("must be from 1 to {WORDS_MAX} instance types"),
        );
    }
    for instance_type in &types {
        if !syntax::is_instance_type(instance_type) {
            section.problem(
                "types",
                format_args!("`{instance_type}` must be an instance type such as t3.small"),
            );
        }
        if types.iter().filter(|other| *other == instance_type).count() > 1 {
            section.problem(
                "types",
                format_args!("`{instance_type}` stands there twice"),
            );
        }
    }
    let arch = parse::arch(section);
    for instance_type in &types {
        if syntax::is_graviton(instance_type) != (arch == super::Arch::Arm64) {
            section.problem(
                "types",
                format_args!("`{instance_type}` is not {}, the pool's arch", arch.name()),
            );
        }
    }
    types
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
    table.finish(&["ami", "ssm", "stock"]);
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

fn market(section: &mut Section<'_, '_>) -> Market {
    match section.string("market").map(|at| at.value).as_deref() {
        None | Some("spot-first") => Market::SpotFirst,
        Some("spot") => Market::Spot,
        Some("on-demand") => Market::OnDemand,
        Some(_) => {
            section.problem("market", "must be spot, spot-first or on-demand");
            Market::SpotFirst
        }
    }
}

fn credit(section: &mut Section<'_, '_>, types: &[String]) -> Option<Credit> {
    let burstable = types
        .iter()
        .any(|instance_type| syntax::is_burstable(instance_type));
    let credit = match section.string("credit").map(|at| at.value).as_deref() {
        None => None,
        Some("standard") => Some(Credit::Standard),
        Some("unlimited") => Some(Credit::Unlimited),
        Some(_) => {
            section.problem("credit", "must be standard or unlimited");
            return None;
        }
    };
    match (burstable, credit) {
        (true, None) => section.problem("credit", "is missing: T types need standard or unlimited (which charges for busy minutes beyond the baseline)"),
        (false, Some(_)) => section.problem("credit", "is for T types only, and the pool has none"),
        (true, Some(_)) | (false, None) => {}
    }
    credit
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
