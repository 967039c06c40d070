//! `wasi:sockets` for the guest: TCP connections over the egress broker, and the names that it was granted.
//!
//! The interfaces are those of preview 2; the resources behind them are ours. What a guest calls a socket is
//! one end of a socket pair, whose other end the broker holds: this process makes no socket of its own.
//! Binding, listening and accepting are denied, options are not there, and UDP stays with wasmtime's host,
//! which denies it.

mod later;
mod names;
mod stream;
mod tcp;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::SocketError;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, HostNetwork, Network};
use wasmtime_wasi::p2::bindings::sockets::{
    ip_name_lookup, tcp as tcp_interface, tcp_create_socket,
};

use super::guest::State;
use crate::egress::caller::Caller;
use crate::egress::wire::Word;

/// What the interfaces work on.
pub(super) struct SocketsView<'a> {
    pub(super) table: &'a mut ResourceTable,
    /// `None` for a step that was granted no origin.
    pub(super) caller: Option<&'a Arc<Caller>>,
}

/// Says to the linker that the view is what it needs.
struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketsView<'a>;
}

/// Puts these interfaces in the place of wasmtime's own.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<State, Sockets>(linker, State::sockets)?;
    tcp_interface::add_to_linker::<State, Sockets>(linker, State::sockets)?;
    ip_name_lookup::add_to_linker::<State, Sockets>(linker, State::sockets)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl network::Host for SocketsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        _error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl HostNetwork for SocketsView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

/// What a guest is told.
fn error_code(word: Word) -> ErrorCode {
    match word {
        Word::NotGranted
        | Word::AddressProhibited
        | Word::BadRequest
        | Word::BadMethod
        | Word::BodyLength
        | Word::Certificate
        | Word::Tls => ErrorCode::AccessDenied,
        Word::NameNotFound => ErrorCode::NameUnresolvable,
        Word::LookUpTimeout => ErrorCode::TemporaryResolverFailure,
        Word::LookUpFailed => ErrorCode::PermanentResolverFailure,
        Word::ConnectionRefused => ErrorCode::ConnectionRefused,
        Word::ConnectionTimeout | Word::ResponseTimeout => ErrorCode::Timeout,
        Word::ConnectionBroken | Word::ResponseHead | Word::ResponseBroken => {
            ErrorCode::ConnectionReset
        }
        Word::Limit => ErrorCode::NewSocketLimit,
        Word::Ours => ErrorCode::Unknown,
    }
}
