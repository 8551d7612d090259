//! Machines that make and try images, and what they say on their console.

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, CreditSpecificationRequest, EbsBlockDevice, Filter, HttpTokensState,
    Instance, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceStateName,
    LaunchTemplateSpecification, ResourceType, ShutdownBehavior, Tag, TagSpecification, VolumeType,
};
use stacks::names::Names;

use super::Shell;
use super::owner::is_tagged;
use crate::aws::{CallError, failed};

/// One machine that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The image that it starts from, and its root volume.
    pub(crate) image: String,
    pub(crate) root_device: String,
    pub(crate) root_volume_gb: u32,
    pub(crate) instance_type: String,
    pub(crate) subnet: String,
    pub(crate) security_group: String,
    /// The launch template that says all else, if there is one.
    pub(crate) template: Option<String>,
    pub(crate) user_data: String,
    /// Whether it keeps its volume when it shuts down.
    pub(crate) stops: bool,
    pub(crate) token: String,
    pub(crate) tags: Vec<(String, String)>,
}

/// A machine as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineState {
    pub(crate) state: String,
    /// EC2's words for its last change of state.
    pub(crate) because: String,
}

/// A machine of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfToken {
    pub(crate) id: String,
    /// Whether it ends or has ended.
    pub(crate) is_ending: bool,
}

/// The states of a machine that ends or has ended.
const ENDING: [InstanceStateName; 2] = [
    InstanceStateName::ShuttingDown,
    InstanceStateName::Terminated,
];

