//! What a worker asks of a part of a model.

use std::fmt;
use std::sync::Arc;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use crate::models::packed;

/// The key of the operations on models: which part of which model, and what is asked of it.
///
/// It is made by the operations of [`BigMatrix`](super::BigMatrix) and [`BigVector`](super::BigVector) and appears in
/// the type of their settings, [`PsConfig<ModelKey>`](crate::PsConfig).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelKey {
    pub(crate) model: u32,
    /// Part of the model, which is on server `part mod servers`.
    pub(crate) part: u32,
    /// Request of the worker that this belongs to, and the number of this message in it; 0 in pushes.
    pub(crate) request: u64,
    pub(crate) message: u32,
    pub(crate) ask: Ask,
}

/// What is asked of a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Elements: their rows and columns.
    Cells { rows: Numbers<u64>, columns: Numbers<u32> },
    /// What the part has of these rows, one after the other.
    Rows { rows: Numbers<u64> },
    /// Of each pair of rows, of this model and of another, the product, or its update.
    Pairs { other: u32, left: Numbers<u64>, right: Numbers<u64> },
    /// The sums of the squares of these rows.
    SquaredNorms { rows: Numbers<u64> },
    /// That it be freed.
    Destroy,
}

/// Numbers that are shared when they are cloned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "N: Pod")]
pub(crate) struct Numbers<N>(#[serde(with = "packed")] Arc<[N]>);

impl<N> Numbers<N> {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, N> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<N> From<Vec<N>> for Numbers<N> {
    fn from(numbers: Vec<N>) -> Self {
        Numbers(numbers.into())
    }
}

/// A message may have thousands, and stands in errors.
impl<N: fmt::Debug> fmt::Debug for Numbers<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            few if few.len() <= 3 => f.debug_list().entries(few).finish(),
            [first, .., last] => write!(f, "[{first:?}, .., {last:?}: {}]", self.len()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Values;
    use proptest::prelude::*;

    fn key(ask: Ask) -> ModelKey {
        ModelKey { model: 1, part: 2, request: 300, message: 4, ask }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The wire form is part of the protocol between processes of one version: docs/formats/ps-models.md.
    #[test]
    fn keys_and_values_have_their_golden_bytes() {
        let cells = Ask::Cells { rows: vec![1, 258].into(), columns: vec![3, 4].into() };
        let golden = "0102ac020400100100000000000000020100000000000008\
                      0300000004000000";
        assert_eq!(hex(&postcard::to_stdvec(&key(cells)).unwrap()), golden);
        assert_eq!(hex(&postcard::to_stdvec(&key(Ask::Destroy)).unwrap()), "0102ac020404");
        let values = Values::of(vec![0.5f32, -1.0]);
        assert_eq!(hex(&postcard::to_stdvec(&values).unwrap()), "00080000003f000080bf");
        assert_eq!(hex(&postcard::to_stdvec(&Values::of(vec![-2i32])).unwrap()), "0204feffffff");
    }

    #[test]
    fn bytes_that_are_no_whole_numbers_are_refused() {
        let mut bytes = postcard::to_stdvec(&Values::of(vec![1u64])).unwrap();
        bytes[1] = 7;
        assert!(postcard::from_bytes::<Values>(&bytes).is_err());
        assert!(postcard::from_bytes::<Values>(&[9, 0]).is_err());
    }

    fn survives<M: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(message: &M) {
        let bytes = postcard::to_stdvec(message).unwrap();
        assert_eq!(postcard::from_bytes::<M>(&bytes).unwrap(), *message);
        let text = serde_json::to_string(message).unwrap();
        assert_eq!(serde_json::from_str::<M>(&text).unwrap(), *message);
    }

    proptest! {
        /// T-GL-15, for each kind of message and of element.
        #[test]
        fn t_gl_15_messages_survive_the_wire(
            rows in prop::collection::vec(any::<u64>(), 0..20),
            columns in prop::collection::vec(any::<u32>(), 0..20),
            values in prop::collection::vec(any::<i64>(), 0..20),
        ) {
            let ids = || Numbers::from(rows.clone());
            survives(&key(Ask::Cells { rows: ids(), columns: columns.into() }));
            survives(&key(Ask::Rows { rows: ids() }));
            survives(&key(Ask::Pairs { other: 7, left: ids(), right: ids() }));
            survives(&key(Ask::SquaredNorms { rows: ids() }));
            survives(&key(Ask::Destroy));
            survives(&Values::of(values.iter().map(|n| *n as f32).collect()));
            survives(&Values::of(values.iter().map(|n| *n as f64).collect()));
            survives(&Values::of(values.iter().map(|n| *n as i32).collect()));
            survives(&Values::of(values));
            survives(&Values::of(rows));
        }
    }
}
