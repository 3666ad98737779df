//! Accepts connections, hands them to hyper, admits requests before their bodies are read, and ends
//! in good order.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{io, result};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tower_service::Service as _;

use super::room::{KNOWN, Phase, Room};
use super::socket::Socket;
use super::{Head, Request, Response, Service};

/// The most bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// The most bytes that hyper reads or writes ahead on one connection. A head up to here is refused
/// with a hint, a larger one without.
const AHEAD: usize = 64 << 10;
/// How long a body may take.
const BODY: Duration = Duration::from_secs(300);
/// How long nothing of a body may come.
const STILL: Duration = Duration::from_secs(30);
/// How long connections get to finish their answers at the end.
const FINISH: Duration = Duration::from_secs(10);
/// How often the wish to end is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often what is due is looked at.
const TICK: Duration = Duration::from_secs(1);

/// One thread for all connections, and for each that may ask one more to answer on.
///
/// # Errors
/// The system gives no file descriptors or threads.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("answer")
        .max_blocking_threads(KNOWN + 1)
        .build()
}

/// What the tasks of a server share.
struct Shared {
    room: Mutex<Room<AbortHandle>>,
    service: Arc<dyn Service>,
    router: Router,
    closing: AtomicBool,
}

/// The place of one connection in the room, given back however its task ends.
pub(super) struct Seat {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.room().leave(self.number);
    }
}

impl Seat {
    pub fn begin(&self, phase: Phase) {
        self.shared.room().begin(self.number, phase, Instant::now());
    }

    pub fn is(&self, phase: Phase) -> bool {
        self.shared.room().is(self.number, phase)
    }

    pub fn took(&self) {
        self.shared.room().took(self.number, Instant::now());
    }
}

/// Answers on `listener` until `stop` says so, and calls `tick` about once a second, never twice at
/// once; then lets the answers at hand be finished, for some seconds.
pub fn run(
    runtime: Runtime,
    listener: TcpListener,
    service: Arc<dyn Service>,
    router: Router,
    stop: &dyn Fn() -> bool,
    tick: &(impl Fn() + Clone + Send + 'static),
) {
    let shared =
        Arc::new(Shared { room: Mutex::default(), service, router, closing: AtomicBool::new(false) });
    runtime.block_on(async {
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener));
        let (mut looked, mut ticking): (_, Option<JoinHandle<()>>) = (Instant::now(), None);
        while !stop() && !accepting.is_finished() {
            sleep(LOOK).await;
            if looked.elapsed() < TICK {
                continue;
            }
            looked = Instant::now();
            let overdue = shared.room().overdue(looked);
            overdue.iter().for_each(AbortHandle::abort);
            if ticking.as_ref().is_none_or(JoinHandle::is_finished) {
                ticking = Some(spawn_blocking(tick.clone()));
            }
        }
        accepting.abort();
        shared.closing.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        while !shared.room().is_empty() && begun.elapsed() < FINISH {
            let resting = shared.room().resting();
            resting.iter().for_each(AbortHandle::abort);
            sleep(Duration::from_millis(5)).await;
        }
    });
    // Waits for what is being written, longer than that for nothing.
    runtime.shutdown_timeout(FINISH);
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
    let Ok(listener) = listener else { return };
    for number in 0_u64.. {
        let gone = match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are written whole; waiting for more to send costs 40 ms.
                let _ = stream.set_nodelay(true);
                let seat = Seat { shared: Arc::clone(&shared), number };
                // On the one thread there is, the task does not begin before it has its place.
                let task = tokio::spawn(serve(stream, Arc::new(seat))).abort_handle();
                shared.room().enter(number, task, Instant::now())
            }
            Err(_) => {
                // Out of file descriptors, or the other side left at once.
                let gone = shared.room().make_room();
                sleep(LOOK).await;
                gone
            }
        };
        gone.iter().for_each(AbortHandle::abort);
    }
}

async fn serve(stream: TcpStream, seat: Arc<Seat>) {
    let socket = Socket::new(stream, Arc::clone(&seat));
    let service = service_fn(move |request| respond(Arc::clone(&seat), request));
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(AHEAD)
        .serve_connection(socket, service);
    // Its errors are the other side's, which has left or is refused.
    let _ = connection.await;
}

