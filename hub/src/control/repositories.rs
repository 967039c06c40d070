//! Repositories: add, list, and what their git server needs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use cofferdam_git::RemoteUrl;
use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};

use super::view::{AddRepository, HookView, RepositoryView};
use super::{Control, ControlError, bad};
use crate::domain::{RepoName, Repository};

pub(super) async fn list(
    State(control): State<Arc<Control>>,
) -> Result<Json<Vec<RepositoryView>>, ControlError> {
    let all = control.repositories.repositories().await?;
    Ok(Json(all.into_iter().map(view).collect()))
}

fn view(repository: Repository) -> RepositoryView {
    let Repository {
        name,
        url,
        hook_key: _,
    } = repository;
    RepositoryView {
        name: name.to_string(),
        url,
    }
}

pub(super) async fn add(
    State(control): State<Arc<Control>>,
    Json(wish): Json<AddRepository>,
) -> Result<Json<HookView>, ControlError> {
    let AddRepository { name, url } = wish;
    let name: RepoName = name.parse().map_err(bad)?;
    RemoteUrl::parse(&url, &control.remotes).map_err(bad)?;
    let key = BASE64URL_NOPAD.encode(&control.entropy.secret());
    let repository = Repository {
        name,
        url,
        hook_key: SecretString::from(key),
    };
    if !control.repositories.add_repository(&repository).await? {
        let name = &repository.name;
        return Err(ControlError::Taken(format!(
            "there is a repository {name} already"
        )));
    }
    tracing::info!(target: "audit", repository = %repository.name, "added a repository");
    Ok(Json(control.hook_of(&repository)))
}

pub(super) async fn hook(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
) -> Result<Json<HookView>, ControlError> {
    let name: RepoName = name.parse().map_err(bad)?;
    let repository = control.repositories.repository(&name).await?;
    let repository =
        repository.ok_or_else(|| ControlError::Missing(format!("repository {name}")))?;
    tracing::info!(target: "audit", repository = %name, "told a repository's key to the operator");
    Ok(Json(control.hook_of(&repository)))
}

impl Control {
    fn hook_of(&self, repository: &Repository) -> HookView {
        HookView {
            hub: self.url.clone(),
            repository: repository.name.to_string(),
            key: repository.hook_key.expose_secret().to_owned(),
            ca: self.authority.ca_pem().to_owned(),
        }
    }
}
