//! How the runner knows that it speaks to its hub, encrypted: one TLS connection, verified, always.
//!
//! There is no switch that skips verification. Three ways to say whom to trust: the platform's roots,
//! a file that replaces them, or the fingerprint of the CA that the hub made for itself.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cofferdam_protocol::proof::{EXPORTER_BYTES, EXPORTER_LABEL};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::BuilderVerifierExt as _;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::hub_address::HubAddress;

/// How long name resolution, TCP and the TLS handshake may take together. A hub across the world
/// answers in one second; a half-dead one must not hold the runner up for minutes.
const DIAL_SECS_MAX: u64 = 15;

/// How long one address of a name may take. A name often has an IPv6 address whose packets vanish beside an
/// IPv4 one that works: two of these fit into [`DIAL_SECS_MAX`].
const ADDRESS_SECS_MAX: u64 = 5;

/// The SHA-256 of a certificate's DER form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fingerprint is 'sha256:' and 64 hexadecimal digits, as `cofferdam-hub fingerprint` prints it"
)]
pub struct BadFingerprint;

impl Fingerprint {
    /// Of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = BadFingerprint;
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let digits = text.strip_prefix("sha256:").ok_or(BadFingerprint)?;
        let digits = digits.replace(':', "").to_ascii_lowercase();
        let bytes = data_encoding::HEXLOWER
            .decode(digits.as_bytes())
            .map_err(|_| BadFingerprint)?;
        bytes.try_into().map(Self).map_err(|_| BadFingerprint)
    }
}

/// Whom to believe that a hub is the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The platform's own.
    Platform,
    /// These certificates, in PEM, and no others.
    Pem(Vec<u8>),
    /// The CA in the hub's chain that has this fingerprint, and no other.
    Fingerprint(Fingerprint),
}

/// A verified connection, and what binds a session to it.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub stream: TlsStream<TcpStream>,
    /// The TLS exporter (RFC 9266): unique to this connection.
    pub exporter: [u8; EXPORTER_BYTES],
    /// The CA that a fingerprint named, in PEM: what to trust from now on.
    pub pinned_ca: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The certificate was issued by somebody else.
    #[error("refused to speak to {hub}: another certificate: {detail}")]
    AnotherCertificate {
        /// Whom we dialled.
        hub: HubAddress,
        /// What was expected.
        detail: String,
    },
    /// The certificate's dates are wrong.
    #[error("refused to speak to {hub}: its certificate {detail}")]
    Expired {
        /// Whom we dialled.
        hub: HubAddress,
        /// In which direction.
        detail: String,
    },
    /// The certificate is for somebody else.
    #[error("refused to speak to {hub}: wrong name: {detail}")]
    WrongName {
        /// Whom we dialled.
        hub: HubAddress,
        /// What names it carries.
        detail: String,
    },
    /// The roots that we were given cannot be used.
    #[error("the certificates to trust cannot be used: {0}")]
    BadRoots(String),
    /// TLS failed for another reason.
    #[error("no TLS with {hub}")]
    Tls {
        /// Whom we dialled.
        hub: HubAddress,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// The network failed.
    #[error("no connection to {hub}")]
    Network {
        /// Whom we dialled.
        hub: HubAddress,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody answered in time.
    #[error("{hub} did not answer within {DIAL_SECS_MAX} s")]
    Silence {
        /// Whom we dialled.
        hub: HubAddress,
    },
}

impl DialError {
    /// Whether the hub showed a certificate that must not be trusted: trying again is no answer.
    pub fn is_about_trust(&self) -> bool {
        matches!(
            self,
            Self::AnotherCertificate { .. }
                | Self::Expired { .. }
                | Self::WrongName { .. }
                | Self::BadRoots(_)
        )
    }
}

/// Connects to the first address of `hub` that answers.
async fn connect(hub: &HubAddress) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((hub.host(), hub.port())).await? {
        let limit = Duration::from_secs(ADDRESS_SECS_MAX);
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Dials `hub` and verifies it. Cancel-safe: dropping the future closes the socket.
pub async fn dial(hub: &HubAddress, roots: &Roots) -> Result<Connection, DialError> {
    let (config, pinned) = client_config(roots)?;
    let work = async {
        let network = |source| DialError::Network {
            hub: hub.clone(),
            source,
        };
        let tcp = connect(hub).await.map_err(network)?;
        tcp.set_nodelay(true).map_err(network)?;
        TlsConnector::from(config)
            .connect(hub.server_name(), tcp)
            .await
            .map_err(|error| name_the_reason(hub, roots, error))
    };
    let stream = timeout(Duration::from_secs(DIAL_SECS_MAX), work)
        .await
        .map_err(|_| DialError::Silence { hub: hub.clone() })??;
    let (_, session) = stream.get_ref();
    let exporter = session
        .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]))
        .map_err(|source| DialError::Tls {
            hub: hub.clone(),
            source,
        })?;
    let pinned_ca = pinned.and_then(|verifier| verifier.found.get().map(pem_of));
    Ok(Connection {
        stream,
        exporter,
        pinned_ca,
    })
}

