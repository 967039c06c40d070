//! What a step has around it: image, source, caches, services, artifacts.
//!
//! Texts are as the file spells them, variables not expanded. Whatever a host may be unable to give carries its line.

use std::collections::BTreeMap;

/// A container's image.
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-docker-images-as-build-environments/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePlan {
    /// `name[:tag][@digest]`.
    pub name: String,
    /// The user id that the script runs as. `None` is the image's own.
    pub run_as_user: Option<u32>,
    pub credentials: Option<ImageCredentials>,
    /// The line of the file, from 1, that names the image; `None` if none does.
    pub line: Option<u32>,
}

/// What a registry asks for, usually `$NAME` of a secured variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCredentials {
    pub username: String,
    pub password: String,
    /// From 1.
    pub line: u32,
}

/// How a step gets the commit's files.
/// <https://support.atlassian.com/bitbucket-cloud/docs/git-clone-behavior/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClonePlan {
    /// Whether the workspace holds the commit's files at all.
    pub enabled: bool,
    /// Commits of history; `None` is all of it.
    pub depth: Option<u32>,
    /// Whether large files are fetched, instead of pointers to them.
    pub lfs: bool,
    /// What the file asks for. Certificates are verified whatever it says.
    pub skip_ssl_verify: bool,
    /// The line of the file, from 1, at which `clone` stands; `None` if nothing is said.
    pub line: Option<u32>,
}

/// The last 50 commits, and no large files.
impl Default for ClonePlan {
    fn default() -> Self {
        Self {
            enabled: true,
            depth: Some(50),
            lfs: false,
            skip_ssl_verify: false,
            line: None,
        }
    }
}

/// Which files outlive a step, and which of earlier steps it gets.
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-artifacts-in-steps/>
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Artifacts {
    /// In the order of the file.
    pub upload: Vec<ArtifactUpload>,
    pub download: Download,
}

/// One artifact of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactUpload {
    /// `None` for a plain list of patterns.
    pub name: Option<String>,
    /// Patterns relative to the workspace, never empty.
    pub paths: Vec<String>,
    /// Patterns of files that are left out.
    pub ignore_paths: Vec<String>,
    pub kind: ArtifactKind,
    pub capture_on: CaptureOn,
    /// Levels of directories that are searched, at least 1. `None`: all.
    pub depth: Option<u32>,
    /// From 1.
    pub line: u32,
}

/// Who gets an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArtifactKind {
    /// Later steps and people.
    #[default]
    Shared,
    /// People only.
    Scoped,
    /// People, and whoever reads test results.
    TestReports,
}

/// After which end of a step an artifact is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptureOn {
    #[default]
    Success,
    Failed,
    Always,
}

/// Which artifacts of earlier steps a step gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Download {
    #[default]
    All,
    Nothing,
    /// Those with one of these names.
    Named(Vec<String>),
}

/// A directory that is kept between builds.
/// <https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlan {
    /// Any text, as the file spells it.
    pub name: String,
    /// `~/` is the home of the script's user; else relative to the workspace, or absolute in the container.
    pub path: String,
    /// Patterns of files of the repository. The cache is another one when one of them changes. Empty: there is one cache of
    /// this name.
    pub key_files: Vec<String>,
    /// The line of the file, from 1, at which the step names it.
    pub line: u32,
}

/// A container beside the step.
/// <https://support.atlassian.com/bitbucket-cloud/docs/databases-and-service-containers/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    /// Any text, as the file spells it.
    pub name: String,
    /// `None` for `docker`, and for a service that the file does not define.
    pub image: Option<ImagePlan>,
    pub memory_mib: u64,
    pub variables: BTreeMap<String, String>,
    /// The line of the file, from 1, at which the step names it.
    pub line: u32,
}
