//! One request over TLS that trusts one CA and nobody else, names and dates checked.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::HookFile;
use crate::hook::PushAnswer;

/// Longest answer, in bytes: five refs with forty lines each.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Posts `body` and reads what the hub says. Cancel-safe: dropping the future closes the socket.
pub(super) async fn post(
    file: &HookFile,
    path: &str,
    headers: [(&'static str, String); 3],
    body: Vec<u8>,
) -> anyhow::Result<PushAnswer> {
    let (host, port) = (file.host.as_str(), file.port);
    let tcp = TcpStream::connect((host, port))
        .await
        .with_context(|| format!("no connection to the hub at {host}:{port}"))?;
    let name = ServerName::try_from(host.to_owned()).context("the hub's host")?;
    let stream = TlsConnector::from(config(&file.ca)?)
        .connect(name, tcp)
        .await
        .context("the hub is not the one in the hook file")?;
    let shown = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut request = Request::post(path)
        .header(http::header::HOST, shown)
        .header(http::header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body)))?;
    let broken = "the hub did not answer";
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context(broken)?;
    let exchange = async move {
        let answer = sender.send_request(request).await.context(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| anyhow::anyhow!(error));
        anyhow::Ok((status, body.context(broken)?.to_bytes()))
    };
    // The connection's own future moves the bytes; it ends with the exchange.
    let (answer, _closed) = tokio::join!(exchange, connection);
    let (status, body) = answer?;
    let answer = serde_json::from_slice::<PushAnswer>(&body);
    match answer {
        Ok(answer) if status.is_success() => Ok(answer),
        Ok(answer) => bail!("the hub refused: {}", answer.lines.join(" ")),
        Err(_) => bail!("the hub answered {status}"),
    }
}

fn config(ca: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.context("the CA in the hook file is not PEM")?;
        roots
            .add(certificate)
            .context("the CA in the hook file is not a certificate")?;
    }
    if roots.is_empty() {
        bail!("there is no CA in the hook file");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
