//! Sums of arrays: each worker adds up the chunks with some numbers, and every worker gets all sums.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waterwheel_engine::{Collector, Error, ForRound, ProcessFunction, Result, StateReader, StateWriter};

/// Elements of a chunk.
const CHUNK: usize = 4096;

/// A part of an array.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Chunk {
    index: u32,
    worker: u32,
    /// Length of the whole array.
    length: u64,
    values: Vec<f64>,
}

impl Chunk {
    pub(super) fn index(&self) -> usize {
        self.index as usize
    }
}

/// Cuts the array of a worker.
pub(super) struct Split {
    worker: usize,
    has_array: bool,
}

impl Split {
    pub(super) fn new(worker: usize) -> Self {
        Split { worker, has_array: false }
    }
}

impl ProcessFunction<Vec<f64>> for Split {
    type Out = Chunk;
    const WAITS_FOR_END: bool = false;

    fn process(&mut self, array: Vec<f64>, out: &mut Collector<Chunk>) -> Result<()> {
        if std::mem::replace(&mut self.has_array, true) {
            return Err(Error::data(format!("a second array on worker {}, expected one", self.worker)));
        }
        let (worker, length) = (self.worker as u32, array.len() as u64);
        let of_values = |(index, values): (usize, &[f64])| Chunk {
            index: index as u32,
            worker,
            length,
            values: values.to_vec(),
        };
        match array.is_empty() {
            true => out.emit(of_values((0, &[]))),
            false => out.batch().extend(array.chunks(CHUNK).enumerate().map(of_values)),
        }
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(Split::new(self.worker))
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        state.put(&self.has_array)
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(has_array) = state.next_item::<bool>()? {
            self.has_array |= has_array;
        }
        Ok(())
    }
}

/// Adds up the chunks with the same number, in order of worker.
#[derive(Default)]
pub(super) struct SumChunks {
    chunks: BTreeMap<(u32, u32), Chunk>,
}

impl ProcessFunction<Chunk> for SumChunks {
    type Out = Chunk;

    fn process(&mut self, chunk: Chunk, _out: &mut Collector<Chunk>) -> Result<()> {
        self.chunks.insert((chunk.index, chunk.worker), chunk);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<Chunk>) -> Result<()> {
        let mut sum: Option<Chunk> = None;
        for chunk in std::mem::take(&mut self.chunks).into_values() {
            match &mut sum {
                Some(so_far) if so_far.length != chunk.length => {
                    return Err(Error::data(format!(
                        "arrays of {} and {} elements, on workers {} and {}: expected the same",
                        so_far.length, chunk.length, so_far.worker, chunk.worker
                    )));
                }
                Some(so_far) if so_far.index == chunk.index => {
                    so_far.values.iter_mut().zip(chunk.values).for_each(|(sum, x)| *sum += x);
                }
                _ => out.batch().extend(sum.replace(chunk)),
            }
        }
        out.batch().extend(sum);
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(Self::default())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        self.chunks.values().try_for_each(|chunk| state.put(chunk))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some(chunk) = state.next_item::<Chunk>()? {
            self.chunks.insert((chunk.index, chunk.worker), chunk);
        }
        Ok(())
    }
}

/// Puts the sums of all chunks together.
#[derive(Default)]
pub(super) struct Assemble {
    chunks: BTreeMap<u32, Vec<f64>>,
}

impl ProcessFunction<Chunk> for Assemble {
    type Out = Vec<f64>;

    fn process(&mut self, chunk: Chunk, _out: &mut Collector<Vec<f64>>) -> Result<()> {
        self.chunks.insert(chunk.index, chunk.values);
        Ok(())
    }

    fn end_of_input(&mut self, out: &mut Collector<Vec<f64>>) -> Result<()> {
        if !self.chunks.is_empty() {
            out.emit(std::mem::take(&mut self.chunks).into_values().flatten().collect());
        }
        Ok(())
    }

    fn for_next_round(&self) -> ForRound<Self> {
        ForRound::Fresh(Self::default())
    }

    fn snapshot(&self, state: &mut StateWriter) -> Result<()> {
        self.chunks.iter().try_for_each(|chunk| state.put(&chunk))
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<()> {
        while let Some((index, values)) = state.next_item()? {
            self.chunks.insert(index, values);
        }
        Ok(())
    }
}
