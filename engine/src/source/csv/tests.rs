//! Whole files, cut into parts and read by workers, against the `csv` crate reading from front to back.

use std::marker::PhantomData;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::runtime::{RuntimeConfig, execute};
use crate::source::{Source, SourceStatus, Split};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rating {
    #[serde(alias = "userId")]
    user: u32,
    item: u8,
    rating: f64,
}

fn rating(user: u32, item: u8, rating: f64) -> Rating {
    Rating { user, item, rating }
}

mod typed;

/// A directory with one file.
fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ratings.csv");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// Everything in one file, read in `n_parts` parts, `limit` records at a time.
fn read_parts<R: DeserializeOwned + 'static>(
    path: &Path,
    options: CsvOptions,
    (n_parts, limit): (usize, usize),
) -> Result<Vec<Row<R>>> {
    let files: Rc<[CsvFile]> = Rc::new([CsvFile::inspect(path.into(), options)?]);
    let mut rows = Vec::new();
    for index in 0..n_parts {
        let split = Split { index, of: n_parts };
        let share = Share { split, on_bad_record: options.on_bad_record };
        let mut source = LineSource::new(Rc::clone(&files), share, CsvFormat::new(PhantomData::<R>));
        let mut before = rows.len();
        while source.read(limit, &mut rows)? != SourceStatus::Done {
            assert!(rows.len() <= before + limit);
            before = rows.len();
        }
    }
    Ok(rows)
}

/// As [`read_parts`] for good records: line, row and value, after checking that all numbers of parts agree.
fn read_all<R>(text: &str, options: CsvOptions) -> Vec<(u64, u64, R)>
where
    R: DeserializeOwned + Clone + PartialEq + fmt::Debug + 'static,
{
    let (_dir, path) = file(text);
    let read = |parts| read_parts::<R>(&path, options, (parts, 2)).unwrap();
    let rows = read(1);
    for parts in [2, 3, 7, 100] {
        assert_eq!(read(parts), rows, "{parts} parts of {text:?}");
    }
    rows.into_iter().map(|row| row.map(|row| (row.line, row.row, row.value)).unwrap()).collect()
}

/// The message of the only bad record of a file, with `Fail` as with `DeadLetter`.
fn complaint<R: DeserializeOwned + 'static>(text: impl AsRef<[u8]>, options: CsvOptions) -> String {
    let (_dir, path) = file(text);
    let rows = read_parts::<R>(&path, options.on_bad_record(BadRecordPolicy::DeadLetter), (1, 10)).unwrap();
    let bad: Vec<_> = rows.into_iter().filter_map(Result::err).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    let error = read_parts::<R>(&path, options, (1, 10)).map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, bad[0].to_string().as_str()));
    error.message().strip_prefix(&format!("{}:", path.display())).unwrap().to_string()
}

#[test]
fn files_of_every_dialect_give_the_same_records() {
    let expected = vec![(2, 0, rating(1, 10, 4.5)), (3, 1, rating(2, 20, -1e3))];
    for (separator, end) in
        [(",", "\n"), (";", "\r\n"), ("\t", "\n"), ("|", "\r\n"), (" ", "\n"), ("::", "\n")]
    {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}userId,item,rating,time{end}1,10,4.5,99{end}2,20,-1e3,99{end}");
            let text = text.replace(',', separator);
            assert_eq!(read_all::<Rating>(&text, CsvOptions::default()), expected, "{text:?}");
            assert_eq!(read_all::<Rating>(text.trim_end(), CsvOptions::default()), expected);
        }
    }
}

