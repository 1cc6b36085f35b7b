//! The parameters of a job on disk.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Key, Result};

use crate::element::{self, Element};
use crate::model_files::{self, Dtype, Tensor, tensor};

const FORMAT: (&str, u32) = ("waterwheel-ps", 1);

/// A model as servers output it, to be saved and to begin from: keys in their order, each with its row.
///
/// Files: `docs/formats/ps-model.md`. Numbers lie there as their bytes, so that any reader of safetensors finds them;
/// other keys and elements as their postcard encoding.
///
/// # Examples
/// A job is trained, saved, and begins from where it was, with another number of workers:
/// ```
/// use waterwheel_engine::{Result, RuntimeConfig, execute};
/// use waterwheel_ps::{ParameterServerClient, PsConfig, SavedModel, SimpleServer, Sum, WorkerLogic};
///
/// struct Count;
/// impl WorkerLogic for Count {
///     type In = u64;
///     type Key = u64;
///     type Pull = u64;
///     type Push = u64;
///     type Out = ();
///     fn on_recv(&mut self, key: u64, ps: &mut ParameterServerClient<Self>) -> Result<()> {
///         ps.push(key, [1])
///     }
///     fn on_pull_recv(&mut self, _: &u64, _: &[u64], _: &mut ParameterServerClient<Self>) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let directory = std::env::temp_dir().join(format!("saved-model-example-{}", std::process::id()));
/// for (workers, expected) in [(1, 10), (3, 20)] {
///     let from = directory.clone();
///     let counts = execute(RuntimeConfig::threads(workers), move |env| {
///         let keys = env.from_iter((0..1_000u64).map(|i| i % 100)).rebalance();
///         let server = SimpleServer::with_update(|_: &u64, row: &mut Vec<u64>| row.push(0), Sum);
///         let config = PsConfig::new();
///         let trained = if from.exists() {
///             let saved = SavedModel::load(&from, 1)?;
///             let saved = env.from_splits(env.workers(), move |split| saved.part(split, 3));
///             waterwheel_ps::transform_with_model_load(saved, keys, Count, server, &config)?
///         } else {
///             waterwheel_ps::transform(keys, Count, server, &config)?
///         };
///         Ok(trained.model.collect())
///     })?;
///     let model = SavedModel::new(counts.concat(), 1)?;
///     assert_eq!(model.row(&7), Some(&[expected][..]));
///     model.save(&directory)?;
/// }
/// # std::fs::remove_dir_all(&directory).unwrap();
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel<K, E> {
    width: usize,
    keys: Vec<K>,
    rows: Vec<E>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    keys: String,
    elements: String,
    rows: usize,
    width: usize,
}

impl<K: Key, E: Element> SavedModel<K, E> {
    /// A model of these parameters, in any order, with rows of `width` elements.
    ///
    /// # Errors
    /// A row has another number of elements, or a key is there twice.
    pub fn new(mut parameters: Vec<(K, Vec<E>)>, width: usize) -> Result<Self> {
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = parameters.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::data(format!("key {:?} is twice in the model", pair[0].0)));
        }
        if let Some((key, row)) = parameters.iter().find(|(_, row)| row.len() != width) {
            let found = row.len();
            return Err(Error::data(format!("row of {key:?} has {found} elements, expected {width}")));
        }
        let (keys, rows): (Vec<K>, Vec<Vec<E>>) = parameters.into_iter().unzip();
        Ok(SavedModel { width, keys, rows: rows.concat() })
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no parameters.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The row of `key`.
    pub fn row(&self, key: &K) -> Option<&[E]> {
        let at = self.keys.binary_search(key).ok()?;
        self.rows.get(at * self.width..(at + 1) * self.width)
    }

    /// Every `parts`-th parameter, from number `part` on: what one split of a source reads. With as many splits as
    /// `parts` all are read once.
    pub fn part(&self, part: usize, parts: usize) -> impl Iterator<Item = (K, Vec<E>)> + use<K, E> {
        let places = (part..self.len()).step_by(parts.max(1));
        let row = |at: usize| self.rows[at * self.width..(at + 1) * self.width].to_vec();
        places.map(|at| (self.keys[at].clone(), row(at))).collect::<Vec<_>>().into_iter()
    }

    /// Saves it into a directory, which is made if it is not there. A model that was there before is replaced; a reader
    /// sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let tensors = [
            to_tensor("keys", &self.keys, &[self.len()]),
            to_tensor("rows", &self.rows, &[self.len(), self.width]),
        ];
        model_files::save(
            directory,
            FORMAT,
            &tensors,
            &Fields { keys: kind::<K>(), elements: kind::<E>(), rows: self.len(), width: self.width },
        )
    }

    /// Loads a model that [`save`](Self::save) has written, with rows of `width` elements.
    ///
    /// # Errors
    /// A file is missing, of another format or version, or damaged (the checksum tells); keys, elements or rows are
    /// not what is expected; a key is there twice.
    pub fn load(directory: &Path, width: usize) -> Result<Self> {
        model_files::load(directory, FORMAT, |manifest: Fields, tensors| {
            let expected = (kind::<K>(), kind::<E>(), width);
            let found = (manifest.keys, manifest.elements, manifest.width);
            if found != expected {
                return Err(Error::data(format!(
                    "{}: found keys {}, elements {} and width {}, expected {}, {} and {}",
                    directory.display(),
                    found.0,
                    found.1,
                    found.2,
                    expected.0,
                    expected.1,
                    expected.2
                )));
            }
            let (n, total) = (manifest.rows, manifest.rows.saturating_mul(width));
            let keys: Vec<K> = from_tensor(tensors, "keys", &[n], n)?;
            let rows = from_tensor(tensors, "rows", &[n, width], total)?;
            match keys.windows(2).find(|pair| pair[0] >= pair[1]) {
                Some(pair) => Err(Error::data(format!("key {:?} is out of order in the model", pair[1]))),
                None => Ok(SavedModel { width, keys, rows }),
            }
        })
    }
}

