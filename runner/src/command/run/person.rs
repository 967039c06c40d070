//! Whoever sits at the terminal, and answers for manual steps.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use async_trait::async_trait;

use crate::local::Asked;
use crate::text::printable;

/// There is somebody if standard input and standard error are a terminal.
#[derive(Debug)]
pub(super) struct Person {
    /// Whether the view shows the question where the person sees it; else it goes to standard error.
    pub(super) sees_the_view: bool,
}

#[async_trait]
impl Asked for Person {
    fn is_there(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    async fn may_start(&self, step: &str) -> bool {
        let question = format!("start the manual step {:?}? [y/N] ", printable(step));
        let sees_the_view = self.sees_the_view;
        let answered = tokio::task::spawn_blocking(move || {
            if !sees_the_view {
                write!(io::stderr(), "{question}")?;
            }
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            Ok::<_, io::Error>(matches!(answer.trim(), "y" | "Y" | "yes"))
        });
        matches!(answered.await, Ok(Ok(true)))
    }
}
