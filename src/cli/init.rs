//! `init`: writes `agent.toml` from a few answers, asked for on a terminal or given as flags, then runs `check`.
//!
//! It fills in the annotated settings, so that every other key is there with its meaning. It never overwrites a file, and takes
//! no secret from the command line, where every user of the machine could read it: a secret is in a file of its own, or is asked
//! for without an echo and put there.

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::Value;

use super::{check, output};
use crate::agent::Failure;
use crate::config::{Environment, LocalSettings, Settings, TEMPLATE, whole_queue_path};
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How to sign in
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<Mode>,
    /// Directory (tenant) ID, or a domain of the tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Application (client) ID; in mode managed_identity only for a user-assigned identity
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Mailbox of jobs that name none
    #[arg(long)]
    mailbox: Option<String>,
    /// Zone of times without an offset, of jobs that name none: an IANA or Windows name
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The queue's database
    #[arg(long, value_name = "FILE")]
    queue: Option<String>,
    #[command(flatten)]
    credential: Credential,
}

#[derive(Debug, clap::Args)]
struct Credential {
    /// Mode client_secret: file that holds the secret's Value
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<String>,
    /// Mode certificate: PEM file with the certificate
    #[arg(long, value_name = "FILE")]
    certificate_file: Option<String>,
    /// Mode certificate: PEM file with the private key [default: the certificate's file]
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<String>,
    /// Mode federated: file in which the other provider keeps its token
    #[arg(long, value_name = "FILE")]
    federated_token_file: Option<String>,
    /// Mode password: the user who signs in
    #[arg(long, value_name = "USER")]
    username: Option<String>,
    /// Mode password: file that holds the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// The secret, password or certificate comes as a systemd credential, not as a file
    #[arg(long)]
    systemd_credential: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Mode {
    ManagedIdentity,
    Federated,
    Certificate,
    ClientSecret,
    Password,
}

/// A key of the settings, and where its value comes from.
struct Question {
    key: &'static str,
    flag: &'static str,
    text: &'static str,
    given: Option<String>,
    default: Option<String>,
    required: bool,
}

/// Keys with their values, in the order of the questions.
type Answers = Vec<(&'static str, String)>;

pub(super) async fn run(options: Options, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let file = std::path::absolute(target(file))?;
    refuse_to_overwrite(&file)?;
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if terminal {
        eprintln!("Writes {}. An answer in brackets is taken if you press Enter.", file.display());
    }
    let mode = mode(options.mode, terminal)?;
    let questions = questions(mode, &options, &file);
    refuse_unused(mode, &options, &questions)?;
    let mut answers = if terminal { asked(&questions, None)? } else { given(&questions)? };
    while let Err(failure) = write(&file, &answers, &options.credential, terminal) {
        if !terminal || failure.exit != Exit::Config {
            return Err(failure);
        }
        eprintln!("{}\nOnce more, please.", failure.text);
        answers = asked(&questions, Some(&answers))?;
    }
    output::line(&format!("wrote {}", file.display()))?;
    if options.credential.systemd_credential {
        output::line("next: store the credential, then check as the service does (docs/sign-in/test.md)")?;
        return Ok(Exit::Done);
    }
    check::run(check::Options::default(), Some(file)).await
}

/// Writes the secrets that are asked for, and the settings.
fn write(file: &Path, answers: &Answers, credential: &Credential, terminal: bool) -> Result<(), Failure> {
    refuse_unexpanded(file, answers)?;
    let owner = ServiceUser::of_queue(answers);
    write_secrets(answers, terminal, owner.as_ref())?;
    write_settings(file, answers, credential.systemd_credential, owner.as_ref())
}

/// The file to be written: where the settings would be looked for first.
fn target(file: Option<PathBuf>) -> PathBuf {
    let named =
        file.or_else(|| std::env::var_os("EVENT_SENDER_CONFIG").filter(|name| !name.is_empty()).map(Into::into));
    named.unwrap_or_else(|| "agent.toml".into())
}

fn refuse_to_overwrite(file: &Path) -> Result<(), Failure> {
    match file.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::failed(format!("{}: {error}", file.display()))),
        Ok(_) => {
            let shown = file.display();
            let cure = "'init' overwrites nothing; move it away, or name another file with --config";
            Err(Failure::failed(format!("{shown} is there already: {cure}")))
        }
    }
}

fn mode(given: Option<Mode>, terminal: bool) -> Result<Mode, Failure> {
    if let Some(mode) = given {
        return Ok(mode);
    }
    let default = Mode::ClientSecret;
    if !terminal {
        return Ok(default);
    }
    let words: Vec<String> = Mode::value_variants().iter().map(|mode| mode.word()).collect();
    loop {
        let said = ask(&format!("How does it sign in ({})", words.join(", ")), Some(&default.word()))?;
        match Mode::from_str(&said, true) {
            Ok(mode) => return Ok(mode),
            Err(_) => eprintln!("'{said}' is not one of them"),
        }
    }
}

