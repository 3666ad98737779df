//! Several experiments as one table and one figure: how strategies rank over data sets.
//!
//! Never here: the arithmetic of ranks and tests ([`crate::experiment::ranking`]).

use super::chart::{Entry, Ranks};
use super::figures::{Figure as Drawing, Part};
use super::section::{BASELINE, Section};
use super::tables::Table;
use super::text::{plural, points, whole_percent};
use crate::experiment::ranking::{self, Ranking};
use crate::experiment::summary::{self, Figure, Measure};
use crate::metrics::mean;

/// The measure that strategies are ranked by.
const MEASURE: Measure = Measure::BalancedAccuracy;
const FIGURE: Figure = Figure::Average;

/// The strategies that all of several experiments have, but for bounds, and how they rank.
struct Across<'a> {
    strategies: Vec<&'a Entry>,
    /// By data set and strategy.
    quality: Vec<Vec<f64>>,
    ranking: Ranking,
}

impl<'a> Across<'a> {
    /// `None` where there is nothing to rank.
    fn of(sections: &[&'a Section<'_>]) -> Option<Self> {
        let first = sections.first()?;
        let value = |section: &Section<'_>, name: &str| {
            summary::spread(&section.judged, name, MEASURE, FIGURE).map(|spread| spread.mean)
        };
        let compared: Vec<&str> = first.compared().collect();
        let strategies: Vec<&Entry> = (first.strategies.iter())
            .filter(|(name, _)| compared.contains(&name.as_str()))
            .filter(|(name, _)| sections.iter().all(|section| value(section, name).is_some()))
            .collect();
        let quality: Vec<Vec<f64>> = (sections.iter())
            .map(|section| strategies.iter().filter_map(|(name, _)| value(section, name)).collect())
            .collect();
        let ranking = Ranking::of(&quality)?;
        Some(Self { strategies, quality, ranking })
    }
}

