//! A model on disk: `model.safetensors` with the numbers and `model.json`, the manifest, written last.
//!
//! Tensors: `users.ids` and `items.ids` (`U64`, `[n]`, ascending), `users.rows` and `items.rows` (`F32`,
//! `[n, width]`), `mean` (`F32`, `[1]` with biases, `[0]` without); in version 2, which is that of models with names,
//! `users.names` and `items.names` (`U8`, `[bytes]`) and where each ends (`U64`, `[n]`). The manifest holds the format's
//! name and version, what the shapes must be, and the XXH3 checksum of the tensor file in hexadecimal. See
//! `docs/formats/mf-model.md`.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use waterwheel_engine::{Error, Result};
use waterwheel_ps::model_files::{self, Dtype, tensor};

use crate::mf::{Factors, MfModel, Names};
use crate::words::words;

const FORMAT: &str = "waterwheel-mf";

/// The version of models whose ids are numbers, and of those whose ids stand for names.
const NUMBERS: u32 = 1;
const NAMES: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    rank: usize,
    biases: bool,
    users: usize,
    items: usize,
}

impl MfModel {
    /// Saves the model into a directory, which is made if it is not there. A model that was there before is
    /// replaced; a reader sees the old or the new one, or is told that they do not belong together.
    ///
    /// # Errors
    /// The directory or a file in it can not be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        model_files::save(
            directory,
            (FORMAT, if self.names().is_some() { NAMES } else { NUMBERS }),
            &self.to_tensors(),
            &Fields {
                rank: self.rank(),
                biases: self.mean().is_some(),
                users: self.users().ids().len(),
                items: self.items().ids().len(),
            },
        )
    }

    /// Loads a model that [`save`](Self::save) has written.
    ///
    /// # Errors
    /// A file is missing, of another format or version, damaged (the checksum tells), or does not fit the
    /// manifest.
    ///
    /// # Examples
    /// ```no_run
    /// let model = waterwheel_ml::mf::MfModel::load("model".as_ref())?;
    /// println!("{}", model.predict(7, 42));
    /// # Ok::<(), waterwheel_engine::Error>(())
    /// ```
    pub fn load(directory: &Path) -> Result<Self> {
        model_files::load_one_of(directory, FORMAT, &[NUMBERS, NAMES], Fields::into_model)
    }

    fn to_tensors(&self) -> Vec<model_files::Tensor> {
        let width = self.rank() + usize::from(self.mean().is_some());
        let mut data = Vec::new();
        for (name, factors) in [("users", self.users()), ("items", self.items())] {
            let n = factors.ids().len();
            let ids: Vec<u8> = factors.ids().iter().flat_map(|id| id.to_le_bytes()).collect();
            let rows: Vec<u8> = factors.rows().iter().flat_map(|value| value.to_le_bytes()).collect();
            data.push((format!("{name}.ids"), Dtype::U64, vec![n], ids));
            data.push((format!("{name}.rows"), Dtype::F32, vec![n, width], rows));
        }
        let mean: Vec<u8> = self.mean().iter().flat_map(|mean| mean.to_le_bytes()).collect();
        data.push(("mean".into(), Dtype::F32, vec![mean.len() / 4], mean));
        if let Some((users, items)) = self.names() {
            data.extend(name_tensors("users", users));
            data.extend(name_tensors("items", items));
        }
        data
    }
}

/// The names side by side, and where each ends.
fn name_tensors(whose: &str, names: &Names) -> [model_files::Tensor; 2] {
    let names = names.as_slice();
    let ends = names.iter().scan(0u64, |end, name| {
        *end += name.len() as u64;
        Some(end.to_le_bytes())
    });
    let (ends, text) = (ends.collect::<Vec<_>>().concat(), names.concat().into_bytes());
    [
        (format!("{whose}.names"), Dtype::U8, vec![text.len()], text),
        (format!("{whose}.names.ends"), Dtype::U64, vec![names.len()], ends),
    ]
}

fn load_names(tensors: &SafeTensors<'_>, whose: &str, ids: &[u64]) -> Result<Names> {
    let ends = tensor(tensors, &format!("{whose}.names.ends"), Dtype::U64, &[ids.len()])?;
    let ends: Vec<u64> = words(ends, u64::from_le_bytes);
    let len = ends.last().map_or(0, |end| *end as usize);
    let text = tensor(tensors, &format!("{whose}.names"), Dtype::U8, &[len])?;
    let wrong = || Error::data(format!("tensor \"{whose}.names\": not names of these ids"));
    let text = std::str::from_utf8(text).map_err(|error| wrong().caused_by(error))?;
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let name = |(begin, end): (u64, &u64)| text.get(begin as usize..*end as usize).map(String::from);
    let names = Names::new(begins.zip(&ends).map(name).collect::<Option<Vec<_>>>().ok_or_else(wrong)?)?;
    if names.ids() == ids { Ok(names) } else { Err(wrong()) }
}

