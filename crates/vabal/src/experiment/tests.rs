//! The grid with a learner that needs no network: sharing, resuming, and what a folder refuses.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::*;
use crate::active::{Classifier, Heads, Learner, Role, Strength};
use crate::config::Config;
use crate::data::{DataSet, Features, Labelled};
use crate::error::Error;
use crate::progress::{Flow, Progress, report};
use crate::query::arrays::MonteCarlo;
use crate::query::{Needs, Signals};
use crate::rng::Seed;
use crate::{Id, Label};

/// "Trains" to a digest of everything that a training may depend on.
#[derive(Default)]
struct Digesting {
    trained: AtomicUsize,
}

struct Digested(Vec<u8>);

impl Learner for Digesting {
    fn train(
        &self,
        ids: &[Id],
        labels: &[Label],
        role: Role,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Box<dyn Classifier + '_>> {
        for done in 0..=2 {
            let event = crate::Event::Progress { phase: "train", done, total: 2, unit: "step", loss: None };
            report(progress, event)?;
        }
        self.trained.fetch_add(1, Ordering::SeqCst);
        let hash = Sha256::new().chain_update(format!("{ids:?} {labels:?} {role:?} {seed:?}"));
        Ok(Box::new(Digested(hash.finalize().to_vec())))
    }

    fn load(&self, path: &Path) -> Result<Box<dyn Classifier + '_>> {
        Ok(Box::new(Digested(fs::read(path).map_err(Error::io("read", path))?)))
    }
}

impl Classifier for Digested {
    fn gives(&self, _: MonteCarlo) -> bool {
        false
    }

    fn signals(
        &self,
        ids: &[Id],
        needs: Needs,
        _: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        report(progress, crate::Event::Warning("a digest is no classifier"))?;
        let mut p = Array2::from_shape_fn((ids.len(), 10), |(row, class)| {
            let digest = Sha256::new().chain_update(&self.0).chain_update(ids[row].to_le_bytes()).finalize();
            1.0 + f32::from(digest[class])
        });
        for mut row in p.rows_mut() {
            row /= row.sum();
        }
        let stages = if needs.stages { vec![p.clone(); 4] } else { vec![p.clone()] };
        Signals::new(ids.to_vec()).with_probabilities(p)?.with_stages(stages)
    }

    fn save(&self, path: &Path) -> Result<()> {
        fs::write(path, &self.0).map_err(Error::io("write", path))
    }
}

fn data() -> DataSet {
    let mut data = crate::data::demo::read().unwrap();
    data.pool = data.pool.iter().copied().step_by(60).collect();
    data.test = data.test.iter().copied().step_by(20).collect();
    data
}

fn config(sets: &[&str]) -> Config {
    let text = "preset = \"quick\"\nseeds = [1, 2]\nstrategies = [\"random\", \"entropy\", \"margin\"]\n\
                [rounds]\ninitial = 20\nbudget = 15\ncount = 3\n";
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    Config::parse(text, "test", "test", &sets).unwrap()
}

fn go_on(_: Event<'_>) -> Flow {
    Flow::Continue
}

/// What must be the same bit for bit: everything but the time.
fn results(folder: &Path) -> Vec<RunRecord> {
    let (_, mut runs) = read(folder).unwrap();
    for round in runs.iter_mut().flat_map(|run| &mut run.rounds) {
        round.phases.clear();
    }
    runs
}

