//! Turns Nagle's algorithm off for the embedded broker.
//!
//! With it, a message that follows an acknowledgement waits until the client's TCP acknowledges the
//! latter, which takes up to 40 ms. rumqttd 0.20 has no option for it and does not expose its
//! listener. On Linux a connection inherits the option from its listener, so it is set there; if that
//! fails, messages are delayed.

use std::ffi::c_int;
use std::net::Ipv4Addr;

/// Sets `TCP_NODELAY` on the socket of this process that listens on `port` of 127.0.0.1, for the
/// connections that it accepts from now on. False if there is no such socket.
pub(super) fn set_for_listener(port: u16) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = descriptors.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|&fd| listens_at(fd, port) && set_nodelay(fd)).count() > 0
}

fn listens_at(fd: c_int, port: u16) -> bool {
    let (mut listens, mut length): (c_int, _) = (0, size_of_value::<c_int>());
    // SAFETY: the pointer is valid for the length that the call is given.
    #[expect(unsafe_code, reason = "the listener is inside rumqttd")]
    let asked = unsafe {
        let place = (&raw mut listens).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, place, &raw mut length)
    };
    if asked != 0 || listens == 0 {
        return false;
    }
    let mut length = size_of_value::<libc::sockaddr_in>();
    // SAFETY: all zeros is a valid address, and the pointer is valid for the length that is given.
    #[expect(unsafe_code, reason = "the listener is inside rumqttd")]
    let (named, address) = unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        (libc::getsockname(fd, (&raw mut address).cast(), &raw mut length), address)
    };
    named == 0
        && c_int::from(address.sin_family) == libc::AF_INET
        && u16::from_be(address.sin_port) == port
        && u32::from_be(address.sin_addr.s_addr) == u32::from(Ipv4Addr::LOCALHOST)
}

fn set_nodelay(fd: c_int) -> bool {
    let (on, length): (c_int, _) = (1, size_of_value::<c_int>());
    // SAFETY: the option's value has the address and the length that the call is given.
    #[expect(unsafe_code, reason = "the listener is inside rumqttd")]
    let set = unsafe {
        let value = (&raw const on).cast();
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, value, length)
    };
    set == 0
}

/// The size of a type, in the type of the calls.
fn size_of_value<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn accepted_connections_take_the_option_over() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(set_for_listener(port));
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        drop(listener);
        assert!(!set_for_listener(port), "nothing listens there");
    }
}
