//! Images: a name as Docker's users mean it, and the names that an operator allows.
//!
//! The one reader of such names in this crate: what is held against a list here is, to the letter, what the executor asks
//! an engine for. Deliberately absent: whether a tag still means the same image tomorrow; only a digest says that.

use std::fmt;
use std::str::FromStr;

use super::Covers;

/// Longest name, in bytes; registries allow 255 for the repository and 128 for the tag.
const NAME_BYTES_MAX: usize = 512;

/// Docker Hub, under the name that names without a registry get.
const DOCKER_HUB: &str = "docker.io";

/// An image's full name. Registries are in lower case, and Docker Hub has one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    registry: Registry,
    repository: String,
    version: Version,
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tag(String),
    /// `sha256:` and 64 lower-case hexadecimal digits.
    Digest(String),
}

/// A registry: host and, if it is not the usual one, port. Another port is another registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registry(String);

/// Images that an operator allows with one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImagePattern {
    /// `rust:1.95` or `rust@sha256:…`: this one.
    One(ImageName),
    /// `rust`: every tag and digest of a repository.
    Repository {
        /// Where it is.
        registry: Registry,
        /// As the registry calls it.
        repository: String,
    },
    /// `ghcr.io/team/*`: every repository below.
    Below {
        /// Where they are.
        registry: Registry,
        /// What their names begin with: empty, or with a slash at its end.
        prefix: String,
    },
}

/// A text is no name of an image, or of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    #[error("is not the name of an image")]
    Image,
    #[error("is not a registry: a host, and perhaps a port")]
    Registry,
}

impl FromStr for ImageName {
    type Err = BadImage;

    /// Reads a name as `docker pull` does: without a registry it is Docker Hub's, without a namespace there it is `library/`,
    /// without a tag it is `latest` (<https://docs.docker.com/reference/cli/docker/image/tag/#description>).
    fn from_str(text: &str) -> Result<Self, BadImage> {
        let Parts {
            registry,
            repository,
            tag,
            digest,
        } = parts(text)?;
        // A digest says everything; engines differ in what a tag beside it means.
        let version = match (digest, tag) {
            (Some(digest), _) => Version::Digest(digest.to_ascii_lowercase()),
            (None, tag) => Version::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Ok(Self {
            registry,
            repository,
            version,
        })
    }
}

impl ImageName {
    /// Where it comes from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether it was made on this host: no registry is called so.
    pub fn is_local(&self) -> bool {
        self.registry.0 == "localhost"
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            version,
        } = self;
        match version {
            Version::Tag(tag) => write!(out, "{registry}/{repository}:{tag}"),
            Version::Digest(digest) => write!(out, "{registry}/{repository}@{digest}"),
        }
    }
}

struct Parts<'t> {
    registry: Registry,
    repository: String,
    tag: Option<&'t str>,
    digest: Option<&'t str>,
}

fn parts(text: &str) -> Result<Parts<'_>, BadImage> {
    if text.len() > NAME_BYTES_MAX {
        return Err(BadImage::Image);
    }
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let last = named.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match named[last..].split_once(':') {
        Some((_, tag)) => (&named[..named.len() - tag.len() - 1], Some(tag)),
        None => (named, None),
    };
    let (registry, repository) = match path.split_once('/') {
        Some((first, rest)) if is_registry(first) => {
            (first.parse().map_err(|_| BadImage::Image)?, rest)
        }
        _ => (Registry(DOCKER_HUB.to_owned()), path),
    };
    let repository = if registry.0 == DOCKER_HUB && !repository.contains('/') {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    let is_right = repository.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    if !is_right {
        return Err(BadImage::Image);
    }
    Ok(Parts {
        registry,
        repository,
        tag,
        digest,
    })
}

/// The first part of a name is a registry if it looks like a host.
fn is_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

