//! `waterwheel graph`: what a job is made of, without running it.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};
use waterwheel::engine::{Connection, ConnectionKind, ErrorKind, JobMetrics, OperatorMetrics};
use waterwheel::prelude::Error;

use super::{Job, JobPath};

/// Flags of `graph`.
#[derive(Args, Clone, Debug)]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    job: JobPath,

    /// How the graph is printed.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    format: GraphFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GraphFormat {
    /// An operator a line, and where its records come from; => is an exchange between workers, ~> the way back of a loop.
    /// Of a sink it is said how often it writes each record, with checkpoints.
    Text,
    /// A directed graph for Graphviz.
    Dot,
}

/// Prints the operators of a job and how they are connected.
pub(crate) fn run(args: &GraphArgs) -> anyhow::Result<()> {
    let mut job = Job::read(&args.job.job, &[])?;
    let metrics = JobMetrics::new();
    job.runtime_mut().plan(metrics.clone());
    match job.run() {
        // It was stopped before its first step.
        Err(error) if is_interrupted(&error) => {}
        outcome => outcome?,
    }
    let (operators, connections) = (metrics.operators(), metrics.connections());
    let text = match args.format {
        GraphFormat::Text => text(&operators, &connections),
        GraphFormat::Dot => dot(&operators, &connections),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("can not write to standard output")
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::Interrupted)
}

fn text(operators: &[OperatorMetrics], connections: &[Connection]) -> String {
    let width = operators.iter().map(|operator| operator.name.len()).max().unwrap_or(0);
    let line = |operator: &OperatorMetrics| {
        let inputs = connections.iter().filter(|connection| connection.to == operator.id);
        let inputs: Vec<String> =
            inputs.map(|input| format!("{} {}", input.from, arrow(input.kind))).collect();
        let delivery = operator.delivery.map_or("", Into::into);
        let line = format!("{:>3}  {:width$}  {}  {delivery}", operator.id, operator.name, inputs.join(", "));
        format!("{}\n", line.trim_end())
    };
    operators.iter().map(line).collect()
}

fn arrow(kind: ConnectionKind) -> &'static str {
    match kind {
        ConnectionKind::Forward => "->",
        ConnectionKind::Exchange => "=>",
        ConnectionKind::Feedback => "~>",
    }
}

fn dot(operators: &[OperatorMetrics], connections: &[Connection]) -> String {
    let mut dot = String::from("digraph job {\n  rankdir=LR;\n  node [shape=box];\n");
    for operator in operators {
        dot += &format!("  {} [label={:?}];\n", operator.id, operator.name);
    }
    for Connection { from, to, kind, .. } in connections {
        let style = match kind {
            ConnectionKind::Forward => "",
            ConnectionKind::Exchange => " [style=bold]",
            ConnectionKind::Feedback => " [style=dashed]",
        };
        dot += &format!("  {from} -> {to}{style};\n");
    }
    dot + "}\n"
}
