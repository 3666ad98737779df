//! The grid: every strategy with every seed, round by round, each finished step stored before the
//! next.
//!
//! A round is two steps: a classifier trained and measured; images asked. Both are functions of the
//! configuration, the seed and what the store holds, so a run that was killed goes on as if it had
//! not been. The runs of linear classifiers, which are short and do not depend on one another, are
//! shared out over threads; networks are trained one after another. Never here: what the data and
//! the learner are (`run`), how the store keeps its promise, what a front end shows.

use std::collections::HashMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;

use super::asked;
use super::begin::describe;
use super::bound::ClassBalanced;
use super::measure::measured;
use super::observe::{EVALUATE, Event, FEATURES, Listener, Observer, Reporter, SELECT, TRAIN};
use super::record::{Asked, Phase, Pick, RoundRecord, RunRecord, Summary};
use super::run::{Outcome, outcome};
use super::store::{Progressed, Store};
use super::thumbnail::{self, Thumbnail};
use crate::active::{Classifier, HiddenLabels, Learner, Lens, Oracle, Partition, Role, choose, look};
use crate::config::{self, Config};
use crate::data::{DataSet, Items};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::metrics::Metrics;
use crate::progress::{self, Flow};
use crate::query::{Needs, Selection, Signals, Strategy};
use crate::rng::Seed;
use crate::{Id, Label};

/// What stays the same over the grid, and what its workers share.
struct Grid<'a, T> {
    config: &'a Config,
    data: &'a DataSet<T>,
    learner: &'a dyn Learner,
    out: PathBuf,
    weights: PathBuf,
    summary: Summary,
    ledger: Mutex<Ledger>,
    /// The first round of every seed, which all strategies share: same pool, same weights, same
    /// quality. Held by the worker that trains it; the others wait.
    firsts: HashMap<u64, Mutex<Option<RoundRecord>>>,
    reporter: Reporter<'a>,
}

/// The store, and the runs that nobody has taken yet.
struct Ledger {
    store: Store,
    /// Strategy and seed, in the order in which runs begin.
    runs: vec::IntoIter<(String, u64)>,
    /// Runs as an earlier start left them.
    stored: HashMap<(String, u64), Progressed>,
    /// The first pool of every seed.
    pools: HashMap<u64, Vec<Pick>>,
}

impl Ledger {
    /// The next run, begun unless an earlier start began it. Runs begin in the same order,
    /// whichever worker takes them.
    fn next(&mut self) -> Result<Option<Progressed>> {
        let Some((strategy, seed)) = self.runs.next() else { return Ok(None) };
        if let Some(progressed) = self.stored.remove(&(strategy.clone(), seed)) {
            return Ok(Some(progressed));
        }
        let initial = self.pools.get(&seed).cloned().unwrap_or_default();
        let run = self.store.begin(&strategy, seed, &initial)?;
        Ok(Some(Progressed { run, initial, record: RunRecord { strategy, seed, rounds: Vec::new() } }))
    }
}

/// Who takes runs, one after another.
struct Worker<'a> {
    /// Counted from 0.
    number: usize,
    /// The classifier of a seed's first round, where this worker trained or read it.
    first: Option<(u64, Rc<dyn Classifier + 'a>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn grid<T: Items>(
    (config, pools): (&Config, HashMap<u64, Vec<Pick>>),
    mut store: Store,
    out: &Path,
    device: Device,
    data: &DataSet<T>,
    learner: &dyn Learner,
    observer: &mut Observer<'_>,
) -> Result<Outcome> {
    let weights = out.join("weights");
    fs::create_dir_all(&weights).map_err(Error::io("create", &weights))?;
    let summary = describe(&mut store, out, config, data, device)?;
    let mut stored: HashMap<(String, u64), Progressed> = HashMap::new();
    for run in store.runs()? {
        stored.insert((run.record.strategy.clone(), run.record.seed), run);
    }
    let first = |&seed: &u64| {
        let run = stored.values().filter(|run| run.record.seed == seed);
        (seed, Mutex::new(run.filter_map(|run| run.record.rounds.first()).next().cloned()))
    };
    let firsts = config.seeds.iter().map(first).collect();
    let mut runs: Vec<(String, u64)> = config.runs().collect();
    let done = runs.iter().filter_map(|run| stored.get(run)).map(|run| run.record.rounds.len()).sum();
    // What is stored counts as done when a worker takes it.
    runs.sort_by_key(|run| !stored.contains_key(run));
    let workers = match config.classifier {
        config::Classifier::Linear(_) | config::Classifier::Frozen(_) => {
            rayon::current_num_threads().clamp(1, runs.len())
        }
        config::Classifier::Network(_) => 1,
    };
    let count = runs.len();
    let mut grid = Grid {
        config,
        data,
        learner,
        out: out.to_path_buf(),
        weights,
        summary: summary.clone(),
        ledger: Mutex::new(Ledger { store, runs: runs.into_iter(), stored, pools }),
        firsts,
        reporter: Reporter::new(observer, workers),
    };
    let mut total = 0.0;
    for name in &config.strategies {
        let strategy = grid.strategy(name)?;
        total += grid.rounds().map(|round| grid.round_cost(&*strategy, round)).sum::<f64>()
            * config.seeds.len() as f64;
    }
    grid.reporter.total = total;
    let rounds = grid.rounds().count() * count;
    if grid.reporter.tell(Event::Begun { summary: &summary, done, rounds }) == Flow::Stop {
        return Err(Error::Stopped);
    }
    grid.share_out(workers)?;
    let Ledger { store, .. } = grid.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = outcome(&store, false)?;
    store.finish(config)?;
    Ok(outcome)
}

