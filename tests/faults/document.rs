//! The table of `docs/reliability.md`: made from the rows that tests have shown, held to those that they
//! declare.
//!
//! In: the rows of `tests/support/fault_rows.rs`, the document, the sources of the tests. Out: a failure
//! where the document says something else, or a row names a test that is not there or does not show it.
//! With `DEEPID_EDGE_FAULTS_WRITE` (`make reliability`) the table is written, from the results that the
//! tests have left in the folder of that name; a row without a result is a failure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::support::fault_rows::{GROUPS, ROWS, Row};
use crate::support::models::root;

const DOCUMENT: &str = "docs/reliability.md";
const BEGIN: &str =
    "<!-- made by `make reliability`; tests/faults/document.rs holds it to the tests -->\n";
const END: &str = "<!-- end of what is made -->\n";

fn table() -> String {
    let mut text = String::new();
    for (group, title) in GROUPS {
        let rows: Vec<&Row> = ROWS.iter().filter(|row| row.group == group).collect();
        assert!(!rows.is_empty(), "{group} has rows");
        write!(
            text,
            "### {title}\n| what is injected | what must hold | how often | what says so | shown by |\n|---|---|---|---|---|\n"
        )
        .unwrap();
        for Row { injected, holds, times, unit, state, test, .. } in rows {
            writeln!(text, "| {injected} | {holds} | {times} {unit} | {state} | `{test}` |")
                .unwrap();
        }
        text.push('\n');
    }
    text
}

/// What stands before the table, the table, and what stands behind it.
fn parts(document: &str) -> [&str; 3] {
    let (before, rest) = document.split_once(BEGIN).expect("the table has a beginning");
    let (table, after) = rest.split_once(END).expect("and an end");
    [before, table, after]
}

#[test]
fn the_document_says_what_the_tests_show() {
    let path = root().join(DOCUMENT);
    let document = std::fs::read_to_string(&path).unwrap();
    let [before, found, after] = parts(&document);
    let made = table();
    if let Some(results) = std::env::var_os("DEEPID_EDGE_FAULTS_WRITE") {
        for row in &ROWS {
            let result = Path::new(&results).join(row.id);
            let times = std::fs::read_to_string(&result).unwrap_or_default();
            let times: u64 = times.trim().parse().unwrap_or(0);
            assert!(times >= row.times, "{}: shown {times} of {} times", row.id, row.times);
        }
        std::fs::write(&path, [before, BEGIN, &made, END, after].concat()).unwrap();
        return;
    }
    assert!(found == made, "{DOCUMENT} is not what the tests declare: run 'make reliability'");
}

#[test]
fn every_row_is_shown_by_the_test_that_it_names() {
    let mut ids = BTreeSet::new();
    for row in &ROWS {
        assert!(ids.insert(row.id), "{} stands there twice", row.id);
        let (file, test) = row.test.split_once("::").expect("file.rs::test");
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        let body = text.split_once(&format!("fn {test}(")).map(|(_, rest)| rest);
        let body = body.unwrap_or_else(|| panic!("{}: no test {}", row.id, row.test));
        // To the next test, with whatever it calls by the row's name.
        let body = body.split("\n#[test]").next().unwrap_or_default();
        assert!(
            body.contains(&format!("\"{}\"", row.id)),
            "{}: {} does not show it",
            row.id,
            row.test
        );
    }
    assert!(ROWS.len() >= 30, "{} rows", ROWS.len());
    let known = |row: &Row| GROUPS.iter().any(|(group, _)| *group == row.group);
    assert!(ROWS.iter().all(known), "every row is of a group");
}
