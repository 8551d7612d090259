//! `cargo xtask lab up|down|status`.

use lab::{Folder, ForgeProgram, Lab};

use crate::output::say;

/// Starts the lab, or says that it runs.
pub async fn up(kind: ForgeProgram) -> Result<(), lab::Error> {
    let progress = |step: &str| say(&format!("· {step}"));
    let lab = Lab::up(&Folder::default_one(), &kind.into(), progress).await?;
    let file = lab.file();
    say(&format!(
        "forge       {} ({}, {})",
        file.forge, file.forge_program, file.forge_version
    ));
    say(&format!("webhooks    {}/dispatch", file.front_door));
    say(&format!("EC2         {}", file.ec2_endpoint));
    say(&format!("AWS         {}", file.aws_endpoint));
    say(&format!(
        "tokens      {}",
        lab.folder().lab_file().display()
    ));
    say("next: cargo xtask --lab up");
    Ok(())
}

/// Ends the lab with everything in it.
pub async fn down() -> Result<(), lab::Error> {
    let left = Lab::down(&Folder::default_one()).await?;
    say(&format!("{} left", left.total()));
    Ok(())
}

/// Shows what runs in the lab.
pub async fn status() -> Result<(), lab::Error> {
    let folder = Folder::default_one();
    let Some(lab) = Lab::find(&folder) else {
        say("no lab runs: cargo xtask lab up");
        return Ok(());
    };
    let status = lab.status().await?;
    for instance in &status.instances {
        say(&format!(
            "{}  {:<13} {:<11} {}",
            instance.id,
            instance.state,
            instance.instance_type,
            instance.console.display()
        ));
    }
    let there = &status.there;
    say(&format!(
        "{} instances known, {} processes, {} mounts, {} namespaces of theirs",
        status.instances.len(),
        there.processes,
        there.mounts,
        there.namespaces
    ));
    Ok(())
}
