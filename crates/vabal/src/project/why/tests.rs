//! What is said of an image, from terms alone.

use proptest::prelude::*;

use super::*;

fn stats() -> Stats {
    Stats {
        classes: vec!["scratch".into(), "crack".into(), "stain".into()],
        ids: vec![0, 1, 2],
        labels: vec![20, 3, 9],
        confused: vec![(0, 2, 5), (1, 2, 3), (0, 1, 1)],
        alike: Some(0.4),
        difficulty: vec![0.9, 0.3, 0.9],
        prior: vec![0.6, 0.02, 0.38],
        quartiles: [("energy".to_string(), [0.2, 0.3, 0.4]), ("likelihood".to_string(), [0.2, 0.3, 0.4])]
            .into(),
        said: Said::default(),
    }
}

/// Of the default strategy, which knows no prior and no difficulty.
fn modern() -> Stats {
    Stats { difficulty: vec![], prior: vec![], ..stats() }
}

fn top(all: &[(Label, f64)]) -> Vec<Probability> {
    all.iter().map(|&(class, p)| Probability { class, p }).collect()
}

fn said_of(terms: &[(&str, f64)], all: &[(Label, f64)], stats: &Stats) -> Vec<(ReasonKind, String)> {
    let values = terms.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
    let reasons = reasons(&Terms { values: &values, top: &top(all) }, stats);
    assert!(reasons.iter().all(|reason| (0.0..=1.0).contains(&reason.strength)), "{reasons:?}");
    reasons.into_iter().map(|reason| (reason.kind, reason.text)).collect()
}

fn said(terms: &[(&str, f64)]) -> Vec<(ReasonKind, String)> {
    said_of(terms, &[], &stats())
}

#[test]
fn a_rare_and_hard_class_is_said_from_the_terms_or_from_what_is_known_of_the_class() {
    // The terms of the paper's strategy name the class alone.
    let by_class = said(&[("predicted", 1.0), ("vae-predicted", 1.0), ("energy", 0.3)]);
    assert_eq!(by_class[0].0, ReasonKind::RareClass);
    assert_eq!(by_class[0].1, "looks like crack, a rare class: about 2 in 100 images");
    assert_eq!(by_class[1].0, ReasonKind::HardClass);
    assert!(by_class[1].1.contains("about 30 in 100"));
    let by_term = said(&[("predicted", 1.0), ("prior", 0.02), ("difficulty", 0.3)]);
    assert_eq!(by_class, by_term);
    let common = said(&[("predicted", 0.0), ("prior", 0.6), ("difficulty", 0.9)]);
    assert_eq!(common[0].0, ReasonKind::Coverage);
}

#[test]
fn two_judges_that_disagree_are_named_with_what_each_says() {
    let terms = [("predicted", 0.0), ("corrected", 0.9), ("class", 1.0), ("support", 0.1), ("labelled", 3.0)];
    let with = said_of(&terms, &[(0, 0.92), (1, 0.05), (2, 0.03)], &modern());
    assert_eq!(
        with,
        [
            (
                ReasonKind::Contradiction,
                "the classifier says scratch (92 %), its features say crack".to_string()
            ),
            (ReasonKind::RareClass, "crack 5 %: crack has the fewest labels (3)".to_string()),
        ]
    );
    // Corrected for the shares of the labels it says another class: 92 % is not the number of
    // that one.
    let corrected = said_of(&[("predicted", 2.0), ("class", 1.0), ("support", 0.1)], &[(0, 0.92)], &modern());
    assert_eq!(corrected[0].1, "the classifier says stain, its features say crack");
}

#[test]
fn two_classes_are_given_with_their_probabilities_and_how_often_they_are_confused() {
    let doubt = |all: &[(Label, f64)]| said_of(&[("predicted", 0.0)], all, &modern())[0].1.clone();
    assert_eq!(doubt(&[(0, 0.51), (2, 0.49)]), "scratch 51 %, stain 49 %: these two are confused most");
    assert_eq!(doubt(&[(2, 0.6), (1, 0.3)]), "stain 60 %, crack 30 %: these two were confused 3 times");
    assert_eq!(doubt(&[(1, 0.6), (0, 0.3)]), "crack 60 %, scratch 30 %: these two were confused once");
    let none = Stats { confused: vec![], ..modern() };
    assert_eq!(said_of(&[("predicted", 0.0)], &[(1, 0.6), (0, 0.3)], &none)[0].1, "crack 60 %, scratch 30 %");
    // Sure enough: no doubt is made of it.
    let sure = said_of(&[("predicted", 0.0), ("class", 1.0), ("labelled", 3.0)], &[(0, 0.96)], &modern());
    assert_eq!(sure, [(ReasonKind::RareClass, "might be crack: crack has the fewest labels (3)".into())]);
}

#[test]
fn what_is_far_from_every_label_is_said_to_be_like_none() {
    let nearest = |value| said_of(&[("predicted", 0.0), ("nearest", value)], &[(0, 0.97)], &modern());
    assert_eq!(nearest(0.2)[0], (ReasonKind::Unusual, "looks like none of the labelled".into()));
    assert_eq!(nearest(0.6)[0].0, ReasonKind::Coverage);
}

