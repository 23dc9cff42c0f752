//! `sgl explain`: the heat maps and where they go.

use crate::harness::{FLAT, Folder, LABEL, NOISE, Ran, TARGET, kept};
use image::{Rgb, RgbImage, imageops};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const SURE: [&str; 4] = ["--image", FLAT, "-p", "Tell me the colour of the shape labelled 9."];
/// Colour of the outline around kept tokens.
const OUTLINE: Rgb<u8> = Rgb([255, 196, 0]);
/// Left edges of the panels of a 448x448 picture, and the upper edge of the first ones.
const PANELS: [u32; 2] = [16, 16 + 448 + 16];
const TOP: u32 = 36;

fn explain(folder: &Folder, flags: &[&str], question: &[&str]) -> Ran {
    folder.run(&[&["explain"], flags, question].concat())
}

fn map(folder: &Folder, name: &str) -> RgbImage {
    image::open(Path::new(&folder.at(name))).unwrap().to_rgb8()
}

/// A picture that the demo pair reads in two tiles beside an overview: two of its own next to each other.
fn wide(folder: &Folder) -> String {
    let mut picture = RgbImage::new(896, 448);
    for (path, left) in [(FLAT, 0), (NOISE, 448)] {
        imageops::replace(&mut picture, &image::open(path).unwrap().to_rgb8(), left, 0);
    }
    picture.save(folder.path().join("wide.png")).unwrap();
    folder.at("wide.png")
}

#[test]
fn the_map_and_the_answer() {
    let folder = Folder::new();
    let ran = explain(&folder, &[], &LABEL).ok();
    assert_eq!(ran.stdout, "8\n");
    assert!(ran.stderr.starts_with("wrote heat.png\ntarget answered; read 64/256 visual tokens; "), "{ran:?}");
    assert_eq!(folder.files(), ["heat.png"]);
    let map = map(&folder, "heat.png");
    assert_eq!(map.width(), 2 * 448 + 3 * 16);
    assert!(map.pixels().any(|&pixel| pixel == OUTLINE));
    assert_eq!(*map.get_pixel(PANELS[1] - 8, 100), Rgb([255, 255, 255]), "the gap");
}

/// Right panel: pixels of the picture itself, undimmed. One token is 28x28 of them.
fn kept_pixels(map: &RgbImage) -> usize {
    let picture = image::open(FLAT).unwrap().to_rgb8();
    picture.enumerate_pixels().filter(|&(x, y, pixel)| map.get_pixel(PANELS[1] + x, TOP + y) == pixel).count()
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
    let ran = explain(&folder, &["--out", "maps.of.two.png", "--layers"], &question).ok();
    let names = ["maps.of.two-1-layers.png", "maps.of.two-1.png", "maps.of.two-2-layers.png", "maps.of.two-2.png"];
    assert_eq!(folder.files(), names);
    assert!(ran.stderr.starts_with("wrote maps.of.two-1.png\nwrote maps.of.two-2.png\n"), "{ran:?}");
    assert_ne!(map(&folder, names[1]), map(&folder, names[3]));
    assert_ne!(map(&folder, names[0]), map(&folder, names[2]));
}

#[test]
fn tiles_and_overview_have_panels_of_their_own() {
    let folder = Folder::new();
    let picture = wide(&folder);
    let question = ["--image", &picture, "-p", "Count the squares."];
    let report = explain(&folder, &["--json"], &question).ok().json();
    let map = map(&folder, "heat.png");
    assert_eq!(map.width(), 2 * 896 + 3 * 16);
    assert!(map.height() > 2 * 448);
    // Dashes between the tiles, beside each other in light and dark.
    let column = |x: u32| (0..448).map(|y| map.get_pixel(16 + x, 40 + y).0).collect::<Vec<_>>();
    let dashes = column(448).iter().filter(|pixel| [[0; 3], [255; 3]].contains(*pixel)).count();
    assert_eq!(dashes, 448);

    let tokens = report["pictures"][0]["tokens"].as_array().unwrap();
    let of = |level: &str| tokens.iter().filter(|token| token["level"] == level).collect::<Vec<&Value>>();
    assert_eq!((of("detail").len(), of("overview").len()), (512, 256));
    assert_eq!(of("detail")[0]["rect"], json!([0.0, 0.0, 28.0, 28.0]));
    assert_eq!(of("detail")[256]["rect"], json!([448.0, 0.0, 476.0, 28.0]));
    assert_eq!(of("overview")[17]["rect"], json!([56.0, 28.0, 112.0, 56.0]));
    let indices: Vec<u64> =
        (0..).zip(tokens).filter(|(_, token)| token["kept"] == true).map(|(index, _)| index).collect();
    assert_eq!(indices, kept(&report));
}

