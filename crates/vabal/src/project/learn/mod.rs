//! One round of a project: train on what is labelled, measure on the holdout, choose what to ask
//! next.
//!
//! It reads at its beginning and writes at its end, so that people go on answering meanwhile. Never
//! here: threads, who starts it and when, how answers are stored.
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::progress::silent;
//! use vabal::project::{Project, learn};
//! use vabal::{Device, backbone};
//!
//! let mut project = Project::open(Path::new("steel"))?; // made by `vabal init`
//! let context = learn::Context::new(Device::Cpu, Box::new(backbone::open));
//! match learn::obstacle(&project)? {
//!     Some(why) => println!("not yet: {why}"),
//!     None => println!("round {}", learn::round(&mut project, &context, &mut silent())?),
//! }
//! # Ok::<(), vabal::Error>(())
//! ```

mod alike;
mod context;
pub(in crate::project) mod embedding;
mod model;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use super::rounds::is_void;
use super::{ImageId, Prediction, Project, Queued, Settings, State, Summary, estimate};
use crate::active::{Classifier, Heads, Learner, Lens, Partition, Strength, Trainer, choose, look};
use crate::backbone::{Backbone, LinearModel};
use crate::classify::{self, Training};
use crate::data::folder::{self, Aspect, Reading};
use crate::data::{Features, Images};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress};
use crate::query::Health;
use crate::query::{self, Needs, Query, Selection, Signals, Strategy, term};
use crate::rng::Seed;
use crate::{Id, Label, STRATEGIES};

pub use alike::alike;
pub(in crate::project) use context::Located;
pub use context::{Context, NONE};
use context::{Rows, Seen};
pub(in crate::project) use model::Model;
pub use model::{Guess, predict};

/// The newest classifier, in the project's folder.
pub const MODEL: &str = "model.safetensors";
/// Chooses the first images, where nothing is labelled.
const COLD: &str = "typiclust";
/// Classes that are to have labels before there is anything to learn.
const CLASSES: usize = 2;
/// Labels that each of these is to have.
const LABELS: usize = 2;
/// Images of the first choice, at least: more may be needed until two classes have labels.
const COLD_QUEUE: usize = 50;
/// Images that the first choice is made among, where features of all would take too long.
const SAMPLE: usize = 1000;

/// What a round measured, kept in [`Summary::more`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// Labels of each class in the training set, in the order of [`Summary::classes`].
    pub train: Vec<usize>,
    /// Class, right answers and images of each class in the holdout.
    pub holdout: Vec<(Label, usize, usize)>,
    /// Cohen's κ between this round's predictions and the last one's, over the images without a
    /// label.
    pub agreement: Option<f64>,
    /// Expected share of each class among all images without a label, in the order of
    /// [`Summary::classes`].
    pub pool: Vec<f64>,
    /// Expected share of each class in the queue, likewise.
    pub queue: Vec<f64>,
    /// Images in the queue.
    pub queued: usize,
    /// Height and width of what the network saw, in pixels.
    pub size: usize,
    /// The backbone whose features the classifier is trained on; none where the network was trained
    /// from scratch.
    pub backbone: Option<String>,
    /// [`Settings::passes`] at that time; 0 with a backbone.
    pub passes: usize,
    /// Seconds, of the whole round.
    pub seconds: f64,
    /// The state of the VAE, where the strategy has one.
    pub health: Option<Health>,
    /// What the person should know, a sentence each.
    pub warnings: Vec<String>,
    /// The last answer that was there when it began; 0 where it was not noted.
    pub answers: i64,
}

impl Measured {
    /// What a round kept; nothing of one that kept nothing.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        serde_json::from_value(serde_json::Value::Object(summary.more.clone())).unwrap_or_default()
    }
}

/// Why nothing can be trained yet, in plain words; `None` where it can.
///
/// # Errors
/// The store cannot be read.
pub fn obstacle(project: &Project) -> Result<Option<String>> {
    let mut counts = HashMap::new();
    for label in project.training_set()?.1 {
        *counts.entry(label).or_insert(0) += 1;
    }
    let ready = counts.values().filter(|&&labels| labels >= LABELS).count();
    Ok((ready < CLASSES).then(|| {
        let have = match ready {
            0 => "no class has",
            _ => "one class has",
        };
        format!("a training needs {CLASSES} classes with {LABELS} labels each, outside the holdout; so far {have} that many")
    }))
}

