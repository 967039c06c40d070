//! The part that waits and writes.

use std::io::{self, Write};

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::super::{Screen as Output, Told, show};
use super::*;

/// Tells each write to a test; fails once the test listens no longer.
struct Writes(mpsc::Sender<String>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let told = self.0.try_send(text);
        told.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows events on a screen; the senders' and the reader's end.
fn showing() -> (
    mpsc::Sender<Told>,
    mpsc::Receiver<String>,
    impl Future<Output = io::Result<()>>,
) {
    let (tell, told) = mpsc::channel(16);
    let (writes, written) = mpsc::channel(1_000);
    let task = async move {
        let output = Output {
            out: &mut Writes(writes),
            size: &|| WIDE,
            began: Instant::now(),
        };
        show(View::terminal(false), told, output).await
    };
    (tell, written, task)
}

#[tokio::test]
async fn time_goes_on_while_nothing_happens_and_the_end_leaves_nothing_painted() {
    let (tell, mut written, task) = showing();
    let watch = async move {
        let at = Duration::ZERO;
        for event in [four_steps(), started(1)] {
            tell.send(Told { at, event }).await.unwrap();
        }
        let mut screen = Screen::new(WIDE);
        while !screen.text().contains("Test 0.2 s") {
            let text = timeout(Duration::from_secs(20), written.recv()).await;
            screen.write(&text.unwrap().unwrap());
        }
        drop(tell);
        while let Some(text) = written.recv().await {
            screen.write(&text);
        }
        screen.text()
    };
    let (result, screen) = tokio::join!(task, watch);
    result.unwrap();
    assert_eq!(screen, "▌ branches › main · 1a2b3c4d5e6f · 4 steps");
}

#[tokio::test]
async fn it_ends_when_nobody_takes_the_output() {
    let (tell, written, task) = showing();
    drop(written);
    let at = Duration::ZERO;
    let event = four_steps();
    tell.send(Told { at, event }).await.unwrap();
    let error = task.await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(tell.is_closed());
}
