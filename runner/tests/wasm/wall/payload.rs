//! Machine code that does what an attacker does who has broken out of WebAssembly: raw system calls, one
//! after the other. It is position-independent and needs nothing but a stack, so the very same bytes run
//! inside of a forged module and, as a whole program, outside of it.
//!
//! The code itself is a small interpreter; which calls it makes is data behind it, written here in Rust.

use super::interpreter::interpreter;

/// Where data begins in an image: behind as many instructions as any attack has.
const DATA: u64 = 0x4000;

/// Bytes of the header: the length and the scratch.
const HEADER: usize = 56;

const INSTRUCTION: usize = 72;

/// An argument of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    /// A number.
    Number(u64),
    /// The address of something in the image.
    Address(u64),
    /// What is at that address.
    Value(u64),
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// What an attacker does, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    instructions: Vec<u8>,
    data: Vec<u8>,
}

impl Program {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Makes a system call. Its result can be an argument of later ones.
    pub(super) fn call(&mut self, number: i64, arguments: &[Arg]) -> Arg {
        self.push(0, number.cast_unsigned(), arguments)
    }

    /// Makes a call of the 32-bit interface.
    pub(super) fn old_call(&mut self, number: u64) {
        self.push(3, number, &[]);
    }

    /// Jumps over so many instructions unless the last result was zero.
    pub(super) fn skip_unless_zero(&mut self, count: u64) {
        self.push(1, 0, &[count.into()]);
    }

    /// Calls an address.
    pub(super) fn jump_to(&mut self, address: Arg) {
        self.push(2, 0, &[address]);
    }

    /// Waits for ever if the last result was positive: what a parent does, so that its child acts alone.
    pub(super) fn stay_if_positive(&mut self) {
        self.push(4, 0, &[]);
    }

    fn push(&mut self, what: u64, number: u64, arguments: &[Arg]) -> Arg {
        let at = HEADER + self.instructions.len();
        assert!(at + INSTRUCTION <= usize::try_from(DATA).unwrap());
        let mut words = [0; 9];
        (words[0], words[1]) = (what, number);
        for (index, argument) in arguments.iter().enumerate() {
            let (kind, value) = match *argument {
                Arg::Number(value) => (0, value),
                Arg::Address(value) => (1, value),
                Arg::Value(value) => (2, value),
            };
            words[2] |= kind << (8 * index);
            words[3 + index] = value;
        }
        let words = words.into_iter().flat_map(u64::to_le_bytes);
        self.instructions.extend(words);
        Arg::Value(u64::try_from(at + 8).unwrap())
    }

    /// Puts bytes into the image.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Arg {
        let at = DATA + u64::try_from(self.data.len()).unwrap();
        self.data.extend(bytes);
        // Words are easier to look at when they are aligned.
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        Arg::Address(at)
    }

    /// Puts a path into the image.
    pub(super) fn path(&mut self, path: impl AsRef<std::path::Path>) -> Arg {
        let path = path.as_ref().to_str().unwrap();
        self.bytes(format!("{path}\0").as_bytes())
    }

    /// Ends the way an honest guest does, as far as the runner can tell.
    fn finish(mut self) -> Vec<u8> {
        let report = frame(4, br#"{"Exit":7}"#);
        let length = u64::try_from(report.len()).unwrap();
        let report = self.bytes(&report);
        self.call(libc::SYS_write, &[1.into(), report, length.into()]);
        self.call(libc::SYS_exit_group, &[7.into()]);
        let mut image = vec![0; HEADER];
        image.extend(self.instructions);
        image.resize(usize::try_from(DATA).unwrap(), 0);
        image.extend(self.data);
        let length = u64::try_from(image.len()).unwrap().to_le_bytes();
        image[..8].copy_from_slice(&length);
        let mut code = interpreter().to_vec();
        code.extend(image);
        code
    }

    /// The machine code.
    pub(super) fn machine_code(&self) -> Vec<u8> {
        self.clone().finish()
    }

    /// The machine code as a whole program, for outside of all walls.
    pub(super) fn executable(&self) -> Vec<u8> {
        executable(&self.machine_code())
    }
}

/// A frame of the socket between a step and its runner. Outside of a step it is a line in a file.
pub(super) fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    frame.extend(bytes);
    frame
}

/// Code that writes a frame to standard output and returns.
pub(super) fn speaker(frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    let mut code = vec![
        0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
        0xbf, 1, 0, 0, 0, // mov edi, 1
        0x48, 0x8d, 0x35, 8, 0, 0, 0,    // lea rsi, [rip + 8]
        0xba, // mov edx, length
    ];
    code.extend(length);
    code.extend([0x0f, 0x05, 0xc3]); // syscall; ret
    code.extend(frame);
    code
}

/// An ELF program with one segment, which begins with its code.
fn executable(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let length = HEADERS + u64::try_from(code.len()).unwrap();
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0");
    elf.extend(b"\x01\0\0\0\x05\0\0\0");
    for word in [0, BASE, BASE, length, length, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}
