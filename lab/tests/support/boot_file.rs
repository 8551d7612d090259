//! The boot file as the provisioner renders it, for machines whose cloud is inside them.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use provisioner::environment::Environment;
use provisioner::render::render;

/// Where the machine finds the runner route, and what takes its last words.
const ROUTE: &str = "http://127.0.0.1:8088/runner";
const LOGS: &str = "http://127.0.0.1:8088/";

/// What a boot file is rendered for: a pool with a clone token, of an image of one's own at a Gitea,
/// unless it says otherwise.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub kind: &'static str,
    pub image: &'static str,
    /// More keys of the pool.
    pub keys: &'static str,
    /// More tables of the file.
    pub tables: &'static str,
}

pub const PLAIN: Wanted = Wanted {
    kind: "gitea",
    image: r#"{ ami = "ami-0c1ab00000000c1ab" }"#,
    keys: "",
    tables: "",
};

impl Wanted {
    /// The boot file as the provisioner renders it, with our addresses.
    pub fn boot_file(&self) -> String {
        let Self {
            kind,
            image,
            keys,
            tables,
        } = self;
        let source = format!(
            "name = \"lab-ci\"\nregion = \"{region}\"\nmax_runners = 5\n\
             trust_all_repositories = true\n\
             [forge]\nurl = \"{forge}\"\nkind = \"{kind}\"\n\
             [runner]\nversion = \"12.8.2\"\n[runner.sha256]\nx86_64 = \"{sha256}\"\n\
             [pool.base]\nimage = {image}\ninstance_types = [\"m7a.medium\"]\n\
             max_lifetime_minutes = 10\nboot_timeout_minutes = 1\nidle_timeout_minutes = 1\n\
             clone_token = true\n{keys}\n\
             [pool.base.labels]\nbase = \"host\"\n{tables}\n",
            region = lab::REGION,
            forge = lab::FORGE_URL,
            sha256 = "0".repeat(64),
        );
        let environment = Environment::parse(&source, Path::new(".")).unwrap();
        let rendered = render(&environment).unwrap();
        let script = &rendered.user_data[0].script;
        let host = format!("{}.amazonaws.com", lab::REGION);
        let with = |script: &str, from: &str, to: &str| {
            assert!(script.contains(from), "no {from}");
            script.replace(from, to)
        };
        let script = with(
            script,
            &format!("https://@API_ID@.execute-api.{host}/runner"),
            ROUTE,
        );
        with(&script, &format!("https://logs.{host}/"), LOGS)
    }
}