/// What the manifest calls a type: numbers by their type in safetensors, others by their encoding.
fn kind<T: 'static>() -> String {
    element::number_type::<T>().map_or_else(|| "postcard".into(), |dtype| format!("{dtype:?}"))
}

fn to_tensor<T: Element>(name: &str, values: &Vec<T>, shape: &[usize]) -> Tensor {
    let mut bytes = Vec::with_capacity(element::encoded_len(values));
    element::encode(values, &mut bytes);
    match element::number_type::<T>() {
        Some(dtype) => (name.into(), dtype, shape.to_vec(), bytes),
        None => (name.into(), Dtype::U8, vec![bytes.len()], bytes),
    }
}

fn from_tensor<T: Element>(
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
    count: usize,
) -> Result<Vec<T>> {
    let bytes = match element::number_type::<T>() {
        Some(dtype) => tensor(tensors, name, dtype, shape)?,
        None => {
            let len = tensors.tensor(name).map_or(0, |view| view.data().len());
            tensor(tensors, name, Dtype::U8, &[len])?
        }
    };
    element::decode(bytes, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> SavedModel<u64, f32> {
        let rows = vec![(u64::MAX, vec![1.5, -0.0]), (7, vec![f32::MIN_POSITIVE, 3.0])];
        SavedModel::new(rows, 2).unwrap()
    }

    #[test]
    fn saved_model_loads_bit_for_bit_and_replaces_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        SavedModel::new(vec![(1u64, vec![0.0f32])], 1).unwrap().save(dir.path()).unwrap();
        model().save(dir.path()).unwrap();
        let loaded = SavedModel::load(dir.path(), 2).unwrap();
        assert_eq!(loaded, model());
        assert_eq!(
            loaded.rows.iter().map(|x| x.to_bits()).max(),
            model().rows.iter().map(|x| x.to_bits()).max()
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        let parts: Vec<_> = (0..3).flat_map(|part| loaded.part(part, 3)).collect();
        assert_eq!(parts, [(7, vec![f32::MIN_POSITIVE, 3.0]), (u64::MAX, vec![1.5, -0.0])]);
    }

    #[test]
    fn keys_and_elements_of_any_type_survive() {
        let dir = tempfile::tempdir().unwrap();
        let rows = vec![("b".to_string(), vec![vec![1u8, 2]]), (String::new(), vec![vec![]])];
        let model = SavedModel::new(rows, 1).unwrap();
        model.save(dir.path()).unwrap();
        assert_eq!(SavedModel::load(dir.path(), 1).unwrap(), model);
        let empty = SavedModel::<i32, f64>::new(vec![], 4).unwrap();
        empty.save(dir.path()).unwrap();
        assert!(SavedModel::<i32, f64>::load(dir.path(), 4).unwrap().is_empty());
    }

    #[test]
    fn model_of_another_format_is_refused_by_the_names_of_both() {
        let dir = tempfile::tempdir().unwrap();
        let fields = std::collections::BTreeMap::from([("topics", 3)]);
        model_files::save(dir.path(), ("waterwheel-lda", 2), &[], &fields).unwrap();
        let error = SavedModel::<u64, f32>::load(dir.path(), 2).unwrap_err();
        assert!(error.message().contains("found waterwheel-lda version 2"), "{error}");
        assert!(error.message().contains("waterwheel-ps version 1"), "{error}");
    }

    #[test]
    fn model_of_another_width_or_type_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        let error = SavedModel::<u64, f32>::load(dir.path(), 3).unwrap_err();
        assert!(
            error.message().ends_with("found keys U64, elements F32 and width 2, expected U64, F32 and 3"),
            "{error}"
        );
        let error = SavedModel::<String, f64>::load(dir.path(), 2).unwrap_err();
        assert!(error.message().ends_with("expected postcard, F64 and 2"), "{error}");
        let double = SavedModel::new(vec![(1u64, vec![0.0f32]), (1, vec![1.0])], 1).unwrap_err();
        assert_eq!(double.message(), "key 1 is twice in the model");
        let ragged = SavedModel::new(vec![(1u64, vec![0.0f32])], 2).unwrap_err();
        assert_eq!(ragged.message(), "row of 1 has 1 elements, expected 2");
    }

    #[test]
    fn every_flipped_byte_of_a_saved_model_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        for file in ["model.safetensors", "model.json"] {
            let path = dir.path().join(file);
            let good = std::fs::read(&path).unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x01;
                std::fs::write(&path, &bad).unwrap();
                match SavedModel::load(dir.path(), 2) {
                    Err(_) => {}
                    // A manifest may differ in white space alone.
                    Ok(loaded) => assert!(file == "model.json" && loaded == model(), "{file} byte {at}"),
                }
            }
            std::fs::write(&path, &good).unwrap();
        }
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ps-model-v1"));
        assert_eq!(SavedModel::load(golden, 2).unwrap(), model());
    }
}
