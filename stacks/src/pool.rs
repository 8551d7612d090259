//! The documents that the stacks publish as parameters and the dispatcher reads: one [`Settings`]
//! and one [`Pool`] per pool. CloudFormation fills in what only it knows (template version, subnet
//! parameter), so both sides parse the same types. Unknown fields are passed over: while `up` runs,
//! a dispatcher of before reads the documents of after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use workflow::ForgeKind;

/// What holds for the whole deployment. Parameter `/<name>/settings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where the forge answers, without a slash at its end.
    pub forge_url: String,
    /// What the forge calls itself (its `ROOT_URL`), when that has another host than `forge_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge_root_url: Option<String>,
    /// Which forge it is.
    pub forge_kind: ForgeKind,
    /// Whether machines may be given a credential that outlives their job. Servers before Gitea 1.24
    /// and Forgejo 15 know no other: a job can read it and then take everybody's jobs and secrets.
    #[serde(default)]
    pub accept_reusable_credentials: bool,
    /// Whether the forge is asked for its list of jobs some seconds after an event, in case it starts
    /// others than foretold.
    #[serde(default = "always")]
    pub poll_after_events: bool,
    /// Most runners of all pools together at any moment.
    pub max_runners: u32,
    /// The environment's tags, which every instance carries beside the deployment's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// What a document of before says about what came since.
fn always() -> bool {
    true
}

/// One pool: what it serves and what its instances are. Parameter `/<name>/pool/<pool>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name, unique in the deployment.
    pub name: String,
    /// The labels that its runners register; a job matches if each of its labels is among them.
    pub labels: Vec<Label>,
    /// Whether it also serves jobs without labels (any runner may take those).
    pub accepts_unlabelled: bool,
    /// Where its runners are registered, hence whose jobs the forge lets them take.
    pub scope: Scope,
    /// Repositories that it serves: `owner/name`, `owner/*` or `*`.
    pub repositories: Vec<String>,
    /// Instance types in order of preference.
    pub instance_types: Vec<String>,
    /// Subnets to launch in, separated by commas, in order of preference.
    pub subnets: String,
    /// How its instances are bought.
    pub capacity: CapacityType,
    /// Credit mode of burstable (T) types; `None` for pools without one.
    pub cpu_credits: Option<CpuCredits>,
    /// Most runners of this pool at any moment.
    pub max_runners: u32,
    /// Minutes after which an instance is ended whatever it does.
    pub max_lifetime_minutes: u32,
    /// Minutes within which an instance must have asked for its credential.
    pub boot_timeout_minutes: u32,
    /// Minutes that a registered runner may wait for a job.
    pub idle_timeout_minutes: u32,
    /// Whether its runners get the read-only clone token.
    pub clone_token: bool,
    /// Id of its launch template.
    pub template_id: String,
    /// Version of its launch template; a string, as EC2 has it.
    pub template_version: String,
}

/// One label and how the runner serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The name in `runs-on`.
    pub name: String,
    /// `host` or `docker://IMAGE`, as the runner's own label syntax has it.
    pub serve: String,
}

/// How a label is served on the machine itself.
pub const SERVE_HOST: &str = "host";

/// Where runners are registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The whole forge.
    Global,
    /// One organization (or user), by name.
    Organization(String),
    /// One repository, `owner/name`.
    Repository(String),
}

impl Scope {
    /// Whether it has `repository` (`owner/name`) in it. Forges compare names without case.
    #[must_use]
    pub fn admits(&self, repository: &str) -> bool {
        let owner = repository.split('/').next().unwrap_or_default();
        match self {
            Self::Global => true,
            Self::Organization(name) => name.eq_ignore_ascii_case(owner),
            Self::Repository(name) => name.eq_ignore_ascii_case(repository),
        }
    }
}

/// How instances are bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// Spot only.
    Spot,
    /// Spot first, On-Demand when no candidate has capacity.
    SpotThenOnDemand,
    /// On-Demand only.
    OnDemand,
}

/// CPU credit mode of T types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuCredits {
    /// The baseline, no surplus charges.
    Standard,
    /// Surplus credits, charged.
    Unlimited,
}

impl Pool {
    /// Whether it serves a job of `repository` (`owner/name`) that asks for `labels`.
    #[must_use]
    pub fn serves(&self, repository: &str, labels: &[String]) -> bool {
        self.serves_repository(repository) && self.serves_labels(labels)
    }

    /// Whether its runners carry every label of `labels`.
    #[must_use]
    pub fn serves_labels(&self, labels: &[String]) -> bool {
        if labels.is_empty() {
            return self.accepts_unlabelled;
        }
        labels
            .iter()
            .all(|label| self.labels.iter().any(|own| own.name == *label))
    }

    /// Whether a job that asks for `labels` runs on the machine itself. The first label that the
    /// runner knows decides (measured); a job without labels gets what the runner likes.
    #[must_use]
    pub fn runs_on_host(&self, labels: &[String]) -> bool {
        let is_host = |label: &Label| label.serve == SERVE_HOST;
        let mut known = labels
            .iter()
            .filter_map(|label| self.labels.iter().find(|own| own.name == *label));
        match known.next() {
            Some(first) => is_host(first),
            None => self.labels.iter().any(is_host),
        }
    }

    /// Whether scope and list of repositories admit `repository` (`owner/name`). Forges compare
    /// names without case.
    #[must_use]
    pub fn serves_repository(&self, repository: &str) -> bool {
        let owner = repository.split('/').next().unwrap_or_default();
        self.scope.admits(repository)
            && self
                .repositories
                .iter()
                .any(|pattern| match pattern.split_once('/') {
                    None => pattern == "*",
                    Some((of, "*")) => of.eq_ignore_ascii_case(owner),
                    Some(_) => pattern.eq_ignore_ascii_case(repository),
                })
    }

    /// Its subnets, in order of preference.
    pub fn subnets(&self) -> impl Iterator<Item = &str> {
        self.subnets
            .split(',')
            .map(str::trim)
            .filter(|subnet| !subnet.is_empty())
    }
}
