//! The boot script of each pool.

use serde_json::{Value, json};
use stacks::pool::ForgeKind;
use tera::Context;

use super::{RenderError, USER_DATA_MAX_BYTES, UserData, document, within};
use crate::environment::{Environment, Image, Pool};

const NAME: &str = "ami/boot/user-data.sh";
const SOURCE: &str = include_str!("../../../ami/boot/user-data.sh");

/// Stands in the script where CloudFormation puts the API's id.
const API_ID: &str = "@API_ID@";

pub(super) fn render(environment: &Environment, pool: &Pool) -> Result<UserData, RenderError> {
    let region = &environment.region;
    let install = match pool.image {
        Image::Ami(_) | Image::Parameter(_) => Value::Null,
        Image::StockAl2023 => install(environment, pool),
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
    context.insert("pool", &pool.document);
    let script = strip(&super::tera(NAME, SOURCE, &context)?);
    within(
        &format!("the user-data of pool {}", pool.document.name),
        script.len(),
        USER_DATA_MAX_BYTES,
        "shorten ami/boot/user-data.sh",
    )?;
    Ok(UserData {
        pool: pool.document.name.clone(),
        script,
    })
}

/// Amazon Linux 2023's own package of Node, which actions in JavaScript run with. Its name holds the
/// major version, and makes it the `node` of the machine.
const NODE: &str = "nodejs24";

/// The runner's file, where it is published, and its checksum.
fn install(environment: &Environment, pool: &Pool) -> Value {
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
    json!({
        "url": format!("{folder}/{file}"),
        "file": file,
        "node": NODE,
        "sha256": environment.runner.sha256.get(&pool.arch),
    })
}

/// As a launch template has it.
pub(super) fn property(script: &str) -> Value {
    json!({"Fn::Base64": document::join(script, &[(API_ID, json!({"Ref": "ApiId"}))])})
}

/// Without comments and blank lines, which machines pay for and only people read.
fn strip(script: &str) -> String {
    let mut stripped = String::with_capacity(script.len());
    for (index, line) in script.lines().enumerate() {
        let text = line.trim_start();
        let is_comment = text.starts_with('#') && !(index == 0 && text.starts_with("#!"));
        if !text.is_empty() && !is_comment {
            stripped.push_str(line);
            stripped.push('\n');
        }
    }
    stripped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_go_and_the_shebang_stays() {
        let script = "#!/bin/sh\n# why\n\nset -eu\n  # more\n  echo '#1'\n";
        assert_eq!(strip(script), "#!/bin/sh\nset -eu\n  echo '#1'\n");
    }
}
