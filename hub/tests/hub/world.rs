//! A hub in this process, its data in a temporary directory, and a repository to push from.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_hub::config::RawConfig;
use cofferdam_hub::wiring::Hub;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A pipeline of two steps in one job.
pub(crate) const TWO_STEPS: &str = "pipelines:\n  default:\n    - step:\n        name: Scan\n        \
    image: busybox\n        script: [scan]\n    - step:\n        name: Test\n        image: busybox\n        \
    script: [test]\n";

#[derive(Debug)]
pub(crate) struct World {
    dir: tempfile::TempDir,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    port: u16,
}

impl World {
    /// A hub whose leases last for 3 s and whose lost runners are given up after 6 s.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("git")).unwrap();
        let mut world = Self {
            dir,
            running: None,
            port: 0,
        };
        world.start_hub().await;
        world
    }

    /// As [`Self::start`], with the hub as a process of its own, which a test may stop for a while.
    pub(crate) async fn start_process() -> (Self, Child) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("git")).unwrap();
        let mut world = Self {
            dir,
            running: None,
            port: 0,
        };
        let mut serve = world.command(Path::new(env!("CARGO_BIN_EXE_cofferdam-hub")));
        serve
            .args(["serve", "--listen", "127.0.0.1:0", "--lease-secs", "3"])
            .arg("--git-file-root")
            .arg(world.path("git"))
            .arg("--data")
            .arg(world.data());
        let mut hub = serve.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(hub.stdout.take().unwrap());
        let mut line = String::new();
        timeout(PATIENCE, said.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        let address = std::fs::read_to_string(world.data().join("address")).unwrap();
        let address: std::net::SocketAddr = address.trim().parse().unwrap();
        world.port = address.port();
        (world, hub)
    }

    pub(crate) async fn start_hub(&mut self) {
        let raw = RawConfig {
            listen: Some(format!("127.0.0.1:{}", self.port)),
            git_file_roots: Some(vec![self.path("git")]),
            lease_secs: Some(3),
            ..RawConfig::default()
        };
        let hub = Hub::open(&self.data(), raw.validate().unwrap()).await;
        let hub = hub.unwrap();
        self.port = hub.address().port();
        let (stop, stopped) = oneshot::channel();
        #[expect(
            clippy::disallowed_methods,
            reason = "the hub of a test is awaited in `stop`"
        )]
        let serving = tokio::spawn(hub.serve(async {
            // A dropped sender is a test that has ended.
            drop(stopped.await);
        }));
        self.running = Some((stop, serving));
    }

    /// Stops the hub and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let (stop, serving) = self.running.take().unwrap();
        stop.send(()).unwrap();
        timeout(PATIENCE, serving).await.unwrap().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_hub().await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("hub")
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Dials the hub and verifies it by its own CA.
    pub(crate) async fn dial(&self) -> TlsStream<TcpStream> {
        let ca = std::fs::read(self.data().join("ca.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&ca).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap()
    }

    /// Sends one request and returns status and body.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
        let stream = TokioIo::new(self.dial().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let exchange = async move {
            let answer = sender.send_request(request).await.unwrap();
            let status = answer.status();
            (
                status,
                answer.into_body().collect().await.unwrap().to_bytes(),
            )
        };
        let (answer, _closed) = timeout(PATIENCE, async { tokio::join!(exchange, connection) })
            .await
            .unwrap();
        answer
    }

    /// Runs a verb of the hub's program.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_cofferdam-hub")));
        command.args(arguments).arg("--data").arg(self.data());
        timeout(PATIENCE, command.output()).await.unwrap().unwrap()
    }

    /// What a verb prints when it succeeds.
    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8(output.stdout).unwrap();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{complained}");
        said
    }

    pub(crate) async fn build(&self, number: u64) -> Value {
        let text = self
            .says(&["build", "show", "demo", &number.to_string(), "--json"])
            .await;
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until the list of builds is as it should be.
    pub(crate) async fn wait_for_list(&self, is_good: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.says(&["build", "list", "--json"]).await;
            let list: Vec<Value> = serde_json::from_str(&list).unwrap();
            if is_good(&list) {
                return list;
            }
            assert!(Instant::now() < deadline, "it stays {list:#?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a build is as it should be.
    pub(crate) async fn wait_for_build(
        &self,
        number: u64,
        is_good: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let build = self.build(number).await;
            if is_good(&build) {
                return build;
            }
            assert!(Instant::now() < deadline, "it stays {build:#}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A bare repository `demo` that the hub knows, with the hook of `repo add`, and a work tree.
    pub(crate) async fn repository(&self) {
        self.bare_repository("demo").await;
        self.git(&["init", "--quiet", "--initial-branch=main", "work"])
            .await;
    }

    /// A bare repository that the hub knows, with the hook of `repo add`.
    pub(crate) async fn bare_repository(&self, name: &str) {
        let bare = self.path(&format!("git/{name}.git"));
        self.git(&["init", "--quiet", "--bare", bare.to_str().unwrap()])
            .await;
        let url = format!("file://{}", bare.display());
        let file = self.path(&format!("{name}.hook"));
        let file = file.to_str().unwrap();
        let said = self
            .says(&["repo", "add", name, "--url", &url, "--hook-file", file])
            .await;
        let line = said.lines().last().unwrap();
        let hook = bare.join("hooks/post-receive");
        std::fs::write(&hook, format!("#!/bin/sh\n{line}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&hook, mode).unwrap();
    }

    /// Commits a pipeline file and pushes; returns what the pusher reads.
    pub(crate) async fn push(&self, pipeline: &str) -> String {
        std::fs::write(self.path("work/bitbucket-pipelines.yml"), pipeline).unwrap();
        self.git_in_work(&["add", "."]).await;
        self.git_in_work(&["commit", "--quiet", "--allow-empty", "-m", "One"])
            .await;
        self.git_in_work(&["push", "../git/demo.git", "HEAD:main"])
            .await
    }

    pub(crate) async fn git_in_work(&self, arguments: &[&str]) -> String {
        let mut all = vec![
            "-C",
            "work",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.example",
        ];
        all.extend(arguments);
        self.git(&all).await
    }

    /// What git says on standard error, and on standard output.
    async fn git(&self, arguments: &[&str]) -> String {
        let output = timeout(
            PATIENCE,
            self.command(Path::new("git")).args(arguments).output(),
        );
        let output = output.await.unwrap().unwrap();
        let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test plays the operator and the pusher"
    )]
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .kill_on_drop(true);
        command
    }
}
