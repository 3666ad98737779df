//! Plans, scores in parts, and the best of all parts.

use ndarray::{Array2, Array3, Axis};
use proptest::prelude::{prop, prop_assert_eq, proptest};

use super::*;
use crate::progress::silent;
use crate::query::Scored;
use crate::{Column, Id, Label, STRATEGIES, Selection, Signals};

/// Numbers from 0 to 1, by xorshift.
pub(super) fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 24) as f32
    }
}

/// A pool with a few labels.
struct Made {
    ids: Vec<Id>,
    features: Array2<f32>,
    p: Array2<f32>,
    /// Draws, and a committee, [n, 5, C].
    several: Array3<f32>,
    labelled: usize,
    labels: Vec<Label>,
}

fn made(seed: u64, rows: usize, labelled: usize, width: usize, classes: usize) -> Made {
    let mut draw = uniform(seed);
    let all = rows + labelled;
    let mut p = Array2::from_shape_fn((all, classes), |(row, class)| {
        draw() + 0.01 + f32::from(u8::from(class == row % classes))
    });
    // Some rows are as others are, so that scores are equal.
    for row in (0..all).step_by(3) {
        let other = p.row(all / 2).to_owned();
        p.row_mut(row).assign(&other);
    }
    p.rows_mut().into_iter().for_each(|mut p| p /= p.sum());
    let mut several = Array3::from_shape_fn((all, 5, classes), |_| draw() + 0.01);
    for row in (0..all).step_by(4) {
        let other = several.index_axis(Axis(0), all / 3).to_owned();
        several.index_axis_mut(Axis(0), row).assign(&other);
    }
    several.lanes_mut(Axis(2)).into_iter().for_each(|mut p| p /= p.sum());
    let features = Array2::from_shape_fn((all, width), |(row, column)| {
        draw() + f32::from(u8::from(column == row % classes)) * 0.7
    });
    let labels = (0..labelled).map(|row| (row % classes) as Label).collect();
    let ids = (0..all as Id).map(|row| row * 7_919 % 1_000_003).collect();
    Made { ids, features, p, several, labelled, labels }
}

impl Made {
    fn signals(&self, rows: &[usize]) -> Signals<'static> {
        Signals::new(rows.iter().map(|&row| self.ids[row]).collect())
            .with_probabilities(self.p.select(Axis(0), rows))
            .unwrap()
            .with_embedding(self.features.select(Axis(0), rows))
            .unwrap()
            .with_monte_carlo(self.several.select(Axis(0), rows))
            .unwrap()
            .with_committee(self.several.select(Axis(0), rows))
            .unwrap()
    }

    fn open(&self) -> Vec<usize> {
        (self.labelled..self.ids.len()).collect()
    }

    /// Asks with the candidates `rows`.
    fn with<T>(&self, rows: &[usize], n: usize, ask: impl FnOnce(&Query<'_>) -> T) -> T {
        let (unlabelled, closed) =
            (self.signals(rows), self.signals(&(0..self.labelled).collect::<Vec<_>>()));
        let classes = self.p.ncols();
        ask(&Query {
            unlabelled: &unlabelled,
            labelled: &closed,
            labels: &self.labels,
            classes,
            n,
            seed: Seed::new(5),
        })
    }

    fn select(&self, spec: &Spec, n: usize) -> Selection {
        let strategy = STRATEGIES.build(spec).unwrap();
        self.with(&self.open(), n, |query| strategy.select(query, &mut silent()).unwrap())
    }

    fn plan(&self, name: &str, sample: &[usize], n: usize) -> Plan {
        self.plan_of(&STRATEGIES.find(name).unwrap(), sample, n)
    }

    fn plan_of(&self, spec: &Spec, sample: &[usize], n: usize) -> Plan {
        self.with(sample, n, |query| {
            Plan::make(spec, STRATEGIES, query, self.open().len(), &mut silent()).unwrap()
        })
    }

    /// The best rows of one part.
    fn part(&self, plan: &Plan, rows: &[usize], batch: usize) -> Top {
        let score = plan.scorer(STRATEGIES).unwrap();
        let mut top = plan.top_of(STRATEGIES).unwrap();
        for rows in rows.chunks(batch) {
            let scored = score.score(&self.signals(rows), &mut silent()).unwrap();
            top.push(&scored, |row| Name::Number(self.ids[rows[row]])).unwrap();
        }
        top
    }
}

