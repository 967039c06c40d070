//! `repo`: repositories, and the file that lets their git server report pushes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ask::{get, post, print, print_json, segment};
use super::notify::HookFile;
use crate::control::view::{AddRepository, HookView, RepositoryView};
use crate::data_dir::write_private;
use crate::plain_text::one_line;

#[derive(Debug, Subcommand)]
pub(super) enum Repo {
    /// Add a repository, and write the file that its git server needs
    Add {
        /// Its name on the hub
        name: String,
        /// Where hub and runners fetch it from
        #[arg(long)]
        url: String,
        #[command(flatten)]
        hook: HookTarget,
    },
    /// Write that file again
    Hook {
        /// The repository's name on the hub
        name: String,
        #[command(flatten)]
        hook: HookTarget,
    },
    /// List repositories
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct HookTarget {
    /// Where to write the file with the repository's key, 0600
    #[arg(long, value_name = "FILE")]
    hook_file: PathBuf,
    /// Where the git server reaches the hub [default: the first name in its certificate, and its port]
    #[arg(long, value_name = "https://HOST:PORT")]
    address: Option<String>,
}

impl Repo {
    pub(super) async fn run(self, data: &Path) -> anyhow::Result<()> {
        match self {
            Self::Add { name, url, hook } => {
                hook.check()?;
                let wish = AddRepository { name, url };
                let view: HookView = post(data, "/repositories", &wish).await?;
                let name = view.repository.clone();
                hook.write(view).with_context(|| {
                    format!("{name} was added, but its hook file was not written; `repo hook {name}` tries again")
                })
            }
            Self::Hook { name, hook } => {
                hook.check()?;
                let path = format!("/repositories/{}/hook", segment(&name)?);
                hook.write(get(data, &path).await?)
            }
            Self::List { json } => {
                let all: Vec<RepositoryView> = get(data, "/repositories").await?;
                if json {
                    return print_json(&all);
                }
                for RepositoryView { name, url } in all {
                    print(format_args!("{name}  {}\n", one_line(&url, 500)))?;
                }
                Ok(())
            }
        }
    }
}

impl HookTarget {
    /// Finds a bad address before anything is done.
    fn check(&self) -> anyhow::Result<()> {
        let address = self.address.as_deref().map(HookFile::check_address);
        address.transpose().context("--address")?;
        Ok(())
    }

    fn write(self, mut view: HookView) -> anyhow::Result<()> {
        if let Some(address) = self.address {
            view.hub = address;
        }
        let path = std::path::absolute(&self.hook_file).context("--hook-file")?;
        write_private(&path, HookFile::text(&view)?.as_bytes())?;
        let program = std::env::current_exe().context("could not find this program's own file")?;
        print(format_args!(
            "Wrote {}. Put this line into hooks/post-receive of the repository:\nexec {} notify {}\n",
            path.display(),
            quoted(&program),
            quoted(&path),
        ))
    }
}

/// A word of a shell script that stands for exactly this path.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
