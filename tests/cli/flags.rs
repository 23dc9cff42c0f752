//! Every flag of `sgl run` does what its help says, also from the environment and in llama.cpp's spelling.

use crate::harness::{FLAT, Folder, GUIDE, LABEL, LIST, NOISE, Ran, TARGET, ask, kept, report, sgl};

#[test]
fn policies_choose_differently() {
    let of = |policy| kept(&report(&["--no-exit", "--retain", "16t", "--policy", policy], &LABEL));
    assert_eq!(of("uniform"), (0..16).map(|i| 16 * i + 8).collect::<Vec<u64>>());
    assert_eq!(of("random:1"), of("random:1"));
    assert_eq!(of("global+diversity:1"), of("global"));
    assert_eq!(of("global+diversity:0"), of("diversity"));
    assert_eq!(of("global+diversity"), of("global+diversity:0.5"));
    let all = ["global", "global+diversity:0.7", "layer:0", "layer:3", "diversity", "random:1", "random:2", "uniform"];
    let all = all.map(of);
    for (index, kept) in all.iter().enumerate() {
        assert_eq!(kept.len(), 16);
        assert!(!all[..index].contains(kept), "policy {index}");
    }
}

#[test]
fn several_pictures_share_one_budget_above_a_floor() {
    let two = ["--image", FLAT, "--image", NOISE, "-p", "What is the label on the red circle?"];
    let of = |floor| {
        let report = report(&["--no-exit", "--retain", "40t", "--picture-floor", floor], &two);
        let pictures = report["visual"]["pictures"].as_array().unwrap().clone();
        assert!(pictures.iter().all(|picture| picture["tokens"] == 256), "{pictures:?}");
        [0, 1].map(|picture: usize| pictures[picture]["kept"].as_u64().unwrap())
    };
    for (floor, least) in [("0", 0), ("0.5", 10), ("1", 20)] {
        let kept = of(floor);
        assert!(kept[0] + kept[1] == 40 && kept.iter().all(|&kept| kept >= least), "{floor}: {kept:?}");
    }
    assert_ne!(of("0"), of("1"), "the guide does not look at both alike");
    ask(&["--picture-floor", "1.1"], &LABEL).failed(2, "must be a number from 0 to 1");
}

#[test]
fn limits_on_visual_tokens_are_checked() {
    let limits = ["--image-min-tokens", "9", "--image-max-tokens", "4"];
    ask(&limits, &LABEL).failed(2, "--image-min-tokens 9 is more than --image-max-tokens 4");
    ask(&["--guide-image-max-tokens", "0"], &LABEL).failed(2, "must be a whole number from 1 to 65536");
    // The embedded models have one resolution.
    assert_eq!(report(&["--image-max-tokens", "64"], &LABEL)["visual"]["tokens"], 256);
}

#[test]
fn baselines_do_not_need_the_guide() {
    for policy in ["uniform", "diversity", "global+diversity:0"] {
        assert!(report(&["--no-exit", "--policy", policy], &LABEL)["guide"].is_null(), "{policy}");
        let by_mass = report(&["--no-exit", "--policy", policy, "--retain", "50%mass"], &LABEL);
        assert_eq!(by_mass["guide"]["answer"], "8", "{policy}");
    }
}

#[test]
fn the_threshold_decides() {
    let source = |threshold| report(&["--exit-threshold", threshold], &LABEL)["source"].as_str().unwrap().to_owned();
    assert_eq!(["0", "0.95", "0.98", "1"].map(source), ["guide", "guide", "target", "target"]);
}

#[test]
fn consistency_is_a_product_or_a_mean() {
    let of = |flags: &[&str]| {
        report(&[&["--exit-threshold", "0"], flags].concat(), &LIST)["exit"]["consistency"].as_f64().unwrap()
    };
    let product = of(&["--consistency", "product"]);
    let mean = of(&["--consistency", "geomean"]);
    assert!(product < 1e-6 && mean > 0.3 && mean < 0.5, "{product} {mean}");
    assert_eq!(of(&[]), product);
    let with_all = of(&["--consistency", "geomean", "--consistency-retain", "1"]);
    assert!(with_all > 0.66 && with_all < 0.72, "{with_all}");
}

