//! `sgl chat` through pipes: what each line does, and what the answers read.

use crate::harness::{FLAT, Folder, LABEL, NOISE, Ran, TARGET, kept, report};
use serde_json::Value;

const FIRST: &str = LABEL[3];
const SECOND: &str = "Tell me the colour of the shape labelled 9.";
/// The target answers, and from few tokens.
const PRUNED: [&str; 3] = ["--no-exit", "--retain", "10%"];

fn chat(folder: &Folder, flags: &[&str], lines: &[&str]) -> Ran {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    folder.run_with(&[&["chat"], flags].concat(), |command| command.write_stdin(input))
}

/// The reports of a conversation that goes well.
fn reports(flags: &[&str], lines: &[&str]) -> Vec<Value> {
    let ran = chat(&Folder::new(), &[&PRUNED[..], &["--json", "-q"], flags].concat(), lines).ok();
    assert_eq!(ran.stderr, "");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Encoder outputs computed and reused.
fn encoder(report: &Value) -> [u64; 2] {
    ["encoded", "reused"].map(|count| report["visual"][count].as_u64().unwrap())
}

fn timeless(report: &Value) -> Value {
    let mut report = report.clone();
    report["timings_ms"].take();
    report
}

#[test]
fn answers_go_to_stdout_and_everything_else_to_stderr() {
    let folder = Folder::new();
    let ran = chat(&folder, &[&PRUNED[..], &["--image", FLAT]].concat(), &[FIRST, "", SECOND]).ok();
    assert_eq!(ran.stdout, "8\ngreen\n");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines.iter().all(|line| line.starts_with("target answered; read 25/256 visual tokens; ")), "{ran:?}");
    assert!(lines[0].ends_with("; encoder outputs 2 computed, 0 reused"), "{ran:?}");
    assert!(lines[1].ends_with("; encoder outputs 0 computed, 2 reused"), "{ran:?}");
    assert_eq!(folder.files(), [""; 0]);
}

#[test]
fn a_second_question_encodes_nothing_and_prunes_anew() {
    let reports = reports(&["--image", FLAT], &[FIRST, SECOND]);
    assert_eq!([encoder(&reports[0]), encoder(&reports[1])], [[2, 0], [0, 2]]);
    let alone = report(&PRUNED, &["--image", FLAT, "-p", SECOND]);
    assert_eq!(reports[1]["answer"], alone["answer"]);
    assert_eq!((kept(&reports[1]).len(), kept(&alone).len()), (25, 25));
    assert_ne!(kept(&reports[1]), kept(&reports[0]));
    assert!(reports[1]["prompt_tokens"].as_u64() > reports[0]["prompt_tokens"].as_u64(), "the first turn is read too");
    assert_eq!(timeless(&reports[0]), timeless(&report(&PRUNED, &LABEL)), "a conversation begins as a run");
}

