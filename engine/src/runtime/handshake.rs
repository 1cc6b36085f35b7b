//! The handshake between two processes: what is said, byte by byte, and what is checked. No sockets here.
//!
//! ```text
//! caller    -> hello      160 bytes
//! acceptor  -> challenge   40 bytes
//! caller    -> proof       32 bytes
//! acceptor  -> verdict     35 bytes and a reason
//! ```
//!
//! Both proofs cover the hello and both nonces, so that neither can be used again, nor be sent back to where
//! it came from. `docs/formats/handshake.md` has the bytes.

use crate::runtime::secret::{Key, PROOF_BYTES};

/// First bytes of every connection: the name of the handshake, and its version in the last byte.
pub(crate) const MAGIC: [u8; 8] = *b"WWHEEL\x00\x03";
const NAME_BYTES: usize = 7;

pub(crate) const HELLO_BYTES: usize = 160;
pub(crate) const CHALLENGE_BYTES: usize = 8 + PROOF_BYTES;
/// Length of a verdict without its reason.
pub(crate) const VERDICT_BYTES: usize = 1 + PROOF_BYTES + 2;
/// Longest reason.
pub(crate) const MAX_REASON_BYTES: usize = 1000;
/// Longest job name and program version, in bytes.
pub(crate) const MAX_JOB_NAME_BYTES: usize = 64;
pub(crate) const MAX_VERSION_BYTES: usize = 32;

/// What makes a proof of the caller another one than that of the acceptor.
const CALLER: &[u8] = b"waterwheel caller 3";
const ACCEPTOR: &[u8] = b"waterwheel acceptor 3";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Batches and progress.
    Data = 0,
    /// Notices.
    Control = 1,
    /// To learn where everybody listens.
    Meeting = 2,
}

/// What all processes of a run must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    pub(crate) attempt: u64,
    pub(crate) job_name: String,
    pub(crate) program_version: String,
}

/// Who calls, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) channel: Channel,
    /// Index of the caller.
    pub(crate) from: usize,
    /// Where the caller listens on loopback; 0 unless the channel is a meeting.
    pub(crate) port: u16,
    pub(crate) has_secret: bool,
    pub(crate) terms: Terms,
}

impl Hello {
    pub(crate) fn encode(&self, nonce: &[u8; PROOF_BYTES]) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = self.channel as u8;
        bytes[9] = u8::from(self.has_secret);
        bytes[10..12].copy_from_slice(&self.port.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.from as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&(self.terms.processes as u32).to_le_bytes());
        bytes[20..24].copy_from_slice(&(self.terms.threads as u32).to_le_bytes());
        bytes[24..32].copy_from_slice(&self.terms.attempt.to_le_bytes());
        put_text(&mut bytes[32..32 + MAX_JOB_NAME_BYTES], &self.terms.job_name);
        put_text(&mut bytes[96..96 + MAX_VERSION_BYTES], &self.terms.program_version);
        bytes[128..].copy_from_slice(nonce);
        bytes
    }

    /// # Errors
    /// What is wrong with it, for the log: nobody has proved anything yet.
    pub(crate) fn decode(bytes: &[u8; HELLO_BYTES]) -> Result<Self, String> {
        check_magic(bytes)?;
        let word =
            |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        let mut attempt = [0; 8];
        attempt.copy_from_slice(&bytes[24..32]);
        let channels = [Channel::Data, Channel::Control, Channel::Meeting];
        let channel = channels.into_iter().find(|channel| *channel as u8 == bytes[8]);
        Ok(Hello {
            channel: channel.ok_or("it asks for an unknown channel")?,
            from: word(12),
            port: u16::from_le_bytes([bytes[10], bytes[11]]),
            has_secret: bytes[9] != 0,
            terms: Terms {
                processes: word(16),
                threads: word(20),
                attempt: u64::from_le_bytes(attempt),
                job_name: text(&bytes[32..96])?,
                program_version: text(&bytes[96..128])?,
            },
        })
    }
}

/// Looks at the first bytes that a caller has sent, however few.
///
/// # Errors
/// They are not the beginning of a hello of this version.
pub(crate) fn check_magic(start: &[u8]) -> Result<(), String> {
    let n = start.len().min(MAGIC.len());
    let n_name = n.min(NAME_BYTES);
    if start[..n_name] != MAGIC[..n_name] {
        return Err("it does not speak this protocol".into());
    }
    if start[..n] != MAGIC[..n] {
        let (found, expected) = (start[NAME_BYTES], MAGIC[NAME_BYTES]);
        return Err(format!("it speaks version {found} of the handshake, expected {expected}"));
    }
    Ok(())
}

fn put_text(slot: &mut [u8], text: &str) {
    // Settings that do not fit were refused before.
    let n = text.len().min(slot.len());
    slot[..n].copy_from_slice(&text.as_bytes()[..n]);
}

