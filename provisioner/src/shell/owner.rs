//! Whose something is that has a name of ours. Names alone prove nothing: what our stacks make carries
//! the deployment's tag from birth, and what lacks it is somebody else's.

use aws_sdk_ec2::types::{Filter, LaunchTemplate, SecurityGroup, Tag as Ec2Tag};
use aws_sdk_iam::types::Role;

use super::Shell;
use crate::aws::{CallError, failed, is_there};
use crate::occupied::{Named, NamedKind, Owner};

impl Shell<'_> {
    /// Whose the thing of that kind and name is, by `tag`, the key that the deployment's own things carry.
    /// Each VPC may have a security group of one name; others are the account's.
    pub(crate) async fn owner(
        &self,
        Named { kind, name }: &Named,
        vpc: &str,
        tag: &str,
    ) -> Result<Owner, CallError> {
        match kind {
            NamedKind::Table => self.owner_of_table(name, tag).await,
            NamedKind::Bucket => self.owner_of_bucket(name, tag).await,
            NamedKind::LogGroup => self.owner_of_log_group(name, tag).await,
            NamedKind::Role => self.owner_of_role(name, tag).await,
            NamedKind::InstanceProfile => self.owner_of_profile(name).await,
            NamedKind::Function => self.owner_of_function(name, tag).await,
            NamedKind::LaunchTemplate => {
                let named = self.launch_templates("launch-template-name", name).await?;
                Ok(owner(named.iter().map(LaunchTemplate::tags), tag))
            }
            NamedKind::SecurityGroup => {
                let mut named = self.security_groups(name).await?;
                named.retain(|group| group.vpc_id() == Some(vpc));
                Ok(owner(named.iter().map(SecurityGroup::tags), tag))
            }
            // Of parameters the whole path is the deployment's.
            NamedKind::Parameter => {
                let found = self.existing_parameters(std::slice::from_ref(name)).await?;
                Ok(Owner::of(!found.is_empty(), true))
            }
        }
    }

    /// Whether it is there and the deployment's. Not for security groups: [`Shell::security_groups`].
    pub(crate) async fn is_ours(
        &self,
        kind: NamedKind,
        name: &str,
        tag: &str,
    ) -> Result<bool, CallError> {
        let name = name.to_owned();
        let owner = self.owner(&Named { kind, name }, "", tag).await?;
        Ok(owner == Owner::Ours)
    }

    async fn owner_of_table(&self, name: &str, tag: &str) -> Result<Owner, CallError> {
        let Some(arn) = self.table_arn(name).await? else {
            return Ok(Owner::Nobody);
        };
        // They come in pages, which the SDK knows of no paginator for.
        let mut token = None;
        loop {
            let asked = self.dynamodb.list_tags_of_resource().resource_arn(&arn);
            let page = asked.set_next_token(token.clone()).send().await;
            let page = match page.map_err(failed("ListTagsOfResource")) {
                // It went meanwhile.
                Err(error) if error.is_absence() => return Ok(Owner::Nobody),
                page => page?,
            };
            if page.tags().iter().any(|one| one.key() == tag) {
                return Ok(Owner::Ours);
            }
            let next = page.next_token.filter(|next| !next.is_empty());
            if next.is_none() || next == token {
                return Ok(Owner::Another);
            }
            token = next;
        }
    }

    async fn owner_of_bucket(&self, name: &str, tag: &str) -> Result<Owner, CallError> {
        if !self.has_bucket(name).await? {
            return Ok(Owner::Nobody);
        }
        let asked = self.s3.get_bucket_tagging().bucket(name).send().await;
        match asked.map_err(failed("GetBucketTagging")) {
            Ok(found) => {
                let ours = found.tag_set().iter().any(|one| one.key() == tag);
                Ok(Owner::of(true, ours))
            }
            Err(error) if error.is("NoSuchTagSet") => Ok(Owner::Another),
            Err(error) => Err(error),
        }
    }

    async fn owner_of_log_group(&self, name: &str, tag: &str) -> Result<Owner, CallError> {
        let Some(arn) = self.log_group_arn(name).await? else {
            return Ok(Owner::Nobody);
        };
        let asked = self.logs.list_tags_for_resource().resource_arn(arn);
        match asked.send().await.map_err(failed("ListTagsForResource")) {
            Ok(found) => {
                let tags = found.tags.unwrap_or_default();
                Ok(Owner::of(true, tags.contains_key(tag)))
            }
            Err(error) if error.is_absence() => Ok(Owner::Nobody),
            Err(error) => Err(error),
        }
    }

    async fn owner_of_role(&self, name: &str, tag: &str) -> Result<Owner, CallError> {
        let asked = self.iam.get_role().role_name(name).send().await;
        match asked.map_err(failed("GetRole")) {
            Ok(found) => {
                let role = found.role.as_ref();
                let mut tags = role.map_or(&[][..], Role::tags).iter();
                Ok(Owner::of(true, tags.any(|one| one.key() == tag)))
            }
            Err(error) if error.is_absence() => Ok(Owner::Nobody),
            Err(error) => Err(error),
        }
    }

    /// CloudFormation can't tag a profile, so none is known for ours.
    async fn owner_of_profile(&self, name: &str) -> Result<Owner, CallError> {
        let get = self.iam.get_instance_profile().instance_profile_name(name);
        let there = is_there("GetInstanceProfile", get.send().await)?;
        Ok(Owner::of(there, false))
    }

    async fn owner_of_function(&self, name: &str, tag: &str) -> Result<Owner, CallError> {
        let asked = self.lambda.get_function_configuration();
        let found = asked.function_name(name).send().await;
        let found = match found.map_err(failed("GetFunctionConfiguration")) {
            Err(error) if error.is_absence() => return Ok(Owner::Nobody),
            found => found?,
        };
        let asked = self.lambda.list_tags().set_resource(found.function_arn);
        match asked.send().await.map_err(failed("ListTags")) {
            Ok(found) => {
                let tags = found.tags.unwrap_or_default();
                Ok(Owner::of(true, tags.contains_key(tag)))
            }
            Err(error) if error.is_absence() => Ok(Owner::Nobody),
            Err(error) => Err(error),
        }
    }

    /// The launch templates that a filter finds.
    pub(super) async fn launch_templates(
        &self,
        filter: &str,
        value: &str,
    ) -> Result<Vec<LaunchTemplate>, CallError> {
        let filter = Filter::builder().name(filter).values(value).build();
        let found = self.ec2.describe_launch_templates().filters(filter);
        let found = found.into_paginator().items().send().try_collect().await;
        found.map_err(failed("DescribeLaunchTemplates"))
    }

    /// The security groups of that name, in every VPC.
    pub(super) async fn security_groups(
        &self,
        name: &str,
    ) -> Result<Vec<SecurityGroup>, CallError> {
        let filter = Filter::builder().name("group-name").values(name).build();
        let found = self.ec2.describe_security_groups().filters(filter);
        let found = found.into_paginator().items().send().try_collect().await;
        found.map_err(failed("DescribeSecurityGroups"))
    }
}

/// Of several things of one name: ours, if any is.
fn owner<'t>(tags: impl Iterator<Item = &'t [Ec2Tag]>, tag: &str) -> Owner {
    let (mut there, mut ours) = (false, false);
    for tags in tags {
        there = true;
        ours |= is_tagged(tags, tag);
    }
    Owner::of(there, ours)
}

/// Whether the key is among the tags.
pub(super) fn is_tagged(tags: &[Ec2Tag], tag: &str) -> bool {
    tags.iter().any(|one| one.key() == Some(tag))
}
