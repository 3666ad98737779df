//! The file of a project: made, opened, brought to this version; the one way to read and to write
//! it.
//!
//! Never here: what an answer means, what is asked.

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::classes::{self, Class, NewClass};
use super::counts::{self, Counts};
use super::guides::{self, Guide};
use super::merging::{self, Merged};
use super::settings::{self, Change};
use super::suggesting::{self, Suggestions};
use super::{Project, Settings};
use crate::error::{Complaint, Error, Result};
use crate::sqlite::{Kind, to_json};

/// The version of the schema that this code writes; `PRAGMA user_version` of the file.
pub const VERSION: i64 = 3;
/// The SQLite file of a project's folder.
pub const FILE: &str = crate::data::walk::PROJECT;
pub(super) const KIND: Kind = Kind {
    name: "project",
    maker: "`vabal init`",
    application: 1_986_093_680,
    version: VERSION,
    otherwise: "choose another folder",
};
/// From each version to the next: the first leads from 1 to 2.
const MIGRATIONS: &[&str] = &[include_str!("schema-2.sql"), include_str!("schema-3.sql")];
/// How long a writer waits for another.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a step broke off: SQLite refused, or what was asked is wrong.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Said(Error),
}

/// The result inside a step; `?` takes errors of both kinds.
pub(super) type Attempt<T> = std::result::Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<Complaint> for Fault {
    fn from(complaint: Complaint) -> Self {
        Self::Said(complaint.into())
    }
}

/// What a front end shows of a project at once.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// Unlike any other project's, for life.
    pub id: String,
    /// Of the settings.
    pub name: String,
    /// The folder of images, as the settings say it.
    pub images: String,
    /// Classes that are not merged, by place.
    pub classes: Vec<Class>,
    /// Descriptions and examples of classes.
    pub guides: Vec<Guide>,
    /// Classes that were merged into others.
    pub merged: Vec<Merged>,
    /// Every setting.
    pub settings: Settings,
    /// Images by state.
    pub counts: Counts,
    /// The newest round that is done; `None` before the first.
    pub round: Option<u64>,
    /// Suggestions of another model, where some were taken in.
    pub suggestions: Option<Suggestions>,
    /// Who has answered, by name.
    pub people: Vec<String>,
}

