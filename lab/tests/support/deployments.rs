//! Deployments in a lab, as the commands make, change and end them.
#![allow(
    clippy::print_stdout,
    reason = "what people would read is told when a test fails"
)]

use std::path::Path;

use provisioner::package::{self, Code};
use provisioner::plan::Plan;
use provisioner::progress::Silent;
use provisioner::show::{self, Palette, Presentation};
use provisioner::{AwsEndpoint, Deployment, Environment};

use super::Bench;

pub fn target(bench: &Bench) -> AwsEndpoint {
    let lab = bench.lab.file();
    AwsEndpoint {
        region: lab.region.clone(),
        endpoint: Some(lab.aws_endpoint.clone()),
        ec2_endpoint: Some(lab.ec2_endpoint.clone()),
        credentials: Some((lab.access_key_id.clone(), lab.secret_access_key.clone())),
    }
}

/// The lab's own environment, changed.
pub fn deployment(bench: &Bench, change: impl Fn(String) -> String) -> Deployment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments/lab.toml");
    let source = change(std::fs::read_to_string(path).unwrap());
    let environment = Environment::parse(&source, Path::new("."))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    Deployment::new(environment, target(bench)).unwrap()
}

/// The same under another name.
pub fn named(bench: &Bench, name: &str) -> Deployment {
    deployment(bench, |source| {
        source.replace("\"lab-ci\"", &format!("\"{name}\""))
    })
}

pub fn presentation() -> Presentation {
    Presentation {
        palette: Palette::PLAIN,
        set_secret: "cargo xtask secret set NAME lab".to_owned(),
    }
}

/// A function that is this file.
pub fn code(content: &str) -> Code {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    package::package(file.path()).unwrap()
}

pub async fn diff(deployment: &Deployment, code: &Code) -> Plan {
    let plan = provisioner::diff(deployment, code, &Silent).await.unwrap();
    println!("{}", show::plan(&plan, &presentation()));
    plan
}

/// Does what `diff` says, after which there is nothing more to do.
pub async fn up(deployment: &Deployment, code: &Code) -> Plan {
    let plan = diff(deployment, code).await;
    let done = provisioner::up(deployment, &plan, code, &Silent).await;
    done.unwrap();
    let again = diff(deployment, code).await;
    assert!(again.is_empty(), "{again:?}");
    plan
}

/// Ends it, after which nothing is left.
pub async fn down(deployment: &Deployment) {
    let found = provisioner::survey(deployment).await.unwrap();
    println!("{}", show::survey(&found, Palette::PLAIN));
    let left = provisioner::down(deployment, &found, &Silent).await;
    let left = left.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
