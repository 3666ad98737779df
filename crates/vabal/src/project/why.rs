//! Why an image is asked, in words that say what is known, from the terms behind its score.
//!
//! Pure functions. All that can be said of an image are its candidates; chosen are those that tell
//! it from the others of the queue: a strong statement that few images share goes before one that
//! holds for most. Rare and hard are told by comparison with the other classes, odd and typical
//! with the rest of the queue. Every number in a text is one of the terms. Never here: the store,
//! the score.
//!
//! ```
//! use vabal::project::Probability;
//! use vabal::project::why::{Stats, Terms, reasons};
//! let stats = Stats { classes: vec!["pitted".into(), "spots".into()], ids: vec![0, 1], ..Stats::default() };
//! let top = [Probability { class: 0, p: 0.51 }, Probability { class: 1, p: 0.49 }];
//! let stats = Stats { confused: vec![(0, 1, 6)], ..stats };
//! let why = reasons(&Terms { values: &[("predicted".to_string(), 0.0)].into(), top: &top }, &stats);
//! assert_eq!(why[0].text, "pitted 51 %, spots 49 %: these two are confused most");
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use super::listing::Probability;
use super::words::words;
use crate::Label;
use crate::query::term;

words! {
    /// What kind of reason it is.
    ReasonKind {
        /// The class that it looks like has few labels, or few images.
        RareClass = "rare-class",
        /// The class that it looks like is often taken for another.
        HardClass = "hard-class",
        /// It looks unlike the rest, or unlike all that is labelled.
        Unusual = "unusual",
        /// It looks like many others.
        Typical = "typical",
        /// The model cannot decide.
        Unsure = "unsure",
        /// Two models, or two looks at the image, say different classes.
        Contradiction = "contradiction",
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
    /// The classes that the text names.
    pub classes: Vec<Label>,
    /// The numbers that the text gives, by what they are, before rounding.
    pub numbers: BTreeMap<&'static str, f64>,
}

impl Reason {
    /// A reason without terms: that it was drawn.
    #[must_use]
    pub(super) fn plain(kind: ReasonKind) -> Self {
        let text = match kind {
            ReasonKind::Holdout => "a random image, to measure",
            _ => "a random image",
        };
        Self::new(kind, 0.5, text.into(), &[], &[])
    }

    fn new(
        kind: ReasonKind,
        strength: f64,
        text: String,
        classes: &[Label],
        numbers: &[(&'static str, f64)],
    ) -> Self {
        let strength = strength.clamp(0.0, 1.0);
        Self { kind, text, strength, classes: classes.to_vec(), numbers: numbers.iter().copied().collect() }
    }

    /// What it says, but for the numbers.
    fn subject(&self) -> String {
        let classes: Vec<String> = self.classes.iter().map(Label::to_string).collect();
        format!("{} {}", self.kind.word(), classes.join(" "))
    }
}

/// What is known of one image.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The terms behind its score.
    pub values: &'a BTreeMap<String, f64>,
    /// The classes that the classifier says, the most probable first. May be empty.
    pub top: &'a [Probability],
}

/// How often each thing can be said of the images of a queue.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, Serialize)]
#[serde(default)]
pub struct Said {
    /// Images of the queue.
    images: usize,
    /// By kind and classes.
    of: BTreeMap<String, usize>,
}

impl Said {
    /// Of all images of a queue.
    #[must_use]
    pub fn of<'a>(queue: impl IntoIterator<Item = Terms<'a>>, stats: &Stats) -> Self {
        let mut said = Self::default();
        for terms in queue {
            said.images += 1;
            let mut subjects: Vec<String> = candidates(&terms, stats).iter().map(Reason::subject).collect();
            subjects.sort_unstable();
            subjects.dedup();
            subjects.into_iter().for_each(|subject| *said.of.entry(subject).or_default() += 1);
        }
        said
    }

    /// The share of the queue of which it can be said.
    fn share(&self, reason: &Reason) -> f64 {
        self.of.get(&reason.subject()).map_or(0.0, |&n| n as f64 / self.images.max(1) as f64)
    }
}

/// What terms are compared with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// The names of the classes, in the order in which the terms count them.
    pub classes: Vec<String>,
    /// What each of them is now: classes that were merged have one id.
    pub ids: Vec<Label>,
    /// Labels of each of them that the classifier was trained on. May be empty.
    pub labels: Vec<usize>,
    /// Pairs of classes, and how many labelled images of the one are taken for the other; most
    /// first. May be empty.
    pub confused: Vec<(Label, Label, usize)>,
    /// The similarity with the nearest labelled image below which an image is like none of them.
    pub alike: Option<f64>,
    /// VaB-AL's d_n of each class (Eq. 11): the share of right answers; small is hard. May be
    /// empty.
    pub difficulty: Vec<f64>,
    /// VaB-AL's π_n of each class (Eq. 12): the share of images that look like it; small is rare.
    /// May be empty.
    pub prior: Vec<f64>,
    /// The lower quartile, the median and the upper quartile of each term over the queue.
    pub quartiles: BTreeMap<String, [f64; 3]>,
    /// What can be said of the queue.
    pub said: Said,
}

