#![allow(clippy::unwrap_used)]
use super::*;

fn name_of(url: &str) -> String {
    Database::of(url, None).map_or_else(|error| error.to_string(), |database| database.name().to_owned())
}

#[test]
fn a_database_is_called_by_its_hosts_and_its_database_alone() {
    assert_eq!(name_of("postgres://ann:secret@db.example/queue?sslmode=verify-full"), "postgres://db.example/queue");
    assert_eq!(name_of("postgresql://a:5432,b:5433/queue"), "postgresql://a:5432,b:5433/queue");
    assert_eq!(name_of("postgres:///queue?host=/run/postgresql"), "postgres:///queue");
}

#[test]
fn each_host_of_the_list_has_the_same_user_and_database() {
    let database = Database::of("postgres://ann@a:5432,b:5433/queue?target_session_attrs=any", Some("secret")).unwrap();
    let hosts: Vec<_> = database.hosts.iter().map(|host| (host.get_host(), host.get_port())).collect();
    assert_eq!(hosts, [("a", 5432), ("b", 5433)]);
    assert!(database.hosts.iter().all(|host| host.get_username() == "ann" && host.get_database() == Some("queue")));
    assert!(!database.writable);
}

#[test]
fn what_is_wrong_is_named_and_no_password_with_it() {
    for (url, told) in [
        ("db.example/queue", "is not a URL"),
        ("mysql://db/queue", "is not a URL"),
        ("postgres://ann:geheim@db/queue?sslmodus=verify-full", "\"sslmodus\", which is not known"),
        (
            "postgres://ann:geheim@db/queue?connect_timeout=soon",
            "has connect_timeout=soon, which is not a number of seconds",
        ),
        ("postgres://ann:geheim@db/queue?target_session_attrs=standby", "is not read-write, primary or any"),
        ("postgres://ann:geheim@db/queue?sslmode=perhaps", "perhaps"),
        ("postgres://ann:geheim@db:port/queue", "port"),
        (
            "postgres://ann:geheim@db/queue?sslrootcert=/dev/null",
            "has sslrootcert=/dev/null, which is not a regular file",
        ),
        ("postgres://ann:geheim@db/queue?sslkey=%2Fdev", "has sslkey=/dev, which is not a regular file"),
    ] {
        let said = name_of(url);
        assert!(said.contains(told) && !said.contains("geheim"), "{url}: {said}");
    }
}
