//! Names of everything that a deployment owns, derived from its one `name` (DESIGN: two
//! environments live side by side in one account).

use serde::Serialize;

/// Environment variable of the dispatcher: the deployment's name. All else is derived from it or
/// read from the parameters under [`Names::parameters`].
pub const ENV_NAME: &str = "CI_NAME";
/// Environment variable of the dispatcher: the log filter, in `tracing` syntax (`info` when unset).
/// What Lambda runs has no lines below `info`; a debug build has.
pub const ENV_LOG: &str = "CI_LOG";

/// Environment variable of the dispatcher: another address for the forge, as `AWS_ENDPOINT_URL` is
/// one for AWS. Never set by a stack; the lab's functions inherit it.
pub const ENV_FORGE_ENDPOINT: &str = "CI_FORGE_ENDPOINT";

/// Route of the forge's deliveries.
pub const ROUTE_DISPATCH: &str = "POST /dispatch";
/// Route of the runners' requests, with IAM authorization.
pub const ROUTE_RUNNER: &str = "POST /runner";

/// `action` of the scheduled event: end what is over its limit, sweep, re-issue, drain.
pub const ACTION_CLEANUP: &str = "cleanup";
/// `action` of the nudge that the dispatcher sends itself after it recorded a job.
pub const ACTION_DRAIN: &str = "drain";

/// `action` of the call with which `down` begins: end every machine, unregister every runner, and
/// launch nothing.
pub const ACTION_RETIRE: &str = "retire";
/// Tries every call that the function makes, without effect: [`crate::rehearsal`].
pub const ACTION_REHEARSE: &str = "rehearse";
/// One step of a smoke test: [`crate::smoke_test`].
pub const ACTION_SMOKE_TEST: &str = "smoke-test";

/// `action` of the call with which a person has jobs recorded and not launched for: of one pool, of one
/// repository, or all.
pub const ACTION_PAUSE: &str = "pause";
/// `action` of the call that ends such a pause.
pub const ACTION_RESUME: &str = "resume";
/// `action` of the call that lists the jobs that waited at the forge before the deployment was there, and
/// with `"include": true` has machines launched for them too.
pub const ACTION_WAITING: &str = "waiting";

/// Field of the tick's log line, only while jobs wait: how long the oldest has waited, in seconds.
pub const LOG_OLDEST_WAITING_S: &str = "oldest_waiting_s";
/// Metric that a filter makes of that field, in the namespace of the deployment's name.
pub const METRIC_OLDEST_WAITING: &str = "OldestWaitingSeconds";

/// Field of the tick's log line, only while an image that machines start from is old: its age, in days.
pub const LOG_IMAGE_AGE_DAYS: &str = "image_age_days";
/// Metric that a filter makes of that field, in the namespace of the deployment's name.
pub const METRIC_IMAGE_AGE: &str = "ImageAgeDays";

/// Field of the log line that tells of a new image whose machines did not come up: how many.
pub const LOG_BOOT_FAILURES: &str = "boot_failures";
/// Metric that a filter makes of that field, in the namespace of the deployment's name.
pub const METRIC_BOOT_FAILURES: &str = "BootFailures";

/// Parameter of the `runner` and `dispatch` templates: id of the HTTP API that `state` owns.
pub const PARAM_API_ID: &str = "ApiId";
/// Parameter of the `runner` and `dispatch` templates: subnets to launch in, separated by commas.
pub const PARAM_SUBNET_IDS: &str = "SubnetIds";
/// Parameter of the `runner` template: the VPC of those subnets.
pub const PARAM_VPC_ID: &str = "VpcId";
/// End of a parameter of the `runner` template, after the pool's [`logical_id`]: the device of the root
/// volume of its image.
pub const PARAM_ROOT_DEVICE: &str = "RootDevice";
/// Parameter of the `dispatch` template: key of the function's code in the artifacts bucket.
pub const PARAM_CODE_KEY: &str = "CodeKey";
/// Output of `state`: id of the HTTP API.
pub const OUTPUT_API_ID: &str = "ApiId";
/// Output of `state`: address of the HTTP API, without a path.
pub const OUTPUT_API_ENDPOINT: &str = "ApiEndpoint";

