//! `step run` as a program: exit status, arguments, environment, streams, signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::guests;
use super::stand::{Did, Stand, eventually, wait};

#[test]
fn the_exit_status_is_the_guests_own() {
    let stand = Stand::new();
    for (wasm, expected) in [
        (guests::nothing(), "0 exit"),
        (guests::exit(0), "0 exit"),
        (guests::exit(1), "1 exit"),
        (guests::exit(42), "42 exit"),
        (guests::exit(124), "124 exit"),
        (guests::exit(125), "125 exit"),
        (guests::exit(126), "126 exit"),
        (guests::exit(134), "134 exit"),
        (guests::exit(255), "255 exit"),
        (guests::exit(256), "0 exit"),
        (guests::exit(u32::MAX), "255 exit"),
        (guests::trap(), "134 trap"),
        (guests::component_says(false), "0 exit"),
        (guests::component_says(true), "1 exit"),
        (guests::component_exit(42), "42 exit"),
        (guests::component_exit(255), "255 exit"),
        (guests::component_trap(), "134 trap"),
    ] {
        let did = stand.run(&wasm, &[], &[]);
        assert_eq!(did.end(), expected, "{}", did.stderr);
    }
}

#[test]
fn a_trap_is_named() {
    let did = Stand::new().run(&guests::trap(), &[], &[]);
    let expected = "cofferdam: the module trapped: wasm `unreachable` instruction executed\n";
    assert_eq!(did.stderr, expected);
}

#[test]
fn a_guest_gets_its_arguments_and_environment_and_nothing_else() {
    let stand = Stand::new();
    let did = stand.run(
        &guests::show("args"),
        &[],
        &["--flag", "", "naïve word", "--"],
    );
    assert_eq!(
        did.stdout,
        "guest.wasm\0--flag\0\0naïve word\0--\0".as_bytes()
    );
    let did = stand.run(&guests::show("environ"), &[], &[]);
    assert_eq!(did.stdout, b"");
    let options = ["--env", "A=b=c", "--env", "EMPTY=", "--env", "A=last"];
    let did = stand.run(&guests::show("environ"), &options, &[]);
    assert_eq!(did.stdout, b"A=last\0EMPTY=\0");
    let did = stand.run(&guests::count_preopens(), &[], &[]);
    assert_eq!(did.end(), "0 exit");
}

#[test]
fn bytes_pass_unharmed_in_both_directions() {
    let stand = Stand::new();
    // 5 MB of every byte, in no simple order.
    let input: Vec<u8> = (0..5_000_000_u64)
        .map(|n| (n * n / 7).to_le_bytes()[0])
        .collect();
    let did = stand.run_with_input(&guests::cat(), &[], &[], &input);
    assert_eq!(did.end(), "0 exit", "{}", did.stderr);
    assert!(
        did.stdout == input,
        "{} of {} bytes",
        did.stdout.len(),
        input.len()
    );
    assert_eq!(did.receipt["output_bytes"], 5_000_000);
}

#[test]
fn both_outputs_keep_to_themselves() {
    let did = Stand::new().run(&guests::both_streams(), &[], &[]);
    assert_eq!(
        (did.stdout.as_slice(), did.stderr.as_str()),
        (&b"out1out2"[..], "err1err2")
    );
}

#[test]
fn an_empty_input_is_an_end_and_an_unread_one_is_left_alone() {
    let stand = Stand::new();
    assert_eq!(stand.run(&guests::cat(), &[], &[]).end(), "0 exit");

    std::fs::write(stand.path("input"), "for whoever comes next").unwrap();
    let mut input = std::fs::File::open(stand.path("input")).unwrap();
    let module = stand.module(&guests::nothing());
    let mut command = stand.command();
    let mut child = command
        .arg(module)
        .stdin(input.try_clone().unwrap())
        .spawn()
        .unwrap();
    assert!(wait(&mut child).success());
    let mut rest = String::new();
    input.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "for whoever comes next");
}

#[test]
fn the_first_line_arrives_while_the_guest_still_runs() {
    let stand = Stand::new();
    let module = stand.module(&guests::sleep());
    let mut child = stand.command().arg(module).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    assert!(child.try_wait().unwrap().is_none(), "it is still asleep");
    kill(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
}

#[test]
fn a_signal_to_us_ends_the_guest_and_shows_in_the_status() {
    let stand = Stand::new();
    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let module = stand.module(&guests::sleep());
        let mut command = stand.command();
        let mut child = command
            .args(["--receipt", "receipt.json"])
            .arg(module)
            .spawn()
            .unwrap();
        read_ready(&mut child);
        kill(&child, signal);
        assert_eq!(wait(&mut child).code(), Some(expected));
        let receipt = std::fs::read_to_string(stand.path("receipt.json")).unwrap();
        assert!(receipt.contains("\"ended_by\": \"cancel\""), "{receipt}");
    }
}