#[test]
fn every_strategy_starts_from_the_same_pool_and_the_same_first_classifier_of_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    let learner = Digesting::default();
    let outcome = run_with(&config(&[]), folder.path(), &data(), &learner, &mut go_on).unwrap();
    assert_eq!(outcome.runs.len(), 6);
    // 2 first rounds, and 2 more rounds of 3 strategies with 2 seeds.
    assert_eq!(learner.trained.load(Ordering::SeqCst), 2 + 2 * 3 * 2);
    for runs in outcome.runs.chunks(3) {
        for run in runs {
            let labelled: Vec<usize> = run.rounds.iter().map(record::RoundRecord::labelled).collect();
            assert_eq!(labelled, [20, 35, 50]);
            assert_eq!(run.rounds[0].metrics, runs[0].rounds[0].metrics);
            assert_eq!(run.rounds[0].class_counts, runs[0].rounds[0].class_counts);
            assert!(run.rounds[2].picks.is_empty() && run.rounds[2].unlabelled == 50);
        }
        assert_ne!(runs[0].rounds[0].picks, runs[1].rounds[0].picks);
    }
    let (one, two) = (&outcome.runs[0].rounds[0], &outcome.runs[3].rounds[0]);
    assert_ne!((&one.metrics, &one.class_counts), (&two.metrics, &two.class_counts), "seeds differ");
}

#[test]
fn an_experiment_stopped_at_any_event_ends_as_if_it_had_not_been_stopped() {
    let (config, data) = (config(&["strategies=[random,entropy]"]), data());
    let whole = tempfile::tempdir().unwrap();
    let mut events = 0;
    let mut count = |_: Event<'_>| {
        events += 1;
        Flow::Continue
    };
    run_with(&config, whole.path(), &data, &Digesting::default(), &mut count).unwrap();
    let expected = results(whole.path());
    assert!(events > 50);
    for stop in (1..events).step_by(3) {
        let folder = tempfile::tempdir().unwrap();
        let mut heard = 0;
        let mut stop_once = |_: Event<'_>| {
            heard += 1;
            if heard == stop { Flow::Stop } else { Flow::Continue }
        };
        let learner = Digesting::default();
        let stopped = run_with(&config, folder.path(), &data, &learner, &mut stop_once);
        assert!(matches!(stopped, Err(Error::Stopped)), "at event {stop}");
        if stop % 2 == 0 {
            // Lost weights are made again.
            fs::remove_dir_all(folder.path().join("weights")).unwrap();
        }
        run_with(&config, folder.path(), &data, &learner, &mut go_on).unwrap();
        assert_eq!(results(folder.path()), expected, "at event {stop}");
    }
}

#[test]
fn no_name_of_a_strategy_takes_the_place_of_the_shared_weights() {
    let folder = tempfile::tempdir().unwrap();
    let variant = "strategy.first={ kind = \"vabal-paper\", epochs = 1, draws = 2 }";
    let config = config(&["strategies=[first,entropy]", "seeds=[1]", variant]);
    run_with(&config, folder.path(), &data(), &Digesting::default(), &mut go_on).unwrap();
    let files = fs::read_dir(folder.path().join("weights")).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected =
        ["entropy-1.safetensors", "first-1.model.safetensors", "first-1.safetensors", "first.1.safetensors"];
    assert_eq!(names, expected);
}

#[test]
fn pictures_are_kept_of_the_first_picks_of_the_lowest_seed_and_of_no_others() {
    let (folder, data) = (tempfile::tempdir().unwrap(), data());
    let config = config(&["seeds=[2, 1]", "strategies=[random,entropy]"]);
    let outcome = run_with(&config, folder.path(), &data, &Digesting::default(), &mut go_on).unwrap();
    let first = |run: &&RunRecord| run.seed == 1;
    let rounds: Vec<_> = outcome.runs.iter().filter(first).flat_map(|run| &run.rounds).collect();
    let picks = rounds.iter().flat_map(|round| round.picks.iter().take(thumbnail::PER_ROUND));
    let shown: std::collections::BTreeSet<Id> = picks.map(|pick| pick.id).collect();
    assert!(shown.len() > thumbnail::PER_ROUND);
    assert_eq!(fs::read_dir(folder.path().join("thumbnails")).unwrap().count(), shown.len());
    for id in shown {
        let kept = thumbnail::read(folder.path(), id).unwrap().unwrap();
        // Grey, and small enough to be kept as it is.
        let pixels: Vec<u8> = data.items.images().pixels(id).iter().flat_map(|&value| [value; 3]).collect();
        assert_eq!(kept.rgb, pixels, "id {id}");
    }
}