/// One round. Before there are enough labels it is round 0, which chooses for coverage and trains
/// nothing. Gives back its number.
///
/// # Errors
/// A training of this project that is under way, here or in another process; images that cannot be
/// read; what the training, the strategy or the store says; [`Error::Stopped`]. The round is then
/// kept as failed, and the queue stays as it was; predictions and model too, but where it is the
/// store that fails at the very end.
pub fn round(project: &mut Project, context: &Context, progress: &mut Progress<'_>) -> Result<u64> {
    let Some(_lock) = project.lock_training()? else {
        return Err(Error::input("a training of this project is under way")
            .at(project.folder().display())
            .hint("wait for it, or stop it where it was started")
            .into());
    };
    let settings = project.settings()?;
    let answers = project.last_answer()?;
    let cold = obstacle(project)?.is_some();
    let (ids, labels) = if cold { Default::default() } else { project.training_set()? };
    let strategy = if cold { COLD } else { &settings.strategy };
    let round = project.begin_round(strategy, ids.len(), settings.seed)?;
    let seed = Seed::new(settings.seed).child("round", round);
    let start = Instant::now();
    let mut warnings = Vec::new();
    let mut hear = |event: Event<'_>| {
        if let Event::Warning(text) = event {
            warnings.push(text.to_owned());
        }
        progress(event)
    };
    let work = Work { project, settings: &settings, context, seed };
    let done = if cold { work.cold(&mut hear) } else { work.train(&ids, &labels, &mut hear) };
    let done = done.and_then(|mut outcome| {
        outcome.measured.seconds = start.elapsed().as_secs_f64();
        outcome.measured.warnings = warnings;
        outcome.measured.answers = answers;
        let taken_back = project.taken_back(&[answers])?[0];
        if is_void(ids.len(), taken_back) {
            return Err(Error::input("the labels that it learnt were taken back meanwhile")
                .expected(format!("{} labels", ids.len()))
                .got(format!("{taken_back} of them taken back"))
                .hint("the next training begins by itself after more labels")
                .into());
        }
        if let Ok(serde_json::Value::Object(more)) = serde_json::to_value(&outcome.measured) {
            outcome.summary.more = more;
        }
        // Before the round is done, so that a round that is done has its model.
        if let Some(model) = &outcome.model {
            model.save(&project.folder().join(MODEL))?;
        }
        let Outcome { summary, predictions, queue, .. } = outcome;
        project.finish_round(round, &summary, &[], predictions, queue)
    });
    match done {
        Ok(()) => Ok(round),
        Err(error) => {
            let text = error.to_string();
            project.fail_round(round, text.lines().next().unwrap_or_default())?;
            Err(error)
        }
    }
}

/// Computes features of all images, so that the first training finds them; nothing where a network
/// is trained from scratch.
///
/// # Errors
/// What opening and running the backbone say; [`Error::Stopped`], and what was computed is kept.
pub fn prepare(project: &Project, context: &Context, progress: &mut Progress<'_>) -> Result<()> {
    let settings = project.settings()?;
    match context.backbone(project, &settings)? {
        Some(backbone) => context.see(project, &backbone, settings.seed, progress).map(drop),
        None => Ok(()),
    }
}

/// What a round leaves to the store.
#[derive(Default)]
struct Outcome {
    summary: Summary,
    measured: Measured,
    predictions: Vec<Prediction>,
    queue: Vec<Queued>,
    model: Option<Model>,
}

/// What a round looks at the images with.
struct With<'a> {
    rows: &'a Rows,
    /// What it was trained on, where that is more than pixels.
    features: Option<&'a Features>,
    learner: &'a dyn Learner,
    classifier: &'a dyn Classifier,
    /// The rows that it was trained on, with their labels.
    train: Vec<Id>,
    labels: Vec<Label>,
}

/// What is known of a training on features, before it.
fn measured(backbone: &Backbone) -> Measured {
    let spec = backbone.spec();
    Measured { size: spec.height.max(spec.width), backbone: Some(spec.name.clone()), ..Measured::default() }
}

struct Work<'a> {
    project: &'a Project,
    settings: &'a Settings,
    context: &'a Context,
    seed: Seed,
}

/// The project's images in memory, and which row is whose.
struct Loaded {
    images: Images,
    rows: Rows,
}

/// Height and width of what a network that is trained from scratch sees, in pixels.
fn size(settings: &Settings) -> usize {
    if settings.size == 0 { 64 } else { settings.size }
}

/// How the images of a project are read for a network that is trained from scratch.
#[must_use]
pub fn reading(settings: &Settings) -> Reading {
    Reading { size: size(settings), aspect: Aspect::Pad, colour: settings.colour, skip_bad: true }
}

