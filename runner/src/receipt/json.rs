//! The receipt as JSON: for the hub and for `step run --receipt`. The shape is in `docs/receipt.md`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::isolation::Isolation;
use super::network::{HostUse, NetworkUse, Refused};
use super::{EndedBy, GrantRecord, LimitHit, Observer, Receipt};

/// What is written down.
#[derive(Debug, Serialize)]
struct Shape<'a> {
    executor: &'a str,
    origin: &'a str,
    digest: Option<&'a str>,
    grants: Vec<GrantShape<'a>>,
    ended_by: &'a str,
    exit_status: Option<u8>,
    limit: Option<LimitShape<'a>>,
    why: Option<&'a str>,
    wall_us: u64,
    cpu: Option<CpuShape>,
    memory_peak: Option<MemoryShape>,
    output_bytes: u64,
    network: Option<NetworkShape<'a>>,
    isolation: Option<&'a str>,
    walls: Option<WallsShape<'a>>,
    process: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct GrantShape<'a> {
    kind: &'a str,
    what: &'a str,
    refused: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LimitShape<'a> {
    name: &'a str,
    allowed: u64,
    unit: &'a str,
}

#[derive(Debug, Serialize)]
struct WallsShape<'a> {
    namespaces: &'a [String],
    tree: bool,
    uid: u32,
    landlock_abi: Option<u32>,
    call_filter: bool,
    missing: Option<String>,
}

#[derive(Debug, Serialize)]
struct CpuShape {
    us: u64,
    observer: &'static str,
}

#[derive(Debug, Serialize)]
struct MemoryShape {
    bytes: u64,
    observer: &'static str,
}

#[derive(Debug, Serialize)]
struct NetworkShape<'a> {
    hosts: Vec<HostShape<'a>>,
    refusals: Vec<RefusedShape<'a>>,
    unlisted: u64,
    observer: &'static str,
}

#[derive(Debug, Serialize)]
struct HostShape<'a> {
    origin: &'a str,
    address: SocketAddr,
    connections: u64,
    up_bytes: u64,
    down_bytes: u64,
}

#[derive(Debug, Serialize)]
struct RefusedShape<'a> {
    why: &'a str,
    times: u64,
}

/// The receipt of a step that ran.
pub fn to_json(receipt: &Receipt) -> serde_json::Value {
    let Receipt {
        executor,
        digest,
        origin,
        grants,
        ended_by,
        wall,
        cpu,
        memory_peak_bytes,
        output_bytes,
        network,
        isolation,
        walls,
        process,
    } = receipt;
    let End {
        ended_by,
        exit_status,
        limit,
        why,
    } = end(ended_by);
    value(&Shape {
        executor,
        origin,
        digest: digest.as_deref(),
        grants: grant_shapes(grants),
        ended_by,
        exit_status,
        limit,
        why,
        wall_us: micros(*wall),
        cpu: cpu.map(|(cpu, observer)| CpuShape {
            us: micros(cpu),
            observer: observer_name(observer),
        }),
        memory_peak: memory_peak_bytes.map(|(bytes, observer)| MemoryShape {
            bytes,
            observer: observer_name(observer),
        }),
        output_bytes: *output_bytes,
        network: network.as_ref().map(network_shape),
        isolation: Some(isolation),
        walls: walls.as_ref().map(walls_shape),
        process: process.as_deref(),
    })
}

/// Why a step did not run at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRun {
    /// A grant was refused.
    Refused(String),
    /// It could not be run.
    Error(String),
}

/// The receipt of a step that did not run: what it asked for, and why it did not.
pub fn not_run_to_json(origin: &str, grants: &[GrantRecord], why: &NotRun) -> serde_json::Value {
    let (ended_by, why) = match why {
        NotRun::Refused(why) => ("refused", why),
        NotRun::Error(why) => ("error", why),
    };
    value(&Shape {
        executor: "wasm",
        origin,
        digest: None,
        grants: grant_shapes(grants),
        ended_by,
        exit_status: None,
        limit: None,
        why: Some(why),
        wall_us: 0,
        cpu: None,
        memory_peak: None,
        output_bytes: 0,
        network: None,
        isolation: None,
        walls: None,
        process: None,
    })
}

struct End<'a> {
    ended_by: &'static str,
    exit_status: Option<u8>,
    limit: Option<LimitShape<'a>>,
    why: Option<&'a str>,
}

fn end(ended_by: &EndedBy) -> End<'_> {
    let plain = |ended_by| End {
        ended_by,
        exit_status: None,
        limit: None,
        why: None,
    };
    match ended_by {
        EndedBy::Exit(status) => End {
            exit_status: Some(*status),
            ..plain("exit")
        },
        EndedBy::Trap(why) => End {
            why: Some(why),
            ..plain("trap")
        },
        EndedBy::Limit(LimitHit {
            name,
            allowed,
            unit,
        }) => End {
            limit: Some(LimitShape {
                name,
                allowed: *allowed,
                unit,
            }),
            ..plain("limit")
        },
        EndedBy::Timeout(allowed) => End {
            limit: Some(LimitShape {
                name: "time",
                allowed: micros(*allowed),
                unit: "us",
            }),
            ..plain("timeout")
        },
        EndedBy::Cancel => plain("cancel"),
        EndedBy::Wall(why) => End {
            why: Some(why),
            ..plain("wall")
        },
    }
}

fn grant_shapes(grants: &[GrantRecord]) -> Vec<GrantShape<'_>> {
    grants.iter().map(grant_shape).collect()
}

fn grant_shape(grant: &GrantRecord) -> GrantShape<'_> {
    let GrantRecord {
        kind,
        what,
        refused,
    } = grant;
    GrantShape {
        kind,
        what,
        refused: refused.as_deref(),
    }
}

