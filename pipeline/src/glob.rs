//! Patterns for branches, tags and changed files: `*` stops at `/`, `**` crosses it, `?` is one character, `{a,b}` one of
//! several.
//!
//! Used by `select` and `graph`. A pattern becomes a small machine that reads a name once, character by character, in all its states at
//! the same time, so the time is at most pattern × name whatever the pattern says. `[…]` and `\` are ordinary characters.
//! <https://support.atlassian.com/bitbucket-cloud/docs/use-glob-patterns-on-the-pipelines-yaml-file/>

/// Whether a pattern has braces around one word, which look like a choice and are ordinary characters.
pub(crate) fn has_lone_braces(pattern: &str) -> bool {
    let characters: Vec<char> = pattern.chars().collect();
    let braces = groups(&characters);
    let is_literal = |wanted: char| {
        let mut all = characters.iter().zip(&braces);
        all.position(|(character, brace)| *character == wanted && *brace == Brace::Literal)
    };
    matches!((is_literal('{'), is_literal('}')), (Some(open), Some(close)) if open < close)
}

/// Whether the whole name matches the pattern. Time: at most the product of both lengths.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).matches(name)
}

/// A pattern that is tried against many names.
#[derive(Debug)]
pub(crate) struct Pattern(Machine);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(Machine::new(pattern))
    }

    /// Whether the whole name matches. Time: at most the product of both lengths.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.accepts(name)
    }
}

/// What a state waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// This character, then the next state.
    Character(char),
    /// Any character but `/`, then the next state.
    NotSlash,
    /// Any number of characters; `/` among them if it crosses.
    Many { crosses: bool },
    /// Nothing: goes on at each of these states.
    Fork(Vec<usize>),
    /// Nothing: goes on at that state.
    Jump(usize),
}

/// The states of a pattern; one behind the last is the end.
#[derive(Debug)]
struct Machine {
    states: Vec<State>,
}

/// A `{` whose `}` has not come yet.
struct Group {
    fork: usize,
    /// Where each alternative begins.
    starts: Vec<usize>,
    /// The jumps at the end of each alternative but the last.
    jumps: Vec<usize>,
}

impl Machine {
    fn new(pattern: &str) -> Self {
        let characters: Vec<char> = pattern.chars().collect();
        let closing = groups(&characters);
        let mut states = Vec::with_capacity(characters.len());
        let mut open: Vec<Group> = Vec::new();
        let mut rest = characters.iter().enumerate().peekable();
        while let Some((index, &character)) = rest.next() {
            match character {
                '*' => {
                    let mut crosses = false;
                    while rest.next_if(|&(_, &next)| next == '*').is_some() {
                        crosses = true;
                    }
                    states.push(State::Many { crosses });
                }
                '?' => states.push(State::NotSlash),
                '{' if closing[index] == Brace::Group => {
                    let fork = states.len();
                    states.push(State::Fork(Vec::new()));
                    open.push(Group {
                        fork,
                        starts: vec![fork + 1],
                        jumps: Vec::new(),
                    });
                }
                ',' if closing[index] == Brace::Group => {
                    let jump = states.len();
                    states.push(State::Jump(0));
                    if let Some(group) = open.last_mut() {
                        group.jumps.push(jump);
                        group.starts.push(jump + 1);
                    }
                }
                '}' if closing[index] == Brace::Group => {
                    if let Some(group) = open.pop() {
                        let end = states.len();
                        for jump in group.jumps {
                            states[jump] = State::Jump(end);
                        }
                        states[group.fork] = State::Fork(group.starts);
                    }
                }
                character => states.push(State::Character(character)),
            }
        }
        Self { states }
    }

