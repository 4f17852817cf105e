//! What each step does: to the rows, by the statements of the queue; to what a process holds; to what is on its way.

use super::moves::{BUILT, Leases, Rules, Step};
use super::state::{Agent, Attempt, Database, FURTHER_ON, How, Kind, Phase, Process, Request, Start, State, Word};

impl Rules {
    /// None is left out.
    pub fn is_whole(&self) -> bool {
        format!("{self:?}") == format!("{BUILT:?}")
    }
}

impl Leases {
    pub fn apply(&self, state: &mut State, step: &Step) {
        match *step {
            Step::Restart(of) => state.processes[of].up = true,
            Step::Join(of) => self.join(state, of),
            Step::Renew(of) => self.renew(state, of),
            Step::IsSteady(start) => state.database.with(start, |agent| agent.steady = true),
            Step::Take(of) => take(state, of),
            Step::Claim(of, job) => self.claim(state, of, job),
            Step::Ask(of, at) | Step::AskUnguarded(of, at) => ask(state, of, at),
            Step::IsNotMade(of, at) => state.processes[of].attempts[at].phase = Phase::Again { waited: false },
            Step::IsAnswered(of, at) => answered(state, of, at),
            Step::Settle(of, at) => self.settle(state, of, at),
            Step::IsCarriedOut(at) => carried_out(state, at),
            Step::NeverArrives(at) => drop(state.requests.remove(at)),
            Step::LeaseEnds(start) => state.database.with(start, |agent| agent.lease_over = true),
            Step::Bury(_, start) => state.database.with(start, |agent| agent.gone = Some(How::Expired)),
            Step::Clean(_, start) => self.clean(&mut state.database, start),
            Step::PutBack(_, start) => drop(self.put_back(&mut state.database, start)),
            Step::Forget(of) => state.processes[of].forget(),
            Step::IsDue(job) => state.database.rows[job].word = Word::Pending { after: None },
            Step::GhostsAreOver => state.database.lane.ghosts.clear(),
            Step::QuarantineIsOver => state.database.quarantine = false,
            Step::PutBackStray(of, job) => {
                let row = &mut state.database.rows[job];
                (row.word, row.in_doubt) = (Word::Pending { after: state.processes[of].start }, true);
            }
            Step::HandoverArrives(at) => {
                let (start, epoch) = state.stalled.remove(at);
                self.give_back(&mut state.database, start, epoch);
            }
            _ => self.apply_trouble(state, step),
        }
    }

    fn apply_trouble(&self, state: &mut State, step: &Step) {
        match *step {
            Step::TrustEnds(of) => {
                let process = &mut state.processes[of];
                process.trusts = false;
                // A row that is gone cannot be renewed: that costs nothing.
                if process.start.is_some_and(|start| state.database.lives(start)) {
                    state.trouble.lapses -= 1;
                }
            }
            Step::Kill(of) => {
                state.trouble.kills -= 1;
                state.dies(of);
            }
            Step::Stop(of) => {
                state.trouble.stops -= 1;
                if let Some(start) = state.processes[of].start {
                    state.database.is_gone(start, How::Stopped);
                }
                state.dies(of);
            }
            Step::AnswerIsLost(of, at) => {
                state.trouble.lost_answers -= 1;
                let attempt = state.processes[of].attempts[at].clone();
                if let Some(request) = state.request_of(of, &attempt) {
                    state.requests.remove(request);
                }
                let posted = attempt.phase == Phase::Posting;
                let attempt = &mut state.processes[of].attempts[at];
                attempt.in_doubt |= posted;
                attempt.phase = Phase::Again { waited: true };
            }
            Step::ClaimIsLost(of, job) => {
                state.trouble.lost_claims -= 1;
                self.claim(state, of, job);
                state.processes[of].attempts.pop();
            }
            Step::GiveBack(of) => {
                state.trouble.handovers -= 1;
                if let Some((start, epoch)) = state.processes[of].hands_over() {
                    self.give_back(&mut state.database, start, epoch);
                }
            }
            Step::GiveBackStalls(of) => {
                state.trouble.stalls -= 1;
                let handed = state.processes[of].hands_over();
                state.stalled.extend(handed);
            }
            Step::Lags => state.replica = Some(Box::new(state.database.clone())),
            Step::FailsOver => {
                state.trouble.failovers -= 1;
                // What was on its way to the other server died with it.
                state.stalled.clear();
                if let Some(replica) = state.replica.take() {
                    state.database = Database { unnoticed: true, ..*replica };
                }
            }
            _ => {}
        }
    }

