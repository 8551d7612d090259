//! Which call a request is: the service from its signature, the action from where its protocol says it.

use http::Method;
use http::request::Parts;

/// How tokens of ours begin, in whatever a protocol puts them.
pub(super) const TOKEN: &str = "lab-page-";

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// As signatures spell it.
    pub(super) service: String,
    /// As AWS's documents spell it.
    pub(super) action: String,
    /// Whether its answer has no body.
    pub(super) is_head: bool,
    /// The token of ours that it goes on from.
    pub(super) token: Option<String>,
    /// Whether it names what it asks for, so that nothing is listed.
    pub(super) names_ids: bool,
}

impl Call {
    /// The call of a signed request; `None` for what is none.
    pub(super) fn of(parts: &Parts, body: &[u8]) -> Option<Self> {
        let service = signed_for(parts)?;
        let form = || form_urlencoded::parse(body);
        let target = parts.headers.get("x-amz-target");
        let action = target.and_then(|target| target.to_str().ok()?.split_once('.'));
        let action = action.map(|(_, action)| action.to_owned());
        let is_form = || {
            let kind = parts.headers.get("content-type");
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"))
        };
        let of_query = || {
            let found = is_form().then(|| form().find(|(key, _)| key == "Action"));
            Some(found??.1.into_owned())
        };
        let action = action.or_else(of_query);
        let uri = parts.uri.to_string();
        Some(Self {
            action: action.unwrap_or_else(|| rest(&service, parts)),
            is_head: parts.method == Method::HEAD,
            token: token_in(uri.as_bytes()).or_else(|| token_in(body)),
            names_ids: service == "ec2" && form().any(|(key, _)| key.ends_with("Id.1")),
            service,
        })
    }

    /// As IAM spells it, nearly.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.service, self.action)
    }

    /// Whether it asks for a further page, of ours or of the service's.
    pub(super) fn goes_on(&self, body: &[u8]) -> bool {
        let is_named = |name: &[u8]| body.windows(name.len()).any(|part| part == name);
        self.token.is_some() || is_named(b"\"NextToken\"")
    }
}

/// The service in `Credential=ID/DAY/REGION/SERVICE/aws4_request`.
fn signed_for(parts: &Parts) -> Option<String> {
    let signature = parts.headers.get("authorization")?.to_str().ok()?;
    let (_, scope) = signature.split_once("Credential=")?;
    let scope = scope.split(',').next()?;
    scope.split('/').nth(3).map(str::to_owned)
}

/// The action of a request whose path and method say it; of one that we don't make, these.
fn rest(service: &str, parts: &Parts) -> String {
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let method = parts.method.as_str();
    let depth = path.split('/').filter(|part| !part.is_empty()).count();
    let known = match (service, method, depth) {
        ("lambda", "POST", _) if path.ends_with("/invocations") => "Invoke",
        ("lambda", "GET", _) if path.ends_with("/configuration") => "GetFunctionConfiguration",
        ("lambda", "GET", _) if path.contains("/tags/") => "ListTags",
        ("apigateway", "GET", 2) => "GetApis",
        ("apigateway", "DELETE", 3) => "DeleteApi",
        ("s3", "HEAD", 1) => "HeadBucket",
        ("s3", "HEAD", _) => "HeadObject",
        ("s3", "GET", 1) if query.contains("tagging") => "GetBucketTagging",
        ("s3", "GET", 1) if query.contains("list-type=2") => "ListObjectsV2",
        ("s3", "POST", 1) if query.contains("delete") => "DeleteObjects",
        ("s3", "DELETE", 1) => "DeleteBucket",
        ("s3", "PUT", 2..) => "PutObject",
        _ => return format!("{method} {path}"),
    };
    known.to_owned()
}

/// A token of ours in a request.
pub(super) fn token_in(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let at = text.find(TOKEN)?;
    let rest = &text[at + TOKEN.len()..];
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    Some(format!("{TOKEN}{}", &rest[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(service: &str, request: http::request::Builder, body: &str) -> String {
        let scope =
            format!("AWS4-HMAC-SHA256 Credential=1/20261130/eu-west-1/{service}/aws4_request, S=1");
        let request = request.header("authorization", scope).body(()).unwrap();
        Call::of(&request.into_parts().0, body.as_bytes())
            .unwrap()
            .name()
    }

    #[test]
    fn a_call_is_known_in_every_protocol() {
        let get = http::Request::get;
        let post = || http::Request::post("/");
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let query = post().header("content-type", form);
        let json = post().header("x-amz-target", "AmazonSSM.GetParameters");
        let invoke = http::Request::post("/2015-03-31/functions/ci/invocations");
        for (expected, service, request, body) in [
            ("ssm:GetParameters", "ssm", json, "{}"),
            ("iam:GetRole", "iam", query, "Version=1&Action=GetRole"),
            ("lambda:Invoke", "lambda", invoke, "{}"),
            (
                "apigateway:GetApis",
                "apigateway",
                get("/v2/apis?maxResults=1"),
                "",
            ),
            (
                "s3:HeadObject",
                "s3",
                http::Request::head("/bucket/a/b"),
                "",
            ),
            ("s3:ListObjectsV2", "s3", get("/bucket?list-type=2"), ""),
            ("s3:GET /", "s3", get("/"), ""),
        ] {
            assert_eq!(name(service, request, body), expected);
        }
        let (unsigned, ()) = get("/").body(()).unwrap().into_parts();
        assert_eq!(Call::of(&unsigned, b""), None);
    }
}
