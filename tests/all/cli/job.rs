//! Jobs from files: `run JOB.toml`, `graph` and `config`.

use serde_json::{Value, json};

use super::fixture::{Dir, assert_refused, json_lines};
use crate::failures::process::Finished;

const SALES: &str = "shop,item,price,at\nBonn,tea,2.50,1000\nUlm,tea,3,1500\nBonn,milk,1.25,2500\n\"Bonn\",\"a, b\",,2900\n\
                     Ulm,tea,4.75,9000\n";

/// A directory with a file of sales and a job.
fn job(text: &str) -> Dir {
    let dir = Dir::new();
    dir.write("sales.csv", SALES);
    dir.write("job.toml", text);
    dir
}

fn done(finished: Finished) -> Finished {
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    finished
}

/// What the job prints, in order of its text.
fn printed(dir: &Dir, flags: &str) -> Vec<Value> {
    let mut lines = json_lines(&done(dir.run(&format!("run job.toml {flags}"))));
    lines.sort_by_key(ToString::to_string);
    lines
}

#[test]
fn records_are_filtered_counted_and_summed_up_on_any_number_of_workers() {
    let dir = job(r#"
        [source]
        input = "sales.csv"
        [[stages]]
        kind = "filter"
        field = "item"
        is = "!="
        value = "milk"
        [[stages]]
        kind = "aggregate"
        by = ["shop"]
        sum = ["price"]
        mean = ["price"]
        min = ["price"]
        max = ["price"]
        [sink]
        format = "ndjson"
    "#);
    let expected = [
        json!({"shop": "Bonn", "count": 2, "sum_price": 2.5, "mean_price": 2.5, "min_price": 2.5, "max_price": 2.5}),
        json!({"shop": "Ulm", "count": 2, "sum_price": 7.75, "mean_price": 3.875, "min_price": 3, "max_price": 4.75}),
    ];
    for flags in ["", "-w 2", "-w 4", "-n 2"] {
        assert_eq!(printed(&dir, flags), expected, "{flags}");
    }
}

#[test]
fn records_are_counted_in_windows_of_their_time() {
    let dir = job(r#"
        [source]
        input = ["sales.csv"]
        [[stages]]
        kind = "window"
        time = "at"
        size = 2.0
        disorder = 10
        by = ["shop"]
        [sink]
        format = "ndjson"
    "#);
    let window = |shop, start: u64, count| json!({"window_start_ms": start, "window_end_ms": start + 2000, "shop": shop, "count": count});
    let expected =
        [window("Bonn", 0, 1), window("Bonn", 2000, 2), window("Ulm", 0, 1), window("Ulm", 8000, 1)];
    for flags in ["", "-w 2"] {
        let mut found = printed(&dir, flags);
        found.sort_by_key(|line| (line["shop"].to_string(), line["window_start_ms"].as_u64()));
        assert_eq!(found, expected, "{flags}");
    }
}

/// What was read is what is written: numbers keep their zeros, texts their commas, and nothing its place.
#[test]
fn records_pass_through_files_as_they_were() {
    let dir = job(r#"
        [source]
        input = "sales.csv"
        [sink]
        output = "json"
        format = "ndjson"
    "#);
    done(dir.run("run job.toml"));
    let text = std::fs::read_to_string(dir.path("json/part-0000000000-0000.ndjson")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"shop": "Bonn", "item": "tea", "price": 2.5, "at": 1000}));
    assert_eq!(lines[3], json!({"shop": "Bonn", "item": "a, b", "price": null, "at": 2900}));

    let copy = r#"
        [runtime]
        threads = 1
        [source]
        input = "sales.csv"
        [sink]
        output = "copy"
        max_records = 2
    "#;
    dir.write("job.toml", copy);
    done(dir.run("run job.toml"));
    let part =
        |n| std::fs::read_to_string(dir.path(&format!("copy/part-0000000000-0000-{n:06}.csv"))).unwrap();
    assert_eq!(part(0), "shop,item,price,at\nBonn,tea,2.50,1000\nUlm,tea,3,1500\n");
    assert_eq!(part(1), "shop,item,price,at\nBonn,milk,1.25,2500\nBonn,\"a, b\",,2900\n");
    assert_eq!(part(2), "shop,item,price,at\nUlm,tea,4.75,9000\n");
}

#[test]
fn lines_of_json_text_and_libsvm_are_records() {
    let dir = Dir::new();
    dir.write("in.ndjson", "{\"a\": 1, \"b\": \"x\"}\n{\"b\": null, \"a\": 1.5}\n");
    dir.write("in.txt", "one, \"two\"\n\nthree\n");
    dir.write("in.svm", "+1 1:3 7:4\n");
    let of = |source: &str| {
        dir.write("job.toml", format!("[source]\n{source}\n[sink]\nformat = \"ndjson\"\n"));
        printed(&dir, "")
    };
    let json = of("input = \"*.ndjson\"\nformat = \"ndjson\"");
    assert_eq!(json, [json!({"a": 1, "b": "x"}), json!({"b": null, "a": 1.5})]);
    let text = of("input = \"in.txt\"\nformat = \"text\"");
    assert_eq!(text, [json!({"line": "one, \"two\"", "number": 1}), json!({"line": "three", "number": 3})]);
    let rows = of("input = \"in.svm\"\nformat = \"libsvm\"");
    assert_eq!(rows, [json!({"label": 1, "features": 2, "norm": 5})]);
}

#[test]
fn job_that_trains_is_the_command_of_its_flags() {
    let dir = Dir::new();
    dir.generate_ratings(2_000);
    dir.write(
        "job.toml",
        "[runtime]\nthreads = 2\n[train]\nkind = \"mf\"\ninput = [\"ratings.csv\"]\nrank = 4\nepochs = 3\nbiases = true\noutput = \"by-file\"\n",
    );
    done(dir.run("run job.toml"));
    done(dir.run("train mf --input ratings.csv --rank 4 --epochs 3 --biases --output by-flags"));
    assert_eq!(dir.model_bytes("by-file"), dir.model_bytes("by-flags"));
}

#[test]
fn everything_that_is_wrong_in_a_job_is_told_with_its_line() {
    let dir = job(
        "[runtime]\nthread = 2\n[source]\ninput = \"sales.csv\"\nformat = \"cvs\"\n[[stages]]\nkind = \"fliter\"\n\
                   [[stages]]\nkind = \"select\"\n[sinks]\n",
    );
    for command in ["config check job.toml", "run job.toml", "graph job.toml", "config show job.toml"] {
        let finished = dir.run(command);
        assert_refused(
            &finished,
            2,
            &[
                "job.toml:2: [runtime] unknown key \"thread\", near \"threads\"; expected admin, ",
                "job.toml:5: [source] invalid value 'cvs' for 'format <FORMAT>'",
                "job.toml:7: [stages 1] unknown kind \"fliter\", near \"filter\"; expected aggregate, filter, select, window",
                "job.toml:8: [stages 2] the following required arguments were not provided fields <NAME>",
                "job.toml:10: unknown table \"sinks\", near \"sink\"; expected",
            ],
        );
    }
    dir.write("job.toml", "[source\n");
    assert_refused(&dir.run("config check job.toml"), 2, &["job.toml:1: "]);
    dir.write("job.toml", "[sink]\n");
    assert_refused(&dir.run("config check job.toml"), 2, &["expected a table [source], or [train]"]);
    assert_refused(&dir.run("run none.toml"), 2, &["can not read none.toml"]);
}

#[test]
fn field_that_is_missing_or_no_number_ends_the_run_and_names_the_stage() {
    let dir =
        job("[source]\ninput = \"sales.csv\"\n[[stages]]\nkind = \"filter\"\nfield = \"town\"\nvalue = 3\n");
    assert_refused(
        &dir.run("run job.toml"),
        1,
        &[
            "operator \"stage 1 filter\" (job.toml:3 [stages 1], worker 0): field: ",
            "field \"town\" is missing; the record has \"shop\", \"item\"",
        ],
    );
    dir.write(
        "job.toml",
        "[source]\ninput = \"sales.csv\"\n[[stages]]\nkind = \"aggregate\"\nsum = [\"item\"]\n",
    );
    assert_refused(
        &dir.run("run job.toml"),
        1,
        &[
            "\"stage 1 aggregate\" (job.toml:3 [stages 1]",
            "sum: field \"item\": found \"tea\", expected a number",
        ],
    );
    dir.write("job.toml", "[source]\ninput = \"sales.csv\"\nformat = \"ndjson\"\n");
    assert_refused(&dir.run("run job.toml"), 1, &["(job.toml:1 [source]", "sales.csv:1:1: expected value"]);
    dir.write("job.toml", "[source]\ninput = \"sales.csv\"\n\n[sink]\noutput = \"sales.csv\"\n");
    assert_refused(&dir.run("run job.toml"), 1, &["(job.toml:4 [sink]", "can not make directory sales.csv"]);
}

/// A field that is no number is found out by the stage that needs one, far behind the source that was told to skip.
#[test]
fn record_that_a_stage_can_not_use_is_shown_and_skipped_where_the_source_says_so() {
    let dir = job("[source]\ninput = \"sales.csv\"\n[[stages]]\nkind = \"aggregate\"\nsum = [\"price\"]\n");
    dir.write("sales.csv", "shop,price\nBonn,2\nUlm,three\nUlm,4\n");
    let shown = "field \"price\": found \"three\", expected a number; the record is {shop: \"Ulm\", price: \"three\"}";
    assert_refused(&dir.run("run job.toml"), 1, &[shown]);
    dir.write("sales.csv", "shop,price\nBonn,2\nUlm,three\nUlm,4\nUlm\n");
    dir.write(
        "job.toml",
        "[source]\ninput = \"sales.csv\"\non-bad-record = \"skip\"\n[[stages]]\nkind = \"filter\"\nfield = \"price\"\n\
         is = \"!=\"\nvalue = 9\n[[stages]]\nkind = \"aggregate\"\nsum = [\"price\"]\n[sink]\nformat = \"ndjson\"\n",
    );
    for flags in ["", "-w 2", "-n 2"] {
        let finished = done(dir.run(&format!("run job.toml {flags}")));
        assert_eq!(json_lines(&finished), [json!({"count": 2, "sum_price": 6})], "{flags}");
        assert!(
            finished.err.contains(&format!("skipped by stage 2 aggregate: sum: {shown}")),
            "{flags} {finished:?}"
        );
        assert!(
            finished.err.contains("skipped sales.csv:5:4: field \"price\" is missing"),
            "{flags} {finished:?}"
        );
    }
}

#[test]
fn flag_goes_before_the_environment_and_that_before_the_file() {
    let dir = job(
        "[runtime]\nthreads = 2\njob_name = \"from file\"\n[source]\ninput = \"sales.csv\"\n[sink]\noutput = \"out\"\n",
    );
    let files = |finished: Finished| {
        done(finished);
        let n = std::fs::read_dir(dir.path("out")).unwrap().count();
        std::fs::remove_dir_all(dir.path("out")).unwrap();
        n
    };
    assert_eq!(files(dir.run("run job.toml")), 2);
    assert_eq!(files(dir.shell("WATERWHEEL_THREADS=1 $W run job.toml")), 1);
    assert_eq!(files(dir.shell("WATERWHEEL_THREADS=4 $W run job.toml -w 1")), 1);
    let shown = done(dir.shell("WATERWHEEL_THREADS=4 $W config show job.toml")).out;
    let has = |parts: [&str; 3]| {
        shown.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == parts.join(" "))
    };
    assert!(has(["threads", "4", "environment"]), "{shown}");
    assert!(has(["job-name", "from file", "file"]), "{shown}");
    assert!(has(["delimiter", "auto", "default"]), "{shown}");
}

