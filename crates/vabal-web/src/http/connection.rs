//! One connection: requests in order, each read within limits and deadlines, until either side ends it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Head, Request, Response, Service, reason};

/// The most bytes before the body.
const HEAD: usize = 32 << 10;
/// The most headers.
const HEADERS: usize = 100;
/// How long a connection may stay without a request.
const IDLE: Duration = Duration::from_secs(75);
/// How long the head of a request may take from its first byte.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(300);
/// How long one read or write may stand still.
const STILL: Duration = Duration::from_secs(30);
/// A smaller body is sent in one piece with its head, in bytes.
const TOGETHER: usize = 64 << 10;
/// What is read of a body that nobody wants, so that whoever sends it comes to read the refusal.
const UNWANTED: u64 = 4 << 20;

/// Why no request came.
enum End {
    /// The other side left, or said nothing for long.
    Quiet,
    /// Something came that is answered. Where it is not known what follows on the connection, that is its end.
    Refused(Box<Response>, bool),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Quiet
    }
}

/// Answers what comes on `stream` until it ends, or `closing` is set.
pub(super) fn serve(mut stream: TcpStream, service: &dyn Service, closing: &AtomicBool) {
    // Answers are written whole; waiting for more to send costs 40 ms.
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(STILL));
    let mut buffer = Vec::new();
    while !closing.load(Ordering::SeqCst) {
        let (request, keep) = match read(&mut stream, &mut buffer, service) {
            Ok(read) => read,
            Err(End::Quiet) => return,
            Err(End::Refused(response, keep)) => {
                match write(&mut stream, &response, true, keep) {
                    Ok(()) if keep => continue,
                    Ok(()) => _ = linger(&mut stream),
                    Err(_) => {}
                }
                return;
            }
        };
        let keep = keep && !closing.load(Ordering::SeqCst);
        let response = catch_unwind(AssertUnwindSafe(|| service.respond(&request))).unwrap_or_else(|_| {
            service.refuse(
                500,
                "the server made a mistake on this request",
                "what was saved is kept; go on, and report what you did",
            )
        });
        let whole = request.head.method != "HEAD";
        if write(&mut stream, &response, whole, keep).is_err() || !keep {
            return;
        }
    }
}

/// The next request, and whether the connection goes on after it.
fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, service: &dyn Service) -> Result<(Request, bool), End> {
    let refuse =
        |status, what: &str, hint: &str| End::Refused(Box::new(service.refuse(status, what, hint)), false);
    let mut begun = (!buffer.is_empty()).then(Instant::now);
    let (head, version, length) = loop {
        if begun.is_some() {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut parsed = httparse::Request::new(&mut headers);
            match parsed.parse(buffer) {
                Ok(httparse::Status::Complete(length)) => {
                    let head = head(&parsed).ok_or_else(|| {
                        refuse(
                            400,
                            "the address of the request cannot be read",
                            "ask for a path such as /api/project",
                        )
                    })?;
                    break (head, parsed.version.unwrap_or(0), length);
                }
                Ok(httparse::Status::Partial) if buffer.len() < HEAD => {}
                Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                    return Err(refuse(
                        431,
                        "the head of the request is too large",
                        "remove cookies of this host",
                    ));
                }
                Err(_) => {
                    return Err(refuse(400, "this is no HTTP/1.1 request", "open the address with http://"));
                }
            }
        }
        let left = begun.map_or(IDLE, |begun: Instant| HEAD_TIME.saturating_sub(begun.elapsed()));
        if more(stream, buffer, left, HEAD)? == 0 {
            return Err(End::Quiet);
        }
        begun.get_or_insert_with(Instant::now);
    };
    buffer.drain(..length);

    if head.header("transfer-encoding").is_some() {
        return Err(refuse(411, "a body of unknown length is not taken", "send it with its Content-Length"));
    }
    let lengths: Vec<&str> = head.all("content-length").collect();
    let length = match lengths.as_slice() {
        [] => 0,
        [text] if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse::<usize>().unwrap_or(usize::MAX)
        }
        _ => return Err(refuse(400, "the length of the body cannot be read", "send one Content-Length")),
    };
    let connection = head.header("connection").unwrap_or_default().to_ascii_lowercase();
    let keep = version == 1 && !connection.split(',').any(|word| word.trim() == "close");
    let limit = service.admit(&head).map_err(|response| {
        // A body that has come whole already is passed over.
        let whole = length <= buffer.len() && head.method != "HEAD";
        buffer.drain(..length.min(buffer.len()));
        End::Refused(response, keep && whole)
    })?;
    if length > limit {
        let what = format!("the request is larger than {} MiB", limit >> 20);
        return Err(refuse(413, &what, "send it in parts"));
    }
    if length > buffer.len() && head.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue"))
    {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let begun = Instant::now();
    while buffer.len() < length {
        let left = BODY_TIME.saturating_sub(begun.elapsed()).min(STILL);
        let most = (length - buffer.len()).min(1 << 20);
        match more(stream, buffer, left, most) {
            Ok(0) => return Err(End::Quiet),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(refuse(408, "the body of the request did not come", "try again"));
            }
            Err(_) => return Err(End::Quiet),
        }
    }
    let body = buffer.drain(..length).collect();
    Ok((Request { head, body }, keep))
}

fn head(parsed: &httparse::Request<'_, '_>) -> Option<Head> {
    let headers = parsed.headers.iter().map(|header| {
        // Bytes beyond ASCII are shown as they are in Latin-1; no header that is looked at has any.
        let value = header.value.iter().map(|&byte| byte as char).collect::<String>();
        (header.name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Head::new(parsed.method?, parsed.path?, headers.collect())
}

/// Reads at most `most` bytes to the end of `buffer`, and waits no longer than `left`.
fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>, left: Duration, most: usize) -> io::Result<usize> {
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    let old = buffer.len();
    buffer.resize(old + most.min(64 << 10), 0);
    let read = loop {
        match stream.read(&mut buffer[old..]) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    buffer.truncate(old + *read.as_ref().unwrap_or(&0));
    read
}

fn write(stream: &mut TcpStream, response: &Response, whole: bool, keep: bool) -> io::Result<()> {
    let mut out = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status)).into_bytes();
    for (name, value) in &response.headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    // An answer that has no body says no length of one.
    if !matches!(response.status, 204 | 304) {
        out.extend_from_slice(format!("Content-Length: {}\r\n", response.body.len()).as_bytes());
    }
    out.extend_from_slice(if keep {
        b"Connection: keep-alive\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
    if whole && response.body.len() < TOGETHER {
        out.extend_from_slice(&response.body);
    }
    stream.write_all(&out)?;
    if whole && response.body.len() >= TOGETHER { stream.write_all(&response.body) } else { Ok(()) }
}

/// Ends a connection on which more may be coming: closed at once, the system would throw away the answer too.
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let begun = Instant::now();
    let (mut left, mut bytes) = (UNWANTED, [0; 16 << 10]);
    while left > 0 && begun.elapsed() < HEAD_TIME {
        match stream.read(&mut bytes)? {
            0 => break,
            n => left = left.saturating_sub(n as u64),
        }
    }
    Ok(())
}