/// The network and recipe of a project: narrow, and as many steps as a person waits for, a minute
/// or so of two cores at 64 × 64 pixels by default. Few labels get more passes, many at least
/// eight.
fn recipe(settings: &Settings, labels: usize) -> classify::Settings {
    let epochs = (settings.passes / labels.max(1)).clamp(8, 60);
    let milestones = vec![epochs * 7 / 10, epochs * 9 / 10];
    classify::Settings { epochs, milestones, minimum_steps: 0, ..classify::Settings::quick() }
}

impl Work<'_> {
    fn load(&self, progress: &mut Progress<'_>) -> Result<Loaded> {
        let (ids, paths): (Vec<ImageId>, Vec<PathBuf>) = self.project.paths()?.into_iter().unzip();
        let root = self.project.images_folder()?;
        let root = std::fs::canonicalize(&root).map_err(Error::io("read", &root))?;
        let cache = self.project.folder().join("cache");
        let reading = reading(self.settings);
        let (images, kept) = folder::read_files(&root, &paths, reading, Some(&cache), progress)?;
        let rows = Rows::new(kept.into_iter().map(|place| ids[place]).collect());
        Ok(Loaded { images, rows })
    }

    /// Images worth asking: open ones, one of each content.
    fn open(&self) -> Result<Vec<ImageId>> {
        let candidates = self.project.candidates()?;
        Ok(candidates.iter().filter(|c| c.state == State::Open).map(|c| c.image).collect())
    }

    /// The choice before there are labels: TypiClust over features.
    fn cold(&self, progress: &mut Progress<'_>) -> Result<Outcome> {
        let open = self.open()?;
        if open.is_empty() {
            return Ok(Outcome::default());
        }
        match self.context.backbone(self.project, self.settings)? {
            Some(backbone) => {
                // Of some alone, so that there are questions before all are looked at.
                let keys: Vec<Id> = open.iter().map(|image| image.0.cast_unsigned()).collect();
                let order = self.seed.order("cold", &keys);
                let some: Vec<ImageId> = order.iter().take(SAMPLE).map(|&place| open[place]).collect();
                let seen = Seen::sample(self.project, &backbone, &some, self.settings.seed, progress)?;
                let rows: Vec<Id> = (0..seen.rows.len() as Id).collect();
                let embedding = seen.features.rows(&rows)?;
                self.cover(&seen.rows, rows, embedding, measured(&backbone), progress)
            }
            None => {
                let loaded = self.load(progress)?;
                let rows = loaded.rows.of(open);
                let embedding = self.untrained(&loaded, &rows, progress)?;
                self.cover(&loaded.rows, rows, embedding, self.measured_scratch(), progress)
            }
        }
    }

    /// Features of a network that has not learnt yet, which tell textures apart.
    fn untrained(&self, loaded: &Loaded, rows: &[Id], progress: &mut Progress<'_>) -> Result<Array2<f32>> {
        let settings = recipe(self.settings, 0);
        let training = Training {
            images: &loaded.images,
            // The last layer, of which nothing is asked, has a class at least.
            classes: &[String::new()],
            settings: &settings,
            device: self.context.device,
            seed: self.seed,
        };
        let features =
            training.untrained(rows)?.signals(&loaded.images, rows, Needs::STAGES, self.seed, progress)?;
        let stages: Vec<Array2<f32>> = features.stages()?.into_iter().map(standardised).collect();
        let views: Vec<_> = stages.iter().map(|stage| stage.view()).collect();
        concatenate(Axis(1), &views)
            .map_err(|error| Error::input("the features do not fit together").got(error).into())
    }

    fn cover(
        &self,
        of: &Rows,
        rows: Vec<Id>,
        embedding: Array2<f32>,
        measured: Measured,
        progress: &mut Progress<'_>,
    ) -> Result<Outcome> {
        let unlabelled = Signals::new(rows).with_embedding(embedding)?;
        let labelled = Signals::default();
        // Of few images each would be a group of its own.
        let n = self.settings.first.max(COLD_QUEUE.min(unlabelled.len() / 4)).min(unlabelled.len());
        let query = Query {
            unlabelled: &unlabelled,
            labelled: &labelled,
            labels: &[],
            classes: 2,
            n,
            seed: self.seed,
        };
        let selection = STRATEGIES.by_name(COLD)?.select(&query, progress)?;
        let queue = queued(&selection, of, |name| name != term::PREDICTED);
        let measured = Measured { queued: queue.len(), ..measured };
        Ok(Outcome { queue, measured, ..Outcome::default() })
    }

    /// What is known of a network that is trained from scratch, before it is.
    fn measured_scratch(&self) -> Measured {
        Measured { size: size(self.settings), passes: self.settings.passes, ..Measured::default() }
    }

    fn train(&self, ids: &[ImageId], labels: &[Label], progress: &mut Progress<'_>) -> Result<Outcome> {
        let names: HashMap<Label, String> =
            self.project.classes()?.into_iter().map(|class| (class.id, class.name)).collect();
        // In the order of their ids, which never changes.
        let mut classes: Vec<Label> = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let place = |class: Label| classes.binary_search(&class).ok().map(|place| place as Label);
        let called: Vec<String> = classes
            .iter()
            .map(|class| names.get(class).cloned().unwrap_or_else(|| class.to_string()))
            .collect();
        let known = |rows: &Rows| -> (Vec<Id>, Vec<Label>) {
            let known = ids.iter().zip(labels);
            known.filter_map(|(&id, &label)| Some((rows.row(id)?, place(label)?))).unzip()
        };
        match self.context.backbone(self.project, self.settings)? {
            Some(backbone) => {
                let seen = self.context.see(self.project, &backbone, self.settings.seed, progress)?;
                let strength = Strength::Validated { balanced: self.settings.balanced };
                let learner = Heads { features: &seen.features, classes: classes.len(), strength };
                let (train, labels) = known(&seen.rows);
                let mut classifier = learner.fit(&train, &labels, self.seed, progress)?;
                let held_out = std::mem::take(&mut classifier.held_out);
                let head = seen.pca.head(&classifier.heads[0])?;
                let (spec, key) = (backbone.spec().clone(), backbone.key());
                let model = Model::Linear(LinearModel { head, classes: called, spec, key });
                let (rows, features) = (&seen.rows, Some(&seen.features));
                let with = With { rows, features, learner: &learner, classifier: &classifier, train, labels };
                let mut outcome = self.ask(with, classes, measured(&backbone), progress)?;
                // Of what it was trained on, a part of it that was fitted without.
                outcome.predictions.extend(
                    held_out
                        .into_iter()
                        .map(|(row, p)| Prediction { image: seen.rows.image(row), probabilities: p }),
                );
                Ok(Outcome { model: Some(model), ..outcome })
            }
            None => {
                let loaded = self.load(progress)?;
                let (train, labels) = known(&loaded.rows);
                let settings = recipe(self.settings, train.len());
                let device = self.context.device;
                let learner =
                    Trainer { images: &loaded.images, classes: &called, settings: &settings, device };
                let classifier = learner.fit(&train, &labels, None, self.seed, progress)?;
                let rows = &loaded.rows;
                let with =
                    With { rows, features: None, learner: &learner, classifier: &classifier, train, labels };
                let outcome = self.ask(with, classes, self.measured_scratch(), progress)?;
                Ok(Outcome { model: Some(Model::Network(classifier.scorer)), ..outcome })
            }
        }
    }

    /// Looks at all images with a trained classifier, and chooses what to ask next.
    fn ask(
        &self,
        with: With<'_>,
        classes: Vec<Label>,
        measured: Measured,
        progress: &mut Progress<'_>,
    ) -> Result<Outcome> {
        let With { rows, features, learner, classifier, train, labels } = with;
        let open = rows.of(self.open()?);
        let mut pool = Partition::new(&[train.clone(), open].concat())?;
        pool.learn(&train, &labels)?;
        let lens = Lens { learner, classifier, seed: self.seed };
        let strategy = Watched(STRATEGIES.by_name(&self.settings.strategy)?);
        let (unlabelled, labelled) = look(lens, &pool, &strategy, progress)?;
        let signals = (&unlabelled, &labelled);
        let seed = self.seed.child("query", 0);
        let n = self.settings.budget.min(unlabelled.len());
        let selection = choose(&strategy, &pool, signals, classes.len(), n, seed, progress)?;

        // Everything else that was not trained on: the holdout, what was put off, copies.
        let seen: HashSet<Id> = pool.labelled().iter().chain(pool.unlabelled()).copied().collect();
        let rest: Vec<Id> = (0..rows.len() as Id).filter(|row| !seen.contains(row)).collect();
        let rest = classifier.signals(&rest, Needs::PROBABILITIES, self.seed, progress)?;
        let mut predictions = Vec::with_capacity(rows.len());
        for signals in [&unlabelled, &rest] {
            if signals.is_empty() {
                continue;
            }
            let p = signals.probabilities()?;
            predictions.extend(
                signals
                    .ids()
                    .iter()
                    .zip(p.rows())
                    .map(|(&row, p)| Prediction { image: rows.image(row), probabilities: p.to_vec() }),
            );
        }

        let query = Query {
            unlabelled: &unlabelled,
            labelled: &labelled,
            labels: pool.labels(),
            classes: classes.len(),
            n,
            seed,
        };
        let shares = query::summary::classes(&query, &selection)?;
        let predicted: HashMap<ImageId, Label> = predictions
            .iter()
            .map(|p| (p.image, classes[query::arrays::argmax(p.probabilities.iter().copied()) as usize]))
            .collect();
        let before = self.project.predicted()?;
        let pairs =
            before.iter().filter_map(|(id, class)| Some((u64::from(*class), u64::from(*predicted.get(id)?))));
        let mut queue = queued(&selection, rows, |_| true);
        let mut alike = None;
        if let Some(features) = features {
            let among = features.rows(pool.labelled())?;
            let among = alike::directions(among.view());
            let asked = alike::directions(features.rows(&selection.ids)?.view());
            for (queued, nearest) in queue.iter_mut().zip(alike::nearest(&asked, &among, false)) {
                queued.terms.push((term::NEAREST.into(), nearest));
            }
            let some = among.slice(ndarray::s![..among.nrows().min(SAMPLE), ..]).to_owned();
            alike = alike::usual(alike::nearest(&some, &some, true));
        }
        let measured = Measured {
            train: shares.iter().map(|share| share.labelled).collect(),
            holdout: self.measure(&predicted)?,
            agreement: estimate::agreement(pairs),
            pool: shares.iter().filter_map(|share| share.pool).collect(),
            queue: shares.iter().filter_map(|share| share.picks).collect(),
            queued: queue.len(),
            health: selection.health.clone(),
            ..measured
        };
        let health = selection.health.as_ref();
        let summary = Summary {
            difficulty: health.map(|health| health.difficulty.clone()).unwrap_or_default(),
            prior: health.map(|health| health.prior.clone()).unwrap_or_default(),
            classes,
            alike,
            ..Summary::default()
        };
        Ok(Outcome { summary, measured, predictions, queue, model: None })
    }

    /// Class, right answers and images, of each class that the holdout has labels of.
    fn measure(&self, predicted: &HashMap<ImageId, Label>) -> Result<Vec<(Label, usize, usize)>> {
        let (ids, labels) = self.project.holdout_set()?;
        let mut of = std::collections::BTreeMap::<Label, (usize, usize)>::new();
        for (id, label) in ids.iter().zip(labels) {
            // An image that could not be read says nothing.
            if let Some(&class) = predicted.get(id) {
                let (right, n) = of.entry(label).or_default();
                *right += usize::from(class == label);
                *n += 1;
            }
        }
        Ok(of.into_iter().map(|(class, (right, n))| (class, right, n)).collect())
    }
}

