//! A container's image: a name, or a mapping with a name, a user and credentials.
//!
//! The table has checked the form. A name that no engine can take makes the step unsupported, because the language's own
//! schema lets it pass.

use super::shape::Lacking;
use crate::diagnostic::{Report, quote};
use crate::plan::{ImageCredentials, ImagePlan};
use crate::tree::{Entry, Map};

/// What a step runs in if the file names no image.
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-docker-images-as-build-environments/>
const DEFAULT_IMAGE: &str = "atlassian/default-image:latest";

/// Longest image reference. Registry, repository, tag and digest of the distribution specification stay below it, and
/// a plan may hold one in every step.
const IMAGE_BYTES_MAX: usize = 1024;

/// Longest user name or password. Tokens of registries have up to 2 kB; a plan may hold one in every step.
const CREDENTIAL_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) plan: ImagePlan,
    pub(super) lacking: Lacking,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            plan: ImagePlan {
                name: DEFAULT_IMAGE.to_owned(),
                run_as_user: None,
                credentials: None,
                line: None,
            },
            lacking: Lacking::default(),
        }
    }
}

/// Reads the value of an `image` key. One that has not the form that is due was reported, and reads as the default.
pub(super) fn read(entry: &Entry, report: &mut Report) -> Image {
    let mut image = Image::default();
    let name = match entry.value.as_map() {
        Some(map) => {
            details(map, &mut image, report);
            map.get("name").map(|name| &name.value)
        }
        None => Some(&entry.value),
    };
    let Some((name, text)) = name.and_then(|node| Some((node, node.as_string()?))) else {
        return image;
    };
    if text.contains('$') {
        let what = "a variable in an image's name";
        image
            .lacking
            .note(what, "no variable is expanded here yet", name.span, report);
    } else if !is_image_name(text) {
        let what = format!("{} as the name of an image", quote(text));
        let why = "a name is `name`, `name:tag` or `name@sha256:…`";
        image.lacking.note(&what, why, name.span, report);
    }
    image.plan.name = text.chars().take(IMAGE_BYTES_MAX).collect();
    image.plan.line = Some(name.span.line);
    image
}

fn details(map: &Map, image: &mut Image, report: &mut Report) {
    super::shape::keys(map, "image", &mut image.lacking, report);
    if let Some(entry) = map.get("run-as-user") {
        match entry.value.as_whole().map(u32::try_from) {
            Some(Ok(user)) => image.plan.run_as_user = Some(user),
            _ => image.lacking.note(
                "`image.run-as-user`",
                "no user has this number",
                entry.value.span,
                report,
            ),
        }
    }
    let text = |key: &str| map.get(key)?.value.as_string().map(str::to_owned);
    let (Some(username), Some(password)) = (text("username"), text("password")) else {
        return;
    };
    let line = map.get("username").map_or(1, |entry| entry.key_span.line);
    if username.len() + password.len() > CREDENTIAL_BYTES_MAX {
        let why = "user name and password have more than 4096 bytes";
        let span = map.get("username").map_or_else(
            || crate::diagnostic::Span::at_line(line),
            |entry| entry.key_span,
        );
        image.lacking.note("`image.username`", why, span, report);
        return;
    }
    image.plan.credentials = Some(ImageCredentials {
        username,
        password,
        line,
    });
}

/// The characters of a reference; the engine checks its grammar. What begins with `-` could be taken for an option.
fn is_image_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    text.len() <= IMAGE_BYTES_MAX
        && text.bytes().all(is_allowed)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}
