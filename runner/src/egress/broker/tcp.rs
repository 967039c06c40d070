//! TCP: lookups of granted names, and connections to what they led to.
//!
//! A guest connects to addresses. Which name it means is what its lookups said: an address that no lookup
//! of a granted name gave, and that was not granted as such, is refused. The guest never holds the real
//! socket, so it can set no option on it, learn no local address and listen on nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Shared, tell};
use crate::egress::policy::{Host, NetGrant, Scheme};
use crate::egress::record::Refusal;
use crate::egress::wire::{Answer, Word};

/// Addresses of names that are remembered for one step. A granted name with more of them than this is
/// meant to exhaust us.
const PINS_MAX: usize = 1024;

/// What is moved at once, in bytes, each way.
const PIECE_BYTES: usize = 16 * 1024;

/// The addresses of a granted name.
pub(super) async fn look_up(shared: &Shared, name: &str) -> Result<Vec<IpAddr>, Refusal> {
    let policy = &shared.dialer.policy;
    let not_granted = || {
        Refusal::new(
            Word::NotGranted,
            policy.not_granted(&format!("tcp://{name}")),
        )
    };
    let host: Host = name.parse().map_err(|_| not_granted())?;
    let is_granted = match &host {
        Host::Name(name) => policy.may_look_up(name),
        Host::Address(_) => policy
            .grants
            .iter()
            .any(|grant| grant.scheme == Scheme::Tcp && grant.host == host),
    };
    if !is_granted {
        return Err(not_granted());
    }
    let addresses = shared.dialer.addresses(&host, &shared.budget).await?;
    if let Host::Name(name) = host {
        let mut pins = pins(shared);
        for address in &addresses {
            if pins.len() < PINS_MAX || pins.contains_key(address) {
                pins.entry(*address).or_default().insert(name.clone());
            }
        }
    }
    Ok(addresses)
}

/// Connects, says so, and then carries bytes until both sides are done.
pub(super) async fn connect(
    shared: &Shared,
    to: SocketAddr,
    incoming: &mut (impl AsyncRead + Unpin),
    outgoing: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Refusal> {
    let origin = granted(shared, to)?;
    shared.budget.connection()?;
    // Checked once more: what was granted as an address never went through a lookup.
    let host = Host::Address(to.ip());
    let addresses = shared.dialer.addresses(&host, &shared.budget).await?;
    let time_max = shared.budget.limits.connect_time_max;
    let (stream, address) = tokio::select! {
        connected = shared.dialer.tcp(&origin, &addresses, time_max) => connected?,
        () = shared.gone.cancelled() => return Ok(()),
    };
    let meter = shared.record.connected(origin.to_string(), address);
    tell(outgoing, &Answer::Connected).await;
    let (mut from_server, mut to_server) = stream.into_split();
    let mut up = pin!(carry(incoming, &mut to_server, |bytes| {
        meter.up(bytes);
        shared.budget.up(bytes)
    }));
    let mut down = pin!(carry(&mut from_server, outgoing, |bytes| {
        meter.down(bytes);
        shared.budget.down(bytes)
    }));
    let ended = tokio::select! {
        ended = &mut down => match ended {
            Ok(()) => up.await,
            refused => refused,
        },
        ended = &mut up => match ended {
            // A process that is gone waits for no answer.
            Ok(()) => tokio::select! {
                ended = &mut down => ended,
                () = shared.gone.cancelled() => Ok(()),
            },
            refused => refused,
        },
    };
    // The channel carries bytes now, so that a refusal has no place on it: it is recorded, and closing is
    // all that the guest sees.
    if let Err(refusal) = ended {
        shared.record.refused(&refusal);
    }
    Ok(())
}

fn granted(shared: &Shared, to: SocketAddr) -> Result<NetGrant, Refusal> {
    let policy = &shared.dialer.policy;
    let pins = pins(shared);
    let names = pins.get(&to.ip()).into_iter().flatten().map(String::as_str);
    let grant = policy.tcp_grant(to.ip(), to.port(), &names).cloned();
    grant.ok_or_else(|| {
        let known_as = names.collect::<Vec<_>>().join(", ");
        let wanted = if known_as.is_empty() {
            format!("tcp://{to}")
        } else {
            format!("tcp://{known_as}:{}", to.port())
        };
        Refusal::new(Word::NotGranted, policy.not_granted(&wanted))
    })
}

fn pins(shared: &Shared) -> MutexGuard<'_, BTreeMap<IpAddr, BTreeSet<String>>> {
    // Each entry is whole or absent.
    shared.pins.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves bytes one way until they end, and passes the end on. A side that breaks ends it quietly; the
/// other side then sees the end too.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: impl Fn(usize) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut bytes = vec![0; PIECE_BYTES];
    loop {
        let length = match from.read(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        count(length)?;
        if to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    let _gone = to.shutdown().await;
    Ok(())
}
