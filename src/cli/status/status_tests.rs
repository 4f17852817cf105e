//! What is said of how things stand, and that the screen shows it in every size.
#![allow(clippy::unwrap_used)]

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::screen::{View, draw};
use super::*;
use crate::advice::Tone;
use crate::advice::health::Health;
use crate::job::{ErrorKind, JobState, parse_utc};
use crate::queue::{
    AgentSaid, CredentialSaid, Ended, GateSaid, HoldColumns, MailboxRow, PacedColumns, PauseColumns, Trouble, Waiting,
    WaitingReport,
};

const NOW: &str = "2026-12-01T12:00:00Z";

/// A mailbox that is paused.
fn paused(mailbox: &str, kind: ErrorKind) -> MailboxRow {
    let pause = PauseColumns { until: NOW.into(), kind: kind.into(), ..PauseColumns::default() };
    MailboxRow { mailbox: mailbox.into(), pause, ..MailboxRow::default() }
}

fn held(mailbox: &str) -> MailboxRow {
    let hold = Some(HoldColumns { since: NOW.into(), reason: "move".into() });
    MailboxRow { mailbox: mailbox.into(), hold, ..MailboxRow::default() }
}

fn waiting(mailbox: &str, jobs: i64, later: i64) -> Waiting {
    let mut by_age = [0; crate::queue::AGE_COUNT];
    by_age[1] = jobs - later;
    Waiting { mailbox: mailbox.into(), jobs, later, by_age }
}

/// So many jobs wait, and the agent runs.
fn glance(jobs: i64, later: i64) -> Glance {
    let oldest = (jobs > later).then(|| "2026-12-01T11:57:00.000Z".to_owned());
    let report = Overview {
        counts: JobState::ALL.map(|state| (state, if state == JobState::Pending { jobs } else { 0 })).into(),
        waiting: WaitingReport {
            total: waiting("", jobs, later),
            mailboxes: vec![waiting("ann@contoso.com", jobs, later)],
            open_due: oldest.clone(),
            ..WaitingReport::default()
        },
        oldest_pending: oldest.clone(),
        oldest_due: oldest,
        last_minute: Ended { sent: 25, failed: 0 },
        by_minute: vec![5; 60],
        ..Overview::default()
    };
    let agent = AgentRow { pid: Some("4711".into()), ..AgentRow::default() };
    let news = News::of_last_hour(&report);
    Glance { report, agent, news, queue: "queue.db".into(), nameless: "(none named)", now: parse_utc(NOW).unwrap() }
}

/// A running agent that says this of itself.
fn agent(said: AgentSaid) -> AgentRow {
    let said = AgentSaid { version: "1.0".into(), started_at: "2026-12-01T11:00:00.000Z".into(), ..said };
    AgentRow { pid: Some("4711".into()), said: Some(said), ..AgentRow::default() }
}

fn expired() -> AgentSaid {
    let gate = GateSaid {
        since: "2026-12-01T11:55:00.000Z".into(),
        until: "2026-12-01T12:01:00.000Z".into(),
        kind: ErrorKind::Auth.into(),
        code: "AADSTS7000222".into(),
        hint: "The client secret has expired: create a new one.".into(),
    };
    AgentSaid { gate: Some(gate), ..AgentSaid::default() }
}

