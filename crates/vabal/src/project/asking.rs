//! Who is asked what: the next images of a person, so that no other gets them meanwhile.
//!
//! Of every few questions one is of the holdout, in random order, whatever the model says: a choice
//! by predictions would measure a recall that is too good. The others follow the queue, then a
//! random order. All walks go along an index of what is still to be asked: what was answered is not
//! passed again. CROSS JOIN is how SQLite is told which table comes first: by itself it would begin
//! with the large one.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Serialize;

use super::answers::check_person;
use super::listing::{self, Image};
use super::store::{now, settings};
use super::why::{Reason, ReasonKind};
use super::{ImageId, Project, counts, rounds};
use crate::error::{Error, Result};

/// How long an image stays with the person it was handed to, unless they ask again.
pub const LEASE_SECONDS: u64 = 600;
/// Questions that one call hands out at most.
const MOST: usize = 1000;

/// Questions for a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Next {
    /// The images to ask, in this order.
    pub questions: Vec<Image>,
    /// The newest round that is done: what chose them, and what suggestions come from.
    pub round: Option<u64>,
    /// Images of the queue that are still open.
    pub left: usize,
}

/// An image of the queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// The image, with its rank, the model's guess and why it was chosen.
    pub image: Image,
    /// Larger = ask first.
    pub score: f64,
}

