//! BADGE in passes: the same however a pool is split, and as good as BADGE.

use ndarray::{Array2, Axis};
use proptest::prelude::{prop, prop_assert_eq, proptest};

use super::super::tests::uniform;
use super::*;
use crate::progress::silent;
use crate::{Id, Strategy};

/// Clusters of these sizes, far apart, of a class each; ids in no order.
fn clusters(seed: u64, sizes: &[usize], width: usize) -> (Vec<Id>, Array2<f32>, Array2<f32>, Vec<usize>) {
    let mut draw = uniform(seed);
    let of: Vec<usize> = sizes.iter().enumerate().flat_map(|(n, &size)| vec![n; size]).collect();
    let mut p = Array2::from_shape_fn((of.len(), sizes.len()), |(row, class)| {
        0.1 + draw() * 0.05 + f32::from(u8::from(of[row] == class)) * 0.3
    });
    p.rows_mut().into_iter().for_each(|mut p| p /= p.sum());
    let x = Array2::from_shape_fn((of.len(), width), |(row, column)| {
        draw() * 0.3 + if column % sizes.len() == of[row] { 6.0 } else { 0.0 }
    });
    let ids = (0..of.len() as Id).map(|row| row * 7_919 % 1_000_003).collect();
    (ids, p, x, of)
}

fn signals(made: &(Vec<Id>, Array2<f32>, Array2<f32>, Vec<usize>), rows: &[usize]) -> Signals<'static> {
    Signals::new(rows.iter().map(|&row| made.0[row]).collect())
        .with_probabilities(made.1.select(Axis(0), rows))
        .unwrap()
        .with_embedding(made.2.select(Axis(0), rows))
        .unwrap()
}

/// All passes over parts in batches, each part apart, through bytes.
fn picks(
    made: &(Vec<Id>, Array2<f32>, Array2<f32>, Vec<usize>),
    parts: &[Vec<usize>],
    batch: usize,
    n: usize,
    seed: u64,
) -> Vec<Candidate> {
    let mut seeding = Seeding::new(n, made.1.ncols(), Seed::new(seed));
    while !seeding.is_done() {
        let sent = Seeding::from_bytes(&seeding.to_bytes().unwrap()).unwrap();
        let mut all = sent.pass();
        for part in parts {
            let mut pass = sent.pass();
            for rows in part.chunks(batch) {
                pass.see(&sent, &signals(made, rows), |row| Name::Number(made.0[rows[row]])).unwrap();
            }
            all.merge(Pass::from_bytes(&pass.to_bytes().unwrap()).unwrap()).unwrap();
        }
        assert_eq!(all.rows(), made.0.len() as u64);
        seeding = seeding.next(all).unwrap();
    }
    seeding.select(n, &mut silent()).unwrap().0
}

fn rows_of(made: &(Vec<Id>, Array2<f32>, Array2<f32>, Vec<usize>), picks: &[Candidate]) -> Vec<usize> {
    let of = |pick: &Candidate| made.0.iter().position(|&id| pick.name == Name::Number(id)).unwrap();
    picks.iter().map(of).collect()
}

proptest! {
    #[test]
    fn however_a_pool_is_split_and_batched_the_picks_are_the_same(
        seed in 0_u64..1000, sizes in prop::collection::vec(1_usize..120, 2..5), n in 1_usize..40,
        (turn, parts, batch) in (0_usize..300, 1_usize..5, prop::sample::select(vec![1, 2, 31, 1000])),
    ) {
        let made = clusters(seed, &sizes, 7);
        let rows = made.0.len();
        let whole = picks(&made, &[(0..rows).collect()], 1000, n, seed);
        let mut order: Vec<usize> = (0..rows).rev().collect();
        order.rotate_left(turn % rows);
        let parts: Vec<Vec<usize>> = order.chunks(rows.div_ceil(parts)).map(<[usize]>::to_vec).collect();
        prop_assert_eq!(&picks(&made, &parts, batch, n, seed), &whole);
        let mut chosen = rows_of(&made, &whole);
        prop_assert_eq!(chosen.len(), n.min(rows));
        chosen.sort_unstable();
        chosen.dedup();
        prop_assert_eq!(chosen.len(), n.min(rows));
    }
}

