//! What the lab asks of the emulator: what CloudFormation made there (launch templates, subnets,
//! profiles, APIs, rules, functions). Every request is signed with the account's key, because the
//! emulator takes account and region from the signature.

mod model;
mod read;

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use self::model::{Api, Invoked, Profile, ProfileRef, Subnet, Template};
use self::read::{child, find, parse, template_of, text_of};

use crate::Error;
use crate::http::HttpClient;
use crate::sign::sign;
use crate::sigv4::Key;

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
    pub(crate) async fn forward_ec2(
        &self,
        region: &str,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, Error> {
        self.form(region, "ec2", body).await
    }

    /// The launch template, by id or name, in `version` (a number, `$Latest` or `$Default`).
    pub(crate) async fn template(
        &self,
        region: &str,
        selector: (&str, &str),
        version: &str,
    ) -> Result<Option<Template>, Error> {
        let parameters = [
            ("Action", "DescribeLaunchTemplateVersions"),
            selector,
            ("LaunchTemplateVersion.1", version),
        ];
        let Some(text) = self.ec2(region, &parameters).await? else {
            return Ok(None);
        };
        let document = parse(&text)?;
        Ok(find(document.root(), "launchTemplateVersionSet")
            .and_then(|set| child(set, "item"))
            .map(template_of))
    }

    /// The subnet, if it exists.
    pub(crate) async fn subnet(&self, region: &str, id: &str) -> Result<Option<Subnet>, Error> {
        let parameters = [("Action", "DescribeSubnets"), ("SubnetId.1", id)];
        let Some(text) = self.ec2(region, &parameters).await? else {
            return Ok(None);
        };
        let document = parse(&text)?;
        let item = find(document.root(), "subnetSet").and_then(|set| child(set, "item"));
        Ok(item.and_then(|item| {
            Some(Subnet {
                zone: text_of(item, "availabilityZone")?,
                vpc: text_of(item, "vpcId")?,
            })
        }))
    }

    /// The id of a default subnet, where a request that names none is launched.
    pub(crate) async fn default_subnet(&self, region: &str) -> Result<Option<String>, Error> {
        let parameters = [
            ("Action", "DescribeSubnets"),
            ("Filter.1.Name", "default-for-az"),
            ("Filter.1.Value.1", "true"),
        ];
        let Some(text) = self.ec2(region, &parameters).await? else {
            return Ok(None);
        };
        let document = parse(&text)?;
        Ok(find(document.root(), "subnetSet")
            .and_then(|set| child(set, "item"))
            .and_then(|item| text_of(item, "subnetId")))
    }

    /// The VPC of the security group, if the group exists.
    pub(crate) async fn group_vpc(&self, region: &str, id: &str) -> Result<Option<String>, Error> {
        let parameters = [("Action", "DescribeSecurityGroups"), ("GroupId.1", id)];
        let Some(text) = self.ec2(region, &parameters).await? else {
            return Ok(None);
        };
        let document = parse(&text)?;
        Ok(find(document.root(), "securityGroupInfo")
            .and_then(|set| child(set, "item"))
            .and_then(|item| text_of(item, "vpcId")))
    }

    /// The instance profile, if it exists and holds a role.
    pub(crate) async fn profile(&self, region: &str, name: &str) -> Result<Option<Profile>, Error> {
        let body = encode(&[
            ("Action", "GetInstanceProfile"),
            ("Version", "2010-05-08"),
            ("InstanceProfileName", name),
        ]);
        let answer = self.form(region, "iam", body).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let document = parse(&text)?;
        let profile = find(document.root(), "InstanceProfile");
        Ok(profile.and_then(|profile| {
            let role = find(profile, "Roles").and_then(|roles| child(roles, "member"))?;
            Some(Profile {
                arn: text_of(profile, "Arn")?,
                id: text_of(profile, "InstanceProfileId")?,
                role: text_of(role, "RoleName")?,
                role_id: text_of(role, "RoleId")?,
            })
        }))
    }

    /// The parameter's value, if it exists.
    pub(crate) async fn parameter(
        &self,
        region: &str,
        name: &str,
    ) -> Result<Option<String>, Error> {
        let body = json!({ "Name": name });
        let answer = self.json(region, "ssm", "AmazonSSM.GetParameter", &body);
        Ok(answer
            .await?
            .and_then(|answer| Some(answer["Parameter"]["Value"].as_str()?.to_owned())))
    }

    /// The HTTP APIs.
    pub(crate) async fn apis(&self, region: &str) -> Result<Vec<Api>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(alias = "Items")]
            items: Vec<Api>,
        }
        let answer = self
            .call(region, "apigateway", "GET", "/v2/apis", &[], Bytes::new())
            .await?;
        if !answer.status().is_success() {
            return Err(Error::request("GET /v2/apis", answer.status()));
        }
        let answer: Answer = serde_json::from_slice(answer.body())
            .map_err(|error| Error::request("GET /v2/apis", error))?;
        Ok(answer.items)
    }

    /// Whether the API's route with this key asks for IAM authorization; `None` without such a route.
    pub(crate) async fn route_asks_iam(
        &self,
        region: &str,
        api: &str,
        key: &str,
    ) -> Result<Option<bool>, Error> {
        let path = format!("/v2/apis/{api}/routes");
        let answer = self
            .call(region, "apigateway", "GET", &path, &[], Bytes::new())
            .await?;
        let answer: Value = serde_json::from_slice(answer.body())
            .map_err(|error| Error::request("GET routes", error))?;
        let items = answer.get("items").or_else(|| answer.get("Items"));
        let routes = items.and_then(Value::as_array).into_iter().flatten();
        Ok(routes
            .filter(|route| route["routeKey"] == key)
            .map(|route| route["authorizationType"] == "AWS_IAM")
            .next())
    }

    /// Whether the policies of `role` allow `action` on `resource`.
    pub(crate) async fn allows(
        &self,
        region: &str,
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
        let answer = self.form(region, "iam", body).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let document = parse(&text)?;
        let decision = find(document.root(), "EvalDecision").and_then(|node| node.text());
        Ok(decision == Some("allowed"))
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
    pub(crate) async fn invoke(
        &self,
        region: &str,
        function: &str,
        event: &Value,
    ) -> Result<Invoked, Error> {
        let answer = self
            .invocation(region, function, event, "RequestResponse")
            .await?;
        Ok(Invoked {
            failed: answer.headers().contains_key("x-amz-function-error"),
            payload: answer.into_body(),
        })
    }

    /// Invokes a function without waiting, as EventBridge does.
    pub(crate) async fn invoke_event(
        &self,
        region: &str,
        function: &str,
        event: &Value,
    ) -> Result<(), Error> {
        self.invocation(region, function, event, "Event").await?;
        Ok(())
    }

    /// A request of one of the JSON services; `None` when it answers with an error of its own.
    pub(crate) async fn json(
        &self,
        region: &str,
        service: &str,
        target: &str,
        body: &Value,
    ) -> Result<Option<Value>, Error> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
        ];
        let body = Bytes::from(body.to_string());
        let answer = self
            .call(region, service, "POST", "/", &headers, body)
            .await?;
        if answer.status().is_client_error() {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(Error::request(target, answer.status()));
        }
        serde_json::from_slice(answer.body())
            .map(Some)
            .map_err(|error| Error::request(target, error))
    }

    async fn invocation(
        &self,
        region: &str,
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
        let answer = self
            .call(region, "lambda", "POST", &path, &headers, body)
            .await?;
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
    async fn ec2(
        &self,
        region: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Option<String>, Error> {
        let mut all = vec![("Version", "2016-11-15")];
        all.extend_from_slice(parameters);
        let answer = self.form(region, "ec2", encode(&all)).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        if answer.status().is_success() {
            Ok(Some(text))
        } else if text.contains("NotFound") || text.contains(".Malformed") {
            Ok(None)
        } else {
            Err(Error::request("the emulator's EC2", text))
        }
    }

    async fn form(
        &self,
        region: &str,
        service: &str,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, Error> {
        let headers = [(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )];
        self.call(region, service, "POST", "/", &headers, body)
            .await
    }

    async fn call(
        &self,
        region: &str,
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
        if !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) && !body.is_empty() {
            return Err(Error::Bug("a body without a content type".to_owned()));
        }
        let request = request.body(body).map_err(|error| Error::bug(&error))?;
        let request = sign(request, &self.key, region, service, Timestamp::now())?;
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
