//! `waterwheel train pa`, `train logistic` and `train fm`.

use clap::{Args, ValueEnum};
use waterwheel::ml::sparse::{
    FactorizationMachine, FmParams, FmTask, MulticlassPassiveAggressive, MulticlassUpdate, PaUpdate,
    PassiveAggressive, SparseExample, SparseFit, SparseLogisticRegression, SparseTraining,
};
use waterwheel::prelude::*;
use waterwheel::ps::optimizer::{AdaGrad, FtrlProximal, Sgd};

use crate::cli::train::sparse::{Learner, SparseArgs, run};

/// Flags of `train pa`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PaArgs {
    /// How far an update goes: pa, pa1:C or pa2:C.
    #[arg(long, default_value_t = PaUpdate::Pa1 { c: 1.0 }, value_name = "UPDATE")]
    update: PaUpdate,

    /// Number of classes, whose labels are 0, 1 and so on [default: two, labels above 0 are the one, others the other].
    #[arg(long, value_name = "N")]
    classes: Option<u32>,

    /// What is compared with the class of a row, with --classes.
    #[arg(long, value_enum, default_value_t = Against::All, requires = "classes")]
    against: Against,

    #[command(flatten)]
    pub(super) sparse: SparseArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Against {
    /// Every other class, by --update.
    All,
    /// The class that was predicted.
    Predicted,
    /// The class with the greatest loss.
    MaxLoss,
}

/// Flags of `train logistic`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogisticArgs {
    #[command(flatten)]
    optimizer: OptimizerArgs,

    #[command(flatten)]
    pub(super) sparse: SparseArgs,
}

/// Flags of `train fm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct FmArgs {
    /// What labels are.
    #[arg(long, value_enum, default_value_t = TaskArg::Binary)]
    task: TaskArg,

    /// Factors of a feature.
    #[arg(long, default_value_t = FmParams::FACTORS, value_name = "N")]
    factors: usize,

    /// L2 regularisation of weights and factors.
    #[arg(long, default_value_t = FmParams::REG, allow_negative_numbers = true, value_name = "X")]
    reg: f64,

    /// Greatest first factor.
    #[arg(long, default_value_t = FmParams::INIT, allow_negative_numbers = true, value_name = "X")]
    init: f64,

    #[command(flatten)]
    optimizer: OptimizerArgs,

    #[command(flatten)]
    pub(super) sparse: SparseArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TaskArg {
    /// Above 0 is the one class, others are the other.
    Binary,
    /// Numbers.
    Regression,
}

/// What makes steps of gradients.
#[derive(Args, Clone, Copy, Debug)]
struct OptimizerArgs {
    /// What makes steps of gradients.
    #[arg(long, value_enum, default_value_t = OptimizerArg::Adagrad)]
    optimizer: OptimizerArg,

    /// Step size.
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true, value_name = "X")]
    learning_rate: f64,

    /// L1 regularisation, with ftrl.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "X")]
    l1: f64,

    /// L2 regularisation, with ftrl.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "X")]
    l2: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum OptimizerArg {
    Sgd,
    Adagrad,
    Ftrl,
}

impl OptimizerArgs {
    fn check(self) -> Result<Self> {
        let has_l = self.l1 != 0.0 || self.l2 != 0.0;
        if has_l && self.optimizer != OptimizerArg::Ftrl {
            return Err(Error::config("--l1 and --l2 are for --optimizer ftrl"));
        }
        match self.optimizer {
            OptimizerArg::Sgd => Sgd::new(self.learning_rate).map(|_| self),
            OptimizerArg::Adagrad => AdaGrad::new(self.learning_rate).map(|_| self),
            OptimizerArg::Ftrl => {
                FtrlProximal::new(self.learning_rate)?.regularization(self.l1, self.l2).map(|_| self)
            }
        }
    }
}

/// Fits with whichever optimizer was asked for.
macro_rules! fit_with {
    ($args:expr, $optimizer:ident => $fit:expr) => {{
        let OptimizerArgs { optimizer, learning_rate, l1, l2 } = $args;
        match optimizer {
            OptimizerArg::Sgd => {
                let $optimizer = Sgd::new(learning_rate)?;
                $fit
            }
            OptimizerArg::Adagrad => {
                let $optimizer = AdaGrad::new(learning_rate)?;
                $fit
            }
            OptimizerArg::Ftrl => {
                let $optimizer = FtrlProximal::new(learning_rate)?.regularization(l1, l2)?;
                $fit
            }
        }
    }};
}

/// `train pa`.
pub(crate) fn run_pa(args: &PaArgs) -> anyhow::Result<()> {
    let Some(classes) = args.classes else {
        return run(&args.sparse, &Pa(PassiveAggressive::new(args.update)?));
    };
    let update = match args.against {
        Against::All => MulticlassUpdate::OneVsAll(args.update),
        Against::Predicted => MulticlassUpdate::PredictionBased,
        Against::MaxLoss => MulticlassUpdate::MaxLoss,
    };
    run(&args.sparse, &Multiclass(MulticlassPassiveAggressive::new(classes, update)?))
}