impl Shell<'_> {
    /// Launches one machine On-Demand: its id.
    pub(crate) async fn launch_machine(&self, machine: &Machine) -> Result<String, CallError> {
        const CALL: &str = "RunInstances";
        let shutdown = if machine.stops {
            ShutdownBehavior::Stop
        } else {
            ShutdownBehavior::Terminate
        };
        let mut request = self
            .ec2
            .run_instances()
            .image_id(&machine.image)
            .instance_type(machine.instance_type.as_str().into())
            .subnet_id(&machine.subnet)
            .min_count(1)
            .max_count(1)
            .client_token(&machine.token)
            .instance_initiated_shutdown_behavior(shutdown)
            .user_data(base64(&machine.user_data));
        if is_burstable(&machine.instance_type) {
            // A build is minutes of work: no credits are bought for it.
            let standard = CreditSpecificationRequest::builder().cpu_credits("standard");
            request = request.credit_specification(standard.build());
        }
        if let Some(template) = &machine.template {
            let template = LaunchTemplateSpecification::builder()
                .launch_template_id(template)
                .version("$Latest");
            request = request.launch_template(template.build());
        } else {
            request = request
                .security_group_ids(&machine.security_group)
                .metadata_options(
                    InstanceMetadataOptionsRequest::builder()
                        .http_tokens(HttpTokensState::Required)
                        .http_put_response_hop_limit(1)
                        .http_endpoint(InstanceMetadataEndpointState::Enabled)
                        .build(),
                )
                .block_device_mappings(root_volume(machine));
        }
        let tags = machine.tags.iter();
        let tags: Vec<Tag> = tags
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        for kind in [ResourceType::Instance, ResourceType::Volume] {
            let tagged = TagSpecification::builder()
                .resource_type(kind)
                .set_tags(Some(tags.clone()));
            request = request.tag_specifications(tagged.build());
        }
        let answer = request.send().await.map_err(failed(CALL))?;
        let mut made = answer.instances.unwrap_or_default().into_iter();
        let id = made.next().and_then(|one| one.instance_id);
        id.ok_or_else(|| CallError {
            call: CALL,
            code: None,
            message: "the answer names no instance".to_owned(),
        })
    }

    /// How the machine fares; nothing while EC2 does not show it (yet, or any more).
    pub(crate) async fn machine(&self, id: &str) -> Result<Option<MachineState>, CallError> {
        let asked = self.ec2.describe_instances().instance_ids(id).send().await;
        let answer = match asked.map_err(failed("DescribeInstances")) {
            Err(error) if error.is("InvalidInstanceID.NotFound") => return Ok(None),
            answer => answer?,
        };
        let mut found = answer.reservations.unwrap_or_default().into_iter();
        let found = found.find_map(|one| one.instances.unwrap_or_default().into_iter().next());
        Ok(found.map(|one| MachineState {
            state: one
                .state
                .and_then(|state| state.name)
                .map_or_else(String::new, |name| name.as_str().to_owned()),
            because: one
                .state_reason
                .and_then(|reason| reason.message.or(reason.code))
                .unwrap_or_default(),
        }))
    }

    /// The machines that a request with this token has made, ended ones too.
    pub(crate) async fn machines_of_token(&self, token: &str) -> Result<Vec<OfToken>, CallError> {
        let by_token = Filter::builder().name("client-token").values(token).build();
        let found = self.ec2.describe_instances().filters(by_token);
        let found = found.into_paginator().items().send().try_collect().await;
        let found: Vec<_> = found.map_err(failed("DescribeInstances"))?;
        let found = found.into_iter();
        let instances = found.flat_map(|one| one.instances.unwrap_or_default());
        let of_token = |one: Instance| {
            let state = one.state.and_then(|state| state.name);
            Some(OfToken {
                id: one.instance_id?,
                is_ending: state.is_some_and(|state| ENDING.contains(&state)),
            })
        };
        Ok(instances.filter_map(of_token).collect())
    }

    /// What the machine has written to its console, as far as EC2 tells: what is new while it runs, else what
    /// was posted when it ended.
    pub(crate) async fn console(&self, id: &str) -> Result<Option<String>, CallError> {
        for latest in [true, false] {
            let asked = self.ec2.get_console_output().instance_id(id).latest(latest);
            match asked.send().await.map_err(failed("GetConsoleOutput")) {
                Ok(answer) => {
                    let text = answer.output.map(|encoded| text(&encoded));
                    if let Some(text) = text.filter(|text| !text.is_empty()) {
                        return Ok(Some(text));
                    }
                }
                // Types that have no such thing, machines in between, and those that are not shown yet.
                Err(error)
                    if error.is("UnsupportedOperation")
                        || error.is("IncorrectInstanceState")
                        || error.is("InvalidInstanceID.NotFound") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The deployment's security group in that VPC, if it is there.
    pub(crate) async fn runner_group(
        &self,
        names: &Names,
        vpc: &str,
    ) -> Result<Option<String>, CallError> {
        let groups = self.security_groups(&names.security_group).await?;
        let mut groups = groups
            .into_iter()
            .filter(|group| group.vpc_id() == Some(vpc) && is_tagged(group.tags(), &names.tag));
        Ok(groups.next().and_then(|group| group.group_id))
    }

    /// The id of the pool's launch template, if it is there.
    pub(crate) async fn pool_template(
        &self,
        names: &Names,
        pool: &str,
    ) -> Result<Option<String>, CallError> {
        let name = names.launch_template(pool);
        let found = self.launch_templates("launch-template-name", &name).await?;
        let mut ours = found
            .into_iter()
            .filter(|one| is_tagged(one.tags(), &names.tag));
        Ok(ours.next().and_then(|one| one.launch_template_id))
    }
}

fn root_volume(machine: &Machine) -> BlockDeviceMapping {
    let size = i32::try_from(machine.root_volume_gb).unwrap_or(i32::MAX);
    let volume = EbsBlockDevice::builder()
        .volume_type(VolumeType::Gp3)
        .volume_size(size)
        .delete_on_termination(true);
    BlockDeviceMapping::builder()
        .device_name(&machine.root_device)
        .ebs(volume.build())
        .build()
}

/// Whether types of this family have a credit mode.
fn is_burstable(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    family.starts_with('t') && family.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

fn base64(text: &str) -> String {
    aws_smithy_types::base64::encode(Blob::new(text).into_inner())
}

/// The console's text, without what would move a cursor or ring a bell.
fn text(encoded: &str) -> String {
    let bytes = aws_smithy_types::base64::decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    let plain = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_text_and_nothing_else() {
        let encoded = base64("one\r\n\u{1b}[31mtwo\u{7}\n");
        assert_eq!(text(&encoded), "one\n[31mtwo\n");
        assert_eq!(text("not base64!"), "");
    }

    #[test]
    fn t_types_alone_have_credits() {
        for (instance_type, is) in [
            ("t3.medium", true),
            ("t4g.small", true),
            ("c7a.large", false),
        ] {
            assert_eq!(is_burstable(instance_type), is, "{instance_type}");
        }
    }
}