/// Attribute of the ledger: the partition key, a string.
pub const ATTRIBUTE_PARTITION: &str = "pk";
/// Attribute of the ledger: the sort key, a string.
pub const ATTRIBUTE_SORT: &str = "sk";
/// Attribute of the ledger: when the row may be deleted, in seconds since 1970.
pub const ATTRIBUTE_TTL: &str = "ttl";

/// Longest deployment name: `<name>-artifacts-<account>-<region>` must fit 63 characters with the
/// longest region name (14), and role names (64) must fit `<name>-runner-<permissions>`.
pub const NAME_MAX_CHARS: usize = 24;

/// The names of one deployment. Serialized, it is the `names` object of the template context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names {
    /// The deployment's own name, which prefixes everything.
    pub name: String,
    /// The dispatcher's Lambda function.
    pub function: String,
    /// The ledger, a DynamoDB table.
    pub table: String,
    /// The dispatcher's log group.
    pub log_group: String,
    /// The log group of the machines' last words, with a stream for each pool.
    pub machine_log_group: String,
    /// The dispatcher's role.
    pub function_role: String,
    /// The role that Scheduler assumes to invoke the tick.
    pub schedule_role: String,
    /// The role of the experiment that `acceptance` makes, and deletes afterwards.
    pub experiment_role: String,
    /// The schedule of the tick.
    pub schedule: String,
    /// The `EventBridge` rule for EC2 state changes.
    pub state_rule: String,
    /// The `EventBridge` rule for Spot interruption warnings.
    pub interruption_rule: String,
    /// The HTTP API.
    pub api: String,
    /// The runners' security group.
    pub security_group: String,
    /// Role and instance profile of pools without permissions of their own; see [`Names::runner_role`].
    pub runner: String,
    /// Topic that alarms go to.
    pub topic: String,
    /// Stack of what must survive: table, bucket, log group, HTTP API.
    pub stack_state: String,
    /// Stack of what runners are made of: security group, roles, launch templates, pool documents.
    pub stack_runner: String,
    /// Stack of the dispatcher: function, routes, schedule, rules, alarms.
    pub stack_dispatch: String,
    /// Tag key that everything of this deployment carries. On instances its value is the pool. People
    /// find things by it; it proves nothing, since anybody may use such a word as a key.
    pub tag: String,
    /// Tag key of an instance's launch id. An instance is ours if it carries this one, which only our
    /// launches set, at birth: sweep, `down` and the right to end machines go by it.
    pub tag_launch: String,
    /// Tag key of an instance's own time limit in minutes: the sweep needs nothing else to end it.
    pub tag_max_lifetime_minutes: String,
    /// Tag key of the moment after which the sweep ends an instance that makes or tries an image.
    pub tag_expires: String,
    /// Tag key of the image that an AMI and its snapshot are of: by it they are found, and are ours.
    pub tag_image: String,
    /// Root of the deployment's parameters, without a slash at its end.
    pub parameters: String,
    /// Parameter: the [`crate::pool::Settings`] document.
    pub parameter_settings: String,
    /// Parameter folder of the [`crate::pool::Pool`] documents, with a slash at its end.
    pub parameter_pools: String,
    /// Parameter folder of the secrets, with a slash at its end.
    pub parameter_secrets: String,
    /// Parameter folder of the images, with a slash at its end; see [`Names::image`].
    pub parameter_images: String,
    /// Parameter: the forge's CA certificate as PEM, when it has one of its own.
    pub parameter_forge_ca: String,
}

