//! The pages: every link leads somewhere, every page can be reached, the files they show are those that are tested, and what
//! the program names is there.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use event_sender::config::{Environment, QueuePlace, Settings};
use yaml_rust2::{Yaml, YamlLoader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let name = folder.join(entry.unwrap().file_name());
        if root().join(&name).is_dir() {
            files(&name, extension, found);
        } else if name.extension().is_some_and(|end| end == extension) {
            found.push(name);
        }
    }
}

/// Every page, with its text, by its path in the repository.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut names: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].into_iter().map(PathBuf::from).collect();
    files(Path::new("docs"), "md", &mut names);
    names.into_iter().map(|name| (name.clone(), text(&name))).collect()
}

/// A page's prose: without blocks of code, in which nothing is a link or a heading.
fn prose(page: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with("    ") {
            lines.push(line);
        }
    }
    lines
}

/// The targets of a line's links and pictures. Code within a line is not a link.
fn links(line: &str) -> Vec<&str> {
    let plain: Vec<&str> = line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let html = ["href=\"", "src=\"", "srcset=\""].into_iter();
    let html = html.flat_map(|start| line.split(start).skip(1).filter_map(|rest| rest.split('"').next()));
    plain
        .into_iter()
        .chain(html)
        .filter(|target| !target.starts_with("http") && !target.starts_with("mailto:"))
        .collect()
}

