//! Cases of what runs, beside what, and with which variables. Each cites the page that says so.

use super::play::Does::{Environment, Read, Wait, Write};
use super::play::Item::{FailFast, One, Parallel};
use super::play::Then::{FailedWith, FailedWithout, NeverBegan, Printed, Stopped};
use super::play::{Case, Does, Item, Run, Step, Then};

const PARALLEL_PAGE: &str =
    "https://support.atlassian.com/bitbucket-cloud/docs/set-up-or-run-parallel-steps/";
const STEP_PAGE: &str = "https://support.atlassian.com/bitbucket-cloud/docs/step-options/";
const VARIABLES_PAGE: &str =
    "https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/";

const fn step(name: &'static str, keys: &'static [&'static str], does: Does) -> Step {
    Step { name, keys, does }
}

/// One run, as most cases have.
const fn run(
    arguments: &'static [&'static str],
    items: &'static [Item],
    then: &'static [Then],
) -> Run {
    Run {
        arguments,
        edits: &[],
        items,
        then,
    }
}

pub(crate) const FLOW: &[Case] = &[
    Case {
        about: "after a step that failed no further step runs",
        source: STEP_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[
                One(step("first", &[], Read("missing"))),
                One(step("second", &[], Read("dist/committed"))),
            ],
            &[
                FailedWithout("first", "from the commit"),
                NeverBegan("second"),
            ],
        )],
    },
    Case {
        about: "in a group the neighbours of a step that failed go on, and what comes after the group does not run",
        source: PARALLEL_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[
                Parallel(&[
                    step("bad", &[], Read("missing")),
                    step("good", &[], Read("dist/committed")),
                ]),
                One(step("after", &[], Read("dist/committed"))),
            ],
            &[
                FailedWithout("bad", "from the commit"),
                Printed("good", "from the commit"),
                NeverBegan("after"),
            ],
        )],
    },
    Case {
        about: "in a group with `fail-fast: true` they are stopped",
        source: PARALLEL_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[FailFast(&[
                step("bad", &[], Read("missing")),
                step("waits", &[], Wait),
            ])],
            &[FailedWithout("bad", "from the commit"), Stopped("waits")],
        )],
    },
    Case {
        about: "a step whose condition names no changed file is skipped, and the next one runs",
        source: STEP_PAGE,
        definitions: "",
        runs: &[run(
            &["--since", "HEAD"],
            &[
                One(step(
                    "docs",
                    &["condition: {changesets: {includePaths: ['docs/**']}}"],
                    Read("missing"),
                )),
                One(step(
                    "pipeline",
                    &["condition: {changesets: {includePaths: ['*.yml']}}"],
                    Read("dist/committed"),
                )),
            ],
            &[NeverBegan("docs"), Printed("pipeline", "from the commit")],
        )],
    },
    Case {
        about: "a manual step waits for a person, and nothing after it runs by itself",
        source: STEP_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[
                One(step("build", &[], Read("dist/committed"))),
                One(step("deploy", &["trigger: manual"], Read("dist/committed"))),
                One(step("after", &[], Read("dist/committed"))),
            ],
            &[
                Printed("build", "from the commit"),
                NeverBegan("deploy"),
                NeverBegan("after"),
            ],
        )],
    },
    Case {
        about: "the variables of a build are there in each step",
        source: VARIABLES_PAGE,
        definitions: "",
        runs: &[run(
            &["--branch", "feature/x"],
            &[
                One(step("write", &[], Write("dist/a", "a"))),
                One(step("show", &["deployment: staging"], Environment)),
            ],
            &[
                Printed("show", "CI=true\n"),
                Printed("show", "BITBUCKET_BRANCH=feature/x\n"),
                Printed("show", "BITBUCKET_REPO_SLUG=app\n"),
                Printed("show", "BITBUCKET_DEPLOYMENT_ENVIRONMENT=staging\n"),
                Printed(
                    "show",
                    "BITBUCKET_CLONE_DIR=/opt/atlassian/pipelines/agent/build\n",
                ),
            ],
        )],
    },
    Case {
        about: "a step of a group knows its place, from 0, and how many there are",
        source: VARIABLES_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[Parallel(&[
                step("one", &[], Environment),
                step("two", &[], Environment),
            ])],
            &[
                Printed("one", "BITBUCKET_PARALLEL_STEP=0\n"),
                Printed("two", "BITBUCKET_PARALLEL_STEP=1\n"),
                Printed("two", "BITBUCKET_PARALLEL_STEP_COUNT=2\n"),
            ],
        )],
    },
];

/// Only a script has an `after-script`.
pub(crate) const AFTER_SCRIPTS: &[Case] = &[
    Case {
        about: "it runs after a script that failed, and knows its exit status",
        source: STEP_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[One(step(
                "build",
                &["after-script: ['echo it was $BITBUCKET_EXIT_CODE']"],
                Read("missing"),
            ))],
            &[FailedWith("build", "it was 1\n")],
        )],
    },
    Case {
        about: "it runs after one that passed, and its own failure changes nothing",
        source: STEP_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[One(step(
                "build",
                &["after-script: ['echo it was $BITBUCKET_EXIT_CODE', 'exit 7']"],
                Read("dist/committed"),
            ))],
            &[Printed("build", "it was 0\n")],
        )],
    },
    Case {
        about: "it sees what the script left, which an artifact then has",
        source: STEP_PAGE,
        definitions: "",
        runs: &[run(
            &[],
            &[One(step(
                "build",
                &[
                    "artifacts: [report]",
                    "after-script: ['cat dist/a > report']",
                ],
                Write("dist/a", "left by the script"),
            ))],
            &[
                Printed("build", "artifacts: 1 file"),
                Then::Left("build/report", "left by the script"),
            ],
        )],
    },
];
