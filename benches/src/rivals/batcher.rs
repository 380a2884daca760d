//! Group commit for engines that have none of their own: one thread writes what all that wait have brought.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::Record;

/// At most so many records are made durable at once.
const LARGEST_BATCH: usize = 256;

type Request = (Record, oneshot::Sender<()>);

/// A thread that owns an engine.
pub(crate) struct Batcher {
    requests: Sender<Request>,
    writer: JoinHandle<anyhow::Result<()>>,
}

impl Batcher {
    /// Starts the thread; `write` makes a batch durable.
    pub(crate) fn start(write: impl FnMut(&[Record]) -> anyhow::Result<()> + Send + 'static) -> Self {
        let (requests, receiver) = channel();
        Self { requests, writer: std::thread::spawn(move || run(write, &receiver)) }
    }

    /// What the writers call, each with a clone.
    pub(crate) fn sender(&self) -> BatchSender {
        BatchSender(self.requests.clone())
    }

    /// Ends the thread, once all senders are gone.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self { requests, writer } = self;
        drop(requests);
        writer.join().map_err(|_| anyhow::anyhow!("the thread of a rival panicked"))?
    }
}

/// Hands records to a [`Batcher`].
#[derive(Clone)]
pub(crate) struct BatchSender(Sender<Request>);

impl BatchSender {
    /// Returns when the record is durable.
    pub(crate) async fn publish(&self, record: Record) -> anyhow::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.0.send((record, reply)).ok().context("the thread of a rival has ended")?;
        answer.await.context("the thread of a rival has failed")
    }
}

fn run(
    mut write: impl FnMut(&[Record]) -> anyhow::Result<()>,
    requests: &Receiver<Request>,
) -> anyhow::Result<()> {
    while let Ok(first) = requests.recv() {
        let waiting = std::iter::once(first).chain(requests.try_iter());
        let (records, replies): (Vec<_>, Vec<_>) = waiting.take(LARGEST_BATCH).unzip();
        write(&records)?;
        for reply in replies {
            // Nobody gives up waiting in a benchmark; the record is durable all the same.
            let _ = reply.send(());
        }
    }
    Ok(())
}
