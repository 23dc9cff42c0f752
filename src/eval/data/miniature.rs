//! Miniature data sets in every layout that the loaders know, written where a test wants them. Needs nothing of this crate,
//! so that integration tests can include the file by its path.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::{Value, json};

/// Who a layout is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The benchmark's authors.
    Release,
    /// VLMEvalKit.
    Table,
    /// InternVL's and Qwen-VL's evaluation.
    Lines,
}

/// Writes a miniature of the benchmark into the folder.
pub fn write(dir: &Path, benchmark: &str, form: Form) {
    match benchmark {
        "textvqa" => textvqa(dir, form),
        "chartqa" => chartqa(dir, form),
        "docvqa" => docvqa(dir, form),
        "gqa" => gqa(dir, form),
        "seedbench" => seedbench(dir, form),
        "mmbench" => mmbench(dir, form),
        "mmvet" => mmvet(dir, form),
        "mme" => mme(dir, form),
        "refcoco" => refcoco(dir, form, "RefCOCO", "unc", ["val", "testA", "testB"]),
        "refcoco+" => refcoco(dir, form, "RefCOCO+", "unc", ["val", "testA", "testB"]),
        "refcocog" => refcoco(dir, form, "RefCOCOg", "umd", ["val", "test", "test"]),
        "jsonl" => jsonl(dir),
        other => panic!("no miniature of {other}"),
    }
}

/// MME's subtasks.
pub const SUBTASKS: [&str; 14] = [
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
];

/// A PNG file's bytes; every `seed` is another picture.
pub fn png(width: u32, height: u32, seed: u8) -> Vec<u8> {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 31) as u8 ^ seed, (y * 57) as u8, (x * y) as u8 ^ seed]);
    let mut bytes = Cursor::new(Vec::new());
    let picture = DynamicImage::from(RgbImage::from_fn(width, height, pixel));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub fn base64(seed: u8) -> String {
    STANDARD.encode(png(16, 12, seed))
}

