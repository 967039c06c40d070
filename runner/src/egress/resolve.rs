//! Names to addresses, for the broker alone: no name service switch, no search list, no library of the
//! system, only DNS and, with the system's servers, its hosts file.
//!
//! Who asks has checked that the name was granted; who gets the answer checks each address. An answer is
//! bounded here, because whoever runs a granted domain writes it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;

/// Addresses of one answer that are looked at. Large services give out a dozen.
pub const ADDRESSES_MAX: usize = 32;

/// Answers that one step keeps. Steps know few names, and each answer is kept as long as it says.
const ANSWERS_KEPT_MAX: u64 = 64;

/// Longest time that an answer is kept, whatever it says itself: a step that runs for hours follows a
/// service that moves.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// One try with one server; a second one follows.
const TRY_TIME_MAX: Duration = Duration::from_secs(2);

/// Who answers for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameServers {
    /// Those of `/etc/resolv.conf`, and `/etc/hosts` before them.
    #[default]
    System,
    /// These, and no file.
    Only(Vec<SocketAddr>),
}

/// Looks names up for one step. What one step was answered no other step is told.
#[derive(Debug)]
pub(super) struct Resolver {
    /// Or why there is none.
    inner: Result<TokioResolver, String>,
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// There is no such name, or it has no address.
    NotFound,
    /// Nobody answered in time.
    Timeout,
    /// The servers answered nonsense, or there are none.
    Failed(String),
}

impl Resolver {
    /// Asks `servers`. Only lookups say what is wrong with them.
    pub(super) fn new(servers: &NameServers) -> Self {
        let inner = build(servers).map_err(|error| error.to_string());
        Self { inner }
    }

    /// The addresses of `name`, at most [`ADDRESSES_MAX`], not empty. Cancel-safe.
    pub(super) async fn look_up(
        &self,
        name: &str,
        time_max: Duration,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        let failed = |error: &dyn ToString| NoAddress::Failed(error.to_string());
        let resolver = self.inner.as_ref().map_err(|why| failed(why))?;
        let mut name = Name::from_ascii(name).map_err(|error| failed(&error))?;
        // No search list: the name is what it says.
        name.set_fqdn(true);
        let answer = tokio::time::timeout(time_max, resolver.lookup_ip(name)).await;
        let answer = match answer {
            Err(_) | Ok(Err(NetError::Timeout)) => return Err(NoAddress::Timeout),
            Ok(Err(error)) if error.is_no_records_found() => return Err(NoAddress::NotFound),
            Ok(Err(error)) => return Err(failed(&error)),
            Ok(Ok(answer)) => answer,
        };
        let mut addresses = Vec::new();
        for address in answer.iter() {
            if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(NoAddress::NotFound);
        }
        Ok(addresses)
    }
}

fn build(servers: &NameServers) -> Result<TokioResolver, NetError> {
    let mut builder = match servers {
        NameServers::System => match TokioResolver::builder_tokio() {
            Ok(builder) => builder,
            Err(error) => {
                // Its hosts file is left, and a lookup of anything else says so.
                tracing::warn!(%error, "this host names no name servers");
                let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
                TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
            }
        },
        NameServers::Only(servers) => {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = options.timeout.min(TRY_TIME_MAX);
    options.attempts = options.attempts.min(2);
    options.cache_size = ANSWERS_KEPT_MAX;
    options.positive_max_ttl = Some(ANSWER_TIME_MAX);
    options.negative_max_ttl = Some(ANSWER_TIME_MAX);
    options.use_hosts_file = match servers {
        NameServers::System => ResolveHosts::Auto,
        NameServers::Only(_) => ResolveHosts::Never,
    };
    builder.build()
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(on_port);
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}
