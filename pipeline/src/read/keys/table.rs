//! The rows of the table, in the order of the documentation.

use super::form::{Form, MANY};
use super::{Key, Tier};
use Form::{
    Any, Bool, Choice, CustomPipeline, Import, Line, List, Map, OneOf, Pipeline, Place, Read, Size,
    Spelling, Steps, Text, TextOf, Time, Whole,
};
use Tier::{Accepted, Honoured, Refused, Unsupported, Warned};

const fn key(
    place: &'static str,
    name: &'static str,
    form: Form,
    tier: Tier,
    note: &'static str,
) -> Key {
    Key {
        place,
        name,
        tier,
        form,
        default: "",
        note,
    }
}

const fn unless(default: &'static str, key: Key) -> Key {
    Key { default, ..key }
}

/// At least one.
const fn some(of: &'static Form) -> Form {
    List {
        of,
        min: 1,
        max: MANY,
    }
}

/// Any number, none among them.
const fn any(of: &'static Form) -> Form {
    List {
        of,
        min: 0,
        max: MANY,
    }
}

const fn named(of: &'static Form) -> Form {
    Map {
        of,
        min: 0,
        max: MANY,
    }
}

const TEXTS: Form = some(&Text);
const IMAGE: Form = OneOf(&[Text, Place("image")]);
const MAX_TIME: Form = Whole { min: 1 };
const SIZE: Form = Choice(&["1x", "2x", "4x", "8x", "16x", "32x"]);
const LABEL: Form = TextOf {
    chars_min: 0,
    chars_max: 50,
};
const RUNS_ON: Form = OneOf(&[
    LABEL,
    List {
        of: &LABEL,
        min: 1,
        max: 10,
    },
]);
const TRIGGER: Form = Choice(&["automatic", "manual"]);
const VARIABLES: Form = some(&Place("variable"));
const SCRIPT: Form = Read(&some(&OneOf(&[Text, Place("pipe"), Place("agent task")])));
const AGENT_MODE: Form = Choice(&["allow", "deny"]);
const PROVIDER: Form = Choice(&["rovodev", "claude", "codex"]);
const PATHS: Form = Read(&any(&Spelling));
const SECRET: Form = OneOf(&[Spelling, Place("secret")]);

