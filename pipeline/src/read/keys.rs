//! Every key of the language, and what this version does with it: the one table.
//!
//! `read` walks it to decide about each key of a file, and the documentation is printed from it, so that neither can say
//! what the other does not do. A key is found by the mapping it stands in and its name; free names (patterns, services,
//! variables) are absent.

/// What this version does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// It does what the language says.
    Honoured,
    /// Nothing has to be done for it here, and nobody needs to be told.
    Accepted,
    /// It has no effect, and the build is right without it. The file gets a warning.
    Warned,
    /// It would change what the step means, and this version cannot do it: the file gets a warning, and the step fails when
    /// its turn comes, as `unsupported`, with the line.
    Unsupported,
    /// The file is refused.
    Refused,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The mapping that it stands in: `step`, `clone`. The file's own mapping is `file`.
    pub place: &'static str,
    pub name: &'static str,
    pub tier: Tier,
    /// The value with which the key asks for what happens anyway, and is honoured whatever its tier. Empty: there is none.
    pub default: &'static str,
    /// For the reader of the documentation, and the second half of the warning.
    pub note: &'static str,
}

/// Finds the row of a key.
pub(crate) fn find(place: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.place == place && key.name == name)
}

/// The key of a place that somebody may have meant who wrote `name`.
pub(crate) fn nearest(place: &str, name: &str) -> Option<&'static str> {
    let names = KEYS
        .iter()
        .filter(|key| key.place == place)
        .map(|key| key.name);
    names
        .map(|known| (edits(name, known), known))
        .filter(|&(edits, _)| edits <= 2)
        .min()
        .map(|found| found.1)
}

