//! The direction of dependencies, as ARCHITECTURE.md states it.

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crate and what it may depend on among our own, timely and what stands on timely.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("waterwheel-engine", &["timely", "differential-dataflow"]),
    ("waterwheel-iteration", &["waterwheel-engine"]),
    ("waterwheel-ps", &["waterwheel-engine", "waterwheel-iteration"]),
    ("waterwheel-ml", &["waterwheel-engine", "waterwheel-iteration", "waterwheel-ps"]),
    ("waterwheel", &["waterwheel-engine", "waterwheel-iteration", "waterwheel-ps", "waterwheel-ml"]),
];

#[test]
fn dependencies_point_one_way_and_only_engine_names_timely() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    for (name, allowed) in ALLOWED {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
        let normal = package.dependencies.iter().filter(|dep| dep.kind != DependencyKind::Development);
        let is_layer = |name: &str| {
            ["timely", "differential-dataflow"].contains(&name) || name.starts_with("waterwheel")
        };
        for dep in normal.filter(|dep| is_layer(&dep.name)) {
            assert!(allowed.contains(&dep.name.as_str()), "{name} must not depend on {}", dep.name);
        }
    }
    assert_eq!(metadata.workspace_packages().len(), ALLOWED.len());
}
