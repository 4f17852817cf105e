// Inserts one event and waits for its result: go run insert.go QUEUE KEY
package main

import (
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	_ "github.com/mattn/go-sqlite3"
)

func main() {
	queue, key := os.Args[1], os.Args[2]
	// mode=rw: a wrong path is an error, not a new and empty file. 30 s: so long it waits for another writer.
	db, err := sql.Open("sqlite3", "file:"+queue+"?mode=rw&_busy_timeout=30000")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	result, err := db.Exec(`INSERT INTO jobs (subject, start_time, end_time, time_zone, attendees, dedup_key)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dedup_key) DO NOTHING`,
		"Review", "2030-12-01T09:00:00", "2030-12-01T10:00:00", "Europe/Berlin",
		`[{"name":"Ann","address":"ann@contoso.com"}]`, key)
	if err != nil {
		log.Fatal(err)
	}
	if rows, _ := result.RowsAffected(); rows == 1 {
		fmt.Println("inserted")
	} else {
		fmt.Println("was there already")
	}
	for {
		var state, text string
		err := db.QueryRow(`SELECT state, coalesce(event_id, error_kind || ': ' || error_message, '')
			FROM jobs WHERE dedup_key = ?`, key).Scan(&state, &text)
		if err != nil {
			log.Fatal(err)
		}
		if state != "pending" && state != "claimed" {
			fmt.Println(state, text)
			return
		}
		time.Sleep(time.Second)
	}
}
