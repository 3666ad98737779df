//! The labelling page: a web server on this machine over a labelling project.
//!
//! Rooms: `http` lets connections in and reads requests; `reach` knows names, paths and the token;
//! `auth` says who may ask; `app` leads a request to the function that answers it; `api/` has these
//! functions; `files` shows images; `training` works in the background; `selections` keeps images
//! that were chosen together; `assets` is the page itself. All that is known of a project is in
//! `vabal::project`: nothing here writes SQL, trains or chooses, and nothing prints.
//!
//! ```no_run
//! use std::sync::Arc;
//! use vabal::project::map::Stand;
//! use vabal_web::{Options, Server, Work};
//!
//! let options = Options {
//!     project: "steel".into(), // made by `vabal init`
//!     host: "127.0.0.1".into(),
//!     port: None,
//!     allowed: Vec::new(),
//!     base_path: String::new(),
//!     token: None,
//!     person: None,
//! };
//! // A page that only labels. `vabal label` trains and reports here.
//! let work = Work {
//!     learn: Arc::new(|_, _| Ok(())),
//!     map: Arc::new(|_| Ok(Stand::Impossible("no map here".into()))),
//!     make_map: Arc::new(|_, _| Ok(())),
//!     alike: Arc::new(|_, _| Ok(Vec::new())),
//!     cold_start: false,
//!     status: Arc::new(|_| Ok(serde_json::Value::Null)),
//! };
//! let server = Server::bind(options, work)?;
//! println!("{}", server.address());
//! server.run(&|| false);
//! # Ok::<(), vabal::Error>(())
//! ```

mod app;
mod assets;
mod auth;
mod error;
mod files;
mod http;
mod reach;
mod selections;
mod training;

mod api;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;
use vabal::project::Project;
use vabal::{Error, Result};

use app::App;
pub use app::{Learn, Status, Work};

/// The port that is tried first where none is named.
pub const PORT: u16 = 8765;
/// How many ports from there on are tried.
const PORTS: u16 = 32;

/// How to serve a project.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project's folder.
    pub project: PathBuf,
    /// Name or address to bind to.
    pub host: String,
    /// The port; 0 for any that is free, `None` for 8765 or the next that is free.
    pub port: Option<u16>,
    /// Further names that are answered to, those of proxies: `NAME` or `NAME:PORT`.
    pub allowed: Vec<String>,
    /// The path below which a proxy shows the page, such as `/vabal`; empty for none.
    pub base_path: String,
    /// The token; if `None`, the one that is kept in the project's folder.
    pub token: Option<String>,
    /// The person that the page offers as who labels.
    pub person: Option<String>,
}

/// A server that is bound, and answers once it runs.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    app: Arc<App>,
    address: String,
    others: Vec<String>,
    local: bool,
}

impl Server {
    /// Binds to the port and opens the project.
    ///
    /// # Errors
    /// A host or port that cannot be bound to, an invalid name or path, a project that cannot be
    /// opened.
    pub fn bind(options: Options, work: Work) -> Result<Self> {
        let allowed = reach::allowed(&options.allowed)?;
        let base = reach::base_path(&options.base_path)?;
        // Before anything is kept in the folder: it holds a project.
        let id = Project::open(&options.project)?.overview()?.id;
        let token = match options.token {
            Some(token) if token.len() < 16 => {
                return Err(Error::input("the token is too short")
                    .expected("16 characters or more")
                    .got(token.len())
                    .hint("leave it out: the project keeps one of its own")
                    .into());
            }
            Some(token) => token,
            None => reach::token(&options.project)?,
        };
        let listener = reach::listen(&options.host, options.port)?;
        let bound = listener.local_addr().map_err(Error::io("listen at", &options.host))?;
        let host = options.host.trim_start_matches('[').trim_end_matches(']');
        let shown = match bound.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "[::1]".to_owned(),
            _ if host.contains(':') => format!("[{host}]"),
            _ => host.to_owned(),
        };
        let page = |at: &str| format!("{at}{base}/?token={token}");
        let local = bound.ip().is_loopback();
        let mut gate = auth::Gate::new(token.clone(), &id, host);
        let mut others: Vec<String> = allowed.iter().map(|name| page(&format!("https://{name}"))).collect();
        if !local {
            let names = reach::machine_names();
            let address = bound.ip().is_unspecified().then(reach::network_address).flatten();
            let all = address.map(|ip| ip.to_string()).into_iter().chain(names.iter().cloned());
            others.extend(all.map(|name| page(&format!("http://{name}:{}", bound.port()))));
            gate.answer_to(names);
        }
        gate.allow(&allowed);
        let address = page(&format!("http://{shown}:{}", bound.port()));
        let app = Arc::new(App::open(&options.project, gate, base, options.person, work)?);
        let runtime = http::runtime().map_err(Error::io("listen at", &options.host))?;
        Ok(Self { runtime, listener, app, address, others, local })
    }

    /// Where a browser finds the page, with the token.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where others find it: by the names of proxies; and where they can connect, by what this
    /// machine is called in the network, as far as it knows.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Answers until `stop` says so; then finishes the answers at hand, and stops a training that
    /// is under way.
    pub fn run(self, stop: &dyn Fn() -> bool) {
        self.app.consider_training();
        self.app.consider_first_choice();
        let app = Arc::clone(&self.app);
        // What became due while another was under way begins without a further answer.
        let tick = move || app.consider_training();
        let service = Arc::clone(&self.app);
        http::run(self.runtime, self.listener, service, app::router(&self.app), stop, &tick);
        self.app.end();
    }
}
