//! `wasi:sockets/tcp`: connections out. A guest connects to an address; whether it stands for a granted
//! name, and which port goes with it, is the broker's to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::UnixStream;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Network,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::{
    Host, HostTcpSocket, InputStream, OutputStream, ShutdownType, TcpSocket,
};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Pollable, SocketResult, subscribe,
};

use super::later::Later;
use super::stream::{Incoming, Outgoing, streams};
use super::{SocketsView, error_code};
use crate::egress::caller::{Caller, answer, ask};
use crate::egress::wire::{Answer, Ask};

/// What a guest calls a TCP socket.
struct Socket {
    family: IpAddressFamily,
    state: State,
}

enum State {
    Fresh,
    Connecting {
        to: SocketAddr,
        channel: Later<Result<Option<UnixStream>, ErrorCode>>,
    },
    Connected {
        to: SocketAddr,
        incoming: Incoming,
        outgoing: Outgoing,
    },
    /// A connection that did not come about. Such a socket cannot be used again (POSIX, `connect`).
    Failed,
}

/// The linker knows the resource by wasmtime's name; the table knows ours.
fn ours(resource: &Resource<TcpSocket>) -> Resource<Socket> {
    Resource::new_borrow(resource.rep())
}

impl tcp_create_socket::Host for SocketsView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        if self.caller.is_none() {
            return Err(ErrorCode::AccessDenied.into());
        }
        let state = State::Fresh;
        let socket = self.table.push(Socket { family, state })?;
        Ok(Resource::new_own(socket.rep()))
    }
}

impl SocketsView<'_> {
    fn socket(&mut self, this: &Resource<TcpSocket>) -> SocketResult<&mut Socket> {
        Ok(self.table.get_mut(&ours(this))?)
    }
}

async fn connect(caller: Arc<Caller>, to: SocketAddr) -> Result<Option<UnixStream>, ErrorCode> {
    let failed = |_| ErrorCode::Unknown;
    let channel = caller.channel().await.map_err(failed)?;
    let mut channel = channel.ok_or(ErrorCode::NewSocketLimit)?;
    ask(&mut channel, &Ask::Connect(to)).await.map_err(failed)?;
    match answer(&mut channel).await.map_err(failed)? {
        Answer::Connected => Ok(Some(channel)),
        Answer::Failed(word) => Err(error_code(word)),
        Answer::Response(_) | Answer::Addresses(_) => Err(ErrorCode::Unknown),
    }
}

/// Whether an address can be connected to at all (WIT of `start-connect`).
fn is_remote(to: SocketAddr, family: IpAddressFamily) -> bool {
    let is_of_family = match (to.ip(), family) {
        (IpAddr::V4(_), IpAddressFamily::Ipv4) => true,
        (IpAddr::V6(address), IpAddressFamily::Ipv6) => address.to_ipv4_mapped().is_none(),
        _ => false,
    };
    is_of_family && to.port() != 0 && !to.ip().is_unspecified() && !to.ip().is_multicast()
}

impl Host for SocketsView<'_> {}

