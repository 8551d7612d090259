//! The deployment's parameters, read in one sweep per cold start.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::raw_call::Call;
use super::{Aws, Failure};

/// Most pages of ten parameters: sixteen pools, four secrets and two documents are three pages.
const PAGES_MAX: usize = 8;

const CALL: &str = "ssm:GetParametersByPath";

/// Values by full path.
pub type Parameters = BTreeMap<String, String>;

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
}

impl Aws {
    /// Every parameter under the deployment's root, decrypted.
    pub async fn parameters(&self) -> Result<Parameters, Failure> {
        let mut all = Parameters::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let page = self.parameter_page(token.as_deref()).await?;
            let parameters = page.parameters.into_iter();
            all.extend(parameters.map(|parameter| (parameter.name, parameter.value)));
            token = page.next_token;
            if token.is_none() {
                return Ok(all);
            }
        }
        // A pool that is cut off would look as if it had been taken out.
        let message = format!(
            "more than {PAGES_MAX} pages below {}",
            self.names.parameters
        );
        Err(Failure::new(CALL, "too-much", message))
    }

    async fn parameter_page(&self, token: Option<&str>) -> Result<Page, Failure> {
        let mut body = json!({
            "Path": self.names.parameters,
            "Recursive": true,
            "WithDecryption": true,
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
