use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::miniature::{self, Form, base64, put};
use super::*;
use crate::eval::metrics::yes_no::{COGNITION, PERCEPTION};
use crate::eval::sample::{Gold, PictureSource};
use crate::geometry::Rect;

fn form(layout: &Layout) -> Form {
    match layout.from {
        from if from.starts_with("VLMEvalKit") => Form::Table,
        from if from.starts_with("InternVL") => Form::Lines,
        _ => Form::Release,
    }
}

fn mini(benchmark: &str, form: Form) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    miniature::write(dir.path(), benchmark, form);
    dir
}

fn load(benchmark: &str, dir: &Path, split: Option<&str>) -> Result<Loaded, DataError> {
    (find(benchmark).unwrap().load)(dir, split)
}

fn samples(benchmark: &str, form: Form) -> Vec<Sample> {
    let dir = mini(benchmark, form);
    load(benchmark, dir.path(), None).unwrap_or_else(|error| panic!("{benchmark} {form:?}: {error}")).samples
}

/// The message for a folder that `change` made of a miniature, with the folder's path as `DIR`.
fn complaint(benchmark: &str, form: Form, split: Option<&str>, change: impl FnOnce(&Path)) -> String {
    let dir = mini(benchmark, form);
    change(dir.path());
    let error = load(benchmark, dir.path(), split).map(|loaded| loaded.samples).unwrap_err();
    error.to_string().replace(&dir.path().display().to_string(), "DIR")
}

fn replace(dir: &Path, name: &str, from: &str, to: &str) {
    let file = dir.join(name);
    let content = fs::read_to_string(&file).unwrap();
    assert!(content.contains(from), "{content}");
    fs::write(file, content.replacen(from, to, 1)).unwrap();
}

fn answers(answers: &[&str]) -> Gold {
    Gold::Answers(answers.iter().map(|&answer| answer.to_owned()).collect())
}

fn ids(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.id.as_str()).collect()
}

#[test]
fn every_layout_gives_the_same_questions() {
    for benchmark in BENCHMARKS.iter().filter(|benchmark| benchmark.needs_data()) {
        let essence = |layout: &Layout| -> Vec<_> {
            let samples = samples(benchmark.name, form(layout));
            assert!(samples.iter().all(|sample| !sample.pictures.is_empty()), "{}", benchmark.name);
            // Without answers, MM-Vet's JSONL is the one layout that differs.
            let gold =
                |gold| if layout.files.contains("without answers") { Gold::Judged("-1 <AND> -5".into()) } else { gold };
            samples.into_iter().take(1).map(|s| (s.question, s.hint, s.choices, gold(s.gold))).collect()
        };
        let first = essence(&benchmark.layouts[0]);
        assert!(!first.is_empty());
        for layout in &benchmark.layouts[1..] {
            assert_eq!(essence(layout), first, "{} from {}", benchmark.name, layout.from);
        }
    }
}

#[test]
fn textvqa_keeps_all_ten_answers() {
    for form in [Form::Release, Form::Table, Form::Lines] {
        let samples = samples("textvqa", form);
        assert_eq!(ids(&samples), ["34602", "34603"], "{form:?}");
        assert_eq!(samples[0].gold, answers(&[vec!["dakota"; 9], vec!["nikon's"]].concat()), "{form:?}");
        assert_eq!(samples[1].group, "34603");
    }
    let message = complaint("textvqa", Form::Lines, None, |dir| {
        fs::remove_file(dir.join("textvqa_val_annotations.json")).unwrap()
    });
    assert_eq!(
        message,
        "`DIR/textvqa_val_annotations.json` is missing, which holds the ten answers to each question; it is published with \
         textvqa_val.jsonl"
    );
}

#[test]
fn chartqa_is_both_halves_or_one() {
    for form in [Form::Release, Form::Table, Form::Lines] {
        let dir = mini("chartqa", form);
        let both = load("chartqa", dir.path(), None).unwrap().samples;
        assert_eq!(
            both.iter().map(|sample| sample.kind.as_str()).collect::<Vec<_>>(),
            ["human", "augmented"],
            "{form:?}"
        );
        assert_eq!(both[1].gold, answers(&["20.5%"]));
        let half = load("chartqa", dir.path(), Some("augmented")).unwrap();
        assert_eq!(half.samples, both[1..], "{form:?}");
        assert_eq!(half.split, "augmented");
    }
    let message =
        complaint("chartqa", Form::Release, None, |dir| fs::remove_file(dir.join("test/test_augmented.json")).unwrap());
    let expect = "`DIR/test/test_augmented.json` is missing, which holds the augmented half; give --split human for the other alone";
    assert_eq!(message, expect);
}

