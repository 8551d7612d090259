//! The user-data of the machine that an image is made from, and of the machine that tries it.
//!
//! Both are put together from the same scripts of `ami/steps`: what stands around the steps, the
//! distribution, and for each step its tools, its script and the call that runs it. The machine that tries
//! the image has the checks alone, of every ancestor's steps too.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::error::AmiError;
use super::manifest::{Image, Manifest};
use super::stock::Stock;
use crate::arch::Arch;
use crate::render::{USER_DATA_MAX_BYTES, without_comments};

/// Begins every line that a script says about itself.
const MARK: &str = "ci-ami ";
/// The last step of every image.
const CLEAN: &str = "clean";

/// What a script has said on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All steps and checks passed.
    Ok {
        /// Of what was built or tried.
        digest: String,
    },
    /// It stopped.
    Failed {
        /// In which step.
        step: String,
        /// Why.
        words: String,
    },
}

/// The user-data that makes a machine of the parent's image into this one and stops it. Says of each step
/// `ci-ami step=NAME ok`, and at its end `ci-ami RESULT …`, on the console and on its standard output.
pub fn builder(
    manifest: &Manifest,
    image: &Image,
    stock: Stock,
    arch: Arch,
    deadline_minutes: u32,
) -> Result<String, AmiError> {
    let digest = manifest.digest(image, stock, arch)?;
    let facts = Facts {
        mirror: manifest.mirror.as_deref(),
        ..Facts::of("build", (stock, arch), &digest, deadline_minutes)
    };
    short_enough(image, build_script(manifest, image, &facts)?)
}

/// The user-data of a machine of the finished image, which checks it, says the same kind of verdict, and
/// powers off.
pub fn self_test(
    manifest: &Manifest,
    image: &Image,
    stock: Stock,
    arch: Arch,
    deadline_minutes: u32,
) -> Result<String, AmiError> {
    let digest = manifest.digest(image, stock, arch)?;
    let facts = Facts::of("check", (stock, arch), &digest, deadline_minutes);
    let mut script = head(manifest, image, &facts);
    let lineage = manifest.lineage(image);
    let mut steps: Vec<&str> = Vec::new();
    for image in lineage {
        for (tool, _, _) in manifest.pinned(image, arch)? {
            line(
                &mut script,
                format_args!("tool {} {}", tool.name, tool.version),
            );
        }
        // A step that a child runs again has the last word on what both installed.
        steps.retain(|step| !image.steps.iter().any(|own| own == step));
        steps.extend(image.steps.iter().map(String::as_str));
    }
    steps.push(CLEAN);
    for step in steps {
        line(&mut script, format_args!("step={step}"));
        script.push_str(&without_function(text(manifest, step), "provision"));
        script.push_str("run_step\n");
    }
    script.push_str("done=yes\n");
    short_enough(image, without_comments(&script))
}

impl Manifest {
    /// What decides the image's content, as 64 hexadecimal digits: the script that makes it, with the tools'
    /// checksums in it, and its parent's. The same digest need not be built twice from the same stock image.
    /// When it has to be ready by, and where it is downloaded from, decide nothing. Refuses what can't be built.
    pub fn digest(&self, image: &Image, stock: Stock, arch: Arch) -> Result<String, AmiError> {
        let mut hash = Sha256::new();
        for image in self.lineage(image) {
            let facts = Facts::of("build", (stock, arch), "", 0);
            let script = build_script(self, image, &facts)?;
            hash.update(format!("{} {}\n", image.root_volume_gb, script.len()));
            hash.update(script);
        }
        Ok(hex::encode(hash.finalize()))
    }
}

/// The last verdict in a console's text, which holds other programs' lines too; none if there is none (yet).
#[must_use]
pub fn verdict(console: &str) -> Option<Verdict> {
    let said = console.lines().rev().filter_map(said);
    let mut results = said.filter_map(|said| said.strip_prefix("RESULT "));
    results.find_map(|result| {
        if let Some(digest) = result.strip_prefix("ok digest=") {
            return Some(Verdict::Ok {
                digest: digest.to_owned(),
            });
        }
        let (step, words) = result.strip_prefix("fail step=")?.split_once(": ")?;
        Some(Verdict::Failed {
            step: step.to_owned(),
            words: words.to_owned(),
        })
    })
}

