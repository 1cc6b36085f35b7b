use proptest::prelude::*;

use super::*;

fn wire(contents: &[Vec<u8>]) -> Vec<u8> {
    let (mut writer, mut wire) = (FrameWriter::default(), Vec::new());
    contents.iter().for_each(|content| writer.write(&mut wire, content).unwrap());
    assert_eq!(writer.n_sent(), contents.len() as u64);
    wire
}

/// A connection that gives a few bytes at a time, and times out before each of them.
struct Slow<'a>(&'a [u8], usize, bool);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.1.min(buffer.len());
        self.0.read(&mut buffer[..n])
    }
}

/// A connection that takes a few bytes at a time.
struct Narrow(Vec<u8>, usize);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.1.min(bytes.len());
        self.0.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All frames until the end, or the error.
fn read_all(mut stream: impl Read) -> (Vec<Vec<u8>>, io::Result<()>) {
    let (mut reader, mut contents) = (FrameReader::default(), Vec::new());
    loop {
        match reader.read(&mut stream) {
            Ok(true) => contents.push(reader.content().to_vec()),
            Ok(false) => return (contents, Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return (contents, Err(error)),
        }
    }
}

const GOLDEN: [&str; 3] = [
    "0000000000000000050000003dedb8153a8db78cbf9f0ac6",
    "7761746572",
    "010000000000000000000000180f882503676f82ccb0c54d",
];

/// The bytes of docs/formats/frames.md.
#[test]
fn frames_have_their_golden_bytes() {
    let hex: String =
        wire(&[b"water".to_vec(), Vec::new()]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN.concat());
}

#[test]
fn frame_that_is_too_long_is_refused_on_both_sides() {
    let error = FrameWriter::default().write(&mut Vec::new(), &vec![0; MAX_FRAME + 1]).unwrap_err();
    assert_eq!(error.to_string(), "a frame of 1048577 bytes, at most 1048576");
    let mut bytes = [0; HEADER_BYTES];
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let check = xxh3_64(&bytes[..12]) as u32;
    bytes[12..16].copy_from_slice(&check.to_le_bytes());
    let error = read_all(&bytes[..]).1.unwrap_err();
    assert!(error.to_string().starts_with("frame 0 has 4294967295 bytes, at most 1048576"), "{error}");
}

#[test]
fn frames_that_are_missing_doubled_or_moved_are_named() {
    let frames: Vec<Vec<u8>> = (0..3u8).map(|n| vec![n; 10]).collect();
    let bytes = wire(&frames);
    let frame = |n: usize| &bytes[n * (HEADER_BYTES + 10)..][..HEADER_BYTES + 10];
    for (order, good, text) in [
        (vec![0, 2], 1, "frame 2 has come, expected 1"),
        (vec![0, 1, 1], 2, "frame 1 has come, expected 2"),
        (vec![1, 0], 0, "frame 1 has come, expected 0"),
    ] {
        let wire: Vec<u8> = order.iter().flat_map(|n| frame(*n).to_vec()).collect();
        let (read, end) = read_all(&wire[..]);
        assert_eq!(read, frames[..good]);
        assert!(end.unwrap_err().to_string().starts_with(text), "{order:?}");
    }
}

proptest! {
    #[test]
    fn frames_come_as_they_were_sent_however_their_bytes_come(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..10),
        long in 0..MAX_FRAME,
        piece in 1usize..5000,
    ) {
        let contents: Vec<Vec<u8>> = contents.into_iter().chain([vec![7; long]]).collect();
        let wire = wire(&contents);
        let (read, end) = read_all(Slow(&wire, piece, false));
        prop_assert!(read == contents && end.is_ok());
        let mut narrow = Narrow(Vec::new(), piece);
        let mut writer = FrameWriter::default();
        contents.iter().for_each(|content| writer.write(&mut narrow, content).unwrap());
        prop_assert!(narrow.0 == wire);
    }

    /// Whatever is cut out, doubled or changed: all frames before it are right, and none after it is given out.
    #[test]
    fn no_damaged_frame_is_given_out(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..10),
        (at, len) in (any::<prop::sample::Index>(), 1usize..60),
        kind in 0..3,
    ) {
        let good = wire(&contents);
        let (at, mut bad) = (at.index(good.len()), good.clone());
        let end = good.len().min(at + len);
        match kind {
            0 => drop(bad.drain(at..end)),
            1 => drop(bad.splice(at..at, good[at..end].to_vec())),
            _ => bad[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a),
        }
        let (read, outcome) = read_all(&bad[..]);
        prop_assert!(read.len() <= contents.len());
        prop_assert!(read[..] == contents[..read.len()]);
        // Only a clean cut at the end is not seen here; the count of frames tells it.
        prop_assert!(outcome.is_err() || (kind == 0 && end == good.len() && read.len() < contents.len()));
    }
}
