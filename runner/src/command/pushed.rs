//! Which push is meant: the options that `run` and `check --explain` share.
//!
//! From words on a command line to a [`Push`]. What only a file can know, such as which custom pipelines it has and which
//! values their variables allow, is said by `resolve`.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use clap::Args;
use cofferdam_git::RefName;
use cofferdam_pipeline::{CustomStart, Push, Reference};

use crate::text::printable;

/// Longest name of a custom pipeline that is looked for. The language refuses far shorter ones.
const CUSTOM_NAME_BYTES_MAX: usize = 1024;

/// Longest name of a variable. Whoever writes a longer one forgot the `=`.
const VARIABLE_NAME_BYTES_MAX: usize = 255;

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// What a push of this branch starts [default: the branch that is checked out]
    #[arg(long, value_name = "NAME", value_parser = branch, conflicts_with = "tag")]
    branch: Option<String>,

    /// What a push of this tag starts
    #[arg(long, value_name = "NAME", value_parser = tag)]
    tag: Option<String>,

    /// What a pull request between these branches starts
    #[arg(
        long,
        value_name = "SOURCE:DESTINATION",
        value_parser = pull_request,
        conflicts_with_all = ["branch", "tag", "custom"]
    )]
    pull_request: Option<PullRequest>,

    /// The custom pipeline of this name, on that branch or tag
    #[arg(long, value_name = "NAME", value_parser = custom_name)]
    custom: Option<String>,

    /// A value for a variable of the custom pipeline; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable, requires = "custom")]
    variables: Vec<Variable>,
}

#[derive(Clone, Debug)]
struct PullRequest {
    source: String,
    destination: String,
}

#[derive(Clone, Debug)]
struct Variable {
    name: String,
    value: String,
}

impl PushArgs {
    /// Whether it has to be known which branch is checked out.
    pub(super) fn needs_checked_out(&self) -> bool {
        self.branch.is_none() && self.tag.is_none() && self.pull_request.is_none()
    }

    /// Whether no option was given.
    pub(super) fn is_default(&self) -> bool {
        self.words().is_empty()
    }

    /// Whether a pipeline is asked for by its name, so that nothing but that pipeline will do.
    pub(super) fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// The push that is meant. `checked_out` is the branch of the work tree, if there is one with a commit.
    ///
    /// Whoever asks for a pipeline by hand wants to see it: what a commit's message says of CI does not count.
    pub(super) fn push(&self, checked_out: Option<&str>) -> anyhow::Result<Push> {
        let Self {
            branch,
            tag,
            pull_request,
            custom,
            variables: _,
        } = self;
        let reference = match (branch, tag, pull_request) {
            (Some(branch), _, _) => Reference::Branch(branch.clone()),
            (None, Some(tag), _) => Reference::Tag(tag.clone()),
            (
                None,
                None,
                Some(PullRequest {
                    source,
                    destination,
                }),
            ) => Reference::PullRequest {
                source: source.clone(),
                destination: destination.clone(),
            },
            (None, None, None) => Reference::Branch(
                checked_out
                    .context(
                        "no branch with a commit is checked out: say --branch NAME or --tag NAME",
                    )?
                    .to_owned(),
            ),
        };
        let custom = match custom {
            Some(name) => Some(CustomStart {
                name: name.clone(),
                variables: self.values()?,
            }),
            None => None,
        };
        Ok(Push {
            reference,
            commit_message: String::new(),
            custom,
        })
    }

    /// The options as somebody would type them again.
    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        let Self {
            branch,
            tag,
            pull_request,
            custom,
            variables,
        } = self;
        let pull_request = pull_request.as_ref().map(
            |PullRequest {
                 source,
                 destination,
             }| format!("{source}:{destination}"),
        );
        let one = |option, value: Option<String>| value.map(|value| (option, value));
        let mut words: Vec<_> = [
            one("--branch", branch.clone()),
            one("--tag", tag.clone()),
            one("--pull-request", pull_request),
            one("--custom", custom.clone()),
        ]
        .into_iter()
        .flatten()
        .collect();
        words.extend(
            variables
                .iter()
                .map(|Variable { name, value }| ("--var", format!("{name}={value}"))),
        );
        words
    }

    fn values(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for Variable { name, value } in &self.variables {
            let before = values.insert(name.clone(), value.clone());
            ensure!(
                before.is_none(),
                "--var {}: this variable is given twice",
                printable(name)
            );
        }
        Ok(values)
    }
}

