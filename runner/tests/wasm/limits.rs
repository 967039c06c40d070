//! Limits: each one ends the guest or tells it no, and says which limit it was.

use super::guests::{self, Open, errno};
use super::stand::Stand;

#[test]
fn time_ends_a_guest_whatever_it_is_doing() {
    let stand = Stand::new();
    for wasm in [
        guests::spin(),
        guests::spin_in_host(),
        guests::sleep(),
        guests::component_spin(),
    ] {
        let did = stand.run(&wasm, &["--time", "200ms"], &[]);
        assert_eq!(did.end(), "124 timeout", "{}", did.stderr);
        assert_eq!(did.stderr, "cofferdam: limit `time` reached: 200ms\n");
    }
}

#[test]
fn a_limit_ends_the_guest_with_its_name() {
    let stand = Stand::new();
    let memory = "124 limit: limit `memory` reached: 1MiB";
    let output = "124 limit: limit `output` reached: 1MiB";
    let tables = "124 limit: limit `tables` reached: 4000000 elements";
    let stack = "134 trap: the module trapped: call stack exhausted";
    for (wasm, options, expected) in [
        (guests::grow(), "--memory 1MiB", memory),
        (guests::grow_second(16), "--memory 1MiB", memory),
        (guests::born_large(17), "--memory 1MiB", memory),
        (guests::flood(), "--output 1MiB", output),
        (guests::grow_table(), "", tables),
        (guests::recurse(), "", stack),
    ] {
        let options: Vec<&str> = options.split_whitespace().collect();
        let did = stand.run(&wasm, &options, &[]);
        let said = did
            .stderr
            .trim_end()
            .strip_prefix("cofferdam: ")
            .unwrap_or(&did.stderr);
        assert_eq!(format!("{}: {said}", did.end()), expected);
    }
}

#[test]
fn what_is_within_a_limit_is_not_touched() {
    let stand = Stand::new();
    // One page is there from the start.
    let did = stand.run(&guests::grow_second(15), &["--memory", "1MiB"], &[]);
    assert_eq!(did.end(), "0 exit", "{}", did.stderr);
    let did = stand.run_with_input(&guests::cat(), &["--output", "5"], &[], b"12345");
    assert_eq!(
        (did.end().as_str(), did.stdout.as_slice()),
        ("0 exit", &b"12345"[..])
    );
    // All that 32 bits can address, and then the module is told no by its own nature.
    let did = stand.run(&guests::grow(), &["--memory", "4GiB"], &[]);
    assert_eq!(did.end(), "7 exit", "{}", did.stderr);
}

#[test]
fn output_up_to_the_limit_is_passed_on() {
    let did = Stand::new().run(&guests::flood(), &["--output", "10000"], &[]);
    assert_eq!(did.stdout.len(), 10_000);
    assert_eq!(did.receipt["output_bytes"], 10_000);
    assert_eq!(did.receipt["limit"]["name"], "output");
}

#[test]
fn a_receipt_tells_what_was_used() {
    let did = Stand::new().run(&guests::spin(), &["--time", "300ms"], &[]);
    let cpu = did.receipt["cpu"]["us"].as_u64().unwrap();
    let wall = did.receipt["wall_us"].as_u64().unwrap();
    assert!((50_000..5_000_000).contains(&cpu), "{cpu}");
    assert!((300_000..5_000_000).contains(&wall), "{wall}");
    assert_eq!(did.receipt["cpu"]["observer"], "kernel");
    let memory = did.receipt["memory_peak"]["bytes"].as_u64().unwrap();
    assert!((1 << 20..1 << 28).contains(&memory), "{memory}");
}

#[test]
fn many_files_together_are_bounded_as_one_is() {
    let stand = Stand::new();
    let options = ["--write", "files::/", "--disk", "4MiB", "--time", "60s"];
    let did = stand.run(&guests::fill(), &options, &[]);
    assert_eq!(did.end(), "124 limit", "{}", did.stderr);
    assert_eq!(did.receipt["limit"]["name"], "disk", "{}", did.receipt);
    // Control: with room it goes on until its time is over.
    let options = ["--write", "files::/", "--disk", "1GiB", "--time", "2s"];
    let did = stand.run(&guests::fill(), &options, &[]);
    assert_eq!(did.end(), "124 timeout", "{}", did.stderr);
}

#[test]
fn a_guest_cannot_make_a_file_without_end_nor_open_files_without_end() {
    let stand = Stand::new();
    let options = ["--write", "files::/"];
    let did = stand.run(&guests::sparse("huge", 1 << 40), &options, &[]);
    assert_eq!(did.status, errno::FBIG, "{}", did.stderr);
    stand.make("files/one", "");
    let did = stand.run(&guests::open_many("one"), &options, &[]);
    // It is told, and not ended.
    assert_eq!(did.end(), format!("{} exit", errno::IO), "{}", did.stderr);
    let did = stand.run(&guests::open("one", Open::Write), &options, &[]);
    assert_eq!(did.status, errno::SUCCESS);
}