fn is_component(part: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    part.bytes().all(|b| is_plain(b) || b"._-".contains(&b))
        && part.bytes().next().is_some_and(is_plain)
        && part.bytes().last().is_some_and(is_plain)
        && !part.contains("..")
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && !tag.starts_with(['.', '-'])
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl FromStr for Registry {
    type Err = BadImage;

    fn from_str(text: &str) -> Result<Self, BadImage> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let is_label = |label: &str| {
            !label.is_empty() && !label.starts_with('-') && label.bytes().all(is_plain)
        };
        let is_port = |port: &str| {
            port.bytes().all(|b| b.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        if text.len() > NAME_BYTES_MAX
            || !host.split('.').all(is_label)
            || !port.is_none_or(is_port)
        {
            return Err(BadImage::Registry);
        }
        let name = text.to_ascii_lowercase();
        // Docker's other name for its own registry.
        Ok(Self(if name == "index.docker.io" {
            DOCKER_HUB.to_owned()
        } else {
            name
        }))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Covers for Registry {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

impl FromStr for ImagePattern {
    type Err = BadImage;

    fn from_str(text: &str) -> Result<Self, BadImage> {
        if let Some(prefix) = text.strip_suffix('*') {
            return below(prefix);
        }
        let Parts {
            registry,
            repository,
            tag,
            digest,
        } = parts(text)?;
        Ok(if tag.is_none() && digest.is_none() {
            Self::Repository {
                registry,
                repository,
            }
        } else {
            Self::One(text.parse()?)
        })
    }
}

/// `ghcr.io/` or `ghcr.io/team/`: whole components, so that `team/*` is no `team2`. `team/` alone is Docker Hub's.
fn below(text: &str) -> Result<ImagePattern, BadImage> {
    let path = text.strip_suffix('/').ok_or(BadImage::Image)?;
    let (first, rest) = match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let (registry, repository) = if is_registry(first) {
        (first.parse()?, rest)
    } else {
        (Registry(DOCKER_HUB.to_owned()), Some(path))
    };
    let prefix = match repository {
        None => String::new(),
        Some(repository) if repository.split('/').all(is_component) => format!("{repository}/"),
        Some(_) => return Err(BadImage::Image),
    };
    Ok(ImagePattern::Below { registry, prefix })
}

impl ImagePattern {
    fn place(&self) -> (&Registry, &str) {
        match self {
            Self::One(ImageName {
                registry,
                repository,
                version: _,
            })
            | Self::Repository {
                registry,
                repository,
            } => (registry, repository),
            Self::Below { registry, prefix } => (registry, prefix),
        }
    }
}

impl Covers for ImagePattern {
    fn covers(&self, other: &Self) -> bool {
        match self {
            Self::One(_) => self == other,
            Self::Repository { .. } => {
                !matches!(other, Self::Below { .. }) && self.place() == other.place()
            }
            Self::Below { registry, prefix } => {
                let (place, repository) = other.place();
                place == registry && repository.starts_with(prefix.as_str())
            }
        }
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(image) => image.fmt(out),
            Self::Repository {
                registry,
                repository,
            } => write!(out, "{registry}/{repository}"),
            Self::Below { registry, prefix } => write!(out, "{registry}/{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> String {
        text.replace("DIGEST", &format!("sha256:{}", "a".repeat(64)))
    }

    #[test]
    fn names_mean_what_docker_users_mean() {
        for (text, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("docker.io/alpine", "docker.io/library/alpine:latest"),
            (
                "index.docker.io/library/alpine",
                "docker.io/library/alpine:latest",
            ),
            (
                "atlassian/default-image:4",
                "docker.io/atlassian/default-image:4",
            ),
            ("GHCR.io/a/b/c", "ghcr.io/a/b/c:latest"),
            ("localhost/x:1", "localhost/x:1"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
            ("alpine:3@DIGEST", "docker.io/library/alpine@DIGEST"),
        ] {
            let name: ImageName = digest(text).parse().expect(text);
            assert_eq!(name.to_string(), digest(full), "{text}");
            assert_eq!(name.to_string().parse(), Ok(name), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for text in [
            "",
            "Alpine",
            "a b",
            "a/../../containers/x",
            "a//b",
            "x:",
            "x:1:2",
            "x?y=z",
            "x#y",
            "x@sha256:12",
            "-x",
            "../x",
            "http://x/y",
            "ghcr.io./x",
            "ghcr.io:/x",
            "ghcr.io:99999/x",
            "ghcr.io:1:2/x",
            "bücher.example/x",
            "rust*",
            &"x".repeat(600),
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_name_without_host_is_local() {
        for (text, is_local) in [
            ("localhost/x", true),
            ("localhost:5000/x", false),
            ("x", false),
        ] {
            assert_eq!(
                text.parse::<ImageName>().unwrap().is_local(),
                is_local,
                "{text}"
            );
        }
    }

    #[test]
    fn a_pattern_covers_what_it_says_and_no_neighbour() {
        for (pattern, name, covers) in [
            ("rust", "rust", true),
            ("rust", "docker.io/library/rust:1.95", true),
            ("rust", "rust@DIGEST", true),
            ("rust", "ghcr.io/library/rust", false),
            ("rust", "team/rust", false),
            ("rust", "rusty", false),
            ("rust:1.95", "rust:1.95", true),
            ("rust:1.95", "rust:1.96", false),
            ("rust:1.95", "rust@DIGEST", false),
            ("rust:1.95", "rust", false),
            ("rust@DIGEST", "rust@DIGEST", true),
            ("rust@DIGEST", "rust:1.95@DIGEST", true),
            ("rust@DIGEST", "rust:latest", false),
            ("ghcr.io/team/*", "ghcr.io/team/a/b:1", true),
            ("ghcr.io/team/*", "ghcr.io/team2/a", false),
            ("ghcr.io/team/*", "ghcr.io/team", false),
            ("ghcr.io/*", "ghcr.io/team", true),
            ("ghcr.io/*", "ghcr.io:443/team", false),
            ("ghcr.io/*", "ghcr.io.evil.example/team", false),
            ("team/*", "team/a", true),
            ("team/*", "ghcr.io/team/a", false),
            ("localhost:5000/*", "localhost/x", false),
        ] {
            let pattern: ImagePattern = digest(pattern).parse().expect(pattern);
            let name = ImagePattern::One(digest(name).parse().expect(name));
            assert_eq!(pattern.covers(&name), covers, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_covers_a_narrower_pattern() {
        for (wide, narrow, covers) in [
            ("ghcr.io/*", "ghcr.io/team/*", true),
            ("ghcr.io/team/*", "ghcr.io/*", false),
            ("ghcr.io/team/*", "ghcr.io/team/a", true),
            ("rust", "rust:1", true),
            ("rust:1", "rust", false),
            ("ghcr.io/team", "ghcr.io/team/*", false),
        ] {
            let pattern = |text: &str| text.parse::<ImagePattern>().unwrap();
            assert_eq!(
                pattern(wide).covers(&pattern(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
        for text in [
            "*",
            "ghcr.io*",
            "ghcr.io/te*",
            "ghcr.io/../*",
            "/*",
            "rust:*",
        ] {
            assert!(text.parse::<ImagePattern>().is_err(), "{text}");
        }
    }
}
