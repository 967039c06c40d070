//! `talk HOST PORT`: looks HOST up, connects to the first of its addresses, sends standard input, and shows
//! what comes back. An address in place of a name is used as it is.
//!
//! `talk look-up HOST` shows the addresses; `talk bind`, `talk listen` and `talk udp` try what no step may.
//! Exit status 1 says that the host refused something, and standard error what and how.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["look-up", host] => look_up(host).map(|addresses| {
            for address in addresses {
                println!("{address}");
            }
        }),
        ["bind"] => bind().map(drop),
        ["listen"] => bind().and_then(|socket| socket.start_listen().map_err(code("listen"))),
        ["udp"] => create_udp_socket(IpAddressFamily::Ipv4)
            .map(drop)
            .map_err(code("udp")),
        [host, port] => talk(host, port),
        _ => Err("usage: talk HOST PORT".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("refused: {why}");
            ExitCode::FAILURE
        }
    }
}

fn code(what: &str) -> impl Fn(ErrorCode) -> String {
    move |error| format!("{what}: {}", error.name())
}

fn bind() -> Result<TcpSocket, String> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(code("create"))?;
    let any = to_socket_address(Ipv4Addr::UNSPECIFIED.into(), 0);
    let network = instance_network();
    socket.start_bind(&network, any).map_err(code("bind"))?;
    socket.subscribe().block();
    socket.finish_bind().map_err(code("bind"))?;
    Ok(socket)
}

fn look_up(host: &str) -> Result<Vec<IpAddr>, String> {
    let stream = resolve_addresses(&instance_network(), host).map_err(code("look up"))?;
    let mut addresses = Vec::new();
    loop {
        stream.subscribe().block();
        match stream.resolve_next_address().map_err(code("look up"))? {
            Some(IpAddress::Ipv4((a, b, c, d))) => addresses.push([a, b, c, d].into()),
            Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h))) => {
                addresses.push([a, b, c, d, e, f, g, h].into());
            }
            None => return Ok(addresses),
        }
    }
}

fn talk(host: &str, port: &str) -> Result<(), String> {
    let port = port.parse().map_err(|_| "a port is a number")?;
    let address = match host.parse() {
        Ok(address) => address,
        Err(_) => *look_up(host)?.first().ok_or("there is no address")?,
    };
    let family = match address {
        IpAddr::V4(_) => IpAddressFamily::Ipv4,
        IpAddr::V6(_) => IpAddressFamily::Ipv6,
    };
    let socket = create_tcp_socket(family).map_err(code("create"))?;
    let to = to_socket_address(address, port);
    socket
        .start_connect(&instance_network(), to)
        .map_err(code("connect"))?;
    socket.subscribe().block();
    let (input, output) = socket.finish_connect().map_err(code("connect"))?;
    send(&output).map_err(|error| format!("send: {error:?}"))?;
    socket
        .shutdown(ShutdownType::Send)
        .map_err(code("shut down"))?;
    receive(&input)
}

fn send(output: &OutputStream) -> Result<(), StreamError> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).unwrap_or_default();
    for piece in bytes.chunks(4096) {
        output.blocking_write_and_flush(piece)?;
    }
    Ok(())
}

fn receive(input: &InputStream) -> Result<(), String> {
    let mut out = io::stdout().lock();
    loop {
        match input.blocking_read(64 * 1024) {
            Ok(bytes) => out.write_all(&bytes).map_err(|error| error.to_string())?,
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(format!("receive: {error:?}")),
        }
    }
}

fn to_socket_address(address: IpAddr, port: u16) -> IpSocketAddress {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port,
                address: (a, b, c, d),
            })
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                address: (a, b, c, d, e, f, g, h),
                flow_info: 0,
                scope_id: 0,
            })
        }
    }
}