impl Project {
    /// The first `n` images of the queue that are still to be asked, by rank. Nobody is handed
    /// anything.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn queue(&self, n: usize) -> Result<Vec<Asked>> {
        self.read(|sql| {
            let mut select = sql.prepare_cached(
                "SELECT image, score FROM queue JOIN images USING (image)
                 WHERE ask = 1 AND missing = 0 AND holdout = 0 ORDER BY rank LIMIT ?1",
            )?;
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            let rows = select.query_map([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows = rows.collect::<rusqlite::Result<Vec<(ImageId, f64)>>>()?;
            let (ids, scores): (Vec<ImageId>, Vec<f64>) = rows.into_iter().unzip();
            let images = listing::images(sql, &ids)?;
            Ok(images.into_iter().zip(scores).map(|(image, score)| Asked { image, score }).collect())
        })
    }

    /// The next `n` questions of a person, besides those of `have`, which they still hold; fewer
    /// where there are no more. They are the person's for [`LEASE_SECONDS`]; those of `have` for as
    /// long again. Those that they were given and do not name are given again, unless a newer
    /// choice is there.
    ///
    /// # Errors
    /// A name of a person that is none, n or `have` beyond 1000; the store cannot be written.
    pub fn next(&mut self, person: &str, n: usize, have: &[ImageId]) -> Result<Next> {
        check_person(person)?;
        if n > MOST || have.len() > MOST {
            return Err(Error::input("too many questions at once")
                .at("n")
                .expected(format!("at most {MOST}"))
                .got(n.max(have.len()))
                .into());
        }
        self.write(|sql| {
            let settings = settings(sql)?;
            let mut hand = Hand {
                sql,
                person,
                wanted: settings.answers_wanted,
                now: now(),
                taken: HashSet::new(),
                contents: HashSet::new(),
            };
            let mut chosen = hand.resume(have, n)?;
            let new = n - chosen.len();
            let counts = counts::counts(sql)?;
            let asked = asked(sql)?;
            let open = counts::holdout_wanted(sql, &settings, &counts)?.saturating_sub(hand.holdout_leased()?);
            let every = settings.holdout_every as u64;
            let due = |n: u64| n % every == every - 1;
            let wanted = (asked..).take(new).filter(|&n| due(n)).count().min(open);
            let mut holdout = hand.fetch(true, wanted)?;
            let mut others = hand.queue(new - holdout.len())?;
            others.extend(hand.fetch(false, new - holdout.len() - others.len())?);
            // When nothing else is left, the holdout is asked faster, then what was put off comes
            // back.
            holdout.extend(hand.fetch(true, (new - holdout.len() - others.len()).min(open - wanted))?);
            let mut later = hand.later(false, new - holdout.len() - others.len())?;
            later.extend(hand.later(true, (new - holdout.len() - others.len() - later.len()).min(open))?);
            let (mut holdout, mut others) = (holdout.into_iter(), others.into_iter().chain(later));
            let mut given = 0;
            while given < new as u64 {
                let first = if due(asked + given) { holdout.next() } else { None };
                let Some(image) = first.or_else(|| others.next()).or_else(|| holdout.next()) else { break };
                chosen.push(image);
                given += 1;
            }
            if given > 0 {
                let put = "UPDATE project SET value = ?1 WHERE key = 'questions'";
                sql.prepare_cached(put)?.execute([(asked + given).to_string()])?;
            }
            for &image in &chosen {
                lease(sql, image, person)?;
            }
            let left = sql
                .prepare_cached(
                    "SELECT count(*) FROM queue CROSS JOIN images USING (image) WHERE ask = 1 AND missing = 0",
                )?
                .query_row([], |row| row.get(0))?;
            let mut questions = listing::images(sql, &chosen)?;
            for image in questions.iter_mut().filter(|image| image.why.is_empty()) {
                image.why.push(Reason::plain(ReasonKind::Random));
            }
            Ok(Next { questions, round: rounds::newest(sql)?.map(|(round, _)| round), left })
        })
    }
}

/// Questions handed out since the project was made, to everybody.
fn asked(sql: &Transaction<'_>) -> rusqlite::Result<u64> {
    let text: Option<String> = sql
        .prepare_cached("SELECT value FROM project WHERE key = 'questions'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Gives an image to a person, from now on.
pub(super) fn lease(sql: &Transaction<'_>, image: ImageId, person: &str) -> rusqlite::Result<()> {
    let until = now() + LEASE_SECONDS as i64 * 1000;
    sql.prepare_cached(
        "INSERT INTO leases VALUES (?1, ?2, ?3, (SELECT coalesce(max(turn), 0) + 1 FROM leases))
         ON CONFLICT DO UPDATE SET person = excluded.person, until = excluded.until,
             turn = iif(person = excluded.person, turn, excluded.turn)",
    )?
    .execute(params![image, person, until])
    .map(|_| ())
}

/// Takes an image from a person who has answered.
pub(super) fn release(sql: &Transaction<'_>, image: ImageId, person: &str) -> rusqlite::Result<()> {
    sql.prepare_cached("DELETE FROM leases WHERE image = ?1 AND person = ?2")?
        .execute(params![image, person])
        .map(|_| ())
}

/// A hand that picks questions for one person, never the same image, nor two with one content.
struct Hand<'a> {
    sql: &'a Transaction<'a>,
    person: &'a str,
    wanted: usize,
    now: i64,
    taken: HashSet<ImageId>,
    contents: HashSet<Vec<u8>>,
}

impl Hand<'_> {
    /// Renews what the person holds, and gives back up to `n` of what they were given and have not
    /// at hand.
    fn resume(&mut self, have: &[ImageId], n: usize) -> rusqlite::Result<Vec<ImageId>> {
        let sql = self.sql;
        sql.prepare_cached("DELETE FROM leases WHERE until <= ?1")?.execute([self.now])?;
        let mut select = sql.prepare_cached(
            "SELECT l.image, l.person, i.hash, i.ask, i.missing, s.state IS 'later', l.until
             FROM leases AS l CROSS JOIN images AS i USING (image) LEFT JOIN states AS s USING (image)
             ORDER BY l.turn",
        )?;
        let mut rows = select.query([])?;
        let (mut own, mut old) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (image, missing, waits): (ImageId, bool, bool) = (row.get(0)?, row.get(4)?, row.get(5)?);
            let hash: Vec<u8> = row.get(2)?;
            let mine = row.get_ref(1)?.as_str()? == self.person;
            let asked = row.get::<_, bool>(3)? || waits || self.is_wanted(image)?;
            if mine && (missing || !asked) {
                release(sql, image, self.person)?;
                continue;
            }
            self.taken.insert(image);
            if mine {
                own.push(image);
                old.push((image, row.get::<_, i64>(6)? - LEASE_SECONDS as i64 * 1000, hash.clone()));
            }
            self.contents.insert(hash);
        }
        let have: HashSet<ImageId> = have.iter().copied().collect();
        // What was given before the newest choice and is not at hand makes way for that.
        let chosen: Option<i64> = sql
            .prepare_cached("SELECT max(finished) FROM rounds WHERE state = 'done'")?
            .query_row([], |row| row.get(0))?;
        for (image, given, hash) in old {
            if !have.contains(&image) && chosen.is_some_and(|chosen| given < chosen) {
                release(sql, image, self.person)?;
                self.taken.remove(&image);
                own.retain(|&one| one != image);
                self.contents.remove(&hash);
            }
        }
        // Leases that ran out meanwhile, of images that nobody else has got: as if they had not.
        for &image in have.iter().filter(|image| !self.taken.contains(image)).collect::<Vec<_>>() {
            let mut select =
                sql.prepare_cached("SELECT hash FROM images WHERE image = ?1 AND ask = 1 AND missing = 0")?;
            if let Some(hash) = select.query_row([image], |row| row.get(0)).optional()? {
                lease(sql, image, self.person)?;
                self.contents.insert(hash);
                own.push(image);
            }
        }
        self.taken.extend(&have);
        for &image in own.iter().filter(|image| have.contains(image)) {
            lease(sql, image, self.person)?;
        }
        own.retain(|image| !have.contains(image));
        own.truncate(n);
        Ok(own)
    }

