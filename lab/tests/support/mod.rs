//! A lab of a test's own, with clients for its endpoints.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test file uses its part, and a test fails by panicking"
)]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::types::builders::RequestLaunchTemplateDataBuilder;
use aws_sdk_ec2::types::{
    InstanceMarketOptionsRequest, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateSpecification, MarketType, RequestLaunchTemplateData, ResourceType,
    ShutdownBehavior, Tag, TagSpecification,
};
use base64::Engine as _;
use lab::{
    FaultInjection, Folder, ForgeProgram, HostileAccount, HostileReport, InstanceReport, Lab,
    LabFile, Leftovers, Setup,
};

pub mod deployments;
mod emulator;
mod forges;
pub mod tap;

pub use self::forges::{ask, forge_config, pool, push};

pub const SUBNET_A: &str = "subnet-00000001";
pub const SUBNET_B: &str = "subnet-00000002";
pub const ROLE: &str = "lab-ci-runner";
pub const POLICY: &str = "ask-for-credential";

pub struct Bench {
    pub lab: Lab,
    pub ec2: aws_sdk_ec2::Client,
    pub emulator: aws_sdk_ec2::Client,
    folder: tempfile::TempDir,
}

impl Bench {
    /// A fresh lab that is whole: its emulator's functions reach its EC2 and its forge. `None`, after
    /// [`skipped`], where no lab is possible.
    pub async fn up() -> Option<Self> {
        Self::of(forge().into()).await
    }

    /// A fresh lab that is whole, whose account is told how to behave by [`Self::behave`].
    pub async fn hostile() -> Option<Self> {
        let setup = Setup::from(forge());
        let hostile = true;
        Self::of(Setup { hostile, ..setup }).await
    }

    /// A fresh lab with this forge. It shares its emulator with the others of this test binary, for
    /// tests that run no function there: starting one takes longer than most of them.
    pub async fn sharing(forge: ForgeProgram) -> Option<Self> {
        match emulator::shared() {
            Ok(shared) => {
                let emulator = Some(shared);
                let setup = Setup::from(forge);
                Self::of(Setup { emulator, ..setup }).await
            }
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    async fn of(setup: Setup) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_lab-internal"));
        let at = Folder::at(folder.path());
        let up = Lab::up_with(&at, program, &setup, |step| eprintln!("{step}"));
        let lab = match up.await {
            Ok(lab) => lab,
            Err(error) if error.is_lack() => {
                skipped(&error.to_string());
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let client = |endpoint: &str| aws_sdk_ec2::Client::new(&sdk_config(lab.file(), endpoint));
        let bench = Self {
            ec2: client(&lab.file().ec2_endpoint),
            emulator: client(&lab.file().aws_endpoint),
            lab,
            folder,
        };
        bench.make_profile().await;
        Some(bench)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the lab; what is left of it must be nothing.
    pub async fn down(self) {
        let folder = self.lab.folder().clone();
        let left = Lab::down(&folder).await.unwrap();
        assert_eq!(left, Leftovers::default());
    }

    pub fn left(&self) -> Leftovers {
        lab::leftovers(self.lab.folder())
    }

    pub fn iam(&self) -> aws_sdk_iam::Client {
        let file = self.lab.file();
        aws_sdk_iam::Client::new(&sdk_config(file, &file.aws_endpoint))
    }

    /// A role and profile like those of our runners.
    async fn make_profile(&self) {
        let iam = self.iam();
        let role = iam.create_role().role_name(ROLE);
        role.assume_role_policy_document("{}").send().await.unwrap();
        let resource = format!(
            "arn:aws:execute-api:{}:{}:*/$default/POST/runner",
            lab::REGION,
            self.lab.file().account
        );
        let stream = format!(
            "arn:aws:logs:{}:{}:log-group:/lab-ci/machines:log-stream:base",
            lab::REGION,
            self.lab.file().account
        );
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource },
            { "Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": stream }
        ]});
        iam.put_role_policy()
            .role_name(ROLE)
            .policy_name(POLICY)
            .policy_document(policy.to_string())
            .send()
            .await
            .unwrap();
        let profile = iam.create_instance_profile().instance_profile_name(ROLE);
        profile.send().await.unwrap();
        iam.add_role_to_instance_profile()
            .instance_profile_name(ROLE)
            .role_name(ROLE)
            .send()
            .await
            .unwrap();
    }

    /// A launch template as our stacks make them, with this user-data.
    pub async fn template(&self, user_data: &str) -> LaunchTemplateSpecification {
        self.template_of(template_data(user_data)).await
    }