#[test]
fn a_guest_does_not_outlive_us() {
    let stand = Stand::new();
    let module = stand.module(&guests::sleep());
    let mut child = stand.command().arg(module).spawn().unwrap();
    read_ready(&mut child);
    let confined = children(child.id());
    assert_eq!(confined.len(), 2, "the zygote and the step's own process");
    kill(&child, Signal::KILL);
    assert_eq!(wait(&mut child).signal(), Some(9));
    for process in confined {
        eventually("it is gone", || !is_running(process));
    }
}

#[test]
fn nobody_reads_the_output_and_we_end_without_a_panic() {
    let stand = Stand::new();
    let module = stand.module(&guests::flood());
    let mut child = stand.command().arg(module).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(wait(&mut child).code(), Some(141));
    let mut stderr = String::new();
    child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn bad_arguments_are_125_with_every_line_marked() {
    let stand = Stand::new();
    let module = stand.module(&guests::nothing());
    let module = module.to_str().unwrap();
    for (arguments, expected) in [
        (vec![], "required arguments were not provided"),
        (
            vec!["missing.wasm"],
            "cofferdam: the module missing.wasm cannot be read",
        ),
        (vec![module, "extra"], "unexpected argument 'extra'"),
        (vec!["--colour", module], "unexpected argument '--colour'"),
        (vec!["--env", "novalue", module], "a variable is NAME=VALUE"),
        (vec!["--env", "=x", module], "a variable is NAME=VALUE"),
        (
            vec!["--memory", "lots", module],
            "a size is a whole number of bytes",
        ),
        (
            vec!["--memory", "5GiB", module],
            "at most 4294967296 are possible",
        ),
        (vec!["--memory", "0", module], "0 is not enough"),
        (
            vec!["--time", "0s", module],
            "a time is a whole number above zero",
        ),
        (
            vec!["--time", "60", module],
            "a time is a whole number above zero",
        ),
        (
            vec!["--receipt", "no/such/dir/r.json", module],
            "the receipt cannot be written",
        ),
        (vec!["."], "cannot be read: Is a directory"),
    ] {
        let did = stand.bare(&arguments);
        assert_eq!(did.status, 125, "{arguments:?}: {}", did.stderr);
        assert!(
            did.stderr.contains(expected),
            "{arguments:?}: {}",
            did.stderr
        );
        assert!(is_marked(&did), "{}", did.stderr);
        assert_eq!(did.stdout, b"");
    }
    let help = stand.bare(&["--help"]);
    assert_eq!(help.status, 0);
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--receipt <FILE>")
    );
}

#[test]
fn what_is_no_module_is_125_with_the_reason_in_the_receipt() {
    let stand = Stand::new();
    let good = guests::nothing();
    for (bytes, expected) in [
        (b"".to_vec(), "it is empty"),
        (b"not wasm".to_vec(), "it is not WebAssembly"),
        (good[..good.len() - 1].to_vec(), "it does not compile"),
        (
            b"\0asm\x01\0\0\0\x01\x05\xff\xff\xff\xff\x0f".to_vec(),
            "it does not compile",
        ),
    ] {
        let did = stand.run(&bytes, &[], &[]);
        assert_eq!(did.end(), "125 error");
        assert!(
            did.receipt["why"].as_str().unwrap().contains(expected),
            "{}",
            did.receipt
        );
        assert!(
            is_marked(&did) && did.stderr.contains(expected),
            "{}",
            did.stderr
        );
    }
}

#[test]
fn native_code_of_our_own_making_is_refused_by_name() {
    let stand = Stand::new();
    assert_eq!(stand.run(&guests::nothing(), &[], &[]).end(), "0 exit");
    let modules = std::fs::read_dir(stand.path("cache/cofferdam/modules")).unwrap();
    let native = modules
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "native"))
        .unwrap();
    let did = stand.run(&std::fs::read(native).unwrap(), &[], &[]);
    assert_eq!(did.end(), "125 error");
    assert!(
        did.stderr.contains("it is precompiled native code"),
        "{}",
        did.stderr
    );
}

#[test]
fn a_damaged_cache_is_made_good_again() {
    let stand = Stand::new();
    let wasm = guests::exit(42);
    assert_eq!(stand.run(&wasm, &[], &[]).end(), "42 exit");
    for entry in std::fs::read_dir(stand.path("cache/cofferdam/modules")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() / 2);
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(stand.run(&wasm, &[], &[]).end(), "42 exit");
}

fn is_marked(did: &Did) -> bool {
    did.stderr
        .lines()
        .all(|line| line.starts_with("cofferdam: "))
}

fn read_ready(child: &mut std::process::Child) {
    let mut ready = [0; 6];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut ready)
        .unwrap();
    assert_eq!(&ready, b"ready\n");
}

fn kill(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

pub(super) fn children(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let children =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    children
        .flat_map(|line| {
            line.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Neither gone nor a zombie that somebody has yet to wait for.
fn is_running(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