/// A strategy that is also shown the probabilities, which the page wants of every image: one pass
/// instead of two.
struct Watched(Box<dyn Strategy>);

impl Strategy for Watched {
    fn needs(&self) -> Needs {
        self.0.needs().and(Needs::PROBABILITIES)
    }

    fn needs_of_labelled(&self) -> Needs {
        self.0.needs_of_labelled()
    }

    fn is_batch(&self) -> bool {
        self.0.is_batch()
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        self.0.select(query, progress)
    }
}

/// The selection as the store wants it: images of the project, and the terms that `keep` names.
fn queued(selection: &Selection, rows: &Rows, keep: impl Fn(&str) -> bool) -> Vec<Queued> {
    let terms = |n: usize| {
        let kept = selection.terms.iter().filter(|term| keep(term.name));
        kept.map(|term| (term.name.to_owned(), term.values[n])).collect()
    };
    let chosen = selection.ids.iter().zip(&selection.scores).enumerate();
    chosen.map(|(n, (&row, &score))| Queued { image: rows.image(row), score, terms: terms(n) }).collect()
}

/// Each column with mean 0 and variance 1; a constant one is 0.
fn standardised(x: ndarray::ArrayView2<'_, f32>) -> Array2<f32> {
    let mut x = x.to_owned();
    for mut column in x.columns_mut() {
        let n = column.len().max(1) as f64;
        let mean = column.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = column.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        let scale = if variance > 1e-24 { variance.sqrt().recip() } else { 0.0 };
        column.mapv_inplace(|v| ((f64::from(v) - mean) * scale) as f32);
    }
    x
}
