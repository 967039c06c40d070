//! How a runner knows its hub: what it refuses, and what it says then.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::World;
use cofferdam_tests::process::{Running, command, program, shell_status};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// A CA of an operator's own, and certificates that it issues.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "An operator's CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    /// Writes a certificate for `name`, valid until the given year, and its key.
    fn issue(&self, dir: &Path, name: &str, last_year: i32) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.0)?;
        fs::write(
            dir.join("hub.pem"),
            format!("{}{}", certificate.pem(), self.0.pem()),
        )?;
        fs::write(dir.join("hub.key"), key.serialize_pem())?;
        Ok(())
    }
}

/// Writes a certificate that nobody but its own key vouches for.
fn self_signed(dir: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    fs::write(dir.join("hub.pem"), certificate.pem())?;
    fs::write(dir.join("hub.key"), key.serialize_pem())?;
    Ok(())
}

/// What a runner that joined a good hub says when that hub comes back with the certificate that `issue` writes.
fn answer(
    authority: &Authority,
    issue: impl FnOnce(&Path) -> Result<()>,
    is_good: bool,
) -> Result<String> {
    let world = World::start()?;
    world.join("one", "")?;
    let mut world = world;
    let listen = fs::read_to_string(world.dir().join("hub/address"))?;
    // From now on this runner trusts the operator's CA alone.
    let identity = world.runner_state("one").join("identity.json");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&identity)?)?;
    file["ca"] = authority.0.pem().into();
    fs::write(&identity, serde_json::to_vec(&file)?)?;
    issue(world.dir())?;
    world.hub.signal("KILL")?;
    world.hub.wait()?;
    let mut serve = command(&program("cofferdam-hub")?, world.dir());
    serve
        .args(["serve", "--listen", listen.trim()])
        .arg("--data")
        .arg(world.dir().join("hub"))
        .arg("--tls-cert")
        .arg(world.dir().join("hub.pem"))
        .arg("--tls-key")
        .arg(world.dir().join("hub.key"));
    let mut hub = Running::start("hub", &mut serve, &world.dir().join("hub2.log"))?;
    hub.wait_until_it_says("listening")?;
    let mut runner = world.start_runner("one")?;
    let said = if is_good {
        runner.wait_until_it_says("session open")?;
        runner.said()
    } else {
        let status = runner.wait()?;
        ensure!(
            shell_status(status) == 1,
            "it ended with {status}:\n{}",
            runner.said()
        );
        runner.said()
    };
    said.lines()
        .rev()
        .find(|line| line.contains("cofferdam: ") || line.contains("session open"))
        .map(str::to_owned)
        .with_context(|| format!("it said nothing of its own:\n{said}"))
}

#[test]
fn a_hub_with_the_operators_certificate_is_spoken_to() -> Result<()> {
    let authority = Authority::new()?;
    let issue = |dir: &Path| authority.issue(dir, "localhost", 2099);
    let said = answer(&authority, issue, true)?;
    ensure!(said.contains("session open"), "{said}");
    Ok(())
}

#[test]
fn a_hub_with_an_expired_certificate_is_refused_as_expired() -> Result<()> {
    let authority = Authority::new()?;
    let issue = |dir: &Path| authority.issue(dir, "localhost", 2021);
    let said = answer(&authority, issue, false)?;
    ensure!(said.contains("has expired"), "{said}");
    Ok(())
}

#[test]
fn a_hub_that_vouches_for_itself_is_refused_as_another_certificate() -> Result<()> {
    let said = answer(&Authority::new()?, self_signed, false)?;
    ensure!(said.contains("another certificate"), "{said}");
    Ok(())
}

#[test]
fn a_hub_with_a_certificate_for_another_name_is_refused_as_wrong_name() -> Result<()> {
    let authority = Authority::new()?;
    let issue = |dir: &Path| authority.issue(dir, "elsewhere.example", 2099);
    let said = answer(&authority, issue, false)?;
    ensure!(
        said.contains("wrong name") && said.contains("elsewhere.example"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_hub_with_another_ca_is_refused_as_another_certificate() -> Result<()> {
    let first = World::start()?;
    first.join("one", "")?;
    let second = World::start()?;
    // The runner of the first hub is sent to the second, which has the same name and good dates.
    let identity = first.runner_state("one").join("identity.json");
    let text = fs::read_to_string(&identity)?;
    fs::write(&identity, text.replace(&first.address, &second.address))?;
    let mut runner = first.start_runner("one")?;
    let status = runner.wait()?;
    ensure!(shell_status(status) == 1, "it ended with {status}");
    ensure!(
        runner.said().contains("another certificate"),
        "{}",
        runner.said()
    );
    Ok(())
}

#[test]
fn a_wrong_fingerprint_is_refused_before_the_token_is_sent() -> Result<()> {
    let world = World::start()?;
    let token = world.dir().join("token");
    let token = token.to_str().context("plain")?;
    world.hub_says(&["runner", "token", "--file", token])?;
    let wrong = format!("sha256:{}", "0".repeat(64));
    let mut join = world.runner_command("one", &["join", &world.address, "--token-file", token])?;
    let output = join.args(["--hub-fingerprint", &wrong]).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && said.contains("another certificate"),
        "{said}"
    );
    // The token was not used up, because it was not sent.
    let mut join = world.runner_command("two", &["join", &world.address, "--token-file", token])?;
    let output = join
        .args(["--hub-fingerprint", &world.fingerprint])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn whoever_joins_without_a_fingerprint_is_told_where_to_find_it() -> Result<()> {
    let world = World::start()?;
    let token = world.dir().join("token");
    let token = token.to_str().context("plain")?;
    world.hub_says(&["runner", "token", "--file", token])?;
    let output = world
        .runner_command("one", &["join", &world.address, "--token-file", token])?
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        shell_status(output.status) == 1
            && said.contains("another certificate")
            && said.contains("give --hub-fingerprint with what `cofferdam-hub fingerprint` prints"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_token_works_once() -> Result<()> {
    let world = World::start()?;
    let token = world.dir().join("token");
    let token = token.to_str().context("plain")?;
    world.hub_says(&["runner", "token", "--file", token])?;
    for (name, is_good) in [("one", true), ("two", false)] {
        let mut join =
            world.runner_command(name, &["join", &world.address, "--token-file", token])?;
        let output = join
            .args(["--hub-fingerprint", &world.fingerprint])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() == is_good, "{name}: {said}");
        ensure!(is_good || said.contains("used"), "{said}");
    }
    Ok(())
}
