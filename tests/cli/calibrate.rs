//! `sgl calibrate` and the profiles that it writes.

use crate::harness::{FLAT, Folder, GUIDE, LABEL, Ran, TARGET};
use serde_json::Value;
use std::fs;

/// A promise that few questions are enough for.
const GENEROUS: [&str; 9] =
    ["calibrate", "--limit", "8", "--max-loss", "50%", "--confidence", "60%", "--retain", "50%"];

fn profile(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path().join(name)).unwrap()).unwrap()
}

/// `sgl run --json` without an exit.
fn target(folder: &Folder, flags: &[&str]) -> Value {
    folder.run_profiled(&[&["run", "--json", "-q", "--no-exit"], flags, &LABEL].concat()).ok().json()
}

/// Of 256 visual tokens.
fn read(report: &Value) -> u64 {
    report["visual"]["kept"].as_u64().unwrap()
}

#[test]
fn too_few_questions_are_refused_before_any_is_asked() {
    let folder = Folder::new();
    let ran = folder
        .run_profiled(&["calibrate", "--limit", "20"])
        .failed(2, "pictures cannot establish a loss of at most 1 %");
    assert!(ran.hint().starts_with("ask about 4"), "{ran:?}");
    assert!(folder.files().is_empty());
}

#[test]
fn what_is_calibrated_is_used() {
    let folder = Folder::new();
    let ran = folder.run_profiled(&[&GENEROUS[..], &["--out", "mine.json"]].concat()).ok();
    for part in [
        "| 50 % | never |",
        "| chosen |",
        "with a confidence of 60 %, no more than the 50 that are allowed",
        "of 5 parts",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {ran:?}");
    }
    assert!(ran.stderr.contains("wrote mine.json; use it with --profile"), "{ran:?}");
    let written = profile(&folder, "mine.json");
    assert_eq!(
        (&written["sgl_profile"], &written["retain"], &written["policy"]),
        (&1.into(), &"0.5".into(), &"global".into())
    );
    let origin = &written["origin"];
    assert_eq!(
        (&origin["benchmark"], &origin["n_questions"], &origin["max_loss"]),
        (&"scenes".into(), &8.into(), &0.5.into())
    );
    assert_eq!(origin["guide"]["model"]["name"], "guide.gguf");

    // What was answered is not asked again.
    let again = folder.run_profiled(&[&GENEROUS[..], &["--out", "again.json", "--json"]].concat()).ok();
    assert!(again.stderr.contains("all answers are in sgl-eval/scenes-"), "{again:?}");
    let printed = again.json();
    assert_eq!(printed["profile"]["retain"], "0.5");
    assert_eq!(printed["calibration"]["choice"]["established"], true);
    assert_eq!(profile(&folder, "again.json"), written);

    // Flag, environment, profile, in this order.
    let by_profile = ["--profile", "mine.json"];
    assert_eq!(read(&target(&folder, &[])), 76, "30 %, by the embedded pair's profile");
    assert_eq!(read(&target(&folder, &by_profile)), 128);
    assert_eq!(read(&target(&folder, &[&by_profile[..], &["--retain", "10%"]].concat())), 25);
    let ask = [&["run", "--json", "-q", "--no-exit", "--profile", "mine.json"][..], &LABEL].concat();
    let ran = folder.run_with(&ask, |command| command.env("SGL_RETAIN", "20%")).ok();
    assert_eq!(read(&ran.json()), 51);
    let ask = [&["run", "--json", "-q", "--no-exit"][..], &LABEL].concat();
    let ran = folder.run_with(&ask, |command| command.env("SGL_PROFILE", "mine.json").env_remove("SGL_RETAIN")).ok();
    assert_eq!(read(&ran.json()), 128);
}

#[test]
fn an_expectation_goes_with_its_policy() {
    let folder = Folder::new();
    let debias = ["--policy", "global+debias", "--debias-samples", "4"];
    let ran = folder.run_profiled(&[&GENEROUS[..], &debias].concat()).ok();
    // Nothing is promised from the pictures that the expectation was measured on.
    assert!(ran.stdout.starts_with("scenes: 4 pictures, 4 questions"), "{ran:?}");
    let written = profile(&folder, "profile.json");
    assert_eq!(written["policy"], "global+debias");
    assert!(written["expectation"]["overview"].is_array(), "{written}");
    let again = folder.run_profiled(&[&GENEROUS[..], &debias, &["--out", "again.json"]].concat()).ok();
    assert!(again.stderr.contains("all answers are in"), "{again:?}");
    assert_eq!(profile(&folder, "again.json"), written);

    let debiased = target(&folder, &["--profile", "profile.json"]);
    let global = target(&folder, &["--profile", "profile.json", "--policy", "global"]);
    assert_eq!((read(&debiased), read(&global)), (128, 128));
    assert_ne!(debiased["visual"]["kept_indices"], global["visual"]["kept_indices"]);
}

