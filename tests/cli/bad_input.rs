//! What is wrong is said in one error with the exit code of its kind, before anything else is printed.

use crate::harness::{FLAT, Folder, GUIDE, LABEL, Ran, TARGET, ask, sgl};
use std::fs;

const QUESTION: [&str; 2] = ["-p", "Count the squares."];

#[track_caller]
fn check_flags(flags: &[&str], message: &str) -> Ran {
    ask(flags, &LABEL).failed(2, message)
}

#[test]
fn values_out_of_range() {
    let cases: &[(&str, &str)] = &[
        ("--retain", "0 -0.5 1.5 nan inf 101% 0t 1.5t t % half 1e-3 0%mass 99999999999999999999t"),
        ("--consistency-retain", "0 2 x"),
        ("--exit-threshold", "-0.1 1.01 nan NaN inf x 1e999"),
        (
            "--policy",
            "best layer layer: layer:-1 layer:x layer:4294967296 random random:x Global \
             diversity:1 diversity+global global+ global+random:1 global+diversity: global+diversity:1.1 \
             global+diversity:-0.1 global+diversity:1e-1 global+diversity:nan global+debias:1",
        ),
        ("--consistency", "sum Product"),
        ("--temp", "-1 nan inf hot 1e99"),
        ("--top-k", "-1 1.5 2147483648"),
        ("--top-p", "0 -0.5 1.1 nan"),
        ("--min-p", "-0.1 1.1 nan"),
        ("--seed", "-1 4294967296 x"),
        ("--predict", "0 -1 16777217 99999999999 x 1.5"),
        ("--ctx-size", "-1 16777217 99999999999 x"),
        ("--threads", "0 -1 513 x"),
        ("--batch-size", "0 -1 99999999999 x"),
        ("--ubatch-size", "0 -1 99999999999 x"),
        ("--gpu-layers", "-2 4294967296 some 1.5"),
        ("--guide-gpu-layers", "-2 some"),
        ("--device", "a,,b ,"),
        ("--flash-attn", "maybe ON"),
        ("--cache-type-k", "q9 F16"),
        ("--cache-type-v", "q9 i8"),
    ];
    for (flag, values) in cases {
        for value in values.split(' ').chain([""]) {
            let ran = check_flags(&[flag, value], flag);
            let message = format!("invalid value '{value}' for '{flag} <");
            assert!(ran.stderr.contains(&message) || value.is_empty(), "{ran:?}");
        }
    }
}

#[test]
fn a_value_out_of_range_comes_with_its_hint() {
    let ran = check_flags(&["--retain", "2"], "retain \"2\" is not understood\n");
    assert!(ran.hint().starts_with("use a share above 0"), "{ran:?}");
}

#[test]
fn command_lines_that_make_no_sense() {
    sgl(&["run"]).failed(2, "--prompt <QUESTION>");
    sgl(&["run", "-p"]).failed(2, "a value is required for '--prompt <QUESTION>'");
    sgl(&["run", "-p", ""]).failed(2, "a value is required for '--prompt <QUESTION>'");
    sgl(&["walk"]).failed(2, "unrecognized subcommand 'walk'");
    sgl(&["inspect"]).failed(2, "<FILE>");
    sgl(&["devices", "CPU"]).failed(2, "unexpected argument 'CPU'");
    sgl(&["demo", "--picture", "cat"]).failed(2, "possible values: flat, gradient, noise, texture");
    check_flags(&["--no-prune", "--retain", "0.5"], "--no-prune and --retain contradict each other");
    check_flags(&["--no-exit", "--exit-threshold", "0.5"], "--no-exit and --exit-threshold contradict each other");
    check_flags(&["--unknown"], "unexpected argument '--unknown'");
    check_flags(&["-dev", "Abacus0"], "there is no device `Abacus0`");
    check_flags(&["--guide-dev", "Abacus0"], "guide: there is no device `Abacus0`");
    let ran = check_flags(&["--policy", "layer:4"], "there is no attention layer 4");
    assert_eq!(ran.hint(), "use one of 0, 1, 2, 3");
    let ran = check_flags(&["--policy", "global+debias"], "how much attention the guide gives each place");
    assert_eq!(ran.hint(), "make one with `sgl calibrate`, or use --policy global");
    ask(&["--policy", "global+debias", "--no-prune"], &LABEL).ok();
}

#[test]
fn models_named_by_halves() {
    check_flags(&["-m", TARGET[0]], "--mmproj is missing");
    check_flags(&["-mm", TARGET[1]], "--mmproj is given and --model is not");
    check_flags(&["--guide", GUIDE[0], "--guide-mmproj", GUIDE[1]], "--guide is given and --model is not");
    check_flags(&["--guide-mmproj", GUIDE[1]], "--guide-mmproj is given and --guide is not");
    let target = ["-m", TARGET[0], "-mm", TARGET[1]];
    check_flags(&[&target[..], &["--guide", GUIDE[0]]].concat(), "--guide-mmproj is missing");
    check_flags(&[&target[..], &["--guide-mmproj", GUIDE[1]]].concat(), "--guide-mmproj is given and --guide is not");
}

#[test]
fn guidance_without_a_guide() {
    let flags: &[&[&str]] = &[
        &["--retain", "0.5"],
        &["--no-prune"],
        &["--policy", "uniform"],
        &["--exit-threshold", "0.5"],
        &["--no-exit"],
        &["--consistency", "product"],
        &["--consistency-retain", "0.05"],
        &["--guide-ngl", "1"],
        &["--guide-dev", "none"],
    ];
    for flag in flags {
        let ran = check_flags(&[&["-m", TARGET[0], "-mm", TARGET[1]], *flag].concat(), "there is no guide\n");
        assert!(ran.hint().starts_with("add --guide and --guide-mmproj"), "{ran:?}");
    }
}

