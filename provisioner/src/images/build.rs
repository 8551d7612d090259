//! From the manifest to images that machines start from: for each, a machine of its parent's image runs the
//! steps and stops, an image is made of it, a machine of that image tries it, and the parameter names it.
//!
//! No SSH, no agent, nothing inbound: a machine is told by its user-data what to do and says on its console what
//! came of it. No word is a failure.

use sha2::{Digest as _, Sha256};

use super::asked::{Asked, fits_pools};
use super::built::{self, BuiltImage, ImageStatus};
use super::keys::{self, Keys};
use super::machine::{self, Bench, Ran};
use super::made::{self, Made, Thing};
use super::outcome::{Came, Outcome};
use super::publish;
use crate::ami::{Image, Manifest, Parent, Stock, script};
use crate::deployment::Deployment;
use crate::environment::Arch;
use crate::error::Error;
use crate::progress::Progress;
use crate::shell::{Shell, moment};

/// What `CreateImage` says of a name that an image has.
const NAME_TAKEN: &str = "InvalidAMIName.Duplicate";
/// How long the steps may take, in minutes: the machine's own deadline. Ten are usual.
const BUILD_MINUTES: u32 = 45;
/// How long the machine that tries the image may take, in minutes.
const TRIAL_MINUTES: u32 = 10;
/// How much later than a machine's own deadline the sweep ends it, in seconds.
const SWEPT_AFTER_S: u64 = 15 * 60;
/// Longest until an image is available, in seconds: AWS's own tools gave up at ten minutes and had to be told to
/// wait longer.
const AVAILABLE_LIMIT_S: u64 = 30 * 60;
/// How often in a row EC2 has to say so: its answers come from places that do not know the same yet.
const AGREED: u32 = 3;

/// Builds what is asked for, parents before children. What is not finished, `made` has noted: it is taken away
/// when this fails or is dropped, by [`take_away`].
pub async fn build(
    deployment: &Deployment,
    asked: &Asked<'_>,
    made: &Made,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>, Error> {
    let environment = &deployment.environment;
    let stock = environment.stock();
    let wanted = asked.wanted(deployment)?;
    // Whatever can't be rendered is said before a machine is paid for.
    for (image, arch) in &wanted {
        script::builder(asked.manifest, image, stock, *arch, BUILD_MINUTES)?;
        script::self_test(asked.manifest, image, stock, *arch, TRIAL_MINUTES)?;
        fits_pools(deployment, image)?;
    }
    let shell = Shell::open(deployment, progress).await?;
    let bench = Bench::of(&shell, deployment, asked.patience).await?;
    let mut done: Vec<Outcome> = Vec::new();
    for (image, arch) in wanted {
        let build = Build {
            shell: &shell,
            bench: &bench,
            manifest: asked.manifest,
            instance_type: asked.instance_type,
            made,
            image,
            stock,
            arch,
        };
        let outcome = build.one(&done).await;
        done.push(match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                take_away_with(&shell, made).await;
                return Err(error);
            }
        });
    }
    Ok(done)
}

/// Takes away what a build has left that was broken off, and tells what could not be.
pub async fn take_away(
    deployment: &Deployment,
    made: &Made,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let shell = Shell::open(deployment, progress).await?;
    take_away_with(&shell, made).await;
    Ok(())
}

async fn take_away_with(shell: &Shell<'_>, made: &Made) {
    if made.left().is_empty() {
        return;
    }
    shell.step(&format!("taking away {}", made.left().join(", ")));
    if let Err(error) = made.take_away(shell).await {
        // Machines end at their own deadline and by the sweep; images are found by `ami retire`.
        shell.step(&format!("left: {} ({error})", made.left().join(", ")));
    }
}

/// What decides an image's content: what the manifest says, and the very image that it starts from. So a new stock
/// image with its security updates is worth a new build, and the same is not built twice.
fn digest(manifest: &str, parent: &str) -> String {
    hex::encode(Sha256::digest(format!("{manifest}\n{parent}\n")))
}

