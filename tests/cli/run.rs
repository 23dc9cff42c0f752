//! `sgl run`: the answer, the summary, the report.

use crate::harness::{FLAT, Folder, GUIDE, LABEL, LIST, NOISE, TARGET, UNSURE, ask, kept, report, sgl};
use serde_json::{Map, Value};
use sgl::pipeline::DEFAULT_EXIT_THRESHOLD;
use std::fs;

#[test]
fn the_answer_goes_to_stdout_and_the_summary_to_stderr() {
    let ran = ask(&["--exit-threshold", "0.8"], &UNSURE).ok();
    assert_eq!(ran.stdout, "yes\n");
    let parts: Vec<&str> = ran.stderr.strip_suffix('\n').unwrap().split("; ").collect();
    assert_eq!(parts[..2], ["target answered, exit score 0.645 < 0.8", "read 64/256 visual tokens"]);
    assert_eq!(parts[2], "0 of 1 drafted tokens right");
    assert!(parts[3].starts_with("guide encode ") && parts[3].contains(" ms, consistency "), "{parts:?}");
    assert!(parts[4].starts_with("target encode ") && parts[4].contains(" ms, prefill "), "{parts:?}");
    assert!(parts[5].starts_with("total "), "{parts:?}");
    assert!(parts[6].contains("x the speed of the target alone (estimated)"), "{parts:?}");
    assert_eq!(parts.len(), 7);
}

#[test]
fn an_early_exit_is_summed_up() {
    let ran = ask(&[], &LABEL).ok();
    assert_eq!(ran.stdout, "8\n");
    assert!(ran.stderr.starts_with("guide answered, exit score 0.96"), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!(" >= {DEFAULT_EXIT_THRESHOLD}; read 256/256 visual tokens; guide ")),
        "{ran:?}"
    );
    assert!(ran.stderr.ends_with("; target not run\n"), "{ran:?}");
}

#[test]
fn a_confidence_that_rules_out_an_exit_is_summed_up() {
    let ran = ask(&[], &UNSURE).ok();
    // The third digit depends on the processor.
    assert!(ran.stderr.starts_with("target answered, guide's confidence 0.7"), "{ran:?}");
    assert!(ran.stderr.contains(&format!(" too low to exit at {DEFAULT_EXIT_THRESHOLD}; ")), "{ran:?}");
    assert!(!ran.stderr.contains("consistency"), "{ran:?}");
}

#[test]
fn the_report_has_all_its_fields() {
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let report = report(&["--exit-threshold", "0.99"], &LABEL);
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(
        sorted(keys(&report)),
        "answer draft exit finish generated_tokens guide held_tokens models prompt_tokens source timings_ms visual"
    );
    assert_eq!(sorted(keys(&report["exit"])), "confidence consistency exited score threshold");
    assert_eq!(
        sorted(keys(&report["visual"])),
        "encoded kept kept_indices pictures projected retain reused tiles tokens"
    );
    assert_eq!(sorted(keys(&report["guide"])), "answer held_tokens tokens");
    assert_eq!(sorted(keys(&report["models"])), "guide target");
    assert_eq!(
        sorted(keys(&report["timings_ms"])),
        "consistency guide_decode guide_encode guide_prefill target_decode target_encode target_prefill total"
    );
    assert_eq!((&report["source"], &report["finish"]), (&"target".into(), &"stop".into()));
    assert_eq!(report["guide"]["answer"], "8");
    assert_eq!(report["generated_tokens"], 2);
    assert_eq!(report["models"]["guide"], "guide.gguf");
    assert_eq!(report["models"]["target"], "target.gguf");
    let times = report["timings_ms"].as_object().unwrap();
    let phases: f64 = times.iter().filter(|(name, _)| *name != "total").map(|(_, ms)| ms.as_f64().unwrap()).sum();
    assert!(phases > 0.0 && phases <= report["timings_ms"]["total"].as_f64().unwrap());
}

fn phases_that_ran(report: &Value) -> Vec<&str> {
    let times: &Map<String, Value> = report["timings_ms"].as_object().unwrap();
    let mut names: Vec<&str> =
        times.iter().filter(|(name, ms)| *name != "total" && !ms.is_null()).map(|(name, _)| name.as_str()).collect();
    names.sort();
    names
}

