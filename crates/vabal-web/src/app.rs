//! One project that is served: its connections, its training, and which function answers which
//! address.
//!
//! Never here: the answers (`api/`, `files`), who may ask (`auth`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{RawPathParams, State};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::Value;
use tokio::task::spawn_blocking;
use vabal::error::Cause;
use vabal::project::map::Stand;
use vabal::project::{Answered, Answers, ImageId, Project};
use vabal::{Error, Progress, Result};

use crate::api::{answers, classes, exchange, images, map, project, questions, review};
use crate::auth::{Entry, Gate, Refusal, is_read, seal};
use crate::error::{Answer, Failure};
use crate::files::Decoders;
use crate::http::{Head, Request, Response, Service};
use crate::selections::Selections;
use crate::training::Training;
use crate::{assets, files};

/// One round: trains and chooses, on a connection of its own.
pub type Learn = dyn Fn(&mut Project, &mut Progress<'_>) -> Result<()> + Send + Sync;
/// How a project stands, as JSON.
pub type Status = dyn Fn(&Project) -> Result<Value> + Send + Sync;

/// Whether a project has its map.
pub type FindMap = dyn Fn(&Project) -> Result<Stand> + Send + Sync;

/// The images of a project by how alike they are to one of them.
pub type Alike = dyn Fn(&Project, ImageId) -> Result<Vec<ImageId>> + Send + Sync;

/// What the server has done for it.
#[derive(Clone)]
pub struct Work {
    /// One round.
    pub learn: Arc<Learn>,
    /// Whether a round before there are labels chooses what to ask first.
    pub cold_start: bool,
    /// How the project stands.
    pub status: Arc<Status>,
    /// Whether the map is there.
    pub map: Arc<FindMap>,
    /// Computes the map.
    pub make_map: Arc<Learn>,
    /// What is like an image.
    pub alike: Arc<Alike>,
}

/// A project that is served.
pub struct App {
    folder: PathBuf,
    gate: Gate,
    /// The path below which a proxy shows the page.
    base: String,
    /// Who labels, as far as the program was told.
    pub(crate) person: Option<String>,
    pub(crate) work: Work,
    /// Connections that nobody uses at the moment.
    idle: Mutex<Vec<Project>>,
    /// Held by whoever writes. SQLite would let writers wait too, but not in the order in which
    /// they came.
    writing: Mutex<()>,
    /// Gestures that wait to be written, with the place of what becomes of each.
    waiting: Mutex<Vec<(Answers, Arc<Outcome>)>>,
    pub(crate) training: Arc<Training>,
    /// The map that is being computed.
    pub(crate) mapping: Arc<Training>,
    pub(crate) selections: Selections,
    pub(crate) decoders: Decoders,
}

/// What becomes of a gesture, once it is written or refused.
type Outcome = Mutex<Option<Answer<Answered>>>;

/// More idle connections than cores are of no use.
const IDLE: usize = 16;

impl App {
    /// Opens the project in `folder`, shown below the path `base`.
    ///
    /// # Errors
    /// A folder that holds no project, or one that cannot be opened.
    pub fn open(folder: &Path, gate: Gate, base: String, person: Option<String>, work: Work) -> Result<Self> {
        let project = Project::open(folder)?;
        let folder = project.folder().to_path_buf();
        Ok(Self {
            decoders: Decoders::default(),
            folder,
            gate,
            base,
            person,
            work,
            idle: Mutex::new(vec![project]),
            writing: Mutex::default(),
            waiting: Mutex::default(),
            training: Arc::default(),
            mapping: Arc::default(),
            selections: Selections::default(),
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

    /// Writes the answers of a gesture. Whoever comes while another writes waits, and the next one
    /// writes for all who wait: ten persons wait for the disk once, not ten times.
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
        // Both first: one may wait for the other.
        self.mapping.stop();
        self.training.end();
        self.mapping.end();
    }

    /// Answers a request that was admitted by `work`.
    fn respond(&self, request: &Request, work: Handler) -> Response {
        // Asked again, so that no way leads past it.
        let response = match self.gate.admit(&request.head) {
            // Below a path without its last slash, every link of the page would lead elsewhere.
            Ok(Entry::Open(_)) if request.head.root != "./" && is_read(&request.head.method) => {
                Response::empty(308).with("Location", request.head.root.clone())
            }
            Ok(Entry::Open(_)) => work(self, request).unwrap_or_else(|failure| failure.response()),
            Ok(Entry::Keep) => self.gate.keep(&request.head),
            Err(refusal) => return self.refused(&request.head, &refusal),
        };
        seal(response, false)
    }

    fn refused(&self, head: &Head, refusal: &Refusal) -> Response {
        let failure = Failure::new(refusal.status, Error::input(refusal.what).hint(refusal.hint));
        // Whoever opened an address by hand reads a page; a script reads JSON.
        let by_hand = is_read(&head.method)
            && head.path.first().is_none_or(|part| part != "api")
            && head.header("accept").is_some_and(|accept| accept.contains("text/html"));
        let form = by_hand && refusal.status == 401 && head.path.is_empty();
        seal(if by_hand { failure.page(form.then_some(&head.root)) } else { failure.response() }, form)
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

    fn base_path(&self) -> &str {
        &self.base
    }

    fn refuse(&self, status: u16, what: &str, hint: &str) -> Response {
        seal(Failure::new(status, Error::input(what).hint(hint)).response(), false)
    }
}

/// A function that answers. It may block.
type Handler = fn(&App, &Request) -> Answer;

/// Which function answers which address.
pub(crate) fn router(app: &Arc<App>) -> Router {
    use MethodFilter as M;
    let route = |method, work: Handler| -> MethodRouter<Arc<App>> {
        on(method, move |State(app), params: RawPathParams, request| {
            let id = params.iter().next().map(|(_, id)| id.to_owned());
            answer(app, id, request, work)
        })
    };
    Router::new()
        .route("/", route(M::GET, |_, _| Ok(assets::index())))
        .route("/assets/{name}", route(M::GET, assets::show))
        .route("/image/{id}", route(M::GET, files::original))
        .route("/thumb/{id}", route(M::GET, files::thumb))
        .route("/api/project", route(M::GET, project::show))
        .route("/api/settings", route(M::PUT, project::change_settings))
        .route("/api/classes", route(M::POST, classes::add))
        .route("/api/classes/{id}", route(M::PATCH, classes::change))
        .route("/api/classes/{id}", route(M::DELETE, classes::delete))
        .route("/api/classes/{id}/split", route(M::POST, classes::split))
        .route("/api/classes/{id}/merge", route(M::POST, classes::merge))
        .route("/api/classes/{id}/guide", route(M::PUT, classes::describe))
        .route("/api/classes/{id}/examples", route(M::POST, classes::pin))
        .route("/api/next", route(M::GET, questions::next))
        .route("/api/answers", route(M::POST, answers::add))
        .route("/api/undo", route(M::POST, answers::undo))
        .route("/api/images", route(M::GET, images::list))
        .route("/api/images/{id}", route(M::GET, images::detail))
        .route("/api/images/{id}/note", route(M::PUT, images::note))
        .route("/api/map", route(M::GET, map::show))
        .route("/api/map", route(M::POST, map::make))
        .route("/api/map/points", route(M::GET, map::points))
        .route("/api/map/colours", route(M::GET, map::colours))
        .route("/api/map/changes", route(M::GET, map::changes))
        .route("/api/selections", route(M::POST, map::select))
        .route("/api/review", route(M::GET, review::list))
        .route("/api/duplicates", route(M::GET, review::duplicates))
        .route("/api/status", route(M::GET, project::status))
        .route("/api/train", route(M::POST, project::train))
        .route("/api/train/stop", route(M::POST, project::stop))
        .route("/api/pulse", route(M::GET, project::pulse))
        .route("/api/import", route(M::POST, exchange::import))
        .route("/api/export", route(M::GET, exchange::export))
        .method_not_allowed_fallback(|State(app), request| {
            answer(app, None, request, |_, request| Err(Failure::not_allowed(&request.head.method)))
        })
        .fallback(|State(app), request| {
            answer(app, None, request, |_, Request { head, .. }| {
                let which = format_args!("{} /{}", head.method, head.path.join("/"));
                Err(Failure::missing("address", which))
            })
        })
        .with_state(Arc::clone(app))
}

/// Answers on a thread that may block. A panic there is an answer too.
async fn answer(
    app: Arc<App>,
    id: Option<String>,
    mut request: axum::extract::Request,
    work: Handler,
) -> Response {
    let mut request = request.extensions_mut().remove::<Request>().unwrap_or_default();
    request.id = id.unwrap_or_default();
    let same = Arc::clone(&app);
    spawn_blocking(move || app.respond(&request, work)).await.unwrap_or_else(|_| {
        same.refuse(
            500,
            "the server made a mistake on this request",
            "what was saved is kept; go on, and report what you did",
        )
    })
}
