//! The stories that document the promises. The text is the test.

use std::path::Path;

use simulator::{Playing, Story, generate, play};

/// Fewer would leave promises without a story.
const STORIES_MIN: usize = 20;

#[test]
fn every_story_comes_out_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut failed = Vec::new();
    let mut count = 0;
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let story: Story = text
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            !story.title.is_empty(),
            "{name} does not say what it is about"
        );
        count += 1;
        let outcome = play(&story, Playing::default());
        if !outcome.violations.is_empty() {
            failed.push(format!("{name}:\n{outcome}"));
        }
    }
    assert!(count >= STORIES_MIN, "{count} stories");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_seed_gives_the_same_trace_every_time() {
    for seed in [3, 77, 1234] {
        let story = generate(seed);
        let first = play(&story, Playing::default());
        assert_eq!(first, play(&story, Playing::default()), "seed {seed}");
        let read: Story = story.to_string().parse().unwrap();
        assert_eq!(
            first,
            play(&read, Playing::default()),
            "seed {seed}, read again"
        );
    }
}
