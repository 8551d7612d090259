//! A list in XML with fewer of its things: what is not cut stays as it was written.

use std::ops::Range;

use roxmltree::{Document, Node};

/// Where a list and its token are in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The element that holds the things; `None`: the root does, among others.
    pub(super) list: Option<&'static str>,
    /// What each of them is called.
    pub(super) thing: &'static str,
    /// What says where the next page begins.
    pub(super) token: &'static str,
    /// What says that there is one, where that is said apart.
    pub(super) more: Option<&'static str>,
}

/// A document, cut into what is around its list and the things in it.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    before: String,
    /// Each thing as it is written.
    pub(super) things: Vec<String>,
    after: String,
    /// Where the service's next page begins.
    pub(super) token: Option<String>,
    place: Place,
}

impl Cut {
    /// Takes `text` apart; `None` where there is no list in it.
    pub(super) fn of(text: &str, place: Place) -> Option<Self> {
        let document = Document::parse(text).ok()?;
        let root = document.root_element();
        let named = |name: &str| {
            let mut all = root.descendants();
            all.find(|node| node.is_element() && node.tag_name().name() == name)
        };
        let holder = match place.list {
            Some(list) => named(list)?,
            None => root,
        };
        let things: Vec<Node<'_, '_>> = holder
            .children()
            .filter(|node| node.tag_name().name() == place.thing)
            .collect();
        let token = named(place.token);
        let told = token.and_then(|token| token.text()).map(str::to_owned);
        // What the pages say themselves.
        let mut gone: Vec<Range<usize>> = token.iter().map(Node::range).collect();
        gone.extend(place.more.and_then(named).iter().map(Node::range));
        gone.extend(things.iter().map(Node::range));
        gone.sort_by_key(|range| range.start);
        // The things and what the pages say go to where the list begins. An empty list may be written
        // as one tag.
        let whole = holder.range();
        let own = &text[whole.clone()];
        let (begin, rest) = match own.strip_suffix("/>") {
            Some(open) => {
                let name = open[1..].split_ascii_whitespace().next()?;
                let (before, _) = without(text, whole.start, &gone);
                let (_, after) = without(text, whole.end, &gone);
                (format!("{before}{open}>"), format!("</{name}>{after}"))
            }
            None => without(text, whole.start + own.find('>')? + 1, &gone),
        };
        let things = things.iter().map(|node| text[node.range()].to_owned());
        Some(Self {
            before: begin,
            things: things.collect(),
            after: rest,
            token: told.filter(|token| !token.is_empty()),
            place,
        })
    }

    /// The document with these things alone, and where the next page begins.
    pub(super) fn page(&self, things: &[String], token: Option<&str>) -> String {
        let said = |name: &str, text: &str| format!("<{name}>{text}</{name}>");
        let mut says = String::new();
        if let Some(more) = self.place.more {
            says.push_str(&said(more, &token.is_some().to_string()));
        }
        if let Some(token) = token {
            says.push_str(&said(self.place.token, token));
        }
        let things = things.concat();
        match self.place.list {
            // Beside the list, as the first of what follows it.
            Some(list) => {
                let end = format!("</{list}>");
                let after = self.after.replacen(&end, &format!("{end}{says}"), 1);
                format!("{}{things}{after}", self.before)
            }
            None => format!("{}{says}{things}{}", self.before, self.after),
        }
    }
}

/// `text` up to `at` and from there, without what is gone.
fn without(text: &str, at: usize, gone: &[Range<usize>]) -> (String, String) {
    let (mut before, mut after, mut from) = (String::new(), String::new(), 0);
    let end = text.len()..text.len();
    for range in gone.iter().chain([&end]) {
        let (low, high) = (from, range.start);
        before.push_str(&text[low.min(at)..high.min(at)]);
        after.push_str(&text[low.max(at)..high.max(at)]);
        from = range.end;
    }
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: Place = Place {
        list: Some("Roles"),
        thing: "member",
        token: "Marker",
        more: Some("IsTruncated"),
    };
    const OBJECTS: Place = Place {
        list: None,
        thing: "Contents",
        token: "NextContinuationToken",
        more: Some("IsTruncated"),
    };

    #[test]
    fn a_list_in_an_element_of_its_own_is_cut() {
        let text = "<A xmlns=\"u\"><R><IsTruncated>false</IsTruncated><Roles><member>1</member> \
                    <member><member>2</member></member></Roles><Z/></R></A>";
        let cut = Cut::of(text, ROLES).unwrap();
        assert_eq!(
            cut.things,
            ["<member>1</member>", "<member><member>2</member></member>"]
        );
        assert_eq!(
            cut.page(&cut.things[1..], Some("t")),
            "<A xmlns=\"u\"><R><Roles><member><member>2</member></member> </Roles>\
             <IsTruncated>true</IsTruncated><Marker>t</Marker><Z/></R></A>"
        );
        let last = cut.page(&[], None);
        assert!(
            last.contains("<Roles> </Roles><IsTruncated>false</IsTruncated><Z/>"),
            "{last}"
        );
    }

    #[test]
    fn a_list_among_others_and_an_empty_one_are_cut() {
        let text = "<L><Name>b</Name><IsTruncated>true</IsTruncated><Contents>1</Contents>\
                    <Contents>2</Contents><NextContinuationToken>n</NextContinuationToken></L>";
        let cut = Cut::of(text, OBJECTS).unwrap();
        assert_eq!(cut.token.as_deref(), Some("n"));
        assert_eq!(
            cut.page(&cut.things[..1], None),
            "<L><IsTruncated>false</IsTruncated><Contents>1</Contents><Name>b</Name></L>"
        );
        let cut = Cut::of("<A><R><Roles /></R></A>", ROLES).unwrap();
        assert_eq!(
            cut.page(&[], Some("t")),
            "<A><R><Roles ></Roles><IsTruncated>true</IsTruncated><Marker>t</Marker></R></A>"
        );
        assert!(Cut::of("<A/>", ROLES).is_none());
    }
}