const BY_ROW: [&str; 10] = [
    "margin",
    "entropy",
    "least-confidence",
    "random",
    "vabal",
    "bald",
    "power-bald",
    "ensemble-variation-ratio",
    "ensemble-vote-entropy",
    "ensemble-mutual-information",
];

/// Asserts that the picks of a pool in parts are those of the whole, bit for bit.
fn same_in_parts(made: &Made, spec: &Spec, order: &[usize], n: usize, parts: usize, batch: usize) {
    let plan = made.plan_of(spec, &made.open(), n);
    let plan = Plan::from_bytes(&plan.to_bytes().unwrap(), "a plan").unwrap();
    let mut tops: Vec<Top> =
        order.chunks(order.len().div_ceil(parts)).map(|rows| made.part(&plan, rows, batch)).collect();
    let mut top = tops.pop().unwrap();
    tops.into_iter().for_each(|other| top.merge(other).unwrap());
    assert_eq!(top.rows().iter().sum::<u64>(), order.len() as u64);
    let picks = top.finish(n, &plan.labelled).unwrap();
    let whole = made.select(spec, n);
    let id = |pick: &Candidate| match pick.name {
        Name::Number(id) => id,
        Name::Text(..) => 0,
    };
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
    assert_eq!(picks.iter().map(id).collect::<Vec<_>>(), whole.ids, "{spec:?}");
    let scores: Vec<f64> = picks.iter().map(|pick| pick.score).collect();
    assert_eq!(bits(&scores), bits(&whole.scores), "{spec:?}");
    for (place, term) in whole.terms.iter().enumerate() {
        let values: Vec<f64> = picks.iter().map(|pick| pick.terms[place]).collect();
        assert_eq!(bits(&values), bits(&term.values), "{spec:?} {}", term.name);
    }
}

/// Every strategy with a VAE, small and quick.
fn with_vae() -> Vec<Spec> {
    let set = |name: &str, settings: &[(&str, serde_json::Value)]| {
        let mut spec = STRATEGIES.find(name).unwrap();
        for (key, value) in settings {
            spec.set(STRATEGIES, key, value).unwrap();
        }
        spec
    };
    let few = |name: &str| set(name, &[("epochs", 3.into()), ("draws", 7.into()), ("latents", 3.into())]);
    vec![few("vabal-paper"), few("vabal-official"), set("vabal", &[("model", "vae".into())])]
}

#[test]
fn a_vae_in_a_plan_scores_parts_as_the_whole() {
    for (width, classes, parts, batch) in [(5, 3, 3, 1), (600, 2, 2, 33)] {
        let made = made(7, 150, 20, width, classes);
        let mut order = made.open();
        order.rotate_left(40);
        for spec in with_vae() {
            same_in_parts(&made, &spec, &order, 12, parts, batch);
        }
    }
}

#[test]
fn a_vae_of_a_sample_takes_the_steps_of_all_rows() {
    let made = made(7, 600, 20, 5, 3);
    let spec = with_vae().swap_remove(0);
    let steps = |rows: usize| {
        let sample: Vec<usize> = made.open().into_iter().take(rows).collect();
        made.with(&sample, 5, |query| {
            let mut steps = 0;
            let mut count = |event: crate::progress::Event<'_>| {
                if let crate::progress::Event::Progress { phase: "vae", total, .. } = event {
                    steps = total;
                }
                crate::progress::Flow::Continue
            };
            Plan::make(&spec, STRATEGIES, query, 600, &mut count).unwrap();
            steps
        })
    };
    assert_eq!((steps(600), steps(100)), (15, 15));
}

