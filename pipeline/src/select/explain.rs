//! Why each pipeline of a file is, or is not, what a push runs.
//!
//! Says the same as the selection itself, for every pipeline instead of one.

use super::{Question, REFERENCE_BYTES_MAX, best, skip};
use crate::diagnostic::quote;
use crate::glob;
use crate::graph::model::{File, Pipeline};
use crate::push::{Push, Reference};

/// One pipeline of a file, and whether a push runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// `default`, `branches › feature/*`, `custom › nightly`.
    pub pipeline: String,
    /// At most one pipeline is.
    pub selected: bool,
    /// A sentence.
    pub why: String,
}

/// Every pipeline of the file, section by section in the order of the documentation.
pub(crate) fn explain(file: &File, push: &Push) -> Vec<Explained> {
    let chosen = super::select(file, push);
    let skipped = skip(push);
    let mut all = Vec::new();
    let mut add = |pipeline: String, why: String| {
        let is_chosen = chosen.as_ref().is_ok_and(|chosen| chosen.label == pipeline);
        let (selected, why) = match (&skipped, is_chosen) {
            (Some(skipped), true) => (false, skipped.clone()),
            (_, is_chosen) => (is_chosen, why),
        };
        all.push(Explained {
            pipeline,
            selected,
            why,
        });
    };
    if file.default.is_some() {
        add("default".to_owned(), why_default(file, push));
    }
    let sections = [
        ("branches", &file.branches),
        ("tags", &file.tags),
        ("pull-requests", &file.pull_requests),
    ];
    for (section, patterns) in sections {
        for (pattern, _) in patterns {
            let why = why_pattern(file, push, section, pattern);
            add(format!("{section} › {pattern}"), why);
        }
    }
    for (name, _) in &file.custom {
        add(format!("custom › {name}"), why_custom(file, push, name));
    }
    all
}

fn why_default(file: &File, push: &Push) -> String {
    if push.custom.is_some() {
        return "A custom pipeline was asked for by name.".to_owned();
    }
    match &push.reference {
        Reference::Tag(_) => "A tag never starts the `default` pipeline.".to_owned(),
        Reference::PullRequest { .. } => {
            "A pull request never starts the `default` pipeline.".to_owned()
        }
        Reference::Branch(name) if name.len() > REFERENCE_BYTES_MAX => too_long(),
        Reference::Branch(name) => match best(&file.branches, name) {
            Some((pattern, _)) => {
                let pattern = quote(pattern);
                format!("{pattern} below `branches` matches, and goes before `default`.")
            }
            None => format!("Nothing below `branches` matches {}.", quote(name)),
        },
    }
}

fn too_long() -> String {
    format!("The pushed name has more than {REFERENCE_BYTES_MAX} bytes.")
}

fn why_pattern(file: &File, push: &Push, section: &str, pattern: &str) -> String {
    if push.custom.is_some() {
        return "A custom pipeline was asked for by name.".to_owned();
    }
    let question = Question::of(file, &push.reference);
    if question.section != section {
        return match &push.reference {
            Reference::Branch(_) => "A branch was pushed.".to_owned(),
            Reference::Tag(_) => "A tag was pushed.".to_owned(),
            Reference::PullRequest { .. } => {
                "This is a pull request; a push of its source branch is another event.".to_owned()
            }
        };
    }
    why_matched(question.patterns, question.name, pattern)
}

fn why_matched(patterns: &[(String, Pipeline)], name: &str, pattern: &str) -> String {
    if name.len() > REFERENCE_BYTES_MAX {
        return too_long();
    }
    let quoted = quote(name);
    let Some((best, _)) = best(patterns, name) else {
        return format!("It does not match {quoted}.");
    };
    if pattern == name {
        return format!("It is exactly {quoted}.");
    }
    if !glob::matches(pattern, name) {
        return format!("It does not match {quoted}.");
    }
    let better = quote(best);
    if best == pattern {
        format!("It is the longest pattern that matches {quoted}.")
    } else if best == name {
        format!("It matches {quoted}, and the exact name goes before every pattern.")
    } else if best.chars().count() == pattern.chars().count() {
        format!("It matches {quoted}, and {better} is as long and stands before it.")
    } else {
        format!("It matches {quoted}, and {better} is longer.")
    }
}

fn why_custom(file: &File, push: &Push, name: &str) -> String {
    let Some(start) = &push.custom else {
        return "A custom pipeline starts only by hand, by a schedule or by the API.".to_owned();
    };
    if start.name != name {
        return format!("{} was asked for.", quote(&start.name));
    }
    match super::select(file, push) {
        Ok(_) => "It was asked for by name.".to_owned(),
        Err(why) => why,
    }
}
