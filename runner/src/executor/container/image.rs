//! Brings the image of a step: looks whether it is here, pulls it if not.
//!
//! Names are strictly read, because they become part of a path of the engine's API; their one reader is the
//! ceiling's, which also says where images may come from. Deliberately absent: registry credentials.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ApiError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::journal::is_missing;
use crate::ceiling::{BadImage, ImageName};
use crate::executor::ExecutorError;

/// Longest time for a pull. The largest images in use (10 GB) arrive in that time at 150 Mbit/s.
const PULL_MAX: Duration = Duration::from_mins(10);

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

/// Reads the name of a step's image.
pub(super) fn named(text: &str) -> Result<ImageName, ExecutorError> {
    text.parse().map_err(|why: BadImage| {
        let shown: String = text.chars().take(100).collect();
        ExecutorError::User(format!("{shown:?} {why}"), None)
    })
}

/// The id of the image, if it is on this host.
pub(super) async fn find(
    docker: &Docker,
    name: &ImageName,
) -> Result<Option<String>, ExecutorError> {
    match docker.inspect_image(&name.to_string()).await {
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
        .from_image(&name.to_string())
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
    fn a_name_that_is_none_is_the_user_s() {
        let refused = named("a/../../containers/x").unwrap_err();
        assert!(matches!(refused, ExecutorError::User(..)));
        assert_eq!(
            refused.to_string(),
            "\"a/../../containers/x\" is not the name of an image"
        );
    }

    #[test]
    fn a_missing_image_is_the_user_s_and_a_silent_registry_is_not() {
        let name = named("alpine").expect("a name");
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
