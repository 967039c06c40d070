//! The guests: WebAssembly as text, one behaviour each.

/// What WASI calls go wrong with, as `errno`; guests exit with it.
pub(super) mod errno {
    pub(in super::super) const SUCCESS: i32 = 0;
    pub(in super::super) const LOOP: i32 = 32;
    pub(in super::super) const NOENT: i32 = 44;
    pub(in super::super) const FBIG: i32 = 22;
    pub(in super::super) const PERM: i32 = 63;
    /// What wasmtime 48 makes of everything that it has no word for: a read-only file system, too many
    /// open files.
    pub(in super::super) const IO: i32 = 29;
}

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A preview 1 command: `body` is its `_start`, `rest` stands beside it, one page of memory.
pub(super) fn command(imports: &[&str], rest: &str, body: &str) -> Vec<u8> {
    let imports: String = imports.iter().map(|name| import(name)).collect();
    assemble(&format!(
        r#"(module {imports} (memory (export "memory") 1) {rest} (func (export "_start") {body}))"#
    ))
}

fn import(name: &str) -> String {
    let signature = match name {
        "proc_exit" => "(param i32)",
        "args_get" | "args_sizes_get" | "environ_get" | "environ_sizes_get" | "fd_prestat_get"
        | "random_get" => "(param i32 i32) (result i32)",
        "fd_close" => "(param i32) (result i32)",
        "fd_read" | "fd_write" | "poll_oneoff" => "(param i32 i32 i32 i32) (result i32)",
        "path_open" => "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
        "path_filestat_get" => "(param i32 i32 i32 i32 i32) (result i32)",
        "fd_filestat_set_size" => "(param i32 i64) (result i32)",
        "clock_time_get" => "(param i32 i64 i32) (result i32)",
        _ => panic!("{name} has no signature here"),
    };
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} {signature}))"#)
}

/// Exits with a status.
pub(super) fn exit(status: u32) -> Vec<u8> {
    command(
        &["proc_exit"],
        "",
        &format!("(call $proc_exit (i32.const {status}))"),
    )
}

/// Returns from `_start`.
pub(super) fn nothing() -> Vec<u8> {
    command(&[], "", "")
}

/// Traps.
pub(super) fn trap() -> Vec<u8> {
    command(&[], "", "unreachable")
}

/// Never ends, and calls nobody.
pub(super) fn spin() -> Vec<u8> {
    command(&[], "", "(loop $again (br $again))")
}

/// Never ends, and calls the host all the time.
pub(super) fn spin_in_host() -> Vec<u8> {
    command(
        &["random_get"],
        "",
        "(loop $again (drop (call $random_get (i32.const 0) (i32.const 1024))) (br $again))",
    )
}

/// Recurses without end.
pub(super) fn recurse() -> Vec<u8> {
    command(
        &[],
        "(func $down (call $down) (call $down))",
        "(call $down)",
    )
}

/// Says `ready`, then sleeps for an hour.
pub(super) fn sleep() -> Vec<u8> {
    command(
        &["fd_write", "poll_oneoff"],
        // A subscription: user data 0, a monotonic clock, 3600e9 ns.
        r#"(data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "ready\n")
           (data (i32.const 112) "\01\00\00\00") (data (i32.const 120) "\00\a0\b8\30\46\03\00\00")"#,
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
         (drop (call $poll_oneoff (i32.const 96) (i32.const 200) (i32.const 1) (i32.const 300)))",
    )
}

/// Asks for memory page by page, until it is told that there is no more; then exits with 7.
pub(super) fn grow() -> Vec<u8> {
    command(
        &["proc_exit"],
        "",
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
         (call $proc_exit (i32.const 7))",
    )
}

/// Has two memories and lets the second one grow by so many pages.
pub(super) fn grow_second(pages: u32) -> Vec<u8> {
    command(
        &[],
        "(memory $second 0)",
        &format!("(drop (memory.grow $second (i32.const {pages})))"),
    )
}

/// Wants more memory than there is before it begins.
pub(super) fn born_large(pages: u32) -> Vec<u8> {
    assemble(&format!(
        r#"(module (memory {pages}) (func (export "_start")))"#
    ))
}