impl Mode {
    /// As in `auth.mode`.
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Question {
    fn new(key: &'static str, flag: &'static str, text: &'static str, given: &Option<String>) -> Self {
        Self { key, flag, text, given: given.clone(), default: None, required: true }
    }

    fn or(self, default: String) -> Self {
        Self { default: Some(default), ..self }
    }

    fn optional(self) -> Self {
        Self { required: false, ..self }
    }
}

/// Flags that this mode does not ask for. Whoever gives one believes in it, as with such a key of the settings.
fn refuse_unused(mode: Mode, options: &Options, questions: &[Question]) -> Result<(), Failure> {
    let Options { credential, .. } = options;
    let given = [
        ("--tenant", &options.tenant),
        ("--client-secret-file", &credential.client_secret_file),
        ("--certificate-file", &credential.certificate_file),
        ("--private-key-file", &credential.private_key_file),
        ("--federated-token-file", &credential.federated_token_file),
        ("--username", &credential.username),
        ("--password-file", &credential.password_file),
    ];
    let mut unused = given.iter().filter(|(_, given)| given.is_some()).map(|(flag, _)| *flag);
    let Some(flag) = unused.find(|flag| questions.iter().all(|question| question.flag != *flag)) else {
        return Ok(());
    };
    let fits = credential.systemd_credential && credential_flags(mode, credential).contains(&flag);
    Err(Failure::new(
        Exit::Usage,
        match fits {
            true => format!("{flag}: --systemd-credential is in its place; leave one of the two out"),
            false => format!("{flag}: mode {} does not use it; leave it out, or give another --mode", mode.word()),
        },
    ))
}

fn credential_flags(mode: Mode, given: &Credential) -> Vec<&'static str> {
    credential_questions(mode, given, Path::new("agent.toml")).iter().map(|question| question.flag).collect()
}

/// What matters in this mode, and nothing else.
fn questions(mode: Mode, options: &Options, file: &Path) -> Vec<Question> {
    let mut all = vec![Question::new("auth.mode", "--mode", "", &Some(mode.word()))];
    if mode == Mode::ManagedIdentity {
        let text = "Client ID of a user-assigned identity (none: the machine's own)";
        all.push(Question::new("auth.client_id", "--client", text, &options.client).optional());
    } else {
        all.push(Question::new("auth.tenant_id", "--tenant", "Directory (tenant) ID", &options.tenant));
        all.push(Question::new("auth.client_id", "--client", "Application (client) ID", &options.client));
    }
    if mode == Mode::Password {
        all.push(Question::new("auth.username", "--username", "User who signs in", &options.credential.username));
    }
    // Another provider's token is always in a file of its own.
    if !options.credential.systemd_credential || mode == Mode::Federated {
        all.extend(credential_questions(mode, &options.credential, file));
    }
    let mailbox = Question::new("defaults.mailbox", "--mailbox", "Mailbox of jobs that name none", &options.mailbox);
    all.push(if mode == Mode::Password { mailbox.optional() } else { mailbox });
    let zone =
        Question::new("defaults.time_zone", "--time-zone", "Zone of times without an offset", &options.time_zone);
    all.push(zone.or(system_zone()));
    all.push(Question::new("queue.path", "--queue", "The queue's database", &options.queue).or(queue_for(file)));
    all
}

/// Where the secret of this mode is kept, if it has one.
fn credential_questions(mode: Mode, given: &Credential, file: &Path) -> Vec<Question> {
    let beside = |name: &str| file.with_file_name(name).display().to_string();
    match mode {
        Mode::ManagedIdentity => vec![],
        Mode::Federated => {
            let (key, flag) = ("auth.federated_token_file", "--federated-token-file");
            let text = "File in which the other provider keeps its token";
            vec![Question::new(key, flag, text, &given.federated_token_file)]
        }
        Mode::Certificate => {
            let (key, flag) = ("auth.certificate_file", "--certificate-file");
            let certificate = Question::new(key, flag, "Certificate (PEM file)", &given.certificate_file);
            let (key, flag) = ("auth.private_key_file", "--private-key-file");
            let text = "Private key (PEM file; none: it is in the certificate's file)";
            let private_key = Question::new(key, flag, text, &given.private_key_file);
            vec![certificate.or(beside("certificate.pem")), private_key.optional()]
        }
        Mode::ClientSecret => {
            let (key, flag) = ("auth.client_secret_file", "--client-secret-file");
            let text = "File for the client secret";
            vec![Question::new(key, flag, text, &given.client_secret_file).or(beside("client_secret"))]
        }
        Mode::Password => {
            let question =
                Question::new("auth.password_file", "--password-file", "File for the password", &given.password_file);
            let mut all = vec![question.or(beside("password"))];
            // Few applications that users sign in to have a secret: nobody is asked for it.
            if given.client_secret_file.is_some() {
                let (key, flag) = ("auth.client_secret_file", "--client-secret-file");
                let text = "File for the client secret (none: the application has none)";
                all.push(Question::new(key, flag, text, &given.client_secret_file).optional());
            }
            all
        }
    }
}

