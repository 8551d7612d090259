//! The deployment's parameters, read in one sweep per cold start.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pages::Pages;
use super::raw_call::Call;
use super::{Aws, Failure};

/// Most parameters of a deployment: sixteen pools, each with an image of two parameters, four secrets and two
/// documents are fifty-four.
const PARAMETERS_MAX: usize = 100;

const CALL: &str = "ssm:GetParametersByPath";
const PUT: &str = "ssm:PutParameter";
/// The only kind of parameter that EC2 takes an image from.
const IMAGE: &str = "aws:ec2:image";

/// Values by full path.
pub type Parameters = BTreeMap<String, String>;

/// Which version of each parameter there is, by full path. One that was deleted and made again counts
/// from 1 again, so its time is a part of it.
pub type Versions = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    parameters: Vec<Parameter>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: String,
    #[serde(default)]
    version: u64,
    #[serde(default)]
    last_modified_date: Value,
}

/// Whether KMS has to decrypt what is asked for, which costs.
#[derive(Clone, Copy)]
enum Ask {
    Values,
    Versions,
}

impl Aws {
    /// Every parameter of the deployment, decrypted, and its version.
    pub(crate) async fn parameters(&self) -> Result<(Parameters, Versions), Failure> {
        let (mut values, mut versions) = (Parameters::new(), Versions::new());
        for one in self.parameters_as(Ask::Values).await? {
            versions.insert(one.name.clone(), one.version());
            values.insert(one.name, one.value);
        }
        Ok((values, versions))
    }

    /// The versions alone: nothing is decrypted.
    pub(crate) async fn parameter_versions(&self) -> Result<Versions, Failure> {
        let mut versions = Versions::new();
        for one in self.parameters_as(Ask::Versions).await? {
            versions.insert(one.name.clone(), one.version());
        }
        Ok(versions)
    }

    /// What the parameter of an image says now.
    pub(crate) async fn image(&self, parameter: &str) -> Result<Option<String>, Failure> {
        let mut all = self.parameters_as(Ask::Versions).await?.into_iter();
        Ok(all.find(|one| one.name == parameter).map(|one| one.value))
    }

    /// Has the parameter of an image name `ami`. AWS says yes before it has looked at it.
    pub(crate) async fn put_image(&self, parameter: &str, ami: &str) -> Result<(), Failure> {
        self.put_image_as(parameter, ami, true).await
    }

    /// The same without effect: AWS does not overwrite what is there, and says so to whom it would let.
    pub(crate) async fn rehearse_put_image(
        &self,
        parameter: &str,
        ami: &str,
    ) -> Result<(), Failure> {
        match self.put_image_as(parameter, ami, false).await {
            Err(failure) if failure.code == "ParameterAlreadyExists" => Ok(()),
            other => other,
        }
    }

    async fn put_image_as(
        &self,
        parameter: &str,
        ami: &str,
        overwrite: bool,
    ) -> Result<(), Failure> {
        let call = Call {
            path: "/".to_owned(),
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "AmazonSSM.PutParameter"),
            ],
            body: json!({
                "Name": parameter,
                "Value": ami,
                "Type": "String",
                "DataType": IMAGE,
                "Overwrite": overwrite,
            }),
        };
        self.ssm().send(PUT, call).await.map(drop)
    }

    async fn parameters_as(&self, ask: Ask) -> Result<Vec<Parameter>, Failure> {
        let mut all = Vec::new();
        let mut pages = Pages::of(CALL, (PARAMETERS_MAX, "parameters"));
        loop {
            let page = self.parameter_page(ask, pages.token()).await?;
            // What somebody else keeps there is neither read nor remembered.
            let found = page.parameters.into_iter();
            all.extend(found.filter(|one| self.names.is_parameter(&one.name)));
            // A pool that is cut off would look as if it had been taken out.
            let next = page.next_token.filter(|token| !token.is_empty());
            if pages.is_last(next, all.len())? {
                return Ok(all);
            }
        }
    }

    async fn parameter_page(&self, ask: Ask, token: Option<String>) -> Result<Page, Failure> {
        let mut body = json!({
            "Path": self.names.parameters,
            "Recursive": true,
            "WithDecryption": matches!(ask, Ask::Values),
            "MaxResults": 10,
        });
        if let Some(token) = token {
            body["NextToken"] = token.into();
        }
        let call = Call {
            path: "/".to_owned(),
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "AmazonSSM.GetParametersByPath"),
            ],
            body,
        };
        let answer = self.ssm().send(CALL, call).await?;
        serde_json::from_slice(&answer.0).map_err(|_| {
            let message = "the answer can't be read".to_owned();
            Failure::new(CALL, "bad-answer", message)
        })
    }
}

impl Parameter {
    fn version(&self) -> String {
        format!("{}@{}", self.version, self.last_modified_date)
    }
}