#[test]
fn brackets_are_lists_only_in_tables_and_around_quotes() {
    let gold = |form, change: &dyn Fn(&Path)| {
        let dir = mini("chartqa", form);
        change(dir.path());
        load("chartqa", dir.path(), Some("human")).unwrap().samples[0].gold.clone()
    };
    let label = |to: &'static str| move |dir: &Path| replace(dir, "test/test_human.json", "\"14\"", to);
    let cell = |to: &'static str| move |dir: &Path| replace(dir, "ChartQA_TEST.tsv", "['14']", to);
    assert_eq!(gold(Form::Release, &label("\"[2017, 2018]\"")), answers(&["[2017, 2018]"]));
    assert_eq!(gold(Form::Release, &label("\"['a', 'b']\"")), answers(&["['a', 'b']"]));
    assert_eq!(gold(Form::Table, &cell("[2017, 2018]")), answers(&["[2017, 2018]"]));
    assert_eq!(gold(Form::Table, &cell("['a', 'b']")), answers(&["a", "b"]));
    assert_eq!(gold(Form::Table, &cell("a [b]")), answers(&["a [b]"]));
}

#[test]
fn docvqa_and_gqa_know_kinds_where_the_file_does() {
    assert_eq!(samples("docvqa", Form::Release)[0].kind, "form+handwritten");
    assert_eq!(samples("docvqa", Form::Table)[0].kind, "all");
    assert_eq!(samples("docvqa", Form::Lines)[1].gold, answers(&["T. Smith", "Smith"]));
    let gqa = samples("gqa", Form::Release);
    assert_eq!(ids(&gqa), ["201307251", "201640614"]);
    assert_eq!([&gqa[0].kind, &gqa[1].kind], ["verify", "query"]);
    assert_eq!(samples("gqa", Form::Lines)[1].question, "Who wears the dress?");
}

#[test]
fn a_test_split_may_have_no_answers() {
    let dir = mini("docvqa", Form::Lines);
    let line = json!({"image": "data/docvqa/val/documents/xnbl0037_1.png", "question": "when?", "question_id": 1});
    put(dir.path(), "test.jsonl", line.to_string());
    let test = load("docvqa", dir.path(), Some("test")).unwrap();
    assert_eq!(test.samples[0].gold, Gold::Unknown);
    let message = complaint("docvqa", Form::Lines, None, |dir| replace(dir, "val.jsonl", "\"answer\"", "\"response\""));
    assert_eq!(
        message,
        "`DIR/val.jsonl`, line 1: field `answer` is missing; there is image, question, question_id, response"
    );
}

#[test]
fn seedbench_is_its_questions_on_pictures() {
    for form in [Form::Release, Form::Table, Form::Lines] {
        let samples = samples("seedbench", form);
        assert_eq!(ids(&samples), ["101669", "101670"], "{form:?}");
        assert_eq!(samples[1].choices, ["One", "Two", "Three", "Four"]);
        assert_eq!((&samples[1].gold, samples[1].kind.as_str()), (&Gold::Choice(2), "Scene Understanding"), "{form:?}");
    }
    let message = complaint("seedbench", Form::Lines, None, |dir| {
        replace(dir, "seed.jsonl", "\"answer\":\"A\"", "\"answer\":\"E\"")
    });
    assert_eq!(message, "`DIR/seed.jsonl`, line 1: field `answer`: expected one of A, B, C, D, found `E`");
}

#[test]
fn mmbench_asks_every_rotation() {
    for form in [Form::Release, Form::Table] {
        let samples = samples("mmbench", form);
        assert_eq!(ids(&samples), ["241/0", "241/1", "241/2", "241/3", "252/0", "252/1"], "{form:?}");
        for sample in &samples[..4] {
            let Gold::Choice(right) = sample.gold else { panic!("{:?}", sample.gold) };
            assert_eq!((sample.choices[right].as_str(), sample.group.as_str()), ("Bern", "241"));
            assert_eq!(sample.hint.as_deref(), Some("Look at \"the\" map.\nThen answer."));
        }
        assert_eq!(samples[1].choices, ["Bern", "Rome", "Bonn", "Oslo"]);
        assert_eq!(
            (samples[5].choices.as_slice(), &samples[5].gold),
            (["no", "yes"].map(String::from).as_slice(), &Gold::Choice(1))
        );
        assert_eq!((samples[4].hint.as_deref(), samples[4].kind.as_str()), (None, "perception"));
    }
}

