//! T-FPS-21: passive-aggressive classification of long random vectors.

use waterwheel::ml::sparse::{
    PaUpdate, PassiveAggressive, SparseExample, SparseModel, SparsePrediction, SparseTraining, SparseVector,
};
use waterwheel::prelude::*;

use super::java::Random;
use super::support::run;
use crate::cluster::{everywhere, test_path};

const FEATURES: u32 = 500_000;

/// Random vectors with random labels: draws at equal indices are added up.
fn examples(n: u64) -> Vec<SparseExample<bool>> {
    let mut random = Random::new(50);
    let example = |id| {
        let mut draw = || (random.next_int(u64::from(FEATURES)) as u32, random.next_double());
        let features = SparseVector::from_pairs((0..10_001).map(|_| draw()).collect::<Vec<_>>()).unwrap();
        SparseExample { id, features, label: Some(random.next_bool()) }
    };
    (0..n).map(example).collect()
}

#[test]
fn vectors_are_those_of_the_original() {
    let all = examples(80);
    let first = &all[0].features;
    assert_eq!(first.len(), 9_911);
    assert!((first.squared_norm() - 3_412.865_8).abs() < 1e-4, "{}", first.squared_norm());
    assert_eq!(all.iter().filter(|example| example.label == Some(true)).count(), 39);
}

/// What a worker leaves: predictions of a second sight of the first 20 vectors, and the weights.
type Left = (Vec<SparsePrediction<bool>>, Vec<(u32, Vec<f64>)>);

fn job(config: RuntimeConfig) -> Left {
    let values: Vec<Left> = run(config, |env| {
        let mut all = examples(80);
        let again: Vec<_> = all[..20]
            .iter()
            .map(|example| SparseExample { id: 1_000 + example.id, label: None, ..example.clone() })
            .collect();
        all.extend(again);
        let learner = PassiveAggressive::new(PaUpdate::Pa)?;
        // The 20 are predicted when all have learned.
        let training = SparseTraining::new().features(FEATURES).credit(10_000).passes(2);
        let fit = learner.fit(env.from_iter(all).rebalance(), &training)?;
        let predictions = fit.predictions.filter(|prediction| prediction.label.is_none());
        Ok((predictions.collect(), fit.weights.collect()))
    });
    values.into_iter().next().unwrap_or_default()
}

/// The original asks for 80 % of the first 20 vectors.
#[test]
fn t_fps_21_training_vectors_are_told_apart() {
    everywhere(test_path!(t_fps_21_training_vectors_are_told_apart), job, |(predictions, weights), shape| {
        let labels: Vec<_> = examples(20).into_iter().map(|example| example.label).collect();
        let right = |new: &&SparsePrediction<bool>| labels[new.id as usize - 1_000] == Some(new.predicted);
        assert_eq!(predictions.len(), 20, "{shape}");
        let right = predictions.iter().filter(right).count();
        assert!(right >= 16, "{shape}: {right} of 20");
        let model = SparseModel::from_rows(1, weights).unwrap();
        let used = model.rows().filter(|(_, row)| row[0] != 0.0).count();
        println!("{shape}: {right} of 20 right, {used} weights");
        assert!(used > 300_000, "{shape}: {used}");
    });
}
