//! `runner`: runners and the tokens that let them in.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use cofferdam_protocol::RunnerId;

use super::ask::{get, post, print, print_json, segment};
use crate::control::view::{MakeToken, RevokedView, RunnerView, TokenView};
use crate::data_dir::write_private;
use crate::plain_text::one_line;

#[derive(Debug, Subcommand)]
pub(super) enum RunnerVerb {
    /// Make a one-time token with which a runner joins
    Token {
        /// A label that the runner gets; may be repeated
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// How long the token works: a number and s, m, h or d
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires: String,
        /// Write it to this file, 0600, instead of standard output
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List runners
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a runner in no more, and close its connection at once
    Revoke {
        /// Its id, from `runner list`
        id: String,
    },
}

impl RunnerVerb {
    pub(super) async fn run(self, data: &Path) -> anyhow::Result<()> {
        match self {
            Self::Token {
                labels,
                expires,
                file,
            } => {
                let wish = MakeToken {
                    labels,
                    expires_secs: seconds(&expires).context("--expires")?,
                };
                let TokenView { token, expires_at } = post(data, "/tokens", &wish).await?;
                match file {
                    None => print(format_args!("{token}\n")),
                    Some(file) => {
                        write_private(&file, format!("{token}\n").as_bytes())?;
                        let file = file.display();
                        print(format_args!(
                            "Wrote {file}; the token works once, until {expires_at}\n"
                        ))
                    }
                }
            }
            Self::List { json } => list(data, json).await,
            Self::Revoke { id } => {
                if id.parse::<RunnerId>().is_err() {
                    return Err(no_id(data, &id).await?);
                }
                let path = format!("/runners/{}/revoke", segment(&id)?);
                let RevokedView { held } = post(data, &path, &()).await?;
                match held {
                    0 => print(format_args!("Revoked {id}\n")),
                    1 => print(format_args!(
                        "Revoked {id}, and took the job back that it held\n"
                    )),
                    _ => print(format_args!(
                        "Revoked {id}, and took the {held} jobs back that it held\n"
                    )),
                }
            }
        }
    }
}

/// Why what was said is no runner's id. Names are not unique and never revoke: two hosts may have one.
async fn no_id(data: &Path, text: &str) -> anyhow::Result<anyhow::Error> {
    let all: Vec<RunnerView> = get(data, "/runners").await?;
    let ids = all.into_iter().filter(|runner| runner.name == text);
    let ids: Vec<String> = ids
        .map(|runner| format!("{} ({})", runner.id, runner.state))
        .collect();
    let shown = one_line(text, 64);
    Ok(if ids.is_empty() {
        anyhow::anyhow!("there is no runner {shown}; `runner list` shows the ids")
    } else {
        let ids = ids.join(", ");
        anyhow::anyhow!("{shown} is a name, and a runner is revoked by its id: {ids}")
    })
}

async fn list(data: &Path, is_json: bool) -> anyhow::Result<()> {
    let all: Vec<RunnerView> = get(data, "/runners").await?;
    if is_json {
        return print_json(&all);
    }
    for runner in all {
        let RunnerView {
            id,
            name,
            labels,
            state,
            joined_at: _,
            seen_at,
        } = runner;
        let (name, labels) = (one_line(&name, 64), one_line(&labels.join(","), 200));
        let seen = match (state.as_str(), seen_at) {
            ("online", _) => String::new(),
            (_, Some(at)) => format!("  seen {at}"),
            (_, None) => "  never seen".to_owned(),
        };
        print(format_args!("{id}  {state:<8}  {name}  [{labels}]{seen}\n"))?;
    }
    Ok(())
}

fn seconds(text: &str) -> anyhow::Result<u64> {
    let unit_secs = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        _ => bail!("{text:?} is not a time: a number and s, m, h or d"),
    };
    let number = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let is_one_unit = number.len() + 1 == text.len();
    let secs = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit_secs))
        .filter(|_| is_one_unit);
    secs.with_context(|| format!("{text:?} is not a time: a number and s, m, h or d"))
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("1h", Some(3600)),
            ("90s", Some(90)),
            ("30d", Some(2_592_000)),
            ("10", None),
            ("h", None),
            ("1hm", None),
            ("-1s", None),
            ("99999999999999999999d", None),
            ("", None),
            ("1é", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text:?}");
        }
    }
}
