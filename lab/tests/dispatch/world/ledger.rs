//! The table, as a test reads and bends it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use dispatcher::model::world::{Launch, World as Seen};
use dispatcher::plan::{self, Action, Claim};
use serde_json::Value;

use super::{World, now_ms};
use crate::delivery::Job;

impl World {
    /// The whole table.
    pub(crate) async fn rows(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut start: Option<HashMap<String, AttributeValue>> = None;
        loop {
            let scan = self.dynamo.scan().table_name(&self.names.table);
            let page = scan.set_exclusive_start_key(start).send().await.unwrap();
            let items = page.items.unwrap_or_default();
            rows.extend(items.into_iter().map(|item| {
                let row: Value = serde_dynamo::from_item(item).unwrap();
                row
            }));
            start = page.last_evaluated_key;
            if start.is_none() {
                return rows;
            }
        }
    }

    /// The live rows of one kind: `job`, `launch`, `runner`, `registration`.
    pub(crate) async fn live(&self, kind: &str) -> Vec<Value> {
        let start = format!("{kind}#");
        let mut rows = self.rows().await;
        rows.retain(|row| row["pk"] == "live" && row["sk"].as_str().unwrap().starts_with(&start));
        rows
    }

    /// What is kept of a job.
    pub(crate) async fn history(&self, job: &Job) -> Value {
        let (pk, sk) = history_key(job);
        self.row(&pk, &sk).await
    }

    /// What is kept of a runner that ended.
    pub(crate) async fn ended(&self, instance: &str) -> Value {
        self.row(&format!("runner#{instance}"), "ended").await
    }

    /// The live row of a runner; `Null` when there is none.
    pub(crate) async fn runner(&self, instance: &str) -> Value {
        self.row("live", &format!("runner#{instance}")).await
    }

    /// Status and reason of a job.
    pub(crate) async fn standing(&self, job: &Job) -> (String, String) {
        let row = self.history(job).await;
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (text("job_status"), text("reason"))
    }

    /// Reserved runners by counter, those at zero left out.
    pub(crate) async fn counters(&self) -> BTreeMap<String, u64> {
        let rows = self.live("counter").await;
        rows.iter()
            .map(|row| {
                let name = row["sk"].as_str().unwrap();
                let count = row["n"].as_u64().expect("a counter is never below zero");
                (name.strip_prefix("counter#").unwrap().to_owned(), count)
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// What a drain plans that sees `job` alone, and no counter: as one would whose view is old.
    pub(crate) async fn planned(&self, job: &Job) -> (Launch, Vec<Claim>) {
        let mut jobs = self.ledger().live().await.unwrap().jobs;
        jobs.retain(|one| one.key.id == job.id);
        let seen = Seen {
            now_ms: now_ms(),
            configured_ms: now_ms(),
            max_runners: 1000,
            tags: BTreeMap::new(),
            pools: vec![self.pool("base").await],
            jobs,
            launches: Vec::new(),
            runners: Vec::new(),
            counters: BTreeMap::new(),
            forge_states: BTreeMap::new(),
            denied: BTreeMap::new(),
            pauses: Vec::new(),
            refusals: Vec::new(),
            superseded: Vec::new(),
            images: Vec::new(),
            boot_failures: Vec::new(),
        };
        let mut actions = plan::drain(&seen).actions;
        match actions.pop() {
            Some(Action::Launch { launch, claims }) => (launch, claims),
            other => panic!("{other:?}"),
        }
    }

    async fn row(&self, pk: &str, sk: &str) -> Value {
        let get = self.dynamo.get_item().table_name(&self.names.table);
        let get = get.key("pk", AttributeValue::S(pk.to_owned()));
        let get = get.key("sk", AttributeValue::S(sk.to_owned()));
        let row = get.consistent_read(true).send().await.unwrap().item;
        row.map_or(Value::Null, |item| serde_dynamo::from_item(item).unwrap())
    }

    /// Writes a time into a live row: what a test does instead of waiting.
    pub(crate) async fn set_time(&self, sk: &str, attribute: &str, ms: u64) {
        self.set_time_of(("live", sk), attribute, ms).await;
    }

    /// Writes a time into what is kept of a job.
    pub(crate) async fn set_time_of_job(&self, job: &Job, attribute: &str, ms: u64) {
        let (pk, sk) = history_key(job);
        self.set_time_of((&pk, &sk), attribute, ms).await;
    }

    async fn set_time_of(&self, (pk, sk): (&str, &str), attribute: &str, ms: u64) {
        // `timeline.idle` is an entry of a map.
        let parts = attribute.split('.');
        let path: Vec<String> = parts.map(|part| format!("#{part}")).collect();
        let name = |placeholder: &String| (placeholder.clone(), placeholder[1..].to_owned());
        let names = path.iter().map(name).collect();
        self.dynamo
            .update_item()
            .table_name(&self.names.table)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()))
            .update_expression(format!("SET {} = :ms", path.join(".")))
            .condition_expression("attribute_exists(pk)")
            .set_expression_attribute_names(Some(names))
            .expression_attribute_values(":ms", AttributeValue::N(ms.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// The history of a job is older than it is kept.
    pub(crate) async fn expire_history(&self, job: &Job) {
        let (pk, sk) = history_key(job);
        self.dynamo
            .delete_item()
            .table_name(&self.names.table)
            .key("pk", AttributeValue::S(pk))
            .key("sk", AttributeValue::S(sk))
            .send()
            .await
            .unwrap();
    }

    /// The lease of a holder that died runs out, and so does its time for what it was launching.
    pub(crate) async fn expire_lease(&self) {
        self.set_time("lease", "until_ms", 0).await;
        self.expire_launches().await;
    }

    /// Whoever was launching has had its time.
    pub(crate) async fn expire_launches(&self) {
        for launch in self.live("launch").await {
            let sk = launch["sk"].as_str().unwrap();
            self.set_time(sk, "sent_ms", 0).await;
        }
    }

    /// The jobs' time to wait is over.
    pub(crate) async fn expire_holds(&self) {
        for job in self.live("job").await {
            let sk = job["sk"].as_str().unwrap();
            self.set_time(sk, "not_before_ms", 1).await;
        }
    }
}

fn history_key(job: &Job) -> (String, String) {
    let sk = format!("{:012}#{:04}", job.id, job.attempt);
    (format!("repo#{}", job.repository), sk)
}