fn commands(health: &Health) -> String {
    health.steps.iter().map(|(command, _)| command.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn good_health_is_said_in_one_sentence() {
    let health = glance(12, 0).health();
    assert_eq!(health.headline, "All is well: sending, 25 in the last minute; 12 jobs wait, the oldest for 3 min");
    assert_eq!((health.tone, health.remarks.len(), health.steps.len()), (Tone::Good, 0, 0));
    assert_eq!(glance(0, 0).health().headline, "All is well: nothing is waiting");
    let mut later = glance(1, 1);
    later.report.waiting.next_due = Some("2026-12-02T08:00:00.000Z".into());
    assert_eq!(
        later.health().headline,
        "All is well: 1 job waits for a later time, the next at 2026-12-02 08:00:00 UTC"
    );
}

#[test]
fn a_closed_gate_says_why_and_until_when_but_not_that_of_an_agent_that_is_gone() {
    let mut glance = glance(12, 0);
    glance.agent = agent(expired());
    let health = glance.health();
    assert_eq!(health.tone, Tone::Bad);
    assert_eq!(health.headline, "NOTHING IS SENT: The client secret has expired: create a new one (AADSTS7000222)");
    assert!(health.remarks[0].contains("tried again at 12:01:00 UTC (in 1 min)"), "{health:?}");
    assert!(commands(&health).contains("event-sender check"));
    assert_eq!(json::of(&glance)["gate"]["code"], "AADSTS7000222");

    glance.agent.pid = None;
    let health = glance.health();
    assert!(health.headline.starts_with("NOTHING IS SENT: no agent is running; 12 jobs wait"), "{health:?}");
    assert!(health.remarks[0].contains("when the last one ended"), "{health:?}");
    assert_eq!(json::of(&glance)["gate"], serde_json::Value::Null);
}

/// Its example is made from what is said here.
#[test]
fn the_page_about_status_shows_what_is_said() {
    let page = include_str!("../../../docs/operate/status.md");
    let example = page.split("```").nth(1).unwrap();
    let mut glance = glance(11_742, 7);
    glance.now = parse_utc("2026-12-01T14:01:07.500Z").unwrap();
    glance.report.oldest_due = Some("2026-12-01T14:00:47.000Z".into());
    glance.report.troubled = 7;
    glance.report.held = vec![held("room1@contoso.com")];
    let gate = GateSaid {
        since: "2026-12-01T14:00:56.000Z".into(),
        until: "2026-12-01T14:01:56.000Z".into(),
        hint: crate::auth::advice(Some(7_000_222)).hint.to_string(),
        ..expired().gate.unwrap()
    };
    glance.agent = agent(AgentSaid { gate: Some(gate), ..AgentSaid::default() });
    let health = glance.health();
    let width = health.steps.iter().map(|(command, _)| command.len()).max().unwrap();
    let steps = health.steps.iter().map(|(command, what)| format!("  {command:width$}  {what}"));
    let remarks = health.remarks.iter().map(|remark| format!("  {remark}"));
    for line in std::iter::once(health.headline.clone()).chain(remarks).chain(steps) {
        assert!(example.lines().any(|shown| shown == line), "docs/operate/status.md does not show:\n{line}");
    }
}

#[test]
fn what_deserves_a_look_takes_the_calm_away_and_names_the_next_command() {
    let mut denied = glance(12, 0);
    denied.report.paused = vec![paused("eve@contoso.com", ErrorKind::Denied)];
    let mut stopped = glance(12, 0);
    stopped.report.held = vec![held("carl@contoso.com")];
    let mut failed = glance(12, 0);
    failed.news = News { failed: 2, since: None };
    let mut seen = glance(12, 0);
    seen.news = News { failed: 1, since: parse_utc("2026-12-01T09:00:00Z") };
    let mut in_the_way = glance(12, 0);
    let said = Some("1 result cannot be recorded (job 7: audit says no)".into());
    in_the_way.agent = agent(AgentSaid { refused: said, ..AgentSaid::default() });
    let mut refused = glance(12, 0);
    let said = Some("delivery.max_attempts".into());
    refused.agent = agent(AgentSaid { settings_refused: said, ..AgentSaid::default() });
    let mut stuck = glance(12, 0);
    stuck.report.last_minute.sent = 0;
    for (glance, remark, command) in [
        (denied, "1 mailbox is paused (denied)", "event-sender check --mailbox eve@contoso.com"),
        (stopped, "1 mailbox is held by an operator", "event-sender release carl@contoso.com"),
        (failed, "2 jobs failed in the last hour", "event-sender list --state failed --since 1h"),
        (seen, "1 job failed since 09:00:00 UTC (3 h ago)", "--state failed --since 2026-12-01T09:00:00Z"),
        (refused, "delivery.max_attempts", "event-sender check --offline"),
        (in_the_way, "(job 7: audit says no)", "event-sender check --offline"),
        (stuck, "nothing was sent in the last minute", ""),
    ] {
        let health = glance.health();
        assert_eq!((health.tone, health.level), (Tone::Waiting, Level::Look), "{health:?}");
        assert!(health.headline.starts_with("Needs a look: "), "{health:?}");
        let said = format!("{}\n{}", health.headline, health.remarks.join("\n"));
        assert!(said.contains(remark) && commands(&health).contains(command), "{health:?}");
    }
}

#[test]
fn a_credential_is_a_remark_once_its_end_is_near_and_a_program_is_always_told() {
    let with_end = |name: &str, expires: &str| {
        let mut glance = glance(12, 0);
        let credential = Some(CredentialSaid { name: name.into(), expires: expires.into() });
        glance.agent = agent(AgentSaid { credential, ..AgentSaid::default() });
        glance
    };
    for (name, expires, remark) in [
        ("client_secret", "2026-12-12T12:00:00.000Z", Some("the client secret expires on 2026-12-12, in 11 days: ")),
        ("certificate", "2026-12-31T12:00:00.000Z", Some("the certificate expires on 2026-12-31, in 30 days: ")),
        ("certificate", "2026-11-30T12:00:00.000Z", Some("the certificate expired on 2026-11-30: ")),
        ("certificate", "2026-12-31T12:00:01.000Z", None),
        ("certificate", "whenever", None),
    ] {
        let glance = with_end(name, expires);
        let health = glance.health();
        assert_eq!(json::of(&glance)["credential"], json!({ "name": name, "expires": expires }));
        assert_eq!(health.tone, if remark.is_some() { Tone::Waiting } else { Tone::Good }, "{health:?}");
        match remark {
            Some(remark) => assert!(health.remarks[0].starts_with(remark) && health.remarks.len() == 1, "{health:?}"),
            None => assert!(health.remarks.is_empty(), "{health:?}"),
        }
    }
    let mut gone = with_end("certificate", "2026-12-02T12:00:00.000Z");
    let mut view = View::new(Duration::from_secs(2));
    view.take(Ok(with_end("certificate", "2026-12-02T12:00:00.000Z")), Duration::ZERO);
    assert!(screen(&view, 80, 24).join("\n").contains("the certificate expires on 2026-12-02, in 1 day"));
    gone.agent.pid = None;
    assert!(gone.health().remarks.is_empty(), "who starts next may find a renewed one");
    assert_eq!(json::of(&gone)["credential"]["name"], "certificate");
    assert_eq!(json::of(&glance(1, 0))["credential"], serde_json::Value::Null);
}

#[test]
fn a_throttled_mailbox_is_a_note_and_what_waits_for_it_no_standstill() {
    let mut glance = glance(12, 0);
    let until = |mut row: MailboxRow, until: &str| {
        row.pause.until = until.into();
        row
    };
    glance.report.paused = vec![
        until(paused("bob@contoso.com", ErrorKind::Throttled), "2026-12-01T12:01:00.000Z"),
        until(paused("eve@contoso.com", ErrorKind::Throttled), "2026-12-01T12:05:00.000Z"),
    ];
    (glance.report.last_minute.sent, glance.report.waiting.open_due) = (0, None);
    let health = glance.health();
    assert_eq!((health.level, health.tone), (Level::Fine, Tone::Good), "{health:?}");
    assert_eq!(health.headline, "All is well: 12 jobs wait, the oldest for 3 min");
    let note = "2 mailboxes are paused as Microsoft asked; they resume by themselves, the last at 12:05:00 UTC";
    assert_eq!((health.remarks, health.steps), (vec![note.to_owned()], vec![]));
}

#[test]
fn an_old_failure_is_no_news() {
    let mut glance = glance(12, 0);
    glance.report.counts[3].1 = 2;
    let health = glance.health();
    assert_eq!((health.level, health.steps.len()), (Level::Fine, 0), "{health:?}");
}

#[test]
fn an_agent_that_gives_no_sign_of_life_is_none() {
    let mut glance = glance(12, 0);
    for (signed_at, level) in [
        ("2026-12-01T11:59:45Z", Level::Fine),
        ("2026-12-01T11:59:30Z", Level::NoAgent),
        ("2026-12-01T12:00:15Z", Level::Fine),
        ("2026-12-01T13:00:00Z", Level::NoAgent),
    ] {
        glance.agent.signed_at = parse_utc(signed_at);
        let health = glance.health();
        assert_eq!(health.level, level, "{signed_at}: {health:?}");
    }
    glance.agent.signed_at = parse_utc("2026-12-01T11:59:00Z");
    let health = glance.health();
    let said = "the agent (process 4711) has given no sign of life since 11:59:00 UTC (1 min ago)";
    assert_eq!(health.headline, format!("NOTHING IS SENT: {said}"));
    assert!(commands(&health).contains("systemctl restart event-sender"), "{health:?}");
    assert!(text::lines(&glance, Paper::endless()).contains(&"sending         stopped".to_owned()));
}

#[test]
fn after_a_failover_of_the_database_it_is_said_until_when_nothing_is_sent() {
    let mut glance = glance(12, 0);
    glance.report.sending_paused_until = parse_utc("2026-12-01T12:00:30Z");
    let health = glance.health();
    assert_eq!(health.level, Level::Look);
    assert_eq!(
        health.headline,
        "Needs a look: nothing is sent until 12:00:30 UTC: another database server has taken over"
    );
    assert!(text::lines(&glance, Paper::endless()).contains(&"sending         paused until 12:00:30 UTC".to_owned()));
    assert_eq!(json::of(&glance)["sending_paused_until"], "2026-12-01T12:00:30.000Z");
}

/// Its lease goes on beside its work, so its mailboxes go to nobody else.
#[test]
fn an_agent_that_is_stuck_beside_others_is_named() {
    let mut glance = glance(12, 0);
    let named = |name: &str, signed_at: &str| {
        let said = AgentSaid { name: name.into(), host: Some("h1".into()), lanes: Some(3), ..AgentSaid::default() };
        AgentRow { signed_at: parse_utc(signed_at), ..agent(said) }
    };
    glance.report.agents = vec![named("a", "2026-12-01T11:59:00Z"), named("b", "2026-12-01T11:59:58Z")];
    glance.agent = glance.report.agent(glance.now);
    let health = glance.health();
    let said = "agent \"a\" (process 4711 on h1) has given no sign of life since 11:59:00 UTC (1 min ago): it is stopped or stuck, \
                and its 3 mailboxes wait; restart it there";
    assert_eq!((health.level, health.remarks), (Level::Look, vec![said.to_owned()]));
    let lines = text::lines(&glance, Paper::endless());
    assert!(lines.iter().any(|line| line.contains("no sign of life since 11:59:00")), "{lines:#?}");
    assert!(lines.contains(&"sending         open".to_owned()), "{lines:#?}");
    glance.report.agents[1].signed_at = parse_utc("2026-12-01T11:59:30Z");
    glance.agent = glance.report.agent(glance.now);
    let health = glance.health();
    assert_eq!(health.level, Level::NoAgent);
    assert!(health.headline.starts_with("NOTHING IS SENT: the agent (process 4711)"), "{health:?}");
    assert!(health.remarks.iter().any(|remark| remark.starts_with("agent \"b\"")), "{health:?}");
}

/// Every level, as programs are told.
#[test]
fn the_codes_and_the_line_for_a_monitoring_system_tell_the_level() {
    let mut look = glance(12, 0);
    look.report.held = vec![held("carl@contoso.com")];
    let mut stopped = glance(12, 0);
    stopped.agent = agent(expired());
    let mut gone = glance(0, 0);
    gone.agent.pid = None;
    for (glance, exit, plugin, word) in
        [(glance(12, 0), 0, 0, "OK"), (look, 1, 1, "WARNING"), (stopped, 2, 2, "CRITICAL"), (gone, 3, 2, "CRITICAL")]
    {
        let level = glance.health().level;
        assert_eq!((code(level), nagios::code(level)), (exit, plugin), "{word}");
        let line = nagios::line(&glance);
        assert!(line.starts_with(&format!("EVENT-SENDER {word} - ")), "{line}");
    }
}

/// As the guidelines of the Monitoring Plugins have it: a label, a number with its unit, four limits.
#[test]
fn the_figures_for_a_monitoring_system_are_of_its_grammar_whatever_the_words_are() {
    let mut glance = glance(12, 2);
    let hint = "a | b\nc=1;2".into();
    let gate = GateSaid { hint, ..expired().gate.unwrap() };
    glance.agent = agent(AgentSaid { gate: Some(gate), ..AgentSaid::default() });
    let line = nagios::line(&glance);
    let (words, figures) = line.split_once(" | ").unwrap();
    assert!(!words.contains('|') && !line.contains('\n'), "{line}");
    let mut labels = Vec::new();
    for figure in figures.split(' ') {
        let (label, value) = figure.split_once('=').unwrap();
        let parts: Vec<&str> = value.split(';').collect();
        assert_eq!(parts[1..], ["", "", "0", ""], "{figure}");
        let number = parts[0].strip_suffix('s').unwrap_or(parts[0]);
        assert!(number.parse::<u64>().is_ok() && !label.contains(['\'', '=', ' ']), "{figure}");
        labels.push(label);
    }
    assert!(figures.contains("waiting=12;;;0; due=10;;;0; oldest_due=180s;;;0;"), "{figures}");
    let all = labels.len();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), all, "each label once");
    assert_eq!(nagios::unknown("no | queue"), "EVENT-SENDER UNKNOWN - no / queue");
}

