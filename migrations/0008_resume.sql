-- An operator may end a pause before it ends by itself: a mailbox was full, locked or without licence, and is put right.

-- Until when Microsoft itself asked to leave the mailbox alone (Retry-After), beside whatever error that stood. No command
-- goes against it. NULL where the pause is the agent's own patience.
ALTER TABLE mailboxes ADD COLUMN asked_until TEXT;
-- When somebody ended the pause: a running agent keeps its pauses in memory and finds the news here. The next pause takes it
-- away.
ALTER TABLE mailboxes ADD COLUMN resumed_at TEXT;
CREATE INDEX mailboxes_resumed ON mailboxes (resumed_at) WHERE resumed_at IS NOT NULL;
