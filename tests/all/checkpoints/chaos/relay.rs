//! Connections that can be broken from outside.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Passes connections on to an address, until it is cut.
pub(super) struct Relay {
    address: SocketAddr,
    /// Both ends of each connection; `None` once it is cut.
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Relay {
    pub(super) fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, target) = (listener.local_addr().unwrap(), target.to_string());
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let ours = Arc::clone(&open);
        listener.set_nonblocking(true).unwrap();
        spawn(move || {
            while ours.lock().unwrap().is_some() {
                match listener.accept() {
                    Ok((near, _)) => pass_on(near, &target, &ours),
                    Err(_) => std::thread::park_timeout(Duration::from_millis(2)),
                }
            }
        });
        Relay { address, open }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections; there will be no more.
    pub(super) fn cut(&self) {
        for end in self.open.lock().unwrap().take().into_iter().flatten() {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

fn spawn(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name("relay".into()).spawn(f).unwrap();
}

fn pass_on(near: TcpStream, target: &str, open: &Mutex<Option<Vec<TcpStream>>>) {
    near.set_nonblocking(false).unwrap();
    // Nobody listens there yet: whoever has asked tries again.
    let Ok(far) = TcpStream::connect(target) else { return };
    let mut open = open.lock().unwrap();
    let Some(ends) = &mut *open else { return };
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        spawn(move || pump(from, to));
    }
    ends.extend([near, far]);
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
