use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// An address of this machine for a program that cannot be asked which port it has got: nobody else is given the port
/// while this lives. Until the program listens, and between two of its runs, connections are refused.
///
/// On Linux a socket holds the port without listening. Other systems would not let the program have it then, so there it is
/// only free when it is made.
#[derive(Debug)]
pub struct Reserved {
    address: SocketAddr,
    _socket: Option<TcpSocket>,
}

impl Reserved {
    /// A port that was free.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Servers set it too, and Linux lets them listen beside a socket that does not.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        Self { address, _socket: cfg!(target_os = "linux").then_some(socket) }
    }

    /// Where the program is to listen: 127.0.0.1, and the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_program_can_listen_again_and_again_and_nobody_else_has_the_port_in_between() {
        let reserved = Reserved::new();
        let address = reserved.address();
        for _ in 0..2 {
            assert!(TcpStream::connect(address).is_err(), "nobody listens");
            // What the system does before it gives a port away, to a connection or to port 0.
            let other = TcpSocket::new_v4().unwrap();
            assert_eq!(other.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(address).unwrap();
            // The side that ends a connection first keeps its port for a while, which must not matter here.
            drop(listener.accept().unwrap());
            drop(client);
        }
    }
}
