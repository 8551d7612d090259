//! One machine of a build: launched, watched until it has ended, its console read.

use std::time::{Duration, Instant};

use stacks::names::Names;

use super::keys;
use super::made::{Made, Thing};
use crate::ami::{Image, script};
use crate::aws::CallError;
use crate::deployment::Deployment;
use crate::environment::{Arch, Environment};
use crate::error::Error;
use crate::shell::{Machine, Shell, moment};

/// How many looks pass between two at the console of a machine that makes an image: each look is 64 KB.
const CONSOLE_EVERY: u32 = 3;
/// How long EC2 may not show a machine that it has launched, in seconds.
const UNSEEN_LIMIT_S: u64 = 120;
/// How many lines of a console are shown of a machine that failed.
pub(super) const SHOWN_LINES: usize = 100;
/// EC2's codes for what another type or subnet may have.
const ELSEWHERE: [&str; 5] = [
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientFreeAddressesInSubnet",
    "Unsupported",
    "InstanceLimitExceeded",
];

/// How a build waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between two looks.
    pub look: Duration,
    /// How late EC2 may post what a machine said last.
    pub posted: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(2),
            posted: Duration::from_mins(2),
        }
    }
}

/// Where machines of builds live: what the deployment has deployed.
pub(super) struct Bench<'d> {
    pub(super) names: Names,
    pub(super) patience: Patience,
    environment: &'d Environment,
    subnets: Vec<String>,
    security_group: String,
}

/// What is to run.
pub(super) struct Wanted<'w> {
    /// Image and architecture, for people.
    pub(super) what: String,
    pub(super) image: &'w str,
    /// Device and size in GB of the root volume.
    pub(super) root: (&'w str, u32),
    pub(super) user_data: &'w str,
    /// Whether it is stopped by its shutdown, else terminated.
    pub(super) stops: bool,
    /// Types to try, in order.
    pub(super) types: Vec<String>,
    pub(super) template: Option<String>,
    pub(super) digest: &'w str,
    /// After so many seconds the sweep may end it.
    pub(super) limit_s: u64,
}

/// A machine that has ended.
pub(super) struct Ran {
    pub(super) id: String,
    /// All that its console told.
    pub(super) console: String,
    /// EC2's words for its end.
    pub(super) because: String,
}

/// The type that an image is made on, unless somebody says another.
pub(super) const fn usual_type(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "t3.medium",
        Arch::Arm64 => "t4g.medium",
    }
}

impl<'d> Bench<'d> {
    pub(super) async fn of(
        shell: &Shell<'_>,
        deployment: &'d Deployment,
        patience: Patience,
    ) -> Result<Self, Error> {
        let environment = &deployment.environment;
        let names = environment.names();
        let network = shell.network(&environment.network).await?;
        let group = shell.runner_group(&names, &network.vpc).await?;
        Ok(Self {
            security_group: group.ok_or(Error::NotDeployed {
                what: "the security group that machines have",
            })?,
            subnets: network.subnets.into_iter().map(|one| one.id).collect(),
            names,
            patience,
            environment,
        })
    }

    /// As machines of the image are launched: the launch template and the types of a pool that uses it, or of one
    /// for the same machines.
    pub(super) async fn as_launched(
        &self,
        shell: &Shell<'_>,
        image: &Image,
        arch: Arch,
    ) -> Result<(Option<String>, Vec<String>), CallError> {
        let of_arch = || self.environment.pools.iter().filter(|one| one.arch == arch);
        let user = of_arch().find(|pool| pool.image.is_named(&image.name));
        // The template's volume must hold the image.
        let fits = |pool: &&crate::environment::Pool| pool.root_volume_gb >= image.root_volume_gb;
        let Some(pool) = user.or_else(|| of_arch().find(fits)) else {
            return Ok((None, vec![usual_type(arch).to_owned()]));
        };
        let template = shell
            .pool_template(&self.names, &pool.document.name)
            .await?;
        Ok((template, pool.document.instance_types.clone()))
    }
}

/// Launches the machine, and watches it until it has ended.
pub(super) async fn run(
    shell: &Shell<'_>,
    bench: &Bench<'_>,
    wanted: &Wanted<'_>,
    made: &Made,
) -> Result<Ran, Error> {
    let id = launch(shell, bench, wanted, made).await?;
    let mut watch = Watch {
        shell,
        wanted,
        patience: bench.patience,
        id: &id,
        console: String::new(),
        told: 0,
    };
    let because = watch.until_ended().await?;
    let console = watch.console;
    Ok(Ran {
        id,
        console,
        because,
    })
}

