//! Roles with their policies, as the emulator's IAM has them now.

use serde::Serialize;
use serde_json::Value;

use super::read::{child, find, members, parse, text_of};
use super::{Emulator, encode};
use crate::Error;

/// A role, as far as it decides what its sessions may do: by its inline policies. What AWS's managed
/// policies allow is not known here, and no call that the lab serves rests on one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Role {
    /// The beginning of its sessions' ids.
    pub(crate) id: String,
    pub(crate) policies: Vec<Policy>,
}

/// An inline policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Policy {
    name: String,
    policy: Value,
}

impl Emulator {
    /// The role of this name, if there is one.
    pub(crate) async fn role(&self, name: &str) -> Result<Option<Role>, Error> {
        // One request for all, where each policy would be one of its own.
        let body = encode(&[
            ("Action", "GetAccountAuthorizationDetails"),
            ("Version", "2010-05-08"),
            ("Filter.member.1", "Role"),
        ]);
        let answer = self.form("iam", body).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        role_in(&text, name)
    }

    /// The name of the role of the function, if there is such a function.
    pub(crate) async fn role_of_function(&self, function: &str) -> Result<Option<String>, Error> {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let answer = self
            .call("lambda", "GET", &path, &[], bytes::Bytes::new())
            .await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let told: Value = serde_json::from_slice(answer.body())
            .map_err(|error| Error::request("the emulator's Lambda", error))?;
        let role = told["Role"].as_str().and_then(|arn| arn.rsplit('/').next());
        Ok(role.map(str::to_owned))
    }
}

fn role_in(text: &str, name: &str) -> Result<Option<Role>, Error> {
    let document = parse(text)?;
    let Some(all) = find(document.root(), "RoleDetailList") else {
        return Err(Error::request("the emulator's IAM", "it lists no roles"));
    };
    let mut roles = members(all);
    let Some(role) = roles.find(|role| text_of(*role, "RoleName").as_deref() == Some(name)) else {
        return Ok(None);
    };
    let inline = child(role, "RolePolicyList");
    let policies = inline.into_iter().flat_map(members).map(|policy| {
        let document = text_of(policy, "PolicyDocument").unwrap_or_default();
        let policy_name = text_of(policy, "PolicyName").unwrap_or_default();
        let policy = serde_json::from_str(&decoded(&document));
        let policy = policy.map_err(|error| Error::request(policy_name.clone(), error))?;
        Ok(Policy {
            name: policy_name,
            policy,
        })
    });
    Ok(Some(Role {
        id: text_of(role, "RoleId").unwrap_or_default(),
        policies: policies.collect::<Result<_, Error>>()?,
    }))
}

/// IAM encodes documents like a part of a URL, spaces and all.
fn decoded(encoded: &str) -> String {
    let mut parts = form_urlencoded::parse(encoded.as_bytes());
    parts
        .next()
        .map_or_else(String::new, |(text, _)| text.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_found_by_its_name_with_its_own_policies() {
        let role = |name: &str, policy: &str| {
            format!(
                "<member><RoleName>{name}</RoleName><RoleId>AROA{name}</RoleId><RolePolicyList>\
                 <member><PolicyName>p</PolicyName><PolicyDocument>{policy}</PolicyDocument></member>\
                 </RolePolicyList></member>"
            )
        };
        let (one, two) = (
            role("one", "%7B%7D"),
            role("two", "%7B%22a%22%3A%20%22b%2Bc%3D%26%22%7D"),
        );
        let text = format!("<R><RoleDetailList>{one}{two}</RoleDetailList></R>");
        let found = role_in(&text, "two").unwrap().unwrap();
        assert_eq!(found.id, "AROAtwo");
        let policy = json!({ "a": "b+c=&" });
        let name = "p".to_owned();
        assert_eq!(found.policies, [Policy { name, policy }]);
        assert_eq!(role_in(&text, "three").unwrap(), None);
        assert!(role_in("<R/>", "one").is_err());
    }
}