#[test]
fn header_gives_fields_by_name_and_order_gives_them_without() {
    let expected = vec![(2, 0, rating(1, 10, 4.5))];
    assert_eq!(read_all("rating,item,x,user\n4.5,10,y,1", CsvOptions::default()), expected);
    assert_eq!(read_all("\n1,10,4.5,y\n", CsvOptions::default()), expected);
    assert_eq!(read_all("\n\"1\",10,\"4.5\"\n", CsvOptions::default()), expected);
    let words = |header| read_all::<(String, String)>("a,b\nc,d", CsvOptions::default().header(header));
    assert_eq!(words(Header::Sniff), [(2, 0, ("c".into(), "d".into()))]);
    assert_eq!(words(Header::No).len(), 2);
    let numbers = |header| read_all::<(u8, f64)>("1,2\n3,4", CsvOptions::default().header(header));
    assert_eq!(numbers(Header::Sniff), [(1, 0, (1, 2.0)), (2, 1, (3, 4.0))]);
    assert_eq!(numbers(Header::Yes), [(2, 0, (3, 4.0))]);
}

#[test]
fn files_without_records_give_none() {
    for text in ["", "\n", "\r\n\r\n", "\u{feff}", "user,item,rating", "\n\"user\",item,rating\r\n\n"] {
        assert!(read_all::<Rating>(text, CsvOptions::default()).is_empty(), "{text:?}");
    }
}

#[test]
fn numbers_of_lines_and_rows_pass_over_blank_and_quoted_newlines() {
    let text = "\n\"the\nname\",n\n\n\"a\nb\",1\r\n\r\nc,2\n\"d\n\n\",3\ne,4";
    let expected = [(5, 0, "a\nb", 1), (8, 1, "c", 2), (9, 2, "d\n\n", 3), (12, 3, "e", 4)];
    let expected = expected.map(|(line, row, name, n)| (line, row, (name.to_string(), n)));
    assert_eq!(read_all::<(String, u8)>(text, CsvOptions::default()), expected);
}

#[test]
fn field_that_does_not_parse_is_shown_with_its_name() {
    let options = CsvOptions::default();
    let of = |line: &str| complaint::<Rating>(format!("userId,item,rating\n\n1,2,3\n{line}\n"), options);
    assert_eq!(of("1,2,abc"), "4:5: field \"rating\": found \"abc\", expected a number");
    assert_eq!(of("1,2,"), "4:5: field \"rating\": found \"\", expected a number");
    assert_eq!(of("1,x y,3"), "4:3: field \"item\": found \"x y\", expected a whole number");
    assert_eq!(of("1,256,3"), "4:3: field \"item\": found \"256\", which is out of range");
    assert_eq!(of("-1,2,3"), "4:1: field \"userId\": found \"-1\", which is out of range");
    assert_eq!(of("1,2"), "4:4: field \"rating\" is missing; the line has 2 fields, the header has 3");
    assert_eq!(of("\"\"\"\n,2,3"), format!("4:1: {}", message::UNCLOSED));
    let long = format!("4:5: field \"rating\": found \"{}\"..., expected a number", "é".repeat(80));
    assert_eq!(of(&format!("1,2,{}", "é".repeat(81))), long);
}

#[test]
fn field_that_does_not_parse_is_shown_with_its_index_without_a_header() {
    let options = CsvOptions::default().header(Header::No);
    assert_eq!(complaint::<Rating>("1,2,x", options), "1:5: field 3: found \"x\", expected a number");
    assert_eq!(
        complaint::<(u8, bool)>("1,maybe", options),
        "1:3: field 2: found \"maybe\", expected true or false"
    );
    assert_eq!(
        complaint::<Rating>("1,2", options),
        "1:4: the line has 2 fields, expected struct Rating with 3 elements"
    );
    assert_eq!(complaint::<(u8, u8)>("1", options), "1:2: the line has 1 field, expected a tuple of size 2");
    let latin: &[u8] = b"1::Les Mis\xe9rables";
    let expected = "1:4: field 2: found \"Les Mis\u{fffd}rables\", \
        expected UTF-8: invalid utf-8 sequence of 1 bytes from index 7";
    assert_eq!(complaint::<(u8, String)>(latin, options), expected);
    let expected = "1:3: field 2: found \"ab\": expected a single character, not 2";
    assert_eq!(complaint::<(u8, char)>("1,ab", options), expected);
}

