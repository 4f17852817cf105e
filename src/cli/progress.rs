//! Progress bars: on stderr, and only if that is a terminal; indicatif sees to it.

use indicatif::{ProgressBar, ProgressStyle};

/// Of so many `what`, such as jobs.
pub(super) fn of(count: u64, what: &str) -> ProgressBar {
    styled(count, &format!("{{bar:40}} {{human_pos}}/{{human_len}} {what}  {{elapsed}}"))
}

/// Of so many bytes that are read.
pub(super) fn of_bytes(count: u64, what: &str) -> ProgressBar {
    styled(count, &format!("{{bar:40}} {{bytes}}/{{total_bytes}} {what}  {{elapsed}}"))
}

/// Of so many, in a form of its own.
pub(super) fn styled(count: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
