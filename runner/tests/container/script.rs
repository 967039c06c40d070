//! What a script may be, and what becomes of its output.

use cofferdam_protocol::Origin;
use cofferdam_runner::receipt::EndedBy;

use crate::stand::{IMAGE, IMAGE_WITH_BASH, processes};

#[tokio::test]
async fn a_script_runs_and_its_lines_are_echoed() {
    let stand = stand!(a_script_runs_and_its_lines_are_echoed);
    let receipt = stand
        .run(&["echo hello", "echo $CI >&2"], &[])
        .await
        .unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    assert_eq!(receipt.executor, "container");
    assert_eq!(receipt.origin, IMAGE);
    assert_eq!(receipt.output_bytes, 11);
    assert!(receipt.digest.is_some());
    assert!(receipt.process.is_some());
    insta::assert_snapshot!(stand.log.story(), @"
    System: + echo hello
    Stdout: hello
    System: + echo $CI >&2
    Stderr: true
    ");
    stand.assert_nothing_left("no such process").await;
}

#[tokio::test]
async fn output_arrives_before_the_step_ends() {
    let stand = stand!(output_arrives_before_the_step_ends);
    let go = stand.workspace.path().join("go");
    let script = [
        "echo first",
        "while [ ! -e go ]; do sleep 0.05; done",
        "echo last",
    ];
    let run = stand.run(&script, &[]);
    let watch = async {
        stand.log.wait_for("first").await;
        // The step ends only because this was seen.
        std::fs::write(&go, "").unwrap();
    };
    let (receipt, ()) = tokio::join!(run, watch);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Exit(0));
    assert_eq!(stand.log.text(Origin::Stdout), "first\nlast\n");
}

#[tokio::test]
async fn the_first_failing_line_ends_the_script() {
    let stand = stand!(the_first_failing_line_ends_the_script);
    let script = ["echo one", "sh -c 'exit 7'", "echo never"];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(7));
    insta::assert_snapshot!(stand.log.story(), @"
    System: + echo one
    Stdout: one
    System: + sh -c 'exit 7'
    ");
}

#[tokio::test]
async fn variables_directories_and_descriptors_last_from_line_to_line() {
    let stand = stand!(variables_directories_and_descriptors_last_from_line_to_line);
    let script = [
        "pwd",
        "x=1; f() { echo f $x; }",
        "mkdir -p /tmp/d; cd /tmp/d",
        "pwd; f",
        "exec 3>three",
        "echo to three >&3",
        "cat three",
        "read line || echo no input",
        "set +e",
        "false; echo status $?",
        "false",
        "ls /proc/self/fd | wc -l | tr -d ' '",
    ];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    insta::assert_snapshot!(stand.log.text(Origin::Stdout), @"
    /opt/atlassian/pipelines/agent/build
    /tmp/d
    f 1
    to three
    no input
    status 1
    5
    ");
}

#[tokio::test]
async fn bash_runs_the_script_where_the_image_has_it() {
    let stand = stand!(bash_runs_the_script_where_the_image_has_it);
    let script = ["echo this is ${THIS_IS:-sh}"];
    stand.run_in(IMAGE_WITH_BASH, &script, &[]).await.unwrap();
    stand.run_in(IMAGE, &script, &[]).await.unwrap();
    assert_eq!(stand.log.text(Origin::Stdout), "this is bash\nthis is sh\n");
}

#[tokio::test]
async fn a_script_passes_exactly_whatever_is_in_it() {
    let stand = stand!(a_script_passes_exactly_whatever_is_in_it);
    let script = [
        "echo \"it's\" 'a \"quote\"' \\$HOME `echo tick` $((1+1)) # and a comment",
        "cat <<EOF\nhere $CI\nEOF",
        "cat <<'EOF'\n$CI \\ ' \" `x`\n\tEOF\n  EOF \nEOF",
        "echo EOF; echo \"multi\n  line\"",
        "echo 'ünïcödé \u{1f980}' '%s %d \\n' '!!' '\u{1e}0000001\u{1e}' '\u{7}'",
        "if true; then\n  echo yes\nfi",
        "",
        "   ",
        "# only a comment",
        "echo end\\\n-of-line",
    ];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    insta::assert_snapshot!(stand.log.text(Origin::Stdout).escape_debug().to_string().replace("\\n", "\n"), @r##"
    it\'s a \"quote\" $HOME tick 2
    here true
    $CI \\ \' \" `x`
    \tEOF
      EOF 
    EOF
    multi
      line
    ünïcödé 🦀 %s %d \
     !! \u{1e}0000001\u{1e} \u{7}
    yes
    end-of-line
    "##);
}

#[tokio::test]
async fn a_line_with_an_open_quote_fails_alone() {
    let stand = stand!(a_line_with_an_open_quote_fails_alone);
    let receipt = stand
        .run(&["echo one", "echo 'open", "echo two'"], &[])
        .await
        .unwrap();
    assert!(
        matches!(receipt.ended_by, EndedBy::Exit(1..)),
        "{receipt:?}"
    );
    assert_eq!(stand.log.text(Origin::Stdout), "one\n");
}

#[tokio::test]
async fn the_script_stands_in_no_configuration_and_no_command_line() {
    let stand = stand!(the_script_stands_in_no_configuration_and_no_command_line);
    let token = format!("token-{}", std::process::id());
    let go = stand.workspace.path().join("go");
    let line = format!("echo {token}; while [ ! -e go ]; do sleep 0.05; done");
    let script = [line.as_str()];
    let run = stand.run(&script, &[]);
    let watch = async {
        stand.log.wait_for(&token).await;
        assert_eq!(processes(&token), Vec::<String>::new());
        std::fs::write(&go, "").unwrap();
    };
    let (receipt, ()) = tokio::join!(run, watch);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Exit(0));
}

#[tokio::test]
async fn the_after_script_knows_the_status_and_cannot_change_it() {
    let stand = stand!(the_after_script_knows_the_status_and_cannot_change_it);
    let after = ["echo after $BITBUCKET_EXIT_CODE", "exit 9", "echo never"];
    let receipt = stand.run(&["exit 3"], &after).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(3));
    insta::assert_snapshot!(stand.log.story(), @"
    System: + exit 3
    System: + echo after $BITBUCKET_EXIT_CODE
    Stdout: after 3
    System: + exit 9
    System: The after-script failed with status 9
    ");
    let receipt = stand.run(&["true"], &["false"]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
}

#[tokio::test]
async fn binary_output_is_unharmed() {
    let stand = stand!(binary_output_is_unharmed);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(stand.workspace.path().join("bytes"), &bytes).unwrap();
    stand
        .run(&["cat bytes", "cat bytes >&2"], &[])
        .await
        .unwrap();
    assert!(stand.log.bytes(Origin::Stdout) == bytes);
    assert!(stand.log.bytes(Origin::Stderr) == bytes);
}

#[tokio::test]
async fn twenty_megabytes_of_output_arrive_in_order() {
    let stand = stand!(twenty_megabytes_of_output_arrive_in_order);
    let receipt = stand.run(&["seq 2700000"], &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    let output = stand.log.text(Origin::Stdout);
    assert!(output.len() > 20_000_000, "{}", output.len());
    let wrong = output
        .lines()
        .zip(1u32..)
        .find(|(line, number)| line.parse() != Ok(*number));
    assert_eq!(wrong, None);
    assert_eq!(output.lines().count(), 2_700_000);
}
