//! Where values come from: the file, and over it the environment. Types are strict in the file, and every value that
//! does not fit becomes a problem instead of an end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use config::{Config, File, FileFormat, Value, ValueKind};

use super::exposure::{self, Exposed};
use super::found;
use super::keys::{KEYS, is_known, nearest};
use super::shapes::{self, Unfit};
use super::{ConfigError, Environment, NotText, Problem, SettingsFile};
use crate::{access, characters, encoding};

const PREFIX: &str = "EVENT_SENDER__";
/// Where the settings are looked for if nobody names them.
pub(super) const USUAL: [&str; 2] = ["agent.toml", "/etc/event-sender/agent.toml"];
/// The keys whose values are secrets.
const SECRETS: [&str; 3] = ["auth.client_secret", "auth.password", "auth.private_key_passphrase"];
/// No duration of the settings makes sense beyond a year, and sums of times must stay inside the calendar.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The layers, and the problems found so far.
pub(super) struct Source {
    file: Option<SettingsFile>,
    values: Config,
    from_environment: BTreeSet<String>,
    problems: Vec<Problem>,
    secret: Vec<PathBuf>,
    read: Vec<PathBuf>,
}

impl Source {
    /// Finds and reads the file, lays the environment over it, and notes every key nobody knows.
    pub(super) fn open(file: Option<SettingsFile>, environment: &Environment) -> Result<Self, ConfigError> {
        let file = match file {
            Some(file) => Some(file),
            None => find(environment)?,
        };
        let fault = |what: String| refused(file.as_ref().map_or_else(|| Path::new(""), SettingsFile::path), what);
        let mut text = String::new();
        if let Some(file) = &file {
            let bytes = match file {
                SettingsFile::Named(path) => named(path),
                SettingsFile::Found(path) => found::read(path),
            };
            text = bytes.and_then(text_of).map_err(fault)?;
        }
        let mut large = Vec::new();
        let in_file = loop {
            let error = match parsed(&text) {
                Ok(values) => break values,
                Err(error) => error,
            };
            let Some(line) = too_large(&text, &error) else {
                return Err(fault(format!("is not valid TOML: {}{}", place(&error), in_line(&text, &error))));
            };
            let key = key_of(&text, line)
                .unwrap_or_else(|| file.as_ref().map_or_else(String::new, |file| file.path().display().to_string()));
            let what = format!("has more than 64 bits (line {line}); write a smaller number");
            large.push(Problem { key, what });
            // Everything else is told, too.
            text = without_line(&text, line);
        };
        let mut source = Self::of(file, in_file);
        source.problems.append(&mut large);
        source.refuse_unknown_keys();
        // Before the environment comes over it: a secret that is overridden stands in the file all the same.
        if let Some(file) = source.file.clone().filter(|_| source.holds_a_secret()) {
            source.note_secret(file.path());
        }
        source.lay_over(environment);
        source.refuse_wrappings();
        Ok(source)
    }

    /// Of the environment alone, where there is no file that can be read.
    pub(super) fn of_environment(environment: &Environment) -> Self {
        let mut source = Self::of(None, Config::default());
        source.lay_over(environment);
        source
    }

    fn of(file: Option<SettingsFile>, values: Config) -> Self {
        Self {
            file,
            values,
            from_environment: BTreeSet::new(),
            problems: Vec::new(),
            secret: Vec::new(),
            read: Vec::new(),
        }
    }

