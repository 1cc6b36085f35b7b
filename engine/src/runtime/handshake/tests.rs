use super::*;
use crate::runtime::secret::Secret;

fn terms() -> Terms {
    Terms { processes: 3, threads: 2, attempt: 7, job_name: "count".into(), program_version: "1.2.0".into() }
}

fn hello() -> Hello {
    Hello { channel: Channel::Control, from: 2, port: 0x1234, has_secret: true, terms: terms() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key() -> Key {
    Key::new(b"", Some(&Secret::new("0123456789abcdef"))).unwrap()
}

/// The bytes of docs/formats/handshake.md.
#[test]
fn handshake_has_its_golden_bytes() {
    let (hello, challenge, key) = (hello().encode(&[0xc1; 32]), challenge(&[0xa2; 32]), key());
    let expected = format!(
        "57574845454c000301013412020000000300000002000000{}{}{}{}",
        "0700000000000000",
        format_args!("636f756e74{}", "00".repeat(59)),
        format_args!("312e322e30{}", "00".repeat(27)),
        "c1".repeat(32)
    );
    assert_eq!(hex(&hello), expected);
    assert_eq!(hex(&challenge), format!("57574845454c0003{}", "a2".repeat(32)));
    let talk = Transcript { key: &key, hello: &hello, challenge: &challenge };
    assert_eq!(hex(&talk.caller_proof()), CALLER_PROOF);
    let refusal = Refusal::final_because("no");
    assert_eq!(hex(&talk.verdict(Err(&refusal))), format!("01{REFUSAL_PROOF}02006e6f"));
    assert_eq!(hex(&talk.verdict(Ok(()))), format!("00{ADMISSION_PROOF}0000"));
}

const CALLER_PROOF: &str = "b85aeb9b21e25efc9c224a677cc0f8c080d002794473373c0da7e00dd9c53de0";
const REFUSAL_PROOF: &str = "fd2c0064667adea354c7f602402f90658e7a751a5c3985769eb49ad03fa50693";
const ADMISSION_PROOF: &str = "3c7003c06a2c4c80964996f715ef0c055360db50a46605e2ceed8046fd60a686";

#[test]
fn hello_comes_back_as_it_was() {
    assert_eq!(Hello::decode(&hello().encode(&[9; 32])), Ok(hello()));
    let mut longest = hello();
    longest.terms.job_name = "j".repeat(MAX_JOB_NAME_BYTES);
    longest.terms.program_version = "v".repeat(MAX_VERSION_BYTES);
    assert_eq!(Hello::decode(&longest.encode(&[9; 32])), Ok(longest));
}

#[test]
fn start_of_something_else_is_seen_at_its_first_byte() {
    assert!(check_magic(b"G").is_err() && check_magic(b"WWHEEL").is_ok() && check_magic(b"").is_ok());
    let old = check_magic(b"WWHEEL\x00\x01").unwrap_err();
    assert_eq!(old, "it speaks version 1 of the handshake, expected 3");
}

#[test]
fn proofs_are_good_for_one_side_of_one_handshake() {
    let (hello, other_hello) = (hello().encode(&[1; 32]), hello().encode(&[2; 32]));
    let (mine, theirs) = (challenge(&[3; 32]), challenge(&[4; 32]));
    let key = key();
    let talk = Transcript { key: &key, hello: &hello, challenge: &mine };
    let proof = talk.caller_proof();
    assert!(talk.verify_caller(&proof));
    assert!(!Transcript { challenge: &theirs, ..talk }.verify_caller(&proof));
    assert!(!Transcript { hello: &other_hello, ..talk }.verify_caller(&proof));
    let wrong = Key::new(b"", Some(&Secret::new("another secret of 27 bytes!"))).unwrap();
    assert!(!Transcript { key: &wrong, ..talk }.verify_caller(&proof));
    let verdict = talk.verdict(Ok(()));
    assert!(!talk.verify_caller(&verdict[1..33]), "a verdict is no proof of a caller");
}

#[test]
fn verdict_is_believed_only_with_its_reason_and_kind() {
    let (hello, challenge, key) = (hello().encode(&[1; 32]), challenge(&[3; 32]), key());
    let talk = Transcript { key: &key, hello: &hello, challenge: &challenge };
    let refusal = Refusal { reason: "it is of attempt 1".into(), call_again: true };
    let bytes = talk.verdict(Err(&refusal));
    let mut head: [u8; VERDICT_BYTES] = bytes[..VERDICT_BYTES].try_into().unwrap();
    assert_eq!(reason_bytes(&head), Ok(refusal.reason.len()));
    assert_eq!(talk.read_verdict(&head, &bytes[VERDICT_BYTES..]), Ok(Err(refusal)));
    assert!(talk.read_verdict(&head, b"it is of attempt 2").is_err());
    head[0] = 0;
    assert!(talk.read_verdict(&head, &bytes[VERDICT_BYTES..]).is_err());
    head[VERDICT_BYTES - 2..].copy_from_slice(&[0xff; 2]);
    assert!(reason_bytes(&head).unwrap_err().contains("at most 1000"));
}

#[test]
fn terms_that_differ_are_refused_by_what_differs() {
    let change = |f: fn(&mut Terms)| {
        let mut theirs = terms();
        f(&mut theirs);
        terms().check(&theirs).unwrap_err()
    };
    assert_eq!(change(|t| t.job_name = "sum".into()).reason, "it runs job \"sum\", expected \"count\"");
    let version = change(|t| t.program_version = "1.3".into()).reason;
    assert_eq!(version, "it has program version \"1.3\", expected \"1.2.0\"");
    let shape = change(|t| t.threads = 4).reason;
    assert_eq!(shape, "it runs 3 processes of 4 threads, expected 3 of 2");
    let (old, new) = (change(|t| t.attempt = 6), change(|t| t.attempt = 8));
    assert_eq!(old, Refusal::final_because("it is of attempt 6, expected 7"));
    assert!(new.call_again, "a newer process waits until this one has gone");
}
