//! The beginning and the end of runs: what can go wrong around a job.
