//! The best of many rows, of any number of parts: pushed and merged in any order, always the same.
//!
//! Never here: where scores come from.

use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::query::Scored;
use crate::strategies::balanced::{fill, quotas};

/// What a row is called: a number, or a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A whole number, 0 or more.
    Number(u64),
    /// A text, such as a file name, after its [hash](text_id): texts go by that, and by themselves
    /// where two have the same.
    Text(u64, Box<str>),
}

impl Name {
    /// What draws and equal scores go by: the number, or the hash of the text.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Number(id) | Self::Text(id, _) => *id,
        }
    }

    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text_id(text), text.into())
    }

    /// Numbers ascending, then texts by their UTF-8 bytes, for lists that people read.
    #[must_use]
    pub fn alphabetical(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(_, a), Self::Text(_, b)) => a.cmp(b),
            _ => self.cmp(other),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(_, text) => text.fmt(f),
        }
    }
}

pub use crate::arrays::text_id;

/// A row that may be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What it is called.
    pub name: Name,
    /// Larger = ask first.
    pub score: f64,
    /// What equal scores go by before the name.
    pub key: u64,
    /// The class whose quota it counts for; 0 without quotas.
    pub class: usize,
    /// What the score is made of, in the order of [`Top::terms`].
    pub terms: Vec<f64>,
}

impl Candidate {
    /// Best first.
    fn order(&self, other: &Self) -> Ordering {
        // Not by total_cmp, for which 0 is more than −0: equal scores are equal.
        let by_score = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        by_score.then_with(|| self.key.cmp(&other.key)).then_with(|| self.name.cmp(&other.name))
    }
}

/// The `n` best rows of each class, or of all where there are no quotas.
#[derive(Debug, Clone)]
pub struct Top {
    n: usize,
    terms: Vec<String>,
    best: Vec<Vec<Candidate>>,
    /// Score and key of the worst of the `n` best so far, by class, once there are as many.
    worst: Vec<Option<(f64, u64)>>,
    rows: Vec<u64>,
}

impl Top {
    /// For at most `n` picks, with quotas for so many `classes`, or without for 1.
    #[must_use]
    pub fn new(n: usize, classes: usize) -> Self {
        let classes = classes.max(1);
        let (best, worst) = (vec![Vec::new(); classes], vec![None; classes]);
        Self { n, terms: Vec::new(), best, worst, rows: vec![0; classes] }
    }

    /// The names of the terms.
    #[must_use]
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// How many picks it is for.
    #[must_use]
    pub fn most(&self) -> usize {
        self.n
    }

    /// Rows that were pushed, by class.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Adds rows with their scores; `name` says what a row is called.
    ///
    /// # Errors
    /// A score that is not finite, or other terms than those before.
    pub fn push(&mut self, scored: &Scored, name: impl Fn(usize) -> Name) -> Result<()> {
        if scored.scores.is_empty() {
            return Ok(());
        }
        self.same_terms(scored.terms.iter().map(|term| term.name))?;
        for (row, &score) in scored.scores.iter().enumerate() {
            if !score.is_finite() {
                return Err(Error::input("a score is not finite")
                    .at(format!("id {}", name(row)))
                    .expected("a finite number")
                    .got(score)
                    .hint("look at the features of this row: very large?")
                    .into());
            }
            let class = if self.best.len() == 1 { 0 } else { scored.classes[row] as usize };
            self.rows[class] += 1;
            let key = scored.keys.get(row).copied().unwrap_or(0);
            // Most rows are worse than what there is.
            if let Some((worst, of)) = self.worst[class]
                && (score < worst || (score == worst && key > of))
            {
                continue;
            }
            let terms = scored.terms.iter().map(|term| term.values[row]).collect();
            self.add(Candidate { name: name(row), score, key, class, terms });
        }
        Ok(())
    }