/// Writes a file, and the folders that it is in.
pub fn put(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

fn picture(dir: &Path, name: &str, seed: u8) {
    put(dir, name, png(16, 12, seed));
}

fn lines(dir: &Path, name: &str, items: &[Value]) {
    put(dir, name, items.iter().map(|item| format!("{item}\n")).collect::<String>());
}

/// A table with tabs; cells with quotes or line breaks are quoted.
pub fn table(dir: &Path, name: &str, header: &[&str], rows: &[Vec<String>]) {
    let cell = |text: &str| match text.contains(['"', '\n', '\t']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut content = header.join("\t") + "\n";
    for row in rows {
        content += &(row.iter().map(|text| cell(text)).collect::<Vec<_>>().join("\t") + "\n");
    }
    put(dir, name, content);
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn textvqa(dir: &Path, form: Form) {
    let (first, second) = ([vec!["dakota"; 9], vec!["nikon's"]].concat(), vec!["7"; 10]);
    let asked =
        [("34602", "0a1b", "what is the brand of this camera?", first), ("34603", "0c2d", "which number?", second)];
    let python = |answers: &[&str]| {
        let items: Vec<String> = answers
            .iter()
            .map(|answer| if answer.contains('\'') { format!("\"{answer}\"") } else { format!("'{answer}'") })
            .collect();
        format!("[{}]", items.join(", "))
    };
    if form != Form::Table {
        asked
            .iter()
            .zip(1..)
            .for_each(|((_, image, ..), seed)| picture(dir, &format!("train_images/{image}.jpg"), seed));
    }
    let number = |id: &str| id.parse::<u64>().unwrap();
    match form {
        Form::Release => {
            let item = |(id, image, question, answers): &(&str, &str, &str, Vec<&str>)| {
                json!({"question": question, "image_id": image, "image_classes": ["Camera"], "image_width": 1024,
                    "question_tokens": ["what"], "question_id": number(id), "set_name": "val", "answers": answers})
            };
            let data: Vec<Value> = asked.iter().map(item).collect();
            put(
                dir,
                "TextVQA_0.5.1_val.json",
                json!({"dataset_type": "val", "dataset_version": "0.5.1", "data": data}).to_string(),
            );
        }
        Form::Table => {
            let row = |((id, image, question, answers), seed): (&(&str, &str, &str, Vec<&str>), u8)| {
                cells([id, image, question, &python(answers), &base64(seed)])
            };
            let rows: Vec<_> = asked.iter().zip(1..).map(row).collect();
            table(dir, "TextVQA_VAL.tsv", &["index", "image_id", "question", "answer", "image"], &rows);
        }
        Form::Lines => {
            let item = |(id, image, question, answers): &(&str, &str, &str, Vec<&str>)| {
                json!({"image": format!("data/textvqa/train_images/{image}.jpg"), "question": question,
                    "question_id": number(id), "answer": answers[0]})
            };
            lines(dir, "textvqa_val.jsonl", &asked.iter().map(item).collect::<Vec<_>>());
            let annotation = |(id, image, _, answers): &(&str, &str, &str, Vec<&str>)| {
                let answers: Vec<Value> = answers
                    .iter()
                    .zip(1..)
                    .map(|(answer, id)| json!({"answer": answer, "answer_confidence": "yes", "answer_id": id}))
                    .collect();
                json!({"image_id": image, "question_id": number(id), "answers": answers})
            };
            let annotations: Vec<Value> = asked.iter().map(annotation).collect();
            put(dir, "textvqa_val_annotations.json", json!({"annotations": annotations}).to_string());
        }
    }
}

fn chartqa(dir: &Path, form: Form) {
    let asked =
        [("human", "101.png", "How many bars?", "14"), ("augmented", "two_col_1.png", "What share in 2019?", "20.5%")];
    for ((kind, image, question, answer), seed) in asked.iter().zip(1..) {
        match form {
            Form::Release => {
                picture(dir, &format!("test/png/{image}"), seed);
                let items = json!([{"imgname": image, "query": question, "label": answer}]);
                put(dir, &format!("test/test_{kind}.json"), items.to_string());
            }
            Form::Lines => {
                picture(dir, &format!("ChartQA Dataset/test/png/{image}"), seed);
                let image = format!("data/chartqa/ChartQA Dataset/test/png/{image}");
                let item = json!({"image": image, "question": question, "question_id": 0, "answer": answer});
                lines(dir, &format!("test_{kind}.jsonl"), &[item]);
            }
            Form::Table => {}
        }
    }
    if form == Form::Table {
        let row = |((kind, _, question, answer), seed): (&(&str, &str, &str, &str), u8)| {
            let (index, split, answer) = (seed.to_string(), format!("test_{kind}"), format!("['{answer}']"));
            cells([&index, question, &answer, &split, &base64(seed)])
        };
        let rows: Vec<_> = asked.iter().zip(1..).map(row).collect();
        table(dir, "ChartQA_TEST.tsv", &["index", "question", "answer", "split", "image"], &rows);
    }
}

fn docvqa(dir: &Path, form: Form) {
    let asked = [
        (49153, "xnbl0037_1", "what is the date?", ["1/8/93", "1/8/1993"]),
        (24580, "ffbf0023_4", "who signs?", ["T. Smith", "Smith"]),
    ];
    for ((_, image, ..), seed) in asked.iter().zip(1..) {
        match form {
            Form::Release => picture(dir, &format!("documents/{image}.png"), seed),
            Form::Lines => picture(dir, &format!("val/documents/{image}.png"), seed),
            Form::Table => {}
        }
    }
    match form {
        Form::Release => {
            let item = |(id, image, question, answers): &(u32, &str, &str, [&str; 2])| {
                json!({"questionId": id, "question": question, "question_types": ["form", "handwritten"],
                    "image": format!("documents/{image}.png"), "docId": 279, "answers": answers, "data_split": "val"})
            };
            let data: Vec<Value> = asked.iter().map(item).collect();
            put(
                dir,
                "val_v1.0_withQT.json",
                json!({"dataset_name": "SP-DocVQA", "dataset_split": "val", "data": data}).to_string(),
            );
        }
        Form::Table => {
            let row = |((id, _, question, answers), seed): (&(u32, &str, &str, [&str; 2]), u8)| {
                cells([&id.to_string(), question, &format!("['{}', '{}']", answers[0], answers[1]), &base64(seed)])
            };
            let rows: Vec<_> = asked.iter().zip(1..).map(row).collect();
            table(dir, "DocVQA_VAL.tsv", &["index", "question", "answer", "image"], &rows);
        }
        Form::Lines => {
            let item = |(id, image, question, answers): &(u32, &str, &str, [&str; 2])| {
                json!({"image": format!("data/docvqa/val/documents/{image}.png"), "question": question,
                    "question_id": id, "answer": answers})
            };
            lines(dir, "val.jsonl", &asked.iter().map(item).collect::<Vec<_>>());
        }
    }
}

fn gqa(dir: &Path, form: Form) {
    let asked = [
        ("201307251", "n161313", "Is it overcast?", "no", "verify"),
        ("201640614", "n235859", "Who wears the dress?", "woman", "query"),
    ];
    if form != Form::Table {
        asked.iter().zip(1..).for_each(|((_, image, ..), seed)| picture(dir, &format!("images/{image}.jpg"), seed));
    }
    match form {
        Form::Release => {
            let item = |(id, image, question, answer, kind): &(&str, &str, &str, &str, &str)| {
                let entry = json!({"imageId": image, "question": question, "answer": answer, "fullAnswer": "...",
                    "isBalanced": true, "types": {"structural": kind, "semantic": "attr", "detailed": "weatherVerify"}});
                format!("\"{id}\": {entry}")
            };
            let items: Vec<String> = asked.iter().map(item).collect();
            put(dir, "testdev_balanced_questions.json", format!("{{{}}}", items.join(",\n")));
        }
        Form::Table => {
            let row = |((id, _, question, answer, _), seed): (&(&str, &str, &str, &str, &str), u8)| {
                cells([id, question, answer, &base64(seed)])
            };
            let rows: Vec<_> = asked.iter().zip(1..).map(row).collect();
            table(dir, "GQA_TestDev_Balanced.tsv", &["index", "question", "answer", "image"], &rows);
        }
        Form::Lines => {
            let item = |(id, image, question, answer, _): &(&str, &str, &str, &str, &str)| {
                let question = format!("{question}\nAnswer the question using a single word or phrase.");
                json!({"image": format!("data/gqa/images/{image}.jpg"), "question": question, "question_id": id, "answer": answer})
            };
            lines(dir, "llava_gqa_testdev_balanced_qwen_format.jsonl", &asked.iter().map(item).collect::<Vec<_>>());
        }
    }
}

/// The second picture's name has no extension, as in the release; the last question is on a video.
fn seedbench(dir: &Path, form: Form) {
    let asked = [
        ("101669", "1454426_2591111986", "How many towels are there?", "A", 5, "Instances Counting"),
        ("101670", "1454427_77", "Where is this?", "C", 1, "Scene Understanding"),
    ];
    let choices = ["One", "Two", "Three", "Four"];
    if form != Form::Table {
        asked
            .iter()
            .zip(1..)
            .for_each(|((_, image, ..), seed)| picture(dir, &format!("SEED-Bench-image/{image}"), seed));
    }
    type Asked = (&'static str, &'static str, &'static str, &'static str, u32, &'static str);
    match form {
        Form::Release => {
            let item = |(id, image, question, answer, kind, _): &Asked| {
                json!({"question_id": id, "data_id": image, "data_type": "image", "question": question, "answer": answer,
                    "question_type_id": kind, "choice_a": choices[0], "choice_b": choices[1], "choice_c": choices[2],
                    "choice_d": choices[3]})
            };
            let mut questions: Vec<Value> = asked.iter().map(item).collect();
            questions.push(
                json!({"question_id": "v1", "data_id": "1.webm", "data_type": "video", "question": "?", "answer": "A",
                "question_type_id": 10, "choice_a": "a", "choice_b": "b", "choice_c": "c", "choice_d": "d"}),
            );
            let types = json!({"Scene Understanding": 1, "Instances Counting": 5, "Action Recognition": 10});
            put(dir, "SEED-Bench.json", json!({"question_type": types, "questions": questions}).to_string());
        }
        Form::Table => {
            let row = |((id, _, question, answer, _, kind), seed): (&Asked, u8)| {
                cells([id, question, choices[0], choices[1], choices[2], choices[3], answer, kind, &base64(seed)])
            };
            let rows: Vec<_> = asked.iter().zip(1..).map(row).collect();
            table(
                dir,
                "SEEDBench_IMG.tsv",
                &["index", "question", "A", "B", "C", "D", "answer", "category", "image"],
                &rows,
            );
        }
        Form::Lines => {
            let item = |(id, image, question, answer, _, kind): &Asked| {
                let text = format!(
                    "{question}\nA. One\nB. Two\nC. Three\nD. Four\nAnswer with the option's letter from the given choices directly."
                );
                json!({"question_id": id, "image": format!("SEED-Bench-image/{image}"), "text": text, "category": kind, "answer": answer})
            };
            lines(dir, "seed.jsonl", &asked.iter().map(item).collect::<Vec<_>>());
        }
    }
}

/// Two questions, of four choices and of two; the file of VLMEvalKit has a rotation of the first as a row of its own.
fn mmbench(dir: &Path, form: Form) {
    let header =
        ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "l2-category", "split"];
    let mut rows = vec![
        cells([
            "241",
            "Which is highest?",
            "Look at \"the\" map.\nThen answer.",
            "Oslo",
            "Bern",
            "Rome",
            "Bonn",
            "B",
            "place",
            &base64(1),
            "reasoning",
            "dev",
        ]),
        cells(["252", "Is it on the left?", "", "yes", "no", "", "", "A", "place", &base64(2), "perception", "dev"]),
    ];
    let name = match form {
        Form::Table => {
            rows.push(cells([
                "1000241",
                "Which is highest?",
                "",
                "Bonn",
                "Oslo",
                "Bern",
                "Rome",
                "C",
                "place",
                "241",
                "reasoning",
                "dev",
            ]));
            "MMBench_DEV_EN.tsv"
        }
        _ => "mmbench_dev_20230712.tsv",
    };
    table(dir, name, &header, &rows);
}

fn mmvet(dir: &Path, form: Form) {
    let asked = [("What is x in the equation?", "-1 <AND> -5", "math,ocr"), ("What is this?", "mantle", "rec")];
    if form != Form::Table {
        (0..2).for_each(|i| picture(dir, &format!("images/v1_{i}.png"), i));
    }
    match form {
        Form::Release => {
            let item = |((question, answer, needs), i): (&(&str, &str, &str), u8)| {
                let needs: Vec<&str> = needs.split(',').collect();
                let entry = json!({"imagename": format!("v1_{i}.png"), "question": question, "answer": answer,
                    "imagesource": "https://example.org", "capability": needs});
                format!("\"v1_{i}\": {entry}")
            };
            let items: Vec<String> = asked.iter().zip(0..).map(item).collect();
            put(dir, "mm-vet.json", format!("{{{}}}", items.join(",\n")));
        }
        Form::Table => {
            let row = |((question, answer, needs), i): (&(&str, &str, &str), u8)| {
                cells([&i.to_string(), question, answer, needs, &base64(i)])
            };
            let rows: Vec<_> = asked.iter().zip(0..).map(row).collect();
            table(dir, "MMVet.tsv", &["index", "question", "answer", "category", "image"], &rows);
        }
        Form::Lines => {
            let item = |((question, ..), i): (&(&str, &str, &str), u8)| json!({"question_id": i, "image": format!("v1_{i}.png"), "text": question, "category": "default"});
            lines(dir, "llava-mm-vet.jsonl", &asked.iter().zip(0..).map(item).collect::<Vec<_>>());
        }
    }
}

/// One picture and two questions for each subtask; half of them with questions and pictures in folders of their own.
fn mme(dir: &Path, form: Form) {
    let asked = [("Is it red? Please answer yes or no.", "Yes"), ("Is it blue? Please answer yes or no.", "No")];
    let mut rows = Vec::new();
    for (subtask, seed) in SUBTASKS.iter().zip(1..) {
        match form {
            Form::Release => {
                let text = asked.map(|(question, answer)| format!("{question}\t{answer}")).join("\r\n");
                let (texts, pictures) = if seed % 2 == 0 { ("", "") } else { ("questions_answers_YN/", "images/") };
                put(dir, &format!("{subtask}/{texts}0001.txt"), text);
                picture(dir, &format!("{subtask}/{pictures}0001.{}", if seed % 3 == 0 { "png" } else { "jpg" }), seed);
            }
            Form::Table => {
                for (question, answer) in asked {
                    let path = format!("{subtask}/0001.jpg");
                    rows.push(cells([&rows.len().to_string(), question, answer, subtask, &path, &base64(seed)]));
                }
            }
            Form::Lines => {
                let lines = asked.map(|(question, answer)| format!("0001.jpg\t{question}\t{answer}\n")).concat();
                put(dir, &format!("Your_Results/{subtask}.txt"), lines);
                picture(dir, &format!("images/{subtask}/0001.jpg"), seed);
            }
        }
    }
    if form == Form::Table {
        table(dir, "MME.tsv", &["index", "question", "answer", "category", "image_path", "image"], &rows);
    }
}

/// Two phrases for one thing in the first split, one phrase in each other; the picture is 640x480 by the annotations.
fn refcoco(dir: &Path, form: Form, title: &str, by: &str, splits: [&str; 3]) {
    let phrases = [("lady in blue", splits[0]), ("woman", splits[0]), ("left man", splits[1]), ("dog", splits[2])];
    let name = "COCO_train2014_000000581857.jpg";
    match form {
        Form::Release => {
            picture(dir, &format!("train2014/{name}"), 1);
            let reference = |id: u32, split: &str, sentences: &[&str]| {
                let sentences: Vec<Value> = sentences
                    .iter()
                    .zip(10 * id..)
                    .map(|(text, id)| json!({"raw": text.to_uppercase(), "sent": text, "sent_id": id, "tokens": text.split(' ').collect::<Vec<_>>()}))
                    .collect();
                json!({"ref_id": id, "ann_id": 1719310, "category_id": 1, "image_id": 581857, "split": split,
                    "file_name": "COCO_train2014_000000581857_16.jpg", "sentences": sentences})
            };
            let refs = json!([
                reference(1, splits[0], &[phrases[0].0, phrases[1].0]),
                reference(2, splits[1], &[phrases[2].0]),
                reference(3, splits[2], &[phrases[3].0]),
                reference(4, "train", &["bench"]),
            ]);
            put(dir, &format!("refs({by}).p"), pickled(&refs));
            let instances = json!({"info": {}, "categories": [],
                "images": [{"id": 581857, "file_name": name, "width": 640, "height": 480, "license": 1}],
                "annotations": [{"id": 1719310, "image_id": 581857, "bbox": [64.0, 48.5, 320.0, 240.0], "segmentation": [[1.5, 2.5]]}]});
            put(dir, "instances.json", instances.to_string());
        }
        Form::Table => {
            let row = |((phrase, split), i): (&(&str, &str), u8)| {
                let answer = format!("[0.1, {}, 0.6, {}]", 48.5 / 480.0, 288.5 / 480.0);
                cells([&i.to_string(), phrase, &answer, &format!("{title} {split}"), &base64(1)])
            };
            let mut rows: Vec<_> = phrases.iter().zip(0..).map(row).collect();
            rows.push(cells(["99", "other", "[0.1, 0.1, 0.2, 0.2]", "Other val", &base64(1)]));
            table(dir, "RefCOCO.tsv", &["index", "question", "answer", "category", "image"], &rows);
        }
        Form::Lines => {
            picture(dir, &format!("train2014/{name}"), 1);
            for split in splits {
                let item = |(phrase, _): &&(&str, &str)| {
                    json!({"image": format!("data/coco/train2014/{name}"), "sent": phrase, "bbox": [64.0, 48.5, 384.0, 288.5],
                        "height": 480, "width": 640})
                };
                let items: Vec<Value> = phrases.iter().filter(|(_, of)| *of == split).map(|one| item(&one)).collect();
                lines(dir, &format!("{}_{split}.jsonl", title.to_lowercase()), &items);
            }
        }
    }
}

fn jsonl(dir: &Path) {
    picture(dir, "images/0000.png", 1);
    let items = [
        json!({"image": "images/0000.png", "question": "What colour?", "answer": "red", "kind": "colour"}),
        json!({"image": ["images/0000.png", base64(2)], "question": "And now?", "answers": ["blue", "navy"], "id": "second"}),
        json!({"image": format!("data:image/png;base64,{}", base64(3)), "question": "Nobody knows?"}),
    ];
    lines(dir, "questions.jsonl", &items);
}

/// A value as Python's pickle module would write it, protocol 2 without memo.
pub fn pickled(value: &Value) -> Vec<u8> {
    fn put(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Null => out.push(b'N'),
            Value::Bool(yes) => out.push(if *yes { 0x88 } else { 0x89 }),
            Value::Number(number) => match number.as_i64() {
                Some(number) => {
                    out.push(b'J');
                    out.extend(i32::try_from(number).unwrap().to_le_bytes());
                }
                None => {
                    out.push(b'G');
                    out.extend(number.as_f64().unwrap().to_be_bytes());
                }
            },
            Value::String(text) => {
                out.push(b'X');
                out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
                out.extend(text.as_bytes());
            }
            Value::Array(items) => {
                out.extend(b"](");
                items.iter().for_each(|item| put(item, out));
                out.push(b'e');
            }
            Value::Object(fields) => {
                out.extend(b"}(");
                for (key, value) in fields {
                    put(&Value::String(key.clone()), out);
                    put(value, out);
                }
                out.push(b'u');
            }
        }
    }
    let mut out = vec![0x80, 2];
    put(value, &mut out);
    out.push(b'.');
    out
}
