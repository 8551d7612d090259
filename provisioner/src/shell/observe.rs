//! Reads everything that a plan may depend on.

use std::collections::{BTreeMap, BTreeSet};

use super::Shell;
use crate::deployment::Deployment;
use crate::error::Error;
use crate::render::{Stack, stack_name};
use crate::world::{Deployed, StackCondition, World};

impl Shell<'_> {
    /// The account as it is now. Waits for operations that are running.
    pub(crate) async fn observe(
        &self,
        deployment: &Deployment,
        code_key: &str,
    ) -> Result<World, Error> {
        let environment = &deployment.environment;
        let names = environment.names();
        let network = self.network(&environment.network).await?;
        let mut stacks = BTreeMap::new();
        for stack in Stack::ALL {
            let name = stack_name(environment, stack);
            if let Some(deployed) = self.settled(&name, &names.tag).await? {
                stacks.insert(stack, deployed);
            }
        }
        let secrets = self.secrets(&names).await?;
        let mut secrets_to_write = BTreeSet::new();
        for (secret, value) in &deployment.secrets {
            let path = names.secret(*secret);
            if !secrets.contains(secret) || !self.parameter_is(&path, value).await? {
                secrets_to_write.insert(*secret);
            }
        }
        let named_images = self.named_images(environment).await?;
        let bucket = names.bucket(&self.account, &environment.region);
        Ok(World {
            code_uploaded: self.has_object(&bucket, code_key).await?,
            spot_role: !environment.uses_spot() || self.has_spot_role().await?,
            root_devices: self.root_devices(environment, &named_images).await?,
            named_images,
            volume_key: self.volume_key().await?,
            account: self.account.clone(),
            network,
            stacks,
            secrets,
            secrets_to_write,
        })
    }

    /// The stack once no operation is running on it. Of one that lacks the deployment's tag no more is
    /// asked.
    pub(crate) async fn settled(&self, name: &str, tag: &str) -> Result<Option<Deployed>, Error> {
        let Some(mut deployed) = self.stack(name).await? else {
            return Ok(None);
        };
        if !deployed.is_of(tag) {
            return Ok(Some(deployed));
        }
        if deployed.condition() == StackCondition::Busy {
            self.step(&format!(
                "{name}: an operation is running ({}), going on when it has ended",
                deployed.status
            ));
            let ended = self.follow(name, None).await?;
            match self.stack(&ended.stack_id).await? {
                Some(settled) => deployed = settled,
                None => return Ok(None),
            }
        }
        match deployed.condition() {
            StackCondition::Usable | StackCondition::FailedRollback => {
                deployed.template = self.template(name).await?;
            }
            StackCondition::FailedCreate | StackCondition::FailedDelete => {
                deployed.remains = self.remaining_resources(name).await?;
            }
            StackCondition::Busy | StackCondition::Leftover | StackCondition::Unclear => {}
        }
        Ok(Some(deployed))
    }
}
