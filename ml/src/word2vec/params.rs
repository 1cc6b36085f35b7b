//! Parameters, checked once.

use waterwheel_engine::{Error, Result};

/// Parameters of skip-gram with negative sampling, not yet checked.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `dim`: coordinates of a vector | 100 | 1 to 65,536 |
/// | `window`: words on either side at most | 5 | 1 or more |
/// | `negatives` for each pair of words | 5 | 1 or more |
/// | `subsample`: words that are a larger share of the text are left out now and then; 0: never | 0.001 | finite, 0 or more |
/// | `epochs` over the text | 5 | 1 or more |
/// | `learning_rate` at the beginning; it falls to a ten-thousandth | 0.025 | finite, above 0 |
/// | `batch`: pairs that are learned at once, negative ones among them | 512 | 1 to 65,536 |
/// | `seed` | 1 | |
///
/// # Examples
/// ```
/// use waterwheel_ml::word2vec::Word2VecParams;
/// let counts = vec![10, 7, 3];
/// assert!(Word2VecParams::new().dim(50).build(counts.clone()).is_ok());
/// assert!(Word2VecParams::new().window(0).build(counts).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Word2VecParams {
    dim: usize,
    window: usize,
    negatives: usize,
    subsample: f64,
    epochs: u32,
    learning_rate: f64,
    batch: usize,
    seed: u64,
}

impl Default for Word2VecParams {
    fn default() -> Self {
        Word2VecParams {
            dim: Self::DIM,
            window: Self::WINDOW,
            negatives: Self::NEGATIVES,
            subsample: Self::SUBSAMPLE,
            epochs: Self::EPOCHS,
            learning_rate: Self::LEARNING_RATE,
            batch: Self::BATCH,
            seed: Self::SEED,
        }
    }
}

/// The defaults, for flags that offer the same parameters.
impl Word2VecParams {
    /// Coordinates of a vector.
    pub const DIM: usize = 100;
    /// Words on either side at most.
    pub const WINDOW: usize = 5;
    /// Negative samples for each pair of words.
    pub const NEGATIVES: usize = 5;
    /// Share of the text above which words are left out now and then.
    pub const SUBSAMPLE: f64 = 1e-3;
    /// Epochs over the text.
    pub const EPOCHS: u32 = 5;
    /// Step size at the beginning.
    pub const LEARNING_RATE: f64 = 0.025;
    /// Pairs that are learned at once.
    pub const BATCH: usize = 512;
    /// Seed.
    pub const SEED: u64 = 1;
}

impl Word2VecParams {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the coordinates of a vector.
    #[must_use]
    pub fn dim(mut self, dim: usize) -> Self {
        self.dim = dim;
        self
    }

    /// Sets how many words on either side are looked at, at most: for each word a number from 1 to it is drawn.
    #[must_use]
    pub fn window(mut self, words: usize) -> Self {
        self.window = words;
        self
    }

    /// Sets how many words are drawn for each pair, by their counts to the power of 3/4, as ones that do not belong there.
    #[must_use]
    pub fn negatives(mut self, words: usize) -> Self {
        self.negatives = words;
        self
    }

    /// Sets of which share of the text on words are left out now and then: a word of the share `f` stays with the chance
    /// `sqrt(t / f) + t / f`, for this share `t`.
    #[must_use]
    pub fn subsample(mut self, share: f64) -> Self {
        self.subsample = share;
        self
    }

