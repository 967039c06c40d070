//! A container's image: a name, or a mapping with a name.
//!
//! Only the name is understood; whatever else a mapping asks for makes a script step unsupported.

use super::shape::{self, Lacking};
use crate::diagnostic::{Report, quote};
use crate::tree::{Entry, Value};

/// What a step runs in if the file names no image.
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-docker-images-as-build-environments/>
const DEFAULT_IMAGE: &str = "atlassian/default-image:latest";

/// Longest image reference. Registry, repository, tag and digest of the distribution specification stay below it, and
/// a plan may hold one in every step.
const IMAGE_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) lacking: Lacking,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            name: DEFAULT_IMAGE.to_owned(),
            lacking: Lacking::default(),
        }
    }
}

/// Reads the value of an `image` key.
pub(super) fn read(entry: &Entry, report: &mut Report) -> Image {
    let mut lacking = Lacking::default();
    let name = match &entry.value.value {
        Value::Map(map) => {
            shape::keys(map, "image", &mut lacking, report);
            let Some(name) = map.get("name") else {
                report.error(
                    "no-image-name",
                    entry.key_span,
                    "this `image` has no `name`",
                );
                return Image::default();
            };
            &name.value
        }
        Value::Scalar(_) | Value::List(_) => &entry.value,
    };
    let Some(text) = shape::text(name, "an image's name", report) else {
        return Image::default();
    };
    if text.contains('$') {
        let what = "a variable in an image's name";
        lacking.note(what, "no variable is expanded here yet", name.span, report);
    } else if !is_image_name(text) {
        let message = format!("{} is not the name of an image", quote(text));
        report
            .error("image-name", name.span, message)
            .help("write `name`, `name:tag` or `name@sha256:…`");
        return Image::default();
    }
    Image {
        name: text.to_owned(),
        lacking,
    }
}

/// The characters of a reference; the engine checks its grammar. What begins with `-` could be taken for an option.
fn is_image_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    text.len() <= IMAGE_BYTES_MAX
        && text.bytes().all(is_allowed)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}
