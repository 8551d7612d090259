//! What the lab asks of the emulator: what CloudFormation made there (launch templates, subnets,
//! profiles, APIs, rules, functions). Every request is signed with the account's key, because the
//! emulator takes account and region from the signature.

mod model;
mod read;
mod roles;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::model::{Api, Invoked, Profile};
pub use self::model::{Template, Volume};
use self::read::{child, find, first_of, parse, tags_of, template_of, text_of};
pub(crate) use self::roles::Policy;

use crate::Error;
use crate::http::HttpClient;
use crate::sigv4::{Key, sign};

/// Everything but an invocation is a look-up in memory.
const LIMIT: Duration = Duration::from_secs(10);
/// API Gateway gives an integration 30 s.
const INVOKE_LIMIT: Duration = Duration::from_secs(30);

/// The emulator's address and the account's key.
#[derive(Clone)]
pub(crate) struct Emulator {
    client: HttpClient,
    endpoint: String,
    key: Key,
}

impl Emulator {
    pub(crate) fn new(endpoint: String, key: Key) -> Self {
        let client = HttpClient::plain();
        Self {
            client,
            endpoint,
            key,
        }
    }

    /// The account's number. The emulator takes an access key of 12 digits for the account itself.
    pub(crate) fn account(&self) -> &str {
        &self.key.id
    }

    /// Passes an EC2 request through as it came, signed anew.
    pub(crate) async fn forward_ec2(&self, body: Bytes) -> Result<http::Response<Bytes>, Error> {
        self.form("ec2", body).await
    }

    /// The launch template in `version` (a number, `$Latest` or `$Default`).
    pub(crate) async fn template(
        &self,
        id: &str,
        version: &str,
    ) -> Result<Option<Template>, Error> {
        let question = [
            ("Action", "DescribeLaunchTemplateVersions"),
            ("LaunchTemplateId", id),
            ("LaunchTemplateVersion.1", version),
        ];
        let Some(text) = self.ec2(&question).await? else {
            return Ok(None);
        };
        Ok(first_of(&parse(&text)?, "launchTemplateVersionSet").map(template_of))
    }

    /// The tags of the launch template itself.
    pub(crate) async fn template_tags(&self, id: &str) -> Result<BTreeMap<String, String>, Error> {
        let question = [
            ("Action", "DescribeLaunchTemplates"),
            ("LaunchTemplateId.1", id),
        ];
        let text = self.ec2(&question).await?.unwrap_or_default();
        let document = parse(&text)?;
        let template = first_of(&document, "launchTemplates");
        Ok(template.map(tags_of).unwrap_or_default())
    }

    /// The zone of the subnet, if it exists.
    pub(crate) async fn zone_of(&self, subnet: &str) -> Result<Option<String>, Error> {
        let question = [("Action", "DescribeSubnets"), ("SubnetId.1", subnet)];
        let Some(text) = self.ec2(&question).await? else {
            return Ok(None);
        };
        let document = parse(&text)?;
        let found = first_of(&document, "subnetSet");
        Ok(found.and_then(|subnet| text_of(subnet, "availabilityZone")))
    }

    /// Whether the security group exists.
    pub(crate) async fn has_group(&self, id: &str) -> Result<bool, Error> {
        let question = [("Action", "DescribeSecurityGroups"), ("GroupId.1", id)];
        let Some(text) = self.ec2(&question).await? else {
            return Ok(false);
        };
        Ok(first_of(&parse(&text)?, "securityGroupInfo").is_some())
    }

    /// The instance profile, if it exists and holds a role.
    pub(crate) async fn profile(&self, name: &str) -> Result<Option<Profile>, Error> {
        let body = encode(&[
            ("Action", "GetInstanceProfile"),
            ("Version", "2010-05-08"),
            ("InstanceProfileName", name),
        ]);
        let answer = self.form("iam", body).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let document = parse(&text)?;
        let roles = find(document.root(), "Roles");
        Ok(roles.and_then(|roles| {
            let role = child(roles, "member")?;
            Some(Profile {
                role: text_of(role, "RoleName")?,
                role_id: text_of(role, "RoleId")?,
            })
        }))
    }

    /// The HTTP APIs.
    pub(crate) async fn apis(&self) -> Result<Vec<Api>, Error> {
        self.api_items("/v2/apis").await
    }

    /// Whether the API's route with this key asks for IAM authorization; `None` without such a route.
    pub(crate) async fn route_asks_iam(&self, api: &str, key: &str) -> Result<Option<bool>, Error> {
        let path = format!("/v2/apis/{api}/routes");
        let routes: Vec<Value> = self.api_items(&path).await?;
        let route = routes.iter().find(|route| route["routeKey"] == key);
        Ok(route.map(|route| route["authorizationType"] == "AWS_IAM"))
    }

