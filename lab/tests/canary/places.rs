//! Everything that a deployment leaves where somebody may look: in AWS, at the forge, on this machine.

use std::path::PathBuf;

use aws_sdk_ssm::types::ParameterType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stacks::names::Names;

use crate::support::{Bench, ask, sdk_config};

/// A place, and what stands there.
pub(crate) type Text = (String, Vec<u8>);

/// Most events of one stream of a log.
const EVENTS_MAX: i32 = 10_000;

/// Every place.
pub(crate) async fn all(bench: &Bench, names: &Names, repository: &str) -> Vec<Text> {
    let mut texts = ledger(bench, names).await;
    texts.extend(logs(bench).await);
    texts.extend(parameters(bench, names).await);
    texts.extend(stacks(bench, names).await);
    texts.extend(templates(bench).await);
    texts.extend(function(bench, names).await);
    texts.extend(of_forge(bench, repository).await);
    texts.extend(of_lab(bench).await);
    texts
}

/// The table as it is now.
pub(crate) async fn ledger(bench: &Bench, names: &Names) -> Vec<Text> {
    let file = bench.lab.file();
    let dynamo = aws_sdk_dynamodb::Client::new(&sdk_config(file, &file.aws_endpoint));
    let page = dynamo.scan().table_name(&names.table).send().await.unwrap();
    let rows = page.items().iter();
    rows.map(|row| ("the ledger".to_owned(), format!("{row:?}").into_bytes()))
        .collect()
}

async fn logs(bench: &Bench) -> Vec<Text> {
    let file = bench.lab.file();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&sdk_config(file, &file.aws_endpoint));
    let groups = logs.describe_log_groups().send().await.unwrap();
    let mut texts = Vec::new();
    for group in groups.log_groups() {
        let group = group.log_group_name().unwrap();
        let streams = logs.describe_log_streams().log_group_name(group);
        for stream in streams.send().await.unwrap().log_streams() {
            let stream = stream.log_stream_name().unwrap();
            let events = logs.get_log_events().log_group_name(group);
            let events = events.log_stream_name(stream).limit(EVENTS_MAX);
            let page = events.start_from_head(true).send().await.unwrap();
            let lines = page.events().iter().filter_map(|one| one.message());
            let lines = lines.collect::<Vec<_>>().join("\n");
            texts.push((format!("log {group} {stream}"), lines.into_bytes()));
        }
    }
    texts
}

/// The parameters that are no secrets.
async fn parameters(bench: &Bench, names: &Names) -> Vec<Text> {
    let file = bench.lab.file();
    let ssm = aws_sdk_ssm::Client::new(&sdk_config(file, &file.aws_endpoint));
    let mut texts = Vec::new();
    let mut token = None;
    loop {
        let get = ssm.get_parameters_by_path().path(&names.parameters);
        let get = get.recursive(true).set_next_token(token);
        let page = get.send().await.unwrap();
        for one in page.parameters() {
            if one.r#type() != Some(&ParameterType::SecureString) {
                let name = one.name().unwrap();
                texts.push((format!("parameter {name}"), format!("{one:?}").into_bytes()));
            }
        }
        token = page.next_token;
        if token.is_none() {
            return texts;
        }
    }
}

/// Templates as they are deployed, parameters, outputs, and what happened.
async fn stacks(bench: &Bench, names: &Names) -> Vec<Text> {
    let file = bench.lab.file();
    let stacks = aws_sdk_cloudformation::Client::new(&sdk_config(file, &file.aws_endpoint));
    let mut texts = Vec::new();
    for name in [
        &names.stack_state,
        &names.stack_runner,
        &names.stack_dispatch,
    ] {
        let template = stacks.get_template().stack_name(name).send().await.unwrap();
        let body = template.template_body.unwrap_or_default();
        texts.push((format!("template {name}"), body.into_bytes()));
        let stack = stacks.describe_stacks().stack_name(name).send().await;
        texts.push((format!("stack {name}"), format!("{stack:?}").into_bytes()));
        let events = stacks.describe_stack_events().stack_name(name).send().await;
        texts.push((
            format!("events of {name}"),
            format!("{events:?}").into_bytes(),
        ));
    }
    texts
}

/// Launch templates, with the user-data that machines read.
async fn templates(bench: &Bench) -> Vec<Text> {
    let all = bench.emulator.describe_launch_templates().send().await;
    let mut texts = Vec::new();
    for template in all.unwrap().launch_templates() {
        let id = template.launch_template_id().unwrap();
        let versions = bench.emulator.describe_launch_template_versions();
        let versions = versions.launch_template_id(id).versions("$Latest");
        for version in versions.send().await.unwrap().launch_template_versions() {
            texts.push((
                format!("launch template {id}"),
                format!("{version:?}").into_bytes(),
            ));
            let data = version.launch_template_data();
            if let Some(user_data) = data.and_then(|data| data.user_data()) {
                let script = STANDARD.decode(user_data).unwrap();
                texts.push((format!("user-data of {id}"), script));
            }
        }
    }
    texts
}

/// The function's configuration, with its environment.
async fn function(bench: &Bench, names: &Names) -> Vec<Text> {
    let file = bench.lab.file();
    let lambda = aws_sdk_lambda::Client::new(&sdk_config(file, &file.aws_endpoint));
    let get = lambda.get_function_configuration();
    let configuration = get.function_name(&names.function).send().await.unwrap();
    vec![(
        "the function".to_owned(),
        format!("{configuration:?}").into_bytes(),
    )]
}

/// Statuses of commits, jobs and their logs.
async fn of_forge(bench: &Bench, repository: &str) -> Vec<Text> {
    let file = bench.lab.file();
    let token = [("authorization", format!("token {}", file.forge_token))];
    let mut texts = Vec::new();
    let mut paths = vec!["actions/jobs".to_owned()];
    while let Some(path) = paths.pop() {
        let url = format!("{}/api/v1/repos/{repository}/{path}", file.forge);
        let (status, answer) = ask("GET", &url, &token, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        for job in answer["jobs"].as_array().into_iter().flatten() {
            paths.push(format!("actions/jobs/{}/logs", job["id"]));
            paths.push(format!("statuses/{}", job["head_sha"].as_str().unwrap()));
        }
        texts.push((
            format!("the forge's {path}"),
            answer.to_string().into_bytes(),
        ));
    }
    texts
}

/// What the lab noted: deliveries with their answers, instances, its own logs and the consoles.
pub(crate) async fn of_lab(bench: &Bench) -> Vec<Text> {
    let file = bench.lab.file();
    let mut texts = Vec::new();
    for url in [
        format!("{}/_lab/deliveries", file.front_door),
        format!("{}/_lab/instances", file.ec2_endpoint),
    ] {
        let (status, answer) = ask("GET", &url, &[], &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        texts.push((url, answer.to_string().into_bytes()));
    }
    let in_folder = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path())
    };
    let logs = in_folder(bench.path().to_owned());
    let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log"));
    let consoles = in_folder(bench.path().join("instances"));
    let consoles = consoles.map(|folder| folder.join("console.log"));
    for path in logs.chain(consoles) {
        let text = std::fs::read(&path).unwrap_or_default();
        texts.push((path.display().to_string(), text));
    }
    texts
}
