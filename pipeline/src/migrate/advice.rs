//! What to do about a key that is not honoured: for the one who moves a file.

use crate::read::keys::{Key, Tier};

const COPY_PIPELINE: &str =
    "copy the steps of that pipeline into this file; a YAML anchor shares them within it";

/// The advice for a key, unless it is honoured.
pub(super) fn of_key(key: &Key) -> Option<&'static str> {
    if matches!(key.tier, Tier::Honoured | Tier::Accepted) {
        return None;
    }
    Some(match (key.place, key.name) {
        ("file", "export")
        | ("definitions", "pipelines" | "imports")
        | ("pipeline", "import")
        | ("step", "type" | "custom" | "input-variables") => COPY_PIPELINE,
        ("file", "triggers") => "start those custom pipelines by hand, or by a webhook of yours",
        ("definitions", "agents") | ("agent task", _) => {
            "remove it, or call the agent's own program in a script"
        }
        ("options", "docker") | ("service", "type") => {
            "build images with a program that needs no engine, such as buildah or kaniko"
        }
        ("pipelines", "bookmarks") => "remove it: git has none",
        ("condition", "state") => {
            "ask in the script, and end it with `exit 0` where nothing is to be done"
        }
        ("step", "grants") => "make it a `wasm` step if it must be bounded",
        ("step", "retry") => "repeat in the script what may fail",
        ("step", "services") => {
            "start what the script needs within the script, from an image that has it"
        }
        ("step", "oidc" | "auth") => "give the step a secret instead",
        ("step", "output-variables") => "write the values into a file, and make it an artifact",
        ("image", "aws") => {
            "log in with `username` and `password`, or take the image from another registry"
        }
        ("clone", "skip-ssl-verify") => {
            "give the runner's host the certificate of the server's authority"
        }
        ("cloud", _) => "give a runner of that kind a label, and ask for it in `runs-on`",
        ("self-hosted", "volumes") => "put the files into the image, a cache or an artifact",
        ("self-hosted", "cpu" | "memory") => "set the bound in the runner's own configuration",
        ("self-hosted", "storage") => "remove it",
        ("pipe", _) => {
            "run the pipe's program in a script, from an image that has it, or as a `wasm` step"
        }
        _ => return None,
    })
}

/// Beginnings of what is said of a value whose key is honoured, and the advice for it.
const OF_VALUES: &[(&str, &str)] = &[
    (
        "a variable in an image's name ",
        "write the name of the image out",
    ),
    (
        "a variable as a value below `wasm` ",
        "write the value out, or grant it as a secret",
    ),
];

/// The advice for something that is no key.
pub(super) fn of_value(what: &str) -> Option<&'static str> {
    let mut known = OF_VALUES.iter();
    known
        .find(|(begin, _)| what.starts_with(begin))
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::keys::KEYS;

    #[test]
    fn nobody_is_left_alone_with_a_key_that_is_not_honoured() {
        let alone: Vec<String> = KEYS
            .iter()
            .filter(|key| matches!(key.tier, Tier::Warned | Tier::Unsupported))
            .filter(|key| of_key(key).is_none())
            .map(|key| format!("{}.{}", key.place, key.name))
            .collect();
        assert!(alone.is_empty(), "{alone:?}");
    }
}