    async fn api_items<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        #[derive(Deserialize)]
        struct Answer<T> {
            #[serde(alias = "Items")]
            items: Vec<T>,
        }
        let failed = |detail: &dyn std::fmt::Display| Error::request(format!("GET {path}"), detail);
        let answer = self
            .call("apigateway", "GET", path, &[], Bytes::new())
            .await?;
        if !answer.status().is_success() {
            return Err(failed(&answer.status()));
        }
        let answer: Answer<T> = serde_json::from_slice(answer.body()).map_err(|e| failed(&e))?;
        Ok(answer.items)
    }

    /// Whether the policies of `role` allow `action` on `resource`.
    pub(crate) async fn allows(
        &self,
        role: &str,
        action: &str,
        resource: &str,
    ) -> Result<bool, Error> {
        let role = format!("arn:aws:iam::{}:role/{role}", self.account());
        let body = encode(&[
            ("Action", "SimulatePrincipalPolicy"),
            ("Version", "2010-05-08"),
            ("PolicySourceArn", &role),
            ("ActionNames.member.1", action),
            ("ResourceArns.member.1", resource),
        ]);
        let answer = self.form("iam", body).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let document = parse(&text)?;
        let decision = find(document.root(), "EvalDecision").and_then(|node| node.text());
        Ok(decision == Some("allowed"))
    }

    /// Value and data type of a parameter that is no secret, if there is one.
    pub(crate) async fn parameter(&self, path: &str) -> Result<Option<(String, String)>, Error> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AmazonSSM.GetParameter"),
        ];
        let body = Bytes::from(serde_json::json!({ "Name": path }).to_string());
        let answer = self.call("ssm", "POST", "/", &headers, body).await?;
        if answer.status().is_client_error() {
            return Ok(None);
        }
        let failed = |error: serde_json::Error| Error::request("GetParameter", error);
        let found: Value = serde_json::from_slice(answer.body()).map_err(failed)?;
        let word = |name: &str| found["Parameter"][name].as_str().map(str::to_owned);
        Ok(word("Value").map(|value| (value, word("DataType").unwrap_or_default())))
    }

    /// A request as API Gateway's own hosts would take it. Only the body and what describes it goes
    /// through; the emulator adds the rest.
    pub(crate) async fn execute_api(
        &self,
        api: &str,
        parts: &http::request::Parts,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, Error> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}/_aws/execute-api/{api}/$default{path}", self.endpoint);
        let mut request = http::Request::builder()
            .method(parts.method.clone())
            .uri(url)
            .body(body)
            .map_err(|error| Error::bug(&error))?;
        *request.headers_mut() = parts.headers.clone();
        request.headers_mut().remove(http::header::HOST);
        Ok(self.client.send(request, INVOKE_LIMIT).await?)
    }

    /// Invokes a function and waits for its answer.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Result<Invoked, Error> {
        let answer = self.invocation(function, event, "RequestResponse").await?;
        Ok(Invoked {
            failed: answer.headers().contains_key("x-amz-function-error"),
            payload: answer.into_body(),
        })
    }

    /// Invokes a function without waiting, as EventBridge does.
    pub(crate) async fn invoke_event(&self, function: &str, event: &Value) -> Result<(), Error> {
        self.invocation(function, event, "Event").await?;
        Ok(())
    }

    /// A request of `EventBridge`; `Null` when it answers with an error of its own.
    pub(crate) async fn events(&self, operation: &str, body: &Value) -> Result<Value, Error> {
        let target = format!("AWSEvents.{operation}");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let body = Bytes::from(body.to_string());
        let answer = self.call("events", "POST", "/", &headers, body).await?;
        if answer.status().is_client_error() {
            return Ok(Value::Null);
        }
        if !answer.status().is_success() {
            return Err(Error::request(target, answer.status()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| Error::request(target, error))
    }

    /// A request of `CloudWatch` Logs, and what came of it.
    pub(crate) async fn logs(
        &self,
        target: &str,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, Error> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
        ];
        self.call("logs", "POST", "/", &headers, body).await
    }

    async fn invocation(
        &self,
        function: &str,
        event: &Value,
        kind: &str,
    ) -> Result<http::Response<Bytes>, Error> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let headers = [
            ("content-type", "application/json"),
            ("x-amz-invocation-type", kind),
        ];
        let body = Bytes::from(event.to_string());
        let answer = self.call("lambda", "POST", &path, &headers, body).await?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(Error::request(
                format!("invoke {function}"),
                String::from_utf8_lossy(answer.body()),
            ))
        }
    }

    /// An EC2 request; `None` when what it names does not exist.
    async fn ec2(&self, parameters: &[(&str, &str)]) -> Result<Option<String>, Error> {
        let mut all = vec![("Version", "2016-11-15")];
        all.extend_from_slice(parameters);
        let answer = self.form("ec2", encode(&all)).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        if answer.status().is_success() {
            Ok(Some(text))
        } else if text.contains("NotFound") || text.contains(".Malformed") {
            Ok(None)
        } else {
            Err(Error::request("the emulator's EC2", text))
        }
    }

    async fn form(&self, service: &str, body: Bytes) -> Result<http::Response<Bytes>, Error> {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = [("content-type", form)];
        self.call(service, "POST", "/", &headers, body).await
    }

    async fn call(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<http::Response<Bytes>, Error> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| Error::bug(&error))?;
        let request = sign(request, &self.key, service, Timestamp::now())?;
        let limit = if service == "lambda" {
            INVOKE_LIMIT
        } else {
            LIMIT
        };
        Ok(self.client.send(request, limit).await?)
    }
}

fn encode(parameters: &[(&str, &str)]) -> Bytes {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters);
    Bytes::from(form.finish())
}
