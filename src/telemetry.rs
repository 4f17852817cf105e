//! Tracing set-up: which lines are written, in which form, where to. Knows none of the lines, and trusts none: whatever others
//! wrote into a field goes through [`visible`].

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::visible::{self, Through};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One flat JSON object per line.
    Json,
    /// For people, in colour or not.
    Text { colour: bool },
}

/// The program's own lines from `level` on. Of the libraries only warnings: at lower levels they log what they send
/// and receive, and that is nobody's business.
pub fn start(form: Form, level: Level, writer: BoxMakeWriter) -> Threshold {
    let filter = match form {
        Form::Json => visible::json,
        Form::Text { colour: true } => visible::coloured,
        Form::Text { colour: false } => visible::text,
    };
    let writer = Through::new(writer, filter);
    let base = tracing_subscriber::fmt::layer().with_target(false).with_writer(writer);
    let layer = match form {
        Form::Json => base.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        Form::Text { colour } => base.with_ansi(colour).boxed(),
    };
    start_with(layer, level)
}

/// The same filter over another layer.
pub fn start_with<L>(layer: L, level: Level) -> Threshold
where
    L: Layer<tracing_subscriber::Registry> + Send + Sync,
{
    let (filter, threshold) = reload::Layer::new(targets(level));
    // A second start in one process (tests) keeps the first one's.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Threshold(threshold)
}

/// From which level on lines are written, while the program runs.
pub struct Threshold(reload::Handle<Targets, tracing_subscriber::Registry>);

impl Threshold {
    /// From `level` on.
    pub fn set(&self, level: Level) {
        // Fails only where nothing is logged any more.
        let _ = self.0.reload(targets(level));
    }
}

fn targets(level: Level) -> Targets {
    Targets::new()
        .with_target("event_sender", LevelFilter::from_level(level))
        // A connection that was lost is told by whoever used it.
        .with_target("sqlx_core::pool", LevelFilter::ERROR.min(LevelFilter::from_level(level)))
        .with_default(LevelFilter::WARN.min(LevelFilter::from_level(level)))
}