#[test]
fn value_that_does_not_fit_is_shown_with_its_line_or_header() {
    #[derive(Debug, Deserialize)]
    enum Vote {
        Yes,
    }
    assert_eq!(format!("{:?}", Vote::Yes), "Yes");
    let options = CsvOptions::default();
    let expected = "2: field \"rating\" is missing; the header has \"user\", \"item\"";
    assert_eq!(complaint::<Rating>("user,item\n1,2", options), expected);
    let names: Vec<String> = (0..25).map(|i| format!("c{i}")).collect();
    let text = complaint::<Rating>(format!("{}\n{}", names.join(","), "1,".repeat(24)), options);
    assert!(text.starts_with("2: field \"user\" is missing; the header has \"c0\", "), "{text}");
    assert!(text.ends_with("\"c19\" and 5 more"), "{text}");
    let expected = "2:3: field \"vote\": found \"No\": unknown variant `No`, expected `Yes`";
    assert_eq!(complaint::<(u8, Vote)>("id,vote\n1,No", options), expected);
}

#[test]
fn bad_records_count_as_rows_when_they_are_skipped() {
    let (_dir, path) = file("user,item,rating\n1,2,x\n1,2,3\n\n1\n4,5,6\n");
    let options = CsvOptions::default().on_bad_record(BadRecordPolicy::DeadLetter);
    for parts in [1, 2, 3, 7] {
        let rows = read_parts::<Rating>(&path, options, (parts, 1)).unwrap();
        let lines: Vec<_> = rows
            .iter()
            .map(|row| match row {
                Ok(row) => (row.line, Some(row.row)),
                Err(bad) => (bad.line, None),
            })
            .collect();
        assert_eq!(lines, [(2, None), (3, Some(1)), (5, None), (6, Some(3))]);
    }
}

