//! Which files a pattern names. Each row has its source, and the value that the source gives.

use super::super::glob::{PATTERN_BYTES_MAX, Pattern, PatternFault};
use super::super::path::KeptPath;
use super::{Bench, leaves, select};

const ARTIFACTS: &str = "support.atlassian.com/bitbucket-cloud/docs/use-artifacts-in-steps/";
const GLOBS: &str =
    "support.atlassian.com/bitbucket-cloud/docs/use-glob-patterns-on-the-pipelines-yaml-file/";
const CACHES: &str = "support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/";
const BACKWARDS: &str = "bitbucket.org/site/master/issues/17855";
const UPGRADES: &str = "atlassian.com/blog/bitbucket/launch-blog-upgrades-to-artifacts-new-artifact-types-selective-download";
const KTOMK_GLOB: &str = "github.com/ktomk/pipelines src/Glob.php";
const KTOMK_FILES: &str = "github.com/ktomk/pipelines src/Runner/Docker/ArtifactSource.php";
/// No source says; ours.
const OURS: &str = "our decision, in keep/glob.rs";

struct Case {
    pattern: &'static str,
    yes: &'static [&'static str],
    no: &'static [&'static str],
    source: &'static str,
}

const fn case(
    pattern: &'static str,
    yes: &'static [&'static str],
    no: &'static [&'static str],
    source: &'static str,
) -> Case {
    Case {
        pattern,
        yes,
        no,
        source,
    }
}

const CASES: &[Case] = &[
    // "All files under the dist folder and the txt files in the report folder."
    case(
        "dist/**",
        &["dist/a.js", "dist/x/y/b.js", "dist/.hidden"],
        &["dist", "src/dist/a.js"],
        ARTIFACTS,
    ),
    case(
        "reports/*.txt",
        &["reports/a.txt"],
        &["reports/a.xml", "reports/x/a.txt", "a.txt"],
        ARTIFACTS,
    ),
    // "The glob pattern doesn't match the slash."
    case(
        "feature/*",
        &["feature/x"],
        &["feature/x/y", "feature"],
        GLOBS,
    ),
    case("*", &["a", "a.b"], &["a/b"], GLOBS),
    case("**", &["a", "a/b", "a/b/c"], &[], GLOBS),
    case("main", &["main"], &["Main", "main2", "x/main"], GLOBS),
    // The example of a key: the file stands at the top of a Ruby project, and in the folders of one with several.
    case(
        "**/*.gemspec",
        &["x.gemspec", "a/x.gemspec", "a/b/x.gemspec"],
        &["x.gemspec/y"],
        CACHES,
    ),
    // What the report gives: only the folder at the top.
    case(
        "test/**",
        &["test/test3.txt"],
        &["a/test/test1.txt", "b/test/test2.txt"],
        BACKWARDS,
    ),
    case(
        "**/test/**",
        &["test/test3.txt", "a/test/test1.txt", "b/test/test2.txt"],
        &["a/tests/x"],
        BACKWARDS,
    ),
    case(
        "target/*.jar",
        &["target/a.jar"],
        &["target/lib/a.jar"],
        UPGRADES,
    ),
    // One file by its name.
    case(
        "app.zip",
        &["app.zip"],
        &["appXzip", "x/app.zip"],
        ARTIFACTS,
    ),
    // Paths are whole and case counts; classes and backslashes are ordinary.
    case(
        "{a,b}/*.txt",
        &["a/x.txt", "b/x.txt"],
        &["c/x.txt", "{a,b}/x.txt"],
        KTOMK_GLOB,
    ),
    case(
        "a{b,c{d,e}}f",
        &["abf", "acdf", "acef"],
        &["acf"],
        KTOMK_GLOB,
    ),
    case("{main}", &["{main}"], &["main"], KTOMK_GLOB),
    case("v[0-9]", &["v[0-9]"], &["v1"], KTOMK_GLOB),
    case("a\\*", &["a\\b"], &["a*"], KTOMK_GLOB),
    case("**.log", &["a.log", "a/b.log"], &["a.logs"], KTOMK_GLOB),
    case(
        "a/**/b",
        &["a/b", "a/x/b", "a/x/y/b"],
        &["ab", "a/xb"],
        OURS,
    ),
    case("{**/x,y}", &["x", "a/x", "y"], &["a/y"], OURS),
    case("*.txt", &["a.txt", ".txt", "é\n.txt"], &["x/a.txt"], OURS),
    case(
        "r-?.txt",
        &["r-1.txt", "r-é.txt"],
        &["r-.txt", "r-12.txt", "r-/.txt"],
        OURS,
    ),
    case("straße/*", &["straße/x"], &["strasse/x"], OURS),
    case("a+(b).c", &["a+(b).c"], &["aab.c"], OURS),
    // A directory is not a file.
    case("dist/", &[], &["dist", "dist/a"], KTOMK_FILES),
];

#[test]
fn a_pattern_names_what_its_source_says() {
    for Case {
        pattern,
        yes,
        no,
        source,
    } in CASES
    {
        let compiled = Pattern::parse(pattern).unwrap();
        let matches = |path: &str| compiled.matches(&KeptPath::parse(path.as_bytes()).unwrap());
        for path in *yes {
            assert!(matches(path), "{pattern} should name {path} ({source})");
        }
        for path in *no {
            assert!(
                !matches(path),
                "{pattern} should not name {path} ({source})"
            );
        }
    }
}

