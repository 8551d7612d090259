//! `cargo xtask secret set NAME [ENV]`: the value comes from the prompt, standard input or a file,
//! never from an argument, which every process of the machine could read.

use std::io::{IsTerminal, Read};
use std::path::Path;

use provisioner::secrets::SecretValue;
use stacks::names::SecretName;

use crate::error::Error;
use crate::output::say;
use crate::target::Target;

/// Longest value that is read: one byte more than a parameter takes, so that too long is said.
const READ_MAX_BYTES: u64 = 4097;

/// Writes the secret called `name`, from this file or what is asked for.
pub async fn set(target: &Target, name: &str, file: Option<&Path>) -> Result<(), Error> {
    let secret = SecretName::named(name).ok_or_else(|| Error::NoSuchSecret(name.to_owned()))?;
    let text = read(name, file)?;
    let value = SecretValue::new(secret, &text).map_err(provisioner::Error::from)?;
    provisioner::set_secret(&target.deployment, secret, &value).await?;
    let path = target.deployment.environment.names().secret(secret);
    say(&format!(
        "{path} is set; the dispatcher reads it within minutes."
    ));
    Ok(())
}

fn read(name: &str, file: Option<&Path>) -> Result<String, Error> {
    if let Some(path) = file {
        let opening = format!("opening {}", path.display());
        let file = std::fs::File::open(path).map_err(failed(&opening))?;
        return read_all(file, path);
    }
    if std::io::stdin().is_terminal() {
        let prompt = format!("{name}: ");
        return rpassword::prompt_password(prompt).map_err(failed("reading the answer"));
    }
    read_all(std::io::stdin(), Path::new("standard input"))
}

fn read_all(from: impl Read, what: &Path) -> Result<String, Error> {
    let mut text = String::new();
    from.take(READ_MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(failed(&format!("reading {}", what.display())))?;
    Ok(text)
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::File { what, source }
}