    /// Sets the epochs over the text.
    #[must_use]
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the step size at the beginning.
    #[must_use]
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate;
        self
    }

    /// Sets how many pairs are learned at once. Larger ones are faster, and each pair sees less of what the others have
    /// changed: where words are few, a large batch moves them too far.
    #[must_use]
    pub fn batch(mut self, pairs: usize) -> Self {
        self.batch = pairs;
        self
    }

    /// Sets the seed of first vectors and of all draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the parameters, for words `0..counts.len()` that are so often in the text.
    ///
    /// # Errors
    /// The first parameter outside its range, with the value found and the range; there are no words, or all counts are 0.
    pub fn build(self, counts: Vec<u64>) -> Result<Word2Vec> {
        let wrong = |what: &str, found: String, expected: &str| {
            Err(Error::config(format!("word2vec: {what}: found {found}, expected {expected}")))
        };
        for (what, found) in [("dim", self.dim), ("batch", self.batch)] {
            if !(1..=65_536).contains(&found) {
                return wrong(what, found.to_string(), "1 to 65536");
            }
        }
        let positive =
            [("window", self.window), ("negatives", self.negatives), ("epochs", self.epochs as usize)];
        if let Some((what, _)) = positive.iter().find(|(_, found)| *found == 0) {
            return wrong(what, "0".into(), "1 or more");
        }
        if !(self.subsample.is_finite() && self.subsample >= 0.0) {
            return wrong("subsample", self.subsample.to_string(), "a finite number, 0 or more");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return wrong("learning rate", self.learning_rate.to_string(), "a finite number above 0");
        }
        if counts.iter().all(|count| *count == 0) {
            return wrong("counts", format!("{} words that are never there", counts.len()), "a word that is");
        }
        Ok(Word2Vec { params: self, counts, start: None })
    }
}

/// Skip-gram with negative sampling, with checked parameters.
///
/// Two matrices have a vector for each word: as one that is looked at, and as one that is near. For each word and each of
/// those near it, the product of both vectors is moved up, and down for words drawn at random.
///
/// The servers have some columns of all rows of both matrices, and multiply what they have: a worker sends the numbers of
/// words, gets products, and sends back by how much each pair is to move. So what travels does not depend on the number of
/// coordinates. A batch of pairs is under way at a time at each worker; workers do not wait for each other but at the end
/// of an epoch. With one worker a run can be repeated bit for bit.
///
/// # References
/// Mikolov et al., *Distributed representations of words and phrases and their compositionality*, NIPS 2013; Ordentlich et
/// al., *Network-efficient distributed word2vec training system for large vocabularies*, CIKM 2016.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::word2vec::{Sentence, Word2VecParams};
///
/// // Words 0 to 3 come with each other, and 4 to 7 do.
/// let sentence = |id: u64| Sentence { id, words: (0..12).map(|i| (4 * (id % 2) + (i * 7 + id) % 4) as u32).collect() };
/// let word2vec = Word2VecParams::new().dim(8).subsample(0.0).learning_rate(0.1).batch(60).build(vec![600; 8])?;
/// let trained = execute(RuntimeConfig::threads(2), move |env| {
///     Ok(word2vec.fit(env.from_iter((0..400).map(sentence)))?.collect())
/// })?;
/// let model = trained.into_iter().flatten().next().unwrap();
/// assert!(model.neighbours(5, 3)?.iter().all(|neighbour| neighbour.word >= 4));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Word2Vec {
    params: Word2VecParams,
    counts: Vec<u64>,
    /// Where training goes on.
    pub(super) start: Option<super::Word2VecModel>,
}

impl Word2Vec {
    /// The same, going on from a model: its vectors are the first ones.
    ///
    /// # Errors
    /// The model has another number of words or coordinates.
    pub fn resume(mut self, model: super::Word2VecModel) -> Result<Self> {
        let (found, expected) = ((model.words(), model.dim()), (self.counts.len(), self.params.dim));
        if found != expected {
            return Err(Error::config(format!(
                "word2vec: found a model of {} words with {} coordinates, expected {} with {}",
                found.0, found.1, expected.0, expected.1
            )));
        }
        self.start = Some(model);
        Ok(self)
    }

    /// Coordinates of a vector.
    pub fn dim(&self) -> usize {
        self.params.dim
    }

    /// Words on either side at most.
    pub fn window(&self) -> usize {
        self.params.window
    }

    /// Negative samples for each pair of words.
    pub fn negatives(&self) -> usize {
        self.params.negatives
    }

    /// Share of the text above which words are left out now and then.
    pub fn subsample(&self) -> f64 {
        self.params.subsample
    }

    /// Epochs over the text.
    pub fn epochs(&self) -> u32 {
        self.params.epochs
    }

    /// Step size at the beginning.
    pub fn learning_rate(&self) -> f64 {
        self.params.learning_rate
    }

    /// Pairs that are learned at once.
    pub fn batch(&self) -> usize {
        self.params.batch
    }

    /// Seed.
    pub fn seed(&self) -> u64 {
        self.params.seed
    }

    /// How often each word is in the text.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}