    /// The settings, if nothing was found wrong.
    pub(super) fn finish<T>(self, settings: Option<T>) -> Result<T, ConfigError> {
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            _ => Err(ConfigError { file: self.file.map(SettingsFile::into_path), problems: self.problems }),
        }
    }

    /// The file that was read.
    pub(super) fn file(&self) -> Option<&SettingsFile> {
        self.file.as_ref()
    }

    /// The files with a secret in them that others may read: everybody, or who may insert into this queue.
    pub(super) fn exposed(&self, queue: Option<&Path>) -> Vec<Exposed> {
        self.secret.iter().filter_map(|file| exposure::of(file, queue)).collect()
    }

    /// The files besides the settings themselves that were read.
    pub(super) fn files_read(&self) -> &[PathBuf] {
        &self.read
    }

    /// Remembers a file that a key names.
    pub(super) fn note_read(&mut self, file: &Path) {
        self.read.push(file.to_owned());
    }

    /// Remembers a file that holds a secret.
    pub(super) fn note_secret(&mut self, file: &Path) {
        self.secret.push(file.to_owned());
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, key: &str, what: impl Into<String>) {
        let key = self.shown_key(key);
        self.problems.push(Problem { key, what: what.into() });
    }

    /// Notes what is wrong with the value `written` of `key`. Next to the secrets' keys a secret may stand by mistake, so of
    /// those nothing is shown but a GUID.
    pub(super) fn refuse(&mut self, key: &str, written: &str, fault: Unfit) {
        let Unfit { what, meant } = fault;
        let may_be_secret = key.starts_with("auth.");
        let meant = meant.filter(|meant| !may_be_secret || shapes::is_guid(meant));
        let found = if may_be_secret { what } else { format!("is \"{}\", which {what}", written.escape_debug()) };
        let cure = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
        self.problem(key, format!("{found}{cure}"));
    }

    /// Whether a problem of `key` has been noted.
    pub(super) fn has_problem(&self, key: &str) -> bool {
        let key = self.shown_key(key);
        self.problems.iter().any(|problem| problem.key == key)
    }

    fn shown_key(&self, key: &str) -> String {
        if self.from_environment.contains(key) { format!("{} ({key})", variable(key)) } else { key.to_owned() }
    }

    /// Whether the environment sets `key`.
    pub(super) fn is_from_environment(&self, key: &str) -> bool {
        self.from_environment.contains(key)
    }

    /// Whether file or environment say something of `key`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| !matches!(value.kind, ValueKind::String(text) if text.trim().is_empty()))
    }

    /// Whether they say nothing in so many words: empty text.
    pub(super) fn is_blank(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| matches!(value.kind, ValueKind::String(text) if text.trim().is_empty()))
    }

    /// Whether they say something else of it than holds anyway.
    pub(super) fn is_changed(&self, key: &str) -> bool {
        let value = self.values.get_string(key).unwrap_or_default();
        self.is_set(key) && value.trim() != default(key).trim_matches('"')
    }

    /// Text; empty text is none.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        match value.kind {
            ValueKind::String(text) if text.trim().is_empty() => None,
            ValueKind::String(text) => {
                // A secret is judged where it is looked for, wherever it comes from.
                if let Some(what) = characters::unseen(text.trim_ascii()).filter(|_| !SECRETS.contains(&key)) {
                    self.problem(key, what);
                    return None;
                }
                Some(text)
            }
            other => {
                self.problem(key, format!("is {}; it must be text in quotes", kind(&other)));
                None
            }
        }
    }

    /// Text, or a whole number as text: what both can be written as.
    pub(super) fn text_or_number(&mut self, key: &str) -> Option<String> {
        match self.value(key)?.kind {
            ValueKind::I64(number) => Some(number.to_string()),
            _ => self.text(key),
        }
    }

    /// Text with the default of the table.
    pub(super) fn text_or_default(&mut self, key: &str) -> String {
        self.text(key).unwrap_or_else(|| default(key).trim_matches('"').to_owned())
    }

    /// Text that must be there.
    pub(super) fn required(&mut self, key: &str, cure: &str) -> Option<String> {
        let text = self.text(key);
        if text.is_none() && !self.has_problem(key) {
            self.problem(key, format!("is not set; {cure}"));
        }
        text.map(|text| text.trim().to_owned())
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let fallback = default(key) == "true";
        let Some(value) = self.value(key) else { return fallback };
        let flag = match &value.kind {
            ValueKind::Boolean(flag) => Some(*flag),
            ValueKind::String(text) if self.is_from_environment(key) => text.trim().parse().ok(),
            _ => None,
        };
        flag.unwrap_or_else(|| {
            self.problem(key, "is neither true nor false");
            fallback
        })
    }

    /// A day, which ends at midnight UTC, or a time.
    pub(super) fn day_or_time(&mut self, key: &str) -> Option<DateTime<Utc>> {
        let text = self.text(key)?;
        let text = text.trim();
        let day =
            || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.succ_opt()?.and_time(NaiveTime::MIN).and_utc());
        let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()).or_else(day);
        if time.is_none() {
            self.problem(key, "is neither a day nor a time, like \"2027-06-30\" or \"2027-06-30T12:00:00Z\"");
        }
        time
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &str, least: u32, most: u32) -> u32 {
        let fallback = default(key).parse().unwrap_or(least);
        let Some(value) = self.value(key) else { return fallback };
        let number = match &value.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if self.is_from_environment(key) => text.trim().parse().ok(),
            _ => None,
        };
        match number.and_then(|number| u32::try_from(number).ok()).filter(|number| (least..=most).contains(number)) {
            Some(number) => number,
            None => {
                self.problem(
                    key,
                    format!("is {}; it must be a whole number from {least} to {most}", shown(&value.kind)),
                );
                fallback
            }
        }
    }

    /// A duration with a unit, at least `least`.
    pub(super) fn duration(&mut self, key: &str, least: Duration) -> Duration {
        let parsed = |text: &str| humantime::parse_duration(text.trim()).ok();
        let fallback = parsed(default(key).trim_matches('"')).unwrap_or(least);
        let Some(value) = self.value(key) else { return fallback };
        let duration = match &value.kind {
            ValueKind::String(text) => parsed(text),
            _ => None,
        };
        match duration.filter(|duration| (least..=LONGEST).contains(duration)) {
            Some(duration) => duration,
            None => {
                let from = humantime::format_duration(least);
                self.problem(
                    key,
                    format!("is {}; it must be a duration with a unit, from {from} to 1 year, like \"500ms\", \"30s\", \"2h\"", shown(&value.kind)),
                );
                fallback
            }
        }
    }

    /// One word of a few.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)], fallback: T) -> T {
        let text = self.text_or_default(key);
        match words.iter().find(|(word, _)| *word == text.trim()) {
            Some((_, value)) => *value,
            None => {
                let list: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                // Next to the secrets' keys a secret may stand by mistake.
                let found =
                    if key.starts_with("auth.") { "is not a known word".into() } else { format!("is \"{text}\"") };
                let meant = nearest_word(text.trim(), words.iter().map(|(word, _)| *word));
                let meant = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
                self.problem(key, format!("{found}; it must be one of {}{meant}", list.join(", ")));
                fallback
            }
        }
    }

    /// A variable beside the keys of the settings, as text. One that is not text is a problem: without it other settings
    /// would hold than the ones that were meant.
    pub(super) fn variable<'e>(&mut self, environment: &'e Environment, name: &str) -> Option<&'e str> {
        self.variable_shown(environment, name, name)
    }

    fn variable_shown<'e>(&mut self, environment: &'e Environment, name: &str, shown: &str) -> Option<&'e str> {
        match environment.text(name)? {
            Ok(value) => Some(value),
            Err(NotText) => {
                if !self.problems.iter().any(|problem| problem.key == shown) {
                    let what = "is not UTF-8; set it to text in UTF-8, or unset it".to_owned();
                    self.problems.push(Problem { key: shown.to_owned(), what });
                }
                None
            }
        }
    }

    /// Notes values of a type that their keys never have, of keys that nothing had to read: another mode's, another queue's, or
    /// one that another key comes before.
    pub(super) fn refuse_wrong_types(&mut self) {
        for (key, default) in KEYS {
            let Some(value) = self.value(key).filter(|_| !self.has_problem(key) && !self.is_from_environment(key))
            else {
                continue;
            };
            let rule = match (default, &value.kind) {
                (Some("true" | "false"), ValueKind::Boolean(_)) | (None, ValueKind::String(_)) => continue,
                (Some("true" | "false"), _) => "true or false",
                (Some(default), kind) if !default.starts_with('"') => match kind {
                    ValueKind::I64(_) => continue,
                    _ => "a whole number",
                },
                (Some(_), ValueKind::String(_)) => continue,
                // A port alone.
                (None, ValueKind::I64(_)) if key.ends_with(".listen") => continue,
                _ => "text in quotes",
            };
            self.problem(key, format!("is {}; it must be {rule}", kind(&value.kind)));
        }
    }

    fn holds_a_secret(&self) -> bool {
        SECRETS.iter().any(|key| self.is_set(key))
    }

    fn value(&self, key: &str) -> Option<Value> {
        self.values.get::<Value>(key).ok().filter(|value| !matches!(value.kind, ValueKind::Nil))
    }

    fn lay_over(&mut self, environment: &Environment) {
        let mut builder = Config::builder().add_source(self.values.clone());
        for name in environment.names() {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            if is_known(&key) {
                self.from_environment.insert(key.clone());
                let shown = self.shown_key(&key);
                let Some(value) = self.variable_shown(environment, name, &shown) else { continue };
                // Only a malformed key can be refused, and these are the table's.
                if let Ok(next) = builder.clone().set_override(key, value) {
                    builder = next;
                }
            } else {
                self.problems.push(Problem {
                    key: name.to_owned(),
                    what: format!("sets no known key{}", suggestion(&key, variable)),
                });
            }
        }
        if let Ok(values) = builder.build() {
            self.values = values;
        }
    }

    /// Quotes, line breaks and what nobody sees come along where values are copied: from a shell's line into a unit or a
    /// container's file of variables, out of a mail or a web page. Judged further is what was probably meant. Secrets may
    /// hold anything.
    fn refuse_wrappings(&mut self) {
        let mut builder = Config::builder().add_source(self.values.clone());
        for (key, _) in KEYS.iter().filter(|(key, _)| !SECRETS.contains(key)) {
            let Some(ValueKind::String(text)) = self.value(key).map(|value| value.kind) else { continue };
            let Some(fault) = shapes::wrapping(&text) else { continue };
            let meant = fault.meant.clone().unwrap_or_default();
            self.refuse(key, text.trim(), fault);
            if let Ok(next) = builder.clone().set_override(*key, meant) {
                builder = next;
            }
        }
        if let Ok(values) = builder.build() {
            self.values = values;
        }
    }

    fn refuse_unknown_keys(&mut self) {
        let mut found = Vec::new();
        flatten(&self.values.cache, "", &mut found);
        for key in found {
            if !is_known(&key) {
                self.problems.push(Problem {
                    key: key.clone(),
                    what: format!("is not a known key{}", suggestion(&key, str::to_owned)),
                });
            }
        }
    }
}

