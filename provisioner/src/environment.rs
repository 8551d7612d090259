//! The environment: one file with everything that differs between two deployments.
//!
//! Rule: an [`Environment`] exists only if the file passed every check, so that nothing behind it
//! checks again. All problems of a file are reported together, each with its line.

mod check;
mod host;
mod parse;
mod pool;
mod read;
mod repositories;
mod runner;
mod syntax;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stacks::names::Names;
use stacks::pool::{CapacityType, ForgeKind, Pool as PoolDocument, Scope};

pub use crate::ami::Stock;
pub use crate::arch::Arch;
pub(crate) use host::TOOL_CACHE;
pub use host::{Host, RunAs};
pub use read::Problem;

/// Most pools of a deployment: the dispatcher reads a document of up to 4 KB for each, and its policy
/// names the role of each, in 10,240 characters.
pub const POOLS_MAX: usize = 16;

/// What one deployment is, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Prefix of every name.
    pub name: String,
    /// The only account that it may be deployed to, when given.
    pub account_id: Option<String>,
    /// Region of everything.
    pub region: String,
    /// Address that alarms are mailed to.
    pub notify: Option<String>,
    /// Minutes between two ticks.
    pub tick_minutes: u32,
    /// Minutes that a job may wait before the alarm goes off.
    pub waiting_alarm_minutes: u32,
    /// ARN of the permissions boundary of every role.
    pub permissions_boundary: Option<String>,
    /// Whether runners may hold permissions although more repositories can use them than the pool names.
    pub trust_all_repositories: bool,
    /// Most runners of all pools together.
    pub max_runners: u32,
    /// Tags of everything, beside the deployment's own.
    pub tags: BTreeMap<String, String>,
    /// The forge.
    pub forge: Forge,
    /// The dispatcher's function.
    pub dispatcher: Dispatcher,
    /// Where runners live.
    pub network: Network,
    /// The runner that boot installs on stock images.
    pub runner: RunnerBinary,
    /// Sets of permissions by name.
    pub permissions: BTreeMap<String, Permissions>,
    /// Pools, in the order of their names.
    pub pools: Vec<Pool>,
}

/// The forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forge {
    /// Its address, without a slash at its end.
    pub url: String,
    /// What it calls itself, when that is another address.
    pub root_url: Option<String>,
    /// The port of `url`.
    pub port: u16,
    /// Which forge it is.
    pub kind: ForgeKind,
    /// Whether machines may be given a credential that outlives their job.
    pub accept_reusable_credentials: bool,
    /// Whether the forge is asked for its list of jobs some seconds after an event.
    pub poll_after_events: bool,
    /// Its CA certificate as PEM.
    pub ca: Option<String>,
}

/// The dispatcher's function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatcher {
    /// Memory, which also sets its share of a CPU.
    pub memory_mb: u32,
    /// What its code is compiled for.
    pub arch: Arch,
}

/// Where runners live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The VPC; the subnets' or the default one when left out.
    pub vpc: Option<String>,
    /// Subnets in order of preference; all of the default VPC when empty.
    pub subnets: Vec<String>,
    /// Whether the subnets have to give public addresses.
    pub assign_public_ip: bool,
    /// Ports to reach beside 443 and the forge's own.
    pub egress: Vec<EgressPort>,
}

/// A port that runners may reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EgressPort {
    /// Its number.
    pub port: u16,
    /// The addresses behind it; every one when left out.
    pub cidr: Option<String>,
}

/// The runner that boot installs on stock images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerBinary {
    /// Its version.
    pub version: String,
    /// Its checksum per architecture.
    pub sha256: BTreeMap<Arch, String>,
}

/// What jobs of a pool may do in the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Buckets and key patterns, `bucket/prefix/*`.
    pub s3: Vec<String>,
    /// Repositories.
    pub ecr: Vec<String>,
    /// Services, `cluster/service`.
    pub ecs: Vec<String>,
    /// Parameters.
    pub ssm: Vec<String>,
    /// Managed policies, by ARN or by the name of one of AWS's own.
    pub policy_arns: Vec<String>,
    /// Roles that may be given to tasks, by name.
    pub pass_role_arns: Vec<String>,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// What the dispatcher is told of it. What only CloudFormation knows (subnets, launch template) is
    /// empty here.
    pub document: PoolDocument,
    /// The image of its instances.
    pub image: Image,
    /// Architecture of image and types.
    pub arch: Arch,
    /// Size of the root volume.
    pub root_volume_gb: u32,
    /// Name of its set of permissions.
    pub permissions: Option<String>,
    /// What its jobs are on the machine, and what they find there.
    pub host: Host,
}