#[test]
fn a_finished_experiment_is_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let learner = Digesting::default();
    let first = run_with(&config(&[]), folder.path(), &data(), &learner, &mut go_on).unwrap();
    let trained = learner.trained.load(Ordering::SeqCst);
    let again = run_with(&config(&[]), folder.path(), &data(), &learner, &mut go_on).unwrap();
    assert!(again.already && !first.already);
    assert_eq!((again.runs, learner.trained.load(Ordering::SeqCst)), (first.runs, trained));
}

#[test]
fn seeds_and_strategies_may_be_added_to_an_experiment_that_is_finished_or_was_stopped() {
    let whole = tempfile::tempdir().unwrap();
    run_with(&config(&[]), whole.path(), &data(), &Digesting::default(), &mut go_on).unwrap();
    for stop_after in [1, 4, usize::MAX] {
        let (folder, learner) = (tempfile::tempdir().unwrap(), Digesting::default());
        let begin = config(&["seeds=[2]", "strategies=[margin,random]"]);
        let mut rounds = 0;
        let mut stop = |event: Event<'_>| {
            rounds += usize::from(matches!(event, Event::Round { .. }));
            if rounds >= stop_after { Flow::Stop } else { Flow::Continue }
        };
        let begun = run_with(&begin, folder.path(), &data(), &learner, &mut stop);
        assert_eq!(begun.is_ok(), stop_after == usize::MAX);
        let trained = learner.trained.load(Ordering::SeqCst);
        let grown = run_with(&config(&[]), folder.path(), &data(), &learner, &mut go_on).unwrap();
        assert!(!grown.already);
        assert_eq!(grown.summary.config, config(&[]).to_toml().unwrap());
        assert_eq!(results(folder.path()), results(whole.path()), "stopped after {stop_after} rounds");
        if stop_after == usize::MAX {
            // Of two seeds each the first round, once, and two more rounds of three strategies.
            assert_eq!((trained, learner.trained.load(Ordering::SeqCst)), (5, 14));
        }
        assert!(run_with(&config(&[]), folder.path(), &data(), &learner, &mut go_on).unwrap().already);
        // What was asked for and stopped at once may be dropped again.
        let other = config(&["seeds=[7]", "strategies=[entropy]"]);
        let mut at_once = |_: Event<'_>| Flow::Stop;
        let stopped = run_with(&other, folder.path(), &data(), &learner, &mut at_once);
        assert!(matches!(stopped, Err(Error::Stopped)));
        assert!(run_with(&config(&[]), folder.path(), &data(), &learner, &mut go_on).unwrap().already);
        // With fewer there is nothing left to do, and nothing is lost.
        let fewer = run_with(&begin, folder.path(), &data(), &learner, &mut go_on).unwrap();
        assert!(fewer.already && fewer.runs.len() == 6, "{}", fewer.runs.len());
        assert!(!folder.path().join("store.sqlite-wal").exists());
    }
}

#[test]
fn the_share_done_grows_from_0_to_1() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0.0;
    let mut check = |event: Event<'_>| {
        if let Event::Work { whole, .. } | Event::Round { whole, .. } = event {
            assert!((last..=1.0).contains(&whole) || whole > last - 0.05, "{whole} after {last}");
            last = whole;
        }
        Flow::Continue
    };
    run_with(&config(&[]), folder.path(), &data(), &Digesting::default(), &mut check).unwrap();
    assert!((last - 1.0).abs() < 1e-9, "{last}");
}

