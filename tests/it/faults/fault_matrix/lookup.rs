//! Faults of the lookup that a job in doubt begins with. The job's first POST was lost: after its event was created
//! ("there"), or before anything was.

use event_sender::sandbox::{AnswerBody, Fault};

use super::board::{Case, Phase, play};
use super::specification::{Meaning, Row, agent_wide, answers, broken_connections, hangs, out_of_step};
use super::{End, Strikes, WORLDS, World, end, failed_in_doubt, sent, waits_in_doubt};
use crate::bed::side_by_side;

use Meaning::{
    AllSending, AllThrottled, Away, Blocked, Conflict, Diverted, Duplicate, Fine, NoMailbox, Refused, RefusedInDoubt,
    Renewed, Strange, StrangeBusy, Suspended, Throttled, Unclear,
};
use Strikes::{ForEver, Once};

/// What must come of it: how the job stands, how many POSTs that took, how many events there are in the end.
///
/// "Undecidable": the transaction id makes no difference, and the lookup is refused or broken for good. Nothing can
/// tell that the event is there, so posting again makes a second one. It is posted again all the same, because real
/// Exchange is not known to ignore the id, and the job would otherwise never be sent where lookups are not allowed.
#[rustfmt::skip]
fn expected(meaning: Meaning, there: bool, world: World, strikes: Strikes) -> End {
    let found = there && world != World::IdOnly;
    // The lookup after the fault finds the event, or the POST is repeated.
    let posts = if found { 1 } else { 2 };
    let undecidable = if there && world == World::MarkerOnly { 2 } else { 1 };
    match (meaning, strikes) {
        //                                       stands as                                          POSTs  events
        (Fine, _)                     => end(sent(&["retry", "sent"]),                             posts, 1),
        (Renewed, Once)               => end(sent(&["retry", "sent"]),                             posts, 1),

        // Refused: the transaction id must hold alone.
        (Refused(_) | RefusedInDoubt | Duplicate | NoMailbox | Blocked(_) | Suspended(_), _)
                                      => end(sent(&["retry", "sent"]),                             2, undecidable),

        // Unclear: an attempt is spent and the event looked for again, until half of the attempts are gone.
        (Unclear | Conflict, Once)    => end(sent(&["retry", "retry", "sent"]),                    posts, 1),
        (Unclear | Conflict, ForEver) => end(sent(&["retry", "retry", "sent"]),                    2, undecidable),

        // A stranger has looked nowhere: nothing is repeated on such an answer, and the mailbox pauses for a minute.
        (Strange, _)                  => end(waits_in_doubt("unavailable", &["retry", "retry"]),   1, 1),
        (Diverted, _)                 => end(waits_in_doubt("unavailable", &["retry", "snoozed"]), 1, 1),
        (StrangeBusy, Once)           => end(sent(&["retry", "snoozed", "sent"]),                  posts, 1),
        (StrangeBusy, ForEver)        => end(waits_in_doubt("throttled", &["retry", "snoozed"]),   1, 1),

        // The mailbox pauses, as it would for a POST.
        (Away, Once)                  => end(sent(&["retry", "retry", "sent"]),                    posts, 1),
        (Throttled | AllThrottled, Once)
                                      => end(sent(&["retry", "snoozed", "sent"]),                  posts, 1),
        (Throttled | AllThrottled, ForEver)
                                      => end(waits_in_doubt("throttled", &["retry", "snoozed"]),   1, 1),
        (Away, ForEver)               => end(failed_in_doubt("exhausted", &["retry", "retry", "retry", "retry", "failed"]),
                                                                                                   1, usize::from(there)),

        // All sending pauses.
        (Renewed, ForEver)            => end(waits_in_doubt("auth", &["retry", "snoozed"]),        1, 1),
        (AllSending(kind), _)         => end(waits_in_doubt(kind, &["retry", "snoozed"]),          1, 1),
    }
}

/// Answers to a lookup that are JSON, and not the one that was asked for. An event without an id does not prove that there
/// is none, nor does an event of another job, one that nobody can tell whose it is, or a rest that is somewhere else: all of
/// them are unclear.
const SHAPES: [&str; 22] = [
    "null",
    "[]",
    "{}",
    "7",
    "\"value\"",
    "{\"value\":null}",
    "{\"value\":{}}",
    "{\"value\":\"\"}",
    "{\"VALUE\":[]}",
    "{\"value\":[{}]}",
    "{\"value\":[{\"id\":\"\"}]}",
    "{\"value\":[{\"id\":7}]}",
    "{\"value\":[null]}",
    "{\"value\":[[[]]]}",
    "{\"value\":[{\"id\":\" \"}]}",
    "{\"value\":[{\"id\":\"AAMkNobodys\"}]}",
    "{\"value\":[{\"id\":\"AAMkAnothers\",\"transactionId\":\"another\"}]}",
    "{\"value\":[],\"error\":{\"code\":\"ErrorServerBusy\"}}",
    "{\"value\":[],\"@odata.nextLink\":7}",
    "{\"value\":[],\"@odata.nextLink\":\"\"}",
    "{\"value\":[],\"@odata.nextLink\":\"http://127.0.0.1:9/v1.0/elsewhere\"}",
    "{\"value\":[],\"@odata.nextLink\":\"https://graph.microsoft.com/v1.0/me/events\"}",
];

fn shapes() -> Vec<Row> {
    let answer = |shape: &&str| Fault::answer(200, "").body(AnswerBody::Text((*shape).to_owned()));
    SHAPES.iter().map(|shape| Row { fault: answer(shape), meaning: Unclear, made: false }).collect()
}

fn cases(rows: Vec<Row>, world: World, strikes: Strikes) -> Vec<Case> {
    let case = |row: &Row, there| {
        let expected = expected(row.meaning, there, world, strikes);
        Case { row: row.clone(), phase: Phase::Lookup { there }, expected }
    };
    rows.iter().flat_map(|row| [case(row, false), case(row, true)]).collect()
}

/// What a board may hold, and what needs an agent of its own. A lookup creates nothing, so of each pair one is enough.
fn parted(strikes: Strikes) -> (Vec<Row>, Vec<Row>) {
    let wide = |row: &Row| strikes == ForEver && matches!(row.meaning, Renewed | AllThrottled);
    let answers = answers().into_iter().filter(|row| !row.made).collect();
    let (alone, beside): (Vec<Row>, Vec<Row>) =
        [answers, broken_connections(), out_of_step()].concat().into_iter().partition(wide);
    (beside, alone.into_iter().chain(agent_wide()).collect())
}

async fn matrix(strikes: Strikes) {
    let mut boards = Vec::new();
    let (beside, alone) = parted(strikes);
    for world in WORLDS {
        boards.push(play(world, strikes, cases(beside.clone(), world, strikes), &[]));
        boards.push(play(world, strikes, cases(hangs(), world, strikes), &[("graph.request_timeout", "1500ms")]));
    }
    for row in alone {
        let with_event: Vec<Case> = cases(vec![row], World::Whole, strikes).into_iter().skip(1).collect();
        boards.push(play(World::Whole, strikes, with_event, &[]));
    }
    side_by_side(boards).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_lookup_that_proves_no_event_of_the_job_is_unclear_and_never_recorded() {
    let boards = [World::Whole, World::MarkerOnly].map(|world| play(world, Once, cases(shapes(), world, Once), &[]));
    side_by_side(boards).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_that_strikes_a_lookup_once_ends_as_specified() {
    matrix(Once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_that_strikes_every_lookup_ends_as_specified_and_never_in_a_loop() {
    matrix(ForEver).await;
}
