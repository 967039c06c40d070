//! Which pipeline of a file a push starts.
//!
//! Comes between `read` and `graph`. A push starts one pipeline or none; the pipeline of a pull request is one more, and
//! comes with a push of its own. Schedules are absent: they start a custom pipeline.
//! <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/>

mod custom;
mod explain;

use crate::diagnostic::quote;
use crate::glob;
use crate::graph::Selected;
use crate::graph::model::{File, Pipeline};
use crate::push::{Push, Reference};
pub use explain::Explained;
pub(crate) use explain::explain;

/// Longest name of a branch or tag that is looked for. It bounds the time of a selection; git's own tools have trouble
/// with names that do not fit in a file name.
const REFERENCE_BYTES_MAX: usize = 512;

/// What a commit message says if no build is wanted.
const SKIP_MARKS: [&str; 2] = ["[skip ci]", "[ci skip]"];

/// Why a push starts nothing, if its commit message says so. The file need not be read then. Who asks for a pipeline by
/// name is not held up by the message.
pub(crate) fn skip(push: &Push) -> Option<String> {
    if push.custom.is_some() {
        return None;
    }
    let mark = SKIP_MARKS
        .iter()
        .find(|mark| push.commit_message.contains(**mark))?;
    Some(format!("The commit message says `{mark}`."))
}

/// Chooses, or says in a sentence why there is nothing to choose.
pub(crate) fn select<'a>(file: &'a File, push: &Push) -> Result<Selected<'a>, String> {
    let selected = match &push.custom {
        Some(start) => custom::select(file, start)?,
        None => by_reference(file, &push.reference)?,
    };
    if selected.pipeline.items.is_empty() {
        let label = &selected.label;
        return Err(format!("The pipeline `{label}` has no step."));
    }
    Ok(selected)
}

fn by_reference<'a>(file: &'a File, reference: &Reference) -> Result<Selected<'a>, String> {
    let Question {
        section,
        patterns,
        name,
        fallback,
    } = Question::of(file, reference);
    if name.len() > REFERENCE_BYTES_MAX {
        return Err(format!(
            "The pushed name has more than {REFERENCE_BYTES_MAX} bytes."
        ));
    }
    if let Some((pattern, pipeline)) = best(patterns, name) {
        return Ok(Selected {
            label: format!("{section} › {pattern}"),
            pipeline,
            variables: Vec::new(),
        });
    }
    if let Some(pipeline) = fallback {
        return Ok(Selected {
            label: "default".to_owned(),
            pipeline,
            variables: Vec::new(),
        });
    }
    let name = quote(name);
    Err(match (reference, patterns.is_empty()) {
        (Reference::Branch(_), true) => {
            "The file has neither `branches` nor a `default` pipeline.".to_owned()
        }
        (Reference::Branch(_), false) => format!(
            "No pattern below `branches` matches {name}, and there is no `default` pipeline."
        ),
        (Reference::Tag(_), true) => {
            "The file has no `tags`, and a tag never starts the `default` pipeline.".to_owned()
        }
        (Reference::Tag(_), false) => format!(
            "No pattern below `tags` matches {name}, and a tag never starts the `default` pipeline."
        ),
        (Reference::PullRequest { .. }, true) => {
            "The file has no `pull-requests`, and a pull request starts no other pipeline."
                .to_owned()
        }
        (Reference::PullRequest { .. }, false) => {
            format!("No pattern below `pull-requests` matches the source branch {name}.")
        }
    })
}

/// Where a reference is looked for.
struct Question<'a, 'r> {
    section: &'static str,
    patterns: &'a [(String, Pipeline)],
    name: &'r str,
    fallback: Option<&'a Pipeline>,
}

impl<'a, 'r> Question<'a, 'r> {
    fn of(file: &'a File, reference: &'r Reference) -> Self {
        let (section, patterns, name, fallback) = match reference {
            Reference::Branch(name) => ("branches", &file.branches, name, file.default.as_ref()),
            Reference::Tag(name) => ("tags", &file.tags, name, None),
            Reference::PullRequest { source, .. } => {
                ("pull-requests", &file.pull_requests, source, None)
            }
        };
        Self {
            section,
            patterns,
            name,
            fallback,
        }
    }
}

/// The exact name, else the longest pattern that matches; of equally long ones the first in the file.
fn best<'a>(patterns: &'a [(String, Pipeline)], name: &str) -> Option<(&'a str, &'a Pipeline)> {
    let exact = patterns.iter().find(|(pattern, _)| pattern == name);
    let longest = || {
        let matching = patterns
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, name));
        // Of equal maxima `max_by_key` takes the last, so it goes through the file from its end.
        matching
            .rev()
            .max_by_key(|(pattern, _)| pattern.chars().count())
    };
    exact
        .or_else(longest)
        .map(|(pattern, pipeline)| (pattern.as_str(), pipeline))
}
