//! Change sets: asked for what they would do, or executed.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_sdk_cloudformation::types::{
    Capability, Change, ChangeAction, ChangeSetStatus, ChangeSetType, Parameter, Replacement, Tag,
};

use super::{POLL, Shell};
use crate::aws::{CallError, failed};
use crate::differ::Effect;
use crate::error::Error;
use crate::render::TEMPLATE_INLINE_MAX_BYTES;

/// Longest that CloudFormation takes to make a change set out of fifty resources.
const CHANGE_SET_TIMEOUT_S: u64 = 300;

/// What a change set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Create,
    Update,
}

/// What a change set is made of.
pub(crate) struct Request<'r> {
    pub(crate) stack: &'r str,
    pub(crate) kind: ChangeKind,
    pub(crate) template: &'r str,
    /// Where a template goes that is too large for a request.
    pub(crate) bucket: &'r str,
    pub(crate) parameters: &'r BTreeMap<String, String>,
    pub(crate) tags: &'r BTreeMap<String, String>,
}

impl Shell<'_> {
    /// What CloudFormation would do to each resource. The change set is deleted again.
    pub(crate) async fn effects(
        &self,
        request: &Request<'_>,
    ) -> Result<BTreeMap<String, Effect>, Error> {
        let name = self.make_change_set(request).await?;
        let described = self.change_set(request.stack, &name).await;
        self.delete_change_set(request.stack, &name).await?;
        Ok(described?.map(effects).unwrap_or_default())
    }

    /// Makes or changes the stack through a change set; leaves it when nothing differs after all.
    pub(crate) async fn deploy(&self, request: &Request<'_>) -> Result<(), Error> {
        let name = self.make_change_set(request).await?;
        if self.change_set(request.stack, &name).await?.is_none() {
            return Ok(self.delete_change_set(request.stack, &name).await?);
        }
        let seen = self.last_event(request.stack).await?;
        self.cloudformation
            .execute_change_set()
            .stack_name(request.stack)
            .change_set_name(&name)
            .send()
            .await
            .map_err(failed("ExecuteChangeSet"))?;
        let good = ["CREATE_COMPLETE", "UPDATE_COMPLETE"];
        self.ends_as(&good, request.stack, seen).await
    }

    async fn make_change_set(&self, request: &Request<'_>) -> Result<String, CallError> {
        let (body, url) = if request.template.len() <= TEMPLATE_INLINE_MAX_BYTES {
            (Some(request.template), None)
        } else {
            let url = self.publish(request.bucket, request.template).await?;
            (None, Some(url))
        };
        // A name of its own each time: one that was used can't be used again.
        let name = format!("up-{:016x}", fastrand::u64(..));
        let parameters = request.parameters.iter().map(|(key, value)| {
            Parameter::builder()
                .parameter_key(key)
                .parameter_value(value)
                .build()
        });
        let tags = request
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build());
        self.cloudformation
            .create_change_set()
            .stack_name(request.stack)
            .change_set_name(&name)
            .change_set_type(match request.kind {
                ChangeKind::Create => ChangeSetType::Create,
                ChangeKind::Update => ChangeSetType::Update,
            })
            .set_template_body(body.map(str::to_owned))
            .set_template_url(url)
            .set_parameters(Some(parameters.collect()))
            .set_tags(Some(tags.collect()))
            .capabilities(Capability::CapabilityNamedIam)
            .send()
            .await
            .map_err(failed("CreateChangeSet"))?;
        Ok(name)
    }

    /// The finished change set with all its changes; `None` when it has none.
    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<Vec<Change>>, Error> {
        let begin = Instant::now();
        let (mut pages, first) = loop {
            let set = self.cloudformation.describe_change_set();
            let set = set.stack_name(stack).change_set_name(name);
            let mut pages = set.into_paginator().send();
            let first = pages.next().await.expect("a list has a first page");
            let first = first.map_err(failed("DescribeChangeSet"))?;
            match first.status.as_ref() {
                Some(ChangeSetStatus::CreateComplete) => break (pages, first),
                Some(ChangeSetStatus::Failed) => {
                    let reason = first.status_reason.unwrap_or_default();
                    if is_no_change(&reason) {
                        return Ok(None);
                    }
                    return Err(Error::Stack {
                        stack: stack.to_owned(),
                        status: "a failed change set".to_owned(),
                        cause: reason,
                    });
                }
                Some(_) | None => {}
            }
            let seconds = begin.elapsed().as_secs();
            if seconds > CHANGE_SET_TIMEOUT_S {
                let what = format!("the change set of {stack}");
                return Err(Error::Slow { what, seconds });
            }
            tokio::time::sleep(POLL).await;
        };
        // However many pages it takes: half of the changes would look like all of them.
        let mut changes = first.changes.unwrap_or_default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("DescribeChangeSet"))?;
            changes.extend(page.changes.unwrap_or_default());
        }
        Ok(Some(changes))
    }

    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), CallError> {
        self.cloudformation
            .delete_change_set()
            .stack_name(stack)
            .change_set_name(name)
            .send()
            .await
            .map(drop)
            .map_err(failed("DeleteChangeSet"))
    }
}

/// CloudFormation has no code for it, only these two texts.
fn is_no_change(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

fn effects(changes: Vec<Change>) -> BTreeMap<String, Effect> {
    changes
        .into_iter()
        .filter_map(|change| change.resource_change)
        .filter_map(|change| {
            let effect = match (change.action.as_ref()?, change.replacement.as_ref()) {
                (ChangeAction::Add, _) => Effect::Create,
                (ChangeAction::Remove, _) => Effect::Delete,
                (_, Some(Replacement::True)) => Effect::Replace,
                (_, Some(Replacement::Conditional)) => Effect::MayReplace,
                (_, _) => Effect::InPlace,
            };
            Some((change.logical_resource_id?, effect))
        })
        .collect()
}
