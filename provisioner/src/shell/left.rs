//! What exists of a deployment, counted at AWS: what has a name of ours and carries our tag. What lacks
//! the tag is somebody else's, whatever it is called.

use std::collections::BTreeSet;

use stacks::names::Names;

use super::Shell;
use super::owner::is_tagged;
use crate::aws::CallError;
use crate::environment::Environment;
use crate::error::Error;
use crate::occupied::NamedKind;
use crate::render::{Stack, stack_name};
use crate::teardown::{Found, Kind};

impl Shell<'_> {
    /// Everything that exists of the deployment.
    pub(crate) async fn found(&self, environment: &Environment) -> Result<Vec<Found>, Error> {
        let names = environment.names();
        let tag = &names.tag;
        let mut found = Vec::new();
        for stack in Stack::ALL {
            let name = stack_name(environment, stack);
            let deployed = self.stack(&name).await?;
            if let Some(deployed) = deployed.filter(|it| it.is_of(tag)) {
                found.push(Found::new(Kind::Stack, name, deployed.status));
            }
        }
        for instance in self.instances(&names).await? {
            let detail = format!("{}, pool {}", instance.state, instance.pool);
            found.push(Found::new(Kind::Instance, instance.id, detail));
        }
        let bucket = names.bucket(&self.account, &environment.region);
        if self.is_ours(NamedKind::Bucket, &bucket, tag).await? {
            let objects = self.objects(&bucket).await?.len();
            found.push(Found::new(
                Kind::Bucket,
                bucket,
                format!("{objects} objects"),
            ));
        }
        if self.is_ours(NamedKind::Table, &names.table, tag).await? {
            found.push(Found::new(Kind::Table, names.table.clone(), String::new()));
        }
        for name in [&names.log_group, &names.machine_log_group] {
            if self.is_ours(NamedKind::LogGroup, name, tag).await? {
                found.push(Found::new(Kind::LogGroup, name.clone(), String::new()));
            }
        }
        for id in self.apis(&names).await? {
            found.push(Found::new(Kind::Api, id, names.api.clone()));
        }
        for image in self.image_ids(&names).await? {
            found.push(Found::new(Kind::Image, image, String::new()));
        }
        for snapshot in self.image_snapshots(&names).await? {
            found.push(Found::new(Kind::Snapshot, snapshot.id, String::new()));
        }
        for path in self.own_parameters(&names).await? {
            found.push(Found::new(Kind::Parameter, path, String::new()));
        }
        if self.has_function(&names).await? {
            found.push(Found::new(
                Kind::Function,
                names.function.clone(),
                String::new(),
            ));
        }
        let permissions = environment
            .permissions
            .keys()
            .map(|set| names.runner_role(Some(set)));
        let roles = [
            names.function_role.clone(),
            names.schedule_role.clone(),
            names.experiment_role.clone(),
            names.runner_role(None),
        ];
        let roles: BTreeSet<String> = roles.into_iter().chain(permissions).collect();
        for role in roles {
            if self.is_ours(NamedKind::Role, &role, tag).await? {
                found.push(Found::new(Kind::Role, role, String::new()));
            }
        }
        let templates = self.launch_templates("tag-key", tag).await?.into_iter();
        let templates = templates.filter_map(|template| template.launch_template_name);
        for template in templates.filter(|name| name.starts_with(&names.launch_template(""))) {
            found.push(Found::new(Kind::LaunchTemplate, template, String::new()));
        }
        let groups = self
            .security_groups(&names.security_group)
            .await?
            .into_iter();
        let groups = groups.filter(|group| is_tagged(group.tags(), tag));
        for group in groups.filter_map(|group| group.group_id) {
            found.push(Found::new(Kind::SecurityGroup, group, String::new()));
        }
        Ok(found)
    }

    /// Whether the deployment's function is there: one that is somebody else's is not called either.
    pub(crate) async fn has_function(&self, names: &Names) -> Result<bool, CallError> {
        self.is_ours(NamedKind::Function, &names.function, &names.tag)
            .await
    }
}
