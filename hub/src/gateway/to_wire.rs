//! A leased job → the offer that travels. What is taken apart here is so completely, so that a new field does not compile
//! until somebody decides whether it travels. Of a job only its steps do, and of those the ones that are left to run: a
//! retry begins with the first one that has no end.

use std::collections::BTreeMap;

use cofferdam_protocol::job_spec::{BuildRef, CheckoutSpec, JobSpec};
use cofferdam_protocol::{BuildId, Fence};

use crate::domain::{Attempt, Build, Job, Push, Repository};

/// Where a build's files are for its steps; scripts in the wild name it
/// (<https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>).
const CLONE_DIR: &str = "/opt/atlassian/pipelines/agent/build";

/// The offer of one attempt.
pub fn job_spec(job: Job, attempt: &Attempt, build: &Build, repository: &Repository) -> JobSpec {
    let steps = job.steps_to_run();
    let Attempt {
        id,
        fence,
        runner: _,
        lease_until: _,
        started_at: _,
        is_cancel_wanted: _,
    } = *attempt;
    let Build {
        id: build_id,
        number,
        push,
        trust,
        selected: _,
        diagnostics: _,
        state: _,
        created_at: _,
        finished_at: _,
    } = build;
    let Push {
        repository: name,
        reference,
        commit,
        received_at: _,
    } = push;
    JobSpec {
        attempt: id,
        fence,
        build: BuildRef {
            id: *build_id,
            number: *number,
            repository: name.to_string(),
        },
        checkout: CheckoutSpec {
            url: repository.url.clone(),
            reference: reference.clone(),
            commit: commit.clone(),
        },
        trust: *trust,
        env: environment(build, fence, repository),
        steps,
    }
}

/// Bitbucket's variables, as far as they are true here: there is no workspace but what the repository's
/// address says.
fn environment(build: &Build, fence: Fence, repository: &Repository) -> BTreeMap<String, String> {
    let push = &build.push;
    let name = push.repository.as_str();
    let mut env = BTreeMap::new();
    let mut put = |key: &str, value: &str| env.insert(key.to_owned(), value.to_owned());
    put("CI", "true");
    put("BITBUCKET_BUILD_NUMBER", &build.number.to_string());
    put("BITBUCKET_CLONE_DIR", CLONE_DIR);
    put("BITBUCKET_COMMIT", push.commit.as_str());
    put("BITBUCKET_PIPELINE_UUID", &uuid(build.id));
    put("BITBUCKET_STEP_RUN_NUMBER", &fence.to_string());
    put("BITBUCKET_REPO_SLUG", name);
    if let Some(branch) = push.reference.strip_prefix("refs/heads/") {
        put("BITBUCKET_BRANCH", branch);
    }
    if let Some(tag) = push.reference.strip_prefix("refs/tags/") {
        put("BITBUCKET_TAG", tag);
    }
    let owner = owner(&repository.url);
    match owner {
        Some(owner) => {
            put("BITBUCKET_REPO_FULL_NAME", &format!("{owner}/{name}"));
            put("BITBUCKET_REPO_OWNER", owner);
            put("BITBUCKET_WORKSPACE", owner);
        }
        None => {
            put("BITBUCKET_REPO_FULL_NAME", name);
        }
    }
    if repository.url.starts_with("https://") {
        put("BITBUCKET_GIT_HTTP_ORIGIN", &repository.url);
    } else if !repository.url.starts_with("file://") {
        put("BITBUCKET_GIT_SSH_ORIGIN", &repository.url);
    }
    env
}

/// The directory in which a forge keeps the repository: `team` of `https://host/team/repo.git`.
fn owner(url: &str) -> Option<&str> {
    let below_host = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.split_once(':')?.1,
    };
    let (above, _) = below_host.trim_end_matches('/').rsplit_once('/')?;
    above.rsplit('/').next().filter(|owner| !owner.is_empty())
}

/// An id in the form in which Bitbucket writes its own.
fn uuid(id: BuildId) -> String {
    let digits = data_encoding::HEXLOWER.encode(&id.to_bytes());
    let part = |from, to| digits.get(from..to).unwrap_or_default();
    format!(
        "{{{}-{}-{}-{}-{}}}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_what_a_forge_has_above_the_repository() {
        for (url, expected) in [
            ("https://host.example/team/repo.git", Some("team")),
            ("https://host.example/group/team/repo", Some("team")),
            ("https://host.example/repo.git", None),
            ("ssh://git@host.example:22/team/repo", Some("team")),
            ("git@host.example:team/repo.git", Some("team")),
            ("file:///srv/git/repo.git", None),
        ] {
            assert_eq!(owner(url), expected, "{url}");
        }
    }

    #[test]
    fn an_id_looks_as_bitbuckets_do() {
        assert_eq!(
            uuid(BuildId::from_bytes([0xab; 16])),
            "{abababab-abab-abab-abab-abababababab}"
        );
    }
}
