//! A thread for each connection, no more than a number of them, and an end in good order.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Service, connection};

/// A browser keeps six; each costs a thread that sleeps.
const CONNECTIONS: usize = 512;
/// How long connections get to finish their answers at the end.
const FINISH: Duration = Duration::from_secs(10);
/// How often the wish to end is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The connections that are open.
#[derive(Default)]
struct Open {
    streams: Mutex<HashMap<u64, TcpStream>>,
    closing: AtomicBool,
}

impl Open {
    fn streams(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection out of the list when its thread ends, however it ends.
struct Leave(Arc<Open>, u64);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.streams().remove(&self.1);
    }
}

/// Answers on `listener` until `stop` says so; then lets the answers at hand be finished, for some seconds.
pub fn run(listener: TcpListener, service: &Arc<dyn Service>, stop: &dyn Fn() -> bool) {
    let open = Arc::new(Open::default());
    let address = listener.local_addr();
    let accepting = {
        let (open, service) = (Arc::clone(&open), Arc::clone(service));
        std::thread::spawn(move || accept(&listener, &open, &service))
    };
    while !stop() && !accepting.is_finished() {
        std::thread::sleep(LOOK);
    }
    open.closing.store(true, Ordering::SeqCst);
    // Wakes the one who accepts.
    if let Ok(address) = address {
        let _ = TcpStream::connect_timeout(&reachable(address), Duration::from_secs(1));
    }
    // Whoever waits for a request reads the end; whoever answers one can still write.
    for stream in open.streams().values() {
        let _ = stream.shutdown(Shutdown::Read);
    }
    let begun = Instant::now();
    while !open.streams().is_empty() && begun.elapsed() < FINISH {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn accept(listener: &TcpListener, open: &Arc<Open>, service: &Arc<dyn Service>) {
    for number in 0_u64.. {
        let stream = listener.accept();
        if open.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok((stream, _)) = stream else {
            // Out of file descriptors, or the other side left at once: others may leave meanwhile.
            std::thread::sleep(LOOK);
            continue;
        };
        let Ok(copy) = stream.try_clone() else { continue };
        {
            let mut streams = open.streams();
            if streams.len() >= CONNECTIONS {
                continue;
            }
            streams.insert(number, copy);
        }
        let leave = Leave(Arc::clone(open), number);
        let service = Arc::clone(service);
        // Where no thread can be made, both ends of the connection are dropped, which closes it.
        let _ = std::thread::Builder::new().name("connection".into()).spawn(move || {
            connection::serve(stream, &*service, &leave.0.closing);
            drop(leave);
        });
    }
}

/// An address of this machine at which what is bound to `address` answers.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
