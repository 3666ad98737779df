//! The run folder: `config.toml`, the SQLite store, the lock that keeps a second process out.
//!
//! Every finished step is one transaction, flushed to the disk before it counts: what is in the
//! store has happened, whole, and nothing else has. Never here: what a step is, what is worth
//! storing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::record::{Asked, Phase, Pick, RoundRecord, RunRecord, Summary};
use super::summary::rare_share;
use crate::Label;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::files;
use crate::metrics::Metrics;
use crate::query::Health;
use crate::sqlite::{Kind, to_json};

/// The version of the schema that this code writes; `PRAGMA user_version` of the file.
pub const VERSION: i64 = 1;
/// The SQLite file of a run folder.
pub const FILE: &str = "store.sqlite";
/// The resolved configuration of a run folder.
const CONFIG: &str = "config.toml";
const KIND: Kind = Kind {
    name: "run store",
    maker: "`vabal run`",
    application: 1_986_093_665,
    version: VERSION,
    otherwise: "choose another --out",
};

/// The store of one run folder.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Whether it has the table that stores made by the first versions are without.
    has_asked: bool,
    /// Held while this process writes; the system releases it however the process ends.
    _lock: Option<File>,
}

/// A run as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progressed {
    /// The row of the run.
    pub run: i64,
    /// The images labelled before the first round.
    pub initial: Vec<Pick>,
    /// Its rounds; one without picks has not asked, because it is the last or was cut short.
    pub record: RunRecord,
}