impl Names {
    /// All names of the deployment called `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let with = |suffix: &str| format!("{name}-{suffix}");
        Self {
            name: name.to_owned(),
            function: with("dispatch"),
            table: with("runs"),
            log_group: format!("/aws/lambda/{name}-dispatch"),
            machine_log_group: format!("/{name}/machines"),
            function_role: with("dispatch"),
            schedule_role: with("tick"),
            experiment_role: with("experiment"),
            schedule: with("tick"),
            state_rule: with("instance-state"),
            interruption_rule: with("spot-interruption"),
            api: with("api"),
            security_group: with("runner"),
            runner: with("runner"),
            topic: with("alarms"),
            stack_state: with("state"),
            stack_runner: with("runner"),
            stack_dispatch: with("dispatch"),
            tag: name.to_owned(),
            tag_launch: format!("{name}:launch"),
            tag_max_lifetime_minutes: format!("{name}:max-lifetime-minutes"),
            tag_expires: format!("{name}:expires"),
            tag_image: format!("{name}:image"),
            parameters: format!("/{name}"),
            parameter_settings: format!("/{name}/settings"),
            parameter_pools: format!("/{name}/pool/"),
            parameter_secrets: format!("/{name}/secret/"),
            parameter_images: format!("/{name}/ami/"),
            parameter_forge_ca: format!("/{name}/forge-ca"),
        }
    }

    /// Bucket of the Lambda's code. Bucket names are global, hence account and region.
    #[must_use]
    pub fn bucket(&self, account: &str, region: &str) -> String {
        format!("{}-artifacts-{account}-{region}", self.name)
    }

    /// Launch template of one pool.
    #[must_use]
    pub fn launch_template(&self, pool: &str) -> String {
        format!("{}-{pool}", self.name)
    }

    /// Role and instance profile of the pools that hold the set called `permissions`
    /// (`None`: nothing beyond asking for their own credential).
    #[must_use]
    pub fn runner_role(&self, permissions: Option<&str>) -> String {
        match permissions {
            None | Some(PERMISSIONS_RUNNER) => self.runner.clone(),
            Some(permissions) => format!("{}-{permissions}", self.runner),
        }
    }

    /// Whether `role` is one of the runners' roles, the only callers that the runner route serves.
    #[must_use]
    pub fn is_runner_role(&self, role: &str) -> bool {
        role.strip_prefix(&self.runner)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Parameter of one secret.
    #[must_use]
    pub fn secret(&self, secret: SecretName) -> String {
        format!("{}{}", self.parameter_secrets, secret.name())
    }

    /// Whether `path` is a parameter of this deployment. Somebody may keep others below the same root, which
    /// are theirs.
    #[must_use]
    pub fn is_parameter(&self, path: &str) -> bool {
        let is_pool = |pool: &str| !pool.is_empty() && !pool.contains('/');
        let is_image = |path: &str| {
            let path = path.strip_suffix(IMAGE_RECORD).unwrap_or(path);
            path.split_once('/')
                .is_some_and(|(image, arch)| is_pool(image) && is_pool(arch))
        };
        [&self.parameter_settings, &self.parameter_forge_ca]
            .into_iter()
            .any(|own| own == path)
            || path
                .strip_prefix(&self.parameter_pools)
                .is_some_and(is_pool)
            || path
                .strip_prefix(&self.parameter_images)
                .is_some_and(is_image)
            || SecretName::ALL.iter().any(|it| self.secret(*it) == path)
    }

    /// Parameter that holds the AMI that instances of `image` start from on machines of `arch`.
    #[must_use]
    pub fn image(&self, image: &str, arch: &str) -> String {
        format!("{}{image}/{arch}", self.parameter_images)
    }

    /// Parameter beside it: the [`crate::images::ImageRecord`].
    #[must_use]
    pub fn image_record(&self, image: &str, arch: &str) -> String {
        self.image(image, arch) + IMAGE_RECORD
    }

    /// Name of the AMI that is the `version` of `image`: every build has its own number, whatever its
    /// architecture.
    #[must_use]
    pub fn ami(&self, image: &str, version: u32) -> String {
        format!("{}-{image}-v{version}", self.runner)
    }

    /// Parameter of one pool's document.
    #[must_use]
    pub fn pool(&self, pool: &str) -> String {
        format!("{}{pool}", self.parameter_pools)
    }
}