#[test]
fn what_is_stored_counts_as_done_before_what_was_added() {
    let folder = tempfile::tempdir().unwrap();
    let begin = config(&["strategies=[entropy,margin]", "seeds=[2]"]);
    run_with(&begin, folder.path(), &data(), &Digesting::default(), &mut go_on).unwrap();
    let mut first = None;
    let mut check = |event: Event<'_>| {
        if let Event::Work { whole, at: Some(_), .. } = event {
            first.get_or_insert(whole);
        }
        Flow::Continue
    };
    run_with(&config(&[]), folder.path(), &data(), &Digesting::default(), &mut check).unwrap();
    // Two of six runs.
    assert!(first.is_some_and(|first| first > 0.3), "{first:?}");
}

#[test]
fn a_pool_that_runs_out_ends_the_runs_early_with_everything_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["rounds.count=9", "rounds.budget=50", "seeds=[1]"]);
    let outcome = run_with(&config, folder.path(), &data(), &Digesting::default(), &mut go_on).unwrap();
    for run in &outcome.runs {
        let labelled: Vec<usize> = run.rounds.iter().map(record::RoundRecord::labelled).collect();
        assert_eq!(labelled, [20, 70, 100]);
    }
}

#[test]
fn scores_terms_and_phases_survive_the_store_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let outcome =
        run_with(&config(&["seeds=[1]"]), folder.path(), &data(), &Digesting::default(), &mut go_on).unwrap();
    let pick = &outcome.runs[1].rounds[0].picks[0];
    assert_eq!(
        pick.terms.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["predicted", "confidence"]
    );
    assert!(pick.score > 0.0);
    let names: Vec<&str> = outcome.runs[1].rounds[0].phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["train", "evaluate", "features", "select"]);
    assert_eq!(read(folder.path()).unwrap(), (outcome.summary, outcome.runs));
}

#[test]
fn a_folder_refuses_another_configuration_other_data_and_a_second_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut stop = |_: Event<'_>| Flow::Stop;
    let stopped = run_with(&config(&[]), folder.path(), &data(), &Digesting::default(), &mut stop);
    assert!(matches!(stopped, Err(Error::Stopped)));
    let complaint = |config: &Config, data: &DataSet| {
        let result = run_with(config, folder.path(), data, &Digesting::default(), &mut go_on);
        result.unwrap_err().to_string()
    };

    let other = complaint(&config(&["rounds.budget=16"]), &data());
    for part in ["another configuration", "rounds.budget", "expected: 15", "got: 16", "--out"] {
        assert!(other.contains(part), "{other}");
    }
    let mut fewer = data();
    fewer.test.pop();
    assert!(complaint(&config(&[]), &fewer).contains("data set has changed"));

    let torn = tempfile::tempdir().unwrap();
    fs::write(torn.path().join("config.toml"), "name = \"half of a").unwrap();
    let error = Store::open(torn.path(), &config(&[])).unwrap_err().to_string();
    assert!(error.contains("config.toml") && error.contains("--out"), "{error}");

    let held = Store::open(folder.path(), &config(&[])).unwrap();
    assert!(complaint(&config(&[]), &data()).contains("another process"));
    drop(held);
    assert!(run_with(&config(&[]), folder.path(), &data(), &Digesting::default(), &mut go_on).is_ok());
}

#[test]
fn a_store_of_a_newer_version_and_a_file_that_is_no_store_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), &config(&[])).unwrap());
    let file = folder.path().join(store::FILE);
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for error in [
        Store::open(folder.path(), &config(&[])).unwrap_err().to_string(),
        read(folder.path()).unwrap_err().to_string(),
    ] {
        assert!(error.contains("newer") && error.contains("version 99") && error.contains("hint"), "{error}");
    }
    fs::write(&file, b"not a store, but long enough to be looked at as one: ".repeat(40)).unwrap();
    assert!(Store::open(folder.path(), &config(&[])).unwrap_err().to_string().contains("no store of"));
    fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(Store::open(folder.path(), &config(&[])).unwrap_err().to_string().contains("no run store"));
}

