//! When steps run: beside others, behind gates, under conditions, at the end.

use cofferdam_pipeline::{ChangedFiles, Outcome, resolve};
use insta::assert_snapshot;

use crate::{branch, codes, outline, plan};

/// <https://support.atlassian.com/bitbucket-cloud/docs/parallel-step-options/>
#[test]
fn a_group_and_a_step_say_whether_a_failure_stops_the_others() {
    assert_snapshot!(plan("
pipelines:
  default:
    - parallel:
        fail-fast: true
        steps:
          - step: {name: a, script: [x]}
          - step: {name: b, fail-fast: false, script: [x]}
    - parallel:
        - step: {name: c, fail-fast: true, script: [x]}
        - step: {name: d, trigger: manual, script: [x]}
"), @r#"
    default
    job 0 needs [] on []
      0 a (line 7, 120 min, branch 1/2 of group 0, fail-fast): atlassian/default-image:latest ["x"]
    job 1 needs [] on []
      1 b (line 8, 120 min, branch 2/2 of group 0): atlassian/default-image:latest ["x"]
    job 2 needs [0, 1] on []
      2 c (line 10, 120 min, branch 1/2 of group 1, fail-fast): atlassian/default-image:latest ["x"]
    job 3 needs [0, 1] on []
      3 d (line 11, 120 min, branch 2/2 of group 1, manual by line 11): atlassian/default-image:latest ["x"]
    "#);
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-triggers/>
/// <https://support.atlassian.com/bitbucket-cloud/docs/set-up-and-monitor-deployments/>
#[test]
fn what_waits_for_people_or_other_builds_is_a_job_of_its_own() {
    assert_snapshot!(plan("
pipelines:
  default:
    - step: {name: a, script: [x]}
    - step: {name: b, script: [x]}
    - step: {name: c, trigger: manual, script: [x]}
    - step: {name: d, script: [x]}
    - step: {name: e, deployment: test, script: [x]}
    - step: {name: f, environment: staging, script: [x]}
    - step: {name: g, concurrency-group: db, script: [x]}
    - step: {name: h, script: [x]}
"), @r#"
    default
    job 0 needs [] on []
      0 a (line 4, 120 min): atlassian/default-image:latest ["x"]
      1 b (line 5, 120 min): atlassian/default-image:latest ["x"]
    job 1 needs [0] on []
      2 c (line 6, 120 min, manual by line 6): atlassian/default-image:latest ["x"]
    job 2 needs [1] on []
      3 d (line 7, 120 min): atlassian/default-image:latest ["x"]
    job 3 needs [2] on []
      4 e (line 8, 120 min, deploys to test by line 8): atlassian/default-image:latest ["x"]
    job 4 needs [3] on []
      5 f (line 9, 120 min, deploys to staging by line 9): atlassian/default-image:latest ["x"]
    job 5 needs [4] on []
      6 g (line 10, 120 min, one of db by line 10): atlassian/default-image:latest ["x"]
    job 6 needs [5] on []
      7 h (line 11, 120 min): atlassian/default-image:latest ["x"]
    "#);
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/stage-options/>
#[test]
fn a_stage_has_one_gate_one_deployment_and_one_condition_for_all_its_steps() {
    assert_snapshot!(plan("
pipelines:
  default:
    - step: {name: a, script: [x]}
    - stage:
        name: Ship
        trigger: manual
        deployment: production
        condition: {changesets: {includePaths: [src/**]}}
        steps:
          - step: {name: b, script: [x]}
          - step: {name: c, script: [x]}
          - step: {name: d, runs-on: big, script: [x]}
"), @r#"
    default
    job 0 needs [] on []
      0 a (line 4, 120 min): atlassian/default-image:latest ["x"]
    job 1 needs [0] on [], stage Ship
      1 b (line 11, 120 min, manual by line 7, deploys to production by line 8, if changed by line 9): atlassian/default-image:latest ["x"]
      2 c (line 12, 120 min, deploys to production by line 8, if changed by line 9): atlassian/default-image:latest ["x"]
    job 2 needs [1] on ["big"], stage Ship
      3 d (line 13, 120 min, deploys to production by line 8, if changed by line 9): atlassian/default-image:latest ["x"]
    "#);
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/step-options/>
#[test]
fn a_final_step_needs_every_job_wherever_it_stands() {
    let source = "
pipelines:
  default:
    - step: {name: a, script: [x]}
    - final: {name: end, script: [x]}
    - parallel:
        - step: {name: b, script: [x]}
        - step: {name: c, script: [x]}
";
    assert_snapshot!(plan(source), @r#"
    default
    job 0 needs [] on []
      0 a (line 4, 120 min): atlassian/default-image:latest ["x"]
    job 1 needs [0] on []
      1 b (line 7, 120 min, branch 1/2 of group 0): atlassian/default-image:latest ["x"]
    job 2 needs [0] on []
      2 c (line 8, 120 min, branch 2/2 of group 0): atlassian/default-image:latest ["x"]
    job 3 needs [0, 1, 2] on []
      3 end (line 5, 120 min, final): atlassian/default-image:latest ["x"]
    "#);
    assert_eq!(codes(source.as_bytes()), ["Warning final-not-last 5"]);
}

const CONDITION: &str =
    "https://support.atlassian.com/bitbucket-cloud/docs/step-options/#Condition";
const GLOB: &str = "https://support.atlassian.com/bitbucket-cloud/docs/use-glob-patterns-on-the-pipelines-yaml-file/";

/// Condition, changed files, whether the step runs, page.
#[rustfmt::skip]
const CONDITIONS: &[(&str, &[&str], bool, &str)] = &[
    ("{includePaths: [path1/*.xml]}", &["path1/a.xml"], true, CONDITION),
    ("{includePaths: [path1/*.xml]}", &["path1/sub/a.xml"], false, CONDITION),
    ("{includePaths: [path1/*.xml]}", &["README.md", "path1/a.xml"], true, CONDITION),
    ("{includePaths: ['path2/**']}", &["path2/a/b/c"], true, CONDITION),
    ("{includePaths: ['path2/**']}", &["path3/a"], false, CONDITION),
    ("{includePaths: [src]}", &["src/lib.rs"], false, GLOB),
    ("{includePaths: [a, b]}", &["b"], true, CONDITION),
    ("{includePaths: ['**/*.py']}", &["deep/down/a.py"], true, GLOB),
    ("{includePaths: ['**.py']}", &["deep/down/a.py"], true, GLOB),
    ("{includePaths: ['*.{js,ts}']}", &["a.ts"], true, GLOB),
    ("{includePaths: ['a?c']}", &["abc"], true, GLOB),
    ("{includePaths: [A]}", &["a"], false, GLOB),
    ("{excludePaths: ['docs/**']}", &["docs/a.md"], false, CONDITION),
    ("{excludePaths: ['docs/**']}", &["docs/a.md", "src/a"], true, CONDITION),
    ("{excludePaths: ['docs/**', '*.md']}", &["README.md", "docs/x"], false, CONDITION),
    ("{includePaths: ['**']}", &[], false, CONDITION),
    ("{excludePaths: ['x']}", &[], false, CONDITION),
    ("{}", &[], true, CONDITION),
];

#[test]
fn a_step_whose_condition_no_changed_file_meets_is_skipped() {
    for (condition, files, runs, page) in CONDITIONS {
        let source = format!(
            "pipelines: {{default: [{{step: {{script: [x], condition: {{changesets: {condition}}}}}}}]}}"
        );
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        let known = ChangedFiles::Known(&files);
        let resolution = resolve(source.as_bytes(), &branch("main"), known);
        let Outcome::Planned(plan) = resolution.outcome else {
            panic!("{:#?}", resolution.diagnostics)
        };
        assert_eq!(resolution.diagnostics, [], "{condition}");
        let skip = &plan.jobs[0].steps[0].skip;
        assert_eq!(skip.is_none(), *runs, "{condition} {files:?}: {page}");
    }
}

#[test]
fn the_reason_for_skipping_names_the_line() {
    let source = "
pipelines:
  default:
    - stage:
        condition: {changesets: {includePaths: [src/**]}}
        steps: [{step: {name: a, script: [x]}}, {step: {name: b, script: [x]}}]
    - step: {name: c, script: [x]}
";
    let files = ["README.md".to_owned()];
    let push = branch("main");
    let resolution = resolve(source.as_bytes(), &push, ChangedFiles::Known(&files));
    let Outcome::Planned(plan) = resolution.outcome else {
        panic!("{:#?}", resolution.diagnostics)
    };
    assert_snapshot!(outline(&plan), @r#"
    default
    job 0 needs [] on [], stage Stage 1
      0 a (line 6, 120 min, if changed by line 5, skipped: No changed file meets the condition in line 5.): atlassian/default-image:latest ["x"]
      1 b (line 6, 120 min, if changed by line 5, skipped: No changed file meets the condition in line 5.): atlassian/default-image:latest ["x"]
    job 1 needs [0] on []
      2 c (line 7, 120 min): atlassian/default-image:latest ["x"]
    "#);
}

#[test]
fn a_condition_counts_as_met_while_the_changed_files_are_unknown() {
    let source = "pipelines:
  default:
    - step:
        script: [x]
        condition:
          changesets: {includePaths: [src/**]}
";
    assert_eq!(codes(source.as_bytes()), ["Warning condition-unknown 6"]);
    // The remark is about the line as a whole, so all of its text is marked.
    let remarks = resolve(source.as_bytes(), &branch("main"), ChangedFiles::Unknown).diagnostics;
    let shown = remarks[0].render(source.as_bytes(), "a.yml");
    let marked = format!(
        "  | {}{}\n",
        " ".repeat(10),
        "^".repeat("changesets: {includePaths: [src/**]}".len())
    );
    assert!(shown.ends_with(&marked), "{shown}");
    assert!(!plan(source).contains("skipped"));
}

#[test]
fn very_many_files_and_patterns_are_not_compared() {
    let patterns = "'*a*a*a*a*a*a*a*a*a*a*a*a*a*b',".repeat(95);
    let source = format!(
        "pipelines: {{default: [{{step: {{script: [x], condition: {{changesets: {{includePaths: [{patterns}]}}}}}}}}]}}"
    );
    let files: Vec<String> = (0..20_000)
        .map(|index| format!("{}{index}", "a".repeat(100)))
        .collect();
    let push = branch("main");
    let resolution = resolve(source.as_bytes(), &push, ChangedFiles::Known(&files));
    assert_eq!(resolution.diagnostics[0].code, "condition-unknown");
    assert!(matches!(resolution.outcome, Outcome::Planned(_)));
}
