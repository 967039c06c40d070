//! The cases. Each cites the page that says what must happen, and carries the value that it gives.

use super::play::Does::{Read, Write, WriteBelow};
use super::play::Item::{One, Parallel};
use super::play::Then::{FailedWithout, Left, NotLeft, Printed};
use super::play::{Case, Run, Step};

const ARTIFACTS_PAGE: &str =
    "https://support.atlassian.com/bitbucket-cloud/docs/use-artifacts-in-steps/";
const PARALLEL_PAGE: &str =
    "https://support.atlassian.com/bitbucket-cloud/docs/set-up-or-run-parallel-steps/";
const CACHES_PAGE: &str = "https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/";

const fn step(name: &'static str, keys: &'static [&'static str], does: super::play::Does) -> Step {
    Step { name, keys, does }
}

pub(crate) const ARTIFACTS: &[Case] = &[
    Case {
        about: "`dist/**` is all files under the dist folder, and later steps get them",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "build",
                    &["artifacts: ['dist/**']"],
                    WriteBelow("dist/deep", "dist/deep/app", "built"),
                )),
                One(step("between", &[], Read("dist/deep/app"))),
                One(step("test", &[], Read("dist/deep/app"))),
            ],
            then: &[
                Printed("between", "built"),
                Printed("test", "built"),
                Left("build/dist/deep/app", "built"),
                Left("build/dist/committed", "from the commit"),
            ],
        }],
    },
    Case {
        about: "what no pattern names is not there for the next step, which has a clean clone",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "build",
                    &["artifacts: ['dist/*.txt']"],
                    Write("dist/app", "built"),
                )),
                One(step("test", &[], Read("dist/app"))),
            ],
            then: &[FailedWithout("test", "built"), NotLeft("build")],
        }],
    },
    Case {
        about: "an artifact stands where the commit has a file of that name",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "build",
                    &["artifacts: [dist/committed]"],
                    Write("dist/committed", "built"),
                )),
                One(step("test", &[], Read("dist/committed"))),
            ],
            then: &[Printed("test", "built")],
        }],
    },
    Case {
        about: "of two steps that leave the same file the later one counts",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "one",
                    &["artifacts: [dist/app]"],
                    Write("dist/app", "first"),
                )),
                One(step(
                    "two",
                    &["artifacts: [dist/app]"],
                    Write("dist/app", "second"),
                )),
                One(step("test", &[], Read("dist/app"))),
            ],
            then: &[
                Printed("test", "second"),
                Left("one/dist/app", "first"),
                Left("two/dist/app", "second"),
            ],
        }],
    },
    Case {
        about: "`download: false` gets none",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "build",
                    &["artifacts: [dist/app]"],
                    Write("dist/app", "built"),
                )),
                One(step(
                    "test",
                    &["artifacts: {download: false}"],
                    Read("dist/app"),
                )),
            ],
            then: &[
                FailedWithout("test", "built"),
                Left("build/dist/app", "built"),
            ],
        }],
    },
    Case {
        about: "`download: [name]` gets the one of that name",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "one",
                    &["artifacts: {upload: [{name: first, paths: [dist/app]}]}"],
                    Write("dist/app", "first"),
                )),
                One(step(
                    "two",
                    &["artifacts: {upload: [{name: second, paths: [dist/app]}]}"],
                    Write("dist/app", "second"),
                )),
                One(step(
                    "test",
                    &["artifacts: {download: [first]}"],
                    Read("dist/app"),
                )),
            ],
            then: &[Printed("test", "first")],
        }],
    },
    Case {
        about: "a scoped artifact is for people, not for steps",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "build",
                    &["artifacts: {upload: [{name: log, type: scoped, paths: [dist/app]}]}"],
                    Write("dist/app", "built"),
                )),
                One(step("test", &[], Read("dist/app"))),
            ],
            then: &[
                FailedWithout("test", "built"),
                Left("build/dist/app", "built"),
            ],
        }],
    },
    Case {
        about: "a step that fails keeps what says `capture-on: failed` or `always`, and nothing else",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[One(step(
                "build",
                &[
                    "artifacts: {upload: [{name: a, paths: [dist/c*], capture-on: failed}, \
                   {name: b, paths: [ci/fs.wasm], capture-on: success}]}",
                ],
                Read("missing"),
            ))],
            then: &[
                FailedWithout("build", "artifact `b`"),
                Left("build/dist/committed", "from the commit"),
                NotLeft("build/ci"),
            ],
        }],
    },
    Case {
        about: "`ignore-paths` leaves files out",
        source: ARTIFACTS_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[One(step(
                "build",
                &[
                    "artifacts: {upload: [{name: a, paths: ['dist/**'], ignore-paths: ['**/committed']}]}",
                ],
                Write("dist/app", "built"),
            ))],
            then: &[
                Left("build/dist/app", "built"),
                NotLeft("build/dist/committed"),
            ],
        }],
    },
    Case {
        about: "steps of one parallel group do not see each other's, the step after it sees all",
        source: PARALLEL_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                Parallel(&[
                    step(
                        "left",
                        &["artifacts: [dist/left]"],
                        Write("dist/left", "from the left"),
                    ),
                    step(
                        "right",
                        &["artifacts: [dist/right]"],
                        Write("dist/right", "from the right"),
                    ),
                ]),
                One(step("one", &[], Read("dist/left"))),
                One(step("two", &[], Read("dist/right"))),
            ],
            then: &[
                Printed("one", "from the left"),
                Printed("two", "from the right"),
            ],
        }],
    },
    Case {
        about: "a step of a parallel group that asks for a neighbour's artifact finds none",
        source: PARALLEL_PAGE,
        definitions: "",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[Parallel(&[
                step(
                    "left",
                    &["artifacts: [dist/left]"],
                    Write("dist/left", "from the left"),
                ),
                step("right", &[], Read("dist/left")),
            ])],
            then: &[FailedWithout("right", "from the left")],
        }],
    },
];