/// Lets a table grow without end.
pub(super) fn grow_table() -> Vec<u8> {
    command(
        &[],
        "(table $t 0 funcref)",
        "(loop $again
           (br_if $again
             (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1))))",
    )
}

/// Writes `x` without end.
pub(super) fn flood() -> Vec<u8> {
    command(
        &["fd_write"],
        r#"(data (i32.const 0) "\10\00\00\00\00\10\00\00")"#,
        "(memory.fill (i32.const 16) (i32.const 120) (i32.const 4096))
         (loop $again
           (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
           (br $again))",
    )
}

/// Copies standard input to standard output; exits with the first error.
pub(super) fn cat() -> Vec<u8> {
    command(
        &["fd_read", "fd_write", "proc_exit"],
        r#"(data (i32.const 0) "\00\04\00\00\00\80\00\00") (global $errno (mut i32) (i32.const 0))"#,
        "(loop $again
           (i32.store (i32.const 4) (i32.const 32768))
           (global.set $errno (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
           (if (global.get $errno) (then (call $proc_exit (global.get $errno))))
           (if (i32.load (i32.const 8)) (then
             (i32.store (i32.const 4) (i32.load (i32.const 8)))
             (i32.store (i32.const 0) (i32.const 1024))
             (loop $rest
               (global.set $errno (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
               (if (global.get $errno) (then (call $proc_exit (global.get $errno))))
               (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 12))))
               (i32.store (i32.const 4) (i32.sub (i32.load (i32.const 4)) (i32.load (i32.const 12))))
               (br_if $rest (i32.load (i32.const 4))))
             (i32.store (i32.const 0) (i32.const 1024))
             (br $again))))",
    )
}

/// Writes `out1`, `err1`, `out2`, `err2`, each to the stream it names.
pub(super) fn both_streams() -> Vec<u8> {
    let say = |fd: u32, at: u32| {
        format!(
            "(drop (call $fd_write (i32.const {fd}) (i32.const {at}) (i32.const 1) (i32.const 8)))"
        )
    };
    let body: String = [(1, 0), (2, 16), (1, 32), (2, 48)]
        .into_iter()
        .map(|(fd, at)| say(fd, at))
        .collect();
    command(
        &["fd_write"],
        r#"(data (i32.const 0) "\40\00\00\00\04\00\00\00") (data (i32.const 64) "out1")
           (data (i32.const 16) "\44\00\00\00\04\00\00\00") (data (i32.const 68) "err1")
           (data (i32.const 32) "\48\00\00\00\04\00\00\00") (data (i32.const 72) "out2")
           (data (i32.const 48) "\4c\00\00\00\04\00\00\00") (data (i32.const 76) "err2")"#,
        &body,
    )
}

/// Writes its arguments or its environment as WASI hands them over, each followed by a zero byte.
pub(super) fn show(what: &str) -> Vec<u8> {
    let (sizes, get) = (format!("{what}_sizes_get"), format!("{what}_get"));
    command(
        &[&sizes, &get, "fd_write"],
        "",
        &format!(
            "(drop (call ${sizes} (i32.const 0) (i32.const 20)))
             (drop (call ${get} (i32.const 1024) (i32.const 8192)))
             (i32.store (i32.const 16) (i32.const 8192))
             (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))"
        ),
    )
}

/// Writes 32 random bytes.
pub(super) fn random() -> Vec<u8> {
    command(
        &["random_get", "fd_write"],
        r#"(data (i32.const 0) "\10\00\00\00\20\00\00\00")"#,
        "(drop (call $random_get (i32.const 16) (i32.const 32)))
         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
    )
}

