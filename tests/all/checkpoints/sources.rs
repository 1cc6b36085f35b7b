//! Sources that go on where they were.

use waterwheel::prelude::*;

use super::fixture::{Fuse, STOPPED, check, config, fail_after_a_checkpoint};

/// The ranges of the first run are read to their end by however many workers there are.
#[test]
fn csv_files_are_read_on_from_their_positions() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..3).map(|file| dir.path().join(format!("{file}.csv"))).collect();
    for (file, path) in paths.iter().enumerate() {
        let rows = (0..20_000u64).map(|row| format!("{row},\"a\n{file}\"\n"));
        std::fs::write(path, std::iter::once("n,text\n".to_string()).chain(rows).collect::<String>())
            .unwrap();
    }
    check(|config, fuse| {
        let paths = paths.clone();
        let rows = execute(config, move |env| {
            let (rows, _bad) = env.read_csv::<(u64, String)>(&paths, CsvOptions::default())?;
            let fuse = fuse.clone();
            let rows =
                rows.try_map(move |row| fuse.burn().map(|()| (row.file, row.row, row.line, row.value)));
            Ok(rows.collect())
        })?;
        Ok(rows.concat())
    });
}

#[test]
fn job_that_has_ended_ends_again_with_the_same_result() {
    let dir = tempfile::tempdir().unwrap();
    let run = |workers, fuse: Fuse| {
        let results = execute(config(dir.path(), workers), move |env| {
            let fuse = fuse.clone();
            let numbers =
                env.from_splits(3, |split| 0..100 * split as u64).try_map(move |x| fuse.burn().map(|()| x));
            Ok(numbers.key_by(|x| x % 5).at_end().sum(|x| *x).collect())
        });
        let mut results = results.unwrap().concat();
        results.sort_unstable();
        results
    };
    let first = run(2, Fuse::none());
    assert_eq!(first.len(), 5);
    // Nothing is read again: the fuse would burn.
    assert_eq!(run(2, Fuse::new(0)), first);
    assert_eq!(run(3, Fuse::new(0)), first);
}

/// A source that can not go back.
struct Forgetful(u64);

impl Source for Forgetful {
    type Item = u64;

    fn read(&mut self, _limit: usize, out: &mut Vec<u64>) -> Result<SourceStatus> {
        out.push(self.0);
        self.0 += 1;
        Ok(if self.0 < 1000 { SourceStatus::Ready } else { SourceStatus::Done })
    }
}

#[test]
fn source_that_can_not_go_back_is_refused_unless_it_may_read_again() {
    let run =
        |config| execute(config, |env| Ok(env.source("forgetful", 1, |_split| Ok(Forgetful(0))).collect()));
    let dir = tempfile::tempdir().unwrap();
    let error = run(config(dir.path(), 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with("this source can not go back to a position"), "{error}");
    assert_eq!(error.site().map(|site| site.operator.as_str()), Some("forgetful"));

    let checkpoints = CheckpointConfig::new(dir.path().display().to_string()).allow_rereading(true);
    let records = run(RuntimeConfig::threads(2).job_name("job").checkpoints(checkpoints)).unwrap().concat();
    assert_eq!(records.len(), 1000);
}

#[test]
fn source_with_another_number_of_splits_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = |splits| {
        execute(config(dir.path(), 1), move |env| {
            env.from_splits(splits, |_split| 0..10u64).uid("numbers").sink(|_| Ok(()));
            Ok(())
        })
    };
    run(3).unwrap();
    let error = run(4).unwrap_err();
    assert_eq!(error.message(), "this source had 3 splits in the checkpoint, and now has 4");
}

#[test]
fn iterator_that_is_shorter_than_it_was_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = |n: u64| {
        let watched = dir.path().to_path_buf();
        execute(config(dir.path(), 1), move |env| {
            env.from_iter(0..n).uid("numbers").sink(fail_after_a_checkpoint(&watched));
            Ok(())
        })
    };
    assert_eq!(run(u64::MAX).unwrap_err().message(), STOPPED);
    let error = run(1).unwrap_err();
    assert!(error.message().starts_with("the iterator has fewer than the"), "{error}");
}
