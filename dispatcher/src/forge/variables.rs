//! The variables that a repository's workflows see as `vars`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::path::part;
use super::{Forge, ForgeError};

/// Entries of one page: the most that a forge gives.
const PAGE: usize = 50;
/// Most pages of one place: a forge's pages show them all on one, and nobody keeps 1,000 there.
const PAGES_MAX: usize = 20;

#[derive(Deserialize)]
struct VariableBody {
    name: String,
    /// Left out or `null` where it is empty.
    data: Option<String>,
}

#[derive(Deserialize)]
struct UserBody {
    login: String,
}

impl Forge {
    /// The variables of `repository` and its owner; the repository's win. Their names are in capitals.
    /// `None` where the token may not read them. Those of the whole forge, which an administrator
    /// sets, are told nowhere: a name that is missing here may have a value after all.
    pub async fn variables(
        &self,
        repository: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ForgeError> {
        let place = format!("repos/{repository}");
        let Some(own) = self.variables_at(&place).await? else {
            return Ok(None);
        };
        let owner = repository.split('/').next().unwrap_or_default();
        let Some(mut variables) = self.variables_of_owner(owner).await? else {
            return Ok(None);
        };
        variables.extend(own);
        Ok(Some(variables))
    }

    /// Those of an organization, or of a person if the token is theirs.
    async fn variables_of_owner(
        &self,
        owner: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ForgeError> {
        let place = format!("orgs/{}", part(owner));
        if let Some(variables) = self.variables_at(&place).await? {
            return Ok(Some(variables));
        }
        let user: UserBody = match self.get("GET user", "/api/v1/user").await {
            Err(ForgeError::Refused { .. }) => return Ok(None),
            other => other?.json()?,
        };
        if user.login.eq_ignore_ascii_case(owner) {
            self.variables_at("user").await
        } else {
            Ok(None)
        }
    }

    /// Those of one place; `None` where the forge says that there is no such place for the token.
    async fn variables_at(
        &self,
        place: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ForgeError> {
        const CALL: &str = "GET variables";
        let mut variables = BTreeMap::new();
        for page in 1..=PAGES_MAX {
            let path = format!("/api/v1/{place}/actions/variables?limit={PAGE}&page={page}");
            let answer = match self.get(CALL, &path).await {
                Err(ForgeError::Refused {
                    status: 401 | 403 | 404,
                    ..
                }) => return Ok(None),
                other => other?,
            };
            let list: Vec<VariableBody> = answer.json()?;
            let is_last = list.is_empty();
            let pairs = list.into_iter().map(|one| (one.name, one.data));
            variables.extend(pairs.map(|(name, data)| (name, data.unwrap_or_default())));
            if is_last || answer.is_last(variables.len()) {
                return Ok(Some(variables));
            }
        }
        Err(ForgeError::TooMuch(CALL))
    }
}
