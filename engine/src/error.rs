//! Errors: what happened, where, and what the caller can do.

use std::fmt;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or a graph that can not run: change the program or its flags.
    Config,
    /// A record or a file that can not be read or written: fix the data, or skip it by policy.
    Data,
    /// An operator failed or panicked: fix its function.
    Operator,
    /// Another process was lost or could not be reached: restart the job.
    Peer,
    /// A store of checkpoints can not be read or written: try again, or mend the storage.
    Storage,
    /// A later attempt at the same job has taken over: end this one.
    Fenced,
    /// The run was stopped on request, for example by Ctrl-C.
    Interrupted,
    /// A broken promise inside Waterwheel: report it.
    Internal,
}

/// An error of a job, with the operator and the worker it came from where it has one.
///
/// Displays as `operator "path" (source position, worker n): message`; the cause, where there is
/// one, is in [`source`](std::error::Error::source) and is not repeated in the message.
///
/// `Debug` is for people too, because that is what a `main` that returns a `Result` prints: the same, and below it the
/// causes, a line each. `{:#?}` shows the fields.
pub struct Error {
    kind: ErrorKind,
    message: String,
    site: Option<Site>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Where in a running job something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Path of the operator: the names of the loops around it, from the outermost, and its own, with slashes
    /// between them, as `train/inner/map`.
    pub operator: String,
    /// Source line where the operator was made, as `file:line:column`; empty where it would tell nobody anything.
    pub location: String,
    /// Index of the worker among all workers of the job.
    pub worker: usize,
}

/// The result of anything in Waterwheel that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a message in lower case, without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), site: None, cause: None }
    }

    /// An [`ErrorKind::Config`] error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// An [`ErrorKind::Data`] error.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// An [`ErrorKind::Operator`] error.
    pub fn operator(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Operator, message)
    }

    /// An [`ErrorKind::Peer`] error.
    pub fn peer(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Peer, message)
    }

    /// An [`ErrorKind::Storage`] error.
    pub fn storage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Storage, message)
    }

    /// An [`ErrorKind::Fenced`] error.
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, message)
    }

    /// An [`ErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds the underlying cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds the operator and worker, unless the error already has one.
    #[must_use]
    pub fn at(mut self, site: Site) -> Self {
        self.site.get_or_insert(site);
        self
    }

    /// Changes the operator and worker, if the error has one: for a program that can say better than by a line of its own
    /// where the operator is from.
    #[must_use]
    pub fn map_site(mut self, f: impl FnOnce(Site) -> Site) -> Self {
        self.site = self.site.map(f);
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message alone, without operator and worker.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The operator and worker, where the error came from one.
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// The message followed by every cause, each after a colon: one line for a log.
    pub fn full_message(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Site { operator, location, worker }) = &self.site {
            match location.as_str() {
                "" => write!(f, "operator \"{operator}\" (worker {worker}): ")?,
                _ => write!(f, "operator \"{operator}\" ({location}, worker {worker}): ")?,
            }
        }
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { kind, message, site, cause } = self;
        if f.alternate() {
            let mut fields = f.debug_struct("Error");
            return fields
                .field("kind", kind)
                .field("message", message)
                .field("site", site)
                .field("cause", cause)
                .finish();
        }
        write!(f, "{self}")?;
        let mut next = std::error::Error::source(self);
        if next.is_some() {
            f.write_str("\n\ncaused by:")?;
        }
        while let Some(cause) = next {
            write!(f, "\n    {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_with_site_and_cause_reads_as_one_line() {
        let error = Error::data("row 7 has no field \"user\"")
            .caused_by(std::io::Error::other("disk"))
            .at(Site { operator: "read".into(), location: "src/main.rs:3:5".into(), worker: 2 });
        assert_eq!(
            error.full_message(),
            "operator \"read\" (src/main.rs:3:5, worker 2): row 7 has no field \"user\": disk"
        );
        assert_eq!(error.kind(), ErrorKind::Data);
    }

    /// What `fn main() -> Result<()>` prints behind `Error: `.
    #[test]
    fn debug_of_an_error_is_its_text_and_causes_for_people() {
        let site = Site { operator: "read".into(), location: "src/main.rs:3:5".into(), worker: 2 };
        let cause = Error::storage("can not read part 3").caused_by(std::io::Error::other("disk"));
        let error = Error::data("found \"12x\", expected a number").caused_by(cause).at(site);
        assert_eq!(
            format!("{error:?}"),
            "operator \"read\" (src/main.rs:3:5, worker 2): found \"12x\", expected a number\n\n\
             caused by:\n    can not read part 3\n    disk"
        );
        assert_eq!(format!("{:?}", Error::config("threads: found 0")), "threads: found 0");
        let fields = format!("{:#?}", Error::config("threads: found 0"));
        assert!(fields.starts_with("Error {") && fields.contains("kind: Config"), "{fields}");
    }

    #[test]
    fn site_of_an_error_can_be_told_better_and_without_a_line() {
        let site = |location: &str| Site { operator: "read".into(), location: location.into(), worker: 0 };
        let error = Error::data("late").at(site("src/cli.rs:1:1"));
        let error = error.map_site(|_| site("job.toml:7"));
        assert_eq!(error.to_string(), "operator \"read\" (job.toml:7, worker 0): late");
        assert_eq!(error.map_site(|_| site("")).to_string(), "operator \"read\" (worker 0): late");
        assert!(Error::data("late").map_site(|_| site("job.toml:7")).site().is_none());
    }

    #[test]
    fn error_keeps_its_first_site() {
        let site = |operator: &str| Site { operator: operator.into(), location: String::new(), worker: 0 };
        let error = Error::operator("boom").at(site("inner")).at(site("outer"));
        assert_eq!(error.site().unwrap().operator, "inner");
    }
}
