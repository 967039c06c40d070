//! Caches: made once, loaded while they live, versioned by files.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Barrier;

use jiff::{SignedDuration, Timestamp};

use super::super::cache::{self, CACHE_LIFE, CacheKey, Evicted, Loaded, Place, Saved};
use super::super::path::{KeptPath, PathFault};
use super::super::{Bounds, KeepError, Limit};
use super::{Bench, leaves, texts, tree};

const CACHES: &str = "support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/";

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn key(name: &str, path: &str) -> CacheKey {
    CacheKey {
        name: name.to_owned(),
        place: Place::parse(path).unwrap(),
        version: None,
    }
}

fn save(bench: &Bench, key: &CacheKey, now: Timestamp) -> Saved {
    cache::save(
        &bench.dir("store"),
        key,
        &bench.dir("from"),
        now,
        &bench.bounds,
    )
    .unwrap()
}

fn load(bench: &Bench, key: &CacheKey, now: Timestamp) -> Result<Loaded, KeepError> {
    cache::load(
        &bench.dir("store"),
        key,
        &bench.dir("to"),
        now,
        &bench.bounds,
    )
}

fn is_hit(loaded: &Result<Loaded, KeepError>) -> bool {
    matches!(loaded, Ok(Loaded::Hit { .. }))
}

/// The predefined caches of the page, and its two ways to write a path.
#[test]
fn a_path_says_where_a_cache_belongs() {
    let path = |text: &str| KeptPath::parse(text.as_bytes()).unwrap();
    for (text, place) in [
        ("~/.composer/cache", Place::Home(path(".composer/cache"))),
        ("~/.nuget/packages", Place::Home(path(".nuget/packages"))),
        ("~/.gradle/caches", Place::Home(path(".gradle/caches"))),
        ("~/.ivy2/cache", Place::Home(path(".ivy2/cache"))),
        ("~/.m2/repository", Place::Home(path(".m2/repository"))),
        ("node_modules", Place::Workspace(path("node_modules"))),
        ("~/.cache/pip", Place::Home(path(".cache/pip"))),
        ("~/.sbt", Place::Home(path(".sbt"))),
        ("vendor/bundle", Place::Workspace(path("vendor/bundle"))),
        ("/usr/local/lib/x", Place::Absolute(path("usr/local/lib/x"))),
        ("$HOME/.cargo/", Place::Home(path(".cargo"))),
        ("${BITBUCKET_CLONE_DIR}/x", Place::Workspace(path("x"))),
        (
            "/opt/atlassian/pipelines/agent/build/x",
            Place::Workspace(path("x")),
        ),
        ("./x", Place::Workspace(path("x"))),
        ("~other/x", Place::Workspace(path("~other/x"))),
    ] {
        assert_eq!(Place::parse(text), Ok(place), "{text} ({CACHES})");
    }
    for (text, fault) in [
        ("", PathFault::EmptyName),
        ("/", PathFault::EmptyName),
        (".", PathFault::Dots),
        ("../x", PathFault::Dots),
        ("~/../x", PathFault::Dots),
        ("/a/../b", PathFault::Dots),
        (".git", PathFault::Git),
        ("a/.git/b", PathFault::Git),
        ("~/", PathFault::EmptyName),
        ("$BITBUCKET_CLONE_DIR", PathFault::EmptyName),
    ] {
        assert_eq!(Place::parse(text), Err(fault), "{text}");
    }
}

#[test]
fn a_cache_comes_back_where_it_was_with_its_links_into_the_workspace() {
    let bench = Bench::new().with(&[
        "node_modules/a/index.js",
        "packages/b/index.js",
        "node_modules/.git/x",
    ]);
    symlink("../packages/b", bench.path("from/node_modules/b")).unwrap();
    symlink("/etc", bench.path("from/node_modules/out")).unwrap();
    let node = key("node", "node_modules");
    let Saved::Created(captured) = save(&bench, &node, start()) else {
        panic!("not created");
    };
    assert_eq!(
        (captured.files, captured.links, captured.skipped.count),
        (2, 1, 1)
    );
    assert!(is_hit(&load(&bench, &node, start())));
    assert_eq!(
        leaves(&tree(&bench.path("to"))),
        [
            "node_modules/.git/x",
            "node_modules/a/index.js",
            "node_modules/b"
        ]
    );
}

