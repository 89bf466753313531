-- A ledger as upscaled wrote it while the first schema was the newest, dumped by sqlite3.
BEGIN TRANSACTION;
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
INSERT INTO "attempts" VALUES(1,'xax5vkreda','completed','http://files.example/inputs/f5f01f25e67e41df87f8cf7cbdde018c/xax5vkreda-1a204de8f28.jpeg',0.01,1.79537802431227326398e+09,0.0,'07a23a9f09e54bb3895a6a2712dfa4b1',NULL,1.79537802436459207537e+09,1.79537802468281507484e+09);
INSERT INTO "attempts" VALUES(2,'65tyx53nts','failed','http://files.example/inputs/7d1009a5774e4e5287728969ffc5603a/65tyx53nts-1a204de92e5.jpeg',0.01,1.79537802527804613112e+09,0.0,'87ba1a85cfe34d729264ed1010a35114',NULL,1.79537802528472113612e+09,1.79537802529035496706e+09);
INSERT INTO "attempts" VALUES(3,'py2m4w8z12','completed','http://files.example/inputs/ae8d6e3db84a406082d60fe3104be4ac/py2m4w8z12-1a204de95ab.jpeg',0.01,1.79537802597305583959e+09,0.0,'6bc8679983264671836a1019e4832a60',NULL,1.79537802598156332974e+09,1.79537802632915949817e+09);
INSERT INTO "attempts" VALUES(4,'1qn6gay0jj','accepted','http://files.example/inputs/bf807cf7ffa546f59475b723d35a4ead/1qn6gay0jj-1a204debd3f.jpeg',0.01,1.79537803608113694193e+09,0.0,'eff3bd81f3864db189137f35838ae1d2',NULL,1.79537803612976646422e+09,NULL);
CREATE TABLE commands (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    count          INTEGER NOT NULL
) STRICT;
INSERT INTO "commands" VALUES(1,0);
CREATE TABLE events (
    id             INTEGER PRIMARY KEY,
    job_id         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at             REAL NOT NULL,
    kind           TEXT NOT NULL,
    text           TEXT NOT NULL
) STRICT;
INSERT INTO "events" VALUES(1,'xax5vkreda',1.79537802419583582876e+09,'admitted','');
INSERT INTO "events" VALUES(2,'xax5vkreda',1.7953780242132155895e+09,'prepare','');
INSERT INTO "events" VALUES(3,'xax5vkreda',1.79537802429576587672e+09,'upload','');
INSERT INTO "events" VALUES(4,'xax5vkreda',1.79537802431227326398e+09,'intended','$0.0100');
INSERT INTO "events" VALUES(5,'xax5vkreda',1.79537802436459207537e+09,'submit','');
INSERT INTO "events" VALUES(6,'xax5vkreda',1.79537802468281507484e+09,'await','');
INSERT INTO "events" VALUES(7,'xax5vkreda',1.79537802480814838411e+09,'download','');
INSERT INTO "events" VALUES(8,'xax5vkreda',1.79537802488449358935e+09,'verify','');
INSERT INTO "events" VALUES(9,'xax5vkreda',1.79537802489770174029e+09,'publish','');
INSERT INTO "events" VALUES(10,'xax5vkreda',1.79537802491534471517e+09,'done','');
INSERT INTO "events" VALUES(11,'x7pta88fsc',1.79537802511097526556e+09,'admitted','');
INSERT INTO "events" VALUES(12,'65tyx53nts',1.79537802511097621923e+09,'admitted','');
INSERT INTO "events" VALUES(13,'65tyx53nts',1.79537802513018941883e+09,'prepare','');
INSERT INTO "events" VALUES(14,'x7pta88fsc',1.79537802513075971599e+09,'prepare','');
INSERT INTO "events" VALUES(15,'x7pta88fsc',1.79537802518072319032e+09,'upload','');
INSERT INTO "events" VALUES(16,'x7pta88fsc',1.79537802520744180678e+09,'reuse','The same picture was upscaled as job xax5vkreda: its result is delivered again, free.');
INSERT INTO "events" VALUES(17,'65tyx53nts',1795378025.2735,'upload','');
INSERT INTO "events" VALUES(18,'65tyx53nts',1.79537802527804613112e+09,'intended','$0.0100');
INSERT INTO "events" VALUES(19,'65tyx53nts',1.79537802528472113612e+09,'submit','');
INSERT INTO "events" VALUES(20,'65tyx53nts',1.79537802529035496706e+09,'refused','The service could not upscale it: nsfw content');
INSERT INTO "events" VALUES(21,'65tyx53nts',1.79537802529676938055e+09,'failed','The service could not upscale it: nsfw content');
INSERT INTO "events" VALUES(22,'x7pta88fsc',1.79537802530879235267e+09,'verify','');
INSERT INTO "events" VALUES(23,'x7pta88fsc',1.7953780253203074932e+09,'publish','');
INSERT INTO "events" VALUES(24,'x7pta88fsc',1.79537802532339215277e+09,'done','');
INSERT INTO "events" VALUES(25,'py2m4w8z12',1.79537802570510935783e+09,'admitted','');
INSERT INTO "events" VALUES(26,'py2m4w8z12',1.79537802585511350626e+09,'prepare','');
INSERT INTO "events" VALUES(27,'py2m4w8z12',1.79537802595279932021e+09,'upload','');
INSERT INTO "events" VALUES(28,'py2m4w8z12',1.79537802597305583959e+09,'intended','$0.0100');
INSERT INTO "events" VALUES(29,'py2m4w8z12',1.79537802598156332974e+09,'submit','');
INSERT INTO "events" VALUES(30,'py2m4w8z12',1.79537802632915949817e+09,'await','');
INSERT INTO "events" VALUES(31,'py2m4w8z12',1.79537802635638260844e+09,'download','');
INSERT INTO "events" VALUES(32,'py2m4w8z12',1.7953780263954920768e+09,'verify','');
INSERT INTO "events" VALUES(33,'py2m4w8z12',1.79537802639928841591e+09,'publish','');
INSERT INTO "events" VALUES(34,'py2m4w8z12',1.79537802640302801135e+09,'done','');
INSERT INTO "events" VALUES(35,'1vk4farnmb',1.79537802670456480983e+09,'admitted','');
INSERT INTO "events" VALUES(36,'jfe5064nn7',1.79537802670456576349e+09,'admitted','');
INSERT INTO "events" VALUES(37,'7n84brpk4s',1.79537802670456671716e+09,'admitted','');
INSERT INTO "events" VALUES(38,'1qn6gay0jj',1.79537803579883217808e+09,'admitted','');
INSERT INTO "events" VALUES(39,'1qn6gay0jj',1.79537803586058783531e+09,'prepare','');
INSERT INTO "events" VALUES(40,'1qn6gay0jj',1.79537803607298493378e+09,'upload','');
INSERT INTO "events" VALUES(41,'1qn6gay0jj',1.79537803608113694193e+09,'intended','$0.0100');
INSERT INTO "events" VALUES(42,'1qn6gay0jj',1.79537803612976646422e+09,'submit','');
CREATE TABLE folders (
    inbox          TEXT PRIMARY KEY,
    state          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    seen           TEXT NOT NULL,               -- JSON: counts of waiting and left-alone files by reason
    swept_at       REAL
) STRICT;
INSERT INTO "folders" VALUES('/srv/photos/inbox','online','','{"waiting": {}, "left_alone": {}, "notes": [], "watch": "events"}',1.79537803681799530979e+09);
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
INSERT INTO "jobs" VALUES('xax5vkreda','/srv/photos/inbox','done.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802419583582876e+09,'archived','done',NULL,NULL,'',NULL,0,0,1.79537802491534471517e+09,65024,2400320,876,1795378023520321036,1795378023520321036,'jpeg',64,48,NULL,'0b3d82b8d79bd23da7f97d5f6490489d5477e203dbca88016add2edbdcbca319','http://files.example/inputs/f5f01f25e67e41df87f8cf7cbdde018c/xax5vkreda-1a204de8f28.jpeg',1.79537802429571819308e+09,'07a23a9f09e54bb3895a6a2712dfa4b1',1.79537802436452937132e+09,'http://files.example/output/07a23a9f09e54bb3895a6a2712dfa4b1-u1_1b4afd2172a6a5983bb45e90f9a32a70.jpeg',100,0,'/srv/photos/outbox/.done.jpg.xax5vkreda.part','a46705d88ff3658e8aa6b08e08722da5914a1596bb4a25618ed37615712aa5cd',81763,2048,1536,'/srv/photos/outbox/done.jpg','/srv/photos/archive/done.jpg',NULL,0,0,NULL);
INSERT INTO "jobs" VALUES('x7pta88fsc','/srv/photos/inbox','twin.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802511097526556e+09,'archived','done',NULL,NULL,'',NULL,0,0,1.79537802532339215277e+09,65024,2400291,876,1795378025024643822,1795378025024643822,'jpeg',64,48,NULL,'0b3d82b8d79bd23da7f97d5f6490489d5477e203dbca88016add2edbdcbca319',NULL,NULL,NULL,NULL,NULL,NULL,0,'/srv/photos/outbox/.twin.jpg.x7pta88fsc.part','a46705d88ff3658e8aa6b08e08722da5914a1596bb4a25618ed37615712aa5cd',81763,2048,1536,'/srv/photos/outbox/twin.jpg','/srv/photos/archive/twin.jpg','xax5vkreda',0,0,NULL);
INSERT INTO "jobs" VALUES('65tyx53nts','/srv/photos/inbox','wrong.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802511097621923e+09,'submitted','failed',NULL,NULL,'The service could not upscale it: nsfw content','{"what": "The service could not upscale it: nsfw content", "do": "Drop the file into the inbox to try again; if it fails again, ask the service''s support.", "cost": "The prediction failed, and the service refunds failed predictions by itself within 3 hours. (Prediction 87ba1a85cfe34d729264ed1010a35114.)"}',0,0,1.79537802529676938055e+09,65024,2402447,876,1795378025025641494,1795378025025641494,'jpeg',64,48,NULL,'10e4f34dee56507034ac450b91d6d172b643436060a149ebd18bdaf52b0a1b86','http://files.example/inputs/7d1009a5774e4e5287728969ffc5603a/65tyx53nts-1a204de92e5.jpeg',1.79537802527345156673e+09,'87ba1a85cfe34d729264ed1010a35114',1.79537802528467154501e+09,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,'/srv/photos/failed/wrong.jpg',NULL,0,0,NULL);
INSERT INTO "jobs" VALUES('py2m4w8z12','/srv/photos/inbox','waits.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802570510935783e+09,'archived','done',NULL,NULL,'',NULL,0,0,1.79537802640302801135e+09,65024,2400296,864,1795378025599939170,1795378025599939170,'jpeg',64,48,NULL,'228729a3a67c1b2e8b8c4f463036f752ab4dbad35f4943c9ffc2a07bd1b2b93c','http://files.example/inputs/ae8d6e3db84a406082d60fe3104be4ac/py2m4w8z12-1a204de95ab.jpeg',1.79537802595276474947e+09,'6bc8679983264671836a1019e4832a60',1.79537802598016667365e+09,'http://files.example/output/6bc8679983264671836a1019e4832a60-u1_06a2384e9101a6381764623899768cb6.jpeg',100,0,'/srv/photos/outbox/.waits.jpg.py2m4w8z12.part','a4d143f3526f544f8e674081c6a1edcff6418a8029e81b43cbfa53b4646761d2',81777,2048,1536,'/srv/photos/outbox/waits.jpg','/srv/photos/archive/waits.jpg',NULL,0,0,NULL);
INSERT INTO "jobs" VALUES('1vk4farnmb','/srv/photos/inbox','mass-0.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802670456480983e+09,'admitted','held',NULL,'mass','7 new files at once, more than max_new (2); about $0.03 in all. `upscaled release /srv/photos/inbox` lets them go on, `upscaled cancel /srv/photos/inbox` calls them off.',NULL,0,0,NULL,65024,2400297,876,1795378026555560440,1795378026555560440,'jpeg',64,48,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL);
INSERT INTO "jobs" VALUES('jfe5064nn7','/srv/photos/inbox','mass-1.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802670456576349e+09,'admitted','held',NULL,'mass','7 new files at once, more than max_new (2); about $0.03 in all. `upscaled release /srv/photos/inbox` lets them go on, `upscaled cancel /srv/photos/inbox` calls them off.',NULL,0,0,NULL,65024,2402452,874,1795378026556430013,1795378026556430013,'jpeg',64,48,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL);
INSERT INTO "jobs" VALUES('7n84brpk4s','/srv/photos/inbox','mass-2.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537802670456671716e+09,'admitted','held',NULL,'mass','7 new files at once, more than max_new (2); about $0.03 in all. `upscaled release /srv/photos/inbox` lets them go on, `upscaled cancel /srv/photos/inbox` calls them off.',NULL,0,0,NULL,65024,2402453,875,1795378026557246668,1795378026557246668,'jpeg',64,48,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL);
INSERT INTO "jobs" VALUES('1qn6gay0jj','/srv/photos/inbox','paid.jpg','default','wavespeed-ai/image-upscaler','{"output_format":"jpeg","target_resolution":"2k"}',0,1.79537803579883217808e+09,'submitted','running',NULL,NULL,'',NULL,0,0,NULL,65024,2402454,877,1795378026932881221,1795378026932881221,'jpeg',64,48,NULL,'bfc0f80aee732fd15971fa2b068c7448abf480676a1a047334a0dc290baba3e5','http://files.example/inputs/bf807cf7ffa546f59475b723d35a4ead/1qn6gay0jj-1a204debd3f.jpeg',1.79537803607292842864e+09,'eff3bd81f3864db189137f35838ae1d2',1.79537803612969899171e+09,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL);
CREATE TABLE notices (
    key            TEXT PRIMARY KEY,
    text           TEXT NOT NULL,
    since          REAL NOT NULL
) STRICT;
CREATE TABLE paused (
    folder         TEXT PRIMARY KEY,
    since          REAL NOT NULL
) STRICT;
CREATE TABLE places (
    directory      TEXT PRIMARY KEY,            -- absolute
    marker         TEXT NOT NULL,               -- the id in its marker; '' where nothing may be written
    lies           TEXT NOT NULL,               -- JSON list: device, inode, and the mount's point, kind, source and root
    since          REAL NOT NULL
) STRICT;
INSERT INTO "places" VALUES('/srv/photos/inbox','984b6ef53fc84322ba308b809e667b62','[]',1.79537802384854793544e+09);
INSERT INTO "places" VALUES('/srv/photos/outbox','375e36a9dac841c390bc3766df22468c','[]',1.79537802389166331294e+09);
INSERT INTO "places" VALUES('/srv/photos/archive','2ad33299de5f465fb486c675ff2ac2a7','[]',1.79537802391231894496e+09);
INSERT INTO "places" VALUES('/srv/photos/failed','722fcdaae4184aeeb4a95ff39bbd88d7','[]',1.79537802391693806646e+09);
CREATE TABLE this_ledger (id TEXT NOT NULL) STRICT;
INSERT INTO "this_ledger" VALUES('2e503e1b938e4ae4');
CREATE UNIQUE INDEX one_unfinished_job_per_source ON jobs (folder, source) WHERE finished_at IS NULL;
CREATE INDEX jobs_to_begin ON jobs (folder, stage, priority DESC, admitted_at, id)
    WHERE standing = 'ready' AND stage IN ('admitted', 'uploaded') AND failure IS NULL;
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX jobs_that_stay ON jobs (folder) WHERE stays = 1;
CREATE INDEX jobs_unfinished ON jobs (standing, stage) WHERE finished_at IS NULL AND stage <> 'admitted';
CREATE INDEX jobs_waiting ON jobs (not_before) WHERE standing = 'waiting';
CREATE INDEX jobs_by_age ON jobs (admitted_at, id);
CREATE INDEX jobs_by_prediction ON jobs (prediction_id) WHERE prediction_id IS NOT NULL;
CREATE INDEX attempts_by_job ON attempts (job_id, id);
CREATE INDEX attempts_by_time ON attempts (intended_at);
CREATE UNIQUE INDEX one_open_attempt_per_job ON attempts (job_id) WHERE settled_at IS NULL;
CREATE INDEX events_by_job ON events (job_id, id);
COMMIT;
PRAGMA user_version = 1;
