//! Every figure of the report: which numbers it shows, and what its caption must say.

use std::cmp::Reverse;

use super::chart::{Bars, Chart, DotRow, Dots, Lines, Pictures, Point, Scatter};
use super::reasons;
use super::section::Section;
use super::svg::{Svg, Theme};
use super::text::{capital, percent, plural};
use crate::error::Result;
use crate::experiment::record::{RoundRecord, RunRecord};
use crate::experiment::summary::{Measure, Spread, rare_share};
use crate::experiment::thumbnail::PER_ROUND;

/// The part of the page that a figure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Several experiments together.
    Across,
    /// Learning curves.
    Curves,
    /// Share of rare classes.
    Rare,
    /// Recall by class.
    Classes,
    /// The state of the VAE.
    Vae,
    /// Where the time went.
    Time,
    /// The images asked first; the page shows these as text and pictures of its own.
    Pictures,
}

/// A figure ready to be drawn.
pub struct Figure {
    /// Its file name without extension.
    pub slug: String,
    /// Where it belongs.
    pub part: Part,
    /// What it shows, in a few words.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// What is drawn.
    pub chart: Box<dyn Chart>,
}

impl Figure {
    /// Draws it.
    ///
    /// # Errors
    /// A picture whose bytes do not match its size.
    pub fn draw(&self, theme: Theme) -> Result<Svg> {
        let (width, height) = self.chart.size();
        let mut svg = Svg::new(width, height, theme);
        self.chart.draw(&mut svg)?;
        Ok(svg)
    }
}

/// Every figure that this experiment has the numbers for.
#[must_use]
pub fn all(section: &Section<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    if section.strategies.is_empty() {
        return figures;
    }
    let curves = ["accuracy", "balanced-accuracy", "macro-f1"].into_iter();
    for (slug, measure) in curves.zip([Measure::Accuracy, Measure::BalancedAccuracy, Measure::MacroF1]) {
        let chart = lines(section, &format!("{}, %", capital(measure.name())), None, |round| {
            Some(measure.of(&round.metrics))
        });
        let what =
            format!("{} on the test set against the number of labelled images.", capital(measure.name()));
        figures.push(curve(section, slug, Part::Curves, &capital(measure.name()), &what, chart));
    }
    figures.extend(rare(section));
    figures.push(recall(section));
    figures.push(class_scatter(section));
    figures.extend(vae(section));
    figures.extend(time(section));
    figures.extend(pictures(section));
    figures
}

fn lines(
    section: &Section<'_>,
    y_label: &str,
    reference: Option<(String, f64)>,
    value: impl Fn(&RoundRecord) -> Option<f64>,
) -> Lines {
    let line = |strategy: &str| -> Vec<Point> {
        let rounds = section.by_round(strategy, &value).into_iter();
        rounds.map(|(_, labelled, s)| Point { x: labelled, y: s.mean, sd: s.sd }).collect()
    };
    let all = section.strategies.iter().map(|entry| (entry.clone(), line(&entry.0)));
    Lines {
        x_label: "labelled images".into(),
        y_label: y_label.into(),
        lines: all.filter(|(_, points)| !points.is_empty()).collect(),
        reference,
    }
}

fn curve(section: &Section<'_>, slug: &str, part: Part, title: &str, what: &str, chart: Lines) -> Figure {
    let spread = match section.seeds {
        1 => "One seed: no band.".to_owned(),
        n => format!("Lines: mean over {}; bands: one standard deviation.", plural(n, "seed")),
    };
    let floor = chart
        .floor()
        .map_or(String::new(), |floor| format!(" The vertical axis starts at {floor} %, not at 0."));
    Figure {
        slug: slug.into(),
        part,
        title: title.into(),
        caption: format!("{what} {spread}{floor}"),
        chart: Box::new(chart),
    }
}

fn rare(section: &Section<'_>) -> Option<Figure> {
    let summary = &section.experiment.summary;
    if summary.rare.is_empty() {
        return None;
    }
    let pool: usize = summary.pool_counts.iter().sum();
    let held: usize = summary.rare.iter().filter_map(|&n| summary.pool_counts.get(n as usize)).sum();
    let share = held as f64 / pool.max(1) as f64;
    let chart = lines(section, "Rare classes, % of the labels", Some(("pool".into(), share)), |round| {
        Some(rare_share(round, &summary.rare))
    });
    let what = format!(
        "Share of the labelled images that belong to a rare class. The dotted line is their share of the \
         whole pool, {} %: what random choice finds.",
        percent(share)
    );
    Some(curve(section, "rare-share", Part::Rare, "Rare classes among the labels", &what, chart))
}