fn walls_shape(walls: &Isolation) -> WallsShape<'_> {
    let Isolation {
        namespaces,
        has_tree,
        uid,
        landlock_abi,
        has_call_filter,
    } = walls;
    WallsShape {
        namespaces,
        tree: *has_tree,
        uid: *uid,
        landlock_abi: *landlock_abi,
        call_filter: *has_call_filter,
        missing: walls.missing(),
    }
}

fn network_shape(network: &NetworkUse) -> NetworkShape<'_> {
    let NetworkUse {
        hosts,
        refusals,
        unlisted,
    } = network;
    NetworkShape {
        hosts: hosts.iter().map(host_shape).collect(),
        refusals: refusals.iter().map(refused_shape).collect(),
        unlisted: *unlisted,
        observer: observer_name(Observer::Broker),
    }
}

fn host_shape(host: &HostUse) -> HostShape<'_> {
    let HostUse {
        origin,
        address,
        connections,
        up_bytes,
        down_bytes,
    } = host;
    HostShape {
        origin,
        address: *address,
        connections: *connections,
        up_bytes: *up_bytes,
        down_bytes: *down_bytes,
    }
}

fn refused_shape(refused: &Refused) -> RefusedShape<'_> {
    let Refused { why, times } = refused;
    RefusedShape { why, times: *times }
}

fn observer_name(observer: Observer) -> &'static str {
    match observer {
        Observer::Broker => "broker",
        Observer::Kernel => "kernel",
        Observer::Step => "step",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn value(shape: &Shape<'_>) -> serde_json::Value {
    serde_json::to_value(shape).expect("text, numbers and lists of them are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(ended_by: EndedBy) -> Receipt {
        Receipt {
            executor: "wasm",
            digest: Some("sha256:00".to_owned()),
            origin: "ci/scan.wasm".to_owned(),
            grants: vec![GrantRecord {
                kind: "read",
                what: "src".to_owned(),
                refused: None,
            }],
            ended_by,
            wall: Duration::from_millis(12),
            cpu: Some((Duration::from_millis(7), Observer::Kernel)),
            memory_peak_bytes: Some((1 << 20, Observer::Kernel)),
            output_bytes: 5,
            network: Some(NetworkUse {
                hosts: vec![HostUse {
                    origin: "https://api.example.com".to_owned(),
                    address: ([203, 0, 113, 7], 443).into(),
                    connections: 2,
                    up_bytes: 10,
                    down_bytes: 20,
                }],
                refusals: vec![Refused {
                    why: "net: `https://evil.example` was not granted".to_owned(),
                    times: 3,
                }],
                unlisted: 0,
            }),
            isolation: "own process".to_owned(),
            walls: Some(Isolation {
                namespaces: vec!["net".to_owned()],
                has_tree: true,
                uid: 65534,
                landlock_abi: None,
                has_call_filter: true,
            }),
            process: Some("4711".to_owned()),
        }
    }

    #[test]
    fn a_receipt_says_all_that_it_knows() {
        insta::assert_json_snapshot!(to_json(&receipt(EndedBy::Exit(3))), @r#"
        {
          "cpu": {
            "observer": "kernel",
            "us": 7000
          },
          "digest": "sha256:00",
          "ended_by": "exit",
          "executor": "wasm",
          "exit_status": 3,
          "grants": [
            {
              "kind": "read",
              "refused": null,
              "what": "src"
            }
          ],
          "isolation": "own process",
          "limit": null,
          "memory_peak": {
            "bytes": 1048576,
            "observer": "kernel"
          },
          "network": {
            "hosts": [
              {
                "address": "203.0.113.7:443",
                "connections": 2,
                "down_bytes": 20,
                "origin": "https://api.example.com",
                "up_bytes": 10
              }
            ],
            "observer": "broker",
            "refusals": [
              {
                "times": 3,
                "why": "net: `https://evil.example` was not granted"
              }
            ],
            "unlisted": 0
          },
          "origin": "ci/scan.wasm",
          "output_bytes": 5,
          "process": "4711",
          "wall_us": 12000,
          "walls": {
            "call_filter": true,
            "landlock_abi": null,
            "missing": "this host gives a step no mount namespace, no ipc namespace, no uts namespace, no pid namespace, no landlock",
            "namespaces": [
              "net"
            ],
            "tree": true,
            "uid": 65534
          },
          "why": null
        }
        "#);
    }

    #[test]
    fn each_end_has_a_word_of_its_own() {
        let memory = LimitHit {
            name: "memory",
            allowed: 65536,
            unit: "bytes",
        };
        for (ended_by, expected) in [
            (EndedBy::Exit(0), r#"["exit",0,null,null]"#),
            (
                EndedBy::Trap("unreachable".to_owned()),
                r#"["trap",null,null,"unreachable"]"#,
            ),
            (
                EndedBy::Limit(memory),
                r#"["limit",null,{"allowed":65536,"name":"memory","unit":"bytes"},null]"#,
            ),
            (
                EndedBy::Timeout(Duration::from_millis(500)),
                r#"["timeout",null,{"allowed":500000,"name":"time","unit":"us"},null]"#,
            ),
            (EndedBy::Cancel, r#"["cancel",null,null,null]"#),
            (
                EndedBy::Wall("it hit one".to_owned()),
                r#"["wall",null,null,"it hit one"]"#,
            ),
        ] {
            let json = to_json(&receipt(ended_by));
            let end = serde_json::json!([
                json["ended_by"],
                json["exit_status"],
                json["limit"],
                json["why"]
            ]);
            assert_eq!(end.to_string(), expected);
        }
    }
}