#[test]
fn a_folder_without_a_run_says_what_to_give() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap_err().to_string().contains("holds no run"));
    // What a process leaves that is killed before it has made the tables.
    fs::write(folder.path().join(store::FILE), b"").unwrap();
    assert!(read(folder.path()).unwrap_err().to_string().contains("has not begun"));
    drop(Store::open(folder.path(), &config(&[])).unwrap());
    assert!(read(folder.path()).unwrap_err().to_string().contains("has not begun"));
}

#[test]
fn a_first_pool_of_one_class_or_larger_than_the_pool_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let learner = Digesting::default();
    let mut one = data();
    let class = one.items.label(one.pool[0]);
    one.pool = one.pool.iter().copied().filter(|&id| one.items.label(id) == class).collect();
    let small = config(&["rounds.initial=5"]);
    let error = run_with(&small, folder.path(), &one, &learner, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("one class only") && error.contains("seed 1"), "{error}");
    let large = config(&["rounds.initial=101"]);
    let other = tempfile::tempdir().unwrap();
    let error = run_with(&large, other.path(), &data(), &learner, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("at most 100") && error.contains("got: 101"), "{error}");
    assert_eq!(learner.trained.load(Ordering::SeqCst), 0);
}

/// Three classes of rows, two of them rare: 120 in the pool, 60 in the test set.
fn rows() -> DataSet<Features> {
    let class = |row: usize| [0, 1, 0, 2, 0][row % 5];
    let noise = |row: usize, j: usize| ((row * 37 + j * 53 + row * j * 7) % 64) as f32 / 24.0;
    let values =
        Array2::from_shape_fn((180, 6), |(row, j)| noise(row, j) + if j == class(row) { 3.0 } else { 0.0 });
    let labels = (0..180).map(|row| class(row) as Label).collect();
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let items = Labelled::new(Features::new(values, None).unwrap(), labels, names).unwrap();
    DataSet { name: "rows".into(), items, pool: (0..120).collect(), test: (120..180).collect() }
}

const ON_FEATURES: [&str; 6] = [
    "data.kind=features",
    "data.path=unused",
    "strategies=[random,margin,badge,bald,ensemble-vote-entropy,vabal]",
    "strategy.bald.draws=5",
    "strategy.vabal-official.epochs=2",
    "strategy.vabal-official.draws=3",
];

fn on_features(config: &Config, folder: &Path, observer: &mut Observer<'_>) -> Result<Outcome> {
    let data = rows();
    let heads = Heads {
        features: data.items.items(),
        classes: data.items.classes().len(),
        strength: Strength::Fixed(config.classifier.linear().unwrap()),
    };
    run_with(config, folder, &data, &heads, observer)
}

#[test]
fn experiments_on_features_need_no_network_and_keep_no_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&ON_FEATURES);
    let outcome = on_features(&config, folder.path(), &mut go_on).unwrap();
    assert_eq!(outcome.runs.len(), 12);
    for run in &outcome.runs {
        assert_eq!(run.rounds.iter().map(record::RoundRecord::labelled).collect::<Vec<_>>(), [20, 35, 50]);
        assert!(run.rounds[2].metrics.balanced_accuracy > 0.4, "{run:?}");
    }
    assert!(!folder.path().join("thumbnails").exists());
    let name = outcome.runs[1].rounds[0].picks[0].terms.len();
    assert!(name > 0, "picks carry their terms");
}

#[test]
fn an_experiment_on_features_stopped_at_any_event_ends_as_if_it_had_not_been_stopped() {
    let config = config(&[&ON_FEATURES[..], &["seeds=[1]"]].concat());
    let whole = tempfile::tempdir().unwrap();
    let mut events = 0;
    let mut count = |_: Event<'_>| {
        events += 1;
        Flow::Continue
    };
    on_features(&config, whole.path(), &mut count).unwrap();
    let expected = results(whole.path());
    for stop in (1..events).step_by(events / 12) {
        let folder = tempfile::tempdir().unwrap();
        let mut heard = 0;
        let mut stop_once = |_: Event<'_>| {
            heard += 1;
            if heard == stop { Flow::Stop } else { Flow::Continue }
        };
        let stopped = on_features(&config, folder.path(), &mut stop_once);
        assert!(matches!(stopped, Err(Error::Stopped)), "at event {stop}");
        if stop % 2 == 0 {
            // Lost weights are made again.
            fs::remove_dir_all(folder.path().join("weights")).unwrap();
        }
        on_features(&config, folder.path(), &mut go_on).unwrap();
        assert_eq!(results(folder.path()), expected, "at event {stop}");
    }
}

