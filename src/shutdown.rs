//! Signals to a [`CancellationToken`]: INT or TERM asks for a drain, a second one ends the process at once. HUP, which
//! unheard would end the process on the spot, is among them at a terminal; a daemon reads its settings again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What HUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The terminal is gone: the same as TERM.
    Stops,
    /// Somebody else listens: [`hangups`].
    IsForOthers,
}

/// HUP as it comes, from now on. None under nohup, where it is ignored on purpose and listening would undo that.
///
/// # Errors
/// The operating system refuses the signal handler.
pub fn hangups() -> std::io::Result<Option<Signal>> {
    if hangup_is_ignored() { Ok(None) } else { signal(SignalKind::hangup()).map(Some) }
}

/// Listens from now on; the token is cancelled by the first signal.
///
/// # Errors
/// The operating system refuses the signal handlers.
pub fn on_signals(hangup: Hangup) -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match hangup {
        Hangup::Stops => hangups()?,
        Hangup::IsForOthers => None,
    };
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        any(&mut interrupt, &mut terminate, &mut hangup).await;
        stop.cancel();
        any(&mut interrupt, &mut terminate, &mut hangup).await;
        // What is under way stays claimed; the next start finds it and treats it as in doubt.
        std::process::exit(1);
    });
    Ok(token)
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal, hangup: &mut Option<Signal>) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        Some(_) = next(hangup) => {}
    }
}

async fn next(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Asked of the kernel, in Linux' words; elsewhere it is taken as heard.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, which is HUP.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