async fn respond(seat: Arc<Seat>, request: hyper::Request<Incoming>) -> io::Result<axum::response::Response> {
    // A request that was sent before the last answer was read waits until it is.
    poll_fn(|_| if seat.is(Phase::Answer) { Poll::Pending } else { Poll::Ready(()) }).await;
    let shared = &seat.shared;
    let (parts, body) = request.into_parts();
    let (mut response, mut last) = match receive(&seat, parts, body).await {
        Ok(request) => {
            seat.begin(Phase::Work);
            let answered: result::Result<_, Infallible> = shared.router.clone().call(request).await;
            (answered.unwrap_or_else(|never| match never {}), false)
        }
        Err(End::Quiet) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(End::Refused(refusal, last)) => (refusal.into_response(), last),
    };
    last |= shared.closing.load(Ordering::SeqCst);
    if last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let bytes = response.body().size_hint().exact().unwrap_or_default();
    let gone =
        shared.room().answer(seat.number, usize::try_from(bytes).unwrap_or(usize::MAX), Instant::now());
    gone.iter().for_each(AbortHandle::abort);
    Ok(response)
}

/// Why no request came.
enum End {
    /// The other side left.
    Quiet,
    /// It is refused; and whether that is the connection's end.
    Refused(Box<Response>, bool),
}

/// The request with its body, once both are let in.
async fn receive(seat: &Seat, mut parts: Parts, mut body: Incoming) -> Result<axum::extract::Request, End> {
    let shared = &seat.shared;
    let refuse = |status, what: &str, hint: &str| {
        End::Refused(Box::new(shared.service.refuse(status, what, hint)), true)
    };
    let head = head(&mut parts, shared.service.base_path()).ok_or_else(|| {
        refuse(400, "the address of the request cannot be read", "ask for a path such as /api/project")
    })?;
    let bytes = head.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    if bytes + parts.uri.path().len() + parts.uri.query().map_or(0, str::len) > MAX_HEAD_BYTES {
        return Err(refuse(431, "the head of the request is too large", "remove cookies of this host"));
    }
    let Some(length) = body.size_hint().exact() else {
        return Err(refuse(411, "a body of unknown length is not taken", "send it with its Content-Length"));
    };
    let limit = shared.service.admit(&head).map_err(|response| {
        // A small body may have come whole already, which hyper passes over.
        End::Refused(response, length > AHEAD as u64)
    })?;
    if !shared.room().recognise(seat.number) {
        return Err(refuse(503, "too many connections are open", "close pages that nobody uses; try again"));
    }
    if length > limit as u64 {
        if limit == 0 {
            return Err(refuse(413, "a request of this kind has no body", "send it without one"));
        }
        let what = format!("the request is larger than {} MiB", limit >> 20);
        return Err(refuse(413, &what, "send it in parts"));
    }
    seat.begin(Phase::Body);
    let (begun, mut bytes) = (Instant::now(), Vec::new());
    while !body.is_end_stream() {
        let left = BODY.saturating_sub(begun.elapsed()).min(STILL);
        match timeout(left, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await {
            Ok(Some(Ok(frame))) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Ok(Some(Err(_))) => return Err(End::Quiet),
            Ok(None) => break,
            Err(_) => return Err(refuse(408, "the body of the request did not come", "try again")),
        }
    }
    let mut request = hyper::Request::from_parts(parts, Body::empty());
    let body = Bytes::from(bytes);
    request.extensions_mut().insert(Request { head, id: String::new(), body });
    Ok(request)
}

/// The head of a request, whose target lies below `base` or not; what is routed is what lies below.
fn head(parts: &mut Parts, base: &str) -> Option<Head> {
    let target = parts.uri.path_and_query().filter(|_| parts.uri.authority().is_none())?;
    let headers = parts.headers.iter().map(|(name, value)| {
        // Bytes beyond ASCII are shown as they are in Latin-1; no header that is looked at has any.
        let value = value.as_bytes().iter().map(|&byte| byte as char).collect::<String>();
        (name.as_str().to_owned(), value.trim().to_owned())
    });
    let (head, below) = Head::below(base, parts.method.as_str(), target.as_str(), headers.collect())?;
    parts.uri = below.parse().ok()?;
    Some(head)
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Room<AbortHandle>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
