//! What a local run knows of its build, and the environment that each step finds.

use std::collections::BTreeMap;

use cofferdam_pipeline::variables::{RepositoryFacts, StepFacts, UserVariables, of_step};
use cofferdam_pipeline::{CustomVariable, Reference, StepPlan};

use crate::executor::container::CLONE_DIR;

/// The same for all steps of a run.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The snapshot's id.
    pub commit: String,
    /// What the run pretends was pushed.
    pub reference: Reference,
    /// Who owns the repository, if its remote says so.
    pub owner: String,
    /// The repository's name.
    pub slug: String,
    /// What was chosen for a custom pipeline.
    pub custom: Vec<CustomVariable>,
}

impl Facts {
    /// What Bitbucket sets and is true here.
    pub(super) fn env(&self, step: &StepPlan) -> BTreeMap<String, String> {
        let facts = StepFacts {
            // A laptop counts no builds.
            build_number: 1,
            clone_dir: CLONE_DIR,
            commit: &self.commit,
            repository: RepositoryFacts {
                workspace: &self.owner,
                slug: &self.slug,
                ..RepositoryFacts::default()
            },
            reference: &self.reference,
            pull_request: None,
            pipeline_uuid: None,
            step_uuid: None,
            step_run_number: Some(1),
            step_triggerer_uuid: None,
            parallel: step.group,
            deployment_environment: step
                .deployment
                .as_ref()
                .map(|deployment| deployment.environment.as_str()),
            deployment_environment_uuid: None,
            exit_code: None,
        };
        let user = UserVariables {
            custom: &self.custom,
            ..UserVariables::default()
        };
        let mut env = of_step(&facts, &user);
        if self.owner.is_empty() {
            // Nobody owns a repository without a remote, and no variable says that somebody called "" does.
            for name in ["WORKSPACE", "REPO_OWNER", "REPO_FULL_NAME"] {
                let name = format!("BITBUCKET_{name}");
                if !self.custom.iter().any(|variable| variable.name == name) {
                    env.remove(&name);
                }
            }
        }
        env
    }
}