    /// `Membership::registered`: what this process had before is gone, by its lock.
    fn join(&self, state: &mut State, of: usize) {
        self.notice(&mut state.database);
        let earlier: Vec<Start> =
            state.database.agents.iter().filter(|agent| agent.process == of).map(|agent| agent.start).collect();
        earlier.into_iter().for_each(|start| state.database.is_gone(start, How::Replaced));
        let start = state.next_start;
        state.next_start += 1;
        state.database.agents.push(Agent { start, process: of, lease_over: false, steady: false, gone: None });
        let process = &mut state.processes[of];
        (process.start, process.trusts) = (Some(start), true);
        if self.rules.forgets_first {
            process.forget();
        }
    }

    /// `RENEW`, and what is done with a timeline that is new.
    fn renew(&self, state: &mut State, of: usize) {
        let Some(start) = state.processes[of].start else { return };
        if state.database.unnoticed {
            self.notice(&mut state.database);
        }
        let process = &mut state.processes[of];
        process.trusts = state.database.lives(start);
        if process.trusts {
            state.database.with(start, |agent| {
                agent.steady &= !agent.lease_over;
                agent.lease_over = false;
            });
        } else {
            process.start = None;
            if self.rules.forgets_first {
                process.forget();
            }
        }
    }

    /// `FAILED_OVER`.
    fn notice(&self, database: &mut Database) {
        if !std::mem::take(&mut database.unnoticed) {
            return;
        }
        let living: Vec<Start> = database.agents.iter().map(|agent| agent.start).collect();
        living.into_iter().for_each(|start| database.is_gone(start, How::Expired));
        database.quarantine = self.rules.quarantine;
        database.doubt = self.rules.doubt_after_failover;
    }

    /// `CLAIM`.
    fn claim(&self, state: &mut State, of: usize, job: usize) {
        let Some(start) = state.processes[of].start else { return };
        let row = &mut state.database.rows[job];
        row.word = Word::Claimed { by: start };
        let was_lost = state.database.doubt && row.claims < FURTHER_ON && self.rules.counts_on;
        row.claims += if was_lost { FURTHER_ON } else { 1 };
        row.in_doubt |= state.database.doubt;
        let phase = if row.in_doubt { Phase::ToLookUp } else { Phase::ToPost };
        let attempt = Attempt { job, claim: row.claims, start, in_doubt: row.in_doubt, phase };
        state.processes[of].attempts.push(attempt);
    }

    /// `SETTLE`, and `LATE` where that finds no claim.
    fn settle(&self, state: &mut State, of: usize, at: usize) {
        let Some(start) = state.processes[of].start else { return };
        let attempt = state.processes[of].attempts[at].clone();
        let row = &mut state.database.rows[attempt.job];
        let mine = match row.word {
            Word::Claimed { by } => (by == start || !self.rules.fence_by_agent) && row.claims == attempt.claim,
            _ => false,
        };
        let is_late = row.in_doubt && row.claims == attempt.claim && matches!(row.word, Word::Pending { .. });
        match attempt.phase {
            Phase::Sent if mine => (row.word, row.in_doubt) = (Word::Sent, false),
            Phase::Sent if is_late && self.rules.late_at_once => {
                (row.word, row.in_doubt) = (Word::Sent, false);
                row.claims += 1;
            }
            Phase::Sent if is_late => {
                row.word = Word::Claimed { by: start };
                row.claims += 1;
                let claim = row.claims;
                let attempt = &mut state.processes[of].attempts[at];
                (attempt.claim, attempt.start) = (claim, start);
                return;
            }
            Phase::Again { waited } if mine => {
                row.word = Word::Pending { after: waited.then_some(start) };
                row.in_doubt = attempt.in_doubt;
            }
            _ => {}
        }
        let process = &mut state.processes[of];
        process.attempts.remove(at);
    }

