//! Faults of the first POST of a job.

use super::board::{Case, Phase, play};
use super::specification::{Meaning, Row, agent_wide, answers, broken_connections, hangs, out_of_step};
use super::{End, Strikes, WORLDS, World, end, failed, failed_in_doubt, sent, waits, waits_in_doubt};
use crate::bed::side_by_side;

use Meaning::{
    AllSending, AllThrottled, Away, Blocked, Conflict, Diverted, Duplicate, Fine, NoMailbox, Refused, RefusedInDoubt,
    Renewed, Strange, StrangeBusy, Suspended, Throttled, Unclear,
};
use Strikes::{ForEver, Once};

/// What must come of it: how the job stands, how many POSTs that took, how many events there are in the end.
///
/// `made`: the event was created although the fault struck. `found`: and the lookup can find it.
///
/// "Believed" are answers that say clearly that nothing was done. No case is known in which Graph says so and creates
/// the event all the same (graph-facts 2.3 lists the ones that are); the program takes its word, so a lie there is not
/// found out: a failed job leaves its event behind, a repeat is recognised by its transaction id or not at all.
#[rustfmt::skip]
fn expected(meaning: Meaning, made: bool, world: World, strikes: Strikes) -> End {
    let found = made && world != World::IdOnly;
    let left = usize::from(made);
    let believed = if made && world == World::MarkerOnly { 2 } else { 1 };
    match (meaning, strikes, found) {
        //                                       stands as                                                    POSTs  events
        (Fine, ..)                    => end(sent(&["sent"]),                                                   1, 1),

        // The first request may have left its event: asked for by its marker, then repeated.
        (Unclear | Away, _, true)     => end(sent(&["retry", "sent"]),                                          1, 1),
        (Unclear | Away, Once, _)     => end(sent(&["retry", "sent"]),                                          2, 1),
        (Unclear, ForEver, _)         => end(failed_in_doubt("exhausted", &["retry", "retry", "retry", "failed"]), 4, left),
        // The last pause is waited for, then the event is looked for once more.
        (Away, ForEver, _)            => end(failed_in_doubt("exhausted", &["retry", "retry", "retry", "retry", "failed"]), 4, left),

        // Looked up at once.
        (Conflict, _, true)           => end(sent(&["sent"]),                                                   1, 1),
        (Conflict, Once, _)           => end(sent(&["retry", "sent"]),                                          2, 1),
        (Conflict, ForEver, _)        => end(failed_in_doubt("exhausted", &["retry", "retry", "retry", "failed"]), 4, left),
        (RefusedInDoubt, _, true)     => end(sent(&["sent"]),                                                   1, 1),
        (RefusedInDoubt, ..)          => end(failed_in_doubt("rejected", &["failed"]),                          1, left),
        (Suspended(_), _, true)       => end(sent(&["sent"]),                                                   1, 1),
        (Suspended(kind), ..)         => end(waits_in_doubt(kind, &["snoozed"]),                                1, 1),
        // A stranger's word proves nothing: looked up at once, and before the repeat, a minute later.
        (Strange, _, true)            => end(sent(&["sent"]),                                                   1, 1),
        (Strange, ..)                 => end(waits_in_doubt("unavailable", &["retry"]),                         1, 1),
        (Diverted, ..)                => end(waits_in_doubt("unavailable", &["snoozed"]),                       1, 1),
        (StrangeBusy, ForEver, _)     => end(waits_in_doubt("throttled", &["snoozed"]),                         1, 1),
        (StrangeBusy, Once, true)     => end(sent(&["snoozed", "sent"]),                                        1, 1),
        (StrangeBusy, Once, _)        => end(sent(&["snoozed", "sent"]),                                        2, 1),
        // No request of this job had left before: the id belongs to another event, unless the lookup says otherwise.
        (Duplicate, _, true)          => end(sent(&["sent"]),                                                   1, 1),
        (Duplicate, ..)               => end(failed("duplicate_transaction", &["failed"]),                      1, left),

        // Believed.
        (Refused(kind), ..)           => end(failed(kind, &["failed"]),                                         1, left),
        (NoMailbox, ..)               => end(failed("not_found", &["failed"]),                                  1, left),
        (Blocked(kind), ..)           => end(waits(kind, &["snoozed"]),                                         1, believed),
        (Throttled | AllThrottled, Once, _)    => end(sent(&["snoozed", "sent"]),                               2, believed),
        (Throttled | AllThrottled, ForEver, _) => end(waits("throttled", &["snoozed"]),                         1, believed),
        (Renewed, Once, _)            => end(sent(&["sent"]),                                                   2, believed),
        (Renewed, ForEver, _)         => end(waits("auth", &["snoozed"]),                                       2, believed),
        (AllSending(kind), ..)        => end(waits(kind, &["snoozed"]),                                         1, believed),
    }
}

fn cases(rows: Vec<Row>, world: World, strikes: Strikes) -> Vec<Case> {
    let case = |row: Row| {
        let expected = expected(row.meaning, row.made, world, strikes);
        Case { row, phase: Phase::Post, expected }
    };
    rows.into_iter().map(case).collect()
}

/// What a board may hold, and what needs an agent of its own.
fn parted(strikes: Strikes) -> (Vec<Row>, Vec<Row>) {
    let wide = |row: &Row| strikes == ForEver && matches!(row.meaning, Renewed | AllThrottled);
    let all = [answers(), broken_connections(), out_of_step()].concat();
    let (alone, beside): (Vec<Row>, Vec<Row>) = all.into_iter().partition(wide);
    (beside, alone.into_iter().filter(|row| !row.made).chain(agent_wide()).collect())
}

async fn matrix(strikes: Strikes) {
    let mut boards = Vec::new();
    for world in WORLDS {
        let (beside, _) = parted(strikes);
        boards.push(play(world, strikes, cases(beside, world, strikes), &[]));
        boards.push(play(world, strikes, cases(hangs(), world, strikes), &[("graph.request_timeout", "1500ms")]));
    }
    // These never got as far as an event, so one world is as good as another.
    let (_, alone) = parted(strikes);
    boards
        .extend(alone.into_iter().map(|row| play(World::Whole, strikes, cases(vec![row], World::Whole, strikes), &[])));
    side_by_side(boards).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_that_strikes_a_post_once_ends_as_specified() {
    matrix(Once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_that_strikes_every_post_ends_as_specified_and_never_in_a_loop() {
    matrix(ForEver).await;
}
