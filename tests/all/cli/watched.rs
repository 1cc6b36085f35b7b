//! A run that is watched: where it can be seen, and log lines for programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

use super::fixture::{Dir, assert_refused};

/// The first log line says where the job can be watched; the run is asked there, and ends like any other.
#[test]
fn run_with_an_admin_port_says_where_it_is_and_answers_there() {
    let dir = Dir::new();
    dir.generate_ratings(2_000);
    let mut command =
        dir.command("train mf --input ratings.csv --epochs 1000000 --log-format json --admin 127.0.0.1:0");
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let url = loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the run has ended");
        let Ok(fields) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some((_, url)) = fields["message"].as_str().and_then(|text| text.split_once("http://")) {
            break url.to_string();
        }
    };
    let mut stream = TcpStream::connect(&url).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {url}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("waterwheel_up"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn log_format_that_is_unknown_is_refused_with_those_that_are() {
    assert_refused(
        &Dir::new().run("train mf --input ratings.csv --log-format xml"),
        2,
        &["xml", "plain", "json"],
    );
}
