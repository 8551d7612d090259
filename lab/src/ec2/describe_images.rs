//! EC2's answers about images and snapshots, as far as anybody of ours reads them.

use jiff::Timestamp;

use crate::ec2::api_error::ApiError;
use crate::ec2::catalog;
use crate::ec2::image::{Image, Tags};
use crate::ec2::images::{Images, OwnImage, Snapshot};
use crate::ec2::params::{Filter, Params};
use crate::ec2::xml::Xml;

/// EC2's page when the caller sets no `MaxResults`.
const PAGE: usize = 1000;

/// An image that is shown: this account's, or the public one of the catalog.
enum Shown<'a> {
    Own(&'a OwnImage),
    Public(Image),
}

impl Shown<'_> {
    fn image(&self) -> &Image {
        match self {
            Self::Own(own) => &own.image,
            Self::Public(image) => image,
        }
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match self {
            Self::Own(own) => own.state(now),
            Self::Public(_) => "available",
        }
    }

    fn matches(&self, filter: &Filter, now: Timestamp) -> bool {
        let own = match self {
            Self::Own(own) => Some(*own),
            Self::Public(_) => None,
        };
        let mut values = filter.values.iter();
        match filter.name.as_str() {
            "state" => values.any(|value| self.state(now) == value),
            "name" => values.any(|value| own.is_some_and(|own| own.name == *value)),
            name => has_tag(own.map(|own| &own.tags), name, &filter.values),
        }
    }
}

/// The answer to `DescribeImages`.
pub(super) fn images(
    book: &Images,
    mut params: Params,
    now: Timestamp,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let ids = params.list("ImageId");
    let owners = params.list("Owner");
    params.flag("IncludeDeprecated")?;
    let filters = filters(&mut params, &["state", "name", "tag-key"])?;
    let page = page(&mut params, !ids.is_empty())?;
    let after = params.take("NextToken").unwrap_or_default();
    params.finish()?;
    let own_only = match owners.as_slice() {
        [] => false,
        [owner] if owner == "self" => true,
        _ => return Err(ApiError::value("Owner", &owners.join(","))),
    };
    let public = catalog::IMAGES.iter().filter(|_| !own_only);
    let public = public.filter_map(|(id, ..)| Image::stock(id));
    let own = book.own(now).map(Shown::Own);
    let mut all: Vec<Shown<'_>> = own.chain(public.map(Shown::Public)).collect();
    for id in &ids {
        if !all.iter().any(|one| one.image().id == *id) {
            let words = format!("The image id '[{id}]' does not exist");
            return Err(ApiError::client("InvalidAMIID.NotFound", words));
        }
    }
    all.retain(|one| ids.is_empty() || ids.contains(&one.image().id));
    all.retain(|one| filters.iter().all(|filter| one.matches(filter, now)));
    all.retain(|one| one.image().id > after);
    all.sort_by(|one, other| one.image().id.cmp(&other.image().id));
    let more = all.len() > page;
    all.truncate(page);
    let mut xml = Xml::answer("DescribeImages", request_id);
    xml.list("imagesSet", &all, |xml, one| write_image(xml, one, now));
    if let Some(last) = all.last().filter(|_| more) {
        xml.leaf("nextToken", &last.image().id);
    }
    xml.close("DescribeImagesResponse");
    Ok(xml)
}

/// The answer to `DescribeSnapshots`.
pub(super) fn snapshots(
    book: &Images,
    mut params: Params,
    now: Timestamp,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let ids = params.list("SnapshotId");
    let owners = params.list("Owner");
    let filters = filters(&mut params, &["tag-key"])?;
    let page = page(&mut params, !ids.is_empty())?;
    let after = params.take("NextToken").unwrap_or_default();
    params.finish()?;
    // Without an owner EC2 tells of every public snapshot of the region.
    if owners != ["self"] {
        return Err(ApiError::value("Owner", &owners.join(",")));
    }
    let mut all: Vec<&Snapshot> = book.snapshots(now).collect();
    if let Some(id) = ids.iter().find(|id| !all.iter().any(|one| one.id == **id)) {
        let words = format!("The snapshot '{id}' does not exist.");
        return Err(ApiError::client("InvalidSnapshot.NotFound", words));
    }
    let matches =
        |one: &Snapshot, filter: &Filter| has_tag(Some(&one.tags), &filter.name, &filter.values);
    all.retain(|one| ids.is_empty() || ids.contains(&one.id));
    all.retain(|one| filters.iter().all(|filter| matches(one, filter)));
    all.retain(|one| one.id > after);
    let more = all.len() > page;
    all.truncate(page);
    let mut xml = Xml::answer("DescribeSnapshots", request_id);
    xml.list("snapshotSet", &all, |xml, one| {
        xml.leaf("snapshotId", &one.id)
            .leaf("status", "completed")
            .leaf("volumeSize", &one.size_gb.to_string())
            .leaf("startTime", &time(one.created));
        write_tags(xml, &one.tags);
    });
    if let Some(last) = all.last().filter(|_| more) {
        xml.leaf("nextToken", &last.id);
    }
    xml.close("DescribeSnapshotsResponse");
    Ok(xml)
}

/// The filters of a request, each with one of these names or about one tag.
fn filters(params: &mut Params, names: &[&str]) -> Result<Vec<Filter>, ApiError> {
    let filters = params.filters()?;
    for Filter { name, values } in &filters {
        if !names.contains(&name.as_str()) && !name.starts_with("tag:") {
            let words = format!("The filter '{name}' is invalid");
            return Err(ApiError::client("InvalidParameterValue", words));
        }
        if values.is_empty() {
            return Err(ApiError::missing("Filter.Value"));
        }
    }
    Ok(filters)
}

fn page(params: &mut Params, has_ids: bool) -> Result<usize, ApiError> {
    match params.number::<usize>("MaxResults")? {
        None => Ok(PAGE),
        Some(_) if has_ids => Err(ApiError::combination(
            "The parameter MaxResults cannot be used with ids",
        )),
        Some(page @ 5..=PAGE) => Ok(page),
        Some(page) => Err(ApiError::value("MaxResults", &page.to_string())),
    }
}

/// Whether there is a tag as the filter `name` (`tag-key`, `tag:KEY`) with these values wants it.
fn has_tag(tags: Option<&Tags>, name: &str, values: &[String]) -> bool {
    let Some(tags) = tags else { return false };
    match name.strip_prefix("tag:") {
        Some(key) => values.iter().any(|value| tags.get(key) == Some(value)),
        None => values.iter().any(|key| tags.contains_key(key)),
    }
}

fn write_image(xml: &mut Xml, one: &Shown<'_>, now: Timestamp) {
    let image = one.image();
    xml.leaf("imageId", &image.id)
        .leaf("imageState", one.state(now))
        .leaf("architecture", &image.arch)
        .leaf("rootDeviceType", "ebs")
        .leaf("rootDeviceName", &image.root_device);
    let own = match one {
        Shown::Own(own) => Some(*own),
        Shown::Public(_) => None,
    };
    xml.list("blockDeviceMapping", [()], |xml, ()| {
        xml.leaf("deviceName", &image.root_device).open("ebs");
        if let Some(own) = own {
            xml.leaf("snapshotId", &own.snapshot);
        }
        xml.leaf("volumeSize", &image.size_gb.to_string())
            .close("ebs");
    });
    if let Some(own) = own {
        xml.leaf("name", &own.name)
            .leaf("description", &own.description)
            .leaf("creationDate", &time(own.created));
        write_tags(xml, &own.tags);
    }
}

fn write_tags(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.leaf("key", key).leaf("value", value);
    });
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
