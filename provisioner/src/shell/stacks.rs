//! Stacks: what they are, and how their operations go.

use std::time::Instant;

use aws_sdk_cloudformation::types::{ResourceStatus, Stack as CfnStack, StackEvent, TemplateStage};
use serde_json::Value;

use super::{POLL, Shell};
use crate::aws::{CallError, failed};
use crate::error::Error;
use crate::progress::Event;
use crate::world::{Deployed, Remaining, StackCondition, condition_of};

/// Longest operation on a stack: an instance profile alone takes two minutes.
const STACK_TIMEOUT_S: u64 = 1800;
/// How an operation ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stack_id: String,
    pub(crate) status: String,
    /// The first thing that failed, in CloudFormation's words.
    pub(crate) cause: Option<String>,
}

impl Shell<'_> {
    /// The stack of that name or id, without its template; `None` when there is none.
    pub(crate) async fn stack(&self, name: &str) -> Result<Option<Deployed>, CallError> {
        let found = self.describe(name).await?.map(deployed);
        Ok(found.filter(|stack| stack.status != "DELETE_COMPLETE"))
    }

    /// The template as it was sent.
    pub(crate) async fn template(&self, name: &str) -> Result<Value, CallError> {
        let answer = self
            .cloudformation
            .get_template()
            .stack_name(name)
            .template_stage(TemplateStage::Original)
            .send()
            .await
            .map_err(failed("GetTemplate"))?;
        let body = answer.template_body.unwrap_or_default();
        serde_json::from_str(&body).map_err(|error| CallError {
            call: "GetTemplate",
            code: None,
            message: format!("the template of {name} is not ours: {error}"),
        })
    }

    /// What is still there of a stack that can only be deleted. A resource whose creation failed is
    /// not: of one that exists already, CloudFormation tells the name all the same.
    pub(crate) async fn remaining_resources(
        &self,
        name: &str,
    ) -> Result<Vec<Remaining>, CallError> {
        let resources: Vec<_> = self
            .cloudformation
            .list_stack_resources()
            .stack_name(name)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ListStackResources"))?;
        let is_there = |status: &ResourceStatus| {
            !matches!(
                status,
                ResourceStatus::DeleteComplete
                    | ResourceStatus::DeleteSkipped
                    | ResourceStatus::CreateFailed
            )
        };
        Ok(resources
            .into_iter()
            .filter(|resource| resource.resource_status.as_ref().is_none_or(is_there))
            .map(|resource| Remaining {
                id: resource.logical_resource_id.unwrap_or_default(),
                kind: resource.resource_type.unwrap_or_default(),
                name: resource.physical_resource_id.unwrap_or_default(),
            })
            .collect())
    }

    /// Deletes the stack and returns when it is gone.
    pub(crate) async fn delete_stack(&self, name: &str) -> Result<(), Error> {
        self.delete_stack_without(name, &[]).await
    }

    /// The same, leaving the resources with these ids as they are: CloudFormation admits that for
    /// those that a deletion failed at.
    pub(crate) async fn delete_stack_without(
        &self,
        name: &str,
        retained: &[String],
    ) -> Result<(), Error> {
        let seen = self.last_event(name).await?;
        self.cloudformation
            .delete_stack()
            .stack_name(name)
            .set_retain_resources((!retained.is_empty()).then(|| retained.to_vec()))
            .send()
            .await
            .map_err(failed("DeleteStack"))?;
        self.ends_as(&["DELETE_COMPLETE"], name, seen).await
    }

    /// Continues the rollback of a failed update.
    pub(crate) async fn continue_rollback(&self, name: &str) -> Result<(), Error> {
        let seen = self.last_event(name).await?;
        self.cloudformation
            .continue_update_rollback()
            .stack_name(name)
            .send()
            .await
            .map_err(failed("ContinueUpdateRollback"))?;
        let good = ["UPDATE_ROLLBACK_COMPLETE"];
        self.ends_as(&good, name, seen).await
    }

    pub(crate) async fn protect(&self, name: &str, protected: bool) -> Result<(), CallError> {
        self.cloudformation
            .update_termination_protection()
            .stack_name(name)
            .enable_termination_protection(protected)
            .send()
            .await
            .map(drop)
            .map_err(failed("UpdateTerminationProtection"))
    }

    /// Follows the operation that began after the event `seen` to a status that is `good`.
    pub(super) async fn ends_as(
        &self,
        good: &[&str],
        name: &str,
        seen: Option<String>,
    ) -> Result<(), Error> {
        let ended = self.follow(name, seen).await?;
        if good.contains(&ended.status.as_str()) {
            return Ok(());
        }
        let unsaid = || "CloudFormation gives no reason".to_owned();
        Err(Error::Stack {
            stack: name.to_owned(),
            status: ended.status,
            cause: ended.cause.unwrap_or_else(unsaid),
        })
    }

    /// Reports events until the operation that began after the event `seen` has ended; until no
    /// operation is running, when nothing was seen before.
    pub(super) async fn follow(&self, name: &str, seen: Option<String>) -> Result<Ended, Error> {
        let begin = Instant::now();
        let mut stack_id = name.to_owned();
        let mut cause = None;
        // Right after a call the old status still stands: only an event tells that it is the new one.
        let mut is_new = seen.is_none();
        let mut seen = seen;
        loop {
            // The status first: whatever led to it is then among the events.
            let Some(stack) = self.describe(&stack_id).await? else {
                let status = "DELETE_COMPLETE".to_owned();
                return Ok(Ended {
                    stack_id,
                    status,
                    cause,
                });
            };
            let status = status_of(&stack);
            stack_id = stack.stack_id.unwrap_or_default();
            for event in self.events_since(&stack_id, &mut seen).await? {
                is_new |= event.physical_resource_id.as_deref() == Some(&stack_id);
                cause = cause.or_else(|| failure(&event));
                self.progress.report(resource_event(name, event));
            }
            if is_new
                && !matches!(
                    condition_of(&status),
                    StackCondition::Busy | StackCondition::Leftover
                )
            {
                return Ok(Ended {
                    stack_id,
                    status,
                    cause,
                });
            }
            let seconds = begin.elapsed().as_secs();
            let what = format!("stack {name} ({status})");
            if seconds > STACK_TIMEOUT_S {
                return Err(Error::Slow { what, seconds });
            }
            self.progress.report(Event::Waiting { what, seconds });
            tokio::time::sleep(POLL).await;
        }
    }

    /// The stack as CloudFormation tells of it, also when it is deleted and asked for by id.
    async fn describe(&self, name: &str) -> Result<Option<CfnStack>, CallError> {
        let answer = self
            .cloudformation
            .describe_stacks()
            .stack_name(name)
            .send()
            .await;
        let answer = match answer.map_err(failed("DescribeStacks")) {
            Err(error) if error.message.contains("does not exist") => return Ok(None),
            answer => answer?,
        };
        Ok(answer.stacks.unwrap_or_default().into_iter().next())
    }

    pub(super) async fn last_event(&self, name: &str) -> Result<Option<String>, CallError> {
        let events = self.cloudformation.describe_stack_events().stack_name(name);
        let mut events = events.into_paginator().items().send();
        let newest = events.try_next().await;
        let newest = newest.map_err(failed("DescribeStackEvents"))?;
        Ok(newest.and_then(|event| event.event_id))
    }

    /// Events after `seen`, oldest first.
    async fn events_since(
        &self,
        stack_id: &str,
        seen: &mut Option<String>,
    ) -> Result<Vec<StackEvent>, CallError> {
        let mut pages = self
            .cloudformation
            .describe_stack_events()
            .stack_name(stack_id)
            .into_paginator()
            .send();
        let mut fresh = Vec::new();
        'pages: while let Some(page) = pages.next().await {
            let page = page.map_err(failed("DescribeStackEvents"))?;
            for event in page.stack_events.unwrap_or_default() {
                if event.event_id.is_some() && event.event_id == *seen {
                    break 'pages;
                }
                fresh.push(event);
            }
        }
        if let Some(newest) = fresh.first() {
            seen.clone_from(&newest.event_id);
        }
        fresh.reverse();
        Ok(fresh)
    }
}