/// The zone of this machine, as systemd keeps it.
fn system_zone() -> String {
    let link = std::fs::read_link("/etc/localtime").unwrap_or_default();
    let zone = link.to_str().and_then(|link| link.split_once("zoneinfo/")).map(|(_, zone)| zone.to_owned());
    zone.filter(|zone| !zone.starts_with("Etc/")).unwrap_or_else(|| "UTC".to_owned())
}

/// The service's queue for the service's settings, also of one instance of several; else one beside the settings.
fn queue_for(file: &Path) -> String {
    let service = file.parent().and_then(|directory| directory.strip_prefix("/etc").ok()).and_then(Path::to_str);
    match service.filter(|name| name.starts_with("event-sender")) {
        Some(name) => format!("/var/lib/{name}/queue.db"),
        None => file.with_file_name("queue.db").display().to_string(),
    }
}

/// The answers of a person. An answer that has to be given is asked for until it is there. Where earlier answers were wrong, all
/// are asked for again, with those in brackets, whether they came from flags or not.
fn asked(questions: &[Question], earlier: Option<&Answers>) -> Result<Answers, Failure> {
    let mut answers = Answers::new();
    for question in questions {
        let given = question.given.clone().filter(|_| earlier.is_none() || question.text.is_empty());
        let default = earlier.and_then(|earlier| answer(earlier, question.key)).or(question.default.as_deref());
        let said = match given {
            Some(given) => given,
            None => loop {
                let said = ask(question.text, default)?;
                if !said.is_empty() || !question.required {
                    break said;
                }
            },
        };
        answers.push((question.key, said));
    }
    Ok(filled(answers))
}

/// The answers in the flags, and defaults for the rest.
fn given(questions: &[Question]) -> Result<Answers, Failure> {
    let is_file = |question: &Question| question.key.ends_with("_file");
    let missing = |question: &&Question| {
        question.required && question.given.is_none() && (question.default.is_none() || is_file(question))
    };
    let flags: Vec<&str> = questions.iter().filter(missing).map(|question| question.flag).collect();
    if !flags.is_empty() {
        let text = format!("there is no terminal to ask on: give {}", flags.join(", "));
        return Err(Failure::new(Exit::Usage, text));
    }
    let said = |question: &Question| question.given.clone().or_else(|| question.default.clone()).unwrap_or_default();
    Ok(filled(questions.iter().map(|question| (question.key, said(question))).collect()))
}

/// Without the empty ones; files by their full path, wherever a command is typed later. What names no file stays as it was
/// typed, to be refused as that.
fn filled(answers: Answers) -> Answers {
    let whole = |(key, value): (&'static str, String)| {
        let path = match key {
            "queue.path" => whole_queue_path(&value),
            key if key.ends_with("_file") && !value.starts_with(UNEXPANDED) => std::path::absolute(&value).ok(),
            _ => None,
        };
        (key, path.map_or(value, |path| path.display().to_string()))
    };
    answers.into_iter().filter(|(_, value)| !value.is_empty()).map(whole).collect()
}

/// What a shell expands, unless it is quoted.
const UNEXPANDED: [char; 2] = ['~', '$'];

/// Before any file is written. Of the queue's path the settings' own rule says more.
fn refuse_unexpanded(file: &Path, answers: &Answers) -> Result<(), Failure> {
    let fault = |(key, value): &(&str, String)| {
        let first = value.chars().next().filter(|first| key.ends_with("_file") && UNEXPANDED.contains(first))?;
        Some(format!("\n  {key}: begins with {first}, which is not expanded here; write the whole path"))
    };
    let faults: String = answers.iter().filter_map(fault).collect();
    match faults.as_str() {
        "" => Ok(()),
        faults => Err(Failure::new(Exit::Config, format!("nothing was written to {}:{faults}", file.display()))),
    }
}

/// Asks on the terminal, and gives the default for an empty answer.
fn ask(question: &str, default: Option<&str>) -> Result<String, Failure> {
    let shown = default.map_or_else(String::new, |default| format!(" [{default}]"));
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question}{shown}: ")?;
    terminal.flush()?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(Failure::failed("no answer, so nothing was written"));
    }
    let said = line.trim();
    Ok(if said.is_empty() { default.unwrap_or_default() } else { said }.to_owned())
}

