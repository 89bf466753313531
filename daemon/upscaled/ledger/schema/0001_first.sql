-- The first ledger. Times are seconds since the epoch (REAL), sizes bytes or pixels, money dollars.
-- Paths are file-system bytes: not every one of them is UTF-8.

CREATE TABLE jobs (
    id             TEXT PRIMARY KEY,
    folder         TEXT NOT NULL,               -- the inbox, absolute
    source         TEXT NOT NULL,               -- relative to the inbox
    profile        TEXT NOT NULL,
    model          TEXT NOT NULL,
    inputs         TEXT NOT NULL,               -- JSON object, keys sorted: what the service is asked for but `image`
    priority       INTEGER NOT NULL,
    admitted_at    REAL NOT NULL,

    stage          TEXT NOT NULL CHECK (stage IN
                   ('admitted', 'uploaded', 'submitted', 'rendered', 'downloaded', 'published', 'archived')),
    standing       TEXT NOT NULL CHECK (standing IN
                   ('ready', 'running', 'waiting', 'held', 'failed', 'cancelled', 'done')),
    not_before     REAL,                        -- while waiting: until when
    cause          TEXT CHECK (cause IN ('job', 'network', 'service', 'rate', 'key', 'credit', 'folder',
                                           'budget', 'floor', 'hours', 'twin', 'pause', 'mass')),
    reason         TEXT NOT NULL DEFAULT '',    -- why it stands as it stands, for a person
    failure        TEXT,                        -- JSON {what, do, cost}: it cannot succeed, its original is set aside
    tries          INTEGER NOT NULL DEFAULT 0,  -- troubles in a row since the last fact
    redos          INTEGER NOT NULL DEFAULT 0,  -- facts that turned out not to hold
    finished_at    REAL,

    device         INTEGER NOT NULL,            -- the source's identity when it was admitted
    inode          INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    mtime_ns       INTEGER NOT NULL,
    ctime_ns       INTEGER NOT NULL,
    format         TEXT,
    width          INTEGER,
    height         INTEGER,
    orientation    INTEGER CHECK (orientation BETWEEN 1 AND 8),

    fingerprint    TEXT,                        -- SHA-256 of the source, hexadecimal
    upload_url     TEXT,                        -- where the service reads the source from; unique to one upload
    uploaded_at    REAL,
    prediction_id  TEXT,
    submitted_at   REAL,
    output_url     TEXT,                        -- NULL once rendered: the output came as base64 and is asked for again
    inference_ms   INTEGER,
    nsfw           INTEGER NOT NULL DEFAULT 0 CHECK (nsfw IN (0, 1)),
    part           TEXT,                        -- the downloaded result, beside its destination
    result_hash    TEXT,                        -- SHA-256 of the result, hexadecimal
    result_size    INTEGER,
    result_width   INTEGER,                     -- known once the result is verified
    result_height  INTEGER,
    output         TEXT,                        -- the published result, absolute
    archived       TEXT,                        -- where the original lies now, absolute
    reuse          TEXT,                        -- the job whose result is delivered again, free; 'source': itself
    forced         INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),  -- upscale it again, whatever there is
    stays          INTEGER NOT NULL DEFAULT 0 CHECK (stays IN (0, 1)),   -- over, and its file stays in the inbox
    wish           TEXT CHECK (wish IN ('cancel', 'abandon')),  -- what a person asked for while a worker had it

    CHECK ((standing IN ('failed', 'cancelled', 'done')) = (finished_at IS NOT NULL)),
    CHECK ((standing = 'waiting') = (not_before IS NOT NULL)),
    CHECK (standing <> 'done' OR stage = 'archived'),
    CHECK (standing <> 'failed' OR failure IS NOT NULL),
    CHECK (stage <> 'uploaded' OR upload_url IS NOT NULL),
    CHECK (stage NOT IN ('submitted', 'rendered') OR prediction_id IS NOT NULL),
    CHECK (stage <> 'downloaded' OR (part IS NOT NULL AND result_hash IS NOT NULL)),
    CHECK (stage NOT IN ('published', 'archived') OR output IS NOT NULL)
) STRICT;