#[test]
fn every_layer_has_a_small_map() {
    let folder = Folder::new();
    // A policy changes what is kept, not what there is to see.
    let report = explain(&folder, &["--layers", "--json", "--policy", "layer:1"], &LABEL).ok().json();
    assert_eq!(folder.files(), ["heat-layers.png", "heat.png"]);
    assert_eq!(report["layer_maps"], json!(["heat-layers.png"]));
    let picture = &report["pictures"][0];
    let layers = picture["layers"].as_array().unwrap();
    let numbers: Vec<u64> = layers.iter().map(|layer| layer["layer"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let tokens = picture["tokens"].as_array().unwrap();
    for (token, value) in tokens.iter().zip(layers[1]["importance"].as_array().unwrap()) {
        assert_eq!(&token["importance"], value, "what ranks is this layer");
    }
    let sheet = map(&folder, "heat-layers.png");
    let cell =
        |column: u32, row: u32| imageops::crop_imm(&sheet, 16 + column * 246, 36 + row * 258, 224, 224).to_image();
    let cells = [cell(0, 0), cell(1, 0), cell(2, 0), cell(0, 1), cell(1, 1)];
    assert!((0..5).all(|one| (0..one).all(|other| cells[one] != cells[other])));
    let is_blank = |map: &RgbImage| map.pixels().all(|pixel| *pixel == Rgb([255; 3]));
    assert!(is_blank(&cell(2, 1)) && cells.iter().all(|cell| !is_blank(cell)));

    let report = explain(&folder, &["--json"], &LABEL).ok().json();
    assert!(report["layer_maps"].is_null() && report["pictures"][0]["layers"].is_null());
}

#[test]
fn the_target_is_compared_with_the_guide() {
    let folder = Folder::new();
    explain(&folder, &[], &LABEL).ok();
    let alone = map(&folder, "heat.png");
    let ran = explain(&folder, &["--compare"], &LABEL).ok();
    assert_eq!(ran.stdout, "8\n");
    assert!(ran.stderr.contains("\ntarget unpruned: 8; guide and target keep "), "{ran:?}");
    let both = map(&folder, "heat.png");
    assert!(both.width() == alone.width() && both.height() > alone.height() + 448);
    let same_row = |top: u32, map: &RgbImage| imageops::crop_imm(map, 16, top, 448, 448).to_image();
    assert_eq!(same_row(TOP, &both), same_row(TOP, &alone));
    assert_ne!(same_row(TOP + 448 + 36, &both), same_row(TOP, &both));

    let report = explain(&folder, &["--compare", "--json", "--exit-threshold", "0"], &LABEL).ok().json();
    assert_eq!(report["source"], "guide");
    let comparison = &report["comparison"];
    assert_eq!((&comparison["answer"], &comparison["kept"]), (&json!("8"), &json!(64)));
    let tokens = report["pictures"][0]["tokens"].as_array().unwrap();
    let in_both = |token: &&Value| token["kept"] == true && token["target"]["kept"] == true;
    let n_both = tokens.iter().filter(in_both).count();
    assert_eq!(comparison["kept_in_both"], n_both);
    assert_eq!(comparison["overlap"].as_f64().unwrap(), n_both as f64 / 64.0);
    assert_eq!(comparison["overlap_by_chance"], 0.25);
    let correlation = comparison["rank_correlation"].as_f64().unwrap();
    assert!((0.3..1.0).contains(&correlation), "{correlation}");
    assert_eq!(tokens.iter().filter(|token| token["target"]["kept"] == true).count(), 64);
}

#[test]
fn the_guides_answer_is_final_only_when_asked_for() {
    let folder = Folder::new();
    let json = |flags: &[&str]| explain(&folder, &[flags, &["--json"]].concat(), &SURE).ok().json();
    let report = json(&[]);
    assert_eq!(report["source"], "target");
    assert!(report["exit"].is_null());
    let report = json(&["--exit-threshold", "0.9"]);
    assert_eq!(report["source"], "guide");
    assert_eq!(json(&["--no-exit"])["source"], "target");
    assert_eq!(folder.files(), ["heat.png"]);
    let in_environment = folder
        .run_with(&[&["explain", "--json"], &SURE[..]].concat(), |command| command.env("SGL_EXIT_THRESHOLD", "0.9"));
    assert_eq!(in_environment.ok().json()["source"], "target");
}

#[test]
fn the_report_has_the_maps_and_the_tokens() {
    let folder = Folder::new();
    let out = folder.at("map.png");
    let ran = explain(&folder, &["--json", "-q", "--out", &out], &LABEL).ok();
    assert_eq!(ran.stderr, "");
    let report = ran.json();
    assert_eq!(report["heat_maps"], json!([out]));
    assert_eq!((&report["answer"], &report["visual"]["kept"]), (&"8".into(), &64.into()));
    assert!(report["comparison"].is_null());
    let picture = &report["pictures"][0];
    assert_eq!((&picture["width"], &picture["height"]), (&448.into(), &448.into()));
    let tokens = picture["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 256);
    assert_eq!(tokens[17]["rect"], json!([28.0, 28.0, 56.0, 56.0]));
    let importance = |token: &Value| token["importance"].as_f64().unwrap();
    let (kept, dropped): (Vec<&Value>, Vec<&Value>) = tokens.iter().partition(|token| token["kept"] == true);
    let least_kept = kept.iter().map(|token| importance(token)).fold(f64::INFINITY, f64::min);
    assert!(kept.len() == 64 && dropped.iter().all(|token| importance(token) <= least_kept));
}

#[test]
fn every_policy_has_a_map() {
    let folder = Folder::new();
    let mut maps = Vec::new();
    for policy in ["global", "layer:1", "random:1", "uniform", "diversity", "global+diversity:0.7"] {
        let report = explain(&folder, &["--policy", policy, "--retain", "16t", "--json"], &LABEL).ok().json();
        assert_eq!((&report["visual"]["kept"], &report["guide"]["answer"]), (&16.into(), &"8".into()), "{policy}");
        let map = map(&folder, "heat.png");
        assert!(!maps.contains(&map), "{policy}");
        maps.push(map);
    }
    let left = |map: &RgbImage| imageops::crop_imm(map, PANELS[0], TOP, 448, 448).to_image();
    assert_eq!(left(&maps[2]), left(&maps[0]), "policies without scores show the global ones");
    assert_ne!(left(&maps[1]), left(&maps[0]), "a layer shows its own");
}

#[test]
fn nothing_is_drawn_into_pipes_unless_asked_for() {
    let folder = Folder::new();
    let in_kitty = |flags: &[&str]| {
        let arguments = [&["explain"], flags, &LABEL[..]].concat();
        folder.run_with(&arguments, |command| command.env("TERM", "xterm-kitty"))
    };
    let ran = in_kitty(&[]).ok();
    assert!(ran.stderr.starts_with("wrote heat.png\n"), "{ran:?}");
    let starts = [("kitty", "\x1b_Ga=T"), ("iterm2", "\x1b]1337;File="), ("sixel", "\x1bPq"), ("blocks", "\x1b[38;")];
    for (name, start) in starts {
        let ran = in_kitty(&["--show", name]).ok();
        assert_eq!(ran.stdout, "8\n", "{name}");
        assert!(ran.stderr.starts_with(start) && ran.stderr.contains("\nwrote heat.png\n"), "{name}");
    }
    in_kitty(&["--show", "sixel", "--json"]).failed(2, "--show names how to draw");
}

/// `script` gives the program a terminal of its own that answers no question.
#[cfg(target_os = "linux")]
#[test]
fn the_map_is_drawn_in_a_terminal() {
    let folder = Folder::new();
    let in_terminal = |flags: &str| {
        let program = env!("CARGO_BIN_EXE_sgl");
        let line = format!("{program} explain {flags} -t 1 --image {FLAT} -p 'Read the label of the white circle.'");
        let mut script = std::process::Command::new("script");
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        script.args(["-qec", &line, "/dev/null"]).current_dir(folder.path()).env("SGL_CACHE", cache);
        script.envs([("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]).stdin(std::process::Stdio::null());
        for name in ["TMUX", "STY", "KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL", "KONSOLE_VERSION", "NO_COLOR"] {
            script.env_remove(name);
        }
        let output = script.output().expect("script is part of util-linux");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = in_terminal("");
    let lines = shown.lines().filter(|line| line.contains("\u{2580}")).count();
    assert!(lines > 5 && shown.contains("wrote heat.png"), "{lines} lines");
    for flags in ["--show never", "--json", "-q"] {
        assert!(!in_terminal(flags).contains('\u{2580}'), "{flags}");
    }
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
fn places_that_cannot_be_written() {
    let folder = Folder::new();
    let check = |out: &str, code, message: &str| {
        explain(&folder, &["--layers", "--out", out], &LABEL).failed(code, message);
    };
    check("heat.jpg", 2, "is no name for a PNG picture");
    check("-", 2, "is no name for a PNG picture");
    check("missing/heat.png", 7, "there is no folder missing");
    folder.write("file", b"");
    check("file/heat.png", 7, "there is no folder file");
    fs::create_dir(folder.at("folder.png")).unwrap();
    check("folder.png", 7, "it is a folder");
    fs::create_dir(folder.at("map-layers.png")).unwrap();
    check("map.png", 7, "cannot write map-layers.png: it is a folder");
    assert_eq!(folder.files(), ["file", "folder.png", "map-layers.png"]);
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
