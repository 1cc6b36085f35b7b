//! Values of fields of every type, beside those that the `csv` crate makes of them.

use std::collections::BTreeMap;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
enum Size {
    Small,
    #[serde(alias = "L", alias = "xl")]
    Large,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "i64")]
struct Even(i64);

impl TryFrom<i64> for Even {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        if number % 2 == 0 { Ok(Even(number)) } else { Err(format!("{number} is odd")) }
    }
}

/// What a field is taken for by a type that takes anything.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Any {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Typed {
    i8: Option<i8>,
    u16: u16,
    u64: u64,
    #[serde(default)]
    i64: Option<i64>,
    i128: i128,
    f32: f32,
    f64: Option<f64>,
    truth: Option<bool>,
    letter: Option<char>,
    size: Option<Size>,
    even: Option<Even>,
    any: Any,
    text: String,
}

const NAMES: [&str; 13] =
    ["i8", "u16", "u64", "i64", "i128", "f32", "f64", "truth", "letter", "size", "even", "any", "text"];

/// Texts of which the type of the column reads most.
fn text_for(name: &'static str) -> BoxedStrategy<String> {
    let number = prop_oneof![
        6 => "[0-9]{1,3}",
        2 => "[0-9]{15,21}",
        2 => "[+-][0-9]{1,20}",
        1 => "0x[0-9a-fA-F]{0,17}",
        1 => "[-+0-9x ]{0,4}",
        1 => Just(String::new()),
    ];
    let float =
        prop_oneof!["-?[0-9]{0,20}\\.?[0-9]{0,20}", "[0-9.]{1,6}[eE]-?[0-9]{1,3}", "NaN|inf|-inf|nan|e|\\."];
    let word =
        prop_oneof!["true|false|Small|Large|L|xl|M", "[a-zé€]{0,3}", "\"[a-z,\n]{0,3}(\"\")?[a-z]{0,3}\""];
    match name {
        "i8" | "u16" | "u64" | "i64" | "i128" | "even" => number.boxed(),
        "f32" | "f64" => prop_oneof![float, number].boxed(),
        "truth" | "letter" | "size" => prop_oneof![6 => word, 1 => number].boxed(),
        _ => prop_oneof![word, number, float].boxed(),
    }
}

/// Columns in some order, and their texts in each line.
fn table() -> impl Strategy<Value = (Vec<&'static str>, Vec<Vec<String>>)> {
    Just(NAMES.to_vec()).prop_shuffle().prop_flat_map(|names| {
        let line: Vec<_> = names.iter().map(|name| text_for(name)).collect();
        (Just(names), prop::collection::vec(line, 1..20))
    })
}

/// As text, because NaN is not equal to itself.
fn shown<T: fmt::Debug>(value: Option<T>) -> Option<String> {
    value.map(|value| format!("{value:?}"))
}

fn read<R: DeserializeOwned + 'static>(path: &Path, header: Header) -> Vec<Option<R>> {
    let rows = read_parts::<R>(path, plain_options().header(header), (1, 100)).unwrap();
    rows.into_iter().map(|row| row.ok().map(|row| row.value)).collect()
}

/// What the `csv` crate reads, line by line.
fn crate_reads<R: DeserializeOwned>(text: &str, header: Header) -> Vec<Option<R>> {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(header == Header::Yes)
        .flexible(true)
        .from_reader(text.as_bytes());
    reader.deserialize().map(Result::ok).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn fields_of_every_type_are_those_of_the_csv_crate((names, lines) in table(), header: bool) {
        let rows = lines.iter().map(|line| line.join(",") + "\n");
        let (names, header) = if header {
            (names.join(",") + ",more\n", Header::Yes)
        } else {
            (String::new(), Header::No)
        };
        let text: String = std::iter::once(names).chain(rows.map(|row| row.replace('\n', ",x\n"))).collect();
        let (_dir, path) = file(&text);
        let (ours, theirs) = (read::<Typed>(&path, header), crate_reads::<Typed>(&text, header));
        prop_assert_eq!(ours.into_iter().map(shown).collect::<Vec<_>>(), theirs.into_iter().map(shown).collect::<Vec<_>>());
        if header == Header::Yes {
            type Map = BTreeMap<String, Any>;
            let (ours, theirs) = (read::<Map>(&path, header), crate_reads::<Map>(&text, header));
            prop_assert_eq!(ours.into_iter().map(shown).collect::<Vec<_>>(), theirs.into_iter().map(shown).collect::<Vec<_>>());
        }
        let (ours, theirs) = (read::<Vec<Any>>(&path, Header::No), crate_reads::<Vec<Any>>(&text, Header::No));
        prop_assert_eq!(ours.into_iter().map(shown).collect::<Vec<_>>(), theirs.into_iter().map(shown).collect::<Vec<_>>());
    }
}

#[test]
fn own_types_are_told_with_their_field_and_column() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Row {
        of: Even,
    }
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Number {
        Of(u64),
    }
    let options = CsvOptions::default().header(Header::Yes);
    let expected = "2:4: field \"of\": found \"3\": 3 is odd";
    assert_eq!(complaint::<Row>("more,of\né€,3\n", options), expected);
    let expected = "1:5: field 3: found \"7\": 7 is odd";
    assert_eq!(complaint::<(u8, u8, Even)>("1,2,7", options.header(Header::No)), expected);
    let expected = "1:1: field 1: found \"x\": data did not match any variant of untagged enum Number";
    assert_eq!(complaint::<(Number, u8)>("x,1", options.header(Header::No)), expected);
}

#[test]
fn values_that_need_no_field_take_one_up() {
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Row {
        nothing: (),
        b: u8,
    }
    let options = plain_options();
    assert_eq!(read_all::<(u8, (), u8)>("1,x,3\n", options), [(1, 0, (1, (), 3))]);
    assert_eq!(read_all::<Vec<()>>("1,x,3\n", options), [(1, 0, vec![(), (), ()])]);
    let row = Row { nothing: (), b: 7 };
    assert_eq!(read_all::<Row>("a,nothing,b\n5,6,7\n", options.header(Header::Yes)), [(2, 0, row)]);
}
