-- What people are told: each trouble once, and each message until it is delivered or given up.

CREATE TABLE alerts (
    key            TEXT PRIMARY KEY,            -- the trouble's cause; of folders, the inbox too
    title          TEXT NOT NULL,
    text           TEXT NOT NULL,
    since          REAL NOT NULL,               -- when it was first seen
    told_at        REAL,                        -- when it was told: it is not told again until it was over
    gone_at        REAL                         -- since when it was not seen any more
) STRICT;

CREATE TABLE messages (
    id             INTEGER PRIMARY KEY,
    receiver       TEXT NOT NULL,               -- a digest of the receiver's address, which may hold secrets
    made_at        REAL NOT NULL,
    body           TEXT NOT NULL,               -- JSON
    tries          INTEGER NOT NULL DEFAULT 0,
    not_before     REAL NOT NULL
) STRICT;

-- Up to when the jobs that ended were told of in a digest: one row.
CREATE TABLE digests (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    until          REAL NOT NULL
) STRICT;
