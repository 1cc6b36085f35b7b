//! Connections that can be broken from outside, or lose what they carry.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use waterwheel::ml::generate::sm;

/// Passes connections on to an address, until it is cut.
pub(super) struct Relay {
    address: SocketAddr,
    line: Arc<Line>,
}

/// What is done to all connections of a relay.
struct Line {
    /// Both ends of each connection; `None` once it is cut.
    open: Mutex<Option<Vec<TcpStream>>>,
    /// Behind how many frames of a connection others get lost, and by what seed; if they do at all.
    garbles: Option<(u64, u64)>,
    /// Frames that were lost, doubled or moved.
    garbled: AtomicU64,
}

impl Relay {
    pub(super) fn to(target: &str) -> Self {
        Self::new(target, None)
    }

    /// Passes frames on as they are, until there were so many on a connection for data. From then on a tenth is lost, a tenth
    /// comes twice, and a tenth after the next one.
    pub(super) fn garbling(target: &str, after: u64, seed: u64) -> Self {
        Self::new(target, Some((after, seed)))
    }

    fn new(target: &str, garbles: Option<(u64, u64)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, target) = (listener.local_addr().unwrap(), target.to_string());
        let open = Mutex::new(Some(Vec::new()));
        let line = Arc::new(Line { open, garbles, garbled: AtomicU64::new(0) });
        let ours = Arc::clone(&line);
        listener.set_nonblocking(true).unwrap();
        spawn(move || {
            while ours.open.lock().unwrap().is_some() {
                match listener.accept() {
                    Ok((near, _)) => {
                        let (target, line) = (target.clone(), Arc::clone(&ours));
                        // Whoever calls and says nothing, or breaks off, is nobody's concern.
                        spawn(move || drop(pass_on(near, &target, &line)));
                    }
                    Err(_) => std::thread::park_timeout(Duration::from_millis(2)),
                }
            }
        });
        Relay { address, line }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many frames were lost, doubled or moved.
    pub(super) fn garbled(&self) -> u64 {
        self.line.garbled.load(Ordering::Relaxed)
    }

    /// Breaks all connections; there will be no more.
    pub(super) fn cut(&self) {
        for end in self.line.open.lock().unwrap().take().into_iter().flatten() {
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

/// Bytes of the handshake (docs/formats/handshake.md): of the caller, and of the acceptor where it admits the caller.
const HELLO: usize = 160;
const PROOF: usize = 32;
const ANSWER: usize = 40 + 35;
/// Where the hello says what the connection is for, and that it is for data.
const CHANNEL: usize = 8;
const DATA: u8 = 0;

fn pass_on(mut near: TcpStream, target: &str, line: &Arc<Line>) -> io::Result<()> {
    near.set_nonblocking(false)?;
    // Nobody listens there yet: whoever has asked tries again.
    let mut far = TcpStream::connect(target)?;
    let mut hello = [0; HELLO];
    near.read_exact(&mut hello)?;
    far.write_all(&hello)?;
    let mut open = line.open.lock().unwrap();
    let Some(ends) = &mut *open else { return Ok(()) };
    for (from, to, handshake) in [(&near, &far, PROOF), (&far, &near, ANSWER)] {
        let (from, to, line) = (from.try_clone()?, to.try_clone()?, Arc::clone(line));
        let is_data = hello[CHANNEL] == DATA;
        spawn(move || {
            let _ = match is_data {
                true => pump_frames(from, &to, handshake, &line),
                false => pump(from, &to),
            };
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    ends.extend([near, far]);
    Ok(())
}

fn pump(mut from: TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        to.write_all(&bytes[..n])?;
    }
    Ok(())
}

/// Bytes of the header of a frame (docs/formats/frames.md), and where it has the length of the rest.
const HEADER: usize = 24;
const LENGTH: std::ops::Range<usize> = 8..12;

fn pump_frames(mut from: TcpStream, mut to: &TcpStream, handshake: usize, line: &Line) -> io::Result<()> {
    // Piece by piece: the second half of what an acceptor says answers the caller.
    let (mut bytes, mut left) = ([0; ANSWER], handshake);
    while left > 0 {
        let n = from.read(&mut bytes[..left])?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..n])?;
        left -= n;
    }
    let mut held: Option<Vec<u8>> = None;
    for n in 0.. {
        let mut frame = vec![0; HEADER];
        from.read_exact(&mut frame)?;
        let length = u32::from_le_bytes(frame[LENGTH].try_into().unwrap());
        frame.resize(HEADER + length as usize, 0);
        from.read_exact(&mut frame[HEADER..])?;
        let seed = line.garbles.and_then(|(after, seed)| (n >= after).then_some(seed));
        let what = seed.map_or(9, |seed| sm(seed, n) % 10);
        line.garbled.fetch_add(u64::from(what < 3), Ordering::Relaxed);
        match what {
            0 => {}
            1 => to.write_all(&frame).and_then(|()| to.write_all(&frame))?,
            2 if held.is_none() => {
                held = Some(frame);
                continue;
            }
            _ => to.write_all(&frame)?,
        }
        held.take().map_or(Ok(()), |held| to.write_all(&held))?;
    }
    Ok(())
}
