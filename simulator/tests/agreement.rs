//! The table in memory against two emulators that others wrote: what the product sends has the same answers
//! there, and leaves the same items. Where they disagree, [`KNOWN`] says who is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use lab::http::HttpClient;
use serde_json::{Value, json};
use simulator::table::{Table, json_of};

/// The schedules whose requests are compared.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Most requests of one schedule: as many as the slowest emulator answers within some ten seconds.
const EXCHANGES_MAX: usize = 1_000;
/// After a pause of that long items have expired, which the table in memory is told and others are not.
const PAUSE_MAX_MS: u64 = 24 * 3_600_000;
/// The first schedule's account: of two in the same one, the second would find the tokens of the first.
const FIRST_ACCOUNT: u64 = 200_000_000_000;
/// Longest time for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How often a starting emulator is asked, and how long each time is.
const ASKED_MAX: u32 = 300;
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Most differences that are shown.
const SHOWN_MAX: usize = 5;

/// Where an emulator is known to answer otherwise.
struct Known {
    judge: &'static str,
    /// A part of the request's text.
    request: &'static str,
    ours: &'static str,
    theirs: &'static str,
    /// Why that is its fault.
    because: &'static str,
}

const KNOWN: &[Known] = &[];
/// It has no idea of tokens: what was done is not sent to it again.
const MOTO: &str = "moto";

#[test]
fn the_table_answers_the_product_as_ministack_and_moto_do() {
    let schedules: Vec<Vec<Exchange>> = SEEDS.into_iter().map(recorded).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut differences = Vec::new();
    let mut met = BTreeSet::new();
    for start in [Judge::ministack, Judge::moto] {
        let mut judge = match start(&runtime) {
            Ok(judge) => judge,
            Err(why) => {
                skipped(&why);
                continue;
            }
        };
        for (seed, exchanges) in SEEDS.iter().zip(&schedules) {
            judge.account = FIRST_ACCOUNT + seed;
            let found = runtime.block_on(judge.compare(exchanges, &mut met));
            let found = found
                .into_iter()
                .map(|one| format!("{}, seed {seed}: {one}", judge.name));
            differences.extend(found);
        }
        for (index, known) in KNOWN.iter().enumerate() {
            if known.judge == judge.name && !met.contains(&index) {
                differences.push(format!(
                    "{}: it is right now, though {}",
                    known.judge, known.because
                ));
            }
        }
    }
    let shown: Vec<_> = differences
        .iter()
        .take(SHOWN_MAX)
        .map(String::as_str)
        .collect();
    assert!(
        shown.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        shown.join("\n")
    );
}

struct Exchange {
    operation: String,
    body: String,
    now_ms: u64,
}

/// What the dispatcher asked of DynamoDB in a schedule, up to its first long pause.
fn recorded(seed: u64) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for (operation, body, now_ms) in simulator::recorded(seed).into_iter().take(EXCHANGES_MAX) {
        let before_ms = exchanges.last().map_or(now_ms, |before| before.now_ms);
        if now_ms.saturating_sub(before_ms) > PAUSE_MAX_MS {
            break;
        }
        exchanges.push(Exchange {
            operation,
            body,
            now_ms,
        });
    }
    let writes = exchanges
        .iter()
        .filter(|one| one.operation == "TransactWriteItems");
    assert!(writes.count() > 10, "seed {seed} writes next to nothing");
    exchanges
}

/// What counts of an answer.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    code: String,
    reasons: Vec<String>,
    items: Vec<Value>,
}

impl Seen {
    fn of(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let code = body["__type"].as_str().unwrap_or_default();
        let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
        let reasons = body["CancellationReasons"].as_array().into_iter().flatten();
        let reasons = reasons.map(|one| one["Code"].as_str().unwrap_or("None").to_owned());
        Self {
            status,
            code: code.to_owned(),
            reasons: reasons.collect(),
            items: body["Items"].as_array().cloned().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.status)?;
        if self.status == 200 {
            return write!(to, " {} items", self.items.len());
        }
        write!(to, " {} [{}]", self.code, self.reasons.join(", "))
    }
}

/// An emulator that somebody else wrote. It ends with this value.
struct Judge {
    name: &'static str,
    /// Whether it does a request once that comes twice with the same token.
    knows_tokens: bool,
    endpoint: String,
    account: u64,
    client: HttpClient,
    _process: tokio::process::Child,
}

type Started = Result<Judge, String>;