#[test]
fn rows_may_share_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let row = |index: &str, image: &str| {
        ["q", "x", "y", "A"].iter().fold(index.to_owned(), |row, cell| row + "\t" + cell) + "\t" + image
    };
    let table = |rows: &[String]| {
        put(
            dir.path(),
            "mmbench_dev_20230712.tsv",
            ["index\tquestion\tA\tB\tanswer\timage".to_owned()]
                .iter()
                .chain(rows)
                .map(|row| format!("{row}\n"))
                .collect::<String>(),
        )
    };
    table(&[row("1", &base64(1)), row("2", "1")]);
    let samples = load("mmbench", dir.path(), None).unwrap().samples;
    assert_eq!(samples[0].pictures, samples[2].pictures);
    table(&[row("1", &base64(1)), row("2", "7")]);
    let message = load("mmbench", dir.path(), None).unwrap_err().to_string();
    assert!(
        message.ends_with("line 3: column `image`: expected base64, or the index of a row with base64, found `7`"),
        "{message}"
    );
    table(&[row("1", "1")]);
    assert!(load("mmbench", dir.path(), None).unwrap_err().to_string().ends_with("found `1`"));
}

#[test]
fn mmvet_names_capabilities_in_one_order() {
    for form in [Form::Release, Form::Table] {
        let samples = samples("mmvet", form);
        assert_eq!(ids(&samples), ["v1_0", "v1_1"], "{form:?}");
        assert_eq!([&samples[0].kind, &samples[1].kind], ["ocr+math", "rec"]);
        assert_eq!(samples[1].gold, Gold::Judged("mantle".into()));
    }
    let lines = samples("mmvet", Form::Lines);
    assert_eq!((ids(&lines), &lines[0].gold), (vec!["v1_0", "v1_1"], &Gold::Unknown));
    let message = complaint("mmvet", Form::Release, None, |dir| replace(dir, "mm-vet.json", "\"rec\"", "\"smell\""));
    assert_eq!(
        message,
        "`DIR/mm-vet.json`, v1_1: capability `smell` is unknown; expected some of rec, ocr, know, gen, spat, math"
    );
}

#[test]
fn mme_pairs_the_questions_on_a_picture() {
    for form in [Form::Release, Form::Table, Form::Lines] {
        let dir = mini("mme", form);
        let all = load("mme", dir.path(), None).unwrap().samples;
        assert_eq!(all.len(), 28, "{form:?}");
        let pair: Vec<_> = all.iter().filter(|sample| sample.kind == "OCR").collect();
        let [yes, no] = pair.as_slice() else { panic!("{pair:?}") };
        assert_eq!((yes.id.as_str(), no.id.as_str()), ("OCR/0001/0", "OCR/0001/1"), "{form:?}");
        assert_eq!((yes.group.as_str(), &yes.group), ("OCR/0001", &no.group));
        assert_eq!((&yes.gold, &no.gold), (&Gold::YesNo(true), &Gold::YesNo(false)));
        assert_eq!(yes.question, "Is it red? Please answer yes or no.");
        assert_eq!(load("mme", dir.path(), Some("cognition")).unwrap().samples.len(), 8, "{form:?}");
        assert_eq!(load("mme", dir.path(), Some("color")).unwrap().samples.len(), 2, "{form:?}");
    }
    assert_eq!(miniature::SUBTASKS[..10], PERCEPTION);
    assert_eq!(miniature::SUBTASKS[10..], COGNITION);
}