-- A second admission of a source that is still being worked on is a no-op, not a second bill.
CREATE UNIQUE INDEX one_unfinished_job_per_source ON jobs (folder, source) WHERE finished_at IS NULL;
CREATE INDEX jobs_to_begin ON jobs (folder, stage, priority DESC, admitted_at, id)
    WHERE standing = 'ready' AND stage IN ('admitted', 'uploaded') AND failure IS NULL;
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX jobs_that_stay ON jobs (folder) WHERE stays = 1;
CREATE INDEX jobs_unfinished ON jobs (standing, stage) WHERE finished_at IS NULL AND stage <> 'admitted';
CREATE INDEX jobs_waiting ON jobs (not_before) WHERE standing = 'waiting';
CREATE INDEX jobs_by_age ON jobs (admitted_at, id);
CREATE INDEX jobs_by_prediction ON jobs (prediction_id) WHERE prediction_id IS NOT NULL;

-- One row for each paid POST (invariant I3): the row is durable before the request leaves.
CREATE TABLE attempts (
    id             INTEGER PRIMARY KEY,
    job_id         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    state          TEXT NOT NULL CHECK (state IN 
                   ('intended', 'accepted', 'rejected', 'completed', 'failed', 'abandoned')),
    upload_url     TEXT NOT NULL,
    price          REAL CHECK (price >= 0),     -- dollars; NULL where the service names none
    intended_at    REAL NOT NULL,
    skew           REAL NOT NULL DEFAULT 0,     -- the service's clock minus ours, as known when it was intended
    prediction_id  TEXT UNIQUE,
    looked_at      REAL,                        -- when the history was first asked about it: it was sent before that
    answered_at    REAL,                        -- when its fate was known: the service counted it by then at the latest
    settled_at     REAL,                        -- when it became rejected, completed, failed or abandoned
    CHECK ((state IN ('rejected', 'completed', 'failed', 'abandoned')) = (settled_at IS NOT NULL)),
    CHECK (state NOT IN ('accepted', 'completed') OR prediction_id IS NOT NULL)
) STRICT;

CREATE INDEX attempts_by_job ON attempts (job_id, id);
CREATE INDEX attempts_by_time ON attempts (intended_at);
-- While one paid POST of a job is open, there cannot be another.
CREATE UNIQUE INDEX one_open_attempt_per_job ON attempts (job_id) WHERE settled_at IS NULL;

-- What happened, in order; written with the fact it tells of, in one transaction.
CREATE TABLE events (
    id             INTEGER PRIMARY KEY,
    job_id         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at             REAL NOT NULL,
    kind           TEXT NOT NULL,
    text           TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_job ON events (job_id, id);

-- What the last sweep of each folder saw, for `status`.
CREATE TABLE folders (
    inbox          TEXT PRIMARY KEY,
    state          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    seen           TEXT NOT NULL,               -- JSON: counts of waiting and left-alone files by reason
    swept_at       REAL
) STRICT;

-- What the whole service stands at, for `status`: at most one row a key.
CREATE TABLE notices (
    key            TEXT PRIMARY KEY,
    text           TEXT NOT NULL,
    since          REAL NOT NULL
) STRICT;

-- Folders that a person paused; '' stands for all of them.
CREATE TABLE paused (
    folder         TEXT PRIMARY KEY,
    since          REAL NOT NULL
) STRICT;

-- How many commands were given: a running daemon looks at it to notice them.
CREATE TABLE commands (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    count          INTEGER NOT NULL
) STRICT;

INSERT INTO commands (id, count) VALUES (1, 0);

-- Directories that were used, and by what each is known again: an unmounted share leaves an innocent-looking one behind.
CREATE TABLE places (
    directory      TEXT PRIMARY KEY,            -- absolute
    marker         TEXT NOT NULL,               -- the id in its marker; '' where nothing may be written
    lies           TEXT NOT NULL,               -- JSON list: device, inode, and the mount's point, kind, source and root
    since          REAL NOT NULL
) STRICT;

-- By this id a lease in an inbox's marker names its owner.
CREATE TABLE this_ledger (id TEXT NOT NULL) STRICT;
INSERT INTO this_ledger (id) VALUES (lower(hex(randomblob(8))));
