//! `cargo xtask permissions ENV`: the least policy of whoever deploys an environment. CloudFormation acts
//! with the rights of whoever called it, so it is what the resource types say that they call, bound to the
//! names of this deployment, and what the command line calls itself.
//!
//! Derived, and tried in the lab alone: no account of AWS has seen it. Types name more than they need for
//! templates like ours; what only [`FEATURES`] need that no template uses is left out.

mod commands;
mod images;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use provisioner::Environment;
use provisioner::environment;
use serde::Deserialize;
use serde_json::{Value, json};
use stacks::names::Names;

use crate::error::Error;
use crate::output::say;

/// What each resource type says that it calls; `judges/handlers.mjs` writes it, and compares it.
const HANDLERS: &str = include_str!("permissions/handlers.json");
/// Most characters of one managed policy. IAM counts no white space.
const POLICY_MAX_CHARS: usize = 6144;
/// Words of actions that write what no template of ours has. What reads stays: types read all there is.
#[rustfmt::skip]
const FEATURES: &[&str] = &[
    "Abac", "Accelerate", "Acl", "Analytics", "BearerToken", "BucketLogging", "BucketVersioning", "CORS",
    "Cors", "CapacityProvider", "CodeSigning", "ContributorInsights", "DataProtection", "Import",
    "IndexPolicy", "Ingress", "IntelligentTiering", "Inventory", "KinesisStreaming", "KmsKey", "LogDelivery",
    "Metadata", "MetricsConfiguration", "Notification", "ObjectLock", "RecursionConfig", "Replica",
    "Replication", "ResourcePolicy", "ScalingConfig", "Website",
];
/// What tables are filled and copied with where another feature makes them.
#[rustfmt::skip]
const ITEMS: &[&str] = &[
    "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem",
    "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
];
/// Who may be given a role: the function, the schedule, the instances.
const PASSED_TO: [&str; 3] = [
    "ec2.amazonaws.com",
    "lambda.amazonaws.com",
    "scheduler.amazonaws.com",
];

#[derive(Deserialize)]
struct Handlers {
    types: BTreeMap<String, BTreeSet<String>>,
    /// Actions that can't be bound to a resource.
    unbound: BTreeSet<String>,
}

/// Prints the policies of the environment file, by name: of who deploys it, or of who builds its images.
pub fn run(path: &Path, images: bool) -> Result<(), Error> {
    let environment = environment::load(path).map_err(provisioner::Error::from)?;
    let policies = if images {
        let statements = images::alone(&environment, &Place::of(&environment));
        vec![(
            format!("{}-images", environment.name),
            document(&statements),
        )]
    } else {
        policies(&environment)?
    };
    let policies: serde_json::Map<_, _> = policies.into_iter().collect();
    say(&format!("{:#}", Value::Object(policies)));
    Ok(())
}

/// One policy or several, each within IAM's limit.
fn policies(environment: &Environment) -> Result<Vec<(String, Value)>, Error> {
    let place = Place::of(environment);
    let types = types(environment)?;
    let mut statements = commands::statements(environment, &place);
    statements.extend(images::statements(&place));
    statements.extend(of_stacks(&place, &types));
    let mut policies: Vec<Vec<Value>> = Vec::new();
    for statement in statements {
        match policies.last_mut() {
            Some(last)
                if length(last) + length(std::slice::from_ref(&statement)) <= POLICY_MAX_CHARS =>
            {
                last.push(statement);
            }
            Some(_) | None => policies.push(vec![statement]),
        }
    }
    let named = policies.into_iter().zip(1..).map(|(statements, number)| {
        let name = format!("{}-deploy-{number}", environment.name);
        (name, document(&statements))
    });
    Ok(named.collect())
}

fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn length(statements: &[Value]) -> usize {
    let text = document(statements).to_string();
    text.chars().filter(|it| !it.is_whitespace()).count()
}

/// The types of resources that its stacks have.
fn types(environment: &Environment) -> Result<BTreeSet<String>, Error> {
    let rendered = provisioner::render(environment).map_err(provisioner::Error::from)?;
    let resources = rendered
        .templates
        .iter()
        .filter_map(|it| it.value["Resources"].as_object());
    let types = resources.flat_map(|it| it.values().filter_map(|it| it["Type"].as_str()));
    Ok(types.map(str::to_owned).collect())
}

/// Where everything is.
struct Place {
    partition: &'static str,
    region: String,
    account: String,
    bucket: String,
    names: Names,
}