fn branch(text: &str) -> Result<String, String> {
    short_name(text, "refs/heads/")
}

fn tag(text: &str) -> Result<String, String> {
    short_name(text, "refs/tags/")
}

/// A name as `git` has it, without the part in front that says what kind it is.
fn short_name(text: &str, kind: &str) -> Result<String, String> {
    if let Some(short) = text.strip_prefix(kind) {
        return Err(format!("say it without `{kind}`: {}", printable(short)));
    }
    match format!("{kind}{text}").parse::<RefName>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn pull_request(text: &str) -> Result<PullRequest, String> {
    let (source, destination) = text
        .split_once(':')
        .ok_or("both branches are needed, `feature/x:main`")?;
    Ok(PullRequest {
        source: branch(source).map_err(|error| format!("the source: {error}"))?,
        destination: branch(destination).map_err(|error| format!("the destination: {error}"))?,
    })
}

fn custom_name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a custom pipeline has a name".to_owned()),
        1..=CUSTOM_NAME_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!(
            "no custom pipeline has a name of more than {CUSTOM_NAME_BYTES_MAX} bytes"
        )),
    }
}

fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("a name and a value are needed, `NAME=VALUE`")?;
    if name.is_empty() || name.len() > VARIABLE_NAME_BYTES_MAX {
        return Err(format!(
            "a variable's name has 1 to {VARIABLE_NAME_BYTES_MAX} bytes"
        ));
    }
    Ok(Variable {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        push: PushArgs,
    }

    fn push(line: &str) -> Result<Push, String> {
        let words = std::iter::once("x").chain(line.split_terminator(' '));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.push
            .push(Some("here"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_push_is_what_the_options_say() {
        let branch = |name: &str| Reference::Branch(name.to_owned());
        for (line, reference) in [
            ("", branch("here")),
            ("--branch feature/x", branch("feature/x")),
            ("--tag v1", Reference::Tag("v1".to_owned())),
            (
                "--pull-request feature/x:main",
                Reference::PullRequest {
                    source: "feature/x".to_owned(),
                    destination: "main".to_owned(),
                },
            ),
            ("--custom nightly --tag v1", Reference::Tag("v1".to_owned())),
        ] {
            assert_eq!(
                push(line).map(|push| push.reference),
                Ok(reference),
                "{line}"
            );
        }
    }

    #[test]
    fn a_value_goes_on_behind_its_first_equals_sign() {
        let custom = push("--custom nightly --var A=b=c --var D=")
            .unwrap()
            .custom
            .unwrap();
        assert_eq!(custom.name, "nightly");
        let values: Vec<_> = custom.variables.into_iter().collect();
        assert_eq!(
            values,
            [
                ("A".to_owned(), "b=c".to_owned()),
                ("D".to_owned(), String::new())
            ]
        );
    }

    #[test]
    fn what_can_be_no_push_is_explained() {
        let long = format!("--branch {}", "x/".repeat(300));
        for (line, words) in [
            ("--branch refs/heads/main", "without `refs/heads/`: main"),
            ("--branch a..b", "cannot hold"),
            ("--tag v1~1", "cannot hold"),
            (long.as_str(), "at most 512 bytes"),
            ("--branch a --tag b", "cannot be used with"),
            ("--pull-request a:b --custom c", "cannot be used with"),
            ("--pull-request feature/x", "both branches are needed"),
            ("--pull-request :main", "the source: "),
            ("--pull-request a:b:c", "the destination: "),
            ("--var A=b", "--custom"),
            ("--custom c --var A", "`NAME=VALUE`"),
            ("--custom c --var =b", "1 to 255 bytes"),
            (
                "--custom c --var A=1 --var A=2",
                "--var A: this variable is given twice",
            ),
        ] {
            let error = push(line).unwrap_err();
            assert!(error.contains(words), "{line}\n{error}");
        }
    }
}
