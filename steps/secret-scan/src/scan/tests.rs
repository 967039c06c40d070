//! Samples are put together here from pieces, so that this file is clean in its own eyes.

use super::*;

/// The rules that one line meets, with the column of each.
fn found(line: &str, strictness: Strictness) -> Vec<(usize, &'static str)> {
    let scanned = scan(line.as_bytes(), strictness);
    scanned
        .findings
        .iter()
        .map(|finding| (finding.column, finding.rule))
        .collect()
}

fn known(line: &str) -> Vec<(usize, &'static str)> {
    found(line, Strictness::Known)
}

const ALPHANUMERIC_36: &str = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";

#[test]
fn every_token_rule_finds_a_token_of_its_kind() {
    let cases = [
        (
            "aws-access-key-id",
            format!("{}{}", "AKIA", "IOSFODNN7QWERTYU"),
        ),
        (
            "aws-access-key-id",
            format!("{}{}", "ASIA", "Y34FZKBOKMUTVV7A"),
        ),
        ("github-token", format!("{}{ALPHANUMERIC_36}", "ghp_")),
        (
            "github-token",
            format!("{}{ALPHANUMERIC_36}_{ALPHANUMERIC_36}", "github_pat_"),
        ),
        (
            "gitlab-token",
            format!("{}{}", "glpat-", &ALPHANUMERIC_36[..20]),
        ),
        (
            "slack-token",
            format!("{}{}", "xoxb-", "123456789012-abcdefABCDEF"),
        ),
    ];
    for (rule, token) in cases {
        for line in [
            token.clone(),
            format!("x={token}"),
            format!("\"{token}\","),
            format!("({token})"),
        ] {
            let found = known(&line);
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].1, rule, "{line}");
        }
    }
}

#[test]
fn a_word_that_only_looks_like_a_token_is_none() {
    let cases = [
        // Glued to letters before or after, one character short or long, the wrong alphabet.
        format!("X{}{}", "AKIA", "IOSFODNN7QWERTYU"),
        format!("{}{}", "AKIA", "IOSFODNN7QWERTYUX"),
        format!("{}{}", "AKIA", "IOSFODNN7QWERTY"),
        format!("{}{}", "AKIA", "IOSFODNN7EXAMPLE"),
        format!("{}{}", "ghp_", &ALPHANUMERIC_36[..35]),
        "glpat-short".to_owned(),
        "the prefix ghp_ marks a token".to_owned(),
    ];
    for line in cases {
        assert_eq!(known(&line), [], "{line}");
    }
}

#[test]
fn a_private_key_is_found_by_its_first_line_and_a_public_one_is_not() {
    let line = |label: &str| format!("-----BEGIN {label}-----");
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        assert_eq!(known(&line(label)), [(1, "private-key")], "{label}");
    }
    for label in [
        "PUBLIC KEY",
        "CERTIFICATE",
        "PGP PUBLIC KEY BLOCK",
        "private key",
    ] {
        assert_eq!(known(&line(label)), [], "{label}");
    }
}

#[test]
fn an_aws_secret_is_known_by_the_name_that_it_is_assigned_to() {
    let secret = format!("{}{}", "wJalrXUtnFEMI/K7MDENG/", "bPxRfiCYabcdefghij");
    for line in [
        format!("aws_secret_access_key = {secret}"),
        format!("AWS_SECRET_ACCESS_KEY={secret}"),
        format!("\"secretAccessKey\": \"{secret}\","),
    ] {
        let found = known(&line);
        assert_eq!(
            found,
            [(line.find("wJal").unwrap() + 1, "aws-secret-access-key")],
            "{line}"
        );
    }
    assert_eq!(known(&format!("digest = {secret}")), []);
}

#[test]
fn a_random_value_with_a_telling_name_is_found_only_when_strict() {
    let line = format!("db_password: \"{}\"", "9fQ2xLk7Vb3ZtR8w");
    assert_eq!(known(&line), []);
    assert_eq!(
        found(&line, Strictness::Strict),
        [(15, "high-entropy-assignment")]
    );
    for harmless in [
        "password = read_password_from_terminal()",
        "token: ${{ secrets.TOKEN }}",
        "token_count = 1234567890123456789",
        "secret_path = /etc/cofferdam/secrets/deployment",
        "api_key = \"aaaaaaaaaaaaaaaaaaaaaaa1\"",
    ] {
        assert_eq!(found(harmless, Strictness::Strict), [], "{harmless}");
    }
}

#[test]
fn a_token_in_an_assignment_is_one_finding() {
    let line = format!("github_token = {}{ALPHANUMERIC_36}", "ghp_");
    assert_eq!(found(&line, Strictness::Strict), [(16, "github-token")]);
}

#[test]
fn a_marked_line_is_left_out_and_counted() {
    let text = format!("x\n{}{ALPHANUMERIC_36} # secret-scan: allow\n", "ghp_");
    assert_eq!(
        scan(text.as_bytes(), Strictness::Known),
        Scanned {
            findings: Vec::new(),
            allowed: 1
        }
    );
}

#[test]
fn places_are_counted_from_one_and_in_order() {
    let key = format!("{}{ALPHANUMERIC_36}", "gho_");
    let text = format!("first\n  {key} {key}\nlast {key}");
    let scanned = scan(text.as_bytes(), Strictness::Known);
    let places: Vec<_> = scanned
        .findings
        .iter()
        .map(|found| (found.line, found.column))
        .collect();
    assert_eq!(places, [(2, 3), (2, 44), (3, 6)]);
    let prints: Vec<_> = scanned
        .findings
        .iter()
        .map(|found| found.fingerprint)
        .collect();
    assert!(prints.iter().all(|print| *print == prints[0]));
}

#[test]
fn any_bytes_are_scanned_without_a_panic() {
    let every: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for start in (0..300).step_by(17) {
        scan(&every[start..], Strictness::Strict);
    }
    for hostile in [
        &b"=".repeat(20_000)[..],
        &b"token:".repeat(5_000),
        &b"-----BEGIN ".repeat(5_000),
    ] {
        scan(hostile, Strictness::Strict);
    }
}
