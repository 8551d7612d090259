//! The whole path: the stacks put up, deliveries over HTTP to the front door, the function as the
//! emulator runs it, nudges and drains and ticks beside it. Machines don't boot.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use dispatcher::aws::{Aws, AwsEndpoint};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use provisioner::package::{self, Profile};
use provisioner::progress::Silent;
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::{Deployment, Environment};
use stacks::names::SecretName;

use crate::delivery::{Job, delivery};
use crate::measure::closed_loop;
use crate::support::{Bench, credentials};
use crate::world::entries;

/// Not the environment's own: the bench has a role of that name already.
const NAME: &str = "load-ci";
/// Senders that are tried, to find the number that gets most through.
const SENDERS: [usize; 3] = [1, 2, 4];
type Web = Client<HttpConnector, Full<Bytes>>;

pub(crate) async fn run(time: Duration) {
    let Some(bench) = Bench::up().await else {
        return;
    };
    bench.faults(&entries());
    deploy(&bench).await;
    println!("\nDeliveries in a closed loop, over the whole path");
    let hook = format!("{}/dispatch", bench.lab.file().front_door);
    let sender = || {
        let web: Web = Client::builder(TokioExecutor::new()).build_http();
        let hook = hook.clone();
        move |id| {
            let answer = web.request(request(&hook, id));
            async move { assert_eq!(answer.await.unwrap().status(), 202) }
        }
    };
    let sent = closed_loop(&SENDERS, time, sender).await;
    let listed = listed(&bench).await;
    let machines = bench.lab.status().await.unwrap().instances.len();
    println!("sent {sent}, on the list {listed}, machines launched meanwhile {machines}");
    assert_eq!(listed as u64, sent, "a job was lost");
    bench.down().await;
}

async fn deploy(bench: &Bench) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = std::fs::read_to_string(root.join("stacks/environments/lab.toml")).unwrap();
    let source = source.replace("\"lab-ci\"", &format!("\"{NAME}\""));
    let environment = Environment::parse(&source, &root).unwrap();
    let lab = bench.lab.file();
    let endpoint = provisioner::AwsEndpoint {
        region: lab.region.clone(),
        endpoint: Some(lab.aws_endpoint.clone()),
        ec2_endpoint: Some(lab.ec2_endpoint.clone()),
        credentials: Some((lab.access_key_id.clone(), lab.secret_access_key.clone())),
    };
    let secrets: Secrets = [
        (SecretName::Webhook, &lab.webhook_secret),
        (SecretName::ForgeToken, &lab.forge_token),
        (SecretName::RegistrationToken, &lab.registration_token),
    ]
    .into_iter()
    .map(|(secret, value)| (secret, SecretValue::new(secret, value).unwrap()))
    .collect();
    let deployment = Deployment::new(environment, endpoint).unwrap();
    let deployment = deployment.with_secrets(secrets);
    let code = package::build(&root, Profile::Lab).await.unwrap();
    let plan = provisioner::diff(&deployment, &code, &Silent);
    let plan = plan.await.unwrap();
    let up = provisioner::up(&deployment, &plan, &code, &Silent);
    up.await.unwrap();
}

/// The delivery of a new job, as the forge sends it.
fn request(hook: &str, id: u64) -> http::Request<Full<Bytes>> {
    let payload = delivery(&Job::new(id).queued());
    let mut request = http::Request::post(hook);
    for (name, value) in payload["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    let body = payload["body"].as_str().unwrap().to_owned();
    request.body(Full::from(body)).unwrap()
}

/// How many jobs are on the list.
async fn listed(bench: &Bench) -> usize {
    let lab = bench.lab.file();
    let place = AwsEndpoint {
        region: lab.region.clone(),
        credentials: credentials(lab, lab::FUNCTION_TOKEN),
        endpoint: Some(lab.aws_endpoint.clone()),
        endpoint_ec2: Some(lab.ec2_endpoint.clone()),
    };
    let aws = Aws::new(stacks::names::Names::of(NAME), place);
    let ledger = dispatcher::ledger::Ledger::new(&aws);
    ledger.live().await.unwrap().jobs.len()
}
