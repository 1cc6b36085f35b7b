//! Cases of Flink ML's `DataCacheWriteReadTest`, and what else a cache promises.

use std::path::Path;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::ErrorKind;

fn cache<D: Record>(memory: u64, directory: &Path) -> DataCache<D> {
    DataCache::new(&CacheShare::alone(memory, directory))
}

fn filled<D: Record>(memory: u64, directory: &Path, batches: &[Vec<D>]) -> DataCache<D> {
    let mut cache = cache(memory, directory);
    batches.iter().for_each(|batch| cache.append(batch.clone()).unwrap());
    cache
}

fn read<D: Record>(cache: &mut DataCache<D>) -> Vec<D> {
    cache.reader().unwrap().flat_map(Result::unwrap).collect()
}

fn read_from<D: Record>(cache: &mut DataCache<D>, segment: usize, record: u64) -> Vec<D> {
    let reader = cache.reader_from(CachePosition { segment, record }).unwrap();
    reader.flat_map(Result::unwrap).collect()
}

/// 0 to 10,239 in batches of 100.
fn numbers() -> Vec<Vec<u32>> {
    (0..10_240).collect::<Vec<u32>>().chunks(100).map(<[u32]>::to_vec).collect()
}

fn n_files(directory: &Path) -> usize {
    let lists = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| std::fs::read_dir(entry.unwrap().path()).ok());
    lists.map(Iterator::count).sum()
}

#[test]
fn cache_without_records_has_no_segments() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled::<u32>(0, directory.path(), &[vec![]]);
    assert_eq!(read(&mut cache), [0; 0]);
    assert_eq!(cache.n_segments(), 0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn cache_without_memory_is_one_file_of_known_length() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(0, directory.path(), &numbers());
    assert_eq!(read(&mut cache), numbers().concat());
    assert_eq!(read(&mut cache), numbers().concat());
    let [file] = cache.files().collect::<Vec<_>>()[..] else { panic!("{cache:?}") };
    assert_eq!(file.records(), 10_240);
    assert_eq!(file.len_bytes(), std::fs::metadata(file.path()).unwrap().len());
    assert_eq!((cache.n_segments(), cache.memory_bytes()), (1, 0));
}

#[test]
fn cache_with_enough_memory_has_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(64 * 4096, directory.path(), &numbers());
    assert_eq!(read(&mut cache), numbers().concat());
    assert_eq!(read(&mut cache), numbers().concat());
    assert_eq!((cache.n_segments(), cache.files().count()), (1, 0));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn cache_with_too_little_memory_goes_on_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(4 * 4096, directory.path(), &numbers());
    assert_eq!(read(&mut cache), numbers().concat());
    assert_eq!(read(&mut cache), numbers().concat());
    let memory = cache.memory_bytes();
    assert!((1..=4 * 4096).contains(&memory), "{memory}");
    assert_eq!((cache.n_segments(), cache.files().count()), (2, 1));
}

#[test]
fn file_that_is_long_enough_is_followed_by_another() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = cache(0, directory.path());
    cache.segment_bytes = 100_000;
    let all: Vec<u64> = (0..100_000).collect();
    all.chunks(1000).for_each(|batch| cache.append(batch.to_vec()).unwrap());
    assert_eq!(read(&mut cache), all);
    let (files, lengths): (Vec<_>, Vec<_>) =
        cache.files().map(|file| (file.records() as usize, file.len_bytes())).unzip();
    let (last, full) = lengths.split_last().unwrap();
    assert!(full.len() > 4 && full.iter().all(|len| (100_000..200_000).contains(len)), "{lengths:?}");
    assert!(*last < 200_000, "{lengths:?}");
    let mut before = 0;
    for (segment, records) in files.into_iter().enumerate() {
        let rest = read_from(&mut cache, segment, records as u64 - 1);
        assert_eq!(rest, all[before + records - 1..]);
        before += records;
    }
    assert_eq!(before, all.len());
}