impl Store {
    /// Opens the store of `folder` for writing, and makes folder and store where there are none.
    ///
    /// # Errors
    /// A folder that cannot be written, that another process is using, or that belongs to another
    /// configuration, seeds and strategies apart; a store that is damaged or of a newer version.
    pub fn open(folder: &Path, config: &Config) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        let fail = crate::sqlite::failed(path.clone());
        let mut connection = Connection::open(&path).map_err(&fail)?;
        let made = KIND.version_of(&connection, &path)?.is_some();
        let begun = made && has_begun(&connection).map_err(&fail)?;
        // Where its data could not be used, nothing was done: a fixed configuration goes on here.
        if begun || !made {
            check_config(folder, config)?;
        }
        if !begun {
            keep_config(folder, &config.to_toml()?)?;
        }
        Kind::make_durable(&connection).map_err(&fail)?;
        if !made {
            let transaction = connection.transaction().map_err(&fail)?;
            transaction.execute_batch(include_str!("schema.sql")).map_err(&fail)?;
            transaction.commit().map_err(&fail)?;
        }
        connection.execute_batch(include_str!("asked.sql")).map_err(&fail)?;
        Ok(Self { connection, path, has_asked: true, _lock: Some(lock) })
    }

    /// Opens the store of `folder` for reading only.
    ///
    /// # Errors
    /// A folder that holds no run, a store that is damaged or of a newer version.
    pub fn open_for_reading(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            let got = match folder.exists() {
                false => "no such folder",
                true if folder.is_dir() => "a folder without it",
                true => "a file",
            };
            return Err(Error::input("this folder holds no run")
                .at(folder.display())
                .expected(format!("a folder that `vabal run` wrote, with a file {FILE}"))
                .got(got)
                .hint("give the folder of one experiment, such as runs/NAME")
                .into());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(crate::sqlite::failed(&path))?;
        if KIND.version_of(&connection, &path)?.is_none() {
            return Err(not_begun(folder));
        }
        let has_asked = connection.table_exists(None, "asked").map_err(crate::sqlite::failed(&path))?;
        Ok(Self { connection, path, has_asked, _lock: None })
    }

    fn fail(&self) -> impl Fn(rusqlite::Error) -> Error + use<> {
        crate::sqlite::failed(self.path.clone())
    }

    /// Runs `write` in one transaction.
    fn step(&mut self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<()> {
        let fail = self.fail();
        let transaction = self.connection.transaction().map_err(&fail)?;
        write(&transaction).map_err(&fail)?;
        transaction.commit().map_err(&fail)
    }

    /// A value of the experiment by its key.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn value(&self, key: &str) -> Result<Option<String>> {
        self.connection
            .query_row("SELECT value FROM experiment WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(self.fail())
    }

    /// Stores values of the experiment by their keys.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_values(&mut self, values: &[(&str, String)]) -> Result<()> {
        self.step(|sql| {
            for (key, value) in values {
                sql.execute("INSERT OR REPLACE INTO experiment VALUES (?1, ?2)", params![key, value])?;
            }
            Ok(())
        })
    }

    /// Adds an event: what happened to the experiment, and when.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn event(&mut self, kind: &str, text: &str) -> Result<()> {
        self.step(|sql| insert_event(sql, kind, text))
    }

    /// Begins a run with its first pool, as round 0.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn begin(&mut self, strategy: &str, seed: u64, initial: &[Pick]) -> Result<i64> {
        let mut run = 0;
        self.step(|sql| {
            let insert = "INSERT INTO runs (strategy, seed) VALUES (?1, ?2)";
            sql.execute(insert, params![strategy, seed.cast_signed()])?;
            run = sql.last_insert_rowid();
            insert_picks(sql, run, 0, initial)
        })?;
        Ok(run)
    }

    /// Stores a round that is trained and measured; its picks come later, by [`Store::put_picks`].
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_round(
        &mut self,
        run: i64,
        record: &RoundRecord,
        rare: &[Label],
        warnings: &[String],
    ) -> Result<()> {
        let RoundRecord { round, metrics: m, .. } = record;
        self.step(|sql| {
            sql.execute("INSERT INTO rounds VALUES (?1, ?2, ?3)", params![run, round, record.unlabelled])?;
            sql.execute(
                "INSERT INTO metrics VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    run,
                    round,
                    m.accuracy,
                    m.balanced_accuracy,
                    m.macro_f1,
                    m.calibration_error,
                    rare_share(record, rare)
                ],
            )?;
            let mut insert = sql.prepare_cached("INSERT INTO classes VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (class, (labelled, recall)) in record.class_counts.iter().zip(&m.recall).enumerate() {
                insert.execute(params![run, round, class, labelled, recall])?;
            }
            insert_phases(sql, run, *round, 0, &record.phases)?;
            warnings.iter().try_for_each(|text| insert_event(sql, "warning", text))
        })
    }

    /// Stores what a round asked for, why, and with what answers; `phases` follow those stored
    /// before.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_picks(
        &mut self,
        run: i64,
        record: &RoundRecord,
        phases: &[Phase],
        warnings: &[String],
    ) -> Result<()> {
        let state = match &record.vae {
            Some(health) => Some(to_json(health)?),
            None => None,
        };
        self.step(|sql| {
            insert_picks(sql, run, record.round, &record.picks)?;
            if let Some(asked) = record.asked {
                let row = params![run, record.round, asked.wrong_share, asked.error_auc];
                sql.execute("INSERT INTO asked VALUES (?1, ?2, ?3, ?4)", row)?;
            }
            if let Some(state) = state {
                sql.execute("INSERT INTO health VALUES (?1, ?2, ?3)", params![run, record.round, state])?;
            }
            insert_phases(sql, run, record.round, record.phases.len() - phases.len(), phases)?;
            warnings.iter().try_for_each(|text| insert_event(sql, "warning", text))
        })
    }

    /// Marks the runs of `config` as finished, and closes the store.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn finish(mut self, config: &Config) -> Result<()> {
        let mut finished = self.finished()?;
        finished.extend(config.runs());
        let finished = to_json(&finished)?;
        self.step(|sql| {
            insert_event(sql, "finished", "")?;
            sql.execute("INSERT OR REPLACE INTO experiment VALUES ('finished', ?1)", [finished]).map(|_| ())
        })?;
        self.close()
    }

    /// Folds the write-ahead log into the one file, so that it can be copied and read from anywhere.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn close(self) -> Result<()> {
        self.connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(self.fail())
    }

    /// Whether [`Store::finish`] was reached with all runs of `config`.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn is_finished(&self, config: &Config) -> Result<bool> {
        let finished = self.finished()?;
        Ok(config.runs().all(|run| finished.contains(&run)))
    }

    /// The finished runs, each a strategy and a seed.
    fn finished(&self) -> Result<BTreeSet<(String, u64)>> {
        match self.value("finished")?.as_deref() {
            None => Ok(BTreeSet::new()),
            // From before runs could be added.
            Some("true") => {
                Ok(self.runs()?.into_iter().map(|run| (run.record.strategy, run.record.seed)).collect())
            }
            Some(text) => KIND.parsed(text, &self.path),
        }
    }

    /// What the report must know beside the runs; `None` before the data were first read.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn summary(&self) -> Result<Option<Summary>> {
        self.value("summary")?.map(|text| KIND.parsed(&text, &self.path)).transpose()
    }

    /// The records of all runs in the order of the configuration in `summary`, seed by seed, also
    /// where a seed or a strategy was added later.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn records(&self, summary: &Summary) -> Result<Vec<RunRecord>> {
        let config: toml::Table = summary.config.parse().unwrap_or_default();
        let place = |key: &str, value: toml::Value| {
            let values = config.get(key).and_then(toml::Value::as_array);
            values.and_then(|values| values.iter().position(|other| *other == value))
        };
        let mut records: Vec<RunRecord> = self.runs()?.into_iter().map(|run| run.record).collect();
        records.sort_by_cached_key(|run| {
            let seed = place("seeds", toml::Value::Integer(run.seed.cast_signed()));
            (seed, place("strategies", toml::Value::String(run.strategy.clone())))
        });
        Ok(records)
    }

    /// Every run as far as it has come, in the order in which they began.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn runs(&self) -> Result<Vec<Progressed>> {
        let fail = self.fail();
        let mut select =
            self.connection.prepare("SELECT run, strategy, seed FROM runs ORDER BY run").map_err(&fail)?;
        let heads = select
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(i64, String, i64)>>>)
            .map_err(&fail)?;
        heads.into_iter().map(|(run, strategy, seed)| self.run(run, strategy, seed.cast_unsigned())).collect()
    }

    fn run(&self, run: i64, strategy: String, seed: u64) -> Result<Progressed> {
        let fail = self.fail();
        let sql = &self.connection;
        let mut rounds = Vec::new();
        let mut select = sql
            .prepare_cached(
                "SELECT round, unlabelled, accuracy, balanced_accuracy, macro_f1, calibration_error, state
                 FROM rounds JOIN metrics USING (run, round) LEFT JOIN health USING (run, round)
                 WHERE run = ?1 ORDER BY round",
            )
            .map_err(&fail)?;
        let mut rows = select.query([run]).map_err(&fail)?;
        while let Some(row) = rows.next().map_err(&fail)? {
            let round: usize = row.get(0).map_err(&fail)?;
            let (class_counts, recall) = self.classes(run, round).map_err(&fail)?;
            let read = |column| row.get::<_, f64>(column).map_err(&fail);
            let state: Option<String> = row.get(6).map_err(&fail)?;
            rounds.push(RoundRecord {
                round,
                class_counts,
                unlabelled: row.get(1).map_err(&fail)?,
                metrics: Metrics {
                    accuracy: read(2)?,
                    balanced_accuracy: read(3)?,
                    macro_f1: read(4)?,
                    recall,
                    calibration_error: read(5)?,
                },
                picks: self.picks(run, round).map_err(&fail)?,
                asked: self.asked(run, round).map_err(&fail)?,
                vae: state.map(|text| KIND.parsed::<Health>(&text, &self.path)).transpose()?,
                phases: self.phases(run, round).map_err(&fail)?,
            });
        }
        let initial = self.picks(run, 0).map_err(&fail)?;
        Ok(Progressed { run, initial, record: RunRecord { strategy, seed, rounds } })
    }

    fn classes(&self, run: i64, round: usize) -> rusqlite::Result<(Vec<usize>, Vec<Option<f64>>)> {
        let rows = self
            .connection
            .prepare_cached(
                "SELECT labelled, recall FROM classes WHERE run = ?1 AND round = ?2 ORDER BY class",
            )?
            .query_map(params![run, round], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(usize, Option<f64>)>>>()?;
        Ok(rows.into_iter().unzip())
    }

    fn picks(&self, run: i64, round: usize) -> rusqlite::Result<Vec<Pick>> {
        let mut picks = self
            .connection
            .prepare_cached("SELECT id, label, score FROM picks WHERE run = ?1 AND round = ?2 ORDER BY rank")?
            .query_map(params![run, round], |row| {
                let id = row.get::<_, i64>(0)?.cast_unsigned();
                Ok(Pick { id, label: row.get(1)?, score: row.get(2)?, terms: Vec::new() })
            })?
            .collect::<rusqlite::Result<Vec<Pick>>>()?;
        let mut select = self.connection.prepare_cached(
            "SELECT rank, name, value FROM terms WHERE run = ?1 AND round = ?2 ORDER BY rank, position",
        )?;
        let mut rows = select.query(params![run, round])?;
        while let Some(row) = rows.next()? {
            if let Some(pick) = picks.get_mut(row.get::<_, usize>(0)?) {
                pick.terms.push((row.get(1)?, row.get(2)?));
            }
        }
        Ok(picks)
    }

    fn asked(&self, run: i64, round: usize) -> rusqlite::Result<Option<Asked>> {
        if !self.has_asked {
            return Ok(None);
        }
        let asked = |row: &rusqlite::Row<'_>| Ok(Asked { wrong_share: row.get(0)?, error_auc: row.get(1)? });
        self.connection
            .prepare_cached("SELECT wrong_share, error_auc FROM asked WHERE run = ?1 AND round = ?2")?
            .query_row(params![run, round], asked)
            .optional()
    }

    fn phases(&self, run: i64, round: usize) -> rusqlite::Result<Vec<Phase>> {
        let phase = |row: &rusqlite::Row<'_>| {
            let peak_bytes = row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned);
            Ok(Phase { name: row.get(0)?, seconds: row.get(1)?, peak_bytes })
        };
        self.connection
            .prepare_cached(
                "SELECT name, seconds, peak_bytes FROM phases WHERE run = ?1 AND round = ?2 ORDER BY position",
            )?
            .query_map(params![run, round], phase)?
            .collect()
    }
}

