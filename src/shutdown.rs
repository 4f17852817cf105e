//! Signals to a [`CancellationToken`]: INT, TERM or HUP asks for a drain, a second one ends the process at
//! once. HUP is among them because unheard it would end the process on the spot.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Listens from now on; the token is cancelled by the first signal.
///
/// # Errors
/// The operating system refuses the signal handlers.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Under nohup HUP is ignored on purpose, and listening would undo that.
    let mut hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
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