/// Who can run jobs on a pool's runners, compared with what the pool names. The forge gives a runner
/// any matching job of its scope: neither labels nor `repositories` keep one away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Nobody beyond the repositories that it names.
    AsNamed,
    /// Every repository of its scope, which are more than it names.
    WholeScope,
    /// Every repository of the forge.
    Everybody,
}

impl Pool {
    /// What its jobs can reach beside their machine, as people say it.
    #[must_use]
    pub fn holdings(&self) -> Option<String> {
        let permissions = self.permissions.as_ref();
        let permissions = permissions.map(|name| format!("the permissions `{name}`"));
        let token = self
            .document
            .clone_token
            .then(|| "the clone token".to_owned());
        let both: Vec<String> = permissions.into_iter().chain(token).collect();
        (!both.is_empty()).then(|| both.join(" and "))
    }

    /// Who can run jobs on its runners.
    #[must_use]
    pub fn users(&self) -> Users {
        let (scope, repositories) = (&self.document.scope, &self.document.repositories);
        if *scope == Scope::Global {
            Users::Everybody
        } else if repositories::are_fewer_than(scope, repositories) {
            Users::WholeScope
        } else {
            Users::AsNamed
        }
    }
}

/// The image of a pool's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// An AMI by its id.
    Ami(String),
    /// The AMI that a parameter names.
    Parameter(String),
    /// A system as its maker ships it; boot installs what jobs need.
    Stock(Stock),
    /// One of ours, by its name in `ami/images.toml`; a stock image until it is built.
    Built {
        /// Its name.
        name: String,
        /// The distribution that it is built on.
        stock: Stock,
    },
}

impl Image {
    /// Whether it is the one of ours that is called `name`.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        matches!(self, Self::Built { name: own, .. } if own == name)
    }

    /// The distribution that boot has to do with, if it installs anything.
    #[must_use]
    pub fn installs_on(&self) -> Option<Stock> {
        match self {
            Self::Ami(_) | Self::Parameter(_) => None,
            // Until it is built, its machines start from a stock image; what is there is not installed.
            Self::Stock(stock) | Self::Built { stock, .. } => Some(*stock),
        }
    }
}

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The file can't be read.
    #[error(
        "cannot read {path}; an environment is a file in stacks/environments, named without its .toml"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something wrong.
    #[error("{}", listed(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, in the order of its lines.
        problems: Vec<Problem>,
    },
}

/// Reads and checks the environment file at `path`.
pub fn load(path: &Path) -> Result<Environment, EnvironmentError> {
    let source = std::fs::read_to_string(path).map_err(|source| EnvironmentError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Environment::parse(&source, folder).map_err(|problems| EnvironmentError::Wrong {
        path: path.to_owned(),
        problems,
    })
}

impl Environment {
    /// The environment that `source` describes; files that it names are relative to `folder`.
    pub fn parse(source: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        parse::environment(source, folder)
    }

    /// The names of the deployment.
    #[must_use]
    pub fn names(&self) -> Names {
        Names::of(&self.name)
    }

    /// The time between two scheduled reconciles.
    #[must_use]
    pub fn tick(&self) -> Duration {
        Duration::from_mins(self.tick_minutes.into())
    }

    /// The part of AWS that its region is in, as ARNs begin with it.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// The environment's tags, and the deployment's own with `value`: a pool, or a stack's word.
    #[must_use]
    pub fn tags_with(&self, value: &str) -> BTreeMap<String, String> {
        let mut tags = self.tags.clone();
        tags.insert(self.names().tag, value.to_owned());
        tags
    }

    /// Whether any pool buys Spot.
    #[must_use]
    pub fn uses_spot(&self) -> bool {
        let mut pools = self.pools.iter();
        pools.any(|pool| pool.document.capacity != CapacityType::OnDemand)
    }

    /// Whether boot installs packages of Ubuntu anywhere, which come over plain HTTP and are signed.
    #[must_use]
    pub fn uses_ubuntu(&self) -> bool {
        let mut pools = self.pools.iter();
        pools.any(|pool| pool.image.installs_on() == Some(Stock::Ubuntu))
    }

    /// The distribution that its images are built on: the same for all, which the checks see to.
    #[must_use]
    pub fn stock(&self) -> Stock {
        let mut pools = self.pools.iter();
        let stock = pools.find_map(|pool| match &pool.image {
            Image::Built { stock, .. } => Some(*stock),
            Image::Ami(_) | Image::Parameter(_) | Image::Stock(_) => None,
        });
        stock.unwrap_or(Stock::Al2023)
    }

    /// Whether any pool hands out the clone token.
    #[must_use]
    pub fn uses_clone_token(&self) -> bool {
        self.pools.iter().any(|pool| pool.document.clone_token)
    }
}

fn listed(path: &Path, problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{}:{problem}", path.display()))
        .collect::<Vec<_>>()
        .join("\n")
}