#[test]
fn mme_names_what_is_missing() {
    let message = complaint("mme", Form::Release, None, |dir| fs::remove_dir_all(dir.join("scene")).unwrap());
    assert!(message.starts_with("`DIR/scene` is missing, which holds the subtask scene; "), "{message}");
    let message =
        complaint("mme", Form::Release, Some("count"), |dir| fs::remove_file(dir.join("count/0001.jpg")).unwrap());
    assert!(message.starts_with("`DIR/count/0001.txt`, line 1: no picture `0001.jpg` or `0001.png`"), "{message}");
    let message = complaint("mme", Form::Release, Some("count"), |dir| {
        put(dir, "count/0001.txt", "Is it?\tYes\nIs it not? No\n")
    });
    assert_eq!(message, "`DIR/count/0001.txt`, line 2: expected question, answer with tabs between, found 1 texts");
    let message = complaint("mme", Form::Release, Some("count"), |dir| put(dir, "count/0001.txt", "Is it?\tMaybe"));
    assert_eq!(message, "`DIR/count/0001.txt`, line 1: field `answer`: expected Yes or No, found `Maybe`");
    assert!(
        complaint("mme", Form::Release, Some("taste"), |_| ())
            .contains("no split `taste` in `DIR`; there is all, perception")
    );
}

#[test]
fn refcoco_gives_a_box_in_shares_for_every_phrase() {
    for (name, splits) in [("refcoco", ["val", "testA"]), ("refcoco+", ["val", "testB"]), ("refcocog", ["val", "test"])]
    {
        for form in [Form::Release, Form::Table, Form::Lines] {
            let dir = mini(name, form);
            let val = load(name, dir.path(), None).unwrap();
            let phrases: Vec<_> = val.samples.iter().map(|sample| sample.question.as_str()).collect();
            assert_eq!((phrases, val.split.as_str()), (vec!["lady in blue", "woman"], "val"), "{name} {form:?}");
            let expect = Rect { x0: 0.1, y0: 48.5 / 480.0, x1: 0.6, y1: 288.5 / 480.0 };
            assert_eq!(val.samples[0].gold, Gold::Box(expect), "{name} {form:?}");
            let other = load(name, dir.path(), Some(splits[1])).unwrap();
            assert_eq!((other.samples[0].kind.as_str(), other.metric), (splits[1], Metric::Box), "{name} {form:?}");
            let message = load(name, dir.path(), Some("testZ")).map(|_| ()).unwrap_err().to_string();
            assert!(message.contains("no split `testZ`") && message.contains(splits[1]), "{message}");
        }
    }
    assert_eq!(ids(&samples("refcoco", Form::Release)), ["10", "11"]);
    assert_eq!(ids(&samples("refcoco", Form::Lines)), ["val/1", "val/2"]);
}

#[test]
fn refcoco_finds_pictures_beside_its_folder() {
    let dir = mini("refcoco", Form::Lines);
    let set = dir.path().join("refcoco");
    fs::create_dir(&set).unwrap();
    fs::rename(dir.path().join("refcoco_val.jsonl"), set.join("refcoco_val.jsonl")).unwrap();
    fs::create_dir(dir.path().join("coco")).unwrap();
    fs::rename(dir.path().join("train2014"), dir.path().join("coco/train2014")).unwrap();
    let PictureSource::File(file) = &load("refcoco", &set, None).unwrap().samples[0].pictures[0] else { panic!() };
    assert!(file.ends_with("coco/train2014/COCO_train2014_000000581857.jpg"));
}

#[test]
fn refcoco_names_what_is_wrong() {
    let check = |form, change: &dyn Fn(&Path), expect: &str| {
        let message = complaint("refcoco", form, None, change);
        assert!(message.contains(expect), "{message}");
    };
    let code = |dir: &Path| put(dir, "refs(unc).p", b"cos\nsystem\n(S'echo'\ntR.");
    check(Form::Release, &code, "`DIR/refs(unc).p`, byte 0: it would run code, which data need not");
    check(
        Form::Release,
        &|dir| put(dir, "refs(unc).p", b"\x80\x02]("),
        "`DIR/refs(unc).p`, byte 4: the file ends early",
    );
    check(Form::Release, &|dir| put(dir, "refs(unc).p", b"}."), "`DIR/refs(unc).p`: expected a list of references");
    check(
        Form::Release,
        &|dir| fs::remove_file(dir.join("instances.json")).unwrap(),
        "`DIR/instances.json` is missing, which holds the boxes",
    );
    let renumber = |dir: &Path| replace(dir, "instances.json", "\"id\":1719310", "\"id\":5");
    check(Form::Release, &renumber, "`DIR/refs(unc).p`, reference [0]: instances.json does not have its ann_id");
    let cut = |dir: &Path| put(dir, "instances.json", "{\"images\": [\n{\"id\": 1}], \"annotations\": []}");
    check(Form::Release, &cut, "`DIR/instances.json`, line 2: missing field `file_name` (column 9)");
    let wide = |dir: &Path| replace(dir, "refcoco_val.jsonl", "[64.0,48.5,384.0,288.5]", "[384.0,48.5,64.0,288.5]");
    check(Form::Lines, &wide, "line 1: no box [384, 48.5, 64, 288.5] in a picture of 640x480");
    let text = |dir: &Path| replace(dir, "refcoco_val.jsonl", "[64.0,48.5,384.0,288.5]", "\"here\"");
    check(Form::Lines, &text, "`DIR/refcoco_val.jsonl`, line 1: field `bbox`: expected four numbers, found \"here\"");
}

