//! Files that a job writes, and sinks that commit.

use std::path::Path;
use std::sync::Mutex;

use waterwheel::prelude::*;

use super::fixture::{Fuse, RECORDS, config, numbers, recover};

/// All lines of the files in a directory, sorted; there is nothing else in it.
pub(super) fn contents(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("part-") && name.ends_with(".txt"), "{name} is left over");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'), "{name} is cut");
        lines.extend(text.lines().map(String::from));
    }
    lines.sort();
    lines
}

fn write(config: RuntimeConfig, fuse: Fuse, dir: &Path) -> Result<()> {
    let dir = dir.to_path_buf();
    execute(config, move |env| {
        numbers(env, fuse.clone()).write_files(&dir, ".txt", |x, file| writeln!(file, "{x}"));
        Ok(())
    })
    .map(drop)
}

#[test]
fn files_have_each_record_once_over_failures() {
    let mut expected: Vec<String> = (0..RECORDS).map(|x| x.to_string()).collect();
    expected.sort();
    let mut all_failures = 0;
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        let ((), failures) = recover(seed, RECORDS, |config, fuse| write(config, fuse, &files));
        assert!(contents(&files) == expected, "seed {seed}: other lines after {failures} failures");
        all_failures += failures;
    }
    assert!(all_failures > 0, "nothing has failed");
}

#[test]
fn files_without_checkpoints_appear_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    assert!(write(RuntimeConfig::threads(2), Fuse::new(1000), &files).is_err());
    let pending = std::fs::read_dir(&files)
        .unwrap()
        .all(|entry| entry.unwrap().file_name().to_str().unwrap().ends_with(".pending"));
    assert!(pending, "a run that failed has finished a file");
    write(RuntimeConfig::threads(2), Fuse::none(), &files).unwrap();
    let names: Vec<_> = std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(contents(&files).len() as u64, RECORDS);
}

/// The checkpoint is durable, and then the commit fails: the next run commits what it says.
#[test]
fn transaction_whose_commit_failed_is_committed_by_the_next_run() {
    static SEEN: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());
    static MAY_COMMIT: Mutex<bool> = Mutex::new(false);

    struct Kept(Vec<u64>);
    impl Sink<u64> for Kept {
        type Transaction = Vec<u64>;

        fn write(&mut self, x: u64) -> Result<()> {
            self.0.push(x);
            Ok(())
        }

        fn prepare(&mut self) -> Result<Option<Vec<u64>>> {
            Ok(Some(std::mem::take(&mut self.0)).filter(|records| !records.is_empty()))
        }

        fn commit(records: Vec<u64>) -> Result<()> {
            match *MAY_COMMIT.lock().unwrap() {
                false => Err(Error::data("the target is away")),
                true => {
                    let mut seen = SEEN.lock().unwrap();
                    if !seen.contains(&records) {
                        seen.push(records);
                    }
                    Ok(())
                }
            }
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let run = || {
        execute(config(dir.path(), 1), |env| {
            env.from_iter(0..100u64).write_to("kept", |_context| Ok(Kept(Vec::new())));
            Ok(())
        })
    };
    let error = run().unwrap_err();
    assert_eq!(error.message(), "the target is away");
    assert_eq!(error.site().map(|site| site.operator.as_str()), Some("kept"));
    assert!(SEEN.lock().unwrap().is_empty());
    *MAY_COMMIT.lock().unwrap() = true;
    run().unwrap();
    run().unwrap();
    let seen = SEEN.lock().unwrap().concat();
    assert_eq!(seen, Vec::from_iter(0..100));
}

/// The same for files that are rolled and have a header.
#[test]
fn rolled_csv_files_have_each_record_once_over_failures() {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Numbered {
        number: u64,
        text: String,
    }
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    let to = files.clone();
    let ((), failures) = recover(7, RECORDS, |config, fuse| {
        let to = to.clone();
        execute(config, move |env| {
            let numbered =
                numbers(env, fuse.clone()).map(|number| Numbered { number, text: format!("\"{number},") });
            numbered.write_csv(&to, RollingPolicy::default().max_records(1000));
            Ok(())
        })
        .map(drop)
    });
    assert!(failures > 0, "nothing has failed");
    let all = execute(RuntimeConfig::threads(2), move |env| {
        let (rows, _bad) = env.read_csv::<Numbered>([files.join("part-*-*-*.csv")], CsvOptions::default())?;
        Ok(rows.map(|row| (row.row, row.value.number, row.value.text)).collect())
    })
    .unwrap()
    .concat();
    assert!(all.iter().all(|(row, number, text)| *row < 1000 && *text == format!("\"{number},")));
    let mut found: Vec<u64> = all.into_iter().map(|(_row, number, _text)| number).collect();
    found.sort_unstable();
    assert!(found == Vec::from_iter(0..RECORDS), "{} records after {failures} failures", found.len());
}
