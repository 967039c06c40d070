//! `wasi:sockets/ip-name-lookup`: the addresses of granted names, as the broker found them.

use std::net::IpAddr;
use std::vec;

use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    Host, HostResolveAddressStream, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketError, subscribe};

use super::later::Later;
use super::{SocketsView, error_code};
use crate::egress::caller::{Caller, answer, ask};
use crate::egress::wire::{Answer, Ask};

/// A lookup under way, and then what is left of its answer.
struct Lookup(Later<Result<vec::IntoIter<IpAddr>, ErrorCode>>);

/// The linker knows the resource by wasmtime's name; the table knows ours.
fn ours(resource: &Resource<ResolveAddressStream>) -> Resource<Lookup> {
    Resource::new_borrow(resource.rep())
}

impl Host for SocketsView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        self.table.get(&network)?;
        let caller = self.caller.cloned().ok_or(ErrorCode::AccessDenied)?;
        let found = Later::start(async move { look_up(&caller, name).await });
        let lookup = self.table.push(Lookup(found))?;
        Ok(Resource::new_own(lookup.rep()))
    }
}

async fn look_up(caller: &Caller, name: String) -> Result<vec::IntoIter<IpAddr>, ErrorCode> {
    let failed = |_| ErrorCode::Unknown;
    let channel = caller.channel().await.map_err(failed)?;
    let mut channel = channel.ok_or(ErrorCode::NewSocketLimit)?;
    ask(&mut channel, &Ask::LookUp(name))
        .await
        .map_err(failed)?;
    match answer(&mut channel).await.map_err(failed)? {
        Answer::Addresses(addresses) => Ok(addresses.into_iter()),
        Answer::Failed(word) => Err(error_code(word)),
        Answer::Response(_) | Answer::Connected => Err(ErrorCode::Unknown),
    }
}

impl HostResolveAddressStream for SocketsView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        match self.table.get_mut(&ours(&stream))?.0.get() {
            None => Err(ErrorCode::WouldBlock.into()),
            Some(Ok(addresses)) => Ok(addresses.next().map(IpAddress::from)),
            Some(Err(error)) => Err((*error).into()),
        }
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, ours(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Lookup>::new_own(stream.rep()))?;
        Ok(())
    }
}

#[async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        self.0.wait().await;
    }
}