#[test]
fn boxes_of_a_table_may_be_pixels_and_phrases_prompts() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        ["7", "Please: <ref>the dog</ref>", "[4, 3, 8, 6]"],
        ["8", "... this sentence describes: a cat", "[0.5, 0.5, 1, 1]"],
    ];
    let rows = rows.map(|row| row.map(str::to_owned).into_iter().chain(["RefCOCO_val".into(), base64(1)]).collect());
    miniature::table(dir.path(), "RefCOCO.tsv", &["index", "question", "answer", "split", "image"], &rows);
    let samples = load("refcoco", dir.path(), None).unwrap().samples;
    assert_eq!([&samples[0].question, &samples[1].question], ["the dog", "a cat"]);
    assert_eq!(samples[0].gold, Gold::Box(Rect { x0: 0.25, y0: 0.25, x1: 0.5, y1: 0.5 }));
    assert_eq!(samples[1].gold, Gold::Box(Rect { x0: 0.5, y0: 0.5, x1: 1.0, y1: 1.0 }));
}

#[test]
fn ones_own_questions_may_be_anything() {
    let loaded = load("jsonl", mini("jsonl", Form::Release).path(), None).unwrap();
    let [first, second, third] = loaded.samples.as_slice() else { panic!("{loaded:?}") };
    assert_eq!((loaded.metric, loaded.split.as_str()), (Metric::Exact, "questions"));
    assert_eq!((first.id.as_str(), first.kind.as_str(), &first.gold), ("1", "colour", &answers(&["red"])));
    assert_eq!((second.id.as_str(), second.kind.as_str(), second.pictures.len()), ("second", "all", 2));
    assert_eq!(second.gold, answers(&["blue", "navy"]));
    assert_eq!(third.pictures, [PictureSource::Base64(base64(3).into())]);
    assert_eq!((third.id.as_str(), &third.gold), ("3", &Gold::Unknown));
}