/// Whom the service runs as: the owner of the queue's directory, where root asks and another user has it.
struct ServiceUser {
    user: u32,
    group: u32,
}

impl ServiceUser {
    fn of_queue(answers: &Answers) -> Option<Self> {
        let queue = Path::new(answer(answers, "queue.path")?);
        let directory = queue.parent()?.metadata().ok()?;
        let other = nix::unistd::geteuid().is_root() && directory.uid() != 0;
        other.then(|| Self { user: directory.uid(), group: directory.gid() })
    }
}

fn answer<'a>(answers: &'a Answers, key: &str) -> Option<&'a str> {
    answers.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
}

/// Asks for the secrets whose files are not there yet, and writes those files.
fn write_secrets(answers: &Answers, terminal: bool, owner: Option<&ServiceUser>) -> Result<(), Failure> {
    for (key, flag, name) in [
        ("auth.client_secret_file", "--client-secret-file", "Client secret (its Value)"),
        ("auth.password_file", "--password-file", "Password"),
    ] {
        let Some(file) = answer(answers, key).map(Path::new).filter(|file| !file.exists()) else { continue };
        let shown = file.display();
        if !terminal {
            let cure = "put the secret into it first, readable for its owner only (umask 077)";
            return Err(Failure::new(Exit::Usage, format!("{flag}: there is no file {shown}; {cure}")));
        }
        let secret = rpassword::prompt_password(format!("{name}, not shown: "))?;
        if secret.is_empty() {
            return Err(Failure::failed("no secret, so nothing was written"));
        }
        let mut options = std::fs::OpenOptions::new();
        let failed = |error: std::io::Error| Failure::failed(format!("cannot write {shown}: {error}"));
        let mut written = options.write(true).create_new(true).mode(0o400).open(file).map_err(failed)?;
        written.write_all(secret.as_bytes()).map_err(failed)?;
        if let Some(owner) = owner {
            // The group is that of the producers, who have no business reading it.
            chown(file, Some(owner.user), Some(0)).map_err(failed)?;
        }
        output::line(&format!("wrote {shown}"))?;
    }
    Ok(())
}

/// Writes the settings beside their place, judges them, and puts them there if nothing is there yet.
fn write_settings(
    file: &Path,
    answers: &Answers,
    secret_comes_later: bool,
    owner: Option<&ServiceUser>,
) -> Result<(), Failure> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let failed = |error: std::io::Error| Failure::failed(format!("cannot write {}: {error}", file.display()));
    // Mode 0600 from the beginning.
    let mut new = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    new.write_all(settings(answers).as_bytes()).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    let (named, environment) = (Some(new.path().to_owned()), Environment::of_process());
    let judged = if secret_comes_later {
        LocalSettings::load(named, &environment).map(|_| ())
    } else {
        Settings::load(named, &environment).map(|_| ())
    };
    judged.map_err(|error| {
        let lines = error.problems.iter().map(|problem| format!("\n  {}: {}", problem.key, problem.what));
        Failure::new(Exit::Config, format!("nothing was written to {}:{}", file.display(), lines.collect::<String>()))
    })?;
    if let Some(owner) = owner {
        // As the package has it: the service and the producers read it to find the queue, and no secret is in it.
        chown(new.path(), Some(0), Some(owner.group)).map_err(failed)?;
        let for_group = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        new.as_file().set_permissions(for_group).map_err(failed)?;
    }
    new.persist_noclobber(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The annotated settings with the answers in their places.
fn settings(answers: &Answers) -> String {
    let (mut text, mut section) = (String::new(), "");
    for line in TEMPLATE.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let name = line.strip_prefix('#').and_then(|line| line.split_once(" = ")).map(|(name, _)| name);
        match name.and_then(|name| answer(answers, &format!("{section}.{name}")).map(|value| (name, value))) {
            // What is text in JSON is text in TOML.
            Some((name, value)) => text.push_str(&format!("{name} = {}\n", Value::from(value))),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Answers, settings};
    use crate::config::{KEYS, TEMPLATE};

    #[test]
    fn each_answer_stands_once_at_its_key_and_everything_else_stays() {
        let keys = KEYS.iter().map(|(key, _)| *key);
        let answers: Answers = keys.clone().map(|key| (key, format!("of \"{key}\""))).collect();
        let text = settings(&answers);
        for key in keys {
            let (_, name) = key.split_once('.').unwrap();
            let line = format!("\n{name} = \"of \\\"{key}\\\"\"\n");
            assert_eq!(text.matches(&line).count(), 1, "{key} in {text}");
        }
        assert_eq!(settings(&Answers::new()), TEMPLATE);
    }
}
