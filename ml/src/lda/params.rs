//! Parameters, checked once.

use waterwheel_engine::{Error, Result};
use waterwheel_ps::Consistency;

/// Parameters of latent Dirichlet allocation, not yet checked.
///
/// | parameter | default | valid |
/// |---|---|---|
/// | `words`: number of different ones; words are `0..words` | | 1 to 4,294,967,294 |
/// | `topics` | 20 | 1 to 65,536 |
/// | `sweeps` over all tokens | 100 | |
/// | `alpha`: prior of the topics of a document | 0.1 | finite, above 0 |
/// | `beta`: prior of the words of a topic | 0.01 | finite, above 0 |
/// | `mh_steps`: pairs of proposals for each token; 0: draws of the conditional distribution itself | 0 | |
/// | `block`: words whose counts a worker has at a time | 1,000 | 1 or more |
/// | `seed` | 1 | |
/// | `consistency` | bulk synchronous | not serialisable |
///
/// # Examples
/// ```
/// use waterwheel_ml::lda::LdaParams;
/// assert!(LdaParams::new(5_000).topics(50).sweeps(200).build().is_ok());
/// assert!(LdaParams::new(5_000).alpha(0.0).build().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct LdaParams {
    words: u32,
    topics: u32,
    sweeps: u32,
    alpha: f64,
    beta: f64,
    mh_steps: u32,
    block: usize,
    seed: u64,
    consistency: Consistency,
}

/// The defaults, for flags that offer the same parameters.
impl LdaParams {
    /// Topics.
    pub const TOPICS: u32 = 20;
    /// Sweeps over all tokens.
    pub const SWEEPS: u32 = 100;
    /// Prior of the topics of a document.
    pub const ALPHA: f64 = 0.1;
    /// Prior of the words of a topic.
    pub const BETA: f64 = 0.01;
    /// Pairs of proposals for each token.
    pub const MH_STEPS: u32 = 0;
    /// Words whose counts a worker has at a time.
    pub const BLOCK: usize = 1_000;
    /// Seed.
    pub const SEED: u64 = 1;
}

impl LdaParams {
    /// The defaults, for so many different words.
    pub fn new(words: u32) -> Self {
        LdaParams {
            words,
            topics: Self::TOPICS,
            sweeps: Self::SWEEPS,
            alpha: Self::ALPHA,
            beta: Self::BETA,
            mh_steps: Self::MH_STEPS,
            block: Self::BLOCK,
            seed: Self::SEED,
            consistency: Consistency::BULK_SYNCHRONOUS,
        }
    }

    /// Sets the number of topics.
    #[must_use]
    pub fn topics(mut self, topics: u32) -> Self {
        self.topics = topics;
        self
    }

    /// Sets the number of sweeps over all tokens.
    #[must_use]
    pub fn sweeps(mut self, sweeps: u32) -> Self {
        self.sweeps = sweeps;
        self
    }

    /// Sets the prior of the topics of a document: smaller ones give fewer topics to each.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the prior of the words of a topic: smaller ones give fewer words to each.
    #[must_use]
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Sets how many pairs of proposals each token gets in a sweep, in place of a draw of its conditional distribution. They
    /// take constant time each, a draw takes time linear in the number of topics; but a sweep with 2 of them moves a good
    /// deal less. With a hundred topics or more they pay.
    #[must_use]
    pub fn mh_steps(mut self, steps: u32) -> Self {
        self.mh_steps = steps;
        self
    }

    /// Sets of how many words a worker has the counts at a time.
    #[must_use]
    pub fn block(mut self, words: usize) -> Self {
        self.block = words;
        self
    }

