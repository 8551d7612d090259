//! Has EC2 take a Spot machine back, by an experiment of AWS's Fault Injection Service: nothing else makes EC2
//! warn of an interruption. What it needs is made for it, carries the deployment's tag, and is deleted whatever
//! comes of it; what lacks the tag is somebody else's, whatever it is called.
//!
//! From the service's API model, its reference of actions (`aws:ec2:send-spot-instance-interruptions`) and what
//! aws/amazon-ec2-spot-interrupter gives its role. No lab has this service, so nothing here has run.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_fis::types::{
    CreateExperimentTemplateActionInput, CreateExperimentTemplateStopConditionInput,
    CreateExperimentTemplateTargetInput, ExperimentStatus,
};
use aws_sdk_iam::types::Tag;
use serde_json::json;

use super::{POLL, Shell};
use crate::aws::{CallError, failed};
use crate::environment::Environment;
use crate::error::Error;
use crate::occupied::NamedKind;
use crate::progress::Event;

/// What the target is called within the experiment.
const TARGET: &str = "machine";
/// How long before the interruption EC2 warns: the least that the service takes, and what EC2 always does.
const NOTICE: &str = "PT2M";
/// How long the service is asked until it may assume a role that was just made.
pub(crate) const ROLE_LIMIT_S: u64 = 60;
/// Longest that the experiment may take, a second start included: its notice, and EC2's time.
pub(crate) const EXPERIMENT_LIMIT_S: u64 = 420;
/// Before an experiment that failed is started once more: what IAM takes to tell of a new policy, as a rule.
const AGAIN: Duration = Duration::from_secs(15);
/// Why a part of the request can be built.
const COMPLETE: &str = "what the service requires is set";
/// Name of the role's policy.
const POLICY: &str = "interrupt";