impl Project {
    /// Makes a project in `folder`, of the images in the folder `images` and with classes of these
    /// names, in this order. No image is looked at: [`Project::import`] does that. Of the settings,
    /// `images` is set here, and `name` where it is empty.
    ///
    /// # Errors
    /// A folder that holds a project already or cannot be written, no folder of images, or this
    /// one, settings out of their ranges, names of classes that are empty or the same.
    pub fn create(folder: &Path, images: &Path, classes: &[String], mut settings: Settings) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let folder = fs::canonicalize(folder).map_err(Error::io("read", folder))?;
        settings.images = folder_of_images(&folder, images)?;
        if settings.name.is_empty() {
            settings.name =
                folder.file_name().map_or_else(|| "images".into(), |n| n.to_string_lossy().into_owned());
        }
        settings.check()?;
        let file = folder.join(FILE);
        let mut connection = Connection::open(&file).map_err(crate::sqlite::failed(&file))?;
        if KIND.version_of(&connection, &file)?.is_some() {
            return Err(Error::input("there is a project in this folder already")
                .at(folder.display())
                .hint("go on with it, or choose another folder")
                .into());
        }
        prepare(&connection).map_err(crate::sqlite::failed(&file))?;
        let settings = to_json(&settings)?;
        write(&mut connection, &file, |sql| {
            sql.execute_batch(include_str!("schema.sql"))?;
            MIGRATIONS.iter().try_for_each(|step| sql.execute_batch(step))?;
            sql.pragma_update(None, "user_version", VERSION)?;
            sql.execute("INSERT INTO project VALUES ('settings', ?1), ('questions', '0')", [settings])?;
            sql.execute(
                "INSERT INTO project VALUES ('made', ?1), ('id', ?2)",
                [now().to_string(), new_id(&folder)],
            )?;
            for name in classes {
                classes::add(sql, &NewClass { name: name.clone(), ..NewClass::default() })?;
            }
            Ok(())
        })?;
        Ok(Self { connection, folder, file })
    }

    /// Opens the project in `folder`. One of an older version is brought to this one, after a copy
    /// was put beside it, as `project.sqlite.v1.bak`.
    ///
    /// # Errors
    /// A folder that holds no project; a file that is damaged, or of a newer version.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        let none = |got: &str| {
            Error::input("this folder holds no project")
                .at(folder.display())
                .expected(format!("a folder that `vabal init` made, with a file {FILE}"))
                .got(got)
                .hint("make one with `vabal init FOLDER --images DIR`")
        };
        if !file.is_file() {
            let got = match folder.exists() {
                false => "no such folder",
                true if folder.is_dir() => "a folder without it",
                true => "a file",
            };
            return Err(none(got).into());
        }
        let folder = fs::canonicalize(folder).map_err(Error::io("read", folder))?;
        let file = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection =
            Connection::open_with_flags(&file, flags).map_err(crate::sqlite::failed(&file))?;
        connection.busy_timeout(PATIENCE).map_err(crate::sqlite::failed(&file))?;
        let Some(version) = KIND.version_of(&connection, &file)? else {
            return Err(none("one that was never finished").into());
        };
        prepare(&connection).map_err(crate::sqlite::failed(&file))?;
        migrate(&mut connection, &file, version, MIGRATIONS)?;
        Ok(Self { connection, folder, file })
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `work` in one transaction that has the right to write from its beginning, so that it
    /// waits for others rather than failing in its middle.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Attempt<T>) -> Result<T> {
        write(&mut self.connection, &self.file, work)
    }

    /// Runs `work` on one state of the store.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Attempt<T>) -> Result<T> {
        let fail = crate::sqlite::failed(&self.file);
        let transaction = self.connection.unchecked_transaction().map_err(&fail)?;
        work(&transaction).map_err(|fault| explain(fault, &self.file))
    }

    /// The settings.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn settings(&self) -> Result<Settings> {
        self.read(settings)
    }

    /// Changes the settings that a JSON object names, and gives back all of them. What was changed,
    /// and when, is kept: [`Project::changes`].
    ///
    /// # Errors
    /// What [`Settings::changed`] refuses; the share or the seed of the holdout where there are
    /// images; the store cannot be written.
    pub fn change_settings(&mut self, change: &Value) -> Result<Settings> {
        self.write(|sql| {
            let old = settings(sql)?;
            let new = old.changed(change)?;
            let made = old.differences(&new, now())?;
            if made.is_empty() {
                return Ok(new);
            }
            settings::permit(&made, counts::counts(sql)?.images)?;
            let all = [changes(sql)?, made].concat();
            sql.execute("INSERT OR REPLACE INTO project VALUES ('changes', ?1)", [to_json(&all)?])?;
            put_settings(sql, &new)?;
            Ok(new)
        })
    }

    /// Every change of a setting since the project was made, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn changes(&self) -> Result<Vec<Change>> {
        self.read(changes)
    }

    /// Says where the folder of images is now. Images keep their ids; [`Project::import`] finds
    /// them again.
    ///
    /// # Errors
    /// No such folder; the store cannot be written.
    pub fn set_images(&mut self, images: &Path) -> Result<()> {
        let images = folder_of_images(&self.folder, images)?;
        self.write(|sql| {
            let mut changed = settings(sql)?;
            changed.images = images;
            put_settings(sql, &changed)
        })
    }

    /// The folder of images, which may have gone.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn images_folder(&self) -> Result<PathBuf> {
        Ok(self.folder.join(self.settings()?.images))
    }

    /// What a front end shows first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn overview(&self) -> Result<Overview> {
        self.read(|sql| {
            let settings = settings(sql)?;
            let mut people = sql.prepare_cached("SELECT DISTINCT person FROM answers ORDER BY person")?;
            let people = people.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let id = sql.query_row("SELECT value FROM project WHERE key = 'id'", [], |row| row.get(0))?;
            Ok(Overview {
                id,
                name: settings.name.clone(),
                images: settings.images.clone(),
                classes: classes::all(sql)?,
                guides: guides::guides(sql)?,
                merged: merging::merged(sql)?,
                counts: counts::counts(sql)?,
                round: super::rounds::newest(sql)?.map(|(round, _)| round),
                suggestions: suggesting::suggestions(sql)?,
                people,
                settings,
            })
        })
    }

    /// Takes the lock that a training holds, for as long as the file lives; `None` where another
    /// has it, in this process or in one beside it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn lock_training(&self) -> Result<Option<File>> {
        let path = self.folder.join("training.lock");
        let file =
            File::options().create(true).append(true).open(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }
}

