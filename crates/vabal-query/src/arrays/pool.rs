//! A pool from arrays by their names: which rows are labelled, how many classes there are, which
//! ids rows have. Every value that a strategy is to read is looked at once, so that a wrong one is
//! named by array, row and id.
//!
//! Never here: how a front end holds arrays, what a strategy does with them.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use ndarray::{Dimension, Ix2, Ix3, Ix4};

use super::array::layout;
use super::group::Arrays;
use super::rows::Rows;
use super::signals::first_not_finite;
use super::{Array, Classes, Dense, Group, Name, Names, Needs, Signals};
use crate::error::{Complaint, Error, Result};
use crate::progress::{Event, Progress, report};
use crate::{Id, Label, Query, Seed, Strategy};

/// Arrays of a pool, which of its rows are labelled, and how many classes there are. Made once,
/// asked any number of times; features, probabilities and images are read when they are needed.
pub struct Pool {
    groups: Vec<Arrays>,
    unlabelled: Part,
    labelled: Part,
    labels: Vec<Label>,
    classes: usize,
}

impl Pool {
    /// A pool of one group, whose rows without a label (−1, or none) are the candidates; or of two,
    /// the candidates, whose labels are not looked at, and what is labelled.
    ///
    /// # Errors
    /// Arrays that disagree on the number of rows or of classes, or are there twice; labels that
    /// are no class, or missing from what is labelled; ids that repeat; fewer than two classes.
    pub fn new(
        group: Group,
        labelled: Option<Group>,
        classes: &Classes,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let told = classes.count()?;
        let mut groups = vec![Arrays::new(group, classes, progress)?];
        if let Some(group) = labelled {
            groups.push(Arrays::new(group, classes, progress)?);
        }
        let last = groups.len() - 1;
        let given = groups[last].labels(classes, progress)?;
        let ids = ids(&groups)?;
        let (known, open): (Vec<usize>, Vec<usize>) = match &given {
            Some(labels) => (0..groups[last].rows).partition(|&row| labels[row].is_some()),
            None => (Vec::new(), (0..groups[last].rows).collect()),
        };
        let (unlabelled, open_of_labelled) = match last {
            0 => (Rows::new(open), None),
            _ => (Rows::Block(0, groups[0].rows), open.first()),
        };
        if last == 1 && given.is_none() {
            return Err(groups[1].lacks(&["labels [n]"], "").into());
        }
        if let Some(&row) = open_of_labelled {
            return Err(Error::input("a label is missing")
                .at(format!("{}, {}", groups[1].arrays[&Name::Labels].place, groups[1].row(row)))
                .expected("a class for each row")
                .got("none")
                .hint("rows without a label belong to those that are chosen from")
                .into());
        }
        let largest = || {
            let predicted = groups.iter().filter_map(|group| group.predicted.as_ref());
            predicted.chain(&given).flatten().flatten().copied().max()
        };
        // Two at least, for before there are labels of both there is one class, or none.
        let counted = || largest().map_or(2, |largest| (largest as usize + 1).max(2));
        let columns = groups.iter().flat_map(Arrays::columns).next();
        let classes = told.or(columns.map(|(_, count)| count)).unwrap_or_else(counted);
        for group in &groups {
            if let Some((place, got)) = group.columns().find(|&(_, got)| got != classes) {
                return Err(Error::input("probabilities of another number of classes")
                    .at(place)
                    .expected(classes)
                    .got(got)
                    .hint("all arrays have the same classes, and as many as is told")
                    .into());
            }
            group.below(classes, Name::Predicted, group.predicted.as_ref())?;
        }
        groups[last].below(classes, Name::Labels, given.as_ref())?;
        let labels = given.into_iter().flatten().flatten().collect();
        let part = |group: usize, rows: Rows| {
            let ids = rows.iter().map(|row| ids[group][row]).collect();
            Part { group, rows, ids }
        };
        let (unlabelled, labelled) = (part(0, unlabelled), part(last, Rows::new(known)));
        Ok(Self { groups, unlabelled, labelled, labels, classes })
    }

