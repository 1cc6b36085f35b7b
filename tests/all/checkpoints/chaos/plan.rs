//! What happens to an attempt at a job, drawn from a seed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waterwheel::engine::checkpoint::{CheckpointStore, FaultyStorage, StorageFault};
use waterwheel::ml::generate::sm;
use waterwheel::prelude::*;

use super::damage::Damage;
use crate::failures::process::Finished;

/// For how long a job runs at least, all its attempts together.
pub(super) const LASTS: Duration = Duration::from_millis(1_500);
/// How often it is disturbed at most.
pub(super) const MOST_DISTURBANCES: u64 = 3;

/// Of what layout an attempt is, and what happens to it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) processes: u16,
    pub(super) threads: usize,
    /// When it is disturbed, since its start, and how.
    pub(super) after: Duration,
    pub(super) disturbance: Option<Disturbance>,
    /// The process that is disturbed.
    pub(super) victim: usize,
    pub(super) disk: Disk,
    /// What becomes of the checkpoints when it has failed.
    pub(super) damage: Damage,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Disturbance {
    Kill,
    /// Stops a process, which goes on after a while: to it, the clock has jumped.
    Pause(Duration),
    /// Breaks the connections between processes.
    Cut,
    /// Behind so many on a connection, frames between processes get lost, come twice or out of turn by this seed; and then the
    /// connections break.
    Garble {
        after: u64,
        seed: u64,
    },
}

/// How the disk of the checkpoints is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    kind: usize,
    seed: u64,
}

/// Kinds of disks: of 1000 writes so many have the fault.
const DISKS: [(&str, &[(StorageFault, u64)]); 6] = [
    ("whole", &[]),
    ("slow", &[(StorageFault::Slow(Duration::from_millis(30)), 300)]),
    ("failing", &[(StorageFault::FailedWrite, 200)]),
    ("tearing", &[(StorageFault::TornWrite, 200)]),
    ("full", &[(StorageFault::FullDisk, 500)]),
    ("late", &[(StorageFault::TimeOut, 200)]),
];

impl Disk {
    pub(super) const WHOLE: Disk = Disk { kind: 0, seed: 0 };

    pub(super) fn text(self) -> String {
        format!("{}:{}", self.kind, self.seed)
    }

    pub(super) fn from_text(text: &str) -> Self {
        let (kind, seed) = text.split_once(':').unwrap();
        Disk { kind: kind.parse().unwrap(), seed: seed.parse().unwrap() }
    }

    /// Checkpoints on such a disk.
    pub(super) fn around(self, dir: &Path, job: &str) -> CheckpointConfig {
        let location = dir.display().to_string();
        if self.kind == 0 {
            return CheckpointConfig::new(location);
        }
        let sound = CheckpointStore::open(&location, job).unwrap().shared_storage();
        CheckpointConfig::on(Arc::new(FaultyStorage::with_rates(sound, self.seed, DISKS[self.kind].1)))
    }
}

/// Frames on a connection behind which some may get lost: a run has several times as many.
const FRAMES: u64 = 300;

impl Plan {
    /// A process is killed, before it can have ended: three that are killed run for less than the job lasts.
    pub(super) fn kill(seed: u64) -> Self {
        let (processes, threads) =
            [(1, 1), (1, 2), (2, 1), (1, 4), (2, 2), (3, 1)][(sm(seed, 0) % 6) as usize];
        Plan {
            processes,
            threads,
            after: LASTS.mul_f64((sm(seed, 1) % 1000) as f64 / 1000.0 / MOST_DISTURBANCES as f64),
            disturbance: Some(Disturbance::Kill),
            victim: (sm(seed, 2) % u64::from(processes)) as usize,
            disk: Disk::WHOLE,
            damage: Damage::None,
        }
    }

    /// Anything at all happens, more than one thing perhaps.
    pub(super) fn any(seed: u64) -> Self {
        let plan = Self::kill(seed);
        let disturbance = match sm(seed, 3) % 5 {
            0 => Disturbance::Pause(Duration::from_millis(sm(seed, 4) % 1500)),
            1 if plan.processes > 1 => Disturbance::Cut,
            2 if plan.processes > 1 => Disturbance::Garble { after: sm(seed, 8) % FRAMES, seed: sm(seed, 4) },
            _ => Disturbance::Kill,
        };
        let disk = Disk { kind: (sm(seed, 5) % DISKS.len() as u64) as usize, seed: sm(seed, 6) };
        Plan { disturbance: Some(disturbance), disk, damage: Damage::draw(sm(seed, 7)), ..plan }
    }

    /// Frames between two or three processes do not come as they were sent.
    pub(super) fn garble(seed: u64) -> Self {
        let plan = Self::kill(seed);
        let (processes, threads) = [(2, 1), (2, 2), (3, 1)][(sm(seed, 0) % 3) as usize];
        Plan {
            processes,
            threads,
            disturbance: Some(Disturbance::Garble { after: sm(seed, 4) % FRAMES, seed: sm(seed, 3) }),
            ..plan
        }
    }

    /// The same layout, and nothing happens.
    pub(super) fn calm(self) -> Self {
        Plan { disturbance: None, disk: Disk::WHOLE, damage: Damage::None, ..self }
    }

    pub(super) fn is_disturbed(&self) -> bool {
        self.disturbance.is_some()
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) runs: u64,
    attempts: u64,
    kills: u64,
    /// Attempts that had ended before they were killed.
    late: u64,
    pauses: u64,
    cuts: u64,
    /// Frames that were lost, doubled or moved.
    pub(super) garbled: u64,
    disks: [u64; DISKS.len()],
    corrupt: u64,
    jumps: u64,
}

impl Tally {
    /// Notes how an attempt has gone. A kill that came too late is none.
    pub(super) fn note(&mut self, plan: &Plan, finished: &[Finished]) {
        self.attempts += 1;
        self.disks[plan.disk.kind] += 1;
        match plan.disturbance {
            Some(Disturbance::Kill) => {
                let killed = finished.iter().any(|process| process.signal() == Some(9));
                *if killed { &mut self.kills } else { &mut self.late } += 1;
            }
            Some(Disturbance::Pause(_)) => self.pauses += 1,
            Some(Disturbance::Cut | Disturbance::Garble { .. }) => self.cuts += 1,
            None => {}
        }
    }

    pub(super) fn note_damage(&mut self, done: Damage) {
        match done {
            Damage::None => {}
            Damage::CorruptByte(_) => self.corrupt += 1,
            Damage::ClockJump(_) => self.jumps += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { runs, attempts, kills, late, pauses, cuts, garbled, disks, corrupt, jumps } = self;
        write!(
            f,
            "{runs} runs, {attempts} attempts, {kills} kills, {late} kills that came too late, {pauses} pauses, {cuts} lost connections, \
             {garbled} frames lost, doubled or moved"
        )?;
        for ((kind, _), n) in DISKS.iter().zip(disks).skip(1) {
            write!(f, ", {n} {kind} disks")?;
        }
        write!(f, ", {corrupt} corrupt bytes, {jumps} clock jumps")
    }
}