/// Whoever reads all files of the directory would count old records too.
#[test]
fn job_that_begins_anew_leaves_no_files_of_the_run_before() {
    let dir = job("[source]\ninput = \"sales.csv\"\n[sink]\noutput = \"out\"\n");
    let records = |flags: &str| {
        done(dir.run(&format!("run job.toml {flags}")));
        let files = std::fs::read_dir(dir.path("out")).unwrap().map(|file| file.unwrap().path());
        let csv = files.filter(|path| path.extension().is_some_and(|end| end == "csv"));
        csv.map(|path| std::fs::read_to_string(path).unwrap().lines().count() - 1).sum::<usize>()
    };
    assert_eq!(records("-w 4"), 5);
    dir.write("out/mine.txt", "kept");
    for flags in ["-w 1", "-n 2", "-w 2", "-w 3 --checkpoint-dir ckpt --job-name first", "-w 1"] {
        assert_eq!(records(flags), 5, "{flags}");
    }
    assert_eq!(std::fs::read_to_string(dir.path("out/mine.txt")).unwrap(), "kept");
    // Ended, it has nothing to do, and nothing of it goes.
    assert_eq!(records("-w 1 --checkpoint-dir other"), 5);
    assert_eq!(records("-w 2 --checkpoint-dir other"), 5);
}