/// At a tenth of the visual tokens, what one question leaves is not what another needs.
#[test]
fn follow_up_questions_are_answered_as_if_asked_alone() {
    for (picture, questions) in [
        ("gradient", ["What does the purple cross say?", "Tell me the shape with label E.", "Count the squares."]),
        (
            "noise",
            ["Tell me the colour of the shape labelled 5.", "Can you see a white diamond?", "Count the black objects."],
        ),
        (
            "texture",
            ["Read the label of the green circle.", "Which shape carries the label 9?", "Count the green objects."],
        ),
    ] {
        let image = FLAT.replace("flat", picture);
        let alone = questions.map(|question| report(&PRUNED, &["--image", &image, "-p", question])["answer"].clone());
        for [a, b] in [[0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [0, 2]] {
            let reports = reports(&["--image", &image], &[questions[a], questions[b]]);
            assert_eq!(reports[1]["answer"], alone[b], "{picture}: {} after {}", questions[b], questions[a]);
        }
    }
}

#[test]
fn a_reset_forgets_all_but_what_the_encoders_made() {
    let image = format!("/image {FLAT}");
    let reports = reports(&[], &[&image, FIRST, "/reset", &image, SECOND, "/reset", SECOND]);
    let alone = report(&PRUNED, &["--image", FLAT, "-p", SECOND]);
    assert_eq!((encoder(&reports[1]), kept(&reports[1])), ([0, 2], kept(&alone)));
    assert_eq!(reports[1]["answer"], alone["answer"]);
    assert_eq!((&reports[2]["visual"]["tokens"], &reports[2]["guide"]), (&0.into(), &Value::Null));
}

#[test]
fn without_memory_every_question_encodes() {
    let reports = reports(&["--encoder-cache", "0", "--image", FLAT], &[FIRST, SECOND]);
    assert_eq!([encoder(&reports[0]), encoder(&reports[1])], [[2, 0], [2, 0]]);
}

#[test]
fn pictures_come_with_the_message_after_them() {
    let folder = Folder::new();
    let spaced = folder.picture("my 'first' picture.png", 30, 20);
    let reports = reports(
        &["--system", "Be brief."],
        &[
            "Count the squares.",
            &format!("/image \"{spaced}\""),
            &format!("/image {NOISE}"),
            "Count the squares.",
            SECOND,
        ],
    );
    let pictures: Vec<usize> =
        reports.iter().map(|report| report["visual"]["pictures"].as_array().unwrap().len()).collect();
    assert_eq!(pictures, [0, 2, 2]);
    assert_eq!([encoder(&reports[1]), encoder(&reports[2])], [[4, 0], [0, 4]]);
    assert_eq!(reports[2]["visual"]["kept"], 51);
}

#[test]
fn a_picture_that_is_no_picture_changes_nothing() {
    let folder = Folder::new();
    folder.write("text.png", b"no picture");
    let lines = ["/image text.png", "/image missing.png", FIRST];
    let ran = chat(&folder, &[&PRUNED[..], &["--json", "-q", "--image", FLAT]].concat(), &lines);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(3), 1), "{ran:?}");
    assert!(ran.stderr.contains("text.png") && ran.stderr.contains("missing.png"), "{ran:?}");
    assert!(ran.stderr.ends_with("error: 2 lines of the conversation failed\n"), "{ran:?}");
    assert_eq!(timeless(&ran.json()), timeless(&report(&PRUNED, &LABEL)));
}

#[test]
fn retain_is_said_and_set() {
    let lines = ["/retain", FIRST, "/retain 64t", SECOND, "/retain 0", "/retain 1", "/retain"];
    let ran = chat(&Folder::new(), &["--no-exit", "--json", "--image", FLAT], &lines);
    assert_eq!(ran.code, Some(2));
    let kept: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["visual"]["kept"].clone()).collect();
    assert_eq!(kept, [64, 64]);
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("the target reads")).collect();
    let all = "the target reads all visual tokens";
    let (share, count) = ("the target reads 0.25 of the visual tokens", "the target reads 64t of the visual tokens");
    assert_eq!(said, [share, count, all, all]);
    let alone = chat(&Folder::new(), &["-m", TARGET[0], "-mm", TARGET[1]], &["/retain", "/retain 0.5"]);
    assert_eq!(alone.code, Some(2));
    assert!(alone.stderr.contains(all) && alone.stderr.contains("without a guide"), "{alone:?}");
}

#[test]
fn the_last_answer_is_explained() {
    let folder = Folder::new();
    let image = format!("/image {NOISE}");
    let flags = [&PRUNED[..], &["--image", FLAT]].concat();
    let lines = [FIRST, "/explain", &image, "/explain 'my map.png'", SECOND, "/explain two.png"];
    let ran = chat(&folder, &flags, &lines).ok();
    assert_eq!(folder.files(), ["heat.png", "my map.png", "two-1.png", "two-2.png"]);
    assert!(ran.stderr.contains("\nwrote heat.png\n") && ran.stderr.ends_with("\nwrote two-1.png\nwrote two-2.png\n"));
    let maps: Vec<_> = folder.files().iter().map(|name| image::open(folder.path().join(name)).unwrap()).collect();
    assert_eq!(maps[0], maps[1], "a picture that waits is not part of the last answer");
    assert_ne!(maps[0], maps[2]);
}

#[test]
fn what_cannot_be_explained_is_said() {
    let folder = Folder::new();
    let fails = |lines: &[&str], code, message: &str| {
        let ran = chat(&folder, &["--no-exit", "-n", "2"], lines);
        assert!(ran.code == Some(code) && ran.stderr.contains(message), "{lines:?}: {ran:?}");
    };
    let image = format!("/image {FLAT}");
    fails(&["/explain"], 2, "no answer to explain");
    fails(&["Count the squares.", "/explain"], 2, "about no picture");
    fails(&[&image, FIRST, "/reset", "/explain"], 2, "no answer to explain");
    fails(&[&image, FIRST, "/explain map.jpg"], 2, "no name for a PNG picture");
    fails(&[&image, FIRST, "/explain missing/map.png"], 7, "cannot write missing/map.png");
    fails(&[&image, "/retain 1", FIRST, "/explain"], 4, "the guide has not looked");
    assert_eq!(folder.files(), [""; 0]);
}

