//! `sgl eval`, `sgl eval merge` and `sgl study`: what is measured, on what, and that a run can be stopped.

use crate::harness::{FLAT, Folder, Ran, TARGET};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A small run whose answers are the same every time.
const SMALL: [&str; 9] = [
    "eval",
    "--bench",
    "scenes",
    "--policy",
    "global,random:2,oracle",
    "--retain",
    "25%,10%",
    "--journal",
    "run.jsonl",
];

fn eval(folder: &Folder, more: &[&str]) -> Ran {
    folder.run(&[&SMALL, more].concat())
}

/// Every answer of a journal, without times.
fn answers(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let record = |line: &str| -> Value {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record["own"] = Value::Null;
        for name in ["encode_ms", "answer_ms", "consistency_ms"] {
            record["guide"][name] = Value::Null;
        }
        for run in record["runs"].as_array_mut().unwrap() {
            for name in ["select_ms", "encode_ms", "prefill_ms", "decode_ms"] {
                run[name] = Value::Null;
            }
        }
        record
    };
    text.lines().skip(1).map(record).collect()
}

fn row<'a>(summary: &'a Value, policy: &str, retain: f64) -> &'a Value {
    let rows = summary["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["policy"] == policy && row["retain"].as_f64() == Some(retain));
    found.unwrap_or_else(|| panic!("no {policy} at {retain}"))
}

#[test]
fn benchmarks_are_explained() {
    let listed = Folder::new().run(&["eval", "--list"]).ok().stdout;
    for name in [
        "textvqa",
        "chartqa",
        "docvqa",
        "gqa",
        "seedbench",
        "mmbench",
        "mmvet",
        "mme",
        "refcoco",
        "refcoco+",
        "refcocog",
        "jsonl",
        "scenes",
        "scenes-large",
    ] {
        assert!(listed.lines().any(|line| line.starts_with(&format!("{name}: "))), "{name} in {listed}");
    }
    let json = Folder::new().run(&["eval", "--list", "--json"]).ok().json();
    assert!(json.as_array().unwrap().iter().any(|benchmark| benchmark["name"] == "mme"), "{json}");
}

#[test]
fn policies_stand_side_by_side() {
    let folder = Folder::new();
    let policies = "none,global,layer:1,target-layer:1,oracle,random:2,uniform,lowres,diversity,global+diversity:0.5,global+diversity:0.9,global+debias";
    let arguments =
        ["eval", "--policy", policies, "--retain", "25%,10%", "--limit", "6", "--debias-samples", "3", "--json", "-q"];
    let summary = folder.run(&arguments).ok().json();
    assert_eq!(summary["about"]["benchmark"], "scenes");
    for policy in policies.split(',').filter(|&policy| policy != "none" && policy != "lowres") {
        for retain in [0.25, 0.1] {
            let row = row(&summary, policy, retain);
            assert_eq!(row["n"], 6, "{row}");
            let accuracy = row["accuracy"].as_f64().unwrap();
            let ci = row["ci95"].as_array().unwrap();
            assert!(ci[0].as_f64().unwrap() <= accuracy && accuracy <= ci[1].as_f64().unwrap(), "{row}");
            assert!(row["target_ms_median"].as_f64().unwrap() > 0.0 && row["cost"].as_f64().unwrap() > 0.0, "{row}");
            let kept = row["kept"].as_f64().unwrap();
            assert!((kept - (retain * 256.0).floor() / 256.0).abs() < 1e-9, "{row}");
        }
    }
    assert_eq!(row(&summary, "none", 1.0)["n"], 6);
    assert_eq!(row(&summary, "guide", 1.0)["n"], 6);
    // One tile is the least that this model reads.
    assert_eq!(
        (&row(&summary, "lowres", 0.25)["n"], &row(&summary, "lowres", 0.25)["accuracy"]),
        (&0.into(), &Value::Null)
    );
    // A label cannot be read where its tokens are not: random selection is worse than the guide's on 6 questions already.
    assert!(row(&summary, "random:2", 0.1)["accuracy"].as_f64() < row(&summary, "global", 0.1)["accuracy"].as_f64());
    let overlap = summary["overlap"].as_array().unwrap();
    assert_eq!(overlap.len(), 4, "global and layer:1 at two retentions: {overlap:?}");
    assert!(overlap[0]["top_k_overlap"].as_f64() > overlap[0]["chance"].as_f64(), "{overlap:?}");
    let curve = summary["exit_curve"].as_array().unwrap();
    let at = |threshold: f64| {
        curve.iter().find(|row| row["signal"] == "mean" && row["threshold"].as_f64() == Some(threshold)).unwrap()
    };
    assert_eq!(at(0.0)["exited"].as_f64(), Some(1.0));
    assert_eq!(at(0.0)["accuracy"], row(&summary, "guide", 1.0)["accuracy"]);
    assert_eq!(at(1.01)["accuracy"], row(&summary, "global", 0.25)["accuracy"]);
}