    /// `CLEAN`: its jobs go back, in doubt, and its mailbox is free.
    fn clean(&self, database: &mut Database, start: Start) {
        let ghosts = self.put_back(database, start);
        let how = database.agent(start).and_then(|agent| agent.gone);
        let lane = &mut database.lane;
        if lane.owner == Some(start) {
            lane.owner = None;
            if !self.rules.ghosts_add_up {
                lane.ghosts.clear();
            }
            if self.rules.ghosts && (self.rules.ghosts_of_all || how == Some(How::Expired)) {
                lane.ghosts.extend(ghosts);
                lane.ghosts.sort();
            }
        }
        database.agents.retain(|agent| agent.start != start);
    }

    /// One ghost for each.
    fn put_back(&self, database: &mut Database, start: Start) -> Vec<Start> {
        let mut ghosts = Vec::new();
        for row in database.rows.iter_mut().filter(|row| row.word == Word::Claimed { by: start }) {
            row.word = Word::Pending { after: self.rules.doubt_waits.then_some(start) };
            row.in_doubt |= self.rules.doubt;
            ghosts.push(start);
        }
        ghosts
    }

    /// `GIVE_BACK`.
    fn give_back(&self, database: &mut Database, start: Start, epoch: u8) {
        let lane = &mut database.lane;
        if lane.owner == Some(start) && (lane.epoch == epoch || !self.rules.fence_by_epoch) {
            lane.owner = None;
        }
    }
}

/// `TAKE`.
fn take(state: &mut State, of: usize) {
    let (lane, process) = (&mut state.database.lane, &mut state.processes[of]);
    lane.owner = process.start;
    lane.epoch += 1;
    process.owns = Some(lane.epoch);
}

fn ask(state: &mut State, of: usize, at: usize) {
    let Process { start, attempts, .. } = &mut state.processes[of];
    let attempt = &mut attempts[at];
    let kind = if attempt.phase == Phase::ToLookUp { Kind::Look } else { Kind::Post };
    attempt.phase = if kind == Kind::Look { Phase::LookingUp } else { Phase::Posting };
    state.requests.push(Request {
        job: attempt.job,
        kind,
        under: start.unwrap_or(attempt.start),
        waits: Some((of, attempt.start, attempt.claim)),
        answer: None,
    });
}

/// The server takes up a request. It does not know whether anybody still waits for the answer.
fn carried_out(state: &mut State, at: usize) {
    let Request { job, kind, waits, .. } = state.requests[at];
    if kind == Kind::Post {
        state.events[job] += 1;
    }
    if waits.is_some() {
        state.requests[at].answer = Some(state.events[job] > 0);
    } else {
        state.requests.remove(at);
    }
}

fn answered(state: &mut State, of: usize, at: usize) {
    let attempt = state.processes[of].attempts[at].clone();
    let Some(request) = state.request_of(of, &attempt) else { return };
    let answer = state.requests.remove(request).answer;
    let found = answer == Some(true);
    state.processes[of].attempts[at].phase = if found { Phase::Sent } else { Phase::ToPost };
}

impl State {
    /// The request this attempt waits for.
    pub fn request_of(&self, of: usize, attempt: &Attempt) -> Option<usize> {
        let waits = Some((of, attempt.start, attempt.claim));
        self.requests.iter().position(|request| request.job == attempt.job && request.waits == waits)
    }

    /// Its memory is gone. What the server has not taken up yet, it still may.
    fn dies(&mut self, of: usize) {
        self.processes[of] = Process { up: false, start: None, trusts: false, owns: None, attempts: Vec::new() };
        self.requests.retain(|request| request.answer.is_none() || request.waits.is_none_or(|(by, ..)| by != of));
        let left = self.requests.iter_mut().filter(|request| request.waits.is_some_and(|(by, ..)| by == of));
        left.for_each(|request| request.waits = None);
    }
}

impl Database {
    fn with(&mut self, start: Start, change: impl Fn(&mut Agent)) {
        self.agents.iter_mut().filter(|agent| agent.start == start).for_each(change);
    }

    fn is_gone(&mut self, start: Start, how: How) {
        self.with(start, |agent| agent.gone = agent.gone.or(Some(how)));
    }
}

impl Process {
    /// `Memory::begin_anew`.
    fn forget(&mut self) {
        self.owns = None;
    }

    /// The mailbox is not its own any more.
    fn hands_over(&mut self) -> Option<(Start, u8)> {
        let handed = self.start.zip(self.owns);
        self.forget();
        handed
    }
}