fn client_config(
    roots: &Roots,
) -> Result<(Arc<ClientConfig>, Option<Arc<FingerprintVerifier>>), DialError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let bad = |error: rustls::Error| DialError::BadRoots(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(bad)?;
    let mut pinned = None;
    let builder = match roots {
        Roots::Platform => builder.with_platform_verifier().map_err(bad)?,
        Roots::Pem(pem) => builder.with_root_certificates(root_store(pem)?),
        Roots::Fingerprint(fingerprint) => {
            let verifier = Arc::new(FingerprintVerifier {
                fingerprint: *fingerprint,
                found: OnceLock::new(),
                provider,
            });
            pinned = Some(Arc::clone(&verifier));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        }
    };
    let mut config = builder.with_no_client_auth();
    // Without it the exporter of a TLS 1.2 connection is not unique to it (RFC 9266, section 4.2).
    config.require_ems = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), pinned))
}

fn root_store(pem: &[u8]) -> Result<RootCertStore, DialError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| DialError::BadRoots(format!("not PEM: {error}")))?;
        store
            .add(certificate)
            .map_err(|error| DialError::BadRoots(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(DialError::BadRoots(
            "there is no certificate in the file".to_owned(),
        ));
    }
    Ok(store)
}

fn pem_of(certificate: &CertificateDer<'static>) -> String {
    let body = data_encoding::BASE64.encode(certificate.as_ref());
    let lines: Vec<&str> = (0..body.len())
        .step_by(64)
        .map(|start| &body[start..body.len().min(start + 64)])
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

fn name_the_reason(hub: &HubAddress, roots: &Roots, error: io::Error) -> DialError {
    let hub = hub.clone();
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .cloned();
    let Some(tls) = tls else {
        return DialError::Network { hub, source: error };
    };
    let rustls::Error::InvalidCertificate(reason) = &tls else {
        return DialError::Tls { hub, source: tls };
    };
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => DialError::Expired {
            hub,
            detail: "has expired".to_owned(),
        },
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            DialError::Expired {
                hub,
                detail: "is not valid yet (is the clock right?)".to_owned(),
            }
        }
        CertificateError::NotValidForName => {
            let detail = "its certificate does not name that host".to_owned();
            DialError::WrongName { hub, detail }
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let detail = format!("its certificate is for {}", presented.join(", "));
            DialError::WrongName { hub, detail }
        }
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::ApplicationVerificationFailure => DialError::AnotherCertificate {
            hub,
            detail: whom_we_trust(roots),
        },
        // Everything else that makes a certificate unfit, a self-signed one that is its own CA included.
        _ => DialError::AnotherCertificate {
            hub,
            detail: format!("{}; {tls}", whom_we_trust(roots)),
        },
    }
}

fn whom_we_trust(roots: &Roots) -> String {
    match roots {
        Roots::Platform => "it was not issued by an authority that this host trusts".to_owned(),
        Roots::Pem(pem) => {
            let known: Vec<String> = CertificateDer::pem_slice_iter(pem)
                .filter_map(Result::ok)
                .take(3)
                .map(|certificate| Fingerprint::of(&certificate).to_string())
                .collect();
            format!(
                "it was not issued by the CA that this runner trusts ({})",
                known.join(", ")
            )
        }
        Roots::Fingerprint(fingerprint) => {
            format!("its chain does not hold the CA {fingerprint}, or was not issued by it")
        }
    }
}

/// Finds the CA with the given fingerprint in what the hub sent, then verifies names, dates and
/// signatures with it as the only root, exactly as if it had been given as a file.
#[derive(Debug)]
struct FingerprintVerifier {
    fingerprint: Fingerprint,
    found: OnceLock<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for FingerprintVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let ca = intermediates
            .iter()
            .find(|certificate| Fingerprint::of(certificate) == self.fingerprint)
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned()).map_err(|_| unknown())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|_| unknown())?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // A second handshake with the same verifier finds the same CA: it has the same hash.
        self.found.get_or_init(|| ca.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
