//! From an origin that was granted to a connection: look the name up once, drop the addresses that may not
//! be reached, connect to one that is left, and speak TLS where the origin says so. No address is looked
//! up twice for one connection, so an answer that changes in between changes nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::budget::Budget;
use super::policy::{Forbidden, Host, NetGrant, Policy, Scheme};
use super::record::Refusal;
use super::resolve::{NoAddress, Resolver};
use super::wire::Word;

/// Addresses of one name that are tried. Two families and a spare one each.
const TRIES_MAX: usize = 4;

/// TLS sessions that one step may resume: it speaks to few hosts.
const SESSIONS_KEPT_MAX: usize = 32;

/// Any port will do: nothing is sent to it.
const DISCARD_PORT: u16 = 9;

/// Makes the connections of one step.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) policy: Policy,
    pub(super) resolver: Resolver,
    /// Or why there is no TLS.
    pub(super) tls: Result<Arc<ClientConfig>, String>,
}

/// Bytes both ways, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl Dialer {
    /// The addresses of a host that may be reached; never empty.
    pub(super) async fn addresses(
        &self,
        host: &Host,
        budget: &Budget,
    ) -> Result<Vec<IpAddr>, Refusal> {
        let name = match host {
            Host::Address(address) => {
                return match self.check(*address) {
                    Ok(()) => Ok(vec![*address]),
                    Err(forbidden) => Err(prohibited(None, &forbidden)),
                };
            }
            Host::Name(name) => name,
        };
        budget.lookup()?;
        let found = self
            .resolver
            .look_up(name, budget.limits.lookup_time_max)
            .await;
        let found = found.map_err(|error| no_address(name, &error))?;
        let mut first = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.check(address) {
                Ok(()) => allowed.push(address),
                Err(forbidden) => {
                    first.get_or_insert(forbidden);
                }
            }
        }
        match first {
            Some(forbidden) if allowed.is_empty() => Err(prohibited(Some(name), &forbidden)),
            _ => Ok(allowed),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        self.policy.addresses.check(address)?;
        if is_this_host(address) {
            self.policy.addresses.check_own(address)?;
        }
        Ok(())
    }

    /// A TCP connection to one of `addresses`, which were checked.
    pub(super) async fn tcp(
        &self,
        origin: &NetGrant,
        addresses: &[IpAddr],
        time_max: Duration,
    ) -> Result<(TcpStream, SocketAddr), Refusal> {
        let mut last = None;
        for address in addresses.iter().take(TRIES_MAX) {
            let address = SocketAddr::new(*address, origin.port);
            let failed = match timeout(time_max, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small messages go at once; whether that fails is no reason to give up.
                    let _slower = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let why = format!("{origin}: nobody listens at {address}");
                    Refusal::new(Word::ConnectionRefused, why)
                }
                Ok(Err(error)) => {
                    let why = format!("{origin}: no connection to {address}: {error}");
                    Refusal::new(Word::ConnectionBroken, why)
                }
                Err(_) => {
                    let why = format!("{origin}: {address} did not answer within {time_max:?}");
                    Refusal::new(Word::ConnectionTimeout, why)
                }
            };
            last = Some(failed);
        }
        Err(last
            .unwrap_or_else(|| Refusal::new(Word::NameNotFound, format!("{origin}: no address"))))
    }

    /// A connection for an HTTP request: looked up, checked, connected and, for `https`, verified.
    pub(super) async fn http(
        &self,
        origin: &NetGrant,
        budget: &Budget,
    ) -> Result<(Box<dyn Transport>, SocketAddr), Refusal> {
        let addresses = self.addresses(&origin.host, budget).await?;
        let limits = &budget.limits;
        let (stream, address) = self
            .tcp(origin, &addresses, limits.connect_time_max)
            .await?;
        if origin.scheme != Scheme::Https {
            return Ok((Box::new(stream), address));
        }
        let no_tls = |why: &str| Refusal::new(Word::Ours, format!("there is no TLS: {why}"));
        let config = self.tls.as_ref().map_err(|why| no_tls(why))?;
        let name = match &origin.host {
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| Refusal::new(Word::Tls, format!("{origin} is no name for TLS")))?,
            Host::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let shaking = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match timeout(limits.handshake_time_max, shaking).await {
            Ok(Ok(stream)) => Ok((Box::new(stream), address)),
            Ok(Err(error)) => Err(tls_failed(origin, &error)),
            Err(_) => {
                let time = limits.handshake_time_max;
                let why = format!("{origin}: TLS did not begin within {time:?}");
                Err(Refusal::new(Word::ConnectionTimeout, why))
            }
        }
    }
}

fn prohibited(name: Option<&str>, forbidden: &Forbidden) -> Refusal {
    let what = match name {
        Some(name) => format!("{name} points to {forbidden}"),
        None => format!("{} is {}", forbidden.address, forbidden.kind),
    };
    let why = if forbidden.can_be_allowed {
        format!("{what}; the host's ceiling does not allow it")
    } else {
        format!("{what}; nothing can allow it")
    };
    Refusal::new(Word::AddressProhibited, why)
}

fn no_address(name: &str, error: &NoAddress) -> Refusal {
    match error {
        NoAddress::NotFound => Refusal::new(Word::NameNotFound, format!("{name} has no address")),
        NoAddress::Timeout => Refusal::new(
            Word::LookUpTimeout,
            format!("no name server answered for {name} in time"),
        ),
        NoAddress::Failed(why) => Refusal::new(
            Word::LookUpFailed,
            format!("{name} could not be looked up: {why}"),
        ),
    }
}

fn tls_failed(origin: &NetGrant, error: &io::Error) -> Refusal {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let why = match why {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "nobody that this host trusts issued it".to_owned()
                }
                other => other.to_string(),
            };
            let why = format!("the certificate of {origin} is not to be trusted: {why}");
            Refusal::new(Word::Certificate, why)
        }
        Some(error) => Refusal::new(Word::Tls, format!("no TLS with {origin}: {error}")),
        None => Refusal::new(
            Word::ConnectionBroken,
            format!("no TLS with {origin}: {error}"),
        ),
    }
}

/// Whether an address is this host's own, as the kernel routes it: a socket that would send to it would
/// send from it. No packet leaves.
fn is_this_host(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD_PORT))?;
        socket.local_addr()
    });
    // Where there is no route there will be no connection either.
    source.is_ok_and(|source| source.ip() == address)
}

/// Trusts the platform's roots and those of `extra_roots_pem`. Reads the platform's from disk.
pub(super) fn client_config(extra_roots_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut extra = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(extra_roots_pem.unwrap_or_default()) {
        extra.push(certificate.map_err(|error| format!("an extra root is not PEM: {error}"))?);
    }
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|error| format!("no roots: {error}"))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The same for one step, which resumes its own sessions and nobody else's.
pub(super) fn of_one_step(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    config.resumption = Resumption::in_memory_sessions(SESSIONS_KEPT_MAX);
    Arc::new(config)
}