/// A name that no other project has: of the moment, the process and the place.
fn new_id(folder: &Path) -> String {
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let text = format!("{moment} {} {}", std::process::id(), folder.display());
    Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

pub(super) fn settings(sql: &Transaction<'_>) -> Attempt<Settings> {
    let text: String = sql
        .prepare_cached("SELECT value FROM project WHERE key = 'settings'")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or_else(|| "{}".into());
    let path = sql.path().unwrap_or(FILE);
    Ok(KIND.parsed(&text, Path::new(path))?)
}

fn changes(sql: &Transaction<'_>) -> Attempt<Vec<Change>> {
    let text: Option<String> = sql
        .prepare_cached("SELECT value FROM project WHERE key = 'changes'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let path = sql.path().unwrap_or(FILE);
    Ok(text.map(|text| KIND.parsed(&text, Path::new(path))).transpose()?.unwrap_or_default())
}

fn put_settings(sql: &Transaction<'_>, settings: &Settings) -> Attempt<()> {
    let text = to_json(settings)?;
    sql.execute("INSERT OR REPLACE INTO project VALUES ('settings', ?1)", [text])?;
    Ok(())
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(128);
    Kind::make_durable(connection)
}

fn explain(fault: Fault, file: &Path) -> Error {
    match fault {
        Fault::Sql(error) => crate::sqlite::failed(file)(error),
        Fault::Said(error) => error,
    }
}

fn write<T>(
    connection: &mut Connection,
    file: &Path,
    work: impl FnOnce(&Transaction<'_>) -> Attempt<T>,
) -> Result<T> {
    let fail = crate::sqlite::failed(file);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fail)?;
    let done = work(&transaction).map_err(|fault| explain(fault, file))?;
    transaction.commit().map_err(&fail)?;
    Ok(done)
}

/// Takes a file of `version` through the steps that lead on from there, after a copy of it was put
/// beside it.
pub(super) fn migrate(connection: &mut Connection, file: &Path, version: i64, steps: &[&str]) -> Result<()> {
    let newest = 1 + steps.len() as i64;
    if version >= newest {
        return Ok(());
    }
    let fail = crate::sqlite::failed(file);
    let beside = |n: usize| {
        let mut name = file.as_os_str().to_owned();
        name.push(if n == 0 { format!(".v{version}.bak") } else { format!(".v{version}-{n}.bak") });
        PathBuf::from(name)
    };
    // A copy that is there already may be all that is left of something.
    let mut copy = beside(0);
    for n in 1.. {
        if !copy.exists() {
            break;
        }
        copy = beside(n);
    }
    connection.execute("VACUUM INTO ?1", params![copy.to_string_lossy()]).map_err(&fail)?;
    File::open(&copy).and_then(|file| file.sync_all()).map_err(Error::io("write", &copy))?;
    write(connection, file, |sql| {
        // Another process may have done it meanwhile.
        let now: i64 = sql.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        for step in steps.iter().skip((now - 1).max(0) as usize) {
            sql.execute_batch(step)?;
        }
        Ok(sql.pragma_update(None, "user_version", newest.max(now))?)
    })
}

/// The folder of images as the settings keep it: relative where it shares more than the root with
/// the project, so that both can be moved together.
fn folder_of_images(project: &Path, images: &Path) -> Result<String> {
    if !images.is_dir() {
        return Err(Error::input("no such folder of images")
            .at(images.display())
            .expected("a folder, with images in it or below")
            .got(if images.exists() { "a file" } else { "nothing there" })
            .hint("check the path; relative paths start from the current folder")
            .into());
    }
    let images = fs::canonicalize(images).map_err(Error::io("read", images))?;
    if images == project {
        return Err(Error::input("the project cannot be in the folder of images")
            .at(project.display())
            .expected("a folder of its own, beside the images or below them")
            .got("the folder of images itself")
            .hint("choose another name for the project; images stay where they are")
            .into());
    }
    let (from, to): (Vec<_>, Vec<_>) = (project.components().collect(), images.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let shared = from[..common].iter().any(|part| matches!(part, Component::Normal(_)));
    let kept = if shared {
        let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
        let relative: PathBuf = up.chain(to[common..].iter().copied()).collect();
        if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative }
    } else {
        images
    };
    match kept.to_str() {
        Some(text) => Ok(text.into()),
        None => Err(Error::input("the name of the folder of images is not UTF-8")
            .at(kept.display())
            .hint("rename it")
            .into()),
    }
}
