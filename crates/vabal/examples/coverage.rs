//! How often the 95 % interval of the balanced accuracy holds the truth, in simulated projects.
//!
//!     cargo run --release -p vabal --example coverage > experiments/results/coverage/results.md
//!
//! A project is classes with true recalls, and a holdout of 40, 100 or 200 labels, drawn by the
//! shares of the classes. In the scenarios with classes that are not measured the holdout holds
//! none of the two rarest.

#![expect(clippy::print_stdout, reason = "a script: what it prints is the result")]

use rand::RngExt as _;
use vabal::Seed;
use vabal::project::estimate::{Held, balanced};

const PROJECTS: usize = 1000;
const IMBALANCES: [f64; 3] = [1.0, 10.0, 100.0];
const RECALLS: [(f64, f64); 4] = [(0.0, 1.0), (0.5, 1.0), (0.85, 1.0), (0.97, 1.0)];

/// What the two rarest classes are.
#[derive(Clone, Copy, PartialEq)]
enum Rarest {
    AsOthers,
    UnmeasuredAsOthers,
    UnmeasuredAtZero,
    UnmeasuredAtOne,
    UnmeasuredNotLearnt,
}

const SCENARIOS: [(Rarest, &str); 5] = [
    (Rarest::AsOthers, "all classes drawn"),
    (Rarest::UnmeasuredAsOthers, "two not measured, as the others"),
    (Rarest::UnmeasuredAtZero, "two not measured, none right"),
    (Rarest::UnmeasuredAtOne, "two not measured, all right"),
    (Rarest::UnmeasuredNotLearnt, "two not measured, not learnt"),
];

fn main() {
    println!(
        "How often the 95 % interval of the balanced accuracy holds the truth, in % of {PROJECTS} simulated projects a row, its mean"
    );
    println!(
        "width in points, and how often it would hold it if classes that are not measured were left out.\n"
    );
    println!(
        "| classes | largest to smallest | recalls | held | width | left out |\n|---|---|---|---|---|---|"
    );
    let mut least = f64::INFINITY;
    for (rarest, name) in SCENARIOS {
        for imbalance in IMBALANCES {
            for (low, high) in RECALLS {
                let seed = Seed::new(1).child(name, (imbalance * 10_000.0 + low * 100.0) as u64);
                let (held, width, left_out) = simulated(rarest, imbalance, (low, high), seed);
                println!(
                    "| {name} | {imbalance} | {low} to {high} | {held:.1} | {width:.1} | {left_out:.1} |"
                );
                least = least.min(held);
            }
        }
    }
    println!("\nThe least is {least:.1} %.");
}

fn simulated(rarest: Rarest, imbalance: f64, recalls: (f64, f64), seed: Seed) -> (f64, f64, f64) {
    let mut rng = seed.stream("projects");
    let (mut held, mut width, mut left_out) = (0, 0.0, 0);
    for _ in 0..PROJECTS {
        let classes: usize = rng.random_range(4..=12);
        let drawn = if rarest == Rarest::AsOthers { classes } else { classes - 2 };
        let labels = [40, 100, 200][rng.random_range(0..3)];
        let shares: Vec<f64> =
            (0..drawn).map(|class| imbalance.powf(-(class as f64) / (classes - 1) as f64)).collect();
        let total: f64 = shares.iter().sum();
        let mut truth: Vec<f64> =
            (0..classes).map(|_| recalls.0 + (recalls.1 - recalls.0) * rng.random::<f64>()).collect();
        match rarest {
            Rarest::AsOthers | Rarest::UnmeasuredAsOthers => {}
            Rarest::UnmeasuredAtZero | Rarest::UnmeasuredNotLearnt => truth[drawn..].fill(0.0),
            Rarest::UnmeasuredAtOne => truth[drawn..].fill(1.0),
        }
        let mut seen: Vec<Held> = (0..classes)
            .map(|class| Held {
                trained: class < drawn || rarest != Rarest::UnmeasuredNotLearnt,
                ..Held::default()
            })
            .collect();
        for _ in 0..labels {
            let mut at = rng.random::<f64>() * total;
            let class = shares.iter().position(|share| {
                at -= share;
                at < 0.0
            });
            let class = class.unwrap_or(drawn - 1);
            seen[class].n += 1;
            seen[class].right += usize::from(rng.random::<f64>() < truth[class]);
        }
        let truth = truth.iter().sum::<f64>() / classes as f64;
        let holds = |seen: &[Held]| balanced(seen).map_or((0.0, 1.0), |of| (of.low, of.high));
        let (low, high) = holds(&seen);
        held += usize::from(low <= truth + 1e-12 && truth <= high + 1e-12);
        width += high - low;
        seen.retain(|class| class.n > 0);
        let (low, high) = holds(&seen);
        left_out += usize::from(low <= truth && truth <= high);
    }
    let share = |count: usize| 100.0 * count as f64 / PROJECTS as f64;
    (share(held), 100.0 * width / PROJECTS as f64, share(left_out))
}