#[test]
fn reader_keeps_what_it_reads_while_the_cache_grows() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(10_000, directory.path(), &[vec![1u64], vec![2]]);
    let mut reader = cache.reader().unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), [1]);
    cache.append(vec![3]).unwrap();
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), [[2]]);
    assert_eq!(read(&mut cache), [1, 2, 3]);
    let rest = read_from(&mut cache, 1, 0);
    assert_eq!(rest, [3]);
}

#[test]
fn files_are_removed_with_the_cache_and_its_readers() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(0, directory.path(), &numbers());
    let reader = cache.reader().unwrap();
    assert_eq!(n_files(directory.path()), 1);
    drop(cache);
    assert_eq!(reader.flat_map(Result::unwrap).count(), 10_240);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    // One that is never completed, too.
    drop(filled(0, directory.path(), &numbers()));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn memory_is_given_back_with_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let share = CacheShare::alone(5_000, directory.path());
    for _ in 0..3 {
        let mut cache = DataCache::new(&share);
        cache.append(vec![7u64; 500]).unwrap();
        assert_eq!((cache.memory_bytes(), cache.files().count()), (4_040, 0));
    }
}

#[test]
fn position_that_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(1 << 20, directory.path(), &[vec![1u64, 2]]);
    assert_eq!(read_from(&mut cache, 1, 0), [0; 0]);
    for (segment, record) in [(0, 3), (1, 1), (2, 0)] {
        let error = cache.reader_from(CachePosition { segment, record }).unwrap_err();
        assert!(error.message().starts_with(&format!("position {record} in segment {segment}")), "{error}");
    }
}

#[test]
fn directory_that_can_not_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = cache(0, &file).append(vec![1u64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains(&*file.to_string_lossy()), "{error}");
}

#[test]
fn record_that_can_not_be_written_makes_the_cache_incomplete() {
    #[derive(Clone, Deserialize)]
    struct Odd(u64);
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            if self.0 == 3 {
                return Err(serde::ser::Error::custom("three is not allowed"));
            }
            serializer.serialize_u64(self.0)
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(0, directory.path(), &[vec![Odd(1)], vec![Odd(3)]]);
    let error = cache.reader().unwrap_err();
    assert!(error.message().contains("Odd can not be written to data cache file"), "{error}");
    assert!(error.full_message().ends_with("three is not allowed"), "{}", error.full_message());
    assert!(cache.append(vec![Odd(4)]).unwrap_err().message().contains("incomplete"));
    assert!(cache.reader().unwrap_err().message().contains("incomplete"));
}

fn error_of<D: Record>(cache: &mut DataCache<D>) -> Error {
    match cache.reader() {
        Ok(mut reader) => reader.find_map(Result::err).expect("an error"),
        Err(error) => error,
    }
}

#[test]
fn file_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(0, directory.path(), &numbers());
    cache.finish().unwrap();
    let path = cache.files().next().unwrap().path().to_owned();
    std::fs::remove_file(&path).unwrap();
    let error = error_of(&mut cache);
    assert_eq!(error.message(), format!("can not read data cache file {}", path.display()));
    assert!(error.full_message().contains("No such file"), "{}", error.full_message());
}

#[test]
fn file_of_another_length_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(0, directory.path(), &numbers());
    cache.finish().unwrap();
    let (path, len) = cache.files().map(|file| (file.path().to_owned(), file.len_bytes())).next().unwrap();
    for found in [0, 8, len - 1] {
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(found).unwrap();
        let error = error_of(&mut cache);
        let expected =
            format!("data cache file {} is damaged: it has {found} bytes, expected {len}", path.display());
        assert_eq!(error.message(), expected);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u32,
    name: String,
    parts: Vec<Vec<String>>,
    weight: Option<f32>,
}