    /// Sets the seed of first topics and of sampling.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets what a worker sees of the others' samples; a clock is a sweep. Asynchronously it sees what has come, and
    /// workers meet after each sweep.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// The first parameter outside its range, with the value found and the range.
    pub fn build(self) -> Result<Lda> {
        let wrong = |what: &str, found: String, expected: &str| {
            Err(Error::config(format!("lda: {what}: found {found}, expected {expected}")))
        };
        if self.words == 0 || self.words == u32::MAX {
            return wrong("words", self.words.to_string(), "1 to 4294967294");
        }
        if !(1..=65_536).contains(&self.topics) {
            return wrong("topics", self.topics.to_string(), "1 to 65536");
        }
        for (what, prior) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(prior.is_finite() && prior > 0.0) {
                return wrong(what, prior.to_string(), "a finite number above 0");
            }
        }
        if self.block == 0 {
            return wrong("block", "0".into(), "1 or more");
        }
        if self.consistency == Consistency::Serialisable {
            return wrong("consistency", "serialisable".into(), "asynchronous or bounded");
        }
        Ok(Lda { params: self })
    }
}

/// Latent Dirichlet allocation with checked parameters.
///
/// Counts of words by topic are at the servers, documents stay at the workers. In a sweep a worker pulls the counts of the
/// words of its documents, block by block, draws a new topic for each of their tokens, and pushes what has changed. With
/// `mh_steps` a draw takes constant time whatever the number of topics: proposals come from the word, by an alias table of
/// its counts, and from the document, by the topic of one of its tokens, and Metropolis and Hastings' test makes them moves
/// of a chain with the true distribution. A worker sees its own changes at once, those of the others after the sweep.
///
/// The documents of a key stay together wherever they come from, so a run can be repeated with the same number of workers.
///
/// # References
/// Blei, Ng and Jordan, *Latent Dirichlet allocation*, JMLR 3, 2003; Griffiths and Steyvers, *Finding scientific topics*,
/// PNAS 101, 2004; Newman et al., *Distributed algorithms for topic models*, JMLR 10, 2009; Yuan et al., *LightLDA: big topic
/// models on modest computer clusters*, WWW 2015.
///
/// # Examples
/// ```
/// use waterwheel_engine::{RuntimeConfig, execute};
/// use waterwheel_ml::lda::{Document, LdaParams};
///
/// let lda = LdaParams::new(6).topics(2).sweeps(30).build()?;
/// let trained = execute(RuntimeConfig::threads(2), move |env| {
///     // Even documents are about words 0 to 2, odd ones about 3 to 5.
///     let document = |id: u64| Document { id, words: (0..30).map(|i| (3 * (id % 2) + i % 3) as u32).collect() };
///     Ok(lda.fit(env.from_iter((0..40).map(document)))?.collect())
/// })?;
/// let trained = trained.into_iter().flatten().next().unwrap();
/// let words = |topic| trained.model.top_words(topic, 3).unwrap().iter().map(|(word, _)| word / 3).collect::<Vec<_>>();
/// assert!(words(0) == [0, 0, 0] && words(1) == [1, 1, 1] || words(0) == [1, 1, 1] && words(1) == [0, 0, 0]);
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lda {
    params: LdaParams,
}

impl Lda {
    /// Number of different words.
    pub fn words(&self) -> u32 {
        self.params.words
    }

    /// Number of topics.
    pub fn topics(&self) -> u32 {
        self.params.topics
    }

    /// Sweeps over all tokens.
    pub fn sweeps(&self) -> u32 {
        self.params.sweeps
    }

    /// Prior of the topics of a document.
    pub fn alpha(&self) -> f64 {
        self.params.alpha
    }

    /// Prior of the words of a topic.
    pub fn beta(&self) -> f64 {
        self.params.beta
    }

    /// Pairs of proposals for each token.
    pub fn mh_steps(&self) -> u32 {
        self.params.mh_steps
    }

    /// Words whose counts a worker has at a time.
    pub fn block(&self) -> usize {
        self.params.block
    }

    /// Seed.
    pub fn seed(&self) -> u64 {
        self.params.seed
    }

    /// What a worker sees of the others' samples.
    pub fn consistency(&self) -> Consistency {
        self.params.consistency
    }
}