    fn accepts(&self, name: &str) -> bool {
        let end = self.states.len();
        let mut now = Marks::new(end + 1);
        let mut next = Marks::new(end + 1);
        self.enter(0, &mut now);
        for character in name.chars() {
            for index in 0..now.reached.len() {
                let state = now.reached[index];
                match self.states.get(state) {
                    Some(State::Character(wanted)) if *wanted == character => {
                        self.enter(state + 1, &mut next);
                    }
                    Some(State::NotSlash) if character != '/' => self.enter(state + 1, &mut next),
                    Some(State::Many { crosses }) if *crosses || character != '/' => {
                        self.enter(state, &mut next);
                    }
                    _ => {}
                }
            }
            if next.reached.is_empty() {
                return false;
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
        now.is_marked[end]
    }

    /// Marks a state and all that can be reached from it without a character.
    fn enter(&self, state: usize, marks: &mut Marks) {
        // What is marked and not yet followed stands at the end of the list itself.
        let mut followed = marks.reached.len();
        marks.mark(state);
        while let Some(&state) = marks.reached.get(followed) {
            followed += 1;
            match self.states.get(state) {
                Some(State::Many { .. }) => marks.mark(state + 1),
                Some(State::Fork(starts)) => starts.iter().for_each(|&start| marks.mark(start)),
                Some(State::Jump(target)) => marks.mark(*target),
                Some(State::Character(_) | State::NotSlash) | None => {}
            }
        }
    }
}

/// A set of states that remembers in which order it was filled.
struct Marks {
    is_marked: Vec<bool>,
    reached: Vec<usize>,
}

impl Marks {
    fn new(states: usize) -> Self {
        Self {
            is_marked: vec![false; states],
            reached: Vec::new(),
        }
    }

    fn mark(&mut self, state: usize) {
        if !std::mem::replace(&mut self.is_marked[state], true) {
            self.reached.push(state);
        }
    }

    fn clear(&mut self) {
        for state in self.reached.drain(..) {
            self.is_marked[state] = false;
        }
    }
}

/// Whether a brace or comma means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brace {
    Literal,
    Group,
}

/// Finds the braces that have a partner and a comma between them, as shells do; all others are ordinary characters.
fn groups(characters: &[char]) -> Vec<Brace> {
    let mut braces = vec![Brace::Literal; characters.len()];
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    for (index, character) in characters.iter().enumerate() {
        match character {
            '{' => open.push((index, Vec::new())),
            ',' => {
                if let Some((_, commas)) = open.last_mut() {
                    commas.push(index);
                }
            }
            '}' => {
                if let Some((start, commas)) = open.pop()
                    && !commas.is_empty()
                {
                    for part in commas.into_iter().chain([start, index]) {
                        braces[part] = Brace::Group;
                    }
                }
            }
            _ => {}
        }
    }
    braces
}

#[cfg(test)]
mod tests {
    use super::matches;

    const PAGE: &str = "https://support.atlassian.com/bitbucket-cloud/docs/use-glob-patterns-on-the-pipelines-yaml-file/";
    /// Where the page is silent, a pattern means what it means to a shell.
    const SHELL: &str =
        "https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_14";
    const BRACES: &str = "https://www.gnu.org/software/bash/manual/html_node/Brace-Expansion.html";
    /// Said by nobody: such a pattern is taken by its letters.
    const NOWHERE: &str = "no page says that this is special";

    /// Pattern, names that match, names that do not, the page.
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        &'static str,
    );

    #[rustfmt::skip]
    const CASES: &[Case] = &[
        ("main", &["main"], &["Main", "main2", "xmain", ""], PAGE),
        ("*", &["main", "", "v1.0"], &["feature/x", "/"], PAGE),
        ("**", &["main", "feature/x", "", "a/b/c"], &[], PAGE),
        ("feature/*", &["feature/x", "feature/"], &["feature/x/y", "feature"], PAGE),
        ("feature/**", &["feature/x", "feature/x/y"], &["feature", "features/x"], PAGE),
        ("**/fix", &["a/fix", "a/b/fix", "/fix"], &["fix", "a/fixes"], PAGE),
        ("*/feature", &["x/feature"], &["feature", "x/y/feature"], PAGE),
        ("v?.?", &["v1.2"], &["v1.", "v1/2", "v10.2"], SHELL),
        ("{main,release/*}", &["main", "release/1"], &["release/1/2", "{main,release/*}"], BRACES),
        ("a{b,c{d,e}}f", &["abf", "acdf", "acef"], &["acf", "abdf"], BRACES),
        ("x{,y}", &["x", "xy"], &["xyy"], BRACES),
        ("{main}", &["{main}"], &["main"], BRACES),
        ("a{b", &["a{b"], &["ab"], BRACES),
        ("a}b,c", &["a}b,c"], &["a"], BRACES),
        ("{a{b,c}", &["{ab", "{ac"], &["ab"], BRACES),
        ("v[0-9]", &["v[0-9]"], &["v1"], NOWHERE),
        ("a\\*", &["a\\b"], &["a*"], NOWHERE),
        ("*-*", &["a-b", "-", "a-b-c"], &["ab"], PAGE),
        ("***", &["a/b"], &[], PAGE),
        ("straße-?", &["straße-ü"], &["strasse-u"], SHELL),
    ];

    #[test]
    fn a_pattern_matches_as_the_language_says() {
        for (pattern, yes, no, page) in CASES {
            for name in *yes {
                assert!(
                    matches(pattern, name),
                    "{pattern} should match {name}: {page}"
                );
            }
            for name in *no {
                assert!(
                    !matches(pattern, name),
                    "{pattern} should not match {name}: {page}"
                );
            }
        }
    }

    /// A matcher that backtracks, or that writes braces out, would not end within the lifetime of the machine.
    #[test]
    fn a_hostile_pattern_takes_no_longer_than_its_length_says() {
        let name = "a".repeat(1_000);
        assert!(!matches(&("*a".repeat(400) + "b"), &name));
        assert!(!matches(&("{a,aa,*}".repeat(200) + "b"), &name));
        assert!(!matches(
            &("{".repeat(200) + "a,b" + &",c}".repeat(200)),
            &name
        ));
        assert!(matches(&"{,a}".repeat(1_000), &name));
    }
}
