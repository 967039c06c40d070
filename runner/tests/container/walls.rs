//! What of this host a step sees, and what is said when there is no image or no engine.

use std::os::unix::fs::MetadataExt as _;

use cofferdam_protocol::Origin;
use cofferdam_runner::executor::ExecutorError;
use cofferdam_runner::executor::container::ContainerExecutor;
use cofferdam_runner::executor::container::Network;
use cofferdam_runner::receipt::EndedBy;
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn the_workspace_is_read_and_written_in_place() {
    let stand = stand!(the_workspace_is_read_and_written_in_place);
    std::fs::write(stand.workspace.path().join("in"), "from outside").unwrap();
    let script = ["cat in", "mkdir -p a/b", "echo made >a/b/out", "pwd"];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    let made = std::fs::read_to_string(stand.workspace.path().join("a/b/out")).unwrap();
    assert_eq!(made, "made\n");
    assert_eq!(
        stand.log.text(Origin::Stdout),
        "from outside/opt/atlassian/pipelines/agent/build\n"
    );
}

#[tokio::test]
async fn what_a_step_leaves_belongs_to_the_runner() {
    let stand = stand!(what_a_step_leaves_belongs_to_the_runner, |settings| {
        settings.owner = Some((12345, 12346));
    });
    let script = [
        "mkdir a; touch a/b",
        "ln -s /etc a/link || busybox ln -s /etc a/link",
        "chown 77:77 a/b; chmod 0 a",
    ];
    stand.run(&script, &[]).await.unwrap();
    let owner = |path: &str| {
        let found = stand
            .workspace
            .path()
            .join(path)
            .symlink_metadata()
            .unwrap();
        (found.uid(), found.gid(), found.mode() & 0o700)
    };
    if stand.executor.engine().is_rootless {
        assert_eq!(owner("a/b").0, owner(".").0);
        assert_eq!(owner("a").2, 0o700);
    } else {
        assert_eq!(owner("a"), (12345, 12346, 0o700));
        assert_eq!(owner("a/b"), (12345, 12346, 0o600));
        assert_eq!(owner("a/link").0, 12345);
    }
}

#[tokio::test]
async fn only_the_workspace_of_this_host_is_there() {
    let stand = stand!(only_the_workspace_of_this_host_is_there);
    let socket = stand.executor.engine().socket.display().to_string();
    std::fs::write(stand.path().join("neighbour"), "").unwrap();
    let script = [
        "ls /etc/shadow /run/podman /var/run/docker.sock 2>/dev/null || echo no host files",
        &format!(
            "ls {socket} {} 2>/dev/null || echo no socket",
            stand.path().display()
        ),
        "grep -c ' /opt/atlassian/pipelines/agent/build ' /proc/mounts",
        "ls /opt/atlassian/pipelines/agent",
        "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status",
        "mknod /tmp/disk b 8 0 2>/dev/null || echo no devices",
        "umount /proc 2>/dev/null || echo no umount",
        "echo $(ls /sys/class/net)",
        "ls /dev | grep -E 'sd|vd|mem|kvm' || echo no disks",
    ];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    let seen = stand.log.text(Origin::Stdout).replace('\t', " ");
    insta::assert_snapshot!(seen, @"
    no host files
    no socket
    1
    build
    CapEff: 00000000000004fb
    CapBnd: 00000000000004fb
    NoNewPrivs: 1
    Seccomp: 2
    no devices
    no umount
    lo
    no disks
    ");
}

#[tokio::test]
async fn the_engine_s_network_is_there_when_it_is_asked_for() {
    let name = "the_engine_s_network_is_there_when_it_is_asked_for";
    let stand = stand!(
        the_engine_s_network_is_there_when_it_is_asked_for,
        |settings| {
            settings.network = Network::Engine;
        }
    );
    match stand.run(&["ls /sys/class/net | grep -v lo"], &[]).await {
        Ok(receipt) => assert_eq!(receipt.ended_by, EndedBy::Exit(0)),
        Err(error @ ExecutorError::Infrastructure(..)) => {
            assert!(error.to_string().contains("`none`"), "{error:?}");
            crate::stand::not_run(name, &error.to_string());
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_the_user_s_fault() {
    let stand = stand!(an_image_that_is_not_there_is_the_user_s_fault);
    let missing = "localhost/cofferdam-test/no-such-image:1";
    let error = stand.run_in(missing, &["true"], &[]).await.unwrap_err();
    assert!(matches!(error, ExecutorError::User(..)));
    insta::assert_snapshot!(error, @"there is no image localhost/cofferdam-test/no-such-image:1 on this host, and names under localhost/ are not pulled");
    let error = stand
        .run_in("../../containers", &["true"], &[])
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @r#""../../containers" is not the name of an image"#);
    // Nothing listens on port 1: the registry is unreachable.
    let error = stand
        .run_in("127.0.0.1:1/x:1", &["true"], &[])
        .await
        .unwrap_err();
    assert!(matches!(error, ExecutorError::Infrastructure(..)));
    insta::assert_snapshot!(error, @"could not pull the image 127.0.0.1:1/x:1");
    stand.assert_nothing_left("no such process").await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = crate::stand::settings(dir.path());
    for socket in ["unix:///nowhere/engine.sock", "tcp://127.0.0.1:2375"] {
        settings.engine.socket = Some(socket.to_owned());
        let error = ContainerExecutor::connect(settings.clone(), TaskTracker::new())
            .await
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("no container engine: the configured socket "),
            "{said}"
        );
        assert!(
            said.contains(socket.trim_start_matches("unix://")),
            "{said}"
        );
    }
}
