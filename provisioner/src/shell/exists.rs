//! Whether a resource with a physical name of ours is there, whoever made it.

use aws_sdk_ec2::types::Filter;

use super::Shell;
use crate::aws::{CallError, failed, is_there};
use crate::occupied::{Named, NamedKind};

impl Shell<'_> {
    /// Whether AWS has something of that kind and name already.
    pub(crate) async fn exists(&self, named: &Named, vpc: &str) -> Result<bool, CallError> {
        let name = &named.name;
        match named.kind {
            NamedKind::Table => self.has_table(name).await,
            NamedKind::Bucket => self.has_bucket(name).await,
            NamedKind::LogGroup => self.has_log_group(name).await,
            NamedKind::Role => self.has_role(name).await,
            NamedKind::InstanceProfile => self.has_profile(name).await,
            NamedKind::Function => self.has_function(name).await,
            NamedKind::LaunchTemplate => self.has_launch_template(name).await,
            NamedKind::SecurityGroup => self.has_security_group(name, vpc).await,
            NamedKind::Parameter => {
                let found = self.existing_parameters(std::slice::from_ref(name)).await?;
                Ok(!found.is_empty())
            }
        }
    }

    async fn has_profile(&self, name: &str) -> Result<bool, CallError> {
        let get = self.iam.get_instance_profile().instance_profile_name(name);
        is_there("GetInstanceProfile", get.send().await)
    }

    pub(crate) async fn has_function(&self, name: &str) -> Result<bool, CallError> {
        let get = self.lambda.get_function_configuration().function_name(name);
        is_there("GetFunctionConfiguration", get.send().await)
    }

    async fn has_launch_template(&self, name: &str) -> Result<bool, CallError> {
        let filter = Filter::builder().name("launch-template-name").values(name);
        let answer = self
            .ec2
            .describe_launch_templates()
            .filters(filter.build())
            .send()
            .await
            .map_err(failed("DescribeLaunchTemplates"))?;
        Ok(!answer.launch_templates().is_empty())
    }

    async fn has_security_group(&self, name: &str, vpc: &str) -> Result<bool, CallError> {
        let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
        let answer = self
            .ec2
            .describe_security_groups()
            .filters(filter("group-name", name))
            .filters(filter("vpc-id", vpc))
            .send()
            .await
            .map_err(failed("DescribeSecurityGroups"))?;
        Ok(!answer.security_groups().is_empty())
    }
}
