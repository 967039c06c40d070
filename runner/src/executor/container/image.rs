//! Brings the image of a step: reads its name as Docker users mean it, looks whether it is here, pulls it
//! if not.
//!
//! Names are strictly read, because they become part of a path of the engine's API. Deliberately absent:
//! registry credentials and a list of allowed registries.

use std::fmt::{self, Display};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ApiError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::journal::is_missing;
use crate::executor::ExecutorError;

/// Longest time for a pull. The largest images in use (10 GB) arrive in that time at 150 Mbit/s.
const PULL_MAX: Duration = Duration::from_mins(10);

/// Longest name, in bytes; registries allow 255 for the repository and 128 for the tag.
const NAME_BYTES_MAX: usize = 512;

/// What registries and engines say when an image is not there, or not for us.
const USER_WORDS: [&str; 8] = [
    "manifest unknown",
    "name unknown",
    "not found",
    "no such image",
    "does not exist",
    "access to the resource is denied",
    "unauthorized",
    "authentication required",
];

/// An image's full name: registry, repository, tag or digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageName(String);

impl ImageName {
    /// Reads a name as `docker pull` does: without a registry it is Docker Hub's, without a namespace
    /// there it is `library/`, without a tag it is `latest`
    /// (<https://docs.docker.com/reference/cli/docker/image/tag/#description>).
    pub(super) fn parse(text: &str) -> Result<Self, ExecutorError> {
        let wrong = || {
            let shown: String = text.chars().take(100).collect();
            ExecutorError::User(format!("{shown:?} is not the name of an image"), None)
        };
        if text.len() > NAME_BYTES_MAX {
            return Err(wrong());
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
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            Some(_) => ("docker.io", path.to_owned()),
            None => ("docker.io", format!("library/{path}")),
        };
        let is_right = repository.split('/').all(is_component)
            && is_host(registry)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !is_right {
            return Err(wrong());
        }
        let mut name = format!("{registry}/{repository}");
        match (digest, tag) {
            // A digest says everything; engines differ in what a tag beside it means.
            (Some(digest), _) => name.extend(["@", digest]),
            (None, tag) => name.extend([":", tag.unwrap_or("latest")]),
        }
        Ok(Self(name))
    }

    /// Whether it was made on this host: no registry is called so.
    pub(super) fn is_local(&self) -> bool {
        self.0.starts_with("localhost/")
    }
}

impl Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first part of a name is a registry if it looks like a host.
fn is_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

fn is_host(part: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric();
    part.bytes().all(|b| is_plain(b) || b".-:".contains(&b))
        && part.bytes().next().is_some_and(is_plain)
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

/// The id of the image, if it is on this host.
pub(super) async fn find(
    docker: &Docker,
    name: &ImageName,
) -> Result<Option<String>, ExecutorError> {
    match docker.inspect_image(&name.0).await {
        Ok(found) => Ok(found.id),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(ExecutorError::Infrastructure(
            format!("could not ask the container engine for the image {name}"),
            Some(Box::new(error)),
        )),
    }
}

/// Pulls the image and answers its id. Takes at most ten minutes. May be cancelled; the engine may then
/// go on pulling.
pub(super) async fn pull(docker: &Docker, name: &ImageName) -> Result<String, ExecutorError> {
    if name.is_local() {
        return Err(ExecutorError::User(
            format!(
                "there is no image {name} on this host, and names under localhost/ are not pulled"
            ),
            None,
        ));
    }
    match timeout(PULL_MAX, transfer(docker, name)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(blame(name, error)),
        Err(_elapsed) => {
            return Err(ExecutorError::Infrastructure(
                format!(
                    "the image {name} did not arrive within {} s",
                    PULL_MAX.as_secs()
                ),
                None,
            ));
        }
    }
    find(docker, name).await?.ok_or_else(|| {
        ExecutorError::Infrastructure(
            format!("the engine pulled the image {name} and does not have it"),
            None,
        )
    })
}

async fn transfer(docker: &Docker, name: &ImageName) -> Result<(), ApiError> {
    let wanted = CreateImageOptionsBuilder::default()
        .from_image(&name.0)
        .build();
    let mut progress = docker.create_image(Some(wanted), None, None);
    while let Some(news) = progress.next().await {
        news?;
    }
    Ok(())
}

/// Who is to blame for a failed pull. Engines pass on what the registry said as text and nothing else.
fn blame(name: &ImageName, error: ApiError) -> ExecutorError {
    let said = error.to_string().to_lowercase();
    let is_users = USER_WORDS.iter().any(|words| said.contains(words));
    let source = Some(error.into());
    if is_users {
        ExecutorError::User(
            format!("there is no image {name}, or it needs credentials that this runner lacks"),
            source,
        )
    } else {
        ExecutorError::Infrastructure(format!("could not pull the image {name}"), source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_docker_users_mean() {
        let digest = format!("alpine:3@sha256:{}", "a".repeat(64));
        for (text, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            (
                "atlassian/default-image:4",
                "docker.io/atlassian/default-image:4",
            ),
            ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest"),
            ("localhost/x:1", "localhost/x:1"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
            (
                digest.as_str(),
                &format!("docker.io/library/alpine@sha256:{}", "a".repeat(64)),
            ),
        ] {
            let name = ImageName::parse(text).expect(text);
            assert_eq!(name.to_string(), full);
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
            &"x".repeat(600),
        ] {
            assert!(
                matches!(ImageName::parse(text), Err(ExecutorError::User(..))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_missing_image_is_the_user_s_and_a_silent_registry_is_not() {
        let name = ImageName::parse("alpine").expect("a name");
        let failed = |error: &str| {
            let error = ApiError::DockerStreamError {
                error: error.to_owned(),
            };
            matches!(blame(&name, error), ExecutorError::User(..))
        };
        assert!(failed(
            "reading manifest 9 in docker.io/library/alpine: manifest unknown"
        ));
        assert!(failed(
            "pull access denied: requested access to the resource is denied"
        ));
        assert!(!failed(
            "pinging container registry: dial tcp: lookup docker.io: no such host"
        ));
        assert!(!failed("dial tcp 127.0.0.1:1: connect: connection refused"));
    }
}
