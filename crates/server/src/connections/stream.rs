//! A bound on waiting for clients to take their answers, which hyper does not have.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a client that cannot take its answer at once has to take of it.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// A stream whose writes fail when the other side takes too little for too long. Without it, a client that never
/// reads its answer, or one byte of it now and then, holds a connection, and the answer, for ever.
#[derive(Debug)]
pub(super) struct ImpatientStream<S> {
    stream: S,
    period: Duration,
    /// Runs from the first write of an answer that had to wait until all of the answer is taken.
    stalled: Option<Stalled>,
}

#[derive(Debug)]
struct Stalled {
    end: Pin<Box<Sleep>>,
    /// Bytes taken in this period.
    taken: u64,
}

impl<S> ImpatientStream<S> {
    /// `period` is how often it is looked at what was taken.
    pub(super) fn new(stream: S, period: Duration) -> Self {
        Self { stream, period, stalled: None }
    }

    fn bounded(
        &mut self,
        ctx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let period = self.period;
        if let Poll::Ready(written) = written {
            if let (Some(stalled), Ok(n_bytes)) = (&mut self.stalled, &written) {
                stalled.taken = stalled.taken.saturating_add(*n_bytes as u64);
            }
            return Poll::Ready(written);
        }
        let stalled = self.stalled.get_or_insert_with(|| Stalled { end: Box::pin(sleep(period)), taken: 0 });
        while stalled.end.as_mut().poll(ctx).is_ready() {
            let required = u128::from(MIN_BYTES_PER_SECOND) * period.as_millis() / 1000;
            if u128::from(stalled.taken) < required.max(1) {
                let message = "the client does not take its answer";
                return Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, message)));
            }
            stalled.taken = 0;
            let end = stalled.end.deadline() + period;
            stalled.end.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ImpatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(ctx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ImpatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(ctx, buffer);
        self.bounded(ctx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(ctx, buffers);
        self.bounded(ctx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Everything was taken: hyper flushes when it has nothing more to write.
        self.stalled = None;
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(4);
    const REQUIRED: usize = 4 * 1024;
    const MOMENT: Duration = Duration::from_millis(1);

    /// Writes an answer to a client that takes so many bytes after each so long.
    async fn answer(n_bytes: usize, each: usize, pause: Duration) -> io::Result<Duration> {
        // Smaller than what is taken at a time, so that taking is seen at once.
        let (server, mut client) = duplex(16);
        let client = tokio::spawn(async move {
            let mut buffer = vec![0; each];
            loop {
                tokio::time::sleep(pause).await;
                if client.read_exact(&mut buffer).await.is_err() {
                    return;
                }
            }
        });
        let mut stream = ImpatientStream::new(server, PERIOD);
        let start = Instant::now();
        let written = async {
            stream.write_all(&vec![0; n_bytes]).await?;
            stream.flush().await
        };
        let written = written.await;
        client.abort();
        written.map(|()| start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_to_take_a_kibibyte_a_second() {
        // Shortly before each look.
        let pause = PERIOD.saturating_sub(MOMENT);
        for (each, is_served) in [(REQUIRED + 16, true), (REQUIRED - 17, false), (1, false)] {
            let answered = answer(REQUIRED * 5, each, pause).await;
            assert_eq!(answered.is_ok(), is_served, "{each}: {answered:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_one_period() {
        for (pause, is_served) in [(PERIOD.saturating_sub(MOMENT), true), (PERIOD + MOMENT, false)] {
            let answered = answer(1024, 1024, pause).await;
            assert_eq!(answered.is_ok(), is_served, "{pause:?}: {answered:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_has_its_own_time() {
        let (server, mut client) = duplex(16);
        let mut stream = ImpatientStream::new(server, PERIOD);
        for _ in 0..3 {
            let taken = async {
                tokio::time::sleep(PERIOD.saturating_sub(MOMENT)).await;
                client.read_exact(&mut [0; 32]).await
            };
            let written = async {
                stream.write_all(&[0; 32]).await?;
                stream.flush().await
            };
            let (written, taken) = tokio::join!(written, taken);
            written.unwrap();
            taken.unwrap();
        }
    }
}