/// What a file of these lines, with a picture of 16x12 pixels, is loaded as.
fn own(lines: &[serde_json::Value]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.png", miniature::png(16, 12, 1));
    put(dir.path(), "own.jsonl", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    load("jsonl", dir.path(), None).map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
}

#[test]
fn a_file_of_ones_own_has_one_metric() {
    let asked = |fields: serde_json::Value| {
        let mut line = json!({"image": "a.png", "question": "?"});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line
    };
    let gold =
        |fields: serde_json::Value| own(&[asked(fields)]).map(|loaded| (loaded.metric, loaded.samples[0].gold.clone()));
    let choices = ["red", "blue"];
    assert_eq!(gold(json!({"choices": choices, "answer": "B"})), Ok((Metric::Choice, Gold::Choice(1))));
    assert_eq!(gold(json!({"choices": choices, "answer": "red"})), Ok((Metric::Choice, Gold::Choice(0))));
    let rect = Rect { x0: 0.25, y0: 0.25, x1: 0.5, y1: 1.0 };
    assert_eq!(gold(json!({"box": [4, 3, 8, 12.0]})), Ok((Metric::Box, Gold::Box(rect))));
    assert_eq!(gold(json!({"metric": "yes_no", "answer": "yes"})), Ok((Metric::YesNo, Gold::YesNo(true))));
    assert_eq!(gold(json!({"metric": "judge", "answer": "a"})), Ok((Metric::Judge, Gold::Judged("a".into()))));
    assert_eq!(gold(json!({"metric": "anls", "answer": 2.5})), Ok((Metric::Anls, answers(&["2.5"]))));

    let complaint = |fields| gold(fields).unwrap_err();
    assert_eq!(
        complaint(json!({"metric": "taste"})),
        "`DIR/own.jsonl`, line 1: field `metric`: there is no metric \"taste\"; use one of vqa, anls, relaxed, exact, contains, \
         choice, yes_no, box, judge"
    );
    assert!(complaint(json!({"metric": "choice", "answer": "A"})).contains("expected a field `choices`"));
    assert!(
        complaint(json!({"choices": choices, "answer": "C"}))
            .ends_with("expected a letter or one of the choices, found `C`")
    );
    assert!(complaint(json!({"box": [4, 3, 8]})).contains("field `box`: expected four numbers, found [4,3,8]"));
    assert!(complaint(json!({"box": [40, 3, 80, 9]})).contains("no box [40, 3, 80, 9] in a picture of 16x12"));
    assert!(complaint(json!({"image": "b.png"})).contains("line 1: no picture `b.png`; looked below `DIR`"));
    assert!(complaint(json!({"image": []})).contains("field `image` is missing"));
    assert!(complaint(json!({"image": "data:image/png,x"})).contains("expected `data:image/...;base64,`"));
    let mixed = own(&[asked(json!({"metric": "anls", "answer": "a"})), asked(json!({"metric": "vqa", "answer": "a"}))]);
    assert!(
        mixed
            .unwrap_err()
            .starts_with("`DIR/own.jsonl`, line 2: field `metric`: `vqa`, but the file's first question has `anls`")
    );
    let same = own(&[asked(json!({"id": "x"})), asked(json!({"id": "x"}))]);
    assert_eq!(same.unwrap_err(), "two questions in `DIR/own.jsonl` have the id `x`; ids must differ");
    assert_eq!(own(&[]).unwrap_err(), "no question in `DIR/own.jsonl`; the file is empty or was cut short");
}

#[test]
fn ones_own_file_is_found_by_name_or_alone() {
    let dir = mini("jsonl", Form::Release);
    let file = dir.path().join("questions.jsonl");
    assert_eq!(load("jsonl", &file, None).unwrap().samples.len(), 3);
    fs::copy(&file, dir.path().join("hard.jsonl")).unwrap();
    assert_eq!(load("jsonl", dir.path(), None).unwrap().split, "questions");
    assert_eq!(load("jsonl", dir.path(), Some("hard")).unwrap().split, "hard");
    let message = load("jsonl", dir.path(), Some("easy")).unwrap_err().to_string();
    assert!(message.ends_with("there is hard, questions"), "{message}");
}

#[test]
fn questions_of_the_demo_models_load() {
    for (folder, n) in [("held-out", 1200), ("held-out-large", 168)] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(folder);
        let loaded = load("jsonl", &dir, None).unwrap();
        assert!(loaded.samples.len() >= n, "{folder}: {}", loaded.samples.len());
        assert!(loaded.samples.iter().all(|sample| matches!(sample.gold, Gold::Answers(_)) && sample.kind != "all"));
    }
}

#[test]
fn what_is_not_there_is_named() {
    let empty = tempfile::tempdir().unwrap();
    for benchmark in BENCHMARKS.iter().filter(|benchmark| benchmark.needs_data()) {
        let message = load(benchmark.name, empty.path(), None).map(|_| ()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("no {} in `", benchmark.title)), "{message}");
        for layout in benchmark.layouts {
            assert!(message.contains(layout.files) && message.contains(layout.from), "{message}");
        }
    }
    let message = find("textvqqa").unwrap_err().to_string();
    assert!(
        message.starts_with("no benchmark is called `textvqqa`; the benchmarks are textvqa, chartqa, docvqa, "),
        "{message}"
    );
    let message = complaint("textvqa", Form::Release, Some("train"), |_| ());
    assert_eq!(message, "no split `train` in `DIR`; there is val");
    let message = complaint("gqa", Form::Release, None, |dir| fs::remove_file(dir.join("images/n235859.jpg")).unwrap());
    assert!(message.starts_with("`DIR/testdev_balanced_questions.json`, question 201640614: no picture `n235859.jpg`; looked below `DIR`, `DIR/images`"), "{message}");
}

