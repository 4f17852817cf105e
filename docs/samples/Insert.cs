// Inserts one event and waits for its result: dotnet run -- QUEUE KEY
using System;
using System.Threading;
#if MONO
using Mono.Data.Sqlite;
#else
using Microsoft.Data.Sqlite;        // dotnet add package Microsoft.Data.Sqlite
#endif

static class Insert
{
    static void Main(string[] args)
    {
#if MONO
        var settings = "FailIfMissing=True;Journal Mode=Wal";
#else
        var settings = "Mode=ReadWrite";        // a wrong path is an error, not a new and empty file
#endif
        using (var db = new SqliteConnection($"Data Source={args[0]};Default Timeout=30;{settings}"))
        {
            db.Open();
            using (var insert = db.CreateCommand())
            {
                insert.CommandText = @"INSERT INTO jobs (subject, start_time, end_time, time_zone, attendees, dedup_key)
                    VALUES ($subject, $start, $end, $zone, $attendees, $key) ON CONFLICT (dedup_key) DO NOTHING";
                insert.Parameters.AddWithValue("$subject", "Review");
                insert.Parameters.AddWithValue("$start", "2030-12-01T09:00:00");
                insert.Parameters.AddWithValue("$end", "2030-12-01T10:00:00");
                insert.Parameters.AddWithValue("$zone", "W. Europe Standard Time");
                insert.Parameters.AddWithValue("$attendees", "[{\"name\":\"Ann\",\"address\":\"ann@contoso.com\"}]");
                insert.Parameters.AddWithValue("$key", args[1]);
                Console.WriteLine(insert.ExecuteNonQuery() == 1 ? "inserted" : "was there already");
            }
            while (true)
            {
                using (var look = db.CreateCommand())
                {
                    look.CommandText = @"SELECT state, coalesce(event_id, error_kind || ': ' || error_message, '')
                        FROM jobs WHERE dedup_key = $key AND state IN ('sent', 'failed', 'cancelled')";
                    look.Parameters.AddWithValue("$key", args[1]);
                    using (var row = look.ExecuteReader())
                    {
                        if (row.Read())
                        {
                            Console.WriteLine($"{row.GetString(0)} {row.GetString(1)}");
                            return;
                        }
                    }
                }
                Thread.Sleep(1000);
            }
        }
    }
}
