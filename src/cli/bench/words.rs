//! A measurement as people read it.

use super::columns::{bytes, table};
use super::verdict;
use crate::cli::report::duration;
use sgl::bench::{Measurement, Round, TIME_TO_FIRST_TOKEN, TOTAL, Times};
use sgl::eval::stats::{median, quantile};
use sgl::timing::Phase;

/// Tables, ratios, the ideal, the verdict.
pub fn page(measured: &Measurement) -> String {
    [asked(measured), phases(measured), export(measured), speeds(measured), facts(measured), verdict::text(measured)]
        .join("\n")
}

fn asked(measured: &Measurement) -> String {
    let (settings, counts) = (&measured.settings, &measured.counts);
    let named = |name: &str, weights: Option<&String>| match (weights, &settings.shapes) {
        (Some(weights), Some(shapes)) => {
            format!("{name}, random weights in {weights}, mmproj in {}", shapes.mmproj_type)
        }
        _ => name.to_owned(),
    };
    let shapes = settings.shapes.as_ref();
    let names = shapes.and_then(|shapes| shapes.pair.split_once('+'));
    let guide =
        named(names.map_or(&settings.guide.model.name, |(guide, _)| guide), shapes.map(|shapes| &shapes.guide_type));
    let target = named(
        names.map_or(&settings.target.model.name, |(_, target)| target),
        shapes.map(|shapes| &shapes.target_type),
    );
    let pictures: Vec<String> = settings.pictures.iter().map(|[width, height]| format!("{width}x{height}")).collect();
    let read = match counts.read {
        0 => "the guide's answer is final, so the target reads nothing".to_owned(),
        read => format!(
            "the target reads {} of them ({} by {}) in {} of the tiles, {read} tokens in all",
            counts.kept, settings.retain, settings.policy, counts.kept_tiles
        ),
    };
    let prompt = |n_prompt: usize, n_visual: usize, n_tiles: usize| {
        format!("prompt of {n_prompt} tokens, {n_visual} of them visual, in {}", many(n_tiles, "tile"))
    };
    let looked = prompt(counts.guide_prompt, counts.guide_visual, counts.guide_tiles);
    let whole = prompt(counts.target_prompt, counts.target_visual, counts.target_tiles);
    let question = many(settings.question_tokens, "token");
    let answer = many(settings.n_predict, "token");
    format!(
        "guide   {guide}: {looked}\n\
         target  {target}: {whole}; {read}\n\
         asked   picture of {}, question of {question}, answer of {answer}\n\
         here    {}, {}; sgl {}, llama.cpp {}\n",
        pictures.join(" and "),
        settings.device,
        many(settings.threads, "thread"),
        measured.build.version,
        measured.build.llama_cpp,
    )
}

/// `1 tile`, `2 tiles`.
fn many(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn phases(measured: &Measurement) -> String {
    let phases = Phase::ALL.map(|phase| (Times::name(phase), phase.label()));
    let others = [(TIME_TO_FIRST_TOKEN.to_owned(), "time to first token"), (TOTAL.to_owned(), "total")];
    let variants: [Of; 3] = [|round| Some(&round.unpruned), |round| Some(&round.guided), |round| round.stock.as_ref()];
    let row = |(name, label): (String, &str)| {
        let values = variants.map(|of| values(&measured.rounds, of, &name));
        let [unpruned, guided, stock] = values.each_ref().map(|values| spread(values));
        let [unpruned_ms, guided_ms, _] = values.map(|values| median(&values));
        let ratio = ratio(guided_ms.zip(unpruned_ms).map(|(guided, unpruned)| guided / unpruned));
        [label.to_owned(), unpruned, guided, ratio, stock]
    };
    let ran = |row: &[String; 5]| row[1] != NOTHING || row[2] != NOTHING;
    let rows: Vec<[String; 5]> = phases.into_iter().chain(others).map(row).filter(ran).collect();
    if measured.phases_ms.stock.is_some() {
        return table(["phase", "unpruned", "guided", "guided/unpruned", "stock llama.cpp"], &rows);
    }
    let rows: Vec<[String; 4]> = rows.into_iter().map(|[phase, a, b, ratio, _]| [phase, a, b, ratio]).collect();
    table(["phase", "unpruned", "guided", "guided/unpruned"], &rows)
}

/// The guide alone, with and without the export of its attention.
fn export(measured: &Measurement) -> String {
    let row = |phase: Phase, of_medians: Option<f64>| {
        let of = |of: Of| spread(&values(&measured.rounds, of, &Times::name(phase)));
        let plain = of(|round| Some(&round.guide_plain));
        let with = of(|round| Some(&round.guide_export));
        [phase.label().to_owned(), plain, with, ratio(of_medians)]
    };
    let ratios = &measured.ratios;
    let rows = [row(Phase::GuidePrefill, ratios.export_prefill), row(Phase::GuideDecode, ratios.export_decode)];
    table(["guide alone", "without export", "with export", "ratio"], &rows)
}

fn speeds(measured: &Measurement) -> String {
    let speeds = &measured.tokens_per_second;
    let row = |phase: Phase| {
        let name = Times::name(phase);
        let speed = |speed: Option<&f64>| speed.map_or(NOTHING.to_owned(), |speed| format!("{speed:.1}"));
        [phase.label().to_owned(), speed(speeds.unpruned.get(&name)), speed(speeds.guided.get(&name))]
    };
    let phases = [Phase::GuidePrefill, Phase::GuideDecode, Phase::TargetPrefill, Phase::TargetDecode];
    table(["tokens per second", "unpruned", "guided"], &phases.map(row))
}

fn facts(measured: &Measurement) -> String {
    let (ratios, peak) = (&measured.ratios, &measured.peak_bytes);
    let memory = |n: Option<u64>| n.map_or("unknown".to_owned(), bytes);
    format!(
        "memory  process {} at most; KV caches {}, compute buffers {}\n\
         ratios  total {}, time to first token {}, target prefill {}; export: prefill {}, decode {}\n\
         ideal   {} against {} measured, {:.2} times as long\n",
        memory(peak.process),
        memory(peak.kv),
        memory(peak.compute),
        ratio(ratios.total),
        ratio(ratios.ttft),
        ratio(ratios.target_prefill),
        ratio(ratios.export_prefill),
        ratio(ratios.export_decode),
        duration(measured.ideal_ms),
        duration(measured.measured_ms),
        measured.measured_ms / measured.ideal_ms,
    )
}

/// The times of a variant.
type Of = fn(&Round) -> Option<&Times>;

/// For what did not run.
const NOTHING: &str = "–";

fn values(rounds: &[Round], of: Of, name: &str) -> Vec<f64> {
    rounds.iter().filter_map(|round| of(round)?.get(name)).collect()
}

/// Median and, of several, the quartiles.
fn spread(values: &[f64]) -> String {
    match (median(values), quantile(values, 0.25), quantile(values, 0.75)) {
        (Some(median), Some(low), Some(high)) if values.len() > 1 => {
            format!("{} ({}–{})", duration(median), number(low), number(high))
        }
        (Some(median), ..) => duration(median),
        _ => NOTHING.to_owned(),
    }
}

/// A duration without its unit, as precise as with it.
fn number(ms: f64) -> String {
    duration(ms).split(' ').next().unwrap_or_default().to_owned()
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or(NOTHING.to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_medians_with_quartiles() {
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0, 500.0]), "3.0 ms (2.0–4.0)");
        assert_eq!(spread(&[20_000.0]), "20.0 s");
        assert_eq!(spread(&[]), "–");
    }
}