/// More rows than this are not read but skimmed.
const MOST_CLASSES: usize = 50;

fn recall(section: &Section<'_>) -> Figure {
    let strategies = section.judged_strategies();
    let classes = section.experiment.summary.classes.len();
    let value = |strategy: &str, class: usize| -> Option<Spread> {
        section.last_round(strategy, |round| round.metrics.recall.get(class).copied().flatten())
    };
    let mut rows: Vec<(f64, usize, DotRow)> = (0..classes)
        .map(|class| {
            let values: Vec<_> = strategies
                .iter()
                .map(|(name, _)| value(name, class).map(|spread| (spread.mean, spread.sd)))
                .collect();
            let means = || values.iter().flatten().map(|value| value.0);
            let gap = means().fold(0.0, f64::max) - means().fold(1.0, f64::min);
            (gap, class, DotRow { name: section.class(class), rare: section.rare(class), values })
        })
        .collect();
    let mut caption = "Recall of each class in the last round: the share of its test images that are \
                       recognised."
        .to_owned();
    if section.seeds > 1 {
        caption += " Points: mean over seeds; lines: one standard deviation.";
    }
    if classes > MOST_CLASSES {
        rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        rows.truncate(MOST_CLASSES);
        rows.sort_by_key(|row| row.1);
        caption += &format!(
            " Shown are the {MOST_CLASSES} of {classes} classes in which the strategies differ most; \
             classes.csv has all."
        );
    }
    Figure {
        slug: "recall".into(),
        part: Part::Classes,
        title: "Recall by class".into(),
        caption,
        chart: Box::new(Dots {
            x_label: "recall in the last round, %".into(),
            entries: strategies,
            rows: rows.into_iter().map(|(_, _, row)| row).collect(),
        }),
    }
}

fn class_scatter(section: &Section<'_>) -> Figure {
    let classes = section.experiment.summary.classes.len();
    let series = section.judged_strategies().into_iter().map(|entry| {
        let point = |class: usize| {
            let labelled =
                section.last_round(&entry.0, |round| round.class_counts.get(class).map(|&n| n as f64));
            let recall =
                section.last_round(&entry.0, |round| round.metrics.recall.get(class).copied().flatten());
            Some((labelled?.mean, recall?.mean, section.class(class)))
        };
        let points = (0..classes).filter_map(point).collect();
        (entry, points)
    });
    let mut caption = "Accuracy within each class against the number of its labelled images, in the last \
                       round; one point per class and strategy"
        .to_owned();
    caption += if section.seeds > 1 { ", means over seeds." } else { "." };
    Figure {
        slug: "class-accuracy".into(),
        part: Part::Classes,
        title: "Class accuracy against labels".into(),
        caption,
        chart: Box::new(Scatter {
            x_label: "labelled images of the class".into(),
            y_label: "Accuracy of the class, %".into(),
            series: series.collect(),
        }),
    }
}

fn vae(section: &Section<'_>) -> Vec<Figure> {
    if !section.has_vae() {
        return Vec::new();
    }
    let unlabelled = lines(section, "Agreement with the classifier, %", None, |round| {
        round.vae.as_ref().map(|vae| vae.agreement_unlabelled)
    });
    let labelled = lines(section, "Agreement with the truth, %", None, |round| {
        round.vae.as_ref().map(|vae| vae.agreement_labelled)
    });
    vec![
        curve(
            section,
            "vae-unlabelled",
            Part::Vae,
            "The VAE against the classifier",
            "Share of draws on the unlabelled pool in which the VAE’s own class is the one that the classifier \
             predicts: whether the VAE has learnt its classes.",
            unlabelled,
        ),
        curve(
            section,
            "vae-labelled",
            Part::Vae,
            "The VAE against the truth",
            "Share of draws on the labelled pool, which the VAE never saw, in which its own class is the true one.",
            labelled,
        ),
    ]
}