#[test]
fn a_killed_run_goes_on_and_ends_as_an_unbroken_one() {
    let whole = Folder::new();
    let unbroken = eval(&whole, &["--limit", "8", "--json", "-q"]).ok().json();
    let expected = answers(&whole.path().join("run.jsonl"));
    assert_eq!(expected.len(), 8);

    let folder = Folder::new();
    let journal = folder.path().join("run.jsonl");
    let mut killed = folder.command();
    killed.args(SMALL).args(["--limit", "8", "-t", "1", "-q"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut killed = killed.spawn().unwrap();
    let begun = Instant::now();
    while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 3 {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    // As if it had been killed while it wrote.
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("{text}{{\"index\":3,\"sam")).unwrap();

    let ran = eval(&folder, &["--limit", "8", "--json"]).ok();
    assert!(ran.stderr.contains("of 8 questions were answered before"), "{ran:?}");
    assert_eq!(answers(&journal), expected);
    let accuracy = |summary: &Value| {
        let rows = summary["rows"].as_array().unwrap().iter();
        rows.map(|row| (row["policy"].clone(), row["accuracy"].clone(), row["loss"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(accuracy(&ran.json()), accuracy(&unbroken));

    // Nothing is left to do, so no model is loaded.
    let again = eval(&folder, &["--limit", "8", "--json"]).ok();
    assert!(again.stderr.contains("all answers are in run.jsonl already"), "{again:?}");
    let other = eval(&folder, &["--limit", "8", "--seed", "5"]);
    other.failed(2, "was begun with another").hint().contains("name another file");
}

#[test]
fn shards_join_to_the_whole() {
    let folder = Folder::new();
    eval(&folder, &["--limit", "7", "-q"]).ok();
    for (shard, journal) in [("1/2", "one.jsonl"), ("2/2", "two.jsonl")] {
        eval(&folder, &["--limit", "7", "-q", "--shard", shard, "--journal", journal]).ok();
    }
    folder.run(&["eval", "merge", "none.jsonl"]).failed(3, "none.jsonl");
    folder.run(&["eval", "merge", "one.jsonl"]).failed(2, "are not answered yet");
    folder.run(&["eval", "merge", "one.jsonl", "one.jsonl"]).failed(2, "is in one.jsonl and in one.jsonl");
    let merged = folder.run(&["eval", "merge", "two.jsonl", "one.jsonl", "--out", "both.jsonl", "--json"]).ok();
    assert_eq!(answers(&folder.path().join("both.jsonl")), answers(&folder.path().join("run.jsonl")));
    assert_eq!(merged.json()["about"]["n_samples"], 7);
}

#[test]
fn own_questions_without_answers_measure_agreement() {
    let folder = Folder::new();
    let line = |question: &str| format!("{{\"image\": {FLAT:?}, \"question\": {question:?}}}\n");
    folder.write("questions.jsonl", [line("Is there a red circle?"), line("List every object.")].concat().as_bytes());
    let arguments = [
        "eval",
        "--bench",
        "jsonl",
        "--data",
        ".",
        "--policy",
        "global",
        "--retain",
        "5%",
        "--journal",
        "run.jsonl",
        "--json",
        "-q",
    ];
    let summary = folder.run(&arguments).ok().json();
    assert_eq!(summary["about"]["metric"], "agreement with the unpruned target");
    assert_eq!(row(&summary, "none", 1.0)["accuracy"], 1.0);
    let text = fs::read_to_string(folder.path().join("run.jsonl")).unwrap();
    let list: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    let (unpruned, pruned) = (&list["runs"][0], &list["runs"][1]);
    assert_ne!(unpruned["answer"], pruned["answer"], "a list needs all tokens");
    assert_eq!((&unpruned["score"], &pruned["score"]), (&1.0.into(), &0.0.into()));
}

#[test]
fn what_cannot_be_measured_is_said_at_once() {
    let folder = Folder::new();
    let check = |arguments: &[&str], code, message: &str| {
        folder.run(&[&["eval"], arguments].concat()).failed(code, message);
    };
    check(&["--bench", "imagenet"], 2, "imagenet");
    check(&["--bench", "gqa"], 2, "--data is missing");
    check(&["--bench", "gqa", "--data", "nowhere"], 3, "nowhere");
    let expected = folder.run(&["eval", "--bench", "gqa", "--data", "."]).failed(3, "no GQA in `.`").hint().to_owned();
    for file in ["expected one of testdev_balanced_questions.json", "GQA_TestDev_Balanced.tsv"] {
        assert!(expected.contains(file), "{expected}");
    }
    check(&["--retain", "1"], 2, "must be a share above 0 and below 1");
    check(&["--policy", "best"], 2, "policy \"best\" is not understood");
    check(&["--shard", "3/2"], 2, "must be PART/PARTS");
    check(&["--template", "{answer}"], 2, "answer");
    check(&["--policy", "layer:99", "--limit", "1"], 2, "there is no attention layer 99");
    let target = ["--model", TARGET[0], "--mmproj", TARGET[1]];
    check(&[&target[..], &["--bench", "scenes"]].concat(), 2, "policy global ranks by a guide's attention");
    check(&target, 2, "--bench is missing");
    folder.write("questions.jsonl", b"{\"image\": \"no.png\", \"question\": \"What?\", \"answer\": \"a\"}\n");
    check(&["--bench", "jsonl", "--data", "."], 3, "no.png");
    folder.write("questions.jsonl", b"{\"image\": \"a.png\", \"question\": \"What?\"}\n{nothing\n");
    folder.picture("a.png", 8, 8);
    check(&["--bench", "jsonl", "--data", "."], 3, "questions.jsonl");
    let own = |lines: &[&str]| {
        let lines: Vec<String> =
            lines.iter().map(|more| format!("{{\"image\": \"a.png\", \"question\": \"What?\"{more}}}\n")).collect();
        folder.write("questions.jsonl", lines.concat().as_bytes());
        folder.run(&["eval", "--bench", "jsonl", "--data", ".", "--policy", "uniform", "--retain", "25%"])
    };
    let choices = r#", "choices": ["red", "blue"], "answer": "blue""#;
    own(&[r#", "answer": "a""#, choices]).failed(3, "its metric would be `choice`");
    let letters: Vec<String> = (0..27).map(|n| format!("\"{n}\"")).collect();
    own(&[&format!(r#", "choices": [{}], "answer": "0""#, letters.join(", "))]).failed(3, "there are 26 letters");
    let mixed = own(&[r#", "answer": "a""#, ""]).ok();
    assert!(mixed.stderr.contains("1 questions have right answers and others have none"), "{mixed:?}");
    folder.write("a.png", b"no picture");
    folder.write("questions.jsonl", b"{\"image\": \"a.png\", \"question\": \"What?\", \"answer\": \"a\"}\n");
    check(&["--bench", "jsonl", "--data", "."], 3, "sample ");
}

#[test]
fn a_report_is_one_page_with_its_numbers() {
    let folder = Folder::new();
    eval(&folder, &["--limit", "6", "-q", "--report", "report"]).ok();
    let page = fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(page.contains("data:image/png;base64,") && page.contains("<svg"), "no pictures");
    for outside in ["http://", "src=\"/", "<link", "@import"] {
        let page = page.replace("http://www.w3.org/", "");
        assert!(!page.contains(outside), "{outside}");
    }
    let results: Value = serde_json::from_slice(&fs::read(folder.path().join("report/results.json")).unwrap()).unwrap();
    assert_eq!(results["about"]["n_samples"], 6);
    let csv = fs::read_to_string(folder.path().join("report/rows.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + results["rows"].as_array().unwrap().len());
}

#[test]
fn a_study_states_the_findings() {
    let folder = Folder::new();
    let study =
        folder.run(&["study", "--limit", "6", "--retain", "25%,5%", "--journal", "study.jsonl", "-q"]).ok().stdout;
    for heading in
        ["# Study: scenes", "## (i) ", "## (ii) ", "## (iii) ", "## Early exit", "## By kind of question", "## Cost"]
    {
        assert!(study.lines().any(|line| line.starts_with(heading)), "{heading} in {study}");
    }
    let json = folder
        .run(&["study", "--limit", "6", "--retain", "25%,5%", "--journal", "study.jsonl", "-q", "--json"])
        .ok()
        .json();
    for list in ["rows", "overlap", "exit_curve"] {
        assert!(!json[list].as_array().unwrap().is_empty(), "{list}");
    }
}