#[test]
fn pictures_that_are_none() {
    let folder = Folder::new();
    let picture = fs::read(FLAT).unwrap();
    let check = |path: &str, message: &str| {
        let question = [&["run", "--image", path], &QUESTION[..]].concat();
        folder.run(&question).failed(3, message)
    };
    check("missing.png", "missing.png");
    check(".", "is a directory");
    check(&folder.write("empty.png", b""), "is empty");
    check(&folder.write("text.png", b"a picture of a cat"), "no known picture format");
    check(&folder.write("page.png", b"<!doctype html><html></html>"), "a web page");
    check(TARGET[0], "a GGUF model");
    for n in [8, 40, 1000, picture.len() / 2, picture.len() - 16] {
        check(&folder.write("cut.png", &picture[..n]), "damaged PNG picture");
    }
    let mut huge = picture.clone();
    huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]); // 100000x100000; its checksum is wrong too
    check(&folder.write("huge.png", &huge), "huge.png");
    assert_eq!(check("text.png", "text.png").hint(), "use PNG, JPEG, WebP, GIF, BMP or TIFF");
}

#[test]
fn standard_input_that_is_no_picture() {
    let folder = Folder::new();
    let run = |input: &str| {
        let question = [&["run", "--image", "-"], &QUESTION[..]].concat();
        folder.run_with(&question, |command| command.write_stdin(input))
    };
    run("").failed(3, "picture on standard input: the picture is empty");
    run("a cat").failed(3, "picture on standard input: this is no known picture format");
    let twice = [&["run", "--image", "-", "--image", "-"], &QUESTION[..]].concat();
    folder.run(&twice).failed(2, "standard input holds one picture only");
}

/// As target and as guide.
#[track_caller]
fn check_models(model: &str, mmproj: &str, code: i32, message: &str) {
    let ran = ask(&["-m", model, "-mm", mmproj], &LABEL).failed(code, message);
    assert!(ran.stderr.starts_with("error: target: "), "{ran:?}");
    let as_guide = ["-m", TARGET[0], "-mm", TARGET[1], "--guide", model, "--guide-mmproj", mmproj];
    let ran = ask(&as_guide, &LABEL).failed(code, message);
    assert!(ran.stderr.starts_with("error: guide: "), "{ran:?}");
}

#[test]
fn models_that_are_none() {
    let folder = Folder::new();
    let target = fs::read(TARGET[0]).unwrap();
    check_models("missing.gguf", TARGET[1], 3, "cannot read missing.gguf");
    check_models(TARGET[0], "missing.gguf", 3, "cannot read missing.gguf");
    check_models(".", TARGET[1], 3, "is not a regular file");
    check_models(&folder.write("empty.gguf", b""), TARGET[1], 3, "it is empty");
    check_models(&folder.write("text.gguf", b"weights"), TARGET[1], 3, "is not a GGUF file");
    check_models(FLAT, TARGET[1], 3, "is not a GGUF file");
    check_models(TARGET[0], FLAT, 3, "is not a GGUF file");
    for n in [4, 24, 5000, target.len() / 2, target.len() - 1] {
        check_models(&folder.write("cut.gguf", &target[..n]), TARGET[1], 3, "cut.gguf");
    }
}

#[test]
fn models_in_the_wrong_place() {
    check_models(TARGET[1], TARGET[0], 3, "swap");
    check_models(TARGET[0], GUIDE[0], 3, "is a text model");
    check_models(TARGET[1], TARGET[1], 3, "is an mmproj");
    check_models(TARGET[0], GUIDE[1], 4, "writes embeddings of width 192");
    check_models(GUIDE[0], TARGET[1], 4, "writes embeddings of width 256");
}

/// A header that claims an architecture without attention; both names have five letters.
#[test]
fn a_guide_without_attention() {
    let folder = Folder::new();
    let mut bytes = fs::read(GUIDE[0]).unwrap();
    let starts: Vec<usize> =
        bytes.windows(5).enumerate().filter(|(_, word)| *word == b"qwen2").map(|(at, _)| at).collect();
    for at in starts {
        bytes[at..at + 5].copy_from_slice(b"mamba");
    }
    let mamba = folder.write("mamba.gguf", &bytes);
    let guided = ["-m", TARGET[0], "-mm", TARGET[1], "--guide", &mamba, "--guide-mmproj", GUIDE[1]];
    ask(&guided, &LABEL).failed(4, "cannot be a guide");
    let inspected = sgl(&["inspect", &mamba, GUIDE[1]]).ok();
    assert!(inspected.stdout.contains("fits as a target: yes\nfits as a guide:  no: "), "{inspected:?}");
}

#[test]
fn a_cache_that_cannot_be_written() {
    let folder = Folder::new();
    let file = folder.write("file", b"");
    folder
        .run_with(&[&["run"], &LABEL[..]].concat(), |command| command.env("SGL_CACHE", &file))
        .failed(7, "cannot write the embedded models");
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bytes = OsStr::from_bytes(b"\xff.png");
    let ran = |arguments: &[&OsStr]| Ran::from(Folder::new().command().args(arguments).output().unwrap());
    let [run, prompt, image, inspect] = ["run", "-p", "--image", "inspect"].map(OsStr::new);
    ran(&[run, prompt, bytes]).failed(2, "invalid UTF-8");
    ran(&[run, prompt, prompt, image, bytes]).failed(3, "cannot open picture");
    ran(&[inspect, bytes]).failed(3, "cannot read");
}
