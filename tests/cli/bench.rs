//! `sgl bench`: the pair measured phase by phase, and two measurements compared.

use crate::harness::{FLAT, Folder, GUIDE, Ran, TARGET, sgl};
use serde_json::Value;
use std::fs;

/// As short as a measurement can be.
const SHORT: [&str; 9] = ["--rounds", "1", "--warm-up", "0", "-n", "4", "--question-tokens", "12", "--picture-size"];

fn bench(flags: &[&str]) -> Ran {
    sgl(&[&["bench"], flags].concat())
}

fn short(flags: &[&str]) -> Ran {
    bench(&[&SHORT[..], &["448x448"], flags].concat())
}

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_measurement_has_all_its_fields() {
    let measured = short(&["--json"]).ok().json();
    assert_eq!(
        names(&measured),
        [
            "break_even",
            "build",
            "counts",
            "ideal_ms",
            "measured_ms",
            "peak_bytes",
            "phases_ms",
            "ratios",
            "rounds",
            "settings",
            "tokens_per_second"
        ]
    );
    let target = ["target_decode", "target_encode", "target_prefill", "time_to_first_token", "total"];
    let guide = ["guide_decode", "guide_encode", "guide_prefill"];
    let phases = &measured["phases_ms"];
    assert_eq!(names(&phases["unpruned"]), target);
    assert_eq!(names(&phases["guided"]), [&guide[..], &target].concat());
    assert_eq!(names(&phases["guide_plain"]), ["guide_decode", "guide_prefill"]);
    assert_eq!(names(&phases["guide_export"]), ["guide_decode", "guide_prefill"]);
    assert!(phases["stock"].is_null());
    for variant in ["unpruned", "guided", "guide_plain", "guide_export"] {
        assert_eq!(phases[variant], measured["rounds"][0][variant], "of one round, the median is the round");
        assert!(phases[variant].as_object().unwrap().values().all(|ms| ms.as_f64().unwrap() > 0.0), "{variant}");
    }

    let ratio = |name: &str| measured["ratios"][name].as_f64().unwrap();
    let ms = |variant: &str, name: &str| phases[variant][name].as_f64().unwrap();
    assert_eq!(names(&measured["ratios"]), ["export_decode", "export_prefill", "target_prefill", "total", "ttft"]);
    assert_eq!(ratio("total"), ms("guided", "total") / ms("unpruned", "total"));
    assert_eq!(ratio("ttft"), ms("guided", "time_to_first_token") / ms("unpruned", "time_to_first_token"));
    assert_eq!(ratio("target_prefill"), ms("guided", "target_prefill") / ms("unpruned", "target_prefill"));
    assert_eq!(measured["measured_ms"].as_f64().unwrap(), ms("guided", "total"));
    assert!(measured["ideal_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(names(&measured["peak_bytes"]), ["compute", "kv", "process"]);
    assert_eq!(measured["peak_bytes"]["process"].is_null(), !cfg!(target_os = "linux"));

    let (settings, counts) = (&measured["settings"], &measured["counts"]);
    assert_eq!((&settings["baseline"], &settings["threads"]), (&"unpruned".into(), &1.into()));
    assert_eq!((&settings["guide"]["model"]["name"], &settings["pictures"][0][0]), (&"guide.gguf".into(), &448.into()));
    assert!((9..=12).contains(&settings["question_tokens"].as_u64().unwrap()), "{settings}");
    assert_eq!((&counts["target_visual"], &counts["target_tiles"]), (&256.into(), &1.into()));
    assert_eq!((&counts["kept"], &counts["kept_tiles"]), (&64.into(), &1.into()));
    let text = counts["target_prompt"].as_u64().unwrap() - 256;
    assert_eq!(counts["read"].as_u64().unwrap(), text + 64);
}

#[test]
fn the_page_says_what_came_of_it() {
    let ran = bench(&["--rounds", "2", "--warm-up", "0", "-n", "2", "--image", FLAT, "--retain", "16t"]).ok();
    for line in [
        "guide   guide.gguf: prompt of ",
        "the target reads 16 of them (16t by global) in 1 of the tiles",
        "phase                ",
        "time to first token  ",
        "guide alone  ",
        "  without export  ",
        "tokens per second  ",
        "ratios  total ",
        "ideal   ",
        "for this target on this machine: ",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {ran:?}");
    }
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_wide_picture_has_tiles() {
    let measured = bench(&[&SHORT[..], &["896x448", "--json", "--retain", "8t"]].concat()).ok().json();
    assert_eq!((&measured["counts"]["target_tiles"], &measured["counts"]["guide_visual"]), (&3.into(), &768.into()));
    let in_tiles = measured["counts"]["kept_tiles"].as_u64().unwrap();
    assert!((1..=3).contains(&in_tiles), "{in_tiles}");
}

#[test]
fn an_early_exit_leaves_the_target_out() {
    let measured = short(&["--exit-threshold", "0", "--json"]).ok().json();
    let guided = names(&measured["phases_ms"]["guided"]);
    assert!(guided.contains(&"consistency") && !guided.contains(&"target_prefill"), "{guided:?}");
    assert!(measured["break_even"].is_null() && measured["ratios"]["target_prefill"].is_null());
    assert_eq!(measured["counts"]["read"], 0);
    assert!(short(&["--exit-threshold", "0"]).ok().stdout.contains("the guide's answer, final here, takes "));
}

#[test]
fn measurements_are_compared() {
    let folder = Folder::new();
    let measured = |name: &str, rounds: &str, flags: &[&str]| {
        let flags = [&["bench"], &SHORT[..], &["56x56", "--json", "--rounds", rounds], flags].concat();
        folder.write(name, folder.run(&flags).ok().stdout.as_bytes())
    };
    let (old, new) = (measured("old.json", "4", &[]), measured("new.json", "4", &[]));
    let compared = folder.run(&["bench", "--compare", &old, &new, "--json"]).ok().json();
    let rows = compared["rows"].as_array().unwrap();
    for name in
        ["unpruned.target_prefill", "guided.total", "guide_plain.guide_decode", "ratios.total", "ratios.export_decode"]
    {
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(names(row), ["ci95", "name", "new", "old", "ratio", "verdict"]);
        assert!(row["ci95"].is_array(), "{row}");
    }

    // All times a thousandfold: all of them are slower, and no ratio is.
    let mut slow: Value = serde_json::from_str(&fs::read_to_string(&old).unwrap()).unwrap();
    for round in slow["rounds"].as_array_mut().unwrap() {
        for times in round.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut) {
            times.values_mut().for_each(|ms| *ms = (ms.as_f64().unwrap() * 1000.0).into());
        }
    }
    let slow = folder.write("slow.json", slow.to_string().as_bytes());
    let page = folder.run(&["bench", "--compare", &old, &slow]).ok().stdout;
    let verdict = |name: &str| page.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(verdict("guided total").ends_with(" slower"), "{page}");
    assert!(verdict("ratios total").ends_with(" no difference shown"), "{page}");

    let few = measured("few.json", "1", &[]);
    let page = folder.run(&["bench", "--compare", &old, &few]).ok().stdout;
    let shown = |line: &str| line.ends_with(" faster") || line.ends_with(" slower");
    assert!(page.contains("Fewer than 4 rounds") && !page.lines().any(shown), "{page}");
    let other = measured("other.json", "1", &["--retain", "10%"]);
    let refused = folder.run(&["bench", "--compare", &old, &other]).failed(3, "measured different things");
    assert!(refused.stderr.contains("retain is 0.25 and 0.1"), "{refused:?}");
    let nothing = folder.write("nothing.json", b"{}");
    folder.run(&["bench", "--compare", &old, &nothing]).failed(3, "nothing.json is no measurement");
    folder.run(&["bench", "--compare", &old, "missing.json"]).failed(3, "cannot read missing.json");
    folder.run(&["bench", "--compare", &old]).failed(2, "2 values required");
}

#[test]
fn shapes_are_listed_and_unknown_ones_refused() {
    let listed = bench(&["--list", "--json"]).ok().json();
    let presets = listed["presets"].as_array().unwrap();
    let smallest =
        presets.iter().min_by_key(|preset| preset["guide_bytes"].as_u64()).unwrap()["name"].as_str().unwrap();
    assert!(bench(&["--list"]).ok().stdout.lines().any(|line| line.starts_with(smallest)));

    let refused = bench(&["--shape", "internvl-1b+nothing"]).failed(2, "nothing");
    assert!(refused.stderr.contains(smallest), "known ones are named: {refused:?}");
    let both = bench(&["--shape", &format!("{smallest}+{smallest}"), "-m", TARGET[0]]);
    both.failed(2, "--shape and --model both name models");
    bench(&["--shape", "internvl-2b+26b", "--towers", "shared"]).failed(2, "vision encoders of other sizes");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    bench(&["--rounds", "0"]).failed(2, "must be a whole number from 1 to 500");
    bench(&["--picture-size", "448"]).failed(2, "must be WIDTHxHEIGHT");
    bench(&["--image", "missing.png"]).failed(3, "missing.png");
    bench(&["-m", TARGET[0], "-mm", TARGET[1]]).failed(2, "there is no guide");
    bench(&["--guide", GUIDE[0]]).failed(2, "--model is not");
    short(&["--policy", "global+debias"]).failed(2, "no profile tells");
    let missing = short(&["--stock", "missing-program"]).failed(3, "cannot run missing-program");
    assert!(missing.hint().contains("llama-mtmd-cli"), "{missing:?}");
}

#[cfg(unix)]
mod stock {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(folder: &Folder, script: &str) -> String {
        let path = folder.write("stock", format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn run(folder: &Folder, program: &str, flags: &[&str]) -> Ran {
        folder.run(&[&["bench"], &SHORT[..], &["448x448", "--stock", program], flags].concat())
    }

    #[test]
    fn a_stock_program_takes_turns_and_is_the_baseline() {
        let folder = Folder::new();
        let program = program(
            &folder,
            "[ \"$1\" = --help ] && echo --ignore-eos && exit\n\
             echo \"$@\" >> arguments\n\
             echo 'mtmd batch encoding done in 40 ms' >&2\n\
             echo 'image decoded (batch 1/1) in 30 ms' >&2\n\
             echo 'llama_perf_context_print: prompt eval time = 100.00 ms / 280 tokens' >&2\n\
             echo 'llama_perf_context_print:        eval time = 8.00 ms / 4 runs' >&2",
        );
        let measured = run(&folder, &program, &["--json", "--rounds", "2"]).ok().json();
        let stock = &measured["phases_ms"]["stock"];
        assert_eq!((&stock["target_encode"], &stock["target_prefill"]), (&40.0.into(), &60.0.into()));
        assert_eq!((&stock["target_decode"], &stock["total"]), (&6.0.into(), &106.0.into()));
        let total = measured["phases_ms"]["guided"]["total"].as_f64().unwrap();
        assert_eq!(measured["ratios"]["total"].as_f64().unwrap(), total / 106.0);
        assert_eq!(measured["settings"]["baseline"], "stock");
        let called = fs::read_to_string(folder.path().join("arguments")).unwrap();
        assert_eq!(called.lines().count(), 2);
        for told in
            ["--mmproj ", " -n 4 ", " -t 1 ", " -c ", " -b 2048 ", " -ub 512 ", " -fa auto ", ".png --ignore-eos"]
        {
            assert!(called.contains(told), "{told}: {called}");
        }
        let picture = called.split("--image ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(!fs::exists(picture).unwrap(), "{picture} is left");
        assert!(run(&folder, &program, &[]).ok().stdout.contains("stock llama.cpp"));
    }

    #[test]
    fn its_failure_is_told() {
        let folder = Folder::new();
        let fails = program(&folder, "echo loading >&2; echo 'error: no such file; try another' >&2; exit 1");
        run(&folder, &fails, &[]).failed(6, "failed with exit status: 1: error: no such file; try another");
        let silent = program(&folder, "exit 0");
        run(&folder, &silent, &[]).failed(3, "printed no line \"image slice encoded in\"");
    }
}
