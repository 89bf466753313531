-- Results that a person looks at before they are delivered, and what the dashboard asks for at 100,000 jobs.

ALTER TABLE jobs ADD COLUMN review TEXT CHECK (review IN ('waiting', 'kept', 'rejected'));  -- NULL: was not asked for

CREATE INDEX jobs_in_review ON jobs (admitted_at, id) WHERE review = 'waiting';
CREATE INDEX jobs_by_standing ON jobs (standing, admitted_at, id, folder);
CREATE INDEX jobs_by_end ON jobs (standing, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_by_folder ON jobs (folder, admitted_at, id);
-- Holds all that a search by name looks at, so that it reads no row that it does not show.
CREATE INDEX jobs_by_age_and_name ON jobs (admitted_at, id, source);
DROP INDEX jobs_by_age;
-- Holds all that a sum of money looks at.
CREATE INDEX attempts_by_time_and_price ON attempts (intended_at, state, price);
DROP INDEX attempts_by_time;
