//! Why an image is asked, in plain words, from the terms behind its score.
//!
//! A pure function: rare and hard are told by comparison with the other classes, odd and typical with the rest of the
//! queue. Never here: the store, the score.

use std::collections::BTreeMap;

use serde::Serialize;

use super::words::words;
use crate::query::term;

words! {
    /// What kind of reason it is.
    ReasonKind {
        /// The class that it looks like is rare.
        RareClass = "rare-class",
        /// The class that it looks like is often taken for another.
        HardClass = "hard-class",
        /// It looks unlike the rest.
        Unusual = "unusual",
        /// It looks like many others.
        Typical = "typical",
        /// The model cannot decide.
        Unsure = "unsure",
        /// Nothing like it is labelled yet.
        Coverage = "coverage",
        /// It was drawn.
        Random = "random",
        /// It was drawn, for the holdout.
        Holdout = "holdout",
    }
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What kind it is.
    pub kind: ReasonKind,
    /// Plain words: one sentence, no full stop.
    pub text: String,
    /// How much of a reason it is, 0 to 1.
    pub strength: f64,
}

impl Reason {
    /// A reason without terms: that it was drawn.
    #[must_use]
    pub(super) fn plain(kind: ReasonKind) -> Self {
        // The same words for the holdout: who answers must not know.
        Self { kind, text: "drawn at random".into(), strength: 0.5 }
    }
}

/// What terms are compared with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// The names of the classes, in the order in which the terms count them.
    pub classes: Vec<String>,
    /// VaB-AL's d_n of each class (Eq. 11): the share of right answers; small is hard. May be empty.
    pub difficulty: Vec<f64>,
    /// VaB-AL's π_n of each class (Eq. 12): the share of images that look like it; small is rare. May be empty.
    pub prior: Vec<f64>,
    /// The lower quartile, the median and the upper quartile of each term over the queue.
    pub quartiles: BTreeMap<String, [f64; 3]>,
}

/// Rare and hard: below this share of the mean over classes.
const LOW: f64 = 0.75;
/// Reasons that are given at most.
const MOST: usize = 3;

