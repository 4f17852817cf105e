<?php
// Inserts one event and waits for its result: php insert.php QUEUE KEY
[, $queue, $key] = $argv;
$db = new PDO("sqlite:$queue", null, null, [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    PDO::ATTR_TIMEOUT => 30,                                        // seconds it waits for another writer
    PDO::SQLITE_ATTR_OPEN_FLAGS => PDO::SQLITE_OPEN_READWRITE,      // a wrong path is an error, not a new file
]);
$insert = $db->prepare('INSERT INTO jobs (subject, start_time, end_time, time_zone, attendees, dedup_key)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dedup_key) DO NOTHING');
$insert->execute(['Review', '2030-12-01T09:00:00', '2030-12-01T10:00:00', 'Europe/Berlin',
    json_encode([['name' => 'Ann', 'address' => 'ann@contoso.com']]), $key]);
echo $insert->rowCount() === 1 ? "inserted\n" : "was there already\n";

$look = $db->prepare('SELECT state, event_id, error_kind, error_message FROM jobs WHERE dedup_key = ?');
do {
    usleep(500_000);
    $look->execute([$key]);
    $row = $look->fetch(PDO::FETCH_ASSOC);
    $look->closeCursor();
} while (in_array($row['state'], ['pending', 'claimed'], true));
echo $row['state'], ' ', $row['event_id'] ?? "{$row['error_kind']}: {$row['error_message']}", "\n";