proptest! {
    #[test]
    fn however_a_pool_is_split_ordered_and_batched_the_picks_are_those_of_the_whole(
        seed in 0_u64..1000,
        (rows, labelled) in (1_usize..500, 0_usize..30),
        width in prop::sample::select(vec![3, 17, 600]),
        classes in 2_usize..6,
        n in 1_usize..60,
        (turn, parts, batch) in (0_usize..500, 1_usize..6, prop::sample::select(vec![1, 2, 31, 1000])),
    ) {
        let made = made(seed, rows, labelled, width, classes);
        let mut order = made.open();
        order.rotate_left(turn % rows);
        order.swap(0, rows - 1);
        for name in BY_ROW {
            same_in_parts(&made, &STRATEGIES.find(name).unwrap(), &order, n, parts, batch);
        }
    }

    #[test]
    fn the_best_are_those_of_a_sort(
        scores in prop::collection::vec((0_i32..40, 0_u32..3), 0..4000),
        n in 0_usize..50,
        quotas in prop::bool::ANY,
    ) {
        let classes = if quotas { 3 } else { 1 };
        let labelled = [5, 0, 2];
        let mut top = Top::new(n, classes);
        for (place, part) in scores.chunks(700).enumerate() {
            let scored = Scored {
                scores: part.iter().map(|(score, _)| f64::from(*score)).collect(),
                classes: part.iter().map(|(_, class)| *class).collect(),
                ..Scored::default()
            };
            top.push(&scored, |row| Name::Number((place * 700 + row) as u64)).unwrap();
        }
        let picks: Vec<u64> = top.finish(n, &labelled).unwrap().into_iter().map(|pick| match pick.name { Name::Number(id) => id, Name::Text(..) => 0 }).collect();
        // One after the other the best that is left, with quotas of the class with the fewest.
        let (mut counts, mut expected) = (labelled, Vec::new());
        let best = |class: Option<u32>, taken: &[u64]| {
            (0..scores.len() as u64)
                .filter(|row| !taken.contains(row) && class.is_none_or(|class| scores[*row as usize].1 == class))
                .min_by_key(|row| (-scores[*row as usize].0, *row))
        };
        while expected.len() < n.min(scores.len()) {
            let next = if quotas {
                let open = (0..3).filter(|class| best(Some(*class), &expected).is_some());
                open.min_by_key(|class| counts[*class as usize]).and_then(|class| {
                    counts[class as usize] += 1;
                    best(Some(class), &expected)
                })
            } else {
                best(None, &expected)
            };
            expected.push(next.unwrap());
        }
        expected.sort_by_key(|row| (-scores[*row as usize].0, *row));
        prop_assert_eq!(picks, expected);
    }
}

#[test]
fn a_plan_of_a_sample_scores_rows_that_it_has_not_seen_much_as_one_of_all() {
    let made = made(3, 900, 30, 12, 4);
    let sample: Vec<usize> = made.open().into_iter().filter(|row| row * 7 % 11 < 4).collect();
    let plan = made.plan("vabal", &sample, 40);
    assert_eq!((plan.sampled, plan.labelled.len()), (sample.len(), 4));
    let scores = |plan: &Plan| {
        let scored =
            plan.scorer(STRATEGIES).unwrap().score(&made.signals(&made.open()), &mut silent()).unwrap();
        let mean = scored.scores.iter().sum::<f64>() / 900.0;
        scored.scores.into_iter().map(|score| score - mean).collect::<Vec<f64>>()
    };
    let (a, b) = (scores(&plan), scores(&made.plan("vabal", &made.open(), 40)));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let correlation = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
    assert!(correlation > 0.9 && a != b, "{correlation}");
    assert_eq!(made.part(&plan, &made.open(), 64).finish(40, &plan.labelled).unwrap().len(), 40);
}

#[test]
fn texts_are_told_apart_and_ordered_by_their_hashes() {
    let text = |text: &str| Name::text(text);
    let order = |a: &str, b: &str| (text_id(a), a).cmp(&(text_id(b), b));
    for pair in ["a.png", "b.png", "ä/c d.png", ""].windows(2) {
        assert_eq!(text(pair[0]).cmp(&text(pair[1])), order(pair[0], pair[1]));
    }
    assert!(Name::Text(7, "a".into()) < Name::Text(7, "b".into()));
    // Pinned for life: published picks go by it.
    assert_eq!(text_id("a.png"), TEXT_ID);
}
const TEXT_ID: u64 = 3_197_467_500_070_110_143;

