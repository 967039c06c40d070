//! Who the hub is: the certificate that it shows, the CA behind it, and its ed25519 identity.
//!
//! At its first start a hub makes its own CA, which is what people pin by fingerprint, and from then on
//! issues itself short certificates under it. An operator's own certificate files may take their place.
//! All keys are made here, stand in 0600 files of the data directory, and never leave the host.

mod issue;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cofferdam_protocol::proof::{PublicKey, Signature, sign};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::clock::{Clock, Entropy};
use crate::config::TlsSource;
use crate::data_dir::{DataDir, DataDirError, read_private, read_public, write_private};
use issue::{Ca, Issued};

/// How often the hub looks whether its certificate must be renewed.
pub const RENEW_CHECK_EVERY: Duration = Duration::from_hours(24);

const IDENTITY_FILE: &str = "hub.key";
const CERT_FILE: &str = "tls.pem";
const KEY_FILE: &str = "tls.key";

/// The hub's certificate, CA and identity. Shared by the server, the gateway and the control socket.
#[derive(Debug)]
pub struct Authority {
    fingerprint: String,
    ca_pem: String,
    identity: SigningKeyBox,
    shown: Arc<Shown>,
    source: Source,
}

/// Where certificates come from.
#[derive(Debug)]
enum Source {
    /// We issue them.
    Own {
        ca: Box<Ca>,
        names: Vec<String>,
        clock: Arc<dyn Clock>,
    },
    /// The operator does.
    Files,
}

