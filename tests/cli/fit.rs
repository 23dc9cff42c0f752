//! `--fit` where there is no GPU.

use crate::harness::{GUIDE, LABEL, TARGET, ask};

const NAMED: [&str; 8] = ["-m", TARGET[0], "--mmproj", TARGET[1], "--guide", GUIDE[0], "--guide-mmproj", GUIDE[1]];

#[test]
fn all_runs_on_the_cpu_and_is_said_to() {
    let plain = ask(&NAMED, &LABEL).ok();
    let ran = ask(&[&NAMED[..], &["--fit", "-dev", "none"]].concat(), &LABEL).ok();
    assert_eq!(ran.stdout, plain.stdout);
    let line = ran.stderr.lines().find(|line| line.starts_with("fits: ")).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(line.contains(", all runs on the CPU; guide and target with caches take "), "{line}");
    assert!(line.ends_with(" that are free") && !ran.stderr.contains("note: the models need"), "{ran:?}");
    assert!(!plain.stderr.contains("fits: "), "{plain:?}");
    assert!(!ask(&[&NAMED[..], &["--fit", "-q"]].concat(), &LABEL).ok().stderr.contains("fits"));
}

#[test]
fn a_target_alone_is_one_model() {
    let ran = ask(&[&NAMED[..4], &["--fit", "-dev", "none"]].concat(), &LABEL).ok();
    assert!(ran.stderr.contains("; target with caches takes "), "{ran:?}");
}

/// Without flash attention, scores of 16 million tokens take a TiB. The picture is missing, so that nothing is loaded.
#[test]
fn what_does_not_fit_is_warned_of() {
    let flags = [&NAMED[..], &["--fit", "-dev", "none", "-fa", "off", "-c", "16777216"]].concat();
    let ran = ask(&flags, &["--image", "none.png", "-p", "x"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.starts_with("does not fit: "), "{ran:?}");
    assert!(ran.stderr.contains("note: the models need 2") && ran.stderr.contains(" GiB are free; "), "{ran:?}");
}

#[test]
fn layers_are_chosen_or_told_not_both() {
    ask(&[&NAMED[..], &["--fit", "-ngl", "3"]].concat(), &LABEL).failed(2, "--gpu-layers says how many");
    ask(&[&NAMED[..], &["--fit", "--guide-ngl", "3"]].concat(), &LABEL).failed(2, "--guide-gpu-layers says how many");
    let missing = ["-m", "none.gguf", "--mmproj", TARGET[1], "--fit"];
    ask(&missing, &LABEL).failed(3, "none.gguf");
}
