use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

fn bytes_of<D: Record>(rows: &[D]) -> Vec<u8> {
    let (mut lanes, mut bytes) = (Lanes::default(), Vec::new());
    encode::write(&rows.to_vec(), &mut lanes).unwrap();
    lanes.write_to(rows.len(), &mut bytes).unwrap();
    assert_eq!(bytes.len(), lanes.encoded_len());
    bytes
}

fn back<D: Record>(bytes: &[u8]) -> Result<Vec<D>, WireError> {
    decode::read(bytes)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Round(f64),
    Box(i32, i32),
    Named { name: String, tags: Vec<Option<char>> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u128,
    small: (i8, u16, bool),
    text: String,
    shape: Shape,
    more: BTreeMap<String, Vec<i64>>,
    unit: (),
    array: [f32; 3],
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Nothing),
        any::<f64>().prop_filter("NaN is not itself", |x| !x.is_nan()).prop_map(Shape::Round),
        any::<(i32, i32)>().prop_map(|(a, b)| Shape::Box(a, b)),
        (".*", prop::collection::vec(any::<Option<char>>(), 0..4))
            .prop_map(|(name, tags)| Shape::Named { name, tags }),
    ]
}

prop_compose! {
    fn row()(
        id in any::<u128>(),
        small in any::<(i8, u16, bool)>(),
        text in ".*",
        shape in shape(),
        more in prop::collection::btree_map(".*", prop::collection::vec(any::<i64>(), 0..4), 0..3),
        array in any::<[i16; 3]>(),
    ) -> Row {
        Row { id, small, text, shape, more, unit: (), array: array.map(f32::from) }
    }
}

proptest! {
    #[test]
    fn rows_come_back_as_they_were(rows in prop::collection::vec(row(), 0..20)) {
        prop_assert_eq!(back::<Row>(&bytes_of(&rows)).unwrap(), rows);
    }

    #[test]
    fn damaged_bytes_are_refused(rows in prop::collection::vec(row(), 1..5), at in any::<usize>(), bit in 0u8..8) {
        let mut bytes = bytes_of(&rows);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        // Padding is not looked at.
        if let Ok(read) = back::<Row>(&bytes) {
            prop_assert!(at >= bytes.len() - 7);
            prop_assert_eq!(&read, &rows);
        }
        prop_assert!(back::<Row>(&bytes[..at]).is_err() || at >= bytes.len() - 7);
    }
}

#[test]
fn rows_without_bytes_keep_their_number() {
    assert_eq!(back::<()>(&bytes_of(&[(); 5])).unwrap().len(), 5);
}

#[test]
fn sequence_of_unknown_length_and_long_variants() {
    #[derive(Clone, Deserialize, PartialEq, Debug)]
    struct Odd(Vec<u8>);
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut seq = serializer.serialize_seq(None)?;
            self.0.iter().filter(|x| **x % 2 == 1).try_for_each(|x| seq.serialize_element(x))?;
            seq.end()
        }
    }
    assert_eq!(back::<Odd>(&bytes_of(&[Odd(vec![1, 2, 3])])).unwrap(), [Odd(vec![1, 3])]);
}

#[test]
fn type_that_reads_anything_is_told_to_be_plain() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
    }
    let error = back::<Either>(&bytes_of(&[Either::Number(7)])).unwrap_err();
    assert!(error.to_string().contains("plain derive"), "{error}");
}

#[test]
fn golden_bytes() {
    let rows = [(7u64, "ab".to_string(), -1i16, Some(1.5f32)), (8, String::new(), 2, None)];
    let bytes = bytes_of(&rows);
    assert_eq!(back::<(u64, String, i16, Option<f32>)>(&bytes).unwrap(), rows);
    #[rustfmt::skip]
    let expected = [
        b'W', b'W', b'R', 1, 2, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 0, 0, 0xC0, 0x3F, 0, 0, 0, 0,
        0xFF, 0xFF, 2, 0,
        b'a', b'b', 1, 0,
        0, 0, 0, 0,
    ];
    let mut expected = Vec::from(expected);
    expected[8..16].copy_from_slice(&GOLDEN_CHECKSUM.to_le_bytes());
    assert_eq!(bytes, expected);
}

/// As `docs/formats/rows.md` has it.
const GOLDEN_CHECKSUM: u64 = 0x6d25_a0c0_6e6a_342d;

#[test]
fn bytes_are_those_of_the_batch_whose_length_was_asked_for() {
    let (first, second) = (Rows(vec![1u32, 2]), Rows(vec![3u32, 4]));
    let mut bytes = Vec::new();
    assert_eq!(first.length_in_bytes(), second.length_in_bytes());
    first.into_bytes(&mut bytes);
    assert_eq!(back::<u32>(&bytes).unwrap(), [1, 2]);
}

proptest! {
    #[test]
    fn plain_numbers_are_written_as_records_of_them_are(
        eights in prop::collection::vec(any::<i64>(), 0..50),
        fours in prop::collection::vec(any::<u32>(), 0..50),
        ones in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        // A tuple of one has no short way.
        let wrapped: Vec<(i64,)> = eights.iter().map(|x| (*x,)).collect();
        prop_assert_eq!(bytes_of(&eights), bytes_of(&wrapped));
        prop_assert_eq!(back::<i64>(&bytes_of(&eights)).unwrap(), eights);
        prop_assert_eq!(back::<(u32,)>(&bytes_of(&fours)).unwrap().into_iter().map(|x| x.0).collect::<Vec<_>>(), fours);
        prop_assert_eq!(back::<u8>(&bytes_of(&ones)).unwrap(), ones);
    }
}
