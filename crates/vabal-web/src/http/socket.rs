//! A connection's socket as hyper reads and writes it, which tells the room what the other side
//! takes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::room::Phase;
use super::server::Seat;

/// What is read at once, in bytes.
const PIECE: usize = 16 << 10;
/// What is read for nobody at the end, in bytes, so that whoever sends a body that is refused comes
/// to read why.
const UNWANTED: usize = 4 << 20;

pub(super) struct Socket {
    stream: TcpStream,
    seat: Arc<Seat>,
    /// What is left of that.
    unwanted: usize,
}

impl Socket {
    pub fn new(stream: TcpStream, seat: Arc<Seat>) -> Self {
        Self { stream, seat, unwanted: UNWANTED }
    }

    fn told(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        self.seat.took();
        Poll::Ready(written)
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; PIECE];
        let mut piece = ReadBuf::new(&mut bytes[..PIECE.min(into.remaining())]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
        into.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.told(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bytes));
        self.told(written)
    }

    /// With it, hyper writes an answer from where it is; without, from a copy.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called when all that was to be written is with the system.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.seat.is(Phase::Answer) {
            self.seat.begin(Phase::Head);
            // The next request may wait for this, in the same task.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Ends a connection on which more may be coming: closed at once, the system would throw away
    /// the answer too.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.seat.is(Phase::End) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.seat.begin(Phase::End);
        }
        while self.unwanted > 0 {
            let mut bytes = [0; PIECE];
            let mut piece = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                break;
            }
            self.unwanted = self.unwanted.saturating_sub(piece.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}
