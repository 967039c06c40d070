//! Joining a hub: a one-time token becomes an identity, once.

use bytes::Bytes;
use cofferdam_protocol::JOIN_PATH;
use cofferdam_protocol::join::{JoinAnswer, JoinRequest, TOKEN_BYTES_MAX};
use cofferdam_protocol::limits::{LABELS_MAX, NAME_BYTES_MAX};
use cofferdam_protocol::proof::join_transcript;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::hub_address::HubAddress;
use crate::identity::{Identity, IdentityError, RunnerKey, StateDir};
use crate::text::printable;
use crate::tls::{DialError, Roots, dial};

/// Longest answer that is read. A good one has a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long the hub may take to answer: it does one small transaction.
const ANSWER_SECS_MAX: u64 = 15;

/// What the operator asks for.
#[derive(Debug)]
pub struct Join {
    /// The hub to join.
    pub hub: HubAddress,
    /// Whom to believe about it.
    pub roots: Roots,
    /// The one-time token.
    pub token: SecretString,
    /// What people will call this runner.
    pub name: String,
}

/// Why a runner did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token cannot be one.
    #[error("that is not a token: `cofferdam-hub runner token` makes one")]
    BadToken,
    /// The name cannot be one.
    #[error("a runner's name has 1 to {NAME_BYTES_MAX} printable characters")]
    BadName,
    /// No verified connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke, or what came back was no HTTP.
    #[error("the hub's answer could not be read")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The hub said no.
    #[error("the hub refused: {why}")]
    Refused {
        /// In its words, made harmless for a terminal.
        why: String,
    },
    /// The hub took too long. The token may be used up.
    #[error(
        "the hub did not answer within {ANSWER_SECS_MAX} s; if the token was used, make another"
    )]
    Silence,
    /// The state directory.
    #[error(transparent)]
    State(#[from] IdentityError),
}

/// Joins, and stores the new identity in `state`. The private key is made here and stays here.
pub async fn join(wish: Join, state: &StateDir) -> Result<Identity, JoinError> {
    state.refuse_if_joined()?;
    let token = wish.token.expose_secret().trim();
    let is_token_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !is_token_plain {
        return Err(JoinError::BadToken);
    }
    let is_name_good = !wish.name.is_empty()
        && wish.name.len() <= NAME_BYTES_MAX
        && !wish.name.chars().any(char::is_control);
    if !is_name_good {
        return Err(JoinError::BadName);
    }
    let key = RunnerKey::generate()?;
    let origin = wish.hub.to_string();
    let request = JoinRequest {
        signature: key.sign(&join_transcript(token, &origin, &key.public())),
        token: token.to_owned(),
        name: wish.name.clone(),
        key: key.public(),
        origin,
    };
    state.save_key(&key)?;
    let identity = trade(wish, request, key)
        .await
        .inspect_err(|_| state.forget_key())?;
    state.save(&identity)?;
    Ok(identity)
}

async fn trade(wish: Join, request: JoinRequest, key: RunnerKey) -> Result<Identity, JoinError> {
    // The hub's certificate is verified before the first byte of the token leaves.
    let connection = dial(&wish.hub, &wish.roots).await?;
    let roots = match connection.pinned_ca {
        Some(pem) => Roots::Pem(pem.into_bytes()),
        None => wish.roots,
    };
    let answer = timeout(
        std::time::Duration::from_secs(ANSWER_SECS_MAX),
        ask(&wish.hub, connection.stream, &request),
    )
    .await
    .map_err(|_| JoinError::Silence)??;
    Ok(Identity {
        runner: answer.runner,
        key,
        hub: wish.hub,
        hub_identity: answer.hub_identity,
        roots,
        labels: answer.labels.iter().map(|label| printable(label)).collect(),
    })
}

async fn ask(
    hub: &HubAddress,
    stream: tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
    request: &JoinRequest,
) -> Result<JoinAnswer, JoinError> {
    let broken = |error: hyper::Error| JoinError::Http(Box::new(error));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let body = serde_json::to_vec(request).expect("a join request has only string keys");
    let http_request = http::Request::post(JOIN_PATH)
        .header(
            http::header::HOST,
            hub.to_string().trim_start_matches("https://"),
        )
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| JoinError::Http(Box::new(error)))?;
    let exchange = async move {
        let answer = sender.send_request(http_request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(JoinError::Http)?;
        Ok::<_, JoinError>((status, body.to_bytes()))
    };
    // The connection's own future moves the bytes. It may end before the exchange has read them all, and
    // nobody waits for the peer to close it.
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    let answer = tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _closed = &mut connection => exchange.await,
    };
    let (status, body) = answer?;
    read_answer(status, &body)
}

fn read_answer(status: http::StatusCode, body: &[u8]) -> Result<JoinAnswer, JoinError> {
    if !status.is_success() {
        let why = serde_json::from_slice::<cofferdam_protocol::hello::Refuse>(body).map_or_else(
            |_| format!("HTTP status {status}"),
            |refuse| printable(&refuse.message),
        );
        return Err(JoinError::Refused { why });
    }
    let answer: JoinAnswer =
        serde_json::from_slice(body).map_err(|error| JoinError::Http(Box::new(error)))?;
    let are_labels_good = answer.labels.len() <= LABELS_MAX
        && answer
            .labels
            .iter()
            .all(|label| label.len() <= NAME_BYTES_MAX);
    if !are_labels_good {
        return Err(JoinError::Refused {
            why: "it gave labels out of bounds".to_owned(),
        });
    }
    Ok(answer)
}