    /// The labels of the labelled rows, as they follow one another.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Number of classes C.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many rows have no label.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.unlabelled.rows.len()
    }

    /// The rows, in the arrays they came from, of ids of candidates.
    #[must_use]
    pub fn rows(&self, ids: &[Id]) -> Vec<usize> {
        if self.groups[0].names.is_none() {
            return ids.iter().map(|&id| (id as usize).saturating_sub(self.groups[0].first)).collect();
        }
        let rows: HashMap<Id, usize> =
            self.unlabelled.ids.iter().copied().zip(self.unlabelled.rows.iter()).collect();
        ids.iter().filter_map(|id| rows.get(id).copied()).collect()
    }

    /// What candidates are called: as in the array `ids`, else by their rows.
    #[must_use]
    pub fn names(&self, ids: &[Id]) -> Names {
        let rows = self.rows(ids);
        match &self.groups[0].names {
            Some((names, _)) => names.rows(&rows),
            None => Names::Numbers(rows.into_iter().map(|row| (self.groups[0].first + row) as i64).collect()),
        }
    }

    /// What the rows without a label are called, in the order of their ids in the signals; `None`
    /// without an array `ids`.
    #[must_use]
    pub fn candidate_names(&self) -> Option<Names> {
        let rows: Vec<usize> = self.unlabelled.rows.iter().collect();
        self.groups[0].names.as_ref().map(|(names, _)| names.rows(&rows))
    }

    /// Whether the labelled rows have names of their own, in an array `ids`.
    #[must_use]
    pub fn labelled_are_named(&self) -> bool {
        self.groups[self.labelled.group].names.is_some()
    }

    /// Checks that every array is there that a strategy called `strategy` needs.
    ///
    /// # Errors
    /// All that are not.
    pub fn require(&self, strategy: &str, needs: Needs, needs_of_labelled: Needs) -> Result<(), Complaint> {
        let needs_of_labelled = if self.labels.is_empty() { Needs::IDS } else { needs_of_labelled };
        let of_group = match self.groups.len() {
            1 => vec![needs.and(needs_of_labelled)],
            _ => vec![needs, needs_of_labelled],
        };
        let why = format!(", for the strategy {strategy}");
        let missing = self.groups.iter().zip(of_group).map(|(group, needs)| (group, group.missing(needs)));
        match missing.into_iter().find(|(_, missing)| !missing.is_empty()) {
            Some((group, missing)) => Err(group.lacks(&missing, &why)),
            None => Ok(()),
        }
    }

    /// The strategy, with its name, that chooses in the place of `strategy` where nothing is
    /// labelled and what that needs of a classifier is not there; says so.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn cold_start(
        &self,
        strategy: &dyn Strategy,
        progress: &mut Progress<'_>,
    ) -> Result<Option<(&'static str, Box<dyn Strategy>)>> {
        let knows = |needs| self.groups.first().is_some_and(|group| group.missing(needs).is_empty());
        if !self.labels.is_empty() || knows(strategy.needs()) {
            return Ok(None);
        }
        let cold = strategy.cold_start().filter(|(_, cold)| knows(cold.needs()));
        if let Some((name, _)) = &cold {
            let text = format!(
                "no labels and no predictions yet: {name} chooses the first images by their features"
            );
            report(progress, Event::Warning(&text))?;
        }
        Ok(cold)
    }

    /// What a strategy may look at, of the candidates and of what is labelled: of the arrays that
    /// are needed those that are there, every value checked. Rows that follow one another are read
    /// where they lie, others are gathered.
    ///
    /// # Errors
    /// An array of an invalid shape or type; the first value that is wrong, by array, row and
    /// id; a candidate without a prediction; [`Error::Stopped`].
    pub fn signals(
        &self,
        needs: Needs,
        needs_of_labelled: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<(Signals<'static>, Signals<'static>)> {
        let unlabelled = self.part(&self.unlabelled, needs, false, progress)?;
        Ok((unlabelled, self.part(&self.labelled, needs_of_labelled, false, progress)?))
    }

    /// What one strategy needs, and of the candidates what somebody else `also` needs. Candidates
    /// that do not follow one another are read where they lie if the strategy [reads row by
    /// row](Strategy::reads_rows), else gathered.
    ///
    /// # Errors
    /// As [`Pool::signals`].
    pub fn signals_for(
        &self,
        strategy: &dyn Strategy,
        also: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<(Signals<'static>, Signals<'static>)> {
        let needs = strategy.needs().and(also);
        let unlabelled = self.part(&self.unlabelled, needs, strategy.reads_rows(), progress)?;
        Ok((unlabelled, self.part(&self.labelled, strategy.needs_of_labelled(), false, progress)?))
    }

    /// The question that a strategy is asked of `signals`.
    #[must_use]
    pub fn query<'a>(
        &'a self,
        (unlabelled, labelled): &'a (Signals<'static>, Signals<'static>),
        n: usize,
        seed: Seed,
    ) -> Query<'a> {
        Query { unlabelled, labelled, labels: &self.labels, classes: self.classes, n, seed }
    }

    fn part(
        &self,
        part: &Part,
        needs: Needs,
        scattered: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        let group = &self.groups[part.group];
        let array = |name: Name, needed: bool| group.arrays.get(&name).filter(|_| needed);
        let mut signals = Signals::new(part.ids.clone());
        let stages = group.stages(needs);
        if !stages.is_empty() {
            let read = |array: &Array| part.features(group, array, scattered, progress);
            signals = signals.with_stages(stages.into_iter().map(read).collect::<Result<_>>()?)?;
        }
        let given = group.arrays.contains_key(&Name::Probabilities);
        let by_label = needs.predicted || (needs.prediction && !given);
        if let (true, Some(predicted)) = (by_label, &group.predicted) {
            let label = |row: usize| {
                predicted[row].ok_or_else(|| -> Error {
                    Error::input("a candidate without a predicted class")
                        .at(format!("{}, {}", group.arrays[&Name::Predicted].place, group.row(row)))
                        .expected(format!("a class, 0 to {}", self.classes - 1))
                        .got("none")
                        .hint("give a prediction for every row without a label, or probabilities")
                        .into()
                })
            };
            signals = signals.with_predicted(part.rows.iter().map(label).collect::<Result<_>>()?)?;
        }
        let instead = needs.predicted && group.predicted.is_none();
        let asked = needs.probabilities || needs.prediction || instead;
        let place = |array: &Array, row: usize| format!("{}, {}", array.place, group.row(part.rows.get(row)));
        if let Some(array) = array(Name::Probabilities, asked) {
            let p = part.floats::<Ix2>(array, scattered, progress)?;
            signals = signals.with_probabilities_at(p, Some(&|row| place(array, row)))?;
        }
        if let Some(array) = array(Name::MonteCarlo, needs.monte_carlo.is_some()) {
            let draws = part.floats::<Ix3>(array, scattered, progress)?;
            signals = signals.with_monte_carlo_at(draws, Some(&|row| place(array, row)))?;
        }
        if let Some(array) = array(Name::Committee, needs.committee > 0) {
            let members = part.floats::<Ix3>(array, scattered, progress)?;
            signals = signals.with_committee_at(members, Some(&|row| place(array, row)))?;
        }
        if let Some(array) = array(Name::Images, needs.images) {
            let bytes = array.bytes(progress)?;
            if let Some(([_, a, b, c], last)) = layout(&array.shape) {
                let images = part.rows.of(bytes, Ix4(part.rows.len(), a, b, c), false, progress)?;
                signals = match last {
                    true => signals.with_images(images.view().permuted_axes([0, 3, 1, 2]).to_owned())?,
                    false => signals.with_images(images)?,
                };
            }
        }
        Ok(signals)
    }
}