/// What a forge makes of a heading so that it can be linked to.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// A link's file, as a path in the repository.
fn resolved(page: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in page.parent().unwrap().join(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{}: {target} leads out of the repository", page.display()),
            part => path.push(part),
        }
    }
    path
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let pages = pages();
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for (page, content) in &pages {
        for target in prose(content).into_iter().flat_map(links) {
            looked_at += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { resolved(page, file) };
            let heading = anchor.is_empty() || pages.get(&path).is_some_and(|page| anchors(page).contains(anchor));
            if !root().join(&path).exists() || !heading {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(looked_at > 150, "{looked_at}");
    assert!(wrong.is_empty(), "these lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn every_page_below_docs_is_reached_from_the_index() {
    let pages = pages();
    let mut reached = BTreeSet::from([PathBuf::from("docs/README.md")]);
    let mut open: Vec<PathBuf> = reached.iter().cloned().collect();
    while let Some(page) = open.pop() {
        for target in prose(&pages[&page]).into_iter().flat_map(links) {
            let path = resolved(&page, target.split('#').next().unwrap());
            if pages.contains_key(&path) && reached.insert(path.clone()) {
                open.push(path);
            }
        }
    }
    let below_docs = pages.keys().filter(|page| page.starts_with("docs"));
    let lost: Vec<&PathBuf> = below_docs.filter(|page| !reached.contains(*page)).collect();
    assert!(lost.is_empty(), "no way leads from docs/README.md to {lost:?}");
}

#[test]
fn the_first_page_is_short() {
    assert!(text(Path::new("README.md")).lines().count() <= 150);
}

/// A page that shows them may be anywhere, on a light or a dark screen, before someone who wants nothing to move.
#[test]
fn pictures_load_nothing_from_elsewhere_and_follow_the_reader() {
    let mut pictures = Vec::new();
    files(Path::new("docs"), "svg", &mut pictures);
    assert!(pictures.len() >= 3, "{pictures:?}");
    for picture in pictures {
        let (name, svg) = (picture.display(), text(&picture));
        for sign in ["href=", "url(http", "<script", "@import", "<image", "src="] {
            assert!(!svg.contains(sign), "{name} has {sign}");
        }
        assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("<title"), "{name}");
        assert!(!svg.contains("animation") || svg.contains("prefers-reduced-motion: no-preference"), "{name}");
        assert!(svg.len() < 100_000, "{name}: {}", svg.len());
    }
}

/// A file a page shows: a comment names it, and the block under it is the file.
#[test]
fn shown_files_are_the_files_that_are_tested() {
    let mut shown = BTreeSet::new();
    for (page, content) in pages() {
        for rest in content.split("<!-- shows ").skip(1) {
            let (name, rest) = rest.split_once(" -->").unwrap();
            let block = rest.split_once("```").and_then(|(_, rest)| rest.split_once('\n')).unwrap().1;
            let path = resolved(&page, name);
            let file = text(&path);
            let is_it = block.strip_prefix(file.as_str()).is_some_and(|rest| rest.starts_with("```"));
            assert!(is_it, "{}: {name} is not up to date: run .ci/regenerate", page.display());
            shown.insert(path);
        }
    }
    let samples = std::fs::read_dir(root().join("docs/samples")).unwrap();
    let samples: BTreeSet<PathBuf> =
        samples.map(|entry| Path::new("docs/samples").join(entry.unwrap().file_name())).collect();
    assert_eq!(shown.iter().filter(|path| path.starts_with("docs/samples")).cloned().collect::<BTreeSet<_>>(), samples);
}

#[test]
fn pages_that_the_program_names_are_there() {
    let named_in = [
        "agent.toml",
        "docs/operate/monitoring/alerts.yml",
        "docs/deploy/kubernetes.yaml",
        "docs/deploy/kubernetes-shared.yaml",
        "docs/deploy/shared-queue.toml",
    ];
    let mut sources: Vec<PathBuf> = named_in.into_iter().map(PathBuf::from).collect();
    files(Path::new("src"), "rs", &mut sources);
    let mut named = 0;
    for source in sources {
        for rest in text(&source).split("docs/").skip(1) {
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'))).unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches('.');
            if name.ends_with(".md") {
                named += 1;
                assert!(root().join("docs").join(name).is_file(), "{} names docs/{name}", source.display());
            }
        }
    }
    assert!(named > 10, "{named}");
}

/// Files and folders by the end of their path, as the page names them.
#[test]
fn the_page_about_architecture_names_files_that_are_there() {
    let mut sources = Vec::new();
    ["src", "tests"].iter().for_each(|folder| files(Path::new(folder), "rs", &mut sources));
    let page = text(Path::new("docs/develop/architecture.md"));
    let words = page.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || "_/.".contains(c));
    let named: Vec<&str> = words.filter(|word| word.ends_with(".rs") || word.ends_with('/')).filter(is_path).collect();
    assert!(named.len() > 50, "{named:?}");
    for name in named {
        let is_there = match name.strip_suffix('/') {
            Some(folder) => sources.iter().any(|source| source.parent().unwrap().ends_with(folder)),
            None => sources.iter().any(|source| source.ends_with(name)),
        };
        assert!(is_there || root().join(name).exists(), "docs/develop/architecture.md names {name}");
    }
}

fn yaml(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(Path::new(path))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The settings of an example are settings there are.
fn assert_variables_are_keys<'a>(names: impl Iterator<Item = &'a str>) {
    let mut seen = 0;
    for name in names {
        let key =
            name.strip_prefix("EVENT_SENDER__").unwrap_or_else(|| panic!("{name}")).replace("__", ".").to_lowercase();
        assert!(event_sender::config::KEYS.iter().any(|(known, _)| *known == key), "{name}");
        seen += 1;
    }
    assert!(seen > 4);
}

#[test]
fn the_compose_file_runs_one_agent_that_can_write_to_its_queue_only() {
    let compose = &yaml("docs/deploy/compose.yaml")[0];
    let service = &compose["services"]["event-sender"];
    assert_eq!(service["command"][0].as_str(), Some("run"));
    assert_eq!(service["read_only"].as_bool(), Some(true));
    let environment = service["environment"].as_hash().unwrap();
    assert_variables_are_keys(environment.keys().map(|name| name.as_str().unwrap()));
    assert!(compose["volumes"].as_hash().unwrap().keys().any(|name| name.as_str() == Some("queue")));
}

fn names(list: &Yaml) -> BTreeSet<String> {
    list.as_vec().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// Of both examples: probes, rights, settings, and volumes that are there.
fn assert_is_probed_and_confined(pod: &Yaml) {
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
    for (probe, path) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"].as_str(), Some(path), "{probe}");
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"], "{probe}");
    }
    assert_variables_are_keys(container["env"].as_vec().unwrap().iter().map(|one| one["name"].as_str().unwrap()));
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    assert!(pod["terminationGracePeriodSeconds"].as_i64() > Some(25), "longer than delivery.shutdown_grace");
}

#[test]
fn the_kubernetes_example_runs_one_agent_that_is_probed() {
    let documents = yaml("docs/deploy/kubernetes.yaml");
    let deployment = documents.iter().find(|one| one["kind"].as_str() == Some("Deployment")).unwrap();
    let spec = &deployment["spec"];
    assert_eq!((spec["replicas"].as_i64(), spec["strategy"]["type"].as_str()), (Some(1), Some("Recreate")));
    let pod = &spec["template"]["spec"];
    assert_is_probed_and_confined(pod);
    let claim = documents.iter().find(|one| one["kind"].as_str() == Some("PersistentVolumeClaim")).unwrap();
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
}

#[test]
fn the_kubernetes_example_of_a_shared_queue_runs_two_agents_that_keep_their_names_and_no_volume() {
    let documents = yaml("docs/deploy/kubernetes-shared.yaml");
    let of = |kind: &str| documents.iter().find(|one| one["kind"].as_str() == Some(kind)).unwrap();
    let spec = &of("StatefulSet")["spec"];
    assert_eq!(spec["replicas"].as_i64(), Some(2));
    assert_eq!(spec["serviceName"], of("Service")["metadata"]["name"]);
    assert!(spec["volumeClaimTemplates"].is_badvalue());
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], *labels);
    assert_eq!(of("Service")["spec"]["selector"], *labels);
    let pod = &spec["template"]["spec"];
    assert_is_probed_and_confined(pod);
    let apart = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(apart["labelSelector"]["matchLabels"], *labels);
    let environment = pod["containers"][0]["env"].as_vec().unwrap();
    let variable = |name: &str| environment.iter().find(|one| one["name"].as_str() == Some(name)).unwrap();
    let name = &variable("EVENT_SENDER__AGENT__NAME")["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(name.as_str(), Some("metadata.name"));
    let url = variable("EVENT_SENDER__QUEUE__URL")["value"].as_str().unwrap();
    assert!(event_sender::config::Database::of(url, None).is_ok(), "{url}");
}

