//! The labelling page: a web server on this machine over a labelling project.
//!
//! Rooms: [`http`] lets connections in and reads requests; [`auth`] says who may ask; [`app`] leads a request to the
//! function that answers it; `api/` has these functions; [`files`] shows images; [`training`] works in the
//! background; [`assets`] is the page itself. All that is known of a project is in `vabal::project`: nothing here
//! writes SQL, trains or chooses, and nothing prints.

pub mod app;
pub mod assets;
pub mod auth;
pub mod error;
pub mod files;
pub mod http;
pub mod training;

mod api;

use std::net::{TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;
use vabal::{Error, Result};

pub use app::{App, Work};

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
    /// The token; one of 128 random bits where there is none.
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
    local: bool,
}

impl Server {
    /// Binds to the port and opens the project.
    ///
    /// # Errors
    /// A host or port that cannot be bound to, a project that cannot be opened.
    pub fn bind(options: Options, work: Work) -> Result<Self> {
        let token = match options.token {
            Some(token) if token.len() < 16 => {
                return Err(Error::input("the token is too short")
                    .expected("16 characters or more")
                    .got(token.len())
                    .hint("leave it out: each start makes one of its own")
                    .into());
            }
            Some(token) => token,
            None => auth::token()?,
        };
        let listener = listen(&options.host, options.port)?;
        let bound = listener.local_addr().map_err(Error::io("listen at", &options.host))?;
        let host = options.host.trim_start_matches('[').trim_end_matches(']');
        let shown = match bound.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "[::1]".to_owned(),
            _ if host.contains(':') => format!("[{host}]"),
            _ => host.to_owned(),
        };
        let address = format!("http://{shown}:{}/?token={token}", bound.port());
        let gate = auth::Gate::new(token, host, bound.port());
        let app = Arc::new(App::open(&options.project, gate, options.person, work)?);
        let runtime = http::runtime().map_err(Error::io("listen at", &options.host))?;
        Ok(Self { runtime, listener, app, address, local: bound.ip().is_loopback() })
    }

    /// Where a browser finds the page, with the token.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// What answers.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers until `stop` says so; then finishes the answers at hand, and stops a training that is under way.
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

fn listen(host: &str, port: Option<u16>) -> Result<TcpListener> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ports = match port {
        Some(port) => port..=port,
        None => PORT..=PORT + PORTS,
    };
    let mut refused = None;
    for port in ports.clone() {
        let addresses = (bare, port).to_socket_addrs().map_err(|error| {
            Error::from(
                Error::input("the host is not known")
                    .at("--host")
                    .expected("a name or address of this machine")
                    .got(format!("{host}: {error}"))
                    .hint("leave --host out to serve this machine alone, or give 0.0.0.0 for every address of it"),
            )
        })?;
        match TcpListener::bind(addresses.collect::<Vec<_>>().as_slice()) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = Some(error),
        }
    }
    let what = match port {
        Some(port) => format!("the port {port} cannot be used"),
        None => format!("none of the ports {PORT} to {} can be used", PORT + PORTS),
    };
    let complaint = Error::input(what).at(host);
    let complaint = match refused {
        Some(error) => complaint.got(error),
        None => complaint,
    };
    Err(complaint.hint("give another with --port, or --port 0 for any that is free; check --host").into())
}
