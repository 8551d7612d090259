//! The images' steps, really run: on a booted Debian, which shares packages and names with Ubuntu, each image
//! is made twice over, from its parent's layers, and then tried. The tools are small stand-ins in the vendors'
//! forms, from a mirror with their own checksums.
//!
//! Of Amazon Linux there is no root to be had here. Its half of `ami/steps/distribution.sh` runs with the real
//! dnf on the same Debian, against a repository of empty packages with Amazon's names: what is asked for is
//! there by that name, and dnf takes the words. What Amazon's own packages do is not seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use provisioner::ami::script::{self, Verdict};
use provisioner::ami::{AmiError, Image, Manifest, Stock};

use super::machine::{self, Disk};
use super::run::{Run, TestError, files, holds, pass};
use super::stand_ins::{ARCH, STOCK, StandIns, file_error, wrong};
use super::tools::{from_debian, written};
use crate::output::say;

const STEP: &str = "ami-steps";
/// What makes Amazon's repository.
pub const AMAZON: &str = "xtask/tests/ami/amazon.sh";
/// Packages of Amazon Linux 2023, as they stand in its lists: `nftables-1.0.4-3.amzn2023`, `xz-5.2.5-9`,
/// `unzip-6.0-57`, `tar-1.34-1`, `git-2.50.1-1`, `jq-1.6-10`, `zstd-1.5.5-1`, `fontconfig-2.13.94-2`,
/// `binutils-2.41-50`; and docker and amazon-ecr-credential-helper, which its users install so.
const AMAZON_PACKAGES: [&str; 11] = [
    "amazon-ecr-credential-helper",
    "binutils",
    "docker",
    "fontconfig",
    "git",
    "jq",
    "nftables",
    "tar",
    "unzip",
    "xz",
    "zstd",
];
/// The images that ask for packages, with one that each has to bring.
const AMAZON_IMAGES: [(&str, &str); 3] = [
    ("base", "nftables"),
    ("docker", "docker"),
    ("godot", "fontconfig"),
];
/// Longest time for a machine, in minutes: the harness cuts it off before.
const DEADLINE_MINUTES: u32 = 10;

/// Every script that is made of the manifest, as files.
pub fn rendered(run: &Run) -> Result<Vec<PathBuf>, TestError> {
    let folder = run.root.join("target/rendered-ami");
    let _ = fs::remove_dir_all(&folder);
    let manifest = Manifest::read(&run.root).map_err(wrong)?;
    for image in manifest.images() {
        for stock in Stock::ALL {
            for arch in image.architectures.iter().copied() {
                let name = format!("{}-{}-{}", image.name, stock.word(), arch.name());
                let made = script::builder(&manifest, image, stock, arch, DEADLINE_MINUTES);
                let tried = script::self_test(&manifest, image, stock, arch, DEADLINE_MINUTES);
                for (kind, script) in [("build", made), ("test", tried)] {
                    // What is unpinned has no script, and says so where it is asked for.
                    match script {
                        Ok(script) => written(&folder.join(format!("{name}-{kind}.sh")), &script)?,
                        Err(AmiError::Unpinned { .. }) => {}
                        Err(error) => return Err(wrong(error)),
                    }
                }
            }
        }
    }
    let rendered = files(&folder, "sh");
    holds(
        "the images' scripts",
        rendered.len() >= manifest.images().len() * 4,
    )?;
    Ok(rendered)
}

/// Makes every image twice, tries it, and looks that what is wrong is found.
pub fn run(run: &mut Run) -> Result<(), TestError> {
    for (package, program) in [("rpm", "rpmbuild"), ("createrepo-c", "createrepo_c")] {
        from_debian(run, program, package)?;
    }
    from_debian(run, "shellcheck", "shellcheck")?;
    let debian = machine::debian(run)?;
    let folder = tempfile::tempdir().map_err(|source| file_error(Path::new("/tmp"), source))?;
    let folder = folder.path();
    let packages = machine::packages(run, &debian)?;
    let stand_ins = StandIns::serve(run, &folder.join("mirror"))?;
    let manifest = stand_ins.manifest(run, &[])?;
    let stock = folder.join("stock");
    stand_ins.trusted(&debian, &stock)?;
    let fleet = Fleet {
        run,
        folder,
        below: vec![stock, packages, debian],
        manifest,
    };
    for image in fleet.manifest.images() {
        fleet.image(image)?;
    }
    fleet.amazon()?;
    fleet.wrong_checksum()?;
    fleet.broken_image()?;
    fleet.deadline()
}

