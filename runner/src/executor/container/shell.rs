//! The shell texts: the init of the container, and the program that runs a step's lines.
//!
//! The program goes in over the exec's standard input and nowhere else, so no line stands in a
//! container's configuration, in a command line or in a file. The shell holds it in memory, and its own
//! standard input is `/dev/null` before the first line runs.

use super::echo::Marker;

/// Sent to the init, which then asks everything else in the container to end.
pub(super) const ASK_ALL: &str = "SIGUSR1";

/// Sent to the init, which then kills everything else in the container.
pub(super) const KILL_ALL: &str = "SIGUSR2";

/// How many tasks an idle container has: the init and its sleep.
pub(super) const INIT_TASKS: u64 = 2;

/// The init. It waits, reaps what the step leaves behind, and sends a signal to all when it is told to.
///
/// `kill -1` spares the sender itself, and from the first process of a process namespace it reaches
/// nothing outside. Doing it here needs no new process, so it works when the limit on processes is
/// reached, and the kernel sends the signal to all at once, so nothing forks away from it.
pub(super) const INIT: &str = "trap 'kill -TERM -1' USR1
trap 'kill -KILL -1' USR2
sleep 0 || exit 127
while :; do
  (trap '' TERM; exec sleep 86400) &
  s=$!
  while kill -0 $s 2>/dev/null; do wait $s; done
done";

/// Takes the program from standard input and becomes the shell that runs it: bash if the image has it,
/// else sh.
const LAUNCH: &str =
    "command -v bash >/dev/null 2>&1 && exec bash -c \"$1\" bash || exec sh -c \"$1\" sh";

/// What the shell does first.
const TAKE: &str = "cofferdam_program=$(cat) && exec </dev/null && eval \"$cofferdam_program\"";

/// The descriptor on which lines announce themselves. Scripts keep their locks on 3 and 9; each line
/// runs with this one closed, so nothing that a line starts can write to it.
const ECHO_FD: u8 = 7;

/// The command of the exec. It is the same for every step.
pub(super) fn command() -> [&'static str; 5] {
    ["/bin/sh", "-c", LAUNCH, "sh", TAKE]
}

/// The program for `lines`: one shell, `set -e`, each line announced by its marker before it runs.
///
/// Each line is one `eval`, so that a line with an open quote or `if` fails by itself and cannot swallow
/// the next one. What a line sets, changes into or opens lasts for the next ones; only `$?` does not.
pub(super) fn program(lines: &[String], marker: &Marker) -> String {
    let prologue = format!("unset cofferdam_program\nexec {ECHO_FD}>&1\nset -e\n");
    let lines = lines.iter().enumerate().map(|(index, line)| {
        let (marker, line) = (marker.as_printf(index), quote(line));
        format!("printf '{marker}' >&{ECHO_FD}\neval {line} {ECHO_FD}>&-\n")
    });
    std::iter::once(prologue).chain(lines).collect()
}

/// One word of the shell, whatever is in `text`. A NUL byte cannot be in it (`step` refuses it).
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_quoted_and_announced() {
        let lines = ["it's", "cat <<EOF\n$x\nEOF"].map(str::to_owned);
        insta::assert_snapshot!(program(&lines, &Marker::new("c0ffee")), @r##"
        unset cofferdam_program
        exec 7>&1
        set -e
        printf '\036c0ffee:0000000\036' >&7
        eval 'it'\''s' 7>&-
        printf '\036c0ffee:0000001\036' >&7
        eval 'cat <<EOF
        $x
        EOF' 7>&-
        "##);
    }
}