/// The reasons for an image, the strongest first, at most three. Terms without a meaning that plain words could say are
/// passed over; where nothing is left, the strategy's choice is the reason.
#[must_use]
pub fn reasons(terms: &BTreeMap<String, f64>, stats: &Stats) -> Vec<Reason> {
    let find = |name: &str| terms.get(name).copied().filter(|value| value.is_finite());
    let index = |name: &str| find(name).filter(|&value| value >= 0.0).map(|value| value as usize);
    let named = |class: Option<usize>| class.and_then(|class| stats.classes.get(class));
    let predicted = index(term::PREDICTED);
    // Difficulty and prior are those of the class that the VAE says (Eq. 7).
    let seen = index(term::VAE_PREDICTED).or(predicted);
    let of = |values: &[f64]| seen.and_then(|class| values.get(class).copied());
    let mut found = Vec::new();
    let mut add = |kind, strength: f64, text: String| {
        found.push(Reason { kind, text, strength: strength.clamp(0.0, 1.0) });
    };

    if let (Some(prior), Some(name)) = (find(term::PRIOR).or_else(|| of(&stats.prior)), named(seen)) {
        let ratio = prior / mean(&stats.prior).unwrap_or(1.0 / stats.classes.len().max(1) as f64);
        if ratio < LOW {
            let share = share(prior);
            add(
                ReasonKind::RareClass,
                1.0 - ratio,
                format!("looks like {name}, a rare class: {share} images"),
            );
        }
    }
    if let (Some(difficulty), Some(name)) =
        (find(term::DIFFICULTY).or_else(|| of(&stats.difficulty)), named(seen))
    {
        let ratio = difficulty / mean(&stats.difficulty).unwrap_or(1.0);
        if ratio < LOW {
            let right = share(difficulty);
            let text = format!("looks like {name}, a hard class: the model is right in {right} of them");
            add(ReasonKind::HardClass, 1.0 - ratio, text);
        }
    }
    if let Some(depth) = far(find(term::LIKELIHOOD), stats.quartiles.get(term::LIKELIHOOD), Side::Low) {
        add(ReasonKind::Unusual, depth, "looks unlike the rest".into());
    }
    // The loss itself: a small one is an image that is like many.
    if let Some(depth) = far(find(term::ENERGY), stats.quartiles.get(term::ENERGY), Side::Low) {
        add(
            ReasonKind::Typical,
            depth,
            "looks like many others: what it is says something about them".into(),
        );
    }
    if let (Some(one), Some(other)) = (predicted, seen)
        && one != other
        && let (Some(one), Some(other)) = (named(Some(one)), named(Some(other)))
    {
        add(ReasonKind::Unsure, 0.6, format!("looks like {one} at first sight and like {other} at second"));
    }
    let (support, wanted) = (find(term::SUPPORT), index(term::CLASS));
    if let (Some(support), Some(one), Some(other)) = (support, named(predicted), named(wanted))
        && predicted != wanted
    {
        let text = format!("the classifier says {one}, its features say {other}");
        add(ReasonKind::Unsure, 1.0 - support, text);
    }
    if let Some(confidence) = find(term::CONFIDENCE).or_else(|| find(term::CORRECTED))
        && confidence < 0.8
    {
        let name = named(predicted).map_or_else(String::new, |name| format!(" that it is {name}"));
        let text = format!("the model is only {:.0} % sure{name}", 100.0 * confidence);
        add(ReasonKind::Unsure, 1.0 - confidence, text);
    }
    for (name, text) in [
        (term::INFORMATION, "versions of the model contradict each other"),
        (term::VOTES, "versions of the model contradict each other"),
        (term::LOSS, "the model expects to be wrong here"),
        (term::GRADIENT, "its answer would change the model much"),
    ] {
        if let Some(depth) = far(find(name), stats.quartiles.get(name), Side::High) {
            add(ReasonKind::Unsure, depth, text.into());
        }
    }
    if let Some(class) = named(index(term::CLASS)) {
        let text = match find(term::LABELLED) {
            Some(count) => format!("might be {class}, which has {count:.0} labels"),
            None => format!("might be {class}, of which more are wanted"),
        };
        add(ReasonKind::RareClass, 0.7, text);
    }
    if find(term::DISTANCE).is_some()
        || find(term::DISCRIMINATOR).is_some()
        || find(term::REPRESENTED).is_some()
    {
        add(ReasonKind::Coverage, 0.5, "unlike what is labelled so far".into());
    }
    if let Some(covered) = find(term::COVERED) {
        let text = match covered.round() as i64 {
            n if n > 1 => format!("stands for {n} images that look like it"),
            _ => "nothing like it is labelled yet".into(),
        };
        add(ReasonKind::Coverage, 0.5, text);
    }
    if find(term::TYPICALITY).is_some() {
        let text = match find(term::CLUSTER_SIZE) {
            Some(size) if size > 1.0 => format!("typical of {size:.0} images that look alike"),
            _ => "typical of images that look like it".into(),
        };
        add(ReasonKind::Typical, 0.5, text);
    }
    if found.is_empty() {
        let reason = if terms.is_empty() {
            Reason::plain(ReasonKind::Random)
        } else {
            let text = match named(seen) {
                Some(name) => {
                    format!("looks like {name}; together with the others it teaches the model most")
                }
                None => "together with the others it teaches the model most".into(),
            };
            Reason { kind: ReasonKind::Coverage, text, strength: 0.3 }
        };
        found.push(reason);
    }
    found.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    let mut seen = Vec::new();
    found.retain(|reason| {
        let new = !seen.contains(&(reason.kind, reason.text.clone()));
        seen.push((reason.kind, reason.text.clone()));
        new
    });
    found.truncate(MOST);
    found
}

fn mean(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean.is_finite() && mean > 0.0).then_some(mean)
}