/// Times are dates in most files that people have.
#[test]
fn window_by_dates_is_the_window_by_their_milliseconds() {
    let dir = job("");
    let rows = [("2026-01-01 00:00:59", 2), ("2026-01-01T00:01:00Z", 3), ("2026-01-01T01:01:30.5+01:00", 4)];
    let text: String = rows.iter().map(|(at, n)| format!("\"{at}\",{n}\n")).collect();
    dir.write("sales.csv", format!("ordered at,n\n{text}"));
    let job = |unit: &str| {
        let window =
            format!("[[stages]]\nkind = \"window\"\ntime = \"ordered at\"\n{unit}size = 60\nsum = [\"n\"]\n");
        dir.write(
            "job.toml",
            format!("[source]\ninput = \"sales.csv\"\n{window}[sink]\nformat = \"ndjson\"\n"),
        );
        dir.run("run job.toml")
    };
    let minute = |start: i64, count: u32, sum: u32| json!({"window_start_ms": start, "window_end_ms": start + 60_000, "count": count, "sum_n": sum});
    let (first, second) = (1_767_225_600_000, 1_767_225_660_000);
    let mut found = json_lines(&done(job("unit = \"date\"\n")));
    found.sort_by_key(|line| line["window_start_ms"].as_i64());
    assert_eq!(found, [minute(first, 1, 2), minute(second, 2, 7)]);
    let hint = "time: field \"ordered at\": found \"2026-01-01 00:00:59\", expected a number of milliseconds since 1970; \
                unit = \"date\" is for dates";
    assert_refused(&job(""), 1, &[hint]);
}

