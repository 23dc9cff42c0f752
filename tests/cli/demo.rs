//! `sgl demo`.

use crate::harness::{Folder, Ran};
use std::path::Path;

#[track_caller]
fn check_table(ran: &Ran, folder: &str, name: &str) {
    assert!(ran.stdout.lines().all(|line| line.starts_with("  /") || line.chars().count() <= 80), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("  target alone ")).count(), 3, "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("  with guide ")).count(), 3, "{}", ran.stdout);
    for number in 1..=3 {
        let map = Path::new(folder).join(format!("{name}-{number}.png"));
        assert!(ran.stdout.contains(map.to_str().unwrap()), "{}", ran.stdout);
    }
    let totals = ran.stdout.lines().find(|line| line.starts_with("All together: ")).unwrap();
    let ratio: f64 = totals.split(": ").last().unwrap().strip_suffix("x the speed.").unwrap().parse().unwrap();
    assert_eq!(ran.stdout.contains("costs more"), ratio < 1.0, "{}", ran.stdout);
}

#[test]
fn it_needs_nothing() {
    let folder = Folder::new();
    let ran = folder.run(&["demo"]).ok();
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.starts_with("flat: 448x448 pixels, 256 visual tokens; "), "{}", ran.stdout);
    check_table(&ran, "sgl-demo", "flat");
    let by = |way: &str| ran.stdout.lines().filter(|line| line.starts_with(way)).map(columns).collect::<Vec<_>>();
    let alone = ["256", "of", "256", "-"];
    assert_eq!(
        by("  target alone ").concat(),
        [["8", "target"], ["green", "target"], ["yes", "target"]].map(|start| [&start[..], &alone].concat()).concat()
    );
    let guided = [
        ["8", "guide", "256", "of", "256", "0.966"],
        ["green", "guide", "256", "of", "256", "0.979"],
        ["yes", "target", "76", "of", "256", "0.645"],
    ];
    assert_eq!(by("  with guide ").concat(), guided.concat());
    for number in 1..=3 {
        let map = image::open(folder.path().join(format!("sgl-demo/flat-{number}.png"))).unwrap();
        assert_eq!(map.width(), 2 * 448 + 3 * 16);
    }
    assert_eq!(folder.files(), ["sgl-demo"]);
}

/// Of a row, all columns but its name and its time.
fn columns(row: &str) -> Vec<&str> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    columns[2..columns.len() - 2].to_vec()
}

#[test]
fn another_picture_in_another_folder() {
    let folder = Folder::new();
    let out = folder.at("deep/down");
    let ran = folder.run(&["demo", "--picture", "noise", "--out", &out, "-q"]).ok();
    check_table(&ran, &out, "noise");
    assert_eq!(folder.files(), ["deep"]);
}

/// A file in the way stands for all that keeps a folder from being written.
#[test]
fn maps_go_elsewhere_when_the_current_folder_takes_none() {
    let folder = Folder::new();
    folder.write("sgl-demo", b"");
    std::fs::create_dir(folder.at("temporary")).unwrap();
    let temporary = folder.at("temporary");
    let ran = folder.run_with(&["demo"], |command| command.env("TMPDIR", &temporary)).ok();
    assert!(ran.stderr.starts_with("note: cannot write to sgl-demo: "), "{ran:?}");
    check_table(&ran, &folder.at("temporary/sgl-demo"), "flat");
}

#[test]
fn a_folder_that_was_asked_for_is_not_replaced() {
    let folder = Folder::new();
    let file = folder.write("file", b"");
    folder.run(&["demo", "--out", &file]).failed(7, "cannot write to ");
    if cfg!(target_os = "linux") {
        folder.run(&["demo", "--out", "/proc/maps"]).failed(7, "cannot write to /proc/maps");
    }
}
