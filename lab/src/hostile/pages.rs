//! Lists, one thing a page. The first page is empty, and so is the one before the last thing: services
//! cut a list before they filter it. A list of a table is cut after each row, and the last page says that
//! there may be more, as `DynamoDB` does; it has no empty pages but at the end.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::{Value, json};
use stacks::names::{ATTRIBUTE_PARTITION, ATTRIBUTE_SORT};

use super::call::{Call, TOKEN};
use super::xml::{Cut, Place};
use crate::ids::hex_id;

/// Pages that are kept for whoever asks for them; then the oldest lists are forgotten.
const PAGES_MAX: usize = 50_000;

/// Pages that somebody may still ask for, by their token, and whether they are empty without being the
/// last.
#[derive(Default)]
pub(super) struct Pages(HashMap<String, (HeaderMap, Bytes, bool)>);

/// A list as its service writes it.
enum List {
    Json {
        answer: Value,
        list: &'static str,
        token: &'static str,
    },
    Xml(Cut),
}

impl Pages {
    /// The page that `call` goes on with, and whether it is empty without being the last.
    pub(super) fn page(&self, call: &Call) -> Option<(Response<Bytes>, bool)> {
        let (headers, body, is_empty) = self.0.get(call.token.as_ref()?)?;
        let mut answer = Response::new(body.clone());
        *answer.headers_mut() = headers.clone();
        Some((answer, *is_empty))
    }

    /// Cuts the answer to `call` and gives the first page, after so many more empty ones. With the answer
    /// whether that page is empty without being the last, if it is a list at all.
    pub(super) fn cut(
        &mut self,
        call: &Call,
        mut answer: Response<Bytes>,
        empty_before: u32,
    ) -> (Response<Bytes>, Option<bool>) {
        if call.name() == "dynamodb:Query" {
            return row_by_row(answer);
        }
        let Some(list) = List::of(call, answer.body()) else {
            return (answer, None);
        };
        if self.0.len() > PAGES_MAX {
            self.0.clear();
        }
        // Their length and sum were those of the whole.
        for header in ["content-length", "x-amz-crc32"] {
            answer.headers_mut().remove(header);
        }
        let (id, count) = (hex_id(), list.count());
        let mut pages: Vec<Option<usize>> = vec![None; 1 + empty_before as usize];
        pages.extend((0..count).map(Some));
        if count > 1 {
            pages.insert(pages.len() - 1, None);
        }
        if count == 0 {
            pages.push(None);
        }
        let token = |number: usize| format!("{TOKEN}{id}-{number}");
        let end = pages.len() - 1;
        for (number, thing) in pages.into_iter().enumerate() {
            let next = (number < end).then(|| token(number + 1));
            let body = list.page(thing, next.as_deref());
            let is_empty = thing.is_none() && number < end;
            let page = (answer.headers().clone(), body, is_empty);
            self.0.insert(token(number), page);
        }
        let first = Call {
            token: Some(token(0)),
            ..call.clone()
        };
        let (page, is_empty) = self.page(&first).expect("it was put there");
        (page, Some(is_empty))
    }
}

impl List {
    fn of(call: &Call, body: &[u8]) -> Option<Self> {
        let (service, action) = (call.service.as_str(), call.action.as_str());
        let named = match (service, action) {
            ("ssm", "GetParametersByPath") => Some(("Parameters", "NextToken")),
            ("logs", "DescribeLogGroups") => Some(("logGroups", "nextToken")),
            ("apigateway", "GetApis") => Some(("items", "nextToken")),
            _ => None,
        };
        if let Some((list, token)) = named {
            let answer: Value = serde_json::from_slice(body).ok()?;
            let is_list = answer[list].is_array();
            return is_list.then_some(Self::Json {
                answer,
                list,
                token,
            });
        }
        let of = |list: &'static str, thing: &'static str, token: &'static str| Place {
            list: Some(list),
            thing,
            token,
            more: None,
        };
        let place = match (service, action) {
            ("cloudformation", "DescribeStackEvents") => of("StackEvents", "member", "NextToken"),
            ("cloudformation", "DescribeChangeSet") => of("Changes", "member", "NextToken"),
            ("cloudformation", "ListStackResources") => {
                of("StackResourceSummaries", "member", "NextToken")
            }
            ("iam", "ListRoles") => Place {
                more: Some("IsTruncated"),
                ..of("Roles", "member", "Marker")
            },
            ("s3", "ListObjectsV2") => Place {
                list: None,
                thing: "Contents",
                token: "NextContinuationToken",
                more: Some("IsTruncated"),
            },
            // Whoever names ids is given them all.
            ("ec2", _) if call.names_ids => return None,
            ("ec2", "DescribeImages") => of("imagesSet", "item", "nextToken"),
            ("ec2", "DescribeSnapshots") => of("snapshotSet", "item", "nextToken"),
            ("ec2", "DescribeInstances") => of("reservationSet", "item", "nextToken"),
            ("ec2", "DescribeLaunchTemplates") => of("launchTemplates", "item", "nextToken"),
            ("ec2", "DescribeSecurityGroups") => of("securityGroupInfo", "item", "nextToken"),
            ("ec2", "DescribeSubnets") => of("subnetSet", "item", "nextToken"),
            ("ec2", "DescribeVpcs") => of("vpcSet", "item", "nextToken"),
            _ => return None,
        };
        Cut::of(std::str::from_utf8(body).ok()?, place).map(Self::Xml)
    }

    fn count(&self) -> usize {
        match self {
            Self::Json { answer, list, .. } => answer[*list].as_array().map_or(0, Vec::len),
            Self::Xml(cut) => cut.things.len(),
        }
    }

    /// The page with that thing, or none. The last one leads to where the service's own page does.
    fn page(&self, thing: Option<usize>, next: Option<&str>) -> Bytes {
        match self {
            Self::Json {
                answer,
                list,
                token,
            } => {
                let mut page = answer.clone();
                let things = thing.map(|at| answer[*list][at].clone());
                page[*list] = things.into_iter().collect();
                if let Some(next) = next {
                    page[*token] = next.into();
                }
                Bytes::from(page.to_string())
            }
            Self::Xml(cut) => {
                let things = thing.map_or(&[][..], |at| &cut.things[at..=at]);
                let next = next.or(cut.token.as_deref());
                Bytes::from(cut.page(things, next))
            }
        }
    }
}

