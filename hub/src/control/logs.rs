//! A build's log, page by page; who is at its end may wait for more.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use cofferdam_protocol::{AttemptId, BuildId, LogRecord};
use data_encoding::BASE64;
use serde::Deserialize;

use super::view::{LogView, RecordView};
use super::{BuildPath, Control, ControlError, words};
use crate::domain::BuildState;

/// Log bytes in one answer: large enough to read 100 MB in a second, small enough to hold for many.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// How long one request waits for more. Below the bound on a whole request.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// How long to let bytes gather after the first one: nobody reads faster, and a busy hub is asked for
/// fifty pages in a second instead of thousands.
const GATHER: Duration = Duration::from_millis(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    #[serde(default)]
    cursor: u64,
    /// Whether to wait at the end of what there is.
    #[serde(default)]
    wait: bool,
    /// Whether the reader knows already that the build waits for a person.
    #[serde(default)]
    knows: bool,
}

pub(super) async fn read(
    State(control): State<Arc<Control>>,
    path: Path<BuildPath>,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogView>, ControlError> {
    let LogQuery {
        cursor,
        wait,
        knows,
    } = query;
    let build = control.build(path).await?;
    let deadline = tokio::time::Instant::now() + WAIT_MAX;
    loop {
        // Looked at first: what happens from here on wakes us.
        let seen = control.live.seen();
        let seen_state = control.queue.changed(0).await;
        let page = control.page(build.id, cursor).await?;
        let is_news = !page.records.is_empty() || page.is_over || knows == page.waits.is_empty();
        let is_last = is_news || !wait || control.stop.is_cancelled();
        if is_last || tokio::time::Instant::now() >= deadline {
            return Ok(Json(page));
        }
        tokio::select! {
            () = control.live.wait(seen) => tokio::time::sleep(GATHER).await,
            _ = control.queue.changed(seen_state) => {}
            // A hub that stops keeps nobody waiting, and waits for nobody who reads along.
            () = control.stop.cancelled() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

impl Control {
    async fn page(&self, build: BuildId, cursor: u64) -> Result<LogView, ControlError> {
        // The state before the records: a build that is over writes no more.
        let state = self.builds.build(build).await?;
        let is_over = state.as_ref().is_none_or(|build| build.state.is_over());
        let waits = match &state {
            Some(state) if state.state == BuildState::Paused => {
                words::waits(state, &self.builds.jobs(build).await?)
            }
            _ => Vec::new(),
        };
        let page = self.logs.read(build, cursor, PAGE_BYTES_MAX).await?;
        Ok(LogView {
            records: page.records.into_iter().map(view).collect(),
            next: page.next,
            is_over,
            waits,
        })
    }
}

fn view((attempt, record): (AttemptId, LogRecord)) -> RecordView {
    let LogRecord {
        step,
        origin,
        at_ms,
        bytes,
    } = record;
    RecordView {
        attempt: attempt.to_string(),
        step: step.0,
        origin,
        at_ms,
        bytes: BASE64.encode(&bytes),
    }
}
