//! The daemon's log: form, level, and the thread that writes its lines. Nothing waits for whoever reads them: lines a
//! reader does not take are kept up to a bound, then counted and dropped, and the count is told as soon as it can be.

use std::io::{BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use indicatif::ProgressBar;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::{Layer, Registry};

use crate::config::{LogFormat, LogSettings};
use crate::telemetry::{self, Form, Threshold};
use crate::worker::Measures;

/// Lines kept for a reader that is behind: about ten seconds of the fastest sending.
const LINES_AHEAD: usize = 8192;
/// Time between two looks for lines that were dropped.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for the last lines at the end of the process, if somebody reads.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(1500);

/// How lines look, where the log goes now.
pub fn form(settings: LogSettings) -> Form {
    let terminal = std::io::stdout().is_terminal();
    match settings.format {
        LogFormat::Json => Form::Json,
        LogFormat::Auto if !terminal => Form::Json,
        LogFormat::Auto | LogFormat::Text => Form::Text { colour: terminal },
    }
}

/// Whether a person reads along, who is told in words what happens.
pub fn is_for_a_person(settings: LogSettings) -> bool {
    settings.format == LogFormat::Auto && std::io::stdout().is_terminal()
}

/// The log's thread. With its end the lines still waiting are written, as far as somebody reads them.
pub struct Log {
    lines: Option<(WorkerGuard, ErrorCounter)>,
}

impl Log {
    /// Lines are written from now on; those for a terminal that also shows `bar`, beside it.
    pub fn start(settings: LogSettings, bar: Option<ProgressBar>) -> (Self, Threshold) {
        let (log, writer) = Self::open(bar);
        (log, telemetry::start(form(settings), settings.level, writer))
    }

    /// The same, in the words of a layer that writes there.
    pub fn start_in_words<L>(
        settings: LogSettings,
        bar: Option<ProgressBar>,
        words: impl FnOnce(BoxMakeWriter) -> L,
    ) -> (Self, Threshold)
    where
        L: Layer<Registry> + Send + Sync,
    {
        let (log, writer) = Self::open(bar);
        (log, telemetry::start_with(words(writer), settings.level))
    }

    fn open(bar: Option<ProgressBar>) -> (Self, BoxMakeWriter) {
        let terminal = std::io::stdout().is_terminal();
        let (writer, lines) = match bar {
            // Lines and the bar share a terminal: each line first takes the bar away.
            Some(bar) if terminal => (BoxMakeWriter::new(move || BesideBar(bar.clone())), None),
            _ => {
                let lines = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_AHEAD);
                let (lines, guard) = lines.finish(BufWriter::new(std::io::stdout()));
                let dropped = lines.error_counter();
                (BoxMakeWriter::new(lines), Some((guard, dropped)))
            }
        };
        (Self { lines }, writer)
    }

    /// Tells of dropped lines, for as long as the daemon runs.
    pub fn watch(&self, measures: Arc<Measures>) {
        let Some((_, dropped)) = &self.lines else { return };
        let mut told = Told { dropped: dropped.clone(), lines: 0 };
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let dropped = told.dropped.dropped_lines() as u64;
                measures.log_lines_dropped.inc_by(dropped.saturating_sub(measures.log_lines_dropped.get()));
                told.tell();
            }
        });
    }
}

impl Drop for Log {
    /// The thread may be stuck in a write, and its guard would wait for it without end.
    fn drop(&mut self) {
        let Some((guard, _)) = self.lines.take() else { return };
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            drop(guard);
            let _ = done.send(());
        });
        let _ = ended.recv_timeout(LAST_LINES_WITHIN);
    }
}

/// How many dropped lines were told of.
struct Told {
    dropped: ErrorCounter,
    lines: usize,
}

impl Told {
    /// The line that tells may be dropped itself. Then nothing was told, and it is tried again.
    fn tell(&mut self) {
        let before = self.dropped.dropped_lines();
        if before == self.lines {
            return;
        }
        tracing::warn!(lines = before - self.lines, "log lines dropped, their reader is too slow");
        if self.dropped.dropped_lines() == before {
            self.lines = before;
        }
    }
}

struct BesideBar(ProgressBar);

impl Write for BesideBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stdout().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}
