//! Stories of workflow files.

use std::os::unix::fs::symlink;

use workflow::discovery::FoundFiles;
use workflow::jobs::uses::Uses;

use crate::site::Site;

fn dirs(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn paths(found: &FoundFiles) -> Vec<&str> {
    found.files.iter().map(|file| file.path.as_str()).collect()
}

pub(crate) async fn are_those_of_the_first_folder_that_there_is(site: &Site) {
    let work = site.repository("folders").await;
    let none = work.commit(
        "none",
        &[("README", "x"), (".gitea/x.yml", "no folder of them")],
    );
    let second = work.commit("second", &[(".github/workflows/b.yml", "on: push")]);
    let both = work.commit(
        "both",
        &[(".gitea/workflows/deep/notes.txt", "nothing here")],
    );
    work.git(&["rm", "-q", "-r", ".gitea"]);
    work.write("elsewhere/a.yml", "on: push");
    symlink("elsewhere", work.path(".gitea/workflows")).unwrap();
    let linked = work.commit("linked", &[]);
    site.push(&work, &["main", "main:refs/heads/feat/x#y"])
        .await;

    let client = site.client();
    let dirs = dirs(&[".gitea/workflows", ".github/workflows"]);
    let found = async |at: &str| {
        let found = client.workflow_files("acme/folders", at, &dirs).await;
        found.unwrap()
    };
    assert_eq!(found(&none).await, FoundFiles::default());
    let only = found(&second).await;
    assert_eq!(only.dir.as_deref(), Some(".github/workflows"));
    assert_eq!(only.files[0].bytes.as_deref(), Ok(b"on: push".as_slice()));
    // It counts although it has no workflow.
    let first = found(&both).await;
    assert_eq!(first.dir.as_deref(), Some(".gitea/workflows"));
    assert!(first.files.is_empty() && first.refused.is_none());
    // A link is no folder.
    assert_eq!(paths(&found(&linked).await), [".github/workflows/b.yml"]);
    assert_eq!(found("feat/x#y").await, found(&linked).await);
    assert_eq!(found("refs/heads/main").await, found(&linked).await);
    work.git(&["tag", "-m", "annotated", "v/1", &linked]);
    work.git(&["tag", "main", &linked]);
    site.push(&work, &["v/1", "refs/tags/main"]).await;
    for tag in ["refs/tags/v/1", "refs/tags/main"] {
        assert_eq!(found(tag).await, found(&linked).await, "{tag}");
    }
    for nowhere in [
        &"1".repeat(40),
        "no/branch",
        "../../admin",
        "refs/tags/none",
    ] {
        let found = client.workflow_files("acme/folders", nowhere, &dirs).await;
        assert!(found.is_err(), "{nowhere}");
    }
}

pub(crate) async fn of_all_sorts_are_read_or_refused_with_a_reason(site: &Site) {
    let work = site.repository("sorts").await;
    let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 0..35 {
        expected.push((
            format!("{number:02}.yml"),
            format!("name: {number}").into_bytes(),
        ));
    }
    expected.push(("deep/er/a b+ä&c.yaml".to_owned(), b"name: odd".to_vec()));
    expected.push(("empty.yml".to_owned(), Vec::new()));
    expected.push(("latin.yml".to_owned(), b"name: \xe4\r\n\0".to_vec()));
    expected.push(("limit.yml".to_owned(), vec![b'#'; 1024 * 1024]));
    for (name, bytes) in &expected {
        work.write(&format!(".gitea/workflows/{name}"), bytes);
    }
    work.write(".gitea/workflows/README.md", "no workflow");
    work.write(".gitea/workflows/capitals.YML", "none either");
    work.write(".gitea/workflows/x-large.yml", vec![b'#'; 1024 * 1024 + 1]);
    symlink("00.yml", work.path(".gitea/workflows/x-link.yml")).unwrap();
    let commit = work.commit("all sorts", &[]);
    site.push(&work, &["main"]).await;

    let client = site.client();
    let dirs = dirs(&[".gitea/workflows"]);
    let found = client.workflow_files("acme/sorts", &commit, &dirs).await;
    let mut found = found.unwrap();
    let refused = found.files.split_off(expected.len());
    for (file, (name, bytes)) in found.files.iter().zip(&expected) {
        assert_eq!(file.path, format!(".gitea/workflows/{name}"));
        assert!(file.bytes.as_ref() == Ok(bytes), "{name}");
    }
    assert_eq!(found.files.len(), expected.len());
    let words = refused.iter().map(|file| file.bytes.as_ref().unwrap_err());
    let words: Vec<&String> = words.collect();
    assert!(words[0].contains("1048577 bytes"), "{words:?}");
    assert!(words[1].contains("symbolic link"), "{words:?}");
    assert_eq!(words.len(), 2);

    // As one among them: the forge then starts none.
    let entry = format!("160000,{commit},.gitea/workflows/module.yml");
    work.git(&["update-index", "--add", "--cacheinfo", &entry]);
    work.git(&["commit", "-q", "-m", "submodule"]);
    site.push(&work, &["main"]).await;
    let found = client.workflow_files("acme/sorts", "main", &dirs).await;
    let refused = found.unwrap().refused.unwrap();
    assert!(refused.contains("module.yml is a submodule"), "{refused}");
}

pub(crate) async fn that_are_called_are_read_wherever_they_are(site: &Site) {
    let work = site.repository("called").await;
    let large = "#".repeat(1024 * 1024 + 1);
    let huge = "#".repeat(5 * 1024 * 1024);
    std::os::unix::fs::symlink("large.yml", work.path("link.yml")).unwrap();
    let commit = work.commit(
        "called",
        &[
            ("ci/a b&c.yml", "on: workflow_call"),
            ("large.yml", &large),
            ("huge.yml", &huge),
        ],
    );
    work.commit("gone", &[("ci/a b&c.yml", "on: push")]);
    site.push(&work, &["main", "main~1:refs/heads/feat/x#y"])
        .await;
    let client = site.client();
    let here = |path: &str| Uses::Here {
        path: path.to_owned(),
    };
    let there = |reference: &str| Uses::There {
        owner: "acme".to_owned(),
        repository: "called".to_owned(),
        path: "ci/a b&c.yml".to_owned(),
        reference: reference.to_owned(),
    };
    for (uses, expected) in [
        (here("ci/a b&c.yml"), Ok("on: workflow_call")),
        (there("feat/x#y"), Ok("on: workflow_call")),
        (there("main"), Ok("on: push")),
        (there("v1"), Err("no such file")),
        (here("none.yml"), Err("no such file")),
        (here("../../../admin/users"), Err("no such file")),
        (here("large.yml"), Err("of its 1048577 bytes")),
        (here("huge.yml"), Err("less than 1 MiB")),
        (here("ci"), Err("but a folder of 1")),
        (here("link.yml"), Err("but a symlink")),
    ] {
        let read = client.called_file("acme/called", &commit, &uses).await;
        match (read.unwrap(), expected) {
            (Ok(bytes), Ok(text)) => assert_eq!(bytes, text.as_bytes(), "{uses:?}"),
            (Err(why), Err(words)) => assert!(why.reason.contains(words), "{uses:?}: {why}"),
            (read, _) => panic!("{uses:?}: {read:?}"),
        }
    }
}

pub(crate) async fn are_refused_by_their_list_when_they_are_too_many(site: &Site) {
    let work = site.repository("many").await;
    for number in 0..500 {
        let name = format!(".gitea/workflows/{number}.yml");
        work.write(&name, vec![b'#'; 1024 * 1024]);
    }
    work.commit("five hundred of a mebibyte", &[]);
    for number in 5..500 {
        std::fs::remove_file(work.path(&format!(".gitea/workflows/{number}.yml"))).unwrap();
    }
    work.commit("five are too much too", &[]);
    site.push(&work, &["main", "main~1:refs/heads/many"]).await;
    let client = site.client();
    for (branch, words) in [("many", "500 workflow files"), ("main", "5242880 bytes")] {
        let started = std::time::Instant::now();
        let dirs = dirs(&[".gitea/workflows"]);
        let found = client
            .workflow_files("acme/many", branch, &dirs)
            .await
            .unwrap();
        let refused = found.refused.unwrap();
        assert!(
            refused.contains(words) && found.files.is_empty(),
            "{refused}"
        );
        eprintln!("{branch}: refused after {:?}", started.elapsed());
    }
}