#[test]
fn a_cache_is_made_once_and_lives_seven_days() {
    let bench = Bench::new().with(&["m/a"]);
    let m = key("m", "m");
    assert!(matches!(save(&bench, &m, start()), Saved::Created(_)));
    fs::write(bench.path("from/m/new"), "new").unwrap();
    let last = start() + CACHE_LIFE - SignedDuration::from_secs(1);
    assert_eq!(save(&bench, &m, last), Saved::Exists, "{CACHES}");
    assert!(is_hit(&load(&bench, &m, last)), "{CACHES}");
    assert_eq!(leaves(&tree(&bench.path("to"))), ["m/a"]);
    let dead = start() + CACHE_LIFE;
    assert_eq!(load(&bench, &m, dead).unwrap(), Loaded::Miss, "{CACHES}");
    assert!(
        matches!(save(&bench, &m, dead), Saved::Created(_)),
        "{CACHES}"
    );
    assert!(is_hit(&load(&bench, &m, dead)));
    assert_eq!(leaves(&tree(&bench.path("to"))), ["m/a", "m/new"]);
    bench.assert_kept(1);
}

#[test]
fn nothing_is_kept_of_a_directory_that_is_missing_empty_or_a_link() {
    let bench = Bench::new().with(&["empty/"]);
    symlink(bench.path("outside"), bench.path("from/link")).unwrap();
    for path in ["missing", "empty", "link"] {
        assert_eq!(
            save(&bench, &key(path, path), start()),
            Saved::Empty,
            "{path}"
        );
    }
    bench.assert_kept(0);
    bench.assert_outside_is_untouched();
}

/// "When dependencies are updated, the hash of the key files also updates", and several versions live side by side.
#[test]
fn a_changed_key_file_makes_another_version() {
    let bench = Bench::new().with(&["m/a", "Gemfile.lock", "x.gemspec", "sub/y.gemspec", "other"]);
    let patterns = cache::key_patterns(&texts(&["Gemfile.lock", "**/*.gemspec"])).unwrap();
    let digest = || cache::key_files(&bench.dir("from"), &patterns, &bench.bounds).unwrap();
    let first = digest();
    assert_eq!(first.files, 3, "{CACHES}");
    fs::write(bench.path("from/other"), "changed").unwrap();
    assert_eq!(digest(), first);
    let at = |version| CacheKey {
        version: Some(version),
        ..key("m", "m")
    };
    assert!(matches!(
        save(&bench, &at(first.version), start()),
        Saved::Created(_)
    ));
    fs::write(bench.path("from/sub/y.gemspec"), "changed").unwrap();
    let second = digest();
    assert_ne!(second.version, first.version);
    assert_eq!(
        load(&bench, &at(second.version), start()).unwrap(),
        Loaded::Miss
    );
    assert!(matches!(
        save(&bench, &at(second.version), start()),
        Saved::Created(_)
    ));
    assert!(is_hit(&load(&bench, &at(first.version), start())));
    bench.assert_kept(2);
}