impl Place {
    fn of(environment: &Environment) -> Self {
        let names = environment.names();
        let account = environment.account_id.as_deref().unwrap_or("*");
        Self {
            partition: environment.partition(),
            region: environment.region.clone(),
            account: account.to_owned(),
            bucket: names.bucket(account, &environment.region),
            names,
        }
    }

    /// Of something that has a region and an account.
    fn regional(&self, service: &str, resource: &str) -> String {
        let Self {
            partition,
            region,
            account,
            ..
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    /// Of something that has an account alone.
    fn global(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition, self.account)
    }

    fn stacks(&self) -> Vec<String> {
        let Names {
            stack_state,
            stack_runner,
            stack_dispatch,
            ..
        } = &self.names;
        let arn = |name| self.regional("cloudformation", &format!("stack/{name}/*"));
        [stack_state, stack_runner, stack_dispatch].map(arn).into()
    }

    fn buckets(&self) -> Vec<String> {
        let arn = format!("arn:{}:s3:::{}", self.partition, self.bucket);
        vec![arn.clone(), format!("{arn}/*")]
    }

    fn parameters(&self) -> Vec<String> {
        // What is read by its path is asked for with the path itself.
        let root = &self.names.parameters;
        ["", "/*"]
            .map(|below| self.regional("ssm", &format!("parameter{root}{below}")))
            .into()
    }

    fn functions(&self) -> Vec<String> {
        let name = &self.names.function;
        let arn = |suffix| self.regional("lambda", &format!("function:{name}{suffix}"));
        ["", ":*"].map(arn).into()
    }

    fn roles(&self) -> Vec<String> {
        let Names {
            function_role,
            schedule_role,
            ..
        } = &self.names;
        let own = [function_role, schedule_role].map(|name| self.global(&format!("role/{name}")));
        own.into_iter().chain(self.runner_roles()).collect()
    }

    /// Of machines.
    fn runner_roles(&self) -> Vec<String> {
        let runner = &self.names.runner;
        let all = [runner.clone(), format!("{runner}-*")];
        all.map(|name| self.global(&format!("role/{name}"))).into()
    }

    /// What a service's resources of the deployment are called; `None` for a service of which it has none.
    fn own(&self, service: &str) -> Option<Vec<String>> {
        let names = &self.names;
        let one = |resource: String| vec![self.regional(service, &resource)];
        Some(match service {
            // Ids are made up by the service, so that no name can be asked for.
            "apigateway" => {
                let arn =
                    |path| format!("arn:{}:apigateway:{}::{path}", self.partition, self.region);
                ["/apis", "/apis/*", "/tags/*"].map(arn).into()
            }
            "ec2" => ["launch-template/*", "security-group/*", "vpc/*"]
                .map(|resource| self.regional(service, resource))
                .into(),
            "cloudwatch" => one(format!("alarm:{}-*", names.name)),
            "dynamodb" => one(format!("table/{}", names.table)),
            "events" => [&names.state_rule, &names.interruption_rule]
                .map(|rule| self.regional(service, &format!("rule/{rule}")))
                .into(),
            "iam" => {
                let profiles = [names.runner.clone(), format!("{}-*", names.runner)];
                let profiles =
                    profiles.map(|name| self.global(&format!("instance-profile/{name}")));
                let experiment = self.global(&format!("role/{}", names.experiment_role));
                let roles = self.roles().into_iter().chain([experiment]);
                roles.chain(profiles).collect()
            }
            "lambda" => self.functions(),
            "logs" => [&names.log_group, &names.machine_log_group]
                .into_iter()
                .flat_map(|group| ["", ":*"].map(|suffix| format!("log-group:{group}{suffix}")))
                .map(|resource| self.regional(service, &resource))
                .collect(),
            "s3" => self.buckets(),
            "scheduler" => vec![
                self.regional(service, &format!("schedule-group/{}", names.name)),
                self.regional(
                    service,
                    &format!("schedule/{}/{}", names.name, names.schedule),
                ),
            ],
            "sns" => one(names.topic.clone()),
            "ssm" => self.parameters(),
            _ => return None,
        })
    }
}

/// The service whose resources a type is: `s3` of `AWS::S3::Bucket`.
fn service_of(kind: &str) -> String {
    let service = kind.split("::").nth(1).unwrap_or_default();
    match service {
        "ApiGatewayV2" => "apigateway".to_owned(),
        other => other.to_lowercase(),
    }
}

/// What CloudFormation calls for these types.
fn of_stacks(place: &Place, types: &BTreeSet<String>) -> Vec<Value> {
    let handlers: Handlers =
        serde_json::from_str(HANDLERS).expect("a test reads the table of this program");
    let mut own: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut unbound = BTreeSet::new();
    for kind in types {
        let service = service_of(kind);
        // Of other services they only need the code's bucket, which is there already, and to pass roles.
        let prefix = format!("{service}:");
        let actions = handlers.types.get(kind).into_iter().flatten();
        for action in actions.filter(|it| it.starts_with(&prefix) && is_needed(it)) {
            if handlers.unbound.contains(action) {
                unbound.insert(action.as_str());
            } else {
                own.entry(service.clone()).or_default().insert(action);
            }
        }
    }
    let bound = own.into_iter().filter_map(|(service, mut actions)| {
        actions.remove("iam:PassRole");
        let resources = place.own(&service)?;
        Some(allow(
            &format!("Stacks{}", capital(&service)),
            &actions,
            &resources,
        ))
    });
    let look = allow("StacksLook", &unbound, &["*".to_owned()]);
    let mut pass = allow("StacksPassRoles", &["iam:PassRole"].into(), &place.roles());
    pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": PASSED_TO } });
    bound.chain([look, pass]).collect()
}

/// Whether templates like ours need it.
fn is_needed(action: &str) -> bool {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    let reads = ["Get", "List", "Describe"];
    let is_read = reads.iter().any(|verb| name.starts_with(verb));
    let is_of_feature = FEATURES.iter().any(|word| name.contains(word));
    !ITEMS.contains(&action) && (is_read || !is_of_feature)
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

fn allow(sid: &str, actions: &BTreeSet<&str>, resources: &[String]) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments() -> Vec<Environment> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments");
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|file| environment::load(&file.unwrap().path()).unwrap());
        files.collect()
    }

    #[test]
    fn every_type_of_every_environment_is_known_and_has_resources() {
        let handlers: Handlers = serde_json::from_str(HANDLERS).unwrap();
        for environment in environments() {
            let place = Place::of(&environment);
            for kind in types(&environment).unwrap() {
                assert!(handlers.types.contains_key(&kind), "{kind}");
                assert!(place.own(&service_of(&kind)).is_some(), "{kind}");
            }
        }
    }

    /// Of a statement, each of its actions on each of its resources.
    fn granted(statement: &Value) -> Vec<(String, String)> {
        let words = |name: &str| statement[name].as_array().unwrap().clone();
        let pairs = words("Action").into_iter().flat_map(|action| {
            let on = |resource: Value| (action.to_string(), resource.to_string());
            words("Resource").into_iter().map(on).collect::<Vec<_>>()
        });
        pairs.collect()
    }

    #[test]
    fn who_builds_images_may_do_a_part_of_what_who_deploys_may() {
        for environment in environments() {
            let all = policies(&environment).unwrap();
            let all = all
                .iter()
                .flat_map(|it| it.1["Statement"].as_array().unwrap());
            let all: BTreeSet<_> = all.flat_map(granted).collect();
            let statements = images::alone(&environment, &Place::of(&environment));
            assert!(length(&statements) <= POLICY_MAX_CHARS);
            let below = environment.names().parameter_images;
            for (action, resource) in statements.iter().flat_map(granted) {
                let is_narrower = resource.contains(&below);
                let known = all
                    .iter()
                    .any(|(own, on)| *own == action && (is_narrower || *on == resource));
                assert!(known, "{action} on {resource}");
                assert!(!action.contains("cloudformation") && !action.contains("lambda"));
            }
        }
    }

    #[test]
    fn every_policy_fits_and_what_changes_things_is_bound_to_the_deployment() {
        for environment in environments() {
            for (name, policy) in policies(&environment).unwrap() {
                let statements = policy["Statement"].as_array().unwrap();
                assert!(length(statements) <= POLICY_MAX_CHARS, "{name}");
                for statement in statements
                    .iter()
                    .filter(|it| it["Resource"] == json!(["*"]))
                {
                    let actions = statement["Action"].as_array().unwrap();
                    let is_look = |action: &Value| {
                        let (_, name) = action.as_str().unwrap().split_once(':').unwrap();
                        ["Decode", "Describe", "GetEbs", "List"]
                            .iter()
                            .any(|verb| name.starts_with(verb))
                    };
                    assert!(actions.iter().all(is_look), "{statement}");
                }
            }
        }
    }
}
