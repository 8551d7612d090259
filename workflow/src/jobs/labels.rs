//! `runs-on`: which labels a runner must have, and which runner may take a job.

use std::collections::HashSet;

use crate::expression::{Resolved, Scope, Stop};
use crate::server::{Capability, ForgeKind, Server};
use crate::yaml::blocks::{breaks_as_block, in_list};
use crate::yaml::{Decoded, Kind, Node, Refused, Shape};

/// `{group, labels}`.
const GROUP: Shape = Shape::Record(&[("group", Shape::Text), ("labels", Shape::Raw)]);

/// The labels of a `runs-on` as it stands: a text, a list of texts, or a map with `labels` and `group`,
/// whose group is one more label (Gitea 1.26 and nektos/act, `model.Job.RunsOn`). Of anything else, and
/// of an alias, none: then any runner of Gitea takes the job.
#[must_use]
pub fn labels(runs_on: &Node) -> Vec<String> {
    let Kind::Mapping(_) = runs_on.kind else {
        return texts(runs_on);
    };
    let Ok(group) = runs_on.decode(&GROUP) else {
        return Vec::new();
    };
    let mut fields = group.fields();
    let labels = fields.remove("labels").and_then(Decoded::raw);
    let mut labels = labels.map(texts).unwrap_or_default();
    let group = fields.remove("group").map(Decoded::text);
    labels.extend(group.filter(|group| !group.is_empty()));
    labels
}

fn texts(node: &Node) -> Vec<String> {
    match node.kind {
        Kind::Scalar(_) => node.text().map(|text| vec![text]).unwrap_or_default(),
        Kind::Sequence(_) => node.texts().unwrap_or_default(),
        Kind::Mapping(_) | Kind::Alias(_) => Vec::new(),
    }
}

/// The labels of a job with their expressions evaluated.
///
/// Gitea (1.26, `jobparser`) puts values into each text, so that a list becomes the label `Array`.
/// Forgejo (runner 12, `jobparser`) evaluates the whole, and a list is spread; where that fails labels
/// stay as they stand. `Err` means that the forge refuses the file, or panics.
pub fn evaluate(
    runs_on: &Node,
    scope: &Scope,
    server: Server,
) -> Result<Resolved<Vec<String>>, Refused> {
    match server.kind {
        ForgeKind::Gitea => {
            let mut known = Vec::new();
            let mut unknown = None;
            for label in labels(runs_on) {
                match scope.interpolate(&label) {
                    Ok(Resolved::Known(label)) => known.push(label),
                    Ok(Resolved::Unknown(because)) => unknown = unknown.or(Some(because)),
                    Err(stop) => return Err(stop.refused(runs_on.line, "runs-on")),
                }
            }
            Ok(match unknown {
                Some(because) => Resolved::Unknown(because),
                None => Resolved::Known(stored(known)),
            })
        }
        ForgeKind::Forgejo if server.has(Capability::RereadsRunsOn) && !is_reread(runs_on) => {
            let reason = "the forge can't read `runs-on` by itself; write the labels out";
            Err(Refused::new(runs_on.line, reason))
        }
        ForgeKind::Forgejo => match scope.evaluate_node(runs_on) {
            Ok(node) => Ok(Resolved::Known(labels(&node))),
            Err(Stop::Fails(_)) => Ok(Resolved::Known(labels(runs_on))),
            Err(stop) => stop.about(runs_on.line, "runs-on"),
        },
    }
}

/// Whether what Go's `yaml` writes of the node can be read again: a null that is not written out leaves
/// nothing, and an alias is written without its anchor.
fn is_reread(node: &Node) -> bool {
    let is_nothing =
        matches!(&node.kind, Kind::Scalar(scalar) if scalar.plain && scalar.text.is_empty());
    !is_nothing && node.loose_alias(&mut HashSet::new()).is_none()
}

/// Labels as the forge stores them: it writes them as YAML and reads that again, and where that fails
/// there is none.
fn stored(labels: Vec<String>) -> Vec<String> {
    let stored = match &labels[..] {
        [alone] if breaks_as_block(alone) => return Vec::new(),
        [] | [_] => return labels,
        several => several.iter().map(|label| in_list(label)),
    };
    stored.collect::<Option<_>>().unwrap_or_default()
}

/// Whether a runner may take a job: it has every label that the job asks for, letter by letter. A job
/// that asks for none is taken by any runner of Gitea (1.26, `CanMatchLabels`, measured), and by none of
/// Forgejo (`ItRunsOn`). What a runner makes of a label (`docker`, `host`) is no part of it: a bare one
/// means docker to Forgejo's runner, and the host to Gitea's.
#[must_use]
pub fn may_take(runs_on: &[String], runner_labels: &[String], server: Server) -> bool {
    let has = |label: &String| runner_labels.contains(label);
    match server.kind {
        ForgeKind::Gitea => runs_on.iter().all(has),
        ForgeKind::Forgejo => !runs_on.is_empty() && runs_on.iter().all(has),
    }
}
