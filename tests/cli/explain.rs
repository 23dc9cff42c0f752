//! `sgl explain`: the heat maps and where they go.

use crate::harness::{FLAT, Folder, LABEL, NOISE, Ran, TARGET};
use image::{Rgb, RgbImage};
use std::fs;
use std::path::Path;

const YES: [&str; 4] = ["--image", FLAT, "-p", "Does the image contain a white square?"];
/// Colour of the outline around kept tokens.
const OUTLINE: Rgb<u8> = Rgb([255, 186, 32]);

fn explain(folder: &Folder, flags: &[&str], question: &[&str]) -> Ran {
    folder.run(&[&["explain"], flags, question].concat())
}

fn map(folder: &Folder, name: &str) -> RgbImage {
    image::open(Path::new(&folder.at(name))).unwrap().to_rgb8()
}

#[test]
fn the_map_and_the_answer() {
    let folder = Folder::new();
    let ran = explain(&folder, &[], &LABEL).ok();
    assert_eq!(ran.stdout, "8\n");
    assert!(ran.stderr.starts_with("wrote heat.png\ntarget answered; read 64/256 visual tokens; "), "{ran:?}");
    assert_eq!(folder.files(), ["heat.png"]);
    let map = map(&folder, "heat.png");
    assert_eq!(map.dimensions(), (2 * 448 + 12, 448));
    assert!(map.pixels().any(|&pixel| pixel == OUTLINE));
    assert_eq!(*map.get_pixel(448 + 5, 100), Rgb([255, 255, 255]), "the gap");
}

/// Right panel: pixels of the picture itself, undimmed. One token is 28x28 of them.
fn kept_pixels(map: &RgbImage) -> usize {
    let picture = image::open(FLAT).unwrap().to_rgb8();
    picture.enumerate_pixels().filter(|&(x, y, pixel)| map.get_pixel(460 + x, y) == pixel).count()
}

#[test]
fn what_is_kept_is_shown() {
    let folder = Folder::new();
    for n in [1, 8] {
        explain(&folder, &["--retain", &format!("{n}t")], &LABEL).ok();
        let found = kept_pixels(&map(&folder, "heat.png"));
        assert!((n * 28 * 28..n * 28 * 28 + 200).contains(&found), "{found} of {n} tokens");
    }
}

#[test]
fn several_pictures_have_a_map_each() {
    let folder = Folder::new();
    let question = ["--image", FLAT, "--image", NOISE, "-p", "Count the squares."];
    let ran = explain(&folder, &["--out", "maps.of.two.png"], &question).ok();
    assert_eq!(folder.files(), ["maps.of.two-1.png", "maps.of.two-2.png"]);
    assert!(ran.stderr.starts_with("wrote maps.of.two-1.png\nwrote maps.of.two-2.png\n"), "{ran:?}");
    assert_ne!(map(&folder, "maps.of.two-1.png"), map(&folder, "maps.of.two-2.png"));
}

#[test]
fn the_guides_answer_is_final_only_when_asked_for() {
    let folder = Folder::new();
    let json = |flags: &[&str]| explain(&folder, &[flags, &["--json"]].concat(), &YES).ok().json();
    let report = json(&[]);
    assert_eq!(report["source"], "target");
    assert!(report["exit"].is_null());
    let report = json(&["--exit-threshold", "0.9"]);
    assert_eq!(report["source"], "guide");
    assert_eq!(json(&["--no-exit"])["source"], "target");
    assert_eq!(folder.files(), ["heat.png"]);
    let in_environment = folder
        .run_with(&[&["explain", "--json"], &YES[..]].concat(), |command| command.env("SGL_EXIT_THRESHOLD", "0.9"));
    assert_eq!(in_environment.ok().json()["source"], "target");
}

#[test]
fn the_report_names_the_maps() {
    let folder = Folder::new();
    let out = folder.at("map.png");
    let ran = explain(&folder, &["--json", "-q", "--out", &out], &LABEL).ok();
    assert_eq!(ran.stderr, "");
    let report = ran.json();
    assert_eq!(report["heat_maps"], serde_json::json!([out]));
    assert_eq!((&report["answer"], &report["visual"]["kept"]), (&"8".into(), &64.into()));
}

#[test]
fn every_policy_has_a_map() {
    let folder = Folder::new();
    let mut maps = Vec::new();
    for policy in ["global", "layer:1", "random:1", "uniform"] {
        let report = explain(&folder, &["--policy", policy, "--retain", "16t", "--json"], &LABEL).ok().json();
        assert_eq!((&report["visual"]["kept"], &report["guide"]["answer"]), (&16.into(), &"8".into()), "{policy}");
        let map = map(&folder, "heat.png");
        assert!(!maps.contains(&map), "{policy}");
        maps.push(map);
    }
    let left = |map: &RgbImage| image::imageops::crop_imm(map, 0, 0, 448, 448).to_image();
    assert_eq!(left(&maps[2]), left(&maps[0]), "policies without scores show the global ones");
    assert_ne!(left(&maps[1]), left(&maps[0]), "a layer shows its own");
}

#[test]
fn an_old_map_is_replaced_only_by_a_whole_one() {
    let folder = Folder::new();
    folder.write("heat.png", b"old");
    explain(&folder, &["-c", "64"], &LABEL).failed(5, "use -c ");
    assert_eq!(fs::read(folder.at("heat.png")).unwrap(), b"old");
    explain(&folder, &[], &LABEL).ok();
    map(&folder, "heat.png");
    assert_eq!(folder.files(), ["heat.png"]);
}

#[test]
fn nothing_to_explain() {
    let folder = Folder::new();
    explain(&folder, &[], &["-p", "x"]).failed(2, "there is no picture to explain");
    explain(&folder, &["-m", TARGET[0], "-mm", TARGET[1]], &LABEL).failed(2, "without a guide");
    assert_eq!(folder.files(), [""; 0]);
}

#[test]
fn tiled_pictures_have_no_map() {
    let folder = Folder::new();
    let picture = folder.picture("wide.png", 900, 448);
    let ran = explain(&folder, &["-n", "2"], &["--image", &picture, "-p", "Count the squares."]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.starts_with("error: no heat map: these pictures are cut into tiles"), "{ran:?}");
    assert_eq!(folder.files(), ["wide.png"]);
}

#[test]
fn places_that_cannot_be_written() {
    let folder = Folder::new();
    let check = |out: &str, code, message: &str| explain(&folder, &["--out", out], &LABEL).failed(code, message);
    check("heat.jpg", 2, "is no name for a PNG picture");
    check("-", 2, "is no name for a PNG picture");
    check("missing/heat.png", 7, "there is no folder missing");
    folder.write("file", b"");
    check("file/heat.png", 7, "there is no folder file");
    fs::create_dir(folder.at("folder.png")).unwrap();
    check("folder.png", 7, "it is a folder");
    assert_eq!(folder.files(), ["file", "folder.png"]);
}

/// Nobody can create files in `/proc`, not even the superuser, whom a folder's mode would not stop.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files() {
    let folder = Folder::new();
    let ran = explain(&folder, &["--out", "/proc/heat.png"], &LABEL);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "8\n"));
    assert!(ran.stderr.starts_with("error: cannot write /proc/heat.png: "), "{ran:?}");
}
