//! What the runner and its confined processes say to each other over their socket: frames of a kind, a
//! length and that many bytes. The order of frames is the order of events, so standard output and
//! standard error keep theirs.
//!
//! A confined process may be in the hands of its guest one day: the runner believes no length, no kind
//! and no text that comes from it. Nothing of this leaves the host or outlives a version.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::executor::repeat::{GuestClock, GuestRandom};
use crate::grant::HostFile;
use crate::process::rights;
use crate::receipt::isolation::{Demand, Isolation};

/// Most bytes of one frame: guests write at most 64 KiB at once; native code is cut into pieces of this
/// size.
pub(super) const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of a spec: the arguments and environment of a step, whose own limits are far below.
const SPEC_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Native code and standard input.
const HANDLES: usize = 2;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of the guest's standard output.
    Stdout = 1,
    /// Bytes of the guest's standard error.
    Stderr = 2,
    /// A piece of native code.
    Native = 3,
    /// JSON: [`StepReport`] or [`CompileReport`].
    Report = 4,
}

impl Kind {
    fn of(byte: u8) -> io::Result<Self> {
        [Self::Stdout, Self::Stderr, Self::Native, Self::Report]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
            .ok_or_else(|| bad(format!("a frame of the unknown kind {byte}")))
    }
}

/// What a step process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StepSpec {
    /// Which front door the module takes.
    pub front: Front,
    /// Whether one end of the egress broker's socket follows the spec.
    pub has_way_out: bool,
    /// Arguments, the program's name first.
    pub arguments: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// What it may touch, outer paths before inner ones.
    pub mounts: Vec<Mount>,
    /// Its preopened directories, in order: the name in the guest and the path in its tree.
    pub preopens: Vec<Preopen>,
    /// Where it starts, for components that ask.
    pub working_directory: String,
    /// What its wall clock shows.
    pub clock: GuestClock,
    /// Where its random numbers come from.
    pub random: GuestRandom,
    /// What it may use.
    pub limits: GuestLimits,
    /// What stands around it.
    pub walls: Walls,
    /// What must stand around it.
    pub isolation: Demand,
}

/// One thing in the guest's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    /// Where, in the step's own file system: below `tree`, or below `aside`.
    pub at: PathBuf,
    /// What stands there.
    pub what: MountWhat,
}

/// What stands at a place in the guest's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MountWhat {
    /// A granted file or directory.
    Granted {
        /// Which.
        host: HostFile,
        /// Or read-only.
        is_writable: bool,
    },
    /// An empty read-only directory or file that hides what is there.
    Hidden {
        /// Or a file.
        is_directory: bool,
    },
    /// A directory in memory with the step's secrets.
    Secrets(SecretFiles),
}

/// Secrets that are files: their values by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SecretFiles(pub BTreeMap<String, String>);

/// The values are nobody's to read.
impl fmt::Debug for SecretFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A directory that the guest finds open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Preopen {
    /// What the guest calls it.
    pub name: String,
    /// Where it is, like [`Mount::at`].
    pub at: PathBuf,
    /// Or read-only, as far as wasmtime itself is concerned.
    pub is_writable: bool,
}

/// Limits that the step's own process watches over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GuestLimits {
    /// Sum over all linear memories.
    pub memory_bytes: u64,
    /// Largest file that it may make.
    pub disk_bytes: u64,
}

/// What is to stand around a step beside wasmtime's own wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Walls {
    /// Namespaces of its own and a tree of exactly the granted paths.
    Tree,
    /// None of that, because the host has none: directories are opened in place.
    Process,
}

/// Which way a module is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Front {
    /// A core module on the native preview 1 host.
    Core,
    /// A component on the preview 2 host.
    Component,
}

/// What a step process reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StepReport {
    /// The walls stand, the guest begins.
    Walls(Isolation),
    /// The walls that this host allows are not those that were demanded: what is missing.
    TooWeak(String),
    /// This host cannot build the tree: why. Nothing of the guest has run.
    NoTree(String),
    /// The guest exited.
    Exit(u8),
    /// The guest trapped.
    Trap(String),
    /// A limit ended it.
    Limit {
        /// Which.
        name: String,
        /// How much was allowed.
        allowed: u64,
    },
    /// The module cannot be started, and that is its own fault.
    Unrunnable(String),
    /// We could not start it.
    Broken(String),
}

/// What a compiler process reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CompileReport {
    /// The native code was sent before this.
    Done(Front),
    /// The module is refused: why.
    Refused(String),
    /// We could not compile it.
    Broken(String),
}

/// Sends one frame from a confined process. Blocks while the runner is slow: that is the backpressure.
pub(super) fn send(mut link: &StdUnixStream, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(FRAME_BYTES_MAX) {
        let mut header = [kind as u8, 0, 0, 0, 0];
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        header[1..].copy_from_slice(&length.to_le_bytes());
        link.write_all(&header)?;
        link.write_all(piece)?;
    }
    Ok(())
}

/// Sends a report from a confined process.
pub(super) fn send_report(link: &StdUnixStream, report: &impl Serialize) -> io::Result<()> {
    send(link, Kind::Report, &serde_json::to_vec(report)?)
}

