//! Rounds: one training and the choice that follows it. What they leave behind: predictions and the
//! queue; what they start from: who is in the training set, in the holdout, and who may be chosen.
//!
//! Never here: training, choosing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::learn::{Located, Measured};
use super::listing::{Order, Probability};
use super::store::{Attempt, KIND, now};
use super::why::{Said, Stats, Terms};
use super::words::{State, words};
use super::{ImageId, Project, confusion, pictures};
use crate::Label;
use crate::backbone::Hash;
use crate::data::walk;
use crate::error::{Error, Result};
use crate::sqlite::to_json;

/// Predictions stored at once: between two such blocks whoever answers gets a turn.
const BLOCK: usize = 1000;

words! {
    /// How far a round has come.
    RoundState {
        /// Being trained, or cut short by the end of its process.
        Running = "running",
        /// Trained, and the queue is its choice until another is done.
        Done = "done",
        /// Broken off.
        Failed = "failed",
    }
}

/// A round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// From 1; 0 is the choice before there were labels.
    pub round: u64,
    /// How far it has come.
    pub state: RoundState,
    /// The strategy's name.
    pub strategy: String,
    /// Labels it was trained on.
    pub labels: usize,
    /// Its seed.
    pub seed: u64,
    /// Milliseconds since 1970.
    pub started: i64,
    /// Milliseconds since 1970; `None` while it runs.
    pub finished: Option<i64>,
    /// What it has to say; `None` before it has.
    pub summary: Option<Summary>,
}

/// What a round says of itself, kept as JSON. Front ends put what they measure into `more`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The classes trained on, in the order in which probabilities and terms count them.
    pub classes: Vec<Label>,
    /// VaB-AL's d_n of each of them (Eq. 11). May be empty.
    pub difficulty: Vec<f64>,
    /// VaB-AL's π_n of each of them (Eq. 12). May be empty.
    pub prior: Vec<f64>,
    /// The quartiles of each term over the queue; [`Project::finish_round`] computes them.
    pub quartiles: BTreeMap<String, [f64; 3]>,
    /// What can be said of the images of the queue, and of how many; [`Project::finish_round`]
    /// counts it.
    pub said: Said,
    /// Pairs of classes that are taken for each other, and in how many labelled images, most first,
    /// as [`Project::finish_round`] finds them.
    pub confused: Vec<(Label, Label, usize)>,
    /// The similarity of a labelled image with the nearest other one that nine in ten of them have.
    /// Below it, an image is like none of them.
    pub alike: Option<f64>,
    /// Why it broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Anything else.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// What the classifier says of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The image.
    pub image: ImageId,
    /// \[C\], in the order of [`Summary::classes`], finite. The largest is the prediction; the
    /// first of equal ones.
    pub probabilities: Vec<f32>,
}

/// An image of the queue, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// The image, not of the holdout.
    pub image: ImageId,
    /// Finite; larger = ask first.
    pub score: f64,
    /// What the score is made of. Terms that are classes count them as [`Summary::classes`] does.
    pub terms: Vec<(String, f64)>,
}

/// An image that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The image.
    pub image: ImageId,
    /// [`State::Open`]: worth choosing. [`State::Later`] and [`State::Unsure`]: without a label, but not asked from
    /// the queue.
    pub state: State,
}