#[test]
fn phases_that_did_not_run_are_null() {
    let report = |flags: &[&str]| report(flags, &LABEL);
    let exited = report(&["--exit-threshold", "0"]);
    assert_eq!(phases_that_ran(&exited), ["consistency", "guide_decode", "guide_encode", "guide_prefill"]);
    assert_eq!(exited["visual"]["kept"], 256);
    let never = report(&["--no-exit"]);
    assert_eq!(phases_that_ran(&never).len(), 6);
    assert!(never["exit"].is_null() && never["timings_ms"]["consistency"].is_null());
    let alone = report(&["--no-exit", "--no-prune"]);
    assert_eq!(phases_that_ran(&alone), ["target_decode", "target_encode", "target_prefill"]);
    assert!(alone["guide"].is_null() && alone["exit"].is_null());
    assert_eq!(alone["models"]["guide"], "guide.gguf");
}

#[test]
fn a_target_without_a_guide_runs_unpruned() {
    let models = ["-m", TARGET[0], "-mm", TARGET[1]];
    let alone = report(&models, &LABEL);
    assert!(alone["guide"].is_null() && alone["exit"].is_null() && alone["models"]["guide"].is_null());
    assert_eq!((&alone["answer"], &alone["visual"]["kept"]), (&"8".into(), &256.into()));
    assert_eq!(alone["prompt_tokens"], report(&["--no-exit", "--no-prune"], &LABEL)["prompt_tokens"]);
    let ran = ask(&models, &LABEL).ok();
    assert!(ran.stderr.starts_with("target answered; read 256/256 visual tokens; target encode "), "{ran:?}");
    assert!(!ran.stderr.contains("speed"), "{ran:?}");
}

/// What does not vary between two runs of the same thing.
fn timeless(mut report: Value) -> Value {
    report["timings_ms"].take();
    report
}

#[test]
fn named_files_answer_as_the_embedded_ones() {
    let files = ["-m", TARGET[0], "-mm", TARGET[1], "--guide", GUIDE[0], "--guide-mmproj", GUIDE[1]];
    assert_eq!(timeless(report(&files, &LABEL)), timeless(report(&[], &LABEL)));
}

#[test]
fn the_same_run_gives_the_same_report() {
    for flags in [&[][..], &["--temp", "3", "--top-k", "0", "--min-p", "0", "--seed", "7"], &["--policy", "random:5"]] {
        assert_eq!(timeless(report(flags, &LIST)), timeless(report(flags, &LIST)), "{flags:?}");
    }
}

#[test]
fn any_pair_of_one_cut_can_guide() {
    let exchanged = ["-m", GUIDE[0], "-mm", GUIDE[1], "--guide", TARGET[0], "--guide-mmproj", TARGET[1], "--no-exit"];
    let report = report(&exchanged, &LABEL);
    assert_eq!((&report["models"]["guide"], &report["visual"]["kept"]), (&"target.gguf".into(), &64.into()));
    assert_eq!(report["guide"]["answer"], "8");
}

#[test]
fn a_question_without_a_picture_is_the_targets() {
    let ran = sgl(&["run", "-p", "Count the squares."]).ok();
    assert!(ran.stdout.ends_with('\n') && ran.stdout.len() > 1, "{ran:?}");
    let (note, summary) = ran.stderr.split_once('\n').unwrap();
    assert!(note.starts_with("note: ") && note.contains("nothing to prune"), "{ran:?}");
    assert!(summary.starts_with("target answered; target prefill "), "{ran:?}");
    let report = report(&[], &["-p", "Count the squares."]);
    assert_eq!((&report["visual"]["tokens"], &report["visual"]["retain"]), (&0.into(), &1.0.into()));
    assert_eq!(phases_that_ran(&report), ["target_decode", "target_prefill"]);
}

#[test]
fn two_pictures_are_two_pictures() {
    let report = report(&["--no-exit"], &["--image", FLAT, "--image", NOISE, "-p", "Count the squares."]);
    assert_eq!((&report["visual"]["tokens"], &report["visual"]["kept"]), (&512.into(), &128.into()));
    assert!(kept(&report).iter().any(|&index| index < 256) && kept(&report).iter().any(|&index| index >= 256));
}

#[test]
fn one_pixel_is_a_picture() {
    let folder = Folder::new();
    let picture = folder.picture("one.png", 1, 1);
    let ran = folder.run(&["run", "--image", &picture, "-p", "Count the squares."]).ok();
    assert!(ran.stderr.contains("read 64/256 visual tokens"), "{ran:?}");
}

#[test]
fn a_wide_picture_is_cut_into_tiles() {
    let folder = Folder::new();
    let picture = folder.picture("wide.png", 5000, 20);
    let question = ["--image", &picture, "-p", "Count the squares."];
    let report = report(&["--no-exit", "-n", "2", "--retain", "16t"], &question);
    let n_visual = report["visual"]["tokens"].as_u64().unwrap();
    assert!(n_visual > 256 && n_visual.is_multiple_of(256), "{n_visual}");
    assert_eq!(report["visual"]["kept"], 16);
}

