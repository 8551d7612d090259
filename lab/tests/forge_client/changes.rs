//! Stories of changed files: git's own answer is the expected one.

use dispatcher::forge::Forge;
use workflow::trigger::Changed;

use crate::site::{Site, Work};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// What git says, as the forge asks it.
fn by_git(work: &Work, before: &str, after: &str) -> Vec<String> {
    let mut args = vec![
        "diff-tree",
        "--name-only",
        "--root",
        "--no-commit-id",
        "-r",
        "-z",
    ];
    args.extend([before].into_iter().filter(|before| *before != ZERO));
    args.push(after);
    let printed = work.git(&args);
    printed.split_terminator('\0').map(str::to_owned).collect()
}

async fn by_forge(client: &Forge, repository: &str, before: &str, after: &str) -> Changed {
    let changed = client.changed_files(repository, before, after).await;
    changed.unwrap()
}

pub(crate) async fn are_those_of_git(site: &Site) {
    let work = site.repository("changes").await;
    let first = work.commit(
        "first",
        &[("a", "1"), ("dir/b", "1"), ("dir/c", "1"), ("x.y", "1")],
    );
    work.git(&["mv", "dir/b", "dir/moved"]);
    let moved = work.commit("moved", &[]);
    work.git(&["update-index", "--chmod=+x", "a"]);
    work.git(&["commit", "-q", "-m", "mode"]);
    let mode = work.head();
    work.git(&["rm", "-q", "dir/c"]);
    let odd = [
        ("dir/c/now a folder", "1"),
        ("x/y", "1"),
        ("ä ö\"", "1"),
        ("x-y", "1"),
    ];
    let swapped = work.commit("swapped", &odd);
    let module = format!("160000,{first},lib/module");
    work.git(&["update-index", "--add", "--cacheinfo", &module]);
    work.git(&["commit", "-q", "-m", "submodule"]);
    let module = work.head();
    work.git(&["checkout", "-q", "-f", "-b", "side", &first]);
    let aside = work.commit("side", &[("side", "1")]);
    work.git(&["merge", "-q", "--no-ff", "-m", "merged", &moved]);
    let merge = work.head();
    let reverted = work.commit("empty", &[]);
    site.push(&work, &["main", "side"]).await;
    // A force push: what was there before belongs to no branch any more.
    work.git(&["checkout", "-q", "-f", "main"]);
    work.git(&["reset", "-q", "--hard", &first]);
    let forced = work.commit("forced", &[("dir/b", "forced")]);
    site.push(&work, &["main"]).await;

    let client = site.client();
    for (before, after) in [
        (&first, &moved),
        (&moved, &first),
        (&moved, &mode),
        (&mode, &swapped),
        (&swapped, &module),
        (&first, &module),
        (&aside, &merge),
        (&module, &forced),
        (&merge, &reverted),
        (&ZERO.to_owned(), &first),
        (&ZERO.to_owned(), &swapped),
        (&ZERO.to_owned(), &merge),
        (&ZERO.to_owned(), &forced),
    ] {
        let expected = Changed::Files(by_git(&work, before, after));
        let found = by_forge(&client, "acme/changes", before, after).await;
        assert_eq!(found, expected, "{before} {after}");
    }
    let gone = by_forge(&client, "acme/changes", &"1".repeat(40), &first).await;
    assert!(matches!(gone, Changed::Unknown(why) if why.contains("any more")));
}

pub(crate) async fn in_large_trees_are_found_by_what_differs(site: &Site) {
    let work = site.repository("large").await;
    for number in 0..1200 {
        work.write(&format!("flat/{number}"), number.to_string());
        work.write(
            &format!("deep/{}/{}/f", number % 40, number),
            number.to_string(),
        );
    }
    let first = work.commit("first", &[]);
    work.git(&["rm", "-q", "-r", "deep/7"]);
    let few = work.commit(
        "few",
        &[
            ("flat/77", "x"),
            ("deep/3/43/f", "x"),
            ("new/folder/f", "x"),
        ],
    );
    for number in 0..40 {
        work.write(&format!("deep/{number}/{number}/f"), "other");
    }
    let wide = work.commit("wide", &[]);
    site.push(&work, &["main"]).await;

    let client = site.client();
    for (before, after) in [(&first, &few), (&few, &first)] {
        let started = std::time::Instant::now();
        let expected = by_git(&work, before, after);
        assert_eq!(expected.len(), 33);
        let found = by_forge(&client, "acme/large", before, after).await;
        assert_eq!(found, Changed::Files(expected));
        eprintln!("33 of 2,400 files: {:?}", started.elapsed());
    }
    // A hundred lists could tell it; nobody waits for them.
    let started = std::time::Instant::now();
    let found = by_forge(&client, "acme/large", &few, &wide).await;
    assert!(matches!(found, Changed::Unknown(why) if why.contains("60 lists")));
    eprintln!("given up after {:?}", started.elapsed());
}

/// Half of the repository fits on no page, so that both ways of comparing are taken.
pub(crate) async fn of_random_commits_are_those_of_git(site: &Site) {
    let mut random = fastrand::Rng::with_seed(6);
    let work = site.repository("random").await;
    let mut commits = Vec::new();
    for round in 0..24 {
        if round == 12 {
            for number in 0..1100 {
                let path = format!("d{}/e{}/{number}", number % 5, number % 3);
                work.clear(&path);
                work.write(&path, "base");
            }
        }
        for _ in 0..random.usize(1..12) {
            let path = random_path(&mut random);
            work.clear(&path);
            if random.u8(..) > 60 {
                work.write(&path, random.u8(0..4).to_string());
            }
        }
        commits.push(work.commit("random", &[]));
    }
    site.push(&work, &["main"]).await;
    let client = site.client();
    for _ in 0..80 {
        let [before, after] = [(); 2].map(|()| &commits[random.usize(..commits.len())]);
        let expected = by_git(&work, before, after);
        let found = by_forge(&client, "acme/random", before, after).await;
        assert_eq!(found, Changed::Files(expected), "{before} {after}");
    }
}

/// Of few names, so that files become folders and come back.
fn random_path(random: &mut fastrand::Rng) -> String {
    let mut parts = Vec::new();
    for level in ["d", "e", "f"] {
        parts.push(format!("{level}{}", random.u8(0..5)));
        if random.bool() {
            break;
        }
    }
    parts.join("/")
}