#[test]
fn file_that_can_not_be_read_is_named() {
    let message = |path: &Path, options| {
        let error = CsvFile::inspect(path.into(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        error.full_message().replace(path.to_str().unwrap(), "PATH")
    };
    let (dir, path) = file("a,b\rc,d");
    let options = CsvOptions::default();
    assert_eq!(message(dir.path(), options), "can not open PATH: it is not a regular file");
    assert!(message(&dir.path().join("none"), options).starts_with("can not open PATH: No such file"));
    assert_eq!(message(&path, options), "PATH: lines end with \\r alone, expected \\n or \\r\\n");
    let (_dir, path) = file("\na,\"b\nc,d");
    assert_eq!(message(&path, options), format!("PATH:2: {}", message::UNCLOSED));
}

#[test]
fn file_that_changes_while_it_is_read_is_an_error() {
    let (_dir, path) = file("1,2,3\n4,5,6\n");
    for text in ["1,2,3\n4,5,6\n7,8,9\n", "1,2,3\n"] {
        let files: Rc<[CsvFile]> = Rc::new([CsvFile::inspect(path.clone(), CsvOptions::default()).unwrap()]);
        let share = Share { split: Split { index: 0, of: 1 }, on_bad_record: BadRecordPolicy::DeadLetter };
        let mut source = LineSource::new(files, share, CsvFormat::new(PhantomData::<Rating>));
        let before = std::fs::metadata(&path).unwrap().len();
        std::fs::write(&path, text).unwrap();
        let error = source.read(10, &mut Vec::new()).unwrap_err();
        let now = text.len();
        let expected = format!("changed while it was read: it had {before} bytes and now has {now}");
        assert!(error.message().ends_with(&expected), "{error}");
    }
}

/// Reads files with `workers` workers: good records in order, and bad ones as text, in order.
fn run(
    paths: &[PathBuf],
    options: CsvOptions,
    workers: usize,
) -> Result<(Vec<CsvRecord<Rating>>, Vec<String>)> {
    let paths = paths.to_vec();
    let values = execute(RuntimeConfig::threads(workers), move |env| {
        let (good, bad) = env.read_csv::<Rating>(&paths, options)?;
        Ok((good.name("ratings").collect_local(), bad.map(|bad| bad.to_string()).collect_local()))
    })?;
    let (good, bad): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    assert!(good.iter().all(|records| records.is_sorted_by_key(|record| (record.file, record.row))));
    let (mut good, mut bad) = (good.concat(), bad.concat());
    good.sort_by_key(|record| (record.file, record.row));
    bad.sort();
    Ok((good, bad))
}

/// Three files: many records of which some are bad, a header alone, and one short line of another dialect.
fn three_files() -> (TempDir, [PathBuf; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.csv", "b.csv", "c.dat"].map(|name| dir.path().join(name));
    let line =
        |i: u64| if i % 1000 == 7 { format!("{i},0,bad\n\n") } else { format!("{i},{},{i}.5\n", i % 200) };
    let many: String = std::iter::once("user,item,rating\n".into()).chain((0..5000).map(line)).collect();
    for (path, text) in paths.iter().zip([many.as_str(), "user,item,rating", "7::8::9"]) {
        std::fs::write(path, text).unwrap();
    }
    (dir, paths)
}

#[test]
fn workers_read_every_record_once_with_the_same_place() {
    let (_dir, paths) = three_files();
    let options = CsvOptions::default().on_bad_record(BadRecordPolicy::DeadLetter);
    let expected = run(&paths, options, 1).unwrap();
    assert_eq!((expected.0.len(), expected.1.len()), (5000 - 5 + 1, 5));
    assert_eq!(expected.0[7], CsvRecord { file: 0, row: 8, line: 11, value: rating(8, 8, 8.5) });
    assert_eq!(expected.0[4995], CsvRecord { file: 2, row: 0, line: 1, value: rating(7, 8, 9.0) });
    let first = format!("{}:1010:8: field \"rating\": found \"bad\", expected a number", paths[0].display());
    assert_eq!(expected.1[0], first);
    for workers in [2, 4] {
        assert_eq!(run(&paths, options, workers).unwrap(), expected, "{workers} workers");
    }
}

#[test]
fn bad_record_ends_the_run_and_names_its_line() {
    let (_dir, paths) = three_files();
    for workers in [1, 2, 4] {
        let error = run(&paths, CsvOptions::default(), workers).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.site().unwrap().operator, "ratings");
        assert!(error.message().ends_with(": field \"rating\": found \"bad\", expected a number"), "{error}");
        assert!(error.site().unwrap().location.contains("csv/tests.rs"), "{error}");
    }
}

/// The csv crate makes one record of all of them, and nobody hears of it.
#[test]
fn quote_that_is_not_closed_is_a_bad_record_and_not_a_field_of_many_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("names.csv");
    let good = "id,name\n1,\"two\nlines\"\n2,\"in \"\"quotes\"\"\n\"\n3,\"a\" b\n";
    std::fs::write(&path, format!("{good}4,\"open\n5,c\n6,\"d, e\"\n7,f\n")).unwrap();
    let read = |policy, workers| {
        let path = path.clone();
        let found = execute(RuntimeConfig::threads(workers), move |env| {
            let options = CsvOptions::default().on_bad_record(policy);
            let (rows, bad) = env.read_csv::<(u32, String)>([&path], options)?;
            Ok((rows.map(|row| (row.line, row.value)).collect(), bad.collect()))
        })?;
        let (rows, bad): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let (mut rows, bad) = (rows.concat(), bad.concat());
        rows.sort();
        Ok::<_, Error>((rows, bad))
    };
    let row = |line, id, name: &str| (line, (id, name.to_string()));
    let kept = [row(2, 1, "two\nlines"), row(4, 2, "in \"quotes\"\n"), row(6, 3, "a b"), row(10, 7, "f")];
    let message = "field \"name\": the quotes enclose 3 lines and have text behind them: one is not closed, or not doubled inside";
    for workers in [1, 2, 4] {
        let (rows, bad) = read(BadRecordPolicy::DeadLetter, workers).unwrap();
        assert_eq!(rows, kept, "{workers} workers");
        assert_eq!(
            (bad[0].line, bad[0].column, bad[0].message.as_str()),
            (7, Some(3), message),
            "{workers} workers"
        );
        assert!(read(BadRecordPolicy::Fail, workers).unwrap_err().message().ends_with(message));
    }
}

#[test]
fn sources_that_can_not_be_built_say_why() {
    let options = CsvOptions::default();
    let error = run(&[], options, 2).unwrap_err();
    assert_eq!(error.message(), "read_csv has no files, expected at least one path");
    let error = run(&["none.csv".into()], options, 2).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "can not open none.csv"));
    let error = run(&["x".into()], options.delimiter(Delimiter::Byte(b'"')), 1).unwrap_err();
    assert_eq!(error.message(), "delimiter '\"': it can be any byte but a quote, \\r and \\n");
}

