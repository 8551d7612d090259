//! Parameters: secrets by name and value, and what is left of them.

use std::collections::BTreeSet;

use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{ParameterType, Tag};
use stacks::names::{Names, SecretName};

use super::Shell;
use crate::aws::{CallError, failed};
use crate::secrets::SecretValue;

/// Most names in one call.
const NAMES_MAX: usize = 10;

impl Shell<'_> {
    /// The secrets that have a value, each asked for by its name: lists of parameters come in pages
    /// that may be cut short. No value is decrypted.
    pub(crate) async fn secrets(&self, names: &Names) -> Result<BTreeSet<SecretName>, CallError> {
        let paths = SecretName::ALL.map(|secret| names.secret(secret));
        let found = self.existing_parameters(&paths).await?;
        Ok(SecretName::ALL
            .into_iter()
            .filter(|secret| found.contains(&names.secret(*secret)))
            .collect())
    }

    /// Those of `paths` that exist.
    pub(crate) async fn existing_parameters(
        &self,
        paths: &[String],
    ) -> Result<BTreeSet<String>, CallError> {
        let mut found = BTreeSet::new();
        for paths in paths.chunks(NAMES_MAX) {
            let answer = self
                .ssm
                .get_parameters()
                .set_names(Some(paths.to_vec()))
                .send()
                .await
                .map_err(failed("GetParameters"))?;
            let parameters = answer.parameters.unwrap_or_default();
            found.extend(parameters.into_iter().filter_map(|one| one.name));
        }
        Ok(found)
    }

    /// Names of the deployment's parameters, of those below its root, which AWS keeps by path: a
    /// description of all parameters would go through the whole account.
    pub(crate) async fn own_parameters(&self, names: &Names) -> Result<Vec<String>, CallError> {
        let mut pages = self
            .ssm
            .get_parameters_by_path()
            .path(&names.parameters)
            .recursive(true)
            .into_paginator()
            .send();
        let mut own = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("GetParametersByPath"))?;
            let found = page.parameters.unwrap_or_default();
            let found = found.into_iter().filter_map(|parameter| parameter.name);
            own.extend(found.filter(|path| names.is_parameter(path)));
        }
        own.sort();
        Ok(own)
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

    /// Writes a secret that has no value yet. AWS refuses to overwrite one that has, and so do we.
    pub(crate) async fn make_secret(
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
        // Tags and overwriting exclude each other.
        let put = self.put_secret(names, secret, value).tags(tag);
        put.send().await.map(drop).map_err(failed("PutParameter"))
    }

    /// Writes a secret that somebody gives, over the value that it may have.
    pub(crate) async fn write_secret(
        &self,
        names: &Names,
        secret: SecretName,
        value: &SecretValue,
    ) -> Result<(), CallError> {
        match self.make_secret(names, secret, value).await {
            Err(error) if error.is("ParameterAlreadyExists") => {
                let put = self.put_secret(names, secret, value).overwrite(true);
                put.send().await.map(drop).map_err(failed("PutParameter"))
            }
            made => made,
        }
    }

    fn put_secret(
        &self,
        names: &Names,
        secret: SecretName,
        value: &SecretValue,
    ) -> PutParameterFluentBuilder {
        self.ssm
            .put_parameter()
            .name(names.secret(secret))
            .r#type(ParameterType::SecureString)
            .value(value.reveal())
    }

    pub(crate) async fn delete_parameters(&self, paths: &[String]) -> Result<(), CallError> {
        for paths in paths.chunks(NAMES_MAX) {
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