#[test]
fn sampling_is_seeded() {
    let hot = |flags: &[&str]| {
        let hot = ["--no-exit", "-n", "8", "--temp", "4", "--top-k", "0", "--top-p", "1", "--min-p", "0"];
        report(&[&hot, flags].concat(), &LIST)["answer"].as_str().unwrap().to_owned()
    };
    assert_eq!(hot(&["--seed", "3"]), hot(&["-s", "3"]));
    assert_ne!(hot(&["--seed", "3"]), hot(&["--seed", "4"]));
    assert_eq!(hot(&["--seed", "0"]), hot(&[]));
}

#[test]
fn sampling_is_narrowed() {
    let of = |flags: &[&str]| {
        let flags = [&["--no-exit", "-n", "8", "--seed", "3"], flags].concat();
        report(&flags, &LIST)["answer"].as_str().unwrap().to_owned()
    };
    let greedy = of(&[]);
    assert_ne!(of(&["--temp", "4", "--top-k", "0", "--top-p", "1", "--min-p", "0"]), greedy);
    assert_eq!(of(&["--temp", "4", "--top-k", "1"]), greedy);
    assert_eq!(of(&["--temp", "4", "--top-p", "0.0001"]), greedy);
    assert_eq!(of(&["--temp", "4", "--min-p", "1"]), greedy);
    assert_eq!(of(&["--temp", "0", "--top-k", "0"]), greedy);
}

#[test]
fn standing_instructions_are_read() {
    let n_prompt = |flags| report(flags, &LABEL)["prompt_tokens"].as_u64().unwrap();
    assert!(n_prompt(&["--no-exit", "--system", "Be brief."]) > n_prompt(&["--no-exit"]));
}

#[test]
fn text_may_look_like_a_flag() {
    assert!(!sgl(&["run", "-p", "-mm"]).ok().stdout.is_empty());
    assert!(!sgl(&["run", "-sys", "--json", "--prompt", "-5 or 5?"]).ok().stdout.starts_with('{'));
}

/// None of these changes what the pair sees in this picture.
#[test]
fn llama_cpp_is_told() {
    let ways: &[&[&str]] = &[
        &["-t", "2"],
        &["-c", "1024"],
        &["-c", "0"],
        &["-b", "64", "-ub", "32"],
        &["-b", "1", "-ub", "1"],
        &["-b", "16777216", "-ub", "16777216"],
        &["-fa", "on"],
        &["-fa", "off"],
        &["-fa", "auto"],
        &["-ctk", "f32", "-ctv", "f32"],
        &["-ctk", "bf16", "-ctv", "bf16"],
        &["-ctk", "q8_0", "-ctv", "q8_0"],
        &["-ngl", "0"],
        &["-ngl", "auto"],
        &["-ngl", "all"],
        &["-ngl", "99"],
        &["-dev", "none"],
        &["--guide-ngl", "0"],
        &["--guide-dev", "none"],
    ];
    for way in ways {
        assert_eq!(ask(way, &LABEL).ok().stdout, "8\n", "{way:?}");
    }
}

#[test]
fn a_quantized_v_cache_needs_flash_attention() {
    ask(&["-ctv", "q8_0", "-fa", "off"], &LABEL).failed(2, "a quantized V cache needs flash attention");
}

#[test]
fn flags_have_llama_cpps_spellings_and_equals_signs() {
    let flags = [
        "-ngl=0",
        "-fa=on",
        "-ctk=f16",
        "-ctv=f16",
        "-ub=256",
        "-b=256",
        "-c=1024",
        "-n=64",
        "--n-predict=64",
        "--n-gpu-layers",
        "0",
        "--temperature",
        "0",
        "--system-prompt",
        "Be brief.",
    ];
    assert_eq!(ask(&flags, &LABEL).ok().stdout, "8\n");
    let models = ["--model", TARGET[0], "-mm", TARGET[1]];
    assert_eq!(ask(&models, &LABEL).ok().stdout, "8\n");
}

#[test]
fn the_last_of_a_repeated_flag_counts() {
    assert_eq!(report(&["--retain", "1t", "--no-exit", "--retain", "2t"], &LABEL)["visual"]["kept"], 2);
}

fn in_environment(variables: &[(&str, &str)], flags: &[&str]) -> Ran {
    let arguments = [&["run", "--json"], flags, &LABEL].concat();
    Folder::new().run_with(&arguments, |command| command.envs(variables.iter().copied()))
}