/// Why the hub cannot show who it is.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of ours, or of the operator, cannot be read or written.
    #[error(transparent)]
    File(#[from] DataDirError),
    /// A file is there, but it is not what it should be.
    #[error("{name} cannot be used: {why}")]
    BadFile {
        /// Which file.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The CA is gone, and others still hold this hub to it.
    #[error(
        "{path} is missing, and runners and git servers know this hub by it: put it back from a backup (the last certificate in tls.pem is it). With `--new-ca` the hub makes another, and every runner must join again"
    )]
    LostCa {
        /// Where it should be.
        path: PathBuf,
    },
    /// Certificate and key could not be made.
    #[error("could not make {what}")]
    Make {
        /// What was being made.
        what: &'static str,
        /// What the library said.
        #[source]
        source: rcgen::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl Authority {
    /// Loads what the data directory holds and makes what is missing. Blocks on the disk.
    pub fn open(
        data: &DataDir,
        names: Vec<String>,
        tls: &TlsSource,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, AuthorityError> {
        let identity = open_identity(data, entropy)?;
        if let TlsSource::Files(files) = tls {
            let (chain, certified) = load_files(&files.cert, &files.key)?;
            let last = chain.last().unwrap_or(&chain[0]);
            if !issue::can_be_pinned(last) {
                return Err(AuthorityError::BadFile {
                    name: files.cert.display().to_string(),
                    why: "its last certificate is neither a CA's nor self-signed. Runners pin the last one: put the certificate of the CA at the end of the file".to_owned(),
                });
            }
            return Ok(Self {
                fingerprint: fingerprint(last),
                ca_pem: issue::to_pem(last),
                identity,
                shown: Arc::new(Shown::new(certified)),
                source: Source::Files,
            });
        }
        let ca = match tls {
            TlsSource::NewCa => Ca::begin_anew(data, clock.as_ref())?,
            _ => Ca::open(data, clock.as_ref())?,
        };
        let certified = certified(&own_certificate(data, &ca, &names, clock.as_ref())?)?;
        Ok(Self {
            fingerprint: fingerprint(ca.der()),
            ca_pem: issue::to_pem(ca.der()),
            identity,
            shown: Arc::new(Shown::new(certified)),
            source: Source::Own {
                ca: Box::new(ca),
                names,
                clock,
            },
        })
    }

    /// What people compare: `sha256:` and the SHA-256 of the CA's DER form in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The CA that people may pin, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The public half of the hub's identity.
    pub fn identity(&self) -> PublicKey {
        PublicKey(self.identity.0.verifying_key().to_bytes())
    }

    /// Signs with the hub's identity.
    pub fn sign(&self, message: &[u8]) -> Signature {
        sign(&self.identity.0, message)
    }

    /// Issues a new certificate if the shown one is due, and shows it to whoever connects next. Does
    /// nothing for an operator's files. Blocks on the disk. Returns whether it was due.
    pub fn renew_if_due(&self, data: &DataDir) -> Result<bool, AuthorityError> {
        let Source::Own { ca, names, clock } = &self.source else {
            return Ok(false);
        };
        let before = read_public(&data.join(CERT_FILE))?;
        let issued = own_certificate(data, ca, names, clock.as_ref())?;
        if before.as_deref() == Some(issued.chain_pem.as_bytes()) {
            return Ok(false);
        }
        self.shown.replace(certified(&issued)?);
        Ok(true)
    }

    /// How the server speaks TLS: 1.3 or 1.2, HTTP/1.1, no resumption.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, AuthorityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(AuthorityError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Without the extended master secret a TLS 1.2 exporter binds nothing (RFC 9266, section 4).
        config.require_ems = true;
        // A runner stays connected for weeks. Tickets would cost memory for each and save nothing.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

/// `sha256:` and the digits.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(certificate)))
}

/// A key that is never printed.
struct SigningKeyBox(SigningKey);

impl fmt::Debug for SigningKeyBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

fn open_identity(data: &DataDir, entropy: &dyn Entropy) -> Result<SigningKeyBox, AuthorityError> {
    let path = data.join(IDENTITY_FILE);
    if let Some(bytes) = read_private(&path)? {
        let seed = HEXLOWER
            .decode(bytes.trim_ascii())
            .ok()
            .and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let seed = seed.ok_or_else(|| AuthorityError::BadFile {
            name: path.display().to_string(),
            why: "it is not 64 hexadecimal digits".to_owned(),
        })?;
        return Ok(SigningKeyBox(SigningKey::from_bytes(&seed)));
    }
    let seed = entropy.secret();
    write_private(&path, format!("{}\n", HEXLOWER.encode(&seed)).as_bytes())?;
    Ok(SigningKeyBox(SigningKey::from_bytes(&seed)))
}

/// The certificate on disk, or a new one if that is missing, due, or of other names or another CA.
fn own_certificate(
    data: &DataDir,
    ca: &Ca,
    names: &[String],
    clock: &dyn Clock,
) -> Result<Issued, AuthorityError> {
    let (cert, key) = (data.join(CERT_FILE), data.join(KEY_FILE));
    let chain_pem = read_public(&cert)?.and_then(|bytes| String::from_utf8(bytes).ok());
    let key_pem = read_private(&key)?.and_then(|bytes| String::from_utf8(bytes).ok());
    if let (Some(chain_pem), Some(key_pem)) = (chain_pem, key_pem) {
        let issued = Issued { chain_pem, key_pem };
        if issued.is_good(ca, names, clock.now()) && certified(&issued).is_ok() {
            return Ok(issued);
        }
    }
    let issued = ca.issue(names, clock.now())?;
    // Key first: a certificate without its key is found out above and made again.
    write_private(&key, issued.key_pem.as_bytes())?;
    write_private(&cert, issued.chain_pem.as_bytes())?;
    tracing::info!(names = names.join(","), "issued a certificate for this hub");
    Ok(issued)
}

fn certified(issued: &Issued) -> Result<CertifiedKey, AuthorityError> {
    let bad = |why: String| AuthorityError::BadFile {
        name: CERT_FILE.to_owned(),
        why,
    };
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())
        .map_err(|error| bad(error.to_string()))?;
    pair(chain, key)
}

fn load_files(
    cert: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, CertifiedKey), AuthorityError> {
    let bad = |path: &Path, why: String| AuthorityError::BadFile {
        name: path.display().to_string(),
        why,
    };
    let chain = read_public(cert)?.ok_or_else(|| bad(cert, "there is no such file".to_owned()))?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(cert, "there is no certificate in it".to_owned()));
    }
    // The operator's own file is the operator's to guard: some hosts share keys with a group.
    let secret = read_public(key)?.ok_or_else(|| bad(key, "there is no such file".to_owned()))?;
    let secret =
        PrivateKeyDer::from_pem_slice(&secret).map_err(|error| bad(key, error.to_string()))?;
    let certified = pair(chain.clone(), secret)?;
    Ok((chain, certified))
}

/// Fails if the key is not the certificate's.
fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, AuthorityError> {
    let provider: CryptoProvider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(AuthorityError::Tls)
}

/// What the next handshake shows.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    fn new(key: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(key)))
    }

    fn replace(&self, key: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

#[cfg(test)]
mod tests;