/// Files that overlap in time, read one after the other.
#[test]
fn records_that_are_late_for_their_window_are_told_at_the_end() {
    let dir = job("");
    let rows: String = (0..20_000).map(|i| format!("{}\n", i * 1000)).collect();
    dir.write("a.csv", format!("at\n{rows}"));
    dir.write("b.csv", format!("at\n{rows}"));
    let run = |disorder: u32, flags: &str| {
        let window =
            format!("[[stages]]\nkind = \"window\"\ntime = \"at\"\nsize = 100\ndisorder = {disorder}\n");
        let source = "[source]\ninput = [\"a.csv\", \"b.csv\"]\n";
        dir.write("job.toml", format!("{source}{window}[sink]\nformat = \"ndjson\"\n"));
        let finished = done(dir.run(&format!("run job.toml {flags}")));
        let counts = json_lines(&finished).into_iter().map(|line| line["count"].as_u64().unwrap());
        (counts.sum::<u64>(), finished.err)
    };
    let (counted, said) = run(0, "");
    let n_late =
        said.strip_prefix("job.toml:3: [stages 1] ").and_then(|rest| rest.split_once(" records came late"));
    let n_late: u64 = n_late.unwrap_or_else(|| panic!("{said}")).0.parse().unwrap();
    assert!(n_late > 10_000, "{n_late}");
    assert_eq!(counted + n_late, 40_000);
    for flags in ["", "-w 2", "-n 2"] {
        assert_eq!(run(20_000, flags), (40_000, String::new()), "{flags}");
    }
}

