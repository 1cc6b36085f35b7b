//! The code of the README and of the documentation, as documentation tests.

/// One module per page, so that a test that fails is named after its page.
macro_rules! pages {
    ($($page:ident: $path:literal;)*) => { $(#[doc = include_str!($path)] mod $page {})* };
}

pages! {
    readme: "../README.md";
    first_steps: "../docs/guide/first-steps.md";
    streams: "../docs/guide/streams.md";
    keys_and_state: "../docs/guide/keys-and-state.md";
    event_time: "../docs/guide/event-time.md";
    sources_and_sinks: "../docs/guide/sources-and-sinks.md";
    flow_control: "../docs/guide/flow-control.md";
    iterations: "../docs/guide/iterations.md";
    changing_collections: "../docs/guide/changing-collections.md";
    parameter_server: "../docs/guide/parameter-server.md";
    learning: "../docs/guide/learning.md";
    running: "../docs/guide/running.md";
    checkpoints: "../docs/guide/checkpoints.md";
    job_files: "../docs/guide/job-files.md";
    checkpoints_of_loops: "../docs/guide/checkpoints-of-loops.md";
    admin: "../docs/admin.md";
    determinism: "../docs/guide/determinism.md";
    from_flink: "../docs/guide/from-flink.md";
}