/// The reason of an event that failed by itself, not because another one had.
fn failure(event: &StackEvent) -> Option<String> {
    let status = event.resource_status.as_ref()?.as_str();
    let reason = event.resource_status_reason.as_deref().unwrap_or_default();
    let follows = reason.contains("cancelled") || reason.starts_with("The following resource(s)");
    if !status.ends_with("_FAILED") || follows {
        return None;
    }
    let id = event.logical_resource_id.as_deref().unwrap_or_default();
    Some(format!("{id}: {reason}"))
}

fn resource_event(stack: &str, event: StackEvent) -> Event {
    Event::Resource {
        stack: stack.to_owned(),
        id: event.logical_resource_id.unwrap_or_default(),
        status: event
            .resource_status
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        reason: event.resource_status_reason,
    }
}

fn status_of(stack: &CfnStack) -> String {
    let status = stack.stack_status.as_ref();
    status.map_or_else(String::new, |status| status.as_str().to_owned())
}

fn deployed(stack: CfnStack) -> Deployed {
    let status = status_of(&stack);
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    let tags = stack.tags.unwrap_or_default().into_iter();
    Deployed {
        status,
        template: Value::Null,
        parameters: parameters
            .filter_map(|one| Some((one.parameter_key?, one.parameter_value?)))
            .collect(),
        outputs: outputs
            .filter_map(|one| Some((one.output_key?, one.output_value?)))
            .collect(),
        tags: tags
            .filter_map(|one| Some((one.key?, one.value?)))
            .collect(),
        protected: stack.enable_termination_protection.unwrap_or_default(),
        remains: Vec::new(),
    }
}
