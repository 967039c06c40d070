//! A step's bytes on their way to a file and to whoever looks on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cofferdam_protocol::Origin;

use super::Teller;
use crate::log::LogSink;
use crate::mask::{MaskedStream, Masks};
use crate::view::Event;

/// The log of one step of a local build.
#[derive(Debug)]
pub(super) struct LocalLog {
    index: u16,
    told: Teller,
    /// `None` when it could not be made, or a write has failed: the log is then on the terminal only.
    file: Mutex<Option<File>>,
    masks: Arc<Masks>,
    /// Standard output and standard error each have their own bytes held back.
    streams: Mutex<BTreeMap<Origin, MaskedStream>>,
}

impl LocalLog {
    pub(super) fn new((index, told): (u16, Teller), file: Option<File>, masks: Arc<Masks>) -> Self {
        Self {
            index,
            told,
            file: Mutex::new(file),
            masks,
            streams: Mutex::default(),
        }
    }

    /// Shows what was held back because it might have been the beginning of a secret. To be called when whoever writes is
    /// done.
    pub(super) async fn finish(&self) {
        let streams = std::mem::take(&mut *lock(&self.streams));
        for (origin, mut stream) in streams {
            let rest = stream.finish(&self.masks);
            self.show(origin, rest).await;
        }
    }

    async fn show(&self, origin: Origin, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.keep(&bytes);
        let index = self.index;
        let said = Event::Log {
            index,
            origin,
            bytes,
        };
        self.told.tell(said).await;
    }

    /// A local disk takes a piece of a log faster than a thread for it would start.
    fn keep(&self, bytes: &[u8]) {
        let mut file = lock(&self.file);
        if let Some(open) = file.as_mut()
            && let Err(error) = open.write_all(bytes)
        {
            tracing::warn!(step = self.index, %error, "a log file ends here");
            *file = None;
        }
    }
}

#[async_trait]
impl LogSink for LocalLog {
    async fn write(&self, origin: Origin, bytes: &[u8]) {
        let shown = lock(&self.streams)
            .entry(origin)
            .or_default()
            .take(&self.masks, bytes);
        self.show(origin, shown).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
