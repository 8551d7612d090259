//! What outlives its stack, found by name and deleted by name: table, log group and HTTP API. (The
//! fourth is the bucket, which has a file of its own.)

use std::time::Instant;

use aws_sdk_dynamodb::types::TableStatus;
use stacks::names::Names;

use super::{POLL, Shell};
use crate::aws::{CallError, failed};
use crate::error::Error;
use crate::progress::Event;

/// Longest wait for a table that is deleted: AWS takes half a minute, more for a large one.
const TABLE_TIMEOUT_S: u64 = 600;
/// HTTP APIs a page.
const APIS_PAGE: &str = "100";

/// A table as it stands.
struct Table {
    arn: Option<String>,
    status: Option<TableStatus>,
    protected: bool,
}

impl Shell<'_> {
    pub(super) async fn table_arn(&self, name: &str) -> Result<Option<String>, CallError> {
        Ok(self.table(name).await?.and_then(|table| table.arn))
    }

    async fn table(&self, name: &str) -> Result<Option<Table>, CallError> {
        let answer = self.dynamodb.describe_table().table_name(name).send().await;
        match answer.map_err(failed("DescribeTable")) {
            Ok(answer) => Ok(answer.table.map(|table| Table {
                arn: table.table_arn,
                status: table.table_status,
                protected: table.deletion_protection_enabled.unwrap_or_default(),
            })),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the protection off a table, so that it or its stack can be deleted.
    pub(crate) async fn unprotect_table(&self, name: &str) -> Result<(), Error> {
        self.table_until(name, |table| !table.protected, false)
            .await
    }

    /// Deletes a table, protected or not, and returns when it is gone.
    pub(crate) async fn delete_table(&self, name: &str) -> Result<(), Error> {
        self.table_until(name, |_| false, true).await
    }

    /// Takes one step after another until the table is as `done` wants it, or gone. Only one that is
    /// active takes any.
    async fn table_until(
        &self,
        name: &str,
        done: impl Fn(&Table) -> bool,
        delete: bool,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        while let Some(table) = self.table(name).await? {
            if done(&table) {
                return Ok(());
            }
            match (table.status, table.protected) {
                (Some(TableStatus::Active), true) => self.set_unprotected(name).await?,
                (Some(TableStatus::Active), false) if delete => self.start_deletion(name).await?,
                _ => {}
            }
            let seconds = begin.elapsed().as_secs();
            let what = format!("table {name}");
            if seconds > TABLE_TIMEOUT_S {
                return Err(Error::Slow { what, seconds });
            }
            self.progress.report(Event::Waiting { what, seconds });
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn set_unprotected(&self, name: &str) -> Result<(), CallError> {
        let update = self.dynamodb.update_table().table_name(name);
        let sent = update.deletion_protection_enabled(false).send().await;
        sent.map(drop).map_err(failed("UpdateTable"))
    }

    async fn start_deletion(&self, name: &str) -> Result<(), CallError> {
        let sent = self.dynamodb.delete_table().table_name(name).send().await;
        sent.map(drop).map_err(failed("DeleteTable"))
    }

    pub(super) async fn log_group_arn(&self, name: &str) -> Result<Option<String>, CallError> {
        let mut pages = self
            .logs
            .describe_log_groups()
            .log_group_name_prefix(name)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("DescribeLogGroups"))?;
            let mut found = page.log_groups.unwrap_or_default().into_iter();
            // The prefix is that of others as well.
            if let Some(group) = found.find(|it| it.log_group_name.as_deref() == Some(name)) {
                return Ok(group.log_group_arn);
            }
        }
        Ok(None)
    }

    pub(crate) async fn delete_log_group(&self, name: &str) -> Result<(), CallError> {
        let deleted = self
            .logs
            .delete_log_group()
            .log_group_name(name)
            .send()
            .await;
        match deleted.map_err(failed("DeleteLogGroup")) {
            Err(error) if error.is("ResourceNotFoundException") => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// Ids of the HTTP APIs that have the deployment's name and carry its tag: AWS admits several of
    /// one name.
    pub(crate) async fn apis(&self, names: &Names) -> Result<Vec<String>, CallError> {
        const CALL: &str = "GetApis";
        let mut ids = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .apigateway
                .get_apis()
                .max_results(APIS_PAGE)
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(failed(CALL))?;
            let ours = page.items.unwrap_or_default().into_iter().filter(|api| {
                let tagged = api
                    .tags
                    .as_ref()
                    .is_some_and(|it| it.contains_key(&names.tag));
                tagged && api.name.as_deref() == Some(&names.api)
            });
            ids.extend(ours.filter_map(|api| api.api_id));
            // As the SDK's own paginators: a page that leads to itself is the last.
            let next = page.next_token.filter(|next| !next.is_empty());
            if next.is_none() || next == token {
                return Ok(ids);
            }
            token = next;
        }
    }

    pub(crate) async fn delete_api(&self, id: &str) -> Result<(), CallError> {
        let deleted = self.apigateway.delete_api().api_id(id).send().await;
        match deleted.map_err(failed("DeleteApi")) {
            Err(error) if error.is("NotFoundException") => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}
