//! Whose account it is, its role for Spot, and its network.

use aws_sdk_ec2::types::{Filter, Subnet as Ec2Subnet};

use super::Shell;
use crate::aws::{CallError, failed};
use crate::environment;
use crate::error::Error;
use crate::world::{Network, Subnet};

/// Where the role is that EC2 itself uses to launch Spot instances.
const SPOT_ROLE_PATH: &str = "/aws-service-role/spot.amazonaws.com/";
/// Most subnets of a VPC that are looked at: AWS allows 200.
const SUBNETS_MAX: usize = 200;

/// The account that the credentials open.
pub(super) async fn of(sts: &aws_sdk_sts::Client) -> Result<String, CallError> {
    let call = "GetCallerIdentity";
    let identity = sts
        .get_caller_identity()
        .send()
        .await
        .map_err(failed(call))?;
    identity.account.ok_or_else(|| CallError {
        call,
        code: None,
        message: "the answer names no account".to_owned(),
    })
}

impl Shell<'_> {
    pub(crate) async fn has_spot_role(&self) -> Result<bool, CallError> {
        // IAM's pages may be empty and still not the last.
        let mut roles = self
            .iam
            .list_roles()
            .path_prefix(SPOT_ROLE_PATH)
            .into_paginator()
            .items()
            .send();
        let first = roles.try_next().await.map_err(failed("ListRoles"))?;
        Ok(first.is_some())
    }

    pub(crate) async fn make_spot_role(&self) -> Result<(), CallError> {
        let made = self
            .iam
            .create_service_linked_role()
            .aws_service_name("spot.amazonaws.com")
            .send()
            .await
            .map_err(failed("CreateServiceLinkedRole"));
        match made {
            // Somebody else made it in the meantime.
            Err(error)
                if error.is("EntityAlreadyExists") || error.message.contains("has been taken") =>
            {
                Ok(())
            }
            made => made.map(drop),
        }
    }

    /// The network that `wanted` describes.
    pub(crate) async fn network(&self, wanted: &environment::Network) -> Result<Network, Error> {
        let mut found = if wanted.subnets.is_empty() {
            let vpc = match &wanted.vpc {
                Some(vpc) => vpc.clone(),
                None => self.default_vpc().await?,
            };
            let filter = Filter::builder().name("vpc-id").values(vpc).build();
            self.subnets(&[], Some(filter)).await?
        } else {
            self.subnets(&wanted.subnets, None).await?
        };
        let vpc = found
            .first()
            .and_then(|subnet| subnet.vpc_id.clone())
            .unwrap_or_default();
        if found.is_empty() {
            return Err(Error::Network(
                "the VPC has no subnets; name some in [network]".to_owned(),
            ));
        }
        if found
            .iter()
            .any(|subnet| subnet.vpc_id.as_deref() != Some(&vpc))
        {
            return Err(Error::Network(
                "the subnets in [network] are of several VPCs; a security group has one".to_owned(),
            ));
        }
        if let Some(named) = wanted.vpc.as_ref().filter(|named| **named != vpc) {
            return Err(Error::Network(format!(
                "the subnets in [network] are of {vpc}, not of {named}"
            )));
        }
        // In the order of the environment, or else always in the same one.
        let position = |subnet: &Ec2Subnet| {
            let id = subnet.subnet_id.as_deref().unwrap_or_default();
            wanted.subnets.iter().position(|wanted| wanted == id)
        };
        found.sort_by_cached_key(|subnet| {
            (
                position(subnet),
                subnet.availability_zone.clone(),
                subnet.subnet_id.clone(),
            )
        });
        Ok(Network {
            vpc,
            subnets: found.into_iter().map(subnet).collect(),
        })
    }

    async fn default_vpc(&self) -> Result<String, Error> {
        let filter = Filter::builder().name("is-default").values("true").build();
        let found = self.ec2.describe_vpcs().filters(filter);
        let mut found = found.into_paginator().items().send();
        let first = found.try_next().await.map_err(failed("DescribeVpcs"))?;
        first.and_then(|vpc| vpc.vpc_id).ok_or_else(|| {
            Error::Network(
                "the region has no default VPC; name subnets in [network], or make one with \
                 `aws ec2 create-default-vpc`"
                    .to_owned(),
            )
        })
    }

    async fn subnets(
        &self,
        ids: &[String],
        filter: Option<Filter>,
    ) -> Result<Vec<Ec2Subnet>, CallError> {
        let found: Vec<_> = self
            .ec2
            .describe_subnets()
            .set_subnet_ids((!ids.is_empty()).then(|| ids.to_vec()))
            .set_filters(filter.map(|filter| vec![filter]))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("DescribeSubnets"))?;
        if found.len() > SUBNETS_MAX {
            return Err(CallError {
                call: "DescribeSubnets",
                code: None,
                message: format!(
                    "the VPC has more than {SUBNETS_MAX} subnets: name those to launch in, in [network]"
                ),
            });
        }
        Ok(found)
    }
}

fn subnet(found: Ec2Subnet) -> Subnet {
    Subnet {
        id: found.subnet_id.unwrap_or_default(),
        zone: found.availability_zone.unwrap_or_default(),
        public_address: found.map_public_ip_on_launch.unwrap_or_default(),
    }
}