/// Lets so many workers share the runs.
fn with_workers<T: Send>(workers: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().unwrap().install(work)
}

#[test]
fn runs_shared_out_give_the_picks_and_metrics_of_runs_one_after_another() {
    let config = config(&[&ON_FEATURES[..], &["seeds=[1, 2, 3]"]].concat());
    let results = [1, 2, 5].map(|workers| {
        let folder = tempfile::tempdir().unwrap();
        with_workers(workers, || on_features(&config, folder.path(), &mut go_on)).unwrap();
        results(folder.path())
    });
    assert_eq!(results[0].len(), 18);
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn workers_train_the_first_round_of_a_seed_once_and_run_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[&ON_FEATURES[..2], &["strategies=[random,entropy,margin,core-set]"]].concat());
    let learner = Digesting::default();
    let mut done = 0.0;
    let (mut last, mut other) = (None, 0);
    let mut watch = |event: Event<'_>| {
        if let Event::Work { at: Some((name, seed, _)), whole, .. } = event {
            assert!((0.0..=1.0).contains(&whole));
            let at = Some((name.to_owned(), seed));
            other += usize::from(at != last);
            last = at;
        }
        if let Event::Round { whole, .. } = event {
            done = whole;
        }
        Flow::Continue
    };
    with_workers(4, || run_with(&config, folder.path(), &data(), &learner, &mut watch)).unwrap();
    assert_eq!(learner.trained.load(Ordering::SeqCst), 2 + 2 * 2 * 4);
    assert!((done - 1.0).abs() < 1e-9, "{done}");
    assert!(other >= 8, "{other}");
}

#[test]
fn what_stops_one_worker_stops_all_and_is_what_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["strategies=[random,entropy,core-set,margin,bald]", "seeds=[1, 2, 3, 4]"];
    let config = config(&[&ON_FEATURES[..2], &sets[..]].concat());
    let learner = Digesting::default();
    // A digest has no Monte-Carlo draws.
    let run = || run_with(&config, folder.path(), &data(), &learner, &mut go_on);
    let error = with_workers(3, run).unwrap_err();
    assert!(!matches!(error, Error::Stopped), "{error}");
    let trained = learner.trained.load(Ordering::SeqCst);
    assert!(trained < 4 * (1 + 2 * 5), "{trained}");
}

#[test]
fn the_bound_asks_for_the_rarest_class_and_only_an_experiment_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[&ON_FEATURES[..2], &["strategies=[random,class-balanced]", "seeds=[1]"]].concat());
    let outcome = on_features(&config, folder.path(), &mut go_on).unwrap();
    let counts = |name: &str| {
        let run = outcome.runs.iter().find(|run| run.strategy == name).unwrap();
        run.rounds.last().unwrap().class_counts.clone()
    };
    // 50 of 72, 24 and 24: random takes as there are, the bound as few of the first as it can.
    let (random, bound) = (counts("random"), counts("class-balanced"));
    assert!(bound.iter().max().unwrap() - bound.iter().min().unwrap() <= 1, "{bound:?}");
    assert!(random[0] > bound[0] + 5, "{random:?}");
    assert!(outcome.runs[1].rounds[0].picks.iter().all(|pick| pick.terms[0].1 == f64::from(pick.label)));

    assert!(crate::STRATEGIES.named("class-balanced").is_none());
    let text = "[strategy.class-balanced]\nkind = \"vabal\"\n";
    let error = Config::parse(text, "test", "test", &[]).unwrap_err().to_string();
    assert!(error.contains("the bound cannot be redefined"), "{error}");
}