struct Build<'b, 's> {
    shell: &'b Shell<'s>,
    bench: &'b Bench<'b>,
    manifest: &'b Manifest,
    instance_type: Option<&'b str>,
    made: &'b Made,
    image: &'b Image,
    stock: Stock,
    arch: Arch,
}

impl Build<'_, '_> {
    async fn one(&self, done: &[Outcome]) -> Result<Outcome, Error> {
        let parent = self.parent(done).await?;
        let of_manifest = self.manifest.digest(self.image, self.stock, self.arch)?;
        let digest = digest(&of_manifest, &parent);
        let names = &self.bench.names;
        let all = self.shell.built_images(names).await?;
        if let Some(there) = built::with_digest(&all, &digest) {
            return self.settle(there, &all).await;
        }
        self.refuse_twice(&digest).await?;
        self.tell_of_parent(done);
        let built = BuiltImage {
            id: String::new(),
            version: built::next_version(&all, &self.image.name),
            image: self.image.name.clone(),
            arch: self.arch.name().to_owned(),
            stock: self.stock.word().to_owned(),
            name: names.ami(
                &self.image.name,
                built::next_version(&all, &self.image.name),
            ),
            digest,
            parent,
            created_s: keys::now_s(),
            tested: false,
            published: false,
            available: false,
            snapshots: Vec::new(),
        };
        self.make(built, &of_manifest).await
    }

    /// What is to be done with an image that is there.
    async fn settle(&self, there: &BuiltImage, all: &[BuiltImage]) -> Result<Outcome, Error> {
        let names = &self.bench.names;
        let path = names.image(&self.image.name, self.arch.name());
        let value = self.shell.parameter(&path).await?;
        let mut outcome = Outcome {
            built: there.clone(),
            came: Came::of_there(there, value.as_deref(), all),
        };
        if outcome.came == Came::PutForward {
            publish::put_forward(self.shell, names, all, there).await?;
            outcome.built.published = true;
        }
        self.step(&outcome.words());
        Ok(outcome)
    }

    /// Its parent is what the manifest says, whatever machines of the parent's pools start from.
    fn tell_of_parent(&self, done: &[Outcome]) {
        if let Some(Outcome { built, came }) = self.parent_of(done)
            && let Came::SetAside { named } = came
        {
            self.step(&format!(
                "starts from {} ({}), as the manifest says, though machines start from {named} since: if {} was \
                 gone back from because it is bad, this one will be too",
                built.name, built.id, built.name
            ));
        }
    }

    /// Every phase that makes something notes it first.
    async fn make(&self, mut built: BuiltImage, of_manifest: &str) -> Result<Outcome, Error> {
        let builder = self.run_steps(&built, of_manifest).await?;
        let names = &self.bench.names;
        // Others have built it meanwhile, for another architecture perhaps: EC2 knows an image by its name too.
        let all = self.shell.built_images(names).await?;
        built.version = built::next_version(&all, &built.image);
        built.name = names.ami(&built.image, built.version);
        self.step(&format!("making the image {}", built.name));
        let nonce = keys::nonce();
        built.id = self.create(&builder, &built, &nonce).await?;
        self.wait_until_available(&built.id).await?;
        built.available = true;
        // From here on the machine that it was made of is only money.
        self.shell.terminate(&[builder]).await?;
        self.try_it(&built, of_manifest).await?;
        let keys = Keys::of(names);
        let now = moment(keys::now_s());
        self.shell.tag_image(&built.id, &keys.tested, &now).await?;
        built.tested = true;
        self.made.hand_over(&built.id);
        let path = names.image(&built.image, &built.arch);
        self.step(&format!("publishing {} as {path}", built.id));
        // Somebody may have built meanwhile what machines start from.
        let all = self.shell.built_images(names).await?;
        publish::put_forward(self.shell, names, &all, &built).await?;
        built.published = true;
        // The machines have ended by themselves or are asked to once more.
        self.made.take_away(self.shell).await?;
        Ok(Outcome {
            built,
            came: Came::Built,
        })
    }