    pub async fn template_of(
        &self,
        data: RequestLaunchTemplateDataBuilder,
    ) -> LaunchTemplateSpecification {
        // The function may launch from templates with its deployment's tag only.
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::LaunchTemplate)
            .tags(Tag::builder().key("lab-ci").value("base").build());
        let made = self
            .emulator
            .create_launch_template()
            .launch_template_name(format!("t-{}", fastrand::u64(..)))
            .launch_template_data(data.build())
            .tag_specifications(tags.build())
            .send()
            .await
            .unwrap();
        LaunchTemplateSpecification::builder()
            .launch_template_id(
                made.launch_template()
                    .unwrap()
                    .launch_template_id()
                    .unwrap(),
            )
            .version("1")
            .build()
    }

    /// One Spot instance of `template`, as the dispatcher asks for it.
    pub fn request(
        &self,
        template: &LaunchTemplateSpecification,
    ) -> aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder {
        let tag = Tag::builder().key("lab-ci").value("build").build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .tags(tag)
            .build();
        let spot = InstanceMarketOptionsRequest::builder()
            .market_type(MarketType::Spot)
            .build();
        self.ec2
            .run_instances()
            .launch_template(template.clone())
            .instance_type("t3.small".into())
            .subnet_id(SUBNET_A)
            .min_count(1)
            .max_count(1)
            .instance_market_options(spot)
            .tag_specifications(tags)
    }

    /// Runs one instance with `user_data` and gives its id.
    pub async fn boot(&self, user_data: &str) -> String {
        let template = self.template(user_data).await;
        let made = self.request(&template).send().await.unwrap();
        made.instances()[0].instance_id().unwrap().to_owned()
    }

    pub async fn instance(&self, id: &str) -> InstanceReport {
        let status = self.lab.status().await.unwrap();
        let mut all = status.instances.into_iter();
        all.find(|one| one.id == id).unwrap()
    }

    /// Waits until the instance is in `state`.
    pub async fn wait_for(&self, id: &str, state: &str) -> InstanceReport {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let one = self.instance(id).await;
            if one.state == state {
                return one;
            }
            assert!(
                Instant::now() < deadline,
                "{id} is {}, not {state}; console:\n{}",
                one.state,
                self.console(id)
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until the console holds `words`.
    pub async fn wait_for_words(&self, id: &str, words: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let console = self.console(id);
            if console.contains(words) {
                return console;
            }
            assert!(
                Instant::now() < deadline,
                "no {words} on the console:\n{console}"
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub fn console(&self, id: &str) -> String {
        let path = self.path().join("instances").join(id).join("console.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Replaces the faults in force.
    pub fn faults(&self, faults: &FaultInjection) {
        let body = serde_json::to_string(faults).unwrap();
        let (status, answer) = post(&self.lab.file().ec2_endpoint, "/_lab/faults", &[], &body);
        assert_eq!(status, 204, "{answer}");
    }

    /// Has a hostile account behave like this from now on.
    pub fn behave(&self, account: &HostileAccount) {
        let body = serde_json::to_string(account).unwrap();
        let (status, answer) = post(&self.lab.file().ec2_endpoint, "/_lab/account", &[], &body);
        assert_eq!(status, 204, "{answer}");
    }

    /// What a hostile account did since it was told how to behave.
    pub async fn account(&self) -> HostileReport {
        let url = format!("{}/_lab/account", self.lab.file().ec2_endpoint);
        let (status, report) = ask("GET", &url, &[], &serde_json::Value::Null).await;
        assert_eq!(status, 200, "{report}");
        serde_json::from_value(report).unwrap()
    }

    /// `POST /_lab/instances/ID/WHAT`.
    pub fn strike(&self, id: &str, what: &str) {
        self.befall(id, what, 0);
    }

    /// EC2 warns that it takes the instance back, `notice_s` later.
    pub fn interrupt(&self, id: &str, notice_s: u64) {
        self.befall(id, "interrupt", notice_s);
    }

    fn befall(&self, id: &str, what: &str, notice_s: u64) {
        let path = format!("/_lab/instances/{id}/{what}");
        let body = format!("{{\"notice_s\":{notice_s}}}");
        let (status, _) = post(&self.lab.file().ec2_endpoint, &path, &[], &body);
        assert_eq!(status, 204);
    }
}

/// Says that a test can't run on this machine. Where `CI` is set it fails: nothing passes there by not
/// running.
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "this test can't run here, and CI is set: {why}"
    );
    // Not `eprintln`: of tests that pass, what that prints is not shown.
    let line = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The forge that the tests run against: the programs in `CI_TEST_FORGE_PROGRAMS`, or `CI_TEST_FORGE`,
/// else the stand-in. `cargo xtask test` runs them against several.
pub fn forge() -> ForgeProgram {
    if let Some(folder) = std::env::var_os("CI_TEST_FORGE_PROGRAMS") {
        return ForgeProgram::ready(Path::new(&folder));
    }
    let word = std::env::var("CI_TEST_FORGE").unwrap_or_default();
    if word.is_empty() {
        return ForgeProgram::default();
    }
    word.parse().unwrap()
}

/// A test that fails leaves no lab behind either.
impl Drop for Bench {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Some(lab) = Lab::find(self.lab.folder()) {
            let pid = nix::unistd::Pid::from_raw(lab.file().pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            if Instant::now() > deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What launch templates of our stacks hold.
pub fn template_data(user_data: &str) -> RequestLaunchTemplateDataBuilder {
    let profile = LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(ROLE);
    RequestLaunchTemplateData::builder()
        .image_id("ami-0c1ab00000000c1ab")
        .user_data(base64::engine::general_purpose::STANDARD.encode(user_data))
        .iam_instance_profile(profile.build())
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
}

/// Instances that are entries only.
pub fn no_boot() -> FaultInjection {
    FaultInjection {
        boot: false,
        ..FaultInjection::default()
    }
}

/// Those of the function, or of a test that prepares and looks: recordings tell them by the token.
pub fn credentials(file: &LabFile, token: &str) -> Credentials {
    Credentials::new(
        &file.access_key_id,
        &file.secret_access_key,
        Some(token.to_owned()),
        None,
        "lab",
    )
}

/// How the SDK reaches one of the lab's endpoints.
pub fn sdk_config(file: &LabFile, endpoint: &str) -> aws_types::SdkConfig {
    aws_types::SdkConfig::builder()
        .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
        .region(aws_sdk_ec2::config::Region::new(lab::REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials(
            file,
            lab::WITNESS_TOKEN,
        )))
        .retry_config(aws_sdk_ec2::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// A plain HTTP POST of JSON: status and body.
pub fn post(base: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    stream
        .write_all(format!("{request}\r\n{body}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