    /// Adds what another one has, of other rows.
    ///
    /// # Errors
    /// One of another number of picks or classes, or of other terms.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if (other.n, other.best.len()) != (self.n, self.best.len()) {
            return Err(Error::input("these are scores for other picks")
                .expected(format!("{} picks, {} classes", self.n, self.best.len()))
                .got(format!("{} picks, {} classes", other.n, other.best.len()))
                .into());
        }
        // A share of the candidates of a part may have come without the part's number of rows.
        if other.rows.iter().any(|&rows| rows > 0) || other.candidates().next().is_some() {
            self.same_terms(other.terms.iter().map(String::as_str))?;
        }
        self.rows.iter_mut().zip(&other.rows).for_each(|(rows, more)| *rows += more);
        other.best.into_iter().flatten().for_each(|candidate| self.add(candidate));
        Ok(())
    }

    /// Cuts to what may still be chosen: of each class the `n` best, best first.
    pub fn settle(&mut self) {
        for class in 0..self.best.len() {
            self.shrink(class);
            self.best[class].sort_unstable_by(Candidate::order);
        }
    }

    /// All that may still be chosen, in no order, and until [`Top::settle`] more than that.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.best.iter().flatten()
    }

    /// One with these candidates of so many `rows` of each class, as another one gave them.
    ///
    /// # Errors
    /// A candidate of a class that there is not, or with another number of terms.
    pub fn of(
        n: usize,
        rows: Vec<u64>,
        terms: Vec<String>,
        candidates: impl IntoIterator<Item = Candidate>,
    ) -> Result<Self> {
        let mut top = Self { terms, ..Self::new(n, rows.len()) };
        top.rows = rows;
        for candidate in candidates {
            if candidate.class >= top.best.len() || candidate.terms.len() != top.terms.len() {
                return Err(Error::input("a candidate does not fit").at(candidate.name).into());
            }
            top.add(candidate);
        }
        Ok(top)
    }

    /// The `n` best rows, best first; with quotas those that bring the labels, `labelled` of each
    /// class, nearest to balance.
    ///
    /// # Errors
    /// More rows than there may be; a name that two of them have.
    pub fn finish(mut self, n: usize, labelled: &[usize]) -> Result<Vec<Candidate>> {
        if n > self.n {
            return Err(Error::input("more picks than the scores are for")
                .expected(format!("at most {}", self.n))
                .got(n)
                .hint("make the plan for more")
                .into());
        }
        (0..self.best.len()).for_each(|class| self.shrink(class));
        let mut all: Vec<Candidate> = self.best.into_iter().flatten().collect();
        all.sort_unstable_by(Candidate::order);
        let picks = if self.rows.len() == 1 {
            all.truncate(n);
            all
        } else {
            let available: Vec<usize> =
                self.rows.iter().map(|&rows| usize::try_from(rows).unwrap_or(usize::MAX)).collect();
            let quota = quotas(labelled, &available, n);
            let places = fill(quota, all.iter().map(|candidate| candidate.class));
            let mut taken = vec![false; all.len()];
            places.into_iter().for_each(|place| taken[place] = true);
            let mut taken = taken.into_iter();
            all.retain(|_| taken.next() == Some(true));
            all
        };
        let mut names: Vec<&Name> = picks.iter().map(|candidate| &candidate.name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::input("duplicate id")
                .at(format!("id {}", pair[0]))
                .expected("ids that do not repeat, in all parts together")
                .hint("was a part scored twice?")
                .into());
        }
        Ok(picks)
    }

    fn same_terms<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let names: Vec<&str> = names.collect();
        if self.terms.is_empty() {
            self.terms = names.into_iter().map(str::to_owned).collect();
        } else if names != self.terms {
            return Err(Error::input("scores with other terms")
                .expected(self.terms.join(", "))
                .got(names.join(", "))
                .into());
        }
        Ok(())
    }

    fn add(&mut self, candidate: Candidate) {
        let class = candidate.class;
        self.best[class].push(candidate);
        // Now and then, so that a row costs little; memory stays within twice the picks.
        if self.best[class].len() >= 2 * self.n + 1024 {
            self.shrink(class);
        }
    }

    /// Cuts a class to its `n` best.
    fn shrink(&mut self, class: usize) {
        let best = &mut self.best[class];
        if best.len() > self.n {
            if let Some(last) = self.n.checked_sub(1) {
                best.select_nth_unstable_by(last, Candidate::order);
                self.worst[class] = Some((best[last].score, best[last].key));
            }
            best.truncate(self.n);
        }
    }
}
