//! What a secret looks like. Each rule names the public page that it was taken from.

/// A token that its issuer made recognisable: a fixed prefix, then characters of one alphabet.
#[derive(Clone, Copy, Debug)]
pub struct TokenRule {
    /// What a finding is called.
    pub name: &'static str,
    /// Any of these starts the token.
    pub prefixes: &'static [&'static str],
    /// Whether a byte may stand after the prefix.
    pub is_in_alphabet: fn(u8) -> bool,
    /// Fewest and most bytes after the prefix. A longer run is some other word, no token.
    pub length: (usize, usize),
}

/// Every token rule.
pub const TOKENS: &[TokenRule] = &[
    // AWS, "IAM identifiers", unique ID prefixes: a long-term and a temporary access key, and the
    // two bearer forms. The rest is sixteen characters of base 32.
    TokenRule {
        name: "aws-access-key-id",
        prefixes: &["AKIA", "ASIA", "ABIA", "ACCA"],
        is_in_alphabet: |byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
        length: (16, 16),
    },
    // GitHub, "About authentication to GitHub", token formats.
    TokenRule {
        name: "github-token",
        prefixes: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        is_in_alphabet: |byte| byte.is_ascii_alphanumeric(),
        length: (36, 255),
    },
    TokenRule {
        name: "github-token",
        prefixes: &["github_pat_"],
        is_in_alphabet: |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        length: (60, 255),
    },
    // GitLab, "Token overview", token prefixes: personal, runner, deploy, CI job, trigger, OAuth,
    // agent, feed.
    TokenRule {
        name: "gitlab-token",
        prefixes: &[
            "glpat-", "glrt-", "gldt-", "glcbt-", "glptt-", "gloas-", "glagent-", "glft-",
        ],
        is_in_alphabet: is_url_safe,
        length: (20, 300),
    },
    // Slack, "Token types".
    TokenRule {
        name: "slack-token",
        prefixes: &[
            "xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xapp-",
        ],
        is_in_alphabet: |byte| byte.is_ascii_alphanumeric() || byte == b'-',
        length: (20, 300),
    },
];

/// AWS's own documentation uses keys that end like this one; they open nothing.
pub const EXAMPLE_SUFFIX: &[u8] = b"EXAMPLE";

/// The name of the rule for `-----BEGIN … PRIVATE KEY-----` (RFC 7468; PGP adds ` BLOCK`).
pub const PRIVATE_KEY: &str = "private-key";

/// The name of the rule for forty characters of base 64 that are assigned to an AWS secret key.
pub const AWS_SECRET: &str = "aws-secret-access-key";

/// The name of the strict rule: a random-looking value assigned to a telling name.
pub const ASSIGNMENT: &str = "high-entropy-assignment";

/// Names that hold an AWS secret access key, lower-case and without `_` and `-`.
pub const AWS_SECRET_NAMES: &[&str] = &["awssecretaccesskey", "awssecretkey", "secretaccesskey"];

/// Parts of names that hold secrets, lower-case and without `_` and `-`.
pub const TELLING_NAMES: &[&str] = &[
    "secret",
    "token",
    "password",
    "passwd",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
];

/// A line with these words is left out, and counted. They are meant for a comment beside a test's sample.
pub const ALLOW_MARK: &[u8] = b"secret-scan: allow";

/// The alphabet of RFC 4648's URL-safe base 64, and the dot that joins a token's parts.
pub fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Every byte that a base 64, hexadecimal or URL-safe value is made of.
pub fn is_value_byte(byte: u8) -> bool {
    is_url_safe(byte) || matches!(byte, b'+' | b'/' | b'=')
}
