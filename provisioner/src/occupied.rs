//! Names that are taken. CloudFormation takes nothing over: a resource that it is to make and whose
//! name exists fails the stack, minutes later and without a way on. So before anything happens each
//! such name is looked for, and a stack whose names are taken is not touched.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::differ::Effect;
use crate::plan::{Action, StackPlan};
use crate::render::{Template, flatten};

/// A resource that would be made under a name that the template gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// What it is.
    pub kind: NamedKind,
    /// Its physical name.
    pub name: String,
}

/// Kinds of resources whose names are looked for: what an earlier deployment may have left, and what
/// somebody else may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedKind {
    /// The ledger.
    Table,
    /// The bucket of the code.
    Bucket,
    /// The dispatcher's log group.
    LogGroup,
    /// A role.
    Role,
    /// An instance profile.
    InstanceProfile,
    /// The function.
    Function,
    /// A launch template.
    LaunchTemplate,
    /// The security group.
    SecurityGroup,
    /// A parameter.
    Parameter,
}

/// Whose a thing is that has a name of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// There is none.
    Nobody,
    /// It carries the deployment's tag: an earlier deployment of that name left it.
    Ours,
    /// It does not.
    Another,
}

impl Owner {
    /// By whether it exists, and carries our tag.
    #[must_use]
    pub const fn of(there: bool, ours: bool) -> Self {
        match (there, ours) {
            (false, _) => Self::Nobody,
            (true, true) => Self::Ours,
            (true, false) => Self::Another,
        }
    }
}

/// A name that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What has it.
    pub named: Named,
    /// Whether that carries the deployment's tag.
    pub ours: bool,
}

impl NamedKind {
    /// The kind of a CloudFormation type, and the property that names it.
    fn of(kind: &str) -> Option<(Self, &'static str)> {
        Some(match kind {
            "AWS::DynamoDB::Table" => (Self::Table, "TableName"),
            "AWS::S3::Bucket" => (Self::Bucket, "BucketName"),
            "AWS::Logs::LogGroup" => (Self::LogGroup, "LogGroupName"),
            "AWS::IAM::Role" => (Self::Role, "RoleName"),
            "AWS::IAM::InstanceProfile" => (Self::InstanceProfile, "InstanceProfileName"),
            "AWS::Lambda::Function" => (Self::Function, "FunctionName"),
            "AWS::EC2::LaunchTemplate" => (Self::LaunchTemplate, "LaunchTemplateName"),
            "AWS::EC2::SecurityGroup" => (Self::SecurityGroup, "GroupName"),
            "AWS::SSM::Parameter" => (Self::Parameter, "Name"),
            _ => return None,
        })
    }

    /// What to do about one that is taken.
    const fn remedy(self, ours: bool) -> &'static str {
        match self {
            Self::Table | Self::Bucket | Self::LogGroup | Self::Parameter if ours => {
                "left of an earlier deployment: `cargo xtask down ENV` shows and deletes it; in use: \
                 choose another `name`"
            }
            Self::Table | Self::Bucket | Self::LogGroup | Self::Parameter => {
                "it does not carry this deployment's tag, so it is somebody else's, and `down` leaves it: \
                 choose another `name`, or delete it by hand"
            }
            Self::Role | Self::InstanceProfile => {
                "its name is the whole account's, so a deployment of this name may be in another \
                 region: choose another `name`; else delete it by hand"
            }
            Self::Function | Self::LaunchTemplate | Self::SecurityGroup => {
                "no stack of this deployment holds it: choose another `name`, or delete it by hand"
            }
        }
    }
}

impl fmt::Display for NamedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Bucket => "bucket",
            Self::LogGroup => "log group",
            Self::Role => "role",
            Self::InstanceProfile => "instance profile",
            Self::Function => "function",
            Self::LaunchTemplate => "launch template",
            Self::SecurityGroup => "security group",
            Self::Parameter => "parameter",
        })
    }
}

/// The names of everything that `plan` would make anew. What a failed operation left in the stack is
/// the stack's own and goes with the repair.
#[must_use]
pub fn names(plan: &StackPlan, template: &Template, account: &str, region: &str) -> Vec<Named> {
    let is_new = |id: &str| {
        let mut changes = plan.resources.iter();
        let new = changes.any(|change| change.id == id && change.effect == Effect::Create);
        new && !plan.remains.iter().any(|remaining| remaining.id == id)
    };
    let resources = template.value["Resources"]
        .as_object()
        .into_iter()
        .flatten();
    resources
        .filter(|(id, _)| is_new(id))
        .filter_map(|(_, resource)| {
            let (kind, property) = NamedKind::of(resource["Type"].as_str()?)?;
            let name = physical(&resource["Properties"][property], account, region)?;
            Some(Named { kind, name })
        })
        .collect()
}

/// A name as CloudFormation fills it.
fn physical(name: &Value, account: &str, region: &str) -> Option<String> {
    let text = name
        .as_str()
        .or_else(|| name.get("Fn::Sub")?.as_str())
        .map_or_else(|| flatten(name), |text| Some(text.to_owned()))?;
    let filled = text
        .replace("${AWS::AccountId}", account)
        .replace("${AWS::Region}", region);
    (!filled.contains("${")).then_some(filled)
}

/// Why a stack can't be made or changed while `taken` exists; nothing stands in its way without.
#[must_use]
pub fn blocked(taken: &[Taken]) -> Option<Action> {
    let mut by_remedy: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Taken { named, ours } in taken {
        let Named { kind, name } = named;
        let alike = by_remedy.entry(kind.remedy(*ours)).or_default();
        alike.push(format!("{kind} {name}"));
    }
    let sentences: Vec<String> = by_remedy
        .into_iter()
        .map(|(remedy, alike)| format!("{} ({remedy})", alike.join(", ")))
        .collect();
    let because = format!(
        "what it would make exists already: {}",
        sentences.join("; ")
    );
    (!taken.is_empty()).then_some(Action::Blocked(because))
}