/// The unit gives it the password, which stands in no file that others read.
#[test]
fn the_settings_of_a_shared_queue_are_settings_and_their_secrets_are_the_units() {
    let path = Path::new("docs/deploy/shared-queue.toml");
    let (unit, credentials) = (text(Path::new("systemd/event-sender.service")), tempfile::TempDir::new().unwrap());
    for file in text(path).split("/etc/credstore/").skip(1).map(|rest| rest.split_whitespace().next().unwrap()) {
        let name = file.strip_prefix("event-sender.").unwrap();
        assert!(unit.contains(&format!("\nLoadCredential={name}:{file}\n")), "the unit loads no {file}");
        std::fs::write(credentials.path().join(name), "s3cret").unwrap();
    }
    let environment = Environment::of([("CREDENTIALS_DIRECTORY".into(), credentials.path().into())]);
    let settings = Settings::load(Some(root().join(path)), &environment).unwrap_or_else(|error| panic!("{error}"));
    let QueuePlace::Database(shared) = &settings.queue.place else { panic!("{:?}", settings.queue.place) };
    assert_eq!((shared.agent.as_str(), shared.password_file.is_some()), ("sender-a", true));
}

/// What the program prints on stdout and stderr, in a directory with a queue of its own.
fn printed(directory: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_event-sender"));
    command.env_clear().current_dir(directory).env("EVENT_SENDER__QUEUE__PATH", directory.join("queue.db"));
    let output = command.env("EVENT_SENDER__DEFAULTS__MAILBOX", "events@contoso.com").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn what_enqueue_says_of_bad_lines_is_what_the_page_shows() {
    let home = tempfile::TempDir::new().unwrap();
    let good = r#"{"start_time":"2030-12-01T09:00","end_time":"2030-12-01T10:00"}"#;
    std::fs::write(home.path().join("a.ndjson"), format!("{good}\n{good}\n")).unwrap();
    let header = "subject,start_time,end_time,dedup_key";
    let line = |start: &str, key: &str| format!("Review,{start},2030-12-01 10:00,{key}");
    let (fine, invisible) = (line("2030-12-01 09:00", ""), line("\u{200e}2030-12-01", ""));
    std::fs::write(home.path().join("b.csv"), [header, &fine, "Review,2030-12-01 09:00", &fine, &invisible].join("\n"))
        .unwrap();
    std::fs::write(home.path().join("c.csv"), [header, &line("2030-12-01 09:00", "invoice-4711")].join("\n")).unwrap();
    let taken = ["--start", "2030-12-01 09:00", "--end", "2030-12-01 10:00", "--dedup-key", "invoice-4711"];
    printed(home.path(), &[&["enqueue"][..], &taken].concat());
    let (out, errors) = printed(home.path(), &["enqueue", "a.ndjson", "b.csv", "c.csv"]);
    let said = format!("{out}{errors}");
    let page = text(Path::new("docs/insert.md"));
    let example = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    for shown in example.lines() {
        let is_said = match shown.strip_suffix('…') {
            Some(begin) => said.lines().any(|line| line.starts_with(begin)),
            None => said.lines().any(|line| line == shown),
        };
        assert!(is_said, "docs/insert.md shows {shown:?}, and enqueue says:\n{said}");
    }
}

/// All names of fields in what a command prints as JSON, those within lists and objects among them.
fn fields(json: &serde_json::Value, found: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::Array(list) => list.iter().for_each(|one| fields(one, found)),
        serde_json::Value::Object(object) => object.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            fields(value, found);
        }),
        _ => {}
    }
}

