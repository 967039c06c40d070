use std::fs;
use std::os::unix::fs::symlink;

use super::*;

struct Fixture {
    workspace: Workspace,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(&dir.path().join("workspace")).unwrap();
    let root = workspace.path();
    for made in ["src/deep", ".git/hooks", "other/.git"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    fs::write(root.join("Cargo.lock"), "lock").unwrap();
    fs::create_dir(root.join("module")).unwrap();
    fs::write(root.join("module/.git"), "gitdir: elsewhere").unwrap();
    symlink("src", root.join("link")).unwrap();
    symlink("/etc", root.join("out")).unwrap();
    rustix::fs::mkfifoat(CWD, root.join("fifo"), Mode::RUSR).unwrap();
    Fixture {
        workspace,
        _dir: dir,
    }
}

fn wanted(access: Access, path: &str) -> Wanted {
    Wanted {
        access,
        host: path.into(),
        guest: path.to_owned(),
        what: path.to_owned(),
        line: Some(7),
    }
}

fn parse(asked: &str) -> Vec<Wanted> {
    asked
        .split_whitespace()
        .map(|one| match one.split_once(':') {
            Some(("r", path)) => wanted(Access::Read, path),
            Some(("w", path)) => wanted(Access::Write, path),
            _ => panic!("{one}"),
        })
        .collect()
}

fn check_in(fixture: &Fixture, asked: &str) -> String {
    match Grants::in_workspace(&fixture.workspace, &parse(asked)) {
        Ok(grants) => {
            let paths = grants.paths.iter().map(|grant| {
                let kind = if grant.host.is_directory { "/" } else { "" };
                format!(
                    "{} {}{kind}",
                    grant.wanted.access.name(),
                    grant.at.display()
                )
            });
            let hidden = grants.hidden.iter().map(|git| {
                let kind = if git.is_directory { "/" } else { "" };
                format!("hide {}{kind}", git.at.display())
            });
            paths.chain(hidden).collect::<Vec<_>>().join(", ")
        }
        Err(refusal) => format!("line {}: {refusal}", refusal.line.unwrap()),
    }
}

fn check(asked: &str) -> String {
    check_in(&fixture(), asked)
}

#[test]
fn outer_paths_come_before_inner_ones() {
    assert_eq!(
        check("r:src/deep w:src r:Cargo.lock"),
        "read Cargo.lock, write src/, read src/deep/"
    );
    assert_eq!(
        check("w:src/deep r:."),
        "read /, write src/deep/, hide .git/"
    );
}

#[test]
fn a_path_that_leads_elsewhere_is_refused_with_its_line() {
    for (asked, expected) in [
        (
            "r:missing",
            "line 7: read grant `missing`: it does not exist",
        ),
        (
            "r:link",
            "line 7: read grant `link`: a part of it is a symbolic link",
        ),
        (
            "r:link/deep",
            "line 7: read grant `link/deep`: a part of it is a symbolic link",
        ),
        (
            "w:out/new",
            "line 7: write grant `out/new`: a part of it is a symbolic link",
        ),
        (
            "r:../x",
            "line 7: read grant `../x`: `..` is not possible in a path of a step",
        ),
        (
            "r:src/../src",
            "line 7: read grant `src/../src`: `..` is not possible in a path of a step",
        ),
        (
            "r:Cargo.lock/x",
            "line 7: read grant `Cargo.lock/x`: a part of it is not a directory",
        ),
        (
            "w:Cargo.lock/x",
            "line 7: write grant `Cargo.lock/x`: a part of it is not a directory",
        ),
        (
            "r:fifo",
            "line 7: read grant `fifo`: it is neither a file nor a directory",
        ),
    ] {
        assert_eq!(check(asked), expected);
    }
}

#[test]
fn git_is_granted_by_its_own_name_only_and_never_writable() {
    for (asked, expected) in [
        ("r:.", "read /, hide .git/"),
        ("w:.", "write /, hide .git/"),
        ("r:. r:.git", "read /, read .git/"),
        ("r:.git", "read .git/"),
        ("r:.git/hooks", "read .git/hooks/"),
        (
            "r:other w:module",
            "write module/, read other/, hide module/.git, hide other/.git/",
        ),
        (
            "w:.git",
            "line 7: write grant `.git`: `.git` is never writable",
        ),
        (
            "w:.git/hooks",
            "line 7: write grant `.git/hooks`: `.git` is never writable",
        ),
        (
            "w:other/.git",
            "line 7: write grant `other/.git`: `.git` is never writable",
        ),
        (
            "r:. r:.git/hooks",
            "line 7: read grant `.`: it hides the `.git` that `.git/hooks` lies in; grant that `.git` by its own name",
        ),
    ] {
        assert_eq!(check(asked), expected, "{asked}");
    }
}

#[test]
fn the_same_place_twice_is_a_conflict_unless_it_is_the_same_grant() {
    assert_eq!(check("r:src r:./src"), "read src/");
    assert_eq!(
        check("r:src w:src"),
        "line 7: write grant `src`: it conflicts with the read grant `src` at the same place"
    );
}

#[test]
fn a_directory_to_write_to_is_made() {
    let fixture = fixture();
    assert_eq!(check_in(&fixture, "w:report/html"), "write report/html/");
    assert!(fixture.workspace.path().join("report/html").is_dir());
    assert_eq!(check_in(&fixture, "w:Cargo.lock"), "write Cargo.lock");
}

#[test]
fn too_many_are_refused() {
    let asked = vec!["r:src"; GRANTS_MAX + 1].join(" ");
    assert!(check(&asked).contains("128 path grants at most"));
}

fn by_hand(host: &Path, guest: &str) -> Wanted {
    Wanted {
        access: Access::Read,
        host: host.to_owned(),
        guest: guest.to_owned(),
        what: format!("{}::{guest}", host.display()),
        line: None,
    }
}

#[test]
fn a_users_own_path_may_go_through_links_and_stand_anywhere() {
    let fixture = fixture();
    let root = fixture.workspace.path();
    let grants = Grants::by_hand(&[
        by_hand(&root.join("link"), "/abs/place"),
        by_hand(&root.join("Cargo.lock"), "./lock"),
    ])
    .unwrap();
    let at: Vec<_> = grants
        .paths
        .iter()
        .map(|grant| grant.at.to_str().unwrap())
        .collect();
    assert_eq!(at, ["abs/place", "lock"]);
    assert!(grants.paths[0].host.path.ends_with("workspace/src"));
}

#[test]
fn a_place_inside_a_granted_directory_is_what_is_there_or_stands_aside() {
    let fixture = fixture();
    let root = fixture.workspace.path();
    let check = |host: &str, guest: &str| {
        Grants::by_hand(&[
            by_hand(&root.join("src"), "/"),
            by_hand(&root.join(host), guest),
        ])
        .map(|grants| grants.paths[1].place.clone())
        .map_err(|refusal| refusal.why)
    };
    assert_eq!(check("module", "deep"), Ok("tree/deep".into()));
    assert_eq!(check("module", "nowhere/at/all"), Ok("aside/1".into()));
    assert!(
        check("Cargo.lock", "nowhere")
            .unwrap_err()
            .starts_with("there is no `nowhere` inside")
    );
    assert!(
        check("Cargo.lock", "deep")
            .unwrap_err()
            .starts_with("there is no `deep` inside")
    );
}

#[test]
fn without_namespaces_only_separate_directories_can_be_granted() {
    let fixture = fixture();
    for (asked, expected) in [
        ("r:src w:report", None),
        ("r:Cargo.lock", Some("a single file cannot")),
        (
            "r:src r:src/deep",
            Some("a path inside another granted path cannot"),
        ),
        (
            "r:.",
            Some("a directory whose `.git` has to be hidden cannot"),
        ),
    ] {
        let grants = Grants::in_workspace(&fixture.workspace, &parse(asked)).unwrap();
        let refused = grants.without_a_tree().map_err(|refusal| refusal.why);
        match expected {
            None => assert_eq!(refused, Ok(()), "{asked}"),
            Some(expected) => assert!(refused.unwrap_err().contains(expected), "{asked}"),
        }
    }
}
