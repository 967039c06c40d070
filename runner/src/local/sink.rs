//! A step's bytes on their way to a file and to whoever looks on.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use cofferdam_protocol::Origin;

use super::Teller;
use crate::log::LogSink;
use crate::view::Event;

/// The log of one step of a local build.
#[derive(Debug)]
pub(super) struct LocalLog {
    index: u16,
    told: Teller,
    /// `None` when it could not be made, or a write has failed: the log is then on the terminal only.
    file: Mutex<Option<File>>,
}

impl LocalLog {
    pub(super) fn new(index: u16, told: Teller, file: Option<File>) -> Self {
        Self {
            index,
            told,
            file: Mutex::new(file),
        }
    }

    /// A local disk takes a piece of a log faster than a thread for it would start.
    fn keep(&self, bytes: &[u8]) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.keep(bytes);
        let said = Event::Log {
            index: self.index,
            origin,
            bytes: bytes.to_vec(),
        };
        self.told.tell(said).await;
    }
}
