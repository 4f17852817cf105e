// Inserts one event and waits for its result: java -cp sqlite-jdbc.jar Insert.java QUEUE KEY
import java.sql.*;

class Insert {
    public static void main(String[] args) throws Exception {
        // open_mode 2, read and write: a wrong path is an error, not a new and empty file. 30 s for another writer.
        String url = "jdbc:sqlite:" + args[0] + "?open_mode=2&busy_timeout=30000";
        try (Connection db = DriverManager.getConnection(url)) {
            try (PreparedStatement insert = db.prepareStatement(
                    "INSERT INTO jobs (subject, start_time, end_time, time_zone, attendees, dedup_key)"
                    + " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (dedup_key) DO NOTHING")) {
                insert.setString(1, "Review");
                insert.setString(2, "2030-12-01T09:00:00");
                insert.setString(3, "2030-12-01T10:00:00");
                insert.setString(4, "Europe/Berlin");
                insert.setString(5, "[{\"name\":\"Ann\",\"address\":\"ann@contoso.com\"}]");
                insert.setString(6, args[1]);
                System.out.println(insert.executeUpdate() == 1 ? "inserted" : "was there already");
            }
            while (true) {
                try (PreparedStatement look = db.prepareStatement(
                        "SELECT state, coalesce(event_id, error_kind || ': ' || error_message, '') FROM jobs"
                        + " WHERE dedup_key = ? AND state IN ('sent', 'failed', 'cancelled')")) {
                    look.setString(1, args[1]);
                    try (ResultSet row = look.executeQuery()) {
                        if (row.next()) {
                            System.out.println(row.getString(1) + " " + row.getString(2));
                            return;
                        }
                    }
                }
                Thread.sleep(1000);
            }
        }
    }
}
