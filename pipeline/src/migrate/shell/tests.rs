//! What is told of a script, in short: `?NAME` reads, `?NAME-` reads with a default, `=NAME` sets, `!prog` runs.

use super::*;
use proptest::prelude::*;

fn told(text: &str) -> String {
    let mut words = Vec::new();
    scan(text, &mut |word| {
        words.push(match word {
            Word::Read {
                name,
                lines_before,
                has_default,
                is_of_itself,
            } => {
                let default = if has_default { "-" } else { "" };
                let own = if is_of_itself { "@" } else { "" };
                let line = if lines_before > 0 {
                    format!(":{lines_before}")
                } else {
                    String::new()
                };
                format!("?{name}{default}{own}{line}")
            }
            Word::Set { name } => format!("={name}"),
            Word::Runs { program, .. } => format!("!{program}"),
            Word::Includes => "!*".to_owned(),
        });
    });
    words.join(" ")
}

/// Each row is what a POSIX shell does with the line.
/// <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html>
#[test]
fn a_script_is_read_as_a_shell_would() {
    for (text, expected) in [
        // 2.6.2, parameter expansion.
        ("echo $A ${B}", "!echo ?A ?B"),
        (
            "echo ${A:-x} ${B-y} ${C:+z} ${D:?no} ${#E}",
            "!echo ?A- ?B- ?C- ?D ?E",
        ),
        (": ${A:=x}; echo $A", "!: ?A- =A !echo ?A"),
        ("echo ${A:-$B}", "!echo ?A- ?B"),
        ("echo $$ $? $1 $@ ${10} $", "!echo"),
        ("echo $A_B$C-$D.e", "!echo ?A_B ?C ?D"),
        // 2.2, quoting.
        (r"echo '$A' \$B", "!echo"),
        (r#"echo "'$A'" "\$B" "it's $C""#, "!echo ?A ?C"),
        (r#"x="$(awk '{print $NF}' f)""#, "!awk =x"),
        ("echo it\\'s $A", "!echo ?A"),
        ("echo $'a\\'$B' $C", "!echo ?C"),
        // 2.3, comments begin a word.
        ("# $A\necho a#$B # $C", "!echo ?B:1"),
        // 2.9.1, an assignment before a program is the program's.
        ("A=1 B=2", "=A =B"),
        ("A=1 make", "!make"),
        ("make A=1", "!make"),
        ("export A=$A B", "?A@ =A"),
        ("A=$(cat f) && echo $A", "!cat =A !echo ?A"),
        ("A+=x; B[0]=y; C=(a $D)", "=A =B ?D =C"),
        // 2.9.4, loops and branches.
        ("for f in $L; do echo $f; done", "=f ?L !echo ?f !done"),
        ("if [ -z \"$A\" ]; then A=1; fi", "![ ?A =A !fi"),
        ("while read -r a b; do :; done", "=a =b !: !done"),
        (
            "case $A in x) B=1;; *) C=2;; esac",
            "!case ?A =B !* =C !esac",
        ),
        ("f() { echo $1 $A; }", "!f !echo ?A !}"),
        // 2.6.3, command substitution.
        ("echo `date $A` $B", "!echo !date ?A ?B"),
        ("echo $(a $(b $C)) $D", "!echo !a !b ?C ?D"),
        ("(cd x; A=1)", "!cd =A"),
        // 2.7.4, here-documents.
        ("cat <<E > f\ndon't $A\nE\necho $B", "!cat ?A:1 !echo ?B:3"),
        ("cat <<'E'\n$A\nE\necho $B", "!cat !echo ?B:3"),
        ("cat <<-\"E O\"\n$A\n", "!cat"),
        ("cat <<< $A", "!cat ?A"),
        // What another program expands, and what cannot be seen.
        ("bash -c 'echo $A'; sh -ec 'x'", "!bash ?A !sh"),
        ("envsubst '$A $B' < in", "!envsubst ?A ?B"),
        ("source ./env.sh; . x; eval \"$A\"", "!* !* !* ?A"),
        ("printf -v A %s x; printf %s B", "=A"),
        ("sudo ssh-keyscan a | tee b", "!sudo !tee"),
        ("$env:A = 'b'", "?A"),
        ("PATH=$PATH:x\nA=1 \\\n make $B", "?PATH@ =PATH !make ?B:2"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn a_deep_script_is_read_to_its_end() {
    for piece in ["$(", "\"$(", "`", "(", "${A:-", "<<E\n", "'", "$"] {
        let text = piece.repeat(20_000) + "\necho $LAST";
        let _words = told(&text);
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "[ -~\n\t'\"`$(){}<>\\\\é]{0,200}") {
        let _words = told(&text);
        expansions(&text, &mut |_| {});
    }

    #[test]
    fn every_name_that_is_told_stands_in_the_text(text in "([A-C$={}'\"();\n -]){0,60}") {
        scan(&text, &mut |word| {
            if let Word::Read { name, lines_before, .. } = word {
                let line = text.split('\n').nth(lines_before as usize).unwrap();
                assert!(line.contains(name), "{name} in {line:?}");
            }
        });
    }
}