pub(crate) const CACHES: &[Case] = &[
    Case {
        about: "the first successful step makes the cache, and a step of the next build finds it",
        source: CACHES_PAGE,
        definitions: "{caches: {things: things}}",
        runs: &[
            Run {
                arguments: &[],
                edits: &[],
                items: &[One(step(
                    "build",
                    &["caches: [things]"],
                    WriteBelow("things", "things/a", "cached"),
                ))],
                then: &[Printed("build", "the cache `things` is kept: 1 file")],
            },
            Run {
                arguments: &[],
                edits: &[],
                items: &[One(step("test", &["caches: [things]"], Read("things/a")))],
                then: &[Printed("test", "cached")],
            },
        ],
    },
    Case {
        about: "a step that does not ask for the cache does not have it",
        source: CACHES_PAGE,
        definitions: "{caches: {things: things}}",
        runs: &[Run {
            arguments: &[],
            edits: &[],
            items: &[
                One(step(
                    "build",
                    &["caches: [things]"],
                    WriteBelow("things", "things/a", "cached"),
                )),
                One(step("test", &[], Read("things/a"))),
            ],
            then: &[FailedWithout("test", "cached")],
        }],
    },
    Case {
        about: "a cache that lives is not changed",
        source: CACHES_PAGE,
        definitions: "{caches: {things: things}}",
        runs: &[
            Run {
                arguments: &[],
                edits: &[],
                items: &[
                    One(step(
                        "one",
                        &["caches: [things]"],
                        WriteBelow("things", "things/a", "first"),
                    )),
                    One(step(
                        "two",
                        &["caches: [things]"],
                        Write("things/a", "second"),
                    )),
                ],
                then: &[Printed("two", "passed")],
            },
            Run {
                arguments: &[],
                edits: &[],
                items: &[One(step("test", &["caches: [things]"], Read("things/a")))],
                then: &[Printed("test", "first")],
            },
        ],
    },
    Case {
        about: "a step that fails makes no cache",
        source: CACHES_PAGE,
        definitions: "{caches: {things: dist}}",
        runs: &[
            Run {
                arguments: &[],
                edits: &[],
                items: &[One(step("build", &["caches: [things]"], Read("missing")))],
                then: &[FailedWithout("build", "is kept")],
            },
            Run {
                arguments: &[],
                edits: &[],
                items: &[One(step(
                    "again",
                    &["caches: [things]"],
                    Read("dist/committed"),
                ))],
                then: &[Printed("again", "the cache `things` is not there yet")],
            },
        ],
    },
    Case {
        about: "with `key: files` there is a cache for each content of the files",
        source: CACHES_PAGE,
        definitions: "{caches: {things: {path: things, key: {files: [lock]}}}}",
        runs: &[
            Run {
                arguments: &[],
                edits: &[("lock", "1")],
                items: &[One(step(
                    "build",
                    &["caches: [things]"],
                    WriteBelow("things", "things/a", "of lock 1"),
                ))],
                then: &[Printed("build", "is kept")],
            },
            Run {
                arguments: &[],
                edits: &[("lock", "2")],
                items: &[One(step(
                    "build",
                    &["caches: [things]"],
                    WriteBelow("things", "things/a", "of lock 2"),
                ))],
                then: &[Printed("build", "is kept")],
            },
            Run {
                arguments: &[],
                edits: &[("lock", "1")],
                items: &[One(step("test", &["caches: [things]"], Read("things/a")))],
                then: &[Printed("test", "of lock 1")],
            },
        ],
    },
];
