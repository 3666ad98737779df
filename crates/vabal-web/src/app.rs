//! One project that is served: its connections, its training, and which function answers which address.
//!
//! Never here: the answers (`api/`, `files`), who may ask (`auth`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use vabal::error::Cause;
use vabal::project::{Answered, Answers, Project};
use vabal::{Error, Progress, Result};

use crate::api::{answers, classes, exchange, images, project, questions, review};
use crate::auth::{Entry, Gate, Refusal, is_read, seal};
use crate::error::{Answer, Failure};
use crate::files::Decoders;
use crate::http::{Head, Request, Response, Service};
use crate::training::Training;
use crate::{assets, files};

/// One round: trains and chooses, on a connection of its own.
pub type Learn = dyn Fn(&mut Project, &mut Progress<'_>) -> Result<()> + Send + Sync;
/// How a project stands, as JSON.
pub type Status = dyn Fn(&Project) -> Result<Value> + Send + Sync;

/// What the server has done for it.
#[derive(Clone)]
pub struct Work {
    /// One round.
    pub learn: Arc<Learn>,
    /// Whether a round before there are labels chooses what to ask first.
    pub cold_start: bool,
    /// How the project stands.
    pub status: Arc<Status>,
}

/// A project that is served.
pub struct App {
    folder: PathBuf,
    gate: Gate,
    /// Who labels, as far as the program was told.
    pub(crate) person: Option<String>,
    pub(crate) work: Work,
    /// Connections that nobody uses at the moment.
    idle: Mutex<Vec<Project>>,
    /// Held by whoever writes. SQLite would let writers wait too, but not in the order in which they came.
    writing: Mutex<()>,
    /// Gestures that wait to be written, with the place of what becomes of each.
    waiting: Mutex<Vec<(Answers, Arc<Outcome>)>>,
    pub(crate) training: Arc<Training>,
    pub(crate) decoders: Decoders,
}

/// What becomes of a gesture, once it is written or refused.
type Outcome = Mutex<Option<Answer<Answered>>>;

/// More idle connections than cores are of no use.
const IDLE: usize = 16;

impl App {
    /// Opens the project in `folder`.
    ///
    /// # Errors
    /// A folder that holds no project, or one that cannot be opened.
    pub fn open(folder: &Path, gate: Gate, person: Option<String>, work: Work) -> Result<Self> {
        let project = Project::open(folder)?;
        let folder = project.folder().to_path_buf();
        Ok(Self {
            decoders: Decoders::default(),
            folder,
            gate,
            person,
            work,
            idle: Mutex::new(vec![project]),
            writing: Mutex::default(),
            waiting: Mutex::default(),
            training: Arc::new(Training::default()),
        })
    }

    /// Runs `work` on a connection. One on which it panics is not used again.
    ///
    /// # Errors
    /// What `work` says, or the store cannot be opened.
    pub fn read<T>(&self, work: impl FnOnce(&Project) -> Result<T>) -> Result<T> {
        self.with(|project| work(project))
    }

    /// Runs `work`, which writes, on a connection, one after another.
    ///
    /// # Errors
    /// What `work` says, or the store cannot be opened.
    pub fn write<T>(&self, work: impl FnOnce(&mut Project) -> Result<T>) -> Result<T> {
        let _writing = lock(&self.writing);
        self.with(work)
    }

    /// Writes the answers of a gesture. Whoever comes while another writes waits, and the next one writes for all who
    /// wait: ten persons wait for the disk once, not ten times.
    ///
    /// # Errors
    /// What the store refuses, of this gesture alone; or it cannot be written.
    pub fn answer(&self, given: Answers) -> Answer<Answered> {
        let outcome = Arc::new(Outcome::default());
        lock(&self.waiting).push((given, Arc::clone(&outcome)));
        let _writing = lock(&self.writing);
        if let Some(done) = lock(&outcome).take() {
            return done;
        }
        let all = std::mem::take(&mut *lock(&self.waiting));
        let given: Vec<&Answers> = all.iter().map(|(given, _)| given).collect();
        let done = self.with(|project| match project.answer_all(&given) {
            Ok(done) => Ok(done),
            Err(error) if error.cause() == Cause::Forbidden => Err(error),
            // What spoils it for all may come from one of them.
            Err(_) => Ok(given.iter().map(|given| project.answer(given)).collect()),
        });
        match done {
            Ok(done) => {
                for ((_, outcome), done) in all.iter().zip(done) {
                    *lock(outcome) = Some(done.map_err(Failure::from));
                }
            }
            Err(error) => {
                let failure = Failure::from(error);
                all.iter().for_each(|(_, outcome)| *lock(outcome) = Some(Err(failure.clone())));
            }
        }
        // None where whoever wrote for this one broke off.
        let done = lock(&outcome).take();
        done.unwrap_or_else(|| {
            Err(Failure::new(
                500,
                Error::input("the answer was not saved").hint("send it again: it counts once"),
            ))
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Project) -> Result<T>) -> Result<T> {
        let idle = lock(&self.idle).pop();
        let mut project = match idle {
            Some(project) => project,
            None => Project::open(&self.folder)?,
        };
        let done = work(&mut project);
        let mut idle = lock(&self.idle);
        if matches!(&done, Err(error) if error.cause() == Cause::Forbidden) {
            // A connection that was opened while the file could not be written stays so.
            idle.clear();
        } else if idle.len() < IDLE {
            idle.push(project);
        }
        done
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins a training; false where one is under way in this process.
    ///
    /// # Errors
    /// The store cannot be read, or the system gives no thread.
    pub fn train(&self) -> Result<bool> {
        let labels = self.read(|project| Ok(project::labels(&project.counts()?)))?;
        self.begin(Some(labels))
    }

    fn begin(&self, labels: Option<u64>) -> Result<bool> {
        let (folder, learn) = (self.folder.clone(), Arc::clone(&self.work.learn));
        self.training.begin(labels, Arc::new(move |progress| learn(&mut Project::open(&folder)?, progress)))
    }

    /// Begins a training where it is time for one.
    pub fn consider_training(&self) {
        if self.training.is_running() {
            return;
        }
        // Nobody asked for it: where it cannot be begun, the button says why.
        let due = self.read(|project| project::due(project, &self.training));
        if matches!(due, Ok(true)) {
            let _ = self.train();
        }
    }

    /// Begins the first choice, where there was none yet and nothing is labelled.
    pub fn consider_first_choice(&self) {
        let due = self.read(|project| {
            Ok(self.work.cold_start && project.rounds()?.is_empty() && project.counts()?.open > 0)
        });
        if matches!(due, Ok(true)) {
            let _ = self.begin(None);
        }
    }

    /// Stops what is under way in the background, and waits for it.
    pub fn end(&self) {
        self.training.end();
    }

    fn route(&self, request: &Request) -> Answer {
        let head = &request.head;
        let path: Vec<&str> = head.path.iter().map(String::as_str).collect();
        let method = if head.method == "HEAD" { "GET" } else { head.method.as_str() };
        match (method, path.as_slice()) {
            ("GET", []) => Ok(assets::index()),
            ("GET", ["assets", name]) => assets::find(name).ok_or_else(|| Failure::missing("file", name)),
            ("GET", ["image", id]) => files::original(self, id, head),
            ("GET", ["thumb", id]) => files::thumb(self, id, head),
            ("GET", ["api", "project"]) => project::show(self),
            ("PUT", ["api", "settings"]) => project::change_settings(self, request),
            ("POST", ["api", "classes"]) => classes::add(self, request),
            ("PATCH", ["api", "classes", id]) => classes::change(self, id, request),
            ("POST", ["api", "classes", id, "merge"]) => classes::merge(self, id, request),
            ("GET", ["api", "next"]) => questions::next(self, head),
            ("POST", ["api", "answers"]) => answers::add(self, request),
            ("POST", ["api", "undo"]) => answers::undo(self, request),
            ("GET", ["api", "images"]) => images::list(self, head),
            ("GET", ["api", "images", id]) => images::detail(self, id),
            ("GET", ["api", "review"]) => review::list(self, head),
            ("GET", ["api", "duplicates"]) => review::duplicates(self, head),
            ("GET", ["api", "status"]) => project::status(self),
            ("POST", ["api", "train"]) => project::train(self),
            ("POST", ["api", "train", "stop"]) => project::stop(self),
            ("GET", ["api", "pulse"]) => project::pulse(self),
            ("POST", ["api", "import"]) => exchange::import(self, request),
            ("GET", ["api", "export"]) => exchange::export(self, head),
            _ => Err(Failure::missing("address", format_args!("{} /{}", head.method, path.join("/")))),
        }
    }

    fn refused(&self, head: &Head, refusal: &Refusal) -> Response {
        let failure = Failure::new(refusal.status, Error::input(refusal.what).hint(refusal.hint));
        // Whoever opened an address by hand reads a page; a script reads JSON.
        let by_hand = is_read(&head.method)
            && head.path.first().is_none_or(|part| part != "api")
            && head.header("accept").is_some_and(|accept| accept.contains("text/html"));
        seal(if by_hand { failure.page() } else { failure.response() })
    }
}

/// A lock whose holder may have panicked: what is behind it is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service for App {
    fn admit(&self, head: &Head) -> std::result::Result<usize, Box<Response>> {
        match self.gate.admit(head) {
            Ok(Entry::Open(limit)) => Ok(limit),
            Ok(Entry::Keep) => Ok(0),
            Err(refusal) => Err(Box::new(self.refused(head, &refusal))),
        }
    }

    fn respond(&self, request: &Request) -> Response {
        // Asked again, so that no way leads past it.
        let response = match self.gate.admit(&request.head) {
            Ok(Entry::Open(_)) => self.route(request).unwrap_or_else(|failure| failure.response()),
            Ok(Entry::Keep) => self.gate.keep(&request.head),
            Err(refusal) => return self.refused(&request.head, &refusal),
        };
        seal(response)
    }

    fn refuse(&self, status: u16, what: &str, hint: &str) -> Response {
        seal(Failure::new(status, Error::input(what).hint(hint)).response())
    }
}
