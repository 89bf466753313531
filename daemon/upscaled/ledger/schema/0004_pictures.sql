-- What the service is given in a source's place, and what was found wrong with what it made.

ALTER TABLE jobs ADD COLUMN rendition TEXT;         -- the file that is uploaded instead of the source, until it is
ALTER TABLE jobs ADD COLUMN rendition_hash TEXT;    -- its SHA-256, hexadecimal
ALTER TABLE jobs ADD COLUMN vetted INTEGER NOT NULL DEFAULT 0 CHECK (vetted IN (0, 1));  -- hooks.before_submit let it go
ALTER TABLE jobs ADD COLUMN wrong INTEGER NOT NULL DEFAULT 0;   -- how often its result was downloaded and not right
