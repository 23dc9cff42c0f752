//! Records as losses and times of settings.

use super::{CalibrateError, Options};
use crate::eval::contender::Contender;
use crate::eval::metrics::Metric;
use crate::eval::record::{Record, Run};
use crate::eval::score::{agreement, of_group};
use std::collections::BTreeMap;

/// What a request can be run with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Setting {
    /// Index into [`Outcomes::retains`].
    pub level: usize,
    /// Score from which the guide's answer is final.
    pub threshold: Option<f64>,
}

/// How every question went at every retention.
pub(super) struct Outcomes {
    metric: Metric,
    /// Whether the policy waits for the guide.
    needs_guide: bool,
    /// From all tokens, 1, down.
    pub retains: Vec<f64>,
    /// Whether the guide has answered every question.
    pub has_guide: bool,
    /// Groups of questions about each picture.
    pictures: Vec<Vec<Vec<Question>>>,
}

struct Question {
    /// The target's, by retention: score, and the time of its own that it took.
    target: Vec<(f64, f64)>,
    guide: Option<Guide>,
}

struct Guide {
    score: f64,
    /// SEE's score.
    certainty: f64,
    ms: f64,
    consistency_ms: f64,
}

impl Outcomes {
    pub fn read(records: &[Record], picture: &[usize], options: &Options) -> Result<Self, CalibrateError> {
        let retains = options.levels();
        let has_guide = !records.is_empty() && records.iter().all(|record| record.guide.is_some());
        let mut pictures: BTreeMap<usize, Vec<Vec<Question>>> = BTreeMap::new();
        for group in records.chunk_by(|one, next| one.group == next.group) {
            let number = group.first().and_then(|record| picture.get(record.index)).copied().unwrap_or(usize::MAX);
            let questions = group.iter().map(|record| Question::read(record, &retains, options));
            pictures.entry(number).or_default().push(questions.collect::<Result<_, _>>()?);
        }
        Ok(Self {
            metric: options.metric,
            needs_guide: options.policy.parse().is_ok_and(Contender::needs_guide),
            retains,
            has_guide,
            pictures: pictures.into_values().collect(),
        })
    }

    pub fn n_pictures(&self) -> usize {
        self.pictures.len()
    }

    /// One for each of the pictures.
    pub fn losses(&self, pictures: &[usize], setting: Setting) -> Vec<f64> {
        let of_question = |group: &Vec<Question>| {
            let score =
                |of: &dyn Fn(&Question) -> f64| of_group(self.metric, &group.iter().map(of).collect::<Vec<_>>());
            score(&|question| question.target[0].0) - score(&|question| question.score(setting))
        };
        pictures.iter().map(|&picture| mean(self.pictures[picture].iter().map(of_question))).collect()
    }

    /// Share of their questions that the guide answers.
    pub fn exited(&self, pictures: &[usize], setting: Setting) -> f64 {
        mean(self.questions(pictures).map(|question| f64::from(u8::from(question.exits(setting)))))
    }

    /// Mean time of their questions. More pruning never counts as slower, which only a busy machine can make it.
    pub fn ms(&self, pictures: &[usize], setting: Setting) -> f64 {
        let mildest = usize::from(setting.threshold.is_none() && setting.level > 0);
        let measured = |level| {
            let ms = |question: &Question| question.ms(Setting { level, ..setting }, self.needs_guide && level > 0);
            mean(self.questions(pictures).map(ms))
        };
        (mildest..=setting.level).map(measured).fold(f64::INFINITY, f64::min)
    }

    /// The same of the unpruned target alone.
    pub fn alone_ms(&self, pictures: &[usize]) -> f64 {
        self.ms(pictures, Setting { level: 0, threshold: None })
    }

    fn questions(&self, pictures: &[usize]) -> impl Iterator<Item = &Question> {
        pictures.iter().flat_map(|&picture| self.pictures[picture].iter().flatten())
    }
}

impl Question {
    fn read(record: &Record, retains: &[f64], options: &Options) -> Result<Self, CalibrateError> {
        let sample = || record.sample.clone();
        let unpruned = Contender::Unpruned.to_string();
        let run = |retain: f64| -> Result<&Run, CalibrateError> {
            let policy = if retain == 1.0 { &unpruned } else { &options.policy };
            let missing = || CalibrateError::Missing { sample: sample(), policy: policy.clone(), retain };
            record.runs.iter().find(|run| run.policy == *policy && run.retain == retain).ok_or_else(missing)
        };
        let right = &run(1.0)?.answer;
        let scored = |answer: &str, score: Option<f64>| match options.agreement {
            true => Ok(agreement(answer, right)),
            false => score.ok_or_else(|| CalibrateError::Unscored { sample: sample() }),
        };
        let target = |&retain: &f64| {
            let run = run(retain)?;
            Ok((scored(&run.answer, run.score)?, run.target_ms() + run.select_ms))
        };
        let guide = |guide: &crate::eval::record::GuideLook| {
            Ok(Guide {
                score: scored(&guide.answer, guide.score)?,
                certainty: (guide.confidence + guide.consistency) / 2.0,
                ms: guide.ms(),
                consistency_ms: guide.consistency_ms,
            })
        };
        Ok(Self {
            target: retains.iter().map(target).collect::<Result<_, CalibrateError>>()?,
            guide: record.guide.as_ref().map(guide).transpose()?,
        })
    }

    fn exits(&self, setting: Setting) -> bool {
        let certainty = self.guide.as_ref().map(|guide| guide.certainty);
        setting.threshold.zip(certainty).is_some_and(|(threshold, certainty)| certainty >= threshold)
    }

    fn score(&self, setting: Setting) -> f64 {
        match &self.guide {
            Some(guide) if self.exits(setting) => guide.score,
            _ => self.target[setting.level].0,
        }
    }

    fn ms(&self, setting: Setting, needs_guide: bool) -> f64 {
        let guide = self.guide.as_ref().map_or(0.0, |guide| match setting.threshold {
            Some(_) => guide.ms + guide.consistency_ms,
            None if needs_guide => guide.ms,
            None => 0.0,
        });
        guide + if self.exits(setting) { 0.0 } else { self.target[setting.level].1 }
    }
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    sum / f64::from(n.max(1))
}