/// `train logistic`.
pub(crate) fn run_logistic(args: &LogisticArgs) -> anyhow::Result<()> {
    run(&args.sparse, &Logistic(args.optimizer.check()?))
}

/// `train fm`.
pub(crate) fn run_fm(args: &FmArgs) -> anyhow::Result<()> {
    let task = match args.task {
        TaskArg::Binary => FmTask::Binary,
        TaskArg::Regression => FmTask::Regression,
    };
    let machine = FmParams::new().task(task).factors(args.factors).reg(args.reg).init(args.init).build()?;
    let optimizer = args.optimizer.check()?;
    match args.task {
        TaskArg::Binary => run(&args.sparse, &Fm::<true> { machine, optimizer }),
        TaskArg::Regression => run(&args.sparse, &Fm::<false> { machine, optimizer }),
    }
}

/// `ln(1 + exp(-y score))`.
fn log_loss(label: bool, score: f64) -> f64 {
    let margin = if label { score } else { -score };
    // Both forms are the same; one of them does not overflow.
    if margin > 0.0 { (-margin).exp().ln_1p() } else { margin.exp().ln_1p() - margin }
}

fn mean(mean: f64) -> f64 {
    mean
}

#[derive(Clone)]
struct Pa(PassiveAggressive);

impl Learner for Pa {
    type Rule = PassiveAggressive;
    const LOSS: (&'static str, fn(f64) -> f64) = ("hinge_loss", mean);

    fn rule(&self) -> PassiveAggressive {
        self.0
    }

    fn label(&self, number: f64) -> Result<bool> {
        Ok(number > 0.0)
    }

    fn fit<'s>(
        &self,
        examples: DataStream<'s, SparseExample<bool>>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, bool, Epoch>> {
        self.0.fit(examples, training)
    }

    fn loss(&self, label: bool, _predicted: bool, score: f64) -> f64 {
        (1.0 - if label { score } else { -score }).max(0.0)
    }
}

#[derive(Clone)]
struct Multiclass(MulticlassPassiveAggressive);

impl Learner for Multiclass {
    type Rule = MulticlassPassiveAggressive;
    const LOSS: (&'static str, fn(f64) -> f64) = ("error_rate", mean);

    fn rule(&self) -> MulticlassPassiveAggressive {
        self.0.clone()
    }

    fn label(&self, number: f64) -> Result<u32> {
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return Ok(number as u32);
        }
        Err(Error::data(format!("label: found {number}, expected a class: 0, 1 and so on")))
    }

    fn fit<'s>(
        &self,
        examples: DataStream<'s, SparseExample<u32>>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, u32, Epoch>> {
        self.0.fit(examples, training)
    }

    fn loss(&self, label: u32, predicted: u32, _score: f64) -> f64 {
        f64::from(u8::from(label != predicted))
    }
}

#[derive(Clone)]
struct Logistic(OptimizerArgs);

impl Learner for Logistic {
    type Rule = SparseLogisticRegression;
    const LOSS: (&'static str, fn(f64) -> f64) = ("log_loss", mean);

    fn rule(&self) -> SparseLogisticRegression {
        SparseLogisticRegression
    }

    fn label(&self, number: f64) -> Result<bool> {
        Ok(number > 0.0)
    }

    fn fit<'s>(
        &self,
        examples: DataStream<'s, SparseExample<bool>>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, bool, Epoch>> {
        fit_with!(self.0, optimizer => SparseLogisticRegression.fit(optimizer, examples, training))
    }

    fn loss(&self, label: bool, _predicted: bool, score: f64) -> f64 {
        log_loss(label, score)
    }
}

#[derive(Clone)]
struct Fm<const BINARY: bool> {
    machine: FactorizationMachine,
    optimizer: OptimizerArgs,
}

impl<const BINARY: bool> Learner for Fm<BINARY> {
    type Rule = FactorizationMachine;
    const LOSS: (&'static str, fn(f64) -> f64) =
        if BINARY { ("log_loss", mean as fn(f64) -> f64) } else { ("rmse", f64::sqrt as fn(f64) -> f64) };

    fn rule(&self) -> FactorizationMachine {
        self.machine
    }

    fn label(&self, number: f64) -> Result<f64> {
        Ok(if BINARY { f64::from(u8::from(number > 0.0)) } else { number })
    }

    fn fit<'s>(
        &self,
        examples: DataStream<'s, SparseExample<f64>>,
        training: &SparseTraining,
    ) -> Result<SparseFit<'s, f64, Epoch>> {
        fit_with!(self.optimizer, optimizer => self.machine.fit(optimizer, examples, training))
    }

    fn loss(&self, label: f64, predicted: f64, score: f64) -> f64 {
        if BINARY { log_loss(label > 0.5, score) } else { (label - predicted).powi(2) }
    }
}