impl<'a, T: Items> Grid<'a, T> {
    /// Runs all that is left on so many workers.
    fn share_out(&self, workers: usize) -> Result<()> {
        if workers == 1 {
            // On this thread, to which a device may belong.
            return self.work(0);
        }
        // Each in a pool of one thread. In a common pool all would wait for the few threads that
        // are not workers, and a worker that waits for a first round might be given work by the one
        // that trains it, and wait for itself.
        let alone = || {
            rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| {
                Error::from(
                    Error::input("a thread cannot be started").got(error).hint("set RAYON_NUM_THREADS=1"),
                )
            })
        };
        let results: Vec<Result<()>> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..workers).map(|n| scope.spawn(move || alone()?.install(|| self.work(n)))).collect();
            let ends = workers.into_iter().map(|worker| worker.join());
            ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        // One that only stopped did so because of another, which says why.
        let errors = results.into_iter().filter_map(Result::err);
        let error = errors.reduce(|one, other| if matches!(one, Error::Stopped) { other } else { one });
        error.map_or(Ok(()), Err)
    }

    /// Takes runs until none is left. An error stops the other workers too.
    fn work(&self, number: usize) -> Result<()> {
        let mut worker = Worker { number, first: None };
        let next = || match self.reporter.is_stopped() {
            true => Err(Error::Stopped),
            false => lock(&self.ledger).next(),
        };
        let mut all = || {
            while let Some(progressed) = next()? {
                self.run(progressed, &mut worker)?;
            }
            Ok(())
        };
        let result = all();
        if result.is_err() {
            self.reporter.stop();
        }
        result
    }

    /// The strategy called `name`, or the bound.
    fn strategy(&self, name: &str) -> Result<Box<dyn Strategy + 'a>> {
        if config::is_bound(name) {
            return Ok(Box::new(ClassBalanced(&self.data.items)));
        }
        self.config.strategy(name)
    }

    /// Labelled images that a round trains on.
    fn labelled(&self, round: usize) -> usize {
        let rounds = &self.config.rounds;
        rounds.initial.saturating_add((round - 1).saturating_mul(rounds.budget)).min(self.data.pool.len())
    }

    /// The rounds of every run: as many as asked, unless the pool ends before.
    fn rounds(&self) -> RangeInclusive<usize> {
        let (initial, budget) = (self.config.rounds.initial, self.config.rounds.budget);
        let left = self.data.pool.len().saturating_sub(initial);
        1..=self.config.rounds.count.min(1 + left.div_ceil(budget))
    }

    fn is_last(&self, round: usize) -> bool {
        self.rounds().last() == Some(round)
    }

    /// Image passes of training and measuring.
    fn train_cost(&self, round: usize) -> f64 {
        self.config.classifier.passes(self.labelled(round)) + self.data.test.len() as f64
    }

    /// Image passes of looking at both pools and choosing: (looking, choosing). A VAE costs about
    /// half a pass of a network for each image, VAAL's networks something like it; classifiers that
    /// are trained for the strategy alone cost what the round's own does.
    fn ask_cost(&self, strategy: &dyn Strategy, round: usize) -> (f64, f64) {
        let needs = strategy.needs();
        let pool = self.data.pool.len() as f64;
        if needs == Needs::IDS || self.is_last(round) {
            return (0.0, 0.0);
        }
        let one_pass = needs.of_one_pass();
        let mut look = if one_pass == Needs::IDS || one_pass == Needs::IMAGES { 0.0 } else { pool };
        let mut trained = needs.committee.saturating_sub(1) as f64;
        look += needs.committee as f64 * pool;
        if let Some(monte_carlo) = needs.monte_carlo {
            look += monte_carlo.draws as f64 * pool;
            trained += match &self.config.classifier {
                config::Classifier::Network(network) => {
                    f64::from(u8::from(monte_carlo.dropout != network.dropout))
                }
                config::Classifier::Linear(_) | config::Classifier::Frozen(_) => monte_carlo.draws as f64,
            };
        }
        look += trained * self.train_cost(round);
        let vae = match &self.config.classifier {
            config::Classifier::Network(_) => 0.5,
            config::Classifier::Linear(_) | config::Classifier::Frozen(_) => 100.0,
        };
        (look, if needs.stages || needs.images { vae * pool } else { 0.0 })
    }

    fn round_cost(&self, strategy: &dyn Strategy, round: usize) -> f64 {
        let (look, choose) = self.ask_cost(strategy, round);
        self.train_cost(round) + look + choose
    }

    /// One run, from where it stands to its last round.
    fn run(&self, progressed: Progressed, worker: &mut Worker<'a>) -> Result<()> {
        let Progressed { run, initial, mut record } = progressed;
        let strategy = self.strategy(&record.strategy)?;
        let mut pool = Partition::new(&self.data.pool)?;
        learn(&mut pool, &initial)?;
        for round in self.rounds() {
            let mut classifier = None;
            if record.rounds.len() < round {
                let (made, frozen) = self.train(run, &record, round, &pool, worker)?;
                record.rounds.push(made);
                classifier = frozen;
            } else {
                self.reporter.finish(worker.number, self.train_cost(round));
            }
            if self.is_last(round) {
                break;
            }
            if record.rounds[round - 1].picks.is_empty() {
                let asked = self.ask(run, &record, round, &pool, (&*strategy, classifier), worker)?;
                record.rounds[round - 1] = asked;
            } else {
                let (look, choose) = self.ask_cost(&*strategy, round);
                self.reporter.finish(worker.number, look + choose);
            }
            learn(&mut pool, &record.rounds[round - 1].picks)?;
        }
        Ok(())
    }

    /// Where the weights of a round are; those of the first are the same for every strategy, and no
    /// name of a strategy has a dot.
    fn weights(&self, run: &RunRecord, round: usize) -> PathBuf {
        self.weights.join(match round {
            1 => format!("first.{}.safetensors", run.seed),
            _ => format!("{}-{}.safetensors", run.strategy, run.seed),
        })
    }

    fn classifier_seed(seed: u64, round: usize) -> Seed {
        Seed::new(seed).child("classifier", round as u64)
    }

    /// The first step of a round: trains, measures, stores.
    fn train(
        &self,
        run: i64,
        so_far: &RunRecord,
        round: usize,
        pool: &Partition,
        worker: &mut Worker<'a>,
    ) -> Result<(RoundRecord, Option<Rc<dyn Classifier + 'a>>)> {
        let (name, seed) = (so_far.strategy.as_str(), so_far.seed);
        let cost = self.train_cost(round);
        let mut first = self.firsts.get(&seed).filter(|_| round == 1).map(lock);
        let shared = first.as_deref().and_then(Option::as_ref);
        let (record, classifier, warnings) = if let Some(shared) = shared {
            // What this strategy would have paid on its own stays in its record.
            let record = RoundRecord {
                picks: Vec::new(),
                asked: None,
                vae: None,
                phases: shared.phases.iter().filter(|phase| own(phase)).cloned().collect(),
                ..shared.clone()
            };
            first = None;
            (record, None, Vec::new())
        } else {
            let mut listener = Listener::new(&self.reporter, worker.number, (name, seed, round));
            let seed = Self::classifier_seed(seed, round);
            let test_cost = self.data.test.len() as f64;
            let (classifier, train) = measured(TRAIN, || {
                listener.phase(TRAIN, 0.0, cost - test_cost);
                let (ids, labels) = (pool.labelled(), pool.labels());
                self.learner.train(ids, labels, Role::Round, seed, &mut |event| listener.hear(event))
            })?;
            let (metrics, evaluate) = measured(EVALUATE, || {
                listener.phase(EVALUATE, cost - test_cost, test_cost);
                let test = &self.data.test;
                let signals = classifier
                    .signals(test, Needs::PROBABILITIES, seed, &mut |event| listener.hear(event))?;
                let labels: Vec<Label> = test.iter().map(|&id| self.data.items.label(id)).collect();
                Ok(Metrics::of(signals.probabilities()?, &labels))
            })?;
            let record = RoundRecord {
                round,
                class_counts: pool.class_counts(self.data.items.classes().len()),
                unlabelled: pool.unlabelled().len(),
                metrics,
                picks: Vec::new(),
                asked: None,
                vae: None,
                phases: vec![train, evaluate],
            };
            // Before the round is stored: a stored round always has its weights.
            classifier.save(&self.weights(so_far, round))?;
            let classifier: Rc<dyn Classifier + 'a> = classifier.into();
            (record, Some(classifier), listener.warnings)
        };
        lock(&self.ledger).store.put_round(run, &record, &self.summary.rare, &warnings)?;
        if let Some(mut first) = first {
            worker.first = classifier.clone().map(|classifier| (seed, classifier));
            *first = Some(record.clone());
        }
        let rare_share = super::summary::rare_share(&record, &self.summary.rare);
        self.reporter.finish(worker.number, cost);
        if self.reporter.round(name, seed, &record, rare_share) == Flow::Stop {
            return Err(Error::Stopped);
        }
        Ok((record, classifier))
    }

    /// The second step of a round: looks at both pools, chooses, asks, stores. Gives back the
    /// round's record with what was asked.
    fn ask(
        &self,
        run: i64,
        so_far: &RunRecord,
        round: usize,
        pool: &Partition,
        (strategy, classifier): (&dyn Strategy, Option<Rc<dyn Classifier + 'a>>),
        worker: &mut Worker<'a>,
    ) -> Result<RoundRecord> {
        let (name, seed) = (so_far.strategy.as_str(), so_far.seed);
        let (look_cost, choose_cost) = self.ask_cost(strategy, round);
        let mut listener = Listener::new(&self.reporter, worker.number, (name, seed, round));
        let known = worker.first.as_ref().filter(|(of, _)| round == 1 && *of == seed);
        let classifier = match classifier.or_else(|| known.map(|(_, classifier)| classifier.clone())) {
            Some(classifier) => classifier,
            None => self.again(so_far, round, pool, &mut listener)?,
        };
        if round == 1 {
            worker.first = Some((seed, classifier.clone()));
        }
        let ((unlabelled, labelled), features) = measured(FEATURES, || {
            listener.phase(FEATURES, 0.0, look_cost);
            let seed = Self::classifier_seed(seed, round);
            let lens = Lens { learner: self.learner, classifier: &*classifier, seed };
            look(lens, pool, strategy, &mut |event| listener.hear(event))
        })?;
        let classes = self.data.items.classes().len();
        let query_seed = Seed::new(seed).child("query", round as u64);
        let budget = self.config.rounds.budget;
        let n = asked::longest(strategy, budget, pool.unlabelled().len());
        let (mut selection, select) = measured(SELECT, || {
            listener.phase(SELECT, look_cost, choose_cost);
            let signals = (&unlabelled, &labelled);
            choose(strategy, pool, signals, classes, n, query_seed, &mut |event| listener.hear(event))
        })?;
        let of = (strategy, &*classifier, Self::classifier_seed(seed, round));
        let was_asked = self.asked(of, &unlabelled, &selection, &mut listener)?;
        asked::cut(&mut selection, budget);
        let labels = HiddenLabels(&self.data.items).label(&selection.ids)?;
        self.keep_pictures(seed, &selection.ids)?;
        if let Some(model) = &selection.model {
            files::write(&self.weights.join(format!("{name}-{seed}.model.safetensors")), model)?;
        }
        let warnings = listener.warnings;
        let phases = [features, select];
        let mut record = so_far.rounds[round - 1].clone();
        record.phases.extend(phases.iter().cloned());
        record.asked = Some(was_asked);
        record.vae = selection.health.clone();
        record.picks = picks(&selection, &labels);
        lock(&self.ledger).store.put_picks(run, &record, &phases, &warnings)?;
        self.reporter.finish(worker.number, look_cost + choose_cost);
        Ok(record)
    }

    /// What the round's classifier makes of what `strategy` asks for, of a selection that is as
    /// long as it can be.
    fn asked(
        &self,
        (strategy, classifier, seed): (&dyn Strategy, &dyn Classifier, Seed),
        unlabelled: &Signals<'_>,
        selection: &Selection,
        listener: &mut Listener<'_, '_>,
    ) -> Result<Asked> {
        let Selection { ids, scores, .. } = selection;
        let picks = ids.len().min(self.config.rounds.budget);
        // Equal scores tell nothing: no need to know where the classifier errs.
        let ranks = !strategy.is_batch() && scores.first() != scores.last();
        let ids = if ranks { ids } else { &ids[..picks] };
        let predicted: HashMap<Id, Label> = match unlabelled.predicted() {
            Ok(predicted) => unlabelled.ids().iter().copied().zip(predicted).collect(),
            Err(_) => {
                let mut hear = |event: progress::Event<'_>| listener.hear(event);
                let signals = classifier.signals(ids, Needs::PREDICTED, seed, &mut hear)?;
                ids.iter().copied().zip(signals.predicted()?).collect()
            }
        };
        let wrong = |id: &Id| predicted.get(id) != Some(&self.data.items.label(*id));
        let errors: Vec<bool> = ids.iter().map(wrong).collect();
        let wrong_share = errors[..picks].iter().filter(|&&error| error).count() as f64 / picks.max(1) as f64;
        let error_auc = match (strategy.is_batch(), ranks) {
            (true, _) => None,
            (_, true) => asked::error_auc(scores, &errors),
            (_, false) => Some(0.5),
        };
        Ok(Asked { wrong_share, error_auc })
    }

    /// Keeps small pictures of what was asked first, for the report: of the lowest seed, which it
    /// shows.
    fn keep_pictures(&self, seed: u64, ids: &[Id]) -> Result<()> {
        if self.config.seeds.iter().min() != Some(&seed) {
            return Ok(());
        }
        // Strategies ask for the same images: one writes a picture at a time.
        let _ledger = lock(&self.ledger);
        for &id in ids.iter().take(thumbnail::PER_ROUND) {
            if let Some((shape, pixels)) = self.data.items.items().picture(id) {
                thumbnail::write(&self.out, id, &Thumbnail::of(shape, pixels)?)?;
            }
        }
        Ok(())
    }

    /// The classifier of a round that an earlier start stored: read back, or where its file is
    /// lost, trained again, which gives the same.
    fn again(
        &self,
        so_far: &RunRecord,
        round: usize,
        pool: &Partition,
        listener: &mut Listener<'_, '_>,
    ) -> Result<Rc<dyn Classifier + 'a>> {
        let path = self.weights(so_far, round);
        let classifier = match self.learner.load(&path) {
            Ok(classifier) => classifier,
            Err(_) => {
                let seed = Self::classifier_seed(so_far.seed, round);
                let (ids, labels) = (pool.labelled(), pool.labels());
                self.learner.train(ids, labels, Role::Round, seed, &mut |event| listener.hear(event))?
            }
        };
        Ok(classifier.into())
    }
}

/// Whether a phase belongs to the step that the strategies share.
fn own(phase: &Phase) -> bool {
    phase.name == TRAIN || phase.name == EVALUATE
}

fn learn(pool: &mut Partition, picks: &[Pick]) -> Result<()> {
    let (ids, labels): (Vec<Id>, Vec<Label>) = picks.iter().map(|pick| (pick.id, pick.label)).unzip();
    pool.learn(&ids, &labels)
}

fn picks(selection: &Selection, labels: &[Label]) -> Vec<Pick> {
    let terms =
        |row: usize| selection.terms.iter().map(|term| (term.name.to_string(), term.values[row])).collect();
    let rows = selection.ids.iter().zip(&selection.scores).zip(labels).enumerate();
    rows.map(|(row, ((&id, &score), &label))| Pick { id, label, score, terms: terms(row) }).collect()
}