/// What the path of an image's record adds to that of its parameter.
pub const IMAGE_RECORD: &str = "/record";

/// What the launch of an instance begins with that makes or tries an image; the rest is the image's digest. No
/// launch for a job has such an id.
pub const IMAGE_LAUNCH: &str = "ami:";

/// Id of a resource in a template, which has letters and digits only: `Pool` and `go-arm` give
/// `PoolGoArm`.
#[must_use]
pub fn logical_id(prefix: &str, name: &str) -> String {
    let mut id = prefix.to_owned();
    for word in name.split('-') {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

/// Id of the role of the pools that hold the set called `permissions`, without `Role` at its end. Where
/// two sets have one role name ([`Names::runner_role`]) they have one id: a name that moved to another id
/// would be made there before it is deleted here, and fail the update.
#[must_use]
pub fn role_id(permissions: Option<&str>) -> String {
    match permissions {
        None | Some(PERMISSIONS_RUNNER) => "Plain".to_owned(),
        Some(permissions) => logical_id("", permissions),
    }
}

/// The set of permissions whose role has the plain name `<name>-runner`, as in the reference.
pub const PERMISSIONS_RUNNER: &str = "runner";

/// What lives in `SecureString` parameters, written by `up` and `secret set`, never by a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretName {
    /// Shared with the forge; signs every delivery.
    Webhook,
    /// The forge's API token of the dispatcher.
    ForgeToken,
    /// The forge's reusable runner registration token, global scope.
    RegistrationToken,
    /// Read-only token with which jobs of pools with `clone_token` clone.
    CloneToken,
}

impl SecretName {
    /// Every secret, in the order in which people are asked for them.
    pub const ALL: [Self; 4] = [
        Self::Webhook,
        Self::ForgeToken,
        Self::RegistrationToken,
        Self::CloneToken,
    ];

    /// The name that people type and that ends the parameter's path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ForgeToken => "forge-token",
            Self::RegistrationToken => "registration-token",
            Self::CloneToken => "clone-token",
        }
    }

    /// The secret called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|secret| secret.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_finds_its_names_again() {
        let names = Names::of("tinqs-ci");
        assert_eq!(names.function, "tinqs-ci-dispatch");
        assert_eq!(names.table, "tinqs-ci-runs");
        assert_eq!(names.runner_role(Some("runner")), "tinqs-ci-runner");
        assert_eq!(names.log_group, "/aws/lambda/tinqs-ci-dispatch");
    }

    #[test]
    fn only_runner_roles_of_this_deployment_are_runner_roles() {
        let names = Names::of("ci");
        assert!(names.is_runner_role("ci-runner"));
        assert!(names.is_runner_role("ci-runner-deploy"));
        assert!(!names.is_runner_role("ci-runnerx"));
        assert!(!names.is_runner_role("ci-dispatch"));
    }

    #[test]
    fn what_somebody_keeps_below_our_root_is_theirs() {
        let names = Names::of("ci");
        for own in [
            "/ci/settings",
            "/ci/pool/go",
            "/ci/secret/webhook",
            "/ci/forge-ca",
            "/ci/ami/go/x86_64",
            "/ci/ami/go/x86_64/record",
        ] {
            assert!(names.is_parameter(own), "{own}");
        }
        for theirs in [
            "/ci/prod/password",
            "/ci/pool/go/password",
            "/ci/pool/",
            "/ci/secret/database",
            "/ci/ami/go",
            "/ci/ami/go/record",
            "/ci/ami/go/x86_64/record/old",
            "/ci/ami/go/x86_64/old",
            "/ci-two/settings",
        ] {
            assert!(!names.is_parameter(theirs), "{theirs}");
        }
    }

    #[test]
    fn every_secret_is_found_by_its_name() {
        for secret in SecretName::ALL {
            assert_eq!(SecretName::named(secret.name()), Some(secret));
        }
        assert_eq!(SecretName::named("password"), None);
    }
}