impl Judge {
    fn ministack(runtime: &tokio::runtime::Runtime) -> Started {
        let python =
            lab::emulator_python(|step| eprintln!("{step}")).map_err(|error| error.to_string())?;
        let port = free_port();
        let mut command = Command::new(python);
        command.args(["-m", "ministack"]);
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string());
        Self::start(runtime, "ministack", command, port)
    }

    fn moto(runtime: &tokio::runtime::Runtime) -> Started {
        let port = free_port();
        let mut command = Command::new(moto_python()?);
        command.args([
            "-m",
            "moto.server",
            "-H",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ]);
        Self::start(runtime, MOTO, command, port)
    }

    fn start(
        runtime: &tokio::runtime::Runtime,
        name: &'static str,
        mut command: Command,
        port: u16,
    ) -> Started {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("agreement-{name}"));
        std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let log = std::fs::File::create(place.join("log")).map_err(|error| error.to_string())?;
        let error_log = log.try_clone().map_err(|error| error.to_string())?;
        command
            .env("HOME", &place)
            .current_dir(&place)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(error_log);
        let _inside = runtime.enter();
        let process = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn();
        let judge = Self {
            name,
            knows_tokens: name != MOTO,
            account: FIRST_ACCOUNT,
            endpoint: format!("http://127.0.0.1:{port}/"),
            client: HttpClient::plain(),
            _process: process.map_err(|error| error.to_string())?,
        };
        for _ in 0..ASKED_MAX {
            if runtime
                .block_on(judge.ask("ListTables", "{}"))
                .is_ok_and(|answer| answer.0 == 200)
            {
                return Ok(judge);
            }
            std::thread::sleep(ASK_EVERY);
        }
        panic!("{name} does not start, see {}", place.display());
    }

    /// Where it answers otherwise than the table in memory, or has other items in the end.
    async fn compare(&self, exchanges: &[Exchange], met: &mut BTreeSet<usize>) -> Vec<String> {
        let name = table_of(&exchanges[0].body);
        let mut table = Table::new(&name);
        self.create(&name).await;
        let mut differences = Vec::new();
        let mut done = BTreeSet::new();
        for Exchange {
            operation,
            body,
            now_ms,
        } in exchanges
        {
            let answer = table.answer(operation, body.as_bytes(), *now_ms);
            let ours = Seen::of(answer.status, answer.body.as_bytes());
            if !self.knows_tokens && is_again(&mut done, &ours, body) {
                continue;
            }
            let (status, answer) = self.ask(operation, body).await.unwrap();
            let theirs = Seen::of(status, &answer);
            if ours == theirs {
                continue;
            }
            let is_it = |known: &Known| {
                known.judge == self.name
                    && body.contains(known.request)
                    && known.ours == ours.to_string()
                    && known.theirs == theirs.to_string()
            };
            if let Some(index) = KNOWN.iter().position(is_it) {
                met.insert(index);
                continue;
            }
            let theirs_in_full = String::from_utf8_lossy(&answer);
            differences.push(format!(
                "{operation} {body}\n  {ours}\n  {theirs}: {theirs_in_full}"
            ));
        }
        let ours: Vec<Value> = table
            .items()
            .map(|item| serde_json::from_str(&json_of(item)).unwrap())
            .collect();
        let theirs = self.items(&name).await;
        for (ours, theirs) in ours
            .iter()
            .zip(&theirs)
            .filter(|(ours, theirs)| ours != theirs)
        {
            differences.push(format!("in the end\n  {ours}\n  {theirs}"));
        }
        if ours.len() != theirs.len() {
            differences.push(format!(
                "{} items in the end, and {}",
                ours.len(),
                theirs.len()
            ));
        }
        self.done("DeleteTable", &json!({ "TableName": name }))
            .await;
        differences
    }

    async fn create(&self, name: &str) {
        let table = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
        });
        self.done("CreateTable", &table).await;
    }

    /// Every item that it has, in the order of the keys.
    async fn items(&self, name: &str) -> Vec<Value> {
        let mut request = json!({"TableName": name, "ConsistentRead": true});
        let mut items = Vec::new();
        loop {
            let page = self.done("Scan", &request).await;
            items.extend(page["Items"].as_array().unwrap().iter().cloned());
            let Some(last) = page.get("LastEvaluatedKey") else {
                break;
            };
            request["ExclusiveStartKey"] = last.clone();
        }
        let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
        items.sort_by_key(|item| (text(item, "pk"), text(item, "sk")));
        items
    }

    /// What has to be done.
    async fn done(&self, operation: &str, request: &Value) -> Value {
        let (status, answer) = self.ask(operation, &request.to_string()).await.unwrap();
        assert_eq!(
            status,
            200,
            "{}: {}",
            self.name,
            String::from_utf8_lossy(&answer)
        );
        serde_json::from_slice(&answer).unwrap()
    }

    async fn ask(&self, operation: &str, body: &str) -> Result<(u16, Bytes), lab::http::HttpError> {
        // Neither looks at signatures, and both take from it which service is meant.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/eu-west-1/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=0",
            self.account
        );
        let request = Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("authorization", authorization)
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let answer = self.client.send(request, ANSWER_LIMIT).await?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }
}

/// Whether a request with the token of this one was done before.
fn is_again(done: &mut BTreeSet<String>, ours: &Seen, body: &str) -> bool {
    let body: Value = serde_json::from_str(body).unwrap();
    let token = body["ClientRequestToken"].as_str();
    token.is_some_and(|token| ours.status == 200 && !done.insert(token.to_owned()))
}

/// The table that a request is about.
fn table_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    let of_action = body["TransactItems"][0]
        .as_object()
        .and_then(|action| action.values().next());
    let named = of_action.unwrap_or(&body);
    named["TableName"].as_str().unwrap().to_owned()
}

/// The Python that has moto: in the cache, where `cargo xtask test` looks too.
fn moto_python() -> Result<PathBuf, String> {
    let listing = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moto.txt");
    let folder = lab::cache_folder_for("python", &listing).map_err(|error| error.to_string())?;
    let done = folder.join("installed");
    if !done.exists() {
        step(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )?;
        let install = ["install", "--quiet", "--no-deps", "--requirement"];
        step(
            Command::new(folder.join("bin/pip"))
                .args(install)
                .arg(&listing),
        )?;
        std::fs::write(&done, "").map_err(|error| error.to_string())?;
    }
    Ok(folder.join("bin/python"))
}

fn step(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Says that an emulator can't run on this machine. Where `CI` is set that fails.
fn skipped(why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "this can't run here, and CI is set: {why}"
    );
    let line = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
