//! The ways in which what stands at the forge's address may answer.

use std::time::Duration;

use serde_json::json;

/// How a forge answers every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A login page.
    Page,
    /// A default backend that knows no path.
    PageNotFound,
    /// A gateway that says so in JSON of its own.
    GatewayNotFound,
    /// A maintenance page for programs.
    Maintenance,
    /// 200 and nothing.
    Empty,
    /// The connection ends.
    Silence,
    /// Less than it announced.
    Truncated,
    /// 500, with everything that it was sent in its message.
    Echo,
    /// Another address.
    Redirect(u16),
    /// It takes the connection and says nothing.
    Hang,
    /// One byte now and then.
    Drip,
    /// A body without an end.
    Endless,
    /// Headers without an end.
    EndlessHeaders,
    /// The right fields of the wrong types.
    WrongTypes,
    /// A registration of somebody else.
    AnotherName,
    /// A registration without its token.
    NoToken,
    /// Compressed, though nobody asked.
    Gzip,
    /// Not HTTP.
    Noise,
}

pub(crate) const WAYS: [Way; 20] = [
    Way::Page,
    Way::PageNotFound,
    Way::GatewayNotFound,
    Way::Maintenance,
    Way::Empty,
    Way::Silence,
    Way::Truncated,
    Way::Echo,
    Way::Redirect(301),
    Way::Redirect(302),
    Way::Redirect(307),
    Way::Hang,
    Way::Drip,
    Way::Endless,
    Way::EndlessHeaders,
    Way::WrongTypes,
    Way::AnotherName,
    Way::NoToken,
    Way::Gzip,
    Way::Noise,
];

impl Way {
    /// The answer's bytes; what has no end begins with them.
    pub(crate) fn bytes(self, request: &str, elsewhere: &str) -> Vec<u8> {
        let page = "<!doctype html><title>Sign in</title><p>Who are you?";
        let runner = |name: &str, token: &str| {
            let runner = json!({"id": "7", "uuid": "u", "name": name, "token": token});
            // The token's field answers the other call.
            json!({"runner": runner, "token": token, "status": "queue"}).to_string()
        };
        let text = match self {
            Self::Page => whole("200 OK", "text/html", page),
            Self::PageNotFound => whole("404 Not Found", "text/html", page),
            Self::GatewayNotFound => whole(
                "404 Not Found",
                "application/json",
                r#"{"error":"no route"}"#,
            ),
            Self::Maintenance => whole("200 OK", "application/json", r#"{"status":"ok"}"#),
            Self::Empty => whole("200 OK", "application/json", ""),
            Self::Silence | Self::Hang => String::new(),
            Self::Truncated => {
                "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"runner\":{".to_owned()
            }
            Self::Echo => {
                let body = json!({ "message": request }).to_string();
                whole("500 Internal Server Error", "application/json", &body)
            }
            Self::Redirect(status) => format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\
                 connection: close\r\n\r\n"
            ),
            Self::Drip | Self::Endless => {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
            }
            Self::EndlessHeaders => "HTTP/1.1 200 OK\r\n".to_owned(),
            Self::WrongTypes => {
                let body = r#"{"runner":{"id":7,"uuid":[],"name":{},"token":null},"token":7,"status":[],"jobs":{},"total_count":"1"}"#;
                whole("200 OK", "application/json", body)
            }
            Self::AnotherName => whole("200 OK", "application/json", &runner("i-else", "t")),
            Self::NoToken => whole("200 OK", "application/json", &runner("i-1", " ")),
            Self::Gzip => {
                let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\
                    content-type: application/json\r\ncontent-length: 14\r\n\r\n"
                    .to_vec();
                bytes.extend(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xe5\x02\x00");
                return bytes;
            }
            Self::Noise => return vec![0, 255, 13, 10, 13, 10, 1],
        };
        text.into_bytes()
    }

    /// What it sends again and again, and how often.
    pub(crate) fn forever(self) -> Option<(Vec<u8>, Duration)> {
        let (text, pause_ms) = [
            (Self::Drip, "1\r\n{\r\n".to_owned(), 300),
            (
                Self::Endless,
                format!("10000\r\n{}\r\n", "[".repeat(0x10000)),
                0,
            ),
            (
                Self::EndlessHeaders,
                format!("x-more: {}\r\n", "y".repeat(1000)),
                0,
            ),
            (Self::Hang, String::new(), 1000),
        ]
        .into_iter()
        .find_map(|(way, text, pause_ms)| (way == self).then_some((text, pause_ms)))?;
        Some((text.into_bytes(), Duration::from_millis(pause_ms)))
    }
}

/// A whole answer.
pub(crate) fn whole(status: &str, kind: &str, body: &str) -> String {
    // It ends the connection behind its answer, and says so: nobody sends another request there.
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}