/// A spec as it is sent: length, then JSON.
pub(super) fn encode_spec(spec: &StepSpec) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(spec)?;
    if json.len() > SPEC_BYTES_MAX {
        return Err(bad(format!(
            "arguments, environment and grants are {} bytes; at most {SPEC_BYTES_MAX} are possible",
            json.len()
        )));
    }
    let mut bytes = u32::try_from(json.len())
        .map_err(io::Error::other)?
        .to_le_bytes()
        .to_vec();
    bytes.extend(json);
    Ok(bytes)
}

/// Sends the first byte of a spec and with it native code and a standard input, on a socket that nothing was sent on
/// yet, so that there is room. The rest of the spec follows.
pub(super) fn send_handles(
    link: impl AsFd,
    first: u8,
    handles: [BorrowedFd<'_>; HANDLES],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&handles)) {
        return Err(io::Error::other("no room for descriptors"));
    }
    let sent = sendmsg(
        link,
        &[IoSlice::new(&[first])],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    match sent {
        1 => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// What a step process is given beside its spec.
#[derive(Debug)]
pub(super) struct Given {
    pub spec: StepSpec,
    pub native: OwnedFd,
    pub stdin: OwnedFd,
}

/// Takes the spec, the native code and standard input, in a step process.
pub(super) fn receive_spec(mut link: &StdUnixStream) -> io::Result<Given> {
    let mut length = [0; 4];
    let (first, rest) = length.split_at_mut(1);
    let [native, stdin] = receive_handles(link, first)?;
    link.read_exact(rest)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if length > SPEC_BYTES_MAX {
        return Err(bad(format!("a spec of {length} bytes")));
    }
    let mut json = vec![0; length];
    link.read_exact(&mut json)?;
    Ok(Given {
        spec: serde_json::from_slice(&json)?,
        native,
        stdin,
    })
}

fn receive_handles(link: &StdUnixStream, first: &mut [u8]) -> io::Result<[OwnedFd; HANDLES]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(first)];
    let received = recvmsg(link, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let handles: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(handles) => Some(handles),
            _ => None,
        })
        .flatten()
        .collect();
    match (received.bytes, handles.try_into()) {
        (1, Ok(handles)) => Ok(handles),
        _ => Err(bad("no native code came".to_owned())),
    }
}

/// Takes what follows the spec, in a step process: its end of the egress broker's socket.
pub(super) fn receive_way_out(
    link: &StdUnixStream,
    spec: &StepSpec,
) -> io::Result<Option<OwnedFd>> {
    if !spec.has_way_out {
        return Ok(None);
    }
    match rights::receive(link)? {
        (_, Some(way_out)) => Ok(Some(way_out)),
        (_, None) => Err(bad("the way out did not come".to_owned())),
    }
}

/// Takes the next frame into `bytes`, in the runner. `None` when the process closed its end.
/// Not safe to cancel: a frame may be half read.
pub(super) async fn receive(
    link: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> io::Result<Option<Kind>> {
    let mut header = [0; 5];
    match link.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    }
    let [kind, length @ ..] = header;
    let kind = Kind::of(kind)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if length > FRAME_BYTES_MAX {
        return Err(bad(format!("a frame of {length} bytes")));
    }
    bytes.resize(length, 0);
    match link.read_exact(bytes).await {
        Ok(_) => Ok(Some(kind)),
        // Killed in the middle of a frame: what was not sent in full was never said.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a report's JSON.
pub(super) fn report<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::from)
}

fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &[u8]) -> io::Result<Vec<(Kind, Vec<u8>)>> {
        let mut link = bytes;
        let mut frames = Vec::new();
        let mut frame = Vec::new();
        while let Some(kind) = receive(&mut link, &mut frame).await? {
            frames.push((kind, frame.clone()));
        }
        Ok(frames)
    }

    #[tokio::test]
    async fn frames_come_out_as_they_were_put_in() {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        let large = vec![7; FRAME_BYTES_MAX + 1];
        let sender = std::thread::spawn(move || {
            send(&theirs, Kind::Stdout, b"out").unwrap();
            send(&theirs, Kind::Stderr, b"").unwrap();
            send(&theirs, Kind::Stderr, b"err").unwrap();
            send(&theirs, Kind::Native, &large).unwrap();
        });
        let mut received = Vec::new();
        (&ours).read_to_end(&mut received).unwrap();
        sender.join().unwrap();

        let frames = check(&received).await.unwrap();
        assert_eq!(frames[0], (Kind::Stdout, b"out".to_vec()));
        assert_eq!(frames[1], (Kind::Stderr, b"err".to_vec()));
        let lengths: Vec<usize> = frames[2..].iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [FRAME_BYTES_MAX, 1]);
    }

    #[tokio::test]
    async fn a_process_that_lies_about_its_frames_is_not_believed() {
        for (bytes, expected) in [
            (&b"\x09\x00\x00\x00\x00"[..], "unknown kind 9"),
            (b"\x01\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        ] {
            let error = check(bytes).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(check(b"\x01\x05\x00\x00\x00cut").await.unwrap(), []);
        assert!(report::<StepReport>(b"{}").is_err());
    }
}
