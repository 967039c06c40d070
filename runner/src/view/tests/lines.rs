//! Logs: how they fold, and what hostile ones look like.

use cofferdam_protocol::Origin;

use super::*;

/// Everything a step may try: steering, overwriting, reordering, imitating, and no text at all.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[1Aup\u{7}\n\u{9b}31mred\u{85}next\n\u{202e}gpj.exe\u{200b}\n\
    ▌ ✓ Deploy  0.1 s\na\tb\u{0}c\nz\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\n";

fn one_step(bytes: &[u8]) -> Vec<(u64, Event)> {
    vec![
        (0, began(vec![row(0, "Te\u{1b}[31mst\n▌ ✓", None)])),
        (0, started(0)),
        (1, log(0, bytes)),
        (500, ended(0, exit(2))),
    ]
}

#[test]
fn nothing_a_step_writes_steers_a_terminal() {
    let bytes = [
        HOSTILE.as_bytes(),
        b"\xff\xfe\x9b2J",
        "▌".repeat(3).as_bytes(),
    ]
    .concat();
    insta::assert_snapshot!(frame_of(&one_step(&bytes)[..3], 100, WIDE), @r"
    ▌ ⠙ Te\u{1b}[31mst\u{a}\u{258… 0.1 s │ \xff\xfe\x9b2J\u{258c}\u{258c}\u{258c}
    ▌ 0 of 1 done · 0.1 s · Ctrl-C cancels
    ");
    insta::assert_snapshot!(screen_of(&one_step(&bytes), WIDE), @r"
    ▌ branches › main · 1a2b3c4d5e6f · 1 step
    ▌ ✗ Te\u{1b}[31mst\u{a}\u{258c} ✓  exit 2  0.5 s
    │ \u{1b}[2J\u{1b}[1Aup\u{7}
    │ \u{9b}31mred\u{85}next
    │ \u{202e}gpj.exe\u{200b}
    │ \u{258c} ✓ Deploy  0.1 s
    │ a       b\u{0}c
    │ z̀̀̀̀̀̀̀̀\u{300}\u{300}
    │ \xff\xfe\x9b2J\u{258c}\u{258c}\u{258c}
    ▌   whole log: .cofferdam/logs/1.log
    ▌ 1 of 1 done · 0.5 s · 1 failed · Ctrl-C cancels
    ");
    insta::assert_snapshot!(plain_of(&one_step(&bytes)), @r"
    ▌ branches › main · 1a2b3c4d5e6f · 1 step
    ▌ Te\u{1b}[31mst\u{a}\u{2… ▌ starts (container image)
    │ Te\u{1b}[31mst\u{a}\u{2… │ \u{1b}[2J\u{1b}[1Aup\u{7}
    │ Te\u{1b}[31mst\u{a}\u{2… │ \u{9b}31mred\u{85}next
    │ Te\u{1b}[31mst\u{a}\u{2… │ \u{202e}gpj.exe\u{200b}
    │ Te\u{1b}[31mst\u{a}\u{2… │ \u{258c} ✓ Deploy  0.1 s
    │ Te\u{1b}[31mst\u{a}\u{2… │ a	b\u{0}c
    │ Te\u{1b}[31mst\u{a}\u{2… │ z̀̀̀̀̀̀̀̀\u{300}\u{300}
    │ Te\u{1b}[31mst\u{a}\u{2… │ \xff\xfe\x9b2J\u{258c}\u{258c}\u{258c}
    ▌ ✗ Te\u{1b}[31mst\u{a}\u{258c} ✓  exit 2  0.5 s
    ▌   whole log: .cofferdam/logs/1.log
    ");
}

#[test]
fn a_progress_bar_is_one_line_when_folded_and_every_line_when_plain() {
    let bar = b"10%\r20%\r\r\n30%\r   \nend\r\n\r\nlast\r";
    let screen = screen_of(&one_step(bar), WIDE);
    let steps: Vec<&str> = screen
        .lines()
        .filter(|line| line.starts_with('│'))
        .collect();
    assert_eq!(steps, ["│ 20%", "│ 30%", "│ end", "│", "│ last"]);
    let plain = plain_of(&one_step(bar));
    let texts: Vec<&str> = plain
        .lines()
        .filter(|line| line.starts_with('│'))
        .map(|line| line.rsplit('│').next().unwrap())
        .collect();
    assert_eq!(
        texts,
        [" 10%", " 20%", " 30%", "    ", " end", " ", " last"]
    );
}

#[test]
fn the_latest_line_is_what_a_terminal_would_show() {
    for (bytes, expected) in [
        ("one\ntwo\n", "two"),
        ("one\ntwo\n\n  \n", "two"),
        ("one\nhal", "hal"),
        ("10%\r20%", "20%"),
        ("10%\r20%\r", "20%"),
        ("10%\r", "10%"),
        ("10%\r    ", "10%"),
    ] {
        let frame = frame_of(&one_step(bytes.as_bytes())[..3], 100, WIDE);
        let line = frame.lines().next().unwrap();
        assert!(
            line.ends_with(&format!("│ {expected}")),
            "{bytes:?}: {line}"
        );
    }
}

#[test]
fn the_lines_of_two_origins_do_not_mix() {
    let events = [
        (0, began(vec![row(0, "Test", None)])),
        (0, started(0)),
        (1, log(0, "out ")),
        (2, logged_by(Origin::Stderr, 0, "err ")),
        (3, logged_by(Origin::System, 0, "the step is slow\n")),
        (4, log(0, "is whole\nand half")),
        (5, logged_by(Origin::Stderr, 0, "is half")),
        (6, ended(0, exit(1))),
    ];
    insta::assert_snapshot!(plain_of(&events), @"
    ▌ branches › main · 1a2b3c4d5e6f · 1 step
    ▌ Test ▌ starts (container image)
    ▌ Test ▌ the step is slow
    │ Test │ out is whole
    │ Test │ and half
    │ Test │ err is half
    ▌ ✗ Test  exit 1  0.0 s
    ▌   whole log: .cofferdam/logs/1.log
    ");
    insta::assert_snapshot!(screen_of(&events, WIDE), @"
    ▌ branches › main · 1a2b3c4d5e6f · 1 step
    ▌ ✗ Test  exit 1  0.0 s
    ▌ the step is slow
    │ out is whole
    │ and half
    │ err is half
    ▌   whole log: .cofferdam/logs/1.log
    ▌ 1 of 1 done · 0.0 s · 1 failed · Ctrl-C cancels
    ");
}

#[test]
fn a_character_in_two_pieces_stays_whole() {
    let mut events = one_step("é✓".as_bytes());
    let halves = [b"\xc3".as_slice(), b"\xa9\xe2\x9c", b"\x93\n"];
    events.splice(2..3, halves.into_iter().map(|half| (1, log(0, half))));
    assert!(screen_of(&events, WIDE).contains("│ é✓"));
    assert!(plain_of(&events).contains("│ é✓"));
}

#[test]
fn a_long_log_says_how_much_is_left_out_and_where_it_is() {
    let log: Vec<String> = (1..=2_000).map(|line| format!("line {line}")).collect();
    let screen = screen_of(&one_step(log.join("\n").as_bytes()), WIDE);
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines[2], "▌   1500 earlier lines are left out");
    assert_eq!(lines[3], "│ line 1501");
    assert_eq!(lines[502], "│ line 2000");
    assert_eq!(lines[503], "▌   whole log: .cofferdam/logs/1.log");
}

#[test]
fn a_log_without_end_takes_bounded_memory_and_every_line_is_counted() {
    let mut model = Model::default();
    model.apply(ms(0), &began(vec![row(0, "Test", None)]));
    model.apply(ms(0), &started(0));
    let empty_lines = log(0, "\n".repeat(100_000));
    let no_line = log(0, "x".repeat(1 << 20));
    for _ in 0..3 {
        model.apply(ms(1), &empty_lines);
        model.apply(ms(1), &no_line);
    }
    model.apply(ms(2), &ended(0, exit(1)));
    let fold = model.take_fold(0);
    let kept: usize = fold.lines().iter().map(|line| line.bytes.len() + 64).sum();
    assert!(kept <= 1 << 20, "{kept} bytes");
    let pieces = 256;
    // The first line feed after a piece ends it.
    let all = 300_000 + 3 * pieces - 2;
    let ends_in_pieces = fold.dropped() + fold.lines().len() as u64;
    assert_eq!(ends_in_pieces, all);
}

#[test]
fn a_line_without_end_is_cut_between_characters() {
    let text = "é".repeat(40_000);
    let plain = plain_of(&one_step(text.as_bytes()));
    let lines: Vec<&str> = plain.lines().filter(|line| line.starts_with('│')).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(plain.matches('é').count(), 40_000);
}

#[test]
fn what_is_said_before_the_start_belongs_to_the_step_and_a_second_try_begins_anew() {
    let events = [
        (0, began(vec![row(0, "Test", None)])),
        (0, logged_by(Origin::System, 0, "pulling\n")),
        (1, started(0)),
        (2, ended(0, exit(1))),
        (3, started(0)),
        (4, log(0, "again\n")),
        (1_005, ended(0, exit(1))),
    ];
    insta::assert_snapshot!(screen_of(&events, WIDE), @"
    ▌ branches › main · 1a2b3c4d5e6f · 1 step
    ▌ ✗ Test  exit 1  0.0 s
    ▌ pulling
    ▌   whole log: .cofferdam/logs/1.log
    ▌ ✗ Test  exit 1  1.0 s
    │ again
    ▌   whole log: .cofferdam/logs/1.log
    ▌ 1 of 1 done · 1.0 s · 1 failed · Ctrl-C cancels
    ");
}

#[test]
fn the_colours_of_a_step_are_there_where_there_is_colour_and_end_with_their_line() {
    let text = "\u{1b}[31mred\nnext\u{1b}[1;46m \u{1b}[7m\u{1b}[0m\u{1b}[2K▌▍█\n\u{1b}[32mgreen \u{1b}[4mline\n";
    let events = [
        (0, began(vec![row(0, "Test", None)])),
        (0, started(0)),
        (1, log(0, text)),
        (2, ended(0, exit(1))),
    ];
    let shown = |mut view: View| {
        let apply = |(at, event): &(u64, Event)| view.apply(ms(*at), event, WIDE);
        let text: String = events.iter().map(apply).collect();
        let of_step = text.lines().filter(|line| line.contains('│'));
        of_step
            .map(|line| line.replace('\u{1b}', "␛").replace('\r', "") + "\n")
            .collect::<String>()
    };
    insta::assert_snapshot!(shown(View::terminal(true)), @r"
    ␛[2K␛[2m│␛[0m ␛[31mred␛[0m
    ␛[2K␛[2m│␛[0m next␛[1m ␛[0m\u{1b}[2K\u{258c}\u{258d}\u{2588}
    ␛[2K␛[2m│␛[0m ␛[32mgreen ␛[0m␛[4;32mline␛[0m
    ");
    insta::assert_snapshot!(shown(View::terminal(false)), @r"
    ␛[2K│ red
    ␛[2K│ next \u{1b}[2K\u{258c}\u{258d}\u{2588}
    ␛[2K│ green line
    ");
    insta::assert_snapshot!(shown(View::plain(true)), @r"
    ␛[2m│␛[0m ␛[2mTest␛[0m␛[2m │ ␛[0m␛[31mred␛[0m
    ␛[2m│␛[0m ␛[2mTest␛[0m␛[2m │ ␛[0mnext␛[1m ␛[0m\u{1b}[2K\u{258c}\u{258d}\u{2588}
    ␛[2m│␛[0m ␛[2mTest␛[0m␛[2m │ ␛[0m␛[32mgreen ␛[0m␛[4;32mline␛[0m
    ");
    insta::assert_snapshot!(shown(View::plain(false)), @r"
    │ Test │ red
    │ Test │ next \u{1b}[2K\u{258c}\u{258d}\u{2588}
    │ Test │ green line
    ");
}
