//! Builds a hub out of its parts. The only file that names a concrete adapter.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use cofferdam_git::{Git, GitError, Limits, RemotePolicy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::{Authority, AuthorityError, RENEW_CHECK_EVERY};
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::config::{self, Config};
use crate::control::{self, Control, socket};
use crate::data_dir::{DATABASE_FILE, DataDir, DataDirError, write_private};
use crate::gateway::registry::Registry;
use crate::gateway::{self, Gateway};
use crate::ingest::Ingest;
use crate::live::Live;
use crate::resolve::Resolver;
use crate::schedule::{Reasons, Scheduler};
use crate::server::{self, Server};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::trigger::Trigger;

/// How long open connections and begun transactions may take to end when the hub stops. A transaction
/// takes milliseconds; who does not hang up in this time is hung up on.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// A hub that is ready to serve.
#[derive(Debug)]
pub struct Hub {
    data: Arc<DataDir>,
    authority: Arc<Authority>,
    address: SocketAddr,
    server: Server,
    operator: (UnixListener, Router),
    trigger: Arc<Trigger>,
    scheduler: Scheduler,
    store: Arc<dyn Store>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why a hub cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Its data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// It cannot show who it is.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no git.
    #[error("git is needed to read repositories, and there is none in PATH")]
    NoGit,
    /// Its git cannot be used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A port or socket cannot be opened.
    #[error("could not listen on {on}")]
    Listen {
        /// Which one.
        on: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What several parts share.
struct Parts {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    authority: Arc<Authority>,
    registry: Arc<Registry>,
    live: Arc<Live>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Hub {
    /// Opens everything that a hub needs: directory, database, certificate, git, port and socket. Runners
    /// may dial when this returns; they are answered once it serves.
    pub async fn open(data: &Path, config: Config) -> Result<Self, HubError> {
        raise_file_limit();
        let data = Arc::new(DataDir::open(data)?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let authority = Authority::open(
            &data,
            config.names.clone(),
            &config.tls,
            Arc::clone(&clock),
            entropy.as_ref(),
        )?;
        let parts = Parts {
            store: Arc::new(SqliteStore::open(&data.join(DATABASE_FILE)).await?),
            clock,
            entropy,
            authority: Arc::new(authority),
            registry: Arc::default(),
            live: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let program = Git::find(&config::search_path()).ok_or(HubError::NoGit)?;
        let git = Git::open(&program, Limits::default()).await?;
        let failed = |on: String| move |source| HubError::Listen { on, source };
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(failed(config.listen.to_string()))?;
        let address = listener
            .local_addr()
            .map_err(failed(config.listen.to_string()))?;
        write_private(&data.join("address"), format!("{address}\n").as_bytes())?;
        let operator = socket::bind(data.path()).map_err(failed("hub.sock".to_owned()))?;
        let (reasons, why) = watch::channel(Reasons::new());
        let url = url(&config, address);
        let trigger = Arc::new(parts.trigger(&config, git, data.make_dir("mirrors")?));
        Ok(Self {
            server: Server {
                listener,
                tls: parts.authority.server_config()?,
                router: trigger.router().merge(parts.gateway(&config)),
                connections_max: config.connections_max,
            },
            operator: (operator, parts.inside(&config, url, why)),
            trigger,
            scheduler: parts.scheduler(&config, reasons),
            store: parts.store,
            data,
            authority: parts.authority,
            address,
            tasks: parts.tasks,
            stop: parts.stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What people compare.
    pub fn fingerprint(&self) -> &str {
        self.authority.fingerprint()
    }

    /// Serves until `stop` resolves, then hangs up on everybody and finishes what has begun.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self {
            data,
            authority,
            address: _,
            server,
            operator: (operator, routes),
            trigger,
            scheduler,
            store,
            tasks,
            stop: token,
        } = self;
        tasks.spawn(server.serve(tasks.clone(), token.clone()));
        tasks.spawn(serve_operator(
            operator,
            routes,
            tasks.clone(),
            token.clone(),
        ));
        tasks.spawn(async move {
            if let Err(error) = trigger.resume().await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "could not go on with the pushes that were accepted before"
                );
            }
        });
        let scheduling = token.clone();
        tasks.spawn(async move { scheduler.run(&scheduling).await });
        tasks.spawn(renew_daily(authority, Arc::clone(&data), token.clone()));
        stop.await;
        tracing::info!("the hub stops");
        token.cancel();
        tasks.close();
        if tokio::time::timeout(STOP_TIME_MAX, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = tasks.len(), "not everything ended in time");
        }
        // What was taken is written, also for those who did not end in time.
        if tokio::time::timeout(STOP_TIME_MAX, store.close())
            .await
            .is_err()
        {
            tracing::warn!("the database did not take all that was to be written in time");
        }
        socket::remove(data.path());
    }
}

impl Parts {
    /// What looks after pushes.
    fn trigger(&self, config: &Config, git: Git, mirrors: std::path::PathBuf) -> Trigger {
        let resolver = Resolver {
            git,
            mirrors,
            remotes: remotes(config),
            pushes: self.store.clone(),
            builds: self.store.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        };
        Trigger::new(
            (self.store.clone(), self.store.clone()),
            Arc::new(resolver),
            (Arc::clone(&self.clock), self.entropy.as_ref()),
            self.tasks.clone(),
            self.stop.clone(),
        )
    }

    /// What answers runners.
    fn gateway(&self, config: &Config) -> Router {
        let gateway = Gateway {
            authority: Arc::clone(&self.authority),
            runners: self.store.clone(),
            queue: self.store.clone(),
            ingest: Ingest {
                queue: self.store.clone(),
                logs: self.store.clone(),
                live: Arc::clone(&self.live),
                lease: config.lease,
                clock: Arc::clone(&self.clock),
            },
            registry: Arc::clone(&self.registry),
            lease: config.lease,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        };
        gateway::router(Arc::new(gateway))
    }

    /// What answers on the operator's socket.
    fn inside(&self, config: &Config, url: String, reasons: watch::Receiver<Reasons>) -> Router {
        control::router(Arc::new(Control {
            repositories: self.store.clone(),
            builds: self.store.clone(),
            queue: self.store.clone(),
            logs: self.store.clone(),
            runners: self.store.clone(),
            connections: self.registry.clone(),
            live: Arc::clone(&self.live),
            reasons,
            remotes: remotes(config),
            authority: Arc::clone(&self.authority),
            url,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            stop: self.stop.clone(),
        }))
    }

    fn scheduler(&self, config: &Config, reasons: watch::Sender<Reasons>) -> Scheduler {
        Scheduler {
            queue: self.store.clone(),
            builds: self.store.clone(),
            repositories: self.store.clone(),
            registry: Arc::clone(&self.registry),
            lease: config.lease,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            reasons,
        }
    }
}

fn remotes(config: &Config) -> RemotePolicy {
    RemotePolicy {
        file_roots: config.git_file_roots.clone(),
    }
}

/// Where people are told to reach the hub: its first name, and the port that it listens on.
fn url(config: &Config, address: SocketAddr) -> String {
    let name = config.names.first().map_or("localhost", String::as_str);
    let port = address.port();
    if name.contains(':') {
        format!("https://[{name}]:{port}")
    } else {
        format!("https://{name}:{port}")
    }
}

async fn serve_operator(
    listener: UnixListener,
    routes: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(server::answer(stream, routes.clone(), (), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept the operator's connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn renew_daily(authority: Arc<Authority>, data: Arc<DataDir>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEW_CHECK_EVERY) => {}
        }
        let (authority, data) = (Arc::clone(&authority), Arc::clone(&data));
        let renewing = tokio::task::spawn_blocking(move || authority.renew_if_due(&data)).await;
        if let Ok(Err(error)) = renewing {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "could not renew the hub's certificate");
        }
    }
}

/// Ten thousand runners need as many file descriptors; the usual soft limit is 1,024.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "could not raise the limit on open files");
    }
}