fn insert_event(sql: &Transaction<'_>, kind: &str, text: &str) -> rusqlite::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let insert = "INSERT INTO events (unix_seconds, kind, text) VALUES (?1, ?2, ?3)";
    sql.execute(insert, params![now.cast_signed(), kind, text]).map(|_| ())
}

fn insert_picks(sql: &Transaction<'_>, run: i64, round: usize, picks: &[Pick]) -> rusqlite::Result<()> {
    let mut pick = sql.prepare_cached("INSERT INTO picks VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut term = sql.prepare_cached("INSERT INTO terms VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (rank, row) in picks.iter().enumerate() {
        pick.execute(params![run, round, rank, row.id.cast_signed(), row.label, row.score])?;
        for (position, (name, value)) in row.terms.iter().enumerate() {
            term.execute(params![run, round, rank, position, name, value])?;
        }
    }
    Ok(())
}

fn insert_phases(
    sql: &Transaction<'_>,
    run: i64,
    round: usize,
    first: usize,
    phases: &[Phase],
) -> rusqlite::Result<()> {
    let mut insert = sql.prepare_cached("INSERT INTO phases VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (n, phase) in phases.iter().enumerate() {
        let peak = phase.peak_bytes.map(u64::cast_signed);
        insert.execute(params![run, round, first + n, phase.name, phase.seconds, peak])?;
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::options().create(true).append(true).open(&path).map_err(Error::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::input("another process is using this folder")
            .at(folder.display())
            .hint("wait for it, or choose another --out")
            .into()),
        Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}

fn has_begun(connection: &Connection) -> rusqlite::Result<bool> {
    let summary = "SELECT count(*) FROM experiment WHERE key = 'summary'";
    connection.query_row(summary, [], |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

/// A folder whose run was cut short before there was anything to show.
pub(super) fn not_begun(folder: &Path) -> Error {
    Error::input("this run has not begun: it stopped before the data were read")
        .at(folder.display())
        .hint("start it again with `vabal run`")
        .into()
}

/// Keeps `config` as the configuration of `folder`, unless it is that already.
pub(super) fn keep_config(folder: &Path, config: &str) -> Result<()> {
    let path = folder.join(CONFIG);
    if fs::read(&path).is_ok_and(|stored| stored == config.as_bytes()) {
        return Ok(());
    }
    files::write(&path, config.as_bytes())
}

/// An error where `folder` has a `config.toml` that is another configuration.
fn check_config(folder: &Path, config: &Config) -> Result<()> {
    let path = folder.join(CONFIG);
    let stored = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let difference = config.first_difference(&stored).map_err(|error| match error {
        Error::Input(complaint) => complaint
            .at(path.display())
            .hint("choose another folder with --out, or move the file away")
            .into(),
        other => other,
    })?;
    match difference {
        None => Ok(()),
        Some((key, stored, ours)) => Err(Error::input("the output folder belongs to another configuration")
            .at(format!("{key}, in {}", path.display()))
            .expected(stored)
            .got(ours)
            .hint("choose another folder with --out, or go back to its configuration; only seeds and strategies may change")
            .into()),
    }
}
