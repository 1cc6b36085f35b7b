//! The bytes: what is written today must be read for ever.

use super::*;

/// Two checkpoints of two workers, the second with sections of the first: see `write_golden`.
fn golden() -> CheckpointStore {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/checkpoint-v1");
    CheckpointStore::open_existing(directory, "golden").unwrap()
}

/// Writes what the golden files hold.
fn write_golden(store: &CheckpointStore) {
    let attempt = store.claim_attempt(3).unwrap();
    let mut tables = Vec::new();
    let mut parts = Vec::new();
    for worker in 0..2 {
        let mut part = store.writer(attempt, 7, worker);
        let group = 64 * worker;
        part.put(&state(), Some(group), &content(7, worker, group)).unwrap();
        part.put(&state(), Some(group + 1), b"as it is").unwrap();
        part.put(&position(), None, &[worker as u8; 9]).unwrap();
        let (info, table) = part.finish().unwrap();
        parts.push(info);
        tables.push(table);
    }
    store.commit(7, &parts, meta(attempt)).unwrap();
    parts.clear();
    for worker in 0..2 {
        let mut part = store.writer(attempt, 8, worker);
        let group = 64 * worker;
        part.carry(&tables[worker as usize], &state(), Some(group)).unwrap();
        part.put(&state(), Some(group + 1), b"").unwrap();
        part.put(&position(), None, &[worker as u8 + 8; 9]).unwrap();
        parts.push(part.finish().unwrap().0);
    }
    store.commit(8, &parts, CheckpointMeta { savepoint: Some("gold".into()), ..meta(attempt) }).unwrap();
}

#[track_caller]
fn assert_golden(store: &CheckpointStore) {
    assert_eq!((store.epochs().unwrap(), store.newest_attempt().unwrap()), (vec![7, 8], Some(3)));
    let read = |epoch| -> Vec<_> {
        let checkpoint = store.verify(epoch).unwrap();
        let all = checkpoint.read_ungrouped(&position()).chain(checkpoint.read(&state(), 0..128));
        all.map(|section| section.map(|section| (section.worker, section.key_group, section.bytes)).unwrap())
            .collect()
    };
    let bytes = |text: &str| text.as_bytes().to_vec();
    assert_eq!(
        read(7),
        [
            (0, None, vec![0; 9]),
            (1, None, vec![1; 9]),
            (0, Some(0), content(7, 0, 0)),
            (0, Some(1), bytes("as it is")),
            (1, Some(64), content(7, 1, 64)),
            (1, Some(65), bytes("as it is")),
        ]
    );
    assert_eq!(
        read(8),
        [
            (0, None, vec![8; 9]),
            (1, None, vec![9; 9]),
            (0, Some(0), content(7, 0, 0)),
            (0, Some(1), bytes("")),
            (1, Some(64), content(7, 1, 64)),
            (1, Some(65), bytes("")),
        ]
    );
    let (checkpoint, _) = found(store);
    assert_eq!((checkpoint.savepoint(), checkpoint.refers_to().len()), (Some("gold"), 2));
    assert_eq!((checkpoint.program(), checkpoint.fingerprint()), ("1.2.0", 0xfeed_0000_0000_0001));
}

#[test]
fn golden_checkpoints_of_version_1_are_read() {
    assert_golden(&golden());
}

#[test]
fn what_is_written_today_reads_as_the_golden_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(directory.path().to_str().unwrap(), "golden").unwrap();
    write_golden(&store);
    assert_golden(&store);
}

/// The layout of `docs/formats/checkpoint.md`, by hand.
#[test]
fn part_has_the_documented_bytes() {
    let fixture = Fixture::new();
    let mut part = fixture.store.writer(1, 2, 3);
    part.put(&SectionKey::new("o", "k"), Some(5), b"abc").unwrap();
    let (info, _) = part.finish().unwrap();
    let bytes = std::fs::read(fixture.directory.path().join(info.part.name(&fixture.store.layout))).unwrap();
    let section = [&[3, 0, 0, 0, 3, 0, 0, 0x80][..], b"abc"].concat();
    let sum = xxhash_rust::xxh3::xxh3_64(&section);
    let mut varint = Vec::new();
    let mut left = sum;
    while left >= 0x80 {
        varint.push(left as u8 | 0x80);
        left >>= 7;
    }
    varint.push(left as u8);
    // Job, attempt, epoch, worker; no parts; one key; one section: key 0, group 5, this part, 16, 11 stored, 3.
    let footer = [&b"\x03job\x01\x02\x03\0\x01\x01o\x01k\x01\0\x01\x05\0\x10\x0b\x03"[..], &varint].concat();
    let header = b"WWCKPART\x01\0\0\0\0\0\0\0";
    let mut trailer = (footer.len() as u64).to_le_bytes().to_vec();
    trailer.extend(xxhash_rust::xxh3::xxh3_64(&footer).to_le_bytes());
    let own = xxhash_rust::xxh3::xxh3_64_with_seed(&trailer, xxhash_rust::xxh3::xxh3_64(header));
    trailer.extend(own.to_le_bytes());
    trailer.extend(b"WWCKEND\n");
    assert_eq!(bytes, [&header[..], &section, &footer, &trailer].concat());
    assert_eq!(info.part.checksum, xxhash_rust::xxh3::xxh3_64(&footer));
    assert_eq!(info.part.length, bytes.len() as u64);
}