#[test]
fn a_strategy_that_ranks_the_pool_asks_the_same_whether_it_ranks_all_of_it_or_the_batch_alone() {
    use crate::active::{Lens, Partition, choose, look};
    let (data, settings) = (rows(), crate::query::head::Settings::default());
    let heads = Heads { features: data.items.items(), classes: 3, strength: Strength::Fixed(&settings) };
    let mut pool = Partition::new(&data.pool).unwrap();
    let first: Vec<Id> = (0..20).collect();
    pool.learn(&first, &first.iter().map(|&id| data.items.label(id)).collect::<Vec<_>>()).unwrap();
    let seed = Seed::new(3);
    let classifier = heads
        .train(pool.labelled(), pool.labels(), Role::Round, seed, &mut crate::progress::silent())
        .unwrap();
    let slow = ["vabal-paper", "vabal-official", "learning-loss"];
    let (mut ranked, mut batches) = (0, 0);
    for name in crate::STRATEGIES.names().into_iter().filter(|name| !slow.contains(name)) {
        let strategy = crate::STRATEGIES.by_name(name).unwrap();
        if strategy.needs().images {
            continue;
        }
        let whole = asked::longest(&*strategy, 15, pool.unlabelled().len());
        batches += usize::from(whole == 15);
        if whole == 15 {
            continue;
        }
        ranked += 1;
        let silent = &mut crate::progress::silent();
        let lens = Lens { learner: &heads, classifier: &*classifier, seed };
        let (unlabelled, labelled) = look(lens, &pool, &*strategy, silent).unwrap();
        let of = |n| {
            let signals = (&unlabelled, &labelled);
            choose(&*strategy, &pool, signals, 3, n, seed, &mut crate::progress::silent()).unwrap()
        };
        let (batch, mut all) = (of(15), of(whole));
        assert_eq!(all.ids.len(), 100);
        asked::cut(&mut all, 15);
        assert_eq!((&all.ids, &all.scores, &all.terms), (&batch.ids, &batch.scores, &batch.terms), "{name}");
    }
    assert!(ranked >= 5 && batches >= 5, "{ranked} and {batches}");
}

#[test]
fn what_was_asked_is_recorded_and_an_old_store_is_read_and_gone_on_with_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["strategies=[random,entropy,core-set]", "seeds=[1]", "rounds.initial=6"];
    let config = config(&[&ON_FEATURES[..2], &sets[..]].concat());
    let outcome = on_features(&config, folder.path(), &mut go_on).unwrap();
    let asked = |run: usize| outcome.runs[run].rounds[0].asked.unwrap();
    assert_eq!((asked(0).error_auc, asked(2).error_auc), (Some(0.5), None));
    // Uncertain is where it errs.
    assert!(
        asked(1).error_auc.unwrap() > 0.6 && asked(1).wrong_share > asked(0).wrong_share,
        "{:?}",
        asked(1)
    );
    assert!(outcome.runs.iter().all(|run| run.rounds[2].asked.is_none()));

    let sql = rusqlite::Connection::open(folder.path().join(store::FILE)).unwrap();
    sql.execute_batch("DROP TABLE asked").unwrap();
    drop(sql);
    let expected: Vec<_> = outcome.runs.iter().map(|run| run.rounds[0].picks.clone()).collect();
    let (_, runs) = read(folder.path()).unwrap();
    assert!(runs.iter().flat_map(|run| &run.rounds).all(|round| round.asked.is_none()));
    assert_eq!(runs.iter().map(|run| run.rounds[0].picks.clone()).collect::<Vec<_>>(), expected);
    assert!(on_features(&config, folder.path(), &mut go_on).unwrap().already);
}