/// Much of everything.
fn troubled() -> Glance {
    let mut glance = glance(1_234_567, 7);
    let long =
        "The mailbox is not in Exchange Online, or has no licence: assign one, which takes effect within 15 minutes.";
    glance.agent = agent(expired());
    glance.report.counts[3].1 = 2;
    glance.report.failed_by_kind = vec![(Some("invalid_job".into()), 1), (Some("not_found".into()), 1)];
    glance.news = News { failed: 2, since: None };
    glance.report.waiting.mailboxes = (0..5).map(|n| waiting(&format!("user{n}@contoso.com"), 1000, 0)).collect();
    let mut paused = paused("a.very.long.name.of.a.room.in.the.second.building@contoso.com", ErrorKind::Denied);
    (paused.pause.until, paused.pause.reason) = ("2026-12-01T12:30:00.000Z".into(), long.into());
    glance.report.paused = vec![paused];
    glance.report.held = vec![held("日本語のメールボックス@例え.jp")];
    glance.report.troubles = vec![Trouble {
        kind: "denied".into(),
        code: "ErrorAccessDenied".into(),
        jobs: 1_234,
        message: long.into(),
        oldest: "2026-12-01T11:00:00.000Z".into(),
        newest_id: 3,
    }];
    glance
}

#[test]
fn at_every_width_no_line_is_wider_and_no_word_is_broken() {
    let glance = troubled();
    let whole = text::lines(&glance, Paper::endless()).join(" ");
    let words: Vec<&str> = whole.split_whitespace().collect();
    for width in [60, 79, 80, 100, 120, 200] {
        for line in text::lines(&glance, Paper::of(width)) {
            let command = line.starts_with("  event-sender ") || line.starts_with("  systemctl ");
            assert!(command || textwrap::core::display_width(&line) <= width, "{width}: {line}");
            let broken = line.split_whitespace().find(|word| !word.ends_with('…') && !words.contains(word));
            assert_eq!(broken, None, "{width}: {line}");
        }
    }
}

