//! Reading the emulator's XML.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use crate::Error;
use crate::emulator::model::{Template, Volume};

pub(super) fn parse(text: &str) -> Result<Document<'_>, Error> {
    Document::parse(text).map_err(|error| Error::request("the emulator's XML", error))
}

pub(super) fn find<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.descendants()
        .find(|node| node.is_element() && node.tag_name().name() == name)
}

pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children()
        .find(|node| node.is_element() && node.tag_name().name() == name)
}

pub(super) fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The members of a list of the Query protocol.
pub(super) fn members<'a, 'i: 'a>(list: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    list.children()
        .filter(|node| node.tag_name().name() == "member")
}

fn items<'a, 'i: 'a>(node: Node<'a, 'i>, set: &str) -> Vec<Node<'a, 'i>> {
    child(node, set)
        .map(|set| set.children().filter(Node::is_element).collect())
        .unwrap_or_default()
}

/// The first item of the set called `name`.
pub(super) fn first_of<'a, 'i>(document: &'a Document<'i>, name: &str) -> Option<Node<'a, 'i>> {
    child(find(document.root(), name)?, "item")
}

/// Every EC2 resource lists its tags alike.
pub(super) fn tags_of(resource: Node<'_, '_>) -> BTreeMap<String, String> {
    let tag = |tag: &Node<'_, '_>| {
        let value = text_of(*tag, "value").unwrap_or_default();
        Some((text_of(*tag, "key")?, value))
    };
    items(resource, "tagSet").iter().filter_map(tag).collect()
}

pub(super) fn template_of(item: Node<'_, '_>) -> Template {
    let Some(data) = child(item, "launchTemplateData") else {
        return Template::default();
    };
    let profile = child(data, "iamInstanceProfile").and_then(|profile| {
        let arn = || Some(text_of(profile, "arn")?.rsplit('/').next()?.to_owned());
        text_of(profile, "name").or_else(arn)
    });
    Template {
        image: text_of(data, "imageId"),
        user_data: text_of(data, "userData"),
        profile,
        shutdown: text_of(data, "instanceInitiatedShutdownBehavior"),
        security_groups: items(data, "securityGroupIdSet")
            .iter()
            .filter_map(|group| Some(group.text()?.trim().to_owned()))
            .collect(),
        volumes: items(data, "blockDeviceMappingSet")
            .iter()
            .filter_map(|mapping| {
                let ebs = child(*mapping, "ebs");
                let size = ebs.and_then(|ebs| text_of(ebs, "volumeSize"));
                Some(Volume {
                    device: text_of(*mapping, "deviceName")?,
                    size_gb: size.and_then(|size| size.parse().ok()),
                })
            })
            .collect(),
        network_interfaces: !items(data, "networkInterfaceSet").is_empty(),
    }
}
