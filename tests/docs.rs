//! The pages: every link leads somewhere, every page can be reached, the files they show are those that are tested, and what
//! the program names is there.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

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

/// The targets of a line's links and pictures. Code within a line is no link.
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
    let named_in = ["agent.toml", "docs/operate/monitoring/alerts.yml", "docs/deploy/kubernetes.yaml"];
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

#[test]
fn the_kubernetes_example_runs_one_agent_that_is_probed() {
    let documents = yaml("docs/deploy/kubernetes.yaml");
    let deployment = documents.iter().find(|one| one["kind"].as_str() == Some("Deployment")).unwrap();
    let spec = &deployment["spec"];
    assert_eq!((spec["replicas"].as_i64(), spec["strategy"]["type"].as_str()), (Some(1), Some("Recreate")));
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
    for (probe, path) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"].as_str(), Some(path), "{probe}");
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"], "{probe}");
    }
    assert_variables_are_keys(container["env"].as_vec().unwrap().iter().map(|one| one["name"].as_str().unwrap()));
    let names = |list: &Yaml| -> BTreeSet<String> {
        list.as_vec().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    let claim = documents.iter().find(|one| one["kind"].as_str() == Some("PersistentVolumeClaim")).unwrap();
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
}
