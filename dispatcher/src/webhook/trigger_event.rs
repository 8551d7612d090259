//! What a delivery says that may start workflows. Only what rules look at is kept, and bounded, so
//! that it can be written down whatever else the forge puts in.

use sha2::{Digest, Sha256};

use super::delivery::{BadDelivery, Delivery};
use crate::forge::job_json::{KEY_TEXT_MAX_BYTES, TEXT_MAX_BYTES, is_full_name, within};
use workflow::event::EventKind;
use workflow::event::{Body, Event};
use workflow::trigger::skip_string;

/// Longest commit message that is kept, in bytes. It is looked through for words that skip
/// workflows; real ones are a paragraph.
const MESSAGE_MAX_BYTES: usize = 16 * 1024;
/// Most labels of one change: the rules ask only whether there are any.
const CHANGED_MAX: usize = 32;

pub(super) fn read(kind: EventKind, document: &[u8]) -> Result<Delivery, BadDelivery> {
    let mut body: Body = serde_json::from_slice(document)
        .map_err(|error| BadDelivery::Unreadable(error.to_string()))?;
    // Workflows of the repository that was forked are meant, and the delivery is about the new one.
    if let (EventKind::Fork, Some(forked)) = (kind, body.forkee.take()) {
        body.repository = forked;
    }
    if let (EventKind::Package, Some(package)) = (kind, body.package.take()) {
        let Some(repository) = package.repository else {
            return Ok(Delivery::Ignored(
                "package: it is of no repository that the sender may read, and starts nothing"
                    .to_owned(),
            ));
        };
        body.repository = repository;
    }
    if kind.is_of_a_reference() {
        // Hooks of Forgejo's own type name it in full, all others in short.
        let folder = if body.ref_type == "tag" {
            "refs/tags/"
        } else {
            "refs/heads/"
        };
        if body.git_ref.starts_with(folder) {
            body.git_ref.drain(..folder.len());
        }
    }
    // Before a long message is cut.
    let skips = skip_words(kind, &body);
    let event = Event {
        kind,
        body: bounded(body)?,
    };
    if kind == EventKind::WorkflowRun {
        return Ok(Delivery::Ignored(
            "workflow_run: a forge that sends it sends workflow_job for each job".to_owned(),
        ));
    }
    let nothing = event.starts_nothing().map(str::to_owned);
    if let Some(why) = nothing.or(skips)
        && event.implied().is_none()
    {
        return Ok(Delivery::Ignored(format!("{}: {why}", kind.word())));
    }
    Ok(Delivery::Event {
        event: Box::new(event),
        digest: hex::encode(Sha256::digest(document)),
    })
}

/// The words that keep an event from starting anything, in words.
fn skip_words(kind: EventKind, body: &Body) -> Option<String> {
    let message = body.head_commit.as_ref().map(|head| &head.message);
    let title = body.pull_request.as_ref().map(|pull| &pull.title);
    let words = [message, title]
        .into_iter()
        .flatten()
        .find_map(|text| skip_string(kind, text))?;
    Some(format!("the commit or the pull request says {words}"))
}

/// The body with nothing in it that is longer than we keep.
fn bounded(mut body: Body) -> Result<Body, BadDelivery> {
    if let Some(head) = &mut body.head_commit {
        head.message = keep(std::mem::take(&mut head.message));
    }
    if let Some(changes) = &mut body.changes {
        let lists = [&mut changes.added_labels, &mut changes.removed_labels];
        for list in lists.into_iter().flatten() {
            list.truncate(CHANGED_MAX);
        }
    }
    let repository = &body.repository;
    within(KEY_TEXT_MAX_BYTES, [repository.full_name.as_str()])?;
    if !is_full_name(&repository.full_name) {
        return Err(BadDelivery::Unreadable(
            "repository.full_name is not owner/name".to_owned(),
        ));
    }
    let mut texts = vec![
        &repository.default_branch,
        &repository.html_url,
        &body.git_ref,
        &body.ref_type,
        &body.sha,
        &body.before,
        &body.after,
        &body.action,
    ];
    texts.extend(body.head_commit.as_ref().map(|head| &head.id));
    if let Some(pull) = &body.pull_request {
        texts.push(&pull.title);
        for side in [&pull.base, &pull.head] {
            texts.extend([&side.git_ref, &side.label, &side.sha]);
        }
        for sha in [&pull.merge_base, &pull.merge_commit_sha] {
            texts.extend(sha);
        }
    }
    if let Some(changes) = &body.changes {
        for list in [&changes.added_labels, &changes.removed_labels] {
            texts.extend(list.iter().flatten().map(|label| &label.name));
        }
    }
    texts.extend(body.release.as_ref().map(|release| &release.tag_name));
    texts.extend(body.workflow.as_ref().map(|workflow| &workflow.name));
    texts.extend(body.sender.as_ref().map(|user| &user.login));
    if let Some(run) = &body.workflow_run {
        texts.push(&run.event);
        texts.extend(&run.head_branch);
    }
    within(TEXT_MAX_BYTES, texts.into_iter().map(String::as_str))?;
    Ok(body)
}

/// The beginning of a long text.
fn keep(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MESSAGE_MAX_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_is_of_its_own_repository_or_of_none() {
        let of = |repository| {
            let body = json!({
                "action": "created",
                "repository": null,
                "package": {"repository": repository},
                "sender": {"login": "someone"},
            });
            read(EventKind::Package, body.to_string().as_bytes()).unwrap()
        };
        let repository = json!({"full_name": "acme/app", "default_branch": "main"});
        let Delivery::Event { event, .. } = of(repository) else {
            panic!("it is of a repository");
        };
        assert_eq!(event.body.repository.full_name, "acme/app");
        assert_eq!(event.reads().at, "main");
        assert!(matches!(of(json!(null)), Delivery::Ignored(_)));
        let push = json!({"ref": "refs/heads/main", "repository": null});
        assert!(read(EventKind::Push, push.to_string().as_bytes()).is_err());
    }
}