fn time(section: &Section<'_>) -> Option<Figure> {
    let parts = section.phases();
    if parts.is_empty() {
        return None;
    }
    let rows: Vec<(String, Vec<f64>)> =
        section.strategies.iter().map(|(name, _)| (name.clone(), seconds(section, name, &parts))).collect();
    Some(Figure {
        slug: "time".into(),
        part: Part::Time,
        title: "Where the time went".into(),
        caption: "Wall-clock time of one run from the first round to the last, by phase, mean over seeds. \
                  The first round’s classifier, which strategies share, is counted for each, as each would have paid it \
                  alone."
            .into(),
        chart: Box::new(Bars { x_label: "time per run".into(), parts, rows }),
    })
}

/// Mean seconds of a whole run in each phase.
pub fn seconds(section: &Section<'_>, strategy: &str, phases: &[String]) -> Vec<f64> {
    let runs: Vec<&RunRecord> =
        section.runs(strategy).into_iter().filter(|run| !run.rounds.is_empty()).collect();
    let of = |phase: &String| -> f64 {
        let all = runs.iter().flat_map(|run| &run.rounds).flat_map(|round| &round.phases);
        all.filter(|p| p.name == *phase).map(|p| p.seconds).sum::<f64>() / runs.len().max(1) as f64
    };
    phases.iter().map(of).collect()
}

/// A round in which something was asked, by one seed: (round, (strategy, record)).
pub type Asked<'a> = (usize, Vec<(&'a str, &'a RoundRecord)>);

/// The first round in which something was asked, and the last one where it is another: of the lowest
/// seed among those that the most strategies have asked with, so that all saw the same labels.
#[must_use]
pub fn asked<'a>(section: &'a Section<'_>) -> Vec<Asked<'a>> {
    let all: Vec<(&str, &RunRecord)> = section
        .strategies
        .iter()
        .flat_map(|(name, _)| section.runs(name).into_iter().map(move |run| (name.as_str(), run)))
        .filter(|(_, run)| run.rounds.iter().any(|round| !round.picks.is_empty()))
        .collect();
    let strategies = |seed: u64| all.iter().filter(|(_, run)| run.seed == seed).count();
    let Some(seed) =
        all.iter().map(|(_, run)| run.seed).max_by_key(|&seed| (strategies(seed), Reverse(seed)))
    else {
        return Vec::new();
    };
    let runs: Vec<(&str, &RunRecord)> = all.into_iter().filter(|(_, run)| run.seed == seed).collect();
    let asks = |n: usize| -> Vec<(&'a str, &'a RoundRecord)> {
        let round =
            |run: &'a RunRecord| run.rounds.iter().find(|round| round.round == n && !round.picks.is_empty());
        runs.iter().filter_map(|&(name, run)| Some((name, round(run)?))).collect()
    };
    let mut rounds: Vec<usize> = runs
        .iter()
        .flat_map(|(_, run)| &run.rounds)
        .filter(|round| !round.picks.is_empty())
        .map(|round| round.round)
        .collect();
    rounds.sort_unstable();
    let mut shown: Vec<usize> = rounds.first().into_iter().chain(rounds.last()).copied().collect();
    shown.dedup();
    shown.into_iter().map(|n| (n, asks(n))).collect()
}

fn pictures(section: &Section<'_>) -> Option<Figure> {
    let thumbnails = &section.experiment.thumbnails;
    let (round, strategies) = asked(section).into_iter().next()?;
    let rows: Vec<_> = strategies
        .into_iter()
        .map(|(name, record)| {
            let tile = |pick| {
                let reason = reasons::of(section, pick, record.vae.as_ref());
                let second = reason.predicted.map_or(String::new(), |class| format!("predicted {class}"));
                (thumbnails.get(&pick.id).cloned(), section.class(pick.label as usize), second)
            };
            (name.to_owned(), record.picks.iter().take(PER_ROUND).map(tile).collect::<Vec<_>>())
        })
        .collect();
    // Without a single picture there is nothing to look at.
    rows.iter().flat_map(|(_, tiles)| tiles).any(|tile| tile.0.is_some()).then(|| Figure {
        slug: "top-images".into(),
        part: Part::Pictures,
        title: "The images asked first".into(),
        caption: format!(
            "The first images that each strategy asked for at the end of round {round}, best first, from the same \
             classifier: the true class, and below it the one that the classifier predicted."
        ),
        chart: Box::new(Pictures { rows }),
    })
}