/// The steps that the console's text says are done, each once, in order.
#[must_use]
pub fn steps_done(console: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for said in console.lines().filter_map(said) {
        let step = said
            .strip_prefix("step=")
            .and_then(|it| it.strip_suffix(" ok"));
        if let Some(step) = step.filter(|step| !steps.iter().any(|seen| seen == step)) {
            steps.push(step.to_owned());
        }
    }
    steps
}

/// What a line says of ours. The console puts its own words before it: a time, a program.
fn said(line: &str) -> Option<&str> {
    let (_, said) = line.split_once(MARK)?;
    Some(said.trim_end())
}

/// What one script is made for.
struct Facts<'a> {
    mode: &'static str,
    stock: Stock,
    arch: Arch,
    digest: &'a str,
    deadline_minutes: u32,
    mirror: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// With the vendors' own addresses.
    fn of(
        mode: &'static str,
        (stock, arch): (Stock, Arch),
        digest: &'a str,
        deadline_minutes: u32,
    ) -> Self {
        Self {
            mode,
            stock,
            arch,
            digest,
            deadline_minutes,
            mirror: None,
        }
    }
}

fn build_script(manifest: &Manifest, image: &Image, facts: &Facts<'_>) -> Result<String, AmiError> {
    let tools = manifest.pinned(image, facts.arch)?;
    let mut script = head(manifest, image, facts);
    script.push_str(text(manifest, "distribution"));
    for step in image.steps.iter().map(String::as_str).chain([CLEAN]) {
        line(&mut script, format_args!("step={step}"));
        for (tool, url, sum) in tools.iter().filter(|(tool, _, _)| tool.step == step) {
            let url = match facts.mirror {
                Some(mirror) => url.replacen("https:/", mirror, 1),
                None => url.clone(),
            };
            let (algorithm, digits) = (sum.algorithm(), sum.digits());
            let (name, version) = (&tool.name, &tool.version);
            line(
                &mut script,
                format_args!("tool {name} {version} '{url}' {algorithm} {digits}"),
            );
        }
        script.push_str(text(manifest, step));
        script.push_str("run_step\n");
    }
    script.push_str("done=yes\n");
    Ok(without_comments(&script))
}

fn head(manifest: &Manifest, image: &Image, facts: &Facts<'_>) -> String {
    let mut script = String::from("#!/bin/sh\n");
    let Facts {
        mode,
        stock,
        arch,
        digest,
        deadline_minutes,
        ..
    } = facts;
    line(&mut script, format_args!("mode={mode}"));
    line(&mut script, format_args!("image={}", image.name));
    line(&mut script, format_args!("stock={}", stock.word()));
    line(&mut script, format_args!("arch={}", arch.name()));
    line(&mut script, format_args!("digest={digest}"));
    line(
        &mut script,
        format_args!("deadline_minutes={deadline_minutes}"),
    );
    script.push_str(text(manifest, "frame"));
    script
}

/// A script's text: the manifest was read with every script that it names.
fn text<'a>(manifest: &'a Manifest, step: &str) -> &'a str {
    manifest.sources.steps.get(step).map_or("", String::as_str)
}

/// A script without one of its functions, which ends with the first brace at the beginning of a line.
fn without_function(script: &str, name: &str) -> String {
    let first = format!("{name}() {{");
    let mut is_inside = false;
    let mut rest = String::with_capacity(script.len());
    for text in script.lines() {
        is_inside |= text == first;
        if !is_inside {
            rest.push_str(text);
            rest.push('\n');
        }
        is_inside &= text != "}";
    }
    rest
}

fn line(script: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(script, "{text}").expect("a string takes every line");
}

fn short_enough(image: &Image, script: String) -> Result<String, AmiError> {
    if script.len() <= USER_DATA_MAX_BYTES {
        return Ok(script);
    }
    Err(AmiError::TooLong {
        image: image.name.clone(),
        bytes: script.len(),
        most: USER_DATA_MAX_BYTES,
    })
}