#[test]
fn every_field_and_column_is_on_its_page() {
    let home = tempfile::TempDir::new().unwrap();
    let (inserted, _) = printed(home.path(), &["enqueue", "--start", "2030-12-01 09:00", "--end", "2030-12-01 10:00"]);
    assert_eq!(inserted.trim(), "1", "the id of the job");
    let columns = text(Path::new("docs/insert.md"));
    // With what each field means; `tests/it/operate/json.rs` holds them against the commands.
    let schema = |name: &str| text(&Path::new("docs/schema/cli").join(format!("{name}.json")));
    let of = |arguments: &[&str]| {
        let mut found = BTreeSet::new();
        let (json, errors) = printed(home.path(), arguments);
        fields(&serde_json::from_str(&json).unwrap_or_else(|_| panic!("{arguments:?}: {json}{errors}")), &mut found);
        found
    };
    for (arguments, pages) in [
        (&["status", "--json"][..], vec![schema("status")]),
        (&["list", "--json"], vec![columns.clone()]),
        (&["show", "1", "--json"], vec![schema("show"), columns]),
        (&["hold", "ann@contoso.com", "--json"], vec![schema("hold")]),
        (&["hold", "--list", "--json"], vec![schema("hold-list")]),
        (&["retry", "1", "--json"], vec![schema("retry")]),
        (&["release", "ann@contoso.com", "--json"], vec![schema("release")]),
        (&["resume", "ann@contoso.com", "--json"], vec![schema("resume")]),
        (&["cancel", "1", "--json"], vec![schema("cancel")]),
        (&["purge", "--older-than", "30d", "--json"], vec![schema("purge")]),
        (&["check", "--offline", "--json"], vec![schema("check")]),
    ] {
        let found = of(arguments);
        assert!(!found.is_empty(), "{arguments:?}");
        for name in found {
            let is_told =
                pages.iter().any(|page| page.contains(&format!("`{name}`")) || page.contains(&format!("\"{name}\"")));
            assert!(is_told, "no page tells of `{name}`, which {arguments:?} prints");
        }
    }
}

