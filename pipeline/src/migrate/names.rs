//! Names of variables that nobody has to set, and names that sound like a secret's.

use crate::variables;

/// What a shell or a system sets by itself. POSIX.1-2024, "Environment Variables" and "Shell Variables"; the manual of bash,
/// "Bash Variables".
/// <https://www.gnu.org/software/bash/manual/html_node/Bash-Variables.html>
const OF_SHELLS: &[&str] = &[
    "COLUMNS",
    "COMP_WORDS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "IFS",
    "LANG",
    "LANGUAGE",
    "LINENO",
    "LINES",
    "LOGNAME",
    "MACHTYPE",
    "MAIL",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "OSTYPE",
    "PATH",
    "PIPESTATUS",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "TERM",
    "TMPDIR",
    "UID",
    "USER",
    "_",
];

/// What widely used images set.
const OF_IMAGES: &[&str] = &[
    "ANDROID_HOME",
    "ANDROID_SDK_ROOT",
    "CARGO_HOME",
    "COMPOSER_HOME",
    "DOTNET_ROOT",
    "GEM_HOME",
    "GOPATH",
    "GOROOT",
    "GRADLE_HOME",
    "JAVA_HOME",
    "MAVEN_HOME",
    "NODE_VERSION",
    "NVM_DIR",
    "PHP_INI_DIR",
    "PYTHON_VERSION",
    "RUBY_VERSION",
    "RUSTUP_HOME",
    "VIRTUAL_ENV",
];

/// Parts of a name, between underscores, that a secret's has.
const OF_SECRETS: &[&str] = &[
    "APIKEY",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
    "DSN",
    "KEY",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PAT",
    "PRIVATE",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "WEBHOOK",
];

/// Ends of such parts: `NPMTOKEN`, `accessKey`.
const ENDS_OF_SECRETS: &[&str] = &["APIKEY", "ACCESSKEY", "PASSWORD", "SECRET", "TOKEN"];

/// Where the value of a variable comes from, as far as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Its name says nothing.
    Person,
    /// Every step has it, or every shell.
    Here,
    /// Bitbucket sets it, and we do not.
    Bitbucket,
    Image,
}

pub(super) fn origin(name: &str) -> Origin {
    if variables::DEFAULTS.contains(&name) || is_of_shell(name) {
        Origin::Here
    } else if name.starts_with("BITBUCKET_") || name == "PIPELINES_JWT_TOKEN" {
        Origin::Bitbucket
    } else if OF_IMAGES.contains(&name) {
        Origin::Image
    } else {
        Origin::Person
    }
}

fn is_of_shell(name: &str) -> bool {
    OF_SHELLS.contains(&name) || name.starts_with("BASH") || name.starts_with("LC_")
}

pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.split('_').any(|part| {
        OF_SECRETS.contains(&part) || ENDS_OF_SECRETS.iter().any(|end| part.ends_with(end))
    })
}
