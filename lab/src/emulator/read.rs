//! Reading the emulator's XML.

use roxmltree::{Document, Node};

use crate::Error;
use crate::emulator::model::{ProfileRef, Template};

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

fn items<'a, 'i: 'a>(node: Node<'a, 'i>, set: &str) -> Vec<Node<'a, 'i>> {
    child(node, set)
        .map(|set| set.children().filter(Node::is_element).collect())
        .unwrap_or_default()
}

pub(super) fn template_of(item: Node<'_, '_>) -> Template {
    let own = |name| text_of(item, name).unwrap_or_default();
    let mut template = Template {
        id: own("launchTemplateId"),
        name: own("launchTemplateName"),
        version: own("versionNumber"),
        ..Template::default()
    };
    let Some(data) = child(item, "launchTemplateData") else {
        return template;
    };
    template.image = text_of(data, "imageId");
    template.instance_type = text_of(data, "instanceType");
    template.user_data = text_of(data, "userData");
    template.shutdown = text_of(data, "instanceInitiatedShutdownBehavior");
    template.network_interfaces = !items(data, "networkInterfaceSet").is_empty();
    template.security_groups = items(data, "securityGroupIdSet")
        .iter()
        .filter_map(|group| Some(group.text()?.trim().to_owned()))
        .collect();
    template.http_tokens =
        child(data, "metadataOptions").and_then(|options| text_of(options, "httpTokens"));
    template.profile = child(data, "iamInstanceProfile").and_then(|profile| {
        text_of(profile, "arn")
            .map(ProfileRef::Arn)
            .or_else(|| text_of(profile, "name").map(ProfileRef::Name))
    });
    for specification in items(data, "tagSpecificationSet") {
        let kind = text_of(specification, "resourceType").unwrap_or_default();
        let tags = items(specification, "tagSet")
            .into_iter()
            .filter_map(|tag| {
                Some((
                    text_of(tag, "key")?,
                    text_of(tag, "value").unwrap_or_default(),
                ))
            })
            .collect();
        template.tags.insert(kind, tags);
    }
    template
}
