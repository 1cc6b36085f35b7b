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

use waterwheel_engine::{Result, RuntimeConfig};

/// Serves the run that `config` is for, where it has an address.
pub(crate) fn serve(config: &mut RuntimeConfig) -> Result<Option<AdminServer>> {
    let Some(address) = config.admin_address() else { return Ok(None) };
    config.validate()?;
    let server = AdminServer::bind(address, &JobView::of(config))?;
    tracing::info!("the job can be watched at http://{}", server.address());
    Ok(Some(server))
}
