//! One question to the hub that serves from a data directory, and printing what came of it.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::socket;
use crate::control::view::ErrorView;

/// Longest answer: a list of builds, or a page of a log in base64, with room.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// There was nobody to ask, or nobody who answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no hub serves from {0}")]
    NoHub(String),
    #[error("the hub did not answer")]
    Broken,
}

/// Asks for something.
pub(super) async fn get<A: DeserializeOwned>(data: &Path, path: &str) -> anyhow::Result<A> {
    ask(data, Method::GET, path, Bytes::new()).await
}

/// Asks for something to be done.
pub(super) async fn post<A: DeserializeOwned>(
    data: &Path,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<A> {
    ask(data, Method::POST, path, serde_json::to_vec(body)?.into()).await
}

async fn ask<A: DeserializeOwned>(
    data: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<A> {
    let stream = socket::connect(data)
        .await
        .with_context(|| NoAnswer::NoHub(data.display().to_string()))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "hub")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .context("that is not a good name")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context(NoAnswer::Broken)?;
    let exchange = async move {
        let answer = sender
            .send_request(request)
            .await
            .context(NoAnswer::Broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| anyhow::anyhow!(error));
        anyhow::Ok((status, body.context(NoAnswer::Broken)?.to_bytes()))
    };
    // The connection's own future moves the bytes; it ends with the exchange.
    let (answer, _closed) = tokio::join!(exchange, connection);
    let (status, body) = answer?;
    if !status.is_success() {
        match serde_json::from_slice::<ErrorView>(&body) {
            Ok(ErrorView { error }) => bail!("{error}"),
            Err(_) => bail!("the hub answered {status}"),
        }
    }
    serde_json::from_slice(&body).context("the hub's answer is of another version")
}

/// One path segment, so that no name can turn into another path.
pub(super) fn segment(text: &str) -> anyhow::Result<&str> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if text.is_empty() || !is_plain || matches!(text, "." | "..") {
        bail!("{text:?} is not a name or id on a hub");
    }
    Ok(text)
}

/// Writes to standard output. A reader that went away, such as `head`, is no error.
pub(super) fn print(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("could not write to standard output"),
    }
}

/// Writes a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(format_args!("{}\n", serde_json::to_string_pretty(value)?))
}
