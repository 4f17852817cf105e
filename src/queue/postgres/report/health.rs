//! What the queue finds of its server, for `check`.