#[test]
fn malformed_files_are_named_with_the_line() {
    let check = |benchmark, form, change: &dyn Fn(&Path), expect: &str| {
        let message = complaint(benchmark, form, None, change);
        assert!(message.starts_with(expect), "{message}");
    };
    let release = "TextVQA_0.5.1_val.json";
    check(
        "textvqa",
        Form::Release,
        &|dir| put(dir, release, "{\"data\": [\n{}, \"x\"]}"),
        &format!("`DIR/{release}`, line 2: invalid type: string \"x\", expected a map (column 7)"),
    );
    check(
        "textvqa",
        Form::Release,
        &|dir| put(dir, release, "{\"data\": [{}]}"),
        &format!("`DIR/{release}`, data[0]: field `image_id` is missing"),
    );
    check(
        "textvqa",
        Form::Release,
        &|dir| put(dir, release, b"{\"data\": [\"\xff\"]}"),
        &format!("`DIR/{release}`, line 1: "),
    );
    check(
        "textvqa",
        Form::Release,
        &|dir| replace(dir, release, "\"question_id\":34602", "\"question_id\":[]"),
        &format!("`DIR/{release}`, data[0]: field `question_id`: expected text, found []"),
    );
}

#[test]
fn malformed_tables_are_named_with_the_line() {
    let check = |content: &str, expect: &str| {
        let message = complaint("gqa", Form::Table, None, |dir| put(dir, "GQA_TestDev_Balanced.tsv", content));
        assert!(message.starts_with(&format!("`DIR/GQA_TestDev_Balanced.tsv`{expect}")), "{message}");
    };
    let image = base64(1);
    check("index\tquestion\timage\n", ", line 1: expected a column `answer`; the columns are index, question, image");
    check("index\tquestion\tanswer\n", ", line 1: expected a column `image` or `image_path`");
    check(
        &format!("index\tquestion\tanswer\timage\n1\tq\ta\t{image}\n2\tq\ta\n"),
        ", line 3: expected 4 columns, as the first line has, found 3",
    );
    check(&format!("index\tquestion\tanswer\timage\n1\t\ta\t{image}\n"), ", line 2: field `question` is missing");
    check(
        "index\tquestion\tanswer\timage\n1\tq\ta\t\n",
        ", line 2: no picture: the columns `image` and `image_path` are empty",
    );
    let message = complaint("gqa", Form::Table, None, |dir| {
        put(dir, "GQA_TestDev_Balanced.tsv", b"index\tquestion\tanswer\timage\n1\tq\ta\xff\tx\n")
    });
    assert!(message.contains(", line 2: not UTF-8"), "{message}");
    let message = complaint("gqa", Form::Table, None, |dir| {
        put(dir, "GQA_TestDev_Balanced.tsv", "index\tquestion\tanswer\timage\n")
    });
    assert!(message.starts_with("no question in `DIR/GQA_TestDev_Balanced.tsv`"), "{message}");
}

#[test]
fn pictures_of_a_table_may_be_files() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "images/GQA_TestDev_Balanced/1.jpg", miniature::png(4, 4, 1));
    put(
        dir.path(),
        "GQA_TestDev_Balanced.tsv",
        "index\tquestion\tanswer\timage_path\n1\tq\ta\t/home/someone/LMUData/images/GQA_TestDev_Balanced/1.jpg\n",
    );
    let samples = load("gqa", dir.path(), None).unwrap().samples;
    assert!(
        matches!(&samples[0].pictures[0], PictureSource::File(file) if file.ends_with("GQA_TestDev_Balanced/1.jpg"))
    );
}

#[test]
fn the_list_names_everything() {
    let text = describe(BENCHMARKS);
    let json = serde_json::to_value(listings(BENCHMARKS)).unwrap();
    for (benchmark, listing) in BENCHMARKS.iter().zip(json.as_array().unwrap()) {
        assert!(text.contains(&format!("{}: {}, {}", benchmark.name, benchmark.title, benchmark.what)), "{text}");
        assert!(benchmark.layouts.iter().all(|layout| text.contains(layout.files)));
        assert!(text.contains(benchmark.source));
        assert_eq!(listing["metric"], benchmark.metric.to_string());
        assert_eq!(listing["layouts"][0]["files"], benchmark.layouts[0].files);
        assert_eq!(listing["prompts"].as_object().unwrap().len(), crate::eval::prompts::FAMILIES.len());
    }
    let names: std::collections::HashSet<_> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
    assert_eq!(names.len(), BENCHMARKS.len());
}