/// Rare and hard: below this share of the mean over classes.
const LOW: f64 = 0.75;
/// A probability below which the model cannot decide.
const SURE: f64 = 0.8;
/// Reasons that are given at most.
const MOST: usize = 2;
/// The share of a queue of which one text without a number may be the first reason.
const COMMON: f64 = 0.3;
/// A second reason says at least this much.
const WORTH: f64 = 0.15;

/// The reasons for an image, what tells it most from the others of its queue first, at most two.
/// Terms without a meaning that plain words could say are passed over; where nothing is left, the
/// strategy's choice is the reason.
#[must_use]
pub fn reasons(terms: &Terms<'_>, stats: &Stats) -> Vec<Reason> {
    let mut found = candidates(terms, stats);
    if found.is_empty() {
        let reason = match named(stats, terms.values.get(term::PREDICTED)) {
            _ if terms.values.is_empty() => Reason::plain(ReasonKind::Random),
            Some((class, name)) => {
                let text = format!("looks like {name}; together with the others it teaches the model most");
                Reason::new(ReasonKind::Coverage, 0.3, text, &[class], &[])
            }
            None => {
                let text = "together with the others it teaches the model most".into();
                Reason::new(ReasonKind::Coverage, 0.3, text, &[], &[])
            }
        };
        return vec![reason];
    }
    // What holds of all tells nothing apart, and is said where there is nothing else.
    let worth = |reason: &Reason| {
        let share = stats.said.share(reason);
        // Without a number of its own, it would be the same words again and again.
        let often = reason.numbers.is_empty() && share > COMMON;
        reason.strength * (1.05 - share) * if often { 0.1 } else { 1.0 }
    };
    found.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let mut chosen: Vec<Reason> = Vec::new();
    for reason in found {
        let new = chosen.iter().all(|other| other.kind != reason.kind);
        if new && chosen.len() < MOST && (chosen.is_empty() || worth(&reason) >= WORTH) {
            chosen.push(reason);
        }
    }
    chosen
}

/// The class that a term names: what it is now, and its name.
fn named<'a>(stats: &'a Stats, value: Option<&f64>) -> Option<(Label, &'a str)> {
    let place = value.copied().filter(|value| value.is_finite() && *value >= 0.0)? as usize;
    let name = stats.classes.get(place)?;
    Some((stats.ids.get(place).copied().unwrap_or(place as Label), name))
}

