//! Distributed vectors and matrices on the parameter server, as in Glint.
//!
//! [`Models`] registers vectors and matrices of any number, each with its own size, type of elements and layout, and
//! runs a [`ModelLogic`] that holds their handles: [`BigVector`] and [`BigMatrix`].
//!
//! They live in the loop of the parameter server: [`Models::transform`] is [`transform`](crate::transform()) with a
//! logic of ours on both sides. So the loop ends when everything is answered and applied, memory is bounded by the
//! credit, and all settings of [`PsConfig`] hold, where an *operation* is a message to one part.
//!
//! # Examples
//! Word counts, as a vector, and who follows whom, as a matrix:
//! ```
//! use waterwheel_engine::{Result, RuntimeConfig, execute};
//! use waterwheel_ps::PsConfig;
//! use waterwheel_ps::models::{BigMatrix, BigVector, ModelClient, ModelLogic, Models};
//!
//! struct Count {
//!     words: BigVector<u64>,
//!     pairs: BigMatrix<i32>,
//! }
//!
//! impl ModelLogic for Count {
//!     type In = (u64, usize);
//!     type Out = (u64, u64);
//!
//!     fn on_recv(&mut self, (word, next): (u64, usize), ps: &mut ModelClient<'_, Self>) -> Result<()> {
//!         self.words.push(ps, &[word], &[1])?;
//!         self.pairs.push(ps, &[word], &[next], &[1])
//!     }
//!
//!     fn on_end_of_input(&mut self, ps: &mut ModelClient<'_, Self>) -> Result<()> {
//!         ps.advance_clock();
//!         Ok(())
//!     }
//!
//!     fn on_clock(&mut self, _clock: u64, ps: &mut ModelClient<'_, Self>) -> Result<()> {
//!         self.words.pull(ps, &[0, 1], |_logic, counts, ps| {
//!             ps.output((counts[0], counts[1]));
//!             Ok(())
//!         })
//!     }
//! }
//!
//! let counts = execute(RuntimeConfig::threads(2), |env| {
//!     let mut models = Models::new(env.workers());
//!     let count = Count { words: models.vector(10)?, pairs: models.matrix(10, 10)? };
//!     let pairs = env.from_iter([(0, 1), (1, 0), (0, 2)]);
//!     Ok(models.transform(pairs, count, &PsConfig::new())?.output.collect())
//! })?;
//! assert_eq!(counts.concat(), [(2, 1), (2, 1)]);
//! # Ok::<(), waterwheel_engine::Error>(())
//! ```

mod blocks;
mod buffer;
mod client;
mod matrix;
mod message;
mod packed;
mod server;
mod spec;
mod table;
mod values;
mod vector;

pub use blocks::Block;
pub use buffer::BufferedBigMatrix;
pub use client::{ModelClient, ModelLogic};
pub use matrix::BigMatrix;
pub use message::ModelKey;
pub use server::ModelRow;
pub use spec::{MatrixSpec, Split};
pub use values::{Scalar, Values};
pub use vector::BigVector;

use waterwheel_engine::{Clock, DataStream, Error, Record, Result};

use crate::config::PsConfig;
use crate::consistency::Consistency;
use crate::placement::Placement;
use crate::state::PsState;
use crate::transform::{Transformed, transform};
use client::ModelWorker;
use server::ModelServer;
use table::{MakeTable, Planned};

/// Messages of models in one block at most: each may hold many elements.
const BLOCK_LEN: usize = 16;

/// The vectors and matrices of a job.
///
/// Register the same ones, in the same order, on every worker.
pub struct Models {
    servers: usize,
    plans: Vec<Box<dyn MakeTable>>,
    state: Option<PsState>,
}

impl Models {
    /// For a job with so many servers, 1 or more; often `env.workers()`.
    pub fn new(servers: usize) -> Self {
        Models { servers, plans: Vec::new(), state: None }
    }

    /// Shows there how many rows the servers hold, and how large they are. A row of which several parts have columns
    /// counts in each.
    pub fn state(&mut self, state: &PsState) {
        self.state = Some(state.clone());
    }

    /// Adds a matrix of zeros, split by rows into ranges.
    ///
    /// # Errors
    /// It has too many columns.
    pub fn matrix<E: Scalar>(&mut self, rows: u64, columns: usize) -> Result<BigMatrix<E>> {
        self.matrix_of(MatrixSpec::new(rows, columns))
    }

    /// Adds a matrix.
    ///
    /// # Errors
    /// A setting of it is not valid.
    pub fn matrix_of<E: Scalar>(&mut self, spec: MatrixSpec<E>) -> Result<BigMatrix<E>> {
        let layout = spec.layout(self.servers)?;
        let model = u32::try_from(self.plans.len()).map_err(|_| Error::config("too many models"))?;
        self.plans.push(Box::new(Planned { spec, layout }));
        Ok(BigMatrix::new(model, layout))
    }

    /// Adds a vector of zeros, split into ranges.
    ///
    /// # Errors
    /// There are too many models.
    pub fn vector<E: Scalar>(&mut self, len: u64) -> Result<BigVector<E>> {
        self.vector_of(MatrixSpec::new(len, 1))
    }

    /// Adds a vector with the settings of a matrix of one column.
    ///
    /// # Errors
    /// A setting is not valid, or there is not one column.
    pub fn vector_of<E: Scalar>(&mut self, spec: MatrixSpec<E>) -> Result<BigVector<E>> {
        if spec.columns != 1 {
            return Err(Error::config(format!("vector: found {} columns, expected 1", spec.columns)));
        }
        self.matrix_of(spec).map(BigVector::new)
    }

    /// Runs the logic on a stream: [`transform`](crate::transform()) for models.
    ///
    /// Of the settings, the number of servers, the widths and the placement are ours, and a block has at most 16
    /// messages. The model stream gets every row that was used, at the end.
    ///
    /// # Errors
    /// Settings out of their range, see [`PsConfig`]; or consistency is [`Consistency::Serialisable`].
    #[track_caller]
    pub fn transform<'s, L, T>(
        self,
        data: DataStream<'s, L::In, T>,
        logic: L,
        config: &PsConfig<ModelKey>,
    ) -> Result<Transformed<'s, L::Out, ModelRow, T>>
    where
        L: ModelLogic<In: Record>,
        T: Clock,
    {
        if config.consistency == Consistency::Serialisable {
            return Err(Error::config(
                "models with serialisable consistency, which locks rows: expected another one",
            ));
        }
        let placement = Placement::custom(|key: &ModelKey, servers| key.part as usize % servers);
        let block_len = config.block_len.min(BLOCK_LEN);
        let config = config.clone().servers(self.servers).width(1).block_len(block_len).placement(placement);
        transform(data, ModelWorker::new(logic), ModelServer::new(self.plans, self.state), &config)
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("servers", &self.servers).field("models", &self.plans.len()).finish()
    }
}