impl Shell<'_> {
    /// Has EC2 take `instance` back after its usual warning, and returns when the experiment is over. An error
    /// if the role's name is somebody else's: theirs is left alone.
    pub(crate) async fn interrupt(
        &self,
        environment: &Environment,
        instance: &str,
    ) -> Result<(), Error> {
        let role = environment.names().experiment_role;
        self.step(&format!("making role {role} for the experiment"));
        self.make_experiment_role(environment, &role).await?;
        let done = match self.allow_interruption(environment, &role, instance).await {
            Ok(arn) => self.experiment(environment, &arn, instance).await,
            Err(error) => Err(error.into()),
        };
        let deleted = self.delete_experiment_role(&role).await;
        done?;
        Ok(deleted?)
    }

    /// Deletes the role that an experiment left which was broken off, if there is one of ours.
    pub(crate) async fn end_interruption(
        &self,
        environment: &Environment,
    ) -> Result<(), CallError> {
        let names = environment.names();
        let role = &names.experiment_role;
        if self.is_ours(NamedKind::Role, role, &names.tag).await? {
            self.delete_experiment_role(role).await?;
        }
        Ok(())
    }

    /// Makes the role that the service acts with. One of ours that an earlier run left will do.
    async fn make_experiment_role(
        &self,
        environment: &Environment,
        role: &str,
    ) -> Result<(), Error> {
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": { "Service": "fis.amazonaws.com" },
            "Condition": { "StringEquals": { "aws:SourceAccount": self.account } },
        }]});
        let tag = environment.names().tag;
        let own = environment.tags_with("acceptance").into_iter();
        let own = own.map(|(key, value)| Tag::builder().key(key).value(value).build());
        let own = own.collect::<Result<Vec<_>, _>>().expect(COMPLETE);
        let create = self.iam.create_role().role_name(role);
        let create = create
            .assume_role_policy_document(trust.to_string())
            .set_tags(Some(own))
            .set_permissions_boundary(environment.permissions_boundary.clone());
        match create.send().await.map_err(failed("CreateRole")) {
            Ok(_) => Ok(()),
            Err(error) if error.is("EntityAlreadyExists") => {
                if self.is_ours(NamedKind::Role, role, &tag).await? {
                    return Ok(());
                }
                Err(Error::Experiment(format!(
                    "the role {role}, which it would make, is there already and lacks the tag {tag}: rename or \
                     delete it if it is yours"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Allows the role to interrupt this instance alone; its ARN.
    async fn allow_interruption(
        &self,
        environment: &Environment,
        role: &str,
        instance: &str,
    ) -> Result<String, CallError> {
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            {
                "Effect": "Allow",
                "Action": "ec2:SendSpotInstanceInterruptions",
                "Resource": self.instance_arn(environment, instance),
            },
            // The service looks its targets up; no resource can be named for that.
            { "Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*" },
        ]});
        let put = self.iam.put_role_policy().role_name(role);
        let put = put.policy_name(POLICY).policy_document(policy.to_string());
        put.send().await.map_err(failed("PutRolePolicy"))?;
        Ok(format!(
            "arn:{}:iam::{}:role/{role}",
            environment.partition(),
            self.account
        ))
    }

    /// Deletes the role, which is ours.
    async fn delete_experiment_role(&self, role: &str) -> Result<(), CallError> {
        let policy = self.iam.delete_role_policy().role_name(role);
        let policy = policy.policy_name(POLICY).send().await;
        match policy.map_err(failed("DeleteRolePolicy")) {
            Err(error) if !error.is("NoSuchEntity") => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let deleted = self.iam.delete_role().role_name(role).send().await;
        match deleted.map_err(failed("DeleteRole")) {
            Err(error) if !error.is("NoSuchEntity") => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn experiment(
        &self,
        environment: &Environment,
        role: &str,
        instance: &str,
    ) -> Result<(), Error> {
        let template = self
            .experiment_template(environment, role, instance)
            .await?;
        let done = self.run_experiment(&template).await;
        let deleted = self.fis.delete_experiment_template().id(&template);
        let deleted = deleted.send().await;
        done?;
        deleted.map_err(failed("DeleteExperimentTemplate"))?;
        Ok(())
    }

    /// Makes the experiment's template: its id.
    async fn experiment_template(
        &self,
        environment: &Environment,
        role: &str,
        instance: &str,
    ) -> Result<String, Error> {
        let target = CreateExperimentTemplateTargetInput::builder()
            .resource_type("aws:ec2:spot-instance")
            .resource_arns(self.instance_arn(environment, instance))
            .selection_mode("ALL")
            .build()
            .expect(COMPLETE);
        let action = CreateExperimentTemplateActionInput::builder()
            .action_id("aws:ec2:send-spot-instance-interruptions")
            .parameters("durationBeforeInterruption", NOTICE)
            .targets("SpotInstances", TARGET)
            .build()
            .expect(COMPLETE);
        let stop = CreateExperimentTemplateStopConditionInput::builder()
            .source("none")
            .build()
            .expect(COMPLETE);
        let request = self
            .fis
            .create_experiment_template()
            .client_token(format!("{:016x}", fastrand::u64(..)))
            .description(format!("{}: acceptance", environment.name))
            .set_targets(Some(HashMap::from([(TARGET.to_owned(), target)])))
            .actions("interrupt", action)
            .stop_conditions(stop)
            .role_arn(role)
            .tags(environment.names().tag, "acceptance");
        let begun = Instant::now();
        loop {
            let made = request.clone().send().await;
            let seconds = begun.elapsed().as_secs();
            match made.map_err(failed("CreateExperimentTemplate")) {
                Ok(made) => {
                    let id = made.experiment_template.and_then(|template| template.id);
                    return Ok(id.unwrap_or_default());
                }
                // How it is said that nobody knows the role yet is not documented; that one may not, is.
                Err(error) if !error.is_denial() && seconds < ROLE_LIMIT_S => {
                    let what = "the role of the experiment".to_owned();
                    self.progress.report(Event::Waiting { what, seconds });
                    tokio::time::sleep(POLL * 5).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Runs it, and once more where it fails: IAM may not know the role's fresh policy everywhere yet, and a
    /// failure is final.
    async fn run_experiment(&self, template: &str) -> Result<(), Error> {
        let begun = Instant::now();
        let Some(first) = self.experiment_failed(template, begun).await? else {
            return Ok(());
        };
        self.step(&format!(
            "the experiment failed ({first}); it begins once more"
        ));
        tokio::time::sleep(AGAIN).await;
        match self.experiment_failed(template, begun).await? {
            None => Ok(()),
            Some(second) => Err(Error::Experiment(format!("{first}; once more: {second}"))),
        }
    }

    /// Starts an experiment and waits for its end: why it failed, if it did.
    async fn experiment_failed(
        &self,
        template: &str,
        begun: Instant,
    ) -> Result<Option<String>, Error> {
        self.step("the experiment begins; EC2 warns first");
        let token = format!("{:016x}", fastrand::u64(..));
        let start = self.fis.start_experiment().client_token(token);
        let started = start.experiment_template_id(template).send().await;
        let started = started.map_err(failed("StartExperiment"))?;
        let id = started.experiment.and_then(|it| it.id).unwrap_or_default();
        loop {
            let got = self.fis.get_experiment().id(&id).send().await;
            let got = got.map_err(failed("GetExperiment"))?;
            let state = got.experiment.and_then(|it| it.state);
            let seconds = begun.elapsed().as_secs();
            let reason = state.as_ref().and_then(|state| state.reason.clone());
            let reason = reason.unwrap_or_default();
            match state.and_then(|state| state.status) {
                Some(ExperimentStatus::Completed) => return Ok(None),
                Some(ExperimentStatus::Failed) => return Ok(Some(reason)),
                Some(ExperimentStatus::Stopped | ExperimentStatus::Cancelled) => {
                    return Err(Error::Experiment(reason));
                }
                // It is pending, or under way, or in a state that is newer than this program.
                _ if seconds > EXPERIMENT_LIMIT_S => {
                    let what = "the experiment".to_owned();
                    return Err(Error::Slow { what, seconds });
                }
                _ => {
                    let what = "the experiment".to_owned();
                    self.progress.report(Event::Waiting { what, seconds });
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    fn instance_arn(&self, environment: &Environment, instance: &str) -> String {
        format!(
            "arn:{}:ec2:{}:{}:instance/{instance}",
            environment.partition(),
            environment.region,
            self.account
        )
    }
}
