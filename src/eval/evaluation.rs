//! A benchmark made ready: which samples, asked how, scored how, under which settings.

use super::data::{Benchmark, DataError};
use super::engine::{Asked, Engine, Plan, Score};
use super::journal::Header;
use super::metrics::Metric;
use super::prompts::{self, Family, PromptError};
use super::record::Record;
use super::run::{Progress, run};
use super::sample::{Gold, Sample};
use super::score::{box_units, score};
use super::settings::{ModelFiles, Settings, Shard, fingerprint};
use super::{Result, subset};
use crate::geometry::Expectation;
use crate::vlm::Role;
use std::path::{Path, PathBuf};

/// Metric of samples whose right answers nobody has said.
const AGREEMENT: &str = "agreement with the unpruned target";

/// What is evaluated, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The benchmark.
    pub benchmark: &'static Benchmark,
    /// Where its files are; not used by those that need none.
    pub data: PathBuf,
    /// Part of it, if not the default one.
    pub split: Option<String>,
    /// Most groups of samples to ask.
    pub limit: Option<usize>,
    /// Part of the work.
    pub shard: Shard,
    /// Prompt instead of the benchmark's own.
    pub template: Option<String>,
    /// Samples for the expectation of `global+debias`.
    pub n_expected: usize,
    /// Contenders, retentions and the rest; `n_predict` 0 is the benchmark's own.
    pub plan: Plan,
}

/// The models' facts that settings record.
#[derive(Debug, Clone)]
pub struct Models {
    /// The target's files.
    pub target: ModelFiles,
    /// The guide's.
    pub guide: Option<ModelFiles>,
    /// What the target is: its prompts are used.
    pub family: Family,
    /// What the guide is: its boxes may be written otherwise.
    pub guide_family: Family,
    /// What llama.cpp is told, as (flag, value).
    pub llama: Vec<(String, String)>,
    /// Versions of sgl and llama.cpp.
    pub versions: [String; 2],
}

/// A benchmark made ready.
pub struct Evaluation {
    header: Header,
    plan: Plan,
    metric: Metric,
    /// Of target and guide.
    families: [Family; 2],
    template: String,
    samples: Vec<Sample>,
    n_disregarded: usize,
}

/// Why an evaluation cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The data set is missing or damaged.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The prompt is wrong.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Nothing to ask.
    #[error("there are no samples in {0}")]
    Empty(String),
}

impl Evaluation {
    /// Loads the samples and fixes the settings.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub fn prepare(options: &Options, models: Models) -> std::result::Result<Self, PrepareError> {
        let Options { benchmark, data, split, limit, shard, template, n_expected, plan } = options;
        let data = (benchmark.load)(data, split.as_deref())?;
        if data.samples.is_empty() {
            return Err(PrepareError::Empty(benchmark.name.to_owned()));
        }
        let metric = data.metric;
        let n_all = data.samples.len();
        let n_labelled = data.samples.iter().filter(|sample| sample.gold != Gold::Unknown).count();
        // Scores of both kinds in one mean would be neither.
        let is_labelled = n_labelled == n_all;
        let mut samples = subset::limited(data.samples, *limit, plan.seed);
        if !is_labelled {
            samples.iter_mut().for_each(|sample| sample.gold = Gold::Unknown);
        }
        let template = match template {
            Some(template) => prompts::check(template).map(|()| template.clone())?,
            None => prompts::template(benchmark.name, models.family).to_owned(),
        };
        let n_predict = if plan.n_predict == 0 { benchmark.n_predict } else { plan.n_predict };
        let plan = Plan { n_predict, ..plan.clone() };
        let has_debias = plan.contenders.iter().any(|contender| contender.needs_expectation());
        let [version, llama_cpp] = models.versions;
        let settings = Settings {
            benchmark: benchmark.name.to_owned(),
            metric: if is_labelled { metric.to_string() } else { AGREEMENT.to_owned() },
            prompt: template.clone(),
            n_samples: samples.len(),
            n_all,
            samples: fingerprint(&samples),
            target: models.target,
            guide: models.guide,
            policies: plan.contenders.iter().map(ToString::to_string).collect(),
            retain: plan.retains.clone(),
            consistency_retain: plan.consistency_retain.to_string(),
            picture_floor: plan.picture_floor,
            n_predict,
            seed: plan.seed,
            n_expected: if has_debias { (*n_expected).min(samples.len()) } else { 0 },
            llama: models.llama,
            version,
            llama_cpp,
        };
        let header = Header::new(settings, *shard);
        let families = [models.family, models.guide_family];
        let n_disregarded = if is_labelled { 0 } else { n_labelled };
        Ok(Self { header, plan, metric, families, template, samples, n_disregarded })
    }

    /// The settings, as the journal begins with them.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How answers are scored.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// What is asked of every sample.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The samples of all shards.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Questions of the data whose right answers do not count, since those of others are not known: agreement with the
    /// unpruned target does.
    pub fn n_disregarded(&self) -> usize {
        self.n_disregarded
    }

    /// How many of them this shard asks.
    pub fn n_asked(&self) -> usize {
        subset::of_shard(&self.samples, self.header.shard).len()
    }

    /// The text that asks a sample.
    pub fn prompt(&self, sample: &Sample) -> String {
        prompts::render(&self.template, sample)
    }

    /// Asks what the journal does not hold yet; all records in order.
    ///
    /// # Errors
    /// [`super::EvalError`].
    pub fn run(
        &self,
        engine: &mut Engine,
        journal: &Path,
        on_progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Vec<Record>> {
        if !self.expected_on().is_empty() {
            self.expect(engine, on_progress)?;
        }
        let scores: Vec<_> = self.samples.iter().map(|sample| self.scorer(sample)).collect();
        let asked = |(index, sample)| Asked { index, sample, prompt: self.prompt(sample), score: &*scores[index] };
        let part: Vec<Asked<'_>> = subset::of_shard(&self.samples, self.header.shard).into_iter().map(asked).collect();
        run(engine, &part, journal, &self.header, &mut |progress| on_progress(Stage::Asking(progress)))
    }

    /// Places of the samples from which the expected attention is measured; none if no contender needs it.
    pub fn expected_on(&self) -> Vec<usize> {
        subset::drawn(self.samples.len(), self.header.settings.n_expected, self.plan.seed)
    }

    /// Measures the expected attention.
    ///
    /// # Errors
    /// [`super::EvalError`].
    pub fn expect<'e>(
        &self,
        engine: &'e mut Engine,
        on_progress: &mut dyn FnMut(Stage<'_>),
    ) -> Result<Option<&'e Expectation>> {
        let asked = |index: usize| {
            let sample = &self.samples[index];
            Asked { index, sample, prompt: self.prompt(sample), score: &|_, _, _| None }
        };
        let drawn: Vec<Asked<'_>> = self.expected_on().into_iter().map(asked).collect();
        engine.expect(&drawn, |done, all| on_progress(Stage::Expecting { done, all }))
    }

    fn scorer<'a>(&self, sample: &'a Sample) -> Box<Score<'a>> {
        let (metric, [target, guide]) = (self.metric, self.families);
        Box::new(move |role, reply, places| {
            let family = if role == Role::Guide { guide } else { target };
            score(metric, sample, reply, box_units(family, places))
        })
    }
}

/// What a run is doing.
#[derive(Debug)]
pub enum Stage<'a> {
    /// Measuring the expected attention.
    Expecting {
        /// Samples looked at.
        done: usize,
        /// Of how many.
        all: usize,
    },
    /// Answering.
    Asking(Progress<'a>),
}