/// The rows that a strategy may choose from, or those that are labelled.
struct Part {
    /// 0, or 1 for labelled rows that came apart.
    group: usize,
    rows: Rows,
    ids: Vec<Id>,
}

impl Part {
    /// The rows of an array.
    fn floats<D: Dimension>(
        &self,
        array: &Array,
        scattered: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Dense<'static, f32, D>> {
        let values = array.floats(progress)?;
        let mut shape = D::zeros(array.shape.len());
        shape.slice_mut().copy_from_slice(&array.shape);
        shape[0] = self.rows.len();
        self.rows.of(values, shape, scattered, progress)
    }

    /// The rows of an array of features, every value checked.
    fn features(
        &self,
        group: &Arrays,
        array: &Array,
        scattered: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Dense<'static, f32, Ix2>> {
        let dense = self.floats(array, scattered, progress)?;
        let Some((n, value)) = first_not_finite(dense.rows()) else { return Ok(dense) };
        Err(Error::input("a feature is not finite")
            .at(format!("{}, {}", array.place, group.row(self.rows.get(n))))
            .expected("finite numbers")
            .got(value)
            .hint("look for divisions by zero or an overflow in the network that made the features")
            .into())
    }
}

/// The ids of the rows of each group. Over all groups, so that a name has the id that it would have
/// in one; where only the labelled rows have names, or none, nothing can be in both.
fn ids(groups: &[Arrays]) -> Result<Vec<Vec<Id>>> {
    let rows = groups[0].rows;
    let behind = |first: Id, count: usize| (first..).take(count).collect();
    let place = |group: &Arrays| group.arrays.get(&Name::Ids).map_or("ids", |array| &array.place).to_owned();
    let of_two = |error: (usize, usize), names: &Names| -> Error {
        let (row, other) = (error.0, error.1.saturating_sub(rows));
        let place = format!("{}, row {row}; {}, row {other}", place(&groups[0]), place(&groups[1]));
        Error::input("an id is in both pools")
            .at(place)
            .expected("ids that are either unlabelled or labelled")
            .got(names.name(row))
            .hint("leave the labelled rows out of those that are chosen from")
            .into()
    };
    let labelled = groups.get(1);
    let Some((names, ids)) = &groups[0].names else {
        let (first, count) = (groups[0].first as Id, labelled.map_or(0, |group| group.rows));
        return Ok(vec![behind(first, rows), behind(first + rows as Id, count)]);
    };
    let Some((others, _)) = labelled.and_then(|group| group.names.as_ref()) else {
        let next = ids.iter().max().map_or(0, |largest| largest + 1);
        return Ok(vec![ids.clone(), behind(next, labelled.map_or(0, |group| group.rows))]);
    };
    let both = names.and(others).ok_or_else(|| {
        Error::input("the ids of the two pools are of two kinds")
            .at(place(&groups[1]))
            .expected(format!("{}, as in {}", names.kind(), place(&groups[0])))
            .got(others.kind())
            .hint("save both as numbers, or both as texts")
    })?;
    let mut ids = both.ids().map_err(|error| of_two(error, &both))?;
    let labelled = ids.split_off(rows);
    Ok(vec![ids, labelled])
}