/// "about 3 in 100", as people say it.
fn share(value: f64) -> String {
    match 100.0 * value {
        percent if percent >= 1.0 => format!("about {percent:.0} in 100"),
        percent if percent >= 0.1 => format!("about {:.0} in 1000", 10.0 * percent),
        _ => "fewer than 1 in 1000".into(),
    }
}

enum Side {
    Low,
    High,
}

/// How far a value lies beyond the quartile, from 0.5 at the quartile towards 1; `None` where it does not, or where all
/// are alike.
fn far(value: Option<f64>, quartiles: Option<&[f64; 3]>, side: Side) -> Option<f64> {
    let (value, &[low, middle, high]) = (value?, quartiles?);
    let beyond = match side {
        Side::Low => (middle - value) / (middle - low),
        Side::High => (value - middle) / (high - middle),
    };
    (beyond.is_finite() && beyond >= 1.0).then(|| 1.0 - 0.5 / beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        Stats {
            classes: vec!["scratch".into(), "crack".into(), "stain".into()],
            difficulty: vec![0.9, 0.3, 0.9],
            prior: vec![0.6, 0.02, 0.38],
            quartiles: [("energy".to_string(), [0.2, 0.3, 0.4]), ("likelihood".to_string(), [0.2, 0.3, 0.4])]
                .into(),
        }
    }

    fn said(terms: &[(&str, f64)]) -> Vec<(ReasonKind, String)> {
        let terms = terms.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
        let reasons = reasons(&terms, &stats());
        assert!(reasons.iter().all(|reason| (0.0..=1.0).contains(&reason.strength)), "{reasons:?}");
        assert!(reasons.windows(2).all(|pair| pair[0].strength >= pair[1].strength), "{reasons:?}");
        reasons.into_iter().map(|reason| (reason.kind, reason.text)).collect()
    }

    #[test]
    fn a_rare_and_hard_class_is_said_from_the_terms_or_from_what_is_known_of_the_class() {
        // The terms of the preset `default` name the class alone.
        let by_class = said(&[("predicted", 1.0), ("vae-predicted", 1.0), ("energy", 0.3)]);
        assert_eq!(by_class[0].0, ReasonKind::RareClass);
        assert_eq!(by_class[0].1, "looks like crack, a rare class: about 2 in 100 images");
        assert_eq!(by_class[1].0, ReasonKind::HardClass);
        assert!(by_class[1].1.contains("right about 30 in 100") || by_class[1].1.contains("about 30 in 100"));
        let by_term = said(&[("predicted", 1.0), ("prior", 0.02), ("difficulty", 0.3)]);
        assert_eq!(by_class, by_term);
        let common = said(&[("predicted", 0.0), ("prior", 0.6), ("difficulty", 0.9)]);
        assert_eq!(common[0].0, ReasonKind::Coverage);
    }

    #[test]
    fn two_judges_that_disagree_are_named_with_what_each_says() {
        let terms =
            [("predicted", 0.0), ("corrected", 0.9), ("class", 1.0), ("support", 0.1), ("labelled", 3.0)];
        let reasons = said(&terms);
        assert_eq!(
            reasons[0],
            (ReasonKind::Unsure, "the classifier says scratch, its features say crack".into())
        );
        assert_eq!(reasons[1], (ReasonKind::RareClass, "might be crack, which has 3 labels".into()));
        let agreed = [("predicted", 0.0), ("corrected", 0.55), ("class", 0.0), ("support", 0.9)];
        assert!(
            said(&agreed).iter().any(|(_, text)| text == "the model is only 55 % sure that it is scratch")
        );
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
        assert!(!reasons(&[("predicted".to_string(), 2.0)].into(), &Stats::default()).is_empty());
    }

    #[test]
    fn doubt_is_said_with_its_size() {
        let doubt = said(&[("predicted", 0.0), ("confidence", 0.41)]);
        assert_eq!(doubt, [(ReasonKind::Unsure, "the model is only 41 % sure that it is scratch".into())]);
    }
}
