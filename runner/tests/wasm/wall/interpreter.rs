//! The interpreter in front of each payload, in assembly.
//!
//! An image is its length, six words of scratch, instructions of nine words, then data. An instruction is
//! what to do; the number of the call, and later its result; the kinds of six arguments, a byte each; and
//! the six. `r12` is where a writable copy of the image is, `r13` the instruction, `r15` the last result.

#![expect(
    unsafe_code,
    reason = "assembly, and labels that are the only way to its bytes"
)]

use std::arch::global_asm;

global_asm!(
    ".pushsection .rodata",
    ".globl cofferdam_payload_start",
    ".globl cofferdam_payload_end",
    "cofferdam_payload_start:",
    "xor edi, edi",
    "mov esi, 0x20000",
    "mov edx, 3",
    "mov r10d, 0x22",
    "mov r8, -1",
    "xor r9d, r9d",
    "mov eax, 9", // mmap, readable and writable
    "syscall",
    "mov r12, rax",
    "lea rsi, [rip + cofferdam_payload_end]",
    "mov rdi, rax",
    "mov rcx, [rsi]",
    "cld",
    "rep movsb",
    "lea r13, [r12 + 56]",
    "10:",                    // the next instruction
    "cmp qword ptr [r13], 4", // what needs no argument, and so no scratch
    "je 60f",
    "xor ecx, ecx",
    "20:", // evaluates an argument
    "mov rax, [r13 + 24 + rcx*8]",
    "movzx edx, byte ptr [r13 + 16 + rcx]",
    "test edx, edx",
    "jz 30f",
    "add rax, r12",
    "cmp edx, 2",
    "jne 30f",
    "mov rax, [rax]",
    "30:",
    "mov [r12 + 8 + rcx*8], rax",
    "inc ecx",
    "cmp ecx, 6",
    "jne 20b",
    "mov rdi, [r12 + 8]",
    "mov rsi, [r12 + 16]",
    "mov rax, [r13]",
    "cmp rax, 1",
    "je 40f",
    "cmp rax, 2",
    "je 50f",
    "cmp rax, 3",
    "je 55f",
    "mov rdx, [r12 + 24]",
    "mov r10, [r12 + 32]",
    "mov r8, [r12 + 40]",
    "mov r9, [r12 + 48]",
    "mov rax, [r13 + 8]",
    "syscall",
    "mov r15, rax",
    "mov [r13 + 8], rax",
    "jmp 70f",
    "40:", // skips some unless the last result was zero
    "test r15, r15",
    "jz 70f",
    "imul rdi, rdi, 72",
    "add r13, rdi",
    "jmp 70f",
    "50:", // calls an address
    "call rdi",
    "jmp 70f",
    "55:", // a call of the 32-bit interface
    "mov eax, [r13 + 8]",
    "mov ebx, edi",
    "int 0x80",
    "mov r15, rax",
    "jmp 70f",
    "60:", // stays here if the last result was positive
    "test r15, r15",
    "jle 70f",
    "65:",
    "mov eax, 34", // pause
    "syscall",
    "jmp 65b",
    "70:",
    "add r13, 72",
    "jmp 10b",
    "cofferdam_payload_end:",
    ".popsection",
);

unsafe extern "C" {
    static cofferdam_payload_start: u8;
    static cofferdam_payload_end: u8;
}

/// The machine code. Its image has to follow it.
pub(super) fn interpreter() -> &'static [u8] {
    let (start, end) = (
        &raw const cofferdam_payload_start,
        &raw const cofferdam_payload_end,
    );
    let length = end.addr() - start.addr();
    // SAFETY: both labels are in one section of this program, in this order, with initialised bytes
    // between them that nothing writes to.
    unsafe { std::slice::from_raw_parts(start, length) }
}
