//! What sinks write, sources read back.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::error::ErrorKind;
use crate::runtime::{RuntimeConfig, execute};
use crate::source::{CsvOptions, Delimiter, Header};
use crate::{BadRecordPolicy, Env};

/// One field of each kind that a cell of CSV can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cells {
    id: u64,
    text: String,
    whole: Option<i64>,
    number: f64,
    single: f32,
    letter: char,
    is: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Small,
    Large,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    id: u64,
    tags: Vec<String>,
    numbers: BTreeMap<String, Option<f64>>,
    of: Option<Box<Nested>>,
    kind: (Kind, i8),
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Small), Just(Kind::Large)]
}

/// Texts that mean something to CSV, and any others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a\",;\n\r \u{feff}]{0,6}", ".{0,8}", "(1|true|NaN|null|-)?"]
}

fn cells() -> impl Strategy<Value = Vec<Cells>> {
    let float = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let one = (text(), any::<Option<i64>>(), float, prop::num::f32::NORMAL, any::<(char, bool)>(), kind());
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let of = |(id, (text, whole, number, single, (letter, is), kind))| {
            let id = id as u64;
            Cells { id, text, whole, number, single, letter, is, kind }
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn nested() -> impl Strategy<Value = Vec<Nested>> {
    let numbers = prop::collection::btree_map(text(), prop::option::of(-1e300..1e300), 0..3);
    let one = (prop::collection::vec(text(), 0..3), numbers, kind(), any::<(i8, bool)>());
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let of = |(id, one)| {
            let (tags, numbers, kind, (small, has_inner)): (_, _, _, (i8, bool)) = one;
            let one = Nested { id: id as u64, tags, numbers, of: None, kind: (kind, small) };
            Nested { of: has_inner.then(|| Box::new(one.clone())), ..one }
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn rolling() -> impl Strategy<Value = RollingPolicy> {
    let limits = (prop::option::of(1u64..9), prop::option::of(1u64..20_000));
    limits.prop_map(|(max_records, max_bytes)| RollingPolicy { max_bytes, max_records })
}

/// Writes the records on so many workers, and reads all files of the suffix on as many.
fn round_trip<D: crate::Record + Sync>(
    records: &[D],
    threads: usize,
    write: impl for<'s> Fn(DataStream<'s, D>, &Path) -> DataStreamSink + Send + Sync + 'static,
    read: impl for<'s> Fn(&Env<'s>, PathBuf) -> Result<DataStream<'s, D>> + Send + Sync + 'static,
) -> Vec<D> {
    let dir = tempfile::tempdir().unwrap();
    let (records, to) = (records.to_vec(), dir.path().to_path_buf());
    let empty = records.is_empty();
    execute(RuntimeConfig::threads(threads), move |env| {
        write(env.from_iter(records.clone()).rebalance(), &to);
        Ok(())
    })
    .unwrap();
    let names: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| name.starts_with("part-")), "{names:?}");
    assert_eq!(names.is_empty(), empty, "{names:?}");
    if empty {
        return Vec::new();
    }
    let files = dir.path().join("part-*");
    execute(RuntimeConfig::threads(threads), move |env| Ok(read(env, files.clone())?.collect()))
        .unwrap()
        .concat()
}

fn sorted<D>(mut records: Vec<D>, id: impl Fn(&D) -> u64) -> Vec<D> {
    records.sort_by_key(id);
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn csv_that_was_written_is_read_back(records in cells(), threads in 1usize..5, rolling in rolling()) {
        let read = round_trip(
            &records,
            threads,
            move |stream, to| stream.write_csv(to, rolling),
            |env, files| {
                let options = CsvOptions::default().delimiter(Delimiter::Byte(b',')).header(Header::Yes);
                Ok(env.read_csv::<Cells>([files], options)?.0.map(|record| record.value))
            },
        );
        prop_assert_eq!(sorted(read, |record| record.id), records);
    }

    #[test]
    fn csv_without_names_is_read_back_by_place(records in cells(), threads in 1usize..5) {
        let rows: Vec<(u64, String, Option<i64>)> =
            records.into_iter().map(|record| (record.id, record.text, record.whole)).collect();
        let read = round_trip(
            &rows,
            threads,
            |stream, to| stream.write_csv(to, RollingPolicy::default()),
            |env, files| {
                let options = CsvOptions::default().delimiter(Delimiter::Byte(b',')).header(Header::No);
                Ok(env.read_csv::<(u64, String, Option<i64>)>([files], options)?.0.map(|record| record.value))
            },
        );
        prop_assert_eq!(sorted(read, |row| row.0), rows);
    }

    #[test]
    fn json_lines_that_were_written_are_read_back(
        records in nested(), threads in 1usize..5, rolling in rolling(),
    ) {
        let read = round_trip(
            &records,
            threads,
            move |stream, to| stream.write_ndjson(to, rolling),
            |env, files| {
                let (records, _bad) = env.read_ndjson::<Nested>([files], BadRecordPolicy::Fail)?;
                Ok(records.map(|record| record.value))
            },
        );
        prop_assert_eq!(sorted(read, |record| record.id), records);
    }
}

/// Names and contents of the files that one worker writes.
fn files<D: Debug + Clone + Send + Sync + 'static>(
    records: &[D],
    write: impl for<'s> Fn(DataStream<'s, D>, &Path) -> DataStreamSink + Send + Sync + 'static,
) -> Result<Vec<(String, String)>> {
    let dir = tempfile::tempdir().unwrap();
    let (records, to) = (records.to_vec(), dir.path().to_path_buf());
    execute(RuntimeConfig::threads(1), move |env| {
        write(env.from_iter(records.clone()), &to);
        Ok(())
    })?;
    let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort();
    Ok(files)
}

#[test]
fn file_that_is_full_is_followed_by_the_next_one() {
    let of = |rolling: RollingPolicy| {
        let all = [1u32, 22, 333, 4444, 55555];
        let files = files(&all, move |stream, to| stream.write_ndjson(to, rolling)).unwrap();
        files.into_iter().map(|(_name, text)| text.replace('\n', " ")).collect::<Vec<_>>()
    };
    assert_eq!(of(RollingPolicy::default().max_records(2)), ["1 22 ", "333 4444 ", "55555 "]);
    assert_eq!(of(RollingPolicy::default().max_bytes(5)), ["1 22 ", "333 4444 ", "55555 "]);
    assert_eq!(of(RollingPolicy::default().max_bytes(0)).len(), 5);
    assert_eq!(of(RollingPolicy::default()).len(), 1);
}

#[test]
fn record_that_a_format_can_not_hold_ends_the_run_and_names_the_file() {
    let nested = [(1u32, BTreeMap::from([("a", 1u32)]))];
    let error = files(&nested, |stream, to| stream.write_csv(to, RollingPolicy::default())).unwrap_err();
    assert_eq!((error.kind(), error.site().unwrap().operator.as_str()), (ErrorKind::Data, "write_csv"));
    let message = error.full_message();
    assert!(message.contains("part-0000000000-0000.csv"), "{message}");
    assert!(message.contains("map"), "{message}");

    let keys = [BTreeMap::from([(vec![1u8], 1u32)])];
    let error = files(&keys, |stream, to| stream.write_ndjson(to, RollingPolicy::default())).unwrap_err();
    assert!(error.full_message().contains("key must be a string"), "{}", error.full_message());
}
