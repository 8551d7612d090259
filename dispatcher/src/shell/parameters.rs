//! The deployment's parameters, read in one sweep per cold start.

use std::collections::BTreeMap;

use super::{Failure, Shell};

/// Most pages of ten parameters: sixteen pools, four secrets and two documents are three pages.
const PAGES_MAX: usize = 8;

/// Values by full path.
pub type Parameters = BTreeMap<String, String>;

impl Shell {
    /// Every parameter under the deployment's root, decrypted.
    pub async fn parameters(&self) -> Result<Parameters, Failure> {
        let mut all = Parameters::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .ssm()
                .get_parameters_by_path()
                .path(&self.names.parameters)
                .recursive(true)
                .with_decryption(true)
                .max_results(10)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| Failure::of("ssm:GetParametersByPath", &error))?;
            for parameter in page.parameters.unwrap_or_default() {
                if let (Some(name), Some(value)) = (parameter.name, parameter.value) {
                    all.insert(name, value);
                }
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok(all)
    }
}