#[test]
fn stats_have_a_line_for_each_answer_and_one_for_all() {
    let flags = ["--no-exit", "-q", "--image", FLAT];
    let image = format!("/image {NOISE}");
    let ran = chat(&Folder::new(), &flags, &["/stats", FIRST, &image, SECOND, "/reset", "Hello", "/stats"]).ok();
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let starts = [
        "all: 0 answers, guide 0, target 0; total 0.0 ms",
        "encoder outputs kept: guide 0.0 MiB, target 0.0 MiB",
        "1: target answered; picture 1 64/256; encoder outputs 2 computed, 0 reused; guide encode ",
        "2: target answered; picture 1 ",
        "3: target answered; target prefill ",
        "all: 3 answers, guide 0, target 3; read 192/768 visual tokens; encoder outputs 4 computed, 2 reused; guide encode ",
        "encoder outputs kept: guide 0.",
    ];
    assert_eq!(lines.len(), starts.len(), "{ran:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line} is not {start}");
    }
    assert!(
        lines[3].contains("/256, picture 2 ") && lines[3].contains("encoder outputs 2 computed, 2 reused"),
        "{ran:?}"
    );
    assert!(!lines[6].contains(" 0.0 MiB"), "{ran:?}");
}

#[test]
fn commands_that_are_none_are_listed() {
    let ran = chat(&Folder::new(), &["-q"], &["/images a.png", "/help"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    let list = "/image, /retain, /explain, /stats, /reset, /help, /quit";
    assert!(ran.stderr.starts_with("error: there is no command /images\n") && ran.hint().contains(list), "{ran:?}");
    assert!(ran.stderr.contains("\nCommands:\n"), "{ran:?}");
    assert!(ran.stderr.ends_with("error: one line of the conversation failed\n"), "{ran:?}");
}

#[test]
fn slashes_and_backslashes_in_messages() {
    let of = |lines: &[&str]| reports(&["-n", "1"], lines)[0]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(of(&["//quit"]), of(&[" //quit "]));
    assert!(of(&[r"a\", r"b\", "c"]) > of(&["a"]));
    assert_eq!(of(&[r"a\"]), of(&["a"]), "an end ends the message");
    assert_eq!(of(&["a\r"]), of(&["a"]));
}

#[test]
fn nothing_to_say_is_no_error() {
    for lines in [&[][..], &["", "  "], &["/quit", FIRST, "/nonsense"]] {
        let ran = chat(&Folder::new(), &["--image", FLAT], lines).ok();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{lines:?}");
    }
}

#[test]
fn a_conversation_that_outgrows_its_context_can_go_on() {
    let folder = Folder::new();
    let image = format!("/image {FLAT}");
    let long = "word ".repeat(60);
    let flags = ["--no-exit", "-n", "4", "-c", "320", "--image", FLAT];
    let ran = chat(&folder, &flags, &[FIRST, &long, SECOND, "/reset", &image, FIRST]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.hint().starts_with("use -c ") && ran.hint().ends_with(", or forget the conversation with /reset"));
    assert!(ran.stderr.contains("note: the conversation is as it was before this message\n"), "{ran:?}");
    let answers: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((answers.len(), answers[0], answers[2]), (3, "8", "8"), "{ran:?}");
    let first = chat(&folder, &["-c", "64", "--image", FLAT], &[FIRST]);
    assert!(first.code == Some(5) && !first.hint().contains("/reset"), "{first:?}");
}

#[test]
fn what_is_wrong_from_the_start_ends_the_program() {
    let folder = Folder::new();
    chat(&folder, &["--image", "missing.png"], &[FIRST]).failed(3, "missing.png");
    chat(&folder, &["--image", "-"], &[FIRST]).failed(2, "standard input holds the conversation");
    chat(&folder, &["--encoder-cache", "-1"], &[FIRST]).failed(2, "must be a whole number from 0 to");
    chat(&folder, &["-m", TARGET[0], "-mm", TARGET[1], "--retain", "0.5"], &[FIRST]).failed(2, "there is no guide");
    chat(&folder, &["--no-exit", "--exit-threshold", "1"], &[FIRST]).failed(2, "contradict");
    let ran = folder.run_with(&["chat"], |command| command.write_stdin(&b"\xff\n"[..]));
    ran.failed(3, "cannot read line 1 of standard input: it is not UTF-8");
}
