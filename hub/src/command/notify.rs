//! `notify`: what a plain git server's `post-receive` runs.
//!
//! It reads git's lines, signs them with the repository's key, and posts them to the hub over TLS that is
//! verified against the one CA in the hook file. What the hub answers is what `git push` shows as
//! `remote:` lines. It never takes longer than [`TIME_MAX`]: somebody waits for a push to return.

mod git;
mod hook_file;
mod send;

use std::io::{self, BufRead, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use data_encoding::BASE64URL_NOPAD;

use super::ask::print;
use crate::clock::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use crate::config;
use crate::hook::{self, BODY_BYTES_MAX, PushAnswer, PushReport, REFS_MAX, RefUpdate, Signed};
use crate::plain_text::one_line;

pub(super) use hook_file::HookFile;

/// How long all of it may take. The hub answers within 5 s, or says that it goes on reading.
const TIME_MAX: Duration = Duration::from_secs(15);

/// Longest input, in bytes. A mirror push of ten thousand refs fits; of the rest only the count is lost.
const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest line that is shown, in bytes, and most of them.
const LINE_BYTES_MAX: usize = 500;
const LINES_MAX: usize = 400;

#[derive(Debug, Args)]
pub(super) struct Notify {
    /// The file that `repo add` wrote
    file: PathBuf,
}

impl Notify {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let answer = tokio::time::timeout(TIME_MAX, self.tell()).await;
        let secs = TIME_MAX.as_secs();
        let answer = answer
            .with_context(|| format!("the hub was not told within {secs} s"))
            .flatten()
            .context("your push was received, but the hub does not know of it")?;
        for line in answer.lines.iter().take(LINES_MAX) {
            let line = one_line(line, LINE_BYTES_MAX);
            print(format_args!("cofferdam: {line}\n"))?;
        }
        Ok(())
    }

    async fn tell(self) -> anyhow::Result<PushAnswer> {
        let file = HookFile::read(&self.file)?;
        // Whoever runs the hook closes its input; reading must not hold up the deadline all the same.
        let updates = tokio::task::spawn_blocking(|| read_updates(io::stdin().lock())).await??;
        if updates.is_empty() {
            return Ok(PushAnswer {
                lines: Vec::new(),
                builds: Vec::new(),
            });
        }
        let body = serde_json::to_vec(&report(updates).await)?;
        if body.len() > BODY_BYTES_MAX {
            bail!("the names of the pushed refs are too long");
        }
        let time = SystemClock.now().as_second().to_string();
        let nonce = BASE64URL_NOPAD.encode(&SystemEntropy.secret());
        let signed = Signed {
            repository: &file.repository,
            time: &time,
            nonce: &nonce,
            body: &body,
        };
        let headers = [
            (hook::TIME_HEADER, time.clone()),
            (hook::NONCE_HEADER, nonce.clone()),
            (hook::SIGNATURE_HEADER, signed.sign(&file.key)),
        ];
        send::post(&file, &hook::path(&file.repository), headers, body).await
    }
}

/// The lines `OLD NEW REF` that git gives to `post-receive` (githooks(5)).
fn read_updates(input: impl BufRead) -> anyhow::Result<Vec<RefUpdate>> {
    let mut text = String::new();
    input
        .take(INPUT_BYTES_MAX)
        .read_to_string(&mut text)
        .context("could not read what was pushed from standard input")?;
    let mut updates = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (old, new, reference) = (words.next(), words.next(), words.next());
        let (Some(old), Some(new), Some(reference)) = (old, new, reference) else {
            bail!("standard input is not what git gives to post-receive: OLD NEW REF");
        };
        updates.push(RefUpdate {
            reference: reference.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        });
    }
    Ok(updates)
}

/// What is sent. A tag's own object is looked through to the commit that it names. Of a push that runs
/// nothing because it is too large, a few refs more than the limit say so.
async fn report(mut updates: Vec<RefUpdate>) -> PushReport {
    updates.retain(|update| !update.is_deletion());
    updates.truncate(hook::UPDATES_MAX);
    if updates.len() <= REFS_MAX {
        let git_dir = config::hook_git_dir();
        for update in &mut updates {
            if update.reference.starts_with("refs/tags/")
                && let Some(commit) = git::commit_of(&update.new, git_dir.as_deref()).await
            {
                update.new = commit;
            }
        }
    } else {
        for update in &mut updates {
            // Their names could be longer than a report may be, and nobody reads them.
            "refs/heads/many".clone_into(&mut update.reference);
        }
    }
    PushReport { updates }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_s_lines_are_read_as_they_are_and_others_refused() {
        let read = |text: &str| read_updates(text.as_bytes());
        let updates = read("0 1 refs/heads/main\n1 2 refs/heads/a b\n").unwrap();
        assert_eq!(updates[1].reference, "refs/heads/a b");
        assert_eq!(
            (updates[0].old.as_str(), updates[0].new.as_str()),
            ("0", "1")
        );
        assert!(read("").unwrap().is_empty());
        for bad in ["\n", "0 1\n", "word\n"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read_updates(&b"\xff\xfe 1 refs\n"[..]).is_err());
    }

    #[tokio::test]
    async fn a_huge_push_is_reported_within_the_bound() {
        let update = |number: usize| RefUpdate {
            reference: format!("refs/heads/{}{number}", "x".repeat(400)),
            old: "0".repeat(40),
            new: "1".repeat(40),
        };
        let report = report((0..1000).map(update).collect()).await;
        assert!(report.updates.len() > REFS_MAX);
        assert!(serde_json::to_vec(&report).unwrap().len() <= BODY_BYTES_MAX);
    }
}
