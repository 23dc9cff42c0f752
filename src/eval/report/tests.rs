use super::fixture::{self, HOSTILE, check_markup};
use super::*;

fn page(summary: &Summary, cases: &[Case]) -> String {
    let files = Report { summary, cases }.files().unwrap();
    let (name, bytes) = files.into_iter().next().unwrap();
    assert_eq!(name, "report.html");
    String::from_utf8(bytes).unwrap()
}

fn headings(page: &str) -> Vec<&str> {
    let texts = page.split("<h2 id=").skip(1).filter_map(|after| after.split(['>', '<']).nth(1));
    texts.collect()
}

#[test]
fn the_page_is_well_formed_and_whole() {
    let page = page(&fixture::summary(), &fixture::cases(&fixture::png(1840, 1136)));
    check_markup(&page);
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert_eq!(
        headings(&page),
        [
            "Findings",
            "Accuracy",
            "Cost",
            "Kinds of questions",
            "Early exit",
            "Rankings",
            "More figures",
            "Cases",
            "Notes",
            "Configuration"
        ]
    );
    assert_eq!(page.matches("<svg ").count(), 8, "four plots in two sizes");
    assert_eq!(page.matches("src=\"data:image/png;base64,iVBORw0KGgo").count(), 5);
    assert_eq!(page.matches("width=\"1840\" height=\"1136\" loading=\"lazy\"").count(), 5);
}

#[test]
fn nothing_is_fetched_or_run() {
    let page = page(&fixture::summary(), &fixture::cases(&fixture::png(8, 8)));
    for needle in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(needle), "{needle}");
    }
}

#[test]
fn every_text_is_escaped() {
    let mut summary = fixture::summary();
    let about = &mut summary.about;
    about.settings.push((HOSTILE.into(), HOSTILE.into()));
    for text in [&mut about.benchmark, &mut about.metric, &mut about.target, &mut about.version, &mut about.llama_cpp] {
        *text = HOSTILE.into();
    }
    about.guide = Some(HOSTILE.into());
    summary.notes.push(HOSTILE.into());
    summary.figures.iter_mut().for_each(|figure| figure.name = HOSTILE.into());
    for row in summary.rows.iter_mut().filter(|row| row.policy == "global") {
        row.policy = HOSTILE.into();
        row.kinds.iter_mut().for_each(|kind| kind.kind.insert_str(0, HOSTILE));
    }
    summary.overlap.iter_mut().for_each(|row| row.policy = HOSTILE.into());
    summary.exit_curve.iter_mut().for_each(|row| row.signal = HOSTILE.into());
    let mut case = fixture::cases(&[]).remove(0);
    for text in [&mut case.sample, &mut case.kind, &mut case.question, &mut case.expected, &mut case.policy] {
        *text = HOSTILE.into();
    }
    case.guide_answer = Some(HOSTILE.into());
    (case.unpruned_answer, case.pruned_answer) = (HOSTILE.into(), HOSTILE.into());

    let page = page(&summary, &[case]);
    check_markup(&page);
    assert!(page.contains("&lt;img src=x"));
    for needle in ["<script", "</script", "<img"] {
        assert!(!page.contains(needle), "{needle}");
    }
    assert!(page.contains("{{ 7 * 7 }}"), "data is no template");
}

#[test]
fn sections_without_data_are_left_out() {
    let mut summary = fixture::summary();
    summary.overlap.clear();
    summary.exit_curve.clear();
    summary.figures.clear();
    summary.notes.clear();
    summary.rows.iter_mut().for_each(|row| {
        row.kinds.clear();
        (row.cost, row.total_ms_median) = (None, None);
    });
    let sparse = page(&summary, &[]);
    check_markup(&sparse);
    assert_eq!(headings(&sparse), ["Findings", "Accuracy", "Configuration"]);
    assert_eq!(sparse.matches("<li><a href=\"#").count(), 3);
    summary.rows.clear();
    let empty = page(&summary, &[]);
    check_markup(&empty);
    assert_eq!(headings(&empty), ["Configuration"]);
}

#[test]
fn every_table_row_has_as_many_cells_as_the_header() {
    let page = page(&fixture::summary(), &[]);
    let tables: Vec<&str> = page.split("<table>").skip(1).filter_map(|after| after.split("</table>").next()).collect();
    assert_eq!(tables.len(), 10, "accuracy, details, five of kinds, exits, overlaps, figures");
    for table in tables {
        let rows: Vec<&str> = table.split("<tr>").skip(1).filter_map(|after| after.split("</tr>").next()).collect();
        let width = |row: &&str| {
            let spans = row.split("colspan=\"").skip(1).filter_map(|after| after.split('"').next());
            let wider: usize = spans.map(|span| span.parse::<usize>().unwrap() - 1).sum();
            row.matches("<th ").count() + row.matches("<td").count() + wider
        };
        assert!(rows.len() > 1);
        assert!(rows.iter().all(|row| width(row) == width(&rows[0])), "{table}");
    }
}

#[test]
fn a_loss_is_marked_by_more_than_colour() {
    let page = page(&fixture::summary(), &[]);
    let cell = page.split("<td class=\"lost\">").nth(1).and_then(|after| after.split("</td>").next()).unwrap();
    assert!(cell.contains("▼") && cell.contains("significantly lower"), "{cell}");
    assert!(
        page.contains(
            "<span aria-hidden=\"true\">–</span><span class=\"unseen\">cannot be run on this benchmark</span>"
        )
    );
    assert!(page.contains("– cannot be run on this benchmark (lowres)."));
}

#[test]
fn a_picture_that_is_none_is_left_out() {
    let page = page(&fixture::summary(), &fixture::cases(b"no picture"));
    check_markup(&page);
    assert!(!page.contains("<img"));
}

#[test]
fn writes_what_there_is_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut summary, out) = (fixture::summary(), dir.path().join("deep/er"));
    let names = |paths: &[PathBuf]| {
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let paths = Report { summary: &summary, cases: &[] }.write(&out).unwrap();
    assert_eq!(names(&paths), ["report.html", "results.json", "rows.csv", "overlap.csv", "exit_curve.csv"]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 5);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(json["about"]["n_samples"], 400);
    assert_eq!(json["rows"][0]["policy"], "none");

    summary.overlap.clear();
    summary.exit_curve.clear();
    let paths = Report { summary: &summary, cases: &[] }.write(&dir.path().join("few")).unwrap();
    assert_eq!(names(&paths), ["report.html", "results.json", "rows.csv"]);
    let page = fs::read_to_string(&paths[0]).unwrap();
    assert!(page.contains("rows.csv") && !page.contains("overlap.csv"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Report { summary: &fixture::summary(), cases: &[] }.write(&file.join("in")).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("could not be written"), "{error}");
}
