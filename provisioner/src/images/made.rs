//! What a build has made and nobody has taken over yet. It is noted before EC2 is asked for it, so that whatever
//! breaks a build off, what may have come of the last request is looked for and taken away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::aws::CallError;
use crate::shell::Shell;

/// How long a request whose answer nobody has is looked after: EC2 shows what it makes within seconds.
const UNSEEN: Duration = Duration::from_secs(8);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// One thing that a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A machine, asked for with this client token.
    Machine { token: String, id: Option<String> },
    /// An image of this name, with a tag that no other has.
    Image {
        name: String,
        tag: (String, String),
        id: Option<String>,
    },
}

impl Thing {
    fn words(&self) -> String {
        match self {
            Self::Machine { id: Some(id), .. } => format!("machine {id}"),
            Self::Machine { token, id: None } => {
                format!("perhaps a machine with the client token {token}")
            }
            Self::Image {
                id: Some(id), name, ..
            } => format!("image {id} ({name})"),
            Self::Image { name, id: None, .. } => format!("perhaps an image called {name}"),
        }
    }
}

/// What a build has made, for whoever has to tell of it.
#[derive(Debug, Clone, Default)]
pub struct Made(Arc<Mutex<Vec<Thing>>>);

impl Made {
    /// What there is still, for people; empty if there is nothing.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.things().iter().map(Thing::words).collect()
    }

    /// Notes what EC2 is about to be asked for.
    pub(crate) fn ask(&self, thing: Thing) {
        self.things().push(thing);
    }

    /// Notes what EC2 has made of the last thing that was asked for.
    pub(crate) fn came(&self, came: &str) {
        if let Some(Thing::Machine { id, .. } | Thing::Image { id, .. }) = self.things().last_mut()
        {
            *id = Some(came.to_owned());
        }
    }

    /// Nothing came of the last thing that was asked for: EC2 has refused it.
    pub(crate) fn refused(&self) {
        self.things().pop();
    }

    /// The image is tried: nothing of the build's any more, whatever comes. What has named it, and what may do so yet of
    /// a request on its way, nobody here can know.
    pub(crate) fn hand_over(&self, image: &str) {
        let is_it = |thing: &Thing| matches!(thing, Thing::Image { id, .. } if id.as_deref() == Some(image));
        self.things().retain(|thing| !is_it(thing));
    }

    /// Takes everything away that there still is. What fails is told after all has been tried, and stays noted.
    pub(crate) async fn take_away(&self, shell: &Shell<'_>) -> Result<(), CallError> {
        let mut result = Ok(());
        // An image rests on its machine for nothing: the order is that in which they cost.
        // Copied out first: the list is not to be held while EC2 is asked.
        let things = self.things().clone();
        for thing in things {
            match take_away(shell, &thing).await {
                Ok(()) => self.things().retain(|one| *one != thing),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    fn things(&self) -> MutexGuard<'_, Vec<Thing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what it was asked for with, also where its id is known: as long as EC2 does not show a thing yet, it answers
/// that it knows no such id, as it does of one that is gone.
async fn take_away(shell: &Shell<'_>, thing: &Thing) -> Result<(), CallError> {
    match thing {
        Thing::Machine { token, .. } => {
            let mut found = looked_for(async || shell.machines_of_token(token).await).await?;
            // EC2 takes the tags off one that has ended, and by those go the rights.
            found.retain(|machine| !machine.is_ending);
            if found.is_empty() {
                return Ok(());
            }
            let found: Vec<String> = found.into_iter().map(|machine| machine.id).collect();
            shell.terminate(&found).await
        }
        Thing::Image { tag, .. } => {
            let mut result = Ok(());
            for id in looked_for(async || shell.images_with(&tag.0, &tag.1).await).await? {
                result = result.and(shell.deregister(&id).await);
            }
            result
        }
    }
}

/// What is found, as soon as something is; nothing after a while in which nothing was.
pub(super) async fn looked_for<T>(
    look: impl AsyncFn() -> Result<Vec<T>, CallError>,
) -> Result<Vec<T>, CallError> {
    let begun = Instant::now();
    loop {
        let found = look().await?;
        if !found.is_empty() || begun.elapsed() > UNSEEN {
            return Ok(found);
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_the_moment_that_it_is_asked_for() {
        let made = Made::default();
        assert!(made.left().is_empty());
        made.ask(Thing::Machine {
            token: "t".to_owned(),
            id: None,
        });
        assert_eq!(made.left(), ["perhaps a machine with the client token t"]);
        made.came("i-1");
        made.ask(Thing::Image {
            name: "ci-runner-go-v1".to_owned(),
            tag: ("ci:build".to_owned(), "t".to_owned()),
            id: None,
        });
        made.came("ami-1");
        assert_eq!(
            made.left(),
            ["machine i-1", "image ami-1 (ci-runner-go-v1)"]
        );
        made.hand_over("ami-1");
        made.ask(Thing::Machine {
            token: "u".to_owned(),
            id: None,
        });
        made.refused();
        assert_eq!(made.left(), ["machine i-1"]);
    }
}