/// The first row of a query alone; the next page begins after it.
fn row_by_row(answer: Response<Bytes>) -> (Response<Bytes>, Option<bool>) {
    let read: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let Some(mut page) = read.filter(|page| page["Items"].is_array()) else {
        return (answer, None);
    };
    if let Some(first) = page["Items"]
        .as_array()
        .and_then(|rows| rows.first())
        .cloned()
    {
        page["LastEvaluatedKey"] = json!({
            ATTRIBUTE_PARTITION: first[ATTRIBUTE_PARTITION],
            ATTRIBUTE_SORT: first[ATTRIBUTE_SORT],
        });
        page["Items"] = json!([first]);
        page["Count"] = 1.into();
        page["ScannedCount"] = 1.into();
    }
    let mut answer = answer.map(|_| Bytes::from(page.to_string()));
    for header in ["content-length", "x-amz-crc32"] {
        answer.headers_mut().remove(header);
    }
    (answer, Some(false))
}

#[cfg(test)]
mod tests {
    use super::super::call::token_in;
    use super::*;

    fn call(service: &str, action: &str, token: Option<String>) -> Call {
        Call {
            service: service.to_owned(),
            action: action.to_owned(),
            is_head: false,
            token,
            names_ids: false,
        }
    }

    /// The whole of a list, page by page: what each page holds.
    fn walk(service: &str, action: &str, body: &Value, empty_before: u32) -> Vec<Value> {
        let mut pages = Pages::default();
        let whole = Response::new(Bytes::from(body.to_string()));
        let (mut answer, _) = pages.cut(&call(service, action, None), whole, empty_before);
        let mut seen = Vec::new();
        loop {
            let page: Value = serde_json::from_slice(answer.body()).unwrap();
            seen.push(page["logGroups"].clone());
            let text = page["nextToken"].to_string();
            let Some(token) = token_in(text.as_bytes()) else {
                assert_eq!(page["nextToken"], body["nextToken"]);
                return seen;
            };
            (answer, _) = pages.page(&call(service, action, Some(token))).unwrap();
        }
    }

    #[test]
    fn a_list_comes_one_thing_a_page_with_empty_pages_and_goes_on_with_the_services_own() {
        let of = |body: Value| walk("logs", "DescribeLogGroups", &body, 0);
        let body = json!({"logGroups": ["a", "b"], "nextToken": "theirs"});
        assert_eq!(of(body), [json!([]), json!(["a"]), json!([]), json!(["b"])]);
        assert_eq!(of(json!({"logGroups": ["a"]})), [json!([]), json!(["a"])]);
        assert_eq!(of(json!({"logGroups": []})), [json!([]), json!([])]);
        let body = json!({"logGroups": ["a"]});
        let after_others = walk("logs", "DescribeLogGroups", &body, 50);
        assert_eq!(after_others.len(), 52);
    }

    #[test]
    fn a_table_is_read_row_by_row_and_ends_with_an_empty_page() {
        let row = |sk: &str| json!({"pk": {"S": "live"}, "sk": {"S": sk}, "n": {"N": "1"}});
        let query = call("dynamodb", "Query", None);
        let read = |rows: Value| {
            let whole = Response::new(Bytes::from(json!({ "Items": rows }).to_string()));
            let (page, _) = Pages::default().cut(&query, whole, 0);
            serde_json::from_slice::<Value>(page.body()).unwrap()
        };
        let first = read(json!([row("a"), row("b")]));
        assert_eq!(first["Items"], json!([row("a")]));
        let key = json!({"pk": {"S": "live"}, "sk": {"S": "a"}});
        assert_eq!(first["LastEvaluatedKey"], key);
        assert!(read(json!([]))["LastEvaluatedKey"].is_null());
    }
}
