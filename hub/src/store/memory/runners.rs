//! Runners and their tokens.

use async_trait::async_trait;
use cofferdam_protocol::RunnerId;
use jiff::Timestamp;

use super::{MemoryStore, Rows, TokenRow};
use crate::domain::{Job, JobState, JoinToken, Runner, RunnerState, StepClose};
use crate::store::{Joined, Newcomer, RunnerStore, StoreError};

#[async_trait]
impl RunnerStore for MemoryStore {
    async fn add_token(&self, token: &JoinToken) -> Result<(), StoreError> {
        let mut rows = self.rows();
        if rows.tokens.contains_key(&token.hash) {
            return Err(StoreError::new(
                "add a token",
                "there is this token already",
            ));
        }
        let row = TokenRow {
            token: token.clone(),
            is_used: false,
        };
        rows.tokens.insert(token.hash, row);
        Ok(())
    }

    async fn join(
        &self,
        token_hash: [u8; 32],
        newcomer: Newcomer,
        now: Timestamp,
    ) -> Result<Joined, StoreError> {
        let mut rows = self.rows();
        let is_id_taken = rows.runner(newcomer.id).is_some();
        let Some(row) = rows.tokens.get_mut(&token_hash) else {
            return Ok(Joined::UnknownToken);
        };
        if row.is_used {
            return Ok(Joined::UsedToken);
        }
        if row.token.expires_at <= now {
            return Ok(Joined::ExpiredToken);
        }
        if is_id_taken {
            let why = format!("there is a runner {} already", newcomer.id);
            return Err(StoreError::new("let a runner join", why));
        }
        row.is_used = true;
        let runner = newcomer.runner(row.token.labels.clone(), now);
        rows.runners.push(runner.clone());
        Ok(Joined::Yes(runner))
    }

    async fn runner(&self, id: RunnerId) -> Result<Option<Runner>, StoreError> {
        Ok(self.rows().runner(id).cloned())
    }

    async fn runners(&self) -> Result<Vec<Runner>, StoreError> {
        Ok(self.rows().runners.clone())
    }

    async fn revoke(&self, id: RunnerId, now: Timestamp) -> Result<Option<Vec<Job>>, StoreError> {
        let mut rows = self.rows();
        let Some(runner) = rows.runner_mut(id) else {
            return Ok(None);
        };
        runner.state = RunnerState::Revoked;
        let mut held = rows.leases();
        held.retain(|job| matches!(&job.state, JobState::Leased(live) if live.runner == id));
        rows.give_up(&held, StepClose::Revoked, now)
            .map_err(|why| StoreError::new("revoke a runner", why))?;
        if !held.is_empty() {
            self.changes.mark();
        }
        Ok(Some(held))
    }

    async fn saw(&self, id: RunnerId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(runner) = self.rows().runner_mut(id) {
            runner.seen_at = Some(now);
        }
        Ok(())
    }
}

impl Rows {
    pub(super) fn runner(&self, id: RunnerId) -> Option<&Runner> {
        self.runners.iter().find(|runner| runner.id == id)
    }

    pub(super) fn is_active(&self, id: RunnerId) -> bool {
        let runner = self.runner(id);
        runner.is_some_and(|runner| runner.state == RunnerState::Active)
    }

    fn runner_mut(&mut self, id: RunnerId) -> Option<&mut Runner> {
        self.runners.iter_mut().find(|runner| runner.id == id)
    }
}