#[test]
fn of_a_cold_start_it_is_said_for_how_many_an_image_stands() {
    let many = said(&[("typicality", 1.0), ("cluster-size", 41.0)]);
    assert_eq!(many, [(ReasonKind::Typical, "stands for 41 images like it".into())]);
    assert_eq!(said(&[("covered", 7.0)])[0].1, "stands for 7 images like it");
    assert_eq!(said(&[("covered", 1.0)])[0].1, "nothing like it is labelled yet");
}

#[test]
fn a_small_energy_is_typical_and_a_small_likelihood_is_unusual() {
    assert_eq!(said(&[("predicted", 0.0), ("energy", 0.1)])[0].0, ReasonKind::Typical);
    assert_eq!(said(&[("predicted", 0.0), ("likelihood", 0.1)])[0].0, ReasonKind::Unusual);
    assert_eq!(said(&[("predicted", 0.0), ("energy", 0.39)])[0].0, ReasonKind::Coverage);
}

#[test]
fn terms_that_mean_nothing_here_are_no_panic() {
    assert_eq!(said(&[])[0].0, ReasonKind::Random);
    for value in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        let names =
            ["predicted", "vae-predicted", "energy", "confidence", "covered", "class", "cluster-size"];
        let terms: Vec<(&str, f64)> = names.iter().map(|name| (*name, value)).collect();
        assert!(!said(&terms).is_empty());
    }
    let values = [("predicted".to_string(), 2.0)].into();
    assert!(!reasons(&Terms { values: &values, top: &[] }, &Stats::default()).is_empty());
}

#[test]
fn doubt_is_said_with_its_size() {
    let doubt = said(&[("predicted", 0.0), ("confidence", 0.41)]);
    assert_eq!(doubt, [(ReasonKind::Unsure, "the model is only 41 % sure that it is scratch".into())]);
}

#[test]
fn what_holds_of_the_whole_queue_makes_way_for_what_holds_of_one_image() {
    let all = top(&[(0, 0.6), (2, 0.39)]);
    let usual: BTreeMap<String, f64> =
        [("predicted", 0.0), ("class", 1.0), ("labelled", 3.0)].map(|(n, v)| (n.to_string(), v)).into();
    let mut odd = usual.clone();
    odd.insert("nearest".into(), 0.35);
    let terms = |values| Terms { values, top: &all };
    let mut stats = modern();
    let queue = (0..20).map(|_| terms(&usual)).chain([terms(&odd)]);
    stats.said = Said::of(queue, &stats);
    assert_eq!(reasons(&terms(&odd), &stats)[0].kind, ReasonKind::Unusual);
    assert_ne!(reasons(&terms(&usual), &stats)[0].kind, ReasonKind::Unusual);
}

/// Terms of a queue as the default strategy writes them, and the probabilities behind.
fn queue() -> impl Strategy<Value = Vec<(BTreeMap<String, f64>, Vec<Probability>)>> {
    // The class that is wanted is the same for most: that of the fewest labels.
    let one = (prop::array::uniform3(0.001..1.0_f64), 0..4_usize, 0.0..1.0_f64, 0.0..1.0_f64);
    let image = one.prop_map(|(weights, wanted, support, nearest)| {
        let sum: f64 = weights.iter().sum();
        let mut all = top(&[0, 1, 2].map(|class| (class, weights[class as usize] / sum)));
        all.sort_by(|a, b| b.p.total_cmp(&a.p));
        let wanted = if wanted == 0 { 2.0 } else { 1.0 };
        let terms = [
            ("predicted", f64::from(all[0].class)),
            ("corrected", all[0].p),
            ("class", wanted),
            ("support", support),
            ("labelled", [20.0, 3.0, 9.0][wanted as usize]),
            ("nearest", nearest),
        ];
        (terms.map(|(name, value)| (name.to_string(), value)).into(), all)
    });
    prop::collection::vec(image, 50)
}

/// The numbers in a text, in order.
fn numbers(text: &str) -> Vec<f64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

proptest! {
    #[test]
    fn the_numbers_of_a_text_are_the_terms_and_no_text_is_that_of_a_third_of_the_queue(queue in queue()) {
        let terms: Vec<Terms<'_>> = queue.iter().map(|(values, top)| Terms { values, top }).collect();
        let mut stats = modern();
        stats.said = Said::of(terms.iter().copied(), &stats);
        let mut counts = BTreeMap::<String, usize>::new();
        for terms in &terms {
            let given = reasons(terms, &stats);
            prop_assert!((1..=2).contains(&given.len()));
            *counts.entry(given[0].text.clone()).or_default() += 1;
            for reason in &given {
                let known: Vec<f64> = (terms.top.iter().map(|top| 100.0 * top.p))
                    .chain(terms.values.values().copied())
                    .chain(stats.confused.iter().map(|&(_, _, n)| n as f64))
                    .chain([99.0])
                    .collect();
                for number in numbers(&reason.text) {
                    prop_assert!(known.iter().any(|known| (known - number).abs() <= 0.5 + 1e-9), "{reason:?}");
                }
                prop_assert_eq!(numbers(&reason.text).len(), reason.numbers.len(), "{:?}", reason);
                for &class in &reason.classes {
                    prop_assert!(reason.text.contains(&stats.classes[class as usize]));
                }
            }
        }
        let most = counts.values().max().copied().unwrap_or(0);
        prop_assert!(3 * most <= queue.len(), "{most} of {}: {counts:?}", queue.len());
    }
}