/// The records of the csv crate, which takes a quote that is not closed for closed at the end.
fn reference(text: &str) -> Vec<Vec<String>> {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(String::from).collect()).collect()
}

fn plain_options() -> CsvOptions {
    CsvOptions::default()
        .delimiter(Delimiter::Byte(b','))
        .header(Header::No)
        .on_bad_record(BadRecordPolicy::DeadLetter)
}

/// A field as it is written.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c0-9. é]{0,6}",
        "[a-c]{1,3}\"[a-c\"]{0,3}",
        "\"([a-c,\n\r]|\"\"|\r\n){0,8}\"",
        "\"[a-c]{0,3}\"[a-c][a-c\"]{0,2}",
    ]
}

/// Lines as they are written, each with its terminator.
fn lines() -> impl Strategy<Value = Vec<(Vec<String>, &'static str)>> {
    let fields = prop_oneof![4 => prop::collection::vec(field(), 1..5), 1 => Just(vec![String::new()])];
    prop::collection::vec((fields, prop_oneof![Just("\n"), Just("\r\n")]), 0..20)
}

proptest! {
    #[test]
    fn records_are_those_of_the_csv_crate(lines in lines(), final_newline: bool, limit in 1..5usize) {
        let (mut text, mut expected_lines, mut number) = (String::new(), Vec::new(), 1);
        for (fields, end) in &lines {
            let line = fields.join(",");
            expected_lines.extend((!line.is_empty()).then_some(number));
            number += 1 + line.matches('\n').count() as u64;
            text = text + &line + end;
        }
        let text = if final_newline { &text } else { text.trim_end_matches(['\n', '\r']) };
        let values = reference(text);
        prop_assert_eq!(values.len(), expected_lines.len());
        let (_dir, path) = file(text);
        for parts in [1, 2, 3, 7] {
            let rows = read_parts::<Vec<String>>(&path, plain_options(), (parts, limit)).unwrap();
            let rows: Vec<_> = rows.into_iter().map(|row| row.unwrap()).collect();
            prop_assert!(rows.iter().map(|row| row.row).eq(0..values.len() as u64));
            prop_assert!(rows.iter().map(|row| &row.line).eq(&expected_lines));
            prop_assert!(rows.iter().map(|row| &row.value).eq(&values));
        }
    }

    #[test]
    fn any_text_is_read_as_by_the_csv_crate(text in "([a, ]|\"|\"|\n|\r\n){0,60}") {
        let values = reference(&text);
        let (_dir, path) = file(&text);
        let whole = read_parts::<Vec<String>>(&path, plain_options(), (1, 5)).unwrap();
        prop_assert_eq!(whole.len(), values.len());
        for (i, (row, value)) in whole.iter().zip(&values).enumerate() {
            match row {
                Ok(row) => prop_assert_eq!((row.row, &row.value), (i as u64, value)),
                // Stricter than the crate, which has a field of several lines here.
                Err(bad) if bad.message.contains("quotes enclose") => {
                    prop_assert!(value.iter().any(|field| field.contains('\n')), "{value:?}");
                }
                Err(bad) => prop_assert_eq!((i + 1, bad.message.as_str()), (values.len(), message::UNCLOSED)),
            }
        }
        for parts in [2, 3, 7] {
            prop_assert_eq!(&read_parts(&path, plain_options(), (parts, 5)).unwrap(), &whole);
        }
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap()
}

/// Ratings of the files that `paths` stand for, with the index of their file, sorted.
fn ratings_of(threads: usize, paths: Vec<PathBuf>) -> Result<Vec<(u32, u64, u32)>> {
    let read = execute(RuntimeConfig::threads(threads), move |env| {
        let (ratings, _bad) = env.read_csv::<Rating>(paths.clone(), CsvOptions::default())?;
        Ok(ratings.map(|record| (record.file, record.line, record.value.user)).collect())
    })?;
    let mut all = read.concat();
    all.sort_unstable();
    Ok(all)
}

#[test]
fn compressed_files_and_paths_with_wildcards_are_read_as_the_files_they_stand_for() {
    let dir = tempfile::tempdir().unwrap();
    let text = |first: u32| -> String {
        let rows = (first..first + 500).map(|user| format!("{user},1,2.5\n"));
        "user,item,rating\n".to_string() + &rows.collect::<String>()
    };
    std::fs::write(dir.path().join("a.csv"), text(0)).unwrap();
    // Two members, one behind the other, as `cat a.gz b.gz` makes.
    let (head, tail) = ("user,item,rating\n500,1,1\n", "501,1,1\n502,1,1\n");
    std::fs::write(dir.path().join("b.csv.gz"), [gzip(head.as_bytes()), gzip(tail.as_bytes())].concat())
        .unwrap();
    std::fs::write(dir.path().join("c.csv.gz"), gzip(text(1_000).as_bytes())).unwrap();
    let expected: Vec<(u32, u64, u32)> = (0..500u32)
        .map(|i| (0, u64::from(i) + 2, i))
        .chain((0..3).map(|i| (1, u64::from(i) + 2, 500 + i)))
        .chain((0..500).map(|i| (2, u64::from(i) + 2, 1_000 + i)))
        .collect();
    for threads in [1, 2, 4] {
        let by_pattern = vec![dir.path().join("[abc].csv*")];
        let by_name = ["a.csv", "b.csv.gz", "c.csv.gz"].map(|name| dir.path().join(name)).to_vec();
        assert_eq!(ratings_of(threads, by_pattern).unwrap(), expected, "{threads}");
        assert_eq!(ratings_of(threads, by_name).unwrap(), expected, "{threads}");
    }
}

#[test]
fn pattern_that_nothing_matches_and_file_that_is_not_compressed_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let none = ratings_of(1, vec![dir.path().join("*.csv")]).unwrap_err();
    assert!(none.message().starts_with("no file matches"), "{none}");
    let path = dir.path().join("plain.csv.gz");
    std::fs::write(&path, "user,item,rating\n1,1,1\n").unwrap();
    let error = ratings_of(1, vec![path]).unwrap_err();
    assert!(
        error.full_message().contains("plain.csv.gz") && error.full_message().contains("gzip"),
        "{error:?}"
    );
    let cut = dir.path().join("cut.csv.gz");
    let whole = gzip("user,item,rating\n1,1,1\n".repeat(100).as_bytes());
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert!(ratings_of(2, vec![cut]).unwrap_err().full_message().contains("cut.csv.gz"));
}

/// A compressed file is gone on with where it was, in the middle of it.
#[test]
fn compressed_file_goes_on_at_its_position() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv.gz");
    let rows: String = (0..100).map(|user| format!("{user},1,1\n")).collect();
    std::fs::write(&path, gzip(format!("user,item,rating\n{rows}").as_bytes())).unwrap();
    let files: Rc<[CsvFile]> = Rc::new([CsvFile::inspect(path, CsvOptions::default()).unwrap()]);
    let share = Share { split: Split { index: 0, of: 1 }, on_bad_record: BadRecordPolicy::Fail };
    let open = || LineSource::new(Rc::clone(&files), share, CsvFormat::new(PhantomData::<Rating>));
    let (mut first, mut rest, mut users) = (open(), open(), Vec::new());
    first.read(30, &mut users).unwrap();
    rest.seek(&first.position().unwrap().unwrap()).unwrap();
    while rest.read(1000, &mut users).unwrap() != SourceStatus::Done {}
    let users: Vec<u32> = users.into_iter().map(|row| row.unwrap().value.user).collect();
    assert_eq!(users, (0..100).collect::<Vec<_>>());
}
