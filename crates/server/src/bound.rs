//! An address that is taken before there is anything to answer with.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::builder::StartError;

/// As many connections that were not accepted yet as the system lets wait.
const BACKLOG: u32 = u32::MAX;

/// An address that this process has, and does not listen on yet: whoever connects is refused, as if nobody were there.
#[derive(Debug)]
pub struct BoundAddress {
    socket: TcpSocket,
    address: SocketAddr,
}

impl BoundAddress {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`], as when another process listens there.
    pub fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Elsewhere than on Unix this would let two processes have one address.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        let socket = bind().map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { socket, address })
    }

    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`], as when another process took the address at the same time and was faster.
    pub fn listen(self) -> Result<TcpListener, StartError> {
        let Self { socket, address } = self;
        socket.listen(BACKLOG).map_err(|source| StartError::Listen { address, source })
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn nobody_gets_through_before_there_is_somebody_to_answer() {
        let bound = BoundAddress::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.socket.local_addr().unwrap();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let listener = bound.listen().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert_eq!(accepted.unwrap().1, client.unwrap().local_addr().unwrap());
    }

    #[tokio::test]
    async fn an_address_that_is_listened_on_cannot_be_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = BoundAddress::bind(listener.local_addr().unwrap()).unwrap_err();
        let StartError::Listen { source, .. } = taken else { panic!("{taken}") };
        assert_eq!(source.kind(), ErrorKind::AddrInUse);
    }
}
