//! What can not go on, or can not take part, is refused by name.

use std::path::Path;

use waterwheel::prelude::*;

use super::fixture::{STOPPED, config, fail_after_a_checkpoint};

fn count(config: RuntimeConfig, uid: &'static str) -> Result<()> {
    execute(config, move |env| {
        let numbers = env.from_iter(0..100u64).uid("numbers");
        let counts = numbers.key_by(|x| x % 7).process(|key, n: &mut u64, _x, out| {
            *n += 1;
            out.emit((*key, *n));
        });
        counts.uid(uid).sink(|_| Ok(()));
        Ok(())
    })
    .map(drop)
}

#[test]
fn state_that_no_operator_takes_is_named() {
    let dir = tempfile::tempdir().unwrap();
    count(config(dir.path(), 2), "counts").unwrap();
    let error = count(config(dir.path(), 2), "sums").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let expected =
        "the checkpoint has state of operators that the job does not have: \"counts\"; give operators a uid";
    assert!(error.message().starts_with(expected), "{error}");

    let checkpoints = CheckpointConfig::new(dir.path().display().to_string()).allow_unmatched_state(true);
    count(RuntimeConfig::threads(1).job_name("job").checkpoints(checkpoints), "sums").unwrap();
}

#[test]
fn state_of_another_type_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let watched = dir.path().to_path_buf();
    let first = execute(config(dir.path(), 1), move |env| {
        let counts =
            env.from_iter(0u64..).uid("numbers").key_by(|x| x % 7).process(|_, n: &mut u64, _, out| {
                *n += 1;
                out.emit(*n);
            });
        counts.uid("counts").sink(fail_after_a_checkpoint(&watched));
        Ok(())
    });
    assert_eq!(first.unwrap_err().message(), STOPPED);
    let second = execute(config(dir.path(), 1), |env| {
        let texts = env.from_iter(0..u64::MAX).uid("numbers").key_by(|x| x % 7).process(
            |_, text: &mut String, x, out| {
                *text = x.to_string();
                out.emit(x);
            },
        );
        texts.uid("counts").sink(|_| Ok(()));
        Ok(())
    });
    let error = second.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with("its state in the checkpoint can not be read as"), "{error}");
    assert_eq!(error.site().map(|site| site.operator.as_str()), Some("keyed_process"));
}

fn refused(
    build: impl for<'s> Fn(&Env<'s>) -> Result<()> + Send + Sync + 'static,
    operator: &str,
    why: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let error = execute(config(dir.path(), 1), build).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert_eq!(error.site().map(|site| site.operator.as_str()), Some(operator));
    assert!(error.message().starts_with(why), "{error}");
}

#[test]
fn function_that_does_not_say_what_it_keeps_is_refused() {
    struct Keeps(u64);
    impl ProcessFunction<u64> for Keeps {
        type Out = u64;

        fn process(&mut self, x: u64, _out: &mut Collector<u64>) -> Result<()> {
            self.0 += x;
            Ok(())
        }
    }
    let build = |env: &Env<'_>| {
        env.from_iter(0..3u64).process_function(Keeps(0)).sink(|_| Ok(()));
        Ok(())
    };
    refused(build, "process", "this function may keep a state that checkpoints do not hold");
}

/// The files of the checkpoints are there, and each is damaged.
fn damage(dir: &Path) {
    let manifests = dir.join("job").join("manifests");
    for manifest in std::fs::read_dir(manifests).unwrap() {
        std::fs::write(manifest.unwrap().path(), "damaged").unwrap();
    }
}

#[test]
fn job_whose_checkpoints_are_all_damaged_does_not_begin_anew_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    count(config(dir.path(), 1), "counts").unwrap();
    damage(dir.path());
    let error = count(config(dir.path(), 1), "counts").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().starts_with("the job can not go on from where it was"), "{error}");

    let fresh =
        CheckpointConfig::new(dir.path().display().to_string()).on_missing(OnMissingCheckpoint::Fresh);
    count(RuntimeConfig::threads(1).job_name("job").checkpoints(fresh), "counts").unwrap();
}

#[test]
fn newest_checkpoints_are_kept_and_older_ones_removed() {
    let dir = tempfile::tempdir().unwrap();
    let watched = dir.path().to_path_buf();
    let newest = |dir: &Path| {
        let names = std::fs::read_dir(dir.join("job").join("manifests")).into_iter().flatten();
        names.map(|file| file.unwrap().file_name().into_string().unwrap()).max()
    };
    let run = execute(config(dir.path(), 2), move |env| {
        let watched = watched.clone();
        env.from_iter(0u64..).uid("numbers").sink(move |n| {
            let is_tenth =
                n % 1000 == 0 && newest(&watched).is_some_and(|name| name > format!("{:020}.json", 9));
            if is_tenth { Err(Error::operator(STOPPED)) } else { Ok(()) }
        });
        Ok(())
    });
    assert_eq!(run.unwrap_err().message(), STOPPED);
    // The newest of all may have been written when the run failed, and what it replaces not yet removed.
    let manifests = std::fs::read_dir(dir.path().join("job").join("manifests")).unwrap().count();
    assert!((2..=3).contains(&manifests), "{manifests} checkpoints, expected the two newest");
}
