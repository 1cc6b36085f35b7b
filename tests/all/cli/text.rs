//! Training on text: `train word2vec` and `neighbours`, `train lda` and `topics`.

use super::fixture::{Dir, assert_refused};

/// Lines of three words of one of two groups.
fn lines() -> String {
    let groups = [["sun", "moon", "star"], ["bread", "wine", "salt"]];
    let line = |i: usize| {
        let group = groups[i % 2];
        format!("{} {} {}\n", group[i % 3], group[(i / 2) % 3], group[(i / 3) % 3])
    };
    (0..600).map(line).collect()
}

#[test]
fn word_vectors_are_saved_and_have_neighbours() {
    let dir = Dir::new();
    dir.write("text.txt", &lines());
    let flags = "--dim 8 --epochs 20 --subsample 0 --learning-rate 0.1 --batch 32 -w 2";
    let trained = dir.run(&format!("train word2vec --input text.txt --output model {flags}"));
    assert!(trained.code() == Some(0) && trained.out.starts_with("6 words, 1800 tokens"), "{trained:?}");
    let near = dir.run("neighbours --model model --word sun bread --top 2");
    let pairs: Vec<Vec<&str>> = near.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(pairs.len(), 4, "{near:?}");
    for pair in pairs {
        let group = |word: &str| ["sun", "moon", "star"].contains(&word);
        assert_eq!(group(pair[0]), group(pair[1]), "{near:?}");
    }
    assert_refused(&dir.run("neighbours --model model --word fish"), 1, &["no word \"fish\""]);
    assert_refused(
        &dir.run("train word2vec --input text.txt --output other --window 0"),
        1,
        &["window: found 0"],
    );
    dir.assert_no_model("other");
}

#[test]
fn topics_are_saved_and_told_of_a_new_document() {
    let dir = Dir::new();
    let words = ["sun", "moon", "star", "bread", "wine", "salt"];
    dir.write("words.txt", &words.map(|word| format!("{word}\n")).concat());
    let document = |i: usize| format!("3 {}:2 {}:1 {}:3\n", i % 2 * 3, i % 2 * 3 + 1, i % 2 * 3 + 2);
    dir.write("documents.ldac", &(0..60).map(document).collect::<String>());
    let train =
        "train lda --input documents.ldac --vocabulary words.txt --topics 2 --sweeps 50 --output model -w 2";
    let trained = dir.run(train);
    assert!(trained.code() == Some(0) && trained.out.contains("60 documents, 360 tokens"), "{trained:?}");
    let topics = dir.run("topics --model model --vocabulary words.txt --top 3");
    let mut of_topic: Vec<Vec<&str>> =
        topics.out.lines().map(|line| line.split_whitespace().skip(1).collect()).collect();
    of_topic.iter_mut().for_each(|words| words.sort_unstable());
    of_topic.sort();
    assert_eq!(of_topic, [["bread", "salt", "wine"], ["moon", "star", "sun"]], "{topics:?}");
    let told = dir.run("topics --model model --vocabulary words.txt --of wine salt bread wine");
    let shares: Vec<f64> =
        told.out.lines().map(|line| line.split('\t').nth(1).unwrap().parse().unwrap()).collect();
    assert!(shares.len() == 2 && shares.iter().any(|share| *share > 0.8), "{told:?}");
    dir.write("bad.ldac", "2 0:1 7:1\n");
    let bad = "train lda --input bad.ldac --vocabulary words.txt --topics 2 --output other";
    assert_refused(&dir.run(bad), 1, &["found word 7"]);
    dir.assert_no_model("other");
}
