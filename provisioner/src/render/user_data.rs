//! The boot script of each pool.

use serde_json::{Value, json};
use stacks::pool::ForgeKind;
use tera::Context;

use super::{RenderError, USER_DATA_MAX_BYTES, UserData, document, within};
use crate::environment::{Arch, Environment, Image, Pool, RunAs, Stock, TOOL_CACHE};

const NAME: &str = "ami/boot/user-data.sh";
const SOURCE: &str = include_str!("../../../ami/boot/user-data.sh");

/// Stands in the script where CloudFormation puts the API's id.
const API_ID: &str = "@API_ID@";

pub(super) fn render(environment: &Environment, pool: &Pool) -> Result<UserData, RenderError> {
    let region = &environment.region;
    let install = match pool.image {
        Image::Ami(_) | Image::Parameter(_) => Value::Null,
        Image::Stock(stock) | Image::Built { stock, .. } => install(environment, pool, stock),
    };
    let mut context = Context::new();
    context.insert("names", &environment.names());
    context.insert("region", region);
    context.insert("install", &install);
    let forge_ca = environment.forge.ca.as_deref().map(str::trim);
    context.insert("forge_ca", &forge_ca);
    context.insert("forge_url", &environment.forge.url);
    context.insert("forge_kind", &environment.forge.kind);
    context.insert(
        "runner_url",
        &format!("https://{API_ID}.execute-api.{region}.amazonaws.com/runner"),
    );
    context.insert("logs_url", &format!("https://logs.{region}.amazonaws.com/"));
    context.insert("pool", &pool.document);
    let role = environment.names().runner_role(pool.permissions.as_deref());
    context.insert("host", &host(pool, &role));
    let script = strip(&super::tera(NAME, SOURCE, &context)?);
    within(
        &format!("the user-data of pool {}", pool.document.name),
        script.len(),
        USER_DATA_MAX_BYTES,
        "give the pool fewer variables, or images of your own that trust the forge's CA and hold the runner",
    )?;
    Ok(UserData {
        pool: pool.document.name.clone(),
        script,
    })
}

/// What jobs are on the machine. The search path is the shell's alone: containers have their own. The folder of
/// tools stands by itself, since an image has one too and the runner's configuration takes each name once.
fn host(pool: &Pool, role: &str) -> Value {
    let host = &pool.host;
    let pair = |(name, value): (&String, &String)| json!({"name": name, "value": value});
    let is_containers =
        |(name, _): &(&String, &String)| ![TOOL_CACHE, "PATH"].contains(&name.as_str());
    json!({
        "user": host.run_as.user(),
        "home": host.run_as.home(),
        "is_root": host.run_as == RunAs::Root,
        // A job of root's could open it again.
        "metadata_is_closed": pool.permissions.is_none() && host.run_as != RunAs::Root,
        "role": role,
        "sudo": host.sudo,
        "docker": host.docker,
        "tools": host.env.get(TOOL_CACHE),
        "env": host.env.iter().map(pair).collect::<Vec<_>>(),
        "container_env": host.env.iter().filter(is_containers).map(pair).collect::<Vec<_>>(),
    })
}

/// Amazon Linux 2023's own package of Node, which actions in JavaScript run with. Its name holds the
/// major version, and makes it the `node` of the machine.
const AL2023_NODE: &str = "nodejs24";
/// Ubuntu 24.04's own package has Node 18, which is too old for today's actions.
const UBUNTU_NODE: &str = "v24.18.0";

/// The checksum of Node's archive, as nodejs.org's `SHASUMS256.txt` of that version has it: read on
/// 2026-11-30 in the pins of four public repositories that agree.
const fn ubuntu_node_sha256(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "783130984963db7ba9cbd01089eaf2c2efb055c7c1693c943174b967b3050cb8",
        Arch::Arm64 => "6b4484c2190274175df9aa8f28e2d758a819cb1c1fe6ab481e2f95b463ab8508",
    }
}

/// What boot installs on a stock image, and with what.
fn install(environment: &Environment, pool: &Pool, stock: Stock) -> Value {
    let version = &environment.runner.version;
    let arch = pool.arch.download_name();
    let (file, folder) = match environment.forge.kind {
        ForgeKind::Gitea => (
            format!("gitea-runner-{version}-linux-{arch}"),
            format!("https://dl.gitea.com/gitea-runner/{version}"),
        ),
        ForgeKind::Forgejo => (
            format!("forgejo-runner-{version}-linux-{arch}"),
            format!("https://code.forgejo.org/forgejo/runner/releases/download/v{version}"),
        ),
    };
    let (manager, docker, node) = match stock {
        Stock::Al2023 => (
            "dnf",
            "docker",
            json!({"package": AL2023_NODE, "file": null}),
        ),
        Stock::Ubuntu => (
            "apt-get",
            "docker.io docker-buildx docker-compose-v2",
            ubuntu_node(pool.arch),
        ),
    };
    json!({
        "manager": manager,
        "docker": docker,
        "node": node,
        "url": format!("{folder}/{file}"),
        "file": file,
        "sha256": environment.runner.sha256.get(&pool.arch),
    })
}

fn ubuntu_node(arch: Arch) -> Value {
    let word = match arch {
        Arch::X86_64 => "x64",
        Arch::Arm64 => "arm64",
    };
    let file = format!("node-{UBUNTU_NODE}-linux-{word}.tar.gz");
    json!({
        "package": null,
        "url": format!("https://nodejs.org/dist/{UBUNTU_NODE}/{file}"),
        "file": file,
        "sha256": ubuntu_node_sha256(arch),
    })
}

/// As a launch template has it.
pub(super) fn property(script: &str) -> Value {
    json!({"Fn::Base64": document::join(script, &[(API_ID, json!({"Ref": "ApiId"}))])})
}

/// Without comments, blank lines and indentation, which machines pay for and only people read. What stands in
/// a here-document stays as it is, but for blank lines.
pub(crate) fn strip(script: &str) -> String {
    let mut stripped = String::with_capacity(script.len());
    let mut end_of_document = None;
    for (index, line) in script.lines().enumerate() {
        let text = line.trim_start();
        let is_comment = text.starts_with('#') && !(index == 0 && text.starts_with("#!"));
        let kept = match end_of_document {
            Some(_) if text.is_empty() => continue,
            Some(end) => {
                if line == end {
                    end_of_document = None;
                }
                line
            }
            None if text.is_empty() || is_comment => continue,
            None => {
                let named = text
                    .split_once("<<")
                    .map(|(_, name)| name.trim_matches('\''));
                end_of_document = named.filter(|name| *name == HERE_DOCUMENT);
                text
            }
        };
        stripped.push_str(kept);
        stripped.push('\n');
    }
    stripped
}

/// How every here-document of the boot file ends.
const HERE_DOCUMENT: &str = "END";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_indentation_and_blank_lines_go_and_the_shebang_stays() {
        let script = "#!/bin/sh\n# why\n\nset -eu\n  # more\n  echo '#1'\n";
        assert_eq!(strip(script), "#!/bin/sh\nset -eu\necho '#1'\n");
    }

    #[test]
    fn a_here_document_keeps_its_indentation() {
        let script = "  cat >x <<'END'\n  a:\n\n    # b\nEND\n  echo\n";
        let stripped = "cat >x <<'END'\n  a:\n    # b\nEND\necho\n";
        assert_eq!(strip(script), stripped);
    }
}
