//! The admin port: what a running job does, over HTTP on the loopback interface.
//!
//! | path | what |
//! |---|---|
//! | `/` | a page that draws the job |
//! | `/livez` | 200 while the process lives |
//! | `/readyz` | 200 while the job runs, 503 before and after |
//! | `/metrics` | metrics for Prometheus, as `docs/metrics.md` lists them |
//! | `/graph` | operators, connections, loops and numbers, as JSON |
//! | `/config` | the settings of the run, as JSON; never a secret |
//! | `/version` | program and version, as JSON |

mod metrics;
mod server;
mod view;

pub use metrics::metrics_page;
pub use server::AdminServer;
pub use view::JobView;