/// The same table through a real directory, so that the walk leaves nothing out that a pattern names.
#[test]
fn a_walk_finds_what_a_pattern_names() {
    for Case {
        pattern,
        yes,
        no,
        source,
    } in CASES
    {
        let names = yes
            .iter()
            .chain(*no)
            // A file and a directory cannot have one name; the names at hand stand alone.
            .copied()
            .collect::<Vec<_>>();
        for name in &names {
            let bench = Bench::new().with(&[name]);
            let captured = bench.capture(&[pattern]).unwrap().captured;
            let is_wanted = yes.contains(name);
            assert_eq!(
                captured.files,
                u64::from(is_wanted),
                "{pattern} {name} ({source})"
            );
        }
    }
}

#[test]
fn a_pattern_that_names_no_path_below_the_clone_directory_is_refused() {
    for (pattern, fault) in [
        ("", PatternFault::Empty),
        ("/etc/*", PatternFault::Absolute),
        ("../x", PatternFault::Dots),
        ("a/../b", PatternFault::Dots),
        ("./dist/**", PatternFault::Dots),
        ("a\0b", PatternFault::Control),
    ] {
        assert_eq!(
            Pattern::parse(pattern).unwrap_err(),
            fault,
            "{pattern:?} ({ARTIFACTS})"
        );
    }
    let long = "a".repeat(PATTERN_BYTES_MAX + 1);
    assert_eq!(Pattern::parse(&long).unwrap_err(), PatternFault::TooLong);
    let deep = "{".repeat(100) + "a,b" + &",c}".repeat(100);
    assert_eq!(Pattern::parse(&deep).unwrap_err(), PatternFault::TooComplex);
}

/// A matcher that backtracks would not end.
#[test]
fn a_hostile_pattern_takes_no_longer_than_its_length_says() {
    let path = KeptPath::parse("a".repeat(4000).as_bytes()).unwrap();
    for text in [
        "*a".repeat(500) + "b",
        "{a,aa,*}".repeat(100) + "b",
        "**a".repeat(300) + "b",
    ] {
        match Pattern::parse(&text) {
            Ok(pattern) => assert!(!pattern.matches(&path)),
            Err(fault) => assert_eq!(fault, PatternFault::TooComplex),
        }
    }
}

#[test]
fn a_directory_by_its_name_is_nothing_and_is_handed_back_with_a_hint() {
    let bench = Bench::new().with(&["dist/a.js", "empty/"]);
    let capture = bench
        .capture(&["dist", "dist/", "missing/**", "empty/**"])
        .unwrap();
    let told = capture
        .unmatched
        .iter()
        .map(|unmatched| (unmatched.pattern.as_str(), unmatched.is_directory))
        .collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            ("dist", true),
            ("dist/", true),
            ("missing/**", false),
            ("empty/**", false)
        ],
        "{KTOMK_FILES}"
    );
    bench.assert_kept(0);
}

#[test]
fn what_is_ignored_is_left_out() {
    let files = &[
        "t/a.xml",
        "t/a.tmp",
        "t/deep/b.xml",
        "t/deep/c/d.xml",
        "t/other/e.xml",
    ];
    for (ignore, left) in [
        (
            &["t/*.tmp"][..],
            &["t/a.xml", "t/deep/b.xml", "t/deep/c/d.xml", "t/other/e.xml"][..],
        ),
        (&["t/deep/**"], &["t/a.tmp", "t/a.xml", "t/other/e.xml"]),
        (
            &["**/c/**", "**/*.tmp"],
            &["t/a.xml", "t/deep/b.xml", "t/other/e.xml"],
        ),
        // Whole paths of files here too: a directory's own name leaves out nothing.
        (
            &["t/deep"],
            &[
                "t/a.tmp",
                "t/a.xml",
                "t/deep/b.xml",
                "t/deep/c/d.xml",
                "t/other/e.xml",
            ],
        ),
    ] {
        let bench = Bench::new().with(files);
        bench
            .capture_selected(&select(&["t/**"], ignore, None))
            .unwrap();
        bench.restore().unwrap();
        assert_eq!(
            leaves(&super::tree(&bench.path("to"))),
            left,
            "{ignore:?} ({OURS})"
        );
    }
}

/// The example has `target/*.jar` with `depth: 2`.
#[test]
fn a_depth_counts_the_names_of_a_path() {
    for (depth, left) in [
        (1, &["a.jar"][..]),
        (2, &["a.jar", "target/b.jar"]),
        (3, &["a.jar", "target/b.jar", "target/lib/c.jar"]),
    ] {
        let bench = Bench::new().with(&["a.jar", "target/b.jar", "target/lib/c.jar"]);
        bench
            .capture_selected(&select(&["**/*.jar"], &[], Some(depth)))
            .unwrap();
        bench.restore().unwrap();
        assert_eq!(
            leaves(&super::tree(&bench.path("to"))),
            left,
            "{depth} ({UPGRADES})"
        );
    }
}

#[test]
fn git_directories_are_never_captured() {
    let bench = Bench::new().with(&[
        ".git/config",
        "sub/.git/config",
        "sub/.git2",
        "sub/.github/x",
        "m/.git",
    ]);
    assert_eq!(
        leaves(&bench.round(&["**", ".git/**", "sub/.git/config", "m/.git"])),
        ["sub/.git2", "sub/.github/x"]
    );
}