#[test]
fn the_environment_names_models_and_guidance() {
    let models = [
        ("LLAMA_ARG_MODEL", TARGET[0]),
        ("LLAMA_ARG_MMPROJ", TARGET[1]),
        ("SGL_GUIDE", GUIDE[0]),
        ("SGL_GUIDE_MMPROJ", GUIDE[1]),
    ];
    assert!(in_environment(&models[..2], &[]).ok().json()["models"]["guide"].is_null());
    assert_eq!(in_environment(&models, &[]).ok().json()["models"]["guide"], "guide.gguf");

    let guidance = [("SGL_RETAIN", "32t"), ("SGL_EXIT_THRESHOLD", "0.99")];
    let report = in_environment(&guidance, &[]).ok().json();
    assert_eq!((&report["visual"]["kept"], &report["exit"]["threshold"]), (&32.into(), &0.99.into()));
    let report = in_environment(&guidance, &["--retain", "16t", "--exit-threshold", "0.5"]).ok().json();
    assert_eq!((&report["source"], &report["exit"]["threshold"]), (&"guide".into(), &0.5.into()));
    // Standing settings are no contradiction to a flag, nor a mistake without a guide.
    assert_eq!(in_environment(&guidance, &["--no-prune", "--no-exit"]).ok().json()["visual"]["kept"], 256);
    let alone = [&models[..2], &guidance].concat();
    assert_eq!(in_environment(&alone, &[]).ok().json()["visual"]["kept"], 256);
}

#[test]
fn the_environment_tells_llama_cpp() {
    let settings = [
        ("LLAMA_ARG_CTX_SIZE", "1024"),
        ("LLAMA_ARG_BATCH", "128"),
        ("LLAMA_ARG_UBATCH", "64"),
        ("LLAMA_ARG_N_GPU_LAYERS", "0"),
        ("LLAMA_ARG_FLASH_ATTN", "on"),
        ("LLAMA_ARG_CACHE_TYPE_K", "q8_0"),
        ("LLAMA_ARG_CACHE_TYPE_V", "q8_0"),
        ("LLAMA_ARG_DEVICE", "none"),
    ];
    assert_eq!(in_environment(&settings, &[]).ok().json()["answer"], "8");
    in_environment(&[("LLAMA_ARG_CTX_SIZE", "64")], &[]).failed(5, "the context has 64");
    assert_eq!(in_environment(&[("LLAMA_ARG_CTX_SIZE", "64")], &["-c", "1024"]).ok().json()["answer"], "8");
    for name in settings.map(|(name, _)| name).iter().filter(|name| **name != "LLAMA_ARG_DEVICE") {
        in_environment(&[(name, "many")], &[]).failed(2, "invalid value 'many'");
    }
    in_environment(&[("LLAMA_ARG_DEVICE", "many")], &[]).failed(2, "there is no device `many`");
    in_environment(&[("SGL_RETAIN", "many")], &[]).failed(2, "invalid value 'many'");
    // -t stands on the command line of every test.
    Folder::new().run_with(&["run", "-p", "x"], |command| command.env("LLAMA_ARG_THREADS", "many")).ok();
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in
        [&["--help"][..], &["-h"], &["run", "--help"], &["run", "-h"], &["explain", "--help"], &["demo", "-h"]]
    {
        let ran = sgl(arguments).ok();
        assert!(ran.stdout.contains("Usage: sgl") && ran.stderr.is_empty(), "{arguments:?} {ran:?}");
    }
    let help = sgl(&["--help"]).ok().stdout;
    for wanted in ["run ", "demo ", "explain ", "inspect ", "devices ", "Exit codes:", "130"] {
        assert!(help.contains(wanted), "{wanted}");
    }
    for version in ["--version", "-V"] {
        let ran = sgl(&[version]).ok();
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines[0], concat!("sgl ", env!("CARGO_PKG_VERSION")));
        let starts = ["llama.cpp ", "patches 0001-", "backends cpu"];
        assert!(lines[1..].iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
        assert_eq!(lines.len(), 4);
    }
    let nothing = sgl(&["--help"]);
    let ran = assert_cmd::Command::new(env!("CARGO_BIN_EXE_sgl")).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), nothing.stdout);
}

#[test]
fn devices_are_listed() {
    let ran = sgl(&["devices"]).ok();
    assert!(ran.stdout.lines().next().unwrap().starts_with("name "), "{ran:?}");
    let listed = sgl(&["devices", "--json"]).ok().json();
    let devices = listed["devices"].as_array().unwrap();
    assert!(devices.iter().any(|device| device["backend"] == "CPU"), "{listed}");
    for device in devices {
        let name = device["name"].as_str().unwrap();
        assert!(ran.stdout.contains(name));
        assert_eq!(ask(&["-dev", name], &LABEL).ok().stdout, "8\n");
    }
}
