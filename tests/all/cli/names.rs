//! Ratings with names for users and items, in columns of any name.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::fixture::{Dir, assert_refused, json_lines};

/// Who rates what, and how: messy names on purpose.
fn ratings() -> Vec<(String, String, u32)> {
    let users = ["alice", "Bob Smith", "O'Brien, Pat", "Zoë", "carol \"cc\" d", "007", "7", "-x"];
    let items = ["B00X4WHP5E", "Tea, green", "山田", "1", "01", " padded "];
    let rated = |n: usize| {
        let (user, item) = (n % users.len(), n * 5 % 11 % items.len());
        (users[user].into(), items[item].into(), 1 + (user * 3 + item * 2) as u32 % 5)
    };
    (0..200).map(rated).collect()
}

/// A file of orders with the ratings, as a spreadsheet would write it.
fn orders(ratings: &[(String, String, u32)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = "order,customer,when,product,stars\r\n".to_string();
    for (row, (user, item, stars)) in ratings.iter().enumerate() {
        write!(text, "{row},{},2026-01-31,{},{stars}\r\n", quoted(user), quoted(item)).unwrap();
    }
    text
}

const COLUMNS: &str = "--user-column customer --item-column product";

fn recommended(dir: &Dir, args: &[&str]) -> Vec<(String, f64)> {
    let mut command = dir.command("recommend --model model --json");
    let finished = crate::failures::process::Running::start(command.args(args)).finish();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let item = |line: &serde_json::Value| line["item"].as_str().map(String::from);
    json_lines(&finished)
        .iter()
        .map(|line| (item(line).unwrap(), line["prediction"].as_f64().unwrap()))
        .collect()
}

#[test]
fn names_make_the_same_model_on_any_number_of_workers_and_come_back_in_recommendations() {
    let (dir, ratings) = (Dir::new(), ratings());
    dir.write("orders.csv", orders(&ratings));
    let mut models = Vec::new();
    for shape in ["-w 1", "-w 2", "-w 4", "-n 2"] {
        let args = format!(
            "train mf --input orders.csv --ids names {COLUMNS} --biases --epochs 60 --learning-rate 0.05 \
             --output model --json {shape}"
        );
        let summary = dir.summary(&args);
        assert_eq!((&summary["users"], &summary["items"]), (&8.into(), &6.into()), "{shape}");
        models.push(dir.model_bytes("model"));
    }
    assert!(models.iter().all(|model| *model == models[0]));
    // Every user's items, in the order of what was rated: the model has seen all.
    let mut of_user = BTreeMap::<&str, BTreeMap<&str, u32>>::new();
    for (user, item, stars) in &ratings {
        of_user.entry(user).or_default().insert(item, *stars);
    }
    for (user, items) in of_user {
        let found = recommended(&dir, &["--user", user, "--top", "50"]);
        assert_eq!(found.len(), 6, "{user}");
        for (item, prediction) in &found {
            let Some(stars) = items.get(item.as_str()) else { continue };
            assert!(
                (prediction - f64::from(*stars)).abs() < 1.0,
                "{user} {item}: {prediction}, rated {stars}"
            );
        }
        let mut unseen = vec!["--user", user, "--top", "50", "--seen", "orders.csv"];
        unseen.extend(COLUMNS.split(' '));
        let unseen = recommended(&dir, &unseen);
        assert_eq!(unseen.len(), 6 - items.len(), "{user}");
        assert!(unseen.iter().all(|(item, _)| !items.contains_key(item.as_str())), "{user}");
    }
    assert_refused(&dir.run("recommend --model model --user alise"), 1, &["\"alise\"", "8 users"]);
    let table = dir.run("recommend --model model --user alice --top 1");
    assert_eq!(table.out.lines().count(), 2, "{table:?}");
}

#[test]
fn columns_are_chosen_by_name_or_number_with_a_header_and_without() {
    let (dir, ratings) = (Dir::new(), ratings());
    let text = orders(&ratings);
    dir.write("orders.csv", &text);
    dir.write("bare.csv", text.split_once('\n').unwrap().1);
    // The column that is called user is not the one that is asked for.
    dir.write("odd.csv", text.replacen("order,", "user,", 1));
    let mut models = Vec::new();
    for (file, columns) in [
        ("orders.csv", "--user-column customer --item-column product --rating-column stars"),
        ("orders.csv", "--user-column 2 --item-column 4"),
        ("odd.csv", "--user-column customer --item-column 4"),
        ("bare.csv", "--user-column 2 --item-column 4 --rating-column 5"),
    ] {
        dir.summary(&format!(
            "train mf --input {file} --ids names {columns} --epochs 2 --output model --json"
        ));
        models.push(dir.model_bytes("model"));
    }
    assert!(models.iter().all(|model| *model == models[0]));
    // In a job file they are keys.
    let keys =
        "ids = \"names\"\nuser-column = \"customer\"\nitem_column = 4\nepochs = 2\noutput = \"model\"\n";
    dir.write("job.toml", format!("[train]\nkind = \"mf\"\ninput = \"orders.csv\"\n{keys}"));
    assert_eq!(dir.run("run job.toml").code(), Some(0));
    assert!(dir.model_bytes("model") == models[0]);
}

#[test]
fn columns_that_are_not_there_and_ids_of_the_other_kind_say_what_to_do() {
    let dir = Dir::new();
    dir.write("orders.csv", orders(&ratings()));
    let refused = |args: &str, parts: &[&str]| {
        let finished = dir.run(&format!("train mf --input orders.csv --output model {args}"));
        assert_refused(&finished, 1, parts);
        // A line of the program's own source is of no use to anybody.
        assert!(!finished.err.contains("src/"), "{finished:?}");
        dir.assert_no_model("model");
    };
    refused("", &["orders.csv:2", "field \"user\" is missing", "--user-column", "\"customer\", \"when\""]);
    refused("--user-column costumer", &["field \"costumer\" is missing", "\"customer\", \"when\""]);
    refused("--ids names --user-column 9 --item-column 4", &["field 9 is missing"]);
    refused(COLUMNS, &["orders.csv:2:3: field \"customer\": found \"alice\"", "--ids names"]);
    dir.write("twice.csv", "user,userId,item,rating\n1,2,3,4\n");
    assert_refused(
        &dir.run("train mf --input twice.csv"),
        1,
        &["several columns are the user", "--user-column"],
    );
    dir.write("bare.csv", "a,b,4\n");
    let bare = dir.run("train mf --input bare.csv --ids names --user-column customer");
    assert_refused(&bare, 1, &["--user-column \"customer\"", "no header"]);
    dir.write("empty.csv", "user,item,rating\nalice,tea,5\n,tea,4\n");
    let empty = dir.run("train mf --input empty.csv --ids names");
    assert_refused(&empty, 1, &["empty.csv:3:1: field \"user\": found \"\": expected a name"]);
}
