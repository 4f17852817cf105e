//! A producer that is another program in another language: python3 with its own SQLite. It inserts what it is told on
//! its stdin, each row by itself or some in one slow transaction, and counts the rows the database refused because of
//! their `dedup_key`. It knows nothing of the agent.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Map, Value, json};

use crate::bed::Row;

const SCRIPT: &str = "
import json, sqlite3, sys, time
queue = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
inserted = refused = 0
for line in sys.stdin:
    order = json.loads(line)
    if order['together']:
        queue.execute('BEGIN IMMEDIATE')
    for row in order['rows']:
        time.sleep(order['pause'])
        names, places = ', '.join(row), ', '.join('?' * len(row))
        try:
            queue.execute(f'INSERT INTO jobs ({names}) VALUES ({places})', list(row.values()))
            inserted += 1
        except sqlite3.IntegrityError:
            refused += 1
    if order['together']:
        queue.execute('COMMIT')
print(inserted, refused)
";

pub struct Producer {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Producer {
    pub fn start(queue: &Path) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", SCRIPT]).arg(queue).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("this test needs python3 with its sqlite3 module: install python3");
        let orders = child.stdin.take();
        Self { child, orders }
    }

    /// Orders rows, each after a pause of so many seconds; `together`: in one transaction, which stays open meanwhile.
    pub fn order(&mut self, rows: &[Row], pause: f64, together: bool) {
        let columns = |row: &Row| -> Map<String, Value> {
            row.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let rows: Vec<Map<String, Value>> = rows.iter().map(columns).collect();
        let order = json!({ "rows": rows, "pause": pause, "together": together });
        writeln!(self.orders.as_mut().expect("it takes orders"), "{order}").unwrap();
    }

    /// Waits until everything is inserted, and tells how many rows were and how many were refused.
    pub async fn end(mut self) -> (usize, usize) {
        drop(self.orders.take());
        let child = self.child;
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let (inserted, refused) = said.trim().split_once(' ').unwrap();
        (inserted.parse().unwrap(), refused.parse().unwrap())
    }
}