/// Asks for it in each type and subnet, until EC2 has it somewhere.
async fn launch(
    shell: &Shell<'_>,
    bench: &Bench<'_>,
    wanted: &Wanted<'_>,
    made: &Made,
) -> Result<String, Error> {
    let expires_s = keys::now_s() + wanted.limit_s;
    let expires = moment(expires_s);
    let mut tags = keys::of_machine(&bench.names, wanted.digest, &expires);
    let given = bench.environment.tags.iter();
    let is_ours = |key: &str| tags.iter().any(|(own, _)| own == key);
    let given: Vec<_> = given.filter(|(key, _)| !is_ours(key)).collect();
    tags.extend(
        given
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let mut last = None;
    for instance_type in &wanted.types {
        for subnet in &bench.subnets {
            let token = keys::nonce();
            made.ask(Thing::Machine {
                token: token.clone(),
                id: None,
            });
            let machine = Machine {
                image: wanted.image.to_owned(),
                root_device: wanted.root.0.to_owned(),
                root_volume_gb: wanted.root.1,
                instance_type: instance_type.clone(),
                subnet: subnet.clone(),
                security_group: bench.security_group.clone(),
                template: wanted.template.clone(),
                user_data: wanted.user_data.to_owned(),
                stops: wanted.stops,
                token,
                tags: tags.clone(),
            };
            match shell.launch_machine(&machine).await {
                Ok(id) => {
                    made.came(&id);
                    shell.step(&format!(
                        "{}: machine {id} ({instance_type}) starts, and ends at {expires} at the latest",
                        wanted.what
                    ));
                    return Ok(id);
                }
                Err(error) => {
                    // Else it is looked for.
                    if error.is_refusal() {
                        made.refused();
                    }
                    if !ELSEWHERE.iter().any(|code| error.is(code)) {
                        return Err(error.into());
                    }
                    last = Some(error);
                }
            }
        }
    }
    Err(last.map_or_else(
        || Error::Network("there is no subnet to launch in".to_owned()),
        Error::from,
    ))
}

struct Watch<'w, 's> {
    shell: &'w Shell<'s>,
    wanted: &'w Wanted<'w>,
    patience: Patience,
    id: &'w str,
    console: String,
    /// How many steps were told.
    told: usize,
}

impl Watch<'_, '_> {
    /// Watches it: EC2's words for its end.
    async fn until_ended(&mut self) -> Result<String, Error> {
        let begun = Instant::now();
        let mut looks = 0;
        let because = loop {
            let seconds = begun.elapsed().as_secs();
            let found = self.shell.machine(self.id).await?;
            let (state, because) = found.map_or_else(Default::default, |it| (it.state, it.because));
            match state.as_str() {
                "stopped" | "terminated" => break because,
                // Not shown yet, for some seconds; then not any more.
                "" if seconds > UNSEEN_LIMIT_S => break "EC2 does not show it".to_owned(),
                _ => {}
            }
            if seconds > self.wanted.limit_s {
                let what = format!("machine {}", self.id);
                return Err(Error::Slow { what, seconds });
            }
            // One that ends is not there to be asked later. One that is not shown yet has no tags to go by either.
            let is_up = !matches!(state.as_str(), "" | "pending");
            if is_up && (!self.wanted.stops || looks % CONSOLE_EVERY == 0) {
                self.read().await?;
            }
            looks += 1;
            let what = format!("{}: machine {} is {state}", self.wanted.what, self.id);
            self.shell.waiting(what, seconds);
            tokio::time::sleep(self.patience.look).await;
        };
        let ended = Instant::now();
        while script::verdict(&self.console).is_none() {
            match self.read().await {
                // It had the right while the machine had its tags.
                Err(Error::Call(error)) if error.is("UnauthorizedOperation") => break,
                read => read?,
            }
            if ended.elapsed() > self.patience.posted {
                break;
            }
            if script::verdict(&self.console).is_none() {
                tokio::time::sleep(self.patience.look).await;
            }
        }
        Ok(because)
    }

    /// Reads the console, and tells of steps that are done since.
    async fn read(&mut self) -> Result<(), Error> {
        // EC2 may tell less than it did, of a machine that is going.
        if let Some(text) = self.shell.console(self.id).await?
            && (text.len() >= self.console.len() || script::verdict(&text).is_some())
        {
            self.console = text;
        }
        let done = script::steps_done(&self.console);
        for step in done.iter().skip(self.told) {
            self.shell
                .step(&format!("{}: {step} done", self.wanted.what));
        }
        self.told = self.told.max(done.len());
        Ok(())
    }
}
