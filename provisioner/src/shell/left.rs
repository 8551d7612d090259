//! What exists of a deployment, counted at AWS by name and tag, whoever made it.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::Filter;
use stacks::names::Names;

use super::Shell;
use crate::aws::{CallError, failed};
use crate::environment::Environment;
use crate::error::Error;
use crate::render::{Stack, stack_name};
use crate::teardown::{Found, Kind};

impl Shell<'_> {
    /// Everything that exists of the deployment.
    pub(crate) async fn found(&self, environment: &Environment) -> Result<Vec<Found>, Error> {
        let names = environment.names();
        let mut found = Vec::new();
        for stack in Stack::ALL {
            let name = stack_name(environment, stack);
            if let Some(deployed) = self.stack(&name).await? {
                found.push(Found::new(Kind::Stack, name, deployed.status));
            }
        }
        for instance in self.instances(&names).await? {
            let detail = format!("{}, pool {}", instance.state, instance.pool);
            found.push(Found::new(Kind::Instance, instance.id, detail));
        }
        let bucket = names.bucket(&self.account, &environment.region);
        if self.has_bucket(&bucket).await? {
            let objects = self.objects(&bucket).await?.len();
            found.push(Found::new(
                Kind::Bucket,
                bucket,
                format!("{objects} objects"),
            ));
        }
        if self.has_table(&names.table).await? {
            found.push(Found::new(Kind::Table, names.table.clone(), String::new()));
        }
        if self.has_log_group(&names.log_group).await? {
            let name = names.log_group.clone();
            found.push(Found::new(Kind::LogGroup, name, String::new()));
        }
        for id in self.apis(&names).await? {
            found.push(Found::new(Kind::Api, id, names.api.clone()));
        }
        for path in self.parameters_under(&names.parameters).await? {
            found.push(Found::new(Kind::Parameter, path, String::new()));
        }
        if self.has_function(&names.function).await? {
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
            if self.has_role(&role).await? {
                found.push(Found::new(Kind::Role, role, String::new()));
            }
        }
        for template in self.launch_templates(&names).await? {
            found.push(Found::new(Kind::LaunchTemplate, template, String::new()));
        }
        for group in self.security_groups(&names.security_group).await? {
            found.push(Found::new(Kind::SecurityGroup, group, String::new()));
        }
        Ok(found)
    }

    /// Those that carry the deployment's tag and begin with its name: the tag alone may be somebody's.
    async fn launch_templates(&self, names: &Names) -> Result<Vec<String>, CallError> {
        let tagged = Filter::builder().name("tag-key").values(&names.tag).build();
        let templates: Vec<_> = self
            .ec2
            .describe_launch_templates()
            .filters(tagged)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("DescribeLaunchTemplates"))?;
        Ok(templates
            .into_iter()
            .filter_map(|template| template.launch_template_name)
            .filter(|name| name.starts_with(&names.launch_template("")))
            .collect())
    }

    async fn security_groups(&self, name: &str) -> Result<Vec<String>, CallError> {
        let answer = self
            .ec2
            .describe_security_groups()
            .filters(Filter::builder().name("group-name").values(name).build())
            .send()
            .await
            .map_err(failed("DescribeSecurityGroups"))?;
        let groups = answer.security_groups.unwrap_or_default();
        Ok(groups
            .into_iter()
            .filter_map(|group| group.group_id)
            .collect())
    }
}