/// Σ D² of all rows to the nearest of those chosen, in f64.
fn cost(made: &(Vec<Id>, Array2<f32>, Array2<f32>, Vec<usize>), chosen: &[usize]) -> f64 {
    let gradient = |row: usize| -> Vec<f64> {
        let p = made.1.row(row);
        let best = (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        (p.iter().enumerate())
            .flat_map(|(class, &p)| {
                let a = f64::from(p) - f64::from(u8::from(class == best));
                made.2.row(row).iter().map(|&x| a * f64::from(x)).collect::<Vec<_>>()
            })
            .collect()
    };
    let centres: Vec<Vec<f64>> = chosen.iter().map(|&row| gradient(row)).collect();
    let squared = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    (0..made.0.len())
        .map(|row| {
            let gradient = gradient(row);
            centres.iter().map(|centre| squared(&gradient, centre)).fold(f64::INFINITY, f64::min)
        })
        .sum()
}

#[test]
fn the_picks_cost_as_little_as_those_of_badge_and_miss_no_rare_cluster() {
    let (mut ours, mut badges, mut missed) = (0.0, 0.0, [0, 0]);
    for seed in 0..20 {
        let made = clusters(seed, &[400, 300, 200, 12], 8);
        let all: Vec<usize> = (0..made.0.len()).collect();
        let rows = signals(&made, &all);
        let query = Query {
            unlabelled: &rows,
            labelled: &Signals::default(),
            labels: &[],
            classes: 4,
            n: 12,
            seed: Seed::new(seed),
        };
        let chosen = Badge.select(&query, &mut silent()).unwrap().ids;
        let chosen: Vec<usize> =
            chosen.iter().map(|id| made.0.iter().position(|other| other == id).unwrap()).collect();
        let in_passes = rows_of(&made, &picks(&made, &[all], 200, 12, seed));
        ours += cost(&made, &in_passes);
        badges += cost(&made, &chosen);
        for (missed, chosen) in missed.iter_mut().zip([&in_passes, &chosen]) {
            *missed += usize::from(chosen.iter().all(|&row| made.3[row] != 3));
        }
    }
    assert!(ours < 1.1 * badges, "{ours} {badges}");
    assert_eq!(missed[0], 0, "{missed:?}");
}

#[test]
fn where_too_few_gradients_differ_the_largest_follow() {
    let mut made = clusters(3, &[5, 30], 4);
    for row in 5..35 {
        let (p, x) = (made.1.row(5).to_owned(), made.2.row(5).to_owned());
        made.1.row_mut(row).assign(&p);
        made.2.row_mut(row).assign(&x);
    }
    let all = picks(&made, &[(0..35).collect()], 9, 20, 1);
    assert_eq!(all.len(), 20);
    assert!(all[8..].iter().all(|pick| pick.terms[3] == 0.0 && pick.terms.len() == 4));
    assert!(all.windows(2).all(|pair| pair[0].score > pair[1].score));
}

#[test]
fn what_does_not_fit_is_told() {
    let made = clusters(1, &[20, 20], 3);
    let all: Vec<usize> = (0..40).collect();
    let (seeding, name) = (Seeding::new(5, 2, Seed::new(1)), |row: usize| Name::Number(row as u64));
    let error = |rows: Signals<'_>| seeding.pass().see(&seeding, &rows, name).unwrap_err().to_string();
    let rows = || Signals::new(vec![1, 2]).with_probabilities(Array2::from_elem((2, 2), 0.5)).unwrap();
    let large = rows().with_embedding(Array2::from_elem((2, 3), 1e20)).unwrap();
    assert!(error(large).contains("leave the range of 32 bits"));
    let third = Signals::new(vec![1]).with_probabilities(Array2::from_elem((1, 4), 0.25)).unwrap();
    assert!(error(third.with_embedding(Array2::zeros((1, 3))).unwrap()).contains("number of classes"));
    let mut pass = seeding.pass();
    pass.see(&seeding, &signals(&made, &all), name).unwrap();
    let narrow = rows().with_embedding(Array2::zeros((2, 2))).unwrap();
    assert!(pass.see(&seeding, &narrow, name).unwrap_err().to_string().contains("width of features"));
    let next = seeding.clone().next(pass.clone()).unwrap();
    assert!(next.clone().next(pass.clone()).unwrap_err().to_string().contains("pass 2 of 5"));
    let mut fewer = next.pass();
    fewer.see(&next, &signals(&made, &all[1..]), name).unwrap();
    assert!(next.clone().next(fewer).unwrap_err().to_string().contains("40, as the first pass"));
    assert!(next.select(5, &mut silent()).unwrap_err().to_string().contains("5 passes"));
    let bytes = pass.to_bytes().unwrap();
    for end in 0..bytes.len() {
        assert!(Pass::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    assert!(Seeding::from_bytes(&bytes).is_err());
    let mut tiny = seeding.pass();
    let rows = rows().with_embedding(Array2::from_elem((2, 3), 1e-12)).unwrap();
    tiny.see(&seeding, &rows, name).unwrap();
    assert!(seeding.next(tiny).unwrap_err().to_string().contains("leave the range"));
}
