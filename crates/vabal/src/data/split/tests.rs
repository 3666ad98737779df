//! What holds for every hold-out.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::tests::{assert_tells, complaint, small_set};
use super::super::{ImageSet, ImageShape, Images, Origin};
use super::*;

fn hold_out(by: By, fraction: f64) -> HoldOut {
    HoldOut { fraction, by, ..HoldOut::default() }
}

#[test]
fn stratified_twenty_percent_of_neu_is_the_paper_s_split() {
    let images = small_set(&[1210, 296, 775, 1148, 797, 200, 1589, 773, 438]);
    let ids: Vec<Id> = (0..images.images().len() as Id).collect();
    let (pool, test) = hold_out(By::Stratified, 0.2).split(&images, &ids, Seed::new(1)).unwrap();
    assert_eq!((pool.len(), test.len()), (5778, 1448));
}

proptest! {
    /// Both sides together are all, they share nothing, the order of the ids does not matter.
    #[test]
    fn a_split_loses_and_doubles_nothing(
        by in prop::sample::select(vec![By::Random, By::Stratified, By::Group]),
        fraction in 0.05_f64..0.95,
        counts in prop::collection::vec(4_usize..40, 2..6),
        seed in 0_u64..50,
    ) {
        let images = small_set(&counts);
        let ids: Vec<Id> = (0..images.images().len() as Id).collect();
        let reversed: Vec<Id> = ids.iter().rev().copied().collect();
        let hold_out = hold_out(by, fraction);
        let Ok((pool, test)) = hold_out.split(&images, &ids, Seed::new(seed)) else {
            // Groups have three images at least: fewer cannot be held out.
            prop_assert!(by == By::Group && fraction * ids.len() as f64 <= 3.0);
            return Ok(());
        };
        prop_assert!(pool.is_sorted_by(|a, b| a < b) && test.is_sorted_by(|a, b| a < b));
        let both: BTreeSet<Id> = pool.iter().chain(&test).copied().collect();
        prop_assert_eq!(both.len(), ids.len());
        prop_assert_eq!(pool.len() + test.len(), ids.len());
        prop_assert!(!pool.is_empty() && !test.is_empty());
        prop_assert_eq!(hold_out.split(&images, &reversed, Seed::new(seed)).unwrap(), (pool.clone(), test.clone()));
        let wanted = (fraction * ids.len() as f64).ceil() as usize;
        match by {
            By::Random => prop_assert_eq!(test.len(), wanted.min(ids.len() - 1)),
            By::Group => {
                prop_assert!(test.len() <= wanted);
                let groups = |ids: &[Id]| -> BTreeSet<Id> { ids.iter().map(|id| id / 3).collect() };
                prop_assert!(groups(&pool).is_disjoint(&groups(&test)));
            }
            By::Stratified => for (n, &count) in counts.iter().enumerate() {
                let held = test.iter().filter(|&&id| images.label(id) as usize == n).count();
                prop_assert_eq!(held, ((fraction * count as f64).ceil() as usize).min(count - 1));
            },
        }
    }
}

#[test]
fn groups_that_cannot_be_told_or_held_out_are_errors() {
    let ids: Vec<Id> = (0..8).collect();
    let images = small_set(&[4, 4]);
    let whole = HoldOut { separator: "g".into(), ..hold_out(By::Group, 0.2) };
    let text = complaint(whole.split(&images, &ids, Seed::new(1)));
    assert_tells(&text, &["at most 2 images", "1 groups of 8 images", "separator"]);
    let shape = ImageShape { channels: 1, height: 1, width: 1 };
    let classes = vec!["a".into(), "b".into()];
    let origin = Origin::Records(vec![("x.bin".into(), 2)]);
    let records =
        ImageSet::new(Images::new(shape, vec![0; 2], origin).unwrap(), vec![0, 1], classes).unwrap();
    let text = complaint(hold_out(By::Group, 0.5).split(&records, &[0, 1], Seed::new(1)));
    assert_tells(&text, &["x.bin, record 0", "no group"]);
}

#[test]
fn values_out_of_range_are_refused() {
    for fraction in [0.0, 1.0, f64::NAN] {
        let text = complaint(hold_out(By::Random, fraction).check("data.holdout."));
        assert_tells(&text, &["data.holdout.fraction"]);
    }
    let empty = HoldOut { separator: String::new(), ..hold_out(By::Group, 0.2) };
    assert_tells(&complaint(empty.check("data.holdout.")), &["data.holdout.separator"]);
}
