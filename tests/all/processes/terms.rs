//! Processes that do not belong together, by mistake, are told what differs.

use waterwheel::prelude::*;

use super::fixture::{SUM, outcome, start};
use crate::failures::process::{Running, free_addresses};

type Settings<'a> = &'a [(&'a str, &'a str)];

/// Runs two processes, each with settings of its own, and gives what they said at the end.
fn both(first: Settings<'_>, second: Settings<'_>) -> [String; 2] {
    let addresses = free_addresses(2);
    let start = |index: usize, own: Settings<'_>| {
        start("sum", index, &addresses, &[&[("connect-timeout", "1.5")], own].concat())
    };
    [start(0, first), start(1, second)].map(|running: Running| outcome(&running.finish()))
}

#[test]
fn processes_with_the_same_terms_run() {
    let same: Settings<'_> =
        &[("secret", "0123456789abcdef"), ("name", "count"), ("version", "1.2.0"), ("attempt", "3")];
    assert_eq!(both(same, same), [SUM, SUM]);
    assert_eq!(both(&[], &[]), [SUM, SUM]);
}

#[test]
fn process_of_another_job_or_version_or_attempt_is_refused_with_what_differs() {
    let cases = [
        ("name", "a", "b", "it runs job \"b\", expected \"a\""),
        ("version", "1", "2", "it has program version \"2\", expected \"1\""),
        ("attempt", "3", "2", "it is of attempt 2, expected 3"),
    ];
    for (key, first, second, reason) in cases {
        let [waiting, refused] = both(&[(key, first)], &[(key, second)]);
        assert!(refused.starts_with("error: refused by process 0 ("), "{refused}");
        assert!(refused.ends_with(reason), "{refused}");
        assert!(waiting.starts_with("error: no connection to process 1"), "{waiting}");
        assert!(waiting.contains(reason), "{waiting}");
    }
}

#[test]
fn process_of_an_attempt_before_makes_way_for_a_newer_one() {
    let [old, new] = both(&[("attempt", "1")], &[("attempt", "2")]);
    assert_eq!(old, "error: attempt 2 of this job has begun, this is attempt 1");
    assert!(new.starts_with("error: no connection to process 0"), "it waits for one of its own: {new}");
}

#[test]
fn process_with_another_secret_or_none_does_not_get_in() {
    let (one, other) = ([("secret", "0123456789abcdef")], [("secret", "0123456789abcdeF")]);
    let unknown = "it does not know the secret of this run";
    let cases: [(Settings<'_>, Settings<'_>, &str); 3] = [
        (&one, &other, unknown),
        (&one, &[], "it has no secret, this process has one"),
        (&[], &one, "it has a secret, this process has none"),
    ];
    for (first, second, reason) in cases {
        let [first, second] = both(first, second);
        assert!(first.starts_with("error: no connection to process 1") && first.contains(reason), "{first}");
        assert!(second.starts_with("error: no connection to process 0"), "{second}");
        assert!(second.contains(unknown), "{second}");
    }
}

#[test]
fn address_of_another_machine_without_a_secret_is_refused_before_anything_listens() {
    let far = || {
        let addresses = ["127.0.0.1:2101", "192.0.2.1:2101"].map(String::from).to_vec();
        RuntimeConfig::threads(1).processes(2).process(Some(0)).addresses(addresses)
    };
    let error = execute(far(), |env| Ok(env.from_iter([1]).collect())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let parts = ["192.0.2.1:2101", "--secret-file", "--allow-insecure"];
    assert!(parts.iter().all(|part| error.message().contains(part)), "{error}");
    assert!(far().allow_insecure(true).validate().is_ok());
    assert!(far().secret("0123456789abcdef").validate().is_ok());
}