    /// The very image that this one starts from.
    async fn parent(&self, done: &[Outcome]) -> Result<String, Error> {
        match &self.image.parent {
            Parent::Stock => {
                let path = self.stock.parameter(self.arch);
                let value = self.shell.parameter(&path).await?;
                value.ok_or_else(|| self.failed("start", format!("there is no parameter {path}")))
            }
            Parent::Image(name) => {
                let parent = self.parent_of(done).map(|one| one.built.id.clone());
                parent.ok_or_else(|| self.failed("start", format!("{name} was not built")))
            }
        }
    }

    fn parent_of<'o>(&self, done: &'o [Outcome]) -> Option<&'o Outcome> {
        let Parent::Image(name) = &self.image.parent else {
            return None;
        };
        let mut of_arch = done.iter().filter(|one| one.built.arch == self.arch.name());
        of_arch.find(|one| one.built.image == *name)
    }

    /// Somebody else may be building the same.
    async fn refuse_twice(&self, digest: &str) -> Result<(), Error> {
        let launch = keys::launch(digest);
        let alive = self.shell.instances(&self.bench.names).await?;
        let alive = alive.into_iter().filter(|one| one.state != "shutting-down");
        match alive.into_iter().find(|one| one.launch == launch) {
            None => Ok(()),
            Some(other) => Err(self.failed(
                "start",
                format!(
                    "machine {} makes or tries the very same: wait for its end, which its deadline \
                     brings in any case, or terminate it",
                    other.id
                ),
            )),
        }
    }

    /// Runs the steps on a machine of the parent's image: the id of the machine, which has stopped.
    async fn run_steps(&self, built: &BuiltImage, of_manifest: &str) -> Result<String, Error> {
        let script = script::builder(
            self.manifest,
            self.image,
            self.stock,
            self.arch,
            BUILD_MINUTES,
        )?;
        let root = self.shell.root_of(&built.parent).await?;
        let (device, smallest) = root.ok_or_else(|| {
            let why = format!("EC2 does not show its parent's image {}", built.parent);
            self.failed("start", why)
        })?;
        let limit_s = u64::from(BUILD_MINUTES) * 60 + SWEPT_AFTER_S;
        let wanted = machine::Wanted {
            what: self.what(),
            image: &built.parent,
            root: (&device, self.image.root_volume_gb.max(smallest)),
            user_data: &script,
            stops: true,
            types: match self.instance_type {
                Some(one) => vec![one.to_owned()],
                None => vec![machine::usual_type(self.arch).to_owned()],
            },
            template: None,
            digest: &built.digest,
            limit_s,
        };
        let ran = machine::run(self.shell, self.bench, &wanted, self.made).await?;
        self.judge(&ran, "steps", of_manifest)?;
        Ok(ran.id)
    }

    async fn create(
        &self,
        builder: &str,
        built: &BuiltImage,
        nonce: &str,
    ) -> Result<String, Error> {
        let keys = Keys::of(&self.bench.names);
        let tags = [
            ("Name".to_owned(), built.name.clone()),
            (self.bench.names.tag.clone(), "image".to_owned()),
            (keys.image, built.image.clone()),
            (keys.stock, built.stock.clone()),
            (keys.version, built.version.to_string()),
            (keys.digest, built.digest.clone()),
            (keys.parent, built.parent.clone()),
            (keys.build.clone(), nonce.to_owned()),
        ];
        self.made.ask(Thing::Image {
            name: built.name.clone(),
            tag: (keys.build.clone(), nonce.to_owned()),
            id: None,
        });
        let made = match self.shell.create_image(builder, &built.name, &tags).await {
            // The call has no token: ours, whose answer was lost, or another build's.
            Err(error) if error.is(NAME_TAKEN) => {
                let ours =
                    made::looked_for(async || self.shell.images_with(&keys.build, nonce).await);
                ours.await?.into_iter().next().ok_or(error)
            }
            made => made,
        };
        match made {
            Ok(id) => {
                self.made.came(&id);
                Ok(id)
            }
            Err(error) => {
                if error.is_refusal() && !error.is(NAME_TAKEN) {
                    self.made.refused();
                }
                Err(error.into())
            }
        }
    }

    async fn wait_until_available(&self, id: &str) -> Result<(), Error> {
        let begun = std::time::Instant::now();
        let mut agreed = 0;
        while agreed < AGREED {
            match self.shell.image_state(id).await? {
                Some(ImageStatus::Available) => agreed += 1,
                None | Some(ImageStatus::Pending) => agreed = 0,
                Some(ImageStatus::Broken(word)) => {
                    let why = format!("EC2 says that image {id} is {word}");
                    return Err(self.failed("image", why));
                }
            }
            let seconds = begun.elapsed().as_secs();
            if seconds > AVAILABLE_LIMIT_S {
                let what = format!("image {id}");
                return Err(Error::Slow { what, seconds });
            }
            if agreed < AGREED {
                let what = format!("{}: image {id} becomes available", self.what());
                self.shell.waiting(what, seconds);
                tokio::time::sleep(self.bench.patience.look).await;
            }
        }
        Ok(())
    }

    /// Launches a machine of the image as the dispatcher would, and has it look at itself.
    async fn try_it(&self, built: &BuiltImage, of_manifest: &str) -> Result<(), Error> {
        self.step("trying a machine of it");
        let script = script::self_test(
            self.manifest,
            self.image,
            self.stock,
            self.arch,
            TRIAL_MINUTES,
        )?;
        let root = self.shell.root_of(&built.id).await?;
        let (device, size) = root
            .ok_or_else(|| self.failed("trial", format!("EC2 does not show image {}", built.id)))?;
        let (template, types) = self
            .bench
            .as_launched(self.shell, self.image, self.arch)
            .await?;
        let wanted = machine::Wanted {
            what: self.what(),
            image: &built.id,
            root: (&device, size),
            user_data: &script,
            stops: false,
            types,
            template,
            digest: &built.digest,
            limit_s: u64::from(TRIAL_MINUTES) * 60 + SWEPT_AFTER_S,
        };
        let ran = machine::run(self.shell, self.bench, &wanted, self.made).await?;
        self.judge(&ran, "trial", of_manifest)
    }

    /// What a machine has said of its work. Where it failed, or said nothing, its last words are shown.
    fn judge(&self, ran: &Ran, phase: &'static str, of_manifest: &str) -> Result<(), Error> {
        let because = match script::verdict(&ran.console) {
            Some(script::Verdict::Ok { digest }) if digest == of_manifest => return Ok(()),
            Some(script::Verdict::Ok { digest }) => {
                format!("it speaks of another image, whose digest is {digest}")
            }
            Some(script::Verdict::Failed { step, words }) => format!("step {step}: {words}"),
            None => format!("machine {} ended without a verdict {}", ran.id, ran.because),
        };
        let lines: Vec<&str> = ran.console.lines().collect();
        let last = &lines[lines.len().saturating_sub(machine::SHOWN_LINES)..];
        self.step(&format!("its console said last:\n{}", last.join("\n")));
        Err(self.failed(phase, because))
    }

    fn failed(&self, phase: &'static str, because: String) -> Error {
        Error::Build {
            image: self.what(),
            phase,
            because,
        }
    }

    fn what(&self) -> String {
        format!("{} {}", self.image.name, self.arch.name())
    }

    fn step(&self, words: &str) {
        self.shell.step(&format!("{}: {words}", self.what()));
    }
}
