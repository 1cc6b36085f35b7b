//! The documentation holds together: pages are in the book, links lead somewhere, and code is tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::{everywhere, test_path};

/// The first program of the guide, as it is.
#[path = "../../examples/sales.rs"]
#[allow(dead_code, unreachable_pub, clippy::print_stderr, reason = "its main is not called here")]
mod sales;

/// What the program says about the file at `path`.
fn totals(
    config: waterwheel::prelude::RuntimeConfig,
    path: &Path,
) -> waterwheel::prelude::Result<Vec<(String, u64)>> {
    sales::totals(config, vec![path.to_str().unwrap().to_string()])
}

/// The files named `*.md` under a directory of the repository, in order.
fn pages(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| match path.is_dir() {
        true => pages(&path),
        false => vec![path],
    });
    let mut found: Vec<_> = found.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The lines of a page that are not code, without what stands in backquotes.
fn prose(text: &str) -> Vec<String> {
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    lines.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("``")).collect()
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let of_line = |line: &String| {
        let targets = line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_string()));
        targets.collect::<Vec<_>>()
    };
    prose(text).iter().flat_map(of_line).collect()
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let mut in_code = false;
    let text = read(page);
    let headings = text.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// What is wrong with a link of `page`, if anything is.
fn complaint(page: &Path, link: &str) -> Option<String> {
    if link.is_empty() && page.ends_with("SUMMARY.md") || link.contains("://") {
        return None;
    }
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let target = match path {
        "" => page.to_path_buf(),
        _ => page.parent().unwrap().join(path),
    };
    let what = match heading {
        _ if !target.exists() => "no such file",
        Some(heading) if !anchors(&target).contains(heading) => "no such heading",
        _ => return None,
    };
    Some(format!("{}: {link}: {what}", page.strip_prefix(root()).unwrap().display()))
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let at_root =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let all = pages(&root().join("docs")).into_iter().chain(at_root);
    let complaints: Vec<_> = all
        .flat_map(|page| links(&read(&page)).into_iter().filter_map(move |link| complaint(&page, &link)))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn link_that_leads_nowhere_is_found() {
    let page = root().join("docs/README.md");
    let found = links(
        "A [good](guide/streams.md#side-outputs), `[no](link)`, a [bad](nowhere.md)\n```\n[code](x)\n```",
    );
    assert_eq!(found, ["guide/streams.md#side-outputs", "nowhere.md"]);
    assert_eq!(complaint(&page, &found[0]), None);
    assert_eq!(complaint(&page, &found[1]), Some("docs/README.md: nowhere.md: no such file".into()));
    let heading = complaint(&page, "guide/streams.md#nothing").unwrap();
    assert!(heading.ends_with("no such heading"), "{heading}");
}

#[test]
fn every_page_of_the_documentation_is_in_the_summary() {
    let docs = root().join("docs");
    let listed: BTreeSet<_> = links(&read(&docs.join("SUMMARY.md"))).into_iter().collect();
    let mut missing = pages(&docs);
    missing.retain(|page| {
        !page.ends_with("SUMMARY.md") && !listed.contains(page.strip_prefix(&docs).unwrap().to_str().unwrap())
    });
    assert!(missing.is_empty(), "name them in docs/SUMMARY.md: {missing:?}");
}

#[test]
fn code_of_every_page_of_the_guide_is_tested() {
    let tested = read(&root().join("src/guide.rs"));
    let mut untested = pages(&root().join("docs/guide"));
    untested.retain(|page| {
        let page = page.strip_prefix(root()).unwrap().to_str().unwrap();
        !tested.contains(&format!("\"../{page}\""))
    });
    assert!(untested.is_empty(), "name them in src/guide.rs: {untested:?}");
    // A fence that rustdoc does not run would hide code from the compiler.
    let hidden = pages(&root().join("docs/guide")).into_iter().filter(|page| {
        read(page)
            .lines()
            .any(|line| line.starts_with("```rust,ignore") || line.starts_with("```rust,compile_fail"))
    });
    assert_eq!(hidden.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn first_program_of_the_guide_is_the_example() {
    let example = read(&root().join("examples/sales.rs"));
    let (_comment, program) = example.split_once("\n\n").unwrap();
    let page = read(&root().join("docs/guide/first-steps.md"));
    assert!(
        page.contains(&format!("```rust,no_run\n{program}```\n")),
        "examples/sales.rs is not in first-steps.md"
    );
    let data = read(&root().join("examples/data/sales.csv"));
    assert!(
        page.contains(&format!("```text\n{data}```\n")),
        "examples/data/sales.csv is not in first-steps.md"
    );
}

#[test]
fn first_program_of_the_guide_adds_up_what_each_shop_has_sold() {
    let path = root().join("examples/data/sales.csv");
    let job = |config| totals(config, &path).unwrap();
    everywhere(
        test_path!(first_program_of_the_guide_adds_up_what_each_shop_has_sold),
        job,
        |totals, shape| {
            assert_eq!(totals, [("north".to_string(), 460), ("south".to_string(), 120)], "{shape}");
        },
    );
}

#[test]
fn first_program_of_the_guide_names_what_is_wrong_with_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sales.csv");
    let data = read(&root().join("examples/data/sales.csv"));
    fs::write(&path, data.replace("north,milk,110", "north,milk,12x")).unwrap();
    let error = totals(waterwheel::prelude::RuntimeConfig::threads(1), &path).unwrap_err();
    // What the guide says, but for where the program is.
    let page = read(&root().join("docs/guide/first-steps.md"));
    let said = page.lines().find_map(|line| line.strip_prefix("Error: ")).unwrap();
    let (place, what) = said.split_once("): ").unwrap();
    // A `main` that returns an error prints its `Debug`.
    assert!(format!("{error:?}").ends_with(&what.replace("sales.csv", path.to_str().unwrap())), "{error}");
    let line = place.split(':').nth(1).unwrap().parse::<usize>().unwrap();
    let (_before, program) = page.split_once("```rust,no_run\n").unwrap();
    assert!(program.lines().nth(line - 1).unwrap().contains("read_csv"), "read_csv is not on line {line}");
}
