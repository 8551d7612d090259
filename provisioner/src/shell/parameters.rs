//! Parameters: secrets by name and value, and what is left of them.

use std::collections::BTreeSet;

use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType, Tag};
use stacks::names::{Names, SecretName};

use super::Shell;
use crate::aws::{CallError, failed};
use crate::secrets::SecretValue;

/// Most names that one call deletes.
const DELETE_MAX: usize = 10;

impl Shell<'_> {
    /// The secrets that have a value. No value is read.
    pub(crate) async fn secrets(&self, names: &Names) -> Result<BTreeSet<SecretName>, CallError> {
        let found = self.parameters_under(&names.parameter_secrets).await?;
        Ok(found
            .iter()
            .filter_map(|path| SecretName::named(path.strip_prefix(&names.parameter_secrets)?))
            .collect())
    }

    /// Names of all parameters under `path`.
    pub(crate) async fn parameters_under(&self, path: &str) -> Result<Vec<String>, CallError> {
        let filter = ParameterStringFilter::builder()
            .key("Path")
            .option("Recursive")
            .values(path.trim_end_matches('/'))
            .build()
            .expect("the key is set above");
        let mut pages = self
            .ssm
            .describe_parameters()
            .parameter_filters(filter)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        // Pages may be empty: AWS cuts them before it filters.
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("DescribeParameters"))?;
            let found = page.parameters.unwrap_or_default();
            names.extend(found.into_iter().filter_map(|parameter| parameter.name));
        }
        names.sort();
        Ok(names)
    }

    /// Whether the parameter holds exactly `value`.
    pub(crate) async fn parameter_is(
        &self,
        path: &str,
        value: &SecretValue,
    ) -> Result<bool, CallError> {
        let stored = self.parameter(path).await?;
        Ok(stored.is_some_and(|stored| stored == value.reveal()))
    }

    /// The decrypted value of a parameter, if it exists.
    pub(crate) async fn parameter(&self, path: &str) -> Result<Option<String>, CallError> {
        let answer = self
            .ssm
            .get_parameter()
            .name(path)
            .with_decryption(true)
            .send()
            .await;
        match answer.map_err(failed("GetParameter")) {
            Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value)),
            Err(error) if error.is("ParameterNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a secret, with the deployment's tag when it is new (tags and overwriting exclude each
    /// other).
    pub(crate) async fn write_secret(
        &self,
        names: &Names,
        secret: SecretName,
        value: &SecretValue,
    ) -> Result<(), CallError> {
        let tag = Tag::builder()
            .key(&names.tag)
            .value("secret")
            .build()
            .expect("key and value are set above");
        let request = || {
            self.ssm
                .put_parameter()
                .name(names.secret(secret))
                .r#type(ParameterType::SecureString)
                .value(value.reveal())
        };
        let made = request()
            .tags(tag)
            .send()
            .await
            .map_err(failed("PutParameter"));
        match made {
            Err(error) if error.is("ParameterAlreadyExists") => request()
                .overwrite(true)
                .send()
                .await
                .map(drop)
                .map_err(failed("PutParameter")),
            made => made.map(drop),
        }
    }

    pub(crate) async fn delete_parameters(&self, paths: &[String]) -> Result<(), CallError> {
        for paths in paths.chunks(DELETE_MAX) {
            self.ssm
                .delete_parameters()
                .set_names(Some(paths.to_vec()))
                .send()
                .await
                .map_err(failed("DeleteParameters"))?;
        }
        Ok(())
    }
}
