//! What a person types to run something again, as a shell takes it.

use super::text::harmless;

/// The commands that repeat a run. None of them where an option's value cannot be typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    again: Option<String>,
    whole: Option<String>,
}

impl Commands {
    /// For a run with these options and values, of one step or of all.
    pub fn of_run(options: &[(&str, String)], step: Option<&str>) -> Self {
        let whole = options
            .iter()
            .try_fold("cofferdam run".to_owned(), |line, (option, value)| {
                Some(line + &typed(option, value)?)
            });
        let mut commands = Self {
            again: whole.clone(),
            whole,
        };
        if let Some(step) = step {
            commands.again = commands.of_step(step);
        }
        commands
    }

    /// The same again.
    pub fn again(&self) -> Option<&str> {
        self.again.as_deref()
    }

    /// All steps, with the same options.
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// The one step of this name, with the same options.
    pub fn of_step(&self, name: &str) -> Option<String> {
        Some(self.whole.clone()? + &typed("--step", name)?)
    }
}

/// An option and its value behind a space, if a shell's line can hold them.
fn typed(option: &str, value: &str) -> Option<String> {
    if harmless(value) != value || value.contains('\t') {
        return None;
    }
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@%+,-=".contains(&byte);
    let value = if !value.is_empty() && value.bytes().all(is_bare) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    };
    // A value of its own that begins with a dash would be an option.
    let between = if value.trim_start_matches('\'').starts_with('-') {
        '='
    } else {
        ' '
    };
    Some(format!(" {option}{between}{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(options: &[(&str, &str)], step: Option<&str>) -> Commands {
        let options: Vec<_> = options
            .iter()
            .map(|(option, value)| (*option, (*value).to_owned()))
            .collect();
        Commands::of_run(&options, step)
    }

    #[test]
    fn a_shell_reads_each_value_as_it_was_given() {
        for (value, typed) in [
            ("main", " --x main"),
            ("A=b", " --x A=b"),
            ("A=b c", " --x 'A=b c'"),
            ("it's --odd", r" --x 'it'\''s --odd'"),
            ("-x", " --x=-x"),
            ("-a b", " --x='-a b'"),
            ("$HOME", " --x '$HOME'"),
            ("~", " --x '~'"),
            ("", " --x ''"),
            ("größe", " --x 'größe'"),
        ] {
            let commands = commands(&[("--x", value)], None);
            assert_eq!(commands.again(), Some(&*format!("cofferdam run{typed}")));
        }
    }

    #[test]
    fn one_step_again_and_all_of_them() {
        let one = commands(&[("--branch", "a")], Some("Run tests"));
        let again = "cofferdam run --branch a --step 'Run tests'";
        assert_eq!(one.again(), Some(again));
        assert_eq!(one.of_step("Run tests").as_deref(), Some(again));
        assert_eq!(one.whole(), Some("cofferdam run --branch a"));
    }

    #[test]
    fn what_cannot_be_typed_is_not_proposed() {
        for value in ["a\nb", "a\tb", "\u{1b}[2J", "\u{202e}"] {
            assert_eq!(commands(&[("--x", value)], None), Commands::default());
            let step = commands(&[], Some(value));
            assert_eq!((step.again(), step.whole()), (None, Some("cofferdam run")));
        }
    }
}
