//! Files of columns that were written are read back, whatever is in them.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::schema::columns_of;
use crate::error::{ErrorKind, Result};
use crate::runtime::{RuntimeConfig, execute};
use crate::sink::RollingPolicy;
use crate::source::SourcePosition;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Small,
    Large,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    letter: char,
    pairs: Vec<(u8, Option<f32>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Whole {
    id: u64,
    is: bool,
    numbers: (i8, i16, i32, i64, u8, u16, u32, f32, f64),
    text: Option<String>,
    kind: Kind,
    tags: Vec<Option<String>>,
    inner: Option<Inner>,
    inners: Vec<Inner>,
    triple: [u16; 3],
}

fn text() -> impl Strategy<Value = String> {
    ".{0,6}"
}

fn inner() -> impl Strategy<Value = Inner> {
    let pair = (any::<u8>(), prop::option::of(prop::num::f32::NORMAL));
    (any::<char>(), prop::collection::vec(pair, 0..3)).prop_map(|(letter, pairs)| Inner { letter, pairs })
}

fn records() -> impl Strategy<Value = Vec<Whole>> {
    let numbers = (
        (any::<i8>(), any::<i16>(), any::<i32>(), any::<i64>()),
        (any::<u8>(), any::<u16>(), any::<u32>(), prop::num::f32::NORMAL, prop::num::f64::NORMAL),
    );
    let numbers = numbers.prop_map(|((a, b, c, d), (e, f, g, h, i))| (a, b, c, d, e, f, g, h, i));
    let kind = prop_oneof![Just(Kind::Small), Just(Kind::Large)];
    let lists = (
        prop::collection::vec(prop::option::of(text()), 0..3),
        prop::option::of(inner()),
        prop::collection::vec(inner(), 0..3),
        any::<[u16; 3]>(),
    );
    let one = (any::<bool>(), numbers, prop::option::of(text()), kind, lists);
    prop::collection::vec(one, 0..80).prop_map(|all| {
        let of = |(id, one)| {
            let (is, numbers, text, kind, (tags, inner, inners, triple)) = one;
            Whole { id, is, numbers, text, kind, tags, inner, inners, triple }
        };
        (0..).zip(all).map(of).collect()
    })
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Parquet,
    Arrow,
}

fn write(records: &[Whole], to: &Path, format: Format, threads: usize, rolling: RollingPolicy) {
    let (records, to) = (records.to_vec(), to.to_path_buf());
    execute(RuntimeConfig::threads(threads), move |env| {
        let records = env.from_iter(records.clone()).rebalance();
        match format {
            Format::Parquet => records.write_parquet(&to, rolling)?,
            Format::Arrow => records.write_arrow(&to, rolling)?,
        };
        Ok(())
    })
    .unwrap();
}

fn read<R: crate::Record + Sync>(files: PathBuf, format: Format, threads: usize) -> Result<Vec<R>> {
    let read = execute(RuntimeConfig::threads(threads), move |env| {
        let records = match format {
            Format::Parquet => env.read_parquet::<R>([&files])?,
            Format::Arrow => env.read_arrow::<R>([&files])?,
        };
        Ok(records.collect())
    });
    read.map(|workers| workers.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn records_of_columns_are_read_back(
        records in records(),
        threads in 1usize..5,
        max_records in prop::option::of(1u64..9),
        format in prop_oneof![Just(Format::Parquet), Just(Format::Arrow)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        write(&records, dir.path(), format, threads, RollingPolicy { max_records, max_bytes: None });
        if records.is_empty() {
            return Ok(());
        }
        let mut found = read::<Whole>(dir.path().join("part-*"), format, threads).unwrap();
        found.sort_by_key(|record| record.id);
        prop_assert_eq!(found, records);
    }
}

fn some_records(n: u64) -> Vec<Whole> {
    let inner = Inner { letter: 'x', pairs: vec![(1, None)] };
    let of = |id| Whole {
        id,
        is: id % 2 == 0,
        numbers: (1, 2, 3, id as i64, 5, 6, 7, 0.5, 1.5),
        text: (id % 3 > 0).then(|| format!("text {id}")),
        kind: Kind::Large,
        tags: vec![None, Some("tag".into())],
        inner: Some(inner.clone()),
        inners: Vec::new(),
        triple: [7; 3],
    };
    (0..n).map(of).collect()
}

/// Other types read what they need: fields by name, in any order, and wider numbers.
#[test]
fn columns_are_found_by_name_and_others_are_passed_over() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Part {
        kind: String,
        #[serde(alias = "id")]
        number: i64,
        absent: Option<u8>,
    }
    for format in [Format::Parquet, Format::Arrow] {
        let dir = tempfile::tempdir().unwrap();
        write(&some_records(3), dir.path(), format, 1, RollingPolicy::default());
        let found = read::<Part>(dir.path().join("part-*"), format, 2).unwrap();
        let part = |number| Part { kind: "Large".into(), number, absent: None };
        assert_eq!(found, [part(0), part(1), part(2)], "{format:?}");
    }
}

#[test]
fn value_that_does_not_fit_names_file_row_and_column() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Narrow {
        text: String,
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Deep {
        inner: Letter,
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Letter {
        letter: u8,
    }
    let dir = tempfile::tempdir().unwrap();
    write(&some_records(5), dir.path(), Format::Parquet, 1, RollingPolicy::default());
    let files = dir.path().join("part-*");
    let error = read::<Narrow>(files.clone(), Format::Parquet, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().ends_with(
        "part-0000000000-0000.parquet: part 0, row 0 (both from 0): column \"text\": invalid type: unit value, expected a string"
    ), "{}", error.message());
    let error = read::<Deep>(files.clone(), Format::Parquet, 1).unwrap_err();
    assert!(
        error.message().contains("column \"inner.letter\": invalid type: string \"x\", expected u8"),
        "{}",
        error.message()
    );
    let error = read::<Narrow>(files, Format::Arrow, 1).unwrap_err();
    assert!(
        error.message().contains("can not read") && error.message().contains(".parquet"),
        "{}",
        error.message()
    );
}

#[test]
fn types_without_columns_are_refused_with_the_reason() {
    #[derive(Serialize, Deserialize)]
    struct List {
        next: Option<Box<List>>,
    }
    #[derive(Serialize, Deserialize)]
    enum WithData {
        One(u8),
    }
    #[derive(Serialize, Deserialize)]
    struct Holder {
        data: WithData,
    }
    let message = |outcome: std::result::Result<arrow_schema::Fields, super::ColumnError>| {
        outcome.unwrap_err().to_string()
    };
    assert!(message(columns_of::<List>()).ends_with("a type that contains itself has no columns"));
    assert_eq!(message(columns_of::<Holder>()), "column \"data\": an enum with data has no columns");
    assert_eq!(message(columns_of::<u8>()), "a record of columns is a struct with fields, or a tuple");
    assert_eq!(message(columns_of::<(std::collections::BTreeMap<String, u8>,)>()), "a map has no columns");
}

/// A source that goes back reads the rest, from every position.
#[test]
fn source_of_columns_goes_on_at_every_position() {
    use crate::source::{Source, SourceStatus, Split};
    let dir = tempfile::tempdir().unwrap();
    write(&some_records(10), dir.path(), Format::Parquet, 1, RollingPolicy::default().max_records(4));
    let paths = crate::source::expand_all([dir.path().join("part-*")]).unwrap();
    let open = || super::read::tests_source::<Whole>(paths.clone(), Split { index: 0, of: 1 });
    let mut source = open();
    let mut positions: Vec<(usize, SourcePosition)> = Vec::new();
    let mut all = Vec::new();
    loop {
        positions.push((all.len(), source.position().unwrap().unwrap()));
        if source.read(1, &mut all).unwrap() == SourceStatus::Done {
            break;
        }
    }
    assert_eq!(all, some_records(10));
    for (n, position) in positions {
        let (mut source, mut rest) = (open(), Vec::new());
        source.seek(&position).unwrap();
        while source.read(3, &mut rest).unwrap() != SourceStatus::Done {}
        assert_eq!(rest, all[n..], "{n}");
    }
}