/// Reads both clocks, sleeps for 30 ms, reads them again, and writes what it read: wall, monotonic, wall, monotonic, each
/// 8 bytes of nanoseconds.
pub(super) fn clocks() -> Vec<u8> {
    let read = |clock: u32, at: u32| {
        format!("(drop (call $clock_time_get (i32.const {clock}) (i64.const 1) (i32.const {at})))")
    };
    let [first, second, third, fourth] =
        [(0, 16), (1, 24), (0, 32), (1, 40)].map(|(c, at)| read(c, at));
    command(
        &["clock_time_get", "poll_oneoff", "fd_write"],
        // A subscription: user data 0, a monotonic clock, 30e6 ns.
        r#"(data (i32.const 0) "\10\00\00\00\20\00\00\00")
           (data (i32.const 112) "\01\00\00\00") (data (i32.const 120) "\80\c3\c9\01")"#,
        &format!(
            "{first} {second}
             (drop (call $poll_oneoff (i32.const 96) (i32.const 200) (i32.const 1) (i32.const 300)))
             {third} {fourth}
             (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
        ),
    )
}

/// Exits with the number of its preopened directories.
pub(super) fn count_preopens() -> Vec<u8> {
    command(
        &["fd_prestat_get", "proc_exit"],
        "(global $fd (mut i32) (i32.const 3))",
        "(loop $again
           (if (i32.eqz (call $fd_prestat_get (global.get $fd) (i32.const 0)))
             (then (global.set $fd (i32.add (global.get $fd) (i32.const 1))) (br $again))))
         (call $proc_exit (i32.sub (global.get $fd) (i32.const 3)))",
    )
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// To be read, and its first bytes go to standard output.
    Read,
    /// To be written to: it must exist.
    Write,
    /// To be made and written to: it must not exist.
    Create,
    /// As a directory.
    Directory,
}

/// Opens a path below its first directory, following no symlink at its end; exits with the errno.
pub(super) fn open(path: &str, how: Open) -> Vec<u8> {
    // Flags and rights of `path_open`: O_CREAT | O_EXCL is 5, O_DIRECTORY 2; FD_READ 2, FD_WRITE 64.
    let (flags, rights) = match how {
        Open::Read => (0, 2),
        Open::Write => (0, 64),
        Open::Create => (5, 64),
        Open::Directory => (2, 0),
    };
    let then = match how {
        Open::Read => {
            "(call $check (call $fd_read (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 8)))
             (i32.store (i32.const 20) (i32.load (i32.const 8)))
             (call $check (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))"
        }
        Open::Write | Open::Create => {
            "(call $check (call $fd_write (i32.load (i32.const 0)) (i32.const 24) (i32.const 1) (i32.const 8)))"
        }
        Open::Directory => "",
    };
    let length = path.len();
    command(
        &["path_open", "fd_read", "fd_write", "proc_exit"],
        // Two buffers: 4 KiB at 8192, and the word `written` at 4096.
        &format!(
            r#"(data (i32.const 16) "\00\20\00\00\00\10\00\00") (data (i32.const 24) "\00\10\00\00\07\00\00\00")
               (data (i32.const 4096) "written") (data (i32.const 512) "{path}")
               (func $check (param $errno i32)
                 (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))"#
        ),
        &format!(
            "(call $check (call $path_open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const {length})
               (i32.const {flags}) (i64.const {rights}) (i64.const {rights}) (i32.const 0) (i32.const 0)))
             {then}"
        ),
    )
}

/// Writes the size of a file below its first directory, as 8 bytes.
pub(super) fn size(path: &str) -> Vec<u8> {
    let length = path.len();
    command(
        &["path_filestat_get", "fd_write", "proc_exit"],
        // Of what `path_filestat_get` leaves at 64 the size is at 32.
        &format!(r#"(data (i32.const 0) "\60\00\00\00\08\00\00\00") (data (i32.const 512) "{path}")"#),
        &format!(
            "(if (call $path_filestat_get (i32.const 3) (i32.const 0) (i32.const 512) (i32.const {length})
                   (i32.const 64))
               (then (call $proc_exit (i32.const 99))))
             (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
        ),
    )
}

/// Makes one file of 64 KiB after the other, for ever; exits with the errno of one that it cannot make.
pub(super) fn fill() -> Vec<u8> {
    let letters: Vec<String> = (0..4)
        .map(|place| {
            let (at, shift) = (512 + place, 4 * place);
            format!(
                "(i32.store8 (i32.const {at}) (i32.add (i32.const 97)
                   (i32.and (i32.shr_u (global.get $n) (i32.const {shift})) (i32.const 15))))"
            )
        })
        .collect();
    let letters = letters.concat();
    command(
        &["path_open", "fd_write", "fd_close", "proc_exit"],
        "(global $n (mut i32) (i32.const 0)) (global $errno (mut i32) (i32.const 0))
         (data (memory 0) (i32.const 16) \"\\00\\00\\00\\00\\00\\00\\01\\00\")",
        &format!(
            "(drop (memory.grow (i32.const 1)))
             (loop $again {letters}
               (global.set $errno (call $path_open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 4)
                 (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 0)))
               (if (global.get $errno) (then (call $proc_exit (global.get $errno))))
               (drop (call $fd_write (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 8)))
               (drop (call $fd_close (i32.load (i32.const 0))))
               (global.set $n (i32.add (global.get $n) (i32.const 1)))
               (br $again))"
        ),
    )
}