/// The images that were made, as layers.
struct Fleet<'a> {
    run: &'a Run,
    folder: &'a Path,
    /// What every image stands on.
    below: Vec<PathBuf>,
    manifest: Manifest,
}

impl Fleet<'_> {
    /// Made, made once more, and tried on a machine of its own.
    fn image(&self, image: &Image) -> Result<(), TestError> {
        let digest = self.manifest.digest(image, STOCK, ARCH).map_err(wrong)?;
        let good = Verdict::Ok { digest };
        let build = builder(&self.manifest, image, DEADLINE_MINUTES)?;
        let layers = self.layers(image);
        {
            let disk = Disk::mount(&self.place(&image.name), &layers[0], &layers[1..])?;
            for how in ["made", "made once more"] {
                expect(
                    &self.boot(&disk, &build, &format!("{} {how}", image.name))?,
                    &good,
                )?;
            }
            let has = |path: &str| disk.root.join(path).exists();
            let id = fs::metadata(disk.root.join("etc/machine-id"));
            holds(
                "an image without its builder's keys and id",
                !has("etc/ssh/ssh_host_ed25519_key") && id.is_ok_and(|id| id.len() == 0),
            )?;
        }
        let try_it = script::self_test(&self.manifest, image, STOCK, ARCH, DEADLINE_MINUTES);
        let scratch = self.folder.join("scratch");
        let _ = fs::remove_dir_all(&scratch);
        let disk = Disk::mount(&self.place("try"), &scratch, &layers)?;
        let tried = format!("{} tried", image.name);
        expect(&self.boot(&disk, &try_it.map_err(wrong)?, &tried)?, &good)
    }

    /// What the machine said on its console.
    fn boot(&self, disk: &Disk, user_data: &str, what: &str) -> Result<String, TestError> {
        let start = Instant::now();
        let console = disk.boot(self.run, user_data)?;
        say(&format!("{what} in {:.1} s", start.elapsed().as_secs_f64()));
        Ok(console)
    }

    /// The same steps as on Amazon Linux, over the finished images: what packages bring is there already.
    fn amazon(&self) -> Result<(), TestError> {
        let layer = self.folder.join("amazon");
        let mut make = self.run.program("sh", [AMAZON]);
        pass(
            AMAZON,
            make.arg(layer.join("srv/amazon")).args(AMAZON_PACKAGES),
        )?;
        let repository = "[amazon]\nname=amazon\nbaseurl=file:///srv/amazon\ngpgcheck=0\n";
        written(&layer.join("etc/yum.repos.d/amazon.repo"), repository)?;
        written(&layer.join("etc/dnf/vars/releasever"), "2023\n")?;
        for (name, package) in AMAZON_IMAGES {
            let image = self.manifest.image(name).map_err(wrong)?;
            let stock = Stock::Al2023;
            let digest = self.manifest.digest(image, stock, ARCH).map_err(wrong)?;
            let build = script::builder(&self.manifest, image, stock, ARCH, DEADLINE_MINUTES);
            let mut layers = vec![layer.clone()];
            layers.extend(self.layers(image));
            let top = self.folder.join("amazons").join(name);
            let disk = Disk::mount(&self.place("amazon"), &top, &layers)?;
            let console = self.boot(
                &disk,
                &build.map_err(wrong)?,
                &format!("{name} made with dnf"),
            )?;
            expect(&console, &Verdict::Ok { digest })?;
            let mut list = self.run.program("chroot", [&disk.root]);
            list.args([
                "dnf",
                "--quiet",
                "--disablerepo=*",
                "list",
                "--installed",
                package,
            ]);
            pass("dnf has installed it", &mut list)?;
        }
        Ok(())
    }

    /// A file that is not what its checksum says is not installed.
    fn wrong_checksum(&self) -> Result<(), TestError> {
        let image = self.base();
        let build = builder(&self.manifest, image, DEADLINE_MINUTES)?;
        let good = self.manifest.pinned(image, ARCH).map_err(wrong)?;
        let (_, _, sum) = good
            .iter()
            .find(|(tool, _, _)| tool.name == "gitea-runner")
            .ok_or_else(none)?;
        let bad = build.replace(sum.digits(), &"0".repeat(sum.digits().len()));
        let layers = self.layers(image);
        let disk = Disk::mount(
            &self.place("checksum"),
            &self.folder.join("checksum"),
            &layers[1..],
        )?;
        expect_failed(
            &self.boot(&disk, &bad, "a wrong checksum")?,
            "runner",
            "another checksum than the pinned one",
        )?;
        holds(
            "nothing unchecked is installed",
            !disk.root.join("usr/local/bin/gitea-runner").exists(),
        )
    }

    /// What tries an image finds what is missing in it.
    fn broken_image(&self) -> Result<(), TestError> {
        let image = self.base();
        let try_it = script::self_test(&self.manifest, image, STOCK, ARCH, DEADLINE_MINUTES);
        let layers = self.layers(image);
        let disk = Disk::mount(&self.place("broken"), &self.folder.join("broken"), &layers)?;
        let lfs = disk.root.join("usr/local/bin/git-lfs");
        fs::remove_file(&lfs).map_err(|source| file_error(&lfs, source))?;
        let console = self.boot(&disk, &try_it.map_err(wrong)?, "a broken image tried")?;
        expect_failed(&console, "packages", "git lfs version failed")
    }

    /// A machine whose time is over ends, whatever it was at, and its image is none.
    fn deadline(&self) -> Result<(), TestError> {
        let image = self.base();
        let build = builder(&self.manifest, image, 0)?;
        let layers = self.layers(image);
        let disk = Disk::mount(
            &self.place("deadline"),
            &self.folder.join("deadline"),
            &layers[1..],
        )?;
        let console = self.boot(&disk, &build, "a machine without time ended")?;
        // Off by itself, and it may have had no time for a verdict.
        let is_made = matches!(script::verdict(&console), Some(Verdict::Ok { .. }));
        holds(
            "a deadline that ends it",
            !is_made && console.contains("Powering off"),
        )
    }

    /// The image's own layer first, then its ancestors', then what all stand on.
    fn layers(&self, image: &Image) -> Vec<PathBuf> {
        let lineage = self.manifest.lineage(image).into_iter().rev();
        let own = lineage.map(|image| self.folder.join("layers").join(&image.name));
        own.chain(self.below.iter().cloned()).collect()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join("disks").join(name)
    }

    fn base(&self) -> &Image {
        &self.manifest.images()[0]
    }
}

fn builder(manifest: &Manifest, image: &Image, minutes: u32) -> Result<String, TestError> {
    script::builder(manifest, image, STOCK, ARCH, minutes).map_err(wrong)
}

fn expect(console: &str, wanted: &Verdict) -> Result<(), TestError> {
    if script::verdict(console).as_ref() == Some(wanted) {
        return Ok(());
    }
    say(console);
    holds(STEP, false)
}

fn expect_failed(console: &str, wanted_step: &str, wanted_words: &str) -> Result<(), TestError> {
    if let Some(Verdict::Failed { step, words }) = script::verdict(console)
        && step == wanted_step
        && words.contains(wanted_words)
    {
        say(&format!("as it should, {step} failed: {words}"));
        return Ok(());
    }
    say(console);
    holds(STEP, false)
}

fn none() -> TestError {
    TestError::Step(format!("{STEP}: no such tool in its image"))
}