impl Project {
    /// Begins a round; its number. A first one without labels is round 0, again if need be. Rounds
    /// that still run are taken for broken off: only the holder of [`Project::lock_training`] may
    /// begin one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn begin_round(&mut self, strategy: &str, labels: usize, seed: u64) -> Result<u64> {
        self.write(|sql| {
            let cut = to_json(&Summary { error: Some("it was cut short".into()), ..Summary::default() })?;
            let fail = "UPDATE rounds SET state = 'failed', finished = ?1, summary = coalesce(summary, ?2)
                        WHERE state = 'running'";
            sql.execute(fail, params![now(), cut])?;
            let last: Option<u64> = sql.query_row("SELECT max(round) FROM rounds", [], |row| row.get(0))?;
            let round = match last {
                None | Some(0) if labels == 0 => 0,
                last => last.unwrap_or(0) + 1,
            };
            let begin = "INSERT INTO rounds VALUES (?1, 'running', ?2, ?3, ?4, ?5, NULL, NULL)
                ON CONFLICT DO UPDATE SET state = 'running', strategy = excluded.strategy, labels = excluded.labels,
                    seed = excluded.seed, started = excluded.started, finished = NULL, summary = NULL";
            sql.execute(begin, params![round, strategy, labels, seed.cast_signed(), now()])?;
            Ok(round)
        })
    }

    /// Finishes a round: stores what it predicts and makes its choice the queue.
    ///
    /// `trained_on` are images whose predictions were made with their label. They are passed over:
    /// what is kept of them is the last one that was made without. Predictions are stored block by
    /// block, so that answers never wait for all of them; each is complete by itself, and the round
    /// is done, with the new queue, in one step at the end.
    ///
    /// # Errors
    /// No such round that runs, probabilities that are not one per class or not finite, a score
    /// that is not finite, an image that is not there, is of the holdout or twice in the queue; the
    /// store cannot be written.
    pub fn finish_round(
        &mut self,
        round: u64,
        summary: &Summary,
        trained_on: &[ImageId],
        predictions: impl IntoIterator<Item = Prediction>,
        queue: impl IntoIterator<Item = Queued>,
    ) -> Result<()> {
        let mut summary = summary.clone();
        let queue: Vec<Queued> = queue.into_iter().collect();
        summary.quartiles = quartiles(&queue);
        let text = to_json(&summary)?;
        let trained: HashSet<ImageId> = trained_on.iter().copied().collect();
        self.write(|sql| {
            // The order of the classes comes before what is in that order.
            let put = "UPDATE rounds SET summary = ?2 WHERE round = ?1 AND state = 'running'";
            if sql.execute(put, params![round, text])? == 0 {
                return Err(Error::input("no such round is running").at("round").got(round).into());
            }
            Ok(())
        })?;
        let mut predictions =
            predictions.into_iter().filter(|prediction| !trained.contains(&prediction.image));
        let mut guesses: HashMap<ImageId, Option<Vec<f32>>> =
            queue.iter().map(|queued| (queued.image, None)).collect();
        loop {
            let block: Vec<Prediction> = predictions.by_ref().take(BLOCK).collect();
            if block.is_empty() {
                break;
            }
            self.write(|sql| {
                block.iter().try_for_each(|prediction| predict(sql, round, &summary, prediction))
            })?;
            for Prediction { image, probabilities } in block {
                if let Some(guess) = guesses.get_mut(&image) {
                    *guess = Some(probabilities);
                }
            }
            // SQLite's writers do not queue up: without a pause, one that waits would not get in.
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        summary.confused = self.read(|sql| confused(sql, round))?;
        self.write(|sql| {
            sql.execute("DELETE FROM queue", [])?;
            for (n, row) in queue.iter().enumerate() {
                put_queued(sql, n + 1, row)?;
            }
            summary.said = said(sql, &summary, &queue, &guesses)?;
            let done = "UPDATE rounds SET state = 'done', finished = ?2, summary = ?3 WHERE round = ?1";
            sql.execute(done, params![round, now(), to_json(&summary)?])?;
            Ok(())
        })
    }

    /// Ends a round that broke off, with the reason. Queue and predictions stay as they were.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn fail_round(&mut self, round: u64, reason: &str) -> Result<()> {
        let text = to_json(&Summary { error: Some(reason.into()), ..Summary::default() })?;
        self.write(|sql| {
            let fail = "UPDATE rounds SET state = 'failed', finished = ?2, summary = ?3
                        WHERE round = ?1 AND state = 'running'";
            sql.execute(fail, params![round, now(), text])?;
            Ok(())
        })
    }

    /// Every round, in order.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn rounds(&self) -> Result<Vec<Round>> {
        self.read(|sql| {
            let mut select = sql.prepare_cached(
                "SELECT round, state, strategy, labels, seed, started, finished, summary FROM rounds ORDER BY round",
            )?;
            let mut rows = select.query([])?;
            let mut rounds = Vec::new();
            while let Some(row) = rows.next()? {
                let text: Option<String> = row.get(7)?;
                rounds.push(Round {
                    round: row.get(0)?,
                    state: row.get(1)?,
                    strategy: row.get(2)?,
                    labels: row.get(3)?,
                    seed: row.get::<_, i64>(4)?.cast_unsigned(),
                    started: row.get(5)?,
                    finished: row.get(6)?,
                    summary: text.map(|text| KIND.parsed(&text, &self.file)).transpose()?,
                });
            }
            Ok(rounds)
        })
    }

    /// The newest round that is done, and what it says.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn newest_round(&self) -> Result<Option<(u64, Summary)>> {
        self.read(newest)
    }

    /// Every image that has a prediction, and the class that it is of.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn predicted(&self) -> Result<Vec<(ImageId, Label)>> {
        self.read(|sql| {
            let mut select = sql.prepare_cached("SELECT image, class FROM predictions ORDER BY image")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Images to train on, and the class of each: labelled, there, not of the holdout. By id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn training_set(&self) -> Result<(Vec<ImageId>, Vec<Label>)> {
        self.labelled(false)
    }

    /// Images to measure with, and the class of each: labelled, there, of the holdout. By id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn holdout_set(&self) -> Result<(Vec<ImageId>, Vec<Label>)> {
        self.labelled(true)
    }

    fn labelled(&self, holdout: bool) -> Result<(Vec<ImageId>, Vec<Label>)> {
        self.read(|sql| {
            let select = "SELECT image, class FROM states CROSS JOIN images USING (image)
                          WHERE state = 'labelled' AND missing = 0 AND holdout = ?1 ORDER BY image";
            let mut select = sql.prepare_cached(select)?;
            let rows = select.query_map([holdout], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<(ImageId, Label)>>>()?.into_iter().unzip())
        })
    }

    /// Images without a label that can be trained on once they have one: there, not of the holdout,
    /// one of each content, of which none is labelled. By id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>> {
        self.read(|sql| {
            let mut select = sql.prepare_cached(
                "SELECT image, hash, coalesce(state, 'open') FROM images AS i LEFT JOIN states USING (image)
                 WHERE missing = 0 AND holdout = 0 AND (ask = 1 OR (state IN ('later', 'unsure') AND NOT EXISTS (
                     SELECT 1 FROM images AS d JOIN states AS t ON t.image = d.image
                     WHERE d.hash = i.hash AND t.state = 'labelled')))
                 ORDER BY ask DESC, image",
            )?;
            let mut rows = select.query([])?;
            let (mut seen, mut found) = (HashSet::<[u8; 32]>::new(), Vec::new());
            while let Some(row) = rows.next()? {
                if seen.insert(row.get(1)?) {
                    found.push(Candidate { image: row.get(0)?, state: row.get(2)? });
                }
            }
            found.sort_unstable_by_key(|candidate| candidate.image);
            Ok(found)
        })
    }

    /// Where the file of every image is that is there, by id. Files that have gone since the
    /// import, or lead out of the folder of images, are left out.
    ///
    /// # Errors
    /// The store or the folder of images cannot be read.
    pub fn paths(&self) -> Result<Vec<(ImageId, PathBuf)>> {
        let folder = pictures::root(&self.images_folder()?)?;
        let rows = self.read(|sql| {
            let mut select =
                sql.prepare_cached("SELECT image, path FROM images WHERE missing = 0 ORDER BY image")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<(ImageId, String)>>>()?)
        })?;
        let found = rows.into_par_iter();
        let found = found.filter_map(|(id, path)| Some((id, pictures::inside(&folder, &path).ok()?)));
        Ok(found.collect())
    }
}