#[test]
fn key_files_are_bounded_and_links_among_them_are_not_followed() {
    let bench = Bench::new().with(&["a.lock"]);
    let patterns = cache::key_patterns(&texts(&["**"])).unwrap();
    let digest = || cache::key_files(&bench.dir("from"), &patterns, &bench.bounds);
    let first = digest().unwrap();
    symlink("../outside/secret", bench.path("from/link.lock")).unwrap();
    assert_eq!(digest().unwrap(), first);
    fs::File::create(bench.path("from/huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let error = digest().unwrap_err();
    assert!(
        matches!(
            error,
            KeepError::Limit {
                limit: Limit::KeyBytes(_),
                ..
            }
        ),
        "{error}"
    );
    fs::remove_file(bench.path("from/huge")).unwrap();
    for number in 0..cache::KEY_FILES_MAX {
        fs::write(bench.path(&format!("from/{number}")), "").unwrap();
    }
    let error = digest().unwrap_err();
    assert!(
        matches!(
            error,
            KeepError::Limit {
                limit: Limit::KeyFiles(_),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn name_place_and_version_each_make_another_cache() {
    let bench = Bench::new().with(&["m/a", "n/a"]);
    let digest = super::super::Digest([0; 32]);
    for (name, path, version) in [
        ("a", "m", None),
        ("b", "m", None),
        ("a", "n", None),
        ("A", "m", None),
        ("a", "m", Some(digest)),
    ] {
        let key = CacheKey {
            version,
            ..key(name, path)
        };
        assert!(
            matches!(save(&bench, &key, start()), Saved::Created(_)),
            "{name} {path}"
        );
    }
    bench.assert_kept(5);
}

#[test]
fn two_savers_at_once_leave_exactly_one_whole_cache() {
    const SAVERS: usize = 4;
    for _ in 0..20 {
        let bench = Bench::new();
        let barrier = Barrier::new(SAVERS);
        let created = std::thread::scope(|scope| {
            let savers = (0..SAVERS)
                .map(|saver| {
                    let from = bench.path(&format!("from/{saver}"));
                    fs::create_dir_all(from.join("m")).unwrap();
                    for file in 0..50 {
                        fs::write(from.join(format!("m/{file}")), format!("{saver}")).unwrap();
                    }
                    let (barrier, store) = (&barrier, bench.dir("store"));
                    scope.spawn(move || {
                        let from =
                            cap_std::fs::Dir::open_ambient_dir(from, cap_std::ambient_authority())
                                .unwrap();
                        barrier.wait();
                        let saved =
                            cache::save(&store, &key("m", "m"), &from, start(), &Bounds::default())
                                .unwrap();
                        matches!(saved, Saved::Created(_))
                    })
                })
                .collect::<Vec<_>>();
            savers
                .into_iter()
                .map(|saver| saver.join().unwrap())
                .filter(|&is_first| is_first)
                .count()
        });
        assert_eq!(created, 1);
        bench.assert_kept(1);
        assert!(is_hit(&load(&bench, &key("m", "m"), start())));
        let contents = leaves(&tree(&bench.path("to")))
            .iter()
            .map(|path| fs::read_to_string(bench.path("to").join(path)).unwrap())
            .collect::<Vec<_>>();
        assert_eq!(contents.len(), 50);
        assert!(contents.iter().all(|content| *content == contents[0]));
    }
}

#[test]
fn a_cache_outside_the_workspace_goes_through_a_directory_of_this_host() {
    let bench = Bench::new();
    let maven = key("maven", "~/.m2/repository");
    assert_eq!(
        maven.place.mount_point("/root"),
        Some("/root/.m2/repository".to_owned())
    );
    assert_eq!(
        key("x", "/usr/x").place.mount_point("/root"),
        Some("/usr/x".to_owned())
    );
    assert_eq!(key("node", "node_modules").place.mount_point("/root"), None);
    let first = cache::prepare(&bench.dir("from"), &maven).unwrap();
    fs::write(bench.path("from").join(&first.name).join("a.jar"), "jar").unwrap();
    let saved = cache::save(
        &bench.dir("store"),
        &maven,
        &first.dir,
        start(),
        &bench.bounds,
    )
    .unwrap();
    assert!(matches!(saved, Saved::Created(_)));
    let second = cache::prepare(&bench.dir("to"), &maven).unwrap();
    let loaded = cache::load(
        &bench.dir("store"),
        &maven,
        &second.dir,
        start(),
        &bench.bounds,
    );
    assert!(is_hit(&loaded));
    assert_eq!(
        leaves(&tree(&bench.path("to").join(&second.name))),
        ["a.jar"]
    );
}

#[test]
fn a_damaged_cache_is_an_error_once_and_then_a_miss() {
    let bench = Bench::new().with(&["m/a"]);
    let m = key("m", "m");
    save(&bench, &m, start());
    let entry = fs::read_dir(bench.path("store"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(entry.join("data"), "").unwrap();
    assert!(matches!(
        load(&bench, &m, start()),
        Err(KeepError::Damaged { .. })
    ));
    assert_eq!(load(&bench, &m, start()).unwrap(), Loaded::Miss);
    bench.assert_kept(0);
}

#[test]
fn eviction_takes_the_dead_then_the_oldest_and_what_killed_runners_left() {
    let bench = Bench::new().with(&["m/a"]);
    let hour = SignedDuration::from_hours(1);
    save(&bench, &key("dead", "m"), start() - CACHE_LIFE);
    for (name, age) in [("old", hour * 3), ("middle", hour * 2), ("young", hour)] {
        save(&bench, &key(name, "m"), start() - age);
    }
    save(&bench, &key("torn", "m"), start());
    for entry in fs::read_dir(bench.path("store")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("torn") {
            fs::write(entry.path().join("index"), "{").unwrap();
        }
    }
    fs::create_dir_all(bench.path("store/.part-7/half")).unwrap();
    let store = bench.dir("store");
    let evicted = cache::evict(&store, start(), u64::MAX).unwrap();
    assert_eq!(evicted.caches, 2);
    bench.assert_kept(3);
    let one = evicted.bytes;
    let evicted = cache::evict(&store, start(), one + one / 2).unwrap();
    assert_eq!(evicted.caches, 2);
    bench.assert_kept(1);
    assert!(is_hit(&load(&bench, &key("young", "m"), start())));
    assert_eq!(
        cache::evict(&store, start(), one * 2).unwrap(),
        Evicted::default()
    );
}

#[test]
fn eviction_leaves_a_part_that_is_being_written() {
    let bench = Bench::new();
    let store = bench.dir("store");
    let part = super::super::store::Part::begin(&store).unwrap();
    cache::evict(&store, start(), 0).unwrap();
    part.dir().write("whole", "").unwrap();
    assert!(part.publish("entry").unwrap().is_none());
    assert!(bench.path("store/entry/whole").exists());
}