/// How many single-character changes lead from one word to the other; 9 for words that cannot be near.
fn edits(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > 2 {
        return 9;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(!from.eq_ignore_ascii_case(&to));
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    // A word of three letters is two changes away from far too much.
    if row[right.len()] * 2 >= right.len() {
        9
    } else {
        row[right.len()]
    }
}

const fn key(place: &'static str, name: &'static str, tier: Tier, note: &'static str) -> Key {
    Key {
        place,
        name,
        tier,
        default: "",
        note,
    }
}

const fn unless(default: &'static str, key: Key) -> Key {
    Key { default, ..key }
}

use Tier::{Accepted, Honoured, Refused, Unsupported, Warned};

/// The table, in the order of the documentation.
// One row is one line, whatever its length.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("file", "image", Honoured, "the image of every script step that names none"),
    key("file", "pipelines", Honoured, "which steps run for which push; a file without it is refused"),
    key("file", "options", Honoured, "defaults for all steps"),
    key("file", "clone", Honoured, "how every step that says nothing else gets its files"),
    key("file", "definitions", Accepted, "a place for anchors, services and caches"),
    key("file", "labels", Accepted, "names for people"),
    unless("false", key("file", "export", Warned, "no other repository can use this file's pipelines yet")),
    key("file", "triggers", Warned, "nothing is started by it yet"),
    //
    key("definitions", "services", Accepted, "read where a step uses one"),
    key("definitions", "caches", Accepted, "read where a step uses one"),
    key("definitions", "steps", Accepted, "a place for anchors"),
    key("definitions", "pipelines", Warned, "no other repository can use them yet"),
    key("definitions", "imports", Warned, "no pipeline can be imported yet"),
    key("definitions", "agents", Warned, "there are none"),
    //
    key("options", "max-time", Honoured, "minutes; the default for every step"),
    key("options", "runs-on", Honoured, "the default for every step"),
    unless("false", key("options", "docker", Unsupported, "a script step has no container engine")),
    key("options", "size", Accepted, "a runner's size is its operator's"),
    key("options", "runtime", Honoured, "as on every step"),
    //
    key("pipelines", "default", Honoured, "the pipeline of every branch without one of its own"),
    key("pipelines", "branches", Honoured, "by branch: the exact name, else the longest pattern that matches"),
    key("pipelines", "tags", Honoured, "by tag, as branches; a tag never falls back to `default`"),
    key("pipelines", "custom", Honoured, "is read and checked; a push never selects it"),
    key("pipelines", "pull-requests", Honoured, "is read and checked; a push never selects it"),
    key("pipelines", "bookmarks", Warned, "Mercurial is not supported"),
    //
    key("pipeline", "import", Unsupported, "a pipeline of another file cannot be used yet"),
    key("pipeline", "variables", Accepted, "belongs to `import`"),
    //
    key("item", "step", Honoured, "one step"),
    key("item", "parallel", Honoured, "each of its steps is a job of its own"),
    key("item", "stage", Honoured, "its steps run in order"),
    key("item", "final", Unsupported, "a step that runs after a failure cannot be run yet"),
    key("item", "variables", Honoured, "the first item of a custom pipeline; is read and checked"),
    //
    key("parallel", "steps", Honoured, "the branches"),
    unless("false", key("parallel", "fail-fast", Warned, "the other branches run to their end")),
    //
    key("stage", "name", Honoured, "without one the stage is called by its number"),
    key("stage", "steps", Honoured, "at least one"),
    key("stage", "condition", Unsupported, "the condition cannot be checked yet"),
    key("stage", "deployment", Unsupported, "deployments cannot be kept apart yet"),
    key("stage", "environment", Unsupported, "deployments cannot be kept apart yet"),
    unless("automatic", key("stage", "trigger", Unsupported, "nobody can be asked to start it yet")),
    //
    key("step", "name", Honoured, "without one the step is called by its number"),
    key("step", "image", Honoured, "the container's image; no effect on a wasm step"),
    key("step", "script", Honoured, "shell lines; a step with a pipe or an agent is unsupported"),
    key("step", "after-script", Honoured, "script steps only"),
    key("step", "wasm", Honoured, "a WASI module instead of a script"),
    key("step", "grants", Unsupported, "a script's network and secrets cannot be bounded yet"),
    key("step", "retry", Warned, "its values are checked, and a step is not retried by it yet"),
    key("step", "max-time", Honoured, "minutes; 120 if nothing is said"),
    key("step", "runs-on", Honoured, "labels that a runner must carry, all of them"),
    key("step", "size", Accepted, "a runner's size is its operator's"),
    key("step", "runtime", Honoured, "see below"),
    key("step", "clone", Honoured, "see below"),
    key("step", "caches", Warned, "the step runs without a cache, slower and not otherwise"),
    key("step", "artifacts", Warned, "the files are not kept, and no later step sees them"),
    key("step", "services", Unsupported, "no service can be started yet"),
    key("step", "deployment", Unsupported, "deployments cannot be kept apart yet"),
    key("step", "environment", Unsupported, "deployments cannot be kept apart yet"),
    key("step", "concurrency-group", Unsupported, "steps of a group cannot be kept apart yet"),
    unless("automatic", key("step", "trigger", Unsupported, "nobody can be asked to start it yet")),
    key("step", "condition", Unsupported, "the condition cannot be checked yet"),
    unless("false", key("step", "fail-fast", Warned, "the other branches run to their end")),
    unless("false", key("step", "oidc", Warned, "the step gets no token")),
    key("step", "auth", Warned, "the step gets no token"),
    unless("inline", key("step", "type", Unsupported, "a step cannot start another pipeline yet")),
    key("step", "custom", Unsupported, "a step cannot start another pipeline yet"),
    key("step", "input-variables", Unsupported, "a step cannot start another pipeline yet"),
    key("step", "output-variables", Unsupported, "no later step would get them yet"),
    //
    key("image", "name", Honoured, "`name[:tag][@digest]`"),
    unless("0", key("image", "run-as-user", Unsupported, "the user is the image's own")),
    key("image", "username", Unsupported, "no image can be fetched with credentials yet"),
    key("image", "password", Unsupported, "no image can be fetched with credentials yet"),
    key("image", "email", Accepted, "no registry asks for it"),
    key("image", "aws", Unsupported, "no image can be fetched with credentials yet"),
    //
    unless("true", key("clone", "enabled", Unsupported, "every step gets the commit's files")),
    unless("false", key("clone", "lfs", Unsupported, "large files would be pointers")),
    key("clone", "depth", Warned, "the runner decides how much of the history it fetches"),
    unless("false", key("clone", "skip-ssl-verify", Warned, "certificates are always verified")),
    //
    key("runtime", "cloud", Honoured, "see below"),
    key("runtime", "self-hosted", Honoured, "see below"),
    unless("x86", key("cloud", "arch", Unsupported, "choose a runner by a label in `runs-on`")),
    unless("linux", key("cloud", "platform", Unsupported, "scripts run in Linux containers")),
    key("cloud", "version", Accepted, "there is one version"),
    key("cloud", "atlassian-ip-ranges", Accepted, "steps run on your own hosts"),
    key("cloud", "instance-type", Accepted, "steps run on your own hosts"),
    key("self-hosted", "cpu", Warned, "the operator sets what a step may use"),
    key("self-hosted", "memory", Warned, "the operator sets what a step may use"),
    key("self-hosted", "volumes", Unsupported, "no directory of the host is ever mounted"),
    key("self-hosted", "storage", Warned, "artifacts and caches stay with the hub"),
    //
    key("wasm", "module", Honoured, "`./PATH`, `step:NAME`, `oci://REPOSITORY@sha256:DIGEST`, or `{artifact: PATH, from: STEP}`; where a runner cannot fetch one, it says so"),
    key("wasm", "args", Honoured, "after the program's own name"),
    key("wasm", "env", Honoured, "the environment, beside granted secrets; no other variable is there"),
    key("wasm", "grants", Honoured, "without it the step sees no file, host or secret"),
    key("wasm", "limits", Honoured, "the host's own limits are never exceeded"),
    key("module", "artifact", Honoured, "a file of an earlier step"),
    key("module", "from", Honoured, "the name of that step"),
    key("grants", "read", Honoured, "workspace paths, read-only"),
    key("grants", "write", Honoured, "workspace paths, read-write"),
    key("grants", "net", Honoured, "`https://HOST`, `http://HOST`, `tcp://HOST:PORT`; exact names"),
    key("grants", "secrets", Honoured, "`NAME` as environment, or `{file: NAME}`"),
    key("grants", "clock", Honoured, "`real` or `fixed`"),
    key("grants", "random", Honoured, "`real` or `seeded`"),
    key("secret", "file", Honoured, "the name of the secret"),
    key("limits", "memory", Honoured, "a size: `256MiB`"),
    key("limits", "time", Honoured, "a time: `60s`, `5m`"),
    key("limits", "output", Honoured, "a size"),
    key("limits", "disk", Honoured, "a size"),
    key("retry", "max", Honoured, "tries after the first, at most 10"),
    key("retry", "on", Honoured, "`lost`, `infrastructure`, `failed`"),
    //
    key("script", "pipe", Unsupported, "no pipe can be run yet"),
    key("script", "name", Accepted, "belongs to `pipe`"),
    key("script", "variables", Accepted, "belongs to `pipe`"),
    key("script", "agent", Unsupported, "there are none"),
    key("wasm step", "after-script", Refused, "there is no shell to run it in"),
    key("wasm step", "script", Refused, "a step is either a module or a script"),
];
