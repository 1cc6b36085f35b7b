//! Distances.

use serde::{Deserialize, Serialize};

use crate::examples::dot;

/// How far two points are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DistanceMeasure {
    /// Root of the sum of squares. The default.
    #[default]
    Euclidean,
    /// Sum of the absolute differences.
    Manhattan,
    /// 1 less the cosine of the angle; 1 where one of the points is the origin.
    Cosine,
}

impl DistanceMeasure {
    /// The distance of two points with as many coordinates.
    pub fn distance(self, a: &[f64], b: &[f64]) -> f64 {
        let differences = || a.iter().zip(b).map(|(a, b)| a - b);
        match self {
            DistanceMeasure::Euclidean => differences().map(|d| d * d).sum::<f64>().sqrt(),
            DistanceMeasure::Manhattan => differences().map(f64::abs).sum(),
            DistanceMeasure::Cosine => {
                let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
                if norms > 0.0 { 1.0 - dot(a, b) / norms } else { 1.0 }
            }
        }
    }
}
