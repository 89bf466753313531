-- What is asked for often, among 1,000,000 jobs that are over or 100,000 that wait.

-- `prune` leaves what is being delivered again.
CREATE INDEX jobs_that_reuse ON jobs (reuse) WHERE finished_at IS NULL AND reuse IS NOT NULL;
-- What is on its way to the failed folder goes on before anything new is begun; among 100,000 that wait, it is few.
CREATE INDEX jobs_to_reject ON jobs (standing) WHERE failure IS NOT NULL AND finished_at IS NULL;
