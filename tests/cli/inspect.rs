//! `sgl inspect`.

use crate::harness::{FLAT, Folder, GUIDE, TARGET, sgl};

#[test]
fn one_file() {
    let ran = sgl(&["inspect", TARGET[0]]).ok();
    assert_eq!(ran.stderr, "");
    for line in
        ["kind:             text model", "architecture:     qwen2", "layers:           6", "context length:   8192"]
    {
        assert!(ran.stdout.lines().any(|found| found == line), "no {line:?} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("fits"), "{}", ran.stdout);
}

#[test]
fn a_pair_in_either_order() {
    for files in [[TARGET[0], TARGET[1]], [TARGET[1], TARGET[0]]] {
        let ran = sgl(&["inspect", files[0], files[1]]).ok();
        assert!(ran.stdout.contains("projector type:   internvl"), "{}", ran.stdout);
        assert!(ran.stdout.ends_with("fits as a target: yes\nfits as a guide:  yes\n"), "{}", ran.stdout);
    }
}

#[test]
fn two_pairs() {
    let ran = sgl(&["inspect", "--json", GUIDE[0], GUIDE[1], TARGET[1], TARGET[0]]).ok().json();
    assert_eq!(ran["files"].as_array().unwrap().len(), 4);
    assert_eq!(ran["files"][0]["architecture"], "qwen2");
    assert_eq!(ran["files"][1]["projector"]["output_width"], 192);
    assert_eq!(ran["pairs"].as_array().unwrap().len(), 2);
    for (pair, files) in ran["pairs"].as_array().unwrap().iter().zip([GUIDE, TARGET]) {
        assert_eq!((&pair["model"], &pair["mmproj"]), (&files[0].into(), &files[1].into()));
        assert!(pair["not_target"].is_null() && pair["not_guide"].is_null());
    }
}

#[test]
fn a_pair_that_does_not_fit() {
    let ran = sgl(&["inspect", TARGET[0], GUIDE[1]]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stdout.contains("fits as a target: no: the mmproj "), "{ran:?}");
    assert!(ran.stderr.starts_with("error: the mmproj ") && ran.hint().starts_with("use the mmproj "), "{ran:?}");
    let ran = sgl(&["inspect", "--json", TARGET[0], GUIDE[1]]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.json()["pairs"][0]["not_target"].as_str().unwrap().contains("width 192"));
}

#[test]
fn two_models_are_no_pair() {
    assert!(!sgl(&["inspect", TARGET[0], GUIDE[0]]).ok().stdout.contains("fits"));
}

#[test]
fn a_bad_file_does_not_hide_the_others() {
    let folder = Folder::new();
    let cut = folder.write("cut.gguf", &std::fs::read(TARGET[0]).unwrap()[..5000]);
    for bad in [FLAT, "missing.gguf", ".", &cut] {
        let ran = folder.run(&["inspect", bad, TARGET[0]]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stdout.contains("architecture:     qwen2") && ran.stderr.starts_with("error: "), "{ran:?}");
        let ran = folder.run(&["inspect", "--json", TARGET[0], bad]);
        assert_eq!((ran.code, ran.json()["files"].as_array().unwrap().len()), (Some(3), 1), "{ran:?}");
    }
    let ran = folder.run(&["inspect", FLAT, "missing.gguf"]);
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{ran:?}");
}
