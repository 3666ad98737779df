//! The counts of the published protocols, and what holds for every one.

use proptest::prelude::*;

use super::super::tests::{assert_tells, complaint, small_set};
use super::*;

fn names(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("class {n}")).collect()
}

fn numbers(classes: &[Label]) -> Vec<ClassName> {
    classes.iter().map(|&n| ClassName::Number(n)).collect()
}

fn imbalance(kind: Kind, classes: &[Label], keep: f64) -> Imbalance {
    Imbalance { kind, classes: numbers(classes), keep, ..Imbalance::default() }
}

#[test]
fn published_protocols_have_their_published_counts() {
    let check = |imbalance: Imbalance, counts: &[usize], expected: &[usize]| {
        assert_eq!(imbalance.kept(counts, &names(counts.len())).unwrap(), expected, "{imbalance}");
    };
    let cifar = [5000; 10];
    check(imbalance(Kind::None, &[], 0.1), &cifar, &cifar);
    let dominant = [5000, 500, 500, 500, 500, 500, 500, 500, 500, 500];
    check(imbalance(Kind::Dominant, &[0], 0.1), &cifar, &dominant);
    let rare = [5000, 5000, 5000, 5000, 500, 5000, 5000, 5000, 5000, 5000];
    check(imbalance(Kind::Rare, &[4], 0.1), &cifar, &rare);
    // Cao et al. 2019, imbalance ratio 100.
    let tail = [5000, 2997, 1797, 1077, 646, 387, 232, 139, 83, 50];
    check(imbalance(Kind::LongTail, &[], 0.01), &cifar, &tail);
    let step = [5000, 5000, 5000, 5000, 5000, 50, 50, 50, 50, 50];
    check(imbalance(Kind::Step, &[], 0.01), &cifar, &step);
    let alternating = [50, 5000, 50, 5000, 50, 5000, 50, 5000, 50, 5000];
    check(imbalance(Kind::Alternating, &[], 0.01), &cifar, &alternating);
    // Rounded to the nearest, halves up, never to nothing; an empty class stays empty.
    check(imbalance(Kind::Rare, &[0, 1, 2, 3], 0.1), &[4, 15, 14, 0], &[1, 2, 1, 0]);
}

#[test]
fn the_range_of_cifar_100_leaves_the_paper_s_eleven_classes_whole() {
    let classes = vec![ClassName::Name("44..54".into())];
    let imbalance = Imbalance { kind: Kind::Dominant, classes, keep: 0.6, ..Imbalance::default() };
    let kept = imbalance.kept(&[500; 100], &names(100)).unwrap();
    let whole: Vec<_> = (0..100).filter(|&n| kept[n] == 500).collect();
    assert_eq!(whole, (44..=54).collect::<Vec<_>>());
    assert!(kept.iter().all(|&count| count == 500 || count == 300));
}

#[test]
fn classes_go_by_name_or_number_and_unknown_ones_get_the_nearest() {
    let check = |text: &str| {
        let imbalance: Imbalance = toml::from_str(text).unwrap();
        imbalance.named(&["airplane".into(), "cat".into(), "7".into()])
    };
    let dominant = |classes: &str| format!("kind = \"dominant\"\nclasses = {classes}");
    assert_eq!(check(&dominant("[\"cat\"]")).unwrap(), [false, true, false]);
    assert_eq!(check(&dominant("[0, \"1..2\"]")).unwrap(), [true, true, true]);
    // A name comes before a number.
    assert_eq!(check(&dominant("[\"7\"]")).unwrap(), [false, false, true]);
    let text = complaint(check(&dominant("[\"airplan\"]")));
    assert_tells(&text, &["data.imbalance.classes", "did you mean \"airplane\"?"]);
    assert_tells(&complaint(check(&dominant("[3]"))), &["0 to 2", "got: \"3\""]);
    assert_tells(&complaint(check(&dominant("[\"2..1\"]"))), &["unknown class"]);
}

#[test]
fn values_out_of_range_and_unknown_keys_are_refused() {
    let check = |imbalance: Imbalance, key: &str| {
        assert_tells(&complaint(imbalance.check("data.imbalance.")), &[&format!("data.imbalance.{key}")]);
    };
    for keep in [0.0, 1.1, -1.0, f64::NAN] {
        check(imbalance(Kind::LongTail, &[], keep), "keep");
    }
    check(Imbalance { fraction: 1.0, ..Imbalance::default() }, "fraction");
    check(imbalance(Kind::Rare, &[], 0.1), "classes");
    check(imbalance(Kind::Step, &[1], 0.1), "classes");
    assert!(toml::from_str::<Imbalance>("kept = 0.1").is_err());
    assert!(toml::from_str::<Imbalance>("kind = \"Dominant\"").is_err());
    assert!(toml::from_str::<Imbalance>("classes = [-1]").is_err());
}

fn any_imbalance() -> impl Strategy<Value = Imbalance> {
    let kinds = [Kind::Dominant, Kind::Rare, Kind::LongTail, Kind::Step, Kind::Alternating];
    (prop::sample::select(kinds.to_vec()), 0.001..1.0, 0.01..0.99).prop_map(|(kind, keep, fraction)| {
        let classes = if matches!(kind, Kind::Dominant | Kind::Rare) { numbers(&[1]) } else { Vec::new() };
        Imbalance { kind, classes, keep, fraction }
    })
}

proptest! {
    /// No class grows or vanishes, counts are those promised, order does not matter, nothing is
    /// drawn twice or from elsewhere, and less of the same is a part of more of it.
    #[test]
    fn what_is_left_is_as_promised(
        imbalance in any_imbalance(),
        counts in prop::collection::vec(1_usize..40, 2..6),
        seed in 0_u64..50,
    ) {
        let images = small_set(&counts);
        let pool: Vec<Id> = (0..images.images().len() as Id).collect();
        let apply = |imbalance: &Imbalance, pool: &[Id]| imbalance.apply(&images, pool, Seed::new(seed)).unwrap();
        let left = apply(&imbalance, &pool);
        prop_assert!(left.is_sorted_by(|a, b| a < b));
        prop_assert!(left.iter().all(|id| pool.contains(id)));
        let mut left_counts = vec![0; counts.len()];
        for &id in &left {
            left_counts[images.label(id) as usize] += 1;
        }
        prop_assert_eq!(&left_counts, &imbalance.kept(&counts, images.classes()).unwrap());
        prop_assert!(left_counts.iter().zip(&counts).all(|(&left, &all)| 1 <= left && left <= all));
        let reversed: Vec<Id> = pool.iter().rev().copied().collect();
        prop_assert_eq!(&left, &apply(&imbalance, &reversed));
        let less = apply(&Imbalance { keep: imbalance.keep / 2.0, ..imbalance }, &pool);
        prop_assert!(less.iter().all(|id| left.contains(id)));
    }
}

#[test]
fn another_seed_takes_other_images() {
    let images = small_set(&[100, 100]);
    let pool: Vec<Id> = (0..200).collect();
    let apply = |seed| imbalance(Kind::Rare, &[0], 0.5).apply(&images, &pool, Seed::new(seed)).unwrap();
    assert_ne!(apply(1), apply(2));
}