/// The words in the first cell of each row of a page's table, or in all cells.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<Vec<Vec<&'p str>>> {
    let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let words = |cell: &'p str| cell.split('`').skip(1).step_by(2).collect();
    table.skip(2).map(|row| row.trim_matches('|').split('|').map(words).collect()).collect()
}

#[test]
fn every_kind_and_cause_of_failure_is_on_the_page_about_repair() {
    use event_sender::job::{Cause, ErrorKind};
    let page = text(Path::new("docs/operate/repair.md"));
    let kinds: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let mut explained: Vec<&str> = rows(&page, "## `error_kind`").iter().map(|row| row[0][0]).collect();
    explained.sort_by_key(|word| kinds.iter().position(|kind| kind == word));
    assert_eq!(explained, kinds);
    let causes: BTreeSet<(&str, &str)> =
        Cause::ALL.iter().map(|cause| (cause.kind().as_str(), cause.as_str())).collect();
    let listed: BTreeSet<(&str, &str)> = rows(&page, "## `cause`")
        .into_iter()
        .flat_map(|row| row[1].clone().into_iter().map(move |cause| (row[0][0], cause)))
        .collect();
    assert_eq!(listed, causes);
}

/// The message of each log line of a level that operators see: the literal at the end of its macro.
fn messages(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for call in ["error!(", "warn!(", "info!(", "success!(", "failure!("] {
        for rest in source.split(call).skip(1) {
            let (mut depth, mut end, mut last, mut begin) = (1, 0, None, None);
            let mut escaped = false;
            for (at, c) in rest.char_indices() {
                match (begin, c) {
                    (Some(_), _) if escaped => escaped = false,
                    (Some(_), '\\') => escaped = true,
                    (Some(from), '"') => (begin, last) = (None, Some((from, at))),
                    (Some(_), _) => {}
                    (None, '"') => begin = Some(at + 1),
                    (None, '(') => depth += 1,
                    (None, ')') => depth -= 1,
                    (None, _) => {}
                }
                if depth == 0 {
                    end = at;
                    break;
                }
            }
            let message = last.filter(|(_, to)| rest[to + 1..end].trim().trim_end_matches(',').is_empty());
            found.extend(message.map(|(from, to)| rest[from..to].to_owned()));
        }
    }
    found
}

#[test]
fn every_message_of_the_log_is_on_its_page_and_the_page_names_no_other() {
    let mut sources = Vec::new();
    files(Path::new("src"), "rs", &mut sources);
    let sources = sources.iter().filter(|path| !path.to_string_lossy().ends_with("_tests.rs"));
    let said: BTreeSet<String> = sources.flat_map(|path| messages(&text(path))).collect();
    assert!(said.len() > 80, "{said:?}");
    let page = text(Path::new("docs/operate/logs.md"));
    let missing: Vec<&String> = said.iter().filter(|message| !page.contains(&format!("`{message}`"))).collect();
    assert!(missing.is_empty(), "docs/operate/logs.md lacks {missing:#?}");
    let table = rows(&page, "# Reading the logs");
    let stale: Vec<&&str> = table.iter().flat_map(|row| &row[0]).filter(|word| !said.contains(**word)).collect();
    assert!(stale.is_empty(), "docs/operate/logs.md lists {stale:#?}, which nothing logs");
}

#[test]
fn messages_of_the_log_are_found_in_every_form() {
    let source =
        r#"info!("a b"); warn!(x = f("no"), hint = "no", "c (d"); error!(a, $message); failure!(warn, "e \"f\"",)"#;
    assert_eq!(messages(source), ["c (d", "a b", "e \\\"f\\\""]);
}

#[test]
fn every_command_is_on_the_page_about_commands() {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for row in rows(&text(Path::new("docs/operate/commands.md")), "# Commands") {
        named.extend(row[0].iter().map(|word| word.split(' ').next().unwrap().to_owned()));
    }
    let mut manuals = Vec::new();
    files(Path::new("docs/man"), "1", &mut manuals);
    let commands: BTreeSet<String> = manuals
        .iter()
        .filter_map(|manual| manual.file_stem()?.to_str()?.strip_prefix("event-sender-").map(str::to_owned))
        .collect();
    assert_eq!(named, commands);
}