/// The word that looks most like `unknown`, if one does.
fn nearest_word<'w>(unknown: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let unknown = unknown.to_ascii_lowercase().replace(['-', ' '], "_");
    let likeness = words.map(|word| (strsim::jaro_winkler(&unknown, word), word));
    likeness.filter(|(alike, _)| *alike > 0.85).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, word)| word)
}

fn suggestion(key: &str, write: impl Fn(&str) -> String) -> String {
    nearest(key).map_or_else(
        || "; remove it; 'event-sender settings' lists all keys".to_owned(),
        |near| format!("; did you mean {}?", write(near)),
    )
}

/// Every leaf of the tree, by its dotted key. A section that is not a table is a leaf, and an unknown one.
fn flatten(value: &Value, path: &str, into: &mut Vec<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            let mut names: Vec<_> = table.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            for (name, value) in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(value, &path, into);
            }
        }
        _ => into.push(path.to_owned()),
    }
}

/// `$EVENT_SENDER_CONFIG`, `./agent.toml`, `/etc/event-sender/agent.toml`; none if only the last two were looked for and
/// neither is there.
fn find(environment: &Environment) -> Result<Option<SettingsFile>, ConfigError> {
    if let Some(named) = environment.path("EVENT_SENDER_CONFIG") {
        return Ok(Some(SettingsFile::Named(named.into())));
    }
    for usual in USUAL.map(PathBuf::from) {
        // `sudo -u event-sender` in root's home: nothing in there is meant for that user.
        if usual.is_relative() && !may_enter(Path::new(".")) {
            continue;
        }
        match std::fs::symlink_metadata(&usual) {
            Ok(_) => return Ok(Some(SettingsFile::Found(usual))),
            // Not to be passed over in silence: without it a command would work on another queue.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let what = access::unreadable(&usual, &error);
                return Err(refused(&usual, format!("{what}; or name another file with --config")));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn refused(file: &Path, what: String) -> ConfigError {
    ConfigError {
        problems: vec![Problem { key: file.display().to_string(), what }],
        file: Some(file.to_owned()).filter(|file| !file.as_os_str().is_empty()),
    }
}

/// The content of a file that somebody named.
fn named(file: &Path) -> Result<Vec<u8>, String> {
    match file.metadata() {
        Ok(seen) if seen.is_dir() => {
            return Err(format!("is a directory; name the file in it: {}", file.join("agent.toml").display()));
        }
        Ok(seen) if !seen.is_file() => {
            return Err("is not a regular file; correct --config or EVENT_SENDER_CONFIG".to_owned());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("{}; correct --config or EVENT_SENDER_CONFIG", access::unreadable(file, &error)));
        }
        _ => {}
    }
    std::fs::read(file).map_err(|error| access::unreadable(file, &error))
}

fn may_enter(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Where the parser stopped and why, without the lines it quotes: a secret may stand in them.
fn place(error: &str) -> String {
    let quoted = |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    let told: Vec<&str> = error.lines().filter(|line| !quoted(line)).map(str::trim).filter(|l| !l.is_empty()).collect();
    told.join(": ")
}

fn parsed(text: &str) -> Result<Config, String> {
    let file = File::from_str(text, FileFormat::Toml);
    Config::builder().add_source(file).build().map_err(|error| error.to_string())
}

/// The line, from 1, of a number that has too many digits, of which the parser tells no place. Alone it fails in the same way.
fn too_large(text: &str, error: &str) -> Option<usize> {
    if error.contains("at line ") || !error.contains("to fit in target type") {
        return None;
    }
    let fails = |line: &str| parsed(line).is_err_and(|alone| alone == error);
    let element = |line: &str| format!("x = [{}\n]", line.trim().trim_end_matches(']'));
    let place = text.lines().position(fails).or_else(|| text.lines().position(|line| fails(&element(line))));
    place.map(|place| place + 1)
}

fn without_line(text: &str, line: usize) -> String {
    let kept = (1..).zip(text.lines()).map(|(number, kept)| if number == line { "" } else { kept });
    kept.collect::<Vec<_>>().join("\n")
}

/// The key that a line sets, known or not.
fn key_of(text: &str, line: usize) -> Option<String> {
    let section = text.lines().take(line).filter_map(|line| line.trim().strip_prefix('[')?.split(']').next()).last();
    let name = text.lines().nth(line.checked_sub(1)?)?.split_once('=')?.0.trim().trim_matches(['"', '\'']);
    Some(section.map_or_else(|| name.to_owned(), |section| format!("{}.{name}", section.trim())))
}

/// The key that the line is of which the parser names, and what hides in it.
fn in_line(text: &str, error: &str) -> String {
    let number = error.split("at line ").nth(1).and_then(|rest| rest.split(',').next()?.trim().parse::<usize>().ok());
    let Some((line, number)) = number.and_then(|number| Some((text.lines().nth(number.checked_sub(1)?)?, number)))
    else {
        return String::new();
    };
    let hidden = characters::fault(line).map(|what| format!("; the line {what}"));
    let key = key_of(text, number).filter(|key| is_known(key)).map(|key| format!("; the line sets {key}"));
    [key, hidden].into_iter().flatten().collect()
}

/// The text of the settings file.
fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if let Some(what) = encoding::foreign(bytes.get(..encoding::ENOUGH).unwrap_or(&bytes)) {
        return Err(what);
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = line.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{} (line {line})", encoding::not_utf8(error.as_bytes(), error.utf8_error()))
    })
}

fn default(key: &str) -> &'static str {
    KEYS.iter().find(|(known, _)| *known == key).and_then(|(_, default)| *default).unwrap_or_default()
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn kind(value: &ValueKind) -> &'static str {
    match value {
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Float(_) | ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "a number"
        }
        ValueKind::Array(_) => "a list",
        ValueKind::Table(_) => "a table",
        ValueKind::String(_) => "text",
        ValueKind::Nil => "empty",
    }
}

/// The value itself where it can hold no secret: only numbers and durations are shown.
fn shown(value: &ValueKind) -> String {
    match value {
        ValueKind::String(text) => format!("\"{text}\""),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::Float(number) => number.to_string(),
        other => kind(other).to_owned(),
    }
}
