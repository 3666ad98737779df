//! Made-up records with the look of real ones, for tests: seeded, so that they never change.

use rand::RngExt as _;

use super::section::Experiment;
use crate::experiment::record::{Asked, Phase, Pick, RoundRecord, RunRecord, Summary};
use crate::experiment::thumbnail::{PER_ROUND, Thumbnail};
use crate::metrics::{Metrics, mean};
use crate::query::Health;
use crate::rng::Seed;

/// What to make up.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Strategies by name; those called "vabal…" have a VAE.
    pub strategies: Vec<&'static str>,
    /// Seeds from 1.
    pub seeds: u64,
    /// Rounds of each run.
    pub rounds: usize,
    /// Classes; the first is dominant.
    pub classes: usize,
}

/// Makes up an experiment.
pub fn experiment(shape: &Shape) -> Experiment {
    let mut names: Vec<String> =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
            .map(String::from)
            .to_vec();
    names.extend((names.len()..shape.classes).map(|n| format!("class {n}")));
    names.truncate(shape.classes);
    let mut pool_counts = vec![500; shape.classes];
    pool_counts[0] = 5000;
    let summary = Summary {
        name: "dominant airplane".into(),
        data: "cifar10".into(),
        classes: names,
        pool_counts,
        test_counts: (0..shape.classes).map(|n| if n == 0 { 2000 } else { 1000 }).collect(),
        rare: (1..shape.classes as u32).collect(),
        config:
            "name = \"dominant airplane\"\nrounds = 6\nbudget = 500\n\n[classifier]\ndepth = 18\nwidth = 16\n"
                .into(),
        machine: vec![
            ("vabal".into(), "0.1.0".into()),
            ("device".into(), "cpu".into()),
            ("cores".into(), "2".into()),
        ],
    };
    let mut runs = Vec::new();
    for (n, strategy) in shape.strategies.iter().enumerate() {
        for seed in 1..=shape.seeds {
            runs.push(run(shape, n, strategy, seed));
        }
    }
    let thumbnails = runs
        .iter()
        .flat_map(|run| &run.rounds)
        .flat_map(|round| round.picks.iter().take(PER_ROUND))
        .map(|pick| (pick.id, picture(pick.id)))
        .collect();
    Experiment { summary, runs, thumbnails }
}

fn run(shape: &Shape, n: usize, strategy: &str, seed: u64) -> RunRecord {
    let mut rng = Seed::new(seed).child(strategy, 0).stream("synthetic");
    let classes = shape.classes;
    let luck = 0.05 * (rng.random::<f64>() - 0.5);
    let (gain, appetite) = match strategy {
        "random" => (0.0, 0.0),
        "vabal-official" => (-0.008, 0.3),
        _ => (0.004 + 0.004 * n as f64, 0.25 + 0.08 * n as f64),
    };
    let mut counts = vec![20; classes];
    counts[0] = 500 - 20 * (classes - 1).min(24);
    let mut rounds = Vec::new();
    for round in 1..=shape.rounds {
        let grown = (round - 1) as f64 / 5.0;
        let recall: Vec<Option<f64>> = (0..classes)
            .map(|class| {
                let own = (counts[class] as f64 / 500.0).min(1.0).sqrt();
                let level = 0.25
                    + 0.35 * own
                    + 0.1 * grown
                    + gain * grown * 4.0
                    + 0.06 * ((class * 7 % 5) as f64 - 2.0);
                Some((level + luck + 0.05 * (rng.random::<f64>() - 0.5)).clamp(0.0, 1.0))
            })
            .collect();
        let accuracy = mean(recall.iter().flatten().copied());
        let last = round == shape.rounds;
        let draws = if last { 0 } else { 500 };
        let mut asked = vec![0; classes];
        let mut picks = Vec::new();
        for k in 0..draws {
            let rare = 9.0 * 500.0 / 9500.0 * (1.0 - appetite) + appetite;
            let class = if rng.random::<f64>() < rare { rng.random_range(1..classes) } else { 0 };
            asked[class] += 1;
            if k < 2 * PER_ROUND {
                picks.push(pick(&mut rng, strategy, class, classes, k));
            }
        }
        let vae = strategy.starts_with("vabal").then(|| health(classes, round, strategy == "vabal-official"));
        let train = 20.0 + 15.0 * round as f64;
        let select = if strategy.starts_with("vabal") { 22.0 } else { 0.5 };
        rounds.push(RoundRecord {
            round,
            class_counts: counts.clone(),
            unlabelled: 9500 - 500 * round,
            metrics: Metrics {
                accuracy,
                balanced_accuracy: accuracy - 0.01,
                macro_f1: accuracy - 0.02,
                recall,
                calibration_error: 0.1,
            },
            picks,
            asked: (!last)
                .then_some(Asked { wrong_share: 0.4 * appetite, error_auc: Some(0.5 + appetite / 2.0) }),
            vae: vae.filter(|_| !last),
            phases: [("train", train), ("evaluate", 6.0), ("features", 9.0), ("select", select)]
                .map(|(name, seconds)| Phase { name: name.into(), seconds, peak_bytes: Some(700 << 20) })
                .to_vec(),
        });
        counts.iter_mut().zip(asked).for_each(|(count, asked)| *count += asked);
    }
    RunRecord { strategy: strategy.into(), seed, rounds }
}

fn pick(rng: &mut crate::rng::Rng, strategy: &str, class: usize, classes: usize, k: usize) -> Pick {
    let predicted = if rng.random::<f64>() < 0.5 { class } else { rng.random_range(0..classes) };
    let terms: Vec<(&str, f64)> = match strategy {
        "random" => Vec::new(),
        "entropy" => vec![("predicted", predicted as f64), ("confidence", 0.2 + 0.1 * rng.random::<f64>())],
        _ => vec![
            ("predicted", predicted as f64),
            ("difficulty", 0.3 + 0.05 * predicted as f64),
            ("prior", if predicted == 0 { 0.55 } else { 0.05 }),
            ("likelihood", 0.1 * rng.random::<f64>()),
        ],
    };
    Pick {
        id: rng.random_range(0..50_000),
        label: class as u32,
        score: if terms.is_empty() { 0.0 } else { -0.01 * k as f64 },
        terms: terms.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

fn health(classes: usize, round: usize, bad: bool) -> Health {
    let learnt = if bad { 0.15 } else { 0.9 - 0.2 / round as f64 };
    let mut prior = vec![0.05; classes];
    prior[0] = 1.0 - 0.05 * (classes - 1) as f64;
    Health {
        reconstruction: 0.021 / round as f64,
        kl: 0.013,
        class_loss: 1.0 - learnt,
        agreement_unlabelled: learnt,
        agreement_labelled: learnt - 0.1,
        warning: bad
            .then(|| "the VAE has not learnt its classes; its picks are no better than chance".into()),
        difficulty: (0..classes).map(|n| 0.3 + 0.05 * n as f64).collect(),
        prior,
    }
}

fn picture(id: u64) -> Thumbnail {
    let pixel = |x: u64, y: u64| {
        let [a, b, c] =
            [id % 7 + 1, id % 5 + 1, id % 3 + 1].map(|k| ((x * k * 8 + y * (9 - k) * 5) % 256) as u8);
        [a, b, c]
    };
    let rgb = (0..32).flat_map(|y| (0..32).flat_map(move |x| pixel(x, y))).collect();
    Thumbnail { width: 32, height: 32, rgb }
}
