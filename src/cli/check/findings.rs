//! Findings: one value from which both the line for people and the object for programs are made. Knows no area.

use serde_json::{Value, json};

use crate::cli::output::{self, Tone, paint};
use crate::cli::paper::Paper;
use crate::exit::Exit;
use crate::format::counted;
use crate::queue::{Grade, StorageFinding};

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Pass => "pass",
        Grade::Warn => "warn",
        Grade::Fail => "fail",
    }
}

fn tone(grade: Grade) -> Tone {
    match grade {
        Grade::Pass => Tone::Good,
        Grade::Warn => Tone::Waiting,
        Grade::Fail => Tone::Bad,
    }
}

/// One finding: what it is about, what it means, what to do.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) grade: Grade,
    subject: Option<String>,
    text: String,
    cure: Option<String>,
    /// Nobody answered: a matter of the network.
    unreachable: bool,
}

impl Finding {
    fn new(check: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        Self { check, grade, subject: None, text: text.into(), cure: None, unreachable: false }
    }

    pub(super) fn pass(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Grade::Pass, text)
    }

    pub(super) fn warn(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Grade::Warn, text)
    }

    pub(super) fn fail(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Grade::Fail, text)
    }

    /// An earlier finding is in the way.
    pub(super) fn not_checked(check: &'static str, why: &str) -> Self {
        Self::warn(check, format!("not checked: {why}"))
    }

    /// What the queue found of its storage.
    pub(super) fn of_storage(check: &'static str, found: StorageFinding) -> Self {
        Self::new(check, found.grade, found.means).cured_by(found.cure).about(found.about)
    }

    pub(super) fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub(super) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The same, where there may be none.
    pub(super) fn cured_by(self, cure: Option<impl Into<String>>) -> Self {
        Self { cure: cure.map(Into::into), ..self }
    }

    /// Of the settings, whose problems say both: up to the semicolon what is wrong, after it what to do.
    pub(super) fn of_problem(check: &'static str, what: &str) -> Self {
        match what.split_once("; ") {
            Some((text, cure)) => Self::fail(check, text).cure(cure),
            None => Self::fail(check, what),
        }
    }

    pub(super) fn unreachable(mut self, unreachable: bool) -> Self {
        self.unreachable = unreachable;
        self
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.unreachable
    }

    /// Much of it is quoted: rows, answers, names of files. It is one line, whoever wrote it, as far as the paper has room.
    fn lines(&self, paper: Paper) -> Vec<String> {
        let grade = paint(tone(self.grade), &word(self.grade).to_uppercase());
        let cure = self.cure.as_ref().map(|cure| format!("; {cure}")).unwrap_or_default();
        let said = format!("{}{}{cure}", self.named(), self.text);
        paper.prose(&format!("{grade}  {:11} ", self.check), &said, None)
    }

    /// What is to be done about it, if anything is.
    fn step(&self, paper: Paper) -> Vec<String> {
        let what = match (self.grade, &self.cure) {
            (Grade::Pass, _) | (Grade::Warn, None) => return Vec::new(),
            (_, Some(cure)) => cure,
            (Grade::Fail, None) => &self.text,
        };
        paper.prose(&format!("  {:11} ", self.check), &format!("{}{what}", self.named()), None)
    }

    fn named(&self) -> String {
        self.subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({
            "check": self.check,
            "grade": word(self.grade),
            "subject": self.subject,
            "text": self.text,
            "cure": self.cure,
        })
    }
}

/// All of them, told as they come or at the end.
pub(super) struct Report {
    json: bool,
    paper: Paper,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(json: bool, paper: Paper) -> Self {
        Self { json, paper, findings: Vec::new() }
    }

    /// Takes findings, and shows them unless they are wanted as JSON.
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) -> std::io::Result<()> {
        for finding in findings {
            if !self.json {
                output::lines(&finding.lines(self.paper))?;
            }
            self.findings.push(finding);
        }
        Ok(())
    }

    /// The exit code of what was found.
    pub(super) fn end(self) -> std::io::Result<Exit> {
        let worst = self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Pass);
        let unreachable = self.findings.iter().any(Finding::is_unreachable);
        let exit = match (unreachable, worst) {
            (true, _) => Exit::Unavailable,
            (false, Grade::Fail) => Exit::Failed,
            (false, _) => Exit::Done,
        };
        self.end_with(exit)
    }

    /// Ends with this exit code, whatever was found.
    pub(super) fn end_with(self, exit: Exit) -> std::io::Result<Exit> {
        if !self.json && output::shows() {
            output::lines(&self.verdict())?;
        }
        if self.json {
            let worst = self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Pass);
            let checks: Vec<Value> = self.findings.iter().map(Finding::json).collect();
            output::json(&json!({ "checks": checks, "worst": word(worst), "exit_code": exit.code() }))?;
        }
        Ok(exit)
    }

    /// What all of it comes to, and what is to be done: for an eye that is at the end. Who reads lines has them all.
    fn verdict(&self) -> Vec<String> {
        let of = |grade| self.findings.iter().filter(|finding| finding.grade == grade).count();
        let (failed, odd) = (of(Grade::Fail), of(Grade::Warn));
        let look = format!("{odd} {} attention", if odd == 1 { "needs" } else { "need" });
        let (tone, said) = match (failed, odd) {
            (0, 0) => (Tone::Good, "all of it is as it should be".to_owned()),
            (0, _) => (Tone::Waiting, format!("nothing failed, {look}")),
            (_, 0) => (Tone::Bad, format!("{failed} failed")),
            _ => (Tone::Bad, format!("{failed} failed, {look}")),
        };
        let mut lines = vec![String::new()];
        let all = counted(i64::try_from(self.findings.len()).unwrap_or(i64::MAX), "check", "checks");
        lines.extend(self.paper.prose("", &format!("{all}: {said}"), Some(tone)));
        let steps: Vec<String> = self.findings.iter().flat_map(|finding| finding.step(self.paper)).collect();
        if !steps.is_empty() {
            lines.push(paint(Tone::Strong, "What to do"));
            lines.extend(steps);
        }
        lines
    }
}
