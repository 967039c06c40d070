//! The only part that waits and writes: a channel of events and a tick, to a writer.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::event::Event;
use super::{Size, View};

/// How often a terminal is painted: often enough for a tenth of a second to be seen going by.
const TICK: Duration = Duration::from_millis(100);

/// Events that are taken at once, so that a step that writes a lot costs few writes.
const EVENTS_AT_ONCE_MAX: usize = 256;

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How long after the run began.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// Where a view appears.
pub struct Screen<'a> {
    /// Takes the text. It may block: a terminal that the user stopped does, and then steps wait too, as in
    /// every pipe.
    pub out: &'a mut (dyn Write + Send),
    /// Its size now; asked again for every painting, so a change of the window needs no signal.
    pub size: &'a (dyn Fn() -> Size + Sync),
    /// When the run began.
    pub began: Instant,
}

impl std::fmt::Debug for Screen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

/// Shows a run until the last sender of its events is gone, then leaves the screen tidy.
///
/// Ends early where nobody takes the output any more; the channel is closed then, and whether the run goes
/// on is the caller's choice. If it is dropped, what was painted stays on the terminal.
pub async fn show(
    mut view: View,
    mut events: Receiver<Told>,
    screen: Screen<'_>,
) -> io::Result<()> {
    let Screen { out, size, began } = screen;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Vec::with_capacity(EVENTS_AT_ONCE_MAX);
    loop {
        let text = tokio::select! {
            // First, so that a flood of events does not stop the clock.
            biased;
            _ = tick.tick() => view.tick(began.elapsed(), size()),
            taken = events.recv_many(&mut told, EVENTS_AT_ONCE_MAX) => {
                if taken == 0 {
                    break;
                }
                let size = size();
                told.drain(..)
                    .map(|Told { at, event }| view.apply(at, &event, size))
                    .collect()
            }
        };
        write(out, &text)?;
    }
    let text = view.close(size());
    write(out, &text)
}

fn write(out: &mut (dyn Write + Send), text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The size of the terminal behind a descriptor, or what one has that does not tell.
pub fn size_of(terminal: impl AsFd) -> Size {
    match rustix::termios::tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size {
            columns: size.ws_col,
            rows: size.ws_row,
        },
        _ => Size::UNKNOWN,
    }
}