/// The strategies, best mean rank first, each against the first; `None` where there is nothing to
/// rank.
#[must_use]
pub fn table(sections: &[&Section<'_>]) -> Option<Table> {
    let Across { strategies, quality, ranking } = Across::of(sections)?;
    let names: Vec<&str> = strategies.iter().map(|(name, _)| name.as_str()).collect();
    let order = ranking.order();
    let best = order[0];
    let p = ranking::against(&quality, best);
    let way = |name: &str| {
        let beside =
            |section: &&Section<'_>| summary::beside_bound(&section.judged, name, BASELINE, MEASURE, FIGURE);
        summary::way(&sections.iter().filter_map(beside).collect::<Vec<_>>())
    };
    let bound = names.iter().any(|name| way(name).is_some());
    let rows = (order.iter())
        .map(|&k| {
            let difference = mean(quality.iter().map(|row| row[k] - row[best]));
            let mut counts = [0; 3];
            for section in sections {
                let pair = summary::against(&section.judged, names[k], names[best], MEASURE, FIGURE);
                let place = match pair.and_then(|pair| pair.interval) {
                    Some((low, _)) if low > 0.0 => 0,
                    Some((_, high)) if high < 0.0 => 2,
                    _ => 1,
                };
                counts[place] += 1;
            }
            let near = ranking.mean_ranks[k] - ranking.mean_ranks[best] <= ranking.critical_difference;
            let (difference, counts, p) = match k == best {
                true => ["–"; 3].map(String::from).into(),
                false => {
                    let [won, tied, lost] = counts;
                    (points(difference), format!("{won} / {tied} / {lost}"), format!("{:.3}", p[k]))
                }
            };
            let mut row = vec![
                names[k].into(),
                format!("{:.2}", ranking.mean_ranks[k]).into(),
                (if near { "yes" } else { "no" }).into(),
                difference.into(),
                counts.into(),
                p.into(),
            ];
            if bound {
                row.push(way(names[k]).map_or("–".into(), whole_percent).into());
            }
            row
        })
        .collect();
    let mut head: Vec<String> = vec![
        "Strategy".into(),
        "Mean rank".into(),
        "Within the critical difference".into(),
        format!("Against {}, points", names[best]),
        "Won / tied / lost".into(),
        "p, Wilcoxon and Holm".into(),
    ];
    let mut caption = format!(
        "Strategies over {}, by {} ({} over rounds, mean over seeds): mean rank, 1 being best everywhere. Friedman test that \
         all are equal: p = {:.1e}. Mean ranks less than {:.2} apart are not told apart (Nemenyi, 5 %; Demšar 2006). Against the first: \
         mean difference in percentage points; data sets where the 95 % interval of the paired difference is above 0, holds it, and \
         is below it, given from three seeds on; p of the exact two-sided Wilcoxon signed-rank test over the data sets, which does \
         not depend on the other strategies (Benavoli, Corani & Mangili 2016), corrected by Holm.",
        plural(sections.len(), "data set"),
        MEASURE.name(),
        FIGURE.name(),
        ranking.friedman,
        ranking.critical_difference,
    );
    if bound {
        head.push("Way to the bound, %".into());
        caption += " The way to the bound is the mean difference from random choice divided by that of the bound, which knows the \
                    labels and is not ranked.";
    }
    Some(Table { caption, head, rows })
}

/// The critical-difference diagram; `None` where there is nothing to rank.
#[must_use]
pub fn figure(sections: &[&Section<'_>]) -> Option<Drawing> {
    let Across { strategies, ranking, .. } = Across::of(sections)?;
    let chart = Ranks {
        rows: ranking.order().into_iter().map(|k| (strategies[k].clone(), ranking.mean_ranks[k])).collect(),
        groups: ranking.groups(),
        critical_difference: ranking.critical_difference,
    };
    Some(Drawing {
        slug: "critical-difference".into(),
        part: Part::Across,
        title: "Mean ranks over data sets".into(),
        caption: format!(
            "Mean rank of each strategy by {} over {}, the best at the left. A bar joins strategies whose mean ranks are \
             less than the critical difference apart: the Nemenyi test does not tell them apart at 5 % (Demšar 2006).",
            MEASURE.name(),
            plural(sections.len(), "data set"),
        ),
        chart: Box::new(chart),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::report::svg::Theme;
    use crate::experiment::report::synthetic::{Shape, experiment};

    #[test]
    fn the_first_is_best_and_only_common_strategies_of_several_experiments_are_ranked() {
        let of = |strategies: Vec<&'static str>| {
            experiment(&Shape { strategies, seeds: 3, rounds: 3, classes: 4 })
        };
        let (one, other) = (of(vec!["random", "entropy", "vabal"]), of(vec!["random", "vabal"]));
        let (one, other) = (Section::new(&one), Section::new(&other));
        assert!(table(&[&one]).is_none());
        let table = table(&[&one, &other]).unwrap();
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].text.as_str()).collect();
        assert_eq!(names.len(), 2);
        assert!(!names.contains(&"entropy"));
        let ranks: Vec<f64> = table.rows.iter().map(|row| row[1].text.parse().unwrap()).collect();
        assert!(ranks.is_sorted() && (ranks.iter().sum::<f64>() - 3.0).abs() < 0.011, "{ranks:?}");
        assert_eq!(table.head.len(), 6);
        let drawn = figure(&[&one, &other]).unwrap().draw(Theme::Paper).unwrap().finish("f", "t", "d");
        assert!(drawn.contains(">random") && !drawn.contains("entropy"), "{drawn}");
        let counts = table.rows[1][4].text.split(" / ").map(|n| n.parse::<usize>().unwrap());
        assert_eq!(counts.sum::<usize>(), 2);
    }

    #[test]
    fn a_bound_is_not_ranked_and_every_strategy_says_how_far_it_goes_to_it() {
        let strategies = vec!["random", "entropy", "vabal", "class-balanced"];
        let made = experiment(&Shape { strategies, seeds: 3, rounds: 3, classes: 4 });
        let section = Section::new(&made);
        let sections = [&section, &section];
        let table = table(&sections).unwrap();
        assert_eq!(table.rows.len(), 3);
        let cell = |name: &str| {
            let row = table.rows.iter().find(|row| row[0].text == name).unwrap();
            row.last().unwrap().text.clone()
        };
        assert_eq!(cell("random"), "–");
        let (ours, bound) =
            summary::beside_bound(&section.judged, "vabal", BASELINE, MEASURE, FIGURE).unwrap();
        assert_eq!(cell("vabal"), whole_percent(ours / bound));
        let drawn = figure(&sections).unwrap().draw(Theme::Paper).unwrap().finish("f", "t", "d");
        assert!(!drawn.contains("class-balanced"));
    }
}
