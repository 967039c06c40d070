//! Every size and count limit on the wire, each with its reason.

/// Longest text frame from a runner, in bytes. A receipt with every grant that a step may have fits; a
/// thousand hostile ones at once stay under a gigabyte.
pub const TEXT_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Longest frame before a runner has proven itself, in bytes. A hello with the longest origin and name takes a quarter;
/// a thousand strangers at once stay under 10 MB.
pub const OPENING_FRAME_BYTES_MAX: usize = 8 * 1024;

/// Longest receipt of a step that is kept, in bytes of JSON. One with every grant that a step may have fits; those of
/// the 500 steps of the largest build stay under 32 MiB.
pub const RECEIPT_BYTES_MAX: usize = 64 * 1024;

/// Longest text frame from a hub, in bytes: an offer of [`JOB_BYTES_MAX`] and what is around it. A runner
/// has one hub, so it can afford to read more than a hub can.
pub const OFFER_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest steps of one job as JSON, in bytes. A pipeline file may expand to 4 MiB; escaped, most of
/// what people write still fits, and what does not is refused when the build is planned.
pub const JOB_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Longest binary frame, in bytes: a full log frame with its header. Small enough that ten thousand
/// half-received frames stay under 3 GB, large enough that framing costs nothing at 100 MB/s.
pub const BINARY_FRAME_BYTES_MAX: usize = 256 * 1024;

/// Most log bytes that one record carries.
pub const LOG_RECORD_BYTES_MAX: usize = 64 * 1024;

/// Most records in one log frame. A frame of one-byte records stays far below the frame limit.
pub const LOG_RECORDS_MAX: usize = 4096;

/// Most steps in one job: all that the language lets a build have. The largest file seen in the wild
/// has 88.
pub const STEPS_MAX: usize = 500;

/// Longest time that a step may ask for, in seconds: a week, as in the language.
pub const STEP_SECS_MAX: u64 = 7 * 24 * 60 * 60;

/// Longest script line or argument, in bytes: as much as a whole pipeline file may hold.
pub const SCRIPT_LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most lines in one script, or arguments of one module. The language's bound on nodes is below it.
pub const SCRIPT_LINES_MAX: usize = 100_000;

/// Longest name (step, runner, repository, label), in bytes: 200 characters of any script.
pub const NAME_BYTES_MAX: usize = 800;

/// Longest free text (reason, message, error), in bytes. The rest is cut and marked.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Most environment variables of a job or a step.
pub const ENV_VARS_MAX: usize = 512;

/// Longest value of an environment variable, in bytes. Linux refuses more than 128 KiB in one.
pub const ENV_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Most grants of one kind on one step.
pub const GRANTS_MAX: usize = 256;

/// Longest path in a grant, in bytes (`PATH_MAX` on Linux).
pub const PATH_BYTES_MAX: usize = 4096;

/// Most labels of a runner, as in Bitbucket's `runs-on`.
pub const LABELS_MAX: usize = 10;

/// Most jobs a runner can hold at once.
pub const SLOTS_MAX: u16 = 256;

/// Attempts that one frame may list: twice what a runner can hold.
pub const ATTEMPTS_MAX: usize = 512;