/// The user has no way to give operators of a job file names.
#[test]
fn checkpoints_of_a_job_from_a_file_warn_of_no_operator() {
    let stages = "[[stages]]\nkind = \"filter\"\nfield = \"price\"\nvalue = 1\nis = \">\"\n[[stages]]\nkind = \"aggregate\"\n";
    let dir = job(&format!(
        "[source]\ninput = \"sales.csv\"\n{stages}[[stages]]\nkind = \"select\"\nfields = [\"count\"]\n"
    ));
    assert_eq!(done(dir.run("run job.toml --checkpoint-dir ckpt")).err, "");
    dir.generate_ratings(100);
    let trained = done(dir.run("train mf --input ratings.csv --epochs 1 --checkpoint-dir ckpt --json"));
    assert!(!trained.err.contains("uid"), "{trained:?}");
}

#[test]
fn graph_of_a_job_is_printed_and_nothing_is_run() {
    let dir = job(
        "[source]\ninput = \"sales.csv\"\n[[stages]]\nkind = \"aggregate\"\nby = [\"shop\"]\n[sink]\noutput = \"out\"\n",
    );
    let text = done(dir.run("graph job.toml")).out;
    assert!(text.contains("read_csv") && text.contains("sink") && text.contains("=>"), "{text}");
    assert!(done(dir.run("graph job.toml --format dot")).out.starts_with("digraph job {"));
    assert!(!dir.path("out").exists());
    dir.generate_ratings(100);
    dir.write("job.toml", "[train]\nkind = \"mf\"\ninput = \"ratings.csv\"\noutput = \"model\"\n");
    let text = done(dir.run("graph job.toml")).out;
    assert!(text.contains("ratings") && text.contains("~>"), "{text}");
    assert!(!dir.path("model").exists());
}

/// Started again, with checkpoints and runtime flags that reach the processes, each record is there once.
#[test]
fn job_under_supervision_has_its_flags_in_each_process() {
    let dir = job("[source]\ninput = \"sales.csv\"\n[sink]\noutput = \"out\"\n");
    done(dir.run("run job.toml --supervise 1 -n 2 --checkpoint-dir ckpt"));
    assert!(dir.path("ckpt").exists());
    let mut lines: Vec<String> = std::fs::read_dir(dir.path("out"))
        .unwrap()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            text.lines().skip(1).map(String::from).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_refused(&dir.run("run job.toml --supervise 3 -w 0"), 2, &[]);
    let finished = done(dir.shell(
        "$W run --admin 127.0.0.1:9 --supervise 1 -w 3 -- sh -c 'echo $WATERWHEEL_ADMIN $WATERWHEEL_THREADS'",
    ));
    assert_eq!(finished.out, "127.0.0.1:9 3\n");
}

/// `docs/job-settings.md` is made from the program.
#[test]
fn page_of_settings_is_what_the_command_prints() {
    let page = done(Dir::new().run("config show --markdown")).out;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/job-settings.md");
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page, "{path}, expected:\n{page}");
}