/// One grid of coarse tokens with M-RoPE ranks the fine tokens of two tiles and an overview.
#[test]
fn a_guide_of_another_family_finds_what_is_asked_for() {
    let at = |path: &str| format!("{}/models/{path}", env!("CARGO_MANIFEST_DIR"));
    let picture = at("held-out-large/images/0021.png");
    let (guide, mmproj) = (at("guide-qwen2vl.gguf"), at("mmproj-guide-qwen2vl.gguf"));
    let models = ["-m", TARGET[0], "-mm", TARGET[1], "--guide", &guide, "--guide-mmproj", &mmproj];
    let of = |policy| {
        let flags = [&models[..], &["--no-exit", "--retain", "10%", "--policy", policy]].concat();
        report(&flags, &["--image", &picture, "-p", "Which character is on the orange diamond?"])
    };
    let guided = of("global");
    assert_eq!((&guided["answer"], &guided["guide"]["answer"]), (&"4".into(), &"4".into()));
    assert_eq!((&guided["visual"]["tokens"], &guided["visual"]["kept"]), (&768.into(), &76.into()));
    assert_ne!(of("random:1")["answer"], "4");
}

#[test]
fn a_picture_comes_from_standard_input() {
    let folder = Folder::new();
    let picture = fs::read(FLAT).unwrap();
    let question = ["run", "--image", "-", "-p", LABEL[3]];
    let ran = folder.run_with(&question, |command| command.write_stdin(picture.clone())).ok();
    assert_eq!(ran.stdout, "8\n");
    let two = ["run", "--image", NOISE, "--image", "-", "-p", LABEL[3], "--json"];
    let ran = folder.run_with(&two, |command| command.write_stdin(picture)).ok();
    assert_eq!(ran.json()["visual"]["tokens"], 512);
}

#[test]
fn a_context_too_small_names_one_that_works() {
    let ran = ask(&["-c", "64"], &LABEL).failed(5, "guide: the prompt needs 2");
    let size = ran.hint().strip_prefix("use -c ").unwrap().to_owned();
    assert_eq!(ask(&["-c", &size], &LABEL).ok().stdout, "8\n");
    let ran = ask(&["-m", TARGET[0], "-mm", TARGET[1], "-c", "64"], &LABEL).failed(5, "target: the prompt needs 2");
    assert_eq!(ran.hint(), format!("use -c {size}"));
}

#[test]
fn a_prompt_beyond_the_models_training_says_so() {
    let long = "word ".repeat(9000);
    let ran = sgl(&["run", "-p", &long]).failed(5, "but the model was trained with 8192");
    let size = ran.hint().rsplit_once("-c ").unwrap().1.to_owned();
    assert!(size.parse::<u32>().unwrap() > 8192, "{ran:?}");
}

#[test]
fn the_length_of_the_answer_is_limited() {
    let report = report(&["--no-exit", "-n", "3"], &LIST);
    assert_eq!((&report["generated_tokens"], &report["finish"]), (&3.into(), &"length".into()));
    assert_eq!(report["guide"]["tokens"], 3);
}

#[test]
fn quiet_says_nothing_and_verbose_shows_the_logs() {
    assert_eq!(ask(&["-q"], &LABEL).ok().stderr, "");
    assert_eq!(ask(&["-q"], &["-p", "x"]).ok().stderr, "");
    let usual = ask(&[], &LABEL).ok().stderr.lines().count();
    let logs = ask(&["-v"], &LABEL).ok();
    let details = ask(&["-vv", "-q"], &LABEL).ok();
    assert_eq!((usual, logs.stdout.as_str(), details.stdout.as_str()), (1, "8\n", "8\n"));
    assert!(
        logs.stderr.contains("INFO") && logs.stderr.contains("llama.cpp: ") && !logs.stderr.contains("DEBUG"),
        "{logs:?}"
    );
    assert!(!logs.stderr.contains('\x1b'), "{logs:?}");
    assert!(details.stderr.contains("DEBUG"), "{details:?}");
}

#[test]
fn rust_log_decides_without_a_flag() {
    let folder = Folder::new();
    let run = |filter: &str| {
        folder.run_with(&[&["run", "-q"], &LABEL[..]].concat(), |command| command.env("RUST_LOG", filter)).ok().stderr
    };
    assert!(run("llama.cpp=info").contains("INFO"));
    assert_eq!(run("error"), "");
    assert_eq!(run("not=a=filter"), "");
}

#[test]
fn nothing_is_left_in_the_current_folder() {
    let folder = Folder::new();
    folder.run(&[&["run"], &LABEL[..]].concat()).ok();
    assert_eq!(folder.files(), [""; 0]);
}