#[test]
fn thresholds_come_from_the_profile() {
    let folder = Folder::new();
    folder.run_profiled(&[&GENEROUS[..], &["--out", "mine.json"]].concat()).ok();
    let whole = fs::read_to_string(folder.path().join("mine.json")).unwrap();
    let mut changed: Value = serde_json::from_str(&whole).unwrap();
    let mut ask = |threshold: Value, flags: &[&str]| {
        changed["exit_threshold"] = threshold;
        folder.write("changed.json", changed.to_string().as_bytes());
        let ask = [&["run", "--json", "-q", "--profile", "changed.json"], flags, &LABEL].concat();
        folder.run_profiled(&ask).ok().json()
    };
    assert_eq!(ask(0.0.into(), &[])["source"], "guide");
    assert_eq!(ask(1.0.into(), &[])["exit"]["threshold"], 1.0);
    assert_eq!(ask(Value::Null, &[])["exit"], Value::Null);
    assert_eq!(ask(Value::Null, &["--exit-threshold", "0"])["source"], "guide");
    assert_eq!(ask(0.0.into(), &["--no-exit"])["source"], "target");
}

#[test]
fn other_models_are_noted() {
    let folder = Folder::new();
    folder.run_profiled(&[&GENEROUS[..], &["--out", "mine.json"]].concat()).ok();
    let with = |guide: [&str; 2]| -> Ran {
        let models = ["-m", TARGET[0], "--mmproj", TARGET[1], "--guide", guide[0], "--guide-mmproj", guide[1]];
        folder.run_profiled(&[&["run", "--profile", "mine.json"], &models[..], &LABEL].concat()).ok()
    };
    assert!(!with(GUIDE).stderr.contains("note:"));
    let ran = with(TARGET);
    assert!(ran.stderr.contains("note: the guide is target.gguf of"), "{ran:?}");
    assert!(ran.stderr.contains("the profile promises nothing of it"), "{ran:?}");
}

#[test]
fn bad_profiles_are_refused() {
    let folder = Folder::new();
    let with = |name: &str| folder.run_profiled(&[&["run", "--profile", name], &LABEL[..]].concat());
    with("none.json").failed(3, "profile none.json: ");
    folder.write("text.json", b"retain = 0.5");
    let ran = with("text.json").failed(3, "text.json is no profile");
    assert_eq!(ran.hint(), "name a file that `sgl calibrate` has written");
    folder.write("new.json", b"{\"sgl_profile\": 99}");
    with("new.json").failed(3, "version 99 of the format");
    folder.write("part.json", b"{\"sgl_profile\": 1, \"retain\": \"half\"}");
    with("part.json").failed(3, "profile part.json, field retain: retain \"half\" is not understood");
    let ran = folder.run_with(&["chat"], |command| command.env("SGL_PROFILE", "none.json"));
    ran.failed(3, "profile none.json: ");

    let models = ["-m", TARGET[0], "--mmproj", TARGET[1]];
    let ran = folder.run_profiled(&[&["run", "--profile", "part.json"], &models[..], &LABEL].concat());
    assert_ne!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn what_cannot_be_promised_is_not() {
    let folder = Folder::new();
    let models = ["-m", TARGET[0], "--mmproj", TARGET[1], "--bench", "scenes", "--limit", "12"];
    let promise = ["--max-loss", "30%", "--confidence", "70%", "--policy", "uniform", "--retain", "5%"];
    let ran = folder.run_profiled(&[&["calibrate", "-q"], &models[..], &promise].concat());
    let ran = ran.failed(4, "neither pruning nor an exit keeps a loss of at most 30 %");
    assert!(ran.hint().starts_with("allow more with --max-loss"), "{ran:?}");
    assert!(!folder.files().contains(&"profile.json".to_owned()));
}

#[test]
fn without_right_answers_the_unpruned_target_is_right() {
    let folder = Folder::new();
    fs::copy(FLAT, folder.path().join("flat.png")).unwrap();
    let line =
        |n: usize| format!("{{\"image\": \"flat.png\", \"question\": \"Read the label of the white circle. {n}\"}}\n");
    folder.write("questions.jsonl", (0..3).map(line).collect::<String>().as_bytes());
    let ask = ["calibrate", "--bench", "jsonl", "--data", "questions.jsonl", "--retain", "90%"];
    // Three questions about one picture are one sample, which is not enough for an exit.
    let ran = folder.run_profiled(&[&ask[..], &["--max-loss", "90%", "--confidence", "50%"]].concat()).ok();
    assert!(ran.stdout.starts_with("jsonl: 1 pictures, 3 questions, agreement with the unpruned target"), "{ran:?}");
    assert_eq!(profile(&folder, "profile.json")["origin"]["agreement"], true);
}

#[test]
fn bad_promises_are_refused() {
    let refused = |arguments: &[&str], code, message: &str| {
        let ran = Folder::new().run(&[&["calibrate"], arguments].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
    };
    refused(&["--max-loss", "0"], 2, "must be above 0 and below 1");
    refused(&["--confidence", "100%"], 2, "must be above 0 and below 1");
    refused(&["--retain", "100%"], 2, "must be a share above 0 and below 1");
    refused(&["--folds", "1"], 2, "must be a whole number from 2 to 100");
    refused(&["--policy", "oracle"], 2, "policy \"oracle\" is not understood");
    refused(&["--out", "none/profile.json"], 7, "there is no folder none");
}