    /// Leases of the holdout, the person's own too.
    fn holdout_leased(&self) -> rusqlite::Result<usize> {
        self.sql
            .prepare_cached("SELECT count(*) FROM leases CROSS JOIN images USING (image) WHERE holdout = 1")?
            .query_row([], |row| row.get(0))
    }

    /// Whether more persons are wanted for a labelled image, this one among them.
    fn is_wanted(&self, image: ImageId) -> rusqlite::Result<bool> {
        if self.wanted < 2 {
            return Ok(false);
        }
        self.sql
            .prepare_cached(
                "SELECT 1 FROM states AS s WHERE s.image = ?1 AND s.state = 'labelled' AND s.answers < ?3
                 AND NOT EXISTS (SELECT 1 FROM live AS a WHERE a.image = s.image AND a.person = ?2)",
            )?
            .exists(params![image, self.person, self.wanted])
    }

    /// The first `n` of what `select` gives that nobody has.
    fn take(
        &mut self,
        select: &str,
        parameters: impl rusqlite::Params,
        n: usize,
    ) -> rusqlite::Result<Vec<ImageId>> {
        let mut found = Vec::new();
        if n == 0 {
            return Ok(found);
        }
        let mut select = self.sql.prepare_cached(select)?;
        let mut rows = select.query(parameters)?;
        while let Some(row) = rows.next()? {
            let image = row.get(0)?;
            let hash: Vec<u8> = row.get(1)?;
            if !self.taken.contains(&image) && self.contents.insert(hash) {
                self.taken.insert(image);
                found.push(image);
                if found.len() == n {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// From the queue, by rank: what is open, and of what is labelled that of which more persons
    /// are wanted.
    fn queue(&mut self, n: usize) -> rusqlite::Result<Vec<ImageId>> {
        if self.wanted < 2 {
            let select = "SELECT image, hash FROM queue CROSS JOIN images USING (image)
                          WHERE ask = 1 AND missing = 0 AND holdout = 0 ORDER BY rank";
            return self.take(select, [], n);
        }
        let select = "SELECT i.image, i.hash FROM queue CROSS JOIN images AS i USING (image) LEFT JOIN states AS s USING (image)
             WHERE i.missing = 0 AND i.holdout = 0 AND (i.ask = 1 OR s.state = 'labelled' AND s.answers < ?2
                 AND NOT EXISTS (SELECT 1 FROM live AS a WHERE a.image = i.image AND a.person = ?1)) ORDER BY rank";
        let (person, wanted) = (self.person, self.wanted);
        self.take(select, params![person, wanted], n)
    }

    /// In random order: first what is labelled and of which more persons are wanted, then what is
    /// open.
    fn fetch(&mut self, holdout: bool, n: usize) -> rusqlite::Result<Vec<ImageId>> {
        let mut found = Vec::new();
        if self.wanted > 1 && holdout {
            found = self.second(holdout, n)?;
        }
        let select =
            "SELECT image, hash FROM images WHERE ask = 1 AND missing = 0 AND holdout = ?1 ORDER BY draw";
        found.extend(self.take(select, [holdout], n - found.len())?);
        if self.wanted > 1 && !holdout {
            found.extend(self.second(holdout, n - found.len())?);
        }
        Ok(found)
    }

    fn second(&mut self, holdout: bool, n: usize) -> rusqlite::Result<Vec<ImageId>> {
        let select = "SELECT i.image, i.hash FROM states AS s CROSS JOIN images AS i USING (image)
             WHERE s.state = 'labelled' AND s.answers < ?2 AND i.missing = 0 AND i.holdout = ?3
                 AND NOT EXISTS (SELECT 1 FROM live AS a WHERE a.image = i.image AND a.person = ?1) ORDER BY i.draw";
        let (person, wanted) = (self.person, self.wanted);
        self.take(select, params![person, wanted, holdout], n)
    }

    /// What was put off, the longest ago first.
    fn later(&mut self, holdout: bool, n: usize) -> rusqlite::Result<Vec<ImageId>> {
        let select = "SELECT i.image, i.hash FROM states AS s CROSS JOIN images AS i USING (image)
             WHERE s.state = 'later' AND i.missing = 0 AND i.holdout = ?1
                 AND NOT EXISTS (SELECT 1 FROM images AS d JOIN states AS t USING (image)
                     WHERE d.hash = i.hash AND t.state = 'labelled')
             ORDER BY s.at, s.image";
        self.take(select, [holdout], n)
    }
}