impl Fields {
    fn into_model(self, version: u32, tensors: &SafeTensors<'_>) -> Result<MfModel> {
        let n_means = usize::from(self.biases);
        let width = self.rank + n_means;
        let mean = words(tensor(tensors, "mean", Dtype::F32, &[n_means])?, f32::from_le_bytes).pop();
        let load = |name: &str, n: usize| -> Result<Factors> {
            let ids = tensor(tensors, &format!("{name}.ids"), Dtype::U64, &[n])?;
            let rows = tensor(tensors, &format!("{name}.rows"), Dtype::F32, &[n, width])?;
            Factors::from_parts(words(ids, u64::from_le_bytes), words(rows, f32::from_le_bytes), width)
        };
        let (users, items) = (load("users", self.users)?, load("items", self.items)?);
        let model = MfModel::from_parts(self.rank, mean, users, items)?;
        if version == NUMBERS {
            return Ok(model);
        }
        let users = load_names(tensors, "users", model.users().ids())?;
        let items = load_names(tensors, "items", model.items().ids())?;
        model.with_names(users, items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "model.json";
    const TENSORS: &str = "model.safetensors";

    fn model() -> MfModel {
        let users =
            Factors::from_rows(vec![(7, vec![0.1, f32::MIN_POSITIVE]), (u64::MAX, vec![3.0, 4.0])], 2);
        let items = Factors::from_rows(vec![(0, vec![-1.5, 0.25])], 2);
        MfModel::from_parts(1, Some(3.527), users.unwrap(), items.unwrap()).unwrap()
    }

    fn model_with_names() -> MfModel {
        let names = |list: &[&str]| Names::new(list.iter().map(ToString::to_string)).unwrap();
        let rows = |names: &[&str]| {
            let row = |(at, name): (usize, &&str)| (Names::id(name), vec![at as f32, -0.5]);
            Factors::from_rows(names.iter().enumerate().map(row).collect(), 2).unwrap()
        };
        let (users, items) = (["alice", "O'Brien, Pat", ""], ["B00X4WHP5E", "山田"]);
        let model = MfModel::from_parts(1, Some(3.5), rows(&users), rows(&items)).unwrap();
        model.with_names(names(&users), names(&items)).unwrap()
    }

    #[test]
    fn saved_model_loads_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        for model in [model(), model_with_names(), model()] {
            model.save(dir.path()).unwrap();
            model.save(dir.path()).unwrap();
            assert_eq!(MfModel::load(dir.path()).unwrap(), model);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    /// A model of version 2 must load for ever, and is written as it was.
    #[test]
    fn golden_model_of_version_2_loads_and_is_written_alike() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mf-v2"));
        assert_eq!(MfModel::load(golden).unwrap(), model_with_names());
        let dir = tempfile::tempdir().unwrap();
        model_with_names().save(dir.path()).unwrap();
        for file in [TENSORS, MANIFEST] {
            assert_eq!(
                std::fs::read(dir.path().join(file)).unwrap(),
                std::fs::read(golden.join(file)).unwrap(),
                "{file}"
            );
        }
    }

    #[test]
    fn names_that_are_not_those_of_the_ids_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let model = model_with_names();
        let users = model.users().ids().len();
        let fields = || Fields { rank: 1, biases: true, users, items: 2 };
        let save = |at: &str, change: fn(&mut Vec<u8>)| {
            let mut tensors = model.to_tensors();
            let (_, _, shape, bytes) = tensors.iter_mut().find(|(name, ..)| name == at).unwrap();
            change(bytes);
            if at.ends_with("names") {
                shape[0] = bytes.len();
            }
            model_files::save(dir.path(), (FORMAT, NAMES), &tensors, &fields()).unwrap();
            MfModel::load(dir.path())
        };
        assert_eq!(save("mean", |_| ()).unwrap(), model);
        let changes: [(&str, fn(&mut Vec<u8>)); 5] = [
            ("users.names", |text| text[0] ^= 1),
            ("users.names", |text| text[0] = 0xff),
            ("items.names", |text| text.push(b'x')),
            ("items.names.ends", |ends| ends[0] ^= 1),
            ("items.names.ends", |ends| ends[7] = 0xff),
        ];
        for (at, change) in changes {
            let error = save(at, change).unwrap_err();
            assert!(error.message().contains(".names\""), "{at}: {error}");
        }
    }

    /// A model of version 1 must load for ever.
    #[test]
    fn golden_model_of_version_1_loads() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mf-v1"));
        assert_eq!(MfModel::load(golden).unwrap(), model());
    }

    #[test]
    fn every_flipped_byte_of_a_model_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        model().save(dir.path()).unwrap();
        for file in [TENSORS, MANIFEST] {
            let path = dir.path().join(file);
            let good = std::fs::read(&path).unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x01;
                std::fs::write(&path, &bad).unwrap();
                match MfModel::load(dir.path()) {
                    Err(_) => {}
                    // A manifest may differ in white space alone.
                    Ok(loaded) => assert!(file == MANIFEST && loaded == model(), "{file} byte {at}"),
                }
            }
            std::fs::write(&path, &good).unwrap();
        }
    }

    #[test]
    fn missing_and_foreign_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = MfModel::load(dir.path()).unwrap_err();
        assert!(error.message().contains("model.json"), "{error}");
        model().save(dir.path()).unwrap();
        let path = dir.path().join(MANIFEST);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"version\": 1", "\"version\": 3")).unwrap();
        let error = MfModel::load(dir.path()).unwrap_err();
        assert!(
            error.message().ends_with("found waterwheel-mf version 3, expected waterwheel-mf version 1 or 2")
        );
    }
}