/// Makes a file of that many bytes that holds nothing; exits with the errno.
pub(super) fn sparse(path: &str, bytes: u64) -> Vec<u8> {
    let length = path.len();
    command(
        &["path_open", "fd_filestat_set_size", "proc_exit"],
        &format!(r#"(data (i32.const 512) "{path}")"#),
        &format!(
            "(drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const {length})
               (i32.const 1) (i64.const 4194368) (i64.const 4194368) (i32.const 0) (i32.const 0)))
             (call $proc_exit (call $fd_filestat_set_size (i32.load (i32.const 0)) (i64.const {bytes})))"
        ),
    )
}

/// Opens a file again and again, until it is told no; exits with the errno.
pub(super) fn open_many(path: &str) -> Vec<u8> {
    let length = path.len();
    command(
        &["path_open", "proc_exit"],
        &format!(r#"(data (i32.const 512) "{path}") (global $errno (mut i32) (i32.const 0))"#),
        &format!(
            "(loop $again
               (global.set $errno (call $path_open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const {length})
                 (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 0)))
               (br_if $again (i32.eqz (global.get $errno))))
             (call $proc_exit (global.get $errno))"
        ),
    )
}

/// A component that exits with a status.
pub(super) fn component_exit(status: u8) -> Vec<u8> {
    component(&format!("(call $exit (i32.const {status})) (i32.const 0)"))
}

/// A component whose `run` says whether it failed.
pub(super) fn component_says(failed: bool) -> Vec<u8> {
    component(&format!("(i32.const {})", i32::from(failed)))
}

/// A component that traps.
pub(super) fn component_trap() -> Vec<u8> {
    component("unreachable")
}

/// A component that never ends.
pub(super) fn component_spin() -> Vec<u8> {
    component("(loop $again (br $again)) (i32.const 0)")
}

/// A component that exits with a random byte: from which of the three interfaces.
pub(super) fn component_random(interface: &str) -> Vec<u8> {
    let function = match interface {
        "random" => "get-random-u64",
        _ => "get-insecure-random-u64",
    };
    assemble(&format!(
        r#"(component
          (import "wasi:random/{interface}@0.2.12" (instance $random
            (export "{function}" (func (result u64)))))
          (import "wasi:cli/exit@0.2.12" (instance $exit
            (export "exit-with-code" (func (param "status-code" u8)))))
          (core module $module
            (import "host" "exit" (func $exit (param i32)))
            (import "host" "random" (func $random (result i64)))
            (func (export "run") (result i32)
              (call $exit (i32.wrap_i64 (i64.and (call $random) (i64.const 255)))) (i32.const 0)))
          (core func $exit (canon lower (func $exit "exit-with-code")))
          (core func $random (canon lower (func $random "{function}")))
          (core instance $instance (instantiate $module
            (with "host" (instance (export "exit" (func $exit)) (export "random" (func $random))))))
          (func $run (result (result)) (canon lift (core func $instance "run")))
          (instance $command (export "run" (func $run)))
          (export "wasi:cli/run@0.2.12" (instance $command)))"#
    ))
}

fn component(body: &str) -> Vec<u8> {
    assemble(&format!(
        r#"(component
          (import "wasi:cli/exit@0.2.12" (instance $exit
            (export "exit-with-code" (func (param "status-code" u8)))))
          (core module $module
            (import "host" "exit" (func $exit (param i32)))
            (func (export "run") (result i32) {body}))
          (core func $exit (canon lower (func $exit "exit-with-code")))
          (core instance $instance (instantiate $module
            (with "host" (instance (export "exit" (func $exit))))))
          (func $run (result (result)) (canon lift (core func $instance "run")))
          (instance $command (export "run" (func $run)))
          (export "wasi:cli/run@0.2.12" (instance $command)))"#
    ))
}