#[test]
fn what_to_make_of_it_and_what_to_do_are_the_end() {
    let shown = text::lines(&troubled(), Paper::of(80));
    let verdict = shown.iter().position(|line| line.starts_with("NOTHING IS SENT")).unwrap();
    assert!(shown.len() - verdict <= 24, "one look: {shown:#?}");
    assert!(shown[verdict..].contains(&"What to do".to_owned()), "{shown:#?}");
    assert!(shown.last().unwrap().contains("show ID says what to do"), "{shown:#?}");
    let paused = shown.iter().find(|line| line.starts_with("a.very.")).unwrap();
    assert!(paused.ends_with('…'), "{paused}");
    assert!(text::lines(&troubled(), Paper::endless()).iter().any(|line| line.ends_with("within 15 minutes.")));
}

#[test]
fn a_job_in_doubt_alone_is_no_alarm() {
    let mut glance = glance(12, 0);
    glance.report.in_doubt = 1;
    let health = glance.health();
    assert_eq!((health.tone, health.remarks.len()), (Tone::Good, 1));
    assert!(commands(&health).contains("list --in-doubt"));
}

#[test]
fn a_mailbox_that_mailed_as_many_as_it_may_is_no_alarm_and_says_until_when() {
    let mut glance = glance(12, 0);
    let until = "2026-12-01T12:30:00.000Z".into();
    let paced = Some(PacedColumns { until, reason: "10,000 recipients in 24 hours".into() });
    let row = MailboxRow { mailbox: "ann@contoso.com".into(), paced, ..MailboxRow::default() };
    (glance.report.paced, glance.report.behind) = (vec![row], 3);
    let health = glance.health();
    assert_eq!((health.tone, health.remarks.len()), (Tone::Good, 2), "{health:?}");
    assert!(health.remarks[0].starts_with("1 mailbox has mailed as many attendees as it may"), "{health:?}");
    assert!(health.remarks[1].starts_with("3 jobs wait for an earlier job of the same event"), "{health:?}");
    let json = json::of(&glance);
    assert_eq!((&json["behind"], &json["paced_mailboxes"][0]["mailbox"]), (&json!(3), &json!("ann@contoso.com")));
    assert_eq!(json["paced_mailboxes"][0]["paced_reason"], "10,000 recipients in 24 hours");
    assert_eq!(super::text::mark(&glance, "ann@contoso.com"), "paced");
    let mut view = View::new(Duration::from_secs(2));
    view.take(Ok(glance), Duration::ZERO);
    let wide = screen(&view, 140, 40).join("\n");
    assert!(wide.contains("paced until 12:30:00 UTC"), "{wide}");
}

