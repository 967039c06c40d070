//! A custom pipeline by its name, with the values of its variables.
//!
//! <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/>

use crate::diagnostic::quote;
use crate::graph::Selected;
use crate::graph::model::File;
use crate::plan::CustomVariable;
use crate::push::CustomStart;

/// Names that one sentence lists.
const NAMES_MAX: usize = 10;

/// Longest value of a variable. The kernel takes no longer one in an environment (`MAX_ARG_STRLEN`).
const VALUE_BYTES_MAX: usize = 128 * 1024 - 1;

/// Chooses, or says in a sentence why not.
pub(super) fn select<'a>(file: &'a File, start: &CustomStart) -> Result<Selected<'a>, String> {
    let found = file.custom.iter().find(|(name, _)| *name == start.name);
    let Some((name, pipeline)) = found else {
        let asked = quote(&start.name);
        let names = listed(file.custom.iter().map(|(name, _)| name.as_str()));
        return Err(match names {
            Some(names) => format!("There is no custom pipeline {asked}; there are {names}."),
            None => format!("There is no custom pipeline {asked}; the file has no `custom`."),
        });
    };
    if let Some(unknown) = start
        .variables
        .keys()
        .find(|given| pipeline.variables.iter().all(|known| known.name != **given))
    {
        let (unknown, name) = (quote(unknown), quote(name));
        let names = listed(pipeline.variables.iter().map(|known| known.name.as_str()));
        return Err(match names {
            Some(names) => {
                format!("The custom pipeline {name} has no variable {unknown}; it has {names}.")
            }
            None => format!("The custom pipeline {name} has no variable {unknown}; it has none."),
        });
    }
    let variables: Result<Vec<CustomVariable>, String> = pipeline
        .variables
        .iter()
        .map(|variable| valued(variable, start.variables.get(&variable.name)))
        .collect();
    Ok(Selected {
        label: format!("custom › {name}"),
        pipeline,
        variables: variables?,
    })
}

fn valued(variable: &CustomVariable, given: Option<&String>) -> Result<CustomVariable, String> {
    let name = quote(&variable.name);
    let Some(value) = given.or(variable.default.as_ref()) else {
        return Err(format!(
            "The variable {name} has no default, and no value was given."
        ));
    };
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "The value of {name} has more than {VALUE_BYTES_MAX} bytes."
        ));
    }
    let allowed = &variable.allowed_values;
    // What the file itself says was warned of when it was read.
    if given.is_some() && !allowed.is_empty() && !allowed.contains(value) {
        let allowed = listed(allowed.iter().map(String::as_str)).unwrap_or_default();
        return Err(format!(
            "{} is not allowed for {name}; allowed are {allowed}.",
            quote(value)
        ));
    }
    Ok(CustomVariable {
        value: value.clone(),
        ..variable.clone()
    })
}

/// `` `a`, `b` and 3 more ``; nothing for none.
fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Option<String> {
    let more = names.len().saturating_sub(NAMES_MAX);
    let first: Vec<String> = names.take(NAMES_MAX).map(quote).collect();
    if first.is_empty() {
        return None;
    }
    let first = first.join(", ");
    Some(match more {
        0 => first,
        more => format!("{first} and {more} more"),
    })
}
