//! Binding listeners, one socket per worker and address.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::clock;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// After a `kill -9` the kernel frees the sockets of an io_uring late: `bind` says that the address
/// is in use for seconds more.
const RETRY_FOR: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Binds `count` sockets to one address; the kernel spreads connections over them.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let address = probe(address)?;
    (0..count).map(|_| listen(address)).collect()
}

/// Binds once without sharing. Sharing lets every process of the same user bind as well, and
/// two servers that each get half of the connections are worse than an error.
#[allow(clippy::disallowed_methods)] // Before any worker runs, and nothing tells when it is free.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let began = clock::now();
    loop {
        let socket = socket(address)?;
        match socket.bind(&address.into()) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && began.elapsed() < RETRY_FOR => {
                std::thread::sleep(RETRY_EVERY);
            }
            Err(error) => return Err(error),
            Ok(()) => return bound(&socket),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    // Accepted sockets inherit it. Stanzas are small and already gathered per turn.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has listeners of its own.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn bound(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?;
    address.as_socket().ok_or_else(|| ErrorKind::AddrNotAvailable.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_share_the_port_that_was_free() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let sockets = bind(any, 3).expect("a free port");
        let ports: Vec<_> =
            sockets.iter().map(|socket| socket.local_addr().expect("bound").port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }
}