/// The table.
// One row is one line, whatever its length.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("file", "image", IMAGE, Honoured, "the image of every script step that names none"),
    key("file", "pipelines", Read(&Place("pipelines")), Honoured, "which steps run for which push; a file without it is refused"),
    key("file", "options", Place("options"), Honoured, "defaults for all steps"),
    key("file", "clone", Place("clone"), Honoured, "how every step that says nothing else gets its files"),
    key("file", "definitions", Place("definitions"), Accepted, "a place for anchors, services and caches"),
    key("file", "labels", named(&Any), Accepted, "names for people"),
    unless("false", key("file", "export", Bool, Warned, "no other repository can use this file's pipelines yet")),
    key("file", "triggers", named(&some(&Place("trigger"))), Warned, "nothing is started by it yet"),
    //
    key("definitions", "services", named(&Place("service")), Accepted, "read where a step uses one"),
    key("definitions", "caches", named(&OneOf(&[Text, Place("cache")])), Accepted, "read where a step uses one"),
    key("definitions", "steps", Any, Accepted, "a place for anchors"),
    key("definitions", "pipelines", Read(&named(&CustomPipeline)), Warned, "no other repository can use them yet"),
    key("definitions", "imports", Any, Warned, "no pipeline can be imported yet"),
    key("definitions", "agents", named(&Place("agent")), Warned, "there are none"),
    //
    key("service", "image", IMAGE, Honoured, "the container's image"),
    key("service", "memory", Whole { min: 128 }, Honoured, "MiB; 1024 if nothing is said"),
    key("service", "type", Choice(&["docker"]), Accepted, "a container engine for scripts"),
    key("service", "variables", Map { of: &Text, min: 1, max: MANY }, Honoured, "its environment"),
    key("cache", "path", Text, Honoured, "the directory that is kept"),
    key("cache", "key", Place("cache.key"), Honoured, "the cache is another one when these files change"),
    key("cache.key", "files", TEXTS, Honoured, "patterns of files in the repository"),
    //
    key("options", "max-time", MAX_TIME, Honoured, "minutes; the default for every step"),
    key("options", "runs-on", RUNS_ON, Honoured, "the default for every step"),
    unless("false", key("options", "docker", Bool, Unsupported, "a script step has no container engine")),
    key("options", "size", SIZE, Accepted, "a runner's size is its operator's"),
    key("options", "runtime", Place("runtime"), Honoured, "as on every step"),
    //
    key("pipelines", "default", Pipeline, Honoured, "the pipeline of every branch without one of its own"),
    key("pipelines", "branches", Read(&named(&Pipeline)), Honoured, "by branch: the exact name, else the longest pattern that matches"),
    key("pipelines", "tags", Read(&named(&Pipeline)), Honoured, "by tag, as branches; a tag never falls back to `default`"),
    key("pipelines", "pull-requests", Read(&named(&Pipeline)), Honoured, "by the source branch of a pull request"),
    key("pipelines", "custom", Read(&named(&CustomPipeline)), Honoured, "by hand, by name; a push never selects it"),
    key("pipelines", "bookmarks", Any, Warned, "Mercurial is not supported"),
    //
    key("pipeline", "import", Import, Unsupported, "a pipeline of another file cannot be used yet"),
    key("pipeline", "variables", VARIABLES, Accepted, "belongs to `import`"),
    //
    key("item", "step", Read(&Place("step")), Honoured, "one step"),
    key("item", "parallel", Read(&OneOf(&[Steps, Place("parallel")])), Honoured, "each of its steps is a job of its own"),
    key("item", "stage", Read(&Place("stage")), Honoured, "its steps run in order"),
    key("item", "final", Read(&Place("step")), Honoured, "a step that runs after all others, also if one failed"),
    key("item", "variables", Read(&VARIABLES), Honoured, "in a custom pipeline: what whoever starts it may set"),
    //
    key("variable", "name", Text, Honoured, "the name of the environment variable"),
    key("variable", "default", Text, Honoured, "its value if none is given; without one it must be given"),
    key("variable", "allowed-values", TEXTS, Honoured, "no other value may be given"),
    key("variable", "description", Text, Honoured, "for whoever starts the pipeline"),
    //
    key("parallel", "steps", Read(&Steps), Honoured, "the branches"),
    key("parallel", "fail-fast", Bool, Honoured, "whether one failure stops the others"),
    //
    key("stage", "name", Text, Honoured, "without one the stage is called by its number"),
    key("stage", "steps", Read(&Steps), Honoured, "at least one"),
    key("stage", "condition", Place("condition"), Honoured, "as on a step, for all its steps"),
    key("stage", "deployment", Text, Honoured, "the environment that all its steps deploy to"),
    key("stage", "environment", Text, Honoured, "another word for `deployment`"),
    key("stage", "trigger", TRIGGER, Honoured, "`manual`: the stage waits for a person"),
    //
    key("condition", "changesets", Place("changesets"), Honoured, "the step is skipped unless files changed that it names"),
    key("condition", "state", TextOf { chars_min: 1, chars_max: 1000 }, Unsupported, "no expression can be evaluated yet"),
    key("changesets", "includePaths", TEXTS, Honoured, "patterns of paths, of which one must have changed"),
    key("changesets", "excludePaths", TEXTS, Honoured, "patterns of paths, beside which something must have changed"),
    //
    key("step", "name", Text, Honoured, "without one the step is called by its number"),
    key("step", "image", IMAGE, Honoured, "the container's image; no effect on a wasm step"),
    key("step", "script", SCRIPT, Honoured, "shell lines; a step with a pipe or an agent is unsupported"),
    key("step", "after-script", SCRIPT, Honoured, "script steps only"),
    key("step", "wasm", Read(&Place("wasm")), Honoured, "a WASI module instead of a script"),
    key("step", "grants", Any, Unsupported, "a script's network and secrets cannot be bounded yet"),
    key("step", "retry", Read(&Place("retry")), Warned, "its values are checked, and a step is not retried by it yet"),
    key("step", "max-time", MAX_TIME, Honoured, "minutes; 120 if nothing is said"),
    key("step", "runs-on", RUNS_ON, Honoured, "labels that a runner must carry, all of them"),
    key("step", "size", SIZE, Accepted, "a runner's size is its operator's"),
    key("step", "runtime", Place("runtime"), Honoured, "where the step runs"),
    key("step", "clone", Place("clone"), Honoured, "how the step gets its files"),
    key("step", "caches", TEXTS, Honoured, "directories that are kept between builds"),
    key("step", "artifacts", OneOf(&[TEXTS, Place("artifacts")]), Honoured, "files that later steps and people get"),
    key("step", "services", List { of: &Text, min: 1, max: 5 }, Unsupported, "no service can be started yet"),
    key("step", "deployment", Text, Honoured, "the environment that the step deploys to; one build at a time"),
    key("step", "environment", Text, Honoured, "another word for `deployment`"),
    key("step", "concurrency-group", TextOf { chars_min: 0, chars_max: 50 }, Honoured, "of all steps of a group one runs at a time"),
    key("step", "trigger", TRIGGER, Honoured, "`manual`: the step waits for a person"),
    key("step", "condition", Place("condition"), Honoured, "whether the step runs"),
    key("step", "fail-fast", Bool, Honoured, "whether its failure stops its parallel group"),
    unless("false", key("step", "oidc", Bool, Unsupported, "no token can be given to a step yet")),
    key("step", "auth", Place("auth"), Warned, "the step gets no token"),
    unless("inline", key("step", "type", Choice(&["inline", "pipeline"]), Unsupported, "a step cannot start another pipeline yet")),
    key("step", "custom", Text, Unsupported, "a step cannot start another pipeline yet"),
    key("step", "input-variables", Map { of: &Text, min: 1, max: 20 }, Unsupported, "a step cannot start another pipeline yet"),
    key("step", "output-variables", Any, Unsupported, "no later step would get them yet"),
    key("auth", "system", Place("auth.system"), Accepted, "belongs to `auth`"),
    key("auth.system", "scopes", Form::Set(&Text), Accepted, "belongs to `auth`"),
    //
    key("image", "name", Text, Honoured, "`name[:tag][@digest]`"),
    key("image", "run-as-user", Whole { min: i64::MIN }, Honoured, "the user id of the script"),
    key("image", "username", Text, Honoured, "for a registry that asks for it; usually a variable"),
    key("image", "password", Text, Honoured, "for a registry that asks for it; usually a variable"),
    key("image", "email", Any, Accepted, "no registry asks for it"),
    key("image", "aws", Place("image.aws"), Unsupported, "no image can be fetched with credentials of AWS yet"),
    key("image.aws", "access-key", Text, Accepted, "belongs to `aws`"),
    key("image.aws", "secret-key", Text, Accepted, "belongs to `aws`"),
    key("image.aws", "oidc-role", Text, Accepted, "belongs to `aws`"),
    //
    key("clone", "enabled", Bool, Honoured, "whether the step gets the commit's files"),
    key("clone", "lfs", Bool, Honoured, "whether large files are fetched"),
    key("clone", "depth", OneOf(&[Whole { min: 1 }, Choice(&["full"])]), Honoured, "commits of history, or `full`; 50 if nothing is said"),
    unless("false", key("clone", "skip-ssl-verify", Bool, Warned, "certificates are always verified")),
    //
    key("artifacts", "paths", TEXTS, Honoured, "patterns of files, kept if the step succeeds"),
    key("artifacts", "download", OneOf(&[Bool, TEXTS]), Honoured, "whether the step gets the artifacts of earlier ones, or which"),
    key("artifacts", "upload", OneOf(&[some(&Place("upload")), TEXTS]), Honoured, "artifacts with names of their own"),
    key("upload", "name", Text, Honoured, "by which later steps ask for it"),
    key("upload", "paths", TEXTS, Honoured, "patterns of files"),
    key("upload", "ignore-paths", any(&Text), Honoured, "patterns of files that are left out"),
    key("upload", "type", Choice(&["shared", "scoped", "test-reports"]), Honoured, "`scoped`: no later step gets it; `test-reports`: read as test results"),
    key("upload", "capture-on", Choice(&["success", "failed", "always"]), Honoured, "after which end of the step it is kept"),
    key("upload", "depth", Whole { min: 1 }, Honoured, "levels of directories that are searched"),
    //
    key("runtime", "cloud", Place("cloud"), Honoured, "what the container runs on"),
    key("runtime", "self-hosted", Place("self-hosted"), Honoured, "what the runner's host gives"),
    unless("x86", key("cloud", "arch", Choice(&["x86", "arm"]), Unsupported, "choose a runner by a label in `runs-on`")),
    unless("linux", key("cloud", "platform", Choice(&["linux", "windows"]), Unsupported, "scripts run in Linux containers")),
    key("cloud", "version", Text, Accepted, "there is one version"),
    key("cloud", "atlassian-ip-ranges", Bool, Accepted, "steps run on your own hosts"),
    key("cloud", "instance-type", Text, Accepted, "steps run on your own hosts"),
    key("self-hosted", "cpu", Whole { min: i64::MIN }, Warned, "the operator sets what a step may use"),
    key("self-hosted", "memory", Whole { min: i64::MIN }, Warned, "the operator sets what a step may use"),
    key("self-hosted", "volumes", any(&Text), Unsupported, "no directory of the host is ever mounted"),
    key("self-hosted", "storage", Place("storage"), Warned, "artifacts and caches stay with the hub"),
    key("storage", "aws", Place("storage.aws"), Accepted, "belongs to `storage`"),
    key("storage", "gcp", Place("storage.gcp"), Accepted, "belongs to `storage`"),
    key("storage.aws", "bucket", Text, Accepted, "belongs to `storage`"),
    key("storage.aws", "region", Text, Accepted, "belongs to `storage`"),
    key("storage.aws", "access-key", Text, Accepted, "belongs to `storage`"),
    key("storage.aws", "secret-key", Text, Accepted, "belongs to `storage`"),
    key("storage.aws", "oidc-role", Text, Accepted, "belongs to `storage`"),
    key("storage.gcp", "bucket", Text, Accepted, "belongs to `storage`"),
    key("storage.gcp", "key-file", Text, Accepted, "belongs to `storage`"),
    //
    key("wasm", "module", Read(&OneOf(&[Spelling, Place("module")])), Honoured, "`./PATH`, `step:NAME`, `oci://REPOSITORY@sha256:DIGEST`, or `{artifact: PATH, from: STEP}`; where a runner cannot fetch one, it says so"),
    key("wasm", "args", PATHS, Honoured, "after the program's own name"),
    key("wasm", "env", Read(&named(&Spelling)), Honoured, "variables of the step's own, beside the build's (`CI`, `BITBUCKET_*`) and granted secrets; nothing of the host's"),
    key("wasm", "grants", Read(&Place("grants")), Honoured, "without it the step sees no file, host or secret"),
    key("wasm", "limits", Read(&Place("limits")), Honoured, "the host's own limits are never exceeded"),
    key("module", "artifact", Read(&Spelling), Honoured, "a file of an earlier step"),
    key("module", "from", Read(&Spelling), Honoured, "the name of that step"),
    key("grants", "read", PATHS, Honoured, "workspace paths, read-only"),
    key("grants", "write", PATHS, Honoured, "workspace paths, read-write"),
    key("grants", "net", PATHS, Honoured, "`https://HOST`, `http://HOST`, `tcp://HOST:PORT`; exact names"),
    key("grants", "secrets", Read(&any(&SECRET)), Honoured, "`NAME` as a variable, or `{file: NAME}` as the file `/run/secrets/NAME`; a hub has none to give yet"),
    key("grants", "clock", Read(&Choice(&["real", "fixed"])), Honoured, "`real`, or `fixed`: the time of day is the commit's, always"),
    key("grants", "random", Read(&Choice(&["real", "seeded"])), Honoured, "`real`, or `seeded`: the same for the same commit and step name"),
    key("secret", "file", Read(&Spelling), Honoured, "the name of the secret"),
    key("limits", "memory", Read(&Size), Honoured, "a size: `256MiB`"),
    key("limits", "time", Read(&Time), Honoured, "a time: `60s`, `5m`"),
    key("limits", "output", Read(&Size), Honoured, "a size: `10MiB`"),
    key("limits", "disk", Read(&Size), Honoured, "a size: `1GiB`"),
    key("retry", "max", Read(&Whole { min: 0 }), Honoured, "tries after the first, at most 10"),
    key("retry", "on", Read(&any(&Choice(&["lost", "infrastructure", "failed"]))), Honoured, "`lost`, `infrastructure`, `failed`"),
    //
    key("pipe", "pipe", Text, Unsupported, "no pipe can be run yet"),
    key("pipe", "name", Any, Accepted, "belongs to `pipe`"),
    key("pipe", "variables", named(&OneOf(&[Text, any(&Text)])), Accepted, "belongs to `pipe`"),
    key("agent task", "agent", Text, Unsupported, "there are none"),
    key("agent task", "config", Place("agent.config"), Accepted, "belongs to `agent`"),
    key("agent task", "permissions", Place("agent.permissions"), Accepted, "belongs to `agent`"),
    key("agent task", "prompt", Text, Accepted, "belongs to `agent`"),
    key("agent task", "provider", PROVIDER, Accepted, "belongs to `agent`"),
    key("agent task", "use-legacy-mcp", Bool, Accepted, "belongs to `agent`"),
    key("agent", "config", Place("agent.config"), Accepted, "belongs to `agents`"),
    key("agent", "permissions", Place("agent.permissions"), Accepted, "belongs to `agents`"),
    key("agent", "prompt", Text, Accepted, "belongs to `agents`"),
    key("agent", "provider", PROVIDER, Accepted, "belongs to `agents`"),
    key("agent", "setup-script", any(&OneOf(&[Text, Place("pipe")])), Accepted, "belongs to `agents`"),
    key("agent", "use-legacy-mcp", Bool, Accepted, "belongs to `agents`"),
    key("agent.config", "path", Text, Accepted, "belongs to `agents`"),
    key("agent.config", "overrides", named(&Any), Accepted, "belongs to `agents`"),
    key("agent.permissions", "on-ask", OneOf(&[AGENT_MODE, Place("agent.permissions.on-ask")]), Accepted, "belongs to `agents`"),
    key("agent.permissions.on-ask", "allow", any(&Line), Accepted, "belongs to `agents`"),
    key("agent.permissions.on-ask", "deny", any(&Line), Accepted, "belongs to `agents`"),
    key("agent.permissions.on-ask", "default", AGENT_MODE, Accepted, "belongs to `agents`"),
    key("trigger", "condition", Text, Accepted, "belongs to `triggers`"),
    key("trigger", "pipelines", TEXTS, Accepted, "belongs to `triggers`"),
    key("wasm step", "after-script", Any, Refused, "there is no shell to run it in"),
    key("wasm step", "script", Any, Refused, "a step is either a module or a script"),
];