impl HostTcpSocket for SocketsView<'_> {
    async fn start_bind(
        &mut self,
        this: Resource<TcpSocket>,
        _network: Resource<Network>,
        _to: IpSocketAddress,
    ) -> SocketResult<()> {
        self.denied(&this)
    }

    fn finish_bind(&mut self, _this: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        to: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let caller = self.caller.cloned().ok_or(ErrorCode::AccessDenied)?;
        let to = SocketAddr::from(to);
        let socket = self.socket(&this)?;
        match socket.state {
            State::Fresh => {}
            State::Connecting { .. } => return Err(ErrorCode::ConcurrencyConflict.into()),
            State::Connected { .. } | State::Failed => return Err(ErrorCode::InvalidState.into()),
        }
        if !is_remote(to, socket.family) {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let channel = Later::start(connect(caller, to));
        socket.state = State::Connecting { to, channel };
        Ok(())
    }

    fn finish_connect(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<InputStream>, Resource<OutputStream>)> {
        let socket = self.socket(&this)?;
        let State::Connecting { to, channel } = &mut socket.state else {
            return Err(ErrorCode::NotInProgress.into());
        };
        let to = *to;
        let connected = match channel.get() {
            None => return Err(ErrorCode::WouldBlock.into()),
            Some(Ok(channel)) => channel.take().ok_or(ErrorCode::Unknown),
            Some(Err(error)) => Err(*error),
        };
        let channel = match connected {
            Ok(channel) => channel,
            Err(error) => {
                socket.state = State::Failed;
                return Err(error.into());
            }
        };
        let (incoming, outgoing) = streams(channel);
        let input: DynInputStream = Box::new(incoming.clone());
        let output: DynOutputStream = Box::new(outgoing.clone());
        socket.state = State::Connected {
            to,
            incoming,
            outgoing,
        };
        let input = self.table.push_child(input, &ours(&this))?;
        let output = self.table.push_child(output, &ours(&this))?;
        Ok((input, output))
    }

    async fn start_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        self.denied(&this)
    }

    fn finish_listen(&mut self, _this: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _this: Resource<TcpSocket>,
    ) -> SocketResult<(
        Resource<TcpSocket>,
        Resource<InputStream>,
        Resource<OutputStream>,
    )> {
        Err(ErrorCode::InvalidState.into())
    }

    /// Which port of the host a connection uses is none of the guest's business.
    fn local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        let socket = self.socket(&this)?;
        let any: IpAddr = match (&socket.state, socket.family) {
            (State::Connected { .. }, IpAddressFamily::Ipv4) => Ipv4Addr::UNSPECIFIED.into(),
            (State::Connected { .. }, IpAddressFamily::Ipv6) => Ipv6Addr::UNSPECIFIED.into(),
            _ => return Err(ErrorCode::InvalidState.into()),
        };
        Ok(SocketAddr::new(any, 0).into())
    }

    fn remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        match self.socket(&this)?.state {
            State::Connected { to, .. } => Ok(to.into()),
            _ => Err(ErrorCode::InvalidState.into()),
        }
    }

    fn is_listening(&mut self, _this: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.table.get(&ours(&this))?.family)
    }

    fn set_listen_backlog_size(&mut self, this: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        self.denied(&this)
    }

    fn keep_alive_enabled(&mut self, this: Resource<TcpSocket>) -> SocketResult<bool> {
        self.socket(&this).map(|_| false)
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<TcpSocket>, _: bool) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.no_option(&this)
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.no_option(&this)
    }

    fn set_keep_alive_interval(&mut self, this: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn keep_alive_count(&mut self, this: Resource<TcpSocket>) -> SocketResult<u32> {
        self.no_option(&this)
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpSocket>, _: u32) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn hop_limit(&mut self, this: Resource<TcpSocket>) -> SocketResult<u8> {
        self.no_option(&this)
    }

    fn set_hop_limit(&mut self, this: Resource<TcpSocket>, _: u8) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.no_option(&this)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn send_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        self.no_option(&this)
    }

    fn set_send_buffer_size(&mut self, this: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        self.no_option(&this)
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, ours(&this))
    }

    fn shutdown(&mut self, this: Resource<TcpSocket>, how: ShutdownType) -> SocketResult<()> {
        let socket = self.socket(&this)?;
        let State::Connected {
            incoming, outgoing, ..
        } = &socket.state
        else {
            return Err(ErrorCode::InvalidState.into());
        };
        if matches!(how, ShutdownType::Receive | ShutdownType::Both) {
            incoming.shut_down();
        }
        if matches!(how, ShutdownType::Send | ShutdownType::Both) {
            outgoing.shut_down();
        }
        Ok(())
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Socket>::new_own(this.rep()))?;
        Ok(())
    }
}

impl SocketsView<'_> {
    /// A step has no door that others could come in by.
    fn denied(&mut self, this: &Resource<TcpSocket>) -> SocketResult<()> {
        self.socket(this)?;
        Err(ErrorCode::AccessDenied.into())
    }

    /// The real socket is the broker's, and its options are the host's business.
    fn no_option<T>(&mut self, this: &Resource<TcpSocket>) -> SocketResult<T> {
        self.socket(this)?;
        Err(ErrorCode::NotSupported.into())
    }
}

#[async_trait]
impl Pollable for Socket {
    async fn ready(&mut self) {
        if let State::Connecting { channel, .. } = &mut self.state {
            channel.wait().await;
        }
    }
}
