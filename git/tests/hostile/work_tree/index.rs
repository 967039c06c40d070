//! What only the user's index knows: files that are tracked although they are ignored, sparse checkouts, conflicts.

use super::Place;

#[tokio::test]
async fn a_tracked_file_that_is_ignored_is_in_the_snapshot() {
    let place = Place::new().await;
    place.write(".gitignore", "*.log\n");
    place.write("kept.log", "before");
    place.write("other.log", "ignored");
    place.user(&["add", "--force", "kept.log"]);
    place.commit();
    assert!(!place.snapshot().await.is_changed);
    place.write("kept.log", "after");
    place.write("added.log", "added by force");
    place.user(&["add", "--force", "added.log"]);
    let snapshot = place.snapshot().await;
    let files = place.files(&snapshot).await;
    assert_eq!(
        files,
        [
            ".gitignore: *.log\n",
            "added.log: added by force",
            "kept.log: after"
        ]
    );
}

#[tokio::test]
async fn what_a_sparse_checkout_leaves_out_is_in_the_snapshot() {
    for sparse_index in ["--no-sparse-index", "--sparse-index"] {
        let place = Place::new().await;
        place.write("here/a", "a");
        place.write("there/b", "b");
        place.commit();
        place.user(&["sparse-checkout", "set", "--cone", sparse_index, "here"]);
        assert!(!place.root().join("there").exists());
        assert!(!place.snapshot().await.is_changed, "{sparse_index}");
        place.write("here/a", "changed");
        let snapshot = place.snapshot().await;
        assert_eq!(
            place.files(&snapshot).await,
            ["here/a: changed", "there/b: b"],
            "{sparse_index}"
        );
    }
}

#[tokio::test]
async fn a_split_index_and_a_conflict_are_no_hindrance() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    place.user(&["update-index", "--split-index"]);
    place.write("a", "changed");
    let snapshot = place.snapshot().await;
    assert_eq!(place.files(&snapshot).await, ["a: changed"]);
    drop(snapshot);

    let place = Place::new().await;
    place.write("a", "before");
    place.commit();
    for (branch, text) in [("ours", "ours"), ("theirs", "theirs")] {
        place.user(&["checkout", "--quiet", "-b", branch, "main"]);
        place.write("a", text);
        place.commit();
    }
    // It fails, as it should.
    place.user(&["-c", "alias.try=!git merge ours || true", "try"]);
    place.write("a", "half way");
    let snapshot = place.snapshot().await;
    assert_eq!(place.files(&snapshot).await, ["a: half way"]);
}
