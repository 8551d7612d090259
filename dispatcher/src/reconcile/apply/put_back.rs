//! Puts an image back: one write, which the next machine starts by.

use std::time::Duration;

use stacks::names::LOG_BOOT_FAILURES;
use tokio::time::Instant;

use crate::aws::Failure;
use crate::model::image::{BootFailures, Image};
use crate::reconcile::context::{Context, Progress};

/// How long AWS may take to believe the image, in which nothing is launched: it looks at it after it has said yes.
const TAKEN_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

impl Context<'_> {
    /// Has machines start from the image before `image`, and says so once. That the machines failed is written
    /// down before, and that it was done after: broken off in between, it is done again.
    pub(super) async fn put_back(
        &self,
        image: &Image,
        failures: &BootFailures,
    ) -> Result<Progress, Failure> {
        let named = self.aws.image(&image.parameter).await?;
        let outcome = match &image.previous {
            _ if named.as_ref() != Some(&image.ami) => {
                "somebody has named another image meanwhile, which stays"
            }
            None => "there is none before it to put back; build another, or name one",
            Some(previous) if self.put_image(&image.parameter, previous).await? => {
                "the one before it is put back"
            }
            Some(_) => "AWS does not take the one before it, which is gone; build another",
        };
        tracing::warn!(
            { LOG_BOOT_FAILURES } = failures.count,
            parameter = image.parameter,
            ami = image.ami,
            previous = image.previous,
            instance = failures.instance,
            "machines of a new image do not come up: {outcome}. Look at the console and the last words of that \
             instance; `cargo xtask ami list` shows the images, `ami promote` names one"
        );
        let now_ms = self.now_ms();
        self.ledger.settle_boot_failures(&image.ami, now_ms).await?;
        Ok(Progress::Changed)
    }

    /// Has the parameter name `ami`; whether AWS takes it.
    async fn put_image(&self, parameter: &str, ami: &str) -> Result<bool, Failure> {
        self.aws.put_image(parameter, ami).await?;
        let begun = Instant::now();
        loop {
            if self.aws.image(parameter).await?.as_deref() == Some(ami) {
                return Ok(true);
            }
            if begun.elapsed() > TAKEN_LIMIT {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
