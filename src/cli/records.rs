//! How the commands read files of lines.

use clap::{Args, ValueEnum};
use waterwheel::prelude::{BadRecordPolicy, CsvOptions, Delimiter, Header};

/// How files of fields are read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct LineArgs {
    /// What separates fields: auto, ",", ";", tab, "|", space or "::".
    #[arg(long, default_value = "auto", value_name = "SEP")]
    delimiter: Delimiter,

    /// Whether the first line names the fields.
    #[arg(long, value_enum, default_value_t = HeaderArg::Auto)]
    header: HeaderArg,

    #[command(flatten)]
    pub(crate) bad: BadRecordArgs,
}

/// What becomes of lines that are no records.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct BadRecordArgs {
    /// What to do with a line that is no record.
    #[arg(long, value_enum, default_value_t = BadRecordArg::Fail)]
    on_bad_record: BadRecordArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HeaderArg {
    Auto,
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BadRecordArg {
    /// Stop with its file, line and reason.
    Fail,
    /// Report it, count it and go on.
    Skip,
}

impl BadRecordArgs {
    pub(crate) fn policy(self) -> BadRecordPolicy {
        match self.on_bad_record {
            BadRecordArg::Fail => BadRecordPolicy::Fail,
            // The commands report them themselves.
            BadRecordArg::Skip => BadRecordPolicy::DeadLetter,
        }
    }
}

impl LineArgs {
    pub(crate) fn options(&self) -> CsvOptions {
        CsvOptions {
            delimiter: self.delimiter,
            header: match self.header {
                HeaderArg::Auto => Header::Sniff,
                HeaderArg::Yes => Header::Yes,
                HeaderArg::No => Header::No,
            },
            on_bad_record: self.bad.policy(),
        }
    }
}
