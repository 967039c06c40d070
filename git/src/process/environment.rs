//! Every variable and every setting that a git process of ours sees.
//!
//! The settings travel as `GIT_CONFIG_COUNT`, which git reads with the weight of `-c` and hands down
//! to the processes that it starts itself. Over `file://` git starts the other side's program, and
//! clears them for it; that one gets its own in [`upload_pack`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Call;
use crate::names::Protocol;

/// A path below which there can be no file, whoever may write where.
const NOWHERE: &str = "/dev/null";

/// ssh without the user's configuration, agent, keys or questions, to hosts that this host's
/// administrator vouched for.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes \
    -o UserKnownHostsFile=/dev/null -o IdentityAgent=none -o IdentityFile=none \
    -o ForwardAgent=no -o ForwardX11=no -o ClearAllForwardings=yes -o PermitLocalCommand=no \
    -o ProxyCommand=none -o ConnectTimeout=20";

const VARIABLES: &[(&str, &str)] = &[
    // Where git looks for ssh and for the shell's own tools.
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("LC_ALL", "C"),
    // No file of a user or a system configures us: not git's, not curl's (.netrc).
    ("HOME", NOWHERE),
    ("XDG_CONFIG_HOME", NOWHERE),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_SYSTEM", NOWHERE),
    ("GIT_CONFIG_GLOBAL", NOWHERE),
    ("GIT_ATTR_NOSYSTEM", "1"),
    // Nobody is there to answer, and no program may answer instead.
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "false"),
    ("SSH_ASKPASS", "false"),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GIT_SSH_COMMAND", SSH),
    ("GIT_SSH_VARIANT", "ssh"),
    // An object is what its id says: `refs/replace` could put another in its place.
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    // A missing object is an error, never a reason to ask a remote that the repository names.
    ("GIT_NO_LAZY_FETCH", "1"),
    // A path is a path: no `:(glob)`, no `*`.
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    // Git never climbs in search of a repository.
    ("GIT_CEILING_DIRECTORIES", "/"),
    ("GIT_DISCOVERY_ACROSS_FILESYSTEM", "0"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
];

const SETTINGS: &[(&str, &str)] = &[
    // What would run a program.
    ("core.hooksPath", NOWHERE),
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("init.templateDir", ""),
    // A signature is checked by a program that the repository may name.
    ("log.showSignature", "false"),
    ("gpg.program", "false"),
    // What would read a file that is not the repository's.
    ("core.attributesFile", NOWHERE),
    ("core.excludesFile", NOWHERE),
    ("commit.template", NOWHERE),
    // What would reach another remote than the one asked for.
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.bundleURI", ""),
    ("transfer.bundleURI", "false"),
    ("fetch.uriProtocols", ""),
    // A redirect would lead past the rules for addresses: to another host, or into this network.
    // A repository that has moved is an error that says where git was sent.
    ("http.followRedirects", "false"),
    ("http.sslVerify", "true"),
    ("http.proxy", ""),
    ("http.cookieFile", ""),
    ("http.saveCookies", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    // Every object is checked as it comes in, before any other git process reads it.
    ("transfer.fsckObjects", "true"),
    ("fetch.fsckObjects", "true"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    // One pack for one fetch, so that the bound on a file's length bounds the fetch.
    ("fetch.unpackLimit", "1"),
    ("transfer.unpackLimit", "1"),
    ("fetch.writeCommitGraph", "false"),
    ("core.commitGraph", "false"),
    ("core.multiPackIndex", "false"),
    // Memory: longer blobs are streamed to disk; mapped windows and delta caches stay small.
    ("core.bigFileThreshold", "32m"),
    ("core.packedGitWindowSize", "32m"),
    ("core.packedGitLimit", "512m"),
    ("core.deltaBaseCacheLimit", "64m"),
    ("pack.windowMemory", "64m"),
    ("pack.threads", "2"),
    // A work tree is what the commit says, links included, whatever the host prefers.
    ("core.symlinks", "true"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.ignoreCase", "false"),
    ("core.precomposeUnicode", "false"),
    ("core.sparseCheckout", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.untrackedCache", "false"),
    ("index.sparse", "false"),
    ("advice.detachedHead", "false"),
    ("protocol.version", "2"),
    ("protocol.allow", "never"),
];

/// Findings of git's check that are lowered to a warning.
///
/// All of them are about the text of a commit or tag, or a leading zero in a tree. Old versions of
/// git, of other tools and of forges wrote such objects; they stand for ever in the history of
/// well-known repositories, cannot be mended without changing every id, and change no path and no
/// content of a work tree. Names are those of the manual page git-fsck.
const HARMLESS_FINDINGS: &[&str] = &[
    "zeroPaddedFilemode",
    "badFilemode",
    "badDate",
    "badDateOverflow",
    "zeroPaddedDate",
    "badTimezone",
    "badEmail",
    "badName",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "multipleAuthors",
    "badTagName",
    "nulInCommit",
];

/// The whole environment of a process.
pub(super) fn variables(call: &Call<'_>) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = VARIABLES
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut settings: Vec<(String, &str)> = SETTINGS
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value))
        .collect();
    for finding in HARMLESS_FINDINGS {
        settings.push((format!("fetch.fsck.{finding}"), "warn"));
    }
    // An empty list allows nothing; a variable that is not set would allow git's defaults.
    let protocol = call.protocol.map_or("", Protocol::name);
    variables.push(("GIT_ALLOW_PROTOCOL".into(), protocol.into()));
    if !protocol.is_empty() {
        settings.push((format!("protocol.{protocol}.allow"), "always"));
    }
    variables.push(("GIT_CONFIG_COUNT".into(), settings.len().to_string().into()));
    for (at, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{at}").into(), key.into()));
        variables.push((format!("GIT_CONFIG_VALUE_{at}").into(), value.into()));
    }
    if let Some(git_dir) = &call.git_dir {
        variables.push(("GIT_DIR".into(), git_dir.into()));
    }
    if let Some(work_tree) = call.work_tree {
        variables.push(("GIT_WORK_TREE".into(), work_tree.into()));
    }
    variables
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// The value of `--upload-pack` for a `file://` address: the same git program, which takes exactly
/// the directory that it is given (`--strict`).
///
/// `safe.directory` is any: whoever owns a repository on this disk, `upload-pack` runs nothing that
/// its configuration names, and that configuration is all the ownership check guards against.
/// `uploadpack.packObjectsHook` counts only from outside of the repository, and there is none.
/// Indexes that only make it faster are ignored, because they are the owner's word about objects.
/// What goes from one directory of this disk to another is not made as small as could be: looking for
/// deltas took half of the time of a checkout, and saved a few per cent of its bytes.
pub(crate) fn upload_pack(program: &Path) -> OsString {
    let mut command = OsString::from("'");
    // The shell that git hands this to ends a quoted text at a quote and nowhere else.
    for part in program
        .as_os_str()
        .as_bytes()
        .split_inclusive(|byte| *byte == b'\'')
    {
        match part.strip_suffix(b"'") {
            Some(before) => {
                command.push(OsStr::from_bytes(before));
                command.push("'\\''");
            }
            None => command.push(OsStr::from_bytes(part)),
        }
    }
    command.push(
        "' -c safe.directory='*' -c core.hooksPath=/dev/null -c core.commitGraph=false \
         -c core.multiPackIndex=false -c pack.useBitmaps=false -c pack.window=0 \
         -c pack.compression=1 upload-pack --strict",
    );
    command
}