prop_compose! {
    fn row()(
        id in any::<u32>(),
        name in ".{0,9}",
        parts in prop::collection::vec(prop::collection::vec("[a-z]{0,4}", 0..3), 0..3),
        weight in prop::option::of(-1e9f32..1e9),
    ) -> Row {
        Row { id, name, parts, weight }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_come_back_in_order_whatever_the_memory(
        batches in prop::collection::vec(prop::collection::vec(row(), 0..40), 0..12),
        memory in prop_oneof![Just(0u64), 1..20_000u64, Just(u64::MAX)],
        segment_bytes in 1..5_000u64,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = cache(memory, directory.path());
        cache.segment_bytes = segment_bytes;
        for batch in &batches {
            cache.append(batch.clone()).unwrap();
        }
        let expected = batches.concat();
        prop_assert_eq!(&read(&mut cache), &expected);
        prop_assert!(cache.memory_bytes() <= memory);
        let mut before = 0;
        for segment in 0..cache.n_segments() {
            let records = cache.segments[segment].records();
            prop_assert!(records > 0);
            for record in [0, 1, records / 2, records] {
                let rest = read_from(&mut cache, segment, record);
                prop_assert_eq!(&rest[..], &expected[before + record as usize..]);
            }
            before += records as usize;
        }
    }

    #[test]
    fn position_of_a_reader_is_where_another_goes_on(
        batches in prop::collection::vec(prop::collection::vec(any::<u64>(), 1..40), 1..12),
        memory in 0..2_000u64,
        n in 0..20usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = filled(memory, directory.path(), &batches);
        let mut reader = cache.reader().unwrap();
        let first: Vec<_> = reader.by_ref().take(n).flat_map(Result::unwrap).collect();
        let rest = cache.reader_from(reader.position()).unwrap().flat_map(Result::unwrap);
        prop_assert_eq!(first.into_iter().chain(rest).collect::<Vec<_>>(), batches.concat());
    }

    #[test]
    fn damaged_byte_is_an_error_that_names_the_file(
        rows in prop::collection::vec(row(), 1..40),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        from in 0..3u64,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = filled(0, directory.path(), std::slice::from_ref(&rows));
        cache.finish().unwrap();
        let path = cache.files().next().unwrap().path().to_owned();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        for record in [0, from.min(rows.len() as u64 - 1)] {
            let reader = cache.reader_from(CachePosition { segment: 0, record });
            let error = reader.err().or_else(|| read_error(&mut cache, record)).expect("an error");
            prop_assert!(error.message().contains(&*path.to_string_lossy()), "{}", error);
        }
    }
}

fn read_error<D: Record>(cache: &mut DataCache<D>, record: u64) -> Option<Error> {
    cache.reader_from(CachePosition { segment: 0, record }).unwrap().find_map(Result::err)
}

/// Blocks in another order, each whole.
#[test]
fn file_whose_blocks_have_changed_places_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let batches = [vec![1u64; 10_000], vec![2; 10_000]];
    let mut cache = filled(0, directory.path(), &batches);
    cache.finish().unwrap();
    let path = cache.files().next().unwrap().path().to_owned();
    let bytes = std::fs::read(&path).unwrap();
    let (first, second) = bytes[8..].split_at((bytes.len() - 8) / 2);
    std::fs::write(&path, [&bytes[..8], second, first].concat()).unwrap();
    let error = error_of(&mut cache);
    assert!(error.message().contains("it has 20000 records and the checksum"), "{error}");
}

#[test]
fn golden_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = filled(0, directory.path(), &[vec![(7u64, "ab".to_string()), (8, String::new())]]);
    cache.finish().unwrap();
    let file = cache.files().next().unwrap();
    #[rustfmt::skip]
    let mut expected = vec![
        b'W', b'W', b'D', 1, 0, 0, 0, 0,
        b'W', b'W', b'R', 1, 2, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 0, 0, 0, 0,
        b'a', b'b', 0, 0, 0, 0, 0, 0,
    ];
    expected[16..24].copy_from_slice(&GOLDEN_BLOCK.to_le_bytes());
    assert_eq!(std::fs::read(file.path()).unwrap(), expected);
    assert_eq!((file.records(), file.len_bytes(), file.checksum()), (2, expected.len() as u64, GOLDEN_FILE));
}

/// Checksums of the block and of the file, as `docs/formats/data-cache.md` has them.
const GOLDEN_BLOCK: u64 = 0x6356_5818_58ea_4703;
const GOLDEN_FILE: u64 = 0x7d26_f221_6254_f5e6;
