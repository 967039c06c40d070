//! The reference page of the language.

use std::fmt::Write as _;

use cofferdam_pipeline::{Form, KEYS, Key, Tier};

const HEAD: &str = "# Every key of a pipeline file

The file is `cofferdam.yml`, else `bitbucket-pipelines.yml`, in the root of the repository. This page is printed from the table that the reader
walks; a test fails when the two differ.

What happens with a key:

| | |
|---|---|
| **honoured** | does what it says, as far as the host that runs the step can; what it cannot fails the step as `unsupported`, with the line |
| **accepted** | nothing has to be done for it here |
| **warned** | has no effect, and the build is right without it; the file gets a warning |
| **unsupported** | the file gets a warning, and a step that uses it fails when its turn comes, as `unsupported`, with the line |
| **refused** | the file is refused |

A key that is not on this page is warned of, except in a mapping that is marked *closed*: there it refuses the file. A value of another kind than
the one below refuses the file, as it does in Bitbucket's own schema. Beyond that, four things refuse a file: a key that stands twice in one mapping, no
`pipelines`, a step without a `script` or `wasm`, and a manual first step. Every list and text has a generous bound.
";

/// The places in the order of the page, with their headings.
const HEADINGS: &[(&str, &str)] = &[
    ("file", "The file"),
    ("pipelines", "`pipelines`"),
    ("pipeline", "A pipeline that is imported"),
    ("item", "An item of a pipeline"),
    ("variable", "A variable of a custom pipeline"),
    ("parallel", "`parallel`"),
    ("stage", "`stage`"),
    ("step", "`step`, `final`"),
    ("wasm step", "Beside `wasm`"),
    ("wasm", "`wasm`"),
    ("module", "`module` as a mapping"),
    ("grants", "`grants`"),
    ("secret", "A secret as a mapping"),
    ("limits", "`limits`"),
    ("retry", "`retry`"),
    ("image", "`image` as a mapping"),
    ("image.aws", "`image: aws`"),
    ("clone", "`clone`"),
    ("condition", "`condition`"),
    ("changesets", "`changesets`"),
    ("artifacts", "`artifacts` as a mapping"),
    ("upload", "An item of `upload`"),
    ("pipe", "A pipe in a script"),
    ("agent task", "An agent in a script"),
    ("auth", "`auth`"),
    ("auth.system", "`auth: system`"),
    ("runtime", "`runtime`"),
    ("cloud", "`runtime: cloud`"),
    ("self-hosted", "`runtime: self-hosted`"),
    ("storage", "`storage`"),
    ("storage.aws", "`storage: aws`"),
    ("storage.gcp", "`storage: gcp`"),
    ("options", "`options`"),
    ("definitions", "`definitions`"),
    ("service", "A service"),
    ("cache", "A cache as a mapping"),
    ("cache.key", "`key` of a cache"),
    ("agent", "An agent"),
    ("agent.config", "`config` of an agent"),
    ("agent.permissions", "`permissions` of an agent"),
    ("agent.permissions.on-ask", "`on-ask` as a mapping"),
    ("trigger", "An item of `triggers`"),
];

/// The heading of a place; empty if it has none.
pub(crate) fn heading(place: &str) -> &'static str {
    let found = HEADINGS.iter().find(|(name, _)| *name == place);
    found.map_or("", |(_, heading)| heading)
}

pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for key in KEYS {
        assert_ne!(heading(key.place), "", "{}", key.place);
    }
    for (place, heading) in HEADINGS {
        write!(page, "\n## {heading}{}\n\n", beside(place)).expect("a string takes every text");
        page.push_str("| key | value | | |\n|---|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.place == *place) {
            row(key, &mut page);
        }
    }
    page
}

/// Whether a place is closed, and what must be in it.
fn beside(name: &str) -> String {
    let Some(place) = cofferdam_pipeline::PLACES
        .iter()
        .find(|place| place.name == name)
    else {
        return String::new();
    };
    let closed = if place.is_closed { " (closed)" } else { "" };
    let keys: Vec<String> = place
        .required
        .iter()
        .map(|key| format!("`{key}`"))
        .collect();
    if keys.is_empty() {
        return closed.to_owned();
    }
    format!("{closed}\n\nNeeds {}.", keys.join(" and "))
}

fn row(key: &Key, page: &mut String) {
    let tier = match key.tier {
        Tier::Honoured => "honoured",
        Tier::Accepted => "accepted",
        Tier::Warned => "warned",
        Tier::Unsupported => "unsupported",
        Tier::Refused => "refused",
    };
    let tier = match key.default {
        "" => tier.to_owned(),
        default => format!("{tier}, unless `{default}`"),
    };
    let value = value(&key.form).replace('|', "\\|");
    writeln!(page, "| `{}` | {value} | {tier} | {} |", key.name, key.note)
        .expect("a string takes every text");
}

/// A form in words.
fn value(form: &Form) -> String {
    match form {
        Form::Any => "anything".to_owned(),
        Form::Text | Form::Line => "text".to_owned(),
        Form::TextOf { chars_max, .. } => format!("text of at most {chars_max} characters"),
        Form::Spelling => "text or number".to_owned(),
        Form::Size => "size".to_owned(),
        Form::Time => "time".to_owned(),
        Form::Import => "`REPOSITORY:REF:PIPELINE` or `PIPELINE@SOURCE`".to_owned(),
        Form::Choice(choices) => {
            let choices: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            choices.join(", ")
        }
        Form::Bool => "`true`, `false`".to_owned(),
        Form::Whole { min: i64::MIN } => "whole number".to_owned(),
        Form::Whole { min } => format!("whole number, at least {min}"),
        Form::List { of, max, .. } if *max < 100 => {
            format!("list of at most {max}: {}", value(of))
        }
        Form::List { of, .. } | Form::Set(of) => format!("list: {}", value(of)),
        Form::Map { of, .. } => format!("mapping of names: {}", value(of)),
        Form::Place(name) => format!("mapping: {}", heading(name).replace('`', "")),
        Form::OneOf(forms) => {
            let forms: Vec<String> = forms.iter().map(value).collect();
            forms.join("; or ")
        }
        Form::Read(form) => value(form),
        Form::Pipeline | Form::CustomPipeline => "list of items, or an import".to_owned(),
        Form::Steps => "list: `step`".to_owned(),
    }
}