fn screen(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn the_screen_has_room_for_what_matters_in_eighty_by_twenty_four() {
    let mut glance = glance(1_234_567, 0);
    glance.agent = agent(expired());
    glance.report.waiting.mailboxes = (0..50).map(|n| waiting(&format!("user{n}@contoso.com"), 1000 - n, 0)).collect();
    glance.report.waiting.more = 100;
    glance.report.held = vec![held("user1@contoso.com")];
    glance.report.troubles = vec![Trouble {
        kind: "denied".into(),
        code: "ErrorAccessDenied".into(),
        jobs: 3,
        message: "no".into(),
        oldest: "2026-12-01T11:00:00.000Z".into(),
        newest_id: 3,
    }];
    let mut view = View::new(Duration::from_secs(2));
    view.take(Ok(glance), Duration::from_millis(12));
    let shown = screen(&view, 80, 24);
    let all = shown.join("\n");
    for part in ["NOTHING IS SENT", "AADSTS7000222", "1,234,567", "user0@contoso.com", "ErrorAccessDenied", "q quit"] {
        assert!(all.contains(part), "'{part}' in\n{all}");
    }
    let held = shown.iter().find(|line| line.starts_with("user1@")).unwrap();
    assert!(held.ends_with("held"), "{held}");
    let more: Vec<_> = shown.iter().filter(|line| line.contains("more mailboxes")).collect();
    assert_eq!(more.len(), 1, "{all}");
    let rows = shown.iter().filter(|line| line.starts_with("user")).count() as i64;
    assert_eq!(*more[0], format!("and {} more mailboxes", 150 - rows));
    assert!(rows >= 3, "{all}");

    let wide = screen(&view, 140, 40).join("\n");
    assert!(wide.contains("held since 12:00:00 UTC"), "{wide}");
    view.sort();
    assert!(screen(&view, 80, 24).join("\n").contains("the oldest first"));
}

#[test]
fn the_screen_bears_every_size_and_says_that_the_queue_is_away() {
    let mut view = View::new(Duration::from_secs(2));
    assert!(screen(&view, 80, 24).join("\n").contains("looking"));
    for glance in [glance(0, 0), glance(5, 2)] {
        view.take(Ok(glance), Duration::ZERO);
        for (width, height) in [(1, 1), (5, 3), (20, 8), (79, 23), (300, 100)] {
            screen(&view, width, height);
        }
    }
    view.take(Err("queue.db was deleted".into()), Duration::ZERO);
    let shown = screen(&view, 80, 24).join("\n");
    assert!(
        shown.contains("THE QUEUE CANNOT BE READ: queue.db was deleted") && shown.contains("All is well"),
        "{shown}"
    );
}