/// Whether so many of the labels that a training learnt were taken back, more than a tenth, that it
/// says nothing any more.
pub(super) const fn is_void(labels: usize, taken_back: usize) -> bool {
    taken_back * 10 > labels
}

/// Images not of the holdout whose label had been given when `since` was the last answer, was taken
/// back later, and that are not labelled now; `most` of them at most. None where `since` is 0.
pub(super) fn taken_back(sql: &Transaction<'_>, since: i64, most: usize) -> rusqlite::Result<usize> {
    let text = "SELECT count(*) FROM (SELECT DISTINCT a.image
         FROM answers AS u INDEXED BY answers_undoes CROSS JOIN answers AS a ON a.answer = u.undoes
         CROSS JOIN images AS i ON i.image = a.image LEFT JOIN states AS s ON s.image = a.image
         WHERE u.undoes <= ?1 AND u.answer > ?1 AND a.act = 'label' AND i.holdout = 0 AND s.state IS NOT 'labelled' LIMIT ?2)";
    sql.prepare_cached(text)?.query_row(params![since, most], |row| row.get(0))
}

impl Project {
    /// Of each of some answers as [`taken_back`].
    pub(super) fn taken_back(&self, since: &[i64]) -> Result<Vec<usize>> {
        let most = i64::MAX as usize;
        self.read(|sql| {
            Ok(since.iter().map(|&since| taken_back(sql, since, most)).collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The row of the last answer; 0 where there is none.
    pub(super) fn last_answer(&self) -> Result<i64> {
        self.read(|sql| {
            Ok(sql.query_row("SELECT coalesce(max(answer), 0) FROM answers", [], |row| row.get(0))?)
        })
    }

    /// Every image that is there, by id: where it is, and its hash where the file has the size and
    /// time it had.
    pub(super) fn sources(&self) -> Result<Vec<Located>> {
        let folder = pictures::root(&self.images_folder()?)?;
        let rows = self.read(|sql| {
            let mut select = sql.prepare_cached(
                "SELECT image, path, hash, bytes, changed FROM images WHERE missing = 0 ORDER BY image",
            )?;
            let rows = select
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<(ImageId, String, Hash, u64, i64)>>>()?)
        })?;
        let found = rows.into_par_iter().filter_map(|(image, path, hash, bytes, changed)| {
            let path = pictures::inside(&folder, &path).ok()?;
            let data = std::fs::metadata(&path).ok()?;
            let same = data.len() == bytes && walk::changed_at(&data) == changed;
            Some(Located { image, path, hash: same.then_some(hash) })
        });
        Ok(found.collect())
    }

    /// Every image that is there, by id, with the hash that it was imported with.
    pub(super) fn contents(&self) -> Result<Vec<(ImageId, Hash)>> {
        self.read(|sql| {
            let mut select =
                sql.prepare_cached("SELECT image, hash FROM images WHERE missing = 0 ORDER BY image")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The longer side that half of the images do not exceed, in pixels.
    pub(super) fn usual_side(&self) -> Result<usize> {
        self.read(|sql| {
            let middle = "SELECT max(width, height) FROM images WHERE missing = 0 ORDER BY 1
                LIMIT 1 OFFSET (SELECT count(*) FROM images WHERE missing = 0) / 2";
            Ok(sql.prepare_cached(middle)?.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
        })
    }
}

/// The newest round that is done, and what it says.
pub(super) fn newest(sql: &Transaction<'_>) -> Attempt<Option<(u64, Summary)>> {
    let found: Option<(u64, Option<String>)> = sql
        .prepare_cached("SELECT round, summary FROM rounds WHERE state = 'done' ORDER BY round DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((round, text)) = found else { return Ok(None) };
    Ok(Some((round, summary(sql, text.as_deref())?)))
}

/// What the round says that made a prediction.
pub(super) fn summary_of(sql: &Transaction<'_>, round: u64) -> Attempt<Summary> {
    let text: Option<String> = sql
        .prepare_cached("SELECT summary FROM rounds WHERE round = ?1")?
        .query_row([round], |row| row.get(0))
        .optional()?
        .flatten();
    summary(sql, text.as_deref())
}

fn summary(sql: &Transaction<'_>, text: Option<&str>) -> Attempt<Summary> {
    let path = sql.path().unwrap_or(super::FILE);
    match text {
        Some(text) => Ok(KIND.parsed(text, std::path::Path::new(path))?),
        None => Ok(Summary::default()),
    }
}

/// Pairs of classes that are kept.
const PAIRS: usize = 100;

/// Pairs of classes that labelled images of one are taken for the other of, most first: on the
/// holdout by the newest model, and on the other labels.
fn confused(sql: &Transaction<'_>, round: u64) -> Attempt<Vec<(Label, Label, usize)>> {
    let mut pairs = BTreeMap::<(Label, Label), usize>::new();
    for one in confusion::all(sql, round)?.into_iter().filter(|one| one.class != one.predicted) {
        let pair = (one.class.min(one.predicted), one.class.max(one.predicted));
        *pairs.entry(pair).or_default() += one.labels + one.holdout;
    }
    let mut pairs: Vec<_> =
        pairs.into_iter().map(|((a, b), n)| (a, b, n)).filter(|pair| pair.2 > 0).collect();
    pairs.sort_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
    pairs.truncate(PAIRS);
    Ok(pairs)
}

/// What can be said of a queue, with what the round says of each of its images.
fn said(
    sql: &Transaction<'_>,
    summary: &Summary,
    queue: &[Queued],
    guesses: &HashMap<ImageId, Option<Vec<f32>>>,
) -> Attempt<Said> {
    let stats = stats_of(sql, summary)?;
    let order = Order { classes: stats.ids.clone() };
    let rows: Vec<(BTreeMap<String, f64>, Vec<Probability>)> = queue
        .iter()
        .map(|row| {
            let p = guesses.get(&row.image).and_then(Option::as_ref);
            let top = p.map(|p| order.ranked(p.iter().map(|&p| f64::from(p)))).unwrap_or_default();
            (row.terms.iter().cloned().collect(), top)
        })
        .collect();
    Ok(Said::of(rows.iter().map(|(values, top)| Terms { values, top }), &stats))
}

/// What the terms of the queue are compared with.
pub(super) fn stats(sql: &Transaction<'_>) -> Attempt<Stats> {
    match newest(sql)? {
        Some((_, summary)) => stats_of(sql, &summary),
        None => Ok(Stats::default()),
    }
}

fn stats_of(sql: &Transaction<'_>, summary: &Summary) -> Attempt<Stats> {
    let mut name = sql.prepare_cached(
        "SELECT coalesce(n.name, c.name) FROM classes AS c LEFT JOIN classes AS n ON n.class = c.merged_into
         WHERE c.class = ?1",
    )?;
    let classes = summary
        .classes
        .iter()
        .map(|class| name.query_row([class], |row| row.get(0)))
        .collect::<rusqlite::Result<_>>()?;
    let ids = summary.classes.iter().map(|&class| super::classes::followed(sql, class));
    let labels = Measured::of(summary).train;
    let Summary { difficulty, prior, quartiles, said, confused, alike, .. } = summary.clone();
    let ids = ids.collect::<Attempt<_>>()?;
    Ok(Stats { classes, ids, labels, confused, alike, difficulty, prior, quartiles, said })
}

fn predict(sql: &Transaction<'_>, round: u64, summary: &Summary, prediction: &Prediction) -> Attempt<()> {
    let Prediction { image, probabilities } = prediction;
    if probabilities.len() != summary.classes.len() || probabilities.iter().any(|p| !p.is_finite()) {
        return Err(Error::input("the probabilities of an image cannot be stored")
            .at(format!("image {image}"))
            .expected(format!("{} finite numbers", summary.classes.len()))
            .got(format!("{} numbers", probabilities.len()))
            .into());
    }
    let best = (0..probabilities.len()).rev().max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let Some(best) = best else { return Ok(()) };
    let bytes: Vec<u8> = probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
    sql.prepare_cached("INSERT OR REPLACE INTO predictions VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![image, round, summary.classes[best], f64::from(probabilities[best]), bytes])?;
    Ok(())
}

fn put_queued(sql: &Transaction<'_>, rank: usize, row: &Queued) -> Attempt<()> {
    let Queued { image, score, terms } = row;
    let holdout: Option<bool> = sql
        .prepare_cached("SELECT holdout FROM images WHERE image = ?1")?
        .query_row([image], |row| row.get(0))
        .optional()?;
    if holdout != Some(false) || !score.is_finite() {
        return Err(Error::input("an image cannot be put into the queue")
            .at(format!("image {image}, rank {rank}"))
            .expected("an image that is there and not of the holdout, with a finite score")
            .got(if holdout == Some(true) { "one of the holdout".into() } else { format!("score {score}") })
            .into());
    }
    // JSON has no numbers but finite ones.
    let terms: BTreeMap<&str, f64> =
        terms.iter().filter(|(_, v)| v.is_finite()).map(|(name, v)| (name.as_str(), *v)).collect();
    sql.prepare_cached("INSERT INTO queue VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        image,
        rank,
        score,
        to_json(&terms)?
    ])?;
    Ok(())
}

fn quartiles(queue: &[Queued]) -> BTreeMap<String, [f64; 3]> {
    let mut values = BTreeMap::<String, Vec<f64>>::new();
    for (name, value) in queue.iter().flat_map(|row| &row.terms).filter(|(_, value)| value.is_finite()) {
        values.entry(name.clone()).or_default().push(*value);
    }
    let of = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
    };
    values.into_iter().map(|(name, values)| (name, of(values))).collect()
}