#[test]
fn a_plan_that_is_torn_or_damaged_is_an_error() {
    let bytes = made(1, 40, 9, 5, 3).plan("vabal", &(9..49).collect::<Vec<_>>(), 4).to_bytes().unwrap();
    for end in 0..bytes.len() {
        let error = Plan::from_bytes(&bytes[..end], "half.plan").unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("half.plan"), "{error}");
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for (from, to, part) in [
        ("\\\"version\\\":1", "\\\"version\\\":2", "version 2"),
        ("vabal.plan", "vabal.plam", "another kind"),
        ("\\\"labelled\\\":[3,3,3]", "\\\"labelled\\\":[33333]", "1 classes"),
    ] {
        let place = text.find(from).unwrap_or_else(|| panic!("{from} is in {text}"));
        let mut other = bytes.clone();
        // The header alone is text, and lies before all else.
        other[place..place + to.len()].copy_from_slice(to.as_bytes());
        let error = Plan::from_bytes(&other, "a.plan").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_does_not_fit_a_plan_is_told() {
    let made = made(2, 60, 9, 6, 3);
    let open = made.open();
    let plan = made.plan("vabal", &open, 10);
    let score = plan.scorer(STRATEGIES).unwrap();
    let rows = |features: Array2<f32>, p: Array2<f32>| {
        let rows = Signals::new(vec![1, 2]).with_probabilities(p).unwrap().with_embedding(features).unwrap();
        score.score(&rows, &mut silent()).unwrap_err().to_string()
    };
    let p = Array2::from_elem((2, 3), 1.0 / 3.0);
    assert!(rows(Array2::zeros((2, 5)), p.clone()).contains("6 columns"));
    let mut broken = Array2::zeros((2, 6));
    broken[[1, 2]] = f32::NAN;
    assert!(rows(broken, p).contains("id 2"));
    assert!(rows(Array2::zeros((2, 6)), Array2::from_elem((2, 2), 0.5)).contains("classes"));

    for strategy in ["vabal-paper", "vabal-official"] {
        let plan = made.plan(strategy, &open, 10);
        let mut broken = Array2::zeros((2, 6));
        broken[[1, 2]] = f32::NAN;
        let p = Array2::from_elem((2, 3), 1.0 / 3.0);
        let rows = Signals::new(vec![1, 2]).with_probabilities(p).unwrap().with_embedding(broken).unwrap();
        let error = plan.scorer(STRATEGIES).unwrap().score(&rows, &mut silent()).unwrap_err().to_string();
        assert!(error.contains("id 2, stage 1"), "{strategy}: {error}");
    }

    let error = made.part(&plan, &open, 20).finish(11, &plan.labelled).unwrap_err().to_string();
    assert!(error.contains("at most 10"), "{error}");
    let mut twice = made.part(&plan, &open, 20);
    twice.merge(made.part(&plan, &open[..30], 20)).unwrap();
    assert!(twice.finish(10, &plan.labelled).unwrap_err().to_string().contains("scored twice"));
    let mut top = made.part(&plan, &open, 20);
    assert!(top.merge(Top::new(3, 3)).unwrap_err().to_string().contains("other picks"));
    let other = Scored {
        scores: vec![0.5],
        classes: vec![0],
        terms: vec![Column { name: "other", values: vec![1.0] }],
        ..Scored::default()
    };
    assert!(top.push(&other, |_| Name::Number(5)).unwrap_err().to_string().contains("other terms"));
    let nan = Scored { scores: vec![f64::NAN], ..Scored::default() };
    let error = Top::new(3, 1).push(&nan, |_| Name::text("a.png")).unwrap_err().to_string();
    assert!(error.contains("id a.png"), "{error}");

    let galaxy = STRATEGIES.find("galaxy").unwrap();
    let error =
        made.with(&open, 5, |query| Plan::make(&galaxy, STRATEGIES, query, 5, &mut silent()).unwrap_err());
    assert!(error.to_string().contains("does not score each row alone"), "{error}");
    let margin = STRATEGIES.find("margin").unwrap();
    let error = made
        .with(&open, MOST_PICKS + 1, |q| Plan::make(&margin, STRATEGIES, q, 5, &mut silent()).unwrap_err());
    assert!(error.to_string().contains("at most 500000"), "{error}");
}