fn text(slot: &[u8]) -> Result<String, String> {
    let end = slot.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&slot[..end]).map_err(|_| "its hello is no text where it has to be")?;
    Ok(text.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

/// Why somebody who has proved to belong here is sent away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// Whether the caller may find another process here soon, and should call again.
    pub(crate) call_again: bool,
}

impl Refusal {
    pub(crate) fn final_because(reason: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), call_again: false }
    }
}

impl Terms {
    /// Checks that a caller means the same run.
    pub(crate) fn check(&self, theirs: &Terms) -> Result<(), Refusal> {
        let refuse = |text: String| Err(Refusal::final_because(text));
        if theirs.job_name != self.job_name {
            return refuse(format!("it runs job \"{}\", expected \"{}\"", theirs.job_name, self.job_name));
        }
        if theirs.program_version != self.program_version {
            let (found, expected) = (&theirs.program_version, &self.program_version);
            return refuse(format!("it has program version \"{found}\", expected \"{expected}\""));
        }
        if (theirs.processes, theirs.threads) != (self.processes, self.threads) {
            return refuse(format!(
                "it runs {} processes of {} threads, expected {} of {}",
                theirs.processes, theirs.threads, self.processes, self.threads
            ));
        }
        let (found, expected) = (theirs.attempt, self.attempt);
        let reason = format!("it is of attempt {found}, expected {expected}");
        match found == expected {
            true => Ok(()),
            false => Err(Refusal { reason, call_again: found > expected }),
        }
    }
}

/// The acceptor's answer to a hello.
pub(crate) fn challenge(nonce: &[u8; PROOF_BYTES]) -> [u8; CHALLENGE_BYTES] {
    let mut bytes = [0; CHALLENGE_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..].copy_from_slice(nonce);
    bytes
}

/// Both sides' view of one handshake: what the proofs are about.
#[derive(Clone, Copy)]
pub(crate) struct Transcript<'a> {
    pub(crate) key: &'a Key,
    pub(crate) hello: &'a [u8; HELLO_BYTES],
    pub(crate) challenge: &'a [u8; CHALLENGE_BYTES],
}

const ADMITTED: u8 = 0;
const REFUSED: u8 = 1;
const CALL_AGAIN: u8 = 2;

impl Transcript<'_> {
    /// What the caller answers to the challenge.
    pub(crate) fn caller_proof(&self) -> [u8; PROOF_BYTES] {
        self.key.prove(&[CALLER, self.hello, self.challenge])
    }

    pub(crate) fn verify_caller(&self, proof: &[u8]) -> bool {
        self.key.verify(&[CALLER, self.hello, self.challenge], proof)
    }

    /// The verdict: its kind, a proof, the length of the reason, and the reason.
    pub(crate) fn verdict(&self, outcome: Result<(), &Refusal>) -> Vec<u8> {
        let (kind, reason) = match outcome {
            Ok(()) => (ADMITTED, ""),
            Err(refusal) => (if refusal.call_again { CALL_AGAIN } else { REFUSED }, refusal.reason.as_str()),
        };
        let n = (0..=reason.len().min(MAX_REASON_BYTES)).rev().find(|n| reason.is_char_boundary(*n));
        let reason = &reason.as_bytes()[..n.unwrap_or(0)];
        let proof = self.key.prove(&[ACCEPTOR, self.hello, self.challenge, &[kind], reason]);
        let len = (reason.len() as u16).to_le_bytes();
        [&[kind], &proof[..], &len, reason].concat()
    }

    /// Reads a verdict.
    ///
    /// # Errors
    /// Its sender does not know the key.
    pub(crate) fn read_verdict(&self, head: &[u8; VERDICT_BYTES], reason: &[u8]) -> Result<Verdict, String> {
        let (kind, proof) = (head[0], &head[1..=PROOF_BYTES]);
        if !self.key.verify(&[ACCEPTOR, self.hello, self.challenge, &[kind], reason], proof) {
            return Err("it does not know the secret of this run".into());
        }
        let reason = String::from_utf8_lossy(reason).into_owned();
        match kind {
            ADMITTED => Ok(Ok(())),
            kind => Ok(Err(Refusal { reason, call_again: kind == CALL_AGAIN })),
        }
    }
}

/// What the acceptor has decided.
pub(crate) type Verdict = Result<(), Refusal>;

/// Length of the reason that follows the head of a verdict.
pub(crate) fn reason_bytes(head: &[u8; VERDICT_BYTES]) -> Result<usize, String> {
    let len = usize::from(u16::from_le_bytes([head[VERDICT_BYTES - 2], head[VERDICT_BYTES - 1]]));
    match len <= MAX_REASON_BYTES {
        true => Ok(len),
        false => Err(format!("its reason has {len} bytes, at most {MAX_REASON_BYTES} are read")),
    }
}

#[cfg(test)]
mod tests;
