//! Training on sparse rows: `train pa`, `train logistic` and `train fm`.

use super::fixture::{Dir, assert_refused};

fn generated() -> Dir {
    let dir = Dir::new();
    let finished = dir.run("generate sparse --rows 2000 --fields 5 --per-field 20 -o rows.svm");
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    dir
}

#[test]
fn learners_on_sparse_rows_report_and_save_what_they_have_learned() {
    let dir = generated();
    for (command, loss) in [
        ("pa --update pa1:0.01", "hinge_loss"),
        ("pa --classes 2 --against predicted", "error_rate"),
        ("logistic --optimizer ftrl --l1 0.1", "log_loss"),
        ("logistic --staleness 0 --clock-every 4 -w 2", "log_loss"),
        ("fm --factors 2", "log_loss"),
        ("fm --task regression --factors 2 --learning-rate 0.01 -n 2", "rmse"),
    ] {
        let args =
            format!("train {command} --input rows.svm --test rows.svm --passes 3 --json --output model");
        let found = dir.summary(&args);
        assert_eq!(
            (found["rows"].as_u64(), found["test_rows"].as_u64()),
            (Some(2_000), Some(2_000)),
            "{found}"
        );
        let (online, test) = (found[loss].as_f64().unwrap(), found[format!("test_{loss}")].as_f64().unwrap());
        assert!(online.is_finite() && test < online, "{command}: {found}");
        assert!(dir.path("model").join("model.safetensors").exists(), "{command}");
        std::fs::remove_dir_all(dir.path("model")).unwrap();
    }
    let text = dir.run("train logistic --input rows.svm");
    assert!(text.out.contains("log_loss: 0."), "{text:?}");
}

#[test]
fn line_that_is_no_sparse_row_is_named_or_skipped() {
    let dir = Dir::new();
    dir.write("rows.svm", "1 3:1\n0 4:x\n1 5:1\n");
    let refused = dir.run("train pa --input rows.svm --output model");
    assert_refused(&refused, 1, &["rows.svm:2", "value of index 4", "\"x\""]);
    dir.assert_no_model("model");
    let found = dir.summary("train pa --input rows.svm --on-bad-record skip --json");
    assert_eq!((found["rows"].as_u64(), found["bad_records"].as_u64()), (Some(2), Some(1)), "{found}");
}

#[test]
fn labels_and_settings_that_can_not_be_are_refused() {
    let dir = Dir::new();
    dir.write("rows.svm", "1 3:1\n5 4:1\n");
    assert_refused(&dir.run("train pa --input rows.svm --classes 3"), 1, &["class 5", "0 to 2"]);
    assert_refused(&dir.run("train pa --input rows.svm --update pa9"), 2, &["pa9", "pa1:c"]);
    assert_refused(&dir.run("train pa --input rows.svm --against max-loss"), 2, &["--classes"]);
    assert_refused(&dir.run("train logistic --input rows.svm --l1 1"), 2, &["--optimizer ftrl"]);
    assert_refused(
        &dir.run("train logistic --input rows.svm --learning-rate 0"),
        2,
        &["AdaGrad is 0", "above 0"],
    );
    assert_refused(&dir.run("train fm --input rows.svm --factors 5000"), 2, &["factors", "5000"]);
    assert_refused(&dir.run("train fm --input rows.svm --passes 0"), 2, &["passes"]);
    assert_refused(&dir.run("train fm --input none.svm"), 1, &["none.svm"]);
}

/// Documents about tea or about rain.
#[test]
fn topics_and_vectors_of_words_are_trained_and_asked_for() {
    let dir = Dir::new();
    dir.write("words", "tea\ncake\nrain\nstorm\n");
    let documents = (0..40).map(|id| if id % 2 == 0 { "2 0:9 1:9\n" } else { "2 2:9 3:9\n" });
    dir.write("documents", documents.collect::<String>());
    let train = "train lda --input documents --vocabulary words --topics 2 --sweeps 30 --json --output model";
    let found = dir.summary(train);
    assert_eq!((found["documents"].as_u64(), found["tokens"].as_u64()), (Some(40), Some(720)), "{found}");
    let topics = dir.run("topics --model model --vocabulary words --top 2");
    assert_eq!((topics.code(), topics.out.lines().count()), (Some(0), 2), "{topics:?}");
    let shares = dir.run("topics --model model --vocabulary words --of rain storm rain");
    let most = shares.out.lines().filter_map(|line| line.split('\t').nth(1)?.parse::<f64>().ok());
    assert!(most.fold(0.0, f64::max) > 0.8, "{shares:?}");
    assert_refused(&dir.run("topics --model model --vocabulary words --of snow"), 1, &["snow"]);
    assert_refused(&dir.run("train lda --input documents --words 3"), 1, &["word 3", "0 to 2"]);

    let text =
        |id: u64| if id.is_multiple_of(2) { "Tea, cake: tea cake.\n" } else { "rain storm rain storm\n" };
    dir.write("text", (0..200).map(text).collect::<String>());
    let train =
        "train word2vec --input text --dim 8 --subsample 0 --learning-rate 0.1 --batch 40 --output vectors";
    assert_eq!(dir.run(train).code(), Some(0));
    let near = dir.run("neighbours --model vectors --word rain --top 1");
    assert!(near.out.starts_with("rain\tstorm\t"), "{near:?}");
    assert_refused(&dir.run("neighbours --model vectors --word snow"), 1, &["snow"]);
}