/// All that can be said of an image.
fn candidates(terms: &Terms<'_>, stats: &Stats) -> Vec<Reason> {
    let find = |name: &str| terms.values.get(name).copied().filter(|value| value.is_finite());
    let class = |name: &str| named(stats, terms.values.get(name));
    let place = |name: &str| find(name).filter(|&value| value >= 0.0).map(|value| value as usize);
    let mut found = Vec::new();
    let mut add = |kind, strength, text, classes: &[Label], numbers: &[(&'static str, f64)]| {
        found.push(Reason::new(kind, strength, text, classes, numbers));
    };
    let predicted = class(term::PREDICTED);
    // Difficulty and prior are those of the class that the VAE says (Eq. 7).
    let second = class(term::VAE_PREDICTED);
    let seen = second.or(predicted);
    let of = |values: &[f64]| {
        place(term::VAE_PREDICTED)
            .or_else(|| place(term::PREDICTED))
            .and_then(|place| values.get(place).copied())
    };
    let name_of = |id: Label| {
        let place = stats.ids.iter().position(|&other| other == id)?;
        stats.classes.get(place).map(String::as_str)
    };
    let first = terms.top.first().and_then(|top| Some((top.class, name_of(top.class)?, top.p)));
    let next = terms.top.get(1).and_then(|top| Some((top.class, name_of(top.class)?, top.p)));

    if let (Some(prior), Some((class, name))) = (find(term::PRIOR).or_else(|| of(&stats.prior)), seen) {
        let ratio = prior / mean(&stats.prior).unwrap_or(1.0 / stats.classes.len().max(1) as f64);
        if ratio < LOW {
            let text = format!("looks like {name}, a rare class: {} images", share(prior));
            add(ReasonKind::RareClass, 1.0 - ratio, text, &[class], &[("prior", prior)]);
        }
    }
    if let (Some(difficulty), Some((class, name))) =
        (find(term::DIFFICULTY).or_else(|| of(&stats.difficulty)), seen)
    {
        let ratio = difficulty / mean(&stats.difficulty).unwrap_or(1.0);
        if ratio < LOW {
            let right = share(difficulty);
            let text = format!("looks like {name}, a hard class: the model is right in {right} of them");
            add(ReasonKind::HardClass, 1.0 - ratio, text, &[class], &[("difficulty", difficulty)]);
        }
    }
    if let Some(depth) = far(find(term::LIKELIHOOD), stats.quartiles.get(term::LIKELIHOOD), Side::Low) {
        add(ReasonKind::Unusual, depth, "looks unlike the rest".into(), &[], &[]);
    }
    if let (Some(nearest), Some(alike)) = (find(term::NEAREST), stats.alike)
        && nearest < alike
    {
        let text = "looks like none of the labelled".into();
        add(ReasonKind::Unusual, 0.5 + 0.5 * (alike - nearest), text, &[], &[]);
    }
    // The loss itself: a small one is an image that is like many.
    if let Some(depth) = far(find(term::ENERGY), stats.quartiles.get(term::ENERGY), Side::Low) {
        let text = "looks like many others: what it is says something about them".into();
        add(ReasonKind::Typical, depth, text, &[], &[]);
    }
    if let (Some((one, name)), Some((other, other_name))) = (predicted, second)
        && one != other
    {
        let text = format!("looks like {name} at first sight and like {other_name} at second");
        add(ReasonKind::Contradiction, 0.6, text, &[one, other], &[]);
    }
    let wanted = class(term::CLASS);
    if let (Some(support), Some((one, name)), Some((other, other_name))) =
        (find(term::SUPPORT), predicted, wanted)
        && one != other
    {
        // The corrected class may be another than the most probable one, whose number would be of
        // another class.
        let p = first.filter(|first| first.0 == one).map(|first| first.2);
        let (sure, numbers) = match p {
            Some(p) => (format!(" ({})", percent(p)), vec![("probability", p)]),
            None => (String::new(), vec![]),
        };
        let text = format!("the classifier says {name}{sure}, its features say {other_name}");
        add(ReasonKind::Contradiction, (1.0 - support) * p.unwrap_or(0.6), text, &[one, other], &numbers);
    }
    if let (Some((one, name, p)), Some((other, other_name, q))) = (first, next)
        && p < SURE
    {
        let pair = |&&(a, b, _): &&(Label, Label, usize)| (a, b) == (one, other) || (a, b) == (other, one);
        let times = stats.confused.iter().find(pair).map_or(0, |&(_, _, n)| n);
        let most = times > 0 && stats.confused.first().is_some_and(|&(_, _, n)| n == times);
        let mut text = format!("{name} {}, {other_name} {}", percent(p), percent(q));
        let mut numbers = vec![("first", p), ("second", q)];
        if most {
            text += ": these two are confused most";
        } else if times > 0 {
            text += &format!(": these two were confused {times} times");
            numbers.push(("confused", times as f64));
            if times == 1 {
                text = text.replace("1 times", "once");
                numbers.pop();
            }
        }
        let strength = 0.2 + 0.6 * q / p + if most { 0.2 } else { 0.0 };
        add(ReasonKind::Unsure, strength, text, &[one, other], &numbers);
    } else if let Some(confidence) = find(term::CONFIDENCE).or_else(|| find(term::CORRECTED))
        && confidence < SURE
        && first.is_none()
    {
        let (id, name) =
            predicted.map_or((vec![], String::new()), |(id, name)| (vec![id], format!(" that it is {name}")));
        let text = format!("the model is only {} sure{name}", percent(confidence));
        add(ReasonKind::Unsure, 1.0 - confidence, text, &id, &[("confidence", confidence)]);
    }
    for (name, text) in [
        (term::INFORMATION, "versions of the model contradict each other"),
        (term::VOTES, "versions of the model contradict each other"),
        (term::LOSS, "the model expects to be wrong here"),
        (term::GRADIENT, "its answer would change the model much"),
    ] {
        if let Some(depth) = far(find(name), stats.quartiles.get(name), Side::High) {
            add(ReasonKind::Unsure, depth, text.into(), &[], &[]);
        }
    }
    if let Some((class, name)) = wanted {
        let p = terms.top.iter().find(|top| top.class == class).map(|top| top.p);
        let look = match p {
            Some(p) if p >= 0.005 => format!("{name} {}", percent(p)),
            _ => format!("might be {name}"),
        };
        let mut numbers: Vec<(&str, f64)> =
            p.filter(|&p| p >= 0.005).map(|p| ("probability", p)).into_iter().collect();
        match find(term::LABELLED) {
            Some(count) => {
                numbers.push(("labels", count));
                let fewest = stats.labels.iter().min().is_some_and(|&least| count == least as f64);
                let counts: Vec<f64> = stats.labels.iter().map(|&n| n as f64).collect();
                let ratio = count / mean(&counts).unwrap_or(f64::INFINITY);
                let (strength, has) = match fewest {
                    true => (0.7, format!("has the fewest labels ({count:.0})")),
                    false if ratio < LOW => (0.4, format!("has few labels ({count:.0})")),
                    false => (0.15, format!("has {} so far", labels(count))),
                };
                add(ReasonKind::RareClass, strength, format!("{look}: {name} {has}"), &[class], &numbers);
            }
            None => {
                let text = format!("{look}, of which more are wanted");
                add(ReasonKind::RareClass, 0.3, text, &[class], &numbers);
            }
        }
    }
    if find(term::DISTANCE).is_some()
        || find(term::DISCRIMINATOR).is_some()
        || find(term::REPRESENTED).is_some()
    {
        add(ReasonKind::Coverage, 0.5, "unlike what is labelled so far".into(), &[], &[]);
    }
    if let Some(covered) = find(term::COVERED) {
        add_many(&mut add, ReasonKind::Coverage, covered.round(), "nothing like it is labelled yet");
    }
    if find(term::TYPICALITY).is_some() {
        let size = find(term::CLUSTER_SIZE).unwrap_or(0.0).round();
        add_many(&mut add, ReasonKind::Typical, size, "typical of images that look like it");
    }
    found
}

/// That an image stands for `images` like it, itself among them; or `else_say`.
fn add_many(
    add: &mut impl FnMut(ReasonKind, f64, String, &[Label], &[(&'static str, f64)]),
    kind: ReasonKind,
    images: f64,
    else_say: &str,
) {
    if images > 1.0 {
        add(kind, 0.5, format!("stands for {images:.0} images like it"), &[], &[("images", images)]);
    } else {
        add(kind, 0.5, else_say.into(), &[], &[]);
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean.is_finite() && mean > 0.0).then_some(mean)
}

/// "51 %". What is not certain is not 100.
fn percent(p: f64) -> String {
    match 100.0 * p {
        percent if percent >= 99.5 => "over 99 %".into(),
        percent => format!("{percent:.0} %"),
    }
}

fn labels(count: f64) -> String {
    if count == 1.0 { "1 label".into() } else { format!("{count:.0} labels") }
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

/// How far a value lies beyond the quartile, from 0.5 at the quartile towards 1; `None` where it
/// does not, or where all are alike.
fn far(value: Option<f64>, quartiles: Option<&[f64; 3]>, side: Side) -> Option<f64> {
    let (value, &[low, middle, high]) = (value?, quartiles?);
    let beyond = match side {
        Side::Low => (middle - value) / (middle - low),
        Side::High => (value - middle) / (high - middle),
    };
    (beyond.is_finite() && beyond >= 1.0).then(|| 1.0 - 0.5 / beyond)
}

#[cfg(test)]
mod tests;
